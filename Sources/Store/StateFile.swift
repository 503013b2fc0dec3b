// How does the state survive a restart? In one JSON file, replaced as a whole: written beside, forced
// to disk, renamed over. Whoever reads it sees the old state or the new one, never half of either.
//
// Writing happens on a thread of its own: a disk that takes a second must not hold up probes.

import EventLoop
import Glibc
import Health
import Vocabulary

/// Saves a state now and then. Confined to its loop's thread.
final class StateFile {
    private let path: String
    private let loop: EventLoop
    private let timers: Timers
    private let journal: Journal
    private let snapshot: (WallTime) -> @Sendable () -> [UInt8]

    private var writer: EventLoop?
    private let ownsWriter: Bool
    private var timer: Timers.Token?
    private var due = Instant.distantFuture
    private var isWriting = false
    private var isDirty = false
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private(set) var lastError: String?
    var isWritable: Bool { lastError == nil }
    var problem: String? { lastError.map { "state file \(path) cannot be written: \($0)" } }
    /// Writes that failed.
    private(set) var failures: UInt64 = 0
    /// The path leads to a FIFO or a device, say: it is not written to.
    private var isNoFile = false

    /// A transition is on disk this soon; those that come meanwhile go with it.
    static let transitionDelay = Nanoseconds.milliseconds(100)
    /// A renewal changes nothing but times.
    static let renewalDelay = Nanoseconds.seconds(5)
    static let bytesMax = 256 << 20

    /// `snapshot` gives what is written; its closure runs on the writing thread. `writer` is for tests: a
    /// loop to write on in place of a thread of its own.
    init(
        path: String,
        loop: EventLoop,
        journal: Journal,
        writer: EventLoop? = nil,
        snapshot: @escaping (WallTime) -> @Sendable () -> [UInt8]
    ) {
        self.path = path
        self.loop = loop
        self.journal = journal
        self.snapshot = snapshot
        self.writer = writer
        ownsWriter = writer == nil
        timers = Timers(loop: loop)
    }

    // MARK: Reading

    /// Brings what the file holds into `state`. A damaged file is moved aside, so that it can be looked
    /// at, and never keeps the process from starting.
    func load(into state: State) {
        do throws(StoreError) {
            guard let bytes = try read() else { return }
            let leftOut = try state.load(Self.parse(bytes), at: loop.wall)
            if leftOut > 0 {
                journal.warning(
                    "state file \(path): \(leftOut) entries make no sense and were left out",
                    [.event("state-file"), .file(path)]
                )
            }
        } catch {
            if isNoFile { return fail("\(error)") }
            let aside = path + ".damaged"
            let isMoved = rename(path, aside) == 0
            journal.error(
                "state file \(path) cannot be used: \(error); "
                    + (isMoved ? "moved to \(aside), " : "left where it is, ")
                    + "starting without it",
                [.event("state-file"), .file(path)]
            )
        }
    }

    private func read() throws(StoreError) -> [UInt8]? {
        do throws(WholeFile.Problem) {
            return try WholeFile.read(path, atMost: Self.bytesMax)
        } catch {
            isNoFile = error.isNoFile
            throw StoreError("\(error)")
        }
    }

    private static func parse(_ bytes: [UInt8]) throws(StoreError) -> JSON {
        do throws(JSONError) {
            return try JSON(parsing: bytes, limits: JSONLimits(bytes: bytesMax))
        } catch {
            throw StoreError("\(error)")
        }
    }

    // MARK: Writing

    /// The state changed: it goes to disk within `delay`.
    func touch(within delay: Nanoseconds) {
        isDirty = true
        let deadline = loop.instant + delay
        guard deadline < due else { return }
        if let timer { timers.cancel(timer) }
        due = deadline
        timer = timers.schedule(at: deadline) { [unowned self] in
            timer = nil
            due = .distantFuture
            write()
        }
    }

    /// Returns when everything touched so far is on disk, or could not be brought there.
    func flush() async {
        if let timer { timers.cancel(timer) }
        timer = nil
        due = .distantFuture
        write()
        // Asked where the wait begins: on the way there the writing may have ended.
        await withCheckedContinuation { waiter in
            if isWriting { waiters.append(waiter) } else { waiter.resume() }
        }
    }

    /// Ends the writing thread. After `flush`.
    func close() {
        timers.cancelAll()
        if ownsWriter { writer?.stop() }
        writer = nil
    }

    private func write() {
        guard isDirty, !isWriting, !isNoFile else { return }
        do throws(SystemError) {
            if writer == nil { writer = try EventLoop.spawn(name: "state-file") }
        } catch {
            return fail("\(error)")
        }
        isDirty = false
        isWriting = true
        let bytes = snapshot(loop.wall)
        let home = LoopBound(self, on: loop)
        writer?.execute { [path, loop] in
            var error: String?
            do throws(WholeFile.Problem) {
                try WholeFile.replace(path, with: bytes())
            } catch let problem {
                error = "\(problem)"
            }
            let outcome = error
            loop.execute { home.value.written(outcome) }
        }
    }

    private func written(_ error: String?) {
        isWriting = false
        if let error {
            fail(error)
            // Not for whoever waits for the end: a disk that is full may stay so.
            if waiters.isEmpty { touch(within: Self.renewalDelay) }
        } else if lastError != nil {
            lastError = nil
            journal.notice(
                "state file \(path) can be written again",
                [.event("state-file"), .file(path)]
            )
        }
        if isDirty, timer == nil, !waiters.isEmpty, error == nil { return write() }
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    /// Told once, not every five seconds for as long as the disk is full.
    private func fail(_ error: String) {
        failures += 1
        if lastError != error {
            journal.error(
                "state file \(path) cannot be written: \(error)",
                [.event("state-file"), .file(path)]
            )
        }
        lastError = error
    }
}
