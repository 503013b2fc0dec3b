// What does a reload change? What the file says differently, and nothing else; a mistake changes
// nothing at all.

import EventLoop
import Glibc
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveReloadTests {
        /// Two servers, a drop-in kind, and room for another upstream and another listener.
        private func configuration(
            _ installation: Installation,
            peers: [Int] = [0],
            monitor: String = "- http: { path: /health, interval: 500ms, timeout: 400ms }",
            adding upstreams: String = "",
            listeners: String = ""
        ) -> String {
            let list = peers.map { "\"127.0.0.1:\(installation.servers[$0])\"" }
            return """
                checks-dir: checks.d
                upstreams:
                  web:
                    peers: [\(list.joined(separator: ", "))]
                    monitors:
                      \(monitor)
                \(upstreams)
                proxy:
                  listeners:
                    - bind: 127.0.0.1:\(installation.proxyPort)
                      routes: [{ upstream: web }]
                \(listeners)
                agent-check: { bind: "127.0.0.1:\(installation.agentPort)" }
                admin: { bind: "127.0.0.1:\(installation.adminPort)" }

                """
        }

        private func start() async throws -> Installation {
            let installation = try Installation()
            for index in [0, 1] { try installation.startServer(index) }
            try await installation.startMuster(configuration(installation))
            _ = try await installation.waits(for: "up", of: 0)
            return installation
        }

        @Test func `a peer, a monitor of a new drop-in kind and a listener come live`()
            async throws
        {
            let installation = try await start()
            let muster = try #require(installation.muster)
            let before = try await installation.peer(0)
            let other = try freePort()
            mkdir(installation.folder.path("checks.d"), 0o755)
            try installation.folder.write(
                """
                summary: says what it is asked to say
                command: [/bin/echo, "{word}"]
                parameters: { word: fine }
                """,
                to: "checks.d/says.yaml"
            )
            let text = configuration(
                installation,
                peers: [0, 1],
                monitor: """
                    - http: { path: /health, interval: 500ms, timeout: 400ms }
                          - says: { word: ready, interval: 300ms, timeout: 200ms, required: false }
                    """,
                listeners: """
                        - bind: 127.0.0.1:\(other)
                          routes: [{ upstream: web }]
                    """
            )
            try installation.folder.write(text, to: "muster.yaml")
            muster.signal(SIGHUP)
            let isThere = try await eventually(within: .seconds(30)) {
                let web = try await installation.json()
                let checks = web["peers"]?[1]?["checks"]?.items ?? []
                return checks.count == 2 && checks.allSatisfy { $0["status"]?.string == "up" }
            }
            #expect(isThere, "\(muster.output)")
            let after = try await installation.peer(0)
            #expect(after["since"] == before["since"], "what was up stayed up")
            #expect(after["checks"]?[0]?["health"] == before["checks"]?[0]?["health"])
            let answer = try await HTTPConnection.get("/", port: other)
            #expect(answer.status == 200)
            #expect(muster.output.contains("reloaded: "))
            #expect(muster.output.contains("new: listener 127.0.0.1:\(other)"))
            #expect(muster.output.contains("new: monitor web/says"))
        }

        @Test func `an order whose peer has another name now is told of, and holds again later`()
            async throws
        {
            let installation = try await start()
            let muster = try #require(installation.muster)
            let address = "127.0.0.1:\(installation.servers[0])"
            let drained = try await installation.command(
                arguments: ["peer", "drain", "web", address, "--reason", "deploy"]
            )
            #expect(drained.exitCode == 0, "\(drained.output)")
            let before = configuration(installation)
            let renamed = before.replacing(
                "[\"\(address)\"]",
                with: "[{ id: a, address: \"\(address)\" }]"
            )
            try installation.folder.write(renamed, to: "muster.yaml")
            let answer = try await installation.command("reload")
            #expect(answer.exitCode == 0)
            let line =
                "web/\(address) is drained (deploy) and is no longer defined; the drain is kept "
                + "and holds again when web/\(address) is defined again; web/a at the same address "
                + "serves without that drain"
            #expect(answer.lines.last == "warning: \(line)")
            #expect(muster.output.contains("warning \(line)"), "\(muster.output)")

            try installation.folder.write(before, to: "muster.yaml")
            #expect(try await installation.command("reload").exitCode == 0)
            #expect(try await installation.peer(0)["status"]?.string == "drain")
        }

        @Test func `a mistake anywhere changes nothing, and is told where it was asked`()
            async throws
        {
            let installation = try await start()
            let muster = try #require(installation.muster)
            let good = configuration(installation)
            try installation.folder.write(
                good.replacing("interval: 500ms", with: "intervall: 500ms"),
                to: "muster.yaml"
            )
            let refused = try await installation.command("reload")
            #expect(refused.exitCode == 1)
            #expect(refused.output.contains("not reloaded: "))
            #expect(refused.output.contains("muster.yaml:6:"))
            #expect(refused.output.contains("did you mean 'interval'?"))
            #expect(muster.output.contains("not reloaded: "))
            #expect(try await installation.status(0) == "up")
            #expect(try await installation.serve(3).values.reduce(0, +) == 3)

            let told = try await installation.json("/ready")["configuration"]
            #expect(told?["mistakes"] == 1)
            #expect(told?["mistake"]?.string?.contains("did you mean 'interval'?") == true)
            let status = try await installation.command("status")
            #expect(status.output.contains("the configuration was refused at "), "\(status.output)")
            let metrics = try await HTTPConnection.get("/metrics", port: installation.adminPort)
            #expect(
                String(decoding: metrics.body, as: UTF8.self).contains("muster_reload_failed 1\n")
            )

            // Half written.
            try installation.folder.write("", to: "muster.yaml")
            let emptied = try await installation.command("reload")
            #expect(emptied.exitCode == 1)
            #expect(emptied.output.contains("expected at least one upstream while 1 are running"))
            #expect(try await installation.serve(3).values.reduce(0, +) == 3)

            try installation.folder.write(good, to: "muster.yaml")
            let same = try await installation.command("reload")
            #expect(same == Muster.Result(exitCode: 0, output: "nothing has changed\n"))
            let after = try await installation.json("/ready")["configuration"]
            #expect(after?["refused_at"] == .null)
            #expect(after?["loaded_at"] != told?["loaded_at"])
        }

        @Test func `a listener that cannot be opened leaves all as it was`() async throws {
            let installation = try await start()
            let taken = installation.servers[1]
            try installation.folder.write(
                configuration(
                    installation,
                    peers: [1],
                    listeners: """
                            - bind: 127.0.0.1:\(taken)
                              routes: [{ upstream: web }]
                        """
                ),
                to: "muster.yaml"
            )
            let refused = try await installation.command("reload")
            #expect(refused.exitCode == 1)
            #expect(refused.output.contains("listener 127.0.0.1:\(taken)"))
            let id = try await installation.peer(0)["id"]?.string
            #expect(id == "127.0.0.1:\(installation.servers[0])")
        }

        @Test
        func `a listener takes the place of its own narrower or wider address`()
            async throws
        {
            let installation = try await start()
            let narrow = configuration(installation)
            let bind = "bind: 127.0.0.1:\(installation.proxyPort)"
            let wide = narrow.replacing(bind, with: "bind: 0.0.0.0:\(installation.proxyPort)")
            for text in [wide, narrow, wide, narrow] {
                try installation.folder.write(text, to: "muster.yaml")
                let result = try await installation.command("reload")
                #expect(result.exitCode == 0, "\(result.output)")
                #expect(result.output.contains("new: listener "))
                #expect(try await installation.serve(3).values.reduce(0, +) == 3)
            }

            // Another part of the same process makes no room.
            let admin = narrow.replacing(bind, with: "bind: 0.0.0.0:\(installation.adminPort)")
            try installation.folder.write(admin, to: "muster.yaml")
            let refused = try await installation.command("reload")
            #expect(refused.exitCode == 1, "\(refused.output)")
            #expect(refused.output.contains("stands beside"), "\(refused.output)")
            #expect(try await installation.serve(3).values.reduce(0, +) == 3)
        }

        @Test func `peers come and go under traffic without a failed request`() async throws {
            let installation = try await start()
            let served = Task { try await installation.serve(2_000) }
            for round in 0..<6 {
                try installation.folder.write(
                    configuration(installation, peers: round % 2 == 0 ? [0, 1] : [1]),
                    to: "muster.yaml"
                )
                let result = try await installation.command("reload")
                #expect(result.exitCode == 0, "\(result.output)")
                _ = try await installation.waits(for: "up", of: 0)
            }
            #expect(try await served.value.values.reduce(0, +) == 2_000)
        }

        @Test func `what only a start can change is said`() async throws {
            let installation = try await start()
            try installation.folder.write(
                configuration(installation) + "log: { level: debug }\n",
                to: "muster.yaml"
            )
            let result = try await installation.command("reload")
            #expect(result.exitCode == 0)
            #expect(
                result.lines == [
                    "1 section waits for the next start: log (level info → debug)"
                ]
            )
        }
    }
}
