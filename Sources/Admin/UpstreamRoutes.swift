// What can be asked of upstreams and peers, and what can be asked for them?

import Checks
import EventLoop
import Health
import Store
import Vocabulary

enum UpstreamRoutes {
    static let table: [AdminTable.Row] = [
        .init(.get, "/v1/upstreams", .read, list),
        .init(.get, "/v1/upstreams/{upstream}", .read, one),
        .init(.get, "/v1/upstreams/{upstream}/peers/{peer}", .read, peer),
        .init(.patch, "/v1/upstreams/{upstream}/peers/{peer}", .operate, patch),
        .init(.post, "/v1/upstreams/{upstream}/peers/{peer}/heartbeat", .operate, heartbeat),
        .init(.post, "/v1/upstreams/{upstream}/peers/{peer}/check", .operate, probe),
    ]

    /// So many names are told to whoever named something else.
    private static let namesMax = 8

    // MARK: Telling

    private static func list(_: Request, _ context: AdminContext) async -> Response {
        let plane = context.plane
        let views = await plane.upstreams()
        return .json(
            .object([
                .init(
                    "upstreams",
                    .array(views.map { UpstreamJSON.upstream($0, now: plane.loop.wall) })
                )
            ])
        )
    }

    private static func one(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let view = try await view(request, context)
        return .json(UpstreamJSON.upstream(view, now: context.plane.loop.wall))
    }

    private static func peer(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let view = try await view(request, context)
        let report = try report(request, of: view)
        return .json(
            UpstreamJSON.peer(report, monitors: view.monitors, now: context.plane.loop.wall)
        )
    }

    // MARK: Finding

    private static func view(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> UpstreamView {
        let name = request[parameter: "upstream"]
        let board = context.plane.board
        guard let view = await board.call({ $0.upstream(named: name) }) else {
            let known = await board.call { $0.names }
            throw Problem(.notFound, unknown("upstream", name, known))
        }
        return view
    }

    private static func report(
        _ request: Request,
        of view: UpstreamView
    ) throws(Problem) -> PeerReport {
        let id = request[parameter: "peer"]
        guard let report = view.peers.first(where: { $0.definition.id == id }) else {
            throw Problem(
                .notFound,
                unknown("peer of \(view.name)", id, view.peers.map(\.definition.id))
            )
        }
        return report
    }

    private static func unknown(_ what: String, _ name: String, _ known: [String]) -> String {
        var text = "no \(what) is called '\(name)'"
        if let near = nearest(to: name, among: known) {
            text += "; did you mean '\(near)'?"
        } else if !known.isEmpty {
            text += "; expected \(known.prefix(namesMax).joined(separator: ", "))"
            if known.count > namesMax { text += " or another of \(known.count)" }
        }
        return text
    }

    // MARK: Changing

    private static func patch(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let view = try await view(request, context)
        let report = try report(request, of: view)
        let change: IntentChange
        do throws(PeerPatchError) {
            let patch = try PeerPatch(request.body)
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
        plane.journal.log(OrderLine.line(change, of: key, by: Asker(request)))
        let changed = try await Self.view(request, context)
        let shown = UpstreamJSON.peer(
            try Self.report(request, of: changed),
            monitors: changed.monitors,
            now: plane.loop.wall
        )
        return .json(
            .object((shown.members ?? []) + UpstreamJSON.acknowledgement(reach)),
            UpstreamJSON.isKept(reach) ? .ok : .accepted
        )
    }

    // MARK: Heartbeats

    private static func heartbeat(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let view = try await view(request, context)
        let id = try report(request, of: view).definition.id
        let monitors = view.monitors.filter { $0.kind == HeartbeatCheck.kind }
        if monitors.isEmpty {
            throw Problem(.conflict, "\(view.name) has no monitor of kind heartbeat")
        }
        let sign: HeartbeatSign
        do throws(HeartbeatSignError) {
            sign = try HeartbeatSign(request.body)
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
        return Response(.noContent)
    }

    // MARK: Probing

    private static func probe(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let view = try await view(request, context)
        let id = try report(request, of: view).definition.id
        let scheduler = plane.scheduler
        var results: [JSON] = []
        for monitor in view.monitors {
            let key = VerdictKey(upstream: view.name, peer: id, monitor: monitor.id)
            guard let report = await plane.run({ await scheduler.value.probeNow(key) }) else {
                continue
            }
            results.append(ProbeJSON.report(report, monitor: monitor))
        }
        return .json(.object([.init("results", .array(results))]))
    }
}
