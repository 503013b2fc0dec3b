// Who is at the door? A listening socket that hands out connections, and pauses when descriptors
// run out instead of spinning on an edge it cannot clear.

import Glibc
import Vocabulary

/// Accepts connections on one address, on its loop's thread.
public final class Acceptor: EventSink {
    private let loop: EventLoop
    private var handle = Handle.none
    private var retry = TimerID.none
    private let onAccept: (consuming Descriptor) -> Void
    private let onTrouble: (SystemError) -> Void

    /// Where it listens: with port 0 asked for, the port the kernel chose.
    public let address: SocketAddress

    /// Accepted in one go before other descriptors get their turn.
    public static let burstMax = 64
    private let burst: Int
    private static let pauseWithoutDescriptors = Nanoseconds.milliseconds(100)

    /// `onTrouble` hears each time a connection cannot be taken because something ran out.
    public init(
        on loop: EventLoop,
        at address: SocketAddress,
        sharesPort: Bool = false,
        access: SocketAccess = SocketAccess(),
        burst: Int = Acceptor.burstMax,
        onTrouble: @escaping (SystemError) -> Void = { _ in },
        onAccept: @escaping (consuming Descriptor) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.burst = burst
        self.onAccept = onAccept
        self.onTrouble = onTrouble
        let listener = try Socket.listen(address, sharesPort: sharesPort, access: access)
        self.address = Socket.localAddress(listener.raw) ?? address
        super.init()
        handle = try loop.register(listener, sink: self)
    }

    deinit { assert(handle.isNone, "an acceptor must be closed") }

    /// Stops listening. Connections that wait unaccepted are refused by the kernel.
    public func close() {
        guard !handle.isNone else { return }
        loop.cancel(retry)
        retry = .none
        loop.close(handle)
        handle = .none
        if address.isUnix { unlink(address.host) }
    }

    public override func ready(_ readiness: Readiness, tag: Int) { acceptBurst() }

    public override func due(tag: Int) {
        retry = .none
        acceptBurst()
    }

    private func acceptBurst() {
        for _ in 0..<burst {
            guard !handle.isNone else { return }
            do throws(SystemError) {
                guard let descriptor = try Socket.accept(handle.descriptor) else { return }
                onAccept(descriptor)
            } catch {
                // EMFILE, ENFILE, ENOBUFS, ENOMEM: the edge is used up, so come back by time.
                again(after: Self.pauseWithoutDescriptors)
                onTrouble(error)
                return
            }
        }
        again(after: .zero)
    }

    private func again(after pause: Nanoseconds) {
        guard retry.isNone else { return }
        retry = loop.schedule(at: loop.now + pause, sink: self)
    }
}
