// Is this process alive, is it ready, and what are its numbers?

import AgentCheck
import EventLoop
import Front
import Health
import Ledger
import Monitor
import Proxy
import Store
import TLS
import Vocabulary

enum StateRoutes {
    static let table: [AdminTable.Row] = [
        .init(.get, "/health", .open, health), .init(.get, "/ready", .open, ready),
        .init(.get, "/metrics", .read, metrics), .init(.get, "/v1/store", .read, store),
        .init(.post, "/v1/reload", .admin, reload),
    ]

    /// How long a start may wait for first verdicts before it counts as ready without them.
    private static let firstVerdictsWithin = Nanoseconds.seconds(10)

    private static func health(_: Request, _ context: AdminContext) async -> Response {
        let plane = context.plane
        // Answered by the control loop itself: a loop that is stuck is not alive.
        let uptime = await plane.board.call { _ in plane.loop.instant } - plane.began
        return .json(
            .object([
                .init("status", "ok"),
                .init("agent", .string(plane.agent)),
                .init("uptime_s", .number(uptime.seconds)),
            ])
        )
    }

    private static func store(_: Request, _ context: AdminContext) async -> Response {
        .json(json(await context.plane.store.call { $0.status }))
    }

    private static func reload(
        _: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        switch await context.plane.reload() {
        case .done(let changes, let later, let warnings):
            return .json(
                .object([
                    .init("changes", .array(changes.map { .string($0) })),
                    .init("later", .array(later.map { .string($0) })),
                    .init("warnings", .array(warnings.map { .string($0) })),
                ])
            )
        case .refused(let mistakes):
            throw Problem(.unprocessableContent, mistakes.joined(separator: "\n"))
        }
    }

    /// How the store is: away, or refusing writes, and why.
    private static func json(_ store: StoreStatus) -> JSON {
        .object([
            .init("kind", .string(store.kind)),
            .init("connected", .bool(store.isConnected)),
            .init("writable", .bool(store.isWritable)),
            .init("since", .string(store.since.description)),
            .init("error", JSON(store.lastError?.printable)),
            .init("file_error", JSON(store.fileError?.printable)),
            .init("write_error", JSON(store.writeError?.printable)),
            .init("advice", JSON(store.writeAdvice)),
            .init("server", store.server.map { .string($0) } ?? .null),
            .init("as_of", store.asOf.map { .string($0.description) } ?? .null),
            .init("twin", JSON(store.twin?.printable)),
            .init("waits", JSON(store.waits?.printable)),
            .init("fleet_error", JSON(store.fleetError?.printable)),
            .init("pending", .integer(Int64(store.pending))),
            .init("revision", .integer(Int64(clamping: store.revision))),
            .init("refused", .integer(Int64(clamping: store.refused))),
            .init("ignored", .integer(Int64(clamping: store.ignored))),
        ])
    }

    private static func ready(_: Request, _ context: AdminContext) async -> Response {
        let plane = context.plane
        let upstreams = await plane.upstreams().map(\.view)
        let store = await plane.store.call { $0.status }
        let ledger = await plane.ledger?.call { $0.status }
        let history = await plane.historyFile?.call { $0.status }
        let memory = await plane.endpoint.call { $0.memoryFile }
        let configuration = await plane.configuration?.call { $0.status }
        let (fleet, overdue) = await plane.scheduler.call { scheduler in
            (scheduler.fleetStatus, scheduler.overdue(at: scheduler.now))
        }
        let otherwise = await plane.board.call { $0.definedOtherwise }
        let unprobed = Unprobed(upstreams, overdue, at: plane.loop.wall)
        let failing = await plane.notifyStatus().filter { $0.state == .failing }
        let isYoung = plane.loop.instant - plane.began < firstVerdictsWithin
        let isReady = unprobed.never.isEmpty || !isYoung
        return .json(
            .object([
                .init("ready", .bool(isReady)),
                .init("store", json(store)),
                .init("fleet", fleet.map(json) ?? .null),
                .init("ledger", ledger.map(json) ?? .null),
                .init("history", history.map(json) ?? .null),
                .init("memory_file", memory.map(json) ?? .null),
                .init("configuration", configuration?.json ?? .null),
                .init("certificate", plane.certificate?.status(at: plane.loop.wall).json ?? .null),
                .init("unprobed", .array(unprobed.names.prefix(20).map { .string($0) })),
                .init("overdue", json(overdue)),
                .init("other_definitions", json(otherwise)),
                .init("notify", .array(failing.map(NotifyRoutes.json))),
                .init("sources", .array(await plane.sources().map(\.json))),
                .init("tracing", plane.spans()?.json(at: plane.loop.moment) ?? .null),
            ]),
            isReady ? .ok : .serviceUnavailable
        )
    }

