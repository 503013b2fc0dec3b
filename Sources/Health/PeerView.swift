// What does everyone read of a peer? The one status, why, since when, and whether requests may go to it.

public import Vocabulary

/// What everyone reads of a peer, worst first as DESIGN's section 8 orders them.
public enum PeerStatus: String, Sendable, CaseIterable {
    case maint, down, drain, ejected, starting, degraded, up, unknown
}

/// The joined view of a peer at one moment.
public struct PeerView: Hashable, Sendable {
    // There is one for every peer, so numbers are small and in an order that leaves no gaps.
    public var since: WallTime
    /// The reasons, most important first, joined with `; `.
    public var reason: String
    /// Of the addresses behind its name those that some monitor finds down, as `host:port`.
    public var downAddresses: [String]
    private var storedNextChange: PackedTime
    private var storedWeight: Int32
    private var storedCentiweight: Int32
    private var storedMaxConnections: PackedCount
    public var status: PeerStatus
    /// What routing goes by: `status`, or while that is unknown, the status before.
    public var routing: PeerStatus
    /// It was given no weight, by hand or by its own agent, whatever its health.
    public var isWeightless: Bool
    /// What operator, configuration or the peer's own agent asked for, whatever its health.
    public var asked = Intent.Mode.ready
    /// What the checks say, whatever was asked for: `unknown` before every required one has spoken.
    public var checked = HealthCounter.Status.unknown
    /// `checked` is only what was last known: a verdict it needs has expired.
    public var isStale = false
    /// Every required monitor was asked; those that have an opinion pass, and the others cannot speak.
    public var isPassing = false
    /// Every required monitor was asked, be it in vain.
    public var wasAsked = false
    /// It is so new that its first verdict is still to come, and no request is risked on it.
    public var isStranger: Bool {
        get { marks.contains(.stranger) }
        set { marks.set(.stranger, newValue) }
    }
    /// A slow start goes on, be it beneath another status.
    public var isRamping: Bool {
        get { marks.contains(.ramping) }
        set { marks.set(.ramping, newValue) }
    }
    /// Its name never resolved: nobody could connect to it yet.
    public var isNowhere: Bool {
        get { marks.contains(.nowhere) }
        set { marks.set(.nowhere, newValue) }
    }
    private var marks: Marks = []

    /// Some answers in one byte.
    private struct Marks: OptionSet, Hashable {
        let rawValue: UInt8
        static let stranger = Self(rawValue: 1)
        static let ramping = Self(rawValue: 2)
        static let nowhere = Self(rawValue: 4)

        mutating func set(_ mark: Self, _ isSet: Bool) {
            if isSet { insert(mark) } else { remove(mark) }
        }
    }

    init(
        status: PeerStatus,
        routing: PeerStatus,
        since: WallTime,
        reason: String,
        weight: Int,
        effectiveCentiweight: Int,
        isWeightless: Bool,
        maxConnections: Int? = nil,
        nextChange: WallTime? = nil,
        downAddresses: [String] = []
    ) {
        self.status = status
        self.routing = routing
        self.since = since
        self.reason = reason
        storedWeight = Int32(clamping: weight)
        storedCentiweight = Int32(clamping: effectiveCentiweight)
        self.isWeightless = isWeightless
        storedMaxConnections = PackedCount(maxConnections)
        storedNextChange = PackedTime(nextChange)
        self.downAddresses = downAddresses
    }

    public var weight: Int { Int(storedWeight) }

    /// Hundredths of the weight unit, after agent weight and slow start. Zero takes no new traffic.
    public var effectiveCentiweight: Int {
        get { Int(storedCentiweight) }
        set { storedCentiweight = Int32(clamping: newValue) }
    }

    public var maxConnections: Int? { storedMaxConnections.value }

    /// The view changes by itself then (slow start, expiry), even if nothing else happens.
    public var nextChange: WallTime? {
        get { storedNextChange.value }
        set { storedNextChange = PackedTime(newValue) }
    }

    /// Nobody asked it to take nothing: not in maintenance, not draining, not at weight 0. Such a peer
    /// is lost when it is not available, and gets requests when the upstream fails open.
    public var isMeantToServe: Bool {
        asked == .ready && routing != .maint && routing != .drain && !isWeightless
    }

    /// Nothing new shall go to it, and it is well as far as anybody knows: who is bound to it by a cookie
    /// may come back.
    public var keepsClients: Bool {
        guard checked != .down, !isStranger, !isNowhere else { return false }
        switch routing {
        case .drain: return true
        case .up, .degraded, .starting, .unknown: return effectiveCentiweight == 0
        case .maint, .down, .ejected: return false
        }
    }

    /// In the unit of `weight`: what it takes of new requests, which is nothing while none may go to it.
    /// JSON and metrics both say this.
    public var effectiveWeight: Double {
        isAvailable ? Double(effectiveCentiweight) / 100 : 0
    }

    /// New requests may go to it.
    public var isAvailable: Bool {
        switch routing {
        case .up, .degraded, .starting, .unknown:
            effectiveCentiweight > 0 && !isStranger && !isNowhere
        case .maint, .down, .drain, .ejected: false
        }
    }
}
