// Does a reader get what the user wrote, and the user the nearest word where nobody reads it?

import TestSupport
import Testing
import Vocabulary

/// What a reader complains of, as the user reads it.
private func complaint(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return "\(error)"
    }
}

@Suite struct OptionsTests {
    @Test func `takes of every type`() throws {
        let written: TestSetting = [
            "text": "web", "flag": true, "count": 3, "after": "500ms", "part": "12.5%",
            "room": "64k", "many": ["a", "b"], "one": "a", "choice": "drain",
        ]
        var options = written.options(path: "peer")
        #expect(try options.string("text") == "web")
        #expect(try options.bool("flag") == true)
        #expect(try options.int("count", in: 1...5) == 3)
        #expect(try options.duration("after", in: .zero ... .seconds(1)) == .milliseconds(500))
        #expect(try options.share("part") == 0.125)
        #expect(try options.size("room", in: 0...100_000) == 65_536)
        #expect(try options.strings("many") == ["a", "b"])
        #expect(try options.strings("one") == ["a"])
        #expect(try options.word("choice", among: ["ready", "drain"]) == "drain")
        try options.finish()
    }

    @Test func `what was not written is nil, and not taken twice`() throws {
        var options = (["text": "web"] as TestSetting).options(path: "peer")
        #expect(try options.int("count", in: 1...5) == nil)
        #expect(options.take("text") != nil)
        #expect(options.take("text") == nil)
        #expect(options.keys.isEmpty)
        #expect(
            "\(options.missing("address"))"
                == "test.yaml:1:1: peer: expected 'address', saw no such key"
        )
    }

    @Test(arguments: [
        ("rise", "test.yaml:1:1: peer.rise: expected a whole number from 1 to 5, saw '9'"),
        ("fall", "test.yaml:2:1: peer.fall: expected a whole number from 1 to 5, saw '2.5'"),
        ("list", "test.yaml:3:1: peer.list: expected a whole number from 1 to 5, saw a list"),
        ("map", "test.yaml:4:1: peer.map: expected a whole number from 1 to 5, saw a map"),
        ("none", "test.yaml:5:1: peer.none: expected a whole number from 1 to 5, saw nothing"),
    ])
    func `a wrong value is named with its place`(key: String, text: String) {
        let written: TestSetting = [
            "rise": 9, "fall": "2.5", "list": ["1"], "map": ["a": 1], "none": "~",
        ]
        var options = written.options(path: "peer")
        #expect(complaint { _ = try options.int(key, in: 1...5) } == text)
    }

    @Test func `each type says what it expects`() {
        let written: TestSetting = [
            "x": "yes", "after": "5", "late": "2h", "part": "50", "much": "101%", "room": "1.5k",
            "big": "2m", "word": "drian", "texts": ["a": 1], "deep": ["a", ["b"]],
        ]
        var options = written.options(path: "p")
        #expect(
            complaint { _ = try options.bool("x") }
                == "test.yaml:1:1: p.x: expected true or false, saw 'yes'"
        )
        let second: ClosedRange<Nanoseconds> = .milliseconds(1) ... .seconds(60)
        #expect(
            complaint { _ = try options.duration("after", in: second) }
                == "test.yaml:2:1: p.after: expected a duration such as 500ms, 2s or 5m, saw '5'"
        )
        #expect(
            complaint { _ = try options.duration("late", in: second) }
                == "test.yaml:3:1: p.late: expected a duration from 1ms to 1m, saw '2h'"
        )
        for (line, key, saw) in [(4, "part", "50"), (5, "much", "101%")] {
            #expect(
                complaint { _ = try options.share(key) }
                    == "test.yaml:\(line):1: p.\(key): expected a share from 0% to 100%, "
                    + "saw '\(saw)'"
            )
        }
        #expect(
            complaint { _ = try options.size("room", in: 0...1_024) }
                == "test.yaml:6:1: p.room: expected a size such as 512, 64k or 1m, saw '1.5k'"
        )
        #expect(
            complaint { _ = try options.size("big", in: 0...1_024) }
                == "test.yaml:7:1: p.big: expected a size from 0 to 1024 bytes, saw '2m'"
        )
        #expect(
            complaint { _ = try options.word("word", among: ["ready", "drain"]) }
                == "test.yaml:8:1: p.word: expected one of ready, drain, saw 'drian'; "
                + "did you mean 'drain'?"
        )
        #expect(
            complaint { _ = try options.strings("texts") }
                == "test.yaml:9:1: p.texts: expected a text or a list of texts, saw a map"
        )
        #expect(
            complaint { _ = try options.strings("deep") }
                == "test.yaml:10:1: p.deep[1]: expected a text, saw a list"
        )
    }

    @Test(arguments: ["+5", "05", "-0", "0x3", "1_0", "1e0", "5.0", "\u{0663}"])
    func `a number is written as numbers are`(text: String) {
        let written = TestSetting.map([("n", .scalar(text, isQuoted: false))])
        var options = written.options(path: "p")
        #expect(complaint { _ = try options.int("n", in: -5...50) } != nil)
    }

    @Test func `a number with zeros in front is told why it is none`() {
        var options = TestSetting.map([("n", .scalar("010", isQuoted: false))]).options(path: "p")
        #expect(
            complaint { _ = try options.int("n", in: 1...50) }
                == "test.yaml:1:1: p.n: expected a whole number from 1 to 50, without a '+' and zeros in "
                + "front, saw '010'"
        )
    }

    @Test(arguments: [
        "+5%", "0x10%", "1e1%", ".5%", "5.%", "05%", "inf%", "nan%", " 5%", "5 %", "%",
    ])
    func `so is a share`(text: String) {
        var options = TestSetting.map([("n", .scalar(text, isQuoted: true))]).options(path: "p")
        #expect(complaint { _ = try options.share("n") } != nil)
    }

    @Test(arguments: [
        "+5s", " 5s", "5 s", "05s", ".5s", "5.s", "1.2.3s", "0x5s", "1e1s", "1_0s", "-5s", "s",
    ])
    func `so is a duration`(text: String) {
        #expect(Nanoseconds(text: text) == nil)
    }

    @Test(
        arguments: [("0s", 0), ("1.5s", 1_500), ("0.25s", 250), ("10ms", 10)] as [(String, Int64)]
    )
    func `these are durations`(text: String, milliseconds: Int64) {
        #expect(Nanoseconds(text: text) == .milliseconds(milliseconds))
    }

    @Test(arguments: ["+5k", "05k", "5.5k", "0x5", "1_0k", " 5k"])
    func `so is a size`(text: String) {
        var options = TestSetting.map([("n", .scalar(text, isQuoted: true))]).options(path: "p")
        #expect(complaint { _ = try options.size("n", in: 0...100_000) } != nil)
    }

    @Test func `a size that does not fit is refused, not wrapped`() {
        var options = (["room": "9223372036854775807g"] as TestSetting).options(path: "p")
        #expect(complaint { _ = try options.size("room", in: 0...Int.max) } != nil)
    }

    @Test func `a quoted word is a text, not a number or a truth`() throws {
        let quoted = TestSetting.map([
            ("count", .scalar("5", isQuoted: true)), ("flag", .scalar("true", isQuoted: true)),
            ("none", .scalar("~", isQuoted: true)),
        ])
        var options = quoted.options(path: "p")
        #expect(complaint { _ = try options.int("count", in: 1...9) } != nil)
        #expect(complaint { _ = try options.bool("flag") } != nil)
        #expect(try options.string("none") == "~")
    }

    @Test func `every stray key is named, with the nearest word that is known`() throws {
        let written: TestSetting = ["itnerval": "2s", "colour": "red", "rise": 2]
        var options = written.options(path: "http")
        _ = options.take("interval")
        _ = options.take("timeout")
        _ = options.take("rise")
        #expect(
            options.strays.map { "\($0)" } == [
                "test.yaml:1:1: http has no setting 'itnerval'; did you mean 'interval'?",
                "test.yaml:2:1: http has no setting 'colour'; expected one of interval, rise, "
                    + "timeout",
            ]
        )
        #expect(complaint { try options.finish() }?.contains("itnerval") == true)
        #expect(options.takeAll().map(\.key) == ["itnerval", "colour"])
        try options.finish()
    }

    @Test func `a map, or a key with nothing after it, and nothing else`() throws {
        let position = Position(file: "a.yaml", line: 3, column: 5)
        let nothing = Setting(.scalar("", isQuoted: false), at: position)
        #expect(try Options(nothing, path: "tcp").keys == [])
        let text = Setting(.scalar("x", isQuoted: false), at: position)
        #expect(
            complaint { _ = try Options(text, path: "tcp") }
                == "a.yaml:3:5: tcp: expected a map, saw 'x'"
        )
        #expect("\(Position(file: "a.yaml", line: 0, column: 0))" == "a.yaml")
    }
}

@Suite struct NearestTests {
    @Test(
        arguments: [
            ("itnerval", "interval"),  // neighbours swapped: one slip
            ("intervall", "interval"),
            ("intrval", "interval"),
            ("inteval", "interval"),
            ("timout", "timeout"),
            ("raise", "rise"),
            ("INTERVAL", nil),
            ("xy", nil),
            ("", nil),
            ("whatever", nil),
        ] as [(String, String?)]
    )
    func `the word that was meant`(written: String, meant: String?) {
        #expect(nearest(to: written, among: ["interval", "timeout", "rise", "fall"]) == meant)
    }

    @Test func `of equals the first, and of none nothing`() {
        #expect(nearest(to: "fail", among: ["fall", "mail"]) == "fall")
        #expect(nearest(to: "x", among: ["y"]) == "y")
        #expect(nearest(to: "x", among: []) == nil)
    }
}
