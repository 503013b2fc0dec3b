// Which bytes does a setting mean? Text with C's escapes, or hexadecimal digits.

import Vocabulary

extension Setting {
    /// Text in which `\r \n \t \0 \\ \" \xHH` stand for bytes.
    func escapedBytes(at path: String) throws(SettingError) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = try string(at: path).utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "0"): bytes.append(0x00)
            case UInt8(ascii: "\\"): bytes.append(0x5C)
            case UInt8(ascii: "\""): bytes.append(0x22)
            case UInt8(ascii: "x"):
                guard let value = Self.hexByte(&rest) else {
                    throw expected("two hexadecimal digits after \\x", at: path)
                }
                bytes.append(value)
            default: throw expected("an escape of \\r \\n \\t \\0 \\\\ \\\" \\xHH", at: path)
            }
        }
        return bytes
    }

    /// `48 65 6c6c 6f`: digits in pairs, blanks between pairs where they help.
    func hexBytes(at path: String) throws(SettingError) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = try string(at: path).utf8[...]
        while let byte = rest.first {
            if byte == UInt8(ascii: " ") {
                rest.removeFirst()
                continue
            }
            guard let value = Self.hexByte(&rest) else {
                throw expected("pairs of hexadecimal digits", at: path)
            }
            bytes.append(value)
        }
        return bytes
    }

    private static func hexByte(_ rest: inout Substring.UTF8View) -> UInt8? {
        guard let high = rest.popFirst().flatMap(hexValue),
            let low = rest.popFirst().flatMap(hexValue)
        else { return nil }
        return high << 4 | low
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
