// Does the shell around the pure parts probe whom it should, when it should, and pass on what came
// of it? On a real loop, with checks that answer what the test wants.

import EventLoop
import Health
import Monitor
import TestSupport
import Testing
import Vocabulary

@Suite struct SchedulerTests {
    let peer = "127.0.0.1:9001"
    let key = VerdictKey(upstream: "web", peer: "127.0.0.1:9001", monitor: "http")

    @Test func `a peer goes down after fall failures and comes up after rise passes`() async throws {
        let script = Script { _ in .pass }
        try await Rig.run { [peer, key] rig in
            rig.define([.scripted(peers: [peer, "127.0.0.1:9002"], script: script)])
            #expect(await eventually { rig.board.upstream(named: "web")?.status == .up })

            script.set { "\($0.address)" == peer ? .refused : .pass }
            #expect(await eventually { rig.board.view(of: key.peerKey)?.status == .down })
            script.set { _ in .pass }
            #expect(await eventually { rig.board.view(of: key.peerKey)?.status == .up })

            let mine = rig.store.published.map(\.verdict).filter { $0.key == key }
            let statuses = mine.map(\.status)
            #expect(statuses.first == .up)
            let failing = mine.filter { $0.reason == .layer4Connect }
            #expect(failing.first?.status == .up, "the first failure only counts")
            #expect(failing.dropFirst().first?.status == .down)
            let transitions = rig.store.published.filter { $0.verdict.key == key }
                .filter(\.isTransition).map(\.verdict.status)
            #expect(transitions == [.up, .down, .up])
            #expect(mine.map(\.sequence) == mine.map(\.sequence).sorted())
            #expect(mine.allSatisfy { $0.agent == "a1" && $0.epoch == 1_000 })
        }
    }
}
