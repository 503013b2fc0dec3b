// How long do the words of others hold? The rule alone: marks, clocks and what is known are the test's.

import Health
import Testing
import Vocabulary

@testable import Store

@Suite struct FollowingTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)
    private let life = Nanoseconds.seconds(13)

    private func moment(_ second: Int64) -> Moment {
        Moment(
            instant: Instant(nanoseconds: second * 1_000_000_000),
            wall: start + .seconds(second)
        )
    }

    /// One word, said at the start and followed for so many seconds by rounds of one each second: when it
    /// expires in the end.
    private func follow(
        for seconds: Int64,
        vouchedBy instance: UInt64 = 7,
        isHearing: (Int64) -> Bool = { _ in true },
        mark: (Int64) -> Int64?
    ) -> Nanoseconds {
        var following = Following<Verdict>()
        var held = Verdict.sample(at: start, life: life)
        func time(_ instance: UInt64, _ second: Int64) -> WallTime? {
            instance == 7 ? mark(second).map { start + .seconds($0) } : nil
        }
        held = following.follow(held, vouchedBy: instance) { _, life in time(life, 0) }
        for second in 1...seconds {
            let renewals = following.renewals(
                isHearing: isHearing(second),
                every: .seconds(1),
                at: moment(second),
                held: { _ in held },
                mark: { _, life in time(life, second) }
            )
            held = renewals.last ?? held
        }
        return held.expiresAt - start
    }

    @Test func `a word holds for a life after the last mark of whoever vouches for it`() {
        let expires = follow(for: 3_600) { $0 }
        #expect(expires > .seconds(3_600 + 8) && expires <= .seconds(3_613))
        // Dead after ten seconds: told at most a third of a life before.
        let dead = follow(for: 60) { min($0, 10) }
        #expect(dead > .seconds(10 + 8) && dead <= .seconds(23))
    }

    @Test func `what nobody vouches for ends by itself`() {
        #expect(follow(for: 60, vouchedBy: 0) { $0 } == life)
        #expect(follow(for: 60, vouchedBy: 8) { $0 } == life)
        #expect(follow(for: 60) { _ in nil } == life)
    }

    /// The store stood still from the fifth second to the sixtieth, and its agent died meanwhile.
    @Test func `time stands still while nothing can be heard`() {
        func isHearing(_ second: Int64) -> Bool { second < 5 || second >= 60 }
        let expires = follow(for: 120, isHearing: isHearing, mark: { min($0, 4) })
        #expect(expires >= life + .seconds(54) && expires <= life + .seconds(59))
    }

    @Test func `an old word holds as of the mark at which it is read`() {
        var following = Following<Verdict>()
        let old = Verdict.sample(at: start + -.seconds(3_600), life: life)
        let now = start
        let read = following.follow(old, vouchedBy: 7) { _, _ in now }
        #expect(read.checkedAt == start && read.expiresAt == start + life)
        let other = following.follow(old, vouchedBy: 0) { _, _ in now }
        #expect(other == old)
    }

    /// Stopped for a minute, it comes back to what it knew: nobody is told more often than all once a second.
    @Test func `of many each comes to its turn once a second`() {
        var following = Following<Verdict>()
        var held: [VerdictKey: Verdict] = [:]
        for peer in 0..<1_000 {
            let word = Verdict.sample(peer: "p\(peer)", at: start, life: life)
            held[word.key] = following.follow(word, vouchedBy: 7) { _, _ in nil }
        }
        var told: [VerdictKey: Int] = [:]
        for quarter in 1...80 as ClosedRange<Int64> {
            let span = Nanoseconds.milliseconds(quarter * 250)
            let now = Moment(
                instant: Instant(nanoseconds: span.count),
                wall: start + span
            )
            let renewals = following.renewals(
                isHearing: true,
                every: .milliseconds(250),
                at: now,
                held: { held[$0] },
                mark: { _, _ in now.wall }
            )
            #expect(renewals.count <= 251)
            for word in renewals {
                held[word.key] = word
                told[word.key, default: 0] += 1
            }
        }
        #expect(told.count == 1_000)
        #expect(told.values.allSatisfy { (2...5).contains($0) })
    }

    /// A store refuses writes: the beat that was read minutes ago differs from the last that it took.
    @Test func `beats move while one was taken just now, and not where one was taken long ago`() {
        let now = WallTime(milliseconds: 1_000_000)
        let begin = Instant(nanoseconds: 0)
        var beat = LastBeat()
        func read(_ last: Int64, at time: Int64) -> Bool {
            let instant = begin + .milliseconds(time)
            beat.read(
                "\(now.milliseconds + last)",
                at: now + .milliseconds(time),
                within: .seconds(1),
                on: instant
            )
            return beat.hasMoved(since: instant)
        }
        #expect(!beat.hasMoved(since: begin))
        #expect(read(-200, at: 0))
        // What was read before the store took no writes says nothing of the time since.
        #expect(!beat.hasMoved(since: begin + .milliseconds(1)))
        #expect(!read(296_000, at: 300_000))
        #expect(read(304_900, at: 305_000))
        #expect(!read(304_900, at: 305_000))
    }
}
