// What must never happen, whatever befalls the fleet, and what must be so again when it is over? Looks at every
// step, knows what the agents cannot know, and keeps books of its own.

import Fleet
import Health
import Vocabulary

/// What was wrong, and when.
public struct Violation: Hashable, Sendable {
    public var at: Int64
    public var text: String
    /// Of which target, where it is about one.
    public var target: Int?

    /// What is wrong, whoever and however much it is.
    var kind: String { String(text.filter { !$0.isNumber }) }
}

struct Checks {
    private struct Grant {
        var epoch: UInt64
        var agent: String
        var instance: UInt64
        var from: Int64
    }

    private struct Lease {
        var instance: UInt64
        var at: Int64
        var count: UInt64
        /// Every slot before it has been begun, by what it said with its beat and the time of the store.
        var mark: WallTime
    }

    private(set) var violation: Violation?
    let setting: WorldSetting
    let terms: FleetTerms

    // Who was granted what, in the order of the store.
    private var era: UInt64 = 0
    private var eraBegan = Int64(0)
    /// The latest that somebody knows; the store is of an earlier one, of which nothing holds.
    private var eraKnown: UInt64 = 0
    private var isForgotten = false
    private var heirs = Ownership()
    private var heirsOf: [String] = []
    private var grants: [VerdictKey: (now: Grant, before: Grant?)] = [:]
    private var lastEpoch: [VerdictKey: (epoch: UInt64, agent: String)] = [:]
    private var leases: [String: Lease] = [:]
    /// Given back since it was granted.
    private var released = Set<VerdictKey>()
    private var published: [VerdictKey: HealthCounter.Status] = [:]
    /// Of which roster it was seen that an agent has it as the store does.
    var rostersSeen: [Int: (era: UInt64, number: UInt64, life: UInt32)] = [:]

    // Who probes what.
    private var probers: [Set<Int>]
    private var doubleSince: [Int64]
    /// When something was last wrong with an agent, with the store, with everybody's network; `.max` while
    /// it is.
    var agentTrouble: [Int64]
    var agentFaults: [Int]
    var storeTrouble = Int64(0)
    var storeFaults = 0
    var networkTrouble = Int64(0)
    var networkFaults = 0
    var cutTrouble = Int64(0)
    var cutFaults = 0
    var massTrouble = -Checks.calm
    var targetChanged: [Int64]

    /// When somebody began to look at the target, be it in vain.
    var lastTried: [Int64]

    /// What docs/FLEET.md promises by number.
    var promises: Promises

    // At the end.
    private(set) var lastProbe: [Int64]
    private var lastFrom: [[Int: Int64]]
    private var longestGap: [Int64]
    private var probes: [Int]
    private var quietFrom: Int64
    /// The longest that a target went without any probe once everything had begun, and how often a peer
    /// was published down.
    private(set) var gaps: [Int64]
    private(set) var falls = 0
    private(set) var probesFrom: [[Int: Int]]
    private static let begun = Int64(6_000)

    /// How long twice is allowed after everything that excuses it is over: until a call is refused, and
    /// what follows from that is done.
    static let doubleMax = Int64(4_000)
    /// From the last fault until everything is in order again: a lease until it is noticed, one for a
    /// frozen roster, one to settle, one for what was lost meanwhile, and the time for which who lost a
    /// vote abstains.
    static let restMax = Int64(20_000)
    /// So long after everything that happened, all is as it should be: what was lost is found by the verdict
    /// that nobody renews, at the latest.
    static let calm = Int64(18_000)
    /// A verdict in the store holds for so long, two clocks may differ by a second, and it is read within one.
    private let lifeMax: Int64
    /// Who stood still takes so long to read what came meanwhile.
    static let catchUp = Int64(3_000)
    /// It notices that it doubts itself with its next beat, at the latest.
    static let sayingMax = Int64(500)
    /// Who stood still for less than a lease may doubt itself after that, and answers what it is asked.
    static let witnessMin = Int64(3_000)
    /// What is older excuses nothing.
    static let memory = Int64(15_000)

