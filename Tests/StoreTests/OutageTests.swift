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
            for _ in 0..<attempts { _ = outage.attempt(mayTell: false, at: start) }
            #expect(outage.words(unsaid: unsaid, at: start + .seconds(2)) == words)
        }
    }

    /// Within a minute after the last that was told.
    @Test func `an absence that lasts for a second is told once, a shorter one is not`() {
        let start = Instant(nanoseconds: 0)
        var outage = Outage(since: start)
        let told = [0, 50, 400, 999, 1_000, 1_500, 30_000].map {
            outage.attempt(mayTell: false, at: start + .milliseconds($0))
        }
        #expect(told == [false, false, false, false, true, false, false])
        let again = outage.attempt(mayTell: true, at: start + .seconds(60))
        #expect(again)
        var other = Outage(since: start)
        let first = other.attempt(mayTell: true, at: start)
        let second = other.attempt(mayTell: false, at: start + .seconds(2))
        #expect(first && !second)
    }
}
