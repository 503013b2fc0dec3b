/// What does a request ask for, of whom, and how does its body end?
///
/// All ranges are offsets into the bytes given to `HeadParser.parseRequest`.
public struct RequestHead: Equatable, Sendable, BitwiseCopyable {
    public enum TargetForm: UInt8, Equatable, Sendable, BitwiseCopyable {
        /// `/path?query`, what a client sends to a server.
        case origin
        /// `http://host/path?query`, what a client sends to a proxy; everyone has to accept it.
        case absolute
        /// `host:port`, with CONNECT only.
        case authority
        /// `*`, with OPTIONS only: the server as a whole.
        case asterisk
    }

    /// What of the head is true or not, one bit each.
    struct Flags: OptionSet, Sendable, BitwiseCopyable {
        let rawValue: UInt8
        static let persistent = Flags(rawValue: 1)
        static let expectsContinue = Flags(rawValue: 2)
        static let unknownExpectation = Flags(rawValue: 4)
        static let upgrade = Flags(rawValue: 8)
        static let acceptsTrailers = Flags(rawValue: 16)
        static let underscore = Flags(rawValue: 32)
        static let secureScheme = Flags(rawValue: 64)
    }

    public internal(set) var framing = BodyFraming.none
    public internal(set) var methodRange = ByteRange.empty
    public internal(set) var targetRange = ByteRange.empty
    /// The path without its query. Empty for the authority form, and for an absolute form such as
    /// `http://host?q`, which is forwarded with a `/` before the rest (RFC 9112 3.2.1).
    public internal(set) var pathRange = ByteRange.empty
    /// Who is asked, with the port if one was given: the authority of an absolute form, which
    /// replaces the Host field (RFC 9112 3.2.2), else the Host field. Empty when neither says.
    public internal(set) var authorityRange = ByteRange.empty
    /// `authorityRange` without the port: what routes. An IPv6 address keeps its brackets.
    public internal(set) var hostRange = ByteRange.empty
    /// The offset of the first byte after the head.
    public internal(set) var end: UInt32 = 0
    public internal(set) var fieldCount: UInt16 = 0
    /// The port asked for; 0 when none was named.
    public internal(set) var port: UInt16 = 0
    public internal(set) var method = Method.other
    public internal(set) var targetForm = TargetForm.origin
    /// 0 or 1: a later minor version of HTTP/1 is read as 1.1 (RFC 9110 2.5).
    public internal(set) var minorVersion: UInt8 = 1
    var flags: Flags = []

    /// Path and query, what is forwarded in origin form.
    public var originRange: Range<Int> { pathRange.lowerBound..<targetRange.upperBound }

    /// Whether the target has to be forwarded as `*`: an OPTIONS for a server as a whole that came
    /// in absolute form, `OPTIONS http://host` (RFC 9112 3.2.4).
    public var isServerWide: Bool {
        targetForm == .asterisk
            || method == .options && targetForm == .absolute && originRange.isEmpty
    }

    /// Whether the client wants to send another request on this connection. HTTP/1.0 has to ask
    /// for it: muster is a gateway, an origin server to its clients, so the ban on persistent
    /// connections between 1.0 clients and proxies (RFC 9112 9.3) does not bind it.
    public var isPersistent: Bool { flags.contains(.persistent) }

    /// The client waits for `100 Continue` before it sends the body. Never with HTTP/1.0, where
    /// the expectation has to be ignored (RFC 9110 10.1.1).
    public var expectsContinue: Bool { flags.contains(.expectsContinue) }

    /// An `Expect` other than `100-continue`: 417 or forward, as the proxy sees fit.
    public var hasUnknownExpectation: Bool { flags.contains(.unknownExpectation) }

    /// An `Upgrade` field and the `upgrade` option. Never with HTTP/1.0 (RFC 9110 7.8).
    public var hasUpgrade: Bool { flags.contains(.upgrade) }

    /// `TE: trailers`: the field itself ends at this hop and is to be written anew.
    public var acceptsTrailers: Bool { flags.contains(.acceptsTrailers) }

    /// Whether any field name has an underscore, so that the common case needs no look at each.
    public var hasUnderscoreField: Bool { flags.contains(.underscore) }

    /// The absolute form said `https`.
    public var hasSecureScheme: Bool { flags.contains(.secureScheme) }
}
