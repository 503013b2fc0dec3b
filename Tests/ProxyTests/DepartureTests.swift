// Which clients did not get their answer? Also one that left in silence while its request was with a peer.

import Dispatch
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct DepartureTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    @Test
    func `who is gone before its answer is counted, and who only has nothing more to ask is not`()
        async throws
    {
        let gate = TestPeer.Gate()
        let peer = try TestPeer("peer") { _ in [.wait(gate), .send(TestPeer.ok("peer"))] }
        let rig = try await ProxyRig([peer])
        let (gone, asker) = (try rig.client(), try rig.client())
        for client in [gone, asker] { try client.send(Self.get) }
        asker.finishSending()
        #expect(await eventually { peer.requests.count == 2 })
        gone.close()
        for _ in 0..<2 { gate.open() }
        #expect(try asker.reply().text == "peer")
        #expect(asker.ending() == .ended)
        #expect(await eventually { await rig.report().aborted == 1 })
        asker.close()
        await rig.expectNothingHeld()
        #expect(await rig.report().aborted == 1)
    }

    @Test(arguments: ["Connection: close", "Connection: keep-alive"])
    func `who has said that it sends no more is let go with its answer`(option: String) async throws
    {
        let peer = try TestPeer("peer")
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\(option)\r\n\r\n")
        #expect(try client.reply().text == "peer")
        if option.hasSuffix("close") {
            #expect(client.ending() == .ended)
            #expect(await rig.holdings().clients == 0)
        } else {
            #expect(await rig.holdings().clients == 1)
        }
        client.close()
        await rig.expectNothingHeld()
        #expect(await rig.report().aborted == 0)
    }

    @Test func `an address is written down as the kernel writes it`() throws {
        for text in ["0.0.0.0", "1.2.3.4", "10.20.100.255", "127.0.0.1", "255.99.9.109"] {
            let parts = text.split(separator: ".").compactMap { UInt32($0) }
            let number = parts.reduce(0) { $0 << 8 | $1 }
            var (numbered, named) = (ClientConnection(), ClientConnection())
            numbered.note(address: number)
            named.note(address: text)
            let count = Int(numbered.addressCount)
            #expect((0..<count).map { numbered.address[$0] } == Array(text.utf8))
            #expect((0..<count).map { named.address[$0] } == Array(text.utf8))
            #expect(numbered.addressHash == RequestKey.hash(text.utf8))
            #expect(named.addressHash == RequestKey.hash(text.utf8))
        }
    }

    @Test func `many answers on a connection that has ended its side are one departure at most`()
        async throws
    {
        let gate = TestPeer.Gate()
        let peer = try TestPeer("peer") {
            $0.line.contains("/wait")
                ? [.wait(gate), .send(TestPeer.ok("peer"))]
                : [.send(TestPeer.ok("peer"))]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n" + Self.get + Self.get)
        client.finishSending()
        gate.open()
        for _ in 0..<3 { #expect(try client.reply().text == "peer") }
        #expect(client.ending() == .ended)
        client.close()
        await rig.expectNothingHeld()
        #expect(await rig.report().aborted == 0)
    }

    @Test
    func `who has ended its side hears of the end with the last byte, however late it takes that`()
        async throws
    {
        // More than a small window takes, and less than a socket holds: it waits in the kernel.
        let body = String(repeating: "x", count: 150_000)
        let peer = try TestPeer("peer") { _ in [.send(TestPeer.ok(body))] }
        let rig = try await ProxyRig([peer])
        let client = try rig.client(receiveBuffer: 16_384)
        try client.send(Self.get)
        client.finishSending()
        #expect(
            await eventually { await rig.worker.call { $0.clients.elements[0].phase == .parting } }
        )
        // The proxy itself does nothing any more.
        let (stopped, goOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        rig.worker.loop.execute {
            stopped.signal()
            goOn.wait()
        }
        await Task.detached { Self.wait(stopped) }.value
        let reply = Result { try client.reply() }
        let ending = client.ending()
        goOn.signal()
        #expect(try reply.get().text == body)
        #expect(ending == .ended)
        client.close()
        await rig.expectNothingHeld()
        #expect(await rig.report().aborted == 0)
    }

    @Test func `what a client says after its last request does not cut its answer off`()
        async throws
    {
        let body = String(repeating: "x", count: 150_000)
        let peer = try TestPeer("peer") { _ in [.send(TestPeer.ok(body))] }
        let rig = try await ProxyRig([peer])
        let client = try rig.client(receiveBuffer: 16_384)
        try client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        // All is said, and most of it is on its way.
        #expect(
            await eventually {
                await rig.worker.call { $0.clients.elements[0].phase == .lingering }
            }
        )
        try client.send("\r\n" + Self.get)
        client.pause(milliseconds: 20)
        #expect(try client.reply().text == body)
        #expect(client.ending() == .ended)
        client.close()
        await rig.expectNothingHeld()
        #expect(peer.requests.count == 1)
    }

    @Test func `a client that says all before it reads has its answer`() async throws {
        let peer = try TestPeer("peer")
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        let count = 8 << 20
        try client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(count)\r\nnot a field: x\r\n\r\n"
        )
        try client.send([UInt8](repeating: UInt8(ascii: "x"), count: count))
        #expect(try client.reply().status == 400)
        #expect(client.ending() == .ended)
        client.close()
        await rig.expectNothingHeld()
    }

    private static func wait(_ semaphore: DispatchSemaphore) { semaphore.wait() }
}
