// Does a program that prints without an end fill the log? So many lines in a while, and then a count.

import Testing
import Vocabulary

@testable import Checks

@Suite struct JournalQuotaTests {
    @Test func `so many lines in a while, and then how many were left out`() {
        var quota = JournalQuota()
        let begin = Instant(nanoseconds: 0)
        for _ in 0..<JournalQuota.linesMax {
            #expect(quota.ask(now: begin) == .say(afterSilent: 0))
        }
        for _ in 0..<5 { #expect(quota.ask(now: begin + .seconds(9)) == .leaveOut) }
        #expect(quota.ask(now: begin + .seconds(10)) == .say(afterSilent: 5))
        #expect(quota.ask(now: begin + .seconds(10)) == .say(afterSilent: 0))
    }
}
