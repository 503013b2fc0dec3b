// How do scripts that spoke to the `/config` of an nginx with Lua speak to muster? With the same requests, and
// they read the same answers: a list of addresses, or one line of text. Behind it are the API's own
// definitions, so a peer that is added is probed, every agent knows of it, and it survives a restart.

import EventLoop
import Front
import Health
import Store
public import Vocabulary

/// One order of such a script.
struct CompatOrder: Equatable, Sendable {
    enum Action: String, Sendable, CaseIterable { case add, del }

    let action: Action
    let address: Vocabulary.Address

    /// Why a body is no order, in one line.
    enum Problem: Error, Equatable {
        /// The one that the original has words for.
        case action
        case other(String)

        var text: String {
            switch self {
            case .action: "Invalid action"
            case .other(let text): text
            }
        }
    }

    init(_ body: [UInt8]) throws(Problem) {
        let json: JSON
        do {
            json = try JSON(parsing: body)
        } catch {
            throw .other(
                #"body: expected JSON such as {"action":"add","ip":"127.0.0.1","port":1112}, saw none: \#(error)"#
            )
        }
        guard json.members != nil else {
            throw .other("body: expected an object, saw \(Excerpt.of(json.text.utf8))")
        }
        guard let word = json["action"] else {
            throw .other("action: expected add or del, saw no such key")
        }
        guard let text = word.string else {
            throw .other("action: expected add or del, saw \(Excerpt.of(word.text.utf8))")
        }
        guard let action = Action(rawValue: text) else { throw .action }
        self.action = action
        address = .host(try Self.host(json["ip"]), port: try Self.port(json["port"]))
    }

    private static func host(_ json: JSON?) throws(Problem) -> String {
        guard let json else { throw .other("ip: expected an address, saw no such key") }
        // Written through the same door as any address, so that what is no host does not come in.
        let colons = json.string?.count { $0 == ":" } ?? 0
        guard let text = json.string,
            // With one colon it is an address with its port.
            colons != 1,
            let address = Vocabulary.Address(text: colons > 0 ? "[\(text)]:1" : "\(text):1"),
            case .host(let host, _) = address
        else { throw .other("ip: expected an address, saw \(Excerpt.of(json.text.utf8))") }
        return host
    }

    /// A number, or one in quotes.
    private static func port(_ json: JSON?) throws(Problem) -> UInt16 {
        guard let json else {
            throw .other("port: expected a port from 1 to 65535, saw no such key")
        }
        let number = json.int ?? json.string.flatMap { Int($0) }
        guard let number, let port = UInt16(exactly: number), port > 0 else {
            throw .other(
                "port: expected a port from 1 to 65535, saw \(Excerpt.of(json.text.utf8))"
            )
        }
        return port
    }
}

/// `admin.compat-config`.
public struct CompatConfigServer: ControlDoor {
    public struct Configuration: Sendable {
        public var bind: Vocabulary.Address
        public var upstream: String
        /// Where there are any, whoever writes must show one of scope `admin`.
        public var grants: [Access.Grant] = []
        /// Names by which clients may ask for this address, beside those of every machine.
        public var hosts: [String] = []
        public var connections = CompatConfigServer.connectionsMax

        public init(bind: Vocabulary.Address, upstream: String) {
            self.bind = bind
            self.upstream = upstream
        }
    }

    private let configuration: Configuration
    private let plane: ControlPlane
    private let journal: Journal

