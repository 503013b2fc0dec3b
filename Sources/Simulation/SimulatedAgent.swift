// What is one process of a simulated fleet made of? Of what ships: `FleetDesk` with its `FleetMember`, an `Outbox`, a
// `Shelf`, a `Board`, on a loop whose time the world moves. Only the hands are made here, which probe and count as
// `Scheduler` and `Door` do, and the wire, which is a network that breaks.

import EventLoop
import Fleet
import Health
import Store
import Vocabulary

final class SimulatedAgent {
    struct Pair {
        var counter: HealthCounter
        var since: WallTime
        var checkedAt: WallTime
        var expiresAt: WallTime
        var foundAt = WallTime(milliseconds: 0)
        var isFound = true
        var isOthers = false
        var clockShift = Nanoseconds.zero
        var isProbed = false
        var stopAt: WallTime?
        /// Grows when what is planned for it is void.
        var generation: UInt32 = 0
        var isPlanned = false
        var epoch: UInt64 = 0
        /// The slot that was begun last, and the one that it waits for.
        var slot = WallTime(milliseconds: 0)
        var next: WallTime?
        /// Not yet probed by this agent since it was granted.
        var isFresh = false
        /// A failure waits for the word of others.
        var isHeld = false
        /// It looks at it beside its holder, so long after each slot.
        var offset: Nanoseconds?
        /// Grows when the next look is void.
        var looks: UInt32 = 0
    }

    let number: Int
    let id: String
    unowned let world: World
    /// It probes nothing: a proxy that reads what others find.
    let isReader: Bool

    let loop: EventLoop
    private(set) var desk: FleetDesk
    private(set) var board: Board
    private var book: FencedBook<Verdict>
    private var lookout: Lookout
    private var clockWatch = ClockWatch()
    private(set) var pairs: [Pair] = []
    private var numbers: [PairNumber?] = []
    /// When it last read a later word of each target, and whose that was.
    private(set) var readAt: [Int64] = []
    private var downAt: [Int64?] = []
    private var lastRead: [(epoch: UInt64, agent: String)?] = []
    private var sequence: UInt64 = 0
    private var began: WallTime
    private var doubtedSince: Int64?

    private(set) var isPaused = false
    /// When it stood still last for longer than a lease, and when it ran again.
    private var pausedAt: Instant?
    private var stoodUntil: Instant?
    private(set) var isAlive = false
    /// Its life: what was meant for a former one finds nobody.
    private(set) var life: UInt32 = 0
    private var isRunning = false
    private var nextWake = Int64.max
    /// Its monotonic clock against the world's, in parts per million, and where it began.
    private let drift: Int64
    private let boot: Int64
    /// What its wall clock shows more than a good one.
    var wallOffset: Int64
    /// While it does not run, what comes to it waits.
    private var waiting: [World.Event] = []

    var reconcileAt: Int64 = 0
    /// Readings of everything that are left out: changes are told of.
    private var readingsLeft = 0
    /// What was read of each target last, and whose life vouched for it: only what differs is read again.
    private var scanned: [Word?] = []
    private var marksRead: [String: [StoreModel.Mark]] = [:]
    private var areMarksDue = true
    private var lastBeat = LastBeat()
    /// Until when it could not hear the store.
    private(set) var unheardAt: Int64 = 0
    /// When it last could ask nobody about what it found.
    private(set) var awayAt: Int64 = 0
    private var renewals = 0
    /// What it knew of the store when it last read everything.
    private var storeID: UInt32 = 0
    private var revision: UInt64 = 0

    // The connection to the store.
    private(set) var connection: UInt32 = 0
    private(set) var isConnected = false
    var lastSent: Int64 = 0
    var lastReceived: Int64 = 0
    private var calls: CallNumber = 0
    private var outstanding: [(number: CallNumber, call: FleetCall, done: (WireAnswer) -> Void)] =
        []

    /// What lies in the store of one target.
    struct Word: Hashable {
        var verdict: Verdict
        /// The life that vouches for it; zero where none does.
        var instance: UInt64
    }

