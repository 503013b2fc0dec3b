// How did a peer come to be configured? What the join of its layers needs to know of it, and no more.

public import Vocabulary

/// How a peer came to be configured: what the join needs to know of it.
public struct PeerPolicy: Hashable, Sendable {
    // There is one for every peer, so numbers are small and in an order that leaves no gaps.
    public var slowStart: Nanoseconds
    /// Monitors whose failure takes the peer down; a failure of any other only degrades it.
    public var requiredMonitors: Set<String>
    private var storedWeight: Int32
    /// Configured `down`: in maintenance until somebody says otherwise.
    public var isDisabled: Bool
    /// Its address is a name: without DNS there is nowhere to connect to.
    public var isNamed: Bool

    public init(
        weight: Int,
        slowStart: Nanoseconds = .zero,
        isDisabled: Bool = false,
        requiredMonitors: Set<String>,
        isNamed: Bool = false
    ) {
        storedWeight = Int32(clamping: weight)
        self.slowStart = slowStart
        self.isDisabled = isDisabled
        self.requiredMonitors = requiredMonitors
        self.isNamed = isNamed
    }

    public var weight: Int {
        get { Int(storedWeight) }
        set { storedWeight = Int32(clamping: newValue) }
    }
}
