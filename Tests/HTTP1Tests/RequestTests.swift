import HTTP1
import Testing

@Suite struct RequestTests {
    typealias Refused = (text: String, code: HTTPError.Code, status: UInt16)

    /// Request lines, each followed by a valid Host.
    @Test(
        arguments: [
            ("GET / HTTP/1.1\n", .bareLineFeed, 400),
            ("GET / HTTP/1.1\rX\r\n", .bareCarriageReturn, 400),
            ("GET /\u{0} HTTP/1.1\r\n", .controlByte, 400),
            ("GET /\u{B}HTTP/1.1\r\n", .controlByte, 400),
            ("GET  / HTTP/1.1\r\n", .missingTarget, 400),
            ("GET /  HTTP/1.1\r\n", .version, 400),
            ("GET\t/ HTTP/1.1\r\n", .method, 400),
            ("GET /\tHTTP/1.1\r\n", .target, 400),
            ("GET / HTTP/1.1 \r\n", .version, 400),
            (" GET / HTTP/1.1\r\n", .method, 400),
            ("\r\n\r\nGET / HTTP/1.1\r\n", .emptyRequestLine, 400),
            ("\nGET / HTTP/1.1\r\n", .bareLineFeed, 400),
            ("GET\r\n", .missingTarget, 400),
            ("GET \r\n", .missingTarget, 400),
            ("GET /\r\n", .missingVersion, 400),
            ("GET / \r\n", .version, 400),
            ("G:T / HTTP/1.1\r\n", .method, 400),
            ("GET / http/1.1\r\n", .version, 400),
            ("GET / HTTP/01.1\r\n", .version, 400),
            ("GET / HTTP/1.\r\n", .version, 400),
            ("GET / HTTP/1.10\r\n", .version, 400),
            ("GET / HTTPS/1.1\r\n", .version, 400),
            ("GET / HTTP/2.0\r\n", .unsupportedVersion, 505),
            ("GET / HTTP/0.9\r\n", .unsupportedVersion, 505),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion, 505),
            ("GET /a b HTTP/1.1\r\n", .version, 400),
            ("GET /é HTTP/1.1\r\n", .target, 400),
            ("GET /#top HTTP/1.1\r\n", .fragment, 400),
            ("GET a HTTP/1.1\r\n", .scheme, 400),
            ("GET ftp://h/ HTTP/1.1\r\n", .scheme, 400),
            ("GET http:/h/ HTTP/1.1\r\n", .scheme, 400),
            ("GET http:///path HTTP/1.1\r\n", .authority, 400),
            ("GET http://u@h/ HTTP/1.1\r\n", .authority, 400),
            ("GET http://other/ HTTP/1.1\r\n", .hostMismatch, 400),
            ("GET https://h:80/ HTTP/1.1\r\n", .hostMismatch, 400),
            ("GET h:80 HTTP/1.1\r\n", .scheme, 400),
            ("GET * HTTP/1.1\r\n", .targetForm, 400),
            ("OPTIONS *x HTTP/1.1\r\n", .targetForm, 400),
            ("CONNECT / HTTP/1.1\r\n", .authority, 400),
            ("CONNECT h HTTP/1.1\r\n", .connectPort, 400),
            ("CONNECT h: HTTP/1.1\r\n", .connectPort, 400),
            ("CONNECT :80 HTTP/1.1\r\n", .authority, 400),
            ("CONNECT h:99999 HTTP/1.1\r\n", .authority, 400),
            ("\(String(repeating: "M", count: 65)) / HTTP/1.1\r\n", .methodTooLong, 501),
        ] as [Refused]
    )
    func `refuses the request line`(row: Refused) {
        let error = refusal { () throws(HTTPError) in _ = try request(row.text + "Host: h\r\n\r\n")
        }
        #expect(error?.code == row.code)
        #expect(error?.status == row.status)
    }

    /// Fields, each after `GET / HTTP/1.1` and before a Host unless the row is about Host.
    @Test(
        arguments: [
            (" X: 1\r\nHost: h\r\n", .leadingWhitespace, 400),
            ("X : 1\r\nHost: h\r\n", .spaceBeforeColon, 400),
            ("X\t: 1\r\nHost: h\r\n", .spaceBeforeColon, 400),
            ("X: 1\r\n 2\r\nHost: h\r\n", .foldedLine, 400),
            ("X: 1\r\n\t2\r\nHost: h\r\n", .foldedLine, 400),
            (": 1\r\nHost: h\r\n", .emptyFieldName, 400),
            ("X\r\nHost: h\r\n", .missingColon, 400),
            ("X Y: 1\r\nHost: h\r\n", .fieldName, 400),
            ("X(: 1\r\nHost: h\r\n", .fieldName, 400),
            ("é: 1\r\nHost: h\r\n", .fieldName, 400),
            ("X: \u{0}\r\nHost: h\r\n", .controlByte, 400),
            ("X: \u{7F}\r\nHost: h\r\n", .controlByte, 400),
            ("X: 1\nHost: h\r\n", .bareLineFeed, 400),
            ("X: 1\rHost: h\r\n", .bareCarriageReturn, 400),
            ("X: 1\r\n", .missingHost, 400),
            ("Host: h\r\nHost: h\r\n", .duplicateHost, 400),
            ("Host: h/p\r\n", .host, 400),
            ("Host: u@h\r\n", .host, 400),
            ("Host: a b\r\n", .host, 400),
            ("Host: a%6\r\n", .host, 400),
            ("Host: a%\r\n", .host, 400),
            ("Host: a%6x\r\n", .host, 400),
            ("Host: %\r\n", .host, 400),
            ("Host: a\\b\r\n", .host, 400),
            ("Host: a#b\r\n", .host, 400),
            ("Host: a\"b\r\n", .host, 400),
            ("Host: a..b\r\n", .host, 400),
            ("Host: .a\r\n", .host, 400),
            ("Host: :80\r\n", .host, 400),
            ("Host: h:x\r\n", .host, 400),
            ("Host: h:65536\r\n", .host, 400),
            ("Host: h:080800\r\n", .host, 400),
            ("Host: [::1\r\n", .host, 400),
            ("Host: [::1]x\r\n", .host, 400),
            ("Host: [h]\r\n", .host, 400),
            ("Host: ::1\r\n", .host, 400),
            (
                "Host: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", .lengthAndCoding,
                400
            ),
            (
                "Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n", .lengthAndCoding,
                400
            ),
            (
                "Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                .duplicateCoding, 400
            ),
            ("Host: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n", .duplicateContentLength, 400),
            (
                "Host: h\r\nConnection: \(String(repeating: "x,", count: 64))\r\n",
                .tooManyConnectionOptions, 431
            ),
        ] as [Refused]
    )
    func `refuses the fields`(row: Refused) {
        let text = "GET / HTTP/1.1\r\n\(row.text)\r\n"
        let error = refusal { () throws(HTTPError) in _ = try request(text) }
        #expect(error?.code == row.code)
        #expect(error?.status == row.status)
    }

    @Test(
        arguments: [
            ("gzip", .chunkedNotFinal, 400),
            ("chunked, gzip", .chunkedNotFinal, 400),
            ("identity", .chunkedNotFinal, 400),
            ("xchunked", .chunkedNotFinal, 400),
            ("chunked, chunked", .chunkedTwice, 400),
            ("chunked, gzip, chunked", .chunkedTwice, 400),
            ("gzip, chunked", .unsupportedCoding, 501),
            ("", .transferCoding, 400),
            (", chunked", .transferCoding, 400),
            ("chunked,", .transferCoding, 400),
            ("chunked;q=1", .transferCoding, 400),
            ("\"chunked\"", .transferCoding, 400),
            ("chunked gzip", .transferCoding, 400),
            ("chunked\u{E9}", .transferCoding, 400),
            ("chunked\u{B}", .controlByte, 400),
        ] as [Refused]
    )
    func `refuses the transfer coding`(row: Refused) {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \(row.text)\r\n\r\n"
        let error = refusal { () throws(HTTPError) in _ = try request(text) }
        #expect(error?.code == row.code)
        #expect(error?.status == row.status)
    }

    @Test func `refuses a transfer coding in HTTP 1.0`() {
        let text = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        let error = refusal { () throws(HTTPError) in _ = try request(text) }
        #expect(error?.code == .codingInHTTP10)
    }

    @Test(arguments: [
        "-1", "+5", "0x5", "1_0", "5 0", "", "5,6", "5, 5", "5;", "5\u{A0}",
    ])
    func `refuses the length`(value: String) {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(value)\r\n\r\n"
        #expect(refusal { () throws(HTTPError) in _ = try request(text) }?.code == .contentLength)
    }

    @Test(arguments: [
        ("0", BodyFraming.none), ("1", .length(1)), ("007", .length(7)), ("00", BodyFraming.none),
        ("9223372036854775807", .length(UInt64(Int64.max))),
        ("9223372036854775808", nil), ("18446744073709551616", nil),
        ("99999999999999999999999999", nil),
    ])
    func `reads a length below 2 to the 63rd`(value: String, framing: BodyFraming?) {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(value)\r\n\r\n"
        var seen: BodyFraming?
        let error = refusal { () throws(HTTPError) in seen = try request(text)?.head.framing }
        #expect(seen == framing)
        #expect(error?.code == (framing == nil ? .contentLengthTooLarge : nil))
    }

    /// RFC 3986, section 3.2.2: what a `reg-name` may be made of. Nothing of it is decoded.
    @Test(arguments: ["a,b", "a%62", "a!$&'()*+;=~b", "%61", "a%2F", "a_b.", "A-1.b"])
    func `a host may be any registered name`(host: String) throws {
        let accepted = try #require(try request("GET / HTTP/1.1\r\nHost: \(host):80\r\n\r\n"))
        #expect(accepted[accepted.head.hostRange] == host)
        #expect(accepted.head.port == 80)
        let absolute = try #require(
            try request("GET http://\(host)/p HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        )
        #expect(absolute[absolute.head.hostRange] == host)
    }

    /// What names like `Content_Length` say is not about framing.
    @Test func `an underscore is flagged and frames nothing`() throws {
        let text = "GET / HTTP/1.0\r\nTransfer_Encoding: chunked\r\nContent_Length: -1\r\n\r\n"
        let accepted = try #require(try request(text))
        #expect(accepted.head.framing == .none)
        #expect(accepted.head.hasUnderscoreField)
        #expect(accepted.fields.allSatisfy { $0.hasUnderscore && $0.known == .other })
    }

    @Test(
        arguments: [
            // target, form, host, port, path, origin form
            ("GET /p?q HTTP/1.1", .origin, "h", 81, "/p", "/p?q"),
            ("GET /p?a?b HTTP/1.1", .origin, "h", 81, "/p", "/p?a?b"),
            ("GET //h/%00%0d%0a HTTP/1.1", .origin, "h", 81, "//h/%00%0d%0a", "//h/%00%0d%0a"),
            ("GET http://H:81/p?q HTTP/1.1", .absolute, "H", 81, "/p", "/p?q"),
            ("GET HTTP://h:81?q HTTP/1.1", .absolute, "h", 81, "", "?q"),
            ("OPTIONS http://h:81 HTTP/1.1", .absolute, "h", 81, "", ""),
            ("OPTIONS * HTTP/1.1", .asterisk, "h", 81, "*", "*"),
            ("CONNECT h:81 HTTP/1.1", .authority, "h", 81, "", ""),
            ("\r\nGET / HTTP/1.9", .origin, "h", 81, "/", "/"),
        ] as [(String, RequestHead.TargetForm, String, UInt16, String, String)]
    )
    func `takes the target apart`(
        line: String,
        form: RequestHead.TargetForm,
        host: String,
        port: UInt16,
        path: String,
        origin: String
    ) throws {
        let accepted = try #require(try request("\(line)\r\nHost: h:81\r\n\r\nrest"))
        #expect(accepted.head.targetForm == form)
        #expect(accepted[accepted.head.hostRange] == host)
        #expect(accepted[accepted.head.authorityRange] == "\(host):\(port)")
        #expect(accepted.head.port == port)
        #expect(accepted[accepted.head.pathRange] == path)
        #expect(accepted[accepted.head.originRange] == origin)
        #expect(accepted.head.isServerWide == (accepted.head.method == .options))
        #expect(accepted.head.minorVersion == 1)
        #expect(accepted.text.utf8.dropFirst(Int(accepted.head.end)).elementsEqual("rest".utf8))
    }

    @Test func `an absolute form without a port means the port of its scheme`() throws {
        _ = try #require(try request("GET http://h/ HTTP/1.1\r\nHost: h:80\r\n\r\n"))
        _ = try #require(try request("GET https://h:443/ HTTP/1.1\r\nHost: h\r\n\r\n"))
        let zero = try #require(try request("GET http://h/ HTTP/1.0\r\n\r\n"))
        #expect(zero[zero.head.hostRange] == "h")
    }

    @Test(
        arguments: [
            ("h", "h", 0), ("h.", "h.", 0), ("h:", "h", 0), ("a_b-c.d:65535", "a_b-c.d", 65_535),
            ("127.0.0.1:8", "127.0.0.1", 8), ("[::1]", "[::1]", 0),
            ("[::ffff:1.2.3.4]:9", "[::ffff:1.2.3.4]", 9),
            ("", "", 0),
        ] as [(String, String, UInt16)]
    )
    func `reads host and port`(value: String, host: String, port: UInt16) throws {
        let accepted = try #require(try request("GET / HTTP/1.1\r\nHost: \(value)\r\n\r\n"))
        #expect(accepted[accepted.head.hostRange] == host)
        #expect(accepted.head.port == port)
    }

    /// Which connections stay open, and what the client waits for.
    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: x, , Close\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true), ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ])
    func `knows whether the connection persists`(version: String, field: String, stays: Bool) throws
    {
        let accepted = try #require(try request("GET / \(version)\r\nHost: h\r\n\(field)\r\n"))
        #expect(accepted.head.isPersistent == stays)
    }

    @Test func `expectations and upgrades count from HTTP 1.1 on`() throws {
        let fields = """
            Host: h\r\nExpect: 100-Continue\r\nConnection: Upgrade, TE\r\nUpgrade: websocket\r
            TE: deflate, trailers\r\n\r\n
            """
        let modern = try #require(try request("GET / HTTP/1.1\r\n\(fields)")).head
        #expect(modern.expectsContinue && modern.hasUpgrade && modern.acceptsTrailers)
        let old = try #require(try request("GET / HTTP/1.0\r\n\(fields)")).head
        #expect(!old.expectsContinue && !old.hasUpgrade)

        let odd = try #require(try request("GET / HTTP/1.1\r\nHost: h\r\nExpect: 7\r\n\r\n")).head
        #expect(odd.hasUnknownExpectation && !odd.expectsContinue)
        let bare = try #require(try request("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n")).head
        #expect(!bare.hasUpgrade, "without the connection option it is not meant for us")
    }

    @Test(arguments: [
        ("GET", HTTP1.Method.get, true), ("HEAD", .head, true), ("POST", .post, false),
        ("PUT", .put, true), ("DELETE", .delete, true), ("OPTIONS", .options, true),
        ("TRACE", .trace, true), ("PATCH", .patch, false), ("get", .other, false),
        ("PURGE", .other, false), ("X-!#$%&'*+.^_`|~9", .other, false),
    ])
    func `knows the methods, case and all`(name: String, method: HTTP1.Method, repeats: Bool) throws
    {
        let accepted = try #require(try request("\(name) / HTTP/1.0\r\n\r\n"))
        #expect(accepted.head.method == method)
        #expect(accepted[accepted.head.methodRange] == name)
        #expect(method.isIdempotent == repeats)
    }

    // MARK: Lenient

    private func lenient(_ bytes: [UInt8]) throws(HTTPError) -> (RequestHead, [Field])? {
        var fields = FieldTable()
        var parser = HeadParser()
        guard
            let head = try parser.parseRequest(bytes.span, fields: &fields, isLenient: true)
        else { return nil }
        return (head, (0..<fields.count).map { fields[$0] })
    }

    /// Each is as the strict one behind it, and its fields are to be written anew where a line ended otherwise.
    @Test(arguments: [
        ("GET / HTTP/1.1\nHost: h\n\n", true), ("GET / HTTP/1.1\nHost: h\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", true), ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", false),
        ("GET /#a#b HTTP/1.1\r\nHost: h\r\n\r\n", false),
    ])
    func `a lenient reader takes what old clients sent`(text: String, isRagged: Bool) throws {
        let (head, fields) = try #require(try lenient(Array(text.utf8)))
        #expect(Int(head.end) == text.utf8.count)
        #expect(head.targetRange.count == 1)
        #expect(fields.map(\.hasBlankName) == [isRagged])
        for cut in 0..<text.utf8.count {
            #expect(try lenient(Array(text.utf8.prefix(cut))) == nil, "cut at \(cut)")
        }
    }

    @Test(arguments: [
        "GET /a\u{1} HTTP/1.1\nHost: h\n\n", "GET /a\rb HTTP/1.1\nHost: h\n\n",
        "GET /a #b HTTP/1.1\nHost: h\n\n", "GET # HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
        "GET / HTTP/1.1\nHost: h\nContent-Length: 1\nTransfer-Encoding: chunked\n\n",
        "GET / HTTP/1.1\nHost: h\nX : 1\n\n", "GET / HTTP/1.1\nHost: h\n X: 1\n\n",
    ])
    func `where two could read it differently, a lenient reader refuses too`(text: String) {
        #expect(throws: HTTPError.self) { try lenient(Array(text.utf8)) }
    }
}
