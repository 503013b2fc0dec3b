// What must be on the disk before anybody is told that it is done? Records, appended to one file by a
// thread that does nothing else, many with one sync. Who keeps a state that is made of records joins as
// a client: it hears at the start what was recorded, and gives its state when the file is written anew.
//
//   client ── append(record) ──► Commits ── job ──► LedgerFile (writing thread) ──► disk
//   client ◄── resumes ────────────────────────────── done, or why not
//
// The rule for clients: first change the state, then append. What is in the state is never lost to a
// failure: it is in the next file.

public import EventLoop
public import Vocabulary

/// Keeps a state of which some records are about. Called on the ledger's loop.
public protocol LedgerClient: AnyObject {
    /// The records that are its own.
    var recordKinds: Set<UInt8> { get }
    /// One of them, in the order in which they were written.
    func recover(_ record: LedgerRecord)
    /// That was all; damaged, if something may be missing before the last record.
    func recoveryEnded(isDamaged: Bool)
    /// Records that make up its state as it is now. The closure runs on another thread.
    func snapshot() -> @Sendable () -> [LedgerRecord]
}

extension LedgerClient {
    public func recoveryEnded(isDamaged: Bool) {}
}

/// What people call a file of this kind, and what is not kept while it cannot be written.
public struct LedgerWords: Hashable, Sendable {
    /// Also the event in the log.
    public var name: String
    public var meanwhile: String

    public static let orders = LedgerWords(name: "ledger", meanwhile: "what is asked for meanwhile")
    public static let history = LedgerWords(name: "history", meanwhile: "what happens meanwhile")
}

/// How a ledger is, for the API, the metrics and the log.
public struct LedgerStatus: Hashable, Sendable {
    public var path: String
    /// Why what is appended now does not come to the disk; nil while it does.
    public var error: String?
    /// Of the file.
    public var bytes = 0
    /// Syncs that brought something to the disk, and how many records they brought.
    public var commits: UInt64 = 0
    public var records: UInt64 = 0
    public var failures: UInt64 = 0
    /// Found at the start, and left out.
    public var damagedBytes = 0

    public init(path: String) { self.path = path }
}

/// An append-only file under a state. Confined to its loop's thread.
public final class Ledger {
    public let path: String
    private let loop: EventLoop
    private let journal: Journal
    private let words: LedgerWords
    private let timers: Timers
    private let file: LedgerFile
    private var clients: [any LedgerClient] = []
    /// Of a kind that nobody here knows: written by another version, or with another configuration.
    private var unclaimed: [LedgerRecord] = []

    private var writer: EventLoop?
    private var ownsWriter = false
    private var isOpen = false
    private var commits: Commits
    private var waiters: [UInt64: Waiter] = [:]
    private var onIdle: [CheckedContinuation<Void, Never>] = []
    private var noteTimer: Timers.Token?
    private var retryTimer: Timers.Token?
    private var failingSince: Instant?
    private var lastError: LedgerError?
    /// Why the file is written anew just now.
    private var doubt: LedgerError?
    public private(set) var status: LedgerStatus

    private struct Waiter {
        var continuation: CheckedContinuation<LedgerError?, Never>
        var timer: Timers.Token
    }

    /// A note is on the disk this soon; those that come meanwhile go with it.
    public static let noteDelay = Nanoseconds.milliseconds(100)
    /// Nobody waits longer for a disk.
    public static let patience = Nanoseconds.seconds(10)
    /// Nor does the end of the process.
    static let stopPatience = Nanoseconds.seconds(5)
    /// Records of unknown kinds that are kept.
    static let unclaimedMax = 100_000

    /// The file becomes `growth` times what is in it, or four times where nothing is said. `disk` and `writer`
    /// are for tests: another disk than the kernel's, and a loop to write on in
    /// place of a thread of its own.
    public init(
        path: String,
        loop: EventLoop,
        journal: Journal = .silent,
        growth: Int? = nil,
        words: LedgerWords = .orders,
        disk: any Disk = LinuxDisk(),
        writer: EventLoop? = nil
    ) {
        commits = growth.map { Commits(growth: $0) } ?? Commits()
        self.path = path
        self.loop = loop
        self.journal = journal
        self.words = words
        self.writer = writer
        timers = Timers(loop: loop)
        file = LedgerFile(path: path, disk: disk)
        status = LedgerStatus(path: path)
    }

    /// Before `open`.
    public func join(_ client: any LedgerClient) { clients.append(client) }

    // MARK: Opening

