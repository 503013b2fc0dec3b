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

    private var entries: [String: Entry] = [:]
    private var monitorNames: Set<String> = []
    private var cached: UpstreamView?

    init(definition: UpstreamDefinition, monitors: [MonitorSummary]) {
        self.definition = definition
        self.monitors = monitors
    }

    // MARK: Reading

    func has(_ peer: String) -> Bool { entries[peer] != nil }

    func expects(_ key: VerdictKey) -> Bool {
        entries[key.peer] != nil && monitorNames.contains(key.monitor)
    }

    func entry(of peer: String) -> Entry? { entries[peer] }

    func peerView(of peer: String) -> PeerView? { entries[peer]?.health.view }

    func verdict(of peer: String, by monitor: String) -> Verdict? {
        entries[peer]?.health.verdicts[monitor]
    }

    func report(of peer: String) -> PeerReport? {
        guard let entry = entries[peer] else { return nil }
        return PeerReport(
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
            peers: definition.peers.compactMap { report(of: $0.id) },
            monitors: monitors
        )
        cached = built
        return built
    }

    private var status: UpstreamStatus {
        let views = entries.values.map(\.health.view)
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
        let known = Set(definition.peers.map(\.id))
        let removed = entries.filter { !known.contains($0.key) }
        for peer in removed.keys { entries[peer] = nil }
        let names = Set(monitors.map(\.id))
        let gone = monitorNames.subtracting(names)
        var added: [String] = []
        var changes: Changes = []

        self.definition = definition
        self.monitors = monitors
        monitorNames = names
        for peer in definition.peers {
            let policy = policy(of: peer)
            guard var entry = entries[peer.id] else {
                entries[peer.id] = Entry(
                    definition: peer,
                    health: PeerHealth(policy: policy, now: now)
                )
                added.append(peer.id)
                continue
            }
            let before = entry.health.view
            entry.definition = peer
            for monitor in gone { _ = entry.health.forget(monitor: monitor, now: now) }
            if entry.health.policy != policy { _ = entry.health.set(policy: policy, now: now) }
            entries[peer.id] = entry
            let after = entry.health.view
            if before != after {
                changes.append((peer.id, PeerHealth.Change(from: before, to: after)))
            }
        }
        recount()
        touch()
        return (Array(removed.values), added, changes)
    }

    private func policy(of peer: PeerDefinition) -> PeerPolicy {
        PeerPolicy(
            weight: peer.weight,
            slowStart: definition.slowStart,
            isDisabled: peer.isDisabled,
            requiredMonitors: Set(monitors.filter(\.isRequired).map(\.id))
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
        guard let index = entries.index(forKey: peer) else { return nil }
        // In place: a copy of the entry would copy its dictionary of verdicts at every probe.
        let change = body(&entries.values[index].health)
        cached = nil
        if let change, change.isVisible {
            let isBackup = entries.values[index].definition.isBackup
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
        for entry in entries.values {
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

    var tags: [Int] { entries.values.map(\.tag) }

    func setTag(_ tag: Int, of peer: String) { entries[peer]?.tag = tag }

    func setTimer(_ timer: TimerID, deadline: Instant, of peer: String) {
        entries[peer]?.timer = timer
        entries[peer]?.deadline = deadline
    }

    func clearTimer(of peer: String) {
        entries[peer]?.timer = .none
        entries[peer]?.deadline = .distantFuture
    }

    func cancelTimers(on loop: EventLoop) {
        for (peer, entry) in entries {
            loop.cancel(entry.timer)
            clearTimer(of: peer)
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
