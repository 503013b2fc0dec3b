// How do spans get to their receiver? On a loop of its own: whoever hands one in puts it into the queue and goes
// on, whatever the receiver does. When something is sent, and what is dropped, decides `SpanBatcher`.

import Checks
import DNS
import EventLoop
public import Spans
import Synchronization
public import Vocabulary

/// Sends spans on. Lives on any thread, works on its loop.
public final class SpanExporter: Sendable {
    private let batcher: Mutex<SpanBatcher>
    private let loop: EventLoop
    private let resolver: LoopBound<Resolver>
    private let sender: LoopBound<Sender>
    private let journal: Journal
    /// Of the ids that the tracer makes.
    private let seed: UInt64

    private init(
        _ setting: TracingSetting,
        resource: [SpanRecord.Attribute],
        version: String,
        rules: SpanBatcher.Rules,
        journal: Journal,
        on loop: EventLoop
    ) throws(ResolverError) {
        batcher = Mutex(SpanBatcher(rules))
        self.loop = loop
        self.journal = journal
        seed = loop.dice.next()
        resolver = LoopBound(try Resolver(on: loop), on: loop)
        sender = LoopBound(
            Sender(setting, resource: resource, version: version, resolver, on: loop),
            on: loop
        )
    }

    /// With a thread of its own. `agent` is which of several processes of the service this is.
    public static func start(
        _ setting: TracingSetting,
        agent: String,
        version: String,
        rules: SpanBatcher.Rules = SpanBatcher.Rules(),
        journal: Journal = .silent
    ) async throws -> SpanExporter {
        let loop = try EventLoop.spawn(name: "tracing")
        let resource: [SpanRecord.Attribute] = [
            .init("service.name", setting.service), .init("service.instance.id", agent),
            .init("service.version", version),
        ]
        return try await LoopBound((), on: loop).call { _ in
            Result {
                try SpanExporter(
                    setting,
                    resource: resource,
                    version: version,
                    rules: rules,
                    journal: journal,
                    on: loop
                )
            }
        }.get()
    }

    /// Takes spans from any thread. `lost` are some that did not get this far.
    public func take(_ spans: [SpanRecord], lost: Int = 0) {
        let now = loop.instant
        let isDue = batcher.withLock { batcher in
            batcher.lose(lost, .worker)
            return batcher.add(spans, at: now)
        }
        if isDue { loop.execute { self.pump() } }
    }

    /// Makes spans that go out through this.
    public func tracer(_ sampler: Sampler) -> SpanTracer {
        SpanTracer(sampler: sampler, seed: seed) { self.take($0) }
    }

    public var status: SpanBatcher.Status { batcher.withLock { $0.status } }

    // MARK: On its loop

    /// Sends what is due, one batch at a time, and comes back when the next is.
    private func pump() {
        let now = loop.instant
        guard let spans = batcher.withLock({ $0.next(now) }) else {
            if let due = batcher.withLock({ $0.wakeAt(now) }) {
                sender.value.wake(at: due) { self.pump() }
            }
            return
        }
        sender.value.underWay += 1
        Task(executorPreference: loop) {
            let end = await self.sender.value.send(spans)
            self.sender.value.underWay -= 1
            self.ended(end)
        }
    }

    private func ended(_ end: BatchEnd) {
        let now = loop.instant
        let (before, after) = batcher.withLock { batcher in
            let before = batcher.status
            batcher.ended(end, now)
            return (before, batcher.status)
        }
        tell(before, after, at: now)
        pump()
        sender.value.rest()
    }

