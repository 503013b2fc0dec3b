// What is decided in the store, where all agents meet? Who is in the roster, who holds a pair, whose verdict
// is written: five scripts, each whole or not at all. `StoreModel` in `Simulation` says the same in Swift, and
// a test holds the two against one another.

import Vocabulary

/// A script, by the call that it answers.
public enum FleetScript: String, CaseIterable, Sendable {
    case beat, claim, publish, release, tell

    /// The keys, in the order in which scripts take them. The last is what inboxes begin with.
    public static func keys(prefix: String) -> [String] {
        [
            "fleet", "agents", "roster", "seen", "marks", "doubting", "claims", "verdicts",
            "revision",
            "changes", "about", "to:",
        ].map { prefix + $0 }
    }

    /// How a script learns the time, in milliseconds, and which life of which server it runs in.
    public static let surroundings = """
        local clock = redis.call('TIME')
        local raw = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
        -- Where an ACL forbids it, only an empty store is a new era.
        local info = redis.pcall('INFO', 'replication')
        local replid = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''

        """

    public func source(
        terms: FleetTerms = FleetTerms(),
        surroundings: String = surroundings
    ) -> String {
        surroundings + Self.head(terms)
            + {
                switch self {
                case .beat: Self.beatBody(terms)
                case .claim: Self.claimBody(terms)
                case .publish: Self.publishBody
                case .release: Self.releaseBody
                case .tell: Self.tellBody
                }
            }()
    }

    /// Longer values are none of ours.
    private static let valueBytesMax = 16 << 10
    /// 2^48, as for verdicts: milliseconds since 1970 will not reach it.
    private static let epochMax: Int64 = 1 << 48
    /// Ten years, in milliseconds: by more nobody's clock was ever wrong.
    private static let clockMax: Int64 = 315_360_000_000
    private static let doubtingMax = 4_096
    /// A day, in milliseconds.
    private static let forgottenAfter = 86_400_000

    // MARK: What all begin with

    /// ARGV: era, agent, instance, count, …
    private static func head(_ terms: FleetTerms) -> String {
        """
        local FLEET, AGENTS, ROSTER, SEEN, MARKS, DOUBTING = unpack(KEYS, 1, 6)
        local CLAIMS, VERDICTS, REVISION, CHANGES, ABOUT, TO = unpack(KEYS, 7, 12)
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
          'frozen', 'guarded', 'founded', 'format')
        local format = sane(held[10], 1000000)
        if format > \(FleetTerms.format) then return {'format', int(format)} end
        local function number(index) return sane(held[index], \(epochMax)) end
        local present, roster, last, shift = number(1), number(3), number(4), number(5)
        local resumed, frozen, guarded, founded = number(6), number(7), number(8), number(9)
        -- Store time: a clock that is set back stands still instead.
        if shift > \(clockMax) then shift = 0 end
        local t = raw + shift
        if last > t + \(clockMax) then last = 0 end
        if t < last then
          shift = shift + last - t
          t = last
        end
        if present == 0 or held[2] ~= replid then
          -- Another life of the state. Who beats now has no time to claim what others still probe.
          guarded = t + ((present > 0 or era > 0) and LEASE or \(terms.greeting.milliseconds))
          present = math.max(t, era + 1, present + 1)
          resumed = t
          roster = roster + 1
          redis.call('HSET', FLEET, 'format', '\(FleetTerms.format)', 'era', int(present), 'replid', replid,
            'roster', int(roster), 'last', int(t), 'shift', int(shift), 'resumed', int(t),
            'frozen', int(frozen), 'guarded', int(guarded), 'founded', int(founded))
        end
        local lives = {}
        local function life(agent)
          if lives[agent] == nil then
            local one = decode(redis.call('HGET', AGENTS, agent))
            local is_ours = one and type(one.instance) == 'string' and type(one.seen) == 'number'
              and type(one.joined) == 'number' and type(one.count) == 'number'
              and one.seen <= t + \(terms.lease.milliseconds)
            lives[agent] = is_ours and one or false
          end
          return lives[agent]
        end
        local function lives_on(one) return t - math.max(one.seen, resumed) <= LEASE end
        local function is_alive(agent, its)
          local one = life(agent)
          return one and one.instance == its and one.state ~= 'gone' and lives_on(one)
        end
        -- Why the caller may write nothing now.
        local function refusal()
          if era ~= present then return {'era', int(present)} end
          if not is_alive(me, instance) or life(me).count ~= count then return {'lease'} end
        end
        local function record(text)
          local epoch, its_era, its, from, before, before_its, agent =
            string.match(text or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
          if not epoch or tonumber(epoch) > \(epochMax) or tonumber(its_era) > \(epochMax)
            or tonumber(from) > t + \(60_000) or tonumber(before) > \(epochMax) then return nil end
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
          redis.pcall('XADD', TO .. agent, 'MAXLEN', '~', 1000, '*', ...)
        end

        """
    }

