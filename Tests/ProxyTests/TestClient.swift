// How does a test speak to the proxy? Over a plain socket that sends exactly the bytes it is told
// to, reads no further than asked, and never waits for ever.

import EventLoop
import Foundation
import Glibc
import Vocabulary

/// One response as a client sees it, apart from how the body was framed.
struct Reply: Equatable {
    var head = ""
    var body: [UInt8] = []
    var trailers = ""
    var wasChunked = false

    var status: Int { Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0 }
    var text: String { String(decoding: body, as: UTF8.self) }

    /// The value of a field, nil when there is none.
    subscript(_ name: String) -> String? {
        for line in head.split(separator: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.first?.lowercased() == name.lowercased() {
                return parts.dropFirst().first?.trimmingCharacters(in: .whitespaces) ?? ""
            }
        }
        return nil
    }
}

/// A connection to the proxy.
final class TestClient {
    enum Failure: Error, CustomStringConvertible {
        case system(String)
        case ended(after: String)
        case reset(after: String)
        case timeout(after: String)

        var description: String {
            switch self {
            case .system(let call): "\(call): \(String(cString: strerror(errno)))"
            case .ended(let bytes): "the proxy hung up after '\(bytes)'"
            case .reset(let bytes): "the proxy reset after '\(bytes)'"
            case .timeout(let bytes): "nothing more came after '\(bytes)'"
            }
        }
    }

    private let raw: Int32
    private var buffered: [UInt8] = []
    private var start = 0
    /// Received, and not yet asked for.
    var unread: [UInt8] { Array(buffered[start...]) }
    private var isClosed = false

    /// How long a test waits for bytes before it fails.
    static let patience: Int32 = 30_000

