// How do the parts come together? One control loop with board, store, door and scheduler on it; the
// proxy's workers; and an order in which they start and stop.

import Admin
import AgentCheck
import CLinux
import Checks
import DNS
import EventLoop
import Fleet
import Foreign
import Health
import Ledger
import Monitor
import Notify
import Proxy
import Redis
import Settings
import Spans
import Store
import Telemetry
import Tracing
import Vocabulary

/// Everything that runs in one process, but for the admin server. Confined to the control loop.
final class Engine {
    let loop: EventLoop
    private(set) var configuration: MusterConfiguration
    let board: Board
    private var catalogue = Catalogue()
    /// What the API defines.
    private var live: LiveDefinitions
    /// Changes that wait until what was begun before is done; nil while nothing is.
    private var waiting: [CatalogueChange]?
    private var areRoutesNew = false
    /// Routes whose upstream is not there, as was told last.
    private var lostTold: [String] = []
    private var routesTimer: Timers.Token?
    private var ignored = Throttle()
    private let timers: Timers
    let store: any Store
    /// This agent's part among those that share a store; nil where it shares with nobody.
    let fleet: FleetDesk?
    let scheduler: Scheduler
    let proxy: Proxy
    /// Routes and peers that other systems keep.
    let sources: ForeignSide?
    private let resolver: Resolver
    /// What must survive a restart; nil where nothing has to.
    private let ledger: Ledger?
    private let door: Door
    private let endpoint: AgentEndpoint
    private let heartbeats: Heartbeats
    private let services: Services
    private let journal: Journal
    private let startedAt: WallTime
    private let operations: Operations
    private let notifier: Notifier
    private let history: History
    /// What of the past must survive a restart; nil where nothing has to.
    private let historyLedger: Ledger?
    private var courier: Courier?
    private let caretaker: Caretaker
    let record: ConfigurationRecord
    private var isStopping = false

    /// Of a definition taken in at once: some milliseconds of work.
    private static let changesASlice = 500
    /// Routes that come one after the other make one table.
    private static let routesGather = Nanoseconds.milliseconds(10)
    /// A store that neither answers nor refuses is not waited for any longer before a start.
    private static let storePatience = Nanoseconds.seconds(1)
    /// What probes in flight have to end in when all else has: enough for programs that were killed.
    private static let probePatience = Nanoseconds.milliseconds(250)

    /// Who may open how much; nil where nobody counts.
    private let budget: DescriptorBudget?
    /// Sends spans; nil where none are made.
    private let exporter: SpanExporter?

