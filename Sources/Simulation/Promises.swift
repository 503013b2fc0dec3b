// Does the fleet keep what docs/FLEET.md promises by number? How long a target may go unprobed, when a newcomer gets a
// seat, what follows from what an agent was told, and what people see while a store is away. What an agent says of itself
// is not asked here: books are kept of what befell it.

import Fleet
import Health
import Vocabulary

/// The books of promises that have a number.
struct Promises {
    /// When somebody began to probe the target at one of its slots, be it in vain.
    fileprivate var lastSlot: [Int64]
    /// Until when something excuses that nobody did.
    fileprivate var excusedUntil: [Int64]
    /// Until when whoever gave it away waits for all others, though it may claim the target as they do by now.
    fileprivate var restsUntil: [Int: Int64] = [:]
    /// When something last befell an agent; how it was with the fleet before the store was away is of no use then.
    fileprivate var lastEvent: Int64 = 0
    /// When an agent was last back from something, to have its share again.
    fileprivate var lastBack: Int64 = 0
    fileprivate var catalogueTrouble: Int64 = -1_000_000
    fileprivate var catalogueFaults = 0

    /// Since when each agent is cut off from all targets, and how many it probed then that were well.
    fileprivate var cuts: [Cut?]
    struct Cut {
        var since: Int64
        /// What it probed then that was well.
        var targets: [Int] = []
        var isCounted = false
        /// It doubted itself already, for being late: what fails then it gives away, and may have too little left to see by.
        var wasLate = false
        /// Its own sockets say so at once, however few it probes.
        var isOfSockets = false

        /// It has doubted itself since.
        var isDoubted = false
        /// Others took so much of that before it could be found silent that too little was left.
        var isTaken = false

        /// Enough of a sample for it to doubt itself.
        var isNoticed: Bool { !isTaken && targets.count >= (isOfSockets ? 1 : 6) }
    }
    /// Since when something else is wrong with what people see of targets.
    fileprivate var sightTrouble: Int64 = -1_000_000
    fileprivate var sightFaults = 0
    /// Agents to which nothing has happened for long but a short stop, and when the last one began.
    fileprivate var stops: [Int: Stop] = [:]
    fileprivate struct Stop {
        var until: Int64
        var isAlone: Bool
    }
    /// When an agent was last cut off from one target.
    fileprivate var lastCut: [Way: Int64] = [:]
    fileprivate struct Way: Hashable {
        var agent: Int
        var target: Int
    }

    /// The first beat of each life, and who was in the roster, since when anybody is.
    fileprivate var firstBeat: [String: (instance: UInt64, at: Int64)] = [:]
    fileprivate var roster: [String] = []
    fileprivate var rosterNumber: UInt64?
    fileprivate var founded: Int64 = 0
    fileprivate var era: UInt64 = 0
    fileprivate var clockTrouble: Int64 = -1_000_000

    /// The latest epoch under which each process was told that somebody else holds a pair.
    fileprivate var told: [Int: [Int: UInt64]] = [:]

    /// When the store was last away, and what all readers knew then.
    fileprivate var absences = 0
    fileprivate var absentFrom: Int64 = 0
    fileprivate var isWatched = false
    fileprivate var known: [Int: Set<Int>] = [:]

    /// Since when nobody can be told anything, though beats pass.
    fileprivate var silencedFrom: Int64?
    /// Since when each agent has held each target without a break.
    fileprivate var heldFrom: [Int: [Int: Int64]] = [:]

    /// Since when each process shows another word than lies in the store.
    fileprivate var differsFrom: [Int: [Int: Int64]] = [:]

    /// Since when each holder shows another status than lies in the store by it.
    fileprivate var unsaidFrom: [Int: [Int: Int64]] = [:]

    /// Since when each process shows its own word of what it probes no more.
    fileprivate var ownFrom: [Int: [Int: Int64]] = [:]

