// How does what the board knows reach the workers? This is the control plane's end of the data
// plane: it starts the threads, sends them what changed, and collects what they counted.

public import EventLoop
public import Health
public import Store
public import Vocabulary

/// The proxy of one process. Confined to the control loop's thread.
public final class Proxy {
    let loop: EventLoop
    let board: Board
    let journal: Journal
    private var configuration: ProxyConfiguration
    var listening: [ListenerConfiguration] { configuration.listeners }
    /// Turns an address that is a name into all that it has; none when they cannot be had now.
    private let resolve: (Address) async -> [Address]
    /// Knows hosts that no listener has routes for.
    let lookup: RouteLookup?
    /// Who records requests; nil where nobody does.
    let tracing: RequestTracing?
    /// The workers are asked soon for the requests that were traced.
    var asksForTraces = false
    /// Hosts that it is being asked for: the workers that wait, and where in their books.
    var lookingUp: [String: [Int: UInt64]] = [:]
    let timers: Timers

    private(set) var workers: [(loop: EventLoop, worker: LoopBound<Worker>)] = []
    /// What the workers have been told.
    var routing = Routing()
    private var names = NameAddresses()
    private var nextResolve: Timers.Token?
    var isDrained = false
    /// Connections are accepted. Before, they wait in the kernel for the first verdicts.
    private var isOpen = false
    private var isHeldBack = false
    private var failures = FailureLog()
    private var refusals = Refusals()
    /// When the workers are asked next for what failed.
    private var nextFailures: (at: Instant, token: Timers.Token)?
    private var taking: Task<Void, Never>?
    private var lastFailures = Instant(nanoseconds: 0)
    /// Who fails requests.
    var judging = Judging()
    /// Hears that a peer should be looked at now; true where it has failed already, by saying nothing. With what
    /// requests showed of it, where they did.
    let onSuspicion: (PeerKey, _ isSilent: Bool, TrafficVote?) -> Void
    /// How many peers of an upstream went down or were ejected lately, and since when.
    private var falls: [String: (since: Instant, count: Int)] = [:]
    private static let landslide = Nanoseconds.seconds(1)

    /// What all workers have with a peer that has a limit, or had one.
    private var slots: [PeerKey: PeerSlots] = [:]

    /// What was made, changed or taken away since the workers were told of it.
    private var pending: (upstreams: [String], peers: [PeerKey]) = ([], [])
    /// Peers that the workers go on with as they were, until their upstream has somebody else.
    private var kept: [String: Set<PeerKey>] = [:]
    /// As the workers know them: while these are told, others may come, and have to be told after them.
    private var listenersTold: [ListenerConfiguration]?
    private var isReloading = false
    /// The last in the line of those that tell the workers: one after the other.
    private var telling: Task<[String], Never>?

    /// Names are asked for again this often; the resolver's cache keeps to the TTL.
    private static let resolveAgain = Nanoseconds.seconds(5)
    /// While one has never been had. A resolver that has failed is in no hurry itself.
    private static let resolveSoon = Nanoseconds.seconds(1)
    /// Names asked for at once: one of which nobody hears holds up no others.
    private static let namesAtOnce = 64
    /// Peers that the workers are told of at once.
    private static let peersASlice = 500
    /// Workers are not asked more often for what failed.
    private static let failuresApart = Nanoseconds.seconds(1)
    /// Tables that routed until now are kept that long: whoever frees a big one last is busy for a
    /// while, and that must not be a worker.
    private static let filesLookedAt = Nanoseconds.seconds(1)
    private static let tablesKept = Nanoseconds.seconds(10)

    public init(
        loop: EventLoop,
        board: Board,
        configuration: ProxyConfiguration,
        journal: Journal = .silent,
        onSuspicion: @escaping (PeerKey, _ isSilent: Bool, TrafficVote?) -> Void = { _, _, _ in },
        resolve: @escaping (Address) async -> [Address] = { _ in [] },
        lookup: RouteLookup? = nil,
        tracing: RequestTracing? = nil
    ) {
        self.loop = loop
        self.board = board
        self.configuration = configuration
        self.journal = journal
        self.resolve = resolve
        self.lookup = lookup
        self.tracing = tracing
        self.onSuspicion = onSuspicion
        timers = Timers(loop: loop)
    }

