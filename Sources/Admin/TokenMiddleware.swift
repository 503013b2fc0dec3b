// Who may write? Whoever shows the token, as soon as one is configured. Reading is free: whoever can
// reach the address may look.

import Hummingbird

struct TokenMiddleware<Context: RequestContext>: RouterMiddleware {
    /// Nil on an address that only this machine can reach.
    let token: String?

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard let token, ![.get, .head, .options].contains(request.method) else {
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
