// Who hears of every change, and sees to it that receivers do? This stands between the board and the heralds:
// it takes every transition to each of them, sends what they have to say when it is this agent's to send,
// and keeps what is not sent yet. It decides nothing that `Herald` and `Duty` do not.
//
//   board ── transition ──► Herald (one a receiver) ── batch ──► Courier (a loop of its own) ──► receiver
//                               │    ▲                                │
//   ledger ◄── notices, told ───┘    └──────── sent, failed ◄─────────┘

public import Checks
public import EventLoop
public import Health
public import Ledger
public import Store
public import Vocabulary

/// Tells receivers. Confined to the control loop.
public final class Notifier {
    /// One attempt to send.
    public typealias Deliver = @Sendable (Batch, Receiver) async -> OutgoingEnd

    private let loop: EventLoop
    private let agent: String
    private let board: Board
    private let fleet: (any NotifyFleet)?
    private let journal: Journal
    private let timers: Timers
    private var deliver: Deliver?
    private var ledger: Ledger?

    private var receivers: [String: Receiver] = [:]
    private var heralds: [String: Herald] = [:]
    /// In the order of the configuration.
    private var order: [String] = []
    private var records: [String: Attempts] = [:]
    private var duty: Duty
    private var timer: Timers.Token?
    private var timerAt = Instant.distantFuture
    private var sayAt: Instant?
    private var isRunning = false
    private var isSettled = false
    /// What this agent tells still of a receiver that a newcomer has taken over: up to which notice.
    private var handovers: [String: UInt64] = [:]
    /// The first notices of which the others may not have heard when this agent joins them.
    private var freshFrom: [String: UInt64] = [:]
    /// Receivers that another agent told when that was looked at last.
    private var standsBy: Set<String> = []
    /// When it may tell, among others.
    private var tellsFrom = Instant.distantFuture
    /// What the ledger had of receivers that are not defined.
    private var strangers: [LedgerRecord] = []
    /// The store was away when it was looked at last; and since when it is back.
    private var wasAway = false
    private var backSince: Instant?
    /// What was told while the store was away, for the other agents to hear of.
    private var unsaid: [FleetSign] = []
    private var onIdle: [CheckedContinuation<Void, Never>] = []

    /// How attempts went, for people.
    private struct Attempts {
        var lastSent: WallTime?
        var failingSince: WallTime?
        var lastError: String?
        /// The receiver said itself when to come again.
        var laterAt: WallTime?
    }

    /// What is kept of an error over a restart.
    private static let errorMax = 200

    /// Before then what peers are is not compared with what receivers know: first verdicts are to come.
    private static let settlesAfter = Duty.listens
    /// Agents hear of a change at different times, within that.
    private static let skew = Nanoseconds.seconds(2)
    /// Several that join in the same moment hear of one another first.
    private static let joinsWithin = Nanoseconds.seconds(1)
    /// What both know is told by the one before, who says so within that.
    private static let wordWithin = Nanoseconds.seconds(3)
    /// What was told while the store was away, and is told the others later.
    static let unsaidMax = 1_000
    private static let strangersMax = 10_000
    /// What is under way at the end may take so long.
    private static let lastWordWithin = Nanoseconds.seconds(3)

    public init(
        agent: String,
        board: Board,
        on loop: EventLoop,
        fleet: (any NotifyFleet)? = nil,
        journal: Journal = .silent
    ) {
        self.agent = agent
        self.board = board
        self.loop = loop
        self.fleet = fleet
        self.journal = journal
        timers = Timers(loop: loop)
        duty = Duty(agent: agent)
    }

    // MARK: Life

    /// Whom to tell from now on. Who stays keeps what it waits for.
    public func define(_ wanted: [Receiver]) {
        order = wanted.map(\.name)
        let names = Set(order)
        for name in heralds.keys where !names.contains(name) {
            heralds[name] = nil
            receivers[name] = nil
            records[name] = nil
        }
        for receiver in wanted {
            receivers[receiver.name] = receiver
            if heralds[receiver.name] != nil {
                heralds[receiver.name]?.rules = receiver.rules
            } else {
                heralds[receiver.name] = Herald(receiver.name, receiver.rules)
                if isSettled { compare(receiver.name) }
            }
        }
        pump()
    }

