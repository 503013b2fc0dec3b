// When is whom probed? Every (monitor, peer) is a pair with one timer and at most one probe in
// flight. Between two probes a pair is a row in a table: no task, no closure, no connection.
//
//   timer ──► in line ──► probe in flight ──► door ──► timer
//            (Admission)      (a task)
//
// A row keeps its number for life and changes its generation when it is reused, so the result of a
// probe whose pair was removed meanwhile finds nobody and is dropped.

public import Checks
public import DNS
public import EventLoop
public import Health
public import Vocabulary

/// The outcome of a probe that somebody asked for.
public struct ProbeReport: Sendable {
    public var outcome: Outcome
    public var steps: [Trace.Step]
}

/// The numbers of one pair, for metrics.
public struct PairMetrics: Sendable {
    public var key: VerdictKey
    public var kind: String
    public var series: ProbeSeries
}

/// The numbers of the whole.
public struct SchedulerMetrics: Sendable {
    public var pairs = 0
    public var inFlight = 0
    /// Due and not started, because a limit is reached.
    public var waiting = 0
    public var started: UInt64 = 0
    /// How long after its time each probe began.
    public var lateness = Histogram()
}

/// Probes every pair on its schedule. Confined to its loop's thread.
public final class Scheduler: EventSink {
    private let loop: EventLoop
    private let resolver: LoopBound<Resolver>
    private let door: Door
    private let heartbeats: Heartbeats?
    private let journal: Journal

    private var rows: [Row] = []
    private var free: [Int] = []
    private var index: [VerdictKey: Int] = [:]
    private var admission: Admission
    private var budgetTimer = TimerID.none
    private lazy var direct = DirectProbes(loop: loop, observer: self)
    private var isStopping = false
    private var onIdle: [CheckedContinuation<Void, Never>] = []

    private var started: UInt64 = 0
    private var lateness = Histogram()
    private var complainFrom = Instant(nanoseconds: .min)

    /// The first probe of every pair comes within this time, however long the interval is.
    public static let firstProbeWithin = Nanoseconds.seconds(1)
    private static let complainEvery = Nanoseconds.seconds(60)
    private static let budgetTag = -1
    private static let wakeUpEvery = Nanoseconds.milliseconds(5)
    private static let sharedFrom = Nanoseconds.milliseconds(50)

    public init(
        loop: EventLoop,
        resolver: LoopBound<Resolver>,
        door: Door,
        limits: ProbeLimits = ProbeLimits(),
        heartbeats: Heartbeats? = nil,
        journal: Journal = .silent
    ) {
        self.loop = loop
        self.resolver = resolver
        self.door = door
        self.heartbeats = heartbeats
        self.journal = journal
        admission = Admission(limits: limits)
    }

    // MARK: Defining

    /// Takes the whole list of what shall be probed. Called again, it touches only the pairs that
    /// differ: others keep their count and their beat. A pair whose monitor changed keeps its count
    /// too; one whose address or kind changed begins anew.
    ///
    /// Define the board first: a verdict of a pair that the board does not know is put aside.
    public func define(_ upstreams: [MonitoredUpstream]) {
        if isStopping { return }
        let count = upstreams.reduce(0) { $0 + $1.monitors.count * $1.definition.peers.count }
        rows.reserveCapacity(count)
        index.reserveCapacity(count)
        var wanted = Set<VerdictKey>(minimumCapacity: count)
        for upstream in upstreams {
            let name = upstream.definition.name
            for monitor in upstream.monitors {
                let shared = SharedMonitor(monitor)
                for peer in upstream.definition.peers {
                    let key = VerdictKey(upstream: name, peer: peer.id, monitor: monitor.id)
                    wanted.insert(key)
                    define(key, peer: peer, monitor: shared)
                }
            }
        }
        for (key, row) in index where !wanted.contains(key) {
            remove(row)
            door.forget(key)
        }
        pump()
    }

    private func define(_ key: VerdictKey, peer: PeerDefinition, monitor: SharedMonitor) {
        if let row = index[key] {
            let before = rows[row].monitor.definition
            if rows[row].address == peer.address, before.kind == monitor.definition.kind {
                rows[row].monitor = monitor
                rows[row].plan = plan(of: rows[row])
                rows[row].opinion.adopt(monitor.definition.thresholds)
                if before.schedule != monitor.definition.schedule, rows[row].phase == .resting {
                    restart(row)
                }
                return
            }
            remove(row)
        }
        let now = Clock.wall()
        var made = Row(
            key: key,
            address: peer.address,
            monitor: monitor,
            beat: Beat(monitor: key.monitor, peer: "\(key.upstream)/\(key.peer)"),
            opinion: door.opinion(on: key, thresholds: monitor.definition.thresholds, now: now)
        )
        made.plan = plan(of: made)
        let row: Int
        if let reused = free.popLast() {
            made.generation = rows[reused].generation &+ 1
            rows[reused] = made
            row = reused
        } else {
            rows.append(made)
            row = rows.count - 1
        }
        index[key] = row
        restart(row)
    }

