// When is whom probed? Every (monitor, peer) is a pair with one wake-up and at most one probe in
// flight. Between two probes a pair is a row in a table: no task, no closure, no connection.
//
//   wake-up ──► in line ──► probe in flight ──► door ──► wake-up
//              (Admission)  (Scheduler+Probe)
//
// A row keeps its number for life and changes its generation when it is reused, so the result of a
// probe whose pair was removed meanwhile finds nobody and is dropped.

public import Checks
public import DNS
public import EventLoop
public import Health
import Store
public import Tracing
public import Vocabulary

/// The numbers of one pair, for metrics.
public struct PairMetrics: Sendable {
    public var key: VerdictKey
    public var kind: String
    public var series: ProbeSeries
}

/// The numbers of the whole.
public struct SchedulerMetrics: Sendable {
    public var pairs = 0
    /// Those of them that this agent probes: all, unless it shares them with others.
    public var held = 0
    public var inFlight = 0
    /// Due and not started, because a limit is reached.
    public var waiting = 0
    public var started: UInt64 = 0
    /// Due for long and not started.
    public var overdue = Overdue()
    /// Pairs that had no next probe, and were probed all the same.
    public var missed: UInt64 = 0
    /// How long after its time each probe began.
    public var lateness = Histogram()
    /// Probes whose failure was not believed, because this agent was late itself.
    public var excused: UInt64 = 0
    /// How long the loop was kept from what was due, in all and at most at once.
    public var loopLag = Nanoseconds.zero
    public var loopLagMax = Nanoseconds.zero
    /// This agent was late within the last minute: its word is to be doubted.
    public var isDoubtful = false
}

/// Probes every pair on its schedule. Confined to its loop's thread.
public final class Scheduler: EventSink {
    let loop: EventLoop
    let resolver: LoopBound<Resolver>
    let door: Door
    let heartbeats: Heartbeats?
    /// Since when pairs wait for signs of life.
    var listensFrom: [VerdictKey: Instant] = [:]
    let services: LoopBound<Services>?
    let journal: Journal

    private var members: [String: Members] = [:]
    var rows: [Pair] = []
    /// Whose the rows are; empty where this agent shares with nobody.
    var shares: [Share] = []
    var fleet: FleetDesk?
    /// Failures that wait for others to see the same, by row.
    var held: [Int: Outcome] = [:]
    /// When others were told last that requests fail at a peer.
    var suspicionsTold: [PeerKey: Instant] = [:]
    /// Of other agents.
    var heardVotes = HeardVotes()
    let began: WallTime
    /// Rows that begin anew in place of one whose address or kind was another.
    private var renewed: [Int] = []
    private var free: [Int] = []
    var index = PairIndex()
    /// Numbers for upstreams, each with places of its own among all probes; and those that are free.
    private var groupCount: UInt32 = 0
    private var freeGroups: [UInt32] = []
    /// The groups of probes in flight whose pair was removed.
    private var strays: [Stray: UInt32] = [:]
    private var wakeUps = WakeUps()
    var admission: Admission
    private var budgetTimer = TimerID.none
    lazy var direct = DirectProbes(loop: loop, observer: self)
    private(set) var isStopping = false
    private var onIdle: [CheckedContinuation<Void, Never>] = []
    /// Probes in flight that are tasks.
    var tasks = 0
    /// Whoever stops waits for tasks alone: all other probes have been dropped.
    private var hasDropped = false
    private var patience = TimerID.none
    private var isOutOfPatience = false

