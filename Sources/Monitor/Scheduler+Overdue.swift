// Whose probe is due and has not begun? Nobody is told of it by a probe that ends: it has to be looked for. Where
// a pair has no next probe at all that is a mistake of this program, and it is probed all the same.

import EventLoop
public import Health
import Store
public import Vocabulary

/// Pairs that this agent probes, and has not begun to when it was time.
public struct Overdue: Hashable, Sendable {
    public var count = 0
    /// For how long the oldest of them is due.
    public var longest = Nanoseconds.zero
    /// A few of them.
    public var first: [VerdictKey] = []
    /// Why they wait, for people; empty where none does.
    public var words = ""

    static let namesMax = 20

    public init() {}
}

extension Scheduler {
    /// A pair that is due for so long is told of: an interval, or what a person takes for long.
    private static let overdueAfter = (
        atLeast: Nanoseconds.seconds(1), atMost: Nanoseconds.seconds(10)
    )

    /// All of them are looked at: for those who ask, not for each probe.
    public func overdue(at now: Moment) -> Overdue {
        var overdue = Overdue()
        for row in rows.indices {
            guard let late = delay(of: row, at: now) else { continue }
            let interval = rows[row].monitor.schedule.interval
            let limit = min(max(interval, Self.overdueAfter.atLeast), Self.overdueAfter.atMost)
            if late <= limit { continue }
            overdue.count += 1
            overdue.longest = max(overdue.longest, late)
            if overdue.first.count < Overdue.namesMax { overdue.first.append(rows[row].key) }
        }
        if overdue.count > 0 {
            let named = overdue.first.prefix(3).map { "\($0.peerKey) (\($0.monitor))" }
            let more = overdue.count > named.count ? " and \(overdue.count - named.count) more" : ""
            overdue.words = "\(named.joined(separator: ", "))\(more); \(placeWords)"
        }
        return overdue
    }

    /// For how long its probe is due; nil where none is, or another agent probes it.
    private func delay(of row: Int, at now: Moment) -> Nanoseconds? {
        let pair = rows[row]
        guard isProbedHere(row) else { return nil }
        switch pair.phase {
        case .probing, .removed: return nil
        case .waiting: return now.instant - pair.dueAt
        case .resting:
            if pair.wakesAt != .distantFuture { return now.instant - pair.wakesAt }
            return now.wall - (pair.opinion.checkedAt + pair.monitor.schedule.interval)
        }
    }

    /// By its schedule, or it should be.
    func isProbedHere(_ row: Int) -> Bool {
        rows[row].phase != .removed && (isHeld(row) || isForgotten(row))
    }

    private var placeWords: String {
        "\(admission.waiting) probe\(admission.waiting == 1 ? " waits" : "s wait") for a place, "
            + "\(admission.running) of \(admission.limits.inFlight) are under way"
    }

    /// Why the next probe of the pair is not at a time of its own; nil where it is.
    func delayWords(of row: Int, at now: Moment) -> String? {
        let pair = rows[row]
        switch pair.phase {
        case .removed: return nil
        case .probing: return "a probe of it is under way"
        case .waiting:
            let due = now.wall + (pair.dueAt - now.instant)
            return "its probe is due since \(due) and has not begun: \(placeWords)"
        case .resting:
            guard isProbedHere(row), pair.wakesAt == .distantFuture else { return nil }
            return
                "it has no next probe, which is a mistake of muster's; it is looked for every two seconds"
        }
    }

    // MARK: Mending

    /// The fleet says that this agent holds it, and here nobody knows.
    private func isForgotten(_ row: Int) -> Bool {
        guard let fleet, !shares[row].isHeld else { return false }
        return fleet.holdsNow(shares[row].pair) != nil
    }

    /// Probes what has no next probe though this agent holds it.
    func mend(at now: Moment) {
        guard let fleet, !isStopping else { return }
        var mended: [VerdictKey] = []
        for row in rows.indices where rows[row].phase == .resting {
            if isForgotten(row), let epoch = fleet.holdsNow(shares[row].pair) {
                begin(rows[row].key, from: fleet.time(at: now.instant), epoch: epoch, resuming: nil)
            } else if isHeld(row), rows[row].wakesAt == .distantFuture {
                hurry(row)
            } else {
                continue
            }
            mended.append(rows[row].key)
        }
        guard let first = mended.first else { return }
        missed += UInt64(mended.count)
        guard now.instant >= complainOfMissedFrom else { return }
        complainOfMissedFrom = now.instant + Self.complainEvery
        let count = mended.count == 1 ? "a pair" : "\(mended.count) pairs"
        journal.warning(
            "\(count) that this agent holds had no next probe, \(first.peerKey) (\(first.monitor)) the first: "
                + "probed now. Please tell muster's authors, with the lines before this one",
            [.event("probes-missed"), .upstream(first.upstream), .peer(first.peer)]
        )
    }
}
