// How does a message show bytes from the wire? Short, on one line, with escapes where they are not
// text.

public enum Excerpt {
    /// What a message keeps of a reply.
    public static let bytesMax = 64
    /// Of one letter in UTF-8.
    private static let letterBytesMax = 4

    /// Text from the wire that is expected to be text: anything else in it becomes a `?`.
    public static func text(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for byte in bytes.prefix(bytesMax) {
            text.unicodeScalars.append((0x20..<0x7F).contains(byte) ? Unicode.Scalar(byte) : "?")
        }
        return text
    }

    /// The same where letters of any language may stand. A letter that is cut is left out.
    public static func utf8(_ bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes.prefix(bytesMax))
        for lost in 0..<(bytes.count == bytesMax ? letterBytesMax : 1) {
            if let text = String(validating: bytes.dropLast(lost), as: UTF8.self) {
                return text.printable
            }
        }
        return text(bytes)
    }

    public static func of(_ bytes: some Sequence<UInt8>, max limit: Int = bytesMax) -> String {
        var text = ""
        var count = 0
        for byte in bytes {
            if count == limit { return "'\(text)'…" }
            count += 1
            switch byte {
            case UInt8(ascii: "\r"): text += "\\r"
            case UInt8(ascii: "\n"): text += "\\n"
            case UInt8(ascii: "\t"): text += "\\t"
            case UInt8(ascii: "\\"): text += "\\\\"
            case 0x20..<0x7F: text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16)
                text += "\\x" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return "'\(text)'"
    }
}
