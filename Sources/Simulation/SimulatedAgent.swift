// How does a simulated process do what `FleetMember` says? As the real shells are to: it calls, probes at slots,
// counts with `HealthCounter`, publishes what it counted, and reads what others wrote.

import Fleet
import Health
import Vocabulary

final class SimulatedAgent {
    struct Pair {
        var counter: HealthCounter
        var isProbed = false
        var stopAt: WallTime?
        /// Grows when what is planned for it is void.
        var generation: UInt32 = 0
        var isPlanned = false
        var since = WallTime(milliseconds: 0)
        var renewAt = WallTime(milliseconds: 0)
        var epoch: UInt64 = 0
        /// The slot that was begun last.
        var slot = WallTime(milliseconds: 0)
        /// Not yet probed by this agent since it was granted.
        var isFresh = false
    }

    let number: Int
    let id: String
    unowned let world: World
    var member: FleetMember
    var pairs: [Pair]
    /// What it read: the newest verdict of each target.
    var board: [Verdict?]
    var isPaused = false
    var isAlive = true
    /// Its life: what was meant for a former one finds nobody.
    var life: UInt32 = 0
    private var nextTick = Int64.max
    /// Its monotonic clock against the world's, in parts per million, and where it began.
    let drift: Int64
    private let boot: Int64
    /// While it does not run, what comes to it waits.
    private var waiting: [World.Event] = []

    var reconcileAt: Int64 = 0
    private var begun = WallTime(milliseconds: 0)

    // The connection to the store.
    var connection: UInt32 = 0
    var isConnected = false
    var lastSent: Int64 = 0
    var lastReceived: Int64 = 0
    var outstanding: [CallNumber] = []

    init(_ number: Int, in world: World, dice: inout Dice) {
        self.number = number
        id = "a\(number)"
        self.world = world
        drift = Int64.random(in: -200...200, using: &dice)
        boot = Int64.random(in: 0...1_000_000, using: &dice) * 1_000_000
        pairs = []
        board = []
        member = FleetMember(
            agent: id,
            dice: Dice(seed: dice.next()),
            at: Moment(instant: Instant(nanoseconds: 0), wall: WallTime(milliseconds: 0))
        )
        begin(seed: dice.next())
    }

    // MARK: Life

    var now: Instant {
        let time = world.now * 1_000_000
        return Instant(nanoseconds: boot + time + time / 1_000_000 * drift)
    }

    /// When the world's clock shows that this agent's shows `instant`; rounded up.
    private func world(of instant: Instant) -> Int64 {
        let ahead = (instant - now).count
        if ahead <= 0 { return world.now }
        return world.now + (ahead - ahead / 1_000_000 * drift + 999_999) / 1_000_000
    }

    func begin(seed: UInt64) {
        life += 1
        isAlive = true
        isPaused = false
        waiting = []
        nextTick = .max
        connection += 1
        isConnected = false
        outstanding = []
        reconcileAt = 0
        begun = WallTime(milliseconds: world.epochStart + world.now)
        member = FleetMember(
            agent: id,
            terms: world.terms,
            massChange: .init(action: world.setting.massAction),
            dice: Dice(seed: seed),
            at: Moment(
                instant: now,
                wall: WallTime(milliseconds: world.epochStart + world.now)
            )
        )
        pairs = world.plans.map { _ in
            Pair(counter: HealthCounter(thresholds: world.setting.thresholds))
        }
        board = world.plans.map { _ in nil }
        for (index, plan) in world.plans.enumerated() where !world.isHidden(index, from: number) {
            member.define(plan, at: now)
        }
        world.add(.connect(agent: number, life: life), after: 1)
        world.add(.reconcile(agent: number, life: life), after: 20)
        wake()
    }

    func crash() {
        isAlive = false
        life += 1
        connection += 1
        isConnected = false
        for index in pairs.indices { setProbed(index, false) }
    }

    /// Takes what was meant for it while it did not run.
    func resume() {
        isPaused = false
        let events = waiting
        waiting = []
        for event in events { world.happen(event) }
        if isAlive { tick() }
    }

    func wait(_ event: World.Event) { waiting.append(event) }

    // MARK: Ticking

    func tick() {
        nextTick = .max
        var effects: [FleetEffect] = []
        member.tick(at: now, lag: .zero, into: &effects)
        perform(effects)
    }

    private func wake() {
        let time = max(world(of: member.wakeAt(from: now)), world.now)
        // A mistake in `wakeAt` would stop the world's time.
        let next = max(time, world.now + 1)
        if next < nextTick {
            nextTick = next
            world.add(.tick(agent: number, life: life, at: next), at: next)
        }
    }

    func isTickCurrent(_ at: Int64) -> Bool { at == nextTick }

    /// The pairs by the member's numbers and by the world's are the same only if all are defined in
    /// order; names are what both know.
    func index(of pair: PairNumber) -> Int? {
        member.plan(of: pair).flatMap { world.indices[$0.key] }
    }

    // MARK: Effects

