// How does the environment get into a setting? `${NAME}` must be set, `${NAME:-default}` need not be,
// `$$` is a dollar. Any other dollar is left alone, so that `^ok$` stays a pattern.
//
// Values are filled in after YAML has been read: whatever a variable holds, it can neither open a
// list nor move a position.

struct Substitution {
    let environment: [String: String]

    struct Problem: Error, Hashable {
        /// Letters before the dollar.
        var offset: Int
        var message: String
    }

    /// `${NAME}` or `${NAME:-default}`, and nothing beside it.
    static func isVariable(_ text: String) -> Bool {
        text.hasPrefix("${") && text.firstIndex(of: "}") == text.indices.last
    }

    func fill(_ text: String) throws(Problem) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        let scalars = Array(text.unicodeScalars)
        var filled = String.UnicodeScalarView()
        var index = 0
        while index < scalars.count {
            let next = index + 1 < scalars.count ? scalars[index + 1] : nil
            if scalars[index] == "$", next == "$" {
                filled.append("$")
                index += 2
            } else if scalars[index] == "$", next == "{" {
                guard let end = scalars[index...].firstIndex(of: "}") else {
                    throw Problem(offset: index, message: "expected '}' after '${', saw none")
                }
                let inside = String(String.UnicodeScalarView(scalars[(index + 2)..<end]))
                filled.append(contentsOf: try value(of: inside, offset: index).unicodeScalars)
                index = end + 1
            } else {
                filled.append(scalars[index])
                index += 1
            }
        }
        return String(filled)
    }

    private func value(of inside: String, offset: Int) throws(Problem) -> String {
        let name = inside.prefix { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) }
        let rest = inside.dropFirst(name.count)
        let isName = name.first.map { !$0.isNumber } ?? false
        guard isName, rest.isEmpty || rest.hasPrefix(":-"), !rest.contains("${") else {
            throw Problem(
                offset: offset,
                message: "expected ${NAME} or ${NAME:-default}, saw '${\(inside)}'"
            )
        }
        let value = environment[String(name)]
        if rest.isEmpty {
            if let value { return value }
            throw Problem(
                offset: offset,
                message: "expected the environment variable \(name), saw it unset; "
                    + "${\(name):-default} would give it a default"
            )
        }
        // As in the shell: an empty variable is as good as none.
        if let value, !value.isEmpty { return value }
        return String(rest.dropFirst(2))
    }
}
