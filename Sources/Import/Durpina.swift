// What does a durpina do that is set up in Lua? The calls of its README, and of lua-resty-upstream-healthcheck, which people
// have beside it: peers that are added, monitors, weights. A line that calls nothing of these is a note.

import Vocabulary

enum Durpina {
    static let balancers: [String: (tree: Tree, why: String)] = [
        "round-robin": (.word("round-robin"), ""),
        "unweighted-round-robin": (.word("unweighted-round-robin"), ""),
        "ip-hash": (
            .word("ip-hash"), "a lost server's clients go to all others, not to its neighbour"
        ),
        "consistent-hash": (
            .map([.init("consistent-hash", .map([.init("key", .word("path"))]))]),
            "its key is the argument of the call there: write 'key' as it is meant"
        ),
    ]

    /// Interval of a monitor that says none.
    private static let interval = Span(milliseconds: 5_000)

    /// Where a location is served that people have for managing peers; nil for any other.
    static func door(for location: NginxDirective) -> String? {
        guard (location.block ?? []).contains(where: { $0.name.hasPrefix("content_by_lua") }),
            let path = location.arguments.last
        else { return nil }
        let isWeight =
            path.contains("/set_upstream_peer_weight") || path.contains("/set_peer_weight")
        guard isWeight || path.contains("/upstream/") && path.contains("action") else { return nil }
        return "admin.compat-durpina serves this: from-durpina.md has its paths"
    }

    /// What one monitor takes, by its kind.
    struct Monitor {
        var kind = ""
        var entries: [Tree.Entry] = []
        var left: [(String, String)] = []
    }

    /// Nil for a kind that somebody registered.
    static func monitor(_ name: String, _ options: [String: LuaValue]) -> Monitor? {
        var rest = options
        func take(_ key: String) -> LuaValue? { rest.removeValue(forKey: key) }
        var monitor = Monitor()
        let id = take("id")?.word
        let port = take("port")?.number.map { Int(clampedTo: $0) }
        let interval = take("interval").flatMap(span) ?? self.interval
        let timeout = take("timeout").flatMap { value in
            value.number.map { Span(milliseconds: Int64(Int(clampedTo: $0))) }
        }
        switch name {
        case "http", "http-haproxy-agent-check", "haproxy-agent-check-http":
            monitor.kind = name == "http" ? "http" : "http-agent"
            let path = (take("uri") ?? take("url"))?.text ?? "/"
            monitor.entries.append(.init("path", .text(RequestPath.sent(path))))
            if let method = take("method")?.text {
                if HAProxyHTTPCheck.methods.contains(method) {
                    monitor.entries.append(.init("method", .word(method)))
                } else {
                    monitor.left.append(("method=\(method)", "no method that probes have"))
                }
            }
            if let body = take("body")?.text { monitor.entries.append(.init("body", .text(body))) }
            headers(&rest, &monitor)
            if let codes = rest.removeValue(forKey: "ok_codes")?.word { statuses(codes, &monitor) }
        case "tcp":
            monitor.kind = "tcp"
            if let receive = take("receive")?.word {
                monitor.left.append(
                    ("receive=\(receive)", "a connection is enough here; 'expect' waits for words")
                )
            }
        case "haproxy-agent-check": monitor.kind = "haproxy-agent-check"
        default: return nil
        }
        if monitor.kind != "http", monitor.kind != "tcp" {
            // There silence is a failure.
            monitor.entries.append(.init("on-error", .word("fail")))
        }
        if let port, (1...65_535).contains(port) {
            monitor.entries.append(.init("port", .number(port)))
        }
        if let id {
            if Name.problem(in: id) == nil {
                monitor.entries.insert(.init("id", .text(id)), at: 0)
            } else {
                monitor.left.append(("id=\(id)", "no name that muster has"))
            }
        }
        monitor.entries += ProbeSettings.entries(
            interval: interval,
            timeout: timeout,
            rise: nil,
            fall: nil
        )
        if let peers = rest.removeValue(forKey: "peers")?.word, peers != "all" {
            monitor.left.append(
                (
                    "peers=\(peers)",
                    "all peers are probed here, at 'fast-interval' and 'down-interval' where they fail"
                )
            )
        }
        for (key, value) in rest.sorted(by: { $0.key < $1.key }) {
            monitor.left.append(("\(key)=\(value.word ?? "…")", "no counterpart"))
        }
        return monitor
    }

