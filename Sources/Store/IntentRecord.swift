// How is an intent kept? As two registers: mode and weight are asked for each by itself, by different
// people and through different agents, and neither may undo the other.

public import Health
public import Vocabulary

extension Intent: Wish {
    public static let sort = RecordSort(
        name: "intent",
        collection: "intents",
        names: "peer",
        ledgerKind: LedgerKind.intent,
        rule: .merged([
            Register("mode", ["reason", "until", "by"], end: "until"),
            Register(
                "weight",
                ["weight_reason", "weight_until", "weight_by"],
                end: "weight_until"
            ),
        ])
    )

    public var parts: [JSON] {
        let whole = IntentChange(whole: self)
        return Self.parts(of: whole).map { $0 ?? .null }
    }

    public init?(parts: [JSON]) {
        guard parts.count == 2 else { return nil }
        let (mode, weight) = (parts[0], parts[1])
        self.init()
        if !mode.isNull {
            guard let word = mode["mode"]?.string.flatMap(Mode.init(rawValue:)) else { return nil }
            self.mode = word
            reason = Believable.message(mode["reason"]?.string ?? "")
            by = Believable.message(mode["by"]?.string ?? "")
            until = mode["until"]?.integer.map { WallTime(milliseconds: $0) }
        }
        if !weight.isNull {
            guard let number = weight["weight"]?.int,
                (0...PeerDefinition.weightMax).contains(number)
            else { return nil }
            self.weight = number
            weightReason = Believable.message(weight["weight_reason"]?.string ?? "")
            weightBy = Believable.message(weight["weight_by"]?.string ?? "")
            weightUntil = weight["weight_until"]?.integer.map { WallTime(milliseconds: $0) }
        }
    }

    public typealias Key = PeerKey

    public static func parts(of change: IntentChange) -> [JSON?] {
        [
            change.mode.map { mode in
                mode.mode == nil
                    ? .null
                    : JSON.object([
                        .init("mode", JSON(mode.mode?.rawValue)),
                        .init("reason", mode.reason.isEmpty ? .null : .string(mode.reason)),
                        .init("until", milliseconds(mode.until)),
                        .init("by", mode.by.isEmpty ? .null : .string(mode.by)),
                    ]).withoutNulls()
            },
            change.weight.map { weight in
                weight.weight == nil
                    ? .null
                    : JSON.object([
                        .init("weight", JSON(weight.weight)),
                        .init(
                            "weight_reason",
                            weight.reason.isEmpty ? .null : .string(weight.reason)
                        ),
                        .init("weight_until", milliseconds(weight.until)),
                        .init("weight_by", weight.by.isEmpty ? .null : .string(weight.by)),
                    ]).withoutNulls()
            },
        ]
    }

    private static func milliseconds(_ time: WallTime?) -> JSON {
        time.map { .integer($0.milliseconds) } ?? .null
    }
}
