import HTTP1
import Testing

@Suite struct LimitTests {
    /// One byte below each limit passes, the limit passes, one byte above is refused, and it is
    /// refused too when the message has no end at all.
    @Test(arguments: [-1, 0, 1])
    func `a request line may have exactly so many bytes`(excess: Int) {
        let fixed = "GET / HTTP/1.1".utf8.count
        let pad = String(repeating: "a", count: HeadLimits().requestLineBytes - fixed + excess)
        let line = "GET /\(pad) HTTP/1.1\r\n"
        let error = refusal { () throws(HTTPError) in _ = try request(line + "Host: h\r\n\r\n") }
        #expect(error?.status == (excess > 0 ? 414 : nil))
    }

    @Test(arguments: [-1, 0, 1])
    func `a head may have exactly so many bytes`(excess: Int) {
        let start = "GET / HTTP/1.1\r\nHost: h\r\nX: "
        let count = HeadLimits().headBytes - start.utf8.count - 4 + excess
        let text = start + String(repeating: "a", count: count) + "\r\n\r\n"
        let error = refusal { () throws(HTTPError) in _ = try request(text) }
        #expect(error?.code == (excess > 0 ? .headTooLarge : nil))
        #expect(error?.status == (excess > 0 ? 431 : nil))
    }

    @Test(arguments: [-1, 0, 1])
    func `a head may have exactly so many fields`(excess: Int) {
        let others = (1..<HeadLimits().fields + excess).map { "X\($0): 1\r\n" }.joined()
        let text = "GET / HTTP/1.1\r\nHost: h\r\n\(others)\r\n"
        let error = refusal { () throws(HTTPError) in _ = try request(text) }
        #expect(error?.code == (excess > 0 ? .tooManyFields : nil))
    }

    @Test func `an endless line is refused before its end`() {
        let line = "GET /" + String(repeating: "a", count: 10_000)
        #expect(refusal { () throws(HTTPError) in _ = try request(line) }?.status == 414)
        let field = "GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 40_000)
        #expect(refusal { () throws(HTTPError) in _ = try request(field) }?.status == 431)
        let answer = "HTTP/1.1 200 " + String(repeating: "a", count: 70_000)
        #expect(refusal { () throws(HTTPError) in _ = try response(answer) }?.status == 502)
    }

    /// A length that wrapped around would let a stranger's name pass for a shorter one.
    @Test func `a name too long to be kept is refused even where limits allow it`() {
        var limits = HeadLimits()
        limits.headBytes = 100_000
        let name = String(repeating: "X", count: 65_536) + "Host"
        let error = refusal { () throws(HTTPError) in
            _ = try request("GET / HTTP/1.0\r\n\(name): h\r\n\r\n", limits: limits)
        }
        #expect(error?.code == .headTooLarge)
    }

    /// Searching from the start of the line at every byte would make this cost two and a half
    /// billion steps, minutes in a debug build; the deadline is far from both.
    @Test func `a large head that comes byte by byte costs linear time`() throws {
        let text =
            "GET / HTTP/1.1\r\nHost: h\r\nX: \(String(repeating: "a", count: 200_000))\r\n\r\n"
        let bytes = Array(text.utf8)
        var limits = HeadLimits()
        limits.headBytes = bytes.count
        var table = FieldTable()
        var parser = HeadParser()
        let deadline = ContinuousClock().now + .seconds(10)
        for count in 1...bytes.count {
            let head = try parser.parseRequest(
                bytes.span.extracting(first: count),
                fields: &table,
                limits: limits
            )
            if (head != nil) != (count == bytes.count) { Issue.record("decided at \(count)") }
            if count % 1_000 == 0, ContinuousClock().now > deadline {
                Issue.record("not through after \(count) bytes")
                return
            }
        }
    }

    /// Another connection used the worker's table between two calls.
    @Test func `a head in two parts fills the table anew`() throws {
        let first = Array("GET / HTTP/1.1\r\nHost: first\r\nX: 1\r\n\r\n".utf8)
        let second = Array("PUT / HTTP/1.1\r\nA: 1\r\nB: 2\r\nHost: second\r\n\r\n".utf8)
        var table = FieldTable()
        var slow = HeadParser()
        var fast = HeadParser()
        #expect(try slow.parseRequest(first.span.extracting(first: 33), fields: &table) == nil)
        #expect(try fast.parseRequest(second.span, fields: &table)?.fieldCount == 3)
        let head = try #require(try slow.parseRequest(first.span, fields: &table))
        #expect(head.fieldCount == 2)
        #expect(table.count == 2)
        #expect(table.first(.host)?.value == 22..<27)
        #expect(head.hostRange.range == 22..<27)
    }

    @Test func `an error says what, where, what instead, and what was seen`() {
        let error = refusal { () throws(HTTPError) in
            _ = try request("GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n")
        }
        #expect(error?.description == "field name at byte 19: expected a token, saw 0x20")
        let missing = refusal { () throws(HTTPError) in _ = try request("GET / HTTP/1.1\r\n\r\n") }
        #expect(missing?.description == "head at byte 16: expected a host field")
    }
}
