// How does a process do what `FleetMember` says? This desk takes every event to it, on one clock, and carries out
// what comes back: calls go out by the wire (Redis), pairs go to the hands (whoever probes), words to the
// journal. It decides nothing. docs/FLEET.md says what is decided and why.
//
//   wire: replies, letters, verdicts ──► desk ──► FleetMember ──► desk ──► wire: calls
//   hands: outcomes, definitions     ──►                             └──► hands: probe, stop, look, fall

public import EventLoop
public import Fleet
public import Health
public import Vocabulary

/// One agent's part in the fleet. Confined to its loop's thread.
public final class FleetDesk: EventSink {
    public struct Setting: Sendable {
        public var agent: String
        public var weight = 1.0
        public var zone: String?
        public var version = ""
        public var terms = FleetTerms()
        public var massChange = MassChange.Rule()

        public init(agent: String) { self.agent = agent }
    }

    let loop: EventLoop
    public let setting: Setting
    public private(set) var member: FleetMember
    public weak var hands: (any FleetHands)?
    weak var wire: (any FleetWire)?
    private var timer = TimerID.none
    private var isRunning = false
    /// It takes no part any more; and what it said last may still be on its way.
    private var isFinished = false
    private var underWay = 0
    private let startedAt: WallTime

    /// Effects of one event may be the next event: they are carried out in the order in which they came.
    private var line: [FleetEffect] = []
    private var isPerforming = false
    private var lagSeen: Nanoseconds
    private var orphansAt: Instant
    private var aboutAt = FleetDesk.never
    private var aboutTold = JSON.null
    private var onLeft: [CheckedContinuation<Void, Never>] = []

    private var teller: FleetTeller
    /// By the clock of the store.
    public private(set) var doubtSince: WallTime?
    private var wasTaken = false
    /// Hears what other agents say of notices.
    public var onNotify: ((FleetSign) -> Void)?
    /// Why the store does not do what this agent calls for; nil while it does.
    public private(set) var refusal: String?
    private var refusedScript: FleetScript?
    /// The store answers, and takes no beats, as a replica or by its ACL. Nothing follows from anybody's silence.
    package var isUnwritable: Bool { unwritableSince != nil }
    package private(set) var unwritableSince: Instant?
    /// There is a connection on which no beat has been answered: nobody's mark is known that is not of before.
    package private(set) var awaitsAnswer = false
    /// What lies in the store is of this format, which this version does not know.
    private var newerFormat: Int?
    /// Until when whoever has the lease of its id has it, by the clock of the store: its former life, as like as not.
    private var takenUntil: WallTime?
    /// It has had it for longer than a former life can.
    private var isDoubled = false
    private var strangers = Strangers()
    /// Of votes that were lost, and of pairs that were given away.
    public private(set) var counts = Counts()

    public struct Counts: Hashable, Sendable {
        public var granted: UInt64 = 0
        public var stopped: UInt64 = 0
        public var disagreements: UInt64 = 0
        public var givenAway: UInt64 = 0
        public var held: UInt64 = 0
        public var lostCalls: UInt64 = 0
    }

    private static let never = Instant(nanoseconds: .min)
    private static let orphansEvery = Nanoseconds.seconds(2)
    private static let aboutEvery = Nanoseconds.seconds(1)
    /// Where nothing but lateness can be another than before.
    private static let aboutAgain = Nanoseconds.seconds(5)

    public init(_ setting: Setting, on loop: EventLoop, journal: Journal = .silent) {
        self.loop = loop
        self.setting = setting
        teller = FleetTeller(agent: setting.agent, journal: journal)
        startedAt = loop.wall
        member = FleetMember(
            agent: setting.agent,
            weight: setting.weight,
            terms: setting.terms,
            massChange: setting.massChange,
            dice: Dice(seed: loop.dice.next()),
            at: loop.moment
        )
        lagSeen = loop.lag.total
        orphansAt = loop.instant + Self.orphansEvery
        super.init()
    }

    // MARK: Life

    package func start(on wire: any FleetWire) {
        self.wire = wire
        isRunning = true
        tick()
    }

    /// What this agent kept of its life before has words of others, who may be back later than it is.
    package func expectOthers() {
        take { member, now, _ in member.expectOthers(at: now) }
    }