    /// Writes what waits to `ledger` from now on, and takes from it what the last process left. After
    /// `define`.
    public func keep(in ledger: Ledger) {
        self.ledger = ledger
        ledger.join(self)
    }

    public func start(_ deliver: @escaping Deliver) {
        self.deliver = deliver
        isRunning = true
        board.subscribe(self)
        fleet?.onNotify = { [weak self] in self?.hear($0) }
        duty = Duty(agent: agent)
        sayAt = fleet == nil ? nil : loop.instant
        timers.schedule(after: Self.settlesAfter + -Self.skew) { [weak self] in
            guard let self else { return }
            self.freshFrom = self.heralds.mapValues(\.nextID)
        }
        timers.schedule(after: Self.settlesAfter) { [weak self] in self?.settle() }
        pump()
    }

    /// What is under way may end, what waits is kept.
    public func stop() async {
        guard isRunning else { return }
        isRunning = false
        board.unsubscribe(self)
        say("gone", of: agent, "")
        if heralds.values.contains(where: \.isSending) {
            let giveUp = timers.schedule(after: Self.lastWordWithin) { [weak self] in
                self?.wakeIdle()
            }
            await withCheckedContinuation { onIdle.append($0) }
            timers.cancel(giveUp)
        }
        timers.cancelAll()
        timer = nil
    }

    private func wakeIdle() {
        for waiter in onIdle { waiter.resume() }
        onIdle = []
    }

    // MARK: What receivers know, and what is

    private func settle() {
        isSettled = true
        let now = loop.instant
        for name in order {
            // They were here before, saw the same, and tell it: all but what has just come about.
            let hasElders = fleet != nil && duty.hasElders(for: name, at: now)
            let next = heralds[name]?.nextID ?? 1
            let fresh = min(freshFrom[name] ?? next, next)..<next
            compare(name)
            change(name) { herald, now in
                herald.dropTold()
                // Of what both found one tells, and the one that came first is about to.
                if fleet != nil, duty.hasOthers(for: name, at: now.instant) {
                    herald.hold(until: now.instant + herald.rules.group + Self.wordWithin)
                }
            }
            if hasElders {
                change(name) { herald, now in
                    herald.clear(but: fresh)
                }
            }
        }
        duty.join()
        tellsFrom = now + Self.joinsWithin
        sayAt = fleet == nil ? nil : now
        pump()
    }

    /// What changed while nobody was here to see it, or before this receiver was defined.
    private func compare(_ name: String) {
        guard let known = heralds[name] else { return }
        let now = loop.moment
        for key in known.troubledPeers where board.view(of: key) == nil {
            change(name) { herald, now in herald.gone(key, now: now) }
        }
        let troubled = Set(known.troubledPeers)
        for upstream in board.names where known.rules.wants(upstream) {
            guard let definition = board.definition(of: upstream) else { continue }
            for peer in definition.peers {
                let key = PeerKey(upstream: upstream, peer: peer.id)
                guard let view = board.view(of: key), view.status != .unknown,
                    troubled.contains(key) || known.rules.statuses.contains(view.status)
                else { continue }
                change(name) { herald, _ in
                    herald.heard(
                        key,
                        from: .unknown,
                        to: view.status,
                        since: view.since,
                        reason: view.reason,
                        supply: supply(of: upstream),
                        now: now
                    )
                }
            }
        }
    }

    private func supply(of upstream: String) -> Notice.Supply? {
        board.supply(of: upstream).map { .init(available: $0.available, wanted: $0.wanted) }
    }

    /// Changes a herald in place, and writes down what is different for it: a burst of changes costs each of
    /// them the same.
    private func change(_ name: String, _ body: (inout Herald, Moment) -> Void) {
        guard heralds[name] != nil else { return }
        let now = loop.moment
        body(&heralds[name, default: Herald(name, HeraldRules())], now)
        guard let news = heralds[name]?.takeNews(), let ledger, !news.isEmpty else { return }
        for notice in news.added { ledger.note(Self.record(of: notice, for: name)) }
        if !news.removed.isEmpty || news.leftOut != nil {
            ledger.note(Self.record(told: news.removed, leftOut: news.leftOut, to: name))
        }
        for peer in news.turned {
            guard let herald = heralds[name] else { continue }
            ledger.note(Self.record(of: herald.turns(of: peer, now: now), for: name))
        }
    }

