// Which of its pairs does this agent probe? All of them, unless it shares with others: then those that the
// fleet says are its own, at slots on the store's clock, and others once when somebody asks.

import Checks
import EventLoop
import Fleet
public import Health
public import Store
public import Vocabulary

/// What the fleet says of one row.
struct Share {
    /// Nobody's.
    static let none: PairNumber = -1

    var pair = Share.none
    /// This agent probes it.
    var isHeld = false
    /// Its first outcome since then has not come: it is told, whatever it is. It says who holds the pair.
    var isFresh = false
    /// Somebody asked after the probe in flight had begun.
    var looksAgain = false
    /// Slots from then on are another's.
    var stopAt = Share.never
    /// The slot that it waits for, and the one begun last.
    var next = Share.never
    var slot = WallTime(milliseconds: 0)
    /// The question of an agent waits for the next probe.
    var isAsked = false
    /// This agent probes it beside its holder, so long after each of its slots.
    var offset: Nanoseconds?

    static let never = WallTime(milliseconds: .max)

    /// The slot begun last, at this time of the store. One that lies further ahead than any clock is slewed was begun by
    /// a clock that has been set back since, and says nothing of the slots of now.
    func slot(at time: WallTime) -> WallTime {
        slot - time > StoreClock.stepFrom ? time : slot
    }
}

extension Scheduler {
    /// Shares what is defined from now on.
    public func join(_ fleet: FleetDesk) {
        self.fleet = fleet
        fleet.hands = self
    }

    /// The times at which probes are placed: those of the store where pairs are shared.
    func slotTime(_ now: Moment) -> Moment {
        guard let fleet else { return now }
        return Moment(instant: now.instant, wall: fleet.time(at: now.instant))
    }

    /// Tells the fleet of a pair. One that it knew already goes on being whose it is.
    func share(_ row: Int) {
        guard let fleet else { return }
        while shares.count <= row { shares.append(Share()) }
        var share = Share()
        share.pair = fleet.define(plan(of: row))
        share.isHeld = fleet.holds(share.pair)
        share.isFresh = share.isHeld
        share.offset = fleet.offset(of: share.pair)
        shares[row] = share
        sleepUntilLook(row)
    }

    /// It is watched otherwise.
    func reshare(_ row: Int) {
        if let fleet { _ = fleet.define(plan(of: row)) }
    }

    private func plan(of row: Int) -> PairPlan {
        let pair = rows[row]
        return PairPlan(
            key: pair.key,
            schedule: pair.monitor.schedule,
            confirm: pair.monitor.confirm,
            observers: pair.monitor.observers,
            host: Self.host(of: pair.address),
            about: About(pair.subject, kind: pair.monitor.kind)
        )
    }

    private static func host(of address: Address) -> UInt64 {
        var hash = StableHash()
        switch address {
        case .host(let host, _): hash.combine(host)
        case .unix: hash.combine("")
        }
        return hash.value
    }

    /// Whether this agent looks after the pair.
    public func isHeld(_ key: VerdictKey) -> Bool { index[key].map { isHeld($0) } ?? false }

    /// Whether this agent probes it by its schedule.
    func isHeld(_ row: Int) -> Bool { fleet == nil || shares[row].isHeld }

    /// It is probed out of turn: its next slot comes all the same.
    func leaveSlot(_ row: Int) {
        if fleet != nil { shares[row].next = Share.never }
    }

    /// Whether a probe that is in line should begin: meanwhile the pair may have become another's.
    func isStillWanted(_ row: Int, at now: Instant) -> Bool {
        guard let fleet else { return true }
        fleet.wakeUp(at: now)
        if !rows[row].waiters.isEmpty || shares[row].isAsked { return true }
        // A slot is whose it is by its name: one that begins late is not the next holder's for it.
        let slot = shares[row].next == Share.never ? fleet.time(at: now) : shares[row].next
        if shares[row].isHeld, slot >= shares[row].stopAt { release(row) }
        return shares[row].isHeld || shares[row].offset != nil
    }

