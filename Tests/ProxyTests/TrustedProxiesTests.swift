// Who is believed about where a request came from: which connections, and which words of a configuration?

import EventLoop
import Glibc
import Health
import Testing
import Vocabulary

@testable import Proxy

@Suite struct TrustedProxiesTests {
    private static func caller(_ text: String) throws -> sockaddr_storage {
        let address = try #require(SocketAddress(ip: text, port: 1))
        var storage = sockaddr_storage()
        address.withSockaddr { raw, length in
            _ = memcpy(&storage, raw, Int(length))
        }
        return storage
    }

    @Test(arguments: [
        ("10.0.0.4", "10.0.0.4", true), ("10.0.0.4", "10.0.0.5", false),
        ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false),
        ("192.168.4.0/22", "192.168.7.255", true), ("192.168.4.0/22", "192.168.8.0", false),
        ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true), ("::1", "::1", true), ("::1", "::2", false),
        ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe80::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
        // A listener for both families sees IPv4 so.
        ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("::ffff:10.0.0.0/104", "10.1.2.3", true),
    ])
    func `networks hold what begins as they do`(
        _ network: String,
        _ address: String,
        _ holds: Bool
    )
        throws
    {
        var trusted = TrustedProxies()
        trusted.networks = [try #require(Network(network))]
        #expect(try trusted.trusts(Self.caller(address)) == holds)
    }

    @Test(arguments: [
        "", "a", "10.0.0", "10.0.0.4/", "10.0.0.4/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8",
        "::/129",
        "10.0.0.4/8", "fd00::1/8", "10.0.0.4:80", "[::1]", "fe80::1%lo", "10.0.0.0/0008",
    ])
    func `what is no network is refused`(_ text: String) { #expect(Network(text) == nil) }

    @Test func `nobody is believed where nobody is named`() throws {
        var trusted = TrustedProxies()
        #expect(try !trusted.trusts(Self.caller("127.0.0.1")))
        trusted.trustsUnix = true
        #expect(try !trusted.trusts(Self.caller("127.0.0.1")))
        var unix = sockaddr_storage()
        unix.ss_family = sa_family_t(AF_UNIX)
        #expect(trusted.trusts(unix))
        #expect(trusted.text == "unix")
    }

    @Test(arguments: [("127.0.0.0/8", true), ("10.0.0.0/8", false)])
    func `a connection is believed by its address, for hosts of older systems too`(
        _ network: String,
        _ isBelieved: Bool
    ) async throws {
        let peer = try TestPeer("a")
        var trusted = TrustedProxies()
        trusted.networks = [try #require(Network(network))]
        let rig = try await ProxyRig(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: [PeerDefinition(id: "a", address: peer.address)]
                )
            ],
            modes: [.http(routes: [RouteConfiguration(host: "new", upstream: "web")])],
            trustedProxies: trusted,
            lookup: { .upstream("group/\($0)", for: .seconds(600)) }
        )
        var manners = GroupManners()
        manners.keepsForwarded = true
        let group = RouteGroup(
            name: "group/old",
            upstream: "web",
            members: [RouteGroup.Member(peer: "a", weight: 1)],
            manners: manners
        )
        await rig.proxy.call { $0.bring(group) }
        let client = try rig.client()
        for host in ["new", "old"] {
            try client.send(
                "GET / HTTP/1.1\r\nHost: \(host)\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n"
            )
            #expect(try client.reply().status == 200)
            let request = try #require(peer.requests.last)
            let address = isBelieved ? "6.6.6.6, 127.0.0.1" : "127.0.0.1"
            #expect(request["X-Forwarded-For"] == address, "\(host)")
            #expect(request["X-Forwarded-Proto"] == (isBelieved ? "https" : "http"), "\(host)")
        }
        client.close()
    }
}
