// What does the scheduler make of a peer whose address is a name? Each of its addresses is counted by
// itself; whoever routes hears when one turns.

import Checks
import DNS
import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct NamedPeerTests {
    @Test func `one of two addresses goes down and comes back, and the peer serves on`()
        async throws
    {
        let first = try ScriptedServer([[.stall]], at: .host("127.0.0.1", port: 0))
        let port = first.port
        defer { first.stop() }
        let second = Address.host("127.0.0.2", port: port)
        let server = try NameServer(["web.test": .records([.a("127.0.0.1"), .a("127.0.0.2")])])
        defer { server.stop() }
        var names = ResolverConfiguration()
        names.servers = ["127.0.0.1:\(server.port)"]
        try await Rig.run(names: names) { rig in
            var turns = 0
            rig.scheduler.onAddressTurn = { turns += 1 }
            let key = PeerKey(upstream: "web", peer: "web.test:\(port)")
            let name = Address.host("web.test", port: port)
            let options = Options([], at: Position(file: "t", line: 1, column: 1), path: "tcp")
            let check = try CheckRegistry.builtin.make("tcp", from: options)
            let monitor = MonitorDefinition(
                id: "tcp",
                kind: "tcp",
                check: check,
                schedule: Schedule(
                    interval: .milliseconds(50),
                    fastInterval: .milliseconds(50),
                    downInterval: .milliseconds(50),
                    // Nothing here is to time out: an address answers or refuses.
                    timeout: .seconds(20)
                ),
                thresholds: Thresholds(rise: 1, fall: 2)
            )
            rig.define([
                MonitoredUpstream(
                    definition: UpstreamDefinition(
                        name: "web",
                        peers: [PeerDefinition(id: key.peer, address: name)]
                    ),
                    monitors: [monitor]
                )
            ])
            let isDegraded = await eventually { rig.board.view(of: key)?.status == .degraded }
            #expect(isDegraded)
            #expect(rig.scheduler.isDown("127.0.0.2:\(port)", of: name))
            #expect(!rig.scheduler.isDown("127.0.0.1:\(port)", of: name))
            #expect(turns == 1)
            let back = try ScriptedServer([[.stall]], at: second)
            #expect(await eventually { rig.board.view(of: key)?.status == .up })
            #expect(!rig.scheduler.isDown("127.0.0.2:\(port)", of: name))
            #expect(turns == 2)
            first.stop()
            #expect(await eventually { rig.scheduler.isDown("127.0.0.1:\(port)", of: name) })
            #expect(rig.board.view(of: key)?.status == .degraded)
            back.stop()
            #expect(await eventually { rig.board.view(of: key)?.status == .down })
            rig.define([])
            #expect(!rig.scheduler.isDown("127.0.0.1:\(port)", of: name), "forgotten")
        }
    }
}
