// What is told of requests that a setting of their upstream costs?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct RefusalsTests {
    private static func at(_ seconds: Int64) -> Moment {
        Moment(
            instant: Instant(nanoseconds: 1_000_000_000) + .seconds(seconds),
            wall: wall(seconds)
        )
    }

    private static func wall(_ seconds: Int64) -> WallTime {
        WallTime(milliseconds: 1_795_000_000_000 + seconds * 1_000)
    }

    @Test
    func `each setting is told by itself, since its first request, until none comes any more`() {
        var refusals = Refusals()
        refusals.add("web", .full, .status(503), 3, code: 5, at: Self.at(0))
        refusals.add("web", .full, .status(503), 2, code: 5, at: Self.at(30))
        refusals.add("web", .waited, .status(503), 1, code: 5, at: Self.at(40))
        refusals.add("api", .overBudget, .status(502), 1, code: 0, at: Self.at(40))
        // Tried again, or the peer's own doing.
        refusals.add("api", .refused, .status(502), 1, code: 0, at: Self.at(40))
        refusals.add("api", .full, .retried, 1, code: 0, at: Self.at(40))
        let web = refusals.lately(at: Self.at(50).instant)["web"] ?? []
        #expect(web.map(\.cause) == ["full", "queue-timeout"])
        #expect(web.map(\.setting) == ["queue.size", "queue.timeout"])
        #expect(web.map(\.count) == [5, 1])
        #expect(web.map(\.since) == [Self.wall(0), Self.wall(40)])
        #expect(web.map(\.last) == [Self.wall(30), Self.wall(40)])
        #expect(refusals.lately(at: Self.at(50).instant)["api"]?.map(\.setting) == ["retry-budget"])
        #expect(refusals.lately(at: Self.at(95).instant)["web"]?.map(\.cause) == ["queue-timeout"])
        // Begun anew.
        refusals.add("web", .full, .status(503), 1, code: 0, at: Self.at(200))
        let later = refusals.lately(at: Self.at(201).instant)["web"] ?? []
        #expect(later.map(\.count) == [1])
        #expect(later.map(\.setting) == ["max-connections"])
        #expect(refusals.lately(at: Self.at(201).instant)["api"] == nil)
        refusals.keep { $0 != "web" }
        #expect(refusals.lately(at: Self.at(201).instant).isEmpty)
    }
}
