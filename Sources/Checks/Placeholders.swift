// How do parameters get into the settings of a drop-in? `{name}` inside a text is replaced by the
// value's text; a setting that is nothing but `"{name}"` becomes the value itself, whatever it is.
// `{{` is a brace. Braces around anything but a word (`[0-9]{3}`, JSON) are left alone.

import Vocabulary

struct Placeholders {
    private enum Piece {
        case text(String)
        case name(String)
    }

    /// What may be referred to.
    let names: [String]
    /// Left as they stand: the kind itself fills them in for each probe.
    let kept: [String]

    // MARK: Looking

    /// Every name that `setting` refers to; one that nobody declared is an error.
    func references(
        in setting: Setting,
        at path: String
    ) throws(SettingError) -> Set<String> {
        var found: Set<String> = []
        switch setting.value {
        case .scalar(let text, _):
            for case .name(let name) in Self.pieces(of: text) where !kept.contains(name) {
                guard names.contains(name) else { throw unknown(name, setting, at: path) }
                found.insert(name)
            }
        case .list(let items):
            for (index, item) in items.enumerated() {
                found.formUnion(try references(in: item, at: "\(path)[\(index)]"))
            }
        case .map(let entries):
            if let name = bareName(entries) {
                throw SettingError(
                    setting.position,
                    "\(path): expected \"{\(name)}\" in quotes: without them it is a map"
                )
            }
            for entry in entries {
                found.formUnion(try references(in: entry.value, at: "\(path).\(entry.key)"))
            }
        }
        return found
    }

    private func unknown(_ name: String, _ setting: Setting, at path: String) -> SettingError {
        var message = "\(path): no parameter '\(name)' is declared"
        if let near = nearest(to: name, among: names + kept) {
            message += "; did you mean '\(near)'?"
        } else {
            message += "; '{{' stands for a brace"
        }
        return SettingError(setting.position, message)
    }

    /// YAML's trap: `port: {port}` is a map with a key and nothing after it.
    private func bareName(_ entries: [Setting.Entry]) -> String? {
        guard entries.count == 1, let entry = entries.first, entry.value.isNull,
            names.contains(entry.key)
        else { return nil }
        return entry.key
    }

    // MARK: Filling

    /// The same tree with `values` in it. A value keeps its own position where it stands alone, so
    /// that a complaint about it points at whoever wrote it.
    func fill(
        _ setting: Setting,
        with values: [String: Setting],
        at path: String
    ) throws(SettingError) -> Setting {
        switch setting.value {
        case .scalar(let text, let isQuoted):
            let pieces = Self.pieces(of: text)
            if let value = Self.alone(pieces, values) { return value }
            let filled = try join(pieces, with: values, at: path)
            return Setting(
                .scalar(filled, isQuoted: isQuoted),
                at: setting.position,
                isVariable: setting.isVariable
            )
        case .list(let items):
            var filled: [Setting] = []
            for (index, item) in items.enumerated() {
                let item = try fill(item, with: values, at: "\(path)[\(index)]", spreading: true)
                filled += item
            }
            return Setting(.list(filled), at: setting.position)
        case .map(let entries):
            var filled = entries
            for (index, entry) in entries.enumerated() {
                filled[index].value =
                    try fill(entry.value, with: values, at: "\(path).\(entry.key)")
            }
            return Setting(.map(filled), at: setting.position)
        }
    }

    /// A list that stands alone in a list is spread into it: so can arguments be none or many.
    private func fill(
        _ item: Setting,
        with values: [String: Setting],
        at path: String,
        spreading: Bool
    ) throws(SettingError) -> [Setting] {
        if case .scalar(let text, _) = item.value,
            let value = Self.alone(Self.pieces(of: text), values),
            case .list(let items) = value.value
        {
            return items
        }
        return [try fill(item, with: values, at: path)]
    }

    private static func alone(_ pieces: [Piece], _ values: [String: Setting]) -> Setting? {
        guard pieces.count == 1, case .name(let name) = pieces[0] else { return nil }
        return values[name]
    }

    private func join(
        _ pieces: [Piece],
        with values: [String: Setting],
        at path: String
    ) throws(SettingError) -> String {
        var text = ""
        for piece in pieces {
            switch piece {
            case .text(let part): text += part
            case .name(let name):
                guard let value = values[name] else {
                    text += "{\(name)}"
                    continue
                }
                guard case .scalar(let part, _) = value.value else {
                    throw value.expected("a text, which goes into \(path)", at: name)
                }
                text += part
            }
        }
        return text
    }

    // MARK: Reading

    private static func pieces(of text: String) -> [Piece] {
        var pieces: [Piece] = []
        var plain = ""
        var rest = text[...]
        while let character = rest.first {
            if rest.hasPrefix("{{") {
                plain += "{"
                rest = rest.dropFirst(2)
            } else if character == "{", let name = name(after: rest.dropFirst()) {
                if !plain.isEmpty { pieces.append(.text(plain)) }
                plain = ""
                pieces.append(.name(name))
                rest = rest.dropFirst(name.count + 2)
            } else {
                plain.append(character)
                rest = rest.dropFirst()
            }
        }
        if !plain.isEmpty || pieces.isEmpty { pieces.append(.text(plain)) }
        return pieces
    }

    private static func name(after brace: Substring) -> String? {
        let name = brace.prefix(while: isNameCharacter)
        guard isName(name), brace.dropFirst(name.count).first == "}" else { return nil }
        return String(name)
    }

    static func isName(_ text: some StringProtocol) -> Bool {
        guard let first = text.first, first.isASCII, first.isLetter else { return false }
        return text.allSatisfy(isNameCharacter)
    }

    private static func isNameCharacter(_ character: Character) -> Bool {
        character.isASCII
            && (character.isLetter || character.isNumber || character == "-" || character == "_")
    }
}
