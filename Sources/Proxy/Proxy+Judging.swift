// Which peers does this process take out, and when do they get requests again? What the workers saw is
// put together here, once, whatever worker saw it; the rules are `Judge`'s and `UpstreamWatch`'s.

import EventLoop
import Health
import Vocabulary

/// What is kept of peers that fail requests.
struct Judging {
    fileprivate var judge = Judge()
    fileprivate var holds = Holds()
    /// Upstreams with trouble in them.
    fileprivate var watches: [String: UpstreamWatch] = [:]
    /// How often each was ejected.
    private(set) var ejections: [PeerKey: UInt64] = [:]
    /// What the last ejection of each was for, when its time is over, and what its first time is.
    private var out: [PeerKey: (cause: FailureCause, until: WallTime, base: Nanoseconds)] = [:]

    /// When each came back last, or moved.
    private var backAt: [PeerKey: Instant] = [:]

    /// When requests failed at a peer last, or waited for it in silence.
    fileprivate var troubledAt: [PeerKey: Instant] = [:]
    /// Whether they did at most of all, as last looked at: with ten thousand that takes a while.
    fileprivate var isDoubted = false
    fileprivate var doubtedAt = Instant(nanoseconds: .min)

    /// What requests failed of last.
    fileprivate var troubledBy: [PeerKey: FailureCause] = [:]

    /// The workers are being asked; there may be more to ask for meanwhile.
    fileprivate var isBusy = false
    fileprivate var isAskedFor = false
    fileprivate var times = LookTimes()
    fileprivate var next: Timers.Token?

    func cause(of key: PeerKey) -> FailureCause? { out[key]?.cause }
    fileprivate func base(of key: PeerKey) -> Nanoseconds? { out[key]?.base }
    fileprivate func end(of key: PeerKey) -> WallTime? { out[key]?.until }
    func backAt(_ key: PeerKey) -> Instant { backAt[key] ?? Instant(nanoseconds: .min) }
    func failing(_ key: PeerKey, at now: Instant) -> Proxy.Failing? {
        watches[key.upstream]?.failing(key, at: now)
    }

    func isOnTrial(_ key: PeerKey) -> Bool { watches[key.upstream]?.isOnTrial(key) ?? false }

    fileprivate mutating func willEject(
        _ key: PeerKey,
        _ cause: FailureCause,
        until: WallTime,
        _ base: Nanoseconds
    ) {
        out[key] = (cause, until, base)
    }

    fileprivate mutating func didEject(_ key: PeerKey) { ejections[key, default: 0] += 1 }

    /// It is there again, or somewhere else: what it did before counts no more.
    mutating func begins(_ key: PeerKey, at now: Instant) {
        backAt[key] = now
        judge.forget(key)
        watches[key.upstream]?.forgetPast(of: key)
    }

    mutating func forget(_ key: PeerKey) {
        judge.forget(key)
        backAt[key] = nil
        holds.forget(key)
        watches[key.upstream]?.forget(key)
        ejections[key] = nil
        troubledAt[key] = nil
        troubledBy[key] = nil
        out[key] = nil
    }

    mutating func forget(upstream: String) { watches[upstream] = nil }
}

extension Proxy {
    /// Between two times that this process is looked at itself.
    private static let doubtsApart = Nanoseconds.milliseconds(100)
    /// A peer that the checks find down so soon after requests failed has one trouble, not two.
    private static let troubleLasts = Nanoseconds.seconds(2)

    // MARK: Asking

    /// Some worker has seen a peer do badly. At once: each moment more costs requests.
    func strikesWait() {
        judging.isAskedFor = true
        if judging.isBusy || isDrained { return }
        look(at: judging.times.strike(at: loop.instant))
    }

    /// Nobody tells of it, and there is something to look at.
    private func goOnLooking() {
        if judging.isBusy || isDrained { return }
        look(at: judging.times.goOn(at: loop.instant))
    }

    private func look(at moment: Instant?) {
        guard let moment else { return }
        if let next = judging.next { timers.cancel(next) }
        judging.next = nil
        guard moment > loop.instant else { return lookNow() }
        judging.next = timers.schedule(at: moment) { [weak self] in
            guard let self else { return }
            judging.next = nil
            if !judging.isBusy, !isDrained { lookNow() }
        }
    }

