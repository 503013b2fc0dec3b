// What if the Redis dies under traffic, and comes back empty? Nobody may notice, and afterwards all
// must be told again.

import EventLoop
import Foundation
import TestSupport
import Testing
import Vocabulary

/// A real Redis that forgets everything when it ends.
final class LiveRedis: @unchecked Sendable {
    let port: UInt16
    private let folder: TemporaryDirectory
    private var process: ChildProcess?

    init(in folder: TemporaryDirectory) throws {
        self.folder = folder
        port = try freePort()
    }

    func start() async throws {
        process = try ChildProcess(
            "redis-server",
            ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", folder.path],
            in: folder
        )
        let isUp = try await eventually(within: .seconds(30)) {
            try await ask("PING") == ["PONG"]
        }
        guard isUp else { throw ChildProcess.Failure("redis-server does not start") }
    }

    /// Kill -9.
    func kill() { process?.end() }

    func signal(_ number: Int32) { process?.signal(number) }

    /// One command, as docs/STATE.md shows it. The lines of the answer.
    func ask(_ words: String...) async throws -> [String] {
        let process = try ChildProcess(
            "redis-cli",
            ["-h", "127.0.0.1", "-p", "\(port)", "--raw"] + words,
            in: folder
        )
        return try await Muster.finish(process, "redis-cli").lines
    }
}

extension Live {
    @Suite struct LiveRedisTests {
        /// The promise is three seconds, which RedisStoreTests take apart: here every look is a
        /// process of its own.
        private static let restated = Duration.seconds(30)

        @Test func `a Redis that dies under traffic costs nothing and is told everything again`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let redis = try LiveRedis(in: folder)
            try await redis.start()
            // Slow enough that nobody misses the start of a server.
            let installation = try await Installation.start(
                replacing: [("slow-start: 5s", "slow-start: 20s")],
                adding: "\nstore:\n  url: redis://127.0.0.1:\(redis.port)/0\n"
            )
            let names = installation.servers.map { "\($0)" }
            let ids = ["127.0.0.1:\(names[0])", "127.0.0.1:\(names[1])", "spare"]
            let pairs = Set(ids.flatMap { ["web|\($0)|http", "web|\($0)|port"] })
            let isConnected = {
                let ready = try await installation.json("/ready")
                return ready["store"]?["connected"] == true && ready["store"]?["kind"] == "redis"
            }
            #expect(try await eventually(within: .seconds(30), isConnected))
            #expect(
                try await eventually(within: .seconds(30)) {
                    Set(try await redis.ask("HKEYS", "muster:verdicts")) == pairs
                }
            )
            _ = try await installation.command("peer", "weight", "web", "spare", "7")
            // At once, unless the machine stood still for longer than a command to Redis may take.
            #expect(
                try await eventually(within: .seconds(30)) {
                    try await redis.ask("HEXISTS", "muster:intents", "web|spare") == ["1"]
                }
            )

            let traffic = Traffic(port: installation.proxyPort)
            _ = try await traffic.next(50)
            redis.kill()
            #expect(try await eventually(within: .seconds(30)) { try await !isConnected() })
            _ = try await traffic.next(100)
            // A death is noticed without a store.
            installation.killServer(1)
            _ = try await installation.waits(for: "down", of: 1)
            let part = try await traffic.next(100)
            #expect(Set(part.served.keys) == [names[0]], "\(part.served)")

            try await redis.start()
            let isRestated = try await eventually(within: Self.restated) {
                guard try await isConnected() else { return false }
                return Set(try await redis.ask("HKEYS", "muster:verdicts")) == pairs
            }
            #expect(isRestated)
            let verdict = try await redis.ask("HGET", "muster:verdicts", "web|\(ids[1])|http")
            let told = try JSON(parsing: Array(verdict.joined().utf8))
            #expect(told["status"] == "down" && told["reason"] == "L4CON", "\(told.text)")
            // What the operator asked for is no less true for having been forgotten.
            #expect(
                try await eventually(within: .seconds(30)) {
                    Set(try await redis.ask("HKEYS", "muster:intents")) == ["web|spare", "#"]
                }
            )
            #expect(try await installation.peer(2)["weight"]?.int == 7)

            try installation.startServer(1)
            _ = try await installation.waits(for: "starting", of: 1)
            let all = await traffic.stop()
            #expect(all.failures == [])
        }
    }
}
