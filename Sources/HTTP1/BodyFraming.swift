/// How does the recipient know where the body ends? (RFC 9112 6.3)
public enum BodyFraming: Equatable, Sendable, BitwiseCopyable {
    /// There is no body, whatever the fields say.
    case none
    /// Exactly so many bytes follow; at most 2^63 - 1.
    case length(UInt64)
    /// `ChunkedDecoder` finds the end.
    case chunked
    /// The sender closes the connection after it. Only a response can end this way.
    case untilClose
}

/// A part of the bytes that were parsed, half the size of a `Range<Int>`.
public struct ByteRange: Equatable, Sendable, BitwiseCopyable {
    public let start: UInt32
    public let count: UInt32

    @inline(__always)
    init(_ start: Int, _ end: Int) {
        assert(start <= end)
        self.start = UInt32(truncatingIfNeeded: start)
        self.count = UInt32(truncatingIfNeeded: end &- start)
    }

    @inlinable
    public var isEmpty: Bool { count == 0 }

    @inlinable
    public var lowerBound: Int { Int(start) }

    @inlinable
    public var upperBound: Int { Int(start) &+ Int(count) }

    @inlinable
    public var range: Range<Int> { unsafe Range(uncheckedBounds: (lowerBound, upperBound)) }

    static var empty: ByteRange { ByteRange(0, 0) }
}
