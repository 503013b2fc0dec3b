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
    /// The peers that were told of, by upstream.
    private var members: [String: Set<PeerKey>] = [:]
    /// Peers by the name they are reached at, for those that have one.
    private var named: [Address: Set<PeerKey>] = [:]
    /// The names of a host, one a port.
    private var hosts: [String: Set<Address>] = [:]
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
    /// What the workers know of a peer.
    func snapshot(of key: PeerKey) -> PeerSnapshot? { sentPeers[key]?.snapshot }
    var peerCount: Int { sentPeers.count }
    func number(of key: PeerKey) -> Int32? { sentPeers[key]?.number }
    func peers(at name: Address) -> Set<PeerKey> { named[name] ?? [] }
    /// `host` in small letters.
    func names(of host: String) -> Set<Address> { hosts[host] ?? [] }

    /// What could not be told, since the last time somebody asked.
    mutating func takeProblems() -> [String] {
        defer { problems = [] }
        return problems
    }

    // MARK: Upstreams

    /// Brings one upstream to what is given. Answers only what is different.
    mutating func bring(
        _ name: String,
        _ settings: UpstreamSettings,
        isPanic: Bool
    ) -> [RoutingChange] {
        guard let number = upstreamNumbers.take(name) else {
            problems.append(
                "upstream \(name) gets no requests: the proxy knows at most "
                    + "\(upstreamNumbers.limit) upstreams"
            )
            return []
        }
        let known = sentUpstreams[name]
        var changes: [RoutingChange] = []
        if known?.settings != settings { changes.append(.upstream(number, settings)) }
        if (known?.isPanic ?? false) != isPanic {
            changes.append(.panic(upstream: number, isPanic))
        }
        sentUpstreams[name] = SentUpstream(number: number, settings: settings, isPanic: isPanic)
        return changes
    }

    /// Takes an upstream that is defined no more away, and before it whoever is still told of as its peer:
    /// the number of an upstream that is gone goes to another, and no peer of the one may stand in the other.
    mutating func remove(_ name: String, workers: Int) -> [RoutingChange] {
        guard sentUpstreams.removeValue(forKey: name) != nil else { return [] }
        let peers = members[name] ?? []
        let gone = peers.compactMap { remove($0, workers: workers) }
        return gone
            + (upstreamNumbers.retire(name, workers: workers).map { [.upstreamGone($0)] } ?? [])
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

    /// Makes a peer of an upstream that was brought before, or brings it to what is given. Nil when
    /// the workers know.
    mutating func bring(
        _ key: PeerKey,
        _ address: Address,
        _ snapshot: PeerSnapshot
    ) -> RoutingChange? {
        if let sent = sentPeers[key] {
            if sent.address != address {
                rename(key, from: sent.address, to: address)
                sentPeers[key]?.address = address
            }
            return change(of: key, to: snapshot)
        }
        // Without a number for its upstream it has been told already.
        guard let upstream = upstreamNumbers[key.upstream] else { return nil }
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
        members[key.upstream, default: []].insert(key)
        rename(key, from: nil, to: address)
        return .peer(number, upstream: upstream, snapshot)
    }

    /// Takes a peer that is defined no more away.
    mutating func remove(_ key: PeerKey, workers: Int) -> RoutingChange? {
        if let sent = sentPeers.removeValue(forKey: key) {
            rename(key, from: sent.address, to: nil)
            members[key.upstream]?.remove(key)
            if members[key.upstream]?.isEmpty == true { members[key.upstream] = nil }
        }
        return peerNumbers.retire(key, workers: workers).map { .peerGone($0) }
    }

    private mutating func rename(_ key: PeerKey, from old: Address?, to new: Address?) {
        if let old, var keys = named[old] {
            keys.remove(key)
            named[old] = keys.isEmpty ? nil : keys
            if keys.isEmpty, case .host(let host, _) = old {
                let rest = hosts.removeValue(forKey: host.lowercased())?.subtracting([old]) ?? []
                if !rest.isEmpty { hosts[host.lowercased()] = rest }
            }
        }
        guard let new, SocketAddress(new) == nil else { return }
        named[new, default: []].insert(key)
        if case .host(let host, _) = new { hosts[host.lowercased(), default: []].insert(new) }
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
