// Does linear code stay on the loop's thread? As a task that prefers the loop, as an actor on it, and
// as a value that may only be opened there.

import EventLoop
import TestSupport
import Testing
import Vocabulary

/// An actor that lives on a loop.
private actor Resident {
    private let loop: EventLoop
    private(set) var visits = 0

    init(on loop: EventLoop) { self.loop = loop }

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    func visit() -> Bool {
        visits += 1
        return loop.isCurrent
    }

    func linger() async -> Bool {
        visits += 1
        let before = loop.isCurrent
        await Task.yield()
        return before && loop.isCurrent
    }
}

/// What a callback does; not for code that could await.
private func enter(_ resident: Resident) { _ = resident.assumeIsolated { $0.visit() } }

@Suite struct ExecutorTests {
    @Test func `a task that prefers the loop is on its thread after every await`() async throws {
        let places = try await onLoop { loop in
            var places = [loop.isCurrent]
            await Task.yield()
            places.append(loop.isCurrent)
            // Leaves the thread, and comes back.
            try await Task.sleep(for: .microseconds(10))
            places.append(loop.isCurrent)
            async let child = loop.isCurrent
            places.append(await child)
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<5 { group.addTask { loop.isCurrent } }
                for await place in group { places.append(place) }
            }
            return places
        }
        #expect(places.count == 9)
        #expect(places.allSatisfy { $0 })
    }

    @Test func `a long chain of awaits ends, and timers come due in between`() async throws {
        let fired = try await onLoop { loop in
            let recorder = Recorder()
            _ = loop.schedule(at: loop.now, sink: recorder)
            // More jobs in a row than the loop runs in one turn.
            for _ in 0..<10_000 { await Task(executorPreference: loop) {}.value }
            return recorder.dues.count
        }
        #expect(fired == 1)
    }

    @Test func `an actor on the loop runs on its thread, whoever calls`() async throws {
        let loop = try EventLoop.spawn(name: "home")
        defer { loop.stop() }
        let resident = Resident(on: loop)
        #expect(await resident.visit())
        let all = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<100 { group.addTask { await resident.linger() } }
            return await group.reduce(into: true) { $0 = $0 && $1 }
        }
        #expect(all)
        #expect(await resident.visits == 101)
    }

    @Test func `a callback of the loop may enter the actor without waiting`() async throws {
        let loop = try EventLoop.spawn(name: "home")
        defer { loop.stop() }
        let resident = Resident(on: loop)
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            loop.execute {
                #expect(resident.assumeIsolated { $0.visit() })
                done.resume()
            }
        }
        #expect(await resident.visits == 1)
    }

    @Test func `entering the actor from another thread stops the process`() async {
        await #expect(processExitsWith: .failure) {
            enter(Resident(on: try EventLoop.spawn(name: "home")))
        }
    }
}

@Suite struct LoopBoundTests {
    private final class Counter {
        var value = 0
    }

    @Test func `a value is opened at home and its answer brought back`() async throws {
        let loop = try EventLoop.spawn(name: "home")
        defer { loop.stop() }
        let bound = LoopBound(Counter(), on: loop)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<1_000 {
                group.addTask { await bound.call { $0.value += 1 } }
            }
        }
        #expect(await bound.call { $0.value } == 1_000)
        #expect(await bound.call { _ in loop.isCurrent })
    }

    @Test func `a call from the loop's own thread returns too`() async throws {
        let answer = try await onLoop { loop in
            let bound = LoopBound(Counter(), on: loop)
            bound.value.value = 41
            return await bound.call { $0.value + 1 }
        }
        #expect(answer == 42)
    }

    @Test func `a value opened on another thread stops the process`() async {
        await #expect(processExitsWith: .failure) {
            let loop = try EventLoop.spawn(name: "home")
            _ = LoopBound(Counter(), on: loop).value
        }
    }
}
