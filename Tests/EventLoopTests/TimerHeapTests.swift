// Does the heap keep its timers in order? It is held against a plain list that is searched from end
// to end: every short history there is, and long ones from a seed.

import Testing
import Vocabulary

@testable import EventLoop

/// The same promises without any cleverness.
private struct NaiveTimers {
    private var timers: [(id: Int, deadline: Int64, order: Int)] = []
    private var orders = 0

    var count: Int { timers.count }
    var next: Int64? { timers.map { $0.deadline }.min() }

    mutating func insert(_ id: Int, _ deadline: Int64) {
        timers.append((id, deadline, orders))
        orders += 1
    }

    mutating func cancel(_ id: Int) -> Bool {
        guard let index = timers.firstIndex(where: { $0.id == id }) else { return false }
        timers.remove(at: index)
        return true
    }

    mutating func move(_ id: Int, _ deadline: Int64) -> Bool {
        guard cancel(id) else { return false }
        insert(id, deadline)
        return true
    }

    mutating func popDue(_ now: Int64) -> Int? {
        let due = timers.filter { $0.deadline <= now }
        guard let first = due.min(by: { ($0.deadline, $0.order) < ($1.deadline, $1.order) }) else {
            return nil
        }
        _ = cancel(first.id)
        return first.id
    }
}

private enum Operation {
    case insert(Int64)
    case cancel(Int)
    case move(Int, Int64)
    case pop(Int64)
}

/// Both side by side. Timers keep their names after they have fired, to be named in vain.
private struct Twins {
    private var heap = TimerHeap<Int>()
    private var naive = NaiveTimers()
    private var ids: [TimerID] = []

    /// False as soon as the two disagree or the heap is no heap any more.
    mutating func apply(_ operation: Operation) -> Bool {
        let agrees: Bool
        switch operation {
        case .insert(let deadline):
            naive.insert(ids.count, deadline)
            ids.append(heap.insert(Instant(nanoseconds: deadline), ids.count))
            agrees = true
        case .cancel(let index):
            agrees = heap.cancel(name(index)) == naive.cancel(index)
        case .move(let index, let deadline):
            let moved = heap.move(name(index), to: Instant(nanoseconds: deadline))
            agrees = moved == naive.move(index, deadline)
        case .pop(let now):
            agrees = heap.popDue(at: Instant(nanoseconds: now)) == naive.popDue(now)
        }
        return agrees && heap.isConsistent() && heap.count == naive.count
            && heap.next?.nanoseconds == naive.next
    }

    /// What is left comes out in the same order.
    mutating func drain() -> Bool {
        while heap.count > 0 { guard apply(.pop(.max)) else { return false } }
        return true
    }

    private func name(_ index: Int) -> TimerID { index < ids.count ? ids[index] : .none }
}

@Suite struct TimerHeapTests {
    /// Every order of these operations: from nothing, and from a heap of three layers.
    @Test(arguments: [(before: [], depth: 5), (before: [3, 1, 2, 1, 2], depth: 4)])
    func `no short history tells the heap from a list`(before: [Int64], depth: Int) {
        let operations: [Operation] = [
            .insert(1), .insert(2), .cancel(0), .cancel(1), .cancel(2), .move(0, 1), .move(1, 3),
            .move(2, 2), .pop(1), .pop(2),
        ]
        // Walked as a tree, so that a beginning is played once for all its continuations.
        func walk(_ twins: Twins, _ history: [Int]) -> [Int]? {
            if history.count == depth {
                var last = twins
                return last.drain() ? nil : history
            }
            for choice in operations.indices {
                var next = twins
                guard next.apply(operations[choice]) else { return history + [choice] }
                if let failed = walk(next, history + [choice]) { return failed }
            }
            return nil
        }
        var twins = Twins()
        for deadline in before {
            let agrees = twins.apply(.insert(deadline))
            #expect(agrees)
        }
        #expect(walk(twins, []) == nil)
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `no long history tells the heap from a list`(seed: UInt64) {
        var random = Dice(seed: seed)
        var twins = Twins()
        var inserted = 0
        for step in 0..<600 {
            let deadline = Int64(random.next() % 50)
            // Mostly recent names, so that they are often alive; sometimes ones long gone.
            let reach = random.next() % 4 == 0 ? inserted + 1 : min(inserted + 1, 40)
            let index = inserted - Int(random.next() % UInt64(reach))
            let operation: Operation =
                switch random.next() % 10 {
                case 0...3: .insert(deadline)
                case 4...5: .cancel(index)
                case 6...7: .move(index, deadline)
                default: .pop(deadline)
                }
            if case .insert = operation { inserted += 1 }
            guard twins.apply(operation) else {
                Issue.record("seed \(seed) step \(step): \(operation)")
                return
            }
        }
        let isDrained = twins.drain()
        #expect(isDrained)
    }

    @Test func `a timer that has fired cannot be cancelled through its successor's slot`() {
        var heap = TimerHeap<String>()
        let first = heap.insert(Instant(nanoseconds: 1), "first")
        let fired = heap.popDue(at: Instant(nanoseconds: 1))
        #expect(fired == "first")
        let second = heap.insert(Instant(nanoseconds: 2), "second")
        #expect(second.slot == first.slot)
        let (wasCancelled, wasMoved) = (
            heap.cancel(first), heap.move(first, to: Instant(nanoseconds: 9))
        )
        #expect(!wasCancelled)
        #expect(!wasMoved)
        let firedNext = heap.popDue(at: Instant(nanoseconds: 2))
        #expect(firedNext == "second")
    }

    @Test func `a timer set after the mark is not due before it`() {
        var heap = TimerHeap<String>()
        _ = heap.insert(Instant(nanoseconds: 1), "old")
        let mark = heap.mark
        _ = heap.insert(Instant(nanoseconds: 1), "new")
        let now = Instant(nanoseconds: 1)
        let fired = [
            heap.popDue(at: now, setBefore: mark), heap.popDue(at: now, setBefore: mark),
            heap.popDue(at: now),
        ]
        #expect(fired == ["old", nil, "new"])
    }

    @Test func `no name names nothing`() {
        var heap = TimerHeap<Int>()
        _ = heap.insert(Instant(nanoseconds: 1), 1)
        #expect(TimerID.none.isNone)
        let wasCancelled = heap.cancel(.none)
        #expect(!wasCancelled)
        #expect(heap.count == 1)
    }
}
