// Is it told what was tried since the store went away, and not what was tried the time before?

import Testing
import Vocabulary

@testable import Store

@Suite struct OutageTests {
    @Test func `attempts of the time before are not counted again`() {
        let start = Instant(nanoseconds: 0)
        // Attempts of this time, those that nobody was told of, and the words.
        let rows: [(Int, Int, String)] = [
            (1, 0, ""), (1, 71, ""), (3, 71, ", for 2s, 3 attempts in the last minute"),
            (90, 59, ", for 2s, 60 attempts in the last minute"),
        ]
        for (attempts, unsaid, words) in rows {
            var outage = Outage(since: start)
            outage.attempts = attempts
            #expect(outage.words(unsaid: unsaid, at: start + .seconds(2)) == words)
        }
    }
}
