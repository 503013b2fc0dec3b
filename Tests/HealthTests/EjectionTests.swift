// What brings a peer back that this process had ejected?

import Health
import Testing
import Vocabulary

@Suite struct EjectionTests {
    private static let start = WallTime(milliseconds: 1_000_000)

    /// A peer with one monitor, of rise 2 and fall 3, that says `up` from the beginning.
    private struct Peer {
        var health: PeerHealth
        var sequence: UInt64 = 0

        init() {
            health = PeerHealth(
                policy: PeerPolicy(weight: 1, requiredMonitors: ["http"]),
                now: EjectionTests.start
            )
            probe(at: 0, health: 4)
        }

        mutating func probe(
            at milliseconds: Int64,
            health count: Int,
            _ reason: Reason = .layer7OK
        ) {
            sequence += 1
            let now = EjectionTests.start + .milliseconds(milliseconds)
            _ = health.apply(
                Verdict(
                    key: VerdictKey(upstream: "web", peer: "a", monitor: "http"),
                    kind: "http",
                    status: count >= 2 ? .up : .down,
                    health: count,
                    rise: 2,
                    fall: 3,
                    reason: reason,
                    latency: .zero,
                    since: EjectionTests.start,
                    checkedAt: now,
                    expiresAt: now + .seconds(3_600),
                    agent: "test",
                    epoch: 1,
                    sequence: sequence
                ),
                now: now
            )
        }

        mutating func eject(at milliseconds: Int64, _ test: Ejection.Test) {
            let now = EjectionTests.start + .milliseconds(milliseconds)
            let ejection = Ejection("failed", from: now, for: .seconds(10), test: test)
            _ = health.eject(ejection, now: now)
        }

        mutating func status(at milliseconds: Int64) -> PeerStatus {
            _ = health.refresh(now: EjectionTests.start + .milliseconds(milliseconds))
            return health.view.status
        }
    }

    @Test func `time ends it, to the millisecond`() {
        for test in [Ejection.Test.connection, .answer, .recovery, .none] {
            var peer = Peer()
            peer.eject(at: 1_000, test)
            #expect(peer.status(at: 10_999) == .ejected)
            #expect(peer.health.view.nextChange == Self.start + .seconds(11))
            #expect(peer.status(at: 11_000) == .up)
        }
    }

