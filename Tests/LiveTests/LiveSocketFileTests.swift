// What if somebody takes the file of a socket away? It is made again, wherever one listens.

import Foundation
import Glibc
import TestSupport
import Testing

extension Live {
    @Suite struct LiveSocketFileTests {
        private static let names = ["admin.sock", "agent.sock", "proxy.sock"]

        @Test func `a socket's file that was taken away is made again, and said so once`()
            async throws
        {
            let installation = try Installation()
            let folder = installation.folder
            let paths = Self.names.map { folder.path($0) }
            let file = try folder.write(
                """
                upstreams: { web: { peers: ["127.0.0.1:\(installation.servers[0])"] } }
                admin: { bind: "unix:\(paths[0])", mode: 0600 }
                agent-check: { bind: "unix:\(paths[1])" }
                proxy:
                  threads: 2
                  listeners: [{ bind: "unix:\(paths[2])", routes: [{ upstream: web }] }]
                """,
                to: "muster.yaml"
            )
            let muster = try Muster.start(["run", "-c", file], in: folder)
            defer { muster.end() }
            func areThere() -> Bool { paths.allSatisfy { access($0, F_OK) == 0 } }
            try #require(
                await eventually(within: .seconds(30)) { !muster.isRunning || areThere() }
            )
            for path in paths { unlink(path) }
            #expect(await eventually(within: .seconds(30)) { areThere() }, "\(muster.output)")
            for owner in ["admin", "agent-check", "proxy: listener unix:\(paths[2])"] {
                let line = "\(owner): the socket's file "
                #expect(
                    await eventually(within: .seconds(30)) { muster.output.contains(line) },
                    "\(muster.output)"
                )
                #expect(muster.output.components(separatedBy: line).count == 2)
            }
            let told = try await Muster.run("status", "--admin", "unix:\(paths[0])")
            #expect(told.output.contains("UPSTREAM"), "\(told.output)")
            var found = stat()
            #expect(stat(paths[0], &found) == 0 && found.st_mode & 0o777 == 0o600)

            // Somebody else's, put there meanwhile, is no file of ours: it stays when we end.
            unlink(paths[1])
            try folder.write("mine", to: Self.names[1])
            let isTold = await eventually(within: .seconds(30)) {
                muster.output.contains("agent.sock is gone and cannot be made again")
            }
            #expect(isTold, "\(muster.output)")
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(30)) == 0)
            #expect(access(paths[0], F_OK) != 0 && access(paths[2], F_OK) != 0)
            #expect(access(paths[1], F_OK) == 0)
        }
    }
}
