// Does linear code over a connection see what happens to it? Every way a connection begins, every way
// it ends, and one deadline over all of it.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

/// How it went, as a value that a test can compare.
private func outcome(
    _ body: () async throws -> Void
) async throws -> StreamError? {
    do {
        try await body()
        return nil
    } catch let error as StreamError {
        return error
    }
}

extension ByteStream {
    /// At most `count` bytes, or what there is before the end.
    fileprivate func readAll(_ count: Int) async throws(StreamError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let piece = try await readSome(min(16_384, count - bytes.count))
            if piece.isEmpty { break }
            bytes += piece
        }
        return bytes
    }

    fileprivate func readSome(_ limit: Int) async throws(StreamError) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
        defer { buffer.deallocate() }
        return Array(buffer[..<(try await read(into: buffer))])
    }

    /// Kernel buffers too small to swallow what a test sends.
    fileprivate func narrow() {
        var bytes: Int32 = 65_536
        for option in [SO_SNDBUF, SO_RCVBUF] {
            setsockopt(descriptor, SOL_SOCKET, option, &bytes, socklen_t(4))
        }
    }
}

/// Both ends of a connection, on one loop.
private func connected(
    on loop: EventLoop,
    _ body: (ByteStream, ByteStream) async throws -> Void
) async throws {
    let listener = try Socket.listen(loopback())
    let address = try #require(Socket.localAddress(listener.raw))
    let deadline = Instant.after(.seconds(20))
    let near = try await ByteStream.connect(to: address, on: loop, deadline: deadline)
    defer { near.close() }
    let waiting = try number(of: Socket.accept(listener.raw))
    let accepted = try #require(waiting)
    let far = try ByteStream.adopt(Descriptor(owning: accepted), on: loop, deadline: deadline)
    defer { far.close() }
    try await body(near, far)
}

/// Holds up the thread until `deadline` is surely past.
private func block(beyond deadline: Instant) {
    while Clock.instant() <= deadline { usleep(10_000) }
}

/// Bytes whose place shows in their value.
private func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
}

@Suite struct ConnectTests {
    @Test func `connects over TCP and says and hears a line`() async throws {
        let server = try ScriptedServer(.expect("hello\n"), .send("world\n"), .close)
        defer { server.stop() }
        let port = server.port
        let heard = try await onLoop { loop in
            let stream = try await ByteStream.connect(
                to: loopback(port),
                on: loop,
                deadline: .after(.seconds(10))
            )
            defer { stream.close() }
            try await stream.write(Array("hello\n".utf8))
            return try await stream.readAll(100)
        }
        #expect(String(decoding: heard, as: UTF8.self) == "world\n")
    }

    @Test func `connects over a unix socket`() async throws {
        let folder = try TemporaryDirectory()
        let address = Address.unix(path: folder.path("server.sock"))
        let local = try #require(SocketAddress(address))
        let server = try ScriptedServer([[.send("here\n"), .close]], at: address)
        defer { server.stop() }
        let heard = try await onLoop { loop in
            let stream = try await ByteStream.connect(
                to: local,
                on: loop,
                deadline: .after(.seconds(10))
            )
            defer { stream.close() }
            return try await stream.readAll(100)
        }
        #expect(String(decoding: heard, as: UTF8.self) == "here\n")
    }

    @Test func `a port nobody listens on is refused`() async throws {
        let port = try freePort()
        let error = try await onLoop { loop in
            try await outcome {
                _ = try await ByteStream.connect(
                    to: loopback(port),
                    on: loop,
                    deadline: .after(.seconds(10))
                )
            }
        }
        #expect(error == .failed(SystemError("connect", code: ECONNREFUSED)))
    }

    @Test func `a unix socket that is not there fails at once`() async throws {
        let folder = try TemporaryDirectory()
        let address = try #require(SocketAddress(.unix(path: folder.path("nothing.sock"))))
        let error = try await onLoop { loop in
            try await outcome {
                _ = try await ByteStream.connect(
                    to: address,
                    on: loop,
                    deadline: .after(.seconds(10))
                )
            }
        }
        #expect(error == .failed(SystemError("connect", code: ENOENT)))
    }

