// Is it the peer that fails, or the way from here to it? Who probes a peer and sees it fail for the first
// time asks others, and takes it down when enough of them see the same. Pure: what it asks and what it
// concludes are values; somebody else sends, probes and counts.

public import Health
public import Vocabulary

/// How many must agree before a peer is down.
public struct ConfirmRule: Hashable, Sendable {
    public enum Quorum: Hashable, Sendable {
        case majority, any, all
        case count(Int)

        /// Of so many that have a vote.
        public func needed(of size: Int) -> Int {
            switch self {
            case .majority: size / 2 + 1
            case .any: min(1, size)
            case .all: size
            case .count(let count): min(max(count, 1), size)
            }
        }
    }

    /// Who asked for it.
    public enum Basis: Hashable, Sendable {
        /// `confirm`: so many are asked beside those that look anyhow.
        case asked
        /// Nobody said anything: so many in all, where so many share the probing that most of them are more than one.
        case byDefault
        /// `confirm: off`: the owner decides alone, whoever looks.
        case off
    }

    /// How many others are asked; none means that the owner decides alone.
    public var agents: Int
    public var quorum: Quorum
    public var basis: Basis

    public init(agents: Int = 0, quorum: Quorum = .majority, basis: Basis = .asked) {
        self.agents = agents
        self.quorum = quorum
        self.basis = basis
    }

    public static let byDefault = ConfirmRule(agents: 2, basis: .byDefault)
    public static let off = ConfirmRule(basis: .off)
    /// Of two neither is most: one that cannot reach a peer would keep it up that is dead, or take down one that lives.
    public static let defaultMembersMin = 3

    /// How many others have a vote, of those that can be asked, where so many look beside the owner and so many share
    /// the probing.
    public func electors(beside observers: Int, of members: Int) -> Int {
        switch basis {
        case .asked: observers + agents
        case .byDefault: members >= Self.defaultMembersMin ? max(observers, agents) : observers
        case .off: 0
        }
    }
}

/// A question of the owner: probe this pair now, and say what you find.
public struct Ask: Hashable, Sendable {
    public var by: String
    public var epoch: UInt64
    /// Counts the askings of one owner, so that an answer finds its question.
    public var number: UInt64
    public var askedAt: WallTime

    public init(by: String, epoch: UInt64, number: UInt64, askedAt: WallTime) {
        self.by = by
        self.epoch = epoch
        self.number = number
        self.askedAt = askedAt
    }
}

public struct Vote: Hashable, Sendable {
    public enum Word: String, Hashable, Sendable, CaseIterable {
        case passes, fails
        /// Doubts, does not know the pair, or has withdrawn from it.
        case abstains
    }

    /// The number of a word that nobody asked for.
    public static let unasked: UInt64 = 0

    public var by: String
    public var word: Word
    public var epoch: UInt64
    public var number: UInt64
    /// When the voter probed.
    public var at: WallTime
    /// What it saw; nil where it abstains, and where it is of an older version.
    public var reason: Reason?
    /// What it looked at, as `PairPlan.about`; nil where it does not say.
    public var about: About?

    public init(
        by: String,
        word: Word,
        epoch: UInt64,
        number: UInt64,
        at: WallTime,
        reason: Reason? = nil,
        about: About? = nil
    ) {
        self.by = by
        self.word = word
        self.epoch = epoch
        self.number = number
        self.at = at
        self.reason = reason
        self.about = about
    }
}

/// One failing run of one pair: from its first failure until it passes, is down, or is given away.
public struct FailingRun: Hashable, Sendable {
    public enum Tally: Hashable, Sendable {
        case open
        /// So many of so many see it fail: enough.
        case confirmed(Int, of: Int)
        /// So many see it pass that the others cannot be enough.
        case lost(Int, of: Int)
    }

    private struct Elector: Hashable {
        var id: String
        var word: Vote.Word?
        /// When it probed, and what it saw.
        var at: WallTime?
        var reason: Reason?
        /// Askings in a row without an answer.
        var silences = 0
    }

    /// Two agents' clocks differ by less, or one of them is set.
    static let clockTolerance = StoreClock.stepFrom

    public let rule: ConfirmRule
    public let owner: String
    public let epoch: UInt64
    /// The owner's own word counts unless it doubts.
    public var ownerVotes: Bool
    private var electors: [Elector]
    public private(set) var number: UInt64
    public private(set) var askedAt: WallTime
    private var interval: Nanoseconds
    /// All that were asked are gone: others are to be asked before one's own word is all there is.
    public private(set) var isDeserted = false
    /// A call was lost since the last asking: that nobody answered says nothing of those that were asked.
    private var isCut = false
    /// The vote was lost in this asking already.
    private var isCounted = false
    public private(set) var lostVotes = 0
    /// How often the electorate was asked.
    public private(set) var rounds = 1
    /// Failures of this run that were not counted.
    public private(set) var held = 0
    /// Since when it is silent, and when the last probe of that began.
    private(set) var silence: Silence?