    init(
        _ number: Int,
        id: String,
        in world: World,
        seed: UInt64,
        isReader: Bool
    ) throws(SystemError) {
        var dice = Dice(seed: seed)
        self.number = number
        self.isReader = isReader
        self.id = id
        self.world = world
        drift = Int64.random(in: -200...200, using: &dice)
        boot = Int64.random(in: 0...1_000_000, using: &dice) * 1_000_000
        wallOffset = Int64.random(in: -300...300, using: &dice)
        let start = Moment(
            instant: Instant(nanoseconds: boot + world.now * 1_000_000),
            wall: WallTime(milliseconds: world.epochStart + world.now + wallOffset)
        )
        loop = try EventLoop.standing(id, at: start, seed: dice.next())
        (desk, board) = Self.parts(id, in: world, on: loop, isReader: isReader)
        lookout = Lookout(of: world.indices, count: world.plans.count)
        book = FencedBook(of: id, on: Shelf())
        began = start.wall
    }

    private static func parts(
        _ id: String,
        in world: World,
        on loop: EventLoop,
        isReader: Bool
    ) -> (FleetDesk, Board) {
        var setting = FleetDesk.Setting(agent: id)
        setting.weight = isReader ? 0 : 1
        setting.terms = world.terms
        setting.massChange = MassChange.Rule(action: world.setting.massAction)
        return (
            FleetDesk(setting, on: loop, journal: world.journal(of: id)),
            Board(loop: loop)
        )
    }

    // MARK: Time

    private var moment: Moment {
        let time = world.now * 1_000_000
        return Moment(
            instant: Instant(nanoseconds: boot + time + time / 1_000_000 * drift),
            wall: WallTime(milliseconds: world.epochStart + world.now + wallOffset)
        )
    }

    /// When the world's clock shows that this agent's shows `instant`; rounded up.
    private func world(of instant: Instant) -> Int64 {
        let ahead = (instant - loop.instant).count
        if ahead <= 0 { return world.now }
        return world.now + (ahead - ahead / 1_000_000 * drift + 999_999) / 1_000_000
    }

    /// It runs at this moment, and sleeps until its next timer.
    func run(_ body: () -> Void) {
        if isRunning { return body() }
        isRunning = true
        loop.stand(at: moment)
        body()
        isRunning = false
        if isAlive, desk.hasLeft {
            world.note(nil) { "\(self.id) has stopped" }
            end()
        }
        if isAlive { sleep() }
    }

    private func sleep() {
        guard let next = loop.nextTimer else { return }
        let time = max(world(of: next), world.now + 1)
        if time < nextWake {
            nextWake = time
            world.add(.wake(agent: number, life: life, at: time), at: time)
        }
    }

    /// Its timer is due.
    func wake(at time: Int64) {
        if time != nextWake { return }
        nextWake = .max
        run { loop.fire() }
    }

    // MARK: Life

    func begin() {
        life += 1
        isAlive = true
        isPaused = false
        world.checks.promises.begins(number)
        waiting = []
        (pausedAt, stoodUntil, doubtedSince) = (nil, nil, nil)
        nextWake = .max
        reconcileAt = 0
        storeID = 0
        revision = 0
        sequence = 0
        loop.stand(at: moment)
        began = loop.wall
        let knewOthers =
            world.setting.keepsFiles
            && world.plans.indices.contains { index in
                verdict(of: index).map { $0.agent != id } ?? false
            }
        (desk, board) = Self.parts(id, in: world, on: loop, isReader: isReader)
        book = FencedBook(of: id, on: Shelf())
        book.share()
        forgetWhatWasRead()
        marksRead = [:]
        lastBeat = LastBeat()
        unheardAt = world.now
        renewals = 0
        clockWatch = ClockWatch()
        lookout = Lookout(of: world.indices, count: world.plans.count)
        board.define([world.upstream], monitors: [world.monitor])
        board.subscribe(lookout)
        lookout.look(at: board, world.plans)
        let now = loop.wall
        readAt = world.plans.map { _ in world.now }
        lastRead = world.plans.map { _ in nil }
        numbers = world.plans.map { _ in nil }
        downAt = world.plans.map { _ in nil }
        pairs = world.plans.map { _ in
            Pair(
                counter: HealthCounter(thresholds: world.setting.thresholds),
                since: now,
                checkedAt: now,
                expiresAt: now
            )
        }
        run {
            desk.hands = self
            for (index, plan) in world.plans.enumerated() where !world.isHidden(index, from: number)
            {
                numbers[index] = desk.define(plan)
            }
            if knewOthers { desk.expectOthers() }
            desk.start(on: self)
        }
        world.add(.connect(agent: number, life: life), after: 1)
        world.add(.reconcile(agent: number, life: life), after: 20)
        world.add(.renew(agent: number, life: life), after: Self.renewEvery)
    }

