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

public typealias CatalogueChange = DefinitionChange<MonitorDefinition>

/// Everything that is defined, by whom.
public struct Catalogue: Sendable {
    /// What one source says of one upstream. It may have peers for an upstream that another defines.
    private struct Entry: Sendable {
        var definition: UpstreamDefinition?
        var peers: [String: PeerDefinition] = [:]
        var monitors: [String: MonitorDefinition] = [:]
        /// Ids in the order in which a source wrote them. Of the whole, nobody asks for an order.
        var order: [String] = []
        var monitorOrder: [String] = []

        var isEmpty: Bool { definition == nil && peers.isEmpty && monitors.isEmpty }
    }

    private var sources: [CatalogueSource: [String: Entry]] = [:]
    /// What holds, of all sources together.
    private var merged: [String: Entry] = [:]

    public init() {}

    // MARK: Reading

    public var upstreamCount: Int { merged.values.count { $0.definition != nil } }
    public var peerCount: Int { merged.values.reduce(0) { $0 + $1.peers.count } }

    public func peer(_ key: PeerKey) -> PeerDefinition? { merged[key.upstream]?.peers[key.peer] }

    /// Who defines the peer that holds.
    public func source(of key: PeerKey) -> CatalogueSource? {
        sources.keys.sorted().last { sources[$0]?[key.upstream]?.peers[key.peer] != nil }
    }

    // MARK: Changing

    /// All that `source` wants from now on. What it does not mention any more is gone, unless
    /// another source has it.
    public mutating func set(
        _ source: CatalogueSource,
        _ wanted: [MonitoredUpstream]
    ) -> [CatalogueChange] {
        let old = sources[source] ?? [:]
        var new: [String: Entry] = [:]
        for upstream in wanted { new[upstream.definition.name] = Self.entry(of: upstream) }
        sources[source] = new
        var changes: [CatalogueChange] = []
        for upstream in wanted {
            let name = upstream.definition.name
            changes += bring(name, from: old[name] ?? Entry(), to: new[name] ?? Entry())
        }
        for (name, before) in old where new[name] == nil {
            changes += bring(name, from: before, to: Entry())
        }
        return changes
    }

    /// One peer of `source`: made, changed, or nil to take it away.
    public mutating func set(
        _ source: CatalogueSource,
        _ key: PeerKey,
        _ peer: PeerDefinition?
    ) -> [CatalogueChange] {
        alter(source, key.upstream) { entry in
            entry.peers[key.peer] = peer
            entry.order.removeAll { $0 == key.peer && peer == nil }
            if peer != nil, !entry.order.contains(key.peer) { entry.order.append(key.peer) }
        }
        return bring(peer: key)
    }

    /// One monitor of `source`: made, changed, or nil to take it away.
    public mutating func set(
        _ source: CatalogueSource,
        upstream: String,
        monitor id: String,
        _ monitor: MonitorDefinition?
    ) -> [CatalogueChange] {
        alter(source, upstream) { entry in
            entry.monitors[id] = monitor
            entry.monitorOrder.removeAll { $0 == id && monitor == nil }
            if monitor != nil, !entry.monitorOrder.contains(id) { entry.monitorOrder.append(id) }
        }
        return bring(monitor: id, of: upstream)
    }

    private mutating func alter(
        _ source: CatalogueSource,
        _ name: String,
        _ body: (inout Entry) -> Void
    ) {
        var entry = sources[source]?[name] ?? Entry()
        body(&entry)
        sources[source, default: [:]][name] = entry.isEmpty ? nil : entry
    }

