// What does one process hold of one sort of record? Each as it holds now, by its key, whoever wrote it.

import Health
import Ledger
import Vocabulary

/// A shelf whose sort does not matter. Confined to its loop's thread, but for what it hands out.
protocol AnyShelf: AnyObject {
    var sort: RecordSort { get }
    var count: Int { get }
    /// Answers how many entries of a state file could not be read. What is held already and later stays.
    func load(_ json: JSON) -> Int
    /// Without what is over. The closure runs on another thread.
    func snapshot(at now: WallTime, keeping retention: Nanoseconds) -> @Sendable () -> JSON
    /// Lets go of what nobody can bring back any more.
    func prune(at now: WallTime)
    /// What holds, as whoever begins to listen hears of it.
    func changes(at now: WallTime, later span: Nanoseconds) -> [any StoreChange]
    /// Of what this upstream owns.
    func stampSum(of owner: String) -> UInt64

    func recover(_ record: LedgerRecord)
    func ledgerRecords() -> @Sendable () -> [LedgerRecord]
}

package final class Shelf<R: Record>: AnyShelf {
    package init() {}

    private(set) var records: [R.Key: R] = [:]
    private var sums: [String: UInt64] = [:]

    var sort: RecordSort { R.sort }
    var count: Int { records.count }
    /// As they are now: whoever goes through them may take a break.
    var keys: [R.Key] { Array(records.keys) }

    subscript(key: R.Key) -> R? { records[key] }

    func stampSum(of owner: String) -> UInt64 { sums[owner] ?? 0 }

    // MARK: Changing

    /// Takes in what is later in `record`. Returns whether anything is different then.
    @discardableResult
    func merge(_ record: R, for key: R.Key) -> Bool {
        guard var held = records[key] else { return put(record, for: key) }
        let before = held
        held.merge(record)
        return held == before ? false : put(held, for: key)
    }

    /// Nil takes it away. Returns whether anything is different then.
    @discardableResult
    func put(_ record: R?, for key: R.Key) -> Bool {
        let held = records[key]
        if held == record || (held == nil && records.count >= State.entriesMax) { return false }
        records[key] = record
        let (old, new) = (held?.stampSum ?? 0, record?.stampSum ?? 0)
        if old != new, let owner = key.owner {
            let sum = StampSum.subtract(old, from: sums[owner] ?? 0)
            sums[owner] = StampSum.add(sum, new)
        }
        return true
    }

    func prune(at now: WallTime) {
        for key in over(at: now, keeping: Retention.span) { put(nil, for: key) }
    }

    /// What need not be kept: everybody knows, or there are more tombstones than anybody needs.
    func over(at now: WallTime, keeping retention: Nanoseconds) -> [R.Key] {
        Self.over(records, at: now, keeping: retention)
    }

    private static func over(
        _ records: [R.Key: R],
        at now: WallTime,
        keeping retention: Nanoseconds
    ) -> [R.Key] {
        var over: [R.Key] = []
        var tombstones: [(at: WallTime, key: R.Key)] = []
        for (key, record) in records {
            if record.isOver(at: now, keeping: retention) {
                over.append(key)
            } else if record.isTombstone {
                tombstones.append((record.lastStamp, key))
            }
        }
        let surplus = tombstones.count - Retention.tombstonesMax
        if surplus > 0 {
            over += tombstones.sorted { $0.at < $1.at }.prefix(surplus).map(\.key)
        }
        return over
    }

    // MARK: Telling

    func changes(at now: WallTime, later span: Nanoseconds) -> [any StoreChange] {
        records.compactMap { key, record in
            // What ended before anybody listened is no news.
            record.isOver(at: now, keeping: .zero) ? nil : R.change(record, of: key, later: span)
        }
    }

    // MARK: At rest

    func load(_ json: JSON) -> Int {
        var leftOut = 0
        for member in json.members ?? [] {
            guard let key = R.Key(field: member.key), let record = R.read(member.value, of: key)
            else {
                leftOut += 1
                continue
            }
            merge(record, for: key)
        }
        return leftOut
    }

    func snapshot(at now: WallTime, keeping retention: Nanoseconds) -> @Sendable () -> JSON {
        { [records] in
            let over = Set(Self.over(records, at: now, keeping: retention))
            let members = records.compactMap { key, record in
                over.contains(key) ? nil : JSON.Member(key.field, record.json)
            }
            return .object(members.sorted { $0.key < $1.key })
        }
    }

    func ledgerRecord(of key: R.Key) -> LedgerRecord? {
        records[key].flatMap { Self.ledgerRecord($0, of: key) }
    }

    static func ledgerRecord(_ record: R, of key: R.Key) -> LedgerRecord? {
        R.sort.ledgerKind.map { kind in
            let json = JSON.object([
                .init(R.sort.names, .string(key.field)), .init("asked", record.json),
            ])
            return LedgerRecord(kind: kind, bytes: json.bytes)
        }
    }

    /// One that cannot be read is left out: it must not cost all the others.
    func recover(_ record: LedgerRecord) { let _: R.Key? = recover(record) }

    /// Answers whose it is.
    func recover(_ record: LedgerRecord) -> R.Key? {
        guard let json = try? JSON(parsing: record.bytes),
            let key = json[R.sort.names]?.string.flatMap(R.Key.init(field:)),
            let record = json["asked"].flatMap({ R.read($0, of: key) })
        else { return nil }
        merge(record, for: key)
        return key
    }

    /// What was lifted is kept for a while: the state file may still hold it.
    func ledgerRecords() -> @Sendable () -> [LedgerRecord] {
        { [records] in records.compactMap { Self.ledgerRecord($0.value, of: $0.key) } }
    }
}

extension Shelf where R: FencedRecord {
    /// Takes a word in, unless the one held is later.
    package func take(_ record: R) -> Bool {
        guard let held = records[record.key] else { return put(record, for: record.key) }
        if held.isNewer(than: record), record.isAboutTheSame(as: held) { return false }
        put(record, for: record.key)
        return true
    }
}

extension Record {
    func isOver(at now: WallTime) -> Bool { isOver(at: now, keeping: Retention.span) }

    static func makeShelf() -> any AnyShelf { Shelf<Self>() }
}
