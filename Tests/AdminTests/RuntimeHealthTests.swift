// How is a peer in HAProxy's words, where HAProxy has a word for it?

import Health
import Store
import Testing
import Vocabulary

@testable import Admin

@Suite struct RuntimeHealthTests {
    private let now = WallTime(milliseconds: 1_795_000_000_000)

    private func report(named: Bool, _ reason: Reason) -> PeerReport {
        var health = PeerHealth(
            policy: PeerPolicy(weight: 1, requiredMonitors: ["tcp"], isNamed: named),
            now: now
        )
        let verdict = Verdict(
            key: VerdictKey(upstream: "web", peer: "a", monitor: "tcp"),
            kind: "tcp",
            status: reason == .resolver ? .unknown : .up,
            health: 0,
            rise: 2,
            fall: 3,
            reason: reason,
            message: "",
            latency: .zero,
            since: now,
            checkedAt: now,
            expiresAt: now + .seconds(60),
            agent: "a1",
            epoch: 1,
            sequence: 1
        )
        _ = health.apply(verdict, now: now)
        return PeerReport(
            definition: PeerDefinition(address: .host("a.invalid", port: 80)),
            view: health.view,
            intent: nil,
            verdicts: [verdict]
        )
    }

    private let monitor = MonitorSummary(
        upstream: "web",
        id: "tcp",
        kind: "tcp",
        isRequired: true,
        rise: 2,
        fall: 3,
        interval: .seconds(2)
    )

    /// Nobody is sent there, so no tool should count it among those that serve.
    @Test func `a name without an address is a server in maintenance, as in HAProxy`() {
        let nowhere = report(named: true, .resolver)
        #expect(RuntimeHealth(nowhere, [monitor]).status == "MAINT (resolution)")
        #expect(RuntimeServers.operational(nowhere) == 0)
        #expect(RuntimeServers.administrative(nowhere) == 32)
        let found = report(named: true, .layer4OK)
        #expect(!RuntimeHealth(found, [monitor]).status.hasPrefix("MAINT"))
        #expect(RuntimeServers.operational(found) == 2)
        #expect(RuntimeServers.administrative(found) == 0)
    }
}
