// How does linear code talk to a peer? One connection, one deadline for its whole life, and `await`
// where the kernel would block. For the control plane; the data plane uses sinks.

import Glibc
public import Vocabulary

/// Why a stream could not go on.
public enum StreamError: Error, Hashable, Sendable {
    /// The deadline came first.
    case timedOut
    /// The other side closed where more was expected.
    case ended
    /// The kernel said no.
    case failed(SystemError)
}

/// A connected socket, confined to its loop.
public final class ByteStream: EventSink {
    private let loop: EventLoop
    private var handle = Handle.none
    private var timer = TimerID.none
    /// Set while the stream lets others have their turn.
    private var rest = TimerID.none
    private var callsInARow = 0
    private var waiter: UnsafeContinuation<Void, Never>?
    private var hasTimedOut = false
    // Edge-triggered: an edge is remembered until a call says EAGAIN.
    private var canRead = false
    private var canWrite = false
    /// An error or the end was among the edges: there is something to ask the kernel for.
    private var hasTrouble = false
    /// The other side takes no more, though what it said before may still be there to read. Whoever
    /// does not read on has to look here.
    public private(set) var broken: SystemError?

    /// Reads or writes that succeed in a row before the rest of the loop gets its turn. Without it
    /// a peer that sends faster than it is read holds the thread, and no deadline ever comes.
    private static let callsInARowMax = 64
    private static let deadlineTag = 0
    private static let restTag = 1

    private init(loop: EventLoop) {
        self.loop = loop
        super.init()
    }

    deinit { assert(handle.isNone, "a stream must be closed or reset") }

    /// The raw number, for a library that does its own reads between waits.
    public var descriptor: Int32 { handle.descriptor }

    // MARK: Life

    /// Connects by `deadline`, which then holds for everything else on this stream.
    public static func connect(
        to address: SocketAddress,
        on loop: EventLoop,
        deadline: Instant
    ) async throws(StreamError) -> ByteStream {
        let stream = ByteStream(loop: loop)
        do throws(SystemError) {
            let attempt = try Socket.connect(to: address)
            stream.canWrite = attempt.isConnected
            stream.handle = try loop.register(attempt.take(), sink: stream)
        } catch {
            throw .failed(error)
        }
        stream.timer = loop.schedule(at: deadline, sink: stream, tag: deadlineTag)
        do throws(StreamError) {
            try await stream.waitWritable()
            if stream.hasTrouble {
                let code = Socket.pendingError(stream.handle.descriptor)
                // A reset comes after the connection: an attempt is refused.
                if Self.isReset(code) {
                    stream.broken = resetByPeer
                } else if code != 0 {
                    throw .failed(SystemError("connect", code: code))
                }
            }
        } catch {
            stream.close()
            throw error
        }
        return stream
    }

    /// Takes over a socket that was accepted.
    public static func adopt(
        _ descriptor: consuming Descriptor,
        on loop: EventLoop,
        deadline: Instant
    ) throws(SystemError) -> ByteStream {
        let stream = ByteStream(loop: loop)
        stream.handle = try loop.register(descriptor, sink: stream)
        stream.timer = loop.schedule(at: deadline, sink: stream, tag: deadlineTag)
        return stream
    }

    /// Replaces the deadline, for streams that serve more than one question. A closed stream has
    /// none.
    public func extend(to deadline: Instant) {
        guard !handle.isNone else { return }
        if !loop.move(timer, to: deadline) {
            timer = loop.schedule(at: deadline, sink: self, tag: Self.deadlineTag)
        }
        hasTimedOut = false
    }

    public func close() {
        loop.cancel(timer)
        loop.cancel(rest)
        loop.close(handle)
        handle = .none
        resume()
    }

    /// Closes with RST instead of FIN: a thousand probes a second must not leave TIME_WAIT behind.
    public func reset() {
        if !handle.isNone { Socket.resetOnClose(handle.descriptor) }
        close()
    }

    /// Gives the connection to somebody else, such as a C library. Nil when it is closed already.
    public func release() -> Descriptor? {
        let descriptor = loop.release(handle)
        handle = .none
        close()
        return descriptor
    }

    // MARK: Bytes

    /// Reads what is there, at least one byte. Zero means the other side has ended.
    public func read(into buffer: UnsafeMutableRawBufferPointer) async throws(StreamError) -> Int {
        try await takeTurns()
        while true {
            let count = Glibc.recv(handle.descriptor, buffer.baseAddress, buffer.count, 0)
            if count == 0, let broken { throw .failed(broken) }
            if count >= 0 { return count }
            try await pause(isRead: true, call: "read")
        }
    }

