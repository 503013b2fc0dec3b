// Whose hosts does each server of an address serve? Its names, of which the first server to have one keeps it; and the
// default server has those that nobody has. nginx finds the server first and its location then, and never looks in
// another server; muster goes on to wider hosts where a host has no route for a path. What that changes is told.

struct NginxServer {
    var place: SourcePlace
    var names: [String]
    /// The names that a route can have.
    var hosts: [String]
    /// Of any host. None where it leads to no upstream; its names are its own all the same.
    var routes: [DraftRoute]
    /// By `default_server`.
    var isMarked: Bool

    fileprivate var text: String { "server \(names.joined(separator: " "))" }
}

/// The servers of one address, in the order in which they come.
struct NginxAddress {
    var servers: [NginxServer] = []

    struct Table {
        var routes: [DraftRoute] = []
        var notes: [Note] = []
    }

    func table(of bind: String) -> Table {
        var table = Table()
        let standard = servers.firstIndex { $0.isMarked } ?? 0
        var owners: [String: Int] = [:]
        var hosts: [(name: String, server: Int)] = []
        for (index, server) in servers.enumerated() {
            for host in server.hosts {
                if let owner = owners[host] {
                    table.notes.append(
                        Note(
                            place: server.place,
                            text: server.text,
                            why:
                                "'\(host)' of \(bind) is the server's at \(servers[owner].place), which comes first"
                        )
                    )
                } else {
                    owners[host] = index
                    hosts.append((host, index))
                }
            }
            if index == standard {
                owners["*"] = index
                hosts.append(("*", index))
            } else if server.hosts.isEmpty, !server.routes.isEmpty {
                table.notes.append(
                    Note(
                        place: server.place,
                        text: server.text,
                        why:
                            "no name of \(bind) leads to it: other hosts are the default server's, at \(servers[standard].place)"
                    )
                )
            }
        }
        // A server of many hosts is one set of paths.
        let paths = servers.map { Set($0.routes.map(\.path)) }
        for (host, index) in hosts {
            for var route in servers[index].routes {
                route.host = host
                table.routes.append(route)
            }
            if let note = leak(host, of: index, paths[index], owners) { table.notes.append(note) }
        }
        return table
    }

    /// What wider hosts serve of this one, though its own server would not.
    private func leak(
        _ host: String,
        of index: Int,
        _ paths: Set<String>,
        _ owners: [String: Int]
    ) -> Note? {
        var held = paths
        var leaks: [String] = []
        for wider in RouteRule.wider(than: host) {
            guard let owner = owners[wider], owner != index else { continue }
            for route in servers[owner].routes where !Self.covers(held, route.path) {
                leaks.append(
                    "'\(route.path)' to '\(wider)' (upstream \(route.upstream), at \(servers[owner].place))"
                )
            }
            held.formUnion(servers[owner].routes.map(\.path))
        }
        if leaks.isEmpty { return nil }
        let more = leaks.count > Self.leaksMax ? " and \(leaks.count - Self.leaksMax) more" : ""
        return Note(
            place: servers[index].place,
            text: servers[index].text,
            why:
                "'\(host)' has no route for what goes on to wider hosts here: "
                + "\(leaks.prefix(Self.leaksMax).joined(separator: ", "))\(more); in nginx it stays in this server"
        )
    }

    private static let leaksMax = 8

    /// Whether one of `paths` is a prefix of `path` that ends at a segment.
    private static func covers(_ paths: Set<String>, _ path: String) -> Bool {
        var rest = path[...]
        while !rest.isEmpty {
            if paths.contains(String(rest)) { return true }
            rest = rest[..<(rest.lastIndex(of: "/") ?? rest.startIndex)]
        }
        return paths.contains("/")
    }
}
