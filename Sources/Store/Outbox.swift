// What does Redis still have to hear of what we say? Of each thing only the newest word, transitions
// before renewals, and after Redis was away everything once more. Pure.

import Health
import Vocabulary

enum OutboxLimits {
    /// Added to a word's life in Redis. Other agents look for renewals this often and a bit more, so a
    /// renewal need not wake them.
    static let grace = Nanoseconds.seconds(10)
    /// Written by one call of the script.
    static let batchMax = 64
    /// What somebody vouches for is written again after so long all the same: what is a week old is removed.
    static let vouchedRenewal = Nanoseconds.seconds(12 * 3_600)
    /// Removals kept while Redis is away; what is lost here expires.
    static let forgottenMax = 10_000
}

package struct Outbox<R: FencedRecord>: Sendable {
    private struct Mine {
        var record: R
        /// What Redis believes until then; zero before the first write.
        var storedUntil: WallTime
        /// The order under which somebody else wrote it for us.
        var order: (epoch: UInt64, sequence: UInt64) = (0, 0)
        /// It holds in Redis for as long as this agent's mark moves on.
        var isVouched = false
    }

    /// The order of what is taken is the caller's business: another one is given to it when it is written.
    package var takesAnyOrder = false

    private var mine: [R.Key: Mine] = [:]
    private var urgent = Set<R.Key>()
    private var lazy = Set<R.Key>()
    private var forgotten: [R.Key] = []
    private var underWay = 0

    package init() {}

    /// Taken and not confirmed, those under way included.
    var pendingCount: Int { urgent.count + lazy.count + forgotten.count + underWay }
    var hasUrgent: Bool { !urgent.isEmpty || !forgotten.isEmpty }
    var lazyCount: Int { lazy.count }

    /// Takes a record. False when a newer one is here already. `vouches` where what is unchanged need not be
    /// said again.
    package mutating func take(
        _ record: R,
        isTransition: Bool,
        now: WallTime,
        vouches: Bool = false
    ) -> Bool {
        let key = record.key
        let held = mine[key]
        if let held, !takesAnyOrder, held.record.isNewer(than: record),
            record.isAboutTheSame(as: held.record)
        {
            return false
        }
        let storedUntil = held?.storedUntil ?? StampTime.never
        let renews = held.map { record.renews($0.record) } ?? false
        mine[key] = Mine(
            record: record,
            storedUntil: storedUntil,
            order: held?.order ?? (0, 0),
            isVouched: held?.isVouched ?? false
        )
        if isTransition || !renews {
            mark(key, isUrgent: isTransition)
        } else if vouches, held?.isVouched == true {
            if now - storedUntil > OutboxLimits.vouchedRenewal { mark(key, isUrgent: false) }
        } else if vouches {
            mark(key, isUrgent: false)
        } else {
            // A third of its life in Redis is over: time to renew it. Other agents look each five
            // seconds, and take over what seems to come to its end.
            let life = record.expiresAt + OutboxLimits.grace - record.checkedAt
            let left = storedUntil - now
            // More than a whole life is left only by a clock that was set while the word was on its way.
            if left < Nanoseconds(life.count / 3 * 2) || left > life { mark(key, isUrgent: false) }
        }
        return true
    }

    private mutating func mark(_ key: R.Key, isUrgent: Bool) {
        if isUrgent {
            urgent.insert(key)
            lazy.remove(key)
        } else if !urgent.contains(key) {
            lazy.insert(key)
        }
    }

    /// The wall clock was set by `step`.
    package mutating func shift(by step: Nanoseconds) {
        for key in mine.keys {
            mine[key]?.record.shift(by: step)
            guard let until = mine[key]?.storedUntil, until != StampTime.never else { continue }
            mine[key]?.storedUntil = until + step
        }
    }

    mutating func forget(_ key: R.Key) {
        guard mine.removeValue(forKey: key) != nil else { return }
        urgent.remove(key)
        lazy.remove(key)
        if forgotten.count < OutboxLimits.forgottenMax { forgotten.append(key) }
    }

    /// Redis may have lost what it had: everything goes out again.
    package mutating func restate() {
        for key in mine.keys { mark(key, isUrgent: true) }
    }

    // MARK: What somebody else writes

    /// What is to be written, for somebody else to write.
    package mutating func drain() -> [(key: R.Key, isUrgent: Bool)] {
        defer { (urgent, lazy) = ([], []) }
        return urgent.map { ($0, true) } + lazy.map { ($0, false) }
    }

    /// As it is to be written now, with its life in Redis; and whether it is what is found now.
    package func newest(_ key: R.Key, at now: WallTime) -> (record: R, isCurrent: Bool)? {
        guard let record = mine[key]?.record else { return nil }
        // That nothing was found is so until something is.
        let isCurrent = record.expiresAt >= now || !record.isFound
        return (Self.stored(record), isCurrent)
    }

    /// With its life in Redis. What was over when it was said is not alive there either, and what was read there and not
    /// found since has it already.
    static func stored(_ record: R) -> R {
        var record = record
        if record.isFound, record.expiresAt >= record.checkedAt {
            record.expiresAt = record.expiresAt + OutboxLimits.grace
        }
        return record
    }

    /// What was vouched for and is not found any more: it has to be said.
    package func lapsed(at now: WallTime) -> [R.Key] {
        mine.compactMap { key, one in
            one.isVouched && one.record.isFound && one.record.expiresAt < now ? key : nil
        }
    }

    /// It is on its way in these words.
    package mutating func sent(_ record: R) {
        mine[record.key]?.order = (record.epoch, record.sequence)
    }

    /// It is in Redis in these words.
    package mutating func wrote(_ record: R, isVouched: Bool) {
        mine[record.key]?.storedUntil = record.expiresAt
        mine[record.key]?.isVouched = isVouched
    }

    /// Another says it from now on.
    package mutating func letGo(_ key: R.Key) {
        mine[key] = nil
        urgent.remove(key)
        lazy.remove(key)
    }

    /// Another process says everything from now on.
    package mutating func letGoOfAll() {
        mine = [:]
        urgent = []
        lazy = []
    }

    /// Another has said it under a later claim, or under the one that was known when it was said here without one:
    /// no two agents write under one claim.
    package mutating func letGo(of record: R, asAgent agent: String) {
        guard record.agent != agent, let held = mine[record.key]?.record,
            record.epoch >= held.epoch
        else { return }
        letGo(record.key)
    }

    /// The next to write, with their life in Redis. Every batch ends in `wrote` or
    /// `failed`.
    mutating func nextBatch() -> [R] {
        let keys = urgent.prefix(OutboxLimits.batchMax)
        let more = lazy.prefix(OutboxLimits.batchMax - keys.count)
        let batch: [R] = (Array(keys) + Array(more)).compactMap { key in
            urgent.remove(key)
            lazy.remove(key)
            return (mine[key]?.record).map(Self.stored)
        }
        underWay += batch.count
        return batch
    }

    mutating func nextForgotten() -> [R.Key] {
        defer { forgotten = [] }
        return forgotten
    }

    /// The batch is in Redis, or was refused there: either way it is dealt with.
    mutating func wrote(_ batch: [R]) {
        underWay -= batch.count
        for record in batch {
            mine[record.key]?.storedUntil = record.expiresAt
        }
    }

    /// The batch may not have arrived.
    mutating func failed(_ batch: [R]) {
        underWay -= batch.count
        for record in batch where mine[record.key] != nil {
            mark(record.key, isUrgent: true)
        }
    }

    // MARK: What was read

    package enum Heard: Hashable, Sendable {
        /// This process said it, or what it says itself stands against it.
        case own
        /// About another thing of the same name: people hear of it, and nothing is kept.
        case aside
        /// A later word is known.
        case old
        /// It holds from now on.
        case news
    }

    /// Takes a word that lies in the store to what is known, `shelf`. `isTwin` where another process speaks under
    /// this agent's name.
    package mutating func hear(
        _ record: R,
        besides shelf: Shelf<R>,
        asAgent agent: String,
        isTwin: Bool
    ) -> Heard {
        if isOwn(record) { return .own }
        // Its twin is not another agent, whose word could hold in place of ours.
        if isTwin, record.agent == agent, holds(record.key) { return .own }
        if isAboutAnother(record) { return .aside }
        return shelf.take(record) ? .news : .old
    }

    package func holds(_ key: R.Key) -> Bool { mine[key] != nil }
    /// Everything that is said here.
    var keys: some Sequence<R.Key> { mine.keys }

    /// What we say under this name is about something else.
    func isAboutAnother(_ record: R) -> Bool {
        mine[record.key].map { !$0.record.isAboutTheSame(as: record) } ?? false
    }

    /// We wrote these very words ourselves: reading it back is no news.
    package func isOwn(_ record: R) -> Bool {
        guard let mine = mine[record.key], mine.record.agent == record.agent else { return false }
        if mine.order != (0, 0) { return mine.order >= (record.epoch, record.sequence) }
        return mine.record.epoch == record.epoch && mine.record.sequence >= record.sequence
    }
}