    private static func entry(of upstream: MonitoredUpstream) -> Entry {
        var entry = Entry()
        entry.definition = upstream.definition
        entry.definition?.peers = []
        entry.order = upstream.definition.peers.map(\.id)
        entry.peers = Dictionary(
            upstream.definition.peers.map { ($0.id, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        entry.monitorOrder = upstream.monitors.map(\.id)
        entry.monitors = Dictionary(
            upstream.monitors.map { ($0.id, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        return entry
    }

    // MARK: Bringing the whole up to date

    /// What one source says of an upstream went from one thing to another. Looks only at what is
    /// different there.
    private mutating func bring(
        _ name: String,
        from old: Entry,
        to new: Entry
    ) -> [CatalogueChange] {
        var changes: [CatalogueChange] = []
        if old.definition != new.definition, new.definition != nil {
            changes += bring(upstream: name)
        }
        for id in new.monitorOrder {
            if let monitor = new.monitors[id], old.monitors[id]?.isLike(monitor) == true {
                continue
            }
            changes += bring(monitor: id, of: name)
        }
        for id in new.order where old.peers[id] != new.peers[id] {
            changes += bring(peer: PeerKey(upstream: name, peer: id))
        }
        for id in old.order where new.peers[id] == nil {
            changes += bring(peer: PeerKey(upstream: name, peer: id))
        }
        for id in old.monitorOrder where new.monitors[id] == nil {
            changes += bring(monitor: id, of: name)
        }
        if old.definition != nil, new.definition == nil { changes += bring(upstream: name) }
        return changes
    }

    private mutating func bring(upstream name: String) -> [CatalogueChange] {
        let wanted = best { $0[name]?.definition }
        let held = merged[name]?.definition
        if wanted == held { return [] }
        if let wanted {
            merged[name, default: Entry()].definition = wanted
            // What others had for an upstream that was not there waited for it.
            if held == nil { return [.upstream(wanted, was: nil)] + waiting(name) }
            return [.upstream(wanted, was: held)]
        }
        // Its last definition is gone, and with it all that others had for it.
        let entry = merged.removeValue(forKey: name) ?? Entry()
        return entry.peers.keys.map { .peerGone(PeerKey(upstream: name, peer: $0)) }
            + entry.monitors.keys.map { .monitorGone(upstream: name, id: $0) }
            + [.upstreamGone(name)]
    }

    private mutating func waiting(_ name: String) -> [CatalogueChange] {
        var changes: [CatalogueChange] = []
        for source in sources.keys.sorted() {
            guard let entry = sources[source]?[name], entry.definition == nil else { continue }
            for id in entry.monitorOrder { changes += bring(monitor: id, of: name) }
            for id in entry.order {
                changes += bring(peer: PeerKey(upstream: name, peer: id))
            }
        }
        return changes
    }

    private mutating func bring(peer key: PeerKey) -> [CatalogueChange] {
        guard merged[key.upstream]?.definition != nil else { return [] }
        let wanted = best { $0[key.upstream]?.peers[key.peer] }
        let held = merged[key.upstream]?.peers[key.peer]
        if wanted == held { return [] }
        merged[key.upstream]?.peers[key.peer] = wanted
        return [wanted.map { .peer(key, $0, was: held) } ?? .peerGone(key)]
    }

    private mutating func bring(monitor id: String, of name: String) -> [CatalogueChange] {
        guard merged[name]?.definition != nil else { return [] }
        let wanted = best { $0[name]?.monitors[id] }
        let held = merged[name]?.monitors[id]
        merged[name]?.monitors[id] = wanted
        switch (held, wanted) {
        case (nil, nil): return []
        case (_?, nil): return [.monitorGone(upstream: name, id: id)]
        case (let held?, let wanted?) where held.isLike(wanted): return []
        case (_, let wanted?): return [.monitor(upstream: name, wanted, was: held)]
        }
    }

    /// What the source that wins says.
    private func best<Value>(_ read: ([String: Entry]) -> Value?) -> Value? {
        var best: (source: CatalogueSource, value: Value)?
        for (source, content) in sources {
            guard best.map({ $0.source < source }) ?? true, let value = read(content) else {
                continue
            }
            best = (source, value)
        }
        return best?.value
    }
}
