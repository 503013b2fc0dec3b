// How many requests does a peer with `max-connections` have now, of all workers together? The one number
// that they share: without a lock, and only where there is a limit.

import Synchronization

final class PeerSlots: Sendable, Equatable {
    private let taken = Atomic<Int32>(0)

    func take(upTo limit: Int32) -> Bool {
        if taken.add(1, ordering: .relaxed).newValue <= limit { return true }
        giveBack()
        return false
    }

    func takeAnyway() { taken.add(1, ordering: .relaxed) }
    func giveBack() { taken.subtract(1, ordering: .relaxed) }
    func isFull(_ limit: Int32) -> Bool { taken.load(ordering: .relaxed) >= limit }

    static func == (one: PeerSlots, other: PeerSlots) -> Bool { one === other }
}