    // MARK: Life

    /// Starts the workers and opens every listener. Returns what could not be opened, one line
    /// each; the caller decides whether to go on.
    public func start() async throws(SystemError) -> [String] {
        let taken = configuration.listeners.compactMap(problem(of:))
        if !taken.isEmpty { return taken }
        try startWorkers()
        board.subscribe(self)
        let problems = await tell()
        resolveNames()
        watchFiles()
        if !board.isAwaitingFirstVerdicts { open() }
        return problems
    }

    /// Looks each second whether unix sockets still have their files. Only the first worker listens there.
    private func watchFiles() {
        timers.schedule(after: Self.filesLookedAt) { [weak self] in
            guard let self, !self.isDrained else { return }
            let isUnix = { (listener: ListenerConfiguration) in
                if case .unix = listener.bind { true } else { false }
            }
            if let (workerLoop, worker) = self.workers.first,
                self.configuration.listeners.contains(where: isUnix)
            {
                let journal = self.journal
                workerLoop.execute { for line in worker.value.keepFiles() { journal.log(line) } }
            }
            self.watchFiles()
        }
    }

    /// Before the start: nobody is accepted before `goAhead`, whoever could serve; connections wait in the kernel.
    public func holdBack() { isHeldBack = true }

    public func goAhead() {
        isHeldBack = false
        if !board.isAwaitingFirstVerdicts { open() }
    }

    /// Once for all: a listener that comes later accepts at once.
    private func open() {
        if isOpen || isHeldBack { return }
        isOpen = true
        for (workerLoop, worker) in workers { workerLoop.execute { worker.value.beginAccepting() } }
    }

    private func startWorkers() throws(SystemError) {
        // All at once, or none: what one worker was told, all were.
        guard workers.isEmpty, !configuration.listeners.isEmpty else { return }
        let threads = configuration.workers(cores: cores())
        let home = LoopBound(WeakProxy(self), on: loop)
        for number in 0..<threads {
            let workerLoop = try EventLoop.spawn(name: "worker-\(number)")
            let worker = Worker(
                loop: workerLoop,
                isAccepting: isOpen,
                timeouts: configuration.timeouts,
                limits: configuration.limits,
                descriptors: configuration.descriptorsEach(of: threads),
                manners: configuration.manners,
                trustedProxies: configuration.trustedProxies,
                onRelease: { released in
                    home.loop.execute { home.value.proxy?.routing.release(released) }
                },
                onFailure: { home.loop.execute { home.value.proxy?.failuresWait() } },
                onStrike: { home.loop.execute { home.value.proxy?.strikesWait() } },
                onAsk: lookup == nil
                    ? nil
                    : { host, key in
                        home.loop.execute {
                            home.value.proxy?.lookUp(host, for: number, at: key)
                        }
                    },
                sampler: tracing?.sampler,
                onTraced: { home.loop.execute { home.value.proxy?.tracesWait() } }
            )
            workers.append((workerLoop, LoopBound(worker, on: workerLoop)))
        }
        for name in board.names {
            pending.upstreams.append(name)
            for peer in board.definition(of: name)?.peers ?? [] {
                pending.peers.append(PeerKey(upstream: name, peer: peer.id))
            }
        }
        listenersTold = nil
    }

    /// Goes on with other listeners and routes. `define` is where the board learns of the upstreams
    /// they name: new peers reach the workers before the routes to them, and what is gone leaves
    /// after, so that no request falls in between. When a new listener could not be opened nothing
    /// happens, and `define` is not called.
    public func reload(
        _ listeners: [ListenerConfiguration],
        _ define: () async -> Void
    ) async throws(SystemError) -> [String] {
        let known = Set(configuration.listeners.map(\.bind))
        let new = listeners.map(\.bind).filter { !known.contains($0) }
        let taken = await Task.detached { [new, known] in
            new.compactMap { BindProblem.of($0, besides: known) }
        }.value
        if !taken.isEmpty { return taken }
        if configuration.listeners != listeners { configuration.listeners = listeners }
        try startWorkers()
        isReloading = true
        await define()
        isReloading = false
        let problems = await tell()
        resolveNames()
        if !board.isAwaitingFirstVerdicts { open() }
        return problems
    }

