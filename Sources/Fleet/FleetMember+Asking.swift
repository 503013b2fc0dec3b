// Do others see it fail too, and is that enough? The part of `FleetMember` that asks about pairs that fail here, and
// counts what is answered.

public import Health
public import Vocabulary

extension FleetMember {
    mutating func begin(_ pair: PairNumber, electors: [String], at time: WallTime) {
        guard let plan = plan(of: pair) else { return }
        askings += 1
        runs[pair] = FailingRun(
            rule: plan.confirm,
            owner: agent,
            epoch: claims.publishableEpoch(of: pair) ?? 0,
            ownerVotes: true,
            electors: electors,
            number: askings,
            interval: plan.schedule.interval + plan.schedule.timeout,
            at: time
        )
    }

    /// Once a failing run, and then once an interval for as long as others do not agree.
    mutating func ask(
        about pair: PairNumber,
        _ plan: PairPlan,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        let time = clock.now(at: now)
        if var run = runs[pair] {
            let isLonely = run.electorate.isEmpty
            let isEnough = !isLonely && (run.isBacked || !foundAlone.contains(pair))
            if case .confirmed = run.tally, isEnough { return }
            guard isLonely || run.isDueAgain(at: time) else { return }
            let others = electors(for: pair, plan)
            // Begun when nobody could be asked: one's own word is no quorum any more where somebody can.
            if isLonely && others.isEmpty { return }
            // Whoever did not hear itself heard nobody.
            if run.number > askingHeard { run.noteCut() }
            askings += 1
            run.ask(again: askings, of: others, at: time)
            runs[pair] = run
        } else {
            begin(pair, electors: electors(for: pair, plan), at: time)
        }
        // Who looks at it too, and said lately what it sees, need not be asked.
        let said = observers.votes(
            on: pair,
            at: time,
            life: plan.schedule.interval + plan.schedule.timeout
        )
        for vote in said { _ = runs[pair]?.take(unasked: vote, at: time) }
        guard let run = runs[pair], !run.silent.isEmpty else { return }
        let ask = Ask(by: agent, epoch: run.epoch, number: run.number, askedAt: time)
        let letters = (run.silent + [agent]).map { FleetCall.Letter(to: $0, .asked(plan.key, ask)) }
        deafness.ask(at: now, again: terms.lease + plan.schedule.interval)
        tell(letters, at: now, into: &effects)
    }

    /// How many others have a vote before it goes down, where so many are well.
    public func electorsWanted(of pair: PairNumber) -> Int {
        plan(of: pair).map { min(electorsWanted(of: $0), max(ownership.members.count - 1, 0)) } ?? 0
    }

    /// How many others should have a vote on it.
    func electorsWanted(of plan: PairPlan) -> Int {
        plan.confirm.electors(
            beside: plan.observers - 1,
            of: max(company.size, membership.roster.members.count)
        )
    }

    /// Where all others doubt themselves, they: that a peer passes is no less true for it.
    private func electors(for pair: PairNumber, _ plan: PairPlan) -> [String] {
        let wanted = electorsWanted(of: plan)
        let well = wellOnes(on: pair, atMost: wanted)
        return well.isEmpty ? ones(on: pair, atMost: wanted) { _ in true } : well
    }

    /// In rank order, of those that beat in time and do not doubt.
    func wellOnes(on pair: PairNumber, atMost count: Int) -> [String] {
        ones(on: pair, atMost: count) { membership.doubting[$0] == nil }
    }

    private func ones(
        on pair: PairNumber,
        atMost count: Int,
        _ isWanted: (String) -> Bool
    ) -> [String] {
        if count == 0 { return [] }
        let others = ownership.order(of: pair).map { ownership.id(of: $0) }
            .filter { $0 != agent && membership.late[$0] == nil && isWanted($0) }
        return Array(others.prefix(count))
    }

    // MARK: Weighing

    /// Votes have come, or electors have gone: is it enough now?
    mutating func weigh(
        _ pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let run = runs[pair] else { return }
        switch run.tally {
        case .open: return
        // What was found before counts no more than what is found now: the next failure says whether it still is so.
        case .confirmed where doubt.withholdsFailures(hasOthers: membership.hasOthers, at: now):
            return
        case .confirmed where foundAlone.contains(pair):
            // While those that could be asked doubt themselves it waits. They may not know the peer at all.
            let isAsked =
                run.isBacked || run.rounds >= FleetTerms.patience || isAlone(at: now)
                || membership.hasOthers
                    && plan(of: pair).map { electorsWanted(of: $0) == 0 } ?? true
            guard isAsked, mayFall(pair, at: now, into: &effects) else { return }
            foundAlone.remove(pair)
            runs[pair] = nil
            mass.end(pair, .fell)
            said(pair)
        case .confirmed:
            guard run.held > 0, mayFall(pair, at: now, into: &effects) else { return }
            runs[pair] = nil
            mass.end(pair, .fell)
            effects.append(.fall(pair))
        case .lost: noteLost(pair, at: now, into: &effects)
        }
    }

