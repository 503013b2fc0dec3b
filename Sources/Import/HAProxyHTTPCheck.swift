// What does `option httpchk` send, and which answers does it take? In the words of old versions, all on one line, or in
// those of `http-check`, one line for each part.

import Patterns
import Vocabulary

struct HAProxyHTTPCheck {
    private let proxy: HAProxyProxy
    private(set) var notes: [Note] = []
    private var method = "OPTIONS"
    private var path = "/"
    private var host: String?
    private var agent: String?
    private var headers: [Tree.Entry] = []
    private var body = ""
    private var port: Int?
    private var isSecure = false
    private var hasSent = false
    private var hasConnected = false
    private var expected: [Tree.Entry] = []
    /// What the lines ask of a status and of a body.
    private var wanted: Set<Int>?
    private var bodyLines: [(key: String, line: HAProxyLine)] = []

    static let methods: Set<String> = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH",
    ]
    static let headersMax = 64
    /// Fields that the check writes itself.
    private static let reserved: Set<String> = [
        "connection", "content-length", "transfer-encoding", "upgrade",
    ]
    private static let bodyBytesMax = 65_536

    private let hasSocket: Bool

    init(_ proxy: HAProxyProxy, hasSocket: Bool) {
        self.proxy = proxy
        self.hasSocket = hasSocket
    }

    private mutating func note(_ line: HAProxyLine, _ why: String, text: String? = nil) {
        notes.append(Note(place: line.place, text: text ?? line.raw, why: why))
    }

    mutating func entries(secured: [Tree.Entry]) -> [Tree.Entry] {
        if let line = proxy.check?.line { option(line) }
        for line in proxy.httpChecks { rule(line) }
        leaveOutBodies()
        var entries: [Tree.Entry] = [
            .init("path", .text(path)), .init("method", .word(method)),
        ]
        if let host { entries.append(.init("host", .text(host))) }
        if let agent { entries.append(.init("user-agent", .text(agent))) }
        if !headers.isEmpty { entries.append(.init("headers", .map(headers))) }
        if !body.isEmpty { entries.append(.init("body", .text(body))) }
        if !expected.isEmpty { entries.append(.init("expect", expectation())) }
        if let port { entries.append(.init("port", .number(port))) }
        if isSecure, secured.isEmpty {
            entries.append(.init("tls", .map([.init("verify", .flag(false))])))
        }
        return entries + secured
    }

    private func expectation() -> Tree {
        if expected.count == 1, expected[0].key == "status" { return expected[0].value }
        return .map(expected)
    }

    /// The method, and the status, may stand behind the condition that cannot hold with them.
    private mutating func leaveOutBodies() {
        let why: String
        if method == "HEAD" {
            why = "an answer to HEAD has no body"
        } else if let wanted, wanted.isSubset(of: Statuses.bodiless) {
            why = "an answer with status \(Statuses.text(wanted)) has no body"
        } else {
            return
        }
        for (key, line) in bodyLines {
            expected.removeAll { $0.key == key }
            note(line, why)
        }
    }

    // MARK: Sending

    /// `option httpchk [METHOD] [URI] [VERSION and headers]`.
    private mutating func option(_ line: HAProxyLine) {
        let words = Array(line.rest.dropFirst())
        switch words.count {
        case 0: return
        case 1: setPath(words[0], line)
        default:
            setMethod(words[0], line)
            setPath(words[1], line)
        }
        let version = words.dropFirst(2).joined(separator: " ")
        if version.isEmpty { return }
        let parts = version.split(separator: "\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        if let first = parts.first, first != "HTTP/1.1" {
            note(line, "probes speak HTTP/1.1", text: String(first))
        }
        for field in (parts.count > 1 ? parts[1] : "").split(whereSeparator: {
            $0 == "\r\n" || $0 == "\n"
        }) {
            let sides = field.split(separator: ":", maxSplits: 1)
            guard sides.count == 2 else {
                if let first = sides.first { note(line, "expected a header", text: String(first)) }
                continue
            }
            setHeader(String(sides[0]), Self.trimmed(sides[1]), line)
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }

    private mutating func setMethod(_ text: String, _ line: HAProxyLine) {
        if Self.methods.contains(text) {
            method = text
        } else {
            note(line, "no method that probes have; OPTIONS is sent", text: text)
        }
    }

    private mutating func setPath(_ text: String, _ line: HAProxyLine) {
        if text.contains("%[") {
            note(line, "an expression; the path is /", text: text)
            return
        }
        path = RequestPath.sent(text)
    }

    private mutating func setHeader(_ name: String, _ value: String, _ line: HAProxyLine) {
        let key = name.lowercased()
        let isValue = value.utf8.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }
        let isName =
            !name.isEmpty
            && name.utf8.allSatisfy {
                (0x21..<0x7F).contains($0) && !#""(),/:;<=>?@[\]{}"#.utf8.contains($0)
            }
        guard isName, isValue, !value.contains("%["), !Self.reserved.contains(key),
            headers.count < Self.headersMax,
            !headers.contains(where: { $0.key.lowercased() == key })
        else {
            note(line, "no header that a probe can be given", text: "\(name): \(value)")
            return
        }
        switch key {
        case "host" where !value.isEmpty && value.utf8.allSatisfy { (0x21..<0x7F).contains($0) }:
            host = value
        case "user-agent" where !value.isEmpty: agent = value
        case "host", "user-agent":
            note(line, "no header that a probe can be given", text: "\(name): \(value)")
        default: headers.append(.init(name, .text(value)))
        }
    }

    // MARK: Rules

    private mutating func rule(_ line: HAProxyLine) {
        switch line.second {
        case "send": send(line)
        case "expect": expect(line)
        case "connect": connect(line)
        case "send-state": note(line, "no such header is sent")
        default: note(line, "no counterpart")
        }
    }

    private mutating func send(_ line: HAProxyLine) {
        if hasSent {
            note(line, "one request is sent")
            return
        }
        hasSent = true
        var words = line.rest.dropFirst()
        while let word = words.popFirst() {
            switch word {
            case "meth": setMethod(words.popFirst() ?? "", line)
            case "uri": setPath(words.popFirst() ?? "", line)
            case "ver":
                let version = words.popFirst() ?? ""
                if version != "HTTP/1.1" { note(line, "probes speak HTTP/1.1", text: version) }
            case "hdr":
                let name = words.popFirst() ?? ""
                setHeader(name, words.popFirst() ?? "", line)
            case "body":
                let text = words.popFirst() ?? ""
                if text.utf8.count <= Self.bodyBytesMax {
                    body = text
                } else {
                    note(line, "too long a body")
                }
            case "comment": words = words.dropFirst()
            default:
                note(line, "no counterpart", text: "\(word) \(words.joined(separator: " "))")
                return
            }
        }
    }

    private mutating func connect(_ line: HAProxyLine) {
        if hasConnected || hasSent {
            note(line, "one connection is made")
            return
        }
        hasConnected = true
        var left: [String] = []
        var words = line.rest.dropFirst()
        while let word = words.popFirst() {
            switch word {
            case "default", "linger": break
            case "ssl": isSecure = true
            case "comment": words = words.dropFirst()
            case "port":
                let text = words.popFirst() ?? ""
                if !hasSocket, let number = Int(text), (1...65_535).contains(number) {
                    port = number
                } else {
                    left += [word, text]
                }
            default:
                left.append(word)
                if ["addr", "sni", "alpn", "proto", "via-socks4"].contains(word) {
                    if let value = words.popFirst() { left.append(value) }
                }
            }
        }
        if !left.isEmpty {
            note(
                line,
                "not taken over; 'address' and 'tls' of the monitor do the same",
                text: left.joined(separator: " ")
            )
        }
    }

    // MARK: Expecting

    private mutating func expect(_ line: HAProxyLine) {
        let condition = HAProxyCondition(of: line)
        if !condition.skipped.isEmpty {
            note(line, "no counterpart", text: condition.skipped.joined(separator: " "))
        }
        let (words, isNot) = (condition.words, condition.isNot)
        switch condition.sort {
        case "status": statuses(words.joined(separator: ","), isNot, line)
        case "rstatus": statuses(like: words.joined(separator: " "), isNot, line)
        case "string" where !isNot: text("contains", words.joined(separator: " "), line)
        case "rstring" where !isNot: text("matches", words.joined(separator: " "), line)
        case "hdr" where !isNot: header(words, line)
        default: note(line, "no such condition here")
        }
    }

    private mutating func add(_ key: String, _ value: Tree, _ line: HAProxyLine) {
        if expected.contains(where: { $0.key == key }) {
            note(line, "one condition of a sort holds")
            return
        }
        expected.append(.init(key, value))
        if key == "contains" || key == "matches" { bodyLines.append((key, line)) }
    }

    /// `200-299,404`.
    private mutating func statuses(_ text: String, _ isNot: Bool, _ line: HAProxyLine) {
        var found: Set<Int> = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-").map { Int($0) }
            guard let low = ends.first.flatMap({ $0 }), let high = ends.last.flatMap({ $0 }),
                low <= high,
                (1...999).contains(low), (1...999).contains(high)
            else {
                note(line, "no statuses")
                return
            }
            found.formUnion(low...high)
        }
        take(found, isNot, line)
    }

    private mutating func statuses(like text: String, _ isNot: Bool, _ line: HAProxyLine) {
        guard let pattern = try? Pattern(text) else {
            note(line, "no pattern that muster has")
            return
        }
        let found = (100...599).filter { status in
            Array("\(status)".utf8).withUnsafeBytes { pattern.matches($0) }
        }
        take(Set(found), isNot, line)
    }

    private mutating func take(_ statuses: Set<Int>, _ isNot: Bool, _ line: HAProxyLine) {
        // 1xx are no answers, but for 101.
        let known = Set([101] + Array(200...599))
        let wanted = isNot ? known.subtracting(statuses) : known.intersection(statuses)
        if wanted.isEmpty {
            note(line, "no status that an answer has")
            return
        }
        if self.wanted == nil, !expected.contains(where: { $0.key == "status" }) {
            self.wanted = wanted
        }
        add("status", .text(Statuses.text(wanted)), line)
    }

    private mutating func text(_ key: String, _ text: String, _ line: HAProxyLine) {
        if text.isEmpty || key == "matches" && (try? Pattern(text)) == nil {
            note(line, "no pattern that muster has")
            return
        }
        anyStatus()
        add(key, .text(text), line)
    }

    /// Where the body decides the status does not.
    private mutating func anyStatus() {
        if !expected.contains(where: { $0.key == "status" }) {
            expected.append(.init("status", .text("101-599")))
        }
    }

    /// `hdr name NAME [-m WAY] value VALUE`, as far as muster has it.
    private mutating func header(_ words: ArraySlice<String>, _ line: HAProxyLine) {
        let words = Array(words)
        guard words.count >= 2, words[0] == "name", !words[1].hasPrefix("-") else {
            note(line, "no such condition here")
            return
        }
        let name = words[1]
        var condition: Tree?
        switch Array(words.dropFirst(2)) {
        case []: condition = .map([.init("present", .flag(true))])
        case let rest where rest.count == 2 && rest[0] == "value": condition = .text(rest[1])
        case let rest where rest.count == 4 && rest[..<2] == ["value", "-m"]:
            switch rest[2] {
            case "str": condition = .text(rest[3])
            case "sub": condition = .map([.init("contains", .text(rest[3]))])
            case "reg" where (try? Pattern(rest[3])) != nil:
                condition = .map([.init("matches", .text(rest[3]))])
            default: break
            }
        default: break
        }
        guard let condition, !name.isEmpty else {
            note(line, "no such condition here")
            return
        }
        anyStatus()
        add("headers", .map([.init(name, condition)]), line)
    }
}

/// Sets of statuses as muster writes them.
enum Statuses {
    /// Answers that never have a body (RFC 9112, section 6.3).
    static let bodiless: Set<Int> = [101, 204, 304]

    static func text(_ statuses: Set<Int>) -> String {
        var parts: [String] = []
        var rest = statuses.sorted()[...]
        while let first = rest.popFirst() {
            var last = first
            while rest.first == last + 1 { last = rest.removeFirst() }
            parts.append(contentsOf: words(first, last))
        }
        return parts.joined(separator: " ")
    }

    private static func words(_ first: Int, _ last: Int) -> [String] {
        if first == last { return ["\(first)"] }
        if first % 100 == 0, last == first + 99 { return ["\(first / 100)xx"] }
        return ["\(first)-\(last)"]
    }
}
