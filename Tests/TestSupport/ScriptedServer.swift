// How does a test get a server that misbehaves in a chosen way? It writes a script: what to wait
// for, what to say, and when to fall silent or hang up.

import CLinux
import EventLoop
import Foundation
import Glibc
import Vocabulary

/// Holds scripts back until the test opens it, once and for all.
public final class Gate: Sendable {
    fileprivate let descriptor = eventfd(0, Int32(EFD_CLOEXEC))

    public init() {}

    deinit { close(descriptor) }

    public func open() {
        var one: UInt64 = 1
        write(descriptor, &one, 8)
    }
}

/// A TCP or unix server that plays a script with every connection, on threads of its own.
public final class ScriptedServer: @unchecked Sendable {
    public enum Step: Sendable {
        /// Reads until these bytes have come (since the last `expect`).
        case expect(String)
        case expectBytes([UInt8])
        case send(String)
        case sendBytes([UInt8])
        /// Sends each piece as a packet of its own, with a pause between.
        case pieces([String], everyMilliseconds: Int32)
        /// Sends these bytes again and again until the other side hangs up.
        case endless([UInt8], everyMilliseconds: Int32)
        /// Goes on when the test opens the gate.
        case wait(Gate)
        /// Says nothing more until the server is stopped or the other side hangs up.
        case stall
        case reset
        case close
    }

    public let address: Address
    private let stage: Stage

    /// The first connection gets the first script and so on; the last one serves all that follow.
    public init(_ scripts: [[Step]], at address: Address = .host("127.0.0.1", port: 0)) throws {
        precondition(!scripts.isEmpty)
        let raw: Int32
        (self.address, raw) = try Self.listen(at: address)
        stage = Stage(raw, scripts)
        stage.open()
    }

    deinit { stop() }

    /// Listens once and for all: between trying a port and listening on it, somebody may take it.
    private static func listen(at place: Address) throws(SystemError) -> (Address, Int32) {
        guard case .host(let host, 0) = place else {
            guard let wanted = SocketAddress(place) else {
                throw SystemError("bind \(place)", code: EINVAL)
            }
            return (place, try Socket.listen(wanted).take())
        }
        // A port that no other server of the tests has at any address: not even the kernel's choice
        // is, since the same number may be somebody else's at 127.0.0.2 or ::1.
        return try withFreshPort { port throws(SystemError) in
            guard let wanted = SocketAddress(ip: host, port: port) else {
                throw SystemError("bind \(place)", code: EINVAL)
            }
            return (.host(host, port: port), try Socket.listen(wanted).take())
        }
    }

    public convenience init(_ script: Step...) throws { try self.init([script]) }

    public var port: UInt16 {
        if case .host(_, let port) = address { return port }
        return 0
    }

    /// What each connection has sent so far, in the order they came.
    public var received: [[UInt8]] { stage.received }
    public var receivedText: [String] { received.map { String(decoding: $0, as: UTF8.self) } }
    public var connectionCount: Int { received.count }

    /// Hangs up everywhere and waits for the threads to end.
    public func stop() {
        guard stage.close() else { return }
        if case .unix(let path) = address { unlink(path) }
    }
}

/// What the threads hold on to, so that a server that nobody stops goes when its test ends.
private final class Stage: @unchecked Sendable {
    typealias Step = ScriptedServer.Step

    private let listener: Int32
    /// Readable as soon as the server is to stop: what a pause waits on.
    private let stopper: Int32
    private let scripts: [[Step]]
    private let lock = NSLock()
    private var transcripts: [[UInt8]] = []
    private var live = 0
    private var isStopped = false
    private let idle = NSCondition()

    init(_ listener: Int32, _ scripts: [[Step]]) {
        self.listener = listener
        self.scripts = scripts
        stopper = eventfd(0, Int32(EFD_CLOEXEC))
    }

    var received: [[UInt8]] { lock.withLock { transcripts } }

    func open() {
        _ = enter()
        Thread.detachNewThread { [self] in
            acceptLoop()
            leave()
        }
    }

    /// False when it was closed already.
    func close() -> Bool {
        idle.lock()
        defer { idle.unlock() }
        if isStopped { return false }
        isStopped = true
        var one: UInt64 = 1
        write(stopper, &one, 8)
        while live > 0 { idle.wait() }
        // A child that is being started may hold a copy, which would go on accepting.
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
        Glibc.close(stopper)
        return true
    }

