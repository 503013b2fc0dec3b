// What does Redis still have to hear from us? Of each pair only the newest verdict, transitions
// before renewals, and after Redis was away everything once more. Pure.

import Health
import Vocabulary

struct Outbox: Sendable {
    private struct Mine {
        var verdict: Verdict
        /// What Redis believes until then; zero before the first write.
        var storedUntil: WallTime
    }

    private var mine: [VerdictKey: Mine] = [:]
    private var urgent = Set<VerdictKey>()
    private var lazy = Set<VerdictKey>()
    private var forgotten: [VerdictKey] = []
    private var underWay = 0

    private static let never = WallTime(milliseconds: 0)
    /// Added to a verdict's life in Redis. Other agents look for renewals this often and a bit
    /// more, so a renewal need not wake them.
    static let grace = Nanoseconds.seconds(10)
    /// Verdicts written by one call of the script.
    static let batchMax = 64
    /// Removals kept while Redis is away; what is lost here expires.
    static let forgottenMax = 10_000

    /// Taken and not confirmed, those under way included.
    var pendingCount: Int { urgent.count + lazy.count + forgotten.count + underWay }
    var hasUrgent: Bool { !urgent.isEmpty || !forgotten.isEmpty }
    var lazyCount: Int { lazy.count }

    /// Takes a verdict. False when a newer one is here already.
    mutating func take(_ verdict: Verdict, isTransition: Bool, now: WallTime) -> Bool {
        let key = verdict.key
        let held = mine[key]
        if let held, held.verdict.isNewer(than: verdict) { return false }
        let storedUntil = held?.storedUntil ?? Self.never
        let renews = held.map { verdict.renews($0.verdict) } ?? false
        mine[key] = Mine(verdict: verdict, storedUntil: storedUntil)
        if isTransition || !renews {
            mark(key, isUrgent: isTransition)
        } else {
            // A third of its life in Redis is over: time to renew it. Other agents look each five
            // seconds, and take over what seems to come to its end.
            let life = verdict.expiresAt + Self.grace - verdict.checkedAt
            if storedUntil - now < Nanoseconds(life.count / 3 * 2) { mark(key, isUrgent: false) }
        }
        return true
    }

    private mutating func mark(_ key: VerdictKey, isUrgent: Bool) {
        if isUrgent {
            urgent.insert(key)
            lazy.remove(key)
        } else if !urgent.contains(key) {
            lazy.insert(key)
        }
    }

    /// The wall clock was set by `step`.
    mutating func shift(by step: Nanoseconds) {
        for key in mine.keys {
            guard let until = mine[key]?.storedUntil, until != Self.never else { continue }
            mine[key]?.storedUntil = until + step
            mine[key]?.verdict.shift(by: step)
        }
    }

    mutating func forget(_ key: VerdictKey) {
        guard mine.removeValue(forKey: key) != nil else { return }
        urgent.remove(key)
        lazy.remove(key)
        if forgotten.count < Self.forgottenMax { forgotten.append(key) }
    }

    /// Redis may have lost what it had: everything goes out again.
    mutating func restate() {
        for key in mine.keys { mark(key, isUrgent: true) }
    }

    /// The next verdicts to write, with their life in Redis. Every batch ends in `wrote` or
    /// `failed`.
    mutating func nextBatch() -> [Verdict] {
        let keys = urgent.prefix(Self.batchMax)
        let more = lazy.prefix(Self.batchMax - keys.count)
        let batch: [Verdict] = (Array(keys) + Array(more)).compactMap { key in
            urgent.remove(key)
            lazy.remove(key)
            guard var verdict = mine[key]?.verdict else { return nil }
            verdict.expiresAt = verdict.expiresAt + Self.grace
            return verdict
        }
        underWay += batch.count
        return batch
    }

    mutating func nextForgotten() -> [VerdictKey] {
        defer { forgotten = [] }
        return forgotten
    }

    /// The batch is in Redis, or was refused there: either way it is dealt with.
    mutating func wrote(_ batch: [Verdict]) {
        underWay -= batch.count
        for verdict in batch {
            mine[verdict.key]?.storedUntil = verdict.expiresAt
        }
    }

    /// The batch may not have arrived.
    mutating func failed(_ batch: [Verdict]) {
        underWay -= batch.count
        for verdict in batch where mine[verdict.key] != nil {
            mark(verdict.key, isUrgent: true)
        }
    }

    /// We wrote this very verdict ourselves: reading it back is no news.
    func isOwn(_ verdict: Verdict) -> Bool {
        guard let held = mine[verdict.key]?.verdict else { return false }
        return held.agent == verdict.agent && held.epoch == verdict.epoch
            && held.sequence >= verdict.sequence
    }
}
