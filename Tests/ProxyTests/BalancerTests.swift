// What each balancer chooses by.

import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct SmoothRoundRobinTests {
    private static func picks(_ weights: [Int], _ count: Int, tried: [Int32] = []) throws -> String
    {
        let balancer = try makeBalancer("round-robin")
        var field = CandidateField(weights: weights)
        var pick = Pick()
        for peer in tried { pick.tried.insert(peer) }
        return (0..<count).map { _ in
            String(UnicodeScalar(UInt8(ascii: "a") + UInt8(field.choose(balancer, pick))))
        }.joined()
    }

    @Test(arguments: [
        ([5, 1, 1], "aabacaa"),
        ([1, 1, 1], "abc"),
        ([1], "a"),
        ([1, 2], "bab"),
        ([3, 1], "aaba"),
    ])
    func `the heavy ones are spread out`(weights: [Int], expected: String) throws {
        let round = try Self.picks(weights, weights.reduce(0, +) * 3)
        #expect(round == expected + expected + expected)
    }

    @Test func `shares are exact over every round of every small set of weights`() throws {
        for first in 1...6 {
            for second in 1...6 {
                for third in 1...6 {
                    let weights = [first, second, third]
                    let round = try Self.picks(weights, weights.reduce(0, +))
                    let shares = ["a", "b", "c"].map { letter in
                        round.count { String($0) == letter }
                    }
                    #expect(shares == weights)
                }
            }
        }
    }

    @Test func `without a tried one the others keep their shares`() throws {
        let round = try Self.picks([5, 1, 2], 30, tried: [0])
        #expect(round.count { $0 == "a" } == 0)
        #expect(round.count { $0 == "b" } == 10)
        #expect(round.count { $0 == "c" } == 20)
    }

    @Test func `a peer that comes and goes does not upset the rest`() throws {
        let balancer = try makeBalancer("round-robin")
        var field = CandidateField(weights: [1, 1])
        #expect(field.choose(balancer) == 0)
        // Its state travels with the candidate, so the pool may list the others anew.
        field.candidates.append(CandidateField(weights: [1, 1, 1]).candidates[2])
        let next = (0..<3).map { _ in field.choose(balancer) }
        #expect(Set(next) == [0, 1, 2])
        #expect(next.first == 1)
    }
}

@Suite struct LeastConnectionsTests {
    @Test(arguments: [
        // in flight, weights, chosen
        ([0, 1], [1, 1], 0),
        ([1, 0], [1, 1], 1),
        ([3, 1], [4, 1], 0),
        ([4, 1], [2, 1], 1),
        // An idle heavy one goes before an idle light one.
        ([0, 0], [1, 5], 1),
        ([9, 5, 7], [1, 1, 1], 1),
    ])
    func `the least work for its weight`(inFlight: [Int], weights: [Int], chosen: Int) throws {
        let balancer = try makeBalancer("least-connections")
        var field = CandidateField(weights: weights)
        for (index, count) in inFlight.enumerated() {
            field.candidates[index].inFlight = Int32(count)
        }
        #expect(field.choose(balancer) == Int32(chosen))
    }

    @Test func `ties go round`() throws {
        let balancer = try makeBalancer("least-connections")
        var field = CandidateField(weights: [1, 1, 1])
        let picks = (0..<9).map { _ in field.choose(balancer) }
        #expect(picks == [0, 1, 2, 0, 1, 2, 0, 1, 2])
    }

    @Test(arguments: [[10, 9], [1, 5, 5], [16, 100, 100]])
    func `idle peers are chosen by weight`(weights: [Int]) throws {
        let balancer = try makeBalancer("least-connections")
        var field = CandidateField(weights: weights)
        var counts = weights.map { _ in 0 }
        for _ in 0..<(10 * weights.reduce(0, +)) { counts[Int(field.choose(balancer))] += 1 }
        #expect(counts == weights.map { 10 * $0 })
    }

    @Test func `load that stays evens out by weight`() throws {
        let balancer = try makeBalancer("least-connections")
        var field = CandidateField(weights: [1, 2, 3])
        for _ in 0..<60 {
            let chosen = field.choose(balancer)
            field.candidates[Int(chosen)].inFlight += 1
        }
        #expect(field.candidates.map(\.inFlight) == [10, 20, 30])
    }
}

@Suite struct ConsistentHashTests {
    private static func key(_ number: Int) -> Pick {
        Pick(key: RequestKey.hash("10.1.\(number / 250).\(number % 250)".utf8))
    }

    @Test func `a key stays where it is`() throws {
        var field = CandidateField(weights: [1, 1, 1])
        let first = try makeBalancer("consistent-hash")
        let second = try makeBalancer("consistent-hash")
        for number in 0..<1_000 {
            let chosen = field.choose(first, Self.key(number))
            // Another worker, or another process, decides alike.
            #expect(field.choose(second, Self.key(number)) == chosen)
        }
    }

    @Test func `keys fall on peers by weight`() throws {
        let balancer = try makeBalancer("consistent-hash")
        var field = CandidateField(weights: [1, 2, 3])
        var counts = [0, 0, 0]
        for number in 0..<12_000 { counts[Int(field.choose(balancer, Self.key(number)))] += 1 }
        #expect((1_800...2_200).contains(counts[0]), "\(counts)")
        #expect((3_700...4_300).contains(counts[1]), "\(counts)")
        #expect((5_700...6_300).contains(counts[2]), "\(counts)")
    }

    @Test(arguments: 0..<5)
    func `when a peer goes only its keys move`(gone: Int) throws {
        let balancer = try makeBalancer("consistent-hash")
        var all = CandidateField(weights: [1, 1, 1, 1, 1])
        var rest = all
        rest.candidates.remove(at: gone)
        var moved = 0
        for number in 0..<5_000 {
            let before = all.choose(balancer, Self.key(number))
            let after = rest.choose(balancer, Self.key(number))
            if before == Int32(gone) { moved += 1 } else { #expect(before == after) }
        }
        #expect((850...1_150).contains(moved))
    }

    @Test func `a retry of the same key goes to the same second choice`() throws {
        let balancer = try makeBalancer("consistent-hash")
        var field = CandidateField(weights: [1, 1, 1, 1])
        for number in 0..<200 {
            var pick = Self.key(number)
            pick.tried.insert(field.choose(balancer, pick))
            let second = field.choose(balancer, pick)
            #expect(field.choose(balancer, pick) == second)
        }
    }

    @Test(arguments: [
        "ip", "path", "header:X-User", "cookie:sid", "query", "query:user[id]",
        "path:/tenants/{id}",
        "path:/{}/x",
    ])
    func `the key is a setting`(text: String) throws {
        let balancer = try makeBalancer(
            "consistent-hash",
            [("key", .scalar(text, isQuoted: false))]
        )
        #expect(balancer.key == HashKey(text))
        #expect(balancer.key != nil)
    }

    @Test(arguments: [
        "", "header:", "cookie", "IP", "header:x y", "header:x:", "header:ä", "cookie:",
        "cookie:a;b",
        "query:", "query:a&b", "query:a=b", "path:", "path:x/{}", "path:/x", "path:/{a}/{b}",
        "path:/a{b}",
        "path:/{a", "path:/?{a}", "ip:x", "constructor:x",
    ])
    func `another key is refused`(text: String) throws {
        #expect(throws: SettingError.self) {
            try makeBalancer("consistent-hash", [("key", .scalar(text, isQuoted: true))])
        }
    }
}
