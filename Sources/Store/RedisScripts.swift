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
    /// STRING: counts changes.
    var revision: String { prefix + "revision" }
    /// STRING: made up when the state is; another one means that the state was lost meanwhile.
    var id: String { prefix + "id" }
    /// STREAM: a hint for each change.
    var changes: String { prefix + "changes" }
}

/// A script with the name Redis gives it once it is loaded.
enum RedisScript: String, CaseIterable {
    case publish, intend, remove

    /// Entries the stream keeps, about: a reader that is further behind reads everything again.
    static let changesMax = 10_000

    /// KEYS: the hash, revision, changes. ARGV differs.
    var source: String {
        switch self {
        case .publish: Self.wake("verdict") + Self.publishBody
        case .intend: Self.wake("intent") + Self.intendBody
        case .remove: Self.removeBody
        }
    }

    private static func wake(_ kind: String) -> String {
        """
        local function wake(field)
          local revision = redis.call('INCR', KEYS[2])
          redis.call('XADD', KEYS[3], 'MAXLEN', '~', \(changesMax), '*',
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
          'message', 'weight_percent', 'max_connections', 'admin', 'since', 'agent', 'epoch'}
        local answers = {}
        for i = 1, #ARGV, 2 do
          local field, text = ARGV[i], ARGV[i + 1]
          local new = cjson.decode(text)
          local old = decode(redis.call('HGET', KEYS[1], field))
          local epoch = old and tonumber(old.epoch) or -1
          local sequence = old and tonumber(old.sequence) or -1
          if new.epoch < epoch or (new.epoch == epoch and new.sequence < sequence) then
            answers[#answers + 1] = 0
          else
            local differs = old == nil
            for _, name in ipairs(said) do
              differs = differs or old[name] ~= new[name]
            end
            redis.call('HSET', KEYS[1], field, text)
            if differs then wake(field) end
            answers[#answers + 1] = 1
          end
        end
        return answers
        """

    /// ARGV: field, intent or nothing to lift it, when it was set. The last one set wins.
    private static let intendBody = """
        local held = redis.call('HGET', KEYS[1], ARGV[1])
        local old = decode(held)
        if old and (tonumber(old.set_at) or 0) > tonumber(ARGV[3]) then return 0 end
        if ARGV[2] == '' then
          if held then
            redis.call('HDEL', KEYS[1], ARGV[1])
            wake(ARGV[1])
          end
        elseif held ~= ARGV[2] then
          redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
          wake(ARGV[1])
        end
        return 1
        """

    /// ARGV: an agent, a time, fields. Removes verdicts of that agent, and verdicts that expired
    /// before that time.
    private static let removeBody = """
        local removed = 0
        for i = 3, #ARGV do
          local held = redis.call('HGET', KEYS[1], ARGV[i])
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
