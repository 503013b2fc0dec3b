// How is everybody, right now? The one in-memory state of this process: monitors write it through
// the door, the store writes it when another agent spoke, and everyone else reads it.
//
// Changing one peer touches one peer: nothing else is rebuilt, and every reader who keeps a copy
// hears of exactly what changed.

public import EventLoop
public import Health
public import Vocabulary

/// Hears of changes on the board, on the loop's thread, after the board has taken them in.
public protocol BoardObserver: AnyObject {
    /// A view changed: status, weight, or only the reason. `change.isTransition` tells.
    func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change)
    /// These were made, changed or taken away, in this order; ask the board for what they are now.
    /// One may be named twice.
    func defined(_ upstreams: [String], _ peers: [PeerKey])
    func panicChanged(_ upstream: String, isPanic: Bool)
    func transition(_ event: TransitionEvent)
    /// This upstream has somebody who can take requests, or nobody any more whose first verdict is waited
    /// for.
    func introduced(_ upstream: String)
}

extension BoardObserver {
    public func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change) {}
    public func defined(_ upstreams: [String], _ peers: [PeerKey]) {}
    public func panicChanged(_ upstream: String, isPanic: Bool) {}
    public func transition(_ event: TransitionEvent) {}
    public func introduced(_ upstream: String) {}
}

/// The state of every upstream and peer. Confined to its loop's thread.
public final class Board: EventSink {
    let loop: EventLoop
    let journal: Journal
    let clock: () -> Moment
    let strangerTime: Nanoseconds
    private var watch = ClockWatch()
    /// By how much the wall clock was set since this board was made.
    public private(set) var clockShift = Nanoseconds.zero
    /// By the clock of now.
    var startedAt: WallTime

    var boards: [String: UpstreamBoard] = [:]
    /// Names in the order of the definition.
    var order: [String] = []
    /// Every intent known, also of peers that are not defined now: a peer that comes back finds
    /// the drain it left with.
    var intents: [PeerKey: Intent] = [:]
    /// Verdicts that the store held for pairs not defined yet, by upstream.
    var orphans: [String: [VerdictKey: Verdict]] = [:]
    var orphanCount = 0
    var observers: [any BoardObserver] = []
    /// Hears of signs of life that another process heard: another agent, or the one before this.
    public var onSign: ((HeardSign) -> Void)?
    /// Hears what the API defines, here or at another agent.
    public var onDefinition: ((Asking<LiveDefinition>) -> Void)?
    /// Hears how the store does whenever that is another.
    public var onStoreStatus: ((StoreStatus) -> Void)?

    /// Upstreams by the tag of their timer.
    var tags: [Int: UpstreamBoard] = [:]
    var nextTag = 0

    /// What happened, for those who ask later.
    public let events: EventLog

    var reasons = ReasonWatch()
    private var othersTold = Throttle()
    private var otherDefinitions = OtherDefinitions()
    /// This process, as verdicts name it; nil where nobody said.
    public var agent: String?

    public private(set) var storeStatus: StoreStatus?

    /// Peers found as the store knew them, until they are told of.
    var resumed: [PeerKey: (status: PeerStatus, past: EventLog.Past?)] = [:]
    var resumptionTimer = TimerID.none
    static let resumptionTag = -1
    static let resumptionDelay = Nanoseconds.seconds(2)
    /// Who is found so soon after the start is found as, or otherwise than, it was left.
    static let resumesWithin = Nanoseconds.seconds(10)
    static let resumedNamesMax = 10

    /// What peers of other agents were before the store went away and what is known of them was over; and how
    /// many that, or their return, is to be told of.
    var unheard: [PeerKey: PeerStatus] = [:]
    var storeNews = (lost: 0, back: 0)
    var storeNewsTimer = TimerID.none
    static let storeNewsTag = -2
    static let storeNewsDelay = Nanoseconds.seconds(2)

    /// Upstreams that nobody can serve before a first verdict.
    var awaiting: Set<String> = []
    /// Views that change by themselves in one go; of more the rest waits for the next turn.
    private static let dueMax = 500

    /// Intents and verdicts of undefined peers kept; more come from a store that is not ours.
    public static let orphansMax = 100_000
    /// A timer that is late by so much was stopped with its process.
    private static let standstillMin = Nanoseconds.seconds(1)
    /// What was said meanwhile is read within this time.
    private static let catchUp = Nanoseconds.seconds(2)
    /// No timer waits longer, so that a clock set by hand is noticed.
    public static let checkAgainMax = Nanoseconds.seconds(60)