    private func problem(of listener: ListenerConfiguration) -> String? {
        BindProblem.of(listener.bind, besides: [])
    }

    /// Where the listeners listen, for tests that bind to port 0 with one worker.
    public func boundAddresses() async -> [SocketAddress] {
        guard let first = workers.first else { return [] }
        return await first.worker.call { $0.boundAddresses() }
    }

    /// Stops accepting and waits for exchanges in flight, at most the drain timeout. Returns how
    /// many client connections had to be cut off.
    public func drain() async -> Int {
        board.unsubscribe(self)
        isDrained = true
        timers.cancelAll()
        nextFailures = nil
        let limit = configuration.timeouts.drain
        var cut = 0
        await withTaskGroup(of: Int.self) { group in
            for (workerLoop, worker) in workers {
                group.addTask { await Self.drain(worker, on: workerLoop, limit: limit) }
            }
            for await count in group { cut += count }
        }
        await takeFailures()
        for line in failures.lines(at: loop.instant, isLast: true) { journal.log(line) }
        await takeTraces()
        for (workerLoop, _) in workers { workerLoop.stop() }
        workers = []
        return cut
    }

    private static func drain(
        _ worker: LoopBound<Worker>,
        on loop: EventLoop,
        limit: Nanoseconds
    ) async -> Int {
        await withCheckedContinuation { continuation in
            loop.execute {
                let timers = Timers(loop: loop)
                var isDone = false
                func finish() {
                    if isDone { return }
                    isDone = true
                    timers.cancelAll()
                    let left = worker.value.clients.count
                    worker.value.abandon()
                    continuation.resume(returning: left)
                }
                timers.schedule(after: limit) { finish() }
                worker.value.drain { finish() }
            }
        }
    }

    // MARK: Telling the workers

    /// Brings the workers to what board and configuration say. Returns what could not be opened.
    private func tell() async -> [String] {
        let before = telling
        let here = LoopBound(self, on: loop)
        let task = Task(executorPreference: loop) {
            _ = await before?.value
            return await here.value.tellNow()
        }
        telling = task
        return await task.value
    }

    private func tellNow() async -> [String] {
        // Who only monitors routes nothing: a copy of every peer for nobody.
        if workers.isEmpty || isDrained {
            pending = ([], [])
            return []
        }
        let changed = pending
        pending = ([], [])
        let listeners = configuration.listeners
        var leaving: [String] = []
        var changes: [RoutingChange] = []
        // What `on-down` is by default hangs on the listeners: of an upstream that stayed the same, too.
        for name in changed.upstreams + (listenersTold != listeners ? board.names : []) {
            guard let definition = board.definition(of: name) else {
                falls[name] = nil
                judging.forget(upstream: name)
                leaving.append(name)
                continue
            }
            changes += bring(definition, listeners)
        }
        // Routes lead to the peers of an upstream that goes until the new tables are there.
        var late: [PeerKey] = []
        for (place, key) in changed.peers.enumerated() {
            if board.definition(of: key.upstream) == nil {
                late.append(key)
            } else if routing.snapshot(of: key) != nil,
                board.isAwaitingFirstVerdicts(of: key.upstream)
            {
                // Gone or moved, and nobody else has been found well yet: it serves until then.
                kept[key.upstream, default: []].insert(key)
            } else if let change = bring(key) {
                changes.append(change)
            }
            // Ten thousand are milliseconds of work, here and on each worker: probes go on in between.
            guard (place + 1) % Self.peersASlice == 0 else { continue }
            mail(changes)
            changes = []
            await nextTurn()
        }
        mail(changes)
        let problems = await listen(listeners, without: leaving)
        // Whoever was defined again meanwhile waits for the next telling, which knows of it.
        let gone = leaving.filter { board.definition(of: $0) == nil }
        for name in gone { kept[name] = nil }
        mail(
            late.filter { board.report(of: $0) == nil }.compactMap { bring($0) }
                + gone.flatMap { routing.remove($0, workers: workers.count) }
        )
        for line in routing.takeProblems() { journal.error(line, [.event("proxy-problem")]) }
        return problems
    }

    private func nextTurn() async {
        let loop = loop
        await withCheckedContinuation { turn in loop.execute { turn.resume() } }
    }

