// What the next hop sees of a head, row by row.

import EventLoop
import HTTP1
import Testing
import Vocabulary

@testable import Proxy

@Suite struct HeadRewriterTests {
    /// The head that a peer gets for `text`, from a client at 10.9.8.7.
    private static func forwarded(
        _ text: String,
        stripBytes: Int = 0,
        normalised: String = "",
        isTrusted: Bool = false,
        hasAddress: Bool = true
    ) throws -> String {
        let bytes = Array(text.utf8)
        var table = FieldTable()
        var parser = HeadParser()
        let head = try #require(try parser.parseRequest(bytes.span, fields: &table))
        table.markHopByHop(in: bytes.span)
        var client = ClientConnection()
        for (index, byte) in "10.9.8.7".utf8.enumerated() { client.address[index] = byte }
        client.addressCount = hasAddress ? 8 : 0
        client.isTrusted = isTrusted
        var wantsUpgrade = false
        var output = Buffer.make()
        defer { output.free() }
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            if head.hasUpgrade, let upgrade = table.first(.upgrade) {
                wantsUpgrade = HeadRewriter.isForwarded(upgrade, base)
            }
            Array(normalised.utf8).withUnsafeBufferPointer { path in
                HeadRewriter.request(
                    head,
                    table,
                    base,
                    stripBytes: stripBytes,
                    normalised: path,
                    client: client,
                    wantsUpgrade: wantsUpgrade,
                    keepsForwarded: isTrusted,
                    to: &output
                )
            }
        }
        return output.text
    }

    private static let ours = """
        X-Forwarded-For: 10.9.8.7\r
        X-Forwarded-Proto: http\r
        Via: 1.1 muster\r
        \r

        """

    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        var fields: String
        /// What is left of them.
        var forwarded: String
        var testDescription: String { name }
    }

    @Test(arguments: [
        Row(name: "as they are", fields: "Accept: a\r\nX-Y: b", forwarded: "Accept: a\r\nX-Y: b"),
        Row(
            name: "whitespace around a value stays",
            fields: "A:  \tb \t",
            forwarded: "A:  \tb \t"
        ),
        Row(
            name: "spoofed addresses",
            fields: "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Real-IP: 3.3.3.3\r\n"
                + "Forwarded: for=4.4.4.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n"
                + "X-Forwarded-Port: 1\r\nA: b",
            forwarded: "A: b"
        ),
        Row(
            name: "hop by hop",
            fields: "Connection: close\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nA: b",
            forwarded: "A: b"
        ),
        Row(
            name: "named by Connection",
            fields: "A: 1\r\nConnection: x-hop, B\r\nX-Hop: 1\r\nb: 2\r\nC: 3",
            forwarded: "A: 1\r\nC: 3"
        ),
        Row(
            name: "Connection cannot take away what is ours or frames",
            fields: "Connection: X-Forwarded-For, Host, Content-Length, Cookie, Via\r\n"
                + "Cookie: c\r\nX-Forwarded-For: 1.1.1.1\r\nContent-Length: 0",
            forwarded: "Cookie: c\r\nContent-Length: 0"
        ),
        Row(
            name: "underscores imitate",
            fields: "X_Forwarded_For: 1\r\nContent_Length: 5\r\nA: b\r\nX_: 1",
            forwarded: "A: b"
        ),
        Row(
            name: "trailers wanted",
            fields: "TE: trailers, deflate\r\nA: b",
            forwarded: "A: b\r\nConnection: TE\r\nTE: trailers"
        ),
        Row(
            name: "chunked is written anew",
            fields: "Transfer-Encoding: CHUNKED\r\nA: b",
            forwarded: "A: b\r\nTransfer-Encoding: chunked"
        ),
        Row(
            name: "upgrade",
            fields: "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nA: b",
            forwarded: "A: b\r\nConnection: Upgrade\r\nUpgrade: websocket"
        ),
        Row(
            name: "upgrade that Connection does not name",
            fields: "Upgrade: websocket\r\nA: b",
            forwarded: "A: b"
        ),
        Row(
            name: "HTTP/2 behind our back",
            fields: "Upgrade: foo, h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                + "HTTP2-Settings: AAMAAABk\r\nA: b",
            forwarded: "A: b"
        ),
        Row(name: "only dropped ones", fields: "Connection: close", forwarded: ""),
    ])
    func `fields for the peer`(row: Row) throws {
        let text = "GET /p?q HTTP/1.1\r\nHost: h\r\n\(row.fields)\r\n\r\n"
        let kept = row.forwarded.isEmpty ? "" : row.forwarded + "\r\n"
        let expected = "GET /p?q HTTP/1.1\r\nHost: h\r\n" + kept + Self.ours
        #expect(try Self.forwarded(text) == expected)
    }

    @Test(arguments: [
        ("GET /a HTTP/1.1\r\nHost: h", 0, "", "GET /a HTTP/1.1\r\nHost: h"),
        ("GET /api/x?y HTTP/1.1\r\nHost: h", 4, "", "GET /x?y HTTP/1.1\r\nHost: h"),
        ("GET /api HTTP/1.1\r\nHost: h", 4, "", "GET / HTTP/1.1\r\nHost: h"),
        ("GET /api?y HTTP/1.1\r\nHost: h", 4, "", "GET /?y HTTP/1.1\r\nHost: h"),
        ("GET /api//x HTTP/1.1\r\nHost: h", 4, "", "GET //x HTTP/1.1\r\nHost: h"),
        // The route was found in what the dots lead to, so that is what the prefix is taken off.
        ("GET /a/../api/x?y HTTP/1.1\r\nHost: h", 4, "/api/x", "GET /x?y HTTP/1.1\r\nHost: h"),
        ("GET /%2e/api HTTP/1.1\r\nHost: h", 4, "/api", "GET / HTTP/1.1\r\nHost: h"),
        ("GET /a/../b HTTP/1.1\r\nHost: h", 0, "/b", "GET /a/../b HTTP/1.1\r\nHost: h"),
        // The authority of an absolute form replaces the Host field.
        ("GET http://H:80/a?b HTTP/1.1\r\nHost: h", 0, "", "GET /a?b HTTP/1.1\r\nHost: H:80"),
        ("GET http://h HTTP/1.1\r\nHost: h", 0, "", "GET / HTTP/1.1\r\nHost: h"),
        ("GET http://h?q HTTP/1.1\r\nHost: h", 0, "", "GET /?q HTTP/1.1\r\nHost: h"),
        ("GET http://h/api/x HTTP/1.1\r\nHost: h", 4, "", "GET /x HTTP/1.1\r\nHost: h"),
        ("OPTIONS * HTTP/1.1\r\nHost: h", 0, "", "OPTIONS * HTTP/1.1\r\nHost: h"),
        ("OPTIONS http://h HTTP/1.1\r\nHost: h", 0, "", "OPTIONS * HTTP/1.1\r\nHost: h"),
        ("FROB /a HTTP/1.1\r\nHost: h", 0, "", "FROB /a HTTP/1.1\r\nHost: h"),
    ])
    func `request lines for the peer`(
        head: String,
        stripBytes: Int,
        normalised: String,
        expected: String
    ) throws {
        let rewritten = try Self.forwarded(
            head + "\r\n\r\n",
            stripBytes: stripBytes,
            normalised: normalised
        )
        #expect(rewritten == expected + "\r\n" + Self.ours)
    }

    @Test func `an old client that names a host is forwarded in our version`() throws {
        let head = try Self.forwarded("GET / HTTP/1.0\r\nHost: h\r\n\r\n")
        #expect(head.hasPrefix("GET / HTTP/1.1\r\nHost: h\r\n"))
        #expect(head.contains("Via: 1.0 muster\r\n"))
    }

    @Test func `an old client that names no host is forwarded in its own version`() throws {
        let head = try Self.forwarded("GET /a HTTP/1.0\r\nA: b\r\n\r\n")
        #expect(head.hasPrefix("GET /a HTTP/1.0\r\nA: b\r\n"))
    }

    @Test func `an empty line before the request is not forwarded`() throws {
        #expect(try Self.forwarded("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").hasPrefix("GET / "))
    }

    // MARK: Responses

    private static func answered(
        _ text: String,
        to method: HTTP1.Method = .get,
        style: HeadRewriter.ResponseStyle = HeadRewriter.ResponseStyle()
    ) throws -> String {
        let bytes = Array(text.utf8)
        var table = FieldTable()
        var parser = HeadParser()
        let head = try #require(try parser.parseResponse(bytes.span, to: method, fields: &table))
        table.markHopByHop(in: bytes.span)
        var output = Buffer.make()
        defer { output.free() }
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            HeadRewriter.response(head, table, base, style: style, to: &output)
        }
        return output.text
    }

    private typealias Style = HeadRewriter.ResponseStyle

    @Test func `a response keeps its fields and loses the hop's`() throws {
        let text =
            "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nA: 1\r\nX-Hop: 1\r\n"
            + "Content-Length: 2\r\nKeep-Alive: 5\r\nX_Y: 2\r\n\r\n"
        #expect(
            try Self.answered(text)
                == "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 2\r\nX_Y: 2\r\n\r\n"
        )
    }

    @Test(arguments: [("005", "5"), ("00", "0"), ("0", "0"), ("50", "50")])
    func `a length has no zeros in front, either way`(sent: String, forwarded: String) throws {
        #expect(
            try Self.answered("HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: \(sent)\r\nB: 2\r\n\r\n")
                == "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: \(forwarded)\r\nB: 2\r\n\r\n"
        )
        #expect(
            try Self.forwarded(
                "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: \(sent)\r\nB: 2\r\n\r\n"
            ).contains("\r\nContent-Length: \(forwarded)\r\nB: 2\r\n")
        )
    }

    @Test func `a 426 says what to upgrade to`() throws {
        let text =
            "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0, x/2\r\n"
            + "Content-Length: 0\r\n\r\n"
        let head = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nUpgrade: TLS/1.0, x/2\r\n"
        #expect(try Self.answered(text) == head + "Connection: Upgrade\r\n\r\n")
        #expect(
            try Self.answered(text, style: Style(closes: true))
                == head + "Connection: Upgrade, close\r\n\r\n"
        )
        #expect(
            try Self.answered(text.replacing("426", with: "200"))
                == "HTTP/1.1 200 Upgrade Required\r\nContent-Length: 0\r\n\r\n"
        )
    }

    @Test func `a response without a date gets one`() throws {
        var date = HTTPDate()
        defer { date.destroy() }
        let now = date.at(Instant(nanoseconds: 0), wall: WallTime(milliseconds: 784_111_777_000))
        #expect(
            try Self.answered(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                style: Style(date: now)
            )
                == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                + "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
        )
        let dated = "HTTP/1.1 200 OK\r\ndate: yesterday\r\nContent-Length: 0\r\n\r\n"
        #expect(try Self.answered(dated, style: Style(date: now)) == dated)
    }

    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
        (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
    ])
    func `a date is written as HTTP wants it`(seconds: Int64, text: String) {
        var date = HTTPDate()
        defer { date.destroy() }
        let bytes = date.at(
            Instant(nanoseconds: 0),
            wall: WallTime(milliseconds: seconds * 1_000 + 250)
        )
        let buffer = UnsafeBufferPointer(start: bytes, count: HTTPDate.count)
        #expect(String(decoding: buffer, as: UTF8.self) == text)
        // The clock is looked at again when its second is over, and not before.
        var looks = 0
        func wall() -> WallTime {
            looks += 1
            return WallTime(milliseconds: 0)
        }
        _ = date.at(Instant(nanoseconds: 749_000_000), wall: wall())
        #expect(looks == 0)
        _ = date.at(Instant(nanoseconds: 750_000_000), wall: wall())
        #expect(looks == 1)
    }

    @Test func `blanks before a colon are taken out`() throws {
        let text =
            "HTTP/1.1 200 OK\r\nA: 1\r\nB \t: 2\r\nC :3\r\nD: 4\r\nContent-Length : 0\r\n\r\n"
        #expect(
            try Self.answered(text)
                == "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nContent-Length: 0\r\n\r\n"
        )
    }

    @Test func `the version is ours and an empty phrase keeps its space`() throws {
        #expect(
            try Self.answered("HTTP/1.0 299 \r\nA: 1\r\n\r\n")
                == "HTTP/1.1 299 \r\nA: 1\r\n\r\n"
        )
    }

    @Test(arguments: [
        ("204 No Content", HTTP1.Method.get, ""),
        ("103 Early Hints", HTTP1.Method.get, ""),
        ("304 Not Modified", HTTP1.Method.get, "Content-Length: 5\r\n"),
        ("200 OK", HTTP1.Method.head, "Content-Length: 5\r\n"),
    ])
    func `a length stays where it may`(
        line: String,
        method: HTTP1.Method,
        kept: String
    ) throws {
        let text = "HTTP/1.1 \(line)\r\nContent-Length: 5\r\nA: 1\r\n\r\n"
        #expect(try Self.answered(text, to: method) == "HTTP/1.1 \(line)\r\n\(kept)A: 1\r\n\r\n")
    }

    @Test func `what becomes of the connection is said to the client`() throws {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
        var style = Style()
        style.closes = true
        #expect(try Self.answered(text, style: style) == start + "Connection: close\r\n\r\n")
        style = Style()
        style.saysKeepAlive = true
        #expect(try Self.answered(text, style: style) == start + "Connection: keep-alive\r\n\r\n")
    }

    @Test func `a body put into chunks has no other length`() throws {
        var style = Style()
        style.rechunks = true
        #expect(
            try Self.answered(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n",
                style: style
            ) == "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
    }

    @Test func `a coding that we cannot undo is passed on`() throws {
        #expect(
            try Self.answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n")
                == "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"
        )
    }

    @Test func `an upgrade is agreed to`() throws {
        var style = Style()
        style.isUpgrade = true
        #expect(
            try Self.answered(
                "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nA: 1\r\n\r\n",
                style: style
            )
                == "HTTP/1.1 101 Switching\r\nA: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
    }

    @Test func `who comes by a unix socket adds nothing to where a request came from`() throws {
        let head = "GET / HTTP/1.1\r\nHost: h\r\n"
        let line = "X-Forwarded-For: 198.51.100.7\r\n"
        let ours = "X-Forwarded-Proto: http\r\nVia: 1.1 muster\r\n\r\n"
        for isTrusted in [false, true] {
            let seen = try Self.forwarded(head + "\r\n", isTrusted: isTrusted, hasAddress: false)
            #expect(seen == head + ours)
        }
        let chained = try Self.forwarded(head + line + "\r\n", isTrusted: true, hasAddress: false)
        #expect(chained == head + line + ours)
        #expect(try Self.forwarded(head + line + "\r\n", hasAddress: false) == head + ours)
    }

    @Test func `a trusted proxy is believed, and stands at the end of its list`() throws {
        let start = "GET / HTTP/1.1\r\nHost: a\r\n"
        let said = "X-Forwarded-Proto: https\r\nX-Real-IP: 3.3.3.3\r\nForwarded: for=4.4.4.4\r\n"
        let chained = try Self.forwarded(
            start
                + "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n\(said)x-forwarded-for:\t3.3.3.3 \r\nA: b\r\n\r\n",
            isTrusted: true
        )
        #expect(
            chained == start + said
                + "A: b\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.9.8.7\r\n"
                + "Via: 1.1 muster\r\n\r\n"
        )
        // Of what it does not say it is the last to know.
        let silent = try Self.forwarded(
            start + "X-Forwarded-For:\r\nX_Real_IP: 1\r\n\r\n",
            isTrusted: true
        )
        #expect(silent == start + Self.ours)
        // `Connection` cannot take it away.
        let hop = try Self.forwarded(
            start + "Connection: X-Forwarded-For\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
            isTrusted: true
        )
        #expect(hop == start + Self.ours.replacing("10.9.8.7", with: "1.1.1.1, 10.9.8.7"))
    }
}
