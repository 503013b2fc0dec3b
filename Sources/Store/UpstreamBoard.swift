// How is one upstream? Its peers with their health, counted so that panic is known without walking
// them all. A part of the board: it decides and keeps, the board sets timers and tells.

import EventLoop
import Health
import Vocabulary

/// Confined to its board.
final class UpstreamBoard {
    struct Entry {
        var definition: PeerDefinition
        var health: PeerHealth
        var tag = -1
        var timer = TimerID.none
        var deadline = Instant.distantFuture
    }

    /// Peers that are not backups: how many are meant to serve, and how many can.
    struct Counts: Hashable {
        /// Neither in maintenance nor draining.
        var wanted = 0
        var available = 0
        var availableBackups = 0
    }

    private(set) var definition: UpstreamDefinition
    private(set) var monitors: [MonitorSummary]
    private(set) var counts = Counts()
    private(set) var isPanic = false
    private(set) var revision: UInt64 = 0

    /// In the order of the definition. An array and an index take half of what a dictionary of
    /// entries would.
    private var entries: [Entry] = []
    private var places: [String: Int] = [:]
    private var monitorNames: Set<String> = []
    private var cached: UpstreamView?

    init(definition: UpstreamDefinition, monitors: [MonitorSummary]) {
        self.definition = definition
        self.monitors = monitors
    }

    // MARK: Reading

    func has(_ peer: String) -> Bool { places[peer] != nil }

    func expects(_ key: VerdictKey) -> Bool {
        places[key.peer] != nil && monitorNames.contains(key.monitor)
    }

    func entry(of peer: String) -> Entry? { places[peer].map { entries[$0] } }

    func peerView(of peer: String) -> PeerView? { places[peer].map { entries[$0].health.view } }

    func verdict(of peer: String, by monitor: String) -> Verdict? {
        places[peer].flatMap { entries[$0].health.verdicts[monitor] }
    }

    func report(of peer: String) -> PeerReport? { places[peer].map { report(entries[$0]) } }

    private func report(_ entry: Entry) -> PeerReport {
        PeerReport(
            definition: entry.definition,
            view: entry.health.view,
            intent: entry.health.intent,
            verdicts: entry.health.verdicts.values.sorted { $0.key.monitor < $1.key.monitor }
        )
    }

    /// Built when asked for, and kept until something changes.
    var view: UpstreamView {
        if let cached { return cached }
        let built = UpstreamView(
            definition: definition,
            revision: revision,
            status: status,
            isPanic: isPanic,
            peers: entries.map(report),
            monitors: monitors
        )
        cached = built
        return built
    }

    private var status: UpstreamStatus {
        let views = entries.map(\.health.view)
        let wanted = views.filter { ![.maint, .drain].contains($0.routing) }
        if isPanic { return .panic }
        if !views.contains(where: \.isAvailable) { return .down }
        if wanted.allSatisfy({ $0.status == .unknown }) { return .unknown }
        let isWell = wanted.allSatisfy { $0.status == .up || $0.status == .starting }
        return isWell ? .up : .degraded
    }

    // MARK: Defining

    typealias Changes = [(peer: String, change: PeerHealth.Change)]

    /// Takes a new definition. Peers that stay keep their health.
    func redefine(
        _ definition: UpstreamDefinition,
        _ monitors: [MonitorSummary],
        now: WallTime
    ) -> (removed: [Entry], added: [String], changes: Changes) {
        let names = Set(monitors.map(\.id))
        let gone = monitorNames.subtracting(names)
        // One set for all peers, not one each.
        let required = Set(monitors.filter(\.isRequired).map(\.id))
        var leaving = places
        var next: [Entry] = []
        next.reserveCapacity(definition.peers.count)
        var added: [String] = []
        var changes: Changes = []

        self.definition = definition
        self.monitors = monitors
        monitorNames = names
        for peer in definition.peers {
            let policy = policy(of: peer, required: required)
            guard let place = leaving.removeValue(forKey: peer.id) else {
                let health = PeerHealth(policy: policy, now: now)
                next.append(Entry(definition: peer, health: health))
                added.append(peer.id)
                continue
            }
            var entry = entries[place]
            let before = entry.health.view
            entry.definition = peer
            for monitor in gone { _ = entry.health.forget(monitor: monitor, now: now) }
            if entry.health.policy != policy { _ = entry.health.set(policy: policy, now: now) }
            next.append(entry)
            let after = entry.health.view
            if before != after {
                changes.append((peer.id, PeerHealth.Change(from: before, to: after)))
            }
        }
        let removed = leaving.values.map { entries[$0] }
        entries = next
        places = [:]
        places.reserveCapacity(next.count)
        for (place, entry) in next.enumerated() { places[entry.definition.id] = place }
        recount()
        touch()
        return (removed, added, changes)
    }

