// How do scripts that manage a durpina manage muster? At the paths of its README's example and of its own test rig: what an
// upstream is, as its JSON; weights, peers and monitors that change while it runs. Behind it are the orders and
// definitions of the API.

import EventLoop
import Front
import Health
import Store
public import Vocabulary

/// `admin.compat-durpina`.
public struct CompatDurpinaServer: ControlDoor {
    public struct Configuration: Sendable {
        public var bind: Vocabulary.Address
        /// Where there are any, whoever writes must show one that reaches as far as in the API.
        public var grants: [Access.Grant] = []
        public var hosts: [String] = []
        public var connections = CompatConfigServer.connectionsMax

        public init(bind: Vocabulary.Address) { self.bind = bind }
    }

    private let configuration: Configuration
    private let plane: ControlPlane
    private let journal: Journal

    public init(
        _ configuration: Configuration,
        plane: ControlPlane,
        journal: Journal = .silent
    ) {
        self.configuration = configuration
        self.plane = plane
        self.journal = journal
    }

    public func run(
        until end: @Sendable () async -> Void,
        onRunning: @Sendable (String) async -> Void
    ) async throws {
        var entrance = Entrance(configuration.bind, named: "durpina")
        entrance.setting = "admin.compat-durpina"
        entrance.rules = OriginRules(bind: configuration.bind, hosts: configuration.hosts)
        entrance.limits.connections = configuration.connections
        entrance.limits.trustsNeighbours = true
        let server = self
        try await entrance.serve(
            until: end,
            journal: journal,
            onRunning: { await onRunning($0.isUnix ? "\($0)" : "http://\($0)") },
            respond: { await server.response(to: $0) }
        )
    }

    // MARK: Answering

    private static func line(_ text: String, _ status: Status = .ok) -> Response {
        .text(text + "\n", type: "text/plain", status)
    }

    func response(to asked: FrontRequest) async -> Response {
        let request = Request(asked)
        let segments = asked.path.utf8.split(separator: UInt8(ascii: "/")).map {
            Request.decoded($0)
        }
        switch DurpinaRequest(segments) {
        case .ready: return Self.line("ready")
        case .none: return Self.line("no such path: \(request.path)", .notFound)
        case .action(let name, let action): return await act(action, on: name, request)
        case .weight(let name, let peer, let text):
            guard request.method == "POST" else {
                return Self.line("expected POST, saw \(request.method)", .badRequest)
            }
            if let refusal = refusal(request, .operate) { return refusal }
            guard let view = await view(name) else {
                return Self.line("upstream not found", .notFound)
            }
            guard let found = Self.find(peer, in: view) else {
                return Self.line("peer not found", .notFound)
            }
            guard
                let weight = DurpinaBody.weight(
                    text ?? String(decoding: request.body, as: UTF8.self)
                )
            else {
                return Self.line("bad weight", .badRequest)
            }
            return await set(weight, of: found, in: name, by: Asker(request))
                ?? Self.line("weight set!")
        }
    }

    private func view(_ name: String) async -> UpstreamView? {
        await plane.board.call { $0.upstream(named: name) }
    }

    /// By its id, or by the `host:port` that durpina calls a peer by.
    private static func find(_ name: String, in view: UpstreamView) -> PeerReport? {
        view.peers.first { $0.definition.id == name }
            ?? view.peers.first { "\($0.definition.address)" == name }
    }

    private func refusal(_ request: Request, _ scope: Scope) -> Response? {
        let access = Access(grants: configuration.grants)
        guard let problem = access.refusal(of: request[field: "authorization"], needing: scope)
        else { return nil }
        var response = Self.line(problem.detail, problem.status)
        response.fields += problem.fields
        return response
    }

    private static let actions = [
        "set_peer_weights", "add_peer", "remove_peer", "add_monitor", "remove_monitor",
    ]

    private func act(_ action: String, on name: String, _ request: Request) async -> Response {
        guard let view = await view(name) else {
            return Self.line(
                "upstream not found; no upstream is called \(name.printable)",
                .notFound
            )
        }
        if action == "info" { return await info(view, request[query: "peers"]) }
        guard Self.actions.contains(action) else {
            return Self.line("unknown action \(action.printable)", .badRequest)
        }
        guard request.method == "POST" else {
            return Self.line("\(action): expected POST, saw \(request.method)", .badRequest)
        }
        let scope: Scope = action == "set_peer_weights" ? .operate : .admin
        if let refusal = refusal(request, scope) { return refusal }
        let body: JSON
        do {
            body = try JSON(parsing: request.body)
        } catch {
            return Self.line("Error parsing JSON data: \(error)", .badRequest)
        }
        do throws(DurpinaBody.Problem) {
            return try await act(action, on: view, body, by: Asker(request))
        } catch {
            return Self.line("\(action): \(error.text)", .badRequest)
        }
    }

    private func act(
        _ action: String,
        on view: UpstreamView,
        _ body: JSON,
        by asker: Asker
    ) async throws(DurpinaBody.Problem) -> Response {
        switch action {
        case "set_peer_weights": return await setWeights(body, on: view, by: asker)
        case "add_peer":
            return await define(
                .addPeer(upstream: view.name, try DurpinaBody.peer(body)),
                by: asker
            )
        case "add_monitor":
            return await define(
                .addMonitor(upstream: view.name, try DurpinaBody.monitor(body)),
                by: asker
            )
        case "remove_peer":
            let name = body.string ?? body["name"]?.string ?? ""
            guard let peer = Self.find(name, in: view) else {
                return Self.line(
                    "peer \(name.printable) not found in upstream \(view.name)",
                    .notFound
                )
            }
            return await define(
                .removePeer(PeerKey(upstream: view.name, peer: peer.definition.id)),
                by: asker
            )
        default:
            let id = body.string ?? body["id"]?.string ?? body["name"]?.string ?? ""
            return await define(.removeMonitor(upstream: view.name, id: id), by: asker)
        }
    }

