// What do people and observers hear of a change on the board, and what is told of many at once? Each change once,
// in the order in which it came; what a restart or a lost store does to thousands in one line.

import EventLoop
import Health
import Vocabulary

extension Board {
    func settle(
        _ key: PeerKey,
        in board: UpstreamBoard,
        _ change: PeerHealth.Change?,
        cause: TransitionLine.Cause,
        now: Moment
    ) {
        setTimer(of: board, for: board.nextChange(of: key.peer), now: now)
        if let change { tell(change, of: key, in: board, cause: cause) }
    }

    func tell(
        _ change: PeerHealth.Change,
        of key: PeerKey,
        in board: UpstreamBoard,
        cause: TransitionLine.Cause
    ) {
        guard change.isVisible else { return }
        report(change, of: key, cause: cause)
        updateUpstream(board)
    }

    func report(
        _ change: PeerHealth.Change,
        of key: PeerKey,
        cause: TransitionLine.Cause
    ) {
        guard change.isVisible else { return }
        var change = change
        let past = past(of: key, at: change)
        if let past, past.status == change.to.status {
            change.to.since = past.since
            boards[key.upstream]?.set(since: past.since, of: key.peer)
        } else if let past, change.to.since >= startedAt {
            // What was known of it was over meanwhile: it came from there, and not from nowhere.
            (change.from.status, change.from.since) = (past.status, past.since)
        }
        for observer in observers { observer.peerChanged(key, change) }
        if let line = WeightEndLine(peer: key, change: change, cause: cause).line {
            journal.log(line)
        }
        if !change.isTransition {
            if case .verdict = cause, let line = WeightLine(peer: key, change: change).line {
                journal.log(line)
            }
            return
        }
        if change.to.since < startedAt {
            // It was so before this process began: nothing that anybody must hear of again.
            return note(resumed: key, as: change.to.status, past)
        }
        if case .definition = cause, change.isFirstMonitor { return }
        let event = events.add(change, of: key, now: clock().wall)
        if !isOfTheStore(change, of: key, cause), let counts = boards[key.upstream]?.counts {
            journal.log(
                TransitionLine(peer: key, change: change, cause: cause, counts: counts).line
            )
        }
        for observer in observers { observer.transition(event) }
        noteTold(of: key, change)
    }

    /// How the last process left the peer, when it is found to be in some status for the first time.
    private func past(of key: PeerKey, at change: PeerHealth.Change) -> EventLog.Past? {
        guard change.isTransition, change.from.status == .unknown,
            let past = events.past(of: key),
            // By a clock that was ahead then it says nothing of now.
            past.since <= startedAt
        else { return nil }
        if change.to.since < startedAt {
            return past.status != change.to.status || past.since > change.to.since ? past : nil
        }
        // Later somebody has looked at it in vain meanwhile, and that is what is told.
        let isStarting = clock().wall - startedAt < Self.resumesWithin
        let isPlain = [.up, .degraded, .down, .drain, .maint].contains(change.to.status)
        return isStarting && isPlain && past.status != .unknown ? past : nil
    }

    /// Somebody who was out of service is found down: the line about that said why.
    private func noteTold(of key: PeerKey, _ change: PeerHealth.Change) {
        guard change.to.status == .down || change.to.status == .degraded else { return }
        for verdict in report(of: key)?.verdicts ?? []
        where verdict.status == .down && verdict.health == 0
            || verdict.isDegraded && verdict.isAtItsBest
        {
            _ = reasons.heard(verdict, isTold: true, at: clock().instant)
        }
    }

    /// A pair that is down, or of which nothing can be known, is so for another reason than was told
    /// last.
    func watchReason(
        of verdict: Verdict,
        _ view: PeerView?,
        _ change: PeerHealth.Change?,
        now: Moment
    ) {
        if verdict.status == .up, !verdict.isDegraded { return reasons.forget(verdict.key) }
        guard let view else { return }
        // On the way back it is told by how far, and on the way down too; and who is out of service need
        // not be well.
        let isNoted =
            switch verdict.status {
            case .unknown: view.status == .unknown && verdict.reason != .unknown
            case .down: verdict.health == 0 && [.down, .degraded].contains(view.status)
            case .up: verdict.isAtItsBest && view.status == .degraded
            }
        if !isNoted { return }
        let isTold = change?.isTransition == true
        if let news = reasons.heard(verdict, isTold: isTold, at: now.instant) {
            let isRequired = boards[verdict.key.upstream]?.isRequired(verdict.key.monitor) ?? true
            journal.log(
                ReasonLine(
                    verdict: verdict,
                    status: view.status,
                    isBeside: !isRequired && view.status == .down,
                    news: news
                ).line
            )
        }
    }

    func updateUpstream(_ board: UpstreamBoard) {
        let name = board.definition.name
        for (peer, change) in board.liftEjections(now: clock().wall) {
            report(change, of: PeerKey(upstream: name, peer: peer), cause: .traffic)
        }
        updatePanic(board)
        if let line = board.updateSupply()?.line { journal.log(line) }
        noteAwaiting(board.definition.name, board.counts.awaitsFirstVerdicts)
    }

