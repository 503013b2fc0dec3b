// What did Redis say? hiredis reads the protocol out of the bytes that came; how much of it is read is bounded here.

import CHiredis
import Glibc
import Synchronization

/// Turns bytes into replies, in the order in which they came.
final class RedisReader {
    private let reader: UnsafeMutablePointer<redisReader>

    static let replyBytesMax = 8 << 20
    /// Of a reply of one line, which is searched from its beginning each time that more has come.
    static let lineBytesMax = 65_536
    private static let bounds = Mutex(())

    init() throws(RedisError) {
        guard let reader = redisReaderCreate() else { throw .disconnected("out of memory") }
        self.reader = reader
        // A reply that lies about its length gets no memory.
        Self.bounds.withLock { _ in muster_redis_bound(reader) }
    }

    deinit { redisReaderFree(reader) }

    func feed(_ bytes: UnsafeRawBufferPointer) {
        redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }

    /// Nil where none is whole yet. Throws where what came is no reply, or too long for one.
    func next() throws(RedisError) -> RedisReply? {
        var found: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &found) == REDIS_OK else { throw .disconnected(failure) }
        guard let found else {
            if reader.pointee.len > Self.replyBytesMax {
                throw .tooLong(bytesMax: Self.replyBytesMax)
            }
            if isInLine {
                throw .tooLong(bytesMax: Self.lineBytesMax)
            }
            return nil
        }
        defer { freeReplyObject(found) }
        return RedisReply(copying: found.assumingMemoryBound(to: redisReply.self))
    }

    /// The next part has not come to the end of its first line, which a text announces itself in.
    private var isInLine: Bool {
        let (start, end) = (Int(reader.pointee.pos), Int(reader.pointee.len))
        guard end - start > Self.lineBytesMax else { return false }
        return memchr(reader.pointee.buf + start, 10, Self.lineBytesMax) == nil
    }

    private var failure: String {
        withUnsafeBytes(of: &reader.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension RedisReply {
    /// Copies what the C library will free as soon as its callback returns.
    init(copying reply: UnsafePointer<redisReply>) {
        let reply = reply.pointee
        let bytes = UnsafeBufferPointer(start: reply.str, count: reply.str == nil ? 0 : reply.len)
        switch reply.type {
        case REDIS_REPLY_STRING: self = .string(Array(UnsafeRawBufferPointer(bytes)))
        case REDIS_REPLY_STATUS: self = .status(Self.text(bytes))
        case REDIS_REPLY_ERROR:
            let text = Self.text(UnsafeBufferPointer(rebasing: bytes.prefix(Self.errorBytesMax)))
            self = .error(Self.withoutArguments(Self.withoutScript(text)))
        case REDIS_REPLY_INTEGER: self = .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            let elements = UnsafeBufferPointer(start: reply.element, count: reply.elements)
            self = .array(elements.map { $0.map { RedisReply(copying: $0) } ?? .null })
        default: self = .null
        }
    }

    /// It goes into the log and the status: what is longer says no more.
    private static let errorBytesMax = 1_024

    private static func text(_ bytes: UnsafeBufferPointer<CChar>) -> String {
        String(decoding: UnsafeRawBufferPointer(bytes), as: UTF8.self)
    }

    /// Behind the error of a script Redis names that and the line: a puzzle for people, and another one with each script that
    /// is refused for one reason.
    static func withoutScript(_ text: String) -> String {
        guard let range = text.ranges(of: " script: ").last else { return text }
        let name = text[range.upperBound...].prefix { $0.isHexDigit }
        let isOne = name.count == 40 && text[name.endIndex...].hasPrefix(", on @user_script:")
        return isOne ? String(text[..<range.lowerBound]) : text
    }

    /// A server that does not know a command repeats what it was sent: a whole script.
    static func withoutArguments(_ text: String) -> String {
        guard text.contains("unknown command"),
            let range = text.firstRange(of: ", with args beginning with")
        else { return text }
        return String(text[..<range.lowerBound])
    }
}