    /// Makes everything and starts nothing.
    init(
        _ configuration: MusterConfiguration,
        on loop: EventLoop,
        budget: DescriptorBudget? = nil,
        exporter: SpanExporter? = nil,
        journal: Journal
    ) throws {
        self.budget = budget
        self.exporter = exporter
        self.configuration = configuration
        self.loop = loop
        self.journal = journal
        live = LiveDefinitions(configuration.live)
        timers = Timers(loop: loop)
        heartbeats = Heartbeats(began: loop.instant)
        startedAt = loop.wall
        record = ConfigurationRecord(
            file: configuration.files.first ?? "",
            loadedAt: loop.wall
        )
        resolver = try Resolver(on: loop)
        resolver.onOtherServers = {
            journal.notice(
                "names are asked of the name servers that /etc/resolv.conf names now",
                [.event("name-servers")]
            )
        }
        services = Services(loop: loop, journal: journal)
        ledger = configuration.store.stateFile.map {
            Ledger(path: $0 + ".ledger", loop: loop, journal: journal)
        }
        let events = EventLog(startedAt: loop.wall)
        if let ledger { events.keep(in: ledger) }
        board = Board(loop: loop, events: events, journal: journal)
        board.onSign = { [heartbeats] sign in heartbeats.hear(sign, on: loop) }
        let lookup = LoopBound(resolver, on: loop)
        fleet = Self.makeFleet(configuration, on: loop, journal: journal)
        store = try Self.makeStore(
            configuration,
            on: loop,
            ledger: ledger,
            fleet: fleet,
            journal: journal,
            lookup: { host, deadline in
                let answer = await lookup.value.resolve(host, deadline: deadline)
                return (try? answer.get().addresses) ?? []
            }
        )
        door = Door(
            agent: configuration.agent.id,
            board: board,
            store: store,
            epoch: UInt64(max(loop.wall.milliseconds, 0)),
            journal: journal
        )
        operations = Operations(loop: loop, board: board, store: store)
        history = History(on: loop, configuration.history)
        historyLedger = configuration.store.stateFile.map {
            Ledger(
                path: $0 + ".history",
                loop: loop,
                journal: journal,
                growth: History.growth,
                words: .history
            )
        }
        if let historyLedger { history.keep(in: historyLedger) }
        board.subscribe(history)
        door.history = history
        notifier = Notifier(
            agent: configuration.agent.id,
            board: board,
            on: loop,
            fleet: fleet,
            journal: journal
        )
        notifier.define(configuration.notify)
        caretaker = Caretaker(
            board: board,
            operations: operations,
            on: loop,
            fleet: fleet,
            journal: journal
        )
        caretaker.define(configuration.maintenance)
        if let ledger {
            notifier.keep(in: ledger)
            caretaker.keep(in: ledger)
        }
        scheduler = Scheduler(
            loop: loop,
            resolver: LoopBound(resolver, on: loop),
            door: door,
            limits: ProbeLimits(within: budget),
            heartbeats: heartbeats,
            services: LoopBound(services, on: loop),
            journal: journal
        )
        if let fleet { scheduler.join(fleet) }
        let names = LoopBound(resolver, on: loop)
        var shared = configuration.proxy
        shared.descriptors = shared.descriptors ?? budget?.proxy
        sources = configuration.sources.isEmpty ? nil : ForeignSide(on: loop)
        let side = sources.map { LoopBound($0, on: loop) }
        proxy = Proxy(
            loop: loop,
            board: board,
            configuration: shared,
            journal: journal,
            onSuspicion: { [scheduler] in scheduler.suspect($0, isSilent: $1, $2) },
            resolve: { await Self.addresses(of: $0, names) },
            lookup: side.map { side in { await side.value.find($0) } },
            tracing: exporter.flatMap { exporter in
                configuration.tracing.map { setting in
                    RequestTracing(sampler: setting.sampler) { exporter.take($0, lost: $1) }
                }
            }
        )
        if exporter != nil { scheduler.tracer = InstrumentationSystem.tracer }
        let requests = LoopBound(proxy, on: loop)
        scheduler.doubtsRequests = { requests.value.doubtsItself }
        scheduler.hasAnswered = { await requests.value.hasAnswered($0, since: $1) }
        resolver.onAnswer = { [weak proxy] host, resolution in
            proxy?.heard(host, resolution.addresses)
        }
        // Without an address it still answers over HTTP, at /agent/ on the admin address.
        let agentCheck = configuration.agentCheck
        endpoint = AgentEndpoint(
            loop: loop,
            board: board,
            bind: agentCheck?.bind,
            ports: agentCheck?.ports ?? [],
            policy: agentCheck?.policy ?? AgentCheckPolicy(),
            memoryPath: agentCheck?.memoryFile,
            connectionLimit: budget?.agentCheck ?? AgentEndpoint.connectionsMax,
            remedy: budget?.remedy(for: .agentCheck) ?? "",
            journal: journal
        )
    }

    /// The tree of a configuration file is larger than all that is made of it, and the allocator would
    /// keep its pages.
    private func giveBackMemory() {
        board.trim(sharing: configuration.upstreams.map(\.definition))
        malloc_trim(0)
    }

