// What is there to know of one request and its answer? Whose it is, who is asked, how far the bytes of
// either have come. What becomes of it is decided by its `Course`; bytes are moved by the worker.

import HTTP1
import Vocabulary

/// How far a body has come.
struct BodyProgress {
    var framing = BodyFraming.none
    /// Of a body of known length.
    var left: UInt64 = 0
    var decoder: ChunkedDecoder
    var trailersBegun = false

    private let side: HTTPError.Side

    init(of side: HTTPError.Side) {
        self.side = side
        decoder = ChunkedDecoder(of: side)
    }

    @inline(__always)
    mutating func begin(_ framing: BodyFraming, isLenient: Bool = false) {
        self.framing = framing
        switch framing {
        case .none, .untilClose: left = 0
        case .length(let count): left = count
        case .chunked:
            decoder = ChunkedDecoder(of: side, isLenient: isLenient)
            trailersBegun = false
        }
    }
}

/// One request and its answer, or one tunnel.
struct Exchange {
    /// The client connection that it came on; -1 where nothing is under way.
    var client: Int32 = -1
    /// Index into the worker's links, the connections to peers; -1 while there is none.
    var link: Int32 = -1
    /// A connection to a second peer that was asked too; -1 while there is none. Since when.
    var second: Int32 = -1
    var secondAt: Int64 = 0
    var upstream: Int32 = -1
    /// What it is counted under; -1 where no route of a number led it.
    var route: Int32 = -1
    var course = Course()
    var pick = Pick()
    /// Of the last attempt, as long as it is not known what becomes of the request.
    var note = FailureNote()

    // The request.
    var method = Method.other
    var minorVersion: UInt8 = 1
    var isPersistent = true
    var wantsUpgrade = false
    /// It is to be told who answered.
    var wantsDebug = false
    /// The request as it goes to a peer: rewritten head, then body. Kept until the answer has ended,
    /// as long as all of it is here, so that it can be sent again.
    var request = Buffer()
    /// How much of `request` has been sent on the present attempt.
    var requestSent: Int32 = 0
    /// What of it differs from peer to peer.
    var tail = HostTail()
    var upload = BodyProgress(of: .request)

    // The answer.
    var isLenient = false
    var download = BodyProgress(of: .response)
    /// The body goes to the client in chunks, whatever framing it came in.
    var rechunks = false
    var isUpgrade = false
    /// Where in the client's output the answer begins, if nothing waited there before it; else -1.
    var answerStart: Int32 = -1
    var closesClient = false
    /// All of the answer went out at once, and fits the first packets of a connection.
    var isBrief = false
    /// The connection to the peer may serve another exchange after this one.
    var keepsLink = false

    /// The peer ended its answer early, and the client can see that an end comes early: the length was
    /// told, or the last chunk is missing. A reset stays a reset.
    var showsCut: Bool {
        guard note.cause == .bodyCut || note.cause == .badBody else { return false }
        if case .length = download.framing { return true }
        return rechunks
    }

    @inline(__always)
    var isUnderWay: Bool { client >= 0 }

    /// When its head was there.
    var begunAt: Int64 = 0
    /// When the peer was chosen.
    var chosenAt: Int64 = 0

    /// Nil for nearly all: nobody records this one.
    var trace: UnsafeMutablePointer<ExchangeTrace>?

    // In line for a peer.
    var isWaiting = false
    /// It has a slot of a peer that its connection has not taken over yet.
    var holdsSlot = false
    var before: Int32 = -1
    var after: Int32 = -1
    var linedUpAt: Int64 = 0
    /// Until when it may; zero while it never has.
    var waitsUntil: Int64 = 0

    /// Nothing of the request is left to be sent.
    @inline(__always)
    var isSent: Bool { course.isWhole && Int(requestSent) == request.count }
}
