// Does the loop tell the right sink, in the right order, and nobody else? Descriptors, timers and
// mail from other threads.

import CLinux
import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

@Suite struct DescriptorEventTests {
    /// What happens while one event is dispatched is told at once to whoever asks, and once more in its turn,
    /// behind what was told before.
    @Test func `who asks again hears of what is new, and then in its turn`() throws {
        let pairs = [try Pair(), try Pair(), try Pair()]
        let recorder = Recorder()
        let probe = Recorder()
        try runLoop { loop in
            // Registered sockets are writable at once. The first of them to be told writes to the last.
            var handles = try pairs.prefix(2).enumerated().map { index, pair in
                try loop.register(Descriptor(owning: pair.near), sink: recorder, tag: index)
            }
            var asked: (before: UInt64, told: UInt64)?
            recorder.onReady = { tag in
                if let asked {
                    #expect(loop.toldBy == (tag == 2 ? asked.told : asked.before))
                } else {
                    do {
                        let last = Descriptor(owning: pairs[2].near)
                        handles.append(try loop.register(last, sink: recorder, tag: 2))
                    } catch { Issue.record(error) }
                    let before = loop.asks
                    #expect(loop.toldBy == before)
                    #expect(loop.askAgain())
                    #expect(loop.asks == before + 1)
                    #expect(loop.eventsSinceAsk == 0)
                    #expect(recorder.foretold == [2])
                    #expect(recorder.readies == [tag])
                    asked = (before, loop.asks)
                }
                guard tag == 2 else { return }
                #expect(recorder.readies.count == 3)
                #expect(recorder.readies.last == 2)
                for handle in handles { loop.close(handle) }
                loop.stop()
            }
            probe.onDue = { _ in #expect(!loop.askAgain(), "no event is being dispatched") }
            _ = loop.schedule(at: loop.now, sink: probe)
        }
        for pair in pairs { Glibc.close(pair.far) }
        #expect(recorder.foretold == [2])
        #expect(probe.dues.count == 1)
    }

    /// Two descriptors are ready in the same wait. Whichever is heard first puts another file under
    /// the other's number: the event that is still to come belongs to a file that is gone.
    @Test func `an event of a descriptor that was closed and reused is dropped`() throws {
        let pairs = [try Pair(), try Pair()]
        let replacement = try Pair()
        let successor = 2
        let recorder = Recorder()
        try runLoop { loop in
            var handles = try pairs.enumerated().map { index, pair in
                try loop.register(Descriptor(owning: pair.near), sink: recorder, tag: index)
            }
            // Registered sockets are writable at once, so both have an event waiting.
            let probe = Recorder()
            recorder.onReady = { tag in
                guard tag != successor else {
                    for handle in handles { loop.close(handle) }
                    loop.stop()
                    return
                }
                let other = 1 - tag
                guard let released = loop.release(handles[other]) else {
                    Issue.record("the other descriptor was not live")
                    return loop.stop()
                }
                let number = released.take()
                // An empty pipe's reading end is neither readable nor writable.
                var pipe: [Int32] = [-1, -1]
                #expect(pipe2(&pipe, O_CLOEXEC) == 0)
                #expect(dup2(pipe[0], number) == number)
                Glibc.close(pipe[0])
                do {
                    handles[other] = try loop.register(
                        Descriptor(owning: number),
                        sink: recorder,
                        tag: successor
                    )
                } catch {
                    Issue.record(error)
                    return loop.stop()
                }
                // Later than the events of this wait, and it wakes the successor for real.
                probe.onDue = { _ in
                    #expect(recorder.readies == [tag], "heard of a file that is gone")
                    _ = Glibc.write(pipe[1], [1], 1)
                    Glibc.close(pipe[1])
                }
                _ = loop.schedule(at: loop.now + .milliseconds(5), sink: probe)
            }
        }
        #expect(recorder.readies.count == 2)
        #expect(recorder.readies.last == successor)
        for pair in pairs { Glibc.close(pair.far) }
        replacement.close()
    }

    @Test func `a registered descriptor is reported once an edge`() throws {
        let pair = try Pair()
        let recorder = Recorder()
        try runLoop { loop in
            let handle = try loop.register(Descriptor(owning: pair.near), sink: recorder, tag: 7)
            var dues = 0
            recorder.onDue = { _ in
                dues += 1
                switch dues {
                case 1:
                    // The first event said writable. Nothing is drained from here on.
                    #expect(recorder.readies == [7])
                    pair.poke()
                case 2: #expect(recorder.readies == [7, 7])
                default:
                    #expect(recorder.readies == [7, 7], "an edge was reported twice")
                    loop.close(handle)
                    return loop.stop()
                }
                _ = loop.schedule(at: loop.now + .milliseconds(5), sink: recorder)
            }
            _ = loop.schedule(at: loop.now + .milliseconds(5), sink: recorder)
        }
        Glibc.close(pair.far)
    }

    @Test func `a watched descriptor is reported until it is drained`() throws {
        let pair = try Pair()
        let recorder = Recorder()
        try runLoop { loop in
            let handle = try loop.watch(pair.near, readable: true, writable: false, sink: recorder)
            pair.poke(3)
            recorder.onReady = { _ in
                #expect(pair.take(1) == 1)
                guard recorder.readies.count == 3 else { return }
                loop.close(handle)
                loop.stop()
            }
        }
        #expect(recorder.readies.count == 3)
        // The loop forgot the descriptor and left it open.
        pair.poke()
        #expect(pair.take() == 1)
        pair.close()
    }

    @Test func `rewatch changes what a watched descriptor is heard for`() throws {
        let pair = try Pair()
        let recorder = Recorder()
        try runLoop { loop in
            let handle = try loop.watch(pair.near, readable: false, writable: false, sink: recorder)
            pair.poke()
            recorder.onDue = { stage in
                if stage == 0 {
                    #expect(recorder.readies.isEmpty, "heard of what was not asked for")
                    loop.rewatch(handle, readable: true, writable: false)
                } else {
                    #expect(recorder.readies.count == 1, "heard of what is not asked for any more")
                    loop.rewatch(handle, readable: false, writable: true)
                }
            }
            recorder.onReady = { _ in
                if recorder.readies.count == 1 {
                    loop.rewatch(handle, readable: false, writable: false)
                    _ = loop.schedule(at: loop.now + .milliseconds(5), sink: recorder, tag: 1)
                } else {
                    loop.close(handle)
                    loop.rewatch(handle, readable: true, writable: true)
                    loop.stop()
                }
            }
            _ = loop.schedule(at: loop.now + .milliseconds(5), sink: recorder, tag: 0)
        }
        #expect(recorder.readies.count == 2)
        pair.close()
    }

    @Test func `a number is watched once, and the first watch survives the second`() throws {
        let pair = try Pair()
        let recorder = Recorder()
        try runLoop { loop in
            let handle = try loop.watch(pair.near, readable: true, writable: false, sink: recorder)
            #expect(throws: SystemError("epoll_ctl", code: EEXIST)) {
                _ = try loop.watch(pair.near, readable: true, writable: false, sink: recorder)
            }
            #expect(loop.isLive(handle))
            #expect(loop.watchedCount == 1)
            loop.close(handle)
            #expect(!loop.isLive(handle))
            loop.close(handle)
            loop.stop()
        }
        pair.close()
    }

