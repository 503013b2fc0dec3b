// Where does a frontend listen, and where does it lead? Rules by host and path become routes; whatever else decides
// there is a note.

import Vocabulary

struct HAProxyFrontend {
    private let proxy: HAProxyProxy
    /// What an upstream is called here, by the name of its backend.
    private let names: [String: String]
    private(set) var listeners: [DraftListener] = []
    private(set) var notes: [Note] = []

    private static let portsMax = 256

    init(_ proxy: HAProxyProxy, names: [String: String]) {
        self.proxy = proxy
        self.names = names
    }

    /// `taken`: where others listen already; `written`: what some proxy of the file names itself.
    mutating func read(taken: Set<String>, written: Set<String>) {
        var own: [Note] = proxy.kind == "frontend" || names[proxy.name] == nil ? proxy.notes : []
        let mode = mode(&own)
        var binds: [String] = []
        var twins: [String] = []
        for line in proxy.binds {
            let addresses = Self.addresses(of: line)
            twins += addresses.twins
            own += addresses.notes
            for bind in addresses.found {
                if taken.contains(bind) || binds.contains(bind) {
                    own.append(
                        Note(place: line.place, text: line.raw, why: "\(bind) is taken already")
                    )
                } else {
                    binds.append(bind)
                }
            }
        }
        for twin in twins where !written.contains(twin) && !taken.contains(twin) {
            if !binds.contains(twin) { binds.append(twin) }
        }
        guard let mode else {
            notes.append(
                Note(
                    place: proxy.place,
                    text: proxy.raw,
                    why: "leads nowhere, so it is not taken over"
                )
            )
            notes += proxy.binds.map { Note(place: $0.place, text: $0.raw, why: "") } + own
            return
        }
        if binds.isEmpty {
            notes.append(
                Note(
                    place: proxy.place,
                    text: proxy.raw,
                    why: "listens nowhere, so it is not taken over"
                )
            )
            notes += own
            return
        }
        if proxy.isDisabled {
            notes.append(
                Note(place: proxy.place, text: "\(proxy.raw) (disabled)", why: "not taken over")
            )
            notes += proxy.binds.map { Note(place: $0.place, text: $0.raw, why: "") } + own
            return
        }
        for (index, bind) in binds.enumerated() {
            listeners.append(
                DraftListener(
                    bind: bind,
                    source: "\(proxy.place): \(proxy.raw)",
                    mode: mode,
                    notes: index == 0 ? own : []
                )
            )
        }
    }

    // MARK: Where it listens

    struct Addresses {
        var found: [String] = []
        /// Of every address of version 6, unless it is for that alone: those of version 4 come there too, for which
        /// muster listens apart.
        var twins: [String] = []
        var notes: [Note] = []
    }

    static func addresses(of line: HAProxyLine) -> Addresses {
        var found: [String] = []
        var twins: [String] = []
        var notes: [Note] = []
        func tell(_ text: String, _ why: String) {
            notes.append(Note(place: line.place, text: text, why: why))
        }
        for text in line.second.split(separator: ",") {
            guard let parsed = HAProxyAddress.parse(String(text)) else {
                tell("bind \(text)", "no address that muster can listen on")
                continue
            }
            if parsed.isUnix {
                if let bind = HAProxyAddress.text(parsed, port: 0) {
                    found.append(bind)
                } else {
                    tell("bind \(text)", "no address that muster can listen on")
                }
                continue
            }
            let ends = parsed.port.split(separator: "-", omittingEmptySubsequences: false).map {
                Int($0)
            }
            guard let low = ends.first.flatMap({ $0 }), let high = ends.last.flatMap({ $0 }),
                ends.count <= 2, 1 <= low, low <= high, high <= 65_535, high - low < portsMax
            else {
                tell("bind \(text)", "expected one port, or a range of at most \(portsMax)")
                continue
            }
            let host = parsed.host.isEmpty ? "0.0.0.0" : parsed.host
            for port in low...high {
                guard let bind = self.bind(host, port) else {
                    tell(
                        "bind \(text)",
                        "muster listens on IP addresses: write the one that is meant"
                    )
                    break
                }
                found.append(bind)
                if bind.hasPrefix("[::]:"), !line.words.contains("v6only") {
                    twins.append("0.0.0.0:\(port)")
                }
            }
        }
        let rest = line.rest.dropFirst().filter { !["v4v6", "v6only"].contains($0) }
        if rest.contains("ssl") {
            tell(
                "bind \(line.second) \(rest.joined(separator: " "))",
                TLS.why
            )
            if zip(rest, rest.dropFirst()).contains(where: { $0 == "verify" && $1 == "required" }) {
                tell("bind \(line.second) … verify required", Note.openHere)
            }
        } else if !rest.isEmpty {
            tell("bind \(line.second) \(rest.joined(separator: " "))", "no counterpart")
        }
        return Addresses(found: found, twins: twins, notes: notes)
    }

