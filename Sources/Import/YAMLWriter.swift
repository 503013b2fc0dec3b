// How does a draft become a file that muster reads? In the order in which the documents tell it, a line for each
// peer, monitor and route, and beside each thing the notes that belong to it. Whatever the source says, what
// is written here can only be read as what was meant.

import Vocabulary

struct YAMLWriter {
    private(set) var text = ""
    /// Notes that are not written.
    private var unwritten = 0
    private var written = 0

    /// Whoever feeds it something else than a configuration gets no book about it.
    static let notesMax = 10_000

    /// `source` is what was read, by `command`.
    static func file(_ draft: Draft, from source: String, by command: String) -> String {
        var writer = YAMLWriter()
        writer.head(draft, source, command)
        writer.upstreams(draft.upstreams)
        writer.proxy(draft)
        writer.admin(draft)
        writer.tail()
        return writer.text
    }

    // MARK: Sections

    private mutating func head(_ draft: Draft, _ source: String, _ command: String) {
        line("# Made of \(Self.comment(source)) by \(command).")
        if draft.noteCount > 0 {
            line(
                "# What has no counterpart, or another meaning, stands in comments with its place."
            )
        }
        for hint in draft.hints { line("# \(Self.comment(hint))") }
        if !draft.notes.isEmpty { line("#") }
        notes(draft.notes, indent: 0)
        line("")
    }

    private mutating func upstreams(_ upstreams: [DraftUpstream]) {
        if upstreams.isEmpty {
            line("upstreams: {}")
            return
        }
        line("upstreams:")
        for (index, upstream) in upstreams.enumerated() {
            if index > 0 { line("") }
            if !upstream.source.isEmpty { line("  # \(Self.comment(upstream.source))") }
            line("  \(Self.key(upstream.name)):")
            notes(upstream.notes, indent: 4)
            for entry in upstream.settings {
                line("    \(Self.key(entry.key)): \(Self.flow(entry.value))")
            }
            items("peers", upstream.peers, indent: 4, writesNone: true)
            items("monitors", upstream.monitors, indent: 4)
        }
    }

    private mutating func items(
        _ key: String,
        _ items: [DraftItem],
        indent: Int,
        writesNone: Bool = false
    ) {
        let space = String(repeating: " ", count: indent)
        if items.isEmpty {
            if writesNone { line("\(space)\(key): []") }
            return
        }
        line("\(space)\(key):")
        for item in items {
            notes(item.notes, indent: indent + 2)
            line("\(space)  - \(Self.item(item.tree))")
        }
    }

    private mutating func proxy(_ draft: Draft) {
        if draft.listeners.isEmpty, draft.threads == nil, draft.timeouts.isEmpty { return }
        line("")
        line("proxy:")
        if let threads = draft.threads { line("  threads: \(threads)") }
        if !draft.timeouts.isEmpty {
            line("  timeouts:")
            for key in Draft.timeoutKeys {
                if let span = draft.timeouts[key] { line("    \(key): \(span.text)") }
            }
        }
        if draft.listeners.isEmpty { return }
        line("  listeners:")
        for listener in draft.listeners {
            if !listener.source.isEmpty { line("    # \(Self.comment(listener.source))") }
            notes(listener.notes, indent: 4)
            line("    - bind: \(Self.scalar(listener.bind))")
            switch listener.mode {
            case .tcp(let upstream):
                line("      mode: tcp")
                line("      upstream: \(Self.scalar(upstream))")
            case .http(let routes):
                line("      routes:")
                for route in routes { line("        - \(Self.flow(Self.tree(of: route)))") }
            }
        }
    }

    private static func tree(of route: DraftRoute) -> Tree {
        var entries: [Tree.Entry] = []
        if route.host != "*" { entries.append(.init("host", .text(route.host))) }
        if route.path != "/" { entries.append(.init("path", .text(route.path))) }
        if route.stripsPrefix { entries.append(.init("strip-prefix", .flag(true))) }
        return .map(entries + [.init("upstream", .text(route.upstream))])
    }

    private static let adminPort = 7_000

