// What does a whole fleet do, in virtual time, when everything goes wrong? Agents, a store, targets and readers on
// one line of time, driven by one seed. Networks lose, delay and part; the store fails over; processes die, stop
// and come back. `Checks` looks on.

import EventLoop
import Fleet
import Health
import Store
import Vocabulary

/// The size and the rules of a world.
public struct WorldSetting: Hashable, Sendable {
    public var agents: Int
    /// Of those so many, the last, only read: proxies without probes of their own.
    public var readers = 0
    public var targets: Int
    public var length: Int64
    /// All faults are over by then; what is left is for coming to rest.
    public var faultsUntil: Int64
    public var confirm = ConfirmRule(agents: 2)
    /// How many agents look at each target.
    public var observers = 1
    /// Short enough to be over before the end.
    public var abstention = Nanoseconds.seconds(6)
    public var massAction = MassChange.Action.hold
    public var thresholds = Thresholds(rise: 2, fall: 3)
    public var interval = Nanoseconds.seconds(1)
    /// Of the targets in turn, where they are not all probed alike.
    public var intervals: [Nanoseconds] = []
    /// Of these a timeout says nothing: an agent that is asked beside other checks, say.
    public var neutralInSilence: Set<Int> = []
    /// Whoever is started again knows by its state file whether others took part.
    public var keepsFiles = false
    public var timeout = Nanoseconds.milliseconds(400)

    public init(agents: Int, targets: Int, minutes: Int = 5) {
        self.agents = agents
        self.targets = targets
        length = Int64(minutes) * 60_000
        faultsUntil = length - 45_000
    }

    func interval(of target: Int) -> Nanoseconds {
        intervals.isEmpty ? interval : intervals[target % intervals.count]
    }

    var longestInterval: Nanoseconds { intervals.max() ?? interval }
}

final class World {
    enum Event {
        case wake(agent: Int, life: UInt32, at: Int64)
        case slot(agent: Int, life: UInt32, index: Int, UInt32, WallTime)
        /// An agent looks at what another holds.
        case look(agent: Int, life: UInt32, index: Int, UInt32)
        case probed(
            agent: Int,
            life: UInt32,
            index: Int,
            Found,
            begun: Instant,
            UInt32
        )
        // Apart from the rest: they are large.
        indirect case arrive(Envelope)
        indirect case reply(agent: Int, life: UInt32, connection: UInt32, CallNumber, FleetReply)
        /// The store takes no writes, and says so.
        case unwritten(
            agent: Int,
            life: UInt32,
            connection: UInt32,
            CallNumber,
            refusal: String?
        )
        case timeout(agent: Int, life: UInt32, connection: UInt32)
        case connect(agent: Int, life: UInt32)
        /// A call that was not answered within a second is the end of its connection.
        case overdue(agent: Int, life: UInt32, connection: UInt32, CallNumber)
        indirect case letter(agent: Int, FleetHint, era: UInt32, tries: Int)
        case read(agent: Int, life: UInt32, index: Int)
        case reconcile(agent: Int, life: UInt32)
        case renew(agent: Int, life: UInt32)
        case reload(agent: Int, life: UInt32, target: Int)
        case fault(Int)
        case heal(Int)
        case snapshot
    }

    /// A call on its way.
    struct Envelope {
        var agent: Int
        var life: UInt32
        var connection: UInt32
        var number: CallNumber
        var signature: Signature
        var call: FleetCall
    }

    let setting: WorldSetting
    let terms: FleetTerms
    let plans: [PairPlan]
    let indices: [VerdictKey: Int]
    /// As boards have them.
    let upstream: UpstreamDefinition
    let monitor: MonitorSummary
    let faults: [Fault]
    /// Whether people want to read what happened.
    let isTold: Bool
    private(set) var story: [Line] = []

    /// What happened, and to which target, if to one.
    struct Line: Hashable {
        var target: Int?
        var text: String
    }

