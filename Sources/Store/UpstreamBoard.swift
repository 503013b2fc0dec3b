// How is one upstream? Its peers with their health, counted so that panic is known without walking
// them all. A part of the board: it decides and keeps, the board sets timers and tells.

import EventLoop
import Health
import Vocabulary

/// Confined to its board.
final class UpstreamBoard {
    /// How many peers are meant to serve, and how many can.
    struct Counts: Hashable {
        /// Neither in maintenance nor draining, and not at weight 0: whoever was told to take nothing
        /// is not lost.
        var wanted = 0
        var available = 0
        /// Backups are counted apart.
        var wantedBackups = 0
        var availableBackups = 0
        /// Wanted, and too new for requests: their first verdicts are still to come.
        var strangers = 0
        var strangerBackups = 0
        /// Wanted, and without an address: their names never resolved, so that nothing could go to them.
        var nowhere = 0
        var nowhereBackups = 0
        /// Available, and found well by somebody.
        var found = 0
        /// By this process, because its requests failed. Backups too.
        var ejected = 0

        /// One more may be ejected: at most that share of those that could serve, one where there are two,
        /// and never the last.
        func mayEject(_ share: Double) -> Bool {
            available + availableBackups >= 2 && ejected + 1 <= mostEjected(share)
        }

        /// So many too many are ejected: others have gone down since, or these have come up.
        func ejectedTooMany(_ share: Double) -> Int {
            if available + availableBackups == 0 { return ejected }
            return max(ejected - mostEjected(share), 0)
        }

        private func mostEjected(_ share: Double) -> Int {
            max(1, Int(Double(available + availableBackups + ejected) * share))
        }

        /// `1 of 2 peers`. Of none there is no number.
        var words: String {
            switch wanted {
            case 0 where wantedBackups > 0: "no peer but backups is meant to serve"
            case 0: "no peer is meant to serve"
            case 1: "\(available) of 1 peer"
            default: "\(available) of \(wanted) peers"
            }
        }

        /// Who gets nothing even in a panic.
        var exceptions: String {
            switch nowhere + nowhereBackups {
            case 0: ""
            case 1: ", but for the one whose name has no address"
            case let count: ", but for the \(count) whose names have no address"
            }
        }

        /// Nobody can take a request now, or none but backups, and somebody may in a moment.
        var awaitsFirstVerdicts: Bool {
            available == 0 && (strangers > 0 || availableBackups == 0 && strangerBackups > 0)
        }
    }

    private(set) var definition: UpstreamDefinition
    private(set) var monitors: [MonitorSummary] = []
    private(set) var counts = Counts()
    private(set) var isPanic = false
    /// Since when; nil while it is not.
    private var panicSince: WallTime?
    private var supply = UpstreamSupply.peers
    /// Nobody serves, and that was told as what somebody asked for.
    private var isEmptyAsAsked = false
    /// Tells places from before it was defined anew from those after.
    private(set) var generation: UInt32 = 0
    /// One timer for all peers, set by the board: most expiries are pushed on long before they
    /// come, so that looking at every peer when it fires is cheaper than a timer for each.
    let tag: Int
    /// How long the first verdict of a new peer is waited for.
    private let strangerTime: Nanoseconds
    var timer = TimerID.none
    var deadline = Instant.distantFuture

    /// How each peer is, in the order of the definition. An array and an index take half of what a
    /// dictionary would.
    private var entries: [PeerHealth] = []
    private var places: [String: Int] = [:]
    private var monitorNames: Set<String> = []
    private var requiredMonitors: Set<String> = []
    private var cached: UpstreamView?
    private var cachedDigest: UInt64?

    /// Without peers and monitors: they come each by itself.
    init(definition: UpstreamDefinition, tag: Int, strangerTime: Nanoseconds) {
        self.definition = definition
        self.definition.peers = []
        self.tag = tag
        self.strangerTime = strangerTime
    }

