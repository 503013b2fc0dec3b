// What can be asked of upstreams and peers, and what can be asked for them?

import Checks
import EventLoop
import Health
import Monitor
import Proxy
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
        let seen = await plane.upstreams()
        let traffic = await plane.traffic(of: seen.map(\.view.name))
        let votes = await plane.scheduler.call { $0.votes }
        let sources = await plane.otherSources(of: seen.map(\.view.name))
        let refusals = await plane.refusals()
        return .json(
            .object([
                .init(
                    "upstreams",
                    .array(
                        seen.map {
                            UpstreamJSON.upstream(
                                $0,
                                traffic,
                                votes,
                                sources: sources[$0.view.name] ?? [:],
                                refusals: refusals[$0.view.name] ?? [],
                                in: plane
                            )
                        }
                    )
                )
            ])
        )
    }

    private static func one(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let seen = try await seen(request, context)
        let traffic = await context.plane.traffic(of: [seen.view.name])
        let votes = await votes(on: seen.view.peers, seen.view.monitors, context.plane)
        let sources = await context.plane.otherSources(of: [seen.view.name])
        let json = UpstreamJSON.upstream(
            seen,
            traffic,
            votes,
            sources: sources[seen.view.name] ?? [:],
            refusals: await context.plane.refusals()[seen.view.name] ?? [],
            in: context.plane
        )
        return .json(json)
            .tagged(seen.revision)
    }

    private static func peer(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let (key, seen) = try await seenPeer(request, context)
        let (report, monitors) = (seen.report, seen.monitors)
        let traffic = await context.plane.traffic(of: key)
        let now = context.plane.loop.wall
        let votes = await votes(on: [report], monitors, context.plane)
        let source = await context.plane.otherSources(of: [key.upstream])[key.upstream]?[key.peer]
        let json = UpstreamJSON.peer(
            report,
            traffic,
            votes,
            source: source,
            monitors: monitors,
            now: now
        )
        return .json(json)
            .tagged(seen.revision)
    }

    /// What agents said that were asked, by this one or by others.
    private static func votes(
        on reports: [PeerReport],
        _ monitors: [MonitorSummary],
        _ plane: ControlPlane
    ) async -> UpstreamJSON.Votes {
        let own = await plane.scheduler.call { $0.votes }
        return await plane.questions(on: reports, monitors).merging(own) { _, own in own }
    }

    // MARK: Finding

    private static func view(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> UpstreamView {
        try await seen(request, context).view
    }

    /// The upstream and the peer that the path names.
    static func peer(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> (UpstreamView, PeerReport) {
        let view = try await view(request, context)
        return (view, try report(request, of: view))
    }

    /// The peer alone. Only where there is no such peer all of its upstream is looked at, for the words.
    private static func seenPeer(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> (PeerKey, SeenPeer) {
        let key = PeerKey(
            upstream: request[parameter: "upstream"],
            peer: request[parameter: "peer"]
        )
        if let seen = await context.plane.operations.call({ $0.peer(key) }) { return (key, seen) }
        _ = try report(request, of: try await view(request, context))
        throw Problem(.notFound, "'\(key)' has gone meanwhile")
    }

    private static func seen(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> SeenUpstream {
        try await seen(request[parameter: "upstream"], context)
    }

    static func seen(
        _ name: String,
        _ context: AdminContext
    ) async throws(Problem) -> SeenUpstream {
        guard let seen = await context.plane.operations.call({ $0.upstream(name) }) else {
            let known = await context.plane.board.call { $0.names }
            throw Problem(.notFound, unknown("upstream", name, known))
        }
        return seen
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
        let key = PeerKey(
            upstream: request[parameter: "upstream"],
            peer: request[parameter: "peer"]
        )
        let expected = try IfMatch.expectation(request[field: "if-match"])
        if let field = request[field: "if-none-match"] { throw IfMatch.opposite(field) }
        // That there is no such peer goes before what is wrong with the order for it.
        let patch: Result<PeerPatch, PeerPatchError>
        do throws(PeerPatchError) {
            patch = .success(try PeerPatch(request.body))
        } catch {
            patch = .failure(error)
        }
        let operations = plane.operations
        let asker = Asker(request)
        let outcome: Result<Operation, OperationError> = await plane.run {
            do throws(OperationError) {
                return .success(
                    try await operations.value.change(key, expecting: expected) {
                        report,
                        now throws(OperationError) in
                        do throws(PeerPatchError) {
                            return try patch.get().change(
                                isConfiguredDown: report.definition.isDisabled,
                                now: now,
                                by: asker.text
                            )
                        } catch {
                            throw .mistake(error.description)
                        }
                    }
                )
            } catch {
                return .failure(error)
            }
        }
        switch outcome {
        case .success(let operation):
            plane.journal.log(OrderLine.line(operation.change, of: key, by: asker))
            let traffic = await plane.traffic(of: key)
            return answer(to: operation, traffic, now: plane.loop.wall)
        case .failure(let error): throw try await problem(error, request, context)
        }
    }

    private static func answer(
        to operation: Operation,
        _ traffic: UpstreamJSON.SeenTraffic?,
        now: WallTime
    ) -> Response {
        let shown = UpstreamJSON.peer(
            operation.report,
            traffic,
            monitors: operation.monitors,
            now: now
        )
        var more = [JSON.Member("revision", UpstreamJSON.revision(operation.revision))]
        if let warning = operation.warning { more.append(.init("warning", .string(warning))) }
        return .json(
            .object(
                (shown.members ?? []) + UpstreamJSON.acknowledgement(operation.reach) + more
            ),
            UpstreamJSON.isKept(operation.reach) ? .ok : .accepted
        ).tagged(operation.revision)
    }

    static func problem(
        _ error: OperationError,
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Problem {
        switch error {
        case .noUpstream(let name):
            _ = try await view(request, context)
            return Problem(.notFound, "'\(name)' has gone meanwhile")
        case .noPeer(let key):
            _ = try report(request, of: try await view(request, context))
            return Problem(.notFound, "'\(key)' has gone meanwhile")
        case .mistake(let text): return Problem(.badRequest, text)
        case .outdated(let revision):
            let field = request[field: "if-match"] ?? ""
            // Some server in between made it one (RFC 9110, 8.8.1).
            let why =
                IfMatch.isWeak(field)
                ? "a weak tag (W/) never matches here. Send the ETag as muster gave it"
                : "another change came first. Read the upstream again, and decide again"
            return Problem(
                .preconditionFailed,
                "If-Match: expected revision \(revision), which it is now, saw "
                    + "\(Excerpt.of(field.utf8)): \(why)",
                fields: [.init("ETag", IfMatch.tag(revision))],
                members: [.init("revision", UpstreamJSON.revision(revision))]
            )
        case .unknown(let why):
            return Problem(.serviceUnavailable, why, fields: [.init("Retry-After", "1")])
        case .refused(let why):
            return Problem(.serviceUnavailable, "the store refused: \(why)")
        }
    }

    // MARK: Heartbeats

    private static func heartbeat(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let (key, seen) = try await seenPeer(request, context)
        if !seen.monitors.contains(where: { $0.kind == HeartbeatCheck.kind }) {
            throw Problem(.conflict, "\(key.upstream) has no monitor of kind heartbeat")
        }
        let sign: HeartbeatSign
        do throws(HeartbeatSignError) {
            sign = try HeartbeatSign(request.body)
        } catch {
            throw Problem(.badRequest, error.description)
        }
        await plane.heartbeats.call { heartbeats in
            heartbeats.record(
                Heartbeats.Sign(status: sign.status, message: sign.message, at: plane.loop.instant),
                upstream: key.upstream,
                peer: key.peer
            )
        }
        // A restart must not begin to count anew.
        await plane.store.call { store in
            let record = HeardSign(
                key: key,
                verdict: Outcome.Verdict(rawValue: sign.status.rawValue) ?? .pass,
                message: sign.message,
                agent: plane.agent,
                at: plane.loop.wall
            )
            store.publish(record, isTransition: sign.status == .fail)
        }
        await plane.scheduler.call { scheduler in
            scheduler.hurry(signedBy: key)
            // Whoever probes the peer may be another agent.
            scheduler.announce(
                FleetSign(peer: key, status: sign.status.rawValue, message: sign.message)
            )
        }
        return Response(.noContent)
    }

    // MARK: Probing

    private static func probe(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let (key, seen) = try await seenPeer(request, context)
        var results: [JSON] = []
        for (monitor, answer) in await answers(of: seen.monitors, on: key.peer, plane) {
            switch answer {
            case .report(let report): results.append(ProbeJSON.report(report, monitor: monitor))
            case .gone: continue
            case .late(let words):
                throw Problem(
                    .gatewayTimeout,
                    "\(words). GET \(request.path.dropLast("check".count))explain says who probes it"
                )
            }
        }
        return .json(.object([.init("results", .array(results))]))
    }

    /// All at once: one that takes long keeps none of the others waiting.
    private static func answers(
        of monitors: [MonitorSummary],
        on peer: String,
        _ plane: ControlPlane
    ) async -> [(MonitorSummary, ProbeAnswer)] {
        let scheduler = plane.scheduler
        return await withTaskGroup(of: (Int, ProbeAnswer).self) { group in
            for (place, monitor) in monitors.enumerated() {
                let key = VerdictKey(upstream: monitor.upstream, peer: peer, monitor: monitor.id)
                group.addTask { (place, await plane.run { await scheduler.value.ask(key) }) }
            }
            var answers: [(place: Int, answer: ProbeAnswer)] = []
            for await answer in group { answers.append(answer) }
            return answers.sorted { $0.place < $1.place }.map { (monitors[$0.place], $0.answer) }
        }
    }
}

extension Response {
    /// With the revision of the upstream that it tells of.
    func tagged(_ revision: Revision) -> Response {
        var response = self
        response.fields.append(.init("ETag", IfMatch.tag(revision)))
        return response
    }
}