    /// Its next slot, unless that is another's.
    func sleepUntilSlot(_ row: Int, _ slot: WallTime, now: Moment) {
        guard fleet != nil else { return sleep(row, until: slot, now: now) }
        guard slot < shares[row].stopAt else {
            // Its probe is over, and nobody wakes it before it is this agent's again.
            rows[row].phase = .resting
            return release(row)
        }
        shares[row].next = slot
        sleep(row, until: slot, now: now)
    }

    /// The probe has begun.
    func noteSlot(_ row: Int, at now: Instant) {
        guard let fleet else { return }
        // What the holder before found last counts too.
        if shares[row].isFresh, shares[row].isHeld {
            door.resume(rows[row], from: nil, now: loop.moment)
        }
        let time = fleet.time(at: now)
        let next = shares[row].next
        // A clock that is slewed back would give the same slot twice.
        let slot = next == Share.never || next - time > StoreClock.stepFrom ? time : next
        shares[row].slot = max(shares[row].slot(at: time), slot)
        shares[row].next = Share.never
    }

    private func release(_ row: Int) {
        shares[row].isHeld = false
        shares[row].isFresh = false
        shares[row].stopAt = Share.never
        shares[row].next = Share.never
        held[row] = nil
        if rows[row].phase == .resting {
            cancelWakeUp(of: row)
            sleepUntilLook(row)
        }
    }

    /// Of a pair that another holds: its next slot, where this agent looks at it too.
    func sleepUntilLook(_ row: Int) {
        guard fleet != nil, let offset = shares[row].offset, !shares[row].isHeld else { return }
        let now = slotTime(loop.moment)
        let schedule = rows[row].monitor.schedule
        let isDown = door.verdict(of: rows[row])?.status == .down
        let slot = rows[row].beat.next(
            after: max(now.wall, shares[row].slot(at: now.wall)),
            every: isDown ? schedule.downInterval : schedule.interval,
            offset: offset
        )
        sleep(row, until: slot, now: now)
    }

    /// What becomes of an outcome; nil where it is not this agent's to count.
    func ruling(on outcome: Outcome, of row: Int, started: Instant, at now: Instant) -> Ruling? {
        guard let fleet else { return .count }
        let found = Found(outcome)
        let pair = shares[row].pair
        let wasAsked = shares[row].isAsked
        shares[row].isAsked = false
        guard shares[row].isHeld else {
            if shares[row].offset != nil {
                let published = door.verdict(of: rows[row])?.status
                fleet.observed(
                    found,
                    of: pair,
                    published: published,
                    because: outcome.reason,
                    begun: started,
                    at: now
                )
            } else if wasAsked {
                fleet.found(found, of: pair, because: outcome.reason, begun: started, at: now)
            }
            return nil
        }
        let ruling = fleet.outcome(
            found,
            of: pair,
            because: outcome.reason,
            counter: rows[row].opinion.counter,
            begun: started,
            at: now
        )
        // Whoever heard of it may have taken the pair away.
        guard let ruling, rows[row].phase != .removed, shares[row].isHeld else { return nil }
        held[row] = ruling == .hold ? outcome : nil
        return ruling
    }

    func withheld(_ ruling: Ruling, of row: Int) -> Withheld? {
        fleet?.member.withheld(ruling, of: shares[row].pair)
    }

    /// Whether the probe is to be told of though it says nothing new.
    func takeFreshness(of row: Int) -> Bool {
        guard fleet != nil, shares[row].isFresh else { return false }
        shares[row].isFresh = false
        return true
    }
}