    // MARK: Reading

    func has(_ peer: String) -> Bool { places[peer] != nil }

    func expects(_ key: VerdictKey) -> Bool {
        places[key.peer] != nil && monitorNames.contains(key.monitor)
    }

    func isRequired(_ monitor: String) -> Bool { requiredMonitors.contains(monitor) }

    /// The longest that a verdict of this monitor may hold.
    func lifeMax(of monitor: String) -> Nanoseconds {
        monitors.first { $0.id == monitor }?.lifeMax ?? .zero
    }

    /// Why a verdict does not count here; nil where it is about this pair as it is defined here, or does not tell.
    func otherSubject(of verdict: Verdict) -> OtherSubject? {
        difference(of: verdict).flatMap { $0.counts ? nil : $0 }
    }

    /// In what a verdict is about something else than this pair as it is defined here, whether it counts or not.
    func difference(of verdict: Verdict) -> OtherSubject? {
        guard let subject = verdict.subject, let place = places[verdict.key.peer],
            let monitor = monitors.first(where: { $0.id == verdict.key.monitor })
        else { return nil }
        let address = definition.peers[place].address.description
        if subject.address != address { return .address(here: address) }
        if verdict.kind != monitor.kind { return .kind(here: monitor.kind) }
        return monitor.check.map { $0 != subject.check } == true ? .settings : nil
    }

    /// Nil when no such pair is defined.
    func place(of key: VerdictKey) -> Int? {
        monitorNames.contains(key.monitor) ? places[key.peer] : nil
    }

    func peerView(of peer: String) -> PeerView? { places[peer].map { entries[$0].view } }

    func peerView(at place: Int) -> PeerView { entries[place].view }

    func verdict(of peer: String, by monitor: String) -> Verdict? {
        places[peer].flatMap { entries[$0].verdict(by: monitor) }
    }

    func report(of peer: String) -> PeerReport? { places[peer].map(report) }

    private func report(at place: Int) -> PeerReport {
        PeerReport(
            definition: definition.peers[place],
            view: entries[place].view,
            intent: entries[place].intent,
            verdicts: entries[place].verdicts,
            ejection: entries[place].ejection,
            askedSince: entries[place].askedSince,
            weightSince: entries[place].weightSince,
            slowStartEnd: entries[place].slowStartEnd
        )
    }

    /// Built when asked for, and kept until something changes.
    var view: UpstreamView {
        if let cached { return cached }
        let built = UpstreamView(
            definition: definition,
            status: status,
            isPanic: isPanic,
            peers: entries.indices.map(report),
            monitors: monitors,
            panicSince: panicSince
        )
        cached = built
        return built
    }

    /// Of the whole definition, in whatever order it came. Made when asked for.
    var digest: UInt64 {
        if let cachedDigest { return cachedDigest }
        let parts = definition.peers.map(\.digest) + monitors.map(\.digest)
        let digest = parts.reduce(definition.ownDigest, &+)
        cachedDigest = digest
        return digest
    }

    private var status: UpstreamStatus {
        let views = entries.map(\.view)
        let wanted = views.filter { ![.maint, .drain].contains($0.routing) }
        if isPanic { return .panic }
        if counts.awaitsFirstVerdicts { return .unknown }
        if !views.contains(where: \.isAvailable) { return .down }
        if wanted.allSatisfy({ $0.status == .unknown }) { return .unknown }
        let isWell = wanted.allSatisfy { $0.status == .up || $0.status == .starting }
        return isWell ? .up : .degraded
    }

    // MARK: Time

    /// When a peer's view changes by itself.
    func nextChange(of peer: String) -> WallTime? {
        places[peer].flatMap { entries[$0].view.nextChange }
    }

    /// When the first of all views does.
    var nextChange: WallTime? {
        var next: WallTime?
        for place in entries.indices {
            guard let change = entries[place].view.nextChange else { continue }
            next = next.map { min($0, change) } ?? change
        }
        return next
    }

