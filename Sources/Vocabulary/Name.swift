// What may be called how? Names and ids of monitors stand in URLs, in agent lines, in Redis fields
// and in logs: nothing in them may need quotes or escapes there.

public enum Name {
    public static let bytesMax = 128

    /// Nil where `text` is a name.
    public static func problem(in text: String) -> String? {
        guard isName(text, atMost: bytesMax) else {
            return "expected a name of 1 to \(bytesMax) letters, digits, '.', '_' or '-', "
                + "saw '\(text)'"
        }
        return nil
    }

    public static func isName(_ text: String, atMost most: Int) -> Bool {
        (1...most).contains(text.utf8.count) && text.utf8.allSatisfy(isNameByte)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
