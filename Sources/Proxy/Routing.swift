// What have the workers been told? The control plane's memory of it: whatever is the same is not said
// again, and what is different is one change. Pure.

import EventLoop
import Health
import Vocabulary

struct Routing {
    private struct SentUpstream {
        var number: Int32
        var settings: UpstreamSettings
        var isPanic: Bool
        var peers: Set<String> = []
    }

    private struct SentPeer {
        var number: Int32
        var upstream: Int32
        var address: Address
        var snapshot: PeerSnapshot
    }

    private var upstreamNumbers: Numbers<String>
    private var peerNumbers: Numbers<PeerKey>
    private var sentUpstreams: [String: SentUpstream] = [:]
    private var sentPeers: [PeerKey: SentPeer] = [:]
    /// Peers by the name they are reached at, for those that have one.
    private var named: [Address: Set<PeerKey>] = [:]
    private var problems: [String] = []

    /// The numbers that the tables in use were compiled with, and those tables.
    var compiledWith: [String: Int32] = [:]
    var orders: [ListenerOrder] = []

    init(upstreamsMax: Int = PeerPool.upstreamsMax, peersMax: Int = PeerPool.peersMax) {
        upstreamNumbers = Numbers(limit: upstreamsMax)
        peerNumbers = Numbers(limit: peersMax)
    }

    // MARK: Reading

    var upstreams: [String: Int32] { upstreamNumbers.all }
    var names: [Address] { Array(named.keys) }

    func upstream(_ number: Int32) -> String? {
        number < 0 ? nil : upstreamNumbers.name(of: number)
    }
    func peer(_ number: Int32) -> PeerKey? { peerNumbers.name(of: number) }
    func peers(at name: Address) -> Set<PeerKey> { named[name] ?? [] }

    /// What could not be told, since the last time somebody asked.
    mutating func takeProblems() -> [String] {
        defer { problems = [] }
        return problems
    }

    // MARK: Upstreams

    /// Brings one upstream and all its peers to what is given. Answers only what is different.
    mutating func bring(
        _ name: String,
        _ settings: UpstreamSettings,
        isPanic: Bool,
        peers: [(definition: PeerDefinition, snapshot: PeerSnapshot)],
        workers: Int
    ) -> [RoutingChange] {
        guard let number = upstreamNumbers.take(name) else {
            problems.append(
                "upstream \(name) gets no requests: the proxy knows at most "
                    + "\(upstreamNumbers.limit) upstreams"
            )
            return []
        }
        let known = sentUpstreams[name]
        var sent = SentUpstream(number: number, settings: settings, isPanic: isPanic)
        var changes: [RoutingChange] = []
        if known?.settings != settings { changes.append(.upstream(number, settings)) }
        if (known?.isPanic ?? false) != isPanic {
            changes.append(.panic(upstream: number, isPanic))
        }
        let wanted = Set(peers.lazy.map(\.definition.id))
        for gone in known?.peers.subtracting(wanted) ?? [] {
            let key = PeerKey(upstream: name, peer: gone)
            if let change = forget(key, workers: workers) { changes.append(change) }
        }
        sent.peers = wanted
        for (definition, snapshot) in peers {
            let key = PeerKey(upstream: name, peer: definition.id)
            if let change = bring(key, definition.address, snapshot, in: number) {
                changes.append(change)
            }
        }
        sentUpstreams[name] = sent
        return changes
    }

    /// Takes an upstream that is defined no more away, with its peers.
    mutating func remove(_ name: String, workers: Int) -> [RoutingChange] {
        guard let sent = sentUpstreams.removeValue(forKey: name) else { return [] }
        var changes = sent.peers.compactMap {
            forget(PeerKey(upstream: name, peer: $0), workers: workers)
        }
        if let number = upstreamNumbers.retire(name, workers: workers) {
            changes.append(.upstreamGone(number))
        }
        return changes
    }

    /// Nil when the workers know.
    mutating func change(of name: String, isPanic: Bool) -> RoutingChange? {
        guard let sent = sentUpstreams[name], sent.isPanic != isPanic else { return nil }
        sentUpstreams[name]?.isPanic = isPanic
        return .panic(upstream: sent.number, isPanic)
    }

    // MARK: Peers

    /// Nil when the workers know, or have not been told of such a peer yet.
    mutating func change(of key: PeerKey, to snapshot: PeerSnapshot) -> RoutingChange? {
        guard let sent = sentPeers[key], sent.snapshot != snapshot else { return nil }
        sentPeers[key]?.snapshot = snapshot
        return .peer(sent.number, upstream: sent.upstream, snapshot)
    }

    private mutating func bring(
        _ key: PeerKey,
        _ address: Address,
        _ snapshot: PeerSnapshot,
        in upstream: Int32
    ) -> RoutingChange? {
        if let sent = sentPeers[key] {
            if sent.address != address {
                rename(key, from: sent.address, to: address)
                sentPeers[key]?.address = address
            }
            return change(of: key, to: snapshot)
        }
        guard let number = peerNumbers.take(key) else {
            problems.append(
                "peer \(key.upstream)/\(key.peer) gets no requests: the proxy knows at most "
                    + "\(peerNumbers.limit) peers"
            )
            return nil
        }
        sentPeers[key] = SentPeer(
            number: number,
            upstream: upstream,
            address: address,
            snapshot: snapshot
        )
        rename(key, from: nil, to: address)
        return .peer(number, upstream: upstream, snapshot)
    }

    private mutating func forget(_ key: PeerKey, workers: Int) -> RoutingChange? {
        if let sent = sentPeers.removeValue(forKey: key) {
            rename(key, from: sent.address, to: nil)
        }
        return peerNumbers.retire(key, workers: workers).map { .peerGone($0) }
    }

    private mutating func rename(_ key: PeerKey, from old: Address?, to new: Address?) {
        if let old, var keys = named[old] {
            keys.remove(key)
            named[old] = keys.isEmpty ? nil : keys
        }
        if let new, SocketAddress(new) == nil { named[new, default: []].insert(key) }
    }

    // MARK: Numbers

    /// A worker uses a number no more.
    mutating func release(_ released: Released) {
        switch released {
        case .upstream(let number): upstreamNumbers.release(number)
        case .peer(let number): peerNumbers.release(number)
        }
    }
}