    /// Nobody shares what lies in this process alone.
    private static func makeFleet(
        _ configuration: MusterConfiguration,
        on loop: EventLoop,
        journal: Journal
    ) -> FleetDesk? {
        guard case .redis = configuration.store.kind else { return nil }
        var setting = FleetDesk.Setting(agent: configuration.agent.id)
        setting.weight = configuration.agent.probes ? configuration.agent.weight : 0
        setting.zone = configuration.agent.zone
        setting.version = Muster.version
        setting.terms.lease = configuration.store.lease
        setting.terms.settle = configuration.store.settle
        let change = configuration.store.massChange
        setting.massChange = MassChange.Rule(
            share: Int((change.share * 100).rounded()),
            within: change.within,
            action: change.action == .hold ? .hold : .publish
        )
        return FleetDesk(setting, on: loop, journal: journal)
    }

    private static func makeStore(
        _ configuration: MusterConfiguration,
        on loop: EventLoop,
        ledger: Ledger?,
        fleet: FleetDesk?,
        journal: Journal,
        lookup: @escaping HostLookup
    ) throws -> any Store {
        let store = configuration.store
        switch store.kind {
        case .embedded:
            return EmbeddedStore(
                loop: loop,
                statePath: store.stateFile,
                ledger: ledger,
                journal: journal
            )
        case .redis(let url):
            return RedisStore(
                loop: loop,
                url: try RedisURL(text: url),
                tls: store.tls,
                prefix: store.prefix,
                agent: configuration.agent.id,
                statePath: store.stateFile,
                ledger: ledger,
                fleet: fleet,
                lookup: lookup,
                journal: journal
            )
        }
    }

    /// All addresses of a name; which of them is taken, the proxy decides.
    private static func addresses(
        of name: Address,
        _ resolver: LoopBound<Resolver>
    ) async -> [Address] {
        guard case .host(let host, let port) = name else { return [] }
        let answer = await resolver.value.resolve(
            host,
            deadline: resolver.loop.instant + .seconds(2)
        )
        guard case .success(let resolution) = answer else { return [] }
        return resolution.addresses.map { .host($0, port: port) }
    }

    /// Opens every listener before the first probe: a port that is taken stops the start before
    /// anything else has happened. Returns what could not be opened.
    func start() async throws -> [String] {
        let files = [
            ("store.state-file", configuration.store.stateFile),
            ("agent-check.memory-file", configuration.agentCheck?.memoryFile),
        ]
        for case (let setting, let path?) in files {
            if let problem = await FileAnswer.problem(with: path, on: loop) {
                return ["\(setting): \(problem)"]
            }
        }
        do throws(LedgerError) {
            try await ledger?.open()
            try await historyLedger?.open()
        } catch {
            return ["store.state-file: \(error)"]
        }
        let changes = catalogue.set(.file, configuration.upstreams)
        await inSlices(changes) { board.apply($0.map(\.summarised)) }
        proxy.holdBack()
        var problems = try await proxy.start()
        do throws(SystemError) {
            try endpoint.start()
        } catch {
            problems.append("agent-check: \(error)")
        }
        guard problems.isEmpty else { return problems }
        board.onDefinition = { [weak self] in self?.hear($0) }
        // What the store has to say of upstreams that the scheduler does not know yet.
        waiting = []
        store.start(board)
        let answer = firstAnswer()
        await inSlices(changes) { scheduler.apply($0) }
        await goOn()
        try await tellReceivers()
        caretaker.start()
        history.start()
        startSources()
        giveBackMemory()
        await answer.wait()
        await makeAllRoutes()
        proxy.goAhead()
        return []
    }

    /// Open when the store has been read, or turns out to be away. Until then neither a request nor whoever asks the API
    /// is served: both would meet what the file says, without what was defined while muster ran.
    private func firstAnswer() -> Latch {
        let answer = Latch()
        if store.status.isConnected {
            answer.open()
            return answer
        }
        board.onStoreStatus = { [weak self] status in
            guard status.isConnected || status.lastError != nil else { return }
            answer.open()
            self?.board.onStoreStatus = nil
        }
        timers.schedule(after: Self.storePatience) { answer.open() }
        return answer
    }

