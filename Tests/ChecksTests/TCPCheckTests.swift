// Does a TCP check connect, converse, and say where a conversation went wrong?

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct TCPCheckTests {
    @Test func `accepting a connection is enough`() async throws {
        let server = try ScriptedServer(.stall)
        defer { server.stop() }
        let outcome = try await Prober().probe("tcp", at: server.address)
        #expect(outcome.verdict == .pass)
        #expect(outcome.reason == .layer4OK)
        #expect(outcome.phases.connect != nil)
    }

    @Test func `steps are played in order`() async throws {
        let server = try ScriptedServer(
            .pieces(["220 ma", "il ready\r\n"], everyMilliseconds: 5),
            .expect("EHLO probe\r\n"),
            .send("250-mail\r\n250 HELP\r\n"),
            .expect("QUIT\r\n"),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "tcp",
            [
                "steps": [
                    ["expect-pattern": "^220 "], ["send": "EHLO probe\\r\\n"],
                    ["expect": "250 HELP\\r\\n"], ["send-hex": "51 55 4954 0d0a"],
                ]
            ],
            at: server.address
        )
        #expect(outcome.verdict == .pass, "\(outcome)")
        #expect(outcome.reason == .layer7OK)
    }

    @Test func `an expectation looks at what follows the one before`() async throws {
        let server = try ScriptedServer(.send("one"), .close)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "tcp",
            ["steps": [["expect": "one"], ["expect": "one"]]],
            at: server.address
        )
        #expect(outcome.reason == .layer7Response)
        #expect(outcome.message == "expected 'one', saw nothing and the end")
    }

    private static let wrongAnswers: [([ScriptedServer.Step], Reason, String)] = [
        (
            [.send("-ERR\r\n"), .stall], Reason.layer7Timeout,
            "expected '+OK' within 5s, saw '-ERR\\r\\n'"
        ),
        (
            [.expect("hi"), .send("-ERR\r\n"), .close], .layer7Response,
            "expected '+OK', saw '-ERR\\r\\n' and the end"
        ),
        (
            [.expect("hi"), .reset], .layer7Response,
            "expected '+OK', saw nothing and Connection reset by peer"
        ),
        (
            [.endless([UInt8](repeating: 0x2E, count: 1_024), everyMilliseconds: 0)],
            .layer7Response, "expected '+OK' in 65536 bytes, saw '......"
        ),
    ]

    @Test(arguments: wrongAnswers)
    func `a wrong answer is shown beside the right one`(
        script: [ScriptedServer.Step],
        reason: Reason,
        message: String
    ) async throws {
        let server = try ScriptedServer([script])
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "tcp",
            ["send": "hi", "expect": "+OK"],
            at: server.address,
            timeout: patience(for: reason, afterBytes: script.speaks)
        )
        #expect(outcome.verdict == .fail)
        #expect(outcome.reason == reason)
        #expect(outcome.message.hasPrefix(message), "\(outcome.message)")
    }

    @Test func `the PROXY header goes first`() async throws {
        let prober = try await Prober()
        let first = try ScriptedServer(.expect("\r\n"), .expect("PING"), .send("PONG"), .stall)
        defer { first.stop() }
        let steps: TestSetting = ["proxy-protocol": "v1", "send": "PING", "expect": "PONG"]
        let outcome = try await prober.probe("tcp", steps, at: first.address)
        #expect(outcome.verdict == .pass)
        let line = try #require(first.receivedText.first)
        let words = line.split(separator: " ")
        #expect(words.count == 6 && line.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 "))
        #expect(line.hasSuffix(" \(first.port)\r\nPING"))

        let second = try ScriptedServer(.expect("QUIT"), .stall)
        defer { second.stop() }
        _ = try await prober.probe(
            "tcp",
            ["proxy-protocol": "v2", "send": "QUIT"],
            at: second.address
        )
        let arrived = await eventually { second.received.first?.count == 20 }
        #expect(arrived)
        #expect(
            second.received.first?.prefix(16) == [
                0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
                0x20, 0x00, 0x00, 0x00,
            ]
        )
    }

    @Test func `port and address take the probe elsewhere`() async throws {
        let server = try ScriptedServer(.stall)
        defer { server.stop() }
        let prober = try await Prober()
        let nobody = Address.host("192.0.2.1", port: try freePort())
        let elsewhere: [TestSetting] = [
            ["address": "127.0.0.1", "port": .text(server.port)],
            ["address": .text("127.0.0.1:\(server.port)")],
        ]
        for settings in elsewhere {
            let outcome = try await prober.probe(
                "tcp",
                settings,
                at: nobody
            )
            #expect(outcome.reason == .layer4OK, "\(outcome)")
        }
    }

    private static let refusals: [([ScriptedServer.Step], TestSetting, Int?, String)] = [
        (
            [.send("554 no service\r\nmore"), .stall], ["reject-pattern": "^[45][0-9]{2}"], 554,
            "expected '220 ', saw '554 no service'"
        ),
        (
            [.pieces(["220-mx\r\n42", "1 too busy\r\n"], everyMilliseconds: 5), .stall],
            ["reject-pattern": "^4[0-9][0-9] "], 421, "expected '220 ', saw '421 too busy'"
        ),
        (
            [.send("-ERR no\r\n"), .stall], ["reject": "-ERR"], nil,
            "expected '220 ', saw '-ERR no'"
        ),
        (
            [.sendBytes([0, 255]), .stall], ["reject-hex": "00 ff"], nil,
            "expected '220 ', saw '\\x00\\xff'"
        ),
    ]

    @Test(arguments: refusals.indices)
    func `a no is believed at once`(row: Int) async throws {
        let (script, rejection, code, message) = Self.refusals[row]
        let server = try ScriptedServer([script])
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "tcp",
            ["steps": [rejection, ["expect": "220 "]]],
            at: server.address
        )
        #expect(outcome.verdict == .fail && outcome.reason == .layer7Status, "\(outcome)")
        #expect(outcome.code == code)
        #expect(outcome.message == message)
    }

    @Test func `a no counts until another one is named, and not where a yes comes first`()
        async throws
    {
        let server = try ScriptedServer(.send("yes no\nno\nwell"), .stall)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "tcp",
            [
                "steps": [
                    ["reject": "no"], ["expect": "yes"], ["reject-pattern": "^never"],
                    ["expect": "well"],
                ]
            ],
            at: server.address
        )
        #expect(outcome.verdict == .pass, "\(outcome)")
    }

    private static let wrongSteps: [(TestSetting, String)] = [
        (["send": "\\q"], "tcp.send: expected an escape"),
        (["expect-hex": "0g"], "tcp.expect-hex: expected pairs of hexadecimal digits"),
        (["steps": [["say": "x"]]], "tcp.steps[0] has no setting 'say'"),
        (["steps": [[:]]], "tcp.steps[0]: expected one of send, send-hex"),
        (
            ["send": "x", "steps": [["send": "y"]]],
            "tcp.steps: expected either steps, or send"
        ),
        (["proxy-protocol": "v3"], "tcp.proxy-protocol: expected one of v1, v2, saw 'v3'"),
        (
            ["expect-pattern": "(a)\\1"],
            "tcp.expect-pattern: expected an extended regular expression"
        ),
    ]

    @Test(arguments: wrongSteps)
    func `a wrong step is refused with what was expected`(settings: TestSetting, words: String) {
        let message = complaint("tcp", settings) ?? "nothing"
        #expect(message.contains(words), "\(message)")
    }
}
