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

    @Test func `of a value with thousands of addresses only some are taken, and the log says so`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let all = (0..<3_000).map { "10.0.\($0 / 250).\($0 % 250):80" }
        try await rig.ask("SET", "many", all.joined(separator: ","))
        try await rig.startKeys()
        #expect(await rig.members("many") == Array(all.prefix(RedisKeysSource.addressesMax)))
        #expect(await rig.hands.call { $0.watched.count } == RedisKeysSource.addressesMax)
        let line =
            "source keys: expected at most 64 addresses at many, saw 3000; the others are left out"
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
}
