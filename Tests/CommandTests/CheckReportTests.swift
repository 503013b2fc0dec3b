// What does `muster check` print, and how does it end? As a Nagios plugin would.

import Health
import Settings
import Testing
import Vocabulary

@testable import Checks
@testable import Plugins
@testable import muster

@Suite struct CheckReportTests {
    private func report(_ outcome: Outcome, explained: Bool = false) -> CheckReport {
        CheckReport(
            kind: "http",
            target: "127.0.0.1:9001",
            outcome: outcome,
            steps: [
                Trace.Step(at: .microseconds(1_500), phase: "connect", text: "connected"),
                Trace.Step(at: .milliseconds(12), phase: "result", text: "L7OK/200"),
            ],
            isExplained: explained
        )
    }

    @Test func `performance data say what warns and when the probe ends`() {
        var report = report(Outcome(.pass, .layer7OK, code: 200, phases: phases(total: .zero)))
        report.slowness = .milliseconds(300)
        report.timeout = .seconds(2)
        #expect(report.text.hasSuffix("| time=0.0000s;0.3;;0;2"))
        report.slowness = nil
        #expect(report.text.hasSuffix("| time=0.0000s;;;0;2"))
    }

    @Test func `what steers a terminal is written out wherever it comes from`() {
        var outcome = Outcome(.pass, .processOK, message: "fine", phases: phases(total: .zero))
        outcome.measurements = [Measurement(label: "a\u{1b}[2J", value: 1)]
        #expect(report(outcome).text.contains(#"a\u001b[2J=1"#))
        let told = CheckReport(
            kind: "tls",
            target: "h:1",
            outcome: outcome,
            steps: [Trace.Step(at: .zero, phase: "tls", text: "by /CN=\u{202e}x")],
            isExplained: true
        )
        #expect(told.text.contains(#"by /CN=\u202ex"#))
    }

    private func phases(total: Nanoseconds) -> Phases {
        var phases = Phases(total: total)
        phases.connect = .microseconds(250)
        return phases
    }

    @Test(arguments: [
        (Outcome.Verdict.pass, "OK", 0), (.warn, "WARNING", 1), (.fail, "CRITICAL", 2),
        (.neutral, "UNKNOWN", 3),
    ])
    func `ends as Nagios wants it`(verdict: Outcome.Verdict, word: String, code: Int) {
        let report = report(Outcome(verdict, .layer4OK))
        #expect(report.exitStatus.rawValue == Int32(code))
        #expect(report.text.hasPrefix("HTTP \(word) - L4OK in "))
    }