    /// Locks the file, reads it, and tells the clients what they recorded. Throws only where going on
    /// would harm somebody; where nothing can be written, that is told and tried again.
    public func open() async throws(LedgerError) {
        if writer == nil {
            do throws(SystemError) {
                writer = try EventLoop.spawn(name: "ledger")
                ownsWriter = true
            } catch {
                throw .failed(error)
            }
        }
        guard let writer else { throw .closed }
        let file = LoopBound(file, on: writer)
        let found: Result<(Recovery, aside: String?), LedgerError> = await file.call { file in
            do throws(LedgerError) {
                let recovery = try file.open()
                let isWhole = recovery.damagedBytes == 0 && recovery.refusal == nil
                return .success((recovery, isWhole ? nil : file.keepAside()))
            } catch {
                return .failure(error)
            }
        }
        isOpen = true
        switch found {
        case .success((let recovery, let aside)):
            if recovery.refusal != nil, aside == nil { try await giveUp(.foreign(path)) }
            tell(of: recovery, aside)
            hand(out: recovery.records)
            let isDamaged = recovery.damagedBytes > 0
            for client in clients { client.recoveryEnded(isDamaged: isDamaged) }
            status.damagedBytes = recovery.damagedBytes
        case .failure(let error):
            if error.isRefusal { try await giveUp(error) }
            _ = commits.failed(at: loop.instant)
            fail(error)
        }
        pump()
    }

    private func giveUp(_ error: LedgerError) async throws(LedgerError) {
        await close()
        throw error
    }

    private func hand(out records: [LedgerRecord]) {
        var owners: [UInt8: any LedgerClient] = [:]
        for client in clients {
            for kind in client.recordKinds { owners[kind] = client }
        }
        for record in records {
            if let owner = owners[record.kind] {
                owner.recover(record)
            } else if unclaimed.count < Self.unclaimedMax {
                unclaimed.append(record)
            }
        }
    }

    private func tell(of recovery: Recovery, _ aside: String?) {
        let kept = aside.map { "; it is kept as \($0)" } ?? ""
        switch recovery.refusal {
        case .notALedger:
            return journal.error(
                "\(words.name) \(path) cannot be used: expected a ledger, saw something else\(kept), "
                    + "starting without it",
                [.event(words.name), .file(path)]
            )
        case .format(let format):
            return journal.error(
                "\(words.name) \(path) cannot be used: expected format \(FileHead.format), saw \(format)"
                    + "\(kept), starting without it",
                [.event(words.name), .file(path)]
            )
        case nil: break
        }
        if recovery.damagedBytes > 0 {
            let places = recovery.damagedAt.map(String.init).joined(separator: ", ")
            journal.error(
                "\(words.name) \(path) is damaged: expected records, saw \(recovery.damagedBytes) bytes of "
                    + "something else at \(places); all \(recovery.records.count) records before "
                    + "and behind were read\(kept)",
                [.event(words.name), .file(path)]
            )
        }
        if recovery.cutBytes > 0 {
            journal.info(
                "\(words.name) \(path): \(recovery.cutBytes) bytes of a last write that was cut short are "
                    + "left out; it had not been acknowledged",
                [.event(words.name), .file(path)]
            )
        }
    }

    // MARK: Appending

    /// Returns when the record is on the disk. When this throws, the record's effect is in memory
    /// all the same, and comes to the disk once that takes anything again.
    public func append(_ record: LedgerRecord) async throws(LedgerError) {
        guard isOpen else { throw .closed }
        guard record.bytes.count <= LedgerRecord.bytesMax else {
            throw .tooLarge(record.bytes.count)
        }
        // In one step with the beginning of the wait: it is over when that record is on the disk.
        let error: LedgerError? = await withCheckedContinuation { continuation in
            let number = commits.take(record)
            // While nothing is tried, there is nothing to wait for.
            if commits.retryAt != nil, !commits.isBusy, let lastError {
                return continuation.resume(returning: lastError)
            }
            let timer = timers.schedule(after: Self.patience) { [unowned self] in
                waiters.removeValue(forKey: number)?.continuation.resume(returning: .slow)
            }
            waiters[number] = Waiter(continuation: continuation, timer: timer)
            pump()
        }
        if let error { throw error }
    }

    /// The same for what nobody waits for: it comes to the disk soon.
    public func note(_ record: LedgerRecord) {
        guard isOpen, record.bytes.count <= LedgerRecord.bytesMax else { return }
        _ = commits.take(record)
        pumpSoon()
    }

    /// A client's state has changed in another way than by its records.
    public func rewrite() {
        guard isOpen else { return }
        commits.rewrite()
        pump()
    }

    private func pumpSoon() {
        guard noteTimer == nil else { return }
        noteTimer = timers.schedule(after: Self.noteDelay) { [unowned self] in
            noteTimer = nil
            pump()
        }
    }

