// What if there is no Redis? One process holds the state itself: in memory and, if given a path, on the
// disk for the next start. What operators ask for is on the disk before it is acknowledged, by the
// ledger; verdicts go to the state file now and then, for they are found again within an interval.

public import EventLoop
public import Health
public import Ledger
public import Vocabulary

/// The store of a process that shares with nobody. Confined to its loop's thread.
public final class EmbeddedStore: Store {
    private var state = State()
    private var file: StateFile?
    private let ledger: Ledger?
    private var observer: (any StoreObserver)?
    private var revision: UInt64 = 0
    private var refused: UInt64 = 0
    private let loop: EventLoop
    private let startedAt: WallTime

    /// Without a path and a ledger, nothing outlives the process. The ledger is opened before `start`,
    /// and ended after `stop`, by whoever made it.
    public init(
        loop: EventLoop,
        statePath: String? = nil,
        ledger: Ledger? = nil,
        journal: Journal = .silent
    ) {
        self.loop = loop
        self.ledger = ledger
        startedAt = loop.wall
        file = statePath.map { path in
            StateFile(path: path, loop: loop, retention: .zero, journal: journal) {
                [unowned self] in state
            }
        }
        ledger?.join(self)
    }

    public var status: StoreStatus {
        StoreStatus(
            kind: "embedded",
            isConnected: true,
            since: startedAt,
            revision: revision,
            lastError: ledger?.status.error ?? file?.lastError,
            refused: refused
        )
    }

    /// The ledger has told already what operators asked for. The state file tells the same, but for
    /// the last moments, and is all there is of a version without a ledger, before this one or since:
    /// of both, the later holds.
    public func start(_ observer: any StoreObserver) {
        self.observer = observer
        if let file {
            let recorded = state.intents
            state = file.load()
            let filed = state.intents
            for (key, record) in recorded { _ = state.merge(record, for: key) }
            if state.intents != recorded { ledger?.rewrite() }
            if state.intents != filed { file.touch(within: StateFile.transitionDelay) }
        }
        let now = loop.wall
        state.prune(now: now, keeping: IntentRecord.retention)
        for (key, record) in state.intents {
            guard let asked = record.asked?.current(at: now) else { continue }
            observer.storeChanged(.intent(key, asked))
        }
        for verdict in state.verdicts.values { observer.storeChanged(.verdict(verdict)) }
        observer.storeStatusChanged(status)
    }

    public func publish(_ verdict: Verdict, isTransition: Bool) {
        // Without a file nobody would ever read it: the board has it already.
        guard file == nil || state.take(verdict) else {
            refused += 1
            return
        }
        if isTransition { revision += 1 }
        file?.touch(
            within: isTransition ? StateFile.transitionDelay : StateFile.renewalDelay
        )
    }

    public func forget(_ key: VerdictKey) {
        guard file == nil || state.forget(key) else { return }
        revision += 1
        file?.touch(within: StateFile.transitionDelay)
    }

    @discardableResult
    public func change(
        _ change: IntentChange,
        of key: PeerKey
    ) async throws(StoreError) -> IntentReach {
        // One process, one clock: a clock that was set back must not keep an order from holding.
        let held = state.intents[key]
        let now = max(loop.wall, held.map { max($0.modeAt, $0.weightAt) } ?? IntentRecord.never)
        if state.take(change, of: key, at: now) {
            revision += 1
            observer?.storeChanged(.intent(key, state.intents[key]?.asked))
            file?.touch(within: StateFile.transitionDelay)
        }
        guard let record = state.intents[key] else {
            throw StoreError("expected at most \(State.entriesMax) peers with an intent, saw more")
        }
        guard let ledger else { return .memory }
        // Also where nothing changed: what was asked for before may not be on the disk yet.
        do throws(LedgerError) {
            try await ledger.append(Self.record(of: record, for: key))
            return .everywhere
        } catch {
            return .unwritten(why: "\(error)")
        }
    }

    public func stop() async {
        await file?.flush()
        file?.close()
        observer = nil
    }
}

extension EmbeddedStore: LedgerClient {
    public var recordKinds: Set<UInt8> { [RecordKind.intent] }

    private static func record(of record: IntentRecord, for key: PeerKey) -> LedgerRecord {
        LedgerRecord(
            kind: RecordKind.intent,
            bytes: JSON.object([.init("peer", .string(key.field)), .init("asked", record.json)])
                .bytes
        )
    }

    /// One that cannot be read is left out: it must not cost all the others.
    public func recover(_ record: LedgerRecord) {
        guard let json = try? JSON(parsing: record.bytes),
            let key = json["peer"]?.string.flatMap(PeerKey.init(field:)),
            let asked = json["asked"].flatMap(IntentRecord.init(json:))
        else { return }
        _ = state.merge(asked, for: key)
    }

    /// What was lifted is kept for a while: the state file may still hold it.
    public func snapshot() -> @Sendable () -> [LedgerRecord] {
        let intents = state.intents
        let now = loop.wall
        return {
            intents.filter { !$0.value.isOver(at: now) }
                .map { Self.record(of: $0.value, for: $0.key) }
        }
    }
}
