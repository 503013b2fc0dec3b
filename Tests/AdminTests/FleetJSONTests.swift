// Is what agents say of themselves, and why a peer is as it is, told in the promised shape?

import EventLoop
import Health
import Monitor
import Store
import Testing
import Vocabulary

@testable import Admin

@Suite struct FleetJSONTests {
    private static let noon = WallTime(milliseconds: 1_795_867_200_000)

    private func report(
        _ id: String,
        pairs: Int,
        _ state: FleetReport.State = .member
    ) -> FleetReport {
        FleetReport(
            id: id,
            version: "1",
            zone: nil,
            started: Self.noon,
            seen: Self.noon,
            age: .zero,
            state: state,
            weight: 1,
            pairs: pairs,
            lateness: .milliseconds(5),
            doubt: 0.666,
            reasons: ["mass-failure"]
        )
    }

    @Test func `shares are of all pairs that somebody probes`() throws {
        let reports = [
            report("a1", pairs: 30), report("a2", pairs: 10), report("a3", pairs: 9, .silent),
        ]
        let json = AgentsJSON.make(reports, isComplete: true)
        let shares = json["agents"]?.items?.compactMap { $0["share"]?.double }
        #expect(shares == [0.75, 0.25, 0])
        let first = try #require(json["agents"]?[0])
        #expect(first["doubt"]?.double == 0.67)
        #expect(first["reasons"]?.items == ["mass-failure"])
        #expect(first["started"]?.string == "\(Self.noon)")
        #expect(json["complete"] == true)
    }

    @Test func `every layer is told, and what would change the status`() throws {
        let monitor = MonitorSummary(
            upstream: "web",
            id: "http",
            kind: "http",
            isRequired: true,
            rise: 2,
            fall: 3,
            interval: .seconds(1)
        )
        let verdict = Verdict(
            key: VerdictKey(upstream: "web", peer: "a", monitor: "http"),
            kind: "http",
            status: .up,
            health: 3,
            rise: 2,
            fall: 3,
            reason: .layer7Status,
            code: 500,
            latency: .zero,
            since: Self.noon,
            checkedAt: Self.noon,
            expiresAt: Self.noon + .seconds(4),
            agent: "a2",
            epoch: 7,
            sequence: 1
        )
        let address = try #require(Address(text: "10.0.0.1:80"))
        var health = PeerHealth(
            policy: PeerPolicy(weight: 1, requiredMonitors: ["http"]),
            now: Self.noon
        )
        _ = health.apply(verdict, now: Self.noon)
        let intent = Intent(mode: .drain, reason: "deploy", by: "root")
        _ = health.set(intent: intent, now: Self.noon)
        let peer = PeerReport(
            definition: PeerDefinition(id: "a", address: address),
            view: health.view,
            intent: intent,
            verdicts: [verdict]
        )
        let pair = PairExplanation(
            owner: "a2",
            why: "a2 is first in rank of 2 agents",
            rank: ["a2", "a1"],
            nextAt: Self.noon + .seconds(1),
            votes: [.init(agent: "a1", status: "passes"), .init(agent: "a3", status: nil)],
            confirmAgents: 2
        )
        let json = ExplainJSON(
            agent: "a1",
            report: peer,
            monitors: [(monitor, pair)],
            transitions: [],
            now: Self.noon
        ).json
        #expect(json["owner"] == "a2")
        #expect(json["rank"]?.items == ["a2", "a1"])
        #expect(json["next_probe_at"]?.string == "\(Self.noon + .seconds(1))")
        #expect(json["votes"]?.items?.map { $0["status"]?.text } == ["\"passes\"", "null"])
        let layers = json["layers"]?.items ?? []
        #expect(layers.compactMap { $0["layer"]?.string } == ["operator", "check http", "status"])
        #expect(layers.compactMap { $0["says"]?.string } == ["drain", "up", "drain"])
        #expect(layers[0]["reason"] == "asked by root: deploy")
        let changes = json["would_change"]?.items?.compactMap { $0.string } ?? []
        #expect(changes.first == "the end of drain: muster peer ready web a")
        #expect(
            changes.contains(
                "http: 2 failures in a row take it down, and 2 other agents are asked first"
            )
        )
    }
}
