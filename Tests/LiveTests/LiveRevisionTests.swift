// Does nobody undo what another asked for without knowing it? Two agents on one Redis, and clients that say
// what they saw.

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveRevisionTests {
        private static func patch(
            _ peer: String,
            _ body: String,
            ifMatch tag: String?,
            port: UInt16
        ) async throws -> HTTPAnswer {
            try await blocking {
                let connection = try HTTPConnection(port: port)
                let field = tag.map { "If-Match: \($0)\r\n" } ?? ""
                try connection.send(
                    "PATCH /v1/upstreams/web/peers/\(peer) HTTP/1.1\r\nHost: localhost\r\n\(field)"
                        + "Connection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
                return try connection.answer()
            }
        }

        @Test func `the command line asks for a revision, too`() async throws {
            let installation = try await Installation.start()
            let peer = "web/127.0.0.1:\(installation.servers[0])"
            let seen = try #require(try await installation.json()["revision"]?.integer)
            func drain(_ revision: Int64) async throws -> Muster.Result {
                try await installation.command(
                    arguments: ["peer", "drain", peer, "--if-match", "\(revision)"]
                )
            }
            let taken = try await drain(seen)
            #expect(taken.exitCode == 0, "\(taken.output)")
            let next = try #require(try await installation.json()["revision"]?.integer)
            #expect(taken.lines.contains("revision of web now: \(next)"), "\(taken.output)")
            let ready = try await installation.command(
                arguments: ["peer", "ready", peer, "--if-match", "\(seen)"]
            )
            #expect(ready.exitCode == 1, "\(ready.output)")
            #expect(ready.output.contains("\(next)"), "\(ready.output)")
            #expect(try await installation.status(0) == "drain")
        }

        @Test func `of two writes through two agents that saw the same, one is taken`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let redis = try LiveRedis(in: folder)
            try await redis.start()
            let store = "\nstore:\n  url: redis://127.0.0.1:\(redis.port)/0\n"
            let one = try await Installation.start(adding: store + "agent:\n  id: a1\n")
            // The same peers, probed by another agent with addresses of its own.
            let two = try Installation()
            let plain = try one.quickstart(adding: store + "agent:\n  id: a2\n")
            let text = zip(
                [one.proxyPort, one.agentPort, one.adminPort],
                [two.proxyPort, two.agentPort, two.adminPort]
            ).reduce(plain) {
                $0.replacing(":\($1.0)", with: ":\($1.1)")
            }
            try await two.startMuster(text)
            let ports = [one.adminPort, two.adminPort]
            let upstream = "/v1/upstreams/web"
            let tag = { (port: UInt16) in
                let answer = try await HTTPConnection.get(upstream, port: port)
                let revision = try JSON(parsing: answer.body)["revision"]?.integer
                #expect(answer["ETag"] == revision.map { "\"\($0)\"" })
                return try #require(answer["ETag"])
            }
            #expect(try await tag(ports[0]) == (try await tag(ports[1])))
            let isShared = {
                try await redis.ask("HEXISTS", "muster:verdicts", "web|spare|http") == ["1"]
            }
            #expect(try await eventually(within: .seconds(30), isShared))

            var seen = try await tag(ports[0])
            for round in 0..<10 {
                let before = seen
                // Two who want different things: who wants what holds already gets it.
                let bodies = [#"{"weight":\#(round)}"#, #"{"weight":\#(100 + round)}"#]
                async let first = Self.patch("spare", bodies[0], ifMatch: before, port: ports[0])
                async let second = Self.patch("spare", bodies[1], ifMatch: before, port: ports[1])
                let answers = try await [first, second]
                #expect(answers.map(\.status).sorted() == [200, 412], "round \(round)")
                let won = try #require(answers.first { $0.status == 200 })
                let lost = try #require(answers.first { $0.status == 412 })
                seen = try #require(won["ETag"])
                #expect(seen != before && lost["ETag"] == seen)
                let problem = try JSON(parsing: lost.body)
                #expect(problem["revision"] == (try JSON(parsing: won.body)["revision"]))
                #expect(problem["status"] == 412)
                #expect(problem["detail"]?.string?.contains("another change came first") == true)
                // As whoever won does if the answer was lost, through either agent.
                let body = answers[0].status == 200 ? bodies[0] : bodies[1]
                for port in ports {
                    let again = try await Self.patch("spare", body, ifMatch: before, port: port)
                    #expect(again.status == 200 && again["ETag"] == seen)
                }
            }
            // As it is after a restart of all.
            two.killMuster()
            try await two.startMuster(text)
            #expect(try await tag(ports[1]) == seen)
            let wrong = try await Self.patch("spare", "{}", ifMatch: "5", port: ports[0])
            #expect(wrong.status == 400 && wrong.text.contains("If-Match: expected an ETag"))
            let any = try await Self.patch("spare", #"{"weight":3}"#, ifMatch: "*", port: ports[0])
            #expect(any.status == 200)
            redis.kill()
            #expect(
                try await eventually(within: .seconds(30)) {
                    let ready = try await one.json("/ready")
                    return ready["store"]?["connected"] == false
                }
            )
            let last = try await tag(ports[0])
            let away = try await Self.patch(
                "spare",
                #"{"weight":4}"#,
                ifMatch: last,
                port: ports[0]
            )
            #expect(away.status == 503 && away.text.contains("cannot be known"))
            let taken = try await Self.patch(
                "spare",
                #"{"weight":5}"#,
                ifMatch: nil,
                port: ports[0]
            )
            #expect(taken.status == 202)
        }
    }
}
