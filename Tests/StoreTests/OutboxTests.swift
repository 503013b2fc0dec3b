// What does Redis still have to hear, and when? The decisions alone, without Redis and without a clock.

import Health
import Testing
import Vocabulary

@testable import Store

@Suite struct OutboxTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)

    /// The verdict of the probe at this second: valid for four seconds, as of a probe each second.
    private func verdict(
        _ second: Int64,
        _ status: HealthCounter.Status = .up,
        peer: String = "a"
    ) -> Verdict {
        var verdict = Verdict.sample(
            status,
            peer: peer,
            sequence: UInt64(second + 1),
            at: start + .seconds(second),
            life: .seconds(4)
        )
        verdict.since = start
        return verdict
    }

    private func next(_ outbox: inout Outbox<Verdict>) -> [Verdict] { outbox.nextBatch() }

    private func forgotten(_ outbox: inout Outbox<Verdict>) -> [VerdictKey] {
        outbox.nextForgotten()
    }

    /// Whoever found it last said until when it holds, and whoever takes the pair over has read that.
    @Test func `what its agent did not find itself ends when it did before`() {
        var outbox = Outbox<Verdict>()
        var word = verdict(0)
        _ = outbox.take(word, isTransition: true, now: start)
        let found = outbox.newest(word.key, at: start)
        #expect(found?.record.expiresAt == word.expiresAt + .seconds(10))
        word.isFound = false
        word.sequence += 1
        _ = outbox.take(word, isTransition: false, now: start + .seconds(1), vouches: true)
        let read = outbox.newest(word.key, at: start + .seconds(60))
        #expect(read?.record.expiresAt == word.expiresAt)
        // That it finds nothing it vouches for, and need not say again when the word is over.
        #expect(read?.isCurrent == true)
        outbox.wrote(word, isVouched: true)
        #expect(outbox.lapsed(at: start + .seconds(60)).isEmpty)
    }

    @Test func `a steady pair is renewed when a third of its life in Redis is over`() {
        var outbox = Outbox<Verdict>()
        var written: [Int64] = []
        for second in 0..<30 as Range<Int64> {
            let now = start + .seconds(second)
            let isTaken = outbox.take(verdict(second), isTransition: second == 0, now: now)
            #expect(isTaken)
            let batch = next(&outbox)
            if !batch.isEmpty { written.append(second) }
            outbox.wrote(batch)
        }
        // Four seconds of its own and ten of grace: written every fifth second, and every reader
        // who looks each five seconds finds four of life left at least.
        #expect(written == [0, 5, 10, 15, 20, 25])
    }

    @Test func `what is vouched for is said once, and again only where it changed or lapsed`() {
        var outbox = Outbox<Verdict>()
        outbox.takesAnyOrder = true
        func takes(_ second: Int64, _ status: HealthCounter.Status = .up) -> Int {
            let now = start + .seconds(second)
            _ = outbox.take(
                verdict(second, status),
                isTransition: second == 0,
                now: now,
                vouches: true
            )
            return outbox.drain().count
        }
        func writes(at second: Int64) -> Bool {
            let now = start + .seconds(second)
            guard let (record, isCurrent) = outbox.newest(verdict(0).key, at: now) else {
                return false
            }
            outbox.wrote(record, isVouched: isCurrent)
            return isCurrent
        }
        #expect(takes(0) == 1)
        #expect(writes(at: 0))
        for second in 1..<3_600 as Range<Int64> { #expect(takes(second) == 0) }
        #expect(takes(3_600, .down) == 1)
        #expect(writes(at: 3_600))
        // Nothing found for longer than it holds.
        #expect(outbox.lapsed(at: start + .seconds(3_604)).isEmpty)
        #expect(outbox.lapsed(at: start + .seconds(3_605)).count == 1)
        #expect(!writes(at: 3_605))
        #expect(outbox.lapsed(at: start + .seconds(3_606)).isEmpty)
        #expect(takes(3_607, .down) == 1)
        #expect(writes(at: 3_607))
        #expect(takes(3_608, .down) == 0)
        // Nothing that is a week old is kept.
        #expect(takes(3_608 + 13 * 3_600, .down) == 1)
    }

    /// Otherwise nobody would renew it for as long as the clock was ahead.
    @Test func `a word that was on its way when the clock was set back is renewed all the same`() {
        var outbox = Outbox<Verdict>()
        let (ahead, step) = (start + .seconds(90), Nanoseconds.seconds(-90))
        var early = verdict(0)
        early.shift(by: .seconds(90))
        _ = outbox.take(early, isTransition: true, now: ahead)
        let batch = next(&outbox)
        outbox.shift(by: step)
        outbox.wrote(batch)
        _ = outbox.take(verdict(1), isTransition: false, now: start + .seconds(1))
        #expect(next(&outbox).count == 1)
    }

    @Test func `a verdict lives longer in Redis than its agent believes it`() throws {
        var outbox = Outbox<Verdict>()
        let said = verdict(0)
        _ = outbox.take(said, isTransition: true, now: start)
        let written = try #require(next(&outbox).first)
        #expect(written.expiresAt == said.expiresAt + OutboxLimits.grace)
    }

    @Test func `what was over when it was said is not alive in Redis either`() throws {
        var outbox = Outbox<Verdict>()
        var said = verdict(0)
        said.expiresAt = said.checkedAt + .seconds(-2)
        _ = outbox.take(said, isTransition: true, now: start)
        #expect(try #require(next(&outbox).first).expiresAt == said.expiresAt)
        #expect(try #require(outbox.newest(said.key, at: start)).record.expiresAt == said.expiresAt)
    }

    @Test func `a peer with another address is spoken of, whatever was said of the former`() {
        var outbox = Outbox<Verdict>()
        var old = verdict(0, .down)
        old.epoch = 7
        old.subject = Subject(address: "10.0.0.1:80", check: 1)
        _ = outbox.take(old, isTransition: true, now: start)
        var new = verdict(0)
        new.subject = Subject(address: "10.0.0.2:80", check: 1)
        #expect(outbox.isAboutAnother(new))
        let isTaken = outbox.take(new, isTransition: true, now: start)
        #expect(isTaken && next(&outbox).map(\.status) == [.up])
        new.epoch = 0
        let isOlderTaken = outbox.take(new, isTransition: true, now: start)
        #expect(!isOlderTaken)
    }

    @Test func `of many verdicts for a pair only the newest goes out`() {
        var outbox = Outbox<Verdict>()
        for second in 0..<5 as Range<Int64> {
            _ = outbox.take(
                verdict(second, second.isMultiple(of: 2) ? .up : .down),
                isTransition: true,
                now: start
            )
        }
        let isOlderTaken = outbox.take(verdict(1), isTransition: true, now: start)
        #expect(!isOlderTaken, "an older one")
        #expect(outbox.pendingCount == 1)
        #expect(next(&outbox).map(\.sequence) == [5])
        #expect(next(&outbox).isEmpty)
    }

    @Test func `what is under way is pending until it is confirmed`() {
        var outbox = Outbox<Verdict>()
        for peer in 0..<100 {
            _ = outbox.take(verdict(0, peer: "\(peer)"), isTransition: true, now: start)
        }
        let batch = next(&outbox)
        #expect(batch.count == OutboxLimits.batchMax)
        #expect(outbox.pendingCount == 100)
        outbox.wrote(batch)
        #expect(outbox.pendingCount == 100 - OutboxLimits.batchMax)
        let rest = next(&outbox)
        outbox.failed(rest)
        #expect(outbox.pendingCount == rest.count)
        #expect(Set(next(&outbox).map(\.key)) == Set(rest.map(\.key)))
    }

    @Test func `transitions go before renewals`() {
        var outbox = Outbox<Verdict>()
        for peer in 0..<200 {
            let name = "old\(peer)"
            _ = outbox.take(verdict(0, peer: name), isTransition: false, now: start)
        }
        _ = outbox.take(verdict(0, peer: "new"), isTransition: true, now: start)
        #expect(outbox.hasUrgent && outbox.lazyCount == 200)
        #expect(next(&outbox).contains { $0.key.peer == "new" })
        #expect(!outbox.hasUrgent)
    }

    @Test func `after Redis was lost everything goes out again, also what had arrived`() {
        var outbox = Outbox<Verdict>()
        for peer in 0..<10 {
            _ = outbox.take(verdict(0, peer: "\(peer)"), isTransition: true, now: start)
        }
        let batch = next(&outbox)
        outbox.wrote(batch)
        #expect(outbox.pendingCount == 0)
        outbox.restate()
        #expect(next(&outbox).count == 10)
    }

    @Test func `a forgotten pair is removed and never restated`() {
        var outbox = Outbox<Verdict>()
        _ = outbox.take(verdict(0), isTransition: true, now: start)
        outbox.forget(verdict(0).key)
        outbox.forget(VerdictKey(upstream: "web", peer: "never", monitor: "http"))
        #expect(next(&outbox).isEmpty)
        #expect(forgotten(&outbox) == [verdict(0).key])
        #expect(forgotten(&outbox).isEmpty)
        outbox.restate()
        #expect(outbox.pendingCount == 0)
    }

    @Test func `what we wrote ourselves is no news, what another wrote is`() {
        var outbox = Outbox<Verdict>()
        let mine = verdict(3)
        _ = outbox.take(mine, isTransition: true, now: start)
        #expect(outbox.isOwn(mine))
        #expect(outbox.isOwn(verdict(2)))
        var other = mine
        other.agent = "a2"
        #expect(!outbox.isOwn(other))
        // This agent before its restart, or after another had taken over meanwhile.
        other = mine
        other.epoch += 1
        #expect(!outbox.isOwn(other))
    }
}
