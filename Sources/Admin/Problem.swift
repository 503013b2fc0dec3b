// How is an error told to a program? As RFC 9457 has it: one shape, whatever went wrong.

import Front
import Vocabulary

/// A problem that a client can act on.
struct Problem: Error {
    var status: Status
    /// What was wrong here: expected x, saw y.
    var detail: String
    var fields: [FrontRequest.Field]

    init(_ status: Status, _ detail: String, fields: [FrontRequest.Field] = []) {
        self.status = status
        self.detail = detail
        self.fields = fields
    }

    /// `path`: what was asked.
    func response(to path: String) -> Response {
        let body = JSON.object([
            .init("type", "about:blank"),
            .init("title", .string(status.phrase)),
            .init("status", .integer(Int64(status.code))),
            .init("detail", .string(detail)),
            .init("instance", .string(path)),
        ])
        var response = Response.text(body.text + "\n", type: "application/problem+json", status)
        response.fields += fields
        return response
    }
}
