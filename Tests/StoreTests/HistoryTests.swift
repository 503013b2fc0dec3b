// Is what was still known later: after a week, after a restart, in the room that is given? Turns and probes
// played into a history on a clock that the test moves.

import EventLoop
import Health
import Ledger
import TestSupport
import Testing
import Vocabulary

@testable import Store

private let t0 = WallTime(milliseconds: 1_795_000_200_000)
private let key = PeerKey(upstream: "web", peer: "10.0.0.1:80")

private func at(_ seconds: Int64) -> WallTime { t0 + .seconds(seconds) }

private func past(_ turns: [(Int64, PeerStatus)]) -> PeerPast {
    var past = PeerPast()
    var before = PeerStatus.unknown
    for (seconds, status) in turns {
        past.add(Turn(at: at(seconds), from: before, to: status, reason: ""))
        before = status
    }
    return past
}

@Suite struct PeerPastTests {
    struct Row: Sendable {
        let turns: [(Int64, PeerStatus)]
        let strip: String
        let uptime: Double

        init(_ turns: [(Int64, PeerStatus)], _ strip: String, _ uptime: Double) {
            (self.turns, self.strip, self.uptime) = (turns, strip, uptime)
        }
    }

    /// Turns of a hundred seconds, and the strip in ten parts.
    static let rows: [Row] = [
        Row([(0, .up)], "uuuuuuuuuu", 1.0),
        Row([(50, .up)], ".....uuuuu", 1.0),
        Row([(0, .up), (30, .down), (50, .up)], "uuudduuuuu", 0.8),
        Row([(0, .up), (35, .down), (36, .up)], "uuuduuuuuu", 0.99),
        Row([(0, .up), (50, .maint)], "uuuuummmmm", 1.0),
        Row([(0, .up), (40, .down), (60, .maint)], "uuuuddmmmm", 2.0 / 3.0),
        Row([(0, .down), (10, .starting), (20, .degraded), (30, .up)], "dwwuuuuuuu", 0.9),
        Row([(0, .up), (50, .unknown), (70, .up)], "uuuuu..uuu", 1.0),
    ]

    @Test(arguments: rows)
    func `strips and shares`(row: Row) throws {
        let (strip, uptime) = (row.strip, row.uptime)
        let stretches = past(row.turns).stretches(from: t0, to: at(100), now: nil)
        #expect(PeerPast.strip(stretches, from: t0, to: at(100), count: 10) == strip)
        let share = try #require(PeerPast.uptime(stretches))
        #expect(abs(share - uptime) < 1e-9)
    }

    @Test func `of what is not known there is no share`() {
        #expect(PeerPast.uptime(past([]).stretches(from: t0, to: at(100), now: nil)) == nil)
        let other = past([(0, .maint)]).stretches(from: t0, to: at(100), now: nil)
        #expect(PeerPast.uptime(other) == nil)
    }

    @Test func `a turn that nobody was here to see is taken from how it is now`() {
        let stretches = past([(0, .up)]).stretches(from: t0, to: at(100), now: (.down, at(60)))
        #expect(PeerPast.strip(stretches, from: t0, to: at(100), count: 10) == "uuuuuudddd")
    }

    @Test func `what is forgotten still tells how it was then`() {
        var past = past([(0, .up), (10, .down), (20, .up), (90, .down)])
        past.forget(before: at(50))
        #expect(past.turns.map(\.at) == [at(20), at(90)])
        let stretches = past.stretches(from: at(50), to: at(100), now: nil)
        #expect(PeerPast.strip(stretches, from: at(50), to: at(100), count: 5) == "uuuud")
    }

    @Test func `turns are bounded`() {
        var past = PeerPast()
        for second in 0..<Int64(PeerPast.turnsMax + 10) {
            past.add(Turn(at: at(second), from: .up, to: .down, reason: ""))
        }
        #expect(past.turns.count == PeerPast.turnsMax)
        #expect(past.cutAt == at(9))
    }

    @Test(
        arguments: [0, 1, 999, 2_047, 2_048, 5_000, 123_456, 10_000_000, 3_600_000_000] as [Int64]
    )
    func `a duration in two bytes is right to a thousandth`(microseconds: Int64) throws {
        let value = try #require(ShortSpan(.microseconds(microseconds)).value)
        let error = abs(value.count / 1_000 - microseconds)
        #expect(error * 1_000 <= microseconds)
    }

