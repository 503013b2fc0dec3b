// What does a piece of Lua ask a library of upstreams to do? Enough of the language to follow it where it says so
// plainly: names given to values, calls of methods and functions, tables, texts, numbers. What it cannot follow it
// leaves, and says which lines those are.

import Vocabulary

indirect enum LuaValue: Equatable, Sendable {
    case text(String)
    case number(Double)
    case flag(Bool)
    case none
    /// Items without a key have their numbers.
    case table([String: LuaValue])
    case name(String)
    case call(LuaCall)
    /// Something else.
    case other

    var text: String? { if case .text(let text) = self { text } else { nil } }
    var number: Double? {
        switch self {
        case .number(let number): number
        case .text(let text): Double(text)
        default: nil
        }
    }
    var table: [String: LuaValue]? { if case .table(let table) = self { table } else { nil } }

    /// As settings have it.
    var word: String? {
        switch self {
        case .text(let text): text
        case .number(let number) where number == number.rounded() && number.magnitude < 1e15:
            "\(Int64(number))"
        case .number(let number): "\(number)"
        case .flag(let flag): flag ? "true" : "false"
        default: nil
        }
    }
}

/// `target:method(arguments)`, `function(arguments)`.
struct LuaCall: Equatable, Sendable {
    /// Of a method, whose it is.
    var target: LuaValue?
    var name: String
    var arguments: [LuaValue]
}

struct LuaStatement: Equatable, Sendable {
    var line: Int
    /// `local up = …`.
    var assigned: String?
    var value: LuaValue
}

struct LuaReader {
    enum Token: Equatable {
        case name(String)
        case text(String)
        case number(Double)
        case sign(Character)
    }

    private var tokens: [(token: Token, line: Int)] = []
    private var position = 0
    private(set) var statements: [LuaStatement] = []
    /// Lines that nothing here follows.
    private(set) var left: Set<Int> = []

    static let depthMax = 32
    static let tokensMax = 200_000

    /// `line` is that of the first line of `text`.
    init(_ text: String, line: Int) {
        var cutter = LuaCutter(text, line: line)
        while tokens.count < Self.tokensMax, let token = cutter.next() { tokens.append(token) }
        while position < tokens.count { statement() }
    }

    private var token: Token? { position < tokens.count ? tokens[position].token : nil }

    private mutating func take(_ sign: Character) -> Bool {
        guard token == .sign(sign) else { return false }
        position += 1
        return true
    }

    private static let words: Set<String> = [
        "and", "break", "do", "else", "elseif", "end", "for", "function", "goto", "if", "in", "not",
        "or", "repeat", "return", "then", "until", "while",
    ]

    // MARK: Statements

    private mutating func statement() {
        let start = position
        let line = tokens[position].line
        if take(";") { return }
        if token == .name("local") { position += 1 }
        if case .name(let name)? = token, Self.words.contains(name) {
            leave(from: start)
            return
        }
        var names: [String] = []
        if case .name(let name)? = token {
            let before = position
            names = [name]
            position += 1
            while take(",") {
                guard case .name(let next)? = token else { break }
                names.append(next)
                position += 1
            }
            if take("=") {
                let value = expression(depth: 0)
                if value == .other { leave(from: start) }
                statements.append(LuaStatement(line: line, assigned: names.first, value: value))
                while take(",") { _ = expression(depth: 0) }
                return
            }
            position = before
        }
        let value = expression(depth: 0)
        if case .call = value {
            statements.append(LuaStatement(line: line, value: value))
        } else {
            leave(from: start)
        }
    }

    /// Goes on with the next token, of whose line nothing was understood.
    private mutating func leave(from start: Int) {
        position = max(position, start + 1)
        for place in start..<min(position, tokens.count) { left.insert(tokens[place].line) }
    }

    // MARK: Values

    private mutating func expression(depth: Int) -> LuaValue {
        guard depth < Self.depthMax, let token else { return .other }
        var value: LuaValue
        switch token {
        case .text(let text):
            position += 1
            value = .text(text)
        case .number(let number):
            position += 1
            value = .number(number)
        case .sign("{"): value = table(depth: depth)
        case .sign("("):
            position += 1
            value = expression(depth: depth + 1)
            guard take(")") else { return .other }
            value = suffixes(of: value, depth: depth)
        case .sign("-"):
            position += 1
            let inner = expression(depth: depth + 1)
            return inner.number.map { .number(-$0) } ?? .other
        case .sign: return .other
        case .name(let name):
            position += 1
            switch name {
            case "nil": return .none
            case "true": return .flag(true)
            case "false": return .flag(false)
            case _ where Self.words.contains(name): return .other
            default: value = suffixes(of: .name(name), depth: depth)
            }
        }
        // A sum or a joined text is more than what is read here.
        if case .sign(let sign)? = self.token, "+*/.%^<>~=".contains(sign), sign != "=" {
            position += 1
            _ = expression(depth: depth + 1)
            return .other
        }
        return value
    }

