// What holds when two agents probe the same peer and do not find the same, or not at the same moment?

import Checks
import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct DisagreementTests {
    private let peer = "127.0.0.1:9001"
    private let key = VerdictKey(upstream: "web", peer: "127.0.0.1:9001", monitor: "http")

    /// When virtual time begins: nothing here lets it pass for long.
    private let now = WallTime(milliseconds: 1_767_225_600_000)

    /// What another agent wrote, and the store told.
    private func said(
        _ status: HealthCounter.Status,
        _ number: UInt64,
        since: WallTime? = nil,
        lasting: Nanoseconds = .seconds(600)
    ) -> Verdict {
        Verdict(
            key: key,
            kind: ScriptedCheck.kind,
            status: status,
            health: status == .up ? 4 : 0,
            rise: 2,
            fall: 3,
            reason: status == .up ? .layer7OK : .layer4Connect,
            message: status == .up ? "200 OK" : "Connection refused",
            latency: .zero,
            since: since ?? now,
            checkedAt: now,
            expiresAt: now + lasting,
            agent: "a2",
            epoch: 100_000,
            sequence: number
        )
    }

    /// One probe of ours, to its end.
    private func probe(_ rig: Rig, _ script: Script, _ outcome: Outcome) async {
        script.set { _ in outcome }
        _ = await rig.scheduler.probeNow(key)
    }

    private func run(
        _ body: @escaping @Sendable (Rig, Script) async throws -> Void
    ) async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer] rig in
            rig.define([
                .scripted(peers: [peer], script: script, interval: .decades, rise: 2, fall: 3)
            ])
            #expect(
                await rig.comes { script.ended == 1 && rig.scheduler.metrics.inFlight == 0 }
            )
            try await body(rig, script)
        }
    }

    private func status(_ rig: Rig) -> PeerStatus? { rig.board.view(of: key.peerKey)?.status }

    @Test func `an agent that has not counted so far yet does not bring a dead peer back`()
        async throws
    {
        try await run { [self] rig, script in
            await probe(rig, script, .refused)
            #expect(status(rig) == .up)
            rig.board.apply(said(.down, 1))
            let before = rig.store.published.count
            await probe(rig, script, .refused)
            #expect(status(rig) == .down, "2 of 3 failures here, 3 of 3 there")
            #expect(rig.store.published.count == before)
            await probe(rig, script, .refused)
            #expect(status(rig) == .down)
            #expect(rig.store.published.count == before, "the other has said it already")
            // The other was first to see it come back.
            var back = said(.up, 2)
            back.epoch = 200_000
            rig.board.apply(back)
            await probe(rig, script, .pass)
            #expect(status(rig) == .up, "1 of 2 passes here, 2 of 2 there")
            await probe(rig, script, .pass)
            #expect(status(rig) == .up)
            #expect(rig.store.published.count == before)
        }
    }

    @Test func `of two agents that agree one speaks, and the other when it falls silent`()
        async throws
    {
        try await run { [self] rig, script in
            rig.board.apply(said(.up, 1))
            let before = rig.store.published.count
            for _ in 0..<5 { await probe(rig, script, .pass) }
            #expect(rig.store.published.count == before)
            #expect(rig.board.verdict(of: key)?.agent == "a2")
            rig.board.apply(said(.up, 2, lasting: .milliseconds(-1)))
            for _ in 0..<5 { await probe(rig, script, .pass) }
            let ours = rig.store.published.dropFirst(before).map(\.verdict)
            #expect(ours.count == 5)
            #expect(Set(ours.map(\.epoch)) == [100_001], "raised once, by the change of agent")
        }
    }

    @Test func `who comes later goes on from what was found before`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [self] rig in
            script.hold()
            rig.define([
                .scripted(peers: [peer], script: script, interval: .decades, rise: 2, fall: 3)
            ])
            #expect(await rig.comes { script.waiting == 1 })
            rig.board.apply(said(.down, 1))
            script.release()
            #expect(await rig.comes { rig.scheduler.metrics.inFlight == 0 })
            #expect(status(rig) == .down, "1 of 2 passes")
            await probe(rig, script, .pass)
            #expect(status(rig) == .up)
        }
    }

    @Test func `who changed its mind last is believed, until it falls silent`() async throws {
        try await run { [self] rig, script in
            rig.board.apply(said(.down, 1))
            for _ in 0..<5 {
                await probe(rig, script, .pass)
                #expect(status(rig) == .down)
            }
            // Ours changes twice, and now ours is the last word.
            for _ in 0..<3 { await probe(rig, script, .refused) }
            for _ in 0..<2 { await probe(rig, script, .pass) }
            #expect(status(rig) == .up)
            let ours = try #require(rig.board.verdict(of: key))
            #expect(ours.agent == "a1")
            var late = said(.down, 2, lasting: .milliseconds(-1))
            late.epoch = ours.epoch + 1
            rig.board.apply(late)
            await probe(rig, script, .pass)
            #expect(status(rig) == .up, "the other has not renewed what it said")
        }
    }

    /// One was reloaded, and the other is not yet.
    @Test
    func `what another agent found with other settings keeps nobody from saying what it finds`()
        async throws
    {
        try await run { [self] rig, script in
            let ours = try #require(rig.board.verdict(of: key)?.subject)
            #expect(ours.address == peer)
            var held = said(.down, 1)
            held.subject = Subject(address: ours.address, check: ours.check &+ 1)
            rig.board.apply(held)
            #expect(status(rig) == .down)
            await probe(rig, script, .pass)
            #expect(status(rig) == .up)
            let said = try #require(rig.store.published.last?.verdict)
            #expect(said.subject == ours && said.epoch == 100_001)
        }
    }

    @Test func `disagreement is told of when it has lasted, and then once a minute`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [self] rig in
            rig.define([
                .scripted(peers: [peer], script: script, interval: .seconds(1), rise: 2, fall: 3)
            ])
            #expect(await rig.comes { script.ended == 1 && rig.scheduler.metrics.inFlight == 0 })
            func told() -> [String] { rig.lines.all.filter { $0.contains("agents disagree") } }
            // It said so long before anybody else looked: that is no disagreement yet.
            rig.board.apply(said(.down, 1, since: now + .seconds(-100_000)))
            await rig.loop.advance(by: .seconds(15))
            #expect(told().isEmpty)
            await rig.loop.advance(by: .seconds(3))
            #expect(
                told() == [
                    "warning: agents disagree on web/127.0.0.1:9001 (http) for 16s: a2 says down, L4CON "
                        + "Connection refused, this one finds up, L7OK. What changed last holds"
                ]
            )
            await rig.loop.advance(by: .seconds(58))
            #expect(told().count == 1)
            await rig.loop.advance(by: .seconds(3))
            #expect(told().count == 2)
            // Of one mind for a while, they begin anew.
            rig.board.apply(said(.up, 2))
            await rig.loop.advance(by: .seconds(61))
            rig.board.apply(said(.down, 3))
            await rig.loop.advance(by: .seconds(15))
            #expect(told().count == 2)
        }
    }

    @Test func `one that sees a warning first is told of as disagreement only when it lasts`()
        async throws
    {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [self] rig in
            rig.define([
                .scripted(peers: [peer], script: script, interval: .seconds(1), rise: 2, fall: 3)
            ])
            #expect(await rig.comes { script.ended == 1 && rig.scheduler.metrics.inFlight == 0 })
            var held = said(.up, 1, since: now + .seconds(-100_000))
            held.isDegraded = true
            rig.board.apply(held)
            await rig.loop.advance(by: .seconds(10))
            #expect(!rig.lines.all.contains { $0.contains("agents disagree") })
            await rig.loop.advance(by: .seconds(10))
            let told = rig.lines.all.filter { $0.contains("agents disagree") }
            #expect(told.count == 1 && told[0].contains("a2 says up with a warning, L7OK"))
        }
    }

    @Test func `who has not counted so far yet at one address says nothing of it`() async throws {
        try await run { [self] rig, _ in
            var held = said(.up, 1, since: now + .seconds(-100_000))
            held.downAddresses = ["192.0.2.2:80"]
            held.expiresAt = now + .seconds(1_000_000_000)
            rig.board.apply(held)
            let row = try #require(rig.scheduler.index[key])
            let pair = rig.scheduler.rows[row]
            let before = rig.store.published.count
            let count = rig.lines.all.count
            rig.door.pass(.pass, of: pair, now: rig.loop.moment)
            #expect(rig.store.published.count == before)
            #expect(rig.board.view(of: key.peerKey)?.downAddresses == held.downAddresses)
            #expect(rig.lines.all.count == count, "no disagreement yet")

            // Found otherwise by counting: the last who changed its mind is believed.
            pair.addresses = AddressStates(
                resuming: ["192.0.2.1:80"],
                thresholds: pair.monitor.thresholds
            )
            rig.door.pass(.pass, of: pair, now: rig.loop.moment)
            #expect(rig.store.published.count == before + 1)
            #expect(rig.board.view(of: key.peerKey)?.downAddresses == ["192.0.2.1:80"])
        }
    }
}
