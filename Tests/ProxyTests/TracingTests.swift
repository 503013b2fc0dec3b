// What do peers hear of a trace, and what does whoever collects spans hear of requests? Whole proxies on loopback.

import EventLoop
import Health
import Spans
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

/// Keeps what it is given.
private final class Collector: Sendable {
    private let kept = Mutex<(spans: [SpanRecord], lost: Int)>(([], 0))

    func take(_ spans: [SpanRecord], _ lost: Int) {
        kept.withLock {
            $0.spans += spans
            $0.lost += lost
        }
    }

    var spans: [SpanRecord] { kept.withLock { $0.spans } }
    var lost: Int { kept.withLock { $0.lost } }

    func tracing(_ share: Double) -> RequestTracing {
        RequestTracing(sampler: Sampler(share: share)) { self.take($0, $1) }
    }

    /// The span of the request, and those of its tries in their order, when they are there.
    func trace(of count: Int) async throws -> (request: SpanRecord, tries: [SpanRecord]) {
        let isThere = await eventually { self.spans.count >= count }
        #expect(isThere, "\(spans)")
        let all = spans
        #expect(all.count == count, "\(all)")
        let request = try #require(all.first { $0.kind == .server })
        return (request, all.filter { $0.kind == .client })
    }
}

extension SpanRecord {
    fileprivate subscript(_ key: String) -> Value? { attributes.first { $0.key == key }?.value }
}

