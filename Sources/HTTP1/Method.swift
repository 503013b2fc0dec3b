/// Which method is it, and may a request with it be sent twice?
///
/// Methods are case-sensitive (RFC 9110 9.1). One that is not listed is a token like any other and
/// is forwarded as it came, but nothing is assumed of it.
public enum Method: UInt8, Equatable, Sendable, BitwiseCopyable {
    case get, head, post, put, delete, options, trace, connect, patch, other

    /// May be repeated automatically after a failed attempt (RFC 9110 9.2.2).
    @inlinable
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .options, .trace, .put, .delete: true
        case .post, .connect, .patch, .other: false
        }
    }
}

extension Method {
    @inline(__always)
    static func recognise(_ bytes: ByteWindow, at start: Int, length: Int) -> Method {
        switch length {
        case 3:
            if bytes.reads("GET", at: start) { return .get }
            if bytes.reads("PUT", at: start) { return .put }
        case 4:
            if bytes.reads("POST", at: start) { return .post }
            if bytes.reads("HEAD", at: start) { return .head }
        case 5:
            if bytes.reads("PATCH", at: start) { return .patch }
            if bytes.reads("TRACE", at: start) { return .trace }
        case 6:
            if bytes.reads("DELETE", at: start) { return .delete }
        case 7:
            if bytes.reads("OPTIONS", at: start) { return .options }
            if bytes.reads("CONNECT", at: start) { return .connect }
        default: break
        }
        return .other
    }
}
