// Groups: some peers of an upstream under a name. What is found of a peer holds for every group that it is in.

import EventLoop
import HTTP1
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct RouteGroupTests {
    private static func get(_ host: String) -> String { "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n" }

    /// Every host is a group of its name.
    private static func rig(
        _ peers: [TestPeer],
        manners: ProxyManners = ProxyManners()
    ) async throws -> ProxyRig {
        var pool = UpstreamDefinition(
            name: "pool",
            peers: peers.map { PeerDefinition(id: $0.name, address: $0.address) },
            allDown: .failClosed
        )
        pool.eject.failures = 1
        return try await ProxyRig(
            [pool],
            modes: [.http(routes: [])],
            manners: manners,
            lookup: { .upstream("group/\($0)", for: .seconds(600)) }
        )
    }

    private static func group(
        _ host: String,
        _ members: [(String, Int)],
        manners: GroupManners = GroupManners()
    ) -> RouteGroup {
        RouteGroup(
            name: "group/\(host)",
            upstream: "pool",
            members: members.map { RouteGroup.Member(peer: $0.0, weight: $0.1) },
            manners: manners
        )
    }

    private static func answers(
        _ count: Int,
        _ host: String,
        _ rig: ProxyRig
    ) throws -> [String: Int] {
        let client = try rig.client()
        defer { client.close() }
        var counts: [String: Int] = [:]
        for _ in 0..<count {
            try client.send(get(host))
            let reply = try client.reply()
            counts[reply.status == 200 ? reply.text : "\(reply.status)", default: 0] += 1
        }
        return counts
    }

    @Test func `a group has its members by their weights, and no others`() async throws {
        let peers = try ["a", "b", "c"].map { try TestPeer($0) }
        let rig = try await Self.rig(peers)
        await rig.proxy.call { $0.bring(Self.group("one", [("a", 1), ("b", 3)])) }
        await rig.proxy.call { $0.bring(Self.group("two", [("c", 1)])) }
        #expect(try Self.answers(8, "one", rig) == ["a": 2, "b": 6])
        #expect(try Self.answers(3, "two", rig) == ["c": 3])
        // Counted where the peers are.
        #expect(await rig.totals("b", in: "pool").requests == 6)
        #expect(await rig.report().peers.keys.allSatisfy { $0.upstream == "pool" })
        await rig.proxy.call { $0.bring(Self.group("one", [("c", 1), ("a", 1)])) }
        #expect(try Self.answers(4, "one", rig) == ["a": 2, "c": 2])
        await rig.proxy.call { proxy in
            proxy.forget([.exact("one")])
            proxy.removeGroup("group/one")
            #expect(proxy.groupCount == 1)
        }
        #expect(try Self.answers(1, "one", rig) == ["503": 1])
        #expect(try Self.answers(3, "two", rig) == ["c": 3])
    }

    @Test func `what is found of a peer holds in all its groups`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        let rig = try await Self.rig(peers)
        var manners = GroupManners()
        manners.nobodyStatus = 502
        let groups = [
            Self.group("one", [("a", 1), ("b", 1)]),
            Self.group("two", [("a", 1)], manners: manners),
        ]
        await rig.proxy.call { for group in groups { $0.bring(group) } }
        await rig.set("a", .down, in: "pool")
        #expect(try Self.answers(4, "one", rig) == ["b": 4])
        #expect(try Self.answers(1, "two", rig) == ["502": 1])
        await rig.set("a", .up, in: "pool")
        #expect(try Self.answers(4, "one", rig) == ["a": 2, "b": 2])
        #expect(try Self.answers(2, "two", rig) == ["a": 2])
        await rig.define([UpstreamDefinition(name: "pool", peers: [])])
        #expect(try Self.answers(1, "one", rig) == ["503": 1])
    }

    @Test func `whoever asks is told who answered, where that is set`() async throws {
        let peer = try TestPeer("a")
        defer { withExtendedLifetime(peer) {} }
        let rig = try await Self.rig([peer])
        var group = Self.group("one", [("a", 1)])
        group.debug = ["a": "X-Debug-Backend-Url: http://a\r\nX-Debug-Backend-Id: 0\r\n"]
        let told = group
        await rig.proxy.call { $0.bring(told) }
        await rig.proxy.call { $0.bring(Self.group("two", [("a", 1)])) }
        let client = try rig.client()
        for (host, field, isTold) in [
            ("one", "X-Debug: true", true), ("one", "x-debug-router: 1", true),
            ("one", "X-Debug-Not: 1", false), ("one", "X-Debug:", false),
            ("two", "X-Debug: 1", false),
        ] {
            try client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\(field)\r\n\r\n")
            let reply = try client.reply()
            #expect(reply.status == 200 && reply.text == "a")
            #expect(reply["X-Debug-Backend-Url"] == (isTold ? "http://a" : nil))
            #expect((reply["X-Debug-Time-Total"].flatMap { Int($0) } != nil) == isTold)
            #expect((reply["X-Debug-Time-Backend"].flatMap { Int($0) } != nil) == isTold)
        }
    }

    /// Clients that take an early end for the whole answer wait for the rest instead, as they did with hipache.
    @Test(arguments: [true, false])
    func `an answer that breaks off leaves its client waiting, where that is asked for`(
        holds: Bool
    ) async throws {
        let short = try TestPeer("a") { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\ntest"), .close]
        }
        let rig = try await Self.rig([short])
        var manners = GroupManners()
        manners.holdsCuts = holds
        let group = Self.group("one", [("a", 1)], manners: manners)
        await rig.proxy.call { $0.bring(group) }
        let client = try rig.client()
        let gone = try rig.client()
        try client.send(Self.get("one"))
        try gone.send(Self.get("one"))
        let began = Clock.instant()
        for client in [client, gone] {
            #expect(try client.read(through: "test").count > 4)
        }
        gone.close()
        #expect(client.ending() == .ended)
        let took = Clock.instant() - began
        #expect((took > .milliseconds(1_500)) == holds)
        #expect(took < .seconds(10))
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `one bad answer takes a peer out of all its groups, but not as the last of one`()
        async throws
    {
        let bad = try TestPeer("a") { _ in
            [.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")]
        }
        let good = try TestPeer("b")
        let rig = try await Self.rig([bad, good])
        let groups = [
            Self.group("one", [("a", 1), ("b", 1)]), Self.group("two", [("a", 1)]),
        ]
        await rig.proxy.call { for group in groups { $0.bring(group) } }
        #expect(try Self.answers(2, "one", rig) == ["502": 1, "b": 1])
        #expect(
            await eventually {
                await rig.board.call {
                    $0.view(of: PeerKey(upstream: "pool", peer: "a"))?.routing == .ejected
                }
            }
        )
        await rig.settled()
        #expect(try Self.answers(6, "one", rig) == ["b": 6])
        #expect(try Self.answers(1, "two", rig) == ["502": 1], "asked all the same")
        #expect(bad.requests.count == 2)
    }

    /// The members are counted, not looked at one by one for each of their changes: three thousand changes of a
    /// group of as many held the loop that probes for most of a minute.
    @Test(.timeLimit(.minutes(1)))
    func `each change of one of thousands in a group costs the same as of one alone`() async throws
    {
        let names = (0..<4_000).map { "p\($0)" }
        let pool = UpstreamDefinition(
            name: "pool",
            peers: names.map { PeerDefinition(id: $0, address: .unix(path: "/none/\($0)")) },
            panicThreshold: 0.5,
            allDown: .failOpen
        )
        let rig = try await ProxyRig([pool], modes: [.http(routes: [])])
        let group = Self.group("one", names.map { ($0, 1) })
        await rig.proxy.call { $0.bring(group) }
        for status in [HealthCounter.Status.up, .down, .up] {
            await rig.set(all: names, status, in: "pool")
            let (available, isPanic) = await rig.worker.call { worker in
                (
                    (0..<worker.pool.peerCount).count { worker.pool.peers[$0].isAvailable },
                    (0..<2).map { worker.pool.upstreams[$0].isPanic }
                )
            }
            #expect(available == (status == .up ? names.count * 2 : 0))
            #expect(isPanic == [status == .down, status == .down])
        }
    }

    @Test func `a 500 and a 503 that says when to come again are excused where that is asked for`()
        async throws
    {
        let peer = try TestPeer("a") { request in
            let status =
                request.line.contains("/later") ? "503 Later\r\nretry-After: 5" : "500 Oops"
            return [.send("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n")]
        }
        let rig = try await Self.rig([peer, try TestPeer("b")])
        var manners = GroupManners()
        manners.excusesStatuses = true
        let group = Self.group("one", [("a", 1)], manners: manners)
        await rig.proxy.call { $0.bring(group) }
        let client = try rig.client()
        for path in ["/", "/later", "/"] {
            try client.send("GET \(path) HTTP/1.1\r\nHost: one\r\n\r\n")
            #expect(try client.reply().status >= 500)
        }
        let totals = await rig.totals("a", in: "pool")
        #expect(totals.responses[5] == 3)
        let runs = await rig.worker.call { worker in
            (0..<worker.pool.peerCount).map { worker.pool.peers[$0].counters.run }
        }
        #expect(runs.allSatisfy { $0 == 0 })
    }

    @Test func `peers are told more where that is asked for`() async throws {
        let peer = try TestPeer("a")
        let rig = try await Self.rig([peer])
        var manners = GroupManners()
        manners.tellsMore = true
        let group = Self.group("one", [("a", 1)], manners: manners)
        await rig.proxy.call { $0.bring(group) }
        let client = try rig.client()
        try client.send("GET / HTTP/1.1\r\nHost: one:8080\r\nX-Real-IP: 6.6.6.6\r\n\r\n")
        #expect(try client.reply().status == 200)
        let request = try #require(peer.requests.first)
        #expect(request["X-Real-IP"] == "127.0.0.1")
        #expect(request["X-Forwarded-For"] == "127.0.0.1")
        #expect(request["X-Forwarded-Protocol"] == "http")
        #expect(request["X-Forwarded-Proto"] == "http")
        #expect(request["X-Forwarded-Port"] == "8080")
    }

    @Test func `what a request says of where it came from is kept where that is asked for`()
        async throws
    {
        let peer = try TestPeer("a")
        let rig = try await Self.rig([peer])
        var manners = GroupManners()
        manners.tellsMore = true
        manners.keepsForwarded = true
        let group = Self.group("one", [("a", 1)], manners: manners)
        await rig.proxy.call { $0.bring(group) }
        let client = try rig.client()
        let said = [
            ("X-Forwarded-For", "6.6.6.6"), ("X-Real-IP", "7.7.7.7"),
            ("X-Forwarded-Proto", "https"),
            ("x-forwarded-protocol", "https"), ("X-Forwarded-Port", "443"),
            ("Forwarded", "for=6.6.6.6"), ("X-Forwarded-Host", "front"),
        ]
        let usual = [
            "127.0.0.1", "127.0.0.1", "http", "http", "8080", nil, nil,
        ]
        for silent in 0...said.count {
            // Each is missing once, and in the end none.
            let lines = said.enumerated().filter { $0.offset != silent }
                .map { "\($0.element.0): \($0.element.1)\r\n" }
            try client.send("GET / HTTP/1.1\r\nHost: one:8080\r\n\(lines.joined())\r\n")
            #expect(try client.reply().status == 200)
            let request = try #require(peer.requests.last)
            for (index, (name, value)) in said.enumerated() {
                #expect(request[name] == (index == silent ? usual[index] : value), "\(name)")
            }
        }
        // A client cannot have taken away what the proxy in front said, and what looks like it is not it.
        try client.send(
            "GET / HTTP/1.1\r\nHost: one\r\nConnection: X-Real-IP\r\nX-Real-IP: 7.7.7.7\r\n"
                + "X_Forwarded_For: 6.6.6.6\r\n\r\n"
        )
        #expect(try client.reply().status == 200)
        let request = try #require(peer.requests.last)
        #expect(request["X-Real-IP"] == "7.7.7.7")
        #expect(request["X-Forwarded-For"] == "127.0.0.1")
        #expect(request["X_Forwarded_For"] == nil)
        #expect(request["X-Forwarded-Port"] == "80")
    }
}

