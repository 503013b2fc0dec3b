// What does a user read who made a mistake? Its place and its meaning, exit code 1, and nothing has
// been started.

import EventLoop
import Foundation
import TestSupport
import Testing

extension Live {
    @Suite struct LiveMistakeTests {
        /// quickstart.yaml with one thing wrong.
        struct Mistake: Sendable, CustomTestStringConvertible {
            var testDescription: String
            var word: String
            var replacement: String
            /// Where the complaint points: at the first place of this text.
            var place: String
            var complaint: String

            init(
                _ name: String,
                _ word: String,
                _ replacement: String,
                at place: String,
                _ complaint: String
            ) {
                testDescription = name
                self.word = word
                self.replacement = replacement
                self.place = place
                self.complaint = complaint
            }
        }

        static let mistakes = [
            Mistake(
                "unknown key",
                "slow-start: 5s",
                "slow-strat: 5s",
                at: "slow-strat",
                "upstreams.web has no setting 'slow-strat'; did you mean 'slow-start'?"
            ),
            Mistake(
                "wrong type",
                "slow-start: 5s",
                "slow-start: [5s]",
                at: "[5s]",
                "expected a duration such as 500ms, 2s or 5m, saw a list"
            ),
            Mistake(
                "port 99999",
                "SECOND",
                "127.0.0.1:99999",
                at: "127.0.0.1:99999",
                "expected a port from 1 to 65535, saw '99999'"
            ),
            Mistake(
                "duplicate peer",
                "SECOND weight=2",
                "FIRST weight=3",
                at: "FIRST weight=3",
                "peer 'FIRST' is written twice"
            ),
            Mistake(
                "interval shorter than timeout",
                "timeout: 500ms",
                "timeout: 2s",
                at: "2s, rise",
                "expected at most the interval of 1s, saw 2s"
            ),
            Mistake(
                "missing variable",
                "balance: round-robin",
                "balance: ${MUSTER_LIVE_UNSET}",
                at: "${MUSTER_LIVE_UNSET}",
                "expected the environment variable MUSTER_LIVE_UNSET, saw it unset"
            ),
            Mistake(
                "no YAML",
                "  web:\n",
                "\tweb:\n",
                at: "\tweb",
                "not valid YAML"
            ),
        ]

        /// An installation whose peers are one server that must never hear anything.
        private struct Quiet {
            let server: ScriptedServer
            let installation: Installation

            init() throws {
                server = try ScriptedServer(.stall)
                installation = try Installation()
            }

            func fill(_ text: String) -> String {
                text.replacing("FIRST", with: "127.0.0.1:\(server.port)")
                    .replacing("SECOND", with: "127.0.0.1:\(installation.servers[1])")
            }

            func text(_ word: String = "FIRST", _ replacement: String = "FIRST") throws -> String {
                let first = "127.0.0.1:\(installation.servers[0])"
                let text = try installation.quickstart(
                    replacing: [(first, fill("FIRST")), (fill(word), fill(replacement))]
                )
                return text
            }

            func expectNothingStarted() {
                #expect(server.connectionCount == 0, "something was probed")
                for port in [
                    installation.adminPort, installation.proxyPort, installation.agentPort,
                ] {
                    #expect(!HTTPConnection.isAccepted(port: port))
                }
            }
        }

        @Test(arguments: mistakes, ["run", "validate"])
        func `a mistake is named with its place, and nothing is started`(
            mistake: Mistake,
            command: String
        ) async throws {
            let quiet = try Quiet()
            defer { quiet.server.stop() }
            let text = try quiet.text(mistake.word, mistake.replacement)
            let file = try quiet.installation.folder.write(text, to: "muster.yaml")
            let before = text[
                ..<(try #require(text.range(of: quiet.fill(mistake.place))).lowerBound)
            ]
            let lines = before.split(separator: "\n", omittingEmptySubsequences: false)
            let place = "\(file):\(lines.count):\((lines.last?.count ?? 0) + 1): "

            let result = try await quiet.installation.command(command, "-c", file)
            #expect(result.exitCode == 1)
            #expect(result.lines.count == 1, "\(result.output)")
            #expect(result.output.hasPrefix(place), "expected \(place), saw \(result.output)")
            #expect(result.output.contains(quiet.fill(mistake.complaint)), "\(result.output)")
            quiet.expectNothingStarted()
        }

        @Test(arguments: ["run", "validate"])
        func `a file that cannot be read is named`(command: String) async throws {
            let folder = try TemporaryDirectory()
            let missing = folder.path("missing.yaml")
            var result = try await Muster.run(command, "-c", missing)
            #expect(result == .init(exitCode: 1, output: "\(missing): No such file or directory\n"))
            result = try await Muster.run(command, "-c", folder.path)
            #expect(result == .init(exitCode: 1, output: "\(folder.path): Is a directory\n"))
        }

        @Test(arguments: ["proxy", "agent-check", "admin"])
        func `a port in use is named, and nothing else is started`(section: String) async throws {
            let quiet = try Quiet()
            defer { quiet.server.stop() }
            let installation = quiet.installation
            let ports = [
                "proxy": installation.proxyPort, "agent-check": installation.agentPort,
                "admin": installation.adminPort,
            ]
            let port = try #require(ports[section])
            let file = try installation.folder.write(try quiet.text(), to: "muster.yaml")
            let squatter = try ScriptedServer([[.stall]], at: .host("127.0.0.1", port: port))
            #expect(try await installation.command("validate", "-c", file).exitCode == 0)
            let result = try await installation.command("run", "-c", file)
            squatter.stop()
            #expect(result.exitCode == 1)
            #expect(result.lines.count == 1, "\(result.output)")
            let complaint =
                "127.0.0.1:\(port): Address already in use; another process, or another part of this one, "
                + "has that port: `ss -ltnp` shows which\n"
            #expect(result.output.hasSuffix(complaint), "\(result.output)")
            quiet.expectNothingStarted()
        }

        @Test func `a second muster does not take the first one's admin socket`() async throws {
            let folder = try TemporaryDirectory()
            let socket = "unix:\(folder.path("admin.sock"))"
            let file = try folder.write("admin: { bind: '\(socket)' }\n", to: "muster.yaml")
            let first = try Muster.start(["run", "-c", file], in: folder)
            let answers = {
                try await Muster.run("status", "--admin", socket).exitCode == 0 && first.isRunning
            }
            #expect(try await eventually(within: .seconds(30), answers), "\(first.output)")
            let second = try await Muster.run("run", "-c", file)
            #expect(second.exitCode == 1, "\(second.output)")
            #expect(second.output.contains("Address already in use"), "\(second.output)")
            #expect(try await answers())
            // What a killed one leaves behind keeps nobody out.
            first.end()
            let third = try Muster.start(["run", "-c", file], in: folder)
            let answersAgain = {
                try await Muster.run("status", "--admin", socket).exitCode == 0 && third.isRunning
            }
            #expect(try await eventually(within: .seconds(30), answersAgain), "\(third.output)")
        }
    }
}