    /// A hand-over, in which it has no slot left, and two beats.
    static let ownMax = Int64(1_000)
    /// A third of the life of a word, a round and a look.
    static let renewMax = Int64(6_000)
    /// From the first failure and an interval until it is asked about; then for a lease nobody is told anything, and the
    /// next failure counts.
    static let aloneMax = Int64(7_500)
    /// One step of looking, one of beating, and messages on their way.
    static let tolerance = Int64(400)
    /// Who is cut off from everything has seen so by then.
    static let doubtMax = Int64(2_500)
    /// An interval and a timeout until it sees so, its second thoughts, an offer and the way to whoever takes it: for
    /// each, and what it tells with its next failure an interval later.
    static let blindMax = Int64(4_500)
    /// Settling, a hand-over and two beats.
    static let shareMax = Int64(4_000)
    /// What was written is read by then, where nothing is wrong: connections are made again within half a second.
    static let readMax = Int64(3_000)

    init(_ setting: WorldSetting) {
        lastSlot = Array(repeating: 0, count: setting.targets)
        excusedUntil = Array(repeating: Int64(6_000), count: setting.targets)
        cuts = Array(repeating: nil, count: setting.agents)
    }

    mutating func addProcess() { cuts.append(nil) }
    mutating func begun(_ target: Int, at now: Int64) { lastSlot[target] = now }
    mutating func forgetEpochs() { told = [:] }
    /// What a former life was told it took with it.
    mutating func begins(_ agent: Int) { told[agent] = nil }

    /// Nothing has stood between the agent and the target for so long.
    func hasReached(_ target: Int, from agent: Int, for span: Int64, at now: Int64) -> Bool {
        lastCut[Way(agent: agent, target: target)].map { now - $0 > span } ?? true
    }

    /// Nothing but one short stop has befallen it lately, and that is over for so long.
    func isBackFor(_ span: Int64, _ agent: Int, at now: Int64) -> Bool {
        stops[agent].map { $0.isAlone && now - $0.until > span } ?? false
    }

    private mutating func noteStop(_ fault: Fault, _ trouble: [Int64], at now: Int64) {
        guard let agent = fault.agent else { return }
        if case .pause = fault.kind, fault.length < 2_500, fault.at == now {
            stops[agent] = Stop(
                until: now + fault.length,
                isAlone: now - trouble[agent] > Checks.memory
            )
        } else if stops[agent]?.until != now {
            stops[agent] = nil
        }
    }

    mutating func note(_ fault: Fault, isOver: Bool, at now: Int64, trouble: [Int64]) {
        noteStop(fault, trouble, at: now)
        let step = isOver ? -1 : 1
        switch fault.kind {
        case .targetDown, .targetFlaky, .targetMute: return
        case .targetSilent: break
        case .manySilent:
            sightTrouble = now
            sightFaults += step
        case .cutFromTargets(let agent):
            cuts[agent] = isOver ? nil : Cut(since: now)
            lastEvent = now
        case .socketsFail(let agent):
            cuts[agent] = isOver ? nil : Cut(since: now, isOfSockets: true)
            lastEvent = now
        case .otherCatalogue:
            catalogueTrouble = now
            catalogueFaults += step
            lastEvent = now
        case .storeStalls, .storeGone, .storeRefuses:
            if fault.length > 0 { absences += step }
            if !isOver, absences == 1 { absentFrom = now }
        case .storeForbids:
            silencedFrom = isOver ? nil : now
            lastEvent = now
        case .cutFromTarget(let agent, let target):
            lastCut[Way(agent: agent, target: target)] = now
            lastEvent = now
        case .storeClock:
            clockTrouble = now
            lastEvent = now
        default:
            lastEvent = now
            if isOver { lastBack = now }
        }
    }
}

extension Checks {
    mutating func lookAtPromises(_ world: World) {
        lookForGaps(world)
        countWhatIsCut(world)
        noteWhatIsTaken(world)
        lookAfterTheBlind(world)
        lookAtAbsence(world)
        lookAtSilence(world)
        // What goes wrong with these stays so for a while.
        if world.now % 500 != 0 { return }
        lookAtWhatWasTold(world)
        lookAtReaders(world)
        lookAtCatalogues(world)
    }

