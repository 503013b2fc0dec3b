// What if answers of Redis come late on one connection and at once on another? A relay in between, which holds
// what the server says on the connection that came first, until it is told to go on.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Vocabulary

/// Passes on what comes at a unix socket to another one.
final class AnswerRelay: @unchecked Sendable {
    let path: String
    private var target: String
    private let listener: Int32
    private let changed = NSCondition()
    private var isHolding = false
    private var isStopped = false
    private var open: [Int32] = []
    private var threads = 0

    init(to target: String, at path: String) throws {
        self.path = path
        self.target = target
        guard let place = SocketAddress(.unix(path: path)) else {
            throw CocoaError(.fileNoSuchFile)
        }
        listener = try Socket.listen(place).take()
        _ = fcntl(listener, F_SETFL, 0)
        start { [self] in accept() }
    }

    /// Whoever connects from now on is led there.
    func lead(to target: String) { changed.withLock { self.target = target } }

    /// What the server says on the first connection waits from now on.
    func hold() { set(true) }
    func goOn() { set(false) }

    /// Ends every connection, and waits for the threads to end.
    func stop() {
        changed.withLock {
            isStopped = true
            for raw in open { _ = shutdown(raw, Int32(SHUT_RDWR)) }
            _ = shutdown(listener, Int32(SHUT_RDWR))
            changed.broadcast()
            while threads > 0 { changed.wait() }
            for raw in open { _ = close(raw) }
        }
        _ = close(listener)
        _ = unlink(path)
    }

    private func set(_ value: Bool) {
        changed.withLock {
            isHolding = value
            changed.broadcast()
        }
    }

    private func start(_ body: @escaping @Sendable () -> Void) {
        changed.withLock { threads += 1 }
        Thread.detachNewThread { [self] in
            body()
            changed.withLock {
                threads -= 1
                changed.broadcast()
            }
        }
    }

    private func accept() {
        var count = 0
        while true {
            let client = Glibc.accept(listener, nil, nil)
            if client < 0 { return }
            let isFirst = count == 0
            count += 1
            guard let server = dial() else {
                _ = close(client)
                continue
            }
            let isOver = changed.withLock {
                open += [client, server]
                return isStopped
            }
            if isOver { return }
            start { [self] in pump(from: client, to: server, isHeld: false) }
            start { [self] in pump(from: server, to: client, isHeld: isFirst) }
        }
    }

    private func dial() -> Int32? {
        let target = changed.withLock { self.target }
        guard let place = SocketAddress(.unix(path: target)),
            let attempt = try? Socket.connect(to: place)
        else { return nil }
        let raw = attempt.take().take()
        _ = fcntl(raw, F_SETFL, 0)
        return raw
    }

    private func pump(from source: Int32, to target: Int32, isHeld: Bool) {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(source, &bytes, bytes.count, 0)
            if count <= 0 { break }
            if isHeld {
                changed.withLock { while isHolding, !isStopped { changed.wait() } }
            }
            var sent = 0
            while sent < count {
                let rest = Array(bytes[sent..<count])
                let more = send(target, rest, rest.count, Int32(MSG_NOSIGNAL))
                if more <= 0 { break }
                sent += more
            }
        }
        _ = shutdown(target, Int32(SHUT_RDWR))
    }
}