    private func closeIfAnswered() {
        if isFinished, underWay == 0 { close() }
    }

    package func close() {
        isRunning = false
        loop.cancel(timer)
        timer = .none
        for waiter in onLeft { waiter.resume() }
        onLeft = []
    }

    /// Hands over what it probes, and returns when others have it or nobody wants it.
    public func leave() async {
        guard isRunning else { return }
        beginToLeave()
        await withCheckedContinuation { waiter in
            if isRunning { onLeft.append(waiter) } else { waiter.resume() }
        }
    }

    package func beginToLeave() {
        take { member, now, _ in member.leave(at: now) }
        tick()
    }

    /// Others have what it probed, and what it said last is written.
    package var hasLeft: Bool { isFinished && !isRunning }

    // MARK: Reading

    /// The time at the store, by which all agents place their probes.
    public func time(at instant: Instant) -> WallTime { member.clock.now(at: instant) }

    /// By how much the store's clock is ahead of this machine's; nil while that is not known.
    package var clockAhead: Nanoseconds? {
        // Who waits for a life before to end is told no time, and the store's may have been set meanwhile.
        guard member.clock.isSet, member.membership.hasLease else { return nil }
        return FleetTimes.coarse(time(at: loop.instant) - loop.wall)
    }

    /// When it is that time at the store.
    package func instant(of time: WallTime, from now: Instant) -> Instant {
        member.clock.instant(of: time, from: now)
    }

    package func number(of key: VerdictKey) -> PairNumber? { asked { $0.number(of: key) } }

    public func holds(_ pair: PairNumber) -> Bool { member.claims.probes(pair) }

    /// Until when this agent leaves the pair to others, to whom it gave it, and why; nil where it does not.
    public func abstains(from pair: PairNumber) -> (until: WallTime, because: Parting)? {
        let now = loop.moment
        guard let until = member.claims.abstention(from: pair), until > now.instant,
            let parting = member.claims.parting(from: pair)
        else { return nil }
        return (now.wall + (until - now.instant), parting)
    }

    /// Under which epoch its slots are this agent's by now; nil where they are not, or only may be.
    public func holdsNow(_ pair: PairNumber) -> UInt64? {
        guard case .held(let epoch, let from) = member.claims.hold(of: pair),
            from <= time(at: loop.instant)
        else { return nil }
        return epoch
    }

    /// Another process has the lease of this agent's id.
    package var isTaken: Bool {
        if case .taken = member.membership.standing { return true }
        return false
    }

    package func hold(of pair: PairNumber) -> Claims.Hold { asked { $0.claims.hold(of: pair) } }

    /// Nobody can be asked what it sees.
    package var asksNobody: Bool { asked { $0.asksNobody(at: loop.instant) } }

    public var isAway: Bool { asked { $0.isAway(at: loop.instant) } }

    /// What is asked of a value that an object has is asked of a copy of it, and this one is large: in place, then.
    private func asked<Answer>(_ question: (inout FleetMember) -> Answer) -> Answer {
        question(&member)
    }

    private func key(of pair: PairNumber) -> VerdictKey? { asked { $0.plan(of: pair)?.key } }

    /// The agents that take part, as far as is known.
    public var memberNames: Set<String> { Set(member.membership.roster.members.map(\.id)) }

    /// Its beats are answered: it knows the marks of all members.
    package var isHearing: Bool {
        member.membership.hasLease
            && member.membership.acknowledged.map { loop.instant - $0 < setting.terms.lease }
                ?? false
    }

    /// Readers see by its beats that what it said still is so.
    package var vouches: Bool { member.membership.isMember }

    /// When this life of an agent last was sure to find what it says, by this machine's clock.
    package func mark(of agent: String, instance: UInt64) -> WallTime? {
        let now = loop.moment
        return asked { $0.membership.mark(of: agent, instance: instance, terms: $0.terms) }
            .map { now.wall + -(now.instant - $0) }
    }

    public var reasons: [Doubt.Reason] {
        asked { $0.doubt.reasons(hasOthers: $0.membership.knowsOthers, at: loop.instant) }
    }

