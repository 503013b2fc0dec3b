// What is a check? A configured value that can probe. It owns no timer, no counter and no
// connection between probes: the scheduler decides when, `HealthCounter` what a run of outcomes means.

public import DNS
public import EventLoop
public import Health
public import Vocabulary

/// A configured health check: immutable and cheap to copy.
public protocol Check: Sendable {
    /// The word that selects this kind in the configuration, for example `tcp`.
    static var kind: String { get }

    /// One line for `muster check --help` and the documentation.
    static var summary: String { get }

    /// How many outcomes turn a peer where the user does not say.
    static var defaultThresholds: Thresholds { get }

    /// Takes this kind's own settings. Whatever it leaves untaken is reported as a misspelling.
    init(options: inout Options) throws(SettingError)

    /// Probes `target` once. Returning means the probe ran; the outcome says what it found. Never
    /// runs longer than `context.deadline`.
    func probe(_ target: Target, in context: ProbeContext) async -> Outcome

    /// The same probe without a task, or nil where it needs one.
    func direct(_ target: Target) -> DirectPlan?
}

extension Check {
    /// HAProxy's: slow to believe, slower to give up.
    public static var defaultThresholds: Thresholds { Thresholds(rise: 2, fall: 3) }

    public func direct(_ target: Target) -> DirectPlan? { nil }
}

/// Whom to probe.
public struct Target: Sendable, Hashable {
    public var upstream: String
    public var peer: String
    public var address: Address

    public init(upstream: String, peer: String, address: Address) {
        self.upstream = upstream
        self.peer = peer
        self.address = address
    }
}

/// What a probe may use. Everything effectful enters here.
public struct ProbeContext: Sendable {
    /// The probe runs on this loop's thread.
    public let loop: EventLoop
    public let resolver: LoopBound<Resolver>
    public let started: Instant
    public let deadline: Instant
    /// Collects what was expected and seen, step by step; nil outside `--explain`.
    public let trace: Trace?
    /// Signs of life that peers sent; nil where none can be received.
    public let heartbeats: Heartbeats?

    public init(
        loop: EventLoop,
        resolver: LoopBound<Resolver>,
        started: Instant,
        deadline: Instant,
        trace: Trace? = nil,
        heartbeats: Heartbeats? = nil
    ) {
        self.loop = loop
        self.resolver = resolver
        self.started = started
        self.deadline = deadline
        self.trace = trace
        self.heartbeats = heartbeats
    }
}

/// The steps of one explained probe.
public final class Trace: @unchecked Sendable {
    public struct Step: Sendable, Hashable {
        /// Since the probe began.
        public var at: Nanoseconds
        /// `resolve`, `connect`, `tls`, `send`, `receive`, `expect`, `result`.
        public var phase: String
        public var text: String
    }

    /// Touched on the probe's loop only, and read after it ended.
    public private(set) var steps: [Step] = []
    private let started: Instant

    public init(started: Instant) { self.started = started }

    public func note(_ phase: String, _ text: @autoclosure () -> String) {
        steps.append(Step(at: Clock.instant() - started, phase: phase, text: text()))
    }
}
