// What has come to the admin endpoint, and what was sent away? Counted by kind, for metrics that
// another thread reads.

import Synchronization

public struct FrontCounters: Hashable, Sendable {
    public var open = 0
    public var connections = 0
    public var requests = 0
    /// Closed to make room for a newcomer.
    public var displaced = 0
    /// Answered with 503, because everybody else was being served.
    public var full = 0
    /// Cut, because a request or the reading of an answer took too long.
    public var tooSlow = 0
    /// Answered with an error by the front itself.
    public var refused = 0
    public var failedHandshakes = 0
    /// How often the kernel had no descriptor for a client.
    public var withoutDescriptor = 0

    public init() {}
}

/// Counts on the front's loop, read anywhere.
public final class FrontTally: Sendable {
    private let counters = Mutex(FrontCounters())

    public init() {}

    public var now: FrontCounters { counters.withLock { $0 } }

    func count(_ body: (inout FrontCounters) -> Void) { counters.withLock { body(&$0) } }
}
