// Which value of a JSON text is meant? `/checks/0/status` (RFC 6901).

import Vocabulary

/// A path into a JSON value.
struct JSONPointer: Hashable, Sendable {
    let text: String
    private let tokens: [String]

    /// Nil where the text neither is empty nor begins with `/`, or escapes what it may not.
    init?(_ text: String) {
        self.text = text
        guard !text.isEmpty else {
            tokens = []
            return
        }
        guard text.hasPrefix("/") else { return nil }
        var tokens: [String] = []
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let token = Self.unescaped(part) else { return nil }
            tokens.append(token)
        }
        self.tokens = tokens
    }

    private static func unescaped(_ part: Substring) -> String? {
        var token = ""
        var rest = part
        while let character = rest.popFirst() {
            guard character == "~" else {
                token.append(character)
                continue
            }
            switch rest.popFirst() {
            case "0": token.append("~")
            case "1": token.append("/")
            default: return nil
            }
        }
        return token
    }

    /// The value in `root`, or nil where the path leads nowhere.
    func value(in root: JSON) -> JSON? {
        var value = root
        for token in tokens {
            let next: JSON?
            if let index = Int(token), value.items != nil {
                next = value[index]
            } else {
                next = value[token]
            }
            guard let next else { return nil }
            value = next
        }
        return value
    }
}

extension JSON {
    /// A string as it reads, anything else as JSON.
    var plainText: String { string ?? text }
}
