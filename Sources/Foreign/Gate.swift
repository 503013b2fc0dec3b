// Where do many wait for something that may come soon? Each looks again whenever the gate opens.

import EventLoop
import Vocabulary

/// Confined to its loop's thread.
final class Gate {
    private let timers: Timers
    private let loop: EventLoop
    private var waiters: [Int: (CheckedContinuation<Void, Never>, Timers.Token)] = [:]
    private var next = 0

    init(loop: EventLoop) {
        self.loop = loop
        timers = Timers(loop: loop)
    }

    /// Whoever waits goes on.
    func open() {
        if waiters.isEmpty { return }
        let all = waiters
        waiters = [:]
        for (waiter, timer) in all.values {
            timers.cancel(timer)
            waiter.resume()
        }
    }

    /// Returns when all that was there to be read before has been.
    func turn() async {
        await withCheckedContinuation { waiter in
            _ = timers.schedule(at: loop.instant) { waiter.resume() }
        }
    }

    /// Returns whether `condition` holds by then.
    func wait(until deadline: Instant, for condition: () -> Bool) async -> Bool {
        while !condition() {
            if loop.instant >= deadline { return false }
            await withCheckedContinuation { waiter in
                let tag = next
                next += 1
                let timer = timers.schedule(at: deadline) { [weak self] in
                    self?.waiters.removeValue(forKey: tag)?.0.resume()
                }
                waiters[tag] = (waiter, timer)
            }
        }
        return true
    }
}
