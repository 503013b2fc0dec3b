// Does the API take the words of the file, and refuse what the file would refuse, in the same words?

import Checks
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Settings

@Suite struct LiveReaderTests {
    private func mistakes<Value>(
        _ body: () throws(ConfigurationError) -> Value
    ) -> [String] {
        do throws(ConfigurationError) {
            _ = try body()
            return []
        } catch {
            return error.mistakes.map(\.description)
        }
    }

    private func json(_ text: String) throws -> JSON { try JSON(parsing: Array(text.utf8)) }

    @Test func `a peer is a map or a line of nginx's words`() throws {
        let reader = LiveReader()
        let map = try reader.peer(
            try json(#"{"address": "10.0.0.1:80", "weight": 3, "max-fails": 0, "zone": "a"}"#)
        )
        #expect(map.id == "10.0.0.1:80" && map.weight == 3 && map.maxFails == 0)
        #expect(map.zone == "a")
        let line = try reader.peer(try json(#""10.0.0.1:80 weight=3 backup""#))
        #expect(line.isBackup && line.weight == 3)
        let body = try json(#"{"adress": "10.0.0.1:80", "weight": 400}"#)
        #expect(
            mistakes { () throws(ConfigurationError) in try reader.peer(body) } == [
                "body: peer has no setting 'adress'; did you mean 'address'?",
                "body: peer.weight: expected a whole number from 1 to 256, saw '400'",
                "body: peer: expected 'address', saw no such key",
            ]
        )
        // A program may know no other numbers than 3.0.
        #expect(
            try reader.peer(try json(#"{"address": "10.0.0.1:80", "weight": 3.0}"#)).weight == 3
        )
        let nameless = try json(#"{"address": "10.0.0.1:80", "id": ""}"#)
        #expect(
            mistakes { () throws(ConfigurationError) in try reader.peer(nameless) } == [
                "body: peer.id: expected 1 to 264 letters without spaces, saw ''"
            ]
        )
        let typed = try json(#"{"address": "10.0.0.1:80", "id": true, "zone": 5}"#)
        #expect(
            mistakes { () throws(ConfigurationError) in try reader.peer(typed) } == [
                "body: peer.id: expected a text, saw 'true'",
                "body: peer.zone: expected a text, saw '5'",
            ]
        )
        for odd in ["5", "[]", "null", "true"] {
            let body = try json(odd)
            #expect(
                mistakes { () throws(ConfigurationError) in
                    try reader.parts(ofUpstream: "web", body)
                }.count == 1,
                "\(odd)"
            )
        }
        for odd in ["5", "[]", "null", "true"] {
            let body = try json(odd)
            #expect(
                mistakes { () throws(ConfigurationError) in try reader.peer(body) }.count == 1,
                "\(odd)"
            )
        }
    }

    @Test func `what a body does not mention of a peer is what the file says`() throws {
        var file = PeerDefinition(id: "b", address: .host("10.0.0.2", port: 80), weight: 7)
        file.isBackup = true
        file.maxFails = 5
        let body = try json(#"{"id": "b", "address": "10.0.0.3:80", "max_fails": 2}"#)
        let peer = try LiveReader().peer(body, over: file)
        #expect(peer.address == .host("10.0.0.3", port: 80))
        #expect(peer.weight == 7 && peer.isBackup && peer.maxFails == 2)
    }

    @Test func `an upstream is laid over the file's, setting by setting`() throws {
        var file = Setting(
            try json(#"{"balance": "ip-hash", "slow-start": "10s", "eject": {"failures": 7}}"#),
            place: "muster.yaml"
        )
        file.position = Position(file: "muster.yaml", line: 1, column: 1)
        let reader = LiveReader(settings: ["web": file])
        let body = try json(#"{"slow-start": "5s", "eject": {"time": "20s"}}"#)
        let web = try reader.parts(ofUpstream: "web", body).definition
        #expect(web.balance.name == "ip-hash" && web.slowStart == .seconds(5))
        #expect(web.eject.failures == 7 && web.eject.time == .seconds(20))
        let other = try reader.parts(ofUpstream: "other", body).definition
        #expect(other.balance.name == "round-robin")
    }

    @Test func `a whole upstream comes apart, and every mistake in it is told`() throws {
        let reader = LiveReader()
        let parts = try reader.parts(
            ofUpstream: "shop",
            try json(
                #"""
                {"balance": "random-two", "peers": ["10.0.0.1:80", {"address": "10.0.0.2:80"}],
                 "monitors": ["tcp", {"http": {"path": "/", "id": "page"}}]}
                """#
            )
        )
        #expect(parts.definition.name == "shop" && parts.definition.balance.name == "random-two")
        #expect(parts.peers.map(\.definition.id) == ["10.0.0.1:80", "10.0.0.2:80"])
        #expect(parts.peers.map(\.body.text) == [#""10.0.0.1:80""#, #"{"address":"10.0.0.2:80"}"#])
        #expect(parts.monitors.map(\.definition.id) == ["tcp", "page"])
        let body = try json(
            #"{"balance": "randm", "peers": [{"address": "x"}], "monitors": ["tpc"], "x": 1}"#
        )
        let told = mistakes { () throws(ConfigurationError) in
            try reader.parts(ofUpstream: "a b", body)
        }
        #expect(told.count == 5, "\(told)")
        #expect(told.allSatisfy { $0.hasPrefix("body: upstreams.a b") })
    }

    @Test(arguments: [
        #"{"command": {"command": ["/bin/true"]}}"#, #"{"service": {"service": ["/bin/true"]}}"#,
    ])
    func `a program comes from the file alone, unless that says otherwise`(body: String) throws {
        let body = try json(body)
        let whole = try json(#"{"monitors": [\#(body.text)]}"#)
        let wary = LiveReader()
        for told in [
            mistakes { () throws(ConfigurationError) in try wary.monitor(body) },
            mistakes { () throws(ConfigurationError) in try wary.parts(ofUpstream: "web", whole) },
        ] {
            #expect(
                told.count == 1 && told[0].contains("expected a kind that runs no program"),
                "\(told)"
            )
        }
        let trusting = LiveReader(allowsPrograms: true)
        _ = try trusting.monitor(body)
        _ = try trusting.parts(ofUpstream: "web", whole)
    }

    @Test func `a route leads to an upstream that is there`() throws {
        let reader = LiveReader()
        let body = try json(
            #"{"host": "Shop.Test", "path": "/a/", "upstream": "web", "listener": "127.0.0.1:80"}"#
        )
        let live = try reader.route(body, among: ["web"])
        #expect(live.route.host == "shop.test" && live.route.path == "/a")
        #expect(live.listener == .host("127.0.0.1", port: 80))
        #expect(
            mistakes { () throws(ConfigurationError) in try reader.route(body, among: ["wob"]) }
                == ["body: route.upstream: expected one of wob, saw 'web'; did you mean 'wob'?"]
        )
        // Where another agent took it the upstream may come later.
        #expect(try reader.route(body).route.upstream == "web")
    }

    @Test func `a place is found in the file and in what it includes`() throws {
        let folder = try TemporaryDirectory()
        let file = try folder.write(
            """
            include: more.yaml
            upstreams:
              web:
                peers:
                  - 10.0.0.1:80 weight=2
                  - {id: b, address: 10.0.0.2:80}
                monitors:
                  - tcp
                  - http: {path: /, id: page}
            """,
            to: "muster.yaml"
        )
        try folder.write("upstreams:\n  shop:\n    peers: [10.0.0.3:80]\n", to: "more.yaml")
        func line(_ upstream: String, peer: String? = nil, monitor: String? = nil) -> Int? {
            DefinitionPlace.find(file, upstream: upstream, peer: peer, monitor: monitor)?.line
        }
        #expect(line("web") == 3 && line("shop") == 2 && line("none") == nil)
        #expect(line("web", peer: "10.0.0.1:80") == 5 && line("web", peer: "b") == 6)
        #expect(line("web", peer: "c") == nil)
        #expect(line("web", monitor: "tcp") == 8 && line("web", monitor: "page") == 9)
        #expect(line("web", monitor: "http") == nil)
    }
}
