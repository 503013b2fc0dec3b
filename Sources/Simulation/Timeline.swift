// What happens next? Everything of a simulated world stands on one line, in the order of its time; what is due
// at the same moment comes in the order in which it was put there. So a seed gives one story, always.

struct Timeline<Event> {
    /// Small, so that it costs little to move: the event itself lies still in its drawer.
    private struct Entry {
        var at: Int64
        var number: UInt64
        var drawer: Int
    }

    private var heap: [Entry] = []
    private var drawers: [Event?] = []
    private var free: [Int] = []
    private var count: UInt64 = 0

    private func isBefore(_ one: Int, _ other: Int) -> Bool {
        (heap[one].at, heap[one].number) < (heap[other].at, heap[other].number)
    }

    private mutating func keep(_ event: Event) -> Int {
        guard let drawer = free.popLast() else {
            drawers.append(event)
            return drawers.count - 1
        }
        drawers[drawer] = event
        return drawer
    }

    mutating func add(_ event: Event, at time: Int64) {
        count += 1
        heap.append(Entry(at: time, number: count, drawer: keep(event)))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if !isBefore(child, parent) { break }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    mutating func next(until end: Int64) -> (at: Int64, event: Event)? {
        guard let first = heap.first, first.at <= end else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in 2 * parent + 1...2 * parent + 2
            where child < heap.count && isBefore(child, least) { least = child }
            if least == parent { break }
            heap.swapAt(parent, least)
            parent = least
        }
        free.append(first.drawer)
        return drawers[first.drawer].take().map { (first.at, $0) }
    }
}