    private func policy(of peer: PeerDefinition, required: Set<String>) -> PeerPolicy {
        PeerPolicy(
            weight: peer.weight,
            slowStart: definition.slowStart,
            isDisabled: peer.isDisabled,
            requiredMonitors: required
        )
    }

    // MARK: Changing

    func apply(_ verdict: Verdict, now: WallTime) -> PeerHealth.Change? {
        change(verdict.key.peer) { $0.apply(verdict, now: now) }
    }

    func set(intent: Intent?, for peer: String, now: WallTime) -> PeerHealth.Change? {
        change(peer) { $0.set(intent: intent, now: now) }
    }

    func refresh(_ peer: String, now: WallTime) -> PeerHealth.Change? {
        change(peer) { $0.refresh(now: now) }
    }

    private func change(
        _ peer: String,
        _ body: (inout PeerHealth) -> PeerHealth.Change?
    ) -> PeerHealth.Change? {
        guard let place = places[peer] else { return nil }
        // In place: a copy of the entry would copy its verdicts at every probe.
        let change = body(&entries[place].health)
        cached = nil
        if let change, change.isVisible {
            let isBackup = entries[place].definition.isBackup
            count(change.from, isBackup: isBackup, by: -1)
            count(change.to, isBackup: isBackup, by: 1)
            touch()
        }
        return change
    }

    private func touch() {
        revision += 1
        cached = nil
    }

    // MARK: Panic

    private func recount() {
        counts = Counts()
        for entry in entries {
            count(entry.health.view, isBackup: entry.definition.isBackup, by: 1)
        }
    }

    private func count(_ view: PeerView, isBackup: Bool, by step: Int) {
        if isBackup {
            if view.isAvailable { counts.availableBackups += step }
            return
        }
        if view.routing != .maint && view.routing != .drain { counts.wanted += step }
        if view.isAvailable { counts.available += step }
    }

    /// Returns the new state when it changed.
    func updatePanic() -> Bool? {
        let next = Self.isPanic(counts, definition)
        if next == isPanic { return nil }
        isPanic = next
        touch()
        return next
    }

    /// Panic is a rule about doubt: when most peers seem dead at once, the checks are more likely
    /// wrong than the peers. Backups are what `all-down: backup` trusts instead.
    static func isPanic(_ counts: Counts, _ definition: UpstreamDefinition) -> Bool {
        guard definition.panicThreshold > 0, counts.wanted > 0 else { return false }
        switch definition.allDown {
        case .failClosed: return false
        case .backup where counts.availableBackups > 0: return false
        case .failOpen, .backup: break
        }
        return Double(counts.available) / Double(counts.wanted) < definition.panicThreshold
    }

    // MARK: Timers, which the board sets

    var tags: [Int] { entries.map(\.tag) }

    func setTag(_ tag: Int, of peer: String) {
        if let place = places[peer] { entries[place].tag = tag }
    }

    func setTimer(_ timer: TimerID, deadline: Instant, of peer: String) {
        guard let place = places[peer] else { return }
        entries[place].timer = timer
        entries[place].deadline = deadline
    }

    func clearTimer(of peer: String) { setTimer(.none, deadline: .distantFuture, of: peer) }

    func cancelTimers(on loop: EventLoop) {
        for entry in entries {
            loop.cancel(entry.timer)
            clearTimer(of: entry.definition.id)
        }
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