    func perform(_ effects: [FleetEffect]) {
        for effect in effects {
            switch effect {
            case .call(let number, let signature, let call): send(number, signature, call)
            case .probe(let pair, let from, let epoch, let verdict):
                begin(pair, from: from, epoch: epoch, resuming: verdict)
            case .stop(let pair, let at): stop(pair, at: at)
            case .look(let pair): look(pair)
            case .fall(let pair): fall(pair)
            case .say(let word): world.note { "\(self.id) says: \(self.text(word))" }
            case .finished:
                world.note { "\(self.id) has stopped" }
                crash()
                return
            }
        }
        wake()
    }

    private func text(_ word: FleetWord) -> String {
        switch word {
        case .tookPart(let roster, let size): "I take part, one of \(size), by roster \(roster)"
        case .stoodStill(let span): "I stood still for \(span)"
        case .doubled: "another process has my id"
        case .newEra(let era): "the store begins anew, era \(era)"
        case .newerFormat(let format): "the store is of format \(format)"
        case .disagreement(let pair, let passes, let size):
            "\(name(pair)) fails here, but \(passes) of \(size) see it pass"
        case .gaveAway(let pair, let to): "I give \(name(pair)) to \(to)"
        case .massHeld: "too much goes down at once: held"
        case .massOver(let hold, let lasted): "what was held is free after \(lasted): \(hold.ends)"
        }
    }

    private func name(_ pair: PairNumber) -> String { member.plan(of: pair)?.key.peer ?? "?" }

    // MARK: Probing

    private var storeTime: WallTime { member.clock.now(at: now) }

    func setProbed(_ index: Int, _ isProbed: Bool) {
        if pairs[index].isProbed == isProbed { return }
        pairs[index].isProbed = isProbed
        world.checks.probed(index, by: number, isProbed, at: world.now)
    }

    private func begin(_ pair: PairNumber, from: WallTime, epoch: UInt64, resuming: Verdict?) {
        guard let index = index(of: pair) else { return }
        pairs[index].epoch = epoch
        pairs[index].stopAt = nil
        let wasProbed = pairs[index].isProbed
        if wasProbed, pairs[index].isPlanned { return }
        if !wasProbed { take(resuming, index) }
        pairs[index].isFresh = !wasProbed
        // The first verdict under a claim is told at once: it says who holds the pair, where a letter was
        // lost.
        if !wasProbed { pairs[index].renewAt = WallTime(milliseconds: 0) }
        setProbed(index, true)
        let time = storeTime
        pairs[index].generation += 1
        pairs[index].isPlanned = true
        if from <= time {
            slot(index, generation: pairs[index].generation, at: time)
        } else {
            let plan = world.plans[index]
            let slot = plan.beat.next(
                after: from + .milliseconds(-1),
                every: plan.schedule.interval
            )
            schedule(index, at: slot)
        }
    }

    /// Goes on from the newer of both: what came with the claim, and what it read itself.
    private func take(_ verdict: Verdict?, _ index: Int) {
        var newest = verdict
        if let read = board[index], newest.map({ read.isNewer(than: $0) }) ?? true { newest = read }
        guard let newest else { return }
        pairs[index].counter = HealthCounter(
            thresholds: world.setting.thresholds,
            resuming: newest.status,
            health: newest.health
        )
        pairs[index].since = newest.since
    }

    private func stop(_ pair: PairNumber, at time: WallTime) {
        guard let index = index(of: pair) else { return }
        if time <= storeTime {
            pairs[index].generation += 1
            pairs[index].isPlanned = false
            setProbed(index, false)
        } else {
            pairs[index].stopAt = time
        }
    }

    private func schedule(_ index: Int, at slot: WallTime) {
        let at = world(of: member.clock.instant(of: slot, from: now))
        world.add(
            .slot(agent: number, life: life, index: index, pairs[index].generation, slot),
            at: at
        )
    }

    func slot(_ index: Int, generation: UInt32, at slot: WallTime) {
        guard pairs[index].generation == generation, pairs[index].isProbed else { return }
        if let stopAt = pairs[index].stopAt, slot >= stopAt {
            pairs[index].isPlanned = false
            pairs[index].generation += 1
            setProbed(index, false)
            return
        }
        if pairs[index].isFresh {
            pairs[index].isFresh = false
            // What the holder before found last counts too.
            take(nil, index)
        }
        pairs[index].slot = slot
        world.probe(index, by: self, generation: generation, isAsked: false)
    }

    /// The target is defined no more here.
    func forget(_ index: Int) {
        pairs[index].generation += 1
        pairs[index].isPlanned = false
        setProbed(index, false)
    }

    private func look(_ pair: PairNumber) {
        guard let index = index(of: pair) else { return }
        world.probe(index, by: self, generation: 0, isAsked: true)
    }

