// Does whoever comes back get everything that he missed, or hear that something is missing, whatever
// became of the process meanwhile?

import EventLoop
import Health
import Ledger
import TestSupport
import Testing
import Vocabulary

@testable import Store

private let start = WallTime(milliseconds: 1_795_000_000_000)
private let peer = PeerKey(upstream: "web", peer: "a|b")

/// A log in one process after another, on one disk. Ids are those of the events.
private final class Process {
    let log: EventLog
    let ledger: Ledger
    private let loop: EventLoop

    init(on disk: any Disk, loop: EventLoop, at time: WallTime) async throws {
        self.loop = loop
        log = EventLog(startedAt: time, capacity: 10)
        ledger = Ledger(path: "s.ledger", loop: loop, disk: disk, writer: loop)
        log.keep(in: ledger)
        try await ledger.open()
        // The first file is written.
        await loop.advance(by: .milliseconds(1))
    }

    func happens(at time: WallTime, _ reason: String = "") -> UInt64 {
        log.happens(at: time, reason)
    }

    /// What was noted is on the disk.
    func settle() async { await loop.advance(by: .seconds(1)) }

    func end() async {
        log.end()
        await ledger.stop()
    }
}

extension EventLog {
    fileprivate func happens(at time: WallTime, _ reason: String = "") -> UInt64 {
        let health = PeerHealth(policy: PeerPolicy(weight: 1, requiredMonitors: []), now: time)
        var to = health.view
        to.status = .down
        to.reason = reason
        to.since = time
        return add(PeerHealth.Change(from: health.view, to: to), of: peer, now: time).id
    }
}

