// What does a worker know of a connection? Plain structs in slabs, named by index. What is asked and
// answered on it is its exchange's.

import EventLoop
import HTTP1
import Health
import Vocabulary

/// What a client connection is about now.
enum ClientPhase: UInt8 {
    /// Between requests, or in the middle of a request head.
    case head
    /// A request is there, unread, and a source of routes is being asked where it goes.
    case routing
    /// A request is with a peer, or looking for one.
    case exchange
    /// Bytes go both ways unread: after an upgrade, or in TCP mode.
    case tunnel
    /// The last response is on its way out; then the connection ends.
    case flushing
    /// What came of an answer that broke off is out, and its client is left to wait for the rest for a while.
    case holding
    /// The response is out; what the client still sends is read and dropped, so that the kernel
    /// does not answer it with RST and take the response away again.
    case lingering
    /// All is said, and the client had ended its side before it heard it: the kernel knows once that has
    /// been taken, or refused.
    case parting
    /// The other side was cut off. What it had sent is on its way out; then this side is cut off too,
    /// with RST, so that nobody takes the part for the whole.
    case cutting
}

/// A connection from a client.
struct ClientConnection {
    var wire = Wire()
    var output = Buffer()
    var phase = ClientPhase.head
    /// Which listener it came through.
    var listener: Int32 = 0
    var isTCP = false
    /// A proxy that may say where its requests came from.
    var isTrusted = false
    /// Its listener is closed: the next answer is the last on this connection.
    var isLeaving = false
    /// The exchange under way on it; -1 while there is none.
    var exchange: Int32 = -1

    var parser = HeadParser()
    /// Some bytes of a request head have come.
    var headBegun = false
    /// In the list of those that make room for a newcomer. While routing, the same places are those of the
    /// list of clients that wait for one host, and in the middle of a head those of `isBeginning`.
    var isResting = false
    /// In the list of those whose head did not come at once.
    var isBeginning = false
    var newer: Int32 = -1
    var older: Int32 = -1
    /// Which host's route it waits for.
    var routeKey: UInt64 = 0
    /// In the list of those that have more to move.
    var isUnfinished = false
    /// Its answer broke off, and it is not to hear of that at once.
    var isHeld = false
    /// It has said that it sends no more, and all that it has sent has been answered.
    var isDone = false
    /// It ended its side before its answer was whole: it may not be there any more.
    var hasLeft = false
    /// While cutting: what the kernel still had to deliver when last looked at. Until when it may, also
    /// while parting and lingering.
    var unsent: Int32 = 0
    var cutUntil = Instant(nanoseconds: 0)

    /// The client's address as text, for X-Forwarded-For.
    var address = InlineArray<46, UInt8>(repeating: 0)
    var addressCount: UInt8 = 0
    /// Whoever comes by a unix socket has none, and adds nothing to what is told of where a request came from.
    var hasAddress: Bool { addressCount > 0 }
    var addressHash: UInt64 = 0

    mutating func note(address text: String) {
        addressHash = StableHash.seed
        for byte in text.utf8.prefix(address.count) { note(byte) }
    }

    /// An IPv4 address, as such are written.
    mutating func note(address number: UInt32) {
        addressHash = StableHash.seed
        for place in 0..<4 {
            let byte = UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * place))
            if place > 0 { note(UInt8(ascii: ".")) }
            if byte >= 100 { note(48 + byte / 100) }
            if byte >= 10 { note(48 + byte / 10 % 10) }
            note(48 + byte % 10)
        }
    }

    private mutating func note(_ byte: UInt8) {
        address[Int(addressCount)] = byte
        addressCount += 1
        addressHash = StableHash.step(addressHash, byte)
    }

    @inline(__always)
    func routes(in worker: Worker) -> Unmanaged<RouteTable>? {
        let place = Int(listener)
        return place < worker.listeners.count ? worker.listeners[place].routes : nil
    }
}

enum PeerPhase: UInt8 { case connecting, busy, idle }

/// A connection to a peer.
struct PeerConnection {
    var wire = Wire()
    var phase = PeerPhase.connecting
    /// Index into the worker's peers.
    var peer: Int32
    /// Which of the peer's addresses it goes to.
    var generation: UInt32
    /// The exchange that it serves, or -1 while idle.
    var exchange: Int32
    var parser = HeadParser()

    /// Of those that the peer's `max-connections` leaves.
    var holdsSlot = false

    // The idle list of its peer: newest first.
    var newer: Int32 = -1
    var older: Int32 = -1
    var idleSince = Instant(nanoseconds: 0)
    /// How often the kernel had been asked what happened when it became idle, and when it was last taken
    /// from there.
    var idleAsk: UInt64 = 0
    var takenAsk: UInt64 = 0

    /// It served others before.
    var isReused: Bool { takenAsk != 0 }

    init(peer: Int32, generation: UInt32, exchange: Int32) {
        self.peer = peer
        self.generation = generation
        self.exchange = exchange
    }
}
