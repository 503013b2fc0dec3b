// Who probes this pair, and why that one? For those who ask why a peer is as it is.

import Fleet
public import Health
public import Store
public import Vocabulary

public struct PairExplanation: Hashable, Sendable {
    /// What an agent said of the pair when it was asked last.
    public struct Vote: Hashable, Sendable {
        public var agent: String
        /// Nil while it has not answered.
        public var status: String?
        /// What it saw, as HAProxy says it; nil where it abstains, or did not say.
        public var reason: String?
        /// When it probed, by the clock of the store.
        public var at: WallTime?

        public init(
            agent: String,
            status: String?,
            reason: String? = nil,
            at: WallTime? = nil
        ) {
            self.agent = agent
            self.status = status
            self.reason = reason
            self.at = at
        }

        init(_ said: Said) {
            self.init(
                agent: said.agent,
                status: said.word?.rawValue,
                reason: said.reason?.rawValue,
                at: said.at
            )
        }

        /// As programs are told of it.
        public var json: JSON {
            .object([
                .init("agent", .string(agent)),
                .init("status", JSON(status)),
                .init("reason", JSON(reason)),
                .init("at", at.map { .string($0.description) } ?? .null),
            ])
        }
    }

    /// Empty where nobody is known to probe it.
    public var owner: String
    public var why: String
    /// The agents that would probe it, the first first.
    public var rank: [String]
    /// By this machine's clock.
    public var nextAt: WallTime?
    public var votes: [Vote]
    /// How many others are asked before it goes down.
    public var confirmAgents: Int
    /// Who looks at it beside its owner.
    public var observers: [String]

    public init(
        owner: String,
        why: String,
        rank: [String],
        nextAt: WallTime?,
        votes: [Vote] = [],
        confirmAgents: Int = 0,
        observers: [String] = []
    ) {
        self.owner = owner
        self.why = why
        self.rank = rank
        self.nextAt = nextAt
        self.votes = votes
        self.confirmAgents = confirmAgents
        self.observers = observers
    }
}

extension PairExplanation {
    fileprivate func noting(_ note: String?) -> PairExplanation {
        guard let note else { return self }
        var explanation = self
        explanation.why += "; \(note)"
        return explanation
    }
}

/// What agents said of a pair that one of them probes.
public struct PairVotes: Hashable, Sendable {
    public var votes: [PairExplanation.Vote]
    /// `2 of 3`: so many saw it fail, and took it down.
    public var confirmed: String?
    /// Others see otherwise than the one that probes it.
    public var isLost: Bool
    /// This agent found it down while nobody could be asked: others do not hear of it before they were.
    public var isUnconfirmed = false

    public init(votes: [PairExplanation.Vote], confirmed: String?, isLost: Bool) {
        self.votes = votes
        self.confirmed = confirmed
        self.isLost = isLost
    }
}

extension PairVotes {
    /// As another agent tells it.
    public init(_ question: FleetReport.Question) {
        self.init(
            votes: question.votes.map {
                .init(agent: $0.agent, status: $0.status, reason: $0.reason, at: $0.at)
            },
            confirmed: question.confirmed,
            isLost: question.isLost
        )
    }
}

/// This agent's part among others.
public struct FleetStatus: Hashable, Sendable {
    public var state: FleetReport.State
    public var weight: Double
    public var doubt: Double
    /// Why it doubts itself, as in `/v1/agents`, and the same for people.
    public var reasons: [String]
    public var words: [String]
    public var doubtSince: WallTime?
    public var hold: FleetReport.Hold?
    /// Agents that share the probing.
    public var members: Int
    public var counts: FleetDesk.Counts
    public var isAway: Bool
    /// Who writes verdicts and takes no part.
    public var older: [FleetReport.Older] = []
    /// What the clock of the store shows; this machine's, while that is not known.
    public var time: WallTime?
    public var lease: Nanoseconds?
    public var settle: Nanoseconds?
}

extension Scheduler {
    public var now: Moment { loop.moment }

