// How do scripts that manage a durpina manage muster? At the paths of its README's example and of its own test rig: what an
// upstream is, as its JSON; weights, peers and monitors that change while it runs. Behind it are the orders and
// definitions of the API.

import EventLoop
import Front
import Health
import Store
public import Vocabulary

/// What a path asks for.
enum DurpinaRequest: Equatable, Sendable {
    case ready
    case action(upstream: String, String)
    /// The weight in the path; nil where the body has it.
    case weight(upstream: String, peer: String, String?)
    case none

    /// `segments` are decoded.
    init(_ segments: [String]) {
        switch (segments.first ?? "", segments.count) {
        case ("ready", 1): self = .ready
        case ("upstream", 4) where segments[2] == "action":
            self = .action(upstream: segments[1], segments[3])
        case ("set_peer_weight", 2): self = .action(upstream: segments[1], "set_peer_weights")
        case ("set_upstream_peer_weight", 3):
            self = .weight(upstream: segments[1], peer: segments[2], nil)
        case ("set_upstream_peer_weight", 4):
            self = .weight(upstream: segments[1], peer: segments[2], segments[3])
        default: self = .none
        }
    }
}

/// What durpina calls the state of a peer, and which of them a selector means.
enum DurpinaState: String, Sendable {
    case up, failing
    case temporarilyDown = "temp_down"
    case down

    init(_ peer: PeerReport) {
        switch peer.view.status {
        // By order, and until another: nothing of its own brings it back.
        case .maint, .drain: self = .down
        case .down: self = .down
        case .ejected: self = .temporarilyDown
        case .up, .degraded, .starting, .unknown:
            let isDoubted = peer.verdicts.contains { $0.status == .up && !$0.isAtItsBest }
            self = isDoubted || peer.view.status == .degraded ? .failing : .up
        }
    }

    /// Nil where there is no such selector.
    static func selected(by selector: String?, _ peer: PeerReport) -> Bool? {
        let state = DurpinaState(peer)
        switch selector ?? "all" {
        case "all": return true
        case "failing": return state == .failing
        case "down": return state == .down || state == .temporarilyDown
        // What comes back by itself, and what waits for somebody.
        case "temporary_down":
            return state == .temporarilyDown || state == .down && peer.view.status == .down
        case "permanent_down": return peer.view.status == .maint || peer.view.status == .drain
        default: return nil
        }
    }
}

/// Bodies of durpina's in muster's words.
enum DurpinaBody {
    struct Problem: Error, Equatable {
        let text: String
    }

    /// `"host:port weight=…"`, or a table with `name`, or `host` and `port`.
    static func peer(_ json: JSON) throws(Problem) -> JSON {
        if let text = json.string {
            var words = text.split(separator: " ").map(String.init)
            guard let first = words.first else {
                throw Problem(text: "expected a peer, saw nothing")
            }
            if !first.contains(":") { words[0] = "\(first):80" }
            if !words.contains(where: { $0.hasPrefix("max_fails=") }) {
                words.append("max_fails=3")
            }
            return .string(words.joined(separator: " "))
        }
        guard json.members != nil else {
            throw Problem(
                text: "expected a peer as a text or an object, saw \(Excerpt.of(json.text.utf8))"
            )
        }
        let port = json["port"]?.int ?? 80
        guard let name = json["name"]?.string ?? json["address"]?.string ?? json["host"]?.string
        else {
            throw Problem(text: "expected 'name' or 'host', saw neither")
        }
        let host = json["host"]?.string
        let address =
            host.map { "\($0):\(port)" } ?? (name.contains(":") ? name : "\(name):\(port)")
        var members: [JSON.Member] = [.init("address", .string(address))]
        members.append(.init("max-fails", json["max_fails"] ?? .integer(3)))
        if let weight = json["weight"] ?? json["initial_weight"] {
            members.append(.init("weight", weight))
        }
        if let span = json["fail_timeout"] {
            let text = span.int.map { "\($0)s" } ?? span.string ?? span.text
            members.append(.init("fail-timeout", .string(text)))
        }
        return .object(members)
    }

