// What is a request's key, where a balancer hashes?

import HTTP1
import Health

enum RequestKey {
    /// Nil where the request has no such part.
    static func of(
        _ key: HashKey,
        _ client: borrowing ClientConnection,
        _ head: RequestHead,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>
    ) -> UInt64? {
        let path = bytes + head.pathRange.lowerBound
        let pathCount = Int(head.pathRange.count)
        let query = path + pathCount
        let queryCount = Int(head.targetRange.upperBound) - Int(head.pathRange.upperBound)
        switch key {
        case .ip: return client.addressHash
        case .path: return hash(path, pathCount)
        case .capture(let pattern): return capture(pattern, path, pathCount)
        case .query: return queryCount > 1 ? hash(query, queryCount) : nil
        case .parameter(let name):
            return queryCount > 1 ? parameter(name, query + 1, queryCount - 1) : nil
        case .header(let name):
            for index in 0..<fields.count {
                let field = fields[index]
                if Int(field.nameLength) == name.count, isSame(name, bytes + Int(field.nameStart)) {
                    return field.value.isEmpty
                        ? nil : hash(bytes + field.value.lowerBound, field.value.count)
                }
            }
            return nil
        case .cookie(let name):
            for index in 0..<fields.count {
                var scan = Cookies(fields[index])
                let value = name.withUnsafeBufferPointer { scan.next($0, bytes) }
                if let value, value.count > 0 { return hash(bytes + value.start, value.count) }
            }
            return nil
        }
    }

    /// What stands at the braces of `pattern`, in a path that begins with the segments before them and
    /// goes on with those after them.
    static func capture(
        _ pattern: [UInt8],
        _ path: UnsafePointer<UInt8>,
        _ count: Int
    ) -> UInt64? {
        let slash = UInt8(ascii: "/")
        var found: (start: Int, count: Int)?
        var place = 0
        var index = 0
        while index < pattern.count {
            if pattern[index] == UInt8(ascii: "{") {
                let start = place
                while place < count, path[place] != slash { place += 1 }
                if place == start { return nil }
                found = (start, place - start)
                while index < pattern.count, pattern[index] != slash { index += 1 }
            } else {
                guard place < count, path[place] == pattern[index] else { return nil }
                place += 1
                index += 1
            }
        }
        // Whole segments only, unless the pattern ends with a slash.
        guard place == count || path[place] == slash || pattern.last == slash else { return nil }
        return found.map { hash(path + $0.start, $0.count) }
    }

    /// The value of the first parameter of this name.
    static func parameter(
        _ name: [UInt8],
        _ query: UnsafePointer<UInt8>,
        _ count: Int
    ) -> UInt64? {
        var start = 0
        while start < count {
            var end = start
            while end < count, query[end] != UInt8(ascii: "&") { end += 1 }
            let value = start + name.count + 1
            if value < end, query[value - 1] == UInt8(ascii: "="),
                isEqual(name, query + start)
            {
                return hash(query + value, end - value)
            }
            start = end + 1
        }
        return nil
    }

    private static func isEqual(_ name: [UInt8], _ bytes: UnsafePointer<UInt8>) -> Bool {
        for index in name.indices where bytes[index] != name[index] { return false }
        return true
    }

    @inline(__always)
    private static func hash(_ start: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        hash(UnsafeBufferPointer(start: start, count: count))
    }

    /// Whether a request has the field that `key` names.
    static func isThere(
        _ key: HashKey,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>
    ) -> Bool {
        guard case .header(let name) = key else { return false }
        for index in 0..<fields.count {
            let field = fields[index]
            if Int(field.nameLength) == name.count, isSame(name, bytes + Int(field.nameStart)) {
                return !field.value.isEmpty
            }
        }
        return false
    }

    private static func isSame(_ lowercase: [UInt8], _ name: UnsafePointer<UInt8>) -> Bool {
        for index in lowercase.indices {
            if ASCII.lowercase(name[index]) != lowercase[index] { return false }
        }
        return true
    }

    static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash = StableHash.seed
        for byte in bytes { hash = StableHash.step(hash, byte) }
        return hash
    }
}

extension Method {
    /// Nobody notices when it is carried out twice.
    @inline(__always)
    var isHarmless: Bool { self == .get || self == .head || self == .options }
}