    private func plan(of row: Row) -> DirectPlan? {
        row.monitor.definition.check.direct(row.target)
    }

    /// Sets the timer of a resting pair to a time soon, spread so that a thousand pairs that begin
    /// together do not burst.
    private func restart(_ row: Int) {
        loop.cancel(rows[row].timer)
        let now = Moment(instant: Clock.instant(), wall: Clock.wall())
        let spread = min(
            rows[row].monitor.definition.schedule.interval,
            Self.firstProbeWithin
        )
        sleep(row, until: rows[row].beat.next(after: now.wall, every: spread), now: now)
    }

    private func remove(_ row: Int) {
        loop.cancel(rows[row].timer)
        index[rows[row].key] = nil
        for waiter in rows[row].waiters + rows[row].answering { waiter.resume(returning: nil) }
        rows[row].waiters = []
        rows[row].answering = []
        // A probe in flight still counts until it ends; its generation is void from now on.
        rows[row].generation &+= 1
        rows[row].phase = .removed
        free.append(row)
    }

    // MARK: Probing

    public override func due(tag: Int) {
        if tag == Self.budgetTag {
            budgetTimer = .none
        } else {
            rows[tag].timer = .none
            line(up: tag)
        }
        pump()
    }

    private func line(up row: Int) {
        rows[row].phase = .waiting
        admission.enter(
            Admission.Ticket(
                pair: row,
                generation: rows[row].generation,
                address: rows[row].address
            )
        )
    }

    private func pump() {
        while !isStopping {
            switch admission.next(now: Clock.instant()) {
            case .idle: return
            case .wait(let until):
                if budgetTimer.isNone {
                    budgetTimer = loop.schedule(at: until, sink: self, tag: Self.budgetTag)
                }
                return
            case .start(let ticket):
                if rows[ticket.pair].generation == ticket.generation {
                    start(ticket)
                } else {
                    admission.leave(ticket.address)
                }
            }
        }
    }

