// Which of two things asked of one peer is the later? The mode and the weight each carry the time at
// which they were asked for, and the later of each holds: whatever the order in which they arrive, all
// who hold the same two end with the same. What was lifted stays written down with its time for a
// while, so that nobody who heard of it before, and not of its end, brings it back.

import Health
import Vocabulary

/// What is asked of one peer, as a store keeps it. Times are the store's own.
struct IntentRecord: Hashable, Sendable {
    private(set) var intent = Intent()
    private(set) var modeAt = IntentRecord.never
    private(set) var weightAt = IntentRecord.never

    /// A stamp further ahead than this was written by a clock that is wrong. It counts as no stamp at
    /// all, here and in the script alike: whatever is asked for next is later.
    static let aheadMax = Nanoseconds.seconds(60)

    /// How long a lifted or ended intent is remembered.
    static let retention = Nanoseconds.seconds(7 * 86_400)
    static let never = WallTime(milliseconds: 0)

    init() {}

    init(_ change: IntentChange, at time: WallTime) { take(change, at: time) }

    /// What readers are told: nil where nothing is asked for.
    var asked: Intent? { intent.isEmpty ? nil : intent }

    /// Both parts, as a change that another store can take in.
    var whole: IntentChange { IntentChange(whole: intent) }

    /// Of two that were asked for at one moment the one that comes later holds.
    mutating func take(_ change: IntentChange, at time: WallTime) {
        if let mode = change.mode, modeAt <= time {
            intent.take(mode)
            modeAt = time
        }
        if let weight = change.weight, weightAt <= time {
            intent.take(weight)
            weightAt = time
        }
    }

    /// Takes from `other` what is later there.
    mutating func merge(_ other: IntentRecord) {
        take(IntentChange(mode: other.whole.mode), at: other.modeAt)
        take(IntentChange(weight: other.whole.weight), at: other.weightAt)
    }

    /// The same by a clock that shows `span` more.
    mutating func shift(by span: Nanoseconds) {
        modeAt = modeAt == Self.never ? modeAt : modeAt + span
        weightAt = weightAt == Self.never ? weightAt : weightAt + span
        intent = intent.shifted(by: span)
    }

    /// Without stamps that the store's clock has not reached.
    func believed(at now: WallTime) -> IntentRecord {
        var record = self
        if modeAt > now + Self.aheadMax { record.modeAt = Self.never }
        if weightAt > now + Self.aheadMax { record.weightAt = Self.never }
        return record
    }

    /// Has something later than `other`.
    func isAhead(of other: IntentRecord) -> Bool {
        modeAt > other.modeAt || weightAt > other.weightAt
    }

    /// Asks for nothing any more, and nobody is left who may not have heard of it.
    func isOver(at now: WallTime, keeping retention: Nanoseconds = retention) -> Bool {
        if intent.current(at: now) != nil { return false }
        if retention == .zero { return true }
        return [modeAt, weightAt, intent.until, intent.weightUntil]
            .allSatisfy { $0.map { $0 + retention < now } ?? true }
    }
}

extension IntentRecord {
    var json: JSON {
        JSON.object([
            .init("mode", intent.mode.map { .string($0.rawValue) } ?? .null),
            .init("reason", intent.reason.isEmpty ? .null : .string(intent.reason)),
            .init("until", intent.until.map { .integer($0.milliseconds) } ?? .null),
            .init("weight", JSON(intent.weight)),
            .init(
                "weight_reason",
                intent.weightReason.isEmpty ? .null : .string(intent.weightReason)
            ),
            .init("weight_until", intent.weightUntil.map { .integer($0.milliseconds) } ?? .null),
            .init("mode_at", .integer(modeAt.milliseconds)),
            .init("weight_at", .integer(weightAt.milliseconds)),
            // What versions before this one read.
            .init("set_at", .integer(max(modeAt, weightAt).milliseconds)),
        ]).withoutNulls()
    }

    /// Nil where something is of the wrong type or beyond its limits.
    init?(json: JSON) {
        let word = json["mode"]?.string
        let mode = word.flatMap(Intent.Mode.init(rawValue:))
        let weight = json["weight"]?.int
        guard json.members != nil, (word == nil) == (mode == nil),
            (0...PeerDefinition.weightMax).contains(weight ?? 0),
            let modeAt = Self.time(json["mode_at"] ?? json["set_at"]),
            let weightAt = Self.time(json["weight_at"] ?? json["set_at"]),
            let until = Self.end(json["until"]),
            let weightUntil = Self.end(json["weight_until"])
        else { return nil }
        take(
            IntentChange(
                mode: .init(
                    mode,
                    reason: Believable.message(json["reason"]?.string ?? ""),
                    until: until.time
                )
            ),
            at: modeAt
        )
        take(
            IntentChange(
                weight: .init(
                    weight,
                    reason: Believable.message(json["weight_reason"]?.string ?? ""),
                    until: weightUntil.time
                )
            ),
            at: weightAt
        )
    }

    /// Written by hand, an intent may say nothing of when: then whatever is asked for next is later.
    private static func time(_ json: JSON?) -> WallTime? {
        guard let json, !json.isNull else { return never }
        return json.integer.flatMap(Believable.stamp)
    }

    /// Nil where it makes no sense; one without a time where there is none.
    private static func end(_ json: JSON?) -> (time: WallTime?, Void)? {
        guard let json, !json.isNull else { return (nil, ()) }
        guard let time = json.integer.flatMap(Believable.stamp) else { return nil }
        return (time, ())
    }
}

extension IntentChange {
    /// As the script takes it. A part with a time was asked for then, one without now.
    func json(modeAt: WallTime? = nil, weightAt: WallTime? = nil) -> JSON {
        let mode = mode.map {
            Self.part("mode", JSON($0.mode?.rawValue), $0.reason, until: $0.until, at: modeAt)
        }
        let weight = weight.map {
            Self.part("weight", JSON($0.weight), $0.reason, until: $0.until, at: weightAt)
        }
        return JSON.object([.init("mode", mode ?? .null), .init("weight", weight ?? .null)])
            .withoutNulls()
    }

    private static func part(
        _ name: String,
        _ value: JSON,
        _ reason: String,
        until: WallTime?,
        at: WallTime?
    ) -> JSON {
        JSON.object([
            .init(name, value),
            .init("reason", reason.isEmpty ? .null : .string(reason)),
            .init("until", until.map { .integer($0.milliseconds) } ?? .null),
            .init("at", at.map { .integer($0.milliseconds) } ?? .null),
        ]).withoutNulls()
    }
}
