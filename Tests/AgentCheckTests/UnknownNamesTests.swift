// Is every misnamed server told of, and a scan not told of without end?

import Testing
import Vocabulary

@testable import AgentCheck

@Suite struct UnknownNamesTests {
    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test func `each name is told at once, and again after a while`() {
        var names = UnknownNames()
        for second in 0..<1_200 as Range<Int64> {
            let isBeat = second == 0 || second == 600
            for name in ["web/typo1", "web/typo2"] {
                let isTold = names.isWorthALine(name, now: at(second))
                #expect(isTold == isBeat, "\(name) at \(second)")
            }
        }
    }

    @Test func `a scan is told of within limits, and hides no name for long`() {
        var names = UnknownNames()
        var told = 0
        for number in 0..<100_000 as Range<Int64> {
            // A thousand names a second.
            if names.isWorthALine("web/\(number)", now: at(number / 1_000)) { told += 1 }
        }
        #expect(told == 10 * UnknownNames.linesMax)
        let isTold = names.isWorthALine("web/typo", now: at(100))
        #expect(isTold)
        let isToldAgain = names.isWorthALine("web/typo", now: at(699))
        #expect(!isToldAgain)
    }
}
