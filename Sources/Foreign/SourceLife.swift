// How long does a source listen to its Redis? From its start to its stop, in one session after another. Confined to its
// loop's thread.

import EventLoop
import Redis
import Vocabulary

final class SourceLife {
    let bell: Bell
    private let loop: EventLoop
    private(set) var isStopping = false
    private var isRunning = false
    private var onStopped: CheckedContinuation<Void, Never>?

    private static let backoff = Nanoseconds.milliseconds(250)

    init(on loop: EventLoop) {
        self.loop = loop
        bell = Bell(loop: loop)
    }

    /// False where it has begun already.
    func begin() -> Bool {
        if isRunning { return false }
        isRunning = true
        return true
    }

    /// One session after another until it is stopped. `end` hears why one ended, or nil where it was stopped, and
    /// `between` has its turn before the next.
    func run(
        _ session: () async throws(RedisError) -> Void,
        end: (RedisError?) -> Void,
        between: () async -> Void = {}
    ) async {
        while !isStopping {
            do throws(RedisError) {
                try await session()
                end(nil)
            } catch {
                end(isStopping ? nil : error)
            }
            if isStopping { break }
            await between()
            if isStopping { break }
            await bell.wait(until: loop.instant + Self.backoff)
        }
        isRunning = false
        onStopped.take()?.resume()
    }

    /// False where there is nothing to stop.
    func willStop() -> Bool {
        guard isRunning, !isStopping else { return false }
        isStopping = true
        return true
    }

    /// When its session has ended.
    func stop() async {
        bell.ring()
        await withCheckedContinuation { continuation in
            if isRunning { onStopped = continuation } else { continuation.resume() }
        }
        bell.close()
    }
}
