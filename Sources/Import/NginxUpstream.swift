// What is an nginx `upstream` in muster's words? Its servers are peers in the words that they have already; how it chooses
// among them, and what checks it (NGINX Plus, tengine, durpina, lua-resty-upstream-healthcheck), is said in ours.

import Vocabulary

struct NginxUpstream {
    let name: String
    private(set) var draft: DraftUpstream
    private let isStream: Bool
    private var hasSocket = false
    private var ids: Set<String> = []
    /// Of each peer: how many failures take it out, and for how long.
    private var fails: [(most: Int, time: Span)] = []
    /// The first `proxy_next_upstream` that names statuses.
    private var counted: NginxDirective?
    private var unsaid: [Tree.Entry] = []
    /// Servers of the file with a `slow_start`.
    private var slowStarts: [NginxDirective] = []
    /// Of tengine's directives.
    private var check: NginxDirective?
    private var checkRequest: NginxDirective?
    private var checkStatuses: NginxDirective?

    private static let weightMax = 256
    private static let slowStartMax = Span(milliseconds: 86_400_000)
    private static let failTimes = Span(milliseconds: 1)...Span(milliseconds: 86_400_000)
    private static let queueTimes = Span(milliseconds: 1)...Span(milliseconds: 600_000)

    init(_ directive: NginxDirective, called name: String, isStream: Bool) {
        self.name = directive.first
        self.isStream = isStream
        draft = DraftUpstream(name: name, source: "\(directive.place): \(directive.text)")
        let block = directive.block ?? []
        let factor = Self.factor(of: block)
        for inner in block { take(inner, factor) }
        if let slow = slowStarts.first, slowStarts.count < draft.peers.count {
            note(slow, "slow-start is the upstream's: here it holds for its other servers too")
        }
        tengine()
    }

    /// One that a `proxy_pass` names by its address.
    init(address: String, called name: String, for directive: NginxDirective) {
        self.name = name
        isStream = false
        draft = DraftUpstream(name: name, source: "\(directive.place): \(directive.text)")
        draft.peers = [DraftItem(tree: .text(address))]
        ids = [address]
        fails = [(1, Self.ejectTime)]
        hasSocket = address.hasPrefix("unix:")
    }

    mutating func note(_ directive: NginxDirective, _ why: String, text: String? = nil) {
        draft.notes.append(Note(place: directive.place, text: text ?? directive.text, why: why))
    }

    mutating func set(_ key: String, _ value: Tree, for directive: NginxDirective) {
        if let held = draft.settings.first(where: { $0.key == key }) {
            if held.value != value { note(directive, "'\(key)' of an upstream is written once") }
            return
        }
        draft.set(key, value)
    }

    /// Holds where no part of the file says otherwise.
    mutating func leave(_ key: String, _ value: Tree) { unsaid.append(.init(key, value)) }

    /// Statuses count for max_fails.
    mutating func count(_ directive: NginxDirective) { counted = counted ?? directive }

    mutating func finish() {
        for entry in unsaid where !draft.settings.contains(where: { $0.key == entry.key }) {
            draft.set(entry.key, entry.value)
        }
        eject()
    }

    private static let ejectTime = Span(milliseconds: 10_000)

    /// Failures count as there: never a status that is not named, and each time for as long.
    private mutating func eject() {
        if fails.allSatisfy({ $0.most == 0 }) {
            draft.set("eject", .word("off"))
            return
        }
        let most = fails.map(\.most).max() ?? 1
        let time = fails.map(\.time).max() ?? Self.ejectTime
        var entries: [Tree.Entry] = [
            .init("failures", .number(counted == nil ? 0 : most)),
            .init("rate", .map([.init("above", .number(0))])),
        ]
        if counted != nil { entries.append(.init("time", .span(time))) }
        entries.append(.init("max-time", .span(counted == nil ? Self.ejectTime : time)))
        entries.append(.init("max-share", .word("100%")))
        draft.set("eject", .map(entries))
        guard let counted else { return }
        note(
            counted,
            "statuses that it names count for max_fails there; here those from 500 on do, \(most) in a row, while others do better"
        )
    }

    // MARK: Directives

