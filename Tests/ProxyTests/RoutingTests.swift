// Does one change cost one change? What the control plane tells the workers, and what they make of it.

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Proxy

@Suite struct NumbersTests {
    @Test func `a number goes to another name only when every worker has let go of it`() {
        var numbers = Numbers<String>(limit: 10)
        #expect(numbers.take("a") == 0)
        #expect(numbers.take("b") == 1)
        #expect(numbers.take("a") == 0)
        #expect(numbers.retire("a", workers: 2) == 0)
        #expect(numbers["a"] == nil)
        #expect(numbers.name(of: 0) == nil)
        #expect(numbers.take("c") == 2, "0 is still in somebody's hands")
        numbers.release(0)
        #expect(numbers.take("d") == 3)
        numbers.release(0)
        #expect(numbers.take("e") == 0)
        #expect(numbers.name(of: 0) == "e")
    }

    @Test func `what was not retired cannot be released`() {
        var numbers = Numbers<String>(limit: 10)
        _ = numbers.take("a")
        numbers.release(0)
        numbers.release(7)
        #expect(numbers.take("b") == 1)
    }

    @Test func `a full table says so`() {
        var numbers = Numbers<Int>(limit: 3)
        #expect((0..<4).map { numbers.take($0) } == [0, 1, 2, nil])
        _ = numbers.retire(1, workers: 0)
        #expect(numbers.take(3) == 1)
    }
}

@Suite struct RoutingTests {
    private let settings = UpstreamSettings(balance: BalanceDefinition(), closes: .closeIdle)

    private func peers(_ count: Int, down: Set<Int> = []) -> [(PeerDefinition, PeerSnapshot)] {
        (0..<count).compactMap { number in
            let address = Address.host(
                "10.\(number >> 16).\(number >> 8 & 255).\(number & 255)",
                port: 80
            )
            let definition = PeerDefinition(id: "p\(number)", address: address)
            return (definition, .test("p\(number)", address, isDown: down.contains(number)))
        }
    }

    /// What a control plane would say when these are all peers of `web` there are.
    private struct Told {
        var routing = Routing()
        private var known: Set<String> = []
        private let settings = UpstreamSettings(balance: BalanceDefinition(), closes: .closeIdle)

        init(_ routing: Routing = Routing()) { self.routing = routing }

        mutating func bring(
            _ peers: [(PeerDefinition, PeerSnapshot)],
            isPanic: Bool = false
        ) -> [RoutingChange] {
            let wanted = Set(peers.map(\.0.id))
            var changes = routing.bring("web", settings, isPanic: isPanic)
            for (definition, snapshot) in peers {
                let key = PeerKey(upstream: "web", peer: definition.id)
                if let change = routing.bring(key, definition.address, snapshot) {
                    changes.append(change)
                }
            }
            return changes + remove(known.subtracting(wanted), then: wanted)
        }

        mutating func end() -> [RoutingChange] {
            remove(known, then: []) + routing.remove("web", workers: 2)
        }

        private mutating func remove(_ ids: Set<String>, then: Set<String>) -> [RoutingChange] {
            known = then
            return ids.compactMap {
                routing.remove(PeerKey(upstream: "web", peer: $0), workers: 2)
            }
        }
    }

