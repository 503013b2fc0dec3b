// Do probes without a task keep the rules of those with one, when something happens while they are
// in flight? Against a server that holds its answer back until the test lets go.

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct DirectSchedulingTests {
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    private static func key(_ server: ScriptedServer) -> VerdictKey {
        VerdictKey(upstream: "web", peer: "\(server.address)", monitor: "http")
    }

    private static func upstream(
        _ server: ScriptedServer,
        interval: Nanoseconds = .decades,
        fall: Int = 2
    ) throws -> MonitoredUpstream {
        let none: TestSetting = [:]
        let check = try CheckRegistry.builtin.make("http", from: none.options(path: "http"))
        let target = Target(upstream: "web", peer: "\(server.address)", address: server.address)
        _ = try #require(check.direct(target))
        return MonitoredUpstream(
            definition: UpstreamDefinition(
                name: "web",
                peers: [PeerDefinition(address: server.address)]
            ),
            monitors: [
                MonitorDefinition(
                    id: "http",
                    kind: "http",
                    check: check,
                    schedule: Schedule(interval: interval, timeout: .seconds(30)),
                    thresholds: Thresholds(rise: 2, fall: fall)
                )
            ]
        )
    }

    @Test func `a pair removed meanwhile takes no result, and its row serves another`()
        async throws
    {
        let gate = Gate()
        let slow = try ScriptedServer(.wait(gate), .send(Self.answer), .stall)
        let quick = try ScriptedServer(.send(Self.answer), .stall)
        try await Rig.run { rig in
            rig.define([try Self.upstream(slow)])
            #expect(await eventually { slow.connectionCount == 1 })
            rig.define([])
            #expect(rig.store.forgotten == [Self.key(slow)])
            #expect(rig.scheduler.metrics.inFlight == 1, "it still counts")
            rig.define([try Self.upstream(quick)])
            #expect(await eventually { rig.store.published.count == 1 })
            gate.open()
            #expect(await eventually { rig.scheduler.metrics.inFlight == 0 })
            #expect(rig.store.published.map(\.verdict.key) == [Self.key(quick)])
        }
    }

    @Test func `a pair defined anew meanwhile counts the result by its new thresholds`()
        async throws
    {
        let gate = Gate()
        let server = try ScriptedServer(.wait(gate), .send(Self.answer), .stall)
        try await Rig.run { rig in
            rig.define([try Self.upstream(server)])
            #expect(await eventually { server.connectionCount == 1 })
            rig.define([try Self.upstream(server, interval: .milliseconds(20), fall: 5)])
            #expect(rig.scheduler.metrics.inFlight == 1)
            gate.open()
            #expect(await eventually { rig.store.published.count >= 3 }, "at its new interval")
            #expect(rig.store.published.allSatisfy { $0.verdict.fall == 5 })
            #expect(rig.store.published.first?.verdict.status == .up)
            #expect(rig.store.forgotten.isEmpty)
        }
    }

    @Test func `stopping waits for it, and publishes nothing`() async throws {
        let gate = Gate()
        let server = try ScriptedServer(.wait(gate), .send(Self.answer), .stall)
        try await Rig.run { rig in
            rig.define([try Self.upstream(server)])
            #expect(await eventually { server.connectionCount == 1 })
            let home = LoopBound(rig, on: rig.loop)
            let stopping = Task(executorPreference: rig.loop) {
                await home.value.scheduler.stop()
                return home.value.scheduler.metrics.inFlight
            }
            #expect(await eventually { rig.scheduler.metrics.pairs == 0 })
            #expect(rig.scheduler.metrics.inFlight == 1)
            gate.open()
            #expect(await stopping.value == 0)
            #expect(rig.store.published.isEmpty)
        }
    }

    @Test func `whoever asks for a probe gets the steps of one that began later`() async throws {
        let gate = Gate()
        let server = try ScriptedServer([
            [.wait(gate), .send(Self.answer), .stall], [.send(Self.answer), .stall],
        ])
        try await Rig.run { rig in
            rig.define([try Self.upstream(server)])
            #expect(await eventually { server.connectionCount == 1 })
            let home = LoopBound(rig, on: rig.loop)
            let asking = Task(executorPreference: rig.loop) {
                await home.value.scheduler.probeNow(Self.key(server))
            }
            #expect(await eventually { rig.scheduler.isWanted(Self.key(server)) })
            #expect(server.connectionCount == 1)
            gate.open()
            let report = try #require(await asking.value)
            #expect(report.outcome.reason == .layer7OK)
            #expect(report.steps.contains { $0.phase == "connect" }, "\(report.steps)")
            #expect(server.connectionCount == 2)
            #expect(rig.store.published.count == 2)
        }
    }
}
