// How do spans get on to their receiver? For `/ready`, and so for `muster status`, and for the metrics.

import Spans
import Vocabulary

extension SpanBatcher.Status {
    func json(at now: Moment) -> JSON {
        .object([
            .init("state", problem == nil ? "ok" : "failing"),
            .init(
                "since",
                JSON(failingSince.map { "\(now.wall + -(now.instant - $0))" })
            ),
            .init("error", JSON(problem?.printable)),
            .init("refusal", JSON(refusal?.printable)),
            .init("warning", JSON(self.warning?.printable)),
            .init("waiting", JSON(waiting)),
            .init("made", .integer(Int64(clamping: made))),
            .init("sent", .integer(Int64(clamping: sent))),
            .init(
                "dropped",
                .object(
                    SpanLoss.allCases.compactMap { why in
                        dropped[why].map { .init(why.rawValue, .integer(Int64(clamping: $0))) }
                    }
                )
            ),
        ])
    }
}

extension MetricsText {
    static func tracing(_ status: SpanBatcher.Status) -> String {
        var text = MetricsText(isPerPeer: false)
        text.counter("muster_tracing_spans_total", "Spans made.", status.made)
        text.counter(
            "muster_tracing_spans_sent_total",
            "Spans that the receiver has taken.",
            status.sent
        )
        text.family(
            "muster_tracing_spans_dropped_total",
            "counter",
            "Spans that nobody will see, and why."
        )
        for why in SpanLoss.allCases {
            text.sample(
                "muster_tracing_spans_dropped_total",
                [("reason", why.rawValue)],
                Double(status.dropped[why] ?? 0)
            )
        }
        text.family("muster_tracing_spans_waiting", "gauge", "Spans that wait to be sent.")
        text.sample("muster_tracing_spans_waiting", [], Double(status.waiting))
        text.family("muster_tracing_failing", "gauge", "1 while spans do not arrive.")
        text.sample("muster_tracing_failing", [], status.problem == nil ? 0 : 1)
        return text.text
    }
}
