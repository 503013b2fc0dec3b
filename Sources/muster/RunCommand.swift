// How does muster run? Read the configuration, open every door, probe and route until SIGTERM, then
// let what is in flight end.

import Admin
import ArgumentParser
import CLinux
import Checks
import EventLoop
import Glibc
import Settings
import TLS
import Vocabulary

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Probes, publishes, answers and routes until it is told to stop.",
        discussion: """
            SIGTERM, SIGINT and SIGQUIT stop it: no new connections, exchanges in flight end (at most the \
            proxy's drain timeout), exit 0. Whatever cannot be opened at the start is named, and \
            nothing is started: exit 1.
            """
    )

    @OptionGroup var file: ConfigurationFile

    func run() async throws {
        muster_free_ports_on_crash()
        let configuration = try file.load(tellsWarnings: false)
        let log = Log(configuration.log, agent: configuration.agent.id)
        defer { log.writer.flush() }
        Sufficiency.raiseLimit()
        guard DescriptorBudget.ofThisProcess() != nil else {
            let limit = DescriptorBudget.limitOfThisProcess()
            Console.error("muster: \(DescriptorBudget.refusal(limit: limit))")
            throw ExitStatus.warning.code
        }
        try await Runtime(configuration, file: file.path, log: log).run()
    }
}

/// One run, from the first listener to the last goodbye.
struct Runtime {
    let configuration: MusterConfiguration
    /// Read again on reload.
    let file: String
    let log: Log

    init(_ configuration: MusterConfiguration, file: String, log: Log) {
        self.configuration = configuration
        self.file = file
        self.log = log
    }

    private var journal: Journal { log.journal }

    func run() async throws {
        for warning in configuration.warnings {
            journal.warning("\(warning)", [.event("configuration")])
        }
        let taken = TakenAddresses.problems(of: configuration)
        if !taken.isEmpty {
            for problem in taken { Console.error("muster: \(problem)") }
            throw ExitStatus.warning.code
        }
        let certificate = try certificate()
        RunSignals.noteStops()
        let loop = try EventLoop.spawn(name: "control")
        let made = await Self.make(configuration, on: loop, journal: journal)
        let engine = try made.get()
        let budget = DescriptorBudget.ofThisProcess()
        for warning in Sufficiency.foresight(of: configuration, within: budget) {
            journal.warning("\(warning)", [.event("descriptors")])
        }
        for warning in CertificateWatch.foresight(of: configuration, at: loop.wall) {
            journal.warning("\(warning)", [.event("certificate")])
        }
        let problems = await Self.start(engine)
        if !problems.isEmpty {
            for problem in problems { Console.error("muster: \(problem)") }
            _ = await Self.stop(engine)
            throw ExitStatus.warning.code
        }
        let reloader = Reloader(file, engine: engine, journal: journal)
        let writer = log.writer
        var plane = await engine.call { $0.plane(reload: { await reloader.reload() }) }
        let journal = journal
        plane.journal = journal
        plane.logDropped = { writer.dropped }
        plane.certificate = certificate
        let path = file
        plane.place = { key in
            await Task.detached { DefinitionPlace.find(path, key)?.description }.value
        }
        let doors = doors(certificate, plane)
        announce()
        var attendants: [any Attendant] = [
            ReloadService(reloader: reloader), StraySignals(journal: journal), OrphanService(),
        ]
        if let certificate {
            attendants.append(CertificateWatch(certificate: certificate, loop: loop))
        }
        let refusal = await Self.attend(engine, doors, with: attendants, journal: journal)
        if let refusal {
            Console.error("muster: \(refusal)")
            throw ExitStatus.warning.code
        }
    }

    /// Somewhere that the control plane is reached.
    private struct Door: Sendable {
        /// `admin 127.0.0.1:7000`.
        let name: String
        /// Until the process has stopped.
        let run: @Sendable (_ end: @escaping @Sendable () async -> Void) async throws -> Void
    }

