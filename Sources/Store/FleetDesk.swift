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

/// Who probes what the fleet gives it. Called on the loop's thread.
public protocol FleetHands: AnyObject {
    /// The pair is this agent's from then on, by the clock of the store: it is probed at once where a slot has passed
    /// since. Goes on from this verdict's count where it is newer than what is known; speaks under this epoch.
    func begin(_ key: VerdictKey, from time: WallTime, epoch: UInt64, resuming verdict: Verdict?)
    /// From then on it is not.
    func stop(_ key: VerdictKey, at time: WallTime)
    /// Probe it beside its holder, so long after each of its slots, and tell the desk what was `observed`; nil: no more.
    func observe(_ key: VerdictKey, after offset: Nanoseconds?)
    /// Somebody asks: probe it once, now, and tell the desk what was `found`.
    func look(_ key: VerdictKey)
    /// Count the failure that was held back.
    func fall(_ key: VerdictKey)
    /// Another agent heard something of a peer.
    func signed(_ sign: FleetSign)
    /// How far the oldest probe that is due and has not begun is behind.
    func lag(at now: Instant) -> Nanoseconds
    /// Pairs of others whose verdict is over, and whom nobody speaks of any more.
    func orphans(at now: Moment) -> [VerdictKey]
    /// p99 of how late probes began within the last minute.
    func lateness(at now: Instant) -> Nanoseconds
}

/// What one agent heard of a peer, for whoever probes it.
public struct FleetSign: Hashable, Sendable {
    /// By these words in the stream of changes: readers that know nothing of them find no sort of that name.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// What the peer said of itself.
        case heartbeat
        /// Requests fail at it.
        case suspicion
        /// Who tells receivers of notices, and what they were told.
        case notify
    }

    public var kind: Kind
    public var peer: PeerKey
    public var status: String
    public var message: String
    /// Of a suspicion: how many of how many.
    public var vote: TrafficVote?
    /// Who says it; set by the desk.
    public var agent = ""

    public init(
        _ kind: Kind = .heartbeat,
        peer: PeerKey,
        status: String,
        message: String,
        vote: TrafficVote? = nil
    ) {
        self.vote = vote
        self.kind = kind
        self.peer = peer
        self.status = status
        self.message = message
    }
}

/// What came of a call.
package enum WireAnswer {
    case reply(FleetReply)
    /// Nobody knows whether it arrived.
    case lost
    /// Redis answered with an error, and did nothing.
    case refused(String)
    /// Redis takes no writes now, and did nothing: nobody's beats are written.
    case unwritten
}

/// Where calls go. Called on the loop's thread.
package protocol FleetWire: AnyObject {
    /// In this order, on one connection. `done` hears of each within a second, however it ends.
    func post(
        _ signature: Signature,
        _ call: FleetCall,
        _ done: @escaping (WireAnswer) -> Void
    )
    /// What is to be written of the pair now, and whether it is what is found now; nil where nothing has been
    /// found of it.
    func newest(_ key: VerdictKey) -> (record: Verdict, isCurrent: Bool)?
    /// It is on its way in these words, and then it is there.
    func sent(_ verdict: Verdict)
    func wrote(_ verdict: Verdict, isVouched: Bool)
    /// The store has a newer word of the pair.
    func noteRefused(_ key: VerdictKey)
    /// Another says it from now on.
    func letGo(_ key: VerdictKey)
    /// It is not probed here any more: what was said here without a claim holds no longer.
    func giveUp(_ key: VerdictKey)
    /// A word for all agents.
    func announce(_ sign: FleetSign, by instance: String)
    /// The standing of this agent is another now.
    func standingChanged()
    /// The store is another than before, or has lost its state.
    func eraChanged()
}