    var started: UInt64 = 0
    var lateness = Histogram()
    var recentLateness = RecentHistogram()
    var complainFrom = Instant(nanoseconds: .min)
    var excused: UInt64 = 0
    var missed: UInt64 = 0
    var complainOfMissedFrom = Instant(nanoseconds: .min)
    /// Whoever asks for a probe waits so long for it.
    private(set) lazy var asks = Timers(loop: loop)
    var complainOfLagFrom = Instant(nanoseconds: .min)
    /// Requests of this process fail nearly everywhere: nobody else needs to hear of that.
    public var doubtsRequests: (() -> Bool)?
    /// Whether requests of this process have been answered whole by a peer since then; nil where it has none.
    public var hasAnswered: ((PeerKey, _ since: Instant) async -> Bool)?
    /// Who records probes; nil where nobody does.
    public var tracer: (any Tracer)?
    var lastExcused: Instant?

    /// The first probe of every pair comes within this time, however long the interval is: at once where
    /// nobody has judged it, but for what keeps thousands from coming all together.
    public static let firstProbeWithin = Nanoseconds.seconds(1)
    /// Of a thousand that begin together the last is probed after fifty milliseconds.
    static let firstProbePace = Nanoseconds.microseconds(50)
    static let complainEvery = Nanoseconds.seconds(60)
    private static let budgetTag = -1
    private static let patienceTag = -2

    public init(
        loop: EventLoop,
        resolver: LoopBound<Resolver>,
        door: Door,
        limits: ProbeLimits = ProbeLimits(),
        heartbeats: Heartbeats? = nil,
        services: LoopBound<Services>? = nil,
        journal: Journal = .silent
    ) {
        self.loop = loop
        self.resolver = resolver
        self.door = door
        self.heartbeats = heartbeats
        self.services = services
        self.journal = journal
        began = loop.wall
        admission = Admission(limits: limits)
    }

    // MARK: Defining

    /// What of an upstream makes pairs: each of its peers with each of its monitors. Its peers are the
    /// board's, which is told first.
    private struct Members {
        let group: UInt32
        var monitors: [String: SharedMonitor] = [:]
        /// Before the first peer comes there is no pair to make: each makes its own.
        var hasPeers = false
    }

    /// Takes in what is defined otherwise now, and touches only the pairs that it is about: others
    /// keep their count and their beat. A pair whose monitor changed keeps its count too; one whose
    /// address or kind changed begins anew.
    ///
    /// Tell the board first: a verdict of a pair that the board does not know is put aside.
    public func apply(_ changes: [CatalogueChange]) {
        if isStopping || changes.isEmpty { return }
        var fresh: [Int] = []
        var haveChecksChanged = false
        for change in changes {
            switch change {
            case .upstream(let definition, _):
                if members[definition.name] == nil {
                    members[definition.name] = Members(group: takeGroup())
                }
            case .upstreamGone(let name):
                if let gone = members.removeValue(forKey: name) { freeGroups.append(gone.group) }
            case .monitor(let name, let monitor, _):
                haveChecksChanged = true
                let shared = SharedMonitor(monitor)
                members[name]?.monitors[monitor.id] = shared
                for peer in members[name]?.hasPeers == true ? door.peers(of: name) : [] {
                    let key = VerdictKey(upstream: name, peer: peer.id, monitor: monitor.id)
                    if let row = define(key, at: peer.address, monitor: shared) {
                        fresh.append(row)
                    }
                }
            case .monitorGone(let name, let id):
                haveChecksChanged = true
                members[name]?.monitors[id] = nil
                for peer in index.peers(of: name, with: id) {
                    forget(VerdictKey(upstream: name, peer: peer, monitor: id))
                }
            case .peer(let key, let peer, _):
                members[key.upstream]?.hasPeers = true
                for (id, monitor) in members[key.upstream]?.monitors ?? [:] {
                    let pair = VerdictKey(upstream: key.upstream, peer: key.peer, monitor: id)
                    if let row = define(pair, at: peer.address, monitor: monitor) {
                        fresh.append(row)
                    }
                }
            case .peerGone(let key):
                heardVotes.forget(key)
                // The last sign of life is kept: it may come back.
                for id in (members[key.upstream]?.monitors ?? [:]).keys {
                    forget(VerdictKey(upstream: key.upstream, peer: key.peer, monitor: id))
                }
            }
        }
        restart(fresh)
        // What was watched before is not left unwatched until its beat.
        for row in renewed { hurry(row) }
        renewed = []
        if haveChecksChanged {
            services?.value.keep(members.values.flatMap { $0.monitors.values.map(\.check) })
        }
        pump()
    }

