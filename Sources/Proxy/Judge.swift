// Does a peer fail the requests that it is given? Counted over all workers in nginx's words: so many
// failures within a time eject the peer for that time. Pure.

import EventLoop
import Health
import Vocabulary

/// Failures of the connections to peers, as long as they count.
struct Judge {
    private struct Slice {
        var begin: Instant
        var count: Int
    }

    /// The failures of the last window, a sixteenth of it together.
    private var failures: [PeerKey: [Slice]] = [:]
    private static let slices: Int64 = 16

    /// `count` more failures. Returns how many there were within the window when they are as many as
    /// eject a peer; then they are forgotten.
    mutating func failed(
        _ key: PeerKey,
        _ count: Int,
        of definition: PeerDefinition,
        at now: Instant
    ) -> Int? {
        guard definition.maxFails > 0 else { return nil }
        let window = definition.failTimeout
        var slices = (failures[key] ?? []).filter { now - $0.begin < window }
        if let last = slices.last, now - last.begin < Nanoseconds(window.count / Self.slices) {
            slices[slices.count - 1].count += count
        } else {
            slices.append(Slice(begin: now, count: count))
        }
        let total = slices.reduce(0) { $0 + $1.count }
        guard total >= definition.maxFails else {
            failures[key] = slices
            return nil
        }
        failures[key] = nil
        return total
    }

    mutating func keep(where isKnown: (PeerKey) -> Bool) {
        failures = failures.filter { isKnown($0.key) }
    }
}

/// Who failed how often, between two times that somebody asks. Of a fixed size: a failure allocates
/// nothing, and what finds no place will fail again.
struct StrikeTable {
    struct Strike: Sendable {
        var peer: Int32
        var count: Int32
        /// Of the last one.
        var cause: FailureCause
    }

    private let entries: UnsafeMutablePointer<Strike>
    private var used = 0
    static let capacity = 256

    init() { entries = .allocate(capacity: Self.capacity) }

    func destroy() { entries.deallocate() }

    /// Returns whether it is the first since the table was emptied.
    mutating func add(_ peer: Int32, _ cause: FailureCause) -> Bool {
        var index = used
        while index > 0 {
            index -= 1
            if entries[index].peer == peer {
                entries[index].count &+= 1
                entries[index].cause = cause
                return false
            }
        }
        guard used < Self.capacity else { return false }
        (entries + used).initialize(to: Strike(peer: peer, count: 1, cause: cause))
        used += 1
        return used == 1
    }

    mutating func take() -> [Strike] {
        defer { used = 0 }
        return Array(UnsafeBufferPointer(start: entries, count: used))
    }
}
