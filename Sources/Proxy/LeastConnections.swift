// Which peer has the least work for its weight? Of several with as little, idle ones above all, whose
// turn it is, by weight: otherwise a peer of weight 9 would get nothing beside one of 10 until that is busy.

import Vocabulary

/// Compares `inFlight / weight` by cross-multiplying, and spreads ties as `round-robin` does.
final class LeastConnections: Balancer {
    override class var name: String { "least-connections" }

    override func choose(_ candidates: Candidates, for pick: borrowing Pick) -> Int {
        var best = -1
        var ties = 0
        var index = 0
        while index < candidates.count {
            if accepts(candidates[index], pick) {
                let order = best < 0 ? -1 : compare(candidates[index], candidates[best])
                if order < 0 {
                    best = index
                    ties = 1
                } else if order == 0 {
                    ties &+= 1
                }
            }
            index &+= 1
        }
        return ties > 1 ? turn(among: candidates, like: candidates[best], for: pick) : best
    }

    /// Negative where `left` has less work for its weight.
    private func compare(_ left: Candidate, _ right: Candidate) -> Int64 {
        Int64(left.inFlight) &* Int64(right.weight) &- Int64(right.inFlight) &* Int64(left.weight)
    }

    /// As `SmoothRoundRobin`, among those that are as good as `best`.
    private func turn(
        among candidates: Candidates,
        like best: Candidate,
        for pick: borrowing Pick
    ) -> Int {
        var chosen = -1
        var total: Int64 = 0
        var index = 0
        while index < candidates.count {
            if accepts(candidates[index], pick), compare(candidates[index], best) == 0 {
                let weight = Int64(candidates[index].weight)
                candidates[index].current &+= weight
                total &+= weight
                if chosen < 0 || candidates[index].current > candidates[chosen].current {
                    chosen = index
                }
            }
            index &+= 1
        }
        candidates[chosen].current &-= total
        return chosen
    }
}
