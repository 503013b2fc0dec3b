// What happens next? Everything of a simulated world stands on one line, in the order of its time; what is due
// at the same moment comes in the order in which it was put there. So a seed gives one story, always.

struct Timeline<Event> {
    private struct Entry {
        var at: Int64
        var number: UInt64
        var event: Event
    }

    private var heap: [Entry] = []
    private var count: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }

    private func isBefore(_ one: Int, _ other: Int) -> Bool {
        (heap[one].at, heap[one].number) < (heap[other].at, heap[other].number)
    }

    mutating func add(_ event: Event, at time: Int64) {
        count += 1
        heap.append(Entry(at: time, number: count, event: event))
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
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && isBefore(child, least) { least = child }
            if least == parent { break }
            heap.swapAt(parent, least)
            parent = least
        }
        return (first.at, first.event)
    }
}
