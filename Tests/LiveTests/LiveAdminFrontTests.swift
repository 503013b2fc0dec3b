// What can a page of somebody else's, or a crowd of rude clients, do to the admin endpoint of a real
// muster? Raw requests, such as a browser would send them.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveAdminFrontTests {
        private static let token = "correct-horse"

        private func ask(
            _ port: UInt16,
            _ line: String,
            _ fields: String...,
            body: String = ""
        ) async throws -> HTTPAnswer {
            let head = ([line + " HTTP/1.1"] + fields).map { $0 + "\r\n" }.joined()
            let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
            return try await blocking {
                let connection = try HTTPConnection(port: port)
                try connection.send(head + length + "Connection: close\r\n\r\n" + body)
                return try connection.answer()
            }
        }

        /// Without a token, as the defaults are.
        @Test func `a page of another site changes nothing and reads nothing`() async throws {
            let installation = try Installation()
            let port = installation.adminPort
            try await installation.startMuster(
                """
                upstreams:
                  web:
                    monitors: [heartbeat: { interval: 1h, timeout: 1h }]
                    peers: [127.0.0.1:1]
                admin: { bind: "127.0.0.1:\(port)" }
                """
            )
            let ours = "Host: 127.0.0.1:\(port)"
            let peer = "/v1/upstreams/web/peers/127.0.0.1:1"
            let drain = #"{"intent":"drain"}"#
            // A form, a script of another page, and one whose name leads here.
            let foreign: [[String]] = [
                [ours, "Origin: http://evil.example", "Content-Type: text/plain"],
                [ours, "Origin: null", "Content-Type: application/json"],
                [ours, "Origin: http://127.0.0.1:1", "Content-Type: application/json"],
                [ours, "Sec-Fetch-Site: cross-site", "Content-Type: application/json"],
                ["Host: evil.example:\(port)", "Content-Type: application/json"],
                [
                    "Host: evil.example:\(port)", "Origin: http://evil.example:\(port)",
                    "Sec-Fetch-Site: same-origin", "Content-Type: application/json",
                ],
            ]
            for fields in foreign {
                for line in [
                    "PATCH \(peer)", "POST \(peer)/heartbeat", "POST \(peer)/check",
                    "POST /v1/reload", "GET /v1/upstreams", "GET /metrics", "GET /",
                    "GET /health", "GET /nothing", "DELETE \(peer)", "OPTIONS \(peer)",
                ] {
                    let head = ([line + " HTTP/1.1"] + fields).map { $0 + "\r\n" }.joined()
                    let isWrite = line.hasPrefix("PATCH")
                    let rest =
                        isWrite ? "Content-Length: \(drain.utf8.count)\r\n\r\n\(drain)" : "\r\n"
                    let answer = try await blocking {
                        let connection = try HTTPConnection(port: port)
                        try connection.send(head + rest)
                        return try connection.answer()
                    }
                    #expect(
                        [403, 421].contains(answer.status),
                        "\(line) \(fields): \(answer.head)"
                    )
                    #expect(!answer.text.contains("\"peers\""), "\(answer.text)")
                    #expect(answer["Access-Control-Allow-Origin"] == nil)
                }
            }
            let state = try await installation.json()
            #expect(state["peers"]?[0]?["intent"]?.string == "ready")
            // What our own page sends, and what a command does.
            let page = try await ask(
                port,
                "PATCH \(peer)",
                ours,
                "Origin: http://127.0.0.1:\(port)",
                "Sec-Fetch-Site: same-origin",
                "Content-Type: application/json",
                body: drain
            )
            #expect(page.status == 200, "\(page.text)")
            let form = try await ask(
                port,
                "PATCH \(peer)",
                ours,
                "Origin: http://127.0.0.1:\(port)",
                "Content-Type: text/plain",
                body: drain
            )
            #expect(form.status == 415)
            #expect(form.text.contains("expected application/json, saw 'text/plain'"))
            let command = try await ask(port, "POST \(peer)/heartbeat", ours)
            #expect(command.status == 204)
        }

        @Test func `the token guards reading on request, and names lead here on request`()
            async throws
        {
            let installation = try Installation()
            let port = installation.adminPort
            try await installation.startMuster(
                """
                upstreams:
                  web: { monitors: [heartbeat: { interval: 1h, timeout: 1h }], peers: [127.0.0.1:1] }
                admin:
                  bind: "127.0.0.1:\(port)"
                  token: \(Self.token)
                  protect-reads: true
                  hosts: [muster.example]
                """
            )
            let named = "Host: muster.example"
            #expect(try await ask(port, "GET /health", named).status == 200)
            let refused = try await ask(port, "GET /v1/upstreams", named)
            #expect(refused.status == 401)
            #expect(refused["WWW-Authenticate"] == "Bearer")
            let shown = "Authorization: Bearer \(Self.token)"
            #expect(try await ask(port, "GET /v1/upstreams", named, shown).status == 200)
            #expect(try await ask(port, "GET /metrics", named).status == 401)
            #expect(try await ask(port, "GET /metrics", "Host: other.example").status == 421)
        }

        @Test func `a unix socket has the mode that was asked for`() async throws {
            let folder = try TemporaryDirectory()
            let path = folder.path("admin.sock")
            let file = try folder.write(
                "admin: { bind: 'unix:\(path)', mode: 0606 }\nupstreams: { web: { peers: [a:1] } }\n",
                to: "muster.yaml"
            )
            let muster = try Muster.start(["run", "-c", file], in: folder)
            defer { muster.end() }
            let isThere = await eventually(within: .seconds(30)) {
                muster.output.contains("admin API and dashboard on")
            }
            #expect(isThere, "\(muster.output)")
            var status = stat()
            #expect(stat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o606)
            let told = try await Muster.run("status", "--admin", "unix:\(path)")
            #expect(told.output.contains("web"), "\(told.output)")
        }

        @Test func `a thousand idle clients and a hundred slow ones keep nobody waiting`()
            async throws
        {
            let installation = try Installation()
            let port = installation.adminPort
            try await installation.startMuster(
                """
                upstreams:
                  web: { monitors: [heartbeat: { interval: 1h, timeout: 1h }], peers: [127.0.0.1:1] }
                admin: { bind: "127.0.0.1:\(port)" }
                """
            )
            let crowd = try await blocking {
                try (0..<1_100).map { number in
                    let client = try HTTPConnection(port: port)
                    if number >= 1_000 {
                        try? client.send(
                            "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Le"
                        )
                    }
                    return client
                }
            }
            let told = try await installation.command("status")
            #expect(told.output.contains("127.0.0.1:1"), "\(told.output)")
            let metrics = try await HTTPConnection.get("/metrics", port: port)
            #expect(metrics.status == 200)
            let displaced = metrics.text.split(separator: "\n").first {
                $0.hasPrefix("muster_admin_refused_total{reason=\"displaced\"}")
            }
            let count = displaced?.split(separator: " ").last.flatMap { Int($0) } ?? 0
            #expect(count >= 1_000)
            _ = crowd
        }
    }
}
