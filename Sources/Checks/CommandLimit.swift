// Is a measured value within bounds that the user set? A plugin's own thresholds have made its verdict
// already; these come on top, and can only make it worse.

import Health
import Plugins
import Vocabulary

/// The bounds of one label.
struct CommandLimit: Sendable {
    let label: String
    private let warn: NagiosRange?
    private let fail: NagiosRange?
    /// As the user wrote them.
    private let scale: Measurement.Scale

    /// Holds the values against `limits`. One that does not come makes a pass neutral: nobody knows
    /// whether it would be within bounds, and a misspelt label must not take peers down.
    static func weigh(
        _ outcome: Outcome,
        _ output: NagiosOutput,
        _ limits: [CommandLimit]
    ) -> Outcome {
        var outcome = outcome
        for limit in limits { limit.mark(&outcome.measurements) }
        guard outcome.verdict == .pass || outcome.verdict == .warn else { return outcome }
        let findings = limits.map { ($0, $0.finding(in: output)) }
        let worst = findings.max { $0.1.rank < $1.1.rank }
        guard let (limit, finding) = worst else { return outcome }
        let message = outcome.message
        switch finding {
        case .fine: break
        case .warns(let value):
            if outcome.verdict == .pass {
                outcome.verdict = .warn
                outcome.message = "\(limit.label) is \(value): \(message)"
            }
        case .fails(let value):
            outcome.verdict = .fail
            outcome.reason = .processError
            outcome.message = "\(limit.label) is \(value): \(message)"
        case .missing(let complaint):
            if outcome.verdict == .pass {
                outcome.verdict = .neutral
                outcome.reason = .checked
            }
            outcome.message = "limit of '\(limit.label)': \(complaint): \(message)"
        }
        return outcome
    }

    private enum Finding {
        case fine
        case missing(String)
        case warns(String)
        case fails(String)

        var rank: Int {
            switch self {
            case .fine: 0
            case .warns: 1
            case .missing: 2
            case .fails: 3
            }
        }
    }

    private func finding(in output: NagiosOutput) -> Finding {
        guard let item = output.items.first(where: { $0.label == label }) else {
            let labels = output.items.prefix(4).map { "'\($0.label)'" }.joined(separator: ", ")
            return .missing("expected such a value, saw \(labels.isEmpty ? "none" : labels)")
        }
        guard let value = item.value else { return .missing("expected a value, saw U") }
        let shown = (Int64(exactly: value).map { "\($0)" } ?? "\(value)") + item.unit
        for (range, isFailure) in [(fail, true), (warn, false)] {
            guard let range else { continue }
            guard let factor = NagiosUnit.factor(from: item.unit, to: range.unit) else {
                return .missing("expected a value in \(range.unit), saw \(shown)")
            }
            if range.alerts(on: value * factor) { return isFailure ? .fails(shown) : .warns(shown) }
        }
        return .fine
    }

    /// What is graphed shows the bounds that count.
    private func mark(_ measurements: inout [Measurement]) {
        guard let index = measurements.firstIndex(where: { $0.label == label }) else { return }
        var scale = measurements[index].scale ?? Measurement.Scale()
        if warn != nil { scale.warn = self.scale.warn }
        if fail != nil { scale.fail = self.scale.fail }
        measurements[index].scale = scale
    }

    // MARK: Settings

    /// Takes `limits`: label → `{warn: RANGE, fail: RANGE}`.
    static func take(from options: inout Options) throws(SettingError) -> [CommandLimit] {
        guard let setting = options.take("limits") else { return [] }
        let path = "\(options.path).limits"
        var limits: [CommandLimit] = []
        for entry in try setting.entries(at: path) {
            limits.append(try CommandLimit(entry, at: "\(path).\(entry.key)"))
        }
        return limits
    }

    private init(_ entry: Setting.Entry, at path: String) throws(SettingError) {
        label = entry.key
        guard (1...NagiosOutput.labelBytesMax).contains(label.utf8.count) else {
            throw SettingError(
                entry.position,
                "\(path): expected a label of 1 to \(NagiosOutput.labelBytesMax) bytes, saw "
                    + "\(label.utf8.count): no such value would be read"
            )
        }
        var options = try Options(entry.value, path: path)
        var scale = Measurement.Scale()
        let warnSetting = options.take("warn")
        let failSetting = options.take("fail")
        try options.finish()
        (warn, scale.warn) = try Self.range(warnSetting, at: "\(path).warn")
        (fail, scale.fail) = try Self.range(failSetting, at: "\(path).fail")
        self.scale = scale
        guard warn != nil || fail != nil else {
            throw SettingError(entry.position, "\(path): expected warn or fail, saw neither")
        }
        if let warnSetting, let warn, let fail, Self.isHidden(warn, behind: fail) {
            throw SettingError(
                warnSetting.position,
                "\(path).warn: expected a range that alerts where fail of \(scale.fail) does not, "
                    + "saw \(scale.warn): it would fail before it warned"
            )
        }
    }

    /// Units that differ are compared when a value comes.
    private static func isHidden(_ warn: NagiosRange, behind fail: NagiosRange) -> Bool {
        warn.unit == fail.unit && warn.isWithin(fail)
    }

    private static func range(
        _ setting: Setting?,
        at path: String
    ) throws(SettingError) -> (NagiosRange?, String) {
        guard let setting else { return (nil, "") }
        let text = try setting.string(at: path)
        guard let range = NagiosRange(text) else {
            throw setting.expected("a range such as 10, 10:, ~:10 or @10:20", at: path)
        }
        if range.neverAlerts {
            throw setting.expected("a range that some value is outside of", at: path)
        }
        if range.alwaysAlerts {
            throw setting.expected("a range that some value is fine with", at: path)
        }
        return (range, text)
    }
}
