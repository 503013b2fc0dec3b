// What is decided in the store, where all agents meet? Who is in the roster, who holds a pair, whose verdict
// is written: five scripts, each whole or not at all. `StoreModel` in `Simulation` says the same in Swift, and
// a test holds the two against one another.

import Vocabulary

/// A script, by the call that it answers.
public enum FleetScript: String, CaseIterable, Sendable {
    case beat, claim, publish, release, tell

    /// The keys, in the order in which scripts take them. The last is what inboxes begin with.
    public static func keys(prefix: String) -> [String] {
        ["fleet", "claims", "verdicts", "revision", "changes", "about", "to:"].map { prefix + $0 }
    }

    /// What the field of an agent begins with, in the hash of the fleet.
    public static let lifeMark = "@"

    /// How a script learns the time, in milliseconds, and which life of which server it runs in.
    public static let surroundings = """
        local clock = redis.call('TIME')
        local raw = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
        local function server()
          -- Where an ACL forbids it, only an empty store is a new era.
          local info = redis.pcall('INFO', 'replication')
          return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
        end

        """

    public func source(
        terms: FleetTerms = FleetTerms(),
        surroundings: String = surroundings
    ) -> String {
        surroundings
            // A beat asks which server it is only now and then: it claims nothing, and writes no verdict.
            + "local asks_server = " + (self == .beat ? "ARGV[12] == '1'" : "true") + "\n"
            + Self.head(terms)
            + {
                switch self {
                case .beat: Self.beatBody(terms)
                case .claim: Self.claimBody(terms)
                case .publish: Self.wakeBody + Self.publishBody
                case .release: Self.wakeBody + Self.releaseBody
                case .tell: Self.tellBody
                }
            }()
    }

    /// Longer values are none of ours.
    private static let valueBytesMax = 16 << 10
    /// 2^48: milliseconds since 1970 will not reach it. Of epochs and eras less is believed; see `FleetTerms.epochLead`.
    private static let timeMax: Int64 = 1 << 48
    /// Ten years, in milliseconds: by more nobody's clock was ever wrong.
    private static let clockMax: Int64 = 315_360_000_000
    private static let doubtingMax = 4_096
    /// A day, in milliseconds.
    private static let forgottenAfter = 86_400_000
    /// So many that are not ours are taken away in one call.
    private static let strangersMax = 4_000
    /// Longer words are not told in the stream of changes.
    private static let hintBytesMax = 2_048
    /// What was vouched for holds so long without that, in milliseconds.
    private static let vouchedFor = 10_000
    /// While somebody is late all are looked at so often, in milliseconds.
    private static let lookEvery = 100
    /// How often somebody is told of them, in milliseconds.
    private static let strangersToldEvery = 60_000

    // MARK: What all begin with

