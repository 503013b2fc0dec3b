// What holds where a verdict in another agent's name lies there already, and nobody shares the probing? It was left
// by an agent that is called otherwise since, or by one that had the same state file.

import Checks
import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct LeftVerdictTests {
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

    /// Nobody else probes it: whose name was on the last word is no reason to wait until that is over.
    @Test func `what this agent finds counts at once, under an epoch that is raised once`()
        async throws
    {
        try await run { [self] rig, script in
            rig.board.apply(said(.up, 1))
            let before = rig.store.published.count
            for _ in 0..<3 { await probe(rig, script, .pass) }
            #expect(rig.board.verdict(of: key)?.agent == "a1")
            for _ in 0..<3 { await probe(rig, script, .refused) }
            #expect(status(rig) == .down)
            for _ in 0..<2 { await probe(rig, script, .pass) }
            #expect(status(rig) == .up)
            let ours = rig.store.published.dropFirst(before).map(\.verdict)
            #expect(ours.count == 8)
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
}
