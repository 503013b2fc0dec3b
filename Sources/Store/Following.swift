// How long does a word of another agent hold? Until it expires, or for as long as its agent vouches for it: a word that
// names the life of its agent was found again at every mark of that life, and need not be written again. Where
// nothing can be heard, time stands still for all of them. Pure: marks and clocks come from outside.

import Fleet
import Health
import Vocabulary

/// The words of others that one process goes by.
package struct Following<R: FencedRecord>: Sendable {
    private struct Followed {
        /// The life of its agent that vouches for it; zero where none does.
        var instance: UInt64
        var life: Nanoseconds
        var number: UInt64 = 0
    }

    /// When this life of an agent last was sure to find what it says; nil where nobody knows.
    package typealias Mark = (_ agent: String, _ instance: UInt64) -> WallTime?

    private var followed: [R.Key: Followed] = [:]
    /// In the order in which they came, which chance has no part in; also of those that were let go since.
    private var order: [(number: UInt64, key: R.Key)] = []
    private var lastNumber: UInt64 = 0
    /// Each comes to its turn once a round.
    private var round: ArraySlice<R.Key> = []
    private var roundBegan: Instant?
    /// Between the beginnings of the last two rounds.
    private var roundSpan = Nanoseconds.zero

    static var roundTime: Nanoseconds { .seconds(1) }
    /// No word of ours holds longer.
    private static var lifeMax: Nanoseconds { .seconds(7 * 86_400) }

    package init() {}

    package var count: Int { followed.count }

    // MARK: Reading

    /// A word was read that `instance` vouches for, or nobody: zero. As it holds now.
    package mutating func follow(_ record: R, vouchedBy instance: UInt64, _ mark: Mark) -> R {
        let life = min(max(record.expiresAt - record.checkedAt, .zero), Self.lifeMax)
        var one = Followed(instance: instance, life: life)
        if let before = followed[record.key] {
            one.number = before.number
        } else {
            lastNumber += 1
            one.number = lastNumber
            order.append((lastNumber, record.key))
        }
        followed[record.key] = one
        return renewed(record, one, mark) ?? record
    }

    /// The life that vouches for the word, or nobody: zero.
    package func instance(of key: R.Key) -> UInt64 { followed[key]?.instance ?? 0 }

    package mutating func letGo(_ key: R.Key) { followed[key] = nil }

    /// Nil where it is no later then.
    private func renewed(_ record: R, _ one: Followed, _ mark: Mark) -> R? {
        guard one.instance > 0, record.isFound, one.life > .zero,
            let time = mark(record.agent, one.instance),
            time + one.life > record.expiresAt
        else { return nil }
        var renewed = record
        renewed.renew(at: time, for: one.life)
        return renewed
    }

    // MARK: Time

    /// Words that hold for longer than was known: of those whose turn it is, so that all come to their turn
    /// within `roundTime`. `held` is what is known of each, and nil where it is let go. `pause` is the time
    /// between two calls.
    package mutating func renewals(
        isHearing: Bool,
        every pause: Nanoseconds,
        at now: Moment,
        held: (R.Key) -> R?,
        mark: Mark
    ) -> [R] {
        if round.isEmpty {
            let span = roundBegan.map { now.instant - $0 } ?? Self.roundTime
            if span < Self.roundTime { return [] }
            roundBegan = now.instant
            roundSpan = span
            order.removeAll { followed[$0.key]?.number != $0.number }
            round = order.map(\.key)[...]
        }
        let count = followed.count * Int(pause.count) / Int(Self.roundTime.count) + 1
        var renewals: [R] = []
        for key in round.prefix(count) {
            guard let one = followed[key], let record = held(key) else {
                followed[key] = nil
                continue
            }
            if !isHearing {
                guard record.expiresAt > now.wall else { continue }
                var later = record
                later.expiresAt = later.expiresAt + roundSpan
                renewals.append(later)
            } else if let later = renewed(record, one, mark) {
                // Not each time: whoever hears of it has work.
                let gain = later.expiresAt - record.expiresAt
                if gain.count >= one.life.count / 3 || record.expiresAt < now.wall {
                    renewals.append(later)
                }
            }
        }
        round = round.dropFirst(count)
        return renewals
    }

    package var keys: some Sequence<R.Key> { followed.keys }
}
