// What is to be believed of what was found, here and by others? The part of `FleetMember` that takes outcomes and
// letters, and votes.

public import Health
public import Vocabulary

extension FleetMember {
    /// A probe of a pair that this agent probes has ended. `counter` is the count before it.
    public mutating func outcome(
        _ found: Found,
        of pair: PairNumber,
        because reason: Reason? = nil,
        counter: HealthCounter,
        begun: Instant,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) -> Ruling {
        guard let plan = plan(of: pair) else { return .ignore }
        noteMute(found, of: pair)
        note(found, of: pair, after: known(pair, counter), at: now, into: &effects)
        settleDoubt(at: now)
        sampleInSuspicion(at: now, into: &effects)
        answer(pair, found, reason, begun: begun, at: now, into: &effects)
        if case .fails = found { failures[pair] = reason }
        switch found {
        case .passes: compare(.passes, on: pair, plan, at: now, into: &effects)
        case .fails: compare(.fails, on: pair, plan, at: now, into: &effects)
        case .unsent, .nothing: break
        }
        if counter.status != .down {
            foundAlone.remove(pair)
            foundInFew.remove(pair)
        }
        guard case .fails(_, let isImmediate) = found else {
            if found == .passes {
                if foundAlone.contains(pair) { passedAlone(pair, counter) }
                runs[pair] = nil
                confirmed[pair] = nil
                failures[pair] = nil
                mass.end(pair, .passed)
            } else if found == .unsent || isUnseen(pair) {
                giveAwayUnheard(pair, at: now, into: &effects)
            }
            askWhoHears(pair, plan, at: now, into: &effects)
            return .count
        }
        let isAway = isAway(at: now)
        // Of a fleet that cannot be asked as of one that can: most of what it probes that falls silent as the store does is
        // a network that is gone, and no reason to find them all down.
        let hasOthers = membership.knowsOthers
        if counter.status == .down {
            // Somebody who sees should see it come back.
            if doubt.withholdsFailures(hasOthers: hasOthers, at: now) {
                giveAwayInDoubt(pair, at: now, into: &effects)
                return .count
            }
            // There are enough by now for a second opinion.
            if foundInFew.contains(pair), electorsWanted(of: plan) > 0, canTell {
                foundInFew.remove(pair)
                foundAlone.insert(pair)
            }
            if foundAlone.contains(pair), !isAway {
                ask(about: pair, plan, at: now, into: &effects)
                weigh(pair, at: now, into: &effects)
            }
            return .count
        }
        if doubt.withholdsFailures(hasOthers: hasOthers, at: now) {
            giveAwayInDoubt(pair, at: now, into: &effects)
            // It is not the world any more that keeps it as it was.
            mass.end(pair, .left)
            return .ignore
        }
        if doubt.isSilent(pair), isOfBlindness(pair, begun: begun, at: now) {
            runs[pair] = nil
            return .ignore
        }
        var next = counter
        let fall = next.observe(passed: false, isImmediate: isImmediate)?.to == .down
        if isAway {
            if runs[pair] == nil { begin(pair, electors: [], at: clock.now(at: now)) }
        } else {
            ask(about: pair, plan, at: now, into: &effects)
        }
        if doubt.isSilent(pair) { runs[pair]?.noteSilence(begun: begun, at: now) }
        if !fall { return .count }
        runs[pair]?.hold()
        if staysUnknown(pair, counter) || waitsForSample(pair, at: now, into: &effects) {
            return .hold
        }
        // Where nobody can be asked, waiting would be believing that all is well.
        let asksNobody = asksNobody(at: now)
        guard asksNobody || mayFall(pair, at: now, into: &effects) else { return .hold }
        if asksNobody, wasFoundAlone(pair, wanted: electorsWanted(of: plan), at: now) {
            foundAlone.insert(pair)
        } else if plan.confirm.basis == .byDefault, electorsWanted(of: plan) == 0,
            membership.hasOthers
        {
            foundInFew.insert(pair)
        }
        mass.end(pair, .fell)
        return .count
    }

    /// What was never said to be down need not be said to be up again, before it is.
    private mutating func passedAlone(_ pair: PairNumber, _ counter: HealthCounter) {
        var next = counter
        if next.observe(passed: true)?.to == .up { foundAlone.remove(pair) }
    }

    /// Why an outcome of the pair that was ruled upon so does not count; nil where it does.
    public func withheld(_ ruling: Ruling, of pair: PairNumber) -> Withheld? {
        switch ruling {
        case .count: nil
        case .hold: mass.holds(pair) ? .massChange : .unconfirmed
        case .ignore: .doubt
        }
    }

