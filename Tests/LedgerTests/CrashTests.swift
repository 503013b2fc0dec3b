// Is everything there that was acknowledged, after the power went at any moment? On a disk that keeps
// what was synced and of everything else what it likes.

import Glibc
import TestSupport
import Testing
import Vocabulary

@testable import Ledger

/// A state that is nothing but the records themselves: each is a number, in order.
private struct History {
    var taken: [LedgerRecord] = []
    var acknowledged = 0

    mutating func next() -> LedgerRecord {
        let number = taken.count
        let record = LedgerRecord(kind: 1, bytes: Array("record \(number)".utf8))
        taken.append(record)
        return record
    }
}

@Suite struct CrashTests {
    private let path = "state.ledger"

    /// Opens, writes the state anew, and goes on with appends and rewrites, until the disk dies.
    private func live(_ file: LedgerFile, _ history: inout History, _ dice: inout Dice) {
        do throws(LedgerError) {
            history.taken = try file.open().records
            history.acknowledged = history.taken.count
            try file.rewrite(history.taken, salt: dice.next())
            for _ in 0..<6 {
                if Int.random(in: 0...3, using: &dice) == 0 {
                    _ = history.next()
                    try file.rewrite(history.taken, salt: dice.next())
                } else {
                    var batch: [LedgerRecord] = []
                    for _ in 0...Int.random(in: 0...3, using: &dice) {
                        batch.append(history.next())
                    }
                    try file.append(batch)
                }
                history.acknowledged = history.taken.count
            }
        } catch {
            // The power is gone.
        }
    }

    @Test func `at every call, whatever was acknowledged is there`() throws {
        for seed in 0..<40 as Range<UInt64> {
            var step = 0
            var isWhole = false
            while !isWhole {
                var dice = Dice(seed: seed)
                let disk = ModelDisk()
                disk.die(after: step)
                var history = History()
                live(LedgerFile(path: path, disk: disk), &history, &dice)
                isWhole = !disk.isDead
                step += 1

                let after = disk.afterCrash(&dice)
                let found = try LedgerFile(path: path, disk: after).open()
                let place: Comment = "seed \(seed), call \(step)"
                #expect(found.records.count >= history.acknowledged, place)
                #expect(found.records == Array(history.taken.prefix(found.records.count)), place)
                #expect(found.damagedBytes == 0 && found.refusal == nil, place)
            }
            #expect(step > 15, "there were calls to die at")
        }
    }

    @Test func `after many crashes in a row too`() throws {
        var dice = Dice(seed: 99)
        var disk = ModelDisk()
        var kept = 0
        for round in 0..<300 {
            disk.die(after: Int.random(in: 0...40, using: &dice))
            var history = History()
            live(LedgerFile(path: path, disk: disk), &history, &dice)
            let isOpened = !history.taken.isEmpty || kept == 0
            disk = disk.afterCrash(&dice)
            let file = LedgerFile(path: path, disk: disk)
            let found = try file.open()
            file.close()
            #expect(found.records.count >= kept, "round \(round)")
            if isOpened { #expect(found.records.count >= history.acknowledged, "round \(round)") }
            kept = found.records.count
        }
        #expect(kept > 100)
    }

    /// A sync that has failed once says the next time that all is well, though nothing is on the disk.
    @Test func `a file whose sync has failed is never trusted again`() throws {
        var dice = Dice(seed: 5)
        let disk = ModelDisk()
        let file = LedgerFile(path: path, disk: disk)
        let all = records(5)
        _ = try file.open()
        try file.rewrite([all[0]], salt: 1)
        disk.onCall { call, _ in call == .sync ? .error(EIO) : nil }
        #expect(throws: LedgerError.self) { try file.append([all[1]]) }
        disk.onCall(nil)
        #expect(throws: LedgerError.closed) { try file.append([all[2]]) }
        try file.rewrite(Array(all[0...2]), salt: 2)
        try file.append([all[3]])
        for _ in 0..<50 {
            let after = disk.afterCrash(&dice)
            let found = try LedgerFile(path: path, disk: after).open()
            #expect(found.records == Array(all[0...3]))
        }
    }

    @Test func `writes that are short or interrupted are gone on with`() throws {
        let disk = ModelDisk()
        let file = LedgerFile(path: path, disk: disk)
        let all = records(9)
        _ = try file.open()
        disk.onCall { call, index in
            switch call {
            case .write: index % 3 == 0 ? .error(EINTR) : .short
            default: nil
            }
        }
        try file.rewrite(Array(all[..<5]), salt: 1)
        try file.append(Array(all[5...]))
        file.close()
        #expect(try LedgerFile(path: path, disk: disk).open().records == all)
    }

    @Test func `a full disk costs nothing that was there`() throws {
        let disk = ModelDisk()
        let file = LedgerFile(path: path, disk: disk)
        let all = records(6)
        _ = try file.open()
        try file.rewrite(Array(all[..<3]), salt: 1)
        disk.onCall { call, _ in call == .write ? .half(ENOSPC) : nil }
        #expect(throws: LedgerError.self) { try file.append([all[3]]) }
        #expect(throws: LedgerError.self) { try file.rewrite(Array(all[...3]), salt: 2) }
        file.close()
        let again = LedgerFile(path: path, disk: disk)
        #expect(try again.open().records == Array(all[..<3]))
        disk.onCall(nil)
        try again.rewrite(Array(all[...3]), salt: 3)
        again.close()
        #expect(try LedgerFile(path: path, disk: disk).open().records == Array(all[...3]))
    }

    @Test func `a file that somebody removes or cuts is noticed before anything is acknowledged`()
        throws
    {
        let disk = ModelDisk()
        let file = LedgerFile(path: path, disk: disk)
        let all = records(3)
        _ = try file.open()
        try file.rewrite([all[0]], salt: 1)
        disk.put(nil, at: path)
        #expect(throws: LedgerError.touched(path)) { try file.append([all[1]]) }
        try file.rewrite(Array(all[...1]), salt: 2)
        // What somebody else put there is not ours to replace.
        disk.put([1, 2, 3], at: path)
        #expect(throws: LedgerError.touched(path)) { try file.append([all[2]]) }
        #expect(throws: LedgerError.replaced(path)) { try file.rewrite(all, salt: 3) }
        #expect(disk.bytes(of: path) == [1, 2, 3])
        #expect("\(LedgerError.replaced(path))".contains("expected the ledger in use, saw another"))
        // Somebody takes it away again.
        disk.put(nil, at: path)
        try file.rewrite(all, salt: 4)
        file.close()
        #expect(try LedgerFile(path: path, disk: disk).open().records == all)
    }
}
