// What does the peer's agent want? The check that HAProxy calls agent-check: connect, send a text
// if there is one, read one line. An agent that cannot be reached says nothing about its peer.

import EventLoop
public import Health
public import Vocabulary

/// Takes health, weight, connection limit and administrative wishes from a line the peer sends.
public struct HAProxyAgentCheck: Check {
    public static let kind = "haproxy-agent-check"
    public static let summary = "ask the peer's HAProxy agent for its health and weight"
    public static let defaultThresholds = Thresholds(rise: 1, fall: 1)

    private let destination: Destination
    private let send: [UInt8]
    private let silence: AgentSilence

    public init(options: inout Options) throws(SettingError) {
        destination = try Destination(options: &options)
        send =
            try options.take("agent-send").map { (text) throws(SettingError) in
                try text.escapedBytes(at: "\(options.path).agent-send")
            } ?? []
        silence = try AgentSilence(options: &options)
    }

    public func problem(probing peer: Address) -> SettingError? {
        destination.problem(probing: peer)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        do throws(ProbeFailure) {
            let address = destination.address(for: target.address)
            let stream = try await Dialer.dial(address, in: context, phases: &phases)
            defer { stream.reset() }
            let reader = LineReader(context: context, stream: stream)
            if !send.isEmpty { try await reader.send(send) }
            let line = AgentReply(parsing: try await reader.agentLine(phases: &phases))
            var outcome = line.outcome
            outcome.phases = phases
            return outcome
        } catch {
            return silence.judge(error).outcome(phases)
        }
    }
}

/// What it means that an agent gave no line.
struct AgentSilence: Sendable, Hashable {
    private let fails: Bool

    /// Takes `on-error`: HAProxy changes nothing then, durpina counts a failure.
    init(options: inout Options) throws(SettingError) {
        fails = try options.word("on-error", among: ["neutral", "fail"]) == "fail"
    }

    func judge(_ failure: ProbeFailure) -> ProbeFailure {
        guard !fails, failure.verdict == .fail else { return failure }
        var failure = failure
        failure.verdict = .neutral
        return failure
    }
}

/// Reads the first line that an agent sends.
private struct LineReader {
    let context: ProbeContext
    let stream: any Transport

    func send(_ bytes: [UInt8]) async throws(ProbeFailure) {
        do throws(StreamError) {
            try await stream.write(bytes)
        } catch {
            throw failure(error, seen: [])
        }
        context.trace?.note("send", Excerpt.of(bytes))
    }

    func agentLine(phases: inout Phases) async throws(ProbeFailure) -> [UInt8] {
        let began = context.loop.instant
        let buffer = ReadBuffer()
        var seen: [UInt8] = []
        context.trace?.note("expect", "a line of an agent")
        while true {
            let count: Int
            do throws(StreamError) {
                count = try await stream.read(into: buffer.room)
            } catch {
                throw failure(error, seen: seen)
            }
            guard count > 0 else { throw failure(.ended, seen: seen) }
            if phases.firstByte == nil { phases.firstByte = context.loop.instant - began }
            seen += buffer.prefix(count)
            if let length = AgentReply.length(in: seen) {
                context.trace?.note("receive", Excerpt.of(seen))
                return Array(seen[..<length])
            }
            guard seen.count < AgentReply.bytesMax else {
                throw ProbeFailure(.layer7Response, AgentReply.tooLong(seen))
            }
        }
    }

    private func failure(_ error: StreamError, seen: [UInt8]) -> ProbeFailure {
        ProbeFailure.exchanging(
            error,
            over: stream,
            expected: "a line of an agent",
            within: context.span,
            seen: seen.isEmpty ? "nothing" : "\(Excerpt.of(seen)) without a line end"
        )
    }
}