    /// Peers whose view is due to change, not more than `limit`.
    func due(now: WallTime, limit: Int) -> [String] {
        var names: [String] = []
        for place in entries.indices {
            guard let next = entries[place].view.nextChange, next <= now else { continue }
            names.append(definition.peers[place].id)
            if names.count == limit { break }
        }
        return names
    }

    // MARK: Defining

    typealias Changes = [(peer: String, change: PeerHealth.Change)]

    /// Takes what is said of the whole; peers stay as they are.
    func set(_ definition: UpstreamDefinition, now: WallTime) -> Changes {
        let before = self.definition
        cached = nil
        self.definition = definition
        self.definition.peers = before.peers
        redefine()
        return before.slowStart == definition.slowStart ? [] : setPolicies(now: now)
    }

    func put(_ monitor: MonitorSummary, now: WallTime) -> Changes {
        guard let index = monitors.firstIndex(where: { $0.id == monitor.id }) else {
            monitors.append(monitor)
            return setMonitors(now: now)
        }
        let isAnother = monitors[index].kind != monitor.kind
        monitors[index] = monitor
        if !isAnother { return setMonitors(now: now) }
        // Another question: what was found by the old one is no answer.
        return changes(now: now) {
            $0.forget(monitor: monitor.id, now: now, strangerTime: strangerTime)
        }
    }

    func remove(monitor id: String, now: WallTime) -> Changes {
        monitors.removeAll { $0.id == id }
        return changes(now: now) { $0.forget(monitor: id, now: now) }
    }

    /// Of all peers, each told of once, by a change to each and by the monitors that there are now.
    private func changes(
        now: WallTime,
        _ body: (inout PeerHealth) -> PeerHealth.Change?
    ) -> Changes {
        let views = entries.map(\.view)
        for place in entries.indices { _ = body(&entries[place]) }
        _ = setMonitors(now: now)
        recount()
        return entries.indices.compactMap { place in
            views[place] == entries[place].view
                ? nil
                : (
                    definition.peers[place].id,
                    PeerHealth.Change(from: views[place], to: entries[place].view)
                )
        }
    }

    private func setMonitors(now: WallTime) -> Changes {
        monitorNames = Set(monitors.map(\.id))
        // One set for all peers, not one each.
        let required = Set(monitors.filter(\.isRequired).map(\.id))
        redefine()
        // Places are given to pairs, and whether there is such a pair may be otherwise now.
        leave()
        if required == requiredMonitors { return [] }
        requiredMonitors = required
        return setPolicies(now: now)
    }

    private func setPolicies(now: WallTime) -> Changes {
        entries.indices.compactMap { place in
            let peer = definition.peers[place]
            let policy = policy(of: peer)
            return change(at: place) { $0.set(policy: policy, now: now) }.map { (peer.id, $0) }
        }
    }

    /// Makes a peer, or changes it. One that has another address begins anew: what was found of the
    /// old one says nothing of it.
    func put(
        _ peer: PeerDefinition,
        now: WallTime
    ) -> (isNew: Bool, change: PeerHealth.Change?) {
        cached = nil
        guard let place = places[peer.id] else {
            places[peer.id] = entries.count
            definition.peers.append(peer)
            entries.append(newcomer(peer, now: now))
            count(entries[entries.count - 1].view, isBackup: peer.isBackup, by: 1)
            redefine()
            return (true, nil)
        }
        let old = definition.peers[place]
        definition.peers[place] = peer
        let before = entries[place].view
        count(before, isBackup: old.isBackup, by: -1)
        if old.address != peer.address {
            let before = entries[place]
            entries[place] = newcomer(peer, now: now)
            _ = entries[place].take(askedOf: before, now: now)
        } else {
            _ = entries[place].set(policy: policy(of: peer), now: now)
        }
        let after = entries[place].view
        count(after, isBackup: peer.isBackup, by: 1)
        redefine()
        return (false, before == after ? nil : PeerHealth.Change(from: before, to: after))
    }

