// What does an agent do that cannot see? It gives what it cannot see to those who do not say the same, and then it
// has nothing left that could answer: a few targets of others show it when it sees again. The part of `FleetMember`
// that doubts its own network.

import Health
import Vocabulary

struct Blindness: Sendable {
    /// Of which doubt all that was silent has been given away.
    var givenAwayFor: Instant?
    /// When what nobody took is offered again.
    var offersAgainAt = Instant(nanoseconds: .min)
    /// When this life was first answered, or in a new era.
    var backAt = Instant(nanoseconds: 0)
    /// When most of what it probes was silent no more, or the last doubt ended because it sees.
    var sawAt: Instant?
    var wasSilent = false
    var quiet = Quiet()
    /// When the last doubt ended.
    var endedAt: Instant?
    /// The doubt that is on began soon after another.
    var isAgain = false
    /// Targets of others that are being tried, and how many of how many have answered.
    var sample = Set<PairNumber>()
    var (answers, size) = (0, 0)
    var samplesAt = Instant(nanoseconds: .min)
    /// Its own that are asked at once, because many others fell silent and these were not heard since.
    var unheard = Unheard()

    struct Unheard: Sendable {
        var pairs = Set<PairNumber>()
        var answers = 0
        var silences = 0
        var againAt = Instant(nanoseconds: .min)
    }

    /// Who is offered a pair claims it at once, or cannot.
    static let offersEvery = Nanoseconds.seconds(1)
    /// However long the intervals are.
    static let sampleEvery = Nanoseconds.seconds(1)...Nanoseconds.seconds(10)
}

extension FleetMember {
    /// Keeps since when it doubts itself, and what follows from the end of that.
    mutating func settleDoubt(at now: Instant) {
        let before = doubt.since
        doubt.settle(hasOthers: membership.knowsOthers, at: now)
        if blindness.wasSilent || before != nil && doubt.since == nil, !doubt.isSilent {
            blindness.sawAt = now
        }
        blindness.wasSilent = doubt.isSilent
        if before == nil, doubt.since != nil {
            blindness.isAgain = blindness.endedAt.map { now - $0 < terms.abstention } ?? false
        } else if before != nil, doubt.since == nil {
            blindness.endedAt = now
            blindness.sample = []
            passedOn = [:]
            // A network that comes and goes would have its pairs go to and fro.
            if !blindness.isAgain { claims.endDoubt(until: now + terms.settle) }
        }
    }

    /// It was not alone in its life before, as it says itself.
    public mutating func expectOthers(at now: Instant) {
        membership.expectOthers(until: now + FleetTerms.othersKnown)
    }

    /// What was known of the pair before this agent asked it.
    func known(_ pair: PairNumber, _ counter: HealthCounter) -> Doubt.Known {
        switch counter.status {
        case .up: .up
        case .unknown: .nothing
        case .down: foundAlone.contains(pair) ? .self : .down
        }
    }

    /// Nobody could be asked when it was taken down, as far as this agent knows: it has not heard from the store yet, or
    /// knows of others that it would ask. What has answered was not down for that.
    func wasFoundAlone(_ pair: PairNumber, wanted electors: Int, at now: Instant) -> Bool {
        if electors > 0 || membership.knowsOthers { return true }
        return membership.acknowledged == nil
            && (doubt.isSilent(pair) || now - began > terms.lease)
    }

    /// Nobody else takes part, and whoever did before has had the time to come back.
    func isAlone(at now: Instant) -> Bool {
        !membership.hasOthers && now >= blindness.backAt + terms.settle
    }

    /// It began while this agent doubted itself, or does so still: a failure says nothing of the peer.
    func isOfDoubt(_ begun: Instant, at now: Instant) -> Bool {
        withholds(at: now) || blindness.endedAt.map { begun < $0 } ?? false
    }

