// Does a verdict without an opinion change nothing but what is told, however long it may be believed?

import Health
import Testing
import Vocabulary

@Suite struct NeutralExpiryTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)

    private func verdict(
        _ status: HealthCounter.Status,
        sequence: UInt64,
        at time: WallTime,
        life: Nanoseconds
    ) -> Verdict {
        Verdict(
            key: VerdictKey(upstream: "web", peer: "a", monitor: "http"),
            kind: "http",
            status: status,
            health: status == .up ? 3 : 0,
            rise: 2,
            fall: 2,
            reason: status == .up ? .layer7OK : .resolver,
            message: status == .up ? "" : "no such name",
            latency: .zero,
            since: start,
            checkedAt: time,
            expiresAt: time + life,
            agent: "a1",
            epoch: 1,
            sequence: sequence
        )
    }

    private func peer() -> PeerHealth {
        PeerHealth(policy: PeerPolicy(weight: 1, requiredMonitors: ["http"]), now: start)
    }

    @Test func `unknown stays unknown, before its verdict expires and after`() {
        var health = peer()
        _ = health.apply(verdict(.unknown, sequence: 1, at: start, life: .seconds(5)), now: start)
        let reason = "no opinion yet: DNS no such name (http)"
        for second in [0, 4, 5, 6, 100] as [Int64] {
            _ = health.refresh(now: start + .seconds(second))
            #expect(health.view.status == .unknown && health.view.checked == .unknown)
            #expect(health.view.reason == reason)
            #expect(!health.view.isStale, "nothing was ever known")
            #expect(health.view.isAvailable)
        }
        #expect(health.view.nextChange == nil)
    }

    @Test func `who speaks without an opinion is told with what it says, and its last word`() {
        var health = peer()
        _ = health.apply(verdict(.up, sequence: 1, at: start, life: .seconds(5)), now: start)
        // Neutral probes later, which do not prolong what held.
        let now = start + .seconds(9)
        var neutral = verdict(.up, sequence: 2, at: now, life: .seconds(-4))
        neutral.message = "200 OK; last probe: DNS no such name"
        _ = health.apply(neutral, now: now)
        #expect(health.view.status == .unknown)
        #expect(
            health.view.reason
                == "http: DNS no such name, which says nothing of its health, and nothing else since "
                + "\(start + .seconds(5)); last up, L7OK 200 OK"
        )
        // When something was last heard is told where it is known, and not when that was over.
        (neutral.isFound, neutral.checkedAt) = (false, start + .seconds(1))
        neutral.sequence = 3
        _ = health.apply(neutral, now: now)
        #expect(
            health.view.reason.hasSuffix(
                ", and nothing else since \(start + .seconds(1)); last up, L7OK 200 OK"
            )
        )
        (neutral.isFound, neutral.checkedAt) = (true, now)
        // Nobody is to read that it was up for the reason of a failure.
        (neutral.sequence, neutral.health, neutral.reason) = (4, 2, .layer4Connect)
        neutral.message = "Network is unreachable; last probe: DNS no such name"
        _ = health.apply(neutral, now: now)
        #expect(
            health.view.reason.hasSuffix(
                "; last up, 1 of 2 failures: L4CON Network is unreachable"
            )
        )
    }

    @Test func `who was up long ago and fails now is unknown, and its failures are told`() {
        var health = peer()
        _ = health.apply(verdict(.up, sequence: 1, at: start, life: .seconds(5)), now: start)
        let now = start + .seconds(9)
        var failed = verdict(.up, sequence: 2, at: now, life: .seconds(-4))
        (failed.health, failed.reason, failed.message) = (2, .layer4Connect, "Connection refused")
        _ = health.apply(failed, now: now)
        #expect(health.view.status == .unknown)
        #expect(
            health.view.reason
                == "1 of 2 failures: L4CON Connection refused (http); last up, verdict expired at "
                + "\(start + .seconds(5))"
        )
        failed.withheld = .unconfirmed
        (failed.health, failed.sequence) = (3, 3)
        failed.message = "200 OK; last probe: L4CON Connection refused"
        _ = health.apply(failed, now: now)
        #expect(
            health.view.reason
                == "held as it was until other agents see it fail too; last probe: L4CON Connection refused "
                + "(http); last up, verdict expired at \(start + .seconds(5))"
        )
    }

    @Test func `a renewal of it is no change, and the first word decides as ever`() {
        var health = peer()
        for sequence in 1...5 as ClosedRange<UInt64> {
            let now = start + .seconds(Int64(sequence))
            let change = health.apply(
                verdict(.unknown, sequence: sequence, at: now, life: .seconds(5)),
                now: now
            )
            #expect(change?.isTransition != true)
        }
        let now = start + .seconds(6)
        let change = health.apply(
            verdict(.up, sequence: 6, at: now, life: .seconds(5)),
            now: now
        )
        #expect(change?.from.status == .unknown && change?.to.status == .up)
        #expect(health.view.nextChange == now + .seconds(5) + .milliseconds(1))
    }
}