    /// ARGV: era, agent, instance, count, …
    private static func head(_ terms: FleetTerms) -> String {
        """
        local FLEET, CLAIMS, VERDICTS, REVISION, CHANGES, ABOUT, TO = unpack(KEYS)
        local LEASE = \(terms.lease.milliseconds)
        local era, me, instance, count = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
        local function int(number) return string.format('%.0f', number) end
        local function decode(text)
          -- Whatever lies here may be another program's: it is read as if it were not there.
          if not text or #text > \(valueBytesMax) then return nil end
          local fine, value = pcall(cjson.decode, text)
          return fine and type(value) == 'table' and value or nil
        end
        -- A count or a time that ours can have reached.
        local function sane(value, limit)
          value = tonumber(value) or 0
          if value ~= value or value < 0 or value > limit then return 0 end
          return math.floor(value)
        end
        local held = redis.call('HMGET', FLEET, 'era', 'replid', 'roster', 'last', 'shift', 'resumed',
          'frozen', 'guarded', 'founded', 'format', 'size', 'look', 'late', 'doubting', '@' .. me, 'told')
        local format = sane(held[10], 1000000)
        if format > \(FleetTerms.format) then return {'format', int(format)} end
        local function number(index) return sane(held[index], \(timeMax)) end
        local roster, last, shift = number(3), number(4), number(5)
        local resumed, frozen, guarded, founded = number(6), number(7), number(8), number(9)
        local size, look = number(11), number(12)
        -- Store time: a clock that is set back stands still instead.
        if shift > \(clockMax) then shift = 0 end
        local t = raw + shift
        if last > t + \(clockMax) then last = 0 end
        if t < last then
          shift = shift + last - t
          t = last
        end
        -- What no agent can have reached by now is no epoch, nor an era: what follows from one that is believed is
        -- believed too by the time at which it is read.
        local LATEST, LATEST_ERA = t + \(FleetTerms.epochLead), t + \(FleetTerms.eraLead)
        local function epoch_of(value) return sane(value, LATEST - 1) end
        local present = sane(held[1], LATEST_ERA)
        if era > LATEST_ERA then era = 0 end
        local known = held[2] or ''
        local replid = (asks_server or present == 0 or era > present or not held[2]) and server() or known
        -- Whoever may not ask, or might not before, has not found another.
        if replid == '' then replid = known end
        if present > 0 and known == '' and replid ~= '' then
          redis.call('HSET', FLEET, 'replid', replid)
          known = replid
        end
        if present == 0 or format < \(FleetTerms.format) or known ~= replid or era > present then
          if present > 0 and format < \(FleetTerms.format) then
            -- Where an older version kept what is in one hash now.
            for _, name in ipairs({'agents', 'roster', 'seen', 'marks', 'doubting'}) do
              redis.pcall('DEL', string.sub(TO, 1, -4) .. name)
            end
          end
          -- Another life of the state. Who beats now has no time to claim what others still probe.
          guarded = t + ((present > 0 or era > 0) and LEASE or \(terms.greeting.milliseconds))
          -- Later than any epoch of the eras before, be they lost: a caller that knows a later one says so.
          local before = math.max(era, present)
          present = before + \(FleetTerms.eraStep) + (tonumber(instance) + count) % \(FleetTerms.eraSpread)
          if t > before or present > LATEST_ERA then present = t end
          resumed = t
          roster = roster + 1
          look = 0
          redis.call('HSET', FLEET, 'format', '\(FleetTerms.format)', 'era', int(present), 'replid', replid,
            'roster', int(roster), 'last', int(t), 'shift', int(shift), 'resumed', int(t),
            'frozen', int(frozen), 'guarded', int(guarded), 'founded', int(founded), 'look', '0')
        end
        -- One line an agent: instance, number of its last beat, state, weight, since when it lives, when it
        -- was seen, its mark, its doubt, what it says of it, with which weight it is in the roster, and of its
        -- life before instance and mark.
        local function read_life(text)
          local its, beats, state, weight, joined, seen, mark, doubt, word, seat, former, before =
            string.match(text or '', '^(%d+) (%d+) (%a+) (%S+) (%d+) (%d+) (%d+) (%d+) (%a+) (%S+) (%d+) (%d+)$')
          if not its or #text > 300 then return nil end
          local one = {instance = its, count = tonumber(beats), state = state, weight = weight,
            joined = tonumber(joined), seen = tonumber(seen), mark = tonumber(mark), doubt = doubt,
            word = word, seat = seat, former = former, before = tonumber(before)}
          if one.count > 2 ^ 53 or one.joined > \(timeMax) or one.mark > \(timeMax) or one.before > \(timeMax)
            or one.seen > t + LEASE or (seat ~= '-' and not (tonumber(seat) and tonumber(seat) > 0))
            then return nil end
          return one
        end
        local function life_text(one)
          return one.instance .. ' ' .. int(one.count) .. ' ' .. one.state .. ' ' .. one.weight .. ' '
            .. int(one.joined) .. ' ' .. int(one.seen) .. ' ' .. int(one.mark) .. ' ' .. one.doubt .. ' '
            .. one.word .. ' ' .. one.seat .. ' ' .. one.former .. ' ' .. int(one.before)
        end
        local lives = {[me] = read_life(held[15]) or false}
        local function life(agent)
          if lives[agent] == nil then
            lives[agent] = read_life(redis.call('HGET', FLEET, '@' .. agent)) or false
          end
          return lives[agent]
        end
        local function lives_on(one) return t - math.max(one.seen, resumed) <= LEASE end
        local function is_alive(agent, its)
          local one = life(agent)
          return one and one.instance == its and one.state ~= 'gone' and lives_on(one)
        end
        -- What one life vouched for until now ends soon, unless somebody says it again.
        local function unvouched(text, one)
          if not text or #text > \(valueBytesMax) then return nil end
          local rest, its = string.match(text, '^(.*),"\(FleetVouching.member)":"(%d+)"}$')
          if not rest then return nil end
          -- It vouched for that it finds nothing: the word ends when whoever found it last said.
          if string.find(rest, '"found":false', 1, true) then return rest .. '}' end
          local its_life = one and one.instance == its and one.agent ~= '' and life(one.agent)
          local seen = its_life and its_life.instance == its and its_life.mark or 0
          for name, at in pairs({checked_at = seen, expires_at = seen + \(vouchedFor)}) do
            rest = string.gsub(rest, '"' .. name .. '":(%d+)', function(held)
              if seen > 0 and tonumber(held) < at then return '"' .. name .. '":' .. int(at) end
            end, 1)
          end
          return rest .. '}'
        end
        -- Why the caller may write nothing now.
        local function refusal()
          if era ~= present then return {'era', int(present)} end
          if not is_alive(me, instance) or life(me).count ~= count then return {'lease'} end
        end
        local function record(text)
          local epoch, its_era, its, from, before, before_its, agent =
            string.match(text or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
          if text and not epoch then return nil, true end
          if not epoch or tonumber(epoch) >= LATEST or tonumber(its_era) > LATEST_ERA
            or tonumber(from) > t + \(60_000) or tonumber(before) >= LATEST then return nil, text and true end
          return {epoch = tonumber(epoch), era = tonumber(its_era), instance = its,
            from = tonumber(from), before = tonumber(before), before_instance = before_its,
            agent = agent}
        end
        local function write(field, one)
          redis.call('HSET', CLAIMS, field, int(one.epoch) .. ' ' .. int(one.era) .. ' ' .. one.instance
            .. ' ' .. int(one.from) .. ' ' .. int(one.before) .. ' ' .. one.before_instance .. ' '
            .. one.agent)
        end
        local function tell(agent, ...)
          -- An inbox that is another program's key is mended by its agent.
          return redis.pcall('XADD', TO .. agent, 'MAXLEN', '~', 1000, '*', ...)
        end

        """
    }

