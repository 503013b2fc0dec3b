// What does a store keep? Records of some sorts. A sort is one file, which says what its records look like
// at rest and which of two holds, and one line in `Records`. All that moves records about, memory, state
// file, ledger, outbox and the scripts in Redis, is written once and knows no sort by name.
//
//   fenced   one agent at a time says it, again and again: ordered by epoch and sequence, and it expires
//   merged   many may ask for it: made of registers, each with the time at which it was asked for
//
// See docs/decisions/0012-records.md.

public import Health
public import Vocabulary

/// What is the same for all records of a sort.
public struct RecordSort: Hashable, Sendable {
    /// One of it, in the stream of changes and in messages: `verdict`.
    public let name: String
    /// All of it: the hash in Redis, and the member of the state file: `verdicts`.
    public let collection: String
    /// What a field of it names: `pair`.
    public let names: String
    /// Its number in the ledger; nil where it is found again within moments.
    public let ledgerKind: UInt8?
    public let rule: Rule

    public enum Rule: Hashable, Sendable {
        /// Another agent need not be woken where only the members `silent` of the JSON differ. Where those
        /// of `about` are told by both and differ, the two are about different things, and either holds.
        case fenced(silent: [String], about: [String] = [])
        case merged([Register])
    }

    var isMerged: Bool {
        if case .merged = rule { return true }
        return false
    }

    public init(
        name: String,
        collection: String,
        names: String,
        ledgerKind: UInt8? = nil,
        rule: Rule
    ) {
        self.name = name
        self.collection = collection
        self.names = names
        self.ledgerKind = ledgerKind
        self.rule = rule
    }
}

/// A part of a merged record that is asked for by itself, and lifted by itself.
public struct Register: Hashable, Sendable {
    /// Of these the first is there unless it is lifted. They are members of the record's JSON.
    public let members: [String]
    /// The member, if any, that says when it ends by itself, in milliseconds since 1970.
    public let end: String?

    public var name: String { members.first ?? "" }
    /// The member that says when it was asked for.
    public var stamp: String { name + "_at" }

    public init(_ name: String, _ others: [String] = [], end: String? = nil) {
        members = [name] + others
        self.end = end
    }
}

/// Names a record within its collection.
public protocol RecordKey: Hashable, Sendable {
    /// As the field of a hash in Redis.
    var field: String { get }
    init?(field: String)
    /// The upstream whose revision counts what is asked for here; nil where none does.
    var owner: String? { get }
    /// Matches the fields of all that `owner` owns, as Redis matches; nil where nobody owns any.
    static func pattern(of owner: String) -> String?
}

/// What a store tells: a record of some sort as it holds now.
public protocol StoreChange: Sendable {}

/// One thing that a store keeps.
public protocol Record: Hashable, Sendable {
    associatedtype Key: RecordKey
    static var sort: RecordSort { get }

    /// Without its key, which is the field's name.
    var json: JSON { get }
    /// Nil where it is not to be believed.
    static func read(_ json: JSON, of key: Key) -> Self?

    /// Takes in what is later in `other`, which is about the same thing.
    mutating func merge(_ other: Self)
    /// It says nothing any more, and nobody is left who could bring back what it said before.
    func isOver(at now: WallTime, keeping retention: Nanoseconds) -> Bool
    /// It asks for nothing, and only keeps that from coming back which it took away.
    var isTombstone: Bool { get }
    /// When it was taken away, at the latest.
    var lastStamp: WallTime { get }
    /// Grows with each thing that is asked for here; what a revision counts.
    var stampSum: UInt64 { get }

    /// As whoever reads the store's changes hears of it, by a clock that shows `span` more than the
    /// store's. Nil where that is nothing.
    static func change(
        _ record: Self?,
        of key: Key,
        later span: Nanoseconds
    )
        -> (any StoreChange)?
}

/// How long anything that was taken away is remembered.
enum Retention {
    static let span = Nanoseconds.seconds(7 * 86_400)
    /// So many of one sort at most: the oldest go first.
    static let tombstonesMax = 100_000
}

/// Sums of stamps in milliseconds, within what a script in Redis can count exactly.
enum StampSum {
    static let modulus: UInt64 = 1 << 52
    /// No sum.
    static let none = UInt64.max

    static func add(_ one: UInt64, _ other: UInt64) -> UInt64 { (one + other) % modulus }
    static func subtract(_ other: UInt64, from one: UInt64) -> UInt64 {
        (one + modulus - other) % modulus
    }
}

// MARK: Names as keys

enum Field {
    static func join(_ names: [String]) -> String { names.map(escape).joined(separator: "|") }

    /// A `|` or `%` in a name is written as in a URL.
    static func escape(_ name: String) -> String {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "|") || $0 == UInt8(ascii: "%") })
        else { return name }
        var escaped = ""
        for character in name.unicodeScalars {
            switch character {
            case "|": escaped += "%7C"
            case "%": escaped += "%25"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    /// How each field begins that stands under this name.
    static func prefix(under name: String) -> String { join([name, ""]) }

    static func split(_ field: String) -> [String] {
        // By bytes: a name that begins with an accent makes one letter of it and the `|`.
        field.utf8.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
            .map { unescape($0) }
    }

    private static func unescape(_ part: Substring.UTF8View) -> String {
        var bytes: [UInt8] = []
        var rest = Array(part)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.starts(with: "7C".utf8) {
                bytes.append(UInt8(ascii: "|"))
                rest = rest.dropFirst(2)
            } else if byte == UInt8(ascii: "%"), rest.starts(with: "25".utf8) {
                bytes.append(UInt8(ascii: "%"))
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Matches `name` and then anything behind a `|`.
    static func pattern(under name: String) -> String {
        var pattern = ""
        for scalar in escape(name).unicodeScalars {
            if "*?[]\\^-".unicodeScalars.contains(scalar) { pattern += "\\" }
            pattern.unicodeScalars.append(scalar)
        }
        return pattern + "|*"
    }
}

extension PeerKey: RecordKey {
    /// `web|127.0.0.1:9001`.
    public var field: String { Field.join([upstream, peer]) }

    public init?(field: String) {
        let parts = Field.split(field)
        guard parts.count == 2 else { return nil }
        self.init(upstream: parts[0], peer: parts[1])
    }

    public var owner: String? { upstream }
    public static func pattern(of owner: String) -> String? { Field.pattern(under: owner) }
}

extension VerdictKey: RecordKey {
    /// `web|127.0.0.1:9001|http`.
    public var field: String { Field.join([upstream, peer, monitor]) }

    public init?(field: String) {
        let parts = Field.split(field)
        guard parts.count == 3 else { return nil }
        self.init(upstream: parts[0], peer: parts[1], monitor: parts[2])
    }

    public var owner: String? { upstream }
    public static func pattern(of owner: String) -> String? { Field.pattern(under: owner) }
}
