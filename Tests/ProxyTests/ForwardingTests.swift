// One request, one answer, over real sockets: what comes through the proxy, and what it keeps.

import EventLoop
import Foundation
import Health
import TestSupport
import Testing

@testable import Proxy

@Suite struct ForwardingTests {
    /// RFC 9110, section 7.6.2.
    @Test func `Max-Forwards is counted down, and ends at zero`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for method in ["OPTIONS", "TRACE"] {
            let rest = "/a HTTP/1.1\r\nHost: h\r\nCookie: secret\r\nMax-Forwards: "
            try client.send("\(method) \(rest)3\r\n\r\n")
            #expect(try client.reply().text == "peer")
            #expect(peer.requests.last?["Max-Forwards"] == "2")
            let seen = peer.requests.count
            try client.send("\(method) \(rest)0\r\n\r\n")
            let reply = try client.reply()
            #expect(reply.status == 200)
            #expect(reply["Date"]?.hasSuffix("GMT") == true)
            #expect(
                reply.text
                    == (method == "OPTIONS"
                        ? "" : "TRACE /a HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n")
            )
            #expect(peer.requests.count == seen)
        }
        try client.send("GET / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n")
        #expect(try client.reply().text == "peer")
        #expect(peer.requests.last?["Max-Forwards"] == "0")
    }

    @Test func `what goes round in circles ends`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        for (count, line, status) in [
            (15, "Via: 1.1 muster", 200), (16, "Via: 1.1 muster", 508),
            (40, "Via: 1.0 muster", 508),
            (40, "Via: 1.1 muster2", 200), (40, "Vie: 1.1 muster", 200),
            (40, "Via: 1.1 nginx1", 200),
            // What stands in between may make one line of them.
            (1, "Via: " + String(repeating: "1.1 muster, ", count: 14) + "1.0 muster", 200),
            (1, "Via: " + String(repeating: "1.1 muster, ", count: 15) + "1.0 muster", 508),
            (1, "Via: " + String(repeating: "1.1 nginx ,\t1.1 muster,", count: 16), 508),
            (8, "Via: 1.1 muster,1.1 muster", 508), (7, "Via: 1.1 muster,1.1 muster", 200),
            (1, "Vie: " + String(repeating: "1.1 muster, ", count: 17), 200),
        ] {
            let client = try rig.client()
            let lines = String(repeating: line + "\r\n", count: count)
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\(lines)\r\n")
            #expect(try client.reply().status == status, "\(count) \(line)")
            // The connection is as good as before.
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.reply().status == 200)
        }
    }

    @Test func `answers have a date, the peer's or ours`() async throws {
        let peer = try TestPeer { request in
            [
                .send(
                    TestPeer.ok("", fields: request.line.contains("/dated") ? "Date: then\r\n" : "")
                )
            ]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send("GET /dated HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply()["Date"] == "then")
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply()["Date"]?.hasSuffix(" GMT") == true)
        try client.send("BAD\r\n\r\n")
        #expect(try client.reply()["Date"]?.hasSuffix(" GMT") == true)
    }

    @Test func `both connections are kept for the next request`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for number in 0..<20 {
            try client.send("GET /\(number) HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.reply().text == "peer")
        }
        #expect(peer.connections == 1)
        #expect(peer.requests.map(\.line) == (0..<20).map { "GET /\($0) HTTP/1.1" })
        #expect(peer.requests[0]["X-Forwarded-For"] == "127.0.0.1")
        let totals = await rig.totals("peer")
        #expect(totals.requests == 20)
        #expect(totals.connects == 1)
        #expect(totals.responses[2] == 20)
        #expect(totals.inFlight == 0)
        client.close()
        await rig.expectNothingHeld()
        #expect(await rig.holdings().idleLinks == 1)
    }

    @Test func `many clients share what is idle`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        for _ in 0..<10 {
            let client = try rig.client()
            try client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            let reply = try client.reply()
            #expect(reply["Connection"] == "close")
            #expect(client.ending() == .ended)
        }
        #expect(peer.connections == 1)
        await rig.expectNothingHeld()
    }

    @Test func `pipelined requests are answered in their order`() async throws {
        let peer = try TestPeer { request in
            [.send(TestPeer.ok(request.line))]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        let requests = (0..<50).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }.joined()
        try client.send(requests)
        for number in 0..<50 {
            #expect(try client.reply().text == "GET /\(number) HTTP/1.1")
        }
    }

    @Test func `pipelined requests with bodies and errors between them`() async throws {
        let peer = try TestPeer { request in
            [.send(TestPeer.ok(String(decoding: request.body, as: UTF8.self)))]
        }
        let rig = try await ProxyRig(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: [PeerDefinition(id: "peer", address: peer.address)]
                )
            ],
            modes: [.http(routes: [RouteConfiguration(host: "h", upstream: "web")])]
        )
        let client = try rig.client()
        try client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
                + "GET / HTTP/1.1\r\nHost: other\r\n\r\n"
                + "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"
                + "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nthree"
        )
        #expect(try client.reply().text == "one")
        #expect(try client.reply().status == 404)
        #expect(try client.reply().text == "two")
        #expect(try client.reply().text == "three")
    }

    @Test func `a client that sends no more still gets every answer`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send(
            "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\n"
                + "Content-Length: 1\r\n\r\nx"
        )
        client.finishSending()
        #expect(try client.reply().text == "peer")
        #expect(try client.reply().text == "peer")
        #expect(client.ending() == .ended)
        await rig.expectNothingHeld()
    }

    @Test func `HEAD, 204 and 304 have no body and the connection goes on`() async throws {
        let peer = try TestPeer { request in
            switch request.number {
            case 0: [.send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")]
            case 1: [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")]
            case 2: [.send("HTTP/1.1 204 No Content\r\n\r\n")]
            case 3: [.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n")]
            default: [.send(TestPeer.ok("end"))]
            }
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply(toHead: true)["Content-Length"] == "500")
        try client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply(toHead: true).status == 200)
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply().status == 204)
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply()["Content-Length"] == "7")
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply().text == "end")
        #expect(peer.connections == 1)
    }

    @Test func `interim responses pass, but not to HTTP 1.0`() async throws {
        let interim =
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        let peer = try TestPeer { _ in [.send(interim + TestPeer.ok("done"))] }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        let first = try client.reply()
        #expect(first.status == 103)
        #expect(first["Link"] == "</a>")
        #expect(try client.reply().status == 102)
        #expect(try client.reply().text == "done")
        let old = try rig.client()
        try old.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n")
        #expect(try old.reply().status == 200)
    }

    @Test func `an expectation is for the peer to meet`() async throws {
        let gate = TestPeer.Gate()
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 100 Continue\r\n\r\n"),
            .expect("the body"),
            .send(TestPeer.ok("thanks"))
        )
        defer { server.stop() }
        gate.open()
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        try client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n"
        )
        #expect(try client.reply().status == 100)
        #expect(server.receivedText[0].contains("Expect: 100-continue"))
        try client.send("the body")
        #expect(try client.reply().text == "thanks")
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `an early refusal reaches a client that is still sending`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send(
                "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"
            ),
            .close
        )
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
        let piece = [UInt8](repeating: 0x78, count: 65_536)
        for _ in 0..<4 { _ = client.sendSome(piece) }
        let reply = try client.reply()
        #expect(reply.status == 413)
        #expect(reply.text == "big")
        #expect(reply["Connection"] == "close")
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `an early answer to a peer that stays open ends the client's connection`()
        async throws
    {
        let server = try ScriptedServer(.expect("\r\n\r\n"), .send(TestPeer.ok("no")), .stall)
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        let reply = try client.reply()
        #expect(reply.text == "no")
        #expect(reply["Connection"] == "close")
        // What it still sends is not taken for a request.
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(client.ending() == .ended)
        client.close()
        await rig.expectNothingHeld()
        #expect(server.connectionCount == 1)
    }

    // MARK: HTTP/1.0

    @Test func `an HTTP 1.0 client gets what it can read`() async throws {
        let peer = try TestPeer { request in
            request.line.contains("/chunked")
                ? [
                    .send(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            + "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"
                    )
                ]
                : [.send(TestPeer.ok("plain"))]
        }
        let rig = try await ProxyRig([peer])
        let chunked = try rig.client()
        try chunked.send("GET /chunked HTTP/1.0\r\nHost: h\r\n\r\n")
        let reply = try chunked.reply()
        #expect(reply.text == "abcde")
        #expect(!reply.wasChunked)
        #expect(chunked.ending() == .ended)

        let kept = try rig.client()
        for _ in 0..<2 {
            try kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            let reply = try kept.reply()
            #expect(reply.text == "plain")
            #expect(reply["Connection"] == "keep-alive")
        }
        try kept.send("GET / HTTP/1.0\r\n\r\n")
        #expect(try kept.reply()["Connection"] == "close")
        #expect(kept.ending() == .ended)
        await rig.expectNothingHeld()
    }

    @Test func `an HTTP 1.0 peer is asked on a connection of its own each time`() async throws {
        let peer = try TestPeer { _ in
            [.send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"), .close]
        }
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        for _ in 0..<5 {
            try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            #expect(try client.reply().text == "old")
        }
        #expect(peer.connections == 5)
    }

    @Test func `a peer that speaks and hangs up at once is heard to the end`() async throws {
        let server = try ScriptedServer([[.send("HTTP/1.0 503 Busy\r\n\r\ntoo many"), .close]])
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        await rig.settled()
        // The worker sees the request, connects, and is held again: that the connection stands, the
        // answer and the end then come to it as one event.
        let first = rig.hold()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        let second = rig.holdAgain()
        first.release()
        let isThere = await eventually { server.connectionCount == 1 }
        #expect(isThere)
        client.pause(milliseconds: 100)
        second.release()
        let reply = try client.reply()
        #expect(reply.status == 503)
        #expect(reply.text == "too many")
        client.close()
        await rig.expectNothingHeld()
    }

    // MARK: Upgrade

    @Test func `an upgrade becomes a tunnel, with what was sent ahead`() async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    + "Connection: Upgrade\r\n\r\nfirst frame"
            ),
            .expect("frame from client"),
            .send("second frame"),
            .expect("last words"),
            .send("bye"),
            .close
        )
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        try client.send(
            "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                + "frame from client"
        )
        let reply = try client.reply()
        #expect(reply.status == 101)
        #expect(reply["Upgrade"] == "websocket")
        #expect(reply["Connection"] == "Upgrade")
        let frames = try client.read(count: "first framesecond frame".utf8.count)
        #expect(String(decoding: frames, as: UTF8.self) == "first framesecond frame")
        try client.send("last words")
        client.finishSending()
        #expect(try client.readToEnd() == Array("bye".utf8))
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `a refused upgrade leaves an ordinary connection`() async throws {
        let peer = try TestPeer()
        let rig = try await ProxyRig([peer])
        let client = try rig.client()
        try client.send(
            "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        #expect(try client.reply().text == "peer")
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply().text == "peer")
        #expect(peer.connections == 1)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: h\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        // Asked for, but agreed to before the request was whole.
        "POST / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: Upgrade\r\n"
            + "Content-Length: 5\r\n\r\nab",
    ])
    func `a switch that was not agreed on is no answer`(request: String) async throws {
        let server = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nsecret"),
            .stall
        )
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        try client.send(request)
        let reply = try client.reply()
        #expect(reply.status == 502)
        #expect(!reply.text.contains("secret"))
        client.close()
        await rig.expectNothingHeld()
    }

    @Test(arguments: [
        (
            request: "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            answer: "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\nsecret",
            status: 502
        ),
        // A coding that the client cannot know of.
        (
            request: "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
            answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nsecret", status: 502
        ),
        (
            request: "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nsecret", status: 200
        ),
    ])
    func `an answer that says too little or too much`(
        request: String,
        answer: String,
        status: Int
    ) async throws {
        let server = try ScriptedServer([[.expect("\r\n\r\n"), .send(answer), .close]])
        defer { server.stop() }
        let rig = try await ProxyRig([
            UpstreamDefinition(name: "web", peers: [PeerDefinition(address: server.address)])
        ])
        let client = try rig.client()
        try client.send(request)
        let reply = try client.reply()
        #expect(reply.status == status)
        client.close()
        await rig.expectNothingHeld()
    }

    // MARK: Lenient reading

    static let odd: [(name: String, answer: String)] = [
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\nX-A: b\n\nok"),
        ("bare LF here and there", "HTTP/1.1 200 OK\r\nContent-Length: 2\nX-A: b\r\n\nok"),
        ("bare LF at the end", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\nok"),
        (
            "one length twice",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"
        ),
        (
            "blanks after a size",
            "HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0 \r\n\r\n"
        ),
        (
            "chunks from HTTP/1.0",
            "HTTP/1.0 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        ),
    ]

    private static func upstream(_ peer: TestPeer, isLenient: Bool) -> [UpstreamDefinition] {
        let peers = [PeerDefinition(id: "peer", address: peer.address, maxFails: 0)]
        return [UpstreamDefinition(name: "web", peers: peers, isLenient: isLenient)]
    }

    @Test(arguments: odd.map(\.answer))
    func `what is taken leniently goes on strictly, and only where it is asked for`(
        answer: String
    ) async throws {
        let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        let whole = try TestPeer { _ in [.send(answer)] }
        let singly = try TestPeer { _ in [.sendSingly(Array(answer.utf8))] }
        for peer in [whole, singly] {
            let rig = try await ProxyRig(Self.upstream(peer, isLenient: true))
            let client = try rig.client()
            for _ in 0..<2 {
                try client.send(request)
                let reply = try client.reply()
                #expect(reply.status == 200)
                #expect(reply.text == "ok")
                #expect(reply["X-A"] == "b")
                let lines = reply.head.components(separatedBy: "\r\n")
                #expect(!lines.contains { $0.contains("\n") }, "\(reply.head)")
                #expect(lines.count { $0.lowercased().hasPrefix("content-length") } <= 1)
            }
            client.close()
            await rig.expectNothingHeld()
        }
        let rig = try await ProxyRig(Self.upstream(whole, isLenient: false))
        let client = try rig.client()
        try client.send(request)
        #expect(try client.reply().status == 502)
    }

    @Test func `what can be read in two ways is never taken`() async throws {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 2\n\nok",
            "HTTP/1.1 200 OK\rContent-Length: 2\r\rok",
        ] {
            let peer = try TestPeer { _ in [.send(answer), .close] }
            let rig = try await ProxyRig(Self.upstream(peer, isLenient: true))
            let client = try rig.client()
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.reply().status == 502, "\(answer)")
        }
    }
}