    /// Dead, and nothing is told to anybody.
    func end() {
        isAlive = false
        life += 1
        cutConnection()
        outstanding = []
        desk.hands = nil
        desk.close()
        board.close()
        for index in pairs.indices {
            setProbed(index, false)
            pairs[index].offset = nil
        }
    }

    func leave() { run { desk.beginToLeave() } }

    func pause() {
        isPaused = true
        pausedAt = moment.instant
    }

    /// Takes what was meant for it while it did not run.
    func resume() {
        isPaused = false
        let pause = pausedAt.map { moment.instant - $0 } ?? .zero
        let isNewcomer = pause > world.terms.lease
        if isNewcomer { stoodUntil = moment.instant }
        let events = waiting
        waiting = []
        for event in events { world.happen(event) }
        if isAlive { run { loop.fire() } }
        if isAlive, isNewcomer { world.checks.hasStoodStill(self, for: pause, at: world.now) }
    }

    func wait(_ event: World.Event) { waiting.append(event) }

    // MARK: What is defined

    func define(_ index: Int) {
        run {
            let pair = desk.define(world.plans[index])
            numbers[index] = pair
            if desk.holds(pair) { setProbed(index, true) }
        }
    }

    func forget(_ index: Int) {
        run {
            letGo(index)
            pairs[index].offset = nil
            scheduleLook(index)
            _ = desk.remove(world.plans[index].key)
            numbers[index] = nil
        }
    }

    // MARK: What it believes

    /// What a person, and its proxy, see of a target.
    func status(of index: Int) -> PeerStatus { lookout.statuses[index] }

    func verdict(of index: Int) -> Verdict? { board.verdict(of: world.plans[index].key) }

    /// The last word of another that was news to it.
    func lastRead(of index: Int) -> (epoch: UInt64, agent: String)? { lastRead[index] }

    /// For how long it has not believed its own failures; nil where it does.
    var doubtsFor: Int64? {
        guard hasDoubts, let doubtedSince else { return nil }
        // It may have stopped to for a moment, between two looks.
        let told = desk.member.doubt.since.map { (loop.instant - $0).milliseconds }
        return min(world.now - doubtedSince, told ?? .max)
    }

    /// Keeps since when it has a reason to doubt itself, whatever it makes of that.
    func noteDoubt() {
        doubtedSince = hasDoubts ? doubtedSince ?? world.now : nil
        if desk.asksNobody { awayAt = world.now }
    }

    /// The store alone is no reason, nor is what others cannot be asked about.
    private var hasDoubts: Bool {
        desk.reasons.contains {
            switch $0 {
            case .store: false
            case .massFailure: !desk.isAway
            case .loopLag, .network: true
            }
        }
    }

    /// When it found a target down itself.
    func foundDown(_ index: Int) -> Int64? { downAt[index] }

    func holds(_ index: Int) -> Bool { pairs[index].isProbed }

    /// It looks at it beside its holder.
    func observes(_ index: Int) -> Bool { pairs[index].offset != nil && !pairs[index].isProbed }

    /// Under which epoch it takes itself for the holder.
    func heldEpoch(of index: Int) -> UInt64? {
        guard let pair = numbers[index],
            case .held(let epoch, _) = desk.hold(of: pair)
        else { return nil }
        return epoch
    }

    /// Whether what was told of changes is what one finds who looks.
    func isToldAll() -> Bool {
        world.plans.indices.allSatisfy {
            board.view(of: world.plans[$0].key.peerKey)?.status == lookout.statuses[$0]
        }
    }

    // MARK: Probing

