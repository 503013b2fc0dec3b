// Which word of a thing holds in this process: what is said here, or what was read? Words are ordered by the
// claim under which they were written, and what is said here without one (a claim whose answer was lost, a store
// that cannot be asked) is only shown: it never stands above what lies in the store, and that holds again as soon as
// it is not said any more. Pure, but for the shelf that others read. The simulation runs on it too.

import EventLoop
import Health
import Vocabulary

package struct FencedBook<R: FencedRecord> {
    let agent: String
    /// What is known of the store, and what is said here under a claim of this agent.
    let shelf: Shelf<R>
    package var outbox = Outbox<R>()
    private var following = Following<R>()
    /// What was read under these names while something else was said here. It holds as soon as that is not said any more.
    private var aside: [R.Key: Aside] = [:]
    /// Words are written under claims, by somebody else.
    package private(set) var isShared = false

    private struct Aside {
        var record: R
        /// The life that vouches for it, or nobody: zero.
        var instance: UInt64
    }

    /// Two clocks that agree may differ by this.
    private static var clockTolerance: Nanoseconds { .seconds(1) }

    package init(of agent: String, on shelf: Shelf<R>) {
        self.agent = agent
        self.shelf = shelf
    }

    /// From now on somebody else decides who writes.
    package mutating func share() {
        isShared = true
        outbox.takesAnyOrder = true
    }

    /// What is said here is the word that holds.
    private func speaks(for key: R.Key) -> Bool {
        outbox.holds(key) && (shelf[key].map { $0.agent == agent } ?? true)
    }

    /// The wall clock was set by `step`.
    package mutating func shift(by step: Nanoseconds) {
        outbox.shift(by: step)
        for key in aside.keys { aside[key]?.record.shift(by: step) }
        for key in following.keys where !speaks(for: key) {
            guard var record = shelf[key] else { continue }
            record.shift(by: step)
            shelf.put(record, for: key)
        }
    }

    // MARK: Saying

    package enum Said: Hashable, Sendable {
        /// A newer one is here already.
        case refused
        /// It is on its way, and what lies in the store holds.
        case shown
        case kept
    }

    package mutating func say(
        _ record: R,
        isTransition: Bool,
        now: WallTime,
        vouches: Bool
    ) -> Said {
        guard outbox.take(record, isTransition: isTransition, now: now, vouches: vouches) else {
            return .refused
        }
        if isShared, let held = shelf[record.key], held.agent != agent {
            if !record.isAboutTheSame(as: held) {
                setAside(held, vouchedBy: following.instance(of: record.key))
            } else if !record.isNewer(than: held) {
                return .shown
            }
        }
        return shelf.take(record) ? .kept : .shown
    }

    /// It is in Redis in these words, in place of what was read before.
    package mutating func wrote(_ record: R, isVouched: Bool) {
        outbox.wrote(record, isVouched: isVouched)
        if let other = aside[record.key], record.epoch > other.record.epoch {
            aside[record.key] = nil
        }
    }

    /// It is not said here any more. Answers the word that holds now: the one that was read, where another had been
    /// shown, and else what was said here last, for as long as it holds for everybody.
    package mutating func giveUp(_ key: R.Key, mark: Following<R>.Mark) -> R? {
        let other = aside.removeValue(forKey: key)
        guard isShared, outbox.holds(key) else { return nil }
        let wasSaid = speaks(for: key)
        outbox.letGo(key)
        if let other {
            let record = following.follow(other.record, vouchedBy: other.instance, mark)
            shelf.put(record, for: key)
            return record
        }
        guard wasSaid, let record = shelf[key] else { return shelf[key] }
        let stored = Outbox.stored(record)
        shelf.put(stored, for: key)
        return following.follow(stored, vouchedBy: 0, { _, _ in nil })
    }

    private mutating func setAside(_ record: R, vouchedBy instance: UInt64) {
        if let other = aside[record.key]?.record, other.isNewer(than: record) { return }
        aside[record.key] = Aside(record: record, instance: instance)
    }

    /// All of it is read again.
    package mutating func forgetAside() { aside = [:] }

    // MARK: Hearing

    /// Takes a word that was read, which `instance` vouches for, or nobody: zero. `isTwin` where another process
    /// speaks under this agent's name. Where how far others are cannot be heard (`isHearing`), the word holds for as long as the
    /// one before would have.
    package mutating func hear(
        _ record: R,
        vouchedBy instance: UInt64,
        isTwin: Bool,
        isHearing: Bool,
        now: WallTime,
        mark: Following<R>.Mark
    ) -> (what: Outbox<R>.Heard, record: R) {
        var record = record
        if isShared {
            // By a clock of the store that was set since this agent heard of it last: nothing would renew it before.
            let ahead = record.checkedAt - now
            if ahead > Self.clockTolerance { record.shift(by: -ahead) }
            outbox.letGo(of: record, asAgent: agent)
            if outbox.holds(record.key) {
                if speaks(for: record.key) { following.letGo(record.key) }
            } else if !isEarlier(record) {
                record = following.follow(record, vouchedBy: instance, mark)
                // Time stood still for the one before, and does for this one: how far its agent is nobody knows yet.
                if !isHearing, instance > 0, let held = shelf[record.key] {
                    record.expiresAt = max(record.expiresAt, held.expiresAt)
                }
            }
        }
        if isShared, !outbox.holds(record.key), let held = shelf[record.key], record.renews(held),
            record.expiresAt > held.expiresAt
        {
            // Of a former life of this agent, from its file: it counted otherwise than those that it wrote.
            shelf.put(record, for: record.key)
            return (.news, record)
        }
        let heard = outbox.hear(
            record,
            besides: shelf,
            asAgent: agent,
            isTwin: isTwin
        )
        if isShared, heard == .aside { setAside(record, vouchedBy: instance) }
        return (heard, record)
    }

    /// A later word is known. The stream is read from a little before what was read already, and an earlier word, of an agent or of
    /// a life that says nothing more, does not tell who vouches for the one that holds.
    private func isEarlier(_ record: R) -> Bool {
        guard let held = shelf[record.key], record.isAboutTheSame(as: held) else { return false }
        return held.isNewer(than: record)
            && !(record.renews(held) && record.expiresAt > held.expiresAt)
    }

    /// What was read from a file: it holds until the store can be heard. Its order is that of the store which this process had
    /// then: that may have been another one, whose epochs are later than those of this one will ever be.
    package mutating func followKnown(mark: Following<R>.Mark) {
        for var record in Array(shelf.records.values) {
            record.loseOrder()
            shelf.put(record, for: record.key)
            if record.agent == agent { continue }
            _ = following.follow(record, vouchedBy: 0, mark)
        }
    }

    /// Words of others that hold for longer than was known; see `Following`.
    package mutating func renewals(
        isHearing: Bool,
        every pause: Nanoseconds,
        at now: Moment,
        mark: Following<R>.Mark
    ) -> [R] {
        // It looks at the rest of the book while it changes.
        var following = Following<R>()
        swap(&following, &self.following)
        let renewals = following.renewals(
            isHearing: isHearing,
            every: pause,
            at: now,
            held: { speaks(for: $0) ? nil : shelf[$0] },
            mark: mark
        )
        self.following = following
        for record in renewals { shelf.put(record, for: record.key) }
        return renewals
    }
}
