// What did the operator ask of a peer? A mode and a weight, each asked for by itself and ending by
// itself: neither a drain nor its end may change the weight somebody set.

public import Vocabulary

/// What the operator asked for, apart from what checks observe.
public struct Intent: Hashable, Sendable {
    public enum Mode: String, Sendable, CaseIterable { case ready, drain, maint }

    /// Nil where only a weight was asked for: then the configuration says what holds.
    public var mode: Mode?
    public var reason: String
    /// The mode ends by itself then; nil lasts until it is lifted.
    public var until: WallTime?
    /// Replaces the configured weight.
    public var weight: Int?
    /// The weight ends by itself then.
    public var weightUntil: WallTime?
    public var setAt: WallTime

    public init(
        mode: Mode? = nil,
        reason: String = "",
        until: WallTime? = nil,
        weight: Int? = nil,
        weightUntil: WallTime? = nil,
        setAt: WallTime
    ) {
        self.mode = mode
        self.reason = reason
        self.until = until
        self.weight = weight
        self.weightUntil = weightUntil
        self.setAt = setAt
    }

    /// What has not ended; nil when that is nothing.
    public func current(at now: WallTime) -> Intent? {
        var left = self
        if let until, until <= now {
            left.mode = nil
            left.reason = ""
            left.until = nil
        }
        if let weightUntil, weightUntil <= now {
            left.weight = nil
            left.weightUntil = nil
        }
        return left.isEmpty ? nil : left
    }

    /// When a part of it ends next.
    func nextEnd(after now: WallTime) -> WallTime? {
        let ends = [mode == nil ? nil : until, weight == nil ? nil : weightUntil]
        return ends.compactMap { $0 }.filter { now < $0 }.min()
    }

    /// Asks for nothing.
    public var isEmpty: Bool { mode == nil && weight == nil }
}
