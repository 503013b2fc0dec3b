// What did the operator define? Upstreams with their peers, as plain values that the monitor, the
// store, the proxy and the API all read. What a monitor probes with is the Checks target's affair.

public import Vocabulary

/// One server of an upstream, named by a stable id (default: its address) and never by position.
public struct PeerDefinition: Hashable, Sendable {
    public var id: String
    // There is one for every peer, so numbers are small and in an order that leaves no gaps.
    /// Where it stands: agents of the same zone send their requests here first.
    public var zone: String?
    public var failTimeout: Nanoseconds
    public var address: Address
    public var isBackup: Bool
    /// nginx's word `down`: in maintenance until an operator says `ready`.
    public var isDisabled: Bool
    private var storedWeight: Int16
    private var storedMaxFails: Int32
    private var storedMaxConnections: PackedCount

    public var weight: Int {
        get { Int(storedWeight) }
        set { storedWeight = Int16(clamping: newValue) }
    }

    /// Passive observation, in nginx's words: this many failures within `failTimeout` eject.
    public var maxFails: Int {
        get { Int(storedMaxFails) }
        set { storedMaxFails = Int32(clamping: newValue) }
    }

    public var maxConnections: Int? {
        get { storedMaxConnections.value }
        set { storedMaxConnections = PackedCount(newValue) }
    }

    /// HAProxy's greatest weight.
    public static let weightMax = 256

    public init(
        id: String? = nil,
        address: Address,
        weight: Int = 1,
        isBackup: Bool = false,
        isDisabled: Bool = false,
        maxFails: Int = 1,
        failTimeout: Nanoseconds = .seconds(10),
        maxConnections: Int? = nil,
        zone: String? = nil
    ) {
        self.id = id ?? address.description
        self.address = address
        storedWeight = Int16(clamping: weight)
        self.isBackup = isBackup
        self.isDisabled = isDisabled
        storedMaxFails = Int32(clamping: maxFails)
        self.failTimeout = failTimeout
        storedMaxConnections = PackedCount(maxConnections)
        self.zone = zone
    }
}

/// How a balancer is chosen and set: its name and the settings it takes.
public struct BalanceDefinition: Hashable, Sendable {
    public var name: String
    public var settings: [Setting.Entry]
    public var position: Position

    public init(
        name: String = "round-robin",
        settings: [Setting.Entry] = [],
        position: Position = Position(file: "default", line: 0, column: 0)
    ) {
        self.name = name
        self.settings = settings
        self.position = position
    }

    private var content: String { Setting(.map(settings), at: position).content }

    /// By what it says: a line that moved is no change.
    public static func == (one: BalanceDefinition, other: BalanceDefinition) -> Bool {
        one.name == other.name && one.content == other.content
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        hasher.combine(content)
    }
}

/// A named group of peers, as defined.
public struct UpstreamDefinition: Hashable, Sendable {
    public enum OnDown: String, Sendable, CaseIterable {
        case keep
        case closeIdle = "close-idle"
        case closeAll = "close-all"
    }
    public enum AllDown: String, Sendable, CaseIterable {
        /// Below the panic threshold, where no backup is available, route to all that are not in
        /// maint, in drain or at weight 0.
        case failOpen = "fail-open"
        case failClosed = "fail-closed"
        /// The same: a healthy backup always goes before a peer that is thought dead.
        case backup
    }

    public var name: String
    public var peers: [PeerDefinition]
    public var balance: BalanceDefinition
    public var slowStart: Nanoseconds
    /// Share of available peers below which routing fails open; 0 turns it off.
    public var panicThreshold: Double
    /// A peer that would have to carry more than ten times its share cannot. Of up to ten peers one
    /// that is left gets everything, and only none at all is panic.
    public static let panicThresholdDefault = 0.1
    public var onDown: OnDown?
    public var allDown: AllDown
    public var trying: TryingDefinition
    public var eject: EjectDefinition
    public var queue: QueueDefinition
    /// Nil where requests are not sent to a second peer before the first has failed.
    public var hedge: HedgeDefinition?
    /// Takes of its peers what other proxies take, and forwards it strictly.
    public var isLenient: Bool
    /// Nil where clients do not come back to the same peer.
    public var sticky: StickyDefinition?
    /// Of an upstream whose peers are those that lists of another system name: what its hosts are answered when
    /// none of their peers serves. Without any peer there is nobody whom anybody misses.
    public var sourceAnswer: UInt16?

    public init(
        name: String,
        peers: [PeerDefinition],
        balance: BalanceDefinition = BalanceDefinition(),
        slowStart: Nanoseconds = .zero,
        panicThreshold: Double = panicThresholdDefault,
        onDown: OnDown? = nil,
        allDown: AllDown = .backup,
        trying: TryingDefinition = TryingDefinition(),
        eject: EjectDefinition = EjectDefinition(),
        queue: QueueDefinition = QueueDefinition(),
        hedge: HedgeDefinition? = nil,
        isLenient: Bool = false,
        sticky: StickyDefinition? = nil
    ) {
        self.name = name
        self.peers = peers
        self.balance = balance
        self.slowStart = slowStart
        self.panicThreshold = panicThreshold
        self.onDown = onDown
        self.allDown = allDown
        self.trying = trying
        self.eject = eject
        self.queue = queue
        self.hedge = hedge
        self.isLenient = isLenient
        self.sticky = sticky
    }
}