    /// Milliseconds since the start.
    private(set) var now: Int64 = 0
    /// What a good clock would have shown at the start.
    let epochStart: Int64 = 1_800_000_000_000
    private var timeline = Timeline<Event>()
    private var dice: Dice
    private(set) var agents: [SimulatedAgent] = []
    var store: StoreModel
    var checks: Checks

    // What is broken now: counts, because faults overlap.
    private var cutFromStore: [Int]
    private var cutFromTargets: [Int]
    private var brokenSockets: [Int]
    private var cuts: [Cut: Int] = [:]
    private var refusing: [Int]
    private var silent: [Int]
    private var flaky: [Int]
    private(set) var mute: [Int]
    private var hidden: [Cut: Int] = [:]
    private var slowReading: [Int]
    private var slowCalls: [Int]
    private var stalls = 0
    private var refuses = 0
    private var forbids = 0
    private var gone = 0
    private var loss = 0
    private var stalled: [Envelope] = []
    private var storeOffset: Int64 = 0
    private var storeLife: UInt32 = 1
    /// Its name; an empty one has another.
    private var storeID: UInt32 = 1
    private var replicas: [(at: Int64, replica: StoreModel.Replica)] = []
    private let seed: UInt64
    /// The processes of faults that are one.
    private var twins: [Int: Int] = [:]
    /// A probe that another agent asked for, and not one of the schedule.
    static let asked = UInt32.max

    private struct Cut: Hashable {
        var agent: Int
        var target: Int
    }

    init(
        _ setting: WorldSetting,
        seed: UInt64,
        faults: [Fault],
        isTold: Bool = false
    ) {
        self.setting = setting
        var terms = FleetTerms()
        terms.abstention = setting.abstention
        self.terms = terms
        self.faults = faults
        self.isTold = isTold
        self.seed = seed
        dice = Dice(seed: seed)
        func schedule(_ interval: Nanoseconds) -> Schedule {
            Schedule(
                interval: interval,
                fastInterval: Nanoseconds(interval.count / 2),
                timeout: setting.timeout
            )
        }
        plans = (0..<setting.targets).map { index in
            PairPlan(
                key: VerdictKey(upstream: "web", peer: "p\(index)", monitor: "http"),
                schedule: schedule(setting.interval(of: index)),
                confirm: setting.confirm,
                observers: setting.observers,
                host: UInt64(index / 2)
            )
        }
        indices = Dictionary(
            plans.enumerated().map { ($0.element.key, $0.offset) },
            uniquingKeysWith: { one, _ in one }
        )
        upstream = UpstreamDefinition(
            name: "web",
            peers: (0..<setting.targets).map { index in
                PeerDefinition(
                    id: "p\(index)",
                    address: .host("10.0.0.\(index / 2)", port: UInt16(80 + index % 2))
                )
            }
        )
        monitor = MonitorSummary(
            upstream: "web",
            id: "http",
            kind: "http",
            isRequired: true,
            rise: setting.thresholds.rise,
            fall: setting.thresholds.fall,
            interval: setting.interval,
            // As the monitor of that schedule says.
            lifeMax: schedule(setting.longestInterval).validityMax * 2 + .seconds(20)
        )
        store = StoreModel(terms: terms, clock: 1_800_000_000_000, replid: 1)
        checks = Checks(setting, terms: terms)
        cutFromStore = Array(repeating: 0, count: setting.agents)
        cutFromTargets = Array(repeating: 0, count: setting.agents)
        brokenSockets = Array(repeating: 0, count: setting.agents)
        slowReading = Array(repeating: 0, count: setting.agents)
        slowCalls = Array(repeating: 0, count: setting.agents)
        refusing = Array(repeating: 0, count: setting.targets)
        silent = Array(repeating: 0, count: setting.targets)
        flaky = Array(repeating: 0, count: setting.targets)
        mute = Array(repeating: 0, count: setting.targets)
    }

    // MARK: Running