    // MARK: No target goes unprobed for longer

    /// It takes its part: whatever others let go it would claim.
    private func isAble(_ agent: SimulatedAgent) -> Bool {
        agent.isAlive && !agent.isPaused && !agent.isReader && agent.isConnected
            && agentFaults[agent.number] == 0 && agent.desk.member.membership.isMember
            && agent.desk.isHearing
    }

    /// Interval, timeout and a second after a holder died, half a second more for each that died with it.
    private mutating func lookForGaps(_ world: World) {
        let now = world.now
        let able = world.agents.filter { isAble($0) }
        let trouble = max(agentTrouble.max() ?? 0, storeTrouble, networkTrouble)
        let isStoreWell = storeFaults == 0 && networkFaults == 0
        // In a new era nothing but what is probed is claimed for a lease, and connections are made first.
        let excuse = isStoreWell ? max(trouble, storeTrouble + terms.lease.milliseconds + 500) : now
        let others = world.agents.count { !$0.isReader && !able.map(\.number).contains($0.number) }
        // Where three and more died the lease ends before the last in rank has waited: what they held is then claimed as what
        // nobody is known to probe.
        let isCrowd = others > 2
        let unclaimed =
            terms.lease.milliseconds + terms.unclaimedAfter.milliseconds
            + 5 * terms.rankStep.milliseconds + Promises.tolerance
        for target in world.plans.indices {
            let waits =
                setting.interval(of: target).milliseconds + setting.timeout.milliseconds + 1_000
                + Int64(others) * terms.rankStep.milliseconds + Promises.tolerance
            let most = isCrowd ? max(waits, unclaimed) : waits
            // Who has another file is not asked, and those that rank behind it wait for longer.
            let isCommon =
                promises.catalogueFaults == 0
                || world.agents.indices.allSatisfy { !world.isHidden(target, from: $0) }
            if !isCommon || able.isEmpty || !isStoreWell {
                promises.excusedUntil[target] = now
            }
            let since = max(promises.lastSlot[target], promises.excusedUntil[target], excuse)
            if now - since <= most { continue }
            // Who gave it away takes it last of all, be it one that sees nothing.
            let plan = world.plans[target]
            let hasAbstainer = world.agents.contains { agent in
                agent.isAlive
                    && agent.desk.number(of: plan.key).map {
                        agent.desk.abstains(from: $0) != nil
                    } ?? false
            }
            if hasAbstainer {
                let rest = Int64(able.count) * terms.rankStep.milliseconds
                promises.restsUntil[target] = since + most + rest
            }
            if now > max(since + most, promises.restsUntil[target] ?? 0) {
                fail(
                    "p\(target) went unprobed for \(now - promises.lastSlot[target])ms, \(now - since)ms of "
                        + "them with nothing to wait for",
                    of: target,
                    at: now
                )
            }
        }
    }

    // MARK: Who is in the roster

    mutating func judge(
        rosterAfter call: FleetCall,
        _ reply: FleetReply,
        _ signature: Signature,
        _ store: StoreModel,
        at now: Int64
    ) {
        if signature.era > store.era {
            fail(
                "\(signature.agent) knew the era \(signature.era), and after its call the store is of "
                    + "\(store.era)",
                at: now
            )
        }
        let isNewEra = store.era != promises.era
        promises.era = store.era
        // Another era may have a number again.
        if isNewEra { promises.rosterNumber = nil }
        guard case .beat = call else {
            if isNewEra { promises.roster = store.roster }
            return
        }
        defer { promises.rosterNumber = store.rosterName.number }
        if case .beaten = reply, promises.firstBeat[signature.agent]?.instance != signature.instance
        {
            promises.firstBeat[signature.agent] = (signature.instance, now)
        }
        // Each change of it has a number of its own.
        if !isNewEra, promises.rosterNumber == store.rosterName.number { return }
        let before = promises.roster
        promises.roster = store.roster
        if before.isEmpty || (isNewEra && store.roster.count <= 1) { promises.founded = now }
        let settle = terms.settle.milliseconds - 50
        if isNewEra || now - promises.founded < settle + 100 { return }
        if now - promises.clockTrouble < settle { return }
        for agent in store.roster where !before.contains(agent) {
            let age = promises.firstBeat[agent].map { now - $0.at } ?? 0
            if age >= settle { continue }
            fail("\(agent) is in the roster \(age)ms after its first beat", at: now)
        }
    }

