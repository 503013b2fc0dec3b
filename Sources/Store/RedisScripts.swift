// Under which keys does the state lie in Redis, and who may write them? Every write goes through one
// of these scripts, which run whole or not at all: nobody ever sees a verdict without its revision,
// and an agent that was stopped and continued cannot overwrite its successor. What differs between sorts
// of records is written into the script by their sort. docs/STATE.md has the same for readers.

import Vocabulary

/// The names of everything we keep in Redis.
struct RedisKeys: Hashable, Sendable {
    let prefix: String

    /// HASH: a field for each record of the sort.
    func hash(of sort: RecordSort) -> String { prefix + sort.collection }
    /// A field of each hash of merged records that is always there.
    static let mark = "#"
    /// Behind the name of a key of ours, and before a number: what others had written there.
    static let aside = ":aside:"
    /// STRING: counts changes.
    var revision: String { prefix + "revision" }
    /// STRING: made up when the state is; another one means that the state was lost meanwhile.
    var id: String { prefix + "id" }
    /// STREAM: a hint for each change.
    var changes: String { prefix + "changes" }
    /// STREAM: hints for this agent.
    func inbox(of agent: String) -> String { prefix + "to:" + agent }

    /// Never there: whether a command may be run is asked with it.
    var right: String { prefix + "right" }

    /// What agents share, with the types of the keys.
    func ofFleet(agent: String) -> [(key: String, type: String)] {
        ["about", "claims", "fleet"].map { (prefix + $0, "hash") } + [(inbox(of: agent), "stream")]
    }
}

/// A script with the name Redis gives it once it is loaded.
enum RedisScript: CaseIterable {
    /// Of any sort.
    case scan, read
    /// Of fenced records.
    case slice, publish, remove
    /// Of merged records.
    case ask, sweep, mark

    /// Entries the stream keeps, about: a reader that is further behind reads everything again.
    static let changesMax = 10_000
    /// Fields looked at in one step of a count.
    private static let countStep = 1_000

    static func cases(for sort: RecordSort) -> [RedisScript] {
        switch sort.rule {
        case .fenced: [.slice, .read, .publish, .remove]
        case .merged: [.scan, .read, .ask, .sweep, .mark]
        }
    }

    /// KEYS: the hash, revision, changes; for `ask` then the hash of each sort of `counted`. ARGV differs.
    func source(of sort: RecordSort, counting counted: [RecordSort] = []) -> String {
        switch self {
        case .scan: Self.scanBody
        case .read: Self.get + Self.readBody
        case .slice: Self.sliceBody
        case .publish:
            Self.get + Self.wake(sort) + Self.table("silent", Self.silent(of: sort))
                + Self.about(sort) + Self.publishBody
        case .remove: Self.get + Self.removeBody
        case .ask:
            Self.get + Self.wake(sort) + Self.registers(of: sort) + Self.stamps(of: counted)
                + Self.numbers("kinds", counted.map(\.name)) + Self.countBody + Self.knowBody
                + Self.askBody
        case .mark: Self.markBody
        case .sweep: Self.get + Self.registers(of: sort) + Self.sweepBody
        }
    }

    // MARK: What a sort is, as a table of Lua

    private static func table(_ name: String, _ words: [String]) -> String {
        let members = words.map { "['\($0)'] = true" }.joined(separator: ", ")
        return "local \(name) = {\(members)}\n"
    }

    private static func numbers(_ name: String, _ words: [String]) -> String {
        let members = words.enumerated().map { "['\($1)'] = \($0 + 1)" }.joined(separator: ", ")
        return "local \(name) = {\(members)}\n"
    }

    private static func list(_ words: [String]) -> String {
        "{" + words.map { "'\($0)'" }.joined(separator: ", ") + "}"
    }

    private static func silent(of sort: RecordSort) -> [String] {
        if case .fenced(let silent, _) = sort.rule { return silent }
        return []
    }

    private static func about(_ sort: RecordSort) -> String {
        if case .fenced(_, let about) = sort.rule { return "local about = \(list(about))\n" }
        return ""
    }

    private static func registers(of sort: RecordSort) -> String {
        guard case .merged(let registers) = sort.rule else { return "" }
        let rows = registers.map { register in
            let end = register.end.map { ", ends = '\($0)'" } ?? ""
            return "{name = '\(register.name)', at = '\(register.stamp)', "
                + "members = \(list(register.members))\(end)}"
        }
        return "local registers = {" + rows.joined(separator: ", ") + "}\n"
    }

