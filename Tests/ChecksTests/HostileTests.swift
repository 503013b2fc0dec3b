// What does a hostile peer get out of a probe, of whatever kind? A fault at the right layer, within
// the timeout, and no memory: a peer that sends a gigabyte gets rid of what fits into buffers.

import Checks
import DNS
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct HostileTests {
    /// A kind, and how a server goes about tormenting it.
    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        var kind: String
        var settings: TestSetting = [:]
        /// What the server says first, and then again and again.
        var opening: [UInt8]
        var more: [UInt8]
        var reason = Reason.layer7Response
        var words = ""
        var patience: Nanoseconds?

        var testDescription: String { name }
        var verdict: Outcome.Verdict {
            kind.hasSuffix("agent-check") || isHTTPAgent ? .neutral : .fail
        }
        private var isHTTPAgent: Bool { kind == "http-agent" }
    }

    private static let ok = "HTTP/1.1 200 OK\r\n"
    private static let gigabyte = "\(ok)Content-Length: 1073741824\r\n\r\n"
    private static let letters = [UInt8](repeating: UInt8(ascii: "a"), count: 16_384)
    private static let zeros = [UInt8](repeating: 0, count: 4_096)

    /// Length, type, flags, stream, payload.
    private static func frame(_ kind: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [0, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF), kind, flags, 0, 0, 0, 1]
            + payload
    }

    private static let http2 = [0, 0, 0, 4, 0, 0, 0, 0, 0] as [UInt8]
    /// A header field of its own, as a literal: `a: aaaaaaaaaaaaaaaa`.
    private static let field = [0, 1, 0x61, 16] + [UInt8](repeating: 0x61, count: 16)

    private static func http(
        _ name: String,
        _ settings: TestSetting = [:],
        opening: String,
        more: [UInt8],
        reason: Reason = .layer7Response,
        words: String,
        patience: Nanoseconds? = nil
    ) -> Row {
        Row(
            name: "http, \(name)",
            kind: "http",
            settings: settings,
            opening: Array(opening.utf8),
            more: more,
            reason: reason,
            words: words,
            patience: patience
        )
    }

    /// A pattern takes seconds for all of that in a build without optimisation.
    private static let matching = Nanoseconds.seconds(120)
    private static let wordless: TestSetting = ["expect": ["contains": "ready"]]
    private static let unlike: TestSetting = ["expect": ["matches": "[a-z]+ready"]]
    private static let talk: TestSetting = ["send": "hi", "expect": "+OK"]

    /// Answers that have no end.
    private static let endless: [Row] = [
        http(
            "head",
            opening: ok,
            more: Array("X-Filler: abcdefgh\r\n".utf8),
            words: "answer: expected at most 128 header fields, saw more"
        ),
        http(
            "field",
            opening: "\(ok)X: ",
            more: letters,
            words: "answer: expected a head of at most 16384"
        ),
        http("reason", opening: "HTTP/1.1 200 ", more: letters, words: "answer: "),
        http(
            "interim",
            opening: "",
            more: Array("HTTP/1.1 103 Early Hints\r\n\r\n".utf8),
            words: "answer: expected at most 8 interim ones"
        ),
        http(
            "body",
            wordless,
            opening: gigabyte,
            more: letters,
            reason: .layer7Status,
            words: "body: expected a text with"
        ),
        http(
            "pattern",
            unlike,
            opening: gigabyte,
            more: letters,
            reason: .layer7Status,
            words: "body: expected a text like",
            patience: matching
        ),
        http(
            "JSON",
            ["expect": ["json": ["/a": 1]]],
            opening: gigabyte + "[",
            more: Array("[[[[".utf8),
            reason: .layer7Status,
            words: "body: expected JSON"
        ),
        http(
            "chunk",
            wordless,
            opening: "\(ok)Transfer-Encoding: chunked\r\n\r\n40000000\r\n",
            more: letters,
            reason: .layer7Status,
            words: "body: expected a text with"
        ),
        http(
            "chunk extension",
            wordless,
            opening: "\(ok)Transfer-Encoding: chunked\r\n\r\n1;a=",
            more: letters,
            words: "answer: "
        ),
        http(
            "trailers",
            wordless,
            opening: "\(ok)Transfer-Encoding: chunked\r\n\r\n0\r\n",
            more: Array("X: y\r\n".utf8),
            words: "answer: "
        ),
        Row(
            name: "http-agent, head",
            kind: "http-agent",
            opening: Array(ok.utf8),
            more: Array("X-Filler: abcdefgh\r\n".utf8),
            words: "answer: expected at most 128 header fields, saw more"
        ),
        Row(
            name: "http-agent, line",
            kind: "http-agent",
            opening: Array(gigabyte.utf8),
            more: Array("up ".utf8),
            words: "expected a line of at most 4096 bytes, saw 'up up "
        ),
        Row(
            name: "haproxy-agent-check",
            kind: "haproxy-agent-check",
            opening: [],
            more: Array("up ".utf8),
            words: "expected a line of at most 4096 bytes, saw 'up up "
        ),
        Row(
            name: "tcp",
            kind: "tcp",
            settings: talk,
            opening: [],
            more: letters,
            words: "expected '+OK' in 65536 bytes, saw 'aaa"
        ),
        Row(
            name: "tcp, pattern",
            kind: "tcp",
            settings: ["expect-pattern": "[a-z]+ready"],
            opening: [],
            more: letters,
            words: "expected /[a-z]+ready/ in 65536 bytes, saw 'aaa",
            patience: matching
        ),
        Row(
            name: "dialogue",
            kind: "dialogue",
            settings: talk,
            opening: Array("+O".utf8),
            more: letters,
            words: "expected '+OK' in 65536 bytes, saw '+Oaaa"
        ),
        Row(
            name: "redis, line",
            kind: "redis",
            opening: Array("+PO".utf8),
            more: letters,
            words: "PING: expected a line of at most 1024 bytes"
        ),
        Row(
            name: "redis, text",
            kind: "redis",
            opening: Array("$1073741824\r\n".utf8),
            more: letters,
            words: "PING: expected a length up to 65536"
        ),
        Row(
            name: "grpc, header blocks",
            kind: "grpc",
            opening: http2,
            more: frame(1, 4, field),
            words: "expected header fields of at most 16384 bytes"
        ),
        Row(
            name: "grpc, one header block",
            kind: "grpc",
            opening: http2 + frame(1, 0, field),
            more: frame(9, 0, field),
            words: "expected header fields of at most 16384 bytes"
        ),
        Row(
            name: "grpc, message",
            kind: "grpc",
            opening: http2,
            more: frame(0, 0, letters),
            words: "expected a body of at most 65536 bytes"
        ),
        Row(
            name: "dns",
            kind: "dns",
            settings: ["name": "web.test", "transport": "tcp"],
            opening: [0xFF, 0xFF],
            more: zeros,
            words: "expected an answer about web.test A, saw "
        ),
        Row(
            name: "tls, no TLS",
            kind: "tls",
            opening: [],
            more: zeros,
            reason: .layer6Response,
            words: "expected a TLS handshake, saw '"
        ),
        Row(
            name: "tls, message",
            kind: "tls",
            opening: [],
            // Records of a ServerHello that announces 16 MiB.
            more: [0x16, 3, 3, 0x10, 0x04, 2, 0xFF, 0xFF, 0xFF] + zeros,
            reason: .layer6Response,
            words: "shake hands: "
        ),
    ]

    /// What the kernel holds for a connection at both ends, and some.
    private static let buffersMax = 16 << 20

    @Test(arguments: endless)
    func `an answer without end is left at its limit`(row: Row) async throws {
        let server = try FloodServer(opening: row.opening, more: row.more)
        defer { server.stop() }
        try await check(row, at: server.address)
        let isLeft = await eventually { server.isIdle }
        #expect(isLeft)
        #expect(server.bytesSent < Self.buffersMax, "of a gigabyte")
    }

    /// The other engine of HTTP, which libcurl is, has the same limits in words of its own.
    @Test(arguments: endless.filter { $0.kind == "http" })
    func `libcurl is left at its limit too`(row: Row) async throws {
        guard let extra = Conformance.engines.first(where: { $0.name == "libcurl" })?.extra else {
            return
        }
        var row = row
        row.settings = row.settings.with(extra)
        row.words = ""
        let server = try FloodServer(opening: row.opening, more: row.more)
        defer { server.stop() }
        try await check(row, at: server.address)
        let isLeft = await eventually { server.isIdle }
        #expect(isLeft)
        #expect(server.bytesSent < Self.buffersMax, "of a gigabyte")
    }

    /// Frames and records that mean nothing may come for ever: they cost nothing but time.
    @Test(arguments: [
        Row(
            name: "grpc, unknown frames",
            kind: "grpc",
            opening: http2,
            more: frame(0x70, 0, zeros),
            reason: .layer7Timeout
        ),
        Row(
            name: "grpc, empty frames",
            kind: "grpc",
            opening: http2,
            more: frame(0, 0, []),
            reason: .layer7Timeout
        ),
        Row(
            name: "grpc, acknowledgements",
            kind: "grpc",
            opening: http2,
            more: frame(6, 1, [0, 1, 2, 3, 4, 5, 6, 7]),
            reason: .layer7Timeout
        ),
        Row(
            name: "tcp, one expectation after another",
            kind: "tcp",
            settings: [
                "steps": .list(Array(repeating: ["expect": "aaa"], count: 31) + [["expect": "b"]])
            ],
            opening: [],
            more: Array("aaa".utf8),
            reason: .layer7Response
        ),
    ])
    func `a flood is endured until the deadline and no longer`(row: Row) async throws {
        let server = try FloodServer(opening: row.opening, more: row.more)
        defer { server.stop() }
        try await check(row, at: server.address)
    }

    private func check(
        _ row: Row,
        at address: Address,
        within timeout: Nanoseconds? = nil
    ) async throws {
        let prober = try await Prober()
        let timeout = timeout ?? row.patience ?? patience(for: row.reason)
        let outcome = try await prober.probe(row.kind, row.settings, at: address, timeout: timeout)
        #expect(outcome.verdict == row.verdict, "\(outcome)")
        #expect(outcome.reason == row.reason, "\(outcome)")
        #expect(outcome.message.hasPrefix(row.words), "\(outcome.message)")
        #expect(outcome.message.utf8.count <= Outcome.messageBytesMax)
        #expect(outcome.phases.total < timeout + .seconds(60))
        #expect(await prober.leftovers() == (0, 0))
    }

    // MARK: Slow, silent, gone

    /// Each may go on as it began.
    private static let slow: [Row] = [
        http(
            "head",
            opening: "\(ok)X: ",
            more: [0x61],
            reason: .layer7Timeout,
            words: "expected an HTTP status within "
        ),
        http(
            "body",
            wordless,
            opening: "\(ok)Content-Length: 1000\r\n\r\n",
            more: [0x61],
            reason: .layer7Timeout,
            words: "expected the whole body within "
        ),
        Row(
            name: "http-agent",
            kind: "http-agent",
            opening: Array("\(ok)\r\nup".utf8),
            more: [0x20],
            words: "expected the whole body within "
        ),
        Row(
            name: "haproxy-agent-check",
            kind: "haproxy-agent-check",
            settings: ["agent-send": "hi"],
            opening: Array("up".utf8),
            more: [0x20],
            words: "expected a line of an agent within "
        ),
        Row(
            name: "tcp",
            kind: "tcp",
            settings: talk,
            opening: [],
            more: [0x2E],
            words: "expected '+OK' within "
        ),
        Row(
            name: "dialogue",
            kind: "dialogue",
            settings: talk,
            opening: [],
            more: [0x2E],
            words: "expected '+OK' within "
        ),
        Row(
            name: "redis",
            kind: "redis",
            opening: Array("+PO".utf8),
            more: [0x4F],
            words: "expected a reply to PING within "
        ),
        Row(
            name: "grpc",
            kind: "grpc",
            opening: http2 + [0, 0x10, 0, 1, 4, 0, 0, 0, 1],
            more: [0],
            words: "expected an answer over HTTP/2 within "
        ),
        Row(
            name: "dns",
            kind: "dns",
            settings: ["name": "web.test", "transport": "tcp"],
            opening: [0x10, 0],
            more: [0],
            words: "expected an answer about web.test A within "
        ),
        Row(
            name: "tls",
            kind: "tls",
            // The beginning of a ServerHello.
            opening: [0x16, 3, 3, 0x10, 0x04, 2, 0, 0x10, 0],
            more: [0],
            reason: .layer6Timeout,
            words: "expected a TLS handshake within "
        ),
    ]

    /// Kinds that may speak TLS, told to.
    private static func withTLS(_ row: Row, _ settings: [(String, TestSetting)]) -> Row? {
        guard case .map(let entries) = row.settings, row.kind != "dns", row.kind != "tls",
            row.kind != "haproxy-agent-check"
        else { return nil }
        var row = row
        row.name += " over TLS"
        row.settings = .map(entries + [("tls", settings.isEmpty ? true : .map(settings))])
        return row
    }

    private func expectTimeout(
        of row: Row,
        at address: Address,
        within timeout: Nanoseconds? = nil
    ) async throws {
        var row = row
        row.reason = row.reason == .layer6Timeout ? .layer6Timeout : .layer7Timeout
        try await check(row, at: address, within: timeout)
    }

    @Test(arguments: slow)
    func `a byte now and then is a timeout`(row: Row) async throws {
        let server = try ScriptedServer(
            .sendBytes(row.opening),
            .endless(row.more, everyMilliseconds: 20)
        )
        defer { server.stop() }
        // What is said of the answer depends on how far it came.
        let timeout = patience(for: .layer7Timeout, afterBytes: true, ofMany: true)
        try await expectTimeout(of: row, at: server.address, within: timeout)
    }

    @Test(arguments: slow)
    func `silence is a timeout`(row: Row) async throws {
        let server = try ScriptedServer(.stall)
        defer { server.stop() }
        var row = row
        if row.kind.hasPrefix("http") { row.words = "expected an HTTP status within " }
        try await expectTimeout(of: row, at: server.address)
    }

    @Test(arguments: slow)
    func `a reset is a broken answer`(row: Row) async throws {
        let asked = row.kind == "tls" ? [0x16] : row.kind == "grpc" ? Array("PRI".utf8) : []
        let server = try ScriptedServer(
            asked.isEmpty ? .expect(Self.firstWord(row)) : .expectBytes(asked),
            .reset
        )
        defer { server.stop() }
        var row = row
        row.reason = row.kind == "tls" ? .layer6Response : .layer7Response
        row.words = ""
        try await check(row, at: server.address)
    }

    private static func firstWord(_ row: Row) -> String {
        switch row.kind {
        case "http", "http-agent": "GET"
        case "redis": "PING"
        case "dns": "web"
        default: "hi"
        }
    }

    @Test(arguments: slow.compactMap { withTLS($0, []) })
    func `a handshake that does not end is a timeout of its own`(row: Row) async throws {
        var row = row
        row.reason = .layer6Timeout
        row.words = "expected a TLS handshake within "
        let silent = try ScriptedServer(.stall)
        defer { silent.stop() }
        try await expectTimeout(of: row, at: silent.address)
        let slow = try ScriptedServer(
            .sendBytes([0x16, 3, 3, 0x10, 0x04, 2, 0, 0x10, 0]),
            .endless([0], everyMilliseconds: 20)
        )
        defer { slow.stop() }
        try await expectTimeout(of: row, at: slow.address)
    }

    @Test(arguments: slow.compactMap { withTLS($0, []) })
    func `a handshake that is cut off is a fault at layer 6`(row: Row) async throws {
        let server = try ScriptedServer(.expectBytes([0x16]), .reset)
        defer { server.stop() }
        var row = row
        row.reason = .layer6Response
        row.words = "expected a TLS handshake, saw Connection reset by peer"
        try await check(row, at: server.address)
    }

    // MARK: Behind TLS

    private static let hasFront =
        ChildProcess.find("haproxy") != nil && ChildProcess.find("openssl") != nil
    private static let authority = Result { try Authority() }

    private static func trusted() throws -> [(String, TestSetting)] {
        [
            ("ca", .text(try authority.get().file)),
            ("server-name", "www.example.test"),
        ]
    }

    /// HAProxy takes the TLS off, and what is behind it may do as it likes.
    @Test(.enabled(if: hasFront, "haproxy or openssl is not installed"))
    func `what is hostile in clear is hostile over TLS`() async throws {
        let trusted = try Self.trusted()
        let leaf = try Self.authority.get().leaf(days: 30)
        let rows = Self.endless.compactMap { Self.withTLS($0, trusted) }
        let floods = try rows.map { try FloodServer(opening: $0.opening, more: $0.more) }
        let slow = Self.slow.compactMap { Self.withTLS($0, trusted) }
        let drips = try slow.map {
            try ScriptedServer(.sendBytes($0.opening), .endless($0.more, everyMilliseconds: 20))
        }
        defer {
            for server in floods { server.stop() }
            for server in drips { server.stop() }
        }
        let front = try await TLSFront(
            Array(repeating: leaf, count: rows.count + slow.count),
            to: floods.map(\.address) + drips.map(\.address)
        )
        for (index, row) in rows.enumerated() {
            try await check(row, at: front.addresses[index])
            #expect(floods[index].bytesSent < Self.buffersMax, "\(row.name)")
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, row) in slow.enumerated() {
                let address = front.addresses[rows.count + index]
                // By then the handshake is over and the answer has begun.
                let timeout = patience(for: .layer7Timeout, afterBytes: true)
                group.addTask { try await expectTimeout(of: row, at: address, within: timeout) }
            }
            try await group.waitForAll()
        }
    }

    @Test(.enabled(if: hasFront, "haproxy or openssl is not installed"))
    func `a bad certificate is refused by every kind for what is bad about it`() async throws {
        let authority = try Self.authority.get()
        let stranger = try Authority()
        let silent = try ScriptedServer(.stall)
        defer { silent.stop() }
        let front = try await TLSFront(
            [authority.leaf(days: -1), stranger.leaf(days: 30), authority.leaf(days: 30)],
            to: Array(repeating: silent.address, count: 3)
        )
        let ca = ("ca", TestSetting.text(authority.file))
        let name = ("server-name", "www.example.test" as TestSetting)
        let certificates: [([(String, TestSetting)], String)] = [
            ([ca, name], "certificate has expired"),
            ([ca, name], "self-signed certificate|unable to get local issuer certificate"),
            ([ca, ("server-name", "other.test")], "hostname mismatch"),
        ]
        let prober = try await Prober()
        for (index, (settings, words)) in certificates.enumerated() {
            for row in Self.slow.compactMap({ Self.withTLS($0, settings) }) {
                let outcome = try await prober.probe(
                    row.kind,
                    row.settings,
                    at: front.addresses[index]
                )
                #expect(outcome.verdict == row.verdict, "\(row.name): \(outcome)")
                #expect(outcome.reason == .layer6Response, "\(row.name): \(outcome)")
                let seen = outcome.message.lowercased()
                #expect(
                    words.split(separator: "|").contains { seen.contains($0.lowercased()) },
                    "\(row.name): \(outcome.message)"
                )
            }
        }
        #expect(await prober.leftovers() == (0, 0))
    }
}
