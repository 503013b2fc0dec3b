// What stands behind the proxy in these tests? A server that understands just enough of HTTP to
// tell requests apart, keeps every byte it was sent, and answers as it is told.

import EventLoop
import Foundation
import Glibc
import Vocabulary

/// One request as the peer received it.
struct PeerRequest: Sendable {
    /// Which connection, and which request on it, both from 0.
    var connection: Int
    var number: Int
    /// Head and body as they came.
    var bytes: [UInt8]
    var head: String
    /// Without chunk framing.
    var body: [UInt8]

    var line: String { String(head.prefix { $0 != "\r\n" }) }

    subscript(_ name: String) -> String? { Reply(head: head)[name] }
}

final class TestPeer: @unchecked Sendable {
    enum Step: Sendable {
        case send(String)
        case sendBytes([UInt8])
        /// A packet a byte.
        case sendSingly([UInt8])
        case close
        case reset
        /// Waits for the other side to hang up.
        case stall
        /// Waits until the test opens the gate.
        case wait(Gate)
    }

    /// Holds back a step until the test has seen what it waits for.
    final class Gate: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)
        func open() { semaphore.signal() }
        fileprivate func pass() { _ = semaphore.wait(timeout: .now() + 20) }
    }

    let name: String
    let port: UInt16
    var address: Address { .host("127.0.0.1", port: port) }
    private let service: Service

    /// `answer` says what each request gets; a connection is not read before `gate` is open.
    init(
        _ name: String = "peer",
        gate: Gate? = nil,
        answer: (@Sendable (PeerRequest) -> [Step])? = nil
    ) throws {
        guard let any = SocketAddress(ip: "127.0.0.1", port: 0) else {
            throw SystemError("bind", code: EINVAL)
        }
        self.name = name
        let descriptor = try Socket.listen(any)
        port = Socket.localAddress(descriptor.raw)?.port ?? 0
        let raw = descriptor.take()
        _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) & ~O_NONBLOCK)
        service = Service(raw, gate, answer ?? { _ in [.send(Self.ok(name))] })
        service.start()
    }

    deinit { service.stop() }

    static func ok(_ body: String, fields: String = "") -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
    }

    /// Every request so far, in the order they were complete.
    var requests: [PeerRequest] { service.requests }
    var connections: Int { service.connections }

    /// Hangs up on every connection, and listens on.
    func hangUp() { service.hangUp() }

    /// Refuses connections from now on.
    func stop() { service.stop() }
}

/// What a peer's threads hold on to, so that the peer itself can go when its test ends.
private final class Service: @unchecked Sendable {
    private let listener: Int32
    private let answer: @Sendable (PeerRequest) -> [TestPeer.Step]
    private let gate: TestPeer.Gate?
    private let lock = NSLock()
    private let ended = DispatchSemaphore(value: 0)
    private var open: Set<Int32> = []
    private var accepted = 0
    private var received: [PeerRequest] = []
    private var isStopped = false

    init(
        _ listener: Int32,
        _ gate: TestPeer.Gate?,
        _ answer: @escaping @Sendable (PeerRequest) -> [TestPeer.Step]
    ) {
        self.listener = listener
        self.gate = gate
        self.answer = answer
    }

    var requests: [PeerRequest] { lock.withLock { received } }
    var connections: Int { lock.withLock { accepted } }

    func hangUp() {
        lock.withLock {
            for raw in open { shutdown(raw, Int32(SHUT_RDWR)) }
        }
    }

    /// Returns when connections are refused: the listener is closed by the thread that accepts, or
    /// it might go on with a descriptor of the same number that is somebody else's by then.
    func stop() {
        let wasStopped = lock.withLock {
            defer { isStopped = true }
            return isStopped
        }
        if wasStopped { return }
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        hangUp()
    }

    // MARK: Threads

    func start() {
        Thread.detachNewThread { [self] in
            acceptLoop()
            Glibc.close(listener)
            ended.signal()
        }
    }