    /// `clock` is for tests: everything the board decides, it decides at the time this tells. Without
    /// a log, the events of this process are kept.
    public init(
        loop: EventLoop,
        events: EventLog? = nil,
        journal: Journal = .silent,
        strangerTime: Nanoseconds = PeerHealth.strangerTime,
        clock: (() -> Moment)? = nil
    ) {
        self.loop = loop
        self.journal = journal
        self.strangerTime = strangerTime
        let clock = clock ?? { loop.moment }
        self.clock = clock
        startedAt = clock().wall
        self.events = events ?? EventLog(startedAt: startedAt)
        super.init()
    }

    /// Cancels every timer. Views stay readable.
    public func close() {
        loop.cancel(resumptionTimer)
        resumptionTimer = .none
        loop.cancel(storeNewsTimer)
        storeNewsTimer = .none
        for board in boards.values { clearTimer(of: board) }
        tags = [:]
    }

    // MARK: Reading

    /// In the order of the definition.
    public var upstreams: [UpstreamView] { order.compactMap { boards[$0]?.view } }

    /// Every upstream's name, in the order of the definition.
    public var names: [String] { order }

    public func upstream(named name: String) -> UpstreamView? { boards[name]?.view }

    public func definition(of upstream: String) -> UpstreamDefinition? {
        boards[upstream]?.definition
    }

    /// Of what is defined; see `Revision`.
    public func digest(of upstream: String) -> UInt64? { boards[upstream]?.digest }

    public func monitors(of upstream: String) -> [MonitorSummary] {
        boards[upstream]?.monitors ?? []
    }

    public func isPanic(_ upstream: String) -> Bool { boards[upstream]?.isPanic ?? false }

    /// Some upstream could serve in a moment, and nobody in it can yet.
    public var isAwaitingFirstVerdicts: Bool { !awaiting.isEmpty }

    public func isAwaitingFirstVerdicts(of upstream: String) -> Bool { awaiting.contains(upstream) }

    public func report(of key: PeerKey) -> PeerReport? {
        boards[key.upstream]?.report(of: key.peer)
    }

    public func view(of key: PeerKey) -> PeerView? { boards[key.upstream]?.peerView(of: key.peer) }

    public func verdict(of key: VerdictKey) -> Verdict? {
        boards[key.upstream]?.verdict(of: key.peer, by: key.monitor)
    }

    /// Where a pair's verdict stands, so that whoever writes it often need not search each time.
    /// Nothing that is kept for long: it is void once its upstream is defined anew.
    public struct Place {
        fileprivate let upstream: UpstreamBoard
        fileprivate let peer: Int32
        fileprivate let generation: UInt32

        fileprivate var isVoid: Bool { generation != upstream.generation }
    }

    /// Makes `place` right, if it is void or nil, and returns it. Nil when the pair is not defined.
    public func find(_ key: VerdictKey, from place: inout Place?) -> Place? {
        if let place, !place.isVoid { return place }
        place = nil
        guard let upstream = boards[key.upstream], let peer = upstream.place(of: key) else {
            return nil
        }
        place = Place(upstream: upstream, peer: Int32(peer), generation: upstream.generation)
        return place
    }

    public func verdict(at place: Place, by monitor: String) -> Verdict? {
        place.isVoid ? nil : place.upstream.verdict(at: Int(place.peer), by: monitor)
    }

    public func intent(for key: PeerKey) -> Intent? { intents[key] }

    /// What is asked of any peer, defined or not.
    public var everyIntent: [PeerKey: Intent] { intents }

    // MARK: Subscribing

    /// Held until `unsubscribe`.
    public func subscribe(_ observer: any BoardObserver) { observers.append(observer) }

    public func unsubscribe(_ observer: any BoardObserver) {
        observers.removeAll { $0 === observer }
    }

    // MARK: Changing

    /// Takes a verdict, of this agent or of another. Returns what it changed of the peer, if
    /// anything. A verdict older than the one held changes nothing.
    @discardableResult
    public func apply(_ verdict: Verdict) -> PeerHealth.Change? {
        guard let board = boards[verdict.key.upstream], board.expects(verdict.key) else {
            keepOrphan(verdict)
            return nil
        }
        let now = read()
        let change = board.apply(verdict, now: now.wall)
        settle(verdict.key.peerKey, in: board, change, cause: .verdict(verdict), now: now)
        watchReason(of: verdict, board.peerView(of: verdict.key.peer), change, now: now)
        return change
    }

