// What does a user read who made a mistake? The exact text and place of each complaint.

import Glibc
import Testing

@testable import Settings

/// One bad file and every complaint about it.
struct Mistaken: Sendable, CustomTestStringConvertible {
    let name: String
    let text: String
    let complaints: [String]

    init(_ name: String, _ text: String, _ complaints: String...) {
        self.name = name
        self.text = text
        self.complaints = complaints
    }

    var testDescription: String { name }
}

@Suite struct MistakeTests {
    @Test(arguments: [
        Mistaken(
            "a section misspelled",
            "upstraems:\n  web: {}\n",
            "muster.yaml:1:1: the configuration has no setting 'upstraems'; did you mean 'upstreams'?"
        ),
        Mistaken(
            "a setting misspelled",
            "admin:\n  bnid: 127.0.0.1:7000\n",
            "muster.yaml:2:3: admin has no setting 'bnid'; did you mean 'bind'?"
        ),
        Mistaken(
            "a setting from elsewhere",
            "admin:\n  certificate: x\n",
            "muster.yaml:2:3: admin has no setting 'certificate'; expected one of bind, compat-config, compat-durpina, group, haproxy-socket, hosts, metrics, mode, programs, protect-reads, tls, token, tokens"
        ),
        Mistaken(
            "wrong types",
            "agent: a1\nlog: [debug]\nupstreams: {web: {slow-start: 5, panic-threshold: half}}\n",
            "muster.yaml:1:8: agent: expected a map, saw 'a1'",
            "muster.yaml:2:6: log: expected a map, saw a list",
            "muster.yaml:3:31: upstreams.web.slow-start: expected a duration such as 500ms, 2s or "
                + "5m, saw '5'",
            "muster.yaml:3:51: upstreams.web.panic-threshold: expected a share from 0% to 100%, saw "
                + "'half'"
        ),
        Mistaken(
            "what is no network",
            "proxy: { trusted-proxies: [unix, 10.0.0.0/8, 10.0.0.1/8, proxy.example] }\n",
            "muster.yaml:1:46: proxy.trusted-proxies[2]: expected an address, a network such as 10.0.0.0/8 or fd00::/8, or "
                + "unix, saw '10.0.0.1/8'",
            "muster.yaml:1:58: proxy.trusted-proxies[3]: expected an address, a network such as 10.0.0.0/8 or fd00::/8, or "
                + "unix, saw 'proxy.example'"
        ),
        Mistaken(
            "a text where a list is wanted",
            "upstreams:\n  web:\n    peers: 127.0.0.1:1\n",
            "muster.yaml:3:12: upstreams.web.peers: expected a list, saw '127.0.0.1:1'"
        ),
        Mistaken(
            "no section at all",
            "- upstreams\n",
            "muster.yaml:1:1: the file: expected a map of sections such as upstreams, saw a list"
        ),
        Mistaken(
            "words that are none",
            """
            upstreams:
              web: { on-down: close, all-down: fail-opne }
            log: { level: verbose, format: jsno }
            """,
            "muster.yaml:2:19: upstreams.web.on-down: expected one of keep, close-idle, close-all, "
                + "saw 'close'",
            "muster.yaml:2:36: upstreams.web.all-down: expected one of fail-open, fail-closed, "
                + "backup, saw 'fail-opne'; did you mean 'fail-open'?",
            "muster.yaml:3:15: log.level: expected one of trace, debug, info, notice, warning, "
                + "error, critical, saw 'verbose'",
            "muster.yaml:3:32: log.format: expected one of text, json, saw 'jsno'; did you mean "
                + "'json'?"
        ),
        Mistaken(
            "a name with a slash",
            "upstreams:\n  a/b: {}\n",
            "muster.yaml:2:3: upstreams.a/b: expected a name of 1 to 128 letters, digits, '.', '_' "
                + "or '-', saw 'a/b'"
        ),
        Mistaken(
            "an unknown balancer",
            "upstreams:\n  web:\n    balance: round-robni\n",
            "muster.yaml:3:14: upstreams.web.balance: expected one of \(balancers), saw "
                + "'round-robni'; did you mean 'round-robin'?"
        ),
        Mistaken(
            "stores that are none",
            "store: { url: 'http://u:secret@h/', prefix: 'a b', lease: 1s }\n",
            "muster.yaml:1:15: store.url: expected redis://[user:password@]host[:port][/db], "
                + "unix:///path[?db=N] or redis+sentinel://[user:password@]host[:port],…/NAME[/db], "
                + "with rediss in place of redis over TLS, saw the scheme 'http'",
            "muster.yaml:1:45: store.prefix: expected at most 256 bytes without spaces, saw 'a b'",
            "muster.yaml:1:59: store.lease: expected a duration from 2s to 1h, saw '1s'"
        ),
        Mistaken(
            "a port out of range in a store",
            "store: { url: redis://u:secret@h:99999/0 }\n",
            "muster.yaml:1:15: store.url: expected a port from 1 to 65535, saw '99999'"
        ),
        Mistaken(
            "a store whose login is none",
            "store: { url: redis://secret@h }\n",
            "muster.yaml:1:15: store.url: expected user:password before '@', saw neither"
        ),
        Mistaken(
            "a store without a scheme",
            "store: { url: 'default:secret@h:6379' }\n",
            "muster.yaml:1:15: store.url: expected redis://[user:password@]host[:port][/db], "
                + "unix:///path[?db=N] or redis+sentinel://[user:password@]host[:port],…/NAME[/db], "
                + "with rediss in place of redis over TLS, saw no scheme"
        ),
        Mistaken(
            "a store in the clear with words on TLS",
            "store: { url: redis://h, tls: { verify: false, cert: x } }\n",
            "muster.yaml:1:31: store.tls: expected a 'url' beside it that begins with rediss, saw none: nothing would "
                + "go over TLS",
            "muster.yaml:1:48: store.tls has no setting 'cert'; did you mean 'certificate'?"
        ),
        Mistaken(
            "a source over TLS whose files are not there",
            """
            sources:
              - hipache: { url: rediss://h, tls: { ca: /none, key: /none } }

            """,
            "muster.yaml:2:38: sources[0].hipache.tls: read authorities from /none: No such file or directory"
        ),
        Mistaken(
            "a level as syslog has it",
            "log: { level: warn }\n",
            "muster.yaml:1:15: log.level: expected one of trace, debug, info, notice, warning, "
                + "error, critical, saw 'warn'; did you mean 'warning'?"
        ),
        Mistaken(
            "a port alone to listen on",
            "admin: { bind: ':8084' }\n",
            "muster.yaml:1:16: admin.bind: expected an address and a port, saw ':8084'; write "
                + "'0.0.0.0:8084' or '[::]:8084' to listen on every address, '127.0.0.1:8084' for "
                + "this machine"
        ),
        Mistaken(
            "addresses that are none",
            "upstreams: { web: { peers: ['10.0.0.300:80', '1.2.3:80', '10.0.0.01:80'] } }\n",
            "muster.yaml:1:30: upstreams.web.peers[0]: expected an IPv4 address, saw '10.0.0.300'",
            "muster.yaml:1:47: upstreams.web.peers[1]: expected an IPv4 address, saw '1.2.3'",
            "muster.yaml:1:59: upstreams.web.peers[2]: expected an IPv4 address, saw '10.0.0.01'"
        ),
        Mistaken(
            "a password in the wrong place",
            "admin: { bind: 'http://root:secret@h/' }\n",
            "muster.yaml:1:16: admin.bind: expected host:port, [v6]:port or unix:/path, saw "
                + "'http://root:***@h/'"
        ),
        Mistaken(
            "names that no DNS can hold",
            "upstreams: { web: { peers: ['a..b:80', {address: '-x:80'}] } }\nproxy:\n  listeners:\n"
                + "    - bind: 127.0.0.1:8080\n      routes:\n        - { host: a..b, upstream: web }\n"
                + "        - { host: '*.-x', upstream: web }\n        - { host: '[zz]', upstream: web }\n"
                + "        - { host: 1.2.3, upstream: web }\n",
            "muster.yaml:1:30: upstreams.web.peers[0]: expected a name between two dots, saw none in 'a..b'",
            "muster.yaml:1:50: upstreams.web.peers[1].address: expected no '-' at the beginning or the end "
                + "of a name, saw '-x'",
            "muster.yaml:6:19: proxy.listeners[0].routes[0].host: expected a name between two dots, saw "
                + "none in 'a..b'",
            "muster.yaml:7:19: proxy.listeners[0].routes[1].host: expected no '-' at the beginning or the "
                + "end of a name, saw '-x'",
            "muster.yaml:8:19: proxy.listeners[0].routes[2].host: expected an IPv6 address, saw '[zz]'",
            "muster.yaml:9:19: proxy.listeners[0].routes[3].host: expected an IPv4 address, saw '1.2.3'"
        ),
        Mistaken(
            "every mistake of a monitor",
            """
            upstreams:
              web:
                peers: [ 'h:1' ]
                monitors:
                  - http:
                      path: health
                      interval: 1
                      rise: 0
                      method: FETCH
                      tls: { verify: maybe, alpn: 7s, bogus: x }
                      expect: { status: 2yy }
                      colour: red
                  - tcp: { port: http, timeout: 2x, confirm: { quorum: most } }
                  - dns: { record: B, rcode: OK }
                  - redis: { username: ann, role: king }
            """,
            "muster.yaml:6:17: upstreams.web.monitors[0].http.path: expected a path that begins with '/', "
                + "saw 'health'",
            "muster.yaml:7:21: upstreams.web.monitors[0].http.interval: expected a duration such as 500ms, "
                + "2s or 5m, saw '1'",
            "muster.yaml:8:17: upstreams.web.monitors[0].http.rise: expected a whole number from 1 to "
                + "86400, saw '0'",
            "muster.yaml:9:19: upstreams.web.monitors[0].http.method: expected one of DELETE, GET, HEAD, "
                + "OPTIONS, PATCH, POST, PUT, TRACE, saw 'FETCH'",
            "muster.yaml:10:26: upstreams.web.monitors[0].http.tls.verify: expected true or false, saw "
                + "'maybe'",
            "muster.yaml:10:43: upstreams.web.monitors[0].http.tls has no setting 'bogus'; expected one of "
                + "alpn, ca, certificate, expires-fail, expires-warn, key, server-name, verify",
            "muster.yaml:11:29: upstreams.web.monitors[0].http.expect.status: expected statuses such as "
                + "'2xx 3xx 101 500-503', saw '2yy'",
            "muster.yaml:12:11: upstreams.web.monitors[0].http has no setting 'colour'; expected one of "
                + "address, auth, body, confirm, cookies, degraded, down-interval, expect, fall, "
                + "fast-interval, headers, host, id, immediate-fail, interval, method, observers, path, "
                + "port, proxy, redirects, required, rise, timeout, tls, user-agent, version",
            "muster.yaml:13:22: upstreams.web.monitors[1].tcp.port: expected a whole number from 1 to "
                + "65535, saw 'http'",
            "muster.yaml:13:37: upstreams.web.monitors[1].tcp.timeout: expected a duration such as 500ms, "
                + "2s or 5m, saw '2x'",
            "muster.yaml:13:50: upstreams.web.monitors[1].tcp.confirm: expected 'agents', saw no such key",
            "muster.yaml:14:14: upstreams.web.monitors[2].dns: expected 'name', saw no such key",
            "muster.yaml:14:24: upstreams.web.monitors[2].dns.record: expected one of A, NS, CNAME, SOA, "
                + "PTR, MX, TXT, AAAA, SRV, saw 'B'; did you mean 'A'?",
            "muster.yaml:14:34: upstreams.web.monitors[2].dns.rcode: expected one of NOERROR, FORMERR, "
                + "SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, saw 'OK'",
            "muster.yaml:15:16: upstreams.web.monitors[3].redis: expected 'password', saw no such key"
        ),
        Mistaken(
            "peers that a check cannot go to",
            """
            upstreams:
              web:
                peers: [ 'h:1', 'unix:/run/a.sock', { id: b, address: 'unix:/run/b.sock' } ]
                monitors:
                  - http: { port: 8080 }
                  - tcp: { address: 10.0.0.1 }
                  - redis: { port: 1, address: 10.0.0.1 }
                  - dns: { name: example.com }
                  - tls: { port: 1, address: 'unix:/run/c.sock' }
            """,
            "muster.yaml:5:23: upstreams.web.monitors[0].http.port: expected peers with a port, saw "
                + "'unix:/run/a.sock', a socket, which has none: leave it out, or name a host beside it "
                + "with 'address' (monitor 'http', peer 'unix:/run/a.sock' and 1 more)",
            "muster.yaml:6:25: upstreams.web.monitors[1].tcp.address: expected peers with a port, saw "
                + "'unix:/run/a.sock', a socket, which has none: write the port behind the host (monitor "
                + "'tcp', peer 'unix:/run/a.sock' and 1 more)",
            "muster.yaml:8:14: upstreams.web.monitors[3].dns: expected peers with host and port, saw "
                + "'unix:/run/a.sock': no datagram of DNS goes to such a socket; 'transport: tcp' talks to "
                + "it (monitor 'dns', peer 'unix:/run/a.sock' and 1 more)",
            "muster.yaml:9:22: upstreams.web.monitors[4].tls.port: expected none beside the address "
                + "'unix:/run/c.sock', saw one: a socket has no port"
        ),
        Mistaken(
            "numbers and truths that are written otherwise",
            "upstreams:\n  web:\n    peers: [ 'h:1 weight=05', 'h:2 max_fails=+1' ]\n"
                + "    panic-threshold: 0x10%\n    slow-start: +5s\n"
                + "admin: { protect-reads: yes, token: longenough }\n"
                + "proxy: { threads: 1e0 }\n",
            "muster.yaml:3:19: upstreams.web.peers[0].weight: expected a whole number from 1 to 256, "
                + "without a '+' and zeros in front, saw '05'",
            "muster.yaml:3:36: upstreams.web.peers[1].max_fails: expected a whole number from 0 to "
                + "1000000, without a '+' and zeros in front, saw '+1'",
            "muster.yaml:4:22: upstreams.web.panic-threshold: expected a share from 0% to 100%, saw "
                + "'0x10%'",
            "muster.yaml:5:17: upstreams.web.slow-start: expected a duration such as 500ms, 2s or 5m, saw "
                + "'+5s'",
            "muster.yaml:6:25: admin.protect-reads: expected true or false, saw 'yes'",
            "muster.yaml:7:19: proxy.threads: expected a whole number from 1 to 256, saw '1e0'"
        ),
        Mistaken(
            "files that are devices and folders",
            "store: { state-file: /dev/null }\nagent-check: { bind: '127.0.0.1:1', memory-file: / }\n",
            "muster.yaml:1:22: store.state-file: expected a regular file or none at '/dev/null', "
                + "saw a device",
            "muster.yaml:2:50: agent-check.memory-file: expected a regular file or none at '/', "
                + "saw a folder"
        ),
    ])
    func `says what is wrong and where`(file: Mistaken) throws {
        #expect(try complaints(file.text) == file.complaints)
    }

