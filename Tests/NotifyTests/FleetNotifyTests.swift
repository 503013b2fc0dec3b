// Is each change told once though several agents could tell it: while all is well, when the one that tells dies,
// and when the store was away? Notifiers of several agents in virtual time, on a wire that can be cut.

import Checks
import EventLoop
import Health
import Store
import Synchronization
import Testing
import Vocabulary

@testable import Notify

private let web = (1...3).map { PeerKey(upstream: "web", peer: "10.0.0.\($0):80") }

/// What agents say to one another by the store; nothing while that is away.
private final class Wire {
    var isAway = false
    var ends: [End] = []

    final class End: NotifyFleet {
        let agent: String
        var onNotify: ((FleetSign) -> Void)?
        var isAlive = true
        private let wire: Wire

        init(_ agent: String, _ wire: Wire) {
            (self.agent, self.wire) = (agent, wire)
            wire.ends.append(self)
        }

        var isAway: Bool { wire.isAway }
        var memberNames: Set<String> {
            Set(wire.ends.lazy.filter(\.isAlive).map(\.agent))
        }

        func announce(_ sign: FleetSign) {
            if wire.isAway || !isAlive { return }
            for end in wire.ends where end !== self && end.isAlive { end.onNotify?(sign) }
        }
    }
}

/// One agent with a board of its own.
private final class Agent {
    let name: String
    let board: Board
    let notifier: Notifier
    let end: Wire.End
    private let loop: EventLoop
    private var sequence: UInt64 = 0

    init(_ name: String, _ wire: Wire, _ loop: EventLoop, _ told: Told) {
        (self.name, self.loop) = (name, loop)
        board = Board(loop: loop, strangerTime: .zero)
        end = Wire.End(name, wire)
        notifier = Notifier(agent: name, board: board, on: loop, fleet: end)
        var rules = HeraldRules()
        (rules.group, rules.flap) = (.seconds(1), nil)
        let way = CommandWay(words: ["true"], environment: [])
        notifier.define([Receiver(name: "ops", way: .command(way), rules: rules)])
        let monitor = MonitorSummary(
            upstream: "web",
            id: "tcp",
            kind: "tcp",
            isRequired: true,
            rise: 1,
            fall: 1,
            interval: .seconds(1)
        )
        let peers = web.compactMap { Address(text: $0.peer) }.map { PeerDefinition(address: $0) }
        board.define([UpstreamDefinition(name: "web", peers: peers)], monitors: [monitor])
        notifier.start { batch, _ in told.take(batch, by: name) }
    }

    /// It hears of a verdict of `agent`, or finds it itself.
    func hears(_ peer: PeerKey, _ isUp: Bool, by agent: String) {
        sequence += 1
        board.apply(
            Verdict(
                key: VerdictKey(upstream: peer.upstream, peer: peer.peer, monitor: "tcp"),
                kind: "tcp",
                status: isUp ? .up : .down,
                health: isUp ? 1 : 0,
                rise: 1,
                fall: 1,
                reason: isUp ? .layer4OK : .layer4Connect,
                latency: .zero,
                since: loop.wall,
                checkedAt: loop.wall,
                expiresAt: loop.wall + .seconds(86_400),
                agent: agent,
                epoch: UInt64(loop.wall.milliseconds),
                sequence: sequence
            )
        )
    }

    /// As SIGTERM does.
    func end() async {
        await notifier.stop()
        end.isAlive = false
        board.close()
    }

    /// Kill -9: it says nothing and sends nothing any more.
    func die() async {
        end.isAlive = false
        await notifier.stop()
        board.close()
    }
}

/// What the receiver took, and from whom.
private final class Told: Sendable {
    private let state = Mutex<[(String, String)]>([])

    func take(_ batch: Batch, by agent: String) -> OutgoingEnd {
        let words = batch.notices.map { ("\($0.kind.rawValue) \($0.peer.peer)", agent) }
        state.withLock { $0 += words }
        return .arrived
    }

    var words: [String] { state.withLock { $0.map { $0.0 } } }
    var agents: Set<String> { state.withLock { Set($0.map { $0.1 }) } }
}