    private static func stamps(of sorts: [RecordSort]) -> String {
        let rows = sorts.map { sort in
            guard case .merged(let registers) = sort.rule else { return "{}" }
            return list(registers.map(\.stamp))
        }
        return "local stamps = {" + rows.joined(separator: ", ") + "}\n"
    }

    // MARK: Parts

    /// A value that is larger than any of ours counts as none, and is not even looked at: of a hundred
    /// megabytes somebody left there nobody may have to wait for a copy.
    private static let get = """
        local function get(field)
          if redis.call('HSTRLEN', KEYS[1], field) > \(Believable.valueBytesMax) then return false end
          return redis.call('HGET', KEYS[1], field)
        end
        local function decode(text)
          if not text then return nil end
          local fine, value = pcall(cjson.decode, text)
          if fine and type(value) == 'table' then return value end
          return nil
        end

        """

    /// What somebody else wrote under our name is theirs: it gets another name, and nothing is lost
    /// but, of a tenth, the ninth.
    private static let aside = """
        local function aside(key)
          for i = 1, \(asidesMax) do
            local reply = redis.pcall('RENAMENX', key, key .. '\(RedisKeys.aside)' .. i)
            if reply ~= 0 then return end
          end
          redis.pcall('RENAME', key, key .. '\(RedisKeys.aside)\(asidesMax)')
        end

        """

    private static let asidesMax = 9

    private static func wake(_ sort: RecordSort) -> String {
        aside + """
            -- Readers see that the count began anew, and read everything.
            local function mended(key, ...)
              local reply = redis.pcall(...)
              if type(reply) ~= 'table' or not reply.err then return reply end
              local text = reply.err
              local isForeign = string.find(text, 'WRONGTYPE') or string.find(text, 'not an integer')
                or string.find(text, 'overflow') or string.find(text, 'exhausted')
                or string.find(text, 'equal or smaller')
              if isForeign then aside(key) end
              return redis.call(...)
            end
            local function wake(field)
              local revision = mended(KEYS[2], 'INCR', KEYS[2])
              mended(KEYS[3], 'XADD', KEYS[3], 'MAXLEN', '~', \(changesMax), '*',
                'revision', revision, 'kind', '\(sort.name)', 'field', field)
            end

            """
    }

    // MARK: The store itself

    /// KEYS: the id, revision, changes, all others. ARGV: an id to take where there is none; the type of each
    /// key; and `all`, or `types` where it is enough to hear of what is put aside now, or nothing where other
    /// keys than the first two need not be looked at.
    /// Answers why nothing can be written, or nothing; whether the id is new; the id; the revision; the
    /// time; what was put aside, each name with its type; and which life of which server it is, where that may be asked. What lies there and cannot be ours is put
    /// aside, unread: it may be of another type, or a hundred megabytes.
    static let look =
        aside + """
            local wasPut = false
            local function put(key)
              wasPut = true
              aside(key)
            end
            local function value(key)
              local kind = redis.call('TYPE', key).ok
              if kind == 'none' then return false end
              if kind == 'string' and redis.call('STRLEN', key) <= \(wordBytesMax) then
                return redis.call('GET', key)
              end
              put(key)
              return false
            end
            local id, revision = value(KEYS[1]), value(KEYS[2])
            for i = 3, ARGV[2 + #KEYS] ~= '' and #KEYS or 2 do
              local kind = redis.call('TYPE', KEYS[i]).ok
              if kind ~= 'none' and kind ~= ARGV[1 + i] then put(KEYS[i]) end
            end
            -- Also where there is an id: it tells whether Redis takes writes.
            local taken = redis.pcall('SET', KEYS[1], ARGV[1], 'NX')
            local refusal, isNew = '', 0
            if type(taken) == 'table' and taken.err then
              refusal = taken.err
            elseif taken then
              id, isNew = ARGV[1], 1
            end
            local kept = {}
            for i = 1, (wasPut or ARGV[2 + #KEYS] == 'all') and #KEYS or 0 do
              for number = 1, \(asidesMax) do
                local name = KEYS[i] .. '\(RedisKeys.aside)' .. number
                local kind = redis.call('TYPE', name).ok
                if kind == 'none' then break end
                kept[#kept + 1] = name
                kept[#kept + 1] = kind
              end
            end
            local info = redis.pcall('INFO', 'replication')
            local server = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
            return {refusal, isNew, id or '', revision or '0', redis.call('TIME'), kept, server}
            """

