// Does an HTTP check tell right from wrong, and say why?

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct HTTPCheckTests {
    private static func reply(
        _ status: String,
        _ rest: String = "Content-Length: 0\r\n\r\n"
    )
        -> ScriptedServer.Step
    {
        .send("HTTP/1.1 \(status)\r\n\(rest)")
    }

    private static let statusRows: [(String, String, Outcome.Verdict, String)] = [
        ("200 OK", "2xx 3xx", Outcome.Verdict.pass, "200 OK"),
        ("301 Moved Permanently", "2xx 3xx", .pass, "301 Moved Permanently"),
        (
            "503 Service Unavailable", "2xx 3xx", .fail,
            "expected 2xx 3xx, saw 503 Service Unavailable"
        ),
        ("101 Switching Protocols", "2xx 3xx 101", .pass, "101 Switching Protocols"),
        ("404", "400-404", .pass, "404"),
        ("405", "400-404", .fail, "expected 400-404, saw 405"),
    ]

    @Test(arguments: statusRows)
    func `a status passes when it is expected`(
        status: String,
        expected: String,
        verdict: Outcome.Verdict,
        message: String
    ) async throws {
        let server = try ScriptedServer(.expect("\r\n\r\n"), Self.reply(status), .close)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["expect": .text(expected)],
            at: server.address
        )
        #expect(outcome.verdict == verdict)
        #expect(outcome.reason == (verdict == .pass ? .layer7OK : .layer7Status))
        #expect(outcome.code == Int(status.prefix(3)))
        #expect(outcome.message == message)
    }

    @Test func `the request is what the settings say`() async throws {
        let server = try ScriptedServer(.expect("ping"), Self.reply("200 OK"), .stall)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            [
                "path": "/health?deep=1", "method": "POST", "host": "www.example.com",
                "headers": ["X-Probe": "muster"], "body": "ping", "user-agent": "tester/2",
            ],
            at: server.address
        )
        #expect(outcome.verdict == .pass)
        #expect(
            server.receivedText == [
                "POST /health?deep=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: tester/2\r\n"
                    + "Connection: close\r\nAccept: */*\r\nX-Probe: muster\r\n"
                    + "Content-Length: 4\r\n\r\nping"
            ]
        )
    }

    @Test func `an answer in single bytes is an answer`() async throws {
        let text =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n5\r\n well\r\n0\r\n\r\n"
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .pieces(text.unicodeScalars.map { String($0) }, everyMilliseconds: 0),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["expect": ["contains": "all well"]],
            at: server.address
        )
        #expect(outcome.verdict == .pass, "\(outcome)")
    }

    @Test func `interim answers are passed over`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("http", at: server.address)
        #expect(outcome.verdict == .pass)
        #expect(outcome.code == 204)
    }

    // MARK: Bodies

    private static let bodies: [(TestSetting, String, Outcome.Verdict, String)] = [
        (["contains": "ready"], "we are ready", .pass, "200 OK"),
        (
            ["contains": "ready"], "not yet", .fail,
            "body: expected a text with 'ready', saw 'not yet'"
        ),
        (["matches": "^queue: \\d+$"], "ok\nqueue: 17\n", .pass, "200 OK"),
        (
            ["matches": "^queue: \\d+$"], "queue: many", .fail,
            "body: expected a text like /^queue: \\d+$/, saw 'queue: many'"
        ),
        (["json": ["/status": "up"]], #"{"status": "up"}"#, .pass, "200 OK"),
        (
            ["json": ["/id": "12345678901234567890"]], #"{"id": 12345678901234567890}"#, .pass,
            "200 OK"
        ),
        (
            ["json": ["/id": "9223372036854775809"]], #"{"id": 9223372036854775810}"#, .fail,
            "body /id: expected '9223372036854775809', saw '9223372036854775810'"
        ),
        (
            ["json": ["/checks/0/ok": "true", "/a~1b": 7]], #"{"checks":[{"ok":true}],"a/b":7}"#,
            .pass, "200 OK"
        ),
        (
            ["json": ["/status": "up"]], #"{"status": "sick"}"#, .fail,
            "body /status: expected 'up', saw 'sick'"
        ),
        (
            ["json": ["/status": ["present": true]]], "{}", .fail,
            "body /status: expected to be there, saw no such value"
        ),
        (
            ["json": ["/status": "up"]], "up", .fail,
            "body: expected JSON, saw 'up': "
        ),
        (["contains": "a", "matches": "b"], "ab", .pass, "200 OK"),
        (
            ["contains": "a", "matches": "c"], "ab", .fail,
            "body: expected a text like /c/, saw 'ab'"
        ),
    ]

    @Test(arguments: bodies.indices)
    func `a body passes when it meets every condition`(row: Int) async throws {
        let (settings, body, verdict, message) = Self.bodies[row]
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            Self.reply("200 OK", "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("http", ["expect": settings], at: server.address)
        #expect(outcome.verdict == verdict)
        #expect(outcome.reason == (verdict == .pass ? .layer7OK : .layer7Status))
        #expect(outcome.message.hasPrefix(message), "\(outcome.message)")
    }

    @Test func `a body that runs until close is whole at the end`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            Self.reply("200 OK", "\r\nfine"),
            .close
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["expect": ["matches": "^fine$"]],
            at: server.address
        )
        #expect(outcome.verdict == .pass)
    }

    @Test func `a body that nobody asks for is not waited for`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            Self.reply("200 OK", "Content-Length: 100\r\n\r\n"),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("http", at: server.address)
        #expect(outcome.verdict == .pass)
    }

    @Test func `an endless body is read up to its limit`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            Self.reply("200 OK", "Content-Length: 1073741824\r\n\r\n"),
            .endless([UInt8](repeating: 0x61, count: 4_096), everyMilliseconds: 0)
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["expect": ["contains": "b"]],
            at: server.address
        )
        #expect(outcome.verdict == .fail)
        #expect(outcome.reason == .layer7Status)
        #expect(outcome.message.hasSuffix("in the first 65536 bytes"), "\(outcome.message)")
    }

    // MARK: Headers, degrees

    private static let headerRows: [(String, Outcome.Verdict, String)] = [
        ("application/json", Outcome.Verdict.pass, "200 OK"),
        ("text/plain", .fail, "header Content-Type: expected a text with 'json', saw 'text/plain'"),
    ]

    @Test(arguments: headerRows)
    func `a header passes when it meets its condition`(
        type: String,
        verdict: Outcome.Verdict,
        message: String
    ) async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            Self.reply("200 OK", "content-type: \(type)\r\nContent-Length: 0\r\n\r\n"),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["expect": ["headers": ["Content-Type": ["contains": "json"]]]],
            at: server.address
        )
        #expect(outcome.verdict == verdict)
        #expect(outcome.message == message)
    }

    private static let degrees: [(String, Outcome.Verdict, Bool, String)] = [
        ("410 Gone", Outcome.Verdict.fail, true, "fails at once on 410, saw 410 Gone"),
        ("429 Too Many Requests", .warn, false, "degraded on 429, saw 429 Too Many Requests"),
        ("200 OK", .pass, false, "200 OK"),
        ("500 Oops", .fail, false, "expected 2xx 3xx, saw 500 Oops"),
    ]

    @Test(arguments: degrees)
    func `a status may fail at once or only degrade`(
        status: String,
        verdict: Outcome.Verdict,
        isImmediate: Bool,
        message: String
    ) async throws {
        let server = try ScriptedServer(.expect("\r\n\r\n"), Self.reply(status), .stall)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["immediate-fail": 410, "degraded": ["status": 429]],
            at: server.address
        )
        #expect(outcome.verdict == verdict)
        #expect(outcome.isImmediate == isImmediate)
        #expect(outcome.message == message)
    }

    @Test func `a slow answer degrades`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .pieces(["HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n\r\n"], everyMilliseconds: 30),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["degraded": ["latency": "20ms"]],
            at: server.address
        )
        #expect(outcome.verdict == .warn)
        #expect(outcome.message.hasPrefix("degraded above 20ms, took "), "\(outcome.message)")
    }

    // MARK: Faults of the peer

    private static let faults:
        [(name: String, script: [ScriptedServer.Step], reason: Reason, saw: String)] = [
            (
                "silence", [.stall], .layer7Timeout,
                "expected an HTTP status within 500ms, saw nothing"
            ),
            (
                "a byte now and then", [.endless([0x48], everyMilliseconds: 60)],
                .layer7Timeout, "expected an HTTP status within 2s, saw "
            ),
            (
                "a status and then silence", [.send("HTTP/1.1 200 OK\r\n"), .stall],
                .layer7Timeout, "expected an HTTP status within 2s, saw 17 bytes"
            ),
            (
                "a reset at once", [.expect("\r\n\r\n"), .reset],
                .layer7Response, "expected an HTTP status, saw nothing and Connection reset by peer"
            ),
            (
                "the end at once", [.expect("\r\n\r\n"), .close],
                .layer7Response, "expected an HTTP status, saw nothing and the end"
            ),
            (
                "another protocol", [.send("SSH-2.0-OpenSSH_9.2\r\n"), .stall], .layer7Response,
                "answer: expected HTTP, saw 'SSH-2.0-OpenSSH_9.2\\r\\n': an SSH server"
            ),
            (
                "an endless head",
                [
                    .send("HTTP/1.1 200 OK\r\n"),
                    .endless(Array("X-Filler: abcdefgh\r\n".utf8), everyMilliseconds: 0),
                ],
                .layer7Response, "answer: expected at most 128 header fields, saw more"
            ),
        ]

    @Test(arguments: faults.indices)
    func `a faulty peer fails with the right layer and reason`(row: Int) async throws {
        let fault = Self.faults[row]
        let server = try ScriptedServer([fault.script])
        defer { server.stop() }
        let prober = try await Prober()
        let outcome = try await prober.probe(
            "http",
            at: server.address,
            timeout: patience(for: fault.reason, afterBytes: fault.script.speaks, ofMany: true)
        )
        #expect(outcome.verdict == .fail, "\(fault.name)")
        #expect(outcome.reason == fault.reason, "\(fault.name): \(outcome)")
        #expect(outcome.message.hasPrefix(fault.saw), "\(fault.name): \(outcome.message)")
        #expect(outcome.phases.connect != nil)
        #expect(outcome.phases.total < .seconds(15))
        let left = await prober.leftovers()
        #expect(left.descriptors == 0 && left.timers == 0)
    }

    @Test func `a body cut short is a broken answer`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            Self.reply("200 OK", "Content-Length: 10\r\n\r\nfin"),
            .close
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["expect": ["contains": "fine"]],
            at: server.address
        )
        #expect(outcome.reason == .layer7Response)
        #expect(outcome.code == 200)
        #expect(outcome.message == "expected the whole body, saw 3 bytes of it and the end")
    }

    @Test func `a unix socket is probed like any other`() async throws {
        let folder = try TemporaryDirectory()
        let server = try ScriptedServer(
            [[.expect("Host: localhost\r\n"), Self.reply("200 OK"), .stall]],
            at: .unix(path: folder.path("http.sock"))
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("http", at: server.address)
        #expect(outcome.verdict == .pass)
    }

    @Test func `phases say where the time went`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .pieces(["", ""], everyMilliseconds: 20),
            Self.reply("200 OK"),
            .stall
        )
        defer { server.stop() }
        let (outcome, steps) = try await Prober().explain(
            "http",
            at: .host("localhost", port: server.port)
        )
        #expect(outcome.verdict == .pass, "\(outcome)")
        let phases = outcome.phases
        #expect(phases.resolve != nil && phases.connect != nil && phases.tls == nil)
        let firstByte = try #require(phases.firstByte)
        #expect(firstByte >= .milliseconds(40))
        #expect(phases.total >= firstByte)
        let story = steps.map { $0.phase }.filter { $0 != "connect" }
        #expect(story == ["resolve", "expect", "send", "receive", "result"], "\(steps)")
        #expect(steps.contains { $0.text == "connected to 127.0.0.1:\(server.port)" })
    }

    private static let wrongSettings: [(TestSetting, String)] = [
        (["path": "health"], "http.path: expected a path that begins with '/', saw 'health'"),
        (["method": "FETCH"], "http.method: expected one of DELETE"),
        (
            ["expect": "2xx 6xx"],
            "http.expect: expected statuses such as '2xx 3xx 101 500-503', saw '6xx'"
        ),
        (
            ["expect": ["matches": "("]],
            "http.expect.matches: expected an extended regular expression, saw '('"
        ),
        (
            ["headers": ["Host": "x"]],
            "http.headers.Host: expected a header that the check does not set itself"
        ),
        (["headers": ["a b": "x"]], "http.headers.a b: expected the name of a header"),
        (["port": 99_999], "http.port: expected a whole number from 1 to 65535, saw '99999'"),
        (
            ["expect": ["stauts": 200]],
            "http.expect has no setting 'stauts'; did you mean 'status'?"
        ),
        (
            ["address": "a b"],
            "http.address: expected host, host:port, [v6]:port or unix:/path, saw 'a b'"
        ),
    ]

    @Test(arguments: wrongSettings)
    func `a wrong setting is refused with what was expected`(settings: TestSetting, words: String) {
        let message = complaint("http", settings) ?? "nothing"
        #expect(message.hasPrefix("test.yaml:1:1: \(words)"), "\(message)")
    }
}
