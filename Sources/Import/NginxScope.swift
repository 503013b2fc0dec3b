// What holds in a part of an nginx configuration because it was said outside of it? Of directives that mean something
// here: how requests are tried again, and how long things may take.

import Vocabulary

struct NginxScope {
    private var nextUpstream: NginxDirective?
    private var tries: NginxDirective?
    /// Of the innermost part that sets any header: with one of its own it has none from outside.
    private var headers: [NginxDirective] = []
    /// By their directives.
    private var times: [String: Span] = [:]
    private var timers: [String: NginxDirective] = [:]

    /// Whether the directive is one of these, and was taken.
    mutating func take(_ directive: NginxDirective) -> Bool {
        if directive.block != nil || directive.lua != nil { return false }
        switch directive.name {
        case "proxy_set_header": return Self.isHost(directive) && Self.isClients(directive)
        case "proxy_next_upstream": nextUpstream = directive
        case "proxy_next_upstream_tries": tries = directive
        default: return time(directive)
        }
        return true
    }

    /// What a part sets takes the place of what was set outside of it.
    mutating func enter(_ block: [NginxDirective]) {
        let own = block.filter { $0.name == "proxy_set_header" }
        if !own.isEmpty { headers = own }
    }

    private static func isHost(_ directive: NginxDirective) -> Bool {
        directive.name == "proxy_set_header" && directive.first.lowercased() == "host"
    }

    private static func isClients(_ directive: NginxDirective) -> Bool {
        ["$host", "$http_host", "$host:$server_port", "$host:$proxy_port"].contains(
            directive.arguments.last ?? ""
        )
    }

    /// A server hears the name in `proxy_pass` as Host, where nothing else is set.
    var leavesHost: Bool { !headers.contains(where: Self.isHost) }

    // MARK: Timeouts

    private static let timeouts = [
        "proxy_connect_timeout": "connect", "proxy_read_timeout": "response",
        "proxy_send_timeout": "body-idle", "send_timeout": "body-idle",
        "client_body_timeout": "body-idle", "client_header_timeout": "request-head",
        "keepalive_timeout": "client-idle", "proxy_timeout": "tunnel-idle",
    ]

    private mutating func time(_ directive: NginxDirective) -> Bool {
        guard let span = Self.span(of: directive), span.microseconds > 0 else { return false }
        times[directive.name] = span
        timers[directive.name] = directive
        // What is longer is cut, and told of.
        return span <= Draft.timeoutMax
    }

    /// Nil where it says no time that means something here. A second one of `keepalive_timeout` is for a header.
    private static func span(of directive: NginxDirective) -> Span? {
        guard timeouts[directive.name] != nil,
            directive.arguments.count == 1
                || directive.name == "keepalive_timeout" && directive.arguments.count == 2
        else { return nil }
        return Span(nginx: directive.first)
    }

    /// Why it is not here, or not whole.
    static func reason(for directive: NginxDirective) -> String {
        if let span = span(of: directive) {
            if span > Draft.timeoutMax { return "a day is the longest here" }
            return directive.name == "keepalive_timeout"
                ? "clients' connections are kept here, for proxy.timeouts.client-idle"
                : "expected a time; muster's own holds"
        }
        if isHost(directive) { return "peers always hear the Host that the client says" }
        return reasons[directive.name] ?? "no counterpart"
    }

    /// What nginx waits where nothing is written.
    private static let pause = Span(milliseconds: 60_000)
    private static let keepAlive = Span(milliseconds: 75_000)
    private static let streamPause = Span(milliseconds: 600_000)

    /// There they are each location's, here the whole process's.
    func apply(to draft: inout Draft, isStream: Bool) {
        for (name, span) in times {
            if let key = Self.timeouts[name] { draft.raise(key, to: span) }
        }
        func wait(_ name: String, _ unsaid: Span) -> Span {
            let span = times[name] ?? unsaid
            let line = timers[name]
            draft.ask(name, span, at: line?.place, line?.text ?? "")
            return span
        }
        draft.keep("connect", atLeast: wait("proxy_connect_timeout", Self.pause))
        if isStream {
            draft.keep("tunnel-idle", atLeast: wait("proxy_timeout", Self.streamPause))
            return
        }
        draft.keep("request-head", atLeast: wait("client_header_timeout", Self.pause))
        draft.keep("client-idle", atLeast: wait("keepalive_timeout", Self.keepAlive))
        // There it is the time to the answer's head, and every pause of what follows, an upgraded connection's too.
        let read = wait("proxy_read_timeout", Self.pause)
        draft.keep("response", atLeast: read)
        let send = wait("proxy_send_timeout", Self.pause)
        let pauses = ["send_timeout", "client_body_timeout"].map { wait($0, Self.pause) } + [send]
        for pause in pauses { draft.keep("body-idle", atLeast: max(read, pause)) }
        draft.keep("tunnel-idle", atLeast: max(read, send))
    }

