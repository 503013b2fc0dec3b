// Who hears of events? Anything that wants to know of a descriptor or a timer is an event sink.

/// What happened to a descriptor. The constants are computed: a stored one of another module would
/// be a call for each event.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable public static var readable: Readiness { Readiness(rawValue: 0x001) }
    @inlinable public static var writable: Readiness { Readiness(rawValue: 0x004) }
    /// EPOLLERR.
    @inlinable public static var failed: Readiness { Readiness(rawValue: 0x008) }
    /// EPOLLHUP: both directions are over.
    @inlinable public static var hungUp: Readiness { Readiness(rawValue: 0x010) }
    /// EPOLLRDHUP: the other side will send no more. There may still be bytes to read.
    @inlinable public static var readEnded: Readiness { Readiness(rawValue: 0x2000) }
}

/// Hears of descriptors and timers, on the loop's thread.
///
/// A class rather than a closure a descriptor: one sink serves any number of descriptors, told
/// apart by the tag it chose for each, so a data plane with 10,000 connections is one object and no
/// event allocates or counts a reference. The loop does not retain sinks: a sink outlives what it
/// registered, or deregisters it.
open class EventSink {
    public init() {}

    /// The descriptor registered with `tag` became ready. Edge-triggered: what is not drained now
    /// is not reported again.
    open func ready(_ readiness: Readiness, tag: Int) {}

    /// The same event, while others wait in front of it: somebody has called `EventLoop.askAgain`.
    open func foretold(_ readiness: Readiness, tag: Int) {}

    /// The timer set with `tag` is due.
    open func due(tag: Int) {}
}
