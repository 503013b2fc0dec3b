// How does one agent take its part? Everything of the protocol that is decided in a process passes this
// one value: events go in with a moment, effects come out, and its shells (Redis, scheduler, board)
// decide nothing. docs/FLEET.md says why each rule is as it is.
//
//   outcome, reply, lost, heard, pairs, tick ──► FleetMember ──► call, probe, stop, vote, fall, say, wake

public import Health
public import Vocabulary

/// One (monitor, peer) as the protocol sees it.
public struct PairPlan: Hashable, Sendable {
    public var key: VerdictKey
    public var schedule: Schedule
    public var confirm: ConfirmRule
    /// How many agents probe it: its holder, and so many less one beside it.
    public var observers: Int
    /// Who is asked without being one of many: two targets on one host fall together.
    public var host: UInt64

    public init(
        key: VerdictKey,
        schedule: Schedule,
        confirm: ConfirmRule = ConfirmRule(),
        observers: Int = 1,
        host: UInt64 = 0
    ) {
        self.key = key
        self.schedule = schedule
        self.confirm = confirm
        self.observers = observers
        self.host = host
    }

    public var beat: Beat { Beat(monitor: key.monitor, peer: "\(key.upstream)/\(key.peer)") }
}

/// What one probe found, as far as the protocol is concerned.
public enum Found: Hashable, Sendable {
    case passes
    /// `silent`: not a byte came, not even a reset.
    case fails(silent: Bool, immediate: Bool)
    /// Nothing went out: this agent's own sockets failed. It says nothing of the peer, and something of the agent.
    case unsent
    /// Says nothing of the peer.
    case nothing

    public init(_ outcome: Outcome) {
        switch outcome.verdict {
        case .pass, .warn: self = .passes
        case _ where outcome.isUnsent: self = .unsent
        case .neutral: self = .nothing
        // Trouble of this agent's own.
        case .fail where outcome.reason == .socketError: self = .nothing
        case .fail: self = .fails(silent: outcome.isSilence, immediate: outcome.isImmediate)
        }
    }
}

extension Outcome {
    /// No permission, no address, no such family: what a firewall, a route that prohibits, and ports that are used up say.
    fileprivate var isUnsent: Bool {
        let codes = [1, 13, 97, 99]
        return reason == .socketError && code.map { codes.contains($0) } == true
    }

    /// Nothing came from the target: no byte, and no reset either. Two errors of the kernel say the same.
    fileprivate var isSilence: Bool {
        let (networkUnreachable, hostUnreachable) = (101, 113)
        switch reason {
        case .layer4Timeout, .resolver: return true
        case .layer4Connect: return code == networkUnreachable || code == hostUnreachable
        default: return false
        }
    }
}

/// What becomes of an outcome.
public enum Ruling: Hashable, Sendable {
    /// It counts.
    case count
    /// It would take the peer down, and others have not said yet that they see the same.
    case hold
    /// This agent doubts itself: as if it had not been.
    case ignore
}

public typealias CallNumber = UInt64

public enum FleetEffect: Hashable, Sendable {
    /// In this order, on one connection.
    case call(CallNumber, Signature, FleetCall)
    /// Probe the pair at each of its slots from then on; at once if one of them has passed already, which nobody began. Go
    /// on from this verdict's count where it is newer than what is known.
    case probe(PairNumber, from: WallTime, epoch: UInt64, resuming: Verdict?)
    /// Slots from then on are not this agent's.
    case stop(PairNumber, at: WallTime)
    /// Probe it once, now, and report with `found`.
    case look(PairNumber)
    /// Probe it beside its holder, so long after each of its slots, and report with `observed`; nil: no more.
    case observe(PairNumber, after: Nanoseconds?)
    /// Count the failure that was held: enough others see it.
    case fall(PairNumber)
    case say(FleetWord)
    /// The clean stop is over.
    case finished
}

/// What people should hear of.
public enum FleetWord: Hashable, Sendable {
    case tookPart(roster: UInt64, size: Int)
    case stoodStill(Nanoseconds)
    case doubled
    case newEra(UInt64)
    case newerFormat(Int)
    case disagreement(PairNumber, passes: Int, of: Int)
    /// One that looks at it too finds otherwise than this agent, which finds so.
    case observerDiffers(PairNumber, String, Vote.Word)
    /// Somebody who takes no part wrote a verdict of a pair that this agent holds, under a later epoch.
    case stranger(String, PairNumber)
    /// `inDoubt`: nobody knows yet whether the other sees it, only that this agent may not.
    case gaveAway(PairNumber, to: String, inDoubt: Bool)
    case massHeld
    /// What was held is not any more, after so long.
    case massOver(MassChange.Hold, lasted: Nanoseconds)
}

