// How is one probe run? On the loop, with one deadline, timed from outside.

public import DNS
public import EventLoop
public import Health
public import Vocabulary

/// Runs `check` against `target` once, on `loop`. Callable from any thread. The trace is nil unless
/// `explain` asks for one.
public func runProbe(
    _ check: any Check,
    _ target: Target,
    timeout: Nanoseconds,
    loop: EventLoop,
    resolver: LoopBound<Resolver>,
    explain: Bool = false,
    heartbeats: Heartbeats? = nil,
    services: LoopBound<Services>? = nil
) async -> (Outcome, Trace?) {
    await withTaskExecutorPreference(loop) {
        let started = loop.instant
        let trace = explain ? Trace(started: started, on: loop) : nil
        let context = ProbeContext(
            loop: loop,
            resolver: resolver,
            started: started,
            deadline: started + timeout,
            trace: trace,
            heartbeats: heartbeats,
            services: services
        )
        var outcome =
            switch await check.sweep(target, in: context) {
            case .one(let outcome): outcome
            case .each(let found, let isOneMachine):
                AddressStates.outcome(of: found, isOneMachine: isOneMachine)
            }
        outcome.phases.total = loop.instant - started
        trace?.note("result", outcome.summary)
        return (outcome, trace)
    }
}

extension Outcome {
    /// `L7STS/503 expected 2xx 3xx, saw 503 Service Unavailable`.
    public var summary: String {
        var text = reason.rawValue
        if let code, reason.layer == "L7" || reason.layer == "PROC" { text += "/\(code)" }
        return message.isEmpty ? text : "\(text) \(message)"
    }
}
