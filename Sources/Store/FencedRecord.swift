// Which of two words about one thing holds? That of the greater (epoch, sequence). An agent that takes a
// thing over speaks with the next epoch, so whoever was stopped and continued cannot overwrite its
// successor. It expires unless it is said again, so what was taken away needs no tombstone: a word of
// somebody who had not heard of that is a word about a thing that nobody defines, and ends by itself.

public import Vocabulary

/// Said by one agent at a time, and again before it expires.
public protocol FencedRecord: Record, StoreChange {
    var key: Key { get }
    var agent: String { get }
    var epoch: UInt64 { get }
    var sequence: UInt64 { get }
    var checkedAt: WallTime { get }
    var expiresAt: WallTime { get set }
    /// Whoever says it found it so. Otherwise it ends when whoever did said, and nobody makes it hold for longer.
    var isFound: Bool { get }

    func isNewer(than other: Self) -> Bool
    /// False where the two say something of different things that have one name: then neither is in the
    /// other's way.
    func isAboutTheSame(as other: Self) -> Bool
    /// Says the same as `other`, only later: nobody needs to be woken for it.
    func renews(_ other: Self) -> Bool
    /// Whatever is read stands above it.
    mutating func loseOrder()
    /// Said again without a change.
    mutating func renew(at time: WallTime, for life: Nanoseconds)
    /// The same by a clock that shows `step` more.
    mutating func shift(by step: Nanoseconds)
}

extension FencedRecord {
    public var isFound: Bool { true }

    public mutating func loseOrder() {}

    public mutating func renew(at time: WallTime, for life: Nanoseconds) {}

    public func isAboutTheSame(as other: Self) -> Bool { true }

    public mutating func merge(_ other: Self) {
        if !isNewer(than: other) { self = other }
    }

    public func isOver(at now: WallTime, keeping retention: Nanoseconds) -> Bool {
        // Expired or not, a count goes on from it: it is kept where what was asked for is not.
        expiresAt + max(retention, Retention.span) < now
    }

    public var isTombstone: Bool { false }
    public var lastStamp: WallTime { checkedAt }
    public var stampSum: UInt64 { 0 }

    public static func change(
        _ record: Self?,
        of key: Key,
        later span: Nanoseconds
    ) -> (any StoreChange)? { record }
}