    init(_ setting: WorldSetting, terms: FleetTerms) {
        self.setting = setting
        self.terms = terms
        promises = Promises(setting)
        let life = setting.longestInterval.milliseconds * 2 + setting.timeout.milliseconds + 1_000
        lifeMax = life + 10_000 + 2_500
        probers = Array(repeating: [], count: setting.targets)
        doubleSince = Array(repeating: .max, count: setting.targets)
        agentTrouble = Array(repeating: 0, count: setting.agents)
        agentFaults = Array(repeating: 0, count: setting.agents)
        targetChanged = Array(repeating: -Self.memory, count: setting.targets)
        lastProbe = Array(repeating: 0, count: setting.targets)
        lastTried = Array(repeating: 0, count: setting.targets)
        lastFrom = Array(repeating: [:], count: setting.targets)
        longestGap = Array(repeating: 0, count: setting.targets)
        probes = Array(repeating: 0, count: setting.targets)
        quietFrom = setting.faultsUntil + Self.restMax
        gaps = Array(repeating: 0, count: setting.targets)
        probesFrom = Array(repeating: [:], count: setting.targets)
        for index in 0..<setting.targets {
            let key = VerdictKey(upstream: "web", peer: "p\(index)", monitor: "http")
            heirs.define(PairNumber(index), key: Ownership.key(of: key))
        }
    }

    /// One more than there were at the start.
    mutating func addProcess(at now: Int64) {
        agentTrouble.append(now)
        agentFaults.append(0)
        promises.addProcess()
    }

    mutating func fail(_ text: String, of target: Int? = nil, at now: Int64) {
        if violation == nil { violation = Violation(at: now, text: text, target: target) }
    }

    // MARK: At the store

    mutating func performed(
        _ signature: Signature,
        _ call: FleetCall,
        _ reply: FleetReply,
        _ store: StoreModel,
        world: World
    ) {
        let now = world.now
        if store.era != era {
            let isKnown = world.agents.contains {
                $0.isAlive && !$0.isPaused && $0.desk.member.membership.era > store.era
            }
            // What nobody remembers cannot be topped.
            if store.era < era, !isKnown {
                lastEpoch = [:]
                promises.forgetEpochs()
            }
            // Whoever remembers it makes another era of it, as soon as it calls.
            isForgotten = store.era < max(era, eraKnown) && isKnown
            eraKnown = isKnown ? max(era, eraKnown) : store.era
            era = store.era
            eraBegan = now
            grants = [:]
            released = []
            leases = [:]
        }
        judge(rosterAfter: call, reply, signature, store, at: now)
        judge(rightOf: signature, call, reply, store, at: now)
        switch (call, reply) {
        case (.beat(let beat), .beaten(let answer)):
            judge(beat, signature, mark: answer.time + -max(beat.lag, .zero), at: now)
        case (.claim(_, let claims), .claimed(_, _, let answers)):
            for (claim, answer) in zip(claims, answers) {
                guard case .granted(let epoch, let from, _, _) = answer else { continue }
                judge(claim, from.milliseconds, by: signature.agent, world)
                granted(claim.pair, epoch, from.milliseconds, signature, at: now)
            }
        case (.release(let holdings), .done):
            for one in holdings where grants[one.pair]?.now.agent == signature.agent {
                released.insert(one.pair)
            }
        case (.tell(let letters), .done): judge(letters, of: signature, world)
        case (.publish(let publications), .published(let answers)):
            for (one, answer) in zip(publications, answers) where answer == .written {
                written(one, signature, store.clock, world)
            }
        default: break
        }
    }

    /// Whoever does anything beside beating has beaten in this era, lately, and not since.
    private mutating func judge(
        rightOf signature: Signature,
        _ call: FleetCall,
        _ reply: FleetReply,
        _ store: StoreModel,
        at now: Int64
    ) {
        if case .refused = reply { return }
        if case .beat = call { return }
        var wrong: String?
        if signature.era != store.era { wrong = "in the era \(signature.era) of \(store.era)" }
        let lease = leases[signature.agent]
        if lease?.instance != signature.instance {
            wrong = wrong ?? "without a lease"
        } else if lease?.count != signature.count {
            wrong = wrong ?? "by a call older than its last beat"
        } else if let lease, now - max(lease.at, storeTrouble) > terms.lease.milliseconds + 1_000,
            storeFaults == 0
        {
            wrong = wrong ?? "\(now - lease.at)ms after its last beat"
        }
        guard let wrong else { return }
        fail("\(signature.agent) was served \(wrong)", at: now)
    }

