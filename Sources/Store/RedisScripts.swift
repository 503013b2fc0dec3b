// Under which keys does the state lie in Redis, and who may write them? Every write goes through one
// of these scripts, which run whole or not at all: nobody ever sees a verdict without its revision,
// and an agent that was stopped and continued cannot overwrite its successor. docs/STATE.md has the
// same for readers.

/// The names of everything we keep in Redis.
struct RedisKeys: Hashable, Sendable {
    let prefix: String

    /// HASH: `upstream|peer|monitor` → verdict.
    var verdicts: String { prefix + "verdicts" }
    /// HASH: `upstream|peer` → intent.
    var intents: String { prefix + "intents" }
    /// A field of the intents that is always there.
    static let mark = "#"
    /// STRING: counts changes.
    var revision: String { prefix + "revision" }
    /// STRING: made up when the state is; another one means that the state was lost meanwhile.
    var id: String { prefix + "id" }
    /// STREAM: a hint for each change.
    var changes: String { prefix + "changes" }
}

/// A script with the name Redis gives it once it is loaded.
enum RedisScript: String, CaseIterable {
    case look, publish, intend, remove, sweep, scan, read

    /// Entries the stream keeps, about: a reader that is further behind reads everything again.
    static let changesMax = 10_000

    /// KEYS: the hash, revision, changes. ARGV differs.
    var source: String {
        switch self {
        case .look: Self.lookBody
        case .publish: Self.wake("verdict") + Self.publishBody
        case .intend: Self.wake("intent") + Self.intendBody
        case .remove: Self.get + Self.removeBody
        case .sweep: Self.get + Self.sweepBody
        case .scan: Self.scanBody
        case .read: Self.get + Self.readBody
        }
    }

    /// A value that is larger than any of ours counts as none, and is not even looked at: of a hundred
    /// megabytes somebody left there nobody may have to wait for a copy.
    private static let get = """
        local function get(field)
          if redis.call('HSTRLEN', KEYS[1], field) > \(Believable.valueBytesMax) then return false end
          return redis.call('HGET', KEYS[1], field)
        end

        """

    /// KEYS: the id, revision, changes, verdicts, intents. ARGV: an id to take where there is none. Answers why nothing can
    /// be written, or nothing; whether the id is new; the id; the revision; the time. What lies there and
    /// cannot be ours is taken away, unread: it may be of another type, or a hundred megabytes.
    private static let lookBody = """
        local function value(key)
          local kind = redis.call('TYPE', key).ok
          if kind == 'none' then return false end
          if kind == 'string' and redis.call('STRLEN', key) <= \(wordBytesMax) then
            return redis.call('GET', key)
          end
          redis.pcall('DEL', key)
          return false
        end
        local id, revision = value(KEYS[1]), value(KEYS[2])
        for i, wanted in pairs({[3] = 'stream', [4] = 'hash', [5] = 'hash'}) do
          local kind = redis.call('TYPE', KEYS[i]).ok
          if kind ~= 'none' and kind ~= wanted then redis.pcall('DEL', KEYS[i]) end
        end
        -- Also where there is an id: it tells whether Redis takes writes.
        local taken = redis.pcall('SET', KEYS[1], ARGV[1], 'NX')
        local refusal, isNew = '', 0
        if type(taken) == 'table' and taken.err then
          refusal = taken.err
        elseif taken then
          id, isNew = ARGV[1], 1
        end
        return {refusal, isNew, id or '', revision or '0', redis.call('TIME')}
        """

    /// Of an id or a revision.
    private static let wordBytesMax = 64

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

    /// ARGV: fields. Answers their values.
    private static let readBody = """
        local values = {}
        for i = 1, #ARGV do values[i] = get(ARGV[i]) end
        return values
        """

    private static func wake(_ kind: String) -> String {
        get + """
            -- What somebody else wrote under our name is taken away: readers see that the count began
            -- anew, and read everything.
            local function mended(key, ...)
              local reply = redis.pcall(...)
              if type(reply) ~= 'table' or not reply.err then return reply end
              local text = reply.err
              local isForeign = string.find(text, 'WRONGTYPE') or string.find(text, 'not an integer')
                or string.find(text, 'overflow') or string.find(text, 'exhausted')
                or string.find(text, 'equal or smaller')
              if isForeign then redis.call('DEL', key) end
              return redis.call(...)
            end
            local function wake(field)
              local revision = mended(KEYS[2], 'INCR', KEYS[2])
              mended(KEYS[3], 'XADD', KEYS[3], 'MAXLEN', '~', \(changesMax), '*',
                'revision', revision, 'kind', '\(kind)', 'field', field)
            end
            local function decode(text)
              if not text then return nil end
              local fine, value = pcall(cjson.decode, text)
              if fine and type(value) == 'table' then return value end
              return nil
            end

            """
    }

