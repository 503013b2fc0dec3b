// How is a probe run, and what comes of it? Without a task where the check has a direct form and
// nobody asks for its steps, else as one. Either way its outcome passes the one door.

import Checks
import EventLoop
public import Health
public import Vocabulary

/// The outcome of a probe that somebody asked for.
public struct ProbeReport: Sendable {
    public var outcome: Outcome
    public var steps: [Trace.Step]
}

/// What came of asking for a probe.
public enum ProbeAnswer: Sendable {
    case report(ProbeReport)
    /// There is no such pair, or it was removed meanwhile.
    case gone
    /// None began in time, and why.
    case late(String)
}

extension Scheduler {
    func start(_ ticket: Admission.Ticket, now: Instant) {
        let pair = rows[ticket.pair]
        let monitor = pair.monitor
        pair.phase = .probing
        pair.lagAtStart = loop.lag.total
        started += 1
        let late = max(now - pair.dueAt, .zero)
        lateness.record(late)
        recentLateness.record(late, at: now)
        noteSlot(ticket.pair, at: now)
        if late > monitor.schedule.interval { complain(pair.key, late: late, now: now) }

        if pair.waiters.isEmpty, let plan = pair.plan {
            pair.addresses = AddressStates()
            direct.begin(
                plan,
                pair: ticket.pair,
                generation: ticket.generation,
                started: now,
                deadline: now + monitor.schedule.timeout
            )
            return
        }
        let trace = pair.waiters.isEmpty ? nil : Trace(started: now, on: loop)
        pair.answering = pair.waiters
        pair.waiters = []
        let target = pair.target
        let context = ProbeContext(
            loop: loop,
            resolver: resolver,
            started: now,
            deadline: now + monitor.schedule.timeout,
            trace: trace,
            heartbeats: heartbeats,
            listensFrom: listensFrom[pair.key],
            services: services
        )
        let check = monitor.check
        let home = LoopBound(self, on: loop)
        tasks += 1
        Task(executorPreference: loop) {
            let findings = await check.sweep(target, in: context)
            let ended = home.loop.instant
            home.value.tasks -= 1
            var outcome = home.value.join(findings, ticket)
            outcome.phases.total = ended - now
            home.value.finish(ticket, outcome, trace: trace, started: now, ended: ended)
        }
    }

    /// What was found at each address of a name, as one outcome.
    private func join(_ findings: Findings, _ ticket: Admission.Ticket) -> Outcome {
        let pair = rows[ticket.pair]
        let isCurrent = pair.generation == ticket.generation
        switch findings {
        case .one(let outcome):
            // Asked as a whole: what was found address by address before is over.
            if isCurrent, outcome.verdict != .neutral { pair.addresses = AddressStates() }
            return outcome
        case .each(let found, let isOneMachine):
            guard isCurrent else {
                return AddressStates.outcome(of: found, isOneMachine: isOneMachine)
            }
            let judged = found.map { each in
                let punctuality = Punctuality(
                    took: each.outcome.phases.total,
                    timeout: pair.monitor.schedule.timeout,
                    lag: loop.lag.total - pair.lagAtStart
                )
                return (address: each.address, outcome: punctuality.judge(each.outcome))
            }
            if let late = judged.first(where: \.outcome.isExcused) {
                noteExcused(pair.key, late.outcome, now: loop.instant)
            }
            return pair.addresses.take(
                judged,
                thresholds: pair.monitor.thresholds,
                isOneMachine: isOneMachine
            )
        }
    }

    /// A probe that comes a whole interval late means that a limit is too low or the machine too
    /// small. Said once a minute, not once a probe.
    private func complain(_ key: VerdictKey, late: Nanoseconds, now: Instant) {
        guard now >= complainFrom else { return }
        complainFrom = now + Self.complainEvery
        var text =
            "probes are late: \(key.upstream)/\(key.peer) (\(key.monitor)) began "
            + "\(late.milliseconds)ms after its time; \(admission.waiting) wait, "
            + "\(admission.running) of \(admission.limits.inFlight) are in flight"
        if admission.running >= admission.limits.inFlight {
            text += ", as many as may be"
            if !admission.limits.remedy.isEmpty { text += ": \(admission.limits.remedy)" }
        }
        journal.warning("\(text)", [.event("probes-late")])
    }

