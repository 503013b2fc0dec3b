// Is what the API defines as good as what the file does? Probed, routed to, told to every agent, and there
// after a restart.

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveDefinitionTests {
        private static func send(
            _ method: String,
            _ path: String,
            _ body: String = "",
            port: UInt16,
            fields: String = ""
        ) async throws -> HTTPAnswer {
            try await blocking {
                let connection = try HTTPConnection(port: port)
                let type = body.isEmpty ? "" : "Content-Type: application/json\r\n"
                try connection.send(
                    "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)\(type)"
                        + "Connection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
                return try connection.answer()
            }
        }

        private static func status(of path: String, port: UInt16) async throws -> String? {
            let answer = try await HTTPConnection.get("/v1/upstreams/" + path, port: port)
            return try JSON(parsing: answer.body)["status"]?.string
        }

        private static func get(_ host: String, port: UInt16) async throws -> Int {
            try await blocking {
                let connection = try HTTPConnection(port: port)
                try connection.send(
                    "GET / HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n"
                )
                return try connection.answer().status
            }
        }

        @Test func `an upstream and a route are made, used, and there after a restart`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let store = "\nstore:\n  state-file: \(folder.path("state.json"))\n"
            let installation = try await Installation.start(adding: store)
            let (admin, proxy) = (installation.adminPort, installation.proxyPort)
            let server = "127.0.0.1:\(installation.servers[0])"
            let body =
                #"{"peers": ["\#(server) weight=2"], "monitors": [{"tcp": {"interval": "1s"}}]}"#
            let made = try await Self.send("PUT", "/v1/upstreams/shop", body, port: admin)
            #expect(made.status == 201 && made["Location"] == "/v1/upstreams/shop")
            let again = try await Self.send("PUT", "/v1/upstreams/shop", body, port: admin)
            #expect(again.status == 200 && again["ETag"] == made["ETag"])
            let route = #"{"host": "shop.test", "upstream": "shop"}"#
            #expect(
                try await Self.send("PUT", "/v1/routes/shop", route, port: admin).status == 201
            )
            let isRouted = { try await Self.get("shop.test", port: proxy) == 200 }
            #expect(try await eventually(within: .seconds(30), isRouted))
            #expect(
                try await eventually(within: .seconds(30)) {
                    try await Self.status(of: "shop", port: admin) == "up"
                }
            )
            let leads = try await Self.send("DELETE", "/v1/upstreams/shop", port: admin)
            #expect(
                leads.status == 409 && leads.text.contains("route 'shop' leads to"),
                "\(leads.text)"
            )

            // Without a word: what was acknowledged is on the disk.
            installation.killMuster()
            try await installation.startMuster(try installation.quickstart(adding: store))
            #expect(try await eventually(within: .seconds(30), isRouted))
            let listed = try await installation.command(arguments: ["route", "list"])
            #expect(
                listed.lines.contains { $0.hasPrefix("shop ") && $0.hasSuffix("api   shop") },
                "\(listed.output)"
            )
            let diff = try await installation.command(arguments: ["diff"])
            #expect(diff.exitCode == 1)
            #expect(
                diff.lines.map { String($0.prefix { $0 != ":" }) } == [
                    "+ monitor shop/tcp", "+ peer shop/127.0.0.1", "+ upstream shop",
                    "+ route shop",
                ],
                "\(diff.output)"
            )

            for path in ["/v1/routes/shop", "/v1/upstreams/shop"] {
                #expect(try await Self.send("DELETE", path, port: admin).status == 200)
                #expect(try await Self.send("DELETE", path, port: admin).status == 404)
            }
            let nothing = try await installation.command(arguments: ["diff"])
            #expect(nothing.exitCode == 0, "\(nothing.output)")
        }

        /// The statuses of so many requests, from the first that is taken.
        private static func first(
            _ count: Int,
            of host: String,
            port: UInt16
        ) async throws -> [Int] {
            try await blocking {
                var statuses: [Int] = []
                let end = Date(timeIntervalSinceNow: 30)
                while statuses.count < count, Date() < end {
                    guard let connection = try? HTTPConnection(port: port) else { continue }
                    try connection.send(
                        "GET / HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n"
                    )
                    statuses.append(try connection.answer().status)
                }
                return statuses
            }
        }

        @Test func `after a start nobody meets the file's routes without those of the API`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let store = "\nstore:\n  state-file: \(folder.path("state.json"))\n"
            let installation = try await Installation.start(adding: store)
            let (admin, proxy) = (installation.adminPort, installation.proxyPort)
            // Nobody listens there: whoever is led to it is not answered 200, as all others are.
            let shop = #"{"peers": ["127.0.0.1:1"]}"#
            let route = #"{"host": "shop.test", "upstream": "shop"}"#
            for (path, body) in [("upstreams", shop), ("routes", route)] {
                let made = try await Self.send("PUT", "/v1/\(path)/shop", body, port: admin)
                #expect(made.status == 201, "\(made.text)")
            }
            #expect(
                try await eventually(within: .seconds(30)) {
                    try await Self.get("shop.test", port: proxy) != 200
                }
            )
            #expect(try await Self.get("other.test", port: proxy) == 200)
            for _ in 0..<5 {
                installation.killMuster()
                async let statuses = Self.first(5, of: "shop.test", port: proxy)
                try await installation.startMuster(try installation.quickstart(adding: store))
                let found = try await statuses
                #expect(found.count == 5 && !found.contains(200), "\(found)")
            }
        }

        @Test func `a peer is added and removed, and the file's stay the file's`() async throws {
            let installation = try await Installation.start()
            let admin = installation.adminPort
            let peers = "/v1/upstreams/web/peers"
            let spare = "127.0.0.1:\(installation.servers[0])"
            let add = ["peer", "add", "web", spare, "--id", "extra", "--weight", "5"]
            let added = try await installation.command(arguments: add)
            // The example has no state file, and is told so.
            #expect(added.lines.last == "web/extra is added", "\(added.output)")
            let twice = try await installation.command(arguments: add)
            #expect(twice.lines.last == "web/extra was there already, and as asked for")
            #expect(twice.lines.count == 2 && twice.lines.first == added.lines.first)
            let other = try await Self.send(
                "POST",
                peers,
                #"{"id": "extra", "address": "\#(spare)"}"#,
                port: admin
            )
            #expect(other.status == 409 && other.text.contains("defined otherwise"))
            let wrong = try await Self.send("POST", peers, #"{"adress": "x"}"#, port: admin)
            #expect(wrong.status == 422 && wrong.text.contains("did you mean 'address'?"))
            let own = try await Self.send("DELETE", "\(peers)/spare", port: admin)
            #expect(own.status == 409)
            #expect(own.text.contains("the configuration file defines it, at "))
            #expect(own.text.contains(".yaml:"))
            let seen = try #require(
                try await HTTPConnection.get("/v1/upstreams/web", port: admin)["ETag"]
            )
            let late = try await Self.send(
                "DELETE",
                "\(peers)/extra",
                port: admin,
                fields: "If-Match: \"1\"\r\n"
            )
            #expect(late.status == 412)
            let gone = try await Self.send(
                "DELETE",
                "\(peers)/extra",
                port: admin,
                fields: "If-Match: \(seen)\r\n"
            )
            #expect(gone.status == 200, "\(gone.text)")
            #expect(try await Self.status(of: "web/peers/extra", port: admin) != "up")
        }

        /// Until these agents have their store: before that they keep what is asked for, and answer with 202.
        private static func connect(_ ports: [UInt16]) async throws {
            let isConnected = try await eventually(within: .seconds(30)) {
                for port in ports {
                    let ready = try await HTTPConnection.get("/ready", port: port).body
                    if try JSON(parsing: ready)["store"]?["connected"] != true { return false }
                }
                return true
            }
            #expect(isConnected)
        }

        @Test func `of two definitions at once one holds whole, through whichever agent`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let redis = try LiveRedis(in: folder)
            try await redis.start()
            let store = "\nstore:\n  url: redis://127.0.0.1:\(redis.port)/0\n"
            let one = try await Installation.start(adding: store + "agent:\n  id: a1\n")
            let two = try Installation()
            let plain = try one.quickstart(adding: store + "agent:\n  id: a2\n")
            let text = zip(
                [one.proxyPort, one.agentPort, one.adminPort],
                [two.proxyPort, two.agentPort, two.adminPort]
            ).reduce(plain) { $0.replacing(":\($1.0)", with: ":\($1.1)") }
            try await two.startMuster(text)
            let ports = [one.adminPort, two.adminPort]
            try await Self.connect(ports)
            let path = "/v1/upstreams/shop"
            func body(_ writer: Int, _ round: Int) -> String {
                let peers = (0..<3).map { #""127.1.\#(writer).\#($0 + 1):\#(9_000 + round)""# }
                return #"{"peers": [\#(peers.joined(separator: ","))], "monitors": ["tcp"]}"#
            }
            func seen(_ port: UInt16) async throws -> [String] {
                let answer = try await HTTPConnection.get(path, port: port)
                return (try JSON(parsing: answer.body)["peers"]?.items ?? [])
                    .compactMap { $0["id"]?.string }.sorted()
            }
            for round in 0..<10 {
                // Alternately through two agents, and twice through one.
                let second = round % 2 == 0 ? ports[1] : ports[0]
                async let first = Self.send("PUT", path, body(1, round), port: ports[0])
                async let other = Self.send("PUT", path, body(2, round), port: second)
                let statuses = try await [first.status, other.status]
                #expect(statuses.allSatisfy { $0 == 200 || $0 == 201 }, "round \(round)")
                let isWhole = {
                    let (here, there) = (try await seen(ports[0]), try await seen(ports[1]))
                    let writers = Set(here.map { $0.split(separator: ".")[2] })
                    return here == there && here.count == 3 && writers.count == 1
                }
                #expect(try await eventually(within: .seconds(30), isWhole), "round \(round)")
                let tag = try #require(try await HTTPConnection.get(path, port: ports[0])["ETag"])
                let field = "If-Match: \(tag)\r\n"
                async let left = Self.send(
                    "PUT",
                    path,
                    body(3, round),
                    port: ports[0],
                    fields: field
                )
                async let right = Self.send(
                    "PUT",
                    path,
                    body(4, round),
                    port: second,
                    fields: field
                )
                let guarded = try await [left.status, right.status].sorted()
                #expect(guarded == [200, 412], "round \(round)")
            }
        }

        @Test func `what one agent is told to define the other has in a moment`() async throws {
            let folder = try TemporaryDirectory()
            let redis = try LiveRedis(in: folder)
            try await redis.start()
            let store = "\nstore:\n  url: redis://127.0.0.1:\(redis.port)/0\n"
            let one = try await Installation.start(adding: store + "agent:\n  id: a1\n")
            let two = try Installation()
            let plain = try one.quickstart(adding: store + "agent:\n  id: a2\n")
            let text = zip(
                [one.proxyPort, one.agentPort, one.adminPort],
                [two.proxyPort, two.agentPort, two.adminPort]
            ).reduce(plain) { $0.replacing(":\($1.0)", with: ":\($1.1)") }
            try await two.startMuster(text)
            try await Self.connect([one.adminPort, two.adminPort])
            let server = "127.0.0.1:\(one.servers[0])"
            let body = #"{"id": "extra", "address": "\#(server)"}"#
            let made = try await Self.send(
                "POST",
                "/v1/upstreams/web/peers",
                body,
                port: one.adminPort
            )
            #expect(made.status == 201, "\(made.text)")
            let isUp = { (port: UInt16) in
                try await Self.status(of: "web/peers/extra", port: port) == "up"
            }
            #expect(try await eventually(within: .seconds(30)) { try await isUp(two.adminPort) })
            let away = try await Self.send(
                "DELETE",
                "/v1/upstreams/web/peers/extra",
                port: two.adminPort
            )
            #expect(away.status == 200, "\(away.text)")
            let isGone = {
                let path = "/v1/upstreams/web/peers/extra"
                return try await HTTPConnection.get(path, port: one.adminPort).status == 404
            }
            #expect(try await eventually(within: .seconds(30), isGone))
            // What nobody can read is left out, and said.
            _ = try await redis.ask(
                "HSET",
                "muster:definitions",
                "web|peer|odd",
                #"{"body":"{\"address\":\"nowhere\"}","body_at":1,"set_at":1}"#
            )
            let isSaid = {
                try await HTTPConnection.get("/v1/definitions", port: one.adminPort).text
                    .contains("expected host:port")
            }
            #expect(try await eventually(within: .seconds(30), isSaid))
        }
    }
}