    public var fleetStatus: FleetStatus? {
        guard let fleet else { return nil }
        return FleetStatus(
            state: fleet.state,
            weight: fleet.setting.weight,
            doubt: fleet.doubt,
            reasons: fleet.reasons.map(\.rawValue),
            words: fleet.reasonWords,
            doubtSince: fleet.doubtSince,
            hold: fleet.hold,
            members: fleet.member.membership.roster.members.count,
            counts: fleet.counts,
            isAway: fleet.isAway,
            older: fleet.older,
            time: fleet.time(at: loop.instant),
            lease: fleet.setting.terms.lease,
            settle: fleet.setting.terms.settle
        )
    }

    /// Of pairs about which somebody was asked: a few.
    public var votes: [VerdictKey: PairVotes] {
        var votes: [VerdictKey: PairVotes] = [:]
        for (key, asking) in fleet?.member.questions(at: loop.instant) ?? [] {
            guard let row = index[key], shares[row].isHeld else { continue }
            votes[key] = PairVotes(
                votes: asking.votes.map { .init($0) },
                confirmed: asking.confirmed.map { "\($0.count) of \($0.size)" },
                isLost: asking.isLost
            )
        }
        for key in fleet?.member.unconfirmed ?? [] {
            guard let row = index[key], shares[row].isHeld else { continue }
            votes[key, default: PairVotes(votes: [], confirmed: nil, isLost: false)].isUnconfirmed =
                true
        }
        return votes
    }

    /// Nil where there is no such pair.
    public func explain(_ key: VerdictKey) -> PairExplanation? {
        guard let row = index[key] else { return nil }
        let now = loop.moment
        guard let fleet else {
            return PairExplanation(
                owner: door.agent,
                why: "this agent shares with nobody: without a Redis it probes everything",
                rank: [door.agent],
                nextAt: nextTime(of: key, at: now)
            )
            .noting(delayWords(of: row, at: now))
        }
        let member = fleet.member
        let pair = shares[row].pair
        let rank = member.rank(of: pair)
        let isHere = isProbedHere(row)
        let owner = isHere ? fleet.setting.agent : member.holder(of: pair)
        let isOver = door.verdict(of: rows[row]).map { $0.expiresAt < now.wall } ?? false
        var explanation = PairExplanation(
            owner: owner,
            why: why(owner, rank, pair, isHere: isHere, isOver: isOver),
            rank: rank,
            nextAt: nil
        )
        if isHere {
            explanation.nextAt = nextTime(of: key, at: now)
        } else if !owner.isEmpty {
            // Its slots are the same everywhere.
            let time = fleet.time(at: now.instant)
            let slot = rows[row].beat.next(after: time, every: rows[row].monitor.schedule.interval)
            explanation.nextAt = now.wall + (slot - time)
        }
        explanation = explanation.noting(note(on: row, owner, at: now))
            .noting(doubtWords(of: owner))
        explanation.votes = member.votes(on: pair, at: now.instant).map { .init($0) }
        explanation.confirmAgents = member.electorsWanted(of: pair)
        explanation.observers = member.observers(of: pair)
        return explanation
    }

    /// Wake-ups are gathered: one that was meant for a moment ago comes now.
    private func nextTime(of key: VerdictKey, at now: Moment) -> WallTime? {
        nextProbe(of: key).map { now.wall + max($0 - now.instant, .zero) }
    }

    /// What there is to say of its next probe beside the time.
    private func note(on row: Int, _ owner: String, at now: Moment) -> String? {
        guard let fleet else { return nil }
        if isProbedHere(row) {
            let isUnconfirmed = fleet.member.isUnconfirmed(shares[row].pair)
            return delayWords(of: row, at: now)
                ?? (isUnconfirmed
                    ? "it was found down while nobody else could be asked, and the others hear of that when enough of "
                        + "them see the same" : nil)
        }
        if let mark = fleet.member.membership.late[owner] {
            return "\(owner) is late: what was due from \(mark) on has not begun"
        }
        if isGone(owner) {
            return "nothing that was due at \(owner) has begun since it fell silent"
        }
        guard let verdict = door.verdict(of: rows[row]) else {
            return "nothing that it said is about the pair as it is defined here"
        }
        guard verdict.expiresAt < now.wall else { return nil }
        return "nothing was heard of the pair since \(verdict.checkedAt), and that is over"
    }

