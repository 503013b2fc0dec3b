// Does libcurl do what only it can do, and no more: redirects, proxies, HTTP/2, logins, cookies?

import Checks
import EventLoop
import Foundation
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct HTTPExtrasTests {
    typealias Step = ScriptedServer.Step

    private static let fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

    private static func redirect(_ status: String, _ location: String) -> [Step] {
        [
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 \(status)\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n"),
            .stall,
        ]
    }

    private static func answer(
        _ text: String = fine,
        expecting words: String = "\r\n\r\n"
    ) -> [Step] {
        [.expect(words), .send(text), .stall]
    }

    // MARK: Redirects

    @Test func `redirects are followed as often as allowed`() async throws {
        let scripts = [
            Self.redirect("302 Found", "/a"), Self.redirect("301 Moved", "b?c=1#d"), Self.answer(),
        ]
        for (limit, verdict) in [(2, Outcome.Verdict.pass), (1, .fail)] {
            let server = try ScriptedServer(scripts)
            defer { server.stop() }
            let prober = try await Prober()
            let (outcome, steps) = try await prober.explain(
                "http",
                ["redirects": .text(limit), "path": "/x/y", "expect": ["contains": "fine"]],
                at: server.address
            )
            #expect(outcome.verdict == verdict, "\(outcome)")
            let targets = server.receivedText.map { $0.prefix { $0 != "\r\n" } }
            #expect(
                targets
                    == Array(
                        ["GET /x/y HTTP/1.1", "GET /a HTTP/1.1", "GET /b?c=1 HTTP/1.1"].prefix(
                            limit + 1
                        )
                    )
            )
            let hops = steps.filter { $0.phase == "redirect" }.map { $0.text }
            #expect(hops == ["302 to '/a'", "301 to 'b?c=1#d'"])
            #expect(steps.contains { $0.phase == "send" && $0.text.contains("by libcurl ") })
            if limit == 1 {
                #expect(outcome.reason == .layer7Status && outcome.code == 301)
                #expect(
                    outcome.message == "expected at most 1 redirect, saw 301 to "
                        + "http://127.0.0.1:\(server.port)/b?c=1 after 1"
                )
            }
            try await expectNothingLeft(prober, to: server.port)
        }
    }

    @Test func `a loop ends at the limit`() async throws {
        let server = try ScriptedServer([Self.redirect("307 Again", "/again")])
        defer { server.stop() }
        let outcome = try await Prober().probe("http", ["redirects": 20], at: server.address)
        #expect(outcome.verdict == .fail)
        #expect(outcome.reason == .layer7Status && outcome.code == 307)
        #expect(server.connectionCount == 21)
    }

    @Test func `a redirect to another host gets no secrets`() async throws {
        let other = try ScriptedServer([Self.answer()])
        defer { other.stop() }
        let place = "http://localhost:\(other.port)/there"
        let server = try ScriptedServer([Self.redirect("302 Found", place)])
        defer { server.stop() }
        let prober = try await Prober()
        let outcome = try await prober.probe(
            "http",
            [
                "redirects": 1, "headers": ["Cookie": "secret=1", "X-Probe": "muster"],
                "auth": ["bearer": "secret-token"], "host": "www.example.test",
            ],
            at: server.address
        )
        #expect(outcome.code == 200, "\(outcome)")
        let first = server.receivedText.first ?? ""
        let second = other.receivedText.first ?? ""
        #expect(first.contains("Authorization: Bearer secret-token\r\n"))
        #expect(
            first.contains("Cookie: secret=1\r\n") && first.contains("Host: www.example.test\r\n")
        )
        #expect(!second.contains("secret"), "\(second)")
        #expect(second.contains("Host: localhost:\(other.port)\r\n"), "\(second)")
        #expect(second.contains("X-Probe: muster\r\n"))
        try await expectNothingLeft(prober, to: other.port)
    }

    @Test func `a redirect to the name in Host stays with the peer`() async throws {
        let server = try ScriptedServer([
            Self.redirect("302 Found", "http://www.example.test/login"), Self.answer(),
        ])
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["redirects": 1, "host": "www.example.test"],
            at: server.address
        )
        #expect(outcome.code == 200, "\(outcome)")
        #expect(server.receivedText.last?.contains("Host: www.example.test\r\n") == true)
    }

    @Test func `a form becomes a question where RFC 9110 says so`() async throws {
        for (status, method) in [
            ("301 Moved", "GET"), ("302 Found", "GET"), ("303 See Other", "GET"),
            ("307 Temporary", "POST"), ("308 Permanent", "POST"),
        ] {
            let server = try ScriptedServer([
                Self.redirect(status, "/there"), Self.answer(),
            ])
            defer { server.stop() }
            let outcome = try await Prober().probe(
                "http",
                ["redirects": 1, "method": "POST", "body": "ping"],
                at: server.address
            )
            #expect(outcome.code == 200, "\(status): \(outcome)")
            let second = server.receivedText.last ?? ""
            #expect(second.hasPrefix("\(method) /there "), "\(status): \(second)")
            #expect(second.contains("Content-Length: 4") == (method == "POST"), "\(second)")
        }
    }

    private static let refusals: [(String, String)] = [
        ("ftp://127.0.0.1/x", "expected a redirect to http or https, saw 302 to ftp://127.0.0.1/x"),
        ("http://[::", "expected a URL in Location, saw 'http://[::'"),
        ("file:///etc/passwd", "expected a"),
    ]

    @Test(arguments: refusals)
    func `a redirect that leads nowhere is not followed`(
        location: String,
        words: String
    ) async throws {
        let server = try ScriptedServer([Self.redirect("302 Found", location)])
        defer { server.stop() }
        let outcome = try await Prober().probe("http", ["redirects": 3], at: server.address)
        #expect(outcome.reason == .layer7Status && outcome.code == 302)
        #expect(outcome.message.hasPrefix(words), "\(outcome.message)")
    }

    @Test func `a redirect to a name that does not resolve is no news`() async throws {
        let server = try ScriptedServer([Self.redirect("302 Found", "http://no-such-host.invalid/")]
        )
        defer { server.stop() }
        let names = try NameServer([:])
        defer { names.stop() }
        let prober = try await ConformanceTests.prober(names)
        let outcome = try await prober.probe("http", ["redirects": 3], at: server.address)
        #expect(outcome.verdict == .neutral && outcome.reason == .resolver)
        try await expectNothingLeft(prober, to: server.port)
    }

    // MARK: Proxies

    @Test func `a plain request shows its proxy all of the URL`() async throws {
        let proxy = try ScriptedServer([Self.answer()])
        defer { proxy.stop() }
        let prober = try await Prober()
        let outcome = try await prober.probe(
            "http",
            ["proxy": "http://user:p%40ss@127.0.0.1:\(proxy.port)", "path": "/health?x=1"],
            at: .host("no-such-host.invalid", port: 8_080)
        )
        #expect(outcome.code == 200, "\(outcome)")
        let text = proxy.receivedText.first ?? ""
        #expect(
            text.hasPrefix("GET http://no-such-host.invalid:8080/health?x=1 HTTP/1.1\r\n"),
            "\(text)"
        )
        #expect(text.contains("Host: no-such-host.invalid:8080\r\n"))
        #expect(text.contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"))
        try await expectNothingLeft(prober, to: proxy.port)
    }

    @Test func `TLS asks its proxy for a tunnel`() async throws {
        let rows: [([Step], Reason, String)] = [
            (
                [.expect("\r\n\r\n"), .send("HTTP/1.1 502 Bad Gateway\r\n\r\n"), .close],
                .layer4Connect, "expected a way through http://127.0.0.1:PORT, saw 502"
            ),
            (
                [.expect("\r\n\r\n"), .stall], .layer4Timeout,
                "expected a way through http://127.0.0.1:PORT within 500ms, saw none"
            ),
            (
                [
                    .expect("\r\n\r\n"), .send("HTTP/1.1 200 Fine\r\nX-Via: p\r\n\r\n"),
                    .expectBytes([0x16]), .stall,
                ],
                .layer6Timeout, "expected a TLS handshake within 5s, saw no end of it"
            ),
            (
                [
                    .expect("\r\n\r\n"), .send("HTTP/1.1 200 Fine\r\n\r\n"), .expectBytes([0x16]),
                    .send("HTTP/1.1 400 Bad\r\n\r\n"), .stall,
                ],
                .layer6Response, "expected a TLS handshake, saw bytes that are no TLS"
            ),
        ]
        for (script, reason, words) in rows {
            let proxy = try ScriptedServer([script])
            defer { proxy.stop() }
            let prober = try await Prober()
            let outcome = try await prober.probe(
                "http",
                [
                    "proxy": "http://127.0.0.1:\(proxy.port)", "tls": true,
                    "host": "www.example.test",
                ],
                at: .host("192.0.2.7", port: 8_443),
                timeout: patience(for: reason, afterBytes: script.speaks)
            )
            #expect(outcome.verdict == .fail)
            #expect(outcome.reason == reason, "\(outcome)")
            let expected = words.replacingOccurrences(of: "PORT", with: "\(proxy.port)")
            #expect(outcome.message == expected, "\(outcome.message)")
            let text = proxy.receivedText.first ?? ""
            #expect(text.hasPrefix("CONNECT 192.0.2.7:8443 HTTP/1.1\r\n"), "\(text)")
            try await expectNothingLeft(prober, to: proxy.port)
        }
    }

    @Test func `a SOCKS proxy gets the address, or the name`() async throws {
        // RFC 1928: method, connect to, answer.
        func script(_ place: [UInt8]) -> [Step] {
            [
                .expectBytes([5]), .sendBytes([5, 0]),
                .expectBytes([5, 1, 0] + place + [0x1F, 0x90]),
                .sendBytes([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]), .expect("\r\n\r\n"), .send(Self.fine),
                .stall,
            ]
        }
        let rows: [(String, Address, [UInt8])] = [
            ("socks5", .host("192.0.2.7", port: 8_080), [1, 192, 0, 2, 7]),
            ("socks5h", .host("web.test", port: 8_080), [3, 8] + Array("web.test".utf8)),
        ]
        for (scheme, address, place) in rows {
            let proxy = try ScriptedServer([script(place)])
            defer { proxy.stop() }
            let prober = try await Prober()
            let outcome = try await prober.probe(
                "http",
                ["proxy": "\(scheme)://127.0.0.1:\(proxy.port)"],
                at: address
            )
            #expect(outcome.code == 200, "\(scheme): \(outcome)")
            try await expectNothingLeft(prober, to: proxy.port)
        }
        let refusing = try ScriptedServer([
            [
                .expectBytes([5]), .sendBytes([5, 0]), .expectBytes([5, 1, 0]),
                .sendBytes([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]), .stall,
            ]
        ])
        defer { refusing.stop() }
        let outcome = try await Prober().probe(
            "http",
            ["proxy": "socks5://127.0.0.1:\(refusing.port)"],
            at: .host("192.0.2.7", port: 8_080)
        )
        #expect(outcome.reason == .layer4Connect, "\(outcome)")
        #expect(outcome.message.hasPrefix("expected a way through socks5://127.0.0.1:"))
    }

    @Test func `a proxy that is not there is a connection refused`() async throws {
        let port = try freePort()
        let outcome = try await Prober().probe(
            "http",
            ["proxy": "http://127.0.0.1:\(port)"],
            at: .host("192.0.2.7", port: 8_080)
        )
        #expect(outcome.reason == .layer4Connect && outcome.code == 111)
    }

    @Test func `a unix socket behind a proxy is said to be none`() async throws {
        let outcome = try await Prober().probe(
            "http",
            ["proxy": "http://127.0.0.1:1"],
            at: .unix(path: "/run/x.sock")
        )
        #expect(outcome.verdict == .neutral && outcome.reason == .socketError)
        #expect(outcome.message == "connect unix:/run/x.sock: expected host:port behind a proxy")
    }

    // MARK: Logins

    @Test func `basic and bearer logins are sent at once`() async throws {
        for (auth, field) in [
            (["basic": "user:pa:ss"] as TestSetting, "Authorization: Basic dXNlcjpwYTpzcw==\r\n"),
            (["bearer": "abc.def"], "Authorization: Bearer abc.def\r\n"),
        ] {
            let server = try ScriptedServer([Self.answer()])
            defer { server.stop() }
            let outcome = try await Prober().probe("http", ["auth": auth], at: server.address)
            #expect(outcome.code == 200)
            #expect(server.receivedText.first?.contains(field) == true)
        }
    }

    private static let challenge =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", "
        + "qop=\"auth\", algorithm=MD5\r\nContent-Length: 4\r\n\r\nnope"

    @Test func `a digest login answers the challenge`() async throws {
        // As many servers do, one hangs up after its challenge and one does not.
        for end in [Step.close, .stall] {
            let server = try ScriptedServer([
                [.expect("\r\n\r\n"), .send(Self.challenge), end],
                Self.answer(expecting: "response=\""),
            ])
            defer { server.stop() }
            let prober = try await Prober()
            let outcome = try await prober.probe(
                "http",
                ["auth": ["digest": "user:secret"], "expect": ["contains": "fine"]],
                at: server.address
            )
            #expect(outcome.code == 200 && outcome.verdict == .pass, "\(outcome)")
            let proof = server.receivedText.last ?? ""
            #expect(proof.contains("username=\"user\"") && proof.contains("nonce=\"n1\""))
            #expect(!server.receivedText.joined().contains("secret"))
            try await expectNothingLeft(prober, to: server.port)
        }
    }

    @Test func `a digest login that is refused is a wrong status`() async throws {
        let server = try ScriptedServer([[.expect("\r\n\r\n"), .send(Self.challenge), .close]])
        defer { server.stop() }
        let prober = try await Prober()
        let outcome = try await prober.probe(
            "http",
            ["auth": ["digest": "user:wrong"]],
            at: server.address
        )
        #expect(outcome.reason == .layer7Status && outcome.code == 401, "\(outcome)")
        #expect(outcome.message == "expected 2xx 3xx, saw 401 Unauthorized")
        #expect(server.connectionCount == 2)
        try await expectNothingLeft(prober, to: server.port)
    }

    // MARK: Cookies

    @Test func `cookies are kept within a probe and no longer`() async throws {
        let first: [Step] = [
            .expect("\r\n\r\n"),
            .send(
                "HTTP/1.1 302 Found\r\nLocation: /in\r\nSet-Cookie: session=17; Path=/\r\n"
                    + "Content-Length: 0\r\n\r\n"
            ),
            .stall,
        ]
        for isKept in [true, false] {
            let server = try ScriptedServer([first, Self.answer(), first, Self.answer()])
            defer { server.stop() }
            let prober = try await Prober()
            for _ in 0..<2 {
                let outcome = try await prober.probe(
                    "http",
                    ["redirects": 1, "cookies": isKept ? true : false, "host": "www.example.test"],
                    at: server.address
                )
                #expect(outcome.code == 200, "\(outcome)")
            }
            let hasCookie = server.receivedText.map { $0.contains("Cookie: session=17\r\n") }
            #expect(hasCookie == [false, isKept, false, isKept])
        }
    }

    // MARK: HTTP/2

    @Test(.enabled(if: ChildProcess.find("nginx") != nil, "nginx is not installed"))
    func `HTTP 2 is spoken over TLS and without`() async throws {
        let nginx = try await NginxServer()
        for (port, tls) in [(nginx.plain, nil), (nginx.secure, nginx.trusted)] {
            let prober = try await Prober()
            let (outcome, steps) = try await prober.explain(
                "http",
                TestSetting.map(
                    [
                        ("version", 2), ("path", "/v"), ("host", "www.example.test"),
                        (
                            "expect",
                            ["contains": "HTTP/2.0 www.example.test", "headers": ["x-a": "b"]]
                        ),
                    ] + (tls.map { [("tls", $0)] } ?? [])
                ),
                at: .host("127.0.0.1", port: port)
            )
            #expect(outcome.verdict == .pass && outcome.code == 200, "\(outcome) \(steps)")
            #expect(outcome.measurements.isEmpty == (tls == nil))
            #expect(steps.contains { $0.phase == "receive" && $0.text == "HTTP/2 200" })
            try await expectNothingLeft(prober, to: port)
            let post = try await prober.probe(
                "http",
                TestSetting.map(
                    [
                        ("version", 2), ("method", "POST"), ("body", "ping"), ("path", "/read"),
                        ("host", "www.example.test"),
                    ] + (tls.map { [("tls", $0)] } ?? [])
                ),
                at: .host("127.0.0.1", port: port)
            )
            #expect(post.code == 200, "\(post)")
        }
        let older = try await Prober().probe(
            "http",
            TestSetting.map([("version", 2), ("host", "www.example.test"), ("tls", nginx.trusted)]),
            at: .host("127.0.0.1", port: nginx.older)
        )
        #expect(older.reason == .layer7Response && older.code == 200, "\(older)")
        #expect(older.message == "version: expected HTTP/2, saw HTTP/1.1")
    }

    @Test(.enabled(if: ChildProcess.find("nginx") != nil, "nginx is not installed"))
    func `redirects cross to https and never back`() async throws {
        let nginx = try await NginxServer()
        let prober = try await Prober()
        let up = try await prober.probe(
            "http",
            ["redirects": 1, "path": "/up"],
            at: .host("127.0.0.1", port: nginx.ordinary)
        )
        // The system's authorities do not know the test's.
        #expect(up.reason == .layer6Response, "\(up)")
        #expect(up.message.contains("unable to get local issuer certificate"))
        let down = try await prober.probe(
            "http",
            ["redirects": 1, "path": "/down", "host": "www.example.test", "tls": nginx.trusted],
            at: .host("127.0.0.1", port: nginx.older)
        )
        #expect(down.reason == .layer7Status && down.code == 302, "\(down)")
        #expect(
            down.message.hasPrefix("expected a redirect that stays with https, saw 302 to http:")
        )
        try await expectNothingLeft(prober, to: nginx.older)
    }

    @Test func `HTTP 2 asked of a server without it is no answer`() async throws {
        let server = try ScriptedServer([
            [.expect("\r\n\r\n"), .send("HTTP/1.1 400 Bad Request\r\n\r\n"), .close]
        ])
        defer { server.stop() }
        let prober = try await Prober()
        let outcome = try await prober.probe("http", ["version": 2], at: server.address)
        #expect(outcome.verdict == .fail && outcome.reason == .layer7Response, "\(outcome)")
        try await expectNothingLeft(prober, to: server.port)
    }

    // MARK: http-agent

    @Test func `the agent's line comes through libcurl too`() async throws {
        let server = try ScriptedServer([
            Self.answer("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nup 75%\r\n")
        ])
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "http-agent",
            ["auth": ["basic": "a:b"]],
            at: server.address
        )
        #expect(outcome.hints.weightPercent == 75, "\(outcome)")
    }

    // MARK: Many at once

    @Test func `many probes share a loop and leave nothing`() async throws {
        let server = try ScriptedServer([Self.answer()])
        defer { server.stop() }
        let prober = try await Prober()
        let address = server.address
        let codes = try await withThrowingTaskGroup(of: Int?.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    try await prober.probe("http", ["cookies": true], at: address).code
                }
            }
            return try await group.reduce(into: [Int?]()) { $0.append($1) }
        }
        #expect(codes == Array(repeating: 200, count: 64))
        try await expectNothingLeft(prober, to: server.port)
    }

    // MARK: Settings

    private static let wrong: [(TestSetting, String)] = [
        (["redirects": 21], "http.redirects: expected a whole number from 0 to 20, saw '21'"),
        (
            ["proxy": "ftp://a:s3cret@x:1"],
            "http.proxy: expected http://[user:password@]host:port, socks5://"
        ),
        (["proxy": "http://unix:/x"], "http.proxy: expected http://"),
        (["proxy": "http://host"], "http.proxy: expected http://"),
        (["version": "3"], "http.version: expected one of 1.1, 2, saw '3'"),
        (["auth": "a:s3cret"], "http.auth: expected a map with one of"),
        (["auth": ["basic": "s3cret"]], "http.auth.basic: expected user:password"),
        (
            ["auth": ["basic": "a:b", "bearer": "c"]],
            "http.auth: expected a map with one of basic, digest, bearer"
        ),
        (["auth": ["digset": "a:b"]], "http.auth has no setting 'digset'; did you mean 'digest'?"),
        (
            ["proxy": "http://127.0.0.1:1", "address": "unix:/x"],
            "http.proxy: expected none with a unix socket"
        ),
        (
            ["proxy": "http://127.0.0.1:1", "version": 2],
            "http.version: expected 1.1 behind an http proxy without tls, saw 2"
        ),
        (["version": 2, "tls": ["alpn": "h3"]], "http.tls.alpn: expected none with version 2"),
        (
            ["auth": ["bearer": "x"], "headers": ["authorization": "y"]],
            "http.auth: expected none beside a header Authorization"
        ),
        (
            ["cookies": true, "headers": ["Cookie": "a=b"]],
            "http.cookies: expected false beside a header Cookie"
        ),
        (["cookies": true, "method": "HEAD", "body": "x"], "http.body: expected none with HEAD"),
    ]

    @Test(arguments: wrong)
    func `settings that contradict themselves are refused`(settings: TestSetting, words: String) {
        let message = complaint("http", settings) ?? "nothing"
        #expect(message.contains(words), "\(message)")
        #expect(!message.contains("s3cret"), "a secret: \(message)")
    }

    @Test func `only what needs libcurl leaves the direct path`() throws {
        let target = Target(upstream: "u", peer: "p", address: .host("127.0.0.1", port: 80))
        for settings: TestSetting in [
            [:], ["redirects": 0, "version": "1.1", "cookies": false],
        ] {
            let check = try CheckRegistry.builtin.make("http", from: settings.options(path: "http"))
            #expect(check.direct(target) != nil)
        }
        for settings: TestSetting in [
            ["redirects": 1], ["cookies": true], ["version": 2], ["auth": ["bearer": "x"]],
            ["proxy": "http://127.0.0.1:1"],
        ] {
            let check = try CheckRegistry.builtin.make("http", from: settings.options(path: "http"))
            #expect(check.direct(target) == nil)
        }
    }
}