    /// The same for a verdict whose place is known, by somebody who knows the time.
    @discardableResult
    public func apply(
        _ verdict: Verdict,
        at place: Place,
        now: Moment
    ) -> PeerHealth.Change? {
        if place.isVoid { return apply(verdict) }
        note(now)
        // Nobody else speaks of it now.
        otherDefinitions.forget(verdict.key)
        let board = place.upstream
        let change = board.apply(verdict, at: Int(place.peer), now: now.wall)
        setTimer(of: board, for: board.nextChange(at: Int(place.peer)), now: now)
        if let change {
            tell(change, of: verdict.key.peerKey, in: board, cause: .verdict(verdict))
        }
        watchReason(of: verdict, board.peerView(at: Int(place.peer)), change, now: now)
        return change
    }

    /// Sets or lifts (nil) an intent on this board only. Operators set intents through the store,
    /// which calls this.
    @discardableResult
    public func set(
        intent: Intent?,
        for key: PeerKey,
        since: WallTime? = nil,
        weightSince: WallTime? = nil
    ) -> PeerHealth.Change? {
        let before = intents[key]
        guard before != intent else { return nil }
        if intents[key] != nil || intents.count < Self.orphansMax { intents[key] = intent }
        guard let board = boards[key.upstream], board.has(key.peer) else { return nil }
        let now = read()
        let change = board.set(
            intent: intent,
            for: key.peer,
            since: since,
            weightSince: weightSince,
            now: now.wall
        )
        settle(key, in: board, change, cause: .intent, now: now)
        // It was so before this process began, and is counted with the others of which that is true.
        if before == nil, let since, since < startedAt, resumed[key] != nil { return change }
        guard let view = board.peerView(of: key.peer) else { return change }
        // What had ended before it was heard of does not hold.
        var line = IntentLine(
            peer: key,
            view: view,
            before: before?.current(at: now.wall),
            intent: intent?.current(at: now.wall)
        )
        line.isModeTold = change?.isTransition == true
        line.weightSince = weightSince
        if let line = line.line { journal.log(line) }
        return change
    }

    /// This process ejects a peer: none of its own requests go to it for a while, whatever the checks say.
    /// False where it may not be: too few would be left.
    public func eject(
        _ key: PeerKey,
        for span: Nanoseconds,
        _ reason: String,
        until test: Ejection.Test = .recovery
    ) -> Bool {
        guard mayEject(key), let board = boards[key.upstream] else { return false }
        let now = read()
        let ejection = Ejection(reason, from: now.wall, for: span, test: test)
        let change = board.eject(key.peer, ejection, now: now.wall)
        settle(key, in: board, change, cause: .traffic, now: now)
        return change != nil
    }

    /// The checks found a peer down at which requests of this process failed: it is back a moment after they
    /// find it up, and not at once.
    public func holdBack(
        _ key: PeerKey,
        for span: Nanoseconds,
        _ reason: String,
        until test: Ejection.Test
    ) {
        guard let board = boards[key.upstream], !board.definition.eject.isOff,
            board.peerView(of: key.peer)?.routing == .down
        else { return }
        let now = read()
        let ejection = Ejection(reason, from: now.wall, for: span, test: test)
        let change = board.eject(key.peer, ejection, now: now.wall)
        settle(key, in: board, change, cause: .traffic, now: now)
    }

    /// What requests of this process had against a peer is over: somebody has set it up anew since.
    public func pardon(_ key: PeerKey) {
        guard let board = boards[key.upstream] else { return }
        let now = read()
        settle(
            key,
            in: board,
            board.liftEjection(of: key.peer, now: now.wall),
            cause: .traffic,
            now: now
        )
    }

    /// How many of an upstream can take requests now, backups too.
    public func available(in upstream: String) -> Int {
        guard let counts = boards[upstream]?.counts else { return 0 }
        return counts.available + counts.availableBackups
    }

    /// How many of an upstream can take requests, and how many are meant to; without backups.
    public func supply(of upstream: String) -> (available: Int, wanted: Int)? {
        guard let counts = boards[upstream]?.counts else { return nil }
        // After a start most peers may well be up, and were not looked at yet: that is no count to tell anybody.
        if counts.strangers + counts.strangerBackups > 0 { return nil }
        return (counts.available, counts.wanted)
    }

    /// What requests get where no peer can serve; nil where one can, or may in a moment.
    public func shortage(of upstream: String) -> String? { boards[upstream]?.shortage }

    /// It could serve, and there are enough others.
    public func mayEject(_ key: PeerKey) -> Bool {
        guard let board = boards[key.upstream], let view = board.peerView(of: key.peer) else {
            return false
        }
        return view.isAvailable && board.mayEject
    }

