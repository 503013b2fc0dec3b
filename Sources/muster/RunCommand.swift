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
import Telemetry
import Tracing
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
        guard let budget = DescriptorBudget.ofThisProcess() else {
            let limit = DescriptorBudget.limitOfThisProcess()
            Console.error("muster: \(DescriptorBudget.refusal(limit: limit))")
            throw ExitStatus.warning.code
        }
        let runtime = Runtime(
            configuration: configuration,
            file: file.path,
            budget: budget,
            log: log
        )
        try await runtime.run()
    }
}

/// One run, from the first listener to the last goodbye.
struct Runtime {
    let configuration: MusterConfiguration
    /// Read again on reload.
    let file: String
    let budget: DescriptorBudget
    let log: Log

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
        let exporter = try await startTracing()
        let made = await make(on: loop, exporter)
        let engine = try made.get()
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
        let doors = Doors(configuration, budget, certificate).all(to: plane, journal: journal)
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

    /// Until the process is told to stop, or one of the doors cannot be opened: why, then. Whatever clients of
    /// them do, the proxy stops first; the doors last, so that they tell of the stopping.
    private static func attend(
        _ engine: LoopBound<Engine>,
        _ doors: [Doors.Door],
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
                            try await door.server.run(until: hasStopped.wait) {
                                journal.notice(door.news($0), [.event("listening")])
                            }
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

    /// What is recorded is decided once a process: the part of it that knows only swift-distributed-tracing finds
    /// its tracer there.
    private func startTracing() async throws -> SpanExporter? {
        guard let setting = configuration.tracing else { return nil }
        let exporter = try await SpanExporter.start(
            setting,
            agent: configuration.agent.id,
            version: Muster.version,
            journal: journal
        )
        InstrumentationSystem.bootstrap(exporter.tracer(setting.sampler))
        return exporter
    }

    private func make(
        on loop: EventLoop,
        _ exporter: SpanExporter?
    ) async -> Result<LoopBound<Engine>, any Error> {
        await withCheckedContinuation { continuation in
            loop.execute {
                continuation.resume(
                    returning: Result {
                        LoopBound(
                            try Engine(
                                configuration,
                                on: loop,
                                budget: budget,
                                exporter: exporter,
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