    private func bring(
        _ definition: UpstreamDefinition,
        _ listeners: [ListenerConfiguration]
    ) -> [RoutingChange] {
        let isPanic = board.isPanic(definition.name)
        return routing.bring(
            definition.name,
            settings(of: definition, listeners: listeners),
            isPanic: isPanic
        ) + follow(definition)
    }

    func settings(of definition: UpstreamDefinition, _ group: RouteGroup) -> UpstreamSettings {
        var settings = settings(of: definition, group.manners)
        for (peer, lines) in group.debug {
            settings.debug[PeerSnapshot.token(of: peer, in: group.name)] = Array(lines.utf8)
        }
        for (peer, host) in group.hosts {
            settings.hosts[PeerSnapshot.token(of: peer, in: group.name)] = Array(host.utf8)
        }
        // Two that are asked at the same time are sent the same bytes.
        if !settings.hosts.isEmpty { settings.hedge = nil }
        return settings
    }

    func settings(
        of definition: UpstreamDefinition,
        _ manners: GroupManners = GroupManners(),
        listeners: [ListenerConfiguration] = []
    ) -> UpstreamSettings {
        UpstreamSettings(
            balance: definition.balance,
            closes: definition.onDown ?? .closeIdle,
            cutsOpaque: definition.onDown == nil
                && listeners.contains { $0.mode == .tcp(upstream: definition.name) },
            trying: definition.trying,
            isLenient: definition.isLenient,
            silence: definition.eject.isOff ? .zero : definition.eject.silence,
            queue: definition.queue,
            hedge: definition.hedge,
            sticky: definition.sticky,
            manners: manners
        )
    }

    private func bring(_ key: PeerKey) -> RoutingChange? {
        guard let report = board.report(of: key) else {
            judging.forget(key)
            slots[key] = nil
            follow(key)
            return routing.remove(key, workers: workers.count)
        }
        let snapshot = snapshot(of: key, report)
        follow(key)
        return routing.bring(key, report.definition.address, snapshot)
    }

    /// Compiles what routes there are once for all workers, on none of their threads and not on the
    /// control loop, and hands them over.
    private func listen(
        _ listeners: [ListenerConfiguration],
        without leaving: [String]
    ) async -> [String] {
        var upstreams = routing.upstreams
        for name in leaving { upstreams[name] = nil }
        if listenersTold == listeners, upstreams == routing.compiledWith { return [] }
        let old = routing.orders
        let gone = routing.routeNumbers.take(listeners)
        let numbers = routing.routeNumbers.numbers
        let orders = await Task.detached { [upstreams] in
            listeners.map { ListenerOrder($0, upstreams, numbers) }
        }.value
        listenersTold = listeners
        routing.compiledWith = upstreams
        routing.orders = orders
        timers.schedule(after: Self.tablesKept) { _ = old }
        var problems: [String] = []
        for (number, (_, worker)) in workers.enumerated() {
            let mine = orders.filter { $0.isFor(worker: number) }
            let found = await worker.call { worker in
                worker.forgetTimes(ofRoutes: gone)
                return worker.listen(mine)
            }
            problems += found.filter { !problems.contains($0) }
        }
        return problems
    }

    func mail(_ changes: [RoutingChange]) {
        if changes.isEmpty { return }
        for (workerLoop, worker) in workers { workerLoop.execute { worker.value.apply(changes) } }
    }

    func snapshot(of key: PeerKey, _ report: PeerReport) -> PeerSnapshot {
        let (definition, view) = (report.definition, report.view)
        var snapshot = PeerSnapshot(
            identity: PeerSnapshot.identity(of: definition.id),
            token: PeerSnapshot.token(of: definition.id, in: key.upstream),
            address: names.address(of: definition.address, avoiding: view.downAddresses),
            centiweight: view.effectiveCentiweight,
            isAvailable: view.isAvailable,
            isDown: view.routing == .down || view.routing == .maint,
            isEligibleInPanic: view.isMeantToServe && !view.isStranger,
            keepsClients: view.keepsClients,
            isReserve: view.routing == .ejected,
            isBackup: definition.isBackup,
            isNear: definition.zone != nil && definition.zone == configuration.zone,
            maxConnections: view.maxConnections ?? definition.maxConnections
        )
        if let before = routing.snapshot(of: key)?.address, before != snapshot.address {
            judging.begins(key, at: loop.instant)
        }
        snapshot.backAt = judging.backAt(key)
        if judging.isOnTrial(key) { snapshot.maxConnections = 1 }
        if snapshot.maxConnections != nil, slots[key] == nil { slots[key] = PeerSlots() }
        snapshot.slots = slots[key]
        snapshot.isLost = isLost(key, report)
        return snapshot
    }

