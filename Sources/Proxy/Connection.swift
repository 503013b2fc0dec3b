// What does a worker know of a connection? Plain structs in slabs, named by index.

import EventLoop
import HTTP1
import Vocabulary

/// What a client connection is about now.
enum ClientPhase: UInt8 {
    /// Between requests, or in the middle of a request head.
    case head
    /// A request is with a peer, or looking for one.
    case exchange
    /// Bytes go both ways unread: after an upgrade, or in TCP mode.
    case tunnel
    /// The last response is on its way out; then the connection ends.
    case flushing
    /// The response is out; what the client still sends is read and dropped, so that the kernel
    /// does not answer it with RST and take the response away again.
    case lingering
    /// The other side was cut off. What it had sent is on its way out; then this side is cut off too,
    /// with RST, so that nobody takes the part for the whole.
    case cutting
}

/// A connection from a client, with the exchange it is in.
struct ClientConnection {
    var handle = Handle.none
    var phase = ClientPhase.head
    /// Which listener it came through.
    var listener: Int32 = 0
    var isTCP = false
    /// Its listener is closed: the next answer is the last on this connection.
    var isLeaving = false

    // Edges that no call has used up yet.
    var canRead = false
    var canWrite = true
    var hasEnded = false
    /// It was reset from there. The error is told once only, so that it has to be remembered.
    var isReset = false

    var input = Buffer()
    var output = Buffer()
    var parser = HeadParser()
    /// Some bytes of a request head have come.
    var headBegun = false
    /// In the list of those that make room for a newcomer.
    var isResting = false
    var newer: Int32 = -1
    var older: Int32 = -1
    var lingerLeft: Int32 = 0
    /// While cutting: what the kernel still had to deliver when last looked at, and until when it may.
    var unsent: Int32 = 0
    var cutUntil = Instant(nanoseconds: 0)
    /// In a tunnel: no more will come from here, and the peer has been told.
    var isShut = false

    // The exchange.
    /// The request as it goes to a peer: rewritten head, then body. Kept until the response begins,
    /// as long as all of it is here, so that it can be sent again.
    var request = Buffer()
    /// How much of `request` has been sent on the present attempt.
    var requestSent: Int32 = 0
    var isReplayable = true
    var method = Method.other
    var minorVersion: UInt8 = 1
    var isPersistent = true
    var wantsUpgrade = false
    var bodyDone = true
    var bodyIsChunked = false
    var bodyLeft: UInt64 = 0
    var bodyDecoder = ChunkedDecoder(of: .request)
    var requestTrailersBegun = false
    var upstream: Int32 = -1
    /// Of the last attempt, as long as it is not known what becomes of the request.
    var note = FailureNote()
    /// Index into the worker's links, the connections to peers; -1 while there is none.
    var link: Int32 = -1
    var pick = Pick()
    var usedFreeRetry = false
    /// A final response head has been written to `output`.
    var responseStarted = false
    /// An interim response has been.
    var interimSent = false
    var closesAfterResponse = false

    /// The client's address as text, for X-Forwarded-For.
    var address = InlineArray<46, UInt8>(repeating: 0)
    var addressCount: UInt8 = 0
    var addressHash: UInt64 = 0

    @inline(__always)
    func routes(in worker: Worker) -> Unmanaged<RouteTable>? {
        let place = Int(listener)
        return place < worker.listeners.count ? worker.listeners[place].routes : nil
    }
}

enum PeerPhase: UInt8 { case connecting, busy, idle }

/// A connection to a peer.
struct PeerConnection {
    var handle = Handle.none
    var phase = PeerPhase.connecting
    /// Index into the worker's peers.
    var peer: Int32
    /// Which of the peer's addresses it goes to.
    var generation: UInt32
    /// The client connection it serves, or -1 while idle.
    var client: Int32
    var isReused = false
    var wroteBytes = false

    var canRead = false
    var canWrite = false
    var hasEnded = false
    /// It was reset from there. The error is told once only, so that it has to be remembered.
    var isReset = false

    var input = Buffer()
    var parser = HeadParser()

    // The response.
    var headDone = false
    var isPersistent = false
    var isTunnel = false
    var isShut = false
    var trailersBegun = false
    var framing = BodyFraming.none
    var bodyLeft: UInt64 = 0
    var decoder = ChunkedDecoder(of: .response)
    /// The body goes to the client in chunks, whatever framing it came in.
    var rechunks = false

    // The idle list of its peer: newest first.
    var newer: Int32 = -1
    var older: Int32 = -1
    var idleSince = Instant(nanoseconds: 0)
    /// When it was last taken from there.
    var takenAt = Instant(nanoseconds: 0)

    init(peer: Int32, generation: UInt32, client: Int32) {
        self.peer = peer
        self.generation = generation
        self.client = client
    }
}
