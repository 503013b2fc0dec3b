// How does a test get an address where nothing ever answers? On this machine: what becomes of a packet
// to a network for examples is up to whoever runs the network.

import EventLoop
import Glibc
import Vocabulary

/// An address where connections neither succeed nor fail: a listener whose queue is full.
public final class HangingListener: Sendable {
    public let address: Address
    private let descriptors: [Int32]

    public init(ip: String, port: UInt16) throws {
        guard let place = SocketAddress(ip: ip, port: port) else {
            throw SystemError("bind \(ip)", code: EINVAL)
        }
        address = .host(ip, port: port)
        let listener = try Socket.listen(place)
        // Called again, listen only changes the length of the queue. One more than that gets in.
        Glibc.listen(listener.raw, 1)
        descriptors = try Self.fill(place) + [listener.take()]
    }

    /// Connections that nobody accepts, the last of which finds no room.
    private static func fill(_ place: SocketAddress) throws -> [Int32] {
        var fillers: [Int32] = []
        while fillers.count < fillersMax {
            let filler = try Socket.connect(to: place).take().take()
            fillers.append(filler)
            var polled = pollfd(fd: filler, events: Int16(POLLOUT), revents: 0)
            // Over the loopback a connection succeeds at once or not at all.
            if poll(&polled, 1, 100) == 0 { return fillers }
        }
        for raw in fillers { close(raw) }
        throw SystemError("fill the queue of \(place)", code: ENOTSUP)
    }

    private static let fillersMax = 10

    deinit { for raw in descriptors { close(raw) } }
}

/// A UDP port where questions arrive and nobody reads them.
public final class UnreadSocket: Sendable {
    private let descriptor: Int32

    public init(ip: String, port: UInt16) throws {
        guard let place = SocketAddress(ip: ip, port: port) else {
            throw SystemError("bind \(ip)", code: EINVAL)
        }
        let raw = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        descriptor = raw
        if place.withSockaddr({ bind(raw, $0, $1) }) < 0 { throw SystemError("bind \(place)") }
    }

    deinit { close(descriptor) }
}
