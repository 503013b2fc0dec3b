// Which answers must mean the same to both HTTP engines? One table, played to each of them.

import Checks
import Health
import TestSupport
import Testing
import Vocabulary

/// One server and one check, and what becomes of them.
struct Conformance: Sendable, CustomTestStringConvertible {
    typealias Step = ScriptedServer.Step

    let name: String
    var settings: TestSetting = [:]
    let script: [Step]
    var verdict = Outcome.Verdict.fail
    let reason: Reason
    var code: Int?
    var isImmediate = false
    /// Why the sentences may differ; everything else may not.
    var wording: String?
    /// What libcurl makes of it where it cannot be as strict, and why it cannot.
    var curl: (verdict: Outcome.Verdict, reason: Reason, because: String)?

    var testDescription: String { name }

    /// The engines, by a setting that changes nothing else.
    static let engines: [(name: String, extra: [(String, TestSetting)])] = [
        ("muster", []), ("libcurl", [("cookies", true)]),
    ]

    // MARK: Words for rows

    private static func answer(_ text: String, then end: Step = .stall) -> [Step] {
        [.expect("\r\n\r\n"), .send(text), end]
    }

    private static let empty = "\r\nContent-Length: 0\r\n\r\n"
    private static let libcurlCountsLines =
        "libcurl hands on whole lines, so the bytes of an unfinished one are not counted"

