// What is a request's key, where a balancer hashes?

import HTTP1

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

    private static func isSame(_ lowercase: [UInt8], _ name: UnsafePointer<UInt8>) -> Bool {
        for index in lowercase.indices {
            let byte = name[index]
            let lower = byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
            if lower != lowercase[index] { return false }
        }
        return true
    }

    static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