    @Test func `says the status of a pass once, and the whole of a failure`() {
        let pass = Outcome(
            .pass,
            .layer7OK,
            code: 200,
            message: "200 OK",
            phases: phases(total: .microseconds(1_249))
        )
        #expect(report(pass).text == "HTTP OK - L7OK/200 in 1.2ms | time=0.0012s;;;0")
        let fail = Outcome(
            .fail,
            .layer7Status,
            code: 503,
            message: "expected 2xx | 3xx, saw 503",
            phases: phases(total: .milliseconds(2_000))
        )
        #expect(
            report(fail).text
                == "HTTP CRITICAL - L7STS/503 expected 2xx / 3xx, saw 503 in 2000.0ms "
                + "| time=2.0000s;;;0"
        )
    }

    @Test func `prints measurements as performance data`() {
        let outcome = Outcome(
            .pass,
            .processOK,
            measurements: [
                Measurement(label: "load1", value: 0.25),
                Measurement(label: "free space", value: 12, unit: "MB"),
            ]
        )
        #expect(report(outcome).text.hasSuffix("| time=0.0000s;;;0 load1=0.25 'free space'=12MB"))
    }

    private func performance(_ measurements: [Measurement]) -> String {
        let text = report(Outcome(.pass, .processOK, measurements: measurements)).text
        return text.split(separator: " | ").last.map(String.init) ?? ""
    }

    @Test func `a label in quotes, thresholds and small numbers are read as they were meant`()
        throws
    {
        let line =
            "A | 'it''s'=3;@1:2;~:5;0;9 'a=b'=4B 'a b'=1.5e-05s big=1e+20c small=-2.5e-7 u=U "
            + "t=12.5ms;;7"
        let read = NagiosOutput(parsing: Array(line.utf8)).measurements
        let written = performance(read)
        #expect(
            written == "time=0.0000s;;;0 'it''s'=3;@1:2;~:5;0;9 'a=b'=4B 'a b'=0.000015s "
                + "big=100000000000000000000c small=-0.00000025 t=12.5ms;;7"
        )
        let again = NagiosOutput(parsing: Array("A | \(written)".utf8)).measurements
        #expect(Array(again.dropFirst()) == read)
    }

    @Test func `the time of a plugin is not taken for ours`() {
        #expect(
            performance([Measurement(label: "time", value: 0.5, unit: "s")])
                == "probe_time=0.0000s;;;0 time=0.5s"
        )
    }

    @Test func `shows where the time went when explained`() {
        let outcome = Outcome(
            .pass,
            .layer7OK,
            code: 200,
            phases: phases(total: .milliseconds(12))
        )
        #expect(
            report(outcome, explained: true).text == """
                HTTP OK - L7OK/200 in 12.0ms | time=0.0120s;;;0

                PHASE       TIME
                resolve     -
                connect     0.3ms
                tls         -
                first byte  -
                total       12.0ms

                AT      STEP     WHAT
                1.5ms   connect  connected
                12.0ms  result   L7OK/200
                """
        )
    }

    @Test func `prints the same as JSON`() {
        let json = report(Outcome(.fail, .layer4Connect, message: "Connection refused")).json
        #expect(json["status"] == "CRITICAL")
        #expect(json["verdict"] == "fail")
        #expect(json["layer"] == "L4")
        #expect(json["reason"] == "L4CON")
        #expect(json["code"] == .some(.null))
        #expect(json["phases"]?["connect_ms"] == .some(.null))
        #expect(json["steps"]?[0]?["at_ms"]?.double == 1.5)
    }
}

@Suite struct CheckTargetTests {
    private func target(
        _ text: String,
        _ options: String...
    ) throws(SettingError) -> (address: String, options: Options) {
        let target = try CheckTarget(text, options: options)
        return ("\(target.address)", target.options(for: "http"))
    }

    @Test(arguments: [
        ("http://127.0.0.1:9001/health", "127.0.0.1:9001", "/health", "127.0.0.1:9001"),
        ("http://example.com", "example.com:80", "/", "example.com"),
        ("http://[::1]/a?b=c#d", "[::1]:80", "/a?b=c", "[::1]"),
        ("http://[::1]:81?b", "[::1]:81", "/?b", "[::1]:81"),
    ])
    func `takes a URL apart`(url: String, address: String, path: String, host: String) throws {
        var (seen, options) = try target(url)
        #expect(seen == address)
        #expect(try options.string("path") == path)
        #expect(try options.string("host") == host)
        #expect(options.keys.isEmpty)
    }

    @Test func `asks for TLS with https`() throws {
        var (seen, options) = try target("https://example.com/")
        #expect(seen == "example.com:443")
        #expect(try options.bool("tls") == true)
    }

