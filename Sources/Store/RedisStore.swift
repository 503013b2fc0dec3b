// What if many agents share one state? It lies in Redis: hashes are the truth, a stream is the hint
// that something changed. A reader takes everything, follows the stream, and takes everything again
// now and then, so a lost hint costs seconds and never correctness.
//
//   publish ──► Outbox ──► writing connection ──► scripts ──► hash, revision, stream
//   board   ◄── changes ◄── reading connection ◄── XREAD, HSCAN
//
// Redis being away is an ordinary state: everyone goes on from memory, what happens meanwhile waits
// in the outbox, and when Redis is back it is told everything again. An empty Redis is not an order
// to delete.

public import EventLoop
public import Health
public import Redis
public import Vocabulary

/// The shared store. Confined to its loop's thread.
public final class RedisStore: Store {
    let loop: EventLoop
    let url: RedisURL
    private let agent: String
    let keys: RedisKeys
    let journal: Journal
    private let lookup: HostLookup?
    private let timers: Timers
    var observer: (any StoreObserver)?
    var file: StateFile?

    var outbox = Outbox()
    /// Everything known of the shared state, for the state file and to tell what is news.
    var known = State()
    /// Peers of which something is asked here that Redis may not know yet.
    var untold = Set<PeerKey>()
    /// What the clock of Redis showed, and when.
    var storeTime: (wall: WallTime, at: Instant)?

    var writer: RedisConnection?
    var reader: RedisConnection?
    private var scripts: [RedisScript: String] = [:]
    var storeID: String?
    var revision: UInt64 = 0
    var streamID = "0-0"
    /// The last hints were too long to be read.
    var skipsHints = false
    var scanned: [String: Int] = [:]

    private var clockWatch = ClockWatch()
    private var isConnected = false
    private var since: WallTime
    private var lastError: String?
    private var refused: UInt64 = 0
    /// Why Redis takes no writes, though it can be read.
    private var writeError: String?
    private var isWriteTroubleTold = false
    /// Set where Redis throws away what it likes when its memory is full.
    private(set) var evictionAdvice = ""
    private var writeAgain: Timers.Token?
    /// Of values that are none of ours.
    var ignored: UInt64 = 0
    var throttle = Throttle()
    private var awaySince: Instant?
    /// Of its present or last absence somebody was told; and that it is not here yet needs no telling.
    private var isAwayTold = true
    private var isFlushing = false
    private var onFlushed: [CheckedContinuation<Void, Never>] = []
    private var renewalTimer: Timers.Token?
    var isStopping = false
    private var isRunning = false
    private var pause: (timer: Timers.Token, waiter: CheckedContinuation<Void, Never>)?
    private var onEnd: [CheckedContinuation<Void, Never>] = []

    let commandTimeout: Nanoseconds
    let reconcileEvery: Nanoseconds

    /// A command that takes longer means that Redis hangs.
    public static let commandTimeoutDefault = Nanoseconds.seconds(1)
    /// How long a reader waits for a hint before it asks again.
    static let followFor = Nanoseconds.seconds(1)
    /// How often everything is read again, whatever the hints said.
    public static let reconcileEveryDefault = Nanoseconds.seconds(5)
    /// Renewals wait this long for company, or until so many wait.
    static let renewalDelay = Nanoseconds.milliseconds(200)
    static let renewalsMax = 64
    static let backoffMin = Nanoseconds.milliseconds(50)
    /// A Redis that is back is asked again after this long at most.
    public static let backoffMax = Nanoseconds.seconds(1)
    /// Batches under way at once.
    static let pipelineMax = 16
    /// Entries read at once: some milliseconds of work, then probes get their turn.
    static let scanCount = 100
    /// Hints of so long before are read once more.
    static let hintMargin = Nanoseconds.seconds(1)
    /// Fields removed after one reading of everything.
    static let staleMax = 1_000
    /// A Redis that refuses writes is asked again after this long.
    static let writeAgainAfter = Nanoseconds.seconds(1)
    /// A verdict that expired this long ago belongs to nobody any more.
    static let retention = Nanoseconds.seconds(7 * 86_400)

