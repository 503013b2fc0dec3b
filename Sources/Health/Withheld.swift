// Why does a failure that was found not count? The peer is as it was, and whoever looks at it has to be told
// that it is not well all the same.

/// As `held` of a check in the API, and in the store.
public enum Withheld: String, Hashable, Sendable, CaseIterable {
    /// Too many peers fell silent at once: `store.mass-change`.
    case massChange = "mass-change"
    /// Other agents were asked, and have not said that they see the same.
    case unconfirmed
    /// The agent that probes it doubts itself.
    case doubt

    /// What stands before what the probe found.
    public var words: String {
        switch self {
        case .massChange: "held as it was by store.mass-change, for too many fell silent at once"
        case .unconfirmed: "held as it was until other agents see it fail too"
        case .doubt: "held as it was, for the agent that probes it doubts itself"
        }
    }
}
