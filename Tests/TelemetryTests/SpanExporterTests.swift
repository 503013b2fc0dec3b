// Do spans reach a real receiver, and what becomes of them where it refuses, is away, or says when to come again?

import Checks
import EventLoop
import Spans
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Telemetry

private func ok(_ status: String = "200 OK", _ fields: String = "", _ body: String = "{}") -> String
{
    "HTTP/1.1 \(status)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}

private func span(_ number: Int) -> SpanRecord {
    SpanRecord(
        trace: TraceID(high: 1, low: UInt64(number + 1))!,
        span: SpanID(UInt64(number + 1))!,
        parent: nil,
        name: "span-\(number).",
        kind: .server,
        begun: 1,
        ended: 2
    )
}

@Suite struct SpanExporterTests {
    private final class Lines: Sendable {
        private let kept = Mutex<[String]>([])
        var all: [String] { kept.withLock { $0 } }
        var journal: Journal {
            Journal(from: .debug) { _, text in self.kept.withLock { $0.append(text) } }
        }
    }

    private static func start(
        _ url: String,
        headers: [(String, TestSetting)] = [],
        lines: Lines = Lines(),
        gather: Nanoseconds = .milliseconds(10)
    ) async throws -> SpanExporter {
        var options = TestSetting.map([("otlp", .text(url)), ("headers", .map(headers))])
            .options(path: "tracing")
        var setting = TracingSetting(
            place: try WebPlace(options: &options, key: "otlp", suffix: OTLP.path)
        )
        setting.service = "shop"
        var rules = SpanBatcher.Rules()
        rules.gather = gather
        rules.queue = 8
        rules.batch = 4
        return try await SpanExporter.start(
            setting,
            agent: "a1",
            version: "1.2.3",
            rules: rules,
            journal: lines.journal
        )
    }

    @Test(arguments: ["", "/", "/v1/traces", "/v1/traces/"])
    func `a batch is posted where collectors expect it`(path: String) async throws {
        let server = try ScriptedServer([
            [
                .expect("POST /v1/traces HTTP/1.1\r\n"),
                .expect("Content-Type: application/json\r\n"), .expect("X-Key: secret\r\n"),
                .expect("\"service.name\",\"value\":{\"stringValue\":\"shop\"}"),
                .expect("\"service.instance.id\",\"value\":{\"stringValue\":\"a1\"}"),
                .expect("span-0."), .expect("span-1."), .send(ok()), .close,
            ]
        ])
        defer { server.stop() }
        let exporter = try await Self.start(
            "http://\(server.address)\(path)",
            headers: [("X-Key", .text("secret"))]
        )
        exporter.take([span(0), span(1)])
        let isSent = await eventually { exporter.status.sent == 2 }
        #expect(isSent, "\(exporter.status)")
        await exporter.stop()
        #expect(exporter.status.dropped.isEmpty)
    }

    /// `/v1/traces` is the end of the path, and the user goes into a header.
    @Test(arguments: [
        ("?t=1&u=/", "POST /v1/traces?t=1&u=/ HTTP/1.1\r\n"),
        ("/?t=1", "POST /v1/traces?t=1 HTTP/1.1\r\n"),
        ("/v1/traces?t=/v1/traces", "POST /v1/traces?t=/v1/traces HTTP/1.1\r\n"),
        ("/a/?", "POST /a/v1/traces"),
    ])
    func `a user is shown, and a query stays behind the path`(
        end: String,
        line: String
    ) async throws {
        let server = try ScriptedServer([
            [
                .expect(line), .expect("Authorization: Basic dXNlcjpwQHc6eA==\r\n"),
                .expect("span-0."), .send(ok()), .close,
            ]
        ])
        defer { server.stop() }
        let exporter = try await Self.start("http://user:p%40w:x@\(server.address)\(end)")
        exporter.take([span(0)])
        let isSent = await eventually { exporter.status.sent == 1 }
        #expect(isSent, "\(exporter.status)")
        await exporter.stop()
    }

    @Test(arguments: ["503 Busy", "429 Slow Down", "502 Bad", "504 Late"])
    func `one that is busy gets the same again`(status: String) async throws {
        let lines = Lines()
        let server = try ScriptedServer([
            [.expect("span-0."), .send(ok(status, "Retry-After: 1\r\n")), .close],
            [.expect("span-0."), .send(ok()), .close],
        ])
        defer { server.stop() }
        let exporter = try await Self.start("http://\(server.address)", lines: lines)
        exporter.take([span(0)])
        let isSent = await eventually { exporter.status.sent == 1 }
        #expect(isSent, "\(exporter.status)")
        #expect(exporter.status.problem == nil && exporter.status.dropped.isEmpty)
        await exporter.stop()
        #expect(lines.all.count == 2)
        #expect(lines.all.first?.contains("saw \(status.prefix(3))") == true, "\(lines.all)")
        #expect(lines.all.last?.hasPrefix("tracing: spans arrive again") == true)
    }

    @Test(arguments: ["400 Bad Request", "401 Who", "404 Not Here", "500 Broken"])
    func `one that will not have them is not asked again`(status: String) async throws {
        let lines = Lines()
        let server = try ScriptedServer([
            [.expect("span-0."), .send(ok(status, "", "no thanks")), .close],
            [.expect("span-1."), .send(ok()), .close],
        ])
        defer { server.stop() }
        let exporter = try await Self.start("http://\(server.address)", lines: lines)
        exporter.take([span(0)])
        let isRefused = await eventually { exporter.status.dropped[.refused] == 1 }
        #expect(isRefused, "\(exporter.status)")
        #expect(exporter.status.problem?.contains("saw \(status.prefix(3)) 'no thanks'") == true)
        exporter.take([span(1)])
        let isSent = await eventually { exporter.status.sent == 1 }
        #expect(isSent)
        await exporter.stop()
        #expect(exporter.status.refusal?.contains("saw \(status.prefix(3)) 'no thanks'") == true)
        #expect(exporter.status.problem == nil)
        #expect(lines.all.count == 2 && lines.all[0].contains("no thanks"), "\(lines.all)")
        #expect(lines.all.last?.hasPrefix("tracing: spans arrive again") == true)
    }

    @Test func `what a receiver left out is counted by its own word`() async throws {
        let answer = #"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}"#
        let server = try ScriptedServer([
            [.expect("span-1."), .send(ok("200 OK", "", answer)), .close]
        ])
        defer { server.stop() }
        let exporter = try await Self.start("http://\(server.address)")
        exporter.take([span(0), span(1)], lost: 5)
        let isSent = await eventually { exporter.status.sent == 1 }
        #expect(isSent)
        #expect(exporter.status.dropped == [.rejected: 1, .worker: 5])
        #expect(exporter.status.refusal == "too old")
        await exporter.stop()
    }

    @Test func `a receiver that takes all and warns is heard, once in the log`() async throws {
        let answer = #"{"partialSuccess":{"errorMessage":"half of the quota is used"}}"#
        let lines = Lines()
        let server = try ScriptedServer([
            [.expect("span-0."), .send(ok("200 OK", "", answer)), .close],
            [.expect("span-1."), .send(ok("200 OK", "", answer)), .close],
        ])
        defer { server.stop() }
        let exporter = try await Self.start("http://\(server.address)", lines: lines)
        for number in 0..<2 {
            exporter.take([span(number)])
            let isSent = await eventually { exporter.status.sent == number + 1 }
            #expect(isSent)
        }
        await exporter.stop()
        #expect(exporter.status.warning == "half of the quota is used")
        #expect(exporter.status.dropped.isEmpty && exporter.status.problem == nil)
        let line = "tracing: the receiver took all spans, and warns: half of the quota is used"
        #expect(lines.all == [line], "\(lines.all)")
    }

    @Test func `while nobody is there the queue is bounded, and who hands in never waits`()
        async throws
    {
        let port = try freePort()
        let exporter = try await Self.start("http://127.0.0.1:\(port)")
        for number in 0..<10_000 { exporter.take([span(number)]) }
        let isTried = await eventually { exporter.status.problem != nil }
        #expect(isTried)
        let status = exporter.status
        #expect(status.waiting <= 12 && status.made == 10_000)
        #expect(status.dropped[.queue].map { $0 >= 9_988 } == true)
        await exporter.stop(within: .milliseconds(10))
        let end = exporter.status
        #expect(end.waiting == 0)
        #expect(end.dropped.values.reduce(0, +) == 10_000, "\(end)")
    }

    @Test func `at the end what waits goes out once more`() async throws {
        let server = try ScriptedServer([
            [.expect("span-3."), .send(ok()), .close], [.expect("span-5."), .send(ok()), .close],
        ])
        defer { server.stop() }
        let exporter = try await Self.start("http://\(server.address)", gather: .seconds(3_600))
        exporter.take((0..<6).map(span))
        await exporter.stop(within: .seconds(20))
        #expect(exporter.status.sent == 6 && exporter.status.dropped.isEmpty)
    }

    @Test func `an end waits for no receiver that says nothing`() async throws {
        let lines = Lines()
        let server = try ScriptedServer([[.stall]])
        defer { server.stop() }
        let exporter = try await Self.start(
            "http://\(server.address)",
            lines: lines,
            gather: .seconds(3_600)
        )
        exporter.take([span(0), span(1)])
        await exporter.stop(within: .milliseconds(50))
        #expect(exporter.status.dropped == [.end: 2])
        let said = "tracing: 2 spans that wait are lost with the end: "
        #expect(lines.all == [said + "they had not arrived within 50ms"])
    }
}
