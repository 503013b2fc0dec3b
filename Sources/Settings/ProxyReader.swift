// What does the `proxy` section say? Where to listen, which host and path lead to which upstream, how
// long things may take and how many there may be.

import Proxy
import Vocabulary

struct ProxyReader {
    let known: UpstreamsReader
    /// Routes come from elsewhere too: a listener needs none of its own.
    var hasSources = false

    static let threadsMax = 256
    static let connectionsMax = 1_000_000
    /// As many as a worker remembers of one request.
    static let triesMax = 8
    static let timeoutRange = Nanoseconds.milliseconds(1)...Nanoseconds.seconds(86_400)

    func read(_ section: Section?, _ binds: inout Binds) -> ProxyConfiguration {
        var proxy = ProxyConfiguration()
        guard var section else { return proxy }
        proxy.threads = section.int("threads", in: 1...Self.threadsMax)
        let place = section.place.key("listeners")
        for (index, item) in section.list("listeners").enumerated() {
            let inner = Section(item, at: place.item(index), reading: section.reading)
            guard var inner else { continue }
            if let listener = listener(&inner, &binds) { proxy.listeners.append(listener) }
            inner.finish()
        }
        if var timeouts = section.section("timeouts") {
            proxy.timeouts = Self.timeouts(&timeouts)
            timeouts.finish()
        }
        if var limits = section.section("limits") {
            proxy.limits = Self.limits(&limits)
            limits.finish()
        }
        trustedProxies(&section, &proxy.trustedProxies)
        section.finish()
        return proxy
    }

    private func trustedProxies(_ section: inout Section, _ trusted: inout TrustedProxies) {
        let path = "\(section.place.path).trusted-proxies"
        let items = section.list("trusted-proxies")
        if items.count > TrustedProxies.networksMax {
            section.reading.report(
                items[0].expected("at most \(TrustedProxies.networksMax) networks", at: path)
            )
        }
        for (index, item) in items.prefix(TrustedProxies.networksMax).enumerated() {
            let path = "\(path)[\(index)]"
            section.reading.attempt { () throws(SettingError) in
                let text = try item.string(at: path)
                if text == "unix" {
                    trusted.trustsUnix = true
                } else if let network = Network(text) {
                    trusted.networks.append(network)
                } else {
                    throw item.expected(
                        "an address, a network such as 10.0.0.0/8 or fd00::/8, or unix",
                        at: path
                    )
                }
            }
        }
    }

    // MARK: Listeners

    private enum Mode: String, CaseIterable { case http, tcp }

    private func listener(_ section: inout Section, _ binds: inout Binds) -> ListenerConfiguration?
    {
        let bind = binds.take("bind", from: &section)
        let mode = section.word("mode", of: Mode.self) ?? .http
        let path = section.place.path
        let upstream = section.take("upstream")
        let routes = section.take("routes")
        switch mode {
        case .tcp:
            if let routes {
                section.reading.report(
                    SettingError(
                        routes.position,
                        "\(path).routes: expected 'upstream' in mode tcp, saw routes"
                    )
                )
            }
            guard let upstream else {
                section.reportMissing("upstream")
                return nil
            }
            let name = section.reading.attempt { () throws(SettingError) in
                try known.name(upstream, at: "\(path).upstream")
            }
            guard let bind, let name else { return nil }
            return ListenerConfiguration(bind: bind, mode: .tcp(upstream: name))
        case .http:
            if let upstream {
                section.reading.report(
                    SettingError(
                        upstream.position,
                        "\(path).upstream: expected 'routes' in mode http, saw an upstream"
                    )
                )
            }
            if hasSources, upstream == nil, routes?.isEmptyList ?? true {
                return bind.map { ListenerConfiguration(bind: $0, mode: .http(routes: [])) }
            }
            guard let routes, case .list(let items) = routes.value, !items.isEmpty else {
                if let routes {
                    section.reading.report(
                        routes.expected("a list of at least one route", at: "\(path).routes")
                    )
                } else if upstream == nil {
                    section.reportMissing("routes")
                }
                return nil
            }
            let read = self.routes(items, at: section.place.key("routes"), section.reading)
            guard let bind else { return nil }
            return ListenerConfiguration(bind: bind, mode: .http(routes: read))
        }
    }

    // MARK: Routes