    private mutating func take(_ directive: NginxDirective, _ factor: Double) {
        switch directive.name {
        case "server": server(directive, factor)
        case "least_conn": draft.set("balance", .word("least-connections"))
        case "fair":
            draft.set("balance", .word("least-connections"))
            note(directive, "least-connections is closest")
        case "least_time":
            draft.set("balance", .word("peak-ewma"))
            note(directive, "peak-ewma is closest")
        case "ip_hash": draft.set("balance", .word("ip-hash"))
        case "hash": hash(directive)
        case "random":
            draft.set(
                "balance",
                .word(
                    directive.arguments.contains { $0.hasPrefix("least_time") }
                        ? "peak-ewma" : "random-two"
                )
            )
            if directive.arguments.isEmpty { note(directive, "the lighter of two is taken") }
        case "sticky": sticky(directive)
        case "queue": queue(directive)
        case "zone": note(directive, "needs nothing: all threads know the same")
        case "keepalive", "keepalive_timeout", "keepalive_requests", "keepalive_time":
            note(
                directive,
                "connections are kept; proxy.limits.idle-peer-connections and timeouts.peer-idle say how many, how long"
            )
        case "check": check = directive
        case "check_http_send": checkRequest = directive
        case "check_http_expect_alive": checkStatuses = directive
        case "balancer_by_lua_block", "balancer_by_lua": balancer(directive)
        default: note(directive, "no counterpart")
        }
    }

    private mutating func hash(_ directive: NginxDirective) {
        let key = directive.first
        guard let ours = Self.key(key) else {
            note(directive, "no part of a request that muster hashes; servers are asked in turn")
            return
        }
        if ours == "ip" {
            draft.set("balance", .word("ip-hash"))
        } else {
            draft.set(
                "balance",
                .map([.init("consistent-hash", .map([.init("key", .text(ours))]))])
            )
        }
        if directive.arguments.last != "consistent" {
            note(
                directive,
                "muster's hash is consistent: keys go to other servers than there, and few move"
            )
        }
        if key.contains("request_uri") {
            note(directive, "the path counts, without the query")
        }
    }

    static func key(_ variable: String) -> String? {
        let name = variable.replacing("${", with: "$").replacing("}", with: "").dropFirst()
        guard variable.hasPrefix("$"),
            name.utf8.allSatisfy({ byte in
                byte == UInt8(ascii: "_") || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                    || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
            })
        else { return nil }
        switch name {
        case "remote_addr", "binary_remote_addr", "proxy_add_x_forwarded_for": return "ip"
        case "uri", "request_uri", "document_uri": return "path"
        case "args", "query_string": return "query"
        case "host", "http_host": return "header:host"
        case _ where name.hasPrefix("arg_") && name.count > 4: return "query:\(name.dropFirst(4))"
        case _ where name.hasPrefix("cookie_") && name.count > 7:
            return "cookie:\(name.dropFirst(7))"
        case _ where name.hasPrefix("http_") && name.count > 5:
            return "header:\(name.dropFirst(5).replacing("_", with: "-"))"
        default: return nil
        }
    }

    /// `sticky cookie NAME …`, and the module's `sticky [name=NAME] …`.
    private mutating func sticky(_ directive: NginxDirective) {
        let words = directive.arguments
        var name: String?
        var left: [String] = []
        if words.first == "cookie" {
            name = words.dropFirst().first
            left = Array(words.dropFirst(2))
        } else if words.first == "route" || words.first == "learn" {
            note(directive, "no counterpart; sticky writes a cookie of its own")
            return
        } else {
            name = words.first { $0.hasPrefix("name=") }.map { String($0.dropFirst(5)) } ?? "route"
            left = words.filter { !$0.hasPrefix("name=") }
        }
        guard let name, HAProxyImport.isToken(name), name.utf8.count <= 64 else {
            note(directive, "expected a cookie's name")
            return
        }
        var entries: [Tree.Entry] = [.init("cookie", .text(name))]
        if left.contains("secure") { entries.append(.init("secure", .word("always"))) }
        draft.set("sticky", .map(entries))
        note(
            directive,
            "its values are muster's own, so clients change servers once; Path=/, HttpOnly and SameSite=Lax always"
        )
    }

