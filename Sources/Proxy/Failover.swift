// What now, when a peer failed a request? The table of RFC 9110 (section 9.2.2) and of what users of
// other proxies were hurt by, as a pure function. Nothing here knows a socket.

/// How an attempt to have a peer answer went wrong.
enum AttemptFailure: Equatable {
    /// Refused, unreachable or not in time: the peer has seen no byte of the request.
    case connect
    /// The connection ended before the first byte of a response.
    case diedSilent(isReused: Bool, wroteBytes: Bool)
    /// No response head in time.
    case timeout
    /// What came was no HTTP.
    case malformed
    /// The response had begun to reach the client.
    case midResponse
}

/// What is known of the request that failed.
struct AttemptState: Equatable {
    var isIdempotent: Bool
    /// Every byte sent so far is still here, to be sent again.
    var isReplayable: Bool
    /// An interim response went to the client. It can still be told how the request ended, but
    /// what it heard was of the peer that failed.
    var interimWasSent: Bool
    /// Peers tried, this one included.
    var tries: Int
    var triesMax: Int
    /// A reused connection has been forgiven once for this request.
    var usedFreeRetry: Bool
    /// The budget allows sending a request a second time.
    var hasBudget: Bool
}

enum FailoverDecision: Equatable {
    /// Try a peer that has not been tried.
    case anotherPeer
    /// Try the same peer on a fresh connection; its idle connection had gone stale.
    case freshConnection
    /// Give up and tell the client so.
    case respond(status: Int)
    /// Too late to tell the client anything: cut the connection, so that it knows.
    case abort
}

enum Failover {
    static func decide(_ failure: AttemptFailure, _ state: AttemptState) -> FailoverDecision {
        if failure == .midResponse { return .abort }
        if state.interimWasSent { return .respond(status: failure == .timeout ? 504 : 502) }
        let hasTriesLeft = state.tries < state.triesMax
        switch failure {
        case .connect:
            // The peer saw nothing, so any method may go elsewhere, body and all.
            return hasTriesLeft && state.isReplayable ? .anotherPeer : .respond(status: 502)
        case .diedSilent(let isReused, let wroteBytes):
            // An idle connection may be closed at any time (RFC 9112, section 9.3.1). That is
            // nobody's failure: the request gets a fresh connection, once.
            let maySendAgain = state.isReplayable && (state.isIdempotent || !wroteBytes)
            guard maySendAgain else { return .respond(status: 502) }
            if isReused, !state.usedFreeRetry { return .freshConnection }
            return hasTriesLeft && state.hasBudget ? .anotherPeer : .respond(status: 502)
        case .timeout:
            // Sending a slow request to every peer in turn is how an overload spreads.
            return .respond(status: 504)
        case .malformed:
            return .respond(status: 502)
        case .midResponse:
            return .abort
        }
    }
}

/// How many requests may be sent a second time: a fifth of those that come in, and some to begin
/// with. Attempts that failed to connect cost the peers nothing and are not counted.
struct RetryBudget {
    private var tokens: Double = RetryBudget.tokensMax / 2

    static let share = 0.2
    static let tokensMax = 1_000.0

    @inline(__always)
    mutating func deposit() { tokens = min(tokens + Self.share, Self.tokensMax) }

    var isEmpty: Bool { tokens < 1 }

    mutating func withdraw() { tokens -= 1 }
}
