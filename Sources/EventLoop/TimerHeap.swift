// Which timer is due next? A binary heap of deadlines over a table of slots, so that any timer can
// be cancelled or moved in O(log n) by the name it was given. A pure value: it reads no clock.

import Vocabulary

/// Names a timer. The generation makes the name of a timer that has fired useless.
public struct TimerID: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32

    /// Names nothing. Storage that is not optional holds it where no timer is set.
    public static let none = TimerID(slot: .max, generation: 0)

    public var isNone: Bool { slot == .max }
}

/// Deadlines in order, each with a payload.
struct TimerHeap<Payload> {
    private struct Slot {
        var deadline: Instant
        /// Breaks ties: timers of the same deadline fire in the order they were set.
        var order: UInt64
        var generation: UInt32
        /// Where in `heap` this slot stands; -1 while free.
        var place: Int32
        var payload: Payload?
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private var heap: [UInt32] = []
    private var nextOrder: UInt64 = 0

    var count: Int { heap.count }

    /// The earliest deadline.
    var next: Instant? { heap.first.map { slots[Int($0)].deadline } }

    mutating func insert(_ deadline: Instant, _ payload: Payload) -> TimerID {
        let index: UInt32
        if let reused = free.popLast() {
            index = reused
            slots[Int(index)].deadline = deadline
            slots[Int(index)].order = nextOrder
            slots[Int(index)].payload = payload
        } else {
            index = UInt32(slots.count)
            slots.append(
                Slot(
                    deadline: deadline,
                    order: nextOrder,
                    generation: 1,
                    place: -1,
                    payload: payload
                )
            )
        }
        nextOrder += 1
        heap.append(index)
        slots[Int(index)].place = Int32(heap.count - 1)
        rise(from: heap.count - 1)
        return TimerID(slot: index, generation: slots[Int(index)].generation)
    }

    /// Returns false when that timer has fired or was cancelled.
    @discardableResult
    mutating func cancel(_ id: TimerID) -> Bool {
        guard let place = place(of: id) else { return false }
        remove(at: place)
        return true
    }

    /// Moves a timer to another deadline. Returns false when it has fired or was cancelled.
    mutating func move(_ id: TimerID, to deadline: Instant) -> Bool {
        guard let place = place(of: id) else { return false }
        slots[Int(id.slot)].deadline = deadline
        slots[Int(id.slot)].order = nextOrder
        nextOrder += 1
        rise(from: place)
        sink(from: Int(slots[Int(id.slot)].place))
        return true
    }

    /// Tells timers set up to now from those set or moved later.
    var mark: UInt64 { nextOrder }

    /// Takes out the earliest timer if it is due and was set before `mark` was read.
    mutating func popDue(at now: Instant, setBefore mark: UInt64 = .max) -> Payload? {
        guard let first = heap.first, slots[Int(first)].deadline <= now,
            slots[Int(first)].order < mark
        else { return nil }
        let payload = slots[Int(first)].payload
        remove(at: 0)
        return payload
    }

    private func place(of id: TimerID) -> Int? {
        guard id.slot < slots.count else { return nil }
        let slot = slots[Int(id.slot)]
        return slot.generation == id.generation && slot.place >= 0 ? Int(slot.place) : nil
    }

    private mutating func remove(at place: Int) {
        let index = heap[place]
        swapAt(place, heap.count - 1)
        heap.removeLast()
        if place < heap.count {
            rise(from: place)
            sink(from: place)
        }
        slots[Int(index)].place = -1
        slots[Int(index)].payload = nil
        slots[Int(index)].generation &+= 1
        free.append(index)
    }

    private func isEarlier(_ left: UInt32, _ right: UInt32) -> Bool {
        let (a, b) = (slots[Int(left)], slots[Int(right)])
        return a.deadline != b.deadline ? a.deadline < b.deadline : a.order < b.order
    }

    private mutating func swapAt(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        slots[Int(heap[left])].place = Int32(left)
        slots[Int(heap[right])].place = Int32(right)
    }

    private mutating func rise(from place: Int) {
        var place = place
        while place > 0 {
            let parent = (place - 1) / 2
            guard isEarlier(heap[place], heap[parent]) else { return }
            swapAt(place, parent)
            place = parent
        }
    }

    private mutating func sink(from place: Int) {
        var place = place
        while true {
            var earliest = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && isEarlier(heap[child], heap[earliest]) {
                earliest = child
            }
            if earliest == place { return }
            swapAt(place, earliest)
            place = earliest
        }
    }

    /// The invariants, for tests: the heap order holds and every slot knows its place.
    func isConsistent() -> Bool {
        heap.indices.allSatisfy { place in
            slots[Int(heap[place])].place == Int32(place)
                && (place == 0 || !isEarlier(heap[place], heap[(place - 1) / 2]))
        } && heap.count + free.count == slots.count
    }
}
