// Do requests stay in the zone of the agent, and leave it in time?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct ZoneTests {
    /// Peers 0 to 9 are near, 10 to 19 are not.
    private static func crowd(_ balance: String) -> Crowd {
        var crowd = Crowd(balance)
        for peer in 0..<20 { crowd.set(peer, isNear: peer < 10) }
        return crowd
    }

    private func expectNear(
        _ crowd: borrowing Crowd,
        _ place: SourceLocation = #_sourceLocation
    ) {
        let chosen = crowd.shares(400).keys
        #expect(chosen.allSatisfy { (0..<10).contains($0) }, sourceLocation: place)
    }

    @Test(arguments: BalancerRegistry.names)
    func `requests stay while seven of ten are available`(name: String) {
        var crowd = Self.crowd(name)
        for down in 0..<3 {
            expectNear(crowd)
            crowd.set(down, isUp: false, isNear: true)
        }
        expectNear(crowd)
        crowd.set(3, isUp: false, isNear: true)
        let shares = crowd.shares(400)
        #expect(name == "first" ? shares == [4: 400] : shares.keys.contains { $0 >= 10 })
        #expect(!shares.keys.contains { $0 < 4 })
        // Who drains is not missed: six of eight are enough.
        crowd.set(3, weight: 0, isNear: true)
        crowd.set(2, weight: 0, isNear: true)
        expectNear(crowd)
        for peer in 0..<4 { crowd.set(peer, isNear: true) }
        expectNear(crowd)
    }

    @Test(arguments: BalancerRegistry.names)
    func `others are asked where the near ones are full or tried`(name: String) {
        var crowd = Crowd(name)
        crowd.set(0, isNear: true, most: 1)
        crowd.set(1)
        #expect(crowd.choose() == 0)
        #expect(crowd.choose(tried: [0]) == 1)
        crowd.count(0, 1)
        #expect(crowd.choose() == 1)
        #expect(crowd.choose(tried: [1]) == -1)
        crowd.setPanic(true)
        crowd.count(0, -1)
        #expect(Set((0..<64).map { crowd.choose($0) }) == (name == "first" ? [0] : [0, 1]))
    }

    /// Thousands of changes by chance: those that stand first are those that shall.
    @Test(arguments: 1...10) func `whoever comes and goes, the near ones stand first`(seed: Int) {
        var dice = Dice(seed: UInt64(seed))
        var crowd = Crowd("unweighted-round-robin")
        var near: [Int: Bool] = [:]
        var up: [Int: Bool] = [:]
        for _ in 0..<2_000 {
            let peer = Int.random(in: 0..<12, using: &dice)
            if Int.random(in: 0..<5, using: &dice) == 0, near[peer] != nil {
                crowd.remove(peer)
                near[peer] = nil
                up[peer] = nil
            } else {
                near[peer] = Bool.random(using: &dice)
                up[peer] = Bool.random(using: &dice)
                crowd.set(peer, isUp: up[peer] ?? false, isNear: near[peer] ?? false)
            }
            let available = up.filter(\.value).map(\.key)
            let mine = available.filter { near[$0] ?? false }
            let isEnough = ZonePreference.isEnough(
                available: mine.count,
                of: near.count { $0.value }
            )
            let chosen = Set((0..<24).map { crowd.choose($0) })
            let expected = isEnough ? mine : available
            #expect(chosen == (expected.isEmpty ? [-1] : Set(expected)))
        }
    }

    @Test(arguments: [
        (0, 0, false), (0, 1, false), (1, 1, true), (1, 2, false), (2, 3, false), (3, 4, true),
        (7, 10, true), (6, 10, false),
    ])
    func `seven of ten are enough`(available: Int, wanted: Int, isEnough: Bool) {
        #expect(ZonePreference.isEnough(available: available, of: wanted) == isEnough)
    }
}
