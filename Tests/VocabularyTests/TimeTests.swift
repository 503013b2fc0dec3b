// Do spans read back as they print, and do dates agree with the calendar?

import Foundation
import Testing
import Vocabulary

@Suite struct NanosecondsTextTests {
    @Test(
        arguments: [
            ("500ms", 500_000_000), ("2s", 2_000_000_000), ("5m", 300_000_000_000),
            ("1h", 3_600_000_000_000), ("1d", 86_400_000_000_000), ("250us", 250_000), ("7ns", 7),
            ("1.5s", 1_500_000_000), ("0.25ms", 250_000), ("0s", 0), ("90s", 90_000_000_000),
        ] as [(String, Int64)]
    )
    func `spans are read`(text: String, count: Int64) {
        #expect(Nanoseconds(text: text)?.count == count)
    }

    @Test(arguments: [
        "", "5", "s", "5 s", "-5s", "+5s", "5S", "5min", "1e3s", "0x10s", "..s", "1.2.3s", "1,5s",
        "٥s", "nans", "infs", "999999999999d", "9223372036855ms1", "292471208678d",
    ])
    func `anything else is refused, also what would not fit`(text: String) {
        #expect(Nanoseconds(text: text) == nil)
    }

    @Test(
        arguments: [
            (0, "0s"), (1, "1ns"), (1_500, "1500ns"), (2_000, "2us"), (1_500_000, "1500us"),
            (500_000_000, "500ms"), (1_500_000_000, "1500ms"), (60_000_000_000, "1m"),
            (90_000_000_000, "90s"), (7_200_000_000_000, "2h"), (172_800_000_000_000, "2d"),
            (-5_000_000_000, "-5s"),
        ] as [(Int64, String)]
    )
    func `the shortest exact text`(count: Int64, text: String) {
        #expect(Nanoseconds(count).description == text)
    }

    /// Around every power of two and of ten: exact to the last nanosecond, also beyond the 53 bits
    /// that a floating-point number holds.
    @Test func `what is printed reads back as itself`() {
        var counts: [Int64] = [.max]
        for shift in 0..<63 { counts += [-1, 0, 1].map { (Int64(1) << shift) &+ $0 } }
        var ten: Int64 = 1
        for _ in 0..<18 {
            counts += [ten - 1, ten, ten + 1, ten * 6, ten * 9]
            ten *= 10
        }
        for count in counts where count >= 0 {
            let span = Nanoseconds(count)
            #expect(Nanoseconds(text: span.description) == span, "\(count)")
        }
    }
}

@Suite struct InstantTests {
    @Test func `the distant future stays where it is`() {
        #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
        #expect(Instant(nanoseconds: .max - 1) + Nanoseconds(2) == .distantFuture)
        #expect(Instant(nanoseconds: 5) + Nanoseconds(-3) == Instant(nanoseconds: 2))
    }

    @Test func `spans between times`() {
        let start = Instant(nanoseconds: 1_000)
        #expect((start + .microseconds(2)) - start == .microseconds(2))
        #expect(start < start + Nanoseconds(1))
        let wall = WallTime(milliseconds: 1_000)
        // What other machines exchange is in milliseconds; less than one is lost.
        #expect(wall + Nanoseconds(1_999_999) == WallTime(milliseconds: 1_001))
        #expect(WallTime(milliseconds: 3_500) - wall == .milliseconds(2_500))
        #expect(Nanoseconds.milliseconds(1_500).seconds == 1.5)
        #expect(Nanoseconds(1_999_999).milliseconds == 1)
        #expect(Nanoseconds.seconds(2) * 3 - .seconds(1) == .seconds(5))
    }
}

@Suite struct WallTimeTextTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            // 1900 and 2100 have no leap day.
            (-2_203_891_200_000, "1900-03-01T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_795_232_245_042, "2026-11-21T03:37:25.042Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        ] as [(Int64, String)]
    )
    func `days that calendars get wrong`(milliseconds: Int64, text: String) {
        #expect(WallTime(milliseconds: milliseconds).description == text)
    }

    /// Against another implementation, for each day of four centuries at a time that wanders.
    @Test func `every day agrees with the system's calendar`() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
        let day: Int64 = 86_400_000
        for number in stride(from: Int64(-25_567), through: 120_530, by: 1) {
            let milliseconds = number * day + abs(number * 7_919_123) % day
            let date = Date(timeIntervalSince1970: Double(milliseconds / 1_000))
            // Whole seconds for the system, which rounds; a day before 1970 counts backwards.
            let whole = milliseconds >= 0 ? milliseconds / 1_000 * 1_000 : milliseconds
            guard number >= 0 || milliseconds % 1_000 == 0 else { continue }
            let parts = calendar.dateComponents(
                [.year, .month, .day, .hour, .minute, .second],
                from: date
            )
            let text = WallTime(milliseconds: whole).description
            let numbers = text.split { "-T:.Z".contains($0) }.compactMap { Int($0) }
            let expected = [
                parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second, 0,
            ]
            guard numbers == expected.compactMap({ $0 }) else {
                Issue.record("day \(number): \(text), expected \(expected)")
                return
            }
        }
    }
}

/// Every number that a machine can hold comes from outside one day.
@Suite struct SaturationTests {
    static let edges: [Int64] = [
        .min, .min + 1, -253_402_300_799_000, -1, 0, 1, 253_402_300_799_000, .max - 1, .max,
    ]

    @Test func `no sum, difference or product of times ends the process`() {
        for left in Self.edges {
            let exact = Int128(left)
            for right in Self.edges {
                let (instant, span) = (Instant(nanoseconds: left), Nanoseconds(right))
                let (other, wall) = (Int128(right), WallTime(milliseconds: left))
                let milliseconds = (exact - other) * 1_000_000
                #expect((instant + span).nanoseconds == Int64(clamping: exact + other))
                #expect(
                    (instant - Instant(nanoseconds: right)).count == Int64(clamping: exact - other)
                )
                #expect((Nanoseconds(left) + span).count == Int64(clamping: exact + other))
                #expect((Nanoseconds(left) - span).count == Int64(clamping: exact - other))
                #expect((Nanoseconds(left) * right).count == Int64(clamping: exact * other))
                #expect(
                    (wall - WallTime(milliseconds: right)).count == Int64(clamping: milliseconds)
                )
                #expect(
                    (wall + span).milliseconds == Int64(clamping: exact + other / 1_000_000)
                )
                #expect(!(wall + span).description.isEmpty)
            }
            #expect(Nanoseconds.seconds(left).count == Int64(clamping: exact * 1_000_000_000))
            #expect(Nanoseconds.milliseconds(left).count == Int64(clamping: exact * 1_000_000))
            #expect(Nanoseconds.microseconds(left).count == Int64(clamping: exact * 1_000))
            #expect((-Nanoseconds(left)).count == Int64(clamping: -exact))
            #expect(!Nanoseconds(left).description.isEmpty && !Nanoseconds(left).rounded.isEmpty)
        }
    }

    @Test func `a time from outside gets a year of four digits`() {
        #expect(WallTime(clamping: .min).description == "1970-01-01T00:00:00.000Z")
        #expect(WallTime(clamping: .max).description == "9999-12-31T23:59:59.999Z")
        #expect(WallTime(clamping: 5) == WallTime(milliseconds: 5))
    }
}
