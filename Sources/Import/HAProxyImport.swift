// What is an HAProxy configuration in muster's words? Backends and listens become upstreams, frontends and listens
// listeners; what has no counterpart stays as a comment beside what it belonged to.

import Vocabulary

/// What came of a file.
public struct Imported: Equatable, Sendable {
    /// A configuration that `muster validate` takes.
    public let text: String
    /// How many comments tell of something that is not in it.
    public let noteCount: Int
    /// How many of these tell of something that was forbidden, or behind a password, and no longer is.
    public let openCount: Int

    init(_ draft: Draft, from source: String, by command: String) {
        var draft = draft
        draft.tellOfShorter()
        draft.tellOnce()
        draft.tellOfOpen()
        text = YAMLWriter.file(draft, from: source, by: command)
        noteCount = draft.noteCount
        openCount = draft.openCount
    }
}

public struct HAProxyImport {
    private var draft = Draft()
    private var proxies: [HAProxyProxy] = []
    /// What an upstream is called here, by the name of its backend.
    private var names: [String: String] = [:]
    /// By which clients come to a backend, by its name.
    private var ports: [String: [Int]] = [:]
    private var written: Set<String> = []

    /// More bytes are no configuration, in all files together.
    public static let bytesMax = 16 << 20
    /// Nor are more files.
    public static let filesMax = 4_096

    /// Reads `files`, one behind the other.
    public static func read(
        _ files: [SourceFile],
        from source: String,
        environment: [String: String] = [:]
    ) -> Imported {
        var reader = HAProxyImport()
        reader.read(HAProxySections(files, environment: environment))
        return Imported(reader.draft, from: source, by: "muster import haproxy")
    }

    /// Reads `text`, which `file` holds.
    public static func read(
        _ text: String,
        file: String,
        environment: [String: String] = [:]
    ) -> Imported {
        read([SourceFile(path: file, text: text)], from: file, environment: environment)
    }

    private mutating func read(_ file: HAProxySections) {
        draft.notes += file.notes
        for (index, section) in file.sections.enumerated() {
            switch section.kind {
            case _ where section.isProxy:
                var proxy = HAProxyProxy(section)
                proxy.take(file.defaults(of: index), areDefaults: true)
                proxy.take(section.lines, areDefaults: false)
                proxies.append(proxy)
            case "defaults": tellDefaults(section)
            case "global": global(section)
            default: tell(section, "a section without a counterpart")
            }
        }
        for index in proxies.indices where proxies[index].serves { name(index) }
        for proxy in proxies where proxy.listens { notePorts(of: proxy) }
        for proxy in proxies where proxy.serves { upstream(proxy) }
        var taken: Set<String> = []
        let written = Set(
            proxies.flatMap(\.binds).flatMap { HAProxyFrontend.addresses(of: $0).found }
        )
        for proxy in proxies where proxy.listens {
            var frontend = HAProxyFrontend(proxy, names: names)
            frontend.read(taken: taken, written: written)
            taken.formUnion(frontend.listeners.map(\.bind))
            draft.listeners += frontend.listeners
            draft.notes += frontend.notes
        }
        for proxy in proxies { timeouts(proxy) }
        draft.hints += Self.differences(
            proxies,
            isChecked: draft.upstreams.contains { !$0.monitors.isEmpty }
        )
    }

    // MARK: Sections without servers

    private mutating func tell(_ section: HAProxySection, _ why: String) {
        draft.notes.append(Note(place: section.place, text: section.raw, why: why))
        draft.notes += section.lines.map { Note(place: $0.place, text: $0.raw, why: "") }
    }

    /// Said once, not in each proxy that has them.
    private mutating func tellDefaults(_ section: HAProxySection) {
        var proxy = HAProxyProxy(section)
        proxy.take(section.lines, areDefaults: false)
        draft.notes += proxy.notes
    }

    private mutating func global(_ section: HAProxySection) {
        for line in section.lines {
            if line.first == "nbthread", let count = Int(line.second), (1...256).contains(count) {
                draft.threads = count
                continue
            }
            let why =
                switch line.first {
                case "maxconn": "proxy.limits.client-connections counts for each worker thread"
                case "stats":
                    "see admin.haproxy-socket, and the dashboard and /metrics of the admin address"
                case "log": "the log goes to standard error, see OPERATIONS.md"
                case "daemon", "user", "group", "chroot", "pidfile":
                    "for the service manager that starts muster"
                default: "no counterpart"
                }
            draft.notes.append(Note(place: line.place, text: line.raw, why: why))
        }
    }

    // MARK: Upstreams

    /// A listen that only shows statistics, say, has nothing behind it.
    private mutating func name(_ index: Int) {
        let proxy = proxies[index]
        if proxy.kind == "listen", proxy.servers.isEmpty { return }
        if names[proxy.name] != nil {
            proxies[index].notes.append(
                Note(place: proxy.place, text: proxy.raw, why: "a second one of this name")
            )
            return
        }
        names[proxy.name] = draft.name(for: proxy.name)
    }