    private static func headers(_ rest: inout [String: LuaValue], _ monitor: inout Monitor) {
        var headers: [Tree.Entry] = []
        for key in rest.keys.filter({ $0.hasPrefix("header_") }).sorted() {
            let name = String(key.dropFirst(7)).replacing("_", with: "-")
            let value = rest.removeValue(forKey: key)?.word ?? ""
            let isValue = value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
            let reserved = ["connection", "content-length", "transfer-encoding", "upgrade"]
            guard HAProxyImport.isToken(name), isValue, !reserved.contains(name.lowercased()) else {
                monitor.left.append(("\(key)=\(value)", "no header that a probe can be given"))
                continue
            }
            let isWord = !value.isEmpty && value.utf8.allSatisfy { (0x21..<0x7F).contains($0) }
            switch name.lowercased() {
            case "host" where isWord: monitor.entries.append(.init("host", .text(value)))
            case "user-agent" where !value.isEmpty:
                monitor.entries.append(.init("user-agent", .text(value)))
            case "host", "user-agent":
                monitor.left.append(("\(key)=\(value)", "no header that a probe can be given"))
            default: headers.append(.init(name, .text(value)))
            }
        }
        if !headers.isEmpty { monitor.entries.append(.init("headers", .map(headers))) }
    }

    private static func statuses(_ codes: String, _ monitor: inout Monitor) {
        let words = codes.split { $0 == " " || $0 == "," }.map { $0.lowercased() }
        let known = words.filter { word in
            if let status = Int(word) { return status == 101 || (200...599).contains(status) }
            return ["2xx", "3xx", "4xx", "5xx"].contains(word)
        }
        if !known.isEmpty {
            monitor.entries.append(.init("expect", .text(known.joined(separator: " "))))
        }
        if known.count != words.count {
            monitor.left.append(("ok_codes=\(codes)", "statuses of final answers alone count"))
        }
    }

    /// A number of seconds, or a text with a unit in words.
    static func span(_ value: LuaValue) -> Span? {
        if let number = value.number {
            return Span(microseconds: Int64(Int(clampedTo: number * 1_000_000)))
        }
        guard let text = value.text else { return nil }
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = String(text.dropFirst(digits.count).drop { $0 == " " })
        let factors: [String: Double] = [
            "us": 1, "usec": 1, "ms": 1e3, "msec": 1e3, "s": 1e6, "sec": 1e6, "second": 1e6,
            "seconds": 1e6, "m": 6e7, "min": 6e7, "minute": 6e7, "minutes": 6e7, "h": 3.6e9,
            "hour": 3.6e9, "hours": 3.6e9, "d": 8.64e10, "day": 8.64e10, "days": 8.64e10,
        ]
        guard let number = Double(digits), let factor = factors[unit.lowercased()] else {
            return nil
        }
        return Span(microseconds: Int64(Int(clampedTo: number * factor)))
    }

    // MARK: A script

    /// What a script asks for, by the name of the upstream it asks it of.
    enum Request {
        case monitor(upstream: String, Monitor)
        case peer(upstream: String, address: String, words: [Tree.Entry], left: [(String, String)])
    }

    struct Script {
        var requests: [(request: Request, line: Int)] = []
        /// What was understood and has no counterpart.
        var notes: [(line: Int, text: String, why: String)] = []
        /// Lines that nothing here follows.
        var left: Set<Int> = []
    }

