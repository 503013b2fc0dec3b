// What counts of what the API was told, in whatever order it is heard? Against the catalogue that comes of it.

import Checks
import Health
import Monitor
import Proxy
import Settings
import Store
import Testing
import Vocabulary

@testable import muster

@Suite struct LiveDefinitionsTests {
    /// One agent that hears of definitions.
    private struct Agent {
        var live = LiveDefinitions(LiveReader())
        var catalogue = Catalogue()

        @discardableResult
        mutating func hear(_ key: LiveKey, _ definition: LiveDefinition?) -> [CatalogueChange] {
            live.hear(Asking(key, definition), &catalogue).changes
        }

        /// What the API says is written, and heard.
        mutating func take(_ order: DefinitionOrder) throws -> DefinitionDecision {
            let decision = try live.decide(
                order,
                by: "test",
                catalogue,
                [],
                among: ["web", "shop"].filter { catalogue.source(of: $0) != nil }
            )
            if let (key, definition) = decision.change { hear(key, definition) }
            return decision
        }

        func peers(_ name: String = "shop") -> [String: Int] {
            var found: [String: Int] = [:]
            for id in catalogue.peers(of: name) {
                let key = PeerKey(upstream: name, peer: id)
                if let peer = catalogue.peer(key) { found[id] = peer.weight }
            }
            return found
        }
    }

    private func json(_ text: String) -> JSON { (try? JSON(parsing: Array(text.utf8))) ?? .null }
    private let a = PeerKey(upstream: "shop", peer: "a")
    private func peer(_ id: String, _ weight: Int) -> JSON {
        json(#"{"id":"\#(id)","address":"10.0.0.1:80","weight":\#(weight)}"#)
    }
    private func whole(_ peers: [JSON]) -> JSON {
        .object([.init("peers", .array(peers)), .init("monitors", .array(["tcp"]))])
    }

    @Test func `an upstream is replaced with all that hangs on it, by one write`() throws {
        var agent = Agent()
        let made = try agent.take(.putUpstream("shop", whole([peer("a", 1), peer("b", 1)])))
        #expect(made.outcome == .made && agent.peers() == ["a": 1, "b": 1])
        #expect(try agent.take(.addPeer(upstream: "shop", peer("c", 3))).outcome == .made)
        #expect(agent.peers() == ["a": 1, "b": 1, "c": 3])
        let again = try agent.take(.putUpstream("shop", whole([peer("a", 2)])))
        #expect(again.outcome == .changed && agent.peers() == ["a": 2])
        // What is swept out later is gone already.
        #expect(again.swept == [.peer(PeerKey(upstream: "shop", peer: "c"))])
        #expect(try agent.take(.putUpstream("shop", whole([peer("a", 2)]))).outcome == .same)
        for key in again.swept { agent.hear(key, nil) }
        #expect(try agent.take(.putUpstream("shop", whole([peer("a", 2)]))).outcome == .same)
        #expect(try agent.take(.removeUpstream("shop")).outcome == .gone)
        #expect(agent.peers().isEmpty && agent.catalogue.source(of: "shop") == nil)
        #expect(throws: DefinitionRefusal.nothing("no upstream is called 'shop'")) {
            try agent.take(.removeUpstream("shop"))
        }
    }

    @Test func `what a source names is added and taken away where it is kept`() throws {
        var agent = Agent()
        let source = CatalogueSource.foreign("hipache")
        let key = PeerKey(upstream: "shop", peer: "10.0.0.1:80")
        _ = agent.catalogue.set(
            source,
            upstream: "shop",
            UpstreamDefinition(name: "shop", peers: []),
            peers: [],
            monitors: []
        )
        let address = try #require(Address(text: "10.0.0.1:80"))
        _ = agent.catalogue.set(source, key, PeerDefinition(id: key.peer, address: address))
        for order in [
            DefinitionOrder.addPeer(upstream: "shop", peer("b", 1)),
            .removePeer(key),
        ] {
            do {
                _ = try agent.take(order)
                Issue.record("expected a refusal, saw none")
            } catch let DefinitionRefusal.conflict(why) {
                #expect(why.contains("the data of the source 'hipache' names"))
            }
        }
        #expect(agent.peers() == [key.peer: 1])
    }