    /// Of all that are late at once, one line a minute tells.
    private func noteExcused(_ key: VerdictKey, _ outcome: Outcome, now: Instant) {
        excused += 1
        lastExcused = now
        guard now >= complainOfLagFrom else { return }
        complainOfLagFrom = now + Self.complainEvery
        let advice =
            outcome.message.hasPrefix(Punctuality.standstill)
            ? "It was stopped, or its machine slept or had no CPU"
            : "Give this process more CPU, or probe less"
        journal.warning(
            "this agent is late and doubts itself: \(key.upstream)/\(key.peer) (\(key.monitor)): "
                + "\(outcome.message); \(excused) timeouts were not held against their peers so far. "
                + advice,
            [.event("agent-late")]
        )
    }

    private func finish(
        _ ticket: Admission.Ticket,
        _ outcome: Outcome,
        trace: Trace?,
        started: Instant,
        ended: Instant
    ) {
        guard mayBeLost(outcome, ticket) else {
            return conclude(ticket, outcome, trace: trace, started: started, ended: ended)
        }
        let home = LoopBound(self, on: loop)
        let peer = rows[ticket.pair].key.peerKey
        tasks += 1
        Task(executorPreference: loop) {
            let isAnswering = await home.value.hasAnswered?(peer, started) ?? false
            home.value.tasks -= 1
            let outcome = isAnswering ? home.value.pardon(outcome, ticket) : outcome
            home.value.conclude(ticket, outcome, trace: trace, started: started, ended: ended)
        }
    }

    /// The first packet of a connection was lost more likely than the peer is: it is sent again after a second
    /// only, which few probes wait for. Where requests are answered meanwhile, that is so.
    private func mayBeLost(_ outcome: Outcome, _ ticket: Admission.Ticket) -> Bool {
        guard hasAnswered != nil, outcome.verdict == .fail, outcome.reason == .layer4Timeout,
            rows[ticket.pair].generation == ticket.generation, !isStopping
        else { return false }
        let pair = rows[ticket.pair]
        return pair.opinion.counter.status == .up && pair.pardons < Self.pardonsMax
    }

    private func pardon(_ outcome: Outcome, _ ticket: Admission.Ticket) -> Outcome {
        guard rows[ticket.pair].generation == ticket.generation else { return outcome }
        rows[ticket.pair].pardons += 1
        return Outcome(
            .neutral,
            .checked,
            message: "\(outcome.message), while it answers requests: packets get lost on the way",
            phases: outcome.phases
        )
    }

    /// Beyond so many in a row it does take no connections any more, and only goes on with those it has.
    private static let pardonsMax = 4

    private func conclude(
        _ ticket: Admission.Ticket,
        _ outcome: Outcome,
        trace: Trace?,
        started: Instant,
        ended: Instant
    ) {
        admission.leave(ticket)
        let row = ticket.pair
        if rows[row].generation != ticket.generation {
            forgetStray(row, generation: ticket.generation)
        } else if !isStopping {
            let now = Moment(instant: ended, wall: loop.wall)
            settle(row, outcome, trace: trace, started: started, now: now)
        }
        // Most of the time nobody waits for the place that is free now.
        if admission.waiting > 0 { pump() }
        noteEnd()
    }

