// Does whoever asks whether muster is well hear of peers that nobody looks at?

import Health
import Monitor
import Store
import Testing
import Vocabulary

@testable import Admin

@Suite struct UnprobedTests {
    private static let noon = WallTime(milliseconds: 1_795_867_200_000)

    private func verdict(_ peer: String, _ monitor: String, until end: WallTime) -> Verdict {
        Verdict(
            key: VerdictKey(upstream: "web", peer: peer, monitor: monitor),
            kind: "http",
            status: .up,
            health: 3,
            rise: 2,
            fall: 2,
            reason: .layer7OK,
            latency: .zero,
            since: Self.noon,
            checkedAt: Self.noon,
            expiresAt: end,
            agent: "a1",
            epoch: 1,
            sequence: 1
        )
    }

    private func view(_ verdicts: [String: [Verdict]]) throws -> UpstreamView {
        let address = try #require(Address(text: "10.0.0.1:80"))
        let peers = verdicts.sorted { $0.key < $1.key }.map { id, verdicts in
            PeerReport(
                definition: PeerDefinition(id: id, address: address),
                view: PeerHealth(
                    policy: PeerPolicy(weight: 1, requiredMonitors: ["http"]),
                    now: Self.noon
                ).view,
                intent: nil,
                verdicts: verdicts
            )
        }
        let monitors = [("http", true), ("page", false)].map { id, isRequired in
            MonitorSummary(
                upstream: "web",
                id: id,
                kind: "http",
                isRequired: isRequired,
                rise: 2,
                fall: 2,
                interval: .seconds(1)
            )
        }
        return UpstreamView(
            definition: UpstreamDefinition(name: "web", peers: peers.map(\.definition)),
            status: .up,
            isPanic: false,
            peers: peers,
            monitors: monitors
        )
    }

    @Test func `never probed, over, or due for long; only the first keeps muster from being ready`()
        throws
    {
        let later = Self.noon + .seconds(9)
        let view = try view([
            "new": [verdict("new", "page", until: later)],
            "over": [verdict("over", "http", until: Self.noon + .seconds(1))],
            "late": [verdict("late", "http", until: later)],
            "well": [
                verdict("well", "http", until: later), verdict("well", "page", until: Self.noon),
            ],
        ])
        var overdue = Overdue()
        overdue.first = [VerdictKey(upstream: "web", peer: "late", monitor: "http")]
        let unprobed = Unprobed([view], overdue, at: Self.noon + .seconds(5))
        #expect(unprobed.never == ["web/new"])
        #expect(unprobed.names == ["web/late", "web/new", "web/over"])
    }
}