    /// Who is in the roster of a replica that took over has entered it before, be it in a life that is over.
    mutating func failedOver(to store: StoreModel) {
        promises.roster = store.roster
        promises.rosterNumber = nil
        rostersSeen = [:]
    }

    // MARK: What was told

    mutating func told(_ agent: SimulatedAgent, of pair: VerdictKey, _ epoch: UInt64, by: String) {
        if by.isEmpty || by == agent.id { return }
        guard let index = agent.world.indices[pair] else { return }
        promises.told[agent.number, default: [:]][index, default: 0].grow(to: epoch)
    }

    mutating func told(_ agent: SimulatedAgent, _ hint: FleetHint) {
        guard case .ceded(let pair, let epoch, _, let by) = hint else { return }
        told(agent, of: pair, epoch, by: by)
    }

    mutating func told(_ agent: SimulatedAgent, _ call: FleetCall, _ reply: FleetReply) {
        switch (call, reply) {
        case (.publish(let publications), .published(let answers)):
            for (one, answer) in zip(publications, answers) {
                guard case .held(let by, let epoch, _) = answer else { continue }
                told(agent, of: one.pair, epoch, by: by)
            }
        case (.claim(_, let claims), .claimed(_, _, let answers)):
            for (one, answer) in zip(claims, answers) {
                guard case .held(let by, let epoch) = answer else { continue }
                told(agent, of: one.pair, epoch, by: by)
            }
        default: break
        }
    }

    /// Who was told that another holds a pair takes itself for its holder only by a later claim.
    private mutating func lookAtWhatWasTold(_ world: World) {
        for agent in world.agents where agent.isAlive && !agent.isPaused {
            for (index, epoch) in promises.told[agent.number] ?? [:] {
                guard let mine = agent.heldEpoch(of: index), mine < epoch else { continue }
                fail(
                    "\(agent.id) holds p\(index) under epoch \(mine), and was told that another has it under "
                        + "\(epoch)",
                    of: index,
                    at: world.now
                )
            }
        }
    }

    // MARK: Standing still

    /// Whoever did not run for a lease begins anew, with nothing.
    mutating func hasStoodStill(_ agent: SimulatedAgent, for pause: Nanoseconds, at now: Int64) {
        for target in promises.lastSlot.indices where agent.holds(target) {
            fail(
                "\(agent.id) stood still for \(pause.milliseconds)ms, and probes p\(target) as before",
                of: target,
                at: now
            )
        }
    }

    mutating func countedThePast(_ target: Int, by agent: SimulatedAgent, at now: Int64) {
        fail(
            "\(agent.id) counts what it found of p\(target) before it stood still for a lease",
            of: target,
            at: now
        )
    }

    // MARK: Being blind

    private mutating func countWhatIsCut(_ world: World) {
        for (number, cut) in promises.cuts.enumerated() {
            guard let cut, !cut.isCounted, world.agents.indices.contains(number) else { continue }
            let hosts = Set(world.plans.indices.filter { isSeen($0, number, world) }.map { $0 / 2 })
            let targets = world.plans.indices.filter { isSeen($0, number, world) }
            promises.cuts[number]?.isCounted = true
            promises.cuts[number]?.wasLate = world.agents[number].desk.reasons.contains(.loopLag)
            promises.cuts[number]?.targets = hosts.count < 2 && !cut.isOfSockets ? [] : targets
        }
    }

