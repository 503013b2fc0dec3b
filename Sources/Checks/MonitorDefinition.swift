// What is a monitor? A check of some kind with its schedule, its thresholds and its weight in the
// join: everything the scheduler needs, and nothing about whom it probes.

public import EventLoop
public import Health
public import Vocabulary

/// An upstream and what watches it: what a source of definitions has to say.
public struct MonitoredUpstream: Sendable {
    public var definition: UpstreamDefinition
    public var monitors: [MonitorDefinition]

    public init(definition: UpstreamDefinition, monitors: [MonitorDefinition]) {
        self.definition = definition
        self.monitors = monitors
    }
}

/// One configured monitor of an upstream.
public struct MonitorDefinition: Sendable {
    /// Unique in its upstream; the kind unless the user chose another.
    public var id: String
    public var kind: String
    public var check: any Check
    public var schedule: Schedule
    public var thresholds: Thresholds
    /// Its failure takes a peer down; the failure of any other monitor only degrades it.
    public var isRequired: Bool
    /// How many agents probe each peer.
    public var observers: Int
    /// Nil where nothing is said of it: a fleet has a default.
    public var confirm: Confirmation?
    /// Differs where the check's own settings do, within one run of the program.
    public var fingerprint: Int
    /// The same for the same settings on every agent.
    public var digest: UInt64
    /// What the check was made of, as it was then.
    public var files: [String: FileStamp?]

    public init(
        id: String,
        kind: String,
        check: any Check,
        schedule: Schedule,
        thresholds: Thresholds,
        isRequired: Bool = true,
        observers: Int = 1,
        confirm: Confirmation? = nil,
        fingerprint: Int = 0,
        digest: UInt64 = 0,
        files: [String: FileStamp?] = [:]
    ) {
        self.id = id
        self.kind = kind
        self.check = check
        self.schedule = schedule
        self.thresholds = thresholds
        self.isRequired = isRequired
        self.observers = observers
        self.confirm = confirm
        self.fingerprint = fingerprint
        self.digest = digest
        self.files = files
    }

    /// The same schedule, thresholds and settings as written.
    public func isLike(_ other: MonitorDefinition) -> Bool {
        kind == other.kind && schedule == other.schedule && thresholds == other.thresholds
            && isRequired == other.isRequired && observers == other.observers
            && confirm == other.confirm && fingerprint == other.fingerprint && files == other.files
    }

    /// Below this a probe is load, not observation.
    public static let intervalMin = Nanoseconds.milliseconds(10)
    public static let intervalMax = Nanoseconds.seconds(86_400)
    public static let intervalDefault = Nanoseconds.seconds(2)
    public static let timeoutDefault = Nanoseconds.seconds(1)
    /// A quickened probe does not come faster than this unless the interval itself is shorter.
    public static let fastIntervalFloor = Nanoseconds.milliseconds(250)
    public static let observersMax = 16
    public static let idBytesMax = 64
}

/// A second opinion before a peer goes down.
public struct Confirmation: Hashable, Sendable {
    public enum Quorum: Hashable, Sendable {
        /// More than half of all votes.
        case majority
        /// The owner and any one of those it asked.
        case any
        /// Everybody.
        case all
        /// So many, the owner's own vote among them.
        case votes(Int)
    }

    /// How many other agents are asked.
    public var agents: Int
    public var quorum: Quorum

    public static let agentsMax = 16
    /// Nobody is asked, and nobody else decides.
    public static let off = Confirmation(agents: 0)

    public init(agents: Int, quorum: Quorum = .majority) {
        self.agents = agents
        self.quorum = quorum
    }

    /// Failing votes that take the peer down, the owner's own among them, of so many that there are: one of each agent
    /// that is asked, and of each that probes the peer anyhow.
    public func needed(of votes: Int) -> Int {
        switch quorum {
        case .majority: votes / 2 + 1
        case .any: 2
        case .all: votes
        case .votes(let count): count
        }
    }
}

// MARK: From settings