    private func acceptLoop() {
        while let descriptor = try? Socket.accept(listener) {
            let raw = descriptor.take()
            _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) & ~O_NONBLOCK)
            let index = lock.withLock {
                open.insert(raw)
                defer { accepted += 1 }
                return accepted
            }
            Thread.detachNewThread { [self] in
                serve(raw, index)
                lock.withLock { _ = open.remove(raw) }
                Glibc.close(raw)
            }
        }
    }

    private func serve(_ raw: Int32, _ index: Int) {
        var one: Int32 = 1
        setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4))
        var bytes: [UInt8] = []
        var number = 0
        gate?.pass()
        while let request = next(raw, &bytes, index, number) {
            number += 1
            lock.withLock { received.append(request) }
            for step in answer(request) {
                switch step {
                case .send(let text): guard send(raw, Array(text.utf8)) else { return }
                case .sendBytes(let bytes): guard send(raw, bytes) else { return }
                case .sendSingly(let bytes):
                    for byte in bytes { guard send(raw, [byte]) else { return } }
                case .close: return
                case .reset:
                    Socket.resetOnClose(raw)
                    return
                case .stall:
                    var byte: UInt8 = 0
                    while recv(raw, &byte, 1, 0) > 0 {}
                    return
                case .wait(let gate): gate.pass()
                }
            }
        }
    }

    // MARK: Reading a request

    private func next(
        _ raw: Int32,
        _ bytes: inout [UInt8],
        _ connection: Int,
        _ number: Int
    ) -> PeerRequest? {
        let blank = Array("\r\n\r\n".utf8)
        while bytes.firstRange(of: blank) == nil { guard fill(raw, &bytes) else { return nil } }
        guard let headEnd = bytes.firstRange(of: blank)?.upperBound else { return nil }
        let head = String(decoding: bytes[..<headEnd], as: UTF8.self)
        var body: [UInt8] = []
        var end = headEnd
        if Reply(head: head)["transfer-encoding"] == "chunked" {
            while true {
                guard let line = self.line(raw, &bytes, from: end),
                    let size = Int(
                        String(decoding: bytes[end..<line - 2], as: UTF8.self),
                        radix: 16
                    )
                else { return nil }
                end = line
                if size == 0 { break }
                while bytes.count < end + size + 2 {
                    guard fill(raw, &bytes) else { return nil }
                }
                body += bytes[end..<end + size]
                end += size + 2
            }
            while true {
                guard let line = line(raw, &bytes, from: end) else { return nil }
                defer { end = line }
                if line == end + 2 { break }
            }
        } else if let length = Reply(head: head)["content-length"].flatMap(Int.init) {
            end = headEnd + length
            while bytes.count < end { guard fill(raw, &bytes) else { return nil } }
            body = Array(bytes[headEnd..<end])
        }
        defer { bytes.removeSubrange(..<end) }
        return PeerRequest(
            connection: connection,
            number: number,
            bytes: Array(bytes[..<end]),
            head: head,
            body: body
        )
    }

    /// Where the line that begins at `start` ends, its CR LF included.
    private func line(_ raw: Int32, _ bytes: inout [UInt8], from start: Int) -> Int? {
        while true {
            if let range = bytes[start...].firstRange(of: Array("\r\n".utf8)) {
                return range.upperBound
            }
            guard fill(raw, &bytes) else { return nil }
        }
    }

    private func fill(_ raw: Int32, _ bytes: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(raw, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            bytes += buffer[..<count]
            return true
        }
    }

    private func send(_ raw: Int32, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}

/// A listener that the kernel accepts for, and that never reads.
final class UnreadingPeer {
    let port: UInt16
    var address: Address { .host("127.0.0.1", port: port) }
    private let listener: Int32

    init() throws {
        guard let any = SocketAddress(ip: "127.0.0.1", port: 0) else {
            throw SystemError("bind", code: EINVAL)
        }
        let descriptor = try Socket.listen(any)
        port = Socket.localAddress(descriptor.raw)?.port ?? 0
        listener = descriptor.take()
    }

    deinit { Glibc.close(listener) }
}

/// Says `bye`, ends its own side at once, and reads on to the end.
final class ShutServer: @unchecked Sendable {
    let port: UInt16
    var address: Address { .host("127.0.0.1", port: port) }
    private let listener: Int32
    private let done = DispatchSemaphore(value: 0)
    private var bytes: [UInt8] = []

    init() throws {
        guard let any = SocketAddress(ip: "127.0.0.1", port: 0) else {
            throw SystemError("bind", code: EINVAL)
        }
        let descriptor = try Socket.listen(any)
        port = Socket.localAddress(descriptor.raw)?.port ?? 0
        listener = descriptor.take()
        _ = fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) & ~O_NONBLOCK)
        Thread.detachNewThread { [self] in
            guard let descriptor = try? Socket.accept(listener) else { return }
            let raw = descriptor.take()
            _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) & ~O_NONBLOCK)
            Glibc.send(raw, "bye", 3, Int32(MSG_NOSIGNAL))
            shutdown(raw, Int32(SHUT_WR))
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = recv(raw, &buffer, buffer.count, 0)
                if count <= 0 { break }
                bytes += buffer[..<count]
            }
            Glibc.close(raw)
            done.signal()
        }
    }

    /// Everything it was sent, once the other side has ended too.
    func received() -> [UInt8] {
        _ = done.wait(timeout: .now() + 10)
        return bytes
    }

    func stop() { Glibc.close(listener) }
}

/// A port that refuses connections as long as this value lives: bound, so that nobody else can
/// listen there, and not listening.
final class RefusingPeer: Sendable {
    let port: UInt16
    var address: Address { .host("127.0.0.1", port: port) }
    private let raw: Int32

    init() throws {
        raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let descriptor = raw
        guard let any = SocketAddress(ip: "127.0.0.1", port: 0),
            any.withSockaddr({ bind(descriptor, $0, $1) }) == 0
        else { throw SystemError("bind") }
        port = Socket.localAddress(raw)?.port ?? 0
    }

    deinit { Glibc.close(raw) }
}

/// A peer that the test itself plays, step by step: what it sends has left when the call returns.
final class HandPeer {
    let port: UInt16
    var address: Address { .host("127.0.0.1", port: port) }
    private let listener: Int32

    init() throws {
        guard let any = SocketAddress(ip: "127.0.0.1", port: 0) else {
            throw SystemError("bind", code: EINVAL)
        }
        let descriptor = try Socket.listen(any)
        port = Socket.localAddress(descriptor.raw)?.port ?? 0
        listener = descriptor.take()
    }

    deinit { Glibc.close(listener) }

    /// The next connection to it, which it waits for.
    func accept() throws -> TestClient {
        var polled = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        while poll(&polled, 1, TestClient.patience) < 0, errno == EINTR {}
        guard let descriptor = try Socket.accept(listener) else {
            throw TestClient.Failure.timeout(after: "waiting for a connection")
        }
        return TestClient(adopting: descriptor.take())
    }
}
