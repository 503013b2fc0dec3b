// How do lists become peers that are watched, and hosts that are routed? The peers of all lists are peers of one
// upstream, so that each is probed once; a host that is asked for becomes a group of them. Hosts that nobody
// asks for cost a line in a table.

import Checks
import EventLoop
import Health
import Proxy
import Vocabulary

/// Confined to its loop's thread.
final class ForeignRoutes {
    let base: ForeignBase
    let loop: EventLoop
    weak var hands: (any ForeignHands)?
    var table = ForeignTable()
    private let journal: Journal
    /// Opens when what is thought of some peer is otherwise.
    let standings: Gate
    /// Hosts that are routed, by their key, and when they were asked for last.
    private var used: [String: Instant] = [:]
    /// The upstreams that are defined, by the number of their check.
    private var upstreams: [Int32: String] = [:]
    private var numbers: [String: Int32] = [:]
    private var complaints = Complaints()
    private var complaintTimer: Timers.Token?
    private let timers: Timers
    /// Out before a list named them anew, since when they are probed for that, and what was known then.
    private var awaited: [ForeignPeer: (at: Instant, checkedAt: WallTime)] = [:]
    private var askedAnew: [ForeignPeer: Instant] = [:]

    /// Whoever is named anew is asked at once, but not more often; and is waited for no longer.
    private static let recheckEvery = Nanoseconds.milliseconds(100)
    private static let recheckPatience = Nanoseconds.seconds(1)
    private static let recheckLook = Nanoseconds.milliseconds(2)

    /// A group that nobody asked for so long is taken away; one that is used is asked for again each minute.
    static let idleAfter = Nanoseconds.seconds(300)
    /// Hosts that are routed at once: more take the places of those that were asked for longest ago.
    static let routedMax = 20_000
    /// So many go together.
    static let droppedAtOnce = 256
    /// A list that is written anew, value by value, names some of its backends late.
    static let peersKept = Nanoseconds.seconds(10)

    init(_ base: ForeignBase, on loop: EventLoop, journal: Journal) {
        self.base = base
        self.loop = loop
        self.journal = journal
        standings = Gate(loop: loop)
        timers = Timers(loop: loop)
    }

    // MARK: Peers

    func key(of peer: ForeignPeer) -> PeerKey {
        PeerKey(upstream: upstreams[peer.check] ?? base.name, peer: peer.id)
    }

    /// Nil where it is of another source.
    func peer(of key: PeerKey) -> ForeignPeer? {
        numbers[key.upstream].map { ForeignPeer(check: $0, id: key.peer) }
    }

    func standing(of peer: ForeignPeer) -> ForeignStanding {
        hands?.standing(of: key(of: peer)) ?? ForeignStanding()
    }

    /// The usual upstream is there from the start.
    func begin() { defineUpstream(of: 0) }

    /// Has everybody watched whom a list names, and nobody else.
    func watchFresh() {
        recheckReturned()
        let fresh = table.takeFresh()
        if fresh.isEmpty { return }
        for (peer, _) in fresh where upstreams[peer.check] == nil { defineUpstream(of: peer.check) }
        hands?.watch(
            fresh.map { peer, address in
                (key(of: peer), PeerDefinition(id: peer.id, address: address))
            },
            for: base.name
        )
    }

    /// A backend that failed, was in no list, and is in one again has been started again, or somebody
    /// believes so: it is looked at now, and not when its next probe would be.
    private func recheckReturned() {
        let now = loop.instant
        for peer in table.takeReturned() {
            let standing = standing(of: peer)
            guard standing.isOut, let checkedAt = standing.checkedAt else { continue }
            if let last = askedAnew[peer], now - last < Self.recheckEvery { continue }
            askedAnew[peer] = now
            if awaited.isEmpty { followSoon() }
            awaited[peer] = (now, checkedAt)
            hands?.recheck(key(of: peer))
        }
    }

    private func followSoon() {
        timers.schedule(after: Self.recheckLook) { [weak self] in self?.followAwaited() }
    }

    /// That somebody is still out is no news that anybody tells, so that it is looked at.
    private func followAwaited() {
        let now = loop.instant
        var isAnyDone = false
        for (peer, (at, checkedAt)) in awaited {
            let standing = standing(of: peer)
            let isChecked = standing.checkedAt != checkedAt
            guard isChecked || !standing.isOut || now - at >= Self.recheckPatience else { continue }
            awaited[peer] = nil
            isAnyDone = true
            if isChecked, standing.isOut, !standing.isDead { hands?.pardon(key(of: peer)) }
        }
        if isAnyDone { standings.open() }
        if !awaited.isEmpty { followSoon() }
    }