    @Test(arguments: [10, 10_000])
    func `one peer among many is one change`(count: Int) {
        var told = Told()
        #expect(told.bring(peers(count)).count == count + 1)
        #expect(told.bring(peers(count)).isEmpty)
        #expect(told.bring(peers(count, down: [3])).map(\.word) == ["peer 3"])
        #expect(told.bring(peers(count, down: [3]), isPanic: true).map(\.word) == ["panic 0"])
        #expect(
            told.bring(peers(count + 1, down: [3]), isPanic: true).map(\.word) == [
                "peer \(count)"
            ]
        )
        #expect(
            told.bring(peers(count, down: [3]), isPanic: true).map(\.word) == ["gone \(count)"]
        )
    }

    @Test func `a view that did not change is not sent again`() throws {
        var told = Told()
        _ = told.bring(peers(2))
        let key = PeerKey(upstream: "web", peer: "p1")
        let address = Address.host("10.0.0.1", port: 80)
        #expect(told.routing.change(of: key, to: .test("p1", address)) == nil)
        #expect(
            told.routing.change(of: key, to: .test("p1", address, isDown: true))?.word == "peer 1"
        )
        #expect(told.routing.change(of: key, to: .test("p1", address, isDown: true)) == nil)
        #expect(told.routing.change(of: "web", isPanic: true)?.word == "panic 0")
        #expect(told.routing.change(of: "web", isPanic: true) == nil)
        let stranger = PeerKey(upstream: "web", peer: "p9")
        #expect(told.routing.change(of: stranger, to: .test("p9", address)) == nil)
    }

    @Test func `whoever is still told of goes before the upstream, and only once`() {
        var told = Told()
        _ = told.bring(peers(3))
        let first = PeerKey(upstream: "web", peer: "p0")
        #expect(told.routing.remove(first, workers: 2)?.word == "gone 0")
        let words = told.routing.remove("web", workers: 2).map(\.word)
        #expect(
            Set(words.dropLast()) == ["gone 1", "gone 2"] && words.last == "upstream gone 0",
            "\(words)"
        )
        #expect(told.routing.peerCount == 0)
        #expect(told.routing.remove("web", workers: 2).isEmpty)
    }

    @Test
    func `an upstream that is gone takes its peers along, and comes back under other numbers`() {
        var told = Told()
        _ = told.bring(peers(2))
        let words = told.end().map(\.word)
        #expect(Set(words.dropLast()) == ["gone 0", "gone 1"])
        #expect(words.last == "upstream gone 0")
        #expect(told.bring(peers(1)).map(\.word) == ["upstream 1", "peer 2"])
        for _ in 0..<2 {
            for number: Int32 in 0...1 { told.routing.release(.peer(number)) }
            told.routing.release(.upstream(0))
        }
        let other = told.routing.bring("api", settings, isPanic: false)
        #expect(other.first?.word == "upstream 0")
    }

    @Test func `peers beyond the table are told of by name`() {
        var told = Told(Routing(upstreamsMax: 1, peersMax: 2))
        #expect(told.bring(peers(3)).count == 3)
        #expect(
            told.routing.takeProblems() == [
                "peer web/p2 gets no requests: the proxy knows at most 2 peers"
            ]
        )
        #expect(told.routing.takeProblems().isEmpty)
        #expect(told.routing.bring("api", settings, isPanic: false).isEmpty)
        #expect(
            told.routing.takeProblems() == [
                "upstream api gets no requests: the proxy knows at most 1 upstreams"
            ]
        )
    }

    @Test func `names are asked for as long as a peer has one`() {
        var told = Told()
        func named(_ host: String) -> [(PeerDefinition, PeerSnapshot)] {
            let address = Address.host(host, port: 80)
            return [(PeerDefinition(id: "p", address: address), .test("p", address))]
        }
        _ = told.bring(named("a.example"))
        #expect(told.routing.names == [.host("a.example", port: 80)])
        #expect(
            told.routing.peers(at: .host("a.example", port: 80)) == [
                PeerKey(upstream: "web", peer: "p")
            ]
        )
        _ = told.bring(named("b.example"))
        #expect(told.routing.names == [.host("b.example", port: 80)])
        _ = told.bring(named("10.0.0.1"))
        #expect(told.routing.names.isEmpty)
        _ = told.bring(named("c.example"))
        _ = told.end()
        #expect(told.routing.names.isEmpty)
    }
}

