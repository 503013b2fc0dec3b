// What now, when a peer failed a request? The table of RFC 9110 (section 9.2.2) and of what users of
// other proxies were hurt by, as a pure function. Nothing here knows a socket.

import Health

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
    /// It may be sent twice: by its method, or because it says so itself.
    var isIdempotent: Bool
    /// It changes nothing: GET or HEAD.
    var isSafe: Bool
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
    /// What the operator lets be tried again.
    var occasions: TryingDefinition.Occasions

    /// It may be sent to another peer although this one may have had it.
    var mayBeSentAgain: Bool {
        isIdempotent && isReplayable && !interimWasSent && tries < triesMax && hasBudget
    }
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
        let occasions = state.occasions
        switch failure {
        case .connect:
            // The peer saw nothing, so any method may go elsewhere, body and all.
            let mayGo = state.isReplayable && state.tries < state.triesMax
            return mayGo && occasions.contains(.connectFailure)
                ? .anotherPeer : .respond(status: 502)
        case .diedSilent(let isReused, let wroteBytes):
            // An idle connection may be closed at any time (RFC 9112, section 9.3.1). That is
            // nobody's failure: the request gets a fresh connection, once.
            let maySendAgain = state.isReplayable && (state.isIdempotent || !wroteBytes)
            guard maySendAgain else { return .respond(status: 502) }
            if isReused, !state.usedFreeRetry { return .freshConnection }
            let mayGo = state.tries < state.triesMax && state.hasBudget
            return mayGo && occasions.contains(.emptyResponse)
                ? .anotherPeer : .respond(status: 502)
        case .timeout:
            // Sending a slow request to every peer in turn is how an overload spreads: only where
            // the operator wants that.
            return occasions.contains(.responseTimeout) && state.mayBeSentAgain
                ? .anotherPeer : .respond(status: 504)
        case .malformed:
            // The peer did something, and nobody knows what.
            return occasions.contains(.malformedResponse) && state.isSafe && state.mayBeSentAgain
                ? .anotherPeer : .respond(status: 502)
        case .midResponse:
            return .abort
        }
    }
}

/// How many requests of an upstream may be under way a second time at once: a share of all that are
/// under way, and a few at any rate. A peer that fails now and then costs its upstream nothing; one
/// that fails all its requests cannot double the load of the others. Attempts that failed to connect
/// cost the peers nothing and are not counted.
struct RetryBudget {
    /// Requests under way, and how many of them a second time.
    var underWay: Int32 = 0
    private(set) var again: Int32 = 0
    var share = 0.2
    var least: Int32 = 3

    var isEmpty: Bool { again >= max(least, Int32(share * Double(underWay))) }

    mutating func take() { again += 1 }
    mutating func giveBack() { again -= 1 }
}
