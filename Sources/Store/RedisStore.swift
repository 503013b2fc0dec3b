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
    private let loop: EventLoop
    private let url: RedisURL
    private let agent: String
    private let keys: RedisKeys
    private let journal: Journal
    private let lookup: HostLookup?
    private let timers: Timers
    private var observer: (any StoreObserver)?
    private var file: StateFile?

    private var outbox = Outbox()
    /// Everything known of the shared state, for the state file and to tell what is news.
    private var known = State()
    /// Set or lifted here, and not in Redis yet.
    private var pendingIntents: [PeerKey: (intent: Intent?, at: WallTime)] = [:]

    private var writer: RedisConnection?
    private var reader: RedisConnection?
    private var scripts: [RedisScript: String] = [:]
    private var storeID: String?
    private var revision: UInt64 = 0
    private var streamID = "0-0"
    private var scanned: [String: Int] = [:]

    private var isConnected = false
    private var since = Clock.wall()
    private var lastError: String?
    private var refused: UInt64 = 0
    private var isFlushing = false
    private var onFlushed: [CheckedContinuation<Void, Never>] = []
    private var renewalTimer: Timers.Token?
    private var isStopping = false
    private var isRunning = false
    private var pause: (timer: Timers.Token, waiter: CheckedContinuation<Void, Never>)?
    private var onEnd: [CheckedContinuation<Void, Never>] = []

    /// A command that takes longer means that Redis hangs.
    static let commandTimeout = Nanoseconds.seconds(1)
    /// How long a reader waits for a hint before it asks again.
    static let followFor = Nanoseconds.seconds(1)
    /// How often everything is read again, whatever the hints said.
    static let reconcileEvery = Nanoseconds.seconds(5)
    /// Renewals wait this long for company, or until so many wait.
    static let renewalDelay = Nanoseconds.milliseconds(200)
    static let renewalsMax = 64
    static let backoffMin = Nanoseconds.milliseconds(50)
    static let backoffMax = Nanoseconds.seconds(1)
    /// Batches under way at once.
    static let pipelineMax = 16
    /// Entries read at once: some milliseconds of work, then probes get their turn.
    static let scanCount = 250
    /// A verdict that expired this long ago belongs to nobody any more.
    static let retention = Nanoseconds.seconds(7 * 86_400)

    /// `agent` names this process, as verdicts do. `lookup` turns host names into addresses;
    /// without it the URL must hold an IP address, `localhost` or a unix socket. With a state file,
    /// a process that starts while Redis is away begins with what it knew last.
    public init(
        loop: EventLoop,
        url: RedisURL,
        prefix: String = "muster:",
        agent: String,
        statePath: String? = nil,
        lookup: HostLookup? = nil,
        journal: Journal = .silent
    ) {
        self.loop = loop
        self.url = url
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
        StoreStatus(
            kind: "redis",
            isConnected: isConnected,
            since: since,
            revision: revision,
            pending: outbox.pendingCount + pendingIntents.count,
            lastError: lastError ?? file?.lastError,
            refused: refused
        )
    }

    // MARK: Store

    public func start(_ observer: any StoreObserver) {
        precondition(!isRunning, "a store starts once")
        self.observer = observer
        if let file { known = file.load() }
        for (key, intent) in known.intents { observer.storeChanged(.intent(key, intent)) }
        for verdict in known.verdicts.values { observer.storeChanged(.verdict(verdict)) }
        observer.storeStatusChanged(status)
        isRunning = true
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await home.value.run() }
    }

    public func publish(_ verdict: Verdict, isTransition: Bool) {
        guard outbox.take(verdict, isTransition: isTransition, now: Clock.wall()) else {
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
    public func set(
        intent: Intent?,
        for key: PeerKey
    ) async throws(StoreError) -> IntentReach {
        let at = intent?.setAt ?? Clock.wall()
        if let writer, isConnected {
            do throws(RedisError) {
                let isTaken = try await write(intent, for: key, at: at, on: writer)
                // A newer intent of another agent is on its way to us.
                if isTaken { learn(intent, for: key) }
                return .everywhere
            } catch {
                if case .refused(let text) = error, !text.hasPrefix("NOSCRIPT") {
                    throw StoreError(text)
                }
                // The scripts are loaded again with the next connection.
                lost(error)
            }
        }
        pendingIntents[key] = (intent, at)
        learn(intent, for: key)
        return .here
    }

    public func stop() async {
        if isConnected { await flush() }
        isStopping = true
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
            await sleep(Nanoseconds(half + Int64.random(in: 0...half)))
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
        try await reconcile(reader)
        outbox.restate()
        lastError = nil
        turn(connected: true)
        // Told everything again before anything else, so that the state is whole within a moment.
        await flush()
    }

    private func open() async throws(RedisError) -> RedisConnection {
        let connection = try await RedisConnection.connect(
            to: url,
            on: loop,
            timeout: Self.commandTimeout,
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
    }

    private func turn(connected: Bool) {
        if isConnected != connected { since = Clock.wall() }
        isConnected = connected
        observer?.storeStatusChanged(status)
    }

    private func closeConnections() {
        writer?.close()
        reader?.close()
        writer = nil
        reader = nil
    }

    private func sleep(_ span: Nanoseconds) async {
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

    /// Sends commands of which none may be refused.
    private func ask(
        _ connection: RedisConnection,
        _ commands: [[String]],
        timeout: Nanoseconds = commandTimeout
    ) async throws(RedisError) -> [RedisReply] {
        let replies = try await connection.pipeline(commands, timeout: timeout)
        for reply in replies {
            if case .error(let text) = reply { throw .refused(text) }
        }
        return replies
    }

    // MARK: Reading

    private func follow() async throws(RedisError) {
        var reconcileAt = Clock.instant() + Self.reconcileEvery
        while let reader, !isStopping {
            let wait = max(min(reconcileAt - Clock.instant(), Self.followFor), .milliseconds(1))
            let replies = try await ask(
                reader,
                [
                    [
                        "XREAD", "COUNT", "\(Self.scanCount)", "BLOCK", "\(wait.milliseconds)",
                        "STREAMS", keys.changes, streamID,
                    ]
                ],
                timeout: wait + Self.commandTimeout
            )
            try await read(hints: replies.first ?? .null, on: reader)
            if Clock.instant() >= reconcileAt {
                try await reconcile(reader)
                flushSoon()
                reconcileAt = Clock.instant() + Self.reconcileEvery
            }
        }
        throw .closed
    }

    /// `[[stream, [[id, [name, value, …]], …]]]`, or null when nothing came.
    private func read(hints: RedisReply, on reader: RedisConnection) async throws(RedisError) {
        guard let entries = hints.array?.first?.array?.last?.array, !entries.isEmpty else { return }
        var verdicts: [String] = []
        var intents: [String] = []
        for entry in entries {
            guard let parts = entry.array, let id = parts.first?.text else { continue }
            streamID = id
            let words = (parts.last?.array ?? []).map { $0.text ?? "" }
            var values: [String: String] = [:]
            for index in stride(from: 0, to: words.count - 1, by: 2) {
                values[words[index]] = words[index + 1]
            }
            guard let field = values["field"] else { continue }
            if let number = values["revision"].flatMap(UInt64.init) {
                revision = max(revision, number)
            }
            if values["kind"] == "intent" {
                if !intents.contains(field) { intents.append(field) }
            } else if values["kind"] == "verdict" {
                if !verdicts.contains(field) { verdicts.append(field) }
            }
        }
        var commands: [[String]] = []
        if !verdicts.isEmpty { commands.append(["HMGET", keys.verdicts] + verdicts) }
        if !intents.isEmpty { commands.append(["HMGET", keys.intents] + intents) }
        var replies = try await ask(reader, commands)[...]
        if !verdicts.isEmpty, let values = replies.popFirst()?.array {
            for (field, value) in zip(verdicts, values) { learn(verdict: value, field: field) }
        }
        if !intents.isEmpty, let values = replies.popFirst()?.array {
            for (field, value) in zip(intents, values) { learn(intent: value, field: field) }
        }
    }

    /// Reads everything, and finds out whether Redis still is the one we knew.
    private func reconcile(_ reader: RedisConnection) async throws(RedisError) {
        let made = "\(UInt64.random(in: 0...UInt64.max))"
        let replies = try await ask(
            reader,
            [
                ["SET", keys.id, made, "NX"], ["GET", keys.id], ["GET", keys.revision],
                ["XREVRANGE", keys.changes, "+", "-", "COUNT", "1"],
            ]
        )
        let isNew = replies[0].text == "OK"
        let id = replies[1].text
        let number = replies[2].text.flatMap(UInt64.init) ?? 0
        let wasEmptied = isNew || (storeID != nil && id != storeID) || number < revision
        if wasEmptied, storeID != nil {
            journal.warning("store \(url) has lost its state; telling it everything again")
        }
        if wasEmptied { scanned = [:] }
        storeID = id
        revision = number
        // Taken before the hashes are read: a change in between is read twice rather than missed.
        streamID = replies[3].array?.first?.array?.first?.text ?? "0-0"

        let stale = try await scanVerdicts(reader)
        try await readIntents(reader, wasEmptied: wasEmptied)
        if wasEmptied { outbox.restate() }
        if !stale.isEmpty, let writer { try await remove(stale, on: writer) }
    }

    /// Answers fields that belong to nobody any more.
    private func scanVerdicts(_ reader: RedisConnection) async throws(RedisError) -> [String] {
        var cursor = "0"
        var stale: [String] = []
        let oldest = Clock.wall() + Nanoseconds(-Self.retention.count)
        repeat {
            let reply = try await ask(
                reader,
                [["HSCAN", keys.verdicts, cursor, "COUNT", "\(Self.scanCount)"]]
            )
            guard let parts = reply.first?.array, parts.count == 2, let next = parts[0].text,
                let entries = parts[1].array
            else { throw .refused("expected a scan, saw another reply") }
            cursor = next
            for index in stride(from: 0, to: entries.count - 1, by: 2) {
                guard let field = entries[index].text, let bytes = entries[index + 1].bytes else {
                    continue
                }
                // Most of it is what it was: not worth parsing.
                let digest = bytes.hashValue
                if scanned.updateValue(digest, forKey: field) == digest { continue }
                learn(verdict: entries[index + 1], field: field)
                if let key = VerdictKey(field: field), let held = known.verdicts[key],
                    held.expiresAt < oldest
                {
                    stale.append(field)
                }
            }
        } while cursor != "0"
        if scanned.count > State.entriesMax { scanned = [:] }
        return stale
    }

    private func readIntents(
        _ reader: RedisConnection,
        wasEmptied: Bool
    ) async throws(RedisError) {
        let words = try await ask(reader, [["HGETALL", keys.intents]]).first?.array ?? []
        var held = Set<PeerKey>()
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            guard let field = words[index].text, let key = PeerKey(field: field) else { continue }
            held.insert(key)
            learn(intent: words[index + 1], field: field)
        }
        for (key, intent) in known.intents where !held.contains(key) {
            if wasEmptied {
                // Nobody lifted it: the store forgot it.
                if pendingIntents[key] == nil { pendingIntents[key] = (intent, intent.setAt) }
            } else if pendingIntents[key] == nil {
                learn(nil, for: key)
            }
        }
    }

    private func learn(verdict reply: RedisReply, field: String) {
        guard let bytes = reply.bytes, let key = VerdictKey(field: field) else { return }
        guard let json = try? JSON(parsing: bytes, limits: JSONLimits(bytes: 64 << 10)),
            let verdict = Verdict(key: key, json: json)
        else {
            journal.warning("store \(url): \(keys.verdicts) '\(field)' is no verdict; ignored")
            return
        }
        if outbox.isOwn(verdict) { return }
        if known.take(verdict) {
            observer?.storeChanged(.verdict(verdict))
            file?.touch(within: StateFile.renewalDelay)
        }
    }

    private func learn(intent reply: RedisReply, field: String) {
        guard let key = PeerKey(field: field) else { return }
        guard let bytes = reply.bytes else {
            if pendingIntents[key] == nil { learn(nil, for: key) }
            return
        }
        guard let json = try? JSON(parsing: bytes, limits: JSONLimits(bytes: 64 << 10)),
            let intent = Intent(json: json)
        else {
            journal.warning("store \(url): \(keys.intents) '\(field)' is no intent; ignored")
            return
        }
        if let pending = pendingIntents[key] {
            if pending.at >= intent.setAt { return }
            pendingIntents[key] = nil
        }
        learn(intent, for: key)
    }

    private func learn(_ intent: Intent?, for key: PeerKey) {
        guard known.set(intent, for: key) else { return }
        observer?.storeChanged(.intent(key, intent))
        file?.touch(within: StateFile.transitionDelay)
    }

    // MARK: Writing

    private func flushSoon() {
        guard isConnected, !isFlushing else { return }
        if outbox.hasUrgent || outbox.lazyCount >= Self.renewalsMax || !pendingIntents.isEmpty {
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
        while let writer, isConnected, outbox.pendingCount + pendingIntents.count > 0 {
            do throws(RedisError) {
                try await flushIntents(on: writer)
                let forgotten = outbox.nextForgotten()
                if !forgotten.isEmpty { try await remove(forgotten.map(\.field), on: writer) }
                try await flushVerdicts(on: writer)
            } catch {
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
            journal.debug("store \(url) holds a newer verdict of \(verdict.key.field)")
        }
    }

    private func flushIntents(on writer: RedisConnection) async throws(RedisError) {
        for (key, pending) in pendingIntents {
            _ = try await write(pending.intent, for: key, at: pending.at, on: writer)
            // Unless it was set once more meanwhile.
            if pendingIntents[key]?.at == pending.at { pendingIntents[key] = nil }
        }
    }

    private func write(
        _ intent: Intent?,
        for key: PeerKey,
        at time: WallTime,
        on writer: RedisConnection
    ) async throws(RedisError) -> Bool {
        let command =
            call(.intend, on: keys.intents)
            + [key.field, intent?.json.text ?? "", "\(time.milliseconds)"]
        return try await ask(writer, [command]).first?.integer == 1
    }

    private func remove(
        _ fields: [String],
        on writer: RedisConnection
    ) async throws(RedisError) {
        let oldest = Clock.wall() + Nanoseconds(-Self.retention.count)
        let command =
            call(.remove, on: keys.verdicts) + [agent, "\(oldest.milliseconds)"] + fields
        _ = try await ask(writer, [command])
        for field in fields { scanned[field] = nil }
    }

    private func call(_ script: RedisScript, on hash: String) -> [String] {
        ["EVALSHA", scripts[script] ?? "", "3", hash, keys.revision, keys.changes]
    }
}
