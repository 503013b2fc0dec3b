// How do rules that are tried in order become routes of which the closest fits? The two agree where no earlier rule
// would have taken what a closer route takes now. So a rule that goes before the closer routes of a host is
// repeated for that host, and one that is never reached is left out, and said so.

import Vocabulary

struct RouteRule {
    var host: String
    var path: String
    var stripsPrefix = false
    var upstream: String
    var place: SourcePlace
    var text: String

    struct Table {
        var routes: [DraftRoute] = []
        var notes: [Note] = []
    }

    /// More routes of one listener are no configuration by hand.
    static let routesMax = 20_000

    static func table(_ rules: [RouteRule]) -> Table {
        var table = Table()
        var hosts: [String] = []
        var isKnown: Set<String> = []
        for rule in rules where isKnown.insert(rule.host).inserted { hosts.append(rule.host) }
        for host in hosts { add(host, rules, &table) }
        if table.routes.count > routesMax {
            for rule in rules {
                table.notes.append(
                    Note(
                        place: rule.place,
                        text: rule.text,
                        why: "expected at most \(routesMax) routes"
                    )
                )
            }
            table.routes = Array(table.routes.prefix(routesMax))
        }
        return table
    }

    private static func add(_ host: String, _ rules: [RouteRule], _ table: inout Table) {
        var before: [RouteRule] = []
        let own = rules.enumerated().filter { $0.element.host == host }
        var paths: Set<String> = []
        for (index, rule) in rules.enumerated() where covers(rule.host, host) {
            let isOwn = rule.host == host
            let earlier = before.first { isPrefix($0.path, of: rule.path) }
            if let earlier {
                if isOwn, earlier.upstream != rule.upstream || earlier.path != rule.path {
                    table.notes.append(
                        Note(
                            place: rule.place,
                            text: rule.text,
                            why:
                                "\(host)\(rule.path) is never reached: \(earlier.host)\(earlier.path) goes before it"
                        )
                    )
                }
                continue
            }
            before.append(rule)
            // A wider rule is found without help, unless a closer one of this host comes after it and would take it.
            let isNeeded =
                isOwn
                || own.contains { $0.offset > index && isPrefix($0.element.path, of: rule.path) }
            guard isNeeded, paths.insert(rule.path).inserted else { continue }
            table.routes.append(
                DraftRoute(
                    host: host,
                    path: rule.path,
                    stripsPrefix: rule.stripsPrefix,
                    upstream: rule.upstream
                )
            )
        }
    }

    /// Whether all of `host` belongs to `wide`.
    private static func covers(_ wide: String, _ host: String) -> Bool {
        if wide == "*" || wide == host { return true }
        guard wide.hasPrefix("*.") else { return false }
        let suffix = wide.dropFirst()
        let name = host.hasPrefix("*.") ? host.dropFirst() : host[...]
        return name.count > suffix.count && name.hasSuffix(suffix)
    }

    private static func isPrefix(_ prefix: String, of path: String) -> Bool {
        let prefix = prefix == "/" ? "" : prefix
        return path == prefix || path.hasPrefix(prefix + "/") || prefix.isEmpty
    }
}

/// What a host and a path may be in a route.
enum RouteWords {
    /// Nil where muster has no such host.
    static func host(_ text: String) -> String? {
        let text = text.lowercased()
        if text == "*" { return text }
        let host = text.hasPrefix("*.") ? String(text.dropFirst(2)) : text
        let isHost =
            !host.isEmpty && host.utf8.count <= Address.hostBytesMax
            && host.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
        return isHost && Address.problem(in: "\(host):1") == nil ? text : nil
    }

    /// A prefix as it is written in a route; nil where muster has no such path.
    static func path(_ text: String) -> String? {
        guard text.hasPrefix("/"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !text.contains("?"), !text.contains("#")
        else { return nil }
        return text.count > 1 && text.hasSuffix("/") ? String(text.dropLast()) : text
    }
}
