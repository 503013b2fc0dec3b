// What does Redis do for a source in one step? It reads many keys at once, and writes who is dead. A mark is a
// position of a list, and a list may change at any moment: so the position is found by the script that
// writes, in the list as it is then.

enum ForeignScripts {
    /// Each list with NUL between its values, each set as a list without a name, each hash with NUL between names
    /// and values; nil where nothing is, and a number where something else is, or too much, or where there is enough
    /// in this answer already. ARGV: how many values of a list count, how many bytes of a long one, how many a key may
    /// have, and after how many of all keys the rest is left for the next time.
    static let read = """
        local out, total = {}, 0
        local values, long = tonumber(ARGV[1]), tonumber(ARGV[2])
        local most, all = tonumber(ARGV[3]), tonumber(ARGV[4])
        local function joined(parts)
          local text = table.concat(parts, '\\0')
          if #text <= long * 16 then return text end
          for i, part in ipairs(parts) do
            if #part > long then parts[i] = part:sub(1, long) end
          end
          return table.concat(parts, '\\0')
        end
        for i, key in ipairs(KEYS) do
          local kind = total < all and redis.call('TYPE', key).ok or 'later'
          local value = 0
          if kind == 'later' then
            value = 2
          elseif kind == 'list' then
            local parts, from = {}, 0
            repeat
              local slice = redis.call('LRANGE', key, from, math.min(from + 255, values))
              parts[#parts + 1] = #slice > 0 and joined(slice) or nil
              from = from + 256
            until #slice < 256 or from > values
            value = table.concat(parts, '\\0')
          elseif kind == 'set' then
            local members = redis.call('SMEMBERS', key)
            table.sort(members)
            value = '\\0'..joined(members)
          elseif kind == 'hash' then
            value = table.concat(redis.call('HGETALL', key), '\\0')
          elseif kind == 'none' then
            value = false
          end
          if type(value) == 'string' then
            if #value > most then value = 1 else total = total + #value end
          end
          out[i] = value
        end
        return out
        """

    /// A slice of all keys, without those whose names are too long to be of a host. ARGV: the cursor, the pattern, how many
    /// are looked at, and how long a name may be.
    static let scan = """
        local slice = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
        local keys = {}
        for _, key in ipairs(slice[2]) do
          if #key <= tonumber(ARGV[4]) then keys[#keys + 1] = key end
        end
        return {slice[1], keys}
        """

    static let keyNameBytesMax = 1_024
    /// Of one value of a list, and of a key: more is no backend, and no list of backends.
    static let valueBytesMax = 2_048
    static let keyBytesMax = 1 << 20
    /// An answer has this, what one key more may have, and some bytes a key: so that Redis is busy for some milliseconds.
    static let answerBytes = 256 << 10
    /// What stands for a key that has too much, and for one that is to be read again.
    static let tooMuch: Int64 = 1
    static let later: Int64 = 2

    /// KEYS: the list, the set of marks. ARGV: how long marks live, how many backends a list must have for
    /// any mark, the channel or nothing, the host, and 1 where their life begins anew; then each backend with 1 for dead and 0 for well. A backend
    /// that is not named there keeps its mark, or none. Positions that the list does not reach are no backend's.
    /// Where the backends are a set, as one fork had them, so are the marks: of names, not of positions.
    /// What is as it should be is not written, so that nobody hears of it. Answers how many are marked dead now, and -1 where
    /// somebody keeps something else than a set there and a mark would have to be in it.
    static let mark = """
        local source = redis.call('TYPE', KEYS[1]).ok
        local kind = redis.call('TYPE', KEYS[2]).ok
        local isOther = kind ~= 'set' and kind ~= 'none'
        local list = {}
        if source == 'list' then list = redis.call('LRANGE', KEYS[1], 1, -1) end
        if source == 'set' then list = redis.call('SMEMBERS', KEYS[1]) end
        local says = {}
        for i = 6, #ARGV, 2 do says[ARGV[i]] = ARGV[i + 1] end
        local dead = 0
        local renews = ARGV[5] == '1'
        for i, url in ipairs(list) do
          local word = says[url]
          local member = i - 1
          if source == 'set' then member = url end
          if word == '1' and #list >= tonumber(ARGV[2]) then
            if isOther then return -1 end
            if redis.call('SADD', KEYS[2], member) == 1 then
              renews = true
              if ARGV[3] ~= '' then
                redis.call('PUBLISH', ARGV[3], ARGV[4]..';'..url..';'..(i - 1)..';'..#list)
              end
            end
            dead = dead + 1
          elseif word and not isOther then
            redis.call('SREM', KEYS[2], member)
          end
        end
        if kind == 'set' and source ~= 'set' then
          for _, member in ipairs(redis.call('SMEMBERS', KEYS[2])) do
            local place = tonumber(member)
            if place and place >= #list then redis.call('SREM', KEYS[2], member) end
          end
        end
        if dead > 0 and renews then redis.call('EXPIRE', KEYS[2], ARGV[1]) end
        return dead
        """

    static let readRights = "+type +lrange +smembers +hgetall on the keys, and +eval"
    static let markRights =
        "+type +lrange +smembers +sadd +srem +expire +publish, on the keys and on &dead"

    /// Of a script Redis does not say which right its user lacks.
    static func explained(_ text: String, needing rights: String) -> String {
        text.contains("The user executing the script") ? "\(text) It needs \(rights)" : text
    }

    /// Gives back the locks that are ours. KEYS: their hash. ARGV: how ours begin; then each backend.
    static let release = """
        for i = 2, #ARGV do
          local held = redis.call('HGET', KEYS[1], ARGV[i])
          if held and held:sub(1, #ARGV[1]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
        end
        return 0
        """
}

/// The parts of what `read` answers for one key.
enum ForeignValue {
    /// The names and values of a hash.
    static func fields(_ bytes: [UInt8]) -> [String: String] {
        let parts = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        var fields: [String: String] = [:]
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            fields[parts[index]] = parts[index + 1]
        }
        return fields
    }
}

/// What a proxy or a checker says on the channel of the dead.
public struct DeadReport: Hashable, Sendable {
    public var frontend: String
    public var backend: String
    public var index: Int
    /// How many backends its list has.
    public var count: Int

    /// `<frontend>;<backend>;<index>;<count>`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false)
        guard parts.count == 4, !parts[0].isEmpty, !parts[1].isEmpty, let index = Int(parts[2]),
            let count = Int(parts[3].prefix { $0.isNumber })
        else { return nil }
        frontend = String(parts[0])
        backend = String(parts[1])
        self.index = index
        self.count = count
    }
}