    // MARK: Beating

    /// ARGV: …, state, weight, lag, doubt, silent, roster known, about, whether to ask which server it is.
    /// All that a beat changes lies in one hash, and it looks at other agents only when the first of them can
    /// be late: four commands, whoever else lives.
    private static func beatBody(_ terms: FleetTerms) -> String {
        """
        local state, weight, lag, doubt = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
        local is_silent, known, about = ARGV[9] == '1', tonumber(ARGV[10]), ARGV[11]
        local LATE = \(terms.lateAfter.milliseconds)
        local looks = t >= look or look > t + LATE + 1
        local writes, gone = {}, {}
        local function put(field, value)
          writes[#writes + 1] = field
          writes[#writes + 1] = value
        end
        if t - last > \(terms.resumeAfter.milliseconds) then
          resumed = t
          looks = true
        end
        local function note_time()
          put('last', int(t))
          if int(shift) ~= held[5] then put('shift', int(shift)) end
          if int(resumed) ~= held[6] then put('resumed', int(resumed)) end
        end
        local function refused(...)
          note_time()
          redis.call('HSET', FLEET, unpack(writes))
          return {...}
        end
        local mine, former = life(me) or nil, nil
        if mine and mine.instance ~= instance then
          if mine.state ~= 'gone' and lives_on(mine) then
            return refused('taken', int(math.max(mine.seen, resumed) + LEASE))
          end
          mine, former = nil, mine
        elseif mine then
          if mine.state == 'gone' or not lives_on(mine) then return refused('expired') end
          if count <= mine.count then return refused('twin') end
        end
        local changed = false
        if not mine then
          mine = {instance = instance, joined = t, seat = former and former.seat or '-',
            word = former and former.word or 'sure', former = former and former.instance or '0',
            before = former and former.mark or 0}
          changed = mine.seat ~= '-'
        end
        local word = is_silent and 'silent' or doubt >= 50 and 'doubt' or 'sure'
        looks = looks or word ~= mine.word or state == 'gone'
        mine.count, mine.state, mine.weight, mine.seen = count, state, weight, t
        mine.mark, mine.doubt, mine.word = math.max(t - lag, 0), ARGV[8], word
        lives[me] = mine

        -- The roster: who comes in, who goes out.
        local function seat(one, place)
          if one.seat == '-' and place ~= '-' then size = size + 1 end
          if one.seat ~= '-' and place == '-' then size = math.max(size - 1, 0) end
          if one.seat ~= place then changed = true end
          one.seat = place
        end
        if state ~= 'working' or tonumber(weight) <= 0 then
          seat(mine, '-')
        elseif mine.seat ~= '-' then
          seat(mine, weight)
        else
          if size == 0 then founded = t end
          if t - founded < \(terms.settle.milliseconds) or t - mine.joined >= \(terms.settle.milliseconds) then
            seat(mine, weight)
          end
        end

        local late, doubting = held[13], held[14]
        if not changed and not looks then
          -- Nobody can be late before that.
          if mine.mark + LATE + 1 < look then
            look = mine.mark + LATE + 1
            put('look', int(look))
          end
        else
          local names = {}
          for _, name in ipairs({'era', 'replid', 'roster', 'last', 'shift', 'resumed', 'frozen',
            'guarded', 'founded', 'format', 'size', 'look', 'late', 'doubting', 'told'}) do
            names[name] = true
          end
          local all, others, seats, strangers, example = redis.call('HGETALL', FLEET), {}, 0, 0, nil
          for i = 1, #all, 2 do
            local agent = string.match(all[i], '^@(.*)$')
            local one = agent and agent ~= me and read_life(all[i + 1])
            if one and t - one.seen <= \(forgottenAfter) then
              lives[agent] = one
              others[#others + 1] = agent
              if one.seat ~= '-' then seats = seats + 1 end
            elseif agent ~= me and not names[all[i]] and #gone < \(strangersMax) then
              -- Silent for a day, or none of ours: what lies in the way of each look.
              gone[#gone + 1] = all[i]
              if one then
                redis.call('HDEL', ABOUT, agent)
                redis.call('DEL', TO .. agent)
              else
                strangers = strangers + 1
                example = example or all[i]
              end
            end
          end
          if mine.seat ~= '-' then seats = seats + 1 end
          if seats ~= size then
            size = seats
            changed = true
          end
          local lapsed = {}
          for _, agent in ipairs(others) do
            if lives[agent].seat ~= '-' and not lives_on(lives[agent]) then
              lapsed[#lapsed + 1] = agent
            end
          end
          if #lapsed == 0 then
            frozen = 0
          elseif 2 * #lapsed >= size and (frozen == 0 or t < frozen) then
            -- Half of all at once: that may be the way to them. They have one lease more.
            if frozen == 0 then frozen = t + LEASE end
          else
            for _, agent in ipairs(lapsed) do
              seat(lives[agent], '-')
              put('@' .. agent, life_text(lives[agent]))
            end
            frozen = 0
          end
          others[#others + 1] = me
          local first, behind, unsure = nil, {}, {}
          for _, agent in ipairs(others) do
            local one = lives[agent]
            if one.state ~= 'gone' and (one.seat ~= '-' or lives_on(one)) then
              first = math.min(first or one.mark, one.mark)
              if one.mark < t - LATE and t - resumed > LATE then behind[#behind + 1] = agent end
              if one.word ~= 'sure' then unsure[#unsure + 1] = agent end
            end
          end
          table.sort(behind, function(a, b)
            if lives[a].mark ~= lives[b].mark then return lives[a].mark < lives[b].mark end
            return a < b
          end)
          local told = {}
          for i = 1, math.min(#behind, \(FleetTerms.lateMax)) do
            told[#told + 1] = behind[i]
            told[#told + 1] = int(math.max(lives[behind[i]].mark, resumed))
          end
          late = #told > 0 and cjson.encode(told) or ''
          told = {}
          for i = 1, #unsure <= \(doubtingMax) and #unsure or 0 do
            told[#told + 1] = unsure[i]
            told[#told + 1] = lives[unsure[i]].word
          end
          doubting = #told > 0 and cjson.encode(told) or ''
          look = math.max(math.max(first or t, resumed) + LATE + 1, t + \(lookEvery))
          put('look', int(look))
          if late ~= held[13] then put('late', late) end
          if doubting ~= held[14] then put('doubting', doubting) end
          if int(frozen) ~= held[7] then put('frozen', int(frozen)) end
          if changed then
            roster = roster + 1
            put('roster', int(roster))
          end
          if int(size) ~= held[11] then put('size', int(size)) end
          if int(founded) ~= held[9] then put('founded', int(founded)) end
          if strangers > 0 and t - sane(held[16], \(timeMax)) > \(strangersToldEvery) then
            put('told', int(t))
            tell(me, 'word', 'strange', 'key', FLEET, 'field', string.sub(example, 1, 100), 'count',
              int(strangers))
          end
        end
        note_time()
        put('@' .. me, life_text(mine))
        redis.call('HSET', FLEET, unpack(writes))
        if #gone > 0 then redis.call('HDEL', FLEET, unpack(gone)) end
        if about ~= '' then redis.call('HSET', ABOUT, me, about) end

        local answer = {'ok', int(present), int(t), mine.seat ~= '-' and '1' or '0', int(roster),
          int(size)}
        local function list(text)
          local fine, items = pcall(cjson.decode, text and text ~= '' and text or '[]')
          if not fine or type(items) ~= 'table' then items = {} end
          answer[#answer + 1] = int(math.floor(#items / 2))
          for i = 1, #items do answer[#answer + 1] = items[i] end
        end
        list(late)
        list(doubting)
        -- Of another era the same number may be another roster: one that was lost.
        if known ~= roster or era ~= present then
          local all = redis.call('HGETALL', FLEET)
          for i = 1, #all, 2 do
            local agent = string.match(all[i], '^@(.*)$')
            local one = agent and read_life(all[i + 1])
            if one and one.seat ~= '-' then
              answer[#answer + 1] = agent
              answer[#answer + 1] = one.instance .. ' ' .. one.seat
            end
          end
        end
        return answer
        """
    }

