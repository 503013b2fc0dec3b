// What every registered balancer promises, whatever it chooses by.

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

/// Candidates as a pool would list them, and picks among them.
struct CandidateField {
    var candidates: [Candidate]

    init(weights: [Int]) {
        candidates = weights.enumerated().map { index, weight in
            var hash = StableHash()
            hash.combine("10.0.0.\(index):80")
            return Candidate(
                peer: Int32(index),
                weight: Int32(weight * 100),
                identity: hash.value,
                order: Int32(index)
            )
        }
    }

    /// The peer chosen, or -1. Who chooses hears of whoever is listed now, and nothing stays of it: two
    /// fields may take turns with one balancer.
    mutating func choose(_ balancer: Balancer, _ pick: Pick = Pick()) -> Int32 {
        candidates.withUnsafeMutableBufferPointer { all in
            for place in all.indices { balancer.listed(all, at: place) }
            defer { for candidate in all { balancer.unlisted(candidate) } }
            let place = balancer.choose(all, for: pick)
            return place < 0 ? -1 : all[place].peer
        }
    }
}

/// A pool with one upstream, changed as the control plane changes it.
struct Crowd: ~Copyable {
    private(set) var pool = PeerPool()

    init(_ balance: String, _ settings: [Setting.Entry] = []) {
        let definition = BalanceDefinition(name: balance, settings: settings)
        pool.set(0, UpstreamSettings(balance: definition, closes: .keep))
    }

    deinit { pool.destroy() }

    mutating func set(
        _ peer: Int,
        weight: Double = 1,
        isUp: Bool = true,
        isBackup: Bool = false,
        isInPanic: Bool = true,
        isNear: Bool = false,
        most: Int? = nil
    ) {
        let snapshot = PeerSnapshot(
            identity: PeerSnapshot.identity(of: "10.0.0.\(peer):80"),
            address: SocketAddress(.host("10.0.0.1", port: 80)),
            centiweight: Int((weight * 100).rounded()),
            isAvailable: isUp && weight > 0,
            isDown: !isUp,
            isEligibleInPanic: isInPanic && weight > 0,
            isBackup: isBackup,
            isNear: isNear,
            maxConnections: most
        )
        _ = pool.set(Int32(peer), upstream: 0, snapshot)
    }

    mutating func remove(_ peer: Int) { pool.remove(Int32(peer)) }
    func setPanic(_ isPanic: Bool) { pool.setPanic(0, isPanic) }
    func count(_ peer: Int, _ change: Int) { pool.count(Int32(peer), Int32(change)) }

    /// The peer chosen for the key of this number, or -1.
    func choose(_ key: Int = 0, tried: [Int] = []) -> Int {
        var pick = Pick(key: RequestKey.hash("client \(key)".utf8))
        for peer in tried { pick.tried.insert(Int32(peer)) }
        return Int(PeerPool.choose(pool.upstreams, &pick))
    }

    /// How often each peer is chosen by so many requests, each of them under way for a while.
    func shares(_ count: Int, underWay: Int = 0) -> [Int: Int] {
        var shares: [Int: Int] = [:]
        var busy: [Int] = []
        for key in 0..<count {
            let peer = choose(key)
            shares[peer, default: 0] += 1
            if peer < 0 { continue }
            self.count(peer, 1)
            busy.append(peer)
            if busy.count > underWay { self.count(busy.removeFirst(), -1) }
        }
        for peer in busy { self.count(peer, -1) }
        return shares
    }

    var balancer: Balancer? { pool.upstreams[0].primary.balancer?.takeUnretainedValue() }
}

func makeBalancer(
    _ name: String,
    _ settings: [(String, TestSetting)] = []
) throws(SettingError) -> Balancer {
    let entries = settings.enumerated().map { index, entry in
        Setting.Entry(
            key: entry.0,
            position: Position(file: TestSetting.file, line: index + 1, column: 1),
            value: entry.1.setting(line: index + 1)
        )
    }
    return try BalancerRegistry.make(
        BalanceDefinition(name: name, settings: entries),
        path: "balance"
    )
}

@Suite struct BalancerContractTests {
    @Test(arguments: BalancerRegistry.names)
    func `a tried peer is never chosen again, and every other one is found`(name: String) throws {
        let balancer = try makeBalancer(name)
        for count in 0...6 {
            for tried in 0..<(1 << count) {
                var field = CandidateField(weights: (0..<count).map { $0 % 3 + 1 })
                var pick = Pick()
                for peer in 0..<count where tried & (1 << peer) != 0 {
                    pick.tried.insert(Int32(peer))
                }
                for key in 0..<20 {
                    pick.key = UInt64(key) &* 0x9E37_79B9_7F4A_7C15
                    let chosen = field.choose(balancer, pick)
                    if pick.tried.count == count {
                        #expect(chosen == -1)
                    } else {
                        #expect(chosen >= 0 && !pick.tried.contains(chosen))
                    }
                }
            }
        }
    }

    @Test(arguments: BalancerRegistry.names)
    func `a peer that is full is not chosen`(name: String) throws {
        let balancer = try makeBalancer(name)
        var field = CandidateField(weights: [1, 1, 1])
        field.candidates[0].maxInFlight = 2
        field.candidates[0].inFlight = 2
        field.candidates[1].maxInFlight = 2
        field.candidates[1].inFlight = 1
        for key in 0..<200 {
            #expect(field.choose(balancer, Pick(key: UInt64(key) &* 0x9E37_79B9)) != 0)
        }
        for index in field.candidates.indices {
            field.candidates[index].maxInFlight = 1
            field.candidates[index].inFlight = 1
        }
        #expect(field.choose(balancer) == -1)
    }

    @Test(arguments: BalancerRegistry.names)
    func `the number of candidates may change from pick to pick`(name: String) throws {
        let balancer = try makeBalancer(name)
        for count in [5, 1, 7, 0, 2, 6] {
            var field = CandidateField(weights: Array(repeating: 1, count: count))
            for key in 0..<10 {
                let chosen = field.choose(balancer, Pick(key: UInt64(key)))
                #expect(count == 0 ? chosen == -1 : (0..<Int32(count)).contains(chosen))
            }
        }
    }

    @Test(arguments: BalancerRegistry.names)
    func `a setting that it does not take is refused by name`(name: String) throws {
        let error = #expect(throws: SettingError.self) {
            try makeBalancer(name, [("wieght", "5")])
        }
        #expect(error?.message.contains("wieght") == true, "\(String(describing: error))")
    }

    @Test func `an unknown balancer is refused with the nearest name`() {
        let error = #expect(throws: SettingError.self) { try makeBalancer("least-conections") }
        #expect(error?.message.contains("least-connections") == true)
    }

    @Test func `names are unique and sorted`() {
        #expect(Set(BalancerRegistry.names).count == BalancerRegistry.names.count)
        #expect(BalancerRegistry.names == BalancerRegistry.names.sorted())
    }

    @Test func `more peers than can be remembered as tried do no harm`() {
        var tried = Tried()
        for peer in 0..<20 {
            tried.insert(Int32(peer))
            tried.insert(Int32(peer))
        }
        #expect(tried.count == Tried.capacity)
        #expect(tried.last == Int32(Tried.capacity - 1))
    }
}
