// What do people read of who shares the probing? The lines alone, without agents and without a store.

import Fleet
import Testing
import Vocabulary

@testable import Store

@Suite struct FleetNewsTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)
    private let since = WallTime(milliseconds: 1_795_000_000_000)

    private func members(_ lives: [String: UInt64]) -> [RosterMember] {
        lives.map { RosterMember(id: $0.key, instance: $0.value, weight: 1) }
    }

    private func line(
        _ news: inout FleetNews,
        _ lives: [String: UInt64],
        late: [String: WallTime] = [:],
        era: UInt64 = 7,
        at second: Int64 = 0
    ) -> String? {
        news.line(
            of: members(lives),
            late: late,
            era: era,
            seenBy: "a1",
            patience: .seconds(3),
            at: start + .seconds(second)
        )
    }

    private func told(_ lives: [String: UInt64]) -> FleetNews {
        var news = FleetNews()
        _ = line(&news, lives)
        return news
    }

    @Test func `one that left, one that fell silent and one that began anew are told apart`() {
        var news = told(["a1": 1, "a2": 2, "a3": 3, "a4": 4])
        let none = line(&news, ["a1": 1, "a2": 2, "a3": 3, "a4": 4], late: ["a3": since])
        #expect(none == nil)
        let text = line(&news, ["a1": 1, "a4": 40])
        #expect(
            text
                == "2 agents share the probing; begun anew: a4; left: a2; silent since \(since): a3"
        )
    }

    @Test func `a quick restart is told, and this agent's own is not`() {
        var news = told(["a1": 1, "a2": 2])
        let restart = line(&news, ["a1": 1, "a2": 20])
        #expect(restart == "2 agents share the probing; begun anew: a2")
        let own = line(&news, ["a1": 10, "a2": 20])
        #expect(own == nil)
    }

    /// Nobody's beat was written meanwhile: when it fell silent nobody knows, and not after that time.
    @Test
    func `one that fell silent while nobody could be heard is silent since nobody knows when`() {
        var news = told(["a1": 1, "a2": 2, "a3": 3])
        let span = Nanoseconds.seconds(1)
        news.beaten(at: since, within: span)
        news.beaten(at: since + .milliseconds(250), within: span)
        news.beaten(at: since + .seconds(20), within: span)
        let resumed = since + .milliseconds(19_990)
        let both = ["a2": resumed, "a3": since + .seconds(22)]
        let none = line(&news, ["a1": 1, "a2": 2, "a3": 3], late: both, at: 23)
        #expect(none == nil)
        let text = line(&news, ["a1": 1], at: 26)
        #expect(
            text == "one agent probes; not back since the store takes beats again: a2; "
                + "silent since \(since + .seconds(22)): a3"
        )
    }

    /// Whoever comes back first finds nobody there.
    @Test func `a store that lost its state says nothing of those that are not back yet`() {
        var news = told(["a1": 1, "a2": 2, "a3": 3])
        let first = line(&news, ["a1": 1], era: 8, at: 10)
        let second = line(&news, ["a1": 1, "a2": 2], era: 8, at: 12)
        #expect(first == nil && second == nil)
        let late = line(&news, ["a1": 1, "a2": 2], era: 8, at: 14)
        #expect(late == "2 agents share the probing; not back since the store lost its state: a3")
        let last = line(&news, ["a1": 1, "a2": 2, "a3": 3], era: 8, at: 20)
        #expect(last == "3 agents share the probing; new: a3")
    }

    @Test func `where all come back after the store was lost there is no news`() {
        var news = told(["a1": 1, "a2": 2])
        let first = line(&news, ["a1": 1], era: 8, at: 10)
        let both = line(&news, ["a1": 1, "a2": 2], era: 8, at: 11)
        #expect(first == nil && both == nil)
        let left = line(&news, ["a1": 1], era: 8, at: 60)
        #expect(left == "one agent probes; left: a2")
    }
}