    /// Whoever doubts itself has no vote.
    private mutating func judge(
        _ letters: [FleetCall.Letter],
        of signature: Signature,
        _ world: World
    ) {
        let sender = world.agents.first {
            $0.isAlive && !$0.isPaused
                && $0.desk.member.membership.instance == signature.instance
        }
        for letter in letters {
            guard case .voted(let pair, let vote) = letter.words, vote.word == .fails,
                let voter = sender,
                let doubting = voter.doubtsFor, doubting > Self.catchUp,
                isNetworkWell(since: 4_000, world.now)
            else { continue }
            fail(
                "\(voter.id) votes on \(pair.peer), and has doubted itself for \(doubting)ms",
                of: world.indices[pair],
                at: world.now
            )
        }
    }

    /// A failure takes nobody down that was found by somebody who doubted itself.
    mutating func foundDown(_ target: Int, by agent: SimulatedAgent, in world: World) {
        let now = world.now
        judge(sightOf: agent, target, world)
        guard let doubting = agent.doubtsFor, doubting > Self.sayingMax else { return }
        fail(
            "\(agent.id) finds p\(target) down, and has doubted itself for \(doubting)ms",
            of: target,
            at: now
        )
    }

    /// One process speaks for an id: another has the lease only once the first is over.
    private mutating func judge(
        _ beat: FleetCall.Beat,
        _ signature: Signature,
        mark: WallTime,
        at now: Int64
    ) {
        let before = leases[signature.agent]
        leases[signature.agent] =
            beat.state == .gone
            ? nil
            : Lease(
                instance: signature.instance,
                at: now,
                count: signature.count,
                mark: mark
            )
        guard let before, before.instance != signature.instance,
            now - before.at < terms.lease.milliseconds - 100, now - storeTrouble > 4_000,
            storeFaults == 0
        else { return }
        fail(
            "a second process has the lease of \(signature.agent), \(now - before.at)ms after a beat of the "
                + "first",
            at: now
        )
    }

    /// Whether the claim should have been granted, by what the store cannot know.
    private mutating func judge(
        _ claim: FleetCall.Claim,
        _ from: Int64,
        by agent: String,
        _ world: World
    ) {
        let (now, name) = (world.now, claim.pair.peer)
        guard let target = world.indices[claim.pair] else { return }
        let holder = grants[claim.pair]?.now.agent
        let other = world.agents.first { $0.id == holder && $0.id != agent }
        let isOtherWell =
            other.map {
                isWell($0, since: 4_000, now) && $0.isConnected
                    && $0.desk.member.membership.hasLease
            }
            ?? false
        switch claim.reason {
        case .rank:
            if heir(of: target, world.store.roster) != agent {
                fail(
                    "\(agent) was granted \(name) as its heir, which it is not",
                    of: target,
                    at: now
                )
            }
        case .keep:
            // Of whom every beat was lost for a lease has lost that, and may not know it yet.
            let isHeard = networkFaults == 0 && now - networkTrouble > 4_000
            if let other, isOtherWell, isHeard, other.holds(target) {
                fail(
                    "\(agent) was granted \(name) to keep it, while \(other.id) holds it",
                    of: target,
                    at: now
                )
            }
        case .stale:
            judge(staleClaim: claim, by: agent, at: now)
            if let other, isOtherWell, isNetworkWell(since: 4_000, now),
                other.holds(target)
            {
                fail(
                    "\(agent) took \(name) from \(other.id), which is well",
                    of: target,
                    at: now
                )
            }
        case .offer: break
        }
        // What others probe is theirs for the first lease of an era.
        if claim.reason != .keep, era != 0, now - eraBegan < terms.greeting.milliseconds - 100,
            eraBegan > 1_000, from <= now + world.epochStart + 100_000
        {
            let prober = probers[target].first { number in
                let one = world.agents[number]
                return one.id != agent && one.isAlive && !one.isPaused
                    && isWell(one, since: 4_000, now)
            }
            if let prober {
                fail(
                    "\(agent) took \(name) in a new era, while a\(prober) probes it",
                    of: target,
                    at: now
                )
            }
        }
    }

