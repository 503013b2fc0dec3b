// Why does a peer with weight 0 get nothing, and who said so? The one wording of it: log, status, API, agent
// line and dashboard show the same.

public import Vocabulary

/// Who gave a peer no weight.
public enum Weightless: Hashable, Sendable {
    /// The peer's own agent asked for 0%.
    case agent
    case configured
    /// `since` where it is known.
    case `operator`(Intent?, since: WallTime?)

    /// `weight 0, set by root (muster/0.1.0) at T until T: no new requests, still probed: deploy`.
    public var words: String {
        let whose =
            switch self {
            case .agent: "asked for by its own agent"
            case .configured: "as configured"
            case .operator(let intent, let since): Self.words(intent, since)
            }
        let why = if case .operator(let intent?, _) = self { intent.weightReason } else { "" }
        return "weight 0, \(whose): no new requests, still probed" + (why.isEmpty ? "" : ": \(why)")
    }

    private static func words(_ intent: Intent?, _ since: WallTime?) -> String {
        let by = intent?.weightBy ?? ""
        var words = "set by " + (by.isEmpty ? "an operator" : by)
        if let since { words += " at \(since)" }
        if let until = intent?.weightUntil { words += " until \(until)" }
        return words
    }
}
