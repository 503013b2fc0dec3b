// Where does every outcome pass? Here, of whatever kind: counted, turned into a verdict, put on the
// board and published. A check knows nothing of this, and nothing else publishes verdicts.

import Checks
import Fleet
import Health
public import Store
public import Vocabulary

/// The one door. Confined to its loop's thread.
public final class Door {
    /// This process, as other agents name it.
    public let agent: String
    private let epoch: UInt64
    private var sequence: UInt64 = 0
    private let board: Board
    private let store: any Store
    private let journal: Journal
    /// Remembers how probes went; nil where nobody does.
    public var history: History?

    /// `epoch` must grow from one start of this agent to the next: the time of the start does.
    public init(
        agent: String,
        board: Board,
        store: any Store,
        epoch: UInt64,
        journal: Journal = .silent
    ) {
        self.agent = agent
        self.epoch = epoch
        self.board = board
        self.store = store
        self.journal = journal
        board.agent = agent
    }

    /// What is known of a pair that this agent begins to probe: the opinion somebody left behind,
    /// or none.
    func opinion(on key: VerdictKey, thresholds: Thresholds, now: WallTime) -> Opinion {
        if let verdict = board.verdict(of: key) {
            return Opinion(thresholds: thresholds, resuming: verdict)
        }
        return Opinion(thresholds: thresholds, now: now)
    }

    /// The pair is this agent's now: goes on from what was said of it last, here or in `verdict`.
    func resume(_ pair: Pair, from verdict: Verdict?, now: Moment) {
        // The board knows what is about this pair as it is defined here, and for how long it holds.
        if let verdict { board.storeChanged(verdict) }
        board.note(now)
        guard let held = self.verdict(of: pair) else { return }
        pair.opinion = Opinion(thresholds: pair.monitor.thresholds, resuming: held)
        pair.addresses = AddressStates(
            resuming: held.downAddresses,
            thresholds: pair.monitor.thresholds
        )
        pair.clockShift = board.clockShift
    }

    /// What is believed of a pair.
    func verdict(of pair: Pair) -> Verdict? {
        board.find(pair.key, from: &pair.place).flatMap {
            board.verdict(at: $0, by: pair.key.monitor)
        }
    }

    /// By how much the wall clock was set so far.
    var clockShift: Nanoseconds { board.clockShift }

    func isDefined(_ peer: PeerKey) -> Bool { board.isDefined(peer) }

    /// Who is in this upstream now.
    func peers(of upstream: String) -> [PeerDefinition] {
        board.definition(of: upstream)?.peers ?? []
    }

    /// Takes one outcome through: the pair's opinion and numbers are updated in place.
    /// Of a pair that is shared, this agent has the claim; `ruling` says whether a failure counts, `withheld` why
    /// not, and `isTold` that the verdict is to be written whatever it says.
    func pass(
        _ outcome: Outcome,
        of pair: Pair,
        now: Moment,
        ruling: Ruling = .count,
        withheld: Withheld? = nil,
        isShared: Bool = false,
        isTold: Bool = false
    ) {
        let key = pair.key
        board.note(now)
        if pair.clockShift != board.clockShift {
            pair.opinion.shift(by: board.clockShift - pair.clockShift)
            pair.clockShift = board.clockShift
        }
        let place = board.find(key, from: &pair.place)
        let held = place.flatMap { board.verdict(at: $0, by: key.monitor) }
        if pair.opinion.counter.status == .unknown, let held, held.status != .unknown {
            // The store answered only after this pair was set up.
            pair.opinion = Opinion(thresholds: pair.monitor.thresholds, resuming: held)
        }
        pair.series.record(outcome)
        if outcome.verdict != .neutral {
            history?.record(
                key.peerKey,
                outcome.phases.total,
                isFailure: outcome.verdict == .fail
            )
        }
        let isTransition = pair.opinion.take(
            outcome,
            isSecond: pair.isSuspect && outcome.isLoss,
            downAddresses: pair.addresses.down,
            ruling: ruling,
            withheld: withheld,
            schedule: pair.monitor.schedule,
            now: now.wall
        )
        if outcome.verdict != .neutral { pair.isSuspect = false }
        journal.debug(
            "\(key.upstream)/\(key.peer) \(key.monitor): \(outcome.verdict.rawValue), "
                + "\(outcome.summary), \(pair.opinion.counter)",
            [.event("probe")]
        )

        sequence += 1
        var verdict = pair.opinion.verdict(
            of: key,
            kind: pair.monitor.kind,
            subject: pair.subject,
            agent: agent,
            epoch: isShared ? pair.epoch : max(epoch, pair.epoch),
            sequence: sequence
        )
        // Taking over from an agent that started later, or from this one before its clock was set
        // back: the next epoch after the one held, or the store would refuse us for good. It goes
        // with the pair, so that it is raised once and not at every probe.
        if isShared, let held, held.isNewer(than: verdict) {
            // Said without a claim: it is shown, and what comes from the store next stands above it, be it by who
            // spoke last.
            (verdict.epoch, verdict.sequence) = (held.epoch, held.sequence)
        } else if let held, held.isNewer(than: verdict) {
            pair.epoch = held.epoch + 1
            verdict.epoch = pair.epoch
        }
        if let place {
            board.apply(verdict, at: place, now: now)
        } else {
            board.apply(verdict)
        }
        store.publish(verdict, isTransition: isTransition || held == nil || isTold)
    }

    /// The pair is defined here from now on, and another agent may probe it.
    func recall(_ key: VerdictKey) { store.recall(key) }

    /// The pair is no longer probed by anyone.
    func forget(_ key: VerdictKey) { store.forget(key) }
}

extension Outcome {
    /// Nothing came, or nobody was there.
    fileprivate var isLoss: Bool {
        guard verdict == .fail else { return false }
        return [.layer4Timeout, .layer4Connect, .layer6Timeout, .layer7Timeout].contains(reason)
    }
}