    private func makeAllRoutes() async {
        while waiting != nil { await nextTurn() }
        if let timer = routesTimer { timers.cancel(timer) }
        routesTimer = nil
        await makeRoutes()
    }

    /// Their thread is made when there is somebody to tell.
    private func tellReceivers() async throws {
        guard courier == nil, !configuration.notify.isEmpty else { return }
        let courier = try await Courier.start(agent: configuration.agent.id)
        self.courier = courier
        notifier.start { await courier.deliver($0, to: $1) }
    }

    // MARK: What other systems define

    private func startSources() {
        guard let sources else { return }
        let names = LoopBound(resolver, on: loop)
        sources.start(
            configuration.sources,
            for: self,
            agent: configuration.agent.id,
            journal: journal,
            lookup: { host, deadline in
                let answer = await names.value.resolve(host, deadline: deadline)
                return (try? answer.get().addresses) ?? []
            }
        )
    }

    func takeForeign(_ change: (inout Catalogue) -> [CatalogueChange]) { take(change(&catalogue)) }

    // MARK: What the API defines

    private func hear(_ asking: Asking<LiveDefinition>) {
        let heard = live.hear(asking, &catalogue)
        if let problem = heard.problem,
            let more = ignored.note("definition", at: loop.instant)
        {
            journal.warning(
                "the definition '\(asking.key.field.printable)' in the store is left out: \(problem)"
                    + (more > 0 ? "; as were \(more) more in the last minute" : ""),
                [.event("definition-ignored")]
            )
        }
        areRoutesNew = areRoutesNew || heard.areRoutesNew
        if heard.changes.contains(where: \.isOfUpstream), !live.routes.isEmpty {
            areRoutesNew = true
        }
        take(heard.changes)
    }

    private func take(_ changes: [CatalogueChange]) {
        if waiting != nil {
            waiting?.append(contentsOf: changes)
            return
        }
        board.apply(changes.map(\.summarised))
        scheduler.apply(changes)
        renewRoutes()
    }

    /// What waited is taken in.
    private func goOn() async {
        while let changes = waiting, !changes.isEmpty {
            waiting = []
            await inSlices(live.ordered(changes)) { changes in
                board.apply(changes.map(\.summarised))
                scheduler.apply(changes)
            }
        }
        waiting = nil
        renewRoutes()
    }

    /// Once when it comes about, and again where it is another set of them.
    private func tellLostRoutes() {
        let lost = live.lostRoutes(among: Set(board.names))
        defer { lostTold = lost }
        guard !lost.isEmpty, lost != lostTold else { return }
        let shown = lost.prefix(ConfigurationDifference.namesMax).joined(separator: ", ")
        let more = lost.count - ConfigurationDifference.namesMax
        journal.warning(
            "\(lost.count) route\(lost.count == 1 ? " leads" : "s lead") to an upstream that is not there, and "
                + "requests are answered 503: \(shown)\(more > 0 ? " and \(more) more" : "")",
            [.event("route-lost")]
        )
    }

    private func renewRoutes() {
        guard areRoutesNew, waiting == nil, routesTimer == nil, !isStopping else { return }
        routesTimer = timers.schedule(after: Self.routesGather) { [weak self] in
            guard let self else { return }
            self.routesTimer = nil
            let engine = LoopBound(self, on: self.loop)
            Task(executorPreference: self.loop) { await engine.value.makeRoutes() }
        }
    }

    private func makeRoutes() async {
        // Whoever is at work on what is defined looks again at its end.
        guard areRoutesNew, waiting == nil, !isStopping else { return }
        areRoutesNew = false
        waiting = []
        do {
            for problem in try await proxy.reload(listeners(), {}) {
                journal.error("routes: \(problem)", [.event("proxy-problem")])
            }
        } catch {
            journal.error("routes: \(error)", [.event("proxy-problem")])
        }
        tellLostRoutes()
        await goOn()
    }

