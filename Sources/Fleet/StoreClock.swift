// What time is it at the store? All agents place their probes on its clock, so that a pair keeps its beat
// when it changes hands. Each answer of the store carries its time; between two answers, and without a
// store, the monotonic clock of this machine goes on from there.
//
// An answer that was sent at `a` and came at `b` with the time `s` says: at some moment between, it was
// `s`. So the offset lies in a range as wide as the round trip. The clock is moved only as far as such a
// range demands, and by one hundredth of the time that passes: no slot is jumped over or met twice. Where it
// is off by more than a second somebody has set the clock of the store: all agents follow at once, because
// claims and slots that are seconds apart would be worse than one slot that comes early.

public import Vocabulary

public struct StoreClock: Hashable, Sendable {
    /// What is added to the monotonic clock, and to what that is on its way.
    private var offset: Nanoseconds
    private var target: Nanoseconds
    private var slewedAt: Instant
    public private(set) var isSet = false

    /// One part in this many is the most by which the clock runs faster or slower.
    static let slew: Int64 = 100
    /// What is further off is not slewed.
    public static let stepFrom = Nanoseconds.seconds(1)

    /// Without any answer it is this machine's own time of day.
    public init(at now: Moment) {
        offset = Nanoseconds(now.wall.milliseconds * 1_000_000) - Self.span(now.instant)
        target = offset
        slewedAt = now.instant
    }

    /// The first answer, and the first of another era, set the clock at once: `anew`.
    public mutating func take(
        store: WallTime,
        sent: Instant,
        received: Instant,
        anew: Bool = false
    ) {
        let time = Nanoseconds.milliseconds(store.milliseconds)
        let first = time - Self.span(received)
        // The store cuts off what is less than a millisecond.
        let last = time - Self.span(sent) + .milliseconds(1)
        guard received >= sent, first <= last else { return }
        offset = offset(at: received)
        slewedAt = max(slewedAt, received)
        let gap = max(first - offset, offset - last)
        if !isSet || anew || gap > Self.stepFrom {
            offset = Nanoseconds(first.count + (last - first).count / 2)
            target = offset
            isSet = true
        } else {
            target = min(max(target, first), last)
        }
    }

    public func now(at instant: Instant) -> WallTime {
        WallTime(milliseconds: (Self.span(instant) + offset(at: instant)).milliseconds)
    }

    /// When this machine's monotonic clock shows that it is `time` at the store.
    public func instant(of time: WallTime, from now: Instant) -> Instant {
        let missing = Nanoseconds.milliseconds(time.milliseconds) - Self.span(now) - offset(at: now)
        return now + missing
    }

    private func offset(at instant: Instant) -> Nanoseconds {
        let elapsed = max(instant - slewedAt, .zero)
        let most = Nanoseconds(elapsed.count / Self.slew)
        return offset + min(max(target - offset, .zero - most), most)
    }

    private static func span(_ instant: Instant) -> Nanoseconds { Nanoseconds(instant.nanoseconds) }
}