@Suite struct StaleHostTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    @Test(arguments: [
        (StaleHosts.exact("a.foo.test"), ["a.foo.test"]),
        (.under(".foo.test"), ["a.foo.test", "b.foo.test"]),
        (.under(".test"), ["a.foo.test", "b.foo.test", "foo.test"]),
        (.all, ["a.foo.test", "b.foo.test", "foo.test", "other"]),
        (.exact("none"), []),
    ])
    func `only hosts that may be otherwise are asked for again`(stale: StaleHosts, gone: [String]) {
        var book = HostBook()
        let hosts = ["a.foo.test", "b.foo.test", "foo.test", "other"]
        func key(_ host: String) -> UInt64 {
            Array(host.utf8).withUnsafeBufferPointer { book.key(of: $0) ?? 0 }
        }
        for host in hosts {
            let key = key(host)
            Array(host.utf8).withUnsafeBufferPointer { _ = book.ask($0, at: key, now: Self.start) }
            _ = book.take(.upstream(1), at: key, until: Self.start + .seconds(60))
        }
        book.forget(stale)
        let left = hosts.filter { book.answer(at: key($0)) == .upstream(1) }
        #expect(Set(left) == Set(hosts).subtracting(gone))
        for host in gone { #expect(book.isDue(at: key(host), now: Self.start), "\(host)") }
    }

    @Test func `one that is being asked for keeps those who wait, and forgets what was known`() {
        var book = HostBook()
        Array("a".utf8).withUnsafeBufferPointer { host in
            let key = book.key(of: host) ?? 0
            _ = book.ask(host, at: key, now: Self.start)
            _ = book.take(HostBook.Answer.none, at: key, until: Self.start)
            _ = book.ask(host, at: key, now: Self.start)
            book.setFirst(7, at: key)
            book.forget(.all)
            #expect(book.answer(at: key) == .unknown)
            #expect(!book.isDue(at: key, now: Self.start))
            #expect(book.take(.upstream(3), at: key, until: Self.start).first == 7)
            #expect(book.asked == 0)
        }
    }
}

