// Who asked for what? A line for each order that was accepted, on the agent that accepted it: the morning
// after, somebody wants to know who drained the peer.

import Health
import Store
import Vocabulary

/// Who a request says it is from. Nobody proves it: whoever may write may also lie.
struct Asker: Equatable {
    /// `root (muster/0.1.0)`.
    var text: String

    static let bytesMax = 80

    /// For who asks in no request.
    init(_ text: String) { self.text = text }

    /// Browsers all begin their names so.
    private static let browser = "Mozilla/"

    /// `From` is the login name that muster's commands tell, and the dashboard's; a script has its program's.
    /// Of a browser that says who asks its own name says nothing more.
    init(_ request: Request) {
        let words = [request[field: "from"], request[field: "user-agent"]].map { field in
            field.map { String($0.prefix(Self.bytesMax)).printable } ?? ""
        }
        text =
            switch (words[0].isEmpty, words[1].isEmpty) {
            case (false, false) where words[1].hasPrefix(Self.browser): words[0]
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

    /// Nil where everything was so already.
    static func line(_ decision: DefinitionDecision, by asker: Asker) -> Journal.Line? {
        let verb: String
        switch decision.outcome {
        case .made: verb = "defined"
        case .changed: verb = "redefined"
        case .gone: verb = "took away"
        case .same: return nil
        }
        var fields: [Journal.Field] = [.event("definition")]
        let (kind, name) = DefinitionRoutes.words(decision.subject)
        switch decision.subject {
        case .upstream(let upstream): fields.append(.upstream(upstream))
        case .peer(let key): fields += [.upstream(key.upstream), .peer(key.peer)]
        case .monitor(let upstream, let id): fields += [.upstream(upstream), .monitor(id)]
        case .route: break
        }
        return Journal.Line(
            .notice,
            "\(asker.text) \(verb) \(kind) \(name)",
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
