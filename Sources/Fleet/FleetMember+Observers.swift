// Which pairs of others does this agent look at, and what follows from what such agents find? The part of
// `FleetMember` that seats observers and hears them.

public import Health
public import Vocabulary

extension FleetMember {
    /// An observer of a pair says the same again after an interval: its word holds until that is there.
    static func life(ofWordOn plan: PairPlan, terms: FleetTerms) -> Nanoseconds {
        plan.schedule.interval + plan.schedule.timeout + terms.grace
    }

    /// Who looks at the pair beside its holder, the first first.
    public func observers(of pair: PairNumber) -> [String] {
        guard let plan = plan(of: pair), plan.observers > 1 else { return [] }
        let holder = claims.probes(pair) ? agent : presumedHolder(of: pair)
        let others = ownership.order(of: pair).lazy.map { ownership.id(of: $0) }
            .filter { $0 != holder && !isAmiss($0) }
        return Array(others.prefix(plan.observers - 1))
    }

    private func presumedHolder(of pair: PairNumber) -> String {
        if !holders[Int(pair)].isEmpty { return holders[Int(pair)] }
        let first = ownership.ranks(of: pair).first
        return first < 0 ? "" : ownership.id(of: first)
    }

    /// It does not beat in time, or doubts itself: another looks in its place.
    private func isAmiss(_ agent: String) -> Bool {
        membership.late[agent] != nil || membership.doubting[agent] != nil
    }

    /// How long after its holder's slots this agent should probe the pair; nil where it should not.
    private func offset(on pair: PairNumber) -> Nanoseconds? {
        guard let plan = plan(of: pair), plan.observers > 1, membership.isMember,
            membership.state == .working, !claims.probes(pair)
        else { return nil }
        let holder = presumedHolder(of: pair)
        var place = 1
        for member in ownership.order(of: pair) where place < plan.observers {
            let id = ownership.id(of: member)
            if id == agent {
                return Nanoseconds(
                    plan.schedule.interval.count / Int64(plan.observers) * Int64(place)
                )
            }
            if id != holder, !isAmiss(id) { place += 1 }
        }
        return nil
    }

    /// Takes and leaves seats where something is otherwise than it was. All of them in slices, as ranks are.
    mutating func seat(at now: Instant, into effects: inout [FleetEffect]) {
        if observers.shared.isEmpty && observers.awaited.isEmpty { return }
        let circumstances = Observers.Circumstances(
            era: membership.era,
            roster: membership.roster.number,
            amiss: Set(membership.late.keys).union(membership.doubting.keys),
            mayLook: membership.isMember && membership.state == .working
        )
        if circumstances != observers.circumstances {
            observers.circumstances = circumstances
            observers.cursor = 0
        }
        guard ownership.isSettled else { return }
        let some = observers.awaited.sorted()
        observers.awaited = []
        for pair in some { sit(on: pair, into: &effects) }
        let draws = max(ownership.members.count, 1)
        var budget = Ownership.sliceDraws / 4
        while observers.cursor < plans.count, budget > 0 {
            let pair = PairNumber(observers.cursor)
            observers.cursor += 1
            budget -= 1
            guard observers.shared.contains(pair) else { continue }
            budget -= draws
            sit(on: pair, into: &effects)
        }
    }

    var isSeated: Bool { observers.shared.isEmpty || observers.cursor >= plans.count }

    private mutating func sit(on pair: PairNumber, into effects: inout [FleetEffect]) {
        let offset = offset(on: pair)
        guard observers.sit(at: offset, on: pair) else { return }
        if offset == nil, !claims.probes(pair) { doubt.leave(pair) }
        effects.append(.observe(pair, after: offset))
    }

    /// It takes no part any more: seats are taken anew when it does.
    mutating func leaveSeats(into effects: inout [FleetEffect]) {
        for pair in observers.leaveAll() {
            // What it said is of before, and nobody asks it again.
            if !claims.probes(pair) { doubt.leave(pair) }
            effects.append(.observe(pair, after: nil))
        }
        observers.circumstances = nil
    }

    // MARK: Finding and telling

    /// A probe of a pair that this agent looks at beside its holder has ended. `published` is what readers have.
    public mutating func observed(
        _ found: Found,
        of pair: PairNumber,
        published: HealthCounter.Status?,
        because reason: Reason? = nil,
        begun: Instant,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let plan = plan(of: pair) else { return }
        if observers.offset(of: pair) != nil {
            note(found, of: pair, at: now, into: &effects)
        }
        noteSample(found, of: pair)
        settleDoubt(at: now)
        answer(pair, found, reason, begun: begun, at: now, into: &effects)
        let word: Vote.Word
        switch found {
        case .passes: word = .passes
        case .fails: word = .fails
        case .unsent, .nothing: return
        }
        let holder = presumedHolder(of: pair)
        guard !withholds(at: now), word == .passes || !isOfDoubt(begun, at: now),
            !isAway(at: now), membership.hasLease, !holder.isEmpty,
            holder != agent
        else { return }
        let time = clock.now(at: begun)
        let isToTell = observers.found(
            word,
            differs: word == (published == .down ? .passes : .fails),
            on: pair,
            at: time,
            life: Self.life(ofWordOn: plan, terms: terms)
        )
        guard isToTell else { return }
        // Who gave the pair away is heard, and has no vote: its word is of no epoch.
        let epoch = claims.abstains(from: pair, at: now) ? 0 : claims.epoch(of: pair)
        let vote = Vote(
            by: agent,
            word: word,
            epoch: epoch,
            number: Vote.unasked,
            at: time,
            reason: reason,
            about: plan.about
        )
        tell([.init(to: holder, .voted(plan.key, vote))], at: now, into: &effects)
    }

    /// An observer finds something else than what is published.
    mutating func told(
        _ vote: Vote,
        of pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let plan = plan(of: pair), plan.observers > 1, claims.probes(pair),
            vote.by != agent, rosterIDs.contains(vote.by),
            ofOurs(vote, pair, into: &effects).word != .abstains
        else { return }
        let life = Self.life(ofWordOn: plan, terms: terms)
        let isFirst = observers.take(vote, of: pair, life: life)
        if runs[pair]?.take(unasked: vote, at: clock.now(at: now)) == true {
            return weigh(pair, at: now, into: &effects)
        }
        // The others look already where a run of failures has begun.
        if isFirst, vote.word == .fails, runs[pair] == nil { effects.append(.look(pair)) }
    }

    /// The holder has probed the pair itself: does somebody who looks too find otherwise?
    mutating func compare(
        _ word: Vote.Word,
        on pair: PairNumber,
        _ plan: PairPlan,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        if plan.observers <= 1 { return }
        let others = observers.dissent(
            from: word,
            on: pair,
            at: clock.now(at: now),
            life: Self.life(ofWordOn: plan, terms: terms)
        )
        for other in others { effects.append(.say(.observerDiffers(pair, other, word))) }
    }

    /// What they said, and still holds.
    func observerVotes(on pair: PairNumber, at now: Instant) -> [Said] {
        guard let plan = plan(of: pair), plan.observers > 1 else { return [] }
        let life = Self.life(ofWordOn: plan, terms: terms)
        return observers.votes(on: pair, at: clock.now(at: now), life: life)
            .map { Said(agent: $0.by, word: $0.word, at: $0.at, reason: $0.reason) }
    }

    func hasDissent(on pair: PairNumber, at now: Instant) -> Bool {
        guard let plan = plan(of: pair), plan.observers > 1 else { return false }
        let life = Self.life(ofWordOn: plan, terms: terms)
        return observers.hasDissent(on: pair, at: clock.now(at: now), life: life)
    }
}