    // MARK: Further tries

    private static let retriesMax = 7

    func apply(to upstream: inout NginxUpstream, isStream: Bool) {
        if let nextUpstream {
            retryOn(nextUpstream, isStream: isStream, &upstream)
        } else if !isStream {
            upstream.leave("retry-on", Self.occasions(["error", "timeout"]).tree)
        }
        guard let tries else { return }
        guard let count = Int(tries.first), count > 0 else {
            upstream.note(tries, "0 to \(Self.retriesMax) further servers")
            return
        }
        upstream.set("retries", .number(min(count - 1, Self.retriesMax)), for: tries)
        if count - 1 > Self.retriesMax {
            upstream.note(tries, "0 to \(Self.retriesMax) further servers")
        }
    }

    private struct Occasions {
        var words: [String] = []
        var left: [String] = []

        var tree: Tree { words.isEmpty ? .word("none") : .list(words.map { .word($0) }) }
    }

    /// In muster's words, each once.
    private static func occasions(_ arguments: [String]) -> Occasions {
        var occasions = Occasions()
        for word in arguments {
            switch word {
            case "off": break
            case "error": occasions.words += ["connect-failure", "empty-response"]
            case "timeout": occasions.words += ["connect-failure", "response-timeout"]
            case "invalid_header": occasions.words.append("malformed-response")
            case _ where word.hasPrefix("http_"):
                if let status = Int(word.dropFirst(5)), (400...599).contains(status) {
                    occasions.words.append("\(status)")
                } else {
                    occasions.left.append(word)
                }
            default: occasions.left.append(word)
            }
        }
        var seen: Set<String> = []
        occasions.words = occasions.words.filter { seen.insert($0).inserted }
        return occasions
    }

    private func retryOn(
        _ directive: NginxDirective,
        isStream: Bool,
        _ upstream: inout NginxUpstream
    ) {
        // Of a stream it is a connection, which is tried again here too.
        if isStream, directive.first == "on" { return }
        let occasions = Self.occasions(directive.arguments)
        upstream.set("retry-on", occasions.tree, for: directive)
        if occasions.words.contains(where: { Self.counted.contains($0) }) {
            upstream.count(directive)
        }
        if !occasions.left.isEmpty {
            upstream.note(
                directive,
                "what cannot be sent twice is not, unless 'retry-key' says so",
                text: "proxy_next_upstream \(occasions.left.joined(separator: " "))"
            )
        }
    }

    /// Statuses that count for max_fails where they are named.
    private static let counted: Set = ["429", "500", "502", "503", "504"]

    static let reasons: [String: String] = [
        "access_log": "there is no access log",
        "log_format": "there is no access log",
        "error_log": "the log goes to standard error, see OPERATIONS.md",
        "proxy_set_header":
            "X-Forwarded-For, X-Forwarded-Proto and Host are written as PROXY.md says",
        "client_max_body_size": "bodies may have any length here",
        "set_real_ip_from": "proxy.trusted-proxies names whose word is taken",
        "real_ip_header": "proxy.trusted-proxies names whose word is taken",
        "proxy_http_version": "peers are spoken to in HTTP/1.1",
        "proxy_next_upstream_timeout": "timeouts.connect and timeouts.response bound each attempt",
        "proxy_buffering": "nothing is buffered whole",
        "proxy_buffer_size": "see PROXY.md for the limits of a message",
        "proxy_buffers": "nothing is buffered whole",
        "return": "nothing is answered by rules",
        "rewrite": "paths are not rewritten",
        "root": "no files are served",
        "index": "no files are served",
        "try_files": "no files are served",
        "user": "for the service manager that starts muster",
        "pid": "for the service manager that starts muster",
        "daemon": "for the service manager that starts muster",
        "worker_rlimit_nofile": "for the service manager that starts muster",
        "ssl_certificate": "listeners speak plain text",
        "ssl_certificate_key": "listeners speak plain text",
        "lua_shared_dict": "needs nothing here",
        "resolver": "the name servers of /etc/resolv.conf are asked",
    ]
}
