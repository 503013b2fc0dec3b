// When did a peer report in? The last sign of life of each outlives the process that heard it, or each
// restart would forgive a silence anew. Of two the later holds, whichever agent heard it.

public import Health
public import Vocabulary

/// A peer said that it lives, and how it is.
public struct HeardSign: FencedRecord {
    public let key: PeerKey
    /// Never neutral.
    public let verdict: Outcome.Verdict
    public let message: String
    /// Who heard it.
    public let agent: String
    /// When it was heard.
    public private(set) var at: WallTime

    public init(
        key: PeerKey,
        verdict: Outcome.Verdict,
        message: String,
        agent: String,
        at: WallTime
    ) {
        self.key = key
        self.verdict = verdict
        self.message = message
        self.agent = agent
        self.at = at
    }

    /// Readers look for signs as they look for renewals.
    public static let sort = RecordSort(
        name: "sign",
        collection: "signs",
        names: "peer",
        rule: .fenced(silent: ["at", "expires_at", "epoch", "sequence", "agent"])
    )

    /// Nobody takes a sign over from another: later is newer.
    public var epoch: UInt64 { UInt64(max(at.milliseconds, 0)) }
    public var sequence: UInt64 { 0 }
    public var checkedAt: WallTime { at }

    /// For how long it is good is for the check to say; kept a week beyond the longest.
    public var expiresAt: WallTime {
        get { at + Self.life }
        set {}
    }

    private static let life = Nanoseconds.seconds(86_400)

    public func isNewer(than other: HeardSign) -> Bool { at > other.at }

    /// Each is news: what is held back here is not known after a restart.
    public func renews(_ other: HeardSign) -> Bool { false }

    public mutating func shift(by step: Nanoseconds) { at = at + step }

    // MARK: At rest

    public var json: JSON {
        JSON.object([
            .init("status", .string(verdict.rawValue)),
            .init("message", message.isEmpty ? .null : .string(message)),
            .init("at", .integer(at.milliseconds)),
            .init("expires_at", .integer(expiresAt.milliseconds)),
            .init("agent", .string(agent)),
            .init("epoch", .integer(Int64(clamping: epoch))),
            .init("sequence", .integer(0)),
        ]).withoutNulls()
    }

    public static func read(_ json: JSON, of key: PeerKey) -> HeardSign? {
        guard
            let verdict = json["status"]?.string.flatMap(Outcome.Verdict.init(rawValue:)),
            verdict != .neutral,
            let at = json["at"]?.integer.flatMap(Believable.stamp),
            let agent = json["agent"]?.string,
            [key.upstream, key.peer, agent].allSatisfy(Believable.isName)
        else { return nil }
        return HeardSign(
            key: key,
            verdict: verdict,
            message: Believable.message(json["message"]?.string ?? ""),
            agent: agent,
            at: at
        )
    }
}