    // MARK: Beating

    /// ARGV: …, state, weight, lag, doubt, silent, roster known, about.
    private static func beatBody(_ terms: FleetTerms) -> String {
        """
        local state, weight, lag, doubt = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
        local is_silent, known, about = ARGV[9] == '1', tonumber(ARGV[10]), ARGV[11]
        if t - last > \(terms.resumeAfter.milliseconds) then resumed = t end
        redis.call('HSET', FLEET, 'last', int(t), 'shift', int(shift), 'resumed', int(resumed))
        local mine = life(me)
        if mine and mine.instance ~= instance then
          if mine.state ~= 'gone' and lives_on(mine) then
            return {'taken', int(math.max(mine.seen, resumed) + LEASE)}
          end
          redis.call('HDEL', DOUBTING, me)
          mine = nil
        elseif mine then
          if mine.state == 'gone' or not lives_on(mine) then return {'expired'} end
          if count <= mine.count then return {'twin'} end
        end
        mine = mine or {instance = instance, joined = t}
        local word = is_silent and 'silent' or doubt >= 50 and 'doubt' or ''
        if word ~= (mine.word or '') then
          if word == '' then
            redis.call('HDEL', DOUBTING, me)
          else
            redis.call('HSET', DOUBTING, me, word)
          end
        end
        mine.count, mine.state, mine.weight, mine.seen = count, state, weight, t
        mine.mark, mine.doubt, mine.word = t - lag, doubt, word
        redis.call('HSET', AGENTS, me, cjson.encode(mine))
        if about ~= '' then redis.call('HSET', ABOUT, me, about) end
        local function out(agent)
          redis.call('ZREM', SEEN, agent)
          redis.call('ZREM', MARKS, agent)
          redis.call('HDEL', DOUBTING, agent)
        end
        if state == 'gone' then
          out(me)
        else
          redis.call('ZADD', SEEN, int(t), me)
          redis.call('ZADD', MARKS, int(t - lag), me)
        end

        -- The roster: who comes in, who goes out.
        local changed = false
        local entry = redis.call('HGET', ROSTER, me)
        local wanted = state == 'working' and tonumber(weight) > 0 and instance .. ' ' .. weight
        if not wanted then
          if entry then
            redis.call('HDEL', ROSTER, me)
            changed = true
          end
        elseif entry then
          if entry ~= wanted then
            redis.call('HSET', ROSTER, me, wanted)
            changed = true
          end
        else
          if redis.call('HLEN', ROSTER) == 0 then founded = t end
          if t - founded < \(terms.settle.milliseconds) or t - mine.joined >= \(terms.settle.milliseconds) then
            redis.call('HSET', ROSTER, me, wanted)
            changed = true
          end
        end
        local lapsed = {}
        if t - resumed > LEASE then
          for _, agent in ipairs(redis.call('ZRANGEBYSCORE', SEEN, '-inf', '(' .. int(t - LEASE))) do
            if redis.call('HEXISTS', ROSTER, agent) == 1 then
              lapsed[#lapsed + 1] = agent
            else
              out(agent)
            end
          end
        end
        local was_frozen = frozen
        if #lapsed == 0 then
          frozen = 0
        elseif 2 * #lapsed >= redis.call('HLEN', ROSTER) and (frozen == 0 or t < frozen) then
          -- Half of all at once: that may be the way to them. They have one lease more.
          if frozen == 0 then frozen = t + LEASE end
        else
          for _, agent in ipairs(lapsed) do
            redis.call('HDEL', ROSTER, agent)
            out(agent)
          end
          changed = true
          frozen = 0
        end
        if changed then
          roster = roster + 1
          -- Who has been silent for a day does not come back under that name: a few are looked at each time.
          local page = redis.call('HSCAN', AGENTS, sane(redis.call('HGET', FLEET, 'swept'), 2 ^ 53),
            'COUNT', 32)
          redis.call('HSET', FLEET, 'swept', page[1])
          for i = 1, #page[2], 2 do
            local agent, one = page[2][i], decode(page[2][i + 1])
            local seen = one and sane(one.seen, \(epochMax)) or 0
            if agent ~= me and t - seen > \(forgottenAfter) then
              redis.call('HDEL', AGENTS, agent)
              redis.call('HDEL', ABOUT, agent)
              redis.call('DEL', TO .. agent)
            end
          end
        end
        if changed or frozen ~= was_frozen then
          redis.call('HSET', FLEET, 'roster', int(roster), 'frozen', int(frozen),
            'founded', int(founded))
        end

        local is_member = redis.call('HEXISTS', ROSTER, me)
        local answer = {'ok', int(present), int(t), int(is_member), int(roster),
          int(redis.call('HLEN', ROSTER))}
        local late = {}
        if t - resumed > \(terms.lateAfter.milliseconds) then
          late = redis.call('ZRANGEBYSCORE', MARKS, '-inf',
            '(' .. int(t - \(terms.lateAfter.milliseconds)), 'WITHSCORES', 'LIMIT', 0,
            \(FleetTerms.lateMax))
        end
        answer[#answer + 1] = int(#late / 2)
        for i = 1, #late, 2 do
          answer[#answer + 1] = late[i]
          answer[#answer + 1] = int(math.max(tonumber(late[i + 1]), resumed))
        end
        local doubting = redis.call('HLEN', DOUBTING) <= \(doubtingMax)
          and redis.call('HGETALL', DOUBTING) or {}
        answer[#answer + 1] = int(#doubting / 2)
        for i = 1, #doubting do answer[#answer + 1] = doubting[i] end
        -- Of another era the same number may be another roster: one that was lost.
        if known ~= roster or era ~= present then
          local members = redis.call('HGETALL', ROSTER)
          for i = 1, #members do answer[#answer + 1] = members[i] end
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
        local is_member = redis.call('HEXISTS', ROSTER, me) == 1
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
        local answer = {'ok', int(present), int(t)}
        for i, field in ipairs(fields) do
          local at = 1 + 5 * i
          local reason, epoch = ARGV[at + 1], tonumber(ARGV[at + 2])
          local holder, mark = ARGV[at + 3], tonumber(ARGV[at + 4])
          local one = record(records[i])
          local verdict = decode(verdicts[i]) or {}
          local written = sane(verdict.epoch, \(epochMax))
          local is_mine = one and one.agent == me and one.instance == instance and one.era == present
          local is_held = one and one.agent ~= '' and one.era == present
            and is_alive(one.agent, one.instance)
          local word, from, same = nil, t, false
          if is_mine and written <= one.epoch then
            same, from = true, one.from
          elseif reason == 'keep' then
            if not one then
            elseif one.era == present then
              same = one.agent == me and one.epoch == epoch
              if not same and not is_mine then word = 'held' end
            elseif one.agent ~= me and one.epoch > epoch then
              word = 'held'
            end
          elseif not is_member then
            word = 'joining'
          elseif t < guarded then
            word = 'frozen'
          elseif reason == 'rank' then
            if is_held and not is_mine then from = t + \(terms.handOver.milliseconds) end
          elseif reason == 'stale' then
            if is_held and not is_mine then
              local its = redis.call('ZSCORE', MARKS, one.agent)
              if one.agent ~= holder or (its and math.max(tonumber(its), resumed) > mark) then
                word = 'fresh'
              end
            end
          else
            local is_offered = is_held and one.agent == holder and one.epoch == epoch
            local is_over = (tonumber(verdict.expires_at) or 0) < t and (not one or one.from < mark)
            if is_offered and not is_mine then
              from = t + \(terms.handOver.milliseconds)
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
            write(field, {epoch = minted, era = present, instance = instance, from = from,
              before = before, before_instance = before_instance, agent = me})
            answer[#answer + 1] = 'granted'
            answer[#answer + 1] = int(minted)
            local text = verdicts[i] and #verdicts[i] <= \(valueBytesMax) and verdicts[i] or ''
            answer[#answer + 1] = int(from) .. ' ' .. text
          end
        end
        return answer
        """
    }