    // MARK: Sending

    private func pump() {
        guard isRunning else { return }
        let now = loop.moment
        sayThatItIsHere(at: now.instant)
        for name in order {
            change(name) { herald, now in herald.look(now: now) }
            send(name, now: now)
        }
        setTimer(now: now)
    }

    /// Whether what waits for this receiver is this agent's to send, and which of it.
    private func filter(for name: String, at now: Instant) -> ((Notice) -> Bool)? {
        guard let fleet else { return { _ in true } }
        noteAbsence(of: fleet, at: now)
        if fleet.isAway {
            // Nobody can be asked: each tells of what it found itself.
            let (agent, board) = (agent, board)
            return { notice in
                board.report(of: notice.peer)?.verdicts.contains { $0.agent == agent } ?? false
            }
        }
        guard mayTell(at: now) else { return nil }
        if duty.teller(of: name, at: now) == agent {
            handovers[name] = nil
            if standsBy.remove(name) != nil {
                change(name) { herald, now in herald.takeOver(now: now) }
            }
            return { _ in true }
        }
        standsBy.insert(name)
        return handovers[name].map { last in { $0.id <= last } }
    }

    private func mayTell(at now: Instant) -> Bool {
        isSettled && now >= tellsFrom && (backSince.map { now - $0 >= Duty.listens } ?? true)
    }

