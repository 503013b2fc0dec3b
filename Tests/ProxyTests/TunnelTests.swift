// TCP mode: bytes both ways, ends passed on as ends, and what becomes of connections when the peer
// goes down.

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct TunnelTests {
    private static func rig(
        _ peers: [PeerDefinition],
        onDown: UpstreamDefinition.OnDown? = nil,
        timeouts: ProxyTimeouts = ProxyRig.patient
    ) async throws -> ProxyRig {
        try await ProxyRig(
            [UpstreamDefinition(name: "web", peers: peers, onDown: onDown)],
            modes: [.tcp(upstream: "web")],
            timeouts: timeouts
        )
    }

    private static func echo(_ name: String, _ count: Int = 3) throws -> ScriptedServer {
        var script: [ScriptedServer.Step] = [.send("\(name)\n")]
        for _ in 0..<count { script += [.expect("ping\n"), .send("pong\n")] }
        return try ScriptedServer([script + [.stall]])
    }

    @Test func `the peer may speak first, and both go on`() async throws {
        let server = try Self.echo("db")
        defer { server.stop() }
        let rig = try await Self.rig([PeerDefinition(id: "db", address: server.address)])
        let client = try rig.client()
        #expect(try client.read(through: "\n") == Array("db\n".utf8))
        for _ in 0..<3 {
            try client.send("ping\n")
            #expect(try client.read(through: "\n") == Array("pong\n".utf8))
        }
        #expect(await rig.totals("db").inFlight == 1)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a client that ended still gets the answer`() async throws {
        let server = try ScriptedServer(.expect("question"), .send("answer"), .close)
        defer { server.stop() }
        let rig = try await Self.rig([PeerDefinition(address: server.address)])
        let client = try rig.client()
        try client.send("question")
        client.finishSending()
        #expect(try client.readToEnd() == Array("answer".utf8))
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a peer that ended still gets what the client says`() async throws {
        let server = try ShutServer()
        defer { server.stop() }
        let rig = try await Self.rig([PeerDefinition(address: server.address)])
        let client = try rig.client()
        #expect(try client.readToEnd() == Array("bye".utf8))
        // The last bytes and the end come as one event, which says that both ways are over.
        let words = [UInt8](repeating: 0x77, count: 30_000)
        let hold = rig.hold()
        try client.send(words)
        client.close()
        hold.release()
        #expect(server.received() == words)
        await rig.expectNothingHeld()
    }

    // MARK: What was asked for

    @Test(arguments: [
        ("websocket", "websocket", true), ("websocket", "WebSocket", true),
        ("foo/2, websocket", "websocket", true), ("foo/2, websocket", "foo/2,websocket", true),
        ("websocket", "foo", false), ("websocket", "web", false), ("web", "websocket", false),
        ("websocket", "websocket, foo", false), ("foo/2", "foo/1", false), ("foo/2", "foo", false),
        ("websocket", ",", false),
    ])
    func `a peer switches to what its client asked for, and to nothing else`(
        asked: String,
        answered: String,
        isTunnel: Bool
    ) async throws {
        let peer = try TestPeer("peer") { _ in
            [
                .send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                        + "Upgrade: \(answered)\r\n\r\n"
                ), .stall,
            ]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        // A field of the client's own is not taken for what it asked for.
        try client.send(
            "GET / HTTP/1.1\r\nHost: h\r\nX: Upgrade: foo\r\nConnection: Upgrade\r\n"
                + "Upgrade: \(asked)\r\n\r\n"
        )
        let head = String(decoding: try client.read(through: "\r\n\r\n"), as: UTF8.self)
        #expect(head.hasPrefix(isTunnel ? "HTTP/1.1 101 " : "HTTP/1.1 502 "), "\(head)")
        let causes = await rig.report().failures.map(\.cause)
        #expect(causes == (isTunnel ? [] : ["stray-upgrade"]))
        client.close()
        await rig.expectNothingHeld()
    }

    /// What it asked for is not kept: the client judges, as without a proxy. That it is asked for at all is known.
    @Test func `a switch after a body too long to be kept is believed`() async throws {
        let server = try ScriptedServer(
            .expect("the end"),
            .send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello"),
            .stall
        )
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        let body = String(repeating: "x", count: 300_000) + "the end"
        try client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n" + body
        )
        let head = String(decoding: try client.read(through: "hello"), as: UTF8.self)
        #expect(head.hasPrefix("HTTP/1.1 101 "), "\(head)")
        client.close()
        await rig.expectNothingHeld()
    }

    // MARK: Resets

    @Test func `a peer's reset is the client's reset, after all that came before it`()
        async throws
    {
        let peer = try HandPeer()
        let rig = try await Self.rig([PeerDefinition(address: peer.address)])
        // Neither buffer holds it all: the reset comes while bytes still wait in every place.
        let client = try rig.client(receiveBuffer: 4_096)
        let server = try peer.accept()
        let words = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 256) }
        var sent = 0
        while sent < words.count {
            let count = server.sendSome(words[sent...])
            if count == 0 { break }
            sent += count
        }
        server.reset()
        #expect(client.ending() == .reset)
        // What the peer's own kernel had not delivered is lost with its reset.
        #expect(words.starts(with: client.unread))
        #expect(!client.unread.isEmpty)
        await rig.expectNothingHeld()
    }

    /// A reset throws away what the kernel still has to deliver: the client's is held back until then.
    @Test func `a client that is slow still gets what came before the reset`() async throws {
        let peer = try HandPeer()
        let rig = try await Self.rig([PeerDefinition(address: peer.address)])
        let client = try rig.client(receiveBuffer: 4_096)
        let server = try peer.accept()
        let words = [UInt8](repeating: 0x77, count: 200_000)
        var sent = 0
        var seen: [UInt8] = []
        while sent < words.count {
            let count = server.sendSome(words[sent...])
            sent += count
            if count == 0 { seen += try client.read(count: 1_000) }
        }
        // All of it is with the proxy, or on its way from it.
        while server.unsent > 0 { seen += try client.read(count: 1) }
        server.reset()
        #expect(client.ending() == .reset)
        #expect(seen + client.unread == words)
        await rig.expectNothingHeld()
    }

    @Test func `a client's reset is the peer's reset`() async throws {
        let peer = try HandPeer()
        let rig = try await Self.rig([PeerDefinition(address: peer.address)])
        let client = try rig.client()
        let server = try peer.accept()
        try client.send("half a word")
        #expect(try server.read(count: 11) == Array("half a word".utf8))
        client.reset()
        #expect(server.ending() == .reset)
        await rig.expectNothingHeld()
    }

    @Test func `a reset after an end is still a reset`() async throws {
        let peer = try HandPeer()
        let rig = try await Self.rig([PeerDefinition(address: peer.address)])
        let client = try rig.client()
        let server = try peer.accept()
        try server.send("bye")
        server.finishSending()
        #expect(try client.readToEnd() == Array("bye".utf8))
        server.reset()
        // The end has been read; a reset behind it fails the next write.
        let isReset = await eventually { client.sendSome([0x61]) == 0 }
        #expect(isReset)
        await rig.expectNothingHeld()
    }

    @Test(arguments: [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    ])
    func `a peer's reset reaches HTTP clients, after the last byte`(head: String) async throws {
        let peer = try HandPeer()
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: peer.address)])
        ])
        let client = try rig.client()
        try client.send(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        let server = try peer.accept()
        _ = try server.read(through: "\r\n\r\n")
        try server.send(head + "the last word")
        _ = try client.read(through: "the last word")
        server.reset()
        #expect(client.ending() == .reset)
        #expect(!String(decoding: client.unread, as: UTF8.self).contains("0\r\n\r\n"))
        await rig.expectNothingHeld()
    }

    @Test func `megabytes pass both ways`() async throws {
        let piece = String(repeating: "0123456789abcdef", count: 4_096)
        var script: [ScriptedServer.Step] = []
        for _ in 0..<50 { script += [.send(piece), .expect(piece)] }
        let server = try ScriptedServer([script + [.close]])
        defer { server.stop() }
        let rig = try await Self.rig([PeerDefinition(address: server.address)])
        let client = try rig.client()
        for _ in 0..<50 {
            #expect(try client.read(count: piece.utf8.count) == Array(piece.utf8))
            try client.send(piece)
        }
        #expect(client.ending() == .ended)
    }

    @Test func `a refused connection goes to the next peer`() async throws {
        let server = try Self.echo("alive")
        defer { server.stop() }
        let dead = try RefusingPeer()
        defer { withExtendedLifetime(dead) {} }
        let rig = try await Self.rig([
            PeerDefinition(id: "dead", address: dead.address),
            PeerDefinition(id: "alive", address: server.address),
        ])
        for _ in 0..<6 {
            let client = try rig.client()
            #expect(try client.read(through: "\n") == Array("alive\n".utf8))
        }
        await rig.expectNothingHeld()
    }

    @Test func `with nobody there the client is reset`() async throws {
        let dead = try RefusingPeer()
        defer { withExtendedLifetime(dead) {} }
        let rig = try await Self.rig([PeerDefinition(address: dead.address)])
        let client = try rig.client()
        #expect(client.ending() == .reset)
        await rig.expectNothingHeld()
    }

    @Test func `a peer that goes down loses its connections, and only its`() async throws {
        let first = try Self.echo("first")
        let second = try Self.echo("second")
        defer {
            first.stop()
            second.stop()
        }
        let rig = try await Self.rig([
            PeerDefinition(id: "first", address: first.address),
            PeerDefinition(id: "second", address: second.address),
        ])
        var clients: [String: TestClient] = [:]
        for _ in 0..<2 {
            let client = try rig.client()
            let name = String(decoding: try client.read(through: "\n").dropLast(), as: UTF8.self)
            clients[name] = client
        }
        let victim = try #require(clients["first"])
        let survivor = try #require(clients["second"])
        await rig.set("first", .down)
        #expect(victim.ending() == .reset)
        try survivor.send("ping\n")
        #expect(try survivor.read(through: "\n") == Array("pong\n".utf8))
        let next = try rig.client()
        #expect(try next.read(through: "\n") == Array("second\n".utf8))
    }

    @Test func `a peer that drains keeps its connections, and loses them when it goes down`()
        async throws
    {
        let server = try Self.echo("db")
        defer { server.stop() }
        let rig = try await Self.rig([PeerDefinition(id: "db", address: server.address)])
        let client = try rig.client()
        _ = try client.read(through: "\n")
        await rig.set("db", intent: .drain)
        try client.send("ping\n")
        #expect(try client.read(through: "\n") == Array("pong\n".utf8))
        await rig.set("db", .down)
        #expect(client.ending() == .reset)
        await rig.expectNothingHeld()
    }

    @Test func `on-down keep keeps them`() async throws {
        let server = try Self.echo("db")
        defer { server.stop() }
        let rig = try await Self.rig(
            [PeerDefinition(id: "db", address: server.address)],
            onDown: .keep
        )
        let client = try rig.client()
        _ = try client.read(through: "\n")
        await rig.set("db", .down)
        try client.send("ping\n")
        #expect(try client.read(through: "\n") == Array("pong\n".utf8))
    }

    @Test func `a silent tunnel ends at its timeout`() async throws {
        let server = try Self.echo("db")
        defer { server.stop() }
        var timeouts = ProxyRig.patient
        // The peer's greeting has to be there in time.
        timeouts.tunnelIdle = .seconds(2)
        let rig = try await Self.rig(
            [PeerDefinition(address: server.address)],
            timeouts: timeouts
        )
        let client = try rig.client()
        _ = try client.read(through: "\n")
        #expect(client.ending() == .ended)
        await rig.expectNothingHeld()
    }
}
