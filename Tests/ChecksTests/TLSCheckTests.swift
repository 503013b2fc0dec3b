// Is a bad certificate refused for what is bad about it? Against OpenSSL's own server.

import Checks
import EventLoop
import Foundation
import Health
import TestSupport
import Testing
import Vocabulary

@Suite(.enabled(if: ChildProcess.find("openssl") != nil, "openssl is not installed"))
struct TLSCheckTests {
    private static let authority = Result { try Authority() }

    @Test func `a server that answers over TLS passes`() async throws {
        let authority = try Self.authority.get()
        let server = try await TLSServer(authority.leaf(days: 30))
        let prober = try await Prober()
        let trusted: TestSetting = [
            "ca": .text(authority.file), "server-name": "www.example.test",
        ]
        let http = try await prober.probe("http", ["tls": trusted], at: server.address)
        #expect(http.verdict == .pass, "\(http)")
        #expect(http.reason == .layer7OK && http.code == 200)
        #expect(http.phases.tls != nil)

        let tcp = try await prober.probe(
            "tcp",
            ["tls": trusted, "send": "GET / HTTP/1.0\\r\\n\\r\\n", "expect": "200"],
            at: server.address
        )
        #expect(tcp.reason == .layer7OK, "\(tcp)")

        let (outcome, steps) = try await prober.explain("tls", trusted, at: server.address)
        #expect(outcome.verdict == .pass, "\(outcome)")
        #expect(outcome.reason == .layer6OK)
        #expect(
            outcome.measurements == [
                Measurement(label: "certificate_days_left", value: 29, unit: "d")
            ]
        )
        #expect(outcome.message.contains("/CN=www.example.test, 29 days left"))
        let watched = try await prober.probe(
            "tls",
            [
                "ca": .text(authority.file), "server-name": "www.example.test",
                "expires-warn": "21d", "expires-fail": "36h",
            ],
            at: server.address
        )
        #expect(watched.measurements.first?.scale?.warn == "21:")
        #expect(watched.measurements.first?.scale?.fail == "1.5:")
        #expect(steps.contains { $0.phase == "tls" && $0.text.contains("TLSv1.3") })
        let left = await prober.leftovers()
        #expect(left.descriptors == 0 && left.timers == 0)
    }

    @Test func `files that change are used from the next probe on`() async throws {
        let authority = try Self.authority.get()
        let server = try await TLSServer(authority.leaf(days: 30))
        let folder = try TemporaryDirectory()
        let stranger = try Authority()
        let other = try String(contentsOfFile: stranger.file, encoding: .utf8)
        let file = try folder.write(other, to: "ca.pem")
        let prober = try await Prober()
        let settings: TestSetting = ["ca": .text(file), "server-name": "www.example.test"]
        let check = try CheckRegistry.builtin.make("tls", from: settings.options(path: "tls"))
        func probe() async -> Outcome {
            await runProbe(
                check,
                Target(upstream: "web", peer: "p1", address: server.address),
                timeout: .seconds(30),
                loop: prober.loop,
                resolver: prober.resolver
            ).0
        }
        let before = await probe()
        #expect(before.verdict == .fail, "\(before)")
        // Half written: what was in it before is used, and a failure tells why.
        try folder.write("-----BEGIN", to: "ca.pem")
        let halfway = await probe()
        #expect(halfway.verdict == .fail)
        #expect(
            halfway.message.contains("the files of this check changed and cannot be used"),
            "\(halfway)"
        )
        try folder.write(String(contentsOfFile: authority.file, encoding: .utf8), to: "ca.pem")
        let after = await probe()
        #expect(after.verdict == .pass, "\(after)")
    }

    @Test func `the Host is the name that is expected and sent`() async throws {
        let authority = try Self.authority.get()
        let server = try await TLSServer(authority.leaf(days: 30))
        let prober = try await Prober()
        for (host, verdict) in [("www.example.test", Outcome.Verdict.pass), ("other.test", .fail)] {
            let outcome = try await prober.probe(
                "http",
                [
                    "host": .text(host),
                    "tls": ["ca": .text(authority.file)],
                ],
                at: server.address
            )
            #expect(outcome.verdict == verdict, "\(outcome)")
        }
    }

    @Test func `the end of a certificate warns and fails in time`() async throws {
        let authority = try Self.authority.get()
        let server = try await TLSServer(authority.leaf(days: 10))
        let prober = try await Prober()
        for (key, verdict, reason) in [
            ("expires-warn", Outcome.Verdict.warn, Reason.layer6OK),
            ("expires-fail", .fail, .layer6Response),
        ] {
            let outcome = try await prober.probe(
                "tls",
                TestSetting.map([
                    ("ca", .text(authority.file)),
                    ("server-name", "www.example.test"),
                    (key, "14d"),
                ]),
                at: server.address
            )
            #expect(outcome.verdict == verdict)
            #expect(outcome.reason == reason)
            #expect(
                outcome.message.hasPrefix("certificate: expected 14d left, saw 9 days until "),
                "\(outcome.message)"
            )
            #expect(outcome.message.contains(", of /CN="), "\(outcome.message)")
        }
    }

    @Test func `a certificate is refused for what is bad about it`() async throws {
        let authority = try Self.authority.get()
        let prober = try await Prober()
        let good = try await TLSServer(authority.leaf(days: 30))
        let expired = try await TLSServer(authority.leaf(days: -1))
        let ca = TestSetting.text(authority.file)
        let rows: [(TLSServer, TestSetting, String)] = [
            (good, ["server-name": "www.example.test"], "unable to get local issuer certificate"),
            (
                good, ["ca": ca, "server-name": "other.test"] as TestSetting,
                "expected a valid certificate for other.test, saw: hostname mismatch, of /CN="
            ),
            (
                good, ["ca": ca],
                "expected a valid certificate for 127.0.0.1, saw: IP address mismatch, of /CN="
            ),
            (expired, ["ca": ca, "server-name": "www.example.test"], "certificate has expired"),
        ]
        for (server, settings, words) in rows {
            let outcome = try await prober.probe("tls", settings, at: server.address)
            #expect(outcome.verdict == .fail)
            #expect(outcome.reason == .layer6Response)
            #expect(outcome.code != nil)
            #expect(outcome.message.lowercased().contains(words.lowercased()), "\(outcome.message)")
        }
        let unverified = try await prober.probe("tls", ["verify": false], at: expired.address)
        #expect(unverified.verdict == .pass, "\(unverified)")
        #expect(!unverified.message.contains("not verified"))
        // Whose it is matters to whoever mends it, also where nobody insists on the name.
        for (name, isTold) in [("other.test", true), ("www.example.test", false)] {
            let settings = ["verify": false, "server-name": .text(name)] as TestSetting
            let outcome = try await prober.probe("tls", settings, at: expired.address)
            #expect(outcome.verdict == .pass)
            let words = "; not verified: expected a certificate for other.test, saw /CN="
            #expect(outcome.message.contains(words) == isTold, "\(outcome.message)")
        }
    }

    @Test func `a certificate without a key is told as that`() throws {
        let leaf = try Self.authority.get().leaf(days: 30)
        let message = complaint("tls", ["certificate": .text(leaf.certificate)])
        #expect(
            message
                == "test.yaml:1:1: tls: expected a key beside the certificate in \(leaf.certificate), or a "
                + "file of its own in 'key', saw neither"
        )
        #expect(
            complaint("tls", ["certificate": .text(leaf.certificate), "key": .text(leaf.key)])
                == nil
        )
    }

    @Test func `a server may ask for a certificate of ours`() async throws {
        let authority = try Self.authority.get()
        let server = try await TLSServer(
            authority.leaf(days: 30),
            ["-Verify", "1", "-CAfile", authority.file, "-verify_return_error"]
        )
        let prober = try await Prober()
        let trusted: [(String, TestSetting)] = [
            ("ca", .text(authority.file)), ("server-name", "www.example.test"),
        ]
        let without = try await prober.probe("http", ["tls": .map(trusted)], at: server.address)
        #expect(without.verdict == .fail)
        #expect(without.reason == .layer6Response)
        #expect(
            without.message.hasSuffix(
                "the server's alert 116, certificate required: it demands a client certificate: "
                    + "'certificate' and 'key' give it one"
            ),
            "\(without.message)"
        )
        let byCurl = try await prober.probe(
            "http",
            ["tls": .map(trusted), "cookies": true],
            at: server.address
        )
        #expect(byCurl.reason == .layer6Response)
        #expect(byCurl.message == without.message)

        let ours = try authority.leaf(days: 30)
        let with = try await prober.probe(
            "http",
            [
                "tls": .map(
                    trusted + [
                        ("certificate", .text(ours.certificate)),
                        ("key", .text(ours.key)),
                    ]
                )
            ],
            at: server.address
        )
        #expect(with.verdict == .pass, "\(with)")
    }

    @Test func `a server that does not speak TLS fails at layer 6`() async throws {
        let prober = try await Prober()
        let plain = try ScriptedServer(.send("HTTP/1.1 400 Bad Request\r\n\r\n"), .stall)
        defer { plain.stop() }
        let outcome = try await prober.probe("tls", at: plain.address)
        #expect(outcome.reason == .layer6Response)
        #expect(
            outcome.message == "expected a TLS handshake, saw 'HTTP/1.1 400 Bad Request"
                + "\\r\\n\\r\\n': an HTTP server without TLS"
        )

        let closing = try ScriptedServer(.expectBytes([0x16]), .close)
        defer { closing.stop() }
        let ended = try await prober.probe("tls", at: closing.address)
        #expect(ended.reason == .layer6Response, "\(ended)")

        let silent = try ScriptedServer(.stall)
        defer { silent.stop() }
        let late = try await prober.probe(
            "http",
            ["tls": true],
            at: silent.address,
            timeout: .milliseconds(100)
        )
        #expect(late.reason == .layer6Timeout)
        #expect(late.message == "expected a TLS handshake within 100ms, saw no end of it")
    }

    @Test func `a file that is not there is named`() {
        #expect(
            complaint("http", ["tls": ["ca": "/no/such/file"]])
                == "test.yaml:1:1: http.tls: read authorities from /no/such/file: "
                + "No such file or directory"
        )
        #expect(complaint("tls", ["verfiy": false])?.contains("did you mean 'verify'?") == true)
    }
}

/// `openssl s_server -www`: answers every GET with a page about the connection.
final class TLSServer: Sendable {
    let address: Address
    private let process: ChildProcess
    private let folder: TemporaryDirectory

    init(_ leaf: Authority.Leaf, _ arguments: [String] = []) async throws {
        folder = try TemporaryDirectory()
        let port = try freePort()
        address = .host("127.0.0.1", port: port)
        process = try ChildProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", leaf.certificate,
                "-key", leaf.key, "-www",
            ] + arguments,
            in: folder
        )
        let process = process
        let isUp = await eventually { process.output.contains("ACCEPT") }
        guard isUp else { throw ChildProcess.Failure(process.output) }
    }

    deinit { process.end() }
}
