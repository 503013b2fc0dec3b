// Does a Redis check see what a client would see? Against a real server, and against liars.

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct RedisCheckTests {
    private final class Server: Sendable {
        let address: Address
        private let process: ChildProcess
        private let folder: TemporaryDirectory

        init(_ arguments: [String] = []) async throws {
            folder = try TemporaryDirectory()
            let port = try freePort()
            address = .host("127.0.0.1", port: port)
            process = try ChildProcess(
                "redis-server",
                [
                    "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                    "--dir", folder.path, "--repl-diskless-sync-delay", "0",
                ] + arguments,
                in: folder
            )
            let process = process
            let isUp = await eventually { process.output.contains("Ready to accept connections") }
            guard isUp else { throw ChildProcess.Failure(process.output) }
        }

        func signal(_ number: Int32) { process.signal(number) }

        deinit { process.end() }
    }

    private static let hasRedis = ChildProcess.find("redis-server") != nil

    @Test(.enabled(if: hasRedis, "redis-server is not installed"))
    func `a master and its replica are told apart`() async throws {
        let master = try await Server()
        guard case .host(let host, let port) = master.address else { return }
        let replica = try await Server(["--replicaof", host, "\(port)"])
        let prober = try await Prober()

        let plain = try await prober.probe("redis", at: master.address)
        #expect(plain.verdict == .pass && plain.reason == .layer7OK && plain.message == "PONG")

        let linked = try await eventually {
            try await prober.probe("redis", ["role": "replica", "lag": "30s"], at: replica.address)
                .verdict == .pass
        }
        #expect(linked)
        let wrong = try await prober.probe("redis", ["role": "master"], at: replica.address)
        #expect(wrong.verdict == .fail && wrong.reason == .layer7Status)
        #expect(wrong.message == "expected the role master, saw replica")
        let right = try await prober.probe("redis", ["role": "master"], at: master.address)
        #expect(right.verdict == .pass)
    }

    @Test(.enabled(if: hasRedis, "redis-server is not installed"))
    func `a replica without its master is behind`() async throws {
        let replica = try await Server(["--replicaof", "127.0.0.1", "\(try freePort())"])
        let outcome = try await Prober().probe("redis", ["lag": "5s"], at: replica.address)
        #expect(outcome.verdict == .fail)
        #expect(outcome.message == "expected a link to the master, saw it down")
    }

    @Test(.enabled(if: hasRedis, "redis-server is not installed"))
    func `a password is needed where one is set`() async throws {
        let server = try await Server(["--requirepass", "secret"])
        let prober = try await Prober()
        let without = try await prober.probe("redis", at: server.address)
        #expect(without.verdict == .fail && without.reason == .layer7Status)
        #expect(without.message == "PING: expected 'PONG', saw 'NOAUTH Authentication required.'")
        let (with, steps) = try await prober.explain(
            "redis",
            ["password": "secret"],
            at: server.address
        )
        #expect(with.verdict == .pass, "\(with)")
        #expect(!steps.contains { $0.text.contains("secret") })
        let wrong = try await prober.probe("redis", ["password": "guess"], at: server.address)
        #expect(wrong.message.hasPrefix("AUTH: expected 'OK', saw 'WRONGPASS"), "\(wrong.message)")
    }

    private static let liars: [([ScriptedServer.Step], Reason, String)] = [
        (
            [
                .expect("PING"), .send("-LOADING Redis is loading the dataset in memory\r\n"),
                .stall,
            ],
            .layer7Status,
            "PING: expected 'PONG', saw 'LOADING Redis is loading the dataset in memory'"
        ),
        (
            [.send("HTTP/1.1 400\r\n"), .stall], .layer7Response,
            "PING: expected one of + - : $, saw 'HTTP"
        ),
        (
            [.expect("PING"), .close], .layer7Response,
            "expected a reply to PING, saw nothing and the end"
        ),
        (
            [.expect("PING"), .send("+PO"), .stall], .layer7Timeout,
            "expected a reply to PING within 5s, saw '+PO'"
        ),
        ([.send("$99999999\r\n"), .stall], .layer7Response, "PING: expected a length up to 65536"),
        (
            [.endless(Array("+PON".utf8), everyMilliseconds: 0)], .layer7Response,
            "PING: expected a line of at most 1024 bytes"
        ),
    ]

    @Test(arguments: liars.indices)
    func `a wrong reply is told from none`(row: Int) async throws {
        let (script, reason, message) = Self.liars[row]
        let server = try ScriptedServer([script])
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "redis",
            at: server.address,
            timeout: patience(for: reason, afterBytes: script.speaks)
        )
        #expect(outcome.verdict == .fail)
        #expect(outcome.reason == reason)
        #expect(outcome.message.hasPrefix(message), "\(outcome.message)")
    }
}
