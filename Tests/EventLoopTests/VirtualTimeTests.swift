// Does time on a virtual loop stand still until it is moved, and then leave nothing out?

import Testing
import Vocabulary

@testable import EventLoop

@Suite struct VirtualTimeTests {
    private func onLoop(
        seed: UInt64 = 1,
        _ body: @escaping @Sendable (EventLoop, Timers) async -> Void
    ) async throws {
        let loop = try EventLoop.spawn(virtual: "virtual", seed: seed)
        defer { loop.stop() }
        await withTaskExecutorPreference(loop) {
            let timers = Timers(loop: loop)
            await body(loop, timers)
            timers.cancelAll()
        }
    }

    @Test func `an hour passes, and every timer of it fires at its own time`() async throws {
        try await onLoop { loop, timers in
            let began = loop.moment
            var fired: [Int64] = []
            func tick() {
                timers.schedule(after: .seconds(60)) {
                    fired.append((loop.instant - began.instant).milliseconds)
                    tick()
                }
            }
            tick()
            await loop.advance(by: .seconds(3_600))
            #expect(fired == (1...60).map { Int64($0) * 60_000 })
            #expect(loop.instant - began.instant == .seconds(3_600))
            #expect(loop.wall - began.wall == .seconds(3_600))
        }
    }

    @Test func `nothing moves while nobody moves it`() async throws {
        try await onLoop { loop, timers in
            let before = loop.instant
            var hasFired = false
            timers.schedule(after: .milliseconds(1)) { hasFired = true }
            for _ in 0..<100 { await Task.yield() }
            #expect(loop.instant == before)
            #expect(!hasFired)
        }
    }

    @Test func `time stops where what was waited for has come to be`() async throws {
        try await onLoop { loop, timers in
            let before = loop.instant
            var count = 0
            func tick() {
                timers.schedule(after: .seconds(1)) {
                    count += 1
                    tick()
                }
            }
            tick()
            #expect(await loop.advance(by: .seconds(100)) { count == 7 })
            #expect(loop.instant - before == .seconds(7))
            #expect(await loop.advance(by: .seconds(2)) { count == 100 } == false)
            #expect(loop.instant - before == .seconds(9))
        }
    }

    @Test func `tasks that wait for timers run at the time they waited for`() async throws {
        try await onLoop { loop, timers in
            let before = loop.instant
            let home = LoopBound(timers, on: loop)
            let task = Task(executorPreference: loop) {
                var seen: [Nanoseconds] = []
                for _ in 0..<3 {
                    await withCheckedContinuation { done in
                        _ = home.value.schedule(after: .seconds(5)) { done.resume() }
                    }
                    seen.append(loop.instant - before)
                }
                return seen
            }
            await loop.advance(by: .seconds(20))
            #expect(await task.value == [.seconds(5), .seconds(10), .seconds(15)])
        }
    }

    @Test func `the wall clock can be set, and timers do not notice`() async throws {
        try await onLoop { loop, timers in
            var fired = 0
            timers.schedule(after: .seconds(10)) { fired += 1 }
            loop.setWall(WallTime(milliseconds: 0))
            await loop.advance(by: .seconds(9))
            #expect(fired == 0)
            #expect(loop.wall == WallTime(milliseconds: 9_000))
            await loop.advance(by: .seconds(1))
            #expect(fired == 1)
        }
    }

    @Test func `fractions of a millisecond add up on the wall clock`() async throws {
        try await onLoop { loop, _ in
            let began = loop.wall
            for _ in 0..<2_000 { await loop.advance(by: .microseconds(1)) }
            #expect(loop.wall - began == .milliseconds(2))
        }
    }

    @Test func `the same seed gives the same chances`() async throws {
        let drawn = Drawn()
        for seed: UInt64 in [7, 7, 8] {
            try await onLoop(seed: seed) { loop, _ in
                drawn.add((0..<8).map { _ in UInt64.random(in: 0...1_000_000, using: &loop.dice) })
            }
        }
        let draws = drawn.all
        #expect(draws[0] == draws[1])
        #expect(draws[0] != draws[2])
    }
}

private final class Drawn: @unchecked Sendable {
    private(set) var all: [[UInt64]] = []

    func add(_ draws: [UInt64]) { all.append(draws) }
}
