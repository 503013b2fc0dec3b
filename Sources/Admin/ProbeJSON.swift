// How is a probe that somebody asked for told to a program?

import Health
import Monitor
import Store
import Vocabulary

enum ProbeJSON {
    static func report(_ report: ProbeReport, monitor: MonitorSummary) -> JSON {
        let outcome = report.outcome
        return .object([
            .init("monitor", .string(monitor.id)),
            .init("kind", .string(monitor.kind)),
            .init("verdict", .string(outcome.verdict.rawValue)),
            .init("layer", outcome.reason.layer.map { .string($0) } ?? .null),
            .init("reason", .string(outcome.reason.rawValue)),
            .init("code", outcome.code.map { .integer(Int64($0)) } ?? .null),
            .init("message", .string(outcome.message)),
            .init("phases_ms", phases(outcome.phases)),
            .init(
                "steps",
                .array(
                    report.steps.map { step in
                        .object([
                            .init("at_ms", .number(step.at.seconds * 1_000)),
                            .init("phase", .string(step.phase)),
                            .init("text", .string(step.text)),
                        ])
                    }
                )
            ),
        ])
    }

    private static func phases(_ phases: Phases) -> JSON {
        func milliseconds(_ span: Nanoseconds?) -> JSON {
            span.map { .number($0.seconds * 1_000) } ?? .null
        }
        return .object([
            .init("resolve", milliseconds(phases.resolve)),
            .init("connect", milliseconds(phases.connect)),
            .init("tls", milliseconds(phases.tls)),
            .init("first_byte", milliseconds(phases.firstByte)),
            .init("total", milliseconds(phases.total)),
        ])
    }
}
