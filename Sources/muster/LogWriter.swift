// Who writes the log? A thread of its own, and nobody else: a pipe that nobody reads, a full disk or a
// terminal held with Ctrl-S stops this thread, and no probe, no request and no signal waits for it.
//
// The descriptor is not made non-blocking: it is shared with other processes, and so is the flag.

import CLinux
import Glibc
import Settings
import Synchronization
import Vocabulary

final class LogWriter: Sendable {
    private let descriptor: Int32
    private let format: LogConfiguration.Format
    private let agent: String?
    private let backlog = Mutex(LogBacklog())
    /// A line has been taken and is not written yet.
    private let isWriting = Atomic(false)
    /// What reads the log has gone: whatever still waits, waits for nobody.
    private let isReaderGone = Atomic(false)
    /// Posted for every line; the thread sleeps in it.
    private let wakeUps: WakeUps

    /// Lines are written together up to here, at once: more is not one step to a pipe (PIPE_BUF), and
    /// lines of other processes could come between.
    private static let batchMax = 4_096
    /// What could not be written is tried again after this.
    private static let tryAgainAfter = Nanoseconds.milliseconds(250)

    /// Starts the thread.
    init(descriptor: Int32, format: LogConfiguration.Format, agent: String? = nil) {
        self.agent = agent
        self.descriptor = descriptor
        self.format = format
        wakeUps = WakeUps()
        start()
    }

    /// Lines that were left out since the start.
    var dropped: UInt64 { backlog.withLock { $0.dropped } }

    func add(_ line: Journal.Line) {
        let entry = LogBacklog.Entry(time: Self.now(), line: line)
        backlog.withLock { $0.add(entry) }
        wakeUps.post()
    }

    /// Waits until everything is written, but not longer than this. Called at the end of the process.
    func flush(within limit: Nanoseconds = .seconds(1)) {
        let step: useconds_t = 2_000
        for _ in 0..<(limit.count / (Int64(step) * 1_000)) {
            let isDone = backlog.withLock { $0.isEmpty && !isWriting.load(ordering: .acquiring) }
            if isDone || isReaderGone.load(ordering: .acquiring) { return }
            usleep(step)
        }
    }

    // MARK: The thread

    private func start() {
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { box in
            guard let box else { return nil }
            let writer = Unmanaged<LogWriter>.fromOpaque(box).takeRetainedValue()
            _ = "log".withCString { muster_name_thread($0) }
            writer.run()
            return nil
        }
        // It takes no signals: those are for threads that can act on them.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(self)
        if pthread_create(&thread, nil, body, box.toOpaque()) == 0 {
            pthread_detach(thread)
        } else {
            box.release()
        }
    }

    private func run() {
        while true {
            let entries = backlog.withLock { backlog in
                let entries = backlog.take(bytesMax: Self.batchMax)
                isWriting.store(!entries.isEmpty, ordering: .releasing)
                return entries
            }
            if entries.isEmpty {
                wakeUps.wait()
                continue
            }
            var batch: [UInt8] = []
            for entry in entries {
                let bytes = Array((LogFormat.text(of: entry, as: format, own: agent) + "\n").utf8)
                if batch.count + bytes.count > Self.batchMax {
                    writeAll(batch)
                    batch = []
                }
                batch += bytes
            }
            writeAll(batch)
        }
    }

    private func writeAll(_ bytes: [UInt8]) {
        var offset = 0
        var wasInTrouble = false
        defer {
            if wasInTrouble { backlog.withLock { $0.isOutOfTrouble() } }
        }
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                write(descriptor, $0.baseAddress, $0.count)
            }
            if count >= 0 {
                isReaderGone.store(false, ordering: .releasing)
                offset += count
                continue
            }
            switch errno {
            case EINTR: continue
            // Somebody who shares the descriptor made it non-blocking.
            case EAGAIN:
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wanted, 1, -1)
            // A full disk has room again some day; a reader that is gone takes nothing any more, but
            // then there is nothing better to do either.
            case let code:
                wasInTrouble = true
                isReaderGone.store(code == EPIPE, ordering: .releasing)
                backlog.withLock { $0.isInTrouble(String(cString: strerror(code))) }
                usleep(useconds_t(Self.tryAgainAfter.count / 1_000))
            }
        }
    }

    private static func now() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(
            milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        )
    }
}

/// A semaphore whose posting never waits.
private final class WakeUps: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func post() { sem_post(semaphore) }

    func wait() { sem_wait(semaphore) }
}