    func run() throws(SystemError) -> Violation? {
        for (index, fault) in faults.enumerated() {
            add(.fault(index), at: fault.at)
            if fault.length > 0 { add(.heal(index), at: fault.at + fault.length) }
        }
        add(.snapshot, after: 100)
        for number in 0..<setting.agents {
            try add("a\(number)", isReader: number >= setting.agents - setting.readers)
        }
        while let (at, event) = timeline.next(until: setting.length) {
            now = max(now, at)
            store.clock = epochStart + now + storeOffset
            if case .fault(let index) = event, case .twin(let agent) = faults[index].kind {
                note(nil) { "FAULT a second process has the id of a\(agent)" }
                try add(agents[agent].id, isReader: agents[agent].isReader)
                twins[index] = agents.count - 1
            } else {
                happen(event)
            }
            if let violation = checks.violation { return violation }
        }
        checks.finish(self)
        return checks.violation
    }

    /// One more process.
    private func add(_ id: String, isReader: Bool) throws(SystemError) {
        let number = agents.count
        if number == cutFromStore.count {
            cutFromStore.append(0)
            cutFromTargets.append(0)
            brokenSockets.append(0)
            slowReading.append(0)
            slowCalls.append(0)
            checks.addProcess(at: now)
        }
        // Whoever is left out of the world must not change the chances of the others.
        let seed = StableHash.mix(seed ^ UInt64(number + 1) &* 0x9E37_79B9_7F4A_7C15)
        agents.append(
            try SimulatedAgent(number, id: id, in: self, seed: seed, isReader: isReader)
        )
        agents[number].begin()
    }

    /// Boards and desks of a world end with it.
    func close() { for agent in agents where agent.isAlive { agent.end() } }

    func add(_ event: Event, at time: Int64) { timeline.add(event, at: time) }
    func add(_ event: Event, after span: Int64) { timeline.add(event, at: now + span) }

