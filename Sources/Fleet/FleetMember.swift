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
    /// Agents with other files may have something else under this name.
    public var about: About?

    public init(
        key: VerdictKey,
        schedule: Schedule,
        confirm: ConfirmRule = ConfirmRule(),
        observers: Int = 1,
        host: UInt64 = 0,
        about: About? = nil
    ) {
        self.key = key
        self.schedule = schedule
        self.confirm = confirm
        self.observers = observers
        self.host = host
        self.about = about
    }

    public var beat: Beat { Beat(monitor: key.monitor, peer: "\(key.upstream)/\(key.peer)") }
}

/// What is asked, and whom: the same at agents that have the same file.
public struct About: Hashable, Sendable {
    /// Address and kind of the check.
    public var whom: UInt32
    /// What the check asks and expects.
    public var what: UInt32

    public init(whom: UInt32, what: UInt32) {
        self.whom = whom
        self.what = what
    }

    /// As letters have it.
    init(number: UInt64) {
        self.init(whom: UInt32(number >> 32), what: UInt32(number & 0xFFFF_FFFF))
    }
    var number: UInt64 { UInt64(whom) << 32 | UInt64(what) }
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
    /// It was asked about the pair, and has another address or check under that name.
    case otherDefinition(PairNumber, String)
    /// Somebody who takes no part wrote a verdict of a pair that this agent holds, under a later epoch.
    case stranger(String, PairNumber)
    case gaveAway(PairNumber, to: String, because: Parting)
    case massHeld
    /// What was held is not any more, after so long.
    case massOver(MassChange.Hold, lasted: Nanoseconds)
}

/// Why a pair is given to another agent.
public enum Parting: Hashable, Sendable {
    /// It fails here, and others see it pass.
    case outvoted
    /// Nobody knows yet whether the other sees it, only that this agent may not.
    case doubt
    /// It says nothing here, and something to the other.
    case unheard
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
    var company = Company()
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
    /// What says nothing, of pairs that this agent probes.
    var mutes: [PairNumber: MuteRun] = [:]
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
    /// Taken down while so few shared the probing that nobody had to be asked.
    var foundInFew = Set<PairNumber>()
    /// Questions that wait for a probe of ours.
    var asks: [PairNumber: [(ask: Ask, heard: Instant)]] = [:]
    var askings: UInt64 = 0
    /// The latest of its own questions that came back to it: until then it heard what is said to it.
    var askingHeard: UInt64 = 0
    var deafness = Deafness()
    var sequence: UInt64 = 0
    var dirty: [PairNumber] = []
    var isDirty = Set<PairNumber>()

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
    var lastCall: CallNumber = 0
    var nextBeatAt: Instant
    var isBeating = false
    /// Beats since one asked which server answers.
    var beatsUnasked = FleetTerms.beatsToAsk
    var isClaiming = false
    var isPublishing = false
    var isTelling = false
    /// What is to be told, in the order in which it came.
    var letters: [FleetCall.Letter] = []
    /// The roster is not the one that the store has: no claim by it.
    var isRosterOld = false
    /// The last call was lost: until a beat is answered, nothing but beats.
    var isCut = false
    /// Since when the store has refused to tell others anything, though it takes beats.
    var untoldSince: Instant?
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
    var unclaimed: [[(at: Instant, pair: PairNumber)]] = [[], [], [], [], [], []]
    /// Of who is none of the three that rank first, of what waits for the store to be away for a lease, and of what this
    /// agent gave away.
    static let (lastPlace, awaitedPlace, outcastPlace) = (3, 4, 5)
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

    /// Nobody can be asked: the store is away, or has refused for as long to tell others anything, or nothing of what is told
    /// to this agent is read.
    public func asksNobody(at now: Instant) -> Bool {
        isAway(at: now) || untoldSince.map { now - $0 > terms.lease } ?? false
            || deafness.since.map { now - $0 > terms.lease } ?? false
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
    mutating func sendReturned(at now: Instant, into effects: inout [FleetEffect]) {
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
        company.note(membership.roster.members.count, at: now)
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
        foundInFew.remove(pair)
        if offers[pair]?.isLost == true { offers[pair] = nil }
        passedOn[pair] = nil
        mutes[pair] = nil
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
}
