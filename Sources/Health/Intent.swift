// What did the operator ask of a peer? A mode and a weight, each asked for by itself and ending by
// itself: neither a drain nor its end may change the weight somebody set.

public import Vocabulary

/// What the operator asked for, apart from what checks observe.
public struct Intent: Hashable, Sendable {
    public enum Mode: String, Sendable, CaseIterable { case ready, drain, maint }

    /// Nil where only a weight was asked for: then the configuration says what holds.
    public var mode: Mode?
    /// Why the mode.
    public var reason: String
    /// The mode ends by itself then; nil lasts until it is lifted.
    public var until: WallTime?
    /// Replaces the configured weight.
    public var weight: Int?
    /// Why the weight.
    public var weightReason: String
    /// The weight ends by itself then.
    public var weightUntil: WallTime?
    /// Who asked for the mode, as they said themselves; empty where nobody said.
    public var by: String
    /// Who asked for the weight.
    public var weightBy: String

    public init(
        mode: Mode? = nil,
        reason: String = "",
        until: WallTime? = nil,
        weight: Int? = nil,
        weightReason: String = "",
        weightUntil: WallTime? = nil,
        by: String = "",
        weightBy: String = ""
    ) {
        self.mode = mode
        self.reason = reason
        self.until = until
        self.weight = weight
        self.weightReason = weightReason
        self.weightUntil = weightUntil
        self.by = by
        self.weightBy = weightBy
    }

    /// What has not ended; nil when that is nothing.
    public func current(at now: WallTime) -> Intent? {
        var left = self
        if let until, until <= now { left.take(IntentChange.Mode(nil)) }
        if let weightUntil, weightUntil <= now { left.take(IntentChange.Weight(nil)) }
        return left.isEmpty ? nil : left
    }

    /// When a part of it ends next.
    func nextEnd(after now: WallTime) -> WallTime? {
        let ends = [mode == nil ? nil : until, weight == nil ? nil : weightUntil]
        return ends.compactMap { $0 }.filter { now < $0 }.min()
    }

    /// The same ends by a clock that shows `span` more.
    public func shifted(by span: Nanoseconds) -> Intent {
        var other = self
        other.until = until.map { $0 + span }
        other.weightUntil = weightUntil.map { $0 + span }
        return other
    }

    /// Asks for nothing.
    public var isEmpty: Bool { mode == nil && weight == nil }

    public mutating func take(_ change: IntentChange.Mode) {
        mode = change.mode
        reason = change.reason
        until = change.until
        by = change.by
    }

    public mutating func take(_ change: IntentChange.Weight) {
        weight = change.weight
        weightReason = change.reason
        weightUntil = change.until
        weightBy = change.by
    }
}

/// What shall be asked for otherwise. Only what is mentioned changes, so that two operators who want
/// different things at once both get them.
public struct IntentChange: Hashable, Sendable {
    /// Lifted where there is no mode; then there is neither a reason nor an end.
    public struct Mode: Hashable, Sendable {
        public let mode: Intent.Mode?
        public let reason: String
        public let until: WallTime?
        public let by: String

        public init(
            _ mode: Intent.Mode?,
            reason: String = "",
            until: WallTime? = nil,
            by: String = ""
        ) {
            self.mode = mode
            self.reason = mode == nil ? "" : reason
            self.until = mode == nil ? nil : until
            self.by = mode == nil ? "" : by
        }
    }

    /// Back to the configured weight where there is none.
    public struct Weight: Hashable, Sendable {
        public let weight: Int?
        public let reason: String
        public let until: WallTime?
        public let by: String

        public init(
            _ weight: Int?,
            reason: String = "",
            until: WallTime? = nil,
            by: String = ""
        ) {
            self.weight = weight
            self.reason = weight == nil ? "" : reason
            self.until = weight == nil ? nil : until
            self.by = weight == nil ? "" : by
        }
    }

    public var mode: Mode?
    public var weight: Weight?

    public init(mode: Mode? = nil, weight: Weight? = nil) {
        self.mode = mode
        self.weight = weight
    }

    /// The same ends by a clock that shows `span` more.
    public func shifted(by span: Nanoseconds) -> IntentChange {
        IntentChange(
            mode: mode.map {
                Mode($0.mode, reason: $0.reason, until: $0.until.map { $0 + span }, by: $0.by)
            },
            weight: weight.map {
                Weight(
                    $0.weight,
                    reason: $0.reason,
                    until: $0.until.map { $0 + span },
                    by: $0.by
                )
            }
        )
    }

    /// Everything as `intent` says; nil lifts all of it.
    public init(whole intent: Intent?) {
        mode = Mode(
            intent?.mode,
            reason: intent?.reason ?? "",
            until: intent?.until,
            by: intent?.by ?? ""
        )
        weight = Weight(
            intent?.weight,
            reason: intent?.weightReason ?? "",
            until: intent?.weightUntil,
            by: intent?.weightBy ?? ""
        )
    }
}
