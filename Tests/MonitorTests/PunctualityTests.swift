// Whose fault is a timeout: the peer's, or this agent's?

import Checks
import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct PunctualityTests {
    /// Milliseconds: how long the probe took, its timeout, what the loop was held up meanwhile, and
    /// what is this agent's own delay.
    @Test(
        arguments: [
            (500, 500, 0, nil), (525, 500, 0, nil), (549, 500, 0, nil), (550, 500, 50, nil),
            (551, 500, 51, 51), (2_548, 500, 2_048, 2_048), (500, 500, 251, 251),
            (500, 500, 250, nil), (120, 100, 0, nil), (126, 100, 0, 26), (5_400, 5_000, 0, nil),
        ] as [(Int64, Int64, Int64, Int64?)]
    )
    func `a deadline noticed late is our own trouble`(
        took: Int64,
        timeout: Int64,
        lag: Int64,
        late: Int64?
    ) {
        let punctuality = Punctuality(
            took: .milliseconds(took),
            timeout: .milliseconds(timeout),
            lag: .milliseconds(lag)
        )
        #expect(punctuality.ownDelay == late.map { Nanoseconds.milliseconds($0) })
    }

    @Test func `only timeouts are excused`() {
        let late = Punctuality(took: .seconds(3), timeout: .seconds(1), lag: .zero)
        for reason in [Reason.layer4Timeout, .layer6Timeout, .layer7Timeout, .processTimeout] {
            let outcome = late.judge(Outcome(.fail, reason, message: "took 3s"))
            #expect(outcome.verdict == .neutral && outcome.isExcused)
            #expect(outcome.message == "this agent stood still for 2000 ms")
        }
        let slower = Punctuality(took: .milliseconds(1_300), timeout: .seconds(1), lag: .zero)
        let outcome = slower.judge(Outcome(.fail, .layer7Timeout))
        #expect(outcome.message == "this agent was 300 ms late")
        #expect(late.judge(.refused) == .refused)
        #expect(late.judge(.pass) == .pass)
        let degraded = Outcome(.warn, .layer7OK)
        #expect(late.judge(degraded) == degraded)
    }

    @Test func `a loop that is held up takes no peer down, and says so`() async throws {
        let script = Script { _ in .pass }
        try await Rig.run { rig in
            var upstream = MonitoredUpstream.scripted(
                peers: ["127.0.0.1:1"],
                script: script,
                rise: 1,
                fall: 1
            )
            upstream.monitors[0].schedule = Schedule(
                interval: .milliseconds(20),
                timeout: .milliseconds(10)
            )
            rig.define([upstream])
            let key = PeerKey(upstream: "web", peer: "127.0.0.1:1")
            #expect(await eventually { rig.board.view(of: key)?.status == .up })
            script.set { _ in
                // Its timeout is noticed only now.
                let end = Clock.instant() + .milliseconds(60)
                while Clock.instant() < end {}
                return Outcome(.fail, .layer7Timeout, message: "took 60ms")
            }
            #expect(await eventually { rig.scheduler.metrics.excused > 0 })
            #expect(rig.board.view(of: key)?.status != .down)
            #expect(rig.scheduler.metrics.isDoubtful)
            script.set { _ in .pass }
            #expect(rig.lines.all.contains { $0.contains("this agent is late") })
        }
    }
}