    private func doors(_ certificate: ServerCertificate?, _ plane: ControlPlane) -> [Door] {
        let journal = journal
        let settings = adminConfiguration(certificate)
        let admin = AdminServer(
            settings,
            plane: plane,
            journal: journal,
            onRunning: { journal.notice("admin API and dashboard on \($0)", [.event("listening")]) }
        )
        var doors = [Door(name: "admin \(settings.bind)") { try await admin.run(until: $0) }]
        if let setting = configuration.admin.compatConfig {
            var compat = CompatConfigServer.Configuration(
                bind: setting.bind,
                upstream: setting.upstream
            )
            if setting.takesToken { compat.grants = settings.grants }
            compat.hosts = settings.hosts
            if let budget = DescriptorBudget.ofThisProcess() {
                compat.connections = compatConnections(budget)
            }
            let server = CompatConfigServer(
                compat,
                plane: plane,
                journal: journal,
                onRunning: {
                    journal.notice(
                        "peers of \(setting.upstream) are added and removed on \($0)",
                        [.event("listening")]
                    )
                }
            )
            doors.append(
                Door(name: "admin.compat-config \(setting.bind)") {
                    try await server.run(until: $0)
                }
            )
        }
        if let bind = configuration.admin.compatDurpina {
            var durpina = CompatDurpinaServer.Configuration(bind: bind)
            if CompatConfigSetting.takesToken(at: bind) { durpina.grants = settings.grants }
            durpina.hosts = settings.hosts
            if let budget = DescriptorBudget.ofThisProcess() {
                durpina.connections = durpinaConnections(budget)
            }
            let server = CompatDurpinaServer(
                durpina,
                plane: plane,
                journal: journal,
                onRunning: {
                    journal.notice(
                        "scripts made for durpina are answered on \($0)",
                        [.event("listening")]
                    )
                }
            )
            doors.append(
                Door(name: "admin.compat-durpina \(bind)") { try await server.run(until: $0) }
            )
        }
        if let setting = configuration.admin.haproxySocket {
            var runtime = RuntimeSocket.Configuration(bind: setting.bind)
            runtime.access = SocketAccess(mode: setting.mode, group: setting.group)
            if let budget = DescriptorBudget.ofThisProcess() {
                runtime.limits.connections = runtimeConnections(budget)
            }
            let socket = RuntimeSocket(
                runtime,
                plane: plane,
                journal: journal,
                onRunning: {
                    journal.notice("HAProxy's socket is answered on \($0)", [.event("listening")])
                }
            )
            doors.append(
                Door(name: "admin.haproxy-socket \(setting.bind)") {
                    try await socket.run(until: $0)
                }
            )
        }
        if let page = configuration.statusPage { doors.append(statusDoor(page, plane)) }
        return doors
    }

    private func statusDoor(_ page: StatusPageSetting, _ plane: ControlPlane) -> Door {
        let journal = journal
        var setting = StatusPageServer.Configuration(
            bind: page.bind,
            title: page.title,
            upstreams: page.upstreams
        )
        if let budget = DescriptorBudget.ofThisProcess() {
            setting.connections = statusConnections(budget)
        }
        let server = StatusPageServer(
            setting,
            plane: plane,
            journal: journal,
            onRunning: {
                journal.notice("status page for everybody on \($0)", [.event("listening")])
            }
        )
        return Door(name: "status-page \(page.bind)") { try await server.run(until: $0) }
    }

    /// Until the process is told to stop, or one of the doors cannot be opened: why, then. Whatever clients of
    /// them do, the proxy stops first; the doors last, so that they tell of the stopping.
    private static func attend(
        _ engine: LoopBound<Engine>,
        _ doors: [Door],
        with attendants: [any Attendant],
        journal: Journal
    ) async -> String? {
        let (isTold, hasStopped) = (Latch(), Latch())
        return await withTaskGroup(of: Void.self) { signals in
            signals.addTask { await StopService(told: isTold).run() }
            async let served: String? = withTaskGroup(of: String?.self) { group in
                for door in doors {
                    group.addTask {
                        do {
                            try await door.run(hasStopped.wait)
                            return nil
                        } catch {
                            isTold.open()
                            return "\(door.name): \(error)"
                        }
                    }
                }
                return await group.reduce(nil) { $0 ?? $1 }
            }
            await withTaskGroup(of: Void.self) { group in
                for attendant in attendants { group.addTask { await attendant.run() } }
                await isTold.wait()
                group.cancelAll()
            }
            await goodbye(to: engine, journal: journal)
            hasStopped.open()
            let refusal = await served
            signals.cancelAll()
            return refusal
        }
    }

    /// The admin endpoint cuts its last clients off before.
    private static let endsWithin = Duration.seconds(5)

    private static func goodbye(to engine: LoopBound<Engine>, journal: Journal) async {
        journal.notice(
            "stopping: no new connections, what is in flight may end",
            [.event("stopping")]
        )
        let cut = await stop(engine)
        journal.notice(
            cut == 0 ? "stopped" : "stopped; connections cut off: \(cut)",
            [.event("stopped")]
        )
        // Nothing is left that could be lost. Whatever keeps the admin endpoint, the process ends.
        Task.detached {
            try? await Task.sleep(for: endsWithin)
            exit(0)
        }
    }

