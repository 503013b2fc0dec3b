// What if many agents share one state? It lies in Redis: hashes are the truth, a stream is the hint
// that something changed. A reader takes everything, follows the stream, and takes everything again
// now and then, so a lost hint costs seconds and never correctness.
//
//   publish, change ──► sides ──► writing connection ──► scripts ──► hashes, revision, stream
//   board ◄── changes ◄── sides ◄── reading connection ◄── XREAD, HSCAN
//
// A side (`RedisSide`) is what one sort of record has to do with Redis.
//
// Redis being away is an ordinary state: everyone goes on from memory, what happens meanwhile waits
// in the sides, and when Redis is back it is told everything again. An empty Redis is not an order
// to delete.

public import EventLoop
import Fleet
import Health
public import Ledger
public import Redis
public import Vocabulary

/// The shared store. Confined to its loop's thread.
public final class RedisStore: Store {
    let loop: EventLoop
    let url: RedisURL
    let tls: RedisTLS?
    var reached = Reached()
    let agent: String
    let keys: RedisKeys
    let journal: Journal
    let lookup: HostLookup?
    let timers: Timers
    var observer: (any StoreObserver)?
    var file: StateFile?
    /// Holds what was asked for while Redis could not be told.
    let ledger: Ledger?

    /// Everything known of the shared state, for the state file and to tell what is news.
    let known: State
    /// This agent's part among those that share the probing; nil where it shares with nobody.
    public let fleet: FleetDesk?
    /// Of verdicts, where the fleet decides who writes them.
    private(set) var verdicts: FencedSide<Verdict>?
    /// Empty while there is no connection on which they are loaded.
    var fleetScripts: [FleetScript: String] = [:]
    /// The last letter that was read.
    var inboxID = ""
    private(set) var sides: [any RedisSide] = []
    /// What the clock of Redis showed, and when.
    var storeTime: (wall: WallTime, at: Instant)?

    var writer: RedisConnection?
    var reader: RedisConnection?
    var lookScript = ""
    var scripts: [RedisScript: [String: String]] = [:]
    var storeID: String?
    /// The state in which what is known was accepted, and whether this process has read one.
    var origin: StoreOrigin?
    var hasRead = false
    /// Which life of which server was read to its end last.
    var serverRead: String?
    /// It may not be asked which server it is.
    var isServerHidden = false
    var revision: UInt64 = 0
    /// The revision right after what was last written from here, which is sooner than the stream tells of it.
    var revisionWritten: UInt64 = 0
    var heard = HeardRevision()
    /// When everything was read last, no hint had been missed since the reading before.
    var heardAll = false
    /// Marks of agents as they were read, also of those that are gone; see `readMarks`.
    var marksRead: [String: [(instance: UInt64, mark: Instant)]] = [:]
    var areMarksDue = true
    /// By how much the time of the fleet is ahead of the clock of Redis.
    var storeShift = Nanoseconds.zero
    /// When somebody's beat was written last, as it was read, and whether that was another time before.
    var lastBeat = LastBeat()
    /// The roster with whose first agent the settings of this one were compared.
    var termsCompared: UInt64?
    /// Since all keys were looked at; zero where something is wrong with them.
    var looks = 0
    private var ticks = 0
    var streamID = "0-0"
    /// The last hints were too long to be read.
    var skipsHints = false

    private var clockWatch = ClockWatch()
    /// By which what is asked for ends.
    private(set) var ends: EndClock
    var isConnected = false
    var since: WallTime
    /// Redis can be read since then, and takes no writes.
    var unwritableSince: Instant?
    /// When it last was neither away nor refusing writes.
    var wellUntil: WallTime?
    var lastError: String?
    /// What can be done about that.
    var lastAdvice: String?
    private var refused: UInt64 = 0
    /// Why Redis takes no writes, though it can be read.
    var writeError: String?
    /// Commands that an ACL forbids, each with the words in which it did.
    var missingRights: [String: String] = [:]
    var rightsAgain: Timers.Token?
    var isFindingRights = false
    var isWriteTroubleTold = false
    /// Set where Redis throws away what it likes when its memory is full.
    var evictionAdvice = ""
    var writeAgain: Timers.Token?
    /// Of values that are none of ours.
    var ignored: UInt64 = 0
    /// What each of them was when it was counted.
    var nonsense: [String: UInt64] = [:]
    var throttle = Throttle()
    /// What others wrote under our names, as far as it was told of.
    var asidesTold = Set<String>()
    var outage: Outage?
    /// Of its present or last absence somebody was told; and that it is not here yet needs no telling.
    var isAwayTold = true
    private var isFlushing = false
    private var isRecalling = false
    /// The end has waited long enough for writes.
    var isLate = false
    private var onFlushed: [CheckedContinuation<Void, Never>] = []
    private var renewalTimer: Timers.Token?
    var isStopping = false
    var isRunning = false
    private var pause: (timer: Timers.Token, waiter: CheckedContinuation<Void, Never>)?
    var onEnd: [CheckedContinuation<Void, Never>] = []