    /// `agent` names this process, as verdicts do. `lookup` turns host names into addresses;
    /// without it the URL must hold an IP address, `localhost` or a unix socket. With a state file,
    /// a process that starts while Redis is away begins with what it knew last. The two spans are
    /// for tests: one machine may be slow without a fault, and what a hint brought must be told from
    /// what the next reconciliation would.
    public init(
        loop: EventLoop,
        url: RedisURL,
        prefix: String = "muster:",
        agent: String,
        statePath: String? = nil,
        lookup: HostLookup? = nil,
        commandTimeout: Nanoseconds = commandTimeoutDefault,
        reconcileEvery: Nanoseconds = reconcileEveryDefault,
        journal: Journal = .silent
    ) {
        self.loop = loop
        since = loop.wall
        self.url = url
        self.commandTimeout = commandTimeout
        self.reconcileEvery = reconcileEvery
        self.agent = agent
        self.lookup = lookup
        self.journal = journal
        keys = RedisKeys(prefix: prefix)
        timers = Timers(loop: loop)
        file = statePath.map { path in
            StateFile(path: path, loop: loop, journal: journal) { [unowned self] in known }
        }
    }

    public var status: StoreStatus {
        var status = StoreStatus(
            kind: "redis",
            isConnected: isConnected,
            since: since,
            revision: revision,
            pending: outbox.pendingCount + untold.count,
            lastError: lastError ?? file?.lastError,
            writeError: writeError,
            refused: refused,
            ignored: ignored
        )
        status.connections = [writer, reader].count { $0 != nil }
        status.isReturnSilent = !isAwayTold
        return status
    }

    // MARK: Store

