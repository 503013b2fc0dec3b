// Does a peer do worse than the others of its upstream? Answers in a row that tell of trouble, a share of
// failures far above theirs, silence while they speak. Looked at only while there is trouble. Pure.

import EventLoop
import Health
import Vocabulary

/// What is known of one peer at one moment, all workers together. Counts grow for ever.
struct PeerTally: Sendable, Equatable {
    /// Answers that are no failure of the peer.
    var goods: UInt64 = 0
    /// Answers with a status from 500 on.
    var bads: UInt64 = 0
    /// Requests that it failed otherwise.
    var faults: UInt64 = 0
    /// The last so many answers were bad, on the worker where there were most.
    var run: Int32 = 0
    /// When a byte came of it last, and when an answer was whole last.
    var heardAt = Instant(nanoseconds: .min)
    var answeredAt = Instant(nanoseconds: .min)
    /// Requests that wait for a connection or a first byte, and how long the first of them does.
    var waiting: Int32 = 0
    var waited = Nanoseconds.zero

    mutating func add(_ other: PeerTally) {
        goods &+= other.goods
        bads &+= other.bads
        faults &+= other.faults
        run = max(run, other.run)
        heardAt = max(heardAt, other.heardAt)
        answeredAt = max(answeredAt, other.answeredAt)
        waiting &+= other.waiting
        waited = max(waited, other.waited)
    }

    var failures: UInt64 { bads &+ faults }
    var requests: UInt64 { goods &+ failures }
}

/// The peers of one upstream, side by side.
struct UpstreamWatch {
    enum Finding: Equatable {
        /// So many answers in a row told of trouble.
        case badAnswers(PeerKey, Int)
        /// So many of its requests failed, of so many, where of the others' so many percent did.
        case failsMore(PeerKey, failures: Int, requests: Int, others: Int)
        case isSilent(PeerKey)
        case failedTrial(PeerKey)
        case passedTrial(PeerKey)
    }

    private struct Census {
        var at: Instant
        var tallies: [PeerKey: PeerTally]
    }

    private struct Run {
        var count: Int
        /// What the others had answered when it began.
        var othersGood: UInt64
        var othersBad: UInt64
    }

    private struct Trial {
        var until: Instant
        var before: PeerTally?
    }

    private var history: [Census] = []
    private var runs: [PeerKey: Run] = [:]
    private var trials: [PeerKey: Trial] = [:]
    /// There is something to look at until then.
    private var until = Instant(nanoseconds: .min)

    /// The others' share counts as this much at least, and one who fails more must have failed so many
    /// more requests than they would have: where hardly anybody fails, one failure is no pattern.
    static let shareMin = 0.05
    static let failuresMin = 3.0
    /// Fewer answers of another peer say nothing of how it does.
    static let answersMin: UInt64 = 5
    /// Requests that wait before silence means anything.
    static let waitingMin: Int32 = 3
    /// A peer that is back after its time gets one request at a time until so many went well.
    static let trialAnswers: UInt64 = 10
    static let trialMax = Nanoseconds.seconds(60)

    // MARK: When

    mutating func trouble(at now: Instant, _ eject: EjectDefinition) {
        until = max(until, now + max(eject.rate.window, .seconds(1)))
    }

    func isOver(at now: Instant) -> Bool { now >= until && trials.isEmpty }

    // MARK: Trials

    mutating func beginTrial(of key: PeerKey, at now: Instant) {
        trials[key] = Trial(until: now + Self.trialMax)
    }

    func isOnTrial(_ key: PeerKey) -> Bool { trials[key] != nil }
    var onTrial: [PeerKey] { Array(trials.keys) }
    mutating func endTrial(of key: PeerKey) { trials[key] = nil }

    /// It was taken out: what it did before is over.
    mutating func forget(_ key: PeerKey) {
        trials[key] = nil
        forgetPast(of: key)
    }

    mutating func forgetPast(of key: PeerKey) {
        runs[key] = nil
        for place in history.indices { history[place].tallies[key] = nil }
    }

    /// What was seen of it within the window: fewer than there were where the trouble has just begun.
    func recent(_ key: PeerKey) -> (requests: Int, failures: Int) {
        guard let last = history.last?.tallies[key],
            let first = history.lazy.compactMap({ $0.tallies[key] }).first
        else { return (0, 0) }
        return (
            Int(clamping: last.requests &- first.requests),
            Int(clamping: last.failures &- first.failures)
        )
    }

    /// Most of what it was asked within the window failed, be it ejected for that or not; nil where too few requests say
    /// so, and where no request has failed for a while.
    func failing(_ key: PeerKey, at now: Instant) -> Proxy.Failing? {
        guard now < until else { return nil }
        let seen = recent(key)
        guard Double(seen.failures) >= Self.failuresMin, seen.failures * 2 >= seen.requests else {
            return nil
        }
        return Proxy.Failing(requests: seen.requests, failures: seen.failures)
    }

    // MARK: Looking

