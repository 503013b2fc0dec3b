// Which peers are the servers of a backend, and what holds for all of them?

import Vocabulary

struct HAProxyServers {
    private let proxy: HAProxyProxy
    /// By which clients come: the port of a server that has none.
    private let ports: [Int]
    /// Requests that fail take one of them out at least.
    private let isObserved: Bool
    private(set) var peers: [DraftItem] = []
    private(set) var settings: [Tree.Entry] = []
    private(set) var notes: [Note] = []
    private(set) var hasSocket = false
    private var ids: Set<String> = []

    private static let weightMax = 256
    private static let connectionsMax = 1_000_000
    private static let slowStartMax = Span(milliseconds: 86_400_000)
    private static let queueTimes = Span(milliseconds: 1)...Span(milliseconds: 600_000)
    /// HAProxy's queues have no end of their own.
    private static let queueSize = 1_024

    init(_ proxy: HAProxyProxy, ports: [Int]) {
        self.proxy = proxy
        self.ports = ports
        isObserved = proxy.servers.contains(where: \.isTakenOutByRequests)
    }

    private mutating func note(_ line: HAProxyLine, _ text: String, _ why: String) {
        notes.append(Note(place: line.place, text: text, why: why))
    }

    mutating func read() {
        for server in proxy.servers { peer(server) }
        slowStart()
        onDown()
        backups()
        queue()
        eject()
    }

    // MARK: Peers

    private mutating func peer(_ server: HAProxyServer) {
        guard let address = address(of: server) else { return }
        hasSocket = hasSocket || address.hasPrefix("unix:")
        var entries: [Tree.Entry] = []
        let id = id(for: server)
        if id != address { entries.append(.init("id", .text(id))) }
        entries.append(.init("address", .text(address)))
        var left = leftovers(server)
        weight(server, &entries, &left)
        if server.has("backup") { entries.append(.init("backup", .flag(true))) }
        if isObserved {
            let limit = server.isTakenOutByRequests ? server.errorLimit : 0
            entries.append(.init("max-fails", .number(limit)))
        }
        if let text = server.value("maxconn") {
            if let count = Int(text), (1...Self.connectionsMax).contains(count) {
                entries.append(.init("max-connections", .number(count)))
            } else if text != "0" {
                left.append(("maxconn \(text)", "expected 1 to \(Self.connectionsMax)"))
            }
        }
        var item = DraftItem(tree: .map(entries))
        let isService = server.address.hasPrefix("_") && server.address.contains("._")
        if let count = server.count {
            left.append(
                (
                    "server-template \(server.name) \(count) \(server.address)",
                    isService
                        ? Self.serviceWords
                        : "there each address of the name is a server; here the name is one peer, all of whose "
                            + "addresses are probed"
                )
            )
        } else if isService {
            left.append(("\(server.address)", Self.serviceWords))
        }
        item.notes = left.map {
            Note(place: server.line.place, text: "server \(server.name): \($0.0)", why: $0.1)
        }
        peers.append(item)
    }

    private static let serviceWords =
        "names of services (SRV records) are not looked up: write the hosts and ports that the record has"

