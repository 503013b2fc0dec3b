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
    private let current: () -> State
    private let retention: Nanoseconds

    private var writer: EventLoop?
    private var timer: Timers.Token?
    private var due = Instant.distantFuture
    private var isWriting = false
    private var isDirty = false
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private(set) var lastError: String?

    /// A transition is on disk this soon; those that come meanwhile go with it.
    static let transitionDelay = Nanoseconds.milliseconds(100)
    /// A renewal changes nothing but times.
    static let renewalDelay = Nanoseconds.seconds(5)
    static let bytesMax = 256 << 20

    /// Intents that have ended are kept for `retention`, where others may not have heard of it.
    init(
        path: String,
        loop: EventLoop,
        retention: Nanoseconds = IntentRecord.retention,
        journal: Journal,
        current: @escaping () -> State
    ) {
        self.path = path
        self.retention = retention
        self.loop = loop
        self.journal = journal
        self.current = current
        timers = Timers(loop: loop)
    }

    // MARK: Reading

    /// What the file holds; an empty state where there is none. A damaged file is moved aside, so
    /// that it can be looked at, and never keeps the process from starting.
    func load() -> State {
        do throws(StoreError) {
            guard let bytes = try read() else { return State() }
            return try State(json: Self.parse(bytes))
        } catch {
            let aside = path + ".damaged"
            let isMoved = rename(path, aside) == 0
            journal.error(
                "state file \(path) cannot be used: \(error); "
                    + (isMoved ? "moved to \(aside), " : "left where it is, ")
                    + "starting without it"
            )
            return State()
        }
    }

    private static func parse(_ bytes: [UInt8]) throws(StoreError) -> JSON {
        do throws(JSONError) {
            return try JSON(parsing: bytes, limits: JSONLimits(bytes: bytesMax))
        } catch {
            throw StoreError("\(error)")
        }
    }

    /// Nil when there is no such file.
    private func read() throws(StoreError) -> [UInt8]? {
        let raw = open(path, O_RDONLY | O_CLOEXEC)
        if raw < 0 {
            if errno == ENOENT { return nil }
            throw StoreError("\(SystemError("open"))")
        }
        let file = Descriptor(owning: raw)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(file.raw, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw StoreError("\(SystemError("read"))") }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            if bytes.count > Self.bytesMax {
                throw StoreError("expected at most \(Self.bytesMax) bytes, saw more")
            }
        }
    }

    // MARK: Writing

    /// The state changed: it goes to disk within `delay`.
    func touch(within delay: Nanoseconds) {
        isDirty = true
        let deadline = Clock.instant() + delay
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
        if isWriting { await withCheckedContinuation { waiters.append($0) } }
    }

    /// Ends the writing thread. After `flush`.
    func close() {
        timers.cancelAll()
        writer?.stop()
        writer = nil
    }

    private func write() {
        guard isDirty, !isWriting else { return }
        do throws(SystemError) {
            if writer == nil { writer = try EventLoop.spawn(name: "state-file") }
        } catch {
            return fail("\(error)")
        }
        isDirty = false
        isWriting = true
        var state = current()
        let now = Clock.wall()
        state.prune(now: now, keeping: retention)
        let home = LoopBound(self, on: loop)
        writer?.execute { [path, state, loop] in
            let error = Self.replace(path, with: state.json(writtenAt: now).bytes)
            loop.execute { home.value.written(error) }
        }
    }

    private func written(_ error: String?) {
        isWriting = false
        if let error { fail(error) } else { lastError = nil }
        if isDirty, timer == nil, !waiters.isEmpty { return write() }
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    /// Told once, not every five seconds for as long as the disk is full.
    private func fail(_ error: String) {
        if lastError != error { journal.error("state file \(path) cannot be written: \(error)") }
        lastError = error
    }

    /// Returns what went wrong, or nil.
    private static func replace(_ path: String, with bytes: [UInt8]) -> String? {
        let beside = path + ".new"
        // Only for us: the state tells which peers are ill.
        let raw = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        if raw < 0 { return "\(SystemError("open \(beside)"))" }
        let file = Descriptor(owning: raw)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(raw, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            if count < 0 { return "\(SystemError("write \(beside)"))" }
            written += count
        }
        if fsync(file.raw) != 0 { return "\(SystemError("fsync \(beside)"))" }
        if rename(beside, path) != 0 { return "\(SystemError("rename \(beside)"))" }
        syncFolder(of: path)
        return nil
    }

    /// Without this the rename itself can be lost with the power. A folder that cannot be synced
    /// still holds the new file.
    private static func syncFolder(of path: String) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let raw = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard raw >= 0 else { return }
        fsync(Descriptor(owning: raw).raw)
    }
}
