// Do limits judge what a plugin measured, in its units, and say so where nothing was measured?

import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite struct CommandLimitTests {
    private func probe(
        _ output: String,
        _ limits: TestSetting,
        code: Int = 0
    ) async throws -> Outcome {
        try await Prober().probe(
            "command",
            [
                "command": [
                    "/bin/sh", "-c", .text("printf '%s' \"$0\"; exit \(code)"), .text(output),
                ],
                "limits": limits,
            ],
            at: .host("192.0.2.1", port: 1)
        )
    }

    private static let rows: [(String, TestSetting, Int, Outcome.Verdict, String)] = [
        // The units of both sides, of one family.
        ("A|t=150ms", ["t": ["warn": "0.1s"]], 0, .warn, "t is 150ms: A"),
        ("A|t=0.05s", ["t": ["warn": "100ms"]], 0, .pass, "A"),
        ("A|s=2GB", ["s": ["fail": "1500MB"]], 0, .fail, "s is 2GB: A"),
        // Without a unit the number counts.
        ("A|t=150ms", ["t": ["warn": "0.1"]], 0, .warn, "t is 150ms: A"),
        ("A|t=1,5s", ["t": ["fail": "1.4"]], 0, .fail, "t is 1.5s: A"),
        // A limit that nothing can be held against.
        (
            "A|time=1s b=2", ["tiem": ["warn": "1"]], 0, .neutral,
            "limit of 'tiem': expected such a value, saw 'time', 'b': A"
        ),
        (
            "A", ["t": ["fail": "1"]], 0, .neutral,
            "limit of 't': expected such a value, saw none: A"
        ),
        ("A|t=U", ["t": ["fail": "1"]], 0, .neutral, "limit of 't': expected a value, saw U: A"),
        (
            "A|t=5%", ["t": ["fail": "1s"]], 0, .neutral,
            "limit of 't': expected a value in s, saw 5%: A"
        ),
        // It takes nothing from a worse finding.
        ("A|b=5", ["t": ["fail": "1"], "b": ["fail": "1"]], 0, .fail, "b is 5: A"),
        (
            "A|b=5", ["t": ["fail": "1"]], 1, .warn,
            "limit of 't': expected such a value, saw 'b': A"
        ),
        ("A|b=5", ["t": ["fail": "1"]], 2, .fail, "A"),
    ]

    @Test(arguments: rows.indices)
    func `a limit is held against the value of its label`(row: Int) async throws {
        let (output, limits, code, verdict, message) = Self.rows[row]
        let outcome = try await probe(output, limits, code: code)
        #expect(outcome.verdict == verdict, "\(outcome)")
        #expect(outcome.message == message)
    }

    @Test func `limits of the settings are shown in place of the plugin's`() async throws {
        let outcome = try await probe("A|t=1;5;6;0;9", ["t": ["warn": "2:7"]])
        let scale = outcome.measurements.first?.scale
        #expect(outcome.verdict == .warn)
        #expect([scale?.warn, scale?.fail, scale?.min, scale?.max] == ["2:7", "6", "0", "9"])
    }

    @Test func `a value behind sixty thousand bytes is still found`() async throws {
        let outcome = try await Prober().probe(
            "command",
            [
                "command": [
                    "/bin/sh", "-c", "echo A; yes long | head -c 60000; echo '|' used=95%",
                ],
                "limits": ["used": ["fail": 90]],
            ],
            at: .host("192.0.2.1", port: 1)
        )
        #expect(outcome.verdict == .fail, "\(outcome)")
    }
}
