// What does one agent say of one peer, by one monitor? The debounced opinion, with who said it,
// when, and until when it may be believed. This is what travels through the store.

public import Vocabulary

/// Names one monitor's view of one peer.
public struct VerdictKey: Hashable, Sendable {
    public var upstream: String
    public var peer: String
    public var monitor: String

    public init(upstream: String, peer: String, monitor: String) {
        self.upstream = upstream
        self.peer = peer
        self.monitor = monitor
    }

    public var peerKey: PeerKey { PeerKey(upstream: upstream, peer: peer) }
}

/// Names one peer.
public struct PeerKey: Hashable, Sendable, CustomStringConvertible {
    public var upstream: String
    public var peer: String

    public init(upstream: String, peer: String) {
        self.upstream = upstream
        self.peer = peer
    }

    /// As people write it.
    public var description: String { "\(upstream)/\(peer)" }
}

/// What was asked, and whom: ids stay where addresses and checks change, and agents are reloaded one
/// after the other. A word about something else says nothing of this.
public struct Subject: Hashable, Sendable {
    /// As configured.
    public var address: String
    /// Of the check's kind and settings, without what is secret: the same on every agent.
    public var check: UInt32

    public init(address: String, check: UInt32) {
        self.address = address
        self.check = check
    }
}

/// One agent's debounced opinion of (monitor, peer). There are as many as pairs, which is why numbers
/// that are small are stored small, and in an order that leaves no gaps.
public struct Verdict: Hashable, Sendable {
    public var key: VerdictKey
    public var kind: String
    /// Nil where an older version said it.
    public var subject: Subject?
    private var storedHealth: Int32
    public var message: String
    public var agent: String
    /// Of the addresses behind the peer's name those that are down, as `host:port` and in order. Empty
    /// for nearly all.
    public var downAddresses: [String]
    /// Orders writers: a store refuses an older (epoch, sequence) than the one it holds.
    public var epoch: UInt64
    public var sequence: UInt64
    /// When `status` last changed.
    public var since: WallTime
    public var checkedAt: WallTime
    public var expiresAt: WallTime
    public var latency: Nanoseconds
    private var storedRise: Int32
    private var storedFall: Int32
    private var storedCode: PackedCount
    public var hints: Hints
    public var status: HealthCounter.Status
    private var storedFlags: Flags
    public var reason: Reason

    /// Three answers in one byte.
    private struct Flags: Hashable {
        var isDegraded: Bool {
            get { bits & 1 != 0 }
            set { bits = bits & ~1 | (newValue ? 1 : 0) }
        }
        var withheld: Withheld? {
            get {
                let place = Int(bits >> 1 & 63) - 1
                return Withheld.allCases.indices.contains(place) ? Withheld.allCases[place] : nil
            }
            set {
                let place = newValue.flatMap { Withheld.allCases.firstIndex(of: $0) } ?? -1
                bits = bits & 129 | UInt8(place + 1) << 1
            }
        }
        var isFound: Bool {
            get { bits & 128 == 0 }
            set { bits = bits & 127 | (newValue ? 0 : 128) }
        }
        private var bits: UInt8 = 0
    }

    /// False where whoever speaks has looked since it was found, at `checkedAt`, and has found nothing that says anything:
    /// then the word ends at `expiresAt`, whoever says it again and whoever vouches for it.
    public var isFound: Bool {
        get { storedFlags.isFound }
        set { storedFlags.isFound = newValue }
    }

    /// The last outcome was a warning: up, but only just.
    public var isDegraded: Bool {
        get { storedFlags.isDegraded }
        set { storedFlags.isDegraded = newValue }
    }

    /// Why the failure that the last probe found does not count; nil where it does, or found none.
    public var withheld: Withheld? {
        get { storedFlags.withheld }
        set { storedFlags.withheld = newValue }
    }

    public var health: Int {
        get { Int(storedHealth) }
        set { storedHealth = Int32(clamping: newValue) }
    }

    public var rise: Int {
        get { Int(storedRise) }
        set { storedRise = Int32(clamping: newValue) }
    }

    public var fall: Int {
        get { Int(storedFall) }
        set { storedFall = Int32(clamping: newValue) }
    }

    public var code: Int? {
        get { storedCode.value }
        set { storedCode = PackedCount(newValue) }
    }