    /// Of an id or a revision.
    private static let wordBytesMax = 64
    // MARK: Any sort

    /// ARGV: a cursor, how many. Answers the next cursor; fields and values; fields whose value is too
    /// large, with its size.
    private static let scanBody = """
        local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
        local items, small, large = found[2], {}, {}
        for i = 1, #items, 2 do
          local field, value = items[i], items[i + 1]
          if #field <= \(Believable.nameBytesMax * 4) and #value <= \(Believable.valueBytesMax) then
            small[#small + 1] = field
            small[#small + 1] = value
          else
            large[#large + 1] = string.sub(field, 1, 100)
            large[#large + 1] = #field + #value
          end
        end
        return {found[1], small, large}
        """

    /// ARGV: `small` where the caller has just seen that no value is too large, or nothing; fields. Answers the
    /// value of each, and its digest as `slice` tells it.
    private static let readBody = """
        local answer, values = {}, nil
        if ARGV[1] == 'small' then values = redis.call('HMGET', KEYS[1], unpack(ARGV, 2)) end
        for i = 2, #ARGV do
          local value
          if values then value = values[i - 1] else value = get(ARGV[i]) end
          answer[#answer + 1] = value
          answer[#answer + 1] = value and string.sub(redis.sha1hex(value), 1, 12) or ''
        end
        return answer
        """

    // MARK: Fenced records

    /// ARGV: a cursor, how many, the digest of this slice as the caller read it last. Answers the next cursor
    /// and the digest; where that is another than the caller's also fields with a digest each, and fields
    /// whose value is too large, with its size. What nobody changed is looked at here, and sent to nobody.
    private static let sliceBody = """
        local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
        local items, small, large = found[2], {}, {}
        for i = 1, #items, 2 do
          local field, value = items[i], items[i + 1]
          if #field <= \(Believable.nameBytesMax * 4) and #value <= \(Believable.valueBytesMax) then
            small[#small + 1] = field
            small[#small + 1] = value
          else
            large[#large + 1] = string.sub(field, 1, 100)
            large[#large + 1] = #field + #value
          end
        end
        local whole = redis.sha1hex(table.concat(small, ' ') .. ' ' .. #large)
        if whole == ARGV[3] then return {found[1], whole} end
        for i = 2, #small, 2 do small[i] = string.sub(redis.sha1hex(small[i]), 1, 12) end
        return {found[1], whole, small, large}
        """

    /// ARGV: field, record, field, record, … Answers 1 for each that is in now, 0 for each that
    /// was refused because the one held is newer. A renewal, which only says the same later, wakes nobody.
    private static let publishBody = """
        local function differs(old, new)
          for name, value in pairs(new) do
            if not silent[name] and old[name] ~= value then return true end
          end
          for name in pairs(old) do
            if not silent[name] and new[name] == nil then return true end
          end
          return false
        end
        -- Of another server, or by another check: it does not stand in the way.
        local function isOther(old, new)
          local other = false
          for _, name in ipairs(about) do
            if old[name] == nil or new[name] == nil then return false end
            other = other or old[name] ~= new[name]
          end
          return other
        end
        local answers, fields, writes, woken = {}, {}, {}, {}
        for i = 1, #ARGV, 2 do fields[#fields + 1] = ARGV[i] end
        -- Two commands for the whole batch, and not two for each.
        local held = redis.call('HMGET', KEYS[1], unpack(fields))
        for i, field in ipairs(fields) do
          local text = ARGV[2 * i]
          local new = cjson.decode(text)
          -- Neither what is too large nor an order that no agent can have reached stands in the way.
          local old = held[i] and #held[i] <= \(Believable.valueBytesMax) and decode(held[i]) or nil
          local epoch = old and tonumber(old.epoch) or -1
          local sequence = old and tonumber(old.sequence) or -1
          if epoch > \(Believable.epochMax) or sequence > \(Believable.sequenceMax) then epoch = -1 end
          local isOlder = new.epoch < epoch or (new.epoch == epoch and new.sequence < sequence)
          if isOlder and not isOther(old, new) then
            answers[i] = 0
          else
            writes[#writes + 1] = field
            writes[#writes + 1] = text
            if not old or differs(old, new) then woken[#woken + 1] = field end
            answers[i] = 1
          end
        end
        -- First what an ACL may forbid alone.
        for _, field in ipairs(woken) do wake(field) end
        if #writes > 0 then redis.call('HSET', KEYS[1], unpack(writes)) end
        return answers
        """