    private func pump() {
        guard isOpen, let writer, let job = commits.next(at: loop.instant) else { return }
        if let noteTimer { timers.cancel(noteTimer) }
        noteTimer = nil
        let file = LoopBound(file, on: writer)
        let home = LoopBound(self, on: loop)
        let work: @Sendable () -> LedgerError?
        switch job {
        case .append(let records):
            work = { Self.attempt { () throws(LedgerError) in try file.value.append(records) } }
        case .rewrite:
            let parts = clients.map { $0.snapshot() }
            let salt = loop.dice.next()
            work = { [unclaimed] in
                let records = unclaimed + parts.flatMap { $0() }
                return Self.attempt { () throws(LedgerError) in
                    try file.value.rewrite(records, salt: salt)
                }
            }
        }
        writer.execute { [loop] in
            let error = work()
            let bytes = file.value.bytes
            loop.execute { home.value.finished(error, bytes) }
        }
    }

    private static func attempt(_ body: () throws(LedgerError) -> Void) -> LedgerError? {
        do throws(LedgerError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    private func finished(_ error: LedgerError?, _ bytes: Int) {
        if let error {
            if commits.failed(at: loop.instant) {
                fail(error)
                answer(upTo: commits.taken, error)
            } else {
                status.failures += 1
                doubt = error
            }
        } else {
            commits.wrote(bytes: bytes)
            status.bytes = bytes
            status.commits += 1
            status.records = commits.durable
            recovered()
            answer(upTo: commits.durable, nil)
        }
        // Notes wait for their company; whoever waits himself does not.
        if waiters.isEmpty, commits.isDirty, onIdle.isEmpty { pumpSoon() } else { pump() }
        if !commits.isBusy { wakeIdle() }
    }

    private func wakeIdle() {
        for waiter in onIdle { waiter.resume() }
        onIdle = []
    }

    private func answer(upTo last: UInt64, _ error: LedgerError?) {
        for (number, waiter) in waiters where number <= last {
            waiters[number] = nil
            timers.cancel(waiter.timer)
            waiter.continuation.resume(returning: error)
        }
    }

    /// Told once for each reason, not at every try.
    private func fail(_ error: LedgerError) {
        status.failures += 1
        doubt = nil
        if failingSince == nil { failingSince = loop.instant }
        if lastError != error {
            journal.error(
                "\(words.name) \(path) cannot be written: \(error); \(words.meanwhile) is held in "
                    + "memory only, and written as soon as that goes",
                [.event(words.name), .file(path)]
            )
        }
        lastError = error
        status.error = "\(error)"
        guard let retryAt = commits.retryAt else { return }
        if let retryTimer { timers.cancel(retryTimer) }
        retryTimer = timers.schedule(at: retryAt) { [unowned self] in
            retryTimer = nil
            pump()
        }
    }

    private func recovered() {
        if let doubt {
            journal.warning(
                "\(words.name): \(doubt); all of it is in a new file now",
                [.event(words.name), .file(path)]
            )
        }
        doubt = nil
        guard let since = failingSince else { return }
        failingSince = nil
        lastError = nil
        status.error = nil
        journal.notice(
            "\(words.name) \(path) is written again, with everything since, after "
                + (loop.instant - since).rounded,
            [.event(words.name), .file(path)]
        )
    }

    // MARK: Ending

    /// Brings to the disk what waits, as far as a short deadline allows, and ends.
    public func stop() async {
        guard isOpen else { return }
        commits.hurry()
        await idle()
        await close()
    }

    /// Returns when nothing is under way, or the disk does not answer.
    private func idle() async {
        var isLate = false
        let timer = timers.schedule(after: Self.stopPatience) { [unowned self] in
            isLate = true
            wakeIdle()
        }
        while !isLate, commits.isBusy || (commits.isDirty && commits.retryAt == nil) {
            await withCheckedContinuation { continuation in
                if isLate { return continuation.resume() }
                onIdle.append(continuation)
                pump()
            }
        }
        timers.cancel(timer)
    }

    private func close() async {
        isOpen = false
        timers.cancelAll()
        noteTimer = nil
        retryTimer = nil
        for waiter in waiters.values { waiter.continuation.resume(returning: .closed) }
        waiters = [:]
        clients = []
        guard let writer else { return }
        let file = LoopBound(file, on: writer)
        // Behind a call that does not come back, nobody waits.
        if commits.isBusy {
            writer.execute { file.value.close() }
        } else {
            await file.call { $0.close() }
        }
        if ownsWriter { writer.stop() }
        self.writer = nil
    }
}