    /// Whoever has gone on since it was found late is not late any more, be it that it was a moment ago.
    private mutating func judge(
        staleClaim claim: FleetCall.Claim,
        by agent: String,
        at now: Int64
    ) {
        guard !released.contains(claim.pair), let grant = grants[claim.pair]?.now,
            grant.agent != agent, let lease = leases[grant.agent],
            lease.instance == grant.instance, now - lease.at < terms.lease.milliseconds - 100,
            lease.mark > claim.mark
        else { return }
        fail(
            "\(agent) took \(claim.pair.peer) from \(grant.agent), which has gone on for "
                + "\((lease.mark - claim.mark).milliseconds)ms since \(agent) found it late",
            at: now
        )
    }

    func isWell(_ agent: SimulatedAgent, since span: Int64, _ now: Int64) -> Bool {
        agent.isAlive && !agent.isPaused && agentFaults[agent.number] == 0
            && now - agentTrouble[agent.number] > span
    }

    func isNetworkWell(since span: Int64, _ now: Int64) -> Bool {
        storeFaults == 0 && networkFaults == 0 && now - storeTrouble > span
            && now - networkTrouble > span
    }

    private mutating func heir(of target: Int, _ roster: [String]) -> String {
        if roster != heirsOf {
            heirsOf = roster
            heirs.take(roster.map { RosterMember(id: $0, instance: 1, weight: 1) })
            while !heirs.isSettled { _ = heirs.advance() }
        }
        let first = heirs.ranks(of: PairNumber(target)).first
        return first < 0 ? "nobody" : heirs.id(of: first)
    }

    // MARK: At every moment

    /// Nothing has happened for a while: is everything as it should be?
    mutating func look(_ world: World) {
        let now = world.now
        for agent in world.agents where agent.isAlive && !agent.isPaused { agent.noteDoubt() }
        lookForStale(world)
        lookAtRosters(world)
        lookAtPromises(world)
        lookAtTheMute(world)
        let trouble = max(agentTrouble.max() ?? 0, storeTrouble, networkTrouble, cutTrouble)
        guard now - trouble > Self.calm, storeFaults == 0, networkFaults == 0, cutFaults == 0 else {
            return
        }
        let running = world.agents.filter { $0.isAlive && !$0.isPaused && !$0.isReader }
        if running.isEmpty { return }
        for (index, plan) in world.plans.enumerated() {
            let name = plan.key.peer
            if running.allSatisfy({ world.isHidden(index, from: $0.number) }) { continue }
            if now - lastProbe[index] > Self.calm {
                fail(
                    "\(name) went unprobed for \(now - lastProbe[index])ms, and nothing is wrong",
                    of: index,
                    at: now
                )
            }
            guard now - massTrouble > Self.calm, now - targetChanged[index] > Self.calm else {
                continue
            }
            guard world.isUp(index) || world.isDown(index) else { continue }
            let expected: HealthCounter.Status = world.isUp(index) ? .up : .down
            let seen = world.store.verdict(of: plan.key)?.status
            if seen != expected {
                let what = seen?.rawValue ?? "nothing"
                fail(
                    "\(name) is \(expected.rawValue) and published as \(what)",
                    of: index,
                    at: now
                )
            }
            for reader in world.agents
            where reader.isAlive && !reader.isPaused && !world.isHidden(index, from: reader.number)
            {
                let status = reader.status(of: index)
                if status.rawValue == expected.rawValue { continue }
                fail(
                    "\(name) is \(expected.rawValue), and \(reader.id) shows it \(status.rawValue)",
                    of: index,
                    at: now
                )
            }
        }
    }

    /// Who has the roster of that number has that roster.
    private mutating func lookAtRosters(_ world: World) {
        for agent in world.agents where agent.isAlive && !agent.isPaused {
            let membership = agent.desk.member.membership
            let (era, number) = world.store.rosterName
            guard membership.hasLease, membership.era == era, membership.roster.number == number,
                rostersSeen[agent.number]?.number != number
                    || rostersSeen[agent.number]?.era != era
                    || rostersSeen[agent.number]?.life != agent.life
            else { continue }
            rostersSeen[agent.number] = (era, number, agent.life)
            let ids = membership.roster.members.map(\.id).sorted()
            if ids == world.store.roster { continue }
            fail(
                "\(agent.id) takes \(ids) for the roster \(number), which is \(world.store.roster)",
                at: world.now
            )
        }
    }

