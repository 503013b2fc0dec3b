// Does a ledger's file, whatever has become of its bytes, tell only what was written, and a part of it
// that begins at the beginning where nothing but the end is missing?

@testable import Ledger

@Sendable func ledger(_ bytes: [UInt8]) {
    // As they are: nothing traps, and what is found can be written and found again.
    requireSame(Recovery(of: bytes).records, "bytes as they are")
    let salt: UInt64 = 42
    requireSame(Recovery(of: FileHead(salt: salt).encoded + bytes).records, "behind a head")

    // As records, a line each.
    let written = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map {
        LedgerRecord(kind: $0.first ?? 0, bytes: Array($0.dropFirst()))
    }
    let whole = encoded(written, salt: salt)
    require(Recovery(of: whole).records == written, "what was written is not what is read")
    for cut in cuts(of: whole) {
        let found = Recovery(of: Array(whole[..<cut]))
        require(found.records == Array(written.prefix(found.records.count)), "cut at \(cut)")
        require(found.damagedBytes == 0, "a cut at \(cut) is taken for damage")
    }
    // With one byte changed.
    for place in cuts(of: whole) {
        var damaged = whole
        damaged[place] ^= bytes.first ?? 1
        var rest = written[...]
        for record in Recovery(of: damaged).records {
            guard let index = rest.firstIndex(of: record) else {
                return require(false, "\(record) was never written")
            }
            rest = rest[(index + 1)...]
        }
    }
}

private func requireSame(_ records: [LedgerRecord], _ what: String) {
    require(Recovery(of: encoded(records, salt: 7)).records == records, what)
}

private func encoded(_ records: [LedgerRecord], salt: UInt64) -> [UInt8] {
    var bytes = FileHead(salt: salt).encoded
    for record in records { Frame.write(record, at: bytes.count, salt: salt, to: &bytes) }
    return bytes
}
