// Which word of a pair holds in a process that probes it without a claim, beside what lies in the store? Pure: no
// Redis, no clock.

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Store

@Suite struct FencedBookTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)

    private func word(
        _ status: HealthCounter.Status,
        by agent: String,
        _ epoch: UInt64,
        _ sequence: UInt64,
        at second: Int64
    ) -> Verdict {
        Verdict.sample(
            status,
            agent: agent,
            epoch: epoch,
            sequence: sequence,
            at: start + .seconds(second),
            life: .seconds(13)
        )
    }

    private func book() -> FencedBook<Verdict> {
        var book = FencedBook<Verdict>(of: "a1", on: Shelf())
        book.share()
        return book
    }

    private func hear(_ word: Verdict, _ book: inout FencedBook<Verdict>) -> Outbox<Verdict>.Heard {
        book.hear(
            word,
            vouchedBy: 7,
            isTwin: false,
            isHearing: true,
            now: word.checkedAt,
            mark: { _, _ in nil }
        )
        .what
    }

    private func say(_ word: Verdict, _ book: inout FencedBook<Verdict>) -> FencedBook<Verdict>.Said
    {
        book.say(word, isTransition: true, now: word.checkedAt, vouches: true)
    }

    /// Its claim was lost on the way: it probes what a2 holds, and a2 goes on to speak.
    @Test func `what is said without a claim is never later than what its holder says next`() {
        var book = book()
        #expect(hear(word(.up, by: "a2", 50, 9, at: 0), &book) == .news)
        #expect(say(word(.down, by: "a1", 50, 9, at: 1), &book) == .shown)
        #expect(hear(word(.down, by: "a2", 50, 10, at: 2), &book) == .news)
        // Nothing of its own is left: what a2 said holds, and need not be said once more.
        let other = book.giveUp(word(.up, by: "a2", 50, 9, at: 0).key, mark: { _, _ in nil })
        #expect(other == nil)
    }

    /// It ran alone, or with another prefix, where epochs are later than in the fleet that it joins.
    @Test(arguments: ["a1", "a2"])
    func `what a file says has no order beside what is read`(agent: String) {
        var book = book()
        let old = word(.down, by: agent, 900, 9, at: 0)
        #expect(book.shelf.take(old))
        book.followKnown(mark: { _, _ in nil })
        #expect(book.shelf[old.key]?.status == .down)
        #expect(hear(word(.up, by: "a2", 50, 1, at: 1), &book) == .news)
        #expect(book.shelf[old.key]?.status == .up)
    }

    /// a2 need not write again for half a day what it finds again and again.
    @Test func `what lies in the store holds again as soon as nothing is said here`() throws {
        var book = book()
        let held = word(.up, by: "a2", 50, 9, at: 0)
        #expect(hear(held, &book) == .news)
        #expect(say(word(.down, by: "a1", 50, 9, at: 1), &book) == .shown)
        // Meanwhile its agent vouches for it.
        let later = book.renewals(
            isHearing: true,
            every: .seconds(1),
            at: Moment(instant: Instant(nanoseconds: 0), wall: start + .seconds(10)),
            mark: { _, _ in start + .seconds(10) }
        )
        #expect(later.map(\.agent) == ["a2"])
        let again = book.giveUp(held.key, mark: { _, _ in nil })
        let shown = try #require(again)
        #expect(shown.agent == "a2" && shown.status == .up)
        #expect(shown.expiresAt == start + .seconds(23))
        let once = book.giveUp(held.key, mark: { _, _ in nil })
        #expect(once == nil)
    }

    @Test func `what is said under a later claim holds, and is kept`() throws {
        var book = book()
        #expect(hear(word(.up, by: "a2", 50, 9, at: 0), &book) == .news)
        #expect(say(word(.down, by: "a1", 60, 1, at: 1), &book) == .kept)
        #expect(hear(word(.up, by: "a2", 50, 10, at: 2), &book) == .old)
        // It is probed here no more: it holds as long as it does in the store, and no longer stands against others.
        let said = word(.down, by: "a1", 60, 1, at: 1)
        let given = book.giveUp(said.key, mark: { _, _ in nil })
        let left = try #require(given)
        #expect(left.agent == "a1" && left.status == .down)
        #expect(left.expiresAt == said.expiresAt + .seconds(10))
        // While nothing can be heard it goes on to hold, as what others said does.
        let later = book.renewals(
            isHearing: false,
            every: .seconds(1),
            at: Moment(instant: Instant(nanoseconds: 0), wall: start + .seconds(2)),
            mark: { _, _ in nil }
        )
        #expect(later.map(\.agent) == ["a1"])
        #expect(hear(word(.up, by: "a2", 70, 11, at: 3), &book) == .news)
    }

    /// How far the agents are that vouch for words: a2's life 7 is, and no other.
    private func vouched(_ agent: String, _ instance: UInt64) -> WallTime? {
        agent == "a2" && instance == 7 ? start + .seconds(10) : nil
    }

    private func renewed(_ book: inout FencedBook<Verdict>) -> [Verdict] {
        book.renewals(
            isHearing: true,
            every: .seconds(1),
            at: Moment(instant: Instant(nanoseconds: 0), wall: start + .seconds(10)),
            mark: vouched
        )
    }

    /// Where files differ: what a1 finds is about another address than what a2 finds.
    private func ofOther(_ word: Verdict) -> Verdict {
        var word = word
        word.subject = Subject(address: "127.0.0.1:9002", check: 1)
        return word
    }

    private func giveUp(_ key: VerdictKey, _ book: inout FencedBook<Verdict>) -> Verdict? {
        book.giveUp(key, mark: vouched)
    }

    /// A probe that ends after the pair was given away, and is of another address than its new holder's.
    @Test func `what was read comes back when what was said over it is said no more`() throws {
        var book = book()
        var held = word(.up, by: "a2", 50, 9, at: 0)
        held.subject = Subject(address: "127.0.0.1:9001", check: 1)
        #expect(hear(held, &book) == .news)
        #expect(say(ofOther(word(.down, by: "a1", 40, 3, at: 1)), &book) == .kept)
        #expect(book.shelf[held.key]?.status == .down)
        // Of what is not shown nothing is renewed meanwhile.
        #expect(renewed(&book).isEmpty)
        let given = giveUp(held.key, &book)
        let shown = try #require(given)
        #expect(shown.agent == "a2" && shown.status == .up)
        #expect(shown.expiresAt == start + .seconds(23), "by the mark that its agent has reached")
        #expect(book.shelf[held.key] == shown)
        #expect(giveUp(held.key, &book) == nil)
    }

    @Test func `of words that were passed over the latest comes back`() throws {
        var book = book()
        let mine = ofOther(word(.down, by: "a1", 60, 1, at: 0))
        #expect(say(mine, &book) == .kept)
        for (sequence, second) in [(9, 1), (10, 2), (8, 3)] {
            var passed = word(.up, by: "a2", 50, UInt64(sequence), at: Int64(second))
            passed.subject = Subject(address: "127.0.0.1:9001", check: 1)
            #expect(hear(passed, &book) == .aside)
        }
        let given = giveUp(mine.key, &book)
        #expect(given?.sequence == 10)
        // Once: what is said afterwards is not of the past.
        #expect(say(ofOther(word(.down, by: "a1", 70, 1, at: 9)), &book) == .kept)
        book.forgetAside()
        #expect(giveUp(mine.key, &book)?.agent == "a1")
    }

    @Test func `what was passed over does not come back where a later word was written over it`() {
        var book = book()
        var passed = word(.up, by: "a2", 50, 9, at: 0)
        passed.subject = Subject(address: "127.0.0.1:9001", check: 1)
        #expect(hear(passed, &book) == .news)
        let mine = ofOther(word(.down, by: "a1", 60, 1, at: 1))
        #expect(say(mine, &book) == .kept)
        book.wrote(mine, isVouched: true)
        #expect(giveUp(mine.key, &book)?.agent == "a1")
    }

    /// The stream is read from a little before what was read of the hash.
    @Test func `an earlier word that is read once more does not end the later one`() {
        var book = book()
        #expect(hear(word(.up, by: "a2", 50, 9, at: 0), &book) == .news)
        // Of another agent, and of the same one under a former claim, when it saw something else.
        #expect(hear(word(.up, by: "a3", 40, 3, at: -2), &book) == .old)
        let former = book.hear(
            word(.down, by: "a2", 45, 1, at: -1),
            vouchedBy: 6,
            isTwin: false,
            isHearing: true,
            now: start,
            mark: vouched
        )
        #expect(former.what == .old)
        #expect(renewed(&book).map(\.sequence) == [9])
    }

    /// A store that stood still writes at once what waited for it: words that are old by then, of agents that live.
    @Test func `a later word holds no shorter than the one before while no marks are heard`() {
        var book = book()
        #expect(hear(word(.down, by: "a2", 50, 9, at: 0), &book) == .news)
        let away = Moment(instant: Instant(nanoseconds: 0), wall: start + .seconds(12))
        let held = book.renewals(isHearing: false, every: .seconds(1), at: away) { _, _ in nil }
        #expect(held.map(\.expiresAt) == [start + .seconds(14)])
        let later = word(.up, by: "a2", 50, 10, at: 0)
        func read(vouchedBy instance: UInt64, isHearing: Bool) -> Verdict {
            var book = book
            return book.hear(
                later,
                vouchedBy: instance,
                isTwin: false,
                isHearing: isHearing,
                now: start + .seconds(13),
                mark: { _, _ in nil }
            )
            .record
        }
        #expect(read(vouchedBy: 7, isHearing: false).expiresAt == start + .seconds(14))
        // Of what nobody vouches for, and of what is heard, the word itself says how long it holds.
        #expect(read(vouchedBy: 0, isHearing: false).expiresAt == later.expiresAt)
        #expect(read(vouchedBy: 7, isHearing: true).expiresAt == later.expiresAt)
    }

    /// The file counts what was found, the store what was written: the same word has other numbers there.
    @Test func `what the store knows of a former life holds as long as it does there`() {
        let shelf = Shelf<Verdict>()
        var left = word(.up, by: "a1", 50, 900, at: 0)
        left.expiresAt = start + .seconds(3)
        shelf.put(left, for: left.key)
        var book = FencedBook<Verdict>(of: "a1", on: shelf)
        book.share()
        var stored = word(.up, by: "a1", 50, 12, at: 0)
        stored.since = left.since
        #expect(hear(stored, &book) == .news)
        #expect(shelf[left.key]?.expiresAt == start + .seconds(13))
        // What this life finds is not set back by it.
        #expect(say(word(.down, by: "a1", 60, 1, at: 4), &book) == .kept)
        #expect(hear(stored, &book) == .old)
    }
}