    @Test func `lets an option win over the URL, and reads it as YAML`() throws {
        var (_, options) = try target(
            "http://a/b",
            "path=/c",
            "expect={status: [200, 204]}",
            "body=",
            "n=5"
        )
        #expect(try options.string("path") == "/c")
        #expect(try options.int("n", in: 1...9) == 5)
        #expect(try options.string("body")?.isEmpty == true)
        let written = options.take("expect")
        var expect = try Options(try #require(written), path: "expect")
        #expect(try expect.strings("status") == ["200", "204"])
    }

    @Test func `takes a bare host when an option has the port`() throws {
        #expect(try target("127.0.0.1", "port=81").address == "127.0.0.1:81")
        #expect(try target("unix:/run/x.sock").address == "unix:/run/x.sock")
    }

    @Test func `takes the URL of its kind, with what it says`() throws {
        func read(_ kind: String, _ url: String) throws -> (String, Options) {
            let target = try CheckTarget(url, options: [], kind: kind)
            return ("\(target.address)", target.options(for: kind))
        }
        for (kind, url, address) in [
            ("tcp", "tcp://a:1", "a:1"), ("tls", "https://a", "a:443"),
            ("tls", "tls://[::1]", "[::1]:443"),
            ("grpc", "grpc://a:50051", "a:50051"), ("dialogue", "tcp://a:25", "a:25"),
            ("redis", "redis://a/0", "a:6379"), ("ssh", "ssh://a", "a:22"),
            ("smtp", "tcp://a:25", "a:25"), ("dns", "dns://a", "a:53"),
            ("dns", "192.0.2.1", "192.0.2.1:53"),
            ("redis", "localhost", "localhost:6379"), ("haproxy-agent-check", "tcp://a:9", "a:9"),
        ] {
            let (seen, options) = try read(kind, url)
            #expect(seen == address)
            #expect(options.keys.isEmpty, "\(url)")
        }
        var (_, options) = try read("redis", "rediss://me:p%40ss@a:1")
        #expect(try options.bool("tls") == true)
        #expect(try options.string("username") == "me")
        #expect(try options.string("password") == "p@ss")
        (_, options) = try read("dns", "dns://a/www.example.com?type=mx")
        #expect(try options.string("name") == "www.example.com")
        #expect(try options.string("record") == "MX")
        (_, options) = try read("grpc", "grpcs://a/shop.Orders")
        #expect(try options.bool("tls") == true)
        #expect(try options.string("service") == "shop.Orders")
        (_, options) = try read("http", "http://me:pw@a/x")
        #expect(try options.string("host") == "a")
        let auth = options.take("auth")
        var inner = try Options(try #require(auth), path: "auth")
        #expect(try inner.string("basic") == "me:pw")
    }

    @Test(arguments: [
        (
            "tcp", "http://a/",
            "expected tcp:// or tls:// or host:port for a check 'tcp', saw a URL of "
                + "'http', which is for 'muster check http'"
        ),
        ("tls", "https://a/path", "expected nothing after the port, saw '/path' for a check 'tls'"),
        ("dns", "dns://a/b?class=IN", "expected nothing after the port"),
        ("tcp", "tcp://a", "expected host:port"), ("tcp", "tcp://me@a:1", "expected no user"),
        ("tcp", ":8084", "expected a host before the port, such as 127.0.0.1:8084"),
        ("http", "http://me:secret@a:99999/", "target 'http://…@a:99999/': expected a port"),
    ])
    func `refuses the URL of another kind, and what it could not mean`(
        kind: String,
        url: String,
        words: String
    ) {
        let error = #expect(throws: SettingError.self) {
            try CheckTarget(url, options: [], kind: kind)
        }
        let message = error.map { "\($0)" } ?? ""
        #expect(message.contains(words), "\(message)")
        #expect(!message.contains("secret"))
    }

    @Test func `a drop-in kind takes of a URL what its parameters are`() throws {
        var target = try CheckTarget(
            "smtps://a",
            options: [],
            kind: "smtp",
            base: "dialogue",
            parameters: ["helo", "tls"]
        )
        #expect("\(target.address)" == "a:465")
        #expect(target.options(for: "smtp").keys == ["tls"])
        target = try CheckTarget("http://a/", options: [], kind: "x", base: "http", parameters: [])
        #expect(target.options(for: "x").keys.isEmpty)
        #expect(throws: SettingError.self) {
            try CheckTarget("http://a/b", options: [], kind: "x", base: "http", parameters: [])
        }
    }

    @Test func `a dot leads into a map, and nothing is said twice`() throws {
        var (_, options) = try target("a:1", "tls.verify=false", "tls.ca=x", "expect.status=204")
        let written = options.take("tls")
        var tls = try Options(try #require(written), path: "tls")
        #expect(try tls.bool("verify") == false)
        #expect(try tls.string("ca") == "x")
        for said in [["a=1", "a=1"], ["a.b=1", "a=1"], ["a=1", "a.b=1"], ["a.b=1", "a.b=2"]] {
            let error = #expect(throws: SettingError.self) {
                try CheckTarget("a:1", options: said)
            }
            #expect(error?.message == "expected it once, saw it a second time")
        }
    }