    /// `.name`, `:method(…)`, `(…)`, `"text"`, `{…}`, as often as they come.
    private mutating func suffixes(of value: LuaValue, depth: Int) -> LuaValue {
        var value = value
        while let token {
            switch token {
            case .sign("."):
                guard position + 1 < tokens.count, case .name(let name) = tokens[position + 1].token
                else { return value }
                position += 2
                value =
                    if case .name(let outer) = value { .name("\(outer).\(name)") } else { .other }
            case .sign(":"):
                guard position + 1 < tokens.count, case .name(let name) = tokens[position + 1].token
                else { return value }
                position += 2
                value = .call(
                    LuaCall(target: value, name: name, arguments: arguments(depth: depth))
                )
            case .sign("("), .sign("{"), .text:
                let arguments = arguments(depth: depth)
                if case .name(let name) = value {
                    value = .call(LuaCall(name: name, arguments: arguments))
                } else {
                    value = .call(LuaCall(target: value, name: "", arguments: arguments))
                }
            default: return value
            }
        }
        return value
    }

    private mutating func arguments(depth: Int) -> [LuaValue] {
        switch token {
        case .text(let text):
            position += 1
            return [.text(text)]
        case .sign("{"): return [table(depth: depth + 1)]
        case .sign("("): break
        default: return []
        }
        position += 1
        var arguments: [LuaValue] = []
        while let token, token != .sign(")") {
            let before = position
            arguments.append(expression(depth: depth + 1))
            if position == before {
                left.insert(tokens[position].line)
                position += 1
            }
            _ = take(",")
        }
        _ = take(")")
        return arguments
    }

    private mutating func table(depth: Int) -> LuaValue {
        position += 1
        var table: [String: LuaValue] = [:]
        var count = 0
        guard depth < Self.depthMax else { return .other }
        while let token, token != .sign("}") {
            let before = position
            var key: String?
            if case .name(let name) = token, position + 1 < tokens.count,
                tokens[position + 1].token == .sign("=")
            {
                key = name
                position += 2
            } else if take("[") {
                key = expression(depth: depth + 1).word
                _ = take("]")
                _ = take("=")
            }
            let value = expression(depth: depth + 1)
            count += key == nil ? 1 : 0
            table[key ?? "\(count)"] = value
            if position == before { position += 1 }
            if !take(",") { _ = take(";") }
        }
        _ = take("}")
        return .table(table)
    }
}

/// Cuts Lua into tokens.
private struct LuaCutter {
    private let bytes: [UInt8]
    private var position = 0
    private var line: Int

    init(_ text: String, line: Int) {
        bytes = Array(text.utf8)
        self.line = line
    }

    mutating func next() -> (token: LuaReader.Token, line: Int)? {
        while position < bytes.count {
            let byte = bytes[position]
            if byte == 10 { line += 1 }
            if byte <= 0x20 {
                position += 1
            } else if bytes[position...].starts(with: "--".utf8) {
                position += 2
                comment()
            } else {
                return token()
            }
        }
        return nil
    }

    private mutating func comment() {
        if let text = long() {
            line += text.utf8.count { $0 == 10 }
            return
        }
        while position < bytes.count, bytes[position] != 10 { position += 1 }
    }

    private mutating func token() -> (token: LuaReader.Token, line: Int)? {
        let start = line
        let byte = bytes[position]
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
            return (.text(quoted(byte)), start)
        }
        if byte == UInt8(ascii: "["), let text = long() {
            line += text.utf8.count { $0 == 10 }
            return (.text(text), start)
        }
        if isDigit(byte) { return (.number(number()), start) }
        if isLetter(byte) {
            let name = bytes[position...].prefix { isLetter($0) || isDigit($0) }
            position += name.count
            return (.name(String(decoding: name, as: UTF8.self)), start)
        }
        position += 1
        return (.sign(Character(UnicodeScalar(byte))), start)
    }

    private func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
    private func isLetter(_ byte: UInt8) -> Bool {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
            || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
            || byte == UInt8(ascii: "_")
    }

    private mutating func number() -> Double {
        let text = bytes[position...].prefix {
            isDigit($0) || $0 == UInt8(ascii: ".") || isLetter($0)
        }
        position += text.count
        return Double(String(decoding: text, as: UTF8.self)) ?? 0
    }

    private mutating func quoted(_ quote: UInt8) -> String {
        position += 1
        var text: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == quote { break }
            if byte == 10 { line += 1 }
            guard byte == UInt8(ascii: "\\"), position < bytes.count else {
                text.append(byte)
                continue
            }
            let next = bytes[position]
            position += 1
            switch next {
            case UInt8(ascii: "n"): text.append(10)
            case UInt8(ascii: "r"): text.append(13)
            case UInt8(ascii: "t"): text.append(9)
            case 10:
                line += 1
                text.append(10)
            case _ where isDigit(next):
                var code = Int(next - UInt8(ascii: "0"))
                var count = 1
                while count < 3, position < bytes.count, isDigit(bytes[position]) {
                    code = code * 10 + Int(bytes[position] - UInt8(ascii: "0"))
                    position += 1
                    count += 1
                }
                text.append(UInt8(truncatingIfNeeded: code))
            default: text.append(next)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `[[ … ]]`, `[==[ … ]==]`; nil where it is no such text.
    private mutating func long() -> String? {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "[") else { return nil }
        var start = position + 1
        var level = 0
        while start < bytes.count, bytes[start] == UInt8(ascii: "=") {
            level += 1
            start += 1
        }
        guard start < bytes.count, bytes[start] == UInt8(ascii: "[") else { return nil }
        start += 1
        let end = Array(("]" + String(repeating: "=", count: level) + "]").utf8)
        let range = bytes[start...].firstRange(of: end)
        let text = bytes[start..<(range?.lowerBound ?? bytes.count)]
        position = range?.upperBound ?? bytes.count
        return String(decoding: text, as: UTF8.self)
    }
}
