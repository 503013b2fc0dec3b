// Does a configuration of nginx mean here what it meant there?

import Health
import Proxy
import Settings
import Testing

@testable import Import

@Suite struct NginxTests {
    /// With the header that most people have: what is without it has a test of its own.
    private static func read(_ text: String, files: [String: String] = [:]) -> Imported {
        readBare("proxy_set_header Host $host; " + text, files: files)
    }

    private static func readBare(_ text: String, files: [String: String] = [:]) -> Imported {
        NginxImport.read(SourceFile(path: "n.conf", text: text)) { pattern, _ in
            files.keys.sorted().filter {
                $0 == pattern || pattern.hasSuffix("*") && $0.hasPrefix(pattern.dropLast())
            }
            .map { SourceFile(path: $0, text: files[$0] ?? "") }
        }
    }

    // MARK: Words

    private static func tree(_ text: String) -> NginxTree {
        NginxTree(SourceFile(path: "n.conf", text: text)) { _, _ in [] }
    }

    @Test(arguments: [
        ("a b c;", ["a", "b", "c"]), (#"a "b c" 'd "e"' f;"#, ["a", "b c", #"d "e""#, "f"]),
        ("a ${b}c; # d", ["a", "${b}c"]), (#"a "b\"c\n" \;;"#, ["a", "b\"c\n", #"\;"#]),
        ("a\n  b\n  # c\n  d;", ["a", "b", "d"]), ("a b#c;", ["a", "b#c"]),
        ("a 'x;{}';", ["a", "x;{}"]),
    ])
    func `a directive is cut as nginx cuts it`(_ text: String, _ words: [String]) {
        let tree = Self.tree(text)
        #expect(tree.directives.map { [$0.name] + $0.arguments } == [words])
        #expect(tree.notes.isEmpty)
    }

    @Test func `blocks hold directives, each with its line`() {
        let tree = Self.tree("a {\n b {\n  c d;\n }\n}\ne;\n")
        #expect(tree.directives.map(\.name) == ["a", "e"])
        #expect(tree.directives[0].block?[0].block?[0].arguments == ["d"])
        #expect(tree.directives[0].block?[0].block?[0].place.line == 3)
        #expect(tree.directives[1].place.line == 6)
    }

    @Test func `a block of Lua ends where Lua ends`() {
        let text = """
            content_by_lua_block {
                -- a brace } in a comment
                local a = "}" .. '}' .. [[ } ]] .. [==[ ]] } ]==]
                --[[ } ]]
                local t = { b = { c = 1 } }
            }
            after x;
            """
        let tree = Self.tree(text)
        #expect(tree.directives.map(\.name) == ["content_by_lua_block", "after"])
        #expect(tree.directives[0].lua?.contains("local t") == true)
        #expect(tree.directives[1].place.line == 7)
    }

    @Test(arguments: ["a {", "a", "a \"b", "}", "a { b }", "a_by_lua_block { [[", "{"])
    func `what has no end is told of`(_ text: String) {
        #expect(!Self.tree(text).notes.isEmpty)
    }

    @Test func `what includes itself ends`() {
        let imported = Self.read(
            "include a.conf;",
            files: ["a.conf": "include a.conf; upstream u { server 1.2.3.4; }"]
        )
        #expect(imported.text.contains("includes itself"))
        #expect(imported.text.contains("1.2.3.4:80"))
    }

    @Test func `files that are included count, in the order of their names`() throws {
        let imported = Self.read(
            "http { include conf.d/*; }",
            files: [
                "conf.d/b": "upstream b { server 10.0.0.2; }",
                "conf.d/a": "upstream a { server 10.0.0.1; }",
            ]
        )
        #expect(try imported.configuration().upstreams.map(\.definition.name) == ["a", "b"])
        #expect(imported.text.contains("# conf.d/b:1: upstream b"))
        #expect(Self.read("include no.conf;").text.contains("no such file here"))
    }

    // MARK: Upstreams

    @Test func `servers keep their words`() throws {
        let imported = Self.read(
            "upstream u { server a.example weight=5 max_fails=3 fail_timeout=30 max_conns=7 backup; "
                + "server 10.0.0.1:81; server unix:/run/x.sock down; }"
        )
        #expect(imported.noteCount == 0)
        let peers = try #require(try imported.configuration().upstreams.first?.definition.peers)
        #expect(peers.map(\.id) == ["a.example:80", "10.0.0.1:81", "unix:/run/x.sock"])
        #expect(peers[0].weight == 5 && peers[0].maxFails == 3 && peers[0].isBackup)
        #expect(peers[0].failTimeout == .seconds(30) && peers[0].maxConnections == 7)
        #expect(peers[2].isDisabled)
    }

    @Test(arguments: [
        ("server 10.0.0.1 slow_start=10s; server 10.0.0.2 slow_start=10s;", 10, 0),
        ("server 10.0.0.1 slow_start=10s;", 10, 0),
        ("server 10.0.0.1 slow_start=0; server 10.0.0.2;", 0, 0),
        ("server 10.0.0.1; server 10.0.0.2 slow_start=10s; server 10.0.0.3;", 10, 1),
        ("server 10.0.0.1 slow_start=0; server 10.0.0.2 slow_start=10s;", 10, 1),
        ("server 10.0.0.1 slow_start=10s; server 10.0.0.2 slow_start=20s;", 10, 1),
    ])
    func `a slow start that not all servers have is told`(
        _ servers: String,
        _ seconds: Int,
        _ notes: Int
    ) throws {
        let imported = Self.read("upstream u { \(servers) }")
        let upstream = try #require(try imported.configuration().upstreams.first)
        #expect(upstream.definition.slowStart == .seconds(Int64(seconds)))
        #expect(imported.noteCount == notes, "\(imported.text)")
    }

    @Test(arguments: [
        ("least_conn;", "least-connections"), ("ip_hash;", "ip-hash"),
        ("random two;", "random-two"),
        ("hash $request_uri consistent;", "{ consistent-hash: { key: path } }"),
        ("hash $cookie_a consistent;", #"{ consistent-hash: { key: "cookie:a" } }"#),
        ("hash $http_x_y consistent;", #"{ consistent-hash: { key: "header:x-y" } }"#),
        ("hash ${arg_q} consistent;", #"{ consistent-hash: { key: "query:q" } }"#),
        ("hash $binary_remote_addr consistent;", "ip-hash"),
        ("random two least_time=header;", "peak-ewma"),
    ])
    func `who is chosen`(_ directive: String, _ balance: String) {
        let text = Self.read("upstream u { \(directive) server 10.0.0.1; }").text
        #expect(text.contains("balance: \(balance)\n"), "\(text)")
    }

    @Test(arguments: [
        ("hash $request_uri;", 2), ("hash ${request_uri};", 2),
        ("hash $request_uri consistent;", 1),
        ("hash ${request_uri} consistent;", 1), ("hash $uri consistent;", 0),
        ("hash ${uri} consistent;", 0), ("hash $document_uri consistent;", 0), ("hash $uri;", 1),
    ])
    func `a query that no longer counts is told`(_ directive: String, _ notes: Int) {
        let imported = Self.read("upstream u { \(directive) server 10.0.0.1; }")
        #expect(imported.noteCount == notes, "\(imported.text)")
        #expect(
            imported.text.contains("without the query") == directive.contains("request_uri"),
            "\(imported.text)"
        )
    }

    @Test func `names of upstreams are compared without regard to case`() throws {
        let imported = Self.read(
            """
            http { upstream a { server 10.0.0.1; } upstream B { server 10.0.0.2; }
              server { listen 80; location / { proxy_pass http://A; } location /b/ { proxy_pass http://b; } } }
            stream { upstream D { server 10.0.0.3:3306; } server { listen 3306; proxy_pass d; } }
            """
        )
        let configuration = try imported.configuration()
        #expect(configuration.upstreams.map(\.definition.name) == ["a", "B", "D"])
        #expect(configuration.proxy.listeners.last?.mode == .tcp(upstream: "D"))
        #expect(imported.text.contains("path: /b, upstream: B }"), "\(imported.text)")
        let sockets = Self.read(
            "server { location /a { proxy_pass http://unix:/run/a; } location /b { proxy_pass http://unix:/run/A; } }"
        )
        #expect(try sockets.configuration().upstreams.count == 2)
    }

    // MARK: Checks

    @Test func `durpina's README is a configuration`() throws {
        let imported = Self.read(
            """
            http {
              upstream foo { server localhost:8080; server host1:8080 weight=5;
                balancer_by_lua_block { require "durpina.balancer" "round-robin" } }
              upstream bar { server 0.0.0.0;
                balancer_by_lua_block { require("durpina.balancer")("unweighted-round-robin") } }
              init_worker_by_lua_block {
                local Upstream = require "durpina.upstream"
                Upstream.init("upstream", {resolver="8.8.8.8"})
                local upfoo = Upstream.get("foo")
                upfoo:add_monitor("http", {uri="/still_alive", interval="2s", ok_codes="200 3xx", header_X_Y="z"})
                local upbar = Upstream.get("bar")
                upbar:add_peer("localhost:8080 weight=2")
                upbar:add_peer { host = "h.example", port = 81, fail_timeout = 3 }
                upbar:add_monitor("haproxy-agent-check", { port = 666, id = "agent" })
                upbar:add_monitor("http-haproxy-agent-check", { uri = "/agent" })
                upbar:add_monitor("tcp", { timeout = 500, peers = "failing" })
              }
            }
            """
        )
        let upstreams = try imported.configuration().upstreams
        #expect(
            upstreams.map(\.definition.balance.name) == ["round-robin", "unweighted-round-robin"]
        )
        #expect(upstreams.map { $0.definition.peers.map(\.weight) } == [[1, 5], [2, 1]])
        #expect(upstreams[1].definition.peers.map(\.maxFails) == [3, 3])
        #expect(upstreams[1].definition.peers[1].failTimeout == .seconds(3))
        #expect(
            upstreams.map { $0.monitors.map(\.kind) } == [
                ["http"], ["haproxy-agent-check", "http-agent", "tcp"],
            ]
        )
        #expect(upstreams[0].monitors[0].schedule.interval == .seconds(2))
        #expect(upstreams[1].monitors[0].id == "agent")
        #expect(upstreams[1].monitors[2].schedule.timeout == .milliseconds(500))
        let text = imported.text
        #expect(
            text.contains(#"expect: "200 3xx""#) && text.contains(#"headers: { X-Y: z }"#),
            "\(text)"
        )
        #expect(text.contains("peers=failing"))
    }

    @Test(arguments: [
        ("~/set_upstream_peer_weight/(.*)", true), (#"~ "^/upstream/(.+)/action/add_peer$""#, true),
        ("/set_peer_weight/", true), ("/upstream/", false), ("/other", false),
    ])
    func `a location that manages peers is told where it is served`(
        _ path: String,
        _ isServed: Bool
    ) {
        let imported = Self.read(
            "server { listen 81; location \(path) { content_by_lua_block { ngx.say('weight set!') } } }"
        )
        #expect(imported.text.contains("admin.compat-durpina serves this") == isServed)
        #expect(imported.text.contains("#     no counterpart\n") != isServed, "\(imported.text)")
        #expect(imported.text.contains("weight set!") && imported.noteCount > 0)
    }

    @Test func `Lua that is not followed is told line by line`() {
        let imported = Self.read(
            """
            init_worker_by_lua_block {
              local x = compute(1) + 2
              for i = 1, 10 do
                print(i)
              end
            }
            """
        )
        for line in ["local x = compute(1) + 2", "for i = 1, 10 do", "print(i)", "end"] {
            #expect(imported.text.contains(": \(line)\n"), "\(imported.text)")
        }
    }

    @Test func `checks of others are monitors`() throws {
        let text = """
            match ok { status 200 204; body ~ "up"; }
            upstream t { server 10.0.0.1; check interval=3000 rise=2 fall=5 timeout=1000 type=http port=82;
              check_http_send "HEAD /h HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"; check_http_expect_alive http_2xx; }
            upstream p { server 10.0.0.2; }
            upstream r { server 10.0.0.3; }
            server { listen 80; location / { proxy_pass http://p; health_check interval=9 fails=3 passes=2 uri=/q match=ok; } }
            init_worker_by_lua_block { local hc = require "resty.upstream.healthcheck"
              hc.spawn_checker{ shm="h", upstream="r", type="http", http_req="GET /s HTTP/1.1\\r\\nHost: r\\r\\n\\r\\n",
                interval=2000, timeout=500, fall=3, rise=2, valid_statuses={200,302} } }
            """
        let imported = Self.read(text)
        let monitors = try imported.configuration().upstreams.compactMap(\.monitors.first)
        try #require(monitors.count == 3, "\(imported.text)")
        #expect(monitors.map(\.schedule.interval) == [.seconds(3), .seconds(9), .seconds(2)])
        #expect(monitors.map(\.thresholds.rise) == [2, 2, 2])
        #expect(monitors.map(\.thresholds.fall) == [5, 3, 3])
        for words in [
            #"path: /h, method: HEAD, host: x, expect: "2xx""#, #"status: "200 204", matches: up"#,
            #"path: /s, host: r, expect: "200 302""#,
        ] { #expect(imported.text.contains(words), "\(imported.text)") }
    }

    // MARK: Servers

    @Test(arguments: [
        ("", "health_check interval=4s fails=3 passes=2;"),
        ("check interval=4000 rise=2 fall=3 timeout=1000 type=tcp;", ""),
    ])
    func `the pace of checks is nginx's while a change is pending too`(
        _ upstream: String,
        _ location: String
    ) throws {
        let upstreams = try Self.read(
            "http { upstream u { server 10.0.0.1; \(upstream) } server { listen 80; location / {"
                + " proxy_pass http://u; \(location) } } }"
        ).configuration().upstreams
        let schedule = upstreams[0].monitors[0].schedule
        #expect([schedule.interval, schedule.fastInterval] == [.seconds(4), .seconds(4)])
        // That of a health_check is as long as may be, since there it has a minute.
        #expect(schedule.timeout == (upstream.isEmpty ? .seconds(4) : .seconds(1)))
    }

    @Test func `an address that takes both versions is two`() throws {
        let imported = Self.read(
            """
            http { server { listen [::]:80 ipv6only=off; server_name a.example; location / { proxy_pass http://10.0.0.1; } }
              server { listen [::]:80; server_name b.example; location / { proxy_pass http://10.0.0.2; } }
              server { listen [::]:81; location / { proxy_pass http://10.0.0.2; } } }
            stream { server { listen [::]:82 ipv6only=off; proxy_pass 10.0.0.1:82; } }
            """
        )
        let listeners = try imported.configuration().proxy.listeners
        #expect(
            listeners.map { "\($0.bind)" }
                == ["[::]:80", "0.0.0.0:80", "[::]:81", "[::]:82", "0.0.0.0:82"]
        )
        #expect(listeners[0].mode == listeners[1].mode)
        #expect(imported.noteCount == 0)
    }

    @Test(arguments: [
        ("deny all;", true), ("auth_basic x;", true), ("auth_basic off;", false),
        ("auth_request /a;", true), ("internal;", true), ("limit_except GET { deny all; }", true),
        ("if ($x) { return 403; }", true), ("if ($x) { return 301 /b; }", false),
        ("access_by_lua_block { x() }", true), ("allow all;", false), ("root /x;", false),
    ])
    func `what was forbidden and is served is told first`(_ line: String, _ isOpen: Bool) {
        for text in [
            "http { server { location / {\n\(line)\n proxy_pass http://10.0.0.1; } } }",
            "http { server {\n\(line)\n location / { proxy_pass http://10.0.0.1; } } }",
        ] {
            let imported = Self.read(text)
            let first = imported.text.split(separator: "\n").dropFirst(2).first
            let isFirst = first?.hasPrefix("# OPEN HERE, where it was forbidden") ?? false
            #expect(isFirst == isOpen, "\(imported.text)")
            #expect(imported.text.contains("see n.conf:2") == isOpen)
        }
        #expect(Self.read("http { server { return 444; } }").openCount == 0)
    }

    /// Whether each of two locations is told of: one that the servers hear another Host than from nginx.
    @Test(arguments: [
        ("", "", "", [true, true]), ("proxy_set_header Host $host;", "", "", [false, false]),
        ("", "proxy_set_header host $http_host;", "", [false, false]),
        ("", "", "proxy_set_header Host $host;", [false, true]),
        // One of its own, and those from outside are none.
        ("proxy_set_header Host $host;", "proxy_set_header X-A b;", "", [true, true]),
        ("", "proxy_set_header Host $host;", "proxy_set_header X-A b;", [true, false]),
        ("", "proxy_set_header Host other.example;", "", [false, false]),
    ])
    func `a server that hears another Host is told of at its place`(
        _ http: String,
        _ server: String,
        _ location: String,
        _ told: [Bool]
    ) {
        let imported = Self.readBare(
            "http { \(http) server { \(server)\n location / { \(location) proxy_pass http://10.0.0.1; }\n"
                + " location /a/ { proxy_pass http://10.0.0.1; } } }"
        )
        let saw = ["n.conf:2: location /: proxy_pass", "n.conf:3: location /a/: proxy_pass"].map {
            imported.text.contains($0)
        }
        #expect(saw == told, "\(imported.text)")
        let isOther = server.contains("other")
        #expect(imported.text.contains("peers always hear the Host that the client") == isOther)
    }

    @Test func `a name has the port of its scheme`() throws {
        let imported = Self.read(
            """
            http { upstream u.example { server 10.0.0.1; } server {
              location / { proxy_pass https://h.example; } location /a/ { proxy_pass http://h.example; }
              location /b/ { proxy_pass http://H.example:80; } location /c/ { proxy_pass https://u.example; } } }
            """
        )
        let configuration = try imported.configuration()
        #expect(
            configuration.upstreams.map { $0.definition.peers.map { "\($0.address)" } }
                == [["10.0.0.1:80"], ["h.example:443"], ["h.example:80"]]
        )
        #expect(imported.text.contains("{ path: /b, upstream: h.example-2 }"), "\(imported.text)")
    }

    @Test func `names and paths become routes`() throws {
        let imported = Self.read(
            """
            upstream a { server 10.0.0.1; }
            upstream b { server 10.0.0.2; }
            server { listen 80; server_name a.example .b.example; location / { proxy_pass http://a; } }
            server { listen 80 default_server; server_name _; location / { proxy_pass http://b; }
              location /s/ { proxy_pass http://a/; } location ~ ^/r/ { proxy_pass http://a; } }
            """
        )
        guard case .http(let routes)? = try imported.configuration().proxy.listeners.first?.mode
        else {
            Issue.record("expected routes")
            return
        }
        let told = routes.map { "\($0.host)\($0.path)\($0.stripPrefix ? "!" : "") \($0.upstream)" }
        #expect(
            Set(told) == [
                "a.example/ a", "b.example/ a", "*.b.example/ a", "*/ b", "*/s! a", "*/r a",
            ]
        )
    }

    @Test(
        arguments: [
            ("/", "/", nil), ("/api/", "/api", nil), ("^~ /api/", "/api", nil),
            ("/api", "/api", "'/api2', which begins so too, goes elsewhere"),
            ("^~ /api", "/api", "'/api2', which begins so too, goes elsewhere"),
            ("= /api", "/api", "a route has what is below the path too"),
            ("~ ^/api/", "/api", "a prefix that ends at a segment, with regard to case"),
        ] as [(String, String, String?)]
    )
    func `a location that a route says nearly is told`(
        _ location: String,
        _ path: String,
        _ why: String?
    ) throws {
        let imported = Self.read(
            "server { listen 80; location \(location) { proxy_pass http://10.0.0.1; } }"
        )
        guard case .http(let routes)? = try imported.configuration().proxy.listeners.first?.mode
        else {
            Issue.record("expected routes")
            return
        }
        #expect(routes.map(\.path) == [path])
        #expect(imported.noteCount == (why == nil ? 0 : 1), "\(imported.text)")
        if let why { #expect(imported.text.contains(why), "\(imported.text)") }
    }

    @Test(arguments: ["~ ^/?$", "= /", "@named"])
    func `a location that no route can say is a comment`(_ location: String) {
        let imported = Self.read(
            "server { listen 80; location \(location) { proxy_pass http://10.0.0.1; } }"
        )
        #expect(imported.text.contains("location \(location)"), "\(imported.text)")
        #expect(imported.text.contains("by the beginning of the path alone"))
    }

    @Test func `a line that holds for many is told once`() {
        let imported = Self.read(
            """
            upstream a { server 10.0.0.1; }
            upstream b { server 10.0.0.2; }
            http { proxy_next_upstream error non_idempotent; proxy_next_upstream_tries 90;
            server { listen 80; location / { proxy_pass http://a; } location /c/ { proxy_pass http://a; }
              location /b/ { proxy_pass http://b; } } }
            """
        )
        for words in ["proxy_next_upstream non_idempotent", "0 to 7 further servers"] {
            #expect(imported.text.ranges(of: words).count == 1, "\(imported.text)")
        }
        #expect(imported.noteCount == 2)
    }

    private static func routes(_ imported: Imported) throws -> [String] {
        guard case .http(let routes)? = try imported.configuration().proxy.listeners.first?.mode
        else { return [] }
        return routes.map { "\($0.host)\($0.path) \($0.upstream)" }.sorted()
    }

    private static let three =
        "upstream a { server 10.0.0.1; } upstream b { server 10.0.0.2; } upstream c { server 10.0.0.3; }\n"

    @Test(arguments: [
        // The one that is marked, wherever it stands.
        (
            "server { server_name one.de; location / { proxy_pass http://a; } location /admin/ { proxy_pass http://b; } }\n"
                + "server { listen 80 default_server; server_name _; location / { proxy_pass http://c; } }",
            ["*/ c", "one.de/ a", "one.de/admin b"], [String]()
        ),
        // The first, where none is; the others have their names alone.
        (
            "server { server_name one.de; location / { proxy_pass http://a; } }\n"
                + "server { server_name two.de; location / { proxy_pass http://b; } location /x { proxy_pass http://c; } }\n"
                + "server { server_name _; location /admin { proxy_pass http://c; } }",
            ["*/ a", "one.de/ a", "two.de/ b", "two.de/x c"],
            ["no name of 0.0.0.0:80 leads to it: other hosts are the default server's, at n.conf:2"]
        ),
        // One that answers by itself answers for them.
        (
            "server { listen 80 default_server; server_name _; return 444; }\n"
                + "server { server_name one.de; location / { proxy_pass http://a; } location /admin/ { proxy_pass http://b; } }\n"
                + "server { server_name x.de; location /only { proxy_pass http://b; } }",
            ["one.de/ a", "one.de/admin b", "x.de/only b"], ["leads to no upstream"]
        ),
        // A name is that of the first to have it.
        (
            "server { server_name one.de; location / { proxy_pass http://a; } }\n"
                + "server { server_name one.de two.de; location /b { proxy_pass http://b; } location / { proxy_pass http://b; } }",
            ["*/ a", "one.de/ a", "two.de/ b", "two.de/b b"],
            ["'one.de' of 0.0.0.0:80 is the server's at n.conf:2, which comes first"]
        ),
    ])
    func `a server has its names, and the default server those that nobody has`(
        _ servers: String,
        _ wanted: [String],
        _ told: [String]
    ) throws {
        let imported = Self.read(Self.three + servers)
        #expect(try Self.routes(imported) == wanted)
        for words in told { #expect(imported.text.contains(words), "\(imported.text)") }
        if told.isEmpty { #expect(imported.noteCount == 0, "\(imported.text)") }
    }

    @Test(arguments: [
        ("x.de", "location /only { proxy_pass http://b; }", ["'/' to '*' (upstream a, "]),
        (
            "x.e.de", "location /only { proxy_pass http://b; }",
            ["'/w' to '*.e.de' (upstream c, ", "'/' to '*' (upstream a, "]
        ),
        ("x.de", "return 301 https://x.de/;", ["'/' to '*' (upstream a, "]),
        (
            "x.e.de", "return 301 https://x.de/;",
            [
                "'/only' to '*.e.de' (upstream c, ", "'/w' to '*.e.de' (upstream c, ",
                "'/' to '*' (upstream a, ",
            ]
        ),
    ])
    func `a path that goes on to a wider host is told`(
        _ name: String,
        _ inner: String,
        _ leaks: [String]
    ) throws {
        let imported = Self.read(
            Self.three + "server { server_name _; location / { proxy_pass http://a; } }\n"
                + "server { server_name *.e.de; location /only { proxy_pass http://c; } location /w { proxy_pass http://c; } }\n"
                + "server { server_name \(name); \(inner) }"
        )
        let note = imported.text.split(separator: "\n").first {
            $0.contains("'\(name)' has no route for what goes on to wider hosts here: ")
        }
        let places = leaks.map { note?.firstRange(of: $0)?.lowerBound }
        #expect(
            !places.contains(nil) && places.compactMap { $0 }.sorted() == places.compactMap { $0 }
        )
        #expect(note?.ranges(of: " (upstream ").count == leaks.count, "\(imported.text)")
        // And of what is covered there is nothing to say.
        let covered = Self.read(
            Self.three + "server { server_name _; location /only/x/ { proxy_pass http://a; } }\n"
                + "server { server_name x.de; location /only/ { proxy_pass http://b; } }"
        )
        #expect(covered.noteCount == 0, "\(covered.text)")
    }

    @Test func `a stream is a listener in mode tcp`() throws {
        let imported = Self.read(
            "stream { upstream d { server 10.0.0.1:3306; } server { listen 3306; proxy_pass d; proxy_timeout 5m; } }"
        )
        let proxy = try imported.configuration().proxy
        #expect(proxy.listeners.map(\.mode) == [.tcp(upstream: "d")])
        #expect(proxy.timeouts.tunnelIdle == .seconds(300))
        #expect(imported.noteCount == 0)
    }

    @Test(arguments: [
        ("proxy_read_timeout 3600s;", "", 3_600, 3_600, 3_600),
        ("proxy_read_timeout 1d;", "", 86_400, 86_400, 86_400),
        ("proxy_send_timeout 5m;", "", 300, 60, 3_600),
        // What says nothing waits for a minute there.
        ("", "", 60, 60, 3_600), ("proxy_read_timeout 5s;", "", 60, 60, 3_600),
        (
            "",
            "proxy_read_timeout 5s; proxy_send_timeout 5s; send_timeout 5s; client_body_timeout 5s;",
            5, 5, 3_600
        ),
    ])
    func `a pause of an answer is as long as nginx's`(
        _ inner: String,
        _ outer: String,
        _ body: Int,
        _ response: Int,
        _ tunnel: Int
    ) throws {
        let imported = Self.read(
            "http { \(outer) upstream u { server 10.0.0.1; } server { listen 80;"
                + " location /a { \(inner) proxy_pass http://u; } location / { proxy_pass http://u; } } }"
        )
        let timeouts = try imported.configuration().proxy.timeouts
        #expect(timeouts.bodyIdle == .seconds(Int64(body)))
        #expect(timeouts.response == .seconds(Int64(response)))
        #expect(timeouts.tunnelIdle == .seconds(Int64(tunnel)))
    }

    @Test(arguments: [
        ("keepalive_timeout 65 60;", 65, nil), ("keepalive_timeout 0;", 75, "are kept here"),
        ("keepalive_timeout 3d;", 86_400, "a day is the longest here"),
    ])
    func `an idle client is kept for as long as there`(
        _ line: String,
        _ idle: Int,
        _ told: String?
    ) throws {
        let imported = Self.read(
            "http { \(line) upstream u { server 10.0.0.1; } server { listen 80; location / { proxy_pass http://u; } } }"
        )
        #expect(try imported.configuration().proxy.timeouts.clientIdle == .seconds(Int64(idle)))
        #expect(imported.noteCount == (told == nil ? 0 : 1))
        if let told { #expect(imported.text.contains(told)) }
    }

    @Test(arguments: [
        ("health_check;", "keep"), ("health_check; proxy_session_drop on;", "close-all"),
    ])
    func `connections of a stream outlive a check that fails, unless it says otherwise`(
        _ lines: String,
        _ onDown: String
    ) {
        let imported = Self.read(
            "stream { upstream d { server 10.0.0.1:3306; } server { listen 3306; proxy_pass d; \(lines) } }"
        )
        #expect(imported.text.contains("on-down: \(onDown)"))
        #expect(imported.noteCount == 0)
    }

    @Test(arguments: [
        "fail_timeout=0", "max_fails=3 fail_timeout=0", "fail_timeout=0 max_fails=3", "max_fails=0",
    ])
    func `a server that is never out in nginx is never out here`(_ words: String) throws {
        let imported = Self.read("upstream u { server 10.0.0.1:8080 \(words); }")
        #expect(imported.noteCount == 0)
        let peer = try #require(imported.configuration().upstreams.first?.definition.peers.first)
        #expect(peer.maxFails == 0)
    }

    @Test(arguments: [
        (#"name="h.example", port=9006"#, "h.example:9006"),
        (#"address="10.0.0.1", port=9006"#, "10.0.0.1:9006"),
        (#"hostname="h1", port=9006"#, "h1:9006"), (#"host="h1", port=9006"#, "h1:9006"),
        (#"name="h1:81""#, "h1:81"), (#"name="a", host="h1", port=82"#, "h1:82"),
        (#"host="h1""#, "h1:80"),
    ])
    func `a peer of durpina's has the port that its table says`(
        _ table: String,
        _ address: String
    )
        throws
    {
        let imported = Self.read(
            "http { upstream u { server 0.0.0.1; balancer_by_lua_block { } } init_worker_by_lua_block {\n"
                + "local Upstream = require \"durpina.upstream\"\nlocal up = Upstream.get(\"u\")\n"
                + "up:add_peer({\(table)})\n} }"
        )
        let peers = try #require(imported.configuration().upstreams.first?.definition.peers)
        #expect(peers.map { "\($0.address)" } == [address])
    }

    @Test func `what stands under a condition is taken, and that is said`() {
        let imported = Self.read(
            "http { upstream u { server 0.0.0.1; } init_worker_by_lua_block {\n"
                + "local Upstream = require \"durpina.upstream\"\nlocal up = Upstream.get(\"u\")\n"
                + "if ngx.worker.id() == 0 then up:add_peer(\"127.0.0.1:9007 weight=3\") end\n} }"
        )
        #expect(imported.text.contains("127.0.0.1:9007 weight=3"))
        #expect(imported.text.contains("what is in it is taken over, whatever it depends on"))
        #expect(!imported.text.contains("not followed"))
    }

    @Test func `what nginx does by itself and muster otherwise stands at the head`() {
        let said =
            "proxy_next_upstream error; proxy_connect_timeout 2s; client_header_timeout 5s; keepalive_timeout 5s;"
        let texts = ["", said].map {
            Self.read(
                "http { \($0) upstream u { server 10.0.0.1; } server { listen 80; location / { proxy_pass http://u; } } }"
            ).text
        }
        let words = [
            "more than 1 MB", "'eject' is written as nginx does it",
        ]
        #expect(words.filter { texts[0].contains($0) } == words)
        #expect(words.filter { texts[1].contains($0) } == words)
        let stream = Self.read(
            "stream { upstream d { server 10.0.0.1:3306; } server { listen 3306; proxy_pass d; } }"
        ).text
        #expect(words.filter { stream.contains($0) } == [words[1]])
    }

    /// Of 429, 500, 502, 503 and 504 those that are named count for max_fails, and no others.
    @Test(arguments: [
        (
            "", "server 10.0.0.1;",
            "{ failures: 0, rate: { above: 0 }, max-time: 10s, max-share: 100% }"
        ),
        (
            "proxy_next_upstream error http_404;", "server 10.0.0.1 max_fails=3;",
            "{ failures: 0, rate: { above: 0 }, max-time: 10s, max-share: 100% }"
        ),
        (
            "proxy_next_upstream error http_500;",
            "server 10.0.0.1 max_fails=2 fail_timeout=30; server 10.0.0.2;",
            "{ failures: 2, rate: { above: 0 }, time: 30s, max-time: 30s, max-share: 100% }"
        ),
        ("", "server 10.0.0.1 max_fails=0;", "off"),
        ("proxy_next_upstream http_500;", "server 10.0.0.1 fail_timeout=0;", "off"),
    ])
    func `what takes a server out is what does in nginx`(
        _ directive: String,
        _ servers: String,
        _ eject: String
    ) throws {
        let imported = Self.read(
            "http { upstream u { \(servers) } server { listen 80; location / { \(directive) proxy_pass http://u; } } }"
        )
        #expect(imported.text.contains("    eject: \(eject)\n"), "\(imported.text)")
        #expect(
            imported.text.contains("statuses that it names count for max_fails there")
                == eject.contains("failures: 2")
        )
        #expect(try imported.mistakes() == [])
    }

    @Test(arguments: [
        ("", "[connect-failure, empty-response, response-timeout]"),
        ("proxy_next_upstream error;", "[connect-failure, empty-response]"),
        ("proxy_next_upstream off;", "none"),
    ])
    func `what is tried again is what nginx tries again`(_ directive: String, _ words: String) {
        let imported = Self.read(
            "http { server { listen 80; location / { \(directive) proxy_pass http://10.0.0.1; } } }"
        )
        #expect(imported.text.contains("    retry-on: \(words)\n"), "\(imported.text)")
    }

    @Test func `defaults of timeouts are those of the proxy`() {
        let timeouts = ProxyTimeouts()
        let ours = [
            "response": timeouts.response, "body-idle": timeouts.bodyIdle,
            "tunnel-idle": timeouts.tunnelIdle, "client-idle": timeouts.clientIdle,
            "connect": timeouts.connect, "request-head": timeouts.requestHead,
        ]
        #expect(ours == Draft.timeoutDefaults.mapValues { .microseconds($0.microseconds) })
    }

    /// connect, request-head, client-idle
    @Test(arguments: [
        ("", "", [60, 60, 75]),
        (
            "proxy_connect_timeout 5s; client_header_timeout 4s; keepalive_timeout 20s;", "",
            [5, 4, 20]
        ),
        ("proxy_connect_timeout 5s;", "proxy_connect_timeout 2s;", [5, 60, 75]),
        ("", "proxy_connect_timeout 2s;", [60, 60, 75]),
    ])
    func `what nginx waits where nothing is said is written`(
        _ outer: String,
        _ inner: String,
        _ seconds: [Int]
    ) throws {
        let imported = Self.read(
            "http { \(outer) upstream u { server 10.0.0.1; } server { listen 80;\n location / { proxy_pass http://u; }"
                + "\n location /a { \(inner)\n proxy_pass http://u; } } }"
        )
        let timeouts = try imported.configuration().proxy.timeouts
        let saw = [timeouts.connect, timeouts.requestHead, timeouts.clientIdle]
        #expect(saw == seconds.map { .seconds(Int64($0)) })
        // A shorter one of a part is told of.
        let told = "# n.conf:3: proxy_connect_timeout 2s;\n#     timeouts are the process's here"
        #expect(imported.text.contains(told) == !inner.isEmpty, "\(imported.text)")
    }

    @Test func `a stream's end ends no upgraded connection`() throws {
        let imported = Self.read(
            "http { server { listen 80; location / { proxy_pass http://10.0.0.1; proxy_read_timeout 30m; } } }"
                + "stream { server { listen 3306; proxy_pass 10.0.0.1:3306; proxy_timeout 1m; } }"
        )
        #expect(try imported.configuration().proxy.timeouts.tunnelIdle == .seconds(1_800))
    }

    @Test func `how requests are tried again`() throws {
        let imported = Self.read(
            """
            proxy_next_upstream error timeout http_502;
            upstream a { server 10.0.0.1; }
            upstream b { server 10.0.0.2; }
            http { proxy_next_upstream error timeout http_502; proxy_next_upstream_tries 3;
            server { listen 80; location / { proxy_pass http://a; }
              location /b { proxy_next_upstream off; proxy_pass http://b; } } }
            """
        )
        let upstreams = try imported.configuration().upstreams
        #expect(upstreams.map(\.definition.trying.statuses) == [[502], []])
        #expect(upstreams.map(\.definition.trying.retries) == [2, 2])
    }
}