    mutating func note(
        _ found: Found,
        of pair: PairNumber,
        after known: Doubt.Known = .self,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        let wasSilent = doubt.isSilent(pair)
        switch found {
        case .passes: doubt.note(.answered, of: pair, after: known)
        case .fails(let isSilent, _):
            doubt.note(isSilent ? .silent : .answered, of: pair, after: known)
        case .unsent: doubt.note(.unsent, of: pair, after: known)
        case .nothing: break
        }
        if found != .nothing { mass.heard(pair, at: now) }
        noteQuiet(found, wasSilent ? nil : plan(of: pair)?.host, at: now)
        noteUnheard(found, of: pair, at: now, into: &effects)
    }

    /// The first outcome ever of a pair, where nothing at all has answered so far: that is a network that
    /// is not there yet, until it has lasted or others say the same.
    private func staysUnknown(_ pair: PairNumber, _ counter: HealthCounter) -> Bool {
        // Of others who are not back yet nobody can be asked, be the sample as small as it is.
        let isAwaiting = membership.expectsOthersUntil != nil && !membership.hasOthers
        guard counter.status == .unknown, let run = runs[pair],
            doubt.isBlind || isAwaiting && doubt.isUnanswered
        else { return false }
        if case .confirmed = run.tally, !run.electorate.isEmpty { return false }
        return run.held < counter.thresholds.fall
    }

    // MARK: Hearing

    public mutating func heard(
        _ hint: FleetHint,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        // Above what nobody has reached nothing could be claimed.
        guard FleetTerms.isEpoch(hint.epoch, at: clock.now(at: now)) else { return }
        switch hint {
        case .ceded(let key, let epoch, let from, let by):
            guard let pair = number(of: key) else { return }
            let wasStale = from <= clock.now(at: now) + Nanoseconds.milliseconds(1)
            guard claims.cede(pair, epoch: epoch, at: from) else { return }
            knownAlone.insert(pair)
            know(pair, isHeldBy: by, at: now)
            ceding.append(pair)
            effects.append(.stop(pair, at: from))
            if wasStale, !claims.abstains(from: pair, at: now) { notePairLost(pair, at: now) }
        case .offered(let key, let epoch, let by):
            guard let pair = number(of: key), membership.state == .working,
                epoch == Self.anyEpoch || epoch >= claims.epoch(of: pair)
            else { return }
            claims.note(epoch: epoch, of: pair)
            guard membership.isMember, !withholds(at: now), !claims.abstains(from: pair, at: now)
            else {
                // Nor is anybody else known to take it: as soon as this agent may it asks.
                if holders[Int(pair)] == by { holders[Int(pair)] = "" }
                return lookForHolder(of: pair, at: now)
            }
            claims.want(pair, .offer, holder: by)
        case .asked(_, let ask) where ask.by == agent:
            // Of a life before it may be any number.
            if ask.number <= askings { askingHeard = max(askingHeard, ask.number) }
            deafness.hear()
        case .asked(let key, let ask): asked(key, ask, at: now, into: &effects)
        case .voted(let key, let vote) where vote.number == Vote.unasked:
            if let pair = number(of: key) { told(vote, of: pair, at: now, into: &effects) }
        case .voted(let key, let vote):
            guard let pair = number(of: key) else { return }
            let vote = ofOurs(vote, pair, into: &effects)
            if runs[pair]?.take(vote) == true {
                weigh(pair, at: now, into: &effects)
            } else {
                hears(vote, of: pair, at: now, into: &effects)
            }
        }
        send(at: now, into: &effects)
    }

    /// Whoever looks at something else has no word on this pair, as if it did not know it. Where only what it asks is something
    /// else, that it passes is one: a file that is wrong at one agent takes nothing down.
    func ofOurs(_ vote: Vote, _ pair: PairNumber, into effects: inout [FleetEffect]) -> Vote {
        guard let plan = plan(of: pair), let here = plan.about, let there = vote.about,
            there != here
        else { return vote }
        effects.append(.say(.otherDefinition(pair, vote.by)))
        if there.whom == here.whom, vote.word == .passes { return vote }
        var vote = vote
        (vote.word, vote.reason) = (.abstains, nil)
        return vote
    }

    private mutating func asked(
        _ key: VerdictKey,
        _ ask: Ask,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        // That it has heard no answer for a while says nothing of a peer; and who asks can be told, as it could ask.
        guard let pair = number(of: key) else {
            return vote(.abstains, on: key, ask, at: clock.now(at: now), now, into: &effects)
        }
        claims.note(epoch: ask.epoch, of: pair)
        asks[pair, default: []].removeAll { $0.ask.by == ask.by }
        asks[pair, default: []].append((ask, now))
        effects.append(.look(pair))
    }

    /// A probe that was asked for (`look`) has ended. It says nothing of this agent's own count.
    public mutating func found(
        _ found: Found,
        of pair: PairNumber,
        because reason: Reason? = nil,
        begun: Instant,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        noteSample(found, of: pair)
        noteQuiet(found, nil, at: now)
        settleDoubt(at: now)
        answer(pair, found, reason, begun: begun, at: now, into: &effects)
    }

