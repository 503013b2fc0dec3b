// What may the API ask of the rest of the process? The values of the control loop, each of which is
// opened only there.

public import AgentCheck
public import Checks
public import EventLoop
public import Ledger
public import Monitor
public import Notify
public import Proxy
public import Spans
public import Store
public import TLS
public import Tracing
public import Vocabulary

/// The control plane as the API sees it.
public struct ControlPlane: Sendable {
    public var agent: String
    public var startedAt: WallTime
    /// The same by the clock that nobody sets.
    let began: Instant
    public var loop: EventLoop
    public var board: LoopBound<Board>
    public var scheduler: LoopBound<Scheduler>
    public var store: LoopBound<any Store>
    /// The door for everything that is written.
    public var operations: LoopBound<Operations>
    /// Nil where nothing has to survive a restart.
    public var ledger: LoopBound<Ledger>?
    public var proxy: LoopBound<Proxy>
    public var endpoint: LoopBound<AgentEndpoint>
    public var heartbeats: LoopBound<Heartbeats>
    public var reload: Reload
    /// Which configuration runs, and whether a newer one was refused.
    public var configuration: LoopBound<ConfigurationRecord>?
    /// Of the admin address; nil where it speaks no TLS.
    public var certificate: ServerCertificate?
    /// Wakes readers of events; nil where none are told.
    public var feed: LoopBound<EventFeed>?
    /// Decides what may be defined; nil where nothing may.
    public var definer: LoopBound<any Definer>?
    /// What was; nil where nothing is remembered.
    public var history: LoopBound<History>?
    /// What of it is kept on the disk; nil where nothing is.
    public var historyFile: LoopBound<Ledger>?
    /// Tells receivers of transitions; nil where none is told.
    public var notifier: LoopBound<Notifier>?
    /// Where in the configuration file something is defined; nil where it is not.
    public var place: @Sendable (LiveKey) async -> String? = { _ in nil }
    /// How the sources of routes are that other systems keep.
    public var sources: @Sendable () async -> [SourceStatus] = { [] }
    /// Who asked for what is told here.
    public var journal = Journal.silent
    /// How many lines of the log nobody read.
    public var logDropped: @Sendable () -> UInt64 = { 0 }

    /// Who records what is asked to be changed; nil where nobody does.
    public var tracer: (any Tracer)?
    /// How spans get on; nil where none are made.
    public var spans: @Sendable () -> SpanBatcher.Status? = { nil }

    /// Who may open how many descriptors; nil where nobody counts.
    public var budget: DescriptorBudget?
    public var version = ""
    /// Where this agent stands.
    public var zone: String?
    /// Metrics have histograms for each peer, not only for each monitor.
    public var hasMetricsPerPeer = false
    /// And for each route.
    public var hasMetricsPerRoute = false

    /// Reads the configuration again.
    public typealias Reload = @Sendable () async -> ReloadAnswer

    public init(
        agent: String,
        startedAt: WallTime,
        loop: EventLoop,
        board: LoopBound<Board>,
        scheduler: LoopBound<Scheduler>,
        store: LoopBound<any Store>,
        operations: LoopBound<Operations>,
        ledger: LoopBound<Ledger>?,
        proxy: LoopBound<Proxy>,
        endpoint: LoopBound<AgentEndpoint>,
        heartbeats: LoopBound<Heartbeats>,
        reload: @escaping Reload
    ) {
        self.agent = agent
        self.startedAt = startedAt
        began = loop.instant
        self.loop = loop
        self.board = board
        self.scheduler = scheduler
        self.store = store
        self.operations = operations
        self.ledger = ledger
        self.proxy = proxy
        self.endpoint = endpoint
        self.heartbeats = heartbeats
        self.reload = reload
    }

    /// Runs `body` on the control loop, where it may await what lives there.
    func run<Answer: Sendable>(
        _ body: @escaping @Sendable () async -> Answer
    ) async -> Answer {
        await Task(executorPreference: loop) { await body() }.value
    }
}

/// What became of an attempt to read the configuration again.
public enum ReloadAnswer: Sendable {
    /// What is different now, what the next start will bring, and what is worth a thought: one line each.
    case done(changes: [String], later: [String], warnings: [String])
    /// What is wrong; everything is as it was.
    case refused([String])
}
