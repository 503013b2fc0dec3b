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
        // By scalars: an accent after a slash or a tilde would make one letter of the two.
        let scalars = text.unicodeScalars
        guard scalars.first == "/" else { return nil }
        var tokens: [String] = []
        for part in scalars.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let token = Self.unescaped(part) else { return nil }
            tokens.append(token)
        }
        self.tokens = tokens
    }

    private static func unescaped(_ part: Substring.UnicodeScalarView) -> String? {
        var token = String.UnicodeScalarView()
        var rest = part
        while let scalar = rest.popFirst() {
            guard scalar == "~" else {
                token.append(scalar)
                continue
            }
            switch rest.popFirst() {
            case "0": token.append("~")
            case "1": token.append("/")
            default: return nil
            }
        }
        return String(token)
    }

    /// Digits without a leading zero; `Int` alone would take `+1` and `01`.
    private static func index(_ token: String) -> Int? {
        let isPlain = token.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard isPlain, token == "0" || token.utf8.first != 0x30 else { return nil }
        return Int(token)
    }

    /// The value in `root`, or nil where the path leads nowhere.
    func value(in root: JSON) -> JSON? {
        var value = root
        for token in tokens {
            let next: JSON?
            if let index = Self.index(token), value.items != nil {
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
