// What does a proxy of HAProxy ask for, with its defaults? Its lines, sorted by what becomes of them. A line that
// nothing here takes is a note, with a reason where there is one to give.

import Vocabulary

struct HAProxyProxy: Sendable {
    let kind: String
    let name: String
    let place: SourcePlace
    let raw: String

    var isHTTP = false
    var balance: [String] = []
    var balanceFactor: Int?
    var cookie: HAProxyLine?
    /// `httpchk`, `tcp-check`, `redis-check` …: the last one holds.
    var check: (option: String, line: HAProxyLine)?
    var httpChecks: [HAProxyLine] = []
    var tcpChecks: [HAProxyLine] = []
    var externalCommand: String?
    var retries: HAProxyLine?
    var retryOn: HAProxyLine?
    var reuse: HAProxyLine?
    var timeouts: [String: Span] = [:]
    var timeoutLines: [String: HAProxyLine] = [:]
    var defaultServer: [HAProxyServer.Word] = []
    var servers: [HAProxyServer] = []
    var binds: [HAProxyLine] = []
    var acls: [HAProxyLine] = []
    var rules: [HAProxyLine] = []
    var defaultBackend: (name: String, line: HAProxyLine)?
    var isDisabled = false
    /// Without `option redispatch`.
    var retriesAtSame = true
    /// All backups serve where the others are down, not the first alone.
    var sharesBackups = false
    var notes: [Note] = []

    init(_ section: HAProxySection) {
        kind = section.kind
        name = section.name
        place = section.place
        raw = section.raw
    }

    var serves: Bool { kind != "frontend" }
    var listens: Bool { kind != "backend" }

    /// What stands in `defaults` has its notes there.
    mutating func take(_ lines: [HAProxyLine], areDefaults: Bool) {
        if !areDefaults { replaceRules(of: lines) }
        for line in lines {
            let why = take(line)
            if let why, !areDefaults {
                notes.append(Note(place: line.place, text: line.raw, why: why))
            }
        }
    }

    /// Steps of a check are not added to those of `defaults`: the first of its own takes their place, and so does an
    /// `option httpchk`, which is a step itself.
    private mutating func replaceRules(of own: [HAProxyLine]) {
        func says(_ step: String) -> Bool {
            own.contains {
                $0.first == step && !["disable-on-404", "send-state"].contains($0.second)
            }
        }
        if says("http-check")
            || own.contains(where: { $0.words.starts(with: ["option", "httpchk"]) })
        {
            httpChecks = []
        }
        if says("tcp-check") { tcpChecks = [] }
    }

    /// Nil where it was taken; else why it is not, or not whole.
    private mutating func take(_ line: HAProxyLine) -> String? {
        switch line.first {
        case "mode":
            isHTTP = line.second == "http"
            return ["http", "tcp"].contains(line.second) ? nil : "no such mode; taken as tcp"
        case "option": return option(line, isOff: false)
        case "no" where line.second == "option":
            return option(
                HAProxyLine(place: line.place, words: line.rest, raw: line.raw),
                isOff: true
            )
        case "timeout": return timeout(line)
        case "server", "server-template", "default-server", "dispatch": return server(line)
        default: return other(line)
        }
    }

    private mutating func other(_ line: HAProxyLine) -> String? {
        switch line.first {
        case "balance": balance = line.rest
        case "hash-type": return hashType(line)
        case "hash-balance-factor": balanceFactor = Int(line.second)
        case "cookie": cookie = line
        case "http-check" where line.second == "disable-on-404":
            return
                "a server that answers 404 is drained there; here a 404 fails unless 'expect' has it"
        case "http-check": httpChecks.append(line)
        case "tcp-check": tcpChecks.append(line)
        case "external-check" where line.second == "command":
            externalCommand = line.rest.dropFirst().joined(separator: " ")
        case "retries": retries = line
        case "retry-on": retryOn = line
        case "http-reuse": reuse = line
        case "bind": binds.append(line)
        case "acl": acls.append(line)
        case "use_backend": rules.append(line)
        case "default_backend": defaultBackend = (line.second, line)
        case _ where Self.forbids(line): return Note.openHere
        case "disabled": isDisabled = true
        case "enabled": isDisabled = false
        default: return Self.reasons[line.first] ?? "no counterpart"
        }
        return nil
    }

    private static let forbidding: [String: Set<String>] = [
        "http-request": ["deny", "auth", "tarpit", "reject", "silent-drop"],
        "http-response": ["deny"], "http-after-response": ["deny"],
        "tcp-request": ["reject", "silent-drop"], "tcp-response": ["reject", "close"],
        "block": [], "reqdeny": [], "reqideny": [], "reqtarpit": [], "reqitarpit": [],
    ]