    /// ARGV: field, verdict, field, verdict, … Answers 1 for each that is in now, 0 for each that
    /// was refused because the one held is newer. A renewal, which only moves times, wakes nobody.
    private static let publishBody = """
        local said = {'status', 'degraded', 'health', 'rise', 'fall', 'kind', 'reason', 'code',
          'message', 'weight_percent', 'max_connections', 'admin', 'down_addresses', 'since', 'agent',
          'epoch'}
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
          if new.epoch < epoch or (new.epoch == epoch and new.sequence < sequence) then
            answers[i] = 0
          else
            local differs = old == nil
            for _, name in ipairs(said) do
              differs = differs or old[name] ~= new[name]
            end
            writes[#writes + 1] = field
            writes[#writes + 1] = text
            if differs then woken[#woken + 1] = field end
            answers[i] = 1
          end
        end
        if #writes > 0 then redis.call('HSET', KEYS[1], unpack(writes)) end
        for _, field in ipairs(woken) do wake(field) end
        return answers
        """

    /// ARGV: field, what changes, `afresh` where what is held made no sense. Mode and weight are merged each by itself: one that says when it
    /// was asked for holds unless a later one is there, one that does not is asked for now, by the
    /// clock of Redis, and later than anything before it. Answers what holds then.
    private static let intendBody = """
        local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        local held = get(ARGV[1])
        local old = ARGV[3] ~= 'afresh' and decode(held) or {}
        -- What can be read and not written again: a number beyond all.
        if not pcall(cjson.encode, old) then old = {} end
        local change = cjson.decode(ARGV[2])
        local applied = false
        local function merge(part, names)
          local stamp = part .. '_at'
          local before = tonumber(old[stamp]) or tonumber(old.set_at) or 0
          -- Written by a clock that is wrong: as if it had no time, for readers too.
          if before > now + \(IntentRecord.aheadMax.milliseconds) then before = 0 end
          old[stamp] = before
          local new = change[part]
          if not new then return end
          -- Later than what is held, also within one millisecond: a reader that still has the
          -- former must see which is which.
          local at = math.max(now, before + 1)
          if new.at then at = math.min(tonumber(new.at), at) end
          if at < before then return end
          for field, name in pairs(names) do
            applied = applied or old[field] ~= new[name]
            old[field] = new[name]
          end
          applied = applied or old[stamp] ~= at
          old[stamp] = at
        end
        merge('mode', {mode = 'mode', reason = 'reason', ['until'] = 'until'})
        merge('weight', {weight = 'weight', weight_reason = 'reason', weight_until = 'until'})
        old.set_at = math.max(old.mode_at, old.weight_at)
        local text = cjson.encode(old)
        if applied or not held then
          -- The mark says that the hash is the one we filled: without it, it was thrown away whole.
          redis.call('HSET', KEYS[1], ARGV[1], text, '\(RedisKeys.mark)', '1')
          wake(ARGV[1])
        end
        return text
        """

    /// ARGV: a time, fields. Removes what was lifted, or has ended, before that time.
    private static let sweepBody = """
        local before = tonumber(ARGV[1])
        local removed = 0
        local function over(value, name, ends, at)
          if value[name] and not value[ends] then return false end
          return (tonumber(value[ends]) or 0) < before and (tonumber(value[at]) or 0) < before
        end
        for i = 2, #ARGV do
          local held = get(ARGV[i])
          local fine, value = pcall(cjson.decode, held or '')
          if fine and type(value) == 'table' and over(value, 'mode', 'until', 'mode_at')
            and over(value, 'weight', 'weight_until', 'weight_at') then
            removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
          end
        end
        return removed
        """

    /// ARGV: an agent, a time, fields. Removes verdicts of that agent, and verdicts that expired
    /// before that time.
    private static let removeBody = """
        local removed = 0
        for i = 3, #ARGV do
          local held = get(ARGV[i])
          if held then
            local fine, old = pcall(cjson.decode, held)
            if not fine or type(old) ~= 'table' or old.agent == ARGV[1]
              or (tonumber(old.expires_at) or 0) < tonumber(ARGV[2]) then
              removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
            end
          end
        end
        return removed
        """
}
