// Does each peer hear the host that it is to hear, at whichever try, and nothing else otherwise?

import EventLoop
import HTTP1
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct NamedHostTests {
    // MARK: The bytes

    private static func client(_ address: String) -> ClientConnection {
        var client = ClientConnection()
        for (index, byte) in address.utf8.enumerated() { client.address[index] = byte }
        client.addressCount = UInt8(address.utf8.count)
        return client
    }

    /// A head that was written for a peer, and what is behind it, as it is sent to one after the other.
    private static func sent(
        _ lines: [String],
        body: String = "",
        drops: Bool = true,
        chains: Bool = false,
        names: [String?]
    ) -> [String] {
        let last = lines.dropLast().reduce(0) { $0 + $1.utf8.count + 2 }
        let block = UnsafeMutablePointer<UInt8>.allocate(capacity: Buffer.capacity)
        let scratch = UnsafeMutablePointer<UInt8>.allocate(capacity: Buffer.capacity)
        defer {
            block.deallocate()
            scratch.deallocate()
        }
        var request = Buffer(base: block)
        request.append(text: lines.map { "\($0)\r\n" }.joined() + "\r\n")
        var tail = NamedHost.part(
            &request,
            drops: drops,
            chains: chains,
            address: client("192.0.2.1"),
            scratch: scratch
        )
        request.append(text: body)
        return names.map { name in
            if tail.start != 0 {
                let bytes = name.map { Array($0.utf8) }
                if let bytes {
                    bytes.withUnsafeBufferPointer {
                        NamedHost.set(&tail, in: &request, to: $0, scratch: scratch)
                    }
                } else {
                    NamedHost.set(&tail, in: &request, to: nil, scratch: scratch)
                }
            }
            // Who writes into the last line finds it again.
            if tail.start != 0, lines.last?.hasPrefix("trace") == true {
                let line = UnsafeBufferPointer(start: block + last + Int(tail.moved), count: 5)
                #expect(String(decoding: line, as: UTF8.self) == "trace")
            }
            return request.withSpan { span in
                span.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            }
        }
    }

    @Test func `a name is told with what the client said, an address what the client said`() {
        let lines = [
            "POST /a HTTP/1.1", "host:  Www.Example:8080 ", "X-HOST: evil", "A: 1",
            "x-debug-router: 1", "traceparent: 1",
        ]
        let long = String(repeating: "n", count: NamedHost.nameMax)
        let names = [nil, "b", long, "longer.example", nil, "b"]
        let sent = Self.sent(lines, body: "body\r\n\r\nHost: x", names: names)
        for (name, text) in zip(names, sent) {
            let said = "Www.Example:8080"
            let tail =
                name.map { "Host: \($0)\r\nX-Host: \(said)\r\nX-Forwarded-Host: \(said)\r\n" }
                ?? "Host: \(said)\r\n"
            #expect(
                text
                    == "POST /a HTTP/1.1\r\nA: 1\r\ntraceparent: 1\r\n\(tail)\r\nbody\r\n\r\nHost: x"
            )
        }
    }

    @Test func `what a client says is kept where no peer has a name, and its address added`() {
        let lines = [
            "GET / HTTP/1.1", "X-Forwarded-For: a, b", "X-Forwarded-Host: front", "Host: h",
            "x-forwarded-for: c",
        ]
        #expect(
            Self.sent(lines, drops: false, chains: true, names: [nil]) == [
                "GET / HTTP/1.1\r\nX-Forwarded-Host: front\r\nX-Forwarded-For: a, b, c, 192.0.2.1\r\n"
                    + "Host: h\r\n\r\n"
            ]
        )
    }

    @Test(arguments: [
        ["GET / HTTP/1.0", "A: 1"],
        ["GET / HTTP/1.1", "Host: " + String(repeating: "h", count: 300)],
    ])
    func `a head that cannot be parted stays as it is`(_ lines: [String]) {
        let text = lines.map { "\($0)\r\n" }.joined() + "\r\n"
        #expect(Self.sent(lines, names: ["b", nil]) == [text, text])
    }

    @Test func `the largest head has room for the longest name`() {
        let most = Buffer.capacity - 2 * HeadRewriter.growthMax
        let lines = [
            "GET / HTTP/1.1", "Host: " + String(repeating: "h", count: 255) + ":65535",
            "A: " + String(repeating: "x", count: most),
        ]
        let name = String(repeating: "n", count: NamedHost.nameMax)
        let sent = Self.sent(lines, names: [nil, name])
        #expect(sent[1].contains("\r\nHost: \(name)\r\n"))
        #expect(sent[1].utf8.count - sent[0].utf8.count < NamedHost.slack)
    }

    // MARK: Through the proxy

    private static func rig(
        _ peers: [PeerDefinition],
        hosts: [String: String],
        _ change: (inout GroupManners) -> Void = { _ in }
    ) async throws -> ProxyRig {
        let rig = try await ProxyRig(
            [UpstreamDefinition(name: "pool", peers: peers, allDown: .failClosed)],
            modes: [.http(routes: [])],
            lookup: { _ in .upstream("group/h", for: .seconds(600)) }
        )
        var manners = GroupManners()
        manners.namesHosts = true
        manners.keepsForwarded = true
        change(&manners)
        var group = RouteGroup(
            name: "group/h",
            upstream: "pool",
            members: peers.map { RouteGroup.Member(peer: $0.id) },
            manners: manners
        )
        group.hosts = hosts
        let made = group
        await rig.proxy.call { $0.bring(made) }
        return rig
    }

    @Test func `peers with a name and without are told apart, also at the second try`() async throws
    {
        let (named, plain) = (try TestPeer("named"), try TestPeer("plain"))
        let gone = try freePort()
        let rig = try await Self.rig(
            [
                PeerDefinition(id: "gone", address: .host("127.0.0.1", port: gone), maxFails: 0),
                PeerDefinition(id: "named", address: named.address),
                PeerDefinition(id: "plain", address: plain.address),
            ],
            hosts: ["gone": "a.much.longer.name.example", "named": "named.example"]
        )
        let client = try rig.client()
        let body = String(repeating: "b", count: 10_000)
        for _ in 0..<6 {
            try client.send(
                "PUT /p HTTP/1.1\r\nHost: www.example.com:81\r\nX-Host: evil\r\nX-Forwarded-For: 1.2.3.4\r\n"
                    + "Content-Length: \(body.count)\r\n\r\n\(body)"
            )
            #expect(try client.reply().status == 200)
        }
        #expect(named.requests.count + plain.requests.count == 6)
        #expect(!named.requests.isEmpty && !plain.requests.isEmpty)
        for request in named.requests {
            #expect(request["Host"] == "named.example")
            #expect(request["X-Host"] == "www.example.com:81")
            #expect(request["X-Forwarded-Host"] == "www.example.com:81")
        }
        for request in plain.requests {
            #expect(request["Host"] == "www.example.com:81")
            #expect(request["X-Host"] == nil)
        }
        for request in named.requests + plain.requests {
            #expect(request["X-Forwarded-For"] == "1.2.3.4, 127.0.0.1")
            #expect(String(decoding: request.bytes, as: UTF8.self).hasSuffix("\r\n\r\n" + body))
        }
        // Who says nothing of it has its own address, once.
        try client.send("GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.reply().status == 200)
        let last = named.requests.count + plain.requests.count == 7
        #expect(last)
        let silent = (named.requests + plain.requests).filter { $0.line.hasPrefix("GET") }
        #expect(silent.map { $0["X-Forwarded-For"] } == ["127.0.0.1"])
        client.close()
        await rig.expectNothingHeld()
    }

    @Test func `one status is told whatever went wrong, where that is asked for`() async throws {
        let gone = try freePort()
        for status in [0, 503] as [UInt16] {
            let rig = try await Self.rig(
                [PeerDefinition(id: "gone", address: .host("127.0.0.1", port: gone), maxFails: 0)],
                hosts: [:]
            ) { $0.failedStatus = status }
            let client = try rig.client()
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.reply().status == (status == 0 ? 502 : 503))
        }
    }
}
