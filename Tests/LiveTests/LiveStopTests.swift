// How does muster stop? Nobody new is let in, what is in flight ends, and it exits 0.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing

extension Live {
    @Suite struct LiveStopTests {
        /// A muster in front of one server of the test's own, which nobody probes.
        private func start(
            _ server: ScriptedServer,
            proxy settings: String = ""
        ) async throws -> Installation {
            let installation = try Installation()
            try await installation.startMuster(
                """
                upstreams:
                  slow:
                    peers: ["127.0.0.1:\(server.port)"]
                proxy:
                  listeners:
                    - bind: 127.0.0.1:\(installation.proxyPort)
                      routes: [{ upstream: slow }]
                \(settings)
                agent-check: { bind: "127.0.0.1:\(installation.agentPort)" }
                admin: { bind: "127.0.0.1:\(installation.adminPort)" }
                """
            )
            return installation
        }

        /// A request that the server has, and has not answered.
        private func ask(
            _ installation: Installation,
            _ server: ScriptedServer
        ) async throws -> HTTPConnection {
            let client = try HTTPConnection(port: installation.proxyPort)
            try client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let hasIt = await eventually(within: .seconds(30)) {
                server.receivedText.contains { $0.contains("\r\n\r\n") }
            }
            #expect(hasIt)
            return client
        }

        /// Whatever prints a backtrace may hold a crashed process for minutes: not its ports as well.
        @Test(arguments: [SIGILL, SIGSEGV, SIGABRT])
        func `a crash frees the ports at once`(signal: Int32) async throws {
            let server = try ScriptedServer(.stall)
            defer { server.stop() }
            let installation = try await start(server)
            let muster = try #require(installation.muster)
            muster.signal(signal)
            for port in [installation.proxyPort, installation.agentPort, installation.adminPort] {
                let isClosed = await eventually(within: .seconds(30)) {
                    !HTTPConnection.isAccepted(port: port)
                }
                #expect(isClosed, "port \(port) is still open")
            }
            muster.signal(SIGKILL)
        }

        @Test(arguments: [SIGTERM, SIGINT])
        func `what is in flight is answered, and nobody new is let in`(
            signal: Int32
        ) async throws {
            let gate = Gate()
            let server = try ScriptedServer(
                .expect("\r\n\r\n"),
                .wait(gate),
                .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
                .stall
            )
            defer { server.stop() }
            let installation = try await start(server)
            let muster = try #require(installation.muster)
            // Connections without a request keep nobody waiting.
            let idleClient = try HTTPConnection(port: installation.proxyPort)
            let idleAdmin = try HTTPConnection(port: installation.adminPort)
            #expect(try await blocking { try idleAdmin.get("/health") }.status == 200)
            let client = try await ask(installation, server)

            muster.signal(signal)
            let isClosed = await eventually(within: .seconds(30)) {
                !HTTPConnection.isAccepted(port: installation.proxyPort)
            }
            #expect(isClosed)
            #expect(muster.isRunning)
            gate.open()
            let answer = try await blocking { try client.answer() }
            #expect(answer.status == 200)
            #expect(answer.text == "done")
            #expect(answer["Connection"] == "close")
            #expect(try await blocking { client.rest() } == "")
            client.finish()
            #expect(try await blocking { idleClient.rest() } == "")
            #expect(await muster.exitCode(within: .seconds(30)) == 0, "\(muster.output)")
            #expect(!HTTPConnection.isAccepted(port: installation.adminPort))
        }

        @Test func `a request that never ends is cut when the time is up`() async throws {
            let server = try ScriptedServer(.expect("\r\n\r\n"), .stall)
            defer { server.stop() }
            let installation = try await start(server, proxy: "  timeouts: { drain: 300ms }")
            let muster = try #require(installation.muster)
            let client = try await ask(installation, server)
            let begin = ContinuousClock.now
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(30)) == 0, "\(muster.output)")
            #expect(ContinuousClock.now - begin >= .milliseconds(300))
            #expect(muster.output.contains("connections cut off: 1"), "\(muster.output)")
            let rest = try await blocking { client.rest() }
            #expect(rest?.contains(" 200 ") != true)
        }

        @Test func `a client of the API that says nothing does not keep it from stopping`()
            async throws
        {
            let server = try ScriptedServer(.stall)
            defer { server.stop() }
            let installation = try await start(server)
            let muster = try #require(installation.muster)
            let silent = try HTTPConnection(port: installation.adminPort)
            let halfway = try HTTPConnection(port: installation.adminPort)
            try halfway.send("GET /health HTTP/1.1\r\nHost:")
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(30)) == 0, "\(muster.output)")
            _ = (silent, halfway)
        }

        @Test(arguments: ["half a body", "answers that nobody reads"])
        func `a client of the API that never ends does not keep the proxy open`(
            client what: String
        ) async throws {
            let server = try ScriptedServer(.stall)
            defer { server.stop() }
            let installation = try await start(server)
            let muster = try #require(installation.muster)
            let client = try HTTPConnection(port: installation.adminPort)
            if what == "half a body" {
                let path = "/v1/upstreams/slow/peers/127.0.0.1:\(server.port)"
                try client.send(
                    "PATCH \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{\"i"
                )
            } else {
                let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
                try client.send(String(repeating: request, count: 400))
            }
            // Whatever comes after it on the same machine is served after it too.
            let answer = try await HTTPConnection.get("/health", port: installation.adminPort)
            #expect(answer.status == 200)
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(60)) == 0, "\(muster.output)")
            #expect(!HTTPConnection.isAccepted(port: installation.proxyPort))
            #expect(muster.output.contains(" stopped"), "\(muster.output)")
            _ = client
        }

        /// Their timeouts are longer than this test waits.
        @Test func `probes under way are dropped, with their programs`() async throws {
            let server = try ScriptedServer(.stall)
            defer { server.stop() }
            let installation = try Installation()
            let folder = installation.folder
            // Says that it runs, and hears no signal that can be ignored; its child neither.
            let program = try folder.write(
                "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 600 &\necho $$ > \"$1\"\nwait\n",
                to: "deaf.sh",
                mode: 0o755
            )
            let pid = folder.path("pid")
            let file = try folder.write(
                """
                upstreams:
                  silent:
                    peers: ["127.0.0.1:\(server.port)"]
                    monitors:
                      - http: { interval: 10m, timeout: 10m }
                      - http: { id: as-a-task, redirects: 3, interval: 10m, timeout: 10m }
                      - command: { command: [\(program), \(pid)], interval: 10m, timeout: 10m }
                admin: { bind: "127.0.0.1:\(installation.adminPort)" }
                """,
                to: "muster.yaml"
            )
            let muster = try Muster.start(["run", "-c", file], in: folder)
            defer { muster.end() }
            func group() -> pid_t? {
                let text = (try? String(contentsOfFile: pid, encoding: .utf8)) ?? ""
                return pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines))
            }
            // First probes begin before all else has: the stop may come while muster still starts.
            let areUnderWay = await eventually(within: .seconds(60)) {
                group() != nil && server.receivedText.count == 2
            }
            #expect(areUnderWay, "\(muster.output)")
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(120)) == 0, "\(muster.output)")
            let leader = try #require(group())
            #expect(
                await eventually(within: .seconds(30)) { kill(-leader, 0) != 0 && errno == ESRCH },
                "the program's whole group is gone"
            )
            #expect(!muster.output.contains("silent/"), "no verdict comes of it: \(muster.output)")
        }
    }
}