    /// Whoever has no sample any more by the time at which all that it probes is silent may lose the rest by votes alone.
    private mutating func noteWhatIsTaken(_ world: World) {
        let silentAfter = (setting.interval + setting.timeout).milliseconds
        for (number, cut) in promises.cuts.enumerated() {
            guard let cut, cut.isCounted, !cut.isDoubted, !cut.isTaken, !cut.isOfSockets,
                world.agents.indices.contains(number)
            else { continue }
            let agent = world.agents[number]
            if !agent.desk.reasons.isEmpty {
                promises.cuts[number]?.isDoubted = true
            } else if world.now - cut.since >= silentAfter {
                let left = cut.targets.count { agent.holds($0) }
                promises.cuts[number]?.isTaken = left < Doubt.targetsMin
            }
        }
    }

    /// It knows so, and others look after what it does not see.
    private mutating func lookAfterTheBlind(_ world: World) {
        let now = world.now
        for (number, cut) in promises.cuts.enumerated() {
            guard let cut, !cut.wasLate, now - cut.since > Promises.blindMax,
                isAlone(cut, number, now),
                world.agents.indices.contains(number), world.agents[number].isAlive,
                world.agents.contains(where: { isSighted($0, now) })
            else { continue }
            // Something may have befallen them a moment ago: they are asked all the same.
            let takers = world.agents.filter { $0.isAlive && $0.number != number }
            for target in cut.targets where world.isUp(target) {
                // Whoever takes it may have no way to it either: the bound runs from when all that may have.
                // What is asked seldom is found silent with its next slot, and is another's then.
                let longer = max(setting.interval(of: target) - setting.interval, .zero)
                // Whoever does not define it is offered it for an interval, and then the next is.
                let others = world.agents.indices.count { world.isHidden(target, from: $0) }
                let passed = setting.interval(of: target).milliseconds * Int64(others)
                let blindMax = Promises.blindMax + longer.milliseconds + passed
                let isInReach = takers.allSatisfy {
                    world.canProbe(target, from: $0.number)
                        && promises.hasReached(target, from: $0.number, for: blindMax, at: now)
                }
                if !isInReach { continue }
                let since = max(cut.since, lastProbe[target], targetChanged[target])
                if now - since <= blindMax { continue }
                fail(
                    "a\(number) has been cut off from all targets for \(now - cut.since)ms, and nobody has "
                        + "reached p\(target) for \(now - since)ms of them",
                    of: target,
                    at: now
                )
            }
        }
    }

    /// Whoever may take what others cannot see.
    private func isSighted(_ agent: SimulatedAgent, _ now: Int64) -> Bool {
        isAble(agent) && isWell(agent, since: Self.memory, now) && agent.desk.reasons.isEmpty
    }

    /// Nothing else is wrong with the fleet, the network or what it probes, nor has been since.
    private func isAlone(_ cut: Promises.Cut, _ number: Int, _ now: Int64) -> Bool {
        cut.isNoticed && promises.sightFaults == 0
            && now - promises.sightTrouble > Self.memory
            && promises.cuts.count(where: { $0 != nil }) == 1
            // Without a store it cannot ask anybody, and believes what it sees.
            && agentFaults[number] == 1
            && now - promises.lastEvent >= now - cut.since && isNetworkWell(since: 6_000, now)
            // What is left to it while another takes its share may be too few to tell a network by.
            && cut.since - promises.lastBack >= Promises.shareMax
    }

    private func isSeen(_ target: Int, _ agent: Int, _ world: World) -> Bool {
        world.agents[agent].holds(target) && world.isUp(target)
            && world.now - targetChanged[target] > Self.memory
    }

    /// Whoever is cut off from all targets knows that of itself, and takes nobody down.
    mutating func judge(sightOf agent: SimulatedAgent, _ target: Int, _ world: World) {
        let now = world.now
        guard let cut = promises.cuts[agent.number], now - cut.since > Promises.doubtMax,
            world.isUp(target), now - targetChanged[target] > Self.memory,
            isAlone(cut, agent.number, now), agent.desk.member.membership.hasOthers
        else { return }
        fail(
            "\(agent.id) finds p\(target) down, and has been cut off from all targets for \(now - cut.since)ms",
            of: target,
            at: now
        )
    }

