// What does a Redis server answer? One reply of RESP 2, read from bytes that may be cut anywhere.

import Vocabulary

/// A reply of the Redis protocol.
enum RESPReply: Hashable, Sendable {
    case status(String)
    case error(String)
    case integer(Int64)
    case bulk([UInt8])
    case null

    /// A bulk longer than this is not an answer to a probe: `INFO` has some 5 KiB.
    static let bulkBytesMax = 65_536
    /// A status, an error or a length.
    static let lineBytesMax = 1_024

    struct Malformed: Error, Equatable {
        var reason: String
    }

    /// The first reply in `bytes` and its length, or nil while its end has not come.
    static func parse(_ bytes: [UInt8]) throws(Malformed) -> (reply: RESPReply, length: Int)? {
        guard let kind = bytes.first else { return nil }
        guard "+-:$*".utf8.contains(kind) else {
            throw Malformed(reason: "expected one of + - : $, saw \(Excerpt.of(bytes))")
        }
        guard let end = bytes.firstIndex(of: 0x0D), end + 1 < bytes.count else {
            // The longest line may be here but for its LF.
            guard bytes.count <= lineBytesMax + 1 else {
                throw Malformed(reason: "expected a line of at most \(lineBytesMax) bytes")
            }
            return nil
        }
        guard bytes[end + 1] == 0x0A, end <= lineBytesMax else {
            throw Malformed(reason: "expected CR LF after at most \(lineBytesMax) bytes")
        }
        let line = String(decoding: bytes[1..<end], as: UTF8.self)
        let length = end + 2
        switch kind {
        case UInt8(ascii: "+"): return (.status(line), length)
        case UInt8(ascii: "-"): return (.error(line), length)
        case UInt8(ascii: ":"):
            guard let number = Int64(line) else {
                throw Malformed(reason: "expected a number, saw '\(line)'")
            }
            return (.integer(number), length)
        case UInt8(ascii: "$"): return try bulk(line, in: bytes, from: length)
        default: throw Malformed(reason: "expected one value, saw a list")
        }
    }

    private static func bulk(
        _ line: String,
        in bytes: [UInt8],
        from start: Int
    ) throws(Malformed) -> (reply: RESPReply, length: Int)? {
        guard let count = Int(line), (-1...bulkBytesMax).contains(count) else {
            throw Malformed(reason: "expected a length up to \(bulkBytesMax), saw '\(line)'")
        }
        if count < 0 { return (.null, start) }
        guard bytes.count >= start + count + 2 else { return nil }
        guard bytes[start + count] == 0x0D, bytes[start + count + 1] == 0x0A else {
            throw Malformed(reason: "expected CR LF after \(count) bytes")
        }
        return (.bulk(Array(bytes[start..<start + count])), start + count + 2)
    }

    /// A command as an array of bulks, which every server takes.
    static func encode(_ words: [String]) -> [UInt8] {
        var bytes = Array("*\(words.count)\r\n".utf8)
        for word in words {
            bytes += Array("$\(word.utf8.count)\r\n".utf8) + Array(word.utf8) + [0x0D, 0x0A]
        }
        return bytes
    }
}

extension RESPReply: CustomStringConvertible {
    var description: String {
        switch self {
        case .status(let text), .error(let text): Excerpt.of(text.utf8)
        case .integer(let number): "\(number)"
        case .bulk(let bytes): Excerpt.of(bytes)
        case .null: "nothing"
        }
    }
}
