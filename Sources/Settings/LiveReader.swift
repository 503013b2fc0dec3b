// What does somebody mean who defines a peer, a monitor, an upstream or a route through the API? What the
// same words would mean in the file: they pass the same readers, and their mistakes are told in the same words.

public import Checks
public import Health
public import Proxy
public import Vocabulary

/// A route that the API defined.
public struct LiveRoute: Hashable, Sendable {
    /// Every HTTP listener has it where it names none.
    public let listener: Address?
    public let route: RouteConfiguration
}

/// What a body says of an upstream, taken apart.
public struct LiveUpstream: Sendable {
    /// What holds of it as a whole, laid over the file's.
    public let definition: UpstreamDefinition
    public let peers: [(definition: PeerDefinition, body: JSON)]
    public let monitors: [(definition: MonitorDefinition, body: JSON)]
}

public struct LiveReader: Sendable {
    private let kinds: CheckRegistry
    /// What the file says of each upstream beside its peers and monitors.
    private let settings: [String: Setting]
    /// Whoever may define, or write into the store, may have every agent run a program of their choice.
    public var allowsPrograms: Bool

    public init(
        kinds: CheckRegistry = .builtin,
        settings: [String: Setting] = [:],
        allowsPrograms: Bool = false
    ) {
        self.kinds = kinds
        self.settings = settings
        self.allowsPrograms = allowsPrograms
    }

    /// A body as it would stand below the name of the upstream in the file. What holds of it as a whole is, of each
    /// setting, what the body says, where it does, and else what the file says.
    public func parts(
        ofUpstream name: String,
        _ body: JSON
    ) throws(ConfigurationError) -> LiveUpstream {
        if body.members == nil {
            throw ConfigurationError([
                SettingError(Self.nowhere, "expected an object, saw \(Excerpt.of(body.text.utf8))")
            ])
        }
        let (peerBodies, monitorBodies) = (body["peers"]?.items, body["monitors"]?.items)
        var whole = Setting(body, place: Self.body)
        if let file = settings[name] { whole = file.overlaid(by: whole) }
        return try read { reading in
            let place = Self.place(name)
            if let problem = Name.problem(in: name) {
                reading.report(SettingError(Self.nowhere, "\(place.path): \(problem)"))
            }
            guard var section = Section(whole, at: place, reading: reading) else { return nil }
            let peers = PeerReader(place: place.key("peers"), reading: reading)
                .read(section.list("peers"))
            let monitors = MonitorReader(
                place: place.key("monitors"),
                reading: reading,
                registry: kinds
            ).read(section.list("monitors"))
            UpstreamsReader.refusePeersThatNoProbeReaches(peers, monitors, reading)
            for monitor in monitors { refusePrograms(monitor, at: place.path, reading) }
            let definition = UpstreamsReader.definition(name, [], &section)
            section.finish()
            if !reading.mistakes.isEmpty { return nil }
            // One each, in order: what could not be read was reported.
            return LiveUpstream(
                definition: definition,
                peers: Array(zip(peers.map(\.definition), peerBodies ?? [])),
                monitors: Array(zip(monitors, monitorBodies ?? []))
            )
        }
    }

    /// Of what the body does not mention, what `file` says, where the file has the peer too.
    public func peer(
        _ body: JSON,
        over file: PeerDefinition? = nil
    ) throws(ConfigurationError) -> PeerDefinition {
        var peer: PeerDefinition = try read { reading in
            let place = Place(path: "peer", shape: "upstreams.*.peers[]")
            return PeerReader(place: place, reading: reading)
                .read(Setting(body, place: Self.body), at: place)?.definition
        }
        guard let file, let members = body.members else { return peer }
        let told = Set(members.map { $0.key.replacing("_", with: "-") })
        if !told.contains("weight") { peer.weight = file.weight }
        if !told.contains("backup") { peer.isBackup = file.isBackup }
        if !told.contains("down") { peer.isDisabled = file.isDisabled }
        if !told.contains("zone") { peer.zone = file.zone }
        if !told.contains("max-connections") { peer.maxConnections = file.maxConnections }
        if !told.contains("max-fails") { peer.maxFails = file.maxFails }
        if !told.contains("fail-timeout") { peer.failTimeout = file.failTimeout }
        return peer
    }

