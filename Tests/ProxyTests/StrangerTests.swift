// Is no request risked on a peer that nobody knows yet? Real sockets; nobody's time runs out here.

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Proxy

@Suite struct StrangerProxyTests {
    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    private static func web(_ peers: [TestPeer]) -> UpstreamDefinition {
        UpstreamDefinition(
            name: "web",
            peers: peers.map { PeerDefinition(id: $0.name, address: $0.address) }
        )
    }

    @Test func `who comes before the first verdict waits for it, and is served`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        let rig = try await ProxyRig([Self.web(peers)], strangerTime: .seconds(3_600))
        let client = try rig.client()
        try client.send(Self.get)
        await rig.settled()
        #expect(await rig.holdings().clients == 0, "it waits in the kernel")
        await rig.set("b", .up)
        #expect(try client.reply().text == "b")
        #expect(await rig.totals("a").requests == 0)
        client.close()
        await rig.drain()
    }

    @Test func `who is replaced serves until the other is known`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        let rig = try await ProxyRig([Self.web([peers[0]])], strangerTime: .seconds(3_600))
        await rig.set("a", .up)
        let client = try rig.client()
        try client.send(Self.get)
        #expect(try client.reply().text == "a")
        await rig.define([Self.web([peers[1]])])
        try client.send(Self.get)
        #expect(try client.reply().text == "a")
        await rig.set("b", .up)
        for _ in 0..<3 {
            try client.send(Self.get)
            #expect(try client.reply().text == "b")
        }
        // The same peer at another address.
        let moved = PeerDefinition(id: "b", address: peers[0].address)
        await rig.define([UpstreamDefinition(name: "web", peers: [moved])])
        try client.send(Self.get)
        #expect(try client.reply().text == "b", "where it was")
        await rig.set("b", .up)
        try client.send(Self.get)
        #expect(try client.reply().text == "a", "where it is")
        client.close()
        await rig.drain()
    }

    @Test func `who is replaced by nobody goes at once`() async throws {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        let rig = try await ProxyRig([Self.web(peers)], strangerTime: .seconds(3_600))
        for peer in peers { await rig.set(peer.name, .up) }
        await rig.define([Self.web([peers[1]])])
        let client = try rig.client()
        for _ in 0..<4 {
            try client.send(Self.get)
            #expect(try client.reply().text == "b")
        }
        client.close()
        await rig.drain()
    }

    @Test func `a peer that is added gets its first request after its first verdict`()
        async throws
    {
        let peers = try ["a", "b"].map { try TestPeer($0) }
        let rig = try await ProxyRig([Self.web([peers[0]])], strangerTime: .seconds(3_600))
        await rig.set("a", .up)
        await rig.define([Self.web(peers)])
        let client = try rig.client()
        for _ in 0..<8 {
            try client.send(Self.get)
            #expect(try client.reply().text == "a")
        }
        await rig.set("b", .up)
        var served: Set<String> = []
        for _ in 0..<4 {
            try client.send(Self.get)
            served.insert(try client.reply().text)
        }
        #expect(served == ["a", "b"])
        client.close()
        await rig.drain()
    }
}
