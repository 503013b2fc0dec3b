// What does one sort of record have to do with Redis? It has a hash there, something to say that Redis may
// not know yet, and a way to take in what others wrote. `RedisStore` keeps the connections and the beat,
// and asks each sort in turn.

import EventLoop
import Health
import Ledger
import Redis
import Vocabulary

/// A sort of record, towards Redis. Confined to its store's loop.
protocol RedisSide: AnyObject {
    var sort: RecordSort { get }
    /// Taken here and not confirmed there.
    var pendingCount: Int { get }
    /// Something to write at once.
    var hasUrgent: Bool { get }
    /// What may wait for company.
    var lazyCount: Int { get }

    /// Redis may have lost what it had.
    func restate()
    /// This machine's wall clock was set.
    func shift(by step: Nanoseconds)
    /// Those who were told of times at which something ends go by another clock now.
    func tellEndsAgain()
    /// What lies in Redis is not what was read before.
    func forgetWhatWasRead()
    /// The clock of Redis is known for the first time: it shows `span` more than this machine's.
    func noteClock(at now: WallTime, ahead span: Nanoseconds)

    func flush(on writer: RedisConnection) async throws(RedisError)
    /// `digest` is that of the value, as slices tell it.
    func learn(_ value: RedisReply, digest: RedisReply, field: String)
    /// Reads everything, and removes what belongs to nobody any more. `isOther`: it is another server, or another life of
    /// one, than was read before.
    func reconcile(
        _ reader: RedisConnection,
        wasEmptied: Bool,
        isOther: Bool
    ) async throws(RedisError)
    /// Redis may have lost what people asked for: it is told all of that again, unless it is there.
    func tellAgain(on writer: RedisConnection) async throws(RedisError)
}

extension RedisSide {
    func tellAgain(on writer: RedisConnection) async throws(RedisError) {}
}

/// One whose records a revision counts.
protocol CountedSide: RedisSide {
    func pattern(of owner: String) -> String?
    func written(of owner: String) -> [(field: String, sum: UInt64)]
    /// The sum of stamps of each record of this owner that is known, by field.
    func sums(of owner: String) -> [String: UInt64]
    /// `mark` is that of the whole hash.
    func learn(
        all list: [RedisReply],
        mark: String,
        of owner: String,
        knownBefore before: [String: UInt64]
    )
    /// What was asked for and Redis may not know yet.
    var orderCount: Int { get }
    /// What the hash that was read last says of itself; nil before.
    var mark: String? { get }
    /// So it did where what is known here was read.
    func remember(mark: String)

    /// One of the ledger's records, which may be another sort's.
    func recover(_ record: LedgerRecord)
    /// Of what Redis may not know yet.
    func ledgerRecords() -> [LedgerRecord]
}

extension RedisStore {
    func makeSide(_ sort: any Record.Type) -> (any RedisSide)? {
        if let fenced = sort as? any FencedRecord.Type { return fenced.makeSide(self) }
        if let asked = sort as? any AskedSort.Type { return asked.makeSide(self) }
        return nil
    }
}

extension FencedRecord {
    fileprivate static func makeSide(_ store: RedisStore) -> any RedisSide {
        FencedSide<Self>(of: store)
    }
}

/// `Asked` of anything.
private protocol AskedSort {
    static func makeSide(_ store: RedisStore) -> any RedisSide
}

extension Asked: AskedSort {
    fileprivate static func makeSide(_ store: RedisStore) -> any RedisSide {
        AskedSide<W>(of: store)
    }
}

/// What somebody else left in our keys.
enum Nonsense {
    /// Names nothing of the sort.
    case name(RecordSort)
    case value(RecordSort)
    /// An order has taken its place.
    case replaced(RecordSort)
    case tooLarge(RecordSort, bytes: Int64)
    /// Names what is not defined here, beyond as many as are kept.
    case surplus(RecordSort)

    /// What is told of as one thing.
    var kind: String {
        switch self {
        case .name(let sort), .value(let sort), .replaced(let sort): sort.name
        case .tooLarge: "too-large"
        case .surplus: "surplus"
        }
    }

    var sort: RecordSort {
        switch self {
        case .name(let sort), .value(let sort), .replaced(let sort), .tooLarge(let sort, _),
            .surplus(let sort):
            sort
        }
    }

    var words: String {
        switch self {
        case .name(let sort): "names no \(sort.names)"
        case .value(let sort): "is no \(sort.name)"
        case .replaced(let sort): "was no \(sort.name)"
        case .surplus(let sort):
            "names a \(sort.names) that is not defined here, and \(AskedLimits.orphansMax) are kept"
        case .tooLarge(_, let bytes):
            "has \(bytes) bytes, expected at most \(Believable.valueBytesMax)"
        }
    }
}
