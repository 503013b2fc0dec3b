// What follows from what the store answered, or did not? The part of `FleetMember` that hears replies.

import Health
public import Vocabulary

extension FleetMember {
    /// The store answered a call.
    public mutating func replied(
        _ number: CallNumber,
        _ reply: FleetReply,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let (calling, sent) = end(number) else { return }
        switch (reply, calling) {
        case (.beaten(let answer), _): beaten(answer, sent: sent, at: now, into: &effects)
        case (.claimed(_, let time, let answers), .claim(let batch)):
            clock.take(store: time, sent: sent, received: now)
            for (asked, answer) in zip(batch, answers) {
                claimed(asked.pair, asked.claim, answer, time, at: now, into: &effects)
            }
        case (.published(let answers), .publish(let batch)):
            for (asked, answer) in zip(batch, answers) {
                published(asked.pair, asked.epoch, answer, at: now, into: &effects)
            }
        case (.done, .tell(let letters)):
            untoldSince = nil
            told(letters, into: &effects)
        case (.refused(let refusal), _):
            again(calling, at: now)
            refused(refusal, at: now, into: &effects)
        case (.done, .release): break
        default: again(calling, at: now)
        }
        send(at: now, into: &effects)
    }

    /// The call may have arrived, or may not, or will.
    public mutating func lost(
        _ number: CallNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let (calling, _) = end(number) else { return }
        isCut = true
        forgetLetters()
        for pair in runs.keys { runs[pair]?.noteCut() }
        beatsUnasked = FleetTerms.beatsToAsk
        if case .claim(let batch) = calling {
            // It may hold them since: better probed twice than by nobody.
            for (pair, claim) in batch {
                guard plan(of: pair)?.key == claim.pair else {
                    giveBackLater(claim.pair, epoch: Self.anyEpoch)
                    continue
                }
                claims.settle(pair)
                // Nor does it know what whoever had it has missed.
                keep(pair, from: WallTime(milliseconds: 0), at: now, into: &effects)
                claims.want(pair, .keep)
            }
        } else {
            again(calling, at: now)
        }
    }

    /// The store refused the call itself, as an ACL does. What the script did before is not known.
    public mutating func refused(
        _ number: CallNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        if case .tell? = calls[number]?.calling { untoldSince = untoldSince ?? now }
        lost(number, at: now, into: &effects)
    }

    /// The store did nothing, because it takes no writes now: of nobody.
    public mutating func unwritten(
        _ number: CallNumber,
        at now: Instant
    ) {
        guard let (calling, _) = end(number) else { return }
        isCut = true
        forgetLetters()
        for pair in runs.keys { runs[pair]?.noteCut() }
        again(calling, at: now)
    }

    /// What was called for is still to be done.
    private mutating func again(_ calling: Calling, at now: Instant) {
        switch calling {
        case .beat, .other: break
        case .tell: loseOffers()
        case .release(let key, let epoch): giveBackLater(key, epoch: epoch)
        case .claim(let batch):
            for (pair, claim) in batch where plan(of: pair)?.key == claim.pair {
                claims.settle(pair)
                // The roster by which it was the heir may be another by now.
                if claim.reason == .rank {
                    review(pair, at: now)
                } else {
                    claims.want(pair, claim.reason, holder: claim.holder, mark: claim.mark)
                }
            }
        case .publish(let batch):
            for (pair, _, _) in batch where plan(of: pair) != nil { said(pair) }
        }
    }

    // MARK: Beats

    private mutating func beaten(
        _ answer: FleetReply.BeatAnswer,
        sent: Instant,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        let wasMember = membership.isMember
        let isFirst = membership.era == 0
        let isNewEra = !isFirst && membership.era != answer.era
        if isNewEra, let era = lostEra(after: answer) {
            membership.remember(era: era)
            isCut = true
            return beatSoon(at: now)
        }
        isCut = false
        // What was asked while it was away is not answered.
        if isAway(at: now) { deafness.hear() }
        clock.take(store: answer.time, sent: sent, received: now, anew: isNewEra)
        let change = membership.answered(answer, sent: sent)
        doubt.note(storeAway: isAway(at: now))
        isRosterOld = false
        if isFirst || isNewEra { blindness.backAt = now }
        if isNewEra {
            effects.append(.say(.newEra(answer.era)))
            guardedUntil = now + terms.lease
            keepEverything()
        } else if isFirst, claims.heldCount > 0 {
            keepEverything()
        }
        if let roster = change.roster {
            ownership.take(roster.members)
            looksAnew = true
        }
        if membership.isMember && !wasMember {
            effects.append(
                .say(.tookPart(roster: answer.roster, size: answer.size))
            )
        }
        // A roster's changes come out of `advance`; these are looked at here, once.
        if isNewEra || membership.isMember != wasMember {
            for number in plans.indices { review(PairNumber(number), at: now) }
        }
        if change.roster != nil || isNewEra || membership.isMember != wasMember {
            noteRoster(begunAnew: change.begunAnew, at: now)
        }
        let silent = membership.doubting.values.count { $0 }
        doubt.note(silentAgents: silent, of: answer.size)
        dropElectors(at: now, into: &effects)
        lookThrough(pairsOf: watch.take(membership.late), at: now)
    }

