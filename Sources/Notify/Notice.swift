// What is there to tell of a peer? One turn for the worse or the better, or that the trouble goes on,
// or that it comes and goes too often to be told each time.

public import Health
public import Vocabulary

/// One thing to tell a receiver.
public struct Notice: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// The peer came into a status that the receiver wants to hear of.
        case trouble
        /// It left that.
        case resolved
        /// It is in it still.
        case reminder
        /// It comes and goes: from now on only the end of that is told.
        case flapping
        /// It stopped coming and going, and is in trouble or well.
        case settled
        /// Somebody tries whether it arrives.
        case test
    }

    /// Grows within one receiver.
    public var id: UInt64
    public var kind: Kind
    public var peer: PeerKey
    public var from: PeerStatus
    public var to: PeerStatus
    /// Since when it is as it is.
    public var at: WallTime
    public var reason: String
    /// How long it was as it was before, of one that is resolved.
    public var lasted: Nanoseconds?
    /// How many peers of its upstream can serve, of how many that are meant to.
    public var supply: Supply?
    /// Of one that comes and goes: how often.
    public var changes = 0
    /// Whether the receiver is to think of the peer as being in trouble after this.
    public var isTrouble: Bool

    public struct Supply: Hashable, Sendable {
        public var available: Int
        public var wanted: Int

        public init(available: Int, wanted: Int) {
            self.available = available
            self.wanted = wanted
        }
    }

    public init(
        id: UInt64,
        kind: Kind,
        peer: PeerKey,
        from: PeerStatus,
        to: PeerStatus,
        at: WallTime,
        reason: String,
        isTrouble: Bool
    ) {
        self.id = id
        self.kind = kind
        self.peer = peer
        self.from = from
        self.to = to
        self.at = at
        self.reason = reason
        self.isTrouble = isTrouble
    }

    private var left: String {
        let word = [.up, .starting, .degraded].contains(to) ? "available" : "left"
        return supply.map { ", \($0.available) of \($0.wanted) peers \(word)" } ?? ""
    }

    /// One line for people.
    public var line: String {
        let status = to.rawValue.uppercased()
        let why = reason.isEmpty ? "" : ": \(reason)"
        switch kind {
        case .trouble: return "\(peer) is \(status)\(why)\(left)"
        case .resolved:
            return "\(peer) is \(status)\(to == .up ? " again" : "")"
                + (lasted.map { ", after \($0.rough) \(from.rawValue)" } ?? "")
                + (to == .up ? "" : why) + left
        case .reminder: return "\(peer) is still \(status), since \(at)\(why)\(left)"
        case .flapping:
            return
                "\(peer) comes and goes: \(changes) changes, now \(status)\(why); the next word of it "
                + "is that it has settled"
        case .settled:
            return "\(peer) has settled as \(status), after \(changes) changes more\(why)"
        case .test: return "this is a test: \(reason)"
        }
    }
}

/// What one receiver is sent at once.
public struct Batch: Hashable, Sendable {
    public var receiver: String
    /// Who sends it.
    public var agent: String
    /// In the order in which they came about; at least one.
    public var notices: [Notice]
    /// Older ones that had no room while the receiver was away.
    public var leftOut: Int
    /// Peers that are in trouble by now, as far as this receiver wants to hear of them.
    public var troubled: Int
    /// What is in trouble now and was not told for that time is to be taken for over.
    public var holds: Nanoseconds?
    public var sentAt: WallTime?

    public init(
        receiver: String,
        agent: String,
        notices: [Notice],
        leftOut: Int = 0,
        troubled: Int = 0,
        holds: Nanoseconds? = nil,
        sentAt: WallTime? = nil
    ) {
        self.receiver = receiver
        self.agent = agent
        self.notices = notices
        self.leftOut = leftOut
        self.troubled = troubled
        self.holds = holds
        self.sentAt = sentAt
    }

    /// The whole of it in one line: the notice itself where there is one. What was left out before it is
    /// said beside it, and never instead.
    public var summary: String {
        let missed =
            leftOut > 0
            ? "; \(leftOut) earlier \(leftOut == 1 ? "change is" : "changes are") left out" : ""
        var text: String
        if notices.count == 1, let notice = notices.first {
            text = notice.line + missed
        } else {
            let worse = notices.count { $0.isTrouble }
            var parts: [String] = []
            if worse > 0 { parts.append("\(worse) in trouble") }
            // That operators took over, or that a peer is gone, does not make it well.
            let others = Dictionary(grouping: notices.lazy.filter { !$0.isTrouble }, by: \.to)
            for (status, words) in Self.ends {
                if let count = others[status]?.count { parts.append("\(count) \(words)") }
            }
            text = "\(notices.count) changes: \(parts.joined(separator: ", "))"
            text +=
                missed + "; \(troubled) \(troubled == 1 ? "peer is" : "peers are") in trouble now"
        }
        return text.printable
    }

    /// What is said of peers that are in no trouble now, in this order.
    private static let ends: [(PeerStatus, String)] = [
        (.up, "well again"), (.maint, "in maint"), (.drain, "in drain"), (.ejected, "ejected"),
        (.degraded, "degraded"), (.starting, "starting"), (.down, "down"),
        (.unknown, "not defined any more"),
    ]

    /// One line for each.
    public var text: String { notices.map(\.line.printable).joined(separator: "\n") }
}
