// Are upstreams read as they are meant, and refused where they cannot work?

import Health
import Proxy
import Settings
import Testing
import Vocabulary

/// As the registry has them, in its order.
let balancers = BalancerRegistry.names.joined(separator: ", ")

@Suite struct PeerTests {
    private func peers(_ lines: String) throws -> [PeerDefinition] {
        try load("upstreams:\n  web:\n    peers:\n" + lines).upstreams[0].definition.peers
    }

    private func peerComplaints(_ lines: String) throws -> [String] {
        try complaints("upstreams:\n  web:\n    peers:\n" + lines)
    }

    @Test func `takes nginx's words and a map alike`() throws {
        let words =
            "      - 127.0.0.1:1 weight=5 max_fails=3 fail_timeout=30s max_conns=9 backup down\n"
        let map = """
                  - address: 127.0.0.1:1
                    weight: 5
                    max-fails: 3
                    fail-timeout: 30s
                    max-connections: 9
                    backup: true
                    down: true
            """
        let expected = PeerDefinition(
            address: .host("127.0.0.1", port: 1),
            weight: 5,
            isBackup: true,
            isDisabled: true,
            maxFails: 3,
            failTimeout: .seconds(30),
            maxConnections: 9
        )
        #expect(try peers(words) == [expected])
        #expect(try peers(map) == [expected])
    }

    @Test func `takes nginx's spelling in a map and its bare seconds`() throws {
        let peer = try peers(
            "      - { address: 'a:1', max_fails: 0, fail_timeout: 7 }\n"
        )[0]
        #expect(peer.maxFails == 0)
        #expect(peer.failTimeout == .seconds(7))
        let line = try peers("      - a:1 fail_timeout=7 max_conns=0\n")[0]
        #expect(line.failTimeout == .seconds(7))
        #expect(line.maxConnections == nil)
    }

    @Test func `takes one of two spellings`() throws {
        let found = try peerComplaints(
            "      - { address: 'a:1', max_fails: 0, max-fails: 1, fail-timeout: 1s, fail_timeout: 2 }\n"
        )
        #expect(
            found == [
                "muster.yaml:4:38: upstreams.web.peers[0].max_fails: expected 'max-fails' or 'max_fails', "
                    + "which mean the same, saw both: the other at muster.yaml:4:52",
                "muster.yaml:4:87: upstreams.web.peers[0].fail_timeout: expected 'fail-timeout' or "
                    + "'fail_timeout', which mean the same, saw both: the other at muster.yaml:4:69",
            ]
        )
    }

    @Test func `a panic threshold where there is no panic is told of`() throws {
        let text = "upstreams:\n  web: { peers: [a:1], panic-threshold: 40%, all-down: "
        #expect(try load(text + "fail-open }").warnings == [])
        #expect(
            try load(text + "fail-closed }").warnings.map(\.message) == [
                "upstreams.web.panic-threshold: has no effect under 'all-down: "
                    + "fail-closed', which never panics; leave one of the two out"
            ]
        )
    }

    @Test func `a port beside an address that has one is a mistake`() throws {
        let text = "upstreams: { web: { peers: [a:1], monitors: [tcp: { port: 80, address: \"b"
        #expect(try load(text + "\" }] } }").upstreams.count == 1)
        #expect(
            try complaints(text + ":81\" }] } }") == [
                "muster.yaml:1:59: upstreams.web.monitors[0].tcp.port: expected none beside the address "
                    + "'b:81', saw one: the address has a port already"
            ]
        )
    }

    @Test func `calls a peer after its address unless it has an id`() throws {
        let peers = try peers(
            """
                  - "[::1]:9001"
                  - unix:/run/app.sock weight=2
                  - { id: spare, address: app.example.com:80 }
            """
        )
        #expect(peers.map { $0.id } == ["[::1]:9001", "unix:/run/app.sock", "spare"])
        #expect(peers.map { $0.weight } == [1, 2, 1])
    }

    @Test func `points at the word in the line`() throws {
        let found = try peerComplaints(
            """
                  - 127.0.0.1:99999
                  - 127.0.0.1:2 wieght=2
                  - 127.0.0.1:3  weight=0 backup=yes
                  - "127.0.0.1:4 max_fails=x fail_timeout=soon"
                  - 127.0.0.1:5 weight=1 weight=2
            """
        )
        let words = "weight=, max_fails=, fail_timeout=, max_conns=, backup, down"
        #expect(
            found == [
                "muster.yaml:4:9: upstreams.web.peers[0]: expected a port from 1 to 65535, saw '99999'",
                "muster.yaml:5:21: upstreams.web.peers[1]: expected one of \(words), saw 'wieght=2'; did "
                    + "you mean 'weight='?",
                "muster.yaml:6:22: upstreams.web.peers[2].weight: expected a whole number from 1 to 256, "
                    + "saw '0'",
                "muster.yaml:6:31: upstreams.web.peers[2]: expected one of \(words), saw 'backup=yes'",
                "muster.yaml:7:22: upstreams.web.peers[3].max_fails: expected a whole number from 0 to "
                    + "1000000, saw 'x'",
                "muster.yaml:7:34: upstreams.web.peers[3].fail_timeout: expected a duration such as "
                    + "500ms, 2s or 5m, saw 'soon'",
                "muster.yaml:8:30: upstreams.web.peers[4].weight is written twice in one line",
            ]
        )
    }

    @Test func `refuses a peer twice, whichever way it is written`() throws {
        let found = try peerComplaints(
            """
                  - 127.0.0.1:1
                  - { address: "127.0.0.1:1" }
                  - { id: spare, address: "127.0.0.1:2" }
                  - { id: spare, address: "127.0.0.1:3" }
            """
        )
        #expect(
            found == [
                "muster.yaml:5:9: upstreams.web.peers[1]: peer '127.0.0.1:1' is written twice: first at "
                    + "muster.yaml:4:9",
                "muster.yaml:7:9: upstreams.web.peers[3]: peer 'spare' is written twice: first at "
                    + "muster.yaml:6:9",
            ]
        )
    }

    @Test func `wants an address`() throws {
        let found = try peerComplaints("      - { id: a }\n      - []\n      -\n")
        #expect(
            found == [
                "muster.yaml:4:9: upstreams.web.peers[0]: expected 'address', saw no such key",
                "muster.yaml:5:9: upstreams.web.peers[1]: expected host:port with nginx's words, or a "
                    + "map, saw a list",
                "muster.yaml:6:8: upstreams.web.peers[2]: expected host:port with nginx's words, or a "
                    + "map, saw nothing",
            ]
        )
    }
}