    /// Whatever is shown as known has been looked at, or was read as news, within the life of a verdict.
    private mutating func lookForStale(_ world: World) {
        let now = world.now
        for reader in world.agents where reader.isAlive && !reader.isPaused {
            // Who stood still reads first what came meanwhile.
            if now - agentTrouble[reader.number] < Self.catchUp { continue }
            for index in world.plans.indices where reader.status(of: index) != .unknown {
                // What cannot be heard stands still.
                let age = now - max(lastTried[index], reader.readAt[index], reader.unheardAt)
                if age <= lifeMax { continue }
                fail(
                    "\(reader.id) shows p\(index) \(reader.status(of: index).rawValue), which nobody "
                        + "has looked at for \(age)ms",
                    of: index,
                    at: now
                )
            }
        }
    }

    private mutating func granted(
        _ pair: VerdictKey,
        _ epoch: UInt64,
        _ from: Int64,
        _ signature: Signature,
        at now: Int64
    ) {
        let agent = signature.agent
        released.remove(pair)
        if let last = lastEpoch[pair], !isForgotten {
            let isSame = last.epoch == epoch && last.agent == agent
            if epoch <= last.epoch && !isSame {
                fail(
                    "\(pair.peer) was granted to \(agent) under epoch \(epoch), after \(last.agent) had "
                        + "it under \(last.epoch)",
                    at: now
                )
            }
        }
        lastEpoch[pair] = (epoch, agent)
        let grant = Grant(epoch: epoch, agent: agent, instance: signature.instance, from: from)
        let before = grants[pair]?.now
        if let before, before.epoch == epoch {
            grants[pair]?.now = grant
        } else {
            grants[pair] = (grant, before)
        }
    }

    private mutating func written(
        _ one: FleetCall.Publication,
        _ signature: Signature,
        _ clock: Int64,
        _ world: World
    ) {
        let (now, agent) = (world.now, signature.agent)
        let held = grants[one.pair]
        let isHolder = held.map { $0.now.epoch == one.epoch && $0.now.agent == agent } ?? false
        // The store's clock may have been set back, so its time is compared loosely.
        let wasHolder =
            held.map {
                $0.before?.epoch == one.epoch && $0.before?.agent == agent
                    && clock < $0.now.from + 10_000
            } ?? false
        if !isHolder && !wasHolder {
            let who =
                held.map { "\($0.now.agent) holds it under \($0.now.epoch)" } ?? "nobody holds it"
            fail(
                "\(agent) wrote \(one.pair.peer) under epoch \(one.epoch), and \(who)",
                of: world.indices[one.pair],
                at: now
            )
        }
        guard let verdict = one.verdict else { return }
        if verdict.status == .down, published[one.pair] != .down {
            falls += 1
            world.note(world.indices[one.pair]) {
                "store: \(agent) writes that \(one.pair.peer) is down"
            }
            judge(fallOf: one.pair, by: agent, world)
            judge(doubtOf: signature, verdict, world)
        }
        published[one.pair] = verdict.status
    }

    /// Nobody but its owner could have found it down, and others could have been asked.
    private mutating func judge(fallOf pair: VerdictKey, by agent: String, _ world: World) {
        let roster = world.store.roster
        let asked = setting.confirm.electors(beside: setting.observers - 1, of: roster.count)
        guard let target = world.indices[pair], asked > 0 else { return }
        let now = world.now
        let others = roster.filter { $0 != agent }
        guard !others.isEmpty, world.store.roster.contains(agent) else { return }
        let wasUp = world.isUp(target) && now - targetChanged[target] > Self.memory
        // A store that stood still and is back is no excuse: whoever can be asked again is asked first.
        let isQuiet =
            now - eraBegan > Self.memory && now - networkTrouble > Self.memory
            && storeFaults == 0 && networkFaults == 0
        let areWell = others.allSatisfy { id in
            guard let other = world.agents.first(where: { $0.id == id }) else { return false }
            return other.isAlive && !other.isPaused && agentFaults[other.number] == 0
                && (now - agentTrouble[other.number] > Self.memory
                    || promises.isBackFor(Self.witnessMin, other.number, at: now))
                && world.canProbe(target, from: other.number)
                && promises.hasReached(target, from: other.number, for: Self.memory, at: now)
        }
        if wasUp && isQuiet && areWell {
            fail(
                "\(pair.peer) was published down by \(agent) alone, while it was up for all others",
                of: target,
                at: now
            )
        }
    }

