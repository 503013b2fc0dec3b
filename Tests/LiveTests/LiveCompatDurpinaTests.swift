// Does muster pass what durpina's own test script asks for? Round robin, weights, weights that change by a POST, a peer that is
// lost and comes back, and all of them lost: on its own paths, through its own proxy address.

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveCompatDurpinaTests {
        private static func post(
            _ path: String,
            _ body: String,
            port: UInt16
        ) async throws -> HTTPAnswer {
            try await blocking {
                let connection = try HTTPConnection(port: port)
                try connection.send(
                    "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/json\r\nConnection: close\r\n"
                        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
                return try connection.answer()
            }
        }

        /// So many requests of one path, counted by server; a status other than 200 under its number.
        private static func serve(
            _ count: Int,
            _ path: String,
            port: UInt16
        ) async throws -> [String: Int] {
            try await blocking {
                let connection = try HTTPConnection(port: port)
                var served: [String: Int] = [:]
                for _ in 0..<count {
                    let answer = try connection.get(path)
                    served[answer.status == 200 ? answer.server : "\(answer.status)", default: 0] +=
                        1
                }
                return served
            }
        }

        /// Within five in a hundred of what the weights ask for.
        private static func isBalanced(_ served: [String: Int], _ weights: [Int]) -> Bool {
            let counts = served.values.sorted()
            let (sum, total) = (weights.reduce(0, +), counts.reduce(0, +))
            guard counts.count == weights.count else { return false }
            return zip(counts, weights.sorted()).allSatisfy { count, weight in
                let expected = Double(total * weight) / Double(sum)
                return abs(Double(count) - expected) <= max(expected * 0.05, 1)
            }
        }

        @Test func `its test script's five stories`() async throws {
            let installation = try Installation()
            for index in installation.servers.indices { try installation.startServer(index) }
            let control = try freePort()
            func peers(_ weights: [Int]) -> String {
                zip(installation.servers, weights)
                    .map { "\"127.0.0.1:\($0) weight=\($1) fail_timeout=2s\"" }.joined(
                        separator: ", "
                    )
            }
            let monitors =
                "monitors: [{ tcp: { interval: 200ms, timeout: 150ms, rise: 1, fall: 1 } }]"
            try await installation.startMuster(
                """
                upstreams:
                  simple_roundrobin: { peers: [\(peers([1, 1, 1]))], \(monitors) }
                  weighted_roundrobin: { peers: [\(peers([1, 10, 15]))], \(monitors) }
                  reweighted_roundrobin: { peers: [\(peers([10, 20, 30]))], \(monitors) }
                  control: { peers: ["127.0.0.1:\(control)"] }
                proxy:
                  threads: 1
                  listeners:
                    - bind: 127.0.0.1:\(installation.proxyPort)
                      routes:
                        - { path: /simple_roundrobin, upstream: simple_roundrobin }
                        - { path: /weighted_roundrobin, upstream: weighted_roundrobin }
                        - { path: /reweighted_roundrobin, upstream: reweighted_roundrobin }
                        - { path: /upstream, upstream: control }
                        - { path: /ready, upstream: control }
                admin:
                  bind: 127.0.0.1:\(installation.adminPort)
                  compat-durpina: { bind: "127.0.0.1:\(control)" }

                """
            )
            let proxy = installation.proxyPort
            let isReady = { try await HTTPConnection.get("/ready", port: proxy).text == "ready\n" }
            #expect(try await eventually(within: .seconds(20), isReady))
            let areUp = {
                let info = try await HTTPConnection.get(
                    "/upstream/simple_roundrobin/action/info",
                    port: proxy
                )
                let peers = try JSON(parsing: info.body)["peers"]?.items ?? []
                return peers.count == 3 && peers.allSatisfy { $0["state"] == "up" }
            }
            #expect(try await eventually(within: .seconds(20), areUp))

            var served = try await Self.serve(999, "/simple_roundrobin", port: proxy)
            #expect(Self.isBalanced(served, [1, 1, 1]), "\(served)")
            served = try await Self.serve(1_000, "/weighted_roundrobin", port: proxy)
            #expect(Self.isBalanced(served, [1, 10, 15]), "\(served)")
            served = try await Self.serve(1_000, "/reweighted_roundrobin", port: proxy)
            #expect(Self.isBalanced(served, [10, 20, 30]), "\(served)")

            let ports = installation.servers
            let answer = try await Self.post(
                "/upstream/reweighted_roundrobin/action/set_peer_weights",
                "{\"127.0.0.1:\(ports[1])\": 6, \"127.0.0.1:\(ports[2])\": 1}",
                port: proxy
            )
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.text.hasPrefix(#"{"name":"reweighted_roundrobin","revision":"#))
            let isReweighted = {
                let served = try await Self.serve(340, "/reweighted_roundrobin", port: proxy)
                return Self.isBalanced(served, [10, 6, 1])
            }
            #expect(try await eventually(within: .seconds(10), isReweighted))

            // One stops: nobody hears of it, and it comes back.
            installation.killServer(1)
            served = try await Self.serve(1_000, "/weighted_roundrobin", port: proxy)
            #expect(served["502"] == nil && served["503"] == nil, "\(served)")
            try installation.startServer(1)
            let isBack = {
                Self.isBalanced(
                    try await Self.serve(260, "/weighted_roundrobin", port: proxy),
                    [1, 10, 15]
                )
            }
            #expect(try await eventually(within: .seconds(20), isBack))

            for index in ports.indices { installation.killServer(index) }
            served = try await Self.serve(20, "/simple_roundrobin", port: proxy)
            #expect(Set(served.keys).isSubset(of: ["502", "503"]), "\(served)")
        }

        @Test func `peers, weights and monitors change on its paths, and mistakes are told`()
            async throws
        {
            let control = try freePort()
            let installation = try await Installation.start(
                replacing: [
                    ("admin:\n", "admin:\n  compat-durpina: { bind: \"127.0.0.1:\(control)\" }\n")
                ]
            )
            let base = "/upstream/web/action"
            let spare = "127.0.0.1:\(installation.servers[2])"
            let peer = "127.0.0.1:\(installation.servers[0])"
            for (path, body, status, text) in [
                ("\(base)/add_peer", #""localhost:1 weight=3""#, 200, "ok\n"),
                ("\(base)/add_monitor", #"{"name":"tcp","id":"more","interval":30}"#, 200, "ok\n"),
                ("\(base)/set_peer_weights", #"{"localhost:1": 9}"#, 200, nil),
                ("/set_upstream_peer_weight/web/localhost:1", "4", 200, "weight set!\n"),
                ("/set_upstream_peer_weight/web/localhost:1/5", "", 200, "weight set!\n"),
                ("/set_upstream_peer_weight/web/localhost:1", "much", 400, "bad weight\n"),
                ("/set_upstream_peer_weight/web/nobody:1", "4", 404, "peer not found\n"),
                (
                    "\(base)/set_peer_weights", #"{"localhost:1": 2, "nobody:1": 3}"#, 404,
                    "peer nobody:1 not found in upstream web\n"
                ),
                ("\(base)/set_peer_weights", #"{"localhost:1": 1.5}"#, 400, nil),
                ("\(base)/set_peer_weights", "{", 400, nil),
                ("\(base)/frobnicate", "{}", 400, "unknown action frobnicate\n"),
                (
                    "/upstream/none/action/info", "", 404,
                    "upstream not found; no upstream is called none\n"
                ),
                ("\(base)/remove_peer", "\"\(peer)\"", 409, nil),
                ("\(base)/remove_monitor", #"{"id":"more"}"#, 200, "ok\n"),
                ("\(base)/remove_monitor", #"{"id":"more"}"#, 404, nil),
            ] as [(String, String, Int, String?)] {
                let answer = try await Self.post(path, body, port: control)
                #expect(answer.status == status, "\(path) \(body): \(answer.text)")
                if let text { #expect(answer.text == text, "\(path) \(body)") }
            }
            let info = try JSON(
                parsing: try await HTTPConnection.get("\(base)/info", port: control).body
            )
            #expect(info.members?.map(\.key) == ["name", "revision", "peers", "monitors"])
            let peers = info["peers"]?.items ?? []
            #expect(peers.map { $0["name"]?.string ?? "" }.last == "localhost:1")
            #expect(peers.last?["weight"] == 5 && peers.last?["address"] == "?")
            #expect(peers.first?.members?.map(\.key) == ["name", "address", "weight", "state"])
            _ = try await installation.command("peer", "maint", "web", "spare")
            let lost = try JSON(
                parsing: try await HTTPConnection.get(
                    "\(base)/info?peers=permanent_down",
                    port: control
                ).body
            )
            #expect(lost["peers"]?.items?.compactMap { $0["name"]?.string } == [spare])
            let wrong = try await HTTPConnection.get("\(base)/info?peers=some", port: control)
            #expect(wrong.status == 400 && wrong.text.contains("temporary_down"))
            let removed = try await Self.post(
                "\(base)/remove_peer",
                #"{"name":"localhost:1"}"#,
                port: control
            )
            #expect(removed.status == 200 && removed.text == "ok\n")
            let read = try await HTTPConnection.get("\(base)/add_peer", port: control)
            #expect(read.status == 400 && read.text == "add_peer: expected POST, saw GET\n")
        }
    }
}
