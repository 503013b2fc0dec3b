// What does it cost to lose one of many agents? Shares and moves of a large fleet, by the table that ships: who holds
// what, before and after.

import Fleet
import Health
import Vocabulary

/// What becomes of the pairs of a fleet when one agent after the other is lost and comes back.
public struct Shares: Sendable {
    public let agents: Int
    public let pairs: Int
    /// How many pairs the agent with the fewest has, and the one with the most.
    public private(set) var fewest = 0
    public private(set) var most = 0
    /// Pairs that moved with each loss.
    public private(set) var moved: [Int] = []
    /// Pairs that moved and were not the lost one's, or did not come back to it.
    public private(set) var needless = 0

    public init(agents: Int, pairs: Int, losses: Int) {
        self.agents = agents
        self.pairs = pairs
        let members = (0..<agents).map { RosterMember(id: "a\($0)", instance: 1, weight: 1) }
        var table = Ownership()
        for pair in 0..<pairs {
            let peer = "10.\(pair / 62_500).\(pair / 250 % 250).\(pair % 250)"
            let key = VerdictKey(upstream: "web", peer: peer, monitor: "http")
            table.define(PairNumber(pair), key: Ownership.key(of: key))
        }
        table.take(members)
        Self.finish(&table)
        let heirs = Self.heirs(table, pairs)
        var counts: [String: Int] = [:]
        for heir in heirs { counts[heir, default: 0] += 1 }
        fewest = counts.count == agents ? counts.values.min() ?? 0 : 0
        most = counts.values.max() ?? 0
        for number in 0..<losses {
            let lost = members[number * agents / max(losses, 1)].id
            table.take(members.filter { $0.id != lost })
            let changed = Self.finish(&table)
            moved.append(changed.count)
            needless += changed.count { heirs[Int($0)] != lost }
            table.take(members)
            Self.finish(&table)
            if Self.heirs(table, pairs) != heirs { needless += 1 }
        }
    }

    /// In hundredths of the pairs, on the average.
    public var movedShare: Double {
        let sum = moved.reduce(0, +)
        return Double(sum) * 100 / Double(max(pairs * moved.count, 1))
    }

    public var text: String {
        let share = (movedShare * 10_000).rounded() / 10_000
        return
            "\(pairs) pairs over \(agents) agents: from \(fewest) to \(most) each; losing one moves "
            + "\(share)% of them, and \(needless) that need not move"
    }

    private static func heirs(_ table: Ownership, _ pairs: Int) -> [String] {
        (0..<pairs).map { table.id(of: table.ranks(of: PairNumber($0)).first) }
    }

    @discardableResult
    private static func finish(_ table: inout Ownership) -> [PairNumber] {
        var changed: [PairNumber] = []
        while !table.isSettled { changed += table.advance() }
        return changed
    }
}
