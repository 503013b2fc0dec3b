// Which listeners and routes are the servers of an nginx, with their names and locations? What a route cannot say is a note.

import Vocabulary

extension NginxImport {
    mutating func server(_ directive: NginxDirective, _ outer: NginxScope) {
        var scope = outer
        scope.enter(directive.block ?? [])
        var listens: [NginxDirective] = []
        var names: [String] = []
        var locations: [NginxDirective] = []
        for inner in directive.block ?? [] {
            switch inner.name {
            case "listen": listens.append(inner)
            case "server_name": names += inner.arguments
            case "location": locations.append(inner)
            default: if !scope.take(inner) { other(inner) }
            }
        }
        var found: [NginxRoute] = []
        for location in locations { self.location(location, scope, &found) }
        var asked: [(bind: String, isDefault: Bool)] = []
        if listens.isEmpty {
            asked = [("0.0.0.0:80", false)]
        }
        for listen in listens {
            for bind in bind(listen).map(both) ?? [] {
                let isDefault =
                    listen.arguments.contains("default_server")
                    || listen.arguments.contains("default")
                if let index = asked.firstIndex(where: { $0.bind == bind }) {
                    asked[index].isDefault = asked[index].isDefault || isDefault
                } else {
                    asked.append((bind, isDefault))
                }
            }
        }
        if found.isEmpty {
            note(
                directive,
                "leads to no upstream, so it is not taken over",
                text:
                    "server { listen \(listens.map(\.first).joined(separator: ", ")); server_name \(names.joined(separator: " ")); }"
            )
        }
        let hosts = hosts(names, directive)
        for (bind, isDefault) in asked {
            add(found, to: bind, hosts: hosts, isDefault: isDefault, directive, names)
        }
    }

    /// A server that leads nowhere counts too: its names are no other server's.
    mutating func add(
        _ found: [NginxRoute],
        to bind: String,
        hosts: [String],
        isDefault: Bool,
        _ directive: NginxDirective,
        _ names: [String]
    ) {
        if !found.isEmpty, sources[bind] == nil {
            binds.append(bind)
            sources[bind] = "\(directive.place): server \(names.joined(separator: " "))"
        }
        let server = NginxServer(
            place: directive.place,
            names: names,
            hosts: hosts,
            routes: found.map { route in
                DraftRoute(
                    path: route.path,
                    stripsPrefix: route.strips,
                    upstream: upstreams[route.upstream].draft.name
                )
            },
            isMarked: isDefault
        )
        addresses[bind, default: NginxAddress()].servers.append(server)
    }

    mutating func hosts(_ names: [String], _ directive: NginxDirective) -> [String] {
        var hosts: [String] = []
        for name in names where !["_", "", "*", "\"\""].contains(name) {
            let wanted = name.hasPrefix(".") ? [String(name.dropFirst()), "*" + name] : [name]
            for text in wanted {
                if let host = RouteWords.host(text), text != "*" {
                    if !hosts.contains(host) { hosts.append(host) }
                } else {
                    note(directive, "no host that a route has", text: "server_name \(name)")
                }
            }
        }
        return hosts
    }

    /// An address of version 6 takes version 4 too where some `listen` of it says `ipv6only=off`; muster listens apart.
    func both(_ bind: String) -> [String] {
        guard bind.hasPrefix("[::]:"), dualPorts.contains(String(bind.dropFirst(5))) else {
            return [bind]
        }
        return [bind, "0.0.0.0:\(bind.dropFirst(5))"]
    }

