// What does one see of an upstream at one moment? Immutable values, built by the `Board` for the
// API, the dashboard and the agent-check endpoint.

public import Health
public import Vocabulary

/// What the board needs to know of a monitor: not how it probes, only how it counts.
public struct MonitorSummary: Hashable, Sendable {
    public var upstream: String
    public var id: String
    public var kind: String
    public var isRequired: Bool
    public var rise: Int
    public var fall: Int
    public var interval: Nanoseconds
    /// The longest that a verdict of it may hold, whoever says so.
    public var lifeMax: Nanoseconds
    /// The same for the same definition on every agent.
    public var digest: UInt64
    /// Of the check alone, as in `Subject`; nil where nobody compares it.
    public var check: UInt32?
    /// How many agents probe each peer.
    public var observers: Int

    public init(
        upstream: String,
        id: String,
        kind: String,
        isRequired: Bool,
        rise: Int,
        fall: Int,
        interval: Nanoseconds,
        lifeMax: Nanoseconds = .seconds(7 * 86_400),
        digest: UInt64 = 0,
        check: UInt32? = nil,
        observers: Int = 1
    ) {
        self.upstream = upstream
        self.id = id
        self.kind = kind
        self.isRequired = isRequired
        self.rise = rise
        self.fall = fall
        self.interval = interval
        self.lifeMax = lifeMax
        self.digest = digest
        self.check = check
        self.observers = observers
    }
}

/// One peer with everything that led to its status.
public struct PeerReport: Hashable, Sendable {
    public var definition: PeerDefinition
    public var view: PeerView
    public var intent: Intent?
    /// Sorted by monitor; a monitor that has not spoken yet has none.
    public var verdicts: [Verdict]
    /// This process keeps its requests away from it; nil where it does not.
    public var ejection: Ejection?
    /// When mode and weight were asked for, where somebody told.
    public var askedSince: WallTime?
    public var weightSince: WallTime?
    /// When it has its whole weight, while it starts slowly.
    public var slowStartEnd: WallTime?

    public init(
        definition: PeerDefinition,
        view: PeerView,
        intent: Intent?,
        verdicts: [Verdict],
        ejection: Ejection? = nil,
        askedSince: WallTime? = nil,
        weightSince: WallTime? = nil,
        slowStartEnd: WallTime? = nil
    ) {
        self.definition = definition
        self.view = view
        self.intent = intent
        self.verdicts = verdicts
        self.ejection = ejection
        self.askedSince = askedSince
        self.weightSince = weightSince
        self.slowStartEnd = slowStartEnd
    }

    public var ejectedUntil: WallTime? { ejection?.until }
}

public enum UpstreamStatus: String, Sendable, CaseIterable {
    /// Every peer that is wanted is available and well.
    case up
    /// Some wanted peer is not available, or not quite well.
    case degraded
    /// So few are available that routing goes to all that are wanted.
    case panic
    /// No peer is available.
    case down
    /// No peer has been probed yet, or every verdict has expired.
    case unknown
}

public struct UpstreamView: Hashable, Sendable {
    public var definition: UpstreamDefinition
    public var status: UpstreamStatus
    public var isPanic: Bool
    /// In the order of the definition.
    public var peers: [PeerReport]
    public var monitors: [MonitorSummary]
    /// Nil while it is not in panic.
    public var panicSince: WallTime?

    /// Of the peers that are no backups, how many are meant to serve, and how many of those can: the
    /// numbers that the log tells.
    public var wanted: Int {
        peers.count { !$0.definition.isBackup && $0.view.isMeantToServe }
    }
    public var available: Int { peers.count { !$0.definition.isBackup && $0.view.isAvailable } }

    public var name: String { definition.name }
    public var balance: String { definition.balance.name }

    public init(
        definition: UpstreamDefinition,
        status: UpstreamStatus,
        isPanic: Bool,
        peers: [PeerReport],
        monitors: [MonitorSummary],
        panicSince: WallTime? = nil
    ) {
        self.panicSince = panicSince
        self.definition = definition
        self.status = status
        self.isPanic = isPanic
        self.peers = peers
        self.monitors = monitors
    }
}

/// A peer came into another status.
public struct TransitionEvent: Hashable, Sendable {
    /// Grows with time; never given twice, over restarts too. See `EventLog`.
    public var id: UInt64
    public var at: WallTime
    public var peer: PeerKey
    public var from: PeerStatus
    public var to: PeerStatus
    public var reason: String

    public init(
        id: UInt64,
        at: WallTime,
        peer: PeerKey,
        from: PeerStatus,
        to: PeerStatus,
        reason: String
    ) {
        self.id = id
        self.at = at
        self.peer = peer
        self.from = from
        self.to = to
        self.reason = reason
    }
}
