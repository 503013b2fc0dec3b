// Whole fleets of real schedulers, doors and boards in virtual time, with the model of the store between them.

import Checks
import DNS
import EventLoop
import Fleet
import Health
import Monitor
import Simulation
import TestSupport
import Vocabulary

@testable import Store

/// What becomes of calls.
enum StoreState { case fine, away, unwritable }

// MARK: The rig

/// Agents, targets and a store, in virtual time. Confined to its loop's thread.
final class FleetRig: @unchecked Sendable {
    struct Visit {
        var agent: String
        var at: Instant
    }

    final class Agent {
        let desk: FleetDesk
        let board: Board
        let scheduler: Scheduler
        let heartbeats: Heartbeats
        let wire: ModelWire
        let resolver: Resolver
        let services: Services
        var catalogue = Catalogue()

        init(_ id: String, weight: Double, in rig: FleetRig) throws {
            let loop = rig.loop
            board = Board(loop: loop)
            resolver = try Resolver(on: loop, configuration: ResolverConfiguration())
            heartbeats = Heartbeats(began: loop.instant)
            services = Services(loop: loop)
            var setting = FleetDesk.Setting(agent: id)
            setting.massChange = MassChange.Rule(action: rig.action)
            setting.weight = weight
            desk = FleetDesk(setting, on: loop, journal: rig.lines.journal)
            wire = ModelWire(rig, desk: desk, board: board)
            let door = Door(agent: id, board: board, store: wire, epoch: 1)
            scheduler = Scheduler(
                loop: loop,
                resolver: LoopBound(resolver, on: loop),
                door: door,
                heartbeats: heartbeats,
                services: LoopBound(services, on: loop),
                journal: rig.lines.journal
            )
            scheduler.join(desk)
        }
    }

    let loop: EventLoop
    let action: MassChange.Action
    let lines = Lines()
    private let upstreams: (FleetRig, String, String) -> [MonitoredUpstream]
    var model: StoreModel
    var store = StoreState.fine
    var storeBehind = Nanoseconds.zero
    private(set) var agents: [String: Agent] = [:]
    private var ended: [Agent] = []
    var answer: @Sendable (_ agent: String, _ address: String) -> Outcome = { _, _ in .pass }
    private(set) var visits: [String: [Visit]] = [:]
    /// So many were told since `begin`.
    fileprivate(set) var letters = 0
    private var began: Instant

    private init(
        on loop: EventLoop,
        peers: Int,
        fall: Int,
        _ interval: Nanoseconds,
        _ fastInterval: Nanoseconds,
        _ action: MassChange.Action,
        _ observers: Int,
        _ confirm: Confirmation?
    ) {
        self.loop = loop
        self.action = action
        model = StoreModel(clock: loop.wall.milliseconds, replid: 1)
        began = loop.instant
        upstreams = { rig, id, name in
            let home = LoopBound(rig, on: loop)
            let script = Script { target in home.value.visit(target, by: id) }
            var upstream = MonitoredUpstream.scripted(
                name,
                peers: (1...peers).map {
                    "10.\(name == "web" ? 0 : 1).\($0 / 8).\($0 % 8):80"
                },
                script: script,
                interval: interval,
                fastInterval: fastInterval,
                fall: fall
            )
            upstream.monitors[0].observers = observers
            upstream.monitors[0].confirm = confirm
            return [upstream]
        }
    }

