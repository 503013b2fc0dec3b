// How does muster speak to load balancers? Which admin words it says and when, and what it answers
// where it knows nothing.

public import Vocabulary

/// What an endpoint says, apart from where it listens.
public struct AgentCheckPolicy: Hashable, Sendable {
    /// When `ready`, `drain` and `maint` are said. HAProxy keeps one pair of flags for them,
    /// whoever set them: an agent that always says `ready` cancels the operator's own
    /// `set server … state maint`.
    public enum AdminWords: String, Sendable, CaseIterable {
        /// While drain or maint is asked for here, and `ready` for the hold time after.
        case whenSet = "when-set"
        /// In every line: muster alone decides.
        case always
        /// In none: drain is told as weight 0%, maint as down.
        case never
    }

    /// What is answered where there is no fresh opinion. Never an admin word: nobody here would
    /// ever take it back.
    public enum Fallback: String, Sendable, CaseIterable {
        /// Nothing that changes anything in HAProxy.
        case unchanged
        /// The last opinion once more, with its age as the reason; `unchanged` where there is none.
        case lastKnown = "last-known"
        case up
        case down
    }

    public enum Weights: String, Sendable, CaseIterable {
        /// Per cent of the configured weight.
        case relative
        /// Only 0% and 100%: HAProxy's static balancing (`static-rr`, `source` without
        /// `hash-type consistent`, …) refuses any other.
        case onOff = "on-off"
    }

    /// What plain HTTP checkers are told.
    public struct Statuses: Hashable, Sendable {
        public var up = 200
        public var down = 503
        public var maint = 503
        /// `http-check disable-on-404` takes it for "no new sessions".
        public var drain = 404
        /// No opinion. HTTP has no word that changes nothing; this one takes nobody down when
        /// muster starts.
        public var unknown = 200
        public var noSuchPeer = 404

        public init() {}
    }

    public var adminWords = AdminWords.whenSet
    /// How long `ready` is said after drain or maint ended, so that every asker hears it.
    public var hold = Nanoseconds.seconds(60)
    /// A peer that nobody here has defined.
    public var unknownPeer = Fallback.unchanged
    /// A required monitor has not spoken yet.
    public var unprobed = Fallback.unchanged
    /// A verdict that the status rests on has expired.
    public var stale = Fallback.lastKnown
    /// The store is away. `last-known` answers from memory, where own probes stay fresh.
    public var storeLost = Fallback.lastKnown
    public var weights = Weights.relative
    /// Load balancers that share a peer's connection limit. Nil counts the addresses that asked.
    public var askers: Int?
    public var statuses = Statuses()

    public init() {}
}
