// Is this one traced? Who asked before us has decided, where somebody has; else a share of all is.

/// Decides of a trace as a whole: whoever takes part in one that is recorded records its part.
public struct Sampler: Hashable, Sendable {
    /// Of a hundred requests one.
    public static let usualShare = 0.01

    /// From 0 to 1.
    public let share: Double
    /// Draws below it are taken.
    private let bound: UInt64
    private let takesAll: Bool

    public init(share: Double) {
        let share = min(max(share, 0), 1)
        self.share = share
        takesAll = share == 1
        bound = takesAll ? .max : UInt64(share * 0x1p64)
    }

    @inline(__always)
    public func takes(
        _ parent: TraceParent?,
        using dice: inout some RandomNumberGenerator
    ) -> Bool {
        if let parent { return parent.isSampled }
        return takesAll || bound > 0 && dice.next() < bound
    }
}
