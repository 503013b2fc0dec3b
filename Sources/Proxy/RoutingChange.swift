// What does the control plane tell a worker? What changed, by number, and nothing else: one peer is
// one message, however many there are. Values that travel by mailbox.

import EventLoop
import Health
import Vocabulary

/// One peer as a worker needs it.
struct PeerSnapshot: Equatable, Sendable {
    /// Hash of the peer's id, the same on every worker and every machine.
    var identity: UInt64
    /// What a sticky cookie says of it.
    var token: UInt64 = 0
    /// Where to connect; nil while its name has not been resolved.
    var address: SocketAddress?
    /// Hundredths of the weight unit, after agent weight and slow start.
    var centiweight: Int
    var isAvailable: Bool
    /// Down or in maintenance: the upstream's `on-down` decides what becomes of its connections. A
    /// peer that drains, or weighs nothing, keeps them.
    var isDown: Bool
    /// Not in maint, in drain or at weight 0: may be used when the upstream fails open.
    var isEligibleInPanic: Bool
    /// Well, but nothing new shall come: whoever has its cookie still may.
    var keepsClients = false
    /// Ejected, and its checks pass: better than nobody for a request that failed at all others.
    var isReserve = false
    var isBackup: Bool
    /// In the zone of this process.
    var isNear = false
    var maxConnections: Int?
    /// Counts for all workers what `maxConnections` limits.
    var slots: PeerSlots?
    /// It is lost to silence or to the network: what waits for its answers waits in vain.
    var isLost = false
    /// When it came back last, or moved: what was asked of it before says nothing of it now.
    var backAt = Instant(nanoseconds: .min)
}

extension PeerSnapshot {
    static func identity(of peer: String) -> UInt64 {
        var hash = StableHash()
        hash.combine(peer)
        return hash.value
    }

    /// The same on every agent and after every restart, and nothing to be read in it.
    static func token(of peer: String, in upstream: String) -> UInt64 {
        var hash = StableHash()
        hash.combine("sticky")
        hash.combine(upstream)
        hash.combine(peer)
        return hash.value
    }
}

/// What a worker has to know of an upstream apart from its peers.
struct UpstreamSettings: Equatable, Sendable {
    var balance: BalanceDefinition
    /// What becomes of connections to a peer that goes down.
    var closes: UpstreamDefinition.OnDown
    /// Those of TCP listeners end in any case: their clients talk to a peer for hours, and only a cut tells them. An
    /// HTTP exchange ends soon by itself.
    var cutsOpaque = false
    var trying = TryingDefinition()
    var isLenient = false
    var silence = Nanoseconds.zero
    var queue = QueueDefinition()
    var hedge: HedgeDefinition?
    var sticky: StickyDefinition?
    var manners = GroupManners()
    /// Of each peer by its token, what answers tell of it to whoever asks.
    var debug: [UInt64: [UInt8]] = [:]
    /// The same, as which host it is asked, where it has a name.
    var hosts: [UInt64: [UInt8]] = [:]
}

/// One thing that is different now.
enum RoutingChange: Sendable {
    /// Made, or set otherwise.
    case upstream(Int32, UpstreamSettings)
    case panic(upstream: Int32, Bool)
    case upstreamGone(Int32)
    /// Made, or otherwise than it was. A peer stays in its upstream for life.
    case peer(Int32, upstream: Int32, PeerSnapshot)
    case peerGone(Int32)
    /// These hosts are asked for again.
    case stale([StaleHosts])
}

/// A number that a worker has let go of.
enum Released: Sendable {
    case upstream(Int32)
    case peer(Int32)
}

/// Where to listen, and what by.
struct ListenerOrder: Sendable {
    enum Mode: Sendable {
        case http(RouteTable)
        /// -1 where the upstream is not there.
        case tcp(upstream: Int32)
    }

    var bind: Address
    var mode: Mode

    /// Compiles the routes; `upstreams` says which number each upstream has, `numbers` which each route.
    init(
        _ listener: ListenerConfiguration,
        _ upstreams: [String: Int32],
        _ numbers: [RouteName: Int32] = [:]
    ) {
        bind = listener.bind
        mode =
            switch listener.mode {
            case .http(let routes):
                .http(RouteTable(routes, upstreams: upstreams, numbers: numbers))
            case .tcp(let upstream): .tcp(upstream: upstreams[upstream] ?? -1)
            }
    }

    /// A path belongs to one socket, so the first worker listens there for all. A TCP port is shared.
    func isFor(worker: Int) -> Bool {
        if worker == 0 { return true }
        if case .unix = bind { return false }
        return true
    }
}