    /// Takes what another agent said, or this one before it was restarted: by its own clock, which
    /// need not be ours.
    private func receive(_ verdict: Verdict) {
        let key = verdict.key
        guard let board = boards[key.upstream], board.expects(key) else {
            return keepOrphan(verdict)
        }
        let now = read()
        let held = board.verdict(of: key.peer, by: key.monitor)
        if let other = board.otherSubject(of: verdict) {
            return note(other, of: verdict, now: now)
        }
        noteDifference(of: verdict, in: board, at: now.instant)
        let word = verdict.received(
            after: held,
            lifeMax: board.lifeMax(of: key.monitor),
            now: now.wall
        )
        if var held, held.isSame(as: verdict) || held.isNewer(than: verdict) && verdict.renews(held)
        {
            // Whoever reads all again hears what it has heard: its life counts from when it first came, by a
            // clock that nobody sets, and not from what another clock showed then. In the store it may hold for
            // longer than in the file of a process that was restarted.
            guard word.checkedAt == verdict.checkedAt, word.expiresAt > held.expiresAt else {
                return
            }
            held.checkedAt = max(held.checkedAt, word.checkedAt)
            held.expiresAt = word.expiresAt
            apply(held)
            return
        }
        // From a clock that is behind, say: what was over when it came says nothing against a word that
        // holds. Only its order counts, so that the next word of ours is not refused.
        if var held, word.isFound, word.expiresAt <= now.wall, held.expiresAt > now.wall,
            !held.isNewer(than: word)
        {
            (held.epoch, held.sequence) = (word.epoch, word.sequence)
            apply(held)
            return
        }
        apply(word)
    }

    /// Once a minute: while agents are reloaded one after the other, every pair is spoken of twice.
    func note(_ other: OtherSubject, of verdict: Verdict, now: Moment) {
        if let board = boards[verdict.key.upstream] {
            noteDifference(of: verdict, in: board, at: now.instant)
        }
        guard let silent = othersTold.note("other", at: now.instant) else { return }
        let wasBefore = verdict.agent == agent || verdict.checkedAt < startedAt
        var line = OtherSubjectLine(verdict: verdict, other: other, wasBefore: wasBefore)
        line.leftOut = silent
        journal.log(line.line)
    }

    /// Whoever speaks of something else under a name of ours has another definition, whether its word counts or not,
    /// for as long as it goes on to speak. What was said before this process began was said by another definition of its own,
    /// most likely.
    private func noteDifference(
        of verdict: Verdict,
        in board: UpstreamBoard,
        at now: Instant
    ) {
        guard let other = board.difference(of: verdict) else {
            return otherDefinitions.forget(verdict.key)
        }
        if verdict.agent == agent || verdict.checkedAt < startedAt { return }
        let life = board.lifeMax(of: verdict.key.monitor)
        otherDefinitions.note(other, of: verdict, life: life, at: now)
    }

    /// After something was defined otherwise here.
    func reviewDifferences() {
        otherDefinitions.keep { verdict in
            guard let board = boards[verdict.key.upstream], board.expects(verdict.key) else {
                return nil
            }
            return board.difference(of: verdict)
        }
    }

    /// Where agents do not mean the same by a name, as far as was heard lately.
    public var definedOtherwise: [OtherDefinition] { otherDefinitions.all(at: clock().instant) }

    private func keepOrphan(_ verdict: Verdict) {
        let key = verdict.key
        if let held = orphans[key.upstream]?[key] {
            if verdict.isNewer(than: held) { orphans[key.upstream]?[key] = verdict }
        } else if orphanCount < Self.orphansMax {
            orphans[key.upstream, default: [:]][key] = verdict
            orphanCount += 1
        }
    }

    // MARK: Time

    /// Both clocks, with everything here moved along where the wall clock was set meanwhile.
    func read() -> Moment {
        let now = clock()
        note(now)
        return now
    }

    /// Whoever read the clocks and goes on to use times of this board tells it first.
    public func note(_ now: Moment) {
        guard let step = watch.step(at: now) else { return }
        clockShift = clockShift + step
        startedAt = startedAt + step
        for board in boards.values {
            board.shift(by: step)
            setTimer(of: board, for: board.nextChange, now: now)
        }
        for name in orphans.keys {
            orphans[name] = orphans[name]?.mapValues { verdict in
                var verdict = verdict
                verdict.shift(by: step)
                return verdict
            }
        }
        let isBack = step < .zero
        journal.notice(
            "the clock was set \(isBack ? "back" : "forward") by "
                + "\(TransitionLine.rough(isBack ? -step : step)); durations go on as before",
            [.event("clock")]
        )
    }