    func monitors(of upstream: String) -> [String: SharedMonitor] {
        members[upstream]?.monitors ?? [:]
    }

    /// One that was another's may have probes in flight still: they count until they end.
    private func takeGroup() -> UInt32 {
        if let group = freeGroups.popLast() { return group }
        groupCount += 1
        return groupCount - 1
    }

    private func forget(_ key: VerdictKey) {
        guard let row = index[key] else { return }
        listensFrom[key] = nil
        let goesOnElsewhere = fleet?.remove(key) ?? false
        remove(row)
        if !goesOnElsewhere { door.forget(key) }
    }

    /// Returns the row if its beat begins anew.
    private func define(
        _ key: VerdictKey,
        at address: Address,
        monitor: SharedMonitor
    ) -> Int? {
        var isNew = true
        if let row = index[key] {
            let pair = rows[row]
            let before = pair.monitor
            if pair.address == address, before.kind == monitor.kind {
                if before === monitor { return nil }
                pair.monitor = monitor
                pair.plan = monitor.check.direct(pair.target)
                pair.opinion.adopt(monitor.thresholds)
                reshare(row)
                if !isHeld(row) { return nil }
                return before.schedule != monitor.schedule && pair.phase == .resting ? row : nil
            }
            // Another server, or another question: the old answer is nobody's any more.
            door.forget(key)
            remove(row)
            isNew = false
        }
        let pair = Pair(
            key: key,
            address: address,
            monitor: monitor,
            opinion: door.opinion(on: key, thresholds: monitor.thresholds, now: loop.wall),
            group: members[key.upstream]?.group ?? 0
        )
        admission.join(pair.group)
        pair.clockShift = door.clockShift
        let row: Int
        if let reused = free.popLast() {
            pair.generation = rows[reused].generation &+ 1
            rows[reused] = pair
            row = reused
        } else {
            rows.append(pair)
            row = rows.count - 1
        }
        index[key] = row
        listensFrom[key] = monitor.kind == HeartbeatCheck.kind ? loop.instant : nil
        share(row)
        if fleet != nil { door.recall(key) }
        if !isNew, isHeld(row) { renewed.append(row) }
        return row
    }

    /// Sets the wake-ups of resting pairs to a time soon, spread so that a thousand pairs that begin
    /// together do not burst. The time is read when all of them are made: of ten thousand, the first
    /// would be late before the last is there.
    private func restart(_ fresh: [Int]) {
        let now = slotTime(loop.moment)
        // Others come when the fleet says so.
        let fresh = fresh.filter { rows[$0].phase == .resting && isHeld($0) }
        let strangers = fresh.count { rows[$0].opinion.counter.status == .unknown }
        let atOnce = max(Self.firstProbePace * Int64(strangers), .milliseconds(1))
        // What one change made, a later one of the same batch may have taken away.
        for row in fresh where rows[row].phase == .resting {
            let pair = rows[row]
            cancelWakeUp(of: row)
            var spread = min(pair.monitor.schedule.interval, Self.firstProbeWithin)
            if pair.opinion.counter.status == .unknown { spread = min(spread, atOnce) }
            sleepUntilSlot(row, pair.beat.next(after: now.wall, every: spread), now: now)
        }
    }

    private func remove(_ row: Int) {
        cancelWakeUp(of: row)
        held[row] = nil
        let pair = rows[row]
        index[pair.key] = nil
        for waiter in pair.waiters + pair.answering { waiter.answer(.gone) }
        pair.waiters = []
        pair.answering = []
        admission.part(pair.group)
        // A probe in flight still counts until it ends; its generation is void from now on.
        if pair.phase == .probing {
            strays[Stray(row: row, generation: pair.generation)] = pair.group
        }
        pair.generation &+= 1
        pair.phase = .removed
        free.append(row)
    }

