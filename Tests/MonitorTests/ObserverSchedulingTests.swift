// Do several agents look at one peer where that is asked for, each in a part of the interval of its own, and does what
// they see get to where it counts?

import Checks
import Fleet
import Health
import Testing
import Vocabulary

@testable import Store

@Suite struct ObserverSchedulingTests {
    private static let agents = ["a1", "a2", "a3"]

    private static func peer(_ number: Int) -> (address: String, key: VerdictKey) {
        let address = "10.0.0.\(number):80"
        return (address, VerdictKey(upstream: "web", peer: address, monitor: "http"))
    }

    /// Who speaks for the peer, and who looks at it too.
    private static func parts(
        _ rig: FleetRig,
        _ key: VerdictKey
    ) throws -> (owner: FleetRig.Agent, observers: [String]) {
        let owner = try #require(rig.agents.values.first { $0.scheduler.isHeld(key) })
        let pair = try #require(owner.desk.member.number(of: key))
        return (owner, owner.desk.member.observers(of: pair))
    }

    @Test func `two of three probe each peer, half an interval apart`() async throws {
        try await FleetRig.run(peers: 30, observers: 2) { rig in
            for id in Self.agents { try rig.start(id) }
            await rig.pass(.seconds(12))
            rig.begin()
            await rig.pass(.seconds(10))
            for (address, visits) in rig.visits {
                #expect((19...21).contains(visits.count), "\(address): \(visits.count)")
                #expect(Set(visits.map(\.agent)).count == 2, "\(address)")
            }
            // Wake-ups are gathered, each within a hundredth of a second.
            #expect(rig.longestGap() <= .milliseconds(510))
            #expect(rig.shortestGap() >= .milliseconds(490))
            #expect(rig.statuses == ["up"])
            // Where nothing is otherwise than published, nothing is told.
            #expect(rig.letters == 0)
        }
    }

    @Test func `another takes the place of an observer that dies or doubts itself`() async throws {
        try await FleetRig.run(peers: 12, observers: 2) { rig in
            for id in Self.agents { try rig.start(id) }
            await rig.pass(.seconds(12))
            rig.kill("a3")
            await rig.pass(.seconds(10))
            rig.begin()
            await rig.pass(.seconds(5))
            for (address, visits) in rig.visits {
                #expect(Set(visits.map(\.agent)) == ["a1", "a2"], "\(address)")
            }
            #expect(rig.longestGap() <= .milliseconds(510))
            rig.kill("a2")
            await rig.pass(.seconds(10))
            rig.begin()
            await rig.pass(.seconds(5))
            #expect(rig.visits.values.allSatisfy { Set($0.map(\.agent)) == ["a1"] })
            #expect(rig.longestGap() <= .milliseconds(1_010))
        }
    }

