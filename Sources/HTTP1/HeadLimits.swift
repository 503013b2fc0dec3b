/// How large may a head be?
///
/// Every limit counts bytes as they arrive, line ends included where a whole head is meant.
public struct HeadLimits: Equatable, Sendable, BitwiseCopyable {
    /// Method, target and version together; beyond it 414. RFC 9112 3 recommends at least 8000.
    public var requestLineBytes = 8_192
    /// A whole request head; beyond it 431.
    public var headBytes = 32_768
    /// Field lines in a head of either side; beyond it 431, from an upstream 502.
    public var fields = 128
    /// A whole response head; beyond it 502. Upstreams are trusted with more than strangers.
    public var responseHeadBytes = 65_536

    /// A method longer than this is certainly not one of ours or an upstream's (RFC 9112 3: 501).
    public static let methodBytes = 64
    /// Each option is looked up among all fields, so a stranger may not bring thousands.
    public static let connectionOptions = 64
    /// Extensions of all chunks of one body together; nobody has a use for more.
    public static let chunkExtensionBytes = 4_096
    /// All trailer lines of one body together.
    public static let trailerBytes = 8_192

    public init() {}
}
