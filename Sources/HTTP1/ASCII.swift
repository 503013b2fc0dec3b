/// What may a byte be part of?
///
/// The classes come from one table of 256 printable characters, read in place from the binary: a
/// static array would cost a lazy-initialisation check on every byte.
public enum ASCII {
    /// `A` a token byte (RFC 9110 5.6.2), `B` one that may stand in a host name (RFC 3986 3.2.2), `C`
    /// both, `G` the underscore, which is both and gets a bit of its own.
    @inline(__always)
    private static var classes: StaticString {
        """
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\
        @C@ACACCBBCCBCC@CCCCCCCCCC@B@B@@\
        @CCCCCCCCCCCCCCCCCCCCCCCCCC@@@AG\
        ACCCCCCCCCCCCCCCCCCCCCCCCCC@A@C@\
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
        """
    }

    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    /// CR LF, read as one word.
    static let lineEnd: UInt16 = 0x0A0D
    static let colon: UInt8 = 0x3A
    static let comma: UInt8 = 0x2C

    static let tokenBit: UInt8 = 1
    static let hostBit: UInt8 = 2
    static let underscoreBit: UInt8 = 4

    @inline(__always)
    static func bits(_ byte: UInt8) -> UInt8 { unsafe classes.utf8Start[Int(byte)] }

    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool { bits(byte) & tokenBit != 0 }

    @inline(__always)
    static func isHost(_ byte: UInt8) -> Bool { bits(byte) & hostBit != 0 }

    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inlinable
    @inline(__always)
    public static func lowercase(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    /// The value of a hexadecimal digit, or `nil`.
    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt8? {
        if isDigit(byte) { return byte &- 0x30 }
        let letter = (byte | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }
}
