// What does an exit code mean? By default what monitoring plugins mean by it: 0 fine, 1 warning,
// 2 failing, 3 unknown, and anything else a broken program.

public import Health
public import Vocabulary

/// Exit codes and the verdicts they stand for.
public struct ExitCodes: Sendable, Hashable {
    private var verdicts: [Int: Outcome.Verdict] = [0: .pass, 1: .warn, 2: .fail, 3: .neutral]

    /// Codes that mean trouble to every monitoring plugin, and are fine here.
    public private(set) var warnings: [SettingError] = []

    /// Takes `exit: {pass: 0, warn: [1, 4], …}`; a code that is not named anywhere fails.
    public init(options: inout Options) throws(SettingError) {
        guard let setting = options.take("exit") else { return }
        verdicts = [:]
        var inner = try Options(setting, path: "\(options.path).exit")
        for verdict in [Outcome.Verdict.pass, .warn, .fail, .neutral] {
            guard let codes = inner.take(verdict.rawValue) else { continue }
            let path = "\(options.path).exit.\(verdict.rawValue)"
            var items = [codes]
            if case .list(let list) = codes.value { items = list }
            for item in items {
                let code = try item.int(in: 0...255, at: path)
                guard verdicts[code] == nil else {
                    throw item.expected("a code that is named once", at: path)
                }
                verdicts[code] = verdict
                if verdict == .pass, code == 2 || code == 3 {
                    let word = code == 2 ? "critical" : "unknown"
                    let message = "\(path): \(code) passes here and is '\(word)' to a plugin"
                    warnings.append(SettingError(item.position, message))
                }
            }
        }
        try inner.finish()
        guard verdicts.values.contains(.pass) else {
            throw setting.expected("at least one code that passes", at: "\(options.path).exit")
        }
    }

    public func verdict(of code: Int) -> Outcome.Verdict { verdicts[code] ?? .fail }
}