    let commandTimeout: Nanoseconds
    let reconcileEvery: Nanoseconds

    /// A command that takes longer means that Redis hangs.
    public static let commandTimeoutDefault = Nanoseconds.seconds(1)
    /// How long a reader waits for a hint before it asks again.
    static let followFor = Nanoseconds.seconds(2)
    /// How often everything is read again, whatever the hints said.
    public static let reconcileEveryDefault = Nanoseconds.seconds(5)
    /// Renewals wait this long for company, or until so many wait.
    static let renewalDelay = Nanoseconds.milliseconds(200)
    /// How often some words of others are renewed: all of them take a second.
    static let renewEvery = Nanoseconds.milliseconds(250)
    /// Readings of everything from one list of what was put aside to the next, and from one look at the types of
    /// keys.
    static let looksToList = 12
    static let looksToTypes = 4
    static let renewalsMax = 64
    static let backoffMin = Nanoseconds.milliseconds(50)
    /// A Redis that is back is asked again after this long at most.
    public static let backoffMax = Nanoseconds.seconds(1)
    /// Batches under way at once.
    static let pipelineMax = 16
    /// Entries read at once: some milliseconds of work, then probes get their turn.
    static let scanCount = 100
    /// Slices of a reading of everything after which the stream is looked at: some ten milliseconds.
    static let slicesBetweenHints = 16
    /// Hints of so long before are read once more.
    static let hintMargin = Nanoseconds.seconds(1)
    /// Fields removed after one reading of everything.
    static let staleMax = 1_000
    /// What waits when the store stops gets so long.
    static let stopPatience = Nanoseconds.seconds(2)
    /// A Redis that refuses writes is asked again after this long.
    static let writeAgainAfter = Nanoseconds.seconds(1)
    /// As long as a master waits for its replicas (min-replicas-max-lag).
    static let replicasPatience = Nanoseconds.seconds(10)

    /// `agent` names this process, as verdicts do. `lookup` turns host names into addresses;
    /// without it the URL must hold an IP address, `localhost` or a unix socket. With a state file,
    /// a process that starts while Redis is away begins with what it knew last. The two spans are
    /// for tests: one machine may be slow without a fault, and what a hint brought must be told from
    /// what the next reconciliation would.
    public convenience init(
        loop: EventLoop,
        url: RedisURL,
        tls: RedisTLS? = nil,
        prefix: String = "muster:",
        agent: String,
        statePath: String? = nil,
        ledger: Ledger? = nil,
        fleet: FleetDesk? = nil,
        lookup: HostLookup? = nil,
        commandTimeout: Nanoseconds = commandTimeoutDefault,
        reconcileEvery: Nanoseconds = reconcileEveryDefault,
        journal: Journal = .silent
    ) {
        self.init(
            loop: loop,
            url: url,
            tls: tls,
            prefix: prefix,
            agent: agent,
            statePath: statePath,
            ledger: ledger,
            fleet: fleet,
            lookup: lookup,
            commandTimeout: commandTimeout,
            reconcileEvery: reconcileEvery,
            journal: journal,
            sorts: Records.all
        )
    }

    /// With other sorts of records.
    init(
        loop: EventLoop,
        url: RedisURL,
        tls: RedisTLS? = nil,
        prefix: String = "muster:",
        agent: String,
        statePath: String? = nil,
        ledger: Ledger? = nil,
        fleet: FleetDesk? = nil,
        lookup: HostLookup? = nil,
        commandTimeout: Nanoseconds = commandTimeoutDefault,
        reconcileEvery: Nanoseconds = reconcileEveryDefault,
        journal: Journal = .silent,
        sorts: [any Record.Type]
    ) {
        self.loop = loop
        self.fleet = fleet
        since = loop.wall
        ends = EndClock(at: loop.moment)
        self.url = url
        self.tls = tls
        self.commandTimeout = commandTimeout
        self.reconcileEvery = reconcileEvery
        self.agent = agent
        self.ledger = ledger
        self.lookup = lookup
        self.journal = journal
        keys = RedisKeys(prefix: prefix)
        timers = Timers(loop: loop)
        let known = State(sorts)
        self.known = known
        file = statePath.map { path in
            StateFile(path: path, loop: loop, journal: journal) { [unowned self] in
                known.snapshot(at: $0, of: noteOrigin())
            }
        }
        // What is asked for goes first: there is less of it, and somebody waits.
        let made = sorts.compactMap(makeSide)
        sides = made.filter(\.sort.isMerged) + made.filter { !$0.sort.isMerged }
        ledger?.join(self)
        if let fleet { leaveVerdicts(to: fleet) }
    }

