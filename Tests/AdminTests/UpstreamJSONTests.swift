// Is everything that is known of a peer told to programs?

import Health
import Monitor
import Store
import Testing
import Vocabulary

@testable import Admin

@Suite struct UpstreamJSONTests {
    private let now = WallTime(milliseconds: 1_795_000_000_000)

    private func check(_ votes: PairVotes? = nil, downAddresses: [String] = []) -> JSON {
        let monitor = MonitorSummary(
            upstream: "web",
            id: "http",
            kind: "http",
            isRequired: true,
            rise: 2,
            fall: 3,
            interval: .seconds(2)
        )
        let verdict = Verdict(
            key: VerdictKey(upstream: "web", peer: "p", monitor: "http"),
            kind: "http",
            status: .up,
            health: 4,
            rise: 2,
            fall: 3,
            reason: .layer7OK,
            latency: .zero,
            downAddresses: downAddresses,
            since: now,
            checkedAt: now,
            expiresAt: now,
            agent: "a1",
            epoch: 1,
            sequence: 1
        )
        return UpstreamJSON.check(verdict, by: monitor, votes)
    }

    @Test func `what was found down while nobody could be asked is marked, and nothing else`() {
        var votes = PairVotes(votes: [], confirmed: nil, isLost: false)
        #expect(check(votes)["unconfirmed"] == nil)
        votes.isUnconfirmed = true
        #expect(check(votes)["unconfirmed"] == true)
    }

    @Test func `addresses of a name that are down are listed, and nothing is said of none`() {
        let all = check(downAddresses: ["192.0.2.1:80", "192.0.2.2:80"])
        #expect(all["down_addresses"] == .array(["192.0.2.1:80", "192.0.2.2:80"]))
        #expect(check(downAddresses: [])["down_addresses"] == nil)
    }
}
