// Who looks at a peer beside its holder, what is told of that, and whose word decides? Rows, and one agent among others
// that the test speaks for.

import Health
import Testing
import Vocabulary

@testable import Fleet

@Suite struct ObserversTests {
    @Test(arguments: [
        // Nobody said anything: two are asked where three share the probing, and whoever looks anyhow has a vote.
        (ConfirmRule.byDefault, 0, 2, 0), (.byDefault, 0, 3, 2), (.byDefault, 1, 2, 1),
        (.byDefault, 1, 3, 2), (.byDefault, 3, 5, 3),
        // So many are asked beside those that look.
        (ConfirmRule(agents: 2), 0, 2, 2), (ConfirmRule(agents: 2), 1, 5, 3),
        (ConfirmRule(), 0, 5, 0), (ConfirmRule(), 2, 5, 2),
        (.off, 0, 5, 0), (.off, 2, 5, 0),
    ])
    func `how many others have a vote`(row: (ConfirmRule, Int, Int, Int)) {
        #expect(row.0.electors(beside: row.1, of: row.2) == row.3)
    }

    private static func wall(_ milliseconds: Int64) -> WallTime {
        WallTime(milliseconds: milliseconds)
    }

    /// `p` passes, `f` fails; told is what is not as published, and that it is over.
    @Test(arguments: [
        ("pppp", "...."), ("ppff", "..ff"), ("pffp", ".ffp"), ("pfpp", ".fp."), ("ffff", "ffff"),
    ])
    func `a peer that is up is spoken of where it fails, and once when it does not any more`(
        row: (String, String)
    ) {
        var observers = Observers()
        observers.define(1, observers: 2)
        let isNew = observers.sit(at: .milliseconds(500), on: 1)
        #expect(isNew)
        var told = ""
        for (round, found) in row.0.enumerated() {
            let word: Vote.Word = found == "p" ? .passes : .fails
            let isTold = observers.found(
                word,
                differs: word == .fails,
                on: 1,
                at: Self.wall(Int64(round) * 1_000),
                life: .seconds(2)
            )
            told += isTold ? "\(found)" : "."
        }
        #expect(told == row.1)
    }

    @Test func `a word holds for its time, and a later one takes its place`() {
        var observers = Observers()
        let life = Nanoseconds.seconds(2)
        func vote(_ by: String, _ word: Vote.Word, at: Int64) -> Vote {
            Vote(by: by, word: word, epoch: 7, number: Vote.unasked, at: Self.wall(at))
        }
        var news = [("fails", 10_000), ("fails", 11_000), ("passes", 10_500)].map {
            observers.take(
                vote("b", Vote.Word(rawValue: $0.0) ?? .abstains, at: $0.1),
                of: 1,
                life: life
            )
        }
        // The last came late, and is of the past.
        #expect(news == [true, false, false])
        #expect(observers.votes(on: 1, at: Self.wall(12_900), life: life).map(\.word) == [.fails])
        #expect(observers.votes(on: 1, at: Self.wall(13_100), life: life).isEmpty)
        news = [observers.take(vote("b", .passes, at: 14_000), of: 1, life: life)]
        #expect(news == [true])
        // More than may look are none of them.
        for number in 0..<40 {
            _ = observers.take(vote("x\(number)", .fails, at: 14_000), of: 1, life: life)
        }
        let all = observers.votes(on: 1, at: Self.wall(14_000), life: life)
        #expect(all.count == Observers.toldMax && all.first?.word == .passes)
    }

    @Test func `who contradicts what the holder finds itself is told of once`() {
        var observers = Observers()
        let life = Nanoseconds.seconds(2)
        let vote = Vote(
            by: "b",
            word: .fails,
            epoch: 7,
            number: Vote.unasked,
            at: Self.wall(10_000)
        )
        _ = observers.take(vote, of: 1, life: life)
        #expect(!observers.hasDissent(on: 1, at: Self.wall(10_000), life: life))
        let time = Self.wall(10_100)
        let told = (0..<2).map { _ in
            observers.dissent(from: .passes, on: 1, at: time, life: life)
        }
        #expect(told == [["b"], []])
        #expect(observers.hasDissent(on: 1, at: time, life: life))
        // It fails here too by now.
        let others = observers.dissent(from: .fails, on: 1, at: time, life: life)
        #expect(others.isEmpty && !observers.hasDissent(on: 1, at: time, life: life))
    }
}