    /// By how much the store's clock is ahead. Before the first answer it asks the store.
    private var clockAhead: Nanoseconds {
        desk.clockAhead
            ?? FleetTimes.coarse(WallTime(milliseconds: world.store.time) - loop.wall)
    }

    private var storeTime: WallTime { desk.time(at: loop.instant) }

    /// As `Share` has it: one that lies ahead is of a clock that was set back.
    private func lastSlot(of index: Int) -> WallTime {
        let (slot, time) = (pairs[index].slot, storeTime)
        return slot - time > StoreClock.stepFrom ? time : slot
    }

    private func setProbed(_ index: Int, _ isProbed: Bool) {
        if pairs[index].isProbed == isProbed { return }
        pairs[index].isProbed = isProbed
        world.checks.probed(index, by: number, isProbed, at: world.now)
    }

    private func letGo(_ index: Int) {
        pairs[index].generation += 1
        pairs[index].isPlanned = false
        pairs[index].isFresh = false
        pairs[index].isHeld = false
        pairs[index].next = nil
        pairs[index].stopAt = nil
        setProbed(index, false)
        scheduleLook(index)
    }

    private func schedule(_ index: Int, at slot: WallTime) {
        if let stopAt = pairs[index].stopAt, slot >= stopAt { return letGo(index) }
        pairs[index].next = slot
        pairs[index].isPlanned = true
        let at = world(of: desk.instant(of: slot, from: loop.instant))
        world.add(
            .slot(agent: number, life: life, index: index, pairs[index].generation, slot),
            at: at
        )
    }

    func slot(_ index: Int, generation: UInt32, at slot: WallTime) {
        run {
            guard pairs[index].generation == generation, pairs[index].isProbed else { return }
            desk.wakeUp(at: loop.instant)
            guard pairs[index].generation == generation, pairs[index].isProbed else { return }
            if let stopAt = pairs[index].stopAt, slot >= stopAt { return letGo(index) }
            // What the holder before found last counts too.
            if pairs[index].isFresh { goOn(index, from: nil) }
            pairs[index].slot = max(lastSlot(of: index), min(slot, storeTime + .seconds(1)))
            pairs[index].next = nil
            world.probe(index, by: self, generation: generation)
        }
    }

    /// The next time that it looks at a target of another.
    private func scheduleLook(_ index: Int) {
        pairs[index].looks += 1
        guard let offset = pairs[index].offset, !pairs[index].isProbed else { return }
        let plan = world.plans[index]
        let slot = plan.beat.next(after: storeTime, every: plan.schedule.interval, offset: offset)
        let at = world(of: desk.instant(of: slot, from: loop.instant))
        let look = World.Event.look(
            agent: number,
            life: life,
            index: index,
            pairs[index].looks
        )
        world.add(look, at: max(at, world.now + 1))
    }

    func look(_ index: Int, looks: UInt32) {
        run {
            guard pairs[index].looks == looks, observes(index) else { return }
            desk.wakeUp(at: loop.instant)
            guard pairs[index].looks == looks, observes(index) else { return }
            world.probe(index, by: self, generation: World.asked)
            scheduleLook(index)
        }
    }

    func ended(_ index: Int, _ found: Found, begun: Instant, generation: UInt32) {
        run {
            guard let pair = numbers[index] else { return }
            let found = punctual(found, index, begun: begun)
            let isSlot = generation != World.asked
            if isSlot, pairs[index].generation != generation { return }
            guard pairs[index].isProbed else {
                if isSlot { return }
                if pairs[index].offset != nil {
                    let published = verdict(of: index)?.status
                    desk.observed(
                        found,
                        of: pair,
                        published: published,
                        begun: begun,
                        at: loop.instant
                    )
                } else {
                    desk.found(found, of: pair, begun: begun, at: loop.instant)
                }
                return
            }
            let ruling = desk.outcome(
                found,
                of: pair,
                counter: pairs[index].counter,
                begun: begun,
                at: loop.instant
            )
            if let ruling, pairs[index].isProbed {
                if ruling == .count, let stoodUntil, begun < stoodUntil {
                    world.checks.countedThePast(index, by: self, at: world.now)
                }
                pairs[index].isHeld = ruling == .hold
                pass(found, index, ruling, isTold: pairs[index].isFresh)
                pairs[index].isFresh = false
            }
            guard isSlot, pairs[index].isProbed, pairs[index].generation == generation else {
                return
            }
            let plan = world.plans[index]
            let time = storeTime
            let next = plan.schedule.next(
                // After the slot, not after the time at which it was begun: while the clock is slewed back
                // that is a little earlier, and the same slot would come again.
                after: max(time + -(loop.instant - begun), lastSlot(of: index)),
                now: max(time, lastSlot(of: index)),
                counter: pairs[index].counter,
                beat: plan.beat
            )
            schedule(index, at: next)
        }
    }

