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
        /// muster with so many open files at most.
        static func start(
            _ arguments: [String],
            descriptors: Int,
            in folder: TemporaryDirectory
        ) throws -> ChildProcess {
            let words = ([Muster.binary] + arguments).map { "'\($0)'" }.joined(separator: " ")
            return try ChildProcess(
                "sh",
                ["-c", "ulimit -n \(descriptors) && exec \(words)"],
                in: folder
            )
        }

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
            let process = try Self.start(
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
    }
}
