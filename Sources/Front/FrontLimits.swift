// How much may a client of the admin endpoint ask for, and how long may it take? Every bound has its
// number here: what a person, a scraper or a load balancer needs is far below each of them.

public import Vocabulary

public struct FrontLimits: Hashable, Sendable {
    /// Open connections; a newcomer beyond it takes the place of the one that has done least.
    public var connections = 256
    /// What to do where they are too few.
    public var remedy = ""
    /// A request's head, with its line.
    public var headBytes = 16_384
    public var bodyBytes = 65_536
    /// From the first byte of a request, or from the connection, to the end of its head. A TLS
    /// handshake has the same time before that.
    public var head = Nanoseconds.seconds(5)
    /// From the first byte of a request to the last.
    public var request = Nanoseconds.seconds(30)
    /// A body of an announced length comes at this rate at least, after `head` for the beginning.
    public var bodyBytesPerSecond = 4_096
    /// Between two requests.
    public var idle = Nanoseconds.seconds(30)
    /// How long an answer may wait for its reader to take any of it.
    public var stall = Nanoseconds.seconds(10)
    /// How long a whole answer may take to be read. A stream of events has no end and only `stall`.
    public var answer = Nanoseconds.seconds(60)
    /// How long a client that was refused may go on sending before it is cut: an answer beside unread
    /// bytes would be lost with them.
    public var farewell = Nanoseconds.seconds(1)

    /// Behind one that comes from this machine, by loopback or a unix socket, may be a proxy with all its
    /// clients: it may have every connection.
    public var trustsNeighbours = false

    public init() {}

    /// Connections of one address, so that one client does not shut out all others.
    /// Where there are few, a page in a browser and a scraper beside it need some all the same.
    public var share: Int { max(connections / 4, min(connections / 2, 8), 1) }

    func share(ofNeighbour isNeighbour: Bool) -> Int {
        isNeighbour && trustsNeighbours ? connections : share
    }

    /// How long the rest of a body may take.
    func patience(forBody bytes: Int) -> Nanoseconds {
        head + .milliseconds(Int64(bytes) * 1_000 / Int64(max(bodyBytesPerSecond, 1)))
    }
}