    public init(
        key: VerdictKey,
        kind: String,
        subject: Subject? = nil,
        status: HealthCounter.Status,
        isDegraded: Bool = false,
        withheld: Withheld? = nil,
        health: Int,
        rise: Int,
        fall: Int,
        reason: Reason,
        code: Int? = nil,
        message: String = "",
        latency: Nanoseconds,
        hints: Hints = Hints(),
        downAddresses: [String] = [],
        since: WallTime,
        checkedAt: WallTime,
        isFound: Bool = true,
        expiresAt: WallTime,
        agent: String,
        epoch: UInt64,
        sequence: UInt64
    ) {
        self.key = key
        self.kind = kind
        self.subject = subject
        self.status = status
        storedFlags = Flags()
        storedFlags.isDegraded = isDegraded
        storedFlags.withheld = withheld
        storedFlags.isFound = isFound
        storedHealth = Int32(clamping: health)
        storedRise = Int32(clamping: rise)
        storedFall = Int32(clamping: fall)
        self.reason = reason
        storedCode = PackedCount(code)
        self.message = message
        self.latency = latency
        self.hints = hints
        self.downAddresses = downAddresses
        self.since = since
        self.checkedAt = checkedAt
        self.expiresAt = expiresAt
        self.agent = agent
        self.epoch = epoch
        self.sequence = sequence
    }

    /// The same by a clock that shows `step` more.
    public mutating func shift(by step: Nanoseconds) {
        since = since + step
        checkedAt = checkedAt + step
        expiresAt = expiresAt + step
    }

    /// As it is believed here, at `now`: how long it holds is for its monitor to say (`lifeMax`) and
    /// counts from its receipt. `held` is what was known of the pair before; an agent that speaks again
    /// lives, so that its clock, where it differs from ours, does not matter.
    public func received(after held: Verdict?, lifeMax: Nanoseconds, now: WallTime) -> Verdict {
        var verdict = self
        // Below zero where it was over already when it was said.
        let life = max(min(expiresAt - checkedAt, lifeMax), -Self.overMax)
        verdict.since = min(since, checkedAt)
        verdict.expiresAt = checkedAt + life
        let speaksAgain =
            held.map { $0.agent == agent && $0.epoch == epoch && $0.sequence < sequence } ?? false
        let isAhead = checkedAt - now > Self.clockTolerance
        if isAhead || (speaksAgain && isFound && verdict.expiresAt < now) {
            // Not by a shift: the years between may be more than nanoseconds can count.
            verdict.since = now + (verdict.since - checkedAt)
            verdict.checkedAt = now
            verdict.expiresAt = now + life
        }
        return verdict
    }

    /// So long it may have been over when it was said.
    private static let overMax = Nanoseconds.seconds(86_400)
    /// Two clocks that agree may differ by this.
    private static let clockTolerance = Nanoseconds.seconds(1)

    // MARK: Saying the same. Each stored property is in exactly one of the three lists.

    /// Neither status nor reason of its peer differ: only who said it, and when.
    func agrees(with other: Verdict) -> Bool {
        status == other.status && health == other.health && rise == other.rise
            && fall == other.fall && storedFlags == other.storedFlags && reason == other.reason
            && code == other.code && hints == other.hints && message == other.message
            && downAddresses == other.downAddresses
    }

    /// Said by the same again, later: `checkedAt`, `expiresAt`, `latency` and `sequence` alone differ. It is
    /// news to nobody.
    public func renews(_ other: Verdict) -> Bool {
        agrees(with: other) && key == other.key && kind == other.kind && subject == other.subject
            && since == other.since && agent == other.agent && epoch == other.epoch
    }

    /// Both say what they say of the same, as far as they tell.
    public func isAboutTheSame(as other: Verdict) -> Bool {
        guard let subject, let others = other.subject else { return true }
        return subject == others && kind == other.kind
    }

    /// Stands between the words that hold and those of a later probe that had no opinion.
    public static let asideMark = "last probe: "

    /// What the latest probe said, if it had no opinion, and the words that held before it.
    public var aside: (before: String, now: String)? {
        guard let mark = message.ranges(of: Self.asideMark).last else { return nil }
        var before = message[..<mark.lowerBound]
        if before.hasSuffix("; ") { before = before.dropLast(2) }
        return (String(before), String(message[mark.upperBound...]))
    }

    /// The last probe passed, be it with a warning, and so did those before it.
    public var isAtItsBest: Bool { status == .up && health >= rise + fall - 1 }

    /// The same word of the same agent, wherever and whenever it was read.
    public func isSame(as other: Verdict) -> Bool {
        agent == other.agent && epoch == other.epoch && sequence == other.sequence
    }

    public func isNewer(than other: Verdict) -> Bool {
        (epoch, sequence) > (other.epoch, other.sequence)
    }
}
