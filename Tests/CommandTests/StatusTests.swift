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
                "UPSTREAM  PEER  STATUS    SINCE                     REASON",
                "web       a     up        2026-11-21T04:00:00.000Z",
                "web       b     degraded  1970-01-01T00:00:01.000Z  slow; L7OK",
                "db        c     unknown   -",
            ]
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