    private static func bind(_ host: String, _ port: Int) -> String? {
        let host = host == "localhost" ? "127.0.0.1" : host
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        let isVersion4 =
            parts.count == 4 && parts.allSatisfy { UInt8($0).map { "\($0)" } == String($0) }
        guard isVersion4 || IPv6.isLiteral(host) else { return nil }
        let text = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        return Address.problem(in: text) == nil ? text : nil
    }

    // MARK: Where it leads

    private func mode(_ notes: inout [Note]) -> DraftListener.Mode? {
        let own = proxy.kind == "listen" ? names[proxy.name] : nil
        if !proxy.isHTTP {
            notes += (proxy.acls + proxy.rules).map {
                Note(place: $0.place, text: $0.raw, why: "in mode tcp there is one upstream")
            }
            return upstream(of: proxy.defaultBackend, &notes).map { .tcp(upstream: $0) }
                ?? own.map { .tcp(upstream: $0) }
        }
        var rules = HAProxyRules(proxy.acls)
        var wanted: [RouteRule] = []
        for line in proxy.rules {
            guard let name = names[line.second] else {
                notes.append(
                    Note(place: line.place, text: line.raw, why: "expected a backend of this file")
                )
                continue
            }
            guard let places = rules.places(of: line) else {
                notes.append(
                    Note(place: line.place, text: line.raw, why: "routes go by host and path alone")
                )
                continue
            }
            wanted += places.map {
                RouteRule(
                    host: $0.host,
                    path: $0.path,
                    upstream: name,
                    place: line.place,
                    text: line.raw
                )
            }
        }
        notes += rules.notes
        let last = upstream(of: proxy.defaultBackend, &notes) ?? own
        if let last {
            let place = proxy.defaultBackend?.line.place ?? proxy.place
            wanted.append(
                RouteRule(host: "*", path: "/", upstream: last, place: place, text: proxy.raw)
            )
        }
        let table = RouteRule.table(wanted)
        notes += table.notes
        return table.routes.isEmpty ? nil : .http(table.routes)
    }

    private func upstream(
        of backend: (name: String, line: HAProxyLine)?,
        _ notes: inout [Note]
    ) -> String? {
        guard let backend else { return nil }
        if let name = names[backend.name] { return name }
        notes.append(
            Note(
                place: backend.line.place,
                text: backend.line.raw,
                why: "expected a backend of this file"
            )
        )
        return nil
    }
}

/// Of a port that spoke TLS.
enum TLS {
    static let why =
        "here this port speaks plain text: end TLS before it, or leave it out. Name whoever ends it in "
        + "proxy.trusted-proxies, or peers hear X-Forwarded-Proto: http"
}

enum IPv6 {
    /// As the kernel takes it: groups of up to four digits, one gap at most, an IPv4 address at the end.
    static func isLiteral(_ text: String) -> Bool {
        let gaps = text.ranges(of: "::").count
        guard gaps <= 1, !text.contains(":::"), text.contains(":") else { return false }
        let sides =
            gaps == 1 ? text.split(separator: "::", omittingEmptySubsequences: false) : [text[...]]
        var count = 0
        for (index, side) in sides.enumerated() where !side.isEmpty {
            let groups = side.split(separator: ":", omittingEmptySubsequences: false)
            for (place, group) in groups.enumerated() {
                let isLast = index == sides.count - 1 && place == groups.count - 1
                if isLast, group.contains(".") {
                    let bytes = group.split(separator: ".", omittingEmptySubsequences: false)
                    guard bytes.count == 4,
                        bytes.allSatisfy({ UInt8($0).map { "\($0)" } == String($0) })
                    else { return false }
                    count += 2
                } else {
                    guard (1...4).contains(group.utf8.count),
                        group.allSatisfy({ $0.isASCII && $0.isHexDigit })
                    else { return false }
                    count += 1
                }
            }
        }
        return gaps == 1 ? count <= 7 : count == 8
    }
}
