// When is a request sent to a second peer although nothing has failed? `p95` is later than 95% of all
// answers.

import Health
import Vocabulary

enum HedgeReader {
    static let percentRange = 50.0...99.99
    static let timeRange = Nanoseconds.milliseconds(1)...Nanoseconds.seconds(600)

    static func read(_ section: inout Section) -> HedgeDefinition? {
        guard var part = section.section("hedge") else { return nil }
        let before = part.reading.mistakes.count
        let usual = HedgeDefinition()
        let after = part.read("after", after)
        let budget = part.share("budget", default: usual.budget)
        part.finish()
        guard part.reading.mistakes.count == before else { return nil }
        guard let after else {
            // Whoever grants a budget wants something.
            if budget != usual.budget { part.reportMissing("after") }
            return nil
        }
        return HedgeDefinition(after: after, budget: budget)
    }

    private static func after(
        _ setting: Setting,
        _ path: String
    ) throws(SettingError) -> HedgeDefinition.After {
        let text = try setting.string(at: path)
        if text.hasPrefix("p") {
            let digits = text.dropFirst()
            guard digits.first?.isNumber == true,
                digits.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }),
                let percent = Double(digits), percentRange.contains(percent)
            else {
                throw setting.expected(
                    "p and a share of the answers from 50 to 99.99, such as p95",
                    at: path
                )
            }
            return .share(percent / 100)
        }
        return .time(try setting.duration(in: timeRange, at: path))
    }
}
