// How may a peer and an end be said on the command line?

import Testing
import Vocabulary

@testable import muster

@Suite struct PeerNameTests {
    @Test(arguments: [
        (["web", "127.0.0.1:9001"], "web", "127.0.0.1:9001"),
        (["web/127.0.0.1:9001"], "web", "127.0.0.1:9001"),
        (["web/unix:/run/a.sock"], "web", "unix:/run/a.sock"),
        (["web", "unix:/run/a.sock"], "web", "unix:/run/a.sock"),
    ])
    func `two words, or one as log and status print it`(
        words: [String],
        upstream: String,
        peer: String
    ) throws {
        let name = try PeerName(words)
        #expect(name.upstream == upstream)
        #expect(name.peer == peer)
    }

    @Test(arguments: [
        ([], "nothing"), (["web"], "'web'"), (["web/"], "'web/'"), (["a", "b", "c"], "'a b c'"),
    ])
    func `anything else is refused with what came`(words: [String], saw: String) {
        let error = #expect(throws: (any Error).self) { try PeerName(words) }
        let text = error.map { Muster.message(for: $0) } ?? ""
        #expect(text == "expected UPSTREAM PEER or UPSTREAM/PEER, saw \(saw)")
    }
}

@Suite struct EndTimeTests {
    private let now = WallTime(milliseconds: 1_795_000_000_250)

    @Test func `a duration is taken as it is`() {
        #expect(EndTime.text(of: "10m", at: now) == "10m")
    }

    @Test func `a moment becomes the time until then`() {
        #expect(EndTime.text(of: "\(now + .seconds(90))", at: now) == "90000ms")
        #expect(EndTime.text(of: "\(now)", at: now) == nil)
    }

    @Test func `a time of day is the next one`() throws {
        for words in ["0:00", "06:30", "18:00", "23:59"] {
            let text = try #require(EndTime.text(of: words, at: now))
            let span = try #require(Nanoseconds(text: text))
            // A day may have 25 hours where clocks are set back.
            #expect(span > .zero && span <= .seconds(25 * 3_600))
            // Minutes are whole wherever it is.
            #expect((now.milliseconds + span.milliseconds) % 60_000 == 0)
        }
    }

    @Test(arguments: ["soon", "24:00", "18:60", "18", "18:0:0", ":", "-1:00", "2026-12-24"])
    func `anything else is no time`(words: String) {
        #expect(EndTime.text(of: words, at: now) == nil)
    }
}
