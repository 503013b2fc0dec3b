// Which of a name's addresses is connected to, and what makes it another one?

import EventLoop
import Health
import Store
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct NameAddressesTests {
    private static func hosts(_ letters: String) -> [Address] {
        letters.map { $0 == "6" ? .host("2001:db8::1", port: 80) : .host("10.0.0.\($0)", port: 80) }
    }

    /// One digit an address, in the order of DNS; then those that are down; then the one taken.
    @Test(arguments: [
        ("12", "", "1"), ("12", "1", "2"), ("12", "2", "1"), ("21", "1", "2"), ("21", "2", "1"),
        ("12", "12", "1"), ("21", "12", "2"), ("123", "12", "3"), ("12", "9", "1"), ("1", "1", "1"),
        ("61", "6", "1"), ("61", "1", "6"),
    ])
    func `the first that nobody finds down, else the first`(
        all: String,
        down: String,
        taken: String
    ) {
        let picked = NameAddresses.pick(
            among: Self.hosts(all),
            avoiding: Self.hosts(down).map(\.description)
        )
        #expect(picked == Self.hosts(taken).first)
    }

    @Test func `a name keeps what it had until it has others, and is forgotten with its last peer`()
    {
        let name = Address.host("web.test", port: 80)
        var names = NameAddresses()
        func set(_ found: [Address]) -> Bool { names.set(name, found) }
        func address(avoiding down: [String] = []) -> String? {
            names.address(of: name, avoiding: down)?.description
        }
        #expect(NameAddresses.pick(among: [], avoiding: []) == nil)
        #expect(address() == nil)
        #expect(set(Self.hosts("12")))
        #expect(!set(Self.hosts("12")))
        #expect(!set([]), "not to be had now")
        #expect(!set([.host("other.test", port: 80)]), "no number")
        #expect(address() == "10.0.0.1:80")
        #expect(address(avoiding: ["10.0.0.1:80"]) == "10.0.0.2:80")
        #expect(set(Self.hosts("21")), "in another order")
        #expect(address() == "10.0.0.2:80")
        names.keep { $0 == name }
        #expect(address() != nil)
        names.keep { _ in false }
        #expect(address() == nil)
        let literal = Address.host("10.0.0.9", port: 80)
        #expect(names.address(of: literal, avoiding: ["10.0.0.9:80"])?.description == "10.0.0.9:80")
    }

    /// The proxy itself hears nothing of DNS.
    @Test func `what anybody hears of a name is where its peers are, at once`() async throws {
        let rig = try await ProxyRig([
            UpstreamDefinition(
                name: "web",
                peers: [80, 81].map {
                    PeerDefinition(id: "p\($0)", address: .host("Web.test", port: $0))
                } + [PeerDefinition(id: "other", address: .host("other.test", port: 80))]
            )
        ])
        func addresses() async -> [String?] {
            await rig.proxy.call { proxy in
                ["p80", "p81", "other"].map {
                    proxy.routing.snapshot(of: PeerKey(upstream: "web", peer: $0))?
                        .address?.description
                }
            }
        }
        #expect(await addresses() == [nil, nil, nil])
        await rig.proxy.call { $0.heard("web.test", ["10.0.0.1", "10.0.0.2"]) }
        #expect(await addresses() == ["10.0.0.1:80", "10.0.0.1:81", nil])
        await rig.proxy.call { $0.heard("WEB.TEST", ["10.0.0.3"]) }
        #expect(await addresses() == ["10.0.0.3:80", "10.0.0.3:81", nil])
        await rig.define([
            UpstreamDefinition(
                name: "web",
                peers: [PeerDefinition(id: "p80", address: .host("Web.test", port: 80))]
            )
        ])
        #expect(await rig.proxy.call { $0.routing.names(of: "web.test").count } == 1)
        #expect(await rig.proxy.call { $0.routing.names(of: "other.test").count } == 0)
        await rig.drain()
    }

    /// DNS answers once and is silent from then on.
    @Test func `what a verdict says of an address moves the peer without DNS`() async throws {
        let name = Address.host("web.test", port: 80)
        let isAsked = Atomic(false)
        let rig = try await ProxyRig(
            [UpstreamDefinition(name: "web", peers: [PeerDefinition(id: "p", address: name)])],
            resolve: { _ in isAsked.exchange(true, ordering: .relaxed) ? [] : Self.hosts("12") }
        )
        let key = PeerKey(upstream: "web", peer: "p")
        func address() async -> String? {
            await rig.proxy.call { $0.routing.snapshot(of: key)?.address?.description }
        }
        #expect(await eventually { await address() == "10.0.0.1:80" })
        await rig.set("p", .up, downAddresses: ["10.0.0.1:80"])
        #expect(await address() == "10.0.0.2:80")
        await rig.set("p", .up, downAddresses: ["10.0.0.1:80", "10.0.0.2:80"])
        #expect(await address() == "10.0.0.1:80")
        await rig.set("p", .up, downAddresses: ["10.0.0.2:80"])
        #expect(await address() == "10.0.0.1:80")
        await rig.set("p", .up, downAddresses: ["10.0.0.1:80"])
        #expect(await address() == "10.0.0.2:80")
        await rig.set("p", .up)
        #expect(await address() == "10.0.0.1:80")
        await rig.drain()
    }
}