    /// A small `receiveBuffer` makes a client that the sender soon has to wait for.
    init(_ address: SocketAddress?, receiveBuffer: Int32? = nil) throws {
        guard let address else { throw Failure.system("address") }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        raw = socket(address.family, kind, 0)
        if var receiveBuffer {
            setsockopt(raw, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(4))
        }
        var one: Int32 = 1
        setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4))
        let descriptor = raw
        guard address.withSockaddr({ connect(descriptor, $0, $1) }) == 0 else {
            throw Failure.system("connect")
        }
        _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK)
    }

    convenience init(
        _ port: UInt16,
        host: String = "127.0.0.1",
        receiveBuffer: Int32? = nil
    ) throws {
        try self.init(SocketAddress(ip: host, port: port), receiveBuffer: receiveBuffer)
    }

    /// The other end of a connection that was accepted.
    init(adopting descriptor: Int32) {
        raw = descriptor
        var one: Int32 = 1
        setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4))
    }

    convenience init(path: String) throws { try self.init(SocketAddress(.unix(path: path))) }

    deinit { close() }

    func close() {
        if isClosed { return }
        isClosed = true
        Glibc.close(raw)
    }

    /// Hangs up with RST.
    func reset() {
        Socket.resetOnClose(raw)
        close()
    }

    func finishSending() { shutdown(raw, Int32(SHUT_WR)) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                guard wait(POLLOUT) else { throw Failure.timeout(after: "sending \(sent) bytes") }
            } else {
                throw Failure.system("send")
            }
        }
    }

    /// Does nothing for a while: what a slow client is.
    func pause(milliseconds: Int32) { _ = poll(nil, 0, milliseconds) }

    /// Sends what the kernel takes without waiting. Returns how much that was.
    func sendSome(_ bytes: some Collection<UInt8>) -> Int {
        let count = Array(bytes).withUnsafeBytes {
            Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        return max(count, 0)
    }

    /// Sent, and not taken by the other side's kernel yet.
    var unsent: Int32 { Socket.unsent(raw) }

    func canSend(within milliseconds: Int32) -> Bool { wait(POLLOUT, milliseconds) }

    /// Bytes, or the end, are there or come within this time.
    func canRead(within milliseconds: Int32) -> Bool { wait(POLLIN, milliseconds) }

    // MARK: Reading

    /// Puts bytes back in front of what comes.
    func push(_ bytes: [UInt8]) {
        buffered = bytes + unread
        start = 0
    }

    /// One response. `toHead` says that it answers HEAD and so has no body.
    func reply(toHead: Bool = false) throws -> Reply {
        var reply = Reply()
        reply.head = String(decoding: try read(through: "\r\n\r\n"), as: UTF8.self)
        if toHead || reply.status < 200 || reply.status == 204 || reply.status == 304 {
            return reply
        }
        if reply["transfer-encoding"] == "chunked" {
            reply.wasChunked = true
            while true {
                let line = String(decoding: try read(through: "\r\n"), as: UTF8.self)
                // CR LF is one character.
                guard let size = Int(line.dropLast(), radix: 16) else {
                    throw Failure.ended(after: "chunk size '\(line)'")
                }
                if size == 0 { break }
                reply.body += try read(count: size)
                _ = try read(through: "\r\n")
            }
            while true {
                let line = String(decoding: try read(through: "\r\n"), as: UTF8.self)
                if line == "\r\n" { return reply }
                reply.trailers += line
            }
        }
        if let length = reply["content-length"].flatMap(Int.init) {
            reply.body = try read(count: length)
        } else {
            reply.body = try readToEnd()
        }
        return reply
    }

    func read(through mark: String) throws -> [UInt8] {
        let mark = Array(mark.utf8)
        var searched = start
        while true {
            if let end = find(mark, from: searched) {
                defer { consume(end - start) }
                return Array(buffered[start..<end])
            }
            searched = max(start, buffered.count - mark.count)
            try receive()
        }
    }

    func read(count: Int) throws -> [UInt8] {
        while buffered.count - start < count { try receive() }
        defer { consume(count) }
        return Array(buffered[start..<start + count])
    }

    /// Where the first `mark` from `position` on ends.
    private func find(_ mark: [UInt8], from position: Int) -> Int? {
        buffered.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var position = position
            while position + mark.count <= bytes.count,
                let found = memchr(base + position, Int32(mark[0]), bytes.count - position)
            {
                position = found - UnsafeMutableRawPointer(mutating: base)
                if position + mark.count <= bytes.count,
                    memcmp(base + position, mark, mark.count) == 0
                {
                    return position + mark.count
                }
                position += 1
            }
            return nil
        }
    }

    /// Moved to the front only now and then: a large body is read in many steps.
    private func consume(_ count: Int) {
        start += count
        if start == buffered.count || start > 1_000_000 {
            buffered.removeSubrange(..<start)
            start = 0
        }
    }

    /// Everything up to the end of the connection, which has to be a clean one.
    func readToEnd() throws -> [UInt8] {
        while true {
            do {
                try receive()
            } catch Failure.ended {
                defer { consume(buffered.count - start) }
                return unread
            }
        }
    }

    enum Ending: Equatable { case ended, reset, open }

    /// How the connection ended, after reading all that still comes; `open` after `limit` of
    /// silence.
    func ending(within limit: Int32 = patience) -> Ending {
        while true {
            do {
                try receive(within: limit)
            } catch Failure.ended {
                return .ended
            } catch Failure.timeout {
                return .open
            } catch {
                return .reset
            }
        }
    }

    private func receive(within limit: Int32 = patience) throws {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(raw, &buffer, buffer.count, 0)
            if count > 0 {
                buffered += buffer[..<count]
                return
            }
            let soFar = String(decoding: buffered[start...].prefix(200), as: UTF8.self)
            if count == 0 { throw Failure.ended(after: soFar) }
            if errno == EINTR { continue }
            guard errno == EAGAIN else { throw Failure.reset(after: soFar) }
            guard wait(POLLIN, limit) else { throw Failure.timeout(after: soFar) }
        }
    }

    private func wait(_ events: Int32, _ limit: Int32 = patience) -> Bool {
        var polled = pollfd(fd: raw, events: Int16(events), revents: 0)
        while true {
            let count = poll(&polled, 1, limit)
            if count < 0, errno == EINTR { continue }
            return count > 0
        }
    }
}
