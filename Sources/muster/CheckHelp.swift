// Which settings does a kind of check take? What `muster check KIND --help` shows: a line a setting with
// what it is without it. A test holds the names against those that the kinds take.

import Checks
import Settings
import Vocabulary

/// The help of one kind.
struct CheckHelp {
    /// One setting. A dot leads into a map: `-o tls.verify=false`.
    struct Row: Hashable {
        let name: String
        /// What stands where nobody says it.
        let standard: String
        let what: String

        init(_ name: String, _ standard: String, _ what: String) {
            self.name = name
            self.standard = standard
            self.what = what
        }
    }

    /// Nil where no such kind comes with the program.
    static func rows(of kind: String) -> [Row]? {
        switch kind {
        case "http": request + conditions + more + destination + tls
        case "http-agent": request + agentAnswer + onError + more + destination + tls
        case "tcp": steps + wire + destination + tls
        case "dialogue": file + steps + wire + destination + tls
        case "haproxy-agent-check": agentSend + onError + destination
        case "tls": handshake + destination
        case "redis": redis + destination + tls
        case "dns": dns + destination
        case "grpc": grpc + destination + tls
        case "command": command
        case "service": service
        case "heartbeat": heartbeat
        default: nil
        }
    }

    /// `muster check http --help`: the text for the kind that `arguments` name, or nil where they ask
    /// for something else.
    static func answer(to arguments: [String]) -> String? {
        guard arguments.first == "check", let kind = CheckArguments.kind(in: arguments),
            arguments.contains("--help") || arguments.contains("-h")
        else { return nil }
        let folders = [CheckArguments.folder(in: arguments)] + ChecksFolder.shipped
        return text(of: kind, in: ChecksFolder.read(folders).registry)
    }

    /// Nil where there is no such kind.
    static func text(of kind: String, in registry: CheckRegistry) -> String? {
        guard let summary = registry.kinds.first(where: { $0.kind == kind })?.summary else {
            return nil
        }
        var lines = ["\(kind): \(summary)", ""]
        let example = CheckScheme.example(of: kind, base: registry.base(of: kind))
        lines.append("Usage: muster check \(kind) \(example) [-o key=value]… [--explain] [--json]")
        if let parameters = registry.parameters(of: kind) {
            lines += [
                "",
                "Parameters (-o key=value), of a drop-in kind made of '\(registry.base(of: kind))':",
            ]
            lines += table(
                parameters.map { parameter in
                    let value = parameter.value.map(Self.text)
                    let isHidden = Self.isSecret(parameter.name) && value != nil && value != "''"
                    return Row(parameter.name, isHidden ? "***" : value ?? "required", "")
                }
            )
            if parameters.isEmpty { lines.append("  none") }
        } else if let rows = rows(of: kind) {
            lines += ["", "Settings (-o key=value, in YAML):"]
            lines += table(rows)
        }
        lines += ["", "See 'muster check --help' for what every kind takes, and docs/CHECKS.md."]
        return lines.joined(separator: "\n")
    }

    /// `muster check --list`: every kind with what it does.
    static func list(_ registry: CheckRegistry) -> String {
        Table.lines(registry.kinds.map { [$0.kind, $0.summary] }).joined(separator: "\n")
    }

    /// A default of such a parameter is somebody's password.
    private static func isSecret(_ name: String) -> Bool {
        ["password", "secret", "token"].contains { name.lowercased().contains($0) }
    }

    private static func table(_ rows: [Row]) -> [String] {
        Table.lines(
            rows.map { row in
                let standard = row.standard.isEmpty ? "-" : row.standard
                return ["  " + row.name, standard] + (row.what.isEmpty ? [] : [row.what])
            }
        )
    }

    private static func text(_ setting: Setting) -> String {
        switch setting.value {
        case .scalar(let text, _): text.isEmpty ? "''" : text
        case .list(let items): "[" + items.map(text).joined(separator: ", ") + "]"
        case .map(let entries):
            "{" + entries.map { "\($0.key): \(text($0.value))" }.joined(separator: ", ") + "}"
        }
    }
}

// MARK: The settings

extension CheckHelp {
    private static let destination = [
        Row("port", "the target's", "another port of the same host"),
        Row("address", "the target's", "another host: host, host:port, [v6]:port or unix:/path"),
    ]

