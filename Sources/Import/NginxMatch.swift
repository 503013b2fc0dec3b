// What does a `match` of NGINX Plus want to see? Conditions on an answer, or in a stream what is sent and expected.

import Patterns
import Vocabulary

struct NginxMatch {
    private let lines: [NginxDirective]
    private(set) var notes: [Note] = []

    init(_ directive: NginxDirective?) { lines = directive?.block ?? [] }

    private mutating func note(_ directive: NginxDirective, _ why: String) {
        notes.append(Note(place: directive.place, text: directive.text, why: why))
    }

    // MARK: HTTP

    /// Nil without a condition.
    mutating func expectation() -> Tree? {
        var entries: [Tree.Entry] = []
        var headers: [Tree.Entry] = []
        var wanted: Set<Int>?
        var bodyLine: NginxDirective?
        for line in lines {
            switch line.name {
            case "status":
                guard let statuses = statuses(line), wanted == nil else {
                    note(line, "no statuses")
                    continue
                }
                wanted = statuses
                entries.append(.init("status", .text(Statuses.text(statuses))))
            case "header":
                guard let entry = header(line), !headers.contains(where: { $0.key == entry.key })
                else {
                    note(line, "no such condition here")
                    continue
                }
                headers.append(entry)
            case "body":
                let pattern =
                    line.arguments.count == 2 && line.first == "~" ? line.arguments[1] : ""
                guard !pattern.isEmpty, (try? Pattern(pattern)) != nil,
                    !entries.contains(where: { $0.key == "matches" })
                else {
                    note(line, "no such condition here")
                    continue
                }
                entries.append(.init("matches", .text(pattern)))
                bodyLine = line
            default: note(line, "no such condition here")
            }
        }
        if let bodyLine, let wanted, wanted.isSubset(of: Statuses.bodiless) {
            entries.removeAll { $0.key == "matches" }
            note(bodyLine, "an answer with status \(Statuses.text(wanted)) has no body")
        }
        if !headers.isEmpty { entries.append(.init("headers", .map(headers))) }
        if entries.isEmpty { return nil }
        // Without one of its own any status will do.
        if !entries.contains(where: { $0.key == "status" }) {
            entries.insert(.init("status", .text("101-599")), at: 0)
        }
        return .map(entries)
    }

    private func statuses(_ line: NginxDirective) -> Set<Int>? {
        var words = line.arguments[...]
        let isNot = words.first == "!"
        if isNot { words.removeFirst() }
        var found: Set<Int> = []
        for word in words {
            let ends = word.split(separator: "-").map { Int($0) }
            guard let low = ends.first.flatMap({ $0 }), let high = ends.last.flatMap({ $0 }),
                low <= high,
                (100...999).contains(low), (100...999).contains(high)
            else { return nil }
            found.formUnion(low...high)
        }
        let known = Set([101] + Array(200...599))
        let wanted = isNot ? known.subtracting(found) : known.intersection(found)
        return wanted.isEmpty ? nil : wanted
    }

    private func header(_ line: NginxDirective) -> Tree.Entry? {
        let words = line.arguments
        guard let name = words.first,
            HAProxyImport.isToken(name == "!" ? words.dropFirst().first ?? "" : name)
        else { return nil }
        switch words.count {
        case 1: return .init(name, .map([.init("present", .flag(true))]))
        case 2 where name == "!": return .init(words[1], .map([.init("present", .flag(false))]))
        case 3 where words[1] == "=": return .init(name, .text(words[2]))
        case 3 where words[1] == "~" && (try? Pattern(words[2])) != nil && !words[2].isEmpty:
            return .init(name, .map([.init("matches", .text(words[2]))]))
        default: return nil
        }
    }

    // MARK: Streams

    private static let bytesMax = 16_384

    mutating func steps() -> [Tree] {
        var steps: [Tree] = []
        for line in lines {
            let words = line.arguments
            switch line.name {
            case "send" where words.count == 1 && (1...Self.bytesMax).contains(words[0].utf8.count):
                steps.append(.map([.init("send", .text(Self.escaped(words[0])))]))
            case "expect"
            where words.count == 1 && (1...Self.bytesMax).contains(words[0].utf8.count):
                steps.append(.map([.init("expect", .text(Self.escaped(words[0])))]))
            case "expect"
            where words.count == 2 && words[0] == "~" && !words[1].isEmpty
                && (try? Pattern(words[1])) != nil:
                steps.append(.map([.init("expect-pattern", .text(words[1]))]))
            default: note(line, "no such step here")
            }
        }
        if steps.count > HAProxyTCPCheck.stepsMax {
            for line in lines.dropFirst(HAProxyTCPCheck.stepsMax) {
                note(line, "at most \(HAProxyTCPCheck.stepsMax) steps")
            }
            steps = Array(steps.prefix(HAProxyTCPCheck.stepsMax))
        }
        return steps
    }

    /// Its own escapes for bytes stay as they are.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        var rest = text[...]
        while let range = rest.firstRange(of: "\\x") {
            escaped += Escaped.text(String(rest[..<range.lowerBound]))
            let digits = rest[range.upperBound...].prefix(2)
            if digits.utf8.count == 2, UInt8(digits, radix: 16) != nil {
                escaped += "\\x\(digits)"
                rest = rest[digits.endIndex...]
            } else {
                escaped += "\\\\x"
                rest = rest[range.upperBound...]
            }
        }
        return escaped + Escaped.text(String(rest))
    }
}
