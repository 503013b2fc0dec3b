// What did Redis answer? A reply of any type, copied out of the C library's memory.

/// One reply. Texts are bytes: Redis does not promise UTF-8.
public enum RedisReply: Hashable, Sendable {
    case string([UInt8])
    case status(String)
    case integer(Int64)
    case array([RedisReply])
    case null
    /// Redis understood, and refused: `NOSCRIPT …`, `WRONGTYPE …`.
    case error(String)

    /// The text of a string or status.
    public var text: String? {
        switch self {
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        case .status(let text): text
        default: nil
        }
    }

    public var bytes: [UInt8]? {
        if case .string(let bytes) = self { return bytes }
        return nil
    }

    public var array: [RedisReply]? {
        if case .array(let items) = self { return items }
        return nil
    }

    public var integer: Int64? {
        switch self {
        case .integer(let number): number
        case .string(let bytes): Int64(String(decoding: bytes, as: UTF8.self))
        default: nil
        }
    }
}