    /// Whoever began this era knew nothing of one in between, which was later: what is written now would lie below what was
    /// read then. Said once, should the store not believe it.
    private func lostEra(after answer: FleetReply.BeatAnswer) -> UInt64? {
        let epoch = claims.latestEpoch
        let reach = FleetTerms.claimsMax(ofEra: answer.era, at: answer.time)
        let isLater = epoch > membership.era && epoch > answer.era && epoch - answer.era > reach
        // Above a hand's word there may be no later one: then all would go on to begin eras for it, in turn.
        let next = epoch + FleetTerms.eraStep + FleetTerms.eraSpread
        return isLater && next <= FleetTerms.latestEra(at: answer.time) ? epoch : nil
    }

    private mutating func keepEverything() {
        claims.keepAll()
        ceding = []
        runs = [:]
        deafness.hear()
    }

    /// Who beats no more has no vote.
    private mutating func dropElectors(at now: Instant, into effects: inout [FleetEffect]) {
        if runs.isEmpty || membership.late.isEmpty { return }
        for pair in runs.keys.sorted() {
            guard let run = runs[pair] else { continue }
            for elector in run.electorate where isGone(elector, at: now) {
                if runs[pair]?.gone(elector) == true { weigh(pair, at: now, into: &effects) }
            }
        }
    }

    /// No member any more, or late by a lease.
    private func isGone(_ agent: String, at now: Instant) -> Bool {
        if !membership.roster.members.contains(where: { $0.id == agent }) { return true }
        return membership.late[agent].map { clock.now(at: now) - $0 > terms.lease } ?? false
    }

    private mutating func refused(
        _ refusal: FleetReply.Refusal,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        switch refusal {
        case .roster: isRosterOld = true
        // Any further call would be refused the same way.
        case .era, .lease, .expired, .twin, .taken, .format: isCut = true
        }
        let change = membership.refused(
            refusal,
            lease: terms.lease,
            dice: &dice,
            at: now
        )
        if let format = change.newerFormat { effects.append(.say(.newerFormat(format))) }
        if change.isDoubled { effects.append(.say(.doubled)) }
        if change.isReborn {
            forgetCalls()
            if case .taken = refusal {
                dropAll(at: now, into: &effects)
            } else {
                keepEverything()
            }
        }
        // Whatever it was, the next beat's answer tells how things are.
        switch refusal {
        case .taken, .format: break
        case .era, .lease, .roster, .expired, .twin: beatSoon(at: now)
        }
    }

    // MARK: Claims