public struct FleetMember: Sendable {
    public let agent: String
    public let terms: FleetTerms
    public let weight: Double

    public internal(set) var membership: Membership
    public internal(set) var clock: StoreClock
    public internal(set) var ownership = Ownership()
    public internal(set) var claims = Claims()
    public internal(set) var doubt = Doubt()
    var watch = Watch()
    public internal(set) var observers = Observers()
    public internal(set) var mass: MassChange
    var dice: Dice

    // MARK: Pairs

    private(set) var plans: [PairPlan?] = []
    private var beats: [Beat] = []
    private var numbers: [VerdictKey: PairNumber] = [:]
    private var free: [PairNumber] = []
    /// Who last published a verdict of the pair, or claimed it; empty where nobody is known.
    var holders: [String] = []

    // MARK: Words

    var runs: [PairNumber: FailingRun] = [:]
    /// How many of how many saw it fail, of pairs that are down or about to be.
    var confirmed: [PairNumber: Confirmed] = [:]
    /// What is being given away, until the store has heard of it.
    var offers: [PairNumber: Offer] = [:]
    /// To whom what it may not see was offered, of pairs that nobody has taken since.
    var passedOn: [PairNumber: PassedOn] = [:]
    /// What the latest failure of a pair that fails here was.
    var failures: [PairNumber: Reason] = [:]
    /// Taken down while nobody could be asked: no word of them goes out before others were.
    var foundAlone = Set<PairNumber>()
    /// Questions that wait for a probe of ours.
    var asks: [PairNumber: [(ask: Ask, heard: Instant)]] = [:]
    var askings: UInt64 = 0
    /// The latest of its own questions that came back to it: until then it heard what is said to it.
    var askingHeard: UInt64 = 0
    private var sequence: UInt64 = 0
    private var dirty: [PairNumber] = []
    private var isDirty = Set<PairNumber>()

    struct Confirmed: Sendable {
        var count: Int
        var size: Int
        /// Of the others, as they were then.
        var votes: [Said]
    }

    /// What is to be given back as soon as there is a store.
    private var returned: [VerdictKey: UInt64] = [:]
    /// Under whichever epoch this life holds it: none is as early.
    static let anyEpoch: UInt64 = 0
    /// Of what is left out the store says so when it is read again.
    private static let returnedMax = 100_000

    // MARK: Calls

    enum Calling: Sendable {
        case beat
        case claim([(pair: PairNumber, claim: FleetCall.Claim)])
        case publish([(pair: PairNumber, epoch: UInt64, sequence: UInt64)])
        case release(VerdictKey, epoch: UInt64)
        case tell([FleetCall.Letter])
        case other
    }

    var calls: [CallNumber: (calling: Calling, sent: Instant)] = [:]
    private var lastCall: CallNumber = 0
    private var nextBeatAt: Instant
    private var isBeating = false
    /// Beats since one asked which server answers.
    var beatsUnasked = FleetTerms.beatsToAsk
    private var isClaiming = false
    private var isPublishing = false
    private var isTelling = false
    /// What is to be told, in the order in which it came.
    private var letters: [FleetCall.Letter] = []
    /// The roster is not the one that the store has: no claim by it.
    var isRosterOld = false
    /// The last call was lost: until a beat is answered, nothing but beats.
    var isCut = false
    /// In a new era first those who probe already claim.
    var guardedUntil: Instant

    private var lastTick: Instant
    /// This life, or the last time that this process stood still.
    var began: Instant
    /// As of the last tick.
    private var wasAway = true
    var ceding: [PairNumber] = []
    var blindness = Blindness()
    /// Refused for a reason that passes by itself.
    var postponed: [(at: Instant, pair: PairNumber, reason: FleetCall.Reason)] = []
    /// Whoever is said to hold these has not spoken since: it may know nothing of it.
    var unheard = Set<PairNumber>()
    /// Another has these by a claim under which it has not spoken: its word would tell all others, and so far this agent
    /// may be the only one that was told.
    var knownAlone = Set<PairNumber>()
    /// Pairs of which nobody is known to probe them: to be looked at again, one line for each place in rank
    /// and the soonest first.
    private var unclaimed: [[(at: Instant, pair: PairNumber)]] = [[], [], [], [], [], []]
    /// Of who is none of the three that rank first, of what waits for the store to be away for a lease, and of what this
    /// agent gave away.
    private static let (lastPlace, awaitedPlace, outcastPlace) = (3, 4, 5)
    var rosterIDs: Set<String> = []
    /// Ranks are being found anew: when each pair of a late agent is to be taken over follows from them.
    var looksAnew = false
    /// Lost by standing still: not taken back before.
    var shyUntil: Instant
    var shy = Set<PairNumber>()
    private var leavesBy: Instant?
    private var isFinished = false

