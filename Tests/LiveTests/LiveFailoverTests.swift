// Is a server that dies routed around, and back to when it is there again, without one request lost?
// The main job, under load, with nothing but kill -9.

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveFailoverTests {
        /// quickstart.yaml: interval 1s, timeout 500ms, fast-interval 200ms.
        private static let detectionSeconds = 1.7
        /// What a busy machine may add.
        private static let graceSeconds = 1.0

        private func time(_ value: JSON?) throws -> Date {
            let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
            return try style.parse(value?.string ?? "")
        }

        @Test func `no request fails while servers die and come back`() async throws {
            let installation = try await Installation.start(
                replacing: [("slow-start: 5s", "slow-start: 2s")]
            )
            let names = installation.servers.map { "\($0)" }
            let traffic = Traffic(port: installation.proxyPort)
            var part = try await traffic.next(100)
            #expect(Set(part.served.keys) == [names[0], names[1]])

            // One dies: noticed in time, and the other takes all.
            let killedAt = Date()
            installation.killServer(1)
            _ = try await installation.waits(for: "down", of: 1)
            let dead = try await installation.peer(1)
            #expect(dead["reason"]?.string?.contains("L4CON") == true, "\(dead.text)")
            #expect(dead["checks"]?[0]?["reason"] == "L4CON")
            let seconds = try time(dead["since"]).timeIntervalSince(killedAt)
            #expect(seconds <= Self.detectionSeconds + Self.graceSeconds, "took \(seconds) s")
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
            var seen = try await installation.waits(for: "up", of: 0)
            #expect(seen.contains("starting"), "\(seen)")
            seen = try await installation.waits(for: "up", of: 1)
            part = try await traffic.next(300)
            #expect(Set(part.served.keys) == [names[0], names[1]], "\(part.served)")
            let share = Double(part.served[names[1]] ?? 0) / Double(part.count)
            #expect((0.6...0.73).contains(share), "\(part.served)")

            let all = await traffic.stop()
            #expect(all.failures == [])
        }

        @Test func `a recovered server begins with little`() async throws {
            let installation = try await Installation.start(
                replacing: [("slow-start: 5s", "slow-start: 3s")]
            )
            installation.killServer(1)
            _ = try await installation.waits(for: "down", of: 1)
            try installation.startServer(1)
            var weights: [Double] = []
            _ = try await eventually {
                let peer = try await installation.peer(1)
                if peer["status"] == "starting", let weight = peer["effective_weight"]?.double {
                    if weights.last != weight { weights.append(weight) }
                }
                return peer["status"] == "up"
            }
            #expect(weights.count >= 3, "\(weights)")
            #expect(weights == weights.sorted(), "\(weights)")
            #expect(weights.allSatisfy { (0.01...2).contains($0) }, "\(weights)")
            #expect(weights.first.map { $0 < 1 } == true, "\(weights)")
            #expect(try await installation.peer(1)["effective_weight"]?.double == 2)
        }
    }
}
