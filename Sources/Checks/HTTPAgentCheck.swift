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

    public var resolvesNames: Bool { client.resolvesNames }

    public func problem(probing peer: Address) -> SettingError? {
        client.problem(probing: peer)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        do throws(ProbeFailure) {
            var outcome = try await client.ask(
                target,
                in: context,
                bodyBytesMax: AgentReply.bytesMax,
                phases: &phases
            ) { reply in judge(reply) }
            // A status that is none of an agent's line: the answer is no answer.
            if outcome.verdict == .fail, outcome.code != nil {
                outcome.verdict = silence.judge(ProbeFailure(outcome.reason, "")).verdict
            }
            outcome.phases = phases
            return outcome
        } catch {
            return silence.judge(error).outcome(phases)
        }
    }

    private func judge(_ reply: borrowing ResponseReader) -> Outcome? {
        guard statuses.contains(reply.status) else { return judgeRefusal(reply) }
        if let length = AgentReply.length(in: reply.body) {
            return AgentReply(parsing: reply.body[..<length]).outcome
        }
        // What is left of a line that was cut may say the opposite of the whole.
        if reply.isCut {
            return Outcome(
                .fail,
                .layer7Response,
                code: reply.status,
                message: AgentReply.tooLong(reply.body)
            )
        }
        return reply.isComplete ? AgentReply(parsing: reply.body).outcome : nil
    }

    /// A status that is not expected. The agent may say by it what its line says too, as muster's own
    /// does of a peer that is down: then the line counts, unless it contradicts the status.
    private func judgeRefusal(_ reply: borrowing ResponseReader) -> Outcome? {
        if let length = AgentReply.length(in: reply.body) {
            let line = AgentReply(parsing: reply.body[..<length])
            if line.isPlain, line.health != .up { return line.outcome }
        } else if !reply.isCut {
            guard reply.isComplete else { return nil }
            let line = AgentReply(parsing: reply.body)
            if line.isPlain, line.health != .up { return line.outcome }
        }
        return Outcome(
            .fail,
            .layer7Status,
            code: reply.status,
            message: "expected \(statuses.text), saw \(reply.statusText)"
        )
    }
}