    /// A verdict is written by who holds its pair, and only under a claim.
    private func leaveVerdicts(to fleet: FleetDesk) {
        let side = fenced(Verdict.self)
        verdicts = side
        side.leave(
            writingTo: .init(
                say: { [unowned fleet] in fleet.say($0, isUrgent: $1) },
                heard: { [unowned fleet] in fleet.heard($0, vouchedBy: $1) },
                vouches: { [unowned fleet] in fleet.vouches },
                mark: { [unowned self] in mark(of: $0, instance: $1) }
            )
        )
    }

    /// The first of them, by name.
    private var missingRight: String? { missingRights.min { $0.key < $1.key }?.value }

    private var pendingCount: Int {
        sides.reduce(fleet?.member.unsaid ?? 0) { $0 + $1.pendingCount }
    }

    /// Another process speaks under this agent's name.
    var isTwin: Bool { fleet?.isTaken ?? false }

    public var status: StoreStatus {
        var status = StoreStatus(
            kind: "redis",
            isConnected: isConnected,
            since: since,
            revision: revision,
            pending: pendingCount,
            lastError: lastError,
            writeError: writeError ?? missingRight ?? fleet?.refusal,
            refused: refused,
            ignored: ignored
        )
        status.writeAdvice =
            isConnected ? status.writeError.flatMap(Refusal.advice) : lastAdvice
        status.wellUntil = wellUntil
        // Its beats may pass where a right that other writes need is missing.
        let isHeard = fleet.map { $0.isHearing && !$0.isUnwritable } ?? false
        status.hearsOthers =
            isConnected
            && (isHeard || unwritableSince.map { lastBeat.hasMoved(since: $0) } ?? false)
        status.server = isConnected ? writer?.place.map { "\($0)" } : nil
        status.connections = [writer, reader].count { $0 != nil }
        status.isReturnSilent = !isAwayTold
        status.twin = fleet?.twinWords
        status.waits = fleet?.waitWords
        status.fleetError = fleet?.newerWords
        status.isFileWritable = file?.isWritable
        status.fileError = file?.problem
        return status
    }

    // MARK: Store

