// How many have been heard of within so long? Those with long intervals have not, and say nothing about what has become
// of the others meanwhile. Counted by eighths of that span: each pair once, where it was heard last. Pure.

import Vocabulary

struct HeardWithin: Sendable {
    private let step: Int64
    /// In which step each pair was heard last; -1: never, or it is another's.
    private var steps: [Int64] = []
    /// How many were heard last in each of the latest steps, in a ring.
    private var counts: [Int]
    private var latest: Int64 = 0

    private static let parts: Int64 = 8

    init(_ span: Nanoseconds) {
        step = max(span.count / Self.parts, 1)
        // The step that is on belongs to it too.
        counts = Array(repeating: 0, count: Int(Self.parts) + 1)
    }

    mutating func note(_ pair: PairNumber, at now: Instant) {
        advance(to: now)
        forget(pair)
        while steps.count <= Int(pair) { steps.append(-1) }
        steps[Int(pair)] = latest
        counts[place(of: latest)] += 1
    }

    mutating func forget(_ pair: PairNumber) {
        guard steps.indices.contains(Int(pair)), steps[Int(pair)] >= 0 else { return }
        if latest - steps[Int(pair)] <= Self.parts { counts[place(of: steps[Int(pair)])] -= 1 }
        steps[Int(pair)] = -1
    }

    mutating func count(at now: Instant) -> Int {
        advance(to: now)
        return counts.reduce(0, +)
    }

    private func place(of step: Int64) -> Int { Int(step % (Self.parts + 1)) }

    private mutating func advance(to now: Instant) {
        let next = max(now.nanoseconds / step, latest)
        var passed = max(latest, next - Self.parts - 1)
        while passed < next {
            passed += 1
            counts[place(of: passed)] = 0
        }
        latest = next
    }
}
