// Who of two drawn by chance answers sooner, by what it has under way and how long its answers took?
// A slow answer counts at once, and is forgotten slowly.

import EventLoop
import Vocabulary

/// `random-two`, but what a peer has under way is multiplied by how long its answers take to begin: the
/// peak, from which it comes down by half in seven seconds as quicker answers follow.
final class PeakEWMA: RandomTwo {
    override class var name: String { "peak-ewma" }
    override var observes: Bool { true }

    /// The time in which a peak shrinks to a third, in microseconds.
    private static let memory: Int64 = 10_000_000
    /// When an answer was heard last, of whomever.
    private var now: Int64 = 0

    /// What is known of a peer, in its candidate's word: zero is nothing.
    struct Latency {
        /// In microseconds, never zero.
        var micros: UInt32
        /// Since when; wraps after an hour, and an hour later nothing is left of it anyway.
        var since: UInt32

        init(_ micros: Int64, since: Int64) {
            self.micros = UInt32(clamping: max(micros, 1))
            self.since = UInt32(truncatingIfNeeded: since)
        }

        init?(_ word: Int64) {
            if word == 0 { return nil }
            let bits = UInt64(bitPattern: word)
            micros = UInt32(truncatingIfNeeded: bits)
            since = UInt32(truncatingIfNeeded: bits >> 32)
        }

        var word: Int64 { Int64(bitPattern: UInt64(since) << 32 | UInt64(micros)) }

        /// What `seen` makes of it.
        mutating func take(_ seen: Int64, at now: Int64) {
            let before = Int64(micros)
            guard seen < before else {
                self = Latency(seen, since: now)
                return
            }
            let next = Self.between(before, seen, after: age(at: now))
            // Too little time for a change that can be counted: it adds up.
            if next != before { self = Latency(next, since: now) }
        }

        /// Of a peer that is not asked less and less is known, until it is asked again.
        func faded(at now: Int64) -> Int64 { Self.between(Int64(micros), 0, after: age(at: now)) }

        private func age(at now: Int64) -> Int64 {
            Int64(UInt32(truncatingIfNeeded: now) &- since)
        }

        private static func between(_ old: Int64, _ new: Int64, after age: Int64) -> Int64 {
            (old &* PeakEWMA.memory &+ new &* age) / (PeakEWMA.memory &+ age)
        }
    }

    override func observe(
        _ candidates: Candidates,
        at place: Int,
        _ latency: Nanoseconds,
        now moment: Instant
    ) {
        now = moment.nanoseconds / 1_000
        let seen = latency.count / 1_000
        guard var known = Latency(candidates[place].current) else {
            candidates[place].current = Latency(seen, since: now).word
            return
        }
        known.take(seen, at: now)
        candidates[place].current = known.word
    }

    override func isBetter(_ other: Candidate, than one: Candidate) -> Bool {
        switch (Latency(one.current), Latency(other.current)) {
        case (nil, nil): return super.isBetter(other, than: one)
        // Whoever is not known gets one request to show itself.
        case (nil, _?): return one.inFlight > 0
        case (_?, nil): return other.inFlight == 0
        case (let mine?, let its?):
            let (mine, its) = (cost(mine, one), cost(its, other))
            return its < mine
        }
    }

    /// Both were drawn by weight, so that of idle ones only how long they take counts.
    private func cost(_ latency: Latency, _ candidate: Candidate) -> Double {
        let time = Double(latency.faded(at: now))
        if candidate.inFlight == 0 { return time / 100 }
        return time * Double(candidate.inFlight + 1) / Double(candidate.weight)
    }
}
