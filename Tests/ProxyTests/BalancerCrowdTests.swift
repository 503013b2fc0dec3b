// What does every registered balancer promise of a pool whose peers come, go, weigh more and less?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct BalancerCrowdTests {
    /// What shares are by, where all have room and nobody is better than the others.
    private enum Rule { case weight, equal, order }

    private static func rule(of name: String) -> Rule {
        switch name {
        case "unweighted-round-robin": .equal
        case "first": .order
        default: .weight
        }
    }

    private static let keyed = BalancerRegistry.names.filter { $0.hasSuffix("-hash") }

    private static func crowd(_ name: String, _ weights: [Double]) -> Crowd {
        var crowd = Crowd(name)
        for (peer, weight) in weights.enumerated() { crowd.set(peer, weight: weight) }
        return crowd
    }

    /// Whether shares are what the rule says of these weights.
    private func expectShares(
        of crowd: borrowing Crowd,
        _ weights: [Double],
        by name: String,
        _ place: SourceLocation = #_sourceLocation
    ) {
        let count = 12_000
        let shares = crowd.shares(count, underWay: 84)
        let rule = Self.rule(of: name)
        let wanted = weights.map { rule == .equal ? ($0 > 0 ? 1 : 0) : $0 }
        let total = wanted.reduce(0, +)
        for (peer, weight) in wanted.enumerated() {
            let seen = Double(shares[peer] ?? 0)
            let expected =
                rule == .order
                ? (peer == weights.firstIndex { $0 > 0 } ? Double(count) : 0)
                : Double(count) * weight / total
            #expect(
                // A tenth, and three deviations where chance decides.
                abs(seen - expected) <= expected / 10 + 3 * expected.squareRoot(),
                "\(name): peer \(peer) of \(weights): expected \(expected), saw \(seen)",
                sourceLocation: place
            )
        }
    }

    @Test(arguments: BalancerRegistry.names)
    func `shares follow weights, and weights that change`(name: String) {
        var crowd = Self.crowd(name, [1, 2, 3])
        expectShares(of: crowd, [1, 2, 3], by: name)
        crowd.set(0, weight: 4)
        crowd.set(2, weight: 1)
        expectShares(of: crowd, [4, 2, 1], by: name)
        // At weight 0 nothing new comes, and the others share what it had.
        crowd.set(0, weight: 0)
        expectShares(of: crowd, [0, 2, 1], by: name)
        crowd.set(0, weight: 4)
        expectShares(of: crowd, [4, 2, 1], by: name)
    }

    @Test(arguments: BalancerRegistry.names)
    func `who starts slowly gets more and more`(name: String) {
        var crowd = Self.crowd(name, [1, 1, 1])
        for weight in [0.1, 0.4, 0.7, 1] {
            crowd.set(1, weight: weight)
            expectShares(of: crowd, [1, weight, 1], by: name)
        }
    }

    @Test(arguments: BalancerRegistry.names)
    func `who is gone is never chosen, and chosen again when back`(name: String) {
        var crowd = Self.crowd(name, [1, 1, 1, 1, 1])
        for gone in 0..<5 {
            crowd.set(gone, isUp: false)
            #expect(crowd.shares(200)[gone] == nil)
            crowd.remove((gone + 1) % 5)
            let left = crowd.shares(200)
            #expect(left[gone] == nil && left[(gone + 1) % 5] == nil)
            crowd.set(gone)
            crowd.set((gone + 1) % 5)
        }
        for peer in 0..<5 { crowd.set(peer, isUp: false) }
        #expect(crowd.shares(20) == [-1: 20])
        for peer in 0..<5 { crowd.set(peer) }
        let back = crowd.shares(500)
        #expect(back[-1] == nil)
        #expect(Self.rule(of: name) == .order || back.count == 5)
    }

    @Test(arguments: keyed)
    func `when one goes only its keys move, and they come back with it`(name: String) {
        var crowd = Self.crowd(name, [1, 2, 3, 1, 2, 0.3])
        let before = (0..<3_000).map { crowd.choose($0) }
        for gone in 0..<6 {
            crowd.set(gone, weight: [1, 2, 3, 1, 2, 0.3][gone], isUp: false)
            for (key, peer) in before.enumerated() {
                let now = crowd.choose(key)
                #expect(peer == gone ? now != gone : now == peer)
                // Whoever has tried the lost one by now goes where those go who know.
                if peer == gone { #expect(crowd.choose(key, tried: [gone]) == now) }
            }
            crowd.set(gone, weight: [1, 2, 3, 1, 2, 0.3][gone])
        }
        #expect((0..<3_000).map { crowd.choose($0) } == before)
    }

    @Test(arguments: keyed)
    func `who weighs more takes keys, and nobody else does`(name: String) {
        var crowd = Self.crowd(name, [1, 1, 1, 1])
        var before = (0..<3_000).map { crowd.choose($0) }
        for weight in [1.5, 3, 256] {
            crowd.set(2, weight: weight)
            let now = (0..<3_000).map { crowd.choose($0) }
            for (old, new) in zip(before, now) { #expect(new == old || new == 2) }
            before = now
        }
    }

    @Test(arguments: keyed)
    func `a key goes to the same peer wherever peers stand in the list`(name: String) {
        var dice = Dice(seed: 7)
        let fresh = Self.crowd(name, Array(repeating: 1, count: 40))
        var worn = Crowd(name)
        for peer in (0..<40).shuffled(using: &dice) { worn.set(peer) }
        for _ in 0..<500 {
            let peer = Int.random(in: 0..<40, using: &dice)
            switch Int.random(in: 0..<3, using: &dice) {
            case 0: worn.remove(peer)
            case 1: worn.set(peer, isUp: false, isInPanic: Bool.random(using: &dice))
            default: worn.set(peer, weight: 2)
            }
        }
        for peer in 0..<40 { worn.set(peer) }
        for key in 0..<2_000 { #expect(worn.choose(key) == fresh.choose(key)) }
    }

    /// Where few of many are left they are looked at one by one: with the same outcome.
    @Test(arguments: keyed)
    func `the last of many are found, and get even shares`(name: String) {
        var crowd = Self.crowd(name, Array(repeating: 1, count: 400))
        let before = (0..<2_000).map { crowd.choose($0) }
        for peer in 10..<400 { crowd.set(peer, isUp: false) }
        for (key, peer) in before.enumerated() where peer < 10 {
            #expect(crowd.choose(key) == peer)
        }
        let few = crowd.shares(10_000)
        #expect(few.count == 10)
        #expect(few.values.allSatisfy { (850...1_150).contains($0) }, "\(few)")
    }

    @Test(arguments: BalancerRegistry.names)
    func `backups are chosen while nobody else is there`(name: String) {
        var crowd = Self.crowd(name, [1, 1])
        crowd.set(2, isBackup: true)
        crowd.set(3, isBackup: true)
        #expect(Set(crowd.shares(100).keys).isSubset(of: [0, 1]))
        crowd.set(0, isUp: false)
        #expect(crowd.shares(100) == [1: 100])
        crowd.set(1, isUp: false)
        #expect(Set(crowd.shares(100).keys).isSubset(of: [2, 3]))
        #expect([2, 3].contains(crowd.choose(0, tried: [0, 1])))
        crowd.set(0)
        #expect(crowd.shares(100) == [0: 100])
        // Who becomes a backup is one.
        crowd.set(1)
        crowd.set(0, isBackup: true)
        #expect(crowd.shares(100) == [1: 100])
    }

    @Test(arguments: BalancerRegistry.names)
    func `in a panic all are chosen that are meant to serve`(name: String) {
        var crowd = Self.crowd(name, [1, 1, 1, 1])
        for peer in 0..<3 { crowd.set(peer, isUp: false) }
        crowd.set(3, isUp: false, isInPanic: false)
        #expect(crowd.shares(50) == [-1: 50])
        crowd.setPanic(true)
        let panic = Set(crowd.shares(300).keys)
        #expect(Self.rule(of: name) == .order ? panic == [0] : panic == [0, 1, 2])
        crowd.setPanic(false)
        crowd.set(1)
        #expect(crowd.shares(50) == [1: 50])
    }

    @Test(arguments: BalancerRegistry.names)
    func `one peer gets everything, as far as it has room`(name: String) {
        var crowd = Self.crowd(name, [1])
        #expect(crowd.shares(100) == [0: 100])
        crowd.set(0, most: 2)
        crowd.count(0, 2)
        #expect(crowd.choose() == -1)
        crowd.count(0, -1)
        #expect(crowd.choose() == 0)
        #expect(crowd.choose(tried: [0]) == -1)
    }

    // MARK: What a choice and a change cost

    private static let many = 10_000

    /// Candidates looked at by one choice among ten thousand, at most: as the documents have it.
    private static func looks(of name: String) -> Int {
        switch name {
        case "round-robin", "first": many
        // Once more those that have as little work.
        case "least-connections": 2 * many
        case "unweighted-round-robin": 1
        case "peak-ewma", "random-two": 2 * 16
        default: 4 * HashRings.count
        }
    }

    @Test(arguments: BalancerRegistry.names)
    func `a choice among ten thousand looks at no more than it is said to`(name: String) throws {
        let crowd = Self.crowd(name, Array(repeating: 1, count: Self.many))
        let found = crowd.balancer
        let balancer = try #require(found)
        var most = 0
        for key in 0..<200 {
            let before = balancer.looks
            #expect(crowd.choose(key) >= 0)
            most = max(most, balancer.looks - before)
        }
        #expect(most <= Self.looks(of: name), "\(name) looked at \(most)")
        #expect(most > 0)
    }

    private final class Listener: Balancer {
        override class var name: String { "listener" }
        var heard = 0
        override func listed(_ candidates: Candidates, at place: Int) { heard += 1 }
        override func moved(_ candidates: Candidates, to place: Int) { heard += 1 }
        override func weighed(_ candidates: Candidates, at place: Int) { heard += 1 }
        override func unlisted(_ candidate: Candidate) { heard += 1 }
    }

    @Test func `a change of one among ten thousand moves three at most`() throws {
        var options = Options([], at: Position(file: "test", line: 1, column: 1), path: "test")
        let listener = try Listener(&options)
        let peers = UnsafeMutablePointer<PeerState>.allocate(capacity: Self.many)
        peers.initialize(repeating: PeerState(upstream: 0, identity: 0), count: Self.many)
        defer { peers.deallocate() }
        var tier = CandidateTier()
        defer { tier.destroy() }
        tier.set(listener)
        var dice = Dice(seed: 3)
        for peer in 0..<Self.many {
            let candidate = Candidate(peer: Int32(peer), weight: 100, identity: UInt64(peer))
            tier.insert(candidate, isAvailable: peer % 3 > 0, peers)
        }
        for _ in 0..<2_000 {
            let before = listener.heard
            let peer = Int.random(in: 0..<Self.many, using: &dice)
            let place = Int(peers[peer].place)
            switch Int.random(in: 0..<3, using: &dice) {
            case 0:
                tier.remove(place, peers)
                let candidate = Candidate(peer: Int32(peer), weight: 100, identity: UInt64(peer))
                #expect(listener.heard - before <= 3)
                tier.insert(candidate, isAvailable: false, peers)
            case 1: tier.set(isAvailable: Bool.random(using: &dice), at: place, peers)
            default: tier.set(weight: 50, maxInFlight: 3, at: place)
            }
            #expect(listener.heard - before <= 4)
        }
    }
}

@Suite struct FirstOfListTests {
    @Test func `the next one serves when the first has no room`() {
        var crowd = Crowd("first")
        for peer in [2, 0, 1] { crowd.set(peer, most: 3) }
        // In the order of their definition, not of their numbers, whoever went and came meanwhile.
        crowd.set(2, isUp: false)
        crowd.set(2, most: 3)
        let chosen = (0..<10).map { _ in
            let peer = crowd.choose()
            if peer >= 0 { crowd.count(peer, 1) }
            return peer
        }
        #expect(chosen == [2, 2, 2, 0, 0, 0, 1, 1, 1, -1])
    }
}

@Suite struct RandomTwoTests {
    @Test func `of two drawn the one with less under way for its weight serves`() {
        var crowd = Crowd("random-two")
        crowd.set(0, weight: 2)
        crowd.set(1)
        crowd.count(0, 4)
        crowd.count(1, 1)
        #expect(crowd.shares(50) == [1: 50])
        crowd.count(1, 1)
        #expect(crowd.shares(50) == [0: 50])
    }

    @Test func `one that weighs as much as many gets its share`() {
        var crowd = Crowd("random-two")
        crowd.set(0, weight: 256)
        for peer in 1...64 { crowd.set(peer) }
        let shares = crowd.shares(4_000)
        #expect((3_000...3_400).contains(shares[0] ?? 0), "\(shares[0] ?? 0)")
    }
}

@Suite struct PeakEWMATests {
    private static func answer(
        _ crowd: borrowing Crowd,
        _ peer: Int,
        _ milliseconds: Int64,
        at seconds: Double
    ) {
        let now = Instant(nanoseconds: Int64(seconds * 1e9))
        crowd.pool.observe(Int32(peer), .milliseconds(milliseconds), now: now)
    }

    @Test func `of two drawn the quicker one serves, by what it has under way`() {
        var crowd = Crowd("peak-ewma")
        crowd.set(0)
        crowd.set(1)
        Self.answer(crowd, 0, 10, at: 1)
        Self.answer(crowd, 1, 30, at: 1)
        #expect(crowd.shares(50) == [0: 50])
        crowd.count(0, 1)
        crowd.count(1, 1)
        #expect(crowd.shares(50) == [0: 50])
        // Four times as much at a peer that is three times as quick.
        crowd.count(0, 6)
        #expect(crowd.shares(50) == [1: 50])
    }

    @Test func `a slow answer counts at once and is forgotten slowly`() {
        var crowd = Crowd("peak-ewma")
        crowd.set(0)
        crowd.set(1)
        Self.answer(crowd, 0, 10, at: 1)
        Self.answer(crowd, 1, 20, at: 1)
        Self.answer(crowd, 0, 500, at: 1.1)
        #expect(crowd.shares(20) == [1: 20])
        // A thousand quick ones within a second change little.
        for step in 0..<1_000 { Self.answer(crowd, 0, 10, at: 1.1 + Double(step) / 1_000) }
        #expect(crowd.shares(20) == [1: 20])
        for step in 0..<1_000 {
            let time = 2.1 + Double(step) / 10
            Self.answer(crowd, 0, 10, at: time)
            Self.answer(crowd, 1, 20, at: time)
        }
        #expect(crowd.shares(20) == [0: 20])
    }

    @Test func `whoever is not asked is tried again after a while`() {
        var crowd = Crowd("peak-ewma")
        crowd.set(0)
        crowd.set(1)
        Self.answer(crowd, 0, 10, at: 1)
        Self.answer(crowd, 1, 100, at: 1)
        #expect(crowd.shares(20) == [0: 20])
        Self.answer(crowd, 0, 10, at: 120)
        #expect(crowd.shares(20) == [1: 20])
    }

    @Test func `one that is new gets one request to show itself`() {
        var crowd = Crowd("peak-ewma")
        crowd.set(0)
        crowd.set(1)
        Self.answer(crowd, 0, 10, at: 1)
        #expect(crowd.shares(20) == [1: 20])
        crowd.count(1, 1)
        #expect(crowd.shares(20) == [0: 20])
    }
}

@Suite struct BoundedLoadTests {
    private static func bounded(_ percent: String) throws -> Crowd {
        let value = TestSetting.scalar(percent, isQuoted: false).setting(line: 1)
        return Crowd(
            "consistent-hash",
            [Setting.Entry(key: "bounded-load", position: value.position, value: value)]
        )
    }

    @Test func `a key that everybody asks for spreads over those that come next`() throws {
        var crowd = try Self.bounded("150%")
        for peer in 0..<4 { crowd.set(peer) }
        var counts = [0, 0, 0, 0]
        for _ in 0..<40 {
            let peer = crowd.choose(1)
            counts[peer] += 1
            crowd.count(peer, 1)
        }
        // 150 % of a quarter of 40.
        #expect(counts.sorted() == [0, 10, 15, 15])
    }

    @Test func `when all with room have been tried the others serve`() throws {
        var crowd = try Self.bounded("101%")
        crowd.set(0)
        crowd.set(1)
        crowd.count(0, 10)
        #expect(crowd.choose(1) == 1)
        #expect(crowd.choose(1, tried: [1]) == 0)
    }

    @Test(arguments: ["100%", "50%", "1.25", "", "20000%"])
    func `a bound that bounds nothing is refused`(text: String) {
        #expect(throws: SettingError.self) {
            try makeBalancer("consistent-hash", [("bounded-load", .scalar(text, isQuoted: true))])
        }
    }
}

@Suite struct ForeignBalancerTests {
    @Test(arguments: [
        ("least_conn", "nginx's; did you mean 'least-connections'?"),
        ("ip_hash", "nginx's; did you mean 'ip-hash'?"),
        ("hash $uri consistent", "nginx's; did you mean 'consistent-hash'?"),
        ("random two least_conn", "nginx's; did you mean 'random-two'?"),
        ("leastconn", "HAProxy's; did you mean 'least-connections'?"),
        ("roundrobin", "HAProxy's; did you mean 'round-robin'?"),
        ("source", "HAProxy's; did you mean 'ip-hash'?"),
        ("hdr(x-user)", "HAProxy's; did you mean 'consistent-hash: {key: \"header:NAME\"}'?"),
        ("RING_HASH", "Envoy's; did you mean 'consistent-hash'?"),
    ])
    func `what others call it is understood`(text: String, says: String) {
        let error = #expect(throws: SettingError.self) { try makeBalancer(text) }
        #expect(
            error?.message
                == "balance: expected one of \(BalancerRegistry.names.joined(separator: ", ")), saw "
                + "'\(text)', which is \(says)"
        )
    }
}

