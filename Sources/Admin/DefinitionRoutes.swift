// How is defined through the API what the configuration file could define too? Peers, monitors, upstreams and
// routes. What is taken lives in the store: every agent has it in a moment, and after a restart.

import EventLoop
import Health
import Store
import Vocabulary

enum DefinitionRoutes {
    static let table: [AdminTable.Row] = [
        .init(.put, "/v1/upstreams/{upstream}", .admin) { request, context throws(Problem) in
            let name = request[parameter: "upstream"]
            return try await take(.putUpstream(name, try body(request)), request, context)
        },
        .init(.delete, "/v1/upstreams/{upstream}", .admin) { request, context throws(Problem) in
            try await take(.removeUpstream(request[parameter: "upstream"]), request, context)
        },
        .init(.post, "/v1/upstreams/{upstream}/peers", .admin) { request, context throws(Problem) in
            let name = request[parameter: "upstream"]
            return try await take(.addPeer(upstream: name, try body(request)), request, context)
        },
        .init(.delete, "/v1/upstreams/{upstream}/peers/{peer}", .admin) {
            request,
            context throws(Problem) in
            let key = PeerKey(
                upstream: request[parameter: "upstream"],
                peer: request[parameter: "peer"]
            )
            return try await take(.removePeer(key), request, context)
        },
        .init(.post, "/v1/upstreams/{upstream}/monitors", .admin) {
            request,
            context throws(Problem) in
            let name = request[parameter: "upstream"]
            return try await take(.addMonitor(upstream: name, try body(request)), request, context)
        },
        .init(.delete, "/v1/upstreams/{upstream}/monitors/{monitor}", .admin) {
            request,
            context throws(Problem) in
            let order = DefinitionOrder.removeMonitor(
                upstream: request[parameter: "upstream"],
                id: request[parameter: "monitor"]
            )
            return try await take(order, request, context)
        },
        .init(.get, "/v1/definitions", .read, definitions),
        .init(.get, "/v1/routes", .read, routes),
        .init(.put, "/v1/routes/{route}", .admin) { request, context throws(Problem) in
            let id = request[parameter: "route"]
            return try await take(.putRoute(id, try body(request)), request, context)
        },
        .init(.delete, "/v1/routes/{route}", .admin) { request, context throws(Problem) in
            try await take(.removeRoute(request[parameter: "route"]), request, context)
        },
    ]

    // MARK: Telling

    private static func routes(_: Request, _ context: AdminContext) async -> Response {
        let routes = await context.plane.definer?.call { $0.routes } ?? []
        let revision = await context.plane.operations.call { $0.revisionOfRoutes }
        let sources = await context.plane.sources()
        return .json(
            .object([
                .init("routes", .array(routes.map(json))),
                .init("sources", .array(sources.map(json))),
            ])
        ).tagged(revision)
    }

    /// Hosts of other systems are theirs to list: here stands how many there are, and where.
    private static func json(_ source: SourceStatus) -> JSON {
        .object([
            .init("kind", .string(source.kind)),
            .init("name", .string(source.name)),
            .init("url", .string(source.url)),
            .init("connected", .bool(source.isConnected)),
            .init("hosts", JSON(source.frontends)),
        ])
    }

    private static func json(_ route: DefinedRoute) -> JSON {
        .object([
            .init("id", JSON(route.id)),
            .init("source", .string(route.id == nil ? "file" : "api")),
            .init("listener", JSON(route.listener)),
            .init("host", .string(route.host)),
            .init("path", .string(route.path)),
            .init("strip_prefix", .bool(route.stripPrefix)),
            .init("upstream", .string(route.upstream)),
            .init("problem", JSON(route.problem)),
        ])
    }

    private static func definitions(_: Request, _ context: AdminContext) async -> Response {
        let all = await context.plane.definer?.call { $0.definitions } ?? []
        return .json(.object([.init("definitions", .array(all.map(json)))]))
    }

    private static func json(_ thing: DefinedThing) -> JSON {
        let (kind, name) = words(thing.key)
        return .object([
            .init("kind", .string(kind)),
            .init("name", .string(name)),
            .init("body", thing.body),
            .init("in_file", .bool(thing.isInFile)),
            .init("by", thing.by.isEmpty ? .null : .string(thing.by)),
            .init("since", JSON(thing.since?.description)),
            .init("problem", JSON(thing.problem)),
            .init("left_out", .bool(thing.isLeftOut)),
        ])
    }

    /// `peer`, `web/10.0.0.1:80`.
    static func words(_ key: LiveKey) -> (kind: String, name: String) {
        switch key {
        case .upstream(let name): ("upstream", name)
        case .peer(let key): ("peer", "\(key)")
        case .monitor(let upstream, let id): ("monitor", "\(upstream)/\(id)")
        case .route(let id): ("route", id)
        }
    }

    // MARK: Changing

    private static func body(_ request: Request) throws(Problem) -> JSON {
        do {
            return try JSON(parsing: request.body)
        } catch {
            throw Problem(.badRequest, "body: \(error)")
        }
    }

