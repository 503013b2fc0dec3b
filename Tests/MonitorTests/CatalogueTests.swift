// Is what changed all that is told, whoever defined it? Against a catalogue that is made anew each time.

import Checks
import Health
import Testing
import Vocabulary

@testable import Monitor

@Suite struct CatalogueTests {
    private func upstream(
        _ name: String,
        _ peers: [String: Int],
        monitors: [String] = ["http"],
        slowStart: Nanoseconds = .zero
    ) -> MonitoredUpstream {
        MonitoredUpstream(
            definition: UpstreamDefinition(
                name: name,
                peers: peers.sorted { $0.key < $1.key }.map { peer($0.key, $0.value) },
                slowStart: slowStart
            ),
            monitors: monitors.map(monitor)
        )
    }

    private func peer(_ id: String, _ weight: Int) -> PeerDefinition {
        PeerDefinition(id: id, address: .host("10.0.0.1", port: 80), weight: weight)
    }

    private func monitor(_ id: String) -> MonitorDefinition {
        MonitorDefinition(
            id: id,
            kind: "http",
            check: ScriptedCheck(Script { _ in .pass }),
            schedule: Schedule(interval: .seconds(1), timeout: .milliseconds(500)),
            thresholds: Thresholds(rise: 2, fall: 3)
        )
    }

    @Test func `everything is new at first, and nothing the second time`() {
        var catalogue = Catalogue()
        let wanted = [upstream("web", ["a": 1, "b": 1]), upstream("api", ["c": 1])]
        let words = catalogue.set(.file, wanted).map(\.word)
        #expect(
            words == [
                "upstream web", "monitor web/http", "peer web/a 1", "peer web/b 1",
                "upstream api", "monitor api/http", "peer api/c 1",
            ]
        )
        #expect(catalogue.set(.file, wanted).isEmpty)
        #expect(catalogue.peerCount == 3)
        #expect(catalogue.upstreamCount == 2)
    }

    @Test func `all that one source says of an upstream changes in one go`() {
        var catalogue = Catalogue()
        _ = catalogue.set(.file, [upstream("web", ["a": 1])])
        func lay(_ name: String, _ wanted: MonitoredUpstream?) -> [String] {
            catalogue.set(
                .api,
                upstream: name,
                wanted?.definition,
                peers: wanted?.definition.peers ?? [],
                monitors: wanted?.monitors ?? []
            ).map(\.word)
        }
        let slow = upstream("web", [:], monitors: [], slowStart: .seconds(5))
        #expect(lay("web", slow) == ["upstream web"])
        #expect(lay("web", slow).isEmpty)
        #expect(catalogue.peerCount == 1)
        #expect(catalogue.source(of: "web") == .api && catalogue.has(.file, upstream: "web"))
        #expect(lay("web", nil) == ["upstream web"])
        // Whoever comes is there before whoever goes has left.
        _ = lay("shop", upstream("shop", ["x": 1, "y": 1]))
        #expect(
            lay("shop", upstream("shop", ["y": 2, "z": 1], monitors: ["tcp"])) == [
                "monitor shop/tcp", "peer shop/y 2", "peer shop/z 1", "gone shop/x",
                "monitor gone shop/http",
            ]
        )
        // Peers that wait for their upstream come with it, and go with it.
        let key = PeerKey(upstream: "late", peer: "x")
        #expect(catalogue.set(.api, key, peer("x", 1)).isEmpty)
        #expect(
            lay("late", upstream("late", ["x": 1], monitors: []))
                == ["upstream late", "peer late/x 1"]
        )
        #expect(lay("late", nil) == ["gone late/x", "upstream gone late"])
        #expect(catalogue.peer(key, of: .api) == nil)
    }

    @Test func `one peer among ten thousand is one change`() {
        var catalogue = Catalogue()
        var peers: [String: Int] = [:]
        for number in 0..<10_000 { peers["p\(number)"] = 1 }
        #expect(catalogue.set(.file, [upstream("web", peers)]).count == 10_002)
        peers["p4711"] = 2
        #expect(catalogue.set(.file, [upstream("web", peers)]).map(\.word) == ["peer web/p4711 2"])
        peers["p4711"] = nil
        #expect(catalogue.set(.file, [upstream("web", peers)]).map(\.word) == ["gone web/p4711"])
        peers["new"] = 1
        #expect(catalogue.set(.file, [upstream("web", peers)]).map(\.word) == ["peer web/new 1"])
    }

    @Test func `what the API says wins over the file, and the file comes back after it`() {
        var catalogue = Catalogue()
        _ = catalogue.set(.file, [upstream("web", ["a": 1])])
        let key = PeerKey(upstream: "web", peer: "a")
        #expect(catalogue.set(.api, key, peer("a", 5)).map(\.word) == ["peer web/a 5"])
        #expect(catalogue.source(of: key) == .api)
        #expect(catalogue.set(.file, [upstream("web", ["a": 3])]).isEmpty)
        #expect(catalogue.set(.api, key, nil).map(\.word) == ["peer web/a 3"])
        #expect(catalogue.source(of: key) == .file)
        #expect(catalogue.set(.file, [upstream("web", [:])]).map(\.word) == ["gone web/a"])
        #expect(catalogue.source(of: key) == nil)
    }

    @Test func `what is added to an upstream that is not there waits for it`() {
        var catalogue = Catalogue()
        let key = PeerKey(upstream: "web", peer: "x")
        #expect(catalogue.set(.api, key, peer("x", 1)).isEmpty)
        #expect(
            catalogue.set(.file, [upstream("web", [:], monitors: [])]).map(\.word)
                == ["upstream web", "peer web/x 1"]
        )
        #expect(
            Set(catalogue.set(.file, []).map(\.word)) == ["gone web/x", "upstream gone web"]
        )
    }

    @Test func `monitors come and go each by itself`() {
        var catalogue = Catalogue()
        _ = catalogue.set(.file, [upstream("web", ["a": 1])])
        #expect(
            catalogue.set(.file, [upstream("web", ["a": 1], monitors: ["http", "tcp"])]).map(\.word)
                == ["monitor web/tcp"]
        )
        let added = catalogue.set(.api, upstream: "web", monitor: "grpc", monitor("grpc"))
        #expect(added.map(\.word) == ["monitor web/grpc"])
        #expect(
            catalogue.set(.file, [upstream("web", ["a": 1], monitors: ["tcp"])]).map(\.word)
                == ["monitor gone web/http"]
        )
        #expect(
            catalogue.set(
                .file,
                [upstream("web", ["a": 1], monitors: ["tcp"], slowStart: .seconds(1))]
            )
            .map(\.word) == ["upstream web"]
        )
    }

    /// Whoever follows the changes has at every moment what a catalogue made anew would have.
    @Test(arguments: 1...30) func `following the changes is knowing the whole`(seed: Int) {
        var dice = Dice(seed: UInt64(seed))
        var catalogue = Catalogue()
        var followed = Followed()
        let sources: [CatalogueSource] = [.file, .foreign("old"), .api]
        var lists: [CatalogueSource: [MonitoredUpstream]] = [:]
        for _ in 0..<60 {
            let source = sources[Int.random(in: 0..<3, using: &dice)]
            var list: [MonitoredUpstream] = []
            for name in ["u", "v", "w"] where Bool.random(using: &dice) {
                var peers: [String: Int] = [:]
                for id in ["a", "b", "c", "d"] where Bool.random(using: &dice) {
                    peers[id] = Int.random(in: 1...3, using: &dice)
                }
                let monitors = ["http", "tcp"].filter { _ in Bool.random(using: &dice) }
                list.append(upstream(name, peers, monitors: monitors))
            }
            lists[source] = list
            for change in catalogue.set(source, list) { followed.take(change) }
            // The later source wins, thing by thing.
            var expected = Followed()
            for source in sources.reversed() {
                for upstream in lists[source] ?? [] { expected.fill(upstream) }
            }
            #expect(followed == expected)
        }
    }
}

