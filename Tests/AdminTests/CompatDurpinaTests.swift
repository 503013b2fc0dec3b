// What do durpina's words mean in muster's?

import Health
import Store
import Testing
import Vocabulary

@testable import Admin

@Suite struct CompatDurpinaTests {
    @Test(arguments: [
        (["ready"], DurpinaRequest.ready),
        (["upstream", "foo", "action", "info"], .action(upstream: "foo", "info")),
        (["set_peer_weight", "foo"], .action(upstream: "foo", "set_peer_weights")),
        (["set_upstream_peer_weight", "foo", "h:1"], .weight(upstream: "foo", peer: "h:1", nil)),
        (
            ["set_upstream_peer_weight", "foo", "h:1", "7"],
            .weight(upstream: "foo", peer: "h:1", "7")
        ),
        ([], .none), (["upstream", "foo"], .none), (["ready", "x"], .none),
        (["upstream", "foo", "acton", "info"], .none),
    ])
    func `a path asks for something`(_ segments: [String], _ request: DurpinaRequest) {
        #expect(DurpinaRequest(segments) == request)
    }

    private static func peer(_ text: String) throws -> String {
        try DurpinaBody.peer(try JSON(parsing: Array(text.utf8))).text
    }

    @Test(arguments: [
        (
            #""localhost:8080 weight=7 fail_timeout=15""#,
            #""localhost:8080 weight=7 fail_timeout=15 max_fails=3""#
        ),
        (#""localhost""#, #""localhost:80 max_fails=3""#),
        (#""h:1 max_fails=9""#, #""h:1 max_fails=9""#),
        (
            #"{"name":"localhost:8080","fail_timeout":15,"weight":7}"#,
            #"{"address":"localhost:8080","max-fails":3,"weight":7,"fail-timeout":"15s"}"#
        ),
        (#"{"host":"h","port":8080}"#, #"{"address":"h:8080","max-fails":3}"#),
        (
            #"{"host":"h","fail_timeout":"2s"}"#,
            #"{"address":"h:80","max-fails":3,"fail-timeout":"2s"}"#
        ),
    ])
    func `a peer is a line or a table`(_ theirs: String, _ ours: String) throws {
        #expect(try Self.peer(theirs) == ours)
    }

    @Test(arguments: ["{}", "5", "null", #""""#, #"{"weight":1}"#])
    func `what names nobody is no peer`(_ text: String) {
        #expect(throws: DurpinaBody.Problem.self) { try Self.peer(text) }
    }

    private static func monitor(_ text: String) throws -> String {
        try DurpinaBody.monitor(try JSON(parsing: Array(text.utf8))).text
    }

    @Test(arguments: [
        (#"{"name":"http"}"#, #"{"http":{"interval":"5s"}}"#),
        (
            #"{"name":"http","id":"h","url":"/hello","ok_codes":"2xx","interval":"5m","header_x_y":"z","header_host":"a"}"#,
            #"{"http":{"id":"h","path":"/hello","expect":"2xx","interval":"5m","host":"a","headers":{"x-y":"z"}}}"#
        ),
        (
            #"{"name":"tcp","timeout":200,"port":10000,"interval":30}"#,
            #"{"tcp":{"timeout":"200ms","port":10000,"interval":"30s"}}"#
        ),
        (
            #"{"name":"haproxy-agent-check","timeout":"200","peers":"all"}"#,
            #"{"haproxy-agent-check":{"timeout":"200ms","interval":"5s","on-error":"fail"}}"#
        ),
        (
            #"{"name":"http-haproxy-agent-check","uri":"/a"}"#,
            #"{"http-agent":{"path":"/a","interval":"5s","on-error":"fail"}}"#
        ),
    ])
    func `a monitor is one of ours`(_ theirs: String, _ ours: String) throws {
        #expect(try Self.monitor(theirs) == ours)
    }

    @Test(arguments: [
        ("{}", "expected the monitor's 'name', saw none"),
        (#"{"name":"mine"}"#, "unknown monitor mine"),
        (#"{"name":"tcp","uri":"/"}"#, "unknown option uri"),
        (#"{"name":"tcp","peers":"failing"}"#, #"peers: expected all, saw '"failing"'"#),
        (#"{"name":"tcp","interval":[]}"#, "expected a time, saw '[]'"),
    ])
    func `what is no monitor says why`(_ text: String, _ words: String) {
        #expect(throws: DurpinaBody.Problem(text: words)) { try Self.monitor(text) }
    }

    @Test(
        arguments: [
            ("5", 5), ("256\n", 256), (" 7 ", 7), ("0", nil), ("1.5", nil), ("-1", nil),
            ("257", nil), ("", nil),
            ("5x", nil), ("99999999999999999999", nil), ("five", nil),
        ] as [(String, Int?)]
    )
    func `a weight is a positive whole number`(_ text: String, _ weight: Int?) {
        #expect(DurpinaBody.weight(text) == weight)
    }
}
