// What does a `server` line say? A name, an address, and words, some of which take a value; `default-server` gives
// those that a server does not write itself.

import Vocabulary

struct HAProxyServer: Equatable, Sendable {
    var line: HAProxyLine
    var name: String
    var address: String
    /// In order, `default-server`'s first; of two for one key the last holds.
    var words: [Word] = []
    /// Variables of its address that nothing sets.
    var unset: [String] = []
    /// Of a template: as written, `3` or `1-5`.
    var count: String?

    struct Word: Equatable, Sendable {
        var key: String
        var value: String?
        /// It stands in the server's own line.
        var isOwn: Bool
    }

    /// Words that stand alone.
    private static let flags: Set<String> = [
        "agent-check", "allow-0rtt", "backup", "check", "check-send-proxy", "check-ssl",
        "check-via-socks4", "disabled", "enabled", "force-sslv3", "force-tlsv10", "force-tlsv11",
        "force-tlsv12", "force-tlsv13", "no-agent-check", "no-backup", "no-check",
        "no-check-send-proxy", "no-check-ssl", "no-send-proxy", "no-send-proxy-v2",
        "no-send-proxy-v2-ssl", "no-send-proxy-v2-ssl-cn", "no-ssl", "no-ssl-reuse", "no-sslv3",
        "no-tls-tickets", "no-tlsv10", "no-tlsv11", "no-tlsv12", "no-tlsv13", "no-verifyhost",
        "no-tfo", "non-stick", "send-proxy", "send-proxy-v2", "send-proxy-v2-ssl",
        "send-proxy-v2-ssl-cn", "ssl", "ssl-reuse", "stick", "tfo", "tls-tickets",
        "no-renegotiate", "renegotiate",
    ]

    /// Words that take one, and may stand where a value of an unknown word could.
    private static let valued: Set<String> = [
        "addr", "agent-addr", "agent-inter", "agent-port", "agent-send", "alpn", "ca-file",
        "check-alpn", "check-proto", "check-sni", "ciphers", "ciphersuites", "client-sigalgs",
        "cookie", "crl-file", "crt", "curves", "downinter", "error-limit", "fall", "fastinter",
        "guid", "hash-key", "id", "init-addr", "init-state", "inter", "log-bufsize", "log-proto",
        "maxconn", "maxqueue", "max-reuse", "minconn", "namespace", "npn", "observe", "on-error",
        "on-marked-down", "on-marked-up", "pool-conn-name", "pool-low-conn", "pool-max-conn",
        "pool-purge-delay", "port", "proto", "proxy-v2-options", "redir", "resolve-net",
        "resolve-opts", "resolve-prefer", "resolvers", "rise", "set-proxy-v2-tlv-fmt", "shard",
        "sigalgs", "slowstart", "sni", "socks4", "source", "ssl-max-ver", "ssl-min-ver",
        "strict-maxconn", "tcp-md5sig", "tcp-ut", "track", "verify", "verifyhost", "weight", "ws",
    ]

    static func words(_ texts: some Sequence<String>, isOwn: Bool) -> [Word] {
        var words: [Word] = []
        var open: String?
        for text in texts {
            if let key = open {
                let isKey = flags.contains(text) || valued.contains(text)
                // Of a word that nobody here knows, what follows is a value unless it is a word itself.
                if valued.contains(key) || !isKey {
                    words.append(Word(key: key, value: text, isOwn: isOwn))
                    open = nil
                    continue
                }
                words.append(Word(key: key, isOwn: isOwn))
                open = nil
            }
            if flags.contains(text) {
                words.append(Word(key: text, isOwn: isOwn))
            } else {
                open = text
            }
        }
        if let open { words.append(Word(key: open, isOwn: isOwn)) }
        return words
    }

    /// The last that was written for `key`, unless it was taken back after.
    func value(_ key: String) -> String? { words.last { $0.key == key }?.value }

    func has(_ key: String) -> Bool {
        let last = words.lastIndex { $0.key == key }
        let undone = words.lastIndex {
            $0.key == "no-\(key)" || key == "disabled" && $0.key == "enabled"
        }
        guard let last else { return false }
        return undone.map { $0 < last } ?? true
    }

    /// So many requests that fail in a row mark it down, where it is checked.
    var isTakenOutByRequests: Bool {
        value("observe") != nil && value("on-error") == "mark-down" && has("check")
    }
    var errorLimit: Int { min(max(number("error-limit") ?? 10, 1), 1_000_000) }

    func number(_ key: String) -> Int? { value(key).flatMap { Int($0) } }
    func span(_ key: String) -> Span? { value(key).flatMap { Span(haproxy: $0) } }
}

/// An address as HAProxy writes it.
enum HAProxyAddress {
    /// Address and ports; a port that begins with `+` or is missing is for others to fill in.
    struct Parsed: Equatable {
        /// Empty for every address.
        var host: String
        var port: String
        var isUnix = false
    }

    /// Nil for what is no address of this machine's network: file descriptors, abstract sockets, names of logs.
    static func parse(_ text: String) -> Parsed? {
        var text = text[...]
        var isVersion6 = false
        if let mark = text.firstIndex(of: "@") {
            let family = text[..<mark]
            text = text[text.index(after: mark)...]
            switch family {
            case "ipv4", "tcp", "tcp4": break
            case "ipv6", "tcp6": isVersion6 = true
            case "unix", "stream": return text.hasPrefix("/") ? unix(text) : nil
            default: return nil
            }
        }
        if text.hasPrefix("unix:") { return unix(text.dropFirst(5)) }
        if text.hasPrefix("/") { return unix(text) }
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
            return Parsed(host: String(host), port: String(rest.dropFirst()))
        }
        // The last colon divides, as `:::80` is port 80 of every address.
        guard let colon = text.lastIndex(of: ":") else {
            return Parsed(host: anywhere(text, isVersion6), port: "")
        }
        let host = text[..<colon]
        let port = text[text.index(after: colon)...]
        return Parsed(host: anywhere(host, isVersion6), port: String(port))
    }

    private static func unix(_ path: Substring) -> Parsed {
        Parsed(host: String(path), port: "", isUnix: true)
    }

    private static func anywhere(_ host: Substring, _ isVersion6: Bool) -> String {
        if host.isEmpty || host == "*" { return isVersion6 ? "::" : "" }
        return String(host)
    }

    /// In muster's words, where it can be an address there.
    static func text(_ parsed: Parsed, port: Int) -> String? {
        if parsed.isUnix {
            let text = "unix:\(parsed.host)"
            return Address.problem(in: text) == nil ? text : nil
        }
        let text = parsed.host.contains(":") ? "[\(parsed.host)]:\(port)" : "\(parsed.host):\(port)"
        return Address.problem(in: text) == nil ? text : nil
    }
}
