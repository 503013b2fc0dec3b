// How does nginx read its configuration? Directives that end with a semicolon or hold a block; words in quotes or not, a
// backslash that takes the next letter as it is, comments; and blocks of Lua, which have rules of their own.

import Vocabulary

/// One directive, with what it holds.
struct NginxDirective: Equatable, Sendable {
    var place: SourcePlace
    var name: String
    var arguments: [String]
    /// Nil where it ends with a semicolon.
    var block: [NginxDirective]?
    /// What stands in a block of Lua.
    var lua: String?

    /// As one line.
    var text: String {
        let line = ([name] + arguments).map(Self.written).joined(separator: " ")
        if let lua { return "\(line) { \(lua) }" }
        return block == nil ? "\(line);" : line
    }

    private static func written(_ word: String) -> String {
        let isPlain =
            !word.isEmpty
            && !word.unicodeScalars.contains { " \t\r\n;{}\"'#".unicodeScalars.contains($0) }
        if isPlain { return word }
        return "\"" + word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    var first: String { arguments.first ?? "" }
}

/// A file that is read.
public struct SourceFile: Sendable {
    public var path: String
    public var text: String

    public init(path: String, text: String) {
        self.path = path
        self.text = text
    }
}

/// Whatever `pattern` of an include finds, in order. Told which file asks.
public typealias SourceLoader = (_ pattern: String, _ asker: String) -> [SourceFile]

struct NginxTree {
    private(set) var directives: [NginxDirective] = []
    /// What could not be read.
    private(set) var notes: [Note] = []
    private let load: SourceLoader
    private var fileCount = 0
    private var directiveCount = 0

    static let depthMax = 64
    static let filesMax = 1_024
    static let directivesMax = 1_000_000
    private static let includesMax = 16

    init(_ file: SourceFile, load: @escaping SourceLoader) {
        self.load = load
        directives = read(file, within: [])
    }

    private mutating func read(_ file: SourceFile, within files: [String]) -> [NginxDirective] {
        fileCount += 1
        var words = NginxWords(file)
        let list = block(&words, depth: 0, within: files + [file.path])
        notes += words.notes
        return list
    }

    /// To the brace that closes it, or to the end.
    private mutating func block(
        _ words: inout NginxWords,
        depth: Int,
        within files: [String]
    ) -> [NginxDirective] {
        var list: [NginxDirective] = []
        var line: [String] = []
        var place: SourcePlace?
        func directive(_ at: SourcePlace) -> NginxDirective? {
            guard let name = line.first else { return nil }
            return NginxDirective(
                place: place ?? at,
                name: name,
                arguments: Array(line.dropFirst())
            )
        }
        while let token = words.next(afterName: line.first) {
            switch token.sort {
            case .word(let word):
                if line.isEmpty { place = token.place }
                line.append(word)
                continue
            case .end:
                if let found = directive(token.place) { add(found, to: &list, within: files) }
            case .lua(let text):
                if var found = directive(token.place) {
                    found.lua = text
                    add(found, to: &list, within: files)
                }
            case .open:
                let inner =
                    depth < Self.depthMax
                    ? block(&words, depth: depth + 1, within: files) : skip(&words, token.place)
                var found =
                    directive(token.place)
                    ?? NginxDirective(place: token.place, name: "(no name)", arguments: [])
                found.block = inner
                add(found, to: &list, within: files)
            case .close:
                if let found = directive(token.place) {
                    tell(found, "expected ';' before '}'")
                    add(found, to: &list, within: files)
                }
                if depth > 0 { return list }
                notes.append(
                    Note(place: token.place, text: "}", why: "nothing is open that it could close")
                )
            }
            line = []
            place = nil
        }
        if let found = directive(words.place) {
            tell(found, "expected ';', saw the end of the file")
            add(found, to: &list, within: files)
        }
        if depth > 0 {
            notes.append(
                Note(place: words.place, text: "", why: "expected '}', saw the end of the file")
            )
        }
        return list
    }

    private mutating func tell(_ directive: NginxDirective, _ why: String) {
        notes.append(Note(place: directive.place, text: directive.text, why: why))
    }

    private mutating func skip(_ words: inout NginxWords, _ place: SourcePlace) -> [NginxDirective]
    {
        notes.append(
            Note(
                place: place,
                text: "{",
                why: "expected at most \(Self.depthMax) blocks in one another"
            )
        )
        var open = 1
        while open > 0, let token = words.next(afterName: nil) {
            if case .open = token.sort { open += 1 }
            if case .close = token.sort { open -= 1 }
        }
        return []
    }

    private mutating func add(
        _ directive: NginxDirective,
        to list: inout [NginxDirective],
        within files: [String]
    ) {
        directiveCount += 1
        if directiveCount > Self.directivesMax {
            if directiveCount == Self.directivesMax + 1 {
                tell(directive, "expected at most \(Self.directivesMax) directives, saw more")
            }
            return
        }
        guard directive.name == "include", directive.block == nil, !directive.arguments.isEmpty
        else {
            list.append(directive)
            return
        }
        // Types of content say nothing of servers.
        if directive.first.hasSuffix("mime.types") { return }
        guard files.count < Self.includesMax, fileCount < Self.filesMax else {
            tell(
                directive,
                "expected at most \(Self.filesMax) files, \(Self.includesMax) in one another"
            )
            return
        }
        let found = load(directive.first, files.last ?? "")
        if found.isEmpty { tell(directive, "no such file here") }
        for file in found {
            if files.contains(file.path) {
                tell(directive, "includes itself")
            } else {
                list += read(file, within: files)
            }
        }
    }
}

/// Cuts a text into words and signs.
struct NginxWords {
    struct Token {
        enum Sort {
            case word(String)
            case end, open, close
            case lua(String)
        }
        var sort: Sort
        var place: SourcePlace
    }