    /// With the routes of the API.
    private func listeners() -> [ListenerConfiguration] {
        live.listeners(with: configuration.proxy.listeners)
    }

    /// Nobody else brings changes until `goOn`.
    private func holdOn() async {
        while waiting != nil { await nextTurn() }
        waiting = []
    }

    /// Goes on with another configuration: what is the same in both goes on untouched, in the middle
    /// of a count or of a probe.
    func reload(_ configuration: MusterConfiguration) async throws -> Reloaded {
        if isStopping { return .refused(["muster is stopping"]) }
        var configuration = configuration
        // As all of `admin`: from the next start on.
        configuration.live.allowsPrograms = self.configuration.live.allowsPrograms
        await holdOn()
        var changes: [CatalogueChange] = []
        let wanted = live.listeners(with: configuration.proxy.listeners)
        let problems: [String]
        do {
            problems = try await proxy.reload(wanted) {
                // What was heard since was made of what the file said until now, and goes first.
                let before = waiting ?? []
                waiting = []
                changes = catalogue.set(.file, configuration.upstreams)
                changes += live.read(again: configuration.live, &catalogue)
                await inSlices(before + changes) { changes in
                    board.apply(changes.map(\.summarised))
                    scheduler.apply(changes)
                }
                self.configuration.upstreams = configuration.upstreams
                self.configuration.proxy.listeners = configuration.proxy.listeners
                self.configuration.live = configuration.live
                self.configuration.notify = configuration.notify
                self.configuration.maintenance = configuration.maintenance
            }
        } catch {
            await goOn()
            throw error
        }
        tellLostRoutes()
        await goOn()
        if problems.isEmpty {
            notifier.define(configuration.notify)
            caretaker.define(configuration.maintenance)
            try await tellReceivers()
        }
        giveBackMemory()
        return problems.isEmpty ? .done(changes) : .refused(problems)
    }

    /// What became of another configuration.
    enum Reloaded: Sendable {
        case done([CatalogueChange])
        /// Why not; then nothing has changed.
        case refused([String])
    }

    /// Does what may be long in parts, between which the loop sees to everything else.
    private func inSlices(
        _ changes: [CatalogueChange],
        _ body: ([CatalogueChange]) -> Void
    ) async {
        var begin = 0
        while begin < changes.count {
            var end = min(begin + Self.changesASlice, changes.count)
            while end < changes.count, changes[end - 1].opens(changes[end]) { end += 1 }
            body(Array(changes[begin..<end]))
            begin = end
            if begin < changes.count { await nextTurn() }
        }
    }

    private func nextTurn() async {
        await withCheckedContinuation { turn in
            timers.schedule(after: .zero) { turn.resume() }
        }
    }

    /// Ends in the order in which others depend: nobody new is let in, requests in flight end, the
    /// last word goes to the store. Nobody waits for a probe: what it finds is nobody's any more, and
    /// a peer that says nothing would hold the process for its whole timeout.
    func stop() async -> Int {
        isStopping = true
        // Others take over what it probes while requests end, and it probes until they have.
        let isLeft = Task(executorPreference: loop) {
            [fleet = fleet.map { LoopBound($0, on: loop) }] in
            await fleet?.value.leave()
        }
        caretaker.stop()
        let cut = await proxy.drain()
        await sources?.stop()
        await isLeft.value
        endpoint.close()
        // First, or a program that is killed would be a peer that fails.
        scheduler.close()
        endPrograms()
        services.keep([])
        await scheduler.drop(patience: Self.probePatience)
        await services.stop()
        await notifier.stop()
        await courier?.stop()
        await exporter?.stop()
        await store.stop()
        history.stop()
        await historyLedger?.stop()
        board.events.end()
        await ledger?.stop()
        board.close()
        resolver.close()
        return cut
    }