    /// ARGV: an agent, a time, fields. Removes what that agent said, and what expired before that time.
    private static let removeBody = """
        local removed = 0
        for i = 3, #ARGV do
          local held = get(ARGV[i])
          if held then
            local old = decode(held)
            if not old or old.agent == ARGV[1]
              or (tonumber(old.expires_at) or 0) < tonumber(ARGV[2]) then
              removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
            end
          end
        end
        return removed
        """

    // MARK: Merged records

    /// The sum of all stamps of one owner, and what was found on the way: what a revision counts.
    private static let countBody = """
        local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        -- However far ahead it is: the clock may have been set back since. What is no time is none.
        local function stamp(record, name)
          local at = tonumber(record[name]) or tonumber(record.set_at) or 0
          if at >= 0 and at <= \(WallTime.range.upperBound.milliseconds) then return at end
          return 0
        end
        local function count(patterns)
          local sum, found, marks = 0, {}, {}
          for k = 1, #stamps do
            local size = redis.call('HSTRLEN', KEYS[3 + k], '\(RedisKeys.mark)')
            marks[k] = size > 0 and size <= \(wordBytesMax)
              and redis.call('HGET', KEYS[3 + k], '\(RedisKeys.mark)') or ''
            local seen, list, cursor = {}, {}, '0'
            repeat
              local page = redis.call('HSCAN', KEYS[3 + k], cursor, 'MATCH', patterns[k],
                'COUNT', \(countStep))
              cursor = page[1]
              for i = 1, #page[2], 2 do
                local field, value = page[2][i], page[2][i + 1]
                if not seen[field] and #field <= \(Believable.nameBytesMax * 4)
                  and #value <= \(Believable.valueBytesMax) then
                  seen[field] = true
                  list[#list + 1] = field
                  list[#list + 1] = value
                  local record = decode(value)
                  if record then
                    for _, name in ipairs(stamps[k]) do
                      sum = (sum + stamp(record, name)) % \(StampSum.modulus)
                    end
                  end
                end
              end
            until cursor == '0'
            found[k] = list
          end
          return string.format('%.0f', sum), found, marks
        end

        """

    /// Whether what the caller knows is all there is of one owner: it has heard of each change up to a
    /// revision of this very store, and of those since none names a field of this owner. A few changes are
    /// looked through faster than all that is asked for.
    private static let knowBody = """
        local function knows(known, id, prefix, written)
          known = tonumber(known)
          if not known or id == '' then return false end
          local sums = {}
          for i = 1, #written, 3 do sums[written[i] .. ' ' .. written[i + 1]] = written[i + 2] end
          local function isOurs(kind, field)
            local expected, key = sums[kind .. ' ' .. field], KEYS[3 + kinds[kind]]
            if not expected
              or redis.call('HSTRLEN', key, field) > \(Believable.valueBytesMax) then
              return false
            end
            local record, sum = decode(redis.call('HGET', key, field)) or {}, 0
            for _, name in ipairs(stamps[kinds[kind]]) do
              sum = (sum + stamp(record, name)) % \(StampSum.modulus)
            end
            return string.format('%.0f', sum) == expected
          end
          local last = KEYS[#KEYS]
          local size = redis.pcall('STRLEN', last)
          if type(size) ~= 'number' or size ~= #id or redis.call('GET', last) ~= id then
            return false
          end
          local now = redis.pcall('GET', KEYS[2])
          now = now and (type(now) == 'string' and tonumber(now)) or now == false and 0
          if not now or now < known or now - known > \(changesLookedThroughMax) then return false end
          if now == known then return true end
          local page = redis.pcall('XREVRANGE', KEYS[3], '+', '-', 'COUNT', now - known)
          if type(page) ~= 'table' or page.err or #page ~= now - known then return false end
          for i = 1, #page do
            local entry = {}
            for k = 1, #page[i][2] - 1, 2 do entry[page[i][2][k]] = page[i][2][k + 1] end
            if tonumber(entry.revision) ~= now - i + 1 or not entry.kind or not entry.field then
              return false
            end
            if kinds[entry.kind] and string.sub(entry.field, 1, #prefix) == prefix
              and not isOurs(entry.kind, entry.field) then
              return false
            end
          end
          return true
        end

        """

    private static let changesLookedThroughMax = 500