    struct Silence: Hashable, Sendable {
        var since: Instant
        var begun: Instant
    }

    public init(
        rule: ConfirmRule,
        owner: String,
        epoch: UInt64,
        ownerVotes: Bool,
        electors: [String],
        number: UInt64,
        interval: Nanoseconds,
        at now: WallTime
    ) {
        self.rule = rule
        self.owner = owner
        self.epoch = epoch
        self.ownerVotes = ownerVotes
        self.electors = electors.map { Elector(id: $0) }
        self.number = number
        self.interval = interval
        askedAt = now
    }

    public var electorate: [String] { electors.map(\.id) }

    public var votes: [Said] {
        electors.map {
            $0.word == nil
                ? Said(agent: $0.id, word: nil)
                : Said(agent: $0.id, word: $0.word, at: $0.at, reason: $0.reason)
        }
    }

    /// Those that have not answered the present asking.
    public var silent: [String] { electors.filter { $0.word == nil }.map(\.id) }

    /// Whom to offer the pair to: the first that sees it pass.
    public var successor: String? { electors.first { $0.word == .passes }?.id }

    public var tally: Tally {
        let voting = electors.filter {
            $0.word != .abstains && $0.silences < FleetTerms.patience
        }
        let size = voting.count + (ownerVotes ? 1 : 0)
        if size == 0 || isDeserted { return .open }
        let fails = voting.count { $0.word == .fails } + (ownerVotes ? 1 : 0)
        let passes = voting.count { $0.word == .passes }
        let needed = rule.quorum.needed(of: size)
        if fails >= needed { return .confirmed(fails, of: size) }
        if size - passes < needed { return .lost(passes, of: size) }
        return .open
    }

    /// Somebody else sees it fail.
    public var isBacked: Bool { electors.contains { $0.word == .fails } }

    /// Something that was sent did not arrive, or its answer did not.
    public mutating func noteCut() { isCut = true }

    /// It was asked, and said nothing.
    mutating func noteSilence(begun: Instant, at now: Instant) {
        silence = Silence(since: silence?.since ?? now, begun: begun)
    }

    /// One more failure that waits for the quorum.
    public mutating func hold() { held += 1 }

    /// Takes a vote, unless it answers another question, is of another epoch, or is old.
    public mutating func take(_ vote: Vote) -> Bool {
        guard vote.epoch == epoch, vote.number == number,
            askedAt - vote.at <= interval + Self.clockTolerance,
            let index = electors.firstIndex(where: { $0.id == vote.by })
        else { return false }
        electors[index].word = vote.word
        electors[index].at = vote.at
        electors[index].reason = vote.reason
        if vote.word != .abstains { electors[index].silences = 0 }
        return true
    }

    /// Takes what one of the electorate said without being asked, if that is of this epoch, and of the last interval.
    public mutating func take(unasked vote: Vote, at now: WallTime) -> Bool {
        guard epoch > 0, vote.epoch == epoch, vote.word != .abstains, now - vote.at <= interval,
            vote.at - now <= Self.clockTolerance,
            let index = electors.firstIndex(where: { $0.id == vote.by })
        else { return false }
        if electors[index].word != nil, let at = electors[index].at, at >= vote.at { return false }
        electors[index].word = vote.word
        electors[index].at = vote.at
        electors[index].reason = vote.reason
        electors[index].silences = 0
        return true
    }

    /// One that does not beat any more has no vote. Returns whether it had one.
    public mutating func gone(_ agent: String) -> Bool {
        let count = electors.count
        electors.removeAll { $0.id == agent }
        isDeserted = isDeserted || (electors.isEmpty && count > 0)
        return electors.count != count
    }

    /// Notes a lost vote, once an asking. Returns whether it is time to give the pair away.
    public mutating func noteLost() -> Bool {
        if !isCounted {
            isCounted = true
            lostVotes += 1
        }
        return lostVotes >= FleetTerms.patience
    }

    /// It goes on failing, and the last asking is an interval old: everybody is asked again.
    public func isDueAgain(at now: WallTime) -> Bool {
        // Asked in what is the future by now: the clock of the store was set back.
        isDeserted || now - askedAt >= interval || askedAt - now > Self.clockTolerance
    }

    /// The electorate is fixed anew with each asking: who died since is replaced.
    public mutating func ask(again number: UInt64, of others: [String], at now: WallTime) {
        for index in electors.indices {
            if electors[index].word == nil, !isCut { electors[index].silences += 1 }
            // What withdrew or fell silent for good may come back with an answer.
            if electors[index].silences < FleetTerms.patience { electors[index].word = nil }
        }
        let known = Dictionary(electors.map { ($0.id, $0) }, uniquingKeysWith: { one, _ in one })
        electors = others.map { known[$0] ?? Elector(id: $0) }
        isDeserted = false
        isCut = false
        rounds += 1
        self.number = number
        askedAt = now
        isCounted = false
    }
}
