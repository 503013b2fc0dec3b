// Where do verdicts and intents live, beyond this process's memory? Behind this protocol: in a file
// beside the process (`EmbeddedStore`), or in a Redis that many agents share (`RedisStore`).
//
// A store is confined to its loop's thread. What it holds is the truth between agents; what a
// process reads while it works is the `Board`, which hears of every change through `StoreObserver`.

public import Health
public import Vocabulary

/// Keeps verdicts and intents, and tells of changes that others made.
public protocol Store: AnyObject {
    var status: StoreStatus { get }

    /// Begins. The observer hears first what the store holds, then of each change, for as long as
    /// the store runs. A store that cannot be reached yet goes on trying; this never waits for it.
    func start(_ observer: any StoreObserver)

    /// Takes a verdict of this process. Never blocks and never fails: a transition goes out at
    /// once, a renewal with the next batch, and of several for one key only the newest.
    func publish(_ verdict: Verdict, isTransition: Bool)

    /// Forgets a verdict whose monitor or peer is no longer defined.
    func forget(_ key: VerdictKey)

    /// Changes what the operator asks of a peer, and nothing that the change does not mention. The
    /// observer hears of it at once; this returns when it is acknowledged, and says what that is worth.
    /// Throws only when the store answered and refused.
    @discardableResult
    func change(_ change: IntentChange, of key: PeerKey) async throws(StoreError) -> IntentReach

    /// Writes out what is still pending, as far as a short deadline allows, and ends.
    func stop() async
}

/// Hears what a store holds. Called on the loop's thread.
public protocol StoreObserver: AnyObject {
    func storeChanged(_ change: StoreChange)
    /// Connected, disconnected, or of an error.
    func storeStatusChanged(_ status: StoreStatus)
}

public enum StoreChange: Hashable, Sendable {
    /// May be older than what the observer holds: it compares epoch and sequence.
    case verdict(Verdict)
    case intent(PeerKey, Intent?)
}

/// How far an intent got, when it was acknowledged.
public enum IntentReach: Hashable, Sendable {
    /// It outlives this process: it is on the disk, or in the store from which every agent hears of it.
    case everywhere
    /// Only this process holds it so far: the store is away, and gets it when it is back.
    case here
    /// In memory, and nobody asked for more: there is no state file.
    case memory
    /// In memory, because the disk does not take it; it is written as soon as that goes.
    case unwritten(why: String)
}

/// The state of the store itself, for `/ready`, `/metrics` and the log.
public struct StoreStatus: Hashable, Sendable {
    /// `embedded` or `redis`.
    public var kind: String
    public var isConnected: Bool
    /// When `isConnected` last changed.
    public var since: WallTime
    /// Of the last change seen; zero before the first.
    public var revision: UInt64
    /// Writes taken and not yet confirmed.
    public var pending: Int
    public var lastError: String?
    /// Why the store takes no writes, where it can be read all the same.
    public var writeError: String?
    /// Verdicts of ours that the store refused because it holds a newer one.
    public var refused: UInt64
    /// Values in the store that were none of ours, or not to be believed.
    public var ignored: UInt64
    /// Open to a server.
    public var connections = 0
    /// Lost and found again so soon that nobody was told of the loss, nor is of the return.
    public var isReturnSilent = false

    public init(
        kind: String,
        isConnected: Bool,
        since: WallTime,
        revision: UInt64 = 0,
        pending: Int = 0,
        lastError: String? = nil,
        writeError: String? = nil,
        refused: UInt64 = 0,
        ignored: UInt64 = 0
    ) {
        self.kind = kind
        self.isConnected = isConnected
        self.since = since
        self.revision = revision
        self.pending = pending
        self.lastError = lastError
        self.writeError = writeError
        self.refused = refused
        self.ignored = ignored
    }
}

/// The store answered, and the answer was no.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}
