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
    /// Down or in maintenance: the upstream's `on-down` decides what becomes of its connections. A
    /// peer that drains, or weighs nothing, keeps them.
    var isDown: Bool
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

extension RoutingSnapshot {
    /// What one worker gets of it. A TCP port can be shared by all; a path belongs to one socket,
    /// so the first worker listens there for all.
    func part(of worker: Int) -> RoutingSnapshot {
        if worker == 0 { return self }
        var part = self
        part.listeners.removeAll { if case .unix = $0.bind { true } else { false } }
        return part
    }
}