    /// As `Punctuality` has it: silence that is noticed long after its time is this agent's own.
    private func punctual(_ found: Found, _ index: Int, begun: Instant) -> Found {
        guard case .fails(silent: true, _) = found else { return found }
        let timeout = world.plans[index].schedule.timeout
        let isLate = loop.instant - begun > timeout + Nanoseconds(timeout.count / 10)
        return isLate ? .nothing : found
    }

    /// As `Door` and `Opinion` do: count, put it on the board, publish.
    private func pass(_ found: Found, _ index: Int, _ ruling: Ruling, isTold: Bool) {
        let key = world.plans[index].key
        let wall = loop.wall
        board.note(loop.moment)
        if pairs[index].clockShift != board.clockShift {
            let step = board.clockShift - pairs[index].clockShift
            pairs[index].since = pairs[index].since + step
            pairs[index].expiresAt = pairs[index].expiresAt + step
            pairs[index].foundAt = pairs[index].foundAt + step
            pairs[index].clockShift = board.clockShift
        }
        let held = board.verdict(of: key)
        pairs[index].checkedAt = wall
        var isTransition = false
        let schedule = world.plans[index].schedule
        // As `Opinion` has it: a failure makes no new word of one that is over.
        let isOver = pairs[index].counter.status == .up && pairs[index].expiresAt < wall
        func holds() {
            pairs[index].expiresAt = wall + schedule.validity(for: pairs[index].counter)
            pairs[index].foundAt = wall
            (pairs[index].isFound, pairs[index].isOthers) = (true, false)
        }
        switch (found, ruling) {
        case (.passes, .count), (.fails, .count):
            var isImmediate = false
            if case .fails(_, let immediate) = found { isImmediate = immediate }
            let change = pairs[index].counter.observe(
                passed: found == .passes,
                isImmediate: isImmediate
            )
            if let change {
                isTransition = true
                downAt[index] = change.to == .down ? world.now : nil
                // What waited for the votes of others was found before.
                if change.to == .down, !pairs[index].isHeld {
                    world.checks.foundDown(index, by: self, in: world)
                }
                pairs[index].since = wall
                world.note(index) {
                    "\(self.id) finds \(key.peer) \(change.to.rawValue)"
                }
            }
            if !isOver || found == .passes || pairs[index].counter.status != .up { holds() }
        case (_, .hold): if !isOver { holds() }
        case (.nothing, .count):
            pairs[index].isFound = false
            if pairs[index].counter.status == .unknown { holds() }
        case (_, .ignore), (.unsent, .count):
            if pairs[index].isOthers { pairs[index].isFound = false }
        }
        sequence += 1
        var verdict = Verdict(
            key: key,
            kind: world.monitor.kind,
            status: pairs[index].counter.status,
            health: pairs[index].counter.health,
            rise: pairs[index].counter.thresholds.rise,
            fall: pairs[index].counter.thresholds.fall,
            reason: .layer7OK,
            latency: .zero,
            since: pairs[index].since,
            checkedAt: pairs[index].isFound ? wall : pairs[index].foundAt,
            isFound: pairs[index].isFound,
            expiresAt: pairs[index].expiresAt,
            agent: id,
            epoch: pairs[index].epoch,
            sequence: sequence
        )
        if let held, held.isNewer(than: verdict) {
            (verdict.epoch, verdict.sequence) = (held.epoch, held.sequence)
        }
        watched(index) { board.apply(verdict) }
        publish(verdict, isTransition: isTransition || held == nil || isTold)
    }

