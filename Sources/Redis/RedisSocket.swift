// How do bytes get to Redis and back? One socket on the loop, in the clear or over TLS, which goes on where the
// kernel lets it, and says what came.

import EventLoop
import Glibc
import TLS
import Vocabulary

/// Confined to its loop's thread. Says once how it ended, unless it was closed.
final class RedisSocket: EventSink {
    private let loop: EventLoop
    private let owner: any RedisSocketOwner
    private let engine: TLSEngine?
    private var handle = Handle.none
    /// Somebody took the connection.
    private(set) var isReached = false
    /// The other side takes no more: what it said before may still be there to read.
    private var broken: SystemError?
    private var canWrite = false
    private(set) var isOpen = false
    /// To the kernel, and how much of it has gone.
    private var queue: [UInt8] = []
    private var gone = 0
    /// To OpenSSL, which may want to read first.
    private var clear: [UInt8] = []
    /// Set while there is more to read than one turn of the loop is given.
    private var rest = TimerID.none

    private static let readBytes = 65_536
    /// A megabyte: whoever sends faster than it is read must not hold the loop.
    private static let readsInARowMax = 16

    /// `owner` is held until the end. With an `engine` it speaks TLS.
    static func connect(
        to address: Address,
        engine: TLSEngine?,
        on loop: EventLoop,
        for owner: any RedisSocketOwner
    ) throws(RedisError) -> RedisSocket {
        guard let place = SocketAddress(address) else {
            throw .disconnected("expected an IP address or a unix socket, saw \(address)")
        }
        let socket = RedisSocket(on: loop, for: owner, engine: engine)
        do throws(SystemError) {
            let attempt = try Socket.connect(to: place)
            socket.handle = try loop.register(attempt.take(), sink: socket)
        } catch {
            throw .disconnected(error.reason)
        }
        return socket
    }

    private init(on loop: EventLoop, for owner: any RedisSocketOwner, engine: TLSEngine?) {
        self.loop = loop
        self.owner = owner
        self.engine = engine
    }

    func close() {
        guard !handle.isNone else { return }
        if isOpen, let engine, broken == nil {
            engine.sayGoodbye()
            flush()
        }
        isOpen = false
        loop.cancel(rest)
        loop.close(handle)
        handle = .none
        // Let go of only when the event that led here has been dealt with: the loop holds no sink.
        let keep = LoopBound(self, on: loop)
        loop.execute { _ = keep }
    }

    private func end(_ error: RedisError) {
        guard !handle.isNone else { return }
        close()
        owner.ended(error)
    }

    // MARK: Out

    func send(_ bytes: [UInt8]) {
        guard !handle.isNone, !bytes.isEmpty else { return }
        if engine == nil { queue += bytes } else { clear += bytes }
        pump()
    }

    private func pump() {
        if let engine, !clear.isEmpty {
            do throws(TLSError) {
                if case .done = try engine.write(clear) { clear = [] }
            } catch {
                flush()
                return end(.tls("\(error)"))
            }
        }
        flush()
    }

