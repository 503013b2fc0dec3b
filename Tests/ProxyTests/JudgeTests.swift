// Who is taken out because requests fail, for how long, and who never is.

import EventLoop
import Foundation
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct JudgeTests {
    private static let key = PeerKey(upstream: "web", peer: "a")
    private static let start = Instant(nanoseconds: 1_000_000_000)

    /// A failure at each of these milliseconds; the answers at those that eject.
    private static func ejected(
        _ maxFails: Int,
        _ window: Nanoseconds,
        at times: [Int64]
    ) -> [Int64] {
        let definition = PeerDefinition(
            address: .host("h", port: 1),
            maxFails: maxFails,
            failTimeout: window
        )
        var judge = Judge()
        return times.filter {
            judge.failed(key, 1, of: definition, at: start + .milliseconds($0)) != nil
        }
    }

    @Test func `so many failures within so long eject, and the count begins anew`() {
        #expect(Self.ejected(1, .seconds(10), at: [0, 1, 5_000]) == [0, 1, 5_000])
        #expect(Self.ejected(3, .seconds(10), at: [0, 1, 2, 3, 4, 5]) == [2, 5])
        // Spread too far.
        #expect(Self.ejected(2, .seconds(10), at: [0, 10_000, 20_000, 30_000]) == [])
        #expect(Self.ejected(2, .seconds(10), at: [0, 9_000]) == [9_000])
        // Which slide: the first is too old for the third, the second is not.
        #expect(Self.ejected(2, .seconds(10), at: [0, 11_000, 15_000]) == [15_000])
        #expect(Self.ejected(0, .seconds(10), at: [0, 1, 2, 3]) == [])
    }

    @Test func `failures that come together count together`() {
        let definition = PeerDefinition(address: .host("h", port: 1), maxFails: 1_000)
        var judge = Judge()
        var now = Self.start
        for _ in 0..<99 {
            #expect(judge.failed(Self.key, 10, of: definition, at: now) == nil)
            now = now + .milliseconds(50)
        }
        #expect(judge.failed(Self.key, 10, of: definition, at: now) == 1_000)
    }
}

@Suite struct LookTimesTests {
    private static func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: 1_000_000_000) + .milliseconds(milliseconds)
    }

    private enum Step {
        /// A worker has something to tell.
        case strike
        case goOn
        /// The workers are asked.
        case take
        /// And counted, if that may be.
        case count(must: Bool)
        case counting
    }

    /// What comes of each step: when to look, and 1 or 0 for what may be counted or not.
    private static func answers(_ steps: [(Int64, Step)]) -> [Int64?] {
        var times = LookTimes()
        return steps.map { moment, step in
            let now = at(moment)
            switch step {
            case .strike: return times.strike(at: now).map { ($0 - at(0)).milliseconds }
            case .goOn: return times.goOn(at: now).map { ($0 - at(0)).milliseconds }
            case .take: times.take(at: now)
            case .count(let must): return times.mayCount(at: now, mustCount: must) ? 1 : 0
            case .counting: times.isCounting = true
            }
            return nil
        }
    }

    @Test func `what a worker tells is heard at once, and then not too often`() {
        #expect(
            Self.answers([
                (0, .strike), (0, .take), (3, .strike), (4, .strike), (10, .take), (30, .strike),
            ]) == [0, nil, 10, nil, nil, 30]
        )
    }

    @Test func `it does not wait for a look that was due later`() {
        #expect(
            Self.answers([
                (0, .take), (0, .count(must: false)), (0, .goOn), (5, .strike), (6, .goOn),
            ]) == [nil, 1, 100, 10, nil]
        )
    }

    @Test func `while failures are counted each is heard of soon`() {
        // Not all peers are looked at each time; what was left out is made up for.
        #expect(
            Self.answers([
                (0, .take), (0, .count(must: false)), (0, .counting), (0, .strike), (1, .take),
                (1, .count(must: false)), (1, .goOn), (1, .count(must: true)), (12, .take),
                (12, .count(must: false)), (12, .goOn),
            ]) == [nil, 1, nil, 1, nil, 0, 10, 1, nil, 1, 112]
        )
    }
}

