// Do scripts made for the `/config` of an nginx with Lua find what they knew? With the same lines of curl, and
// behind them peers that are probed, and that a restart keeps.

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveCompatConfigTests {
        /// What `curl -s` prints, and the status.
        private struct Printed: Equatable {
            let text: String
            let status: Int

            init(_ text: String, _ status: Int) {
                self.text = text
                self.status = status
            }
        }

        private struct Curl {
            let folder: TemporaryDirectory
            let url: String

            func callAsFunction(_ words: String...) async throws -> Printed {
                let process = try ChildProcess(
                    "curl",
                    ["-s", "-w", "\n%{http_code}"] + words + [url],
                    in: folder
                )
                guard let code = await process.exitCode(within: .seconds(20)), code == 0 else {
                    throw ChildProcess.Failure("curl \(words): \(process.output)")
                }
                let parts = process.output.split(
                    separator: "\n",
                    omittingEmptySubsequences: false
                )
                return Printed(
                    parts.dropLast().joined(separator: "\n"),
                    Int(parts.last ?? "") ?? 0
                )
            }

            func post(_ body: String) async throws -> Printed {
                try await self("-X", "POST", "-d", body)
            }
        }

        @Test(.enabled(if: ChildProcess.find("curl") != nil, "curl is not installed"))
        func `the transcript of the original, with health behind it`() async throws {
            let installation = try Installation()
            for index in installation.servers.indices { try installation.startServer(index) }
            let port = try freePort()
            let server = installation.servers[0]
            let text = """
                upstreams:
                  web:
                    peers: []
                    monitors:
                      - tcp: { interval: 200ms, timeout: 100ms, rise: 1, fall: 1 }
                proxy:
                  listeners:
                    - bind: 127.0.0.1:\(installation.proxyPort)
                      routes: [{ upstream: web }]
                store:
                  state-file: \(installation.folder.path("state.json"))
                admin:
                  bind: 127.0.0.1:\(installation.adminPort)
                  token: correct-horse
                  compat-config: { bind: "127.0.0.1:\(port)", upstream: web }

                """
            try await installation.startMuster(text)
            let curl = Curl(folder: installation.folder, url: "http://127.0.0.1:\(port)/config")

            let add = #"{"action":"add","ip":"127.0.0.1","port":\#(server)}"#
            let del = #"{"action":"del","ip":"127.0.0.1","port":"\#(server)"}"#
            #expect(try await curl() == Printed("[]", 200))
            #expect(try await curl.post(add) == Printed("", 200))
            #expect(try await curl() == Printed(#"["127.0.0.1:\#(server)"]"#, 200))
            #expect(try await curl.post(add) == Printed("Upstream already exist", 200))
            #expect(
                try await curl.post(#"{"action":"del","ip":"127.0.0.1","port":1}"#)
                    == Printed("Upstream not found", 200)
            )
            #expect(
                try await curl.post(#"{"action":"purge","ip":"127.0.0.1","port":1}"#)
                    == Printed("Invalid action", 200)
            )
            for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
                #expect(
                    try await curl("-X", method)
                        == Printed("Only POST and GET requests are allowed!", 400)
                )
            }
            #expect(try await curl.post("{").status == 400)
            #expect(try await curl.post(#"{"action":"add"}"#).status == 400)

            // A script's next line is a request.
            for _ in 0..<10 {
                #expect(try await curl.post(del) == Printed("", 200))
                #expect(try await curl.post(add) == Printed("", 200))
                #expect(try await HTTPConnection.get(port: installation.proxyPort).status == 200)
            }

            // It serves, and the one that is killed is seen to be down, which the original left out.
            let isServed = {
                try await HTTPConnection.get(port: installation.proxyPort).status == 200
            }
            #expect(try await eventually(within: .seconds(20), isServed))
            installation.killServer(0)
            let isDown = {
                try await installation.json()["peers"]?[0]?["status"]?.string == "down"
            }
            #expect(try await eventually(within: .seconds(20), isDown))
            try installation.startServer(0)
            #expect(try await eventually(within: .seconds(20), isServed))

            // In the order in which they came, and kept over a kill: the original forgot.
            let other = #"{"action":"add","ip":"127.0.0.1","port":\#(installation.servers[1])}"#
            #expect(try await curl.post(other) == Printed("", 200))
            let both = #"["127.0.0.1:\#(server)","127.0.0.1:\#(installation.servers[1])"]"#
            #expect(try await curl().text == both)
            installation.killMuster()
            try await installation.startMuster(text)
            #expect(
                Set(try JSON(parsing: Array(try await curl().text.utf8)).items ?? [])
                    == Set(try JSON(parsing: Array(both.utf8)).items ?? [])
            )
            #expect(try await curl.post(del) == Printed("", 200))
            #expect(try await curl.post(del) == Printed("Upstream not found", 200))
        }

        @Test(.enabled(if: ChildProcess.find("curl") != nil, "curl is not installed"))
        func `what the file defines stays the file's`() async throws {
            let port = try freePort()
            let installation = try await Installation.start(
                replacing: [
                    (
                        "admin:\n",
                        "admin:\n  compat-config: { bind: \"127.0.0.1:\(port)\", upstream: web }\n"
                    )
                ]
            )
            let curl = Curl(folder: installation.folder, url: "http://127.0.0.1:\(port)/config")
            let server = installation.servers[0]
            let answer = try await curl.post(
                #"{"action":"del","ip":"127.0.0.1","port":\#(server)}"#
            )
            #expect(answer.status == 409)
            #expect(
                answer.text.hasPrefix("Upstream is defined in the configuration file, at "),
                "\(answer.text)"
            )
            #expect(
                try await curl.post(#"{"action":"add","ip":"127.0.0.1","port":\#(server)}"#)
                    == Printed("Upstream already exist", 200)
            )
            let elsewhere = Curl(folder: installation.folder, url: "http://127.0.0.1:\(port)/v1")
            #expect(try await elsewhere() == Printed("expected /config, saw /v1", 404))
            let rebound = try await curl("-H", "Host: evil.example")
            #expect(rebound.status == 421)
        }
    }
}
