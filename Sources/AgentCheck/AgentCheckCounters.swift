// What has the endpoint done so far? Numbers for `/metrics` and for tests.

public struct AgentCheckCounters: Hashable, Sendable {
    /// Accepted.
    public var connections = 0
    /// Of those, still open.
    public var open = 0
    /// Lines about known peers.
    public var answers = 0
    /// HTTP pages, whatever their status.
    public var pages = 0
    /// Questions about peers that are not defined.
    public var unknownPeers = 0
    /// Requests that could not have been meant for us.
    public var garbage = 0
    /// Clients that did not say what they wanted in time.
    public var timeouts = 0
    /// Connections closed to make room.
    public var dropped = 0

    public init() {}
}
