// What does the log say of failed requests, how often, and in which words?

import EventLoop
import HTTP1
import Health
import Spans
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct FailureLogTests {
    private static let start = Instant(nanoseconds: 1_000_000_000_000)

    private static func sort(
        _ cause: FailureCause = .refused,
        peer: String? = "a",
        answer: FailureAnswer = .status(502)
    ) -> FailureLog.Sort {
        FailureLog.Sort(upstream: "web", peer: peer, cause: cause, answer: answer)
    }

    @Test func `hosts for which nobody is there are named, some of them`() {
        var log = FailureLog()
        let sort = FailureLog.Sort(
            upstream: "hipache",
            peer: nil,
            cause: .noPeer,
            answer: .status(502)
        )
        log.add(sort, 1, host: "a.test")
        #expect(
            log.lines(at: Instant(nanoseconds: 1)).map(\.text)
                == ["hipache: no peer is available for a.test: answered 502"]
        )
        for host in ["b", "b", "c", "d", "e"] { log.add(sort, 1, host: host) }
        #expect(
            log.lines(at: Instant(nanoseconds: 1) + .seconds(20)).map(\.text)
                == [
                    "hipache: no peer is available for b, c, d and others: answered 502 (5 more in 20 s)"
                ]
        )
    }

    @Test func `the first is told at once, the rest as a number`() {
        var log = FailureLog()
        log.add(Self.sort(), 1)
        #expect(log.next(after: Self.start) == Self.start)
        let first = log.lines(at: Self.start)
        #expect(first.map(\.text) == ["web/a refused the connection: answered 502"])
        #expect(first.first?.level == .warning)
        #expect(log.next(after: Self.start) == nil)
        for _ in 0..<100 { log.add(Self.sort(), 117) }
        let early = log.lines(at: Self.start + .seconds(9))
        #expect(early.isEmpty)
        #expect(log.next(after: Self.start) == Self.start + .seconds(10))
        let later = log.lines(at: Self.start + .seconds(10))
        #expect(
            later.map(\.text)
                == ["web/a refused the connection: answered 502 (11700 more in 10 s)"]
        )
        #expect(log.totals.map(\.count) == [11_701])
    }

    @Test func `a line names the trace of one that it tells of, if one was traced`() throws {
        var log = FailureLog()
        let (one, other) = (TraceID(high: 1, low: 1), TraceID(high: 2, low: 2))
        func traces(at now: Instant) -> [Journal.Field] {
            log.lines(at: now).flatMap(\.fields).filter { $0.key == "trace" }
        }
        log.add(Self.sort(), 1)
        #expect(traces(at: Self.start).isEmpty)
        log.add(Self.sort(), 1)
        log.add(Self.sort(), 1, trace: one)
        log.add(Self.sort(), 1, trace: other)
        let first = "\(try #require(one))"
        #expect(
            traces(at: Self.start + .seconds(10)) == [.init("trace", first, isForPeople: true)]
        )
        // The next line tells of others.
        log.add(Self.sort(), 1)
        #expect(traces(at: Self.start + .seconds(20)).isEmpty)
    }

    @Test func `each peer, cause and answer has its own line`() {
        var log = FailureLog()
        log.add(Self.sort(), 1)
        log.add(Self.sort(peer: "b"), 2)
        log.add(Self.sort(.timeout, answer: .status(504)), 1)
        log.add(Self.sort(answer: .retried), 1)
        log.add(Self.sort(.noPeer, peer: nil, answer: .status(503)), 1)
        log.add(Self.sort(.bodyCut, answer: .cut), 1)
        let lines = log.lines(at: Self.start)
        #expect(
            lines.map(\.text) == [
                "web: no peer is available: answered 503",
                "web/a closed the connection in the middle of a body: the client's connection was "
                    + "cut",
                "web/a refused the connection: answered 502",
                "web/a refused the connection: tried again, the client saw nothing of it",
                "web/a did not answer in time (timeouts.response): answered 504",
                "web/b refused the connection: answered 502 (2 times)",
            ]
        )
    }

    @Test func `a line names the setting that a request failed for`() {
        var log = FailureLog()
        log.add(Self.sort(.full, peer: nil, answer: .status(503)), 1, code: 0)
        log.add(Self.sort(.waited, peer: nil, answer: .status(503)), 1, code: 5)
        log.add(Self.sort(.overBudget), 1, first: .closed)
        log.add(Self.sort(.lost), 1)
        #expect(
            log.lines(at: Self.start).map(\.text) == [
                "web: every peer that is available has all the requests it may have (max-connections), and nothing "
                    + "may wait for one (queue): answered 503",
                "web: every peer that is available has all the requests it may have (max-connections), and none was "
                    + "free in time (queue.timeout): answered 503",
                "web/a was lost with the request under way, for nothing came of it any more: answered 502",
                "web/a closed the connection before it answered, and as many requests as may be (retry-budget) were "
                    + "being tried again: answered 502",
            ]
        )
        var later = FailureLog()
        later.add(Self.sort(.full, peer: nil, answer: .status(503)), 1, code: 5)
        #expect(later.lines(at: Self.start).first?.text.contains("and 5 wait in line") == true)
    }

    @Test func `fields say the same`() {
        var log = FailureLog()
        log.add(Self.sort(), 3)
        let lines = log.lines(at: Self.start)
        #expect(
            lines.first?.fields == [
                .event("proxy-failure"), .upstream("web"), .peer("a"), .init("cause", "refused"),
                .init("answer", "502"), .code(502), .count(3),
            ]
        )
    }

    @Test func `a thousand peers at once are a hundred lines, and then the next`() {
        var log = FailureLog()
        for number in 0..<250 { log.add(Self.sort(peer: "p\(number)"), 1) }
        let turns = (0..<4).map { _ in log.lines(at: Self.start).count }
        #expect(turns == [FailureLog.linesMax, FailureLog.linesMax, 50, 0])
        #expect(log.next(after: Self.start) == nil)
    }

    @Test func `at the end nothing waits`() {
        var log = FailureLog()
        log.add(Self.sort(), 1)
        _ = log.lines(at: Self.start)
        log.add(Self.sort(), 5)
        let last = log.lines(at: Self.start + .seconds(2), isLast: true)
        #expect(last.count == 1)
    }

    @Test func `every cause has a word of its own and a sentence`() {
        let words = FailureCause.allCases.map(\.word)
        #expect(Set(words).count == words.count)
        for cause in FailureCause.allCases {
            var log = FailureLog()
            log.add(Self.sort(cause), 1, code: 111)
            let lines = log.lines(at: Self.start)
            #expect(lines.first?.text.hasPrefix("web/a ") == true)
        }
    }

    @Test func `a table counts sorts and hands them over`() {
        var table = FailureTable()
        defer { table.destroy() }
        let refused = FailureNote(cause: .refused, peer: 3, code: 111)
        let areFirst = [FailureAnswer.status(502), .status(502), .retried].map {
            table.count(refused, of: 1, $0)
        }
        #expect(areFirst == [true, false, false])
        let taken = table.take()
        #expect(taken.counts.map(\.count) == [2, 1])
        #expect(taken.unlisted == 0)
        let again = table.take()
        #expect(again.counts.isEmpty)
        for peer in 0..<FailureTable.capacity + 5 {
            _ = table.count(FailureNote(cause: .refused, peer: Int32(peer)), of: 1, .cut)
        }
        let full = table.take()
        #expect(full.unlisted == 5)
    }
}