    private func send(_ name: String, now: Moment) {
        guard let receiver = receivers[name], let deliver,
            let isOurs = filter(for: name, at: now.instant),
            let batch = heralds[name]?.next(now: now, by: agent, isOurs: isOurs)
        else { return }
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) {
            let end = await deliver(batch, receiver)
            home.value.ended(name, end)
        }
    }

    private func ended(_ name: String, _ end: OutgoingEnd) {
        let now = loop.moment
        switch end {
        case .arrived:
            var told: [Notice] = []
            change(name) { herald, now in told = herald.sent(now: now.instant) }
            for notice in told {
                say(
                    "told \(notice.kind.rawValue) \(notice.to.rawValue)",
                    of: notice.peer,
                    name
                )
            }
            recovered(name, at: now.wall)
        case .failed(let text, let later): failed(name, text, isRefusal: false, later, at: now.wall)
        case .refused(let text): failed(name, text, isRefusal: true, nil, at: now.wall)
        }
        if !isRunning, !heralds.values.contains(where: \.isSending) { wakeIdle() }
        pump()
    }

    private func recovered(_ name: String, at now: WallTime) {
        var record = records[name] ?? Attempts()
        record.lastSent = now
        if let since = record.failingSince {
            journal.notice(
                "notify \(name): messages arrive again, after \((now - since).rough)",
                [.event("notify-again"), .init("receiver", name)]
            )
        }
        let wasFailing = record.failingSince != nil
        (record.failingSince, record.lastError, record.laterAt) = (nil, nil, nil)
        records[name] = record
        if wasFailing { ledger?.note(Self.record(of: record, for: name)) }
    }

    private func failed(
        _ name: String,
        _ text: String,
        isRefusal: Bool,
        _ later: Nanoseconds?,
        at now: WallTime
    ) {
        var lost: [Notice] = []
        change(name) { herald, now in
            lost = herald.failed(isRefusal: isRefusal, later: later, now: now.instant)
        }
        var record = records[name] ?? Attempts()
        if record.failingSince == nil {
            record.failingSince = now
            journal.warning(
                "notify \(name): a message did not arrive: \(text.printable); it is kept, and tried again "
                    + "(muster notify says how it goes)",
                [.event("notify-failed"), .init("receiver", name), .error(text)]
            )
        }
        let isNews = record.failingSince == now || later != nil
        record.lastError = text
        record.laterAt = later.map { now + min($0, Herald.laterMax) }
        records[name] = record
        if isNews { ledger?.note(Self.record(of: record, for: name)) }
        if !lost.isEmpty {
            journal.warning(
                "notify \(name): \(lost.count == 1 ? "1 notice is" : "\(lost.count) notices are") "
                    + "given up after \(Herald.refusalsMax) refusals: "
                    + text.printable,
                [.event("notify-given-up"), .init("receiver", name), .error(text)]
            )
        }
    }

    /// A message now, beside all that waits: what became of it. Nil where there is no such receiver.
    public func test(_ name: String, by asker: String) async -> OutgoingEnd? {
        guard let receiver = receivers[name], let deliver else { return nil }
        let notice = Notice(
            id: 0,
            kind: .test,
            peer: PeerKey(upstream: "muster", peer: "test"),
            from: .up,
            to: .up,
            at: loop.wall,
            reason: "agent \(agent) can tell receiver '\(name)', asked by \(asker)",
            isTrouble: false
        )
        let batch = Batch(receiver: name, agent: agent, notices: [notice], sentAt: loop.wall)
        let end = await deliver(batch, receiver)
        if end == .arrived, heralds[name] != nil {
            // It takes messages, so what waits need not wait for the next attempt.
            heralds[name]?.hurry()
            recovered(name, at: loop.wall)
            pump()
        }
        return end
    }

    private func setTimer(now: Moment) {
        var times = heralds.values.map { $0.wakeAt(now: now) }
        times.append(sayAt)
        if fleet != nil, isSettled, now.instant < tellsFrom { times.append(tellsFrom) }
        guard let time = times.compactMap({ $0 }).min() else { return }
        // On watch it looks again when somebody falls silent, which is no event.
        let soonest = now.instant + (fleet == nil ? .milliseconds(10) : .milliseconds(250))
        // That the store goes or comes is no event either.
        let latest = fleet == nil ? Instant.distantFuture : now.instant + .seconds(1)
        let at = min(max(time, soonest), latest)
        if timer != nil, timerAt <= at, timerAt > now.instant { return }
        if let timer { timers.cancel(timer) }
        timerAt = at
        timer = timers.schedule(at: at) { [weak self] in
            self?.timer = nil
            self?.pump()
        }
    }

    // MARK: Among other agents

    /// When the store is back each says at once what it told meanwhile, and listens to the others before it
    /// tells anything that they may have told.
    private func noteAbsence(of fleet: any NotifyFleet, at now: Instant) {
        let isBack = wasAway && !fleet.isAway
        wasAway = fleet.isAway
        guard isBack else { return }
        backSince = now
        let waiting = unsaid
        unsaid = []
        for sign in waiting { fleet.announce(sign) }
        for name in order { sayHere(name) }
    }

    private func sayThatItIsHere(at now: Instant) {
        guard let fleet else { return }
        noteAbsence(of: fleet, at: now)
        guard let due = sayAt, due <= now else { return }
        sayAt = now + Duty.sayEvery
        duty.note(members: fleet.memberNames)
        if fleet.isAway { return }
        for name in order { sayHere(name) }
    }

    private func sayHere(_ name: String) { say(duty.hasJoined ? "here" : "new", of: agent, name) }

    /// A newcomer has listened: it takes a receiver over, and what waits here by now is told from here.
    private func hear(joined other: String, to name: String) {
        let now = loop.instant
        let tellsNow = mayTell(at: now) && duty.teller(of: name, at: now) == agent
        let isNewcomer = duty.isNewcomer(other, to: name)
        duty.heard(other, canTell: name, at: now)
        guard tellsNow, isNewcomer, duty.teller(of: name, at: now) != agent else { return }
        handovers[name] = heralds[name].map { $0.nextID - 1 }
    }

    /// A word about this agent itself.
    private func say(_ word: String, of agent: String, _ receiver: String) {
        say(word, of: PeerKey(upstream: "agent", peer: agent), receiver)
    }

    private func say(_ word: String, of peer: PeerKey, _ receiver: String) {
        guard let fleet else { return }
        let sign = FleetSign(.notify, peer: peer, status: word, message: receiver)
        if !fleet.isAway { return fleet.announce(sign) }
        if word.hasPrefix("told "), unsaid.count < Self.unsaidMax { unsaid.append(sign) }
    }

    private func hear(_ sign: FleetSign) {
        let words = sign.status.split(separator: " ").map(String.init)
        switch words.first {
        case "here": hear(joined: sign.peer.peer, to: sign.message)
        case "new":
            duty.heard(sign.peer.peer, canTell: sign.message, isNew: true, at: loop.instant)
        case "gone": duty.left(sign.peer.peer)
        case "told" where words.count == 3:
            guard let kind = Notice.Kind(rawValue: words[1]),
                let to = PeerStatus(rawValue: words[2])
            else { return }
            change(sign.message) { herald, _ in herald.toldElsewhere(sign.peer, kind, to) }
        default: break
        }
        pump()
    }

    // MARK: For people

    /// How each receiver is, in the order of the configuration.
    public var status: [NotifyStatus] {
        let now = loop.moment
        return order.compactMap { name in
            guard let herald = heralds[name], let receiver = receivers[name] else { return nil }
            let record = records[name] ?? Attempts()
            let teller =
                fleet == nil || fleet?.isAway == true
                ? agent : duty.teller(of: name, at: now.instant)
            let quietUntil = herald.quietEnd(at: now.wall)
            let state: NotifyStatus.State =
                record.failingSince != nil
                ? .failing : teller != agent ? .standby : quietUntil != nil ? .quiet : .ok
            return NotifyStatus(
                name: name,
                kind: receiver.kind,
                state: state,
                teller: teller,
                waiting: herald.waiting.count,
                troubled: herald.troubled,
                leftOut: herald.leftOut,
                nextAttempt: herald.nextAttempt.map { now.wall + ($0 - now.instant) },
                counts: herald.counts,
                quietUntil: quietUntil,
                lastSent: record.lastSent,
                failingSince: record.failingSince,
                lastError: record.lastError
            )
        }
    }
}