    @Test(arguments: [
        (
            "127.0.0.1", "a=b",
            "target '127.0.0.1': expected host:port, [v6]:port or unix:/path, saw "
                + "'127.0.0.1'"
        ),
        ("a:1", "b", "--option: expected key=value, saw no '='"),
        ("a:1", "=b", "--option: expected key=value, saw no key"),
        (
            "http://a:99999/", "a=b",
            "target 'http://a:99999/': expected a port from 1 to 65535, saw "
                + "'99999'"
        ),
    ])
    func `says what it cannot read`(text: String, option: String, complaint: String) {
        #expect(throws: SettingError.self) { try target(text, option) }
        do throws(SettingError) {
            _ = try target(text, option)
        } catch {
            #expect("\(error)" == complaint)
        }
    }
}

@Suite struct CheckHelpTests {
    /// Settings without which a kind would complain of something else first.
    private static let needed = [
        "command": "/bin/true", "dialogue": "x", "dns": "a.example", "service": "/bin/true",
    ]

    @Test(arguments: CheckRegistry.builtin.kinds.map(\.kind))
    func `has a line for every setting that is taken, and no other`(kind: String) throws {
        var entries: [Setting.Entry] = []
        let place = Position(file: "test", line: 1, column: 1)
        func add(_ key: String, _ text: String) {
            let value = Setting(.scalar(text, isQuoted: true), at: place)
            entries.append(Setting.Entry(key: key, position: place, value: value))
        }
        let key = ["dialogue": "expect", "dns": "name"][kind] ?? kind
        if let text = Self.needed[kind] { add(key, text) }
        add(String(repeating: "z", count: 60), "1")
        let error = #expect(throws: SettingError.self) {
            try CheckRegistry.builtin.make(kind, from: Options(entries, at: place, path: kind))
        }
        let message = error?.message ?? ""
        let words = try #require(message.split(separator: "expected one of ").last)
        let rows = try #require(CheckHelp.rows(of: kind)).map(\.name)
        #expect(Set(rows).count == rows.count)
        #expect(
            Set(rows.filter { !$0.contains(".") })
                == Set(words.split(separator: ", ").map(String.init)),
            "\(message)"
        )
    }

    @Test func `shows settings with what they are where nobody says them`() throws {
        let text = try #require(CheckHelp.text(of: "dns", in: .builtin))
        #expect(text.hasPrefix("dns: ask a name server"))
        #expect(text.contains("muster check dns dns://HOST[:PORT] "))
        #expect(text.contains(#/\n  record +A +A AAAA CNAME/#), "\(text)")
        #expect(CheckHelp.text(of: "nonsense", in: .builtin) == nil)
    }

    @Test func `a drop-in kind's password is not shown`() throws {
        let place = Position(file: "own.yaml", line: 1, column: 1)
        let settings = Setting(
            .map(
                ["username", "password"].map { key in
                    .init(
                        key: key,
                        position: place,
                        value: Setting(.scalar("{\(key)}", isQuoted: true), at: place)
                    )
                }
            ),
            at: place
        )
        let parameters = [("username", "ann"), ("password", "secret")].map { name, value in
            DropIn.Parameter(
                name: name,
                position: place,
                value: Setting(.scalar(value, isQuoted: true), at: place)
            )
        }
        let own = try DropIn(
            name: "own",
            summary: "ours",
            base: "redis",
            settings: settings,
            parameters: parameters
        )
        let text = try #require(CheckHelp.text(of: "own", in: CheckRegistry.builtin.adding([own])))
        #expect(text.contains("ann") && text.contains("***") && !text.contains("secret"))
    }

    @Test func `is asked for with a kind`() {
        #expect(CheckHelp.answer(to: ["check", "http", "--help"])?.hasPrefix("http: ") == true)
        #expect(
            CheckHelp.answer(to: ["check", "-o", "a=b", "tcp", "x:1", "-h"])?.hasPrefix("tcp: ")
                == true
        )
        #expect(CheckHelp.answer(to: ["check", "--help"]) == nil)
        #expect(CheckHelp.answer(to: ["check", "http"]) == nil)
        #expect(CheckHelp.answer(to: ["status", "http", "--help"]) == nil)
    }
}

@Suite struct PluginTests {
    @Test func `whatever is wrong, it is one line`() {
        #expect(Plugin.line("http", "a|b\nc") == "HTTP UNKNOWN - a/b c")
        #expect(Plugin.line(nil, "x") == "CHECK UNKNOWN - x")
        #expect(Plugin.line("tcp", String(repeating: "é", count: 9_999)).utf8.count < 1_030)
    }
}
