// What does the `upstreams` section say? Peers, how to choose among them, and what watches them.

import Checks
import Health
import Vocabulary

/// The upstreams read, and what later sections may refer to.
struct UpstreamsReader {
    private(set) var configurations: [MonitoredUpstream] = []
    /// Every name written, also of upstreams with mistakes inside: one mistake, one report.
    private(set) var names: [String] = []
    private var isNamed: Set<String> = []
    /// Upstreams whose peers were all read, by name.
    private(set) var peers: [String: [String]] = [:]
    /// What is written of each beside its peers and monitors; none where nothing is.
    private(set) var settings: [String: Setting] = [:]

    /// Asked for each of a hundred thousand routes.
    func has(_ name: String) -> Bool { isNamed.contains(name) }

    /// The name of an upstream that is written in this configuration.
    func name(_ setting: Setting, at path: String) throws(SettingError) -> String {
        let name = try setting.string(at: path)
        if has(name) { return name }
        if names.isEmpty { throw setting.expected("an upstream; none is defined", at: path) }
        throw setting.unknownWord(name, among: names, at: path)
    }

    static let slowStartMax = Nanoseconds.seconds(86_400)

    static func read(_ section: Section?, registry: CheckRegistry) -> UpstreamsReader {
        var reader = UpstreamsReader()
        guard var section else { return reader }
        for entry in section.takeAll() {
            reader.names.append(entry.key)
            reader.isNamed.insert(entry.key)
            reader.add(entry, at: section.place.named(entry.key), section.reading, registry)
        }
        return reader
    }

    private mutating func add(
        _ entry: Setting.Entry,
        at place: Place,
        _ reading: Reading,
        _ registry: CheckRegistry
    ) {
        if let problem = Name.problem(in: entry.key) {
            reading.report(SettingError(entry.position, "\(place.path): \(problem)"))
        }
        guard var section = Section(entry.value, at: place, reading: reading) else { return }
        let before = reading.mistakes.count
        let peers = PeerReader(place: place.key("peers"), reading: reading)
            .read(section.list("peers"))
        if peers.isEmpty, reading.mistakes.count == before {
            reading.warn(entry.position, "\(place.path): no peers: requests are answered 503")
        }
        if reading.mistakes.count == before {
            self.peers[entry.key] = peers.map { $0.definition.id }
        }
        let monitors = MonitorReader(
            place: place.key("monitors"),
            reading: reading,
            registry: registry
        ).read(section.list("monitors"))
        Self.refusePeersThatNoProbeReaches(peers, monitors, reading)

        let definition = Self.definition(entry.key, peers.map { $0.definition }, &section)
        section.finish()
        keep(entry)
        configurations.append(
            MonitoredUpstream(definition: definition, monitors: monitors)
        )
    }

    /// What holds of an upstream as a whole.
    static func definition(
        _ name: String,
        _ peers: [PeerDefinition],
        _ section: inout Section
    ) -> UpstreamDefinition {
        var threshold: Position?
        let panicThreshold = section.read("panic-threshold") {
            (setting, path) throws(SettingError) in
            threshold = setting.position
            return try setting.share(at: path)
        }
        let definition = UpstreamDefinition(
            name: name,
            peers: peers,
            balance: BalanceReader.read(&section),
            slowStart: section.duration(
                "slow-start",
                in: .zero...slowStartMax,
                default: .zero
            ),
            panicThreshold: panicThreshold ?? UpstreamDefinition.panicThresholdDefault,
            onDown: section.word("on-down"),
            allDown: section.word("all-down") ?? .backup,
            trying: TryingReader.read(&section),
            eject: EjectReader.read(&section),
            queue: queue(&section),
            hedge: HedgeReader.read(&section),
            isLenient: section.bool("lenient", default: false),
            sticky: StickyReader.read(&section)
        )
        if let threshold, definition.allDown == .failClosed {
            section.reading.warn(
                threshold,
                "\(section.place.key("panic-threshold").path): has no effect under 'all-down: fail-closed', which never "
                    + "panics; leave one of the two out"
            )
        }
        return definition
    }

    /// Keeps what the file says beside peers and monitors: the API may say some of it otherwise.
    private mutating func keep(_ entry: Setting.Entry) {
        guard case .map(let entries) = entry.value.value else { return }
        let rest = entries.filter { $0.key != "peers" && $0.key != "monitors" }
        if rest.isEmpty { return }
        settings[entry.key] = Setting(.map(rest), at: entry.value.position)
    }

    static let queueMax = 1_000_000
    static let queueTimeout = Nanoseconds.milliseconds(1)...Nanoseconds.seconds(600)

    private static func queue(_ section: inout Section) -> QueueDefinition {
        var queue = QueueDefinition()
        guard var part = section.section("queue") else { return queue }
        queue.size = part.int("size", in: 0...queueMax) ?? queue.size
        queue.timeout = part.duration("timeout", in: queueTimeout, default: queue.timeout)
        part.finish()
        return queue
    }

    /// A check that goes to another port says so of every peer, and a socket has none.
    static func refusePeersThatNoProbeReaches(
        _ peers: [PeerReader.Peer],
        _ monitors: [MonitorDefinition],
        _ reading: Reading
    ) {
        for monitor in monitors {
            let refused = peers.compactMap { peer in
                monitor.check.problem(probing: peer.definition.address).map { (peer, $0) }
            }
            guard let (peer, first) = refused.first else { continue }
            var problem = first
            problem.message += " (monitor '\(monitor.id)', peer '\(peer.definition.id)'"
            if refused.count > 1 { problem.message += " and \(refused.count - 1) more" }
            problem.message += ")"
            reading.report(problem)
        }
    }
}