    private static func json(_ file: MemoryFileStatus) -> JSON {
        .object([
            .init("path", .string(file.path.printable)),
            .init("writable", .bool(file.error == nil)),
            .init("error", JSON(file.error?.printable)),
        ])
    }

    private static func json(_ fleet: FleetStatus) -> JSON {
        .object([
            .init("state", .string(fleet.state.rawValue)),
            .init("agents", JSON(fleet.members)),
            .init("doubt", .number((fleet.doubt * 100).rounded() / 100)),
            .init("reasons", .array(fleet.reasons.map { .string($0) })),
            .init("text", .string(fleet.words.joined(separator: "; "))),
            .init("held", AgentsJSON.hold(fleet.hold)),
        ])
    }

    /// `null` where all agents mean the same, as far as was heard.
    private static func json(_ otherwise: [OtherDefinition]) -> JSON {
        guard let first = otherwise.first else { return .null }
        return .object([
            .init("pairs", JSON(otherwise.count)),
            .init("agents", .array(Set(otherwise.map(\.agent)).sorted().map { .string($0) })),
            .init("first", .string(first.words)),
        ])
    }

    /// `null` where every probe of this agent begins in its time.
    private static func json(_ overdue: Overdue) -> JSON {
        guard overdue.count > 0 else { return .null }
        return .object([
            .init("pairs", JSON(overdue.count)),
            .init("longest_ms", .integer(overdue.longest.milliseconds)),
            .init("text", .string(overdue.words)),
        ])
    }

    private static func json(_ ledger: LedgerStatus) -> JSON {
        .object([
            .init("path", .string(ledger.path)),
            .init("durable", .bool(ledger.error == nil)),
            .init("error", ledger.error.map { .string($0) } ?? .null),
            .init("bytes", JSON(ledger.bytes)),
            .init("damaged_bytes", JSON(ledger.damagedBytes)),
        ])
    }

    private static func metrics(_ request: Request, _ context: AdminContext) async -> Response {
        let plane = context.plane
        let proxy = plane.proxy
        let report = await plane.run { await proxy.value.report() }
        let store = await plane.store.call { $0.status }
        let (scheduler, fleet) = await plane.scheduler.call { ($0.metrics, $0.fleetStatus) }
        let counters = context.front.now
        let upstreams = await plane.upstreams().map(\.view)
        let isOpen = OpenMetrics.isWanted(request[field: "accept"])
        let text = MetricsText.make(
            agent: plane.agent,
            uptime: plane.loop.instant - plane.began,
            upstreams: upstreams,
            traffic: await plane.traffic(of: upstreams.map(\.name)),
            now: plane.loop.wall,
            store: store,
            ledger: await plane.ledger?.call { $0.status },
            history: await plane.historyStatus(),
            scheduler: scheduler,
            fleet: fleet,
            definedOtherwise: await plane.board.call { $0.definedOtherwise.count },
            votes: await plane.scheduler.call { $0.votes },
            pairs: await plane.pairs(),
            proxy: report,
            memoryFile: await plane.endpoint.call { $0.memoryFile },
            configuration: await plane.configuration?.call { $0.status },
            certificate: plane.certificate?.status(at: plane.loop.wall),
            logDropped: plane.logDropped(),
            budget: plane.budget,
            taken: [
                (.store, store.connections),
                (.admin, counters.open),
                (.agentCheck, await plane.endpoint.call { $0.counters.open }),
                (.probes, scheduler.inFlight * DescriptorBudget.perProbe),
                (.proxy, report.connectionsActive + report.connectionsToPeers),
            ],
            isPerPeer: plane.hasMetricsPerPeer,
            isPerRoute: plane.hasMetricsPerRoute,
            hasExemplars: isOpen
        )
        var definitions = MetricsText(isPerPeer: false)
        definitions.family(
            "muster_definitions_ignored",
            "gauge",
            "Definitions of the API that make no sense here, and are left out."
        )
        let ignored = await plane.definer?.call { $0.ignoredDefinitions } ?? 0
        definitions.sample("muster_definitions_ignored", [], Double(ignored))
        let whole =
            text + definitions.text + MetricsText.notify(await plane.notifyStatus())
            + MetricsText.sources(await plane.sources())
            + (plane.spans().map(MetricsText.tracing) ?? "")
            + counters.metricsText
        var response =
            isOpen
            ? Response.text(OpenMetrics.text(of: whole), type: OpenMetrics.type)
            : .text(whole, type: "text/plain; version=0.0.4; charset=utf-8")
        response.fields.append(.init("Vary", "Accept"))
        return response
    }
}

extension ServerCertificate.Status {
    fileprivate var json: JSON {
        .object([
            .init("file", .string(file.printable)),
            .init("not_before", JSON(certificate?.notBefore.description)),
            .init("not_after", JSON(certificate?.notAfter.description)),
            .init("problem", JSON(problem?.printable)),
        ])
    }
}
