// Who asked for what? A line for each order that was accepted, on the agent that accepted it: the morning
// after, somebody wants to know who drained the peer.

import Health
import Vocabulary

/// Who a request says it is from. Nobody proves it: whoever may write may also lie.
struct Asker: Equatable {
    /// `root (muster/0.1.0)`.
    var text: String

    static let bytesMax = 80

    /// `From` is the login name that muster's commands tell; a browser or a script has its program's.
    init(_ request: Request) {
        let words = [request[field: "from"], request[field: "user-agent"]].map { field in
            field.map { String($0.prefix(Self.bytesMax)).printable } ?? ""
        }
        text =
            switch (words[0].isEmpty, words[1].isEmpty) {
            case (false, false): "\(words[0]) (\(words[1]))"
            case (false, true): words[0]
            case (true, false): words[1]
            case (true, true): "somebody who gave no name"
            }
    }
}

enum OrderLine {
    static func line(_ change: IntentChange, of peer: PeerKey, by asker: Asker) -> Journal.Line {
        var parts: [String] = []
        var fields: [Journal.Field] = [
            .event("order"), .upstream(peer.upstream), .peer(peer.peer),
        ]
        if let mode = change.mode {
            let word = (mode.mode ?? .ready).rawValue
            parts.append(Self.part(word, mode.reason, mode.until))
            fields.append(.intent(word))
            if !mode.reason.isEmpty { fields.append(.reason(mode.reason)) }
            if let until = mode.until { fields.append(.until(until)) }
        }
        if let weight = change.weight {
            let word = weight.weight.map { "weight \($0)" } ?? "the configured weight"
            parts.append(Self.part(word, weight.reason, weight.until))
            if let number = weight.weight { fields.append(.weight(number)) }
            if change.mode == nil {
                if !weight.reason.isEmpty { fields.append(.reason(weight.reason)) }
                if let until = weight.until { fields.append(.until(until)) }
            }
        }
        return Journal.Line(
            .notice,
            "\(peer): \(asker.text) asked for \(parts.joined(separator: ", and for "))",
            fields + [.by(asker.text)]
        )
    }

    private static func part(_ what: String, _ reason: String, _ until: WallTime?) -> String {
        var text = what
        if !reason.isEmpty { text += ": \(reason)" }
        if let until { text += " (until \(until))" }
        return text
    }
}
