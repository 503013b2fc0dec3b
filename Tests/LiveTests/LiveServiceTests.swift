// Does the whole product keep a drop-in service? One process for all its probes, which ends with its
// last monitor and with muster.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveServiceTests {
        private static let script = """
            #!/bin/sh
            # Answers every question with a pass, and leaves its pid behind.
            echo $$ >> "$1"
            while read -r line; do
                id=${line#*'"id":'}
                echo "{\\"id\\":${id%%,*},\\"status\\":\\"pass\\",\\"message\\":\\"fine\\"}"
            done
            """

        private func configuration(_ installation: Installation, monitors: String) -> String {
            """
            upstreams:
              web:
                peers: ["127.0.0.1:1", "127.0.0.1:2"]
                monitors: [\(monitors)]
            admin: { bind: "127.0.0.1:\(installation.adminPort)" }

            """
        }

        @Test func `one process answers for all, and ends on reload and on stop`() async throws {
            let installation = try Installation()
            let folder = installation.folder
            mkdir(folder.path("checks.d"), 0o755)
            try folder.write(Self.script, to: "asks.sh", mode: 0o755)
            let pids = folder.path("pids")
            try folder.write(
                "service: [\(folder.path("asks.sh")), \(pids)]\n",
                to: "checks.d/asks.yaml"
            )
            func started() -> [pid_t] {
                let text = (try? String(contentsOfFile: pids, encoding: .utf8)) ?? ""
                return text.split(separator: "\n").compactMap { pid_t($0) }
            }
            func isGone(_ pid: pid_t) -> Bool { kill(pid, 0) != 0 && errno == ESRCH }

            let with = configuration(
                installation,
                monitors: "{ asks: { interval: 200ms, timeout: 150ms } }"
            )
            try await installation.startMuster(with)
            for index in [0, 1] { _ = try await installation.waits(for: "up", of: index) }
            let first = started()
            #expect(first.count == 1, "one process for both peers")

            try folder.write(
                configuration(installation, monitors: "{ tcp: { interval: 1s } }"),
                to: "muster.yaml"
            )
            #expect(try await installation.command("reload").exitCode == 0)
            #expect(
                await eventually(within: .seconds(30)) { first.allSatisfy(isGone) },
                "ended with its last monitor"
            )

            try folder.write(with, to: "muster.yaml")
            #expect(try await installation.command("reload").exitCode == 0)
            #expect(await eventually(within: .seconds(30)) { started().count == 2 })
            _ = try await installation.waits(for: "up", of: 0)
            let muster = try #require(installation.muster)
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(20)) == 0)
            #expect(started().allSatisfy(isGone), "ended with muster")
        }
    }
}
