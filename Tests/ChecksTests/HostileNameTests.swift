// Is a peer found that only speaks IPv6, and one of whose two addresses nobody listens at? By every
// kind that connects.

import Checks
import DNS
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct HostileNameTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var kind: String
        var settings: TestSetting = [:]
        /// What a healthy server says; none for a name server of its own.
        var script: [ScriptedServer.Step]
        var reason = Reason.layer7OK

        var testDescription: String { kind }
    }

    /// Settings, an answer of status 200, a body that says SERVING, and the trailers.
    private static let serving: [UInt8] =
        [0, 0, 0, 4, 0, 0, 0, 0, 0] + [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88]
        + [0, 0, 7, 0, 0, 0, 0, 0, 1] + [0, 0, 0, 0, 2, 0x08, 1]
        + [0, 0, 15, 1, 5, 0, 0, 0, 1] + [0, 11] + Array("grpc-status".utf8) + [1, 0x30]

    private static let rows: [Row] = [
        Row(
            kind: "http",
            script: [
                .expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), .stall,
            ]
        ),
        Row(
            kind: "http-agent",
            script: [.expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\n\r\nup\n"), .stall]
        ),
        Row(kind: "haproxy-agent-check", script: [.send("up\n"), .stall]),
        Row(kind: "tcp", script: [.stall], reason: .layer4OK),
        Row(
            kind: "dialogue",
            settings: ["send": "hi", "expect": "+OK"],
            script: [.expect("hi"), .send("+OK"), .stall]
        ),
        Row(kind: "redis", script: [.expect("PING"), .send("+PONG\r\n"), .stall]),
        Row(kind: "grpc", script: [.expect("Health/Check"), .sendBytes(serving), .stall]),
        // A handshake that goes wrong got as far as the server all the same.
        Row(kind: "tls", script: [.expectBytes([0x16]), .close], reason: .layer6Response),
        Row(
            kind: "dns",
            settings: ["name": "web.test", "transport": "tcp"],
            script: [.expect("web"), .sendBytes([0, 1, 0]), .stall],
            reason: .layer7Response
        ),
    ]

    private func prober(_ names: NameServer) async throws -> Prober {
        var configuration = ResolverConfiguration()
        configuration.servers = ["127.0.0.1:\(names.port)"]
        return try await Prober(configuration)
    }

    @Test(.enabled(if: hasIPv6Loopback, "no ::1"), arguments: rows)
    func `a peer that only speaks IPv6 is reached`(row: Row) async throws {
        let names = try NameServer(["six.test": .records([.aaaa("::1")])])
        defer { names.stop() }
        let server = try ScriptedServer([row.script], at: .host("::1", port: 0))
        defer { server.stop() }
        let prober = try await prober(names)
        for host in ["::1", "six.test"] {
            let outcome = try await prober.probe(
                row.kind,
                row.settings,
                at: .host(host, port: server.port),
                timeout: .seconds(20)
            )
            #expect(outcome.reason == row.reason, "\(host): \(outcome)")
        }
        // Nobody listens at the same port of IPv4.
        let other = try await prober.probe(
            row.kind,
            row.settings,
            at: .host("127.0.0.1", port: server.port)
        )
        #expect(other.reason == .layer4Connect, "\(other)")
        #expect(await prober.leftovers() == (0, 0))
    }

    private static let dead = "127.0.0.2"
    /// What hangs takes all of it, and what lives must surely answer within it.
    private static let patience = Nanoseconds.seconds(5)

    @Test(arguments: rows)
    func `one address of two that refuses holds up nobody`(row: Row) async throws {
        let server = try ScriptedServer([row.script])
        defer { server.stop() }
        try await expectAnswers(of: row, from: server.port, within: .seconds(20))
    }

    /// All kinds at once, since each waits as long as it may.
    @Test func `one address of two that hangs holds up nobody`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for row in Self.rows {
                group.addTask {
                    let server = try ScriptedServer([row.script])
                    defer { server.stop() }
                    let hanging = try HangingListener(ip: Self.dead, port: server.port)
                    defer { withExtendedLifetime(hanging) {} }
                    try await expectAnswers(of: row, from: server.port, within: Self.patience)
                }
            }
            try await group.waitForAll()
        }
    }

    /// Whichever of the two addresses comes first.
    private func expectAnswers(
        of row: Row,
        from port: UInt16,
        within timeout: Nanoseconds
    ) async throws {
        let orders = [[Self.dead, "127.0.0.1"], ["127.0.0.1", Self.dead]]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for addresses in orders {
                group.addTask {
                    let names = try NameServer(["two.test": .records(addresses.map { .a($0) })])
                    defer { names.stop() }
                    let prober = try await prober(names)
                    let outcome = try await prober.probe(
                        row.kind,
                        row.settings,
                        at: .host("two.test", port: port),
                        timeout: timeout
                    )
                    #expect(outcome.reason == row.reason, "\(row.kind), \(addresses): \(outcome)")
                    #expect(outcome.phases.total < .seconds(15))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: [false, true])
    func `a name server is asked at its next address too`(isSilent: Bool) async throws {
        let names = try NameServer(["ns.test": .records([.a(Self.dead), .a("127.0.0.1")])])
        defer { names.stop() }
        let server = try NameServer(["web.test": .records([.a("192.0.2.9")])])
        defer { server.stop() }
        let unread = try isSilent ? UnreadSocket(ip: Self.dead, port: server.port) : nil
        defer { withExtendedLifetime(unread) {} }
        let prober = try await prober(names)
        let outcome = try await prober.probe(
            "dns",
            ["name": "web.test"],
            at: .host("ns.test", port: server.port),
            timeout: isSilent ? Self.patience : .seconds(20)
        )
        #expect(outcome.verdict == .warn, "\(outcome)")
        #expect(outcome.reason == .layer7OK)
        #expect(outcome.message.contains(Self.dead))
        #expect(await prober.leftovers() == (0, 0))
    }

    @Test func `all dead is told of the first`() async throws {
        let names = try NameServer(["two.test": .records([.a("127.0.0.2"), .a("127.0.0.3")])])
        defer { names.stop() }
        let prober = try await prober(names)
        for settings in [["name": "web.test"], ["name": "web.test", "transport": "tcp"]]
            as [TestSetting]
        {
            let port = try freePort()
            let outcome = try await prober.probe(
                "dns",
                settings,
                at: .host("two.test", port: port)
            )
            #expect(outcome.reason == .layer4Connect)
            let wanted = "each of 2 addresses fails: Connection refused at 127.0.0."
            #expect(outcome.message.hasPrefix(wanted), "\(outcome)")
        }
    }

    @Test func `datagrams that answer nothing are endured until the deadline`() async throws {
        let flood = try GarbageServer()
        defer { flood.stop() }
        let other = try ScriptedServer(.stall)
        defer { other.stop() }
        let prober = try await Prober()
        async let flooded = prober.probe(
            "dns",
            ["name": "web.test"],
            at: .host("127.0.0.1", port: flood.port),
            timeout: .milliseconds(500)
        )
        // The same loop has time for others.
        let spared = try await prober.probe("tcp", at: other.address, timeout: .seconds(20))
        #expect(spared.verdict == .pass)
        let outcome = try await flooded
        #expect(outcome.reason == .layer7Timeout, "\(outcome)")
        #expect(outcome.phases.total < .seconds(15))
        #expect(flood.sent > 0)
        #expect(await prober.leftovers() == (0, 0))
    }
}
