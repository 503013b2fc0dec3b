// What can be asked of upstreams and peers, and what can be asked for them?

import Checks
import EventLoop
import Foundation
import Health
import Hummingbird
import Store
import Vocabulary

struct UpstreamRoutes: Sendable {
    let plane: ControlPlane

    /// A body that says more than this is no request of this API.
    private static let bodyBytesMax = 65_536
    /// So many names are told to whoever named something else.
    private static let namesMax = 8

    func add(to router: inout AdminRouter) {
        router.get("/v1/upstreams") { _, _ in
            let views = await plane.upstreams()
            return Response.json(
                .object([
                    .init(
                        "upstreams",
                        .array(views.map { UpstreamJSON.upstream($0, now: plane.loop.wall) })
                    )
                ])
            )
        }
        router.get("/v1/upstreams/:upstream") { _, context in
            Response.json(UpstreamJSON.upstream(try await view(context), now: plane.loop.wall))
        }
        router.get("/v1/upstreams/:upstream/peers/:peer") { _, context in
            let view = try await view(context)
            return Response.json(
                UpstreamJSON.peer(
                    try peer(context, of: view),
                    monitors: view.monitors,
                    now: plane.loop.wall
                )
            )
        }
        router.patch("/v1/upstreams/:upstream/peers/:peer") { request, context in
            try await patch(request, context)
        }
        router.post("/v1/upstreams/:upstream/peers/:peer/heartbeat") { request, context in
            try await heartbeat(request, context)
        }
        router.post("/v1/upstreams/:upstream/peers/:peer/check") { _, context in
            try await probe(context)
        }
    }

    // MARK: Finding

    private func view(_ context: AdminContext) async throws -> UpstreamView {
        let name = try parameter("upstream", context)
        guard let view = await plane.board.call({ $0.upstream(named: name) }) else {
            let known = await plane.board.call { $0.names }
            throw Problem(.notFound, unknown("upstream", name, known))
        }
        return view
    }

    private func peer(_ context: AdminContext, of view: UpstreamView) throws -> PeerReport {
        let id = try parameter("peer", context)
        guard let report = view.peers.first(where: { $0.definition.id == id }) else {
            throw Problem(
                .notFound,
                unknown("peer of \(view.name)", id, view.peers.map(\.definition.id))
            )
        }
        return report
    }

    private func parameter(_ name: String, _ context: AdminContext) throws -> String {
        let raw = try context.parameters.require(name)
        return raw.removingPercentEncoding ?? raw
    }

    private func unknown(_ what: String, _ name: String, _ known: [String]) -> String {
        var text = "no \(what) is called '\(name)'"
        if let near = nearest(to: name, among: known) {
            text += "; did you mean '\(near)'?"
        } else if !known.isEmpty {
            text += "; expected \(known.prefix(Self.namesMax).joined(separator: ", "))"
            if known.count > Self.namesMax { text += " or another of \(known.count)" }
        }
        return text
    }

    // MARK: Changing

    private func patch(
        _ request: Request,
        _ context: AdminContext
    ) async throws -> Response {
        let view = try await view(context)
        let report = try peer(context, of: view)
        var request = request
        let buffer = try await request.collectBody(upTo: Self.bodyBytesMax)
        let change: IntentChange
        do throws(PeerPatchError) {
            let patch = try PeerPatch(Array(buffer.readableBytesView))
            change = try patch.change(
                isConfiguredDown: report.definition.isDisabled,
                now: plane.loop.wall
            )
        } catch {
            throw Problem(.badRequest, error.description)
        }
        let key = PeerKey(upstream: view.name, peer: report.definition.id)
        let store = plane.store
        let outcome: Result<IntentReach, StoreError> = await plane.run {
            do throws(StoreError) {
                return .success(try await store.value.change(change, of: key))
            } catch {
                return .failure(error)
            }
        }
        let reach: IntentReach
        switch outcome {
        case .success(let answer): reach = answer
        case .failure(let error):
            throw Problem(.serviceUnavailable, "the store refused: \(error)")
        }
        plane.journal.log(OrderLine.line(change, of: key, by: Asker(request.headers)))
        let changed = try await self.view(context)
        let shown = UpstreamJSON.peer(
            try peer(context, of: changed),
            monitors: changed.monitors,
            now: plane.loop.wall
        )
        return Response.json(
            .object((shown.members ?? []) + UpstreamJSON.acknowledgement(reach)),
            status: UpstreamJSON.isKept(reach) ? .ok : .accepted
        )
    }

    // MARK: Heartbeats

    private func heartbeat(
        _ request: Request,
        _ context: AdminContext
    ) async throws -> Response {
        let view = try await view(context)
        let id = try peer(context, of: view).definition.id
        let monitors = view.monitors.filter { $0.kind == HeartbeatCheck.kind }
        if monitors.isEmpty {
            throw Problem(.conflict, "\(view.name) has no monitor of kind heartbeat")
        }
        var request = request
        let buffer = try await request.collectBody(upTo: Self.bodyBytesMax)
        let sign: HeartbeatSign
        do throws(HeartbeatSignError) {
            sign = try HeartbeatSign(Array(buffer.readableBytesView))
        } catch {
            throw Problem(.badRequest, error.description)
        }
        let isTaken = await plane.heartbeats.call { heartbeats in
            heartbeats.record(
                Heartbeats.Beat(status: sign.status, message: sign.message, at: plane.loop.instant),
                upstream: view.name,
                peer: id
            )
        }
        if !isTaken { throw Problem(.serviceUnavailable, "too many peers report in") }
        // What was said counts now, not at the next beat of the schedule.
        await plane.scheduler.call { scheduler in
            for monitor in monitors {
                scheduler.hurry(VerdictKey(upstream: view.name, peer: id, monitor: monitor.id))
            }
        }
        return Response(status: .noContent)
    }

    // MARK: Probing

    private func probe(_ context: AdminContext) async throws -> Response {
        let view = try await view(context)
        let id = try peer(context, of: view).definition.id
        let scheduler = plane.scheduler
        var results: [JSON] = []
        for monitor in view.monitors {
            let key = VerdictKey(upstream: view.name, peer: id, monitor: monitor.id)
            guard let report = await plane.run({ await scheduler.value.probeNow(key) }) else {
                continue
            }
            results.append(ProbeJSON.report(report, monitor: monitor))
        }
        return Response.json(.object([.init("results", .array(results))]))
    }
}