    public func start(_ observer: any StoreObserver) {
        precondition(!isRunning, "a store starts once")
        self.observer = observer
        if let file { known = file.load() }
        for (key, record) in known.intents {
            observer.storeChanged(.intent(key, record.asked))
        }
        for verdict in known.verdicts.values { observer.storeChanged(.verdict(verdict)) }
        observer.storeStatusChanged(status)
        isRunning = true
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await home.value.run() }
    }

    public func publish(_ verdict: Verdict, isTransition: Bool) {
        let now = loop.moment
        if let step = clockWatch.step(at: now) { outbox.shift(by: step) }
        guard outbox.take(verdict, isTransition: isTransition, now: now.wall) else {
            refused += 1
            return
        }
        if known.take(verdict) {
            file?.touch(
                within: isTransition ? StateFile.transitionDelay : StateFile.renewalDelay
            )
        }
        flushSoon()
    }

    public func forget(_ key: VerdictKey) {
        outbox.forget(key)
        if known.forget(key) { file?.touch(within: StateFile.transitionDelay) }
        flushSoon()
    }

    @discardableResult
    public func change(
        _ change: IntentChange,
        of key: PeerKey
    ) async throws(StoreError) -> IntentReach {
        // Ends are kept by the clock of Redis, which is the same for all.
        let change = change.shifted(by: clockAhead)
        if let writer, isConnected {
            do throws(RedisError) {
                try await write(change.json(), for: key, on: writer)
                return .everywhere
            } catch {
                guard case .refused(let text) = error else {
                    lost(error)
                    return reach(change, of: key)
                }
                switch Refusal(text) {
                case .scripts: lost(error)
                case .writing: refuseWriting(text)
                case .other: throw StoreError(text)
                }
            }
        }
        return reach(change, of: key)
    }

    /// Takes a change in here alone, until Redis can be told.
    private func reach(_ change: IntentChange, of key: PeerKey) -> IntentReach {
        untold.insert(key)
        let held = known.intents[key]
        tell(key, known.take(change, of: key, at: now), before: held)
        return .here
    }

    public func stop() async {
        if isConnected { await flush() }
        isStopping = true
        if let writeAgain { timers.cancel(writeAgain) }
        endPause()
        closeConnections()
        if isRunning { await withCheckedContinuation { onEnd.append($0) } }
        timers.cancelAll()
        await file?.flush()
        file?.close()
        observer = nil
    }

    // MARK: Staying connected

    /// Connects, follows, and begins again whenever that ends, until the store stops.
    private func run() async {
        var backoff = Self.backoffMin
        while !isStopping {
            do throws(RedisError) {
                try await connect()
                backoff = Self.backoffMin
                try await follow()
            } catch {
                lost(error)
            }
            if isStopping { break }
            // Half of it by chance: a hundred agents must not come back in step.
            let half = backoff.count / 2
            await sleep(Nanoseconds(half + Int64.random(in: 0...half, using: &loop.dice)))
            backoff = min(backoff * 2, Self.backoffMax)
        }
        closeConnections()
        isRunning = false
        for waiter in onEnd { waiter.resume() }
        onEnd = []
    }

    private func connect() async throws(RedisError) {
        let writer = try await open()
        self.writer = writer
        let reader = try await open()
        self.reader = reader
        for script in RedisScript.allCases {
            let reply = try await ask(writer, [["SCRIPT", "LOAD", script.source]])
            scripts[script] = reply.first?.text
        }
        scanned = [:]
        await askForEviction(reader)
        try await reconcile(reader)
        outbox.restate()
        lastError = nil
        turn(connected: true)
        // Told everything again before anything else, so that the state is whole within a moment.
        await flush()
    }

    /// A Redis that evicts any key when its memory is full loses drains. Where an ACL does not let us
    /// ask, nothing is said.
    private func askForEviction(_ reader: RedisConnection) async {
        let replies = try? await reader.pipeline([["INFO", "memory"]], timeout: commandTimeout)
        let lines = (replies?.first?.text ?? "").split(whereSeparator: \.isNewline)
        func value(_ name: String) -> Substring? {
            lines.first { $0.hasPrefix(name + ":") }?.dropFirst(name.count + 1)
        }
        let before = evictionAdvice
        guard let policy = value("maxmemory_policy"), policy.hasPrefix("allkeys"),
            let limit = value("maxmemory"), limit != "0"
        else {
            evictionAdvice = ""
            return
        }
        evictionAdvice =
            "; its maxmemory-policy is \(policy), which throws away drains and verdicts when memory "
            + "is short: set noeviction or volatile-lru, or use a Redis of muster's own"
        if before.isEmpty {
            journal.warning(
                "store \(url) may lose what it was told\(evictionAdvice)",
                [.event("store-evicts"), .store("redis")]
            )
        }
    }

    private func open() async throws(RedisError) -> RedisConnection {
        let connection = try await RedisConnection.connect(
            to: url,
            on: loop,
            timeout: commandTimeout,
            lookup: lookup
        )
        if isStopping {
            connection.close()
            throw .closed
        }
        // When one of the two breaks, the other has nothing left to do.
        connection.onFailure = { [unowned self] error in lost(error) }
        return connection
    }

    private func lost(_ error: RedisError) {
        if isStopping { return }
        // What closed it has been told already.
        if error != .closed { lastError = "\(url): \(error)" }
        closeConnections()
        turn(connected: false)
        if error != .closed { complain(error) }
    }

    /// At once, and then once a minute for as long as it lasts.
    private func complain(_ error: RedisError) {
        let now = loop.instant
        let since = awaySince ?? now
        awaySince = since
        guard let silent = throttle.note("away \(error.kind)", at: now) else { return }
        isAwayTold = true
        var text = "store \(url) is away: \("\(error)".printable)"
        if silent > 0 {
            text +=
                ", for \(TransitionLine.rough(now - since)), \(silent + 1) attempts in the last minute"
        }
        if let advice = error.advice { text += "; \(advice)" }
        journal.warning(
            text + "; going on from memory, trying again every second",
            [.event("store-away"), .store("redis"), .error("\(error)")]
        )
    }

    /// Redis can be read, and takes no writes: what is to be written waits.
    func refuseWriting(_ text: String) {
        let isNew = writeError != text
        writeError = text
        if isNew { observer?.storeStatusChanged(status) }
        if writeAgain == nil {
            writeAgain = timers.schedule(after: Self.writeAgainAfter) { [unowned self] in
                writeAgain = nil
                flushSoon()
            }
        }
        guard let silent = throttle.note("write \(Refusal.word(text))", at: loop.instant) else {
            return
        }
        var line = "store \(url) takes no writes: \(text.printable)"
        if silent > 0 { line += " (\(silent + 1) attempts in the last minute)" }
        if let advice = Refusal.advice(text) { line += "; \(advice)" }
        isWriteTroubleTold = true
        journal.warning(
            line + "; reading goes on, \(status.pending) writes wait",
            [.event("store-read-only"), .store("redis"), .error(text)]
        )
    }

    /// Writing refused is no reason to read no more; everything else is thrown on.
    func tolerate(_ error: RedisError) throws(RedisError) {
        guard case .refused(let text) = error, Refusal(text) == .writing else { throw error }
        refuseWriting(text)
    }

    /// Redis took a write, even if only one that changes nothing.
    func wroteAgain() {
        guard writeError != nil else { return }
        writeError = nil
        // Good news of a trouble that nobody was told of would be riddles.
        if isWriteTroubleTold {
            isWriteTroubleTold = false
            journal.notice(
                "store \(url) takes writes again",
                [.event("store-writable"), .store("redis")]
            )
        }
        observer?.storeStatusChanged(status)
    }

    private func turn(connected: Bool) {
        if isConnected != connected { since = loop.wall }
        isConnected = connected
        if connected { awaySince = nil }
        observer?.storeStatusChanged(status)
        if connected { isAwayTold = false }
    }

    private func closeConnections() {
        writer?.close()
        reader?.close()
        writer = nil
        reader = nil
    }

    func sleep(_ span: Nanoseconds) async {
        await withCheckedContinuation { waiter in
            let timer = timers.schedule(after: span) { [unowned self] in endPause() }
            pause = (timer, waiter)
        }
    }

    private func endPause() {
        guard let (timer, waiter) = pause.take() else { return }
        timers.cancel(timer)
        waiter.resume()
    }

    /// Sends commands of which none but the first `mayRefuse` may be refused. Without a `timeout`, `commandTimeout` holds.
    func ask(
        _ connection: RedisConnection,
        _ commands: [[String]],
        timeout: Nanoseconds? = nil,
        mayRefuse: Int = 0
    ) async throws(RedisError) -> [RedisReply] {
        let replies = try await connection.pipeline(commands, timeout: timeout ?? commandTimeout)
        for reply in replies.dropFirst(mayRefuse) {
            if case .error(let text) = reply { throw .refused(text) }
        }
        return replies
    }

    // MARK: Writing

    func flushSoon() {
        guard isConnected, !isFlushing, writeAgain == nil else { return }
        if outbox.hasUrgent || outbox.lazyCount >= Self.renewalsMax || !untold.isEmpty {
            let home = LoopBound(self, on: loop)
            Task(executorPreference: loop) { await home.value.flush() }
        } else if outbox.lazyCount > 0, renewalTimer == nil {
            renewalTimer = timers.schedule(after: Self.renewalDelay) { [unowned self] in
                renewalTimer = nil
                let home = LoopBound(self, on: loop)
                Task(executorPreference: loop) { await home.value.flush() }
            }
        }
    }

    /// Writes until nothing is pending, or Redis is lost.
    private func flush() async {
        if isFlushing { return await withCheckedContinuation { onFlushed.append($0) } }
        isFlushing = true
        while let writer, isConnected, outbox.pendingCount + untold.count > 0 {
            do throws(RedisError) {
                try await flushIntents(on: writer)
                let forgotten = outbox.nextForgotten()
                if !forgotten.isEmpty { try await remove(forgotten.map(\.field), on: writer) }
                try await flushVerdicts(on: writer)
            } catch {
                if case .refused(let text) = error, Refusal(text) == .writing {
                    refuseWriting(text)
                    break
                }
                lost(error)
            }
        }
        isFlushing = false
        for waiter in onFlushed { waiter.resume() }
        onFlushed = []
    }

    private func flushVerdicts(on writer: RedisConnection) async throws(RedisError) {
        var batches: [[Verdict]] = []
        while batches.count < Self.pipelineMax {
            let batch = outbox.nextBatch()
            if batch.isEmpty { break }
            batches.append(batch)
        }
        if batches.isEmpty { return }
        do throws(RedisError) {
            let commands = batches.map { batch in
                call(.publish, on: keys.verdicts)
                    + batch.flatMap { [$0.key.field, $0.json.text] }
            }
            let replies = try await ask(writer, commands)
            for (batch, reply) in zip(batches, replies) { settle(batch, reply) }
        } catch {
            for batch in batches { outbox.failed(batch) }
            throw error
        }
    }

    private func settle(_ batch: [Verdict], _ reply: RedisReply) {
        outbox.wrote(batch)
        for (verdict, answer) in zip(batch, reply.array ?? []) where answer.integer == 0 {
            refused += 1
            // Whoever wrote the newer one is heard of at the next reconciliation at the latest.
            scanned[verdict.key.field] = nil
            journal.debug(
                "store \(url) holds a newer verdict of \(verdict.key.field)",
                [.event("store-newer")]
            )
        }
    }

    private func flushIntents(on writer: RedisConnection) async throws(RedisError) {
        for key in untold {
            guard let record = known.intents[key] else {
                untold.remove(key)
                continue
            }
            let change = record.whole.json(modeAt: record.modeAt, weightAt: record.weightAt)
            try await write(change, for: key, on: writer)
            untold.remove(key)
        }
    }

    /// What holds then is known when this returns.
    private func write(
        _ change: JSON,
        for key: PeerKey,
        on writer: RedisConnection
    ) async throws(RedisError) {
        let command = call(.intend, on: keys.intents) + [key.field, change.text]
        guard var reply = try await ask(writer, [command]).first else { return }
        if !isIntent(reply) {
            // What was held makes no sense, also with this in it: it goes as a whole.
            ignore(.intent, keys.intents, key.field, "was no intent")
            reply = try await ask(writer, [command + ["afresh"]]).first ?? reply
        }
        learn(intent: reply, field: key.field, isAnswer: true)
    }

    /// By how much the clock of Redis is ahead of this machine's. What is less than a second is less
    /// than anybody asked for.
    var clockAhead: Nanoseconds {
        let ahead = now - loop.wall
        return ahead < .seconds(1) && ahead > .seconds(-1) ? .zero : ahead
    }

    /// What the clock of Redis shows now, as well as can be known.
    var now: WallTime {
        storeTime.map { $0.wall + (loop.instant - $0.at) } ?? loop.wall
    }

    /// Removes what was lifted so long ago that nobody can bring it back.
    func sweep(_ fields: [String], on writer: RedisConnection) async throws(RedisError) {
        let before = now + Nanoseconds(-IntentRecord.retention.count)
        let command = call(.sweep, on: keys.intents) + ["\(before.milliseconds)"] + fields
        _ = try await ask(writer, [command])
    }

    func remove(
        _ fields: [String],
        on writer: RedisConnection
    ) async throws(RedisError) {
        let oldest = loop.wall + Nanoseconds(-Self.retention.count)
        let command =
            call(.remove, on: keys.verdicts) + [agent, "\(oldest.milliseconds)"] + fields
        _ = try await ask(writer, [command])
        for field in fields { scanned[field] = nil }
    }

    /// Asks whether Redis is the one we knew; `id` is its name if it has none.
    func look(_ id: String) -> [String] {
        [
            "EVALSHA", scripts[.look] ?? "", "5", keys.id, keys.revision, keys.changes,
            keys.verdicts, keys.intents, id,
        ]
    }

    func call(_ script: RedisScript, on hash: String) -> [String] {
        ["EVALSHA", scripts[script] ?? "", "3", hash, keys.revision, keys.changes]
    }
}
