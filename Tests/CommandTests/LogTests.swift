// What does the log say, in both its shapes, and what of a log that nobody reads?

import Glibc
import Settings
import TestSupport
import Testing
import Vocabulary

@testable import muster

private func entry(
    _ level: Journal.Level,
    _ text: String,
    _ fields: [Journal.Field] = [],
    at milliseconds: Int64 = 0
) -> LogBacklog.Entry {
    LogBacklog.Entry(
        time: WallTime(milliseconds: milliseconds),
        line: Journal.Line(level, text, fields)
    )
}

@Suite struct LogFormatTests {
    private let transition = entry(
        .warning,
        "web/a is DOWN, reason: L7STS/503 (http), after 3s up",
        [
            .event("transition"), .upstream("web"), .peer("a"), .monitor("http"), .status("down"),
            .from("up"), .layer("L7"), .code(503), .agent("n2"), .reason(""),
        ]
    )

    @Test func `text is the sentence, and what it leaves out`() {
        #expect(
            LogFormat.text(of: transition, as: .text)
                == "1970-01-01T00:00:00.000Z warning web/a is DOWN, reason: L7STS/503 (http), "
                + "after 3s up agent=n2"
        )
    }

    @Test func `the agent that writes need not name itself to people`() {
        #expect(LogFormat.text(of: transition, as: .text, own: "n2").hasSuffix("after 3s up"))
        #expect(LogFormat.text(of: transition, as: .text, own: "n1").hasSuffix("up agent=n2"))
        #expect(LogFormat.text(of: transition, as: .json, own: "n2").contains(#""agent":"n2""#))
    }

    @Test func `JSON has every field, numbers as numbers`() {
        #expect(
            LogFormat.text(of: transition, as: .json)
                == #"{"time":"1970-01-01T00:00:00.000Z","level":"warning","message":"web/a is DOWN, "#
                + #"reason: L7STS/503 (http), after 3s up","event":"transition","upstream":"web","#
                + #""peer":"a","monitor":"http","status":"down","from":"up","layer":"L7","#
                + #""code":503,"agent":"n2"}"#
        )
    }

    @Test func `a word inside of a longer one is not said`() {
        let line = entry(.info, "webshop is up", [.agent("web"), .by("UP")])
        #expect(LogFormat.text(of: line, as: .text).hasSuffix("info webshop is up agent=web"))
    }

    @Test func `what others wrote steers no terminal and begins no line`() {
        let line = entry(.info, "a\nb\u{1b}[2Jc\u{202e}d\u{9b}", [.by("x y\r")])
        #expect(
            LogFormat.text(of: line, as: .text).hasSuffix(
                #" info a\nb\u001b[2Jc\u202ed\u009b by="x y\r""#
            )
        )
        #expect(!LogFormat.text(of: line, as: .json).contains("\n"))
    }
}

@Suite struct LogBacklogTests {
    private func texts(_ entries: [LogBacklog.Entry]) -> [String] { entries.map(\.line.text) }

    @Test func `lines come out as they went in`() {
        var backlog = LogBacklog()
        #expect(backlog.isEmpty)
        for number in 0..<5 { backlog.add(entry(.info, "\(number)")) }
        #expect(texts(backlog.take(bytesMax: 130)) == ["0", "1"])
        #expect(texts(backlog.take(bytesMax: 1)) == ["2"])
        #expect(texts(backlog.take(bytesMax: 10_000)) == ["3", "4"])
        #expect(backlog.isEmpty)
        #expect(backlog.take(bytesMax: 10_000).isEmpty)
    }

    @Test func `what comes last is left out, and one line tells of it`() {
        var backlog = LogBacklog(linesMax: 8, bytesMax: 10_000)
        for number in 0..<10 { backlog.add(entry(.info, "\(number)", at: Int64(number))) }
        #expect(backlog.dropped == 4)
        // A quarter is kept for what is urgent.
        for number in 0..<3 { backlog.add(entry(.error, "e\(number)", at: 20)) }
        #expect(backlog.dropped == 5)
        #expect(texts(backlog.take(bytesMax: 70)) == ["0"])
        backlog.add(entry(.info, "between", at: 21))
        #expect(backlog.dropped == 6)
        #expect(texts(backlog.take(bytesMax: 65 * 4)) == ["1", "2", "3", "4"])
        // Half is free again: first the line about those lost, then what comes.
        backlog.add(entry(.info, "after", at: 30))
        let rest = backlog.take(bytesMax: 10_000)
        #expect(
            texts(rest) == [
                "5", "e0", "e1",
                "6 lines were dropped while nobody read the log, from 1970-01-01T00:00:00.006Z to "
                    + "1970-01-01T00:00:00.021Z",
                "after",
            ]
        )
        #expect(rest[3].line.level == .warning)
        #expect(rest[3].line.fields.contains(.count(6)))
        #expect(backlog.isEmpty)
    }

    @Test func `a reader that comes back hears of what it lost at once`() {
        var backlog = LogBacklog(linesMax: 4, bytesMax: 10_000)
        backlog.isInTrouble("No space left on device")
        for number in 0..<4 { backlog.add(entry(.info, "\(number)")) }
        #expect(backlog.dropped == 1)
        #expect(texts(backlog.take(bytesMax: 10_000)) == ["0", "1", "2"])
        backlog.isOutOfTrouble()
        #expect(!backlog.isEmpty)
        #expect(
            texts(backlog.take(bytesMax: 10_000)) == [
                "1 line was dropped while the log could not be written (No space left on device), "
                    + "from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.000Z"
            ]
        )
        #expect(backlog.isEmpty)
    }

    @Test func `bytes count as lines do`() {
        var backlog = LogBacklog(linesMax: 1_000, bytesMax: 4_000)
        for _ in 0..<100 { backlog.add(entry(.info, String(repeating: "x", count: 936))) }
        #expect(backlog.dropped == 97)
    }
}

@Suite struct LogWriterTests {
    @Test func `nobody waits for a pipe that nobody reads, and nothing is lost in silence`()
        async throws
    {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let reader = ends[0]
        let writer = LogWriter(descriptor: ends[1], format: .text)
        let filling = String(repeating: "x", count: 1_000)
        // Far more than pipe and backlog hold. It would hang here if it waited.
        for number in 0..<20_000 {
            writer.add(Journal.Line(.info, "line \(number) \(filling)"))
        }
        #expect(writer.dropped > 0)
        var tail = ""
        let isTold = await eventually(within: .seconds(60)) {
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            let count = read(reader, &buffer, buffer.count)
            let text = tail + String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
            tail = String(text.suffix(200))
            return text.contains(" lines were dropped while nobody read the log")
        }
        #expect(isTold)
    }

    @Test func `a reader that is gone ends nothing`() async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        let writer = LogWriter(descriptor: ends[1], format: .text)
        for number in 0..<20_000 { writer.add(Journal.Line(.info, "line \(number)")) }
        #expect(writer.dropped > 0)
        writer.flush(within: .milliseconds(10))
    }

    @Test func `the end waits for no reader that is gone`() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        let writer = LogWriter(descriptor: ends[1], format: .text)
        writer.add(Journal.Line(.info, "the end"))
        writer.flush(within: .seconds(86_400))
    }

    @Test func `a full disk costs lines and nothing else`() throws {
        let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
        try #require(full >= 0)
        let writer = LogWriter(descriptor: full, format: .json)
        for number in 0..<20_000 { writer.add(Journal.Line(.warning, "line \(number)")) }
        writer.flush(within: .milliseconds(10))
        #expect(writer.dropped > 0)
    }
}
