// How does HAProxy read a line? Words between blanks; a backslash, two sorts of quotes, a sign for a comment, and
// variables of the environment inside double quotes only (configuration manual, sections 2.2 and 2.3).

import Vocabulary

/// One line that says something.
struct HAProxyLine: Equatable, Sendable {
    var place: SourcePlace
    var words: [String]
    /// As it was written, without its comment.
    var raw: String
    /// Variables that nothing sets, by the place of the word in which they stand.
    var unset: [Int: [String]] = [:]

    var first: String { words.first ?? "" }
    var second: String { words.count > 1 ? words[1] : "" }
    /// What comes after the keyword.
    var rest: [String] { Array(words.dropFirst()) }
}

struct HAProxyWords {
    /// With what `global` has set so far.
    private(set) var environment: [String: String]

    /// More on one line is no configuration; the rest stays in one word.
    static let wordsMax = 4_096

    struct Problem: Error, Equatable {
        var text: String
    }

    struct Result: Equatable {
        var words: [String] = []
        /// Up to the comment.
        var raw = ""
        /// Variables that nothing sets, by the place of the word in which they stand. HAProxy takes them for nothing.
        var unset: [Int: [String]] = [:]
    }

    func split(_ line: String) throws(Problem) -> Result {
        var cutter = Cutter(line, environment)
        try cutter.run()
        return cutter.result
    }

    /// A line of `global` that changes variables for those behind it; false where it is none.
    mutating func take(_ words: [String]) -> Bool {
        switch (words.first, words.count) {
        case ("setenv", 3...): environment[words[1]] = words[2]
        case ("presetenv", 3...): environment[words[1]] = environment[words[1]] ?? words[2]
        case ("unsetenv", 2...): for name in words.dropFirst() { environment[name] = nil }
        case ("resetenv", _):
            let kept = Set(words.dropFirst())
            environment = environment.filter { kept.contains($0.key) }
        default: return false
        }
        return true
    }

    private struct Cutter {
        private var rest: Substring.UnicodeScalarView
        private let line: String
        private let environment: [String: String]
        private var word = String.UnicodeScalarView()
        private var isInWord = false
        var result = Result()

        init(_ line: String, _ environment: [String: String]) {
            self.line = line
            self.environment = environment
            rest = line.unicodeScalars[...]
        }

        mutating func run() throws(Problem) {
            while let scalar = rest.first {
                switch scalar {
                case "#":
                    finish(before: rest.startIndex)
                    return
                case " ", "\t", "\r", "\n":
                    end()
                    rest.removeFirst()
                case "\"": try weak()
                case "'": try strong()
                case "\\": try escape()
                default:
                    isInWord = true
                    word.append(scalar)
                    rest.removeFirst()
                }
            }
            finish(before: rest.startIndex)
        }

        private mutating func finish(before end: String.Index) {
            self.end()
            var raw = line[..<end]
            while let last = raw.unicodeScalars.last, last == " " || last == "\t" || last == "\r" {
                raw.unicodeScalars.removeLast()
            }
            result.raw = String(raw.drop { $0 == " " || $0 == "\t" })
        }

        private mutating func end() {
            guard isInWord else { return }
            if result.words.count < HAProxyWords.wordsMax {
                result.words.append(String(word))
            } else {
                result.words[result.words.count - 1] += " " + String(word)
            }
            word = .init()
            isInWord = false
        }

        /// Outside quotes: a blank, a sign, a control character, or the letter itself.
        private mutating func escape() throws(Problem) {
            rest.removeFirst()
            isInWord = true
            guard let scalar = rest.popFirst() else {
                throw Problem(text: "expected a letter after the last backslash, saw none")
            }
            switch scalar {
            case "r": word.append("\r")
            case "n": word.append("\n")
            case "t": word.append("\t")
            case "x": try hexadecimal()
            case "\\", "\"", "'", " ", "#": word.append(scalar)
            default:
                word.append("\\")
                word.append(scalar)
            }
        }

        private mutating func hexadecimal() throws(Problem) {
            let digits = String(rest.prefix(2))
            guard digits.utf8.count == 2, let byte = UInt8(digits, radix: 16) else {
                throw Problem(text: "expected two hexadecimal digits after \\x, saw '\(digits)'")
            }
            rest = rest.dropFirst(2)
            word.append(UnicodeScalar(byte))
        }

        private mutating func strong() throws(Problem) {
            rest.removeFirst()
            isInWord = true
            while let scalar = rest.popFirst() {
                if scalar == "'" { return }
                word.append(scalar)
            }
            throw Problem(text: "expected a closing quote ', saw the end of the line")
        }

        private mutating func weak() throws(Problem) {
            rest.removeFirst()
            isInWord = true
            while let scalar = rest.popFirst() {
                switch scalar {
                case "\"": return
                case "\\":
                    guard let next = rest.popFirst() else { break }
                    switch next {
                    case "\\", "\"", "$", "`", "'", " ", "#": word.append(next)
                    case "r": word.append("\r")
                    case "n": word.append("\n")
                    case "t": word.append("\t")
                    case "x": try hexadecimal()
                    default:
                        word.append("\\")
                        word.append(next)
                    }
                case "$": variable()
                default: word.append(scalar)
                }
            }
            throw Problem(text: "expected a closing quote \", saw the end of the line")
        }

        /// `$NAME`, `${NAME}`, `${NAME-default}`; `[*]` asks for several words, and gives one here.
        private mutating func variable() {
            var inner = rest
            let hasBrace = inner.first == "{"
            if hasBrace { inner.removeFirst() }
            let name = String(
                inner.prefix { scalar in
                    scalar.isASCII
                        && (scalar.properties.isAlphabetic || scalar == "_"
                            || "0"..."9" ~= scalar)
                }
            )
            inner = inner.dropFirst(name.unicodeScalars.count)
            if name.isEmpty {
                word.append("$")
                return
            }
            if inner.starts(with: "[*]".unicodeScalars) { inner = inner.dropFirst(3) }
            var fallback: String?
            if hasBrace {
                if inner.first == "-" {
                    let text = inner.dropFirst().prefix { $0 != "}" }
                    fallback = String(text)
                    inner = inner.dropFirst(text.count + 1)
                }
                guard inner.first == "}" else {
                    word.append("$")
                    return
                }
                inner.removeFirst()
            }
            rest = inner
            guard let value = environment[name] ?? fallback else {
                result.unset[result.words.count, default: []].append(name)
                return
            }
            word.append(contentsOf: value.unicodeScalars)
        }
    }
}
