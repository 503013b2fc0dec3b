// What does the API define, beside what the file does? It is heard from the store, whoever asked for it and
// wherever; each thing is one change of the catalogue. And what may be asked for is decided here, by what is
// defined now. Pure, but for what it is told.

import Checks
import Health
import Monitor
import Proxy
import Settings
import Store
import Vocabulary

struct LiveDefinitions {
    /// What holds, by what it is of.
    private(set) var bodies: [LiveKey: LiveDefinition] = [:]
    private var sinces: [LiveKey: WallTime] = [:]
    /// What makes no sense to this version, or to this file, and why.
    private(set) var problems: [LiveKey: String] = [:]
    private(set) var routes: [String: LiveRoute] = [:]
    private var reader = LiveReader()

    /// A fleet that defines more by hand keeps it in files.
    static let most = 100_000

    init(_ reader: LiveReader) { self.reader = reader }

    /// Of one thing.
    struct Heard {
        var changes: [CatalogueChange] = []
        var areRoutesNew = false
        /// Why it is left out.
        var problem: String?
    }

    /// Upstreams that the API has made, or says something of.
    var upstreams: [String] {
        bodies.keys.compactMap { if case .upstream(let name) = $0 { name } else { nil } }
    }

    // MARK: Hearing

    /// Takes in what holds now.
    mutating func hear(
        _ asking: Asking<LiveDefinition>,
        _ catalogue: inout Catalogue
    ) -> Heard {
        bodies[asking.key] = asking.wish
        sinces[asking.key] = asking.wish == nil ? nil : asking.since
        return apply(asking.key, &catalogue)
    }

    /// The file is another: what it says shines through where the API says nothing.
    mutating func read(again reader: LiveReader, _ catalogue: inout Catalogue) -> [CatalogueChange]
    {
        self.reader = reader
        return bodies.keys.sorted { $0.field < $1.field }.flatMap { apply($0, &catalogue).changes }
    }

    private mutating func apply(_ key: LiveKey, _ catalogue: inout Catalogue) -> Heard {
        var heard = Heard()
        problems[key] = nil
        let body = bodies[key]?.body
        do throws(ConfigurationError) {
            switch key {
            case .upstream(let name):
                let definition = try body.map { body throws(ConfigurationError) in
                    try reader.upstream(name, body)
                }
                heard.changes = catalogue.set(.api, upstream: name, definition)
            case .peer(let key):
                let definition = try body.map { body throws(ConfigurationError) in
                    try reader.peer(body, over: catalogue.peer(key, of: .file))
                }
                heard.changes = catalogue.set(.api, key, definition)
            case .monitor(let upstream, let id):
                let definition = try body.map { body throws(ConfigurationError) in
                    try reader.monitor(body)
                }
                heard.changes = catalogue.set(.api, upstream: upstream, monitor: id, definition)
            case .route(let id):
                let route = try body.map { body throws(ConfigurationError) in
                    try reader.route(body)
                }
                heard.areRoutesNew = routes[id] != route
                routes[id] = route
            }
        } catch {
            let problem = error.mistakes.first?.message ?? "\(error)"
            problems[key] = problem
            heard = withdraw(key, &catalogue)
            heard.problem = problem
        }
        return heard
    }

    private mutating func withdraw(_ key: LiveKey, _ catalogue: inout Catalogue) -> Heard {
        var heard = Heard()
        switch key {
        case .upstream(let name): heard.changes = catalogue.set(.api, upstream: name, nil)
        case .peer(let key): heard.changes = catalogue.set(.api, key, nil)
        case .monitor(let upstream, let id):
            heard.changes = catalogue.set(.api, upstream: upstream, monitor: id, nil)
        case .route(let id): heard.areRoutesNew = routes.removeValue(forKey: id) != nil
        }
        return heard
    }

    /// With the routes of the API in front: of two for one host and path the first holds.
    func listeners(
        with file: [ListenerConfiguration],
        among upstreams: Set<String>
    ) -> [ListenerConfiguration] {
        if routes.isEmpty { return file }
        let live = routes.sorted { $0.key < $1.key }.map(\.value)
        return file.map { listener in
            guard case .http(let own) = listener.mode else { return listener }
            let more = live.filter {
                ($0.listener ?? listener.bind) == listener.bind
                    && upstreams.contains($0.route.upstream)
            }
            return ListenerConfiguration(
                bind: listener.bind,
                mode: .http(routes: more.map(\.route) + own)
            )
        }
    }

    // MARK: Deciding

