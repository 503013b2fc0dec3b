// Does a body that has no end come to one: where its client is gone, and where its client does not read?

import EventLoop
import Front
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Admin

@Suite struct StreamTests {
    /// What became of a stream, and how much of it was taken.
    private final class Fate: Sendable {
        private let state = Mutex<(pieces: Int, end: StreamError?)>((0, nil))

        var pieces: Int { state.withLock { $0.pieces } }
        var end: StreamError? { state.withLock { $0.end } }
        func take() { state.withLock { $0.pieces += 1 } }
        func end(_ error: StreamError) { state.withLock { $0.end = error } }
    }

    private static let piece = [UInt8](repeating: 0x78, count: 65_536)

    /// Events without an end, and pieces with one.
    private static func responder(_ fate: Fate) -> Responder<Fate> {
        let fields = Response.fields(ofType: "text/event-stream")
        return Responder(
            router: Router([
                Route(.get, "/events", .read) { _, fate in
                    Response(
                        .ok,
                        fields: fields,
                        body: .events { writer throws(StreamError) in
                            do throws(StreamError) {
                                while true {
                                    try await writer.write(piece)
                                    fate.take()
                                }
                            } catch {
                                fate.end(error)
                                throw error
                            }
                        }
                    )
                },
                Route(.get, "/list", .read) { _, _ in
                    Response(
                        .ok,
                        body: .pieces { writer throws(StreamError) in
                            try await writer.write(Array("one".utf8))
                            try await writer.write(Array("two".utf8))
                        }
                    )
                },
            ]),
            access: Access(),
            context: fate
        )
    }

    /// Runs `body` with a front whose requests the responder answers.
    private static func run(
        isVirtual: Bool = false,
        _ body: @Sendable (EventLoop, SocketAddress, Fate) async throws -> Void
    ) async throws {
        let loop =
            isVirtual ? try EventLoop.spawn(virtual: "front") : try EventLoop.spawn(name: "front")
        defer { loop.stop() }
        let fate = Fate()
        let responder = responder(fate)
        let any = try #require(SocketAddress(ip: "127.0.0.1", port: 0))
        let (front, address) = try await Task(executorPreference: loop) {
            let front = Front(
                on: loop,
                rules: OriginRules(bind: .host("127.0.0.1", port: 0)),
                handler: { try await responder.answer($0, over: $1) }
            )
            return (LoopBound(front, on: loop), try front.open(at: any))
        }.value
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(loop, address, fate))
        } catch {
            result = .failure(error)
        }
        await Task(executorPreference: loop) { await front.value.close(within: .zero) }.value
        try result.get()
    }

    /// Sends a request and hands the connection to `body`, on the loop.
    private static func ask(
        _ line: String,
        _ loop: EventLoop,
        _ address: SocketAddress,
        then body: @escaping @Sendable (ByteStream) async throws -> Void
    ) async throws {
        try await Task(executorPreference: loop) {
            let stream = try await ByteStream.connect(
                to: address,
                on: loop,
                deadline: .distantFuture
            )
            defer { stream.close() }
            let text = "\(line) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            try await stream.write(Array(text.utf8))
            try await body(stream)
        }.value
    }

    private static func all(_ stream: ByteStream) async throws -> String {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 16)
        defer { room.deallocate() }
        var bytes: [UInt8] = []
        while case let count = try await stream.read(into: room), count > 0 {
            bytes += room[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func `a client that goes away ends the stream`() async throws {
        try await Self.run { loop, address, fate in
            try await Self.ask("GET /events", loop, address) { stream in
                let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
                defer { room.deallocate() }
                let count = try await stream.read(into: room)
                #expect(count > 0)
            }
            #expect(await eventually(within: .seconds(60)) { fate.end != nil })
        }
    }

    /// It holds what the two sockets hold and the piece at hand, and is cut.
    @Test func `a client that does not read has a bounded part of the stream, and is cut`()
        async throws
    {
        try await Self.run(isVirtual: true) { loop, address, fate in
            try await Self.ask("GET /events", loop, address) { _ in
                let isCut = await eventually(within: .seconds(60)) {
                    await loop.advance(by: .seconds(1))
                    return fate.end != nil
                }
                #expect(isCut)
            }
            #expect(fate.end == .timedOut)
            #expect(fate.pieces < 1_024)
        }
    }

    @Test func `pieces come in chunks, and a HEAD begins no stream`() async throws {
        try await Self.run { loop, address, fate in
            try await Self.ask("GET /list", loop, address) { stream in
                let text = try await Self.all(stream)
                #expect(text.contains("\r\nTransfer-Encoding: chunked\r\n"))
                #expect(text.hasSuffix("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"))
            }
            try await Self.ask("HEAD /events", loop, address) { stream in
                let text = try await Self.all(stream)
                #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(text.contains("\r\nContent-Type: text/event-stream\r\n"))
                #expect(text.hasSuffix("\r\n\r\n"))
            }
            #expect(fate.pieces == 0 && fate.end == nil)
        }
    }
}
