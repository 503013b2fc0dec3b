// Does an agent check take the agent's word, and nothing else, for the health of its peer?

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct AgentCheckTests {
    @Test func `the agent is sent its text and taken by its word`() async throws {
        let server = try ScriptedServer(.expect("web/a"), .send("up 75% maxconn:30\n"), .close)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "haproxy-agent-check",
            ["agent-send": "web/a\\n"],
            at: server.address
        )
        #expect(outcome.verdict == .pass)
        #expect(outcome.reason == .layer7OK)
        #expect(outcome.hints == Hints(weightPercent: 75, maxConnections: 30))
        #expect(server.receivedText == ["web/a\n"])
    }

    @Test func `the line is enough and the end is not waited for`() async throws {
        let server = try ScriptedServer(
            .pieces(["dr", "ain, do", "wn # de", "ploy\r"], everyMilliseconds: 1),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("haproxy-agent-check", at: server.address)
        #expect(outcome.verdict == .fail)
        #expect(outcome.isImmediate)
        #expect(outcome.hints.admin == .drain)
        #expect(outcome.message == "down (deploy)")
    }

    private static let silences: [([ScriptedServer.Step], Reason, String)] = [
        ([.stall], .layer7Timeout, "expected a line of an agent within 500ms, saw nothing"),
        ([.close], .layer7Response, "expected a line of an agent, saw nothing and the end"),
        (
            [.send("up"), .close], .layer7Response,
            "expected a line of an agent, saw 'up' without a line end and the end"
        ),
        (
            [.send("up"), .stall], .layer7Timeout,
            "expected a line of an agent within 2s, saw 'up' without a line end"
        ),
        (
            [.endless(Array("up ".utf8), everyMilliseconds: 0)], .layer7Response,
            "expected a line of at most 4096 bytes, saw 'up up"
        ),
    ]

    @Test(arguments: silences.indices)
    func `an agent that gives no line changes nothing unless told to`(row: Int) async throws {
        let (script, reason, message) = Self.silences[row]
        let server = try ScriptedServer([script])
        defer { server.stop() }
        let prober = try await Prober()
        for (settings, verdict) in [
            ([:] as TestSetting, Outcome.Verdict.neutral), (["on-error": "fail"], .fail),
        ] {
            let outcome = try await prober.probe(
                "haproxy-agent-check",
                settings,
                at: server.address,
                timeout: patience(for: reason, afterBytes: script.speaks, ofMany: true)
            )
            #expect(outcome.verdict == verdict)
            #expect(outcome.reason == reason)
            #expect(outcome.message.hasPrefix(message), "\(outcome.message)")
        }
    }

    private static let answers: [(String, Outcome.Verdict, Reason, Int?, String)] = [
        ("200 OK\r\nContent-Length: 6\r\n\r\nup 50%", .pass, .layer7OK, 50, "up"),
        (
            "200 OK\r\nContent-Length: 99\r\n\r\ndown # full\n", .fail, .layer7Status, nil,
            "down (full)"
        ),
        ("200 OK\r\n\r\n40%", .neutral, .checked, 40, ""),
        (
            "503 Service Unavailable\r\nContent-Length: 3\r\n\r\nup\n", .neutral, .layer7Status,
            nil,
            "expected 2xx 3xx, saw 503 Service Unavailable"
        ),
        // As muster's own /agent/U/P answers.
        (
            "503 Service Unavailable\r\nContent-Length: 12\r\n\r\ndown # L4CON", .fail,
            .layer7Status,
            nil, "down (L4CON)"
        ),
        ("404 Not Found\r\nContent-Length: 10\r\n\r\n50% drain\n", .neutral, .checked, 50, ""),
        (
            "503 Service Unavailable\r\nContent-Length: 20\r\n\r\ndown for maintenance", .neutral,
            .layer7Status, nil, "expected 2xx 3xx, saw 503 Service Unavailable"
        ),
    ]

    @Test(arguments: answers.indices)
    func `the same line comes over HTTP`(row: Int) async throws {
        let (answer, verdict, reason, percent, message) = Self.answers[row]
        let server = try ScriptedServer(
            .expect("GET /agent HTTP/1.1\r\n"),
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 \(answer)"),
            .close
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("http-agent", ["path": "/agent"], at: server.address)
        #expect(outcome.verdict == verdict)
        #expect(outcome.reason == reason)
        #expect(outcome.hints.weightPercent == percent)
        #expect(outcome.message == message)
        #expect(outcome.isImmediate == (verdict == .fail))
    }
}
