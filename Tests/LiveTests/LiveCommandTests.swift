// Do the commands a person types say what is, do what is asked, and end with the promised codes?

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    /// One probe by hand: for people, and for Nagios.
    @Suite struct LiveCheckTests {
        private let server: ChildProcess
        private let port: UInt16
        private let folder: TemporaryDirectory

        init() async throws {
            folder = try TemporaryDirectory()
            let port = try freePort()
            self.port = port
            server = try Muster.start(["demo-server", "--port", "\(port)"], in: folder)
            #expect(
                await eventually(within: .seconds(30)) { HTTPConnection.isAccepted(port: port) }
            )
        }

        private var url: String { "http://127.0.0.1:\(port)/health" }

        /// `KIND WORD - REASON… in …ms | time=…s;WARN;;0;TIMEOUT`, one line.
        private func expectPlugin(_ result: Muster.Result, _ code: Int32, _ start: String) {
            #expect(result.exitCode == code, "\(result.output)")
            let shape =
                #/HTTP [A-Z]+ - [^|\n]+ in \d+\.\dms \| time=\d+\.\d{4}s;[0-9.]*;;0;[0-9.]+[^\n]*\n/#
            #expect(result.output.wholeMatch(of: shape) != nil, "\(result.output)")
            #expect(result.output.hasPrefix(start), "\(result.output)")
        }

        @Test func `the exit code and the line are a Nagios plugin's`() async throws {
            expectPlugin(try await Muster.run("check", "http", url), 0, "HTTP OK - L7OK/200 in ")
            let degraded = try await Muster.run(
                "check",
                "http",
                url,
                "-o",
                "expect=204",
                "-o",
                "degraded={status: 200}"
            )
            expectPlugin(degraded, 1, "HTTP WARNING - L7OK")
            let wrong = try await Muster.run("check", "http", url, "-o", "expect=204")
            expectPlugin(wrong, 2, "HTTP CRITICAL - L7STS")
            let nobody = try await Muster.run(
                "check",
                "http",
                "http://127.0.0.1:\(try freePort())/health"
            )
            expectPlugin(nobody, 2, "HTTP CRITICAL - L4CON Connection refused")
            let nowhere = try await Muster.run("check", "http", "http://muster.invalid/health")
            expectPlugin(nowhere, 3, "HTTP UNKNOWN - DNS")
        }

        @Test(arguments: [
            (["htpp", "URL"], "HTPP UNKNOWN - ", "did you mean 'http'?"),
            (["http", "URL", "-o", "exepct=200"], "HTTP UNKNOWN - ", "did you mean 'expect'?"),
            (["http"], "HTTP UNKNOWN - ", "expected a kind and a target"),
            ([], "CHECK UNKNOWN - ", "expected a kind and a target"),
            (["http", "URL", "--bogus"], "HTTP UNKNOWN - ", "--bogus"),
            (["http", "URL", "-o"], "HTTP UNKNOWN - ", "Missing value for '-o"),
            (["http", "URL", "--timeout"], "HTTP UNKNOWN - ", "Missing value for '--timeout"),
            (["http", "URL", "--timeout", "-1s"], "HTTP UNKNOWN - ", "see 'muster check --help'"),
            (["command"], "COMMAND UNKNOWN - ", "saw only 'command'"),
            (
                ["http", "URL", "--timeout", "soon"], "HTTP UNKNOWN - ",
                "--timeout: expected a duration"
            ),
            (
                ["http", "URL", "--timeout", "0s"], "HTTP UNKNOWN - ",
                "--timeout: expected a duration"
            ),
            (["http", "URL", "URL"], "HTTP UNKNOWN - ", "Unexpected argument"),
            (["http", "a b"], "HTTP UNKNOWN - ", "expected"),
            (["tcp", "http://127.0.0.1:1/"], "TCP UNKNOWN - ", "expected tcp://"),
            (["tcp", ":8084"], "TCP UNKNOWN - ", "expected a host before the port"),
            (
                ["http", "URL", "-o", "expect=200", "-o", "expect=204"], "HTTP UNKNOWN - ",
                "--option expect: expected it once"
            ),
            (["http", "URL", "-o", "expect={"], "HTTP UNKNOWN - ", "--option expect"),
            (["http", "URL", "--checks-dir", "/no/such"], "HTTP UNKNOWN - ", "No such file"),
            (["http", "URL", "--json", "-o", "x=1"], "HTTP UNKNOWN - ", "has no setting 'x'"),
        ])
        func `every mistake is one line and 3`(
            arguments: [String],
            start: String,
            words: String
        ) async throws {
            let line = arguments.map { $0 == "URL" ? url : $0 }
            let result = try await shell("exec \"$0\" check \"$@\" 2>&1", line)
            #expect(result.exitCode == 3, "\(result.output)")
            #expect(result.output.hasPrefix(start), "\(result.output)")
            #expect(result.output.contains(words), "\(result.output)")
            #expect(result.lines.count == 1 && result.output.hasSuffix("\n"), "\(result.output)")
        }

        private func shell(
            _ script: String,
            _ arguments: [String] = []
        ) async throws -> Muster.Result {
            let folder = try TemporaryDirectory()
            let process = try ChildProcess(
                "/bin/sh",
                ["-c", script, Muster.binary] + arguments,
                in: folder
            )
            return try await Muster.finish(process, script)
        }

        @Test func `the code is the verdict's where nobody reads the line`() async throws {
            let nobody = "http://127.0.0.1:\(try freePort())/"
            for end in [">&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/null", "| true; exit 2"] {
                let result = try await shell("\"$0\" check http \(nobody) \(end)")
                #expect(result.exitCode == 2, "\(end): \(result.output)")
            }
            let fine = try await shell("\"$0\" check http \(url) >&-")
            #expect(fine.exitCode == 0, "\(fine.output)")
        }

        @Test func `a signal ends it as a plugin, and the program that it runs`() async throws {
            let folder = try TemporaryDirectory()
            let pids = folder.path("pid")
            let process = try Muster.start(
                [
                    "check", "command", "a:1", "--timeout", "60s", "-o",
                    "command=[/bin/sh, -c, 'echo $$ > \(pids).new; mv \(pids).new \(pids); sleep 60']",
                ],
                in: folder
            )
            var pid: pid_t?
            let isThere = await eventually {
                pid = (try? String(contentsOfFile: pids, encoding: .utf8))
                    .flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
                return pid != nil
            }
            #expect(isThere)
            process.signal(SIGTERM)
            let result = try await Muster.finish(process, "muster check command")
            #expect(result.exitCode == 3)
            #expect(result.output.hasPrefix("COMMAND UNKNOWN - ended by signal 15"))
            let isGone = await eventually { pid.map { kill($0, 0) != 0 } ?? false }
            #expect(isGone)
        }

        @Test func `kinds and their settings are told of`() async throws {
            var result = try await Muster.run("check", "http", "--help")
            #expect(result.exitCode == 0 && result.output.contains("immediate-fail"))
            result = try await Muster.run("check", "--list")
            #expect(result.exitCode == 0 && result.output.contains("haproxy-agent-check"))
        }

        @Test func `explained, it tells where the time went, what was expected and what seen`()
            async throws
        {
            let result = try await Muster.run(
                "check",
                "http",
                "http://localhost:\(port)/health",
                "--option",
                "expect=204",
                "--explain"
            )
            #expect(result.exitCode == 2)
            for phase in ["resolve", "connect", "first byte", "total"] {
                let row = result.lines.first { $0.hasPrefix(phase) }
                #expect(row?.contains(#/\d+\.\dms$/#) == true, "\(phase): \(result.output)")
            }
            #expect(result.lines.contains { $0.hasPrefix("tls") && $0.hasSuffix("-") })
            #expect(result.output.contains("204"), "\(result.output)")
            #expect(result.output.contains("200"), "\(result.output)")
        }

        @Test func `in JSON it is one object`() async throws {
            let result = try await Muster.run("check", "http", url, "--json")
            #expect(result.exitCode == 0)
            let report = try JSON(parsing: Array(result.output.utf8))
            #expect(report["kind"] == "http")
            #expect(report["reason"] == "L7OK")
            #expect(report["code"]?.int == 200)
        }
    }

    /// Looking at a running muster, and telling it what to do.
    @Suite struct LiveStatusTests {
        private static let header = [
            "UPSTREAM", "PEER", "STATUS", "WEIGHT", "ROLE", "CHECKS", "ADDRESS", "SINCE", "REASON",
        ]

        @Test func `status is a row a peer and ends with the worst of them`() async throws {
            let installation = try await Installation.start()
            let peer = "127.0.0.1:\(installation.servers[0])"
            var result = try await installation.command("status")
            #expect(result.exitCode == 0, "\(result.output)")
            let rows = result.lines.map { $0.split(separator: " ").map(String.init) }
            #expect(rows.first == Self.header)
            #expect(rows.dropFirst().map { $0[0] } == ["web", "web", "web"])
            #expect(rows.dropFirst().map { $0[1] }.contains(peer))
            #expect(rows.dropFirst().allSatisfy { $0[2] == "up" })

            _ = try await installation.command("peer", "drain", "web", "spare")
            result = try await installation.command("status")
            #expect(result.exitCode == 1, "\(result.output)")
            result = try await installation.command("status", "web/\(peer)")
            #expect(result.exitCode == 0, "\(result.output)")
            // Its row, and one for each of its two checks.
            #expect(result.lines.count == 2 + 3, "\(result.output)")

            installation.killServer(0)
            _ = try await installation.waits(for: "down", of: 0)
            result = try await installation.command("status", "web/\(peer)")
            #expect(result.exitCode == 2, "\(result.output)")
            #expect(result.lines.dropFirst().first?.contains("L4CON") == true, "\(result.output)")
            result = try await installation.command("status", "web", "--json")
            #expect(result.exitCode == 2)
            #expect(try JSON(parsing: Array(result.output.utf8))["name"] == "web")

            result = try await installation.command("status", "wbe")
            #expect(result.exitCode == 3)
            #expect(result.output.contains("did you mean 'web'?"), "\(result.output)")
            installation.killMuster()
            result = try await installation.command("status")
            #expect(result.exitCode == 3)
            #expect(result.output.contains("Connection refused"), "\(result.output)")
        }

        @Test func `what an operator asks of a peer is done at once`() async throws {
            let installation = try await Installation.start()
            let names = installation.servers.map { "\($0)" }
            let peer = "127.0.0.1:\(names[1])"
            for mode in ["drain", "maint"] {
                let result = try await installation.command(
                    "peer",
                    mode,
                    "web",
                    peer,
                    "--reason",
                    "deploy 42"
                )
                #expect(result.exitCode == 0, "\(result.output)")
                #expect(result.output.contains("web/\(peer) is \(mode)"), "\(result.output)")
                let shown = try await installation.peer(1)
                #expect(shown["status"]?.string == mode)
                #expect(shown["intent"]?.string == mode)
                #expect(shown["reason"]?.string?.contains("deploy 42") == true, "\(shown.text)")
                #expect(try await installation.serve(30) == [names[0]: 30])
            }
            var result = try await installation.command("peer", "ready", "web", peer)
            #expect(result.exitCode == 0, "\(result.output)")
            #expect(try await installation.status(1) == "up")
            #expect(try await installation.serve(30) == [names[0]: 10, names[1]: 20])

            result = try await installation.command("peer", "weight", "web", peer, "1")
            #expect(result.exitCode == 0, "\(result.output)")
            #expect(try await installation.serve(30) == [names[0]: 15, names[1]: 15])
            result = try await installation.command("peer", "weight", "web", peer, "0")
            #expect(result.exitCode == 0, "\(result.output)")
            #expect(try await installation.serve(30) == [names[0]: 30])
            result = try await installation.command("peer", "weight", "web", peer, "default")
            #expect(result.exitCode == 0, "\(result.output)")
            #expect(try await installation.serve(30) == [names[0]: 10, names[1]: 20])

            for mistake in [
                ["weight", "web", peer, "257"], ["weight", "web", peer, "many"],
                ["drain", "web", "spaer"], ["drain", "wbe", peer],
                ["drain", "web", peer, "--until", "soon"],
            ] {
                result = try await installation.command(arguments: ["peer"] + mistake)
                #expect(result.exitCode == 1, "\(mistake): \(result.output)")
                #expect(result.output.contains("expected") || result.output.contains("mean"))
            }
        }

        @Test func `an intent ends by itself at its time`() async throws {
            let installation = try await Installation.start()
            func drain(for span: String) async throws {
                let result = try await installation.command(
                    "peer",
                    "drain",
                    "web",
                    "spare",
                    "--until",
                    span
                )
                #expect(result.exitCode == 0, "\(result.output)")
            }
            try await drain(for: "1h")
            let shown = try await installation.peer(2)
            #expect(shown["status"] == "drain")
            #expect(shown["intent_until"]?.string != nil)
            // What is asked last holds; over before anybody has to look.
            try await drain(for: "1s")
            _ = try await installation.waits(for: "up", of: 2, within: .seconds(20))
            #expect(try await installation.peer(2)["intent"] == "ready")
        }

        @Test func `an order that was answered with 200 outlives a kill at that moment`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let installation = try await Installation.start(
                adding: "\nstore:\n  state-file: \(folder.path("state.json"))\n"
            )
            let file = installation.folder.path("muster.yaml")
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let port = installation.adminPort
            for (order, status) in [("drain", "drain"), ("maint", "maint"), ("ready", "up")] {
                let answer = try await blocking {
                    let connection = try HTTPConnection(port: port)
                    let body = "{\"intent\":\"\(order)\"}"
                    try connection.send(
                        "PATCH /v1/upstreams/web/peers/spare HTTP/1.1\r\nHost: localhost\r\n"
                            + "Content-Type: application/json\r\n"
                            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    )
                    let answer = try connection.answer()
                    installation.killMuster()
                    return answer
                }
                #expect(answer.status == 200, "\(answer.text)")
                let shown = try JSON(parsing: answer.body)
                #expect(shown["acknowledged"] == "stored", "\(answer.text)")
                try await installation.startMuster(text)
                _ = try await installation.waits(for: status, of: 2)
            }
        }

        @Test func `two processes with one state file do not both start`() async throws {
            let folder = try TemporaryDirectory()
            let path = folder.path("state.json")
            let installation = try await Installation.start(
                adding: "\nstore:\n  state-file: \(path)\n"
            )
            let second = try folder.write(
                "store: {state-file: \(path)}\nadmin: {bind: \"unix:\(folder.path("s"))\"}\n",
                to: "second.yaml"
            )
            let result = try await Muster.run("run", "-c", second)
            #expect(result.exitCode == 1)
            #expect(
                result.output.contains("store.state-file: \(path).ledger: expected to be its only"),
                "\(result.output)"
            )
            #expect(try await installation.status(2) == "up")
        }

        @Test func `what an operator asked for outlives the process`() async throws {
            let folder = try TemporaryDirectory()
            let installation = try await Installation.start(
                adding: "\nstore:\n  state-file: \(folder.path("state.json"))\n"
            )
            let names = installation.servers.map { "\($0)" }
            _ = try await installation.command(
                "peer",
                "drain",
                "web",
                "127.0.0.1:\(names[1])",
                "--reason",
                "deploy"
            )
            _ = try await installation.command("peer", "weight", "web", "spare", "9")
            // Once told, it is kept: nothing is left to a good end.
            let isKept = await eventually(within: .seconds(30)) {
                let text = try? String(contentsOfFile: folder.path("state.json"), encoding: .utf8)
                return text?.contains("deploy") == true && text?.contains("\"weight\":9") == true
            }
            #expect(isKept)
            installation.killMuster()
            let file = installation.folder.path("muster.yaml")
            try await installation.startMuster(try String(contentsOfFile: file, encoding: .utf8))
            let shown = try await installation.peer(1)
            #expect(shown["status"] == "drain")
            #expect(shown["reason"]?.string?.contains("deploy") == true, "\(shown.text)")
            #expect(try await installation.peer(2)["weight"]?.int == 9)
            #expect(try await installation.serve(30) == [names[0]: 30])
        }
    }
}