    /// Why it doubts itself, for people. The store answers a twin too, but another than that.
    public var reasonWords: [String] {
        reasons.map { reason in
            guard reason == .store else { return words(of: reason) }
            if isDoubled { return "another process speaks for agent '\(setting.agent)'" }
            if let waitWords { return waitWords }
            if let newerWords { return newerWords }
            if refusal != nil { return "the store does not let it take part" }
            if isUnwritable { return "the store takes no writes" }
            return reason.words
        }
    }

    private func words(of reason: Doubt.Reason) -> String {
        let membership = member.membership
        guard reason == .massFailure, !membership.hasOthers,
            let until = membership.expectsOthersUntil
        else { return reason.words }
        return
            "most of what it probes is silent, and of the others that took part before its start none is back; until "
            + "\(time(at: until)) it waits for them"
    }

    /// Why this version takes no part, and what is to be done.
    package var newerWords: String? { newerFormat.map { FleetTeller.words(ofNewer: $0) } }

    public var doubt: Double {
        member.doubt.value(hasOthers: member.membership.knowsOthers, at: loop.instant)
    }

    /// What `store.mass-change` holds as it was: since when by the store's clock, and how many pairs.
    public var hold: FleetReport.Hold? {
        member.mass.hold.map { .init(since: time(at: $0.since), pairs: $0.pairs.count) }
    }

    /// Who writes verdicts of this agent's pairs and takes no part: by the clock of the store, when last.
    public var older: [FleetReport.Older] {
        strangers.all(at: loop.instant).map {
            FleetReport.Older(id: $0.name, seen: time(at: $0.at))
        }
    }

    /// How this agent lives among the others.
    public var state: FleetReport.State {
        if member.membership.state != .working { return .leaving }
        switch member.membership.standing {
        case .member: return .member
        case .outside, .taken, .joining: return setting.weight > 0 ? .joining : .observing
        }
    }

    /// Another process has its id, and is no former life of its own.
    package var twinWords: String? {
        isDoubled ? FleetTeller.words(ofTwin: setting.agent) : nil
    }

    /// A life that was killed has its lease until that ends.
    package var waitWords: String? {
        guard isTaken, !isDoubled, let takenUntil else { return nil }
        return
            "this agent waits until \(takenUntil) for the lease of its former life, or of another process with agent.id "
            + "'\(setting.agent)'"
    }

    // MARK: Pairs

    public func define(_ plan: PairPlan) -> PairNumber {
        member.define(plan, at: loop.instant)
    }

    /// It is defined no more here. Returns whether others may still have it, who go on from what was found.
    public func remove(_ key: VerdictKey) -> Bool {
        take { member, now, effects in member.remove(key, at: now, into: &effects) }
        let hasOthers = member.membership.hasOthers
        if hasOthers { wire?.letGo(key) }
        return hasOthers
    }

    // MARK: What was found

    /// Of a pair that this agent probes: whether it counts. Nil where it is another's by now.
    public func outcome(
        _ found: Found,
        of pair: PairNumber,
        because reason: Reason? = nil,
        counter: HealthCounter,
        begun: Instant,
        at now: Instant
    ) -> Ruling? {
        wakeUp(at: now)
        guard member.claims.probes(pair) else { return nil }
        var effects: [FleetEffect] = []
        let ruling = member.outcome(
            found,
            of: pair,
            because: reason,
            counter: counter,
            begun: begun,
            at: now,
            into: &effects
        )
        if ruling == .hold { counts.held += 1 }
        perform(effects)
        return ruling
    }

    /// Of a probe that another agent asked for.
    public func found(
        _ found: Found,
        of pair: PairNumber,
        because reason: Reason? = nil,
        begun: Instant,
        at now: Instant
    ) {
        take { member, _, effects in
            member.found(found, of: pair, because: reason, begun: begun, at: now, into: &effects)
        }
    }

    /// Of a probe beside the holder's. `published` is what is shown here.
    public func observed(
        _ found: Found,
        of pair: PairNumber,
        published: HealthCounter.Status?,
        because reason: Reason? = nil,
        begun: Instant,
        at now: Instant
    ) {
        take { member, _, effects in
            member.observed(
                found,
                of: pair,
                published: published,
                because: reason,
                begun: begun,
                at: now,
                into: &effects
            )
        }
    }

