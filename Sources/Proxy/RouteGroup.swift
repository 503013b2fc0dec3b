// Which peers of an upstream serve one host among very many? Data of older systems has a list of peers for
// each host, and the same few peers stand in most of them. An upstream of their own for each would watch
// every peer as often as it is named; a group is a view of an upstream: some of its peers, with weights.
// Workers know a group as they know an upstream; what is found of its members is its upstream's.

import EventLoop
import Health
import Store
import Vocabulary

/// How a group's requests and answers differ from those of an upstream in a file.
public struct GroupManners: Hashable, Sendable {
    /// The answer where no member may be asked.
    public var nobodyStatus: UInt16 = 503
    /// Tells the peer more of where a request came from: `X-Real-IP`, `X-Forwarded-Protocol` and
    /// `X-Forwarded-Port`.
    public var tellsMore = false
    /// What a request says of where it came from goes on as it is, and of all that `tellsMore` adds only what is absent:
    /// for those who have a proxy in front that knows better.
    public var keepsForwarded = false
    /// A member that has a name is asked for that, and hears in `X-Host` and `X-Forwarded-Host` what the client said; and the
    /// client's address is added to the `X-Forwarded-For` that is kept.
    public var namesHosts = false
    /// The answer where a member failed a request, or was late; 0: 502 and 504.
    public var failedStatus: UInt16 = 0
    /// A 500 is the application's affair, and a 503 that says when to come again is meant: neither speaks
    /// against a peer.
    public var excusesStatuses = false
    /// A client whose answer broke off hears of its end a little later than it came. Many take an early end for the
    /// whole answer; those that wait for the rest in vain know that it is none.
    public var holdsCuts = false

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
    /// What an answer tells of the member that gave it, as lines of a head, where a request asks for that with
    /// `X-Debug` or `X-Debug-Router`; empty where nobody is told.
    public var debug: [String: String] = [:]
    /// As which host a member is asked, for those that have a name.
    public var hosts: [String: String] = [:]

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
            settings(of: definition, group),
            isPanic: GroupTally(reports(of: group)).isPanic(definition)
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

    /// What became of a peer is told for every group that it is a member of. Others of the group are not looked
    /// at, so that a list of thousands costs each of its changes no more than a list of one.
    func follow(_ key: PeerKey) {
        let weights = routing.groups(with: key)
        if weights.isEmpty { return }
        guard let definition = board.definition(of: key.upstream) else { return }
        let report = board.report(of: key)
        var changes: [RoutingChange] = []
        for (name, weight) in weights {
            guard let group = routing.group(name) else { continue }
            let had = routing.tally(of: name).hasAny
            let member = RouteGroup.Member(peer: key.peer, weight: weight)
            var tally = routing.tally(of: name)
            tally.change(routing.standing(of: key.peer, in: name), to: MemberStanding(report))
            if tally.hasAny == had {
                if let change = tell(member, of: group, report, hasAny: had) {
                    changes.append(change)
                }
            } else {
                changes += refreshed(group)
            }
            let panic = routing.tally(of: name).isPanic(definition)
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
                settings(of: definition, group),
                isPanic: routing.tally(of: name).isPanic(definition)
            )
        }
    }

    /// The members of a group as they are now.
    private func refreshed(_ group: RouteGroup) -> [RoutingChange] {
        let reports = reports(of: group)
        let hasAny = GroupTally(reports).hasAny
        return zip(group.members, reports).compactMap { member, report in
            tell(member, of: group, report, hasAny: hasAny)
        }
    }

    private func reports(of group: RouteGroup) -> [PeerReport?] {
        group.members.map { member in
            board.report(of: PeerKey(upstream: group.upstream, peer: member.peer))
        }
    }

    /// Who was taken out by requests is better than nobody: never the last of a group.
    private func tell(
        _ member: RouteGroup.Member,
        of group: RouteGroup,
        _ report: PeerReport?,
        hasAny: Bool
    ) -> RoutingChange? {
        let key = PeerKey(upstream: group.name, peer: member.peer)
        guard let report else { return routing.remove(key, workers: workers.count) }
        let leader = PeerKey(upstream: group.upstream, peer: member.peer)
        var snapshot = snapshot(of: leader, report)
        snapshot.token = PeerSnapshot.token(of: member.peer, in: group.name)
        snapshot.centiweight *= max(member.weight, 1)
        if !hasAny, report.view.routing == .ejected { snapshot.isAvailable = true }
        return routing.bring(follower: key, snapshot, MemberStanding(report))
    }
}

/// What counts of a member for the rest of its group.
struct MemberStanding: Hashable, Sendable {
    var isAvailable = false
    var isMeantToServe = false
    var isStranger = false

    /// Of one that is not there.
    init() {}

    init(_ report: PeerReport?) {
        guard let view = report?.view else { return }
        isAvailable = view.isAvailable
        isMeantToServe = view.isMeantToServe
        isStranger = view.isStranger
    }
}

/// The members of a group, counted, so that nobody has to look at all of them for a change of one.
struct GroupTally: Hashable, Sendable {
    private var available = 0
    private var wanted = 0
    private var wantedAvailable = 0
    private var strangers = 0

    init() {}

    init(_ reports: [PeerReport?]) {
        for report in reports { change(MemberStanding(), to: MemberStanding(report)) }
    }

    mutating func change(_ old: MemberStanding, to new: MemberStanding) {
        count(old, -1)
        count(new, 1)
    }

    private mutating func count(_ member: MemberStanding, _ step: Int) {
        if member.isAvailable { available += step }
        guard member.isMeantToServe else { return }
        wanted += step
        if member.isAvailable { wantedAvailable += step }
        if member.isStranger { strangers += step }
    }

    var hasAny: Bool { available > 0 }

    /// As for an upstream: nearly all seem dead at once, and its settings say to ask them all the same.
    func isPanic(_ definition: UpstreamDefinition) -> Bool {
        guard definition.panicThreshold > 0, definition.allDown != .failClosed else { return false }
        return strangers == 0 && wantedAvailable < wanted
            && Double(wantedAvailable) < definition.panicThreshold * Double(wanted)
    }
}