    private mutating func queue(_ directive: NginxDirective) {
        guard let size = Int(directive.first), (0...1_000_000).contains(size) else {
            note(directive, "expected a number")
            return
        }
        let words = directive.arguments.first { $0.hasPrefix("timeout=") }
        let span =
            words.flatMap { Span(nginx: String($0.dropFirst(8))) } ?? Span(milliseconds: 60_000)
        draft.set(
            "queue",
            .map([
                .init("size", .number(size)),
                .init("timeout", .span(span.limited(to: Self.queueTimes))),
            ])
        )
        note(directive, "size is for each worker thread")
    }

    // MARK: Servers

    /// By which weights are multiplied, so that the largest is one that muster has.
    private static func factor(of block: [NginxDirective]) -> Double {
        let weights = block.filter { $0.name == "server" }.flatMap(\.arguments)
            .filter { $0.hasPrefix("weight=") }.compactMap { Int($0.dropFirst(7)) }
        let most = weights.max() ?? 1
        return most > weightMax ? Double(weightMax) / Double(most) : 1
    }

    private mutating func server(_ directive: NginxDirective, _ factor: Double) {
        let text = directive.first
        // durpina's stand-ins, since nginx wants a server.
        if text.hasPrefix("0.0.0.") || text.isEmpty {
            note(directive, "a stand-in, no server")
            return
        }
        guard let address = Self.address(text, defaultPort: isStream ? nil : 80) else {
            note(directive, "no address that muster can connect to")
            return
        }
        hasSocket = hasSocket || address.hasPrefix("unix:")
        var words: [Tree.Entry] = []
        var left: [(String, String)] = []
        for word in directive.arguments.dropFirst() {
            parameter(word, &words, &left, directive, factor)
        }
        // Out for no time at all: whoever writes that wants this server asked, whatever failed there.
        if words.contains(.init("fail_timeout", .span(Span(milliseconds: 0)))) {
            words.removeAll { ["fail_timeout", "max_fails"].contains($0.key) }
            words.append(.init("max_fails", .number(0)))
        }
        add(address, words, left, directive.place, "server \(text)")
    }

    private mutating func add(
        _ address: String,
        _ words: [Tree.Entry],
        _ left: [(String, String)],
        _ place: SourcePlace,
        _ what: String
    ) {
        var id = address
        var number = 1
        while !ids.insert(id).inserted {
            number += 1
            id = "\(address)-\(number)"
        }
        var line = address
        for word in words {
            let value = if case .word(let text) = word.value { text } else { "" }
            line += value.isEmpty ? " \(word.key)" : " \(word.key)=\(value)"
        }
        var item = DraftItem(tree: words.isEmpty ? .text(address) : .word(line))
        if id != address {
            // The same address once more: only the name is another.
            var entries: [Tree.Entry] = [.init("id", .text(id)), .init("address", .text(address))]
            for word in words { entries.append(Self.keyed(word)) }
            item = DraftItem(tree: .map(entries))
        }
        item.notes = left.map { Note(place: place, text: "\(what): \($0.0)", why: $0.1) }
        draft.peers.append(item)
        func value(_ key: String) -> String? {
            guard case .word(let text)? = words.first(where: { $0.key == key })?.value else {
                return nil
            }
            return text
        }
        fails.append(
            (
                value("max_fails").flatMap { Int($0) } ?? 1,
                value("fail_timeout").flatMap { Span(nginx: $0) } ?? Self.ejectTime
            )
        )
    }

    private static func keyed(_ word: Tree.Entry) -> Tree.Entry {
        switch word.key {
        case "max_conns": .init("max-connections", word.value)
        case "max_fails": .init("max-fails", word.value)
        case "fail_timeout": .init("fail-timeout", word.value)
        case "backup", "down": .init(word.key, .flag(true))
        default: word
        }
    }

