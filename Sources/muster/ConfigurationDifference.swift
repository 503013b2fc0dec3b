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
        let sections: [(String, Bool, Details)] = [
            ("agent", old.agent == new.agent, Details("id", old.agent.id, new.agent.id)),
            ("store", old.store == new.store, Details(old.store, new.store)),
            ("proxy: threads, timeouts and limits", oldProxy == new.proxy, Details()),
            ("agent-check", old.agentCheck == new.agentCheck, Details()),
            (
                "admin", old.admin == new.admin,
                Details("bind", old.admin.bind, new.admin.bind)
            ),
            ("log", old.log == new.log, Details(old.log, new.log)),
        ]
        later = sections.filter { !$0.1 }.map { name, _, details in
            "\(name): from the next start on\(details.isEmpty ? "" : " (\(details.text))")"
        }
    }

    private mutating func compareUpstreams(_ old: MusterConfiguration, _ new: MusterConfiguration) {
        tell("upstream", old.upstreams.map(\.definition.name), new.upstreams.map(\.definition.name))
        var peers: (old: [String], new: [String], changed: [String]) = ([], [], [])
        var monitors: (old: [String], new: [String], changed: [String]) = ([], [], [])
        var settings: [String] = []
        let past = Dictionary(
            old.upstreams.map { ($0.definition.name, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        for upstream in new.upstreams {
            let name = upstream.definition.name
            guard let before = past[name] else { continue }
            let past = Dictionary(
                before.definition.peers.map { ($0.id, $0) },
                uniquingKeysWith: { first, _ in first }
            )
            peers.old += before.definition.peers.map { "\(name)/\($0.id)" }
            for peer in upstream.definition.peers {
                peers.new.append("\(name)/\(peer.id)")
                if let same = past[peer.id], same != peer {
                    peers.changed.append("\(name)/\(peer.id): \(Details(same, peer).text)")
                }
            }
            monitors.old += before.monitors.map { "\(name)/\($0.id)" }
            for monitor in upstream.monitors {
                monitors.new.append("\(name)/\(monitor.id)")
                let same = before.monitors.first { $0.id == monitor.id }
                if let same, !monitor.isLike(same) {
                    monitors.changed.append(
                        "\(name)/\(monitor.id): \(Details(same, monitor).text)"
                    )
                }
            }
            var definition = before.definition
            definition.peers = upstream.definition.peers
            if definition != upstream.definition {
                settings.append("\(name): \(Details(definition, upstream.definition).text)")
            }
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

/// What is different of one thing: `fall 2 → 5, interval 1s → 2s`.
private struct Details {
    private var parts: [String] = []

    var isEmpty: Bool { parts.isEmpty }
    /// What differs is not always something that has a short name.
    var text: String { isEmpty ? "other settings" : parts.joined(separator: ", ") }

    init() {}

    init<Value: Equatable>(_ name: String, _ old: Value, _ new: Value) { add(name, old, new) }

    private mutating func add<Value: Equatable>(_ name: String, _ old: Value?, _ new: Value?) {
        if old != new { parts.append("\(name) \(Self.word(old)) → \(Self.word(new))") }
    }

    /// As the configuration says it.
    private static func word<Value>(_ value: Value?) -> String {
        guard let value else { return "none" }
        if let value = value as? any RawRepresentable { return "\(value.rawValue)" }
        return "\(value)"
    }

    private static func occasions(_ trying: TryingDefinition) -> String {
        let words =
            TryingDefinition.Occasions.words.filter { trying.occasions.contains($0.occasion) }
            .map(\.word) + trying.statuses.map { "\($0)" }
        return words.isEmpty ? "none" : words.joined(separator: " ")
    }

    init(_ old: PeerDefinition, _ new: PeerDefinition) {
        add("address", old.address, new.address)
        add("weight", old.weight, new.weight)
        add("backup", old.isBackup, new.isBackup)
        add("down", old.isDisabled, new.isDisabled)
        add("max-fails", old.maxFails, new.maxFails)
        add("fail-timeout", old.failTimeout, new.failTimeout)
        add("max-connections", old.maxConnections, new.maxConnections)
    }

    init(_ old: UpstreamDefinition, _ new: UpstreamDefinition) {
        add("balance", old.balance.name, new.balance.name)
        add("slow-start", old.slowStart, new.slowStart)
        add(
            "panic-threshold",
            "\(Int(old.panicThreshold * 100))%",
            "\(Int(new.panicThreshold * 100))%"
        )
        add("on-down", old.onDown?.rawValue, new.onDown?.rawValue)
        add("all-down", old.allDown, new.allDown)
        add("retry-on", Self.occasions(old.trying), Self.occasions(new.trying))
        add("retries", old.trying.retries, new.trying.retries)
        add(
            "retry-budget",
            "\(Int(old.trying.budgetShare * 100))%, \(old.trying.budgetMin)",
            "\(Int(new.trying.budgetShare * 100))%, \(new.trying.budgetMin)"
        )
        add("retry-key", old.trying.key, new.trying.key)
        add("reuse", old.trying.reuse, new.trying.reuse)
    }

    init(_ old: MonitorDefinition, _ new: MonitorDefinition) {
        add("kind", old.kind, new.kind)
        add("interval", old.schedule.interval, new.schedule.interval)
        add("fast-interval", old.schedule.fastInterval, new.schedule.fastInterval)
        add("down-interval", old.schedule.downInterval, new.schedule.downInterval)
        add("timeout", old.schedule.timeout, new.schedule.timeout)
        add("rise", old.thresholds.rise, new.thresholds.rise)
        add("fall", old.thresholds.fall, new.thresholds.fall)
        add("required", old.isRequired, new.isRequired)
        add("observers", old.observers, new.observers)
        if old.fingerprint != new.fingerprint || old.confirm != new.confirm {
            parts.append("other settings")
        }
    }

    /// A URL may hold a password: that it differs is all that is told.
    init(_ old: StoreConfiguration, _ new: StoreConfiguration) {
        if old.kind != new.kind { parts.append("another url") }
        add("prefix", old.prefix, new.prefix)
        add("lease", old.lease, new.lease)
        add("state-file", old.stateFile, new.stateFile)
    }

    init(_ old: LogConfiguration, _ new: LogConfiguration) {
        add("level", old.level, new.level)
        add("format", old.format, new.format)
    }
}
