// What is set of a source of routes that another system keeps? Plain values with every default filled in.

public import Checks
public import Health
public import Proxy
public import Redis
public import Vocabulary

/// What every source has.
public struct ForeignBase: Sendable {
    /// Tells sources apart, and names the upstream that its peers are in.
    public var name: String
    /// Where to read, and where to write: often the same.
    public var read: RedisURL
    public var write: RedisURL
    /// Where they say `rediss`.
    public var tls: RedisTLS?
    /// Begins every key.
    public var prefix: String
    /// Of the upstream, without peers.
    public var upstream: UpstreamDefinition
    public var monitors: [MonitorDefinition]
    public var manners = GroupManners()
    /// Tells requests that ask for it who answered them.
    public var tellsDebug = false
    /// Backends that have a name are asked for it.
    public var namesHosts = false
    /// How long a list is believed where the server does not tell of changes.
    public var refresh: Nanoseconds

    public init(
        name: String,
        read: RedisURL,
        write: RedisURL? = nil,
        tls: RedisTLS? = nil,
        prefix: String = "",
        upstream: UpstreamDefinition,
        monitors: [MonitorDefinition],
        refresh: Nanoseconds
    ) {
        self.name = name
        self.read = read
        self.write = write ?? read
        self.tls = tls
        self.prefix = prefix
        self.upstream = upstream
        self.monitors = monitors
        self.refresh = refresh
    }
}

/// `sources: - hipache: {…}`.
public struct HipacheSetting: Sendable {
    public var base: ForeignBase
    /// Takes the place of hipache-hchecker: says so in `hchecker_ping`, holds its locks, and leaves lists of
    /// one backend alone, as it did.
    public var isChecker = false
    /// Writes who is dead, and says it on the channel.
    public var marks = true

    public init(base: ForeignBase) { self.base = base }

    public static let refreshDefault = Nanoseconds.seconds(1)
}

/// `sources: - redis-keys: {…}`.
public struct RedisKeysSetting: Sendable {
    public var base: ForeignBase
    /// How long a host that is not there is believed not to be.
    public var missing: Nanoseconds

    public init(base: ForeignBase, missing: Nanoseconds = missingDefault) {
        self.base = base
        self.missing = missing
    }

    public static let refreshDefault = Nanoseconds.seconds(5)
    public static let missingDefault = Nanoseconds.seconds(5)
}

public enum ForeignSetting: Sendable {
    case hipache(HipacheSetting)
    case redisKeys(RedisKeysSetting)

    public var base: ForeignBase {
        switch self {
        case .hipache(let setting): setting.base
        case .redisKeys(let setting): setting.base
        }
    }

    /// The word of its sort.
    public var kind: String {
        switch self {
        case .hipache: "hipache"
        case .redisKeys: "redis-keys"
        }
    }
}
