// Are these bytes JSON, and which value? RFC 8259, strictly: what two parsers could read differently
// (a key given twice, half a surrogate pair, bytes that are no UTF-8) is refused.

/// What is wrong with a JSON text, and at which byte.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Counts from zero; the text's length where it ended too early.
    public var offset: Int
    public var expected: String
    public var saw: String

    public var description: String {
        "JSON at byte \(offset): expected \(expected), saw \(saw)"
    }
}

public struct JSONLimits: Hashable, Sendable {
    /// Arrays and objects within each other.
    public var depth: Int
    public var bytes: Int

    public init(depth: Int = 64, bytes: Int = 64 << 20) {
        self.depth = depth
        self.bytes = bytes
    }
}

extension JSON {
    public init(
        parsing bytes: [UInt8],
        limits: JSONLimits = JSONLimits()
    ) throws(JSONError) {
        var parser = JSONParser(bytes: bytes, limits: limits)
        self = try parser.parse()
    }

    public init(
        parsing text: String,
        limits: JSONLimits = JSONLimits()
    ) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }
}

private struct JSONParser {
    let bytes: [UInt8]
    let limits: JSONLimits
    var offset = 0
    var depth = 0

    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")

    mutating func parse() throws(JSONError) -> JSON {
        if bytes.count > limits.bytes {
            throw JSONError(
                offset: limits.bytes,
                expected: "at most \(limits.bytes) bytes",
                saw: "\(bytes.count)"
            )
        }
        skipSpace()
        let value = try value()
        skipSpace()
        if offset < bytes.count { throw error("the end") }
        return value
    }

    private mutating func value() throws(JSONError) -> JSON {
        switch peek {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"): return try number()
        case let byte? where Self.digits.contains(byte): return try number()
        default: throw error("a value")
        }
    }

    // MARK: Containers

    private mutating func object() throws(JSONError) -> JSON {
        try enter()
        var members: [JSON.Member] = []
        var keys: Set<String> = []
        if take(UInt8(ascii: "}")) { return leave(.object([])) }
        repeat {
            skipSpace()
            let start = offset
            guard peek == UInt8(ascii: "\"") else { throw error("a key in quotes") }
            let key = try string()
            if !keys.insert(key).inserted {
                throw JSONError(
                    offset: start,
                    expected: "each key once",
                    saw: "'\(Self.short(key))' again"
                )
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("':'") }
            skipSpace()
            members.append(JSON.Member(key, try value()))
            skipSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw error("',' or '}'") }
        return leave(.object(members))
    }

    private mutating func array() throws(JSONError) -> JSON {
        try enter()
        var items: [JSON] = []
        if take(UInt8(ascii: "]")) { return leave(.array([])) }
        repeat {
            skipSpace()
            items.append(try value())
            skipSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw error("',' or ']'") }
        return leave(.array(items))
    }

    private mutating func enter() throws(JSONError) {
        if depth == limits.depth { throw error("at most \(limits.depth) levels") }
        depth += 1
        offset += 1
        skipSpace()
    }

    private mutating func leave(_ value: JSON) -> JSON {
        depth -= 1
        return value
    }

    // MARK: Scalars

    private mutating func word(_ word: String, _ value: JSON) throws(JSONError) -> JSON {
        let end = offset + word.utf8.count
        guard end <= bytes.count, bytes[offset..<end].elementsEqual(word.utf8) else {
            throw error("'\(word)'")
        }
        offset = end
        return value
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = offset
        var isInteger = true
        _ = take(UInt8(ascii: "-"))
        // A leading zero stands alone: 007 is octal to some, seven to others.
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try digits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if isInteger, let integer = Int64(text) { return .integer(integer) }
        guard let number = Double(text), number.isFinite else {
            throw JSONError(
                offset: start,
                expected: "a number between -1.8e308 and 1.8e308",
                saw: Self.short(text)
            )
        }
        // Two that differ must not be the same to whoever compares them.
        let mantissa = text.utf8.prefix { $0 | 0x20 != UInt8(ascii: "e") }
        let isLong = mantissa.count { Self.digits.contains($0) } > Self.exactDigits
        return isLong ? .long(text) : .number(number)
    }

    /// So many decimal digits come out of a `Double` as they went in.
    private static let exactDigits = 15

    /// What was seen may be a megabyte.
    private static func short(_ text: String) -> String {
        let kept = text.unicodeScalars.prefix(40)
        return kept.endIndex == text.unicodeScalars.endIndex ? text : String(kept) + "…"
    }

    private mutating func digits() throws(JSONError) {
        let start = offset
        while let byte = peek, Self.digits.contains(byte) { offset += 1 }
        if offset == start { throw error("a digit") }
    }

    private mutating func string() throws(JSONError) -> String {
        let start = offset
        offset += 1
        var text: [UInt8] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw JSONError(offset: start, expected: "a text in UTF-8", saw: "other bytes")
                }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw error("an escaped control character")
            default:
                text.append(byte)
                offset += 1
            }
        }
        throw error("'\"'")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        offset += 1
        let plain: UInt8? =
            switch peek {
            case UInt8(ascii: "\""): UInt8(ascii: "\"")
            case UInt8(ascii: "\\"): UInt8(ascii: "\\")
            case UInt8(ascii: "/"): UInt8(ascii: "/")
            case UInt8(ascii: "b"): 0x08
            case UInt8(ascii: "f"): 0x0C
            case UInt8(ascii: "n"): 0x0A
            case UInt8(ascii: "r"): 0x0D
            case UInt8(ascii: "t"): 0x09
            default: nil
            }
        if let plain {
            offset += 1
            text.append(plain)
            return
        }
        guard take(UInt8(ascii: "u")) else { throw error("one of \"\\/bfnrtu") }
        let start = offset
        var code = UInt32(try hex())
        if (0xD800...0xDBFF).contains(code), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
            let low = UInt32(try hex())
            if (0xDC00...0xDFFF).contains(low) {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw JSONError(offset: start, expected: "a whole surrogate pair", saw: "half of one")
        }
        text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    private mutating func hex() throws(JSONError) -> UInt16 {
        var code: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits")
            }
            code = code << 4 | UInt16(digit)
            offset += 1
        }
        return code
    }

    // MARK: Bytes

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            offset += 1
        }
    }

    private func error(_ expected: String) -> JSONError {
        let saw =
            switch peek {
            case nil: "the end"
            case .some(let byte) where (0x21..<0x7F).contains(byte):
                "'\(Character(Unicode.Scalar(byte)))'"
            case .some(let byte): "byte \(byte)"
            }
        return JSONError(offset: offset, expected: expected, saw: saw)
    }
}
