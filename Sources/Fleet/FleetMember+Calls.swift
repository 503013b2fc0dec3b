// What does an agent call the store for, and in which order? One call of each sort at a time, and what came meanwhile with
// the next. The part of `FleetMember` that sends.

import Health
import Vocabulary

extension FleetMember {
    // MARK: Sending

    mutating func call(
        _ call: FleetCall,
        _ calling: Calling,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        lastCall += 1
        calls[lastCall] = (calling, now)
        switch calling {
        case .beat: isBeating = true
        case .claim: isClaiming = true
        case .publish: isPublishing = true
        case .tell: isTelling = true
        case .release, .other: break
        }
        effects.append(.call(lastCall, membership.signature, call))
    }

    /// Nobody waits for what was called any more.
    mutating func forgetCalls() {
        calls = [:]
        forgetLetters()
        (isBeating, isClaiming, isPublishing, isTelling) = (false, false, false, false)
        untoldSince = nil
        deafness.hear()
    }

    /// The call is over, answered or lost. Nil where it was called by a former life.
    mutating func end(_ number: CallNumber) -> (calling: Calling, sent: Instant)? {
        guard let ended = calls.removeValue(forKey: number) else { return nil }
        switch ended.calling {
        case .beat: isBeating = false
        case .claim: isClaiming = false
        case .publish: isPublishing = false
        case .tell: isTelling = false
        case .release, .other: break
        }
        return ended
    }

    mutating func beat(
        lag: Nanoseconds,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        nextBeatAt = now + terms.beat
        var beat = membership.nextBeat()
        beat.weight = weight
        beat.lag = lag
        sayDoubt(with: &beat, at: now)
        beatsUnasked += 1
        beat.asksServer = beatsUnasked >= FleetTerms.beatsToAsk
        if beat.asksServer { beatsUnasked = 0 }
        call(.beat(beat), .beat, at: now, into: &effects)
    }

    func sayDoubt(with beat: inout FleetCall.Beat, at now: Instant) {
        // A beat that arrives says itself that the store is not away.
        let value = doubt.value(hasOthers: membership.knowsOthers, at: now, ofStore: false)
        beat.doubt = Int((value * 100).rounded())
        beat.isSilent = doubt.isSilent
        // There is no time any more to see whether that is a network that is gone: what it began since may be in vain.
        if beat.state != .working, membership.knowsOthers, blindness.quiet.isCommon {
            beat.doubt = max(beat.doubt, Int(Doubt.withheldFrom * 100))
        }
    }

    /// There is a connection to the store again.
    public mutating func connected(at now: Instant) {
        beatsUnasked = FleetTerms.beatsToAsk
        beatSoon(at: now)
    }

    /// What was said and is not written yet.
    public var unsaid: Int {
        calls.values.reduce(dirty.count) { count, call in
            if case .publish(let batch) = call.calling { count + batch.count } else { count }
        }
    }

    /// The next beat goes out with the next tick.
    mutating func beatSoon(at now: Instant) { nextBeatAt = now }

    /// What was said since the last event goes out now.
    public mutating func flush(at now: Instant, into effects: inout [FleetEffect]) {
        send(at: now, into: &effects)
    }

    /// One call of letters at a time: what comes meanwhile goes with the next, however much that is. Half of all
    /// peers that fall at once are no reason for thousands of calls.
    mutating func tell(
        _ more: [FleetCall.Letter],
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        letters += more.prefix(max(Self.lettersMax - letters.count, 0))
        sendLetters(at: now, into: &effects)
    }

    /// They are about what is so now. More of them than this are not worth waiting for.
    private static let lettersMax = 8_192

    private mutating func sendLetters(at now: Instant, into effects: inout [FleetEffect]) {
        if isTelling || letters.isEmpty { return }
        let batch = Array(letters.prefix(FleetTerms.batch))
        letters.removeFirst(batch.count)
        call(.tell(batch), .tell(batch), at: now, into: &effects)
    }

    /// What waits is of the past by the time at which the store can be reached again.
    mutating func forgetLetters() {
        letters = []
        loseOffers()
    }

    /// What it says would reach others: as far as it knows.
    var canTell: Bool { membership.hasLease && !isCut }

    /// Claims and verdicts that wait, one call of each at a time.
    mutating func send(at now: Instant, into effects: inout [FleetEffect]) {
        guard membership.hasLease, !isCut else { return }
        sendReturned(at: now, into: &effects)
        sendLetters(at: now, into: &effects)
        let mayRank =
            membership.isMember && ownership.isSettled && !isRosterOld && now >= guardedUntil
            && membership.state == .working
        if !isClaiming, claims.hasWishes(mayRank: mayRank, at: now) {
            let batch = claims.nextBatch(mayRank: mayRank) { plans[Int($0)]?.key ?? Self.nobody }
            if !batch.isEmpty {
                call(
                    .claim(roster: membership.roster.number, batch.map(\.claim)),
                    .claim(batch),
                    at: now,
                    into: &effects
                )
            }
        }
        if !isPublishing, !dirty.isEmpty { publish(at: now, into: &effects) }
    }

    private static let nobody = VerdictKey(upstream: "", peer: "", monitor: "")

    // MARK: Publishing

    /// The opinion of a pair says something new.
    public mutating func said(_ pair: PairNumber) {
        if isDirty.insert(pair).inserted { dirty.append(pair) }
    }

    private mutating func publish(at now: Instant, into effects: inout [FleetEffect]) {
        var batch: [(pair: PairNumber, epoch: UInt64, sequence: UInt64)] = []
        var publications: [FleetCall.Publication] = []
        var rest: [PairNumber] = []
        for (index, pair) in dirty.enumerated() {
            if batch.count == FleetTerms.batch {
                rest.append(contentsOf: dirty[index...])
                break
            }
            guard let plan = plan(of: pair) else {
                isDirty.remove(pair)
                continue
            }
            if foundAlone.contains(pair) {
                isDirty.remove(pair)
                continue
            }
            guard let epoch = claims.publishableEpoch(of: pair) else {
                // What is claimed anew is told when it is granted.
                if claims.probes(pair) { rest.append(pair) } else { isDirty.remove(pair) }
                continue
            }
            sequence += 1
            isDirty.remove(pair)
            batch.append((pair, epoch, sequence))
            publications.append(.init(pair: plan.key, epoch: epoch, sequence: sequence))
        }
        dirty = rest
        if batch.isEmpty { return }
        call(.publish(publications), .publish(batch), at: now, into: &effects)
    }
}
