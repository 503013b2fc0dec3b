// How are optional numbers kept where there are ten thousand of them? Beside their value an optional
// takes a byte of its own, and with it eight more of what surrounds it. A value that means none costs
// nothing.

/// A number that is small, or none, in four bytes. What four bytes do not hold is brought into them.
public struct PackedCount: Hashable, Sendable {
    private var stored: Int32

    public init(_ value: Int? = nil) {
        stored = value.map { max(Int32(clamping: $0), -.max) } ?? .min
    }

    public var value: Int? { stored == .min ? nil : Int(stored) }
}

/// A time, or none, in eight bytes.
public struct PackedTime: Hashable, Sendable {
    private var stored: Int64

    public init(_ time: WallTime? = nil) {
        stored = time.map { max($0.milliseconds, -.max) } ?? .min
    }

    public var value: WallTime? { stored == .min ? nil : WallTime(milliseconds: stored) }
}