@Suite struct EventLogTests {
    private func onLoop(_ body: @escaping @Sendable (EventLoop) async throws -> Void) async throws {
        let loop = try EventLoop.spawn(
            virtual: "events",
            from: .init(instant: .init(nanoseconds: 0), wall: start)
        )
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) { try await body(loop) }
    }

    // MARK: In one process

    @Test func `ids grow with time, and beyond it where time stands or goes back`() {
        let log = EventLog(startedAt: start)
        var ids: [UInt64] = []
        for offset in [5, 5, 6, 1, 0, 900] as [Int64] {
            ids.append(log.happens(at: start + .milliseconds(offset)))
        }
        #expect(ids == ids.sorted() && Set(ids).count == ids.count)
        #expect(ids[0] == UInt64((start + .milliseconds(5)).milliseconds) * 1_000)
        #expect(ids[5] == UInt64((start + .milliseconds(900)).milliseconds) * 1_000)
    }

    @Test(arguments: [WallTime(milliseconds: .max), WallTime(milliseconds: -1)])
    func `a clock that shows nonsense uses up no ids`(time: WallTime) {
        let log = EventLog(startedAt: start)
        let first = log.happens(at: start)
        #expect(log.happens(at: time) == first + 1)
        #expect(EventLog(startedAt: time).happens(at: time) < 1 << 53)
    }

    @Test func `what came after an event that is held is told without a gap`() {
        let log = EventLog(startedAt: start)
        let ids = (1...5).map { log.happens(at: start + .milliseconds($0)) }
        for (index, id) in ids.enumerated() {
            let page = log.page(after: id)
            #expect(page.events.map(\.id) == Array(ids[(index + 1)...]))
            #expect(!page.hasGap)
        }
        #expect(log.page(after: nil).events.map(\.id) == ids)
        #expect(!log.page(after: nil).hasGap)
        let whole = log.page(after: log.completeAfter)
        #expect(whole.events.map(\.id) == ids && !whole.hasGap)
    }

    @Test func `whoever comes too late is told of a gap`() {
        let log = EventLog(startedAt: start, capacity: 10)
        let ids = (1...100).map { log.happens(at: start + .milliseconds($0)) }
        let held = log.events.map(\.id)
        #expect(held.count >= 10 && held.count < 15)
        #expect(held == ids.suffix(held.count))
        #expect(log.page(after: ids[10]) == EventLog.Page(events: log.events, hasGap: true))
        // The last one that had to go is the last after which all are here.
        let last = ids[ids.count - held.count - 1]
        #expect(log.completeAfter == last)
        #expect(!log.page(after: last).hasGap)
    }

    /// Of another agent, or of a time before this process.
    @Test func `an id that this log never gave is a gap`() {
        let log = EventLog(startedAt: start)
        let ids = [10, 20].map { log.happens(at: start + .milliseconds($0)) }
        let between = log.page(after: ids[0] + 1)
        #expect(between.hasGap)
        #expect(between.events.map(\.id) == [ids[1]])
        #expect(log.page(after: ids[1] + 1_000_000) == EventLog.Page(events: [], hasGap: true))
        #expect(log.page(after: 1).hasGap)
        #expect(log.page(after: 0).events.count == 2)
    }

    /// Rows: held, what was seen last (a place among all, nil for nothing), the limit, and what comes.
    @Test(
        arguments: [
            (seen: nil, limit: 1_000, first: 0, isGap: false),
            (seen: nil, limit: 2, first: 3, isGap: false),
            (seen: nil, limit: 0, first: 5, isGap: false),
            (seen: 1, limit: 1_000, first: 2, isGap: false),
            (seen: 1, limit: 2, first: 3, isGap: true),
            (seen: 4, limit: 1_000, first: 5, isGap: false),
        ] as [(seen: Int?, limit: Int, first: Int, isGap: Bool)]
    )
    func `whoever comes begins where he stopped, or as far back as he asked`(
        seen: Int?,
        limit: Int,
        first: Int,
        isGap: Bool
    ) {
        let log = EventLog(startedAt: start)
        let ids = (1...5).map { log.happens(at: start + .milliseconds($0)) }
        let begin = log.start(after: seen.map { ids[$0] }, limit: limit)
        #expect(begin.hasGap == isGap)
        #expect(begin.end == ids[4])
        let page = log.next(after: begin.after, limit: 10)
        #expect(page.events.map(\.id) == Array(ids[first...]))
        #expect(!page.hasGap, "it is told of at the beginning, once")
    }

    @Test func `an id that nobody gave is a gap at the beginning, once`() {
        let log = EventLog(startedAt: start)
        let id = log.happens(at: start + .milliseconds(5))
        for seen in [0, 1, id - 1, id + 1] as [UInt64] {
            let begin = log.start(after: seen, limit: 10)
            #expect(begin.hasGap, "\(seen)")
            #expect(log.next(after: begin.after, limit: 10).events.count == (seen < id ? 1 : 0))
            #expect(!log.next(after: begin.after, limit: 10).hasGap)
        }
    }

    // MARK: Over restarts

    /// The file stays small whatever happens, and says from where on it is whole.
    @Test func `of thousands the last thousand outlive the process`() async throws {
        try await onLoop { loop in
            let first = EventLog(startedAt: start)
            let ids = (1...5_000).map { first.happens(at: start + .milliseconds($0)) }
            let records = first.snapshot()()
            #expect(records.count == EventLog.writtenMax + 1)
            first.end()
            let second = EventLog(startedAt: start + .seconds(60))
            for record in records { second.recover(record) }
            // As of a process that said goodbye: after the last one that is written, all are there.
            second.recover(first.snapshot()().last!)
            second.recoveryEnded(isDamaged: false)
            #expect(second.events.map(\.id) == ids.suffix(EventLog.writtenMax))
            let last = ids[ids.count - EventLog.writtenMax - 1]
            #expect(second.completeAfter == last)
            #expect(second.start(after: ids[10], limit: 9_999).hasGap)
            #expect(!second.start(after: last, limit: 9_999).hasGap)
        }
    }

    @Test func `after a good end, the next process goes on without a gap`() async throws {
        try await onLoop { loop in
            let disk = ModelDisk()
            let first = try await Process(on: disk, loop: loop, at: start)
            let ids = (1...3).map { first.happens(at: start + .seconds($0), "why \($0)") }
            let events = first.log.events
            await first.end()
            // Its clock is behind: ids grow all the same.
            let second = try await Process(on: disk, loop: loop, at: start + .seconds(2))
            #expect(second.log.events == events)
            let next = second.happens(at: start + .seconds(2))
            #expect(next > ids[2])
            let page = second.log.page(after: ids[1])
            #expect(page.events.map(\.id) == [ids[2], next])
            #expect(!page.hasGap)
            await second.end()
            let third = try await Process(on: disk, loop: loop, at: start + .seconds(60))
            #expect(!third.log.page(after: ids[0]).hasGap)
            #expect(third.log.page(after: ids[0]).events.map(\.id) == [ids[1], ids[2], next])
            await third.end()
        }
    }

    @Test func `after a kill, what came to the disk is there, and a gap is told of`() async throws {
        try await onLoop { loop in
            var dice = Dice(seed: 11)
            let disk = ModelDisk()
            let first = try await Process(on: disk, loop: loop, at: start)
            let kept = (1...3).map { first.happens(at: start + .seconds($0)) }
            await first.settle()
            let lost = first.happens(at: start + .seconds(4))
            let after = disk.afterCrash(&dice)
            let second = try await Process(on: after, loop: loop, at: start + .seconds(60))
            #expect(second.log.events.map(\.id) == kept)
            let next = second.happens(at: start + .seconds(61))
            // Nobody knows what the first process saw last.
            for id in kept + [lost] {
                let page = second.log.page(after: id)
                #expect(page.hasGap, "\(id)")
                #expect(page.events.map(\.id) == kept.filter { $0 > id } + [next])
            }
            #expect(!second.log.page(after: next).hasGap)
            await second.end()
            await first.end()
        }
    }

    @Test func `without a ledger, the next process tells of a gap`() {
        let first = EventLog(startedAt: start)
        let seen = first.happens(at: start + .seconds(5))
        let second = EventLog(startedAt: start + .seconds(10))
        let next = second.happens(at: start + .seconds(11))
        #expect(second.page(after: seen).hasGap)
        #expect(second.page(after: seen).events.map(\.id) == [next])
    }

    @Test func `the log stays bounded over any number of restarts`() async throws {
        try await onLoop { loop in
            let disk = ModelDisk()
            var time = start
            var seen: [UInt64] = []
            for _ in 0..<20 {
                let process = try await Process(on: disk, loop: loop, at: time)
                for _ in 0..<7 {
                    time = time + .seconds(1)
                    seen.append(process.happens(at: time))
                }
                let held = process.log.events.map(\.id)
                #expect(held.count < 15)
                #expect(held == seen.suffix(held.count))
                await process.end()
            }
            let last = try await Process(on: disk, loop: loop, at: time)
            #expect(last.log.page(after: seen[0]).hasGap)
            #expect(!last.log.page(after: seen[seen.count - 5]).hasGap)
            await last.end()
        }
    }

    @Test func `an event is read back as it was written`() throws {
        let event = TransitionEvent(
            id: 1_795_000_000_000_123,
            at: start,
            peer: PeerKey(upstream: "w|e%b", peer: "[::1]:80"),
            from: .up,
            to: .drain,
            reason: "deploy \"42\" \u{1F600}"
        )
        let json = try JSON(parsing: event.record.bytes)
        #expect(TransitionEvent(json: json) == event)
        #expect(TransitionEvent(json: .object([])) == nil)
    }
}