    private static func take(
        _ order: DefinitionOrder,
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        guard let definer = plane.definer else {
            throw Problem(.notFound, "nothing can be defined here")
        }
        let expected = try IfMatch.expectation(request[field: "if-match"])
        let isNewOnly = request[field: "if-none-match"]
        if let isNewOnly, isNewOnly != "*" { throw IfMatch.opposite(isNewOnly) }
        let asker = Asker(request)
        // What was defined can be taken away also where its upstream has gone since.
        if let name = order.upstream, order.needsUpstream {
            _ = try await UpstreamRoutes.seen(name, context)
        }
        let ifMatch = request[field: "if-match"]
        let outcome = await plane.define(
            order,
            by: asker,
            expecting: expected,
            presence: isNewOnly != nil ? .absent : order.presence(ifMatch: ifMatch),
            definer
        )
        switch outcome {
        case .success(let definition):
            return answer(to: definition)
        case .failure(.refused(.conflict(""))):
            throw Problem(
                .preconditionFailed,
                isNewOnly != nil
                    ? "If-None-Match: *: it is there already"
                    : "If-Match: there is no such upstream; without it this makes one"
            )
        case .failure(.refused(let refusal)): throw await problem(refusal, context)
        case .failure(.failed(let error)):
            throw try await UpstreamRoutes.problem(error, request, context)
        }
    }

    private static func answer(to definition: Definition) -> Response {
        let subject = definition.decision.subject
        let isKept = UpstreamJSON.isKept(definition.reach)
        var members: [JSON.Member] = []
        switch subject {
        case .upstream(let name): members.append(.init("upstream", .string(name)))
        case .peer(let key):
            members += [
                .init("upstream", .string(key.upstream)), .init("peer", .string(key.peer)),
            ]
        case .monitor(let upstream, let id):
            members += [.init("upstream", .string(upstream)), .init("monitor", .string(id))]
        case .route(let id): members.append(.init("route", .string(id)))
        }
        members.append(.init("outcome", .string(definition.decision.outcome.rawValue)))
        members.append(.init("in_file", .bool(definition.decision.isInFile)))
        members += UpstreamJSON.acknowledgement(definition.reach)
        if let revision = definition.revision {
            members.append(.init("revision", UpstreamJSON.revision(revision)))
        }
        let status: Status =
            switch definition.decision.outcome {
            case .made: isKept ? .created : .accepted
            case .changed, .same, .gone: isKept ? .ok : .accepted
            }
        var response = Response.json(.object(members), status)
        if definition.decision.outcome == .made {
            response.fields.append(.init("Location", location(of: subject)))
        }
        return definition.revision.map { response.tagged($0) } ?? response
    }

    private static func location(of key: LiveKey) -> String {
        func part(_ text: String) -> String { text.percentEncoded }
        return switch key {
        case .upstream(let name): "/v1/upstreams/\(part(name))"
        case .peer(let key): "/v1/upstreams/\(part(key.upstream))/peers/\(part(key.peer))"
        case .monitor(let upstream, let id): "/v1/upstreams/\(part(upstream))/monitors/\(part(id))"
        case .route(let id): "/v1/routes/\(part(id))"
        }
    }

    private static func problem(
        _ refusal: DefinitionRefusal,
        _ context: AdminContext
    ) async -> Problem {
        switch refusal {
        case .mistakes(let lines):
            return Problem(.unprocessableContent, lines.joined(separator: "\n"))
        case .conflict(let text): return Problem(.conflict, text)
        case .nothing(let text): return Problem(.notFound, text)
        case .inFile(let key):
            let place = await context.plane.place(key)
            var text =
                "the configuration file defines it\(place.map { ", at \($0)" } ?? ""): take it away "
            text += "there and reload"
            if case .peer(let key) = key {
                text += "; until then maint takes it out of service: muster peer maint "
                text += "\(key.upstream)/\(key.peer), or PATCH it with {\"intent\":\"maint\"}"
            }
            return Problem(.conflict, text)
        }
    }
}

/// Whether what is to be defined has to be there before, or must not.
enum DefinitionPresence {
    case any, absent, present

    func allows(_ outcome: DefinitionDecision.Outcome) -> Bool {
        switch self {
        case .any: true
        case .absent: outcome == .made
        case .present: outcome != .made
        }
    }
}

extension DefinitionOrder {
    /// Of an upstream that is not there no tag is right, and `*` neither (RFC 9110, 13.1.1). Whoever adds to one names the
    /// tag of that, and not of what is added.
    fileprivate func presence(ifMatch field: String?) -> DefinitionPresence {
        guard case .putUpstream = self, field != nil else { return .any }
        return .present
    }
}

/// Why nothing was defined.
enum DefinitionFailure: Error {
    /// The order makes no sense.
    case refused(DefinitionRefusal)
    /// The store, or somebody who came first.
    case failed(OperationError)
}

extension ControlPlane {
    /// Gives an order about definitions, as whoever asks: the one way there is, for the API and for older systems'.
    func define(
        _ order: DefinitionOrder,
        by asker: Asker,
        expecting expected: Precondition = .anything,
        presence: DefinitionPresence = .any,
        _ definer: LoopBound<any Definer>
    ) async -> Result<Definition, DefinitionFailure> {
        let operations = operations
        let outcome: Result<Definition, DefinitionFailure> = await run {
            var refusal: DefinitionRefusal?
            do throws(OperationError) {
                return .success(
                    try await operations.value.define(
                        in: order.upstream,
                        expecting: expected
                    ) { () throws(OperationError) in
                        do throws(DefinitionRefusal) {
                            let decision = try definer.value.decide(order, by: asker.text)
                            if !presence.allows(decision.outcome) { throw .conflict("") }
                            return decision
                        } catch {
                            refusal = error
                            throw .mistake("")
                        }
                    }
                )
            } catch {
                return .failure(refusal.map { .refused($0) } ?? .failed(error))
            }
        }
        if case .success(let definition) = outcome,
            let line = OrderLine.line(definition.decision, by: asker)
        {
            journal.log(line)
        }
        return outcome
    }
}

extension DefinitionOrder {
    fileprivate var needsUpstream: Bool {
        switch self {
        case .addPeer, .addMonitor: true
        default: false
        }
    }
}
