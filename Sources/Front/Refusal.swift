// How is a client told no? As RFC 9457 has it, in the shape of the API's own errors, with what was
// expected and what came.

import HTTP1
import Vocabulary

public struct Refusal: Error, Hashable, Sendable {
    public var status: Int
    public var detail: String
    public var allow: String?

    public init(_ status: Int, _ detail: String, allow: String? = nil) {
        self.status = status
        self.detail = detail
        self.allow = allow
    }

    func body(path: String) -> [UInt8] {
        let problem = JSON.object([
            .init("type", "about:blank"),
            .init("title", .string(ReasonPhrase.of(status))),
            .init("status", .integer(Int64(status))),
            .init("detail", .string(detail)),
            .init("instance", .string(path)),
        ])
        return Array((problem.text + "\n").utf8)
    }

    /// The connection ends with it: whatever comes next on it is not looked at.
    func bytes(path: String, date: String) -> [UInt8] {
        let content = body(path: path)
        let length = content.count
        var head = "HTTP/1.1 \(status) \(ReasonPhrase.of(status))\r\nDate: \(date)\r\n"
        if let allow { head += "Allow: \(allow)\r\n" }
        head += "Content-Type: application/problem+json\r\nContent-Length: \(length)\r\n"
        head += "X-Content-Type-Options: nosniff\r\n"
        return Array((head + "Cache-Control: no-store\r\nConnection: close\r\n\r\n").utf8) + content
    }
}
