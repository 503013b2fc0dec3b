// Do both HTTP engines mean the same? Each case is played to muster's own client and to libcurl, and
// verdict, layer, reason and code have to be those of the table for both.

import Checks
import DNS
import EventLoop
import Foundation
import Glibc
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct ConformanceTests {
    @Test(arguments: Conformance.table)
    func `both engines say the same of an answer`(row: Conformance) async throws {
        var messages: [String] = []
        for engine in Conformance.engines {
            let server = try ScriptedServer([row.script])
            defer { server.stop() }
            let prober = try await Prober()
            let outcome = try await prober.probe(
                "http",
                row.settings.with(engine.extra),
                at: server.address,
                timeout: patience(for: row.reason, afterBytes: row.script.speaks, ofMany: true)
            )
            var (verdict, reason) = (row.verdict, row.reason)
            if let curl = row.curl, engine.name == "libcurl" {
                (verdict, reason) = (curl.verdict, curl.reason)
            }
            #expect(outcome.verdict == verdict, "\(engine.name): \(outcome)")
            #expect(outcome.reason == reason, "\(engine.name): \(outcome)")
            if row.curl == nil { #expect(outcome.code == row.code, "\(engine.name): \(outcome)") }
            #expect(outcome.isImmediate == row.isImmediate, "\(engine.name)")
            #expect(outcome.phases.connect != nil, "\(engine.name)")
            #expect(outcome.phases.total >= outcome.phases.connect ?? .zero)
            if row.reason == .layer7OK || row.reason == .layer7Status {
                #expect(outcome.phases.firstByte != nil, "\(engine.name)")
            }
            messages.append(outcome.message)
            try await expectNothingLeft(prober, to: server.port)
        }
        if row.wording == nil, row.curl == nil {
            #expect(messages[0] == messages[1])
        } else {
            #expect(messages.allSatisfy { !$0.isEmpty })
        }
    }

    @Test func `both engines send the same`() async throws {
        let settings: [TestSetting] = [
            [:],
            ["path": "/a/../b//c?x=%20{y}&z=[1]", "host": "www.example.com:81"],
            ["method": "POST"],
            ["method": "POST", "body": "ping", "user-agent": "tester/2"],
            ["method": "GET", "body": "pong"],
            [
                "method": "PATCH",
                "headers": ["Content-Type": "text/plain", "X-Empty": .scalar("", isQuoted: true)],
            ],
            ["method": "HEAD", "headers": ["Accept": "text/html"]],
            ["method": "OPTIONS"], ["method": "TRACE"], ["method": "DELETE"], ["method": "PUT"],
        ]
        for settings in settings {
            var seen: [[String]] = []
            for engine in Conformance.engines {
                let server = try ScriptedServer(
                    .expect("\r\n\r\n"),
                    .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                    .stall
                )
                defer { server.stop() }
                let outcome = try await Prober().probe(
                    "http",
                    settings.with(engine.extra),
                    at: server.address
                )
                #expect(outcome.verdict == .pass, "\(engine.name): \(outcome)")
                let text = server.receivedText.first ?? ""
                let name = "127.0.0.1:\(server.port)"
                // The order of fields means nothing, and the port differs.
                let head = text.components(separatedBy: "\r\n\r\n")
                let lines = (head.first ?? "").components(separatedBy: "\r\n")
                let fields = lines.dropFirst().map {
                    $0.replacingOccurrences(of: name, with: "ADDRESS")
                        .trimmingCharacters(in: .whitespaces)
                }
                seen.append([lines.first ?? ""] + fields.sorted() + head.dropFirst())
            }
            #expect(seen[0] == seen[1])
        }
    }

    // MARK: Connections

    @Test func `both engines say the same of a connection`() async throws {
        for engine in Conformance.engines {
            let prober = try await Prober()
            let settings = TestSetting.map(engine.extra)
            let refused = try await prober.probe(
                "http",
                settings,
                at: .host("127.0.0.1", port: try freePort())
            )
            #expect(refused.reason == .layer4Connect)
            #expect(refused.code == 111)
            #expect(refused.message == "Connection refused")
            let missing = try await prober.probe(
                "http",
                settings,
                at: .unix(path: "/nonexistent/socket")
            )
            #expect(missing.reason == .layer4Connect)
            #expect(missing.message == "No such file or directory")

            let folder = try TemporaryDirectory()
            let script: [ScriptedServer.Step] = [
                .expect("Host: localhost\r\n"), .expect("\r\n\r\n"),
                .send("HTTP/1.1 204 No Content\r\n\r\n"), .stall,
            ]
            let unix = try ScriptedServer([script], at: .unix(path: folder.path("http.sock")))
            defer { unix.stop() }
            let local = try await prober.probe("http", settings, at: unix.address)
            #expect(local.code == 204, "\(engine.name): \(local)")
            let left = await prober.leftovers()
            #expect(left.descriptors == 0 && left.timers == 0)
        }
    }

    @Test(.enabled(if: hasIPv6Loopback, "no ::1"))
    func `both engines speak IPv6`() async throws {
        for engine in Conformance.engines {
            let script: [ScriptedServer.Step] = [
                .expect("Host: [::1]:"), .expect("\r\n\r\n"),
                .send("HTTP/1.1 204 No Content\r\n\r\n"), .stall,
            ]
            let server = try ScriptedServer([script], at: .host("::1", port: 0))
            defer { server.stop() }
            let prober = try await Prober()
            let outcome = try await prober.probe(
                "http",
                TestSetting.map(engine.extra),
                at: server.address
            )
            #expect(outcome.code == 204, "\(engine.name): \(outcome)")
            try await expectNothingLeft(prober, to: server.port)
        }
    }

    @Test func `both engines say the same of the addresses of a name`() async throws {
        let names = try NameServer([
            "half.test": .records([.a("127.0.0.2"), .a("127.0.0.1")]),
            "dead.test": .records([.a("127.0.0.2"), .a("127.0.0.3")]),
            "slow.test": .silence,
        ])
        defer { names.stop() }
        let server = try ScriptedServer(
            .expect(".test:"),
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 204 No Content\r\n\r\n"),
            .stall
        )
        defer { server.stop() }
        typealias Row = (name: String, verdict: Outcome.Verdict, reason: Reason, words: String)
        let rows: [Row] = [
            ("half.test", .warn, .layer7OK, "1 of 2 addresses down: "),
            ("dead.test", .fail, .layer4Connect, "each of 2 addresses fails: "),
            ("nowhere.test", .neutral, .resolver, "resolve nowhere.test: "),
            ("slow.test", .neutral, .resolver, "resolve slow.test: "),
        ]
        for row in rows {
            var seen: [Outcome] = []
            for engine in Conformance.engines {
                let prober = try await Self.prober(names)
                var outcome = try await prober.probe(
                    "http",
                    TestSetting.map(engine.extra),
                    at: .host(row.name, port: server.port),
                    timeout: row.name == "slow.test" ? .milliseconds(500) : .seconds(20)
                )
                #expect(outcome.verdict == row.verdict, "\(engine.name): \(outcome)")
                #expect(outcome.reason == row.reason, "\(engine.name): \(outcome)")
                #expect(outcome.message.hasPrefix(row.words), "\(engine.name): \(outcome.message)")
                outcome.phases = Phases()
                seen.append(outcome)
                // The resolver still waits for an answer that never comes.
                if row.name == "slow.test" { continue }
                try await expectNothingLeft(prober, to: server.port)
            }
            #expect(seen[0] == seen[1])
        }
        #expect(
            server.receivedText.allSatisfy { $0.contains("Host: half.test:\(server.port)\r\n") }
        )
    }

    @Test func `a redirect to a name tries every address of it`() async throws {
        let names = try NameServer(["half.test": .records([.a("127.0.0.2"), .a("127.0.0.1")])])
        defer { names.stop() }
        let there = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 204 No Content\r\n\r\n"),
            .stall
        )
        defer { there.stop() }
        let here = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 302 Found\r\nLocation: //half.test:\(there.port)/\r\n\r\n"),
            .stall
        )
        defer { here.stop() }
        let prober = try await Self.prober(names)
        let outcome = try await prober.probe("http", ["redirects": 1], at: here.address)
        #expect(outcome.code == 204, "\(outcome)")
        #expect(outcome.phases.resolve != nil)
        try await expectNothingLeft(prober, to: there.port)
    }

    // MARK: TLS

    @Test(.enabled(if: ChildProcess.find("openssl") != nil, "openssl is not installed"))
    func `both engines say the same of TLS`() async throws {
        let authority = try Authority()
        let good = try await TLSServer(authority.leaf(days: 30))
        let short = try await TLSServer(authority.leaf(days: 10))
        let expired = try await TLSServer(authority.leaf(days: -1))
        let demanding = try await TLSServer(
            authority.leaf(days: 30),
            ["-Verify", "1", "-CAfile", authority.file, "-verify_return_error"]
        )
        let ours = try authority.leaf(days: 30)
        let ca: (String, TestSetting) = ("ca", .text(authority.file))
        let name: (String, TestSetting) = ("server-name", "www.example.test")
        typealias Row = (
            server: TLSServer, tls: [(String, TestSetting)], verdict: Outcome.Verdict,
            reason: Reason, words: String
        )
        let rows: [Row] = [
            (good, [ca, name], .pass, .layer7OK, "200 ok"),
            (
                good, [ca, name, ("expires-warn", "60d")], .warn, .layer7OK,
                "certificate: expected 60d"
            ),
            (short, [ca, name, ("expires-fail", "14d")], .fail, .layer6Response, "saw 9 days"),
            (expired, [ca, name], .fail, .layer6Response, "certificate has expired"),
            (expired, [("verify", false)], .pass, .layer7OK, "200 ok"),
            (good, [name], .fail, .layer6Response, "unable to get local issuer"),
            (
                good, [ca, ("server-name", "other.test")], .fail, .layer6Response,
                "hostname mismatch"
            ),
            (good, [ca], .fail, .layer6Response, "IP address mismatch"),
            (demanding, [ca, name], .fail, .layer6Response, "certificate required"),
            (
                demanding,
                [ca, name, ("certificate", .text(ours.certificate)), ("key", .text(ours.key))],
                .pass, .layer7OK, "200 ok"
            ),
        ]
        for row in rows {
            var seen: [Outcome] = []
            for engine in Conformance.engines {
                let prober = try await Prober()
                var outcome = try await prober.probe(
                    "http",
                    TestSetting.map([("tls", .map(row.tls))] + engine.extra),
                    at: row.server.address,
                    timeout: .seconds(20)
                )
                #expect(outcome.verdict == row.verdict, "\(engine.name): \(outcome)")
                #expect(outcome.reason == row.reason, "\(engine.name): \(outcome)")
                #expect(outcome.message.contains(row.words), "\(engine.name): \(outcome.message)")
                if outcome.reason == .layer7OK { #expect(outcome.phases.tls != nil) }
                let isRight = outcome.reason == .layer7OK
                #expect(outcome.measurements.isEmpty != isRight || row.words.contains("days"))
                outcome.phases = Phases()
                seen.append(outcome)
                if case .host(_, let port) = row.server.address {
                    try await expectNothingLeft(prober, to: port)
                }
            }
            #expect(seen[0] == seen[1])
        }
    }

    @Test(.enabled(if: ChildProcess.find("openssl") != nil, "openssl is not installed"))
    func `both engines send the Host as the name`() async throws {
        let authority = try Authority()
        let server = try await TLSServer(authority.leaf(days: 30))
        for engine in Conformance.engines {
            for (host, verdict) in [("www.example.test", Outcome.Verdict.pass), ("x.test", .fail)] {
                let outcome = try await Prober().probe(
                    "http",
                    TestSetting.map([
                        ("host", .text(host)), ("tls", ["ca": .text(authority.file)]),
                    ]).with(engine.extra),
                    at: server.address
                )
                #expect(outcome.verdict == verdict, "\(engine.name): \(outcome)")
            }
        }
    }

    @Test func `both engines say the same of a server without TLS`() async throws {
        typealias Row = (script: [ScriptedServer.Step], reason: Reason)
        let rows: [Row] = [
            ([.send("HTTP/1.1 400 Bad Request\r\n\r\n"), .stall], .layer6Response),
            ([.expectBytes([0x16]), .close], .layer6Response),
            ([.expectBytes([0x16]), .reset], .layer6Response),
            ([.stall], .layer6Timeout),
            ([.expectBytes([0x16]), .sendBytes([0x16, 3, 3, 0]), .stall], .layer6Timeout),
        ]
        for row in rows {
            var messages: [String] = []
            for engine in Conformance.engines {
                let server = try ScriptedServer([row.script])
                defer { server.stop() }
                let prober = try await Prober()
                let outcome = try await prober.probe(
                    "http",
                    TestSetting.map([("tls", true)] + engine.extra),
                    at: server.address,
                    timeout: patience(for: row.reason)
                )
                #expect(outcome.verdict == .fail)
                #expect(outcome.reason == row.reason, "\(engine.name): \(outcome)")
                #expect(outcome.code == nil)
                messages.append(outcome.message)
                try await expectNothingLeft(prober, to: server.port)
            }
            if case .send = row.script.first {
                // What came instead is shown where we have read it ourselves.
                let words = "expected a TLS handshake, saw "
                #expect(
                    messages[0]
                        == "\(words)'HTTP/1.1 400 Bad Request\\r\\n\\r\\n': an HTTP server without TLS"
                )
                #expect(messages[1] == "\(words)bytes that are no TLS")
            } else {
                #expect(messages[0] == messages[1])
            }
        }
    }

    static func prober(_ names: NameServer) async throws -> Prober {
        var configuration = ResolverConfiguration()
        configuration.servers = ["127.0.0.1:\(names.port)"]
        return try await Prober(configuration)
    }
}

/// No descriptor or timer on the loop, and no connection of ours to a server's port.
func expectNothingLeft(
    _ prober: Prober,
    to port: UInt16,
    _ location: SourceLocation = #_sourceLocation
) async throws {
    let left = await prober.leftovers()
    #expect(left.descriptors == 0 && left.timers == 0, sourceLocation: location)
    let open = (3..<4_096).filter { Socket.remoteAddress($0)?.port == port }
    #expect(open.isEmpty, "descriptors \(open) to port \(port)", sourceLocation: location)
}
