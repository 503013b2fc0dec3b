// Who of two drawn by chance has less to do?

import Vocabulary

/// Two are drawn by weight, and the one with less under way for its weight serves. Nobody is scanned, and
/// unlike the least of all the lesser of two is no target that all workers and agents rush to at once.
class RandomTwo: Balancer {
    override class var name: String { "random-two" }

    private var dice = Dice(seed: 0)
    /// Nobody known weighs more.
    private var heaviest: Int32 = 1

    /// Draws that may miss before all are looked at.
    private static let drawsMax = 16

    override func seed(_ seed: UInt64) { dice = Dice(seed: seed) }

    override func choose(_ candidates: Candidates, for pick: borrowing Pick) -> Int {
        let first = draw(candidates, pick, without: -1)
        if first < 0 { return -1 }
        let second = draw(candidates, pick, without: first)
        if second < 0 { return first }
        return isBetter(candidates[second], than: candidates[first]) ? second : first
    }

    func isBetter(_ other: Candidate, than one: Candidate) -> Bool {
        // The first was drawn by weight: where nobody has anything to do, and between equals, it is the
        // fair one.
        if one.inFlight == 0, other.inFlight == 0 { return false }
        let left = Int64(one.inFlight &+ 1) &* Int64(other.weight)
        let right = Int64(other.inFlight &+ 1) &* Int64(one.weight)
        return right < left
    }

    /// One that is accepted, by weight: whoever is hit serves with the chance that its weight has beside
    /// the heaviest.
    private func draw(_ candidates: Candidates, _ pick: borrowing Pick, without: Int) -> Int {
        let count = candidates.count
        if count == 0 || (count == 1 && without == 0) { return -1 }
        for _ in 0..<Self.drawsMax {
            let place = below(count)
            guard place != without, accepts(candidates[place], pick) else { continue }
            let weight = candidates[place].weight
            if weight > heaviest { heaviest = weight }
            if weight == heaviest || below(Int(heaviest)) < Int(weight) { return place }
        }
        return drawFromAll(candidates, pick, without: without)
    }

    /// Most are full or tried, or one weighs as much as many: exact, and a look at each.
    private func drawFromAll(
        _ candidates: Candidates,
        _ pick: borrowing Pick,
        without: Int
    ) -> Int {
        var chosen = -1
        var total: Int64 = 0
        heaviest = 1
        for place in 0..<candidates.count {
            heaviest = max(heaviest, candidates[place].weight)
            guard place != without, accepts(candidates[place], pick) else { continue }
            let weight = Int64(candidates[place].weight)
            total &+= weight
            if below(Int(total)) < Int(weight) { chosen = place }
        }
        return chosen
    }

    /// A number from 0 to `limit` - 1.
    @inline(__always)
    private func below(_ limit: Int) -> Int {
        Int(dice.next().multipliedFullWidth(by: UInt64(limit)).high)
    }
}
