// Is what comes of a foreign configuration one that muster takes, and is nothing of it lost without a word?

import Foundation
import Import
import TestSupport
import Testing

@Suite struct CorpusTests {
    @Test func `there are thirty of each sort`() {
        #expect(Foreign.all.count { $0.system == .haproxy } >= 30)
        #expect(Foreign.all.count { $0.system == .nginx } >= 30)
    }

    @Test(arguments: Foreign.all)
    func `is taken by muster`(foreign: Foreign) throws {
        let imported = foreign.imported()
        #expect(try imported.mistakes() == [], "\(imported.text)")
    }

    /// Words that are said otherwise here: keywords, and signs of a language that has others.
    private static let translated: Set<String> = [
        // HAProxy's sections and keywords.
        "defaults", "frontend", "backend", "listen", "global", "mode", "bind", "server", "check",
        "option",
        "httpchk", "default_backend", "use_backend", "if", "acl", "hdr", "host", "path_beg",
        "timeout",
        "balance", "roundrobin", "leastconn", "source", "inter", "fastinter", "downinter", "weight",
        "maxconn", "retries", "retry-on", "conn-failure", "junk-response", "all-retryable-errors",
        "default-server", "slowstart", "disabled", "enabled", "cookie", "insert", "hash-type",
        "consistent", "http-check", "tcp-check", "expect", "string", "rstring", "binary",
        "send-binary",
        "connect", "meth", "uri", "ver", "status", "rstatus", "agent-check", "agent-port",
        "agent-inter",
        "redis-check", "ldap-check", "smtpchk", "ssl-hello-chk", "check-ssl", "verify", "none",
        "hdr_end",
        "hdr_dom", "path", "path_reg", "nbthread", "unix", "ipv4", "random", "url_param",
        "static-rr", "first",
        "http-reuse", "queue", "client", "http-request", "http-keep-alive", "tunnel",
        "server-template",
        "on-marked-down", "shutdown-sessions", "from", "external-check", "command",
        "hash-balance-factor",
        "or", "body", "value", "port", "addr", "http", "tcp", "send", "no", "tcp-check", "backup",
        "comment",
        "is_api", "get", "v4", "presetenv",
        // nginx's.
        "events", "upstream", "location", "proxy_pass", "server_name", "least_conn", "ip_hash",
        "hash", "default", "default_server", "stream", "include", "match", "health_check",
        "interval",
        "passes", "fails", "proxy_next_upstream", "proxy_connect_timeout", "proxy_read_timeout",
        "error",
        "off", "slow_start", "max_fails", "two", "type", "check_http_send",
        "check_http_expect_alive",
        "http_2xx", "http_3xx", "sticky", "proxy_timeout", "local", "require", "durpina",
        "balancer",
        "balancer_by_lua_block", "init_worker_by_lua_block", "add_monitor", "get", "add_peer",
        "get",
        "worker_processes", "proxy_next_upstream_tries", "invalid_header", "keepalive_timeout",
        "max_conns", "http_502", "http_503", "grpc_service", "server_ok", "-i", "ssl", "8000-8002",
        "nhost", "nuser-agent", "client_header_timeout", "send_timeout", "proxy_send_timeout",
        "ssl_hello", "header", "rise", "fall",
    ]

