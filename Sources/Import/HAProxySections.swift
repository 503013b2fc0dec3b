// Which sections does an HAProxy configuration have, and what holds in each? A line whose first word names a section
// begins one; what `defaults` says holds in those that follow, or in those that name it (`from`).

import Vocabulary

struct HAProxySection: Equatable, Sendable {
    var kind: String
    var name: String
    var place: SourcePlace
    var raw: String
    /// Of `defaults`: the one that a proxy names, or that this one goes on from.
    var from: String?
    var lines: [HAProxyLine] = []

    /// Sections that serve, and have servers or lead to them.
    var isProxy: Bool { ["frontend", "backend", "listen"].contains(kind) }

    static let kinds: Set<String> = [
        "global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "mailers",
        "resolvers", "cache", "program", "ring", "http-errors", "fcgi-app", "log-forward",
        "crt-store",
        "traces", "log-profile", "acme",
    ]
}

struct HAProxySections {
    var sections: [HAProxySection] = []
    /// What stood in no section, or could not be read.
    var notes: [Note] = []

    /// Of all files together.
    static let linesMax = 1_000_000

    /// A section ends with its file; defaults and variables hold in the files behind it too.
    private var isOpen = false

    init(_ files: [SourceFile], environment: [String: String]) {
        var words = HAProxyWords(environment: environment)
        var left = Self.linesMax
        for file in files {
            isOpen = false
            read(file, &left, &words)
        }
    }

    private mutating func read(_ file: SourceFile, _ left: inout Int, _ words: inout HAProxyWords) {
        var number = 0
        for line in file.text.utf8.split(separator: 10, omittingEmptySubsequences: false) {
            number += 1
            left -= 1
            let place = SourcePlace(file: file.path, line: number)
            if left < 0 {
                notes.append(
                    Note(
                        place: place,
                        text: "everything from here on",
                        why: "expected at most \(Self.linesMax) lines, saw more"
                    )
                )
                break
            }
            take(String(decoding: line, as: UTF8.self), at: place, &words)
        }
    }

    private mutating func take(_ text: String, at place: SourcePlace, _ words: inout HAProxyWords) {
        let result: HAProxyWords.Result
        do throws(HAProxyWords.Problem) {
            result = try words.split(text)
        } catch {
            notes.append(Note(place: place, text: text, why: error.text))
            return
        }
        guard let first = result.words.first else { return }
        for name in result.unset.sorted(by: { $0.key < $1.key }).flatMap(\.value) {
            notes.append(
                Note(
                    place: place,
                    text: result.raw,
                    why:
                        "\(name) is set neither above nor in the environment here; HAProxy takes it for nothing"
                )
            )
        }
        // `.if`, `.else`, `.notice` …: what they choose cannot be known here.
        if first.hasPrefix(".") {
            notes.append(
                Note(
                    place: place,
                    text: result.raw,
                    why: "not evaluated: the lines of all its branches are taken"
                )
            )
            return
        }
        if HAProxySection.kinds.contains(first) {
            begin(result, at: place)
            return
        }
        if isOpen, sections.last?.kind == "global", words.take(result.words) { return }
        let line = HAProxyLine(
            place: place,
            words: result.words,
            raw: Self.masked(result),
            unset: result.unset
        )
        if !isOpen {
            notes.append(Note(place: place, text: result.raw, why: "stands in no section"))
        } else {
            sections[sections.count - 1].lines.append(line)
        }
    }

    /// What is written is read by more people than what was read.
    private static func masked(_ result: HAProxyWords.Result) -> String {
        let words = result.words
        var secret: Substring?
        if words.starts(with: ["stats", "auth"]), words.count > 2 {
            secret = words[2].split(separator: ":", maxSplits: 1).last
        } else if words.first == "user",
            let place = words.firstIndex(where: { $0 == "password" || $0 == "insecure-password" })
        {
            secret = words.dropFirst(place + 1).first?[...]
        }
        guard let secret, !secret.isEmpty else { return result.raw }
        // Where quotes or backslashes write it otherwise, nothing of the line is shown behind its name.
        return result.raw.contains(secret)
            ? result.raw.replacing(secret, with: "…")
            : "\(words[0]) \(words.count > 1 ? words[1] : "") …"
    }

    private mutating func begin(_ result: HAProxyWords.Result, at place: SourcePlace) {
        var rest = result.words.dropFirst()
        var section = HAProxySection(
            kind: result.words[0],
            name: "",
            place: place,
            raw: result.raw
        )
        if let name = rest.first, name != "from" {
            section.name = name
            rest.removeFirst()
        }
        if rest.first == "from", let name = rest.dropFirst().first {
            section.from = name
            rest.removeFirst(2)
        }
        // An address behind the name, as old versions took it.
        if section.isProxy, let address = rest.first {
            section.lines.append(
                HAProxyLine(place: place, words: ["bind", address], raw: "bind \(address)")
            )
        }
        sections.append(section)
        isOpen = true
    }

    /// The lines that hold in `section` before its own, in order.
    func defaults(of index: Int) -> [HAProxyLine] {
        var lines: [HAProxyLine] = []
        var seen: Set<Int> = []
        var wanted = sections[index].from
        var before = index
        // Without a name it is the nearest before it.
        while true {
            let found = sections[..<before].lastIndex { section in
                section.kind == "defaults" && (wanted == nil || section.name == wanted)
            }
            guard let found, seen.insert(found).inserted else { return lines }
            lines = sections[found].lines + lines
            guard let next = sections[found].from else { return lines }
            wanted = next
            before = found
        }
    }
}
