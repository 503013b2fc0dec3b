// Peers, upstreams and listeners come and go, and the proxy ends, with requests under way.

import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct LifecycleTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func web(
        _ peers: [TestPeer],
        onDown: UpstreamDefinition.OnDown? = nil
    ) -> UpstreamDefinition {
        UpstreamDefinition(
            name: "web",
            peers: peers.map { PeerDefinition(id: $0.name, address: $0.address) },
            onDown: onDown
        )
    }

    @Test func `draining finishes what is in flight and nothing else`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer { _ in [.wait(gate), .send(TestPeer.ok("done"))] }
        let rig = try await ProxyRig([peer])
        let busy = try rig.client()
        let idle = try rig.client()
        try busy.send(Self.get + Self.get)
        let isThere = await eventually { peer.requests.count == 1 }
        #expect(isThere)
        let drain = rig.beginDrain()
        #expect(idle.ending() == .ended)
        #expect(throws: TestClient.Failure.self) { try rig.client() }
        gate.open()
        let reply = try busy.reply()
        #expect(reply.text == "done")
        #expect(reply["Connection"] == "close")
        // The pipelined second request is for another process.
        busy.finishSending()
        #expect(busy.ending() == .ended)
        busy.close()
        #expect(await drain.value == 0)
        #expect(peer.requests.count == 1)
    }

    @Test func `no keep-alive client loses a request to the end of the proxy`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let clients = try (0..<12).map { _ in try rig.client() }
        for client in clients {
            try client.send(Self.get)
            #expect(try client.reply().status == 200)
        }
        let drain = rig.beginDrain()
        // Nobody can connect any more: the end has begun.
        let isClosed = await eventually { (try? rig.client()) == nil }
        #expect(isClosed)
        for client in clients {
            try client.send(Self.get)
            let reply = try client.reply()
            #expect(reply.status == 200)
            #expect(reply["Connection"] == "close")
            client.close()
        }
        #expect(await drain.value == 0)
    }

    @Test func `what waits to be accepted is served before the listener closes`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let hold = rig.hold()
        // Taken by the kernel, and not yet by the worker.
        let clients = try (0..<100).map { _ in try rig.client() }
        for client in clients { try client.send(Self.get) }
        let drain = rig.beginDrain()
        hold.release()
        for client in clients {
            #expect(try client.reply().status == 200)
            client.close()
        }
        #expect(await drain.value == 0)
    }

    @Test(arguments: [false, true])
    func `a client that is reset while it waits holds up no end`(isHalfClosed: Bool) async throws {
        let peer = try TestPeer { _ in [.stall] }
        var timeouts = ProxyRig.patient
        timeouts.drain = .seconds(600)
        timeouts.response = .seconds(600)
        let rig = try await ProxyRig([peer], timeouts: timeouts)
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await eventually { peer.requests.count == 1 })
        if isHalfClosed { client.finishSending() }
        let drain = rig.beginDrain()
        client.reset()
        #expect(await drain.value == 0)
    }

    @Test func `draining cuts off what does not end`() async throws {
        let peer = try TestPeer { _ in [.stall] }
        var timeouts = ProxyRig.patient
        timeouts.drain = .milliseconds(200)
        let rig = try await ProxyRig([peer], timeouts: timeouts)
        let client = try rig.client()
        try client.send(Self.get)
        let isThere = await eventually { peer.requests.count == 1 }
        #expect(isThere)
        #expect(await rig.drain() == 1)
        #expect(client.ending() == .reset)
    }

    @Test func `a peer that goes down gets no new request, and answers the one it has`()
        async throws
    {
        let gate = TestPeer.Gate()
        let first = try TestPeer("first") { _ in [.wait(gate), .send(TestPeer.ok("first"))] }
        let second = try TestPeer("second")
        let rig = try await ProxyRig([first, second])
        let client = try rig.client()
        try client.send(Self.get)
        let isThere = await eventually { first.requests.count == 1 }
        #expect(isThere)
        await rig.set("first", .down)
        let other = try rig.client()
        for _ in 0..<4 {
            try other.send(Self.get)
            #expect(try other.reply().text == "second")
        }
        gate.open()
        #expect(try client.reply().text == "first")
        await rig.set("first", .up)
        let names = try (0..<4).map { _ in
            gate.open()
            try other.send(Self.get)
            return try other.reply().text
        }
        #expect(Set(names) == ["first", "second"])
    }

    // MARK: Lost peers

    private static let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"

    @Test func `what waits for a peer that is lost is asked elsewhere at once`() async throws {
        let gate = TestPeer.Gate()
        let first = try TestPeer("first") { _ in [.wait(gate), .send(TestPeer.ok("first"))] }
        let second = try TestPeer("second")
        let third = try TestPeer("third")
        let rig = try await ProxyRig([first, second, third])
        // Of three requests in turn the first of each turn waits.
        let waiting = try (0..<12).map { _ in try rig.client() }
        let poster = try rig.client()
        for client in waiting {
            try client.send(Self.get)
            for other in ["second", "third"] {
                let passing = try rig.client()
                try passing.send(Self.get)
                #expect(try passing.reply().text == other)
            }
        }
        try poster.send(Self.post)
        let areThere = await eventually { first.requests.count == 13 }
        #expect(areThere)
        await rig.set("first", .down, reason: .layer7Timeout)
        for client in waiting {
            let text = try client.reply().text
            #expect(["second", "third"].contains(text))
        }
        // What must not be carried out twice waits on.
        gate.open()
        for _ in 0..<13 { gate.open() }
        #expect(try poster.reply().text == "first")
        let posts = (first.requests + second.requests + third.requests).count {
            $0.line.hasPrefix("POST")
        }
        #expect(posts == 1)
        let failures = await rig.report().failures.filter { $0.cause == "lost" }
        #expect(failures.map(\.answer) == ["retried"])
        #expect(failures.map(\.count) == [12])
    }

    @Test func `who answers, be it badly, finishes its work`() async throws {
        let gate = TestPeer.Gate()
        let first = try TestPeer("first") { _ in [.wait(gate), .send(TestPeer.ok("first"))] }
        let second = try TestPeer("second")
        let rig = try await ProxyRig([first, second])
        let client = try rig.client()
        try client.send(Self.get)
        let isThere = await eventually { first.requests.count == 1 }
        #expect(isThere)
        await rig.set("first", .down, reason: .layer7Status)
        gate.open()
        #expect(try client.reply().text == "first")
        #expect(second.requests.isEmpty)
    }

    @Test func `a request that two lost peers had is not tried a third time`() async throws {
        let peers = try (0..<5).map { try TestPeer("p\($0)") { _ in [.stall] } }
        let rig = try await ProxyRig(peers)
        let client = try rig.client()
        try client.send(Self.get)
        var lost: [String] = []
        for round in 1...2 {
            let isThere = await eventually { peers.map(\.requests.count).reduce(0, +) == round }
            #expect(isThere)
            let holder = try #require(
                peers.first { !$0.requests.isEmpty && !lost.contains($0.name) }
            )
            lost.append(holder.name)
            await rig.set(holder.name, .down, reason: .layer7Timeout)
        }
        #expect(try client.reply().status == 502)
        #expect(peers.map(\.requests.count).reduce(0, +) == 2)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `on-down close-all sends what may be sent again to another peer`() async throws {
        let first = try TestPeer("first") { _ in [.stall] }
        let second = try TestPeer("second")
        let rig = try await ProxyRig([Self.web([first, second], onDown: .closeAll)])
        let getter = try rig.client()
        try getter.send(Self.get)
        let isThere = await eventually { first.requests.count == 1 }
        #expect(isThere)
        let other = try rig.client()
        try other.send(Self.get)
        #expect(try other.reply().text == "second")
        let poster = try rig.client()
        try poster.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        let areThere = await eventually { first.requests.count == 2 }
        #expect(areThere)
        await rig.set("first", .down)
        #expect(try getter.reply().text == "second")
        #expect(try poster.reply().status == 502)
        #expect(first.requests.count == 2)
        #expect(second.requests.count == 2)
    }

    @Test func `a peer in maintenance is left like one that is down`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 200)
        #expect(await rig.holdings().idleLinks == 1)
        await rig.set("peer", intent: .maint)
        #expect(await rig.holdings().idleLinks == 0)
        try client.send(Self.get)
        #expect(try client.reply().status == 503)
        await rig.set("peer", intent: .ready)
        try client.send(Self.get)
        #expect(try client.reply().status == 200)
    }

    @Test func `peers are added and removed under load`() async throws {
        let gate = TestPeer.Gate()
        let peers = try (0..<4).map { try TestPeer("p\($0)") }
        let slow = try TestPeer("slow") { _ in [.wait(gate), .send(TestPeer.ok("slow"))] }
        let rig = try await ProxyRig([slow])
        let waiting = try rig.client()
        try waiting.send(Self.get)
        let isThere = await eventually { slow.requests.count == 1 }
        #expect(isThere)
        let client = try rig.client()
        for round in 0..<40 {
            // Slow is removed with a request in flight; its place may not be given away yet.
            await rig.define([Self.web([peers[round % 4], peers[(round + 1) % 4]])])
            try client.send(Self.get)
            let text = try client.reply().text
            #expect(["p\(round % 4)", "p\((round + 1) % 4)"].contains(text))
        }
        gate.open()
        #expect(try waiting.reply().text == "slow")
        try waiting.send(Self.get)
        #expect(try waiting.reply().text.hasPrefix("p"))
        // Places are used again: forty rounds need no more than there are peers at a time.
        #expect(await rig.worker.call { $0.pool.peerCount } <= 6)
        waiting.close()
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `more peers than are told of at once all arrive`() async throws {
        let peer = try TestPeer("a")
        let rig = try await ProxyRig([Self.web([peer])])
        let many = (0..<1_201).map { PeerDefinition(id: "p\($0)", address: peer.address) }
        await rig.define([UpstreamDefinition(name: "web", peers: many)])
        let known = await rig.proxy.call { proxy in
            many.count { proxy.routing.snapshot(of: PeerKey(upstream: "web", peer: $0.id)) != nil }
        }
        #expect(known == many.count)
        await rig.drain()
    }

    @Test func `a peer that moves to another address is not asked at the old one`() async throws {
        let old = try TestPeer("old")
        let new = try TestPeer("new")
        func web(_ peer: TestPeer) -> UpstreamDefinition {
            UpstreamDefinition(
                name: "web",
                peers: [PeerDefinition(id: "the-one", address: peer.address)]
            )
        }
        let rig = try await ProxyRig([web(old)])
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().text == "old")
        await rig.define([web(new)])
        for _ in 0..<3 {
            try client.send(Self.get)
            #expect(try client.reply().text == "new")
        }
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `an upstream that goes leaves 503, and one that comes back serves`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        await rig.define([])
        try client.send(Self.get)
        #expect([404, 503].contains(try client.reply().status))
        await rig.define([Self.web([peer])])
        try client.send(Self.get)
        #expect(try client.reply().text == "peer")
    }

    @Test func `another balancer takes over without a break`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        let rig = try await ProxyRig([Self.web(peers)])
        let client = try rig.client()
        var hashed = Self.web(peers)
        hashed.balance = BalanceDefinition(name: "consistent-hash")
        for upstream in [hashed, Self.web(peers), hashed] {
            await rig.define([upstream])
            let names = try (0..<6).map { _ in
                try client.send(Self.get)
                return try client.reply().text
            }
            #expect(Set(names).count == (upstream == hashed ? 1 : 2))
        }
    }

    @Test func `a TCP listener that a reload adds cuts its own connections, and no request`()
        async throws
    {
        let peer = try TestPeer("peer") { _ in [.stall] }
        let rig = try await ProxyRig([peer])
        let http = ListenerConfiguration(
            bind: .host("127.0.0.1", port: rig.port),
            mode: .http(routes: [RouteConfiguration(upstream: "web")])
        )
        let tcp = ListenerConfiguration(
            bind: .host("127.0.0.9", port: 0),
            mode: .tcp(upstream: "web")
        )
        #expect(await rig.reload([http, tcp]).isEmpty)
        let ports = await rig.worker.call { $0.boundAddresses().compactMap(\.port) }
        let getter = try rig.client()
        try getter.send(Self.get)
        let caller = try TestClient(ports[1], host: "127.0.0.9")
        try caller.send(Self.get)
        let areThere = await eventually { peer.requests.count == 2 }
        #expect(areThere)
        await rig.set("peer", .down)
        #expect(caller.ending() == .reset)
        #expect(await rig.worker.call { $0.pool.peers[0].inFlight } == 1)
        #expect(await rig.reload([http]).isEmpty)
        #expect(await rig.worker.call { $0.pool.upstreams[0].settings?.cutsOpaque } == false)
    }

    /// Tables are made on another thread: routes that come meanwhile are not in them.
    @Test func `routes that come while the workers are told of others are told too`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let web = Self.web([peer])
        for round in 0..<60 {
            let more = UpstreamDefinition(name: "more\(round)", peers: web.peers)
            let host = "host\(round).test"
            let route = RouteConfiguration(host: host, upstream: "web")
            let http = ListenerConfiguration(
                bind: .host("127.0.0.1", port: rig.port),
                mode: .http(routes: [route])
            )
            async let defined: Void = rig.define([web, more])
            let problems = await rig.reload([http])
            await defined
            #expect(problems.isEmpty)
            let client = try rig.client()
            try client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
            #expect(try client.reply().status == 200, "round \(round)")
        }
    }

    @Test func `listeners open, change and close while others serve`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let kept = try rig.client()
        try kept.send(Self.get)
        #expect(try kept.reply().status == 200)
        let http = ListenerConfiguration(
            bind: .host("127.0.0.1", port: rig.port),
            mode: .http(routes: [RouteConfiguration(upstream: "web")])
        )
        let tcp = ListenerConfiguration(
            bind: .host("127.0.0.9", port: 0),
            mode: .tcp(upstream: "web")
        )
        func apply(_ listeners: [ListenerConfiguration]) async -> [String] {
            await rig.reload(listeners)
        }
        #expect(await apply([http, tcp]).isEmpty)
        let ports = await rig.worker.call { $0.boundAddresses().compactMap(\.port) }
        let tunnel = try TestClient(ports[1], host: "127.0.0.9")
        try tunnel.send(Self.get)
        #expect(try tunnel.reply()["Via"] == nil)
        #expect(peer.requests.last?["Via"] == nil)
        // The same address in the other mode: connections that are there stay what they are.
        var swapped = tcp
        swapped.mode = http.mode
        #expect(await apply([http, swapped]).isEmpty)
        let routed = try TestClient(ports[1], host: "127.0.0.9")
        try routed.send(Self.get)
        #expect(try routed.reply().status == 200)
        #expect(peer.requests.last?["Via"] == "1.1 muster")
        try tunnel.send(Self.get)
        #expect(try tunnel.reply().status == 200)
        #expect(peer.requests.last?["Via"] == nil)

        #expect(await apply([swapped]).isEmpty)
        #expect(throws: TestClient.Failure.self) { try rig.client() }
        try kept.send(Self.get)
        let last = try kept.reply()
        #expect(last.status == 200)
        #expect(last["Connection"] == "close", "its listener is gone")

        let taken = ListenerConfiguration(bind: peer.address, mode: http.mode)
        let problems = await apply([swapped, taken])
        #expect(problems.count == 1)
        #expect(problems.first?.contains("\(peer.address)") == true)
        try routed.send(Self.get)
        #expect(try routed.reply().status == 200)
    }

    @Test func `an upstream may go and come back while the workers are told of it`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        // Without a monitor nothing has to be said of it.
        let web = UpstreamDefinition(
            name: "web",
            peers: [PeerDefinition(id: peer.name, address: peer.address)]
        )
        let (control, proxy, board) = (rig.control, rig.proxy, rig.board)
        for round in 0..<40 {
            let others = (0..<round % 4).map { number in
                UpstreamDefinition(
                    name: "other-\(number)",
                    peers: [
                        PeerDefinition(address: .host("127.0.0.1", port: UInt16(2_000 + number)))
                    ]
                )
            }
            await Task(executorPreference: control) {
                board.value.define(others, monitors: [])
                // It stops where tables are compiled, on another thread.
                async let telling: Void = proxy.value.settle()
                for _ in 0..<round % 3 { await Task.yield() }
                board.value.define([web] + others, monitors: [])
                await telling
                await proxy.value.settle()
            }.value
        }
        await rig.settled()
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().status == 200)
    }

    @Test func `two workers share a port, and one listens at a path for all`() async throws {
        let peer = try TestPeer()
        let folder = try TemporaryDirectory()
        let path = folder.path("proxy.sock")
        let control = try EventLoop.spawn(name: "control")
        defer { control.stop() }
        let port = try freePort()
        let routes = [RouteConfiguration(upstream: "web")]
        let configuration = ProxyConfiguration(
            threads: 2,
            listeners: [
                ListenerConfiguration(bind: .unix(path: path), mode: .http(routes: routes)),
                ListenerConfiguration(
                    bind: .host("127.0.0.1", port: port),
                    mode: .http(routes: routes)
                ),
            ]
        )
        let definition = Self.web([peer])
        let (proxy, _) = await withCheckedContinuation {
            (continuation: CheckedContinuation<(LoopBound<Proxy>, Bool), Never>) in
            control.execute {
                let board = Board(loop: control)
                board.define([definition], monitors: [])
                let proxy = Proxy(loop: control, board: board, configuration: configuration)
                continuation.resume(returning: (LoopBound(proxy, on: control), true))
            }
        }
        let problems = try await Task(executorPreference: control) {
            try await proxy.value.start()
        }.value
        #expect(problems == [])
        for _ in 0..<20 {
            let client = try TestClient(port)
            try client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(try client.reply().text == "peer")
        }
        let local = try TestClient(path: path)
        try local.send(Self.get)
        #expect(try local.reply().text == "peer")
        local.close()
        let cut = await Task(executorPreference: control) { await proxy.value.drain() }.value
        #expect(cut == 0)
    }
}
