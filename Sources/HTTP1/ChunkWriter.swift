/// What is written around body bytes to send them as chunks?
///
///     size-in-hex CR LF  data CR LF  …  0 CR LF CR LF
public enum ChunkWriter {
    /// Sixteen digits, CR and LF.
    public static let headerBytes = 18

    /// The last chunk with no trailers after it.
    public static var lastChunk: StaticString { "0\r\n\r\n" }

    /// Follows the data of every chunk.
    public static var chunkEnd: StaticString { "\r\n" }

    /// Writes the size line at the *end* of `room` and returns where it begins.
    ///
    /// A worker receives body bytes at a fixed offset in its buffer and learns their number
    /// afterwards; writing backwards puts the line right before them, so nothing is moved.
    /// A chunk is never empty: a size of 0 would end the body.
    @inlinable
    public static func writeHeader(size: Int, atEndOf room: inout MutableSpan<UInt8>) -> Int {
        precondition(size > 0)
        precondition(room.count >= headerBytes)
        var cursor = room.count - 2
        room[cursor] = 0x0D
        room[cursor + 1] = 0x0A
        var rest = UInt64(size)
        repeat {
            let digit = UInt8(truncatingIfNeeded: rest & 0xF)
            cursor -= 1
            room[cursor] = digit < 10 ? 0x30 + digit : 0x57 + digit
            rest >>= 4
        } while rest != 0
        return cursor
    }

    /// The same for callers that hold a raw buffer: writes right before `end`, where
    /// `headerBytes` bytes have to be free, and returns how many were written.
    @unsafe
    @inlinable
    public static func writeHeader(size: Int, endingAt end: UnsafeMutablePointer<UInt8>) -> Int {
        var room = unsafe MutableSpan(_unsafeStart: end - headerBytes, count: headerBytes)
        return headerBytes - writeHeader(size: size, atEndOf: &room)
    }
}
