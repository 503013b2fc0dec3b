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
        /// Of a member of a group.
        var standing = MemberStanding()
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
    /// The numbers of upstreams that are no groups.
    private var upstreamsOnly: [String: Int32] = [:]
    private var groups: [String: RouteGroup] = [:]
    /// The groups of each upstream, and of each peer of one, with its weight there.
    private var groupsOf: [String: Set<String>] = [:]
    private var groupsWith: [PeerKey: [String: Int]] = [:]
    private var tallies: [String: GroupTally] = [:]
    /// Members of groups among the peers that were told of.
    private var followerCount = 0

    /// The numbers that the tables in use were compiled with, and those tables.
    var compiledWith: [String: Int32] = [:]
    var orders: [ListenerOrder] = []
    var routeNumbers = RouteNumbers()

    init(upstreamsMax: Int = PeerPool.upstreamsMax, peersMax: Int = PeerPool.peersMax) {
        upstreamNumbers = Numbers(limit: upstreamsMax)
        peerNumbers = Numbers(limit: peersMax)
    }

    // MARK: Reading

    /// But for groups.
    var upstreams: [String: Int32] { upstreamsOnly }
    var names: [Address] { Array(named.keys) }
    /// Of an upstream or a group.
    func number(ofUpstream name: String) -> Int32? { upstreamNumbers[name] }

    /// Of a group, the upstream that it is a view of.
    func upstream(_ number: Int32) -> String? {
        guard number >= 0, let name = upstreamNumbers.name(of: number) else { return nil }
        return groups[name]?.upstream ?? name
    }
    /// Which host a group serves; nil of an upstream.
    func host(of number: Int32) -> String? {
        guard number >= 0, let name = upstreamNumbers.name(of: number), groups[name] != nil,
            let slash = name.firstIndex(of: "/")
        else { return nil }
        return String(name[name.index(after: slash)...])
    }
    /// Of a member of a group, the peer that it stands for.
    func peer(_ number: Int32) -> PeerKey? {
        guard let key = peerNumbers.name(of: number) else { return nil }
        guard let group = groups[key.upstream] else { return key }
        return PeerKey(upstream: group.upstream, peer: key.peer)
    }
    func address(of number: Int32) -> Address? {
        peerNumbers.name(of: number).flatMap { sentPeers[$0]?.address }
    }
    /// What the workers know of a peer.
    func snapshot(of key: PeerKey) -> PeerSnapshot? { sentPeers[key]?.snapshot }
    var peerCount: Int { sentPeers.count - followerCount }
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
        if groups[name] == nil { upstreamsOnly[name] = number }
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
        upstreamsOnly[name] = nil
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
            if groups[key.upstream] == nil {
                rename(key, from: sent.address, to: nil)
            } else {
                followerCount -= 1
                tallies[key.upstream]?.change(sent.standing, to: MemberStanding())
            }
            members[key.upstream]?.remove(key)
            if members[key.upstream]?.isEmpty == true { members[key.upstream] = nil }
        }
        return peerNumbers.retire(key, workers: workers).map { .peerGone($0) }
    }

    // MARK: Groups

    var groupCount: Int { groups.count }
    func group(_ name: String) -> RouteGroup? { groups[name] }
    func groups(of upstream: String) -> Set<String> { groupsOf[upstream] ?? [] }
    /// With the weight that it has in each.
    func groups(with key: PeerKey) -> [String: Int] { groupsWith[key] ?? [:] }
    /// Of the members that were told of.
    func tally(of group: String) -> GroupTally { tallies[group] ?? GroupTally() }
    func standing(of peer: String, in group: String) -> MemberStanding {
        sentPeers[PeerKey(upstream: group, peer: peer)]?.standing ?? MemberStanding()
    }

    /// The numbers of these upstreams and of all their groups.
    func numbers(of upstreams: some Sequence<String>) -> Set<Int32> {
        var numbers = Set<Int32>()
        for name in upstreams {
            for name in [name] + groups(of: name) {
                if let number = upstreamNumbers[name] { numbers.insert(number) }
            }
        }
        return numbers
    }

    /// The numbers of a peer and of the members that stand for it.
    func numbers(of key: PeerKey) -> [Int32] {
        let followers = groups(with: key).keys.map { PeerKey(upstream: $0, peer: key.peer) }
        return ([key] + followers).compactMap { sentPeers[$0]?.number }
    }

    /// Notes down what a group is; its upstream and members are brought after. False where there is no number
    /// for it.
    mutating func bring(_ group: RouteGroup) -> Bool {
        guard upstreamNumbers.take(group.name) != nil else {
            problems.append(
                "the group \(group.name) gets no requests: the proxy knows at most "
                    + "\(upstreamNumbers.limit) upstreams and groups"
            )
            return false
        }
        if let before = groups[group.name] { unlink(before) }
        groups[group.name] = group
        groupsOf[group.upstream, default: []].insert(group.name)
        for member in group.members {
            let key = PeerKey(upstream: group.upstream, peer: member.peer)
            groupsWith[key, default: [:]][group.name] = member.weight
        }
        return true
    }

    /// After its upstream and members were.
    mutating func removeGroup(_ name: String) {
        tallies[name] = nil
        if let group = groups.removeValue(forKey: name) { unlink(group) }
    }

    private mutating func unlink(_ group: RouteGroup) {
        groupsOf[group.upstream]?.remove(group.name)
        if groupsOf[group.upstream]?.isEmpty == true { groupsOf[group.upstream] = nil }
        for member in group.members {
            let key = PeerKey(upstream: group.upstream, peer: member.peer)
            groupsWith[key]?[group.name] = nil
            if groupsWith[key]?.isEmpty == true { groupsWith[key] = nil }
        }
    }

    /// Makes a member of a group that was brought before, or brings it to what is given. Nil when the workers
    /// know.
    mutating func bring(
        follower key: PeerKey,
        _ snapshot: PeerSnapshot,
        _ standing: MemberStanding
    ) -> RoutingChange? {
        if let sent = sentPeers[key] {
            tallies[key.upstream, default: GroupTally()].change(sent.standing, to: standing)
            sentPeers[key]?.standing = standing
            return change(of: key, to: snapshot)
        }
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
            // Where it is, is known by the peer that it stands for.
            address: .unix(path: ""),
            snapshot: snapshot,
            standing: standing
        )
        tallies[key.upstream, default: GroupTally()].change(MemberStanding(), to: standing)
        followerCount += 1
        members[key.upstream, default: []].insert(key)
        return .peer(number, upstream: upstream, snapshot)
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