    private mutating func id(for server: HAProxyServer) -> String {
        let bytes = server.name.utf8.prefix(250).map {
            $0 > 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "-")
        }
        let name = bytes.isEmpty ? "server" : String(decoding: bytes, as: UTF8.self)
        var id = name
        var number = 1
        while !ids.insert(id).inserted {
            number += 1
            id = "\(name)-\(number)"
        }
        return id
    }

    private mutating func weight(
        _ server: HAProxyServer,
        _ entries: inout [Tree.Entry],
        _ left: inout [(String, String)]
    ) {
        if let text = server.value("weight") {
            let weight = Int(text) ?? -1
            if (2...Self.weightMax).contains(weight) {
                entries.append(.init("weight", .number(weight)))
            } else if weight != 1 {
                left.append(
                    (
                        "weight \(text)",
                        weight == 0
                            ? "gets nothing new there; in maintenance here, until 'muster peer ready'"
                            : "expected 1 to \(Self.weightMax)"
                    )
                )
            }
            if weight == 0 || server.has("disabled") { entries.append(.init("down", .flag(true))) }
        } else if server.has("disabled") {
            entries.append(.init("down", .flag(true)))
        }
    }

    /// Where the server is, in muster's words; nil, and a note, where it can be nowhere.
    private mutating func address(of server: HAProxyServer) -> String? {
        let line = server.line
        // What is left of it would be another place: without its port the client's, say.
        if let name = server.unset.first {
            note(
                line,
                line.raw,
                "left out: its address needs \(name). Import again where it is set"
            )
            return nil
        }
        guard let parsed = HAProxyAddress.parse(server.address) else {
            note(line, line.raw, "no address that muster can connect to")
            return nil
        }
        if parsed.isUnix {
            guard let text = HAProxyAddress.text(parsed, port: 0) else {
                note(line, line.raw, "no address that muster can connect to")
                return nil
            }
            return text
        }
        guard let port = port(of: parsed, server) else { return nil }
        if parsed.host.isEmpty || parsed.host == "::" {
            note(line, line.raw, "the address that the client asked for, which no peer can be")
            return nil
        }
        guard let text = HAProxyAddress.text(parsed, port: port) else {
            note(line, line.raw, "no address that muster can connect to")
            return nil
        }
        return text
    }

    private mutating func port(of parsed: HAProxyAddress.Parsed, _ server: HAProxyServer) -> Int? {
        let line = server.line
        let text = parsed.port
        if let port = Int(text), (1...65_535).contains(port), !text.hasPrefix("+") { return port }
        let isOffset = text.hasPrefix("+") || text.hasPrefix("-")
        guard text.isEmpty || text == "0" || isOffset, let offset = Int(text.isEmpty ? "0" : text)
        else {
            note(line, line.raw, "expected a port from 1 to 65535")
            return nil
        }
        let known = Array(Set(ports)).sorted()
        // A check goes somewhere, and the server is likely to be there too.
        let checked = server.number("port")
        guard let base = known.first ?? (isOffset ? nil : checked),
            (1...65_535).contains(base + offset)
        else {
            note(line, line.raw, "without a port it is the one that the client came to; write it")
            return nil
        }
        let all = known.map { "\($0 + offset)" }.joined(separator: ", ")
        note(
            line,
            line.raw,
            known.count > 1
                ? "without a port of its own it is the client's: \(all); the first is taken"
                : "without a port of its own it is the client's, \(base + offset)"
        )
        return base + offset
    }

    // MARK: What is left

    /// Words that are taken over, here or by the monitors.
    static let taken: Set<String> = [
        "check", "no-check", "agent-check", "no-agent-check", "inter", "fastinter", "downinter",
        "rise",
        "fall", "port", "addr", "agent-port", "agent-addr", "agent-inter", "agent-send", "weight",
        "backup", "no-backup", "disabled", "enabled", "maxconn", "slowstart", "check-ssl",
        "no-check-ssl", "check-sni", "check-send-proxy", "no-check-send-proxy", "no-ssl",
        "no-send-proxy", "no-send-proxy-v2",
    ]

    private static let reasons: [String: String] = [
        "ssl": "muster speaks plain text to peers; checks use TLS",
        "cookie": "sticky has values of its own",
        "track": "another server's health does not count; this one is probed by itself",
        "send-proxy": "no PROXY protocol is sent to peers",
        "send-proxy-v2": "no PROXY protocol is sent to peers",
        "resolvers": "names are resolved by muster itself",
        "init-addr": "names are resolved by muster itself",
        "source": "no address of its own is taken for connections to a peer",
        "maxqueue": "see 'queue' of the upstream",
        "minconn": "max-connections is the limit at any time",
        "on-marked-up": "backups keep the connections they have",
    ]

    static func isTaken(_ word: HAProxyServer.Word) -> Bool {
        taken.contains(word.key)
            || word.key == "on-marked-down" && word.value == "shutdown-sessions"
    }

    private func leftovers(_ server: HAProxyServer) -> [(String, String)] {
        var left: [(String, String)] = []
        let isTLS = server.has("ssl")
        for word in server.words where word.isOwn || word.key == "ssl" || word.key == "track" {
            if Self.isTaken(word) { continue }
            if word.key == "cookie", proxy.cookie != nil { continue }
            if word.key == "ssl", !isTLS { continue }
            let text = word.value.map { "\(word.key) \($0)" } ?? word.key
            left.append((text, Self.reason(word.key, of: server)))
        }
        // A number that is none is left, whichever it is.
        for key in ["inter", "fastinter", "downinter", "slowstart", "agent-inter"] {
            if let text = server.value(key), server.span(key) == nil {
                left.append(("\(key) \(text)", "expected a time"))
            }
        }
        for key in ["rise", "fall", "port", "agent-port"] {
            guard let text = server.value(key) else { continue }
            if server.number(key).map({ $0 < 1 || key.hasSuffix("port") && $0 > 65_535 }) ?? true {
                left.append(("\(key) \(text)", "expected a number from 1 on"))
            }
        }
        return left
    }

    // MARK: Of the whole upstream

    private mutating func slowStart() {
        let spans = proxy.servers.compactMap { server in
            server.span("slowstart").map { (server, $0) }
        }
        guard let longest = spans.map(\.1).max() else { return }
        settings.append(.init("slow-start", .span(min(longest, Self.slowStartMax))))
        for (server, span) in spans where span != longest {
            note(
                server.line,
                "server \(server.name): slowstart \(span.text)",
                "one for all servers: the longest"
            )
        }
        for server in proxy.servers where server.value("slowstart") == nil {
            note(
                server.line,
                "server \(server.name) without slowstart",
                "one for all servers: \(longest.text)"
            )
        }
    }

    /// Connections that are there outlive a check that fails, unless a server says otherwise; here those of TCP do not.
    private mutating func onDown() {
        let cut = proxy.servers.filter { $0.value("on-marked-down") == "shutdown-sessions" }
        if cut.isEmpty {
            let isChecked = proxy.servers.contains { $0.has("check") || $0.has("agent-check") }
            if isChecked, !proxy.isHTTP { settings.append(.init("on-down", .word("keep"))) }
            return
        }
        settings.append(.init("on-down", .word("close-all")))
        for server in proxy.servers where server.value("on-marked-down") != "shutdown-sessions" {
            note(
                server.line,
                "server \(server.name) without on-marked-down shutdown-sessions",
                "one for all servers: their connections end when they go down"
            )
        }
    }

    private mutating func backups() {
        let backups = proxy.servers.filter { $0.has("backup") }
        guard backups.count > 1, !proxy.sharesBackups else { return }
        note(
            backups[1].line,
            "server \(backups[1].name): backup",
            "without 'option allbackups' the first backup that is up serves alone there; here all share"
        )
    }

    /// What is written in either case: HAProxy goes by checks alone, and here requests that fail count too.
    private mutating func eject() {
        let observed = proxy.servers.filter(\.isTakenOutByRequests)
        if observed.isEmpty {
            settings.append(.init("eject", .word("off")))
            return
        }
        let answers = observed.filter { $0.value("observe") == "layer7" }.map(\.errorLimit)
        settings.append(
            .init(
                "eject",
                .map([
                    .init("failures", .number(answers.min() ?? 0)),
                    .init("rate", .map([.init("above", .number(0))])),
                    .init("max-share", .word("100%")),
                ])
            )
        )
    }

    private static func reason(_ key: String, of server: HAProxyServer) -> String {
        guard ["observe", "error-limit", "on-error"].contains(key) else {
            return reasons[key] ?? "no counterpart"
        }
        return server.isTakenOutByRequests
            ? "max-fails within fail-timeout, and eject.failures of the upstream, in a row, take it out: for so long, or until its checks pass"
            : "requests that fail count for nothing; the first has the server probed at once"
    }

    /// Whoever finds all servers full waits there, unless told otherwise.
    private mutating func queue() {
        let isLimited = proxy.servers.contains { ($0.number("maxconn") ?? 0) > 0 }
        if !isLimited { return }
        // Without either it waits for as long as it takes.
        let span = proxy.timeouts["queue"] ?? proxy.timeouts["connect"]
        if span.map({ $0 > Self.queueTimes.upperBound }) ?? true {
            notes.append(
                Note(
                    place: proxy.place,
                    text:
                        "\(proxy.raw): \(span.map { "timeout queue \($0.text)" } ?? "no timeout queue, no timeout connect")",
                    why:
                        "\(Self.queueTimes.upperBound.text) is the longest that a request waits for a server here"
                )
            )
        }
        settings.append(
            .init(
                "queue",
                .map([
                    .init("size", .number(Self.queueSize)),
                    .init(
                        "timeout",
                        .span((span ?? Draft.timeoutMax).limited(to: Self.queueTimes))
                    ),
                ])
            )
        )
    }
}
