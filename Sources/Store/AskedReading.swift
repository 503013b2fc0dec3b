// What may be concluded from reading a hash of orders from its beginning to its end? That what is not in it
// was taken away by somebody, or that the hash was thrown away meanwhile and knows nothing of it. It carries
// a mark, made up when it is filled: where the mark is the one we know, before and after, the hash is the one
// we know. One that is just being told everything has a mark that says so, and what is missing there says
// nothing. Pure.

enum AskedLimits {
    /// Orders about what is not defined here: somebody may define it later, or has filled Redis with them.
    static let orphansMax = 100_000
    /// Orders of which one knows that they were given here.
    static let givenMax = 100_000
    /// Writes of ours that the stream may not have told of yet.
    static let writtenMax = 64
    /// Values that are none of ours, of which one knows that they were counted.
    static let nonsenseMax = 10_000
}

/// What the field `#` of a hash says of it.
enum HashMark: Hashable, Sendable {
    /// Nothing: it was thrown away, or never was.
    case none
    /// It is being told everything, and may be half told.
    case unfinished(String)
    /// Everybody who knew more has told it, or will at its next reading.
    case whole(String)

    private static let prefix = "?"

    init(_ text: String) {
        if text.isEmpty {
            self = .none
        } else {
            self = text.hasPrefix(Self.prefix) ? .unfinished(text) : .whole(text)
        }
    }

    /// One that nobody has made up before.
    static func made(up number: UInt64) -> HashMark { .unfinished(prefix + String(number)) }

    func isFinished(as whole: HashMark) -> Bool { text == Self.prefix + whole.text }

    var text: String {
        switch self {
        case .none: ""
        case .unfinished(let text), .whole(let text): text
        }
    }
}

/// What one knows of a hash from readings before.
struct KnownHash: Hashable, Sendable {
    /// Nil until it was read for the first time.
    private(set) var mark: HashMark?

    /// Whether what is missing in it was taken away.
    func isTrusted(_ found: HashMark) -> Bool {
        guard case .whole = found else { return false }
        // What one has from a state file alone may have been lifted long ago.
        return mark == nil || mark == found
    }

    /// Nothing that was told can have been lost without being noticed.
    var isWhole: Bool {
        if case .whole? = mark { return true }
        return false
    }

    mutating func note(_ mark: HashMark) { self.mark = mark }
}

/// One reading, while it lasts.
struct AskedReading<Key: Hashable & Sendable>: Sendable {
    private let before: HashMark
    private var seen = Set<Key>()
    private var changed = Set<Key>()

    init(_ before: HashMark) { self.before = before }

    mutating func see(_ key: Key) { seen.insert(key) }
    /// Something was learned of it, or asked for, since the reading began: it may lie in a part that was
    /// read before.
    mutating func change(_ key: Key) { changed.insert(key) }

    /// It was not there. What happened to it meanwhile may have happened before the hash was thrown away,
    /// and excuses it only in one that is trusted.
    func isMissing(_ key: Key, isTrusted: Bool) -> Bool {
        !seen.contains(key) && !(isTrusted && changed.contains(key))
    }

    func end(_ after: HashMark, wasEmptied: Bool, known: inout KnownHash) -> Conclusion {
        // Of two hashes one after the other, what was seen in the first says nothing of the second.
        let isOne = before == after
        let isTrusted = !wasEmptied && isOne && known.isTrusted(after)
        known.note(isOne ? after : .none)
        var unfinished = HashMark.none
        if isOne, case .unfinished = after { unfinished = after }
        return Conclusion(isTrusted: isTrusted, unfinished: unfinished)
    }

    struct Conclusion: Hashable, Sendable {
        /// What is missing was taken away; else it has to be told again.
        let isTrusted: Bool
        /// The mark of a hash that becomes whole once what is missing has been told.
        let unfinished: HashMark
    }
}
