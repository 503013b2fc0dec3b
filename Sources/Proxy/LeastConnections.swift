// Which peer has the least work for its weight?

import Vocabulary

/// Compares `(inFlight + 1) / weight` by cross-multiplying, so that an idle heavy peer goes before
/// an idle light one. Ties go round: a scan that always began at the first peer would send every
/// lone request there.
final class LeastConnections: Balancer {
    override class var name: String { "least-connections" }

    private var start = 0

    override func choose(
        _ candidates: UnsafeMutableBufferPointer<Candidate>,
        for pick: borrowing Pick
    ) -> Int {
        let count = candidates.count
        if start >= count { start = 0 }
        var best = -1
        var index = start
        for _ in 0..<count {
            if pick.accepts(candidates[index]),
                best < 0 || isLighter(candidates[index], than: candidates[best])
            {
                best = index
            }
            index &+= 1
            if index == count { index = 0 }
        }
        if best >= 0 { start = best &+ 1 }
        return best
    }

    private func isLighter(_ left: Candidate, than right: Candidate) -> Bool {
        Int64(left.inFlight &+ 1) &* Int64(right.weight)
            < Int64(right.inFlight &+ 1) &* Int64(left.weight)
    }
}