    /// A backlog of zero holds one connection; the kernel drops what would be the next one's SYN.
    @Test func `a listener with a full backlog is a timeout, no earlier than the deadline`()
        async throws
    {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        let listener = Descriptor(owning: raw)
        #expect(try loopback().withSockaddr { bind(raw, $0, $1) } == 0)
        #expect(listen(listener.raw, 0) == 0)
        let address = try #require(Socket.localAddress(listener.raw))
        let (error, isEarly) = try await onLoop { loop in
            let filler = try await ByteStream.connect(
                to: address,
                on: loop,
                deadline: .after(.seconds(10))
            )
            defer { filler.close() }
            let deadline = Instant.after(.milliseconds(100))
            let error = try await outcome {
                _ = try await ByteStream.connect(to: address, on: loop, deadline: deadline)
            }
            return (error, Clock.instant() < deadline)
        }
        #expect(error == .timedOut)
        #expect(!isEarly)
    }
}

@Suite struct TransferTests {
    static let megabyte = 1_048_576

    @Test func `a megabyte each way arrives whole though the kernel holds little of it`()
        async throws
    {
        let sent = pattern(Self.megabyte)
        try await onLoop { loop in
            try await connected(on: loop) { near, far in
                near.narrow()
                far.narrow()
                for (source, target) in [(near, far), (far, near)] {
                    let (source, target) = (LoopBound(source, on: loop), target)
                    let writer = Task(executorPreference: loop) {
                        try await source.value.write(sent)
                        return Clock.instant()
                    }
                    var received = try await target.readAll(Self.megabyte / 8)
                    let begun = Clock.instant()
                    received += try await target.readAll(Self.megabyte - received.count)
                    let finished = try await writer.value
                    #expect(received == sent)
                    #expect(finished > begun, "the writer did not wait for the reader")
                }
            }
        }
    }

    @Test func `nothing to write is written at once`() async throws {
        try await onLoop { loop in
            try await connected(on: loop) { near, far in
                try await near.write([])
                try await near.write([42])
                #expect(try await far.readSome(8) == [42])
            }
        }
    }

    @Test func `an edge that came before the wait is not lost`() async throws {
        try await onLoop { loop in
            try await connected(on: loop) { near, far in
                try await far.write([1])
                // The loop hears of the byte while nobody waits for it.
                for _ in 0..<3 { await turn(of: loop) }
                try await near.waitReadable()
                #expect(try await near.readSome(8) == [1])
            }
        }
    }
}

@Suite struct EndTests {
    @Test func `after the other side has closed come its last bytes, then zero`() async throws {
        try await onLoop { loop in
            try await connected(on: loop) { near, far in
                try await far.write([1, 2, 3])
                far.close()
                #expect(try await near.readSome(8) == [1, 2, 3])
                #expect(try await near.readSome(8) == [])
                #expect(try await near.readSome(8) == [])
            }
        }
    }

    @Test func `a reset is an error`() async throws {
        let error = try await onLoop { loop in
            nonisolated(unsafe) var error: StreamError?
            try await connected(on: loop) { near, far in
                far.reset()
                error = try await outcome { _ = try await near.readSome(8) }
            }
            return error
        }
        #expect(error == .failed(SystemError("read", code: ECONNRESET)))
    }

    /// Without MSG_NOSIGNAL this ends the process.
    @Test func `writing to one that hung up is an error`() async throws {
        let error = try await onLoop { loop in
            nonisolated(unsafe) var error: StreamError?
            try await connected(on: loop) { near, far in
                far.reset()
                error = try await outcome {
                    try await near.waitReadable()
                    _ = try? await near.readSome(8)
                    try await near.write([1])
                }
            }
            return error
        }
        // The reset that was read before says more than the broken pipe that follows from it.
        #expect(error == .failed(SystemError("read", code: ECONNRESET)))
    }

    @Test func `closing wakes the task that waits`() async throws {
        let error = try await onLoop { loop in
            nonisolated(unsafe) var error: StreamError?
            try await connected(on: loop) { near, far in
                let bound = LoopBound(near, on: loop)
                let reader = Task(executorPreference: loop) {
                    try await outcome { _ = try await bound.value.readSome(8) }
                }
                // The reader runs up to its wait before this task goes on.
                await turn(of: loop)
                near.close()
                error = try await reader.value
                let later = try await outcome { _ = try await near.readSome(8) }
                #expect(later == .failed(SystemError("read", code: EBADF)))
                near.extend(to: .after(.seconds(60)))
                near.close()
            }
            return error
        }
        #expect(error == .ended)
    }

