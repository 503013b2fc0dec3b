// What is a JSON value? A tree that keeps the order of its members, for the state file, for Redis
// and for the API's bodies. `JSONParser` reads it and `JSONWriter` writes it.

public enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent that fits.
    case integer(Int64)
    case number(Double)
    /// A number of more digits than a `Double` keeps apart, as it was written.
    case long(String)
    case string(String)
    case array([JSON])
    case object([Member])

    public struct Member: Hashable, Sendable {
        public var key: String
        public var value: JSON

        public init(_ key: String, _ value: JSON) {
            self.key = key
            self.value = value
        }
    }
}

// MARK: Looking inside. Everything is nil where the value is of another type.

extension JSON {
    public subscript(key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    public subscript(index: Int) -> JSON? {
        guard case .array(let items) = self, items.indices.contains(index) else { return nil }
        return items[index]
    }

    public var isNull: Bool { self == .null }

    public var bool: Bool? {
        if case .bool(let bool) = self { return bool }
        return nil
    }

    /// Also of a number that has no fraction.
    public var integer: Int64? {
        switch self {
        case .integer(let integer): integer
        case .number(let number): Int64(exactly: number)
        case .long(let text): Double(text).flatMap { Int64(exactly: $0) }
        default: nil
        }
    }

    public var int: Int? { integer.flatMap { Int(exactly: $0) } }

    public var double: Double? {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        case .long(let text): Double(text)
        default: nil
        }
    }

    public var string: String? {
        if case .string(let string) = self { return string }
        return nil
    }

    public var items: [JSON]? {
        if case .array(let items) = self { return items }
        return nil
    }

    public var members: [Member]? {
        if case .object(let members) = self { return members }
        return nil
    }
}

// MARK: Making

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(elements.map { Member($0.0, $0.1) })
    }
    public init(nilLiteral: ()) { self = .null }

    public init(_ string: String) { self = .string(string) }
    public init(_ integer: Int) { self = .integer(Int64(integer)) }
    public init(_ number: Double) { self = .number(number) }

    /// Null where there is no text.
    public init(_ string: String?) { self = string.map { .string($0) } ?? .null }
    public init(_ integer: Int?) { self = integer.map { .integer(Int64($0)) } ?? .null }

    /// Without the members whose value is null.
    public func withoutNulls() -> JSON {
        guard case .object(let members) = self else { return self }
        return .object(members.filter { !$0.value.isNull })
    }
}
