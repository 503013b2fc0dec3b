// When is it said before that silent peers could not all be probed in time, and with which numbers?

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct ProbeDemandTests {
    private static func monitor(
        _ id: String = "tcp",
        kind: String = "tcp",
        interval: Nanoseconds = .seconds(2),
        timeout: Nanoseconds = .seconds(1),
        down: Nanoseconds? = nil
    ) throws -> MonitorDefinition {
        let down = down ?? interval
        let settings: TestSetting = [
            "id": .text(id), "interval": .text("\(interval.milliseconds)ms"),
            "timeout": .text("\(timeout.milliseconds)ms"),
            "down-interval": .text("\(down.milliseconds)ms"),
        ]
        return try MonitorDefinition.make(kind, from: settings.options(path: kind))
    }

    private static func upstream(
        _ name: String,
        peers: Int,
        _ monitors: [MonitorDefinition]
    ) -> MonitoredUpstream {
        MonitoredUpstream(
            definition: UpstreamDefinition(
                name: name,
                peers: (0..<peers).map {
                    PeerDefinition(
                        id: "p\($0)",
                        address: .host("10.\(name.utf8.count).\($0 / 250).\($0 % 250)", port: 80)
                    )
                }
            ),
            monitors: monitors
        )
    }

    private static func limits(_ descriptors: Int) throws -> ProbeLimits {
        let budget: DescriptorBudget = try #require(DescriptorBudget(limit: descriptors))
        return ProbeLimits(within: budget)
    }

    @Test func `what fits is not warned of`() throws {
        let demand = ProbeDemand([
            Self.upstream("web", peers: 30, [try Self.monitor()]),
            Self.upstream("api", peers: 21, [try Self.monitor()]),
        ])
        // 26 places at 256 descriptors, and 19 for one upstream.
        #expect(demand.warnings(within: try Self.limits(256)).isEmpty)
    }

    @Test func `more than may be in flight is warned of with the numbers`() throws {
        let demand = ProbeDemand([Self.upstream("web", peers: 100, [try Self.monitor()])])
        #expect(
            demand.warnings(within: try Self.limits(256)) == [
                "probes: expected silent peers to take at most the 26 probes that may be in flight, "
                    + "saw 50 (timeout ÷ interval of 100 pairs of monitor and peer): when all are "
                    + "silent, each is probed every 2.0 intervals only. Shorten timeouts or lengthen "
                    + "intervals; raise the limit of open files (LimitNOFILE, ulimit -n), which is 256"
            ]
        )
        #expect(demand.warnings(within: try Self.limits(1_024)).isEmpty)
    }

    @Test func `where the share is as large as it may be a higher limit is not advised`() throws {
        let demand = ProbeDemand([Self.upstream("web", peers: 3_000, [try Self.monitor()])])
        let lines = demand.warnings(within: try Self.limits(1_000_000))
        #expect(lines.count == 1)
        #expect(lines.first?.contains("at most the 1024 probes") == true)
        #expect(
            lines.first?.hasSuffix(
                "Shorten timeouts or lengthen intervals; that is the most that probes may have"
            ) == true
        )
    }

    @Test func `one upstream beside another has three quarters`() throws {
        let big = Self.upstream("web", peers: 44, [try Self.monitor()])
        let small = Self.upstream("api", peers: 2, [try Self.monitor()])
        #expect(ProbeDemand([big]).warnings(within: try Self.limits(256)).isEmpty)
        #expect(
            ProbeDemand([big, small]).warnings(within: try Self.limits(256)) == [
                "upstream web: expected silent peers to take at most the 19 probes that one upstream "
                    + "may have beside others (three quarters of 26), saw 22 (timeout ÷ interval of 44 "
                    + "pairs of monitor and peer): when all are silent, each is probed every 1.2 "
                    + "intervals only. Shorten timeouts or lengthen intervals; raise the limit of open "
                    + "files (LimitNOFILE, ulimit -n), which is 256"
            ]
        )
    }

    @Test func `many monitors of one address wait for one another`() throws {
        let monitors = try (0..<9).map { try Self.monitor("m\($0)") }
        #expect(
            ProbeDemand([Self.upstream("web", peers: 1, monitors)])
                .warnings(within: ProbeLimits()) == [
                    "web/p0 (10.3.0.0:80): expected silent peers to take at most the 4 probes that one "
                        + "address may have, saw 5 (timeout ÷ interval of 9 pairs of monitor and peer): "
                        + "when all are silent, each is probed every 1.2 intervals only. Shorten "
                        + "timeouts, lengthen intervals, or probe it by fewer monitors"
                ]
        )
    }

    @Test func `a thousand upstreams are a few lines`() throws {
        let demand = ProbeDemand(
            try (0..<1_000).map {
                Self.upstream("u\($0)", peers: 60, [try Self.monitor(timeout: .seconds(2))])
            }
        )
        let lines = demand.warnings(within: try Self.limits(256))
        #expect(lines.count == 1 + 4 + 4)
        #expect(lines[4] == "… and 997 more like these")
    }

    @Test(
        arguments: [
            // Seconds: interval, timeout, down-interval; places of 100 pairs.
            (2, 1, nil, 50), (2, 2, nil, 100), (10, 1, nil, 10), (10, 1, 2, 50), (2, 1, 60, 50),
            (10, 5, 1, 100),
        ] as [(Int64, Int64, Int64?, Int)]
    )
    func `a silent pair holds its place for so much of the time`(
        interval: Int64,
        timeout: Int64,
        down: Int64?,
        places: Int
    ) throws {
        let demand = ProbeDemand([
            Self.upstream(
                "web",
                peers: 100,
                [
                    try Self.monitor(
                        interval: .seconds(interval),
                        timeout: .seconds(timeout),
                        down: down.map { .seconds($0) }
                    )
                ]
            )
        ])
        #expect(demand.warnings(within: ProbeLimits(inFlight: places)).isEmpty)
        #expect(demand.warnings(within: ProbeLimits(inFlight: places - 1)).count == 1)
    }

    @Test func `who only looks at what came already takes no place`() throws {
        let heartbeat = try Self.monitor(
            kind: "heartbeat",
            interval: .seconds(1),
            timeout: .seconds(1)
        )
        let demand = ProbeDemand([Self.upstream("web", peers: 500, [heartbeat])])
        #expect(demand.warnings(within: try Self.limits(256)).isEmpty)
    }
}