    private static func body(_ text: String) -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)"
    }

    static let table: [Conformance] =
        statuses + heads + bodies + framings + degrees + faults + malformed

    private static let statuses: [Conformance] = [
        ("200 OK", [:], Outcome.Verdict.pass), ("204 No Content", [:], .pass),
        ("301 Moved Permanently", [:], .pass), ("404 Not Found", [:], .fail),
        ("404 Not Found", ["expect": "4xx"], .pass), ("500", [:], .fail),
        ("503 Service Unavailable", [:], .fail), ("599 Odd", [:], .fail),
        ("401 Unauthorized", [:], .fail), ("407 Proxy Authentication Required", [:], .fail),
        ("304 Not Modified", [:], .pass), ("206 Partial Content", [:], .pass),
        ("416 Range Not Satisfiable", ["expect": "416"], .pass),
    ].map { (line: String, settings: TestSetting, verdict: Outcome.Verdict) in
        Conformance(
            name: "status \(line)",
            settings: settings,
            script: answer("HTTP/1.1 \(line)\(empty)"),
            verdict: verdict,
            reason: verdict == .pass ? .layer7OK : .layer7Status,
            code: Int(line.prefix(3))
        )
    }

    private static let heads: [Conformance] = [
        Conformance(
            name: "HTTP/1.0",
            script: answer("HTTP/1.0 200 OK\r\n\r\n", then: .close),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "a redirect that nobody follows",
            script: answer("HTTP/1.1 302 Found\r\nLocation: /elsewhere\(empty)"),
            verdict: .pass,
            reason: .layer7OK,
            code: 302
        ),
        Conformance(
            name: "a header that is right",
            settings: ["expect": ["headers": ["X-State": "well"]]],
            script: answer("HTTP/1.1 200 OK\r\nx-state:  well \(empty)"),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "a header that is wrong",
            settings: ["expect": ["headers": ["X-State": "well"]]],
            script: answer("HTTP/1.1 200 OK\r\nX-State: ill\(empty)"),
            reason: .layer7Status,
            code: 200
        ),
        Conformance(
            name: "the second of two headers",
            settings: ["expect": ["headers": ["Set-Cookie": ["contains": "b="]]]],
            script: answer("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\(empty)"),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "a space before a colon, which responses may have",
            script: answer("HTTP/1.1 200 OK\r\nX-A : b\(empty)"),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "a coding of a body that nobody reads",
            script: answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nabc"),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "HEAD",
            settings: ["method": "HEAD"],
            script: answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "an interim answer before the answer",
            script: answer(
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\(empty)"
            ),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "100 Continue before a bad answer",
            script: answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oops\(empty)"),
            reason: .layer7Status,
            code: 500
        ),
        Conformance(
            name: "interim answers without end",
            script: [
                .expect("\r\n\r\n"),
                .endless(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), everyMilliseconds: 0),
            ],
            reason: .layer7Response
        ),
        Conformance(
            name: "a head in single bytes",
            script: [
                .expect("\r\n\r\n"),
                .pieces("HTTP/1.1 200 OK\(empty)".map { "\($0)" }, everyMilliseconds: 0), .stall,
            ],
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
    ]

    private static let bodies: [Conformance] = [
        ("contains", ["contains": "ready"], "we are ready", Outcome.Verdict.pass),
        ("contains not", ["contains": "ready"], "not yet", .fail),
        ("matches", ["matches": "^queue: \\d+$"], "ok\nqueue: 17\n", .pass),
        ("matches not", ["matches": "^queue: \\d+$"], "queue: many", .fail),
        ("JSON", ["json": ["/status": "up"]], #"{"status": "up"}"#, .pass),
        ("wrong JSON", ["json": ["/status": "up"]], #"{"status": "sick"}"#, .fail),
        ("no JSON", ["json": ["/status": "up"]], "up", .fail),
    ].map { (name: String, expect: TestSetting, text: String, verdict: Outcome.Verdict) in
        Conformance(
            name: "body: \(name)",
            settings: ["expect": expect],
            script: answer(body(text)),
            verdict: verdict,
            reason: verdict == .pass ? .layer7OK : .layer7Status,
            code: 200
        )
    }

    private static let framings: [Conformance] = [
        Conformance(
            name: "chunks",
            settings: ["expect": ["matches": "^all well$"]],
            script: answer(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "3\r\nall\r\n5;x=y\r\n well\r\n0\r\nTrailer: HTTP/1.1\r\n\r\n"
            ),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "chunks in single bytes",
            settings: ["expect": ["contains": "all well"]],
            script: [
                .expect("\r\n\r\n"),
                .pieces(
                    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "3\r\nall\r\n5\r\n well\r\n0\r\n\r\n").unicodeScalars.map { "\($0)" },
                    everyMilliseconds: 0
                ),
                .stall,
            ],
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "until close",
            settings: ["expect": ["matches": "^fine$"]],
            script: answer("HTTP/1.1 200 OK\r\n\r\nfine", then: .close),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "nothing until close",
            settings: ["expect": ["contains": "fine"]],
            script: answer("HTTP/1.1 200 OK\r\n\r\n", then: .close),
            reason: .layer7Status,
            code: 200
        ),
        Conformance(
            name: "a body that nobody asks for",
            script: answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "a huge body",
            settings: ["expect": ["contains": "b"]],
            script: [
                .expect("\r\n\r\n"),
                .send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"),
                .endless([UInt8](repeating: 0x61, count: 4_096), everyMilliseconds: 0),
            ],
            reason: .layer7Status,
            code: 200
        ),
        Conformance(
            name: "a body without end",
            settings: ["expect": ["contains": "b"]],
            script: [
                .expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\n\r\n"),
                .endless([UInt8](repeating: 0x61, count: 4_096), everyMilliseconds: 0),
            ],
            reason: .layer7Status,
            code: 200
        ),
        Conformance(
            name: "the word is there before the body ends",
            settings: ["expect": ["contains": "ready"]],
            script: answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nready"),
            verdict: .pass,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "a body cut short",
            settings: ["expect": ["contains": "fine"]],
            script: answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfin", then: .close),
            reason: .layer7Response,
            code: 200
        ),
        Conformance(
            name: "chunks cut short",
            settings: ["expect": ["contains": "fine"]],
            script: answer(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfin\r\n",
                then: .close
            ),
            reason: .layer7Response,
            code: 200
        ),
        Conformance(
            name: "a body that stops",
            settings: ["expect": ["contains": "fine"]],
            script: answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfin"),
            reason: .layer7Timeout
        ),
        Conformance(
            name: "a body that is reset",
            settings: ["expect": ["contains": "fine"]],
            script: answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", then: .reset),
            reason: .layer7Response,
            code: 104
        ),
    ]

    private static let degrees: [Conformance] = [
        Conformance(
            name: "fails at once",
            settings: ["immediate-fail": 410],
            script: answer("HTTP/1.1 410 Gone\(empty)"),
            reason: .layer7Status,
            code: 410,
            isImmediate: true
        ),
        Conformance(
            name: "degraded by status",
            settings: ["degraded": ["status": 429]],
            script: answer("HTTP/1.1 429 Too Many Requests\(empty)"),
            verdict: .warn,
            reason: .layer7OK,
            code: 429
        ),
        Conformance(
            name: "degraded by header",
            settings: ["degraded": ["headers": ["X-State": "tired"]]],
            script: answer("HTTP/1.1 200 OK\r\nX-State: tired\(empty)"),
            verdict: .warn,
            reason: .layer7OK,
            code: 200
        ),
        Conformance(
            name: "degraded by latency",
            settings: ["degraded": ["latency": "20ms"]],
            script: [
                .expect("\r\n\r\n"),
                .pieces(
                    ["HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n\r\n"],
                    everyMilliseconds: 30
                ),
                .stall,
            ],
            verdict: .warn,
            reason: .layer7OK,
            code: 200,
            wording: "it says how long it took"
        ),
    ]

    private static let faults: [Conformance] = [
        Conformance(name: "silence", script: [.stall], reason: .layer7Timeout),
        Conformance(
            name: "a byte now and then",
            script: [
                // The whole takes far longer than the deadline.
                .pieces("HTTP/1.1 200 OK\(empty)".map { "\($0)" }, everyMilliseconds: 250), .stall,
            ],
            reason: .layer7Timeout,
            wording: libcurlCountsLines
        ),
        Conformance(
            name: "a wrong byte now and then",
            script: [.endless([0x48], everyMilliseconds: 60)],
            reason: .layer7Timeout,
            wording: "it says how many bytes came"
        ),
        Conformance(
            name: "a status and then silence",
            script: [.expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\n"), .stall],
            reason: .layer7Timeout
        ),
        Conformance(
            name: "half a status and then silence",
            script: [.expect("\r\n\r\n"), .send("HTTP/1.1 2"), .stall],
            reason: .layer7Timeout,
            wording: libcurlCountsLines
        ),
        Conformance(
            name: "a reset at once",
            script: [.expect("\r\n\r\n"), .reset],
            reason: .layer7Response,
            code: 104
        ),
        Conformance(
            name: "the end at once",
            script: [.expect("\r\n\r\n"), .close],
            reason: .layer7Response
        ),
        Conformance(
            name: "the end inside the head",
            script: answer("HTTP/1.1 200 OK\r\nX-State: w", then: .close),
            reason: .layer7Response,
            wording: libcurlCountsLines
        ),
        Conformance(
            name: "an endless head",
            script: [
                .expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\n"),
                .endless(Array("X-Filler: abcdefgh\r\n".utf8), everyMilliseconds: 0),
            ],
            reason: .layer7Response
        ),
        Conformance(
            name: "an endless line",
            script: [
                .expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nX-Filler: "),
                .endless([UInt8](repeating: 0x61, count: 4_096), everyMilliseconds: 0),
            ],
            reason: .layer7Response,
            wording: "libcurl has a limit of its own for a line"
        ),
    ]

    /// Both read the same bytes with the same parser, unless libcurl stops before it.
    private static let malformed: [Conformance] =
        [
            ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            ("HTTP/0.9", "<html>hello</html>"),
            ("no status", "HTTP/1.1\r\n\r\n"),
            ("a status of two digits", "HTTP/1.1 20 OK\(empty)"),
            ("a status of four digits", "HTTP/1.1 2000 OK\(empty)"),
            ("a status below 100", "HTTP/1.1 099 OK\(empty)"),
            ("a version of the future", "HTTP/3.0 200 OK\(empty)"),
            ("HTTP/2 in a line", "HTTP/2 200 OK\(empty)"),
            ("bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
            ("a folded line", "HTTP/1.1 200 OK\r\nX-A: b\r\n c\(empty)"),
            ("no colon", "HTTP/1.1 200 OK\r\nnonsense\(empty)"),
            ("a NUL", "HTTP/1.1 200 OK\r\nX-A: b\0c\(empty)"),
            ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
            ("a length of words", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
            (
                "a length too large",
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"
            ),
            (
                "a length and chunks",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ].map { (name: String, text: String) in
            Conformance(
                name: "malformed: \(name)",
                script: answer(text, then: .close),
                reason: .layer7Response,
                wording: "either the reader or libcurl meets the fault first"
            )
        }
        + [
            ("a chunk size that is none", "zz\r\nabc\r\n"),
            ("a chunk without its end", "3\r\nabcX\r\n"),
            ("a chunk size without end", "FFFFFFFFFFFFFFFFFF\r\n"),
            ("a bare line feed after a chunk size", "3\nabc\r\n0\r\n\r\n"),
        ].map { (name: String, text: String) in
            Conformance(
                name: "malformed: \(name)",
                settings: ["expect": ["contains": "fine"]],
                script: answer(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(text)",
                    then: .close
                ),
                reason: .layer7Response,
                code: 200,
                wording: "either the reader or libcurl meets the fault first"
            )
        }
}

extension TestSetting {
    /// With more keys.
    func with(_ extra: [(String, TestSetting)]) -> TestSetting {
        guard case .map(let entries) = self else { return self }
        return .map(entries + extra)
    }
}
