// Does silence become a failure only when there was time to speak?

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct HeartbeatCheckTests {
    private static let place = Address.host("192.0.2.1", port: 80)
    private static func ago(_ seconds: Int64) -> Instant {
        Instant(nanoseconds: Clock.instant().nanoseconds - Nanoseconds.seconds(seconds).count)
    }

    private func probe(_ heartbeats: Heartbeats, _ within: String = "60s") async throws -> Outcome {
        try await Prober(heartbeats: heartbeats)
            .probe("heartbeat", ["within": .text(within)], at: Self.place)
    }

    @Test func `silence since the start is no news, later it fails`() async throws {
        let early = try await probe(Heartbeats(began: Self.ago(5)))
        #expect(early.verdict == .neutral && early.reason == .checked)
        let late = try await probe(Heartbeats(began: Self.ago(600)))
        #expect(late.verdict == .fail && late.reason == .layer7Timeout)
        #expect(late.message == "expected a sign of life within 1m, saw none")
    }

    private static let beats: [(Heartbeats.Sign.Status, Int64, Outcome.Verdict, Reason, String)] = [
        (.pass, 5, .pass, .layer7OK, "backlog 3"), (.warn, 1, .warn, .layer7OK, "backlog 3"),
        (.fail, 1, .fail, .layer7Status, "backlog 3"),
        (.pass, 600, .fail, .layer7Timeout, "expected a sign of life within 1m, saw the last "),
    ]

    @Test(arguments: beats.indices)
    func `a sign of life is good for a while and says what it says`(row: Int) async throws {
        let (status, age, verdict, reason, message) = Self.beats[row]
        let heartbeats = Heartbeats(began: Self.ago(1_000))
        heartbeats.record(
            .init(status: status, message: "backlog 3", at: Self.ago(age)),
            upstream: "web",
            peer: "192.0.2.1:80"
        )
        let outcome = try await probe(heartbeats)
        #expect(outcome.verdict == verdict)
        #expect(outcome.reason == reason)
        #expect(outcome.message.hasPrefix(message), "\(outcome.message)")
    }

    @Test func `of too many peers those that were silent for longest are forgotten`() {
        let heartbeats = Heartbeats(began: Self.ago(1_000))
        for peer in 0...Heartbeats.peersMax {
            let at = Instant(nanoseconds: Int64(peer) + 1)
            heartbeats.record(.init(at: at), upstream: "web", peer: "\(peer)")
        }
        #expect(heartbeats.last(upstream: "web", peer: "0") == nil)
        for peer in [Heartbeats.peersMax, Heartbeats.peersMax - 1, Heartbeats.peersMax / 2] {
            #expect(heartbeats.last(upstream: "web", peer: "\(peer)") != nil)
        }
    }

    @Test func `an older sign that is heard of later changes nothing`() async throws {
        let heartbeats = Heartbeats(began: Self.ago(1_000))
        for (status, age) in [(Heartbeats.Sign.Status.pass, Int64(5)), (.fail, 500)] {
            heartbeats.record(
                .init(status: status, at: Self.ago(age)),
                upstream: "web",
                peer: "192.0.2.1:80"
            )
        }
        #expect(try await probe(heartbeats).verdict == .pass)
    }

    @Test func `where none can be received a heartbeat says nothing`() async throws {
        let check = try CheckRegistry.builtin.make(
            "heartbeat",
            from: Options([], at: .init(file: "f", line: 1, column: 1), path: "heartbeat")
        )
        let prober = try await Prober()
        let (outcome, _) = await runProbe(
            check,
            Target(upstream: "web", peer: "a", address: Self.place),
            timeout: .seconds(1),
            loop: prober.loop,
            resolver: prober.resolver
        )
        #expect(outcome.verdict == .neutral)
    }
}

@Suite struct DialogueCheckTests {
    @Test func `a file holds the steps`() async throws {
        let folder = try TemporaryDirectory()
        let file = try folder.write(
            """
            # what a mail server says
            expect-pattern ^220

              send EHLO probe\\r\\n
            expect 250 HELP
            send-hex 51 55 49 54 0d 0a
            """,
            to: "smtp.dialogue"
        )
        let server = try ScriptedServer(
            .send("220 mail\r\n"),
            .expect("EHLO probe\r\n"),
            .send("250 HELP\r\n"),
            .expect("QUIT\r\n"),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "dialogue",
            ["file": .text(file)],
            at: server.address
        )
        #expect(outcome.verdict == .pass, "\(outcome)")
        #expect(outcome.reason == .layer7OK)
    }

    private static let files: [(String, String)] = [
        (
            "send a\nexpcet b\n",
            ":2:1: step: expected one of send, send-hex, expect, expect-hex, expect-pattern, reject, reject-hex, reject-pattern, saw 'expcet'; did you mean 'expect'?"
        ),
        ("\n  send \\q", ":2:3: send: expected an escape"),
        ("expect-pattern (", ":1:1: expect-pattern: expected an extended regular expression"),
        ("expect-hex zz", ":1:1: expect-hex: expected pairs of hexadecimal digits"),
        ("send", ":1:1: send: expected 1 to"),
        ("# nothing\n", "dialogue: expected 'file' or 'steps', saw no such key"),
    ]

    @Test(arguments: files.indices)
    func `a wrong line is shown where it stands`(row: Int) throws {
        let (text, words) = Self.files[row]
        let folder = try TemporaryDirectory()
        let file = try folder.write(text, to: "bad.dialogue")
        let message = complaint("dialogue", ["file": .text(file)]) ?? "nothing"
        #expect(message.contains(words), "\(message)")
    }

    @Test func `a file that is not there is named`() {
        #expect(
            complaint("dialogue", ["file": "/no/such.dialogue"])
                == "test.yaml:1:1: dialogue.file: /no/such.dialogue: No such file or directory"
        )
    }

    @Test func `a time below the interval is warned of`() throws {
        let settings: TestSetting = ["within": "1s"]
        let check = try CheckRegistry.builtin.make(
            "heartbeat",
            from: settings.options(path: "heartbeat")
        )
        let warnings = check.warnings(on: Schedule(interval: .seconds(30), timeout: .seconds(1)))
        #expect(
            warnings.first?.message.hasPrefix(
                "heartbeat.within: expected at least the interval of 30s, saw 1s"
            ) == true
        )
        #expect(check.warnings(on: Schedule(interval: .seconds(1), timeout: .seconds(1))) == [])
    }
}