    private func lookNow() {
        judging.isBusy = true
        judging.isAskedFor = false
        judging.times.take(at: loop.instant)
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await here.value.look() }
    }

    private func look() async {
        var strikes: [Int32: StrikeTable.Strike] = [:]
        for (_, worker) in workers {
            for strike in await worker.call({ $0.strikes.take() }) {
                strikes[strike.peer, default: .init(peer: strike.peer)].add(strike)
            }
        }
        judging.times.isCounting = false
        for strike in strikes.values { weigh(strike) }
        let hasLate = strikes.values.contains { $0.late > 0 }
        if judging.times.mayCount(at: loop.instant, mustCount: hasLate) {
            let tallies = await census()
            for strike in strikes.values where strike.late > 0 { weighLate(strike, tallies) }
            for (upstream, part) in tallies { judge(upstream, part) }
        }
        judging.isBusy = false
        if judging.isAskedFor { strikesWait() }
        if !judging.watches.isEmpty { goOnLooking() }
    }

    /// The counts of all workers, of upstreams with trouble in them.
    private func census() async -> [String: [PeerKey: PeerTally]] {
        let now = loop.instant
        judging.watches = judging.watches.filter { !$0.value.isOver(at: now) }
        let numbers = routing.numbers(of: judging.watches.keys)
        if numbers.isEmpty { return [:] }
        var all: [String: [PeerKey: PeerTally]] = [:]
        for (_, worker) in workers {
            for (number, tally) in await worker.call({ $0.census(of: numbers) }) {
                guard let key = routing.peer(number) else { continue }
                all[key.upstream, default: [:]][key, default: PeerTally()].add(tally)
            }
        }
        return all
    }

    /// Requests fail at most of the peers that this process has: then it is more likely the one that is ill,
    /// or its network, and what it thinks of peers is nothing to tell others.
    public var doubtsItself: Bool {
        let now = loop.instant
        if now - judging.doubtedAt < Self.doubtsApart { return judging.isDoubted }
        let count = judging.troubledAt.values.count { now - $0 < Self.troubleLasts }
        judging.doubtedAt = now
        judging.isDoubted = count >= 2 && count * 2 > routing.peerCount
        return judging.isDoubted
    }

    // MARK: Judging

    private func weigh(_ strike: StrikeTable.Strike) {
        guard let key = routing.peer(strike.peer),
            let eject = board.definition(of: key.upstream)?.eject
        else { return }
        judging.watches[key.upstream, default: UpstreamWatch()].trouble(at: loop.instant, eject)
        guard isNews(strike, of: key) else { return }
        if strike.count > 0 {
            failed(key, Int(strike.count), strike.cause)
        } else if strike.hasBadStatus, judging.isOnTrial(key) {
            failedTrial(key, .status)
        }
    }

    /// The worker did not know yet that the peer was back.
    private func isNews(_ strike: StrikeTable.Strike, of key: PeerKey) -> Bool {
        strike.askedAt >= judging.backAt(key)
    }

    /// Where the peer answered another request meanwhile, through whatever worker, the line is lossy or
    /// the request is slow.
    private func weighLate(
        _ strike: StrikeTable.Strike,
        _ tallies: [String: [PeerKey: PeerTally]]
    ) {
        guard let key = routing.peer(strike.peer), isNews(strike, of: key) else { return }
        if let tally = tallies[key.upstream]?[key],
            tally.answeredAt + strike.waited > loop.instant
        {
            return
        }
        failed(key, Int(strike.late), strike.cause)
    }

    private func failed(_ key: PeerKey, _ count: Int, _ cause: FailureCause) {
        judging.troubledAt[key] = loop.instant
        judging.troubledBy[key] = cause
        let definition = board.report(of: key)?.definition
        guard let definition,
            let failures = judging.judge.failed(key, count, of: definition, at: loop.instant)
        else {
            if judging.isOnTrial(key) { return failedTrial(key, cause) }
            if let definition, definition.maxFails > 1, board.mayEject(key) {
                judging.times.isCounting = true
            }
            return suspect(key, failures: count)
        }
        let requests = failures == 1 ? "a request" : "\(failures) requests"
        let isEjected = eject(
            key,
            for: definition.failTimeout,
            cause,
            "failed \(requests) (\(cause.word)) within \(definition.failTimeout)",
            failures: failures
        )
        if !isEjected { suspect(key, failures: failures) }
    }

    /// Whoever probes it looks at once, and hears why. For as long as it is out, where it is.
    private func suspect(
        _ key: PeerKey,
        isSilent: Bool = false,
        failures: Int,
        for span: Nanoseconds = TrafficVote.life
    ) {
        let seen = judging.watches[key.upstream]?.recent(key) ?? (requests: 0, failures: 0)
        let failures = max(seen.failures, failures)
        let vote = TrafficVote(
            requests: max(seen.requests, failures),
            failures: failures,
            window: board.definition(of: key.upstream)?.eject.rate.window ?? .seconds(1),
            life: span
        )
        onSuspicion(key, isSilent, vote)
    }

    private func judge(_ upstream: String, _ tallies: [PeerKey: PeerTally]) {
        guard let definition = board.definition(of: upstream) else {
            judging.watches[upstream] = nil
            return
        }
        let findings =
            judging.watches[upstream]?.take(tallies, definition.eject, at: loop.instant) ?? []
        // Looked at all the same: whoever asks is told that requests fail.
        if definition.eject.isOff { return }
        for finding in findings { act(on: finding, definition.eject) }
    }

    private func act(on finding: UpstreamWatch.Finding, _ eject: EjectDefinition) {
        switch finding {
        case .badAnswers(let key, let count):
            self.eject(
                key,
                for: eject.time,
                .status,
                count == 1
                    ? "answered a request with 5xx"
                    : "answered \(count) requests in a row with 5xx",
                failures: count
            )
        case .failsMore(let key, let failures, let requests, let others):
            self.eject(
                key,
                for: eject.time,
                .status,
                "failed \(failures) of \(requests) requests, where of the others' \(others)% fail",
                failures: failures
            )
        case .isSilent(let key):
            judging.troubledAt[key] = loop.instant
            suspect(key, isSilent: true, failures: 1)
        case .failedTrial(let key): failedTrial(key, judging.troubledBy[key] ?? .status)
        case .passedTrial(let key): send(key)
        }
    }

    /// The first that fails, whatever `max-fails` says.
    private func failedTrial(_ key: PeerKey, _ cause: FailureCause) {
        guard let eject = board.definition(of: key.upstream)?.eject else { return }
        judging.watches[key.upstream]?.endTrial(of: key)
        let isEjected = self.eject(
            key,
            for: judging.base(of: key) ?? eject.time,
            cause,
            cause == .status
                ? "answered a request with 5xx just after it was back"
                : "failed a request (\(cause.word)) just after it was back",
            failures: 1
        )
        if isEjected { return }
        // It is no longer on trial all the same.
        suspect(key, failures: 1)
        send(key)
    }

    @discardableResult
    private func eject(
        _ key: PeerKey,
        for base: Nanoseconds,
        _ cause: FailureCause,
        _ reason: String,
        failures: Int
    ) -> Bool {
        guard board.mayEject(key), let definition = board.definition(of: key.upstream) else {
            return false
        }
        let hold = hold(key, base, definition.eject)
        suspect(key, failures: failures, for: hold.span)
        judging.watches[key.upstream]?.forget(key)
        judging.willEject(key, cause, until: loop.wall + hold.span, base)
        let test = hold.isRepeated ? Ejection.Test.none : cause.test
        if board.eject(key, for: hold.span, reason, until: test) { judging.didEject(key) }
        return true
    }

    private func hold(
        _ key: PeerKey,
        _ base: Nanoseconds,
        _ eject: EjectDefinition
    ) -> (span: Nanoseconds, isRepeated: Bool) {
        judging.holds.begin(
            key,
            base,
            upTo: eject.maxTime,
            at: loop.instant,
            chance: Double(loop.dice.next() >> 11) / Double(1 << 53)
        )
    }

    // MARK: Coming back

    /// A peer that is back because its time is over, and not because anybody found it well, gets one
    /// request at a time at first.
    func noteReturn(_ key: PeerKey, _ change: PeerHealth.Change) {
        if !change.from.isAvailable, change.to.isAvailable {
            judging.begins(key, at: loop.instant)
            judging.holds.returned(key, at: loop.instant)
        }
        if change.to.routing == .ejected { lookAgain(at: key) }
        if change.from.routing == .ejected, change.to.routing != .ejected {
            judging.holds.ended(key, at: loop.instant)
            if change.to.isAvailable, let end = judging.end(of: key), loop.wall >= end,
                board.available(in: key.upstream) > 1
            {
                judging.watches[key.upstream, default: UpstreamWatch()]
                    .beginTrial(of: key, at: loop.instant)
                goOnLooking()
            }
        }
        if change.from.isAvailable, !change.to.isAvailable {
            endTrials(of: key.upstream)
            if change.to.routing == .down { holdBack(key) }
        }
    }

    /// Should its probes pass, one more is wanted at the end of that time.
    private func lookAgain(at key: PeerKey) {
        timers.schedule(after: Ejection.probation) { [weak self] in
            guard let self, board.view(of: key)?.routing == .ejected else { return }
            onSuspicion(key, false, nil)
        }
    }

    /// Requests knew it too: it may fall again as soon as it is up.
    private func holdBack(_ key: PeerKey) {
        guard let troubled = judging.troubledAt[key], loop.instant - troubled < Self.troubleLasts,
            let eject = board.definition(of: key.upstream)?.eject, !eject.isOff
        else { return }
        let hold = hold(key, eject.time, eject)
        judging.willEject(key, .timeout, until: loop.wall + hold.span, eject.time)
        board.holdBack(
            key,
            for: hold.span,
            "was found down while requests to it failed",
            until: hold.isRepeated ? .none : .recovery
        )
    }

    /// Whoever is left takes all there is.
    private func endTrials(of upstream: String) {
        let trying = judging.watches[upstream]?.onTrial ?? []
        if trying.isEmpty || board.available(in: upstream) > trying.count { return }
        for key in trying {
            judging.watches[upstream]?.endTrial(of: key)
            send(key)
        }
    }
}

extension FailureCause {
    /// What a probe must do to know better.
    fileprivate var test: Ejection.Test {
        switch self {
        case .refused, .unreachable, .connectTimeout: .connection
        case .status: .recovery
        default: .answer
        }
    }
}
