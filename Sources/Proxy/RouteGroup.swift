// Which peers of an upstream serve one host among very many? Data of older systems has a list of peers for
// each host, and the same few peers stand in most of them. An upstream of their own for each would watch
// every peer as often as it is named; a group is a view of an upstream: some of its peers, with weights.
// Workers know a group as they know an upstream; what is found of its members is its upstream's.

import EventLoop
import Health
import Vocabulary

/// How a group's requests and answers differ from those of an upstream in a file.
public struct GroupManners: Hashable, Sendable {
    /// The answer where no member may be asked.
    public var nobodyStatus: UInt16 = 503
    /// Tells the peer more of where a request came from: `X-Real-IP`, `X-Forwarded-Protocol` and
    /// `X-Forwarded-Port`.
    public var tellsMore = false
    /// A 500 is the application's affair, and a 503 that says when to come again is meant: neither speaks
    /// against a peer.
    public var excusesStatuses = false

    public init() {}
}

/// Some peers of an upstream, under a name that is no upstream's.
public struct RouteGroup: Hashable, Sendable {
    public struct Member: Hashable, Sendable {
        /// Its id in the upstream.
        public var peer: String
        /// By how much its weight there is multiplied.
        public var weight: Int

        public init(peer: String, weight: Int = 1) {
            self.peer = peer
            self.weight = weight
        }
    }

    public let name: String
    /// Whose settings hold, and whose peers its members are.
    public let upstream: String
    public var members: [Member]
    public var manners: GroupManners

    public init(
        name: String,
        upstream: String,
        members: [Member],
        manners: GroupManners = GroupManners()
    ) {
        self.name = name
        self.upstream = upstream
        self.members = members
        self.manners = manners
    }
}

/// Which hosts are asked for again before they are served.
public enum StaleHosts: Hashable, Sendable {
    /// In small letters.
    case exact(String)
    /// Whose names end so: `.example.com`.
    case under(String)
    case all
}

extension Proxy {
    /// Makes a group, or brings it to what is given. Its members are defined by now.
    public func bring(_ group: RouteGroup) {
        if workers.isEmpty || isDrained { return }
        let before = routing.group(group.name)
        if before == group { return }
        guard let definition = board.definition(of: group.upstream),
            routing.bring(group)
        else {
            for line in routing.takeProblems() { journal.error(line, [.event("proxy-problem")]) }
            return
        }
        var changes = routing.bring(
            group.name,
            settings(of: definition, group.manners),
            isPanic: isPanic(group, definition)
        )
        // The new members first: there is somebody at every moment.
        changes += refreshed(group)
        let members = Set(group.members.map(\.peer))
        for old in before?.members ?? [] where !members.contains(old.peer) {
            let key = PeerKey(upstream: group.name, peer: old.peer)
            if let gone = routing.remove(key, workers: workers.count) { changes.append(gone) }
        }
        mail(changes)
        for line in routing.takeProblems() { journal.error(line, [.event("proxy-problem")]) }
    }

    /// Takes a group away. Say first that its hosts are stale.
    public func removeGroup(_ name: String) {
        guard routing.group(name) != nil else { return }
        mail(routing.remove(name, workers: workers.count))
        routing.removeGroup(name)
    }

    /// What is known of these hosts may be otherwise now.
    public func forget(_ hosts: [StaleHosts]) { mail([.stale(hosts)]) }

    public var groupCount: Int { routing.groupCount }

    /// What became of a peer is told for every group that it is a member of.
    func follow(_ key: PeerKey) {
        let names = routing.groups(with: key)
        if names.isEmpty { return }
        guard let definition = board.definition(of: key.upstream) else { return }
        var changes: [RoutingChange] = []
        for name in names {
            guard let group = routing.group(name) else { continue }
            changes += refreshed(group)
            let panic = isPanic(group, definition)
            if let change = routing.change(of: name, isPanic: panic) { changes.append(change) }
        }
        mail(changes)
    }

    /// The settings of an upstream are other ones.
    func follow(_ definition: UpstreamDefinition) -> [RoutingChange] {
        routing.groups(of: definition.name).flatMap { name -> [RoutingChange] in
            guard let group = routing.group(name) else { return [] }
            return routing.bring(
                name,
                settings(of: definition, group.manners),
                isPanic: isPanic(group, definition)
            )
        }
    }

    /// The members of a group as they are now.
    private func refreshed(_ group: RouteGroup) -> [RoutingChange] {
        let reports = group.members.map { member in
            board.report(of: PeerKey(upstream: group.upstream, peer: member.peer))
        }
        // Who was taken out by requests is better than nobody: never the last of a group.
        let hasAny = reports.contains { $0?.view.isAvailable == true }
        return zip(group.members, reports).compactMap { member, report in
            let key = PeerKey(upstream: group.name, peer: member.peer)
            guard let report else { return routing.remove(key, workers: workers.count) }
            let leader = PeerKey(upstream: group.upstream, peer: member.peer)
            var snapshot = snapshot(of: leader, report)
            snapshot.token = PeerSnapshot.token(of: member.peer, in: group.name)
            snapshot.centiweight *= max(member.weight, 1)
            if !hasAny, report.view.routing == .ejected { snapshot.isAvailable = true }
            return routing.bring(follower: key, snapshot)
        }
    }

    /// As for an upstream: nearly all seem dead at once, and its settings say to ask them all the same.
    private func isPanic(_ group: RouteGroup, _ definition: UpstreamDefinition) -> Bool {
        guard definition.panicThreshold > 0, definition.allDown != .failClosed else { return false }
        var (wanted, available) = (0, 0)
        for member in group.members {
            let key = PeerKey(upstream: group.upstream, peer: member.peer)
            guard let view = board.view(of: key), view.isMeantToServe else { continue }
            if view.isStranger { return false }
            wanted += 1
            if view.isAvailable { available += 1 }
        }
        return available < wanted
            && Double(available) < definition.panicThreshold * Double(wanted)
    }
}
