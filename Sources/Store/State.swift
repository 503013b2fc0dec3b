// What does one process hold of the shared state? The newest verdict of each pair and every intent,
// with the rule of who may overwrite whom. Pure.

import Health
import Vocabulary

struct State: Sendable {
    private(set) var verdicts: [VerdictKey: Verdict] = [:]
    /// Entries of the file that could not be read.
    private(set) var leftOut = 0
    private(set) var intents: [PeerKey: IntentRecord] = [:]

    /// What one process keeps at most; a store that holds more was not filled by this fleet.
    static let entriesMax = 1_000_000

    /// Takes a verdict in, unless the one held is newer.
    mutating func take(_ verdict: Verdict) -> Bool {
        if let held = verdicts[verdict.key] {
            if held.isNewer(than: verdict) { return false }
        } else if verdicts.count >= Self.entriesMax {
            return false
        }
        verdicts[verdict.key] = verdict
        return true
    }

    mutating func forget(_ key: VerdictKey) -> Bool {
        verdicts.removeValue(forKey: key) != nil
    }

    /// Returns whether anything changed.
    mutating func take(_ change: IntentChange, of key: PeerKey, at time: WallTime) -> Bool {
        alter(key) { $0.take(change, at: time) }
    }

    /// Returns whether anything changed.
    mutating func merge(_ record: IntentRecord, for key: PeerKey) -> Bool {
        alter(key) { $0.merge(record) }
    }

    private mutating func alter(_ key: PeerKey, _ body: (inout IntentRecord) -> Void) -> Bool {
        let held = intents[key]
        if held == nil, intents.count >= Self.entriesMax { return false }
        var record = held ?? IntentRecord()
        body(&record)
        if record == held { return false }
        intents[key] = record
        return true
    }

    /// Returns whether anything changed.
    mutating func replace(_ record: IntentRecord, for key: PeerKey) -> Bool {
        alter(key) { $0 = record }
    }

    /// Takes away stamps that the store's clock has not reached.
    mutating func believe(at now: WallTime) {
        for (key, record) in intents { intents[key] = record.believed(at: now) }
    }

    /// What was asked of this peer was stamped by a clock that shows `span` less than the store's.
    mutating func shift(_ key: PeerKey, by span: Nanoseconds) {
        _ = alter(key) { $0.shift(by: span) }
    }

    /// Somebody took it out of the store by hand.
    mutating func forget(_ key: PeerKey) -> Bool { intents.removeValue(forKey: key) != nil }

    /// Intents that ended longer ago than `retention` need not be kept: everybody knows.
    mutating func prune(now: WallTime, keeping retention: Nanoseconds) {
        intents = intents.filter { !$0.value.isOver(at: now, keeping: retention) }
    }
}

extension State {
    /// The file's format; a file of another is refused rather than misread.
    static let format: Int64 = 1

    func json(writtenAt: WallTime) -> JSON {
        .object([
            .init("format", .integer(Self.format)),
            .init("written_at", .integer(writtenAt.milliseconds)),
            .init(
                "intents",
                .object(
                    intents.map { JSON.Member($0.key.field, $0.value.json) }
                        .sorted { $0.key < $1.key }
                )
            ),
            .init(
                "verdicts",
                .object(
                    verdicts.values.map { JSON.Member($0.key.field, $0.json) }
                        .sorted { $0.key < $1.key }
                )
            ),
        ])
    }

    /// What cannot be read is left out and counted: one strange entry must not cost all the others.
    init(json: JSON) throws(StoreError) {
        guard json["format"]?.integer == Self.format else {
            throw StoreError(
                "expected format \(Self.format), saw \(json["format"]?.text ?? "none")"
            )
        }
        guard let verdicts = json["verdicts"]?.members, let intents = json["intents"]?.members
        else {
            throw StoreError("expected verdicts and intents, saw only one of them or none")
        }
        for member in verdicts {
            guard let key = VerdictKey(field: member.key),
                let verdict = Verdict(key: key, json: member.value)
            else {
                leftOut += 1
                continue
            }
            _ = take(verdict)
        }
        for member in intents {
            guard let key = PeerKey(field: member.key),
                let record = IntentRecord(json: member.value)
            else {
                leftOut += 1
                continue
            }
            _ = merge(record, for: key)
        }
    }
}
