// Does a direct probe say the same over a socket that served another before? What the kernel still has
// to say of the old connection must not be heard as news of the new one.

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite struct SocketReuseTests {
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    /// One target of each temper, and what a probe of it finds.
    private struct Targets {
        var servers: [ScriptedServer] = []
        var rows: [(plan: DirectPlan, reason: Reason)] = []

        mutating func add(_ kind: String, _ reason: Reason, _ script: [ScriptedServer.Step]) throws
        {
            let server = try ScriptedServer([script])
            servers.append(server)
            try add(kind, reason, at: server.address)
        }

        mutating func add(_ kind: String, _ reason: Reason, at address: Address) throws {
            let check = try CheckRegistry.builtin.make(
                kind,
                from: ([:] as TestSetting).options(path: kind)
            )
            let target = Target(upstream: "u", peer: "p", address: address)
            rows.append((try #require(check.direct(target)), reason))
        }
    }

    /// Begins a probe when one ends, `width` at a time, and keeps what they found by target.
    private final class Runner: DirectProbeObserver {
        private let plans: [DirectPlan]
        private var left: Int
        private var running = 0
        private var random: UInt64 = 88_172_645_463_325_252
        private(set) lazy var probes = DirectProbes(loop: loop, observer: self)
        private let loop: EventLoop
        private(set) var found: [[Reason: Int]]
        private let done: CheckedContinuation<[[Reason: Int]], Never>
        /// The probes hold their observer weakly.
        private var held: Runner?

        init(
            _ plans: [DirectPlan],
            count: Int,
            on loop: EventLoop,
            done: CheckedContinuation<[[Reason: Int]], Never>
        ) {
            self.plans = plans
            left = count
            self.loop = loop
            self.done = done
            found = Array(repeating: [:], count: plans.count)
        }

        func begin(width: Int) {
            held = self
            for _ in 0..<width { next() }
        }

        private func next() {
            guard left > 0 else { return }
            left -= 1
            running += 1
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            let index = Int(random >> 33) % plans.count
            let now = Clock.instant()
            probes.begin(
                plans[index],
                pair: index,
                generation: 0,
                started: now,
                deadline: now + .seconds(20)
            )
        }

        func directProbeEnded(
            _ outcome: Outcome,
            of peer: Address,
            pair: Int,
            generation: UInt32,
            started: Instant
        ) {
            found[pair][outcome.reason, default: 0] += 1
            running -= 1
            // At once, as the scheduler does it: within the same batch of events.
            next()
            if running > 0 { return }
            let home = LoopBound(self, on: loop)
            loop.execute {
                home.value.done.resume(returning: home.value.found)
                home.value.held = nil
            }
        }
    }

    @Test(arguments: [1, 4, 40])
    func `two thousand probes of all tempers are each told right`(width: Int) async throws {
        var targets = Targets()
        defer { for server in targets.servers { server.stop() } }
        try targets.add("tcp", .layer4OK, [.stall])
        try targets.add("tcp", .layer4OK, [.close])
        try targets.add("tcp", .layer4OK, [.send("hello"), .close])
        try targets.add("http", .layer7OK, [.expect("\r\n\r\n"), .send(Self.answer), .close])
        try targets.add("http", .layer7OK, [.expect("\r\n\r\n"), .send(Self.answer), .stall])
        try targets.add("http", .layer7Response, [.expect("\r\n\r\n"), .close])
        try targets.add("http", .layer7Response, [.expect("\r\n\r\n"), .reset])
        try targets.add("tcp", .layer4Connect, at: .host("127.0.0.1", port: try freePort()))
        if hasIPv6Loopback {
            let six = try ScriptedServer([[.stall]], at: .host("::1", port: 0))
            targets.servers.append(six)
            try targets.add("tcp", .layer4OK, at: six.address)
        }

        let loop = try EventLoop.spawn(name: "reuse")
        defer { loop.stop() }
        let plans = targets.rows.map(\.plan)
        let found = await withCheckedContinuation { done in
            loop.execute {
                Runner(plans, count: 2_000, on: loop, done: done).begin(width: width)
            }
        }
        for (row, reasons) in zip(targets.rows, found) {
            #expect(Set(reasons.keys) == [row.reason], "\(row.plan.peer): \(reasons)")
        }
        #expect(found.flatMap(\.values).reduce(0, +) == 2_000)
        let isLetGo = await eventually {
            await LoopBound((), on: loop).call { _ in loop.watchedCount == 0 }
        }
        #expect(isLetGo, "sockets kept go with their probes")
    }

    /// Ends when `width` probes at once have ended; then tells of its probes.
    private final class Burst: DirectProbeObserver {
        private(set) lazy var probes = DirectProbes(loop: loop, observer: self)
        private let loop: EventLoop
        private var running = 0
        private var done: CheckedContinuation<Void, Never>?

        init(on loop: EventLoop) { self.loop = loop }

        func begin(_ plan: DirectPlan, width: Int, done: CheckedContinuation<Void, Never>) {
            self.done = done
            running = width
            let now = Clock.instant()
            for _ in 0..<width {
                let end = now + .seconds(60)
                probes.begin(plan, pair: 0, generation: 0, started: now, deadline: end)
            }
        }

        func directProbeEnded(
            _ outcome: Outcome,
            of peer: Address,
            pair: Int,
            generation: UInt32,
            started: Instant
        ) {
            running -= 1
            if running == 0 { done.take()?.resume() }
        }
    }

    @Test func `a burst leaves sockets for the probes after it, and no more than that`()
        async throws
    {
        let server = try ScriptedServer([[.stall]])
        defer { server.stop() }
        var targets = Targets()
        try targets.add("tcp", .layer4OK, at: server.address)
        let plan = targets.rows[0].plan
        let loop = try EventLoop.spawn(name: "burst")
        defer { loop.stop() }
        let burst = LoopBound(Burst(on: loop), on: loop)
        func run(width: Int) async -> (opened: Int, kept: Int) {
            await withCheckedContinuation { done in
                loop.execute { burst.value.begin(plan, width: width, done: done) }
            }
            return await burst.call { ($0.probes.socketsOpened, $0.probes.probesKept) }
        }
        let kept = DirectProbes.socketsKeptMax
        let first = await run(width: 3 * kept)
        #expect(first.opened == 3 * kept)
        #expect(first.kept <= 2 * kept)
        for _ in 0..<5 { #expect(await run(width: 1).opened == first.opened) }
        #expect(await run(width: kept).opened == first.opened)
        await burst.call { $0.probes.close() }
    }
}