    public init(
        agent: String,
        weight: Double = 1,
        terms: FleetTerms = FleetTerms(),
        massChange: MassChange.Rule = MassChange.Rule(),
        dice: Dice,
        at now: Moment
    ) {
        var dice = dice
        self.agent = agent
        self.weight = weight
        self.terms = terms
        membership = Membership(agent: agent, dice: &dice)
        clock = StoreClock(at: now)
        mass = MassChange(rule: massChange)
        self.dice = dice
        nextBeatAt = now.instant
        lastTick = now.instant
        began = now.instant
        shyUntil = now.instant
        guardedUntil = now.instant
    }

    // MARK: Reading

    public func number(of key: VerdictKey) -> PairNumber? { numbers[key] }
    public func plan(of pair: PairNumber) -> PairPlan? {
        plans.indices.contains(Int(pair)) ? plans[Int(pair)] : nil
    }
    public func holder(of pair: PairNumber) -> String { holders[Int(pair)] }
    /// The agents that would hold the pair, the first first.
    public func rank(of pair: PairNumber) -> [String] {
        ownership.order(of: pair).map { ownership.id(of: $0) }
    }
    public var me: MemberNumber { ownership.number(of: agent) ?? -1 }
    func beat(of pair: PairNumber) -> Beat { beats[Int(pair)] }

    public func isAway(at now: Instant) -> Bool {
        membership.isAway(at: now, lease: terms.lease)
    }

    /// What it finds is not to be believed, for whatever reason.
    public func withholds(at now: Instant) -> Bool {
        doubt.value(hasOthers: membership.knowsOthers, at: now) >= Doubt.withheldFrom
    }

    // MARK: Pairs come and go

    @discardableResult
    public mutating func define(_ plan: PairPlan, at now: Instant) -> PairNumber {
        let number: PairNumber
        if let known = numbers[plan.key] {
            number = known
            let hostBefore = plans[Int(number)]?.host
            plans[Int(number)] = plan
            observers.define(number, observers: plan.observers)
            if hostBefore != plan.host { doubt.define(number, host: plan.host) }
            return number
        }
        if let reused = free.popLast() {
            number = reused
            plans[Int(number)] = plan
            beats[Int(number)] = plan.beat
            holders[Int(number)] = ""
        } else {
            number = PairNumber(plans.count)
            plans.append(plan)
            beats.append(plan.beat)
            holders.append("")
        }
        numbers[plan.key] = number
        ownership.define(number, key: Ownership.key(of: plan.key))
        claims.define(number)
        observers.define(number, observers: plan.observers)
        doubt.define(number, host: plan.host)
        review(number, at: now)
        lookForHolder(of: number, at: now)
        return number
    }

    /// It is defined no more here. Others may still have it: its claim is given back.
    public mutating func remove(
        _ key: VerdictKey,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let number = numbers.removeValue(forKey: key) else { return }
        let epoch = claims.publishableEpoch(of: number)
        if claims.drop(number) {
            effects.append(.stop(number, at: clock.now(at: now)))
            // What it probed without knowing may be its own all the same: the answer to its claim was lost.
            giveBack(key, epoch: epoch ?? Self.anyEpoch, at: now, into: &effects)
        }
        claims.forget(number)
        letGo(of: number)
        observers.forget(number)
        ownership.remove(number)
        confirmed[number] = nil
        foundAlone.remove(number)
        asks[number] = nil
        offers[number] = nil
        shy.remove(number)
        unheard.remove(number)
        knownAlone.remove(number)
        plans[Int(number)] = nil
        free.append(number)
    }