    /// A peer's view changes by itself: slow start, an expired verdict, an intent that ends.
    public override func due(tag: Int) {
        if tag == Self.resumptionTag { return tellResumption() }
        if tag == Self.storeNewsTag { return tellStoreNews() }
        guard let board = tags[tag] else { return }
        let now = read()
        let late = now.instant - board.deadline
        clearTimer(of: board)
        if late > Self.standstillMin {
            // This process stood still. What others say of their peers is there, and not read yet: that it looks
            // over is no news of them.
            let again = now.wall + Self.catchUp
            return setTimer(of: board, for: again, now: now)
        }
        let name = board.definition.name
        for peer in board.due(now: now.wall, limit: Self.dueMax) {
            refresh(PeerKey(upstream: name, peer: peer), in: board)
        }
        setTimer(of: board, for: board.nextChange, now: now)
    }

    /// Refreshes every peer whose view is due to change. Timers do this by themselves; a test that
    /// moves time by hand calls it.
    public func refreshAll() {
        for board in boards.values {
            for peer in board.definition.peers {
                refresh(PeerKey(upstream: board.definition.name, peer: peer.id), in: board)
            }
        }
    }

    private func refresh(_ key: PeerKey, in board: UpstreamBoard) {
        let now = read()
        let change = board.refresh(key.peer, now: now.wall)
        settle(key, in: board, change, cause: .time, now: now)
    }

    /// Sets the timer of the upstream for a change of one of its views, unless it comes earlier
    /// anyway: an expiry that is pushed on by every probe costs a timer once in its life, not once
    /// a probe.
    func setTimer(of board: UpstreamBoard, for next: WallTime?, now: Moment) {
        guard let next else { return }
        let wait = min(max(next - now.wall, .milliseconds(1)), Self.checkAgainMax)
        let deadline = now.instant + wait
        if board.timer.isNone {
            board.timer = loop.schedule(at: deadline, sink: self, tag: board.tag)
        } else if deadline < board.deadline {
            loop.move(board.timer, to: deadline)
        } else {
            return
        }
        board.deadline = deadline
    }

    func clearTimer(of board: UpstreamBoard) {
        loop.cancel(board.timer)
        board.timer = .none
        board.deadline = .distantFuture
    }
}

extension Board: StoreObserver {
    public func storeChanged(_ change: any StoreChange) {
        switch change {
        case let verdict as Verdict: receive(verdict)
        case let asking as Asking<Intent>:
            set(
                intent: asking.wish,
                for: asking.key,
                since: asking.since,
                weightSince: asking.sinces.dropFirst().first ?? nil
            )
        // Also of a peer that is not defined now: it may come back.
        case let sign as HeardSign: onSign?(sign)
        case let asking as Asking<LiveDefinition>: onDefinition?(asking)
        default: break
        }
    }

    public func storeRenewed(_ verdict: Verdict, isSaidHere: Bool) {
        let key = verdict.key
        // By the clock of now, as the renewal is.
        let now = read()
        guard let board = boards[key.upstream], board.expects(key) else { return }
        let found = board.verdict(of: key.peer, by: key.monitor)
        if let other = board.difference(of: verdict) {
            noteDifference(of: verdict, in: board, at: now.instant)
            if !other.counts { return }
        }
        guard var held = found, held.expiresAt < verdict.expiresAt else { return }
        guard held.isSame(as: verdict) else {
            // What is over stands against no word that somebody vouches for, nor does what was said here without a claim
            // and is not any more.
            if held.expiresAt < now.wall || !isSaidHere, !held.isNewer(than: verdict) {
                receive(verdict)
            }
            return
        }
        held.checkedAt = max(held.checkedAt, verdict.checkedAt)
        held.expiresAt = verdict.expiresAt
        apply(held)
    }

    public func isDefined(_ key: any RecordKey) -> Bool {
        guard let key = key as? PeerKey else { return true }
        return boards[key.upstream]?.has(key.peer) ?? false
    }

    public func storeStatusChanged(_ status: StoreStatus) {
        let before = storeStatus
        storeStatus = status
        onStoreStatus?(status)
        guard before?.isConnected != status.isConnected else { return }
        // That it is away the store says itself, and why, also where it never was there.
        if status.isConnected, !status.isReturnSilent {
            let but = status.writeError.map { ", and takes no writes: \($0.printable)" } ?? ""
            journal.notice(
                "store \(status.kind) is connected\(but)",
                [.event("store-connected"), .store(status.kind)]
            )
        }
    }
}
