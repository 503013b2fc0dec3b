// Who may say that a peer is down? Rows of votes, and the histories that a quorum is there for.

import Fleet
import Testing
import Vocabulary

@Suite struct FailingRunTests {
    private static func wall(_ milliseconds: Int64) -> WallTime {
        WallTime(milliseconds: milliseconds)
    }

    private static func run(
        _ electors: [String],
        quorum: ConfirmRule.Quorum = .majority,
        ownerVotes: Bool = true
    ) -> FailingRun {
        FailingRun(
            rule: ConfirmRule(agents: electors.count, quorum: quorum),
            owner: "a",
            epoch: 7,
            ownerVotes: ownerVotes,
            electors: electors,
            number: 1,
            interval: .seconds(1),
            at: wall(10_000)
        )
    }

    private static func vote(
        _ by: String,
        _ word: Vote.Word,
        epoch: UInt64 = 7,
        number: UInt64 = 1,
        at: Int64 = 10_010
    ) -> Vote {
        Vote(by: by, word: word, epoch: epoch, number: number, at: wall(at))
    }

    /// `f` fails, `p` passes, `-` abstains, `.` has not answered.
    @Test(arguments: [
        ("", "majority", "confirmed 1/1"),
        (".", "majority", "open"), ("f", "majority", "confirmed 2/2"),
        ("p", "majority", "lost 1/2"),
        ("-", "majority", "confirmed 1/1"),
        ("..", "majority", "open"), ("f.", "majority", "confirmed 2/3"), ("p.", "majority", "open"),
        ("pf", "majority", "confirmed 2/3"), ("pp", "majority", "lost 2/3"),
        ("-f", "majority", "confirmed 2/2"), ("-p", "majority", "lost 1/2"),
        ("--", "majority", "confirmed 1/1"),
        ("pp", "any", "confirmed 1/3"), ("ff", "all", "confirmed 3/3"), ("fp", "all", "lost 1/3"),
        ("f.", "2", "confirmed 2/3"), ("-.", "3", "open"), ("-f", "3", "confirmed 2/2"),
        ("fpp.", "majority", "open"), ("fppp", "majority", "lost 3/5"),
    ])
    func `votes and what they come to`(row: (String, String, String)) {
        let quorum: ConfirmRule.Quorum =
            switch row.1 {
            case "any": .any
            case "all": .all
            case "majority": .majority
            default: .count(Int(row.1) ?? 1)
            }
        var run = Self.run(
            row.0.indices.map { "e\(row.0.distance(from: row.0.startIndex, to: $0))" },
            quorum: quorum
        )
        for (index, letter) in row.0.enumerated() where letter != "." {
            let word: Vote.Word = letter == "f" ? .fails : letter == "p" ? .passes : .abstains
            #expect(run.take(Self.vote("e\(index)", word)) == true)
        }
        let text =
            switch run.tally {
            case .open: "open"
            case .confirmed(let fails, let size): "confirmed \(fails)/\(size)"
            case .lost(let passes, let size): "lost \(passes)/\(size)"
            }
        #expect(text == row.2)
    }

    /// Without epochs and numbers in votes, the answer to a former owner's question, or to the question
    /// before, decides this one.
    @Test func `a vote that answers another question is none`() {
        var run = Self.run(["b", "c"])
        #expect(run.take(Self.vote("b", .fails, epoch: 6)) == false)
        #expect(run.take(Self.vote("b", .fails, number: 2)) == false)
        #expect(run.take(Self.vote("b", .fails, at: 7_999)) == false)
        #expect(run.take(Self.vote("d", .fails)) == false)
        #expect(run.tally == .open)
        #expect(run.take(Self.vote("b", .fails)) == true)
        #expect(run.tally == .confirmed(2, of: 3))
    }

    /// Without abstention a stopped elector keeps a dead peer up; with it at once, a lost message makes a
    /// minority decide.
    @Test func `silence becomes abstention after three askings, and not before`() {
        var run = Self.run(["b", "c"])
        for asking in UInt64(2)...3 {
            run.ask(
                again: asking,
                of: run.electorate,
                at: Self.wall(10_000 + Int64(asking) * 1_000)
            )
            #expect(run.tally == .open)
        }
        run.ask(again: 4, of: run.electorate, at: Self.wall(14_000))
        #expect(run.tally == .confirmed(1, of: 1))
        // One that speaks again counts again.
        #expect(run.take(Self.vote("b", .passes, number: 4, at: 14_100)) == true)
        #expect(run.tally == .lost(1, of: 2))
    }