    private func start(_ ticket: Admission.Ticket) {
        let row = ticket.pair
        let now = Clock.instant()
        let monitor = rows[row].monitor.definition
        rows[row].phase = .probing
        started += 1
        let late = max(now - rows[row].dueAt, .zero)
        lateness.record(late)
        if late > monitor.schedule.interval { complain(row, late: late, now: now) }

        if rows[row].waiters.isEmpty, let plan = rows[row].plan {
            direct.begin(
                plan,
                pair: row,
                generation: ticket.generation,
                started: now,
                deadline: now + monitor.schedule.timeout
            )
            return
        }
        let trace = rows[row].waiters.isEmpty ? nil : Trace(started: now)
        rows[row].answering = rows[row].waiters
        rows[row].waiters = []
        let target = rows[row].target
        let context = ProbeContext(
            loop: loop,
            resolver: resolver,
            started: now,
            deadline: now + monitor.schedule.timeout,
            trace: trace,
            heartbeats: heartbeats
        )
        let check = monitor.check
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) {
            var outcome = await check.probe(target, in: context)
            outcome.phases.total = Clock.instant() - now
            home.value.finish(ticket, outcome, trace: trace, started: now)
        }
    }

    /// A probe that comes a whole interval late means that a limit is too low or the machine too
    /// small. Said once a minute, not once a probe.
    private func complain(_ row: Int, late: Nanoseconds, now: Instant) {
        guard now >= complainFrom else { return }
        complainFrom = now + Self.complainEvery
        let key = rows[row].key
        journal.warning(
            "probes are late: \(key.upstream)/\(key.peer) (\(key.monitor)) began "
                + "\(late.milliseconds)ms after its time; \(admission.waiting) wait, "
                + "\(admission.running) are in flight"
        )
    }

    private func finish(
        _ ticket: Admission.Ticket,
        _ outcome: Outcome,
        trace: Trace?,
        started: Instant
    ) {
        admission.leave(ticket.address)
        let row = ticket.pair
        if rows[row].generation == ticket.generation, !isStopping {
            let now = Moment(instant: Clock.instant(), wall: Clock.wall())
            settle(row, outcome, trace: trace, started: started, now: now)
        }
        pump()
        if admission.running == 0 {
            for waiter in onIdle { waiter.resume() }
            onIdle = []
        }
    }

    private func settle(
        _ row: Int,
        _ outcome: Outcome,
        trace: Trace?,
        started: Instant,
        now: Moment
    ) {
        let monitor = rows[row].monitor.definition
        var opinion = rows[row].opinion
        door.pass(
            outcome,
            of: rows[row].key,
            monitor: (monitor.kind, monitor.schedule, monitor.thresholds),
            opinion: &opinion,
            series: &rows[row].series,
            now: now.wall
        )
        rows[row].opinion = opinion
        let report = ProbeReport(outcome: outcome, steps: trace?.steps ?? [])
        for waiter in rows[row].answering { waiter.resume(returning: report) }
        rows[row].answering = []

        if !rows[row].waiters.isEmpty {
            // Asked for while this probe was under way: they want one that began after they asked.
            rows[row].dueAt = now.instant
            return line(up: row)
        }
        // From the monotonic clock, or a wall clock set back would postpone the probe by that much.
        let begun = now.wall + Nanoseconds(started.nanoseconds - now.instant.nanoseconds)
        let next = monitor.schedule.next(
            after: begun,
            now: now.wall,
            counter: opinion.counter,
            beat: rows[row].beat
        )
        sleep(row, until: next, now: now)
    }

    private func sleep(_ row: Int, until time: WallTime, now: Moment) {
        rows[row].phase = .resting
        rows[row].dueAt = Self.shared(now.instant + (time - now.wall), now: now.instant)
        rows[row].timer = loop.schedule(at: rows[row].dueAt, sink: self, tag: row)
    }

    /// Pairs that are due within a few milliseconds share one wake-up: of all a cheap probe costs,
    /// waking for it would be the most. A short wait stays exact.
    static func shared(_ time: Instant, now: Instant) -> Instant {
        guard time - now >= sharedFrom else { return time }
        let step = wakeUpEvery.count
        return Instant(nanoseconds: (time.nanoseconds + step - 1) / step * step)
    }

    /// Probes a pair as soon as the limits allow, and answers with what was found, step by step.
    /// Nil when there is no such pair, or it was removed meanwhile.
    public func probeNow(_ key: VerdictKey) async -> ProbeReport? {
        guard let row = index[key], !isStopping else { return nil }
        return await withCheckedContinuation { continuation in
            rows[row].waiters.append(continuation)
            hurry(row)
        }
    }

    /// Somebody waits for a probe that has not begun.
    func isWanted(_ key: VerdictKey) -> Bool {
        index[key].map { !rows[$0].waiters.isEmpty } ?? false
    }

    /// Probes a pair as soon as the limits allow.
    public func hurry(_ key: VerdictKey) {
        guard let row = index[key] else { return }
        hurry(row)
    }

    private func hurry(_ row: Int) {
        guard rows[row].phase == .resting, !isStopping else { return }
        loop.cancel(rows[row].timer)
        rows[row].timer = .none
        rows[row].dueAt = Clock.instant()
        line(up: row)
        pump()
    }

    // MARK: Ending

    /// Starts no more probes, and returns when those in flight have ended: their deadlines are the
    /// longest it can take.
    public func stop() async {
        isStopping = true
        loop.cancel(budgetTimer)
        for row in index.values { remove(row) }
        if admission.running == 0 { return }
        await withCheckedContinuation { onIdle.append($0) }
    }

    // MARK: Numbers

    public var metrics: SchedulerMetrics {
        SchedulerMetrics(
            pairs: index.count,
            inFlight: admission.running,
            waiting: admission.waiting,
            started: started,
            lateness: lateness
        )
    }

    /// The numbers of every pair, in no particular order.
    public var pairMetrics: [PairMetrics] {
        index.values.map {
            PairMetrics(
                key: rows[$0].key,
                kind: rows[$0].monitor.definition.kind,
                series: rows[$0].series
            )
        }
    }

    /// When the pair is probed next, for those who explain; nil while it waits or is probed.
    public func nextProbe(of key: VerdictKey) -> Instant? {
        guard let row = index[key], rows[row].phase == .resting else { return nil }
        return rows[row].dueAt
    }
}

extension Scheduler: DirectProbeObserver {
    public func directProbeEnded(
        _ outcome: Outcome,
        of peer: Address,
        pair: Int,
        generation: UInt32,
        started: Instant
    ) {
        var outcome = outcome
        outcome.phases.total = Clock.instant() - started
        let ticket = Admission.Ticket(pair: pair, generation: generation, address: peer)
        finish(ticket, outcome, trace: nil, started: started)
    }
}

/// One definition for all its pairs.
private final class SharedMonitor {
    let definition: MonitorDefinition
    init(_ definition: MonitorDefinition) { self.definition = definition }
}

/// One (monitor, peer).
private struct Row {
    enum Phase {
        /// A timer is set.
        case resting
        /// In the line of due probes.
        case waiting
        /// A probe is in flight.
        case probing
        /// Free for another pair.
        case removed
    }

    let key: VerdictKey
    let address: Address
    var monitor: SharedMonitor
    let beat: Beat
    var opinion: Opinion
    var series = ProbeSeries()
    /// Set where a probe needs no task.
    var plan: DirectPlan?
    var phase = Phase.resting
    var generation: UInt32 = 0
    var timer = TimerID.none
    var dueAt = Instant.distantFuture
    /// Want the next probe, and the one in flight.
    var waiters: [CheckedContinuation<ProbeReport?, Never>] = []
    var answering: [CheckedContinuation<ProbeReport?, Never>] = []

    var target: Target {
        Target(upstream: key.upstream, peer: key.peer, address: address)
    }
}