    /// What is not defined here any more is nobody's, and is offered to the next in rank: which of them still define it
    /// is not known here.
    mutating func giveBack(
        _ key: VerdictKey,
        epoch: UInt64,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard membership.hasLease, !isCut else { return giveBackLater(key, epoch: epoch) }
        call(
            .release([.init(pair: key, epoch: epoch)]),
            .release(key, epoch: epoch),
            at: now,
            into: &effects
        )
        let order = ownership.order(byKey: Ownership.key(of: key)).map { ownership.id(of: $0) }
        let letters = order.filter { $0 != agent }.prefix(Ownership.ranked).map {
            FleetCall.Letter(to: $0, .offered(key, epoch: epoch, by: agent))
        }
        if letters.isEmpty { return }
        tell(letters, at: now, into: &effects)
    }

    /// With the next beat that is answered.
    mutating func giveBackLater(_ key: VerdictKey, epoch: UInt64) {
        if returned.count < Self.returnedMax { returned[key] = epoch }
    }

    /// What could not be given back while there was no store.
    private mutating func sendReturned(at now: Instant, into effects: inout [FleetEffect]) {
        if returned.isEmpty { return }
        // In an order that chance has no part in.
        let pairs = returned.sorted { ($0.value, $0.key.peer) < ($1.value, $1.key.peer) }
        returned = [:]
        for (key, epoch) in pairs where numbers[key] == nil {
            giveBack(key, epoch: epoch, at: now, into: &effects)
        }
    }

    // MARK: Time

    /// Does what is due. `lag` is how far the mark is behind: the oldest slot of its pairs that has not
    /// been begun.
    public mutating func tick(
        at now: Instant,
        lag: Nanoseconds,
        into effects: inout [FleetEffect]
    ) {
        if isFinished { return }
        let pause = now - lastTick
        lastTick = now
        if pause > terms.lease { standStill(for: pause, at: now, into: &effects) }

        doubt.note(storeAway: isAway(at: now))
        if membership.endExpectation(at: now), !membership.knowsOthers { doubt.forgetOthers() }
        settleDoubt(at: now)
        giveAwayUnseen(at: now, into: &effects)
        offerAgain(at: now, into: &effects)
        sampleOthers(at: now, into: &effects)
        sampleInSuspicion(at: now, into: &effects)
        if !ownership.isSettled {
            for pair in ownership.advance() { review(pair, at: now) }
        }
        if looksAnew, ownership.isSettled {
            looksAnew = false
            lookThrough(pairsOf: watch.lateAgents.keys.sorted(), at: now)
        }
        endCedings(at: now, into: &effects)
        retry(at: now)
        noteAbsence(at: now)
        claimUnclaimed(at: now, into: &effects)
        takeOver(at: now)
        for pair in claims.endAbstentions(at: now) { review(pair, at: now) }
        seat(at: now, into: &effects)
        leaveIfDone(at: now, into: &effects)
        if now >= nextBeatAt, !isBeating { beat(lag: lag, at: now, into: &effects) }
        if let hold = mass.takeOver() {
            effects.append(.say(.massOver(hold, lasted: now - hold.since)))
        }
        send(at: now, into: &effects)
    }

    /// When it is to be ticked again at the latest.
    public func wakeAt(from now: Instant) -> Instant {
        var time = isBeating ? now + terms.beat : nextBeatAt
        if !ownership.isSettled || !isSeated { time = now }
        if let next = watch.next { time = min(time, clock.instant(of: next, from: now)) }
        for next in [postponed.first?.at, claims.pauseEnds] { time = min(time, next ?? time) }
        if let from = givesAwayFrom, from > now { time = min(time, from) }
        return max(time, now)
    }

    /// It has not been ticked for longer than its lease: tick it before it hears of anything.
    public func stoodStill(at now: Instant) -> Bool { now - lastTick > terms.lease }

    /// This process did not run for longer than its lease: others have its pairs, and what is in flight
    /// is of the past.
    private mutating func standStill(
        for pause: Nanoseconds,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        effects.append(.say(.stoodStill(pause)))
        forgetCalls()
        membership.beginAnew(dice: &dice)
        dropAll(at: now, into: &effects)
        // That nobody answered meanwhile says nothing of the store.
        began = now
        nextBeatAt = now
    }

    /// Another probes it: what this agent found of it says nothing of this one's network any more.
    mutating func letGo(of pair: PairNumber) {
        doubt.leave(pair, inDoubt: claims.abstainsInDoubt(from: pair))
        mass.leave(pair)
        runs[pair] = nil
        failures[pair] = nil
        if offers[pair]?.isLost == true { offers[pair] = nil }
        passedOn[pair] = nil
        blindness.mute.remove(pair)
        observers.forgetTold(pair)
        observers.reconsider(pair)
    }

