// What went wrong with requests, with whom, and how did the client hear of it? Counted by a worker in a
// table of plain numbers; the control plane empties it, gives the numbers their names and tells people.

import Glibc
import HTTP1
import Spans

/// Why an attempt failed, or why a request had none. The word is the label in `/metrics`.
enum FailureCause: UInt8, CaseIterable, Sendable {
    case none

    // Of a peer, before it had a byte of the request.
    case refused, unreachable, connectTimeout, unresolved, noDescriptor, noRoom
    // Before the head of its answer was whole.
    case closed, reset, timeout, malformed, headTooLarge, headCut, strayUpgrade, wentDown, status
    // In the middle of the body.
    case badBody, bodyCut, bodyReset, stalled
    /// Lost to silence or to the network while it had the request: down or ejected.
    case lost
    /// Of what failed another try was wanted, and `retry-budget` had none.
    case overBudget

    // Of an upstream: nobody was asked. `full`: no place in line either, if there is one; `waited`: one
    // in line, for all the time that it may.
    case noPeer, full, waited, noUpstream

    // Of a client.
    case badRequest, slowHead, slowBody, slowReader, noRoute, connectMethod, tooManyConnections
    case loop, routeUnknown
    case acceptPaused

    /// No peer and no upstream is concerned.
    var isOfClient: Bool { rawValue >= FailureCause.badRequest.rawValue }

    // Of nobody: room was made for a newcomer.
    case displaced, displacedForDescriptor, spareClosed

    /// Nothing came of the peer, or nobody was there: what it has will not be answered either.
    var isLoss: Bool {
        switch self {
        case .refused, .unreachable, .connectTimeout, .closed, .reset, .timeout: true
        default: false
        }
    }

    /// The peer failed the request: it could not be reached, or broke off, or kept nobody waiting for
    /// an answer that came. What muster itself lacks, and what the operator asked for, is not its fault.
    var isOfPeer: Bool {
        switch self {
        case .refused, .unreachable, .connectTimeout, .closed, .reset, .timeout, .malformed,
            .headTooLarge, .headCut, .strayUpgrade, .badBody, .bodyCut, .bodyReset, .stalled:
            true
        default: false
        }
    }

    var word: String {
        switch self {
        case .none: "none"
        case .refused: "refused"
        case .unreachable: "unreachable"
        case .connectTimeout: "connect-timeout"
        case .unresolved: "unresolved"
        case .noDescriptor: "no-descriptor"
        case .noRoom: "no-room"
        case .closed: "closed"
        case .reset: "reset"
        case .timeout: "timeout"
        case .malformed: "malformed"
        case .headTooLarge: "head-too-large"
        case .headCut: "head-cut"
        case .strayUpgrade: "stray-upgrade"
        case .wentDown: "went-down"
        case .lost: "lost"
        case .overBudget: "retry-budget"
        case .status: "status"
        case .badBody: "malformed-body"
        case .bodyCut: "body-cut"
        case .bodyReset: "body-reset"
        case .stalled: "stalled"
        case .noPeer: "no-peer"
        case .full: "full"
        case .waited: "queue-timeout"
        case .noUpstream: "no-upstream"
        case .badRequest: "bad-request"
        case .slowHead: "slow-head"
        case .slowBody: "slow-body"
        case .slowReader: "slow-reader"
        case .noRoute: "no-route"
        case .loop: "loop"
        case .routeUnknown: "route-unknown"
        case .connectMethod: "connect-method"
        case .tooManyConnections: "too-many-connections"
        case .acceptPaused: "accept-paused"
        case .displaced: "displaced"
        case .displacedForDescriptor: "displaced-for-descriptor"
        case .spareClosed: "spare-closed"
        }
    }
}

/// How the client heard of a failure.
enum FailureAnswer: Hashable, Sendable {
    /// It did not: another try followed.
    case retried
    /// The connection was cut.
    case cut
    case status(UInt16)

    var word: String {
        switch self {
        case .retried: "retried"
        case .cut: "cut"
        case .status(let status): "\(status)"
        }
    }
}

/// What an attempt failed of, kept until it is known what became of the request.
struct FailureNote {
    var cause = FailureCause.none
    /// With `overBudget` what failed.
    var first = FailureCause.none
    var peer: Int32 = -1
    /// Of the system call that failed, or zero. With `tooManyConnections` and `displaced` how many may
    /// be, with `full` and `waited` how many may wait in line.
    var code: Int32 = 0
    /// What was malformed, and where.
    var error: HTTPError?
}

/// One sort of failure, and how often it was.
struct FailureCount: Sendable {
    var cause: FailureCause
    var answer: FailureAnswer
    /// -1 where no upstream, or no peer of it, is concerned.
    var upstream: Int32
    var peer: Int32
    /// Of the first.
    var code: Int32
    var first: FailureCause
    var error: HTTPError?
    /// Of the first of them that was traced.
    var trace: TraceID?
    var count: UInt64 = 0
}

/// Counts sorts of failures. Of a fixed size: a failure allocates nothing.
struct FailureTable {
    private let entries: UnsafeMutablePointer<FailureCount>
    private var used = 0
    /// Failures of sorts that found no place.
    private var unlisted: UInt64 = 0

    static let capacity = 512

    init() { entries = .allocate(capacity: Self.capacity) }

    func destroy() { entries.deallocate() }

    var isEmpty: Bool { used == 0 }

    /// Returns whether it is the first since the table was emptied.
    mutating func count(
        _ note: FailureNote,
        of upstream: Int32,
        _ answer: FailureAnswer,
        trace: TraceID? = nil
    ) -> Bool {
        // The sorts seen last are the likeliest; there are few, or a place for none.
        var index = used
        while index > 0 {
            index -= 1
            let entry = entries + index
            if entry.pointee.peer == note.peer, entry.pointee.upstream == upstream,
                entry.pointee.cause == note.cause, entry.pointee.answer == answer
            {
                entry.pointee.count &+= 1
                if entry.pointee.trace == nil { entry.pointee.trace = trace }
                return false
            }
        }
        guard used < Self.capacity else {
            unlisted &+= 1
            return false
        }
        (entries + used).initialize(
            to: FailureCount(
                cause: note.cause,
                answer: answer,
                upstream: upstream,
                peer: note.peer,
                code: note.code,
                first: note.first,
                error: note.error,
                trace: trace,
                count: 1
            )
        )
        used += 1
        return used == 1
    }

    /// Everything counted since the last time.
    mutating func take() -> (counts: [FailureCount], unlisted: UInt64) {
        defer {
            used = 0
            unlisted = 0
        }
        return (Array(UnsafeBufferPointer(start: entries, count: used)), unlisted)
    }
}
