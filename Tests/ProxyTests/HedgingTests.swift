// Requests whose answers are late: who is asked too, who wins, and that nothing is left of the other.

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct HedgeLineTests {
    @Test(arguments: [0.5, 0.9, 0.95, 0.99])
    func `what is late is learned, and follows what changes`(share: Double) {
        var line = HedgeLine(HedgeDefinition(after: .share(share)))
        defer { line.destroy() }
        var dice = Dice(seed: 7)
        #expect(!line.isReady)
        // From 0 to 100 ms evenly, then ten times as long, then as at first.
        for scale in [1, 10, 1] {
            var sum = 0.0
            for number in 0..<20_000 {
                let latency = Int64.random(in: 1...100_000_000, using: &dice) * Int64(scale)
                line.learn(Nanoseconds(latency))
                if number >= 10_000 { sum += Double(line.late.count) }
            }
            let mean = sum / 10_000 / Double(scale)
            #expect(abs(mean / 100_000_000 - share) < 0.05, "\(mean)")
        }
        #expect(line.isReady)
    }

    @Test func `a time is a time, and nothing is late at once`() {
        var line = HedgeLine(HedgeDefinition(after: .time(.milliseconds(200))))
        defer { line.destroy() }
        #expect(line.isReady)
        for _ in 0..<1_000 { line.learn(.seconds(1)) }
        #expect(line.late == .milliseconds(200))
        var fast = HedgeLine(HedgeDefinition())
        defer { fast.destroy() }
        for _ in 0..<1_000 { fast.learn(.microseconds(50)) }
        #expect(fast.late == .milliseconds(1))
    }

    @Test func `one of twenty may be asked twice, and ten at once after a quiet time`() {
        var line = HedgeLine(HedgeDefinition())
        defer { line.destroy() }
        var twice: [Int] = []
        for number in 1...100 {
            line.asked()
            if line.mayAskTwice {
                line.askedTwice()
                twice.append(number)
            }
        }
        #expect((4...5).contains(twice.count), "\(twice)")
        for _ in 0..<1_000 { line.asked() }
        var count = 0
        while line.mayAskTwice {
            line.askedTwice()
            count += 1
        }
        #expect(count == 10)
    }

    @Test func `who waits stands in a row, up to a limit`() {
        var line = HedgeLine(HedgeDefinition())
        defer { line.destroy() }
        var (next, last): (Int32, Int32) = (0, 0)
        for round in 0..<200 {
            for _ in 0..<round % 7 {
                let isIn = line.append(HedgeLine.Entry(exchange: last, chosenAt: Int64(last)))
                #expect(isIn)
                last += 1
            }
            for _ in 0..<round % 5 where line.count > 0 {
                #expect(line.first?.exchange == next)
                line.removeFirst()
                next += 1
            }
        }
        #expect(line.count == Int(last - next))
        while line.count < HedgeLine.capacityMax {
            _ = line.append(HedgeLine.Entry(exchange: 0, chosenAt: 0))
        }
        let isIn = line.append(HedgeLine.Entry(exchange: 0, chosenAt: 0))
        #expect(!isIn)
        #expect(line.first?.exchange == next)
    }
}