@Suite struct TracingTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let parent = "b7ad6b7169203331"
    private static let sampled = "00-\(trace)-\(parent)-01"

    private static func get(_ fields: String = "", path: String = "/a/b?c=secret") -> String {
        "GET \(path) HTTP/1.1\r\nHost: shop.test\r\n\(fields)X-Last: 1\r\n\r\n"
    }

    private static func peer(_ peer: TestPeer) -> PeerDefinition {
        PeerDefinition(id: peer.name, address: peer.address, maxFails: 0)
    }

    private static func rig(
        _ peers: [PeerDefinition],
        _ collector: Collector? = nil,
        share: Double = 0,
        timeouts: ProxyTimeouts = ProxyRig.patient,
        journal: Journal = .silent,
        _ change: (inout UpstreamDefinition) -> Void = { _ in }
    ) async throws -> ProxyRig {
        var web = UpstreamDefinition(name: "web", peers: peers)
        web.eject.isOff = true
        change(&web)
        return try await ProxyRig(
            [web],
            timeouts: timeouts,
            journal: journal,
            tracing: collector?.tracing(share)
        )
    }

    /// The fields of a trace in a request, name and value as they came.
    private static func traceFields(_ request: PeerRequest) -> [String] {
        request.head.split(separator: "\r\n").dropFirst().map(String.init)
            .filter { $0.lowercased().hasPrefix("trace") }
    }

    // MARK: What goes on to peers

    private static let fields = [
        "traceparent: \(sampled)\r\ntracestate: a=1\r\n",
        "TraceParent: \(sampled)\r\nTRACESTATE: a=1,b=2\r\ntracestate: c=3\r\n",
        "traceparent: \(sampled)\r\ntraceparent: \(sampled)\r\n",
        "traceparent: nonsense\r\ntracestate: ,,\r\n",
        "tracestate: alone=1\r\n", "",
    ]

    @Test(arguments: fields)
    func `where nobody records, the fields of a trace go on as they came`(
        fields: String
    ) async throws {
        let peer = try TestPeer()
        let rig = try await Self.rig([Self.peer(peer)])
        let client = try rig.client()
        try client.send(Self.get(fields))
        #expect(try client.reply().status == 200)
        let request = try #require(peer.requests.first)
        #expect(
            Self.traceFields(request).map { $0 + "\r\n" }.joined() == fields
        )
    }

    @Test func `so they do where this request is not recorded`() async throws {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 0)
        let client = try rig.client()
        let unsampled = "traceparent: 00-\(Self.trace)-\(Self.parent)-00\r\ntracestate: a=1\r\n"
        let all = [unsampled] + Self.fields.dropFirst(2)
        for fields in all {
            try client.send(Self.get(fields))
            #expect(try client.reply().status == 200)
        }
        #expect(
            peer.requests.map { Self.traceFields($0).map { $0 + "\r\n" }.joined() } == all
        )
        await rig.proxy.call { _ in }
        #expect(collector.spans.isEmpty)
        #expect(await rig.report().upstreamExemplars.isEmpty)
    }

    @Test func `who asks for a record gets one, and the peer is told of the try`() async throws {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector)
        let client = try rig.client()
        try client.send(
            Self.get("TraceParent: \(Self.sampled)\r\ntracestate: a=1\r\nTraceState: b=2\r\n")
        )
        #expect(try client.reply().status == 200)

        let (request, tries) = try await collector.trace(of: 2)
        let one = try #require(tries.first)
        #expect("\(request.trace)" == Self.trace && one.trace == request.trace)
        #expect(request.parent.map { "\($0)" } == Self.parent)
        #expect(one.parent == request.span && one.span != request.span)
        #expect(request.state == "a=1,b=2")
        let seen = try #require(peer.requests.first)
        #expect(
            Self.traceFields(seen) == [
                "tracestate: a=1", "TraceState: b=2",
                "traceparent: 00-\(Self.trace)-\(one.span)-01",
            ]
        )
        #expect(seen["X-Last"] == "1" && seen["Via"] == "1.1 muster")

        #expect(request.name == "GET /")
        #expect(request["http.request.method"] == .text("GET"))
        #expect(request["url.path"] == .text("/a/b"), "what stands in a query is not told")
        #expect(request["server.address"] == .text("shop.test"))
        #expect(request["client.address"] == .text("127.0.0.1"))
        #expect(request["http.route"] == .text("/"))
        #expect(request["http.response.status_code"] == .integer(200))
        #expect(request["muster.upstream"] == .text("web"))
        #expect(request["error.type"] == nil && request.status == .unset)
        #expect(one.name == "GET" && one["muster.peer"] == .text("peer"))
        #expect(one["server.address"] == .text("127.0.0.1"))
        #expect(one["server.port"] == .integer(Int64(peer.port)))
        #expect(one["http.response.status_code"] == .integer(200))
        #expect(one["http.request.resend_count"] == nil && one.status == .unset)
        #expect(request.begun <= one.begun && one.begun <= one.ended && one.ended <= request.ended)
        let now = await rig.control.wallNow()
        #expect(abs(request.ended / 1_000_000 - now) < 60_000)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test(arguments: [
        "", "traceparent: \(sampled)\r\ntraceparent: \(sampled)\r\ntracestate: a=1\r\n",
        "traceparent: 00-\(trace.uppercased())-\(parent)-01\r\ntracestate: a=1\r\n",
    ])
    func `a trace begins here where none came that makes sense`(fields: String) async throws {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1)
        let client = try rig.client()
        try client.send(Self.get(fields))
        #expect(try client.reply().status == 200)
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request.parent == nil && request.state.isEmpty)
        #expect("\(request.trace)" != Self.trace)
        let seen = try #require(peer.requests.first)
        #expect(
            Self.traceFields(seen) == ["traceparent: 00-\(request.trace)-\(tries[0].span)-01"]
        )
    }

    @Test func `a later version goes on as the one that is known`() async throws {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector)
        let client = try rig.client()
        try client.send(Self.get("traceparent: cc-\(Self.trace)-\(Self.parent)-01-what-comes\r\n"))
        #expect(try client.reply().status == 200)
        let (_, tries) = try await collector.trace(of: 2)
        let seen = try #require(peer.requests.first)
        #expect(
            Self.traceFields(seen) == ["traceparent: 00-\(Self.trace)-\(tries[0].span)-01"]
        )
    }

    @Test func `a body goes on behind the field, byte for byte`() async throws {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1)
        let client = try rig.client()
        let body = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try client.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n")
        try client.send(body)
        #expect(try client.reply().status == 200)
        #expect(peer.requests.first?.body == body)
        let (request, _) = try await collector.trace(of: 2)
        #expect(request.name == "POST /")
    }

    // MARK: Tries

    @Test func `each try is a span of its own, and its peer knows it by that`() async throws {
        let first = try TestPeer("first") { _ in [.reset] }
        let second = try TestPeer("second")
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(first), Self.peer(second)], collector) {
            $0.balance.name = "first"
        }
        let client = try rig.client()
        try client.send(Self.get("traceparent: \(Self.sampled)\r\n"))
        #expect(try client.reply().text == "second")
        let (request, tries) = try await collector.trace(of: 3)
        #expect(tries.count == 2)
        #expect(tries.map(\.parent) == [request.span, request.span])
        #expect(tries.map { $0["muster.peer"] } == [.text("first"), .text("second")])
        #expect(tries[0].status == .error("reset") || tries[0].status == .error("closed"))
        #expect(tries[0]["error.type"] != nil && tries[0]["http.response.status_code"] == nil)
        #expect(tries[1].status == .unset)
        #expect(tries[1]["http.request.resend_count"] == .integer(1))
        #expect(request["http.response.status_code"] == .integer(200))
        #expect(request.status == .unset, "the client saw nothing of it")
        let seen = (first.requests + second.requests).compactMap { $0["traceparent"] }
        #expect(seen == tries.map { "00-\(Self.trace)-\($0.span)-01" })
        #expect(tries[0].span != tries[1].span)
    }

    @Test func `a peer that cannot be reached is a try, and a status that is not wanted`()
        async throws
    {
        let refusing = try RefusingPeer()
        defer { withExtendedLifetime(refusing) {} }
        let busy = try TestPeer("busy") { _ in
            [.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")]
        }
        let good = try TestPeer("good")
        let collector = Collector()
        let rig = try await Self.rig(
            [
                PeerDefinition(id: "dead", address: refusing.address, maxFails: 0),
                Self.peer(busy), Self.peer(good),
            ],
            collector,
            share: 1
        ) {
            $0.balance.name = "first"
            $0.trying.statuses = [503]
        }
        let client = try rig.client()
        try client.send(Self.get())
        #expect(try client.reply().text == "good")
        let (_, tries) = try await collector.trace(of: 4)
        #expect(tries.map(\.status) == [.error("refused"), .error(""), .unset])
        #expect(tries[1]["http.response.status_code"] == .integer(503))
        #expect(tries[1]["error.type"] == .text("503"))
        #expect(
            tries.map { $0["http.request.resend_count"] } == [nil, .integer(1), .integer(2)]
        )
        #expect(Set(tries.map(\.span)).count == 3)
    }

    @Test func `of two that are asked at once the one that is not waited for says so`() async throws
    {
        let gate = TestPeer.Gate()
        let slow = try TestPeer("slow") { _ in [.wait(gate), .send(TestPeer.ok("slow"))] }
        let fast = try TestPeer("fast")
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(slow), Self.peer(fast)], collector, share: 1) {
            $0.balance.name = "first"
            $0.hedge = HedgeDefinition(after: .time(.milliseconds(1)), budget: 1)
        }
        let client = try rig.client()
        try client.send(Self.get())
        #expect(try client.reply().text == "fast")
        gate.open()
        let (request, tries) = try await collector.trace(of: 3)
        #expect(tries.map { $0["muster.peer"] } == [.text("slow"), .text("fast")])
        #expect(tries.map { $0["muster.dropped"] } == [.bool(true), nil])
        #expect(tries.allSatisfy { $0.status == .unset })
        #expect(request.status == .unset)
        let seen = [slow, fast].compactMap { $0.requests.first?["traceparent"] }
        #expect(seen == tries.map { "00-\(request.trace)-\($0.span)-01" })
        client.close()
        await rig.expectNothingHeld()
    }

    // MARK: Ends that are not well

    @Test func `a request that nobody takes has no tries, and its line names its trace`()
        async throws
    {
        let lines = Mutex<[Journal.Line]>([])
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig(
            [Self.peer(peer)],
            collector,
            journal: Journal(from: .debug) { line in lines.withLock { $0.append(line) } }
        )
        await rig.set("peer", intent: .maint)
        let client = try rig.client()
        try client.send(Self.get("traceparent: \(Self.sampled)\r\n"))
        #expect(try client.reply().status == 503)
        let (request, tries) = try await collector.trace(of: 1)
        #expect(tries.isEmpty)
        #expect(request["http.response.status_code"] == .integer(503))
        #expect(request["error.type"] == .text("no-peer"))
        #expect(request.status == .error("no-peer"))
        let isTold = await eventually {
            lines.withLock {
                $0.contains { $0.fields.contains(.init("trace", Self.trace, isForPeople: true)) }
            }
        }
        #expect(isTold)
    }

    @Test func `an answer that breaks off is an error of both`() async throws {
        let peer = try TestPeer { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), .close]
        }
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1)
        let client = try rig.client()
        try client.send(Self.get())
        _ = try? client.reply()
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request.status == .error("body-cut") && tries[0].status == .error("body-cut"))
        #expect(request["http.response.status_code"] == .integer(200))
        #expect(tries[0]["http.response.status_code"] == .integer(200))
    }

    @Test func `a client that leaves is told of, and blames nobody`() async throws {
        let gate = TestPeer.Gate()
        let peer = try TestPeer { _ in [.wait(gate), .send(TestPeer.ok("late"))] }
        defer { gate.open() }
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1)
        let client = try rig.client()
        try client.send(Self.get())
        let isAsked = await eventually { peer.requests.count == 1 }
        #expect(isAsked)
        client.reset()
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request["error.type"] == .text("client-gone"))
        #expect(request["http.response.status_code"] == nil)
        #expect(tries[0]["muster.dropped"] == .bool(true) && tries[0].status == .unset)
        await rig.expectNothingHeld()
    }

    /// The client may end first or the server: neither is an error.
    @Test(arguments: [true, false])
    func `an upgraded connection that ends in order is no error`(clientFirst: Bool) async throws {
        let (collector, client, server, rig) = try await Self.upgraded()
        if clientFirst {
            client.finishSending()
            _ = try server.readToEnd()
            server.close()
            _ = try client.readToEnd()
        } else {
            server.finishSending()
            _ = try client.readToEnd()
        }
        client.close()
        server.close()
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request["error.type"] == nil && request.status == .unset)
        #expect(request["http.response.status_code"] == .integer(101))
        #expect(tries[0]["muster.dropped"] == nil && tries[0]["error.type"] == nil)
        await rig.expectNothingHeld()
    }

    @Test func `an upgraded connection that its server resets is an error of the server`()
        async throws
    {
        let (collector, client, server, rig) = try await Self.upgraded()
        server.reset()
        #expect(client.ending() == .reset)
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request["error.type"] == .text("body-reset"))
        #expect(request.status == .error("body-reset"))
        #expect(tries[0].status == .error("body-reset") && tries[0]["muster.dropped"] == nil)
        await rig.expectNothingHeld()
    }

    @Test func `an upgraded connection that its client resets was left`() async throws {
        let (collector, client, server, rig) = try await Self.upgraded()
        client.reset()
        #expect(server.ending() == .reset)
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request["error.type"] == .text("client-gone"))
        #expect(tries[0]["muster.dropped"] == .bool(true) && tries[0].status == .unset)
        await rig.expectNothingHeld()
    }

    /// Nobody has left, and nobody has failed.
    @Test(arguments: [TracedEnding.idle, .drained, .wentDown])
    func `an upgraded connection that muster ends is told by why`(why: TracedEnding) async throws {
        var timeouts = ProxyRig.patient
        if why == .idle { timeouts.tunnelIdle = .seconds(2) }
        if why == .drained { timeouts.drain = .milliseconds(50) }
        let (collector, client, server, rig) = try await Self.upgraded(timeouts)
        switch why {
        case .drained: #expect(await rig.drain() == 1)
        case .wentDown: await rig.set("hand", .down)
        default: break
        }
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request["error.type"] == .text(why.rawValue))
        #expect(request["http.response.status_code"] == .integer(101))
        #expect(request.status == .unset && tries[0].status == .unset)
        #expect(tries[0]["muster.dropped"] == nil && tries[0]["error.type"] == nil)
        client.close()
        server.close()
    }

    @Test func `a request that is cut off because muster stops is told as that`() async throws {
        let peer = try TestPeer { _ in [.stall] }
        let collector = Collector()
        var timeouts = ProxyRig.patient
        timeouts.drain = .milliseconds(50)
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1, timeouts: timeouts)
        let client = try rig.client()
        try client.send(Self.get())
        let isAsked = await eventually { peer.requests.count == 1 }
        #expect(isAsked)
        #expect(await rig.drain() == 1)
        let (request, tries) = try await collector.trace(of: 2)
        #expect(request["error.type"] == .text("drain") && request.status == .error("drain"))
        #expect(tries[0].status == .unset && tries[0]["muster.dropped"] == .bool(true))
    }

    private static func upgraded(
        _ timeouts: ProxyTimeouts = ProxyRig.patient
    ) async throws -> (Collector, TestClient, TestClient, ProxyRig) {
        let peer = try HandPeer()
        let collector = Collector()
        let definition = PeerDefinition(id: "hand", address: peer.address, maxFails: 0)
        let rig = try await Self.rig([definition], collector, share: 1, timeouts: timeouts) {
            $0.onDown = .closeAll
        }
        let client = try rig.client()
        try client.send(get("Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        let server = try peer.accept()
        _ = try server.read(through: "\r\n\r\n")
        let fields = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        try server.send("HTTP/1.1 101 Switching Protocols\r\n\(fields)\r\nword")
        _ = try client.read(through: "word")
        return (collector, client, server, rig)
    }

    @Test func `a bad status of the peer is an error, one that blames the client is none of ours`()
        async throws
    {
        let peer = try TestPeer { request in
            let status = request.number == 0 ? "500 No" : "404 No"
            return [.send("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n")]
        }
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1)
        let client = try rig.client()
        for status in [500, 404] {
            try client.send(Self.get())
            #expect(try client.reply().status == status)
        }
        let areThere = await eventually { collector.spans.count == 4 }
        #expect(areThere)
        let spans = collector.spans
        #expect(spans.map(\.status) == [.error("500"), .error(""), .unset, .error("")])
        #expect(spans.map { $0["error.type"] } == [.text("500"), .text("500"), nil, .text("404")])
    }

    // MARK: Bounds, and what is kept

    @Test func `a worker keeps so many, counts the others, and makes room when it is asked`()
        async throws
    {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1)
        let client = try rig.client()
        try client.send(Self.get())
        #expect(try client.reply().status == 200)
        _ = try await collector.trace(of: 2)
        // As many again as there is room for.
        await rig.worker.call { worker in
            let one = TracedExchange(
                trace: .random(using: &worker.loop.dice),
                span: .random(using: &worker.loop.dice),
                state: "",
                method: "GET",
                host: "",
                path: "/",
                client: "",
                upstream: 0,
                route: -1,
                begun: 0,
                ended: 1,
                status: 200,
                cause: .none,
                ending: nil,
                tries: []
            )
            worker.traced = Array(repeating: one, count: Worker.tracedMax)
        }
        try client.send(Self.get())
        #expect(try client.reply().status == 200)
        #expect(await rig.worker.call { $0.tracedLost } == 2)
        let proxy = rig.proxy
        await Task(executorPreference: rig.control) { await proxy.value.takeTraces() }.value
        #expect(collector.spans.count == 2 + Worker.tracedMax && collector.lost == 2)
        try client.send(Self.get())
        #expect(try client.reply().status == 200)
        let isTaken = await eventually { collector.spans.count == 4 + Worker.tracedMax }
        #expect(isTaken)
    }

    @Test func `what ends with the process is handed over too`() async throws {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector, share: 1)
        let client = try rig.client()
        try client.send(Self.get())
        #expect(try client.reply().status == 200)
        client.close()
        await rig.drain()
        #expect(collector.spans.count == 2)
    }

    @Test func `buckets remember who fell into them last, by upstream and by route`() async throws {
        let peer = try TestPeer()
        let collector = Collector()
        let rig = try await Self.rig([Self.peer(peer)], collector)
        let client = try rig.client()
        var last = ""
        for number in 1...20 {
            last = Self.trace.dropLast(2) + (number < 10 ? "0\(number)" : "\(number)")
            try client.send(Self.get("traceparent: 00-\(last)-\(Self.parent)-01\r\n"))
            #expect(try client.reply().status == 200)
        }
        let report = await rig.report()
        let upstream = try #require(report.upstreamExemplars["web"])
        let route = try #require(report.routeExemplars.values.first)
        for found in [upstream, route] {
            for phase in [RequestPhase.firstByte, .total] {
                let all = (0...PhaseTimes.bounds.count).compactMap { bucket in
                    found.of(phase, bucket: bucket).map { (bucket, $0) }
                }
                #expect(all.contains { "\($0.1.trace)" == last })
                for (bucket, one) in all {
                    if bucket < PhaseTimes.bounds.count {
                        #expect(one.value <= PhaseTimes.bounds[bucket])
                    }
                    if bucket > 0 { #expect(one.value > PhaseTimes.bounds[bucket - 1]) }
                }
            }
        }
        // They go with what they are of.
        await rig.define([UpstreamDefinition(name: "other", peers: [])])
        let isGone = await eventually {
            await rig.worker.call { worker in
                worker.exemplars.keys.allSatisfy { if case .upstream = $0 { false } else { true } }
            }
        }
        #expect(isGone)
    }
}

extension EventLoop {
    fileprivate func wallNow() async -> Int64 {
        await LoopBound((), on: self).call { _ in self.wall.milliseconds }
    }
}
