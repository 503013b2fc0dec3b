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
    private let sharesPort: Bool
    private let access: SocketAccess
    /// Of a unix socket.
    private var file: SocketFile?
    private var remaking = SocketFile.Remaking()

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
        self.sharesPort = sharesPort
        self.access = access
        self.onAccept = onAccept
        self.onTrouble = onTrouble
        let listener = try Socket.listen(address, sharesPort: sharesPort, access: access)
        self.address = Socket.localAddress(listener.raw) ?? address
        file = SocketFile(boundTo: self.address)
        super.init()
        handle = try loop.register(listener, sink: self)
    }

    /// Makes the file of a unix socket again if somebody took it away. Called now and then; what became of
    /// it is told to the journal for `owner`, once.
    public func keepFile(for owner: String, _ journal: Journal) {
        guard !handle.isNone, let file, !file.isThere else { return }
        do throws(SystemError) {
            let listener = try Socket.listen(address, sharesPort: sharesPort, access: access)
            self.file = SocketFile(boundTo: address)
            let handle = try loop.register(listener, sink: self)
            // Whoever came before it was taken away is let in first.
            acceptBurst()
            loop.close(self.handle)
            self.handle = handle
            tell(remaking.line(of: owner, at: file.path, nil), journal)
        } catch {
            tell(remaking.line(of: owner, at: file.path, error), journal)
        }
    }

    private func tell(_ line: Journal.Line?, _ journal: Journal) {
        if let line { journal.log(line) }
    }

    deinit { assert(handle.isNone, "an acceptor must be closed") }

    /// Stops listening. Connections that wait unaccepted are refused by the kernel.
    public func close() {
        guard !handle.isNone else { return }
        loop.cancel(retry)
        retry = .none
        loop.close(handle)
        handle = .none
        file?.remove()
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
