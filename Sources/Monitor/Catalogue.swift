// What is there to watch and to route to, and what of it is different now? Whoever defines upstreams,
// the file, the API, the data of an older system, hands in what it wants; what comes out is what
// changed of the whole, one change for each thing that did. Pure.

public import Checks
public import Health

/// Who defines upstreams. Of two that define the same thing the later one here wins.
public enum CatalogueSource: Hashable, Comparable, Sendable {
    case file
    /// Data that another system keeps, by the name it has in the configuration.
    case foreign(String)
    case api
}

extension CatalogueSource: CustomStringConvertible {
    public var description: String {
        switch self {
        case .file: "file"
        case .foreign(let name): name
        case .api: "api"
        }
    }
}

public typealias CatalogueChange = DefinitionChange<MonitorDefinition>

/// Everything that is defined, by whom. What holds of it all is not kept beside it: it is what the last
/// source that mentions a thing says, looked up where somebody asks.
public struct Catalogue: Sendable {
    /// What one source says of one upstream. It may have peers for an upstream that another defines.
    private struct Entry: Sendable {
        /// Its peers are apart.
        var definition: UpstreamDefinition?
        var peers = PeerList()
        var monitors: [String: MonitorDefinition] = [:]
        var monitorOrder: [String] = []

        var isEmpty: Bool { definition == nil && peers.list.isEmpty && monitors.isEmpty }
    }

    private typealias Content = [String: Entry]
    private var sources: [CatalogueSource: Content] = [:]

    public init() {}

    // MARK: Reading

    public var upstreamCount: Int { names.count { definition(of: $0) != nil } }
    public var peerCount: Int {
        names.reduce(0) { sum, name in
            definition(of: name) == nil ? sum : sum + ids(of: name) { $0.peers.ids }.count
        }
    }

    public func peer(_ key: PeerKey) -> PeerDefinition? {
        definition(of: key.upstream) == nil ? nil : best { $0[key.upstream]?.peers[key.peer] }
    }

    /// Who defines the peer that holds.
    public func source(of key: PeerKey) -> CatalogueSource? {
        sources.keys.sorted().last { sources[$0]?[key.upstream]?.peers[key.peer] != nil }
    }

    /// Who defines the upstream that holds.
    public func source(of upstream: String) -> CatalogueSource? {
        sources.keys.sorted().last { sources[$0]?[upstream]?.definition != nil }
    }

    /// Of an upstream's peers those that another source than the file defines as they are.
    public func otherSources(of upstream: String) -> [String: CatalogueSource] {
        var found: [String: CatalogueSource] = [:]
        for source in sources.keys.sorted() where source != .file {
            for id in sources[source]?[upstream]?.peers.ids ?? [] { found[id] = source }
        }
        return found
    }

    /// Whether `source` says anything of it.
    public func has(_ source: CatalogueSource, upstream name: String) -> Bool {
        sources[source]?[name]?.definition != nil
    }

    public func monitor(_ id: String, in upstream: String) -> MonitorDefinition? {
        definition(of: upstream) == nil ? nil : best { $0[upstream]?.monitors[id] }
    }

    /// As `source` itself has it.
    public func peer(_ key: PeerKey, of source: CatalogueSource) -> PeerDefinition? {
        sources[source]?[key.upstream]?.peers[key.peer]
    }

    public func monitor(
        _ id: String,
        in upstream: String,
        of source: CatalogueSource
    ) -> MonitorDefinition? {
        sources[source]?[upstream]?.monitors[id]
    }

    /// The ids of all peers of an upstream, in no order.
    public func peers(of upstream: String) -> Set<String> { ids(of: upstream) { $0.peers.ids } }

    public func monitors(of upstream: String) -> [String] {
        ids(of: upstream) { $0.monitorOrder }.sorted()
    }

    private var names: Set<String> { Set(sources.values.flatMap(\.keys)) }

    private func definition(of name: String) -> UpstreamDefinition? {
        best { $0[name]?.definition }
    }

    private func ids(of name: String, _ read: (Entry) -> [String]) -> Set<String> {
        Set(sources.values.flatMap { $0[name].map(read) ?? [] })
    }

    /// What the source that wins says.
    private func best<Value>(_ read: (Content) -> Value?) -> Value? {
        best(nil, nil, read)
    }

    /// The same where `source` says something else than it does now.
    private func best<Value>(
        _ source: CatalogueSource?,
        _ content: Content?,
        _ read: (Content) -> Value?
    ) -> Value? {
        var best: (source: CatalogueSource, value: Value)?
        for (each, now) in sources {
            guard best.map({ $0.source < each }) ?? true,
                let value = read(each == source ? content ?? [:] : now)
            else { continue }
            best = (each, value)
        }
        return best?.value
    }

