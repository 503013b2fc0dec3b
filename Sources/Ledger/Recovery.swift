// What does a file still tell after a crash, a full disk or a bad block? Every record that is whole,
// in order; what had to be left out is counted and named. Pure: bytes in, records out.
//
// The rule. A frame that is not whole ends the file, if no whole frame follows: that is the last write
// of a process that was killed, and nobody was told that it had been done. If one does follow, the
// bytes between are damage: they are left out, and the records behind them count.

/// What was found in a file.
public struct Recovery: Hashable, Sendable {
    public var records: [LedgerRecord] = []
    /// Bytes of a last write that was cut short.
    public var cutBytes = 0
    /// Bytes before the last record that were no record, and where each stretch of them began.
    public var damagedBytes = 0
    public var damagedAt: [Int] = []
    /// Why not one record could be read, though there are bytes.
    public var refusal: Refusal?

    public enum Refusal: Hashable, Sendable {
        case notALedger
        case format(UInt32)
    }

    /// Bytes that may be looked through for the next whole frame: a file of noise must not hold up a
    /// start.
    static let searchBytesMax = 64 << 20
    /// Stretches that are told of by their place.
    static let placesMax = 16

    init() {}

    init(of bytes: [UInt8]) {
        // Made, locked, and never written: nothing was ever acknowledged.
        if bytes.isEmpty { return }
        guard let head = FileHead(bytes) else {
            refusal = .notALedger
            return
        }
        guard head.format == FileHead.format else {
            refusal = .format(head.format)
            return
        }
        var search = Search(bytes: bytes, salt: head.salt)
        var offset = FileHead.bytes
        while offset < bytes.count {
            if let (record, end) = search.frame(at: offset) {
                records.append(record)
                offset = end
                continue
            }
            guard let next = search.next(after: offset) else {
                cutBytes = bytes.count - offset
                return
            }
            damagedBytes += next - offset
            if damagedAt.count < Self.placesMax { damagedAt.append(offset) }
            offset = next
        }
    }

    private struct Search {
        let bytes: [UInt8]
        let salt: UInt64
        var budget = searchBytesMax

        func frame(at offset: Int) -> (LedgerRecord, Int)? {
            guard let end = Frame.end(at: offset, in: bytes),
                let record = Frame.read(from: offset, to: end, salt: salt, in: bytes)
            else { return nil }
            return (record, end)
        }

        /// Where the next whole frame begins. A length that is out of range is passed over without
        /// a checksum, as most of what is no frame is.
        mutating func next(after offset: Int) -> Int? {
            var offset = offset + 1
            while offset + Frame.headBytes <= bytes.count, budget > 0 {
                if let end = Frame.end(at: offset, in: bytes) {
                    if frame(at: offset) != nil { return offset }
                    budget -= end - offset
                }
                budget -= 1
                offset += 1
            }
            return nil
        }
    }
}