@Suite struct EjectionTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func web(
        _ peers: [(name: String, address: Address)],
        maxFails: Int = 1,
        failTimeout: Nanoseconds = .seconds(600)
    ) -> [UpstreamDefinition] {
        [
            UpstreamDefinition(
                name: "web",
                peers: peers.map {
                    PeerDefinition(
                        id: $0.name,
                        address: $0.address,
                        maxFails: maxFails,
                        failTimeout: failTimeout
                    )
                }
            )
        ]
    }

    private static func view(_ peer: String, _ rig: ProxyRig) async -> PeerView? {
        await rig.board.call { $0.report(of: PeerKey(upstream: "web", peer: peer))?.view }
    }

    private static func isEjected(_ peer: String, _ rig: ProxyRig) async -> Bool {
        let isEjected = await eventually { await view(peer, rig)?.status == .ejected }
        await rig.settled()
        return isEjected
    }

    @Test(arguments: ["", "half a head", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
    func `a peer that fails a request gets no more`(answer: String) async throws {
        let bad = try TestPeer("bad") { _ in [.send(answer), .close] }
        let good = try TestPeer("good")
        let rig = try await ProxyRig(Self.web([("bad", bad.address), ("good", good.address)]))
        let client = try rig.client()
        try client.send(Self.get)
        _ = try? client.reply()
        #expect(await Self.isEjected("bad", rig))
        let reason = await Self.view("bad", rig)?.reason
        #expect(reason?.hasPrefix("failed a request (") == true, "\(reason ?? "")")
        let before = bad.requests.count
        let other = try rig.client()
        for _ in 0..<6 {
            try other.send(Self.get)
            #expect(try other.reply().text == "good")
        }
        #expect(bad.requests.count == before)
        #expect(await rig.totals("bad").ejections == 1)
    }

    @Test func `a peer that refuses connections gets no more`() async throws {
        let dead = try RefusingPeer()
        defer { withExtendedLifetime(dead) {} }
        let good = try TestPeer("good")
        let rig = try await ProxyRig(Self.web([("dead", dead.address), ("good", good.address)]))
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().text == "good")
        #expect(await Self.isEjected("dead", rig))
        for _ in 0..<6 {
            try client.send(Self.get)
            #expect(try client.reply().text == "good")
        }
        #expect(await rig.totals("dead").connectFailures == 1)
    }

    @Test func `it comes back by itself`() async throws {
        let isWell = Flag()
        let peer = try TestPeer("peer") { _ in
            isWell.isSet ? [.send(TestPeer.ok("peer"))] : [.close]
        }
        let good = try TestPeer("good")
        let rig = try await ProxyRig(
            Self.web(
                [("peer", peer.address), ("good", good.address)],
                failTimeout: .milliseconds(300)
            )
        )
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().text == "good")
        isWell.set()
        let isBack = await eventually {
            guard await rig.totals("peer").ejections == 1 else { return false }
            await rig.settled()
            try? client.send(Self.get)
            return (try? client.reply().text) == "peer"
        }
        #expect(isBack)
    }

    @Test(arguments: [
        (trouble, "answered a request with 5xx just after it was back"),
        ("HTTP/1.1 200", "failed a request (head-cut) just after it was back"),
    ])
    func `the first request that a peer fails after its time ejects it, and the reason says how`(
        answer: String,
        reason: String
    ) async throws {
        // Five answers with 5xx would eject it too: not before it is out for what it closed.
        let wasEjected = Flag()
        let bad = try TestPeer("bad") { _ in
            wasEjected.isSet ? [.send(answer), .close] : [.close]
        }
        let good = try TestPeer("good")
        let rig = try await ProxyRig(
            Self.web(
                [("bad", bad.address), ("good", good.address)],
                maxFails: 2,
                failTimeout: .seconds(1)
            )
        )
        let client = try rig.client()
        let isSaid = await eventually(within: .seconds(60)) {
            try? client.send(Self.get)
            _ = try? client.reply()
            if await rig.totals("bad").ejections > 0 { wasEjected.set() }
            return await Self.view("bad", rig)?.reason.hasPrefix(reason) == true
        }
        let seen = await Self.view("bad", rig)?.reason ?? ""
        #expect(isSaid, "\(seen)")
    }

    @Test func `the last peer is never taken out, nor more than half of them`() async throws {
        let peers = try (0..<5).map { try TestPeer("p\($0)") { _ in [.close] } }
        for count in [1, 2, 3, 5] {
            let rig = try await ProxyRig(
                Self.web(peers.prefix(count).map { ($0.name, $0.address) })
            )
            let client = try rig.client()
            for _ in 0..<4 * count {
                try client.send(Self.get)
                #expect([502, 503].contains(try client.reply().status))
            }
            // All strikes so far have been weighed when this one has been.
            let names = peers.prefix(count).map(\.name)
            let isDone = await eventually {
                var ejected = 0
                for name in names where await Self.view(name, rig)?.status == .ejected {
                    ejected += 1
                }
                return ejected == count / 2
            }
            #expect(isDone, "\(count)")
        }
    }

    @Test func `who is ejected is asked before a request that failed at all others is lost`()
        async throws
    {
        let bad = try TestPeer("bad") {
            $0.connection == 0 ? [.close] : [.send(TestPeer.ok("bad"))]
        }
        let dead = try RefusingPeer()
        defer { withExtendedLifetime(dead) {} }
        var upstreams = Self.web([("bad", bad.address), ("dead", dead.address)])
        // Its checks have not found it yet, and requests may not.
        upstreams[0].peers[1].maxFails = 0
        let rig = try await ProxyRig(upstreams)
        let client = try rig.client()
        for _ in 0..<2 {
            try client.send(Self.get)
            _ = try client.reply()
        }
        #expect(await Self.isEjected("bad", rig))
        let before = await rig.totals("bad").requests
        for _ in 0..<4 {
            try client.send(Self.get)
            #expect(try client.reply().text == "bad")
        }
        #expect(await Self.view("bad", rig)?.status == .ejected)
        #expect(await rig.totals("bad").requests == before + 4)
        // Nobody has had it yet.
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        #expect(try client.reply().text == "bad")
    }

    @Test func `a connection that its peer closes while it is idle is no failure`() async throws {
        let peer = try TestPeer("peer") { $0.number == 1 ? [.close] : [.send(TestPeer.ok("peer"))] }
        let good = try TestPeer("good") { $0.number == 1 ? [.close] : [.send(TestPeer.ok("good"))] }
        let rig = try await ProxyRig(Self.web([("peer", peer.address), ("good", good.address)]))
        let client = try rig.client()
        for _ in 0..<8 {
            try client.send(Self.get)
            #expect(try client.reply().status == 200)
        }
        await rig.settled()
        #expect(await rig.totals("peer").ejections == 0)
        #expect(await rig.totals("good").ejections == 0)
    }

    @Test func `who is found down is judged by its checks from then on`() async throws {
        let bad = try TestPeer("bad") { _ in [.close] }
        let good = try TestPeer("good")
        let rig = try await ProxyRig(Self.web([("bad", bad.address), ("good", good.address)]))
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().text == "good")
        #expect(await Self.isEjected("bad", rig))
        await rig.set("bad", .down)
        #expect(await Self.view("bad", rig)?.status == .down)
        await rig.set("bad", .up)
        // A moment later, not after its ten minutes: it may fall again at once.
        #expect(await eventually { await Self.view("bad", rig)?.status == .up })
    }

    @Test func `answers that tell of trouble eject, five in a row`() async throws {
        let bad = try TestPeer("bad") { _ in [.send(Self.trouble)] }
        let good = try TestPeer("good")
        let suspects = Suspects()
        let rig = try await ProxyRig(
            Self.web([("bad", bad.address), ("good", good.address)]),
            onSuspicion: { suspects.add($0, isSilent: $1, $2) }
        )
        let client = try rig.client()
        let isEjected = await eventually {
            try? client.send(Self.get)
            _ = try? client.reply()
            return await Self.view("bad", rig)?.status == .ejected
        }
        #expect(isEjected)
        // Others hear it for as long as it is out.
        let vote = suspects.votes.last
        #expect(vote?.life == EjectDefinition().time)
        #expect((vote?.failures ?? 0) >= 5 && (vote?.requests ?? 0) >= (vote?.failures ?? 0))
        let reason = await Self.view("bad", rig)?.reason ?? ""
        #expect(reason.hasPrefix("answered ") && reason.contains("in a row with 5xx"), "\(reason)")
        #expect(bad.requests.count >= 5)
    }

    @Test func `who fails half of its requests is found beside the others`() async throws {
        let bad = try TestPeer("bad") {
            [.send($0.number % 2 == 0 ? Self.trouble : TestPeer.ok("bad"))]
        }
        let good = try TestPeer("good")
        var upstreams = Self.web([("bad", bad.address), ("good", good.address)])
        // However slow this machine is.
        upstreams[0].eject.rate.window = .seconds(60)
        let rig = try await ProxyRig(upstreams)
        let client = try rig.client()
        let isEjected = await eventually {
            for _ in 0..<8 {
                try? client.send(Self.get)
                _ = try? client.reply()
            }
            return await Self.view("bad", rig)?.status == .ejected
        }
        #expect(isEjected)
        let reason = await Self.view("bad", rig)?.reason ?? ""
        #expect(reason.contains("where of the others' 0% fail"), "\(reason)")
    }

    @Test func `nobody is ejected where that is off`() async throws {
        let bad = try TestPeer("bad") { $0.number > 3 ? [.close] : [.send(Self.trouble)] }
        let good = try TestPeer("good")
        var upstreams = Self.web([("bad", bad.address), ("good", good.address)])
        upstreams[0].eject.isOff = true
        let rig = try await ProxyRig(upstreams)
        let client = try rig.client()
        for _ in 0..<40 {
            try client.send(Self.get)
            #expect([200, 500].contains(try client.reply().status))
        }
        await rig.settled()
        #expect(await rig.totals("bad").ejections == 0)
        #expect(bad.requests.count >= 20)
        // Who asks is told so all the same.
        let isTold = await eventually {
            for _ in 0..<4 {
                try? client.send(Self.get)
                _ = try? client.reply()
            }
            return await rig.traffic(of: "bad")?.failing != nil
        }
        #expect(isTold)
    }

    @Test func `a peer that says nothing while others speak is suspect`() async throws {
        let silent = try TestPeer("silent") { _ in [.stall] }
        let good = try TestPeer("good")
        let suspects = Suspects()
        let rig = try await ProxyRig(
            Self.web([("silent", silent.address), ("good", good.address)]),
            onSuspicion: { suspects.add($0, isSilent: $1, $2) }
        )
        // Each second one waits at the silent peer.
        let clients = try (0..<8).map { _ in try rig.client() }
        for client in clients { try client.send(Self.get) }
        #expect(await eventually { silent.requests.count >= 3 })
        let isSeen = await eventually {
            let client = try? rig.client()
            try? client?.send(Self.get)
            client?.close()
            return suspects.silent.contains("silent")
        }
        #expect(isSeen)
        #expect(!suspects.silent.contains("good"))
        #expect(await Self.view("silent", rig)?.status != .ejected)
    }

    @Test func `the first failure asks for a look at the peer`() async throws {
        let dead = try RefusingPeer()
        defer { withExtendedLifetime(dead) {} }
        let good = try TestPeer("good")
        let suspects = Suspects()
        let rig = try await ProxyRig(
            Self.web([("dead", dead.address), ("good", good.address)], maxFails: 3),
            onSuspicion: { suspects.add($0, isSilent: $1, $2) }
        )
        let client = try rig.client()
        for _ in 0..<2 {
            try client.send(Self.get)
            #expect(try client.reply().text == "good")
        }
        #expect(await eventually { suspects.failing == ["dead"] })
        #expect(suspects.silent == [])
    }

    /// What a request finds that waits at a peer while that goes down and comes back.
    @Test(arguments: ["", trouble])
    func `what was asked of a peer before it came back is not held against it`(
        late: String
    ) async throws {
        let gate = TestPeer.Gate()
        let back = try TestPeer("back") { request in
            guard request.number == 0, request.connection < 6 else {
                return [.send(TestPeer.ok("back"))]
            }
            return [.wait(gate)] + (late.isEmpty ? [.close] : [.send(late)])
        }
        let good = try TestPeer("good")
        let suspects = Suspects()
        let rig = try await ProxyRig(
            Self.web([("back", back.address), ("good", good.address)]),
            onSuspicion: { suspects.add($0, isSilent: $1, $2) }
        )
        let clients = try (0..<12).map { _ in try rig.client() }
        for client in clients { try client.send(Self.get) }
        #expect(await eventually { back.requests.count == 6 })
        await rig.set("back", .down)
        await rig.set("back", .up)
        for _ in 0..<6 { gate.open() }
        let statuses = try clients.map { try $0.reply().status }
        #expect(statuses.count { $0 == 500 } == (late.isEmpty ? 0 : 6))
        let tallies = await rig.worker.call { $0.census(of: [0]) }
        let tally = await rig.proxy.call { proxy in
            tallies.first { proxy.routing.peer($0.peer)?.peer == "back" }?.tally
        }
        #expect(tally?.failures == 0)
        #expect(tally?.run == 0)
        #expect(await rig.totals("back").ejections == 0)
        // What it fails from now on is its own.
        back.stop()
        let isSeen = await eventually {
            let client = try? rig.client()
            try? client?.send(Self.get)
            _ = try? client?.reply()
            return suspects.failing == ["back"]
        }
        #expect(isSeen)
    }

    @Test(arguments: 1...3)
    func `who fails at most of its peers doubts itself`(dead: Int) async throws {
        let closing = try (0..<dead).map { try TestPeer("dead-\($0)") { _ in [.close] } }
        let well = try (dead..<3).map { try TestPeer("well-\($0)") }
        let suspects = Suspects()
        let rig = try await ProxyRig(
            Self.web((closing + well).map { ($0.name, $0.address) }, maxFails: 100),
            onSuspicion: { suspects.add($0, isSilent: $1, $2) }
        )
        #expect(await !rig.proxy.call { $0.doubtsItself })
        let client = try rig.client()
        let isSeen = await eventually {
            try? client.send(Self.get)
            _ = try? client.reply()
            guard suspects.failing.count == dead else { return false }
            return await rig.proxy.call { $0.doubtsItself } == (dead > 1)
        }
        #expect(isSeen)
    }

    @Test func `failures that a worker told of before it knew that the peer was back are dropped`()
    {
        var table = StrikeTable()
        defer { table.destroy() }
        var strike = StrikeTable.Strike(peer: 7)
        strike.count = 2
        let isFirst = table.add(strike)
        #expect(isFirst)
        table.forget(7)
        strike.count = 1
        strike.askedAt = Instant(nanoseconds: 5)
        _ = table.add(strike)
        let taken = table.take()
        #expect(taken.map(\.count) == [1])
        #expect(taken.map(\.askedAt.nanoseconds) == [5])
    }

    private static let trouble = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
}

/// Of whom the proxy said that somebody should look.
private final class Suspects: @unchecked Sendable {
    private let lock = NSLock()
    private var seen: (failing: Set<String>, silent: Set<String>) = ([], [])
    private var told: [TrafficVote] = []
    var failing: Set<String> { lock.withLock { seen.failing } }
    var silent: Set<String> { lock.withLock { seen.silent } }

    var votes: [TrafficVote] { lock.withLock { told } }

    func add(_ key: PeerKey, isSilent: Bool, _ vote: TrafficVote?) {
        lock.lock()
        if let vote { told.append(vote) }
        defer { lock.unlock() }
        if isSilent { seen.silent.insert(key.peer) } else { seen.failing.insert(key.peer) }
    }
}

/// Set once, by a test; read by a peer.
private final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false
    var isSet: Bool { lock.withLock { value } }
    func set() { lock.withLock { value = true } }
}