    private static func forbids(_ line: HAProxyLine) -> Bool {
        guard let actions = forbidding[line.first] else { return false }
        // `tcp-request connection reject`: the action is the third word.
        return actions.isEmpty || line.words.dropFirst().prefix(2).contains { actions.contains($0) }
    }

    private mutating func hashType(_ line: HAProxyLine) -> String? {
        line.rest == ["consistent"]
            ? nil
            : "muster's hash is consistent, with a function of its own: keys go to other servers than there"
    }

    private mutating func timeout(_ line: HAProxyLine) -> String? {
        guard line.words.count > 2, let span = Span(haproxy: line.words[2]) else {
            return "expected a time"
        }
        let isEndless = span.microseconds == 0
        timeoutLines[line.second] = line
        switch line.second {
        case "connect", "client", "server":
            timeouts[line.second] = isEndless ? Draft.timeoutMax : span
            if isEndless { return "there without an end; a day is the longest here" }
        // These have others' where they are 0, as if they were not written.
        case "http-request", "http-keep-alive", "queue", "tunnel", "check":
            timeouts[line.second] = isEndless ? nil : span
        default: return "no counterpart"
        }
        return span > Draft.timeoutMax ? "a day is the longest here" : nil
    }

    private mutating func server(_ line: HAProxyLine) -> String? {
        switch line.first {
        case "default-server":
            let words = HAProxyServer.words(line.rest, isOwn: false)
            defaultServer += words
            let left = words.filter { !HAProxyServers.isTaken($0) }
            if left.isEmpty { return nil }
            return "no counterpart: "
                + left.map { word in word.value.map { "\(word.key) \($0)" } ?? word.key }
                .joined(separator: ", ")
        case "dispatch":
            servers.append(
                HAProxyServer(
                    line: line,
                    name: "dispatch",
                    address: line.second,
                    unset: line.unset[1] ?? []
                )
            )
            return nil
        default: break
        }
        let isTemplate = line.first == "server-template"
        guard line.words.count > (isTemplate ? 3 : 2) else {
            return "expected a name and an address"
        }
        var server = HAProxyServer(
            line: line,
            name: line.words[1],
            address: line.words[isTemplate ? 3 : 2],
            unset: line.unset[isTemplate ? 3 : 2] ?? []
        )
        if isTemplate { server.count = line.words[2] }
        server.words =
            defaultServer
            + HAProxyServer.words(line.words.dropFirst(isTemplate ? 4 : 3), isOwn: true)
        servers.append(server)
        return nil
    }

    // MARK: Options

    private static let checks: Set<String> = [
        "httpchk", "tcp-check", "redis-check", "mysql-check", "pgsql-check", "smtpchk",
        "ldap-check", "ssl-hello-chk", "external-check", "spop-check", "lb-agent-chk",
    ]

    private mutating func option(_ line: HAProxyLine, isOff: Bool) -> String? {
        let name = line.second
        if Self.checks.contains(name) {
            check = isOff ? nil : (name, line)
            return nil
        }
        if name == "redispatch" { retriesAtSame = isOff }
        if name == "forwardfor", line.words.contains("header") {
            return "X-Forwarded-For is written for every request, and no other header of that sort"
        }
        if name == "allbackups" {
            sharesBackups = !isOff
            if isOff { return nil }
        }
        return Self.optionReasons[name] ?? "no counterpart"
    }

    private static let optionReasons: [String: String] = [
        "redispatch": "always so here: what one server fails goes to another",
        "forwardfor": "always so here: X-Forwarded-For is written for every request",
        "http-keep-alive": "always so here",
        "http-server-close": "connections to servers are kept here",
        "httpclose": "connections are kept here",
        "httplog": "there is no access log",
        "tcplog": "there is no access log",
        "dontlognull": "there is no access log",
        "log-health-checks": "always so here: every change of a status is a line of the log",
        "allbackups": "always so here: all backups share",
        "dontlog-normal": "there is no access log",
        "http-use-htx": "always so here",
    ]

    private static let reasons: [String: String] = [
        "log": "the log goes to standard error, see OPERATIONS.md",
        "log-format": "there is no access log",
        "log-tag": "the log goes to standard error",
        "stats": "see admin.haproxy-socket, and the dashboard and /metrics of the admin address",
        "stick-table": "no counterpart; balance: ip-hash, or sticky, keeps clients at a server",
        "stick": "no counterpart; balance: ip-hash, or sticky, keeps clients at a server",
        "monitor-uri": "the admin address answers /health and /ready",
        "maxconn":
            "limits.client-connections counts for each worker thread, of all listeners together",
        "errorfile": "pages of its own are not served",
        "compression": "answers are not compressed",
        "http-request": "requests are not changed or judged by rules",
        "http-response": "answers are not changed by rules",
        "redirect": "no redirects are made",
        "use-server": "no rules choose a server",
        "description": "a text for people",
    ]
}
