// Did the client ask for what its peer switches to? A server must not switch to anything else (RFC 9110, section
// 7.8), and whoever believed it would read as one protocol what is another.

import HTTP1

enum OfferedProtocols {
    /// What `HeadRewriter` writes before the protocols that a client offers. No field of a client's can read so:
    /// its own `Connection` ends at this hop.
    private static let mark: StaticString = "\r\nConnection: Upgrade\r\nUpgrade: "

    /// Whether all that the answer names was offered in `request`, a rewritten request of which nothing is gone.
    static func cover(
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        of request: borrowing Buffer
    ) -> Bool {
        guard let base = request.base else { return false }
        let head = UnsafeBufferPointer(
            start: UnsafePointer(base + Int(request.start)),
            count: request.count
        )
        guard let offer = offer(in: head) else { return false }
        var isAny = false
        for index in 0..<fields.count where fields[index].known == .upgrade {
            let value = fields[index].value
            let named = UnsafeBufferPointer(start: bytes + value.lowerBound, count: value.count)
            for word in named.split(separator: UInt8(ascii: ",")) {
                let word = trimmed(word)
                if word.isEmpty { continue }
                isAny = true
                let offered = offer.split(separator: UInt8(ascii: ","))
                guard offered.contains(where: { isSame($0, word) }) else { return false }
            }
        }
        return isAny
    }

    private static func offer(
        in head: UnsafeBufferPointer<UInt8>
    ) -> Slice<UnsafeBufferPointer<UInt8>>? {
        let mark = UnsafeBufferPointer(start: mark.utf8Start, count: mark.utf8CodeUnitCount)
        var start = 0
        while start + mark.count <= head.count {
            if head[start] == mark[0], head[start..<start + mark.count].elementsEqual(mark) {
                let rest = head[(start + mark.count)...]
                return rest.prefix { $0 != UInt8(ascii: "\r") }
            }
            // The head ends here, and what comes is the client's.
            let four = head[start..<min(start + 4, head.count)]
            if four.elementsEqual("\r\n\r\n".utf8) { return nil }
            start += 1
        }
        return nil
    }

    private static func isSame(
        _ offered: Slice<UnsafeBufferPointer<UInt8>>,
        _ named: Slice<UnsafeBufferPointer<UInt8>>
    ) -> Bool {
        trimmed(offered).elementsEqual(named) { ASCII.lowercase($0) == ASCII.lowercase($1) }
    }

    private static func trimmed(
        _ word: Slice<UnsafeBufferPointer<UInt8>>
    ) -> Slice<UnsafeBufferPointer<UInt8>> {
        let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        let rest = word.drop(while: isBlank)
        guard let last = rest.lastIndex(where: { !isBlank($0) }) else { return rest.prefix(0) }
        return rest[...last]
    }
}