extension FleetWire {
    package func eraChanged() {}
}

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
    private let journal: Journal
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
    private var aboutAt = Instant(nanoseconds: .min)
    private var aboutTold = JSON.null
    private var onLeft: [CheckedContinuation<Void, Never>] = []
    private var throttle = Throttle()

    /// Why it doubts itself, as was told last; and who shares the probing.
    private var reasonsTold: [Doubt.Reason] = []
    /// By the clock of the store.
    public private(set) var doubtSince: WallTime?
    private var news = FleetNews()
    private var isTwinTold = false
    private var isHoldTold = false
    private var wasTaken = false
    /// Hears what other agents say of notices.
    public var onNotify: ((FleetSign) -> Void)?
    /// Why the store does not do what this agent calls for; nil while it does.
    public private(set) var refusal: String?
    /// The store answers, and takes no writes: beats are none. Nothing follows from anybody's silence.
    package var isUnwritable: Bool { unwritableSince != nil }
    package private(set) var unwritableSince: Instant?
    /// There is a connection on which no beat has been answered: nobody's mark is known that is not of before.
    package private(set) var awaitsAnswer = false
    /// What lies in the store is of this format, which this version does not know.
    private var newerFormat: Int?
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

    private static let orphansEvery = Nanoseconds.seconds(2)
    private static let aboutEvery = Nanoseconds.seconds(1)
    /// Where nothing but lateness can be another than before.
    private static let aboutAgain = Nanoseconds.seconds(5)

    public init(_ setting: Setting, on loop: EventLoop, journal: Journal = .silent) {
        self.loop = loop
        self.setting = setting
        self.journal = journal
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

    /// Until when this agent leaves the pair to others, for it lost the vote on it; nil where it does not.
    public func abstains(from pair: PairNumber) -> WallTime? {
        let now = loop.moment
        return member.claims.abstention(from: pair).flatMap {
            $0 > now.instant ? now.wall + ($0 - now.instant) : nil
        }
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
            guard reason == .store else { return reason.words }
            if isTaken { return "another process speaks for agent '\(setting.agent)'" }
            if let newerFormat { return Self.words(ofNewer: newerFormat) }
            if refusal != nil { return "the store does not let it take part" }
            if isUnwritable { return "the store takes no writes" }
            return reason.words
        }
    }

    private static func words(ofNewer format: Int) -> String {
        "what lies in the store is of format \(format), and this version knows \(FleetTerms.format): a newer "
            + "muster is there"
    }

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

    var twinWords: String {
        "another process with agent.id '\(setting.agent)' is alive and speaks for it; this one probes and "
            + "publishes nothing until that is gone. Give each agent an id of its own"
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
            if refusal != nil, case .beat = call { note(refusal: nil) }
            if case .beaten(let answer) = reply {
                newerFormat = nil
                news.beaten(at: answer.time, within: setting.terms.resumeAfter)
            }
            ended(number, call, sent, reply)
        case .lost: ended(number, call, sent, nil)
        case .refused(let text):
            note(refusal: text)
            ended(number, call, sent, nil)
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
        guard isLast || now - aboutAt >= Self.aboutEvery else { return "" }
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
        if !isLast, told == aboutTold, now - aboutAt < Self.aboutAgain { return "" }
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

    // MARK: Telling people

    private func note(refusal text: String?) {
        let before = refusal
        refusal = text
        guard let text else {
            if before != nil {
                journal.notice(
                    "the store lets this agent take part in the fleet again",
                    [.event("fleet-allowed"), .store("redis")]
                )
            }
            return
        }
        guard throttle.note("refusal", at: loop.instant) != nil else { return }
        var line =
            "the store does not let this agent take part in the fleet: \(text.printable)"
        if let advice = Refusal.advice(text) { line += "; \(advice)" }
        journal.warning(
            line + "; it goes on probing what it has, and publishes nothing",
            [.event("fleet-refused"), .store("redis"), .error(text)]
        )
    }

    private func tellChanges(at now: Instant) {
        if isTaken != wasTaken {
            wasTaken = isTaken
            if !isTaken, isTwinTold {
                isTwinTold = false
                journal.notice(
                    "no other process speaks for agent '\(setting.agent)' any more: this one takes its part",
                    [.event("twin-gone"), .agent(setting.agent)]
                )
            }
            wire?.standingChanged()
        }
        if isTaken, isTwinTold, throttle.note("twin", at: now) != nil { tellOfTwin() }
        tellOfMembers(at: now)
        tellOfDoubt(at: now)
    }

    private func tellOfTwin() {
        journal.warning(twinWords, [.event("twin"), .agent(setting.agent)])
    }

    private func tellOfMembers(at now: Instant) {
        let membership = member.membership
        let line = news.line(
            of: membership.roster.members,
            late: membership.late,
            era: membership.era,
            seenBy: setting.agent,
            patience: setting.terms.lease,
            at: now
        )
        guard let line else { return }
        let count = Int64(membership.roster.members.count)
        journal.notice(line, [.event("fleet"), .init("agents", count)])
    }

    private func tellOfDoubt(at now: Instant) {
        doubtSince = self.reasons.isEmpty ? nil : doubtSince ?? time(at: now)
        // That the store is away is told by the store.
        let reasons = reasons.filter { $0 != .store }
        if reasons == reasonsTold { return }
        let (isNew, before) = (!reasons.isEmpty, reasonsTold)
        reasonsTold = reasons
        if isNew {
            guard throttle.note("doubt", at: now) != nil else { return }
            let words = reasons.map(\.words).joined(separator: "; ")
            journal.warning(
                "this agent doubts itself: \(words); its failures do not count, and it votes on nothing",
                [.event("doubt"), .init("reasons", reasons.map(\.rawValue).joined(separator: " "))]
            )
        } else if !before.isEmpty {
            journal.notice("this agent does not doubt itself any more", [.event("doubt-over")])
        }
    }

    private func name(_ pair: PairNumber) -> String {
        guard let key = key(of: pair) else { return "a peer" }
        return "\(key.peerKey) (\(key.monitor))"
    }

    private func say(_ word: FleetWord) {
        switch word {
        case .tookPart: break
        case .stoodStill(let span):
            journal.warning(
                "this agent stood still for \(span.rounded): others have what it probed; it joins anew",
                [.event("stood-still")]
            )
        case .doubled:
            isTwinTold = true
            _ = throttle.note("twin", at: loop.instant)
            tellOfTwin()
        case .newEra(let era):
            wire?.eraChanged()
            journal.notice(
                "the store is another than before, or has lost its state (era \(era)): claiming again what "
                    + "this agent probes",
                [.event("era")]
            )
        case .newerFormat(let format):
            newerFormat = format
            guard throttle.note("format", at: loop.instant) != nil else { return }
            journal.error(
                "expected the fleet's state in the store to be of format \(FleetTerms.format) at most, saw "
                    + "\(format): a newer muster is there; this one takes no part until it is upgraded",
                [.event("format")]
            )
        case .disagreement(let pair, let passes, let size):
            counts.disagreements += 1
            guard throttle.note("disagreement \(pair)", at: loop.instant) != nil else { return }
            journal.warning(
                "agents disagree on \(name(pair)): it fails here, and \(passes) of \(size) see it pass; it "
                    + "stays up",
                [.event("disagreement")]
            )
        case .observerDiffers(let pair, let other, let word):
            counts.disagreements += 1
            guard throttle.note("disagreement \(pair)", at: loop.instant) != nil else { return }
            journal.warning(
                "agents disagree on \(name(pair)): it \(word.rawValue) here, and \(other), which looks at it too, "
                    + "sees that it \(word == .passes ? "fails" : "passes")",
                [.event("disagreement"), .agent(other)]
            )
        case .stranger(let other, let pair):
            strangers.note(other, at: loop.instant)
            guard strangers.all(at: loop.instant).contains(where: { $0.name == other }),
                throttle.note("stranger \(other)", at: loop.instant) != nil
            else { return }
            journal.warning(
                "expected verdicts by agents that share the probing, saw \(other.printable) write of "
                    + "\(name(pair)) again and again without a claim: an older muster, or another program; "
                    + "what it writes is written over. Upgrade it, or stop it",
                [.event("older-agent"), .agent(other)]
            )
        case .gaveAway(let pair, let to, let inDoubt):
            counts.givenAway += 1
            journal.notice(
                "\(name(pair)) is given to \(to), "
                    + (inDoubt
                        ? "which does not doubt itself as this agent does: it fails here"
                        : "which sees it pass: it fails here only"),
                [.event("given-away"), .agent(to)]
            )
        case .massHeld:
            guard throttle.note("mass", at: loop.instant) != nil else { return }
            isHoldTold = true
            journal.warning(
                "too many peers would go down at once: those that fall silent are held as they were "
                    + "(store.mass-change) until they answer, or most others do; muster agents says how many",
                [.event("mass-held")]
            )
        case .massOver(let hold, let lasted):
            guard isHoldTold else { return }
            isHoldTold = false
            journal.notice(
                "store.mass-change holds no peer any more, after \(lasted.rounded): \(hold.words)",
                [.event("mass-over")]
            )
        }
    }
}

extension MassChange.Hold {
    /// What became of the pairs: `5 answer again, 1 is down`.
    var words: String {
        MassChange.End.allCases.compactMap { end in
            guard let count = ends[end] else { return nil }
            switch end {
            case .passed: return "\(count) answer\(count == 1 ? "s" : "") again"
            case .fell: return "\(count) \(count == 1 ? "is" : "are") down"
            case .left: return "\(count) \(count == 1 ? "is" : "are") not probed here any more"
            }
        }.joined(separator: ", ")
    }
}

extension Doubt.Reason {
    /// For people.
    public var words: String {
        switch self {
        case .loopLag: "it is late, with a second or more of ten lost"
        case .network: "its own network is gone"
        case .store: "the store does not answer it"
        case .massFailure: "most of what it probes fell silent, and the others do not say the same"
        }
    }
}
