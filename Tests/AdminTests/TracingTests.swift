// Is a change that somebody asks for recorded in the trace of whoever asked, and nothing else; and do metrics and
// `/ready` tell how spans get on?

import EventLoop
import Front
import InMemoryTracing
import Spans
import Testing
import Tracing
import Vocabulary

@testable import Admin
@testable import Proxy

@Suite struct AdminTracingTests {
    private static func responder(_ tracer: any Tracer, _ loop: EventLoop) -> Responder<Void> {
        let answer: Route<Void>.Handler = { (request, _) throws(Problem) in
            if request[parameter: "id"] == "bad" { throw Problem(.unprocessableContent, "no") }
            if request[parameter: "id"] == "broken" { throw Problem(.serviceUnavailable, "no") }
            return .json(["ok": true], .created)
        }
        var responder = Responder(
            router: Router([
                Route(.get, "/v1/things/{id}", .read, answer),
                Route(.put, "/v1/things/{id}", .admin, answer),
            ]),
            access: Access(),
            context: ()
        )
        responder.tracing = (tracer, loop)
        return responder
    }

    @Test func `a write is a span, a read is none`() async throws {
        let loop = try EventLoop.spawn(virtual: "test")
        defer { loop.stop() }
        let tracer = InMemoryTracer()
        let responder = Self.responder(tracer, loop)
        let fields: [FrontRequest.Field] = [
            .init(InMemoryTracer.traceIDKey, "their-trace"),
            .init(InMemoryTracer.spanIDKey, "their-span"),
        ]
        _ = await responder.response(to: FrontRequest("GET", "/v1/things/a", fields: fields))
        #expect(tracer.finishedSpans.isEmpty)
        let rows: [(String, Int, Bool)] = [
            ("a", 201, false), ("bad", 422, false), ("broken", 503, true),
        ]
        for (id, status, isError) in rows {
            let response = await responder.response(
                to: FrontRequest("PUT", "/v1/things/\(id)", fields: fields)
            )
            #expect(Int(response.status.code) == status)
            let span = try #require(tracer.popFinishedSpans().first)
            #expect(span.operationName == "PUT /v1/things/{id}" && span.kind == .server)
            #expect(span.traceID == "their-trace" && span.parentSpanID == "their-span")
            #expect(span.attributes.get("http.response.status_code") == .int64(Int64(status)))
            #expect(span.attributes.get("http.route") == "/v1/things/{id}")
            #expect(span.attributes.get("url.path") == .string("/v1/things/\(id)"))
            #expect((span.status?.code == .error) == isError)
            #expect(span.startInstant.nanosecondsSinceEpoch == 1_767_225_600_000_000_000)
        }
        // What leads nowhere changes nothing.
        _ = await responder.response(to: FrontRequest("PUT", "/v1/other"))
        #expect(tracer.finishedSpans.isEmpty)
    }

    @Test func `how spans get on is told by kind of loss`() throws {
        var batcher = SpanBatcher()
        let now = Moment(
            instant: Instant(nanoseconds: 100_000_000_000),
            wall: WallTime(milliseconds: 1_767_225_600_000)
        )
        let span = SpanRecord(
            trace: try #require(TraceID(high: 1, low: 1)),
            span: try #require(SpanID(1)),
            parent: nil,
            name: "x",
            kind: .server,
            begun: 0,
            ended: 1
        )
        let quiet = batcher.status.json(at: now)
        #expect(quiet["state"] == "ok" && quiet["since"]?.isNull == true && quiet["dropped"] == [:])
        _ = batcher.add([span], at: now.instant)
        batcher.lose(3, .worker)
        let later = now.instant + .seconds(2)
        _ = batcher.next(later)
        batcher.ended(.failed("refused", later: nil), later)
        let told = batcher.status.json(
            at: Moment(instant: later + .seconds(5), wall: now.wall + .seconds(7))
        )
        #expect(told["state"] == "failing" && told["error"] == "refused")
        #expect(told["since"] == "2026-01-01T00:00:02.000Z")
        #expect(told["dropped"] == ["worker": 3] && told["waiting"] == 1)
        let metrics = MetricsText.tracing(batcher.status)
        for line in [
            "muster_tracing_spans_total 1", "muster_tracing_spans_sent_total 0",
            "muster_tracing_spans_dropped_total{reason=\"worker\"} 3",
            "muster_tracing_spans_dropped_total{reason=\"queue\"} 0",
            "muster_tracing_spans_waiting 1", "muster_tracing_failing 1",
        ] {
            #expect(metrics.split(separator: "\n").contains(Substring(line)), "\(line)")
        }
    }

    @Test func `exemplars stand in OpenMetrics, and nowhere else`() throws {
        var exemplars = Exemplars()
        let trace = try #require(TraceID(high: 10, low: 11))
        var times = PhaseTimes()
        for milliseconds in [2, 40, 20_000] as [Int64] {
            times.record(.milliseconds(milliseconds), .total)
            exemplars.note(
                .milliseconds(milliseconds),
                .total,
                trace,
                at: 1_767_225_600_123_456_789
            )
        }
        var totals = Proxy.PeerTotals()
        totals.requests = 3
        totals.times = times
        var report = Proxy.Report()
        report.peers[.init(upstream: "web", peer: "a")] = totals
        report.upstreamExemplars["web"] = exemplars
        var open = MetricsText(isPerPeer: false, hasExemplars: true)
        open.add(report)
        let lines = OpenMetrics.text(of: open.text).split(separator: "\n")
            .filter { $0.contains("trace_id") }
        let id = "000000000000000a000000000000000b"
        func line(_ le: String, _ count: Int, _ value: String) -> String {
            "muster_proxy_latency_seconds_bucket{upstream=\"web\",phase=\"total\",le=\"\(le)\"} "
                + "\(count) # {trace_id=\"\(id)\"} \(value) 1767225600.123"
        }
        #expect(
            lines.map(String.init) == [
                line("0.0025", 1, "0.002"), line("0.05", 2, "0.04"), line("+Inf", 3, "20"),
            ]
        )
        var plain = MetricsText(isPerPeer: false)
        plain.add(report)
        #expect(!plain.text.contains("trace_id"))
        // Line for line they are the same but for that.
        #expect(
            open.text.split(separator: "\n").map { $0.split(separator: " # {")[0] }
                == plain.text.split(separator: "\n").map { $0[...] }
        )
    }
}
