// Which peer serves the next request? A balancer chooses among candidates that may be chosen; who
// may be is decided before (health, tiers) and vetoed after (peers already tried).

import EventLoop
import Vocabulary

/// One peer that may be chosen, as one worker sees it.
struct Candidate {
    /// Index into the worker's peers.
    var peer: Int32
    /// Hundredths of the weight unit; never zero.
    var weight: Int32
    /// Hash of the peer's id, the same on every worker and every machine.
    var identity: UInt64
    /// The balancer's own state for this peer. Kept when other peers come and go.
    var current: Int64 = 0
    /// Exchanges this worker has with it now.
    var inFlight: Int32 = 0
    /// Below zero where `slots` tells whether there is room: whoever has no limit is not asked further.
    var maxInFlight: Int32 = .max
    /// What all workers have with it; nil where nothing limits that.
    var slots: Unmanaged<PeerSlots>?
    /// Grows with every peer that is defined: those of a file come as the file lists them.
    var order: Int32 = 0
    /// In the zone of this process.
    var isNear = false

    /// All workers together leave some.
    @inline(never)
    fileprivate var hasSlot: Bool {
        guard let slots, maxInFlight < 0 else { return false }
        return slots._withUnsafeGuaranteedRef { !$0.isFull(-maxInFlight) }
    }
}

/// Peers that a request has been sent to already, at most `capacity`.
struct Tried {
    private var peers = InlineArray<8, Int32>(repeating: -1)
    private(set) var count = 0

    static let capacity = 8

    @inline(__always)
    func contains(_ peer: Int32) -> Bool {
        var index = 0
        while index < count {
            if peers[index] == peer { return true }
            index &+= 1
        }
        return false
    }

    var last: Int32? { count > 0 ? peers[count &- 1] : nil }

    mutating func insert(_ peer: Int32) {
        guard count < Self.capacity, !contains(peer) else { return }
        peers[count] = peer
        count &+= 1
    }
}

/// What a balancer may know of a request.
struct Pick {
    /// Hash of whatever the balancer's key names: an address, a header, a path.
    var key: UInt64 = 0
    var tried = Tried()
    /// The peer that the client's cookie names; -1 where it names none.
    var named: Int32 = -1
    /// Who would it be if everybody had room?
    var ignoresRoom = false

    @inline(__always)
    func accepts(_ candidate: Candidate) -> Bool {
        (candidate.inFlight < candidate.maxInFlight || candidate.hasSlot || ignoresRoom)
            && (tried.count == 0 || !tried.contains(candidate.peer))
    }
}

/// Chooses. One instance serves one tier of one upstream on one worker; it takes no lock and sees no
/// health.
///
/// A class and not a protocol: the call is one jump through a table, with nothing boxed.
class Balancer {
    typealias Candidates = UnsafeMutableBufferPointer<Candidate>

    /// The word in the configuration.
    class var name: String { preconditionFailure("a balancer has a name") }

    /// What `Pick.key` has to be the hash of; nil when the balancer does not look at it.
    var key: HashKey? { nil }

    #if DEBUG
        /// Candidates that it has looked at: what a choice costs is counted by tests, not timed.
        final var looks = 0
    #endif

    required init(_ options: inout Options) throws(SettingError) {}

    /// The place in `candidates` of a peer that `pick` accepts, or -1 when it accepts none.
    func choose(_ candidates: Candidates, for pick: borrowing Pick) -> Int {
        preconditionFailure("a balancer chooses")
    }

    @inline(__always)
    final func accepts(_ candidate: Candidate, _ pick: borrowing Pick) -> Bool {
        #if DEBUG
            looks &+= 1
        #endif
        return pick.accepts(candidate)
    }

    /// Where chance begins, for those that leave something to it.
    func seed(_ seed: UInt64) {}

    /// Wants to hear how long answers took.
    var observes: Bool { false }

    /// The answer of one began so long after it was chosen, or it was waited for in vain so long.
    func observe(
        _ candidates: Candidates,
        at place: Int,
        _ latency: Nanoseconds,
        now: Instant
    ) {}

    // MARK: Hearing of changes, for those that keep something beside the candidates

    /// One is new in the list. `candidates` are all that are listed, also those that only a panic would
    /// choose; what is chosen from is a part of them that begins where they do.
    func listed(_ candidates: Candidates, at place: Int) {}

    /// One stands at another place now.
    func moved(_ candidates: Candidates, to place: Int) {}

    /// One weighs something else now.
    func weighed(_ candidates: Candidates, at place: Int) {}

    /// One is listed no more.
    func unlisted(_ candidate: Candidate) {}
}
