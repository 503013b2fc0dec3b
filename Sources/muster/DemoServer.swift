// What does the demo probe and route to? A server as small as one can be: it is healthy, says who it
// is, and keeps connections alive.

import ArgumentParser
import CLinux
import EventLoop
import Glibc
import HTTP1
import Vocabulary

struct DemoServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-server",
        abstract: "One of the servers that 'muster demo' starts.",
        shouldDisplay: false
    )

    @Option(help: "The port to listen on, on 127.0.0.1.")
    var port: UInt16

    func run() async throws {
        // A demo that is killed must not leave servers behind.
        _ = muster_die_with_parent()
        guard let address = SocketAddress(ip: "127.0.0.1", port: port) else { return }
        let loop = try EventLoop(name: "demo-server")
        loop.adopt()
        let name = "\(port)"
        let acceptor = try Acceptor(on: loop, at: address) { descriptor in
            DemoServer.serve(descriptor, as: name, on: loop)
        }
        loop.run()
        acceptor.close()
    }
}

/// One connection of a demo server.
enum DemoServer {
    private static let bufferBytes = 16_384
    private static let idleTime = Nanoseconds.seconds(60)

    static func serve(_ descriptor: consuming Descriptor, as name: String, on loop: EventLoop) {
        let deadline = loop.instant + idleTime
        guard let stream = try? ByteStream.adopt(descriptor, on: loop, deadline: deadline) else {
            return
        }
        let bound = LoopBound(stream, on: loop)
        Task(executorPreference: loop) {
            do throws(StreamError) { try await answer(bound.value, as: name, on: loop) } catch {}
            bound.value.close()
        }
    }

    private static func answer(
        _ stream: ByteStream,
        as name: String,
        on loop: EventLoop
    ) async throws(StreamError) {
        let body = "hello from \(name)\n"
        let response = Array(
            ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Served-By: \(name)\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n" + body).utf8
        )
        var received: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 1)
        defer { buffer.deallocate() }
        var parser = HeadParser()
        while true {
            guard let end = headEnd(&parser, received) else { return }
            if end > 0 {
                received.removeFirst(end)
                try await stream.write(response)
                stream.extend(to: loop.instant + idleTime)
                continue
            }
            let count = try await stream.read(into: buffer)
            if count == 0 { return }
            received += buffer[0..<count]
        }
    }

    /// How long the request head is: 0 while it is not complete, nil when it is none. The demo sends
    /// no bodies.
    private static func headEnd(_ parser: inout HeadParser, _ bytes: [UInt8]) -> Int? {
        if bytes.isEmpty { return 0 }
        var fields = FieldTable()
        do throws(HTTPError) {
            return try parser.parseRequest(bytes.span, fields: &fields).map { Int($0.end) } ?? 0
        } catch {
            return nil
        }
    }
}