    /// The first that sees it is enough: the owner's next slot need not come.
    @Test func `a failure that an observer sees has the owner probe at once`() async throws {
        try await FleetRig.run(peers: 6, fastInterval: .milliseconds(250), observers: 3) { rig in
            for id in Self.agents { try rig.start(id) }
            await rig.pass(.seconds(12))
            for number in 1...6 {
                let (address, key) = Self.peer(number)
                let (owner, observers) = try Self.parts(rig, key)
                #expect(observers.count == 2)
                // Right after the owner looked.
                #expect(
                    await rig.comes {
                        rig.visits[address]?.last.map {
                            $0.agent == owner.desk.setting.agent
                                && rig.loop.instant - $0.at < .milliseconds(5)
                        } ?? false
                    }
                )
                let from = rig.loop.instant
                rig.answer = { _, target in target == address ? .refused : .pass }
                #expect(await rig.comes { owner.board.verdict(of: key)?.status == .down })
                // A third of the interval until somebody looks, and then the second failure.
                let took = rig.loop.instant - from
                #expect(took <= .milliseconds(640), "\(address): \(took)")
                let pair = try #require(owner.desk.member.number(of: key))
                let votes = owner.desk.member.votes(on: pair, at: rig.loop.instant)
                #expect(votes.map(\.word).count { $0 == .fails } >= 2)
                rig.answer = { _, _ in .pass }
                await rig.pass(.seconds(5))
            }
            #expect(rig.statuses == ["up"])
        }
    }

    @Test func `one observer that alone sees it fail is shown, and takes nobody down`() async throws
    {
        try await FleetRig.run(peers: 6, observers: 2) { rig in
            for id in Self.agents { try rig.start(id) }
            await rig.pass(.seconds(12))
            let (address, key) = Self.peer(3)
            let (owner, observers) = try Self.parts(rig, key)
            let other = try #require(observers.first)
            rig.answer = { agent, target in
                agent == other && target == address ? .refused : .pass
            }
            await rig.pass(.seconds(3))
            #expect(rig.statuses == ["up"])
            let votes = try #require(owner.scheduler.votes[key])
            #expect(votes.isLost && votes.votes.map(\.agent) == [other])
            #expect(votes.votes.first?.status == "fails")
            let at = try #require(votes.votes.first?.at)
            #expect(rig.loop.wall - at <= .seconds(2))
            let told = rig.lines.all.filter { $0.contains("agents disagree on web/\(address)") }
            #expect(told.count == 1, "\(told)")
            #expect(
                told.first?.hasSuffix(
                    "it passes here, and \(other), which looks at it too, sees that it fails"
                ) == true
            )
            // Its first failure had the owner look; those after it are no news.
            rig.begin()
            await rig.pass(.seconds(5))
            let own = rig.visits[address]?.count { $0.agent == owner.desk.setting.agent } ?? 0
            #expect((4...6).contains(own), "\(own)")
            rig.answer = { _, _ in .pass }
            await rig.pass(.seconds(1))
            #expect(owner.scheduler.votes[key]?.isLost == false)
            await rig.pass(.seconds(3))
            #expect(owner.scheduler.votes[key] == nil)
        }
    }

    /// The owner alone cannot reach it: the others see it well, and one of them speaks for it then.
    @Test func `an owner that alone sees it fail is outvoted by who looks too`() async throws {
        for confirm in [nil, Confirmation(agents: 1)] {
            try await FleetRig.run(peers: 6, observers: 3, confirm: confirm) { rig in
                for id in Self.agents { try rig.start(id) }
                await rig.pass(.seconds(12))
                let (address, key) = Self.peer(3)
                let owner = try Self.parts(rig, key).owner.desk.setting.agent
                rig.answer = { agent, target in
                    agent == owner && target == address ? .refused : .pass
                }
                var statuses = Set<String>()
                for _ in 0..<80 {
                    await rig.pass(.milliseconds(100))
                    statuses.formUnion(rig.statuses)
                }
                #expect(statuses == ["up"])
                #expect(try Self.parts(rig, key).owner.desk.setting.agent != owner)
            }
        }
    }

    @Test func `with confirm off the owner decides alone, and the others are shown`() async throws {
        try await FleetRig.run(peers: 6, observers: 3, confirm: .off) { rig in
            for id in Self.agents { try rig.start(id) }
            await rig.pass(.seconds(12))
            let (address, key) = Self.peer(3)
            let owner = try Self.parts(rig, key).owner
            let id = owner.desk.setting.agent
            rig.answer = { agent, target in agent == id && target == address ? .refused : .pass }
            await rig.pass(.seconds(5))
            #expect(owner.board.verdict(of: key)?.status == .down)
            let votes = try #require(owner.scheduler.votes[key])
            #expect(votes.isLost && votes.votes.map(\.status) == ["passes", "passes"])
        }
    }

    // MARK: Where nobody said who is asked

    @Test func `of three agents one that alone cannot reach a peer takes it down nowhere`()
        async throws
    {
        try await FleetRig.run(peers: 6) { rig in
            for id in Self.agents { try rig.start(id) }
            await rig.pass(.seconds(10))
            let (address, key) = Self.peer(3)
            let owner = try Self.parts(rig, key).owner
            let id = owner.desk.setting.agent
            rig.answer = { agent, target in agent == id && target == address ? .refused : .pass }
            var (statuses, isShown) = (Set<String>(), false)
            for _ in 0..<80 {
                await rig.pass(.milliseconds(100))
                statuses.formUnion(rig.statuses)
                isShown = isShown || owner.scheduler.votes[key]?.isLost == true
            }
            #expect(statuses == ["up"] && isShown)
        }
    }

    /// The question goes out with the first failure: when the second comes, it is answered.
    @Test func `a peer that is dead for all goes down as soon as without a second opinion`()
        async throws
    {
        var spans: [[Nanoseconds]] = []
        for confirm in [nil, Confirmation.off] {
            let (stream, continuation) = AsyncStream.makeStream(of: Nanoseconds.self)
            try await FleetRig.run(
                peers: 6,
                fastInterval: .milliseconds(250),
                confirm: confirm
            ) { rig in
                for id in Self.agents { try rig.start(id) }
                await rig.pass(.seconds(10))
                for number in 1...6 {
                    let (address, key) = Self.peer(number)
                    let from = rig.loop.instant
                    rig.answer = { _, target in target == address ? .refused : .pass }
                    let boards = rig.agents.values.map(\.board)
                    #expect(
                        await rig.comes {
                            boards.allSatisfy { $0.verdict(of: key)?.status == .down }
                        }
                    )
                    continuation.yield(rig.loop.instant - from)
                    rig.answer = { _, _ in .pass }
                    await rig.pass(.seconds(5))
                }
                continuation.finish()
            }
            var some: [Nanoseconds] = []
            for await span in stream { some.append(span) }
            spans.append(some)
        }
        #expect(spans[0] == spans[1])
    }

    @Test func `of two agents the one that probes it decides alone`() async throws {
        try await FleetRig.run(peers: 6) { rig in
            for id in ["a1", "a2"] { try rig.start(id) }
            await rig.pass(.seconds(10))
            let (address, key) = Self.peer(3)
            let owner = try Self.parts(rig, key).owner
            let id = owner.desk.setting.agent
            rig.answer = { agent, target in agent == id && target == address ? .refused : .pass }
            await rig.pass(.seconds(4))
            #expect(owner.board.verdict(of: key)?.status == .down)
        }
    }
}