    /// What an order comes to, by what is defined now.
    func decide(
        _ order: DefinitionOrder,
        _ catalogue: Catalogue,
        _ listeners: [ListenerConfiguration],
        among upstreams: [String]
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let decision =
            switch order {
            case .addPeer(let upstream, let body): try addPeer(upstream, body, catalogue)
            case .removePeer(let key): try remove(.peer(key), "peer '\(key)'", catalogue)
            case .addMonitor(let upstream, let body): try addMonitor(upstream, body, catalogue)
            case .removeMonitor(let upstream, let id):
                try remove(.monitor(upstream: upstream, id: id), "monitor '\(id)'", catalogue)
            case .putUpstream(let name, let body): try putUpstream(name, body, catalogue)
            case .removeUpstream(let name): try removeUpstream(name, catalogue, listeners)
            case .putRoute(let id, let body): try putRoute(id, body, upstreams, listeners)
            case .removeRoute(let id): try remove(.route(id), "route '\(id)'", catalogue)
            }
        let new = decision.changes.count { $0.body != nil && bodies[$0.key] == nil }
        if bodies.count + new > Self.most {
            throw .conflict(
                "expected at most \(Self.most) definitions through the API, saw more: write some of them "
                    + "in the configuration file"
            )
        }
        for (key, body) in decision.changes {
            guard let bytes = body?.bytes.count, bytes > LiveDefinition.bytesMax else { continue }
            throw .mistakes([
                "body: expected at most \(LiveDefinition.bytesMax) bytes for \(key.field), saw \(bytes)"
            ])
        }
        return decision
    }

    private func mistakes<Value>(
        _ read: () throws(ConfigurationError) -> Value
    ) throws(DefinitionRefusal) -> Value {
        do throws(ConfigurationError) {
            return try read()
        } catch {
            throw .mistakes(error.mistakes.map(\.description))
        }
    }

    private func addPeer(
        _ upstream: String,
        _ body: JSON,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let peer = try mistakes { () throws(ConfigurationError) in try reader.peer(body) }
        let key = PeerKey(upstream: upstream, peer: peer.id)
        for id in catalogue.monitors(of: upstream) {
            guard let check = catalogue.monitor(id, in: upstream)?.check,
                let problem = check.problem(probing: peer.address)
            else { continue }
            throw .mistakes(["\(problem) (monitor '\(id)', peer '\(peer.id)')"])
        }
        if let held = catalogue.peer(key) {
            if held == peer { return same(.peer(key)) }
            throw .conflict(
                "'\(key)' is there already, and defined otherwise; DELETE it first, or choose another id"
            )
        }
        return DefinitionDecision(.made, .peer(key), [(.peer(key), body)])
    }

    private func addMonitor(
        _ upstream: String,
        _ body: JSON,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let monitor = try mistakes { () throws(ConfigurationError) in try reader.monitor(body) }
        let key = LiveKey.monitor(upstream: upstream, id: monitor.id)
        for id in catalogue.peers(of: upstream) {
            guard let peer = catalogue.peer(PeerKey(upstream: upstream, peer: id)),
                let problem = monitor.check.problem(probing: peer.address)
            else { continue }
            throw .mistakes(["\(problem) (monitor '\(monitor.id)', peer '\(id)')"])
        }
        if let held = catalogue.monitor(monitor.id, in: upstream) {
            if held.isLike(monitor) { return same(key) }
            throw .conflict(
                "\(upstream) has a monitor '\(monitor.id)' already, and it is defined otherwise; DELETE it "
                    + "first, or give this one another 'id'"
            )
        }
        return DefinitionDecision(.made, key, [(key, body)])
    }

    /// Everything that the API says of an upstream is replaced; what the file says stays beneath.
    private func putUpstream(
        _ name: String,
        _ body: JSON,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let parts = try mistakes { () throws(ConfigurationError) in
            try reader.parts(ofUpstream: name, body)
        }
        var wanted: [(key: LiveKey, body: JSON)] = [(.upstream(name), parts.settings)]
        wanted += parts.monitors.map { (.monitor(upstream: name, id: $0.definition.id), $0.body) }
        wanted += parts.peers.map {
            (.peer(PeerKey(upstream: name, peer: $0.definition.id)), $0.body)
        }
        let keys = Set(wanted.map(\.key))
        var changes: [(key: LiveKey, body: JSON?)] = owned(by: name)
            .filter { !keys.contains($0) }.map { ($0, nil) }
        for (key, body) in wanted where bodies[key]?.body != body { changes.append((key, body)) }
        if changes.isEmpty { return same(.upstream(name)) }
        let isThere = catalogue.source(of: name) != nil
        return DefinitionDecision(isThere ? .changed : .made, .upstream(name), changes)
    }

    /// Told to the store once more, where the API has it: what it is worth may be more by now.
    private func same(_ key: LiveKey) -> DefinitionDecision {
        var decision = DefinitionDecision(.same, key)
        guard let held = bodies[key] else { return decision }
        decision.changes = [(key, held.body)]
        decision.by = held.by
        return decision
    }

    /// What the API says of an upstream: first what others hang on.
    private func owned(by upstream: String) -> [LiveKey] {
        bodies.keys.filter { $0.owner == upstream && $0 != .upstream(upstream) }
            .sorted { $0.field < $1.field }
    }