    func remove(_ peers: Set<String>) {
        var kept: [PeerHealth] = []
        kept.reserveCapacity(entries.count)
        for (place, peer) in definition.peers.enumerated() where !peers.contains(peer.id) {
            kept.append(entries[place])
        }
        cached = nil
        definition.peers.removeAll { peers.contains($0.id) }
        entries = kept
        places = [:]
        places.reserveCapacity(kept.count)
        for (place, peer) in definition.peers.enumerated() { places[peer.id] = place }
        recount()
        redefine()
        leave()
    }

    private func newcomer(_ peer: PeerDefinition, now: WallTime) -> PeerHealth {
        PeerHealth(
            policy: policy(of: peer),
            now: now,
            strangerTime: strangerTime,
            isJoining: counts.found > 0
        )
    }

    /// Gives back what its lists have grown beyond their need: up to half of them, and of ten thousand
    /// peers that is megabytes.
    func trim() {
        entries.trim()
        definition.peers.trim()
        cached = nil
    }

    /// Keeps the same list of peers as somebody else does, instead of one that is equal.
    func share(_ peers: [PeerDefinition]) {
        guard definition.peers == peers else { return }
        definition.peers = peers
        cached = nil
    }

    /// Makes every place that was handed out void.
    func leave() { generation &+= 1 }

    private func policy(of peer: PeerDefinition) -> PeerPolicy {
        PeerPolicy(
            weight: peer.weight,
            slowStart: definition.slowStart,
            isDisabled: peer.isDisabled,
            requiredMonitors: requiredMonitors,
            isNamed: SocketAddress(peer.address) == nil
        )
    }

    // MARK: Changing

    func apply(_ verdict: Verdict, now: WallTime) -> PeerHealth.Change? {
        places[verdict.key.peer].flatMap { apply(verdict, at: $0, now: now) }
    }

    func apply(_ verdict: Verdict, at place: Int, now: WallTime) -> PeerHealth.Change? {
        change(at: place) { $0.apply(verdict, now: now) }
    }

    func verdict(at place: Int, by monitor: String) -> Verdict? {
        entries[place].verdict(by: monitor)
    }

    func nextChange(at place: Int) -> WallTime? { entries[place].view.nextChange }

    func set(
        intent: Intent?,
        for peer: String,
        since: WallTime? = nil,
        weightSince: WallTime? = nil,
        now: WallTime
    ) -> PeerHealth.Change? {
        places[peer].flatMap {
            change(at: $0) {
                $0.set(intent: intent, since: since, weightSince: weightSince, now: now)
            }
        }
    }

    var mayEject: Bool {
        !definition.eject.isOff && counts.mayEject(definition.eject.maxShare)
    }

    func eject(_ peer: String, _ ejection: Ejection, now: WallTime) -> PeerHealth.Change? {
        places[peer].flatMap { change(at: $0) { $0.eject(ejection, now: now) } }
    }

    func liftEjection(of peer: String, now: WallTime) -> PeerHealth.Change? {
        places[peer].flatMap { change(at: $0) { $0.liftEjection(now: now) } }
    }

    /// Ejected ones are all that is left, or too many of those that could serve: the first to come back anyway do now.
    func liftEjections(now: WallTime) -> [(peer: String, change: PeerHealth.Change)] {
        var lifted: [(peer: String, change: PeerHealth.Change)] = []
        for place in placesToLift(now: now) {
            guard let change = change(at: place, { $0.liftEjection(now: now) }) else { continue }
            lifted.append((definition.peers[place].id, change))
        }
        return lifted
    }

