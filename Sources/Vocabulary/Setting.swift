// What did the user write, and where? A settings file becomes a tree of nodes that know their
// position, so that every complaint can point at the very character.

/// A place in a settings file. Lines and columns count from one; zero means "no such place".
public struct Position: Hashable, Sendable {
    public var file: String
    public var line: Int
    public var column: Int

    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }
}

extension Position: CustomStringConvertible {
    public var description: String {
        line == 0 ? file : "\(file):\(line):\(column)"
    }
}

/// A complaint about a setting: `file:line:column: what: expected x, saw y`.
public struct SettingError: Error, Hashable, Sendable, CustomStringConvertible {
    public var position: Position
    public var message: String

    public init(_ position: Position, _ message: String) {
        self.position = position
        self.message = message
    }

    public var description: String { "\(position): \(message)".printable }
}

/// One node of a settings tree.
public struct Setting: Sendable, Hashable {
    public indirect enum Value: Sendable, Hashable {
        /// `isQuoted` keeps `"5"` a text where a number is wanted.
        case scalar(String, isQuoted: Bool)
        case list([Setting])
        case map([Entry])
    }

    public struct Entry: Sendable, Hashable {
        public var key: String
        public var position: Position
        public var value: Setting

        public init(key: String, position: Position, value: Setting) {
            self.key = key
            self.position = position
            self.value = value
        }
    }

    public var value: Value
    public var position: Position
    /// In quotes stood one variable and nothing else: the quotes are YAML's, which inside `{ }` wants them
    /// around `${ }`, and no word of the user's that a text is meant.
    public var isVariable = false
    /// A program wrote it, and has said with its type what it is: `true` is no text.
    public var isTyped = false

    public init(_ value: Value, at position: Position, isVariable: Bool = false) {
        self.value = value
        self.position = position
        self.isVariable = isVariable
    }

    /// What a number, `true` or `false` may be read from.
    var plain: String? {
        guard case .scalar(let text, let isQuoted) = value, !isQuoted || isVariable else {
            return nil
        }
        return text
    }

    /// `key:` with nothing after it.
    public var isNull: Bool {
        if case .scalar(let text, isQuoted: false) = value {
            return ["", "~", "null"].contains(text)
        }
        return false
    }

    /// What it says, not where.
    func hashContent(into hasher: inout Hasher) {
        switch value {
        case .scalar(let text, let isQuoted):
            hasher.combine(0)
            hasher.combine(text)
            hasher.combine(isQuoted)
        case .list(let items):
            hasher.combine(1)
            hasher.combine(items.count)
            for item in items { item.hashContent(into: &hasher) }
        case .map(let entries):
            hasher.combine(2)
            hasher.combine(entries.count)
            for entry in entries {
                hasher.combine(entry.key)
                entry.value.hashContent(into: &hasher)
            }
        }
    }

    /// What it says, not where, as text that is the same in every process. Of what is secret by its name
    /// it says only that it is there.
    public var content: String {
        switch value {
        case .scalar(let text, let isQuoted):
            let text = text.withoutPassword
            return "\(isQuoted ? "q" : "s")\(text.utf8.count):\(text)"
        case .list(let items):
            return "l\(items.count):" + items.map(\.content).joined()
        case .map(let entries):
            return "m\(entries.count):"
                + entries.map { entry in
                    "\(entry.key.utf8.count):\(entry.key)"
                        + (Self.secrets.contains(entry.key.lowercased())
                            ? "*" : entry.value.content)
                }.joined()
        }
    }

    private static let secrets: Set = [
        "password", "auth", "authorization", "headers", "token", "secret", "env", "environment",
    ]

    /// What the user sees of it in an error: no line break, no password.
    public var summary: String {
        switch value {
        case .scalar(let text, _): isNull ? "nothing" : "'\(text.withoutPassword.printable)'"
        case .list: "a list"
        case .map: "a map"
        }
    }

    public func expected(_ what: String, at path: String) -> SettingError {
        SettingError(position, "\(path): expected \(what), saw \(summary)")
    }
}