    /// How long after its holder this agent probes the pair; nil where it does not.
    public func offset(of pair: PairNumber) -> Nanoseconds? { member.observers.offset(of: pair) }

    /// Requests find this peer failing.
    public func suspected(_ key: VerdictKey) {
        take { member, now, effects in member.suspected(key, at: now, into: &effects) }
    }

    /// What was heard of a peer is told to whoever probes it.
    public func announce(_ sign: FleetSign) {
        var sign = sign
        sign.agent = setting.agent
        wire?.announce(sign, by: "\(member.membership.instance)")
    }

    package func heard(_ sign: FleetSign, by instance: String) {
        if instance == "\(member.membership.instance)" { return }
        if sign.kind == .notify { onNotify?(sign) } else { hands?.signed(sign) }
    }

    // MARK: What the wire brings

    /// There is a connection.
    package func connected() {
        awaitsAnswer = true
        take { member, now, _ in member.connected(at: now) }
        tick()
    }

    /// There is something to write of the pair.
    package func say(_ key: VerdictKey, isUrgent: Bool) {
        guard let pair = number(of: key) else { return }
        member.said(pair)
        if isUrgent { take { member, now, effects in member.flush(at: now, into: &effects) } }
    }

    package func heard(_ hint: FleetHint) {
        take { member, now, effects in member.heard(hint, at: now, into: &effects) }
    }

    /// A verdict was read: who wrote it holds the pair. `instance` is the life that vouches for it, or zero.
    package func heard(_ verdict: Verdict, vouchedBy instance: UInt64 = 0) {
        take { member, now, effects in
            member.heard(
                verdictOf: verdict.key,
                by: verdict.agent,
                epoch: verdict.epoch,
                vouchedBy: instance,
                at: now,
                into: &effects
            )
        }
    }

    // MARK: Time

    public override func due(tag: Int) {
        timer = .none
        tick()
    }

    private func tick() {
        guard isRunning, !isFinished else { return }
        let now = loop.moment
        let lag = loop.lag.total
        member.lagged(by: lag - lagSeen, at: now.instant)
        lagSeen = lag
        var effects: [FleetEffect] = []
        member.tick(at: now.instant, lag: hands?.lag(at: now.instant) ?? .zero, into: &effects)
        if now.instant >= orphansAt {
            orphansAt = now.instant + Self.orphansEvery
            for key in hands?.orphans(at: now) ?? [] { member.orphaned(key, at: now.instant) }
        }
        perform(effects)
        tellChanges(at: now.instant)
    }

    /// Stopped and continued: what comes in first must not be taken for what happens now.
    public func wakeUp(at now: Instant) {
        if isRunning, asked({ $0.stoodStill(at: now) }) { tick() }
    }

    private func take(_ event: (inout FleetMember, Instant, inout [FleetEffect]) -> Void) {
        let now = loop.instant
        wakeUp(at: now)
        var effects: [FleetEffect] = []
        event(&member, now, &effects)
        perform(effects)
    }

    private func setTimer() {
        guard isRunning, !isFinished else { return }
        let now = loop.instant
        // A mistake in `wakeAt` must not keep the loop from everything else.
        let time = max(asked { $0.wakeAt(from: now) }, now + .milliseconds(1))
        if timer.isNone {
            timer = loop.schedule(at: time, sink: self)
        } else {
            loop.move(timer, to: time)
        }
    }

    // MARK: Effects

    private func perform(_ effects: [FleetEffect]) {
        line += effects
        if isPerforming { return }
        isPerforming = true
        var next = 0
        while next < line.count {
            let effect = line[next]
            next += 1
            perform(effect)
        }
        line = []
        isPerforming = false
        setTimer()
    }

    private func perform(_ effect: FleetEffect) {
        switch effect {
        case .call(let number, let signature, let call): send(number, signature, call)
        case .probe(let pair, let from, let epoch, let verdict):
            guard let key = key(of: pair) else { return }
            counts.granted += 1
            hands?.begin(key, from: from, epoch: epoch, resuming: verdict)
        case .stop(let pair, let at):
            guard let key = key(of: pair) else { return }
            counts.stopped += 1
            hands?.stop(key, at: at)
            if !member.claims.probes(pair) { wire?.giveUp(key) }
        case .look(let pair):
            if let key = key(of: pair) { hands?.look(key) }
        case .observe(let pair, let offset):
            if let key = key(of: pair) { hands?.observe(key, after: offset) }
        case .fall(let pair):
            if let key = key(of: pair) { hands?.fall(key) }
        case .say(let word): say(word)
        case .finished:
            isFinished = true
            closeIfAnswered()
        }
    }

