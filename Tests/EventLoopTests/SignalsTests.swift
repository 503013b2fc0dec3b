// Do signals reach the loop as events? Sent to this very thread, so that no other test sees them.

import EventLoop
import Glibc
import Testing
import Vocabulary

@Suite struct SignalsTests {
    @Test func `chosen signals arrive on the loop's thread and do nothing else`() throws {
        let chosen = [SIGHUP, SIGTERM]
        Signals.block(chosen)
        defer {
            var set = sigset_t()
            sigemptyset(&set)
            for signal in chosen { sigaddset(&set, signal) }
            pthread_sigmask(SIG_UNBLOCK, &set, nil)
        }
        var heard: Set<Int32> = []
        try runLoop { loop in
            nonisolated(unsafe) var signals: Signals?
            signals = try Signals(on: loop, chosen) { signal in
                #expect(loop.isCurrent)
                heard.insert(signal)
                guard heard.count == 2 else { return }
                signals?.close()
                loop.stop()
            }
            // Without the block, either of them would end the process.
            pthread_kill(pthread_self(), SIGHUP)
            pthread_kill(pthread_self(), SIGTERM)
        }
        #expect(heard == Set(chosen))
    }
}
