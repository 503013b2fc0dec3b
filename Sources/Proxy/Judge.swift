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

    mutating func forget(_ key: PeerKey) { failures[key] = nil }

    mutating func keep(where isKnown: (PeerKey) -> Bool) {
        failures = failures.filter { isKnown($0.key) }
    }
}

/// When are the workers asked for what they saw? At once, and then not too often; and as soon as anybody wants it, however
/// much later another did.
struct LookTimes {
    /// Between two looks for what workers tell, and while somebody has failed fewer requests than it may by one or a few:
    /// each moment more costs requests.
    static let apart = Nanoseconds.milliseconds(10)
    static let apartWhileCounting = Nanoseconds.milliseconds(1)
    /// Between two looks at an upstream with trouble in it of which nobody tells.
    static let again = Nanoseconds.milliseconds(100)

    /// Somebody has failed requests, and not so many that it is ejected for it.
    var isCounting = false
    private(set) var due: Instant?
    private var takenAt = Instant(nanoseconds: .min)
    private var countedAt = Instant(nanoseconds: .min)

    /// A worker has something to tell. Returns when to look, where that is sooner than was known.
    mutating func strike(at now: Instant) -> Instant? {
        want(max(takenAt + (isCounting ? Self.apartWhileCounting : Self.apart), now))
    }

    /// Nobody tells of anything. The same.
    mutating func goOn(at now: Instant) -> Instant? {
        want(hasLeftOut ? max(countedAt + Self.apart, now) : now + Self.again)
    }

    /// The workers were asked, and not counted.
    private var hasLeftOut: Bool { countedAt < takenAt }

    private mutating func want(_ moment: Instant) -> Instant? {
        if let due, due <= moment { return nil }
        due = moment
        return moment
    }

    mutating func take(at now: Instant) {
        takenAt = now
        due = nil
    }

    /// Whether all peers in trouble are to be counted too, of which there may be thousands.
    mutating func mayCount(at now: Instant, mustCount: Bool) -> Bool {
        guard mustCount || countedAt + Self.apart <= now else { return false }
        countedAt = now
        return true
    }
}

/// How long a peer stays out: twice as long each time that it falls again soon after it was back.
struct Holds {
    private struct Fall {
        var count: Int
        /// The distant future while it is out.
        var backAt: Instant
    }

    private var falls: [PeerKey: Fall] = [:]
    static let soon = Nanoseconds.seconds(30)

    /// The peer is taken out. `chance` is from 0 to 1: peers that fell together need not come back so.
    /// A probe may bring it back before its time only where it has not fallen before.
    mutating func begin(
        _ key: PeerKey,
        _ base: Nanoseconds,
        upTo longest: Nanoseconds,
        at now: Instant,
        chance: Double
    ) -> (span: Nanoseconds, isRepeated: Bool) {
        let last = falls[key]
        let isSoon = last.map { $0.backAt > now || now - $0.backAt < Self.soon } ?? false
        let count = isSoon ? (last?.count ?? 0) + 1 : 1
        falls[key] = Fall(count: count, backAt: .distantFuture)
        if count == 1 { return (base, false) }
        var span = base
        for _ in 1..<count where span < longest { span = span * 2 }
        span = min(span, max(longest, base))
        return (span + Nanoseconds(Int64(Double(span.count) * 0.1 * chance)), true)
    }

    mutating func ended(_ key: PeerKey, at now: Instant) { falls[key]?.backAt = now }

    /// It serves again. What kept it out may have ended while it was down, and nobody was told of that.
    mutating func returned(_ key: PeerKey, at now: Instant) {
        if falls[key]?.backAt == .distantFuture { falls[key]?.backAt = now }
    }

    mutating func forget(_ key: PeerKey) { falls[key] = nil }
}

/// Who failed how often, between two times that somebody asks. Of a fixed size: a failure allocates
/// nothing, and what finds no place will fail again.
struct StrikeTable {
    struct Strike: Sendable {
        var peer: Int32
        /// Requests that failed whatever else the peer did.
        var count: Int32 = 0
        /// Requests that waited too long, and how long they waited: no failure where the peer answered
        /// another one meanwhile.
        var late: Int32 = 0
        var waited = Nanoseconds.zero
        /// When the last of these, or of those that it answered badly, was sent to it.
        var askedAt = Instant(nanoseconds: .min)
        /// Of the last one.
        var cause = FailureCause.none
        /// It answered with a status that tells of its trouble.
        var hasBadStatus = false
        /// Nothing was heard of it for a while.
        var isSilent = false

        mutating func add(_ other: Strike) {
            count &+= other.count
            late &+= other.late
            waited = max(waited, other.waited)
            askedAt = max(askedAt, other.askedAt)
            if other.cause != .none { cause = other.cause }
            hasBadStatus = hasBadStatus || other.hasBadStatus
            isSilent = isSilent || other.isSilent
        }
    }

    private let entries: UnsafeMutablePointer<Strike>
    private var used = 0
    static let capacity = 256

    init() { entries = .allocate(capacity: Self.capacity) }

    func destroy() { entries.deallocate() }

    /// Returns whether it is the first since the table was emptied.
    mutating func add(_ strike: Strike) -> Bool {
        var index = used
        while index > 0 {
            index -= 1
            if entries[index].peer == strike.peer {
                entries[index].add(strike)
                return false
            }
        }
        guard used < Self.capacity else { return false }
        (entries + used).initialize(to: strike)
        used += 1
        return used == 1
    }

    /// The peer is back: what it did before is over.
    mutating func forget(_ peer: Int32) {
        for index in 0..<used where entries[index].peer == peer {
            entries[index] = Strike(peer: peer)
        }
    }

    mutating func take() -> [Strike] {
        defer { used = 0 }
        return Array(UnsafeBufferPointer(start: entries, count: used))
    }
}