    /// Or a store that is away makes one agent decide, which could ask nobody.
    @Test func `silence says nothing while what is sent is lost`() {
        var run = Self.run(["b", "c"])
        for asking in UInt64(2)...9 {
            run.noteCut()
            run.ask(
                again: asking,
                of: run.electorate,
                at: Self.wall(10_000 + Int64(asking) * 1_000)
            )
            #expect(run.tally == .open)
        }
    }

    @Test func `who beats no more leaves the electorate at once`() {
        var run = Self.run(["b", "c"])
        #expect(run.take(Self.vote("c", .fails)) == true)
        #expect(run.gone("b") == true)
        #expect(run.gone("b") == false)
        #expect(run.tally == .confirmed(2, of: 2))
    }

    /// Both that were asked die, and three others live: the owner is not alone.
    @Test func `an electorate that is gone is replaced before the owner decides`() {
        var run = Self.run(["b", "c"])
        #expect(run.gone("b") == true)
        #expect(run.gone("c") == true)
        #expect(run.tally == .open)
        #expect(run.isDueAgain(at: Self.wall(10_001)))
        run.ask(again: 2, of: ["d"], at: Self.wall(10_001))
        #expect(run.tally == .open)
        #expect(run.take(Self.vote("d", .passes, number: 2)) == true)
        #expect(run.tally == .lost(1, of: 2))
        // Nobody is left at all: alone.
        #expect(run.gone("d") == true)
        run.ask(again: 3, of: [], at: Self.wall(10_002))
        #expect(run.tally == .confirmed(1, of: 1))
    }

    @Test func `a doubting owner has no vote, and decides nothing alone`() {
        var run = Self.run(["b"], ownerVotes: false)
        #expect(run.tally == .open)
        #expect(run.take(Self.vote("b", .fails)) == true)
        #expect(run.tally == .confirmed(1, of: 1))
        #expect(Self.run([], ownerVotes: false).tally == .open)
    }

    @Test func `three lost votes are enough, each asking counts once`() {
        var run = Self.run(["b"])
        for asking in UInt64(1)...3 {
            if asking > 1 {
                run.ask(
                    again: asking,
                    of: run.electorate,
                    at: Self.wall(10_000 + Int64(asking) * 1_000)
                )
            }
            let at = 10_000 + Int64(asking) * 1_000
            #expect(run.take(Self.vote("b", .passes, number: asking, at: at)) == true)
            #expect(run.noteLost() == (asking == 3))
            #expect(run.noteLost() == (asking == 3))
            #expect(run.lostVotes == Int(asking))
        }
        #expect(run.successor == "b")
    }

    @Test func `what was said without being asked counts within an interval, and under this epoch`()
    {
        func word(_ by: String, epoch: UInt64 = 7, at: Int64) -> Vote {
            Self.vote(by, .fails, epoch: epoch, number: Vote.unasked, at: at)
        }
        var run = Self.run(["b", "c"])
        let now = Self.wall(10_000)
        let taken = [
            // Older than an interval; of another epoch; of none, as who gave the pair away is heard and has no vote; of
            // nobody that has one; and one that counts.
            word("b", at: 8_900), word("b", epoch: 6, at: 9_500), word("b", epoch: 0, at: 9_500),
            word("x", at: 9_500), word("b", at: 9_500),
        ]
        .map { run.take(unasked: $0, at: now) }
        #expect(taken == [false, false, false, false, true])
        #expect(run.tally == .confirmed(2, of: 3))
        #expect(run.silent == ["c"])
        // What it says when it is asked is later.
        let isAnswer = run.take(Self.vote("b", .passes, at: 10_010))
        let isLate = run.take(unasked: word("b", at: 9_900), at: Self.wall(10_020))
        #expect(isAnswer && !isLate)
        #expect(run.tally == .open)
    }
}
