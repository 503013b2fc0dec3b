// What shall this process do? Everything a configuration file says, as plain values with every
// default filled in. Nothing here reads a file: `MusterConfiguration.load` does.

public import AgentCheck
public import Checks
public import Foreign
public import Notify
public import Proxy
public import Redis
public import Store
public import Telemetry
public import Vocabulary

public struct MusterConfiguration: Sendable {
    public var agent = AgentConfiguration(id: "muster")
    public var store = StoreConfiguration()
    /// The drop-in folder of check kinds. Need not exist.
    public var checksDirectory = "checks.d"
    public var upstreams: [MonitoredUpstream] = []
    /// Reads what the API defines, beside what this file says.
    public var live = LiveReader()
    /// Routes and peers that other systems keep, and each as it was written.
    public var sources: [ForeignSetting] = []
    public var sourcesContents: [String] = []
    /// Without listeners nothing is proxied.
    public var proxy = ProxyConfiguration()
    /// Nil when no load balancer shall ask.
    public var agentCheck: AgentCheckConfiguration?
    public var admin = AdminConfiguration()
    public var log = LogConfiguration()
    /// Nil where there is no page for everybody.
    public var statusPage: StatusPageSetting?
    /// How much of the past is kept.
    public var history = History.Rules()
    /// Who is told of transitions.
    public var notify: [Receiver] = []
    /// When peers are in `maint` by the calendar.
    public var maintenance: [MaintenanceWindow] = []
    /// Nil where nothing is recorded for traces.
    public var tracing: TracingSetting?
    /// Every file that was read, the main one first.
    public var files: [String] = []
    /// What is wrong without being a reason to refuse the whole: drop-in kinds that nothing uses,
    /// programs that are not there.
    public var warnings: [SettingError] = []
    /// What runs as it says, and is worth a thought before: for `muster validate` alone.
    public var advice: [SettingError] = []

    public init() {}
}

public struct AgentConfiguration: Hashable, Sendable {
    /// Tells the agents of a fleet apart. The host name unless chosen.
    public var id: String
    /// Where it stands: its requests go first to peers of the same zone.
    public var zone: String?
    /// Its share of the probing beside those of others.
    public var weight = 1.0
    /// Whether it probes at all, where others do.
    public var probes = true

    public init(id: String) { self.id = id }
}

/// Where states live.
public struct StoreConfiguration: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// In this process alone.
        case embedded
        /// As `RedisURL` reads it.
        case redis(url: String)
    }

    public var kind = Kind.embedded
    /// `store.tls`; without it the authorities of the system are believed where the URL says `rediss`.
    public var tls: RedisTLS?
    /// Begins every key in Redis.
    public var prefix = "muster:"
    /// How long a silent agent counts as alive.
    public var lease = Nanoseconds.seconds(3)
    /// How long a newcomer lives before it gets work.
    public var settle = Nanoseconds.seconds(3)
    /// What becomes of it when too many peers would go down at once.
    public var massChange = MassChangeConfiguration()
    /// States for a cold start. Nil keeps them in memory only.
    public var stateFile: String?

    public init() {}
}

/// `store.mass-change`.
public struct MassChangeConfiguration: Hashable, Sendable {
    public enum Action: String, Sendable, CaseIterable { case hold, publish }

    /// Of the pairs that this agent probes.
    public var share = 0.5
    public var within = Nanoseconds.seconds(5)
    public var action = Action.hold

    public init() {}
}

/// The endpoint that HAProxy asks.
public struct AgentCheckConfiguration: Hashable, Sendable {
    /// One port for all peers: `agent-send "upstream/peer\n"` names the one asked for.
    public var bind: Address
    public var ports: [AgentEndpoint.PeerPort]
    public var policy = AgentCheckPolicy()
    /// Which admin words are still owed an answer, over restarts. Without it a drain lifted while
    /// muster was away stays in HAProxy.
    public var memoryFile: String?

    public init(bind: Address, ports: [AgentEndpoint.PeerPort] = []) {
        self.bind = bind
        self.ports = ports
    }
}

/// API, dashboard and metrics.
public struct AdminConfiguration: Hashable, Sendable {
    public var bind = Address.host("127.0.0.1", port: 7_000)
    /// One of these a writing request must present. Required unless only this machine can ask.
    public var tokens: [AdminToken] = []
    /// Reading takes a token too.
    public var protectsReads = false
    /// Names that lead here, beside localhost and addresses.
    public var hosts: [String] = []
    /// Permission bits and group of a unix socket; nil leaves what the process's umask makes.
    public var mode: UInt32?
    public var group: UInt32?
    /// Serves over TLS, and not without it.
    public var identity: TLSIdentity?
    /// Latency histograms for each peer, not only for each monitor.
    public var hasMetricsPerPeer = false
    /// And for each route of the proxy.
    public var hasMetricsPerRoute = false
    /// Monitors that run a program may be defined through the API, and are believed of the store.
    public var allowsPrograms = false
    /// Where scripts of older systems add and remove peers; nil where none do.
    public var compatConfig: CompatConfigSetting?
    /// Where scripts that manage a durpina find one; nil where none do.
    public var compatDurpina: Address?
    /// Where tools made for HAProxy's socket find one; nil where none do.
    public var haproxySocket: HAProxySocketSetting?

    public init() {}
}

/// `admin.compat-config`: the `/config` of one upstream.
public struct CompatConfigSetting: Hashable, Sendable {
    public var bind: Address
    public var upstream: String

    /// A token is not asked for where only this machine can connect: the scripts have none.
    public var takesToken: Bool { Self.takesToken(at: bind) }
    public static func takesToken(at bind: Address) -> Bool { !bind.isLocal }

    public init(bind: Address, upstream: String) {
        self.bind = bind
        self.upstream = upstream
    }
}

/// `admin.haproxy-socket`.
public struct HAProxySocketSetting: Hashable, Sendable {
    public var bind: Address
    /// Permission bits and group of a unix socket; nil leaves what the process's umask makes.
    public var mode: UInt32?
    public var group: UInt32?

    public init(bind: Address, mode: UInt32? = nil, group: UInt32? = nil) {
        self.bind = bind
        self.mode = mode
        self.group = group
    }
}

/// A word that lets in, and how far.
public struct AdminToken: Hashable, Sendable {
    public enum Scope: String, Sendable, CaseIterable { case read, operate, admin }

    public var token: String
    public var scope: Scope

    public init(token: String, scope: Scope) {
        self.token = token
        self.scope = scope
    }
}

/// PEM files with which a server proves who it is.
public struct TLSIdentity: Hashable, Sendable {
    /// The certificate, and after it those that lead to the authority.
    public var certificateFile: String
    public var keyFile: String

    public init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

public struct LogConfiguration: Hashable, Sendable {
    /// swift-log's words.
    public enum Level: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }
    public enum Format: String, Sendable, CaseIterable {
        case text, json
    }

    public var level = Level.info
    public var format = Format.text

    public init() {}
}

/// `status-page`: what everybody may see.
public struct StatusPageSetting: Hashable, Sendable {
    public var bind: Address
    public var title = "Status"
    /// Empty for all.
    public var upstreams: [String] = []

    public init(bind: Address) { self.bind = bind }
}