    // MARK: Calls

    private typealias Sent = (verdict: Verdict, isVouched: Bool)

    private func send(_ number: CallNumber, _ signature: Signature, _ call: FleetCall) {
        var call = call
        var sent: [Sent?] = []
        switch call {
        case .publish(var publications):
            for index in publications.indices {
                let newest = wire?.newest(publications[index].pair)
                var verdict = newest?.record
                verdict?.epoch = publications[index].epoch
                verdict?.sequence = publications[index].sequence
                let isVouched = vouches && newest?.isCurrent == true
                publications[index].verdict = verdict
                publications[index].isVouched = isVouched
                sent.append(verdict.map { ($0, isVouched) })
                if let verdict { wire?.sent(verdict) }
            }
            // Of what nothing was found yet there is nothing to say.
            publications.removeAll { $0.verdict == nil }
            if publications.isEmpty {
                return ended(number, call, sent, .published(sent.map { _ in .written }))
            }
            call = .publish(publications)
        case .beat(var beat):
            beat.about = about(isLast: beat.state == .gone)
            call = .beat(beat)
        case .claim, .release, .tell: break
        }
        guard let wire else { return ended(number, call, sent, nil) }
        underWay += 1
        wire.post(signature, call) { [weak self] answer in
            guard let self else { return }
            underWay -= 1
            answered(number, call, sent, answer)
            closeIfAnswered()
        }
    }

    private func answered(
        _ number: CallNumber,
        _ call: FleetCall,
        _ sent: [Sent?],
        _ answer: WireAnswer
    ) {
        switch (call, answer) {
        case (_, .lost): break
        case (.beat, _): awaitsAnswer = false
        default: break
        }
        switch answer {
        case .reply(let reply):
            unwritableSince = nil
            if let refusal, isOver(refusal, by: call.script) { note(refusal: nil) }
            if case .refused(.taken(let until)) = reply { takenUntil = until }
            if case .beaten(let answer) = reply {
                if newerFormat != nil {
                    newerFormat = nil
                    teller.formatIsKnown()
                    wire?.standingChanged()
                }
                teller.beaten(at: answer.time, within: setting.terms.resumeAfter)
            }
            ended(number, call, sent, reply)
        case .lost: ended(number, call, sent, nil)
        case .refused(let text):
            refusedScript = call.script
            note(refusal: text)
            if case .beat = call { unwritableSince = unwritableSince ?? loop.instant }
            counts.lostCalls += 1
            take { member, now, effects in member.refused(number, at: now, into: &effects) }
        case .unwritten:
            unwritableSince = unwritableSince ?? loop.instant
            counts.lostCalls += 1
            take { member, now, _ in member.unwritten(number, at: now) }
        }
    }

    /// A call is over: answered, or nil where nobody knows.
    private func ended(
        _ number: CallNumber,
        _ call: FleetCall,
        _ sent: [Sent?],
        _ reply: FleetReply?
    ) {
        guard var reply else {
            counts.lostCalls += 1
            return take { member, now, effects in member.lost(number, at: now, into: &effects) }
        }
        if case .published(let answers) = reply {
            var rest = answers[...]
            let all = sent.map { one -> FleetReply.PublishAnswer in
                guard let one, let answer = rest.popFirst() else { return .written }
                switch answer {
                case .written, .known: wire?.wrote(one.verdict, isVouched: one.isVouched)
                case .held: wire?.noteRefused(one.verdict.key)
                }
                return answer
            }
            reply = .published(all)
        }
        take { member, now, effects in member.replied(number, reply, at: now, into: &effects) }
    }

