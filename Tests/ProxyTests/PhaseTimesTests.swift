// Where did the time of requests go?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct PhaseTimesTests {
    @Test func `each span is in the bucket of the first bound that it does not exceed`() {
        for (index, bound) in PhaseTimes.bounds.enumerated() {
            #expect(PhaseTimes.bucket(of: bound.count) == index)
            #expect(PhaseTimes.bucket(of: bound.count + 1) == index + 1)
        }
        #expect(PhaseTimes.bucket(of: 0) == 0)
        #expect(PhaseTimes.bucket(of: .max) == PhaseTimes.bounds.count)
    }

    @Test func `phases are counted apart, and sums add up`() {
        var times = PhaseTimes()
        times.record(.milliseconds(1), .total)
        times.record(.seconds(20), .total)
        times.record(.milliseconds(3), .firstByte)
        var both = times
        both.add(times)
        #expect(both.cumulative(.total).last == 4)
        #expect(both.cumulative(.total)[3] == 2)
        #expect(both.sum(.total) == .milliseconds(40_002))
        #expect(both.cumulative(.firstByte)[4] == 0)
        #expect(both.cumulative(.firstByte)[5] == 2)
        #expect(both.cumulative(.connect).last == 0)
    }

    private static func counts(_ times: PhaseTimes?) -> [UInt64] {
        RequestPhase.allCases.map { times?.cumulative($0).last ?? 0 }
    }

    @Test func `every request is in them, and every new connection`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        #expect(await rig.totals("peer").times == nil)
        let client = try rig.client()
        for _ in 0..<3 {
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.reply().status == 200)
        }
        client.close()
        await rig.expectNothingHeld()
        let totals = await rig.totals("peer")
        #expect(Self.counts(totals.times) == [0, totals.connects, 3, 3])
    }

    @Test func `each route has its own`() async throws {
        let peer = try TestPeer()
        let web = UpstreamDefinition(
            name: "web",
            peers: [PeerDefinition(id: "peer", address: peer.address)]
        )
        let routes = [("a.example", "/"), ("a.example", "/x"), ("b.example", "/")].map {
            RouteConfiguration(host: $0.0, path: $0.1, upstream: "web")
        }
        let rig = try await ProxyRig([web], modes: [.http(routes: routes)])
        let client = try rig.client()
        for target in ["/", "/x/1", "/x"] {
            try client.send("GET \(target) HTTP/1.1\r\nHost: a.example\r\n\r\n")
            #expect(try client.reply().status == 200)
        }
        client.close()
        await rig.expectNothingHeld()
        let seen = await rig.report().routes
        #expect(seen.map { "\($0.name.host)\($0.name.path)" } == ["a.example/", "a.example/x"])
        #expect(seen.map { Self.counts($0.times)[2...].map(\.self) } == [[1, 1], [2, 2]])
    }

    @Test func `what waits in line is in them, too`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer {
            $0.line.contains("slow")
                ? [.wait(gate), .send(TestPeer.ok("a"))] : [.send(TestPeer.ok("b"))]
        }
        var web = UpstreamDefinition(
            name: "web",
            peers: [PeerDefinition(id: "peer", address: peer.address, maxConnections: 1)]
        )
        web.queue.size = 1
        web.queue.timeout = .seconds(600)
        let rig = try await ProxyRig([web])
        let (slow, client) = (try rig.client(), try rig.client())
        try slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(await eventually { peer.requests.count == 1 })
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(await eventually { await rig.worker.call { $0.holdings.waiting } == 1 })
        gate.open()
        #expect(try slow.reply().text == "a")
        #expect(try client.reply().text == "b")
        slow.close()
        client.close()
        await rig.expectNothingHeld()
        #expect(Self.counts(await rig.totals("peer").times)[0] == 1)
    }
}
