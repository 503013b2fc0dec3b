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
    static let routesMax = 200_000

    static func table(_ rules: [RouteRule]) -> Table {
        var table = Table()
        var hosts: [String] = []
        var byHost: [String: [Int]] = [:]
        for (index, rule) in rules.enumerated() {
            if byHost[rule.host] == nil { hosts.append(rule.host) }
            byHost[rule.host, default: []].append(index)
        }
        for host in hosts {
            let own = byHost[host] ?? []
            let wider = self.wider(than: host).flatMap { byHost[$0] ?? [] }
            add(host, own, (own + wider).sorted(), rules, &table)
        }
        if table.routes.count > routesMax, let first = rules.first {
            for route in table.routes[routesMax...] {
                table.notes.append(
                    Note(
                        place: first.place,
                        text: "\(route.host)\(route.path) to \(route.upstream)",
                        why: "expected at most \(routesMax) routes of one listener, saw more"
                    )
                )
            }
            table.routes.removeSubrange(routesMax...)
        }
        return table
    }

    /// Those that all of `host` belongs to.
    static func wider(than host: String) -> [String] {
        if host == "*" { return [] }
        var wider: [String] = []
        var rest = host.hasPrefix("*.") ? host.dropFirst(2) : host[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            wider.append("*.\(rest)")
        }
        return wider + ["*"]
    }

    /// `own` and `covering` are places in `rules`, in order.
    private static func add(
        _ host: String,
        _ own: [Int],
        _ covering: [Int],
        _ rules: [RouteRule],
        _ table: inout Table
    ) {
        var before: [RouteRule] = []
        var paths: Set<String> = []
        for index in covering {
            let rule = rules[index]
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
                isOwn || own.contains { $0 > index && isPrefix(rules[$0].path, of: rule.path) }
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

/// What another system compares paths with, which a route can say nearly.
struct PathBeginning: Equatable, Sendable {
    enum End: Sendable {
        /// The path is this and no more.
        case here
        /// It may go on with a `/`, as a route's.
        case segment
        /// It may go on with anything.
        case anywhere
    }

    var text: String
    var end: End

    /// The route's; nil where muster has no such path.
    var path: String? {
        guard let path = RouteWords.path(text) else { return nil }
        // The one path `/` cannot be told from all that are below it.
        return path == "/" && end == .here ? nil : path
    }

    /// What a route does otherwise.
    func doubts(heedsCase: Bool = true) -> [String] {
        var doubts: [String] = []
        switch end {
        case .here: doubts.append("a route has what is below the path too")
        case .segment: break
        case .anywhere:
            if !text.hasSuffix("/") {
                doubts.append(
                    "a route's path ends at a segment: '\(text)2', which begins so too, goes elsewhere"
                )
            }
        }
        if !heedsCase,
            text.utf8.contains(where: { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 })
        {
            doubts.append("a route's path is told with regard to case")
        }
        return doubts
    }
}
