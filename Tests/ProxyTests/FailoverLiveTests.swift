// Peers fail in every way that peers fail; clients should not notice where that can be helped.

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct FailoverLiveTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"

    private static func dead(_ name: String, _ peer: RefusingPeer) -> PeerDefinition {
        PeerDefinition(id: name, address: peer.address, maxFails: 0)
    }

    private static func alive(_ peer: TestPeer, weight: Int = 1) -> PeerDefinition {
        PeerDefinition(id: peer.name, address: peer.address, weight: weight, maxFails: 0)
    }

    @Test func `shares follow weights`() async throws {
        let light = try TestPeer("light")
        let heavy = try TestPeer("heavy")
        let rig = try await ProxyRig([
            UpstreamDefinition(
                name: "web",
                peers: [Self.alive(light), Self.alive(heavy, weight: 2)]
            )
        ])
        let client = try rig.client()
        for _ in 0..<30 {
            try client.send(Self.get)
            _ = try client.reply()
        }
        #expect(light.requests.count == 10)
        #expect(heavy.requests.count == 20)
    }

    @Test func `backups serve only while the others are gone`() async throws {
        let main = try TestPeer("main")
        let spare = try TestPeer("spare")
        let rig = try await ProxyRig([
            UpstreamDefinition(
                name: "web",
                peers: [
                    Self.alive(main),
                    PeerDefinition(id: "spare", address: spare.address, isBackup: true),
                ],
                allDown: .backup
            )
        ])
        let client = try rig.client()
        func next() throws -> String {
            try client.send(Self.get)
            return try client.reply().text
        }
        #expect(try (0..<4).map { _ in try next() } == ["main", "main", "main", "main"])
        await rig.set("main", .down)
        #expect(try (0..<2).map { _ in try next() } == ["spare", "spare"])
        await rig.set("main", .up)
        #expect(try (0..<2).map { _ in try next() } == ["main", "main"])
        await rig.set("main", intent: .drain)
        #expect(try next() == "spare")
    }

    @Test(arguments: [get, post])
    func `a refused connection costs no request`(request: String) async throws {
        let peer = try TestPeer("alive")
        let (first, second) = (try RefusingPeer(), try RefusingPeer())
        defer { withExtendedLifetime((first, second)) {} }
        let rig = try await ProxyRig([
            UpstreamDefinition(
                name: "web",
                peers: [
                    Self.dead("dead-1", first), Self.dead("dead-2", second), Self.alive(peer),
                ]
            )
        ])
        let client = try rig.client()
        for _ in 0..<30 {
            try client.send(request)
            #expect(try client.reply().text == "alive")
        }
        #expect(peer.requests.count == 30)
        #expect(
            peer.requests.allSatisfy { $0.body == Array((request == Self.post ? "body" : "").utf8) }
        )
        #expect(await rig.totals("dead-1").connectFailures > 0)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `with nobody there the answer is 502, and 503 when nobody may be asked`()
        async throws
    {
        let (first, second) = (try RefusingPeer(), try RefusingPeer())
        defer { withExtendedLifetime((first, second)) {} }
        let rig = try await ProxyRig([
            UpstreamDefinition(
                name: "web",
                peers: [Self.dead("a", first), Self.dead("b", second)],
                allDown: .failClosed
            )
        ])
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 502)
        await rig.set("a", .down)
        await rig.set("b", .down)
        try client.send(Self.get)
        let reply = try client.reply()
        #expect(reply.status == 503)
        #expect(reply["Retry-After"] == "1")
        // An answer of our own does not cost the client its connection.
        try client.send(Self.get)
        #expect(try client.reply().status == 503)
        #expect(await rig.report().unavailable == 2)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `an idle connection that went stale is replaced, once and for free`() async throws {
        // The second request on a connection meets a peer that has just hung up on it.
        let peer = try TestPeer { request in
            request.number == 1 ? [.reset] : [.send(TestPeer.ok("fresh"))]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for _ in 0..<6 {
            try client.send(Self.get)
            #expect(try client.reply().text == "fresh")
        }
        let totals = await rig.totals("peer")
        #expect(totals.responseFailures == 0)
        #expect(totals.retries > 0)
        client.close()
        await rig.expectNothingHeld()
    }

    /// The peer gave up waiting for a request while one was on its way.
    @Test func `a 408 that ends a connection others have used is nobody's answer`() async throws {
        let late =
            "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate"
        let peer = try TestPeer { request in
            request.number == 1 ? [.send(late), .close] : [.send(TestPeer.ok("fresh"))]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for _ in 0..<6 {
            try client.send(Self.get)
            #expect(try client.reply().text == "fresh")
        }
        let totals = await rig.totals("peer")
        #expect(totals.responseFailures == 0)
        #expect(totals.retries > 0)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a 408 on a fresh connection, or one that stays, is an answer`() async throws {
        let peer = try TestPeer { request in
            let isFirst = request.number == 0
            if isFirst, !request.line.contains("/408") { return [.send(TestPeer.ok("peer"))] }
            let close = isFirst ? "Connection: close\r\n" : ""
            let head = "HTTP/1.1 408 Request Timeout\r\n\(close)Content-Length: 4\r\n\r\n"
            return isFirst ? [.send(head + "late"), .close] : [.send(head + "late")]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send("GET /408 HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply().status == 408)
        for status in [200, 408] {
            try client.send(Self.get)
            #expect(try client.reply().status == status)
        }
        #expect(peer.requests.count == 3)
    }

    @Test func `a request that met a stale connection trusts no other idle one`() async throws {
        let peers = try ["a", "b"].map { name in
            try TestPeer(name) { $0.number == 1 ? [.reset] : [.send(TestPeer.ok(name))] }
        }
        let rig = try await ProxyRig(peers)
        let client = try rig.client()
        // Each gets an idle connection that will fail its second request.
        for _ in 0..<2 {
            try client.send(Self.get)
            _ = try client.reply()
        }
        for _ in 0..<4 {
            try client.send(Self.get)
            #expect(try client.reply().status == 200)
        }
    }

    @Test func `a connection that the peer closed is not used for POST`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for _ in 0..<5 {
            try client.send(Self.post)
            #expect(try client.reply().text == "peer")
            peer.hangUp()
            let isGone = await eventually { await rig.holdings().idleLinks == 0 }
            #expect(isGone)
        }
        #expect(peer.requests.count == 5)
    }

    @Test(arguments: [TestPeer.Step.close, .reset])
    func `POST on a connection that dies is answered 502 and never sent twice`(
        step: TestPeer.Step
    ) async throws {
        let first = try TestPeer("first") { request in
            request.line.hasPrefix("POST") ? [step] : [.send(TestPeer.ok("ok"))]
        }
        let second = try TestPeer("second") { request in
            request.line.hasPrefix("POST") ? [step] : [.send(TestPeer.ok("ok"))]
        }
        let rig = try await ProxyRig([first, second])
        let client = try rig.client()
        for number in 1...6 {
            // On fresh connections, and on used ones.
            if number % 2 == 0 {
                try client.send(Self.get)
                #expect(try client.reply().status == 200)
            }
            try client.send(Self.post)
            #expect(try client.reply().status == 502)
            let posts = (first.requests + second.requests).count { $0.line.hasPrefix("POST") }
            #expect(posts == number)
        }
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `GET on a fresh connection that dies goes to another peer`() async throws {
        let bad = try TestPeer("bad") { _ in [.close] }
        let good = try TestPeer("good")
        let rig = try await ProxyRig([bad, good])
        let client = try rig.client()
        for _ in 0..<10 {
            try client.send(Self.get)
            #expect(try client.reply().text == "good")
        }
        #expect(!bad.requests.isEmpty)
        #expect(await rig.totals("bad").responseFailures == UInt64(bad.requests.count))
    }

    @Test func `a body that came in two packets is sent again too`() async throws {
        let bad = try TestPeer("bad") { _ in [.close] }
        let good = try TestPeer("good") { [.sendBytes(Array(TestPeer.ok("").utf8) + $0.body)] }
        let rig = try await ProxyRig([bad, good])
        for _ in 0..<4 {
            let client = try rig.client()
            try client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n")
            await rig.settled()
            try client.send("two")
            await rig.settled()
            try client.send(" pc")
            #expect(try client.reply().status == 200)
        }
        #expect(good.requests.count == 4)
        #expect(good.requests.allSatisfy { $0.body == Array("two pc".utf8) })
        #expect(!bad.requests.isEmpty)
    }

    @Test func `a body too large to keep is not sent again`() async throws {
        let bad = try TestPeer("bad") { _ in [.close] }
        let rig = try await ProxyRig([bad])
        let client = try rig.client()
        let body = [UInt8](repeating: 0x61, count: 200_000)
        try client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n")
        try client.send(body)
        #expect(try client.reply().status == 502)
        #expect(bad.requests.count == 1)
    }

    @Test func `every try ends at a limit`() async throws {
        let peers = try (0..<7).map { try TestPeer("p\($0)") { _ in [.close] } }
        var limits = ProxyLimits()
        limits.tries = 3
        let rig = try await ProxyRig(peers, limits: limits)
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 502)
        #expect(peers.map(\.requests.count).reduce(0, +) == 3)
    }

    @Test func `what is no HTTP is 502 and is not tried elsewhere`() async throws {
        for answer in [
            "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 40_000) + "\r\n\r\n",
            "HTTP/1.1 200",
        ] {
            let bad = try TestPeer("bad") { _ in [.send(answer), .close] }
            let rig = try await ProxyRig([bad])
            let client = try rig.client()
            try client.send(Self.get)
            #expect(try client.reply().status == 502, "\(answer.prefix(60))")
            try client.send(Self.get)
            #expect(try client.reply().status == 502)
            client.close()
            await rig.expectNothingHeld()
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
    ])
    func `an answer that breaks off comes as far as it goes, and does not look whole`(
        answer: String
    )
        async throws
    {
        let bad = try TestPeer("bad") { _ in [.send(answer), .close] }
        let rig = try await ProxyRig([bad])
        let client = try rig.client()
        try client.send(Self.get)
        // All that came, and then an end that the framing shows to be too early.
        #expect(client.ending() == .ended)
        let text = String(decoding: client.unread, as: UTF8.self)
        #expect(text.contains("half"))
        #expect(!text.hasSuffix("0\r\n\r\n"))
        #expect(await rig.report().aborted == 1)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `an answer that is malformed before any of it has left is none`() async throws {
        let bad = try TestPeer("bad") { _ in
            [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n")]
        }
        let good = try TestPeer("good")
        let rig = try await ProxyRig([bad, good])
        let client = try rig.client()
        for _ in 0..<4 {
            try client.send(Self.get)
            #expect(try client.reply().text == "good")
        }
        #expect(!bad.requests.isEmpty)
        try client.send(Self.post)
        let first = try client.reply().status
        try client.send(Self.post)
        #expect(try [first, client.reply().status].sorted() == [200, 502])
        client.close()
        await rig.expectNothingHeld()
    }

    /// The part that has left lay where the next one lies.
    @Test(arguments: ["1.1", "1.0"])
    func `an answer that is malformed after some of it has left is cut, and nothing follows it`(
        version: String
    )
        async throws
    {
        let gate = TestPeer.Gate()
        let bad = try TestPeer("bad") { _ in
            [
                .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
                .wait(gate), .send("5\r\nwhole\r\nzz\r\n"),
            ]
        }
        let good = try TestPeer("good")
        let rig = try await ProxyRig([bad, good])
        await rig.set("good", .down)
        let client = try rig.client()
        try client.send("GET / HTTP/\(version)\r\nHost: h\r\n\r\n")
        _ = try client.read(through: "half")
        await rig.set("good", .up)
        gate.open()
        // A body that its connection ends must not look whole.
        #expect(client.ending() == (version == "1.0" ? .reset : .ended))
        let text = String(decoding: client.unread, as: UTF8.self)
        #expect(!text.contains("HTTP/1.1"), "\(text)")
        #expect(!text.contains("0\r\n\r\n"))
        #expect(good.requests.isEmpty)
        #expect(await rig.report().aborted == 1)
        client.close()
        await rig.expectNothingHeld()
    }

    /// There is no budget at all.
    @Test(arguments: ["GET", "PUT"])
    func `what a peer had when it died is tried elsewhere, once`(method: String) async throws {
        let gate = TestPeer.Gate()
        let (dying, good) = (
            try TestPeer("dying") { _ in [.wait(gate), .close] }, try TestPeer("good")
        )
        let rig = try await ProxyRig(
            Self.web([dying, good]) {
                $0.budgetShare = 0
                $0.budgetMin = 0
            }
        )
        let request = "\(method) / HTTP/1.1\r\nHost: h\r\n\r\n"
        let clients = try (0..<12).map { _ in try rig.client() }
        for client in clients { try client.send(request) }
        #expect(await eventually { dying.requests.count == 6 })
        dying.hangUp()
        let statuses = try clients.map { try $0.reply().status }
        #expect(statuses.count { $0 == 200 } == (method == "GET" ? 12 : 6), "\(statuses)")
        // It goes on to do so.
        for _ in 0..<18 { gate.open() }
        for client in clients { try client.send(request) }
        let later = try clients.map { try $0.reply().status }
        #expect(later.contains(502), "\(later)")
        #expect(!later.contains { $0 != 200 && $0 != 502 })
        for client in clients { client.close() }
        await rig.expectNothingHeld()
    }

    // MARK: What the operator lets be tried again

    private static func web(
        _ peers: [TestPeer],
        _ change: (inout TryingDefinition) -> Void
    ) -> [UpstreamDefinition] {
        var trying = TryingDefinition()
        change(&trying)
        var web = UpstreamDefinition(
            name: "web",
            peers: peers.map { Self.alive($0) },
            trying: trying
        )
        // Whoever fails is asked again: these tests are about what becomes of requests.
        web.eject.isOff = true
        return [web]
    }

    @Test func `half a head, or none, sends a GET to another peer, and no POST`() async throws {
        for answer in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nA: b\r\n"] {
            let bad = try TestPeer("bad") { _ in [.send(answer), .close] }
            let good = try TestPeer("good")
            let rig = try await ProxyRig([bad, good])
            let client = try rig.client()
            for _ in 0..<4 {
                try client.send(Self.get)
                #expect(try client.reply().text == "good", "\(answer)")
            }
            #expect(bad.requests.count == 2)
            try client.send(Self.post + Self.post)
            #expect(try [client.reply().status, client.reply().status].sorted() == [200, 502])
            client.close()
            await rig.expectNothingHeld()
        }
    }

    @Test func `a status that retry-on names is another peer's to answer`() async throws {
        let bad = try TestPeer("bad") { _ in
            [.send("HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad")]
        }
        let good = try TestPeer("good")
        let rig = try await ProxyRig(Self.web([bad, good]) { $0.statuses = [500, 503] })
        let client = try rig.client()
        for _ in 0..<10 {
            try client.send(Self.get)
            #expect(try client.reply().text == "good")
        }
        #expect(bad.requests.count == 5)
        #expect(await rig.totals("bad").responses[5] == 5)
        // What may not be sent twice gets the answer that there is.
        try client.send(Self.post + Self.post)
        #expect(try [client.reply().status, client.reply().status].sorted() == [200, 500])
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `where every peer answers a status that retry-on names, that is the answer`()
        async throws
    {
        let peers = try ["a", "b"].map { name in
            try TestPeer(name) { _ in
                [.send("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno")]
            }
        }
        let rig = try await ProxyRig(Self.web(peers) { $0.statuses = [503] })
        let client = try rig.client()
        try client.send(Self.get)
        let reply = try client.reply()
        #expect(reply.status == 503)
        #expect(reply.text == "no")
        #expect(peers.map(\.requests.count) == [1, 1])
    }

    @Test func `a POST with the key that retry-key names is sent again, and no other`() async throws
    {
        let bad = try TestPeer("bad") { _ in [.close] }
        let good = try TestPeer("good")
        let rig = try await ProxyRig(
            Self.web([bad, good]) { $0.key = "header:idempotency-key" }
        )
        let client = try rig.client()
        let keyed =
            "POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: 7\r\nContent-Length: 4\r\n\r\nbody"
        for _ in 0..<4 {
            try client.send(keyed)
            #expect(try client.reply().text == "good")
        }
        #expect(bad.requests.count == 2)
        try client.send(Self.post + Self.post)
        #expect(try [client.reply().status, client.reply().status].sorted() == [200, 502])
    }

    @Test func `retries and retry-on say how often, and at all`() async throws {
        let peers = try (0..<5).map { try TestPeer("p\($0)") { _ in [.close] } }
        for (retries, tried) in [(0, 1), (1, 2), (3, 4)] {
            let before = peers.map(\.requests.count).reduce(0, +)
            let rig = try await ProxyRig(Self.web(peers) { $0.retries = retries })
            let client = try rig.client()
            try client.send(Self.get)
            #expect(try client.reply().status == 502)
            #expect(peers.map(\.requests.count).reduce(0, +) - before == tried)
        }
        let before = peers.map(\.requests.count).reduce(0, +)
        let rig = try await ProxyRig(Self.web(peers) { $0.occasions = [] })
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 502)
        #expect(peers.map(\.requests.count).reduce(0, +) - before == 1)
    }

    @Test func `what cannot be sent twice takes a fresh connection, unless told otherwise`()
        async throws
    {
        for (reuse, connections) in [(TryingDefinition.Reuse.safe, 4), (.always, 1)] {
            let peer = try TestPeer()
            let rig = try await ProxyRig(Self.web([peer]) { $0.reuse = reuse })
            let client = try rig.client()
            for request in [Self.post, Self.post, Self.post] {
                try client.send(request)
                #expect(try client.reply().status == 200)
            }
            // A GET takes what is there.
            try client.send(Self.get)
            #expect(try client.reply().status == 200)
            try client.send(Self.post)
            #expect(try client.reply().status == 200)
            #expect(peer.connections == connections)
        }
    }

    @Test
    func `a body too long to be kept takes a fresh connection, as one whose end nobody knows`()
        async throws
    {
        let peer = try TestPeer()
        let rig = try await ProxyRig(Self.web([peer]) { _ in })
        let client = try rig.client()
        let head = "PUT / HTTP/1.1\r\nHost: h\r\n"
        let long = Buffer.capacity
        for (request, connections) in [
            ("\(head)Content-Length: 4\r\n\r\nbody", 1),
            ("\(head)Content-Length: 30000\r\n\r\n" + String(repeating: "x", count: 30_000), 1),
            ("\(head)Content-Length: \(long)\r\n\r\n" + String(repeating: "x", count: long), 2),
            ("\(head)Content-Length: 4\r\n\r\nbody", 2),
            ("\(head)Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 3),
            (Self.get, 3),
        ] {
            try client.send(request)
            #expect(try client.reply().status == 200)
            #expect(peer.connections == connections, "\(request.prefix(70))")
        }
    }

    @Test func `a timeout is tried elsewhere where retry-on says so`() async throws {
        let slow = try TestPeer("slow") { _ in [.stall] }
        let good = try TestPeer("good")
        var timeouts = ProxyRig.patient
        timeouts.response = .seconds(1)
        let rig = try await ProxyRig(
            Self.web([slow, good]) { $0.occasions.insert(.responseTimeout) },
            timeouts: timeouts
        )
        let client = try rig.client()
        try client.send(Self.get + Self.get)
        #expect(try client.reply().text == "good")
        #expect(try client.reply().text == "good")
        #expect(slow.requests.count == 1)
    }

    @Test func `a reset does not end a body that only its connection ends`() async throws {
        let gate = TestPeer.Gate()
        let bad = try TestPeer("bad") { _ in
            [.send("HTTP/1.1 200 OK\r\n\r\nhalf"), .wait(gate), .reset]
        }
        let rig = try await ProxyRig([bad])
        let client = try rig.client()
        try client.send(Self.get)
        _ = try client.read(through: "half")
        gate.open()
        #expect(client.ending() == .reset)
        #expect(!String(decoding: client.unread, as: UTF8.self).contains("0\r\n\r\n"))
    }

    @Test func `after an interim response the end can still be told`() async throws {
        let bad = try TestPeer("bad") { _ in
            [.send("HTTP/1.1 103 Early Hints\r\n\r\n"), .close]
        }
        let other = try TestPeer("other") { _ in
            [.send("HTTP/1.1 103 Early Hints\r\n\r\n"), .close]
        }
        let rig = try await ProxyRig([bad, other])
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 103)
        #expect(try client.reply().status == 502)
        #expect(bad.requests.count + other.requests.count == 1)
    }

    /// Both are told to the worker at once, the request first: the bytes were there before it.
    @Test func `bytes that wait on an idle connection answer nobody`() async throws {
        let peer = try HandPeer()
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: peer.address)])
        ])
        let client = try rig.client()
        try client.send(Self.get)
        let first = try peer.accept()
        _ = try first.read(through: "\r\n\r\n")
        try first.send(TestPeer.ok("mine"))
        #expect(try client.reply().text == "mine")
        #expect(await rig.holdings().idleLinks == 1)
        let hold = rig.hold()
        try client.send(Self.get)
        try first.send(TestPeer.ok("poison"))
        hold.release()
        let second = try peer.accept()
        _ = try second.read(through: "\r\n\r\n")
        try second.send(TestPeer.ok("mine again"))
        #expect(try client.reply().text == "mine again")
        #expect(await rig.totals("\(peer.address)").responseFailures == 0)
    }

    /// The second request takes the connection in the same turn in which the first let go of it.
    @Test func `bytes that follow an answer do not answer a pipelined request`() async throws {
        let peer = try HandPeer()
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: peer.address)])
        ])
        let client = try rig.client()
        try client.send(Self.get + Self.get)
        let first = try peer.accept()
        _ = try first.read(through: "\r\n\r\n")
        let hold = rig.hold()
        try first.send(TestPeer.ok("mine"))
        try first.send(TestPeer.ok("poison"))
        hold.release()
        #expect(try client.reply().text == "mine")
        let second = try peer.accept()
        _ = try second.read(through: "\r\n\r\n")
        try second.send(TestPeer.ok("mine again"))
        #expect(try client.reply().text == "mine again")
    }

    @Test func `bytes after a response are not the next one`() async throws {
        let peer = try TestPeer { _ in
            [.send(TestPeer.ok("mine") + TestPeer.ok("poison"))]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for _ in 0..<5 {
            try client.send(Self.get)
            #expect(try client.reply().text == "mine")
        }
        #expect(peer.connections == 5)
        #expect(await rig.holdings().idleLinks == 0)
    }
}
