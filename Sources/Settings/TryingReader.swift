// What may be done for a request whose first attempt went wrong? The words are HAProxy's where it has
// some.

import Health
import Proxy
import Vocabulary

enum TryingReader {
    static let retriesMax = 7
    static let budgetMax = 1_000_000
    /// Beyond these there is no answer that could be another peer's.
    static let statusRange = 400...599

    static func read(_ section: inout Section) -> TryingDefinition {
        var trying = TryingDefinition()
        let occasions = section.read("retry-on", occasions)
        if let occasions { (trying.occasions, trying.statuses) = occasions }
        trying.retries = section.int("retries", in: 0...retriesMax) ?? trying.retries
        if var budget = section.section("retry-budget") {
            trying.budgetShare = budget.share("share", default: trying.budgetShare)
            trying.budgetMin = budget.int("min", in: 0...budgetMax) ?? trying.budgetMin
            budget.finish()
        }
        trying.key = section.read("retry-key", key)
        trying.reuse = section.word("reuse") ?? trying.reuse
        return trying
    }

    private static func occasions(
        _ setting: Setting,
        _ path: String
    ) throws(SettingError) -> (TryingDefinition.Occasions, [Int]) {
        let items: [Setting]
        switch setting.value {
        case .list(let list): items = list
        case .scalar: items = [setting]
        case .map: throw setting.expected("a list of occasions and statuses", at: path)
        }
        var occasions: TryingDefinition.Occasions = []
        var statuses: [Int] = []
        for (index, item) in items.enumerated() {
            let place = items.count == 1 ? path : "\(path)[\(index)]"
            let text = try item.string(at: place)
            if let status = Int(text) {
                guard statusRange.contains(status) else {
                    throw item.expected("a status from 400 to 599", at: place)
                }
                if !statuses.contains(status) { statuses.append(status) }
            } else if text == "none", items.count == 1 {
                return ([], [])
            } else if let word = TryingDefinition.Occasions.words.first(where: { $0.word == text })
            {
                occasions.insert(word.occasion)
            } else {
                let words = TryingDefinition.Occasions.words.map(\.word) + ["none", "a status"]
                throw item.unknownWord(text, among: words, at: place)
            }
        }
        return (occasions, statuses)
    }

    private static func key(_ setting: Setting, _ path: String) throws(SettingError) -> String {
        let text = try setting.string(at: path)
        guard text.hasPrefix("header:"), RequestField.isKey(text) else {
            throw setting.expected("header: and the name of a request field", at: path)
        }
        return text
    }
}
