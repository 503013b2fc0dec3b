/// Which of the fields that a proxy acts on is this?
///
/// A field that is listed is either dropped at each hop or protected: naming it in `Connection`
/// does not remove it (`FieldTable.markHopByHop`).
public enum KnownField: UInt8, CaseIterable, Equatable, Sendable, BitwiseCopyable {
    case other

    // Read by the head parser itself.
    case host, connection, contentLength, transferEncoding, upgrade, expect, te

    // Hop by hop, or may be made so by `Connection`.
    case keepAlive, proxyConnection, trailer

    // Written or extended by the proxy.
    case via, forwarded, xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort
    case xRealIP, xRequestID, maxForwards, date, server

    // Read by routing, sticky sessions, logs and the access rules of upstreams.
    case cookie, setCookie, authorization, proxyAuthorization, userAgent, referer, location
    case accept, origin, cacheControl, range
    case contentType, contentEncoding, contentRange

    /// This kind in a set of kinds: a loop over a head's fields asks for several with one test.
    @inlinable
    public var bit: UInt64 { 1 &<< UInt64(rawValue) }

    /// Kinds that framing, routing or a proxy acts on.
    @inline(__always)
    static var notable: UInt64 {
        host.bit | contentLength.bit | expect.bit | trailer.bit | hopByHop
            | forwarded.bit | xForwardedFor.bit | xForwardedProto.bit | xForwardedHost.bit
            | xForwardedPort.bit | xRealIP.bit | maxForwards.bit
    }

    @inline(__always)
    static var hopByHop: UInt64 {
        connection.bit | keepAlive.bit | proxyConnection.bit | te.bit | transferEncoding.bit
            | upgrade.bit
    }

    /// Dropped from every forwarded head, named in `Connection` or not (RFC 9110 7.6.1).
    @inlinable
    public var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade: true
        default: false
        }
    }

    /// Stays even when `Connection` names it. RFC 9110 7.6.1 forbids a sender to list a field that
    /// is meant for every recipient; obeying one that does would let a client delete the framing,
    /// the route or the address that upstreams trust.
    @inlinable
    public var isProtected: Bool { self != .other && self != .trailer && !isHopByHop }

    /// May not come after the body: framing, routing, authentication, request modifiers and how to
    /// read the content have to be known before it (RFC 9110 6.5.1).
    @inlinable
    public var isForbiddenInTrailers: Bool { self != .other && self != .server && self != .date }
}

extension KnownField {
    /// Names are compared without regard to case (RFC 9110 5.1). The name holds token bytes only.
    @inline(__always)
    static func recognise(_ bytes: ByteWindow, at start: Int, length: Int) -> KnownField {
        @inline(__always)
        func named(_ lowercase: StaticString) -> Bool { bytes.matches(lowercase, at: start) }

        switch length {
        case 2:
            if named("te") { return .te }
        case 3:
            if named("via") { return .via }
        case 4:
            if named("host") { return .host }
            if named("date") { return .date }
        case 5:
            if named("range") { return .range }
        case 6:
            if named("accept") { return .accept }
            if named("cookie") { return .cookie }
            if named("expect") { return .expect }
            if named("server") { return .server }
            if named("origin") { return .origin }
        case 7:
            if named("upgrade") { return .upgrade }
            if named("referer") { return .referer }
            if named("trailer") { return .trailer }
        case 8:
            if named("location") { return .location }
        case 9:
            if named("forwarded") { return .forwarded }
            if named("x-real-ip") { return .xRealIP }
        case 10:
            if named("connection") { return .connection }
            if named("user-agent") { return .userAgent }
            if named("keep-alive") { return .keepAlive }
            if named("set-cookie") { return .setCookie }
        case 12:
            if named("content-type") { return .contentType }
            if named("max-forwards") { return .maxForwards }
            if named("x-request-id") { return .xRequestID }
        case 13:
            if named("cache-control") { return .cacheControl }
            if named("authorization") { return .authorization }
            if named("content-range") { return .contentRange }
        case 14:
            if named("content-length") { return .contentLength }
        case 15:
            if named("x-forwarded-for") { return .xForwardedFor }
        case 16:
            if named("content-encoding") { return .contentEncoding }
            if named("proxy-connection") { return .proxyConnection }
            if named("x-forwarded-host") { return .xForwardedHost }
            if named("x-forwarded-port") { return .xForwardedPort }
        case 17:
            if named("transfer-encoding") { return .transferEncoding }
            if named("x-forwarded-proto") { return .xForwardedProto }
        case 19:
            if named("proxy-authorization") { return .proxyAuthorization }
        default: break
        }
        return .other
    }
}
