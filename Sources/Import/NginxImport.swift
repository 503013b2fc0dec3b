// What is an nginx configuration in muster's words? Upstreams stay upstreams, servers with their locations become
// listeners with routes, and whatever else nginx does with a request is a comment.

import Patterns
import Vocabulary

public struct NginxImport {
    private var draft = Draft()
    private var upstreams: [NginxUpstream] = []
    /// Places in `upstreams`, by nginx's name; of streams apart.
    private var places: [String: Int] = [:]
    private var matches: [String: NginxDirective] = [:]
    /// What each address is asked for, in the order in which they come.
    private var binds: [String] = []
    private var routes: [String: [(route: DraftRoute, place: SourcePlace)]] = [:]
    /// Where in `routes` an address has a host and a path.
    private var held: [String: [RouteKey: Int]] = [:]
    private var streams: [String: String] = [:]
    private var sources: [String: String] = [:]
    private var bindNotes: [String: [Note]] = [:]

    private struct RouteKey: Hashable {
        var host: String
        var path: String
    }

    public static let bytesMax = 16 << 20

    /// Reads `file`, and asks `load` for what it includes.
    public static func read(_ file: SourceFile, load: @escaping SourceLoader) -> Imported {
        let tree = NginxTree(file, load: load)
        var reader = NginxImport()
        reader.draft.notes = tree.notes
        reader.read(tree.directives)
        return Imported(reader.draft, from: file.path, by: "muster import nginx")
    }

    private mutating func note(_ directive: NginxDirective, _ why: String, text: String? = nil) {
        draft.notes.append(Note(place: directive.place, text: text ?? directive.text, why: why))
    }

    /// With all that is in it.
    private mutating func tellWhole(_ directive: NginxDirective, _ why: String) {
        note(directive, why)
        for inner in directive.block ?? [] { tellWhole(inner, "") }
    }

    // MARK: Contexts

    private mutating func read(_ directives: [NginxDirective]) {
        var web: [NginxDirective] = []
        var stream: [NginxDirective] = []
        var rest: [NginxDirective] = []
        for directive in directives {
            switch (directive.name, directive.block) {
            case ("http", let block?): web += block
            case ("stream", let block?): stream += block
            case ("events", let block?):
                for inner in block { note(inner, "for nginx's own loop") }
            // A file that is included in `http`, read by itself.
            case ("server", .some), ("upstream", .some), ("map", .some), ("match", .some):
                web.append(directive)
            default: rest.append(directive)
            }
        }
        for directive in web where directive.name == "match" {
            matches[directive.first] = directive
        }
        for directive in stream where directive.name == "match" {
            matches["stream \(directive.first)"] = directive
        }
        for directive in web where directive.name == "upstream" {
            upstream(directive, isStream: false)
        }
        for directive in stream where directive.name == "upstream" {
            upstream(directive, isStream: true)
        }
        // A script speaks of upstreams, wherever it stands.
        var scope = NginxScope()
        for directive in rest {
            if !scope.take(directive) { other(directive) }
        }
        for directive in web where !["server", "upstream", "match"].contains(directive.name) {
            if !scope.take(directive) { other(directive) }
        }
        for directive in web where directive.name == "server" { server(directive, scope) }
        var streamScope = NginxScope()
        for directive in stream where !["server", "upstream", "match"].contains(directive.name) {
            if !streamScope.take(directive) { other(directive) }
        }
        for directive in stream where directive.name == "server" {
            streamServer(directive, streamScope)
        }
        for directive in web + stream where directive.name == "match" {
            if !usedMatches.contains("\(directive.place)") {
                tellWhole(directive, "no health_check names it")
            }
        }
        finish()
    }

    private var usedMatches: Set<String> = []

    private mutating func other(_ directive: NginxDirective) {
        switch directive.name {
        case "init_worker_by_lua_block", "init_by_lua_block", "init_worker_by_lua", "init_by_lua":
            script(directive)
        case "worker_processes":
            if let count = Int(directive.first), (1...256).contains(count) {
                draft.threads = count
            } else {
                note(directive, "one thread a core is the default here")
            }
        default: tellWhole(directive, NginxScope.reasons[directive.name] ?? "no counterpart")
        }
    }