    private mutating func upstream(_ proxy: HAProxyProxy) {
        guard let name = names[proxy.name], written.insert(name).inserted else {
            // What is said of it is not lost; of a listen it is told where it listens.
            draft.notes += proxy.servers.map {
                Note(
                    place: $0.line.place,
                    text: $0.line.raw,
                    why: "of a proxy that is not taken over"
                )
            }
            if !proxy.listens { draft.notes += proxy.notes }
            return
        }
        var upstream = DraftUpstream(name: name, source: "\(proxy.place): \(proxy.raw)")
        if name != proxy.name {
            upstream.notes.append(
                Note(place: proxy.place, text: proxy.raw, why: "its name is written otherwise here")
            )
        }
        upstream.notes += proxy.notes
        if proxy.isDisabled {
            upstream.notes.append(
                Note(
                    place: proxy.place,
                    text: "disabled",
                    why: "an upstream cannot be; no route leads here"
                )
            )
        }
        if let program = proxy.externalCommand, proxy.check?.option != "external-check" {
            upstream.notes.append(
                Note(
                    place: proxy.place,
                    text: "external-check command \(program)",
                    why: "no option external-check asks for it"
                )
            )
        }
        balance(proxy, &upstream)
        cookie(proxy, &upstream)
        retries(proxy, &upstream)
        var servers = HAProxyServers(proxy, ports: ports[proxy.name] ?? [])
        servers.read()
        upstream.notes += servers.notes
        upstream.settings += servers.settings
        upstream.peers = servers.peers
        let checks = HAProxyChecks(proxy, hasSocket: servers.hasSocket)
        upstream.notes += checks.notes
        if !servers.peers.isEmpty {
            upstream.monitors = checks.monitors
        }
        draft.upstreams.append(upstream)
    }

    /// A server without a port has those of whoever leads to it.
    private mutating func notePorts(of proxy: HAProxyProxy) {
        let found = proxy.binds.flatMap { HAProxyFrontend.addresses(of: $0).found }
            .compactMap { bind -> Int? in
                guard case .host(_, let port)? = Address(text: bind) else { return nil }
                return Int(port)
            }
        if found.isEmpty { return }
        let led =
            [proxy.name, proxy.defaultBackend?.name].compactMap { $0 } + proxy.rules.map(\.second)
        for name in Set(led) { ports[name, default: []] += found }
    }

    private func balance(_ proxy: HAProxyProxy, _ upstream: inout DraftUpstream) {
        guard let word = proxy.balance.first else { return }
        let text = "balance \(proxy.balance.joined(separator: " "))"
        func tell(_ why: String) {
            upstream.notes.append(Note(place: proxy.place, text: text, why: why))
        }
        func hash(_ key: String) {
            var entries: [Tree.Entry] = [.init("key", .text(key))]
            if let factor = proxy.balanceFactor, (101...10_000).contains(factor) {
                entries.append(.init("bounded-load", .word("\(factor)%")))
            }
            upstream.set("balance", .map([.init("consistent-hash", .map(entries))]))
        }
        let name = word.prefix { $0 != "(" }
        let inner = word.hasSuffix(")") ? String(word.dropFirst(name.count + 1).dropLast()) : ""
        switch name {
        case "roundrobin": upstream.set("balance", .word("round-robin"))
        case "static-rr":
            upstream.set("balance", .word("round-robin"))
            tell("weights can change here")
        case "leastconn": upstream.set("balance", .word("least-connections"))
        case "first": upstream.set("balance", .word("first"))
        case "source": upstream.set("balance", .word("ip-hash"))
        case "random":
            upstream.set("balance", .word("random-two"))
            if !inner.isEmpty, inner != "2" { tell("the lighter of two is taken") }
        case "uri":
            hash("path")
            if proxy.balance.count > 1 { tell("the whole path counts, without the query") }
        case "url_param" where Self.isParameter(proxy.balance.dropFirst().first ?? ""):
            hash("query:\(proxy.balance[1])")
            if proxy.balance.count > 2 { tell("bodies are not looked into") }
        case "hdr" where Self.isToken(inner):
            hash("header:\(inner.lowercased())")
            if proxy.balance.count > 1 { tell("the whole header counts") }
        default: tell("no such balancer here; servers are asked in turn")
        }
    }

