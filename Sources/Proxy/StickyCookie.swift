// How does a cookie say which peer serves a client, and what does the client get to keep?

import HTTP1
import Health

/// The cookie of one upstream, as bytes that are ready to be written. A value is sixteen digits: a hash
/// of upstream and peer, in which no address can be read.
struct StickyCookie {
    private let name: UnsafeMutableBufferPointer<UInt8>
    /// `Set-Cookie: NAME=`, and what comes after the value.
    private let head: UnsafeMutableBufferPointer<UInt8>
    private let tail: UnsafeMutableBufferPointer<UInt8>

    static let digits = 16

    init(_ definition: StickyDefinition, isTLS: Bool = false) {
        let sameSite =
            switch definition.sameSite {
            case .lax: "Lax"
            case .strict: "Strict"
            case .none: "None"
            }
        let isSecure = definition.secure == .always || (definition.secure == .auto && isTLS)
        let tail = "; Path=/; HttpOnly; SameSite=\(sameSite)\(isSecure ? "; Secure" : "")\r\n"
        name = Self.copy(definition.cookie)
        head = Self.copy("Set-Cookie: \(definition.cookie)=")
        self.tail = Self.copy(tail)
    }

    func destroy() {
        name.deallocate()
        head.deallocate()
        tail.deallocate()
    }

    private static func copy(_ text: String) -> UnsafeMutableBufferPointer<UInt8> {
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.utf8.count)
        _ = copy.initialize(from: text.utf8)
        return copy
    }

    /// The peer of `upstream` that a request's cookie names, or -1. Values that name nobody are passed
    /// over: of several the first that names somebody counts.
    func peer(
        in pool: borrowing PeerPool,
        _ upstream: Int32,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>
    ) -> Int32 {
        var index = 0
        var peer: Int32 = -1
        while index < fields.count, peer < 0 {
            var scan = Cookies(fields[index])
            while peer < 0, let value = scan.next(UnsafeBufferPointer(name), bytes) {
                guard value.count == Self.digits, let token = Self.token(bytes + value.start)
                else { continue }
                peer = pool.peer(of: upstream, token: token)
            }
            index &+= 1
        }
        return peer
    }

    private static func token(_ digits: UnsafePointer<UInt8>) -> UInt64? {
        var token: UInt64 = 0
        for index in 0..<Self.digits {
            let digit: UInt8
            switch digits[index] {
            case let byte where byte &- 0x30 < 10: digit = byte &- 0x30
            case let byte where byte &- 0x61 < 6: digit = byte &- 0x61 &+ 10
            default: return nil
            }
            token = token << 4 | UInt64(digit)
        }
        return token
    }

    /// Adds the field to a head that ends with its empty line.
    func add(_ token: UInt64, to output: inout Buffer) {
        output.end &-= 2
        if let start = head.baseAddress { output.append(start, head.count) }
        for digit in 0..<Self.digits {
            let value = UInt8(truncatingIfNeeded: token >> UInt64(60 - 4 * digit)) & 0xF
            output.append(byte: value < 10 ? 0x30 &+ value : 0x61 &- 10 &+ value)
        }
        if let start = tail.baseAddress { output.append(start, tail.count) }
        output.append("\r\n")
    }
}