    /// C libraries sometimes close first and tell afterwards.
    @Test func `a descriptor closed behind the loop's back is not counted twice`() throws {
        let (first, second) = (try Pair(), try Pair())
        let recorder = Recorder()
        try runLoop { loop in
            let old = try loop.watch(first.near, readable: true, writable: false, sink: recorder)
            // Closes the old file and puts the new one under its number, in one step.
            #expect(dup2(second.near, first.near) == first.near)
            let new = try loop.watch(first.near, readable: true, writable: false, sink: recorder)
            #expect(loop.watchedCount == 1)
            #expect(!loop.isLive(old))
            loop.close(old)
            #expect(loop.isLive(new))
            loop.close(new)
            loop.stop()
        }
        first.close()
        second.close()
    }

    @Test func `release gives the descriptor back open and unheard`() throws {
        let pair = try Pair()
        let recorder = Recorder()
        try runLoop { loop in
            let handle = try loop.register(Descriptor(owning: pair.near), sink: recorder)
            #expect(number(of: loop.release(handle)) == pair.near)
            #expect(number(of: loop.release(handle)) == nil)
            #expect(!loop.isLive(handle))
            pair.poke()
            recorder.onDue = { _ in loop.stop() }
            _ = loop.schedule(at: loop.now + .milliseconds(5), sink: recorder)
        }
        #expect(recorder.readies.isEmpty)
        #expect(pair.take() == 1)
        pair.close()
    }

