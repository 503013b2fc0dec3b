// Does this agent take part, and who else does? It beats, and reads what the store answers: whether it
// holds the lease of its id, since when it is in the roster, and who else is. Pure.

public import Vocabulary

public struct Membership: Sendable {
    public enum Standing: Hashable, Sendable {
        /// No answer yet in this life.
        case outside
        /// Another instance of this id has the lease.
        case taken(since: Instant)
        /// It lives, and waits until it has settled.
        case joining
        case member
    }

    /// What an answer changed.
    public struct Change: Hashable, Sendable {
        /// Another era: what is held must be claimed again, first of all.
        public var isNewEra = false
        /// The lease was over: it has a new instance, and nothing that the former one called counts.
        public var isReborn = false
        public var roster: Roster?
        /// Members of which another life is in the roster than before.
        public var begunAnew = Set<String>()
        /// Another process has had this id for a lease and longer.
        public var isDoubled = false
        /// What lies in the store is of a newer format.
        public var newerFormat: Int?
    }

    public let agent: String
    public private(set) var instance: UInt64
    public private(set) var era: UInt64 = 0
    public private(set) var standing = Standing.outside
    public private(set) var roster = Roster.none
    public private(set) var state = FleetCall.State.working
    private var count: UInt64 = 0
    private var isDoubleTold = false

    public private(set) var late: [String: WallTime] = [:]
    public private(set) var doubting: [String: Bool] = [:]

    /// When the last beat that was answered had been sent: the lease runs from there.
    public private(set) var acknowledged: Instant?
    private var answeredAt = WallTime(milliseconds: 0)
    /// When the store last answered anything.
    public private(set) var heardAt: Instant?
    /// When others were last known to take part, by the answer that said so.
    private var othersAt: Instant?
    /// As long as others are counted on that nobody has seen in this life.
    public private(set) var expectsOthersUntil: Instant?
    /// Of those in the roster.
    private var instances: [String: UInt64] = [:]

    public init(agent: String, dice: inout Dice) {
        self.agent = agent
        instance = Self.draw(&dice)
    }

    /// Below 2^53, so that a script counts it exactly; never zero.
    private static func draw(_ dice: inout Dice) -> UInt64 { dice.next() >> 12 | 1 }

    public var signature: Signature {
        Signature(agent: agent, instance: instance, era: era, count: count)
    }
    /// By this machine's clock, when the mark of this life of an agent was at least there: what it vouches for it
    /// found then. Nil where it is not in the roster, or nobody knows.
    public func mark(of agent: String, instance: UInt64, terms: FleetTerms) -> Instant? {
        guard let acknowledged, instances[agent] == instance else { return nil }
        if let mark = late[agent] { return acknowledged + -max(answeredAt - mark, .zero) }
        // More may be late than one answer names.
        return late.count < FleetTerms.lateMax ? acknowledged + -terms.lateAfter : nil
    }

    public var isMember: Bool { standing == .member }
    public var hasLease: Bool { standing == .member || standing == .joining }
    /// Others that take part.
    public var hasOthers: Bool { roster.members.contains { $0.id != agent } }

    /// Others take part, or did lately. That they do not any more may be the very trouble that this agent sees: who cannot
    /// see its targets is not alone with them because others cannot reach the store. While the store is away nobody can
    /// have left.
    public var knowsOthers: Bool {
        if hasOthers || expectsOthersUntil != nil { return true }
        guard let othersAt else { return false }
        return acknowledged.map { $0 - othersAt <= FleetTerms.othersKnown } ?? true
    }

    /// The store shows that others took part until this life began.
    public mutating func noteOthers(at now: Instant) { othersAt = max(othersAt ?? now, now) }

    /// It knows by itself that others took part until this life began.
    mutating func expectOthers(until time: Instant) { expectsOthersUntil = time }

    /// They have had the time to come back. Answers whether they have it no more as of now.
    mutating func endExpectation(at now: Instant) -> Bool {
        guard let time = expectsOthersUntil, now >= time else { return false }
        expectsOthersUntil = nil
        return true
    }

    /// The store has not answered a beat for a lease: it is away, or this agent is cut off from it.
    public func isAway(at now: Instant, lease: Nanoseconds) -> Bool {
        acknowledged.map { now - $0 > lease } ?? true
    }

    // MARK: Calling

    public mutating func nextBeat() -> FleetCall.Beat {
        count += 1
        var beat = FleetCall.Beat()
        beat.state = state
        beat.roster = roster.number
        return beat
    }

    /// There was a later era than the one that the store has: who beats with this begins one that is later still.
    mutating func remember(era later: UInt64) { era = later }

    public mutating func leave() { if state == .working { state = .leaving } }
    public mutating func end() { state = .gone }

    /// A new life: nothing that the former one said counts any more.
    public mutating func beginAnew(dice: inout Dice) {
        instance = Self.draw(&dice)
        count = 0
        standing = .outside
    }

    // MARK: Hearing

    public mutating func answered(
        _ answer: FleetReply.BeatAnswer,
        sent: Instant
    ) -> Change {
        var change = Change()
        if sent >= acknowledged ?? sent {
            acknowledged = sent
            answeredAt = answer.time
        }
        heardAt = max(heardAt ?? sent, sent)
        isDoubleTold = false
        if answer.era != era {
            // The first answer of a life is no news of the store.
            change.isNewEra = era != 0
            era = answer.era
        }
        standing = answer.isMember ? .member : .joining
        if let members = answer.members {
            roster = Roster(number: answer.roster, members: members)
            change.roster = roster
            for one in members where instances[one.id].map({ $0 != one.instance }) ?? false {
                change.begunAnew.insert(one.id)
            }
            instances = Dictionary(
                members.map { ($0.id, $0.instance) },
                uniquingKeysWith: { one, _ in one }
            )
        }
        if hasOthers { othersAt = sent }
        late = [:]
        for one in answer.late { late[one.agent] = one.mark }
        doubting = [:]
        for one in answer.doubting { doubting[one.agent] = one.isSilent }
        return change
    }

    public mutating func refused(
        _ refusal: FleetReply.Refusal,
        lease: Nanoseconds,
        dice: inout Dice,
        at now: Instant
    ) -> Change {
        var change = Change()
        let silence = heardAt.map { now - $0 } ?? .zero
        heardAt = max(heardAt ?? now, now)
        switch refusal {
        case .format(let format):
            change.newerFormat = format
            standing = .outside
        case .taken:
            if case .taken(let since) = standing, silence <= lease {
                if now - since > lease && !isDoubleTold {
                    isDoubleTold = true
                    change.isDoubled = true
                }
            } else {
                // While the store was away no lease ended: from now on.
                change.isReborn = true
                standing = .taken(since: now)
            }
        case .expired, .twin:
            beginAnew(dice: &dice)
            change.isReborn = true
        case .era, .lease, .roster: break
        }
        return change
    }
}
