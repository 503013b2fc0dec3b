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

    @Test(arguments: [("1.5e-05", Outcome.Verdict.pass), ("1.5e+05", .fail), ("2e0", .fail)])
    func `a limit is held against the whole number`(
        value: String,
        verdict: Outcome.Verdict
    ) async throws {
        let outcome = try await Prober().probe(
            "command",
            [
                "command": ["/bin/echo", .text("ok|t=\(value)s")],
                "limits": ["t": ["fail": "1e0"]],
            ],
            at: .host("192.0.2.1", port: 1),
            timeout: .seconds(60)
        )
        #expect(outcome.verdict == verdict, "\(outcome)")
        #expect(outcome.measurements.map(\.unit) == ["s"])
    }
}