    func plane(reload: @escaping ControlPlane.Reload) -> ControlPlane {
        var plane = ControlPlane(
            agent: configuration.agent.id,
            startedAt: startedAt,
            loop: loop,
            board: LoopBound(board, on: loop),
            scheduler: LoopBound(scheduler, on: loop),
            store: LoopBound(store, on: loop),
            operations: LoopBound(operations, on: loop),
            ledger: ledger.map { LoopBound($0, on: loop) },
            proxy: LoopBound(proxy, on: loop),
            endpoint: LoopBound(endpoint, on: loop),
            heartbeats: LoopBound(heartbeats, on: loop),
            reload: reload
        )
        plane.definer = LoopBound(self, on: loop)
        plane.feed = LoopBound(EventFeed(of: board, by: plane.agent, on: loop), on: loop)
        plane.configuration = LoopBound(record, on: loop)
        plane.history = LoopBound(history, on: loop)
        plane.notifier = LoopBound(notifier, on: loop)
        if let sources {
            let side = LoopBound(sources, on: loop)
            plane.sources = { await side.call { $0.status } }
        }
        plane.historyFile = historyLedger.map { LoopBound($0, on: loop) }
        if let exporter {
            plane.tracer = InstrumentationSystem.tracer
            plane.spans = { exporter.status }
        }
        plane.zone = configuration.agent.zone
        plane.version = Muster.version
        plane.hasMetricsPerPeer = configuration.admin.hasMetricsPerPeer
        plane.hasMetricsPerRoute = configuration.admin.hasMetricsPerRoute
        plane.budget = budget
        return plane
    }
}

extension Engine: Definer {
    func decide(
        _ order: DefinitionOrder,
        by asker: String
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        try live.decide(
            order,
            by: asker,
            catalogue,
            configuration.proxy.listeners,
            among: board.names
        )
    }

    var definitions: [DefinedThing] { live.all(catalogue) }

    var ignoredDefinitions: Int { live.ignored }

    func otherSources(of upstream: String) -> [String: String] {
        catalogue.otherSources(of: upstream).mapValues(\.description)
    }

    /// What is worth a thought of what the API defines beside the file: it has no effect, or goes over it.
    var definitionRemarks: [String] {
        let all = live.all(catalogue)
        let groups = [
            (
                all.filter { $0.problem != nil }, "has no effect here",
                "have no effect here"
            ),
            (
                all.filter { $0.problem == nil && $0.isInFile }, "goes over the file",
                "go over the file"
            ),
        ]
        return groups.compactMap { things, one, many in
            if things.isEmpty { return nil }
            let names = things.prefix(ConfigurationDifference.namesMax).map(\.key.field)
            let more = things.count - names.count
            return "\(things.count) thing\(things.count == 1 ? "" : "s") that the API defines "
                + "\(things.count == 1 ? one : many): \(names.joined(separator: ", "))"
                + "\(more > 0 ? " and \(more) more" : "") (muster diff says why)"
        }
    }

    var routes: [DefinedRoute] {
        live.defined(with: configuration.proxy.listeners, among: Set(board.names))
    }
}

extension CatalogueChange {
    /// It makes or takes away a place where routes may lead.
    fileprivate var isOfUpstream: Bool {
        switch self {
        case .upstream(_, was: nil), .upstreamGone: true
        default: false
        }
    }
}

extension Heartbeats {
    /// Takes in what another process heard. Its age is told by the wall clock: that goes on over a restart.
    fileprivate func hear(_ sign: HeardSign, on loop: EventLoop) {
        guard let status = Sign.Status(rawValue: sign.verdict.rawValue) else { return }
        let now = loop.wall
        let age = sign.at < now ? now - sign.at : .zero
        record(
            Sign(status: status, message: sign.message, at: loop.instant + -age),
            upstream: sign.key.upstream,
            peer: sign.key.peer
        )
    }
}
