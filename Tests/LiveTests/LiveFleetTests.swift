// Do real agents share the probing, and what if one of them dies, stops, stands still or is blind? Seen from the
// targets: who asks whom.

import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveFleetTests {
        private static let patience = Duration.seconds(60)

        @Test func `three agents share, and take over from one that is killed and one that stops`()
            async throws
        {
            let fleet = try await LiveFleet.start()
            #expect(
                try await eventually(within: Self.patience) {
                    let agents = try await fleet.json("/v1/agents", of: "a3")["agents"]?.items ?? []
                    return agents.compactMap { $0["id"]?.string } == ["a1", "a2", "a3"]
                        && agents.allSatisfy { $0["state"] == "member" }
                        && agents.compactMap { $0["pairs"]?.int }.reduce(0, +) == 12
                }
            )
            let explained = try await fleet.json("/v1/peers/web/p0/explain", of: "a1")
            #expect(explained["owner"]?.string.map { [$0] } == Array(fleet.targets.probers()[0]))
            #expect(explained["rank"]?.items?.count == 3)
            fleet.agents["a2"]?.end()
            #expect(
                await eventually(within: Self.patience) {
                    fleet.targets.areShared(among: ["a1", "a3"])
                }
            )
            try fleet.start("a2")
            #expect(
                await eventually(within: Self.patience) {
                    fleet.targets.areShared(among: ["a1", "a2", "a3"])
                }
            )
            let leaving = try #require(fleet.agents["a3"])
            leaving.signal(SIGTERM)
            #expect(await leaving.exitCode(within: Self.patience) == 0)
            fleet.targets.forgetVisits()
            #expect(
                await eventually(within: Self.patience) {
                    fleet.targets.areShared(among: ["a1", "a2"])
                }
            )
            #expect(fleet.falls == [])
            for id in ["a1", "a2"] {
                #expect(try await Set(fleet.statuses(of: id)) == ["up"])
            }
        }

        @Test func `one that stood still overwrites nobody, and joins anew`() async throws {
            let fleet = try await LiveFleet.start()
            let stopped = try #require(fleet.agents["a1"])
            stopped.signal(SIGSTOP)
            fleet.targets.forgetVisits()
            #expect(
                await eventually(within: Self.patience) {
                    fleet.targets.areShared(among: ["a2", "a3"])
                }
            )
            // Its lease is over, not only its beats late.
            #expect(
                try await eventually(within: Self.patience) {
                    try await fleet.redis.ask("HGET", "muster:fleet", "@a1")
                        .first?.contains(" - ") == true
                }
            )
            let before = try await fleet.claims()
            #expect(!before.values.contains("a1"))
            stopped.signal(SIGCONT)
            #expect(
                await eventually(within: Self.patience) {
                    stopped.output.contains("stood still")
                }
            )
            fleet.targets.forgetVisits()
            #expect(
                await eventually(within: Self.patience) {
                    fleet.targets.areShared(among: ["a1", "a2", "a3"])
                }
            )
            #expect(fleet.falls == [])
        }

        @Test
        func `a Redis that dies changes nobody's share, and one that comes back empty is told all`()
            async throws
        {
            let fleet = try await LiveFleet.start()
            let owners = fleet.targets.probers()
            fleet.redis.kill()
            #expect(
                try await eventually(within: Self.patience) {
                    for id in ["a1", "a2", "a3"] {
                        let ready = try await fleet.json("/ready", of: id)
                        if ready["store"]?["connected"] != false { return false }
                    }
                    return true
                }
            )
            fleet.targets.forgetVisits()
            // More than a lease of it.
            #expect(
                await eventually(within: Self.patience) {
                    fleet.targets.areShared(among: ["a1", "a2", "a3"], visits: 20)
                }
            )
            #expect(fleet.targets.probers() == owners)
            try await fleet.redis.start()
            #expect(
                try await eventually(within: Self.patience) {
                    try await fleet.redis.ask("HLEN", "muster:verdicts") == ["12"]
                }
            )
            let claims = try await fleet.claims()
            for (number, owner) in owners.enumerated() {
                #expect(claims["web|p\(number)|http"].map { [$0] } == Array(owner))
            }
            _ = try await fleet.redis.ask("FLUSHALL")
            #expect(
                try await eventually(within: Self.patience) {
                    try await fleet.redis.ask("HLEN", "muster:verdicts") == ["12"]
                }
            )
            #expect(try await fleet.claims() == claims)
            #expect(fleet.falls == [])
        }

        @Test func `a reload that is undone finds again what others say of the peers`() async throws
        {
            let fleet = try await LiveFleet.start()
            let agent = try #require(fleet.agents["a1"])
            let others = Set(
                fleet.targets.probers().enumerated().filter { $0.element != ["a1"] }.map(\.offset)
            )
            #expect(!others.isEmpty)
            try fleet.write("a1", without: others)
            agent.signal(SIGHUP)
            #expect(
                try await eventually(within: Self.patience) {
                    try await fleet.statuses(of: "a1").count == 12 - others.count
                }
            )
            try fleet.write("a1")
            agent.signal(SIGHUP)
            #expect(
                try await eventually(within: Self.patience) {
                    let statuses = try await fleet.statuses(of: "a1")
                    return statuses.count == 12 && Set(statuses) == ["up"]
                }
            )
        }

        @Test func `a peer that one agent alone sees fail stays up, and becomes another's`()
            async throws
        {
            let confirm = ", confirm: { agents: 2, quorum: majority }"
            let fleet = try await LiveFleet.start(monitor: confirm)
            let target = try #require(fleet.targets.probers().firstIndex(of: ["a1"]))
            fleet.targets.fail(for: "a1", [target])
            let owner = try #require(fleet.agents["a1"])
            #expect(
                await eventually(within: Self.patience) {
                    owner.output.contains("2 of 3 see it pass; it stays up")
                }
            )
            let shown = try await fleet.json("/v1/upstreams/web/peers/p\(target)", of: "a1")
            // It may be another's by now.
            if let votes = shown["checks"]?[0]?["votes"]?.items, !votes.isEmpty {
                #expect(shown["disagreement"] == "agents-differ")
                #expect(Set(votes.compactMap { $0["agent"]?.string }) == ["a1", "a2", "a3"])
            }
            #expect(
                await eventually(within: Self.patience) {
                    owner.output.contains("which sees it pass")
                }
            )
            #expect(
                await eventually(within: Self.patience) {
                    let probers = fleet.targets.probers()[target]
                    return probers == ["a2"] || probers == ["a3"]
                }
            )
            #expect(fleet.falls == [])
            // One that fails for all is down for all.
            for id in ["a1", "a2", "a3"] { fleet.targets.fail(for: id, [target]) }
            #expect(
                try await eventually(within: Self.patience) {
                    for id in ["a1", "a2", "a3"] {
                        let statuses = try await fleet.statuses(of: id)
                        if statuses.filter({ $0 == "down" }).count != 1 { return false }
                    }
                    return true
                }
            )
            let holder = try #require(try await fleet.claims()["web|p\(target)|http"])
            let down = try await fleet.json("/v1/upstreams/web/peers/p\(target)", of: holder)
            let confirmed = down["checks"]?[0]?["confirmed"]?.string ?? ""
            // The one that gave it away abstains.
            #expect(["2 of 2", "2 of 3", "3 of 3"].contains(confirmed), "\(down.text)")
        }
    }
}