    /// Moves what OpenSSL has ready into the queue, and the queue into the kernel.
    private func flush() {
        if let engine {
            withUnsafeTemporaryAllocation(byteCount: TLSEngine.recordBytes, alignment: 16) { room in
                while true {
                    let count = engine.give(into: room)
                    if count == 0 { break }
                    queue += room.prefix(count)
                }
            }
        }
        while canWrite, gone < queue.count, broken == nil {
            let count = queue.withUnsafeBytes {
                // MSG_NOSIGNAL: a server that hung up is an error here, not the end of the process.
                Glibc.send(
                    handle.descriptor,
                    $0.baseAddress.map { $0 + gone },
                    queue.count - gone,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count >= 0 {
                gone += count
            } else if errno == EAGAIN {
                canWrite = false
            } else if errno != EINTR {
                // Read first: it may have said why.
                broken = SystemError("send")
            }
        }
        if gone == queue.count {
            queue.removeAll(keepingCapacity: queue.capacity <= Self.readBytes)
            gone = 0
        }
    }

    // MARK: In

    override func ready(_ readiness: Readiness, tag: Int) {
        let hasTrouble = !readiness.isDisjoint(with: [.failed, .hungUp])
        if hasTrouble || readiness.contains(.writable) { canWrite = true }
        if !isReached {
            guard canWrite else { return }
            let code = Socket.pendingError(handle.descriptor)
            if code != 0 { return end(.disconnected(SystemError("connect", code: code).reason)) }
            isReached = true
            if engine == nil { isOpened() } else { shakeHands() }
        }
        if !handle.isNone { pump() }
        let mayRead: Readiness = [.readable, .readEnded, .failed, .hungUp]
        if !readiness.isDisjoint(with: mayRead) { read() }
        endIfBroken()
    }

    /// The rest of what one turn of the loop was too short for.
    override func due(tag: Int) {
        read()
        endIfBroken()
    }

    private func endIfBroken() {
        if let broken, rest.isNone { end(.disconnected(broken.reason)) }
    }

    private func isOpened() {
        isOpen = true
        owner.opened()
    }

    private func shakeHands() {
        guard let engine else { return }
        do throws(TLSError) {
            switch try engine.shakeHands() {
            case .done:
                flush()
                isOpened()
            case .ended: hearEnd()
            case .wantsMore: flush()
            }
        } catch {
            flush()
            end(self.error(error))
        }
    }

    /// Of a certificate the settings decide; whoever speaks something else is somebody else.
    private func error(_ error: TLSError) -> RedisError {
        if case .certificate = error {
            return .tls("expected a certificate for \(engine?.serverName ?? ""), saw: \(error)")
        }
        guard case .notTLS(let bytes) = error else { return .tls("\(error)") }
        let line = bytes.split(separator: 13).first.map {
            "'\(String(decoding: $0, as: UTF8.self).printable)'"
        }
        return .disconnected("expected a TLS handshake, saw \(line ?? "\(error)")\(Self.noTLS)")
    }

    static let noTLS = "; is that the port for TLS (tls-port)?"

    private func read() {
        loop.cancel(rest)
        rest = .none
        withUnsafeTemporaryAllocation(byteCount: Self.readBytes, alignment: 16) { room in
            for _ in 0..<Self.readsInARowMax {
                if handle.isNone { return }
                let count = recv(handle.descriptor, room.baseAddress, room.count, 0)
                if count > 0 {
                    take(UnsafeRawBufferPointer(rebasing: room.prefix(count)))
                } else if count == 0 {
                    return hearEnd()
                } else if errno == EAGAIN {
                    return
                } else if errno != EINTR {
                    return end(.disconnected(SystemError("read").reason))
                }
            }
            if !handle.isNone { rest = loop.schedule(at: loop.now, sink: self) }
        }
    }

    private func hearEnd() {
        if engine != nil, !isOpen {
            return end(.disconnected("expected a TLS handshake, saw the end\(Self.noTLS)"))
        }
        end(Self.closed)
    }

    private static let closed = RedisError.disconnected("Server closed the connection")

    private func take(_ bytes: UnsafeRawBufferPointer) {
        guard let engine else { return owner.received(bytes) }
        engine.take(bytes)
        if !isOpen { shakeHands() }
        withUnsafeTemporaryAllocation(byteCount: TLSEngine.recordBytes, alignment: 16) { room in
            while isOpen {
                do throws(TLSError) {
                    switch try engine.read(into: room) {
                    case .done(let count):
                        owner.received(UnsafeRawBufferPointer(rebasing: room.prefix(count)))
                    case .ended: return end(Self.closed)
                    case .wantsMore: return
                    }
                } catch {
                    flush()
                    return end(.tls("\(error)"))
                }
            }
        }
        if !handle.isNone { pump() }
    }
}

/// Who has a socket, and hears of it.
protocol RedisSocketOwner: AnyObject {
    func opened()
    /// Good only during the call.
    func received(_ bytes: UnsafeRawBufferPointer)
    func ended(_ error: RedisError)
}