@Suite struct FleetNotifyTests {
    private func onLoop(
        _ body: @escaping @Sendable (EventLoop) async throws -> Void
    ) async throws {
        let loop = try EventLoop.spawn(virtual: "fleet")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) { try await body(loop) }
    }

    private static func fleet(_ loop: EventLoop) -> (Wire, Told, [Agent]) {
        let (wire, told) = (Wire(), Told())
        let agents = ["a1", "a2", "a3"].map { Agent($0, wire, loop, told) }
        for agent in agents { for peer in web { agent.hears(peer, true, by: "a1") } }
        return (wire, told, agents)
    }

    @Test func `one agent tells, and the next goes on when it dies`() async throws {
        try await onLoop { loop in
            let (_, told, agents) = Self.fleet(loop)
            await loop.advance(by: .seconds(20))
            for agent in agents { agent.hears(web[0], false, by: "a1") }
            await loop.advance(by: .seconds(10))
            #expect(told.words == ["trouble \(web[0].peer)"])
            let teller = try #require(told.agents.first)
            // It dies with the word on its lips.
            for agent in agents { agent.hears(web[1], false, by: "a1") }
            await loop.advance(by: .milliseconds(500))
            for agent in agents where agent.name == teller { await agent.die() }
            await loop.advance(by: .seconds(30))
            #expect(told.words == ["trouble \(web[0].peer)", "trouble \(web[1].peer)"])
            #expect(told.agents.count == 2)
            for agent in agents where agent.name != teller {
                #expect(agent.notifier.status.first?.waiting == 0)
                await agent.die()
            }
        }
    }

    /// Nobody knows then what was told, but for what each has written down.
    @Test(arguments: [0, 300, 950, 1_500, 4_000, 7_000], 0..<3)
    func `what agents that start together find is told, and once`(
        pause: Int,
        first: Int
    ) async throws {
        try await onLoop { loop in
            let (wire, told) = (Wire(), Told())
            var agents: [Agent] = []
            for number in 0..<3 {
                let agent = Agent("a\((first + number) % 3 + 1)", wire, loop, told)
                agents.append(agent)
                agent.hears(web[0], false, by: "a1")
                await loop.advance(by: .milliseconds(Int64(pause)))
            }
            await loop.advance(by: .seconds(40))
            #expect(told.words == ["trouble \(web[0].peer)"])
            for agent in agents {
                #expect(agent.notifier.status.first?.waiting == 0)
                await agent.die()
            }
        }
    }

    @Test func `who takes over tells what is, and not what is over`() async throws {
        try await onLoop { loop in
            let (_, told, agents) = Self.fleet(loop)
            await loop.advance(by: .seconds(20))
            for agent in agents { agent.hears(web[0], false, by: "a1") }
            await loop.advance(by: .seconds(10))
            let teller = try #require(told.agents.first)
            let rest = agents.filter { $0.name != teller }
            for agent in agents where agent.name == teller { await agent.die() }
            for peer in [web[1], web[2]] {
                for agent in rest { agent.hears(peer, false, by: "a2") }
            }
            for agent in rest { agent.hears(web[1], true, by: "a2") }
            await loop.advance(by: .seconds(30))
            #expect(told.words == ["trouble \(web[0].peer)", "trouble \(web[2].peer)"])
            for agent in rest {
                #expect(
                    agent.notifier.status.first?.waiting == 0 || !told.agents.contains(agent.name)
                )
                await agent.die()
            }
        }
    }

    /// Its first probe finds the peer down when it listens still.
    @Test(arguments: [0, 3, 6], [false, true])
    func `one that comes back does not tell again what another told`(
        seconds: Int,
        isKilled: Bool
    )
        async throws
    {
        try await onLoop { loop in
            let (wire, told, agents) = Self.fleet(loop)
            await loop.advance(by: .seconds(20))
            for agent in agents { agent.hears(web[0], false, by: "a1") }
            await loop.advance(by: .seconds(10))
            let teller = try #require(told.agents.first)
            let rest = agents.filter { $0.name != teller }
            let gone = try #require(agents.first { $0.name == teller })
            if isKilled { await gone.die() } else { await gone.end() }
            for agent in rest { agent.hears(web[1], false, by: "a1") }
            await loop.advance(by: .seconds(20))
            #expect(told.words.count == 2 && told.agents.count == 2)
            let again = Agent(teller, wire, loop, told)
            for peer in web { again.hears(peer, true, by: "a1") }
            await loop.advance(by: .milliseconds(Int64(seconds) * 1_000 + 100))
            for peer in [web[0], web[1]] { again.hears(peer, false, by: "a1") }
            await loop.advance(by: .seconds(40))
            #expect(told.words.count == 2, "\(told.words)")
            for agent in rest + [again] { await agent.die() }
        }
    }

    /// And nothing that comes about meanwhile is lost or told twice, whenever that is.
    @Test(arguments: [0, 2, 5, 7, 8, 9, 10, 11, 12, 15], [50, 500, 950])
    func `what comes about while one comes back is told once`(
        seconds: Int,
        milliseconds: Int
    )
        async throws
    {
        try await onLoop { loop in
            let (wire, told, agents) = Self.fleet(loop)
            await loop.advance(by: .seconds(20))
            for agent in agents { agent.hears(web[0], false, by: "a1") }
            await loop.advance(by: .seconds(10))
            let teller = try #require(told.agents.first)
            let rest = agents.filter { $0.name != teller }
            for agent in agents where agent.name == teller { await agent.die() }
            await loop.advance(by: .seconds(5))
            let again = Agent(teller, wire, loop, told)
            for peer in web { again.hears(peer, peer != web[0], by: "a1") }
            await loop.advance(by: .milliseconds(Int64(seconds * 1_000 + milliseconds)))
            // They do not hear of it in the same moment.
            again.hears(web[1], false, by: "a1")
            await loop.advance(by: .milliseconds(200))
            for agent in rest { agent.hears(web[1], false, by: "a1") }
            for agent in rest { agent.hears(web[2], false, by: "a1") }
            await loop.advance(by: .milliseconds(200))
            again.hears(web[2], false, by: "a1")
            await loop.advance(by: .seconds(40))
            #expect(told.words.sorted() == web.map { "trouble \($0.peer)" }, "\(told.words)")
            for agent in rest + [again] { await agent.die() }
        }
    }

    @Test func `while the store is away each tells of its own, and nobody tells it again after`()
        async throws
    {
        try await onLoop { loop in
            let (wire, told, agents) = Self.fleet(loop)
            await loop.advance(by: .seconds(20))
            wire.isAway = true
            await loop.advance(by: .seconds(5))
            // Each finds one of its own down, and the others do not hear of it.
            for (agent, peer) in zip(agents, web) { agent.hears(peer, false, by: agent.name) }
            await loop.advance(by: .seconds(10))
            #expect(Set(told.words) == Set(web.map { "trouble \($0.peer)" }))
            #expect(told.agents.count == 3)
            // The store is back, and all hear of all.
            wire.isAway = false
            for (agent, peer) in zip(agents, web) {
                for other in agents where other !== agent {
                    other.hears(peer, false, by: agent.name)
                }
            }
            await loop.advance(by: .seconds(60))
            #expect(told.words.count == 3, "\(told.words)")
            for agent in agents {
                #expect(agent.notifier.status.first?.waiting == 0)
                await agent.die()
            }
        }
    }

    @Test func `a newcomer tells nothing that others have told`() async throws {
        try await onLoop { loop in
            let (wire, told, agents) = Self.fleet(loop)
            await loop.advance(by: .seconds(20))
            for agent in agents { agent.hears(web[0], false, by: "a1") }
            await loop.advance(by: .seconds(10))
            // Some of those that come would be the one that tells.
            var newcomers: [Agent] = []
            for number in 4...9 {
                let newcomer = Agent("a\(number)", wire, loop, told)
                newcomer.hears(web[0], false, by: "a1")
                newcomers.append(newcomer)
            }
            await loop.advance(by: .seconds(60))
            #expect(told.words == ["trouble \(web[0].peer)"])
            for agent in agents + newcomers {
                agent.hears(web[0], true, by: "a1")
            }
            await loop.advance(by: .seconds(20))
            #expect(told.words == ["trouble \(web[0].peer)", "resolved \(web[0].peer)"])
            for agent in agents + newcomers { await agent.die() }
        }
    }
}