extension Scheduler: FleetHands {
    public func begin(
        _ key: VerdictKey,
        from time: WallTime,
        epoch: UInt64,
        resuming verdict: Verdict?
    ) {
        guard let row = index[key], let fleet, !isStopping else { return }
        let pair = rows[row]
        pair.epoch = max(epoch, pair.epoch)
        shares[row].stopAt = Share.never
        if shares[row].isHeld, pair.phase != .resting || pair.wakesAt != .distantFuture { return }
        let isNew = !shares[row].isHeld
        shares[row].isHeld = true
        shares[row].isFresh = true
        let now = loop.moment
        if isNew {
            // It may have looked at it before, at other slots.
            if pair.phase == .resting { cancelWakeUp(of: row) }
            door.resume(pair, from: verdict, now: now)
        }
        // One that is probed because somebody asked goes on by its schedule when that has ended.
        guard pair.phase == .resting else { return }
        let slots = slotTime(now)
        // Two clocks that agree may differ by a little; a hand-over lies further ahead.
        if time > slots.wall + Self.clockTolerance {
            let slot = pair.beat.next(
                after: time + .milliseconds(-1),
                every: pair.monitor.schedule.interval
            )
            return sleepUntilSlot(row, slot, now: slots)
        }
        // What has missed its slot, what nobody has judged, and what failed where that does not count, at once; the rest on
        // its beat.
        let interval = pair.monitor.schedule.interval
        let isMissed =
            pair.beat.next(after: time + .milliseconds(-1), every: interval) <= slots.wall
        let isOverdue =
            isMissed || pair.opinion.counter.status == .unknown
            || pair.opinion.counter.isInTransition
            || pair.opinion.withheld != nil
            || pair.opinion.checkedAt + interval <= now.wall
            || pair.opinion.checkedAt > now.wall + interval
        if isOverdue || fleet.isAway { return hurry(row) }
        sleepUntilSlot(row, pair.beat.next(after: slots.wall, every: interval), now: slots)
    }

    public func stop(_ key: VerdictKey, at time: WallTime) {
        guard let row = index[key], let fleet, shares[row].isHeld else { return }
        if time <= fleet.time(at: loop.instant) { return release(row) }
        shares[row].stopAt = time
        // Its next slot is another's already; one that has no slot, because it waits or is under way, is this
        // agent's still.
        if rows[row].phase == .resting, shares[row].next >= time { release(row) }
    }

    public func observe(_ key: VerdictKey, after offset: Nanoseconds?) {
        guard let row = index[key], !isStopping else { return }
        shares[row].offset = offset
        // One that is under way goes on by what holds when it has ended.
        guard !shares[row].isHeld, rows[row].phase == .resting else { return }
        cancelWakeUp(of: row)
        sleepUntilLook(row)
    }

    public func look(_ key: VerdictKey) {
        guard let row = index[key], !isStopping else { return }
        switch rows[row].phase {
        case .resting:
            shares[row].isAsked = true
            hurry(row)
        case .waiting: shares[row].isAsked = true
        case .probing: shares[row].looksAgain = true
        case .removed: break
        }
    }

    public func fall(_ key: VerdictKey) {
        guard let row = index[key], let outcome = held.removeValue(forKey: row),
            shares[row].isHeld, rows[row].opinion.counter.status != .down
        else { return }
        door.pass(outcome, of: rows[row], now: loop.moment, isShared: true)
    }

    public func signed(_ sign: FleetSign) {
        if sign.kind == .suspicion {
            // A word of another agent is a reason to look, and no failure.
            if let vote = sign.vote, door.isDefined(sign.peer) {
                heardVotes.note(vote, of: sign.peer, by: sign.agent, at: loop.instant)
            }
            return suspect(sign.peer, isSilent: false, nil, isTold: true)
        }
        guard let status = Heartbeats.Sign.Status(rawValue: sign.status) else { return }
        heartbeats?.record(
            Heartbeats.Sign(status: status, message: sign.message, at: loop.instant),
            upstream: sign.peer.upstream,
            peer: sign.peer.peer
        )
        hurry(signedBy: sign.peer)
    }

    /// What a peer said of itself counts now, and not at the next beat of the schedule.
    public func hurry(signedBy peer: PeerKey) {
        for (id, monitor) in monitors(of: peer.upstream) where monitor.kind == HeartbeatCheck.kind {
            let key = VerdictKey(upstream: peer.upstream, peer: peer.peer, monitor: id)
            if let row = index[key], isHeld(row) { hurry(row) }
        }
    }