    @Test func `a retagged descriptor reports under its new tag`() throws {
        let pair = try Pair()
        let recorder = Recorder()
        try runLoop { loop in
            let handle = try loop.register(Descriptor(owning: pair.near), sink: recorder, tag: 1)
            loop.retag(handle, tag: 2)
            recorder.onReady = { _ in
                loop.close(handle)
                loop.retag(handle, tag: 3)
                loop.stop()
            }
        }
        #expect(recorder.readies == [2])
        Glibc.close(pair.far)
    }

    @Test func `more descriptors than the table began with`() throws {
        let recorder = Recorder()
        let pairs = try (0..<100).map { _ in try Pair() }
        try runLoop { loop in
            let handles = try pairs.enumerated().map { index, pair in
                try loop.register(Descriptor(owning: pair.near), sink: recorder, tag: index)
            }
            #expect(loop.watchedCount == 100)
            recorder.onReady = { _ in
                guard recorder.readies.count == 100 else { return }
                for handle in handles { loop.close(handle) }
                loop.stop()
            }
        }
        #expect(recorder.readies.sorted() == Array(0..<100))
        for pair in pairs { Glibc.close(pair.far) }
    }
}

@Suite struct TimerTests {
    @Test func `timers fire in the order of their deadlines, then as they were set`() throws {
        let recorder = Recorder()
        try runLoop { loop in
            let start = loop.now
            for (tag, delay) in [(0, 3), (1, 1), (2, 2), (3, 1), (4, 0)] as [(Int, Int64)] {
                _ = loop.schedule(at: start + .milliseconds(delay), sink: recorder, tag: tag)
            }
            let cancelled = loop.schedule(at: start + .milliseconds(1), sink: recorder, tag: 5)
            let moved = loop.schedule(at: start, sink: recorder, tag: 6)
            #expect(loop.cancel(cancelled))
            #expect(!loop.cancel(cancelled))
            #expect(loop.move(moved, to: start + .milliseconds(4)))
            #expect(!loop.move(cancelled, to: start))
            recorder.onDue = { tag in
                #expect(Clock.instant() >= start)
                if tag == 6 { loop.stop() }
            }
        }
        #expect(recorder.dues == [4, 1, 3, 2, 0, 6])
    }

    @Test func `no timer fires early`() throws {
        let recorder = Recorder()
        try runLoop { loop in
            let deadlines = (0..<20).map { Instant.after(.microseconds(Int64($0) * 731)) }
            for (tag, deadline) in deadlines.enumerated() {
                _ = loop.schedule(at: deadline, sink: recorder, tag: tag)
            }
            recorder.onDue = { tag in
                #expect(Clock.instant() >= deadlines[tag])
                if tag == deadlines.count - 1 { loop.stop() }
            }
        }
        #expect(recorder.dues == Array(0..<20))
    }