    mutating func answer(
        _ pair: PairNumber,
        _ found: Found,
        _ reason: Reason?,
        begun: Instant,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard !asks.isEmpty, let waiting = asks[pair], let key = plan(of: pair)?.key else { return }
        let time = clock.now(at: begun)
        // What began before the question was heard is no answer to it; by one's own clock, because that of
        // who asked may be ahead.
        let answered = waiting.filter { $0.heard <= begun }.map(\.ask)
        let rest = waiting.filter { $0.heard > begun }
        asks[pair] = rest.isEmpty ? nil : rest
        let word: Vote.Word =
            switch found {
            case .passes: .passes
            // It may be this agent that fails, or it is known to.
            case .fails where isOfDoubt(begun, at: now) || claims.abstains(from: pair, at: now):
                .abstains
            case .fails(silent: true, _) where isOfBlindness(pair, begun: begun, at: now): .abstains
            case .fails: .fails
            case .unsent, .nothing: .abstains
            }
        for ask in answered { vote(word, reason, on: key, ask, at: time, now, into: &effects) }
    }

    private mutating func vote(
        _ word: Vote.Word,
        _ reason: Reason? = nil,
        on key: VerdictKey,
        _ ask: Ask,
        at time: WallTime,
        _ now: Instant,
        into effects: inout [FleetEffect]
    ) {
        let vote = Vote(
            by: agent,
            word: word,
            epoch: ask.epoch,
            number: ask.number,
            at: time,
            reason: word == .abstains ? nil : reason,
            about: number(of: key).flatMap { plan(of: $0)?.about }
        )
        tell([.init(to: ask.by, .voted(key, vote))], at: now, into: &effects)
    }

    // MARK: What readers see

    /// A verdict of the pair was read: who wrote it holds it.
    public mutating func heard(
        verdictOf key: VerdictKey,
        by holder: String,
        epoch: UInt64,
        vouchedBy instance: UInt64 = 0,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let pair = number(of: key) else {
            // It was given back, and that got lost: nobody else would ever take it for unprobed.
            if instance == membership.instance {
                giveBack(key, epoch: epoch, at: now, into: &effects)
            }
            return
        }
        // Whoever vouched for it is gone by now, or as well cut off as this agent: nobody has taken the pair since.
        if instance > 0, holder != agent, !membership.hasOthers { membership.noteOthers(at: now) }
        guard epoch >= claims.epoch(of: pair), FleetTerms.isEpoch(epoch, at: clock.now(at: now))
        else { return }
        unheard.remove(pair)
        knownAlone.remove(pair)
        if holder != agent, case .held(let mine, _) = claims.hold(of: pair), epoch > mine {
            // It wrote under a later claim: the word of that got lost. Or it knows no claims.
            tellStranger(holder, pair, into: &effects)
            return hold(pair, by: holder, epoch: epoch, at: now, into: &effects)
        }
        claims.note(epoch: epoch, of: pair)
        if holder == agent { return }
        if instance == 0, rosterIDs.contains(holder), !claims.probes(pair) {
            // It may have been given back, and whom its agent offered it to may not define it: the store knows.
            if holders[Int(pair)] == holder {
                holders[Int(pair)] = ""
                lookForHolder(of: pair, at: now)
            }
            if holders[Int(pair)].isEmpty { return }
        }
        if holders[Int(pair)] == holder { return }
        know(pair, isHeldBy: holder, at: now)
        review(pair, at: now)
    }

    /// The pair's verdict is over and nobody renews it: nobody probes it, whatever the roster says.
    public mutating func orphaned(_ key: VerdictKey, at now: Instant) {
        guard let pair = number(of: key), !claims.probes(pair), membership.isMember,
            membership.state == .working, !claims.wants(pair)
        else { return }
        if postponed.contains(where: { $0.pair == pair }) { return }
        // Who holds it since then, and has said nothing, says nothing.
        let rank = ownership.order(of: pair).firstIndex(of: me) ?? 0
        unheard.insert(pair)
        postpone(pair, .offer, until: now + terms.rankStep * Int64(rank))
    }

    /// Requests find this peer failing. While others cannot be asked, this agent probes it itself until they can, whoever
    /// does beside it.
    public mutating func suspected(
        _ key: VerdictKey,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let pair = number(of: key), !claims.probes(pair), isAway(at: now) else { return }
        // At once: what its holder has begun of it nobody here knows.
        keep(pair, from: WallTime(milliseconds: 0), at: now, into: &effects)
        claims.want(pair, .keep)
    }

    /// The loop was kept from what was due for so long.
    public mutating func lagged(by span: Nanoseconds, at now: Instant) {
        doubt.note(lag: span, at: now)
    }
}
