// What did the requests of one process find of a peer, for others to hear? A reason to look, and a
// disagreement where the checks pass; never a status. Pure.

public import Vocabulary

/// So many of so many requests failed.
public struct TrafficVote: Hashable, Sendable {
    public let requests: Int
    public let failures: Int
    /// Within this time before it was told.
    public let window: Nanoseconds
    /// It holds for so long from when it is heard.
    public let life: Nanoseconds

    /// Where nothing else is said. Who goes on seeing requests fail says so again.
    public static let life = Nanoseconds.seconds(10)
    private static let countMax = 1_000_000_000
    /// As long as any ejection lasts.
    private static let spanMax = Nanoseconds.seconds(24 * 3_600)

    /// Takes what comes from outside: what cannot be is drawn to what can.
    public init(requests: Int, failures: Int, window: Nanoseconds, life: Nanoseconds) {
        let failures = min(max(failures, 1), Self.countMax)
        self.failures = failures
        self.requests = min(max(requests, failures), Self.countMax)
        self.window = min(max(window, .milliseconds(1)), Self.spanMax)
        self.life = min(max(life, .milliseconds(1)), Self.spanMax)
    }

    /// `5 of 12 requests failed within 2s`.
    public var words: String {
        "\(failures) of \(requests) request\(requests == 1 ? "" : "s") failed within \(window)"
    }
}

/// The same as somebody else told it.
public struct ToldVote: Hashable, Sendable {
    public let agent: String
    public let vote: TrafficVote
    public let until: WallTime

    public init(agent: String, vote: TrafficVote, until: WallTime) {
        self.agent = agent
        self.vote = vote
        self.until = until
    }
}
