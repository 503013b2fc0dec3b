// What happens to a request between the front and its handler? Its route is looked up, its token judged,
// and whatever goes wrong told in one shape.

import EventLoop
import Front
import Tracing

struct Responder<Context: Sendable>: Sendable {
    let router: Router<Context>
    let access: Access
    let context: Context
    /// Who records what is asked to be changed, and whose clock they go by; nil where nobody does.
    var tracing: (tracer: any Tracer, loop: EventLoop)?

    func answer(
        _ request: FrontRequest,
        over writer: AnswerWriter
    ) async throws(StreamError) {
        try await response(to: request).send(to: request, over: writer)
    }

    func response(to asked: FrontRequest) async -> Response {
        var request = Request(asked)
        do throws(Problem) {
            return try await respond(to: &request)
        } catch {
            return error.response(to: request.path)
        }
    }

    private func respond(to request: inout Request) async throws(Problem) -> Response {
        let finding = router.find(request.method, request.path)
        let need = access.need(request.method, finding.scope(of: request.path))
        // Before anything else is told: what is here is for those who may ask.
        if let problem = access.refusal(of: request[field: "authorization"], needing: need) {
            throw problem
        }
        switch finding {
        case .route(let route, let parameters):
            request.parameters = parameters
            if let tracing, route.method != .get {
                return try await answer(
                    request,
                    by: route,
                    tracedBy: tracing.tracer,
                    on: tracing.loop
                )
            }
            return try await route.handler(request, context)
        case .otherMethods(let known):
            let allowed = known.flatMap(\.methods).joined(separator: ", ")
            throw Problem(
                .methodNotAllowed,
                "expected \(allowed), saw \(request.method)",
                fields: [.init("Allow", allowed)]
            )
        case .nothing:
            throw Problem(.notFound, "\(request.method) \(request.path): no such resource")
        }
    }
}

extension Response {
    func send(
        to request: FrontRequest,
        over writer: AnswerWriter
    ) async throws(StreamError) {
        await writer.begin(AnswerHead(self))
        // A HEAD is told how much would come; what it takes to make it come is not begun.
        if request.method == "HEAD" { return }
        switch body {
        case .bytes(let bytes): try await writer.write(bytes)
        case .pieces(let stream), .events(let stream): try await stream(writer)
        }
    }
}