    static let path = "/config"
    /// A script asks, and goes.
    public static let connectionsMax = 128

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
        var entrance = Entrance(configuration.bind, named: "config")
        entrance.setting = "admin.compat-config"
        entrance.rules = OriginRules(bind: configuration.bind, hosts: configuration.hosts)
        entrance.limits.connections = configuration.connections
        // Scripts of one machine, or behind one proxy, are all there are: what one may have, all may.
        entrance.limits.trustsNeighbours = true
        let server = self
        try await entrance.serve(
            until: end,
            journal: journal,
            onRunning: { await onRunning($0.isUnix ? "\($0)" : "http://\($0)\(Self.path)") },
            respond: { await server.response(to: $0) }
        )
    }

    // MARK: Answering

    func response(to request: FrontRequest) async -> Response {
        guard request.path == Self.path || request.path == Self.path + "/" else {
            return Self.line("expected \(Self.path), saw \(request.path)", .notFound)
        }
        switch request.method {
        case "GET": return await list()
        case "POST": return await take(Request(request))
        default: return Self.line("Only POST and GET requests are allowed!", .badRequest)
        }
    }

    /// Without a line break at its end, as the original.
    private static func line(_ text: String, _ status: Status = .ok) -> Response {
        .text(text, type: "text/plain", status)
    }

    private var peers: [PeerDefinition]? {
        get async {
            let name = configuration.upstream
            return await plane.operations.call { $0.upstream(name)?.view.peers.map(\.definition) }
        }
    }

    private func list() async -> Response {
        let addresses = (await peers ?? []).map { JSON.string("\($0.address)") }
        return .text(JSON.array(addresses).text, type: "application/json")
    }

    private func take(_ request: Request) async -> Response {
        let access = Access(grants: configuration.grants)
        if let problem = access.refusal(of: request[field: "authorization"], needing: .admin) {
            var response = Self.line(problem.detail, problem.status)
            response.fields += problem.fields
            return response
        }
        let order: CompatOrder
        do throws(CompatOrder.Problem) {
            order = try CompatOrder(request.body)
        } catch {
            // The original answers so; whoever reads statuses reads that it was heard.
            return Self.line(error.text, error == .action ? .ok : .badRequest)
        }
        guard let definer = plane.definer, let peers = await peers else {
            return Self.line(
                "no upstream is called '\(configuration.upstream)'",
                .serviceUnavailable
            )
        }
        let held = peers.first { $0.address == order.address }
        switch order.action {
        case .add:
            if held != nil { return Self.line(Self.isThere) }
            let body = JSON.object([.init("address", .string("\(order.address)"))])
            let response = await answer(
                to: .addPeer(upstream: configuration.upstream, body),
                by: Asker(request),
                definer
            )
            await lookFirst(at: "\(order.address)")
            return response
        case .del:
            guard let held else { return Self.line(Self.isNot) }
            let key = PeerKey(upstream: configuration.upstream, peer: held.id)
            return await answer(to: .removePeer(key), by: Asker(request), definer)
        }
    }

    /// A script's next line is a request to it, and a peer that nobody has looked at gets none.
    private func lookFirst(at peer: String) async {
        let whole = PeerKey(upstream: configuration.upstream, peer: peer)
        let monitors = await plane.operations.call { $0.peer(whole)?.monitors ?? [] }
        let scheduler = plane.scheduler
        await withTaskGroup(of: Void.self) { group in
            for monitor in monitors {
                let key = VerdictKey(upstream: monitor.upstream, peer: peer, monitor: monitor.id)
                group.addTask {
                    _ = await plane.run { await scheduler.value.ask(key, most: Self.lookPatience) }
                }
            }
        }
    }

    private static let lookPatience = Nanoseconds.milliseconds(500)
    private static let isThere = "Upstream already exist"
    private static let isNot = "Upstream not found"

    private func answer(
        to order: DefinitionOrder,
        by asker: Asker,
        _ definer: LoopBound<any Definer>
    ) async -> Response {
        switch await plane.define(order, by: asker, definer) {
        case .success(let definition):
            // Of two that add the same at once one was first.
            if definition.decision.outcome == .same { return Self.line(Self.isThere) }
            return Self.done(definition.reach)
        case .failure(.refused(let refusal)): return await Self.answer(to: refusal, plane)
        case .failure(.failed(let error)): return Self.answer(to: error)
        }
    }

    /// Done, and not yet where a restart would find it: that is no 200.
    static func done(_ reach: IntentReach) -> Response {
        UpstreamJSON.doubt(reach).map { line($0, .accepted) } ?? line("")
    }

    private static func answer(
        to refusal: DefinitionRefusal,
        _ plane: ControlPlane
    ) async -> Response {
        switch refusal {
        // Another peer has this address for its name, and leads elsewhere.
        case .conflict(let text): return line("\(isThere): \(text)", .conflict)
        case .nothing: return line(isNot)
        case .mistakes(let lines): return line(lines.joined(separator: "; "), .badRequest)
        case .inFile(let key):
            let place = await plane.place(key)
            return line(
                "Upstream is defined in the configuration file\(place.map { ", at \($0)" } ?? ""): take it "
                    + "away there and reload",
                .conflict
            )
        }
    }

    private static func answer(to error: OperationError) -> Response {
        switch error {
        case .noUpstream, .noPeer: line(isNot)
        case .mistake(let text), .unknown(let text): line(text, .serviceUnavailable)
        case .refused(let text): line("the store refused: \(text)", .serviceUnavailable)
        case .outdated: line("another change came first; ask once more", .serviceUnavailable)
        }
    }
}
