// What is a request's key, where a balancer hashes?

import HTTP1
import Health

enum RequestKey {
    static func of(
        _ key: HashKey,
        _ client: borrowing ClientConnection,
        _ head: RequestHead,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>
    ) -> UInt64 {
        switch key {
        case .ip: return client.addressHash
        case .path:
            return hash(
                UnsafeBufferPointer(
                    start: bytes + head.pathRange.lowerBound,
                    count: Int(head.pathRange.count)
                )
            )
        case .header(let name):
            for index in 0..<fields.count {
                let field = fields[index]
                if Int(field.nameLength) == name.count, isSame(name, bytes + Int(field.nameStart)) {
                    return hash(
                        UnsafeBufferPointer(
                            start: bytes + field.value.lowerBound,
                            count: field.value.count
                        )
                    )
                }
            }
            return 0
        }
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