    private mutating func parameter(
        _ word: String,
        _ words: inout [Tree.Entry],
        _ left: inout [(String, String)],
        _ directive: NginxDirective,
        _ factor: Double
    ) {
        let sides = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let key = String(sides[0])
        let value = sides.count > 1 ? String(sides[1]) : ""
        if words.contains(where: { $0.key == key }) {
            left.append((word, "written twice"))
            return
        }
        switch key {
        case "weight":
            guard let weight = Int(value), weight > 0 else {
                left.append((word, "expected a weight from 1 on"))
                return
            }
            let ours = max(1, Int((Double(weight) * factor).rounded()))
            if factor != 1 {
                left.append((word, "scaled to 1 to \(Self.weightMax), with those beside it"))
            }
            if ours != 1 { words.append(.init(key, .number(ours))) }
        case "max_fails", "max_conns":
            guard let count = Int(value), (0...1_000_000).contains(count) else {
                left.append((word, "expected 0 to 1000000"))
                return
            }
            if key == "max_fails" || count > 0 { words.append(.init(key, .number(count))) }
        case "fail_timeout":
            let span = Span(nginx: value)
            guard let span, span.microseconds == 0 || Self.failTimes.contains(span) else {
                left.append((word, "expected a time from 1ms to 1d"))
                return
            }
            words.append(.init(key, .span(span)))
        case "backup", "down": words.append(.init(key, .word("")))
        case "slow_start":
            guard let span = Span(nginx: value), span <= Self.slowStartMax else {
                left.append((word, "expected a time"))
                return
            }
            slowStart(span, directive, &left)
        case "resolve":
            left.append((word, "always so here: names are asked again when their time is over"))
        case "drain":
            words.append(.init("down", .word("")))
            left.append((word, "in maintenance here, until 'muster peer ready'"))
        default: left.append((word, "no counterpart"))
        }
    }

    private mutating func slowStart(
        _ span: Span,
        _ directive: NginxDirective,
        _ left: inout [(String, String)]
    ) {
        // None, as without it.
        if span.microseconds == 0 { return }
        slowStarts.append(directive)
        let held = draft.settings.first { $0.key == "slow-start" }
        if case .word(let text)? = held?.value, text != span.text {
            left.append(("slow_start=\(span.text)", "one for all servers: \(text)"))
        } else {
            draft.set("slow-start", .span(span))
        }
    }