    @Test func `of the body's peers one is taken away, and comes back`() throws {
        var agent = Agent()
        _ = try agent.take(.putUpstream("shop", whole([peer("a", 1), peer("b", 1)])))
        #expect(try agent.take(.removePeer(a)).outcome == .gone && agent.peers() == ["b": 1])
        #expect(throws: DefinitionRefusal.self) { try agent.take(.removePeer(a)) }
        #expect(try agent.take(.addPeer(upstream: "shop", peer("a", 7))).outcome == .made)
        #expect(agent.peers() == ["a": 7, "b": 1])
        #expect(try agent.take(.removePeer(a)).outcome == .gone && agent.peers() == ["b": 1])
        let monitor = DefinitionOrder.removeMonitor(upstream: "shop", id: "tcp")
        #expect(try agent.take(monitor).outcome == .gone)
        #expect(agent.catalogue.monitor("tcp", in: "shop") == nil)
        _ = try agent.take(.putUpstream("shop", whole([peer("a", 1)])))
        #expect(agent.peers() == ["a": 1] && agent.catalogue.monitor("tcp", in: "shop") != nil)
    }

    @Test func `all orders of hearing end with the same`() {
        let heard: [(LiveKey, LiveDefinition?)] = [
            (
                .upstream("shop"),
                LiveDefinition(whole([peer("a", 1), peer("b", 1)]), generation: 2)
            ),
            (.peer(a), LiveDefinition(peer("a", 5), generation: 2)),
            (
                .peer(PeerKey(upstream: "shop", peer: "b")),
                LiveDefinition(.null, generation: 2)
            ),
            (
                .peer(PeerKey(upstream: "shop", peer: "old")),
                LiveDefinition(peer("old", 1), generation: 1)
            ),
        ]
        for order in 0..<24 {
            var rest = heard
            var seed = order
            var agent = Agent()
            while !rest.isEmpty {
                let (key, definition) = rest.remove(at: seed % rest.count)
                seed /= rest.count + 1
                agent.hear(key, definition)
            }
            #expect(agent.peers() == ["a": 5], "order \(order)")
        }
    }

    @Test func `a change of an upstream is one list, in which who comes is before who goes`() throws
    {
        var agent = Agent()
        _ = try agent.take(.putUpstream("shop", whole([peer("a", 1)])))
        let changes = agent.hear(
            .upstream("shop"),
            LiveDefinition(whole([peer("b", 1)]), generation: 2)
        )
        let words = changes.map { change in
            switch change {
            case .peer(let key, _, _): "+\(key.peer)"
            case .peerGone(let key): "-\(key.peer)"
            default: "other"
            }
        }
        #expect(words == ["+b", "-a"])
    }

