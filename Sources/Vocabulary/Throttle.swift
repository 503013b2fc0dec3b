// How often is the same thing said? Once a minute for each kind of it, with the number of those that were
// left out: a store full of another program's data is one line, not a hundred thousand.

/// Counts what is told too often to be told each time. Pure.
public struct Throttle: Sendable {
    private var kinds: [String: (saidAt: Instant, notedAt: Instant, silent: Int)] = [:]
    private let every: Nanoseconds

    /// Kinds told apart; beyond this they share one.
    public static let kindsMax = 64

    public init(every: Nanoseconds = .seconds(60)) { self.every = every }

    /// How many of this kind nobody heard of since the last line, where the last of them was no longer ago than that; nil where nobody shall hear of this
    /// one either.
    public mutating func note(_ kind: String, at now: Instant) -> Int? {
        let kind = kinds[kind] != nil || kinds.count < Self.kindsMax ? kind : ""
        guard let last = kinds[kind] else {
            kinds[kind] = (now, now, 0)
            return 0
        }
        guard now - last.saidAt >= every else {
            kinds[kind]?.silent += 1
            kinds[kind]?.notedAt = now
            return nil
        }
        kinds[kind] = (now, now, 0)
        // It may have begun anew, and the others are of a time that is over.
        return now - last.notedAt < every ? last.silent : 0
    }
}
