// What if there is no Redis? One process holds the state itself, in memory and, if given a path, in a
// file that the next start reads.

public import EventLoop
public import Health
public import Vocabulary

/// The store of a process that shares with nobody. Confined to its loop's thread.
public final class EmbeddedStore: Store {
    private var state = State()
    private var file: StateFile?
    private var observer: (any StoreObserver)?
    private var revision: UInt64 = 0
    private var refused: UInt64 = 0
    private let startedAt = Clock.wall()

    /// Without a path, nothing outlives the process.
    public init(loop: EventLoop, statePath: String? = nil, journal: Journal = .silent) {
        file = statePath.map { path in
            StateFile(path: path, loop: loop, retention: .zero, journal: journal) {
                [unowned self] in state
            }
        }
    }

    public var status: StoreStatus {
        StoreStatus(
            kind: "embedded",
            isConnected: true,
            since: startedAt,
            revision: revision,
            lastError: file?.lastError,
            refused: refused
        )
    }

    public func start(_ observer: any StoreObserver) {
        self.observer = observer
        if let file { state = file.load() }
        for (key, record) in state.intents {
            observer.storeChanged(.intent(key, record.asked))
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
        let now = max(Clock.wall(), held.map { max($0.modeAt, $0.weightAt) } ?? IntentRecord.never)
        if state.take(change, of: key, at: now) {
            revision += 1
            observer?.storeChanged(.intent(key, state.intents[key]?.asked))
            file?.touch(within: StateFile.transitionDelay)
        }
        return .everywhere
    }

    public func stop() async {
        await file?.flush()
        file?.close()
        observer = nil
    }
}
