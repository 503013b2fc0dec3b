// Are these the bytes that were written? The Castagnoli checksum (RFC 3720, B.4), the one that
// storage uses: it finds every burst of up to 32 flipped bits.

struct CRC32C {
    private var state: UInt32 = .max

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in
            value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78
        }
    }

    var value: UInt32 { ~state }

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { add(byte) }
    }

    mutating func add(_ byte: UInt8) {
        state = state >> 8 ^ Self.table[Int((state ^ UInt32(byte)) & 0xFF)]
    }

    /// As it lies in a file: the least significant byte first.
    mutating func add(_ number: UInt64) {
        for shift in 0..<8 { add(UInt8(truncatingIfNeeded: number >> UInt64(shift * 8))) }
    }
}
