// From when on is silence held against a peer? Since somebody listens for it, and since its last sign of life, however
// often it was taken away meanwhile.

import Checks
import EventLoop
import Health
import Monitor
import Store
import TestSupport
import Testing
import Vocabulary

@Suite struct ListeningTests {
    private static let key = PeerKey(upstream: "jobs", peer: "192.0.2.1:80")

    private static func jobs(
        within: String,
        peers: [String] = [key.peer]
    ) throws -> MonitoredUpstream {
        let settings: TestSetting = ["within": .text(within), "interval": .text("1s")]
        return MonitoredUpstream(
            definition: UpstreamDefinition(
                name: key.upstream,
                peers: peers.compactMap { Address(text: $0).map { PeerDefinition(address: $0) } }
            ),
            monitors: [
                try MonitorDefinition.make("heartbeat", from: settings.options(path: "heartbeat"))
            ]
        )
    }

    private static func status(_ rig: Rig) -> PeerStatus? { rig.board.view(of: key)?.status }

    /// Probed at least once since then.
    private static func isProbed(_ rig: Rig, since time: WallTime) -> Bool {
        let checked = rig.board.report(of: key)?.verdicts.first?.checkedAt
        return checked.map { $0 > time } ?? false
    }

    @Test func `a heartbeat that comes later is waited for as long as one that was there`()
        async throws
    {
        try await Rig.inVirtualTime { rig in
            await rig.loop.advance(by: .seconds(600))
            rig.define([try Self.jobs(within: "30s")])
            let begin = rig.loop.wall
            #expect(await rig.comes { Self.isProbed(rig, since: begin) })
            #expect(Self.status(rig) == .unknown)
            #expect(await rig.comes { Self.status(rig) == .down })
            #expect(rig.loop.wall > begin + .seconds(30))
            #expect(rig.loop.wall < begin + .seconds(33))
        }
    }

    @Test func `a peer that is taken away and comes back is as it last said`() async throws {
        try await Rig.inVirtualTime { rig in
            rig.define([try Self.jobs(within: "30s")])
            rig.heartbeats.record(
                .init(status: .fail, message: "disk full", at: rig.loop.instant),
                upstream: Self.key.upstream,
                peer: Self.key.peer
            )
            #expect(await rig.comes { Self.status(rig) == .down })
            rig.define([try Self.jobs(within: "30s", peers: ["192.0.2.2:80"])])
            #expect(Self.status(rig) == nil)
            rig.define([])
            rig.define([try Self.jobs(within: "30s")])
            let begin = rig.loop.wall
            #expect(await rig.comes { Self.isProbed(rig, since: begin) })
            #expect(Self.status(rig) == .down)
            #expect(rig.board.view(of: Self.key)?.reason.contains("disk full") == true)
        }
    }
}
