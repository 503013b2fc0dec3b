// What does `muster check` print, and how does it end? As a Nagios plugin would.

import Health
import Settings
import Testing
import Vocabulary

@testable import Checks
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

    @Test(arguments: [
        (
            "127.0.0.1", "a=b",
            "target '127.0.0.1': expected host:port, [v6]:port or unix:/path, saw "
                + "'127.0.0.1'"
        ),
        ("a:1", "b", "--option: expected key=value, saw 'b'"),
        ("a:1", "=b", "--option: expected key=value, saw '=b'"),
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
