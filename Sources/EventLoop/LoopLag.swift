// How long was a loop kept from what was due: by its own work, or by others on the same processor?
// Told by its timers, once a turn: the first one due knows how long it waited.

public import Vocabulary

public struct LoopLag: Hashable, Sendable {
    /// All waits above the allowance together. Only grows.
    public private(set) var total = Nanoseconds.zero
    public private(set) var longest = Nanoseconds.zero

    /// A shorter wait is how timers are, not a lag.
    @inlinable public static var allowance: Nanoseconds { Nanoseconds(10_000_000) }

    public init() {}

    /// The first timer of a turn was due so long ago; less than nothing when it is not due yet.
    @inline(__always)
    mutating func note(_ late: Nanoseconds) {
        guard late > Self.allowance else { return }
        total = total + late
        longest = max(longest, late)
    }
}
