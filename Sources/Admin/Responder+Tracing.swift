// What does a trace tell of a change that somebody asked for? A span for each request that writes, in the trace
// of whoever asked, if they have one.

import EventLoop
import Tracing
import Vocabulary

/// Reads the fields of a request.
private struct FieldExtractor: Extractor {
    func extract(key: String, from request: Request) -> String? { request[field: key] }
}

extension Responder {
    func answer(
        _ request: Request,
        by route: Route<Context>,
        tracedBy tracer: any Tracer,
        on loop: EventLoop
    ) async throws(Problem) -> Response {
        var around = ServiceContext.topLevel
        tracer.extract(request, into: &around, using: FieldExtractor())
        // A span lasts as long as it took, whoever sets the other clock meanwhile.
        let (began, epoch) = (loop.instant, loop.epoch)
        let span = tracer.startSpan(
            "\(route.method.rawValue) \(route.path)",
            context: around,
            ofKind: .server,
            at: Self.stamp(epoch)
        )
        let handler = route.handler
        let context = context
        let answer = await ServiceContext.withValue(span.context) {
            () async -> Result<Response, Problem> in
            do throws(Problem) { return .success(try await handler(request, context)) } catch {
                return .failure(error)
            }
        }
        if span.isRecording {
            let status =
                switch answer {
                case .success(let response): response.status.code
                case .failure(let problem): problem.status.code
                }
            var attributes = SpanAttributes()
            attributes["http.request.method"] = route.method.rawValue
            attributes["http.route"] = route.path.description
            attributes["url.path"] = request.path
            attributes["http.response.status_code"] = Int(status)
            if status >= 500 {
                attributes["error.type"] = "\(status)"
                span.setStatus(SpanStatus(code: .error))
            }
            span.attributes = attributes
        }
        span.end(at: Self.stamp(epoch + (loop.instant - began).count))
        return try answer.get()
    }

    private static func stamp(_ epoch: Int64) -> DefaultTracerClock.Timestamp {
        DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: UInt64(clamping: epoch))
    }
}