    static func read(_ text: String, line: Int) -> Script {
        let lua = LuaReader(text, line: line)
        var script = Script(left: lua.left)
        var modules: [String: String] = [:]
        var upstreams: [String: String] = [:]
        var port = 80
        for statement in lua.statements {
            guard case .call(let call) = statement.value else {
                script.left.insert(statement.line)
                continue
            }
            if call.name == "require", let module = call.arguments.first?.text {
                if let name = statement.assigned { modules[name] = module }
                continue
            }
            let parts = call.name.split(separator: ".").map(String.init)
            if call.target == nil, parts.count == 2, let module = modules[parts[0]] {
                switch (module, parts[1]) {
                case ("durpina.upstream", "get"), ("durpina", "get"):
                    if let name = statement.assigned, let upstream = call.arguments.first?.text {
                        upstreams[name] = upstream
                        continue
                    }
                case ("durpina.upstream", "init"), ("durpina", "init"):
                    if let number = call.arguments.dropFirst().first?.table?["default_port"]?.number
                    {
                        port = Int(clampedTo: number)
                    }
                    script.notes.append((statement.line, "\(call.name)(…)", "needs nothing here"))
                    continue
                case ("resty.upstream.healthcheck", "spawn_checker"):
                    spawnChecker(call, statement.line, &script)
                    continue
                default: break
                }
            }
            if case .name(let name)? = call.target, let upstream = upstreams[name] {
                method(call, of: upstream, port, statement.line, &script)
                continue
            }
            script.left.insert(statement.line)
        }
        return script
    }

    private static func method(
        _ call: LuaCall,
        of upstream: String,
        _ port: Int,
        _ line: Int,
        _ script: inout Script
    ) {
        switch call.name {
        case "add_monitor":
            var name = call.arguments.first?.text ?? ""
            var options = call.arguments.dropFirst().first?.table ?? [:]
            // All in one table: `add_monitor{name="http", …}`.
            if let table = call.arguments.first?.table {
                options = table
                name =
                    options.removeValue(forKey: "name")?.text ?? options.removeValue(forKey: "1")?
                    .text ?? ""
            }
            guard let monitor = monitor(name, options) else {
                script.notes.append(
                    (
                        line, "add_monitor \(name)",
                        "no such kind here; a drop-in kind of checks.d can be one"
                    )
                )
                return
            }
            script.requests.append((.monitor(upstream: upstream, monitor), line))
        case "add_peer": addPeer(call, upstream, port, line, &script)
        case "monitor":
            script.notes.append((line, "\(upstream):monitor()", "needs nothing: monitors run"))
        default:
            script.notes.append(
                (
                    line,
                    "\(upstream):\(call.name)(\(call.arguments.compactMap(\.word).joined(separator: ", ")))",
                    "no counterpart in a file; see docs/from-durpina.md"
                )
            )
        }
    }

    /// A line of nginx's words, or a table.
    private static func addPeer(
        _ call: LuaCall,
        _ upstream: String,
        _ port: Int,
        _ line: Int,
        _ script: inout Script
    ) {
        var address = ""
        var words: [Tree.Entry] = []
        var left: [(String, String)] = []
        var settings: [(String, String)] = []
        var ownPort: Int?
        if let text = call.arguments.first?.text {
            let parts = text.split(separator: " ").map(String.init)
            address = parts.first ?? ""
            settings = parts.dropFirst().map { part in
                let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
                return (sides.first ?? "", sides.count > 1 ? sides[1] : "")
            }
        } else if var table = call.arguments.first?.table {
            ownPort = table.removeValue(forKey: "port")?.number.map { Int(clampedTo: $0) }
            let places = ["address", "host", "hostname", "name"].map {
                table.removeValue(forKey: $0)?.text
            }
            address = places.compactMap { $0 }.first ?? ""
            settings = table.sorted { $0.key < $1.key }.map { ($0.key, $0.value.word ?? "") }
        }
        guard let known = NginxUpstream.address(address, defaultPort: ownPort ?? port) else {
            let port = ownPort.map { " port \($0)" } ?? ""
            script.notes.append(
                (line, "add_peer \(address)\(port)", "no address that muster can connect to")
            )
            return
        }
        // nginx's servers fail once, those that Lua adds three times.
        if !settings.contains(where: { $0.0 == "max_fails" }) {
            settings.append(("max_fails", "3"))
        }
        for (key, value) in settings {
            switch key {
            case "weight", "initial_weight":
                let weight = Int(value) ?? 0
                if (2...256).contains(weight) {
                    words.append(.init("weight", .number(weight)))
                } else if weight != 1 {
                    left.append(("\(key)=\(value)", "expected 1 to 256"))
                }
            case "max_fails":
                if let count = Int(value), (0...1_000_000).contains(count) {
                    words.append(.init(key, .number(count)))
                } else {
                    left.append(("\(key)=\(value)", "expected a number"))
                }
            case "fail_timeout":
                if let span = Span(nginx: value),
                    (1_000...86_400_000_000).contains(span.microseconds)
                {
                    words.append(.init(key, .span(span)))
                } else {
                    left.append(("\(key)=\(value)", "expected a time"))
                }
            case "down", "default_down":
                if value != "false" { words.append(.init("down", .word(""))) }
            default: left.append(("\(key)=\(value)", "no counterpart"))
            }
        }
        script.requests.append(
            (.peer(upstream: upstream, address: known, words: words, left: left), line)
        )
    }