    public func monitor(_ body: JSON) throws(ConfigurationError) -> MonitorDefinition {
        try read { reading in
            let place = Place(path: "monitor", shape: "upstreams.*.monitors[]")
            let monitor = MonitorReader(place: place, reading: reading, registry: kinds)
                .readOne(Setting(body, place: Self.body), at: place)
            if let monitor { refusePrograms(monitor, at: place.path, reading) }
            return monitor
        }
    }

    /// `upstreams`: those that are there, where a route to another is refused. What another agent accepted
    /// may lead to what is not defined here, yet.
    public func route(
        _ body: JSON,
        among upstreams: [String]? = nil
    ) throws(ConfigurationError) -> LiveRoute {
        try read { reading in
            let place = Place(path: "route", shape: "proxy.listeners[].routes[]")
            let setting = Setting(body, place: Self.body)
            guard var section = Section(setting, at: place, reading: reading) else { return nil }
            let listener = section.address("listener")
            let route = ProxyReader.route(&section) { (setting, path) throws(SettingError) in
                let name = try setting.string(at: path)
                guard let upstreams, !upstreams.contains(name) else { return name }
                throw setting.unknownWord(name, among: upstreams, at: path)
            }
            section.finish()
            return route.map { LiveRoute(listener: listener, route: $0) }
        }
    }

    private func refusePrograms(
        _ monitor: MonitorDefinition,
        at path: String,
        _ reading: Reading
    ) {
        let base = kinds.base(of: monitor.kind)
        if allowsPrograms || !Self.programs.contains(base) { return }
        reading.report(
            SettingError(
                Self.nowhere,
                "\(path): expected a kind that runs no program, saw '\(monitor.kind)': define it in the "
                    + "configuration file, or say 'admin: {programs: true}' there"
            )
        )
    }

    private static let programs: Set = [CommandCheck.kind, ServiceCheck.kind]

    // MARK: Reading

    static let body = "body"
    private static let nowhere = Position(file: body, line: 0, column: 0)

    private static func place(_ name: String) -> Place {
        Place(path: "upstreams.\(name)", shape: "upstreams.*")
    }

    private func read<Value>(
        _ body: (Reading) -> Value?
    ) throws(ConfigurationError) -> Value {
        let reading = Reading()
        let value = body(reading)
        if let failure = reading.failure(files: []) { throw failure }
        guard let value else {
            throw ConfigurationError([SettingError(Self.nowhere, "expected a definition, saw none")]
            )
        }
        return value
    }
}

extension Setting {
    /// As the parser of a file would have made it: a text is a text, whatever it looks like.
    init(_ json: JSON, place: String) {
        let position = Position(file: place, line: 0, column: 0)
        if let text = json.string {
            self.init(.scalar(text, isQuoted: true), at: position)
        } else if let items = json.items {
            self.init(.list(items.map { Setting($0, place: place) }), at: position)
        } else if let members = json.members {
            let entries = members.map { member in
                Entry(
                    key: member.key,
                    position: position,
                    value: Setting(member.value, place: place)
                )
            }
            self.init(.map(entries), at: position)
        } else {
            // 5.0 is a whole number to a program that knows no other.
            let text = json.int.map { "\($0)" } ?? json.text
            self.init(.scalar(json.isNull ? "" : text, isQuoted: false), at: position)
            isTyped = true
        }
    }

    /// Of each key what `other` says, where it does.
    func overlaid(by other: Setting) -> Setting {
        guard case .map(let mine) = value, case .map(let theirs) = other.value else { return other }
        var entries = mine
        for entry in theirs {
            if let place = entries.firstIndex(where: { $0.key == entry.key }) {
                entries[place].value = entries[place].value.overlaid(by: entry.value)
            } else {
                entries.append(entry)
            }
        }
        return Setting(.map(entries), at: position)
    }
}

extension ConfigurationError {
    /// Whoever wrote it by hand gave the one name outside and another inside.
    public static func otherName(_ id: String, than name: String) -> ConfigurationError {
        ConfigurationError([
            SettingError(
                Position(file: LiveReader.body, line: 0, column: 0),
                "expected the id '\(name)', which it is written under, saw '\(id)'"
            )
        ])
    }
}
