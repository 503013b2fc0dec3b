// By which numbers do agents live together? Every span of the protocol, in one place, with what it costs
// to make it longer or shorter. docs/FLEET.md has the same table.

public import Vocabulary

/// A pair, by the number that this process gave it.
public typealias PairNumber = Int32

/// The spans and counts that all agents of a fleet must share: scripts and agents are made from them.
public struct FleetTerms: Hashable, Sendable {
    /// How often an agent says that it lives and how far it is. Shorter costs calls, longer costs time
    /// in which nobody notices a death.
    public var beat = Nanoseconds.milliseconds(250)
    /// Without a beat for so long an agent is out of the roster.
    public var lease = Nanoseconds.seconds(3)
    /// A newcomer lives so long before it gets work.
    public var settle = Nanoseconds.seconds(3)
    /// A mark so far behind is told of: two beats, so that one that is lost is no news.
    public var lateAfter = Nanoseconds.milliseconds(500)
    /// Added to a slot and its timeout before the pair counts as stale.
    public var grace = Nanoseconds.milliseconds(500)
    /// Each further rank waits so much longer.
    public var rankStep = Nanoseconds.milliseconds(500)
    /// What nobody is known to probe is claimed by somebody else than its heir after so long.
    public var unclaimedAfter = Nanoseconds.seconds(1)
    /// From a claim on a pair that somebody probes until the new holder's first slot: two beats, in
    /// which the old holder hears of it.
    public var handOver = Nanoseconds.milliseconds(500)
    /// In an empty store whose agents nobody knows, those who probe already come back within so long.
    public var greeting = Nanoseconds.seconds(1)
    /// Where nobody's beat came for so long, the store itself stood still.
    public var resumeAfter = Nanoseconds.seconds(1)
    /// Who lost the vote on a pair leaves it alone for so long.
    public var abstention = Nanoseconds.seconds(60)
    /// Who is cut off from most of what it probes waits so long whether the others say the same: three beats, one of
    /// its own, one of another and one to hear of that. Then others should look.
    public var secondThoughts = Nanoseconds.milliseconds(750)
    /// A clean stop waits so long for others to take what it holds.
    public var farewell = Nanoseconds.seconds(2)

    /// Pairs in one call: what Redis does within two milliseconds.
    public static let batch = 128
    /// Late agents that one answer names. More are named as these are dealt with.
    public static let lateMax = 32
    /// So many targets of others show an agent that holds none whether its network is back.
    public static let sampleMax = 5
    /// More than its timeout, until what was asked in a sample is not waited for any more.
    public static let sampleGrace = Nanoseconds.milliseconds(250)
    /// Lost votes, and askings in silence, after which something is done about them.
    public static let patience = 3
    /// An era that the clock of the store does not make later than the one before, because it was set back, is later
    /// by so much: more claims than one pair has within an era.
    public static let eraStep: UInt64 = 1 << 20
    /// And by less than so much more, by who calls first, and with which beat: two that follow the same one must not be
    /// one, though the answer be lost that would have told of the first.
    public static let eraSpread: UInt64 = 1 << 16
    /// No pair is claimed so often within an era of such an age: an epoch that lies further above it is of another.
    static func claimsMax(ofEra era: UInt64, at time: WallTime) -> UInt64 {
        let now = UInt64(max(time.milliseconds, 0))
        return 100 + (now > era ? (now - era) / 100 : 0)
    }
    /// An epoch is milliseconds since 1970 where it begins, and grows by one with each claim: what is further ahead of the
    /// store's time than this, some 279 years, no fleet has reached, however wrong its clocks were, and somebody's
    /// hand wrote it. The limit moves a thousand times a second, and no pair is claimed as often: whatever is claimed above
    /// an epoch that is believed can be believed by the time at which somebody reads it.
    public static let epochLead: Int64 = 1 << 43
    /// Eras have half of it, for the claims within them.
    public static let eraLead: Int64 = 1 << 42
    /// Whoever took part within so long is one of others that this agent may be cut off from.
    public static let othersKnown = Nanoseconds.seconds(60)
    /// The format of what lies in the store.
    public static let format = 3
    /// Beats from one that asks which server it is to the next.
    public static let beatsToAsk: UInt64 = 4

    public init() {}

    /// Later epochs are nobody's at that time of the store.
    public static func isEpoch(_ epoch: UInt64, at time: WallTime) -> Bool {
        Int64(clamping: epoch) < later(epochLead, than: time)
    }

    /// The latest era that anybody can have reached by then.
    public static func latestEra(at time: WallTime) -> UInt64 {
        UInt64(max(later(eraLead, than: time), 0))
    }

    private static func later(_ span: Int64, than time: WallTime) -> Int64 {
        let (sum, isTooLarge) = time.milliseconds.addingReportingOverflow(span)
        return isTooLarge ? .max : sum
    }
}