    /// Before its source stops.
    func close() { timers.cancelAll() }

    private func defineUpstream(of number: Int32) {
        var definition = base.upstream
        definition.sourceAnswer = base.manners.nobodyStatus
        var monitors = base.monitors
        if number != 0 {
            let check = table.check(number)
            definition.name = "\(base.name).\(Self.digest(of: check))"
            monitors = Self.monitors(asking: check, like: base.monitors)
        }
        upstreams[number] = definition.name
        numbers[definition.name] = number
        hands?.define(
            MonitoredUpstream(definition: definition, monitors: monitors),
            for: base.name
        )
    }

    /// The same at every agent.
    private static func digest(of check: BackendCheck) -> String {
        var hash = StableHash()
        hash.combine(check.path)
        hash.combine(check.body)
        hash.combine(UInt64(check.status))
        let text = String(hash.value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    private static let position = Position(file: "healthcheck", line: 0, column: 0)

    /// A GET of what the check says, as often as the usual monitor asks.
    private static func monitors(
        asking check: BackendCheck,
        like usual: [MonitorDefinition]
    ) -> [MonitorDefinition] {
        func text(_ text: String) -> Setting {
            Setting(.scalar(text, isQuoted: true), at: position)
        }
        func entry(_ key: String, _ value: Setting) -> Setting.Entry {
            Setting.Entry(key: key, position: position, value: value)
        }
        var expected = [
            entry("status", text(check.status == 0 ? "101 2xx 3xx 4xx 5xx" : "\(check.status)"))
        ]
        if !check.body.isEmpty { expected.append(entry("contains", text(check.body))) }
        let options = Options(
            [
                entry("path", text(check.path)),
                entry("expect", Setting(.map(expected), at: position)),
            ],
            at: position,
            path: "healthcheck"
        )
        guard var monitor = try? MonitorDefinition.make("http", from: options) else { return usual }
        guard let first = usual.first else { return [monitor] }
        monitor.schedule = first.schedule
        monitor.thresholds = first.thresholds
        return [monitor]
    }

    // MARK: Hosts

    func groupName(of key: String) -> String { "\(base.name)/\(key)" }

    /// Routes a host of the table. Returns the name of its group.
    func bring(_ key: String) -> String {
        if used[key] == nil, used.count >= Self.routedMax { letGoOldest(Self.droppedAtOnce) }
        used[key] = loop.instant
        let name = groupName(of: key)
        bringGroup(key, name)
        return name
    }

    private func bringGroup(_ key: String, _ name: String) {
        let weights = table.weights(of: key)
        let upstream = upstreams[table.check(of: key)] ?? base.name
        var group = RouteGroup(
            name: name,
            upstream: upstream,
            members: weights.map { RouteGroup.Member(peer: $0.peer.id, weight: $0.weight) },
            manners: base.manners
        )
        if base.tellsDebug { group.debug = debugLines(of: key) }
        if base.namesHosts {
            for (peer, _) in weights { group.hosts[peer.id] = Self.hostName(of: peer.id) }
        }
        hands?.bring(group)
    }

    /// Without the port; nil of an address.
    private static func hostName(of id: String) -> String? {
        guard let colon = id.lastIndex(of: ":"), !id.hasPrefix("[") else { return nil }
        let name = String(id[..<colon])
        return SocketAddress(ip: name, port: 1) == nil ? name : nil
    }

    /// As hipache and planb told it. A text that is no value of a field is told of nobody.
    private func debugLines(of key: String) -> [String: String] {
        var lines: [String: String] = [:]
        let isPlain = { (text: String) in text.utf8.allSatisfy { (0x21...0x7E).contains($0) } }
        for (index, (text, peer)) in zip(table.texts(of: key), table.peers(of: key)).enumerated() {
            guard let peer, lines[peer.id] == nil, isPlain(text), isPlain(key),
                text.utf8.count + key.utf8.count <= Self.debugBytesMax
            else { continue }
            lines[peer.id] =
                "X-Debug-Backend-Url: \(text)\r\nX-Debug-Backend-Id: \(index)\r\n"
                + "X-Debug-Frontend-Key: \(key)\r\n"
        }
        return lines
    }

    /// An answer's head grows by little more than this.
    private static let debugBytesMax = 600

    /// The list of a host is another, or gone. Say that it is stale before.
    func follow(_ key: String) {
        guard used[key] != nil else { return }
        if table.has(key) { bringGroup(key, groupName(of: key)) } else { drop(key) }
    }

    private func drop(_ key: String) {
        guard used.removeValue(forKey: key) != nil else { return }
        hands?.forget([Self.stale(key)])
        hands?.removeGroup(groupName(of: key))
    }

    /// Of hosts that were asked for longest ago. Returns who they were.
    @discardableResult
    func letGoOldest(_ count: Int) -> [String] {
        let oldest = used.sorted { $0.value < $1.value }.prefix(count).map(\.key)
        for key in oldest { drop(key) }
        return oldest
    }

    /// Which hosts may be routed by a key.
    static func stale(_ key: String) -> StaleHosts {
        if key == FrontendHosts.everything { return .all }
        return key.hasPrefix("*.") ? .under(String(key.dropFirst())) : .exact(key)
    }

    /// Returns when somebody of its list may serve, or nobody is to be waited for any more.
    func waitForVerdicts(of key: String, until deadline: Instant) async {
        _ = await standings.wait(until: deadline) {
            var isAnyOpen = false
            for case let peer? in table.peers(of: key) {
                let standing = standing(of: peer)
                if standing.isStranger || awaited[peer] != nil {
                    isAnyOpen = true
                } else if !standing.isOut {
                    return true
                }
            }
            return !isAnyOpen
        }
    }

    /// Lets go of what nobody asks for. Returns the hosts that are routed no more.
    @discardableResult
    func sweep(at now: Instant) -> [String] {
        let idle = used.filter { now - $0.value >= Self.idleAfter }.map(\.key)
        for key in idle { drop(key) }
        let gone = table.sweep(after: Self.peersKept, now: now)
        askedAnew = askedAnew.filter { now - $0.value < Self.recheckEvery }
        if !gone.isEmpty { hands?.leave(gone.map { key(of: $0) }, for: base.name) }
        return idle
    }

    var routedCount: Int { used.count }
    func isRouted(_ key: String) -> Bool { used[key] != nil }

    // MARK: Telling

    /// Of what a key holds, the first of its kind by itself, and the others when its minute is over.
    func complain(_ kind: Complaints.Kind, of key: String, _ text: @autoclosure () -> String) {
        if complaints.note(kind, of: key, at: loop.instant) {
            journal.warning("source \(base.name): \(text())", [.event("source-problem")])
        } else {
            followComplaints()
        }
    }

    private func followComplaints() {
        guard complaintTimer == nil, let due = complaints.due else { return }
        complaintTimer = timers.schedule(at: due) { [weak self] in
            self?.complaintTimer = nil
            self?.tellComplaints()
        }
    }

    /// Of those that were not told of by themselves; of `all` where something has come to its end.
    func tellComplaints(all: Bool = false) {
        if let rest = complaints.takeRest(at: loop.instant, all: all) {
            journal.warning(
                "source \(base.name) has, besides what was told of: \(rest)",
                [.event("source-problem")]
            )
        }
        followComplaints()
    }

    /// Of lists that hold something else than backends.
    func complain(of key: String, _ texts: [String]) {
        let bad = texts.filter { BackendPlace($0) == nil }
        guard let first = bad.first, let problem = BackendPlace.problem(in: first) else { return }
        let others = bad.dropFirst().prefix(Self.namedMax - 1)
            .map { Excerpt.of(Array($0.utf8)) }
        let rest = bad.count - 1 - others.count
        complain(
            .backend,
            of: key,
            "\(bad.count == 1 ? "a backend" : "\(bad.count) backends") of \(key) "
                + "\(bad.count == 1 ? "is" : "are") left out: \(problem)"
                + others.map { ", \($0)" }.joined()
                + (rest > 0 ? " and \(rest) more" : "")
        )
    }

    /// So many of one list are named.
    private static let namedMax = 3

    /// Of one value that names more than are taken.
    func complain(of key: String, tooMany count: Int, isCut: Bool) {
        complain(
            .many,
            of: key,
            "expected at most \(RedisKeysSource.addressesMax) addresses at \(key), saw \(count)\(isCut ? " and more" : ""); the "
                + "others are left out"
        )
    }
}