    /// Each server's own words, which no other word stands for: its name, its address, its weight.
    @Test(arguments: Foreign.all.filter { $0.system == .haproxy })
    func `no server of HAProxy is lost`(foreign: Foreign) {
        let output = foreign.imported().text
        for line in foreign.text.split(separator: "\n") {
            let words = line.split(separator: " ").map { $0.filter { !"\"'\\".contains($0) } }
            guard words.first == "server", words.count > 2 else { continue }
            #expect(output.contains(words[1]), "\(line)")
            for part in words[2].split(whereSeparator: { ":@[]+".contains($0) }) {
                let isFamily = ["unix", "ipv4", "abns"].contains(part)
                #expect(
                    isFamily || part.hasPrefix("$") || output.contains(part),
                    "\(line): \(part)"
                )
            }
            for (key, value) in zip(words.dropFirst(3), words.dropFirst(4))
            where ["weight", "port", "agent-port", "track", "cookie", "maxconn"].contains(key) {
                let isTold = value == "1" && key == "weight" || output.contains(value)
                #expect(isTold, "\(line): \(key) \(value)")
            }
        }
    }

    @Test(arguments: Foreign.all.filter { $0.system == .nginx })
    func `no server of nginx is lost`(foreign: Foreign) {
        let output = foreign.imported().text
        for match in foreign.text.matches(of: #/\bserver\s+"?([\w.:\/\[\]-]+)"?([^;{]*);/#) {
            #expect(output.contains(match.1), "\(match.0)")
            for word in match.2.split(whereSeparator: { " \"'".contains($0) }) {
                let value = word.split(separator: "=").last ?? word
                let isTold =
                    word == "weight=1" || word == "max_conns=0" || word.hasPrefix("fail_timeout")
                    || word.hasPrefix("slow_start") || output.contains(value)
                #expect(isTold, "\(match.0): \(word)")
            }
        }
        for match in foreign.text.matches(of: #/listen\s+([^; ]+)/#) {
            let port = match.1.split(separator: ":").last ?? match.1
            #expect(output.contains(port), "\(match.0)")
        }
    }

    /// Whatever word is in a line of a foreign file is in the output, unless it has a translation.
    @Test(arguments: Foreign.all)
    func `no word is lost without a translation`(foreign: Foreign) {
        let output = foreign.imported().text.lowercased()
        // Names of lists say nothing where a route stands for them.
        let lists = Set(foreign.text.matches(of: #/\bacl (\S+)/#).map { $0.1.lowercased() })
        for line in foreign.text.split(separator: "\n") {
            // Comments are for people, and braces of blocks say nothing.
            let code = line.prefix { $0 != "#" }
            // What a variable is worth is told where it is used, and a password nowhere.
            if line.contains("\\#") || line.contains("$") || line.contains("mime.types")
                || line.contains("setenv ") || line.contains("stats auth ")
            {
                continue
            }
            for word in code.lowercased().split(whereSeparator: { !Self.isWord($0) }) {
                let text = String(word)
                if text.count < 2 || Self.translated.contains(text) || output.contains(text) {
                    continue
                }
                if lists.contains(text) || code.drop(while: { $0 == " " }).hasPrefix("--") {
                    continue
                }
                if Self.isTime(text) || Self.isPartOfLua(line) { continue }
                // Of 0 it is `max_fails=0` here.
                if text == "fail_timeout", line.contains("fail_timeout=0"),
                    output.contains("max_fails=0")
                {
                    continue
                }
                Issue.record("\(foreign): '\(text)' of '\(line)' is nowhere in:\n\(output)")
            }
        }
    }

    private static func isWord(_ letter: Character) -> Bool {
        letter.isLetter || letter.isNumber || letter == "_" || letter == "-" || letter == "."
    }

    /// Times are written with a unit of muster's, and statuses together.
    private static func isTime(_ text: String) -> Bool {
        let rest = text.drop { $0.isNumber || $0 == "." }
        return text.first?.isNumber == true
            && ["", "s", "ms", "m", "h", "d", "m30s"].contains(rest)
    }

    /// Values and names of a script that was followed.
    private static func isPartOfLua(_ line: Substring) -> Bool {
        ["add_peer", "add_monitor", "Upstream", "spawn_checker", " = ", "local ", "require"]
            .contains {
                line.contains($0)
            }
    }

    // MARK: Whatever comes

    /// Whoever feeds it a million of lines gets no book about them, and hears so.
    @Test(arguments: [Foreign.System.haproxy, .nginx])
    func `what is written about a file has an end`(system: Foreign.System) throws {
        let lines = String(repeating: system == .haproxy ? "{ a\n" : "a;\n", count: 30_000)
        let imported = Foreign(system: system, name: "x", text: lines).imported()
        #expect(imported.noteCount == 30_000)
        #expect(imported.text.contains("# 20000 more comments are not written: at most 10000 are."))
        #expect(imported.text.utf8.count < 2_000_000)
        #expect(try imported.mistakes() == [])
    }

    /// More of them for whoever changes a parser: MUSTER_IMPORT_RUNS=2000.
    private static let runs =
        ProcessInfo.processInfo.environment["MUSTER_IMPORT_RUNS"].flatMap { Int($0) } ?? 12

    /// Cut anywhere, and with bytes of it turned into others, it is still read, and what comes of it taken.
    @Test(arguments: Foreign.all)
    func `broken, it is taken too`(foreign: Foreign) throws {
        var dice = Dice(seed: UInt64(foreign.text.utf8.count))
        let bytes = Array(foreign.text.utf8)
        let signs = Array("\"'\\{};#$ \n=:![]0a~%".utf8) + [0, 0x7F, 0x85, 0xFF]
        for _ in 0..<Self.runs {
            var broken = bytes
            switch Int.random(in: 0..<3, using: &dice) {
            case 0: broken = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &dice)))
            case 1: broken = Array(bytes.suffix(Int.random(in: 0...bytes.count, using: &dice)))
            default: break
            }
            for _ in 0..<Int.random(in: 0..<8, using: &dice) where !broken.isEmpty {
                let place = Int.random(in: 0..<broken.count, using: &dice)
                broken[place] = signs[Int.random(in: 0..<signs.count, using: &dice)]
            }
            let text = String(decoding: broken, as: UTF8.self)
            let imported = Foreign(system: foreign.system, name: "x", text: text).imported()
            #expect(try imported.mistakes() == [], "of:\n\(text)\nsaw:\n\(imported.text)")
        }
    }
}

/// The same fortune every time.
private struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
