// What does the operator ask of a peer? `{"weight":5}`, `{"intent":"drain","reason":"deploy",
// "until":"10m"}`, or both; `until` is the end of what stands beside it. Pure: bytes in, a change or
// a clear complaint out.

import Health
import Vocabulary

struct PeerPatchError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

struct PeerPatch {
    private enum Until {
        case never
        case after(Nanoseconds)
        case at(WallTime)
    }

    private var mode: Intent.Mode?
    private var reason: String?
    private var until: Until?
    /// The outer nil: not mentioned. The inner: back to the configured weight.
    private var weight: Int??

    private static let keys = ["intent", "reason", "until", "weight"]
    /// What is kept of a reason: it travels in agent lines and in logs.
    static let reasonBytesMax = 256
    /// Longer is no deadline but a change of configuration.
    static let untilMax = Nanoseconds.seconds(366 * 86_400)

    init(_ bytes: [UInt8]) throws(PeerPatchError) {
        let body: JSON
        do {
            body = try JSON(parsing: bytes)
        } catch {
            throw PeerPatchError("body: \(error)")
        }
        guard let members = body.members, !members.isEmpty else {
            throw PeerPatchError(
                "body: expected an object with one or more of \(Self.keys.joined(separator: ", "))"
            )
        }
        for member in members { try take(member) }
        if reason != nil || until != nil, mode == nil, weight == nil {
            throw PeerPatchError("body: expected 'intent' or 'weight' beside 'reason' and 'until'")
        }
    }

    private mutating func take(_ member: JSON.Member) throws(PeerPatchError) {
        let value = member.value
        switch member.key {
        case "intent":
            guard let word = value.string, let mode = Intent.Mode(rawValue: word) else {
                throw Self.expected("ready, drain or maint", at: "intent", saw: value)
            }
            self.mode = mode
        case "reason":
            if let text = value.string, text.utf8.count > Self.reasonBytesMax {
                throw PeerPatchError(
                    "reason: expected one line of at most \(Self.reasonBytesMax) bytes, saw "
                        + "\(text.utf8.count): leave out \(text.utf8.count - Self.reasonBytesMax)"
                )
            }
            guard let text = value.string, text == text.printable else {
                throw Self.expected(
                    "one line of at most \(Self.reasonBytesMax) bytes",
                    at: "reason",
                    saw: value
                )
            }
            reason = text
        case "until":
            if value.isNull {
                until = .never
            } else if let text = value.string, let span = Nanoseconds(text: text),
                span > .zero, span <= Self.untilMax
            {
                until = .after(span)
            } else if let text = value.string, let time = WallTime(rfc3339: text) {
                until = .at(time)
            } else {
                throw Self.expected(
                    "a duration such as 10m, at most \(Self.untilMax), a moment such as "
                        + "2026-12-24T18:00:00Z, or null",
                    at: "until",
                    saw: value
                )
            }
        case "weight":
            if value.isNull {
                weight = .some(nil)
            } else if let number = value.int, (0...PeerDefinition.weightMax).contains(number) {
                weight = .some(number)
            } else {
                throw Self.expected(
                    "a whole number from 0 to \(PeerDefinition.weightMax), or null",
                    at: "weight",
                    saw: value
                )
            }
        default:
            var text = "body has no setting '\(member.key)'"
            if let near = nearest(to: member.key, among: Self.keys) {
                text += "; did you mean '\(near)'?"
            }
            throw PeerPatchError(text)
        }
    }

    private static func expected(_ what: String, at path: String, saw value: JSON) -> PeerPatchError
    {
        PeerPatchError("\(path): expected \(what), saw \(value.text)")
    }

    /// What changes of what is asked of the peer. What the body does not mention stays: a new weight
    /// does not lift a drain, nor a drain the weight. `ready` is kept only where the configuration
    /// says `down`: elsewhere it asks for nothing.
    func change(
        isConfiguredDown: Bool,
        now: WallTime,
        by asker: String = ""
    ) throws(PeerPatchError) -> IntentChange {
        let end: WallTime?
        switch until {
        case nil, .never: end = nil
        case .after(let span): end = now + span
        case .at(let time):
            guard time > now, time - now <= Self.untilMax else {
                throw PeerPatchError(
                    "until: expected a moment to come, at most \(Self.untilMax) from now, "
                        + "saw \(time), and it is \(now)"
                )
            }
            end = time
        }
        var change = IntentChange()
        let asked = mode == .ready && !isConfiguredDown ? nil : mode
        // A weight of nil is an order too: to go back.
        let isLifting = asked == nil && (weight ?? nil) == nil
        if isLifting, let stray = reason.map({ _ in "reason" }) ?? end.map({ _ in "until" }) {
            throw PeerPatchError(
                "\(stray): expected none, for this lifts what was asked for, and nothing is left that "
                    + "could have a reason or an end"
            )
        }
        if mode != nil {
            change.mode = .init(asked, reason: reason ?? "", until: end, by: asker)
        }
        if let weight {
            // Beside a mode that stays, the reason is the mode's.
            let why = asked == nil ? reason ?? "" : ""
            change.weight = .init(weight, reason: why, until: end, by: asker)
        }
        return change
    }
}