    private mutating func upstream(_ directive: NginxDirective, isStream: Bool) {
        let key = isStream ? "stream \(directive.first)" : directive.first
        if places[key] != nil {
            tellWhole(directive, "a second one of this name")
            return
        }
        places[key] = upstreams.count
        upstreams.append(
            NginxUpstream(directive, called: draft.name(for: directive.first), isStream: isStream)
        )
    }

    // MARK: Lua

    private mutating func script(_ directive: NginxDirective) {
        let text = directive.lua ?? directive.first
        let script = Durpina.read(text, line: directive.place.line)
        func place(_ line: Int) -> SourcePlace {
            SourcePlace(file: directive.place.file, line: line)
        }
        for (request, line) in script.requests {
            switch request {
            case .monitor(let name, let monitor):
                guard let index = places[name] else {
                    draft.notes.append(
                        Note(
                            place: place(line),
                            text: "\(name): monitor \(monitor.kind)",
                            why: "expected an upstream of this file"
                        )
                    )
                    continue
                }
                upstreams[index].add(
                    monitor.kind,
                    monitor.entries,
                    notes: monitor.left.map {
                        Note(
                            place: place(line),
                            text: "monitor \(monitor.kind): \($0.0)",
                            why: $0.1
                        )
                    }
                )
            case .peer(let name, let address, let words, let left):
                guard let index = places[name] else {
                    draft.notes.append(
                        Note(
                            place: place(line),
                            text: "\(name): add_peer \(address)",
                            why: "expected an upstream of this file"
                        )
                    )
                    continue
                }
                upstreams[index].addPeer(address, words, left, at: place(line))
            }
        }
        for (line, text, why) in script.notes {
            draft.notes.append(Note(place: place(line), text: text, why: why))
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for number in script.left.sorted() {
            let index = number - directive.place.line
            guard lines.indices.contains(index) else { continue }
            let line = lines[index].drop { $0 == " " || $0 == "\t" }
            draft.notes.append(
                Note(place: place(number), text: String(line), why: "Lua that is not followed")
            )
        }
    }

    // MARK: Servers

    private mutating func server(_ directive: NginxDirective, _ outer: NginxScope) {
        var scope = outer
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
        var addresses: [(bind: String, isDefault: Bool)] = []
        if listens.isEmpty {
            addresses = [("0.0.0.0:80", false)]
        }
        for listen in listens {
            if let bind = bind(listen) {
                let isDefault =
                    listen.arguments.contains("default_server")
                    || listen.arguments.contains("default")
                addresses.append((bind, isDefault))
            }
        }
        if found.isEmpty {
            note(
                directive,
                "leads to no upstream, so it is not taken over",
                text:
                    "server { listen \(listens.map(\.first).joined(separator: ", ")); server_name \(names.joined(separator: " ")); }"
            )
            return
        }
        let hosts = hosts(names, directive)
        for (bind, isDefault) in addresses {
            add(found, to: bind, hosts: hosts, isDefault: isDefault, directive, names)
        }
    }

    private mutating func add(
        _ found: [NginxRoute],
        to bind: String,
        hosts: [String],
        isDefault: Bool,
        _ directive: NginxDirective,
        _ names: [String]
    ) {
        // The first of an address answers for names that nobody has, unless another is said to.
        let isFirst = sources[bind] == nil
        if isFirst {
            binds.append(bind)
            sources[bind] = "\(directive.place): server \(names.joined(separator: " "))"
        }
        var all = hosts
        if isDefault || isFirst || hosts.isEmpty { all.append("*") }
        // Taken out, so that a growing list is not copied for each server.
        var list = routes.removeValue(forKey: bind) ?? []
        var known = held.removeValue(forKey: bind) ?? [:]
        for host in all {
            for route in found {
                let draftRoute = DraftRoute(
                    host: host,
                    path: route.path,
                    stripsPrefix: route.strips,
                    upstream: upstreams[route.upstream].draft.name
                )
                let key = RouteKey(host: host, path: route.path)
                if let index = known[key] {
                    if list[index].route == draftRoute { continue }
                    if host == "*", isDefault {
                        list[index] = (draftRoute, directive.place)
                    } else if host != "*" || hosts.isEmpty {
                        note(
                            directive,
                            "\(bind) has host '\(host)' and path '\(route.path)' already, at \(list[index].place)",
                            text: "server \(names.joined(separator: " ")): \(route.path)"
                        )
                    }
                    continue
                }
                known[key] = list.count
                list.append((draftRoute, directive.place))
            }
        }
        routes[bind] = list
        held[bind] = known
    }

    private mutating func hosts(_ names: [String], _ directive: NginxDirective) -> [String] {
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

    private mutating func bind(_ listen: NginxDirective) -> String? {
        let text = listen.first
        var words = Set(listen.arguments.dropFirst())
        words.subtract(["default_server", "default"])
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
                    why: "here this port speaks plain text: end TLS before it, or leave it out"
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

    private struct NginxRoute {
        var path: String
        var strips: Bool
        var upstream: Int
    }

    private mutating func location(
        _ directive: NginxDirective,
        _ outer: NginxScope,
        _ found: inout [NginxRoute]
    ) {
        var scope = outer
        var pass: NginxDirective?
        var health: NginxDirective?
        var inner: [NginxDirective] = []
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
                            NginxScope.reasons[line.name] ?? "no counterpart",
                            text:
                                "location \(directive.arguments.joined(separator: " ")): \(line.text)"
                        )
                    } else {
                        tellWhole(line, "no counterpart")
                    }
                }
            }
        }
        for line in inner { location(line, scope, &found) }
        guard let pass else {
            if let health { note(health, "no proxy_pass beside it") }
            if inner.isEmpty { note(directive, "leads to no upstream") }
            return
        }
        guard let target = target(pass) else { return }
        scope.apply(to: &upstreams[target.upstream])
        for (key, span) in scope.timeouts { draft.raise(key, to: span) }
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
    private mutating func path(_ directive: NginxDirective) -> String? {
        let words = directive.arguments
        let modifier = words.count > 1 ? words[0] : ""
        let text = words.last ?? ""
        switch modifier {
        case "", "^~":
            if text.hasPrefix("@") { break }
            if let path = RouteWords.path(text) { return path }
        case "=":
            if text != "/", let path = RouteWords.path(text) {
                note(directive, "a route has what is below the path too")
                return path
            }
        case "~", "~*":
            if let literal = HAProxyRules.literal(text), let path = RouteWords.path(literal) {
                note(directive, "a prefix that ends at a segment, with regard to case")
                return path
            }
        default: break
        }
        note(directive, "routes go by host and by the beginning of the path alone")
        return nil
    }

    private mutating func strips(
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
    private mutating func target(_ pass: NginxDirective) -> (upstream: Int, uri: String?)? {
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
        if let index = places[name] { return (index, uri) }
        guard let address = NginxUpstream.address(name, defaultPort: isTLS ? 443 : 80) else {
            note(pass, "no address that muster can connect to")
            return nil
        }
        // A name that was not there as an upstream is one from now on.
        places[name] = upstreams.count
        upstreams.append(
            NginxUpstream(
                address: address,
                called: draft.name(for: name.hasPrefix("unix:") ? String(name.dropFirst(6)) : name),
                for: pass
            )
        )
        return (upstreams.count - 1, uri)
    }

    // MARK: Streams

    private mutating func streamServer(_ directive: NginxDirective, _ outer: NginxScope) {
        var scope = outer
        var listens: [NginxDirective] = []
        var pass: NginxDirective?
        var health: NginxDirective?
        for inner in directive.block ?? [] {
            switch inner.name {
            case "listen": listens.append(inner)
            case "proxy_pass": pass = inner
            case "health_check": health = inner
            default: if !scope.take(inner) { other(inner) }
            }
        }
        guard let pass else {
            note(
                directive,
                "leads to no upstream",
                text: "server { listen \(listens.map(\.first).joined(separator: ", ")); }"
            )
            return
        }
        var index = places["stream \(pass.first)"]
        if index == nil, !pass.first.contains("$"),
            let address = NginxUpstream.address(pass.first, defaultPort: nil)
        {
            places["stream \(pass.first)"] = upstreams.count
            index = upstreams.count
            upstreams.append(
                NginxUpstream(address: address, called: draft.name(for: pass.first), for: pass)
            )
        }
        guard let index else {
            note(
                pass,
                pass.first.contains("$")
                    ? "a variable; the upstream has to be named"
                    : "expected an upstream of this file, or an address"
            )
            for listen in listens { note(listen, "") }
            return
        }
        scope.apply(to: &upstreams[index])
        for (key, span) in scope.timeouts { draft.raise(key, to: span) }
        if let health { healthCheck(health, of: index, isStream: true) }
        for listen in listens {
            guard let bind = bind(listen) else { continue }
            if binds.contains(bind) {
                note(listen, "\(bind) is taken already")
                continue
            }
            binds.append(bind)
            sources[bind] = "\(directive.place): server"
            streams[bind] = upstreams[index].draft.name
        }
    }

    // MARK: Checks of NGINX Plus

    private mutating func healthCheck(_ directive: NginxDirective, of index: Int, isStream: Bool) {
        var settings: [String: String] = [:]
        var left: [String] = []
        let known: Set = [
            "interval", "fails", "passes", "uri", "match", "port", "type", "grpc_service",
        ]
        for word in directive.arguments {
            let sides = word.split(separator: "=", maxSplits: 1).map(String.init)
            if sides.count == 2, known.contains(sides[0]) {
                settings[sides[0]] = sides[1]
            } else {
                left.append(word)
            }
        }
        let match = settings["match"].flatMap { matches[isStream ? "stream \($0)" : $0] }
        if let match { usedMatches.insert("\(match.place)") }
        var entries = ProbeSettings.entries(
            interval: settings["interval"].flatMap { Span(nginx: $0) } ?? Span(milliseconds: 5_000),
            timeout: nil,
            rise: settings["passes"].flatMap { Int($0) } ?? 1,
            fall: settings["fails"].flatMap { Int($0) } ?? 1
        )
        if let port = settings["port"].flatMap({ Int($0) }), (1...65_535).contains(port) {
            entries.append(.init("port", .number(port)))
        }
        var notes: [Note] = []
        if !left.isEmpty {
            notes.append(
                Note(
                    place: directive.place,
                    text: "health_check \(left.joined(separator: " "))",
                    why: "no counterpart"
                )
            )
        }
        if let name = settings["match"], match == nil {
            notes.append(
                Note(
                    place: directive.place,
                    text: "match=\(name)",
                    why: "expected a match of this file"
                )
            )
        }
        if settings["type"] == "grpc" {
            let service = settings["grpc_service"].map { [Tree.Entry("service", .text($0))] } ?? []
            upstreams[index].add("grpc", service + entries, notes: notes)
            return
        }
        if isStream {
            var steps = NginxMatch(match)
            let list = steps.steps()
            let dialogue = list.isEmpty ? [] : [Tree.Entry("steps", .list(list))]
            upstreams[index].add("tcp", dialogue + entries, notes: notes + steps.notes)
            return
        }
        var conditions = NginxMatch(match)
        let expect = conditions.expectation()
        let path = Tree.Entry("path", .text(RequestPath.sent(settings["uri"] ?? "/")))
        upstreams[index].add(
            "http",
            [path] + (expect.map { [Tree.Entry("expect", $0)] } ?? []) + entries,
            notes: notes + conditions.notes
        )
    }

    // MARK: At the end

    private mutating func finish() {
        draft.upstreams = upstreams.map(\.draft)
        for bind in binds {
            let mode: DraftListener.Mode
            if let name = streams[bind] {
                mode = .tcp(upstream: name)
            } else {
                mode = .http((routes[bind] ?? []).map(\.route))
            }
            draft.listeners.append(
                DraftListener(
                    bind: bind,
                    source: sources[bind] ?? "",
                    mode: mode,
                    notes: bindNotes.removeValue(forKey: bind) ?? []
                )
            )
        }
        // Of addresses that lead nowhere.
        for key in bindNotes.keys.sorted() { draft.notes += bindNotes[key] ?? [] }
    }
}