    private func publish(_ verdict: Verdict, isTransition: Bool) {
        followClock()
        let said = book.say(
            verdict,
            isTransition: isTransition,
            now: loop.wall,
            vouches: desk.vouches
        )
        if said != .refused { handOver() }
    }

    private func followClock() {
        if let step = clockWatch.step(at: loop.moment) { book.shift(by: step) }
    }

    private func handOver() {
        for (key, isUrgent) in book.outbox.drain().sorted(by: { $0.key.peer < $1.key.peer }) {
            desk.say(key, isUrgent: isUrgent)
        }
    }

    /// The pair is this agent's now: as `Door.resume` does.
    private func goOn(_ index: Int, from verdict: Verdict?) {
        downAt[index] = nil
        if let verdict { watched(index) { board.storeChanged(verdict) } }
        board.note(loop.moment)
        guard let held = board.verdict(of: world.plans[index].key) else { return }
        pairs[index].counter = HealthCounter(
            thresholds: world.setting.thresholds,
            resuming: held.status,
            health: held.health
        )
        pairs[index].since = held.since
        pairs[index].checkedAt = held.checkedAt
        pairs[index].expiresAt = held.expiresAt
        pairs[index].foundAt = held.checkedAt
        (pairs[index].isFound, pairs[index].isOthers) = (held.isFound, held.status != .unknown)
        pairs[index].clockShift = board.clockShift
    }

    /// Whatever is done to the board is looked at.
    private func watched(_ index: Int, _ body: () -> Void) {
        let before = verdict(of: index)
        body()
        guard let after = verdict(of: index) else { return }
        world.checks.shown(index, to: self, after, before: before, at: world.now)
    }

    // MARK: The connection

    /// There is a way to the store again.
    func connect(to storeID: UInt32) {
        isConnected = true
        connection += 1
        forgetWhatWasRead()
        areMarksDue = true
        run { desk.connected() }
    }

    private func cutConnection() {
        isConnected = false
        connection += 1
    }

    /// The connection is over: nobody will hear of what was called on it.
    func disconnected() {
        guard isConnected else { return }
        cutConnection()
        let lost = outstanding
        outstanding = []
        world.add(.connect(agent: number, life: life), after: 50 + world.chance(0...200))
        run { for call in lost { call.done(.lost) } }
    }

    func received(_ number: CallNumber, _ reply: FleetReply) {
        guard let place = outstanding.firstIndex(where: { $0.number == number }) else { return }
        let call = outstanding.remove(at: place)
        world.checks.told(self, call.call, reply)
        run { call.done(.reply(reply.shifted(by: -clockAhead))) }
    }

    func notWritten(_ number: CallNumber, because refusal: String?) {
        guard let place = outstanding.firstIndex(where: { $0.number == number }) else { return }
        let call = outstanding.remove(at: place)
        run { call.done(refusal.map { .refused($0) } ?? .unwritten) }
    }

    func isWaiting(for call: CallNumber) -> Bool { outstanding.contains { $0.number == call } }

    // MARK: Reading

    func heard(_ hint: FleetHint) { run { desk.heard(hint) } }

    func read(_ word: Word, _ index: Int) { run { take(word, index) } }

    /// As the side of verdicts does.
    private func take(_ word: Word, _ index: Int) {
        followClock()
        scanned[index] = word
        let key = word.verdict.key
        world.checks.told(self, of: key, word.verdict.epoch, by: word.verdict.agent)
        var verdict = word.verdict
        verdict.shift(by: -clockAhead)
        desk.heard(verdict, vouchedBy: word.instance)
        let heard: Outbox<Verdict>.Heard
        (heard, verdict) = book.hear(
            verdict,
            vouchedBy: word.instance,
            isTwin: desk.isTaken,
            isHearing: isHearing,
            now: loop.wall,
            mark: { self.mark(of: $0, instance: $1) }
        )
        if book.outbox.holds(key), !book.outbox.isOwn(verdict), !desk.isTaken {
            // What is said here was written over.
            desk.say(key, isUrgent: false)
        }
        guard heard == .news || heard == .aside else { return }
        if let last = lastRead[index], last.epoch == verdict.epoch, last.agent != verdict.agent {
            world.checks.sawTwo(index, self, last.agent, verdict.agent, at: world.now)
        }
        lastRead[index] = (verdict.epoch, verdict.agent)
        readAt[index] = world.now
        watched(index) { board.storeChanged(verdict) }
    }

