// What does the control plane tell a worker? The whole picture when its structure changes, and one
// peer at a time when only that peer does. Both are values that travel by mailbox.

import EventLoop
import Health
import Vocabulary

/// One peer as a worker needs it.
struct PeerSnapshot: Equatable, Sendable {
    var id: String
    /// Where to connect; nil while its name has not been resolved.
    var address: SocketAddress?
    /// Hundredths of the weight unit, after agent weight and slow start.
    var centiweight: Int
    var isAvailable: Bool
    /// Not in maint or drain: may be used when the upstream fails open.
    var isEligibleInPanic: Bool
    var isBackup: Bool
    var maxConnections: Int?
}

/// One upstream as a worker needs it.
struct UpstreamSnapshot: Sendable {
    var name: String
    var balance: BalanceDefinition
    var isPanic: Bool
    var onDown: UpstreamDefinition.OnDown?
    var peers: [PeerSnapshot]
}

/// Everything a worker routes by.
struct RoutingSnapshot: Sendable {
    var upstreams: [UpstreamSnapshot]
    var listeners: [ListenerConfiguration]
}