    private struct Stray: Hashable {
        var row: Int
        var generation: UInt32
    }

    /// Of a probe in flight, also where its pair was removed.
    func group(of row: Int, generation: UInt32) -> UInt32 {
        if rows[row].generation == generation { return rows[row].group }
        return strays[Stray(row: row, generation: generation)] ?? 0
    }

    func forgetStray(_ row: Int, generation: UInt32) {
        strays[Stray(row: row, generation: generation)] = nil
    }

    // MARK: Waking

    func sleep(_ row: Int, until time: WallTime, now: Moment) {
        let pair = rows[row]
        pair.phase = .resting
        pair.dueAt = now.instant + (time - now.wall)
        pair.wakesAt = WakeUps.time(for: pair.dueAt, now: now.instant)
        if wakeUps.add(row, at: pair.wakesAt) {
            // The tag says when, so that the timer finds its pairs.
            let tag = Int(pair.wakesAt.nanoseconds)
            wakeUps.keep(loop.schedule(at: pair.wakesAt, sink: self, tag: tag), at: pair.wakesAt)
        }
    }

    func cancelWakeUp(of row: Int) {
        guard rows[row].wakesAt != .distantFuture else { return }
        if let timer = wakeUps.remove(row, at: rows[row].wakesAt) { loop.cancel(timer) }
        rows[row].wakesAt = .distantFuture
    }

    public override func due(tag: Int) {
        if tag == Self.patienceTag {
            patience = .none
            isOutOfPatience = true
            return tellIdle()
        }
        if tag == Self.budgetTag {
            budgetTimer = .none
        } else {
            for row in wakeUps.take(at: Instant(nanoseconds: Int64(tag))) {
                rows[row].wakesAt = .distantFuture
                line(up: row)
            }
        }
        pump()
    }

    func line(up row: Int) {
        let pair = rows[row]
        pair.phase = .waiting
        admission.enter(
            Admission.Ticket(
                pair: row,
                generation: pair.generation,
                group: pair.group,
                address: pair.address,
                places: max(pair.addresses.states.count, 1)
            )
        )
    }

    func pump() {
        while !isStopping {
            let now = loop.instant
            switch admission.next(now: now) {
            case .idle: return
            case .wait(let until):
                if budgetTimer.isNone {
                    budgetTimer = loop.schedule(at: until, sink: self, tag: Self.budgetTag)
                }
                return
            case .start(let ticket):
                guard rows[ticket.pair].generation == ticket.generation else {
                    admission.leave(ticket)
                    continue
                }
                if isStillWanted(ticket.pair, at: now) {
                    start(ticket, now: now)
                } else {
                    rows[ticket.pair].phase = .resting
                    admission.leave(ticket)
                }
            }
        }
    }

    /// Probes a pair as soon as the limits allow.
    public func hurry(_ key: VerdictKey) {
        guard let row = index[key] else { return }
        hurry(row)
    }

    /// Requests of this process fail at a peer: it is probed at once, but for those that have just been.
    /// Where it is silent, that is a failure as a probe's is, should the probe find it too.
    public func suspect(_ peer: PeerKey, isSilent: Bool, _ vote: TrafficVote? = nil) {
        suspect(peer, isSilent: isSilent, vote, isTold: false)
    }

