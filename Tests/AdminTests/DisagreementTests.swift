// When do requests and probes not find the same of a peer?

import EventLoop
import Health
import Store
import Testing
import Vocabulary

@testable import Admin
@testable import Proxy

@Suite struct DisagreementTests {
    private static let start = WallTime(milliseconds: 1_000_000)
    private static let definition = PeerDefinition(id: "one", address: .host("10.0.0.1", port: 80))

    private static func peer(_ status: HealthCounter.Status) -> PeerHealth {
        var health = PeerHealth(
            policy: PeerPolicy(weight: 1, requiredMonitors: ["http"]),
            now: start
        )
        let verdict = Verdict(
            key: VerdictKey(upstream: "web", peer: "one", monitor: "http"),
            kind: "http",
            status: status,
            health: status == .up ? 3 : 0,
            rise: 2,
            fall: 2,
            reason: status == .up ? .layer7OK : .layer7Status,
            latency: .zero,
            since: start,
            checkedAt: start,
            expiresAt: start + .seconds(600),
            agent: "a1",
            epoch: 1,
            sequence: 1
        )
        _ = health.apply(verdict, now: start)
        return health
    }

    private static func disagreement(
        _ health: PeerHealth,
        answered: Nanoseconds? = nil,
        failing: Proxy.Failing? = nil,
        votes: [ToldVote] = [],
        after span: Nanoseconds = .seconds(60)
    ) -> Disagreement? {
        var traffic = UpstreamJSON.SeenTraffic(votes: votes)
        traffic.own.answered = answered
        traffic.own.failing = failing
        let report = PeerReport(
            definition: definition,
            view: health.view,
            intent: nil,
            verdicts: health.verdicts,
            ejection: health.ejection
        )
        return Disagreement(report, traffic, now: start + span)
    }

    @Test func `requests that fail where checks pass`() {
        var health = Self.peer(.up)
        #expect(Self.disagreement(health) == nil)
        let ejection = Ejection("failed", from: Self.start, for: .seconds(10), test: .recovery)
        _ = health.eject(ejection, now: Self.start)
        #expect(Self.disagreement(health) == .trafficFails)
    }

    /// `eject: off`, or as many others are out as may be.
    @Test func `requests that fail at a peer that may not be ejected`() {
        let failing = Proxy.Failing(requests: 9, failures: 8)
        #expect(Self.disagreement(Self.peer(.up), failing: failing) == .trafficFails)
        #expect(Self.disagreement(Self.peer(.down), failing: failing) == nil)
    }

    @Test func `requests that fail at another agent where checks pass`() {
        let vote = TrafficVote(requests: 9, failures: 4, window: .seconds(2), life: .seconds(10))
        let told = [ToldVote(agent: "a2", vote: vote, until: Self.start + .seconds(70))]
        #expect(Self.disagreement(Self.peer(.up), votes: told) == .trafficFails)
        #expect(Self.disagreement(Self.peer(.down), votes: told) == nil)
    }

    @Test func `checks that fail where requests are answered`() {
        let health = Self.peer(.down)
        #expect(Self.disagreement(health) == nil)
        #expect(Self.disagreement(health, answered: .seconds(3)) == .probesFail)
        // Long ago; or of what was under way as it went down.
        #expect(Self.disagreement(health, answered: .seconds(30)) == nil)
        #expect(Self.disagreement(health, answered: .seconds(3), after: .seconds(3)) == nil)
        #expect(Self.disagreement(Self.peer(.up), answered: .seconds(3)) == nil)
    }
}
