// Who hears of events? Anything that wants to know of a descriptor or a timer is an event sink.

/// What happened to a descriptor.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: 0x001)
    public static let writable = Readiness(rawValue: 0x004)
    /// EPOLLERR.
    public static let failed = Readiness(rawValue: 0x008)
    /// EPOLLHUP: both directions are over.
    public static let hungUp = Readiness(rawValue: 0x010)
    /// EPOLLRDHUP: the other side will send no more. There may still be bytes to read.
    public static let readEnded = Readiness(rawValue: 0x2000)
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

    /// The timer set with `tag` is due.
    open func due(tag: Int) {}
}
