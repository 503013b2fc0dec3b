// What does this agent think of one peer, by one monitor? The count, the sticky hints and the words
// of the last probe that had something to say. Pure: outcomes and times go in, a verdict comes out.

import Fleet
import Health
import Vocabulary

struct Opinion: Hashable, Sendable {
    // In an order that leaves no gaps: there is one for every pair.
    private(set) var since: WallTime
    private(set) var checkedAt: WallTime
    private(set) var expiresAt: WallTime
    /// When a probe last had something to say, of whomever.
    private var foundAt: WallTime
    private(set) var latency = Nanoseconds.zero
    private(set) var downAddresses: [String] = []
    private var message = ""
    /// What the latest probe said if it was neutral: told beside the words that still hold.
    private var aside = ""
    private(set) var counter: HealthCounter
    private(set) var isDegraded = false
    /// No probe since had nothing to say.
    private var isFound = true
    /// What holds another agent found, or a former life of this one.
    private var isOthers = false
    private(set) var withheld: Withheld?
    private(set) var reason = Reason.unknown
    private var storedCode = PackedCount()
    private(set) var hints = Hints()

    private(set) var code: Int? {
        get { storedCode.value }
        set { storedCode = PackedCount(newValue) }
    }

    init(thresholds: Thresholds, now: WallTime) {
        counter = HealthCounter(thresholds: thresholds)
        since = now
        checkedAt = now
        foundAt = now
        expiresAt = now
    }

    /// Goes on from a verdict of another agent, or of this one before a restart.
    init(thresholds: Thresholds, resuming verdict: Verdict) {
        counter = HealthCounter(
            thresholds: thresholds,
            resuming: verdict.status,
            health: verdict.health
        )
        hints = verdict.hints
        downAddresses = verdict.downAddresses
        since = verdict.since
        checkedAt = verdict.checkedAt
        expiresAt = verdict.expiresAt
        foundAt = verdict.checkedAt
        isFound = verdict.isFound
        isOthers = verdict.status != .unknown
        latency = verdict.latency
        isDegraded = verdict.isDegraded
        withheld = verdict.withheld
        reason = verdict.reason
        code = verdict.code
        // Or what is said beside the words that hold would be said again with each hand-over.
        if let words = verdict.aside {
            message = words.before
            aside = words.now
        } else {
            message = verdict.message
        }
    }

    /// The wall clock was set by `step`.
    mutating func shift(by step: Nanoseconds) {
        since = since + step
        checkedAt = checkedAt + step
        foundAt = foundAt + step
        expiresAt = expiresAt + step
    }

    /// The monitor has other thresholds now; the count stays on its side of them.
    mutating func adopt(_ thresholds: Thresholds) {
        if thresholds == counter.thresholds { return }
        counter = HealthCounter(
            thresholds: thresholds,
            resuming: counter.status,
            health: counter.health
        )
    }

    /// Takes one outcome in, and which addresses of the peer's name are down by it. Returns whether
    /// people and other agents should hear of it at once: the status changed, what was asked for
    /// beside it, or where the peer can be reached.
    ///
    /// `isSecond`: it confirms a failure that something else than a probe has seen.
    mutating func take(
        _ outcome: Outcome,
        isSecond: Bool = false,
        downAddresses found: [String] = [],
        ruling: Ruling = .count,
        withheld why: Withheld? = nil,
        schedule: Schedule,
        now: WallTime
    ) -> Bool {
        let hintsBefore = hints
        // Nobody has looked for longer than its last word holds: a failure makes no new word of that one.
        let isOver = counter.status == .up && expiresAt < now
        hints.merge(outcome.hints)
        checkedAt = now
        latency = outcome.phases.total

        if isNeutral(outcome) {
            // Whoever has trouble of its own hands the pair on: its word lasts until then.
            isFound = isFound && !isOthers && Self.ours.contains(outcome.reason)
            takeNeutral(outcome, schedule: schedule, now: now)
            return hints != hintsBefore
        }
        withheld = why
        if ruling != .count {
            takeNeutral(outcome, schedule: schedule, now: now)
            // What was said holds until others have said whether they see the same; where this agent doubts
            // itself nothing new is known.
            if ruling == .hold, !isOver { holds(from: now, schedule) }
            isFound = isFound && !isOthers
            return hints != hintsBefore
        }
        let wasDegraded = isDegraded
        // Where one failure is enough, it has to be a probe's.
        var transition: HealthCounter.Transition?
        if isSecond, outcome.verdict == .fail, counter.status == .up {
            transition = counter.observe(passed: false)
        }
        if transition == nil {
            transition = counter.observe(
                passed: outcome.verdict != .fail,
                isImmediate: outcome.isImmediate
            )
        }
        if transition != nil { since = now }
        // A failure that does not bring it down yet is no news that it is better.
        let staysDegraded = wasDegraded && outcome.verdict == .fail
        isDegraded = counter.status == .up && (outcome.verdict == .warn || staysDegraded)
        reason = outcome.reason
        code = outcome.code
        message = outcome.message
        aside = ""
        let haveAddressesTurned = downAddresses != found
        downAddresses = found
        // It is known again from the next pass on, or once it has failed often enough.
        if !isOver || outcome.verdict != .fail || counter.status != .up {
            holds(from: now, schedule)
        }
        return transition != nil || hints != hintsBefore || isDegraded != wasDegraded
            || haveAddressesTurned
    }

    /// Trouble of ours (no socket, no resolver) says nothing about the peer, whatever the check
    /// called it.
    private func isNeutral(_ outcome: Outcome) -> Bool {
        outcome.verdict == .neutral || Self.ours.contains(outcome.reason)
    }

    private static let ours = [Reason.socketError, .resolver]

    private mutating func holds(from now: WallTime, _ schedule: Schedule) {
        expiresAt = now + schedule.validity(for: counter)
        foundAt = now
        (isFound, isOthers) = (true, false)
    }

    private mutating func takeNeutral(_ outcome: Outcome, schedule: Schedule, now: WallTime) {
        if outcome.reason == .checked || counter.status == .unknown {
            // The peer did answer, only not about health: what held goes on to hold. Of nothing
            // known there is nothing that could be kept alive, and it is as fresh as its probe.
            holds(from: now, schedule)
        }
        if counter.status == .unknown {
            reason = outcome.reason
            code = outcome.code
            message = outcome.message
        } else {
            aside = outcome.reason.rawValue
            if !outcome.message.isEmpty { aside += " \(outcome.message)" }
        }
    }

    func verdict(
        of key: VerdictKey,
        kind: String,
        subject: Subject? = nil,
        agent: String,
        epoch: UInt64,
        sequence: UInt64
    ) -> Verdict {
        Verdict(
            key: key,
            kind: kind,
            subject: subject,
            status: counter.status,
            isDegraded: isDegraded,
            withheld: withheld,
            health: counter.health,
            rise: counter.thresholds.rise,
            fall: counter.thresholds.fall,
            reason: reason,
            code: code,
            message: aside.isEmpty
                ? message
                : message.isEmpty
                    ? Verdict.asideMark + aside : "\(message); \(Verdict.asideMark)\(aside)",
            latency: latency,
            hints: hints,
            downAddresses: downAddresses,
            since: since,
            checkedAt: isFound ? checkedAt : foundAt,
            isFound: isFound,
            expiresAt: expiresAt,
            agent: agent,
            epoch: epoch,
            sequence: sequence
        )
    }
}