    // MARK: Claiming

    /// ARGV: …, roster, and a pair each: field, reason, epoch, holder, mark.
    private static func claimBody(_ terms: FleetTerms) -> String {
        """
        local refused = refusal()
        if refused then return refused end
        local known = tonumber(ARGV[5])
        local is_member = life(me).seat ~= '-'
        local fields = {}
        for i = 6, #ARGV, 5 do fields[#fields + 1] = ARGV[i] end
        local records = redis.call('HMGET', CLAIMS, unpack(fields))
        local verdicts = redis.call('HMGET', VERDICTS, unpack(fields))
        for i = 1, #fields do
          local reason = ARGV[2 + 5 * i]
          if known ~= roster and (reason == 'rank' or reason == 'stale') then
            return {'roster', int(roster)}
          end
        end
        -- Every slot before that was begun, as far as is known: by the mark of who held it, or until it was given back.
        local function begun_before(one, verdict, is_mine, from)
          if is_mine or from > t then return from end
          if not one then return 0 end
          if one.agent == '' then return math.min(one.from, t) end
          local its = life(one.agent)
          -- Who doubts itself began its last slots in vain: nobody knows since when it sees nothing.
          if its and its.instance == one.instance and its.word ~= 'sure' then return 0 end
          local mark = its and (its.instance == one.instance and its.mark
            or its.former == one.instance and its.before) or 0
          -- Of what it has not spoken of yet it may not have known.
          if verdict.\(FleetVouching.member) ~= one.instance then mark = math.min(mark, one.from) end
          return math.min(mark, t)
        end
        local answer, plain, strange, removed = {'ok', int(present), int(t)}, {}, {}, {}
        for i, field in ipairs(fields) do
          local at = 1 + 5 * i
          local reason, epoch = ARGV[at + 1], epoch_of(ARGV[at + 2])
          local holder, mark = ARGV[at + 3], tonumber(ARGV[at + 4])
          local one, is_strange = record(records[i])
          if is_strange then strange[#strange + 1] = field end
          local verdict = decode(verdicts[i]) or {}
          local written = epoch_of(verdict.epoch)
          if written == 0 and (tonumber(verdict.epoch) or 0) > 0 then
            -- Nobody's word: nor does anybody go on from what it says.
            removed[#removed + 1] = field
            verdicts[i], verdict = false, {}
          end
          local is_mine = one and one.agent == me and one.instance == instance and one.era == present
          local is_held = one and one.agent ~= '' and one.era == present
            and is_alive(one.agent, one.instance)
          local word, from, same = nil, t, false
          if is_mine and written <= one.epoch and epoch <= one.epoch then
            same, from = true, one.from
          elseif reason == 'keep' then
            if not one then
            elseif one.era == present then
              same = one.agent == me and one.epoch == epoch
              if not same and is_held and not is_mine then word = 'held' end
            elseif one.agent ~= me and one.epoch > epoch then
              word = 'held'
            end
          elseif not is_member then
            word = 'joining'
          elseif t < guarded then
            word = 'frozen'
          elseif reason == 'rank' then
            -- Who sees nothing need not be waited for. Who leaves, and doubts itself for whatever reason, comes to see nothing more.
            local its = is_held and life(one.agent)
            local is_blind = its and (its.word == 'silent' or its.state == 'leaving' and its.word ~= 'sure')
            if is_held and not is_mine and not is_blind then
              from = t + \(terms.handOver.milliseconds)
            end
          elseif reason == 'stale' then
            if is_held and not is_mine then
              -- Who holds it since then may be late as well.
              if one.agent ~= holder then
                word = 'held'
              elseif math.max(life(one.agent).mark, resumed) > mark then
                word = 'fresh'
              end
            end
          else
            local is_offered = is_held and one.agent == holder and one.epoch == epoch
            local is_vouched = is_held and verdict.\(FleetVouching.member) == one.instance
              and t - math.max(life(one.agent).mark, resumed) <= LEASE
            local is_over = not is_vouched and (tonumber(verdict.expires_at) or 0) < t
              and (not one or one.from < mark)
            if is_offered and not is_mine then
              -- Who doubts itself sees nothing until then: there is nothing to wait for.
              if life(one.agent).word == 'sure' then from = t + \(terms.handOver.milliseconds) end
            elseif is_held and not is_mine and not is_over then
              word = 'held'
            end
          end
          if word == 'held' then
            answer[#answer + 1] = 'held'
            answer[#answer + 1] = int(one.epoch)
            answer[#answer + 1] = one.agent
          elseif word then
            answer[#answer + 1] = word
            answer[#answer + 1] = '0'
            answer[#answer + 1] = ''
          else
            local text = unvouched(verdicts[i], one)
            if text and not same then
              plain[#plain + 1] = field
              plain[#plain + 1] = text
            end
            local before, before_instance = 0, '0'
            local minted = one and one.epoch or 0
            if same then
              before, before_instance = one.before, one.before_instance
            else
              minted = math.max(minted, written, epoch, present) + 1
              if from > t then before, before_instance = one.epoch, one.instance end
              if is_held and not is_mine then
                tell(one.agent, 'word', 'ceded', 'field', field, 'epoch', int(minted),
                  'from', int(from), 'by', me)
              end
            end
            local begun = begun_before(one, verdict, same or is_mine, from)
            write(field, {epoch = minted, era = present, instance = instance, from = from,
              before = before, before_instance = before_instance, agent = me})
            answer[#answer + 1] = 'granted'
            answer[#answer + 1] = int(minted)
            text = text or verdicts[i] and #verdicts[i] <= \(valueBytesMax) and verdicts[i] or ''
            answer[#answer + 1] = int(from) .. ' ' .. int(begun) .. ' ' .. text
          end
        end
        if #plain > 0 then redis.call('HSET', VERDICTS, unpack(plain)) end
        if #removed > 0 then redis.call('HDEL', VERDICTS, unpack(removed)) end
        for key, those in pairs({[CLAIMS] = strange, [VERDICTS] = removed}) do
          if #those > 0 then
            tell(me, 'word', 'strange', 'key', key, 'field', string.sub(those[1], 1, 100), 'count', int(#those))
          end
        end
        return answer
        """
    }