    /// That it is first in rank, say, is no reason why nothing is heard of the pair.
    private func doubtWords(of owner: String) -> String? {
        guard let fleet, !owner.isEmpty else { return nil }
        let isOwn = owner == fleet.setting.agent
        // That it does not hear the store is told already, and of others nothing is known then.
        let reasons = isOwn ? fleet.reasons.filter { $0 != .store } : []
        let doubts =
            isOwn
            ? !reasons.isEmpty : !fleet.isAway && fleet.member.membership.doubting[owner] != nil
        if !doubts { return nil }
        let why = reasons.isEmpty ? "" : " (\(reasons.map(\.rawValue).joined(separator: ", ")))"
        return "\(owner) doubts itself\(why): what fails there does not count, and is offered to "
            + "others"
    }

    /// It is out of the roster, and nobody has taken over yet what it probed.
    private func isGone(_ owner: String) -> Bool {
        guard let fleet, !fleet.isAway, !owner.isEmpty else { return false }
        let members = fleet.member.membership.roster.members
        return !members.isEmpty && !members.contains { $0.id == owner }
    }

    /// Who should take it. Nobody says what others define: it takes whoever does, and where nobody has by the time at
    /// which its last word is over, nobody does.
    private func heirWords(_ rank: [String], isOverdue: Bool = false) -> String {
        guard let first = rank.first else { return "nobody else shares the probing" }
        if isOverdue {
            return
                "nobody took it over: none of those that share the probing (\(rank.joined(separator: ", "))) "
                + "defines it, as it seems"
        }
        return first == fleet?.setting.agent
            ? "\(first) is first in rank and takes it over"
            : "\(first) is first in rank and takes it over, if it defines it"
    }

    private func why(
        _ owner: String,
        _ rank: [String],
        _ pair: PairNumber,
        isHere: Bool,
        isOver: Bool
    ) -> String {
        guard let fleet else { return "" }
        if fleet.isTaken {
            let holder =
                owner.isEmpty
                ? "who does is not known here" : "\(owner) held the claim when it was last heard"
            if let waits = fleet.waitWords {
                return "nobody here probes it yet: \(waits); \(holder)"
            }
            return
                "this process does not probe it: another one with agent.id '\(fleet.setting.agent)' is alive; \(holder)"
        }
        if owner.isEmpty {
            return "nobody is known to probe it yet; \(heirWords(rank))"
        }
        if let words = fleet.newerWords {
            let what =
                isHere
                ? "goes on with what it had" : "held the claim when this agent last took part"
            return "\(owner) \(what): \(words)"
        }
        if isHere, fleet.isAway {
            let why = fleet.isUnwritable ? "takes no writes" : "does not answer"
            return "\(owner) goes on with what it had: the store \(why)"
        }
        if fleet.isAway {
            let end = fleet.isUnwritable ? "last took writes" : "was last heard"
            return "\(owner) held the claim when the store \(end)"
        }
        if isGone(owner) {
            return
                "\(owner) held the claim, and is not among those that share the probing any more; "
                + heirWords(rank, isOverdue: isOver)
        }
        guard let first = rank.first else { return "\(owner) holds the claim" }
        if first == owner {
            let size = rank.count
            return "\(owner) is first in rank of \(size) agent\(size == 1 ? "" : "s")"
        }
        if first == fleet.setting.agent, let (until, parting) = fleet.abstains(from: pair) {
            return
                "\(owner) holds the claim: this agent, which is first in rank, gave it away because "
                + partingWords(parting, until)
        }
        return "\(owner) holds the claim; \(first) is first in rank and has not claimed it, "
            + "because it lost it lately, was voted down on it, doubts itself, has just come, or does not define it"
    }

    private func partingWords(_ parting: Parting, _ until: WallTime) -> String {
        switch parting {
        case .outvoted: "it failed here only, and claims it no sooner than \(until)"
        case .unheard: "it said nothing here, and claims it no sooner than \(until)"
        case .doubt:
            "it doubted itself; it claims it some seconds after it does not any more, or at \(until)"
        }
    }
}