    @Test func `the deadline ends a read, and a new one lets it go on`() async throws {
        let server = try ScriptedServer(.expect("go"), .send("on"), .stall)
        defer { server.stop() }
        let port = server.port
        try await onLoop { loop in
            let stream = try await ByteStream.connect(
                to: loopback(port),
                on: loop,
                deadline: .after(.milliseconds(200))
            )
            defer { stream.close() }
            #expect(try await outcome { _ = try await stream.readSome(8) } == .timedOut)
            #expect(try await outcome { try await stream.write([1]) } == .timedOut)
            stream.extend(to: .after(.seconds(10)))
            try await stream.write(Array("go".utf8))
            #expect(try await stream.readAll(2) == Array("on".utf8))
            stream.extend(to: .after(.milliseconds(20)))
            #expect(try await outcome { _ = try await stream.readSome(8) } == .timedOut)
        }
    }

    /// Of what came in time nobody is to blame but the loop, which was busy with something else.
    @Test func `bytes that were there by the deadline are read by a loop that is late`()
        async throws
    {
        try await onLoop { loop in
            try await connected(on: loop) { near, far in
                let bound = LoopBound(near, on: loop)
                let reader = Task(executorPreference: loop) {
                    let bytes = try await bound.value.readSome(8)
                    let later = try await outcome { _ = try await bound.value.readSome(8) }
                    return (bytes, later)
                }
                // The reader runs up to its wait before this task goes on.
                await turn(of: loop)
                let deadline = Instant.after(.milliseconds(50))
                near.extend(to: deadline)
                #expect(Glibc.send(far.descriptor, [1, 2, 3] as [UInt8], 3, 0) == 3)
                block(beyond: deadline)
                let (bytes, later) = try await reader.value
                #expect(bytes == [1, 2, 3])
                #expect(later == .timedOut, "the deadline holds for what comes after it")
            }
        }
    }

    @Test func `a connection that was made by the deadline is one though the loop is late`()
        async throws
    {
        let server = try ScriptedServer(.send("late"), .stall)
        defer { server.stop() }
        let port = server.port
        let (error, isConnected) = try await onLoop { loop in
            let deadline = Instant.after(.milliseconds(50))
            let connecting = Task(executorPreference: loop) {
                let stream = try await ByteStream.connect(
                    to: loopback(port),
                    on: loop,
                    deadline: deadline
                )
                defer { stream.close() }
                let isConnected = Socket.remoteAddress(stream.descriptor)?.port == port
                return (try await outcome { try await stream.write([1]) }, isConnected)
            }
            // Runs when the connection has begun, before the loop looks at anything.
            let blocking = Task(executorPreference: loop) { block(beyond: deadline) }
            await blocking.value
            return try await connecting.value
        }
        #expect(isConnected)
        #expect(error == .timedOut, "the deadline holds for what comes after it")
    }

    @Test func `the deadline ends a write that nobody reads`() async throws {
        try await onLoop { loop in
            try await connected(on: loop) { near, far in
                near.narrow()
                far.narrow()
                near.extend(to: .after(.milliseconds(100)))
                let error = try await outcome { try await near.write(pattern(1_048_576)) }
                #expect(error == .timedOut)
            }
        }
    }

    /// There is always something to read, so no read ever waits.
    @Test func `the deadline holds against a peer that never pauses`() async throws {
        let flood = [UInt8](repeating: 0, count: 262_144)
        let server = try ScriptedServer(.endless(flood, everyMilliseconds: 0))
        defer { server.stop() }
        let port = server.port
        let (error, turns) = try await onLoop { loop in
            let stream = try await ByteStream.connect(
                to: loopback(port),
                on: loop,
                deadline: .after(.milliseconds(200))
            )
            defer { stream.close() }
            let recorder = Recorder()
            var beat = loop.schedule(at: .after(.milliseconds(10)), sink: recorder)
            recorder.onDue = { _ in
                beat = loop.schedule(at: loop.now + .milliseconds(10), sink: recorder)
            }
            defer { loop.cancel(beat) }
            let giveUp = Instant.after(.seconds(10))
            let error = try await outcome {
                while Clock.instant() < giveUp { _ = try await stream.readSome(1) }
            }
            return (error, recorder.dues.count)
        }
        #expect(error == .timedOut)
        #expect(turns > 2, "other timers had no turn meanwhile")
    }
}
