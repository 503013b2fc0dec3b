// Which hosts and paths does a condition mean? Of access lists those that look at the host or at the beginning of the
// path can be told as routes; a rule with any other in it cannot.

import Vocabulary

struct HAProxyRules {
    struct Place: Hashable {
        var host = "*"
        var path = "/"
    }

    private enum Meaning {
        case hosts([String])
        case paths([String])

        var hosts: [String] { if case .hosts(let hosts) = self { hosts } else { [] } }
        var paths: [String] { if case .paths(let paths) = self { paths } else { [] } }
    }

    private var lists: [String: [HAProxyLine]] = [:]
    private let all: [HAProxyLine]
    private var used: Set<Int> = []
    private var told: [Note] = []

    init(_ lines: [HAProxyLine]) {
        all = lines
        for line in lines { lists[line.second, default: []].append(line) }
    }

    /// Of lists that no route stands for, and of what a route takes more widely.
    var notes: [Note] {
        told
            + all.filter { !used.contains($0.place.line) }.map {
                Note(place: $0.place, text: $0.raw, why: "no route stands for it")
            }
    }

    /// `use_backend NAME if …`; nil where the condition is about something else.
    mutating func places(of line: HAProxyLine) -> [Place]? {
        var words = Array(line.words.dropFirst(2))
        if words.isEmpty { return [Place()] }
        guard words.removeFirst() == "if" else { return nil }
        var found: [Place] = []
        var seen: [Int] = []
        var doubts: [Note] = []
        for group in Self.groups(words) {
            guard let places = both(group, line, &seen, &doubts) else { return nil }
            found += places
        }
        if found.isEmpty { return nil }
        used.formUnion(seen)
        told += doubts
        var isNew: Set<Place> = []
        return found.filter { isNew.insert($0).inserted }
    }

    /// Terms that are all to hold, by `or`.
    private static func groups(_ words: [String]) -> [[[String]]] {
        var groups: [[[String]]] = [[]]
        var inner: [String]?
        for word in words {
            if word == "}" {
                if let term = inner { groups[groups.count - 1].append(["{"] + term) }
                inner = nil
            } else if inner != nil {
                inner?.append(word)
            } else if word == "{" {
                inner = []
            } else if word == "or" || word == "||" {
                groups.append([])
            } else {
                groups[groups.count - 1].append([word])
            }
        }
        return groups
    }

    private func both(
        _ terms: [[String]],
        _ line: HAProxyLine,
        _ seen: inout [Int],
        _ doubts: inout [Note]
    ) -> [Place]? {
        var hosts: [String]?
        var paths: [String]?
        for term in terms {
            guard let first = term.first, !first.hasPrefix("!") else { return nil }
            let lines: [HAProxyLine]
            if first == "{" {
                lines = [
                    HAProxyLine(
                        place: line.place,
                        words: ["acl", ""] + term.dropFirst(),
                        raw: line.raw
                    )
                ]
            } else {
                guard let named = lists[first] else { return nil }
                lines = named
                seen += named.map(\.place.line)
            }
            for meaning in lines.map({ self.meaning($0, &doubts) }) where meaning == nil {
                return nil
            }
            let meanings = lines.compactMap { self.meaning($0) }
            let theirs = meanings.flatMap(\.hosts)
            let those = meanings.flatMap(\.paths)
            // One list about both, either of which is enough.
            if !theirs.isEmpty, !those.isEmpty { return nil }
            if !theirs.isEmpty {
                hosts = hosts.map { $0.filter(Set(theirs).contains) } ?? theirs
            } else {
                paths = paths.map { $0.filter(Set(those).contains) } ?? those
            }
        }
        let wanted = (hosts ?? ["*"], paths ?? ["/"])
        return wanted.0.flatMap { host in wanted.1.map { Place(host: host, path: $0) } }
    }

    private func meaning(_ line: HAProxyLine) -> Meaning? {
        var none: [Note] = []
        return meaning(line, &none)
    }

