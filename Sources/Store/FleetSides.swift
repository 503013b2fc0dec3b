// Between whom does a desk stand? Hands that probe what the fleet gives this agent, and a wire that carries its calls to
// the store.

package import Fleet
public import Health
public import Vocabulary

/// Who probes what the fleet gives it. Called on the loop's thread.
public protocol FleetHands: AnyObject {
    /// The pair is this agent's from then on, by the clock of the store: it is probed at once where a slot has passed
    /// since. Goes on from this verdict's count where it is newer than what is known; speaks under this epoch.
    func begin(_ key: VerdictKey, from time: WallTime, epoch: UInt64, resuming verdict: Verdict?)
    /// From then on it is not.
    func stop(_ key: VerdictKey, at time: WallTime)
    /// Probe it beside its holder, so long after each of its slots, and tell the desk what was `observed`; nil: no more.
    func observe(_ key: VerdictKey, after offset: Nanoseconds?)
    /// Somebody asks: probe it once, now, and tell the desk what was `found`.
    func look(_ key: VerdictKey)
    /// Count the failure that was held back.
    func fall(_ key: VerdictKey)
    /// Another agent heard something of a peer.
    func signed(_ sign: FleetSign)
    /// How far the oldest probe that is due and has not begun is behind.
    func lag(at now: Instant) -> Nanoseconds
    /// Pairs of others whose verdict is over, and whom nobody speaks of any more.
    func orphans(at now: Moment) -> [VerdictKey]
    /// p99 of how late probes began within the last minute.
    func lateness(at now: Instant) -> Nanoseconds
}

/// What one agent heard of a peer, for whoever probes it.
public struct FleetSign: Hashable, Sendable {
    /// By these words in the stream of changes: readers that know nothing of them find no sort of that name.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// What the peer said of itself.
        case heartbeat
        /// Requests fail at it.
        case suspicion
        /// Who tells receivers of notices, and what they were told.
        case notify
    }

    public var kind: Kind
    public var peer: PeerKey
    public var status: String
    public var message: String
    /// Of a suspicion: how many of how many.
    public var vote: TrafficVote?
    /// Who says it; set by the desk.
    public var agent = ""

    public init(
        _ kind: Kind = .heartbeat,
        peer: PeerKey,
        status: String,
        message: String,
        vote: TrafficVote? = nil
    ) {
        self.vote = vote
        self.kind = kind
        self.peer = peer
        self.status = status
        self.message = message
    }
}

/// What came of a call.
package enum WireAnswer {
    case reply(FleetReply)
    /// Nobody knows whether it arrived.
    case lost
    /// Redis answered with an error, and did nothing.
    case refused(String)
    /// Redis takes no writes now, and did nothing: nobody's beats are written.
    case unwritten
}

/// Where calls go. Called on the loop's thread.
package protocol FleetWire: AnyObject {
    /// In this order, on one connection. `done` hears of each within a second, however it ends.
    func post(
        _ signature: Signature,
        _ call: FleetCall,
        _ done: @escaping (WireAnswer) -> Void
    )
    /// What is to be written of the pair now, and whether it is what is found now; nil where nothing has been
    /// found of it.
    func newest(_ key: VerdictKey) -> (record: Verdict, isCurrent: Bool)?
    /// It is on its way in these words, and then it is there.
    func sent(_ verdict: Verdict)
    func wrote(_ verdict: Verdict, isVouched: Bool)
    /// The store has a newer word of the pair.
    func noteRefused(_ key: VerdictKey)
    /// Another says it from now on.
    func letGo(_ key: VerdictKey)
    /// It is not probed here any more: what was said here without a claim holds no longer.
    func giveUp(_ key: VerdictKey)
    /// A word for all agents.
    func announce(_ sign: FleetSign, by instance: String)
    /// What the store may not do for this user is known, or being found out: it is said when it is given.
    var missesRights: Bool { get }
    /// The standing of this agent is another now.
    func standingChanged()
    /// The store is another than before, or has lost its state.
    func eraChanged()
}

extension FleetWire {
    package func eraChanged() {}
    package var missesRights: Bool { false }
}
