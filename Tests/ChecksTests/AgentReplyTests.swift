// Is an agent's line read as HAProxy 2.6 reads it? The rows were measured with a real one.

import Health
import Testing
import Vocabulary

@testable import Checks

@Suite struct AgentReplyTests {
    private struct Row {
        var line: String
        var health: AgentReply.Health?
        var admin: Hints.Admin?
        var percent: Int?
        var maxConnections: Int?

        init(
            _ line: String,
            _ health: AgentReply.Health? = nil,
            admin: Hints.Admin? = nil,
            percent: Int? = nil,
            maxConnections: Int? = nil
        ) {
            self.line = line
            self.health = health
            self.admin = admin
            self.percent = percent
            self.maxConnections = maxConnections
        }
    }

    private static let rows: [Row] = [
        Row("up", .up), Row("UP", .up), Row("MAXCONN:7 Up", .up, maxConnections: 7),
        Row("down # backup finished", .down),
        Row("down#backup"), Row("failed"), Row("bogus"), Row("50"), Row("up;50%"), Row("-5%"),
        Row("fail", .fail), Row("stopped # x\r", .stopped),
        Row("75%", percent: 75), Row("0%", percent: 0), Row("200%", percent: 200),
        Row("300%", percent: 300), Row("99999%", percent: 25_600),
        Row("99999999999999999999999%", percent: 25_600),
        Row("weight:50"), Row("weight:50%"),
        Row("drain", admin: .drain), Row("maint", admin: .maint),
        Row("maint,ready", admin: .ready), Row("ready,maint", admin: .maint),
        Row("up,down", .down), Row("down,up", .up),
        Row("up 50% maxconn:30", .up, percent: 50, maxConnections: 30),
        Row("drain,50%", admin: .drain, percent: 50),
        Row(
            "75%,maxconn:30,maint,down",
            .down,
            admin: .maint,
            percent: 75,
            maxConnections: 30
        ),
        Row("bogus up", .up), Row(""), Row(" ,\t, "),
        Row("7.5%"), Row("50%x"), Row("50% 7.5%"), Row("5%%"),
        Row("maxconn:0", maxConnections: AgentReply.noLimit), Row("maxconn:"), Row("maxconn:x"),
        Row("maxconn: 30"), Row("maxconn:30 maxconn:x"),
        Row("up # down 50% maint", .up), Row("up #", .up), Row("# up"),
        Row("upward"), Row("u p"), Row("HTTP/1.1 200 OK"),
    ]

    @Test(arguments: rows.indices)
    func `every measured line has the measured effect`(index: Int) {
        let row = Self.rows[index]
        let line = AgentReply(parsing: row.line.utf8)
        #expect(line.health == row.health, "\(row.line)")
        #expect(
            line.hints
                == Hints(
                    weightPercent: row.percent,
                    maxConnections: row.maxConnections,
                    admin: row.admin
                ),
            "\(row.line)"
        )
    }

    private static let notes: [(String, Outcome.Verdict, String)] = [
        ("down # backup finished", .fail, "down (backup finished)"),
        ("down bogus # full", .fail, "down (full)"),
        ("stopped bogus", .fail, "stopped (unknown word 'bogus')"),
        ("bogus up", .pass, "up (unknown word 'bogus')"),
        ("up bogus # fine", .pass, "up (unknown word 'bogus')"),
        ("up # fine", .pass, "up (fine)"),
        ("bogus worse", .neutral, "unknown word 'bogus'"),
        ("7.5%", .neutral, "trailing garbage in weight '7.5%'"),
        ("75%", .neutral, ""),
    ]

    @Test(arguments: notes)
    func `the message is the health word and what there is to say of it`(
        line: String,
        verdict: Outcome.Verdict,
        message: String
    ) {
        let outcome = AgentReply(parsing: line.utf8).outcome
        #expect(outcome.verdict == verdict)
        #expect(outcome.message == message)
        #expect(outcome.isImmediate == (verdict == .fail))
    }

    @Test func `only the first line counts, and a NUL is no line end`() {
        #expect(AgentReply.length(in: Array("up\n50%\n".utf8)) == 2)
        #expect(AgentReply.length(in: Array("up\r\n".utf8)) == 2)
        #expect(AgentReply.length(in: Array("\n".utf8)) == 0)
        #expect(AgentReply.length(in: Array("up".utf8)) == nil)
        #expect(AgentReply.length(in: Array("up\0\n".utf8)) == nil)
    }

    @Test func `no line of any bytes breaks the reader`() {
        var random = Dice(seed: 42)
        let words = [
            "up", "DOWN", "#", "%", "50%", "maxconn:", "9", ",", " ", "\t", "\0", "é", "maint",
        ]
        for _ in 0..<10_000 {
            var line: [UInt8] = []
            for _ in 0..<Int(random.next() % 12) {
                if random.next() % 4 == 0 {
                    line.append(UInt8(truncatingIfNeeded: random.next()))
                } else {
                    line += Array(words[Int(random.next() % UInt64(words.count))].utf8)
                }
            }
            let outcome = AgentReply(parsing: line).outcome
            #expect(outcome.message.utf8.count <= Outcome.messageBytesMax)
            if let percent = outcome.hints.weightPercent { #expect((0...25_600).contains(percent)) }
        }
    }
}