    /// The quorum, and then the guard against too much at once.
    mutating func mayFall(
        _ pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) -> Bool {
        guard let run = runs[pair] else { return true }
        switch run.tally {
        case .open: return false
        case .lost:
            noteLost(pair, at: now, into: &effects)
            return false
        case .confirmed(let count, let size):
            if !run.electorate.isEmpty {
                confirmed[pair] = Confirmed(count: count, size: size, votes: run.votes)
            }
        }
        // A peer that refuses has answered: that is the peer, and no network between.
        if !doubt.isSilent(pair) { return true }
        if isOfBlindness(run) { return false }
        if waitsForSample(pair, at: now, into: &effects) { return false }
        let wasHolding = mass.isHolding
        let may = mass.mayFall(
            pair,
            of: claims.heldCount,
            isSilent: doubt.isSilent || doubt.isWorld,
            hasOthers: membership.hasOthers,
            at: now
        )
        if !may && !wasHolding { effects.append(.say(.massHeld)) }
        return may
    }

    mutating func noteLost(
        _ pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard var run = runs[pair], case .lost(let passes, let size) = run.tally else { return }
        let before = run.lostVotes
        let isEnough = run.noteLost()
        runs[pair] = run
        if run.lostVotes != before {
            effects.append(.say(.disagreement(pair, passes: passes, of: size)))
        }
        if isEnough, let successor = run.successor {
            giveAway(pair, to: successor, because: .outvoted, at: now, into: &effects)
        }
    }

    // MARK: What people see

    /// Found down while nobody could be asked, and told to nobody yet.
    public var unconfirmed: [VerdictKey] { foundAlone.compactMap { plan(of: $0)?.key } }

    public func isUnconfirmed(_ pair: PairNumber) -> Bool { foundAlone.contains(pair) }

    /// What was asked of a pair that is failing, or down.
    public struct Asking: Sendable {
        public var votes: [Said]
        /// So many of so many saw it fail, and took it down.
        public var confirmed: (count: Int, size: Int)?
        /// Others see otherwise.
        public var isLost: Bool
    }

    /// Of the pairs of this agent about which somebody was asked: all, or a few, those that are not decided first.
    public func questions(
        atMost limit: Int = .max,
        at now: Instant
    ) -> [(pair: VerdictKey, asking: Asking)] {
        var pairs = runs.keys.sorted().prefix(limit)
        pairs += observers.toldPairs.filter { runs[$0] == nil }.prefix(limit - pairs.count)
        let seen = Set(pairs)
        pairs += confirmed.keys.filter { !seen.contains($0) }.sorted().prefix(limit - pairs.count)
        return pairs.compactMap { pair in
            guard let key = plan(of: pair)?.key else { return nil }
            let votes = votes(on: pair, at: now)
            let tally = confirmed[pair].map { (count: $0.count, size: $0.size) }
            if votes.isEmpty && tally == nil { return nil }
            let isLost = runs[pair].map { $0.lostVotes > 0 } ?? false
            return (
                key,
                Asking(
                    votes: votes,
                    confirmed: tally,
                    isLost: isLost || hasDissent(on: pair, at: now)
                )
            )
        }
    }

    /// What others said of the pair, asked or because they look at it too, and this agent beside those that were asked.
    public func votes(on pair: PairNumber, at now: Instant) -> [Said] {
        // What took it down stays told while it is down.
        let run = runs[pair].flatMap { $0.electorate.isEmpty ? nil : $0.votes }
        let own = Said(agent: agent, word: .fails, reason: failures[pair])
        let asked = (run ?? confirmed[pair]?.votes).map { [own] + $0 } ?? []
        let said = observerVotes(on: pair, at: now)
        // Whoever was asked and spoke since means that.
        return asked.map { one in
            said.first { $0.agent == one.agent && $0.isLater(than: one) } ?? one
        } + said.filter { one in !asked.contains { $0.agent == one.agent } }
    }
}