    /// Lost to silence or to the network, as checks or requests found. Who answers, be it with a bad
    /// status, or was asked to leave, still finishes its work.
    private func isLost(_ key: PeerKey, _ report: PeerReport) -> Bool {
        let isLost =
            switch report.view.routing {
            case .down: report.verdicts.contains { $0.status == .down && $0.reason.isLoss }
            case .ejected: judging.cause(of: key)?.isLoss ?? false
            default: false
            }
        return isLost && !isLandslide(key.upstream)
    }

    /// Half of an upstream fell within a second: that is the network's doing or ours, and the others
    /// would not bear what waits.
    private func isLandslide(_ upstream: String) -> Bool {
        guard let recent = falls[upstream], loop.instant - recent.since < Self.landslide,
            recent.count >= 2
        else { return false }
        return recent.count * 2 >= board.definition(of: upstream)?.peers.count ?? 0
    }

    private func noteFall(_ key: PeerKey, _ change: PeerHealth.Change) {
        guard change.from.isAvailable, [.down, .ejected].contains(change.to.routing) else { return }
        let now = loop.instant
        if let recent = falls[key.upstream], now - recent.since < Self.landslide {
            falls[key.upstream] = (recent.since, recent.count + 1)
        } else {
            falls[key.upstream] = (now, 1)
        }
    }

    func send(_ key: PeerKey) {
        // Not the view of the whole upstream: when a thousand peers go down, it would be built a
        // thousand times.
        guard !workers.isEmpty, let report = board.report(of: key) else { return }
        // Moved: whether it serves on where it was is decided when all that is defined is known.
        if report.view.isStranger, report.view.isMeantToServe { return }
        let snapshot = snapshot(of: key, report)
        if let change = routing.change(of: key, to: snapshot) { mail([change]) }
        follow(key)
    }

    /// Returns when the workers have been told of everything that was defined before: for tests.
    func settle() async { _ = await tell() }

    // MARK: Failures

    /// Some worker has failures to tell of.
    private func failuresWait() {
        tellFailures(at: max(lastFailures + Self.failuresApart, loop.instant))
    }

    private func tellFailures(at moment: Instant) {
        if isDrained { return }
        if let next = nextFailures {
            if next.at <= moment { return }
            timers.cancel(next.token)
        }
        let token = timers.schedule(at: moment) { [weak self] in
            guard let self else { return }
            nextFailures = nil
            let here = LoopBound(self, on: loop)
            Task(executorPreference: loop) { await here.value.tellFailures() }
        }
        nextFailures = (moment, token)
    }

    private func tellFailures() async {
        lastFailures = loop.instant
        await takeFailures()
        for line in failures.lines(at: loop.instant) { journal.log(line) }
        if let next = failures.next(after: loop.instant + Self.failuresApart) {
            tellFailures(at: next)
        }
    }

    /// Brings what the workers counted here, one after the other: whoever asks sees all of it.
    private func takeFailures() async {
        let before = taking
        let here = LoopBound(self, on: loop)
        let task = Task(executorPreference: loop) {
            await before?.value
            await here.value.takeFailuresNow()
        }
        taking = task
        await task.value
    }

    private func takeFailuresNow() async {
        for (_, worker) in workers {
            let (counts, unlisted) = await worker.call { $0.failures.take() }
            for count in counts {
                let peer = count.peer < 0 ? nil : routing.peer(count.peer)
                let sort = FailureLog.Sort(
                    upstream: peer?.upstream ?? routing.upstream(count.upstream),
                    peer: peer?.peer,
                    cause: count.cause,
                    answer: count.answer
                )
                if let upstream = sort.upstream {
                    refusals.add(
                        upstream,
                        sort.cause,
                        sort.answer,
                        count.count,
                        code: count.code,
                        at: loop.moment
                    )
                }
                failures.add(
                    sort,
                    count.count,
                    code: count.code,
                    first: count.first,
                    error: count.error,
                    host: peer == nil ? routing.host(of: count.upstream) : nil,
                    trace: count.trace
                )
            }
            failures.add(unlisted: unlisted)
        }
    }