    // MARK: Telling

    private func info(_ view: UpstreamView, _ selector: String?) async -> Response {
        var peers: [JSON] = []
        for peer in view.peers {
            guard let isSelected = DurpinaState.selected(by: selector, peer) else {
                return Self.line(
                    "peers: expected one of all, failing, down, temporary_down, permanent_down, saw "
                        + (selector ?? "").printable,
                    .badRequest
                )
            }
            if isSelected { peers.append(Self.json(peer)) }
        }
        let name = view.name
        let revision = await plane.operations.call { $0.revision(of: name) }
        let monitors = view.monitors.map { monitor in
            JSON.object([
                .init("id", .string(monitor.id)),
                .init("name", .string(DurpinaBody.name(ofKind: monitor.kind))),
            ])
        }
        let json = JSON.object([
            .init("name", .string(name)),
            .init("revision", revision.map { UpstreamJSON.revision($0) } ?? .null),
            .init("peers", .array(peers)),
            .init("monitors", .array(monitors)),
        ])
        return .text(json.text + "\n", type: "text/json")
    }

    private static func json(_ peer: PeerReport) -> JSON {
        var address = "?"
        // What a name means at the moment the resolver knows, address by address.
        if case .host(let host, _) = peer.definition.address,
            host.contains(":") || host.utf8.allSatisfy({ $0 == 0x2E || (0x30...0x39).contains($0) })
        {
            address = host
        }
        return .object([
            .init("name", .string("\(peer.definition.address)")),
            .init("address", .string(address)),
            .init("weight", .integer(Int64(peer.view.weight))),
            .init("state", .string(DurpinaState(peer).rawValue)),
        ])
    }

    // MARK: Changing

    /// All of them are looked at before the first is changed.
    private func setWeights(_ body: JSON, on view: UpstreamView, by asker: Asker) async -> Response
    {
        guard let members = body.members, !members.isEmpty else {
            return Self.line("set_peer_weights: expected an object of weights by peer", .badRequest)
        }
        var wanted: [(peer: PeerReport, weight: Int)] = []
        for member in members {
            guard let peer = Self.find(member.key, in: view) else {
                return Self.line(
                    "peer \(member.key.printable) not found in upstream \(view.name)",
                    .notFound
                )
            }
            guard
                let weight = DurpinaBody.weight(
                    member.value.int.map { "\($0)" } ?? member.value.string ?? ""
                )
            else {
                return Self.line(
                    "peer \(member.key.printable): expected a weight from 1 to \(PeerDefinition.weightMax), saw "
                        + Excerpt.of(member.value.text.utf8),
                    .badRequest
                )
            }
            wanted.append((peer, weight))
        }
        for (peer, weight) in wanted {
            if let failure = await set(weight, of: peer, in: view.name, by: asker) {
                return failure
            }
        }
        guard let after = await self.view(view.name) else {
            return Self.line("upstream not found", .notFound)
        }
        return await info(after, nil)
    }

    /// Nil where it was done.
    private func set(
        _ weight: Int,
        of peer: PeerReport,
        in upstream: String,
        by asker: Asker
    ) async -> Response? {
        let value: JSON = weight == peer.definition.weight ? .null : .integer(Int64(weight))
        let patch = JSON.object([.init("weight", value)])
        let key = PeerKey(upstream: upstream, peer: peer.definition.id)
        switch await plane.order(patch, of: key, by: asker) {
        case .success: return nil
        case .failure(let error): return Self.answer(to: error)
        }
    }

    private func define(_ order: DefinitionOrder, by asker: Asker) async -> Response {
        guard let definer = plane.definer else {
            return Self.line("nothing can be defined here", .notFound)
        }
        switch await plane.define(order, by: asker, definer) {
        case .success(let definition):
            return UpstreamJSON.doubt(definition.reach).map { Self.line($0, .accepted) }
                ?? Self.line("ok")
        case .failure(.failed(let error)): return Self.answer(to: error)
        case .failure(.refused(let refusal)):
            switch refusal {
            case .mistakes(let lines): return Self.line(lines.joined(separator: "\n"), .badRequest)
            case .conflict(let text): return Self.line(text, .conflict)
            case .nothing(let text): return Self.line(text, .notFound)
            case .inFile(let key):
                let place = await plane.place(key)
                return Self.line(
                    "the configuration file defines it\(place.map { ", at \($0)" } ?? ""): take it away there and reload",
                    .conflict
                )
            }
        }
    }

    private static func answer(to error: OperationError) -> Response {
        switch error {
        case .noUpstream: line("upstream not found", .notFound)
        case .noPeer: line("peer not found", .notFound)
        case .mistake(let text): line(text, .badRequest)
        case .unknown(let text): line(text, .serviceUnavailable)
        case .refused(let text): line("the store refused: \(text)", .serviceUnavailable)
        case .outdated: line("another change came first; ask once more", .serviceUnavailable)
        }
    }
}
