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

@Suite struct PeerAnswerTests {
    @Test func `what an order did to its upstream stands below the peer`() throws {
        let body = try JSON(
            parsing: #"{"status":"drain","weight":1,"configured_weight":1,"effective_weight":0,"#
                + #""reason":"","warning":"web has no other available peer: requests are answered 503"}"#
        )
        #expect(
            PeerOptions.lines(of: body, "web/a") == [
                "web/a is drain, weight 0/1",
                "warning: web has no other available peer: requests are answered 503",
            ]
        )
    }
}

@Suite struct PeerMistakeTests {
    @Test(arguments: [
        (["weight", "web", "10.0.0.1:8080"], "'web 10.0.0.1:8080'"),
        (["weight", "web", "5"], "'web 5'"), (["weight"], "nothing"),
    ])
    func `a weight that is missing is named`(words: [String], saw: String) {
        let error = #expect(throws: (any Error).self) { try Muster.parseAsRoot(["peer"] + words) }
        let text = error.map { Muster.fullMessage(for: $0) } ?? ""
        #expect(
            text.contains(
                "expected UPSTREAM PEER WEIGHT or UPSTREAM/PEER WEIGHT, WEIGHT being 0 to 256 or "
                    + "'default', saw \(saw)"
            )
        )
        #expect(text.contains("Usage: muster peer weight"))
    }

    @Test func `a revision is a number, in quotes or without`() throws {
        for word in ["42", "\"42\""] {
            _ = try Muster.parseAsRoot(["peer", "drain", "web/a", "--if-match", word])
        }
        let error = #expect(throws: (any Error).self) {
            try Muster.parseAsRoot(["peer", "weight", "web/a", "0", "--if-match", "W/\"42\""])
        }
        #expect(
            error.map { Muster.message(for: $0) }
                == "--if-match: expected a revision such as 4503599627370496, saw 'W/\"42\"'"
        )
    }

    @Test func `a mistake shows the usage of its command`() {
        let error = #expect(throws: (any Error).self) {
            try Muster.parseAsRoot(["peer", "drain", "web"])
        }
        #expect(error.map { Muster.fullMessage(for: $0) }?.contains("muster peer drain") == true)
    }

    @Test(arguments: [
        (
            ["peer", "drian", "web", "a"],
            "Error: muster peer: expected one of ready, drain, maint, weight, add, remove, saw 'drian'; did you "
                + "mean 'drain'?\nSee 'muster peer --help' for more information."
        ),
        (["peer", "drain", "web"], nil), (["peer"], nil), (["peer", "--help"], nil), ([], nil),
        (["status", "web"], nil), (["help", "peer"], nil), (["--version"], nil),
        (["demo-server", "x"], nil),
    ])
    func `a command that is none is told with the nearest`(words: [String], text: String?) {
        #expect(Muster.unknownCommand(in: words) == text)
    }

    @Test(arguments: [
        (["validate", "-c", "a", "--config=b"], "-c, --config"),
        (["peer", "drain", "web", "a", "--until", "5m", "--until", "6m"], "--until"),
        (["peer", "drain", "web", "a", "--until", "5m", "--reason", "--until"], nil),
        (["check", "http", "a", "-o", "path=/", "-o", "host=b"], nil),
        (["run", "-c", "a", "--", "-c"], nil),
    ])
    func `an option of which the parser would take the last is not given twice`(
        words: [String],
        option: String?
    ) {
        let text = option.map { "expected '\($0)' once, saw it twice; write the one that is meant" }
        #expect(Muster.doubled(in: words) == text)
    }

    @Test func `so is the first word`() {
        let text = Muster.unknownCommand(in: ["sttaus"]) ?? ""
        #expect(text.contains("saw 'sttaus'; did you mean 'status'?"))
    }
}

@Suite struct EndTimeTests {
    private let now = WallTime(milliseconds: 1_795_000_000_250)

    @Test func `a duration is taken as it is`() {
        #expect(EndTime.text(of: "10m", at: now) == "10m")
    }

    @Test func `a moment is told as it is`() {
        #expect(
            EndTime.text(of: "2033-05-18T03:33:20Z", at: now) == "2033-05-18T03:33:20.000Z"
        )
        #expect(EndTime.text(of: "\(now)", at: now) == nil)
    }

    @Test func `a time of day is the next one`() throws {
        for words in ["0:00", "06:30", "18:00", "23:59"] {
            let text = try #require(EndTime.text(of: words, at: now))
            let span = try #require(WallTime(rfc3339: text)) - now
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