    private func placesToLift(now: WallTime) -> [Int] {
        let count = counts.ejectedTooMany(definition.eject.maxShare)
        if count == 0 { return [] }
        let ejected = entries.indices.filter { entries[$0].view.routing == .ejected }
        let ends = { [entries] (place: Int) in entries[place].ejection?.until ?? now }
        return Array(ejected.sorted { (ends($0), $0) < (ends($1), $1) }.prefix(count))
    }

    /// It is known since when the status holds that a restart found.
    func set(since: WallTime, of peer: String) {
        guard let place = places[peer] else { return }
        entries[place].set(since: since)
        touch()
    }

    func refresh(_ peer: String, now: WallTime) -> PeerHealth.Change? {
        places[peer].flatMap { change(at: $0) { $0.refresh(now: now) } }
    }

    private func change(
        at place: Int,
        _ body: (inout PeerHealth) -> PeerHealth.Change?
    ) -> PeerHealth.Change? {
        // In place: a copy of the entry would copy its verdicts at every probe.
        let change = body(&entries[place])
        cached = nil
        guard let change else { return nil }
        if change.isVisible {
            let isBackup = definition.peers[place].isBackup
            count(change.from, isBackup: isBackup, by: -1)
            count(change.to, isBackup: isBackup, by: 1)
            touch()
        }
        return sparing(change, at: place)
    }

    /// It would be ejected from now on, for it was beneath what it is no more, and so many are already that it would
    /// be the first to come back, at once: that is one change, and not two of one moment.
    private func sparing(_ change: PeerHealth.Change, at place: Int) -> PeerHealth.Change {
        guard change.to.routing == .ejected, change.from.routing != .ejected,
            !change.from.isAvailable, placesToLift(now: change.to.since).contains(place),
            let lifted = self.change(at: place, { $0.liftEjection(now: change.to.since) })
        else { return change }
        return PeerHealth.Change(from: change.from, to: lifted.to)
    }

    /// The wall clock was set.
    func shift(by step: Nanoseconds) {
        for place in entries.indices { entries[place].shift(by: step) }
        panicSince = panicSince.map { $0 + step }
        touch()
    }

    private func touch() { cached = nil }

    /// The definition is another.
    private func redefine() {
        cachedDigest = nil
        cached = nil
    }

    // MARK: Panic

    private func recount() {
        counts = Counts()
        for place in entries.indices {
            count(entries[place].view, isBackup: definition.peers[place].isBackup, by: 1)
        }
    }

    private func count(_ view: PeerView, isBackup: Bool, by step: Int) {
        let isStranger = view.isStranger && view.isMeantToServe
        let isNowhere = view.isNowhere && view.isMeantToServe
        if isBackup {
            if isNowhere { counts.nowhereBackups += step }
            if view.isMeantToServe { counts.wantedBackups += step }
            if view.isAvailable { counts.availableBackups += step }
            if isStranger { counts.strangerBackups += step }
        } else {
            if isNowhere { counts.nowhere += step }
            if view.isMeantToServe { counts.wanted += step }
            if view.isAvailable { counts.available += step }
            if isStranger { counts.strangers += step }
        }
        if view.isAvailable, view.checked == .up { counts.found += step }
        if view.routing == .ejected { counts.ejected += step }
    }

    /// Returns the new state when it changed.
    func updatePanic(now: WallTime) -> Bool? {
        let next = Self.isPanic(counts, definition)
        if next == isPanic { return nil }
        // Who is too new for requests may well be well: that is known in a moment.
        if next, counts.strangers + counts.strangerBackups > 0 { return nil }
        isPanic = next
        panicSince = next ? now : nil
        touch()
        return next
    }

