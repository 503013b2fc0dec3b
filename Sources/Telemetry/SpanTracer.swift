// How does code that knows only swift-distributed-tracing get its spans out? Through this backend: it decides
// whether a span is recorded, keeps it while it is open, and hands it over when it ends.

public import Spans
import Synchronization
public import Tracing
import Vocabulary

private enum ParentKey: ServiceContextKey {
    typealias Value = TraceParent
    static let nameOverride: String? = "traceparent"
}

private enum StateKey: ServiceContextKey {
    typealias Value = String
    static let nameOverride: String? = "tracestate"
}

extension ServiceContext {
    /// The span that is open here, or that asked us.
    public internal(set) var traceParent: TraceParent? {
        get { self[ParentKey.self] }
        set { self[ParentKey.self] = newValue }
    }

    var traceState: String? {
        get { self[StateKey.self] }
        set { self[StateKey.self] = newValue }
    }
}

/// Makes spans of W3C Trace Context.
public final class SpanTracer: Tracer {
    private let sampler: Sampler
    private let dice: Mutex<Dice>
    private let take: @Sendable ([SpanRecord]) -> Void

    public init(
        sampler: Sampler,
        seed: UInt64,
        take: @escaping @Sendable ([SpanRecord]) -> Void
    ) {
        self.sampler = sampler
        dice = Mutex(Dice(seed: seed))
        self.take = take
    }

    public func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> ServiceContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> RecordedSpan {
        var context = context()
        let parent = context.traceParent
        let (isTaken, trace, span) = dice.withLock { dice in
            (
                sampler.takes(parent, using: &dice), parent?.trace ?? .random(using: &dice),
                SpanID.random(using: &dice)
            )
        }
        context.traceParent = TraceParent(trace: trace, parent: span, isSampled: isTaken)
        guard isTaken else { return RecordedSpan(context, nil, take) }
        var record = SpanRecord(
            trace: trace,
            span: span,
            parent: parent?.parent,
            name: operationName,
            kind: SpanRecord.Kind(kind),
            begun: Int64(clamping: instant().nanosecondsSinceEpoch),
            ended: 0
        )
        record.state = context.traceState ?? ""
        return RecordedSpan(context, record, take)
    }

    public func forceFlush() {}

    public func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout ServiceContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let text = extractor.extract(key: "traceparent", from: carrier),
            let parent = TraceParent(text)
        else { return }
        context.traceParent = parent
        if let state = extractor.extract(key: "tracestate", from: carrier),
            state.utf8.count <= SpanRecord.textBytesMax
        {
            context.traceState = state
        }
    }

    public func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let parent = context.traceParent else { return }
        injector.inject("\(parent)", forKey: "traceparent", into: &carrier)
        if let state = context.traceState {
            injector.inject(state, forKey: "tracestate", into: &carrier)
        }
    }
}

/// A span of `SpanTracer`, open until its first `end`.
public final class RecordedSpan: Tracing.Span {
    public let context: ServiceContext
    private let state: Mutex<State>
    private let take: @Sendable ([SpanRecord]) -> Void

    private struct State {
        /// Nil where it is not recorded, or has ended.
        var record: SpanRecord?
        var attributes = SpanAttributes()
    }

    /// More events and links than that say nothing more.
    static let eventsMax = 32

    fileprivate init(
        _ context: ServiceContext,
        _ record: SpanRecord?,
        _ take: @escaping @Sendable ([SpanRecord]) -> Void
    ) {
        self.context = context
        state = Mutex(State(record: record))
        self.take = take
    }

    public var isRecording: Bool { state.withLock { $0.record != nil } }

    public var operationName: String {
        get { state.withLock { $0.record?.name ?? "" } }
        set { state.withLock { $0.record?.name = newValue } }
    }

    public var attributes: SpanAttributes {
        get { state.withLock { $0.attributes } }
        set { state.withLock { if $0.record != nil { $0.attributes = newValue } } }
    }

    public func setStatus(_ status: SpanStatus) {
        state.withLock {
            $0.record?.status =
                status.code == .ok
                ? .ok : .error(SpanRecord.shortened(status.message ?? ""))
        }
    }

    public func addEvent(_ event: SpanEvent) {
        let told = SpanRecord.Event(
            name: event.name,
            at: Int64(clamping: event.nanosecondsSinceEpoch),
            attributes: event.attributes.told
        )
        state.withLock {
            if let count = $0.record?.events.count, count < Self.eventsMax {
                $0.record?.events.append(told)
            }
        }
    }

    public func recordError<Instant: TracerInstant>(
        _ error: any Error,
        attributes: SpanAttributes,
        at instant: @autoclosure () -> Instant
    ) {
        var attributes = attributes
        attributes["exception.type"] = "\(type(of: error))"
        attributes["exception.message"] = "\(error)"
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: attributes))
    }

    /// Nobody here follows from another trace.
    public func addLink(_ link: SpanLink) {}

    public func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let now = instant().nanosecondsSinceEpoch
        let ended = state.withLock { state -> SpanRecord? in
            guard var record = state.record.take() else { return nil }
            record.ended = max(Int64(clamping: now), record.begun)
            record.attributes = state.attributes.told
            return record
        }
        if let ended { take([ended]) }
    }
}

extension SpanRecord.Kind {
    fileprivate init(_ kind: SpanKind) {
        switch kind {
        case .server: self = .server
        case .client: self = .client
        case .producer: self = .producer
        case .consumer: self = .consumer
        default: self = .internal
        }
    }
}

extension SpanAttributes {
    /// In the order of their names.
    fileprivate var told: [SpanRecord.Attribute] {
        var all: [SpanRecord.Attribute] = []
        forEach { key, value in all.append(.init(key, SpanRecord.Value(value))) }
        return all.sorted { $0.key < $1.key }
    }
}

extension SpanRecord.Value {
    fileprivate init(_ value: SpanAttribute) {
        switch value {
        case .int32(let number): self = .integer(Int64(number))
        case .int64(let number): self = .integer(number)
        case .double(let number): self = .number(number)
        case .bool(let bool): self = .bool(bool)
        case .string(let text): self = .text(SpanRecord.shortened(text))
        case .stringArray(let texts): self = .texts(texts)
        case .int32Array(let numbers): self = .texts(numbers.map { "\($0)" })
        case .int64Array(let numbers): self = .texts(numbers.map { "\($0)" })
        case .doubleArray(let numbers): self = .texts(numbers.map { "\($0)" })
        case .boolArray(let bools): self = .texts(bools.map { "\($0)" })
        case .stringConvertible(let thing): self = .text(SpanRecord.shortened("\(thing)"))
        case .stringConvertibleArray(let things): self = .texts(things.map { "\($0)" })
        default: self = .text("")
        }
    }
}
