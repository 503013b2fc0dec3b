// How is an error told to a program? As RFC 9457 has it: one shape, whatever went wrong.

import Front
import Vocabulary

/// A problem that a client can act on.
struct Problem: Error {
    var status: Status
    /// What was wrong here: expected x, saw y.
    var detail: String
    var fields: [FrontRequest.Field]
    /// What a program needs to go on, beside the words.
    var members: [JSON.Member]

    init(
        _ status: Status,
        _ detail: String,
        fields: [FrontRequest.Field] = [],
        members: [JSON.Member] = []
    ) {
        self.status = status
        self.detail = detail
        self.fields = fields
        self.members = members
    }

    /// `path`: what was asked.
    func response(to path: String) -> Response {
        let body = JSON.object(
            [
                .init("type", "about:blank"),
                .init("title", .string(status.phrase)),
                .init("status", .integer(Int64(status.code))),
                .init("detail", .string(detail)),
                .init("instance", .string(path)),
            ] + members
        )
        var response = Response.text(body.text + "\n", type: "application/problem+json", status)
        response.fields += fields
        return response
    }
}
