// Is an answer read that came before the server hung up, whatever became of the request?

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct EarlyAnswerTests {
    /// Each is a race between our request and the reset, and has to end the same way every time.
    private static let rounds = 20

    private static let rows: [(String, TestSetting, String, Reason, String)] = [
        (
            "http", [:], "HTTP/1.1 503 Too busy\r\nContent-Length: 0\r\n\r\n", .layer7Status,
            "expected 2xx 3xx, saw 503 Too busy"
        ),
        (
            "http", ["cookies": true], "HTTP/1.1 503 Too busy\r\nContent-Length: 0\r\n\r\n",
            .layer7Status, "expected 2xx 3xx, saw 503 Too busy"
        ),
        (
            "http", ["method": "POST", "body": "x", "expect": ["contains": "ok"]],
            "HTTP/1.1 401 Who?\r\n\r\n", .layer7Status, "expected 2xx 3xx, saw 401 Who?"
        ),
        (
            "http", [:], "220 mail ESMTP\r\n", .layer7Response,
            "answer: expected HTTP, saw '220 mail ESMTP\\r\\n': an SMTP or FTP server"
        ),
        (
            "http", ["cookies": true], "220 mail ESMTP\r\n", .layer7Response,
            "answer: expected HTTP, saw '220 mail ESMTP\\r\\n': an SMTP or FTP server"
        ),
        (
            "tcp", ["send": "PING\\r\\n", "expect": "+PONG"], "-ERR full\r\n", .layer7Response,
            "expected '+PONG', saw '-ERR full\\r\\n' and Connection reset by peer"
        ),
        ("redis", [:], "-ERR full\r\n", .layer7Status, "PING: expected 'PONG', saw 'ERR full'"),
        (
            "tls", [:], "220 mail ESMTP\r\n", .layer6Response,
            "expected a TLS handshake, saw '220 mail ESMTP\\r\\n': an SMTP or FTP server"
        ),
        (
            "grpc", [:], "HTTP/1.1 400 Bad Request\r\n\r\n", .layer7Response,
            "expected a frame, saw 'HTTP/1.1 400 Bad Request\\r\\n\\r\\n': a server of HTTP/1, not 2"
        ),
    ]

    /// Those with cookies. libcurl reads no more once its send has failed, and has no option that would
    /// make it: what came before the request is lost to a reset, so here it comes after.
    private static let spokenByLibcurl = [1, 4]

    @Test(arguments: rows.indices)
    func `a server that refuses and resets is heard`(row: Int) async throws {
        let (kind, settings, answer, reason, message) = Self.rows[row]
        var script: [ScriptedServer.Step] = [.send(answer), .reset]
        if Self.spokenByLibcurl.contains(row) { script.insert(.expect("\r\n\r\n"), at: 0) }
        let server = try ScriptedServer(
            [[ScriptedServer.Step]](repeating: script, count: Self.rounds)
        )
        defer { server.stop() }
        let prober = try await Prober()
        for _ in 0..<Self.rounds {
            let outcome = try await prober.probe(kind, settings, at: server.address)
            #expect(outcome.verdict == .fail)
            #expect(outcome.reason == reason)
            #expect(outcome.message == message)
        }
    }

    private static let strangers: [(String, String)] = [
        ("SSH-2.0-x\r\n", "'SSH-2.0-x\\r\\n': an SSH server"),
        ("* OK IMAP4\r\n", "'* OK IMAP4\\r\\n': an IMAP server"),
        (
            "\u{15}\u{3}\u{3}\u{0}\u{2}",
            "'\\x15\\x03\\x03\\x00\\x02': a TLS server; 'tls: true' speaks it"
        ),
        ("what\r\n", "'what\\r\\n'"),
    ]

    /// Both engines of HTTP.
    @Test(arguments: [false, true], strangers)
    func `another protocol is named`(byCurl: Bool, row: (String, String)) async throws {
        let server = try ScriptedServer(.expect("\r\n\r\n"), .send(row.0), .stall)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            byCurl ? ["cookies": true] : [:],
            at: server.address
        )
        #expect(outcome.reason == .layer7Response)
        #expect(outcome.message == "answer: expected HTTP, saw \(row.1)")
    }

    @Test(arguments: [false, true])
    func `a compressed body is named`(byCurl: Bool) async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\u{1f}ok"),
            .stall
        )
        defer { server.stop() }
        let wanted: TestSetting = ["contains": "ok then"]
        let outcome = try await Prober().probe(
            "http",
            byCurl ? ["cookies": true, "expect": wanted] : ["expect": wanted],
            at: server.address
        )
        #expect(outcome.reason == .layer7Status)
        #expect(
            outcome.message == "body: expected a text that is not compressed, saw Content-Encoding "
                + "gzip, which is not undone here; 'headers: {Accept-Encoding: identity}' asks for plain "
                + "text"
        )
    }

    @Test(arguments: ["http", "tcp", "tls", "grpc"])
    func `an interface that is not there is our own mistake`(kind: String) async throws {
        let outcome = try await Prober().probe(
            kind,
            at: .host("fe80::1%nowhere", port: 80)
        )
        #expect(outcome.verdict == .neutral)
        #expect(
            outcome.message
                == "connect [fe80::1%nowhere]: expected the name or number of an interface "
                + "of this host after '%', saw 'nowhere'"
        )
    }
}