    private let file: String
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private(set) var notes: [Note] = []

    init(_ file: SourceFile) {
        self.file = file.path
        bytes = Array(file.text.utf8)
    }

    var place: SourcePlace { SourcePlace(file: file, line: line) }

    private mutating func step() -> UInt8 {
        let byte = bytes[position]
        position += 1
        if byte == 10 { line += 1 }
        return byte
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    /// `name`: that of the directive so far, which says whether a brace opens Lua.
    mutating func next(afterName name: String?) -> Token? {
        while position < bytes.count, Self.isBlank(bytes[position]) { _ = step() }
        guard position < bytes.count else { return nil }
        let place = place
        switch bytes[position] {
        case UInt8(ascii: "#"):
            while position < bytes.count, bytes[position] != 10 { position += 1 }
            return next(afterName: name)
        case UInt8(ascii: ";"):
            position += 1
            return Token(sort: .end, place: place)
        case UInt8(ascii: "{"):
            position += 1
            guard name?.hasSuffix("_by_lua_block") == true else {
                return Token(sort: .open, place: place)
            }
            return Token(sort: .lua(lua()), place: place)
        case UInt8(ascii: "}"):
            position += 1
            return Token(sort: .close, place: place)
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            return Token(sort: .word(quoted(step())), place: place)
        default:
            return Token(sort: .word(plain()), place: place)
        }
    }

    private mutating func plain() -> String {
        var word: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            if Self.isBlank(byte) || byte == UInt8(ascii: ";") || byte == UInt8(ascii: "{") {
                break
            }
            position += 1
            switch byte {
            case UInt8(ascii: "\\"):
                word.append(byte)
                if position < bytes.count { word.append(step()) }
            // A variable's own braces.
            case UInt8(ascii: "$")
            where position < bytes.count && bytes[position] == UInt8(ascii: "{"):
                word.append(byte)
                while position < bytes.count, !Self.isBlank(bytes[position]) {
                    let inner = step()
                    word.append(inner)
                    if inner == UInt8(ascii: "}") { break }
                }
            default: word.append(byte)
            }
        }
        return String(decoding: word, as: UTF8.self)
    }

    private mutating func quoted(_ quote: UInt8) -> String {
        let place = place
        var word: [UInt8] = []
        while position < bytes.count {
            let byte = step()
            if byte == quote { return String(decoding: word, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\"), position < bytes.count else {
                word.append(byte)
                continue
            }
            let next = step()
            switch next {
            case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"): word.append(next)
            case UInt8(ascii: "t"): word.append(0x09)
            case UInt8(ascii: "r"): word.append(0x0D)
            case UInt8(ascii: "n"): word.append(0x0A)
            default: word += [byte, next]
            }
        }
        notes.append(
            Note(place: place, text: "", why: "expected a closing quote, saw the end of the file")
        )
        return String(decoding: word, as: UTF8.self)
    }

    /// To the brace that closes the block, by Lua's rules: braces in texts and comments do not count.
    private mutating func lua() -> String {
        let start = position
        let place = place
        var open = 1
        while position < bytes.count {
            let byte = step()
            switch byte {
            case UInt8(ascii: "{"): open += 1
            case UInt8(ascii: "}"):
                open -= 1
                if open == 0 {
                    return String(decoding: bytes[start..<position - 1], as: UTF8.self)
                }
            case UInt8(ascii: "\""), UInt8(ascii: "'"): skipText(byte)
            case UInt8(ascii: "-") where starts("-"): skipComment()
            case UInt8(ascii: "["): _ = skipLong()
            default: break
            }
        }
        notes.append(
            Note(place: place, text: "", why: "expected '}' after Lua, saw the end of the file")
        )
        return String(decoding: bytes[start...], as: UTF8.self)
    }

    private func starts(_ text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    private mutating func skipText(_ quote: UInt8) {
        while position < bytes.count {
            let byte = step()
            if byte == quote || byte == 10 { return }
            if byte == UInt8(ascii: "\\"), position < bytes.count { _ = step() }
        }
    }

    private mutating func skipComment() {
        position += 1
        if position < bytes.count, bytes[position] == UInt8(ascii: "[") {
            position += 1
            if skipLong() { return }
        }
        while position < bytes.count, bytes[position] != 10 { position += 1 }
    }

    /// `[[ … ]]`, `[==[ … ]==]`; the first bracket is behind us. False where it is no such text.
    private mutating func skipLong() -> Bool {
        var level = 0
        while position + level < bytes.count, bytes[position + level] == UInt8(ascii: "=") {
            level += 1
        }
        guard position + level < bytes.count, bytes[position + level] == UInt8(ascii: "[") else {
            return false
        }
        let end = Array(("]" + String(repeating: "=", count: level) + "]").utf8)
        position += level + 1
        while position < bytes.count {
            if bytes[position...].starts(with: end) {
                position += end.count
                return true
            }
            _ = step()
        }
        return true
    }
}