    // MARK: Threads

    private func enter() -> Bool {
        idle.withLock {
            if !isStopped { live += 1 }
            return !isStopped
        }
    }

    private func leave() {
        idle.withLock {
            live -= 1
            idle.broadcast()
        }
    }

    private func acceptLoop() {
        while wait(for: listener, events: Int16(POLLIN), milliseconds: -1) {
            guard let descriptor = try? Socket.accept(listener) else { continue }
            let raw = descriptor.take()
            let index = lock.withLock {
                transcripts.append([])
                return transcripts.count - 1
            }
            guard enter() else {
                Glibc.close(raw)
                return
            }
            Thread.detachNewThread { [self] in
                defer { leave() }
                play(scripts[min(index, scripts.count - 1)], with: raw, as: index)
            }
        }
    }

    /// False when the server is to stop or the time is up.
    private func wait(for descriptor: Int32, events: Int16, milliseconds: Int32) -> Bool {
        var polled = [
            pollfd(fd: descriptor, events: events, revents: 0),
            pollfd(fd: stopper, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&polled, 2, milliseconds) < 0, errno == EINTR {}
        return polled[1].revents == 0 && polled[0].revents != 0
    }

    /// One connection, on its thread.
    private struct Connection {
        let raw: Int32
        let index: Int
        /// Read, and not yet used up by an `expect`.
        var unmatched: [UInt8] = []
    }

    private func play(_ script: [Step], with raw: Int32, as index: Int) {
        defer { Glibc.close(raw) }
        var connection = Connection(raw: raw, index: index)
        for step in script {
            switch step {
            case .expect(let text):
                guard expect(Array(text.utf8), &connection) else { return }
            case .expectBytes(let bytes): guard expect(bytes, &connection) else { return }
            case .send(let text): guard send(Array(text.utf8), raw) else { return }
            case .sendBytes(let bytes): guard send(bytes, raw) else { return }
            case .pieces(let pieces, let pause):
                for piece in pieces {
                    guard send(Array(piece.utf8), raw), hold(&connection, pause) else { return }
                }
            case .endless(let bytes, let pause):
                while send(bytes, raw), pause == 0 || hold(&connection, pause) {}
                return
            case .wait(let gate):
                guard wait(for: gate.descriptor, events: Int16(POLLIN), milliseconds: -1) else {
                    return
                }
            case .stall:
                while hold(&connection, -1) {}
                return
            case .reset:
                Socket.resetOnClose(raw)
                return
            case .close: return
            }
        }
    }

    /// Reads until `wanted` is among what was read. False when the other side ended before.
    private func expect(_ wanted: [UInt8], _ connection: inout Connection) -> Bool {
        while true {
            if let range = connection.unmatched.firstRange(of: wanted) {
                connection.unmatched.removeSubrange(..<range.upperBound)
                return true
            }
            guard wait(for: connection.raw, events: Int16(POLLIN), milliseconds: -1),
                read(&connection)
            else { return false }
        }
    }

    /// Waits `milliseconds`, for ever if negative. False when the other side ended meanwhile.
    private func hold(_ connection: inout Connection, _ milliseconds: Int32) -> Bool {
        let end = DispatchTime.now() + .milliseconds(Int(milliseconds))
        while true {
            let now = DispatchTime.now().uptimeNanoseconds
            let left = Int64(bitPattern: end.uptimeNanoseconds &- now)
            if milliseconds >= 0, left <= 0 { return true }
            let pause = milliseconds < 0 ? -1 : Int32((left + 999_999) / 1_000_000)
            if wait(for: connection.raw, events: Int16(POLLIN), milliseconds: pause) {
                guard read(&connection) else { return false }
            } else if idle.withLock({ isStopped }) {
                return false
            }
        }
    }

    private func read(_ connection: inout Connection) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(connection.raw, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return true }
        guard count > 0 else { return false }
        lock.withLock { transcripts[connection.index] += buffer[..<count] }
        connection.unmatched += buffer[..<count]
        return true
    }

    private func send(_ bytes: [UInt8], _ raw: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                guard wait(for: raw, events: Int16(POLLOUT), milliseconds: -1) else { return false }
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }
}
