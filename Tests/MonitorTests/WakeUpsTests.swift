// Do pairs that are due together wake together, and does leaving a group leave the others in it?

import EventLoop
import Testing
import Vocabulary

@testable import Monitor

@Suite struct WakeUpsTests {
    private let now = Instant(nanoseconds: 1_000_003_000_000)

    private func later(_ milliseconds: Int64) -> Instant { now + .milliseconds(milliseconds) }

    @Test func `a wait is stretched by a tenth at most, and never cut`() {
        for wait in 0...2_000 {
            let due = later(Int64(wait))
            let time = WakeUps.time(for: due, now: now)
            #expect(time >= due)
            #expect((time - due).count * 10 <= (due - now).count)
            #expect(time - due < WakeUps.step)
        }
        #expect(WakeUps.time(for: now + .microseconds(-5), now: now) == now + .microseconds(-5))
        let around = (1_000...1_006).map { WakeUps.time(for: later($0), now: now) }
        #expect(Set(around).count == 1, "what is due within one step wakes at once")
    }

    @Test func `only the first of a group needs a timer`() {
        let wakeUps = Kept()
        #expect(wakeUps.add(3, at: later(10)))
        #expect(!wakeUps.add(1, at: later(10)))
        #expect(wakeUps.add(2, at: later(20)))
        #expect(!wakeUps.add(0, at: later(10)))
        #expect(wakeUps.take(at: later(10)) == [3, 1, 0])
        #expect(wakeUps.take(at: later(10)).isEmpty)
        #expect(wakeUps.add(3, at: later(10)), "the group is gone")
        #expect(wakeUps.take(at: later(20)) == [2])
    }

    /// Every way of leaving a group of four, one after the other.
    @Test func `whoever leaves leaves the others in order`() {
        for first in 0..<4 {
            for second in 0..<4 where second != first {
                for third in 0..<4 where third != first && third != second {
                    let wakeUps = Kept()
                    for row in 0..<4 { _ = wakeUps.add(row, at: later(10)) }
                    let timer = TimerID.none
                    wakeUps.keep(timer, at: later(10))
                    var left = [0, 1, 2, 3]
                    for row in [first, second, third] {
                        #expect(wakeUps.remove(row, at: later(10)) == nil)
                        left.removeAll { $0 == row }
                        #expect(wakeUps.copy.take(at: later(10)) == left)
                    }
                    #expect(!wakeUps.add(first, at: later(10)))
                    #expect(wakeUps.remove(left[0], at: later(10)) == nil)
                    #expect(wakeUps.remove(first, at: later(10)) == timer, "the last one")
                    #expect(wakeUps.take(at: later(10)).isEmpty)
                }
            }
        }
    }

    /// `#expect` cannot look into what calls change in place.
    private final class Kept {
        private var value = WakeUps()

        func add(_ row: Int, at time: Instant) -> Bool { value.add(row, at: time) }
        func keep(_ timer: TimerID, at time: Instant) { value.keep(timer, at: time) }
        func remove(_ row: Int, at time: Instant) -> TimerID? { value.remove(row, at: time) }
        func take(at time: Instant) -> [Int] { value.take(at: time) }

        var copy: Kept {
            let copy = Kept()
            copy.value = value
            return copy
        }
    }
}