    /// Somewhere else where a listener has the port that it has by default.
    private mutating func admin(_ draft: Draft) {
        let ports = Set(
            draft.listeners.compactMap { listener -> Int? in
                guard case .host(_, let port)? = Address(text: listener.bind) else { return nil }
                return Int(port)
            }
        )
        guard ports.contains(Self.adminPort) else { return }
        guard let free = (Self.adminPort...65_535).first(where: { !ports.contains($0) }) else {
            return
        }
        line("")
        line("admin:")
        line("  # \(Self.adminPort), where it is by default, is a listener's here.")
        line("  bind: \(Self.scalar("127.0.0.1:\(free)"))")
    }

    private mutating func tail() {
        if unwritten == 0 { return }
        line("")
        line("# \(unwritten) more comments are not written: at most \(Self.notesMax) are.")
    }

    // MARK: Lines

    private mutating func line(_ line: String) { text += line + "\n" }

    private mutating func notes(_ notes: [Note], indent: Int) {
        let space = String(repeating: " ", count: indent)
        for note in notes {
            guard written < Self.notesMax else {
                unwritten += 1
                continue
            }
            written += 1
            line("\(space)# \(Self.comment("\(note.place)")): \(Self.comment(note.text))")
            if !note.why.isEmpty { line("\(space)#     \(Self.comment(note.why))") }
        }
    }

    /// Nothing in it ends the comment, or steers a terminal.
    static func comment(_ text: String) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in text.printable.unicodeScalars {
            // What is no character of YAML cannot stand in a comment either.
            let isWritten =
                (0x20...0x7E).contains(scalar.value) || (0xA0...0xD7FF).contains(scalar.value)
                || (0xE000...0xFFFD).contains(scalar.value)
                || (0x1_0000...0x10_FFFF).contains(scalar.value)
            shown.append(isWritten ? scalar : "?")
        }
        return String(shown)
    }

    // MARK: Values

    /// A list's item: a peer's line of nginx's words needs no quotes.
    private static func item(_ tree: Tree) -> String {
        if case .word(let words) = tree, words.contains(" ") {
            let isPlain = words.utf8.allSatisfy { byte in
                isPlainByte(byte) || byte == UInt8(ascii: " ") || byte == UInt8(ascii: "=")
                    || byte == UInt8(ascii: ":")
            }
            let first = words.first.map { $0.isASCII && ($0.isLetter || $0.isNumber) } ?? false
            let isEnded = !words.contains(": ") && !words.hasSuffix(":")
            return isPlain && first && isEnded ? words : quoted(words)
        }
        return flow(tree)
    }

    static func flow(_ tree: Tree) -> String {
        switch tree {
        case .text(let text): return scalar(text)
        case .word(let word): return word
        case .list(let items): return "[" + items.map(flow).joined(separator: ", ") + "]"
        case .map(let entries):
            if entries.isEmpty { return "{}" }
            let parts = entries.map { "\(key($0.key)): \(flow($0.value))" }
            return "{ " + parts.joined(separator: ", ") + " }"
        }
    }

    private static func key(_ key: String) -> String { scalar(key) }

    /// Words that are no texts to one reader of YAML or another.
    private static let reserved: Set<String> = [
        "true", "false", "yes", "no", "on", "off", "null", "y", "n", "~",
    ]

    static func scalar(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                    || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte || byte == UInt8(ascii: "/")
            } ?? false
        if isPlain, text.utf8.allSatisfy(isPlainByte), !reserved.contains(text.lowercased()) {
            return text
        }
        return quoted(text)
    }

    private static func isPlainByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"), UInt8(ascii: "/"):
            true
        default: false
        }
    }

    /// In double quotes. A dollar is written twice, since one before a brace would ask for a variable.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "$": quoted += "$$"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            default:
                if (0x20...0x7E).contains(scalar.value) {
                    quoted.unicodeScalars.append(scalar)
                } else {
                    let hex = String(scalar.value, radix: 16)
                    let width = scalar.value > 0xFFFF ? 8 : 4
                    quoted += width == 8 ? "\\U" : "\\u"
                    quoted += String(repeating: "0", count: width - hex.count) + hex
                }
            }
        }
        return quoted + "\""
    }
}
