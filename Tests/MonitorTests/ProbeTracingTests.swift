// Is each probe a span that tells of whom it was and what came of it?

import Checks
import EventLoop
import Health
import InMemoryTracing
import Testing
import Tracing
import Vocabulary

@testable import Monitor

@Suite struct ProbeTracingTests {
    @Test func `a probe is a span with its outcome`() async throws {
        let script = Script { _ in .refused }
        try await Rig.inVirtualTime { rig in
            let tracer = InMemoryTracer()
            rig.scheduler.tracer = tracer
            rig.define([.scripted(peers: ["127.0.0.1:9001"], script: script)])
            #expect(await rig.comes { tracer.finishedSpans.count >= 1 })
            let failed = try #require(tracer.popFinishedSpans().first)
            #expect(failed.operationName == "probe scripted" && failed.kind == .client)
            #expect(failed.parentSpanID == nil)
            let expected: [(String, SpanAttribute)] = [
                ("muster.upstream", "web"), ("muster.peer", "127.0.0.1:9001"),
                ("muster.verdict", "fail"), ("muster.reason", "L4CON"),
                ("error.type", "L4CON"), ("server.address", "127.0.0.1"),
                ("server.port", .int64(9_001)),
            ]
            for (key, value) in expected {
                #expect(failed.attributes.get(key) == value, "\(key)")
            }
            #expect(failed.status?.code == .error)
            let began = failed.startInstant.nanosecondsSinceEpoch
            #expect(began >= 1_767_225_600_000_000_000)
            #expect(failed.endInstant.nanosecondsSinceEpoch >= began)

            script.set { _ in .pass }
            #expect(
                await rig.comes {
                    tracer.finishedSpans.contains { $0.attributes.get("muster.verdict") == "pass" }
                }
            )
            let passed = tracer.finishedSpans.first {
                $0.attributes.get("muster.verdict") == "pass"
            }
            #expect(passed?.status == nil && passed?.attributes.get("error.type") == nil)
            // One a probe.
            #expect(tracer.finishedSpans.count + 1 == script.asked.count)
        }
    }
}
