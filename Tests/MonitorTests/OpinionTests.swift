// What does one outcome do to an opinion? Without scheduler, board or store.

import Fleet
import Health
import Testing
import Vocabulary

@testable import Monitor

@Suite struct OpinionTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)
    private let thresholds = Thresholds(rise: 2, fall: 2)
    private let schedule = Schedule(interval: .seconds(1), timeout: .milliseconds(500))
    private let key = VerdictKey(upstream: "web", peer: "a", monitor: "http")

    private func verdict(_ opinion: Opinion) -> Verdict {
        opinion.verdict(of: key, kind: "http", agent: "a1", epoch: 1, sequence: 1)
    }

    private func take(
        _ outcome: Outcome,
        into opinion: inout Opinion,
        at now: WallTime
    ) -> Bool {
        opinion.take(outcome, schedule: schedule, now: now)
    }

    @Test func `the first outcome decides at once and is a transition`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        #expect(take(.refused, into: &opinion, at: start))
        let verdict = verdict(opinion)
        #expect(verdict.status == .down)
        #expect(verdict.reason == .layer4Connect)
        #expect(verdict.message == "Connection refused")
        #expect(verdict.since == start && verdict.checkedAt == start)
        #expect(verdict.expiresAt > start + schedule.interval + schedule.timeout)
    }

    @Test func `only a change of status is a transition, and only it moves since`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        var transitions: [Bool] = []
        for (second, outcome) in [Outcome.pass, .pass, .refused, .refused, .refused].enumerated() {
            transitions.append(
                take(outcome, into: &opinion, at: start + .seconds(Int64(second)))
            )
        }
        #expect(transitions == [true, false, false, true, false])
        #expect(opinion.since == start + .seconds(3))
        #expect(opinion.checkedAt == start + .seconds(4))
    }

    @Test func `a warning is a pass that degrades, and says so at once both ways`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        _ = take(.pass, into: &opinion, at: start)
        let warning = Outcome(.warn, .layer7OK, message: "slow")
        #expect(take(warning, into: &opinion, at: start))
        #expect(verdict(opinion).isDegraded && verdict(opinion).status == .up)
        #expect(take(.pass, into: &opinion, at: start))
        #expect(!verdict(opinion).isDegraded)
    }

    @Test func `a degraded peer that fails stays degraded until it is down or passes`() {
        let thresholds = Thresholds(rise: 2, fall: 3)
        let failure = Outcome(.fail, .layer7Status, code: 500, message: "500")
        let warning = Outcome(.warn, .layer7Status, code: 429, message: "429")
        // What each outcome leads to: ! up and degraded, + up, - down.
        let rows: [([Outcome], String)] = [
            ([warning, failure, failure, failure, failure], "!!!--"),
            ([warning, failure, .pass, failure], "!!++"),
            ([warning, failure, warning, failure], "!!!!"),
            ([.pass, failure, warning, failure], "++!!"),
            ([failure, warning, warning, failure], "--!!"),
            ([warning, .unresolved, failure, .unresolved], "!!!!"),
        ]
        for (outcomes, expected) in rows {
            var opinion = Opinion(thresholds: thresholds, now: start)
            var chart = ""
            for outcome in outcomes {
                _ = take(outcome, into: &opinion, at: start)
                let verdict = verdict(opinion)
                chart += verdict.status == .down ? "-" : verdict.isDegraded ? "!" : "+"
            }
            #expect(chart == expected)
        }
    }

    @Test(arguments: [
        Outcome(.neutral, .resolver, message: "no such name"),
        Outcome(.neutral, .socketError, message: "Too many open files"),
        // Whatever a check called it: trouble of ours is not the peer's.
        Outcome(.fail, .socketError, message: "Too many open files"),
        Outcome(.fail, .resolver, message: "no such name"),
    ])
    func `trouble of ours changes nothing, keeps nothing alive and is told`(neutral: Outcome) {
        for first in [Outcome.pass, .refused] {
            var opinion = Opinion(thresholds: thresholds, now: start)
            _ = take(first, into: &opinion, at: start)
            let before = verdict(opinion)
            for second in 1...10 as ClosedRange<Int64> {
                let now = start + .seconds(second)
                #expect(!take(neutral, into: &opinion, at: now))
            }
            let after = verdict(opinion)
            #expect(after.status == before.status && after.health == before.health)
            #expect(after.reason == before.reason, "why it is so has not changed")
            #expect(after.expiresAt == before.expiresAt, "nothing was learnt of the peer")
            #expect(after.checkedAt == start + .seconds(10))
            #expect(
                after.message.hasSuffix("last probe: \(neutral.reason.rawValue) \(neutral.message)")
            )
            _ = take(.pass, into: &opinion, at: start)
            #expect(!verdict(opinion).message.contains("last probe"))
        }
    }

    @Test func `what a probe without an opinion leaves says when something was found`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        _ = take(.pass, into: &opinion, at: start)
        #expect(verdict(opinion).isFound)
        let end = opinion.expiresAt
        let mute = Outcome(.neutral, .layer7Timeout)
        _ = take(mute, into: &opinion, at: start + .seconds(1))
        #expect(!verdict(opinion).isFound && opinion.expiresAt == end)
        #expect(verdict(opinion).checkedAt == start)
        // Whoever goes on from that has found nothing either.
        var next = Opinion(thresholds: thresholds, resuming: verdict(opinion))
        _ = take(mute, into: &next, at: start + .seconds(2))
        #expect(!verdict(next).isFound && next.expiresAt == end)
        #expect(verdict(next).checkedAt == start)
        _ = take(.pass, into: &next, at: start + .seconds(3))
        #expect(verdict(next).isFound && next.expiresAt > end)
        // Its own sockets are no news of the peer, and its word lasts until another has the pair.
        _ = take(Outcome(.neutral, .socketError), into: &next, at: start + .seconds(4))
        #expect(verdict(next).isFound)
    }

    @Test func `what a neutral probe said is said once, however often the pair changes hands`() {
        let trouble = Outcome(.neutral, .resolver, message: "no such name")
        for first in [Outcome.pass, .refused] {
            var opinion = Opinion(thresholds: thresholds, now: start)
            _ = take(first, into: &opinion, at: start)
            _ = take(trouble, into: &opinion, at: start)
            let words = verdict(opinion).message
            for _ in 0..<3 {
                opinion = Opinion(thresholds: thresholds, resuming: verdict(opinion))
                #expect(verdict(opinion).message == words)
                _ = take(trouble, into: &opinion, at: start)
                #expect(verdict(opinion).message == words)
            }
        }
    }

    @Test func `before anything is known, trouble of ours is what there is to tell`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        _ = take(.unresolved, into: &opinion, at: start)
        #expect(verdict(opinion).status == .unknown)
        #expect(verdict(opinion).reason == .resolver)
        #expect(verdict(opinion).message == "no such name")
        #expect(take(.pass, into: &opinion, at: start), "and the first word decides")
    }

    /// Found by an agent that was down meanwhile, say.
    @Test func `who was up long ago is known again by a pass, or when it has failed often enough`()
    {
        // What comes after the silence, and whether each word holds then: ! up, - down, . over.
        let rows: [([Outcome], [Ruling], String)] = [
            ([.refused, .refused, .refused], [], "..-"), ([.refused, .pass, .refused], [], ".!!"),
            ([.pass, .refused], [], "!!"), ([.refused, .refused], [.hold, .hold], ".."),
            ([.refused, .pass], [.ignore, .count], ".!"),
        ]
        for (outcomes, rulings, expected) in rows {
            var opinion = Opinion(thresholds: Thresholds(rise: 2, fall: 3), now: start)
            _ = take(.pass, into: &opinion, at: start)
            opinion = Opinion(
                thresholds: Thresholds(rise: 2, fall: 3),
                resuming: verdict(opinion)
            )
            var chart = ""
            for (place, outcome) in outcomes.enumerated() {
                let now = start + .seconds(600 + Int64(place))
                let ruling = place < rulings.count ? rulings[place] : .count
                _ = opinion.take(outcome, ruling: ruling, schedule: schedule, now: now)
                let verdict = verdict(opinion)
                let isOver = verdict.expiresAt < now
                chart += isOver ? "." : verdict.status == .down ? "-" : "!"
            }
            #expect(chart == expected)
        }
    }

    @Test func `a peer that answers without a word on health keeps what it had`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        _ = take(.pass, into: &opinion, at: start)
        let later = start + .seconds(100)
        let spoke = Outcome(.neutral, .checked, hints: Hints(weightPercent: 50))
        #expect(take(spoke, into: &opinion, at: later), "its weight is news")
        #expect(verdict(opinion).status == .up)
        #expect(verdict(opinion).expiresAt > later)
        #expect(!take(spoke, into: &opinion, at: later), "the second time it is not")
    }

    @Test func `hints stick until they are replaced`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        let words: [(Hints, Hints)] = [
            (Hints(weightPercent: 50), Hints(weightPercent: 50)),
            (Hints(admin: .drain), Hints(weightPercent: 50, admin: .drain)),
            (Hints(), Hints(weightPercent: 50, admin: .drain)),
            (
                Hints(weightPercent: 100, maxConnections: 3, admin: .ready),
                Hints(weightPercent: 100, maxConnections: 3, admin: .ready)
            ),
        ]
        for (said, held) in words {
            _ = take(Outcome(.pass, .layer7OK, hints: said), into: &opinion, at: start)
            #expect(opinion.hints == held)
        }
    }

    @Test func `an outcome that says so takes the peer down at once`() {
        var opinion = Opinion(thresholds: Thresholds(rise: 2, fall: 9), now: start)
        _ = take(.pass, into: &opinion, at: start)
        let fatal = Outcome(.fail, .layer7Status, code: 410, isImmediate: true)
        #expect(take(fatal, into: &opinion, at: start))
        #expect(opinion.counter.status == .down)
    }

    /// Wherever the count stands, another agent that goes on from the verdict decides alike.
    @Test func `a verdict carries all that a successor needs`() {
        for history in 0..<256 {
            var one = Opinion(thresholds: thresholds, now: start)
            for probe in 0..<8 {
                let outcome: Outcome = history >> probe & 1 == 1 ? .pass : .refused
                _ = take(outcome, into: &one, at: start)
                let other = Opinion(thresholds: thresholds, resuming: verdict(one))
                #expect(verdict(other) == verdict(one), "history \(history), probe \(probe)")
                #expect(other.counter == one.counter)
            }
        }
    }

    @Test
    func `an address that turns is heard of at once, and stays as it was while nothing is known`() {
        var opinion = Opinion(thresholds: thresholds, now: start)
        func take(_ outcome: Outcome, _ down: [String]) -> Bool {
            opinion.take(outcome, downAddresses: down, schedule: schedule, now: start)
        }
        #expect(take(.pass, []))
        #expect(take(.pass, ["a:1"]))
        #expect(!take(.pass, ["a:1"]))
        #expect(!take(Outcome(.neutral, .resolver, message: "no such name"), []))
        #expect(verdict(opinion).downAddresses == ["a:1"])
        let resumed = Opinion(thresholds: thresholds, resuming: verdict(opinion))
        #expect(resumed.downAddresses == ["a:1"])
        #expect(take(.pass, []))
        #expect(verdict(opinion).downAddresses == [])
    }
}