/// How one receiver is.
public struct NotifyStatus: Hashable, Sendable {
    public enum State: String, Sendable, CaseIterable {
        case ok
        /// The last attempt did not arrive.
        case failing
        /// It wants to be left alone just now.
        case quiet
        /// Another agent tells it.
        case standby
    }

    public var name: String
    public var kind: String
    public var state: State
    /// The agent that tells it.
    public var teller: String
    public var waiting: Int
    public var troubled: Int
    public var leftOut: Int
    /// When what did not arrive is tried again.
    public var nextAttempt: WallTime?
    public var counts: Herald.Counts
    public var quietUntil: WallTime?
    public var lastSent: WallTime?
    public var failingSince: WallTime?
    public var lastError: String?
}

extension Notifier: BoardObserver {
    public func transition(_ event: TransitionEvent) {
        for name in order {
            change(name) { herald, now in
                herald.heard(
                    event.peer,
                    from: event.from,
                    to: event.to,
                    since: event.at,
                    reason: event.reason,
                    supply: supply(of: event.peer.upstream),
                    now: now
                )
            }
        }
        // Of a burst the first one sets the timer, and the others find it set.
        let isFirst = heralds.values.contains { $0.waiting.count == 1 }
        let isSooner = heralds.values.contains { $0.nextLook.map { $0 < timerAt } ?? false }
        if timer == nil || isFirst || isSooner { setTimer(now: loop.moment) }
    }

    public func defined(_ upstreams: [String], _ peers: [PeerKey]) {
        let gone = peers.filter { board.view(of: $0) == nil }
        if gone.isEmpty { return }
        for name in order {
            change(name) { herald, now in for key in gone { herald.gone(key, now: now) } }
        }
        setTimer(now: loop.moment)
    }
}

extension Notifier: LedgerClient {
    public var recordKinds: Set<UInt8> { [LedgerKind.notice, LedgerKind.noticesTold] }