    // MARK: Writing

    /// ARGV: …, and a pair each: field, epoch, sequence, verdict.
    private static let publishBody = """
        local refused = refusal()
        if refused then return refused end
        local said = {'status', 'degraded', 'health', 'rise', 'fall', 'kind', 'reason', 'code',
          'message', 'weight_percent', 'max_connections', 'admin', 'down_addresses', 'since', 'agent',
          'epoch', 'address', 'check'}
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
          local written = old and sane(old.epoch, \(epochMax)) or 0
          if not is_holder and not was_holder then
            answer[#answer + 1] = 'held'
            answer[#answer + 1] = one and int(one.epoch) or '0'
            answer[#answer + 1] = one and one.agent or ''
          elseif written > epoch then
            -- By somebody who knows no claims, or by the next holder already.
            answer[#answer + 1] = 'held'
            answer[#answer + 1] = int(written)
            answer[#answer + 1] = is_holder and me or one.agent
          elseif written == epoch and sane(old.sequence, 2 ^ 53) >= sequence then
            answer[#answer + 1] = 'known'
            answer[#answer + 1] = '0'
            answer[#answer + 1] = ''
          else
            local new = cjson.decode(text)
            local differs = not old
            for _, name in ipairs(said) do differs = differs or old[name] ~= new[name] end
            writes[#writes + 1] = field
            writes[#writes + 1] = text
            if differs then woken[#woken + 1] = field end
            answer[#answer + 1] = 'written'
            answer[#answer + 1] = '0'
            answer[#answer + 1] = ''
          end
        end
        if #writes > 0 then redis.call('HSET', VERDICTS, unpack(writes)) end
        -- What somebody else wrote under our name gets another name.
        local function mended(key, ...)
          local reply = redis.pcall(...)
          if type(reply) ~= 'table' or not reply.err then return reply end
          local place = 1
          while place < 9 and redis.call('EXISTS', key .. ':aside:' .. place) == 1 do
            place = place + 1
          end
          redis.pcall('RENAME', key, key .. ':aside:' .. place)
          return redis.call(...)
        end
        for _, field in ipairs(woken) do
          local revision = mended(REVISION, 'INCR', REVISION)
          mended(CHANGES, 'XADD', CHANGES, 'MAXLEN', '~', 10000, '*', 'revision', revision,
            'kind', 'verdict', 'field', field)
        end
        return answer
        """

    /// ARGV: …, and a pair each: field, epoch. Empties the claim and keeps its epoch.
    private static let releaseBody = """
        local refused = refusal()
        if refused then return refused end
        local released = 0
        for i = 5, #ARGV, 2 do
          local one = record(redis.call('HGET', CLAIMS, ARGV[i]))
          if one and one.agent == me and one.instance == instance and one.era == present
            and one.epoch == tonumber(ARGV[i + 1]) then
            one.agent, one.instance, one.before, one.before_instance = '', '0', 0, '0'
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
          tell(ARGV[i], unpack(ARGV, i + 2, i + 1 + size))
          told = told + 1
          i = i + 2 + size
        end
        return {'ok', int(told)}
        """
}