/// A real nginx that speaks HTTP/2, plain and over TLS, beside servers that do not.
private final class NginxServer: Sendable {
    let plain: UInt16
    let secure: UInt16
    let older: UInt16
    let ordinary: UInt16
    let trusted: TestSetting
    private let authority: Authority
    private let folder: TemporaryDirectory
    private let process: ChildProcess

    init() async throws {
        authority = try Authority()
        let folder = try TemporaryDirectory()
        self.folder = folder
        trusted = ["ca": .text(authority.file)]
        (plain, secure, older, ordinary) = try (freePort(), freePort(), freePort(), freePort())
        let leaf = try authority.leaf(days: 30)
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "\($0)_temp_path \(folder.path($0));"
        }
        let file = try folder.write(
            """
            daemon off; master_process off; pid \(folder.path("pid")); error_log stderr;
            events { worker_connections 64; }
            http {
                access_log off;
                \(paths.joined(separator: "\n"))
                ssl_certificate \(leaf.certificate);
                ssl_certificate_key \(leaf.key);
                server {
                    listen 127.0.0.1:\(plain) http2;
                    listen 127.0.0.1:\(secure) ssl http2;
                    location /v { add_header X-A b; return 200 "$server_protocol $host"; }
                    # Reads the body before it answers.
                    location /read { proxy_pass http://127.0.0.1:\(ordinary); }
                }
                server {
                    listen 127.0.0.1:\(older) ssl;
                    location /down { return 302 http://127.0.0.1:\(ordinary)/; }
                    location / { return 200 ok; }
                }
                server {
                    listen 127.0.0.1:\(ordinary);
                    location /up { return 301 https://127.0.0.1:\(older)/; }
                    location / { return 200 ok; }
                }
            }
            """,
            to: "nginx.conf"
        )
        process = try ChildProcess("nginx", ["-p", folder.path, "-c", file], in: folder)
        let port = ordinary
        let isUp = await eventually {
            let outcome = try? await Prober().probe("http", at: .host("127.0.0.1", port: port))
            return outcome?.code == 200
        }
        guard isUp else { throw ChildProcess.Failure(process.output) }
    }

    deinit { process.end() }
}
