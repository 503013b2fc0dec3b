// What does the scheduler make of a peer whose address is a name? Each of its addresses is counted by
// itself; whoever routes hears when one turns, at this agent and at every other.

import Checks
import DNS
import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Monitor
@testable import Proxy

@Suite struct NamedPeerTests {
    private func resolver(asking server: NameServer) -> ResolverConfiguration {
        var names = ResolverConfiguration()
        names.servers = ["127.0.0.1:\(server.port)"]
        return names
    }

    /// One peer that has a name, probed all the time.
    private func upstream(_ port: UInt16) throws -> MonitoredUpstream {
        let options = Options([], at: Position(file: "t", line: 1, column: 1), path: "tcp")
        let monitor = MonitorDefinition(
            id: "tcp",
            kind: "tcp",
            check: try CheckRegistry.builtin.make("tcp", from: options),
            schedule: Schedule(
                interval: .milliseconds(50),
                fastInterval: .milliseconds(50),
                downInterval: .milliseconds(50),
                // Nothing here is to time out: an address answers or refuses.
                timeout: .seconds(20)
            ),
            thresholds: Thresholds(rise: 1, fall: 2)
        )
        return MonitoredUpstream(
            definition: UpstreamDefinition(
                name: "web",
                peers: [PeerDefinition(id: "p", address: .host("web.test", port: port))]
            ),
            monitors: [monitor]
        )
    }

    private let key = PeerKey(upstream: "web", peer: "p")

    @Test func `one of two addresses goes down and comes back, and the peer serves on`()
        async throws
    {
        let first = try ScriptedServer([[.stall]], at: .host("127.0.0.1", port: 0))
        let port = first.port
        defer { first.stop() }
        let second = Address.host("127.0.0.2", port: port)
        let server = try NameServer(["web.test": .records([.a("127.0.0.1"), .a("127.0.0.2")])])
        defer { server.stop() }
        try await Rig.run(names: resolver(asking: server)) { [self] rig in
            func down() -> [String]? { rig.board.view(of: key)?.downAddresses }
            rig.define([try upstream(port)])
            let isDegraded = await eventually { rig.board.view(of: key)?.status == .degraded }
            #expect(isDegraded)
            #expect(down() == ["127.0.0.2:\(port)"])
            let back = try ScriptedServer([[.stall]], at: second)
            #expect(await eventually { rig.board.view(of: key)?.status == .up })
            #expect(down() == [])
            first.stop()
            #expect(await eventually { down() == ["127.0.0.1:\(port)"] })
            #expect(rig.board.view(of: key)?.status == .degraded)
            back.stop()
            #expect(await eventually { rig.board.view(of: key)?.status == .down })
            let turns = rig.store.published.map { ($0.isTransition, $0.verdict.downAddresses) }
            for (before, after) in zip(turns, turns.dropFirst()) where before.1 != after.1 {
                #expect(after.0, "published at once")
            }
        }
    }

    /// One agent probes, the other has only its proxy and what the store tells.
    @Test func `what one agent finds of an address, another routes by`() async throws {
        let first = try ScriptedServer([[.stall]], at: .host("127.0.0.1", port: 0))
        let port = first.port
        defer { first.stop() }
        let server = try NameServer(["web.test": .records([.a("127.0.0.1"), .a("127.0.0.2")])])
        defer { server.stop() }
        try await Rig.run(names: resolver(asking: server)) { [self] rig in
            let upstream = try upstream(port)
            let other = Board(loop: rig.loop)
            var catalogue = Catalogue()
            other.apply(catalogue.set(.file, [upstream]).map(\.summarised))
            var configuration = ProxyConfiguration(threads: 1, listeners: [])
            configuration.listeners = [
                ListenerConfiguration(
                    bind: .host("127.0.0.1", port: 0),
                    mode: .tcp(upstream: "web")
                )
            ]
            let proxy = Proxy(
                loop: rig.loop,
                board: other,
                configuration: configuration,
                // The one that is down comes first.
                resolve: { _ in [.host("127.0.0.2", port: port), .host("127.0.0.1", port: port)] }
            )
            #expect(try await proxy.start() == [])
            func address() -> String? { proxy.routing.snapshot(of: key)?.address?.description }
            #expect(await eventually { address() == "127.0.0.2:\(port)" })

            rig.store.onPublish = { other.storeChanged($0) }
            rig.define([upstream])
            #expect(await eventually { address() == "127.0.0.1:\(port)" })
            let back = try ScriptedServer([[.stall]], at: .host("127.0.0.2", port: port))
            defer { back.stop() }
            #expect(await eventually { address() == "127.0.0.2:\(port)" })

            rig.store.onPublish = nil
            _ = await proxy.drain()
            other.close()
        }
    }

    /// As after a start with a monitor of another kind, or with a number in place of the name.
    @Test func `what was found of addresses is over where none are probed any more`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { rig in
            let upstream = MonitoredUpstream.scripted(peers: ["127.0.0.1:9001"], script: script)
            let changes = rig.catalogue.set(.file, [upstream])
            rig.board.apply(changes.map(\.summarised))
            let now = rig.loop.wall
            let key = VerdictKey(upstream: "web", peer: "127.0.0.1:9001", monitor: "http")
            rig.board.apply(
                Verdict(
                    key: key,
                    kind: ScriptedCheck.kind,
                    status: .up,
                    health: 3,
                    rise: 2,
                    fall: 2,
                    reason: .layer7OK,
                    latency: .zero,
                    downAddresses: ["192.0.2.2:80"],
                    since: now,
                    checkedAt: now,
                    expiresAt: now + .seconds(1),
                    agent: "a1",
                    epoch: 1,
                    sequence: 1
                )
            )
            func down() -> [String]? { rig.board.view(of: key.peerKey)?.downAddresses }
            #expect(down() == ["192.0.2.2:80"])
            rig.scheduler.apply(changes)
            #expect(await rig.comes { down() == [] })
            let first = try #require(rig.store.published.first)
            #expect(first.isTransition && first.verdict.status == .up)
        }
    }
}