    private func settle(
        _ row: Int,
        _ outcome: Outcome,
        trace: Trace?,
        started: Instant,
        now: Moment
    ) {
        let pair = rows[row]
        let punctuality = Punctuality(
            took: now.instant - started,
            timeout: pair.monitor.schedule.timeout,
            lag: loop.lag.total - pair.lagAtStart
        )
        let outcome = punctuality.judge(outcome)
        if outcome.verdict != .neutral { pair.pardons = 0 }
        if outcome.isExcused { noteExcused(pair.key, outcome, now: now.instant) }
        if let tracer { self.trace(outcome, of: pair, started: started, by: tracer) }
        if let ruling = ruling(on: outcome, of: row, started: started, at: now.instant) {
            door.pass(
                outcome,
                of: pair,
                now: now,
                ruling: ruling,
                withheld: withheld(ruling, of: row),
                isShared: fleet != nil,
                isTold: takeFreshness(of: row)
            )
        }
        if !pair.answering.isEmpty {
            let report = ProbeReport(outcome: outcome, steps: trace?.steps ?? [])
            for waiter in pair.answering {
                if let patience = waiter.patience { asks.cancel(patience) }
                waiter.answer(.report(report))
            }
            pair.answering = []
        }
        // Whoever hears of the outcome may have defined anew what is probed.
        if pair.phase == .removed { return }

        if fleet != nil, shares[row].looksAgain {
            shares[row].looksAgain = false
            shares[row].isAsked = true
            pair.dueAt = now.instant
            return line(up: row)
        }
        if !pair.waiters.isEmpty {
            // Asked for while this probe was under way: they want one that began after they asked.
            pair.dueAt = now.instant
            return line(up: row)
        }
        guard isHeld(row) else {
            pair.phase = .resting
            return sleepUntilLook(row)
        }
        let now = slotTime(now)
        let last = fleet == nil ? nil : shares[row].slot(at: now.wall)
        // From the monotonic clock, or a wall clock set back would postpone the probe by that much.
        let begun = now.wall + Nanoseconds(started.nanoseconds - now.instant.nanoseconds)
        let next = pair.monitor.schedule.next(
            // After the slot, not after the time at which it was begun: while the store's clock is slewed
            // back that is a little earlier.
            after: max(begun, last ?? begun),
            now: max(now.wall, last ?? now.wall),
            counter: pair.opinion.counter,
            beat: pair.beat
        )
        sleepUntilSlot(row, next, now: now)
    }

    /// Probes a pair as soon as the limits allow, and answers with what was found, step by step. Nobody waits for longer
    /// than `most`.
    public func ask(_ key: VerdictKey, most: Nanoseconds? = nil) async -> ProbeAnswer {
        guard let row = index[key], !isStopping else { return .gone }
        // One that is under way ends first.
        let usual = rows[row].monitor.schedule.timeout * 2 + Self.askPatience
        let wait = min(usual, most ?? usual)
        return await withCheckedContinuation { continuation in
            let asker = Asker(continuation)
            asker.patience = asks.schedule(after: wait) { [weak self] in
                self?.giveUp(asker, key, after: wait)
            }
            rows[row].waiters.append(asker)
            hurry(row)
        }
    }

    /// How long a probe that somebody asked for may wait in line.
    private static let askPatience = Nanoseconds.seconds(5)

    private func giveUp(_ asker: Asker, _ key: VerdictKey, after wait: Nanoseconds) {
        var words = "no probe of \(key.peerKey) (\(key.monitor)) has ended within \(wait)"
        if let row = index[key] {
            rows[row].waiters.removeAll { $0 === asker }
            rows[row].answering.removeAll { $0 === asker }
            if let why = delayWords(of: row, at: loop.moment) { words += ": \(why)" }
        }
        asker.answer(.late(words))
    }

    /// The same for whom it is enough to know that there was none.
    public func probeNow(_ key: VerdictKey) async -> ProbeReport? {
        if case .report(let report) = await ask(key) { report } else { nil }
    }

    /// Somebody waits for a probe that has not begun.
    func isWanted(_ key: VerdictKey) -> Bool {
        index[key].map { !rows[$0].waiters.isEmpty } ?? false
    }
}

extension Scheduler: DirectProbeObserver {
    public func directProbeEnded(
        _ outcome: Outcome,
        of peer: Address,
        pair: Int,
        generation: UInt32,
        started: Instant
    ) {
        let ended = loop.instant
        var outcome = outcome
        outcome.phases.total = ended - started
        let ticket = Admission.Ticket(
            pair: pair,
            generation: generation,
            group: group(of: pair, generation: generation),
            address: peer
        )
        finish(ticket, outcome, trace: nil, started: started, ended: ended)
    }
}
