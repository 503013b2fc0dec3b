/// What did an upstream answer, how does the body end, and may the connection be used again?
///
/// All ranges are offsets into the bytes given to `HeadParser.parseResponse`.
public struct ResponseHead: Equatable, Sendable, BitwiseCopyable {
    public internal(set) var framing = BodyFraming.none
    /// The reason phrase, often empty.
    public internal(set) var reasonRange = ByteRange.empty
    /// The offset of the first byte after the head.
    public internal(set) var end: UInt32 = 0
    public internal(set) var fieldCount: UInt16 = 0
    /// 100 to 999. A class that is not known is forwarded as it is.
    public internal(set) var status: UInt16 = 0
    /// 0 or 1: a later minor version of HTTP/1 is read as 1.1.
    public internal(set) var minorVersion: UInt8 = 1
    /// Whether the connection can carry another exchange once the body has ended as announced.
    public internal(set) var isPersistent = false
    /// A transfer coding other than chunked, which nobody asked for and the proxy cannot undo:
    /// with it the body runs until close, and `Transfer-Encoding` has to be passed on or refused.
    public internal(set) var hasForeignCoding = false
    /// The bytes after the head are no longer HTTP: 101, or a 2xx to CONNECT.
    public internal(set) var isTunnel = false

    /// Another head follows for the same request. 101 is final in this sense.
    public var isInterim: Bool { status < 200 && status != 101 }

    /// Neither length nor coding may be forwarded: RFC 9110 8.6 and RFC 9112 6.1 forbid them in
    /// 1xx, 204 and a 2xx to CONNECT. In 304 and answers to HEAD a length describes what GET would
    /// have brought, and stays.
    public var forbidsContentLength: Bool { status < 200 || status == 204 || isTunnel }
}
