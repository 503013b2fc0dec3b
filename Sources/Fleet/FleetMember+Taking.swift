// When does an agent take what nobody has, what another lets go, and what is its own by rank? The part of `FleetMember` that
// looks after pairs it does not probe.

import Health
import Vocabulary

extension FleetMember {
    // MARK: Wanting

    /// Whether this agent should claim the pair because it is the heir.
    mutating func review(_ pair: PairNumber, at now: Instant) {
        guard plan(of: pair) != nil else { return }
        let isHeir = me >= 0 && ownership.ranks(of: pair).first == me
        guard isHeir, membership.isMember, membership.state == .working,
            !stepsBack(from: pair, at: now)
        else { return claims.unwantShare(pair) }
        switch claims.hold(of: pair) {
        case .held, .kept: return claims.unwantShare(pair)
        case .ceding, .nothing: break
        }
        if shy.contains(pair), now < shyUntil { return postpone(pair, .rank, until: shyUntil) }
        claims.want(pair, .rank)
    }

    /// It lost the pair to somebody who sees it, and leaves it to others: for as long as one of them is well. A pair
    /// that nobody else can probe is better probed by one who may not see it.
    private func stepsBack(from pair: PairNumber, at now: Instant) -> Bool {
        claims.abstains(from: pair, at: now)
            && membership.roster.members.contains {
                $0.id != agent && watch.lateAgents[$0.id] == nil
            }
    }

    mutating func postpone(_ pair: PairNumber, _ reason: FleetCall.Reason, until time: Instant) {
        // Nearly always the last: from behind, or ten thousand of them would be looked through each time.
        let place = (postponed.lastIndex { $0.at <= time } ?? -1) + 1
        postponed.insert((time, pair, reason), at: place)
    }

    mutating func retry(at now: Instant) {
        guard let first = postponed.first, first.at <= now else { return }
        let due = postponed.prefix { $0.at <= now }
        postponed.removeFirst(due.count)
        for (_, pair, reason) in due where plan(of: pair) != nil {
            switch reason {
            case .rank: review(pair, at: now)
            case .keep: if case .kept = claims.hold(of: pair) { claims.want(pair, .keep) }
            case .offer:
                if unheard.remove(pair) != nil, !claims.probes(pair) {
                    wantOrphan(pair, at: now)
                }
            case .stale: watch.add(pair, at: clock.now(at: now))
            }
        }
    }

    /// Nobody seems to probe it: whoever claimed it so long ago and has said nothing since does not count.
    private mutating func wantOrphan(_ pair: PairNumber, at now: Instant) {
        guard let plan = plan(of: pair) else { return }
        let silence = plan.schedule.validityMax + terms.lease
        claims.want(pair, .offer, mark: clock.now(at: now) + -silence)
    }

    // MARK: What nobody has

    /// The roster is another: who was in it is known to those that are, and to nobody else.
    mutating func noteRoster(begunAnew: Set<String>, at now: Instant) {
        rosterIDs = Set(membership.roster.members.map(\.id))
        for number in plans.indices where plans[number] != nil {
            // What a former life held and never spoke of its next one does not know.
            if begunAnew.contains(holders[number]) { holders[number] = "" }
            lookForHolder(of: PairNumber(number), at: now)
        }
    }

    private func hasHolder(_ pair: PairNumber) -> Bool {
        let holder = holders[Int(pair)]
        return holder != agent && rosterIDs.contains(holder)
    }

    /// The heir may have another catalogue: a pair that nobody probes is taken by whoever defines it, after
    /// those that rank before have had their time.
    mutating func lookForHolder(of pair: PairNumber, at now: Instant) {
        guard weight > 0, membership.state == .working, !claims.probes(pair), !hasHolder(pair)
        else { return }
        let isLast = claims.abstention(from: pair) != nil
        let place = ownership.ranks(of: pair).place(of: me) ?? Self.lastPlace
        let steps = isLast ? lastRank + 1 : place
        let time = now + terms.unclaimedAfter + terms.rankStep * Int64(steps)
        unclaimed[isLast ? Self.outcastPlace : place].append((time, pair))
    }

    mutating func claimUnclaimed(at now: Instant, into effects: inout [FleetEffect]) {
        var due: [PairNumber] = []
        for place in unclaimed.indices {
            guard let first = unclaimed[place].first, first.at <= now else { continue }
            let those = unclaimed[place].prefix { $0.at <= now }
            due += those.map(\.pair)
            unclaimed[place].removeFirst(those.count)
        }
        if due.isEmpty { return }
        guard weight > 0, membership.state == .working else { return }
        if isAway(at: now) { return probeUnclaimed(due, at: now, into: &effects) }
        // As soon as it takes part the roster is looked at anew.
        guard membership.isMember else { return }
        for pair in due
        where plan(of: pair) != nil && !claims.probes(pair) && !claims.wants(pair)
            && !hasHolder(pair)
        {
            claims.want(pair, .offer)
        }
    }

