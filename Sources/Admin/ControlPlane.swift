// What may the API ask of the rest of the process? The values of the control loop, each of which is
// opened only there.

public import AgentCheck
public import Checks
public import EventLoop
public import Monitor
public import Proxy
public import Store
public import Vocabulary

/// The control plane as the API sees it.
public struct ControlPlane: Sendable {
    public var agent: String
    public var startedAt: WallTime
    public var loop: EventLoop
    public var board: LoopBound<Board>
    public var scheduler: LoopBound<Scheduler>
    public var store: LoopBound<any Store>
    public var proxy: LoopBound<Proxy>
    public var endpoint: LoopBound<AgentEndpoint>
    public var heartbeats: LoopBound<Heartbeats>

    public init(
        agent: String,
        startedAt: WallTime,
        loop: EventLoop,
        board: LoopBound<Board>,
        scheduler: LoopBound<Scheduler>,
        store: LoopBound<any Store>,
        proxy: LoopBound<Proxy>,
        endpoint: LoopBound<AgentEndpoint>,
        heartbeats: LoopBound<Heartbeats>
    ) {
        self.agent = agent
        self.startedAt = startedAt
        self.loop = loop
        self.board = board
        self.scheduler = scheduler
        self.store = store
        self.proxy = proxy
        self.endpoint = endpoint
        self.heartbeats = heartbeats
    }

    /// Runs `body` on the control loop, where it may await what lives there.
    func run<Answer: Sendable>(
        _ body: @escaping @Sendable () async -> Answer
    ) async -> Answer {
        await Task(executorPreference: loop) { await body() }.value
    }
}
