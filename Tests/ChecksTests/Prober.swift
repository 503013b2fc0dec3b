// How do these tests probe? Through the registry and `runProbe`, as everybody else does.

import Checks
import DNS
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

/// A loop with a resolver, and short words for probing on it.
final class Prober: Sendable {
    let loop: EventLoop
    let resolver: LoopBound<Resolver>
    let heartbeats: Heartbeats

    init(
        _ configuration: ResolverConfiguration = ResolverConfiguration(),
        heartbeats: Heartbeats? = nil
    ) async throws {
        let loop = try EventLoop.spawn(name: "probe")
        self.loop = loop
        self.heartbeats = heartbeats ?? Heartbeats(began: Clock.instant())
        resolver = try await withCheckedThrowingContinuation { continuation in
            loop.execute {
                continuation.resume(
                    with: Result {
                        LoopBound(try Resolver(on: loop, configuration: configuration), on: loop)
                    }
                )
            }
        }
    }

    deinit {
        let (loop, resolver) = (loop, resolver)
        Task.detached {
            await resolver.call { $0.close() }
            // A program that was killed at its deadline has yet to be waited for. Left as a zombie it would stand before
            // the children of tests that expect an exit, and those would wait for ever.
            _ = await eventually { await resolver.call { _ in loop.watchedCount } == 0 }
            loop.execute { loop.stop() }
        }
    }

    func probe(
        _ kind: String,
        _ settings: TestSetting = [:],
        at address: Address,
        timeout: Nanoseconds = .seconds(30)
    ) async throws -> Outcome {
        try await explain(kind, settings, at: address, timeout: timeout).0
    }

    func explain(
        _ kind: String,
        _ settings: TestSetting = [:],
        at address: Address,
        timeout: Nanoseconds = .seconds(30)
    ) async throws -> (Outcome, [Trace.Step]) {
        let check = try CheckRegistry.builtin.make(kind, from: settings.options(path: kind))
        let target = Target(upstream: "web", peer: "\(address)", address: address)
        let (outcome, trace) = await runProbe(
            check,
            target,
            timeout: timeout,
            loop: loop,
            resolver: resolver,
            explain: true,
            heartbeats: heartbeats
        )
        return (outcome, trace?.steps ?? [])
    }

    /// Descriptors and timers that a finished probe has left on the loop.
    func leftovers() async -> (descriptors: Int, timers: Int) {
        let loop = loop
        return await resolver.call { _ in (loop.watchedCount, loop.timerCount) }
    }
}

/// How long a probe may take that is to end for `reason`: a deadline that is to come first comes
/// soon, any other leaves room for a busy machine. Where something comes before the deadline, it must
/// surely have come; a little less surely in a row `ofMany`, which all wait so long.
func patience(
    for reason: Reason,
    afterBytes: Bool = false,
    ofMany: Bool = false
) -> Nanoseconds {
    guard [.layer7Timeout, .layer6Timeout, .layer4Timeout].contains(reason) else {
        return .seconds(20)
    }
    if !afterBytes { return .milliseconds(500) }
    return .seconds(ofMany ? 2 : 5)
}

extension [ScriptedServer.Step] {
    /// Whether the server says anything by this script.
    var speaks: Bool {
        contains {
            switch $0 {
            case .send, .sendBytes, .pieces, .endless: true
            case .expect, .expectBytes, .wait, .stall, .reset, .close: false
            }
        }
    }
}

/// The message of the error that settings give, or nil when they give none.
func complaint(_ kind: String, _ settings: TestSetting) -> String? {
    do throws(SettingError) {
        _ = try CheckRegistry.builtin.make(kind, from: settings.options(path: kind))
        return nil
    } catch {
        return "\(error)"
    }
}
