// Does a file tell what was written, all of it, and nothing else, whatever happened to its bytes?

import Testing
import Vocabulary

@testable import Ledger

/// Records of many lengths, each different.
func records(_ count: Int) -> [LedgerRecord] {
    (0..<count).map { number in
        let length = [0, 1, 3, 17, 40][number % 5]
        return LedgerRecord(
            kind: UInt8(1 + number % 3),
            bytes: [UInt8](repeating: UInt8(number & 0xFF), count: length)
                + Array("\(number)".utf8)
        )
    }
}

func file(_ records: [LedgerRecord], salt: UInt64 = 0x1234_5678_9ABC_DEF0) -> [UInt8] {
    var bytes = FileHead(salt: salt).encoded
    for record in records { Frame.write(record, at: bytes.count, salt: salt, to: &bytes) }
    return bytes
}

@Suite struct RecoveryTests {
    @Test func `the checksum is the one of the standards`() {
        var sum = CRC32C()
        sum.add(Array("123456789".utf8))
        #expect(sum.value == 0xE306_9283)
        var zeros = CRC32C()
        zeros.add([UInt8](repeating: 0, count: 32))
        #expect(zeros.value == 0x8A91_36AA)
    }

    @Test func `what was written is read`() {
        let written = records(50)
        let found = Recovery(of: file(written))
        #expect(found.records == written)
        #expect(found.cutBytes == 0 && found.damagedBytes == 0 && found.refusal == nil)
        #expect(Recovery(of: []) == Recovery())
        #expect(Recovery(of: file([])).records.isEmpty)
    }

    @Test func `a record may be as long as the limit`() {
        let long = LedgerRecord(
            kind: 1,
            bytes: [UInt8](repeating: 7, count: LedgerRecord.bytesMax)
        )
        #expect(Recovery(of: file([long])).records == [long])
    }

    /// The last write of a process that was killed may end anywhere.
    @Test func `a file cut anywhere tells what is whole before the cut`() {
        let written = records(20)
        let whole = file(written)
        var ends: [Int] = [FileHead.bytes]
        for record in written { ends.append((ends.last ?? 0) + Frame.size(of: record)) }
        for length in 0..<whole.count {
            let found = Recovery(of: Array(whole[..<length]))
            let count = ends.filter { $0 <= length }.count - 1
            if count < 0 {
                #expect(found.records.isEmpty, "cut at \(length)")
                continue
            }
            #expect(found.records == Array(written[..<count]), "cut at \(length)")
            #expect(found.cutBytes == length - ends[count], "cut at \(length)")
            #expect(found.damagedBytes == 0, "cut at \(length)")
        }
    }

    @Test func `every single flipped bit costs one record at most`() {
        let written = records(12)
        let whole = file(written)
        for bit in 0..<whole.count * 8 {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            let found = Recovery(of: bytes)
            #expect(isPart(found.records, of: written), "bit \(bit)")
            // In the head there are two copies of everything.
            let least = bit / 8 < FileHead.bytes ? written.count : written.count - 1
            #expect(found.records.count >= least, "bit \(bit): \(found.records.count)")
        }
    }

    @Test func `no damage invents a record`() {
        var dice = Dice(seed: 7)
        let written = records(40)
        let whole = file(written)
        for round in 0..<400 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...30, using: &dice) {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                switch Int.random(in: 0...3, using: &dice) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.insert(UInt8.random(in: 0...255, using: &dice), at: place)
                case 2: bytes.remove(at: place)
                default:
                    let end = min(place + 60, bytes.count)
                    for index in place..<end { bytes[index] = 0 }
                }
            }
            #expect(isPart(Recovery(of: bytes).records, of: written), "round \(round)")
        }
    }

    @Test func `damage in the middle is told of, with its place, and what follows counts`() {
        let written = records(3)
        var bytes = file(written)
        let second = FileHead.bytes + Frame.size(of: written[0])
        bytes[second + Frame.headBytes] ^= 0xFF
        let found = Recovery(of: bytes)
        #expect(found.records == [written[0], written[2]])
        #expect(found.damagedAt == [second])
        #expect(found.damagedBytes == Frame.size(of: written[1]))
        #expect(found.cutBytes == 0)
    }

    /// Blocks of the disk are used again, and a crash may leave on them what was there before.
    @Test func `frames of another file, or at another place, are none`() {
        let old = file(records(10), salt: 1)
        var new = file([], salt: 2)
        new += old[FileHead.bytes...]
        let found = Recovery(of: new)
        #expect(found.records.isEmpty)
        #expect(found.cutBytes == old.count - FileHead.bytes)
        let slid = FileHead(salt: 1).encoded + [0] + old[FileHead.bytes...]
        #expect(Recovery(of: slid).records.isEmpty)
    }

    @Test func `another file is refused, and so is another format`() {
        #expect(Recovery(of: Array("{\"format\":1}".utf8)).refusal == .notALedger)
        #expect(Recovery(of: [UInt8](repeating: 0, count: 4_096)).refusal == .notALedger)
        var later = FileHead(salt: 3)
        later.format = 2
        #expect(Recovery(of: later.encoded + [1, 2, 3]).refusal == .format(2))
    }

    /// In order, and none that was not written.
    private func isPart(_ found: [LedgerRecord], of written: [LedgerRecord]) -> Bool {
        var rest = written[...]
        return found.allSatisfy { record in
            guard let place = rest.firstIndex(of: record) else { return false }
            rest = rest[(place + 1)...]
            return true
        }
    }
}