    /// Everything is read that is not as it was read last.
    func reconcile(_ store: StoreModel, id: UInt32) {
        run {
            let wasEmptied = storeID != 0 && (id != storeID || store.revision < revision)
            (storeID, revision) = (id, store.revision)
            if areMarksDue || !desk.isHearing {
                marksRead = store.marks
                lastBeat.read(
                    "\(store.lastBeat)",
                    at: WallTime(milliseconds: store.time),
                    within: world.terms.resumeAfter,
                    on: loop.instant
                )
            }
            areMarksDue = false
            if wasEmptied { forgetWhatWasRead() }
            if readingsLeft > 0 {
                readingsLeft -= 1
                return
            }
            readingsLeft = 2
            for (index, plan) in world.plans.enumerated() {
                if let word = store.word(of: plan.key) {
                    if scanned[index] != word { take(word, index) }
                } else if book.outbox.holds(plan.key), !desk.isTaken {
                    // What is said here was taken away there.
                    desk.say(plan.key, isUrgent: false)
                }
            }
            if wasEmptied {
                book.outbox.restate()
                handOver()
            }
        }
    }

    private func forgetWhatWasRead() {
        scanned = world.plans.map { _ in nil }
        readingsLeft = 0
        book.forgetAside()
    }

    // MARK: What others vouch for

    private static let renewEvery = Int64(500)

    private func mark(of agent: String, instance: UInt64) -> WallTime? {
        let read = marksRead[agent]?.first { $0.instance == instance }
            .map { min(WallTime(milliseconds: $0.mark) + -clockAhead, loop.wall) }
        return [desk.mark(of: agent, instance: instance), read].compactMap(\.self).max()
    }

    private var isHearing: Bool {
        isConnected && !desk.awaitsAnswer
            && (desk.unwritableSince.map { lastBeat.hasMoved(since: $0) } ?? true)
    }

    /// Words of others hold for as long as somebody vouches for them, and what is vouched for here and not found any
    /// more has to be said.
    func renew() {
        world.add(.renew(agent: number, life: life), after: Self.renewEvery)
        run {
            followClock()
            if !isHearing { unheardAt = world.now }
            let later = book.renewals(
                isHearing: isHearing,
                every: .milliseconds(Self.renewEvery),
                at: loop.moment,
                mark: { self.mark(of: $0, instance: $1) }
            )
            for verdict in later {
                guard let index = world.indices[verdict.key] else { continue }
                watched(index) {
                    board.storeRenewed(verdict, isSaidHere: book.outbox.holds(verdict.key))
                }
            }
            renewals += 1
            if renewals.isMultiple(of: 4) {
                let lapsed = book.outbox.lapsed(at: loop.wall)
                for key in lapsed.sorted(by: { $0.peer < $1.peer }) {
                    desk.say(key, isUrgent: false)
                }
            }
        }
    }
}

// MARK: What the desk asks for

extension SimulatedAgent: FleetHands {
    func begin(_ key: VerdictKey, from: WallTime, epoch: UInt64, resuming verdict: Verdict?) {
        guard let index = world.indices[key] else { return }
        pairs[index].epoch = max(epoch, pairs[index].epoch)
        pairs[index].stopAt = nil
        if pairs[index].isProbed, pairs[index].isPlanned { return }
        let isNew = !pairs[index].isProbed
        pairs[index].isFresh = true
        setProbed(index, true)
        if isNew { goOn(index, from: verdict) }
        let plan = world.plans[index]
        let time = storeTime
        pairs[index].generation += 1
        if from > time + .milliseconds(100) {
            let slot = plan.beat.next(
                after: from + .milliseconds(-1),
                every: plan.schedule.interval
            )
            return schedule(index, at: slot)
        }
        let interval = plan.schedule.interval
        let pair = pairs[index]
        let isMissed = plan.beat.next(after: from + .milliseconds(-1), every: interval) <= time
        let isOverdue =
            isMissed || pair.counter.status == .unknown || pair.counter.isInTransition
            || pair.checkedAt + interval <= loop.wall || pair.checkedAt > loop.wall + interval
        if isOverdue || desk.isAway {
            schedule(index, at: time)
        } else {
            schedule(index, at: plan.beat.next(after: time, every: interval))
        }
    }

