// Is this process alive, is it ready, and what are its numbers?

import EventLoop
import Front
import Health
import Hummingbird
import Ledger
import Monitor
import Proxy
import Store
import Vocabulary

struct StateRoutes: Sendable {
    let plane: ControlPlane
    let front: FrontTally

    /// How long a start may wait for first verdicts before it counts as ready without them.
    private static let firstVerdictsWithin = Nanoseconds.seconds(10)

    func add(to router: inout AdminRouter) {
        router.get("/health") { _, _ in
            // Answered by the control loop itself: a loop that is stuck is not alive.
            let uptime = await plane.board.call { _ in plane.loop.instant } - plane.began
            return Response.json(
                .object([
                    .init("status", "ok"),
                    .init("agent", .string(plane.agent)),
                    .init("uptime_s", .number(uptime.seconds)),
                ])
            )
        }
        router.get("/ready") { _, _ in await ready() }
        router.get("/v1/store") { _, _ in
            Response.json(Self.json(await plane.store.call { $0.status }))
        }
        router.post("/v1/reload") { _, _ in try await reload() }
        router.get("/metrics") { _, _ in
            Response.text(
                await metrics(),
                type: "text/plain; version=0.0.4; charset=utf-8"
            )
        }
    }

    private func reload() async throws -> Response {
        switch await plane.reload() {
        case .done(let changes, let later):
            return Response.json(
                .object([
                    .init("changes", .array(changes.map { .string($0) })),
                    .init("later", .array(later.map { .string($0) })),
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
            .init("writable", .bool(store.isConnected && store.writeError == nil)),
            .init("since", .string(store.since.description)),
            .init("error", JSON(store.lastError?.printable)),
            .init("write_error", JSON(store.writeError?.printable)),
            .init("pending", .integer(Int64(store.pending))),
            .init("revision", .integer(Int64(clamping: store.revision))),
            .init("refused", .integer(Int64(clamping: store.refused))),
            .init("ignored", .integer(Int64(clamping: store.ignored))),
        ])
    }

    private func ready() async -> Response {
        let upstreams = await plane.upstreams()
        let store = await plane.store.call { $0.status }
        let ledger = await plane.ledger?.call { $0.status }
        let unprobed = upstreams.flatMap { view in
            view.peers.filter { report in
                view.monitors.contains { monitor in
                    monitor.isRequired
                        && !report.verdicts.contains { $0.key.monitor == monitor.id }
                }
            }.map { "\(view.name)/\($0.definition.id)" }
        }
        let isYoung = plane.loop.instant - plane.began < Self.firstVerdictsWithin
        let isReady = unprobed.isEmpty || !isYoung
        return Response.json(
            .object([
                .init("ready", .bool(isReady)),
                .init("store", Self.json(store)),
                .init("ledger", ledger.map(Self.json) ?? .null),
                .init("unprobed", .array(unprobed.prefix(20).map { .string($0) })),
            ]),
            status: isReady ? .ok : .serviceUnavailable
        )
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

    private func metrics() async -> String {
        let proxy = plane.proxy
        let report = await plane.run { await proxy.value.report() }
        let store = await plane.store.call { $0.status }
        let scheduler = await plane.scheduler.call { $0.metrics }
        let counters = front.now
        return MetricsText.make(
            agent: plane.agent,
            uptime: plane.loop.instant - plane.began,
            upstreams: await plane.upstreams(),
            store: store,
            ledger: await plane.ledger?.call { $0.status },
            scheduler: scheduler,
            pairs: await plane.pairs(),
            proxy: report,
            logDropped: plane.logDropped(),
            budget: plane.budget,
            taken: [
                (.store, store.connections),
                (.admin, counters.open),
                (.agentCheck, await plane.endpoint.call { $0.counters.open }),
                (.probes, scheduler.inFlight * DescriptorBudget.perProbe),
                (.proxy, report.connectionsActive + report.connectionsToPeers),
            ],
            isPerPeer: plane.hasMetricsPerPeer
        ) + counters.metricsText
    }
}
