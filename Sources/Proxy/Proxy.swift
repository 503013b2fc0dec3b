// How does what the board knows reach the workers? This is the control plane's end of the data
// plane: it starts the threads, sends them what changed, and collects what they counted.

public import EventLoop
public import Health
public import Store
public import Vocabulary

/// The proxy of one process. Confined to the control loop's thread.
public final class Proxy {
    private let loop: EventLoop
    private let board: Board
    private let journal: Journal
    private var configuration: ProxyConfiguration
    /// Turns an address that is a name into numbers; nil when it cannot be had now.
    private let resolve: (Address) async -> SocketAddress?
    private let timers: Timers

    private(set) var workers: [(loop: EventLoop, worker: LoopBound<Worker>)] = []
    private var addresses: [Address: SocketAddress] = [:]
    private var lastSent: [PeerKey: PeerSnapshot] = [:]
    private var nextResolve: Timers.Token?
    private var isDrained = false

    /// Names are asked for again this often; the resolver's cache keeps to the TTL.
    private static let resolveAgain = Nanoseconds.seconds(5)

    public init(
        loop: EventLoop,
        board: Board,
        configuration: ProxyConfiguration,
        journal: Journal = .silent,
        resolve: @escaping (Address) async -> SocketAddress? = { _ in nil }
    ) {
        self.loop = loop
        self.board = board
        self.configuration = configuration
        self.journal = journal
        self.resolve = resolve
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
        let problems = await applyEverything()
        resolveNames()
        return problems
    }

    private func startWorkers() throws(SystemError) {
        let threads = configuration.listeners.isEmpty ? 0 : configuration.threads ?? cores()
        for number in workers.count..<max(threads, workers.count) {
            let workerLoop = try EventLoop.spawn(name: "worker-\(number)")
            let worker = Worker(
                loop: workerLoop,
                timeouts: configuration.timeouts,
                limits: configuration.limits
            )
            workers.append((workerLoop, LoopBound(worker, on: workerLoop)))
        }
    }

    private func applyEverything() async -> [String] {
        if workers.isEmpty { return [] }
        let snapshot = makeSnapshot()
        var problems: [String] = []
        for (number, (_, worker)) in workers.enumerated() {
            let part = snapshot.part(of: number)
            for problem in await worker.call({ $0.apply(part) })
            where !problems.contains(problem) {
                problems.append(problem)
            }
        }
        return problems
    }

    /// Goes on with other listeners and routes. `define` is where the board learns of the upstreams
    /// they name: both reach the workers together, and no request falls in between. When a new
    /// listener could not be opened nothing happens, and `define` is not called.
    public func reload(
        _ listeners: [ListenerConfiguration],
        _ define: () -> Void
    ) async throws(SystemError) -> [String] {
        let known = Set(configuration.listeners.map(\.bind))
        let taken = listeners.filter { !known.contains($0.bind) }.compactMap(problem(of:))
        if !taken.isEmpty { return taken }
        configuration.listeners = listeners
        try startWorkers()
        define()
        return await applyEverything()
    }

    private func problem(of listener: ListenerConfiguration) -> String? {
        guard let address = SocketAddress(listener.bind) else { return nil }
        do throws(SystemError) {
            try Socket.requireFree(address)
            return nil
        } catch {
            return "listener \(listener.bind): \(error.reason)"
        }
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
        let limit = configuration.timeouts.drain
        var cut = 0
        await withTaskGroup(of: Int.self) { group in
            for (workerLoop, worker) in workers {
                group.addTask { await Self.drain(worker, on: workerLoop, limit: limit) }
            }
            for await count in group { cut += count }
        }
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

    // MARK: Updates

    private func makeSnapshot() -> RoutingSnapshot {
        var upstreams: [UpstreamSnapshot] = []
        lastSent = [:]
        for view in board.upstreams {
            var peers: [PeerSnapshot] = []
            for report in view.peers {
                let snapshot = makeSnapshot(of: report.definition, view: report.view)
                lastSent[PeerKey(upstream: view.name, peer: report.definition.id)] = snapshot
                peers.append(snapshot)
            }
            upstreams.append(
                UpstreamSnapshot(
                    name: view.name,
                    balance: view.definition.balance,
                    isPanic: view.isPanic,
                    onDown: view.definition.onDown,
                    peers: peers
                )
            )
        }
        return RoutingSnapshot(upstreams: upstreams, listeners: configuration.listeners)
    }

    private func makeSnapshot(of definition: PeerDefinition, view: PeerView) -> PeerSnapshot {
        if addresses[definition.address] == nil {
            addresses[definition.address] = SocketAddress(definition.address)
        }
        return PeerSnapshot(
            id: definition.id,
            address: addresses[definition.address],
            centiweight: view.effectiveCentiweight,
            isAvailable: view.isAvailable,
            isDown: view.routing == .down || view.routing == .maint,
            isEligibleInPanic: view.routing != .maint && view.routing != .drain,
            isBackup: definition.isBackup,
            maxConnections: view.maxConnections ?? definition.maxConnections
        )
    }

    private func sendEverything() {
        // Who only monitors routes nothing: a copy of every peer for nobody.
        if workers.isEmpty { return }
        let snapshot = makeSnapshot()
        let journal = journal
        for (number, (workerLoop, worker)) in workers.enumerated() {
            let part = snapshot.part(of: number)
            workerLoop.execute {
                for problem in worker.value.apply(part) { journal.error(problem) }
            }
        }
    }

    private func send(_ key: PeerKey) {
        if workers.isEmpty { return }
        // Not the view of the whole upstream: when a thousand peers go down, it would be built a
        // thousand times.
        guard let definition = board.definition(of: key.upstream),
            let report = board.report(of: key)
        else { return }
        let snapshot = makeSnapshot(of: report.definition, view: report.view)
        if lastSent[key] == snapshot { return }
        lastSent[key] = snapshot
        let isPanic = board.isPanic(key.upstream)
        let closes = definition.onDown ?? defaultOnDown(of: key.upstream)
        for (workerLoop, worker) in workers {
            workerLoop.execute {
                worker.value.apply(snapshot, key: key, isPanic: isPanic, closes: closes)
            }
        }
    }

    /// A TCP client talks to its peer for hours: when that peer is down, only a cut tells it. An
    /// HTTP exchange ends soon by itself; what is idle is of no use any more.
    private func defaultOnDown(of upstream: String) -> UpstreamDefinition.OnDown {
        let isTCP = configuration.listeners.contains { $0.mode == .tcp(upstream: upstream) }
        return isTCP ? .closeAll : .closeIdle
    }

    // MARK: Names

    private var hasNames: Bool {
        board.upstreams.contains { view in
            view.peers.contains { SocketAddress($0.definition.address) == nil }
        }
    }

    /// Asks for the addresses of all names, if there are any: now, and then as often as usual.
    public func resolveNames() {
        if isDrained || !hasNames { return }
        let names = Set(
            board.upstreams.flatMap { $0.peers.map(\.definition.address) }
                .filter { SocketAddress($0) == nil }
        )
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await here.value.resolve(names) }
    }