    /// Returns the line about it when others answer the upstream's requests than before.
    func updateSupply() -> SupplyLine? {
        let next = UpstreamSupply(counts)
        let askers = next == .nobody ? self.askers : nil
        // It goes on, and not because somebody wants it to: whoever slept through the warning is woken now.
        let isMissed = next == supply && isEmptyAsAsked && askers == nil
        if next == supply, !isMissed { return nil }
        // Nobody has read yet whom the lists name, or they name nobody.
        if definition.sourceAnswer != nil, definition.peers.isEmpty { return nil }
        if isMissed || next.rawValue > supply.rawValue,
            counts.strangers + counts.strangerBackups > 0
        {
            return nil
        }
        defer { (supply, isEmptyAsAsked) = (next, askers != nil) }
        return SupplyLine(
            upstream: definition.name,
            from: supply,
            to: next,
            counts: counts,
            census: next == .nobody ? census : [],
            isPanic: isPanic,
            answer: definition.sourceAnswer ?? 503,
            askers: askers
        )
    }

    /// For whoever took the last one out.
    var shortage: String? {
        let isServed = counts.available + counts.availableBackups > 0
        if isServed || counts.strangers + counts.strangerBackups > 0 { return nil }
        let fate =
            isPanic
            ? "requests go to all that are not in maint, in drain or at weight 0\(counts.exceptions), "
                + "well or not (panic)"
            : "requests are answered \(definition.sourceAnswer ?? 503)"
        return "\(definition.name) has no other available peer: \(fate)"
    }

    /// Who asked for that, where each peer is in maint or in drain because somebody wants it to be; nil where
    /// one of them is not, or there is none.
    private var askers: [String]? {
        if entries.isEmpty { return nil }
        var names: [String] = []
        for entry in entries {
            if entry.view.asked == .ready { return nil }
            let by = entry.intent?.mode == nil ? "the configuration" : entry.intent?.by ?? ""
            let name = by.isEmpty ? "an operator" : by
            if names.count <= SupplyLine.askersMax, !names.contains(name) { names.append(name) }
        }
        return names
    }

    /// How many have which status, the most frequent first.
    private var census: [(what: String, count: Int)] {
        var tally: [String: Int] = [:]
        for place in entries.indices {
            let view = entries[place].view
            let isIdle = view.effectiveCentiweight == 0 && ![.down, .maint].contains(view.status)
            let backup = definition.peers[place].isBackup ? "backup " : ""
            tally[backup + (isIdle ? "with weight 0" : view.status.rawValue), default: 0] += 1
        }
        return tally.map { (what: $0.key, count: $0.value) }
            .sorted { ($1.count, $0.what) < ($0.count, $1.what) }
    }

    /// Panic is a rule about doubt: when nearly all peers seem dead at once, the checks are more
    /// likely wrong than the peers, and the few that are left would go down under the load of all.
    /// It never begins where it would route as before.
    static func isPanic(_ counts: Counts, _ definition: UpstreamDefinition) -> Bool {
        guard definition.panicThreshold > 0, definition.allDown != .failClosed else { return false }
        // Whoever has no address can be sent nothing, whatever is thought of the checks.
        let reachable = counts.wanted - counts.nowhere
        let lost = reachable - counts.available
        if counts.available + counts.availableBackups == 0 {
            return lost + counts.wantedBackups - counts.nowhereBackups > 0
        }
        // A healthy backup carries it before a peer is asked that is thought dead.
        guard lost > 0, counts.availableBackups == 0 else { return false }
        return Double(counts.available) / Double(reachable) < definition.panicThreshold
    }
}

extension PeerHealth.Change {
    /// More than the time of the next change moved, which every renewal does.
    var isVisible: Bool {
        var from = from
        from.nextChange = to.nextChange
        return from != to
    }
}

extension PeerHealth.Change {
    /// Its monitor came right behind it: it was never up without one, as far as anybody needs to know.
    var isFirstMonitor: Bool {
        from.status == .up && !from.isPassing && to.status == .unknown
            && to.since - from.since < .seconds(1)
    }
}

extension Array {
    /// Leaves no more room than is needed.
    fileprivate mutating func trim() {
        guard capacity > count + count / 8 else { return }
        var trimmed: [Element] = []
        trimmed.reserveCapacity(count)
        trimmed += self
        self = trimmed
    }
}
