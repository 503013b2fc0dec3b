// Was it the peer that was late, or this agent? A timeout that was noticed long after its time says
// nothing of the peer: its answer may have come, with nobody there to take the next step. Pure.

import Health
import Vocabulary

/// How a probe's time went, seen from the loop that ran it.
struct Punctuality: Hashable {
    /// From its start until its outcome was there.
    var took: Nanoseconds
    var timeout: Nanoseconds
    /// How long the loop was kept from what was due meanwhile.
    var lag: Nanoseconds

    /// A timer fires some milliseconds late on any machine.
    static let allowanceMin = Nanoseconds.milliseconds(25)

    /// Whoever is late by so much was stopped, more likely than busy.
    static let standstillMin = Nanoseconds.seconds(1)
    static let standstill = "this agent stood still"

    /// How late a deadline may be noticed and still count.
    private var allowance: Nanoseconds {
        max(Nanoseconds(timeout.count / 10), Self.allowanceMin)
    }

    /// How late this agent was, if by so much that a timeout is its own.
    var ownDelay: Nanoseconds? {
        let overdue = took - timeout
        if overdue > allowance { return overdue }
        // Held up for most of the time: the peer had only what was left of it.
        return lag.count > timeout.count / 2 ? lag : nil
    }

    /// The outcome as it may be counted.
    func judge(_ outcome: Outcome) -> Outcome {
        guard outcome.verdict == .fail, outcome.reason.isTimeout, let ownDelay else {
            return outcome
        }
        var excused = Outcome(
            .neutral,
            .socketError,
            message: ownDelay < Self.standstillMin
                ? "this agent was \(ownDelay.milliseconds) ms late"
                : "\(Self.standstill) for \(ownDelay.milliseconds) ms",
            phases: outcome.phases
        )
        excused.isExcused = true
        return excused
    }
}
