// Which upstream serves this host and path? Exact host before the longest wildcard before `*`; then
// the longest path prefix. A host that has no route for the path leaves it to the less specific.
//
// Compiled once into flat memory and read by a worker without allocation or reference counting.

import HTTP1
import Health
import Vocabulary

/// The compiled routes of one listener. Immutable, and one for all workers.
final class RouteTable: @unchecked Sendable {
    struct Match {
        /// The upstream's number; below zero where there is none of its name.
        var upstream: Int32
        /// Bytes of the path to take off before forwarding.
        var stripBytes: Int32
        /// What its requests are counted under; -1 where they are not.
        var route: Int32 = -1

        static let nowhere: Int32 = -1
    }

    private struct Route {
        var pathStart: Int32
        var pathCount: Int32
        var match: Match
    }

    private struct Host {
        var hash: UInt64 = 0
        var nameStart: Int32 = 0
        /// Zero marks a free place in the table.
        var nameCount: Int32 = 0
        var routesStart: Int32 = 0
        var routesEnd: Int32 = 0
    }

    /// Names and paths, end to end.
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private let routes: UnsafeMutableBufferPointer<Route>
    /// Open addressing; the size is a power of two at least twice the number of hosts. A wildcard
    /// is stored under its suffix with the leading dot, `*` under a lone dot.
    private let hosts: UnsafeMutableBufferPointer<Host>
    private let mask: Int
    /// A host is looked up, and then each of its suffixes, only where there is one to find.
    private let hasHosts: Bool
    private let hasWildcards: Bool
    /// The routes of `*`, which need not be looked up.
    private let any: Host?

    /// `upstreams` says which number each upstream name has, `numbers` which each route. A route to another upstream
    /// leads nowhere, and not where the next one would: its requests are meant for nobody else.
    init(
        _ configurations: [RouteConfiguration],
        upstreams: [String: Int32],
        numbers: [RouteName: Int32] = [:]
    ) {
        var blob: [UInt8] = []
        var grouped: [String: [Route]] = [:]
        for configuration in configurations {
            let upstream = upstreams[configuration.upstream] ?? Match.nowhere
            let path = Self.prefix(configuration.path)
            let start = blob.count
            blob += path
            let strip = configuration.stripPrefix ? Int32(path.count) : 0
            let route = Route(
                pathStart: Int32(start),
                pathCount: Int32(path.count),
                match: Match(
                    upstream: upstream,
                    stripBytes: strip,
                    route: numbers[RouteName(configuration)] ?? -1
                )
            )
            grouped[Self.storedName(configuration.host), default: []].append(route)
        }
        hasHosts = grouped.keys.contains { $0 != "." }
        hasWildcards = grouped.keys.contains { $0 != "." && $0.hasPrefix(".") }
        var size = 2
        while size < grouped.count * 2 { size *= 2 }
        mask = size - 1
        hosts = .allocate(capacity: size)
        hosts.initialize(repeating: Host())
        var flat: [Route] = []
        var any: Host?
        for (name, group) in grouped.sorted(by: { $0.key < $1.key }) {
            // Of two routes with one prefix the first written wins; the sort is stable.
            let ordered = group.enumerated().sorted {
                ($1.element.pathCount, $0.offset) < ($0.element.pathCount, $1.offset)
            }
            let nameBytes = Array(name.utf8)
            let host = Host(
                hash: nameBytes.reduce(StableHash.seed, StableHash.step),
                nameStart: Int32(blob.count),
                nameCount: Int32(nameBytes.count),
                routesStart: Int32(flat.count),
                routesEnd: Int32(flat.count + group.count)
            )
            if name == "." { any = host }
            blob += nameBytes
            flat += ordered.map(\.element)
            var place = Int(truncatingIfNeeded: host.hash) & mask
            while hosts[place].nameCount != 0 { place = (place + 1) & mask }
            hosts[place] = host
        }
        self.any = any
        bytes = .allocate(capacity: blob.count)
        _ = bytes.initialize(from: blob)
        routes = .allocate(capacity: flat.count)
        _ = routes.initialize(from: flat)
    }

    deinit {
        bytes.deallocate()
        routes.deallocate()
        hosts.deallocate()
    }

    /// `host` in any letter case and without a port; `path` normalised.
    func match(
        host: UnsafeBufferPointer<UInt8>,
        path: UnsafeBufferPointer<UInt8>
    ) -> Match? {
        if hasHosts {
            // A trailing dot names the same host (RFC 1034, section 3.1).
            var end = host.count
            if end > 1, host[end - 1] == UInt8(ascii: ".") { end -= 1 }
            if end > 0, let found = lookUp(host, 0, end, path) { return found }
            var label = hasWildcards ? 1 : end
            while label < end {
                if host[label] == UInt8(ascii: "."), let found = lookUp(host, label, end, path) {
                    return found
                }
                label += 1
            }
        }
        guard let any else { return nil }
        return longestPrefix(of: path, in: any)
    }

    private func lookUp(
        _ host: UnsafeBufferPointer<UInt8>,
        _ start: Int,
        _ end: Int,
        _ path: UnsafeBufferPointer<UInt8>
    ) -> Match? {
        var hash = StableHash.seed
        for index in start..<end { hash = StableHash.step(hash, ASCII.lowercase(host[index])) }
        var place = Int(truncatingIfNeeded: hash) & mask
        while hosts[place].nameCount != 0 {
            let entry = hosts[place]
            if entry.hash == hash, Int(entry.nameCount) == end - start,
                isSame(entry, host, start)
            {
                return longestPrefix(of: path, in: entry)
            }
            place = (place + 1) & mask
        }
        return nil
    }

    private func isSame(_ entry: Host, _ host: UnsafeBufferPointer<UInt8>, _ start: Int) -> Bool {
        for index in 0..<Int(entry.nameCount)
        where bytes[Int(entry.nameStart) + index] != ASCII.lowercase(host[start + index]) {
            return false
        }
        return true
    }

    private func longestPrefix(of path: UnsafeBufferPointer<UInt8>, in host: Host) -> Match? {
        var index = Int(host.routesStart)
        while index < Int(host.routesEnd) {
            let route = routes[index]
            if matches(route, path) { return route.match }
            index += 1
        }
        return nil
    }

    /// The prefix has to end where a segment of the path does.
    private func matches(_ route: Route, _ path: UnsafeBufferPointer<UInt8>) -> Bool {
        let count = Int(route.pathCount)
        if count == 0 { return true }
        guard path.count >= count else { return false }
        for index in 0..<count where bytes[Int(route.pathStart) + index] != path[index] {
            return false
        }
        return path.count == count || path[count] == UInt8(ascii: "/")
    }

    /// A prefix without its trailing slash: `/` becomes empty and matches everything.
    private static func prefix(_ path: String) -> [UInt8] {
        var bytes = Array(path.utf8)
        while bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        return bytes
    }

    private static func storedName(_ host: String) -> String {
        if host == "*" { return "." }
        return host.hasPrefix("*.") ? String(host.dropFirst()).lowercased() : host.lowercased()
    }
}
