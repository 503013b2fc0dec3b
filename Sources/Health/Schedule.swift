// When is the next probe? Regular probes sit on a beat that every agent computes alike from names
// and wall-clock time, so a taken-over probe keeps its beat and a thousand probes never burst.

public import Vocabulary

/// How often to probe.
public struct Schedule: Hashable, Sendable {
    public var interval: Nanoseconds
    /// While a change of status is pending.
    public var fastInterval: Nanoseconds
    /// While down.
    public var downInterval: Nanoseconds
    public var timeout: Nanoseconds

    public init(
        interval: Nanoseconds,
        fastInterval: Nanoseconds? = nil,
        downInterval: Nanoseconds? = nil,
        timeout: Nanoseconds
    ) {
        self.interval = interval
        self.fastInterval = fastInterval ?? interval
        self.downInterval = downInterval ?? interval
        self.timeout = timeout
    }

    /// The pause that the state of the count asks for.
    public func pause(for counter: HealthCounter) -> Nanoseconds {
        if counter.isInTransition { return fastInterval }
        return counter.status == .down ? downInterval : interval
    }

    /// How long a verdict may be relied on: until the probe after the next should have spoken.
    public func validity(for counter: HealthCounter) -> Nanoseconds {
        let pause = max(pause(for: counter), interval)
        return pause + pause + timeout + .seconds(1)
    }

    /// The longest of them, whatever the count.
    public var validityMax: Nanoseconds {
        max(interval, fastInterval, downInterval) * 2 + timeout + .seconds(1)
    }

    /// When to probe next, after a probe that began at `started` has ended at `now`.
    ///
    /// A quickened probe follows its predecessor directly; a regular one waits for its beat. A
    /// probe that overran its interval skips the beats it missed instead of catching up.
    public func next(
        after started: WallTime,
        now: WallTime,
        counter: HealthCounter,
        beat: Beat
    ) -> WallTime {
        let pause = pause(for: counter)
        if pause < interval { return max(started + pause, now) }
        return beat.next(after: max(started, now), every: pause)
    }
}

/// A place in every interval, fixed by who is probed and by what.
public struct Beat: Hashable, Sendable {
    private let hash: UInt64

    public init(monitor: String, peer: String) {
        var hash = StableHash()
        hash.combine(monitor)
        hash.combine(peer)
        hash.combine(UInt64(0))
        self.hash = hash.value
    }

    /// The first time after `time` that lies on the beat, or so long after it: where several look at one peer, each has
    /// a place of its own in the interval.
    public func next(
        after time: WallTime,
        every interval: Nanoseconds,
        offset: Nanoseconds = .zero
    ) -> WallTime {
        let step = max(interval.milliseconds, 1)
        let phase = (Int64(hash % UInt64(step)) + offset.milliseconds) % step
        let into = (time.milliseconds - phase) % step
        let since = into < 0 ? into + step : into
        return WallTime(milliseconds: time.milliseconds - since + step)
    }
}