@Suite struct HedgingTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func rig(
        _ peers: [(name: String, address: Address)],
        _ change: (inout UpstreamDefinition) -> Void = { _ in }
    ) async throws -> ProxyRig {
        var web = UpstreamDefinition(
            name: "web",
            peers: peers.map { PeerDefinition(id: $0.name, address: $0.address, maxFails: 0) },
            hedge: HedgeDefinition(after: .time(.milliseconds(1)), budget: 1)
        )
        web.eject.isOff = true
        change(&web)
        return try await ProxyRig([web])
    }

    /// The peer that the first request goes to waits for `gate`, and then does that; the other does
    /// `second`.
    private struct Pair {
        let gate = TestPeer.Gate()
        let first: TestPeer
        let second: TestPeer

        init(_ late: TestPeer.Step, _ second: [TestPeer.Step]) throws {
            let gate = gate
            first = try TestPeer("first") { _ in [.wait(gate), late] }
            self.second = try TestPeer("second") { _ in second }
        }

        var peers: [(name: String, address: Address)] {
            [("first", first.address), ("second", second.address)]
        }
    }

    @Test(arguments: ["GET", "HEAD"])
    func `a second peer answers what the first is late with`(method: String) async throws {
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n"
        let isHead = method == "HEAD"
        let answer =
            isHead
            ? "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" : TestPeer.ok("second")
        let pair = try Pair(.send(TestPeer.ok("first")), [.send(interim), .send(answer)])
        let rig = try await Self.rig(pair.peers)
        let client = try rig.client()
        for _ in 1...3 {
            try client.send("\(method) / HTTP/1.1\r\nHost: h\r\n\r\n")
            var reply = try client.reply(toHead: isHead)
            // The second may be whom the balancer chose.
            while reply.status == 103 { reply = try client.reply(toHead: isHead) }
            #expect(reply.status == 200)
            #expect(reply["Content-Length"] == "6")
        }
        // Those that the first was asked for, not those that were meant for the second.
        let totals = await rig.totals("second")
        #expect(totals.hedges == totals.hedgesWon)
        #expect((1...2).contains(totals.hedges))
        let first = await rig.totals("first")
        #expect(first.responseFailures == 0)
        #expect(first.responses == [0, 0, 0, 0, 0, 0])
        for _ in 0..<2 { pair.gate.open() }
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `the first may still win`() async throws {
        let other = TestPeer.Gate()
        let pair = try Pair(
            .send(TestPeer.ok("first")),
            [.wait(other), .send(TestPeer.ok("second"))]
        )
        let rig = try await Self.rig(pair.peers)
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await eventually { pair.second.requests.count == 1 })
        pair.gate.open()
        #expect(try client.reply().text == "first")
        other.open()
        let second = await rig.totals("second")
        #expect(second.hedges == 1)
        #expect(second.hedgesWon == 0)
        #expect(second.responseFailures == 0)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test(arguments: [TestPeer.Step.close, .reset, .send("nonsense\r\n\r\n"), .send(busy)])
    func `the second goes on alone where the first fails`(late: TestPeer.Step) async throws {
        let other = TestPeer.Gate()
        let pair = try Pair(late, [.wait(other), .send(TestPeer.ok("second"))])
        let rig = try await Self.rig(pair.peers) {
            $0.trying.statuses = [503]
            $0.trying.budgetMin = 1
        }
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await eventually { pair.second.requests.count == 1 })
        pair.gate.open()
        #expect(
            await eventually {
                let first = await rig.totals("first")
                return first.responseFailures + first.responses[5] == 1
            }
        )
        other.open()
        #expect(try client.reply().text == "second")
        #expect(pair.second.requests.count == 1)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `the first goes on alone where the second fails`() async throws {
        let gate = TestPeer.Gate()
        let first = try TestPeer("first") { _ in [.wait(gate), .send(TestPeer.ok("first"))] }
        let dead = try RefusingPeer()
        defer { withExtendedLifetime(dead) {} }
        let rig = try await Self.rig([("first", first.address), ("dead", dead.address)])
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await eventually { await rig.totals("dead").connectFailures == 1 })
        gate.open()
        #expect(try client.reply().text == "first")
        #expect(await rig.totals("dead").hedges == 1)
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `the second goes on alone where the first goes down`() async throws {
        let other = TestPeer.Gate()
        let pair = try Pair(.close, [.wait(other), .send(TestPeer.ok("second"))])
        let rig = try await Self.rig(pair.peers)
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await eventually { pair.second.requests.count == 1 })
        await rig.set("first", .down, reason: .layer4Timeout)
        other.open()
        #expect(try client.reply().text == "second")
        #expect(pair.second.requests.count == 1)
        pair.gate.open()
        client.close()
        await rig.expectNothingHeld()
    }

    @Test(arguments: [true, false])
    func `both are let go with their client, and the second with its peer`(
        isClientGone: Bool
    ) async throws {
        let other = TestPeer.Gate()
        let pair = try Pair(
            .send(TestPeer.ok("first")),
            [.wait(other), .send(TestPeer.ok("second"))]
        )
        let rig = try await Self.rig(pair.peers) { $0.onDown = .closeAll }
        let client = try rig.client()
        try client.send(Self.get)
        #expect(await eventually { pair.second.requests.count == 1 })
        #expect(await rig.holdings().busyLinks == 2)
        if isClientGone {
            client.reset()
            #expect(await eventually { await rig.holdings().busyLinks == 0 })
        } else {
            await rig.set("second", .down)
            #expect(await rig.holdings().busyLinks == 1)
        }
        for gate in [pair.gate, other] { gate.open() }
        if !isClientGone { #expect(try client.reply().text == "first") }
        client.close()
        await rig.expectNothingHeld()
    }

    @Test(arguments: [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
    ])
    func `what has a body or changes something is asked once`(request: String) async throws {
        let pair = try Pair(.send(TestPeer.ok("first")), [.send(TestPeer.ok("second"))])
        let rig = try await Self.rig(pair.peers)
        let client = try rig.client()
        try client.send(request)
        #expect(await eventually { pair.first.requests.count == 1 })
        #expect(await rig.worker.call { $0.pool.upstreams[0].hedge?.pointee.count } == 0)
        pair.gate.open()
        #expect(try client.reply().text == "first")
        #expect(pair.second.requests.isEmpty)
    }

    @Test func `who takes longer than others do is found without being told how long that is`()
        async throws
    {
        let pair = try Pair(.send(TestPeer.ok("first")), [.send(TestPeer.ok("second"))])
        for _ in 0..<200 { pair.gate.open() }
        let rig = try await Self.rig(pair.peers) { $0.hedge = HedgeDefinition(budget: 1) }
        let client = try rig.client()
        for _ in 0..<400 {
            try client.send(Self.get)
            #expect(try client.reply().status == 200)
        }
        // From now on the first waits for ever.
        let isWon = await eventually {
            try? client.send(Self.get)
            guard (try? client.reply().text) == "second" else { return false }
            return await rig.totals("second").hedgesWon > 0
        }
        #expect(isWon)
        pair.gate.open()
    }

    private static let busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
}
