// Does a source say what Redis says, at once, and is a mark always the backend's that is dead? Against a real
// Redis, on which nothing is set.

import Checks
import EventLoop
import Health
import Proxy
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Foreign

@Suite(.enabled(if: SourceRig.isThere, "needs redis-server"))
struct HipacheSourceTests {
    private static let patience = Duration.seconds(20)
    private static func url(_ number: Int) -> String { "http://10.0.0.\(number):80" }
    private static func id(_ number: Int) -> String { "10.0.0.\(number):80" }

    // MARK: Reading

    @Test(arguments: ["", "site*["])
    func `a list is routed by in the moment in which it is written`(prefix: String) async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("before", [Self.url(1)], prefix: prefix)
        try await rig.start(prefix: prefix)
        #expect(await rig.members("before") == [Self.id(1)])
        #expect(await rig.find("none") == .none(for: .milliseconds(1)))
        for round in 0..<50 {
            let backends = [Self.url(round), Self.url(round + 1), Self.url(round)]
            try await rig.set("host", backends, prefix: prefix)
            #expect(await rig.members("host") == ["\(Self.id(round))*2", Self.id(round + 1)])
            try await rig.ask("LREM", "\(prefix)frontend:host", "1", Self.url(round))
            #expect(await rig.members("host") == [Self.id(round + 1), Self.id(round)])
            try await rig.ask("DEL", "\(prefix)frontend:host")
            #expect(await rig.members("host") == nil)
        }
        try await rig.ask("RENAME", "\(prefix)frontend:before", "\(prefix)frontend:after")
        #expect(await rig.members("before") == nil)
        #expect(await rig.members("after") == [Self.id(1)])
        // Of this Redis answers whoever ordered it before it tells the others.
        try await rig.ask("FLUSHALL")
        #expect(await eventually(within: Self.patience) { await rig.members("after") == nil })
        // Hosts that a worker knows are asked for again.
        let stale = await rig.hands.call { Set($0.stale) }
        #expect(stale.isSuperset(of: [.exact("host"), .exact("after"), .all]))
        await rig.stop()
    }

    @Test func `a wildcard serves until there is something better`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.start()
        try await rig.set("*.foo.test", [Self.url(1)])
        #expect(await rig.members("a.foo.test") == [Self.id(1)])
        try await rig.set("a.foo.test", [Self.url(2)])
        #expect(await rig.members("a.foo.test") == [Self.id(2)])
        #expect(await rig.members("b.foo.test") == [Self.id(1)])
        try await rig.ask("DEL", "frontend:a.foo.test")
        #expect(await rig.members("a.foo.test") == [Self.id(1)])
        #expect(await rig.hands.call { $0.stale.contains(.under(".foo.test")) })
        await rig.stop()
    }

    @Test func `who cannot be read or written is told of, also while there is nothing to write`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let nobody = RedisURL(address: .host("127.0.0.1", port: try freePort()))
        try await rig.start { $0.base.write = nobody }
        let isTold = await eventually(within: Self.patience) {
            await rig.source.call { $0.condition.writeError != nil }
        }
        #expect(isTold)
        #expect(await rig.source.call { $0.condition.isConnected })
        let lines = rig.lines.withLock { $0.filter { $0.contains("to which marks") } }
        #expect(lines.count == 1)
        #expect(
            lines.first?.contains("\(nobody), to which marks of the dead are written, is away: ")
                == true
        )
        // A slow machine may have lost the connection meanwhile: what was since then would stay.
        let isThere = await eventually(within: Self.patience) {
            await rig.source.call { $0.condition.isConnected }
        }
        #expect(isThere)
        let before = await rig.source.call { $0.condition.since }
        rig.killRedis()
        let isAway = await eventually(within: Self.patience) {
            await rig.source.call { !$0.condition.isConnected }
        }
        #expect(isAway)
        #expect(await rig.source.call { $0.condition.error == $0.condition.readError })
        #expect(await rig.source.call { $0.condition.since } > before)
        try rig.restartRedis()
        let isBack = await eventually(within: Self.patience) {
            await rig.source.call { $0.condition.isConnected && $0.condition.readError == nil }
        }
        #expect(isBack)
        await rig.stop()
    }

    /// Those who read the master went on asking the dead.
    @Test func `the master hears who is dead while the replica is away`() async throws {
        let (master, rig) = (try SourceRig(), try SourceRig())
        #expect(await master.isReady())
        #expect(await rig.isReady())
        for one in [master, rig] { try await one.set("h", [Self.url(1), Self.url(2)]) }
        let write = RedisURL(address: .host("127.0.0.1", port: master.port))
        try await rig.start {
            $0.base.write = write
            $0.isChecker = true
        }
        await rig.think(dead: [Self.id(1)])
        #expect(try await eventually(within: Self.patience) { try await master.dead("h") == ["0"] })
        rig.killRedis()
        #expect(
            await eventually(within: Self.patience) {
                await rig.source.call { !$0.condition.isConnected }
            }
        )
        await rig.think(dead: [Self.id(2)])
        #expect(try await eventually(within: Self.patience) { try await master.dead("h") == ["1"] })
        #expect(try await master.ask("TTL", "dead:h").integer ?? 0 > 0)
        // As a checker too: what is there is renewed.
        try await master.ask("DEL", "hchecker_ping")
        #expect(
            try await eventually(within: Self.patience) {
                try await master.ask("EXISTS", "hchecker_ping") == .integer(1)
            }
        )
        #expect(await rig.source.call { $0.condition.readError != nil })
        await rig.stop()
    }

    /// Read and written by one name, whose first address is that of a replica, or with a master of its own by such a name.
    @Test(arguments: [true, false])
    func `marks go to the address of a name that takes them`(isOne: Bool) async throws {
        let rig = try SourceRig()
        let other = "127.0.0.2"
        let master = try ChildProcess(
            "redis-server",
            [
                "--port", "\(rig.port)", "--bind", other, "--save", "", "--appendonly", "no",
                "--dir", rig.folder.path,
            ],
            in: rig.folder
        )
        defer { master.end() }
        #expect(await rig.isReady())
        let isThere = await eventually(within: .seconds(30)) {
            (try? await rig.ask("PING", at: other)) == .status("PONG")
        }
        #expect(isThere)
        let list = ["RPUSH", "frontend:h", "name", Self.url(1), Self.url(2)]
        _ = try await rig.ask(all: [list])
        _ = try await rig.ask(all: [list], at: other)
        try await rig.ask("REPLICAOF", "127.0.0.1", "1")
        let name = RedisURL(address: .host("redis.test", port: rig.port))
        let names: HostLookup = { _, _ in ["127.0.0.1", other] }
        try await rig.start(by: names) {
            if isOne { $0.base.read = name }
            $0.base.write = name
        }
        await rig.think(dead: [Self.id(1)])
        let isMarked = try await eventually(within: Self.patience) {
            try await rig.ask("SMEMBERS", "dead:h", at: other).array?.compactMap(\.text) == ["0"]
        }
        #expect(isMarked)
        let isWell = await eventually(within: Self.patience) {
            await rig.source.call { $0.condition.isConnected && $0.condition.writeError == nil }
        }
        #expect(isWell)
        await rig.stop()
    }

    @Test(arguments: [
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "READONLY"),
        (
            ["CONFIG", "SET", "min-replicas-to-write", "1"],
            ["CONFIG", "SET", "min-replicas-to-write", "0"], "NOREPLICAS"
        ),
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "OOM"),
        // Somebody else's key.
        (["SET", "dead:h", "text"], ["DEL", "dead:h"], "a value that is no set"),
    ])
    func `marks that Redis refuses wait, are told of, and are written when it takes them`(
        refuse: [String],
        allow: [String],
        reason: String
    ) async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("h", (1...3).map { Self.url($0) })
        try await rig.start()
        await rig.think(dead: [Self.id(3)])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["2"] })
        _ = try await rig.ask(all: [refuse])
        await rig.think(dead: [Self.id(1)])
        let isShown = await eventually(within: Self.patience) {
            await rig.source.call { source in
                source.markCount == 1 && source.condition.isConnected
                    && source.condition.error?.contains("takes no marks: EVAL: \(reason)") == true
            }
        }
        #expect(isShown)
        #expect((try? await rig.dead("h")) != ["0"])
        let lines = rig.lines.withLock { $0.filter { $0.contains("to take marks of the dead") } }
        #expect(lines.count == 1)
        #expect(lines.first?.contains("saw \(reason) ") == true)
        #expect(lines.first?.contains("EVAL of dead:h; hosts whose marks wait: 1, ") == true)
        _ = try await rig.ask(all: [allow])
        // Long before the old one ends, and before all that is dead is said again.
        #expect(try await eventually(within: .seconds(15)) { try await rig.dead("h") == ["0"] })
        let isOver = await eventually(within: Self.patience) {
            await rig.source.call { $0.markCount == 0 && $0.condition.error == nil }
        }
        #expect(isOver)
        await rig.stop()
    }

    @Test func `a list that is written as it was has its marks again`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        for host in ["h", "i"] { try await rig.set(host, [Self.url(1), Self.url(2)]) }
        try await rig.start()
        await rig.think(dead: [Self.id(2)])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("i") == ["1"] })
        rig.killRedis()
        try rig.restartRedis()
        let isLost = await eventually(within: Self.patience) {
            rig.lines.withLock { $0.contains { $0.contains("back without 2 of 2 frontends") } }
        }
        #expect(isLost)
        // Behind what is said again of all that is dead after a return.
        #expect(
            await eventually(within: Self.patience) {
                await rig.source.call { $0.isConnected && $0.marks.isEmpty }
            }
        )
        for host in ["h", "i"] { try await rig.set(host, [Self.url(1), Self.url(2)]) }
        for host in ["h", "i"] {
            let isMarked = try await eventually(within: .seconds(10)) {
                try await rig.dead(host) == ["1"]
            }
            #expect(isMarked, "\(host)")
        }
        await rig.stop()
    }

    @Test func `which rights a script lacks is told, for Redis names none`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("h", [Self.url(1), Self.url(2)])
        try await rig.start()
        try await rig.ask("ACL", "SETUSER", "default", "-sadd")
        await rig.think(dead: [Self.id(2)])
        let isTold = await eventually(within: Self.patience) {
            rig.lines.withLock {
                $0.contains { $0.contains("needs +type +lrange +smembers +sadd") }
            }
        }
        #expect(isTold)
        await rig.stop()
    }

    @Test func `lists that are no lists are left alone and told of, and sets are a fork's lists`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        _ = try await rig.ask(all: [
            ["SET", "frontend:text", "http://10.0.0.1:80"],
            ["RPUSH", "frontend:free", "name", "free text", "https://10.0.0.1:443", Self.url(3)],
            ["SADD", "frontend:fork", Self.url(1), Self.url(2)],
            ["RPUSH", "frontend:bare", "name"],
            ["RPUSH", "frontend:ported:8080", "name", Self.url(4)],
            ["RPUSH", "frontend:Big", "name", Self.url(4)],
            ["RPUSH", "frontend:[::1]", "name", Self.url(4)],
            ["RPUSH", "frontend:other", "name", "free text"],
            ["SET", "frontend:more", "text"],
        ])
        try await rig.start()
        #expect(await rig.members("text") == nil)
        #expect(await rig.members("free") == [Self.id(3)])
        #expect(await rig.members("bare") == [])
        #expect(await rig.members("fork")?.sorted() == [Self.id(1), Self.id(2)])
        let lines = rig.lines.withLock { $0 }
        #expect(
            lines.contains { $0.contains("expected a list at frontend:text") }
                || lines.contains { $0.contains("(frontend:text)") }
        )
        #expect(
            lines.contains {
                $0.contains(" of frontend:free are left out: expected http://")
                    || $0.contains("(frontend:free)")
            }
        )
        #expect(
            lines.contains { $0.contains("and without a port") && $0.contains("it serves nobody") }
        )
        // In which order they are read nobody knows; what was not told by itself is, when all has been read.
        let rest = lines.filter { $0.contains("besides what was told of: ") }
        #expect(rest.count == 1)
        #expect(rest.first?.contains("1 key with backends that are left out (frontend:") == true)
        #expect(rest.first?.contains("; 1 list of hosts that nobody asks for (frontend:") == true)
        #expect(rest.first?.contains("; 1 key with another sort of value (frontend:") == true)
        await rig.think(dead: [Self.id(2)])
        #expect(
            try await eventually(within: Self.patience) {
                try await rig.dead("fork") == [Self.url(2)]
            }
        )
        await rig.think(dead: [])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("fork") == [] })
        await rig.stop()
    }

    /// One such list took all others away with it.
    @Test func `a list of megabytes disturbs nobody`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let long = String(repeating: "a", count: 10 << 20)
        var orders = [
            ["RPUSH", "frontend:value", "name", Self.url(1), "http://\(long)"],
            ["RPUSH", "frontend:whole", "name"]
                + (0..<1_000).map { "http://10.1.\($0 / 250).\($0 % 250):80/\(long.prefix(1_900))" },
            ["HSET", "healthcheck:value", "path", "/\(long)"],
            ["RPUSH", "frontend:\(long)", "name"],
        ]
        // More than goes into one answer, and each as it should be.
        let many = (0..<4_000).map { "http://10.2.\($0 / 250).\($0 % 250):80/\(long.prefix(100))" }
        orders += (0..<20).map { ["RPUSH", "frontend:many\($0)", "name"] + many }
        _ = try await rig.ask(all: orders)
        try await rig.start()
        #expect(await rig.members("value") == [Self.id(1)])
        #expect(await rig.members("whole") == nil)
        for number in 0..<20 { #expect(await rig.members("many\(number)")?.count == 4_000) }
        try await rig.set("other", [Self.url(2)])
        #expect(
            await eventually(within: Self.patience) { await rig.members("other") == [Self.id(2)] }
        )
        let lines = rig.lines.withLock { $0 }
        #expect(!lines.contains { $0.contains("saw a longer one") })
        #expect(
            lines.contains { $0.contains("bytes at frontend:whole, saw more") }
                || lines.contains { $0.contains("with more than is taken (") }
        )
        await rig.stop()
    }

    @Test func `questions that are not asked are told of`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let orders = (0..<ForeignTable.checksMax).map {
            ["HSET", "healthcheck:h\($0)", "path", "/\($0)"]
        }
        _ = try await rig.ask(all: orders)
        try await rig.start()
        let lines = rig.lines.withLock { $0.filter { $0.contains("different questions") } }
        #expect(lines.count == 1)
        #expect(lines.first?.contains("expected at most 1023 different questions") == true)
        await rig.stop()
    }

    /// It was deaf for five minutes.
    @Test func `a server that tells no longer is asked`() async throws {
        let rig = try SourceRig(extra: [
            "--rename-command", "CLIENT", "", "--notify-keyspace-events", "KA",
        ])
        #expect(await rig.isReady())
        try await rig.set("host", [Self.url(1)])
        try await rig.start()
        #expect(await rig.members("host") == [Self.id(1)])
        let (source, loop) = (try #require(rig.source), rig.loop)
        for (flags, isTold) in [("", false), ("KA", true)] {
            try await rig.ask("CONFIG", "SET", "notify-keyspace-events", flags)
            // As it does every ten seconds.
            await Task(executorPreference: loop) { try? await source.value.listen() }.value
            let words = isTold ? "tells of changes now" : "tells of changes no longer"
            #expect(rig.lines.withLock { $0.contains { $0.contains(words) } })
            let backend = isTold ? 3 : 2
            try await rig.set("host", [Self.url(backend)])
            #expect(
                await eventually(within: Self.patience) {
                    await rig.members("host") == [Self.id(backend)]
                }
            )
        }
        await rig.stop()
    }

    @Test func `a server that tells nothing is asked`() async throws {
        // Redis before version 6 has no such command.
        let rig = try SourceRig(extra: ["--rename-command", "CLIENT", ""])
        #expect(await rig.isReady())
        try await rig.set("host", [Self.url(1)])
        try await rig.start()
        #expect(await rig.members("host") == [Self.id(1)])
        try await rig.set("host", [Self.url(2)])
        #expect(await rig.members("host") == [Self.id(2)])
        try await rig.ask("DEL", "frontend:host")
        #expect(await rig.members("host") == nil)
        // Whoever nobody asks for is read all the same.
        try await rig.set("other", [Self.url(3)])
        #expect(
            await eventually(within: Self.patience) {
                await rig.hands.call {
                    $0.watched[PeerKey(upstream: "hipache", peer: Self.id(3))] != nil
                }
            }
        )
        await rig.stop()
    }

    @Test func `who answered is told as the list has it, and nothing that is no value of a field`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        let odd = "http://10.0.0.9:80/\r\nX-Evil: 1"
        try await rig.set("a", [Self.url(3), Self.url(4), Self.url(3), odd])
        try await rig.start { $0.base.tellsDebug = true }
        #expect(await rig.members("a")?.count == 3)
        let lines = await rig.hands.call { $0.groups["hipache/a"]?.debug ?? [:] }
        #expect(
            lines
                == [3, 4].reduce(into: [:]) {
                    $0[Self.id($1)] =
                        "X-Debug-Backend-Url: \(Self.url($1))\r\nX-Debug-Backend-Id: \($1 - 3)\r\n"
                        + "X-Debug-Frontend-Key: a\r\n"
                }
        )
        await rig.stop()
    }

    @Test func `backends that have a name are asked for it, where planb did that`() async throws {
        for namesHosts in [false, true] {
            let rig = try SourceRig()
            #expect(await rig.isReady())
            try await rig.set(
                "a",
                [
                    "http://web.example:81/x", "http://10.0.0.1:80", "http://[::1]:80",
                    "http://localhost:82",
                ]
            )
            try await rig.start { $0.base.namesHosts = namesHosts }
            _ = await rig.find("a")
            #expect(
                await rig.hands.call { $0.groups["hipache/a"]?.hosts }
                    == (namesHosts
                        ? ["web.example:81": "web.example", "localhost:82": "localhost"] : [:])
            )
            await rig.stop()
        }
    }

    @Test func `another question makes another upstream`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("a", [Self.url(1)])
        try await rig.set("b", [Self.url(1)])
        try await rig.ask("HSET", "healthcheck:a", "path", "/up", "status", "204")
        try await rig.start()
        #expect(await rig.members("a") == [Self.id(1)])
        let upstreams = await rig.hands.call { hands in
            Dictionary(grouping: hands.watched.keys, by: \.upstream).mapValues(\.count)
        }
        #expect(upstreams.count == 2)
        #expect(upstreams["hipache"] == 1)
        let group = await rig.hands.call { $0.groups["hipache/a"]?.upstream }
        let other = try #require(group)
        #expect(other.hasPrefix("hipache."))
        #expect(await rig.hands.call { $0.upstreams[other]?.monitors.first?.kind } == "http")
        try await rig.ask("DEL", "healthcheck:a")
        _ = await rig.find("a")
        #expect(
            await eventually(within: Self.patience) {
                await rig.hands.call { $0.groups["hipache/a"]?.upstream } == "hipache"
            }
        )
        await rig.stop()
    }

    @Test func `a backend that a list names anew is looked at, and waited for`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("host", [Self.url(1)])
        try await rig.start()
        #expect(await rig.members("host") == [Self.id(1)])
        await rig.think(dead: [Self.id(1)])
        try await rig.ask("DEL", "frontend:host")
        #expect(await rig.members("host") == nil)
        let key = PeerKey(upstream: "hipache", peer: Self.id(1))
        #expect(await rig.hands.call { $0.rechecked } == [])
        // Found well again, but not at once.
        let (hands, source, loop) = (rig.hands, rig.source, rig.loop)
        await hands?.call { all in
            all.onRecheck = { _ in
                loop.execute {
                    hands?.value.dead = []
                    hands?.value.checked(key)
                    source?.value.standingChanged(key, wentDown: false)
                }
            }
        }
        try await rig.set("host", [Self.url(1)])
        #expect(await rig.members("host") == [Self.id(1)])
        #expect(await rig.hands.call { $0.rechecked } == [key])
        #expect(await rig.hands.call { $0.dead } == [], "the request waited for the verdict")
        #expect(await rig.hands.call { $0.pardoned } == [])
        // What requests had against one is over as soon as it is found well again.
        let second = PeerKey(upstream: "hipache", peer: Self.id(2))
        try await rig.set("second", [Self.url(2)])
        #expect(await rig.members("second") == [Self.id(2)])
        await hands?.call { all in
            all.ejected = [Self.id(2)]
            all.onRecheck = { _ in loop.execute { hands?.value.checked(second) } }
        }
        try await rig.ask("DEL", "frontend:second")
        #expect(await rig.members("second") == nil)
        try await rig.set("second", [Self.url(2)])
        #expect(await rig.members("second") == [Self.id(2)])
        #expect(await rig.hands.call { $0.pardoned } == [second])
        // Whoever is well, or in other lists, is no reason to look.
        try await rig.set("other", [Self.url(1)])
        #expect(await rig.members("other") == [Self.id(1)])
        await rig.think(dead: [Self.id(1)])
        try await rig.ask("DEL", "frontend:host")
        try await rig.set("host", [Self.url(1)])
        #expect(await rig.members("host") == [Self.id(1)])
        #expect(await rig.hands.call { $0.rechecked.count } == 2)
        await rig.stop()
    }

    // MARK: Marks

    @Test func `a mark is the backend's, wherever it stands`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("h", (1...4).map { Self.url($0) })
        try await rig.ask("SET", "dead:h:http://10.0.0.1:80", "a lock of planb's")
        try await rig.start()
        await rig.think(dead: [Self.id(2)])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["1"] })
        let life = try await rig.ask("TTL", "dead:h").integer ?? 0
        #expect((50...60).contains(life))
        try await rig.ask("LREM", "frontend:h", "1", Self.url(1))
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["0"] })
        try await rig.ask("LINSERT", "frontend:h", "BEFORE", Self.url(2), Self.url(9))
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["1"] })
        try await rig.ask("RPUSH", "frontend:h", Self.url(2))
        #expect(
            try await eventually(within: Self.patience) { try await rig.dead("h") == ["1", "4"] }
        )
        // Somebody else's mark on one that is well goes, and so does a place that is no place.
        try await rig.ask("SADD", "dead:h", "0", "99")
        try await rig.ask("PUBLISH", "dead", "h;\(Self.url(9));0;5")
        #expect(
            try await eventually(within: Self.patience) { try await rig.dead("h") == ["1", "4"] }
        )
        await rig.think(dead: [])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == [] })
        #expect(try await rig.ask("GET", "dead:h:http://10.0.0.1:80").text == "a lock of planb's")
        await rig.stop()
    }

    @Test func `marks that somebody left behind go, and those of backends of other agents stay`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("h", [Self.url(1), Self.url(2)])
        try await rig.ask("SADD", "dead:h", "0", "1")
        try await rig.start { $0.marks = false }
        let hands = rig.hands
        await hands?.call { $0.others = [Self.id(2)] }
        await rig.stop()
        #expect(
            try await rig.dead("h") == ["0", "1"],
            "nothing is written where that is not wanted"
        )
        let second = try await Self.second(rig)
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["1"] })
        await Task(executorPreference: rig.loop) { await second.value.stop() }.value
    }

    @Test
    func `a mark that nobody tells of goes where probes know better, and is left alone where not`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("h", [Self.url(1), Self.url(2)])
        try await rig.set("*", [Self.url(1)])
        try await rig.start()
        await rig.think(dead: [Self.id(2)])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["1"] })
        // One without an end, and a lock of planb's.
        _ = try await rig.ask(all: [
            ["SADD", "dead:h", "0"], ["SET", "dead:h:\(Self.url(1))", "planb"],
        ])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["1"] })
        #expect(try await rig.ask("GET", "dead:h:\(Self.url(1))").text == "planb")
        // What is as it should be is not written again and again.
        let before = try await rig.ask("INFO", "commandstats").text ?? ""
        try await rig.ask("SADD", "dead:h", "0")
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["1"] })
        let after = try await rig.ask("INFO", "commandstats").text ?? ""
        let calls = { (text: String) in
            text.firstMatch(of: #/cmdstat_expire:calls=(\d+)/#).flatMap { Int($0.1) } ?? 0
        }
        #expect(calls(after) == calls(before))
        await rig.stop()
    }

    @Test func `a mark for a bad answer stays where monitors only connect`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("h", [Self.url(1), Self.url(2)])
        let options = Options([], at: Position(file: "test", line: 1, column: 1), path: "test")
        let tcp = try MonitorDefinition.make("tcp", from: options)
        try await rig.start { $0.base.monitors = [tcp] }
        try await rig.ask("SADD", "dead:h", "0")
        // One of ours that somebody takes away is written again at once, and that of others stays.
        await rig.think(dead: [Self.id(2)])
        #expect(
            try await eventually(within: Self.patience) { try await rig.dead("h").contains("1") }
        )
        try await rig.ask("SADD", "dead:h", "0")
        try await rig.ask("SREM", "dead:h", "1")
        #expect(
            try await eventually(within: .seconds(8)) { try await rig.dead("h") == ["0", "1"] }
        )
        await rig.think(dead: [])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == [] })
        try await rig.ask("SADD", "dead:h", "0")
        // Whatever was heard of it has been weighed when a later change has been routed.
        try await rig.set("later", [Self.url(1)])
        #expect(await rig.members("later") == [Self.id(1)])
        #expect(await rig.source.call { $0.othersMarks["h"] != nil && $0.marks.isEmpty })
        #expect(try await rig.dead("h") == ["0"])
        await rig.stop()
    }

    /// Another source on the same Redis and hands, which writes.
    private static func second(_ rig: SourceRig) async throws -> LoopBound<HipacheSource> {
        let (loop, hands) = (rig.loop, rig.hands)
        let url = RedisURL(address: .host("127.0.0.1", port: rig.port))
        return await withCheckedContinuation { continuation in
            loop.execute {
                guard let hands = hands?.value else { return }
                let setting = HipacheSetting(
                    base: ForeignBase(
                        name: "hipache",
                        read: url,
                        upstream: SourceRig.upstream,
                        monitors: [],
                        refresh: .seconds(1)
                    )
                )
                let source = HipacheSource(setting, agent: "a1", on: loop, hands: hands)
                source.start()
                continuation.resume(returning: LoopBound(source, on: loop))
            }
        }
    }

    @Test func `a host that a wildcard serves has marks of its own`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("*.foo.test", [Self.url(1), Self.url(2)])
        try await rig.start()
        await rig.think(dead: [Self.id(2)])
        #expect(await rig.members("a.foo.test")?.count == 2)
        // Long before the next round of all that has to be said again.
        #expect(
            try await eventually(within: .seconds(3)) { try await rig.dead("a.foo.test") == ["1"] }
        )
        try await rig.ask("PUBLISH", "dead", "b.foo.test;\(Self.url(2));1;2")
        for host in ["*.foo.test", "a.foo.test", "b.foo.test"] {
            #expect(
                try await eventually(within: Self.patience) { try await rig.dead(host) == ["1"] },
                "\(host)"
            )
        }
        await rig.stop()
    }

    @Test func `what proxies say is looked into, and what is found is said`() async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("h", [Self.url(1), Self.url(2)])
        try await rig.start()
        try await rig.ask("SADD", "dead:h", "0")
        try await rig.ask("PUBLISH", "dead", "h;\(Self.url(1));0;2")
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == [] })
        let looked = await rig.hands.call { $0.looked }
        #expect(looked == [PeerKey(upstream: "hipache", peer: Self.id(1))])
        // Nonsense is nobody's backend.
        for text in ["", "h;x;0;2", "none;\(Self.url(1));0;2", "h;\(Self.url(1))"] {
            try await rig.ask("PUBLISH", "dead", text)
        }
        await rig.think(dead: [Self.id(1)])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h") == ["0"] })
        // Our own word came back, and was no reason to look.
        #expect(await rig.hands.call { $0.looked.count } == 1)
        await rig.stop()
    }

    @Test func `in place of hipache-hchecker it says so, holds locks, and spares the only one`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        try await rig.set("one", [Self.url(1)])
        try await rig.set("two", [Self.url(1), Self.url(2)])
        try await rig.ask("HSET", "hchecker", Self.url(2), "other#1;1.0")
        try await rig.start { $0.isChecker = true }
        #expect(
            try await eventually(within: Self.patience) {
                let ping = try await rig.ask("GET", "hchecker_ping").integer ?? 0
                return abs(ping - Clock.wall().milliseconds / 1_000) <= 30
            }
        )
        #expect(
            try await eventually(within: Self.patience) {
                try await rig.ask("HGET", "hchecker", Self.url(1)).text?.hasPrefix("a1#") == true
            }
        )
        #expect(try await rig.ask("HGET", "hchecker", Self.url(2)).text == "other#1;1.0")
        #expect((1...90).contains(try await rig.ask("TTL", "hchecker").integer ?? 0))
        await rig.think(dead: [Self.id(1)])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("two") == ["0"] })
        #expect(try await rig.dead("one") == [])
        // A proxy says that there are two, whatever the list says.
        try await rig.ask("PUBLISH", "dead", "one;\(Self.url(1));0;2")
        #expect(try await eventually(within: Self.patience) { try await rig.dead("one") == ["0"] })
        // What it says itself when one goes down, of a list of one, takes nothing back.
        await rig.think(dead: [])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("one") == [] })
        await rig.think(dead: [Self.id(1)])
        #expect(try await eventually(within: Self.patience) { try await rig.dead("one") == ["0"] })
        try await rig.ask("RPUSH", "frontend:two", Self.url(3))
        #expect(await rig.members("two")?.count == 3)
        #expect(try await rig.dead("one") == ["0"])
        await rig.stop()
        #expect(
            try await rig.ask("HGETALL", "hchecker").array?.compactMap(\.text) == [
                Self.url(2), "other#1;1.0",
            ]
        )
    }

    // MARK: Redis away

    @Test func `what was known serves while Redis is away, and when it is back without it`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        for host in 0..<5 { try await rig.set("h\(host)", [Self.url(1), Self.url(2)]) }
        try await rig.start()
        let both = [Self.id(1), Self.id(2)]
        #expect(await rig.members("h0") == both)
        rig.killRedis()
        #expect(
            await eventually(within: Self.patience) { await rig.source.call { !$0.isConnected } }
        )
        #expect(await rig.members("h0") == both)
        #expect(await rig.members("h1") == both)
        await rig.think(dead: [Self.id(2)])
        try rig.restartRedis()
        #expect(
            await eventually(within: Self.patience) { await rig.source.call { $0.isConnected } }
        )
        #expect(
            await eventually(within: Self.patience) {
                rig.lines.withLock { $0.contains { $0.contains("back without 5 of 5 frontends") } }
            }
        )
        for host in 0..<5 { #expect(await rig.members("h\(host)") == both) }
        #expect(try await rig.ask("KEYS", "*").array == [], "nothing is marked that has no list")
        // Written again it is as it is written, and the others stay.
        try await rig.set("h0", [Self.url(2), Self.url(3)])
        #expect(await rig.members("h0") == [Self.id(2), Self.id(3)])
        #expect(await rig.members("h1") == both)
        #expect(try await eventually(within: Self.patience) { try await rig.dead("h0") == ["0"] })
        // Written and deleted it is deleted.
        try await rig.set("h1", [Self.url(3)])
        try await rig.ask("DEL", "frontend:h1")
        #expect(await rig.members("h1") == nil)
        await rig.stop()
    }

    /// A connection that breaks is no reason to believe that Redis has lost what it was told to delete.
    @Test func `what is deleted while nobody listens is deleted, where the server is the same`()
        async throws
    {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        for host in 0..<5 { try await rig.set("h\(host)", [Self.url(1)]) }
        try await rig.start()
        #expect(await rig.members("h0") == [Self.id(1)])
        // In one step, so that the source is back when all is gone.
        let kill = ["CLIENT", "KILL", "SKIPME", "yes", "TYPE"]
        let replies = try await rig.ask(all: [
            ["MULTI"], kill + ["pubsub"], kill + ["normal"], ["FLUSHALL"], ["EXEC"],
        ])
        #expect(replies.last?.array?.map(\.integer).prefix(2) == [1, 1])
        let isGone = await eventually(within: Self.patience) { await rig.members("h0") == nil }
        #expect(isGone)
        #expect(rig.lines.withLock { $0.contains { $0.contains("back without") } } == false)
        await rig.stop()
    }

    // MARK: Edits at random

    /// Lists are edited while backends die and return: in the end what is marked is what is dead, and what is
    /// routed is what the lists say.
    @Test(arguments: 0..<4)
    func `edits at random mark nobody else`(seed: UInt64) async throws {
        let rig = try SourceRig()
        #expect(await rig.isReady())
        var dice = Dice(seed: seed)
        let hosts = ["a.test", "b.test", "c.test", "*.test"]
        for host in hosts { try await rig.set(host, (1...4).map { Self.url($0) }) }
        try await rig.start()
        for step in 0..<150 {
            let host = hosts[Int(dice.next() % 4)]
            let other = hosts[Int(dice.next() % 4)]
            let key = "frontend:\(host)"
            let (one, two) = (
                Self.url(Int(dice.next() % 6) + 1), Self.url(Int(dice.next() % 6) + 1)
            )
            switch dice.next() % 7 {
            case 0: try await rig.ask("LREM", key, "1", one)
            case 1: try await rig.ask("LINSERT", key, "BEFORE", one, two)
            case 2: try await rig.ask("RPUSH", key, one)
            case 3: try await rig.ask("LPOP", key)
            case 4: try await rig.ask("DEL", key)
            case 5: try await rig.ask("RENAME", key, "frontend:\(other)")
            default: try await rig.set(host, [one, two, Self.url(Int(dice.next() % 6) + 1)])
            }
            if step % 5 == 0 {
                await rig.think(
                    dead: Set((1...6).filter { _ in dice.next() % 3 == 0 }.map { Self.id($0) })
                )
            }
        }
        let dead = await rig.hands.call { $0.dead }
        for host in hosts {
            let list = try await rig.ask("LRANGE", "frontend:\(host)", "1", "-1").array ?? []
            let expected = list.enumerated().filter { place in
                place.element.text.map { dead.contains(String($0.dropFirst(7))) } ?? false
            }.map { "\($0.offset)" }.sorted()
            var seen: [String] = []
            let isRight = try await eventually(within: .seconds(5)) {
                seen = try await rig.dead(host)
                return seen == expected
            }
            #expect(isRight, "\(host): expected \(expected), saw \(seen)")
            let routed = Set(await rig.source.call { $0.routes.table.texts(of: host) })
            #expect(routed == Set(list.compactMap(\.text)))
        }
        await rig.stop()
    }
}