/// What somebody knows who heard nothing but changes.
private struct Followed: Equatable {
    var upstreams: Set<String> = []
    var monitors: Set<String> = []
    var peers: [PeerKey: Int] = [:]

    mutating func take(_ change: CatalogueChange) {
        switch change {
        case .upstream(let definition, _):
            upstreams.insert(definition.name)
            #expect(definition.peers.isEmpty)
        case .upstreamGone(let name):
            #expect(upstreams.remove(name) != nil)
            #expect(!peers.keys.contains { $0.upstream == name }, "peers go first")
        case .monitor(let upstream, let monitor, _): monitors.insert("\(upstream)/\(monitor.id)")
        case .monitorGone(let upstream, let id):
            #expect(monitors.remove("\(upstream)/\(id)") != nil)
        case .peer(let key, let peer, _):
            #expect(upstreams.contains(key.upstream), "its upstream comes first")
            peers[key] = peer.weight
        case .peerGone(let key): #expect(peers.removeValue(forKey: key) != nil)
        }
    }

    mutating func fill(_ upstream: MonitoredUpstream) {
        let name = upstream.definition.name
        upstreams.insert(name)
        for monitor in upstream.monitors { monitors.insert("\(name)/\(monitor.id)") }
        for peer in upstream.definition.peers {
            let key = PeerKey(upstream: name, peer: peer.id)
            if peers[key] == nil { peers[key] = peer.weight }
        }
    }
}

extension DefinitionChange where Monitor == MonitorDefinition {
    fileprivate var word: String {
        switch self {
        case .upstream(let definition, _): "upstream \(definition.name)"
        case .upstreamGone(let name): "upstream gone \(name)"
        case .monitor(let upstream, let monitor, _): "monitor \(upstream)/\(monitor.id)"
        case .monitorGone(let upstream, let id): "monitor gone \(upstream)/\(id)"
        case .peer(let key, let peer, _): "peer \(key.upstream)/\(key.peer) \(peer.weight)"
        case .peerGone(let key): "gone \(key.upstream)/\(key.peer)"
        }
    }
}