    @Test(arguments: [
        Mistaken(
            "an open list",
            "upstreams:\n  web: [\n",
            "muster.yaml:3:1: not valid YAML: did not find expected node content while parsing a "
                + "flow node that began at line 3, column 1"
        ),
        Mistaken(
            "a tab",
            "upstreams:\n\tweb:\n",
            "muster.yaml:2:1: not valid YAML: found character that cannot start any token while "
                + "scanning for the next token that began at line 2, column 1; indent with spaces"
        ),
        Mistaken(
            "two colons",
            "admin: bind: x\n",
            "muster.yaml:1:12: not valid YAML: mapping values are not allowed in this context"
        ),
        Mistaken(
            "an alias of nothing",
            "admin: *nowhere\n",
            "muster.yaml:1:8: not valid YAML: found undefined alias"
        ),
        Mistaken(
            "two documents",
            "admin: {}\n---\nlog: {}\n",
            "muster.yaml:2:1: not valid YAML: but found another document expected a single document "
                + "in the stream that began at line 1, column 1"
        ),
        Mistaken(
            "a key twice",
            "upstreams:\n  web:\n    peers: []\n  api: {}\n  web:\n    peers: []\n",
            "muster.yaml:5:3: 'web' is written twice: first at muster.yaml:2:3"
        ),
        Mistaken(
            "a key twice in one line",
            "agent: {id: a, 'id': b}\n",
            "muster.yaml:1:16: 'id' is written twice: first at muster.yaml:1:9"
        ),
        Mistaken(
            "a list as key",
            "agent:\n  [a, b]: c\n",
            "muster.yaml:2:3: expected a text as key, saw a list or a map"
        ),
        Mistaken(
            "a control character",
            "agent:\n  id: a\u{1}\n",
            "muster.yaml:2:8: not valid YAML: control characters are not allowed"
        ),
    ])
    func `points at the character that is no YAML`(file: Mistaken) throws {
        #expect(try complaints(file.text) == file.complaints)
    }

