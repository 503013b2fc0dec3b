// What if there is no Redis? One process holds the state itself: in memory and, if given a path, on the
// disk for the next start. What operators ask for is on the disk before it is acknowledged, by the
// ledger; verdicts go to the state file now and then, for they are found again within an interval.

public import EventLoop
import Health
public import Ledger
public import Vocabulary

/// The store of a process that shares with nobody. Confined to its loop's thread.
public final class EmbeddedStore: Store {
    private let state: State
    private var file: StateFile?
    private let ledger: Ledger?
    private var observer: (any StoreObserver)?
    private var revision: UInt64 = 0
    private var refused: UInt64 = 0
    private let loop: EventLoop
    private let startedAt: WallTime
    /// The ledger told of something.
    private var hasRecovered = false

    /// Without a path and a ledger, nothing outlives the process. The ledger is opened before `start`,
    /// and ended after `stop`, by whoever made it.
    public convenience init(
        loop: EventLoop,
        statePath: String? = nil,
        ledger: Ledger? = nil,
        journal: Journal = .silent
    ) {
        self.init(
            loop: loop,
            statePath: statePath,
            ledger: ledger,
            journal: journal,
            state: State()
        )
    }

    /// With other sorts of records, or a loop to write on.
    init(
        loop: EventLoop,
        statePath: String? = nil,
        ledger: Ledger? = nil,
        journal: Journal = .silent,
        state: State,
        writer: EventLoop? = nil
    ) {
        self.loop = loop
        self.ledger = ledger
        self.state = state
        startedAt = loop.wall
        file = statePath.map { path in
            // What was lifted is remembered by the ledger.
            StateFile(path: path, loop: loop, journal: journal, writer: writer) { now in
                state.prune(at: now)
                return state.snapshot(at: now, keeping: .zero)
            }
        }
        ledger?.join(self)
    }

    public var status: StoreStatus {
        var status = StoreStatus(
            kind: "embedded",
            isConnected: true,
            since: startedAt,
            revision: revision,
            lastError: ledger?.status.error,
            refused: refused
        )
        status.isFileWritable = file?.isWritable
        status.fileError = file?.problem
        return status
    }

    /// The ledger has told already what operators asked for. The state file tells the same, but for
    /// the last moments, and is all there is of a version without a ledger, before this one or since:
    /// of both, the later holds.
    public func start(_ observer: any StoreObserver) {
        self.observer = observer
        if let file {
            let recorded = ledgerContent
            file.load(into: state)
            if ledgerContent != recorded { ledger?.rewrite() }
            if hasRecovered { file.touch(within: StateFile.transitionDelay) }
        }
        let now = loop.wall
        state.prune(at: now)
        for change in state.changes(at: now) { observer.storeChanged(change) }
        observer.storeStatusChanged(status)
    }

    private var ledgerContent: [[LedgerRecord]] {
        state.shelves.map {
            $0.ledgerRecords()().sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        }
    }

    public func publish<R: FencedRecord>(_ record: R, isTransition: Bool) {
        // Without a file nobody would ever read it: the board has it already.
        guard file == nil || state.shelf(of: R.self).take(record) else {
            refused += 1
            return
        }
        if isTransition { revision += 1 }
        file?.touch(
            within: isTransition ? StateFile.transitionDelay : StateFile.renewalDelay
        )
    }

    public func forget<R: FencedRecord>(_ type: R.Type, _ key: R.Key) {
        guard file == nil || state.shelf(of: type).put(nil, for: key) else { return }
        revision += 1
        file?.touch(within: StateFile.transitionDelay)
    }

    public func change<W: Wish>(
        _ wish: W.Type,
        _ change: W.Change,
        of key: W.Key,
        expecting expected: UInt64?
    ) async throws(StoreError) -> Acknowledgement {
        let shelf = state.shelf(of: Asked<W>.self)
        let isHeld = shelf[key]?.holds(change) == true
        if !isHeld, let expected, let owner = key.owner, state.stampSum(of: owner) != expected {
            throw .outdated
        }
        // One process, one clock: a clock that was set back must not keep an order from holding, and two
        // orders in one millisecond are two.
        let held = shelf[key] ?? Asked<W>()
        let now = held.next(at: loop.wall)
        var record = held
        // What holds already keeps its time: whoever asks again because the answer was lost changes
        // nothing.
        if !isHeld { record.take(change, at: now) }
        if shelf.put(record, for: key) {
            revision += 1
            if held.wish != record.wish,
                let told = Asked<W>.change(record, of: key, later: .zero)
            {
                observer?.storeChanged(told)
            }
            file?.touch(within: StateFile.transitionDelay)
        }
        guard let line = shelf.ledgerRecord(of: key) else {
            throw StoreError(
                "expected at most \(State.entriesMax) of \(W.sort.collection), saw more"
            )
        }
        let sum = key.owner.map { state.stampSum(of: $0) } ?? 0
        guard let ledger else { return Acknowledgement(.memory, stampSum: sum) }
        // Also where nothing changed: what was asked for before may not be on the disk yet.
        do throws(LedgerError) {
            try await ledger.append(line)
            return Acknowledgement(.everywhere, stampSum: sum)
        } catch {
            return Acknowledgement(.unwritten(why: "\(error)"), stampSum: sum)
        }
    }

    public func stampSum(of upstream: String) -> UInt64 { state.stampSum(of: upstream) }

    public func refresh(_ upstream: String) async throws(StoreError) {}

    public func stop() async {
        await file?.flush()
        file?.close()
        observer = nil
    }
}

extension EmbeddedStore: LedgerClient {
    public var recordKinds: Set<UInt8> { Set(state.shelves.compactMap(\.sort.ledgerKind)) }

    public func recover(_ record: LedgerRecord) {
        hasRecovered = true
        state.shelves.first { $0.sort.ledgerKind == record.kind }?.recover(record)
    }

    public func snapshot() -> @Sendable () -> [LedgerRecord] {
        state.prune(at: loop.wall)
        let shelves = state.shelves.map { $0.ledgerRecords() }
        return { shelves.flatMap { $0() } }
    }
}
