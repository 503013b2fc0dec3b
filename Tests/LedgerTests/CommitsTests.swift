// Is everything that is taken written, with as few syncs as possible, and is nobody told too early?

import Testing
import Vocabulary

@testable import Ledger

@Suite struct CommitsTests {
    private let start = Instant(nanoseconds: 1_000)

    private func record(_ size: Int = 10) -> LedgerRecord {
        LedgerRecord(kind: 1, bytes: [UInt8](repeating: 0, count: size))
    }

    /// With a file of `bytes` in which all is well.
    private func settled(bytes: Int = 100) -> Commits {
        var commits = Commits()
        #expect(commits.next(at: start) == .rewrite)
        commits.wrote(bytes: bytes)
        return commits
    }

    @Test func `the first job writes the whole state, and then there is nothing to do`() {
        var commits = settled()
        #expect(commits.next(at: start) == nil)
        #expect(!commits.isDirty && !commits.isBusy)
    }

    @Test func `all that comes while a job is under way goes with the next one`() {
        var commits = settled()
        let first = commits.take(record())
        #expect(commits.next(at: start) == .append([record()]))
        for _ in 0..<999 { _ = commits.take(record()) }
        #expect(commits.next(at: start) == nil, "one at a time")
        #expect(commits.durable < first)
        commits.wrote(bytes: 200)
        #expect(commits.durable == first)
        #expect(
            commits.next(at: start) == .append([LedgerRecord](repeating: record(), count: 999))
        )
        commits.wrote(bytes: 300)
        #expect(commits.durable == 1_000)
    }

    @Test func `a file that has grown to four times its state is written anew`() {
        var commits = settled(bytes: 1 << 20)
        _ = commits.take(record())
        #expect(commits.next(at: start) == .append([record()]))
        commits.wrote(bytes: 4 << 20)
        _ = commits.take(record())
        #expect(commits.next(at: start) == .rewrite)
        commits.wrote(bytes: 1 << 20)
        #expect(commits.durable == 2)
        _ = commits.take(record())
        #expect(commits.next(at: start) == .append([record()]))
    }

    @Test func `a small file may grow to a megabyte`() {
        var commits = settled(bytes: 100)
        _ = commits.take(record())
        _ = commits.next(at: start)
        commits.wrote(bytes: Commits.fileBytesMin - 50)
        _ = commits.take(record())
        #expect(commits.next(at: start) == .append([record()]))
        commits.wrote(bytes: Commits.fileBytesMin)
        _ = commits.take(record())
        #expect(commits.next(at: start) == .rewrite)
    }

    @Test func `what waits is bounded: the state is written in its place`() {
        var commits = settled()
        _ = commits.take(record())
        _ = commits.next(at: start)
        for _ in 0..<10 { _ = commits.take(record(1 << 20)) }
        commits.wrote(bytes: 200)
        #expect(commits.next(at: start) == .rewrite)
        commits.wrote(bytes: 300)
        #expect(commits.durable == 11)
    }

    @Test func `a failed append is never tried again: the state is written anew at once`() {
        var commits = settled()
        let number = commits.take(record())
        _ = commits.next(at: start)
        let isOver = commits.failed(at: start)
        #expect(!isOver, "nobody needs to be told yet")
        #expect(commits.next(at: start) == .rewrite)
        commits.wrote(bytes: 100)
        #expect(commits.durable == number)
    }

    @Test func `a failed rewrite is tried again later, ever more rarely, for ever`() {
        var commits = settled()
        _ = commits.take(record())
        _ = commits.next(at: start)
        _ = commits.failed(at: start)
        var now = start
        var pauses: [Int64] = []
        for _ in 0..<8 {
            #expect(commits.next(at: now) == .rewrite)
            let isOver = commits.failed(at: now)
            #expect(isOver)
            #expect(commits.next(at: now) == nil)
            let retryAt = commits.retryAt ?? now
            pauses.append((retryAt - now).milliseconds / 1_000)
            now = retryAt
        }
        #expect(pauses == [1, 2, 4, 8, 16, 30, 30, 30])
        _ = commits.take(record())
        #expect(commits.next(at: now) == .rewrite)
        commits.wrote(bytes: 100)
        #expect(commits.durable == 2)
        #expect(commits.retryAt == nil && commits.failures == 0)
    }

    @Test func `the last attempt waits for nothing`() {
        var commits = settled()
        _ = commits.take(record())
        _ = commits.next(at: start)
        _ = commits.failed(at: start)
        _ = commits.next(at: start)
        _ = commits.failed(at: start)
        commits.hurry()
        #expect(commits.next(at: start) == .rewrite)
    }
}