    // MARK: While the store is away

    /// Nobody forgets what was known for no other reason than that.
    private mutating func lookAtAbsence(_ world: World) {
        let now = world.now
        if promises.absences == 0 {
            let isOver = now - storeTrouble > Promises.readMax
            if isOver || now - promises.lastEvent < 8_000 { promises.isWatched = false }
        } else if !promises.isWatched, now - promises.absentFrom < 200 {
            promises.isWatched = now - promises.lastEvent > 8_000 && networkFaults == 0
            promises.known = [:]
            for agent in world.agents where agent.isAlive && !agent.isPaused {
                let known = world.plans.indices.filter { agent.status(of: $0) != .unknown }
                promises.known[agent.number] = Set(known)
            }
        }
        // Who doubts itself renews nothing that fails, be the store there or not.
        guard promises.isWatched, promises.lastEvent < promises.absentFrom,
            promises.sightFaults == 0, now - promises.sightTrouble > Self.memory
        else { return }
        for agent in world.agents where agent.isAlive && !agent.isPaused {
            for target in promises.known[agent.number] ?? []
            where agent.status(of: target) == .unknown {
                fail(
                    "\(agent.id) shows p\(target) unknown, for no other reason than that the store was away",
                    of: target,
                    at: now
                )
            }
        }
    }

    // MARK: While nobody can be told anything

    /// Whoever holds what fails does not wait for answers that cannot come.
    private mutating func lookAtSilence(_ world: World) {
        let now = world.now
        guard let since = promises.silencedFrom else {
            promises.heldFrom = [:]
            return
        }
        for agent in world.agents {
            for target in world.plans.indices {
                guard agent.isAlive, agent.heldEpoch(of: target) != nil,
                    isWell(agent, since: Promises.aloneMax, now), agent.desk.reasons.isEmpty
                else {
                    promises.heldFrom[agent.number]?[target] = nil
                    continue
                }
                let held = promises.heldFrom[agent.number]?[target] ?? now
                promises.heldFrom[agent.number, default: [:]][target] = held
                let longer = max(setting.interval(of: target) - setting.interval, .zero)
                let most = Promises.aloneMax + 3 * longer.milliseconds
                let began = max(since, held, targetChanged[target])
                guard world.isDown(target), now - began > most, agent.status(of: target) != .down
                else { continue }
                fail(
                    "\(agent.id) holds p\(target), which has refused for \(now - targetChanged[target])ms, and "
                        + "waits for others that it cannot ask",
                    of: target,
                    at: now
                )
            }
        }
    }

    // MARK: What readers show

    /// Whoever can read shows what lies there, of what it does not probe itself.
    private mutating func lookAtReaders(_ world: World) {
        let now = world.now
        let isNetworkWell = isNetworkWell(since: Promises.readMax, now)
        for agent in world.agents {
            let isThere = agent.isAlive && !agent.isPaused && !agent.desk.isTaken
            let isFit =
                isThere && agent.isConnected && isNetworkWell
                && isWell(agent, since: Promises.readMax, now)
            if !isFit { promises.differsFrom[agent.number] = nil }
            judge(whatIsSaidBy: agent, isFit: isFit, world)
            if !isThere {
                promises.ownFrom[agent.number] = nil
                continue
            }
            for (target, plan) in world.plans.enumerated() {
                guard !agent.holds(target), !world.isHidden(target, from: agent.number),
                    let shown = agent.verdict(of: target),
                    let word = world.store.word(of: plan.key)
                else {
                    promises.differsFrom[agent.number]?[target] = nil
                    promises.ownFrom[agent.number]?[target] = nil
                    continue
                }
                judge(agent, target, showing: shown, whereLies: word, at: now)
                let verdict = word.verdict
                if !isFit { continue }
                // What nobody vouches for and is over says nothing against a word that holds.
                let isOver =
                    word.instance == 0 && verdict.expiresAt.milliseconds <= world.store.time
                if isOver
                    || (shown.agent, shown.epoch, shown.status)
                        == (verdict.agent, verdict.epoch, verdict.status)
                {
                    promises.differsFrom[agent.number]?[target] = nil
                    continue
                }
                let since = promises.differsFrom[agent.number]?[target] ?? now
                promises.differsFrom[agent.number, default: [:]][target] = since
                if now - since <= Promises.readMax { continue }
                fail(
                    "\(agent.id) shows p\(target) \(shown.status.rawValue) by \(shown.agent), and in the store "
                        + "lies for \(now - since)ms: \(verdict.status.rawValue) by \(verdict.agent)",
                    of: target,
                    at: now
                )
            }
        }
    }

