// Does anybody hear what says nothing here?

import Testing
import Vocabulary

@testable import Fleet

@Suite struct MuteRunTests {
    private static func at(_ seconds: Double) -> Instant {
        Instant(nanoseconds: Int64(seconds * 1_000_000_000))
    }

    private static func vote(_ word: Vote.Word, _ number: UInt64, epoch: UInt64 = 7) -> Vote {
        Vote(by: "b", word: word, epoch: epoch, number: number, at: WallTime(milliseconds: 0))
    }

    /// Probed each second: when others were asked, and whether the pair goes with what they say to that.
    private static func run(_ words: [[Vote.Word]], seconds: Int) -> (asked: [Int], given: Int?) {
        var run = MuteRun()
        var asked: [Int] = []
        for second in 1...seconds {
            run.noteProbe()
            // A few milliseconds earlier or later than the one before.
            let now = at(Double(second) + (second % 2 == 0 ? 0.003 : -0.003))
            guard run.isToAsk(at: now) else { continue }
            asked.append(second)
            run.ask(UInt64(asked.count), epoch: 7, every: .seconds(1), at: now)
            for word in words.indices.contains(asked.count - 1) ? words[asked.count - 1] : [] {
                if run.take(vote(word, UInt64(asked.count))) { return (asked, second) }
            }
        }
        return (asked, nil)
    }

    @Test func `who hears it three times in a row is given the pair`() {
        let result = Self.run(
            [[.abstains, .passes], [.fails, .abstains], [.passes]],
            seconds: 10
        )
        #expect(result.asked == [2, 3, 4])
        #expect(result.given == 4)
    }

    @Test func `two who hear it in one asking are one asking`() {
        let result = Self.run([[.passes, .fails], [.passes, .passes]], seconds: 3)
        #expect(result.given == nil)
    }

    @Test func `what nobody hears is asked of others less and less`() {
        let result = Self.run([], seconds: 300)
        #expect(result.asked == [2, 3, 4, 6, 10, 18, 34, 66, 126, 186, 246])
    }

    @Test func `an asking in which nobody hears it begins the count anew`() {
        let words: [[Vote.Word]] = [
            [.passes], [.passes], [.abstains, .abstains], [.passes], [.passes], [.passes],
        ]
        let result = Self.run(words, seconds: 30)
        #expect(result.asked == [2, 3, 4, 5, 6, 7])
        #expect(result.given == 7)
    }

    @Test func `an answer to another question, or of another claim, is none`() {
        var run = MuteRun()
        for number in UInt64(1)...5 {
            run.noteProbe()
            run.ask(number, epoch: 7, every: .seconds(1), at: Self.at(Double(number)))
            let isLate = run.take(Self.vote(.passes, number - 1))
            let isOfAnother = run.take(Self.vote(.passes, number, epoch: 6))
            #expect(!isLate && !isOfAnother)
        }
    }
}