    public func start(_ observer: any StoreObserver) {
        precondition(!isRunning, "a store starts once")
        self.observer = observer
        file?.load(into: known)
        remember(known.origin)
        verdicts?.followKnown()
        if verdicts?.namesOthers == true { fleet?.expectOthers() }
        for change in known.changes(at: now) { observer.storeChanged(change) }
        observer.storeStatusChanged(status)
        isRunning = true
        fleet?.start(on: self)
        renewSoon()
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await home.value.run() }
    }

    // Verdicts are published at each probe, everything else now and then.
    @_specialize(where R == Verdict)
    public func publish<R: FencedRecord>(_ record: R, isTransition: Bool) {
        let now = loop.moment
        followClock(now)
        guard fenced(R.self).publish(record, isTransition: isTransition, now: now.wall) else {
            refused += 1
            return
        }
        flushSoon()
    }

    func followClock(_ now: Moment) {
        if let step = clockWatch.step(at: now) { for side in sides { side.shift(by: step) } }
        guard ends.follow(now, store: storeTime == nil ? nil : self.now) else { return }
        for side in sides { side.tellEndsAgain() }
    }

    /// Words of others hold for as long as somebody vouches for them; and what is vouched for here and not found
    /// any more has to be said.
    private func renewSoon() {
        guard let verdicts else { return }
        _ = timers.schedule(after: Self.renewEvery) { [unowned self] in
            if isStopping { return }
            followClock(loop.moment)
            ticks += 1
            verdicts.renewSome(isHearing: isHearing, every: Self.renewEvery)
            if ticks.isMultiple(of: 8) { verdicts.sayLapsed() }
            renewSoon()
        }
    }

    public func forget<R: FencedRecord>(_ type: R.Type, _ key: R.Key) {
        fenced(type).forget(key)
        flushSoon()
    }

    public func recall(_ key: VerdictKey) {
        guard let verdicts, verdicts.recall(key), isConnected, !isRecalling else { return }
        isRecalling = true
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await home.value.readRecalled() }
    }

    /// Through the connection that writes: the other one waits for news.
    private func readRecalled() async {
        defer { isRecalling = false }
        guard let writer, let verdicts else { return }
        do throws(RedisError) { try await verdicts.readRecalled(writer) } catch { lost(error) }
    }

    private func fenced<R: FencedRecord>(_ type: R.Type) -> FencedSide<R> {
        for side in sides { if let side = side as? FencedSide<R> { return side } }
        preconditionFailure("\(R.sort.collection): expected a sort of Records, saw another")
    }

    private func asked<W: Wish>(_ type: W.Type) -> AskedSide<W> {
        for side in sides { if let side = side as? AskedSide<W> { return side } }
        preconditionFailure("\(W.sort.collection): expected a sort of Records, saw another")
    }

    public func change<W: Wish>(
        _ wish: W.Type,
        _ change: W.Change,
        of key: W.Key,
        expecting expected: UInt64?
    ) async throws(StoreError) -> Acknowledgement {
        let side = asked(wish)
        let answer = try await askRedis(isCompared: expected != nil) {
            writer throws(RedisError) in
            try await side.change(change, of: key, expecting: expected, on: writer)
        }
        switch answer {
        case .taken(let sum)?: return Acknowledgement(.everywhere, stampSum: sum)
        case .outdated?: throw .outdated
        case nil:
            side.hold(change, of: key)
            let sum = key.owner.map { stampSum(of: $0) } ?? 0
            do throws(LedgerError) {
                try await side.record(key)
                return Acknowledgement(.here, stampSum: sum)
            } catch {
                return Acknowledgement(.unwritten(why: "\(error)"), stampSum: sum)
            }
        }
    }

    /// Nil where Redis is away, or takes no writes. What has to be compared cannot be, then.
    private func askRedis<Answer>(
        isCompared: Bool,
        _ body: (RedisConnection) async throws(RedisError) -> Answer
    ) async throws(StoreError) -> Answer? {
        var why = "it is away"
        if let writer, isConnected {
            do throws(RedisError) {
                return try await body(writer)
            } catch {
                why = "\(error)".printable
                if case .refused(let text) = error {
                    switch Refusal(text) {
                    case .scripts: lost(error)
                    // A right that is missing is no reason to serve a peer that somebody wants out.
                    case .writing, .right: refuseWriting(text)
                    case .other: throw StoreError(text)
                    }
                } else {
                    lost(error)
                }
            }
        }
        if isCompared {
            throw StoreError(
                "whether another write came first cannot be known without the store: \(why)",
                .unknown
            )
        }
        return nil
    }

    public func stampSum(of upstream: String) -> UInt64 { known.stampSum(of: upstream) }

    public func refresh(_ upstream: String) async throws(StoreError) {
        guard let side = counted.first else { return }
        let known = sums(of: upstream)
        // No sum is that: nothing changes, and everything is told.
        let command =
            call(.ask, on: side.sort) + ["", "{}", "", "?"] + grounds(of: upstream, trusting: false)
        let reply = try await askRedis(isCompared: true) { writer throws(RedisError) in
            try await ask(writer, [command]).first
        }
        learn((reply ?? nil) ?? .null, of: upstream, knownBefore: known)
    }

    public func stop() async {
        // A Redis that takes a second for each write must not hold up the end.
        let deadline = timers.schedule(after: Self.stopPatience) { [unowned self] in
            isLate = true
            closeConnections()
        }
        if isConnected { await flush() }
        fleet?.close()
        timers.cancel(deadline)
        isStopping = true
        tellOfUntold()
        if let writeAgain { timers.cancel(writeAgain) }
        endPause()
        closeConnections()
        // Asked where the wait begins: on the way there it may have ended.
        await withCheckedContinuation { waiter in
            if isRunning { onEnd.append(waiter) } else { waiter.resume() }
        }
        timers.cancelAll()
        await file?.flush()
        file?.close()
        observer = nil
    }

    /// What becomes of that which Redis was not told.
    private func tellOfUntold() {
        let orders = sides.reduce(0) { $0 + (($1 as? any CountedSide)?.orderCount ?? 0) }
        let others = max(pendingCount - orders, 0)
        if orders > 0 { ledger?.rewrite() }
        // That a verdict was not renewed once more is no news, and it is found again.
        guard orders > 0 || (isLate && others > 0) else { return }
        var text = "store \(url): the end came before \(orders) orders and \(others) other writes; "
        if orders == 0 {
            text += "verdicts are found again"
        } else if let ledger {
            text += "the orders are in \(ledger.path), and are told to Redis after the next start"
        } else {
            text +=
                "of the orders remains what other agents know; with store.state-file they would be "
                + "kept"
        }
        journal.warning(text, [.event("store-untold"), .store("redis")])
    }

    // MARK: Waiting and asking

    func sleep(_ span: Nanoseconds) async {
        await withCheckedContinuation { waiter in
            // Stopped on the way here: nobody would end this pause.
            if isStopping { return waiter.resume() }
            let timer = timers.schedule(after: span) { [unowned self] in endPause() }
            pause = (timer, waiter)
        }
    }

    private func endPause() {
        guard let (timer, waiter) = pause.take() else { return }
        timers.cancel(timer)
        waiter.resume()
    }

    /// Sends commands, of which none may be refused but the last, where that is said. Without a `timeout`, `commandTimeout` holds.
    func ask(
        _ connection: RedisConnection,
        _ commands: [[String]],
        timeout: Nanoseconds? = nil,
        mayRefuseLast: Bool = false
    ) async throws(RedisError) -> [RedisReply] {
        let timeout = timeout ?? commandTimeout
        var replies = try await connection.pipeline(commands, timeout: timeout)
        // Somebody took our scripts away: none of these has done anything.
        let undone = replies.indices.filter { place in
            if case .error(let text) = replies[place] { return Refusal(text) == .scripts }
            return false
        }
        if !undone.isEmpty, lookScript != "" {
            try await load(on: connection)
            let again = try await connection.pipeline(
                undone.map { commands[$0] },
                timeout: timeout
            )
            for (place, reply) in zip(undone, again) { replies[place] = reply }
        }
        for reply in replies.dropLast(mayRefuseLast ? 1 : 0) {
            if case .error(let text) = reply { throw .refused(text) }
        }
        return replies
    }

    // MARK: Writing

    /// The same, and notes how many changes there were when Redis had done this: a state that counts fewer does not have it.
    func askCounted(
        _ connection: RedisConnection,
        _ commands: [[String]]
    ) async throws(RedisError) -> [RedisReply] {
        // What lies under the name may be anybody's.
        let replies = try await ask(
            connection,
            commands + [["GET", keys.revision]],
            mayRefuseLast: true
        )
        let number = replies.last?.text.flatMap(UInt64.init) ?? 0
        revisionWritten = max(revisionWritten, number)
        return replies.dropLast()
    }

    func flushSoon() {
        guard isConnected, !isFlushing, writeAgain == nil else { return }
        let lazyCount = speaking.reduce(0) { $0 + $1.lazyCount }
        if speaking.contains(where: \.hasUrgent) || lazyCount >= Self.renewalsMax {
            let home = LoopBound(self, on: loop)
            Task(executorPreference: loop) { await home.value.flush() }
        } else if lazyCount > 0, renewalTimer == nil {
            renewalTimer = timers.schedule(after: Self.renewalDelay) { [unowned self] in
                renewalTimer = nil
                let home = LoopBound(self, on: loop)
                Task(executorPreference: loop) { await home.value.flush() }
            }
        }
    }

    /// Writes until nothing is pending, or Redis is lost.
    func flush() async {
        if isFlushing {
            return await withCheckedContinuation { waiter in
                if isFlushing { onFlushed.append(waiter) } else { waiter.resume() }
            }
        }
        isFlushing = true
        var isWritten = false
        while let writer, isConnected, !isLate,
            speaking.contains(where: { $0.pendingCount > 0 })
        {
            do throws(RedisError) {
                for side in speaking { try await side.flush(on: writer) }
                isWritten = true
            } catch {
                if case .refused(let text) = error, Refusal(text).isOfWriting {
                    isWritten = false
                    refuseWriting(text)
                    break
                }
                lost(error)
            }
        }
        // Nothing else says that a right was given.
        if isWritten, writeError.map({ Refusal($0) == .right }) == true { wroteAgain() }
        isFlushing = false
        for waiter in onFlushed { waiter.resume() }
        onFlushed = []
    }

    func noteRefused(_ field: String, of sort: RecordSort) {
        refused += 1
        journal.debug(
            "store \(url) holds a newer \(sort.name) of \(field)",
            [.event("store-newer")]
        )
    }

    /// By how much the clock of Redis is ahead of this machine's. What is less than a second is less
    /// than anybody asked for.
    var clockAhead: Nanoseconds {
        let ahead = now - loop.wall
        return ahead < .seconds(1) && ahead > .seconds(-1) ? .zero : ahead
    }

    /// The same as agents that share the probing know it.
    var fleetAhead: Nanoseconds {
        fleet?.clockAhead ?? FleetTimes.coarse(now + storeShift - loop.wall)
    }

    /// What is over then may be forgotten: by the clock of Redis, which stamps, and by that of ends.
    var forgetting: WallTime { min(now, ends.now(at: loop.instant)) }

    /// What the clock of Redis shows now, as well as can be known.
    var now: WallTime {
        storeTime.map { $0.wall + (loop.instant - $0.at) } ?? loop.wall
    }

    func call(_ script: RedisScript, on sort: RecordSort) -> [String] {
        var hashes = [keys.hash(of: sort), keys.revision, keys.changes]
        if script == .ask { hashes += counted.map { keys.hash(of: $0.sort) } + [keys.id] }
        return ["EVALSHA", scripts[script]?[sort.name] ?? "", "\(hashes.count)"] + hashes
    }

    /// Asks whether Redis is the one we knew; `id` is its name if it has none.
    func look(_ id: String) -> [String] {
        var names: [(key: String, type: String)] = [
            (keys.id, "string"), (keys.revision, "string"), (keys.changes, "stream"),
        ]
        names += sides.map { (keys.hash(of: $0.sort), "hash") }
        if fleet != nil { names += keys.ofFleet(agent: agent) }
        let depth =
            looks.isMultiple(of: Self.looksToList)
            ? "all" : looks.isMultiple(of: Self.looksToTypes) ? "types" : ""
        looks += 1
        return ["EVALSHA", lookScript, "\(names.count)"] + names.map(\.key) + [id]
            + names.map(\.type) + [depth]
    }

    /// What may be written now. Orders are whose they are; for verdicts the agent's name stands.
    private var speaking: [any RedisSide] { isTwin ? sides.filter(\.sort.isMerged) : sides }

    // MARK: What a revision counts

    /// The sides whose records some upstream owns.
    var counted: [any CountedSide] {
        sides.compactMap { $0 as? any CountedSide }.filter { $0.pattern(of: "") != nil }
    }

    /// Every change up to a revision was heard of, and nothing waits to be told.
    var knowsAll: Bool { heard.whole != nil && tellers.allSatisfy { $0.orderCount == 0 } }

    /// By what the script may trust that what is known here is all there is of one owner; and how it finds
    /// that out for itself where it may not.
    func grounds(of owner: String, trusting trusts: Bool) -> [String] {
        let known = trusts ? heard.whole.map { "\($0)" } ?? "" : ""
        var words = [known, storeID ?? "", Field.prefix(under: owner)]
        words += counted.compactMap { $0.pattern(of: owner) }
        guard trusts else { return words }
        for side in counted {
            for (field, sum) in side.written(of: owner) {
                words += [side.sort.name, field, "\(sum)"]
            }
        }
        return words
    }

    func sums(of owner: String) -> [[String: UInt64]] { counted.map { $0.sums(of: owner) } }

    /// All that Redis has of one owner, a list for each counted side.
    func learn(_ found: RedisReply, of owner: String, knownBefore known: [[String: UInt64]]) {
        // The sum, and for each sort what was found, and its mark.
        guard let parts = found.array, parts.count == 3, let lists = parts[1].array,
            let marks = parts[2].array
        else { return }
        for ((side, known), (list, mark)) in zip(zip(counted, known), zip(lists, marks)) {
            side.learn(
                all: list.array ?? [],
                mark: mark.text ?? "",
                of: owner,
                knownBefore: known
            )
        }
    }
}

extension RedisStore: LedgerClient {
    private var tellers: [any CountedSide] { sides.compactMap { $0 as? any CountedSide } }

    public var recordKinds: Set<UInt8> { Set(tellers.compactMap(\.sort.ledgerKind)) }

    public func recover(_ record: LedgerRecord) {
        for side in tellers { side.recover(record) }
    }

    public func snapshot() -> @Sendable () -> [LedgerRecord] {
        let records = tellers.flatMap { $0.ledgerRecords() }
        return { records }
    }
}