    public func recover(_ record: LedgerRecord) {
        guard let json = try? JSON(parsing: record.bytes), let name = json["receiver"]?.string
        else {
            return
        }
        guard heralds[name] != nil else {
            if strangers.count < Self.strangersMax { strangers.append(record) }
            return
        }
        if record.kind == LedgerKind.noticesTold {
            let ids =
                json["told"]?.items?.compactMap { $0.integer.map { UInt64(clamping: $0) } } ?? []
            heralds[name]?.restore(told: Set(ids))
            if let count = json["left_out"]?.int { heralds[name]?.restore(leftOut: count) }
        } else if let attempts = json["attempts"] {
            recover(attempts, of: name)
        } else if let turns = json["turns"].flatMap(Herald.Turns.init(kept:)) {
            heralds[name]?.restore(turns, now: loop.moment)
        } else if let notice = json["notice"].flatMap(Notice.init(kept:)) {
            if json["standing"]?.bool == true {
                heralds[name]?.restore(standingOf: notice, now: loop.instant)
            } else {
                heralds[name]?.restore(notice, now: loop.instant)
            }
        }
    }

    /// How long nothing has arrived goes on, and so does the pause that the receiver asked for.
    private func recover(_ attempts: JSON, of name: String) {
        func time(_ key: String) -> WallTime? {
            attempts[key]?.string.flatMap { WallTime(rfc3339: $0) }
        }
        var record = records[name] ?? Attempts()
        record.failingSince = time("failing_since")
        record.lastError = attempts["error"]?.string
        record.laterAt = time("later_at")
        records[name] = record
        if let later = record.laterAt {
            heralds[name]?.restore(retryAt: later, now: loop.moment)
        } else {
            heralds[name]?.hurry()
        }
    }

    public func snapshot() -> @Sendable () -> [LedgerRecord] {
        let (heralds, strangers) = (order.compactMap { self.heralds[$0] }, strangers)
        let failing = records.filter { $0.value.failingSince != nil }
        let now = loop.moment
        return {
            strangers + failing.map { Self.record(of: $0.value, for: $0.key) }
                + heralds.flatMap { herald in
                    herald.standingNotices.map {
                        Self.record(of: $0, for: herald.name, isStanding: true)
                    } + herald.waiting.map { Self.record(of: $0, for: herald.name) }
                        + herald.turns(now: now).map { Self.record(of: $0, for: herald.name) }
                        + (herald.leftOut > 0
                            ? [Self.record(told: [], leftOut: herald.leftOut, to: herald.name)]
                            : [])
                }
        }
    }

    private static func record(
        of notice: Notice,
        for receiver: String,
        isStanding: Bool = false
    ) -> LedgerRecord {
        let json = JSON.object([
            .init("receiver", .string(receiver)),
            .init("standing", isStanding ? .bool(true) : .null),
            .init("notice", notice.kept),
        ])
        return LedgerRecord(kind: LedgerKind.notice, bytes: json.withoutNulls().bytes)
    }

    private static func record(of turns: Herald.Turns, for receiver: String) -> LedgerRecord {
        let json = JSON.object([
            .init("receiver", .string(receiver)), .init("turns", turns.kept),
        ])
        return LedgerRecord(kind: LedgerKind.notice, bytes: json.withoutNulls().bytes)
    }

    private static func record(of attempts: Attempts, for receiver: String) -> LedgerRecord {
        let kept = JSON.object([
            .init("failing_since", JSON(attempts.failingSince?.description)),
            .init("later_at", JSON(attempts.laterAt?.description)),
            .init("error", JSON(attempts.lastError.map { String($0.printable.prefix(errorMax)) })),
        ])
        let json = JSON.object([.init("receiver", .string(receiver)), .init("attempts", kept)])
        return LedgerRecord(kind: LedgerKind.notice, bytes: json.bytes)
    }

    private static func record(
        told ids: [UInt64],
        leftOut: Int?,
        to receiver: String
    ) -> LedgerRecord {
        let json = JSON.object([
            .init("receiver", .string(receiver)),
            .init("told", .array(ids.map { .integer(Int64(clamping: $0)) })),
            .init("left_out", leftOut.map { JSON($0) } ?? .null),
        ]).withoutNulls()
        return LedgerRecord(kind: LedgerKind.noticesTold, bytes: json.bytes)
    }
}
