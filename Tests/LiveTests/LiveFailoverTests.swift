// Is a server that dies routed around, and back to when it is there again, without one request lost?
// The main job, under load, with nothing but kill -9.

import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveFailoverTests {
        /// quickstart.yaml: interval 1s, timeout 500ms, fast-interval 200ms.
        private static let detection = Duration.milliseconds(1_700)
        /// What a busy machine may add.
        private static let grace = Duration.seconds(10)
        /// Slow enough that nobody misses it; cut short by a reload once it has been seen.
        private static let slow = [("slow-start: 5s", "slow-start: 20s")]
        private static let quick = [("slow-start: 5s", "slow-start: 2s")]

        @Test func `no request fails while servers die and come back`() async throws {
            let installation = try await Installation.start(replacing: Self.slow)
            let names = installation.servers.map { "\($0)" }
            let traffic = Traffic(port: installation.proxyPort)
            var part = try await traffic.next(100)
            #expect(Set(part.served.keys) == [names[0], names[1]])

            // One dies: noticed in time, and the other takes all.
            let killedAt = ContinuousClock.now
            installation.killServer(1)
            _ = try await installation.waits(for: "down", of: 1)
            let taken = ContinuousClock.now - killedAt
            #expect(taken <= Self.detection + Self.grace)
            let dead = try await installation.peer(1)
            #expect(dead["reason"]?.string?.contains("L4CON") == true, "\(dead.text)")
            #expect(dead["checks"]?[0]?["reason"] == "L4CON")
            part = try await traffic.next(100)
            #expect(Set(part.served.keys) == [names[0]], "\(part.served)")

            // Both dead: the spare serves.
            installation.killServer(0)
            _ = try await installation.waits(for: "down", of: 0)
            part = try await traffic.next(100)
            #expect(Set(part.served.keys) == [names[2]], "\(part.served)")

            // Both back: through the slow start to their shares, and the spare rests.
            try installation.startServer(0)
            try installation.startServer(1)
            for index in [0, 1] { _ = try await installation.waits(for: "starting", of: index) }
            try await installation.reload(replacing: Self.quick)
            for index in [0, 1] { _ = try await installation.waits(for: "up", of: index) }
            part = try await traffic.next(300)
            #expect(Set(part.served.keys) == [names[0], names[1]], "\(part.served)")
            let share = Double(part.served[names[1]] ?? 0) / Double(part.count)
            #expect((0.6...0.73).contains(share), "\(part.served)")

            let all = await traffic.stop()
            #expect(all.failures == [])
        }

        @Test func `a recovered server begins with little`() async throws {
            let installation = try await Installation.start(replacing: Self.slow)
            installation.killServer(1)
            _ = try await installation.waits(for: "down", of: 1)
            try installation.startServer(1)
            var weights: [Double] = []
            func isUp() async throws -> Bool {
                let peer = try await installation.peer(1)
                if peer["status"] == "starting", let weight = peer["effective_weight"]?.double {
                    if weights.last != weight { weights.append(weight) }
                }
                return peer["status"] == "up"
            }
            _ = try await eventually(within: .seconds(60)) {
                try await isUp() || weights.count >= 3
            }
            try await installation.reload(replacing: Self.quick)
            #expect(try await eventually(within: .seconds(60)) { try await isUp() })
            #expect(weights.count >= 3, "\(weights)")
            #expect(weights == weights.sorted(), "\(weights)")
            #expect(weights.allSatisfy { (0.01...2).contains($0) }, "\(weights)")
            #expect(weights.first.map { $0 < 1 } == true, "\(weights)")
            #expect(try await installation.peer(1)["effective_weight"]?.double == 2)
        }
    }
}
