// Does a program's word count, and does nothing of it stay behind?

import EventLoop
import Foundation
import Glibc
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite struct CommandCheckTests {
    private static let nobody = Address.host("192.0.2.1", port: 8_080)

    private static let exits: [(Int, Outcome.Verdict, Reason)] = [
        (0, .pass, .processOK), (1, .warn, .processOK), (2, .fail, .processError),
        (3, .neutral, .processError), (4, .fail, .processError), (127, .fail, .processError),
    ]

    @Test(arguments: exits)
    func `an exit code is a verdict`(
        code: Int,
        verdict: Outcome.Verdict,
        reason: Reason
    ) async throws {
        let outcome = try await Prober().probe(
            "command",
            [
                "command": [
                    "/bin/sh", "-c", .text("echo 'DISK: fine | used=7%;80;90'; exit \(code)"),
                ]
            ],
            at: Self.nobody
        )
        #expect(outcome.verdict == verdict)
        #expect(outcome.reason == reason)
        #expect(outcome.code == code)
        #expect(outcome.message == "DISK: fine")
        var scale = Measurement.Scale()
        (scale.warn, scale.fail) = ("80", "90")
        let used = Measurement(label: "used", value: 7, unit: "%", scale: scale)
        #expect(outcome.measurements == [used])
    }

    @Test func `other exit codes may mean other things`() async throws {
        let prober = try await Prober()
        for (code, verdict) in [(0, Outcome.Verdict.fail), (1, .pass), (7, .neutral), (9, .fail)] {
            let outcome = try await prober.probe(
                "command",
                [
                    "command": ["/bin/sh", "-c", .text("exit \(code)")],
                    "exit": ["pass": 1, "neutral": [7, 8]],
                ],
                at: Self.nobody
            )
            #expect(outcome.verdict == verdict)
            #expect(outcome.message == "exit code \(code)")
        }
    }

    @Test func `the target stands in arguments and environment`() async throws {
        let outcome = try await Prober().probe(
            "command",
            [
                "command":
                    "/bin/sh -c 'echo \"$0 $1 $MUSTER_PEER $COLOUR\"' {host} '{port}x{timeout}'",
                "environment": ["COLOUR": "green"],
            ],
            at: Self.nobody,
            timeout: .seconds(5)
        )
        #expect(outcome.message == "192.0.2.1 8080x5 192.0.2.1:8080 green", "\(outcome)")
    }

    @Test func `measured values are held against limits`() async throws {
        let prober = try await Prober()
        for (value, verdict) in [(3, Outcome.Verdict.pass), (6, .warn), (11, .fail)] {
            let outcome = try await prober.probe(
                "command",
                [
                    "command": ["/bin/echo", .text("load | load1=\(value)")],
                    "limits": ["load1": ["warn": 5, "fail": 10]],
                ],
                at: Self.nobody
            )
            #expect(outcome.verdict == verdict, "\(outcome)")
        }
    }

    @Test func `what a program says on standard error is kept where it says nothing else`()
        async throws
    {
        let outcome = try await Prober().probe(
            "command",
            ["command": ["/bin/sh", "-c", "echo no such disk >&2; exit 3"]],
            at: Self.nobody
        )
        #expect(outcome.verdict == .neutral)
        #expect(outcome.message == "no such disk")
    }

    @Test(arguments: [
        ("/no/such/program", "start /no/such/program: No such file or directory"),
        ("/etc/passwd", "start /etc/passwd: Permission denied"), ("/etc", "start /etc: Permission"),
        ("check_that_nobody_has", "start check_that_nobody_has: No such file or directory"),
    ])
    func `a program that cannot be started says nothing of the peer`(
        program: String,
        message: String
    ) async throws {
        let outcome = try await Prober().probe(
            "command",
            ["command": .text(program)],
            at: Self.nobody
        )
        #expect(outcome.verdict == .neutral && outcome.reason == .processError)
        #expect(outcome.message.hasPrefix(message), "\(outcome)")
    }

    @Test func `a script without its interpreter is not taken for a missing script`() async throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("check")
        try "#!/no/such/shell\n".write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o755)
        let prober = try await Prober()
        let outcome = try await prober.probe("command", ["command": .text(path)], at: Self.nobody)
        #expect(outcome.verdict == .neutral)
        #expect(outcome.message.hasSuffix("the interpreter that its first line names"))
        // Without a first line that names one the kernel does not run it.
        try "echo fine\n".write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o755)
        let other = try await prober.probe("command", ["command": .text(path)], at: Self.nobody)
        #expect(other.verdict == .neutral)
        #expect(other.message.contains("begins with #!"), "\(other)")
    }

    private func warnings(_ kind: String, _ settings: TestSetting) throws -> [String] {
        let check = try CheckRegistry.builtin.make(kind, from: settings.options(path: kind))
        return check.warnings(on: Schedule(interval: .seconds(2), timeout: .seconds(1))).map(
            \.message
        )
    }

    @Test(arguments: ["command", "service"])
    func `a program that is not there is warned of`(kind: String) throws {
        #expect(
            try warnings(kind, [kind: "/no/such/program -x"]) == [
                "\(kind).\(kind): /no/such/program: No such file or directory; until it can be run, "
                    + "this check says nothing of a peer"
            ]
        )
        #expect(try warnings(kind, [kind: "/etc"]).first?.contains("no regular file") == true)
        #expect(try warnings(kind, [kind: "/bin/sh -c true"]) == [])
        #expect(try warnings(kind, [kind: "sh -c true"]) == [])
        #expect(try warnings("command", ["command": "/opt/{upstream}/check"]) == [])
    }

    @Test func `codes of trouble that pass are warned of`() throws {
        let settings: TestSetting = ["command": "/bin/true", "exit": ["pass": [0, 2]]]
        #expect(
            try warnings("command", settings)
                == ["command.exit.pass: 2 passes here and is 'critical' to a plugin"]
        )
        let other: TestSetting = ["command": "/bin/true", "exit": ["pass": 1, "fail": [0, 2]]]
        #expect(try warnings("command", other) == [])
    }

    @Test func `at the deadline the whole group is killed and reaped`() async throws {
        let folder = try TemporaryDirectory()
        let prober = try await Prober()
        // A child that ignores SIGTERM and a grandchild in the background, both writing their pids.
        let script = """
            trap '' TERM
            sh -c 'trap "" TERM; echo $$ >> \(folder.path("pids")); while :; do sleep 60; done' &
            echo $$ >> \(folder.path("pids"))
            echo begun
            while :; do sleep 60; done
            """
        let outcome = try await prober.probe(
            "command",
            ["command": ["/bin/sh", "-c", .text(script)]],
            at: Self.nobody,
            timeout: .seconds(5)
        )
        #expect(outcome.verdict == .fail && outcome.reason == .processTimeout)
        #expect(outcome.message == "expected an end within 5s, saw 'begun'")
        let text = try String(contentsOfFile: folder.path("pids"), encoding: .utf8)
        let pids = text.split(separator: "\n").compactMap { pid_t($0) }
        #expect(pids.count == 2)
        let areGone = await eventually { pids.allSatisfy { kill($0, 0) != 0 } }
        #expect(areGone)
        let isClean = await eventually { await prober.leftovers().descriptors == 0 }
        #expect(isClean)
        #expect(await prober.leftovers().timers == 0)
    }

    @Test func `a background child does not hold up the verdict or stay`() async throws {
        let folder = try TemporaryDirectory()
        let script = "sleep 60 & echo $! > \(folder.path("pid")); echo done"
        let outcome = try await Prober().probe(
            "command",
            ["command": ["/bin/sh", "-c", .text(script)]],
            at: Self.nobody
        )
        #expect(outcome.verdict == .pass && outcome.message == "done")
        let text = try String(contentsOfFile: folder.path("pid"), encoding: .utf8)
        let pid = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        let isGone = await eventually { kill(pid, 0) != 0 }
        #expect(isGone)
    }

    @Test func `output without end is cut`() async throws {
        let outcome = try await Prober().probe(
            "command",
            ["command": ["/bin/sh", "-c", "yes abcdefgh"]],
            at: Self.nobody,
            timeout: .milliseconds(500)
        )
        // Only the deadline ends it.
        #expect(outcome.verdict == .fail && outcome.reason == .processTimeout, "\(outcome)")
        #expect(outcome.message == "expected an end within 500ms, saw 'abcdefgh'")
    }

    private static let plugins: [(String, [TestSetting], Outcome.Verdict)] = [
        ("check_dummy", [0, "well"], .pass), ("check_dummy", [2, "ill"], .fail),
        ("check_load", ["-w", "9999,9999,9999", "-c", "9999,9999,9999"], .pass),
        ("check_disk", ["-w", "0%", "-c", "0%", "-p", "/"], .pass),
        ("check_tcp", ["-H", "{host}", "-p", "{port}"], .pass),
    ]

    @Test(
        .enabled(
            if: ChildProcess.find("/usr/lib/nagios/plugins/check_dummy") != nil,
            "monitoring-plugins are not installed"
        ),
        arguments: plugins.indices
    )
    func `monitoring plugins run unchanged`(row: Int) async throws {
        let (program, arguments, verdict) = Self.plugins[row]
        let server = try ScriptedServer(.stall)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "command",
            ["command": .list([.text(program)] + arguments)],
            at: server.address
        )
        #expect(outcome.verdict == verdict, "\(outcome)")
        if program != "check_dummy" { #expect(!outcome.measurements.isEmpty, "\(outcome)") }
    }

    private static let wrongSettings: [(TestSetting, String)] = [
        ([:], "command: expected 'command', saw no such key"),
        (["command": ""], "command.command: expected a"),
        (["command": "a 'b"], "command.command: expected a closing quote"),
        (
            ["command": "a", "exit": ["pass": 256]],
            "command.exit.pass: expected a whole number from 0"
        ),
        (
            ["command": "a", "exit": ["fail": 1]],
            "command.exit: expected at least one code that passes"
        ),
        (
            ["command": "a", "limits": ["x": ["warn": "2:1"]]],
            "command.limits.x.warn: expected a range"
        ),
        (["command": "a", "limits": ["x": [:]]], "command.limits.x: expected warn or fail"),
        (
            ["command": "a", "limits": ["x": ["warn": "0.5", "fail": "0.1"]]],
            "command.limits.x.warn: expected a range that alerts where fail of 0.1 does not, saw 0.5: "
                + "it would fail before it warned"
        ),
        (
            ["command": "a", "limits": ["x": ["warn": "@10:20", "fail": "@5:25"]]],
            "it would fail before it warned"
        ),
        (
            ["command": "a", "limits": ["x": ["warn": "@10:20", "fail": "5"]]],
            "it would fail before it warned"
        ),
        (
            ["command": "a", "limits": ["x": ["fail": "~:"]]],
            "command.limits.x.fail: expected a range that some value is outside of"
        ),
        (
            ["command": "a", "limits": ["x": ["fail": "@~:"]]],
            "command.limits.x.fail: expected a range that some value is fine with"
        ),
    ]

    @Test(arguments: wrongSettings.indices)
    func `a wrong setting is refused with what was expected`(row: Int) {
        let (settings, words) = Self.wrongSettings[row]
        let message = complaint("command", settings) ?? "nothing"
        #expect(message.contains(words), "\(message)")
    }
}

