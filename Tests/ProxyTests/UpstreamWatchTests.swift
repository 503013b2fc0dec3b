// Who is found to do worse than the others, and who is not.

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Proxy

@Suite struct UpstreamWatchTests {
    private static func key(_ peer: String) -> PeerKey { PeerKey(upstream: "web", peer: peer) }
    private static let start = Instant(nanoseconds: 1_000_000_000)

    /// An upstream of which each step says what every peer answered since the last: `+` well, `-` badly.
    private struct Story {
        var watch = UpstreamWatch()
        var eject = EjectDefinition()
        var tallies: [PeerKey: PeerTally] = [:]
        var now = UpstreamWatchTests.start

        init(_ peers: String) {
            for peer in peers { tallies[key("\(peer)")] = PeerTally() }
            _ = look()
        }

        mutating func look(after span: Nanoseconds = .milliseconds(100)) -> [UpstreamWatch.Finding]
        {
            now = now + span
            return watch.take(tallies, eject, at: now)
        }

        mutating func step(_ answers: [String: String]) -> [UpstreamWatch.Finding] {
            for (peer, marks) in answers {
                for mark in marks {
                    if mark == "+" {
                        tallies[key(peer)]?.goods += 1
                        tallies[key(peer)]?.run = 0
                    } else {
                        tallies[key(peer)]?.bads += 1
                        tallies[key(peer)]?.run += 1
                    }
                }
            }
            return look()
        }
    }

    @Test func `of a peer that came back only what it has done since counts`() {
        for isBack in [false, true] {
            var story = Story("ab")
            let good = String(repeating: "+", count: 30)
            _ = story.step(["a": "-+-+-+-+-+-+-+-+-+", "b": good])
            if isBack { story.watch.forgetPast(of: Self.key("a")) }
            let findings = story.step(["a": "++", "b": good])
            #expect(findings.isEmpty == isBack)
        }
    }

    // MARK: In a row

    @Test func `five bad answers in a row are too many, however they come`() {
        for parts in [["-----"], ["-", "-", "-", "-", "-"], ["--", "---"], ["+-", "-", "---"]] {
            var story = Story("ab")
            let findings = parts.flatMap { story.step(["a": $0, "b": "++"]) }
            #expect(findings == [.badAnswers(Self.key("a"), 5)], "\(parts)")
        }
    }

    @Test func `a good answer in between begins the count anew`() {
        var story = Story("ab")
        for marks in ["----", "+", "----", "+----", "--+", "----"] {
            #expect(story.step(["a": marks, "b": "+++"]).isEmpty, "\(marks)")
        }
    }

    @Test func `what all answer alike is nobody's`() {
        var story = Story("abc")
        for _ in 0..<10 { #expect(story.step(["a": "--", "b": "--", "c": "--"]).isEmpty) }
        // Where one is well it is not the requests.
        var other = Story("abc")
        var found: [UpstreamWatch.Finding] = []
        for _ in 0..<4 { found += other.step(["a": "--", "b": "--", "c": "++"]) }
        #expect(found.contains(.badAnswers(Self.key("a"), 6)))
    }

    @Test func `none are counted where failures is 0`() {
        var story = Story("ab")
        story.eject.failures = 0
        story.eject.rate.above = 0
        #expect(story.step(["a": "----------", "b": "+"]).isEmpty)
    }

    // MARK: By rate

    @Test func `half of the answers bad is found with the twentieth request`() {
        var story = Story("abc")
        var steps = 0
        var found: [UpstreamWatch.Finding] = []
        while found.isEmpty, steps < 20 {
            found = story.step(["a": "+-", "b": "++", "c": "++"])
            steps += 1
        }
        #expect(steps == 10)
        #expect(
            found == [.failsMore(Self.key("a"), failures: 10, requests: 20, others: 0)]
        )
    }

