// Who has to go when all places are taken, and who may stay?

import EventLoop
import Glibc
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct RoomTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func limits(_ clients: Int) -> ProxyLimits {
        var limits = ProxyLimits()
        limits.clientConnections = clients
        return limits
    }

    private static func ask(_ client: TestClient) throws {
        try client.send(get)
        #expect(try client.reply().status == 200)
    }

    private static func causes(_ rig: ProxyRig) async -> [String] {
        await rig.report().failures.map { "\($0.cause) \($0.answer) \($0.count)" }
    }

    @Test func `who has been idle for longest makes room for a newcomer`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer], limits: Self.limits(3))
        let clients = try (0..<3).map { _ in try rig.client() }
        for client in clients { try Self.ask(client) }
        // Not who came first, but who was served last long ago.
        try Self.ask(clients[0])
        let newcomer = try rig.client()
        try Self.ask(newcomer)
        #expect(clients[1].ending() == .ended)
        for client in [clients[0], clients[2], newcomer] { try Self.ask(client) }
        let report = await rig.report()
        #expect(report.connectionsDisplaced == 1)
        #expect(report.connectionsRefused == 0)
        #expect(report.connectionsActive == 3)
        #expect(await Self.causes(rig) == ["displaced cut 1"])
    }

    @Test func `connections that never asked anything keep nobody out`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer], limits: Self.limits(4))
        let silent = try (0..<4).map { _ in try rig.client() }
        var clients: [TestClient] = []
        for round in 1...6 {
            let client = try rig.client()
            clients.append(client)
            try Self.ask(client)
            #expect(await rig.report().connectionsDisplaced == UInt64(round))
        }
        for client in silent { #expect(client.ending() == .ended) }
        await rig.drain()
    }

    @Test func `whoever is being served stays`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer { _ in [.wait(gate), .send(TestPeer.ok("x"))] }
        let rig = try await ProxyRig([peer], limits: Self.limits(3))
        let busy = try rig.client()
        try busy.send(Self.get)
        // The beginning of a request is one already.
        let begun = try rig.client()
        try begun.send("GET / HTTP/1.1\r\n")
        let isThere = await eventually {
            await rig.worker.call { $0.clients.count == 2 && $0.buffers.lent >= 2 }
        }
        #expect(isThere)
        let idle = try rig.client()
        let hasCome = await eventually { await rig.holdings().clients == 3 }
        #expect(hasCome)
        let third = try rig.client()
        try third.send(Self.get)
        #expect(idle.ending() == .ended)
        let areAsked = await eventually { peer.requests.count == 2 }
        #expect(areAsked)
        let fourth = try rig.client()
        #expect(try fourth.reply().status == 503)
        try begun.send("Host: h\r\n\r\n")
        for _ in 0..<3 { gate.open() }
        for client in [busy, begun, third] { #expect(try client.reply().status == 200) }
        #expect(
            await Self.causes(rig).sorted() == ["displaced cut 1", "too-many-connections 503 1"]
        )
    }

    @Test func `a head that takes its time goes for a newcomer, the slowest first`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer], limits: Self.limits(3))
        var slow: [TestClient] = []
        for _ in 0..<3 {
            let count = slow.count + 1
            let client = try rig.client()
            try client.send("GET / HTTP/1.1\r\n")
            slow.append(client)
            #expect(await eventually { await rig.worker.call { $0.clients.count == count } })
            #expect(await eventually { await rig.worker.call { $0.buffers.lent >= count } })
        }
        // Just begun: it may be whole in a moment.
        let refused = try rig.client()
        #expect(try refused.reply().status == 503)
        // A second later, and another piece makes nobody younger.
        await rig.worker.call { worker in
            for index in 0..<3 {
                worker.setDeadline(index, worker.timeouts.requestHead + .seconds(-1))
            }
        }
        try slow[0].send("X-More: of it\r\n")
        let newcomer = try rig.client()
        try Self.ask(newcomer)
        #expect(slow[0].ending() == .ended)
        // Nor does who has just been served go before a head of a second ago.
        let other = try rig.client()
        try Self.ask(other)
        #expect(slow[1].ending() == .ended)
        try Self.ask(newcomer)
        // Who has been idle for longer than that does.
        await rig.worker.call { worker in
            let place = Int(worker.resting.oldest)
            worker.setDeadline(place, worker.timeouts.clientIdle + .seconds(-60))
        }
        let idle = try rig.client()
        try Self.ask(idle)
        #expect(other.ending() == .ended)
        try slow[2].send("Host: h\r\n\r\n")
        #expect(try slow[2].reply().status == 200)
        #expect(
            await Self.causes(rig).sorted() == ["displaced cut 3", "too-many-connections 503 1"]
        )
    }

    @Test func `a request that the kernel holds already is served`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer], limits: Self.limits(1))
        let first = try rig.client()
        try Self.ask(first)
        let hold = rig.hold()
        let second = try rig.client()
        try second.send(Self.get)
        try first.send(Self.get)
        hold.release()
        #expect(try first.reply().status == 200)
        #expect(try second.reply().status == 503)
        #expect(await rig.report().connectionsDisplaced == 0)
    }

    @Test func `who has had its last answer and stays makes room`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer], limits: Self.limits(1))
        let first = try rig.client()
        try first.send("nonsense\r\n\r\n")
        #expect(try first.reply().status == 400)
        let second = try rig.client()
        try Self.ask(second)
        #expect(await rig.report().connectionsDisplaced == 1)
    }

    @Test func `a client of a TCP listener gets the place of an idle one, and keeps its own`()
        async throws
    {
        let peer = try TestPeer()
        let rig = try await ProxyRig(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: [PeerDefinition(id: "peer", address: peer.address)]
                )
            ],
            modes: [
                .http(routes: [RouteConfiguration(upstream: "web")]), .tcp(upstream: "web"),
            ],
            limits: Self.limits(1)
        )
        let idle = try rig.client()
        try Self.ask(idle)
        let tunnel = try rig.client(1)
        try Self.ask(tunnel)
        #expect(idle.ending() == .ended)
        let third = try rig.client()
        #expect(try third.reply().status == 503)
        try Self.ask(tunnel)
    }

    @Test func `without a descriptor an idle client goes, then an idle connection to a peer`()
        async throws
    {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try Self.ask(client)
        #expect(await rig.holdings().idleLinks == 1)
        #expect(await rig.worker.call { $0.giveBack(code: ECONNREFUSED) } == false)
        #expect(await rig.worker.call { $0.giveBack(code: EMFILE) })
        #expect(client.ending() == .ended)
        #expect(await rig.holdings() == Holdings(idleLinks: 1, descriptors: 2))
        #expect(await rig.worker.call { $0.giveBack(code: ENFILE) })
        #expect(await rig.holdings() == Holdings(descriptors: 1))
        #expect(await rig.worker.call { $0.giveBack(code: EMFILE) } == false)
        #expect(
            await Self.causes(rig).sorted() == [
                "displaced-for-descriptor cut 1", "spare-closed retried 1",
            ]
        )
        let next = try rig.client()
        try Self.ask(next)
    }

    @Test func `what is said of it`() {
        let rows: [(FailureCause, FailureAnswer, Int32, String)] = [
            (
                .displaced, .cut, 9,
                "proxy: all 9 clients that a worker may have are there, and for a newcomer the one "
                    + "that was idle longest, or else was sending one head for longest, went: raise proxy.limits.client-connections, or where "
                    + "descriptors are few the limit of open files (LimitNOFILE, ulimit -n): the "
                    + "client's connection was cut"
            ),
            (
                .displacedForDescriptor, .cut, EMFILE,
                "proxy: no descriptor is left (Too many open files), and for a newcomer the client "
                    + "that was idle longest, or else was sending one head for longest, went: raise the limit of open files (LimitNOFILE, ulimit "
                    + "-n): the client's connection was cut"
            ),
            (
                .spareClosed, .retried, EMFILE,
                "proxy: no descriptor is left (Too many open files), and for a newcomer an idle "
                    + "connection to a peer went: raise the limit of open files (LimitNOFILE, ulimit "
                    + "-n): tried again, the client saw nothing of it"
            ),
        ]
        for (cause, answer, code, text) in rows {
            var log = FailureLog()
            log.add(FailureLog.Sort(cause: cause, answer: answer), 1, code: code, error: nil)
            #expect(log.lines(at: Instant(nanoseconds: 1)).map(\.text) == [text])
        }
    }

    @Test(
        arguments: [
            // Without a number of threads, workers are fewer where descriptors are.
            (nil, nil, 64, 64, nil), (nil, 100_000, 64, 64, nil), (nil, 491, 64, 15, nil),
            (nil, 43, 2, 1, nil), (8, 43, 2, 1, nil), (8, nil, 2, 8, nil), (8, 256, 2, 8, 28),
            (2, 107, 2, 2, 49), (1, 1, 2, 1, 1),
        ] as [(Int?, Int?, Int, Int, Int?)]
    )
    func `each worker has descriptors to work with`(
        threads: Int?,
        descriptors: Int?,
        cores: Int,
        workers: Int,
        each: Int?
    ) {
        var configuration = ProxyConfiguration(
            threads: threads,
            listeners: (0..<2).map {
                ListenerConfiguration(
                    bind: .host("127.0.0.1", port: UInt16($0)),
                    mode: .tcp(upstream: "web")
                )
            }
        )
        configuration.descriptors = descriptors
        #expect(configuration.workers(cores: cores) == workers)
        if let each { #expect(configuration.descriptorsEach(of: workers) == each) }
    }

    @Test func `what is set and cannot be had is said`() {
        var configuration = ProxyConfiguration(
            threads: 8,
            listeners: [
                ListenerConfiguration(
                    bind: .host("127.0.0.1", port: 80),
                    mode: .tcp(upstream: "web")
                )
            ]
        )
        #expect(configuration.warnings(within: nil).isEmpty)
        #expect(configuration.warnings(within: 1_000_000).isEmpty)
        configuration.limits.clientConnections = 20
        #expect(
            configuration.warnings(within: 107) == [
                "proxy.threads: expected at most 3 where the proxy may have 107 descriptors, saw 8: 3 "
                    + "run; raise the limit of open files (LimitNOFILE, ulimit -n)",
                "proxy.limits.client-connections: expected at most 14 for each of 3 workers where the "
                    + "proxy may have 107 descriptors, two a client, saw 20: 14 hold; raise the limit "
                    + "of open files (LimitNOFILE, ulimit -n)",
            ]
        )
        configuration.limits.clientConnections = 14
        configuration.threads = 3
        #expect(configuration.warnings(within: 107).isEmpty)
        configuration.listeners = []
        #expect(configuration.warnings(within: 1).isEmpty)
    }
}
