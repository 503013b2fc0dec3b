// Where do records live, beyond this process's memory? Behind this protocol: in a file
// beside the process (`EmbeddedStore`), or in a Redis that many agents share (`RedisStore`).
//
// A store is confined to its loop's thread. What it holds is the truth between agents; what a
// process reads while it works is the `Board`, which hears of every change through `StoreObserver`.

public import Health
public import Vocabulary

/// Keeps records of every sort, and tells of changes that others made.
public protocol Store: AnyObject {
    var status: StoreStatus { get }

    /// Begins. The observer hears first what the store holds, then of each change, for as long as
    /// the store runs. A store that cannot be reached yet goes on trying; this never waits for it.
    func start(_ observer: any StoreObserver)

    /// Takes a word of this process. Never blocks and never fails: a transition goes out at once, a
    /// renewal with the next batch, and of several for one key only the newest.
    func publish<R: FencedRecord>(_ record: R, isTransition: Bool)

    /// Forgets what is no longer defined.
    func forget<R: FencedRecord>(_ type: R.Type, _ key: R.Key)

    /// A pair is defined here from now on: the observer hears again what the store holds of it. What it heard
    /// of it before, it may have dropped with an earlier definition.
    func recall(_ key: VerdictKey)

    /// Changes what is asked for, and nothing that the change does not mention. The observer hears of it
    /// at once; this returns when it is acknowledged, and says what that is worth. Throws only when the
    /// store answered and refused, or where `expected` is given: then nothing is changed unless
    /// `stampSum` of the key's owner is that much, where the store keeps the truth, in the same step.
    func change<W: Wish>(
        _ wish: W.Type,
        _ change: W.Change,
        of key: W.Key,
        expecting expected: UInt64?
    ) async throws(StoreError) -> Acknowledgement

    /// Grows with each thing that is asked for of what `upstream` owns: the same for all who know of the
    /// same orders, over restarts too. As far as this process has heard.
    func stampSum(of upstream: String) -> UInt64

    /// Hears of everything that was asked for of `upstream` until now. Throws where that cannot be known.
    func refresh(_ upstream: String) async throws(StoreError)

    /// Who shares the probing through this store; nil where nobody does, or that cannot be known now.
    func agents() async -> [FleetReport]?

    /// Writes out what is still pending, as far as a short deadline allows, and ends.
    func stop() async
}

extension Store {
    public func recall(_ key: VerdictKey) {}
    public func agents() async -> [FleetReport]? { nil }

    /// Changes what the operator asks of a peer.
    @discardableResult
    public func change(
        _ change: IntentChange,
        of key: PeerKey
    ) async throws(StoreError) -> IntentReach {
        try await self.change(Intent.self, change, of: key, expecting: nil).reach
    }

    /// Forgets a verdict whose monitor or peer is no longer defined.
    public func forget(_ key: VerdictKey) { forget(Verdict.self, key) }
}

/// Hears what a store holds. Called on the loop's thread.
public protocol StoreObserver: AnyObject {
    /// A verdict (of which the observer may hold a newer one: it compares epoch and sequence), or
    /// `Asking` for something. Others are none of its business.
    func storeChanged(_ change: any StoreChange)
    /// Somebody still says the same, or nobody can be heard: this word, which was told before, holds for longer.
    func storeRenewed(_ verdict: Verdict, isSaidHere: Bool)
    /// Whether it is about something that is defined here. Of what is not, a store keeps only so much.
    func isDefined(_ key: any RecordKey) -> Bool
    /// Connected, disconnected, or of an error.
    func storeStatusChanged(_ status: StoreStatus)
}

extension StoreObserver {
    public func storeRenewed(_ verdict: Verdict, isSaidHere: Bool) {}
    public func isDefined(_ key: any RecordKey) -> Bool { true }
}

/// A write was taken in.
public struct Acknowledgement: Hashable, Sendable {
    public let reach: IntentReach
    /// `Store.stampSum` right after this write, and before any other.
    public let stampSum: UInt64

    public init(_ reach: IntentReach, stampSum: UInt64) {
        self.reach = reach
        self.stampSum = stampSum
    }
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
    /// Since when it is as it is: well, or taking no writes, or away.
    public var since: WallTime
    /// Of the last change seen; zero before the first.
    public var revision: UInt64
    /// Writes taken and not yet confirmed.
    public var pending: Int
    public var lastError: String?
    /// Which of the servers that are meant by its URL answers; nil while none does.
    public var server: String?
    /// Why the store takes no writes, where it can be read all the same, and what can be done about it, or where it is away
    /// about that.
    public var writeError: String?
    public var writeAdvice: String?
    /// Beats of others are read, though none of this agent's is written.
    public var hearsOthers = false
    /// When it last was neither away nor refusing writes; nil while it is neither.
    public var wellUntil: WallTime?
    /// Verdicts of ours that the store refused because it holds a newer one.
    public var refused: UInt64
    /// Values in the store that were none of ours, or not to be believed.
    public var ignored: UInt64
    /// Whether the state file can be written; nil where there is none.
    public var isFileWritable: Bool?
    /// That the state file cannot be written, and why, in the words of the log.
    public var fileError: String?
    /// That another process speaks under this agent's name, in words.
    public var twin: String?
    /// That this agent waits for a lease of its own id, which a former life of its own may have; in words.
    public var waits: String?
    /// Why this agent takes no part in the fleet though the store does what is asked, and what is to be done.
    public var fleetError: String?
    /// Open to a server.
    public var connections = 0
    /// Lost and found again so soon that nobody was told of the loss, nor is of the return.
    public var isReturnSilent = false

    public var isWritable: Bool { isConnected && writeError == nil }
    /// What others found, and who holds what, is known up to then and no further; nil while they are heard.
    public var asOf: WallTime? {
        (isWritable && fleetError == nil) || hearsOthers ? nil : wellUntil ?? since
    }

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

/// Nothing was changed, and why.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// The store answered, and the answer was no.
        case refused
        /// Somebody else's write came first.
        case outdated
        /// The store cannot be asked whether another came first.
        case unknown
    }

    public var kind: Kind
    public var description: String

    public init(_ description: String, _ kind: Kind = .refused) {
        self.kind = kind
        self.description = description
    }

    static let outdated = StoreError("another write came first", .outdated)
}