    func chance(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &dice) }

    func note(_ target: Int?, _ text: () -> String) {
        if isTold { story.append(Line(target: target, text: "\(Fault.clock(now)) \(text())")) }
    }

    /// What an agent tells people.
    func journal(of agent: String) -> Journal {
        if !isTold { return .silent }
        let world = Told(self)
        return Journal(from: .notice) { (line: Journal.Line) in world.note(agent, line.text) }
    }

    /// A world and all that lives in it stay on one thread.
    private final class Told: @unchecked Sendable {
        private weak var world: World?
        init(_ world: World) { self.world = world }

        func note(_ agent: String, _ text: String) {
            guard let world else { return }
            let target = world.plans.firstIndex { text.contains("\($0.key.peerKey) ") }
            world.note(target) { "\(agent) says: \(text)" }
        }
    }

    func isHidden(_ target: Int, from agent: Int) -> Bool {
        hidden[Cut(agent: agent, target: target), default: 0] > 0
    }

    /// The agent runs, by this life, and is not stopped: else the event waits or is void.
    private func agent(_ number: Int, _ life: UInt32, _ event: Event) -> SimulatedAgent? {
        let agent = agents[number]
        guard agent.isAlive, agent.life == life else { return nil }
        if agent.isPaused {
            agent.wait(event)
            return nil
        }
        return agent
    }

    func happen(_ event: Event) {
        switch event {
        case .wake(let number, let life, let at): agent(number, life, event)?.wake(at: at)
        case .slot(let number, let life, let index, let generation, let slot):
            agent(number, life, event)?.slot(index, generation: generation, at: slot)
        case .look(let number, let life, let index, let looks):
            agent(number, life, event)?.look(index, looks: looks)
        case .probed(let number, let life, let index, let found, let begun, let generation):
            agent(number, life, event)?.ended(index, found, begun: begun, generation: generation)
        case .arrive(let envelope): arrive(envelope)
        case .reply(let number, let life, let connection, let call, let reply):
            if let agent = agent(number, life, event), agent.connection == connection {
                agent.received(call, reply)
            }
        case .unwritten(let number, let life, let connection, let call, let refusal):
            if let agent = agent(number, life, event), agent.connection == connection {
                agent.notWritten(call, because: refusal)
            }
        case .timeout(let number, let life, let connection):
            if let agent = agent(number, life, event), agent.connection == connection {
                agent.disconnected()
            }
        case .overdue(let number, let life, let connection, let call):
            if let agent = agent(number, life, event), agent.connection == connection,
                agent.isWaiting(for: call)
            {
                agent.disconnected()
            }
        case .connect(let number, let life): connect(number, life, event)
        case .letter(let number, let hint, let era, let tries): deliver(number, hint, era, tries)
        case .read(let number, let life, _) where slowReading[number] > 0 || stalls > 0:
            // A stream loses nothing while its connection holds, be it that its store stands still.
            if agent(number, life, event) != nil { add(event, after: 50) }
        case .read(let number, let life, let index):
            if let agent = agent(number, life, event), canReach(number) {
                if let word = store.word(of: plans[index].key) { agent.read(word, index) }
            }
        case .reconcile(let number, let life): reconcile(number, life, event)
        case .renew(let number, let life): agent(number, life, event)?.renew()
        case .reload(let number, let life, let target):
            guard let agent = agent(number, life, event) else { return }
            if isHidden(target, from: number) { agent.forget(target) } else { agent.define(target) }
        case .fault(let index): strike(faults[index])
        case .heal(let index):
            if let twin = twins[index] {
                if agents[twin].isAlive { agents[twin].end() }
            } else {
                heal(faults[index])
            }
        case .snapshot:
            replicas.append((now, store.replica))
            if replicas.count > 20 { replicas.removeFirst() }
            checks.look(self)
            add(.snapshot, after: 100)
        }
    }

    // MARK: Targets

    func probe(_ index: Int, by agent: SimulatedAgent, generation: UInt32) {
        let isCut = !canProbe(index, from: agent.number)
        let isUnsent = brokenSockets[agent.number] > 0
        if !isCut {
            let isAsked = generation == Self.asked
            checks.arrived(index, from: agent.number, isAsked: isAsked, at: now)
        }
        checks.begun(index, isAsked: generation == Self.asked, at: now)
        let isSilent = isCut || silent[index] > 0
        let isRefused =
            refusing[index] > 0 || (flaky[index] > 0 && chance(0...99) < Int64(flaky[index]))
        let found: Found =
            isUnsent
            ? .unsent
            : isSilent
                ? setting.neutralInSilence.contains(index)
                    ? .nothing : .fails(silent: true, immediate: false)
                : isRefused
                    ? .fails(silent: false, immediate: false) : mute[index] > 0 ? .nothing : .passes
        note(index) {
            let result =
                found == .passes
                ? "passes" : isUnsent ? "is not even asked" : isSilent ? "says nothing" : "fails"
            let asked = generation == Self.asked ? ", as it was asked" : ""
            return "\(agent.id) probes \(plans[index].key.peer)\(asked): \(result)"
        }
        let took = isSilent && !isUnsent ? setting.timeout.milliseconds : chance(1...15)
        add(
            .probed(
                agent: agent.number,
                life: agent.life,
                index: index,
                found,
                begun: agent.loop.instant,
                generation
            ),
            after: took
        )
    }

    func isUp(_ target: Int) -> Bool {
        refusing[target] == 0 && silent[target] == 0 && flaky[target] == 0 && mute[target] == 0
    }

    func isDown(_ target: Int) -> Bool { refusing[target] > 0 || silent[target] > 0 }

    /// What is wrong with its network, as far as the targets see.
    func isCutOff(_ agent: Int) -> Bool {
        cutFromTargets[agent] > 0 || brokenSockets[agent] > 0
    }

    func canProbe(_ target: Int, from agent: Int) -> Bool {
        !isCutOff(agent) && cuts[Cut(agent: agent, target: target), default: 0] == 0
    }

    // MARK: The way to the store

    func canReach(_ agent: Int) -> Bool { cutFromStore[agent] == 0 && gone == 0 }
    var isStoreWell: Bool { gone == 0 && stalls == 0 }

    func send(
        _ number: CallNumber,
        _ signature: Signature,
        _ call: FleetCall,
        from agent: SimulatedAgent
    ) {
        let envelope = Envelope(
            agent: agent.number,
            life: agent.life,
            connection: agent.connection,
            number: number,
            signature: signature,
            call: call
        )
        if loss > 0, chance(0...99) < Int64(loss) {
            // Breaks: what was on its way may arrive all the same, long after.
            if chance(0...1) == 0 { add(.arrive(envelope), after: chance(1...3_000)) }
            return add(
                .timeout(agent: agent.number, life: agent.life, connection: agent.connection),
                after: chance(1...1_000)
            )
        }
        let at = max(now + chance(1...3), agent.lastSent)
        agent.lastSent = at
        add(.arrive(envelope), at: at)
        add(
            .overdue(
                agent: agent.number,
                life: agent.life,
                connection: agent.connection,
                number
            ),
            after: 1_000
        )
    }

    private func arrive(_ envelope: Envelope) {
        if !canReach(envelope.agent) { return }
        if stalls > 0 {
            stalled.append(envelope)
            return
        }
        execute(envelope)
    }

    private static let forbidden = "NOPERM this user has no permissions to run the 'xadd' command"

    private func refuse(_ envelope: Envelope, because refusal: String?) {
        add(
            .unwritten(
                agent: envelope.agent,
                life: envelope.life,
                connection: envelope.connection,
                envelope.number,
                refusal: refusal
            ),
            after: chance(1...3)
        )
    }

    private func execute(_ envelope: Envelope) {
        if refuses > 0 { return refuse(envelope, because: nil) }
        if forbids > 0, envelope.call.isWord { return refuse(envelope, because: Self.forbidden) }
        let reply = store.perform(envelope.signature, envelope.call)
        if forbids > 0, store.hasLetters {
            // What the script did before it came to them is done.
            _ = store.takeLetters()
            checks.performed(envelope.signature, envelope.call, reply, store, world: self)
            return refuse(envelope, because: Self.forbidden)
        }
        tell(envelope, reply)
        checks.performed(envelope.signature, envelope.call, reply, store, world: self)
        for letter in store.takeLetters() {
            for to in agents where to.id == letter.to {
                add(
                    .letter(agent: to.number, letter.words, era: storeLife, tries: 0),
                    after: chance(1...4)
                )
            }
        }
        for key in store.takeChanged() {
            guard let index = indices[key] else { continue }
            for agent in agents where agent.isAlive {
                if loss > 0, chance(0...99) < Int64(loss) {
                    // A stream loses nothing while its connection holds.
                    add(
                        .timeout(
                            agent: agent.number,
                            life: agent.life,
                            connection: agent.connection
                        ),
                        after: chance(1...1_000)
                    )
                    continue
                }
                add(
                    .read(agent: agent.number, life: agent.life, index: index),
                    after: chance(1...6)
                )
            }
        }
        let agent = agents[envelope.agent]
        let pause = slowCalls[agent.number] > 0 ? chance(1...900) : 0
        let at = max(now + pause + chance(1...3), agent.lastReceived)
        agent.lastReceived = at
        add(
            .reply(
                agent: envelope.agent,
                life: envelope.life,
                connection: envelope.connection,
                envelope.number,
                reply
            ),
            at: at
        )
    }

    /// For people: what the store decided, pair by pair.
    private func tell(_ envelope: Envelope, _ reply: FleetReply) {
        guard isTold, case .claim(_, let claims) = envelope.call else { return }
        let who = "a\(envelope.agent)"
        guard case .claimed(_, _, let answers) = reply else {
            return note(nil) { "store: \(who) claims \(claims.count), and is refused: \(reply)" }
        }
        for (claim, answer) in zip(claims, answers) {
            let result =
                switch answer {
                case .granted(let epoch, let from, _, _):
                    from.milliseconds > store.clock
                        ? "has it in \(from.milliseconds - store.clock)ms, epoch \(Self.name(of: epoch, in: store.era))"
                        : "has it, epoch \(Self.name(of: epoch, in: store.era))"
                case .held(let by, _): by.isEmpty ? "nobody holds it" : "\(by) holds it"
                case .fresh, .joining, .frozen: "\(answer)"
                }
            note(indices[claim.pair]) {
                "store: \(who) claims \(claim.pair.peer) (\(claim.reason.rawValue)): \(result)"
            }
        }
    }

    /// By how much it is above its era: below it where something is wrong, of which people are to be told.
    static func name(of epoch: UInt64, in era: UInt64) -> String {
        epoch >= era ? "+\(epoch - era)" : "-\(era - epoch)"
    }

    private func connect(_ number: Int, _ life: UInt32, _ event: Event) {
        guard let agent = agent(number, life, event), !agent.isConnected else { return }
        if canReach(number), stalls == 0 {
            agent.connect(to: storeID)
            add(.reconcile(agent: number, life: life), after: 5)
        } else {
            add(.connect(agent: number, life: life), after: 100 + chance(0...400))
        }
    }

    private func deliver(_ number: Int, _ hint: FleetHint, _ era: UInt32, _ tries: Int) {
        let agent = agents[number]
        // What the store lost, nobody reads; a new life begins at the end of its inbox.
        if era != storeLife || !agent.isAlive || tries > 200 { return }
        if agent.isPaused || !canReach(number) || stalls > 0 || slowReading[number] > 0 {
            return add(.letter(agent: number, hint, era: era, tries: tries + 1), after: 50)
        }
        if loss > 0, chance(0...99) < Int64(loss) { return }
        checks.told(agent, hint)
        agent.heard(hint)
    }

    private func reconcile(_ number: Int, _ life: UInt32, _ event: Event) {
        guard let agent = agent(number, life, event) else { return }
        if canReach(number), stalls == 0 {
            agent.reconcile(store, id: storeID)
        }
        if agent.reconcileAt <= now {
            agent.reconcileAt = now + 5_000
            add(.reconcile(agent: number, life: life), after: 5_000)
        }
    }

    private func breakConnections() {
        for agent in agents where agent.isAlive && agent.isConnected {
            add(
                .timeout(agent: agent.number, life: agent.life, connection: agent.connection),
                after: chance(1...1_000)
            )
        }
    }

    // MARK: Faults

    private func strike(_ fault: Fault) {
        note(fault.target) { "FAULT " + "\(fault)".drop { $0 != " " }.dropFirst() }
        checks.note(fault, at: now)
        switch fault.kind {
        case .crash(let agent): if agents[agent].isAlive { agents[agent].end() }
        case .pause(let number):
            if agents[number].isAlive { agents[number].pause() }
        case .leave(let number):
            let agent = agents[number]
            if agent.isAlive, !agent.isPaused { agent.leave() }
        case .cutFromStore(let agent):
            cutFromStore[agent] += 1
            let one = agents[agent]
            add(.timeout(agent: agent, life: one.life, connection: one.connection), after: 1_000)
        case .cutFromTargets(let agent): cutFromTargets[agent] += 1
        case .socketsFail(let agent): brokenSockets[agent] += 1
        case .cutFromTarget(let agent, let target):
            cuts[Cut(agent: agent, target: target), default: 0] += 1
        case .targetDown(let target): change(target) { refusing[target] += 1 }
        case .targetSilent(let target): change(target) { silent[target] += 1 }
        case .targetMute(let target): change(target) { mute[target] += 1 }
        case .targetFlaky(let target, let share): change(target) { flaky[target] += share }
        case .manySilent(let share):
            for target in 0..<setting.targets * share / 100 {
                change(target) { silent[target] += 1 }
            }
        case .storeStalls: stalls += 1
        case .storeRefuses: refuses += 1
        case .storeForbids: forbids += 1
        case .storeGone(let keeps):
            gone += 1
            storeLife += 1
            if !keeps {
                store.flush()
                storeID += 1
            }
            breakConnections()
        case .failover(let lost):
            gone += 1
            storeLife += 1
            let replica = replicas.last { $0.at <= now - lost } ?? replicas.first
            if let replica { store.failOver(to: replica.replica, replid: store.replid + 1) }
            checks.failedOver(to: store)
            breakConnections()
        case .flush:
            storeLife += 1
            storeID += 1
            store.flush()
        case .twin: break
        case .storeClock(let span): storeOffset += span
        case .agentClock(let agent, let span): agents[agent].wallOffset += span
        case .slowReading(let agent): slowReading[agent] += 1
        case .slowCalls(let agent): slowCalls[agent] += 1
        case .badNetwork(let share): loss += share
        case .otherCatalogue(let number, let target):
            hidden[Cut(agent: number, target: target), default: 0] += 1
            reload(number, target)
        }
    }

    /// It reads its file again, as soon as it runs.
    private func reload(_ number: Int, _ target: Int) {
        let agent = agents[number]
        if agent.isAlive { happen(.reload(agent: number, life: agent.life, target: target)) }
    }

    private func change(_ target: Int, _ body: () -> Void) {
        body()
        checks.target(target, isUp: isUp(target), at: now)
    }

    private func heal(_ fault: Fault) {
        note(fault.target) { "over: " + "\(fault)".drop { $0 != " " }.dropFirst() }
        checks.noteEnd(of: fault, at: now)
        switch fault.kind {
        case .crash(let number), .leave(let number):
            let agent = agents[number]
            if !agent.isAlive { agent.begin() }
        case .pause(let number):
            if agents[number].isPaused { agents[number].resume() }
        case .cutFromStore(let agent): cutFromStore[agent] -= 1
        case .cutFromTargets(let agent): cutFromTargets[agent] -= 1
        case .socketsFail(let agent): brokenSockets[agent] -= 1
        case .cutFromTarget(let agent, let target):
            cuts[Cut(agent: agent, target: target), default: 0] -= 1
        case .targetDown(let target): change(target) { refusing[target] -= 1 }
        case .targetSilent(let target): change(target) { silent[target] -= 1 }
        case .targetMute(let target): change(target) { mute[target] -= 1 }
        case .targetFlaky(let target, let share): change(target) { flaky[target] -= share }
        case .manySilent(let share):
            for target in 0..<setting.targets * share / 100 {
                change(target) { silent[target] -= 1 }
            }
        case .storeStalls:
            stalls -= 1
            if stalls == 0 {
                let waiting = stalled
                stalled = []
                for envelope in waiting { execute(envelope) }
            }
        case .storeRefuses: refuses -= 1
        case .storeForbids: forbids -= 1
        case .storeGone:
            gone -= 1
            store.replid += 1
        case .failover: gone -= 1
        case .badNetwork(let share): loss -= share
        case .otherCatalogue(let number, let target):
            hidden[Cut(agent: number, target: target), default: 0] -= 1
            reload(number, target)
        case .agentClock(let agent, let span): agents[agent].wallOffset -= span
        case .slowReading(let agent): slowReading[agent] -= 1
        case .slowCalls(let agent): slowCalls[agent] -= 1
        case .flush, .storeClock, .twin: break
        }
    }
}

extension FleetCall {
    /// It does nothing but what others hear of through a stream.
    fileprivate var isWord: Bool {
        switch self {
        case .tell, .publish: true
        case .beat, .claim, .release: false
        }
    }
}