@Suite struct NagiosTests {
    private static let ranges: [(String, alerts: [Double], fine: [Double])] = [
        ("10", [-1, 10.5], [0, 5, 10]), ("10:", [9.9], [10, 1e9]), ("~:10", [10.1], [-1e9, 10]),
        ("10:20", [9, 21], [10, 15, 20]), ("@10:20", [10, 15, 20], [9, 21]),
        ("@5", [0, 5], [6, -1]),
        ("-5:5", [-6, 6], [-5, 0, 5]), ("1:12%", [0, 13], [1, 12]), (":4", [-1, 5], [0, 4]),
    ]

    @Test(arguments: ranges.indices)
    func `a range alerts where the guidelines say`(row: Int) throws {
        let (text, alerts, fine) = Self.ranges[row]
        let range = try #require(NagiosRange(text))
        #expect(alerts.allSatisfy { range.alerts(on: $0) })
        #expect(fine.allSatisfy { !range.alerts(on: $0) })
    }

    @Test(arguments: ["2:1", "", "@", "x", "1:x", "~", "nan", "inf"])
    func `what is no range is refused`(text: String) { #expect(NagiosRange(text) == nil) }

    private static let outputs: [(String, String, [(String, Double?, String)])] = [
        ("OK", "OK", []),
        (
            "OK - all | time=0.1s;1;2;0 size=12B", "OK - all",
            [("time", 0.1, "s"), ("size", 12, "B")]
        ),
        ("A|'a b'=1 'it''s'=2%;;", "A", [("a b", 1, ""), ("it's", 2, "%")]),
        ("A | x=U y=-3.5c", "A", [("x", nil, ""), ("y", -3.5, "c")]),
        ("A | a=1\nlong text\nmore | b=2\nc=3", "A", [("a", 1, ""), ("b", 2, ""), ("c", 3, "")]),
        ("A | rubbish a=1 =2 b= c=x d=4", "A", [("a", 1, ""), ("d", 4, "")]),
        ("A | 'open=1", "A", []),
        ("", "", []),
        // As plugins in the field write it.
        (
            "A | users=20, last=3, v=1,5s", "A",
            [("users", 20, ""), ("last", 3, ""), ("v", 1.5, "s")]
        ),
        ("A | 'CPU load' = 11.1%;10;20 next=2", "A", [("CPU load", 11.1, "%"), ("next", 2, "")]),
        ("A | 'a=b'=4 'c'=1", "A", [("a=b", 4, ""), ("c", 1, "")]),
        ("A | a=4x5 b=1,234,567 c=1.234,5 d=0x10 e=1'2 f=1", "A", [("f", 1, "")]),
        ("A | load=1 load=7 other=2", "A", [("load", 1, ""), ("other", 2, "")]),
        ("\n\n B late | a=1", "B late", [("a", 1, "")]), ("|a=1\nB", "B", [("a", 1, "")]),
        ("(&(a=1)(|(b=2)(c=3))) | t=5", "(&(a=1)(", [("t", 5, "")]),
    ]

    @Test(arguments: outputs.indices)
    func `performance data is found wherever a plugin puts it`(row: Int) {
        let (output, text, expected) = Self.outputs[row]
        let parsed = NagiosOutput(parsing: Array(output.utf8))
        #expect(parsed.text == text)
        #expect(parsed.items.map { $0.label } == expected.map { $0.0 })
        #expect(parsed.items.map { $0.value } == expected.map { $0.1 })
        #expect(parsed.items.map { $0.unit } == expected.map { $0.2 })
    }

    @Test func `thresholds and bounds of a plugin are kept as it wrote them`() {
        let line = "A | a=1s;@10:20;~:30;0;100 b=2;;;; c=3;x;5;y;U d=4;1:2%"
        let scales = NagiosOutput(parsing: Array(line.utf8)).measurements.map(\.scale)
        let words = scales.map { $0.map { [$0.warn, $0.fail, $0.min, $0.max] } }
        #expect(
            words == [
                ["@10:20", "~:30", "0", "100"], nil, ["", "5", "", ""], ["1:2%", "", "", ""],
            ]
        )
    }