    /// All agents hear what a peer said of itself here.
    public func announce(_ sign: FleetSign) { fleet?.announce(sign) }

    /// Somebody else probes the peer: it should look. While the store is away nobody can be told, and this
    /// agent looks itself.
    func tell(
        suspicionOf peer: PeerKey,
        _ vote: TrafficVote?,
        _ others: [VerdictKey],
        every pause: Nanoseconds
    ) {
        guard let fleet, doubtsRequests?() != true else { return }
        if fleet.isAway {
            for key in others { fleet.suspected(key) }
            return
        }
        let now = loop.instant
        // That it was taken out for a while is told at once: it is the last word for that long.
        let isLonger = vote.map { $0.life > TrafficVote.life } ?? false
        if let told = suspicionsTold[peer], now - told < pause, !isLonger { return }
        if suspicionsTold.count >= Self.suspicionsMax { suspicionsTold = [:] }
        suspicionsTold[peer] = now
        fleet.announce(FleetSign(.suspicion, peer: peer, status: "fails", message: "", vote: vote))
    }

    /// What other agents' requests show of the peers of these upstreams, as they said lately.
    public func heardVotes(of upstreams: Set<String>) -> [PeerKey: [ToldVote]] {
        heardVotes.all(at: loop.moment, of: upstreams)
    }

    public func lag(at now: Instant) -> Nanoseconds {
        if admission.waiting == 0 { return .zero }
        return admission.firstInLine.reduce(.zero) { lag, ticket in
            guard rows[ticket.pair].generation == ticket.generation, isHeld(ticket.pair) else {
                return lag
            }
            return max(lag, now - rows[ticket.pair].dueAt)
        }
    }

    public func orphans(at now: Moment) -> [VerdictKey] {
        guard let fleet else { return [] }
        mend(at: now)
        let members = fleet.memberNames
        var orphans: [VerdictKey] = []
        for row in rows.indices where rows[row].phase != .removed && !shares[row].isHeld {
            let pair = rows[row]
            // Redis keeps a word so much longer than its agent believes it.
            let life = pair.monitor.schedule.validityMax + Self.grace
            let verdict = door.verdict(of: pair)
            // Its holder said that it finds nothing, and is held to that by its mark.
            if let verdict, !verdict.isFound, members.contains(verdict.agent) { continue }
            let over =
                verdict.map { max($0.expiresAt + Self.grace, $0.checkedAt + life) }
                ?? began + life
            if over < now.wall { orphans.append(pair.key) }
        }
        return orphans
    }

    private static var suspicionsMax: Int { 10_000 }
    private static var grace: Nanoseconds { .seconds(10) }
    private static var clockTolerance: Nanoseconds { .milliseconds(100) }

    public func lateness(at now: Instant) -> Nanoseconds {
        // What has not begun is late too.
        let waiting = overdue(at: Moment(instant: now, wall: loop.wall)).longest
        return max(recentLateness.quantile(0.99, at: now), waiting)
    }
}

extension ConfirmRule {
    init(of monitor: MonitorDefinition) {
        guard let confirmation = monitor.confirm else {
            // The word of the peer itself needs no second opinion: all heard the same one.
            self = type(of: monitor.check).waitsForAnswer ? .byDefault : ConfirmRule()
            return
        }
        if confirmation == .off {
            self = .off
            return
        }
        let quorum: Quorum =
            switch confirmation.quorum {
            case .majority: .majority
            // The owner, and any one of those that it asked.
            case .any: .count(2)
            case .all: .all
            case .votes(let count): .count(count)
            }
        self.init(agents: confirmation.agents, quorum: quorum)
    }
}

extension About {
    fileprivate init(_ subject: Subject, kind: String) {
        var hash = StableHash()
        hash.combine(subject.address)
        hash.combine(kind)
        self.init(whom: UInt32(truncatingIfNeeded: hash.value), what: subject.check)
    }
}