    // MARK: Writing

    private static let wakeBody = """
        -- What somebody else wrote under our name gets another name.
        local function mended(key, ...)
          local reply = redis.pcall(...)
          if type(reply) ~= 'table' or not reply.err then return reply end
          local text, is_foreign = reply.err, false
          for _, words in ipairs({'WRONGTYPE', 'not an integer', 'overflow', 'exhausted', 'equal or smaller'}) do
            is_foreign = is_foreign or string.find(text, words, 1, true)
          end
          -- That it may not be written says nothing of whose it is: the call fails by that very error.
          if not is_foreign then return redis.call(...) end
          local place = 1
          while place < 9 and redis.call('EXISTS', key .. ':aside:' .. place) == 1 do
            place = place + 1
          end
          redis.pcall('RENAME', key, key .. ':aside:' .. place)
          return redis.call(...)
        end
        local function wake(field, text)
          local revision = mended(REVISION, 'INCR', REVISION)
          if #text > \(hintBytesMax) then
            mended(CHANGES, 'XADD', CHANGES, 'MAXLEN', '~', 10000, '*', 'revision', revision,
              'kind', 'verdict', 'field', field)
          else
            -- With the word itself, or each reader would have to ask for it.
            mended(CHANGES, 'XADD', CHANGES, 'MAXLEN', '~', 10000, '*', 'revision', revision,
              'kind', 'verdict', 'field', field, 'value', text, 'digest',
              string.sub(redis.sha1hex(text), 1, 12))
          end
        end

        """