    /// Far timers must not lend it their share of the turn, and a deadline in the past is not ahead
    /// of what is due already.
    @Test(arguments: [.zero, .seconds(-1)] as [Nanoseconds])
    func `a timer that sets itself anew starves nobody`(span: Nanoseconds) throws {
        let pair = try Pair()
        let recorder = Recorder()
        let other = Recorder()
        try runLoop { loop in
            let far = (0..<100).map { _ in
                loop.schedule(at: loop.now + .seconds(3_600), sink: recorder, tag: 9)
            }
            let handle = try loop.watch(pair.near, readable: true, writable: false, sink: other)
            var firings = 0
            recorder.onDue = { _ in
                firings += 1
                if firings == 1 {
                    pair.poke()
                    _ = loop.schedule(at: loop.now, sink: other)
                }
                _ = loop.schedule(at: loop.now + span, sink: recorder, tag: 0)
            }
            var wasHeard = false
            other.onReady = { _ in
                wasHeard = true
                #expect(firings == 1, "the loop did not look at its descriptors in between")
                pair.take()
            }
            other.onDue = { _ in
                #expect(wasHeard)
                #expect(firings <= 2)
                // The endless one sets itself once more; take it out with the rest.
                loop.close(handle)
                for timer in far { loop.cancel(timer) }
                recorder.onDue = { _ in loop.stop() }
            }
            _ = loop.schedule(at: loop.now + span, sink: recorder, tag: 0)
        }
        pair.close()
    }

    @Test func `closures at deadlines`() throws {
        try runLoop { loop in
            let timers = Timers(loop: loop)
            var heard: [String] = []
            timers.schedule(after: .milliseconds(2)) { heard.append("second") }
            timers.schedule(at: loop.now) { heard.append("first") }
            let cancelled = timers.schedule(after: .milliseconds(1)) { heard.append("never") }
            timers.cancel(cancelled)
            timers.cancel(cancelled)
            timers.schedule(after: .milliseconds(4)) {
                #expect(heard == ["first", "second"])
                timers.schedule(after: .seconds(60)) { heard.append("never") }
                timers.cancelAll()
                loop.stop()
            }
        }
    }
}

@Suite struct MailTests {
    @Test func `closures of many threads arrive all, each thread's in its order`() async throws {
        struct Letter: Sendable {
            var thread: Int
            var number: Int
        }
        final class Box: @unchecked Sendable {
            var letters: [Letter] = []
        }
        let (threads, each) = (8, 2_000)
        let received = try await onLoop { loop in
            let box = Box()
            await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
                let group = DispatchGroup()
                for thread in 0..<threads {
                    group.enter()
                    Thread.detachNewThread {
                        for number in 0..<each {
                            loop.execute {
                                precondition(loop.isCurrent)
                                box.letters.append(Letter(thread: thread, number: number))
                            }
                        }
                        group.leave()
                    }
                }
                group.notify(queue: .global()) { loop.execute { done.resume() } }
            }
            return box.letters
        }
        #expect(received.count == threads * each)
        for thread in 0..<threads {
            let numbers = received.filter { $0.thread == thread }.map { $0.number }
            #expect(numbers == Array(0..<each), "thread \(thread)")
        }
    }

    @Test func `a closure that the loop sends itself runs in a later turn`() throws {
        let recorder = Recorder()
        try runLoop { loop in
            nonisolated(unsafe) var steps: [String] = []
            loop.execute {
                loop.execute {
                    steps.append("second")
                    loop.stop()
                }
                steps.append("first")
            }
            recorder.onDue = { _ in #expect(steps.isEmpty) }
            _ = loop.schedule(at: loop.now, sink: recorder)
            withExtendedLifetime(steps) {}
        }
        #expect(recorder.dues == [0])
    }

    @Test func `stop before run still runs the mail`() throws {
        let loop = try EventLoop(name: "stopped")
        nonisolated(unsafe) var hasRun = false
        loop.execute { hasRun = true }
        loop.stop()
        loop.run()
        #expect(hasRun)
        #expect(!loop.isCurrent)
    }
}
