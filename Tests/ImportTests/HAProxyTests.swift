// Does a configuration of HAProxy mean here what it meant there?

import Health
import Proxy
import Settings
import Testing

@testable import Import

@Suite struct HAProxyTests {
    private static func read(_ text: String, _ environment: [String: String] = [:]) -> Imported {
        HAProxyImport.read(text, file: "h.cfg", environment: environment)
    }

    /// The lines that are no comments, without what is around.
    private static func body(_ text: String, _ environment: [String: String] = [:]) -> [String] {
        read(text, environment).text.split(separator: "\n").map(String.init)
            .filter { !$0.contains("#") }
    }

    // MARK: Words

    @Test(arguments: [
        (#"server a 1.2.3.4:80 # weight 3"#, ["server", "a", "1.2.3.4:80"]),
        (##"a\ b c\#d "e f" 'g "h"' i"j k"l"##, ["a b", "c#d", "e f", #"g "h""#, "ij kl"]),
        (#"x GET\r\nHost:\ y"#, ["x", "GET\r\nHost: y"]),
        (##"a "\"\\\$X #" '$HOME #'"##, ["a", #""\$X #"#, "$HOME #"]),
        (
            #"p "$HOME" ${HOME} "${HOME}/x" "${NO-d}" "$NO.""#,
            ["p", "/h", "${HOME}", "/h/x", "d", "."]
        ),
        ("\"\" ''", ["", ""]),
        (#"\x41\x62"#, ["Ab"]),
        ("\t tab\tand  blanks \r", ["tab", "and", "blanks"]),
    ])
    func `a line is cut as HAProxy cuts it`(_ line: String, _ words: [String]) throws {
        #expect(try HAProxyWords(environment: ["HOME": "/h"]).split(line).words == words)
    }

    @Test(arguments: [#"a "b"#, "a 'b", #"a\"#, #"\x4"#, #""\xZZ""#])
    func `a line without an end is no line`(_ line: String) {
        #expect(throws: HAProxyWords.Problem.self) {
            try HAProxyWords(environment: [:]).split(line)
        }
        let imported = Self.read("backend b\n server s 1.2.3.4:80\n \(line)\n")
        #expect(imported.noteCount == 1 && imported.text.contains("h.cfg:3: "))
        #expect(imported.text.contains("1.2.3.4:80"))
    }

    @Test func `a variable that is not set is nothing, and said so`() {
        let text = "backend b\n server s \"${APP}:80\"\n"
        #expect(Self.read(text, ["APP": "10.0.0.1"]).noteCount == 0)
        let imported = Self.read(text)
        #expect(
            imported.text.contains("APP is set neither above nor in the environment here")
        )
        // What it leaves is no address.
        #expect(imported.text.contains("peers: []"))
    }

    @Test func `a body is not looked for where none can be, and that is said`() {
        let head = Self.read(
            """
            backend b
             option httpchk
             http-check expect string UP
             http-check send meth HEAD uri /x
             server s 1.2.3.4:80 check
            """
        )
        #expect(head.text.contains("http-check expect string UP"))
        #expect(head.text.contains("an answer to HEAD has no body"))
        #expect(!head.text.contains("contains:"))
        let empty = Self.read(
            """
            backend b
             option httpchk GET /
             http-check expect status 204
             http-check expect rstring UP
             server s 1.2.3.4:80 check
            """
        )
        #expect(empty.text.contains("an answer with status 204 has no body"))
        #expect(empty.text.contains("expect: \"204\""))
        #expect(empty.noteCount == 1)
    }

    @Test func `what a service's name would need, and what is done when all are down, is told`() {
        let imported = Self.read(
            "backend b\n option httpchk\n server-template s 1-3 _http._tcp.x.example:80 check\n"
        )
        #expect(imported.text.contains("names of services (SRV records) are not looked up"))
        #expect(imported.text.contains("unless the upstream says 'all-down: fail-closed'"))
    }

    /// Steps of `defaults` were added to those of a backend, so that a 404 passed.
    @Test(arguments: [
        ("option httpchk GET /h\n http-check expect status 200-399", "200-399"),
        ("http-check expect status 200-399", "200-399"),
        ("option httpchk GET /h", nil), ("", "101 200-499"),
        ("no option httpchk\n option httpchk GET /h", nil),
    ])
    func `steps of a check take the place of those of defaults`(
        _ own: String,
        _ expected: String?
    ) {
        let imported = Self.read(
            "defaults\n mode http\n option httpchk\n http-check expect ! rstatus ^5\n"
                + "backend b\n \(own)\n server s 1.2.3.4:80 check\n"
        )
        let monitor = imported.text.split(separator: "\n").last { $0.contains("http:") } ?? ""
        if let expected {
            #expect(monitor.contains("expect: \"\(expected)\""))
        } else {
            #expect(monitor.contains("path: /h") && !monitor.contains("expect"))
        }
        #expect(imported.noteCount == 0)
        let tcp = Self.read(
            "defaults\n option tcp-check\n tcp-check expect string NO\n"
                + "backend b\n tcp-check expect string YES\n server s 1.2.3.4:80 check\n"
        ).text
        #expect(tcp.contains("YES") && !tcp.contains("NO"))
        // The option alone says only which sort of check it is.
        let option = Self.read(
            "defaults\n tcp-check expect string NO\n"
                + "backend b\n option tcp-check\n server s 1.2.3.4:80 check\n"
        )
        #expect(option.text.contains("NO") && option.noteCount == 0)
    }

    // MARK: Servers

    /// A check that failed cut what HAProxy lets go on.
    @Test(arguments: [
        ("tcp", "check", "check", "keep", 0), ("http", "check", "check", nil, 0),
        ("tcp", "", "", nil, 0),
        (
            "tcp", "check on-marked-down shutdown-sessions",
            "check on-marked-down shutdown-sessions", "close-all", 0
        ),
        ("tcp", "check on-marked-down shutdown-sessions", "check", "close-all", 1),
    ])
    func `what becomes of connections when a check fails is the same`(
        _ mode: String,
        _ first: String,
        _ second: String,
        _ onDown: String?,
        _ notes: Int
    ) {
        let imported = Self.read(
            "listen l\n mode \(mode)\n bind :80\n server a 1.2.3.4:80 \(first)\n server b 1.2.3.5:80 \(second)\n"
        )
        #expect(
            imported.text.split(separator: "\n").first { $0.contains("on-down") }
                .map { String($0.split(separator: " ")[1]) } == onDown
        )
        #expect(imported.noteCount == notes)
        let all = Self.read(
            "defaults\n default-server on-marked-down shutdown-sessions\n"
                + "listen l\n bind :80\n server a 1.2.3.4:80 check\n"
        )
        #expect(all.text.contains("on-down: close-all"))
        #expect(all.noteCount == 0)
    }

    @Test(arguments: [("", 1), ("option allbackups\n", 1), ("no option allbackups\n", 1)])
    func `several backups are told of, whoever serves of them`(_ option: String, _ notes: Int) {
        func read(_ second: String) -> Imported {
            Self.read(
                "backend b\n \(option)\n server a 1.2.3.4:80\n server b 1.2.3.5:80 backup\n"
                    + " server c 1.2.3.6:80 \(second)\n"
            )
        }
        let imported = read("backup")
        #expect(imported.noteCount == notes)
        let share = option.hasPrefix("option")
        #expect(imported.text.contains("the first backup that is up serves alone there") != share)
        #expect(read("").noteCount == (share ? 1 : 0))
    }

    @Test func `nothing is said where nothing is missing`() {
        let imported = Self.read(
            """
            backend web
                balance leastconn
                timeout queue 5s
                option httpchk GET /ok HTTP/1.1
                http-check expect status 200
                server a 10.0.0.1:80 check weight 5 maxconn 10 backup
                server b 10.0.0.2:80 check disabled
            """
        )
        #expect(imported.noteCount == 0)
        #expect(
            imported.text == """
                # Made of h.cfg by muster import haproxy.
                # Where all servers of a backend are down, HAProxy answers 503. muster asks them all the same, unless the upstream says 'all-down: fail-closed'.
                # 'eject: off' is HAProxy's way: only checks take a server out. Delete it, and requests that fail do so too, for 10 s: a refusal, a reset, a timeout, or five answers in a row from 500 on.
                # Where a server does not accept, HAProxy tries the same one again, unless 'option redispatch' is there; muster asks another.
                # HAProxy waits without an end where there is no 'timeout connect' (connect) and 'timeout server' (response); muster has an end for everything, under proxy.timeouts.

                upstreams:
                  # h.cfg:1: backend web
                  web:
                    balance: least-connections
                    retries: 3
                    retry-on: [connect-failure]
                    on-down: keep
                    queue: { size: 1024, timeout: 5s }
                    eject: off
                    peers:
                      - { id: a, address: "10.0.0.1:80", weight: 5, backup: true, max-connections: 10 }
                      - { id: b, address: "10.0.0.2:80", down: true }
                    monitors:
                      - { http: { path: /ok, method: GET, expect: "200", interval: 2s, timeout: 2s, fast-interval: 2s, rise: 2, fall: 3 } }

                """
        )
    }

    @Test func `defaults hold in what follows, and names choose among them`() throws {
        let upstreams = try Self.read(
            """
            defaults one
                retries 1
                default-server inter 7s weight 9
            defaults two from one
                balance source
            backend a from one
                server s 10.0.0.1:80 check
            backend b
                server s 10.0.0.2:80 check weight 3 inter 1s
                default-server fall 8
                server t 10.0.0.3:80 check
            """
        ).configuration().upstreams
        #expect(upstreams.map(\.definition.balance.name) == ["round-robin", "ip-hash"])
        #expect(upstreams.map(\.definition.trying.retries) == [1, 1])
        #expect(upstreams.map { $0.definition.peers.map(\.weight) } == [[9], [3, 9]])
        #expect(upstreams.map { $0.monitors[0].schedule.interval } == [.seconds(7), .seconds(1)])
    }

    @Test(arguments: [
        ("*:80", ["0.0.0.0:80"]), (":80", ["0.0.0.0:80"]), (":::80", ["[::]:80"]),
        ("[::1]:80", ["[::1]:80"]), ("ipv6@:80", ["[::]:80"]),
        ("ipv4@10.0.0.1:80", ["10.0.0.1:80"]),
        ("10.0.0.1:80-82", ["10.0.0.1:80", "10.0.0.1:81", "10.0.0.1:82"]),
        ("10.0.0.1:80,:81", ["10.0.0.1:80", "0.0.0.0:81"]), ("unix@/run/x", ["unix:/run/x"]),
        ("/run/x", ["unix:/run/x"]), ("localhost:80", ["127.0.0.1:80"]), ("name.example:80", []),
        ("abns@x", []), ("fd@3", []), (":0", []), (":65536", []), (":1-9999", []),
    ])
    func `addresses to listen on`(_ text: String, _ binds: [String]) {
        let line = HAProxyLine(
            place: SourcePlace(file: "", line: 1),
            words: ["bind", text],
            raw: "bind \(text)"
        )
        #expect(HAProxyFrontend.addresses(of: line).found == binds)
    }

    /// HAProxy listens for both versions at once there, where muster needs two addresses.
    @Test(arguments: [
        (" bind :::80\n", ["[::]:80", "0.0.0.0:80"]),
        (" bind :::80 v4v6\n", ["[::]:80", "0.0.0.0:80"]), (" bind :::80 v6only\n", ["[::]:80"]),
        (" bind :::80\n bind :80\n", ["[::]:80", "0.0.0.0:80"]), (" bind ::1:80\n", ["[::1]:80"]),
        (
            " bind :::80-81\nlisten o\n bind :81\n server s 1.2.3.4:80\n",
            ["[::]:80", "[::]:81", "0.0.0.0:80", "0.0.0.0:81"]
        ),
    ])
    func `an address of version 6 is one of version 4 too`(
        _ lines: String,
        _ binds: [String]
    ) throws {
        let imported = Self.read("listen l\n server s 1.2.3.4:80\n\(lines)")
        #expect(
            try imported.configuration().proxy.listeners.map { "\($0.bind)" } == binds,
            "\(imported.text)"
        )
        #expect(imported.noteCount == 0)
    }

    @Test(arguments: [
        ("1::2", true), ("::", true), ("1:2:3:4:5:6:7:8", true), ("::ffff:1.2.3.4", true),
        ("1:2:3:4:5:6:7", false), ("1::2::3", false), ("12345::", false), (":::", false),
        ("1.2.3.4", false), ("g::", false), ("::1.2.3", false), ("1:2:3:4:5:6:7:8:9", false),
    ])
    func `addresses of version 6`(_ text: String, _ isOne: Bool) {
        #expect(IPv6.isLiteral(text) == isOne)
    }

    // MARK: Checks

    @Test(arguments: [
        ("status 200", #""200""#), ("status 200-299,404", #""2xx 404""#),
        ("! status 500-599", #""101 200-499""#),
        ("rstatus ^2", #""2xx""#), ("rstatus (2|3)[0-9][0-9]", #""200-399""#),
        ("string ok", #"{ status: "101-599", contains: ok }"#),
        ("rstring ^a+$", #"{ status: "101-599", matches: "^a+$$" }"#),
        ("hdr name X-A value b", #"{ status: "101-599", headers: { X-A: b } }"#),
        (
            "hdr name X-A value -m sub b",
            #"{ status: "101-599", headers: { X-A: { contains: b } } }"#
        ),
    ])
    func `what is expected of an answer`(_ rule: String, _ expected: String) {
        let lines = Self.body(
            "backend b\n option httpchk GET /\n http-check expect \(rule)\n server s 1.2.3.4:80 check\n"
        )
        #expect(lines.contains { $0.contains("expect: \(expected), interval") }, "\(lines)")
    }

    @Test(arguments: [
        ("inter 2s fall 5 rise 3", 2_000), ("", 2_000), ("inter 10s", 10_000),
        ("inter 2s fastinter 500ms", 500), ("inter 2s fastinter 9s", 2_000),
    ])
    func `the pace of checks is HAProxy's while a change is pending too`(
        _ words: String,
        _ fast: Int
    ) throws {
        let upstreams = try Self.read("backend b\n server s 1.2.3.4:80 check \(words)\n")
            .configuration().upstreams
        #expect(upstreams[0].monitors[0].schedule.fastInterval == .milliseconds(Int64(fast)))
    }

    @Test func `a conversation is one of steps`() {
        let lines = Self.body(
            """
            backend b
                option tcp-check
                tcp-check connect port 99 ssl
                tcp-check send PING\\r\\n
                tcp-check expect ! string -ERR
                tcp-check expect string +PONG
                tcp-check send-binary 0a0b
                tcp-check expect rstring ^x
                server s 1.2.3.4:80 check port 98
            """
        )
        let steps =
            #"steps: [{ send: "PING\\r\\n" }, { reject: "-ERR" }, { expect: "+PONG" }, { send-hex: "0a0b" }, "#
            + #"{ expect-pattern: "^x" }]"#
        #expect(
            lines.contains { $0.contains("port: 99, tls: { verify: false }, \(steps), interval") },
            "\(lines)"
        )
        #expect(!lines.contains { $0.contains("98") })
    }

    @Test func `servers that differ are told of`() {
        let imported = Self.read(
            """
            backend b
                server a 1.2.3.4:80 check inter 1s
                server b 1.2.3.5:80 check inter 5s port 81
                server c 1.2.3.6:80
            """
        )
        #expect(imported.text.contains("server b: inter 5s, port 81"))
        #expect(imported.text.contains("server c without check"))
        #expect(imported.noteCount == 2)
    }

    // MARK: Routes

    /// First that fits there, closest that fits here: both lead to the same.
    @Test func `rules in order become routes by closeness`() throws {
        let text = """
            frontend f
                bind :80
                mode http
                use_backend acme if { path_beg /.well-known }
                use_backend a if { hdr(host) a.example } { path_beg /x }
                use_backend b if { hdr(host) a.example }
                use_backend c if { hdr_end(host) .example } { path_beg /x/y }
                use_backend a if { hdr(host) a.example } { path_beg /z }
                default_backend d
            backend acme
            backend a
            backend b
            backend c
            backend d
            """
        let imported = Self.read(text)
        let listeners = try imported.configuration().proxy.listeners
        guard case .http(let routes)? = listeners.first?.mode else {
            Issue.record("expected routes")
            return
        }
        /// What the closest is, as muster chooses.
        func lead(_ host: String, _ path: String) -> String? {
            let hosts = [host, "*" + host.drop { $0 != "." }, "*"]
            for name in hosts {
                let fitting = routes.filter { route in
                    route.host == name
                        && (route.path == "/" || path == route.path
                            || path.hasPrefix(route.path + "/"))
                }
                if let found = fitting.max(by: { $0.path.count < $1.path.count }) {
                    return found.upstream
                }
            }
            return nil
        }
        let asked = [
            ("a.example", "/.well-known/1", "acme"), ("a.example", "/x", "a"),
            ("a.example", "/x/y", "a"),
            ("a.example", "/", "b"), ("a.example", "/z", "b"), ("o.example", "/x/y", "c"),
            ("o.example", "/x", "d"), ("o.example", "/.well-known", "acme"), ("other", "/", "d"),
            ("other", "/.well-known", "acme"),
        ]
        for (host, path, upstream) in asked {
            #expect(lead(host, path) == upstream, "\(host)\(path)")
        }
        #expect(imported.text.contains("a.example/z is never reached"))
    }

    @Test(arguments: [
        "if { src 10.0.0.0/8 }", "if !{ path_beg /x }", "unless { path_beg /x }",
        "if { path_end .js }",
        "if { hdr(host) -f /etc/hosts.lst }", "if unknown", "if { path / }",
        "if { hdr_beg(host) www. }",
        "if { hdr(x-y) z }", "if { path_reg ^/a.c }", "if { path_reg ^/?$ }",
        "if { hdr(host),map(/etc/hosts.map) a.example }",
    ])
    func `what no route can say is a comment`(_ condition: String) {
        let imported = Self.read(
            "frontend f\n bind :80\n mode http\n use_backend b \(condition)\n default_backend b\nbackend b\n"
        )
        #expect(imported.text.contains("# h.cfg:4: use_backend b \(condition)"), "\(imported.text)")
    }

    @Test(
        arguments: [
            ("path_beg /", "*/", nil), ("path_beg /api/", "*/api", nil),
            ("path_reg ^/api(/.*)?$", "*/api", nil), ("path_reg ^/api/.*$", "*/api", nil),
            ("path_beg /api", "*/api", "'/api2', which begins so too, goes elsewhere"),
            ("path_beg /a/ /api", "*/a */api", "'/api2', which begins so too, goes elsewhere"),
            ("path -m beg /api", "*/api", "'/api2', which begins so too, goes elsewhere"),
            ("path_reg ^/api", "*/api", "'/api2', which begins so too, goes elsewhere"),
            ("path_reg ^/api/?.*$", "*/api", "'/api2', which begins so too, goes elsewhere"),
            ("path_reg ^/api/?$", "*/api", "a route has what is below the path too"),
            ("path /api", "*/api", "a route has what is below the path too"),
            ("path_beg -i /api/", "*/api", "with regard to case"), ("path_beg -i /1/", "*/1", nil),
            ("hdr(host) -i a.example", "a.example/", nil),
            ("req.hdr(host),field(1,:),lower a.example", "a.example/", nil),
            (
                "hdr(host) -i a.example:8001", "a.example/",
                "a route's host has any port: 'a.example' alone leads here too"
            ),
            ("hdr(host) -i a.example a.example:8001", "a.example/", nil),
            ("hdr_end(host) .a.example", "*.a.example/", nil),
            (
                "hdr_end(host) a.example", "a.example/ *.a.example/",
                "'mya.example', which ends so too, goes elsewhere"
            ),
            (
                "hdr_dom(host) a.example", "a.example/ *.a.example/",
                "'a.example.example' goes elsewhere"
            ),
        ] as [(String, String, String?)]
    )
    func `a rule that a route says nearly is told`(
        _ criterion: String,
        _ routes: String,
        _ why: String?
    ) throws {
        let imported = Self.read(
            """
            frontend f
             bind :80
             mode http
             acl it \(criterion)
             use_backend b if it
             use_backend b if it
            backend b
            """
        )
        guard case .http(let made)? = try imported.configuration().proxy.listeners.first?.mode
        else {
            Issue.record("expected routes")
            return
        }
        #expect(made.map { "\($0.host)\($0.path)" }.joined(separator: " ") == routes)
        #expect(imported.noteCount == (why == nil ? 0 : 1), "\(imported.text)")
        if let why {
            #expect(imported.text.contains("h.cfg:4: acl it \(criterion)"), "\(imported.text)")
            #expect(imported.text.contains(why), "\(imported.text)")
        }
    }

    @Test(arguments: [
        "http-request deny if { path_beg /private }", "http-request auth realm x unless a",
        "tcp-request connection reject if a", "tcp-request content reject", "block if a",
        "bind :81 ssl crt /x verify required ca-file /y",
    ])
    func `what was forbidden and is served is told first`(_ line: String) {
        let imported = Self.read(
            "listen l\n mode http\n bind :80\n \(line)\n http-request set-header a b\n server s 1.2.3.4:80\n"
        )
        let first = imported.text.split(separator: "\n").dropFirst(2).first
        #expect(
            first == "# OPEN HERE, where it was forbidden or behind a password: see h.cfg:4.",
            "\(imported.text)"
        )
        #expect(imported.openCount == 1)
        #expect(imported.text.contains("OPEN HERE: muster forbids nothing by rules"))
        #expect(
            imported.text.contains("Name whoever ends it in proxy.trusted-proxies")
                == line.contains("ssl")
        )
    }

    @Test func `passwords are not repeated`() {
        let imported = Self.read(
            "userlist u\n user a insecure-password hush\n user b password hush groups c\n"
                + "listen l\n stats auth admin:hush\n stats auth admin:\"hu\"sh\n"
        )
        #expect(!imported.text.contains("hush") && !imported.text.contains("sh\n"))
        #expect(imported.text.contains("user a insecure-password …"))
        #expect(imported.text.contains("stats auth admin:…"))
        #expect(imported.openCount == 0)
    }

    @Test func `the admin address gives way to a listener`() throws {
        let imported = Self.read(
            "listen l\n bind 127.0.0.1:7000\n bind :7001\n server s 1.2.3.4:80\n"
        )
        #expect(try imported.mistakes() == [])
        #expect(try imported.configuration().admin.bind == .host("127.0.0.1", port: 7_002))
    }

    @Test func `variables that global sets are those of the lines behind it`() throws {
        let imported = Self.read(
            """
            global
                setenv PORT 9101
                presetenv W 7
                presetenv HOST other.example
                setenv A 1
                setenv B "$PORT"
                setenv C 3
                unsetenv A C
            backend b
                server s1 "$HOST:$PORT" weight "${W}"
                server s2 "$HOST:${B}"
            """,
            ["HOST": "h.example", "C": "2"]
        )
        #expect(imported.noteCount == 0, "\(imported.text)")
        let peers = try imported.configuration().upstreams[0].definition.peers
        #expect(peers.map(\.address.description) == ["h.example:9101", "h.example:9101"])
        #expect(peers.map(\.weight) == [7, 1])
    }

    @Test(arguments: ["", "unsetenv PORT", "resetenv HOST", "setenv PORT 1\n resetenv"])
    func `a server whose address is not known whole is left out`(_ line: String) throws {
        let imported = Self.read(
            "global\n \(line)\nlisten l\n bind :8081\n server a 10.0.0.1:80\n"
                + " server s 127.0.0.1:\"$PORT\" weight 3\n server-template t 1-3 \"${PORT}\"\n",
            line.isEmpty ? [:] : ["PORT": "9101"]
        )
        #expect(try imported.configuration().upstreams[0].definition.peers.map(\.id) == ["a"])
        #expect(
            imported.text.components(separatedBy: "left out: its address needs PORT").count == 3,
            "\(imported.text)"
        )
    }

    @Test(
        arguments: [
            ("hdr(host)", nil), ("hdr(host) use_domain_only", "the whole header counts"),
            ("random(2)", nil), ("random", nil), ("random(5)", "the lighter of two is taken"),
        ] as [(String, String?)]
    )
    func `what a balancer loses is told`(_ words: String, _ why: String?) {
        let imported = Self.read("backend b\n balance \(words)\n server s 1.2.3.4:80\n")
        #expect(imported.noteCount == (why == nil ? 0 : 1), "\(imported.text)")
        #expect(why.map { imported.text.contains($0) } ?? true, "\(imported.text)")
    }

    @Test func `a server without an agent is told that it stays unknown`() {
        let imported = Self.read(
            "backend b\n server a 1.2.3.4:80 agent-check agent-port 99\n server c 1.2.3.5:80\n"
        )
        #expect(imported.noteCount == 1, "\(imported.text)")
        #expect(
            imported.text.contains("server c without agent-check")
                && imported.text.contains("without one it stays 'unknown', and serves requests"),
            "\(imported.text)"
        )
    }

    @Test func `several files are one, but for a section that a file begins in`() throws {
        let imported = HAProxyImport.read(
            [
                SourceFile(
                    path: "a.cfg",
                    text: "global\n setenv P 81\ndefaults\n balance leastconn\n"
                ),
                SourceFile(
                    path: "b.cfg",
                    text: " maxconn 7\nbackend b\n server s \"10.0.0.1:$P\"\n"
                ),
            ],
            from: "conf.d"
        )
        let upstream = try #require(try imported.configuration().upstreams.first?.definition)
        #expect(upstream.balance.name == "least-connections")
        #expect(upstream.peers.map(\.address.description) == ["10.0.0.1:81"])
        #expect(imported.noteCount == 1, "\(imported.text)")
        #expect(
            imported.text.contains("b.cfg:1: maxconn 7") && imported.text.contains("no section")
        )
    }

    /// With `timeout server 0` everything that took longer than a millisecond was answered 504.
    @Test(arguments: [
        ("server 0", 86_400, 86_400, 86_400), ("client 0s", 60, 86_400, 86_400),
        // Of these 0 is as good as nothing.
        ("tunnel 0", 60, 30, 3_600), ("http-request 0", 60, 30, 3_600),
        ("http-keep-alive 0", 60, 30, 3_600), ("client 40d", 60, 86_400, 86_400),
    ])
    func `a timeout of 0 is none`(
        _ line: String,
        _ response: Int,
        _ body: Int,
        _ tunnel: Int
    ) throws {
        let imported = Self.read(
            "listen l\n mode http\n bind :80\n timeout \(line)\n server s 1.2.3.4:80\n"
        )
        let timeouts = try imported.configuration().proxy.timeouts
        #expect(timeouts.response == .seconds(Int64(response)))
        #expect(timeouts.bodyIdle == .seconds(Int64(body)))
        #expect(timeouts.tunnelIdle == .seconds(Int64(tunnel)))
        #expect(timeouts.requestHead == .seconds(line.hasPrefix("client") ? 86_400 : 10))
        let isCut = response == 86_400 || body == 86_400
        #expect(imported.text.contains("a day is the longest here") == isCut)
        #expect(imported.noteCount == (isCut ? 1 : 0))
    }

    @Test(arguments: [
        ("timeout client 5m", 300), ("timeout client 5s", 60),
        ("timeout client 5m\n timeout http-request 2m", 120),
        ("timeout client 5m\n timeout http-keep-alive 10s", 10),
    ])
    func `an idle client is kept for as long as there`(_ lines: String, _ idle: Int) throws {
        let heads = ["timeout client 5m", "timeout client 5m\n timeout http-keep-alive 10s"]

        let timeouts = try Self.read(
            "listen l\n mode http\n bind :80\n \(lines)\n server s 1.2.3.4:80\n"
        ).configuration().proxy.timeouts
        #expect(timeouts.clientIdle == .seconds(Int64(idle)))
        // So is one that has not sent a whole head.
        let head: Int64 = heads.contains(lines) ? 300 : lines.contains("request") ? 120 : 10
        #expect(timeouts.requestHead == .seconds(head))
    }

    @Test func `what HAProxy does by itself and muster otherwise stands at the head`() {
        let bare =
            "listen l\n mode http\n bind :80\n server s 1.2.3.4:80\n server t 1.2.3.5:80\n"
        let said =
            bare + " retries 3\n timeout connect 1s\n timeout server 1s\n timeout client 1s\n"
            + " timeout http-request 5s\n"
        let words = [
            "'eject: off' is HAProxy's way", "tries the same one again",
            "no 'timeout connect' (connect), 'timeout server' (response) and 'timeout client' (body-idle)",
            "X-Forwarded-For", "HAProxy answers 503 to both",
        ]
        let (one, other) = (Self.read(bare).text, Self.read(said).text)
        #expect(words.filter { one.contains($0) } == words)
        #expect(words.filter { other.contains($0) } == Array(words[..<2]) + words[3...])
        #expect(!Self.read("defaults\n mode http\n").text.contains("HAProxy"))
    }

    /// eject.isOff, eject.failures, and max-fails of each
    @Test(arguments: [
        ("", "", true, 5, [1, 1]), ("observe layer7", "", true, 5, [1, 1]),
        ("observe layer4 on-error mark-down", "", false, 0, [10, 0]),
        ("observe layer7 error-limit 3 on-error mark-down", "", false, 3, [3, 0]),
        ("", "default-server observe layer7 error-limit 4 on-error mark-down", false, 4, [4, 4]),
    ])
    func `requests that fail take a server out where HAProxy lets them`(
        _ words: String,
        _ line: String,
        _ isOff: Bool,
        _ failures: Int,
        _ most: [Int]
    ) throws {
        let imported = Self.read(
            "backend b\n mode http\n \(line)\n server s 1.2.3.4:80 check \(words)\n server t 1.2.3.5:80 check\n"
        )
        let upstream = try #require(imported.configuration().upstreams.first?.definition)
        #expect(upstream.eject.isOff == isOff)
        #expect(upstream.eject.failures == failures)
        #expect(isOff || upstream.eject.rate.above == 0)
        #expect(upstream.peers.map(\.maxFails) == most)
        #expect(imported.text.contains("'eject: off' is HAProxy's way") == isOff)
        #expect(imported.text.contains("observe") == !(words + line).isEmpty)
    }

    /// Who finds all servers full waits in HAProxy, and was answered 503 where no timeout says for how long.
    @Test(arguments: [
        ("timeout queue 5s", 5, false), ("timeout connect 3s", 3, false), ("", 600, true),
        ("timeout connect 0", 600, true), ("timeout connect 3s\n timeout queue 0", 3, false),
        ("timeout queue 1h", 600, true),
    ])
    func `whoever finds all servers full waits as long as there`(
        _ lines: String,
        _ seconds: Int,
        _ isTold: Bool
    ) throws {
        let imported = Self.read("backend b\n \(lines)\n server s 1.2.3.4:80 maxconn 9\n")
        let queue = try #require(imported.configuration().upstreams.first?.definition.queue)
        #expect(queue.timeout == .seconds(Int64(seconds)))
        #expect(imported.text.contains("600s is the longest that a request waits") == isTold)
    }

    /// Nothing that is asked of one server is asked of all the others again.
    @Test(.timeLimit(.minutes(1)))
    func `a backend of many servers is read in a time that grows with them`() {
        let servers = (0..<20_000).map { "\n server s\($0) 10.0.\($0 / 250).\($0 % 250):80 check" }
        let imported = Self.read("backend b\(servers.joined())")
        #expect(imported.noteCount == 0)
        #expect(imported.text.utf8.count { $0 == 10 } > servers.count)
    }

    @Test(arguments: [
        ("", 3, ["connect-failure"], false), ("retries 1", 1, ["connect-failure"], false),
        ("retry-on empty-response 503", 3, ["empty-response", "503"], true),
        ("retry-on conn-failure", 3, ["connect-failure"], false),
    ])
    func `what is tried again is what HAProxy tries again`(
        _ line: String,
        _ retries: Int,
        _ occasions: [String],
        _ isTold: Bool
    ) throws {
        let imported = Self.read("backend b\n mode http\n \(line)\n server s 1.2.3.4:80\n")
        let trying = try #require(imported.configuration().upstreams.first?.definition.trying)
        #expect(trying.retries == retries)
        #expect(
            imported.text.contains("retry-on: [\(occasions.joined(separator: ", "))]"),
            "\(imported.text)"
        )
        #expect(imported.text.contains("there a POST is sent again too") == isTold)
        #expect(imported.noteCount == (isTold ? 1 : 0))
    }

    @Test func `the longest of several timeouts holds`() throws {
        let imported = Self.read(
            """
            defaults
                mode http
                timeout connect 1s
                timeout server 5s
            backend a
                timeout server 90s
                server s 1.2.3.4:80
            backend b
                server s 1.2.3.5:80
            backend c
                mode tcp
                timeout server 2h
                server s 1.2.3.5:80
            """
        )
        #expect(imported.noteCount == 1)
        #expect(
            imported.text.contains(
                "# h.cfg:4: timeout server 5s\n#     timeouts are the process's here: the longest that is asked for, 90s"
            )
        )
        let timeouts = try imported.configuration().proxy.timeouts
        #expect(timeouts.connect == .seconds(1))
        #expect(timeouts.response == .seconds(90))
        #expect(timeouts.bodyIdle == .seconds(90))
    }

    @Test(arguments: [
        ("timeout client 10s\n timeout server 2h", 7_200, 7_200),
        ("timeout client 10s\n timeout server 20s", 20, 3_600),
        ("timeout client 10s\n timeout server 2h\n timeout tunnel 3h", 7_200, 10_800),
        ("timeout client 1d", 86_400, 86_400),
    ])
    func `a pause is as long as either side allows`(
        _ lines: String,
        _ body: Int,
        _ tunnel: Int
    )
        throws
    {
        let timeouts = try Self.read(
            "listen l\n mode http\n bind :80\n \(lines)\n server s 1.2.3.4:80\n"
        ).configuration().proxy.timeouts
        #expect(timeouts.bodyIdle == .seconds(Int64(body)))
        #expect(timeouts.tunnelIdle == .seconds(Int64(tunnel)))
    }
}
