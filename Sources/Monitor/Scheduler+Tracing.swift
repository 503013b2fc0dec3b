// What does a trace tell of a probe? That it was made, of whom, how long it took and what came of it: a span, made
// when the probe is over.

import Health
import Tracing
import Vocabulary

extension Scheduler {
    func trace(_ outcome: Outcome, of pair: Pair, started: Instant, by tracer: any Tracer) {
        // From the monotonic clock: a span lasts as long as the probe did, whoever sets the other one.
        let (now, wall) = (loop.instant, loop.epoch)
        let begun = wall - (now - started).count
        let span = tracer.startSpan(
            "probe \(pair.monitor.kind)",
            context: .topLevel,
            ofKind: .client,
            at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: UInt64(clamping: begun))
        )
        if span.isRecording {
            var attributes = SpanAttributes()
            attributes["muster.upstream"] = pair.key.upstream
            attributes["muster.peer"] = pair.key.peer
            attributes["muster.monitor"] = pair.key.monitor
            attributes["muster.check"] = pair.monitor.kind
            attributes["muster.verdict"] = outcome.verdict.rawValue
            attributes["muster.reason"] = outcome.reason.rawValue
            if let code = outcome.code { attributes["muster.code"] = code }
            switch pair.address {
            case .host(let host, let port):
                attributes["server.address"] = host
                attributes["server.port"] = Int(port)
            case .unix(let path): attributes["server.address"] = path
            }
            if outcome.verdict == .fail {
                attributes["error.type"] = outcome.reason.rawValue
                span.setStatus(SpanStatus(code: .error, message: outcome.message))
            }
            span.attributes = attributes
        }
        span.end(at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: UInt64(clamping: wall)))
    }
}
