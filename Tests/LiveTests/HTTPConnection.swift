// How does a test speak HTTP to what it started? Over one blocking socket that never waits for ever,
// on a thread that may wait.

import EventLoop
import Foundation
import Glibc

struct HTTPAnswer: Sendable {
    var head: String
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var status: Int { Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0 }
    /// What a demo server says it is.
    var server: String { self["X-Served-By"] ?? "" }

    subscript(_ name: String) -> String? {
        for line in head.split(separator: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.first?.lowercased() == name.lowercased() else { continue }
            return parts.dropFirst().first?.trimmingCharacters(in: .whitespaces)
        }
        return nil
    }
}

/// A client's connection to a port of 127.0.0.1.
final class HTTPConnection: @unchecked Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String

        static func system(_ call: String) -> Failure {
            Failure(description: "\(call): \(String(cString: strerror(errno)))")
        }
    }

    private let raw: Int32
    private var unread: [UInt8] = []

    /// Longer than any answer takes, shorter than the patience of who waits for the test.
    private static let patience = timeval(tv_sec: 10, tv_usec: 0)

    convenience init(port: UInt16) throws {
        try self.init(SocketAddress(ip: "127.0.0.1", port: port))
    }

    init(_ address: SocketAddress?) throws {
        guard let address else { throw Failure(description: "not an address") }
        let raw = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var (one, patience) = (Int32(1), Self.patience)
        setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
        guard address.withSockaddr({ connect(raw, $0, $1) }) == 0 else {
            let failure = Failure.system("connect \(address)")
            close(raw)
            throw failure
        }
        self.raw = raw
    }

    deinit { close(raw) }

    func get(_ path: String = "/") throws -> HTTPAnswer {
        try send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try answer()
    }

    /// Says that nothing more comes, as a client does that is done.
    func finish() { shutdown(raw, Int32(SHUT_WR)) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure.system("send") }
            rest = rest.dropFirst(count)
        }
    }

    /// One whole answer, framed by its length.
    func answer() throws -> HTTPAnswer {
        let mark = Array("\r\n\r\n".utf8)
        while unread.firstRange(of: mark) == nil { try receiveMore() }
        let end = unread.firstRange(of: mark)?.upperBound ?? 0
        var answer = HTTPAnswer(head: String(decoding: unread[..<end], as: UTF8.self), body: [])
        unread.removeFirst(end)
        let length = answer["content-length"].flatMap { Int($0) } ?? 0
        while unread.count < length { try receiveMore() }
        answer.body = Array(unread.prefix(length))
        unread.removeFirst(length)
        return answer
    }

    /// Everything until the other side ends the connection; nil when it resets it or stays.
    func rest() -> String? {
        while true {
            do {
                guard try receive() else { return String(decoding: unread, as: UTF8.self) }
            } catch {
                return nil
            }
        }
    }

    /// All that came, as soon as it is enough.
    func text(until isEnough: (String) -> Bool) throws -> String {
        while !isEnough(String(decoding: unread, as: UTF8.self)) { try receiveMore() }
        return String(decoding: unread, as: UTF8.self)
    }

    private func receiveMore() throws {
        if try !receive() {
            let soFar = String(decoding: unread, as: UTF8.self)
            throw Failure(description: "expected an answer, saw the end after '\(soFar)'")
        }
    }

    /// False at the end of the connection.
    private func receive() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var count = -1
        repeat { count = recv(raw, &buffer, buffer.count, 0) } while count < 0 && errno == EINTR
        if count < 0 { throw Failure.system("receive") }
        unread += buffer[..<count]
        return count > 0
    }
}

extension HTTPConnection {
    /// One answer and no more of the connection.
    static func get(_ path: String = "/", port: UInt16) async throws -> HTTPAnswer {
        try await blocking {
            let connection = try HTTPConnection(port: port)
            try connection.send(
                "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            return try connection.answer()
        }
    }

    /// Whether anybody listens.
    static func isAccepted(port: UInt16) -> Bool { (try? HTTPConnection(port: port)) != nil }
}

/// Runs what may block on a thread of its own: the pool that tests share must not wait.
func blocking<Answer: Sendable>(
    _ body: @escaping @Sendable () throws -> Answer
) async throws -> Answer {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
}