    /// Every sort of failure that there was, named.
    func failureTotals() async -> [(sort: FailureLog.Sort, count: UInt64)] {
        await takeFailures()
        if let next = failures.next(after: loop.instant) { tellFailures(at: next) }
        let upstreams = routing.upstreams
        failures.keep { $0.upstream.map { upstreams[$0] != nil } ?? true }
        return failures.totals
    }

    /// By upstream: what its settings cost requests lately.
    public func lateRefusals() async -> [String: [Refusal]] {
        await takeFailures()
        if let next = failures.next(after: loop.instant) { tellFailures(at: next) }
        let upstreams = routing.upstreams
        refusals.keep { upstreams[$0] != nil }
        return refusals.lately(at: loop.instant)
    }

    // MARK: Names

    /// Asks for the addresses of all names, if there are any: now, and then as often as usual.
    private func resolveNames() {
        let wanted = routing.names
        if isDrained || wanted.isEmpty { return }
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await here.value.resolve(wanted) }
    }

    private func resolve(_ wanted: [Address]) async {
        let here = LoopBound(self, on: loop)
        await withTaskGroup(of: Void.self) { group in
            for (place, name) in wanted.enumerated() {
                if place >= Self.namesAtOnce { await group.next() }
                group.addTask { await here.value.ask(for: name) }
            }
        }
        names.keep { !routing.peers(at: $0).isEmpty }
        if isDrained { return }
        // One chain, however often upstreams were defined meanwhile.
        if let nextResolve { timers.cancel(nextResolve) }
        let isAllKnown = routing.names.allSatisfy { names.isKnown($0) }
        let pause = isAllKnown ? Self.resolveAgain : Self.resolveSoon
        nextResolve = timers.schedule(after: pause) { [weak self] in self?.resolveNames() }
    }

    private func ask(for name: Address) async { take(name, await resolve(name)) }

    /// A name that cannot be had now keeps the addresses it had.
    private func take(_ name: Address, _ found: [Address]) {
        guard !isDrained, names.set(name, found) else { return }
        for key in routing.peers(at: name) { send(key) }
    }

    /// Whoever asked, a name has these addresses now: a monitor that finds a peer well at one of them
    /// must not be ahead of the requests.
    public func heard(_ host: String, _ addresses: [String]) {
        for name in routing.names(of: host.lowercased()) {
            guard case .host(_, let port) = name else { continue }
            take(name, addresses.map { .host($0, port: port) })
        }
    }
}

extension Proxy: BoardObserver {
    public func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change) {
        noteFall(key, change)
        noteReturn(key, change)
        send(key)
    }

    public func defined(_ upstreams: [String], _ peers: [PeerKey]) {
        pending.upstreams += upstreams
        pending.peers += peers
        if isReloading || isDrained { return }
        let here = LoopBound(self, on: loop)
        let journal = journal
        Task(executorPreference: loop) {
            for problem in await here.value.tell() {
                journal.error(problem, [.event("proxy-problem")])
            }
            here.value.resolveNames()
        }
    }

    public func introduced(_ upstream: String) {
        if !board.isAwaitingFirstVerdicts { open() }
        // Who was kept for its sake goes now.
        mail((kept.removeValue(forKey: upstream) ?? []).compactMap { bring($0) })
    }

    public func panicChanged(_ upstream: String, isPanic: Bool) {
        if let change = routing.change(of: upstream, isPanic: isPanic) { mail([change]) }
    }
}

/// A worker's thread outlives the proxy by a little.
private struct WeakProxy {
    weak var proxy: Proxy?

    init(_ proxy: Proxy) { self.proxy = proxy }
}

extension Reason {
    /// Nothing came, or nobody was there.
    fileprivate var isLoss: Bool {
        switch self {
        case .layer4Timeout, .layer4Connect, .layer6Timeout, .layer7Timeout: true
        default: false
        }
    }
}
