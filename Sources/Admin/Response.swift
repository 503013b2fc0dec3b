// What does a handler answer? A status, fields, and a body: whole, or piece by piece as it comes about.

import EventLoop
import Front
import Vocabulary

struct Response: Sendable {
    /// Writes the pieces. Each write comes back when the client has taken the piece, so that a slow
    /// reader holds up nobody but itself; it throws when the client is gone or too slow, and then the
    /// stream is over.
    typealias Stream = @Sendable (AnswerWriter) async throws(StreamError) -> Void

    enum Body: Sendable {
        case bytes([UInt8])
        /// Of a length that nobody knows before its end.
        case pieces(Stream)
        /// Without an end: only cut where nobody reads it.
        case events(Stream)
    }

    var status: Status
    var fields: [FrontRequest.Field]
    var body: Body

    init(_ status: Status, fields: [FrontRequest.Field] = [], body: Body = .bytes([])) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// `application/json`, one line.
    static func json(_ value: JSON, _ status: Status = .ok) -> Response {
        text(value.text + "\n", type: "application/json", status)
    }

    static func text(_ text: String, type: String, _ status: Status = .ok) -> Response {
        Response(status, fields: fields(ofType: type), body: .bytes(Array(text.utf8)))
    }

    /// What is true this moment: nobody may keep it for later.
    static func fields(ofType type: String) -> [FrontRequest.Field] {
        [.init("Content-Type", type), .init("Cache-Control", "no-store")]
    }
}

extension AnswerHead {
    /// What a browser may do with an answer: nothing that its page does not come from here.
    private static let forBrowsers: [FrontRequest.Field] = [
        .init("Server", "muster"),
        .init("X-Content-Type-Options", "nosniff"),
        .init("X-Frame-Options", "DENY"),
        .init("Cross-Origin-Resource-Policy", "same-origin"),
    ]

    init(_ response: Response) {
        let length: Int? = if case .bytes(let bytes) = response.body { bytes.count } else { nil }
        self.init(
            status: response.status.code,
            fields: response.fields
                + Self.forBrowsers.filter { usual in
                    !response.fields.contains { $0.name == usual.name }
                },
            length: length
        )
        if case .events = response.body { isEndless = true }
    }
}