@Suite struct MonitorTests {
    private func monitorComplaints(_ lines: String) throws -> [String] {
        try complaints("upstreams:\n  web:\n    monitors:\n" + lines)
    }

    @Test func `takes a kind alone or with its settings`() throws {
        let monitors = try load(
            """
            upstreams:
              web:
                monitors:
                  - tcp
                  - http: { id: page, path: /, interval: 4s, required: false }
            """
        ).upstreams[0].monitors
        #expect(monitors.map { $0.id } == ["tcp", "page"])
        #expect(monitors.map { $0.kind } == ["tcp", "http"])
        #expect(monitors.map { $0.isRequired } == [true, false])
        #expect(monitors[1].schedule.interval == .seconds(4))
    }

    @Test func `refuses a timeout longer than the interval`() throws {
        #expect(
            try monitorComplaints("      - http: { interval: 1s, timeout: 2s }\n") == [
                "muster.yaml:4:40: upstreams.web.monitors[0].http.timeout: expected at most the "
                    + "interval of 1s, saw 2s"
            ]
        )
    }

    @Test func `refuses two monitors of one id`() throws {
        #expect(
            try monitorComplaints("      - tcp\n      - tcp: { interval: 9s }\n") == [
                "muster.yaml:5:9: upstreams.web.monitors[1]: monitor 'tcp' is written twice: first "
                    + "at muster.yaml:4:9; an 'id' tells them apart"
            ]
        )
    }

    @Test func `knows YAML's trap of settings that do not stand deep enough`() throws {
        #expect(
            try monitorComplaints("      - http:\n        path: /x\n") == [
                "muster.yaml:5:9: upstreams.web.monitors[0]: expected one kind of check with its "
                    + "settings, saw 2 keys; indent the settings below 'http:'"
            ]
        )
    }

    @Test func `offers the nearest kind`() throws {
        let found = try monitorComplaints("      - htpp: {}\n")
        #expect(found.count == 1)
        #expect(found[0].hasPrefix("muster.yaml:4:9: upstreams.web.monitors[0]: kind of check: "))
        #expect(found[0].hasSuffix("saw 'htpp'; did you mean 'http'?"))
    }

    @Test func `refuses a quorum larger than its voters`() throws {
        let found = try monitorComplaints(
            "      - http: { confirm: { agents: 1, quorum: 3 } }\n"
        )
        #expect(
            found == [
                "muster.yaml:4:47: upstreams.web.monitors[0].http.confirm.quorum: expected at most 2 "
                    + "votes (1 asked + 1 of the owner), saw 3: it could never be reached"
            ]
        )
    }

    @Test func `traffic counts failures, whatever the monitors probe`() throws {
        let peers = try load(
            """
            upstreams:
              web:
                peers:
                  - 127.0.0.1:1 max_fails=3 fail_timeout=10s
                  - { address: "127.0.0.1:3", max-fails: 5, fail-timeout: 30s }
                monitors:
                  - http: { interval: 20s }
            """
        ).upstreams[0].definition.peers
        #expect(peers.map(\.maxFails) == [3, 5])
        #expect(peers.map(\.failTimeout) == [.seconds(10), .seconds(30)])
    }
}
