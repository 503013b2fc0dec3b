// What does one YAML file say? Its text becomes a tree of settings that know their line and column,
// with `${NAME}` filled in, aliases and merge keys followed, and every limit kept.

import EventLoop
import Foundation
public import Vocabulary
import Yams

struct SettingsFile {
    private struct Budget {
        let most: Int
        var used = 0
    }

    let path: String
    /// Nil leaves every dollar as it is.
    let environment: [String: String]?
    let reading: Reading

    /// A hundred thousand routes are five megabytes; whoever names a disk by mistake is told.
    static let bytesMax = 64 << 20
    static let depthMax = 32
    /// An alias costs as many nodes as it stands for: ten lines of aliases of aliases would
    /// otherwise fill the memory. A longer text may have more of them.
    static func nodesMax(of text: String) -> Int { max(100_000, text.utf8.count / 4) }

    /// The tree, or nil and a report.
    func read() -> Setting? {
        reading.attempt { () throws(SettingError) in
            try tree(of: try contents()) ?? Setting(.map([]), at: place(line: 1, column: 1))
        }
    }

    /// Nil when the text says nothing at all.
    func tree(of text: String) throws(SettingError) -> Setting? {
        var budget = Budget(most: Self.nodesMax(of: text))
        guard let root = try compose(text) else { return nil }
        return try setting(root, depth: 0, budget: &budget)
    }

    private func place(line: Int, column: Int) -> Position {
        Position(file: path, line: line, column: column)
    }

    private func place(_ mark: Mark?) -> Position {
        place(line: mark?.line ?? 0, column: mark?.column ?? 0)
    }

    // MARK: Bytes

    private func contents() throws(SettingError) -> String {
        let bytes: [UInt8]
        do throws(WholeFile.Problem) {
            bytes = try WholeFile.contents(of: path, atMost: Self.bytesMax)
        } catch {
            throw SettingError(place(nil), "\(error)")
        }
        guard var text = String(validating: bytes, as: UTF8.self) else {
            throw SettingError(place(nil), "expected UTF-8, saw other bytes")
        }
        // Some editors begin a file with a byte order mark, which YAML would read as a letter.
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        return text
    }

    // MARK: YAML