    mutating func bind(_ listen: NginxDirective) -> String? {
        let text = listen.first
        var words = Set(listen.arguments.dropFirst())
        words.subtract(["default_server", "default", "ipv6only=off", "ipv6only=on"])
        var bind: String?
        if text.hasPrefix("unix:") {
            bind = NginxUpstream.address(text, defaultPort: nil)
        } else if let port = Int(text), (1...65_535).contains(port) {
            bind = "0.0.0.0:\(port)"
        } else if let parsed = HAProxyAddress.parse(text), !parsed.isUnix {
            let port = parsed.port.isEmpty ? 80 : Int(parsed.port) ?? 0
            let host =
                parsed.host.isEmpty
                ? "0.0.0.0" : parsed.host == "localhost" ? "127.0.0.1" : parsed.host
            let line = HAProxyLine(
                place: listen.place,
                words: ["bind", host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"],
                raw: listen.text
            )
            bind = HAProxyFrontend.addresses(of: line).found.first
        }
        guard let bind else {
            note(listen, "muster listens on IP addresses and sockets")
            return nil
        }
        if words.contains("udp") {
            note(listen, "muster speaks TCP")
            return nil
        }
        if words.contains("ssl") || words.contains("quic") || words.contains("http3") {
            bindNotes[bind, default: []].append(
                Note(
                    place: listen.place,
                    text: listen.text,
                    why: TLS.why
                )
            )
        } else if !words.isEmpty {
            bindNotes[bind, default: []].append(
                Note(place: listen.place, text: listen.text, why: "no counterpart")
            )
        }
        return bind
    }

    // MARK: Locations

    struct NginxRoute {
        var path: String
        var strips: Bool
        var upstream: Int
    }

    mutating func location(
        _ directive: NginxDirective,
        _ outer: NginxScope,
        _ found: inout [NginxRoute]
    ) {
        var scope = outer
        scope.enter(directive.block ?? [])
        var pass: NginxDirective?
        var health: NginxDirective?
        var inner: [NginxDirective] = []
        let elsewhere = Durpina.door(for: directive)
        for line in directive.block ?? [] {
            switch line.name {
            case "proxy_pass": pass = line
            case "health_check": health = line
            case "location": inner.append(line)
            case "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass":
                note(
                    line,
                    "muster speaks HTTP/1.1 to peers",
                    text: "location \(directive.arguments.joined(separator: " ")): \(line.text)"
                )
            default:
                if !scope.take(line) {
                    if line.block == nil, line.lua == nil {
                        note(
                            line,
                            Self.forbids(line) || Self.refuses(line)
                                ? Note.openHere : NginxScope.reason(for: line),
                            text:
                                "location \(directive.arguments.joined(separator: " ")): \(line.text)"
                        )
                    } else {
                        tellWhole(
                            line,
                            Self.forbids(line)
                                ? Note.openHere : elsewhere == nil ? "no counterpart" : ""
                        )
                    }
                }
            }
        }
        for line in inner { location(line, scope, &found) }
        guard let pass else {
            if let health { note(health, "no proxy_pass beside it") }
            if inner.isEmpty { note(directive, elsewhere ?? "leads to no upstream") }
            return
        }
        guard let target = target(pass) else { return }
        if scope.leavesHost {
            note(
                pass,
                "the server hears the name that stands here as Host, and from muster what the client says: it has to "
                    + "know those names",
                text: "location \(directive.arguments.joined(separator: " ")): \(pass.text)"
            )
        }
        scope.apply(to: &upstreams[target.upstream], isStream: false)
        scope.apply(to: &draft, isStream: false)
        if let health { healthCheck(health, of: target.upstream, isStream: false) }
        guard let path = path(directive) else { return }
        let strips = strips(path, target.uri, directive, pass)
        if found.contains(where: { $0.path == path }) {
            note(directive, "the path '\(path)' leads elsewhere already")
            return
        }
        found.append(NginxRoute(path: path, strips: strips, upstream: target.upstream))
    }

    /// The prefix that a location is of; nil, and a note, where it is none.
    mutating func path(_ directive: NginxDirective) -> String? {
        let words = directive.arguments
        let modifier = words.count > 1 ? words[0] : ""
        let text = words.last ?? ""
        switch modifier {
        case "", "^~":
            if let path = self.path(PathBeginning(text: text, end: .anywhere), directive) {
                return path
            }
        case "=":
            if let path = self.path(PathBeginning(text: text, end: .here), directive) {
                return path
            }
        case "~", "~*":
            if let path = HAProxyRules.literal(text)?.path {
                note(directive, "a prefix that ends at a segment, with regard to case")
                return path
            }
        default: break
        }
        note(directive, "routes go by host and by the beginning of the path alone")
        return nil
    }

    private mutating func path(
        _ beginning: PathBeginning,
        _ directive: NginxDirective
    ) -> String? {
        guard let path = beginning.path else { return nil }
        for why in beginning.doubts() { note(directive, why) }
        return path
    }

    mutating func strips(
        _ path: String,
        _ uri: String?,
        _ location: NginxDirective,
        _ pass: NginxDirective
    ) -> Bool {
        guard let uri else { return false }
        let prefix = location.arguments.last ?? ""
        if uri == prefix || path == "/" && uri == "/" { return false }
        if uri == "/", prefix.hasSuffix("/") { return true }
        note(pass, "the path is passed on as it came", text: "location \(prefix): \(pass.text)")
        return false
    }

    /// Where a `proxy_pass` leads: an upstream of this file, or one made of its address.
    mutating func target(_ pass: NginxDirective) -> (upstream: Int, uri: String?)? {
        var text = pass.first[...]
        let isTLS = text.hasPrefix("https://")
        guard isTLS || text.hasPrefix("http://"), !text.contains("$") else {
            note(
                pass,
                text.contains("$") ? "a variable; the upstream has to be named" : "expected http://"
            )
            return nil
        }
        text = text.dropFirst(isTLS ? 8 : 7)
        if isTLS { note(pass, "muster speaks plain text to peers") }
        var uri: String?
        var authority = text
        if text.hasPrefix("unix:") {
            let parts = text.dropFirst(5).split(
                separator: ":",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            authority = "unix:" + (parts.first ?? "")
            uri = parts.count > 1 && !parts[1].isEmpty ? String(parts[1]) : nil
        } else if let slash = text.firstIndex(of: "/") {
            authority = text[..<slash]
            uri = String(text[slash...])
        }
        let name = String(authority)
        if let index = places[Self.key(name)] { return (index, uri) }
        guard let address = NginxUpstream.address(name, defaultPort: isTLS ? 443 : 80) else {
            note(pass, "no address that muster can connect to")
            return nil
        }
        // A name that was not there as an upstream is one from now on, another one for each port that the scheme has.
        let key = "address \(Self.key(address))"
        if let index = places[key] { return (index, uri) }
        places[key] = upstreams.count
        upstreams.append(
            NginxUpstream(
                address: address,
                called: draft.name(for: name.hasPrefix("unix:") ? String(name.dropFirst(6)) : name),
                for: pass
            )
        )
        return (upstreams.count - 1, uri)
    }
}
