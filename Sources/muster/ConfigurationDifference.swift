// What is different between two configurations? Told to the operator who reloads: what changes now,
// and what has to wait for the next start.

import Checks
import Health
import Settings

/// The way from one configuration to the next, in lines.
struct ConfigurationDifference {
    private(set) var changes: [String] = []
    /// Sections that are read once, at the start.
    private(set) var later: [String] = []

    /// Of one kind of change no more names are told than this.
    static let namesMax = 10

    init(from old: MusterConfiguration, to new: MusterConfiguration) {
        compareUpstreams(old, new)
        tell(
            "listener",
            old.proxy.listeners.map { "\($0.bind)" },
            new.proxy.listeners.map { "\($0.bind)" }
        )
        let binds = Set(old.proxy.listeners.map(\.bind))
        let others = new.proxy.listeners.filter {
            binds.contains($0.bind) && !old.proxy.listeners.contains($0)
        }
        tell("changed: listener", others.map { "\($0.bind)" })

        var oldProxy = old.proxy
        oldProxy.listeners = new.proxy.listeners
        let sections: [(String, Bool)] = [
            ("agent", old.agent == new.agent),
            ("store", old.store == new.store),
            ("proxy: threads, timeouts and limits", oldProxy == new.proxy),
            ("agent-check", old.agentCheck == new.agentCheck),
            ("admin", old.admin == new.admin),
            ("log", old.log == new.log),
        ]
        later = sections.filter { !$0.1 }.map { "\($0.0): from the next start on" }
    }

    private mutating func compareUpstreams(_ old: MusterConfiguration, _ new: MusterConfiguration) {
        tell("upstream", old.upstreams.map(\.definition.name), new.upstreams.map(\.definition.name))
        var peers: (old: [String], new: [String], changed: [String]) = ([], [], [])
        var monitors: (old: [String], new: [String], changed: [String]) = ([], [], [])
        var settings: [String] = []
        for upstream in new.upstreams {
            let name = upstream.definition.name
            guard let before = old.upstreams.first(where: { $0.definition.name == name }) else {
                continue
            }
            let past = Dictionary(
                before.definition.peers.map { ($0.id, $0) },
                uniquingKeysWith: { first, _ in first }
            )
            peers.old += before.definition.peers.map { "\(name)/\($0.id)" }
            for peer in upstream.definition.peers {
                peers.new.append("\(name)/\(peer.id)")
                if let same = past[peer.id], same != peer {
                    peers.changed.append("\(name)/\(peer.id)")
                }
            }
            monitors.old += before.monitors.map { "\(name)/\($0.id)" }
            for monitor in upstream.monitors {
                monitors.new.append("\(name)/\(monitor.id)")
                let same = before.monitors.first { $0.id == monitor.id }
                if let same, !monitor.isLike(same) {
                    monitors.changed.append("\(name)/\(monitor.id)")
                }
            }
            var definition = before.definition
            definition.peers = upstream.definition.peers
            if definition != upstream.definition { settings.append(name) }
        }
        tell("changed: upstream", settings)
        tell("peer", peers.old, peers.new)
        tell("changed: peer", peers.changed)
        tell("monitor", monitors.old, monitors.new)
        tell("changed: monitor", monitors.changed)
    }

    private mutating func tell(_ what: String, _ old: [String], _ new: [String]) {
        let (before, after) = (Set(old), Set(new))
        tell("new: \(what)", new.filter { !before.contains($0) })
        tell("gone: \(what)", old.filter { !after.contains($0) })
    }

    private mutating func tell(_ what: String, _ names: [String]) {
        if names.isEmpty { return }
        var line = "\(what)\(names.count == 1 ? "" : "s") "
        line += names.prefix(Self.namesMax).joined(separator: ", ")
        if names.count > Self.namesMax { line += " and \(names.count - Self.namesMax) more" }
        changes.append(line)
    }
}

extension MonitorDefinition {
    /// The same schedule, thresholds and settings as written.
    fileprivate func isLike(_ other: MonitorDefinition) -> Bool {
        kind == other.kind && schedule == other.schedule && thresholds == other.thresholds
            && isRequired == other.isRequired && observers == other.observers
            && confirm == other.confirm && fingerprint == other.fingerprint
    }
}
