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
    /// What is written, by what it is of; also what counts no more.
    private var bodies: [LiveKey: LiveDefinition] = [:]
    private var sinces: [LiveKey: WallTime] = [:]
    /// The peers and monitors that are written by themselves, by upstream.
    private var single: [String: Set<LiveKey>] = [:]
    /// What makes no sense to this version, or to this file, and why.
    private(set) var problems: [LiveKey: String] = [:]
    private(set) var routes: [String: LiveRoute] = [:]
    private var reader = LiveReader()

    /// What the body of an upstream says, read.
    private struct Whole {
        var definition: UpstreamDefinition
        var peers: [String: (definition: PeerDefinition, body: JSON)] = [:]
        var monitors: [String: (definition: MonitorDefinition, body: JSON)] = [:]
    }
    private var wholes: [String: Whole] = [:]

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

    /// How many definitions make no sense here, and are left out.
    var ignored: Int { problems.count }

    // MARK: Hearing

    /// Takes in what holds now.
    mutating func hear(
        _ asking: Asking<LiveDefinition>,
        _ catalogue: inout Catalogue
    ) -> Heard {
        let key = asking.key
        bodies[key] = asking.wish
        sinces[key] = asking.wish == nil ? nil : asking.since
        switch key {
        case .peer, .monitor:
            if asking.wish == nil {
                single[key.group]?.remove(key)
                if single[key.group]?.isEmpty == true { single[key.group] = nil }
            } else {
                single[key.group, default: []].insert(key)
            }
        case .upstream, .route: break
        }
        return apply(key, &catalogue)
    }

    /// The file is another: what it says shines through where the API says nothing.
    mutating func read(again reader: LiveReader, _ catalogue: inout Catalogue) -> [CatalogueChange]
    {
        self.reader = reader
        var changes: [CatalogueChange] = []
        let names = Set(single.keys).union(
            bodies.keys.compactMap {
                if case .upstream(let name) = $0 { name } else { nil }
            }
        )
        for name in names.sorted() { changes += applyWhole(name, &catalogue).changes }
        return changes
    }

    private mutating func apply(_ key: LiveKey, _ catalogue: inout Catalogue) -> Heard {
        switch key {
        case .upstream(let name): return applyWhole(name, &catalogue)
        case .peer(let peer):
            let definition = self.peer(peer, catalogue)
            return Heard(
                changes: catalogue.set(.api, peer, definition),
                problem: problems[key]
            )
        case .monitor(let upstream, let id):
            let definition = monitor(id, in: upstream)
            return Heard(
                changes: catalogue.set(.api, upstream: upstream, monitor: id, definition),
                problem: problems[key]
            )
        case .route(let id):
            let before = routes[id]
            let reader = reader
            routes[id] = read(key) { body throws(ConfigurationError) in try reader.route(body) }
            return Heard(areRoutesNew: before != routes[id], problem: problems[key])
        }
    }

    /// An upstream with all that hangs on it, in one go: nobody sees it half.
    private mutating func applyWhole(_ name: String, _ catalogue: inout Catalogue) -> Heard {
        let key = LiveKey.upstream(name)
        let reader = reader
        let whole = read(key) { body throws(ConfigurationError) in
            let parts = try reader.parts(ofUpstream: name, body)
            return Whole(
                definition: parts.definition,
                peers: Dictionary(
                    parts.peers.map { ($0.definition.id, $0) },
                    uniquingKeysWith: { first, _ in first }
                ),
                monitors: Dictionary(
                    parts.monitors.map { ($0.definition.id, $0) },
                    uniquingKeysWith: { first, _ in first }
                )
            )
        }
        wholes[name] = whole
        let keys = single[name] ?? []
        var peers = Set(whole?.peers.keys.map { $0 } ?? [])
        var monitors = Set(whole?.monitors.keys.map { $0 } ?? [])
        for key in keys {
            switch key {
            case .peer(let key): peers.insert(key.peer)
            case .monitor(_, let id): monitors.insert(id)
            case .upstream, .route: break
            }
        }
        return Heard(
            changes: catalogue.set(
                .api,
                upstream: name,
                whole?.definition,
                peers: peers.sorted().compactMap {
                    peer(PeerKey(upstream: name, peer: $0), catalogue)
                },
                monitors: monitors.sorted().compactMap { monitor($0, in: name) }
            ),
            problem: problems[key]
        )
    }

    /// Nil where there is nothing to read, or it makes no sense.
    private mutating func read<Value>(
        _ key: LiveKey,
        _ body: (JSON) throws(ConfigurationError) -> Value
    ) -> Value? {
        problems[key] = nil
        guard let definition = bodies[key], !definition.isGone else { return nil }
        do throws(ConfigurationError) {
            return try body(definition.body)
        } catch {
            problems[key] = error.mistakes.first?.message ?? "\(error)"
            return nil
        }
    }

    private func generation(of upstream: String) -> Int64 {
        bodies[.upstream(upstream)]?.generation ?? 0
    }

    /// What is written of it by itself, where it still counts.
    private func counting(_ key: LiveKey) -> LiveDefinition? {
        guard let definition = bodies[key], definition.generation == generation(of: key.group)
        else { return nil }
        return definition
    }

    /// As the API has the peer; nil where it has none.
    private mutating func peer(_ peer: PeerKey, _ catalogue: Catalogue) -> PeerDefinition? {
        let key = LiveKey.peer(peer)
        let file = catalogue.peer(peer, of: .file)
        if counting(key) == nil {
            problems[key] = nil
            guard let held = wholes[peer.upstream]?.peers[peer.peer] else { return nil }
            guard file != nil else { return held.definition }
            return (try? reader.peer(held.body, over: file)) ?? held.definition
        }
        let reader = reader
        return read(key) { body throws(ConfigurationError) in
            let found = try reader.peer(body, over: file)
            if found.id != peer.peer { throw .otherName(found.id, than: peer.peer) }
            return found
        }
    }

    private mutating func monitor(_ id: String, in upstream: String) -> MonitorDefinition? {
        let key = LiveKey.monitor(upstream: upstream, id: id)
        if counting(key) == nil {
            problems[key] = nil
            return wholes[upstream]?.monitors[id]?.definition
        }
        let reader = reader
        return read(key) { body throws(ConfigurationError) in
            let found = try reader.monitor(body)
            if found.id != id { throw .otherName(found.id, than: id) }
            return found
        }
    }

    /// With the routes of the API in front: of two for one host and path the first holds. One whose upstream is
    /// not there holds all the same: its requests are answered with 503, and go to nobody else.
    func listeners(with file: [ListenerConfiguration]) -> [ListenerConfiguration] {
        if routes.isEmpty { return file }
        let live = routes.sorted { $0.key < $1.key }.map(\.value)
        return file.map { listener in
            guard case .http(let own) = listener.mode else { return listener }
            let more = live.filter { ($0.listener ?? listener.bind) == listener.bind }
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
        by asker: String,
        _ catalogue: Catalogue,
        _ listeners: [ListenerConfiguration],
        among upstreams: [String]
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        var decision =
            switch order {
            case .addPeer(let upstream, let body): try addPeer(upstream, body, catalogue)
            case .removePeer(let key): try removePeer(key, catalogue)
            case .addMonitor(let upstream, let body): try addMonitor(upstream, body, catalogue)
            case .removeMonitor(let upstream, let id): try removeMonitor(upstream, id, catalogue)
            case .putUpstream(let name, let body): try putUpstream(name, body, catalogue)
            case .removeUpstream(let name): try removeUpstream(name, catalogue)
            case .putRoute(let id, let body): try putRoute(id, body, upstreams, listeners)
            case .removeRoute(let id): try removeRoute(id)
            }
        guard let (key, definition) = decision.change else { return decision }
        if definition != nil, bodies[key] == nil, bodies.count >= Self.most {
            throw .conflict(
                "expected at most \(Self.most) definitions through the API, saw more: write some of them "
                    + "in the configuration file"
            )
        }
        let bytes = definition?.body.bytes.count ?? 0
        if bytes > LiveDefinition.bytesMax {
            var text =
                "body: expected at most \(LiveDefinition.bytesMax) bytes, saw \(bytes)"
            if case .upstream = key { text += ": POST some of its peers by themselves" }
            throw .mistakes([text])
        }
        // What is there already stays theirs who asked first.
        if decision.outcome != .same, let definition {
            decision.change = (
                key, LiveDefinition(definition.body, by: asker, generation: definition.generation)
            )
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

    /// Told to the store once more, where it is written: what it is worth may be more by now.
    private func same(_ key: LiveKey) -> DefinitionDecision {
        DefinitionDecision(.same, key, bodies[key].map { (key, $0) })
    }

    private func made(_ key: LiveKey, _ body: JSON) -> DefinitionDecision {
        let definition = LiveDefinition(body, generation: generation(of: key.group))
        return DefinitionDecision(.made, key, (key, definition))
    }

    // MARK: Peers and monitors

    private func addPeer(
        _ upstream: String,
        _ body: JSON,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let peer = try mistakes { () throws(ConfigurationError) in try reader.peer(body) }
        let key = PeerKey(upstream: upstream, peer: peer.id)
        if case .foreign(let source) = catalogue.source(of: upstream) {
            throw .conflict(
                "the peers of '\(upstream)' are those that the data of the source '\(source)' names, and its hosts are sent "
                    + "to no others: write '\(peer.id)' there"
            )
        }
        for id in catalogue.monitors(of: upstream) {
            guard let check = catalogue.monitor(id, in: upstream)?.check,
                let problem = check.problem(probing: peer.address)
            else { continue }
            throw .mistakes(["\(problem) (monitor '\(id)', peer '\(peer.id)')"])
        }
        if let held = catalogue.peer(key) {
            if held == peer { return same(.peer(key)) }
            let isInFile = catalogue.peer(key, of: .api) == nil
            throw .conflict(
                "'\(key)' is there already, and defined otherwise; "
                    + (isInFile
                        ? "the configuration file defines it: change it there and reload, or choose another id"
                        : "DELETE it first (muster peer remove), or choose another id")
            )
        }
        return made(.peer(key), body)
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
                "\(upstream) has a monitor '\(monitor.id)' already, and it is defined otherwise; give this "
                    + "one another 'id', or take that one away first"
            )
        }
        return made(key, body)
    }

    private func removePeer(
        _ peer: PeerKey,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        if case .foreign(let source) = catalogue.source(of: peer) {
            throw .conflict(
                "'\(peer)' is there because the data of the source '\(source)' names it: take it away there, or have no "
                    + "requests go to it (muster peer maint)"
            )
        }
        return try remove(
            .peer(peer),
            isInWhole: wholes[peer.upstream]?.peers[peer.peer] != nil,
            isInFile: catalogue.peer(peer, of: .file) != nil,
            "no peer '\(peer)' is defined"
        )
    }

    private func removeMonitor(
        _ upstream: String,
        _ id: String,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        try remove(
            .monitor(upstream: upstream, id: id),
            isInWhole: wholes[upstream]?.monitors[id] != nil,
            isInFile: catalogue.monitor(id, in: upstream, of: .file) != nil,
            "no monitor '\(id)' is defined in \(upstream)"
        )
    }

    private func remove(
        _ key: LiveKey,
        isInWhole: Bool,
        isInFile: Bool,
        _ nothing: String
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let held = counting(key)
        var decision: DefinitionDecision
        if isInWhole, held?.isGone != true {
            let gone = LiveDefinition(.null, generation: generation(of: key.group))
            decision = DefinitionDecision(.gone, key, (key, gone))
        } else if let held, !held.isGone {
            decision = DefinitionDecision(.gone, key, (key, nil))
        } else {
            throw isInFile ? .inFile(key) : .nothing(nothing)
        }
        decision.isInFile = isInFile
        return decision
    }

    // MARK: Upstreams

    /// Everything that the API says of an upstream is replaced; what the file says stays beneath.
    private func putUpstream(
        _ name: String,
        _ body: JSON,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        _ = try mistakes { () throws(ConfigurationError) in
            try reader.parts(ofUpstream: name, body)
        }
        let key = LiveKey.upstream(name)
        let single = single[name] ?? []
        if bodies[key]?.body == body, single.allSatisfy({ counting($0) == nil }) {
            return same(key)
        }
        let isThere = catalogue.source(of: name) != nil
        let definition = LiveDefinition(body, generation: generation(of: name) + 1)
        var decision = DefinitionDecision(isThere ? .changed : .made, key, (key, definition))
        decision.swept = single.sorted { $0.field < $1.field }
        decision.isInFile = catalogue.has(.file, upstream: name)
        return decision
    }

    private func removeUpstream(
        _ name: String,
        _ catalogue: Catalogue
    ) throws(DefinitionRefusal) -> DefinitionDecision {
        let key = LiveKey.upstream(name)
        let isInFile = catalogue.has(.file, upstream: name)
        let single = single[name] ?? []
        let isWhole = bodies[key].map { !$0.isGone } ?? false
        guard isWhole || single.contains(where: { counting($0).map { !$0.isGone } ?? false })
        else {
            throw isInFile ? .inFile(key) : .nothing("no upstream is called '\(name)'")
        }
        if !isInFile {
            let leading = routes.filter { $0.value.route.upstream == name }.keys.sorted()
            if let first = leading.first {
                throw .conflict(
                    "route '\(first)'\(leading.count > 1 ? " and \(leading.count - 1) more" : "") "
                        + "leads to '\(name)': take it away first (muster route remove \(first))"
                )
            }
        }
        let gone = LiveDefinition(.null, generation: generation(of: name) + 1)
        var decision = DefinitionDecision(.gone, key, (key, gone))
        decision.swept = single.sorted { $0.field < $1.field }
        decision.isInFile = isInFile
        return decision
    }

    // MARK: Routes

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
        return DefinitionDecision(
            bodies[key] == nil ? .made : .changed,
            key,
            (key, LiveDefinition(body))
        )
    }

    private func removeRoute(_ id: String) throws(DefinitionRefusal) -> DefinitionDecision {
        let key = LiveKey.route(id)
        if bodies[key] == nil { throw .nothing("no route '\(id)' is defined through the API") }
        return DefinitionDecision(.gone, key, (key, nil))
    }

    // MARK: Telling

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

    /// All that the API defines, each peer and monitor by itself.
    func all(_ catalogue: Catalogue) -> [DefinedThing] {
        var all: [DefinedThing] = []
        for (key, definition) in bodies where !definition.isGone {
            switch key {
            case .upstream(let name):
                all.append(thing(key, definition.body.withoutParts, definition, catalogue))
                guard let whole = wholes[name] else { continue }
                for (id, peer) in whole.peers {
                    let part = LiveKey.peer(PeerKey(upstream: name, peer: id))
                    if counting(part) != nil { continue }
                    all.append(thing(part, peer.body, definition, catalogue, from: key))
                }
                for (id, monitor) in whole.monitors {
                    let part = LiveKey.monitor(upstream: name, id: id)
                    if counting(part) != nil { continue }
                    all.append(thing(part, monitor.body, definition, catalogue, from: key))
                }
            case .peer, .monitor:
                if counting(key) == nil { continue }
                all.append(thing(key, definition.body, definition, catalogue))
            case .route: all.append(thing(key, definition.body, definition, catalogue))
            }
        }
        return all.sorted { $0.key.field < $1.key.field }
    }

    private func thing(
        _ key: LiveKey,
        _ body: JSON,
        _ definition: LiveDefinition,
        _ catalogue: Catalogue,
        from source: LiveKey? = nil
    ) -> DefinedThing {
        var problem = problems[key]
        var isLeftOut = problem != nil
        let isInFile: Bool
        switch key {
        case .upstream(let name): isInFile = catalogue.has(.file, upstream: name)
        case .peer(let peer): isInFile = catalogue.peer(peer, of: .file) != nil
        case .monitor(let upstream, let id):
            isInFile = catalogue.monitor(id, in: upstream, of: .file) != nil
        case .route(let id):
            isInFile = false
            if let name = routes[id]?.route.upstream, catalogue.source(of: name) == nil {
                problem = problem ?? Self.lost(name)
            }
        }
        if key.group != LiveKey.routes, catalogue.source(of: key.group) == nil {
            problem = problem ?? "no upstream is called '\(key.group)' here"
            isLeftOut = true
        }
        return DefinedThing(
            key: key,
            body: body,
            by: definition.by,
            since: sinces[source ?? key],
            isInFile: isInFile,
            problem: problem,
            isLeftOut: isLeftOut
        )
    }

    private static func lost(_ upstream: String) -> String {
        "no upstream is called '\(upstream)' here: its requests are answered 503"
    }

    /// Routes of the API that lead to an upstream that is not there, as `shop to web`.
    func lostRoutes(among upstreams: Set<String>) -> [String] {
        routes.filter { !upstreams.contains($0.value.route.upstream) }
            .map { "'\($0.key)' to '\($0.value.route.upstream)'" }.sorted()
    }

    /// Peers of an upstream that are new come in the order in which they were defined, whatever order a store tells them in:
    /// the one they have before a restart is the one after it. Among those of others they keep their places, behind
    /// their upstream: before it there is nothing that they could be of.
    func ordered(_ changes: [CatalogueChange]) -> [CatalogueChange] {
        typealias New = (since: WallTime, field: String, change: CatalogueChange)
        var found: [String: (places: [Int], peers: [New])] = [:]
        for (index, change) in changes.enumerated() {
            // What was told before its upstream is told again with it.
            if case .upstream(let upstream, was: nil) = change { found[upstream.name] = nil }
            guard case .peer(let key, _, was: nil) = change else { continue }
            let since = sinces[.peer(key)] ?? sinces[.upstream(key.upstream)]
            found[key.upstream, default: ([], [])].places.append(index)
            found[key.upstream]?.peers.append(
                (since ?? WallTime(milliseconds: 0), key.field, change)
            )
        }
        var ordered = changes
        for (places, peers) in found.values {
            let sorted = peers.sorted { ($0.since, $0.field) < ($1.since, $1.field) }
            for (place, peer) in zip(places, sorted) { ordered[place] = peer.change }
        }
        return ordered
    }

    private func problem(
        with live: LiveRoute,
        _ file: [ListenerConfiguration],
        _ upstreams: Set<String>
    ) -> String? {
        if !upstreams.contains(live.route.upstream) {
            return Self.lost(live.route.upstream)
        }
        if let bind = live.listener, !file.contains(where: { $0.bind == bind }) {
            return "no listener is bound to \(bind) here"
        }
        return nil
    }
}

extension JSON {
    /// Of an upstream's body, what holds of it as a whole.
    fileprivate var withoutParts: JSON {
        .object((members ?? []).filter { $0.key != "peers" && $0.key != "monitors" })
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