    /// What its holder finds all others read. What it found down while it could not ask anybody is its own for a while.
    private mutating func judge(
        whatIsSaidBy agent: SimulatedAgent,
        isFit: Bool,
        _ world: World
    ) {
        let now = world.now
        guard isFit else {
            promises.unsaidFrom[agent.number] = nil
            return
        }
        let membership = agent.desk.member.membership
        for (target, plan) in world.plans.enumerated() {
            guard let epoch = agent.heldEpoch(of: target),
                let shown = agent.verdict(of: target), shown.agent == agent.id,
                shown.status != .down || now - agent.awayAt > Self.memory,
                let word = world.store.verdict(of: plan.key), word.status != shown.status,
                let holding = world.store.holding(of: plan.key), holding.epoch == epoch,
                holding.instance == membership.instance, holding.era == world.store.era
            else {
                promises.unsaidFrom[agent.number]?[target] = nil
                continue
            }
            let since = promises.unsaidFrom[agent.number]?[target] ?? now
            promises.unsaidFrom[agent.number, default: [:]][target] = since
            if now - since <= Promises.readMax { continue }
            fail(
                "\(agent.id) holds p\(target) and finds it \(shown.status.rawValue), and for "
                    + "\(now - since)ms the store has said: \(word.status.rawValue)",
                of: target,
                at: now
            )
        }
    }

    /// Who probes a pair no more shows what it has read of it, and not what it found without a claim. Against what is over
    /// such a word stands, and what was over while the store was away is renewed in time.
    private mutating func judge(
        _ agent: SimulatedAgent,
        _ target: Int,
        showing shown: Verdict,
        whereLies word: SimulatedAgent.Word,
        at now: Int64
    ) {
        guard word.instance > 0, shown.agent == agent.id, storeFaults == 0,
            now - storeTrouble > Promises.renewMax, let read = agent.lastRead(of: target),
            read.agent != agent.id, read.agent == word.verdict.agent, read.epoch >= shown.epoch
        else {
            promises.ownFrom[agent.number]?[target] = nil
            return
        }
        let since = promises.ownFrom[agent.number]?[target] ?? now
        promises.ownFrom[agent.number, default: [:]][target] = since
        if now - since < Promises.ownMax { return }
        fail(
            "\(agent.id) shows its own word of p\(target), which it does not probe, and has read what "
                + "\(read.agent) wrote",
            of: target,
            at: now
        )
    }

    // MARK: What is defined no more

    private mutating func lookAtCatalogues(_ world: World) {
        let now = world.now
        guard isNetworkWell(since: Promises.readMax, now),
            now - promises.catalogueTrouble > Promises.readMax
        else { return }
        for (target, plan) in world.plans.enumerated() {
            guard let holding = world.store.holding(of: plan.key), holding.era == world.store.era,
                let agent = world.agents.first(where: { $0.id == holding.agent && $0.isAlive }),
                world.isHidden(target, from: agent.number), !agent.isPaused, agent.isConnected,
                agent.desk.member.membership.instance == holding.instance,
                now - agentTrouble[agent.number] > Promises.readMax
            else { continue }
            fail(
                "\(agent.id) holds p\(target) in the store, and has not defined it for a while",
                of: target,
                at: now
            )
        }
    }
}

extension UInt64 {
    fileprivate mutating func grow(to other: UInt64) { self = Swift.max(self, other) }
}
