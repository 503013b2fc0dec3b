// Was the wall clock set? NTP, a person, or a machine that slept may move it by an hour or by years. The
// monotonic clock beside it tells by how much, so that whoever keeps times for a while can move them
// along: durations go on as if nothing had happened.

/// Compares both clocks from one moment to the next. Pure.
public struct ClockWatch: Hashable, Sendable {
    private var seen: Seen?

    private struct Seen: Hashable, Sendable {
        var instant: Instant
        var wall: WallTime
    }

    /// What the clocks may differ by without anybody having set one: both are not read at once, and a
    /// busy machine may stand still in between.
    public static let tolerance = Nanoseconds.milliseconds(250)

    public init() {}

    /// By how much the wall clock was set since the last moment; nil where it went on as it should.
    public mutating func step(at now: Moment) -> Nanoseconds? {
        defer { seen = Seen(instant: now.instant, wall: now.wall) }
        guard let seen else { return nil }
        let step = (now.wall - seen.wall) - (now.instant - seen.instant)
        return step > Self.tolerance || step < -Self.tolerance ? step : nil
    }
}
