// Do services live exactly as long as somebody is probed with them?

import Checks
import EventLoop
import Glibc
import Health
import Monitor
import Store
import TestSupport
import Testing
import Vocabulary

@Suite struct ServiceTests {
    /// Answers with its process number. `mark` tells one service from another.
    private func upstream(
        _ name: String,
        mark: String,
        told: String = "nothing"
    ) throws -> MonitoredUpstream {
        let script = #"""
            while IFS= read -r line; do id=${line#*'"id":'}
            printf '{"id":%s,"status":"pass","message":"%s"}\n' "${id%%,*}" "$$"; done
            """#
        let settings: TestSetting = [
            "service": ["/bin/sh", "-c", .text(script), .text(mark)],
            "parameters": ["told": .text(told)],
        ]
        return MonitoredUpstream(
            definition: UpstreamDefinition(
                name: name,
                peers: [PeerDefinition(address: .host("192.0.2.1", port: 80))]
            ),
            monitors: [
                MonitorDefinition(
                    id: "service",
                    kind: "service",
                    check: try CheckRegistry.builtin.make(
                        "service",
                        from: settings.options(path: "service")
                    ),
                    schedule: Schedule(interval: .decades, timeout: .seconds(20)),
                    thresholds: Thresholds(rise: 2, fall: 3)
                )
            ]
        )
    }

    private func pid(_ rig: Rig, _ upstream: String) async throws -> pid_t {
        let key = VerdictKey(upstream: upstream, peer: "192.0.2.1:80", monitor: "service")
        let report = try #require(await rig.scheduler.probeNow(key))
        #expect(report.outcome.verdict == .pass, "\(report.outcome)")
        return try #require(pid_t(report.outcome.message))
    }

    @Test func `a service ends with its last monitor, and others never notice`() async throws {
        try await Rig.run { rig in
            let (left, right) = (try upstream("left", mark: "1"), try upstream("right", mark: "2"))
            rig.define([left, right, try upstream("third", mark: "1", told: "more")])
            let (first, second) = (try await pid(rig, "left"), try await pid(rig, "right"))
            #expect(try await pid(rig, "third") == first, "one command line, one process")
            #expect(first != second && rig.services.count == 2)

            // The same again, as a reload makes it.
            rig.define([try upstream("left", mark: "1"), try upstream("right", mark: "2")])
            #expect(try await pid(rig, "left") == first)

            rig.define([try upstream("left", mark: "1")])
            let isGone = await eventually { rig.services.count == 1 }
            #expect(isGone && kill(second, 0) != 0)
            #expect(try await pid(rig, "left") == first)

            rig.define([])
            let areGone = await eventually { rig.services.count == 0 }
            #expect(areGone && kill(first, 0) != 0)
        }
    }
}
