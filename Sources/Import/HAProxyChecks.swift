// Which monitors watch the servers of a backend? HAProxy has checks a server, muster monitors an upstream: what the
// first server that is checked says holds for all, and what others say otherwise is a note.

import Patterns
import Vocabulary

struct HAProxyChecks {
    let proxy: HAProxyProxy
    /// A socket has no port that a check could go to instead.
    let hasSocket: Bool
    private(set) var monitors: [DraftItem] = []
    private(set) var notes: [Note] = []

    init(_ proxy: HAProxyProxy, hasSocket: Bool) {
        self.proxy = proxy
        self.hasSocket = hasSocket
        let checked = proxy.servers.filter { $0.has("check") }
        if let first = checked.first {
            health(first, checked)
        } else if let check = proxy.check, !proxy.servers.isEmpty {
            note(check.line, "no server has 'check', so none is checked there either")
        }
        let asked = proxy.servers.filter { $0.has("agent-check") }
        if let first = asked.first { agent(first, asked) }
    }

    private mutating func note(_ line: HAProxyLine, _ why: String, text: String? = nil) {
        notes.append(Note(place: line.place, text: text ?? line.raw, why: why))
    }

    // MARK: When, and where

    private static let intervals = Span(milliseconds: 10)...Span(milliseconds: 86_400_000)
    private static let countMax = 86_400

    /// The words of `keys` that other servers have otherwise than `first`.
    private mutating func tellDifferences(
        _ first: HAProxyServer,
        _ servers: [HAProxyServer],
        _ keys: [String]
    ) {
        for server in servers.dropFirst() {
            let other = keys.filter { key in
                server.value(key) != first.value(key) || server.has(key) != first.has(key)
            }
            if other.isEmpty { continue }
            let words = other.map { key in
                guard server.has(key) else { return "no \(key)" }
                return server.value(key).map { "\(key) \($0)" } ?? key
            }
            note(
                server.line,
                "one monitor watches all servers here, with what server \(first.name) says",
                text: "server \(server.name): \(words.joined(separator: ", "))"
            )
        }
    }

    private mutating func health(_ first: HAProxyServer, _ checked: [HAProxyServer]) {
        let keys = [
            "inter", "fastinter", "downinter", "rise", "fall", "port", "addr", "check-ssl",
            "check-sni", "check-send-proxy",
        ]
        tellDifferences(first, checked, keys)
        for server in proxy.servers where !server.has("check") {
            note(
                server.line,
                "is not checked there; here every server of an upstream is",
                text: "server \(server.name) without check"
            )
        }
        var common = schedule(first)
        common += place(first)
        let tls = tls(first)
        monitors.append(DraftItem(tree: check(first, common, tls), notes: []))
    }

    private mutating func schedule(_ server: HAProxyServer) -> [Tree.Entry] {
        let inter = (server.span("inter") ?? Span(milliseconds: 2_000)).limited(to: Self.intervals)
        var entries: [Tree.Entry] = [.init("interval", .span(inter))]
        // Without one of its own a check may take as long as the interval.
        let timeout = min(proxy.timeouts["check"] ?? inter, inter)
        entries.append(.init("timeout", .span(max(timeout, Span(milliseconds: 1)))))
        if let wanted = proxy.timeouts["check"], wanted > inter {
            note(
                server.line,
                "a probe ends before the next begins, so the timeout is the interval",
                text: "timeout check \(wanted.text)"
            )
        }
        // Without one of its own the pace stays, whatever is pending; muster's own would be a faster one.
        let fast = server.span("fastinter") ?? inter
        entries.append(
            .init("fast-interval", .span(min(max(fast, Span(milliseconds: 10)), inter)))
        )
        if fast > inter {
            note(server.line, "never slower than the interval", text: "fastinter \(fast.text)")
        }
        if let down = server.span("downinter") {
            entries.append(.init("down-interval", .span(down.limited(to: Self.intervals))))
        }
        for key in ["rise", "fall"] {
            let count = server.number(key) ?? (key == "rise" ? 2 : 3)
            entries.append(.init(key, .number(min(max(count, 1), Self.countMax))))
        }
        return entries
    }

