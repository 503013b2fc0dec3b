// Does every sort of client get what it should: the polite an answer, the slow and the rude an end, and
// nobody has to wait for another?

import EventLoop
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Front

private func get(_ path: String, _ fields: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n"
}

private func post(_ body: String, _ fields: String = "") -> String {
    "POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n"
        + body
}

@Suite struct FrontTests {
    @Test func `requests on one connection are answered one after the other`() async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            client.send(get("/one"))
            #expect(await client.hears("GET /one "))
            client.send(get("/two") + post("body") + get("/three?q=1"))
            #expect(await client.hears("GET /three?q=1 "))
            #expect(client.text.contains("POST /p body"))
            #expect(!client.isOver)
            #expect(rig.tally.now.requests == 4)
            #expect(rig.tally.now.open == 1)
        }
    }

    @Test func `a request in pieces is one request`() async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            for piece in ["G", "ET /", "x HTTP/1.1\r\nHo", "st: localhost\r\n\r", "\n"] {
                client.send(piece)
                await rig.front.call { _ in }
            }
            #expect(await client.hears("GET /x "))
        }
    }

    @Test func `half a connection gets its whole answer`() async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            client.send(get("/x"))
            client.finish()
            #expect(await client.isLeft())
            #expect(client.text.hasSuffix("GET /x "))
        }
    }

    @Test func `HEAD has the length and no body`() async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            client.send(
                "HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n" + get("/y", "Connection: close\r\n")
            )
            #expect(await client.isLeft())
            #expect(client.text.contains("Content-Length: 8\r\n\r\nHTTP/1.1 200 OK"))
        }
    }

    @Test func `the absolute form is a form`() async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            client.send("GET http://localhost/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(await client.hears("GET /x?y "))
            client.send("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            #expect(await client.isLeft())
            #expect(client.text.contains("HTTP/1.1 421 "))
        }
    }

    @Test func `HTTP 1.0 without a host is served, and ends`() async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            client.send("GET /x HTTP/1.0\r\n\r\n")
            #expect(await client.isLeft())
            #expect(client.text.contains("Connection: close"))
            #expect(client.text.hasSuffix("GET /x "))
        }
    }

    @Test func `a body in chunks is a body, and is waited for politely`() async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            client.send(
                "POST /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                    + "Expect: 100-continue\r\n\r\n"
            )
            #expect(await client.hears("HTTP/1.1 100 Continue\r\n\r\n"))
            client.send("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
            #expect(await client.hears("POST /c abcde"))
            client.send(get("/next"))
            #expect(await client.hears("GET /next "))
        }
    }

    @Test func `an answer without a length comes in chunks, or ends the connection`() async throws {
        let handler: Front.Handler = { _, writer in
            await writer.begin(AnswerHead(status: 200, fields: [], length: nil))
            try await writer.write(Array("ab".utf8))
            try await writer.write(Array("cde".utf8))
        }
        try await Rig.run(handler: handler) { rig in
            let modern = try rig.client()
            modern.send(get("/"))
            #expect(await modern.hears("\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"))
            let old = try rig.client()
            old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(await old.isLeft())
            #expect(old.text.hasSuffix("\r\n\r\nabcde"))
        }
    }

    @Test func `a field's value begins no line of its own`() async throws {
        let handler: Front.Handler = { _, writer in
            let fields = ["a\r\nX: 1", "b\nX: 1", "c\rX: 1", "d\r\n\r\nX: 1"]
                .map { FrontRequest.Field("Name", $0) }
            await writer.begin(AnswerHead(status: 200, fields: fields, length: 0))
        }
        try await Rig.run(handler: handler) { rig in
            let client = try rig.client()
            client.send(get("/"))
            #expect(await client.hears("\r\n\r\n"))
            let names = "Name: aX: 1\r\nName: bX: 1\r\nName: cX: 1\r\nName: dX: 1\r\nContent-"
            #expect(client.text.contains(names), "\(client.text)")
        }
    }

    @Test func `a stream's first event is there before its second is thought of`() async throws {
        let gate = Signal()
        let handler: Front.Handler = { _, writer in
            var head = AnswerHead(status: 200, fields: [], length: nil)
            head.isEndless = true
            await writer.begin(head)
            try await writer.write(Array("one".utf8))
            await gate.wait()
            try await writer.write(Array("two".utf8))
        }
        try await Rig.run(isVirtual: true, handler: handler) { rig in
            let client = try rig.client()
            client.send(get("/"))
            #expect(await client.hears("3\r\none\r\n"))
            // Long after any other answer would have had to be read.
            await rig.advance(by: .seconds(3_600))
            gate.open()
            #expect(await client.hears("3\r\ntwo\r\n0\r\n\r\n"))
        }
    }

    @Test func `an answer that fails is a 500, or an end where it had begun`() async throws {
        struct Trouble: Error {}
        let handler: Front.Handler = { request, writer in
            if request.target == "/late" {
                await writer.begin(AnswerHead(status: 200, fields: [], length: 9))
                try await writer.write(Array("abc".utf8))
            }
            throw Trouble()
        }
        try await Rig.run(handler: handler) { rig in
            let client = try rig.client()
            client.send(get("/"))
            #expect(await client.isLeft())
            #expect(client.text.hasPrefix("HTTP/1.1 500 "))
            let late = try rig.client()
            late.send(get("/late"))
            #expect(await late.isLeft())
            #expect(late.text.hasSuffix("abc"))
        }
    }

    // MARK: Too much

    @Test(arguments: [
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "x", count: 20_000))\r\n",
            431,
            "at most 16384 bytes"
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n", 413,
            "at most 65536 bytes, saw 65537"
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n"
                + String(repeating: "x", count: 65_537), 413, "at most 65536 bytes"
        ),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "admin.hosts"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", 403, "Origin"),
        ("GET / HTTP/1.1\n\n", 400, "CR LF"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "a single one"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\n\r\n", 417, "100-continue"),
        ("CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 400, "a path"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "a path"),
        ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "HTTP/1"),
    ])
    func `what is refused is told what was expected`(
        request: String,
        status: Int,
        words: String
    ) async throws {
        try await Rig.run { rig in
            let client = try rig.client()
            client.send(request)
            #expect(await client.hears("}\n"), "\(client.text)")
            #expect(client.text.hasPrefix("HTTP/1.1 \(status) "), "\(client.text)")
            #expect(client.text.contains("Content-Type: application/problem+json\r\n"))
            #expect(client.text.contains("\"status\":\(status)"))
            #expect(client.text.contains(words), "\(client.text)")
            client.finish()
            #expect(await client.isLeft())
            #expect(rig.tally.now.refused == 1)
            #expect(rig.tally.now.requests == 0)
        }
    }

    // MARK: Too slow

    /// Behind a whole request, so that the front has the rest for certain when time passes.
    @Test(arguments: [
        ("GET /x HT", "head", "5s"), ("\r", "head", "5s"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", "body", "30s"),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "body",
            "30s"
        ),
    ])
    func `a request that does not come to its end is cut`(
        rest: String,
        what: String,
        limit: String
    ) async throws {
        try await Rig.run(isVirtual: true) { rig in
            let client = try rig.client()
            client.send(get("/first") + rest)
            #expect(await client.hears("GET /first "))
            #expect(await rig.pass { client.text.contains("HTTP/1.1 408 ") })
            #expect(client.text.contains("\(what): expected the whole of it within \(limit)"))
            #expect(await rig.pass { client.isOver })
            #expect(rig.tally.now.tooSlow == 1)
        }
    }

    @Test func `a client without a request, or without another, is let go`() async throws {
        try await Rig.run(isVirtual: true) { rig in
            let silent = try rig.client()
            let idle = try rig.client()
            idle.send(get("/"))
            #expect(await idle.hears("GET / "))
            #expect(await rig.pass { silent.isOver && idle.isOver })
            #expect(silent.text == "")
            #expect(idle.text.hasSuffix("GET / "))
            #expect(rig.tally.now.tooSlow == 0)
        }
    }

    @Test func `a reader that reads nothing is cut`() async throws {
        let handler: Front.Handler = { _, writer in
            let size = 64 << 20
            await writer.begin(AnswerHead(status: 200, fields: [], length: size))
            try await writer.write([UInt8](repeating: 0x78, count: size))
        }
        try await Rig.run(isVirtual: true, handler: handler) { rig in
            let client = try rig.client()
            client.send(get("/"))
            #expect(await rig.pass { rig.tally.now.tooSlow > 0 || rig.tally.now.requests > 0 })
            #expect(await rig.pass { rig.tally.now.open == 0 })
            #expect(client.isOver)
        }
    }

    // MARK: Too many

    @Test func `any number of idle clients leaves room for one who asks`() async throws {
        var limits = FrontLimits()
        limits.connections = 16
        try await Rig.run(limits) { rig in
            let idle = try (0..<100).map { _ in try rig.client() }
            let dripping = try (0..<30).map { _ in
                let client = try rig.client()
                client.send("GET / HTTP/1.1\r\nHost: loc")
                return client
            }
            let honest = try rig.client()
            honest.send(get("/x"))
            #expect(await honest.hears("GET /x "))
            #expect(await eventually { rig.tally.now.open <= limits.share })
            #expect(rig.tally.now.displaced >= 130 - limits.share)
            #expect(rig.tally.now.full == 0)
            _ = (idle, dripping)
        }
    }

    @Test func `whoever makes others go is told of once, with the number and what to do`()
        async throws
    {
        let lines = Mutex<[String]>([])
        let journal = Journal(from: .info) { level, text in
            lines.withLock { $0.append("\(level.rawValue): \(text)") }
        }
        var limits = FrontLimits()
        limits.connections = 10
        limits.remedy = "raise it"
        try await Rig.run(limits, journal: journal) { rig in
            let idle = try (0..<40).map { _ in try rig.client() }
            let honest = try rig.client()
            honest.send(get("/x"))
            #expect(await honest.hears("GET /x "))
            #expect(await eventually { rig.tally.now.displaced >= 41 - limits.share })
            _ = idle
        }
        let told = lines.withLock { $0 }
        #expect(told.count == 1)
        #expect(told.first?.hasPrefix("warning: admin.bind 127.0.0.1:") == true)
        #expect(
            told.first?.hasSuffix(
                ": one client (127.0.0.1) has all 5 connections that one may have; for "
                    + "each more, its own that has done least is closed; raise it"
            ) == true
        )
    }

    @Test(arguments: [(256, 64), (26, 8), (10, 5), (2, 1), (1, 1)])
    func `of few connections one address may have enough for a page`(
        connections: Int,
        share: Int
    ) {
        var limits = FrontLimits()
        limits.connections = connections
        #expect(limits.share == share)
    }

    @Test func `where all are being served, another is told at once`() async throws {
        let gate = Signal()
        let handler: Front.Handler = { request, writer in
            await gate.wait()
            try await Rig.echo(request, writer)
        }
        var limits = FrontLimits()
        limits.connections = 8
        try await Rig.run(limits, handler: handler) { rig in
            let served = try (0..<limits.share).map { _ in
                let client = try rig.client()
                client.send(get("/x"))
                return client
            }
            #expect(await eventually { rig.tally.now.requests == limits.share })
            let another = try rig.client()
            #expect(await another.isLeft())
            #expect(another.text.hasPrefix("HTTP/1.1 503 "), "\(another.text)")
            gate.open()
            for client in served { #expect(await client.hears("GET /x ")) }
            #expect(rig.tally.now.full == 1)
        }
    }

    // MARK: The end

    @Test func `the end waits for answers under way, and for nobody else`() async throws {
        let gate = Signal()
        let handler: Front.Handler = { request, writer in
            if request.target == "/slow" { await gate.wait() }
            try await Rig.echo(request, writer)
        }
        try await Rig.run(handler: handler) { rig in
            let idle = try rig.client()
            idle.send(get("/"))
            #expect(await idle.hears("GET / "))
            let slow = try rig.client()
            slow.send(get("/slow"))
            #expect(await eventually { rig.tally.now.requests == 2 })
            let closing = Task { await rig.close(within: .seconds(3_600)) }
            #expect(await idle.isLeft())
            gate.open()
            #expect(await slow.isLeft())
            #expect(slow.text.hasSuffix("GET /slow "))
            await closing.value
            #expect(throws: SystemError.self) { _ = try rig.client() }
        }
    }

    @Test func `an answer that takes too long is cut at the end`() async throws {
        let gate = Signal()
        let handler: Front.Handler = { request, writer in
            await gate.wait()
            try await Rig.echo(request, writer)
        }
        try await Rig.run(isVirtual: true, handler: handler) { rig in
            let client = try rig.client()
            client.send(get("/"))
            #expect(await eventually { rig.tally.now.requests == 1 })
            let front = rig.front
            let closing = Task(executorPreference: rig.loop) {
                await front.value.close(within: .seconds(2))
            }
            #expect(await rig.pass { client.isOver })
            #expect(client.text == "")
            gate.open()
            await closing.value
        }
    }
}