extension MonitorDefinition {
    /// Takes the settings that every monitor has and hands the rest to the kind.
    public static func make(
        _ kind: String,
        from options: Options,
        registry: CheckRegistry = .builtin
    ) throws(SettingError) -> MonitorDefinition {
        var options = options
        let id = try takeID(&options, default: kind)
        let schedule = try takeSchedule(&options)
        let defaults = registry.thresholds(of: kind)
        let counts = 1...Thresholds.countMax
        let rise = try options.int("rise", in: counts) ?? defaults.rise
        let fall = try options.int("fall", in: counts) ?? defaults.fall
        let isRequired = try options.bool("required") ?? true
        let observers = try options.int("observers", in: 1...observersMax) ?? 1
        let confirm = try takeConfirmation(&options, observers)
        let check = try registry.make(kind, from: options, on: schedule)
        return MonitorDefinition(
            id: id,
            kind: kind,
            check: check,
            schedule: schedule,
            thresholds: Thresholds(rise: rise, fall: fall),
            isRequired: isRequired,
            observers: observers,
            confirm: confirm,
            fingerprint: registry.fingerprint(kind, options),
            digest: registry.digest(kind, options),
            files: Dictionary(
                check.files.map { ($0, FileStamp(of: $0)) },
                uniquingKeysWith: { first, _ in first }
            )
        )
    }

    private static func takeID(
        _ options: inout Options,
        default kind: String
    ) throws(SettingError) -> String {
        guard let setting = options.take("id") else { return kind }
        let path = "\(options.path).id"
        let id = try setting.string(at: path)
        guard Name.isName(id, atMost: idBytesMax) else {
            throw setting.expected(
                "1 to \(idBytesMax) letters, digits, '.', '_' or '-'",
                at: path
            )
        }
        return id
    }

    private static func takeSchedule(_ options: inout Options) throws(SettingError) -> Schedule {
        let range = intervalMin...intervalMax
        let interval = try options.duration("interval", in: range) ?? intervalDefault
        let timeout = try takeSpan("timeout", notAbove: interval, from: &options)
        let fast = try takeSpan("fast-interval", notAbove: interval, from: &options)
        return Schedule(
            interval: interval,
            fastInterval: fast
                ?? max(Nanoseconds(interval.count / 4), min(interval, fastIntervalFloor)),
            downInterval: try options.duration("down-interval", in: range) ?? interval,
            timeout: timeout ?? min(timeoutDefault, interval)
        )
    }

    /// A probe that may outlast the interval would overlap the next one.
    private static func takeSpan(
        _ key: String,
        notAbove interval: Nanoseconds,
        from options: inout Options
    ) throws(SettingError) -> Nanoseconds? {
        guard let setting = options.take(key) else { return nil }
        let path = "\(options.path).\(key)"
        let span = try setting.duration(in: .milliseconds(1)...intervalMax, at: path)
        guard span <= interval else {
            throw SettingError(
                setting.position,
                "\(path): expected at most the interval of \(interval), saw \(span)"
            )
        }
        guard key == "timeout" || span >= intervalMin else {
            throw setting.expected("a duration from \(intervalMin) to \(interval)", at: path)
        }
        return span
    }

    private static func takeConfirmation(
        _ options: inout Options,
        _ observers: Int
    ) throws(SettingError) -> Confirmation? {
        guard let setting = options.take("confirm"), !setting.isNull else { return nil }
        let path = "\(options.path).confirm"
        if let text = try? setting.string(at: path) {
            guard text == "off" else { throw setting.expected("settings, or off", at: path) }
            return .off
        }
        var inner = try Options(setting, path: path)
        guard let agents = try inner.int("agents", in: 1...Confirmation.agentsMax) else {
            throw inner.missing("agents")
        }
        var confirm = Confirmation(agents: agents)
        if let quorum = inner.take("quorum") {
            confirm.quorum = try self.quorum(quorum, at: "\(path).quorum")
            let votes = agents + observers
            let needed = confirm.needed(of: votes)
            guard needed <= votes else {
                let beside = observers > 1 ? " + \(observers - 1) that probe it too" : ""
                throw SettingError(
                    quorum.position,
                    "\(path).quorum: expected at most \(votes) votes (\(agents) asked + "
                        + "1 of the owner\(beside)), saw \(needed): it could never be reached"
                )
            }
        }
        try inner.finish()
        return confirm
    }

    private static func quorum(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> Confirmation.Quorum {
        let text = try setting.string(at: path)
        switch text {
        case "majority": return .majority
        case "any": return .any
        case "all": return .all
        default:
            guard let votes = Int(text), "\(votes)" == text else {
                throw setting.unknownWord(text, among: ["majority", "any", "all"], at: path)
            }
            guard votes >= 1 else { throw setting.expected("at least 1 vote", at: path) }
            return .votes(votes)
        }
    }
}