    /// Whoever doubts itself says of nobody that it is down.
    private mutating func judge(
        doubtOf signature: Signature,
        _ verdict: Verdict,
        _ world: World
    ) {
        let writer = world.agents.first {
            $0.isAlive && $0.desk.member.membership.instance == signature.instance
        }
        guard let agent = writer, let doubting = agent.doubtsFor,
            let target = world.indices[verdict.key], let foundAt = agent.foundDown(target)
        else { return }
        // What it found before may be written long after, where the store stalled.
        let found = world.now - foundAt
        if found + Self.sayingMax > doubting { return }
        fail(
            "\(verdict.key.peer) was published down by \(agent.id), which found it \(found)ms ago and has "
                + "doubted itself for \(doubting)ms",
            of: target,
            at: world.now
        )
    }

    // MARK: At the agents

    mutating func probed(_ target: Int, by agent: Int, _ isProbed: Bool, at now: Int64) {
        if isProbed { probers[target].insert(agent) } else { probers[target].remove(agent) }
    }

    mutating func shown(
        _ target: Int,
        to reader: SimulatedAgent,
        _ verdict: Verdict,
        before: Verdict?,
        at now: Int64
    ) {
        guard let before, before.isNewer(than: verdict) else { return }
        fail(
            "\(reader.id) knew of p\(target) the word (\(before.epoch), \(before.sequence)), and then "
                + "the earlier (\(verdict.epoch), \(verdict.sequence))",
            of: target,
            at: now
        )
    }

    mutating func sawTwo(
        _ target: Int,
        _ reader: SimulatedAgent,
        _ one: String,
        _ other: String,
        at now: Int64
    ) {
        fail(
            "\(reader.id) reads of p\(target) under one epoch what \(one) and \(other) wrote",
            of: target,
            at: now
        )
    }

    // MARK: At the targets

    mutating func begun(_ target: Int, isAsked: Bool, at now: Int64) {
        lastTried[target] = now
        if !isAsked { promises.begun(target, at: now) }
    }

    mutating func arrived(_ target: Int, from agent: Int, isAsked: Bool, at now: Int64) {
        if isAsked { return }
        if now > Self.begun {
            gaps[target] = max(gaps[target], now - max(lastProbe[target], Self.begun))
        }
        probesFrom[target][agent, default: 0] += 1
        if now > quietFrom {
            longestGap[target] = max(longestGap[target], now - max(lastProbe[target], quietFrom))
            probes[target] += 1
        }
        lastProbe[target] = now
        // Twice is when somebody else's probe lies between two of one agent's.
        let before = lastFrom[target][agent] ?? 0
        let other = lastFrom[target].filter { $0.key != agent && $0.value > before }
            .max { $0.value < $1.value }
        lastFrom[target][agent] = now
        // One that came back after a while begins anew.
        guard let other, now - before <= 2 * setting.interval(of: target).milliseconds else {
            if other == nil { doubleSince[target] = .max }
            return
        }
        doubleSince[target] = min(doubleSince[target], before)
        let excused = [agent, other.key].map { agentFaults[$0] > 0 ? now : agentTrouble[$0] }.max()
        let since = max(
            doubleSince[target],
            excused ?? 0,
            storeFaults > 0 ? now : storeTrouble,
            networkFaults > 0 ? now : networkTrouble
        )
        // One that is excused by somebody's trouble is no beginning of another that is not.
        doubleSince[target] = since
        if now - since > Self.doubleMax {
            fail(
                "a\(agent) and a\(other.key) both probe p\(target), for \(now - since)ms",
                of: target,
                at: now
            )
        }
    }