@Suite struct ForeignMannersTests {
    private static func rig(_ manners: ProxyManners, _ peer: TestPeer) async throws -> ProxyRig {
        try await ProxyRig(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: [PeerDefinition(id: "a", address: peer.address)]
                )
            ],
            modes: [.http(routes: [RouteConfiguration(host: "known", upstream: "web")])],
            manners: manners
        )
    }

    @Test func `a ping is answered, and a host that nobody has is 400`() async throws {
        var manners = ProxyManners()
        manners.answersPing = true
        manners.absentStatus = 400
        let peer = try TestPeer("a")
        let rig = try await Self.rig(manners, peer)
        let client = try rig.client()
        for path in ["/", "/any"] {
            try client.send("GET \(path) HTTP/1.1\r\nHost: __ping__\r\n\r\n")
            let reply = try client.reply()
            #expect(reply.status == 200)
            #expect(reply.text == "ok")
        }
        try client.send("GET / HTTP/1.1\r\nHost: other\r\n\r\n")
        #expect(try client.reply().status == 400)
        #expect(peer.requests.isEmpty)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `texts of another proxy take the place of a sentence`() async throws {
        var manners = ProxyManners()
        manners.answersPing = true
        manners.pingAnswer = "OK"
        manners.absentStatus = 400
        manners.texts = [400: "no such route", 503: "all backends are dead"]
        let peer = PeerDefinition(id: "a", address: .host("127.0.0.1", port: 1))
        let rig = try await ProxyRig(
            [UpstreamDefinition(name: "web", peers: [peer], allDown: .failClosed)],
            modes: [.http(routes: [RouteConfiguration(host: "known", upstream: "web")])],
            manners: manners
        )
        await rig.set(all: ["a"], .down, in: "web")
        let client = try rig.client()
        try client.send("GET / HTTP/1.1\r\nHost: __ping__\r\n\r\n")
        #expect(try client.reply().text == "OK")
        try client.send("GET / HTTP/1.1\r\nHost: other\r\n\r\n")
        let absent = try client.reply()
        #expect(absent.status == 400)
        #expect(absent.text == "no such route")
        try client.send("GET / HTTP/1.1\r\nHost: known\r\n\r\n")
        let dead = try client.reply()
        #expect(dead.status == 503)
        #expect(dead.text == "all backends are dead")
        try client.send("GET /  HTTP/1.1\r\n\r\n")
        let bad = try client.reply()
        #expect(bad.status == 400)
        #expect(bad.text.hasPrefix("400 Bad Request: "))
    }

    @Test func `pages of its own take the place of a sentence`() async throws {
        var manners = ProxyManners()
        manners.errorPages = [404: "<h1>gone</h1>", 0: "<h1>sorry</h1>"]
        let rig = try await Self.rig(manners, try TestPeer("a"))
        let client = try rig.client()
        try client.send("GET / HTTP/1.1\r\nHost: other\r\n\r\n")
        let reply = try client.reply()
        #expect(reply.status == 404)
        #expect(reply["Content-Type"] == "text/html")
        #expect(reply["Cache-Control"] == "no-cache")
        #expect(reply.text == "<h1>gone</h1>")
        try client.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        #expect(try client.reply().text == "<h1>sorry</h1>")
    }

    @Test func `a head of bare LF is forwarded well-formed, where that is asked for`() async throws
    {
        let head = "GET /pipo&%$#(PIPO HTTP/1.1\nHost: known\nX-A: 1\nX-Real-IP: 6.6.6.6\n\n"
        var manners = ProxyManners()
        manners.isLenientToClients = true
        let peer = try TestPeer("a")
        let rig = try await Self.rig(manners, peer)
        let client = try rig.client()
        try client.send(head + "GET /2 HTTP/1.1\r\nHost: known\r\n\r\n")
        for _ in 0..<2 { #expect(try client.reply().status == 200) }
        let request = try #require(peer.requests.first)
        #expect(request.line == "GET /pipo&%$ HTTP/1.1")
        #expect(request["X-A"] == "1")
        #expect(request["X-Real-IP"] == nil)
        let text = String(decoding: request.bytes, as: UTF8.self)
        #expect(!text.replacing("\r\n", with: "").contains("\n"))
        let strict = try await Self.rig(ProxyManners(), peer)
        let other = try strict.client()
        try other.send(head)
        #expect(try other.reply().status == 400)
    }
}
