// How does `muster status` ask, and what does it make of the answer?

import TestSupport
import Testing
import Vocabulary

@testable import muster

@Suite struct StatusReportTests {
    private let body: JSON = [
        [
            "name": "web",
            "peers": [
                ["id": "a", "status": "up", "since": "2026-11-21T04:00:00.000Z", "reason": ""],
                ["id": "b", "status": "degraded", "since": 1_000, "reason": ["slow", "L7OK"]],
            ],
        ],
        ["name": "db", "peers": [["id": "c"]]],
    ]

    @Test func `prints a row for each peer`() {
        #expect(
            StatusReport(body, peer: nil).text.split(separator: "\n").map { $0.trimmed } == [
                "UPSTREAM  PEER  STATUS    WEIGHT  CHECKS  SINCE                     REASON",
                "web       a     up        -       -       2026-11-21T04:00:00.000Z",
                "web       b     degraded  -       -       1970-01-01T00:00:01.000Z  slow; L7OK",
                "db        c     unknown   -       -       -",
            ]
        )
    }

    @Test func `an upstream whose settings cost requests is not fine, though its peers are`() {
        let body: JSON = [
            "name": "web",
            "refusals": [
                [
                    "cause": "full", "setting": "queue.size", "answer": 503, "count": 43,
                    "since": "T1", "last": "T2",
                    "text": "5 waited in line (queue.size)",
                ]
            ],
            "peers": [["id": "a", "status": "up", "since": "T0", "reason": ""]],
        ]
        let report = StatusReport(body, peer: nil)
        #expect(report.exitStatus == .warning)
        #expect(
            report.remarks == [
                "web: 43 requests were answered 503 since T1, the last at T2: 5 waited in line (queue.size)"
            ]
        )
        #expect(
            StatusReport(body, peer: "a").exitStatus == .fine,
            "of the peer there is nothing to say"
        )
    }

    private func check(_ monitor: String, _ status: String, health: Int) -> JSON {
        [
            "monitor": .string(monitor), "kind": "http", "required": true,
            "status": .string(status), "health": .init(health), "rise": 2, "fall": 3,
            "layer": "L7", "reason": "L7STS", "code": 503, "message": "Unavailable",
            "latency_ms": 2.345, "checked_at": "2026-11-21T04:00:01.000Z", "agent": "n1",
        ]
    }

    private var rich: JSON {
        [
            "name": "web", "panic": false,
            "peers": [
                [
                    "id": "a", "address": "10.0.0.1:80", "status": "down", "weight": 5,
                    "effective_weight": 0, "since": "T1", "reason": "L7STS/503",
                    "checks": [check("http", "down", health: 1), check("tcp", "up", health: 3)],
                ],
                [
                    "id": "10.0.0.2:80", "address": "10.0.0.2:80", "status": "up", "weight": 0,
                    "effective_weight": 0, "since": "T2",
                    "reason": "weight 0, as configured: no new requests, still probed",
                    "checks": [check("http", "up", health: 4)],
                ],
                [
                    "id": "10.0.0.3:80", "address": "10.0.0.3:80", "status": "starting",
                    "weight": 1, "effective_weight": 0.25, "backup": true, "since": "T3",
                    "reason": "slow start at 25%\u{1b}[2J",
                ],
            ],
        ]
    }

    @Test func `shows weight, role, address and checks`() {
        #expect(
            StatusReport([rich], peer: nil).text.split(separator: "\n").map { $0.trimmed } == [
                "UPSTREAM  PEER         STATUS    WEIGHT  ROLE    CHECKS  ADDRESS      SINCE  REASON",
                "web       a            down      0/5     -       1/2     10.0.0.1:80  T1     L7STS/503",
                "web       10.0.0.2:80  up        0       -       1/1     -            T2     "
                    + "weight 0, as configured: no new requests, still probed",
                "web       10.0.0.3:80  starting  0.25/1  backup  -       -            T3     "
                    + #"slow start at 25%\u001b[2J"#,
                "web is served by its backups",
            ]
        )
    }

    @Test func `names each check of an upstream, and explains those of a peer`() {
        let upstream = StatusReport(rich, peer: nil).text
        #expect(upstream.contains("  http=down,tcp=up  "))
        let peer = StatusReport(rich, peer: "a").text.split(separator: "\n").map { $0.trimmed }
        #expect(
            peer.dropFirst(2).prefix(3) == [
                "CHECK  KIND  STATUS  HEALTH      LATENCY  CHECKED                   AGENT  REASON",
                "http   http  down    1/2 passes  2.3ms    2026-11-21T04:00:01.000Z  n1     "
                    + "L7STS/503 Unavailable",
                "tcp    http  up      1/3 fails   2.3ms    2026-11-21T04:00:01.000Z  n1     "
                    + "L7STS/503 Unavailable",
            ]
        )
    }

    @Test(arguments: [
        (
            #""connected":false,"error":"refused""#,
            [
                "source hipache redis://r is away since T1: refused; routing goes on with what was read"
            ]
        ),
        (#""connected":true,"error":"m takes no marks""#, ["source hipache: m takes no marks"]),
        (#""connected":true,"error":null"#, []),
    ])
    func `a source that is away is remarked, and one whose lists name nobody is no trouble`(
        source: String,
        remarks: [String]
    ) throws {
        let about = #"{"sources":[{"name":"hipache","url":"redis://r","since":"T1",\#(source)}]}"#
        let report = StatusReport(
            try JSON(parsing: Array(#"[{"name":"hipache","status":"down","peers":[]}]"#.utf8)),
            peer: nil,
            readiness: try JSON(parsing: Array(about.utf8))
        )
        #expect(report.remarks == remarks)
        #expect(report.exitStatus == .fine)
    }

    @Test(arguments: [
        (#"{"name":"web","peers":[]}"#, "web has no peers: requests are answered 503"),
        (
            #"{"name":"web","peers":[{"id":"a","status":"down","effective_weight":0}]}"#,
            "web has no available peer: requests are answered 503"
        ),
        (
            #"{"name":"web","peers":[{"id":"a","status":"up","effective_weight":0},"#
                + #"{"id":"b","status":"drain","effective_weight":0}]}"#,
            "web has no available peer, and 1 with weight 0: requests are answered 503"
        ),
        (
            #"{"name":"web","panic":true,"available":0,"wanted":1,"peers":[{"id":"a","status":"down","#
                + #""effective_weight":0}]}"#,
            "web is in panic: 0 of 1 peer available; requests go to all that are not in maint, in drain or "
                + "at weight 0"
        ),
        (
            #"{"name":"web","panic":true,"panic_since":"T1","available":1,"wanted":20,"#
                + #""peers":[{"id":"a","status":"down","effective_weight":0}]}"#,
            "web is in panic since T1: 1 of 20 peers available; requests go to all that are not in "
                + "maint, in drain or at weight 0"
        ),
        (
            #"{"name":"web","panic":true,"available":0,"wanted":0,"peers":[{"id":"a","status":"up","#
                + #""effective_weight":0},{"id":"b","backup":true,"status":"down","effective_weight":0}]}"#,
            "web is in panic: no peer but backups is meant to serve, and none of them is available; "
                + "requests go to all that are not in maint, in drain or at weight 0"
        ),
    ])
    func `says what is wrong with an upstream`(body: String, remark: String) throws {
        let report = StatusReport(try JSON(parsing: Array(body.utf8)), peer: nil)
        #expect(report.text.hasSuffix("\n\n\(remark)"))
    }

    @Test(arguments: [
        (
            #"{"store":{"kind":"redis","connected":true,"write_error":"READONLY"}}"#,
            "store redis takes no writes: READONLY"
        ),
        (
            #"{"ledger":{"path":"/x","durable":false,"error":"No space left on device"}}"#,
            "what is asked of peers is not kept: /x: No space left on device"
        ),
        (
            #"{"store":{"kind":"redis","connected":true,"file_error":"state file /x cannot be "#
                + #"written: no space"}}"#,
            "state file /x cannot be written: no space"
        ),
        (
            #"{"memory_file":{"path":"/x","writable":false,"error":"cannot be written: no space"}}"#,
            "agent-check.memory-file /x cannot be written: no space"
        ),
        (
            #"{"configuration":{"refused_at":"T2","loaded_at":"T1","mistakes":3,"#
                + #""mistake":"muster.yaml:6:9: expected a duration"}}"#,
            "the configuration was refused at T2: muster.yaml:6:9: expected a duration "
                + "(and 2 more); what runs is the one of T1"
        ),
        (
            #"{"configuration":{"restart_due_since":"T2","waiting":["log (level info → debug)","#
                + #""sources.hipache"]}}"#,
            "a restart is due: log (level info → debug); sources.hipache changed in the file (seen at T2)"
        ),
        (
            #"{"overdue":{"pairs":3,"longest_ms":12400,"text":"web/a (http) and 2 more; 3 probes wait"}}"#,
            "3 probes are due for up to 12.4s and not begun: web/a (http) and 2 more; 3 probes wait"
        ),
        (
            #"{"other_definitions":{"pairs":3,"agents":["a2"],"first":"web/p (http): what agent a2 finds is about x"}}"#,
            "web/p (http): what agent a2 finds is about x, and so it is with 2 more. Give all agents "
                + "the same definition"
        ),
        (
            #"{"certificate":{"not_after":"T1","problem":"the certificate that is served: it ended"}}"#,
            "admin.tls: the certificate that is served: it ended"
        ),
        (
            #"{"history":{"path":"/x.history","durable":false,"error":"no space"},"ledger":{"durable":true}}"#,
            "the history of peers is not kept: /x.history: no space"
        ),
        (
            #"{"tracing":{"state":"failing","since":"T1","error":"http://c: refused","waiting":7,"dropped":{}}}"#,
            "tracing: spans do not arrive since T1: http://c: refused; 7 wait"
        ),
        (
            #"{"tracing":{"state":"ok","made":99,"refusal":"saw 400","dropped":{"queue":5,"refused":2}}}"#,
            "tracing: of 99 spans 7 were dropped: 5 from the queue, which was full, 2 that the receiver refused "
                + "(saw 400)"
        ),
        (
            #"{"tracing":{"state":"ok","made":9,"warning":"half is used","dropped":{}}}"#,
            "tracing: the receiver takes spans, and warned: half is used"
        ),
    ])
    func `says what is wrong with muster itself`(readiness: String, remark: String) throws {
        let readiness = try JSON(parsing: Array(readiness.utf8))
        let text = StatusReport(body, peer: nil, readiness: readiness).text
        #expect(text.hasSuffix("\n\n\(remark)"))
    }

    /// All are up, and nobody may take that for good news.
    @Test func `says who is held as it was, and ends with 1`() {
        func body(_ held: JSON, _ held2: JSON) -> JSON {
            [
                "name": "web",
                "peers": [
                    ["id": "a", "status": "up", "checks": [["monitor": "http", "held": held]]],
                    ["id": "b", "status": "up", "checks": [["monitor": "http", "held": held2]]],
                ],
            ]
        }
        let all = StatusReport(
            body("mass-change", "mass-change"),
            peer: nil,
            readiness: ["fleet": ["held": ["since": "T1", "pairs": 2]]]
        )
        let why =
            ": too many fell silent at once, for other agents too (store.mass-change); their checks fail, and "
            + "count when most answer again"
        #expect(all.text.hasSuffix("\n2 peers are held as they were since T1\(why)"))
        #expect(all.exitStatus == .warning)
        // Held by another agent; and one that only waits for others is no mass.
        let one = StatusReport(body("mass-change", "unconfirmed"), peer: nil)
        #expect(one.text.hasSuffix("\nweb/a is held as it was\(why)"))
        let other = StatusReport(body("mass-change", nil), peer: "b")
        #expect(!other.text.contains("held") && other.exitStatus == .fine)
    }

    @Test func `a check that was up long ago and fails now is not counted as well`() {
        func body(until end: JSON) -> JSON {
            let check: JSON = [
                "monitor": "http", "status": "up", "checked_at": "2026-11-29T03:47:13.465Z",
                "expires_at": end,
            ]
            return [
                "name": "web", "peers": [["id": "a", "status": "unknown", "checks": [check]]],
            ]
        }
        let over = body(until: "2026-11-29T03:37:13.466Z")
        #expect(StatusReport(over, peer: nil).rows.first?.checks == "http=unknown")
        #expect(StatusReport(["upstreams": [over]], peer: nil).rows.first?.checks == "0/1")
        let holds = body(until: "2026-11-29T03:47:17.465Z")
        #expect(StatusReport(holds, peer: nil).rows.first?.checks == "http=up")
    }

    @Test func `says that the store is away, and only then`() {
        let away: JSON = [
            "store": [
                "kind": "redis", "connected": false, "since": "T1", "error": "Connection refused",
                "as_of": "T1",
            ]
        ]
        let well: JSON = ["store": ["kind": "redis", "connected": true, "since": "T1"]]
        #expect(
            StatusReport(body, peer: nil, readiness: away).text.hasSuffix(
                "\n\nstore redis is away since T1: Connection refused; what other agents found is as of then"
            )
        )
        #expect(!StatusReport(body, peer: nil, readiness: well).text.contains("store"))
        let refusing: JSON = [
            "store": ["kind": "redis", "connected": true, "write_error": "READONLY no"]
        ]
        #expect(
            StatusReport(body, peer: nil, readiness: refusing).text.hasSuffix(
                "\n\nstore redis takes no writes: READONLY no"
            )
        )
        let known: JSON = [
            "store": [
                "kind": "redis", "connected": true, "since": "T1", "write_error": "OOM no",
                "as_of": "T1", "advice": "its maxmemory is used up",
            ]
        ]
        #expect(
            StatusReport(body, peer: nil, readiness: known).text.hasSuffix(
                "\n\nstore redis takes no writes since T1: OOM no; its maxmemory is used up; what other agents "
                    + "found is as of then"
            )
        )
        func said(_ name: String) -> String {
            let store = JSON.object([
                .init("kind", .string("redis")), .init("connected", .bool(true)),
                .init(name, .string("the words")), .init("as_of", .string("T1")),
            ])
            return StatusReport(body, peer: nil, readiness: .object([.init("store", store)])).text
        }
        #expect(said("waits").hasSuffix("\n\nstore redis: the words"))
        let then = "; what other agents found is as of T1"
        #expect(said("fleet_error").hasSuffix("\n\nstore redis: the words" + then))
        let advised: JSON = [
            "store": [
                "kind": "redis", "connected": false, "since": "T1", "error": "NOAUTH no",
                "advice": "do this", "as_of": "T0",
            ]
        ]
        #expect(
            StatusReport(body, peer: nil, readiness: advised).text.hasSuffix(
                "\n\nstore redis is away since T1: NOAUTH no; do this; what other agents found is as of T0"
            )
        )
        // Where only a right is missing that some writes need, others are heard.
        let heard: JSON = [
            "store": [
                "kind": "redis", "connected": true, "since": "T1", "write_error": "NOPERM no",
                "as_of": nil,
            ]
        ]
        #expect(
            StatusReport(body, peer: nil, readiness: heard).text.hasSuffix(
                "\n\nstore redis takes no writes since T1: NOPERM no"
            )
        )
    }

    @Test func `an upstream that answers nobody is a failure`() throws {
        let text = """
            {"name":"web","status":"down","peers":[{"id":"a","status":"up","weight":0,
            "configured_weight":5,"effective_weight":0,"intent":"ready"}]}
            """
        let body = try JSON(parsing: Array(text.utf8))
        #expect(StatusReport(["upstreams": [body]], peer: nil).exitStatus == .failing)
        #expect(StatusReport(body, peer: nil).exitStatus == .failing)
        #expect(StatusReport(body, peer: "a").exitStatus == .fine)
    }

    @Test func `who asked is named where they said who they are`() {
        let item: JSON = [
            "weight": 0, "configured_weight": 5, "weight_by": "ann", "weight_reason": "test",
        ]
        #expect(
            StatusReport.weightOrder(on: item) == "weight 0 was set by ann, configured are 5: test"
        )
        #expect(
            StatusReport.weightOrder(on: ["weight": 3, "configured_weight": 1])
                == "weight 3 was set by hand, configured is 1"
        )
    }

    @Test func `a weight set by hand is shown with its reason and its end`() throws {
        let text = """
            {"name":"web","status":"up","peers":[{"id":"a","status":"up","weight":0,
            "configured_weight":5,"effective_weight":0,"intent":"drain","intent_reason":"deploy",
            "intent_until":null,"weight_reason":"test","weight_until":"T9"}]}
            """
        let body = try JSON(parsing: Array(text.utf8))
        #expect(StatusReport(["upstreams": [body]], peer: nil).rows.map(\.weight) == ["0/5"])
        for peer in ["a", nil] {
            #expect(
                StatusReport(body, peer: peer).text.hasSuffix(
                    "web/a: an operator asked for drain: deploy\n"
                        + "web/a: weight 0 was set by hand, configured are 5, until T9: test"
                )
            )
        }
    }

    @Test func `a peer that is none is told with the nearest`() {
        #expect(
            StatusCommand.unknown("web2", of: "web", among: ["web1", "db"])
                == "upstream 'web' has no peer 'web2'; did you mean 'web1'?"
        )
        #expect(
            StatusCommand.unknown("nosuch", of: "web", among: ["a", "b"])
                == "upstream 'web' has no peer 'nosuch'; expected a, b"
        )
    }

    @Test func `shows one peer of one upstream`() {
        let report = StatusReport(body[0] ?? .null, peer: "b")
        #expect(report.rows.map { $0.peer } == ["b"])
        #expect(report.json(of: body[0] ?? .null)["status"] == "degraded")
    }

    @Test(arguments: [
        (["up", "up"], 0), (["up", "degraded"], 1), (["drain", "maint"], 1),
        (["up", "starting"], 1),
        (["unknown", "up"], 3), (["unknown", "down", "up"], 2), ([], 0),
    ])
    func `ends with the worst`(statuses: [String], code: Int) {
        let peers = statuses.map { JSON.object([JSON.Member("status", .string($0))]) }
        let report = StatusReport(["name": "web", "peers": .array(peers)], peer: nil)
        #expect(report.exitStatus.rawValue == Int32(code))
    }
}