    /// It began when this agent saw nothing, and that is over: it says nothing of the peer, and alone it would have had nobody
    /// to be compared with.
    func isOfBlindness(_ pair: PairNumber, begun: Instant, at now: Instant) -> Bool {
        isOfBlindness(begun, silentSince: runs[pair]?.silence?.since ?? now)
    }

    /// The last of its failures did.
    func isOfBlindness(_ run: FailingRun) -> Bool {
        run.silence.map { isOfBlindness($0.begun, silentSince: $0.since) } ?? false
    }

    private func isOfBlindness(_ begun: Instant, silentSince since: Instant) -> Bool {
        membership.knowsOthers
            && (blindness.sawAt.map { begun < $0 } ?? false
                || blindness.quiet.covers(silentSince: since, begun: begun))
    }

    /// When others are to look at what fails here; nil where it does not doubt itself.
    var givesAwayFrom: Instant? {
        // However long it was late before: whether the others see the same takes its time from here.
        if let since = doubt.networkSince { return since + terms.secondThoughts }
        return doubt.since.map { $0 + terms.lease }
    }

    /// What is silent does not wait for its next failure.
    mutating func giveAwayUnseen(at now: Instant, into effects: inout [FleetEffect]) {
        guard let since = doubt.networkSince ?? doubt.since, blindness.givenAwayFor != since,
            let from = givesAwayFrom, now >= from, canTell, !isAway(at: now)
        else { return }
        blindness.givenAwayFor = since
        blindness.offersAgainAt = now + Blindness.offersEvery
        for pair in claims.probed where isUnseen(pair) {
            giveAwayInDoubt(pair, at: now, into: &effects)
        }
    }

    /// What says nothing in silence (an agent that is asked beside other checks) may well speak to another.
    func isUnseen(_ pair: PairNumber) -> Bool {
        doubt.isSilent(pair) || doubt.networkSince != nil && mutes[pair] != nil
    }

    /// Whoever was offered it may have been unable to take it, or never have had the letter, and its next failure may be a long
    /// interval away: what has waited longest, a call of it at a time.
    mutating func offerAgain(at now: Instant, into effects: inout [FleetEffect]) {
        guard now >= blindness.offersAgainAt, let since = doubt.networkSince ?? doubt.since,
            blindness.givenAwayFor == since, canTell, !isAway(at: now)
        else { return }
        blindness.offersAgainAt = now + Blindness.offersEvery
        let waiting = claims.probed.filter { isUnseen($0) }
            .map { (at: passedOn[$0]?.at ?? .init(nanoseconds: .min), pair: $0) }
            .sorted { ($0.at, $0.pair) < ($1.at, $1.pair) }
        for (_, pair) in waiting.prefix(FleetTerms.batch) {
            giveAwayInDoubt(pair, again: true, at: now, into: &effects)
        }
    }

    /// It holds nothing that could answer: it tries a few of others, now and then.
    mutating func sampleOthers(at now: Instant, into effects: inout [FleetEffect]) {
        guard claims.heldCount == 0, doubt.since != nil, now >= blindness.samplesAt,
            doubt.isOfNetwork(hasOthers: membership.knowsOthers, at: now), !plans.isEmpty
        else { return }
        var sample = Set<PairNumber>()
        var longest = Blindness.sampleEvery.lowerBound
        for _ in 0..<FleetTerms.sampleMax * 4 where sample.count < FleetTerms.sampleMax {
            let pair = PairNumber(Int.random(in: plans.indices, using: &dice))
            guard let plan = plan(of: pair) else { continue }
            sample.insert(pair)
            longest = max(longest, plan.schedule.interval)
        }
        blindness.sample = sample
        (blindness.answers, blindness.size) = (0, sample.count)
        blindness.samplesAt = now + min(longest, Blindness.sampleEvery.upperBound)
        for pair in sample.sorted() { effects.append(.look(pair)) }
    }