    @Test func `who fails as the others do stays, and so does who fails now and then`() {
        var alike = Story("abc")
        for _ in 0..<40 { #expect(alike.step(["a": "+-", "b": "-+", "c": "+-"]).isEmpty) }
        var seldom = Story("abc")
        for round in 0..<60 {
            let marks = round % 10 == 0 ? "+-" : "++"
            #expect(seldom.step(["a": marks, "b": "++", "c": "++"]).isEmpty)
        }
    }

    @Test func `what was before the window is forgotten`() {
        var story = Story("ab")
        #expect(story.step(["a": "-+-+-+-+-+-+-+-+", "b": "++++++++++++++++++++"]).isEmpty)
        #expect(story.look(after: .seconds(3)).isEmpty)
        #expect(story.step(["a": "+-+-++", "b": "++++++++++++++++++++"]).isEmpty)
    }

    @Test func `of few requests nothing is concluded`() {
        var story = Story("ab")
        for _ in 0..<4 { #expect(story.step(["a": "-+-+", "b": "++++"]).isEmpty) }
    }

    // MARK: Silence

    private static func waiting(
        _ count: Int32,
        _ waited: Int64,
        heard: Int64,
        others: Int64
    ) -> [UpstreamWatch.Finding] {
        var story = Story("ab")
        let now = story.now + .milliseconds(100)
        var tally = PeerTally()
        tally.waiting = count
        tally.waited = .milliseconds(waited)
        tally.heardAt = now + .milliseconds(-heard)
        story.tallies[key("a")] = tally
        story.tallies[key("b")]?.heardAt = now + .milliseconds(-others)
        return story.look()
    }

    @Test func `silent is who owes three an answer for so long, while others speak`() {
        let silent = [UpstreamWatch.Finding.isSilent(Self.key("a"))]
        #expect(Self.waiting(3, 150, heard: 160, others: 20) == silent)
        #expect(Self.waiting(2, 150, heard: 160, others: 20).isEmpty)
        #expect(Self.waiting(9, 149, heard: 400, others: 20).isEmpty)
        #expect(Self.waiting(9, 900, heard: 140, others: 20).isEmpty)
        // Nobody speaks: that is the network, or this process.
        #expect(Self.waiting(9, 900, heard: 1_000, others: 950).isEmpty)
    }

    // MARK: Trials

    @Test func `who is back after its time must answer ten well`() {
        var story = Story("ab")
        story.watch.beginTrial(of: Self.key("a"), at: story.now)
        #expect(story.look().isEmpty)
        #expect(story.step(["a": "+++++++++"]).isEmpty)
        #expect(story.watch.isOnTrial(Self.key("a")))
        #expect(story.step(["a": "+"]) == [.passedTrial(Self.key("a"))])
        #expect(!story.watch.isOnTrial(Self.key("a")))
        story.watch.beginTrial(of: Self.key("a"), at: story.now)
        #expect(story.look().isEmpty)
        #expect(story.step(["a": "++-"]) == [.failedTrial(Self.key("a"))])
    }

    @Test func `most requests of a peer fail, whether it may be ejected for that or not`() {
        var story = Story("ab")
        story.watch.trouble(at: story.now, story.eject)
        _ = story.step(["a": "--", "b": "+++++"])
        #expect(story.watch.failing(Self.key("a"), at: story.now) == nil)
        _ = story.step(["a": "-+", "b": "++-"])
        let failing = story.watch.failing(Self.key("a"), at: story.now)
        #expect(failing == Proxy.Failing(requests: 4, failures: 3))
        #expect(story.watch.failing(Self.key("b"), at: story.now) == nil)
        #expect(story.watch.failing(Self.key("a"), at: story.now + .seconds(3)) == nil)
    }

    @Test func `it is over when there was no trouble for a while`() {
        var watch = UpstreamWatch()
        #expect(watch.isOver(at: Self.start))
        watch.trouble(at: Self.start, EjectDefinition())
        #expect(!watch.isOver(at: Self.start + .milliseconds(1_999)))
        #expect(watch.isOver(at: Self.start + .seconds(2)))
        watch.beginTrial(of: Self.key("a"), at: Self.start)
        #expect(!watch.isOver(at: Self.start + .seconds(60)))
    }
}

@Suite struct HoldsTests {
    /// An ejection may end beneath a peer that is down: then it comes back as one that was down.
    @Test func `a fall counts from the return, also where nobody saw its ejection end`() {
        let key = PeerKey(upstream: "web", peer: "a")
        var holds = Holds()
        let start = Instant(nanoseconds: 0)
        func fall(_ seconds: Int64) -> Bool {
            let now = start + .seconds(seconds)
            return holds.begin(key, .seconds(10), upTo: .seconds(300), at: now, chance: 0)
                .isRepeated
        }
        let first = fall(0)
        holds.returned(key, at: start + .seconds(20))
        let late = fall(100)
        holds.returned(key, at: start + .seconds(110))
        // It was down by its checks alone, and that is no fall of its requests.
        holds.returned(key, at: start + .seconds(135))
        let soon = fall(139)
        #expect([first, late, soon] == [false, false, true])
        holds.returned(key, at: start + .seconds(150))
        holds.returned(key, at: start + .seconds(190))
        let last = fall(191)
        #expect(!last)
    }

    @Test func `each fall soon after the last return keeps it out twice as long`() {
        let key = PeerKey(upstream: "web", peer: "a")
        var holds = Holds()
        var now = Instant(nanoseconds: 0)
        func fall(after pause: Int64, _ chance: Double = 0) -> Int64 {
            now = now + .seconds(pause)
            let hold = holds.begin(
                key,
                .seconds(10),
                upTo: .seconds(300),
                at: now,
                chance: chance
            )
            #expect(hold.isRepeated == (hold.span != .seconds(10)))
            now = now + hold.span
            holds.ended(key, at: now)
            return hold.span.milliseconds
        }
        #expect(fall(after: 100) == 10_000)
        #expect(fall(after: 29) == 20_000)
        #expect(fall(after: 1, 1) == 44_000)
        for _ in 0..<4 { _ = fall(after: 1) }
        #expect(fall(after: 1) == 300_000)
        #expect(fall(after: 31) == 10_000)
    }
}
