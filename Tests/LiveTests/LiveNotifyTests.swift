// Does a receiver hear what happened, once and in order, though it fails at first; and what do people see of it,
// of the past, and on the page for everybody?

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveNotifyTests {
        private static func get(_ path: String, port: UInt16) async throws -> String {
            try await blocking {
                let connection = try HTTPConnection(port: port)
                try connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return String(decoding: try connection.answer().body, as: UTF8.self)
            }
        }

        @Test func `a receiver that fails at first hears everything once and in order`()
            async throws
        {
            let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            // Whatever comes in another order, or twice, waits for words that do not come.
            let receiver = try ScriptedServer([
                [
                    .expect("\"kind\":\"trouble\""),
                    .send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), .close,
                ],
                [.expect("\"kind\":\"trouble\""), .send(ok), .close],
                [.expect("\"kind\":\"resolved\""), .send(ok), .close],
                [.expect("\"kind\":\"test\""), .send(ok), .close],
            ])
            defer { receiver.stop() }
            let page = try freePort()
            let installation = try await Installation.start(
                adding: """

                    notify:
                      - name: ops
                        webhook:
                          url: "http://\(receiver.address)/hook"
                          template: '{"kind":"{{kind}}", "peer": "{{peer}}"}' # so one message each
                        status: [maint]
                        group: 0s
                        timeout: 5s
                    status-page: { bind: "127.0.0.1:\(page)", title: Things }

                    """
            )
            let admin = ["MUSTER_ADMIN": "http://127.0.0.1:\(installation.adminPort)"]
            let out = try await Muster.run(
                "peer",
                "maint",
                "web",
                "spare",
                "--reason",
                "patches",
                environment: admin
            )
            #expect(out.exitCode == 0, "\(out.output)")
            let back = try await Muster.run("peer", "ready", "web", "spare", environment: admin)
            #expect(back.exitCode == 0, "\(back.output)")

            var told: JSON = .null
            let isTold = try await eventually(within: .seconds(30)) {
                let text = try await Self.get("/v1/notify", port: installation.adminPort)
                told = try JSON(parsing: Array(text.utf8))["receivers"]?[0] ?? .null
                return told["sent"]?.int == 2
            }
            #expect(isTold)
            #expect(
                told["sent"]?.int == 2 && told["failed"]?.int == 1 && told["waiting"]?.int == 0,
                "\(told.text)"
            )
            #expect(told["state"] == "ok")

            let test = try await Muster.run("notify", "test", "ops", environment: admin)
            #expect(test == Muster.Result(exitCode: 0, output: "ops: arrived\n"), "\(test.output)")
            let nobody = try await Muster.run("notify", "test", "nobody", environment: admin)
            #expect(nobody.exitCode == 1 && nobody.output.contains("no receiver 'nobody'"))

            let past = try await Muster.run("history", "web/spare", environment: admin)
            #expect(past.exitCode == 0)
            #expect(past.output.contains("up -> maint"), "\(past.output)")
            #expect(past.output.contains("operator: patches") || past.output.contains("patches"))

            let shown = try JSON(
                parsing: Array(try await Self.get("/status.json", port: page).utf8)
            )
            #expect(shown["title"] == "Things" && shown["upstreams"]?[0]?["name"] == "web")
            let html = try await Self.get("/", port: page)
            #expect(!html.contains("127.0.0.1") && !html.contains("patches"))
        }
    }
}