    private static let handshake = [
        Row("verify", "true", "check the chain and the name of the certificate"),
        Row("server-name", "the host", "sent as SNI and expected in the certificate"),
        Row("ca", "the system's", "PEM file of the authorities believed"),
        Row("certificate", "", "PEM file of our own certificate"),
        Row("key", "", "PEM file of its key"),
        Row("alpn", "what the kind speaks", "protocols offered"),
        Row("expires-warn", "", "warn when the certificate ends sooner, such as 21d"),
        Row("expires-fail", "", "fail when it ends sooner, such as 3d"),
    ]

    private static let tls =
        [Row("tls", "false", "true, or a map of these")]
        + handshake.map { Row("tls." + $0.name, $0.standard, $0.what) }

    private static let request = [
        Row("path", "/", "what is asked for"),
        Row("method", "GET", "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH"),
        Row("host", "the address", "for the Host header, and for SNI"),
        Row("headers", "", "a map of further headers"),
        Row("body", "", "sent with its length"),
        Row("user-agent", "muster/0.1", ""),
    ]

    private static let conditions = [
        Row("expect", "2xx 3xx", "statuses that pass, or a map of these"),
        Row("expect.status", "2xx 3xx", "statuses that pass, such as '2xx 3xx 500-503'"),
        Row("expect.headers", "", "name → condition"),
        Row("expect.contains", "", "text somewhere in the body"),
        Row("expect.matches", "", "a pattern somewhere in the body"),
        Row("expect.json", "", "JSON pointer → condition"),
        Row("immediate-fail", "", "statuses that take the peer down at once"),
        Row("degraded", "", "a map of these"),
        Row("degraded.status", "", "statuses that warn"),
        Row("degraded.headers", "", "headers that warn: name → condition"),
        Row("degraded.latency", "", "warn when the head took longer"),
    ]

    private static let agentAnswer = [
        Row("expect", "2xx 3xx", "statuses whose body is the agent's line")
    ]

    private static let more = [
        Row("redirects", "0", "how many are followed, at most 20"),
        Row("proxy", "", "http://[user:password@]host:port, socks5://… or socks5h://…"),
        Row("version", "1.1", "1.1 or 2"),
        Row("auth", "", "{basic: 'user:password'}, {digest: 'user:password'} or {bearer: TOKEN}"),
        Row("cookies", "false", "kept from one redirect to the next"),
    ]

    private static let file = [Row("file", "", "the steps, one a line")]

    private static let steps = [
        Row("send", "", "text with \\r \\n \\t \\0 \\\\ \\\" \\xHH"),
        Row("send-hex", "", "bytes in hexadecimal digits"),
        Row("expect", "", "text that occurs in what comes"),
        Row("expect-hex", "", "bytes that occur in what comes"),
        Row("expect-pattern", "", "a pattern that occurs in what comes"),
        Row("reject", "", "text that means no: fails at once"),
        Row("reject-hex", "", "bytes that mean no"),
        Row("reject-pattern", "", "a pattern that means no"),
        Row("steps", "", "a list of these, in order"),
    ]

    private static let wire = [
        Row("proxy-protocol", "", "v1 or v2: a PROXY header before anything else")
    ]

    private static let agentSend = [Row("agent-send", "", "sent first, with the escapes of tcp")]

    private static let onError = [
        Row("on-error", "neutral", "neutral or fail: what it means that no line came")
    ]

    private static let redis = [
        Row("username", "", "for AUTH"),
        Row("password", "", "for AUTH"),
        Row("role", "any", "any, master or replica"),
        Row("lag", "", "fail when a replica heard from its master longer ago"),
    ]

    private static let dns = [
        Row("name", "required", "the name to ask for"),
        Row("record", "A", "A AAAA CNAME MX NS PTR SOA SRV TXT"),
        Row("expect", "any answer", "records that are all among the answers, as in a zone file"),
        Row("rcode", "NOERROR", "NXDOMAIN and others, for names that should not exist"),
        Row("transport", "udp", "udp or tcp"),
    ]

    private static let grpc = [
        Row("service", "the whole server", "the service asked about"),
        Row("authority", "the address", "the :authority sent"),
    ]

    private static let environment = [Row("environment", "", "a map of further variables")]

    private static let command =
        [Row("command", "required", "the program and its arguments; no shell")] + environment + [
            Row("exit", "{pass: 0, warn: 1, fail: 2, neutral: 3}", "exit codes, or lists of them"),
            Row("limits", "", "label → {warn: RANGE, fail: RANGE} for measured values"),
        ]

    private static let service =
        [Row("service", "required", "the program and its arguments; no shell")] + environment + [
            Row("parameters", "", "a map that goes with every question")
        ]

    private static let heartbeat = [
        Row("within", "60s", "how long a sign of life is good for")
    ]
}