    func ended(_ index: Int, _ found: Found, begun: Instant, generation: UInt32, isAsked: Bool) {
        guard let pair = member.number(of: world.plans[index].key) else { return }
        var effects: [FleetEffect] = []
        if isAsked {
            member.found(found, of: pair, begun: begun, at: now, into: &effects)
            return perform(effects)
        }
        guard pairs[index].generation == generation, pairs[index].isProbed else { return }
        let before = pairs[index].counter
        let ruling = member.outcome(
            found,
            of: pair,
            counter: before,
            begun: begun,
            at: now,
            into: &effects
        )
        if ruling == .count { count(found, index) }
        if pairs[index].counter != before || storeTime >= pairs[index].renewAt { said(pair, index) }
        let plan = world.plans[index]
        let time = storeTime
        let next = plan.schedule.next(
            // After the slot, not after the time at which it was begun: while the clock is slewed back
            // that is a little earlier, and the same slot would come again.
            after: max(time + -(now - begun), pairs[index].slot),
            now: max(time, pairs[index].slot),
            counter: pairs[index].counter,
            beat: plan.beat
        )
        schedule(index, at: next)
        member.flush(at: now, into: &effects)
        perform(effects)
    }

    private func count(_ found: Found, _ index: Int) {
        let transition: HealthCounter.Transition?
        switch found {
        case .passes: transition = pairs[index].counter.observe(passed: true)
        case .fails(_, let isImmediate):
            transition = pairs[index].counter.observe(passed: false, isImmediate: isImmediate)
        case .nothing: return
        }
        if let transition {
            pairs[index].since = storeTime
            let name = world.plans[index].key.peer
            world.note { "\(self.id) finds \(name) \(transition.to.rawValue)" }
        }
    }

    private func fall(_ pair: PairNumber) {
        guard let index = index(of: pair), pairs[index].counter.status != .down else { return }
        count(.fails(silent: false, immediate: false), index)
        said(pair, index)
        var effects: [FleetEffect] = []
        member.flush(at: now, into: &effects)
        perform(effects)
    }

    private func said(_ pair: PairNumber, _ index: Int) {
        pairs[index].renewAt = storeTime + Nanoseconds(life(of: index).count / 3)
        member.said(pair)
    }

    /// How long a verdict holds in the store.
    private func life(of index: Int) -> Nanoseconds {
        world.plans[index].schedule.validityMax + .seconds(10)
    }

    private func verdict(_ key: VerdictKey, _ epoch: UInt64, _ sequence: UInt64) -> Verdict? {
        guard let index = world.indices[key] else { return nil }
        let pair = pairs[index]
        let time = storeTime
        return Verdict(
            key: key,
            kind: "http",
            status: pair.counter.status,
            health: pair.counter.health,
            rise: pair.counter.thresholds.rise,
            fall: pair.counter.thresholds.fall,
            reason: .layer7OK,
            latency: .zero,
            since: pair.since,
            checkedAt: time,
            expiresAt: time + life(of: index),
            agent: id,
            epoch: epoch,
            sequence: sequence
        )
    }

    // MARK: The store

    private func send(_ number: CallNumber, _ signature: Signature, _ call: FleetCall) {
        var call = call
        if case .publish(var publications) = call {
            for one in publications.indices {
                let item = publications[one]
                publications[one].verdict = verdict(item.pair, item.epoch, item.sequence)
            }
            call = .publish(publications)
        }
        outstanding.append(number)
        world.send(number, signature, call, from: self)
    }

    func received(_ number: CallNumber, _ reply: FleetReply) {
        outstanding.removeAll { $0 == number }
        var effects: [FleetEffect] = []
        member.replied(number, reply, at: now, into: &effects)
        perform(effects)
    }

    /// The connection is over: nobody will hear of what was called on it.
    func disconnected() {
        guard isConnected else { return }
        isConnected = false
        connection += 1
        let lost = outstanding
        outstanding = []
        var effects: [FleetEffect] = []
        for number in lost { member.lost(number, at: now, into: &effects) }
        world.add(.connect(agent: number, life: life), after: 50 + world.chance(0...200))
        perform(effects)
    }

    func lost(_ number: CallNumber) {
        guard outstanding.contains(number) else { return }
        outstanding.removeAll { $0 == number }
        var effects: [FleetEffect] = []
        member.lost(number, at: now, into: &effects)
        perform(effects)
    }

    // MARK: Reading

    func heard(_ hint: FleetHint) {
        var effects: [FleetEffect] = []
        member.heard(hint, at: now, into: &effects)
        perform(effects)
    }

    func read(_ verdict: Verdict, _ index: Int) {
        if let held = board[index], !verdict.isNewer(than: held) { return }
        world.checks.shown(index, to: number, verdict, before: board[index], at: world.now)
        board[index] = verdict
        var effects: [FleetEffect] = []
        member.heard(
            verdictOf: verdict.key,
            by: verdict.agent,
            epoch: verdict.epoch,
            at: now,
            into: &effects
        )
        if verdict.agent != id { perform(effects) }
    }

    /// Looks for pairs that nobody renews.
    func sweep() {
        let time = storeTime
        for (index, plan) in world.plans.enumerated() where !pairs[index].isProbed {
            // One that was never heard of is as old as this agent.
            let over = board[index]?.expiresAt ?? (begun + life(of: index))
            if over < time { member.orphaned(plan.key, at: now) }
        }
        wake()
    }
}
