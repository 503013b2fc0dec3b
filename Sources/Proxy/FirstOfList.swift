// Who is the first in the list that has room?

import Vocabulary

/// The peer defined first of those that `max-connections` leaves room at: a few are busy, and the rest
/// can sleep. What a peer weighs does not matter.
final class FirstOfList: Balancer {
    override class var name: String { "first" }

    override func choose(_ candidates: Candidates, for pick: borrowing Pick) -> Int {
        var best = -1
        var bestOrder = Int32.max
        var place = 0
        while place < candidates.count {
            if candidates[place].order < bestOrder, accepts(candidates[place], pick) {
                best = place
                bestOrder = candidates[place].order
            }
            place &+= 1
        }
        return best
    }
}