    func stop(_ key: VerdictKey, at time: WallTime) {
        guard let index = world.indices[key], pairs[index].isProbed else { return }
        if time <= storeTime { return letGo(index) }
        pairs[index].stopAt = time
        if let next = pairs[index].next, next >= time { letGo(index) }
    }

    func observe(_ key: VerdictKey, after offset: Nanoseconds?) {
        guard let index = world.indices[key] else { return }
        pairs[index].offset = offset
        scheduleLook(index)
    }

    func look(_ key: VerdictKey) {
        guard let index = world.indices[key] else { return }
        world.probe(index, by: self, generation: World.asked)
    }

    func fall(_ key: VerdictKey) {
        guard let index = world.indices[key], pairs[index].isHeld, pairs[index].isProbed,
            pairs[index].counter.status != .down
        else { return }
        pairs[index].isHeld = false
        pass(.fails(silent: false, immediate: false), index, .count, isTold: false)
    }

    func signed(_ sign: FleetSign) {}
    func lag(at now: Instant) -> Nanoseconds { .zero }
    func lateness(at now: Instant) -> Nanoseconds { .zero }

    func orphans(at now: Moment) -> [VerdictKey] {
        world.plans.indices.compactMap { index in
            if pairs[index].isProbed || world.isHidden(index, from: number) { return nil }
            let plan = world.plans[index]
            let grace = Nanoseconds.seconds(10)
            let life = plan.schedule.validityMax + grace
            let verdict = board.verdict(of: plan.key)
            if let verdict, !verdict.isFound, desk.memberNames.contains(verdict.agent) {
                return nil
            }
            let over =
                verdict
                .map { max($0.expiresAt + grace, $0.checkedAt + life) } ?? (began + life)
            return over < now.wall ? plan.key : nil
        }
    }
}

extension SimulatedAgent: FleetWire {
    func post(
        _ signature: Signature,
        _ call: FleetCall,
        _ done: @escaping (WireAnswer) -> Void
    ) {
        guard isConnected else { return done(.lost) }
        calls += 1
        outstanding.append((calls, call, done))
        world.send(calls, signature, call.shifted(by: clockAhead), from: self)
    }

    func newest(_ key: VerdictKey) -> (record: Verdict, isCurrent: Bool)? {
        book.outbox.newest(key, at: loop.wall)
    }
    func sent(_ verdict: Verdict) { book.outbox.sent(verdict) }
    func wrote(_ verdict: Verdict, isVouched: Bool) {
        book.wrote(verdict, isVouched: isVouched)
    }
    func noteRefused(_ key: VerdictKey) {}
    func letGo(_ key: VerdictKey) { book.outbox.letGo(key) }
    func giveUp(_ key: VerdictKey) {
        let verdict = book.giveUp(key, mark: { self.mark(of: $0, instance: $1) })
        guard let verdict, let index = world.indices[key] else { return }
        watched(index) { board.storeChanged(verdict) }
    }
    func announce(_ sign: FleetSign, by instance: String) {}
    func standingChanged() {
        guard desk.isTaken else { return }
        book.outbox.letGoOfAll()
        forgetWhatWasRead()
    }
}

/// What a proxy is told: each change of a peer, and nothing else.
final class Lookout: BoardObserver {
    private let indices: [PeerKey: Int]
    private(set) var statuses: [PeerStatus]

    init(of indices: [VerdictKey: Int], count: Int) {
        self.indices = Dictionary(
            indices.map { ($0.key.peerKey, $0.value) },
            uniquingKeysWith: { one, _ in one }
        )
        statuses = Array(repeating: .unknown, count: count)
    }

    func look(at board: Board, _ plans: [PairPlan]) {
        for (index, plan) in plans.enumerated() {
            statuses[index] = board.view(of: plan.key.peerKey)?.status ?? .unknown
        }
    }

    func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change) {
        if let index = indices[key] { statuses[index] = change.to.status }
    }
}
