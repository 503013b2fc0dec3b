// What does muster do with few descriptors? The whole program under a limit of its own, beside crowds that
// would take all of them.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveDescriptorTests {
        private static let manyPeers = """
            upstreams:
              web:
                monitors: [tcp]
                peers: [\((1...100).map { "10.0.0.\($0):80" }.joined(separator: ", "))]
              api: { monitors: [tcp], peers: [127.0.0.1:1] }

            """

        @Test(arguments: [
            (64, ["the limit of open files is 64, expected at least 96"]),
            (
                256,
                [
                    "of 256 descriptors 96 are kept",
                    "expected silent peers to take at most the 26 probes that may be in flight, saw 51",
                    "upstream web: expected silent peers to take at most the 19 probes",
                ]
            ),
            (1_024, []),
        ])
        func `validate counts what there would be`(
            limit: Int,
            warnings: [String]
        ) async throws {
            let folder = try TemporaryDirectory()
            let file = try folder.write(Self.manyPeers, to: "muster.yaml")
            let process = try Muster.start(
                ["validate", "-c", file],
                descriptors: limit,
                in: folder
            )
            let result = try await Muster.finish(process, "validate")
            #expect(result.exitCode == 0)
            #expect(result.lines.count == warnings.count + 1, "\(result.output)")
            for (line, warning) in zip(result.lines, warnings) {
                #expect(line.hasPrefix("warning: "), "\(line)")
                #expect(line.contains(warning), "\(line)")
            }
        }

        /// Idle clients on every port, and peers that say nothing, each more than there are descriptors.
        @Test(arguments: [128, 256])
        func `with few descriptors everything goes on beside crowds`(limit: Int) async throws {
            let silent = try ScriptedServer([[.stall]], at: .host("0.0.0.0", port: 0))
            defer { silent.stop() }
            let installation = try Installation()
            for index in installation.servers.indices { try installation.startServer(index) }
            let dark = (1...40).map { "127.0.1.\($0):\(silent.port)" }.joined(separator: ", ")
            try await installation.startMuster(
                try installation.quickstart(replacing: [
                    (
                        "upstreams:\n",
                        """
                        upstreams:
                          dark:
                            monitors: [http: { interval: 2s, timeout: 1s }]
                            peers: [\(dark)]

                        """
                    )
                ]),
                descriptors: limit
            )
            let ports = [
                installation.proxyPort, installation.adminPort, installation.agentPort,
            ]
            // Some have been served before; most of these have been closed by now.
            let crowd = try await blocking {
                try ports.flatMap { port in
                    try (0..<200).map { number in
                        let client = try HTTPConnection(port: port)
                        if number % 2 == 0 {
                            // Until then it is being served, and keeps its place from a newcomer.
                            _ = try? client.get()
                        }
                        return client
                    }
                }
            }
            let served = try await installation.serve(20)
            #expect(served.values.reduce(0, +) == 20)
            let (first, agentPort) = (installation.servers[0], installation.agentPort)
            let line = try await HTTPConnection.get(
                "/agent/web/127.0.0.1:\(first)",
                port: agentPort
            )
            #expect(line.text.hasPrefix("up"), "\(line.head) \(line.text)")
            // Probed among forty that say nothing, as often as ever.
            installation.killServer(0)
            _ = try await installation.waits(for: "down", of: 0)
            #expect(try await installation.serve(20).values.reduce(0, +) == 20)
            let told = try await installation.command("status")
            #expect(told.output.contains("127.0.0.1:\(first)"), "\(told.output)")
            let metrics = try await HTTPConnection.get("/metrics", port: installation.adminPort)
            func number(_ name: String) -> Double? {
                metrics.text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
                    .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
            }
            #expect((number("muster_proxy_connections_displaced_total") ?? 0) > 0)
            for owner in ["admin", "agent-check", "probes", "proxy"] {
                let share = number("muster_descriptors_limit{owner=\"\(owner)\"}") ?? 0
                let taken = number("muster_descriptors{owner=\"\(owner)\"}") ?? .infinity
                #expect(taken <= share, "\(owner) has \(taken) of \(share)")
            }
            let muster = try #require(installation.muster)
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(30)) == 0, "\(muster.output)")
            let warnings = muster.output.split(separator: "\n")
            #expect(warnings.contains { $0.contains("the one that was idle longest") })
            _ = crowd
        }
    }
}