    /// ARGV: …, and a pair each: field, epoch, sequence, verdict.
    private static let publishBody = """
        local refused = refusal()
        if refused then return refused end
        local said = {'status', 'degraded', 'health', 'rise', 'fall', 'kind', 'reason', 'code',
          'message', 'weight_percent', 'max_connections', 'admin', 'down_addresses', 'since', 'found', 'agent',
          'epoch', 'address', 'check', '\(FleetVouching.member)'}
        local fields = {}
        for i = 5, #ARGV, 4 do fields[#fields + 1] = ARGV[i] end
        local records = redis.call('HMGET', CLAIMS, unpack(fields))
        local verdicts = redis.call('HMGET', VERDICTS, unpack(fields))
        local answer, writes, woken = {'ok'}, {}, {}
        for i, field in ipairs(fields) do
          local at = 1 + 4 * i
          local epoch, sequence, text = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]
          local one = record(records[i])
          local is_holder = one and one.era == present and one.epoch == epoch and one.agent == me
            and one.instance == instance
          local was_holder = one and one.era == present and t < one.from and one.before == epoch
            and one.before_instance == instance
          local old = decode(verdicts[i])
          local written = old and epoch_of(old.epoch) or 0
          -- Of a word that stands above this one: not who holds the pair, but who said it.
          local writer = written > epoch and type(old.agent) == 'string' and #old.agent <= 512 and old.agent or ''
          if not is_holder and not was_holder then
            answer[#answer + 1] = 'held'
            answer[#answer + 1] = one and int(one.epoch) or '0'
            answer[#answer + 1] = one and one.agent or ''
            answer[#answer + 1] = writer
          elseif written > epoch then
            -- By somebody who knows no claims, or by the next holder already.
            answer[#answer + 1] = 'held'
            answer[#answer + 1] = int(written)
            answer[#answer + 1] = is_holder and me or one.agent
            answer[#answer + 1] = writer
          elseif written == epoch and sane(old.sequence, 2 ^ 53) >= sequence and is_holder and verdicts[i] ~= text then
            -- Under this very claim, and not by this life: above that goes only another claim.
            answer[#answer + 1] = 'held'
            answer[#answer + 1] = int(written)
            answer[#answer + 1] = me
            answer[#answer + 1] = ''
          elseif written == epoch and sane(old.sequence, 2 ^ 53) >= sequence then
            answer[#answer + 1] = 'known'
            answer[#answer + 1] = '0'
            answer[#answer + 1] = ''
            answer[#answer + 1] = ''
          else
            local new = cjson.decode(text)
            local differs = not old
            for _, name in ipairs(said) do differs = differs or old[name] ~= new[name] end
            writes[#writes + 1] = field
            writes[#writes + 1] = text
            if differs then
              woken[#woken + 1] = field
              woken[#woken + 1] = text
            end
            answer[#answer + 1] = 'written'
            answer[#answer + 1] = '0'
            answer[#answer + 1] = ''
            answer[#answer + 1] = ''
          end
        end
        -- First what an ACL may forbid alone: beats prove the right to write hashes.
        for i = 1, #woken, 2 do wake(woken[i], woken[i + 1]) end
        if #writes > 0 then redis.call('HSET', VERDICTS, unpack(writes)) end
        return answer
        """