    private mutating func place(_ server: HAProxyServer) -> [Tree.Entry] {
        var entries: [Tree.Entry] = []
        let port = server.number("port").flatMap { (1...65_535).contains($0) ? $0 : nil }
        let host = server.value("addr").flatMap { text -> String? in
            let parsed = HAProxyAddress.parse(text)
            guard let parsed, !parsed.isUnix, HAProxyAddress.text(parsed, port: 1) != nil
            else { return nil }
            return parsed.host.contains(":") ? "[\(parsed.host)]" : parsed.host
        }
        if hasSocket, port != nil || host != nil {
            note(
                server.line,
                "a check that goes elsewhere is not for peers that are sockets",
                text:
                    "server \(server.name): \([server.value("addr"), server.value("port")].compactMap { $0 }.joined(separator: " port "))"
            )
            return []
        }
        if let text = server.value("addr"), host == nil {
            note(server.line, "no address to probe", text: "addr \(text)")
        }
        switch (host, port) {
        case (let host?, let port?): entries.append(.init("address", .text("\(host):\(port)")))
        case (let host?, nil): entries.append(.init("address", .text(host)))
        case (nil, let port?): entries.append(.init("port", .number(port)))
        case (nil, nil): break
        }
        return entries
    }

    /// Nil where the check is in plain text.
    private mutating func tls(_ server: HAProxyServer) -> Tree? {
        guard
            server.has("check-ssl")
                || server.has("ssl") && server.value("port") == nil
                    && server.value("addr") == nil
        else { return nil }
        var entries: [Tree.Entry] = []
        if server.value("verify") != "required" { entries.append(.init("verify", .flag(false))) }
        let name =
            server.value("check-sni") ?? server.value("verifyhost")
            ?? Self.constant(server.value("sni"))
        if let name, !name.isEmpty { entries.append(.init("server-name", .text(name))) }
        return entries.isEmpty ? .flag(true) : .map(entries)
    }

    /// `str(www.example.com)`.
    private static func constant(_ expression: String?) -> String? {
        guard let expression, expression.hasPrefix("str("), expression.hasSuffix(")") else {
            return nil
        }
        return String(expression.dropFirst(4).dropLast())
    }

    // MARK: What is asked

    private mutating func check(
        _ server: HAProxyServer,
        _ common: [Tree.Entry],
        _ tls: Tree?
    ) -> Tree {
        let secure = tls.map { [Tree.Entry("tls", $0)] } ?? []
        switch proxy.check?.option {
        case "httpchk":
            var http = HAProxyHTTPCheck(proxy, hasSocket: hasSocket)
            let entries = http.entries(secured: secure)
            notes += http.notes
            return .map([.init("http", .map(Self.joined(entries, common)))])
        case "tcp-check":
            var steps = HAProxyTCPCheck(proxy, hasSocket: hasSocket)
            let entries = steps.entries(secured: secure)
            notes += steps.notes
            return .map([.init("tcp", .map(Self.joined(entries, common)))])
        case "redis-check": return .map([.init("redis", .map(secure + common))])
        case "ssl-hello-chk":
            return .map([.init("tls", .map([.init("verify", .flag(false))] + common))])
        case "smtpchk": return smtp(common, secure)
        case "ldap-check":
            // An anonymous bind, and a result of success.
            let steps: [Tree] = [
                .map([.init("send-hex", .text("300c020101600702010304008000"))]),
                .map([.init("expect-hex", .text("0a0100"))]),
            ]
            return .map([.init("tcp", .map([.init("steps", .list(steps))] + secure + common))])
        case "external-check": return external(common)
        case let option?:
            if let line = proxy.check?.line {
                note(line, Self.drops[option] ?? "no such check; only the connection is tried")
            }
            return tcp(server, common, secure)
        case nil:
            if proxy.check == nil {
                for line in proxy.httpChecks + proxy.tcpChecks {
                    note(line, "no option asks for such a check, so only the connection is tried")
                }
            }
            return tcp(server, common, secure)
        }
    }

    /// A port that a rule of the check names goes over that of the server.
    private static func joined(_ own: [Tree.Entry], _ common: [Tree.Entry]) -> [Tree.Entry] {
        guard own.contains(where: { $0.key == "port" }) else { return own + common }
        return own
            + common.compactMap { entry in
                switch (entry.key, entry.value) {
                case ("port", _): return nil
                case ("address", .text(let text)):
                    let parsed = HAProxyAddress.parse(text)
                    let host = parsed?.host ?? text
                    return .init("address", .text(host.contains(":") ? "[\(host)]" : host))
                default: return entry
                }
            }
    }

    private static let drops = [
        "mysql-check": "only the connection is tried; the drop-in kind 'mysql' does more",
        "pgsql-check": "only the connection is tried; the drop-in kind 'postgres' does more",
    ]

