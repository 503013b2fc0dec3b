// How is one outcome told? As a Nagios plugin's line, with the steps below it when explained, or as
// JSON.

import Checks
import Health
import Vocabulary

struct CheckReport {
    let kind: String
    let target: String
    let outcome: Outcome
    let steps: [Trace.Step]
    let isExplained: Bool

    var exitStatus: ExitStatus {
        switch outcome.verdict {
        case .pass: .fine
        case .warn: .warning
        case .fail: .failing
        case .neutral: .unknown
        }
    }

    private var word: String {
        switch outcome.verdict {
        case .pass: "OK"
        case .warn: "WARNING"
        case .fail: "CRITICAL"
        case .neutral: "UNKNOWN"
        }
    }

    // MARK: For people and for Nagios

    var text: String {
        isExplained ? ([line, ""] + phaseTable + [""] + stepTable).joined(separator: "\n") : line
    }

    /// `HTTP OK - L7OK/200 in 1.2ms | time=0.0012s;;;0`.
    private var line: String {
        let total = outcome.phases.total
        // A bar begins performance data wherever it stands.
        let told = summary.map { $0 == "|" ? "/" : $0 }
        return "\(kind.uppercased()) \(word) - \(String(told)) in \(Self.milliseconds(total)) | "
            + performance(total)
    }

    /// A pass with a code has said everything; the rest needs its message.
    private var summary: String {
        guard outcome.verdict == .pass, let code = outcome.code else { return outcome.summary }
        return "\(outcome.reason.rawValue)/\(code)"
    }

    private func performance(_ total: Nanoseconds) -> String {
        let own = "time=\(Self.fraction(total.count, per: 1_000_000_000, digits: 4))s;;;0"
        return ([own] + outcome.measurements.map(Self.performance)).joined(separator: " ")
    }

    private static func performance(_ measurement: Measurement) -> String {
        let needsQuotes = measurement.label.contains { " ='".contains($0) }
        let label = measurement.label.filter { $0 != "'" && $0 != "=" }
        let value = Int64(exactly: measurement.value).map { "\($0)" } ?? "\(measurement.value)"
        return (needsQuotes ? "'\(label)'" : label) + "=\(value)\(measurement.unit)"
    }

    private static func milliseconds(_ span: Nanoseconds) -> String {
        fraction(span.count, per: 1_000_000, digits: 1) + "ms"
    }

    /// A decimal fraction with so many digits after the point, rounded.
    private static func fraction(_ count: Int64, per unit: Int64, digits: Int) -> String {
        var scale: Int64 = 1
        for _ in 0..<digits { scale *= 10 }
        let step = unit / scale
        let rounded = (count + step / 2) / step
        let rest = String(rounded % scale)
        let zeros = String(repeating: "0", count: digits - rest.count)
        return "\(rounded / scale).\(zeros)\(rest)"
    }

    // MARK: Explained

    private var phases: [(name: String, span: Nanoseconds?)] {
        [
            ("resolve", outcome.phases.resolve), ("connect", outcome.phases.connect),
            ("tls", outcome.phases.tls), ("first byte", outcome.phases.firstByte),
            ("total", outcome.phases.total),
        ]
    }

    private var phaseTable: [String] {
        Table.lines(
            [["PHASE", "TIME"]]
                + phases.map { [$0.name, $0.span.map(Self.milliseconds) ?? "-"] }
        )
    }

    private var stepTable: [String] {
        Table.lines(
            [["AT", "STEP", "WHAT"]]
                + steps.map { [Self.milliseconds($0.at), $0.phase, $0.text] }
        )
    }

    // MARK: For programs

    var json: JSON {
        let phaseMembers = phases.map { phase in
            JSON.Member(
                phase.name.replacing(" ", with: "_") + "_ms",
                phase.span.map(Self.jsonMilliseconds) ?? .null
            )
        }
        return .object([
            JSON.Member("kind", JSON(kind)),
            JSON.Member("target", JSON(target)),
            JSON.Member("status", JSON(word)),
            JSON.Member("verdict", JSON(outcome.verdict.rawValue)),
            JSON.Member("layer", JSON(outcome.reason.layer)),
            JSON.Member("reason", JSON(outcome.reason.rawValue)),
            JSON.Member("code", JSON(outcome.code)),
            JSON.Member("message", JSON(outcome.message)),
            JSON.Member("phases", .object(phaseMembers)),
            JSON.Member("measurements", .array(outcome.measurements.map(Self.json))),
            JSON.Member("steps", .array(steps.map(Self.json))),
        ])
    }

    /// To the microsecond: more would be noise.
    private static func jsonMilliseconds(_ span: Nanoseconds) -> JSON {
        .number((Double(span.count) / 1_000).rounded() / 1_000)
    }

    private static func json(_ measurement: Measurement) -> JSON {
        .object([
            JSON.Member("label", JSON(measurement.label)),
            JSON.Member("value", .number(measurement.value)),
            JSON.Member("unit", JSON(measurement.unit)),
        ])
    }

    private static func json(_ step: Trace.Step) -> JSON {
        .object([
            JSON.Member("at_ms", jsonMilliseconds(step.at)),
            JSON.Member("phase", JSON(step.phase)),
            JSON.Member("text", JSON(step.text)),
        ])
    }
}