    private func resolve(_ names: Set<Address>) async {
        var changed = false
        for name in names {
            // A name that cannot be had now keeps the address it had.
            guard let found = await resolve(name), addresses[name] != found else { continue }
            addresses[name] = found
            changed = true
        }
        if isDrained { return }
        if changed { sendEverything() }
        // One chain, however often upstreams were defined meanwhile.
        if let nextResolve { timers.cancel(nextResolve) }
        nextResolve = timers.schedule(after: Self.resolveAgain) { [weak self] in
            self?.resolveNames()
        }
    }

    // MARK: Counters

    /// What all workers counted, summed.
    public struct Report: Sendable {
        public var peers: [PeerKey: PeerTotals] = [:]
        public var connectionsAccepted: UInt64 = 0
        public var connectionsRefused: UInt64 = 0
        public var connectionsActive: Int = 0
        public var requests: UInt64 = 0
        public var badRequests: UInt64 = 0
        public var unavailable: UInt64 = 0
        public var aborted: UInt64 = 0
    }

    public struct PeerTotals: Sendable {
        public var requests: UInt64 = 0
        /// By first digit of the status; others under 0.
        public var responses: [UInt64] = [0, 0, 0, 0, 0, 0]
        public var connects: UInt64 = 0
        public var connectFailures: UInt64 = 0
        public var responseFailures: UInt64 = 0
        public var retries: UInt64 = 0
        public var inFlight: Int = 0
        public var idleConnections: Int = 0
    }

    public func report() async -> Report {
        var report = Report()
        for (_, worker) in workers {
            let part = await worker.call { worker in
                (worker.counters, worker.clients.count, worker.peerTotals())
            }
            report.connectionsAccepted += part.0.accepted
            report.connectionsRefused += part.0.refused
            report.connectionsActive += part.1
            report.requests += part.0.requests
            report.badRequests += part.0.badRequests
            report.unavailable += part.0.unavailable
            report.aborted += part.0.aborted
            for (key, totals) in part.2 {
                report.peers[key, default: PeerTotals()].add(totals)
            }
        }
        return report
    }
}

extension Proxy.PeerTotals {
    mutating func add(_ other: Proxy.PeerTotals) {
        requests += other.requests
        for index in responses.indices { responses[index] += other.responses[index] }
        connects += other.connects
        connectFailures += other.connectFailures
        responseFailures += other.responseFailures
        retries += other.retries
        inFlight += other.inFlight
        idleConnections += other.idleConnections
    }
}

extension Worker {
    func peerTotals() -> [PeerKey: Proxy.PeerTotals] {
        var totals: [PeerKey: Proxy.PeerTotals] = [:]
        for (key, index) in pool.known {
            let state = pool.peers[Int(index)]
            var entry = Proxy.PeerTotals()
            entry.requests = state.counters.requests
            for digit in 0..<6 { entry.responses[digit] = state.counters.responses[digit] }
            entry.connects = state.counters.connects
            entry.connectFailures = state.counters.connectFailures
            entry.responseFailures = state.counters.responseFailures
            entry.retries = state.counters.retries
            entry.inFlight = Int(state.inFlight)
            entry.idleConnections = Int(state.idleCount)
            totals[key] = entry
        }
        return totals
    }
}

extension Proxy: BoardObserver {
    public func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change) { send(key) }

    public func upstreamsChanged(_ names: [String]) {
        sendEverything()
        resolveNames()
    }

    public func panicChanged(_ upstream: String, isPanic: Bool) { sendEverything() }
}