    private func tcp(
        _ server: HAProxyServer,
        _ common: [Tree.Entry],
        _ secure: [Tree.Entry]
    ) -> Tree {
        var entries: [Tree.Entry] = []
        if server.has("check-send-proxy") {
            let version = server.has("send-proxy") ? "v1" : "v2"
            entries.append(.init("proxy-protocol", .word(version)))
        }
        return .map([.init("tcp", .map(entries + secure + common))])
    }

    private func smtp(_ common: [Tree.Entry], _ secure: [Tree.Entry]) -> Tree {
        let words = proxy.check?.line.rest.dropFirst() ?? []
        let hello = words.isEmpty ? "HELO localhost" : words.joined(separator: " ")
        let steps: [Tree] = [
            .map([.init("expect-pattern", .text("^220"))]),
            .map([.init("send", .text(Escaped.text("\(hello)\r\n")))]),
            .map([.init("expect-pattern", .text("^250"))]),
            .map([.init("send", .text("QUIT\\r\\n"))]),
        ]
        return .map([.init("tcp", .map([.init("steps", .list(steps))] + secure + common))])
    }

    private mutating func external(_ common: [Tree.Entry]) -> Tree {
        let program = proxy.externalCommand ?? ""
        // Braces would stand for the target.
        let isProgram =
            !program.isEmpty && program.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
            && !program.contains { $0 == "{" || $0 == "}" }
        if !isProgram, let line = proxy.check?.line {
            let text = program.isEmpty ? nil : "external-check command \(program)"
            note(line, "no program that can be started; only the connection is tried", text: text)
            return .map([.init("tcp", .map(common))])
        }
        let words: [Tree] = [program, "NOT_USED", "NOT_USED", "{host}", "{port}"].map { .text($0) }
        let exit = Tree.map([.init("pass", .number(0)), .init("fail", .number(1))])
        let place: Set = ["port", "address"]
        return .map([
            .init(
                "command",
                .map(
                    [.init("command", .list(words)), .init("exit", exit)]
                        + common.filter { !place.contains($0.key) }
                )
            )
        ])
    }

    // MARK: Agents

    private mutating func agent(_ first: HAProxyServer, _ asked: [HAProxyServer]) {
        tellDifferences(first, asked, ["agent-port", "agent-addr", "agent-inter", "agent-send"])
        for server in proxy.servers where !server.has("agent-check") {
            note(
                server.line,
                "no agent is asked there, and it is up; here that of every server is asked: without one it stays 'unknown', "
                    + "and serves requests all the same",
                text: "server \(server.name) without agent-check"
            )
        }
        let inter = (first.span("agent-inter") ?? Span(milliseconds: 2_000))
            .limited(to: Self.intervals)
        var entries: [Tree.Entry] = [
            .init("interval", .span(inter)), .init("timeout", .span(inter)),
        ]
        var parts: [HAProxyServer.Word] = []
        for (key, name) in [("agent-port", "port"), ("agent-addr", "addr")] {
            if let value = first.value(key) {
                parts.append(.init(key: name, value: value, isOwn: true))
            }
        }
        if parts.isEmpty { note(first.line, "no agent-port says where the agent is") }
        var agent = first
        agent.words = parts
        entries = place(agent) + entries
        if let text = first.value("agent-send") {
            entries.append(.init("agent-send", .text(Escaped.text(text))))
        }
        monitors.append(
            DraftItem(tree: .map([.init("haproxy-agent-check", .map(entries))]), notes: [])
        )
    }
}

/// Bytes as muster's steps write them.
enum Escaped {
    static func text(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case 0x0D: escaped += "\\r"
            case 0x0A: escaped += "\\n"
            case 0x09: escaped += "\\t"
            case UInt8(ascii: "\\"): escaped += "\\\\"
            case 0x20...0x7E: escaped += String(UnicodeScalar(byte))
            default:
                let hex = String(byte, radix: 16)
                escaped += "\\x" + (hex.utf8.count < 2 ? "0" : "") + hex
            }
        }
        return escaped
    }
}

/// A path as it is sent.
enum RequestPath {
    static func sent(_ text: String) -> String {
        var path = text.hasPrefix("/") ? "" : "/"
        for byte in text.utf8 {
            if (0x21..<0x7F).contains(byte), byte != UInt8(ascii: "#") {
                path += String(UnicodeScalar(byte))
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                path += "%" + (hex.utf8.count < 2 ? "0" : "") + hex
            }
        }
        return path
    }
}