    /// `acl NAME CRITERION [flags] VALUE…`.
    private func meaning(_ line: HAProxyLine, _ doubts: inout [Note]) -> Meaning? {
        guard line.words.count > 3 else { return nil }
        let criterion = line.words[2]
        var values: [String] = []
        var way: String?
        var heedsCase = true
        var words = line.words.dropFirst(3)
        while let word = words.popFirst() {
            switch word {
            case "-i": heedsCase = false
            case "--", "-n": continue
            case "-m": way = words.popFirst()
            // Values in a file, or by number.
            case _ where word.hasPrefix("-") && word.utf8.count == 2: return nil
            default: values.append(word)
            }
        }
        guard !values.isEmpty else { return nil }
        let name = criterion.prefix { $0 != "(" }.prefix { $0 != "," }
        let inner = criterion.dropFirst(name.count).lowercased()
        switch name {
        case "hdr", "req.hdr", "hdr_str", "hdr_end", "hdr_dom", "req.fhdr", "req.hdr_end", "fhdr",
            "hdr_beg",
            "hdr_sub", "hdr_reg", "hdr_dir":
            guard Self.isOfHost(inner) else { return nil }
            return hosts(
                values,
                way ?? Self.way(of: name, among: ["end", "dom", "beg", "sub", "reg", "dir"]),
                line,
                &doubts
            )
        case "path", "path_beg", "path_dir", "path_reg", "path_str", "path_end", "path_sub",
            "path_len":
            guard inner.isEmpty else { return nil }
            return paths(
                values,
                way ?? Self.way(of: name, among: ["beg", "dir", "reg", "end", "sub", "len"]),
                heedsCase: heedsCase,
                line,
                &doubts
            )
        default: return nil
        }
    }

    private static func way(of name: Substring, among ways: [String]) -> String {
        ways.first { name.hasSuffix("_\($0)") } ?? "str"
    }

    /// `(host)` with nothing behind it but what a route does anyway: no regard to case, nor to the port.
    private static func isOfHost(_ inner: String) -> Bool {
        guard inner.hasPrefix("(host)") || inner.hasPrefix("(host,"),
            let end = inner.firstIndex(of: ")")
        else { return false }
        var rest = inner[inner.index(after: end)...]
        while let known = [",lower", ",host_only", ",field(1,:)", ",word(1,:)"]
            .first(where: { rest.hasPrefix($0) })
        {
            rest = rest.dropFirst(known.count)
        }
        return rest.isEmpty
    }

    private func hosts(
        _ values: [String],
        _ way: String,
        _ line: HAProxyLine,
        _ doubts: inout [Note]
    ) -> Meaning? {
        var hosts: [String] = []
        for value in values {
            // A port in it is part of Host only.
            let whole = value
            let value = value.split(separator: ":", maxSplits: 1).first.map(String.init) ?? value
            if value != whole, !values.contains(value) {
                doubts.append(
                    Note(
                        place: line.place,
                        text: line.raw,
                        why: "a route's host has any port: '\(value)' alone leads here too"
                    )
                )
            }
            let names: [String]
            var doubt: String?
            switch way {
            case "str": names = [value]
            case "end" where value.hasPrefix("."): names = ["*" + value]
            case "end":
                names = [value, "*." + value]
                doubt =
                    "a route's host begins at a dot: 'my\(value)', which ends so too, goes elsewhere"
            case "dom":
                names = [value, "*." + value]
                doubt = "a route's host is the end of a name: '\(value).example' goes elsewhere"
            default: return nil
            }
            for name in names {
                guard let host = RouteWords.host(name) else { return nil }
                hosts.append(host)
            }
            if let doubt { doubts.append(Note(place: line.place, text: line.raw, why: doubt)) }
        }
        return .hosts(hosts)
    }

    private func paths(
        _ values: [String],
        _ way: String,
        heedsCase: Bool,
        _ line: HAProxyLine,
        _ doubts: inout [Note]
    ) -> Meaning? {
        var paths: [String] = []
        for value in values {
            let beginning: PathBeginning
            switch way {
            case "beg": beginning = PathBeginning(text: value, end: .anywhere)
            case "str": beginning = PathBeginning(text: value, end: .here)
            case "reg":
                guard let literal = Self.literal(value) else { return nil }
                beginning = literal
            default: return nil
            }
            guard let path = beginning.path else { return nil }
            paths.append(path)
            for why in beginning.doubts(heedsCase: heedsCase) {
                doubts.append(Note(place: line.place, text: line.raw, why: why))
            }
        }
        return .paths(paths)
    }

    /// `^/api`, `^/api/`, `^/api(/.*)?$`: what begins so.
    static func literal(_ pattern: String) -> PathBeginning? {
        guard pattern.hasPrefix("^/") else { return nil }
        var text = pattern.dropFirst()
        var end = PathBeginning.End.anywhere
        let endings: [(String, PathBeginning.End)] = [
            ("(/.*)?$", .segment), ("(/|$)", .segment), ("/?.*$", .anywhere), (".*$", .anywhere),
            ("/?.*", .anywhere), (".*", .anywhere), ("/?$", .here), ("/?", .anywhere),
        ]
        if let (ending, its) = endings.first(where: { text.hasSuffix($0.0) }) {
            text = text.dropLast(ending.count)
            end = its
        }
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "/"):
                true
            default: false
            }
        }
        return isPlain ? PathBeginning(text: text.isEmpty ? "/" : String(text), end: end) : nil
    }
}