    /// `isTold`: all agents know of it.
    func suspect(_ peer: PeerKey, isSilent: Bool, _ vote: TrafficVote?, isTold: Bool) {
        let now = loop.moment
        var (others, pause): ([VerdictKey], Nanoseconds) = ([], .seconds(1))
        for (id, monitor) in members[peer.upstream]?.monitors ?? [:] {
            let key = VerdictKey(upstream: peer.upstream, peer: peer.peer, monitor: id)
            guard let row = index[key] else { continue }
            if !isHeld(row) {
                others.append(key)
                pause = min(pause, monitor.schedule.fastInterval)
                continue
            }
            if isSilent { rows[row].isSuspect = true }
            guard rows[row].phase == .resting else { continue }
            let next = rows[row].opinion.checkedAt + monitor.schedule.fastInterval
            if next <= now.wall {
                hurry(row)
            } else if now.instant + (next - now.wall) < rows[row].dueAt {
                cancelWakeUp(of: row)
                leaveSlot(row)
                sleep(row, until: next, now: now)
            }
        }
        if !isTold, !others.isEmpty { tell(suspicionOf: peer, vote, others, every: pause) }
    }

    func hurry(_ row: Int) {
        guard rows[row].phase == .resting, !isStopping else { return }
        cancelWakeUp(of: row)
        leaveSlot(row)
        rows[row].dueAt = loop.instant
        line(up: row)
        pump()
    }

    // MARK: Ending

    /// Starts no more probes, and hears of none: what those in flight find changes nothing.
    public func close() {
        if isStopping { return }
        isStopping = true
        asks.cancelAll()
        loop.cancel(budgetTimer)
        for row in index.all { remove(row) }
    }

    /// Starts no more probes, and returns when those in flight have ended: their deadlines are the
    /// longest it can take.
    public func stop() async {
        close()
        await idle()
        direct.close()
    }

    /// Drops the probes in flight. Those that are tasks have `patience` to end; what is left of them
    /// then is left alone, for a process that ends with them.
    public func drop(patience span: Nanoseconds) async {
        close()
        direct.close()
        hasDropped = true
        if isIdle { return }
        patience = loop.schedule(at: loop.instant + span, sink: self, tag: Self.patienceTag)
        await idle()
        loop.cancel(patience)
    }

    /// Asks where it begins to wait: on the way there the last probe may have ended.
    private func idle() async {
        await withCheckedContinuation { waiter in
            if isIdle { waiter.resume() } else { onIdle.append(waiter) }
        }
    }

    private var isIdle: Bool {
        hasDropped ? tasks == 0 || isOutOfPatience : admission.running == 0
    }

    func noteEnd() { if isIdle { tellIdle() } }

    /// Whoever stops may go on.
    private func tellIdle() {
        for waiter in onIdle { waiter.resume() }
        onIdle = []
    }

    // MARK: Numbers

    public var metrics: SchedulerMetrics {
        SchedulerMetrics(
            pairs: index.count,
            held: fleet?.member.claims.heldCount ?? index.count,
            inFlight: admission.running,
            waiting: admission.waiting,
            started: started,
            overdue: overdue(at: loop.moment),
            missed: missed,
            lateness: lateness,
            excused: excused,
            loopLag: loop.lag.total,
            loopLagMax: loop.lag.longest,
            isDoubtful: lastExcused.map { loop.instant - $0 < Self.complainEvery } ?? false
        )
    }

    /// The numbers of the pairs in some rows, in no particular order, and the row to go on from; nil
    /// when these were the last. Of ten thousand pairs at once, probes would have to wait.
    public func pairMetrics(from row: Int) -> (pairs: [PairMetrics], next: Int?) {
        let end = min(row + Self.rowsAtOnce, rows.count)
        guard row < end else { return ([], nil) }
        let pairs = rows[row..<end].filter { $0.phase != .removed }.map {
            PairMetrics(key: $0.key, kind: $0.monitor.kind, series: $0.series)
        }
        return (pairs, end < rows.count ? end : nil)
    }

    private static let rowsAtOnce = 512

    /// When the pair is probed next, for those who explain; nil while it waits or is probed.
    public func nextProbe(of key: VerdictKey) -> Instant? {
        guard let row = index[key], rows[row].phase == .resting,
            rows[row].wakesAt != .distantFuture
        else { return nil }
        return rows[row].dueAt
    }
}
