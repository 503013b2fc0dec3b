// How is an error told to a program? As RFC 9457 has it: one shape, whatever went wrong.

import Hummingbird
import NIOCore
import Vocabulary

/// A problem that a client can act on.
struct Problem: Error, HTTPResponseError {
    var status: HTTPResponse.Status
    /// What was wrong here: expected x, saw y.
    var detail: String
    var headers: HTTPFields

    init(_ status: HTTPResponse.Status, _ detail: String, headers: HTTPFields = [:]) {
        self.status = status
        self.detail = detail
        self.headers = headers
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        let body = JSON.object([
            .init("type", "about:blank"),
            .init("title", .string(status.reasonPhrase)),
            .init("status", .integer(Int64(status.code))),
            .init("detail", .string(detail)),
            .init("instance", .string(request.uri.path)),
        ])
        var response = Response.text(
            body.text + "\n",
            type: "application/problem+json",
            status: status
        )
        for field in headers { response.headers[field.name] = field.value }
        return response
    }
}

/// Gives every error of the framework the same shape.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let problem as Problem {
            return try problem.response(from: request, context: context)
        } catch let error as HTTPError {
            let detail = error.body ?? "\(request.method) \(request.uri.path): no such resource"
            return try Problem(error.status, detail).response(from: request, context: context)
        } catch is NIOTooManyBytesError {
            return try Problem(.contentTooLarge, "body: expected less of it")
                .response(from: request, context: context)
        }
    }
}
