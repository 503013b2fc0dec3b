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

    /// A probe connects to the target's address by itself, so each address of a name is probed. Not
    /// so where a program is given the name, or where nobody is asked at all.
    static var probesEachAddress: Bool { get }

    /// False where a probe only looks at what has come already, and so holds its place for no time.
    static var waitsForAnswer: Bool { get }

    /// False where somebody else finds out where the target's name is: a proxy, for example.
    var resolvesNames: Bool { get }

    /// A probe that takes longer warns; nil where none does.
    var slowness: Nanoseconds? { get }

    /// What it was made of and does not read again: another state of one of them is another check.
    var files: [String] { get }

    /// Takes this kind's own settings. Whatever it leaves untaken is reported as a misspelling.
    init(options: inout Options) throws(SettingError)

    /// What of its settings could never come true on `schedule`, which belongs to the monitor; nil
    /// where all of them can. What contradicts itself without it, `init` refuses.
    func problem(on schedule: Schedule) -> SettingError?

    /// Why it can never probe `peer`, whatever is there; nil where it can.
    func problem(probing peer: Address) -> SettingError?

    /// What is taken and looks like a mistake all the same: a program that is not there, for example.
    func warnings(on schedule: Schedule) -> [SettingError]

    /// Probes `target` once. Returning means the probe ran; the outcome says what it found. Never
    /// runs longer than `context.deadline`.
    func probe(_ target: Target, in context: ProbeContext) async -> Outcome

    /// The same probe without a task, or nil where it needs one.
    func direct(_ target: Target) -> DirectPlan?
}

extension Check {
    /// HAProxy's: slow to believe, slower to give up.
    public static var defaultThresholds: Thresholds { Thresholds(rise: 2, fall: 3) }

    public static var probesEachAddress: Bool { true }

    public static var waitsForAnswer: Bool { true }

    public var resolvesNames: Bool { true }

    public var slowness: Nanoseconds? { nil }

    public var files: [String] { [] }

    public func problem(on schedule: Schedule) -> SettingError? { nil }

    public func problem(probing peer: Address) -> SettingError? { nil }

    public func warnings(on schedule: Schedule) -> [SettingError] { [] }

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
    /// The one address of a name that this probe is for; nil where it takes what answers.
    var pinned: PinnedAddress?
    /// Collects what was expected and seen, step by step; nil outside `--explain`.
    public fileprivate(set) var trace: Trace?
    /// Signs of life that peers sent; nil where none can be received.
    public let heartbeats: Heartbeats?
    /// When a sign of life of this peer was first asked for; nil where nobody knows.
    let listensFrom: Instant?
    /// Long-lived programs that are asked; nil where none can be run.
    public let services: LoopBound<Services>?

    public init(
        loop: EventLoop,
        resolver: LoopBound<Resolver>,
        started: Instant,
        deadline: Instant,
        trace: Trace? = nil,
        heartbeats: Heartbeats? = nil,
        listensFrom: Instant? = nil,
        services: LoopBound<Services>? = nil
    ) {
        self.loop = loop
        self.resolver = resolver
        self.started = started
        self.deadline = deadline
        self.trace = trace
        self.heartbeats = heartbeats
        self.listensFrom = listensFrom
        self.services = services
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
    private let loop: EventLoop

    /// Of a probe that began at `started` on `loop`.
    public init(started: Instant, on loop: EventLoop) {
        self.started = started
        self.loop = loop
    }

    public func note(_ phase: String, _ text: @autoclosure () -> String) {
        steps.append(Step(at: loop.instant - started, phase: phase, text: text()))
    }

    /// What another trace of the same probe has, after what is here.
    func append(_ other: Trace) { steps += other.steps }
}

/// One address of a name, as resolved for this probe.
struct PinnedAddress: Sendable {
    var host: String
    /// An IP literal.
    var ip: String
    /// What resolving took.
    var took: Nanoseconds
}

extension ProbeContext {
    /// The same for one address of the target's name, with a trace of its own.
    func pinned(to address: PinnedAddress) -> ProbeContext {
        var context = self
        context.pinned = address
        if trace != nil { context.trace = Trace(started: started, on: loop) }
        return context
    }
}
