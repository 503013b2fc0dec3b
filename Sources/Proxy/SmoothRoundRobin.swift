// Whose turn is it? Round robin by weight, as nginx does it: spread evenly in time, not in bursts.

import Vocabulary

/// Every candidate gains its weight; the one that gained most serves and pays the total back. Over
/// any stretch as long as the sum of weights, each is chosen exactly as often as it weighs, and the
/// heavy ones are spread out: weights 5, 1, 1 give `a a b a c a a`, not `a a a a a b c`.
final class SmoothRoundRobin: Balancer {
    override class var name: String { "round-robin" }

    override func choose(_ candidates: Candidates, for pick: borrowing Pick) -> Int {
        var best = -1
        var bestCurrent = Int64.min
        var total: Int64 = 0
        var index = 0
        while index < candidates.count {
            if accepts(candidates[index], pick) {
                let weight = Int64(candidates[index].weight)
                candidates[index].current &+= weight
                total &+= weight
                if candidates[index].current > bestCurrent {
                    best = index
                    bestCurrent = candidates[index].current
                }
            }
            index &+= 1
        }
        if best >= 0 { candidates[best].current &-= total }
        return best
    }
}