    private func removeUpstream(
        _ name: String,
        _ catalogue: Catalogue,
        _ listeners: [ListenerConfiguration]
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let key = LiveKey.upstream(name)
        guard bodies[key] != nil else {
            throw catalogue.source(of: name) == nil
                ? .nothing("no upstream is called '\(name)'") : .inFile(key)
        }
        if !catalogue.has(.file, upstream: name) {
            let leading = routes.filter { $0.value.route.upstream == name }.keys.sorted()
            if let first = leading.first {
                throw .conflict(
                    "route '\(first)'\(leading.count > 1 ? " and \(leading.count - 1) more" : "") "
                        + "leads to '\(name)': DELETE /v1/routes/\(first) first"
                )
            }
        }
        let changes = (owned(by: name) + [key]).map { (key: $0, body: JSON?.none) }
        return DefinitionDecision(.gone, key, changes)
    }

    private func putRoute(
        _ id: String,
        _ body: JSON,
        _ upstreams: [String],
        _ listeners: [ListenerConfiguration]
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        if let problem = Name.problem(in: id) { throw .mistakes(["the route's name: \(problem)"]) }
        let route = try mistakes { () throws(ConfigurationError) in try reader.route(body) }
        do throws(ConfigurationError) {
            _ = try reader.route(body, among: upstreams)
        } catch {
            // The words are right, and may be taken once the upstream is there.
            throw .conflict(error.mistakes.map(\.description).joined(separator: "\n"))
        }
        let key = LiveKey.route(id)
        if let bind = route.listener {
            guard let listener = listeners.first(where: { $0.bind == bind }) else {
                let known = listeners.map { "\($0.bind)" }
                throw .mistakes([
                    "body: route.listener: expected one of the listeners of the configuration file"
                        + "\(known.isEmpty ? ", which has none" : ", \(known.joined(separator: ", "))"), "
                        + "saw '\(bind)'"
                ])
            }
            if case .tcp = listener.mode {
                throw .mistakes([
                    "body: route.listener: expected a listener in mode http, saw '\(bind)' in mode tcp"
                ])
            }
        }
        if let twin = routes.first(where: {
            $0.key != id && $0.value.listener == route.listener
                && $0.value.route.host == route.route.host
                && $0.value.route.path == route.route.path
        }) {
            throw .conflict(
                "route '\(twin.key)' has host '\(route.route.host)' and path '\(route.route.path)' already"
            )
        }
        if bodies[key]?.body == body { return same(key) }
        return DefinitionDecision(bodies[key] == nil ? .made : .changed, key, [(key, body)])
    }

    private func remove(
        _ key: LiveKey,
        _ what: String,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        if bodies[key] != nil { return DefinitionDecision(.gone, key, [(key, nil)]) }
        let isInFile =
            switch key {
            case .peer(let key): catalogue.peer(key) != nil
            case .monitor(let upstream, let id): catalogue.monitor(id, in: upstream) != nil
            case .upstream, .route: false
            }
        throw isInFile ? .inFile(key) : .nothing("no \(what) is defined")
    }

    /// All routes, those of the API first.
    func defined(
        with file: [ListenerConfiguration],
        among upstreams: Set<String>
    ) -> [DefinedRoute] {
        var all = routes.sorted { $0.key < $1.key }.map { id, live in
            DefinedRoute(
                id: id,
                listener: live.listener.map { "\($0)" },
                host: live.route.host,
                path: live.route.path,
                stripPrefix: live.route.stripPrefix,
                upstream: live.route.upstream,
                problem: problem(with: live, file, upstreams)
            )
        }
        for listener in file {
            guard case .http(let routes) = listener.mode else { continue }
            all += routes.map { route in
                DefinedRoute(
                    id: nil,
                    listener: "\(listener.bind)",
                    host: route.host,
                    path: route.path,
                    stripPrefix: route.stripPrefix,
                    upstream: route.upstream
                )
            }
        }
        return all
    }

    /// All that the API defines.
    func all(_ catalogue: Catalogue) -> [DefinedThing] {
        bodies.map { key, definition in
            let isInFile =
                switch key {
                case .upstream(let name): catalogue.has(.file, upstream: name)
                case .peer(let key): catalogue.peer(key, of: .file) != nil
                case .monitor(let upstream, let id):
                    catalogue.monitor(id, in: upstream, of: .file) != nil
                case .route: false
                }
            return DefinedThing(
                key: key,
                definition: definition,
                since: sinces[key],
                isInFile: isInFile,
                problem: problems[key]
            )
        }.sorted { $0.key.field < $1.key.field }
    }

    private func problem(
        with live: LiveRoute,
        _ file: [ListenerConfiguration],
        _ upstreams: Set<String>
    ) -> String? {
        if !upstreams.contains(live.route.upstream) {
            return "no upstream is called '\(live.route.upstream)' here"
        }
        if let bind = live.listener, !file.contains(where: { $0.bind == bind }) {
            return "no listener is bound to \(bind) here"
        }
        return nil
    }
}

extension DefinitionPlace {
    /// Of what the API calls `key`.
    static func find(_ path: String, _ key: LiveKey) -> Position? {
        switch key {
        case .upstream(let name): find(path, upstream: name)
        case .peer(let key): find(path, upstream: key.upstream, peer: key.peer)
        case .monitor(let upstream, let id): find(path, upstream: upstream, monitor: id)
        case .route: nil
        }
    }
}