    @Test func `names every mistake of every section in the order of the file`() throws {
        let found = try complaints(
            """
            log: { level: loud }
            upstreams:
              web:
                peers: [ 127.0.0.1:99999 ]
                monitors: [ { http: { interval: 1s, timeout: 2s } } ]
                blance: first
            admin: { bind: here }
            """
        )
        #expect(
            found.map { $0.prefix { $0 != " " } } == [
                "muster.yaml:1:15:", "muster.yaml:4:14:", "muster.yaml:5:50:", "muster.yaml:6:5:",
                "muster.yaml:7:16:",
            ]
        )
    }

    @Test func `does not repeat a password from a store's address`() throws {
        for url in ["http://u:secret@h:1", "redis://u:secret@h:x/0", "redis://u:secret@h:1/y"] {
            let found = try complaints("store: { url: '\(url)' }")
            #expect(found.count == 1)
            #expect(!found.joined().contains("secret"))
        }
    }

    @Test func `does not repeat a token`() throws {
        let found = try complaints("admin: { token: geheim }")
        #expect(
            found == ["muster.yaml:1:17: admin.token: expected at least 8 letters without spaces"]
        )
    }
}

/// What runs, and hardly as somebody meant it.
@Suite struct WarningTests {
    /// Links and dots are no way around it.
    @Test(arguments: [
        ("state.json", "state.json", "store.state-file"),
        ("./state.json", "state.json", "store.state-file"),
        ("state.json.ledger", "state.json.ledger", "store.state-file with '.ledger' behind"),
    ])
    func `two files that are one are refused`(
        written: String,
        name: String,
        by other: String
    ) throws {
        let scratch = try Scratch([
            "muster.yaml": "upstreams: { web: { peers: ['h:1'] } }\n"
                + "store: { state-file: state.json }\n"
                + "agent-check: { bind: 127.0.0.1:7070, memory-file: \(written) }\n"
        ])
        let error = #expect(throws: ConfigurationError.self) { try scratch.load() }
        let text = error?.description.replacing(scratch.folder.path + "/", with: "") ?? ""
        #expect(
            text.contains("agent-check.memory-file: expected a file of its own, saw '\(written)'")
        )
        #expect(text.hasSuffix("which \(other) writes"))
    }

    @Test func `nothing is written over the configuration`() throws {
        let scratch = try Scratch([
            "muster.yaml": "include: more.yaml\nstore: { state-file: more.yaml }\n"
                + "agent-check: { bind: 127.0.0.1:7070, memory-file: muster.yaml }\n",
            "more.yaml": "upstreams: { web: { peers: ['h:1'] } }\n",
        ])
        let found = scratch.complaints()
        let tail = "which is part of the configuration"
        #expect(found.count == 2 && found.allSatisfy { $0.hasSuffix(tail) })
        #expect(
            found.first?.hasPrefix("muster.yaml:2:22: store.state-file: expected a file") == true
        )
    }

    @Test func `a folder beside the state file, and a link to nowhere, are refused`() throws {
        let scratch = try Scratch([
            "muster.yaml": "store: { state-file: state.json }\n"
                + "agent-check: { bind: 127.0.0.1:7070, memory-file: link }\n",
            "state.json.ledger/x": "",
        ])
        #expect(symlink("/nowhere/at/all", scratch.path("link")) == 0)
        let found = scratch.complaints().map { $0.replacing(scratch.folder.path + "/", with: "") }
        #expect(
            found == [
                "muster.yaml:1:22: store.state-file: expected a regular file or none at "
                    + "'state.json.ledger', saw a folder",
                "muster.yaml:2:51: agent-check.memory-file: expected a regular file or none at 'link', "
                    + "saw a link that leads nowhere",
            ]
        )
    }

    @Test(arguments: [
        Mistaken(
            "an empty file",
            "# nothing\n",
            "muster.yaml: expected at least one section such as upstreams, saw an empty file: nothing "
                + "is probed and nothing is routed"
        ),
        Mistaken(
            "no upstreams",
            "log: { level: info }\n",
            "muster.yaml: no upstreams: nothing is probed and nothing is routed"
        ),
        Mistaken(
            "an upstream without peers",
            "upstreams:\n  web: { peers: [] }\n  api:\n",
            "muster.yaml:2:3: upstreams.web: no peers: requests are answered 503",
            "muster.yaml:3:3: upstreams.api: no peers: requests are answered 503"
        ),
        Mistaken(
            "folders that are not there",
            "store: { state-file: /nowhere/state.json }\nchecks-dir: /nowhere\n"
                + "upstreams: { web: { peers: ['h:1'] } }\n",
            "muster.yaml:1:22: store.state-file: expected a folder at '/nowhere' to write in, saw No "
                + "such file or directory; nothing is kept until then",
            "muster.yaml:2:13: checks-dir: expected a folder at '/nowhere', saw No such file or "
                + "directory"
        ),
        Mistaken(
            "an agent-check that forgets",
            "upstreams: { web: { peers: ['h:1'] } }\nagent-check: { bind: 127.0.0.1:7070 }\n",
            "muster.yaml:2:14: agent-check: expected store.state-file or agent-check.memory-file, saw "
                + "neither: a restart forgets a drain, and HAProxy keeps it until it is lifted there"
        ),
        Mistaken(
            "an agent-check that remembers",
            "upstreams: { web: { peers: ['h:1'] } }\n"
                + "agent-check: { bind: 127.0.0.1:7070, memory-file: memory.json }\n"
        ),
        Mistaken(
            "a store that remembers for it",
            "upstreams: { web: { peers: ['h:1'] } }\nstore: { state-file: state.json }\n"
                + "agent-check: { bind: 127.0.0.1:7070 }\n"
        ),
        Mistaken(
            "nothing to say",
            "upstreams: { web: { peers: ['h:1'] } }\nchecks-dir: checks.d\n"
        ),
        Mistaken(
            "what takes others, where there are none",
            "agent: { probes: false }\nstore: { lease: 4s, prefix: 'x:' }\n"
                + "upstreams: { web: { peers: ['h:1'], monitors: [{ http: { observers: 2 } }] } }\n",
            "muster.yaml:1:8: agent.probes: false is nothing without store.url: nobody else probes, so this agent does",
            "muster.yaml:2:8: store.prefix, store.lease: nothing without store.url, by which agents share the probing",
            "muster.yaml: confirm and observers of upstreams.web: nothing without store.url, for nobody else can be "
                + "asked"
        ),
        Mistaken(
            "what takes others, where there are some",
            "agent: { probes: false }\nstore: { lease: 4s, url: 'redis://h:1' }\n"
                + "upstreams: { web: { peers: ['h:1'], monitors: [{ http: { observers: 2 } }] } }\n"
        ),
    ])
    func `says what is doubtful and where`(file: Mistaken) throws {
        let scratch = try Scratch(["muster.yaml": file.text])
        let configuration = try scratch.load()
        let warnings = (configuration.warnings + configuration.advice).map {
            $0.description.replacing(scratch.folder.path + "/", with: "")
        }
        #expect(warnings == file.complaints)
    }

    @Test func `a folder in place of an included file is told where it is included`() throws {
        let scratch = try Scratch(["muster.yaml": "include: folder\n", "folder/x": ""])
        #expect(scratch.complaints() == ["muster.yaml:1:10: include: folder: Is a directory"])
    }

    @Test func `an included file may be empty`() throws {
        let text = "include: more.yaml\nupstreams: { web: { peers: ['h:1'] } }\n"
        let scratch = try Scratch(["muster.yaml": text, "more.yaml": "# later\n"])
        #expect(try scratch.load().warnings == [])
    }
}

@Suite struct ShippedKindsTests {
    @Test(
        arguments: [
            ("/usr/local/bin/muster", "/usr/local/share/muster/checks.d"),
            ("/bin/muster", "/share/muster/checks.d"),
            ("/src/.build/release/muster", nil), ("muster", nil),
        ] as [(String, String?)]
    )
    func `an installed program finds what came with it`(program: String, folder: String?) {
        #expect(ChecksFolder.folder(beside: program) == folder)
    }

    @Test func `of two folders the first counts`() throws {
        let scratch = try Scratch([
            "own/a.yaml": "summary: own\npreset: { tcp: }\n",
            "shipped/a.yaml": "summary: shipped\npreset: { tcp: }\n",
            "shipped/b.yaml": "summary: shipped\npreset: { tcp: }\n",
        ])
        let folders = [scratch.path("own"), scratch.path("none"), scratch.path("shipped")]
        let kinds = ChecksFolder.read(folders, environment: [:])
        #expect(kinds.mistakes == [])
        let summaries = kinds.registry.kinds.filter { $0.kind.count == 1 }.map {
            "\($0.kind) \($0.summary)"
        }
        #expect(summaries.sorted() == ["a own", "b shipped"])
    }
}
