// Is a condition that could never come true refused, with the numbers that say why, and is nothing
// refused that could?

import Checks
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct NeverTripTests {
    private static let refused: [(String, TestSetting, String)] = [
        (
            "tls", ["expires-fail": "14d", "expires-warn": "3d"],
            "test.yaml:2:1: tls.expires-warn: expected more than expires-fail of 14d, saw 3d: it "
                + "would fail before it warned"
        ),
        (
            "tls", ["expires-warn": "14d", "expires-fail": "14d"],
            "test.yaml:1:1: tls.expires-warn: expected more than expires-fail of 14d, saw 14d: it "
                + "would fail before it warned"
        ),
        (
            "http", ["path": "/", "tls": ["expires-warn": "1d", "expires-fail": "2d"]],
            "test.yaml:2:1: http.tls.expires-warn: expected more than expires-fail of 2d, saw 1d: "
                + "it would fail before it warned"
        ),
        (
            "http", ["method": "HEAD", "expect": ["status": 200, "contains": "x"]],
            "test.yaml:3:1: http.expect.contains: expected no condition on a body with method "
                + "HEAD, whose answer has none, saw one"
        ),
        (
            "http", ["method": "HEAD", "expect": ["matches": "x"]],
            "test.yaml:2:1: http.expect.matches: expected no condition on a body with method "
                + "HEAD, whose answer has none, saw one"
        ),
        (
            "http", ["expect": ["json": ["/a": "x"]], "method": "HEAD"],
            "test.yaml:1:1: http.expect.json: expected no condition on a body with method HEAD, "
                + "whose answer has none, saw one"
        ),
        (
            "http", ["immediate-fail": 200, "expect": 200],
            "test.yaml:1:1: http.immediate-fail: expected no status of 'expect: 200', saw 200: 200 "
                + "could never pass"
        ),
        (
            "http", ["expect": "2xx 404", "immediate-fail": "4xx"],
            "test.yaml:2:1: http.immediate-fail: expected no status of 'expect: 2xx 404', saw 4xx: "
                + "404 could never pass"
        ),
        (
            "http", ["immediate-fail": "200-399"],
            "test.yaml:1:1: http.immediate-fail: expected no status of 'expect: 2xx 3xx', saw "
                + "200-399: 2xx 3xx could never pass"
        ),
        (
            "http", ["immediate-fail": "410 5xx", "degraded": ["status": "429 503"]],
            "test.yaml:2:1: http.degraded.status: expected none of 'immediate-fail: 410 5xx', saw "
                + "429 503: 503 could never degrade"
        ),
        (
            "http", ["expect": 100],
            "test.yaml:1:1: http.expect: expected statuses of final answers, saw '100': an answer of "
                + "1xx is followed by another, which is judged"
        ),
        (
            "http", ["immediate-fail": "102-199"],
            "test.yaml:1:1: http.immediate-fail: expected statuses of final answers, saw '102-199': "
                + "an answer of 1xx is followed by another, which is judged"
        ),
        (
            "http", ["expect": ["status": 204, "json": ["/a": "x"]]],
            "test.yaml:2:1: http.expect.json: expected no condition on a body with status 204, whose "
                + "answer has none, saw one"
        ),
        (
            "http", ["redirects": 3, "expect": "301 302"],
            "test.yaml:1:1: http.expect: expected another status than 301 302 with 'redirects', which "
                + "follows such an answer and judges the one behind it"
        ),
        (
            "http", ["expect": ["headers": ["x y": "1"]]],
            "test.yaml:1:1: http.expect.headers.x y: expected the name of a header"
        ),
        (
            "http", ["expect": ["headers": ["x": " 1"]]],
            "test.yaml:1:1: http.expect.headers.x: expected a text that a header may have: one line, "
                + "without blanks at its ends, saw ' 1'"
        ),
        (
            "http", ["path": "/a b"],
            "test.yaml:1:1: http.path: expected a path as it is sent, such as '/a%20b', saw a blank in "
                + "'/a b'"
        ),
        (
            "http", ["path": "/#é"],
            "test.yaml:1:1: http.path: expected a path as it is sent, such as '/%23%C3%A9', saw a '#', "
                + "which no server is ever sent in '/#é'"
        ),
        (
            "dns", ["name": "a", "expect": ["192.0.2.1", "nonsense"]],
            "test.yaml:2:1: dns.expect: expected addresses of record A, such as 192.0.2.1, saw "
                + "'nonsense': no answer could be that"
        ),
        (
            "dns", ["name": "a", "record": "AAAA", "expect": "192.0.2.1"],
            "test.yaml:3:1: dns.expect: expected addresses of record AAAA, such as 2001:db8::1, "
                + "saw '192.0.2.1': no answer could be that"
        ),
        (
            "dns", ["name": "a", "expect": "2001:db8::1"],
            "test.yaml:2:1: dns.expect: expected addresses of record A, such as 192.0.2.1, saw "
                + "'2001:db8::1': no answer could be that"
        ),
        (
            "dns", ["name": "a", "record": "SRV", "expect": "sip.example.com"],
            "test.yaml:3:1: dns.expect: expected priority, weight, port and name of record SRV, such "
                + "as '0 5 5060 sip.example.com', saw 'sip.example.com': no answer could be that"
        ),
        (
            "dns", ["name": "a", "record": "MX", "expect": "mail.example.com"],
            "test.yaml:3:1: dns.expect: expected preference and name of record MX, such as '10 "
                + "mail.example.com', saw 'mail.example.com': no answer could be that"
        ),
        (
            "dns", ["name": "a", "record": "MX", "expect": "70000 mail"],
            "test.yaml:3:1: dns.expect: expected preference and name of record MX, such as '10 "
                + "mail.example.com', saw '70000 mail': no answer could be that"
        ),
        (
            "dns", ["name": "a", "record": "CNAME", "expect": "two words"],
            "test.yaml:3:1: dns.expect: expected names of record CNAME, such as 'www.example.com', "
                + "saw 'two words': no answer could be that"
        ),
        (
            "dns", ["name": "a", "record": "CNAME", "expect": ["b", "c"]],
            "test.yaml:3:1: dns.expect: expected one record CNAME, saw 2: a name has no more of them"
        ),
        (
            "dns", ["name": "192.0.2.1", "record": "PTR"],
            "test.yaml:1:1: dns.name: expected a domain name, for this address "
                + "'1.2.0.192.in-addr.arpa', saw '192.0.2.1': no answer could come"
        ),
        (
            "dns", ["name": "a", "rcode": "NXDOMAIN", "expect": "192.0.2.1"],
            "test.yaml:3:1: dns.expect: expected nothing beside 'rcode: NXDOMAIN', saw '192.0.2.1': "
                + "such an answer has no records"
        ),
        (
            "tcp", ["expect": "PONG", "expect-pattern": "PONG"],
            "test.yaml:2:1: tcp.expect-pattern: expected one step, saw 'expect' beside it; 'steps' "
                + "takes a list of them, in order"
        ),
        (
            "tcp", ["steps": [["send": "a", "expect": "b"]]],
            "test.yaml:2:1: tcp.steps[0].expect: expected one step, saw 'send' beside it; 'steps' "
                + "takes a list of them, in order"
        ),
        (
            "tcp", ["send": "a", "reject": "b"],
            "test.yaml:1:1: tcp: expected one of expect, expect-hex, expect-pattern beside a "
                + "rejection, saw none: nothing would be read"
        ),
    ]

    @Test(arguments: refused)
    func `what contradicts itself is refused with the numbers`(
        kind: String,
        settings: TestSetting,
        message: String
    ) {
        #expect(complaint(kind, settings) == message)
    }

    private static let accepted: [(String, TestSetting)] = [
        ("tls", ["expires-warn": "14d", "expires-fail": "3d"]), ("tls", ["expires-warn": "3d"]),
        ("tls", ["expires-fail": "14d"]),
        ("http", ["method": "HEAD", "expect": ["status": 200, "headers": ["server": "x"]]]),
        ("http", ["method": "POST", "expect": ["contains": "x"]]),
        ("http", ["expect": "1xx 200"]), ("http", ["expect": "101"]),
        ("http", ["expect": ["status": "200 204", "contains": "x"]]),
        ("http", ["redirects": 3, "expect": "200 301"]), ("http", ["expect": 301]),
        ("http", ["expect": ["headers": ["x": ["contains": " 1"]]]]),
        ("tcp", ["send": "a", "expect": "a"]),
        // A part of what is expected may fail at once, or degrade.
        ("http", ["immediate-fail": 204]), ("http", ["immediate-fail": "3xx"]),
        ("http", ["expect": "2xx", "immediate-fail": "204"]),
        ("http", ["expect": "200", "degraded": ["status": "200"]]),
        ("http", ["degraded": ["status": "429"], "immediate-fail": "410"]),
        ("http", ["degraded": ["status": "4xx"], "immediate-fail": "410"]),
        ("dns", ["name": "a", "expect": ["192.0.2.1", "192.0.2.2"]]),
        ("dns", ["name": "a", "record": "AAAA", "expect": "2001:DB8:0:0::1"]),
        ("dns", ["name": "a", "record": "CNAME", "expect": "nonsense"]),
        ("dns", ["name": "a", "record": "CNAME", "expect": ["B.", "b"]]),
        ("dns", ["name": "192.0.2.1", "rcode": "NXDOMAIN"]),
        ("dns", ["name": ".", "record": "NS"]),
        ("dns", ["name": "a", "record": "MX", "expect": "0 ."]),
        ("tcp", ["send": "a", "reject": "b", "expect": "c"]),
    ]

    @Test(arguments: accepted)
    func `what may come true is taken`(kind: String, settings: TestSetting) {
        #expect(complaint(kind, settings) == nil)
    }

    private static let doubtful: [(String, TestSetting, String?)] = [
        (
            "http", ["expect": ["json": ["/v": "1.50"]]],
            "http.expect.json./v: '1.50' is compared letter by letter, and only a string \"1.50\" is "
                + "equal to it: without quotes JSON has '1.5'"
        ),
        (
            "http", ["expect": ["json": ["/v": "True"]]],
            "http.expect.json./v: 'True' is compared letter by letter, and only a string \"True\" is "
                + "equal to it: without quotes JSON has 'true'"
        ),
        ("http", ["expect": ["json": ["/v": "1.5"]]], nil),
        ("http", ["expect": ["json": ["/v": "up"]]], nil),
        ("http", ["expect": ["json": ["/v": "true"]]], nil),
        (
            "http", ["headers": ["accept-encoding": "gzip"], "expect": ["contains": "x"]],
            "http.headers.accept-encoding: 'gzip' invites a compressed body, which is not undone and "
                + "fails the conditions on it; 'identity' asks for plain text"
        ),
        ("http", ["headers": ["accept-encoding": "gzip"]], nil),
        (
            "grpc", ["service": "grpc.health.v1.Health"],
            "grpc.service: 'grpc.health.v1.Health' is the service that is asked; servers know the "
                + "health of the services they offer, and of themselves without a name"
        ),
        ("grpc", ["service": "shop"], nil),
    ]

    @Test(arguments: doubtful)
    func `what is hardly meant so is warned of`(
        kind: String,
        settings: TestSetting,
        words: String?
    ) throws {
        let check = try CheckRegistry.builtin.make(kind, from: settings.options(path: kind))
        let schedule = Schedule(interval: .seconds(2), timeout: .seconds(1))
        let doubts = check.warnings(on: schedule)
        #expect(
            doubts.map { "\($0)".hasSuffix(words ?? "-") } == (words == nil ? [] : [true])
        )
    }

    // MARK: By the schedule

    private func mistake(
        _ kind: String,
        _ settings: TestSetting,
        registry: CheckRegistry = .builtin
    ) -> String? {
        do throws(SettingError) {
            let options = settings.options(path: "monitors[0].\(kind)")
            _ = try MonitorDefinition.make(kind, from: options, registry: registry)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func `no answer is waited for longer than the timeout`() {
        #expect(
            mistake("http", ["timeout": "500ms", "degraded": ["latency": "2s"]])
                == "test.yaml:2:1: monitors[0].http.degraded.latency: expected less than the "
                + "timeout of 500ms, saw 2s: no answer is waited for that long"
        )
        // The timeout where nobody wrote one, and where the interval makes it shorter.
        #expect(
            mistake("http", ["degraded": ["latency": "1s"]])?
                .hasSuffix(
                    "expected less than the timeout of 1s, saw 1s: no answer is waited for that long"
                )
                == true
        )
        #expect(mistake("http", ["degraded": ["latency": "300ms"], "interval": "200ms"]) != nil)
        #expect(mistake("http", ["degraded": ["latency": "999ms"]]) == nil)
        #expect(
            mistake("http", ["degraded": ["latency": "2s"], "interval": "5s", "timeout": "3s"])
                == nil
        )
        // By hand there is no schedule.
        #expect(complaint("http", ["degraded": ["latency": "5s"]]) == nil)
    }

    @Test func `a drop-in kind is held against the timeout of its monitor`() throws {
        let place = Position(file: "checks.d/slow.yaml", line: 3, column: 5)
        let latency = TestSetting.scalar("{limit}", isQuoted: true)
        let settings = TestSetting.map([("degraded", .map([("latency", latency)]))]).setting()
        let registry = CheckRegistry.builtin.adding([
            try DropIn(
                name: "slow",
                summary: "",
                base: "http",
                settings: Setting(settings.value, at: place),
                parameters: [DropIn.Parameter(name: "limit", position: place, value: nil)]
            )
        ])
        #expect(mistake("slow", ["limit": "200ms"], registry: registry) == nil)
        #expect(
            mistake("slow", ["interval": "3s", "limit": "1500ms"], registry: registry)
                == "test.yaml:2:1: monitors[0].slow: http.degraded.latency: expected less than the "
                + "timeout of 1s, saw 1500ms: no answer is waited for that long"
        )
    }
}
