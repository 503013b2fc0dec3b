// Does choosing here fail where durpina's balancers did? Each test is one of their faults, with the story that showed it.

import Testing

@testable import Proxy

@Suite struct DurpinaBalancerTests {
    private static let all = [
        "round-robin", "unweighted-round-robin", "ip-hash", "consistent-hash",
    ]

    /// balancer.lua: where the largest weight shrinks while all are down, its loop looks for a weight that nobody has,
    /// for ever.
    @Test(arguments: all)
    func `weights that shrink while all are down stop nobody`(balance: String) {
        var crowd = Crowd(balance)
        for (peer, weight) in [10.0, 20, 30].enumerated() { crowd.set(peer, weight: weight) }
        // In the middle of a round, where its counter stood at 20 or 30.
        for key in 0..<37 { #expect(crowd.choose(key) >= 0) }
        for (peer, weight) in [10.0, 6, 1].enumerated() {
            crowd.set(peer, weight: weight, isUp: false)
        }
        #expect(crowd.choose() == -1)
        for (peer, weight) in [10.0, 6, 1].enumerated() { crowd.set(peer, weight: weight) }
        let shares = crowd.shares(1_700)
        #expect(shares.values.reduce(0, +) == 1_700 && shares[-1] == nil)
        if balance != "round-robin" { return }
        // What was left of the round before may count once.
        for (peer, count) in [1_000, 600, 100].enumerated() {
            #expect(abs((shares[peer] ?? 0) - count) <= 2, "\(shares)")
        }
    }

    /// balancer.lua: an upstream without peers divides by zero.
    @Test(arguments: all)
    func `nobody is chosen where nobody is`(balance: String) {
        var crowd = Crowd(balance)
        #expect(crowd.choose() == -1)
        crowd.set(0)
        #expect(crowd.choose() == 0)
        crowd.remove(0)
        #expect(crowd.choose() == -1)
    }

    /// balancer.lua: the keys of a peer that is down all go to the next in the list.
    @Test(arguments: ["ip-hash", "consistent-hash"])
    func `a lost peer's keys are shared out, and the others' stay`(balance: String) {
        var crowd = Crowd(balance)
        for peer in 0..<5 { crowd.set(peer) }
        let before = (0..<2_000).map { crowd.choose($0) }
        crowd.set(2, isUp: false)
        var heirs: [Int: Int] = [:]
        for (key, peer) in before.enumerated() {
            let now = crowd.choose(key)
            if peer == 2 { heirs[now, default: 0] += 1 } else { #expect(now == peer) }
        }
        #expect(heirs.count == 4)
        let lost = heirs.values.reduce(0, +)
        #expect(heirs.values.allSatisfy { $0 > lost / 10 }, "\(heirs)")
    }

    /// balancer.lua: one peer more, and nearly every key is another's.
    @Test(arguments: ["ip-hash", "consistent-hash"])
    func `a peer that is added takes its part of the keys and no more`(balance: String) {
        var crowd = Crowd(balance)
        for peer in 0..<4 { crowd.set(peer) }
        let before = (0..<2_000).map { crowd.choose($0) }
        crowd.set(4)
        let moved = before.enumerated().filter { crowd.choose($0.offset) != $0.element }
        #expect((200...600).contains(moved.count), "\(moved.count)")
        #expect(moved.allSatisfy { crowd.choose($0.offset) == 4 })
    }

    /// Its README: "unweighted", whatever they weigh.
    @Test func `unweighted means unweighted`() {
        var crowd = Crowd("unweighted-round-robin")
        for (peer, weight) in [1.0, 10, 15].enumerated() { crowd.set(peer, weight: weight) }
        #expect(crowd.shares(300) == [0: 100, 1: 100, 2: 100])
    }
}
