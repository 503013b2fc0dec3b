// What is to be believed of what was found, here and by others? The part of `FleetMember` that weighs
// outcomes, asks, votes and gives pairs away.

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
        if counter.status != .down { foundAlone.remove(pair) }
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
            } else if foundAlone.contains(pair), !isAway {
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

    // MARK: Asking

    private mutating func begin(_ pair: PairNumber, electors: [String], at time: WallTime) {
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
    private mutating func ask(
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
        tell(letters, at: now, into: &effects)
    }

    /// How many others have a vote before it goes down, where so many are well.
    public func electorsWanted(of pair: PairNumber) -> Int {
        plan(of: pair).map { min(electorsWanted(of: $0), max(ownership.members.count - 1, 0)) } ?? 0
    }

    /// How many others should have a vote on it.
    private func electorsWanted(of plan: PairPlan) -> Int {
        plan.confirm.electors(
            beside: plan.observers - 1,
            of: membership.roster.members.count
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
    private mutating func mayFall(
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

    private mutating func noteLost(
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

    /// Offers the pair, and probes it until the other has claimed it.
    mutating func giveAway(
        _ pair: PairNumber,
        to successor: String,
        because parting: Parting,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        // Without a store there is nobody to give it to, and nobody who would hear that.
        guard canTell, let plan = plan(of: pair), let epoch = claims.publishableEpoch(of: pair)
        else { return }
        // What was lost by votes does not come back sooner for a doubt.
        let before = claims.abstains(from: pair, at: now) ? claims.parting(from: pair) : nil
        claims.abstain(
            from: pair,
            until: now + terms.abstention,
            because: parting == .doubt ? before ?? .doubt : parting
        )
        let letter = FleetCall.Letter(to: successor, .offered(plan.key, epoch: epoch, by: agent))
        offers[pair] = Offer(
            to: successor,
            parting: parting,
            isRepeated: parting == .doubt && passedOn[pair]?.isAgain ?? false
        )
        if parting == .doubt { passedOn[pair, default: PassedOn()].note(successor, at: now) }
        tell([letter], at: now, into: &effects)
        (runs[pair], mutes[pair]) = (nil, nil)
        mass.end(pair, .left)
    }

    /// A pair that is being given away: said to people when the store has heard of it.
    struct Offer: Sendable {
        var to: String
        var parting: Parting
        /// All were offered it before.
        var isRepeated = false
        /// The letter was lost, or was never sent: to be given away again.
        var isLost = false
    }

    /// They may not define it, or may not have heard of it, or could not take it then.
    struct PassedOn: Sendable {
        var to = Set<String>()
        var at = Instant(nanoseconds: .min)
        /// None of them took it, and they are offered it once more.
        var isAgain = false

        fileprivate mutating func note(_ agent: String, at now: Instant) {
            to.insert(agent)
            at = now
        }

        fileprivate mutating func beginAgain() {
            to = []
            isAgain = true
        }
    }

    /// The store has these letters.
    mutating func told(_ letters: [FleetCall.Letter], into effects: inout [FleetEffect]) {
        if offers.isEmpty { return }
        for letter in letters {
            guard case .offered(let key, _, _) = letter.words, let pair = number(of: key),
                let offer = offers[pair], offer.to == letter.to
            else { continue }
            offers[pair] = nil
            if offer.isRepeated { continue }
            effects.append(.say(.gaveAway(pair, to: offer.to, because: offer.parting)))
        }
    }

    /// Nobody knows whether the store has what was to be told.
    mutating func loseOffers() {
        for pair in offers.keys { offers[pair]?.isLost = true }
    }

    /// Doubting for a while already: somebody who does not should look at what fails here. Where whoever it was offered to has
    /// not taken it by its next failure the next in rank is offered it, each once; `again`: all of them anew, as whoever could
    /// not take it then may be able to by now.
    mutating func giveAwayInDoubt(
        _ pair: PairNumber,
        again isAgain: Bool = false,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let from = givesAwayFrom, now >= from, !isAway(at: now),
            case .held = claims.hold(of: pair)
        else { return }
        let isLost = offers[pair]?.isLost ?? false
        if offers[pair] != nil, !isLost { return }
        if let passed = passedOn[pair], !isLost, now - passed.at < terms.rankStep { return }
        let well = wellOnes(on: pair, atMost: .max)
        let before = isLost ? [] : passedOn[pair]?.to ?? []
        var successor = well.first { !before.contains($0) }
        if successor == nil, isAgain {
            passedOn[pair]?.beginAgain()
            successor = well.first
        }
        guard let successor else { return }
        giveAway(pair, to: successor, because: .doubt, at: now, into: &effects)
    }

    /// It said nothing, or was not even asked. Where this agent has doubted itself for a while, it came back to it, as its heir, before it
    /// can send again.
    private mutating func giveAwayUnheard(
        _ pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        let hasOthers = membership.knowsOthers && !isAway(at: now)
        guard doubt.withholdsFailures(hasOthers: hasOthers, at: now) else { return }
        giveAwayInDoubt(pair, at: now, into: &effects)
    }

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