    static func run(
        peers: Int,
        fall: Int = 2,
        interval: Nanoseconds = .seconds(1),
        fastInterval: Nanoseconds = .seconds(1),
        action: MassChange.Action = .hold,
        observers: Int = 1,
        confirm: Confirmation? = nil,
        _ body: @escaping @Sendable (FleetRig) async throws -> Void
    ) async throws {
        let loop = try EventLoop.spawn(virtual: "fleet")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            let rig = FleetRig(
                on: loop,
                peers: peers,
                fall: fall,
                interval,
                fastInterval,
                action,
                observers,
                confirm
            )
            do {
                try await body(rig)
            } catch {
                await rig.end()
                throw error
            }
            await rig.end()
        }
    }

    private func end() async {
        for agent in Array(agents.values) + ended {
            agent.desk.close()
            agent.wire.close()
            await agent.scheduler.stop()
            await agent.services.stop()
            agent.board.close()
            agent.resolver.close()
        }
    }

    func start(_ id: String, defining upstream: String = "web", weight: Double = 1) throws {
        let agent = try Agent(id, weight: weight, in: self)
        agents[id] = agent
        let changes = agent.catalogue.set(.file, upstreams(self, id, upstream))
        agent.board.apply(changes.map(\.summarised))
        agent.wire.read()
        agent.desk.start(on: agent.wire)
        agent.scheduler.apply(changes)
    }

    /// It reads its file again, which has one more upstream.
    func define(_ name: String, at id: String) {
        guard let agent = agents[id] else { return }
        let changes = agent.catalogue.set(
            .file,
            upstreams(self, id, "web") + upstreams(self, id, name)
        )
        agent.board.apply(changes.map(\.summarised))
        agent.scheduler.apply(changes)
    }

    /// Who visited each peer within the last two seconds.
    func probers(of upstream: String) -> [[String]] {
        visits.filter { $0.key.hasPrefix(upstream == "web" ? "10.0." : "10.1.") }
            .map { _, visits in
                Set(visits.filter { loop.instant - $0.at < .seconds(2) }.map(\.agent)).sorted()
            }
    }

    /// From one moment to the next.
    func kill(_ id: String) {
        guard let agent = agents.removeValue(forKey: id) else { return }
        agent.desk.close()
        agent.wire.close()
        agent.scheduler.close()
        ended.append(agent)
    }

    func pass(_ span: Nanoseconds) async { await loop.advance(by: span) }

    func comes(_ isSo: @escaping () -> Bool) async -> Bool {
        await loop.advance(by: .seconds(600), until: isSo)
    }

    // MARK: Targets

    private func visit(_ target: Target, by agent: String) -> Outcome {
        let address = "\(target.address)"
        visits[address, default: []].append(Visit(agent: agent, at: loop.instant))
        return answer(agent, address)
    }

    /// Looks at what comes from now on; who was visited last stays known.
    func begin() {
        began = loop.instant
        letters = 0
        for address in visits.keys { visits[address] = visits[address]?.suffix(1) }
    }

    private var gaps: [Nanoseconds] {
        visits.values.flatMap { visits in
            zip(visits, visits.dropFirst()).map { $1.at - $0.at }
                + [loop.instant - (visits.last?.at ?? began)]
        }
    }

    func longestGap() -> Nanoseconds { gaps.max() ?? .zero }

    func shortestGap() -> Nanoseconds {
        visits.values.flatMap { visits in zip(visits, visits.dropFirst()).map { $1.at - $0.at } }
            .min() ?? .zero
    }

    /// Every status that some agent shows now.
    var statuses: Set<String> {
        Set(
            agents.values.flatMap { agent in
                agent.board.upstream(named: "web")?.peers.map(\.view.status.rawValue) ?? []
            }
        )
    }
}

/// The way of one agent to the model of the store, and what a store does beside it. Confined to its loop's thread.
final class ModelWire: FleetWire, Store {
    private let rig: FleetRig
    private unowned let desk: FleetDesk
    private let board: Board
    private let timers: Timers
    private var book: FencedBook<Verdict>
    private var isOpen = true
    let status: StoreStatus

    init(_ rig: FleetRig, desk: FleetDesk, board: Board) {
        self.rig = rig
        self.desk = desk
        self.board = board
        timers = Timers(loop: rig.loop)
        book = FencedBook(of: desk.setting.agent, on: Shelf())
        book.share()
        status = StoreStatus(kind: "model", isConnected: true, since: rig.loop.wall)
        reconcile()
    }

