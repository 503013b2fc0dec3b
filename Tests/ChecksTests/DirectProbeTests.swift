// Does a probe without a task say what the same probe says with one? Both are run against the same
// script, and everything but the times must be equal.

import Checks
import DNS
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct DirectProbeTests {
    private static let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

    private static let answers: [(TestSetting, [ScriptedServer.Step], Reason)] = [
        ([:], [.expect("\r\n\r\n"), .send(head + "ok"), .stall], .layer7OK),
        ([:], [.expect("\r\n\r\n"), .send("HTTP/1.1 503 Busy\r\n\r\n"), .close], .layer7Status),
        (["expect": "404"], [.expect("\r\n\r\n"), .send(head), .stall], .layer7Status),
        (["immediate-fail": "200"], [.expect("\r\n\r\n"), .send(head), .stall], .layer7Status),
        (["degraded": ["status": "200"]], [.expect("\r\n\r\n"), .send(head), .stall], .layer7OK),
        (["method": "HEAD"], [.expect("\r\n\r\n"), .send(head), .stall], .layer7OK),
        (
            [:],
            [.expect("\r\n\r\n"), .pieces(head.map { "\($0)" }, everyMilliseconds: 0), .stall],
            .layer7OK
        ),
        (
            [:],
            [.expect("\r\n\r\n"), .send("HTTP/1.1 103 Early\r\n\r\n" + head), .stall],
            .layer7OK
        ),
        (
            [:],
            [
                .expect("\r\n\r\n"), .send(head),
                .endless([UInt8](repeating: 120, count: 4_096), everyMilliseconds: 0),
            ],
            .layer7OK
        ),
        ([:], [.expect("\r\n\r\n"), .close], .layer7Response),
        ([:], [.expect("\r\n\r\n"), .send("HTTP/1.1 2"), .close], .layer7Response),
        ([:], [.expect("\r\n\r\n"), .send("SSH-2.0-OpenSSH\r\n\r\n"), .stall], .layer7Response),
        (
            [:],
            [
                .expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\n"),
                .endless(Array("a: b\r\n".utf8), everyMilliseconds: 0),
            ],
            .layer7Response
        ),
        ([:], [.expect("\r\n\r\n"), .stall], .layer7Timeout),
        ([:], [.expect("\r\n\r\n"), .send("HTTP/1.1 2"), .stall], .layer7Timeout),
    ]

    @Test(arguments: answers)
    func `an HTTP probe says the same without a task`(
        settings: TestSetting,
        script: [ScriptedServer.Step],
        reason: Reason
    ) async throws {
        let server = try ScriptedServer([script])
        defer { server.stop() }
        let timeout = patience(for: reason, afterBytes: script.speaks, ofMany: true)
        try await compare("http", settings, at: server.address, reason, within: timeout)
    }

    @Test func `a TCP probe says the same without a task`() async throws {
        let server = try ScriptedServer(.stall)
        try await compare("tcp", at: server.address, .layer4OK)
        let address = server.address
        server.stop()
        try await compare("tcp", at: address, .layer4Connect)
        try await compare("http", at: address, .layer4Connect)
        try await compare("tcp", at: .unix(path: "/nonexistent/socket"), .layer4Connect)
    }

    @Test func `a probe that needs more than a head has no direct form`() throws {
        let address = Address.host("127.0.0.1", port: 80)
        for (kind, settings): (String, TestSetting) in [
            ("http", ["expect": ["contains": "ok"]]), ("http", ["tls": true]),
            ("tcp", ["steps": [["send": "x"]]]), ("tcp", ["proxy-protocol": "v2"]),
        ] {
            let check = try CheckRegistry.builtin.make(kind, from: settings.options(path: kind))
            #expect(check.direct(Target(upstream: "u", peer: "p", address: address)) == nil)
        }
        let plain: TestSetting = [:]
        let check = try CheckRegistry.builtin.make("tcp", from: plain.options(path: "tcp"))
        let name = Address.host("localhost", port: 80)
        #expect(check.direct(Target(upstream: "u", peer: "p", address: name)) == nil)
    }

    private func compare(
        _ kind: String,
        _ settings: TestSetting = [:],
        at address: Address,
        _ reason: Reason,
        within timeout: Nanoseconds = .seconds(20)
    ) async throws {
        let prober = try await Prober()
        let check = try CheckRegistry.builtin.make(kind, from: settings.options(path: kind))
        let target = Target(upstream: "web", peer: "\(address)", address: address)
        let (expected, _) = await runProbe(
            check,
            target,
            timeout: timeout,
            loop: prober.loop,
            resolver: prober.resolver
        )
        let plan = try #require(check.direct(target))
        let outcome = await prober.direct(plan, timeout: timeout)
        #expect(outcome.reason == reason, "\(outcome)")
        #expect(outcome.verdict == expected.verdict)
        #expect(outcome.reason == expected.reason)
        #expect(outcome.code == expected.code)
        #expect(outcome.message == expected.message)
        #expect(outcome.isImmediate == expected.isImmediate)
        #expect((outcome.phases.connect == nil) == (expected.phases.connect == nil))
        if outcome.verdict == .pass {
            #expect((outcome.phases.firstByte == nil) == (expected.phases.firstByte == nil))
        }
        #expect(await prober.leftovers() == (0, 0))
    }
}

/// Waits for one direct probe.
private final class Waiter: DirectProbeObserver {
    private let loop: EventLoop
    private let answer: CheckedContinuation<Outcome, Never>
    /// Holds the two until the answer is there: the probes hold their observer weakly.
    private var held: (Waiter, DirectProbes)?

    init(_ answer: CheckedContinuation<Outcome, Never>, on loop: EventLoop) {
        self.loop = loop
        self.answer = answer
    }

    func begin(_ plan: DirectPlan, timeout: Nanoseconds) {
        let probes = DirectProbes(loop: loop, observer: self)
        held = (self, probes)
        let now = Clock.instant()
        probes.begin(plan, pair: 0, generation: 0, started: now, deadline: now + timeout)
    }

    func directProbeEnded(
        _ outcome: Outcome,
        of peer: Address,
        pair: Int,
        generation: UInt32,
        started: Instant
    ) {
        // Not from within a method of what this lets go.
        let home = LoopBound(self, on: loop)
        loop.execute {
            home.value.held = nil
            home.value.answer.resume(returning: outcome)
        }
    }
}

extension Prober {
    fileprivate func direct(_ plan: DirectPlan, timeout: Nanoseconds) async -> Outcome {
        let loop = loop
        return await withCheckedContinuation { answer in
            loop.execute { Waiter(answer, on: loop).begin(plan, timeout: timeout) }
        }
    }
}
