// Does code that knows only swift-distributed-tracing get its spans out, in the right trace, once?

import Spans
import Synchronization
import Testing
import Tracing
import Vocabulary

@testable import Telemetry

/// A clock that shows what it is told.
private struct Stamp: TracerInstant {
    var nanosecondsSinceEpoch: UInt64
    init(_ nanoseconds: UInt64) { nanosecondsSinceEpoch = nanoseconds }
    static func < (one: Stamp, other: Stamp) -> Bool {
        one.nanosecondsSinceEpoch < other.nanosecondsSinceEpoch
    }
}

private struct Fields: Extractor, Injector {
    func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
    func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) {
        carrier[key] = value
    }
}

@Suite struct SpanTracerTests {
    private final class Kept: Sendable {
        private let spans = Mutex<[SpanRecord]>([])
        var all: [SpanRecord] { spans.withLock { $0 } }
        func tracer(_ share: Double) -> SpanTracer {
            SpanTracer(sampler: Sampler(share: share), seed: 1) { more in
                self.spans.withLock { $0 += more }
            }
        }
    }

    private static let asked = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func `a span goes out at its end, once, with what was said of it`() throws {
        let kept = Kept()
        let tracer = kept.tracer(1)
        let span = tracer.startSpan(
            "first name",
            context: .topLevel,
            ofKind: .client,
            at: Stamp(1_000)
        )
        #expect(span.isRecording && kept.all.isEmpty)
        span.operationName = "name"
        span.attributes["b"] = "text"
        span.attributes["a"] = 7
        span.attributes["c"] = true
        span.setStatus(SpanStatus(code: .error, message: "went wrong"))
        span.addEvent(SpanEvent(name: "event", at: Stamp(1_500), attributes: ["k": "v"]))
        struct Odd: Error {}
        span.recordError(Odd(), attributes: [:], at: Stamp(1_600))
        span.end(at: Stamp(2_000))
        span.end(at: Stamp(3_000))
        span.attributes["late"] = "x"
        #expect(!span.isRecording)

        let record = try #require(kept.all.first)
        #expect(kept.all.count == 1)
        #expect(record.name == "name" && record.kind == .client && record.parent == nil)
        #expect(record.begun == 1_000 && record.ended == 2_000)
        #expect(
            record.attributes == [.init("a", 7), .init("b", "text"), .init("c", .bool(true))]
        )
        #expect(record.status == .error("went wrong"))
        #expect(record.events.map(\.name) == ["event", "exception"])
        #expect(record.events.map(\.at) == [1_500, 1_600])
        #expect(record.events[0].attributes == [.init("k", "v")])
    }

    @Test func `a span within another is its child`() throws {
        let kept = Kept()
        let tracer = kept.tracer(1)
        tracer.withSpan("outer") { outer in
            tracer.withSpan("inner") { inner in
                #expect(inner.context.traceParent?.trace == outer.context.traceParent?.trace)
            }
        }
        #expect(kept.all.map(\.name) == ["inner", "outer"])
        #expect(kept.all[0].parent == kept.all[1].span && kept.all[1].parent == nil)
        #expect(kept.all[0].trace == kept.all[1].trace)
        #expect(kept.all[0].begun <= kept.all[0].ended)
    }

    @Test func `who asked is read out of fields, and goes on in fields`() throws {
        let kept = Kept()
        let tracer = kept.tracer(0)
        var context = ServiceContext.topLevel
        tracer.extract(
            ["traceparent": Self.asked, "tracestate": "a=1"],
            into: &context,
            using: Fields()
        )
        let span = tracer.startSpan("x", context: context, ofKind: .server, at: Stamp(1))
        var carrier: [String: String] = [:]
        tracer.inject(span.context, into: &carrier, using: Fields())
        span.end(at: Stamp(2))
        let record = try #require(kept.all.first)
        #expect(record.parent.map { "\($0)" } == "b7ad6b7169203331" && record.state == "a=1")
        #expect(
            carrier == [
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-\(record.span)-01",
                "tracestate": "a=1",
            ]
        )
    }

    @Test func `what nobody records has no cost but its name in the trace`() throws {
        let kept = Kept()
        let tracer = kept.tracer(0)
        var context = ServiceContext.topLevel
        tracer.extract(
            ["traceparent": String(Self.asked.dropLast()) + "0"],
            into: &context,
            using: Fields()
        )
        for context in [context, .topLevel] {
            let span = tracer.startSpan("x", context: context, at: Stamp(1))
            #expect(!span.isRecording)
            span.attributes["a"] = 1
            #expect(span.attributes.isEmpty)
            #expect(span.context.traceParent?.isSampled == false)
            span.end(at: Stamp(2))
        }
        #expect(kept.all.isEmpty)
        // And nonsense is nobody.
        var none = ServiceContext.topLevel
        tracer.extract(["traceparent": "x", "tracestate": "a=1"], into: &none, using: Fields())
        #expect(none.isEmpty)
    }

    @Test func `events are bounded, and an end before the beginning is none`() throws {
        let kept = Kept()
        let span = kept.tracer(1).startSpan("x", context: .topLevel, at: Stamp(100))
        for number in 0..<100 {
            span.addEvent(SpanEvent(name: "\(number)", at: Stamp(100)))
        }
        span.end(at: Stamp(50))
        #expect(kept.all.first?.events.count == RecordedSpan.eventsMax)
        #expect(kept.all.first?.ended == 100)
    }
}