    private static let kinds = [
        "http": "http", "tcp": "tcp", "haproxy-agent-check": "haproxy-agent-check",
        "http-haproxy-agent-check": "http-agent",
    ]

    static func name(ofKind kind: String) -> String {
        kinds.first { $0.value == kind }?.key ?? kind
    }

    /// `{"name": "http", "id": …, "uri": …}`.
    static func monitor(_ json: JSON) throws(Problem) -> JSON {
        guard let name = json["name"]?.string else {
            throw Problem(text: "expected the monitor's 'name', saw none")
        }
        guard let kind = kinds[name] else { throw Problem(text: "unknown monitor \(name)") }
        var settings: [JSON.Member] = []
        var headers: [JSON.Member] = []
        let isOverHTTP = name.hasPrefix("http")
        var hasInterval = false
        for member in json.members ?? [] {
            let value = member.value
            switch member.key {
            case "name": continue
            case "id": settings.append(.init("id", .string(value.string ?? value.text)))
            case "port":
                settings.append(.init("port", value.int.map { .integer(Int64($0)) } ?? value))
            case "interval":
                hasInterval = true
                settings.append(.init("interval", .string(try span(value, unit: "s"))))
            case "timeout": settings.append(.init("timeout", .string(try span(value, unit: "ms"))))
            case "peers":
                // All are probed, at a pace of their own where they fail.
                guard value.string == "all" else {
                    throw Problem(text: "peers: expected all, saw \(Excerpt.of(value.text.utf8))")
                }
            case "uri" where isOverHTTP, "url" where isOverHTTP:
                settings.append(.init("path", value))
            case "ok_codes" where isOverHTTP: settings.append(.init("expect", value))
            case "method" where isOverHTTP, "body" where isOverHTTP:
                settings.append(.init(member.key, value))
            case _ where isOverHTTP && member.key.hasPrefix("header_"):
                let field = String(member.key.dropFirst(7)).replacing("_", with: "-")
                if field.lowercased() == "host" {
                    settings.append(.init("host", value))
                } else {
                    headers.append(.init(field, value))
                }
            default: throw Problem(text: "unknown option \(member.key)")
            }
        }
        if !headers.isEmpty { settings.append(.init("headers", .object(headers))) }
        if !hasInterval { settings.append(.init("interval", .string("5s"))) }
        if kind != "http", kind != "tcp" { settings.append(.init("on-error", .string("fail"))) }
        return .object([.init(kind, .object(settings))])
    }

    /// A number in `unit`, or a text with one of its own.
    private static func span(_ value: JSON, unit: String) throws(Problem) -> String {
        if let number = value.int { return "\(number)\(unit)" }
        guard let text = value.string, !text.isEmpty else {
            throw Problem(text: "expected a time, saw \(Excerpt.of(value.text.utf8))")
        }
        return text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? text + unit : text
    }

    /// A positive whole number, as its README says: neither nothing nor a part.
    static func weight(_ text: String) -> Int? {
        let number = text.drop { $0 == " " || $0 == "\n" || $0 == "\r" }
        let digits = number.prefix { $0.isASCII && $0.isNumber }
        let rest = number.dropFirst(digits.count)
        guard rest.allSatisfy({ $0 == " " || $0 == "\n" || $0 == "\r" || $0 == "\r\n" }),
            let weight = Int(digits),
            (1...PeerDefinition.weightMax).contains(weight)
        else { return nil }
        return weight
    }
}

/// `admin.compat-durpina`.
public struct CompatDurpinaServer: Sendable {
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
    private let onRunning: @Sendable (String) async -> Void

    public init(
        _ configuration: Configuration,
        plane: ControlPlane,
        journal: Journal = .silent,
        onRunning: @escaping @Sendable (String) async -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.plane = plane
        self.journal = journal
        self.onRunning = onRunning
    }

    /// Serves until `end` returns. Throws what keeps it from listening.
    public func run(until end: @Sendable () async -> Void) async throws {
        var entrance = Entrance(configuration.bind, named: "durpina")
        entrance.rules = OriginRules(bind: configuration.bind, hosts: configuration.hosts)
        entrance.limits.connections = configuration.connections
        let onRunning = onRunning
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
        case .success: return Self.line("ok")
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