    @Test func `what ends it is told as it stands`() {
        var peer = Peer()
        func words() -> String? { peer.health.ejection?.endWords }
        let end = Self.start + .seconds(11)
        peer.eject(at: 1_000, .none)
        #expect(words()?.hasPrefix("at \(end), whatever its checks find") == true)
        peer.eject(at: 1_000, .answer)
        #expect(
            words()?.contains("a second after its checks were answered well `rise` times")
                == true
        )
        peer.probe(at: 1_200, health: 4)
        peer.probe(at: 1_400, health: 4)
        let early = Self.start + .milliseconds(2_400)
        #expect(words()?.hasPrefix("at \(early), for its checks pass again") == true)
        peer.probe(at: 1_600, health: 0, .layer4Connect)
        #expect(words()?.hasPrefix("a second after its checks find it up, at \(end) at") == true)
        #expect(words()?.hasSuffix("; or when no other peer is left") == true)
    }

    @Test func `it ends with the first probe a second after as many as rise passed`() {
        var peer = Peer()
        peer.eject(at: 1_000, .answer)
        peer.probe(at: 1_200, health: 4)
        #expect(peer.status(at: 1_900) == .ejected)
        peer.probe(at: 2_200, health: 4)
        peer.probe(at: 3_199, health: 4)
        #expect(peer.status(at: 3_199) == .ejected)
        peer.probe(at: 3_250, health: 4)
        #expect(peer.status(at: 3_250) == .up)
    }

    @Test func `where no such probe comes it is not waited for long`() {
        var peer = Peer()
        peer.eject(at: 1_000, .answer)
        peer.probe(at: 1_200, health: 4)
        peer.probe(at: 1_400, health: 4)
        #expect(peer.status(at: 4_399) == .ejected)
        #expect(peer.status(at: 4_400) == .up)
    }

    @Test func `a probe that fails in between begins the count anew`() {
        var peer = Peer()
        peer.eject(at: 1_000, .answer)
        peer.probe(at: 1_200, health: 4)
        peer.probe(at: 1_400, health: 3, .layer7Timeout)
        peer.probe(at: 1_600, health: 4)
        #expect(peer.status(at: 5_000) == .ejected)
        peer.probe(at: 5_000, health: 4)
        peer.probe(at: 5_900, health: 3, .layer7Timeout)
        peer.probe(at: 6_000, health: 4)
        #expect(peer.status(at: 9_000) == .ejected)
        peer.probe(at: 9_000, health: 4)
        peer.probe(at: 10_000, health: 4)
        #expect(peer.status(at: 10_000) == .up)
    }

    @Test func `only a probe that goes as far as the requests says anything`() {
        for (test, reason, isBack) in [
            (Ejection.Test.connection, Reason.layer4OK, true), (.connection, .layer7OK, true),
            (.connection, .checked, false), (.answer, .layer4OK, false),
            (.answer, .layer7OK, true), (.recovery, .layer7OK, false), (.none, .layer7OK, false),
        ] {
            var peer = Peer()
            peer.eject(at: 1_000, test)
            for time in [1_200, 1_400, 2_600] as [Int64] { peer.probe(at: time, health: 4, reason) }
            #expect((peer.status(at: 2_700) == .up) == isBack, "\(test) \(reason)")
        }
    }

    @Test func `who is found down is back a second after it is found up`() {
        var peer = Peer()
        peer.eject(at: 1_000, .recovery)
        peer.probe(at: 1_200, health: 0, .layer4Connect)
        #expect(peer.status(at: 1_200) == .down)
        peer.probe(at: 2_000, health: 4)
        #expect(peer.status(at: 2_000) == .ejected)
        // It falls again before it is back: no change that anybody sees.
        peer.probe(at: 2_500, health: 0, .layer4Connect)
        peer.probe(at: 4_000, health: 4)
        #expect(peer.status(at: 4_999) == .ejected)
        peer.probe(at: 5_000, health: 4)
        #expect(peer.status(at: 5_000) == .up)
        // Probes that say nothing of requests are not held against it.
        peer.eject(at: 5_100, .answer)
        peer.probe(at: 5_200, health: 0, .layer4Connect)
        for time in [5_300, 5_800, 6_299] as [Int64] {
            peer.probe(at: time, health: 4, .layer4OK)
        }
        #expect(peer.status(at: 6_299) == .ejected)
        peer.probe(at: 6_300, health: 4, .layer4OK)
        #expect(peer.status(at: 6_300) == .up)
        // Down for longer than the ejection: nothing is left of it.
        peer.eject(at: 6_400, .recovery)
        peer.probe(at: 6_500, health: 0, .layer4Connect)
        peer.probe(at: 60_000, health: 4)
        #expect(peer.status(at: 60_000) == .up)
    }

    @Test func `who has fallen too often is back by time alone`() {
        var peer = Peer()
        peer.eject(at: 1_000, .none)
        peer.probe(at: 1_200, health: 0, .layer4Connect)
        for time in [2_000, 3_000, 4_000, 9_000] as [Int64] { peer.probe(at: time, health: 4) }
        #expect(peer.status(at: 10_999) == .ejected)
        #expect(peer.status(at: 11_000) == .up)
    }

    @Test func `the reason says whom its checks contradict`() {
        var peer = Peer()
        peer.eject(at: 1_000, .none)
        #expect(peer.health.view.reason.hasPrefix("failed, and its checks pass, until "))
    }

    @Test func `a clock that is set moves its end along`() {
        var peer = Peer()
        peer.eject(at: 1_000, .none)
        peer.health.shift(by: .seconds(3_600))
        #expect(peer.status(at: 3_610_999) == .ejected)
        #expect(peer.status(at: 3_611_000) == .up)
    }
}