    mutating func dropAll(at now: Instant, into effects: inout [FleetEffect]) {
        for pair in claims.dropAll() {
            effects.append(.stop(pair, at: clock.now(at: now)))
            letGo(of: pair)
            lookForHolder(of: pair, at: now)
        }
        leaveSeats(into: &effects)
        runs = [:]
        asks = [:]
        ceding = []
        dirty = []
        isDirty = []
    }

    /// The store is away: what nobody is known to probe cannot be claimed, and is not left to nobody.
    private mutating func noteAbsence(at now: Instant) {
        let isAway = isAway(at: now)
        defer { wasAway = isAway }
        if !isAway || wasAway { return }
        for number in plans.indices where plans[number] != nil {
            lookForHolder(of: PairNumber(number), at: now)
        }
    }

    /// Probes it without knowing whether it may: twice is better than never. `from`: slots that nobody is known to have
    /// begun; now, where nothing is said.
    mutating func keep(
        _ pair: PairNumber,
        from time: WallTime? = nil,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        if claims.probes(pair) { return }
        claims.keep(pair)
        let from = time ?? clock.now(at: now)
        effects.append(.probe(pair, from: from, epoch: 0, resuming: nil))
    }

    // MARK: Leaving

    /// Begins a clean stop: others take what it holds, and it probes until they have.
    public mutating func leave(at now: Instant) {
        guard membership.state == .working else { return }
        membership.leave()
        leavesBy = now + terms.farewell
        nextBeatAt = now
    }

    private mutating func leaveIfDone(at now: Instant, into effects: inout [FleetEffect]) {
        guard let leavesBy, membership.state == .leaving else { return }
        let isTaken = claims.heldCount == 0
        let nobodyTakes = !membership.hasOthers || isAway(at: now) || !membership.hasLease
        guard isTaken || nobodyTakes || now >= leavesBy else { return }
        membership.end()
        isFinished = true
        if membership.hasLease {
            var beat = membership.nextBeat()
            // What it could not see is still nothing that it saw.
            sayDoubt(with: &beat, at: now)
            call(.beat(beat), .other, at: now, into: &effects)
        }
        for pair in claims.dropAll() {
            effects.append(.stop(pair, at: clock.now(at: now)))
        }
        effects.append(.finished)
    }

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