    /// What people want to know of this agent, now and then.
    private func about(isLast: Bool) -> String {
        let now = loop.instant
        let isFirst = aboutAt == Self.never
        guard isLast || isFirst || now - aboutAt >= Self.aboutEvery else { return "" }
        var members: [JSON.Member] = [
            .init("version", .string(setting.version)),
            .init("started", .integer(startedAt.milliseconds)),
            .init("zone", JSON(setting.zone)),
            .init("lease_ms", .integer(setting.terms.lease.milliseconds)),
            .init("settle_ms", .integer(setting.terms.settle.milliseconds)),
            .init("pairs", JSON(member.claims.heldCount)),
            .init("doubt", .number((doubt * 100).rounded() / 100)),
            .init("reasons", .array(reasons.map { .string($0.rawValue) })),
            .init("doubt_since", doubtSince.map { .integer($0.milliseconds) } ?? .null),
            .init("questions", questions),
            .init("held", JSON(hold?.pairs)),
            .init("held_since", hold.map { .integer($0.since.milliseconds) } ?? .null),
        ]
        let told = JSON.object(members)
        if !isLast, !isFirst, told == aboutTold, now - aboutAt < Self.aboutAgain { return "" }
        aboutAt = now
        aboutTold = told
        let lateness = hands?.lateness(at: now) ?? .zero
        members.append(.init("lateness_ms", .integer(lateness.milliseconds)))
        return JSON.object(members).withoutNulls().text
    }

    /// What was answered about pairs that fail here, for agents that are asked about them: a few.
    private var questions: JSON {
        let few = asked { $0.questions(atMost: FleetReport.questionsMax, at: loop.instant) }
        if few.isEmpty { return .null }
        return .array(
            few.map { key, asking in
                FleetReport.Question(
                    key: key,
                    votes: asking.votes.map {
                        .init(
                            agent: $0.agent,
                            status: $0.word?.rawValue,
                            reason: $0.reason?.rawValue,
                            at: $0.at
                        )
                    },
                    confirmed: asking.confirmed.map { "\($0.count) of \($0.size)" },
                    isLost: asking.isLost
                ).json
            }
        )
    }

    /// A right is missed until it is given, which the wire tells; or, where it is not named, until that very call
    /// passes. All else is looked at anew with each reading of everything.
    private func isOver(_ refusal: String, by script: FleetScript) -> Bool {
        if Refusal(refusal) != .right { return script == .beat }
        return wire?.missesRights != true && script == refusedScript
    }

    /// It is let beat, or take part, no more.
    package var isRefused: Bool { refusal != nil || newerFormat != nil }
    package var isRightMissed: Bool { refusal.map { Refusal($0) == .right } ?? false }
    package func rightsAreGiven() { note(refusal: nil) }

    private func note(refusal text: String?) {
        if let text {
            teller.refused(text, at: loop.instant)
        } else if refusal != nil {
            teller.allowed()
        }
        refusal = text
    }

    // MARK: Telling people

    private func tellChanges(at now: Instant) {
        if isTaken != wasTaken {
            wasTaken = isTaken
            if !isTaken {
                isDoubled = false
                teller.twinIsGone()
            }
            wire?.standingChanged()
        }
        if isTaken { teller.twinIsStillThere(at: now) }
        teller.tell(member.membership, patience: setting.terms.lease, at: now)
        let reasons = reasons
        doubtSince = reasons.isEmpty ? nil : doubtSince ?? time(at: now)
        teller.tell(reasons, at: now) { words(of: $0) }
    }

    private func name(_ pair: PairNumber) -> String {
        guard let key = key(of: pair) else { return "a peer" }
        return "\(key.peerKey) (\(key.monitor))"
    }

    private func say(_ word: FleetWord) {
        let now = loop.instant
        switch word {
        case .newEra:
            // What was said before is lost with it.
            aboutAt = Self.never
            wire?.eraChanged()
        case .newerFormat(let format):
            let isNew = newerFormat != format
            newerFormat = format
            if isNew { wire?.standingChanged() }
        case .disagreement, .observerDiffers: counts.disagreements += 1
        case .gaveAway: counts.givenAway += 1
        case .stranger(let other, _):
            strangers.note(other, at: now)
            if !strangers.all(at: now).contains(where: { $0.name == other }) { return }
        case .doubled:
            isDoubled = true
            wire?.standingChanged()
        case .tookPart, .stoodStill, .otherDefinition, .massHeld, .massOver: break
        }
        teller.tell(word, at: now, name: name)
    }
}
