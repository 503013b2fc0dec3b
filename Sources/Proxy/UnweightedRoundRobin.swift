// Whose turn is it, where all are alike?

import Vocabulary

/// The next in the list, whatever it weighs: one look a choice, however many there are. Where somebody
/// comes or goes the list closes up, so that a turn may be lost or taken twice at that moment.
final class UnweightedRoundRobin: Balancer {
    override class var name: String { "unweighted-round-robin" }

    private var next = 0

    override func choose(_ candidates: Candidates, for pick: borrowing Pick) -> Int {
        let count = candidates.count
        for _ in 0..<count {
            if next >= count { next = 0 }
            let place = next
            next &+= 1
            if accepts(candidates[place], pick) { return place }
        }
        return -1
    }
}
