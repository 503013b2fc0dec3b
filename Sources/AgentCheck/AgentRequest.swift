// What does a client want? A peer's line, named in the first line it sends; or the same over HTTP.
// Pure, and indifferent to how the bytes are split.

import Vocabulary

enum AgentRequest: Hashable {
    /// More may come. `isHTTP`: it begins like HTTP, so a pause does not end it.
    case incomplete(isHTTP: Bool)
    /// `upstream/peer`, trimmed. May name nobody.
    case peer(name: String)
    /// A page of the same endpoint, without its query.
    case page(path: String, isHead: Bool)
    case garbage

    /// A whole request fits, with the headers of an ordinary checker.
    static let bytesMax = 1_024

    private static let methods = ["GET ", "HEAD "]

    /// `isEnded`: nothing more will come, so that what is here is all.
    init(_ bytes: Span<UInt8>, isEnded: Bool) {
        let begins = Self.methods.contains { Self.agrees(bytes, with: $0) }
        if begins, bytes.count >= "GET ".utf8.count {
            self = Self.page(bytes, isEnded: isEnded)
            return
        }
        var end = 0
        while end < bytes.count, bytes[end] != 0x0A {
            // A tab and the CR of CRLF are all that a line may hold of these.
            let byte = bytes[end]
            if byte < 0x20, byte != 0x09, byte != 0x0D {
                self = .garbage
                return
            }
            end += 1
        }
        let isWhole = end < bytes.count || isEnded
        if !isWhole {
            self = bytes.count >= Self.bytesMax ? .garbage : .incomplete(isHTTP: begins)
            return
        }
        self = .peer(name: Self.trimmed(bytes, 0..<end))
    }

    /// What a line without its line feed names, if the client meant it as it is.
    static func unfinishedName(_ bytes: Span<UInt8>) -> String { trimmed(bytes, 0..<bytes.count) }

    private static func page(_ bytes: Span<UInt8>, isEnded: Bool) -> AgentRequest {
        guard isEnded || bytes.count >= bytesMax || endsHead(bytes) else {
            return .incomplete(isHTTP: true)
        }
        var words: [String] = []
        var start = 0
        var index = 0
        while index < bytes.count, bytes[index] != 0x0A, words.count < 2 {
            if bytes[index] == 0x20 {
                words.append(trimmed(bytes, start..<index))
                start = index + 1
            }
            index += 1
        }
        if words.count < 2 { words.append(trimmed(bytes, start..<index)) }
        guard words.count == 2, let path = decoded(words[1]) else { return .garbage }
        return .page(path: path, isHead: words[0] == "HEAD")
    }

    /// An empty line ends the head.
    private static func endsHead(_ bytes: Span<UInt8>) -> Bool {
        var isEmpty = false
        for index in 0..<bytes.count {
            switch bytes[index] {
            case 0x0A:
                if isEmpty { return true }
                isEmpty = true
            case 0x0D: break
            default: isEmpty = false
            }
        }
        return false
    }

    /// One is the beginning of the other.
    private static func agrees(_ bytes: Span<UInt8>, with word: String) -> Bool {
        var index = 0
        for byte in word.utf8 {
            if index == bytes.count { return true }
            if bytes[index] != byte { return false }
            index += 1
        }
        return true
    }

    private static func trimmed(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high, isBlank(bytes[low]) { low += 1 }
        while low < high, isBlank(bytes[high - 1]) { high -= 1 }
        return bytes.extracting(low..<high).withUnsafeBufferPointer {
            String(decoding: $0, as: UTF8.self)
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0D
    }

    /// The path, without the query, and with `%41` as `A`. Nil where that cannot be text.
    private static func decoded(_ target: String) -> String? {
        var target = target[...]
        // The absolute form, which every server has to accept: RFC 9112, section 3.2.2.
        if let scheme = ["http://", "https://"].first(where: target.lowercased().hasPrefix) {
            target = target.dropFirst(scheme.count).drop { $0 != "/" }
        }
        return Substring(target.utf8.prefix { $0 != UInt8(ascii: "?") }).percentDecoded
    }
}
