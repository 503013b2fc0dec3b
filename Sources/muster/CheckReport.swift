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
    /// A probe that takes longer warns.
    var slowness: Nanoseconds?
    /// No probe takes longer.
    var timeout: Nanoseconds?

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
        // A plugin's labels and a certificate's names come from elsewhere.
        let line = line.printable
        return isExplained
            ? ([line, ""] + phaseTable + [""] + stepTable).joined(separator: "\n") : line
    }

    /// `HTTP OK - L7OK/200 in 1.2ms | time=0.0012s;0.3;;0;2`.
    private var line: String {
        let total = outcome.phases.total
        // A bar begins performance data wherever it stands.
        let told = summary.map { $0 == "|" ? "/" : $0 }
        return "\(kind.uppercased()) \(word) - \(String(told)) in \(Self.milliseconds(total)) | "
            + performance(total)
    }

    /// A pass with a code has said everything; the rest needs its message, and so does a program.
    private var summary: String {
        guard outcome.verdict == .pass, outcome.reason != .processOK, let code = outcome.code else {
            return outcome.summary
        }
        return "\(outcome.reason.rawValue)/\(code)"
    }

    private func performance(_ total: Nanoseconds) -> String {
        // A plugin's own `time` is what it measured; ours is about the probe.
        var name = "time"
        while outcome.measurements.contains(where: { $0.label == name }) { name = "probe_" + name }
        let taken = Self.fraction(total.count, per: 1_000_000_000, digits: 4)
        // Warned of above, and ended at the timeout.
        let own =
            "\(name)=\(taken)s;\(slowness?.inSeconds ?? "");;0"
            + (timeout.map { ";\($0.inSeconds)" } ?? "")
        return ([own] + outcome.measurements.map(Self.performance)).joined(separator: " ")
    }

    /// `'label with blanks'=value[unit];warn;crit;min;max`, without what is empty at the end.
    private static func performance(_ measurement: Measurement) -> String {
        let needsQuotes = measurement.label.contains { " \t'=".contains($0) }
        let label = measurement.label.replacing("'", with: "''")
        let scale = measurement.scale ?? Measurement.Scale()
        var fields = [
            plain(measurement.value) + measurement.unit, scale.warn, scale.fail, scale.min,
            scale.max,
        ]
        while fields.last?.isEmpty == true { fields.removeLast() }
        return (needsQuotes ? "'\(label)'" : label) + "=" + fields.joined(separator: ";")
    }

    /// Digits, a sign and a point: performance data know no exponents.
    private static func plain(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return "\(whole)" }
        let text = "\(value)"
        guard let mark = text.firstIndex(where: { $0 == "e" || $0 == "E" }),
            let exponent = Int(text[text.index(after: mark)...])
        else { return text }
        let sign = text.hasPrefix("-") ? "-" : ""
        let number = text[..<mark].drop { $0 == "-" }
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        let fraction = parts.count > 1 && parts[1] != "0" ? String(parts[1]) : ""
        let digits = parts[0] + fraction
        // Where the point stands among the digits.
        let point = parts[0].count + exponent
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
        if point >= digits.count {
            return sign + digits + String(repeating: "0", count: point - digits.count)
        }
        return sign + digits.prefix(point) + "." + digits.dropFirst(point)
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
                + steps.map { [Self.milliseconds($0.at), $0.phase, $0.text.printable] }
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
        .object(
            [
                JSON.Member("label", JSON(measurement.label)),
                JSON.Member("value", .number(measurement.value)),
                JSON.Member("unit", JSON(measurement.unit)),
            ] + members(of: measurement.scale)
        )
    }

    /// Only what a plugin or a limit said.
    private static func members(of scale: Measurement.Scale?) -> [JSON.Member] {
        guard let scale else { return [] }
        return [
            ("warn", scale.warn), ("fail", scale.fail), ("min", scale.min), ("max", scale.max),
        ].compactMap { $0.1.isEmpty ? nil : JSON.Member($0.0, JSON($0.1)) }
    }

    private static func json(_ step: Trace.Step) -> JSON {
        .object([
            JSON.Member("at_ms", jsonMilliseconds(step.at)),
            JSON.Member("phase", JSON(step.phase)),
            JSON.Member("text", JSON(step.text)),
        ])
    }
}