    @Test func `two processes within five minutes make one bucket`() {
        var past = PeerPast()
        for milliseconds in [2, 4] as [Int64] {
            var sum = ProbeSum()
            sum.add(.milliseconds(milliseconds), isFailure: false)
            sum.add(.seconds(1), isFailure: true)
            past.add(ProbeBucket(sum, index: 7))
        }
        past.add(ProbeBucket(ProbeSum(), index: 6))
        #expect(past.buckets.count == 1)
        #expect(past.buckets[0].count == 4 && past.buckets[0].failures == 2)
        #expect(past.buckets[0].minimum?.milliseconds == 2)
        #expect(past.buckets[0].maximum?.milliseconds == 4)
        #expect(past.buckets[0].average.map { abs($0.count - 3_000_000) < 10_000 } == true)
    }

    @Test func `a bucket is the same after it lay in a file`() {
        var sum = ProbeSum()
        for milliseconds in [3, 1, 5] as [Int64] {
            sum.add(.milliseconds(milliseconds), isFailure: false)
        }
        sum.add(.seconds(9), isFailure: true)
        let bucket = ProbeBucket(sum, index: 5_983_334)
        var bytes: [UInt8] = []
        bucket.write(to: &bytes)
        #expect(bytes.count == ProbeBucket.bytes)
        #expect(ProbeBucket(bytes[...]) == bucket)
        #expect(bucket.count == 4 && bucket.failures == 1)
        #expect(bucket.minimum.map { $0.milliseconds } == 1)
        #expect(bucket.average.map { $0.milliseconds } ?? 0 >= 2)
        #expect(bucket.median?.milliseconds == 3 && bucket.percentile99 == bucket.maximum)
    }

    /// Rows: how many probes, of 1 ms, 2 ms and so on in an order that is mixed, and what half of them and 99 of
    /// a hundred took at most. Of many some are left out, evenly.
    @Test(arguments: [
        (count: 1, half: 1, nearlyAll: 1), (count: 2, half: 1, nearlyAll: 2),
        (count: 100, half: 50, nearlyAll: 99), (count: 200, half: 100, nearlyAll: 198),
        (count: 299, half: 150, nearlyAll: 297), (count: 3_000, half: 1_500, nearlyAll: 2_970),
    ])
    func `percentiles are of the latencies as they were`(
        count: Int,
        half: Int,
        nearlyAll: Int
    ) throws {
        var sum = ProbeSum()
        // Each once: 7,919 is a prime, and divides no count.
        for turn in 0..<count {
            sum.add(.milliseconds(Int64(turn * 7_919 % count + 1)), isFailure: false)
        }
        let bucket = ProbeBucket(sum, index: 1)
        func isAbout(_ span: Nanoseconds?, _ expected: Int) throws -> Bool {
            let seen = Double(try #require(span).count) / 1_000_000
            // Exact to the two bytes while all are kept, to a twentieth where every eighth or so is.
            return abs(seen - Double(expected)) <= Double(expected)
                * (count < ProbeSum.keptMax ? 0.001 : 0.05)
        }
        #expect(try isAbout(bucket.median, half), "\(String(describing: bucket.median))")
        #expect(
            try isAbout(bucket.percentile99, nearlyAll),
            "\(String(describing: bucket.percentile99))"
        )
    }

    @Test func `of a second with percentiles and one without the one is told`() {
        var sum = ProbeSum()
        sum.add(.milliseconds(4), isFailure: false)
        var bytes: [UInt8] = []
        ProbeBucket(sum, index: 7).write(to: &bytes)
        let old = ProbeBucket(bytes[..<ProbeBucket.bytesBefore])
        #expect(old.maximum?.milliseconds == 4 && old.median == nil && old.percentile99 == nil)
        var past = PeerPast()
        past.add(old)
        past.add(ProbeBucket(sum, index: 7))
        #expect(past.buckets.count == 1 && past.buckets[0].count == 2)
        #expect(past.buckets[0].median?.milliseconds == 4)
    }
}