    private func routes(
        _ items: [Setting],
        at place: Place,
        _ reading: Reading
    ) -> [RouteConfiguration] {
        var routes: [RouteConfiguration] = []
        var first: [String: Position] = [:]
        for (index, item) in items.enumerated() {
            guard var section = Section(item, at: place.item(index), reading: reading) else {
                continue
            }
            let route = Self.route(&section, known.name)
            section.finish()
            guard let route else { continue }
            if let earlier = first["\(route.host) \(route.path)"] {
                reading.report(
                    SettingError(
                        item.position,
                        "\(section.place.path): host '\(route.host)' and path '\(route.path)' are "
                            + "routed twice: first at \(earlier)"
                    )
                )
                continue
            }
            first["\(route.host) \(route.path)"] = item.position
            routes.append(route)
        }
        return routes
    }

    /// `leads`: reads where it leads.
    static func route(
        _ section: inout Section,
        _ leads: (Setting, String) throws(SettingError) -> String
    ) -> RouteConfiguration? {
        let start = section.reading.mistakes.count
        let host = section.read("host", HostPattern.read) ?? "*"
        let path = section.read("path", Self.path) ?? "/"
        let stripPrefix = section.bool("strip-prefix", default: false)
        let before = section.reading.mistakes.count
        let upstream = section.read("upstream", leads)
        guard let upstream else {
            if section.reading.mistakes.count == before { section.reportMissing("upstream") }
            return nil
        }
        // A mistaken host must not be reported again as a second `*`.
        if section.reading.mistakes.count > start { return nil }
        return RouteConfiguration(
            host: host,
            path: path,
            stripPrefix: stripPrefix,
            upstream: upstream
        )
    }

    private static func isDotSegment(_ segment: Substring) -> Bool {
        [".", ".."].contains(segment.lowercased().replacing("%2e", with: "."))
    }

    private static func path(_ setting: Setting, at path: String) throws(SettingError) -> String {
        let text = try setting.string(at: path)
        guard text.hasPrefix("/"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !text.contains("?"), !text.contains("#")
        else {
            throw setting.expected("a path that begins with '/', without query", at: path)
        }
        guard !text.split(separator: "/").contains(where: isDotSegment) else {
            throw setting.expected(
                "a path without '.' and '..', which no request has any more when its route is looked for",
                at: path
            )
        }
        // `/static/` and `/static` are one prefix: it ends at a segment either way.
        return text.count > 1 && text.hasSuffix("/") ? String(text.dropLast()) : text
    }

    // MARK: Figures

    private static func timeouts(_ section: inout Section) -> ProxyTimeouts {
        var timeouts = ProxyTimeouts()
        let keys: [(String, WritableKeyPath<ProxyTimeouts, Nanoseconds>)] = [
            ("connect", \.connect), ("request-head", \.requestHead),
            ("client-idle", \.clientIdle), ("body-idle", \.bodyIdle), ("response", \.response),
            ("peer-idle", \.peerIdle), ("tunnel-idle", \.tunnelIdle), ("drain", \.drain),
        ]
        for (key, path) in keys {
            timeouts[keyPath: path] = section.duration(
                key,
                in: timeoutRange,
                default: timeouts[keyPath: path]
            )
        }
        return timeouts
    }

    private static func limits(_ section: inout Section) -> ProxyLimits {
        var limits = ProxyLimits()
        let connections = section.int("client-connections", in: 1...connectionsMax)
        let idle = section.int("idle-peer-connections", in: 0...connectionsMax)
        let tries = section.int("tries", in: 1...triesMax)
        limits.clientConnections = connections ?? limits.clientConnections
        limits.idlePeerConnections = idle ?? limits.idlePeerConnections
        limits.tries = tries ?? limits.tries
        return limits
    }
}

extension Setting {
    fileprivate var isEmptyList: Bool {
        if case .list(let items) = value { return items.isEmpty }
        return isNull
    }
}

/// `www.example.com`, `*.example.com` or `*`, in lower case.
enum HostPattern {
    static func read(_ setting: Setting, at path: String) throws(SettingError) -> String {
        let text = try setting.string(at: path).lowercased()
        if text == "*" { return text }
        let host = text.hasPrefix("*.") ? text.dropFirst(2) : text[...]
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
        // An IPv6 literal arrives in brackets in the Host field, without a zone, and is matched as such.
        let isLiteral = text.hasPrefix("[") && text.hasSuffix("]") && !text.contains("%")
        guard isHost || isLiteral else {
            throw setting.expected(
                "a host without port, such as www.example.com, *.example.com or *",
                at: path
            )
        }
        // What may stand there is what a peer's address may have for its host.
        let address = isLiteral ? "\(text.dropLast())%any]:1" : "\(host):1"
        if let problem = Address.problem(in: address) {
            throw SettingError(
                setting.position,
                "\(path): \(isLiteral ? "expected an IPv6 address, saw '\(text)'" : problem)"
            )
        }
        return text
    }
}
