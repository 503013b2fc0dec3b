// Do schedulers probe what the fleet gives them, each slot once and none by nobody? Real schedulers, doors and boards
// on one virtual loop, with the model of the store between them.

import Checks
import DNS
import EventLoop
import Fleet
import Health
import Monitor
import Simulation
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct FleetSchedulingTests {
    private static let peers = 120

    @Test func `three agents probe each peer once an interval`() async throws {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.begin()
            await rig.pass(.seconds(10))
            #expect(rig.visits.values.allSatisfy { (10...11).contains($0.count) })
            #expect(rig.longestGap() <= .milliseconds(1_010))
            for id in ["a1", "a2", "a3"] {
                let share = rig.visits.values.count { $0.allSatisfy { $0.agent == id } }
                #expect((30...50).contains(share), "\(id): \(share)")
            }
            #expect(rig.statuses == ["up"])
        }
    }

    /// A slot that begins late, because wake-ups are gathered, is not the next holder's for it.
    @Test func `of a pair that changes hands no slot is left out, and none comes twice`()
        async throws
    {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.begin()
            try rig.start("a3")
            await rig.pass(.seconds(10))
            #expect(rig.longestGap() <= .milliseconds(1_010))
            #expect(rig.shortestGap() >= .milliseconds(990))
            let leaver = try #require(rig.agents["a1"])
            rig.begin()
            let home = LoopBound(leaver, on: rig.loop)
            let left = Task(executorPreference: rig.loop) { await home.value.desk.leave() }
            await rig.pass(.seconds(5))
            await left.value
            #expect(rig.longestGap() <= .milliseconds(1_210))
            #expect(Set(rig.visits.values.compactMap(\.last?.agent)) == ["a2", "a3"])
            #expect(rig.statuses == ["up"])
        }
    }

    @Test func `what was given away and comes back is probed again`() async throws {
        try await FleetRig.run(peers: Self.peers) { rig in
            try rig.start("a1")
            await rig.pass(.seconds(5))
            for _ in 0..<3 {
                try rig.start("a2")
                await rig.pass(.seconds(8))
                #expect(Set(rig.visits.values.compactMap(\.last?.agent)) == ["a1", "a2"])
                rig.begin()
                rig.kill("a2")
                await rig.pass(.seconds(6))
                #expect(Set(rig.visits.values.compactMap(\.last?.agent)) == ["a1"])
                #expect(rig.longestGap() <= .seconds(3))
            }
        }
    }

    @Test func `what a dead agent probed is probed by others within the promised time`()
        async throws
    {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.begin()
            rig.kill("a2")
            await rig.pass(.seconds(8))
            // Interval, timeout, and one second.
            #expect(rig.longestGap() <= .seconds(3))
            #expect(Set(rig.visits.values.compactMap(\.last?.agent)) == ["a1", "a3"])
            #expect(rig.statuses == ["up"])
            // One that died, and then one that was stopped: people act otherwise on each.
            let leaver = LoopBound(try #require(rig.agents["a3"]), on: rig.loop)
            let left = Task(executorPreference: rig.loop) { await leaver.value.desk.leave() }
            await rig.pass(.seconds(5))
            await left.value
            let told = rig.lines.all.filter {
                $0.contains("; silent since ") || $0.contains("; left: ")
            }
            #expect(
                told.contains {
                    $0.contains("2 agents share the probing; silent since 2026-")
                        && $0.hasSuffix(": a2")
                },
                "\(told)"
            )
            #expect(told.last == "notice: one agent probes; left: a3", "\(told)")
        }
    }

    /// The lease ends before the pair is stale where a slot comes so soon after the death: whoever has it by its rank then
    /// has missed that slot already, and the next one is an interval away.
    @Test func `with long intervals no slot of a dead agent is left out either`() async throws {
        try await FleetRig.run(
            peers: Self.peers,
            interval: .seconds(10),
            fastInterval: .seconds(10)
        ) {
            rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(35))
            rig.begin()
            rig.kill("a2")
            await rig.pass(.seconds(40))
            // Interval, timeout, and one second.
            #expect(rig.longestGap() <= .seconds(12))
            #expect(Set(rig.visits.values.compactMap(\.last?.agent)) == ["a1", "a3"])
            // What was probed at once keeps its place in the interval.
            rig.begin()
            await rig.pass(.seconds(30))
            #expect(rig.shortestGap() >= .milliseconds(9_990))
            #expect(rig.longestGap() <= .milliseconds(10_010))
            #expect(rig.statuses == ["up"])
        }
    }

    /// What whoever held it before found says until when it was probed; its mark, which slots nobody began.
    @Test func `a slot that passed after the mark of the holder before is begun at once`()
        async throws
    {
        let interval = Nanoseconds.seconds(10)
        try await FleetRig.run(peers: 1, interval: interval, fastInterval: interval) { rig in
            try rig.start("a1")
            await rig.pass(.seconds(25))
            let address = try #require(rig.visits.keys.first)
            let owner = try #require(rig.agents["a1"])
            let key = VerdictKey(upstream: "web", peer: address, monitor: "http")
            for (back, isMissed) in [(interval, true), (Nanoseconds.seconds(1), false)] {
                let before = rig.visits[address]?.count ?? 0
                #expect(await rig.comes { rig.visits[address]?.count == before + 1 })
                await rig.pass(.seconds(3))
                owner.scheduler.stop(key, at: WallTime(milliseconds: 0))
                let time = owner.desk.time(at: rig.loop.instant)
                owner.scheduler.begin(key, from: time + -back, epoch: 0, resuming: nil)
                await rig.pass(.milliseconds(500))
                #expect(rig.visits[address]?.count == before + (isMissed ? 2 : 1))
            }
            // Its place in the interval is what it was.
            rig.begin()
            await rig.pass(.seconds(30))
            #expect(rig.longestGap() <= .milliseconds(10_010))
        }
    }

    /// Nobody says what others define.
    @Test func `that nobody else may define a pair is told where only a dead agent did`()
        async throws
    {
        try await FleetRig.run(peers: 8) { rig in
            try rig.start("a1", defining: "api", weight: 0)
            try rig.start("a2", defining: "api")
            try rig.start("a3")
            await rig.pass(.seconds(10))
            let address = try #require(rig.visits.first { $0.key.hasPrefix("10.1.") }?.key)
            let key = VerdictKey(upstream: "api", peer: address, monitor: "http")
            func why() -> String { rig.agents["a1"]?.scheduler.explain(key)?.why ?? "" }
            rig.kill("a2")
            let isHeir = await rig.comes {
                why().contains("a3 is first in rank and takes it over, if it defines it")
            }
            #expect(isHeir, "\(why())")
            let isNobody = await rig.comes {
                why().contains(
                    "nobody took it over: none of those that share the probing (a3) defines it"
                )
            }
            #expect(isNobody, "\(why())")
        }
    }

    @Test func `one that is cut off from all targets doubts itself, and takes none down`()
        async throws
    {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.answer = { agent, _ in agent == "a2" ? .silent : .pass }
            await rig.pass(.seconds(3))
            #expect(rig.agents["a2"]?.desk.reasons == [.massFailure])
            #expect((rig.agents["a2"]?.desk.doubt ?? 0) >= 0.5)
            #expect(rig.agents["a1"]?.desk.reasons == [])
            await rig.pass(.seconds(20))
            #expect(rig.statuses == ["up"])
            rig.begin()
            await rig.pass(.seconds(5))
            // It tries a few of others, to see whether its network is back, and holds none.
            #expect(rig.agents["a2"]?.scheduler.metrics.held == 0)
            #expect(
                rig.visits.values.allSatisfy { Set($0.map(\.agent)).subtracting(["a2"]).count == 1 }
            )
        }
    }

    /// It holds nothing by then that could answer: a few targets of others show it.
    @Test func `what it cannot see others see soon, and it sees again with its network`()
        async throws
    {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            let before = Dictionary(
                uniqueKeysWithValues: rig.visits.map { ($0.key, $0.value.last?.agent) }
            )
            rig.begin()
            // What is silent takes its whole second, of which this rig knows nothing: it ends at once.
            rig.answer = { agent, _ in agent == "a2" ? .silent : .pass }
            let cut = rig.loop.instant
            await rig.pass(.seconds(12))
            // Half of its targets, the time for second thoughts, and a beat.
            for (address, agent) in before where agent == "a2" {
                let first = rig.visits[address]?.first { $0.at > cut && $0.agent != "a2" }
                let span = first.map { $0.at - cut }
                #expect(
                    span.map { $0 <= .milliseconds(1_600) } ?? false,
                    "\(address): \(span?.description ?? "never")"
                )
            }
            #expect(rig.agents["a2"]?.scheduler.metrics.held == 0)
            #expect(rig.agents["a2"]?.desk.reasons == [.massFailure])
            // While it is cut off it goes on trying a few.
            rig.begin()
            await rig.pass(.seconds(10))
            let tries = rig.visits.values.flatMap(\.self).count { $0.agent == "a2" && $0.at > cut }
            #expect((40...60).contains(tries), "\(tries)")
            rig.answer = { _, _ in .pass }
            await rig.pass(.milliseconds(1_500))
            #expect(rig.agents["a2"]?.desk.reasons == [])
            await rig.pass(.seconds(6))
            // And it has its share again.
            rig.begin()
            await rig.pass(.seconds(3))
            for (address, agent) in before {
                #expect(rig.visits[address]?.last?.agent == agent, "\(address)")
            }
            #expect(rig.statuses == ["up"])
        }
    }

    /// It gave away what it could not see, and steps back from that for a minute: not when nobody else is left.
    @Test func `who gave a pair away probes it again when the other dies`() async throws {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.answer = { agent, _ in agent == "a1" ? .silent : .pass }
            await rig.pass(.seconds(12))
            rig.answer = { _, _ in .pass }
            await rig.pass(.seconds(2))
            #expect(rig.agents["a2"]?.scheduler.metrics.held == Self.peers)
            rig.begin()
            rig.kill("a2")
            await rig.pass(.seconds(8))
            #expect(Set(rig.visits.values.compactMap(\.last?.agent)) == ["a1"])
            // Interval, timeout, and one second.
            #expect(rig.longestGap() <= .seconds(3))
        }
    }

    @Test func `when all fall silent for all it is the world, and held or published as asked for`()
        async throws
    {
        for (action, expected) in [(MassChange.Action.hold, "up"), (.publish, "down")] {
            try await FleetRig.run(peers: Self.peers, action: action) { rig in
                for id in ["a1", "a2", "a3"] { try rig.start(id) }
                await rig.pass(.seconds(10))
                rig.answer = { _, _ in .silent }
                await rig.pass(.seconds(20))
                #expect(rig.statuses == [expected], "\(action)")
                #expect((rig.agents["a1"]?.desk.hold != nil) == (action == .hold))
            }
        }
    }

    /// Everything is up, and somebody has to see that it may not be: here, at other agents, and when it is over.
    @Test func `what is held as it was says so at every agent, and in one line when it is over`()
        async throws
    {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.answer = { _, _ in .silent }
            await rig.pass(.seconds(20))
            let words =
                "held as it was by store.mass-change, for too many fell silent at once; last probe: L4TOUT "
                + "no answer (http)"
            for (id, agent) in rig.agents {
                let peers = agent.board.upstream(named: "web")?.peers ?? []
                #expect(Set(peers.map(\.view.reason)) == [words], "\(id)")
                let hold = try #require(agent.scheduler.fleetStatus?.hold)
                #expect(hold.pairs == agent.scheduler.metrics.held)
                #expect(hold.since < rig.loop.wall)
            }
            rig.answer = { _, _ in .pass }
            #expect(await rig.comes { rig.agents.values.allSatisfy { $0.desk.hold == nil } })
            await rig.pass(.seconds(6))
            for (id, agent) in rig.agents {
                let peers = agent.board.upstream(named: "web")?.peers ?? []
                #expect(Set(peers.map(\.view.reason)) == [""], "\(id)")
            }
            let over = rig.lines.all.filter {
                $0.contains("store.mass-change holds no peer any more")
            }
            #expect(over.count == 3)
            #expect(over.allSatisfy { $0.hasSuffix(" answer again") }, "\(over)")
        }
    }

    /// What is refused has answered: nothing speaks for the network being gone.
    @Test func `peers that all refuse are down at once, whatever the share`() async throws {
        try await FleetRig.run(peers: Self.peers) { rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.answer = { _, _ in .refused }
            await rig.pass(.seconds(4))
            #expect(rig.statuses == ["down"])
        }
    }

    /// Who is first in rank may never have heard of the peer.
    @Test func `agents with files of their own probe what each defines, also after a restart`()
        async throws
    {
        try await FleetRig.run(peers: Self.peers) { rig in
            try rig.start("a1")
            try rig.start("a2", defining: "other")
            await rig.pass(.seconds(5))
            for _ in 0..<2 {
                rig.begin()
                await rig.pass(.seconds(5))
                #expect(rig.longestGap() <= .milliseconds(1_010))
                for id in ["a1", "a2"] {
                    let visited = rig.visits.values.count { $0.last?.agent == id }
                    #expect(visited == Self.peers, "\(id)")
                }
                let leaver = try #require(rig.agents["a1"])
                let home = LoopBound(leaver, on: rig.loop)
                let left = Task(executorPreference: rig.loop) { await home.value.desk.leave() }
                await rig.pass(.seconds(3))
                await left.value
                rig.kill("a1")
                try rig.start("a1")
                // It settles, and then those that rank before have their time.
                await rig.pass(.seconds(7))
            }
        }
    }

    @Test func `a count goes on where another agent left it`() async throws {
        try await FleetRig.run(peers: 1, fall: 3) { rig in
            try rig.start("a1")
            await rig.pass(.seconds(5))
            // Two of three.
            rig.answer = { _, _ in .refused }
            let monitor = "http"
            let key = VerdictKey(upstream: "web", peer: "10.0.0.1:80", monitor: monitor)
            #expect(await rig.comes { rig.model.verdict(of: key)?.health == 2 })
            rig.kill("a1")
            try rig.start("a2")
            #expect(await rig.comes { rig.agents["a2"]?.board.verdict(of: key)?.status == .down })
            let failures = rig.visits["10.0.0.1:80"]?.filter { $0.agent == "a2" }.count
            #expect(failures == 1)
        }
    }

    /// A word of another agent is a reason to look; the slots stay where they are.
    @Test func `that requests fail at a peer has its holder look at once`() async throws {
        try await FleetRig.run(peers: 4, fastInterval: .milliseconds(250)) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            for number in 1...4 {
                let address = "10.0.0.\(number):80"
                #expect(
                    await rig.comes {
                        rig.visits[address]?.last.map {
                            rig.loop.instant - $0.at < .milliseconds(5)
                        } ?? false
                    }
                )
                let owner = rig.visits[address]?.last?.agent ?? ""
                rig.begin()
                // Not right after a probe: that one has just looked.
                await rig.pass(.milliseconds(400))
                let peer = PeerKey(upstream: "web", peer: address)
                rig.agents[owner == "a1" ? "a2" : "a1"]?.scheduler.suspect(peer, isSilent: true)
                await rig.pass(.milliseconds(2_100))
                let visits = rig.visits[address] ?? []
                #expect(visits.allSatisfy { $0.agent == owner })
                // One more than the slots.
                #expect(visits.count == 4, "\(visits.count)")
                #expect(rig.longestGap() <= .milliseconds(1_010))
            }
            #expect(rig.statuses == ["up"])
        }
    }

    @Test func `the others hear how many requests failed, and the status stays`() async throws {
        try await FleetRig.run(peers: 2, fastInterval: .milliseconds(250)) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            let address = try #require(rig.visits.keys.min())
            let owner = rig.visits[address]?.last?.agent ?? ""
            let other = owner == "a1" ? "a2" : "a1"
            let peer = PeerKey(upstream: "web", peer: address)
            let vote = TrafficVote(
                requests: 20,
                failures: 9,
                window: .seconds(2),
                life: .seconds(30)
            )
            rig.agents[other]?.scheduler.suspect(peer, isSilent: false, vote)
            await rig.pass(.seconds(1))
            let heard = rig.agents[owner]?.scheduler.heardVotes(of: ["web"]) ?? [:]
            #expect(heard.keys.map(\.self) == [peer])
            #expect(heard[peer]?.map(\.agent) == [other])
            #expect(heard[peer]?.map(\.vote) == [vote])
            #expect(rig.agents[other]?.scheduler.heardVotes(of: ["web"]).isEmpty == true)
            #expect(rig.statuses == ["up"])
            await rig.pass(.seconds(30))
            #expect(rig.agents[owner]?.scheduler.heardVotes(of: ["web"]).isEmpty == true)
        }
    }

    @Test func `who fails requests nearly everywhere asks nobody to look`() async throws {
        try await FleetRig.run(peers: 4, fastInterval: .milliseconds(250)) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            for agent in rig.agents.values { agent.scheduler.doubtsRequests = { true } }
            rig.begin()
            for round in 0..<8 {
                let peer = PeerKey(upstream: "web", peer: "10.0.0.\(round / 2 + 1):80")
                let owner = rig.visits[peer.peer]?.last?.agent
                await rig.pass(.milliseconds(400))
                let other = owner == "a1" ? "a2" : "a1"
                if owner != nil { rig.agents[other]?.scheduler.suspect(peer, isSilent: true) }
                await rig.pass(.milliseconds(600))
            }
            // Its slots, and nothing between them.
            #expect(rig.visits.values.allSatisfy { (8...9).contains($0.count) }, "\(rig.visits)")
        }
    }

    @Test func `a check that somebody asks for at any agent leaves the slots where they are`()
        async throws
    {
        try await FleetRig.run(peers: 20) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.begin()
            var asked = 0
            for round in 0..<3 {
                for (address, visits) in rig.visits.sorted(by: { $0.key < $1.key }) {
                    await rig.pass(.milliseconds(130))
                    let key = VerdictKey(upstream: "web", peer: address, monitor: "http")
                    let holder = visits.last?.agent ?? ""
                    let other = holder == "a1" ? "a2" : "a1"
                    let agent = rig.agents[round == 1 ? other : holder]
                    let home = LoopBound(try #require(agent), on: rig.loop)
                    let asking = Task(executorPreference: rig.loop) {
                        await home.value.scheduler.probeNow(key)
                    }
                    await rig.pass(.milliseconds(20))
                    #expect(await asking.value?.outcome.verdict == .pass)
                    asked += 1
                }
            }
            await rig.pass(.seconds(2))
            #expect(rig.longestGap() <= .milliseconds(1_010))
            // Each slot of 11 seconds, and what was asked for.
            let visits = rig.visits.values.reduce(0) { $0 + $1.count }
            #expect(visits - asked - 20 == 20 * 11, "\(visits)")
        }
    }

    /// Nobody can claim them, and nobody is known to hold them: better probed by all than by none.
    @Test(arguments: [StoreState.away, .unwritable])
    func
        `what is defined while the store is away, or takes no writes, is probed by all until it can be claimed`(
            state: StoreState
        ) async throws
    {
        try await FleetRig.run(peers: 12) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.store = state
            await rig.pass(.seconds(10))
            for id in ["a1", "a2"] { rig.define("shop", at: id) }
            await rig.pass(.seconds(5))
            #expect(rig.probers(of: "shop") == Array(repeating: ["a1", "a2"], count: 12))
            for agent in rig.agents.values {
                let peers = agent.board.upstream(named: "shop")?.peers ?? []
                #expect(peers.map(\.view.status.rawValue) == Array(repeating: "up", count: 12))
            }
            // What each had it goes on to probe, and nobody else does.
            #expect(rig.probers(of: "web").allSatisfy { $0.count == 1 })
            #expect(rig.model.verdicts.keys.allSatisfy { $0.upstream == "web" })
            // And says why.
            let key = try #require(rig.model.verdicts.keys.first)
            let words = Set(rig.agents.values.compactMap { $0.scheduler.explain(key)?.why })
            let ends =
                state == .away
                ? ["the store does not answer", "the store was last heard"]
                : ["the store takes no writes", "the store last took writes"]
            for end in ends { #expect(words.contains { $0.contains(end) }, "\(words)") }
            rig.store = .fine
            await rig.pass(.seconds(6))
            rig.begin()
            await rig.pass(.seconds(4))
            #expect(rig.probers(of: "shop").allSatisfy { $0.count == 1 })
            #expect(rig.longestGap() <= .milliseconds(1_010))
            #expect(rig.model.verdicts.keys.count { $0.upstream == "shop" } == 12)
        }
    }

    @Test func `an agent that starts while the store is away probes everything after a lease`()
        async throws
    {
        try await FleetRig.run(peers: 12) { rig in
            rig.store = .away
            try rig.start("a1")
            await rig.pass(.milliseconds(2_900))
            #expect(rig.visits.isEmpty)
            await rig.pass(.seconds(3))
            #expect(rig.probers(of: "web") == Array(repeating: ["a1"], count: 12))
            // What comes later has not to wait for so long.
            rig.define("shop", at: "a1")
            await rig.pass(.seconds(4))
            #expect(rig.probers(of: "shop") == Array(repeating: ["a1"], count: 12))
        }
    }

    /// Its state is lost with its clock: slots that were to come in three minutes are to come now.
    @Test func `a store whose clock is set back and whose state is lost keeps nobody waiting`()
        async throws
    {
        try await FleetRig.run(peers: 12) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            rig.begin()
            rig.storeBehind = .seconds(180)
            rig.model.flush()
            await rig.pass(.seconds(20))
            #expect(rig.longestGap() <= .milliseconds(2_100))
            #expect(rig.statuses == ["up"])
            rig.begin()
            await rig.pass(.seconds(4))
            #expect(rig.probers(of: "web").allSatisfy { $0.count == 1 })
        }
    }

    /// By whatever mistake: it is no reason for a peer to go unprobed.
    @Test func `what this agent holds and nobody probes is found, probed and told of`() async throws
    {
        try await FleetRig.run(peers: 8) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            let (address, visits) = try #require(rig.visits.min { $0.key < $1.key })
            let owner = try #require(rig.agents[visits.last?.agent ?? ""])
            let key = VerdictKey(upstream: "web", peer: address, monitor: "http")
            rig.begin()
            // Behind the back of the desk.
            owner.scheduler.stop(key, at: WallTime(milliseconds: 0))
            let why = owner.scheduler.explain(key)?.why ?? ""
            #expect(why.contains("it has no next probe"), "\(why)")
            #expect(owner.scheduler.explain(key)?.nextAt == nil)
            await rig.pass(.seconds(4))
            #expect(owner.scheduler.metrics.missed == 1)
            #expect(owner.scheduler.metrics.overdue.count == 0)
            #expect(rig.longestGap() <= .seconds(3))
            #expect(rig.statuses == ["up"])
            let told = rig.lines.all.filter { $0.contains("had no next probe") }
            #expect(told.count == 1 && told[0].contains("web/\(address) (http)"), "\(told)")
        }
    }

    @Test func `that the holder of a pair is late is told by those who explain it`() async throws {
        try await FleetRig.run(peers: 8) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            let dead = try #require(rig.visits.first { $0.value.last?.agent == "a2" }?.key)
            let key = VerdictKey(upstream: "web", peer: dead, monitor: "http")
            rig.kill("a2")
            let isTold = await rig.comes {
                rig.agents["a1"]?.scheduler.explain(key)?.why.contains(
                    "; a2 is late: what was due from"
                )
                    == true
            }
            #expect(isTold)
        }
    }

    /// That one ranks first is no reason why it says nothing.
    @Test func `that the holder of a pair doubts itself is told by those who explain it`()
        async throws
    {
        try await FleetRig.run(peers: 20) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            let keys = rig.visits.filter { $0.value.last?.agent == "a2" }.map {
                VerdictKey(upstream: "web", peer: $0.key, monitor: "http")
            }
            rig.answer = { agent, _ in agent == "a2" ? .silent : .pass }
            func isTold(by id: String) -> Bool {
                keys.contains {
                    rig.agents[id]?.scheduler.explain($0)?.why.contains("; a2 doubts itself")
                        == true
                }
            }
            #expect(await rig.comes { isTold(by: "a1") && isTold(by: "a2") })
        }
    }

    /// Where probes are rare, the dead are out of the roster long before anybody misses one.
    @Test func `that the holder of a pair is gone is told until it is taken over`() async throws {
        try await FleetRig.run(peers: 40, interval: .seconds(20)) { rig in
            for id in ["a1", "a2", "a3"] { try rig.start(id) }
            await rig.pass(.seconds(50))
            let dead = rig.visits.filter { $0.value.last?.agent == "a2" }.map {
                VerdictKey(upstream: "web", peer: $0.key, monitor: "http")
            }
            rig.kill("a2")
            // Who hears of it first has not heard yet what the other claims.
            let isTold = await rig.comes {
                rig.agents.values.contains { agent in
                    dead.contains {
                        let why = agent.scheduler.explain($0)?.why ?? ""
                        return why.hasPrefix("a2 held the claim, and is not among")
                            && why.contains(" is first in rank and takes it over")
                    }
                }
            }
            #expect(isTold)
        }
    }

    @Test func `what a peer says to one agent counts at the one that probes it`() async throws {
        try await FleetRig.run(peers: 4) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            let sign = FleetSign(
                peer: PeerKey(upstream: "web", peer: "10.0.0.1:80"),
                status: "fail",
                message: "no disk"
            )
            rig.agents["a1"]?.scheduler.announce(sign)
            #expect(
                await rig.comes {
                    rig.agents["a2"]?.heartbeats.last(upstream: "web", peer: "10.0.0.1:80")?.message
                        == "no disk"
                }
            )
        }
    }
}

extension Outcome {
    /// As from behind a cable that was pulled.
    fileprivate static var silent: Outcome { Outcome(.fail, .layer4Timeout, message: "no answer") }
}
