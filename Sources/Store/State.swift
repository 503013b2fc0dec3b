// What does one process hold of the shared state? A shelf for each sort of record.

import Health
import Ledger
import Vocabulary

/// Confined to its loop's thread.
final class State {
    let shelves: [any AnyShelf]
    /// Of what a file held: the state of the store in which it was accepted.
    private(set) var origin: StoreOrigin?

    /// What one process keeps at most of a sort; a store that holds more was not filled by this fleet.
    static let entriesMax = 1_000_000
    /// The file's format; a file of another is refused rather than misread.
    static let format: Int64 = 1

    init(_ sorts: [any Record.Type] = Records.all) { shelves = sorts.map { $0.makeShelf() } }

    func shelf<R: Record>(of type: R.Type) -> Shelf<R> {
        for shelf in shelves { if let shelf = shelf as? Shelf<R> { return shelf } }
        preconditionFailure("\(R.sort.collection): expected a sort of Records, saw another")
    }

    func changes(at now: WallTime, later span: Nanoseconds = .zero) -> [any StoreChange] {
        // What is asked for first: what was found changes nothing of it then, and is no news.
        (shelves.filter(\.sort.isMerged) + shelves.filter { !$0.sort.isMerged })
            .flatMap { $0.changes(at: now, later: span) }
    }

    /// Grows with each thing that is asked for of what `upstream` owns.
    func stampSum(of upstream: String) -> UInt64 {
        shelves.reduce(0) { StampSum.add($0, $1.stampSum(of: upstream)) }
    }

    func prune(at now: WallTime) { for shelf in shelves { shelf.prune(at: now) } }

    // MARK: At rest

    /// The bytes of a state file. The closure runs on another thread.
    func snapshot(
        at now: WallTime,
        keeping retention: Nanoseconds = Retention.span,
        of origin: StoreOrigin? = nil
    ) -> @Sendable () -> [UInt8] {
        let parts = shelves.map { shelf in
            (shelf.sort.collection, shelf.snapshot(at: now, keeping: retention))
        }
        return {
            let head: [JSON.Member] = [
                .init("format", .integer(Self.format)),
                .init("written_at", .integer(now.milliseconds)),
                .init(StoreOrigin.member, origin?.json ?? .null),
            ].filter { !$0.value.isNull }
            return JSON.object(head + parts.map { JSON.Member($0, $1()) }).bytes
        }
    }

    /// Takes in what a file holds, where that is later. Of what cannot be read the number is answered:
    /// one strange entry must not cost all the others.
    func load(_ json: JSON, at now: WallTime) throws(StoreError) -> Int {
        guard json["format"]?.integer == Self.format else {
            throw StoreError(
                "expected format \(Self.format), saw \(json["format"]?.text ?? "none")"
            )
        }
        let noted = json["written_at"]?.integer.flatMap(Believable.stamp)
        origin = StoreOrigin(json[StoreOrigin.member], notedAt: noted, now: now)
        // An older version knows fewer sorts, and every version those that there were from the first.
        for sort in shelves.map(\.sort) {
            let isMissing = json[sort.collection] == nil && Self.first.contains(sort.collection)
            if isMissing || json[sort.collection].map({ $0.members == nil }) == true {
                throw StoreError("expected \(sort.collection), saw none")
            }
        }
        return shelves.reduce(0) { $0 + (json[$1.sort.collection].map($1.load) ?? 0) }
    }

    private static let first = ["verdicts", "intents"]
}