    /// In muster's words; nil where it can be none.
    static func address(_ text: String, defaultPort: Int?) -> String? {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            let unix = "unix:\(path)"
            return Address.problem(in: unix) == nil && !path.contains(" ") ? unix : nil
        }
        if Address.problem(in: text) == nil { return text }
        guard let defaultPort else { return nil }
        let whole = "\(text):\(defaultPort)"
        return Address.problem(in: whole) == nil ? whole : nil
    }

    // MARK: Monitors

    /// The same monitor once: several locations may ask for it.
    mutating func add(_ kind: String, _ entries: [Tree.Entry], notes: [Note] = []) {
        var entries = entries
        if hasSocket { entries.removeAll { $0.key == "port" || $0.key == "address" } }
        let tree = Tree.map([.init(kind, .map(entries))])
        guard !draft.monitors.contains(where: { $0.tree == tree }) else { return }
        var ids = Set(draft.monitors.map { Self.id(of: $0.tree) })
        var id = Self.id(of: tree)
        if ids.contains(id) {
            let base = id
            var number = 1
            while !ids.insert(id).inserted {
                number += 1
                id = "\(base)-\(number)"
            }
            entries.removeAll { $0.key == "id" }
            entries.insert(.init("id", .text(id)), at: 0)
        }
        draft.monitors.append(
            DraftItem(tree: .map([.init(kind, .map(entries))]), notes: notes)
        )
    }

    private static func id(of tree: Tree) -> String {
        guard case .map(let kinds) = tree, let kind = kinds.first,
            case .map(let entries) = kind.value
        else { return "" }
        if case .text(let id)? = entries.first(where: { $0.key == "id" })?.value { return id }
        return kind.key
    }

    private mutating func tengine() {
        guard let check else {
            for directive in [checkRequest, checkStatuses].compactMap({ $0 }) {
                note(directive, "no 'check' says how often")
            }
            return
        }
        var settings: [String: String] = [:]
        var left: [String] = []
        for word in check.arguments {
            let sides = word.split(separator: "=", maxSplits: 1).map(String.init)
            if sides.count == 2,
                ["interval", "rise", "fall", "timeout", "type", "port"].contains(sides[0])
            {
                settings[sides[0]] = sides[1]
            } else {
                left.append(word)
            }
        }
        if !left.isEmpty {
            note(check, "no counterpart", text: "check \(left.joined(separator: " "))")
        }
        let interval = Self.milliseconds(settings["interval"], or: 30_000)
        var entries = ProbeSettings.entries(
            interval: interval,
            timeout: Self.milliseconds(settings["timeout"], or: 1_000),
            rise: settings["rise"].flatMap { Int($0) } ?? 2,
            fall: settings["fall"].flatMap { Int($0) } ?? 5
        )
        if let port = settings["port"].flatMap({ Int($0) }), (1...65_535).contains(port) {
            entries.append(.init("port", .number(port)))
        }
        switch settings["type"] ?? "tcp" {
        case "http":
            let request = RequestText(checkRequest?.first ?? "GET / HTTP/1.0\r\n\r\n")
            if let checkRequest, !request.left.isEmpty {
                note(
                    checkRequest,
                    "probes speak HTTP/1.1 and close",
                    text: request.left.joined(separator: " ")
                )
            }
            let words = (checkStatuses?.arguments ?? []).compactMap { word -> String? in
                [
                    "http_1xx": nil, "http_2xx": "2xx", "http_3xx": "3xx", "http_4xx": "4xx",
                    "http_5xx": "5xx",
                ][word]
                .flatMap { $0 }
            }
            if let checkStatuses, words.count != checkStatuses.arguments.count {
                note(checkStatuses, "expected http_2xx to http_5xx")
            }
            let expect =
                words.isEmpty ? [] : [Tree.Entry("expect", .text(words.joined(separator: " ")))]
            add("http", request.entries + expect + entries)
        case "ssl_hello": add("tls", [.init("verify", .flag(false))] + entries)
        case let type:
            if type != "tcp" {
                note(check, "only the connection is tried", text: "check type=\(type)")
            }
            for directive in [checkRequest, checkStatuses].compactMap({ $0 }) {
                note(directive, "only for type=http")
            }
            add("tcp", entries)
        }
    }

    private static func milliseconds(_ text: String?, or fallback: Int64) -> Span {
        guard let number = text.flatMap({ Int64($0) }), number > 0, number < 1 << 40 else {
            return Span(milliseconds: fallback)
        }
        return Span(milliseconds: number)
    }

    // MARK: Lua

    private mutating func balancer(_ directive: NginxDirective) {
        let text = directive.lua ?? directive.first
        let lua = LuaReader(text, line: directive.place.line)
        for statement in lua.statements {
            if let name = Self.durpinaBalancer(statement.value), let ours = Durpina.balancers[name]
            {
                draft.set("balance", ours.tree)
                if !ours.why.isEmpty { note(directive, ours.why, text: "durpina.balancer \(name)") }
                return
            }
        }
        note(directive, "Lua chooses there; servers are asked in turn here")
    }

    /// `require "durpina.balancer" "round-robin"`.
    private static func durpinaBalancer(_ value: LuaValue) -> String? {
        guard case .call(let outer) = value, case .call(let inner)? = outer.target,
            inner.name == "require",
            ["durpina.balancer", "durpina.upstream.balancer"].contains(
                inner.arguments.first?.text ?? ""
            )
        else { return nil }
        return outer.arguments.first?.text
    }

    /// A peer that Lua adds.
    mutating func addPeer(
        _ address: String,
        _ words: [Tree.Entry],
        _ left: [(String, String)],
        at place: SourcePlace
    ) {
        hasSocket = hasSocket || address.hasPrefix("unix:")
        add(address, words, left, place, "add_peer \(address)")
    }

    mutating func addNote(_ note: Note) { draft.notes.append(note) }
}

/// When a probe goes, in bounds that muster takes.
enum ProbeSettings {
    private static let intervals = Span(milliseconds: 10)...Span(milliseconds: 86_400_000)
    private static let countMax = 86_400

    /// A probe ends before the next begins.
    static func entries(interval: Span, timeout: Span?, rise: Int?, fall: Int?) -> [Tree.Entry] {
        let interval = interval.limited(to: intervals)
        var entries: [Tree.Entry] = [.init("interval", .span(interval))]
        if let timeout {
            entries.append(
                .init("timeout", .span(min(max(timeout, Span(milliseconds: 1)), interval)))
            )
        }
        // Whoever counts there counts at one pace; muster's own is a faster one while a change is pending.
        if rise != nil || fall != nil {
            entries.append(.init("fast-interval", .span(interval)))
        }
        for (key, count) in [("rise", rise), ("fall", fall)] {
            if let count { entries.append(.init(key, .number(min(max(count, 1), countMax)))) }
        }
        return entries
    }
}
