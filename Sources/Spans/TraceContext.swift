// Which trace does a request belong to, and who asked before us? What W3C Trace Context's `traceparent` says,
// read from bytes and written into bytes, without a copy.

/// A trace, by its sixteen bytes. Never all zeros.
public struct TraceID: BitwiseCopyable, Hashable, Sendable {
    public let high: UInt64
    public let low: UInt64

    /// Nil for the one that means none.
    public init?(high: UInt64, low: UInt64) {
        if high == 0, low == 0 { return nil }
        self.high = high
        self.low = low
    }

    public static func random(using dice: inout some RandomNumberGenerator) -> TraceID {
        while true {
            if let made = TraceID(high: dice.next(), low: dice.next()) { return made }
        }
    }
}

/// A span within its trace, by its eight bytes. Never all zeros.
public struct SpanID: BitwiseCopyable, Hashable, Sendable {
    public let value: UInt64

    /// Nil for the one that means none.
    public init?(_ value: UInt64) {
        if value == 0 { return nil }
        self.value = value
    }

    public static func random(using dice: inout some RandomNumberGenerator) -> SpanID {
        while true {
            if let made = SpanID(dice.next()) { return made }
        }
    }
}

extension TraceID: CustomStringConvertible {
    /// 32 digits in lower case, as in `traceparent`.
    public var description: String { Hex.text(high) + Hex.text(low) }
}

extension SpanID: CustomStringConvertible {
    /// 16 digits in lower case.
    public var description: String { Hex.text(value) }
}

/// What a `traceparent` says.
public struct TraceParent: BitwiseCopyable, Hashable, Sendable {
    public var trace: TraceID
    /// Who asked.
    public var parent: SpanID
    /// They record this trace.
    public var isSampled: Bool

    public init(trace: TraceID, parent: SpanID, isSampled: Bool) {
        self.trace = trace
        self.parent = parent
        self.isSampled = isSampled
    }

    /// Of the version that is written, and of the part of a later one that can be read.
    public static let length = 55
    private static let traceStart = 3
    private static let parentStart = 36
    private static let flagsStart = 53
    /// Where the id of the parent stands in what `write` writes.
    public static let parentOffset = parentStart

    /// Reads a value without blanks around it. Nil where it is none: then nobody may go by it (W3C Trace
    /// Context, section 3.2). A later version may say more behind the flags, and is read as far as this.
    public init?(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard bytes.count >= Self.length else { return nil }
        guard let version = Hex.number(bytes, at: 0, digits: 2), version != 0xFF,
            let high = Hex.number(bytes, at: Self.traceStart, digits: 16),
            let low = Hex.number(bytes, at: Self.traceStart + 16, digits: 16),
            let parent = Hex.number(bytes, at: Self.parentStart, digits: 16),
            let flags = Hex.number(bytes, at: Self.flagsStart, digits: 2)
        else { return nil }
        let dash = UInt8(ascii: "-")
        guard bytes[2] == dash, bytes[35] == dash, bytes[52] == dash else { return nil }
        if bytes.count > Self.length {
            guard version > 0, bytes[Self.length] == dash else { return nil }
        }
        guard let trace = TraceID(high: high, low: low), let parent = SpanID(parent) else {
            return nil
        }
        self.init(trace: trace, parent: parent, isSampled: flags & 1 != 0)
    }

    public init?(_ text: String) {
        var text = text
        guard let read = text.withUTF8({ TraceParent($0) }) else { return nil }
        self = read
    }

    /// Writes 55 bytes, of version 00, whatever version was read.
    public func write(to bytes: UnsafeMutablePointer<UInt8>) {
        let dash = UInt8(ascii: "-")
        (bytes[0], bytes[1], bytes[2]) = (48, 48, dash)
        Hex.write(trace.high, to: bytes + Self.traceStart)
        Hex.write(trace.low, to: bytes + Self.traceStart + 16)
        bytes[35] = dash
        Hex.write(parent.value, to: bytes + Self.parentStart)
        (bytes[52], bytes[53], bytes[54]) = (dash, 48, isSampled ? 49 : 48)
    }

    /// Sixteen digits, where the id of a parent stands.
    public static func write(parent: SpanID, to bytes: UnsafeMutablePointer<UInt8>) {
        Hex.write(parent.value, to: bytes)
    }
}

extension TraceParent: CustomStringConvertible {
    public var description: String { "00-\(trace)-\(parent)-\(isSampled ? "01" : "00")" }
}

/// Digits in lower case only, as this standard has them.
enum Hex {
    static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    static func write(_ number: UInt64, to bytes: UnsafeMutablePointer<UInt8>) {
        for place in 0..<16 {
            bytes[place] = digit(UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * place)) & 15)
        }
    }

    static func text(_ number: UInt64) -> String {
        String(unsafeUninitializedCapacity: 16) { room in
            if let start = room.baseAddress { write(number, to: start) }
            return 16
        }
    }

    /// Nil where one of them is no digit.
    static func number(
        _ bytes: UnsafeBufferPointer<UInt8>,
        at start: Int,
        digits: Int
    ) -> UInt64? {
        var number: UInt64 = 0
        for place in start..<start + digits {
            let value: UInt8
            switch bytes[place] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = bytes[place] - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = bytes[place] - UInt8(ascii: "a") + 10
            default: return nil
            }
            number = number << 4 | UInt64(value)
        }
        return number
    }
}