@Suite struct RequestKeyTests {
    private func capture(_ pattern: String, _ path: String) -> UInt64? {
        Array(path.utf8).withUnsafeBufferPointer { bytes in
            bytes.baseAddress.flatMap {
                RequestKey.capture(Array(pattern.utf8), $0, bytes.count)
            }
        }
    }

    @Test(arguments: [
        ("/tenants/{id}", "/tenants/acme", "acme"),
        ("/tenants/{id}", "/tenants/acme/", "acme"),
        ("/tenants/{id}", "/tenants/acme/users", "acme"),
        ("/{}", "/a/b", "a"),
        ("/t/{id}/files", "/t/7/files/x", "7"),
        ("/t/{id}/files", "/t/7/filesystem", nil),
        ("/t/{id}/files/", "/t/7/files/x", "7"),
        ("/t/{id}/files", "/t/7", nil),
        ("/tenants/{id}", "/tenants/", nil),
        ("/tenants/{id}", "/tenants", nil),
        ("/tenants/{id}", "/other/acme", nil),
    ])
    func `a part of the path is the key`(pattern: String, path: String, found: String?) {
        #expect(capture(pattern, path) == found.map { RequestKey.hash($0.utf8) })
    }

    @Test(arguments: [
        ("user", "user=7", "7"),
        ("user", "a=1&user=7&b", "7"),
        ("user", "xuser=1&user=7", "7"),
        ("user", "user=&b=1", nil),
        ("user", "user", nil),
        ("user", "users=7", nil),
        ("user", "&&user=a=b", "a=b"),
    ])
    func `a parameter of the query is the key`(name: String, query: String, found: String?) {
        let seen = Array(query.utf8).withUnsafeBufferPointer { bytes in
            bytes.baseAddress.flatMap {
                RequestKey.parameter(Array(name.utf8), $0, bytes.count)
            }
        }
        #expect(seen == found.map { RequestKey.hash($0.utf8) })
    }
}
