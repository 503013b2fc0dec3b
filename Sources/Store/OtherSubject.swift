// Is a verdict about what we know under its name? Agents are reloaded one after the other, and an id may
// mean another server, or another check, for one of them than for the other. Its word is no news of ours
// then, and somebody has to know why.

import Health
import Vocabulary

/// In what a verdict is about something else than the pair of that name here.
enum OtherSubject: Hashable {
    case address(here: String)
    case kind(here: String)
    /// The kind is the same, and what it is told to ask or expect is not.
    case settings
}

struct OtherSubjectLine {
    let verdict: Verdict
    let other: OtherSubject
    /// It was said before this process began: by the agent itself, most likely, before it was restarted
    /// with another configuration.
    let wasBefore: Bool
    /// Such verdicts since the last one told.
    var leftOut = 0

    private var text: String {
        let key = verdict.key
        var text =
            "\(key.peerKey) (\(key.monitor)): the verdict '\(verdict.status.rawValue)' of agent "
        text += "\(verdict.agent) is about "
        switch other {
        case .address(let here):
            text += "\(verdict.subject?.address ?? ""), here the peer is \(here)"
        case .kind(let here): text += "a check of kind \(verdict.kind), here it is \(here)"
        case .settings: text += "a check with other settings than here"
        }
        text += "; it does not count here"
        if leftOut > 0 { text += ", nor do \(leftOut) more of the last minute" }
        return text + (wasBefore ? "" : ". Give all agents the same definition")
    }

    var line: Journal.Line {
        Journal.Line(
            wasBefore ? .notice : .warning,
            text,
            [
                .event("other-definition"), .upstream(verdict.key.upstream),
                .peer(verdict.key.peer),
                .monitor(verdict.key.monitor), .agent(verdict.agent),
            ]
        )
    }
}