    private func certificate() throws -> ServerCertificate? {
        guard let identity = configuration.admin.identity else { return nil }
        do {
            return try ServerCertificate(
                of: "admin",
                certificateFile: identity.certificateFile,
                keyFile: identity.keyFile,
                journal: journal
            )
        } catch {
            Console.error("muster: admin.tls: \(error)")
            throw ExitStatus.warning.code
        }
    }

    private func adminConfiguration(
        _ certificate: ServerCertificate?
    ) -> AdminServer.Configuration {
        let settings = configuration.admin
        var admin = AdminServer.Configuration(bind: settings.bind)
        admin.access = SocketAccess(mode: settings.mode, group: settings.group)
        admin.grants = settings.tokens.compactMap {
            Access.Grant(token: $0.token, scope: $0.scope.rawValue)
        }
        admin.protectsReads = settings.protectsReads
        admin.hosts = settings.hosts
        admin.certificate = certificate
        if let budget = DescriptorBudget.ofThisProcess() {
            admin.limits.connections =
                budget.admin - compatConnections(budget) - durpinaConnections(budget)
                - runtimeConnections(budget) - statusConnections(budget)
            admin.limits.remedy = budget.remedy(for: .admin)
        }
        return admin
    }

    /// Of the share of the admin endpoint, so that neither takes what others need: half of it is left, whichever
    /// doors there are.
    private func share(_ isOpen: Bool, _ most: Int, of budget: DescriptorBudget) -> Int {
        isOpen ? min(most, max(1, budget.admin / 8)) : 0
    }

    private func compatConnections(_ budget: DescriptorBudget) -> Int {
        let isOpen = configuration.admin.compatConfig != nil
        return share(isOpen, CompatConfigServer.connectionsMax, of: budget)
    }

    private func durpinaConnections(_ budget: DescriptorBudget) -> Int {
        let isOpen = configuration.admin.compatDurpina != nil
        return share(isOpen, CompatConfigServer.connectionsMax, of: budget)
    }

    private func runtimeConnections(_ budget: DescriptorBudget) -> Int {
        let isOpen = configuration.admin.haproxySocket != nil
        return share(isOpen, RuntimeSocket.connectionsMax, of: budget)
    }

    private func statusConnections(_ budget: DescriptorBudget) -> Int {
        let isOpen = configuration.statusPage != nil
        // Everybody may come here, all of them by one proxy.
        return isOpen ? min(StatusPageServer.connectionsMax, max(1, budget.admin / 4)) : 0
    }

    private func announce() {
        journal.notice(
            "muster \(Muster.configuration.version) runs as agent \(configuration.agent.id)",
            [.event("start")]
        )
        for listener in configuration.proxy.listeners {
            journal.notice(
                "proxy listens on \(listener.bind)",
                [.event("listening"), .listener("\(listener.bind)")]
            )
        }
        if let agentCheck = configuration.agentCheck {
            journal.notice("agent-check answers on \(agentCheck.bind)", [.event("listening")])
        }
    }

    private static func make(
        _ configuration: MusterConfiguration,
        on loop: EventLoop,
        journal: Journal
    ) async -> Result<LoopBound<Engine>, any Error> {
        await withCheckedContinuation { continuation in
            loop.execute {
                continuation.resume(
                    returning: Result {
                        LoopBound(
                            try Engine(
                                configuration,
                                on: loop,
                                budget: DescriptorBudget.ofThisProcess(),
                                journal: journal
                            ),
                            on: loop
                        )
                    }
                )
            }
        }
    }

    private static func start(_ engine: LoopBound<Engine>) async -> [String] {
        await Task(executorPreference: engine.loop) {
            do { return try await engine.value.start() } catch { return ["\(error)"] }
        }.value
    }

    static func stop(_ engine: LoopBound<Engine>) async -> Int {
        await Task(executorPreference: engine.loop) { await engine.value.stop() }.value
    }
}

/// Goes on beside the engine, until it is cancelled.
protocol Attendant: Sendable {
    func run() async
}

/// As PID 1 of a container we are given every process whose parent is gone: a plugin that put itself into
/// the background, say.
private struct OrphanService: Attendant {
    private static let every = Duration.seconds(1)

    func run() async {
        guard Orphans.comeToUs else { return }
        while (try? await Task.sleep(for: Self.every)) != nil { Orphans.reap() }
    }
}
