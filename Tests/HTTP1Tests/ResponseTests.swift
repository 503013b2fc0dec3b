import HTTP1
import Testing

@Suite struct ResponseTests {
    /// Where the body ends, and whether the connection can be used again after it.
    @Test(
        arguments: [
            (.get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", .length(5), true),
            (.get, "HTTP/1.1 200 OK\r\nContent-Length: 005\r\n", .length(5), true),
            (.get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", .none, true),
            (.get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n", .chunked, true),
            (.get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked\r\n", .chunked, true),
            (.get, "HTTP/1.1 200 OK\r\n", .untilClose, false),
            (.get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", .untilClose, false),
            (.get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n", .untilClose, false),
            (
                .get, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n", .length(5),
                false
            ),
            (.get, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", .length(5), false),
            (
                .get, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n",
                .length(5), true
            ),
            (.head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", .none, true),
            (.head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", .none, true),
            (.head, "HTTP/1.1 200 OK\r\n", .none, true),
            (.get, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", .none, true),
            (.get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", .none, true),
            (.get, "HTTP/1.1 100 Continue\r\n", .none, true),
            (.get, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n", .none, true),
            (.connect, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", .none, true),
            (.connect, "HTTP/1.1 407 No\r\nContent-Length: 5\r\n", .length(5), true),
        ] as [(HTTP1.Method, String, BodyFraming, Bool)]
    )
    func `knows where the body ends`(
        method: HTTP1.Method,
        text: String,
        framing: BodyFraming,
        isPersistent: Bool
    ) throws {
        let head = try #require(try response(text + "\r\n", to: method)).head
        #expect(head.framing == framing)
        #expect(head.isPersistent == isPersistent)
    }

    @Test(
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", .contentLength),
            ("HTTP/1.1 204 X\r\nContent-Length: 5, 5\r\n", .contentLength),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
                .duplicateContentLength
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                .lengthAndCoding
            ),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", .codingInHTTP10),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", .unsupportedCoding),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n", .chunkedTwice),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                .chunkedTwice
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;a=b\r\n", .transferCoding),
            ("HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n", .foldedLine),
            ("HTTP/1.1 200 OK\nX: 1\r\n", .bareLineFeed),
            ("HTTP/1.1 200 \u{0}\r\n", .controlByte),
            ("HTTP/1.1 2000 OK\r\n", .status),
            ("HTTP/1.1 20 OK\r\n", .status),
            ("HTTP/1.1 099 OK\r\n", .status),
            ("HTTP/1.1 2x0 OK\r\n", .status),
            ("HTTP/1.1 200OK\r\n", .status),
            ("HTTP/1.1\r\n", .version),
            ("HTTP/1.1  200 OK\r\n", .status),
            ("http/1.1 200 OK\r\n", .version),
            ("HTTP/2.0 200 OK\r\n", .unsupportedVersion),
            ("ICY 200 OK\r\n", .version),
            ("\r\nHTTP/1.1 200 OK\r\n", .version),
        ] as [(String, HTTPError.Code)]
    )
    func `refuses and blames the upstream`(text: String, code: HTTPError.Code) {
        let error = refusal { () throws(HTTPError) in _ = try response(text + "\r\n") }
        #expect(error?.code == code)
        #expect(error?.status == 502)
    }

    @Test(
        arguments: [
            ("HTTP/1.1 200 OK", 200, "OK"), ("HTTP/1.1 200 ", 200, ""), ("HTTP/1.1 200", 200, ""),
            ("HTTP/1.1 999 a b\u{E9}", 999, "a b\u{E9}"),
        ] as [(String, UInt16, String)]
    )
    func `takes a status line with or without a reason`(
        line: String,
        status: UInt16,
        reason: String
    ) throws {
        let accepted = try #require(try response("\(line)\r\n\r\n"))
        #expect(accepted.head.status == status)
        #expect(accepted[accepted.head.reasonRange] == reason)
    }

    /// RFC 9112 5.1: a proxy removes that space; as the name ends before it, it is not copied.
    @Test func `a space before the colon is not part of the name`() throws {
        let accepted = try #require(try response("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n"))
        #expect(accepted[accepted.fields[0].name] == "Content-Length")
        #expect(accepted.head.framing == .length(5))
    }

    @Test func `tells interim, tunnel and foreign coding apart`() throws {
        let hints = try #require(try response("HTTP/1.1 103 X\r\n\r\n")).head
        #expect(hints.isInterim && !hints.isTunnel && hints.forbidsContentLength)
        let upgrade = try #require(try response("HTTP/1.1 101 X\r\n\r\n")).head
        #expect(!upgrade.isInterim && upgrade.isTunnel)
        let connect = try #require(try response("HTTP/1.1 200 X\r\n\r\n", to: .connect)).head
        #expect(connect.isTunnel && connect.forbidsContentLength)
        let cached = try #require(try response("HTTP/1.1 304 X\r\n\r\n")).head
        #expect(!cached.forbidsContentLength)
        let zip = "HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n"
        #expect(try #require(try response(zip)).head.hasForeignCoding)
    }

    @Test func `any split of a response gives the same answer`() throws {
        let text =
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nX: \t y \r\n\r\nhello"
        let bytes = Array(text.utf8)
        let whole = try #require(try response(text))
        for cut in 0..<bytes.count {
            var table = FieldTable()
            var parser = HeadParser()
            let early = try parser.parseResponse(
                bytes.span.extracting(first: cut),
                to: .get,
                fields: &table
            )
            #expect((early != nil) == (cut >= Int(whole.head.end)))
            if early != nil { continue }
            #expect(try parser.parseResponse(bytes.span, to: .get, fields: &table) == whole.head)
        }
    }
}
