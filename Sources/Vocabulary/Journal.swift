// How does code below the admin side tell people what happened? Through this one value, so that no
// logging library is needed down here. Whoever starts the process decides where the lines go.
//
// A line is a sentence for people and, beside it, the same in fields for machines: a search for
// `upstream=web` must not depend on how the sentence is put.

/// Takes lines for people. Cheap to copy; callable from any thread, and never waits for a reader.
public struct Journal: Sendable {
    public enum Level: String, Sendable, Comparable, CaseIterable {
        case debug, info, notice, warning, error

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

        public static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }
    }

    /// One thing that a line is about, by its name in `/v1`.
    public struct Field: Hashable, Sendable {
        public enum Value: Hashable, Sendable {
            case text(String)
            case number(Int64)
        }

        public var key: String
        public var value: Value
        /// People want it too, even where the sentence leaves it out. Most fields only say again what
        /// the sentence says.
        public var isForPeople: Bool

        public init(_ key: String, _ text: String, isForPeople: Bool = false) {
            self.key = key
            value = .text(text)
            self.isForPeople = isForPeople
        }

        public init(_ key: String, _ number: Int64, isForPeople: Bool = false) {
            self.key = key
            value = .number(number)
            self.isForPeople = isForPeople
        }
    }

    /// What somebody said, before it has a time and a shape.
    public struct Line: Hashable, Sendable {
        public var level: Level
        public var text: String
        public var fields: [Field]

        public init(_ level: Level, _ text: String, _ fields: [Field] = []) {
            self.level = level
            self.text = text
            self.fields = fields
        }
    }

    private let least: Level
    private let take: @Sendable (Line) -> Void

    /// `take` hears of every line at `least` or above.
    public init(from least: Level = .info, take: @escaping @Sendable (Line) -> Void) {
        self.least = least
        self.take = take
    }

    /// For those who want the sentence alone.
    public init(from least: Level = .info, write: @escaping @Sendable (Level, String) -> Void) {
        self.init(from: least) { line in write(line.level, line.text) }
    }

    /// Takes every line and keeps none.
    public static let silent = Journal(from: .error) { (_: Line) in }

    /// Text and fields are only made when somebody will read them.
    public func log(
        _ level: Level,
        _ text: @autoclosure () -> String,
        _ fields: @autoclosure () -> [Field] = []
    ) {
        if level >= least { take(Line(level, text(), fields())) }
    }

    /// A line made elsewhere.
    public func log(_ line: Line) {
        if line.level >= least { take(line) }
    }

    public func debug(
        _ text: @autoclosure () -> String,
        _ fields: @autoclosure () -> [Field] = []
    ) {
        log(.debug, text(), fields())
    }

    public func info(
        _ text: @autoclosure () -> String,
        _ fields: @autoclosure () -> [Field] = []
    ) {
        log(.info, text(), fields())
    }

    public func notice(
        _ text: @autoclosure () -> String,
        _ fields: @autoclosure () -> [Field] = []
    ) {
        log(.notice, text(), fields())
    }

    public func warning(
        _ text: @autoclosure () -> String,
        _ fields: @autoclosure () -> [Field] = []
    ) {
        log(.warning, text(), fields())
    }

    public func error(
        _ text: @autoclosure () -> String,
        _ fields: @autoclosure () -> [Field] = []
    ) {
        log(.error, text(), fields())
    }
}

// MARK: The names. One word a thing, the same as in `/v1`.

extension Journal.Field {
    /// What happened, in one fixed word, whatever the sentence: `transition`, `panic`, `reload`, …
    public static func event(_ word: String) -> Self { Self("event", word) }
    public static func upstream(_ name: String) -> Self { Self("upstream", name) }
    public static func peer(_ id: String) -> Self { Self("peer", id) }
    public static func address(_ address: String) -> Self { Self("address", address) }
    public static func monitor(_ id: String) -> Self { Self("monitor", id) }
    public static func status(_ word: String) -> Self { Self("status", word) }
    /// The status before.
    public static func from(_ word: String) -> Self { Self("from", word) }
    public static func reason(_ text: String) -> Self { Self("reason", text) }
    public static func layer(_ word: String) -> Self { Self("layer", word) }
    /// An HTTP status, or what the protocol at hand calls its code.
    public static func code(_ number: Int) -> Self { Self("code", Int64(number)) }
    public static func agent(_ id: String) -> Self { Self("agent", id, isForPeople: true) }
    public static func intent(_ word: String) -> Self { Self("intent", word) }
    public static func until(_ time: WallTime) -> Self { Self("until", time.description) }
    public static func weight(_ number: Int) -> Self { Self("weight", Int64(number)) }
    /// Who asked for it, as far as it is known.
    public static func by(_ who: String) -> Self { Self("by", who, isForPeople: true) }
    public static func file(_ path: String) -> Self { Self("file", path) }
    public static func count(_ number: Int) -> Self { Self("count", Int64(number)) }
    public static func listener(_ bind: String) -> Self { Self("listener", bind) }
    /// Without anything secret in it.
    public static func store(_ url: String) -> Self { Self("store", url) }
    public static func error(_ text: String) -> Self { Self("error", text) }
    public static func milliseconds(_ key: String, _ span: Nanoseconds) -> Self {
        Self(key, span.milliseconds)
    }
}
