// Is a verdict about what we know under its name? Agents are reloaded one after the other, and an id may
// mean another server, or another check, for one of them than for the other. Its word is no news of ours
// then, and somebody has to know why.

public import Health
import Vocabulary

/// In what a verdict is about something else than the pair of that name here.
enum OtherSubject: Hashable {
    case address(here: String)
    case kind(here: String)
    /// The kind is the same, and what it is told to ask or expect is not.
    case settings

    /// Whether the word is believed all the same. Whoever holds the pair speaks for all, or they would differ for as long as
    /// agents are reloaded one after the other.
    var counts: Bool { self == .settings }
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
        text += "\(verdict.agent) is about \(other.words(of: verdict)); it does not count here"
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

extension OtherSubject {
    /// What the verdict is about, and what is here.
    fileprivate func words(of verdict: Verdict) -> String {
        switch self {
        case .address(let here):
            "\(verdict.subject?.address ?? ""), here the peer is \(here)"
        case .kind(let here): "a check of kind \(verdict.kind), here it is \(here)"
        case .settings: "a check with other settings than here"
        }
    }
}

/// Another agent has something else under a name of ours, and said so lately.
public struct OtherDefinition: Hashable, Sendable {
    public let key: VerdictKey
    public let agent: String
    /// `web/a (http): what agent a2 says is about 10.0.0.1:80, here the peer is 10.0.0.2:80; …`.
    public let words: String
}

/// Who speaks of something else under our names. Bounded: it is a mistake of people, and a few of them show it.
struct OtherDefinitions {
    private struct One {
        var verdict: Verdict
        var other: OtherSubject
        var until: Instant
    }

    private var found: [VerdictKey: One] = [:]

    static let max = 1_000
    /// Whoever means it says it again before that.
    private static let livesFor = Nanoseconds.seconds(60)

    mutating func note(
        _ other: OtherSubject,
        of verdict: Verdict,
        life: Nanoseconds,
        at now: Instant
    ) {
        if found.count >= Self.max, found[verdict.key] == nil {
            found = found.filter { $0.value.until > now }
            if found.count >= Self.max { return }
        }
        found[verdict.key] = One(
            verdict: verdict,
            other: other,
            until: now + Swift.max(life * 2, Self.livesFor)
        )
    }

    /// Somebody speaks of the same as we.
    mutating func forget(_ key: VerdictKey) { if !found.isEmpty { found[key] = nil } }

    /// With what is defined here now: `other` says in what a verdict differs from it.
    mutating func keep(_ other: (Verdict) -> OtherSubject?) {
        for (key, one) in found {
            if let other = other(one.verdict) {
                found[key]?.other = other
            } else {
                found[key] = nil
            }
        }
    }

    func all(at now: Instant) -> [OtherDefinition] {
        found.values.filter { $0.until > now }.map { one in
            let verdict = one.verdict
            return OtherDefinition(
                key: verdict.key,
                agent: verdict.agent,
                words:
                    "\(verdict.key.peerKey) (\(verdict.key.monitor)): what agent \(verdict.agent) finds is about "
                    + "\(one.other.words(of: verdict)); "
                    + (one.other.counts
                        ? "it counts here while that agent probes it" : "it does not count here")
            )
        }.sorted { ($0.key.upstream, $0.key.peer) < ($1.key.upstream, $1.key.peer) }
    }
}
