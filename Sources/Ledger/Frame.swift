// How does a record lie in the file? Behind a checksum, its length and its kind:
//
//   0   4        8     9
//   checksum  length  kind  bytes …            numbers with the least significant byte first
//
// The checksum also covers where the frame stands and in which file: what an older file left on the
// same blocks of the disk, and what slid to another place, is no record of this one.

/// One thing that must not be forgotten. What its bytes mean, the owner of its kind knows.
public struct LedgerRecord: Hashable, Sendable {
    public var kind: UInt8
    public var bytes: [UInt8]

    public init(kind: UInt8, bytes: [UInt8]) {
        self.kind = kind
        self.bytes = bytes
    }

    /// A longer one is refused when it is written, and is damage when it is read.
    public static let bytesMax = 1 << 20
}

enum Frame {
    static let headBytes = 9

    static func size(of record: LedgerRecord) -> Int { headBytes + record.bytes.count }

    /// Appends `record` to what will stand at the end of a file, `offset` bytes from its beginning.
    static func write(_ record: LedgerRecord, at offset: Int, salt: UInt64, to bytes: inout [UInt8])
    {
        let length = UInt32(record.bytes.count)
        let sum = checksum(of: record.bytes, record.kind, length, at: offset, salt: salt)
        for number in [sum, length] {
            for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: number >> (shift * 8))) }
        }
        bytes.append(record.kind)
        bytes.append(contentsOf: record.bytes)
    }

    /// Where a frame that begins at `offset` would end, if what stands there can be a frame at all.
    static func end(at offset: Int, in bytes: [UInt8]) -> Int? {
        guard offset + headBytes <= bytes.count else { return nil }
        let length = Int(number(at: offset + 4, in: bytes))
        let end = offset + headBytes + length
        return length <= LedgerRecord.bytesMax && end <= bytes.count ? end : nil
    }

    /// The record in `offset..<end`, if its checksum holds.
    static func read(
        from offset: Int,
        to end: Int,
        salt: UInt64,
        in bytes: [UInt8]
    )
        -> LedgerRecord?
    {
        let content = bytes[offset + headBytes..<end]
        let kind = bytes[offset + 8]
        let sum = checksum(of: content, kind, UInt32(content.count), at: offset, salt: salt)
        guard sum == number(at: offset, in: bytes) else { return nil }
        return LedgerRecord(kind: kind, bytes: Array(content))
    }

    private static func checksum(
        of content: some Sequence<UInt8>,
        _ kind: UInt8,
        _ length: UInt32,
        at offset: Int,
        salt: UInt64
    ) -> UInt32 {
        var sum = CRC32C()
        sum.add(salt)
        sum.add(UInt64(offset))
        sum.add(UInt64(length))
        sum.add(kind)
        sum.add(content)
        return sum.value
    }

    private static func number(at offset: Int, in bytes: [UInt8]) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32($1 * 8) }
    }
}

/// What a ledger's file begins with: what it is, and the salt of its checksums. Written twice, for
/// without it nothing behind it can be checked.
struct FileHead: Hashable, Sendable {
    var format: UInt32
    var salt: UInt64

    static let format: UInt32 = 1
    /// Of both copies.
    static let bytes = 2 * copyBytes
    private static let copyBytes = 24
    private static let magic = Array("musterlg".utf8)

    init(salt: UInt64) {
        format = Self.format
        self.salt = salt
    }

    /// The first copy that is whole.
    init?(_ bytes: [UInt8]) {
        for start in [0, Self.copyBytes] where start + Self.copyBytes <= bytes.count {
            let copy = Array(bytes[start..<start + Self.copyBytes])
            guard copy.starts(with: Self.magic) else { continue }
            format = (0..<4).reduce(0) { $0 | UInt32(copy[8 + $1]) << UInt32($1 * 8) }
            salt = (0..<8).reduce(0) { $0 | UInt64(copy[12 + $1]) << UInt64($1 * 8) }
            if encodedOnce == copy { return }
        }
        return nil
    }

    var encoded: [UInt8] { encodedOnce + encodedOnce }

    private var encodedOnce: [UInt8] {
        var bytes = Self.magic
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: format >> (shift * 8))) }
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: salt >> UInt64(shift * 8))) }
        var sum = CRC32C()
        sum.add(bytes)
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: sum.value >> (shift * 8))) }
        return bytes
    }
}
