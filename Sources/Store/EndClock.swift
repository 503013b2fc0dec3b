// By which clock does what was asked for until some time of day end? An end is told by the clock of whoever
// asked. It ends by the clock of each machine itself, which goes on as if nobody had touched it: neither who sets
// the clock of the store nor who sets this one ends a drain with it. The store's clock orders what is asked
// for, and is a witness here and no more: a clock that was set to a time much nearer to the store's than the time
// before is one that was wrong, and is right now.

import Vocabulary

/// Pure.
struct EndClock: Sendable {
    /// It has shown the time of these ends since then.
    private var base: Moment
    /// By so much the clock on the wall shows more; nothing where that is less than anybody asks for.
    private(set) var shift = Nanoseconds.zero

    private static let tolerance = Nanoseconds.seconds(1)
    /// The store's clock may be off as well: only one that comes so many times nearer to it is followed.
    private static let nearer: Int64 = 2

    init(at now: Moment) { base = now }

    func now(at instant: Instant) -> WallTime { base.wall + (instant - base.instant) }

    /// `store` is what the store's clock shows, where that is known. Answers whether ends have to be told again to
    /// whoever goes by the clock on the wall.
    mutating func follow(_ now: Moment, store: WallTime?) -> Bool {
        let time = self.now(at: now.instant)
        let before = shift
        shift = now.wall - time
        let isWallRight = store.map { store in
            Self.distance(now.wall, store).count <= Self.distance(time, store).count / Self.nearer
        }
        if Self.distance(now.wall, time) < Self.tolerance || isWallRight == true {
            base = now
            shift = .zero
        }
        let change = shift - before
        return change >= Self.tolerance || change <= -Self.tolerance
    }

    private static func distance(_ one: WallTime, _ other: WallTime) -> Nanoseconds {
        one > other ? one - other : other - one
    }
}
