// When is a pair stale, and who takes it?

import Fleet
import Health
import Testing
import Vocabulary

@Suite struct WatchTests {
    private static let schedule = Schedule(interval: .seconds(1), timeout: .milliseconds(200))
    private static let beat = Beat(monitor: "http", peer: "web/p")

    @Test func `the first slot after the mark, its timeout and the grace`() {
        let slot = Self.beat.next(after: WallTime(milliseconds: 50_000), every: .seconds(1))
        for into in [Int64(1), 400, 999, 1_000] {
            let at = Watch.takeover(
                mark: slot + .milliseconds(-into),
                beat: Self.beat,
                schedule: Self.schedule,
                rank: 0,
                terms: FleetTerms()
            )
            #expect((at - slot).milliseconds == (into == 1_000 ? -300 : 700))
        }
        // The slot at the mark itself may not have been begun.
        let at = Watch.takeover(
            mark: slot,
            beat: Self.beat,
            schedule: Self.schedule,
            rank: 2,
            terms: FleetTerms()
        )
        #expect((at - slot).milliseconds == 1_700)
    }

    @Test func `pairs come in the order of their times`() {
        var watch = Watch()
        #expect(watch.take(["a": WallTime(milliseconds: 1)]) == ["a"])
        #expect(watch.take(["a": WallTime(milliseconds: 2)]) == [])
        for (pair, at) in [(1, 50), (2, 20), (3, 40), (4, 10), (5, 30)] {
            watch.add(PairNumber(pair), at: WallTime(milliseconds: Int64(at)))
        }
        var order: [PairNumber] = []
        while let pair = watch.due(at: WallTime(milliseconds: 40)) { order.append(pair) }
        #expect(order == [4, 2, 5, 3])
        #expect(watch.next == WallTime(milliseconds: 50))
        // Nobody is late any more: nothing is to be looked at.
        #expect(watch.take([:]) == [])
        #expect(watch.next == nil)
    }
}