@Suite struct AdminClientTests {
    private func answer(_ steps: ScriptedServer.Step...) async throws -> AdminClient.Answer {
        let server = try ScriptedServer([[.expect("\r\n\r\n")] + steps])
        defer { server.stop() }
        return try await AdminClient("http://\(server.address)").get("/v1/upstreams")
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody",
    ])
    func `reads an answer however it is framed`(text: String) async throws {
        let answer = try await answer(.send(text), .close)
        #expect(answer.status == 200)
        #expect(String(decoding: answer.body, as: UTF8.self) == "body")
    }

    @Test func `asks as HTTP wants it`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 204 No Content\r\n\r\n"),
            .close
        )
        defer { server.stop() }
        let answer = try await AdminClient("http://\(server.address)/").get("/ready")
        #expect(answer.status == 204)
        let request = try #require(server.receivedText.first)
        #expect(request.hasPrefix("GET /ready HTTP/1.1\r\nHost: \(server.address)\r\n"))
        #expect(request.contains("Connection: close\r\n"))
    }

    @Test func `asks over a unix socket`() async throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("admin.sock")
        let server = try ScriptedServer(
            [
                [
                    .expect("\r\n\r\n"),
                    .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), .close,
                ]
            ],
            at: .unix(path: path)
        )
        defer { server.stop() }
        #expect(try await AdminClient("unix:\(path)").get("/").status == 200)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ])
    func `an answer is whole though the connection stays`(text: String) async throws {
        let answer = try await answer(.send(text), .expect("never"))
        #expect(String(decoding: answer.body, as: UTF8.self) == "body")
    }

    @Test func `says what an end without an answer may mean`() async throws {
        let error = await #expect(throws: AdminError.self) { try await answer(.close) }
        #expect(
            error?.description.hasSuffix(
                "the connection ended before the answer did; where admin.tls is set, ask https://"
            ) == true
        )
    }

    @Test func `refuses another scheme by name`() {
        let error = #expect(throws: AdminError.self) { try AdminClient("ftp://x") }
        #expect(
            error?.description
                == "admin endpoint: expected http(s)://host:port or unix:/path, saw 'ftp://x'"
        )
    }

    @Test func `takes half an answer for none`() async throws {
        await #expect(throws: AdminError.self) {
            try await answer(.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"), .close)
        }
    }

    @Test func `says who does not answer`() async throws {
        let port = try freePort()
        let error = await #expect(throws: AdminError.self) {
            try await AdminClient("http://127.0.0.1:\(port)").get("/")
        }
        #expect(error?.description == "127.0.0.1:\(port): connect: Connection refused")
    }

    @Test(arguments: [
        ("127.0.0.1:7000", "127.0.0.1:7000"), ("http://a.example", "a.example:80"),
        ("http://[::1]", "[::1]:80"), ("unix:/run/x", "unix:/run/x"),
    ])
    func `reads the endpoint as people write it`(text: String, address: String) throws {
        #expect("\(try AdminClient(text).address)" == address)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(self.reversed().drop { $0 == " " }.reversed())
    }
}
