// Which number stands for a name, everywhere alike? The one hash of the tree whose values leave the
// process or must agree between threads: beats, peers' identities, keys of requests, routes.

/// FNV-1a with a final mix: the same on every machine and in every process, which `Hasher` is not.
public struct StableHash: Sendable {
    private var state = seed

    public init() {}

    public mutating func combine(_ text: String) {
        for byte in text.utf8 { state = Self.step(state, byte) }
        // Ends the text, so that ("a", "bc") and ("ab", "c") differ.
        state = Self.step(state, 0xFF)
    }

    public mutating func combine(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            state = Self.step(state, UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    public var value: UInt64 { Self.mix(state) }

    // MARK: Its parts, for loops over bytes that are in memory already

    @inlinable
    public static var seed: UInt64 { 0xCBF2_9CE4_8422_2325 }

    /// One more byte.
    @inlinable
    @inline(__always)
    public static func step(_ state: UInt64, _ byte: UInt8) -> UInt64 {
        (state ^ UInt64(byte)) &* 0x100_0000_01B3
    }

    /// FNV alone leaves the high bits of short texts alike; the mix is MurmurHash3's.
    @inlinable
    @inline(__always)
    public static func mix(_ state: UInt64) -> UInt64 {
        var hash = state
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ (hash >> 33)
    }
}
