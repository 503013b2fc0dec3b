// What the proxy answers by itself, and how long it waits for whom.

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct LimitTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func upstream(_ address: Address) -> [UpstreamDefinition] {
        [UpstreamDefinition(name: "web", peers: [PeerDefinition(id: "peer", address: address)])]
    }

    /// Timeouts that a test need not wait for, except one.
    private static func timeouts(
        _ change: (inout ProxyTimeouts) -> Void
    ) -> ProxyTimeouts {
        var timeouts = ProxyRig.patient
        change(&timeouts)
        return timeouts
    }

    struct Row: Sendable, CustomTestStringConvertible {
        var status: Int
        var request: String
        var testDescription: String { "\(status) for \(request.prefix(50).debugDescription)" }
    }

    @Test(arguments: [
        Row(status: 400, request: "GET / HTTP/1.1\r\n\r\n"),
        Row(status: 400, request: "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        Row(status: 400, request: "GET / HTTP/1.1\nHost: a\n\n"),
        Row(status: 400, request: "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"),
        Row(
            status: 400,
            request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        Row(
            status: 400,
            request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
        ),
        Row(
            status: 414,
            request: "GET /" + String(repeating: "a", count: 9_000) + " HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        Row(
            status: 431,
            request: "GET / HTTP/1.1\r\nHost: a\r\nA: " + String(repeating: "a", count: 40_000)
                + "\r\n\r\n"
        ),
        Row(
            status: 431,
            request: "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "A: b\r\n", count: 200)
                + "\r\n"
        ),
        Row(
            status: 501,
            request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        ),
        Row(status: 501, request: "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        Row(status: 505, request: "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        Row(status: 505, request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ])
    func `a bad request is answered, ends the connection and reaches nobody`(
        row: Row
    )
        async throws
    {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        // What follows a refused request is never taken for one.
        try client.send(row.request + Self.get)
        let reply = try client.reply()
        #expect(reply.status == row.status)
        #expect(reply["Connection"] == "close")
        client.finishSending()
        #expect(client.ending() == .ended)
        #expect(client.unread.isEmpty)
        client.close()
        await rig.expectNothingHeld()
        #expect(peer.requests.isEmpty)
        #expect(await rig.report().badRequests == (row.request.hasPrefix("CONNECT") ? 0 : 1))
    }

    @Test func `a chunk that turns out bad ends what was forwarded without its end`()
        async throws
    {
        let server = try ScriptedServer(.expect("never"), .close)
        defer { server.stop() }
        let rig = try await ProxyRig(Self.upstream(server.address))
        let client = try rig.client()
        try client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        let hasCome = await eventually {
            server.receivedText.first?.hasSuffix("3\r\nabc\r\n") == true
        }
        #expect(hasCome)
        try client.send("3\r\ndefG" + Self.get)
        #expect(try client.reply().status == 400)
        client.close()
        await rig.expectNothingHeld()
        #expect(server.connectionCount == 1)
        #expect(server.receivedText.first?.hasSuffix("3\r\nabc\r\n") == true)
    }

    @Test func `a host that nobody serves is 404 and keeps the connection`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            modes: [.http(routes: [RouteConfiguration(host: "h", path: "/a", upstream: "web")])]
        )
        let client = try rig.client()
        try client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply().status == 404)
        #expect(try client.reply(toHead: true).status == 404)
        try client.send("GET /a/b HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply().text == "peer")
        // The body of a request that nobody gets is not read as the next request.
        try client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n" + Self.get)
        let reply = try client.reply()
        #expect(reply.status == 404)
        #expect(reply["Connection"] == "close")
        client.finishSending()
        #expect(client.ending() == .ended)
        client.close()
        await rig.expectNothingHeld()
    }

    // MARK: Timeouts

    @Test func `a head that does not come to its end is 408`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.requestHead = .milliseconds(200) }
        )
        let client = try rig.client()
        try client.send("GET / HTTP/1.1\r\nHo")
        let reply = try client.reply()
        #expect(reply.status == 408)
        #expect(reply["Connection"] == "close")
        #expect(peer.connections == 0)
    }

    @Test func `a connection that is not used is closed without a word`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.clientIdle = .milliseconds(200) }
        )
        let silent = try rig.client()
        #expect(silent.ending() == .ended)
        #expect(silent.unread.isEmpty)
        await rig.expectNothingHeld()
    }

    @Test func `a connection that was used and then is not is closed without a word`() async throws
    {
        let peer = try TestPeer()
        // Long enough that the request is there in time on any machine.
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.clientIdle = .seconds(2) }
        )
        let used = try rig.client()
        try used.send(Self.get)
        #expect(try used.reply().status == 200)
        #expect(used.ending() == .ended)
        #expect(used.unread.isEmpty)
        await rig.expectNothingHeld()
    }

    @Test func `so is one whose last answer was the proxy's own`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts {
                $0.clientIdle = .seconds(2)
                $0.bodyIdle = .seconds(600)
            }
        )
        let client = try rig.client()
        try client.send("TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n")
        #expect(try client.reply().status == 200)
        #expect(client.ending() == .ended)
        #expect(client.unread.isEmpty)
        await rig.expectNothingHeld()
    }

    @Test func `a body that does not come is 408`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.bodyIdle = .milliseconds(200) }
        )
        let client = try rig.client()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        let reply = try client.reply()
        #expect(reply.status == 408)
        #expect(reply["Connection"] == "close")
        client.close()
        await rig.expectNothingHeld()
        #expect(peer.requests.isEmpty)
    }

    @Test func `a peer that takes no body is 504`() async throws {
        let peer = try UnreadingPeer()
        // As long as no client of a busy machine pauses: that would be 408.
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.bodyIdle = .seconds(3) }
        )
        let client = try rig.client()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
        let piece = [UInt8](repeating: 0x61, count: 1_000_000)
        // Room comes and goes until every buffer on the way to the peer is full.
        for _ in 0..<2_000 where !client.canRead(within: 5) { _ = client.sendSome(piece) }
        #expect(try client.reply().status == 504)
    }

    @Test func `a peer that does not answer is 504, and is not asked twice`() async throws {
        let first = try TestPeer("first") { _ in [.stall] }
        let second = try TestPeer("second") { _ in [.stall] }
        let rig = try await ProxyRig(
            [first, second],
            timeouts: Self.timeouts { $0.response = .seconds(2) }
        )
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 504)
        #expect(first.requests.count + second.requests.count == 1)
        // The client may go on.
        try client.send(Self.get)
        #expect(try client.reply().status == 504)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a peer that goes silent within its answer is cut`() async throws {
        let peer = try TestPeer { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), .stall]
        }
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.bodyIdle = .milliseconds(200) }
        )
        let client = try rig.client()
        try client.send(Self.get)
        _ = try client.read(through: "half")
        #expect(client.ending() == .reset)
        await rig.expectNothingHeld()
    }

    @Test func `a client that stops reading is cut`() async throws {
        let body = [UInt8](repeating: 0x61, count: 20_000_000)
        let peer = try TestPeer { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n"), .sendBytes(body)]
        }
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.bodyIdle = .milliseconds(300) }
        )
        let client = try rig.client(receiveBuffer: 4_096)
        try client.send(Self.get)
        let hasBegun = await eventually { peer.requests.count == 1 }
        #expect(hasBegun)
        await rig.expectNothingHeld()
        #expect(client.ending() == .reset)
        // What waits for the client is no fault of the peer's.
        #expect(await rig.totals("peer").responseFailures == 0)
    }

    @Test func `a client that reads slowly is not cut while it reads`() async throws {
        let body = [UInt8](repeating: 0x61, count: 20_000_000)
        let peer = try TestPeer { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n"), .sendBytes(body)]
        }
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.bodyIdle = .seconds(2) }
        )
        let client = try rig.client(receiveBuffer: 65_536)
        try client.send(Self.get)
        _ = try client.read(through: "\r\n\r\n")
        // Longer in all than anybody may be idle.
        for _ in 0..<20 {
            _ = try client.read(count: 1_000_000)
            client.pause(milliseconds: 120)
        }
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `an answer that comes slowly is not cut while it comes`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"),
            // Longer in all than anybody may be idle.
            .pieces(Array(repeating: "x", count: 8), everyMilliseconds: 400)
        )
        defer { server.stop() }
        let rig = try await ProxyRig(
            Self.upstream(server.address),
            timeouts: Self.timeouts { $0.bodyIdle = .seconds(2) }
        )
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().text == "xxxxxxxx")
    }

    @Test func `a connection that hangs goes to the next peer in time`() async throws {
        let hanging = try HangingListener(ip: "127.0.0.1", port: freePort())
        let peer = try TestPeer("alive")
        let rig = try await ProxyRig(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: [
                        PeerDefinition(id: "hanging", address: hanging.address),
                        PeerDefinition(id: "alive", address: peer.address),
                    ]
                )
            ],
            timeouts: Self.timeouts { $0.connect = .seconds(1) }
        )
        let client = try rig.client()
        for _ in 0..<2 {
            try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
            #expect(try client.reply().text == "alive")
        }
        #expect(await rig.totals("hanging").connectFailures == 1)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `idle connections to a peer end by themselves`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig(
            Self.upstream(peer.address),
            timeouts: Self.timeouts { $0.peerIdle = .milliseconds(100) }
        )
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 200)
        let isGone = await eventually { await rig.holdings().idleLinks == 0 }
        #expect(isGone)
        client.close()
        await rig.expectNothingHeld()
    }

    // MARK: Counts

    @Test func `one client too many is told so`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer { _ in [.wait(gate), .send(TestPeer.ok("x"))] }
        var limits = ProxyLimits()
        limits.clientConnections = 2
        let rig = try await ProxyRig(Self.upstream(peer.address), limits: limits)
        let first = try rig.client()
        let second = try rig.client()
        for client in [first, second] { try client.send(Self.get) }
        let areServed = await eventually { peer.requests.count == 2 }
        #expect(areServed)
        let third = try rig.client()
        let reply = try third.reply()
        #expect(reply.status == 503)
        #expect(reply["Connection"] == "close")
        #expect(third.ending() == .ended)
        for _ in 0..<3 { gate.open() }
        for client in [first, second] { #expect(try client.reply().status == 200) }
        first.close()
        let hasRoom = await eventually { await rig.holdings().clients == 1 }
        #expect(hasRoom)
        let fourth = try rig.client()
        try fourth.send(Self.get)
        #expect(try fourth.reply().status == 200)
        #expect(await rig.report().connectionsRefused == 1)
    }

    @Test func `only so many idle connections to a peer are kept`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer { _ in [.wait(gate), .send(TestPeer.ok("x"))] }
        var limits = ProxyLimits()
        limits.idlePeerConnections = 3
        let rig = try await ProxyRig(Self.upstream(peer.address), limits: limits)
        let clients = try (0..<8).map { _ in try rig.client() }
        for client in clients { try client.send(Self.get) }
        let areAllThere = await eventually { peer.requests.count == 8 }
        #expect(areAllThere)
        #expect(await rig.totals("peer").inFlight == 8)
        for _ in clients { gate.open() }
        for client in clients { #expect(try client.reply().status == 200) }
        #expect(await rig.holdings().idleLinks == 3)
    }

    @Test func `a peer takes no more than its connections`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer { _ in [.wait(gate), .send(TestPeer.ok("x"))] }
        let rig = try await ProxyRig([
            UpstreamDefinition(
                name: "web",
                peers: [PeerDefinition(id: "peer", address: peer.address, maxConnections: 2)]
            )
        ])
        let clients = try (0..<3).map { _ in try rig.client() }
        for client in clients.prefix(2) { try client.send(Self.get) }
        let areAllThere = await eventually { peer.requests.count == 2 }
        #expect(areAllThere)
        try clients[2].send(Self.get)
        #expect(try clients[2].reply().status == 503)
        for _ in 0..<2 { gate.open() }
        for client in clients.prefix(2) { #expect(try client.reply().status == 200) }
    }
}
