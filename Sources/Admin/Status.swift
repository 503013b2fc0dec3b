// How did it go? The statuses that this API answers with, by the names that the RFC has for them.

import HTTP1

struct Status: Hashable, Sendable {
    let code: Int

    init(_ code: Int) { self.code = code }

    var phrase: String { ReasonPhrase.of(code) }

    static let ok = Status(200)
    static let created = Status(201)
    static let accepted = Status(202)
    static let noContent = Status(204)
    static let badRequest = Status(400)
    static let unauthorized = Status(401)
    static let forbidden = Status(403)
    static let notFound = Status(404)
    static let methodNotAllowed = Status(405)
    static let conflict = Status(409)
    static let preconditionFailed = Status(412)
    static let unprocessableContent = Status(422)
    static let serviceUnavailable = Status(503)
    static let gatewayTimeout = Status(504)
}