    private mutating func retry(at now: Instant) {
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

    private mutating func claimUnclaimed(at now: Instant, into effects: inout [FleetEffect]) {
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
    private mutating func endCedings(at now: Instant, into effects: inout [FleetEffect]) {
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
    private mutating func takeOver(at now: Instant) {
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
    private var lastRank: Int { max(rosterIDs.count - 2, 0) }

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

    // MARK: Sending

    mutating func call(
        _ call: FleetCall,
        _ calling: Calling,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        lastCall += 1
        calls[lastCall] = (calling, now)
        switch calling {
        case .beat: isBeating = true
        case .claim: isClaiming = true
        case .publish: isPublishing = true
        case .tell: isTelling = true
        case .release, .other: break
        }
        effects.append(.call(lastCall, membership.signature, call))
    }

    /// Nobody waits for what was called any more.
    mutating func forgetCalls() {
        calls = [:]
        forgetLetters()
        (isBeating, isClaiming, isPublishing, isTelling) = (false, false, false, false)
    }

    /// The call is over, answered or lost. Nil where it was called by a former life.
    mutating func end(_ number: CallNumber) -> (calling: Calling, sent: Instant)? {
        guard let ended = calls.removeValue(forKey: number) else { return nil }
        switch ended.calling {
        case .beat: isBeating = false
        case .claim: isClaiming = false
        case .publish: isPublishing = false
        case .tell: isTelling = false
        case .release, .other: break
        }
        return ended
    }

    private mutating func beat(
        lag: Nanoseconds,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        nextBeatAt = now + terms.beat
        var beat = membership.nextBeat()
        beat.weight = weight
        beat.lag = lag
        sayDoubt(with: &beat, at: now)
        beatsUnasked += 1
        beat.asksServer = beatsUnasked >= FleetTerms.beatsToAsk
        if beat.asksServer { beatsUnasked = 0 }
        call(.beat(beat), .beat, at: now, into: &effects)
    }

    private func sayDoubt(with beat: inout FleetCall.Beat, at now: Instant) {
        // A beat that arrives says itself that the store is not away.
        let value = doubt.value(hasOthers: membership.knowsOthers, at: now, ofStore: false)
        beat.doubt = Int((value * 100).rounded())
        beat.isSilent = doubt.isSilent
        // There is no time any more to see whether that is a network that is gone: what it began since may be in vain.
        if beat.state != .working, membership.knowsOthers, blindness.quiet.isCommon {
            beat.doubt = max(beat.doubt, Int(Doubt.withheldFrom * 100))
        }
    }

    /// There is a connection to the store again.
    public mutating func connected(at now: Instant) {
        beatsUnasked = FleetTerms.beatsToAsk
        beatSoon(at: now)
    }

    /// What was said and is not written yet.
    public var unsaid: Int {
        calls.values.reduce(dirty.count) { count, call in
            if case .publish(let batch) = call.calling { count + batch.count } else { count }
        }
    }

    /// The next beat goes out with the next tick.
    mutating func beatSoon(at now: Instant) { nextBeatAt = now }

    /// What was said since the last event goes out now.
    public mutating func flush(at now: Instant, into effects: inout [FleetEffect]) {
        send(at: now, into: &effects)
    }

    /// One call of letters at a time: what comes meanwhile goes with the next, however much that is. Half of all
    /// peers that fall at once are no reason for thousands of calls.
    mutating func tell(
        _ more: [FleetCall.Letter],
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        letters += more.prefix(max(Self.lettersMax - letters.count, 0))
        sendLetters(at: now, into: &effects)
    }

    /// They are about what is so now. More of them than this are not worth waiting for.
    private static let lettersMax = 8_192

    private mutating func sendLetters(at now: Instant, into effects: inout [FleetEffect]) {
        if isTelling || letters.isEmpty { return }
        let batch = Array(letters.prefix(FleetTerms.batch))
        letters.removeFirst(batch.count)
        call(.tell(batch), .tell(batch), at: now, into: &effects)
    }

    /// What waits is of the past by the time at which the store can be reached again.
    mutating func forgetLetters() {
        letters = []
        loseOffers()
    }

    /// What it says would reach others: as far as it knows.
    var canTell: Bool { membership.hasLease && !isCut }

    /// Claims and verdicts that wait, one call of each at a time.
    mutating func send(at now: Instant, into effects: inout [FleetEffect]) {
        guard membership.hasLease, !isCut else { return }
        sendReturned(at: now, into: &effects)
        sendLetters(at: now, into: &effects)
        let mayRank =
            membership.isMember && ownership.isSettled && !isRosterOld && now >= guardedUntil
            && membership.state == .working
        if !isClaiming, claims.hasWishes(mayRank: mayRank, at: now) {
            let batch = claims.nextBatch(mayRank: mayRank) { plans[Int($0)]?.key ?? Self.nobody }
            if !batch.isEmpty {
                call(
                    .claim(roster: membership.roster.number, batch.map(\.claim)),
                    .claim(batch),
                    at: now,
                    into: &effects
                )
            }
        }
        if !isPublishing, !dirty.isEmpty { publish(at: now, into: &effects) }
    }

    private static let nobody = VerdictKey(upstream: "", peer: "", monitor: "")

    // MARK: Publishing

    /// The opinion of a pair says something new.
    public mutating func said(_ pair: PairNumber) {
        if isDirty.insert(pair).inserted { dirty.append(pair) }
    }

    private mutating func publish(at now: Instant, into effects: inout [FleetEffect]) {
        var batch: [(pair: PairNumber, epoch: UInt64, sequence: UInt64)] = []
        var publications: [FleetCall.Publication] = []
        var rest: [PairNumber] = []
        for (index, pair) in dirty.enumerated() {
            if batch.count == FleetTerms.batch {
                rest.append(contentsOf: dirty[index...])
                break
            }
            guard let plan = plan(of: pair) else {
                isDirty.remove(pair)
                continue
            }
            if foundAlone.contains(pair) {
                isDirty.remove(pair)
                continue
            }
            guard let epoch = claims.publishableEpoch(of: pair) else {
                // What is claimed anew is told when it is granted.
                if claims.probes(pair) { rest.append(pair) } else { isDirty.remove(pair) }
                continue
            }
            sequence += 1
            isDirty.remove(pair)
            batch.append((pair, epoch, sequence))
            publications.append(.init(pair: plan.key, epoch: epoch, sequence: sequence))
        }
        dirty = rest
        if batch.isEmpty { return }
        call(.publish(publications), .publish(batch), at: now, into: &effects)
    }
}
