// Whose pairs go unprobed? An agent that beats no more, or falls behind, shows it by its mark: every slot of
// its pairs before the mark was begun, none after it is known to be. From that follows for each pair when
// somebody else should take it. Pure.
//
//   mark        slot                          takes over
//    ─┼──────────┼──── timeout ──── grace ──────┼─────► store time
//               first slot after the mark

public import Health
public import Vocabulary

public struct Watch: Sendable {
    private struct Entry {
        var at: WallTime
        var pair: PairNumber
    }

    /// The agents that are late, with the latest mark that was told.
    private var marks: [String: WallTime] = [:]
    /// A heap, the soonest first. An entry is an occasion to look, no decision.
    private var heap: [Entry] = []

    public init() {}

    public var lateAgents: [String: WallTime] { marks }
    public var next: WallTime? { heap.first?.at }

    /// When a pair of somebody with this mark is to be taken over by who comes `rank`-th after its holder.
    public static func takeover(
        mark: WallTime,
        beat: Beat,
        schedule: Schedule,
        rank: Int,
        terms: FleetTerms
    ) -> WallTime {
        // The slot that begins just at the mark may not have been begun.
        let slot = beat.next(after: mark + .milliseconds(-1), every: schedule.interval)
        return slot + schedule.timeout + terms.grace + terms.rankStep * Int64(rank)
    }

    /// Takes the marks of those that are late now. Answers who was not late before: their pairs are to
    /// be looked through, once.
    public mutating func take(_ late: [String: WallTime]) -> [String] {
        var news: [String] = []
        for agent in late.keys.sorted() where marks[agent] == nil { news.append(agent) }
        marks = late
        if late.isEmpty { heap = [] }
        return news
    }

    public mutating func add(_ pair: PairNumber, at time: WallTime) {
        heap.append(Entry(at: time, pair: pair))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].at <= heap[child].at { break }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    /// The next pair whose time has come; whoever asks looks at its holder's mark as it is now.
    public mutating func due(at now: WallTime) -> PairNumber? {
        guard let first = heap.first, first.at <= now else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].at < heap[least].at {
                least = child
            }
            if least == parent { break }
            heap.swapAt(parent, least)
            parent = least
        }
        return first.pair
    }
}
