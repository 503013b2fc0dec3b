// What becomes of requests for which no peer has room?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct QueueTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func web(
        _ peers: [(name: String, address: Address)],
        size: Int,
        timeout: Nanoseconds = .seconds(600),
        most: Int? = 1
    ) -> UpstreamDefinition {
        var web = UpstreamDefinition(
            name: "web",
            peers: peers.map {
                PeerDefinition(id: $0.name, address: $0.address, maxFails: 0, maxConnections: most)
            },
            allDown: .failClosed
        )
        web.queue.size = size
        web.queue.timeout = timeout
        return web
    }

    private static func waiting(_ rig: ProxyRig) async -> Int {
        await rig.worker.call { $0.holdings.waiting }
    }

    private static func comes(to count: Int, _ rig: ProxyRig) async -> Bool {
        await eventually { await waiting(rig) == count }
    }

    /// The first is with the peer, the others wait in this order.
    private static func line(
        of count: Int,
        at peer: HandPeer,
        _ rig: ProxyRig
    ) async throws -> ([TestClient], TestClient) {
        let clients = try (0..<count).map { _ in try rig.client() }
        try clients[0].send("GET /0 HTTP/1.1\r\nHost: h\r\n\r\n")
        let link = try peer.accept()
        #expect(try link.head().hasPrefix("GET /0 "))
        for number in 1..<count {
            try clients[number].send("GET /\(number) HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(await comes(to: number, rig))
        }
        return (clients, link)
    }

    @Test func `they wait their turn, first come first served`() async throws {
        let peer = try HandPeer()
        let rig = try await ProxyRig([Self.web([("peer", peer.address)], size: 3)])
        let (clients, link) = try await Self.line(of: 4, at: peer, rig)
        // The fifth finds no room in the line either.
        let late = try rig.client()
        try late.send(Self.get)
        let reply = try late.reply()
        #expect(reply.status == 503)
        #expect(reply["Retry-After"] == "1")
        #expect(await Self.waiting(rig) == 3)
        for (number, client) in clients.enumerated() {
            if number > 0 { #expect(try link.head().hasPrefix("GET /\(number) ")) }
            try link.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
            #expect(try client.reply().text == "\(number)")
        }
        for client in clients + [late] { client.close() }
        await rig.expectNothingHeld()
    }

    @Test func `whose time is over is told 503`() async throws {
        let peer = try TestPeer { _ in [.stall] }
        let rig = try await ProxyRig([
            Self.web([("peer", peer.address)], size: 3, timeout: .milliseconds(50))
        ])
        let (first, second) = (try rig.client(), try rig.client())
        try first.send(Self.get)
        #expect(await eventually { peer.requests.count == 1 })
        try second.send(Self.get)
        #expect(try second.reply().status == 503)
        #expect(await rig.report().unavailable == 1)
        // Its connection goes on.
        try second.send(Self.get)
        #expect(try second.reply().status == 503)
        first.reset()
        second.close()
        await rig.expectNothingHeld()
    }

    @Test func `who hangs up meanwhile is taken out`() async throws {
        let peer = try HandPeer()
        let rig = try await ProxyRig([Self.web([("peer", peer.address)], size: 3)])
        let (clients, link) = try await Self.line(of: 3, at: peer, rig)
        clients[1].close()
        #expect(await Self.comes(to: 1, rig))
        for number in [0, 2] {
            if number > 0 { #expect(try link.head().hasPrefix("GET /\(number) ")) }
            try link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            #expect(try clients[number].reply().status == 200)
        }
        clients[0].close()
        clients[2].close()
        await rig.expectNothingHeld()
    }

    @Test func `a peer that is back or new serves who waits`() async throws {
        let (one, two) = (try TestPeer("one"), try TestPeer("two"))
        let web = Self.web([("one", one.address)], size: 9, most: nil)
        let rig = try await ProxyRig([web])
        await rig.set("one", .down)
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await Self.comes(to: 1, rig))
        await rig.set("one", .up)
        #expect(try client.reply().text == "one")
        await rig.set("one", .down)
        try client.send(Self.get)
        #expect(await Self.comes(to: 1, rig))
        await rig.define([
            Self.web([("one", one.address), ("two", two.address)], size: 9, most: nil)
        ])
        #expect(try client.reply().text == "two")
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a request that failed elsewhere waits for who is busy`() async throws {
        let busy = try HandPeer()
        let bad = try TestPeer("bad") { _ in [.close] }
        let rig = try await ProxyRig([
            Self.web([("busy", busy.address), ("bad", bad.address)], size: 3)
        ])
        let (first, second) = (try rig.client(), try rig.client())
        // Either goes to the busy one in the end.
        try first.send(Self.get)
        let link = try busy.accept()
        _ = try link.head()
        try second.send(Self.get)
        #expect(await Self.comes(to: 1, rig))
        #expect(bad.requests.count >= 1)
        try link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(try first.reply().status == 200)
        _ = try link.head()
        try link.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        #expect(try second.reply().text == "ok")
        first.close()
        second.close()
        await rig.expectNothingHeld()
    }

    @Test func `a key waits for its peer, but only half of the time`() async throws {
        let gate = TestPeer.Gate()
        let peers = try ["one", "two"].map { name in
            try TestPeer(name) {
                $0.line.contains("slow")
                    ? [.wait(gate), .send(TestPeer.ok(name))] : [.send(TestPeer.ok(name))]
            }
        }
        var web = Self.web(peers.map { ($0.name, $0.address) }, size: 3, timeout: .seconds(1))
        let value = TestSetting.scalar("header:x-user", isQuoted: false).setting(line: 1)
        web.balance = BalanceDefinition(
            name: "consistent-hash",
            settings: [Setting.Entry(key: "key", position: value.position, value: value)]
        )
        let rig = try await ProxyRig([web])
        let (slow, client) = (try rig.client(), try rig.client())
        try slow.send("GET /slow HTTP/1.1\r\nHost: h\r\nX-User: a\r\n\r\n")
        #expect(await eventually { peers.contains { $0.requests.count == 1 } })
        try client.send("GET / HTTP/1.1\r\nHost: h\r\nX-User: a\r\n\r\n")
        #expect(await Self.comes(to: 1, rig))
        let other = try client.reply()
        #expect(other.status == 200)
        gate.open()
        #expect(try slow.reply().text != other.text)
        slow.close()
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a limit is of all threads together`() {
        let slots = PeerSlots()
        #expect(slots.take(upTo: 2) && slots.take(upTo: 2))
        #expect(!slots.take(upTo: 2))
        #expect(slots.isFull(2) && !slots.isFull(3))
        slots.giveBack()
        #expect(slots.take(upTo: 2))
        // A fresh connection in place of one that had gone stale needs no second place.
        slots.takeAnyway()
        slots.giveBack()
        #expect(!slots.take(upTo: 2))
    }

    @Test func `what another thread has counts`() async throws {
        let peer = try TestPeer()
        var web = Self.web([("peer", peer.address)], size: 3, most: 2)
        web.queue.timeout = .seconds(600)
        let rig = try await ProxyRig([web])
        let slots = try #require(
            await rig.worker.call { $0.pool.peers[0].slots?.takeUnretainedValue() }
        )
        slots.takeAnyway()
        slots.takeAnyway()
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await Self.comes(to: 1, rig))
        slots.giveBack()
        #expect(try client.reply().text == "peer")
        client.close()
        await rig.expectNothingHeld()
        #expect(slots.take(upTo: 2) && !slots.take(upTo: 2))
    }

    @Test func `a client waits for the peer of its cookie, but only half of the time`() async throws
    {
        let gate = TestPeer.Gate()
        let peers = try ["one", "two"].map { name in
            try TestPeer(name) {
                $0.line.contains("/slow")
                    ? [.wait(gate), .send(TestPeer.ok(name))] : [.send(TestPeer.ok(name))]
            }
        }
        var web = Self.web(peers.map { ($0.name, $0.address) }, size: 3)
        web.queue.timeout = .seconds(1)
        web.sticky = StickyDefinition(cookie: "peer")
        let rig = try await ProxyRig([web])
        let (slow, client) = (try rig.client(), try rig.client())
        try slow.send(Self.get)
        let first = try slow.reply()
        let cookie = first["set-cookie"]?.prefix { $0 != ";" } ?? ""
        try slow.send("GET /slow HTTP/1.1\r\nHost: h\r\nCookie: \(cookie)\r\n\r\n")
        #expect(
            await eventually {
                peers.contains { $0.requests.contains { $0.line.contains("/slow") } }
            }
        )
        try client.send("GET / HTTP/1.1\r\nHost: h\r\nCookie: \(cookie)\r\n\r\n")
        #expect(await Self.comes(to: 1, rig))
        let other = try client.reply()
        #expect(other.status == 200)
        #expect(other.text != first.text)
        gate.open()
        #expect(try slow.reply().text == first.text)
        slow.close()
        client.close()
        await rig.expectNothingHeld()
    }
}

extension TestClient {
    /// Played by a test: the head of a request.
    fileprivate func head() throws -> String {
        String(decoding: try read(through: "\r\n\r\n"), as: UTF8.self)
    }
}
