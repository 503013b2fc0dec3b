// Does a client come back to its peer, and only as long as that can serve it?

import EventLoop
import HTTP1
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct StickyTests {
    private static func rig(
        _ peers: [TestPeer],
        _ sticky: StickyDefinition = StickyDefinition(cookie: "peer")
    ) async throws -> ProxyRig {
        let peers = peers.map { PeerDefinition(id: $0.name, address: $0.address, maxFails: 0) }
        return try await ProxyRig([UpstreamDefinition(name: "web", peers: peers, sticky: sticky)])
    }

    private static func value(_ peer: String) -> String {
        let digits = String(PeerSnapshot.token(of: peer, in: "web"), radix: 16)
        return String(repeating: "0", count: StickyCookie.digits - digits.count) + digits
    }

    private static func get(_ cookies: String...) -> String {
        "GET / HTTP/1.1\r\nHost: h\r\n\(cookies.map { "Cookie: \($0)\r\n" }.joined())\r\n"
    }

    /// Who answers, and what is set.
    private func ask(_ client: TestClient, _ request: String) throws -> (peer: String, set: String?)
    {
        try client.send(request)
        let reply = try client.reply()
        return (reply.text, reply["Set-Cookie"])
    }

    @Test func `a client without the cookie gets it, and comes back with it`() async throws {
        let peers = try ["a", "b", "c"].map { try TestPeer($0) }
        defer { withExtendedLifetime(peers) {} }
        let rig = try await Self.rig(peers)
        let client = try rig.client()
        var served: Set<String> = []
        for _ in 0..<3 {
            let first = try ask(client, Self.get())
            served.insert(first.peer)
            #expect(
                first.set == "peer=\(Self.value(first.peer)); Path=/; HttpOnly; SameSite=Lax"
            )
            for _ in 0..<4 {
                let next = try ask(client, Self.get("x=1; peer=\(Self.value(first.peer)); y"))
                #expect(next.peer == first.peer)
                #expect(next.set == nil)
            }
        }
        #expect(served == ["a", "b", "c"])
    }

    @Test func `what names nobody is as if it were not there`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        defer { withExtendedLifetime(peers) {} }
        let rig = try await Self.rig(peers)
        let client = try rig.client()
        let b = Self.value("b")
        for garbage in [
            "peer=", "peer", "peer=\(b)0", "peer=\(b.dropLast())", "peer=\"\(b)\"",
            "peer=\(b.uppercased())", "Peer=\(b)", "xpeer=\(b)", "peer=0000000000000000",
            "peer=zzzzzzzzzzzzzzzz", "peer==\(b)", ";;;=;", "other=peer=\(b)",
            "peer=\(String(repeating: "a", count: 4_000))",
        ] {
            #expect(try ask(client, Self.get(garbage)).set != nil, "\(garbage)")
            // Behind it the right one still counts, in one field or in another.
            for request in [Self.get("\(garbage); peer=\(b)"), Self.get(garbage, "peer=\(b)")] {
                let answer = try ask(client, request)
                #expect(answer.peer == "b" && answer.set == nil, "\(garbage)")
            }
        }
        // The first that names somebody counts.
        let both = try ask(client, Self.get("peer=\(Self.value("a")); peer=\(b)"))
        #expect(both.peer == "a" && both.set == nil)
    }

    @Test func `who drains keeps its clients and gets nobody new`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        defer { withExtendedLifetime(peers) {} }
        let rig = try await Self.rig(peers)
        let client = try rig.client()
        let mine = Self.get("peer=\(Self.value("a"))")
        await rig.set("a", .up)
        await rig.set("a", intent: .drain)
        for _ in 0..<4 {
            #expect(try ask(client, mine).peer == "a")
            #expect(try ask(client, Self.get()).peer == "b")
        }
        // Down while it drains, it loses them, and the new one is told.
        await rig.set("a", .down)
        let moved = try ask(client, mine)
        #expect(moved.peer == "b")
        #expect(moved.set?.hasPrefix("peer=\(Self.value("b"));") == true)
        await rig.set("a", .up)
        #expect(try ask(client, mine).peer == "a")
        await rig.set("a", intent: .maint)
        #expect(try ask(client, mine).peer == "b")
        await rig.set("a", intent: .ready)
        #expect(try ask(client, mine).peer == "a")
    }

    @Test func `who fails the request loses the client to who answers it`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        defer { withExtendedLifetime(peers) {} }
        let rig = try await Self.rig(peers)
        let client = try rig.client()
        peers[0].stop()
        let answer = try ask(client, Self.get("peer=\(Self.value("a"))"))
        #expect(answer.peer == "b")
        #expect(answer.set?.hasPrefix("peer=\(Self.value("b"));") == true)
    }

    @Test func `a peer's own cookies are its own`() async throws {
        let peer = try TestPeer("a") { _ in
            [.send(TestPeer.ok("a", fields: "Set-Cookie: peer=own\r\nSet-Cookie: b=2\r\n"))]
        }
        let rig = try await Self.rig([peer], StickyDefinition(cookie: "s", secure: .always))
        let client = try rig.client()
        try client.send(Self.get("peer=own"))
        let head = try client.reply().head
        let lines = head.split(separator: "\r\n").filter { $0.hasPrefix("Set-Cookie") }
        #expect(
            lines == [
                "Set-Cookie: peer=own", "Set-Cookie: b=2",
                "Set-Cookie: s=\(Self.value("a")); Path=/; HttpOnly; SameSite=Lax; Secure",
            ]
        )
        #expect(peer.requests.last?.head.contains("Cookie: peer=own") == true)
    }

    @Test func `a cookie leads to peers of its own upstream only`() {
        let crowd = Crowd("round-robin")
        #expect(crowd.pool.peer(of: 0, token: 0) == -1)
        var pool = PeerPool()
        defer { pool.destroy() }
        for upstream: Int32 in 0..<2 {
            pool.set(upstream, UpstreamSettings(balance: BalanceDefinition(), closes: .keep))
        }
        var dice = Dice(seed: 5)
        var known: [Int32: UInt64] = [:]
        for step in 0..<3_000 {
            let number = Int32.random(in: 0..<300, using: &dice)
            if known.removeValue(forKey: number) != nil {
                pool.remove(number)
            } else {
                let id = "peer \(step)"
                let snapshot = PeerSnapshot(
                    identity: PeerSnapshot.identity(of: id),
                    token: PeerSnapshot.token(of: id, in: "web"),
                    centiweight: 100,
                    isAvailable: true,
                    isDown: false,
                    isEligibleInPanic: true,
                    isBackup: false
                )
                _ = pool.set(number, upstream: number % 2, snapshot)
                known[number] = snapshot.token
            }
        }
        for (number, token) in known {
            #expect(pool.peer(of: number % 2, token: token) == number)
            #expect(pool.peer(of: 1 - number % 2, token: token) == -1)
        }
    }

    @Test func `the value is the same on every agent and after every restart`() {
        #expect(Self.value("10.0.0.1:80") == "810717d05e794e54")
    }

    @Test(arguments: [
        (StickyDefinition.Secure.auto, false, "Lax"), (.auto, true, "Lax; Secure"),
        (.always, false, "Lax; Secure"), (.never, true, "Lax"),
    ])
    func `it is secure where the client came over TLS`(
        secure: StickyDefinition.Secure,
        isTLS: Bool,
        ending: String
    ) {
        let cookie = StickyCookie(StickyDefinition(cookie: "c", secure: secure), isTLS: isTLS)
        defer { cookie.destroy() }
        var output = Buffer.make()
        defer { output.free() }
        output.append("HTTP/1.1 200 OK\r\n\r\n")
        cookie.add(0x0123_4567_89AB_CDEF, to: &output)
        #expect(
            output.text
                == "HTTP/1.1 200 OK\r\nSet-Cookie: c=0123456789abcdef; Path=/; HttpOnly; "
                + "SameSite=\(ending)\r\n\r\n"
        )
    }
}