    func noteAwaiting(_ upstream: String, _ isAwaiting: Bool) {
        if isAwaiting {
            awaiting.insert(upstream)
        } else if awaiting.remove(upstream) != nil {
            for observer in observers { observer.introduced(upstream) }
        }
    }

    /// While the store is away all that other agents probe becomes unknown together, and is known again
    /// together: one line each time, and not one for each of thousands.
    private func isOfTheStore(
        _ change: PeerHealth.Change,
        of key: PeerKey,
        _ cause: TransitionLine.Cause
    ) -> Bool {
        if change.from.status == .unknown, let before = unheard.removeValue(forKey: key) {
            // Whoever is otherwise now has a line of its own.
            guard change.to.status == before else { return false }
            storeNews.back += 1
        } else if case .time = cause, change.to.status == .unknown,
            storeStatus?.isConnected == false
        {
            unheard[key] = change.from.status
            storeNews.lost += 1
        } else {
            return false
        }
        if storeNewsTimer.isNone {
            storeNewsTimer = loop.schedule(
                at: clock().instant + Self.storeNewsDelay,
                sink: self,
                tag: Self.storeNewsTag
            )
        }
        return true
    }

    func tellStoreNews() {
        loop.cancel(storeNewsTimer)
        storeNewsTimer = .none
        let (lost, back) = storeNews
        storeNews = (0, 0)
        if lost > 0 {
            journal.warning(
                "\(lost) \(lost == 1 ? "peer is" : "peers are") UNKNOWN: the store is away, and what others "
                    + "found of \(lost == 1 ? "it" : "them") is over; requests go there as before",
                [.event("unheard"), .init("peers", Int64(lost))]
            )
        }
        if back > 0 {
            journal.notice(
                "\(back) \(back == 1 ? "peer is" : "peers are") known again, and as before",
                [.event("heard-again"), .init("peers", Int64(back))]
            )
        }
    }

    /// Collected for a moment, and told in one line.
    private func note(resumed key: PeerKey, as status: PeerStatus, _ past: EventLog.Past?) {
        resumed[key] = (status, resumed[key]?.past ?? past)
        guard resumptionTimer.isNone else { return }
        resumptionTimer = loop.schedule(
            at: clock().instant + Self.resumptionDelay,
            sink: self,
            tag: Self.resumptionTag
        )
    }

    /// While this process was not there the peer came into another status: a drain ended, say.
    private func tell(_ key: PeerKey, leftAs past: EventLog.Past) {
        guard let view = view(of: key) else { return }
        var from = view
        (from.status, from.since) = (past.status, past.since)
        let change = PeerHealth.Change(from: from, to: view)
        let event = events.add(change, of: key, now: clock().wall)
        let line = AbsenceLine(
            peer: key,
            change: change,
            counts: boards[key.upstream]?.counts ?? UpstreamBoard.Counts()
        )
        journal.log(line.line)
        for observer in observers { observer.transition(event) }
    }

    func tellResumption() {
        loop.cancel(resumptionTimer)
        resumptionTimer = .none
        // Whoever has changed meanwhile has had a line of its own.
        let still = resumed.filter { view(of: $0.key)?.status == $0.value.status }
        resumed = [:]
        let others = still.filter { ($0.value.past?.status ?? $0.value.status) != $0.value.status }
        for (key, found) in others.sorted(by: { "\($0.key)" < "\($1.key)" }) {
            if let past = found.past { tell(key, leftAs: past) }
        }
        let same = still.filter { others[$0.key] == nil }
        if same.isEmpty { return }
        let counts = Dictionary(same.map { ($0.value.status, 1) }, uniquingKeysWith: +)
        let parts = PeerStatus.allCases.compactMap { status in
            counts[status].map { "\($0) \(status.rawValue)" }
        }
        var text =
            "\(same.count) \(same.count == 1 ? "peer is" : "peers are") as before the start: "
        text += parts.joined(separator: ", ")
        let down = same.filter { $0.value.status == .down }.map(\.key.description).sorted()
        if !down.isEmpty {
            text += " (down: " + down.prefix(Self.resumedNamesMax).joined(separator: ", ")
            text += down.count > Self.resumedNamesMax ? ", …)" : ")"
        }
        journal.log(down.isEmpty ? .notice : .warning, text, [.event("resumed")])
    }

    private func updatePanic(_ board: UpstreamBoard) {
        guard let isPanic = board.updatePanic(now: clock().wall) else { return }
        let name = board.definition.name
        if isPanic {
            journal.warning(
                "\(name) is in panic: \(board.counts.words)"
                    + (board.counts.wanted == 0
                        ? ", and none of them is available; "
                        : " available, below \(Int(board.definition.panicThreshold * 100))%; ")
                    + "requests go to all that are not in maint, in drain or at weight 0"
                    + board.counts.exceptions,
                [
                    .event("panic"), .upstream(name),
                    .init("available", Int64(board.counts.available)),
                    .init("wanted", Int64(board.counts.wanted)),
                ]
            )
        } else {
            journal.notice("\(name) is out of panic", [.event("panic-over"), .upstream(name)])
        }
        for observer in observers { observer.panicChanged(name, isPanic: isPanic) }
    }
}
