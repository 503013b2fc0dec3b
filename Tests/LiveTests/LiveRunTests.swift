// Does quickstart.yaml do what its first lines say? Three servers probed, told of and balanced.

import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveRunTests {
        /// Words of a contract: a field and what it holds.
        private enum Kind {
            case text, time, number, whole, flag, list

            func fits(_ value: JSON) -> Bool {
                switch self {
                case .text: value.string != nil
                case .time: value.string.map { $0.wholeMatch(of: Self.timePattern) != nil } ?? false
                case .number: value.double != nil
                case .whole: value.integer != nil
                case .flag: value.bool != nil
                case .list: value.items != nil
                }
            }

            private static var timePattern: Regex<Substring> {
                #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/#
            }
        }

        private static let upstreamFields: [(String, Kind)] = [
            ("name", .text), ("revision", .whole), ("balance", .text), ("status", .text),
            ("panic", .flag), ("peers", .list), ("monitors", .list),
        ]
        private static let peerFields: [(String, Kind)] = [
            ("id", .text), ("address", .text), ("weight", .whole), ("effective_weight", .number),
            ("status", .text), ("intent", .text), ("since", .time), ("reason", .text),
            ("checks", .list),
        ]
        private static let checkFields: [(String, Kind)] = [
            ("monitor", .text), ("kind", .text), ("status", .text), ("health", .whole),
            ("rise", .whole), ("fall", .whole), ("layer", .text), ("reason", .text),
            ("latency_ms", .number), ("checked_at", .time), ("expires_at", .time), ("agent", .text),
        ]

        private func check(_ object: JSON?, has fields: [(String, Kind)], _ what: String) {
            for (name, kind) in fields {
                let value = object?[name]
                #expect(
                    value.map { kind.fits($0) } == true,
                    "\(what).\(name): expected \(kind), saw \(value?.text ?? "nothing")"
                )
            }
        }

        @Test func `three servers are up with every field that was promised`() async throws {
            let installation = try await Installation.start()
            // The optional monitor has an interval of its own.
            let isProbed = try await eventually(within: .seconds(30)) {
                try await installation.json()["peers"]?.items?.allSatisfy { peer in
                    peer["checks"]?.items?.allSatisfy { $0["checked_at"]?.string != nil } == true
                } == true
            }
            #expect(isProbed)
            let upstream = try await installation.json()
            check(upstream, has: Self.upstreamFields, "upstream")
            #expect(upstream["name"] == "web")
            #expect(upstream["balance"] == "round-robin")
            #expect(upstream["status"] == "up")
            #expect(upstream["panic"] == false)
            #expect(upstream["monitors"]?.items?.compactMap { $0["id"] } == ["http", "port"])
            let peers = try #require(upstream["peers"]?.items)
            let addresses = installation.servers.map { "127.0.0.1:\($0)" }
            #expect(peers.compactMap { $0["id"]?.string } == [addresses[0], addresses[1], "spare"])
            #expect(peers.compactMap { $0["address"]?.string } == addresses)
            #expect(peers.compactMap { $0["weight"]?.int } == [1, 2, 1])
            for peer in peers {
                check(peer, has: Self.peerFields, "peer")
                #expect(peer["status"] == "up")
                #expect(peer["intent"] == "ready")
                #expect(peer["effective_weight"]?.double == peer["weight"]?.double)
                let checks = try #require(peer["checks"]?.items)
                #expect(checks.compactMap { $0["kind"] } == ["http", "tcp"])
                #expect(checks.compactMap { $0["reason"] } == ["L7OK", "L4OK"])
                for one in checks {
                    check(one, has: Self.checkFields, "check")
                    #expect(one["status"] == "up")
                    #expect(one["health"]?.int.map { $0 >= (one["rise"]?.int ?? 99) } == true)
                }
            }
            // The list says the same of it.
            let list = try await installation.json("/v1/upstreams")
            #expect(list["upstreams"]?[0]?["name"] == "web")
            #expect(list["upstreams"]?[0]?["peers"]?.items?.count == 3)
        }

        @Test func `requests are shared one to two, and the spare gets none`() async throws {
            let installation = try await Installation.start()
            let names = installation.servers.map { "\($0)" }
            #expect(try await installation.serve(3) == [names[0]: 1, names[1]: 2])
            #expect(try await installation.serve(300) == [names[0]: 100, names[1]: 200])
        }
    }
}