@Suite struct HistoryTests {
    private func onLoop(_ body: @escaping @Sendable (EventLoop) async throws -> Void) async throws {
        let loop = try EventLoop.spawn(
            virtual: "history",
            from: .init(instant: .init(nanoseconds: 0), wall: t0)
        )
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) { try await body(loop) }
    }

    private func open(
        _ disk: ModelDisk,
        _ loop: EventLoop,
        _ rules: History.Rules = History.Rules()
    ) async throws -> (History, Ledger) {
        let history = History(on: loop, rules)
        let ledger = Ledger(path: "s.history", loop: loop, growth: 2, disk: disk, writer: loop)
        history.keep(in: ledger)
        try await ledger.open()
        history.start()
        await loop.advance(by: .milliseconds(1))
        return (history, ledger)
    }

    private func turn(_ history: History, _ from: PeerStatus, _ to: PeerStatus, _ time: WallTime) {
        history.transition(
            TransitionEvent(id: 1, at: time, peer: key, from: from, to: to, reason: "L4CON")
        )
    }

    @Test func `turns and probes outlive the process`() async throws {
        try await onLoop { loop in
            let disk = ModelDisk()
            var (history, ledger) = try await open(disk, loop)
            turn(history, .unknown, .up, loop.wall)
            for _ in 0..<3 {
                for _ in 0..<10 { history.record(key, .milliseconds(2), isFailure: false) }
                history.record(key, .seconds(1), isFailure: true)
                await loop.advance(by: .seconds(300))
            }
            turn(history, .up, .down, loop.wall)
            let before = try #require(history.past(of: key))
            #expect(before.buckets.map(\.count) == [11, 11, 11])
            #expect(before.buckets.map(\.failures) == [1, 1, 1])
            history.stop()
            await ledger.stop()

            (history, ledger) = try await open(disk, loop)
            let after = try #require(history.past(of: key))
            #expect(after.turns == before.turns)
            #expect(after.buckets == before.buckets)
            history.stop()
            await ledger.stop()
        }
    }

    /// And not the beginning of the five minutes in which that was.
    @Test func `it is known from the moment on in which it was looked at first`() async throws {
        try await onLoop { loop in
            let disk = ModelDisk()
            var (history, ledger) = try await open(disk, loop)
            await loop.advance(by: .seconds(173))
            let begun = loop.wall
            history.record(key, .zero, isFailure: false)
            #expect(history.past(of: key)?.knownFrom == begun)
            await loop.advance(by: .seconds(600))
            history.record(key, .zero, isFailure: false)
            await loop.advance(by: .seconds(300))
            let past = try #require(history.past(of: key))
            let known = try #require(past.knownFrom)
            #expect(past.buckets.count == 2 && past.buckets[0].start < known)
            #expect((begun - known) < .milliseconds(5) && known <= begun)
            // What is remembered ends with the beginning of five minutes then.
            #expect(past.buckets[1].knownFrom == past.buckets[1].start)
            history.stop()
            await ledger.stop()
            (history, ledger) = try await open(disk, loop)
            history.record(key, .zero, isFailure: false)
            #expect(history.past(of: key)?.knownFrom == known)
            history.stop()
            await ledger.stop()
        }
    }

    @Test func `what is older than it is kept is forgotten`() async throws {
        try await onLoop { loop in
            var rules = History.Rules()
            rules.keep = .seconds(3_600)
            let (history, ledger) = try await open(ModelDisk(), loop, rules)
            for _ in 0..<30 {
                history.record(key, .milliseconds(2), isFailure: false)
                await loop.advance(by: .seconds(300))
            }
            let count = try #require(history.past(of: key)).buckets.count
            #expect((11...13).contains(count), "\(count)")
            history.stop()
            await ledger.stop()
        }
    }

    @Test func `the room is not exceeded, and what is oldest goes`() async throws {
        try await onLoop { loop in
            var rules = History.Rules()
            rules.bytesMax = 20_000
            let disk = ModelDisk()
            let (history, ledger) = try await open(disk, loop, rules)
            for _ in 0..<60 {
                for peer in 0..<20 {
                    history.record(
                        PeerKey(upstream: "web", peer: "p\(peer)"),
                        .milliseconds(2),
                        isFailure: false
                    )
                }
                await loop.advance(by: .seconds(300))
            }
            #expect(history.bytes <= rules.bytesMax / History.growth)
            #expect(history.bytes > rules.bytesMax / 8)
            let cutAt = try #require(history.cutAt)
            for peer in 0..<20 {
                let past = try #require(
                    history.past(of: PeerKey(upstream: "web", peer: "p\(peer)"))
                )
                #expect(try #require(past.buckets.first).start >= cutAt)
                #expect(try #require(past.buckets.last).start > loop.wall + .seconds(-700))
            }
            history.stop()
            await ledger.stop()
        }
    }

    @Test func `noise in the file ends nothing`() async throws {
        try await onLoop { loop in
            let history = History(on: loop)
            var dice = Dice(seed: 7)
            for round in 0..<2_000 {
                let bytes = (0..<Int(dice.next() % 64)).map { _ in
                    UInt8(truncatingIfNeeded: dice.next())
                }
                history.recover(LedgerRecord(kind: round % 2 == 0 ? 8 : 9, bytes: bytes))
            }
            history.recoveryEnded(isDamaged: true)
        }
    }
}
