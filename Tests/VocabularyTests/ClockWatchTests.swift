// Is a clock that somebody set told from one that goes on, and is the same thing told once a minute?

import Testing
import Vocabulary

@Suite struct ClockWatchTests {
    private func moment(_ instant: Int64, _ wall: Int64) -> Moment {
        Moment(
            instant: Instant(nanoseconds: instant * 1_000_000),
            wall: WallTime(milliseconds: wall)
        )
    }

    @Test func `only a step is one`() {
        var watch = ClockWatch()
        #expect(watch.step(at: moment(0, 1_000_000)) == nil)
        #expect(watch.step(at: moment(500, 1_000_500)) == nil)
        // Slewed by NTP, and read a moment apart.
        #expect(watch.step(at: moment(1_000, 1_001_100)) == nil)
        #expect(watch.step(at: moment(1_500, 4_601_600)) == .seconds(3_600))
        #expect(watch.step(at: moment(2_000, 4_602_100)) == nil)
        #expect(watch.step(at: moment(2_500, 1_002_600)) == .seconds(-3_600))
        #expect(watch.step(at: moment(2_501, .max)) != nil)
        #expect(watch.step(at: moment(2_502, .min)) != nil)
    }

    @Test func `the same kind is told once a minute, with the number left out`() {
        var throttle = Throttle()
        let start = Instant(nanoseconds: 0)
        #expect(throttle.note("a", at: start) == 0)
        for _ in 0..<10 { #expect(throttle.note("a", at: start + .seconds(59)) == nil) }
        #expect(throttle.note("b", at: start) == 0)
        #expect(throttle.note("a", at: start + .seconds(60)) == 10)
        #expect(throttle.note("a", at: start + .seconds(61)) == nil)
        let told = (0..<1_000).filter { throttle.note("kind \($0)", at: start) != nil }
        #expect(told.count <= Throttle.kindsMax, "and no more kinds than there is room for")
    }
}