    @Test func `what is written under another name than its own is left out`() {
        var agent = Agent()
        agent.hear(.upstream("shop"), LiveDefinition(whole([]), generation: 1))
        agent.hear(
            .peer(PeerKey(upstream: "shop", peer: "r0")),
            LiveDefinition(peer("s1", 1), generation: 1)
        )
        agent.hear(
            .monitor(upstream: "shop", id: "x"),
            LiveDefinition(json(#"{"tcp":{"id":"y"}}"#), generation: 1)
        )
        #expect(agent.peers().isEmpty && agent.catalogue.monitors(of: "shop") == ["tcp"])
        let problems = agent.live.all(agent.catalogue).compactMap(\.problem)
        #expect(
            problems == [
                "expected the id 'x', which it is written under, saw 'y'",
                "expected the id 'r0', which it is written under, saw 's1'",
            ]
        )
    }

    @Test func `what makes no sense is counted until it is taken back`() {
        var agent = Agent()
        _ = agent.catalogue.set(
            .file,
            [
                MonitoredUpstream(
                    definition: UpstreamDefinition(name: "shop", peers: []),
                    monitors: []
                )
            ]
        )
        agent.hear(.peer(a), LiveDefinition(json(#"{"id":"a","address":"nowhere"}"#)))
        #expect(agent.live.ignored == 1 && agent.peers().isEmpty)
        agent.hear(.peer(a), LiveDefinition(peer("a", 1)))
        #expect(agent.live.ignored == 0 && agent.peers() == ["a": 1])
        agent.hear(.route("r"), LiveDefinition(json(#"{"path":5}"#)))
        #expect(agent.live.ignored == 1)
        agent.hear(.route("r"), nil)
        #expect(agent.live.ignored == 0)
    }

    @Test func `what has no upstream any more can be taken away, and is told`() throws {
        var agent = Agent()
        agent.hear(.peer(a), LiveDefinition(peer("a", 1)))
        let thing = try #require(agent.live.all(agent.catalogue).first)
        #expect(thing.problem == "no upstream is called 'shop' here")
        #expect(try agent.take(.removePeer(a)).outcome == .gone)
        #expect(agent.live.all(agent.catalogue).isEmpty)
    }

    @Test func `a route whose upstream has gone holds, and is told`() throws {
        var agent = Agent()
        agent.hear(.upstream("shop"), LiveDefinition(whole([peer("a", 1)]), generation: 1))
        agent.hear(.route("r"), LiveDefinition(json(#"{"path":"/shop","upstream":"shop"}"#)))
        let file = ListenerConfiguration(
            bind: .host("127.0.0.1", port: 80),
            mode: .http(routes: [RouteConfiguration(upstream: "web")])
        )
        #expect(agent.live.lostRoutes(among: ["web", "shop"]).isEmpty)
        #expect(agent.live.lostRoutes(among: ["web"]) == ["'r' to 'shop'"])
        guard case .http(let routes)? = agent.live.listeners(with: [file]).first?.mode else {
            Issue.record("expected a listener in mode http")
            return
        }
        #expect(routes.map(\.upstream) == ["shop", "web"])
        let told = agent.live.defined(with: [file], among: ["web"]).first
        #expect(told?.problem == "no upstream is called 'shop' here: its requests are answered 503")
        // It is in force, and diff does not say otherwise.
        let thing = try #require(agent.live.all(agent.catalogue).first { $0.key == .route("r") })
        #expect(!thing.isLeftOut)
        let words =
            #"[{"kind":"route","name":"r","body":{},"problem":"answered 503","left_out":false},"#
            + #"{"kind":"peer","name":"a/b","body":{},"problem":"nonsense","left_out":true}]"#
        let lines = DiffCommand.lines(try JSON(parsing: Array(words.utf8)).items ?? [])
        #expect(
            lines == [
                "! route r: {}", "    answered 503", "! peer a/b: {}", "    left out: nonsense",
            ]
        )
    }

    /// A store tells of definitions in any order.
    @Test func `peers come in the order in which they were defined, over restarts too`() {
        let ids = ["d", "a", "c", "b"]
        let askings = ids.enumerated().map { index, id in
            Asking<LiveDefinition>(
                .peer(PeerKey(upstream: "web", peer: id)),
                LiveDefinition(peer(id, 1)),
                since: WallTime(milliseconds: Int64(1_000 + index))
            )
        }
        for order in [
            askings, Array(askings.reversed()), [askings[2], askings[0], askings[3], askings[1]],
        ] {
            var agent = Agent()
            let web = UpstreamDefinition(name: "web", peers: [])
            _ = agent.catalogue.set(.file, [MonitoredUpstream(definition: web, monitors: [])])
            var changes: [CatalogueChange] = []
            for asking in order { changes += agent.live.hear(asking, &agent.catalogue).changes }
            let seen = agent.live.ordered(changes).compactMap { change -> String? in
                if case .peer(let key, _, was: nil) = change { key.peer } else { nil }
            }
            #expect(seen == ids)
        }
    }

    /// Whoever hears of a peer before its upstream can only drop it.
    @Test func `peers of several upstreams come after their own, whatever order they are told in`()
    {
        let names = ["a", "b", "c", "d"]
        let askings = names.enumerated().flatMap { index, name in
            [
                Asking<LiveDefinition>(
                    .upstream(name),
                    LiveDefinition(whole([peer("y", 1), peer("x", 2)]), generation: 1),
                    since: WallTime(milliseconds: Int64(1_000 + index))
                ),
                Asking<LiveDefinition>(
                    .peer(PeerKey(upstream: name, peer: "w")),
                    LiveDefinition(peer("w", 3), generation: 1),
                    since: WallTime(milliseconds: Int64(2_000 + index))
                ),
            ]
        }
        for order in [
            askings, Array(askings.reversed()),
            askings.filter { $0.key.field.hasSuffix("w") } + askings,
        ] {
            var agent = Agent()
            var changes: [CatalogueChange] = []
            for asking in order { changes += agent.live.hear(asking, &agent.catalogue).changes }
            var there: [String: Set<String>] = [:]
            for change in agent.live.ordered(changes) {
                switch change {
                case .upstream(let upstream, was: _): there[upstream.name, default: []] = []
                case .peer(let key, _, was: nil): there[key.upstream]?.insert(key.peer)
                default: break
                }
            }
            #expect(there.count == names.count)
            #expect(there.values.allSatisfy { $0 == ["w", "x", "y"] }, "\(there)")
        }
    }

    @Test func `a body that is too large for one record is refused`() {
        var agent = Agent()
        let many = (0..<200).map { peer("peer-with-a-name-\($0)", 1) }
        #expect(throws: DefinitionRefusal.self) {
            try agent.take(.putUpstream("shop", whole(many)))
        }
    }
}