    // MARK: Changing

    /// All that `source` wants from now on. What it does not mention any more is gone, unless
    /// another source has it.
    public mutating func set(
        _ source: CatalogueSource,
        _ wanted: [MonitoredUpstream]
    ) -> [CatalogueChange] {
        let old = sources[source] ?? [:]
        var new: Content = [:]
        for upstream in wanted { new[upstream.definition.name] = Self.entry(of: upstream) }
        sources[source] = new
        var changes: [CatalogueChange] = []
        for upstream in wanted {
            changes += difference(of: upstream.definition.name, source, from: old, to: new)
        }
        for name in old.keys where new[name] == nil {
            changes += difference(of: name, source, from: old, to: new)
        }
        return changes
    }

    /// All that `source` says of one upstream; it may have peers for one that another defines. What it does
    /// not mention any more is gone.
    public mutating func set(
        _ source: CatalogueSource,
        upstream name: String,
        _ definition: UpstreamDefinition?,
        peers: [PeerDefinition],
        monitors: [MonitorDefinition]
    ) -> [CatalogueChange] {
        var entry = Entry()
        entry.definition = definition
        entry.definition?.peers = []
        entry.peers = PeerList(peers)
        entry.monitorOrder = monitors.map(\.id)
        entry.monitors = Dictionary(
            monitors.map { ($0.id, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        let old = sources[source]?[name].map { [name: $0] } ?? [:]
        sources[source, default: [:]][name] = entry
        sweep(source, name)
        let new = sources[source]?[name].map { [name: $0] } ?? [:]
        return difference(of: name, source, from: old, to: new)
    }

    /// One peer of `source`: made, changed, or nil to take it away.
    public mutating func set(
        _ source: CatalogueSource,
        _ key: PeerKey,
        _ peer: PeerDefinition?
    ) -> [CatalogueChange] {
        let before = self.peer(key)
        sources[source, default: [:]][key.upstream, default: Entry()].peers.set(peer, for: key.peer)
        sweep(source, key.upstream)
        return Self.change(of: key, from: before, to: self.peer(key))
    }

    /// One monitor of `source`: made, changed, or nil to take it away.
    public mutating func set(
        _ source: CatalogueSource,
        upstream: String,
        monitor id: String,
        _ monitor: MonitorDefinition?
    ) -> [CatalogueChange] {
        let before = best { $0[upstream]?.monitors[id] }
        var entry = sources[source]?[upstream] ?? Entry()
        entry.monitors[id] = monitor
        entry.monitorOrder.removeAll { $0 == id && monitor == nil }
        if monitor != nil, !entry.monitorOrder.contains(id) { entry.monitorOrder.append(id) }
        sources[source, default: [:]][upstream] = entry
        sweep(source, upstream)
        if definition(of: upstream) == nil { return [] }
        let after = best { $0[upstream]?.monitors[id] }
        return Self.change(of: id, in: upstream, from: before, to: after)
    }

    private mutating func sweep(_ source: CatalogueSource, _ name: String) {
        if sources[source]?[name]?.isEmpty == true { sources[source]?[name] = nil }
    }

    private static func entry(of upstream: MonitoredUpstream) -> Entry {
        var entry = Entry()
        entry.definition = upstream.definition
        entry.definition?.peers = []
        entry.peers = PeerList(upstream.definition.peers)
        entry.monitorOrder = upstream.monitors.map(\.id)
        entry.monitors = Dictionary(
            upstream.monitors.map { ($0.id, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        return entry
    }

    // MARK: What is different

    /// Of one upstream, where `source` said `old` and says `new`. Looks only at what is different there.
    private func difference(
        of name: String,
        _ source: CatalogueSource,
        from old: Content,
        to new: Content
    ) -> [CatalogueChange] {
        let was = best(source, old) { $0[name]?.definition }
        guard let now = best({ $0[name]?.definition }) else {
            return was == nil ? [] : end(of: name, old[name])
        }
        guard let was else { return beginning(of: name, now) }
        var changes: [CatalogueChange] = was == now ? [] : [.upstream(now, was: was)]
        let (before, after) = (old[name] ?? Entry(), new[name] ?? Entry())
        for id in after.monitorOrder {
            let monitor = after.monitors[id]
            if let monitor, before.monitors[id]?.isLike(monitor) == true { continue }
            changes += monitorChange(name, id, source, old)
        }
        for peer in after.peers.list where before.peers[peer.id] != peer {
            changes += peerChange(name, peer.id, source, old)
        }
        for peer in before.peers.list where after.peers[peer.id] == nil {
            changes += peerChange(name, peer.id, source, old)
        }
        for id in before.monitorOrder where after.monitors[id] == nil {
            changes += monitorChange(name, id, source, old)
        }
        return changes
    }

    private func monitorChange(
        _ name: String,
        _ id: String,
        _ source: CatalogueSource,
        _ old: Content
    ) -> [CatalogueChange] {
        let held = best(source, old) { $0[name]?.monitors[id] }
        let wanted = best { $0[name]?.monitors[id] }
        return Self.change(of: id, in: name, from: held, to: wanted)
    }

    private func peerChange(
        _ name: String,
        _ id: String,
        _ source: CatalogueSource,
        _ old: Content
    ) -> [CatalogueChange] {
        let held = best(source, old) { $0[name]?.peers[id] }
        let wanted = best { $0[name]?.peers[id] }
        return Self.change(of: PeerKey(upstream: name, peer: id), from: held, to: wanted)
    }

    /// It is there now, and with it what others had for it and waited.
    private func beginning(of name: String, _ definition: UpstreamDefinition) -> [CatalogueChange] {
        var changes: [CatalogueChange] = [.upstream(definition, was: nil)]
        var told = Set<String>()
        let entries = sources.keys.sorted().compactMap { sources[$0]?[name] }
        for id in entries.flatMap(\.monitorOrder) where told.insert(id).inserted {
            let wanted = best { $0[name]?.monitors[id] }
            changes += Self.change(of: id, in: name, from: nil, to: wanted)
        }
        told = []
        for entry in entries {
            for peer in entry.peers.list where entries.count == 1 || told.insert(peer.id).inserted {
                let wanted = best { $0[name]?.peers[peer.id] }
                changes += Self.change(
                    of: PeerKey(upstream: name, peer: peer.id),
                    from: nil,
                    to: wanted
                )
            }
        }
        return changes
    }

    /// Its last definition is gone, and with it all that others have for it.
    private func end(of name: String, _ gone: Entry?) -> [CatalogueChange] {
        let peers = ids(of: name) { $0.peers.ids }.union(gone?.peers.ids ?? [])
        let monitors = ids(of: name) { $0.monitorOrder }.union(gone?.monitorOrder ?? [])
        return peers.sorted().map { .peerGone(PeerKey(upstream: name, peer: $0)) }
            + monitors.sorted().map { .monitorGone(upstream: name, id: $0) }
            + [.upstreamGone(name)]
    }

    private static func change(
        of key: PeerKey,
        from held: PeerDefinition?,
        to wanted: PeerDefinition?
    ) -> [CatalogueChange] {
        if held == wanted { return [] }
        return [wanted.map { .peer(key, $0, was: held) } ?? .peerGone(key)]
    }

    private static func change(
        of id: String,
        in name: String,
        from held: MonitorDefinition?,
        to wanted: MonitorDefinition?
    ) -> [CatalogueChange] {
        switch (held, wanted) {
        case (nil, nil): []
        case (_?, nil): [.monitorGone(upstream: name, id: id)]
        case (let held?, let wanted?) where held.isLike(wanted): []
        case (_, let wanted?): [.monitor(upstream: name, wanted, was: held)]
        }
    }
}

/// Peers of one source, found by id. The list as it was handed in is kept, which costs nothing while
/// whoever handed it in keeps it too.
private struct PeerList: Sendable {
    private(set) var list: [PeerDefinition] = []
    private var places: [String: Int32] = [:]

    init(_ list: [PeerDefinition] = []) {
        self.list = list
        places.reserveCapacity(list.count)
        // Of two with one id the first holds.
        for (place, peer) in list.enumerated() where places[peer.id] == nil {
            places[peer.id] = Int32(place)
        }
    }

    var ids: [String] { list.map(\.id) }

    subscript(_ id: String) -> PeerDefinition? { places[id].map { list[Int($0)] } }

    /// Whatever takes the place of one that leaves is the last: nobody asks for an order.
    mutating func set(_ peer: PeerDefinition?, for id: String) {
        guard let place = places[id].map(Int.init) else {
            guard let peer else { return }
            places[id] = Int32(list.count)
            list.append(peer)
            return
        }
        if let peer {
            list[place] = peer
            return
        }
        places[id] = nil
        let last = list.removeLast()
        if place == list.count { return }
        list[place] = last
        places[last.id] = Int32(place)
    }
}
