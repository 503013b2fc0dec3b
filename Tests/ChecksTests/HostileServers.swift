// Which servers are hostile in a way that a script does not tell? Those that send as fast as they can,
// and those behind TLS.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Vocabulary

/// Sends without end to everybody who connects, and counts what it gets rid of.
final class FloodServer: @unchecked Sendable {
    let address: Address
    private let listener: Int32
    private let opening: [UInt8]
    private let more: [UInt8]
    private let lock = NSLock()
    private var sent = 0
    private var connections: [Int32] = []
    private var accepted = 0
    private let ended = DispatchSemaphore(value: 0)

    init(opening: [UInt8], more: [UInt8]) throws {
        guard let place = SocketAddress(ip: "127.0.0.1", port: 0) else {
            throw SystemError("bind", code: EINVAL)
        }
        let descriptor = try Socket.listen(place)
        address = .host("127.0.0.1", port: Socket.localAddress(descriptor.raw)?.port ?? 0)
        listener = descriptor.take()
        self.opening = opening
        // Some kilobytes at a time, as a server in a hurry would.
        self.more = Array(repeatElement(more, count: max(1, 8_192 / more.count)).joined())
        Thread.detachNewThread { [self] in acceptLoop() }
    }

    var bytesSent: Int { lock.withLock { sent } }
    /// Somebody was here and nobody is any more.
    var isIdle: Bool { lock.withLock { accepted > 0 && connections.isEmpty } }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        close(listener)
        lock.withLock { for raw in connections { shutdown(raw, Int32(SHUT_RDWR)) } }
    }

    private func acceptLoop() {
        while true {
            var polled = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&polled, 1, -1) > 0, let descriptor = try? Socket.accept(listener) else {
                break
            }
            let raw = descriptor.take()
            _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) & ~O_NONBLOCK)
            lock.withLock {
                connections.append(raw)
                accepted += 1
            }
            Thread.detachNewThread { [self] in flood(raw) }
        }
        ended.signal()
    }

    private func flood(_ raw: Int32) {
        var bytes = opening
        if bytes.isEmpty { bytes = more }
        while true {
            let count = send(raw, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { break }
            lock.withLock { sent += count }
            // The rest of a piece is not made up for: what is sent has no meaning but its first part.
            bytes = count < bytes.count ? Array(bytes[count...]) : more
        }
        lock.withLock { connections.removeAll { $0 == raw } }
        close(raw)
    }
}

/// A real HAProxy that ends TLS and passes on the bytes.
final class TLSFront: Sendable {
    let addresses: [Address]
    private let process: ChildProcess
    private let folder: TemporaryDirectory

    init(_ leaves: [Authority.Leaf], to servers: [Address]) async throws {
        folder = try TemporaryDirectory()
        var text = """
            global
                maxconn 1000
            defaults
                mode tcp
                timeout connect 5s
                timeout client 60s
                timeout server 60s

            """
        var addresses: [Address] = []
        for (index, (leaf, server)) in zip(leaves, servers).enumerated() {
            let both =
                try String(contentsOfFile: leaf.certificate, encoding: .utf8)
                + String(contentsOfFile: leaf.key, encoding: .utf8)
            let file = try folder.write(both, to: "both\(index).pem")
            let port = try freePort()
            text += """
                listen l\(index)
                    bind 127.0.0.1:\(port) ssl crt \(file) alpn h2,http/1.1
                    server s \(server)

                """
            addresses.append(.host("127.0.0.1", port: port))
        }
        self.addresses = addresses
        let configuration = try folder.write(text, to: "haproxy.cfg")
        process = try ChildProcess("haproxy", ["-db", "-f", configuration], in: folder)
        let prober = try await Prober()
        let isUp = try await eventually {
            for address in addresses
            where try await prober.probe("tcp", at: address).verdict != .pass { return false }
            return true
        }
        guard isUp else { throw ChildProcess.Failure(process.output) }
    }

    deinit { process.end() }
}

/// A name server that sends rubbish without end to whoever asks.
final class GarbageServer: @unchecked Sendable {
    let port: UInt16
    private let raw: Int32
    private let lock = NSLock()
    private var count = 0
    private var isStopped = false
    private let ended = DispatchSemaphore(value: 0)

    init() throws {
        raw = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafePointer(to: address) { [raw] in
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(raw, $0, length) }
        }
        guard bound == 0 else { throw SystemError("bind") }
        port = Socket.localAddress(raw)?.port ?? 0
        Thread.detachNewThread { [self] in serve() }
    }

    var sent: Int { lock.withLock { count } }

    func stop() {
        lock.withLock { isStopped = true }
        shutdown(raw, Int32(SHUT_RDWR))
        ended.wait()
        close(raw)
    }

    private func serve() {
        defer { ended.signal() }
        var buffer = [UInt8](repeating: 0, count: 1_500)
        var peer = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let asked = withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(raw, &buffer, buffer.count, 0, $0, &length)
            }
        }
        guard asked > 0 else { return }
        let rubbish = [UInt8](repeating: 0xFF, count: 512)
        while !lock.withLock({ isStopped }) {
            withUnsafePointer(to: peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = sendto(raw, rubbish, rubbish.count, Int32(MSG_NOSIGNAL), $0, length)
                }
            }
            lock.withLock { count += 1 }
        }
    }
}
