// One key a host: asked for once, believed while nobody writes it, and kept while Redis is away.

import EventLoop
import Health
import Proxy
import TestSupport
import Testing
import Vocabulary

@testable import Foreign

@Suite(.enabled(if: SourceRig.isThere, "needs redis-server"))
struct RedisKeysSourceTests {
    private static let patience = Duration.seconds(20)

    @Test(arguments: [
        ("10.0.0.1:80", ["10.0.0.1:80"]), (" 10.0.0.1:80 , web:81\n", ["10.0.0.1:80", "web:81"]),
        ("", []), (",,", []), ("a:1,a:1", ["a:1", "a:1"]),
    ])
    func `a value is a list of addresses`(value: String, backends: [String]) {
        #expect(RedisKeysSource.backends(in: Array(value.utf8)) == backends)
    }

    @Test(arguments: ["", "site:"])
    func `a key is routed by in the moment in which it is written`(prefix: String) async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.startKeys(prefix: prefix)
        #expect(await rig.members("host") == nil)
        #expect(await rig.members("host") == nil)
        for round in 0..<50 {
            try await rig.ask("SET", "\(prefix)host", "10.0.0.\(round):80,10.0.1.\(round):80")
            #expect(
                await eventually(within: Self.patience) {
                    await rig.members("host") == ["10.0.0.\(round):80", "10.0.1.\(round):80"]
                }
            )
        }
        try await rig.ask("DEL", "\(prefix)host")
        #expect(await eventually(within: Self.patience) { await rig.members("host") == nil })
        let stale = await rig.hands.call { $0.stale }
        #expect(stale.contains(.exact("host")))
        await rig.stop()
    }

    @Test func `what is no list of addresses serves nobody, and another type is not touched`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.ask("SET", "free", "some text")
        try await rig.ask("RPUSH", "list", "10.0.0.1:80")
        try await rig.startKeys()
        #expect(await rig.members("free") == [])
        #expect(await rig.find("list") == .unavailable)
        #expect(try await rig.ask("LRANGE", "list", "0", "-1").array?.first?.text == "10.0.0.1:80")
        await rig.stop()
    }

    /// Whoever asks for a host chooses the key.
    @Test(arguments: [true, false])
    func `a key of megabytes disturbs nobody`(mayReadParts: Bool) async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let bytes = mayReadParts ? 10 << 20 : 1 << 20
        _ = try await rig.ask(all: [
            ["SET", "huge", String(repeating: "a", count: bytes)], ["SET", "none", ""],
            ["SET", "host", "10.0.0.1:80"],
            ["ACL", "SETUSER", "default", mayReadParts ? "+getrange" : "-getrange"],
        ])
        try await rig.startKeys()
        #expect(await rig.members("huge") == [])
        #expect(await rig.members("none") == [])
        _ = try await rig.ask(all: [
            ["SET", "long", String(repeating: "10.0.0.3:80,", count: 9_000)]
        ])
        #expect(await rig.members("long") == ["10.0.0.3:80*64"])
        #expect(
            rig.lines.withLock { $0.contains { $0.contains("and more; the others") } }
                == mayReadParts
        )
        #expect(await rig.members("absent") == nil)
        #expect(await rig.members("host") == ["10.0.0.1:80"])
        try await rig.ask("SET", "host", "10.0.0.2:80")
        #expect(
            await eventually(within: Self.patience) { await rig.members("host") == ["10.0.0.2:80"] }
        )
        #expect(rig.lines.withLock { !$0.contains { $0.contains("saw a longer one") } })
        await rig.stop()
    }

    @Test func `of a value with thousands of addresses only some are taken, and the log says so`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let all = (0..<2_000).map { "10.0.\($0 / 250).\($0 % 250):80" }
        try await rig.ask("SET", "many", all.joined(separator: ","))
        try await rig.startKeys()
        #expect(await rig.members("many") == Array(all.prefix(RedisKeysSource.addressesMax)))
        #expect(await rig.hands.call { $0.watched.count } == RedisKeysSource.addressesMax)
        let line =
            "source keys: expected at most 64 addresses at many, saw 2000; the others are left out"
        #expect(rig.lines.withLock { $0.filter { $0.contains("addresses") } } == [line])
        await rig.stop()
    }

    @Test func `what is left out of one value is named, up to three of it`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.ask("SET", "bad", "one,10.0.0.1:80,two,three,four,five")
        try await rig.startKeys()
        #expect(await rig.members("bad") == ["10.0.0.1:80"])
        let lines = rig.lines.withLock { $0.filter { $0.contains("left out") } }
        #expect(
            lines == [
                "source keys: 5 backends of bad are left out: expected http://host:port or host:port, "
                    + "saw 'one', 'two', 'three' and 2 more"
            ]
        )
        await rig.stop()
    }

    @Test
    func `hosts that were asked for serve while Redis is away, and when it is back without them`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        for host in ["a", "b", "c"] { try await rig.ask("SET", host, "10.0.0.1:80") }
        try await rig.startKeys()
        for host in ["a", "b"] { #expect(await rig.members(host) == ["10.0.0.1:80"]) }
        rig.killRedis()
        #expect(await eventually(within: Self.patience) { await rig.keys.call { !$0.isConnected } })
        #expect(await rig.members("a") == ["10.0.0.1:80"])
        #expect(await rig.find("c") == .unavailable)
        try rig.restartRedis()
        #expect(await eventually(within: Self.patience) { await rig.keys.call { $0.isConnected } })
        for host in ["a", "b"] { #expect(await rig.members(host) == ["10.0.0.1:80"]) }
        #expect(await rig.members("c") == nil)
        try await rig.ask("SET", "a", "10.0.0.2:80")
        #expect(
            await eventually(within: Self.patience) { await rig.members("a") == ["10.0.0.2:80"] }
        )
        try await rig.ask("DEL", "a")
        #expect(await eventually(within: Self.patience) { await rig.members("a") == nil })
        await rig.stop()
    }

    @Test func `hosts that were asked for longest ago make room for more`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let hosts = (0..<40).map { "h\($0)" }
        _ = try await rig.ask(all: hosts.map { ["SET", $0, "10.0.0.1:80"] })
        try await rig.startKeys()
        await rig.keys.call { $0.hostsMax = 16 }
        for host in hosts {
            #expect(await rig.members(host) == ["10.0.0.1:80"])
            #expect(await rig.keys.call { $0.hostCount } <= 16)
        }
        let stale = await rig.hands.call { $0.stale }
        #expect(stale == (0..<stale.count).map { .exact("h\($0)") }, "the oldest first")
        #expect(await rig.hands.call { $0.groups.count } == 40 - stale.count)
        // Written, one that made room is not heard of; and it is there for whoever asks.
        try await rig.ask("SET", "h0", "10.0.0.2:80")
        #expect(await rig.members("h0") == ["10.0.0.2:80"])
        #expect(await rig.members("h39") == ["10.0.0.1:80"])
        #expect(await rig.keys.call { $0.hostCount } <= 16)
        await rig.stop()
    }

    /// By stepping to the time that is left, not by waiting for it.
    @Test func `what Redis lost is kept for ten minutes, and is gone then`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        for host in ["a", "b", "c"] { try await rig.ask("SET", host, "10.0.0.1:80") }
        try await rig.startKeys()
        for host in ["a", "b", "c"] { #expect(await rig.members(host) == ["10.0.0.1:80"]) }
        rig.killRedis()
        try rig.restartRedis()
        let isLost = await eventually(within: Self.patience) {
            rig.lines.withLock { $0.contains { $0.contains("back without 3 of 3 hosts") } }
        }
        #expect(isLost)
        let began = rig.loop.instant
        let left = await rig.keys.call { $0.lost.mapValues { $0 - began } }
        #expect(left.keys.sorted() == ["a", "b", "c"])
        #expect(left.values.allSatisfy { $0 > .seconds(580) && $0 <= .seconds(600) })
        // What is looked at each five seconds, later and later.
        await rig.keys.call { $0.sweep(at: began + .seconds(570)) }
        for host in ["a", "b"] { #expect(await rig.members(host) == ["10.0.0.1:80"]) }
        try await rig.ask("SET", "b", "10.0.0.2:80")
        #expect(
            await eventually(within: Self.patience) { await rig.members("b") == ["10.0.0.2:80"] }
        )
        await rig.keys.call { $0.sweep(at: began + .seconds(601)) }
        for host in ["a", "c"] {
            #expect(await eventually(within: Self.patience) { await rig.members(host) == nil })
        }
        #expect(await rig.members("b") == ["10.0.0.2:80"])
        await rig.stop()
    }
}
