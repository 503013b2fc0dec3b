// What does a URL say to a check? Each kind has schemes of its own: what stands in the URL becomes its
// settings, and what could not become one is refused rather than left out.

import Checks
import Settings
import Vocabulary

/// One way to write a target.
struct CheckScheme {
    let name: String
    /// Nil: the URL has to say it.
    let port: UInt16?
    /// The kinds that it is natural for; a drop-in kind is asked about by what it is made of.
    let kinds: [String]
    var isSecure = false

    static let all = [
        CheckScheme(name: "http", port: 80, kinds: ["http", "http-agent"]),
        CheckScheme(
            name: "https",
            port: 443,
            kinds: ["http", "http-agent", "tls"],
            isSecure: true
        ),
        CheckScheme(
            name: "tcp",
            port: nil,
            kinds: ["tcp", "dialogue", "haproxy-agent-check", "tls"]
        ),
        CheckScheme(name: "tls", port: 443, kinds: ["tls", "tcp", "dialogue"], isSecure: true),
        CheckScheme(name: "redis", port: 6_379, kinds: ["redis"]),
        CheckScheme(name: "rediss", port: 6_379, kinds: ["redis"], isSecure: true),
        CheckScheme(name: "dns", port: 53, kinds: ["dns"]),
        CheckScheme(name: "grpc", port: nil, kinds: ["grpc"]),
        CheckScheme(name: "grpcs", port: 443, kinds: ["grpc"], isSecure: true),
        CheckScheme(name: "smtp", port: 25, kinds: ["smtp"]),
        CheckScheme(name: "smtps", port: 465, kinds: ["smtp"], isSecure: true),
        CheckScheme(name: "mysql", port: 3_306, kinds: ["mysql"]),
        CheckScheme(name: "mariadb", port: 3_306, kinds: ["mysql"]),
        CheckScheme(name: "postgres", port: 5_432, kinds: ["postgres"]),
        CheckScheme(name: "postgresql", port: 5_432, kinds: ["postgres"]),
        CheckScheme(name: "memcached", port: 11_211, kinds: ["memcached"]),
        CheckScheme(name: "ssh", port: 22, kinds: ["ssh"]),
    ]

    /// Those of a kind: its own, and those of the kind that it is made of.
    static func of(_ kind: String, base: String) -> [CheckScheme] {
        all.filter { $0.kinds.contains(kind) || $0.kinds.contains(base) }
    }

    static func example(of kind: String, base: String) -> String {
        let schemes = of(kind, base: base)
        return switch schemes.first(where: { $0.kinds.contains(kind) }) ?? schemes.first {
        case let scheme?: "\(scheme.name)://HOST\(scheme.port == nil ? ":PORT" : "[:PORT]")"
        case nil: "HOST:PORT"
        }
    }
}

/// A URL, taken apart as far as all schemes are alike.
struct TargetURL {
    let scheme: String
    let user: String?
    let password: String?
    /// `host`, `host:port`, `[v6]:port`, as it was written.
    let authority: String
    /// From its slash on, with the query.
    let path: String

    /// Nil where `text` is no URL: `host:port` or `unix:/path`, say.
    init?(_ text: String) {
        guard let mark = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<mark.lowerBound]
        guard let first = scheme.first, first.isASCII, first.isLetter,
            scheme.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) })
        else { return nil }
        self.scheme = scheme.lowercased()
        let rest = text[mark.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        path = String(rest[end...].prefix { $0 != "#" })
        let place = rest[..<end]
        guard let at = place.lastIndex(of: "@") else {
            (user, password, authority) = (nil, nil, String(place))
            return
        }
        authority = String(place[place.index(after: at)...])
        let names = place[..<at].split(
            separator: ":",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        user = Self.decoded(names[0])
        password = names.count > 1 ? Self.decoded(names[1]) : nil
    }

    /// The same without what nobody else should read.
    static func redacted(_ text: String) -> String {
        guard let mark = text.firstRange(of: "://") else { return text }
        let rest = text[mark.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        guard let at = rest[..<end].lastIndex(of: "@") else { return text }
        return String(text[..<mark.upperBound]) + "…" + String(rest[at...])
    }

    /// `%40` is `@`.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What a query says: `type=MX`.
    private var query: [(key: String, value: String)] {
        guard let mark = path.firstIndex(of: "?") else { return [] }
        return path[path.index(after: mark)...].split(whereSeparator: { "&;".contains($0) }).map {
            let parts = $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count > 1 ? Self.decoded(parts[1]) : "")
        }
    }

    /// The path without slash and query.
    private var word: String {
        Self.decoded(path.drop { $0 == "/" }.prefix { $0 != "?" })
    }

    // MARK: Settings

    enum Value {
        case text(String)
        case yes
        case login(basic: String)
    }

    /// The settings of a kind made of `base`, or what the URL says that they cannot.
    func settings(
        of base: String,
        isSecure: Bool
    ) -> (settings: [(key: String, value: Value)], complaint: String?) {
        var settings: [(key: String, value: Value)] = []
        if isSecure, base != "tls" { settings.append(("tls", .yes)) }
        var isUserTaken = user == nil
        var isPathTaken = word.isEmpty && query.isEmpty
        switch base {
        case "http", "http-agent":
            settings.append(("host", .text(authority)))
            settings.append(("path", .text(path.hasPrefix("/") ? path : "/" + path)))
            if let user { settings.append(("auth", .login(basic: "\(user):\(password ?? "")"))) }
            (isUserTaken, isPathTaken) = (true, true)
        case "redis":
            // Which of its databases is meant changes nothing.
            if word.allSatisfy({ $0.isASCII && $0.isNumber }), query.isEmpty { isPathTaken = true }
            if let user, !user.isEmpty { settings.append(("username", .text(user))) }
            if let password { settings.append(("password", .text(password))) }
            isUserTaken = true
        case "dns":
            if !word.isEmpty { settings.append(("name", .text(word))) }
            let types = query.filter { $0.key.lowercased() == "type" }
            if let type = types.first {
                settings.append(("record", .text(type.value.uppercased())))
            }
            isPathTaken = types.count == query.count
        case "grpc":
            if !word.isEmpty { settings.append(("service", .text(word))) }
            isPathTaken = query.isEmpty
        default: break
        }
        if !isUserTaken { return (settings, "expected no user") }
        return (settings, isPathTaken ? nil : "expected nothing after the port, saw '\(path)'")
    }
}
