// How does a task that has many reasons to go on wait for the first of them? Confined to its loop's thread.

import EventLoop
import Vocabulary

final class Bell {
    private let timers: Timers
    private let loop: EventLoop
    private var hasRung = false
    private var waiter: CheckedContinuation<Void, Never>?
    private var timer: Timers.Token?

    init(loop: EventLoop) {
        self.loop = loop
        timers = Timers(loop: loop)
    }

    func ring() {
        hasRung = true
        wake()
    }

    /// Until somebody rings, or has since the last time; at most until then.
    func wait(until deadline: Instant) async {
        await withCheckedContinuation { continuation in
            if hasRung || deadline <= loop.instant {
                continuation.resume()
                return
            }
            waiter = continuation
            timer = timers.schedule(at: deadline) { [weak self] in
                self?.timer = nil
                self?.wake()
            }
        }
        hasRung = false
    }

    /// Nobody waits any more, or will.
    func close() {
        ring()
        timers.cancelAll()
    }

    private func wake() {
        if let timer { timers.cancel(timer) }
        timer = nil
        waiter.take()?.resume()
    }
}
