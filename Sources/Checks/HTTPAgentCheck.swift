// What does the peer's agent want, asked over HTTP? The same line as of `haproxy-agent-check`, in
// the body of an answer. Here the end of the body ends the line too.

import EventLoop
import HTTP1
public import Health
public import Vocabulary

/// Takes health, weight, connection limit and administrative wishes from the body of an answer.
public struct HTTPAgentCheck: Check {
    public static let kind = "http-agent"
    public static let summary = "GET the line of the peer's HAProxy agent over HTTP"
    public static let defaultThresholds = Thresholds(rise: 1, fall: 1)

    private let client: HTTPClient
    private let statuses: StatusSet
    private let silence: AgentSilence

    public init(options: inout Options) throws(SettingError) {
        client = try HTTPClient(options: &options)
        statuses =
            try options.take("expect").map { (setting) throws(SettingError) in
                try StatusSet(setting, at: "\(options.path).expect")
            } ?? .success
        silence = try AgentSilence(options: &options)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        do throws(ProbeFailure) {
            let (stream, address) = try await client.open(target, in: context, phases: &phases)
            defer { stream.reset() }
            let exchange = HTTPExchange(context: context, stream: stream)
            var outcome = try await exchange.run(
                client.request,
                to: address,
                bodyBytesMax: AgentReply.bytesMax,
                phases: &phases
            ) { reply in judge(reply) }
            if outcome.reason == .layer7Status, outcome.code != nil {
                outcome.verdict = silence.judge(ProbeFailure(.layer7Status, "")).verdict
            }
            outcome.phases = phases
            return client.weigh(outcome, over: stream)
        } catch {
            return silence.judge(error).outcome(phases)
        }
    }

    private func judge(_ reply: borrowing ResponseReader) -> Outcome? {
        guard statuses.contains(reply.status) else {
            return Outcome(
                .fail,
                .layer7Status,
                code: reply.status,
                message: "expected \(statuses.text), saw \(reply.statusText)"
            )
        }
        if let length = AgentReply.length(in: reply.body) {
            return AgentReply(parsing: reply.body[..<length]).outcome
        }
        return reply.isComplete ? AgentReply(parsing: reply.body).outcome : nil
    }
}