    mutating func target(_ target: Int, isUp: Bool, at now: Int64) { targetChanged[target] = now }

    // MARK: What excuses

    mutating func note(_ fault: Fault, at now: Int64) { count(fault, by: 1, at: now) }
    mutating func noteEnd(of fault: Fault, at now: Int64) { count(fault, by: -1, at: now) }

    private mutating func count(_ fault: Fault, by step: Int, at now: Int64) {
        let isLasting = fault.length > 0
        promises.note(fault, isOver: step < 0, at: now, trouble: agentTrouble)
        switch fault.kind {
        case .crash(let agent), .pause(let agent), .leave(let agent), .cutFromStore(let agent),
            .otherCatalogue(let agent, _), .slowReading(let agent), .slowCalls(let agent):
            agentTrouble[agent] = now
            if isLasting { agentFaults[agent] += step }
        case .cutFromTargets(let agent), .socketsFail(let agent):
            agentTrouble[agent] = now
            agentFaults[agent] += step
            cutTrouble = now
            cutFaults += step
        case .cutFromTarget:
            // Nobody is excused by it but who cannot reach it.
            cutTrouble = now
            cutFaults += step
        // Whatever it does, the one that was there first goes on; whoever is started anew meanwhile waits.
        case .twin(let agent): agentTrouble[agent] = now
        case .agentClock: break
        case .manySilent: massTrouble = step > 0 ? .max / 2 : now
        case .targetDown, .targetSilent, .targetFlaky, .targetMute: break
        case .storeStalls, .storeRefuses, .storeForbids, .storeGone, .failover, .flush, .storeClock:
            storeTrouble = now
            if isLasting { storeFaults += step }
        case .badNetwork:
            networkTrouble = now
            if isLasting { networkFaults += step }
        }
    }

    // MARK: In the end

    mutating func finish(_ world: World) {
        let now = world.now
        let alive = world.agents.filter { $0.isAlive }
        let names = alive.filter { !$0.isReader }.map(\.id).sorted()
        if names.isEmpty { return }
        if world.store.roster != names {
            fail("in the end \(names) live, and the roster is \(world.store.roster)", at: now)
        }
        for (index, plan) in world.plans.enumerated() {
            let heir = heir(of: index, names)
            let who = probers[index].sorted().map { "a\($0)" }
            if who != [heir] {
                fail(
                    "in the end p\(index) is probed by \(who), and \(heir) is its heir",
                    of: index,
                    at: now
                )
            }
            let lookers = alive.filter { $0.observes(index) }.map(\.id).sorted()
            let beside = heirs.order(of: PairNumber(index)).dropFirst()
                .prefix(setting.observers - 1).map { heirs.id(of: $0) }.sorted()
            if lookers != beside {
                fail(
                    "in the end p\(index) is looked at by \(lookers) beside its holder, and it should be by \(beside)",
                    of: index,
                    at: now
                )
            }
            let holder = world.store.holding(of: plan.key)?.agent ?? "nobody"
            if holder != heir {
                fail(
                    "in the end \(holder) holds p\(index), and \(heir) is its heir",
                    of: index,
                    at: now
                )
            }
            let gap = max(longestGap[index], now - max(lastProbe[index], quietFrom))
            let interval = setting.interval(of: index).milliseconds
            if gap > interval * 3 / 2 {
                fail("in the end p\(index) went unprobed for \(gap)ms", of: index, at: now)
            }
            let expected = Int((now - quietFrom) / interval)
            if probes[index] > expected + 3 {
                fail(
                    "in the end p\(index) was probed \(probes[index]) times in \(expected) intervals",
                    of: index,
                    at: now
                )
            }
            for reader in alive {
                let read = reader.verdict(of: index)
                if read?.status != .up || read?.agent != heir || reader.status(of: index) != .up {
                    let what = read.map { "\($0.status.rawValue) by \($0.agent)" } ?? "nothing"
                    fail("in the end \(reader.id) reads of p\(index) \(what)", of: index, at: now)
                }
            }
        }
        for reader in alive where !reader.isToldAll() {
            fail("in the end \(reader.id) was told another status than its board shows", at: now)
        }
    }
}