@Suite struct PeerPoolTests {
    /// Thousands of changes by chance against lists that are made anew each time.
    @Test(arguments: 1...20) func `a pool lists whom a list made anew would`(seed: Int) {
        var dice = Dice(seed: UInt64(seed))
        var pool = PeerPool()
        defer { pool.destroy() }
        pool.set(0, UpstreamSettings(balance: BalanceDefinition(), closes: .keep))
        var model: [Int32: PeerSnapshot] = [:]
        for _ in 0..<2_000 {
            let number = Int32.random(in: 0..<12, using: &dice)
            switch Int.random(in: 0..<8, using: &dice) {
            case 0 where model[number] != nil:
                model[number] = nil
                pool.remove(number)
            case 1 where model[number] != nil:
                // What is in flight stays with the peer, wherever its candidate moves.
                pool.count(number, 1)
                pool.count(number, -1)
            default:
                var snapshot = PeerSnapshot.test("p\(number)", .host("10.0.0.1", port: 80))
                snapshot.isAvailable = Bool.random(using: &dice)
                snapshot.isEligibleInPanic = snapshot.isAvailable || Bool.random(using: &dice)
                snapshot.isBackup = Int.random(in: 0..<4, using: &dice) == 0
                snapshot.centiweight = Int.random(in: 0...300, using: &dice)
                model[number] = snapshot
                _ = pool.set(number, upstream: 0, snapshot)
            }
            let upstream = pool.upstreams[0]
            for (tier, isBackup) in [(upstream.primary, false), (upstream.backup, true)] {
                for isPanic in [false, true] {
                    let listed = tier.candidates(isPanic: isPanic)
                    let expected = model.filter {
                        $0.value.isBackup == isBackup
                            && (isPanic ? $0.value.isEligibleInPanic : $0.value.isAvailable)
                    }
                    #expect(Set(listed.map(\.peer)) == Set(expected.keys))
                    #expect(listed.count == expected.count)
                    for (place, candidate) in listed.enumerated() {
                        #expect(pool.peers[Int(candidate.peer)].place == Int32(place))
                        let weight = expected[candidate.peer]?.centiweight ?? -1
                        #expect(candidate.weight == Int32(max(weight, 1)))
                        #expect(candidate.inFlight == 0)
                    }
                }
            }
        }
    }

    @Test func `a balancer's state goes with its peer when others come and go`() throws {
        var pool = PeerPool()
        defer { pool.destroy() }
        pool.set(0, UpstreamSettings(balance: BalanceDefinition(), closes: .keep))
        let address = Address.host("10.0.0.1", port: 80)
        for number: Int32 in 0..<4 {
            _ = pool.set(number, upstream: 0, .test("p\(number)", address))
        }
        var pick = Pick()
        let first = PeerPool.choose(pool.upstreams, &pick)
        var before: [Int32: Int64] = [:]
        for candidate in pool.upstreams[0].primary.candidates(isPanic: false) {
            before[candidate.peer] = candidate.current
        }
        let other = try #require((0..<4).first { $0 != first })
        _ = pool.set(other, upstream: 0, .test("p\(other)", address, isDown: true))
        for candidate in pool.upstreams[0].primary.candidates(isPanic: true) {
            #expect(candidate.current == before[candidate.peer])
        }
    }

    @Test func `an upstream that is gone chooses nobody`() {
        var pool = PeerPool()
        defer { pool.destroy() }
        pool.set(2, UpstreamSettings(balance: BalanceDefinition(), closes: .keep))
        _ = pool.set(0, upstream: 2, .test("p", .host("10.0.0.1", port: 80)))
        var pick = Pick()
        #expect(PeerPool.choose(pool.upstreams + 2, &pick) == 0)
        #expect(PeerPool.choose(pool.upstreams, &pick) == -1)
        pool.remove(0)
        pool.destroy(2)
        #expect(PeerPool.choose(pool.upstreams + 2, &pick) == -1)
    }
}

extension PeerSnapshot {
    fileprivate static func test(
        _ id: String,
        _ address: Address,
        isDown: Bool = false
    ) -> PeerSnapshot {
        PeerSnapshot(
            identity: identity(of: id),
            address: SocketAddress(address),
            centiweight: 100,
            isAvailable: !isDown,
            isDown: isDown,
            isEligibleInPanic: true,
            isBackup: false,
            maxConnections: nil
        )
    }
}

extension RoutingChange {
    fileprivate var word: String {
        switch self {
        case .upstream(let number, _): "upstream \(number)"
        case .panic(let number, _): "panic \(number)"
        case .upstreamGone(let number): "upstream gone \(number)"
        case .peer(let number, _, _): "peer \(number)"
        case .peerGone(let number): "gone \(number)"
        case .stale(let hosts): "stale \(hosts)"
        }
    }
}
