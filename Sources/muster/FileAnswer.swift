// Does the disk answer at all? A file on a share whose server is gone keeps whoever opens it for ever, and
// nobody can be told why. So it is opened on a thread that may be lost, before anything waits for it.

import EventLoop
import Foundation
import Glibc
import Synchronization
import Vocabulary

enum FileAnswer {
    /// A disk that spins up takes some seconds, a share that hangs for ever.
    static let patience = Nanoseconds.seconds(10)

    /// Why the file at `path` cannot be relied on; nil where it can be opened and read, or is not there.
    static func problem(
        with path: String,
        within limit: Nanoseconds = patience,
        on loop: EventLoop,
        touch: @escaping @Sendable (String) -> Void = touch
    ) async -> String? {
        let answer = Answer()
        let timers = Timers(loop: loop)
        let isThere = await withCheckedContinuation { continuation in
            answer.wait(continuation)
            timers.schedule(after: limit) { answer.give(false) }
            Thread.detachNewThread {
                touch(path)
                loop.execute { answer.give(true) }
            }
        }
        timers.cancelAll()
        return isThere
            ? nil
            : "expected \(path) to be opened and read within \(limit), saw no answer of its disk; muster does "
                + "not start without what it holds"
    }

    /// One byte tells: what is wrong with the file itself is for its reader to say.
    @Sendable private static func touch(_ path: String) {
        // No FIFO is waited for.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return }
        var byte: UInt8 = 0
        _ = read(file, &byte, 1)
        close(file)
    }

    /// The first of two answers counts.
    private final class Answer: Sendable {
        private let waiting = Mutex<CheckedContinuation<Bool, Never>?>(nil)

        func wait(_ continuation: CheckedContinuation<Bool, Never>) {
            waiting.withLock { $0 = continuation }
        }

        func give(_ isThere: Bool) {
            let continuation = waiting.withLock { waiting in
                defer { waiting = nil }
                return waiting
            }
            continuation?.resume(returning: isThere)
        }
    }
}
