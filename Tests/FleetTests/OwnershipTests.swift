// Does every agent find the same heirs, and does only what must move?

import Fleet
import Health
import Testing

@Suite struct OwnershipTests {
    private static func members(
        _ count: Int,
        weight: (Int) -> Double = { _ in 1 }
    ) -> [RosterMember] {
        (0..<count).map { RosterMember(id: "a\($0)", instance: 1, weight: weight($0)) }
    }

    private static func table(_ pairs: Int, _ members: [RosterMember]) -> Ownership {
        var table = Ownership()
        for pair in 0..<pairs {
            let key = VerdictKey(
                upstream: "web",
                peer: "10.0.\(pair / 250).\(pair % 250)",
                monitor: "http"
            )
            table.define(PairNumber(pair), key: Ownership.key(of: key))
        }
        table.take(members)
        finish(&table)
        return table
    }

    @discardableResult
    private static func finish(_ table: inout Ownership, draws: Int = 100_000) -> [PairNumber] {
        var changed: [PairNumber] = []
        while !table.isSettled { changed += table.advance(draws: draws) }
        return changed
    }

    private static func heir(_ table: Ownership, _ pair: Int) -> String {
        table.id(of: table.ranks(of: PairNumber(pair)).first)
    }

    @Test func `shares are even, and follow the weights`() {
        let even = Self.table(10_000, Self.members(3))
        var counts: [String: Int] = [:]
        for pair in 0..<10_000 { counts[Self.heir(even, pair), default: 0] += 1 }
        for count in counts.values { #expect((3_133...3_533).contains(count)) }

        let skewed = Self.table(10_000, Self.members(3) { $0 == 0 ? 2 : 1 })
        let first = (0..<10_000).count { Self.heir(skewed, $0) == "a0" }
        #expect((4_800...5_200).contains(first))
    }

    @Test func `losing one moves its pairs and no other, and brings none back to another place`() {
        var table = Self.table(3_000, Self.members(5))
        let before = (0..<3_000).map { Self.heir(table, $0) }
        table.take(Self.members(5).filter { $0.id != "a3" })
        let changed = Set(Self.finish(&table))
        for pair in 0..<3_000 {
            #expect(changed.contains(PairNumber(pair)) == (before[pair] == "a3"))
            if before[pair] != "a3" { #expect(Self.heir(table, pair) == before[pair]) }
        }
        // Exactly as if it had never been there.
        let fresh = Self.table(3_000, Self.members(5).filter { $0.id != "a3" })
        for pair in 0..<3_000 { #expect(Self.heir(table, pair) == Self.heir(fresh, pair)) }

        table.take(Self.members(5))
        Self.finish(&table)
        #expect((0..<3_000).map { Self.heir(table, $0) } == before)
    }

    @Test(arguments: [1, 7, 500])
    func `however it is sliced, and whatever comes in between, the ranks are the same`(draws: Int) {
        var table = Self.table(400, Self.members(4))
        table.take(Self.members(6))
        _ = table.advance(draws: draws)
        // Another roster before the pass was over, and a pair that is defined in the middle of it.
        table.take(Self.members(7) { $0 == 2 ? 3 : 1 }.filter { $0.id != "a1" })
        _ = table.advance(draws: draws)
        let late = VerdictKey(upstream: "web", peer: "late", monitor: "http")
        table.define(400, key: Ownership.key(of: late))
        Self.finish(&table, draws: draws)

        var fresh = Self.table(400, Self.members(7) { $0 == 2 ? 3 : 1 }.filter { $0.id != "a1" })
        fresh.define(400, key: Ownership.key(of: late))
        for pair in PairNumber(0)...400 {
            let (one, other) = (table.ranks(of: pair), fresh.ranks(of: pair))
            let names = [one.first, one.second, one.third].map { table.id(of: $0) }
            #expect(names == [other.first, other.second, other.third].map { fresh.id(of: $0) })
            #expect(names == table.order(of: pair).prefix(3).map { table.id(of: $0) })
        }
    }

    @Test func `an agent without weight has no part, and none at all is nobody`() {
        let table = Self.table(100, Self.members(2) { $0 == 0 ? 0 : 1 })
        #expect((0..<100).allSatisfy { Self.heir(table, $0) == "a1" })
        #expect(table.number(of: "a0") == nil)
        #expect(Self.table(1, []).ranks(of: 0).first == -1)
    }

    /// 100,000 pairs over 1,000 agents: one that is lost moves a thousandth.
    @Test func `of a thousand agents one moves a thousandth`() {
        let pairs = 2_000
        var table = Self.table(pairs, Self.members(1_000))
        var moved = 0
        for lost in stride(from: 0, to: 1_000, by: 50) {
            table.take(Self.members(1_000).filter { $0.id != "a\(lost)" })
            moved += Self.finish(&table).count
            table.take(Self.members(1_000))
            Self.finish(&table)
        }
        // Twenty of a thousand, two pairs each.
        #expect((15...70).contains(moved))
    }
}
