// How does the demo know that no request failed? It sends them itself, some hundred a second over
// connections that stay open, and looks at every answer.

import EventLoop
import HTTP1
import Vocabulary

/// Sends requests at an even pace and counts who answered. Confined to its loop.
final class DemoTraffic {
    struct Counts: Sendable {
        var sent = 0
        var failed = 0
        /// By what the servers call themselves.
        var served: [String: Int] = [:]
        var lastFailure: String?
    }

    private let loop: EventLoop
    private let timers: Timers
    private let target: SocketAddress
    private var idle: [ByteStream] = []
    private var isRunning = true
    private var inFlight = 0
    private(set) var counts = Counts()

    static let requestsPerSecond = 200
    private static let timeout = Nanoseconds.seconds(5)
    private static let bufferBytes = 4_096

    init(to target: SocketAddress, on loop: EventLoop) {
        self.loop = loop
        self.target = target
        timers = Timers(loop: loop)
    }

    func start() {
        send()
        guard isRunning else { return }
        timers.schedule(after: .microseconds(1_000_000 / Int64(Self.requestsPerSecond))) {
            [weak self] in self?.start()
        }
    }

    func stop() {
        isRunning = false
        timers.cancelAll()
        for stream in idle { stream.close() }
        idle = []
    }

    private func send() {
        counts.sent += 1
        inFlight += 1
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await here.value.exchange() }
    }

    private func exchange() async {
        let deadline = loop.instant + Self.timeout
        do throws(StreamError) {
            let stream: ByteStream
            if let kept = idle.popLast() {
                kept.extend(to: deadline)
                stream = kept
            } else {
                stream = try await ByteStream.connect(to: target, on: loop, deadline: deadline)
            }
            do throws(StreamError) {
                let (status, server) = try await ask(stream)
                counts.served[server, default: 0] += 1
                if status != 200 { fail("status \(status)") }
            } catch {
                stream.close()
                throw error
            }
            if isRunning { idle.append(stream) } else { stream.close() }
        } catch {
            fail("\(error)")
        }
        inFlight -= 1
    }

    private func fail(_ what: String) {
        // What is cut off by the end of the demo is no failure of the proxy.
        guard isRunning else { return }
        counts.failed += 1
        counts.lastFailure = what
    }

    private func ask(_ stream: ByteStream) async throws(StreamError) -> (Int, String) {
        try await stream.write(Array("GET / HTTP/1.1\r\nHost: demo\r\n\r\n".utf8))
        var bytes: [UInt8] = []
        var parser = HeadParser()
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.bufferBytes,
            alignment: 1
        )
        defer { buffer.deallocate() }
        while true {
            let count = try await stream.read(into: buffer)
            if count == 0 { throw .ended }
            bytes += buffer[0..<count]
            guard let answer = Self.parse(&parser, bytes) else { continue }
            if answer.isWhole { return (answer.status, answer.server) }
        }
    }

    private struct Answer {
        var status: Int
        var server: String
        var isWhole: Bool
    }

    private static func parse(_ parser: inout HeadParser, _ bytes: [UInt8]) -> Answer? {
        var fields = FieldTable()
        do throws(HTTPError) {
            guard
                let head = try parser.parseResponse(bytes.span, to: .get, fields: &fields)
            else { return nil }
            var server = "muster"
            for index in 0..<fields.count {
                let field = fields[index]
                let name = String(decoding: bytes[field.name], as: UTF8.self).lowercased()
                if name == "x-served-by" {
                    server = String(decoding: bytes[field.value], as: UTF8.self)
                }
            }
            var length = 0
            if case .length(let count) = head.framing { length = Int(count) }
            return Answer(
                status: Int(head.status),
                server: server,
                isWhole: bytes.count >= Int(head.end) + length
            )
        } catch {
            return Answer(status: 0, server: "garbage", isWhole: true)
        }
    }
}
