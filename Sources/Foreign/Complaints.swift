// Who hears what is wrong with what a source's Redis holds, and how often? Of each kind the first at once, and when its
// minute is over how many more there were, so that ten thousand bad lists are no flood and none is
// forgotten. Pure.

import Vocabulary

struct Complaints {
    enum Kind: Int, CaseIterable {
        /// Values that are no backends.
        case backend
        /// More backends than are taken.
        case many
        /// A value of another sort.
        case type
        case certificate
        /// Questions to backends that are not asked.
        case checks
        /// A list under a name by which no host is looked for.
        case name
        /// Redis would not say.
        case refused

        fileprivate func named(_ count: String, isOne: Bool) -> String {
            switch self {
            case .backend: "\(count) \(isOne ? "key" : "keys") with backends that are left out"
            case .many: "\(count) \(isOne ? "key" : "keys") with more than is taken"
            case .type: "\(count) \(isOne ? "key" : "keys") with another sort of value"
            case .certificate:
                isOne
                    ? "\(count) certificate that cannot be used"
                    : "\(count) certificates that cannot be used"
            case .checks: "\(count) \(isOne ? "question" : "questions") too many"
            case .name: "\(count) \(isOne ? "list" : "lists") of hosts that nobody asks for"
            case .refused: "\(count) \(isOne ? "key" : "keys") that Redis did not give"
            }
        }
    }

    private struct Row {
        var saidAt: Instant
        /// What was told of by itself.
        var said: String?
        var keys: Set<String> = []
        /// The first of them.
        var named: [String] = []
    }

    private var rows: [Kind: Row] = [:]

    static let every = Nanoseconds.seconds(60)
    /// So many of a kind are named.
    static let namedMax = 3
    /// So many of a kind are told apart within a minute.
    static let keysMax = 1_000

    /// True where this one is to be told of by itself; else it is told of with the others.
    mutating func note(_ kind: Kind, of key: String, at now: Instant) -> Bool {
        guard var row = rows[kind], !row.keys.isEmpty || now - row.saidAt < Self.every else {
            rows[kind] = Row(saidAt: now, said: key)
            return true
        }
        if row.said != key, row.keys.count < Self.keysMax, row.keys.insert(key).inserted,
            row.named.count < Self.namedMax
        {
            row.named.append(key)
        }
        rows[kind] = row
        return false
    }

    /// When there is something to tell of others; nil where there are none.
    var due: Instant? {
        rows.values.filter { !$0.keys.isEmpty }.map { $0.saidAt + Self.every }.min()
    }

    /// What was not told of by itself, of all kinds whose minute is over, or of `all`; nil where nothing was.
    mutating func takeRest(at now: Instant, all: Bool = false) -> String? {
        var parts: [String] = []
        for kind in Kind.allCases {
            guard let row = rows[kind], !row.keys.isEmpty,
                all || row.saidAt + Self.every <= now
            else { continue }
            let isFull = row.keys.count == Self.keysMax
            let others = row.keys.count - row.named.count
            parts.append(
                kind.named(
                    "\(row.keys.count)\(isFull ? " or more" : "")",
                    isOne: row.keys.count == 1
                )
                    + " (\(row.named.joined(separator: ", "))\(others > 0 ? " and \(others) more" : ""))"
            )
            rows[kind] = Row(saidAt: now)
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }
}