    /// Something was heard, or not. `host` is that of what was not silent before.
    mutating func noteQuiet(_ found: Found, _ host: UInt64?, at now: Instant) {
        switch found {
        case .passes, .fails(silent: false, immediate: _): blindness.quiet.noteAnswer(at: now)
        case .fails, .unsent: if let host { blindness.quiet.noteFall(on: host) }
        case .nothing: break
        }
    }

    /// Any answer proves the network, be it that the target refuses.
    mutating func noteSample(_ found: Found, of pair: PairNumber) {
        guard blindness.sample.remove(pair) != nil else { return }
        switch found {
        case .passes, .fails(silent: false, immediate: _): blindness.answers += 1
        case .fails, .unsent, .nothing: break
        }
        doubt.sampled(answers: blindness.answers, of: blindness.size)
    }

    // MARK: Suspicion

    /// Many fell silent, or all that were heard since the first did, and a few of those that were not heard since will show
    /// whether it is this agent: until then none of the silent is taken down.
    private var isSuspicious: Bool {
        (doubt.isSuspicious || doubt.isDark) && membership.knowsOthers
    }

    /// Nothing has answered since many fell silent, be it that others were heard in between. Where all see the same that is
    /// for `mass-change`.
    private func isQuiet(at now: Instant) -> Bool {
        membership.knowsOthers && !doubt.isWorld
            && blindness.quiet.isMass(at: now, atMost: terms.lease)
    }

    mutating func waitsForSample(
        _ pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) -> Bool {
        guard doubt.isSilent(pair), isSuspicious || isQuiet(at: now) else { return false }
        sampleUnheard(at: now, into: &effects)
        return true
    }

    /// As soon as many fell silent.
    mutating func sampleInSuspicion(at now: Instant, into effects: inout [FleetEffect]) {
        if doubt.isSuspicious, isSuspicious { sampleUnheard(at: now, into: &effects) }
    }

    /// Asks a few of its own at once, and others when these were asked in vain.
    private mutating func sampleUnheard(at now: Instant, into effects: inout [FleetEffect]) {
        guard now >= blindness.unheard.againAt else { return }
        var candidates = plans.indices.map { PairNumber($0) }.filter { doubt.isUnheard($0) }
        if candidates.isEmpty {
            candidates = plans.indices.map { PairNumber($0) }.filter { doubt.isAnswering($0) }
        }
        var sample = Set<PairNumber>()
        var longest = Nanoseconds.zero
        while sample.count < FleetTerms.sampleMax, !candidates.isEmpty {
            candidates.swapAt(
                Int.random(in: candidates.indices, using: &dice),
                candidates.count - 1
            )
            let pair = candidates.removeLast()
            guard let plan = plan(of: pair) else { continue }
            sample.insert(pair)
            longest = max(longest, plan.schedule.timeout)
        }
        let pause = min(
            max(longest + FleetTerms.sampleGrace, Blindness.sampleEvery.lowerBound),
            Blindness.sampleEvery.upperBound
        )
        blindness.unheard = .init(pairs: sample, againAt: now + pause)
        for pair in sample.sorted() { effects.append(.look(pair)) }
    }

    /// One of these was heard, or was not. What waited for that goes on with the first that decides.
    mutating func noteUnheard(
        _ found: Found,
        of pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard blindness.unheard.pairs.remove(pair) != nil else { return }
        switch found {
        case .passes, .fails(silent: false, immediate: _): blindness.unheard.answers += 1
        case .fails, .unsent: blindness.unheard.silences += 1
        case .nothing: break
        }
        let (answers, silences) = (blindness.unheard.answers, blindness.unheard.silences)
        let size = answers + silences + blindness.unheard.pairs.count
        // Before the last is in, where that can change nothing any more.
        guard size > 0, answers * 2 > size || silences * 2 >= size else { return }
        blindness.unheard.pairs = []
        doubt.sampledUnheard(answers: answers, of: size)
        if doubt.isSilent { return }
        for pair in runs.keys.sorted() where runs[pair].map({ $0.held > 0 }) ?? false {
            weigh(pair, at: now, into: &effects)
        }
    }
}