    /// ARGV: …, and a pair each: field, epoch, or 0 for whichever. Empties the claim and keeps its epoch.
    private static let releaseBody = """
        local refused = refusal()
        if refused then return refused end
        local released = 0
        for i = 5, #ARGV, 2 do
          local one = record(redis.call('HGET', CLAIMS, ARGV[i]))
          local verdict = redis.call('HGET', VERDICTS, ARGV[i])
          -- Whoever holds it now: this life does not find it any more.
          if verdict and string.match(verdict, ',"\(FleetVouching.member)":"(%d+)"}$') == instance then
            local text = unvouched(verdict, {agent = me, instance = instance})
            if text then
              wake(ARGV[i], text)
              redis.call('HSET', VERDICTS, ARGV[i], text)
            end
          end
          if one and one.agent == me and one.instance == instance and one.era == present
            and (ARGV[i + 1] == '0' or one.epoch == tonumber(ARGV[i + 1])) then
            one.agent, one.instance, one.before, one.before_instance, one.from = '', '0', 0, '0', t
            write(ARGV[i], one)
            released = released + 1
          end
        end
        return {'ok', int(released)}
        """

    /// ARGV: …, and a letter each: to whom, how many words, the words.
    private static let tellBody = """
        local refused = refusal()
        if refused then return refused end
        local told, i = 0, 5
        while i <= #ARGV do
          local size = tonumber(ARGV[i + 1])
          local reply = tell(ARGV[i], unpack(ARGV, i + 2, i + 1 + size))
          -- Questions that nobody hears: a peer would stay as it is for good, and nobody would know why.
          local text = type(reply) == 'table' and reply.err or ''
          if string.find(text, 'NOPERM', 1, true) or string.find(text, "can't run this command", 1, true)
            or string.find(text, 'ACL failure', 1, true) then return reply end
          told = told + 1
          i = i + 2 + size
        end
        return {'ok', int(told)}
        """
}