    /// Writes everything. Where the other side takes no more but has said something, this returns
    /// all the same: an early refusal or an alert says more than the reset after it, which comes
    /// when all has been read.
    public func write(_ bytes: [UInt8]) async throws(StreamError) {
        var written = 0
        while written < bytes.count {
            if let broken {
                if hasUnread { return }
                throw .failed(broken)
            }
            try await takeTurns()
            let count = bytes.withUnsafeBytes {
                // MSG_NOSIGNAL: a peer that hung up is an error here, not the end of the process.
                Glibc.send(
                    handle.descriptor,
                    $0.baseAddress.map { $0 + written },
                    bytes.count - written,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count >= 0 {
                written += count
            } else if !handle.isNone, Self.isReset(errno) {
                broken = Self.resetByPeer
            } else {
                try await pause(isRead: false, call: "write")
            }
        }
    }

    /// Whether something waits to be read, asked of the kernel.
    public var hasUnread: Bool {
        var byte: UInt8 = 0
        return Glibc.recv(handle.descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 1
    }

    private static let resetByPeer = SystemError("read", code: ECONNRESET)

    private static func isReset(_ code: Int32) -> Bool { code == ECONNRESET || code == EPIPE }

    /// After a call failed: waits when it would have blocked, throws for any other reason.
    private func pause(isRead: Bool, call: String) async throws(StreamError) {
        let code = handle.isNone ? EBADF : errno
        switch code {
        case EINTR: return
        case EAGAIN:
            if isRead { try await waitReadable() } else { try await waitWritable() }
        default: throw .failed(SystemError(call, code: code))
        }
    }

    /// Waits for a readable edge that no earlier wait has used up.
    public func waitReadable() async throws(StreamError) {
        while !canRead { try await suspend(for: Int16(POLLIN)) }
        canRead = false
    }

    /// Waits for a writable edge that no earlier wait has used up.
    public func waitWritable() async throws(StreamError) {
        while !canWrite { try await suspend(for: Int16(POLLOUT)) }
        canWrite = false
    }

    /// Before each call: nothing more once the deadline has passed, and a pause now and then.
    private func takeTurns() async throws(StreamError) {
        if hasTimedOut { throw .timedOut }
        callsInARow += 1
        guard callsInARow > Self.callsInARowMax, !handle.isNone else { return }
        rest = loop.schedule(at: loop.now, sink: self, tag: Self.restTag)
        defer {
            loop.cancel(rest)
            rest = .none
        }
        while !rest.isNone { try await suspend(for: 0) }
    }

    /// Waits for whatever comes next. Where that is the deadline, what came before it counts still:
    /// a loop that was busy meanwhile hears of both at once, and must not blame the other side.
    private func suspend(for wanted: Int16) async throws(StreamError) {
        callsInARow = 0
        if hasTimedOut { throw .timedOut }
        if handle.isNone { throw .ended }
        assert(waiter == nil, "one task at a time")
        await withUnsafeContinuation { waiter = $0 }
        if hasTimedOut, !isReady(for: wanted) { throw .timedOut }
        if handle.isNone { throw .ended }
    }

    /// Asks the kernel now instead of waiting for an edge. Nothing is ready where nothing is wanted.
    private func isReady(for wanted: Int16) -> Bool {
        if handle.isNone || wanted == 0 { return false }
        var polled = pollfd(fd: handle.descriptor, events: wanted, revents: 0)
        guard poll(&polled, 1, 0) > 0 else { return false }
        if polled.revents & Int16(POLLERR | POLLHUP) != 0 { hasTrouble = true }
        if wanted == Int16(POLLIN) { canRead = true } else { canWrite = true }
        return true
    }

    private func resume() {
        waiter.take()?.resume()
    }

    // MARK: Events

    public override func ready(_ readiness: Readiness, tag: Int) {
        if !readiness.isDisjoint(with: [.readable, .readEnded, .failed, .hungUp]) {
            canRead = true
        }
        if !readiness.isDisjoint(with: [.writable, .failed, .hungUp]) { canWrite = true }
        if !readiness.isDisjoint(with: [.failed, .hungUp]) { hasTrouble = true }
        resume()
    }

    public override func due(tag: Int) {
        if tag == Self.restTag { rest = .none } else { hasTimedOut = true }
        resume()
    }
}
