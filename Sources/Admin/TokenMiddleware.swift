// Who may write? Whoever shows the token, as soon as one is configured. Reading is free, whoever can
// reach the address may look, unless the configuration says otherwise.

import Hummingbird

struct TokenMiddleware<Context: RequestContext>: RouterMiddleware {
    /// Nil on an address that only this machine can reach.
    let token: String?
    /// Looking takes the token too. Whether the process lives and is ready is no secret: those who
    /// ask that have no place for a token.
    var protectsReads = false

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard let token, Self.isGuarded(request.method, request.uri.path, protectsReads) else {
            return try await next(request, context)
        }
        guard Self.opens(request.headers[.authorization] ?? "", token) else {
            var response = try Problem(.unauthorized, "expected 'Authorization: Bearer <token>'")
                .response(from: request, context: context)
            response.headers[.wwwAuthenticate] = "Bearer"
            return response
        }
        return try await next(request, context)
    }

    private static var open: [String] { ["/health", "/ready"] }

    static func isGuarded(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ protectsReads: Bool
    ) -> Bool {
        guard [.get, .head, .options].contains(method) else { return true }
        return protectsReads && !open.contains(path)
    }

    /// Whether an `Authorization` field shows the token. The scheme is case-insensitive: RFC 9110,
    /// section 11.1.
    static func opens(_ shown: String, _ token: String) -> Bool {
        let scheme = shown.prefix("Bearer ".count)
        return scheme.lowercased() == "bearer "
            && isSame(String(shown.dropFirst(scheme.count)), token)
    }

    /// Takes as long for a near miss as for a far one: time must not tell the token.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var difference = left.count ^ right.count
        for index in 0..<min(left.count, right.count) {
            difference |= Int(left[index] ^ right[index])
        }
        return difference == 0
    }
}
