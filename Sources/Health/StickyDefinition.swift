// How does a client come back to the peer that served it first? By a cookie that muster sets: as defined,
// what it looks like is the proxy's affair.

/// The cookie of an upstream.
public struct StickyDefinition: Hashable, Sendable {
    public enum Secure: String, Sendable, CaseIterable {
        /// Where the client came over TLS.
        case auto
        /// TLS ends in front of muster.
        case always
        case never
    }

    public enum SameSite: String, Sendable, CaseIterable {
        case lax
        case strict
        case none
    }

    public var cookie: String
    public var secure: Secure
    public var sameSite: SameSite

    public init(cookie: String, secure: Secure = .auto, sameSite: SameSite = .lax) {
        self.cookie = cookie
        self.secure = secure
        self.sameSite = sameSite
    }
}