    private func compose(_ text: String) throws(SettingError) -> Node? {
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw complaint(error, in: text)
        } catch {
            throw SettingError(place(nil), "not valid YAML: \(error)")
        }
    }

    private func complaint(_ error: YamlError, in text: String) -> SettingError {
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            var message = "not valid YAML: \(problem)"
            if let context {
                message +=
                    " \(context.text) that began at line \(context.mark.line), "
                    + "column \(context.mark.column)"
            }
            if Self.scalar(in: text, at: mark) == "\t" { message += "; indent with spaces" }
            return SettingError(place(mark), message)
        case .reader(let problem, let offset, _, _):
            let before = text.prefix(offset ?? 0)
            let line = before.count { $0.isNewline } + 1
            let column = before.reversed().prefix { !$0.isNewline }.count + 1
            return SettingError(
                place(line: line, column: column),
                "not valid YAML: \(problem)"
            )
        case .duplicatedKeysInMapping(let keys, let context):
            let key = keys.first ?? ""
            let first = place(context.mark)
            return duplicate(key, at: repetition(of: key, after: first, in: text), first: first)
        default:
            return SettingError(place(nil), "not valid YAML: \(error)")
        }
    }

    private func duplicate(_ key: String, at second: Position, first: Position) -> SettingError {
        SettingError(second, "'\(key)' is written twice: first at \(first)")
    }

    /// CR LF, which is one character, ends a line too.
    private static func lines(of text: String) -> [Substring] {
        text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }

    private static func scalar(in text: String, at mark: Mark) -> Unicode.Scalar? {
        let lines = Self.lines(of: text)
        guard lines.indices.contains(mark.line - 1) else { return nil }
        return lines[mark.line - 1].unicodeScalars.dropFirst(mark.column - 1).first
    }

    /// The parser names the first of two equal keys; people want to see the second. In a block it
    /// stands in the same column further down, in `{ }` further on in the line.
    private func repetition(of key: String, after first: Position, in text: String) -> Position {
        let lines = Self.lines(of: text)
        let forms = ["\(key):", "\"\(key)\":", "'\(key)':"]
        guard lines.indices.contains(first.line - 1) else { return first }
        let rest = String(lines[first.line - 1].unicodeScalars.dropFirst(first.column))
        for form in forms {
            if let found = rest.range(of: form) {
                let offset = rest[..<found.lowerBound].unicodeScalars.count
                return place(line: first.line, column: first.column + offset + 1)
            }
        }
        for (index, line) in lines.enumerated().dropFirst(first.line) {
            let indent = line.prefix { $0 == " " }.count
            if indent == first.column - 1, forms.contains(where: line.dropFirst(indent).hasPrefix) {
                return place(line: index + 1, column: first.column)
            }
        }
        return first
    }

    // MARK: Tree

    private func setting(
        _ node: Node,
        depth: Int,
        budget: inout Budget
    ) throws(SettingError) -> Setting {
        let position = place(node.mark)
        budget.used += 1
        if budget.used > budget.most {
            throw SettingError(position, "expected at most \(budget.most) settings, saw more")
        }
        if depth > Self.depthMax {
            throw SettingError(position, "expected at most \(Self.depthMax) levels, saw more")
        }
        switch node {
        case .scalar(let scalar):
            let isQuoted = scalar.style != .plain && scalar.style != .any
            let text = fill(scalar.string, at: position, isQuoted: isQuoted)
            // `"${NAME:-}"` that came to nothing is not written, whatever quotes it needed.
            let isText = isQuoted && (!text.isEmpty || scalar.string.isEmpty)
            let isVariable = environment != nil && Substitution.isVariable(scalar.string)
            return Setting(.scalar(text, isQuoted: isText), at: position, isVariable: isVariable)
        case .sequence(let sequence):
            var items: [Setting] = []
            for item in sequence {
                items.append(try setting(item, depth: depth + 1, budget: &budget))
            }
            return Setting(.list(items), at: position)
        case .mapping(let mapping):
            let entries = try entries(of: mapping, depth: depth, budget: &budget)
            return Setting(.map(entries), at: position)
        case .alias:
            throw SettingError(position, "expected a setting, saw an alias of nothing")
        }
    }

    private func entries(
        of mapping: Node.Mapping,
        depth: Int,
        budget: inout Budget
    ) throws(SettingError) -> [Setting.Entry] {
        var own: [Setting.Entry] = []
        var merged: [Setting.Entry] = []
        // A section may have ten thousand keys: each is looked up, not searched for.
        var places: [String: Position] = [:]
        for (keyNode, valueNode) in mapping {
            let position = place(keyNode.mark)
            guard case .scalar(let scalar) = keyNode else {
                throw SettingError(position, "expected a text as key, saw a list or a map")
            }
            let value = try setting(valueNode, depth: depth + 1, budget: &budget)
            if scalar.string == "<<", scalar.style == .plain {
                merged += try entries(mergedFrom: value)
                continue
            }
            let key = fill(scalar.string, at: position, isQuoted: scalar.style != .plain)
            // Two keys that differ on paper may be one after the environment has spoken.
            if let first = places.updateValue(position, forKey: key) {
                throw duplicate(key, at: position, first: first)
            }
            own.append(Setting.Entry(key: key, position: position, value: value))
        }
        // What stands in the map itself wins over what it merges; of merged maps, the first.
        for entry in merged where places.updateValue(entry.position, forKey: entry.key) == nil {
            own.append(entry)
        }
        return own
    }

    private func entries(mergedFrom setting: Setting) throws(SettingError) -> [Setting.Entry] {
        switch setting.value {
        case .map(let entries): return entries
        case .list(let items):
            var entries: [Setting.Entry] = []
            for item in items { entries += try self.entries(mergedFrom: item) }
            return entries
        case .scalar: throw setting.expected("a map or a list of maps", at: "<<")
        }
    }

    private func fill(_ text: String, at position: Position, isQuoted: Bool) -> String {
        guard let environment else { return text }
        let substitution = Substitution(environment: environment)
        do throws(Substitution.Problem) {
            return try substitution.fill(text)
        } catch {
            var position = position
            // Inside quotes an escape may have moved the letters; plain text stands as written.
            if !isQuoted, position.line > 0 { position.column += error.offset }
            reading.report(SettingError(position, error.message))
            return ""
        }
    }
}

extension Setting {
    /// A value written outside a file, for example on the command line, in YAML: `5`, `[200, 204]`,
    /// `{contains: ok}`. Complaints name `place`.
    public init(inline text: String, place: String) throws(SettingError) {
        let file = SettingsFile(path: place, environment: nil, reading: Reading())
        let nothing = Setting(
            .scalar("", isQuoted: true),
            at: Position(file: place, line: 0, column: 0)
        )
        self = try file.tree(of: text) ?? nothing
    }
}
