// How long may a verdict be believed that has no opinion? Never shorter than until it was made, and
// what has an opinion lives no longer for it.

import Health
import Testing
import Vocabulary

@testable import Monitor

@Suite struct NeutralOpinionTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)
    private let thresholds = Thresholds(rise: 2, fall: 2)
    private let schedule = Schedule(interval: .seconds(1), timeout: .milliseconds(500))

    private static let troubles = [
        Outcome.unresolved, Outcome(.neutral, .socketError, message: "Too many open files"),
        Outcome(.neutral, .layer4Connect, message: "Connection refused"),
        Outcome(.neutral, .checked),
    ]

    @Test(arguments: troubles)
    func `an opinion without a word expires after the probe that brought none`(trouble: Outcome) {
        var opinion = Opinion(thresholds: thresholds, now: start)
        for second in [3, 60, 3_600] as [Int64] {
            let now = start + .seconds(second)
            _ = opinion.take(trouble, schedule: schedule, now: now)
            #expect(opinion.counter.status == .unknown)
            #expect(opinion.checkedAt == now)
            #expect(opinion.expiresAt == now + schedule.validity(for: opinion.counter))
        }
    }

    @Test func `what was known lives no longer for trouble of ours`() {
        for known in [Outcome.pass, .refused] {
            var opinion = Opinion(thresholds: thresholds, now: start)
            _ = opinion.take(.unresolved, schedule: schedule, now: start)
            _ = opinion.take(known, schedule: schedule, now: start + .seconds(1))
            let end = opinion.expiresAt
            _ = opinion.take(.unresolved, schedule: schedule, now: start + .seconds(50))
            #expect(opinion.expiresAt == end)
            #expect(opinion.expiresAt < opinion.checkedAt, "it has expired, and says so")
        }
    }
}