    /// When it begins to fail, or to refuse, and when it works again, and the first time that some are left out, or that
    /// it warns.
    private func tell(
        _ before: SpanBatcher.Status,
        _ after: SpanBatcher.Status,
        at now: Instant
    ) {
        if let problem = after.problem, before.problem == nil || before.isRefused,
            !after.isRefused
        {
            journal.warning(
                "tracing: spans do not arrive: \(problem.printable); they wait, and the oldest are dropped "
                    + "when there are too many",
                [.event("tracing-failed"), .error(problem)]
            )
        }
        if after.problem == nil, let since = before.failingSince {
            journal.notice(
                "tracing: spans arrive again, after \((now - since).rough)",
                [.event("tracing-again")]
            )
        }
        if let refusal = after.refusal,
            after.isRefused ? !before.isRefused : before.refusal == nil
        {
            journal.warning(
                "tracing: spans were refused, and are dropped: \(refusal.printable)",
                [.event("tracing-refused"), .error(refusal)]
            )
        }
        if let warning = after.warning, before.warning == nil {
            journal.warning(
                "tracing: the receiver took all spans, and warns: \(warning.printable)",
                [.event("tracing-warned"), .error(warning)]
            )
        }
    }

    // MARK: The end

    /// What waits may go out once more, for as long as `patience`.
    public func stop(within patience: Nanoseconds = .seconds(1)) async {
        let loop = loop
        await withCheckedContinuation { continuation in
            loop.execute {
                self.batcher.withLock { $0.end() }
                self.sender.value.end(within: patience) { continuation.resume() }
                self.pump()
                self.sender.value.rest()
            }
        }
        let end = batcher.withLock { batcher in
            batcher.giveUp()
            return batcher.status
        }
        // Nobody can ask for the metrics any more.
        if let count = end.dropped[.end], count > 0 {
            let why = end.problem ?? "they had not arrived within \(patience)"
            journal.warning(
                "tracing: \(count) \(count == 1 ? "span that waits is" : "spans that wait are") lost with the end: "
                    + "\(why.printable)",
                [.event("tracing-lost"), .error(why)]
            )
        }
        await resolver.call { $0.close() }
        loop.stop()
    }
}

/// What of it is confined to the loop.
private final class Sender {
    private let setting: TracingSetting
    private let resource: [SpanRecord.Attribute]
    private let version: String
    private let resolver: LoopBound<Resolver>
    private let loop: EventLoop
    private let timers: Timers
    private var timer: Timers.Token?
    var underWay = 0
    private var onRest: (() -> Void)?

    init(
        _ setting: TracingSetting,
        resource: [SpanRecord.Attribute],
        version: String,
        _ resolver: LoopBound<Resolver>,
        on loop: EventLoop
    ) {
        self.setting = setting
        self.resource = resource
        self.version = version
        self.resolver = resolver
        self.loop = loop
        timers = Timers(loop: loop)
    }

    func wake(at moment: Instant, _ body: @escaping () -> Void) {
        if let timer { timers.cancel(timer) }
        timer = timers.schedule(at: moment) { [weak self] in
            self?.timer = nil
            body()
        }
    }

    func send(_ spans: [SpanRecord]) async -> BatchEnd {
        let now = loop.instant
        let answer = await setting.place.send(
            OTLP.body(spans, resource: resource, version: version),
            type: OTLP.type,
            keeping: TracingSetting.answerBytesMax,
            in: ProbeContext(
                loop: loop,
                resolver: resolver,
                started: now,
                deadline: now + TracingSetting.timeout
            )
        )
        switch answer.status {
        case .some(200..<300):
            let (count, words) = OTLP.rejected(in: answer.body)
            return .arrived(rejected: count, words)
        // Those that may be tried again (OTLP, "OTLP/HTTP Response", retryable).
        case nil, .some(429), .some(502), .some(503), .some(504):
            return .failed(answer.problem, later: answer.later)
        case .some: return .refused(answer.problem)
        }
    }

    /// `done` hears once when nothing is under way any more, or the time is over.
    func end(within patience: Nanoseconds, _ done: @escaping () -> Void) {
        onRest = done
        timers.schedule(after: patience) { [weak self] in self?.finish() }
    }

    /// Nothing may be under way now.
    func rest() { if underWay == 0 { finish() } }

    private func finish() {
        guard let done = onRest else { return }
        onRest = nil
        timers.cancelAll()
        done()
    }
}