    private mutating func claimed(
        _ pair: PairNumber,
        _ claim: FleetCall.Claim,
        _ answer: FleetReply.ClaimAnswer,
        _ time: WallTime,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let plan = plan(of: pair), plan.key == claim.pair else {
            if case .granted(let epoch, _, _, _) = answer {
                // Defined no more since it was asked for.
                giveBack(claim.pair, epoch: epoch, at: now, into: &effects)
            }
            return
        }
        claims.settle(pair)
        let soon = now + terms.lateAfter
        switch answer {
        case .granted, .held: claims.pause(pair, until: now + terms.beat)
        case .fresh, .joining, .frozen: break
        }
        switch answer {
        case .granted(let epoch, _, _, _) where epoch < claims.epoch(of: pair):
            // Somebody claimed it after this, and the word of that came before the answer.
            if claims.drop(pair) {
                effects.append(.stop(pair, at: clock.now(at: now)))
                letGo(of: pair)
                // Or nobody did, and what was heard of was a hand's.
                lookForHolder(of: pair, at: now)
            }
            review(pair, at: now)
        case .granted(let epoch, let instant, let begun, let verdict):
            // What is its own at once is so by its own clock, which may be behind the store's while it is slewed.
            let from = instant <= time ? min(instant, clock.now(at: now)) : instant
            _ = claims.grant(pair, epoch: epoch, from: from)
            holders[Int(pair)] = agent
            shy.remove(pair)
            unheard.remove(pair)
            knownAlone.remove(pair)
            runs[pair] = nil
            observers.reconsider(pair)
            // A slot that its holder before missed is not left out: the next may be a long interval away.
            let first = min(begun, from)
            effects.append(.probe(pair, from: first, epoch: epoch, resuming: verdict))
            // Others know it as down already: that is no word which somebody should have been asked about before.
            if verdict?.status == .down { foundAlone.remove(pair) }
            if claim.reason == .keep { said(pair) }
        case .held(let holder, let epoch):
            if holder != agent, epoch > claims.epoch(of: pair) { knownAlone.insert(pair) }
            hold(pair, by: holder, epoch: epoch, at: now, into: &effects)
            guard holder != agent, rosterIDs.contains(holder), unheard.insert(pair).inserted
            else { return }
            // Its first word under this claim is written, whatever that is.
            let word = plan.schedule.interval + plan.schedule.timeout + terms.unclaimedAfter
            postpone(pair, .offer, until: now + word)
        case .fresh:
            if claim.reason == .stale { watch.add(pair, at: clock.now(at: soon)) }
            // It may be its heir all the same.
            review(pair, at: now)
        case .joining:
            if claim.reason == .offer, !unheard.insert(pair).inserted { return }
            postpone(pair, claim.reason, until: soon)
        case .frozen:
            // So are all others: none is claimed before.
            guardedUntil = max(guardedUntil, now + terms.beat)
            if claim.reason == .rank {
                review(pair, at: now)
            } else {
                claims.want(pair, claim.reason, holder: claim.holder, mark: claim.mark)
            }
        }
    }

    /// Another holds it, and this agent's slots are over.
    mutating func hold(
        _ pair: PairNumber,
        by holder: String,
        epoch: UInt64,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        claims.note(epoch: epoch, of: pair)
        know(pair, isHeldBy: holder, at: now)
        if claims.drop(pair) {
            effects.append(.stop(pair, at: clock.now(at: now)))
            letGo(of: pair)
            notePairLost(pair, at: now)
        }
        review(pair, at: now)
        lookForHolder(of: pair, at: now)
    }

    /// Lost to somebody who found this agent late: not pulled back at once.
    mutating func notePairLost(_ pair: PairNumber, at now: Instant) {
        let isHeir = me >= 0 && ownership.isSettled && ownership.ranks(of: pair).first == me
        guard isHeir, membership.state == .working else { return }
        shy.insert(pair)
        shyUntil = now + terms.settle
    }

    // MARK: Publishing

    private mutating func published(
        _ pair: PairNumber,
        _ epoch: UInt64,
        _ answer: FleetReply.PublishAnswer,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard plan(of: pair) != nil else { return }
        switch answer {
        case .written, .known: break
        case .held(let holder, let other, let writer):
            // It was granted anew meanwhile: what was refused is of the past.
            if let mine = claims.publishableEpoch(of: pair), mine > epoch { return said(pair) }
            if holder == agent {
                // Written under a later epoch by somebody who knows no claims, or under this very one by somebody's hand:
                // above that one, then.
                claims.note(epoch: max(other, epoch + 1), of: pair)
                claims.want(pair, .offer, holder: agent)
                said(pair)
            } else if rosterIDs.contains(holder) {
                if other > claims.epoch(of: pair) { knownAlone.insert(pair) }
                hold(pair, by: holder, epoch: other, at: now, into: &effects)
            } else {
                // Another program wrote there, or somebody who is gone, or the claim was given back meanwhile, as by a
                // word that was on its way when the pair was defined anew: nobody would probe it.
                tellStranger(writer, pair, into: &effects)
                claims.keepAgain(pair)
                said(pair)
            }
        }
    }
    /// An empty name is that of nobody: no word of somebody else lies there.
    func tellStranger(
        _ holder: String,
        _ pair: PairNumber,
        into effects: inout [FleetEffect]
    ) {
        if holder.isEmpty || rosterIDs.contains(holder) { return }
        effects.append(.say(.stranger(holder, pair)))
    }
}
