// Who has to go when somebody new comes?

import Testing
import Vocabulary

@testable import Front

@Suite struct CrowdTests {
    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: 0) + .seconds(seconds) }

    private func crowd(
        limit: Int = 4,
        share: Int = 4,
        _ guests: [(id: Int, source: String, phase: Crowd.Phase, since: Int64)]
    ) -> Crowd {
        var crowd = Crowd(limit: limit, share: share)
        for guest in guests {
            _ = crowd.admit(guest.id, from: guest.source, at: at(guest.since))
            crowd.move(guest.id, to: guest.phase, at: at(guest.since))
        }
        return crowd
    }

    @Test func `below the limits everybody is welcome`() {
        var crowd = crowd([(1, "a", .answering, 0), (2, "b", .idle, 1), (3, "c", .asking, 2)])
        #expect(crowd.admit(4, from: "d", at: at(3)) == .welcome)
        #expect(crowd.count == 4)
    }

    @Test func `the oldest of the idle goes first, then the oldest that asks`() {
        var crowd = crowd([
            (1, "a", .asking, 0), (2, "a", .idle, 2), (3, "a", .idle, 1), (4, "a", .answering, 0),
        ])
        #expect(crowd.admit(5, from: "b", at: at(3)) == .inPlaceOf(3))
        #expect(crowd.admit(6, from: "c", at: at(3)) == .inPlaceOf(2))
        #expect(crowd.admit(7, from: "d", at: at(3)) == .inPlaceOf(1))
        #expect(crowd.count == 4)
    }

    @Test func `who is leaving goes before who is idle`() {
        var crowd = crowd(limit: 2, [(1, "a", .idle, 0), (2, "b", .leaving, 5)])
        #expect(crowd.admit(3, from: "c", at: at(6)) == .inPlaceOf(2))
    }

    /// Or as many readers of events as one address may have would lock everybody there out.
    @Test func `who follows a stream goes last, but goes`() {
        var crowd = crowd(
            limit: 8,
            share: 3,
            [(1, "a", .following, 0), (2, "a", .asking, 2), (3, "a", .answering, 0)]
        )
        #expect(crowd.admit(4, from: "a", at: at(3)) == .inPlaceOf(2))
        crowd.move(4, to: .answering, at: at(4))
        #expect(crowd.admit(5, from: "a", at: at(5)) == .inPlaceOf(1))
        crowd.move(5, to: .answering, at: at(6))
        #expect(crowd.admit(6, from: "a", at: at(7)) == .full)
    }

    /// Behind it stand as many clients as the proxy has.
    @Test func `a proxy of this machine may have every place, where that is said`() {
        var limits = FrontLimits()
        limits.connections = 64
        #expect(limits.share(ofNeighbour: true) == 16)
        limits.trustsNeighbours = true
        #expect(limits.share(ofNeighbour: true) == 64)
        #expect(limits.share(ofNeighbour: false) == 16)
        var crowd = Crowd(limit: limits.connections, share: limits.share)
        for id in 1...60 {
            let share = limits.share(ofNeighbour: true)
            #expect(crowd.admit(id, from: "127.0.0.1", share: share, at: at(0)) == .welcome)
            crowd.move(id, to: .answering, at: at(0))
        }
        #expect(crowd.count == 60)
    }

    @Test func `one address displaces only its own beyond its share`() {
        var crowd = crowd(
            limit: 4,
            share: 2,
            [
                (1, "b", .idle, 0), (2, "a", .asking, 1), (3, "a", .asking, 2),
            ]
        )
        #expect(crowd.admit(4, from: "a", at: at(3)) == .inPlaceOf(2))
        #expect(crowd.phase(of: 1) == .idle)
    }

    @Test func `the address with most connections pays for a newcomer`() {
        var crowd = crowd([
            (1, "b", .idle, 0), (2, "a", .idle, 1), (3, "a", .idle, 2), (4, "a", .idle, 3),
        ])
        #expect(crowd.admit(5, from: "c", at: at(4)) == .inPlaceOf(2))
    }

    @Test func `nobody who is being served is sent away`() {
        var crowd = crowd(limit: 2, share: 2, [(1, "a", .answering, 0), (2, "b", .answering, 0)])
        #expect(crowd.admit(3, from: "c", at: at(1)) == .full)
        crowd.remove(1)
        #expect(crowd.admit(4, from: "c", at: at(1)) == .welcome)
        #expect(crowd.least() == 4)
    }

    @Test func `a share whose connections are all being served is full`() {
        var crowd = crowd(limit: 8, share: 2, [(1, "a", .answering, 0), (2, "a", .answering, 0)])
        #expect(crowd.admit(3, from: "a", at: at(1)) == .full)
        #expect(crowd.admit(4, from: "b", at: at(1)) == .welcome)
    }

    /// Whatever comes and goes, the counts of addresses are right.
    @Test func `after any history the limits hold`() {
        var crowd = Crowd(limit: 5, share: 3)
        var state: UInt64 = 7
        func random(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        var sources: [Int: String] = [:]
        for id in 0..<5_000 {
            let source = ["a", "b", "c"][random(3)]
            switch crowd.admit(id, from: source, at: at(Int64(id))) {
            case .welcome: sources[id] = source
            case .inPlaceOf(let other):
                sources[other] = nil
                sources[id] = source
            case .full: break
            }
            if random(2) == 0, !crowd.all.isEmpty {
                let other = crowd.all[random(crowd.all.count)]
                let phases: [Crowd.Phase] = [.asking, .answering, .idle, .leaving]
                crowd.move(other, to: phases[random(4)], at: at(Int64(id)))
            }
            if random(3) == 0, let other = crowd.all.first {
                crowd.remove(other)
                sources[other] = nil
            }
            #expect(crowd.all == sources.keys.sorted())
            #expect(crowd.count <= 5)
            for name in ["a", "b", "c"] {
                #expect(sources.values.count { $0 == name } <= 3)
            }
        }
    }
}