/// Each sort of failure, caused and then read from the report: what the log is made of.
@Suite struct FailureLiveTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func causes(_ rig: ProxyRig) async -> [String] {
        await rig.report().failures.map {
            "\($0.upstream ?? "-")/\($0.peer ?? "-") \($0.cause) \($0.answer) \($0.count)"
        }
    }

    @Test(arguments: [
        ("", "closed 502"), ("\0\u{1}garbage\r\n\r\n", "malformed 502"),
        ("HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 40_000))", "head-too-large 502"),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "malformed 502"),
        ("HTTP/1.1 200", "head-cut 502"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "body-cut cut"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "malformed-body 502"),
        ("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "stray-upgrade 502"),
    ])
    func `an answer that fails is named with its cause`(
        answer: String,
        named: String
    )
        async throws
    {
        let peer = try TestPeer { _ in [.send(answer), .close] }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send(Self.get)
        _ = try? client.reply()
        client.close()
        let causes = await Self.causes(rig)
        #expect(causes == ["web/peer \(named) 1"])
    }

    private static func unbudgeted(
        _ peers: [TestPeer],
        _ statuses: [Int] = []
    ) -> UpstreamDefinition {
        var trying = TryingDefinition()
        trying.budgetShare = 0
        trying.budgetMin = 0
        trying.retries = 5
        trying.statuses = statuses
        var web = UpstreamDefinition(
            name: "web",
            peers: peers.map { PeerDefinition(id: $0.name, address: $0.address, maxFails: 0) },
            trying: trying
        )
        web.eject.isOff = true
        return web
    }

    /// The first death of a peer needs no budget.
    @Test(arguments: [
        (3, ["web/p0 closed retried 1", "web/p1 retry-budget 502 1"]),
        (2, ["web/p0 closed retried 1", "web/p1 closed 502 1"]),
    ])
    func `what is not tried again for want of a budget says so, where anybody was left`(
        count: Int,
        named: [String]
    ) async throws {
        let peers = try (0..<count).map { try TestPeer("p\($0)") { _ in [.close] } }
        let rig = try await ProxyRig([Self.unbudgeted(peers)])
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 502)
        #expect(await Self.causes(rig) == named)
    }

    @Test func `an answer that retry-on would have spared the client is told with the budget`()
        async throws
    {
        let peers = try (0..<2).map {
            try TestPeer("p\($0)") { _ in
                [.send("HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n")]
            }
        }
        let rig = try await ProxyRig([Self.unbudgeted(peers, [503])])
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 503)
        #expect(await Self.causes(rig) == ["web/p0 retry-budget 503 1"])
    }

    @Test func `no room and no line, no place in line, and too long in it are told apart`()
        async throws
    {
        let peer = try TestPeer("peer") { _ in [.stall] }
        var web = UpstreamDefinition(
            name: "web",
            peers: [PeerDefinition(id: "peer", address: peer.address, maxConnections: 1)]
        )
        web.queue.size = 0
        let rig = try await ProxyRig([web])
        let first = try rig.client()
        try first.send(Self.get)
        #expect(await eventually { peer.requests.count == 1 })
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 503)
        #expect(await Self.causes(rig) == ["web/- full 503 1"])
        web.queue.size = 1
        web.queue.timeout = .milliseconds(50)
        await rig.define([web])
        try client.send(Self.get)
        #expect(try client.reply().status == 503)
        #expect(await Self.causes(rig) == ["web/- full 503 1", "web/- queue-timeout 503 1"])
        let proxy = rig.proxy
        let refusals = await Task(executorPreference: rig.control) {
            await proxy.value.lateRefusals()
        }.value
        #expect(refusals["web"]?.map(\.setting) == ["max-connections", "queue.timeout"])
    }

    @Test func `refused, tried elsewhere, and nobody left`() async throws {
        let dead = try RefusingPeer()
        defer { withExtendedLifetime(dead) {} }
        let alive = try TestPeer("alive")
        let rig = try await ProxyRig([
            UpstreamDefinition(
                name: "web",
                peers: [
                    PeerDefinition(id: "dead", address: dead.address),
                    PeerDefinition(id: "alive", address: alive.address),
                ],
                panicThreshold: 0
            )
        ])
        let client = try rig.client()
        for _ in 0..<2 {
            try client.send(Self.get)
            #expect(try client.reply().status == 200)
        }
        await rig.set("alive", .down)
        try client.send(Self.get)
        #expect(try client.reply().status == 502)
        await rig.set("dead", .down)
        try client.send(Self.get)
        #expect(try client.reply().status == 503)
        #expect(
            await Self.causes(rig) == [
                "web/- no-peer 503 1", "web/dead refused 502 1", "web/dead refused retried 1",
            ]
        )
    }

    @Test func `no answer in time, a full peer, and an unresolved name`() async throws {
        let peer = try TestPeer { _ in [.stall] }
        var timeouts = ProxyRig.patient
        timeouts.response = .seconds(2)
        let rig = try await ProxyRig(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: [PeerDefinition(id: "one", address: peer.address, maxConnections: 1)]
                ),
                UpstreamDefinition(
                    name: "named",
                    peers: [PeerDefinition(id: "name", address: .host("nowhere.invalid", port: 1))]
                ),
            ],
            modes: [
                .http(routes: [
                    RouteConfiguration(upstream: "web"),
                    RouteConfiguration(path: "/named", upstream: "named"),
                ])
            ],
            timeouts: timeouts
        )
        let first = try rig.client()
        try first.send(Self.get)
        let isThere = await eventually { peer.requests.count == 1 }
        #expect(isThere)
        let second = try rig.client()
        try second.send(Self.get)
        #expect(try second.reply().status == 503)
        #expect(try first.reply().status == 504)
        try second.send("GET /named HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try second.reply().status == 503)
        let causes = await Self.causes(rig)
        #expect(causes.contains("web/- full 503 1"))
        #expect(causes.contains("web/one timeout 504 1"))
        #expect(causes.contains("named/- unresolved 503 1"), "\(causes)")
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", "bad-request 400"),
        ("GET / HTTP/2.0\r\n\r\n", "bad-request 505"),
        ("GET /\(String(repeating: "x", count: 9_000)) HTTP/1.1\r\n\r\n", "bad-request 414"),
        (
            "GET / HTTP/1.1\r\nX: \(String(repeating: "x", count: 40_000))\r\n\r\n",
            "bad-request 431"
        ),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", "connect-method 501"),
    ])
    func `what a client does wrong is counted too`(request: String, named: String) async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try? client.send(request)
        _ = try client.reply()
        #expect(await Self.causes(rig) == ["-/- \(named) 1"])
    }

    @Test func `more clients than may be are told so`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer { _ in [.wait(gate), .send(TestPeer.ok("x"))] }
        var limits = ProxyLimits()
        limits.clientConnections = 1
        let rig = try await ProxyRig([peer], limits: limits)
        let first = try rig.client()
        try first.send(Self.get)
        let isServed = await eventually { peer.requests.count == 1 }
        #expect(isServed)
        let second = try rig.client()
        try second.send(Self.get)
        #expect(try second.reply().status == 503)
        #expect(await Self.causes(rig) == ["-/- too-many-connections 503 1"])
        gate.open()
        #expect(try first.reply().status == 200)
        var log = FailureLog()
        let sort = FailureLog.Sort(cause: .tooManyConnections, answer: .status(503))
        log.add(sort, 1, code: 24, error: nil)
        #expect(
            log.lines(at: Instant(nanoseconds: 1)).map(\.text) == [
                "proxy: all 24 clients that a worker may have are being served: raise "
                    + "proxy.limits.client-connections, or where descriptors are few the limit of open "
                    + "files (LimitNOFILE, ulimit -n): answered 503"
            ]
        )
    }

    @Test func `the cap on clients follows the descriptors there are`() {
        let limits = ProxyLimits()
        #expect(limits.clients(within: nil) == 10_000)
        #expect(limits.clients(within: 1_000_000) == 10_000)
        #expect(limits.clients(within: 1_000) == 450)
        #expect(limits.clients(within: 100) == 45)
        #expect(limits.clients(within: 1) == 1)
    }
}
