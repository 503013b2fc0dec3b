// Who may start now? The line of due probes, tried without probes and without a clock.

import Testing
import Vocabulary

@testable import Monitor

@Suite struct AdmissionTests {
    private func ticket(
        _ pair: Int,
        to port: UInt16 = 1,
        of group: UInt32 = 0,
        places: Int = 1
    ) -> Admission.Ticket {
        Admission.Ticket(
            pair: pair,
            generation: 0,
            group: group,
            address: .host("10.0.0.1", port: port),
            places: places
        )
    }

    private func time(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    /// Starts all that may start at `now`.
    private func started(_ admission: inout Admission, at now: Int64 = 0) -> [Int] {
        var pairs: [Int] = []
        while case .start(let ticket) = admission.next(now: time(now)) { pairs.append(ticket.pair) }
        return pairs
    }

    @Test func `a place stays free while all who wait are of addresses that are full`() {
        var admission = Admission(limits: ProbeLimits(inFlight: 4, perAddress: 2))
        for pair in 0..<2 { admission.enter(ticket(pair, to: 1)) }
        for pair in 2..<6 { admission.enter(ticket(pair, to: 2)) }
        #expect(started(&admission) == [0, 1, 2, 3])
        admission.leave(ticket(0, to: 1))
        #expect(started(&admission).isEmpty)
        #expect(admission.running == 3 && admission.waiting == 2)
        admission.leave(ticket(2, to: 2))
        #expect(started(&admission) == [4])
    }

    @Test func `a name with many addresses has a place for each`() {
        var admission = Admission(limits: ProbeLimits(inFlight: 8))
        admission.enter(ticket(0, to: 1, places: 5))
        admission.enter(ticket(1, to: 2, places: 4))
        admission.enter(ticket(2, to: 3))
        #expect(started(&admission) == [0])
        #expect(admission.running == 5)
        admission.leave(ticket(0, to: 1, places: 5))
        #expect(started(&admission) == [1, 2])
        admission.leave(ticket(1, to: 2, places: 4))
        admission.leave(ticket(2, to: 3))
        #expect(admission.running == 0)
        // More than there are: better alone than never.
        admission.enter(ticket(3, to: 4, places: 16))
        admission.enter(ticket(4, to: 5))
        #expect(started(&admission) == [3])
        admission.leave(ticket(3, to: 4, places: 16))
        #expect(started(&admission) == [4])
    }

    @Test func `beside another group a name keeps to the share of its own`() {
        var admission = Admission(limits: ProbeLimits(inFlight: 8))
        for group in [0, 1] as [UInt32] { admission.join(group) }
        admission.enter(ticket(0, to: 1, of: 0, places: 4))
        admission.enter(ticket(1, to: 2, of: 0, places: 4))
        admission.enter(ticket(2, to: 3, of: 1))
        #expect(started(&admission) == [0, 2])
        admission.leave(ticket(0, to: 1, of: 0, places: 4))
        #expect(started(&admission) == [1])
    }

    @Test func `first come, first served`() {
        var admission = Admission(limits: ProbeLimits())
        for pair in 0..<100 { admission.enter(ticket(pair, to: UInt16(pair + 1))) }
        #expect(started(&admission) == Array(0..<100))
        #expect(admission.waiting == 0 && admission.running == 100)
    }

    @Test func `the limit on the whole holds, and whoever ends lets the next one start`() {
        var admission = Admission(limits: ProbeLimits(inFlight: 2))
        for pair in 0..<4 { admission.enter(ticket(pair, to: UInt16(pair + 1))) }
        #expect(started(&admission) == [0, 1])
        admission.leave(ticket(0, to: 1))
        #expect(started(&admission) == [2])
        #expect(admission.waiting == 1)
    }

    @Test func `a full address holds up nobody else, and keeps its own order`() {
        var admission = Admission(limits: ProbeLimits(perAddress: 1))
        for pair in [0, 1, 2] { admission.enter(ticket(pair, to: 1)) }
        admission.enter(ticket(3, to: 2))
        #expect(started(&admission) == [0, 3])
        admission.leave(ticket(0))
        #expect(started(&admission) == [1])
        admission.enter(ticket(4, to: 1))
        admission.leave(ticket(0))
        #expect(started(&admission) == [2])
        admission.leave(ticket(0))
        #expect(started(&admission) == [4])
    }

    // MARK: Upstreams

    @Test func `free places go round the upstreams that wait`() {
        var admission = Admission(limits: ProbeLimits(inFlight: 8))
        for group in 0..<3 as Range<UInt32> { admission.join(group) }
        for pair in 0..<20 { admission.enter(ticket(pair, to: UInt16(pair + 1), of: 0)) }
        for pair in 20..<22 { admission.enter(ticket(pair, to: UInt16(pair + 1), of: 1)) }
        for pair in 22..<24 { admission.enter(ticket(pair, to: UInt16(pair + 1), of: 2)) }
        #expect(started(&admission) == [0, 20, 22, 1, 21, 23, 2, 3])
        admission.leave(ticket(20, to: 21, of: 1))
        #expect(started(&admission) == [4])
        admission.enter(ticket(24, to: 30, of: 2))
        admission.leave(ticket(21, to: 22, of: 1))
        #expect(started(&admission) == [5], "it was in the round before")
        admission.leave(ticket(22, to: 23, of: 2))
        #expect(started(&admission) == [24])
        admission.leave(ticket(23, to: 24, of: 2))
        #expect(started(&admission).isEmpty, "its share is reached, and nobody else waits")
    }

    @Test func `one upstream holds three quarters beside another, and all when it is alone`() {
        var admission = Admission(limits: ProbeLimits(inFlight: 10))
        admission.join(0)
        for pair in 0..<20 { admission.enter(ticket(pair, to: UInt16(pair + 1), of: 0)) }
        #expect(started(&admission) == Array(0..<10))
        // Another comes: what is held is not taken away, but not taken up again either.
        admission.join(1)
        for pair in 0..<3 {
            admission.leave(ticket(pair, to: UInt16(pair + 1), of: 0))
            #expect(started(&admission).isEmpty)
        }
        admission.leave(ticket(3, to: 4, of: 0))
        #expect(started(&admission) == [10], "seven of ten")
        admission.part(1)
        #expect(started(&admission) == [11, 12, 13], "alone again")
        var single = Admission(limits: ProbeLimits(inFlight: 1))
        for group in 0..<2 as Range<UInt32> { single.join(group) }
        single.enter(ticket(0))
        #expect(started(&single) == [0], "no share is nothing")
    }

    /// 400 peers that say nothing, each probe for 2 s, every 2 s; two of another upstream that answer
    /// within 10 ms, every 500 ms. In steps of 10 ms.
    @Test func `an upstream of silent peers makes no other upstream late`() {
        var admission = Admission(limits: ProbeLimits(inFlight: 10))
        for pair in 0..<402 { admission.join(pair < 400 ? 0 : 1) }
        func of(_ pair: Int) -> Admission.Ticket {
            ticket(pair, to: UInt16(pair + 1), of: pair < 400 ? 0 : 1)
        }
        var endings: [Int64: [Int]] = [:]
        var dueAt: [Int: Int64] = [:]
        var latest: Int64 = 0
        var quick = 0
        for moment in stride(from: 0, to: 20_000, by: 10) as StrideTo<Int64> {
            for pair in endings.removeValue(forKey: moment) ?? [] { admission.leave(of(pair)) }
            for pair in 0..<400 where moment == Int64(pair) * 10 { admission.enter(of(pair)) }
            if moment % 500 == 0 {
                for pair in 400..<402 {
                    dueAt[pair] = moment
                    admission.enter(of(pair))
                }
            }
            for pair in started(&admission, at: moment) {
                endings[moment + (pair < 400 ? 2_000 : 10), default: []].append(pair)
                // A silent one is due again before its turn comes.
                if pair < 400 { admission.enter(of(pair)) }
                guard let due = dueAt[pair] else { continue }
                latest = max(latest, moment - due)
                quick += 1
            }
        }
        #expect(quick == 80)
        #expect(latest <= 10, "at most one quick probe's time")
    }

    @Test func `a budget spreads starts over the second`() {
        var admission = Admission(limits: ProbeLimits(perSecond: 20))
        for pair in 0..<10 { admission.enter(ticket(pair, to: UInt16(pair + 1))) }
        // A tenth of a second's worth at once, then one every fifty milliseconds.
        #expect(started(&admission, at: 0) == [0, 1])
        guard case .wait(let until) = admission.next(now: time(0)) else {
            Issue.record("expected to wait")
            return
        }
        #expect((until - time(0)).milliseconds == 50)
        #expect(started(&admission, at: 49) == [])
        #expect(started(&admission, at: 51) == [2])
        #expect(started(&admission, at: 10_000) == [3, 4], "an idle time saves up no burst")
    }

    /// Random comings and goings: no limit is ever passed and nobody is forgotten.
    @Test(arguments: 0..<50)
    func `no order of events breaks the limits`(seed: Int) {
        var random = Seeded(state: UInt64(seed) &* 7_919 + 1)
        let limits = ProbeLimits(
            inFlight: 5,
            perAddress: 2,
            perSecond: seed.isMultiple(of: 2) ? 0 : 100
        )
        var admission = Admission(limits: limits)
        var running: [Admission.Ticket] = []
        var served = Set<Int>()
        var now: Int64 = 0
        var entered = 0
        for group in 0..<3 as Range<UInt32> { admission.join(group) }
        while served.count < 200 {
            now += Int64(random.next(upTo: 20))
            if entered < 200, random.next(upTo: 2) == 0 {
                let port = UInt16(random.next(upTo: 4) + 1)
                admission.enter(ticket(entered, to: port, of: UInt32(random.next(upTo: 3))))
                entered += 1
            }
            while case .start(let ticket) = admission.next(now: time(now)) {
                running.append(ticket)
                #expect(served.insert(ticket.pair).inserted, "nobody starts twice")
            }
            #expect(running.count <= limits.inFlight)
            for group in 0..<3 as Range<UInt32> {
                #expect(running.count { $0.group == group } <= 3, "three quarters of five")
            }
            for port in 1...4 as ClosedRange<UInt16> {
                let address = ticket(0, to: port).address
                #expect(running.filter { $0.address == address }.count <= limits.perAddress)
            }
            if !running.isEmpty, random.next(upTo: 2) == 0 {
                let index = random.next(upTo: running.count)
                admission.leave(running.remove(at: index))
            }
            #expect(admission.running == running.count)
            #expect(admission.waiting == entered - served.count)
        }
    }
}

/// Numbers that a seed fixes.
struct Seeded {
    var state: UInt64

    mutating func next(upTo limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(limit))
    }
}