    /// ARGV: field, what changes, `afresh` where what is held made no sense, or nothing; or then also the sum
    /// of stamps that is expected; the revision up to which the caller has heard everything, or nothing; the
    /// store's id; how the fields of the owner begin; for each counted sort their pattern; and kind, field and
    /// sum of what the caller itself wrote lately. Registers
    /// are merged each by itself: one that says when it was asked for holds unless a later one is there,
    /// one that does not is asked for now, by the clock of Redis, and later than anything before it.
    /// Answers what holds then, and where a sum was expected beside it what the stamps of this field summed up to
    /// before, or nothing where it held already. Where another sum was expected nothing changes, and the answer is
    /// the sum and everything that counts; where what is known does not suffice, an empty list.
    private static let askBody = """
        local held = get(ARGV[1])
        local old = ARGV[3] ~= 'afresh' and decode(held) or {}
        -- What can be read and not written again: a number beyond all.
        if not pcall(cjson.encode, old) then old = {} end
        local change = cjson.decode(ARGV[2])
        -- What is asked for now and holds already changes nothing, its time neither: whoever asks
        -- again because the answer was lost has what was asked for.
        local isNews = next(change) == nil
        for _, register in ipairs(registers) do
          local new = change[register.name]
          if new then
            local isSame = not new.at and stamp(old, register.at) > 0
            for _, name in ipairs(register.members) do
              isSame = isSame and old[name] == new[name]
            end
            if isSame then change[register.name] = nil else isNews = true end
          end
        end
        if #ARGV > 3 and isNews then
          if ARGV[5] ~= '' then
            local written = {unpack(ARGV, 8 + #stamps)}
            if not knows(ARGV[5], ARGV[6], ARGV[7], written) then return {} end
          else
            local sum, found, marks = count({unpack(ARGV, 8, 7 + #stamps)})
            if sum ~= ARGV[4] then return {sum, found, marks} end
          end
        end
        local applied, last, was = false, 0, 0
        for _, register in ipairs(registers) do
          local before = stamp(old, register.at)
          was = (was + before) % \(StampSum.modulus)
          local new = change[register.name]
          if new then
            -- Later than what is held, also within one millisecond and after a clock that was set
            -- back: a reader that still has the former must see which is which.
            local at = math.max(now, before + 1)
            if new.at then at = math.min(tonumber(new.at), at) end
            if at >= before then
              for _, name in ipairs(register.members) do
                applied = applied or old[name] ~= new[name]
                old[name] = new[name]
              end
              applied = applied or before ~= at
              before = at
            end
          end
          register.now = before
          last = math.max(last, before)
        end
        -- Only then: until here a stamp that is missing was `set_at`.
        for _, register in ipairs(registers) do old[register.at] = register.now end
        old.set_at = last
        local text = cjson.encode(old)
        if applied or not held then
          -- Without a mark: this may be all that the hash knows.
          -- First what an ACL may forbid alone: the order is asked for anew, and would be there already.
          wake(ARGV[1])
          redis.call('HSET', KEYS[1], ARGV[1], text)
        end
        if #ARGV > 3 then return {text, isNews and string.format('%.0f', was) or ''} end
        return text
        """

    /// ARGV: a mark for a hash that has none, the mark of one that is whole now, or nothing. Answers the mark,
    /// or nothing where none could be written.
    private static let markBody = """
        local field = '\(RedisKeys.mark)'
        local size = redis.pcall('HSTRLEN', KEYS[1], field)
        if type(size) ~= 'number' then return '' end
        local held = size > 0 and size <= \(wordBytesMax)
          and redis.call('HGET', KEYS[1], field) or ''
        local mark = held
        if held == '' then
          mark = ARGV[1]
        elseif held == ARGV[2] then
          -- Nobody threw it away since the telling began.
          mark = string.sub(held, 2)
        end
        if mark ~= held then
          local reply = redis.pcall('HSET', KEYS[1], field, mark)
          if type(reply) == 'table' and reply.err then return held end
        end
        return mark
        """

    /// ARGV: a time, fields. Removes what was lifted, or has ended, before that time.
    private static let sweepBody = """
        local before = tonumber(ARGV[1])
        local removed = 0
        local function over(value)
          for _, register in ipairs(registers) do
            local ends = register.ends and value[register.ends]
            if value[register.name] and not ends then return false end
            if (tonumber(ends) or 0) >= before then return false end
            if (tonumber(value[register.at]) or 0) >= before then return false end
          end
          return true
        end
        for i = 2, #ARGV do
          local value = decode(get(ARGV[i]))
          if value and over(value) then removed = removed + redis.call('HDEL', KEYS[1], ARGV[i]) end
        end
        return removed
        """
}