    /// Renewals wake nobody.
    private func reconcile() {
        guard isOpen else { return }
        timers.schedule(after: RedisStore.reconcileEveryDefault) { [unowned self] in
            read()
            reconcile()
        }
    }

    func close() {
        isOpen = false
        timers.cancelAll()
    }

    private func later(_ body: @escaping () -> Void) {
        if isOpen { timers.schedule(after: .milliseconds(1), body) }
    }

    // MARK: Calls

    func post(_ signature: Signature, _ call: FleetCall, _ done: @escaping (WireAnswer) -> Void) {
        if rig.store == .away { return later { done(.lost) } }
        later { [self] in
            if rig.store == .unwritable { return later { done(.unwritten) } }
            rig.model.clock = (rig.loop.wall + -rig.storeBehind).milliseconds
            let reply = rig.model.perform(signature, call)
            for letter in rig.model.takeLetters() {
                rig.letters += 1
                guard let to = rig.agents[letter.to] else { continue }
                to.wire.later { to.desk.heard(letter.words) }
            }
            let changed = rig.model.takeChanged().compactMap { rig.model.verdict(of: $0) }
            for agent in rig.agents.values where !changed.isEmpty {
                agent.wire.later { for verdict in changed { agent.wire.read(verdict) } }
            }
            later { done(.reply(reply)) }
        }
    }

    /// All that lies there.
    func read() {
        if rig.store == .away { return }
        for verdict in rig.model.verdicts.values { read(verdict) }
    }

    private func read(_ verdict: Verdict) {
        // Written at each probe here, and vouched for by whoever holds the pair and wrote it.
        let holding = rig.model.holding(of: verdict.key)
        desk.heard(verdict, vouchedBy: holding?.agent == verdict.agent ? holding?.instance ?? 0 : 0)
        let (heard, word) = book.hear(
            verdict,
            vouchedBy: 0,
            isTwin: desk.isTaken,
            isHearing: true,
            now: rig.loop.wall,
            mark: { _, _ in nil }
        )
        if heard == .news || heard == .aside { board.storeChanged(word) }
    }

    func newest(_ key: VerdictKey) -> (record: Verdict, isCurrent: Bool)? {
        book.outbox.newest(key, at: rig.loop.wall).map { ($0.record, false) }
    }
    func sent(_ verdict: Verdict) { book.outbox.sent(verdict) }
    func wrote(_ verdict: Verdict, isVouched: Bool) {
        book.wrote(verdict, isVouched: isVouched)
    }
    func noteRefused(_ key: VerdictKey) {}
    func letGo(_ key: VerdictKey) { book.outbox.letGo(key) }
    func giveUp(_ key: VerdictKey) {
        if let verdict = book.giveUp(key, mark: { _, _ in nil }) { board.storeChanged(verdict) }
    }
    func standingChanged() {}

    func announce(_ sign: FleetSign, by instance: String) {
        for agent in rig.agents.values {
            agent.wire.later { agent.desk.heard(sign, by: instance) }
        }
    }

    // MARK: Store

    func start(_ observer: any StoreObserver) {}
    func publish<R: FencedRecord>(_ record: R, isTransition: Bool) {
        guard let verdict = record as? Verdict else { return }
        _ = book.say(verdict, isTransition: isTransition, now: rig.loop.wall, vouches: false)
        for (key, isUrgent) in book.outbox.drain() { desk.say(key, isUrgent: isUrgent) }
    }
    func forget<R: FencedRecord>(_ type: R.Type, _ key: R.Key) {}
    func change<W: Wish>(
        _ wish: W.Type,
        _ change: W.Change,
        of key: W.Key,
        expecting expected: UInt64?
    ) async throws(StoreError) -> Acknowledgement { Acknowledgement(.everywhere, stampSum: 0) }
    func stampSum(of upstream: String) -> UInt64 { 0 }
    func refresh(_ upstream: String) async throws(StoreError) {}
    func stop() async {}
}
