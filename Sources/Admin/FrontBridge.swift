// How do the front's requests and answers become Hummingbird's? Field by field; neither knows the other.

import Front
import Hummingbird
import NIOCore
import Vocabulary

/// The framework passes the collection on, not the name of what is in it.
private typealias HTTPField = HTTPFields.Element

extension Request {
    init(_ request: FrontRequest) throws {
        // A method is a token, which the parser has seen to.
        guard let method = HTTPRequest.Method(request.method) else {
            throw Problem(.notImplemented, "expected a method of HTTP, saw '\(request.method)'")
        }
        var fields = HTTPFields()
        for field in request.fields {
            guard let name = HTTPField.Name(field.name) else { continue }
            fields.append(HTTPField(name: name, value: field.value))
        }
        self.init(
            head: HTTPRequest(
                method: method,
                scheme: nil,
                authority: request.authority,
                path: request.target,
                headerFields: fields
            ),
            body: RequestBody(buffer: ByteBuffer(bytes: request.body))
        )
    }
}

extension AnswerHead {
    /// What a browser may do with an answer: nothing that its page does not come from here.
    private static let forBrowsers: [(name: String, value: String)] = [
        ("Server", "muster"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ]

    init(_ response: Response) {
        let announced = response.headers[.contentLength].flatMap { Int($0) }
        let framing: Set = ["content-length", "transfer-encoding", "connection", "date"]
        let fields = response.headers
            .filter { !framing.contains($0.name.canonicalName) }
            .map { (name: $0.name.rawName, value: $0.value) }
        self.init(
            status: response.status.code,
            reason: response.status.reasonPhrase,
            fields: fields + Self.forBrowsers,
            length: announced ?? response.body.contentLength
        )
        isEndless = response.headers[.contentType]?.hasPrefix("text/event-stream") == true
    }
}

/// Takes a body from the framework, piece by piece.
struct FrontBodyWriter: ResponseBodyWriter {
    let writer: AnswerWriter

    mutating func write(_ buffer: ByteBuffer) async throws {
        try await writer.write(Array(buffer.readableBytesView))
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
