// Does the server answer over HTTP as it should? A fresh connection for every probe, one request,
// and no more of the answer than the conditions need.

import EventLoop
import HTTP1
public import Health
public import Vocabulary

/// Passes when the answer has an expected status and meets the conditions.
public struct HTTPCheck: Check {
    public static let kind = "http"
    public static let summary = "GET a path and judge status, headers, body and latency"

    private let client: HTTPClient
    private let expectation: HTTPExpectation
    /// What is hardly meant as it is taken.
    private let doubts: [SettingError]
    private let question: DirectPlan.Question

    public init(options: inout Options) throws(SettingError) {
        client = try HTTPClient(options: &options)
        expectation = try HTTPExpectation(options: &options, of: client.request.method)
        if client.followsRedirects, expectation.statuses.isWithin(HTTPHop.statuses) {
            throw SettingError(
                options.position,
                "\(options.path).expect: expected another status than \(expectation.statuses.text) "
                    + "with 'redirects', which follows such an answer and judges the one behind it"
            )
        }
        doubts = expectation.doubts + client.doubts(readsBody: expectation.needsBody, options)
        question = DirectPlan.Question(method: client.request.method, expectation: expectation)
    }

    public var slowness: Nanoseconds? { expectation.degradedLatency }

    public var resolvesNames: Bool { client.resolvesNames }

    public func problem(on schedule: Schedule) -> SettingError? {
        expectation.problem(within: schedule.timeout)
    }

    public func warnings(on schedule: Schedule) -> [SettingError] { doubts }

    public func problem(probing peer: Address) -> SettingError? {
        client.problem(probing: peer)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        context.trace?.note("expect", expectation.summary)
        do throws(ProbeFailure) {
            var outcome = try await client.ask(
                target,
                in: context,
                bodyBytesMax: expectation.needsBody ? HTTPExpectation.bodyBytesMax : 0,
                phases: &phases
            ) { reply in expectation.judge(reply, latency: context.loop.instant - context.started) }
            outcome.phases = phases
            return outcome
        } catch {
            return error.outcome(phases)
        }
    }

    public func direct(_ target: Target) -> DirectPlan? {
        guard !expectation.needsBody, let (literal, address) = client.plain(target) else {
            return nil
        }
        return DirectPlan(
            peer: target.address,
            address: literal,
            request: client.request.bytes(for: address),
            question: question
        )
    }
}