    /// The store cannot say who probes them: whoever defines them does, until it can claim them. Who has just
    /// begun, or was answered within a lease, waits: that may be nothing but the way to the store.
    private mutating func probeUnclaimed(
        _ pairs: [PairNumber],
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        let from = max(began, membership.heardAt ?? began) + terms.lease
        for pair in pairs
        where plan(of: pair) != nil && !claims.probes(pair) && !hasHolder(pair) {
            if from >= now {
                unclaimed[Self.awaitedPlace].append((from + .milliseconds(1), pair))
                continue
            }
            keep(pair, at: now, into: &effects)
            claims.want(pair, .keep)
        }
    }

    /// Slots from now on are another's.
    mutating func endCedings(at now: Instant, into effects: inout [FleetEffect]) {
        if ceding.isEmpty { return }
        let time = clock.now(at: now)
        var rest: [PairNumber] = []
        for pair in ceding {
            guard case .ceding(_, let at) = claims.hold(of: pair) else { continue }
            if at > time {
                rest.append(pair)
                continue
            }
            _ = claims.drop(pair)
            effects.append(.stop(pair, at: time))
            letGo(of: pair)
            review(pair, at: now)
        }
        ceding = rest
    }

    // MARK: Taking over

    /// Looks at what late agents hold, when its time has come.
    mutating func takeOver(at now: Instant) {
        guard membership.isMember, ownership.isSettled, !isAway(at: now) else { return }
        let time = clock.now(at: now)
        while let pair = watch.due(at: time) {
            guard let (at, holder, mark) = takeover(of: pair) else { continue }
            if at > time {
                watch.add(pair, at: at)
            } else if !claims.probes(pair) {
                claims.want(pair, .stale, holder: holder, mark: mark)
            }
        }
    }

    /// It may be late already: those whose agent becomes late later are looked through then.
    mutating func know(_ pair: PairNumber, isHeldBy holder: String, at now: Instant) {
        holders[Int(pair)] = holder
        observers.reconsider(pair)
        if watch.lateAgents[holder] != nil, let (time, _, _) = takeover(of: pair) {
            watch.add(pair, at: time)
        }
        // Or have left.
        lookForHolder(of: pair, at: now)
    }

    /// When this agent would take the pair over, if its holder is late and nothing changes.
    func takeover(of pair: PairNumber) -> (WallTime, holder: String, mark: WallTime)? {
        guard let plan = plan(of: pair) else { return nil }
        let ranks = ownership.ranks(of: pair)
        let holder =
            !holders[Int(pair)].isEmpty
            ? holders[Int(pair)] : ranks.first >= 0 ? ownership.id(of: ranks.first) : ""
        guard holder != agent, let mark = watch.lateAgents[holder],
            let rank = rank(in: pair, after: holder)
        else { return nil }
        let at = Watch.takeover(
            mark: mark,
            beat: beat(of: pair),
            schedule: plan.schedule,
            rank: rank,
            terms: terms
        )
        return (at, holder, mark)
    }

    /// How many would take it before this agent. Of three that rank first, and of all where these are
    /// late: agents that die together must not leave what they all stand before. Of a claim under which nobody has
    /// spoken yet others know nothing, so whoever was told of it waits for none of them, wherever it ranks. Who gave the
    /// pair away because it may not see it comes last, and not never.
    private func rank(in pair: PairNumber, after holder: String) -> Int? {
        if claims.abstention(from: pair) != nil { return lastRank }
        if knownAlone.contains(pair) { return 0 }
        let ranks = ownership.ranks(of: pair)
        let places = [ranks.first, ranks.second, ranks.third].filter { $0 >= 0 }
        if let place = place(of: me, in: places, after: holder) { return place }
        let areAllLate = places.allSatisfy { watch.lateAgents[ownership.id(of: $0)] != nil }
        return areAllLate ? place(of: me, in: ownership.order(of: pair), after: holder) : nil
    }

    /// Behind all others but the holder.
    var lastRank: Int { max(rosterIDs.count - 2, 0) }

    private func place(of me: MemberNumber, in order: [MemberNumber], after holder: String) -> Int?
    {
        order.filter { ownership.id(of: $0) != holder }.firstIndex(of: me)
    }

    /// These agents are late as of now: their pairs are looked through, once.
    mutating func lookThrough(pairsOf late: [String], at now: Instant) {
        if late.isEmpty { return }
        for number in plans.indices where plans[number] != nil {
            let pair = PairNumber(number)
            if claims.probes(pair) { continue }
            guard let (at, holder, _) = takeover(of: pair), late.contains(holder) else { continue }
            watch.add(pair, at: at)
        }
    }
}
