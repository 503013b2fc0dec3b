// What may the proxy do for a request whose first attempt went wrong? As defined; what it does is the
// proxy's table.

/// How an upstream's requests are tried again.
public struct TryingDefinition: Hashable, Sendable {
    /// What may be answered with another attempt.
    public struct Occasions: OptionSet, Hashable, Sendable, BitwiseCopyable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// No connection: the peer has seen nothing.
        public static let connectFailure = Occasions(rawValue: 1)
        /// The connection ended before an answer began.
        public static let emptyResponse = Occasions(rawValue: 2)
        /// What came was no answer. GET and HEAD only.
        public static let malformedResponse = Occasions(rawValue: 4)
        public static let responseTimeout = Occasions(rawValue: 8)
        /// One of `statuses`.
        public static let status = Occasions(rawValue: 16)

        public static let words: [(word: String, occasion: Occasions)] = [
            ("connect-failure", .connectFailure), ("empty-response", .emptyResponse),
            ("malformed-response", .malformedResponse), ("response-timeout", .responseTimeout),
        ]
    }

    public enum Reuse: String, Sendable, CaseIterable {
        /// What must not be sent twice takes no connection that may have gone stale.
        case safe
        case always
    }

    public var occasions: Occasions = [.connectFailure, .emptyResponse, .malformedResponse]
    public var statuses: [Int] = []
    /// Beyond the first attempt.
    public var retries = 2
    /// Requests that are sent a second time, as a share of those under way, and how many at any rate.
    public var budgetShare = 0.2
    public var budgetMin = 3
    /// `header:NAME`: a request that has the field may be sent twice whatever its method is.
    public var key: String?
    public var reuse = Reuse.safe

    public init() {}
}