    @Test func `a value that was cut off is none`() {
        let output = Array("A | a=1 b=2 c=123".utf8)
        #expect(NagiosOutput(parsing: output, isCut: true).items.map(\.label) == ["a", "b"])
        #expect(NagiosOutput(parsing: output).items.map(\.label) == ["a", "b", "c"])
    }

    @Test func `a plugin may end its lines as Windows does`() {
        let parsed = NagiosOutput(parsing: Array("OK - fine\r\nmore|a=1\r\nb=2\r\n".utf8))
        #expect(parsed.text == "OK - fine")
        #expect(parsed.items.map(\.label) == ["a", "b"])
    }

    @Test func `no output of any bytes breaks the reader`() {
        var random = SplitMix(seed: 3)
        let words = [
            "|", "'", "=", ";", " ", "\n", "1", "U", "%", "a", "@", ":", "~", "-", ".", "é", "\r\n",
        ]
        for _ in 0..<10_000 {
            var output: [UInt8] = []
            for _ in 0..<Int(random.next() % 24) {
                output += Array(words[Int(random.next() % UInt64(words.count))].utf8)
                if random.next() % 8 == 0 {
                    output.append(UInt8(truncatingIfNeeded: random.next()))
                }
            }
            let parsed = NagiosOutput(parsing: output)
            #expect(parsed.items.count <= NagiosOutput.itemsMax)
            for measurement in parsed.measurements { #expect(measurement.value.isFinite) }
        }
    }
}
