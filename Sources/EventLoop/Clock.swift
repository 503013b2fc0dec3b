// What time is it? The only place that reads the kernel's clocks.

import Glibc
public import Vocabulary

public enum Clock {
    /// Monotonic: for timers and durations.
    public static func instant() -> Instant {
        Instant(nanoseconds: read(CLOCK_MONOTONIC))
    }

    /// For people and for other machines.
    public static func wall() -> WallTime {
        WallTime(milliseconds: read(CLOCK_REALTIME) / 1_000_000)
    }

    /// The same as finely as the kernel tells it: nanoseconds since 1970.
    public static func epoch() -> Int64 { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
