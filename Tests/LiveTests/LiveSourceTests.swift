// Does muster live beside hipache on its Redis? The whole program, a real Redis, and readers of hipache's and of
// planb's format as those programs read it.

import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveSourceTests {
        private static let patience = Duration.seconds(30)

        /// Backends, a Redis, and a muster that routes by nothing else.
        private static func start(
            _ sources: (UInt16) -> String
        ) async throws -> (Installation, LiveRedis) {
            let installation = try Installation()
            for index in installation.servers.indices { try installation.startServer(index) }
            let areUp = await eventually(within: patience) {
                installation.servers.allSatisfy { HTTPConnection.isAccepted(port: $0) }
            }
            #expect(areUp)
            let redis = try LiveRedis(in: installation.folder)
            try await redis.start()
            try await installation.startMuster(
                """
                sources:
                \(sources(redis.port))
                proxy: { listeners: [ { bind: "127.0.0.1:\(installation.proxyPort)" } ] }
                admin: { bind: "127.0.0.1:\(installation.adminPort)" }
                """
            )
            return (installation, redis)
        }

        private static func get(
            _ host: String,
            _ installation: Installation
        ) async throws -> HTTPAnswer {
            let port = installation.proxyPort
            return try await blocking {
                let connection = try HTTPConnection(port: port)
                try connection.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                return try connection.answer()
            }
        }

        /// The backends that hipache would choose from, which reads both keys for each request.
        private static func hipacheChooses(
            _ host: String,
            _ redis: LiveRedis
        ) async throws -> [String] {
            let list = try await redis.ask("LRANGE", "frontend:\(host)", "1", "-1")
            let dead = try await redis.ask("SMEMBERS", "dead:\(host)")
            return list.enumerated().filter { !dead.contains("\($0.offset)") }.map(\.element)
        }

        /// The backend that planb would take next, beginning anywhere, or none.
        private static func planbTakes(
            _ host: String,
            from start: Int,
            _ redis: LiveRedis
        ) async throws -> String? {
            let list = try await redis.ask("LRANGE", "frontend:\(host)", "1", "-1")
            let dead = Set(try await redis.ask("SMEMBERS", "dead:\(host)").compactMap { Int($0) })
            return (0..<list.count).map { ($0 + start) % list.count }.first { !dead.contains($0) }
                .map { list[$0] }
        }

        /// Nothing but sources is something too.
        @Test func `a reload that leaves nothing is refused, and one to sources alone is not`()
            async throws
        {
            let (installation, _) = try await Self.start {
                "  - hipache: { url: \"redis://127.0.0.1:\($0)/0\" }"
            }
            let file = installation.folder.path("muster.yaml")
            let good = try String(contentsOfFile: file, encoding: .utf8)
            try installation.folder.write("", to: "muster.yaml")
            let emptied = try await installation.command("reload")
            #expect(emptied.exitCode == 1)
            #expect(emptied.output.contains("expected at least one source while 1 are running"))
            #expect(try await Self.get("__ping__", installation).status == 200)
            try installation.folder.write(
                good + "\nupstreams: { web: { peers: [\"127.0.0.1:1\"] } }\n",
                to: "muster.yaml"
            )
            #expect(try await installation.command("reload").exitCode == 0)
            try installation.folder.write(good, to: "muster.yaml")
            let back = try await installation.command("reload")
            #expect(back.exitCode == 0)
            #expect(back.output.contains("web"))
            #expect(try await Self.get("__ping__", installation).status == 200)
        }

        @Test func `hipache and planb route around what muster finds dead, and back`() async throws
        {
            let (installation, redis) = try await Self.start {
                "  - hipache: { url: \"redis://127.0.0.1:\($0)/0\" }"
            }
            let urls = installation.servers.map { "http://127.0.0.1:\($0)" }
            #expect(try await Self.get("www.example.com", installation).status == 400)
            _ = try await redis.ask("RPUSH", "frontend:www.example.com", "www", urls[0], urls[1])
            _ = try await redis.ask("RPUSH", "frontend:*.example.com", "all", urls[2])
            #expect(try await Self.get("__ping__", installation).text == "ok")
            for _ in 0..<4 {
                let answer = try await Self.get("www.example.com", installation)
                #expect(answer.status == 200)
                #expect(installation.servers[..<2].map { "\($0)" }.contains(answer.server))
            }
            #expect(
                try await Self.get("other.example.com", installation).server
                    == "\(installation.servers[2])"
            )

            installation.killServer(0)
            #expect(
                try await eventually(within: Self.patience) {
                    try await Self.hipacheChooses("www.example.com", redis) == [urls[1]]
                }
            )
            for start in 0..<2 {
                #expect(try await Self.planbTakes("www.example.com", from: start, redis) == urls[1])
            }
            for _ in 0..<4 {
                #expect(
                    try await Self.get("www.example.com", installation).server
                        == "\(installation.servers[1])"
                )
            }
            // The list is edited: the mark goes with its backend.
            _ = try await redis.ask(
                "LINSERT",
                "frontend:www.example.com",
                "BEFORE",
                urls[0],
                urls[2]
            )
            #expect(
                try await eventually(within: Self.patience) {
                    try await Self.hipacheChooses("www.example.com", redis) == [urls[2], urls[1]]
                }
            )
            try installation.startServer(0)
            #expect(
                try await eventually(within: Self.patience) {
                    try await Self.hipacheChooses("www.example.com", redis).count == 3
                }
            )
            let upstream = try await installation.json("/v1/upstreams/hipache")
            #expect(upstream["peers"]?.items?.count == 3)

            // Without its Redis it goes on.
            redis.kill()
            #expect(
                await eventually(within: Self.patience) {
                    installation.muster?.output.contains("is away") == true
                }
            )
            #expect(try await Self.get("other.example.com", installation).status == 200)
            installation.muster?.signal(SIGTERM)
            #expect(await installation.muster?.exitCode(within: Self.patience) == 0)
        }

        @Test func `a key of a host is routed by while it says so`() async throws {
            let (installation, redis) = try await Self.start {
                "  - redis-keys: { url: \"redis://127.0.0.1:\($0)\", prefix: \"h:\" }"
            }
            let ports = installation.servers
            #expect(try await Self.get("www.example.com", installation).status == 404)
            _ = try await redis.ask("SET", "h:www.example.com", "127.0.0.1:\(ports[0])")
            #expect(
                try await eventually(within: Self.patience) {
                    try await Self.get("www.example.com", installation).server == "\(ports[0])"
                }
            )
            _ = try await redis.ask(
                "SET",
                "h:www.example.com",
                "127.0.0.1:\(ports[1]),127.0.0.1:\(ports[2])"
            )
            #expect(
                try await eventually(within: Self.patience) {
                    try await Self.get("www.example.com", installation).server != "\(ports[0])"
                }
            )
            var served = Set<String>()
            for _ in 0..<8 {
                served.insert(try await Self.get("www.example.com", installation).server)
            }
            #expect(served == Set(ports[1...].map { "\($0)" }))
            redis.kill()
            #expect(
                await eventually(within: Self.patience) {
                    installation.muster?.output.contains("is away") == true
                }
            )
            #expect(try await Self.get("www.example.com", installation).status == 200)
            #expect(try await Self.get("other.example.com", installation).status == 503)
        }
    }
}
