// Bodies of any size and framing stream both ways, however they are cut and however slowly they are
// read.

import EventLoop
import Health
import TestSupport
import Testing

@testable import Proxy

@Suite struct StreamingTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    /// Bytes that do not repeat within any buffer.
    private static func pattern(_ count: Int) -> [UInt8] { Array(randomBytes[..<count]) }

    private static let randomBytes = {
        var state: UInt64 = 2_463_534_242
        let words = (0..<1_250_000).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        return words.withUnsafeBytes { Array($0) }
    }()

    private static func chunk(_ data: ArraySlice<UInt8>) -> [UInt8] {
        Array("\(String(data.count, radix: 16))\r\n".utf8) + data + Array("\r\n".utf8)
    }

    private static func chunks(_ data: [UInt8], of size: Int, trailers: String = "") -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + data.count / size * 12 + 64)
        for start in stride(from: 0, to: data.count, by: size) {
            bytes += chunk(data[start..<min(start + size, data.count)])
        }
        return bytes + Array("0\r\n\(trailers)\r\n".utf8)
    }

    enum Framing: String, CaseIterable { case length, chunked, untilClose }

    private static func answer(
        _ framing: Framing,
        _ data: [UInt8],
        chunk: Int = 5_000,
        trailers: String = ""
    ) -> [UInt8] {
        let head = "HTTP/1.1 200 OK\r\nA: b\r\n"
        return switch framing {
        case .length: Array("\(head)Content-Length: \(data.count)\r\n\r\n".utf8) + data
        case .chunked:
            Array("\(head)Transfer-Encoding: chunked\r\n\r\n".utf8)
                + chunks(data, of: chunk, trailers: trailers)
        case .untilClose: Array("\(head)\r\n".utf8) + data
        }
    }

    @Test(arguments: Framing.allCases)
    func `a response that comes byte by byte is the same`(framing: Framing) async throws {
        let message = Self.answer(
            framing,
            Array("hello world".utf8),
            chunk: 4,
            trailers: "X: y\r\n"
        )
        let peer = try TestPeer { _ in
            framing == .untilClose
                ? [.sendSingly(message), .close] : [.sendSingly(message)]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for _ in 0..<3 {
            try client.send(Self.get)
            let reply = try client.reply()
            #expect(reply.text == "hello world")
            #expect(reply.trailers == (framing == .chunked ? "X: y\r\n" : ""))
        }
        client.close()
        await rig.expectNothingHeld()
    }

    @Test(arguments: Framing.allCases)
    func `a response cut in two anywhere is the same`(framing: Framing) async throws {
        let message = Self.answer(
            framing,
            Array("hello world".utf8),
            chunk: 4,
            trailers: "X: y\r\n"
        )
        let peer = try TestPeer { request in
            let cut = Int(request.line.split(separator: " ")[1].dropFirst()) ?? 0
            return [
                .sendBytes(Array(message[..<cut])), .sendBytes(Array(message[cut...])),
            ] + (framing == .untilClose ? [.close] : [])
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for cut in 0...message.count {
            try client.send("GET /\(cut) HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.reply().text == "hello world", "cut at \(cut)")
        }
    }

    @Test(arguments: [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "4;x=\"y\"\r\nhell\r\n7\r\no world\r\n0\r\nX-T: u\r\n\r\n",
    ])
    func `a request cut in two anywhere is the same`(text: String) async throws {
        let peer = try TestPeer { [.send(TestPeer.ok("got \($0.body.count)"))] }
        let rig = try await ProxyRig([peer])
        let bytes = Array(text.utf8)
        let client = try rig.client()
        for cut in 0..<bytes.count {
            try client.send(Array(bytes[..<cut]))
            await rig.settled()
            try client.send(Array(bytes[cut...]))
            #expect(try client.reply().status == 200, "cut at \(cut)")
        }
        #expect(peer.requests.count == bytes.count)
        #expect(peer.requests.allSatisfy { $0.body == Array("hello world".utf8) })
        if text.contains("chunked") {
            #expect(
                peer.requests.allSatisfy {
                    String(decoding: $0.bytes.suffix(15), as: UTF8.self)
                        == "\r\n0\r\nX-T: u\r\n\r\n"
                }
            )
        }
        client.close()
        await rig.expectNothingHeld()
    }

    @Test(arguments: Framing.allCases)
    func `ten megabytes reach a slow reader unchanged`(framing: Framing) async throws {
        let data = Self.pattern(10_000_000)
        let message = Self.answer(framing, data, chunk: 30_011, trailers: "X-Sum: 1\r\n")
        let peer = try TestPeer { _ in
            framing == .untilClose ? [.sendBytes(message), .close] : [.sendBytes(message)]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client(receiveBuffer: 8_192)
        try client.send(Self.get)
        // The proxy gets stuck on the client, holding no more than its buffers.
        let head = try client.read(through: "\r\n\r\n")
        let isStuck = await eventually { await rig.holdings().buffers >= 1 }
        #expect(isStuck)
        client.push(head)
        let reply = try client.reply()
        #expect(reply.body == data)
        #expect(reply.trailers == (framing == .chunked ? "X-Sum: 1\r\n" : ""))
        client.close()
        await rig.expectNothingHeld()
    }

    /// The head goes out in front of the body, from where the peer's was: ours may be shorter, as long, or longer.
    @Test(arguments: ["Date: x\r\nConnection: keep-alive\r\n", "Date: x\r\n", ""])
    func `head and body of a large answer come in their order`(fields: String) async throws {
        for count in [8_000, 8_192, 20_000, 36_000, 100_000] {
            let data = Self.pattern(count)
            let head = "HTTP/1.1 200 OK\r\n\(fields)X-Last: y\r\nContent-Length: \(count)\r\n\r\n"
            let peer = try TestPeer { _ in [.sendBytes(Array(head.utf8) + data)] }
            let rig = try await ProxyRig([peer])
            let client = try rig.client()
            for _ in 0..<2 {
                try client.send(Self.get)
                let reply = try client.reply()
                #expect(reply.head.contains("\r\nX-Last: y\r\n"))
                #expect(reply.body == data)
            }
            client.close()
            await rig.expectNothingHeld()
        }
    }

    @Test(arguments: [Framing.length, .chunked])
    func `ten megabytes reach a peer unchanged`(framing: Framing) async throws {
        let data = Self.pattern(10_000_000)
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        if framing == .length {
            try client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: \(data.count)\r\n\r\n")
            try client.send(data)
        } else {
            try client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            try client.send(Self.chunks(data, of: 9_973, trailers: "X-Sum: 1\r\n"))
        }
        #expect(try client.reply().text == "peer")
        #expect(peer.requests.count == 1)
        #expect(peer.requests[0].body == data)
        try client.send(Self.get)
        #expect(try client.reply().text == "peer")
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a large upload waits for a peer that does not read yet`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer(gate: gate)
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        let data = Self.pattern(10_000_000) + Self.pattern(10_000_000)
        try client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: \(data.count)\r\n\r\n")
        var sent = 0
        // Full all the way when nothing more is taken within a tenth of a second.
        while client.canSend(within: 100) { sent += client.sendSome(data[sent...].prefix(1 << 20)) }
        #expect(sent < data.count)
        #expect(await rig.holdings().buffers <= 2)
        gate.open()
        try client.send(Array(data[sent...]))
        #expect(try client.reply().text == "peer")
        #expect(peer.requests.first?.body == data)
    }

    @Test func `both ways at once`() async throws {
        // The peer answers while it reads: an echo that never holds the whole body.
        let piece = String(repeating: "0123456789abcdef", count: 256)
        let count = 200
        var script: [ScriptedServer.Step] = [
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 200 OK\r\nContent-Length: \(piece.utf8.count * count)\r\n\r\n"),
        ]
        for _ in 0..<count { script += [.expect(piece), .send(piece)] }
        let server = try ScriptedServer([script])
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        try client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(piece.utf8.count * count)\r\n\r\n"
        )
        _ = try client.read(through: "\r\n\r\n")
        for _ in 0..<count {
            try client.send(piece)
            #expect(try client.read(count: piece.utf8.count) == Array(piece.utf8))
        }
        client.close()
        await rig.expectNothingHeld()
    }

    // MARK: Full buffers

    @Test func `a long trailer behind a full buffer gets through`() async throws {
        // Trailer lines are moved whole; here one waits where the buffer has less room than it has
        // bytes, with a full input behind it.
        let trailer = "X-Long: " + String(repeating: "t", count: 6_000) + "\r\n"
        for size in stride(from: 29_000, through: 36_500, by: 250) {
            let data = Self.pattern(size)
            let peer = try TestPeer { _ in
                [
                    .sendBytes(
                        Self.answer(.chunked, data, chunk: size, trailers: trailer)
                    )
                ]
            }
            let rig = try await ProxyRig([peer])
            let client = try rig.client()
            try client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            let upload = Self.chunks(data, of: size, trailers: trailer)
            try client.send(upload + Array(String(repeating: Self.get, count: 1_500).utf8))
            let reply = try client.reply()
            #expect(reply.body == data)
            #expect(reply.trailers == trailer)
            #expect(peer.requests.first?.body == data)
            let tail = String(
                decoding: peer.requests[0].bytes.suffix(trailer.utf8.count + 2),
                as: UTF8.self
            )
            #expect(tail == trailer + "\r\n")
        }
    }

    @Test func `a long trailer behind a request that cannot go out yet does not spin`()
        async throws
    {
        // Nobody accepts: the backlog of this listener is full, so the connection hangs.
        let peer = try HangingListener(ip: "127.0.0.1", port: freePort())
        var timeouts = ProxyRig.patient
        timeouts.connect = .milliseconds(300)
        let rig = try await ProxyRig(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: [PeerDefinition(id: "p", address: peer.address)]
                )
            ],
            timeouts: timeouts
        )
        let data = Self.pattern(36_400)
        let trailer = "X-Long: " + String(repeating: "t", count: 6_000) + "\r\n"
        let client = try rig.client()
        try client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        _ = client.sendSome(
            Self.chunks(data, of: data.count, trailers: trailer)
                + [UInt8](repeating: 0x47, count: 60_000)
        )
        #expect(try client.reply().status == 502)
    }

    @Test(arguments: [1, 9_000, 17_000, 25_000, 33_000])
    func `what did not fit while the client was blocked follows by itself`(
        shift: Int
    ) async throws {
        // Pieces a little larger than what the output takes of a full input: as soon as the client
        // is blocked, some bytes stay in the input, and the peer has no more to say about them.
        // Where the kernel blocks depends on what it was given before: hence `shift`.
        let gate = TestPeer.Gate()
        let size = Buffer.capacity - 34
        let data = [UInt8](repeating: 0x78, count: size - 8)
        let piece = Self.chunk(data[...])
        let piecesMax = 1_000
        let peer = try TestPeer { _ in
            [
                .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                .sendBytes(Self.chunk(data.prefix(shift))),
            ]
                + (0..<piecesMax).flatMap { _ in [.wait(gate), .sendBytes(piece)] }
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client(receiveBuffer: 4_096)
        try client.send(Self.get)
        _ = try client.read(through: "\r\n\r\n")
        var pieces = 0
        var isBlocked = false
        while !isBlocked, pieces < piecesMax {
            gate.open()
            pieces += 1
            // The request stays at hand until the answer is complete: one buffer.
            isBlocked = await !eventually(within: .milliseconds(100)) {
                client.pause(milliseconds: 1)
                return await rig.holdings().buffers <= 1
            }
        }
        #expect(isBlocked)
        var left = shift + pieces * data.count
        while left > 0 {
            let line = String(decoding: try client.read(through: "\r\n"), as: UTF8.self)
            let count = try #require(Int(line.dropLast(), radix: 16))
            left -= try client.read(count: count + 2).count - 2
        }
        #expect(left == 0)
    }

    @Test func `a slow reader of many small chunks gets them all`() async throws {
        let data = Self.pattern(600_000)
        let peer = try TestPeer { _ in [.sendBytes(Self.answer(.chunked, data, chunk: 7))] }
        let rig = try await ProxyRig([peer])
        let client = try rig.client(receiveBuffer: 4_096)
        try client.send(Self.get)
        #expect(try client.reply().body == data)
    }

    @Test func `pipelined large answers wait for the reader`() async throws {
        let data = Self.pattern(300_000)
        let peer = try TestPeer { _ in [.sendBytes(Self.answer(.length, data))] }
        let rig = try await ProxyRig([peer])
        let client = try rig.client(receiveBuffer: 8_192)
        try client.send(String(repeating: Self.get, count: 10))
        for _ in 0..<10 { #expect(try client.reply().body == data) }
        client.close()
        await rig.expectNothingHeld()
    }
}