    static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                (0x21..<0x7F).contains($0) && !#""(),/:;<=>?@[\]{}"#.utf8.contains($0)
            }
    }

    private static func isParameter(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { (0x21..<0x7F).contains($0) && !"&=#".utf8.contains($0) }
    }

    private func cookie(_ proxy: HAProxyProxy, _ upstream: inout DraftUpstream) {
        guard let line = proxy.cookie else { return }
        let words = Set(line.rest.dropFirst())
        let name = line.second
        guard proxy.isHTTP, words.contains("insert"), Self.isToken(name), name.utf8.count <= 64
        else {
            upstream.notes.append(
                Note(
                    place: line.place,
                    text: line.raw,
                    why: "no counterpart; sticky writes a cookie of its own"
                )
            )
            return
        }
        var entries: [Tree.Entry] = [.init("cookie", .text(name))]
        if words.contains("secure") { entries.append(.init("secure", .word("always"))) }
        upstream.set("sticky", .map(entries))
        let values = proxy.servers.compactMap { server in
            server.value("cookie").map { "\(server.name) \($0)" }
        }
        upstream.notes.append(
            Note(
                place: line.place,
                text: values.isEmpty ? line.raw : "\(line.raw) (\(values.joined(separator: ", ")))",
                why:
                    "its values are muster's own, so clients change servers once; Path=/, HttpOnly and "
                    + "SameSite=Lax always"
            )
        )
    }

    private static let retriesMax = 7
    /// Where nothing is said.
    private static let retriesThere = 3

    private func retries(_ proxy: HAProxyProxy, _ upstream: inout DraftUpstream) {
        if let line = proxy.retries {
            let count = Int(line.second) ?? -1
            if count >= 0 { upstream.set("retries", .number(min(count, Self.retriesMax))) }
            if !(0...Self.retriesMax).contains(count) {
                upstream.notes.append(
                    Note(
                        place: line.place,
                        text: line.raw,
                        why: "0 to \(Self.retriesMax) further servers"
                    )
                )
            }
        } else {
            upstream.set("retries", .number(Self.retriesThere))
        }
        if let line = proxy.retryOn {
            retryOn(line, &upstream)
        } else {
            upstream.set("retry-on", .list([.word("connect-failure")]))
        }
        guard let line = proxy.reuse else { return }
        switch line.second {
        case "safe", "always": upstream.set("reuse", .word(line.second))
        default:
            upstream.notes.append(
                Note(place: line.place, text: line.raw, why: "connections are kept: safe or always")
            )
        }
    }

    private func retryOn(_ line: HAProxyLine, _ upstream: inout DraftUpstream) {
        var words: [String] = []
        var left: [String] = []
        for word in line.rest {
            switch word {
            case "none": break
            case "conn-failure": words.append("connect-failure")
            case "empty-response", "response-timeout": words.append(word)
            case "junk-response": words.append("malformed-response")
            case "all-retryable-errors":
                words += [
                    "connect-failure", "empty-response", "malformed-response", "response-timeout",
                    "500", "502", "503", "504",
                ]
            case _ where Int(word).map { (400...599).contains($0) } ?? false: words.append(word)
            default: left.append(word)
            }
        }
        var seen: Set<String> = []
        words = words.filter { seen.insert($0).inserted }
        upstream.set(
            "retry-on",
            words.isEmpty ? .word("none") : .list(words.map { .word($0) })
        )
        if !left.isEmpty {
            upstream.notes.append(
                Note(
                    place: line.place,
                    text: "retry-on \(left.joined(separator: " "))",
                    why: "no such occasion here"
                )
            )
        }
        if words.contains(where: { $0 != "connect-failure" }) {
            upstream.notes.append(
                Note(
                    place: line.place,
                    text: line.raw,
                    why:
                        "there a POST is sent again too; here only what may be repeated, unless 'retry-key' says so"
                )
            )
        }
    }

    // MARK: Timeouts

    private static let timeouts: [(theirs: String, ours: String, isHTTP: Bool)] = [
        ("connect", "connect", false), ("http-request", "request-head", true),
        ("http-keep-alive", "client-idle", true), ("server", "response", true),
        ("tunnel", "tunnel-idle", false), ("client", "body-idle", true),
    ]

    /// There they are each proxy's, here the whole process's.
    private mutating func timeouts(_ proxy: HAProxyProxy) {
        for (theirs, ours, isHTTP) in Self.timeouts {
            guard let span = proxy.timeouts[theirs], proxy.isHTTP || !isHTTP else { continue }
            let isRelevant =
                ["connect", "server", "tunnel"].contains(theirs) ? proxy.serves : proxy.listens
            if !isRelevant { continue }
            draft.raise(ours, to: span)
            let line = proxy.timeoutLines[theirs]
            draft.ask("timeout \(theirs)", span, at: line?.place, line?.raw ?? "")
        }
        // There both hold for every pause on their side, and for tunnels that have no time of their own.
        for theirs in proxy.serves ? ["client", "server"] : ["client"] {
            guard let span = proxy.timeouts[theirs] else { continue }
            if proxy.isHTTP { draft.keep("body-idle", atLeast: span) }
            if proxy.timeouts["tunnel"] == nil { draft.keep("tunnel-idle", atLeast: span) }
        }
        guard proxy.listens, proxy.isHTTP else { return }
        // What is not set has the time of what it is a part of.
        let head = proxy.timeouts["http-request"] ?? proxy.timeouts["client"]
        if let head { draft.keep("request-head", atLeast: head) }
        if let idle = proxy.timeouts["http-keep-alive"] ?? head {
            draft.keep("client-idle", atLeast: idle)
        }
    }
}