    mutating func take(
        _ tallies: [PeerKey: PeerTally],
        _ eject: EjectDefinition,
        at now: Instant
    ) -> [Finding] {
        var findings: [Finding] = []
        let before = history.last?.tallies ?? [:]
        let keys = tallies.keys.sorted { $0.peer < $1.peer }
        for key in keys {
            guard let tally = tallies[key] else { continue }
            if let finding = judgeTrial(of: key, tally, at: now) {
                findings.append(finding)
                continue
            }
            if let finding = judgeRun(of: key, tally, since: before[key], tallies, eject) {
                findings.append(finding)
            } else if let finding = judgeRate(of: key, tallies, eject) {
                findings.append(finding)
            }
            if isSilent(key, tallies, eject, at: now) { findings.append(.isSilent(key)) }
        }
        history.append(Census(at: now, tallies: tallies))
        history.removeAll { now - $0.at > eject.rate.window }
        return findings
    }

    private mutating func judgeTrial(
        of key: PeerKey,
        _ tally: PeerTally,
        at now: Instant
    ) -> Finding? {
        guard let trial = trials[key] else { return nil }
        guard let before = trial.before else {
            trials[key]?.before = tally
            return nil
        }
        if tally.failures > before.failures {
            trials[key] = nil
            return .failedTrial(key)
        }
        guard tally.goods >= before.goods + Self.trialAnswers || now >= trial.until else {
            return nil
        }
        trials[key] = nil
        return .passedTrial(key)
    }

    /// The others' answers, all together.
    private func others(than key: PeerKey, _ tallies: [PeerKey: PeerTally]) -> PeerTally {
        var sum = PeerTally()
        for (other, tally) in tallies where other != key { sum.add(tally) }
        return sum
    }

    private mutating func judgeRun(
        of key: PeerKey,
        _ tally: PeerTally,
        since before: PeerTally?,
        _ tallies: [PeerKey: PeerTally],
        _ eject: EjectDefinition
    ) -> Finding? {
        guard eject.failures > 0 else { return nil }
        let isUnbroken = before.map { $0.goods == tally.goods } ?? false
        let isNew = before.map { $0.bads != tally.bads } ?? (tally.run > 0)
        if !isUnbroken { runs[key] = nil }
        guard isNew, tally.run > 0 else { return nil }
        let others = others(than: key, tallies)
        if var run = runs[key] {
            run.count += Int(clamping: tally.bads - (before?.bads ?? tally.bads))
            runs[key] = run
        } else {
            runs[key] = Run(
                count: Int(tally.run),
                othersGood: others.goods,
                othersBad: others.bads
            )
        }
        guard let run = runs[key], run.count >= eject.failures else { return nil }
        return isShared(run, by: others, key, tallies) ? nil : .badAnswers(key, run.count)
    }

    /// Others say the same: it is the requests, or what is behind all peers.
    private func isShared(
        _ run: Run,
        by others: PeerTally,
        _ key: PeerKey,
        _ tallies: [PeerKey: PeerTally]
    ) -> Bool {
        var (well, sick) = (0, 0)
        for (other, tally) in tallies where other != key {
            guard let part = Self.difference(tally, history.first?.tallies[other]),
                part.requests >= Self.answersMin
            else { continue }
            if part.failures * 3 < part.requests { well += 1 } else { sick += 1 }
        }
        if well + sick > 0 { return sick > well }
        return others.bads > run.othersBad && others.goods == run.othersGood
    }

    private func judgeRate(
        of key: PeerKey,
        _ tallies: [PeerKey: PeerTally],
        _ eject: EjectDefinition
    ) -> Finding? {
        // Of a peer that came back meanwhile only what it has done since.
        guard eject.rate.above > 0,
            let first = history.first(where: { $0.tallies[key] != nil })?.tallies,
            let own = Self.difference(tallies[key], first[key]),
            own.requests >= UInt64(eject.rate.minRequests), own.failures > 0
        else { return nil }
        var others = PeerTally()
        for (other, tally) in tallies where other != key {
            if let part = Self.difference(tally, first[other]) { others.add(part) }
        }
        guard others.requests >= UInt64(eject.rate.minRequests) else { return nil }
        let share = Double(others.failures) / Double(others.requests)
        let borne =
            max(share, Self.shareMin) * eject.rate.above * Double(own.requests) + Self.failuresMin
        guard Double(own.failures) >= borne else { return nil }
        return .failsMore(
            key,
            failures: Int(clamping: own.failures),
            requests: Int(clamping: own.requests),
            others: Int((share * 100).rounded())
        )
    }

    private static func difference(_ now: PeerTally?, _ then: PeerTally?) -> PeerTally? {
        guard let now, let then, now.goods >= then.goods, now.failures >= then.failures else {
            return nil
        }
        var part = PeerTally()
        part.goods = now.goods - then.goods
        part.bads = now.failures - then.failures
        return part
    }

    /// Nothing came of it for a while, though several wait, and another was heard meanwhile.
    private func isSilent(
        _ key: PeerKey,
        _ tallies: [PeerKey: PeerTally],
        _ eject: EjectDefinition,
        at now: Instant
    ) -> Bool {
        guard eject.silence > .zero, let tally = tallies[key], tally.waiting >= Self.waitingMin,
            tally.waited >= eject.silence, tally.heardAt + eject.silence <= now
        else { return false }
        let since = now + Nanoseconds(-tally.waited.count)
        return tallies.contains { $0.key != key && $0.value.heardAt > since }
    }
}