    /// lua-resty-upstream-healthcheck.
    private static func spawnChecker(_ call: LuaCall, _ line: Int, _ script: inout Script) {
        guard var table = call.arguments.first?.table,
            let upstream = table.removeValue(forKey: "upstream")?.text
        else {
            script.left.insert(line)
            return
        }
        table["shm"] = nil
        var monitor = Monitor(kind: "http")
        let request = RequestText(
            table.removeValue(forKey: "http_req")?.text ?? "GET / HTTP/1.1\r\n\r\n"
        )
        monitor.entries = request.entries
        monitor.left = request.left.map { ($0, "probes speak HTTP/1.1 and close") }
        if table.removeValue(forKey: "type")?.text == "https" {
            let verifies = table.removeValue(forKey: "ssl_verify") != .flag(false)
            var tls: [Tree.Entry] = [.init("verify", .flag(verifies))]
            if let host = table.removeValue(forKey: "host")?.text, !host.isEmpty {
                tls.append(.init("server-name", .text(host)))
            }
            monitor.entries.append(.init("tls", .map(tls)))
        }
        if let codes = table.removeValue(forKey: "valid_statuses")?.table {
            statuses(
                codes.sorted { $0.key < $1.key }.compactMap(\.value.word).joined(separator: " "),
                &monitor
            )
        } else {
            monitor.entries.append(.init("expect", .text("101-599")))
        }
        if let port = table.removeValue(forKey: "port")?.number.map({ Int(clampedTo: $0) }),
            (1...65_535).contains(port)
        {
            monitor.entries.append(.init("port", .number(port)))
        }
        func milliseconds(_ key: String) -> Span? {
            table.removeValue(forKey: key)?.number.map {
                Span(milliseconds: Int64(Int(clampedTo: $0)))
            }
        }
        let interval = milliseconds("interval") ?? Span(milliseconds: 1_000)
        let timeout = milliseconds("timeout") ?? Span(milliseconds: 1_000)
        let rise = table.removeValue(forKey: "rise")?.number.map { Int(clampedTo: $0) } ?? 2
        let fall = table.removeValue(forKey: "fall")?.number.map { Int(clampedTo: $0) } ?? 5
        monitor.entries += ProbeSettings.entries(
            interval: interval,
            timeout: timeout,
            rise: rise,
            fall: fall
        )
        for (key, value) in table.sorted(by: { $0.key < $1.key }) {
            monitor.left.append(("\(key)=\(value.word ?? "…")", "no counterpart"))
        }
        script.requests.append((.monitor(upstream: upstream, monitor), line))
    }
}

extension Int {
    /// The nearest whole number that is no larger than a program may count to here.
    init(clampedTo number: Double) {
        self = number.isFinite ? Int(Swift.min(Swift.max(number, -1e15), 1e15)) : 0
    }
}
