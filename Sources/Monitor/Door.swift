// Where does every outcome pass? Here, of whatever kind: counted, turned into a verdict, put on the
// board and published. A check knows nothing of this, and nothing else publishes verdicts.

import Checks
public import EventLoop
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

    /// `epoch` must grow from one start of this agent to the next: the time of the start does.
    public init(
        agent: String,
        board: Board,
        store: any Store,
        epoch: UInt64 = UInt64(max(Clock.wall().milliseconds, 0)),
        journal: Journal = .silent
    ) {
        self.agent = agent
        self.epoch = epoch
        self.board = board
        self.store = store
        self.journal = journal
    }

    /// What is known of a pair that this agent begins to probe: the opinion somebody left behind,
    /// or none.
    func opinion(on key: VerdictKey, thresholds: Thresholds, now: WallTime) -> Opinion {
        if let verdict = board.verdict(of: key) {
            return Opinion(thresholds: thresholds, resuming: verdict)
        }
        return Opinion(thresholds: thresholds, now: now)
    }

    /// Takes one outcome through: the pair's opinion and numbers are updated in place.
    func pass(_ outcome: Outcome, of pair: Pair, now: Moment) {
        let key = pair.key
        let place = board.find(key, from: &pair.place)
        let held = place.flatMap { board.verdict(at: $0, by: key.monitor) }
        if pair.opinion.counter.status == .unknown, let held, held.status != .unknown {
            // The store answered only after this pair was set up.
            pair.opinion = Opinion(thresholds: pair.monitor.thresholds, resuming: held)
        }
        pair.series.record(outcome)
        let isTransition = pair.opinion.take(
            outcome,
            schedule: pair.monitor.schedule,
            now: now.wall
        )
        journal.debug(
            "\(key.upstream)/\(key.peer) \(key.monitor): \(outcome.verdict.rawValue), "
                + "\(outcome.summary), \(pair.opinion.counter)"
        )

        sequence += 1
        var verdict = pair.opinion.verdict(
            of: key,
            kind: pair.monitor.kind,
            agent: agent,
            epoch: epoch,
            sequence: sequence
        )
        // Taking over from an agent that started later, or from this one before its clock was set
        // back: the next epoch after the one held, or the store would refuse us for good.
        if let held, held.isNewer(than: verdict) { verdict.epoch = held.epoch + 1 }
        if let place {
            board.apply(verdict, at: place, now: now)
        } else {
            board.apply(verdict)
        }
        store.publish(verdict, isTransition: isTransition || held == nil)
    }

    /// The pair is no longer probed by anyone.
    func forget(_ key: VerdictKey) { store.forget(key) }
}
