// Do agents agree on what time it is, and does no clock jump under a probe?

import Fleet
import Testing
import Vocabulary

@Suite struct StoreClockTests {
    private static func instant(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }
    private static func wall(_ milliseconds: Int64) -> WallTime {
        WallTime(milliseconds: milliseconds)
    }

    private static func clock() -> StoreClock {
        StoreClock(at: Moment(instant: instant(1_000), wall: wall(500_000)))
    }

    @Test func `before the first answer it is this machine's time of day`() {
        let clock = Self.clock()
        #expect(clock.now(at: Self.instant(3_000)) == Self.wall(502_000))
        #expect(!clock.isSet)
    }

    @Test func `the first answer sets it, to the middle of its round trip`() {
        var clock = Self.clock()
        clock.take(
            store: Self.wall(900_000),
            sent: Self.instant(2_000),
            received: Self.instant(2_010)
        )
        #expect(abs(clock.now(at: Self.instant(2_005)).milliseconds - 900_000) <= 1)
        #expect(clock.isSet)
    }

    @Test func `a slow answer says little, and moves nothing`() {
        var clock = Self.clock()
        clock.take(
            store: Self.wall(900_000),
            sent: Self.instant(2_000),
            received: Self.instant(2_002)
        )
        let before = clock.now(at: Self.instant(60_000))
        // It was 953,000 somewhere within ten seconds: that is no contradiction.
        clock.take(
            store: Self.wall(953_000),
            sent: Self.instant(50_000),
            received: Self.instant(60_000)
        )
        #expect(clock.now(at: Self.instant(60_000)) == before)
    }

    @Test func `a store whose clock was set by seconds is followed at once`() {
        var clock = Self.clock()
        clock.take(
            store: Self.wall(900_000),
            sent: Self.instant(2_000),
            received: Self.instant(2_001)
        )
        clock.take(
            store: Self.wall(905_000),
            sent: Self.instant(3_000),
            received: Self.instant(3_001)
        )
        #expect(abs(clock.now(at: Self.instant(3_001)).milliseconds - 905_001) <= 1)
    }

    @Test func `a store whose clock is off by less is followed by a hundredth`() {
        var clock = Self.clock()
        clock.take(
            store: Self.wall(900_000),
            sent: Self.instant(2_000),
            received: Self.instant(2_001)
        )
        clock.take(
            store: Self.wall(901_900),
            sent: Self.instant(3_000),
            received: Self.instant(3_001)
        )
        var last = clock.now(at: Self.instant(3_001))
        #expect(abs(last.milliseconds - 901_000) <= 2)
        for second in Int64(4)...20 {
            let now = clock.now(at: Self.instant(second * 1_000))
            let passed = (now - last).milliseconds
            #expect((989...1_011).contains(passed))
            last = now
        }
        #expect(abs(last.milliseconds - 918_170) <= 3)
        // Another era is another clock: it is taken at once.
        clock.take(
            store: Self.wall(2_000_000),
            sent: Self.instant(21_000),
            received: Self.instant(21_000),
            anew: true
        )
        #expect(abs(clock.now(at: Self.instant(21_000)).milliseconds - 2_000_000) <= 1)
    }

    @Test func `a clock that drifts is kept within the round trip`() {
        var clock = Self.clock()
        for second in Int64(2)...2_000 {
            // The store gains half a millisecond each second.
            let store = Self.wall(900_000 + second * 1_000 + second / 2)
            clock.take(
                store: store,
                sent: Self.instant(second * 1_000 - 1),
                received: Self.instant(second * 1_000 + 1)
            )
            let off = clock.now(at: Self.instant(second * 1_000)) - store
            #expect(abs(off.milliseconds) <= 3)
        }
    }

    @Test func `when it will be a time is when it is that time`() {
        var clock = Self.clock()
        clock.take(
            store: Self.wall(900_000),
            sent: Self.instant(2_000),
            received: Self.instant(2_000)
        )
        let at = clock.instant(of: Self.wall(905_000), from: Self.instant(2_500))
        #expect(abs((clock.now(at: at) - Self.wall(905_000)).milliseconds) <= 1)
    }
}
