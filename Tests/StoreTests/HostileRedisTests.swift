// What if another program, or somebody who means harm, writes under our names? Nothing of it is read that
// is too large, nothing of it keeps orders from being taken, and what cannot be ours makes room.

import EventLoop
import Foundation
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct HostileRedisTests {
    private let peer = PeerKey(upstream: "web", peer: "127.0.0.1:9001")

    private static let keys = ["revision", "id", "changes", "verdicts", "intents"]

    /// A drain that counts, and that whoever comes later finds.
    private func expectOrders(
        _ rig: StoreRig,
        _ store: any Store,
        _ listener: Listener,
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let peer = peer
        var reach: IntentReach?
        let isTaken = await eventually(within: .seconds(60)) {
            reach = try? await store.change(IntentChange(mode: .init(.drain)), of: peer)
            return reach == .everywhere
        }
        #expect(isTaken, "\(String(describing: reach))", sourceLocation: location)
        #expect(listener.intents[peer]?.mode == .drain, sourceLocation: location)
        #expect(
            await rig.reopened().intents[peer]?.mode == .drain,
            sourceLocation: location
        )
    }

    @Test(
        arguments: keys,
        [
            ["SET", "x"], ["LPUSH", "x"], ["SADD", "x"], ["HSET", "a", "b"],
            ["XADD", "*", "a", "b"],
            ["XADD", "18446744073709551615-18446744073709551615", "a", "b"],
        ]
    )
    func `a key of another type makes room`(name: String, command: [String]) async throws {
        let key = "muster:\(name)"
        let words = [command[0], key] + command.dropFirst()
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            // Before anybody is there, and under their eyes.
            _ = try await connection.command(words, timeout: patience)
            let (store, listener) = await rig.start(reconcileEvery: .milliseconds(100))
            store.publish(Verdict.sample(), isTransition: true)
            #expect(await rig.comes { store.status.pending == 0 })
            _ = try await connection.pipeline([["DEL", key], words], timeout: patience)
            try await expectOrders(rig, store, listener)
            #expect(await rig.comes { store.status.isConnected })
            let away = rig.lines.all.filter { $0.contains("is away") }
            #expect(away.count <= 1, "\(away)")
        }
    }

    @Test(arguments: [
        #"{"mode":"drain","x":1e400}"#, #"{"mode":[1],"weight":{}}"#, #"{"weight":1e9}"#,
        #"{"mode_at":99999999999999999,"until":-1e300}"#, "[1,2,3]", "7", "null", "",
        #"{"mode":"drain","set_at":"yesterday"}"#,
        String(repeating: #"{"a":"#, count: 900) + "1" + String(repeating: "}", count: 900),
        String(repeating: "[", count: 9_000),
    ])
    func `an intent that makes no sense is replaced by the next order`(held: String) async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            _ = try await server.ask("HSET", "muster:intents", peer.field, held, on: rig.loop)
            let (store, listener) = await rig.start()
            try await store.change(IntentChange(weight: .init(7)), of: peer)
            #expect(listener.intents[peer]?.weight == 7)
            #expect(await rig.reopened().intents[peer]?.weight == 7)
            try await expectOrders(rig, store, listener)
        }
    }

    @Test(arguments: [
        "redis.call('SET', 'muster:id', string.rep('1', 50000000))",
        "redis.call('SET', 'muster:revision', string.rep('1', 50000000))",
        "redis.call('XADD', 'muster:changes', '*', 'field', string.rep('x', 50000000))",
        "redis.call('HSET', 'muster:verdicts', 'web|127.0.0.1:9001|http', string.rep('x', 50000000))",
        "redis.call('HSET', 'muster:intents', 'web|127.0.0.1:9001', string.rep('x', 50000000))",
        "redis.call('HSET', 'muster:intents', string.rep('x', 10000000), '{}')",
        // Each small enough, together too much to be read at once.
        """
        for i = 1, 1000 do
          redis.call('HSET', 'muster:verdicts', 'web|p' .. i .. '|http', string.rep('x', 60000))
        end
        """,
    ])
    func `what is large is not read`(script: String) async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let write = ["EVAL", script, "0"]
            _ = try await connection.command(write, timeout: patience)
            let (store, listener) = await rig.start(reconcileEvery: .milliseconds(100))
            _ = try await connection.command(write, timeout: patience)
            try await expectOrders(rig, store, listener)
            let verdict = Verdict.sample()
            store.publish(verdict, isTransition: true)
            await rig.stop(store)
            #expect(await rig.reopened().verdicts[verdict.key]?.status == .up)
        }
    }

    /// An order that expects what it saw makes Redis count all that is asked for of the upstream.
    @Test func `a name that is too long does not count`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let (store, _) = await rig.start()
            let key = PeerKey(upstream: "web", peer: "a")
            try await store.set(intent: Intent(mode: .drain), for: key)
            _ = try await server.ask(
                "EVAL",
                "redis.call('HSET', 'muster:intents', 'web|' .. string.rep('x', 10000000), '{}')",
                "0",
                on: rig.loop
            )
            let sum = store.stampSum(of: "web")
            await #expect(throws: StoreError.self) {
                _ = try await store.change(
                    Intent.self,
                    .init(mode: .init(.maint)),
                    of: key,
                    expecting: sum + 1
                )
            }
            #expect(store.status.isConnected && store.status.lastError == nil)
            await rig.stop(store)
        }
    }

    @Test func `a Redis that is emptied again and again is one line`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let (store, _) = await rig.start(reconcileEvery: .milliseconds(50))
            for _ in 0..<3 {
                _ = try await server.ask("DEL", "muster:id", on: rig.loop)
                let isMade = await eventually(within: .seconds(60)) {
                    (try? await server.ask("EXISTS", "muster:id", on: rig.loop))?.integer == 1
                }
                #expect(isMade)
            }
            #expect(store.status.isConnected)
            #expect(rig.lines.all.count { $0.contains("has lost its state") } == 1)
        }
    }

    @Test func `an answer that is too long ends the connection, with a word`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            _ = try await connection.command(
                ["EVAL", "redis.call('SET', 'k', string.rep('x', 20000000))", "0"],
                timeout: patience
            )
            await #expect(throws: RedisError.tooLong(bytesMax: RedisConnection.replyBytesMax)) {
                try await connection.command(["GET", "k"], timeout: patience)
            }
            #expect(
                "\(RedisError.tooLong(bytesMax: 8))"
                    == "expected replies of at most 8 bytes, saw a longer one"
            )
        }
    }

    @Test func `the rights that the documents name suffice`() async throws {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let store = RedisStore(
                loop: rig.loop,
                url: url,
                agent: "a1",
                commandTimeout: patience,
                reconcileEvery: .milliseconds(100),
                journal: rig.lines.journal
            )
            let listener = Listener()
            store.start(listener)
            #expect(await rig.comes { store.status.isConnected })
            // Also what only strange things bring about.
            for command in [["SET", "muster:changes", "x"], ["SET", "muster:revision", "x"]] {
                _ = try await connection.command(command)
            }
            try await store.change(IntentChange(mode: .init(.drain)), of: peer)
            try await store.change(IntentChange(mode: .init(nil)), of: peer)
            store.publish(Verdict.sample(), isTransition: true)
            #expect(await rig.comes { store.status.pending == 0 })
            store.forget(Verdict.sample().key)
            #expect(await rig.comes { store.status.pending == 0 })
            await store.stop()
            #expect(!rig.lines.all.contains { $0.contains("NOPERM") }, "\(rig.lines.all)")
        }
    }

    /// The peer would go on serving, be it on fire.
    @Test func `an order that Redis may not be told holds here, and is told when it may`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            let store = rig.make(url: url, reconcileEvery: .milliseconds(50))
            let listener = Listener()
            store.start(listener)
            #expect(await rig.comes { store.status.isConnected })
            _ = try await connection.command(["ACL", "SETUSER", user, "-hset"], timeout: patience)
            #expect(try await store.change(IntentChange(mode: .init(.drain)), of: peer) == .here)
            #expect(listener.intents[peer]?.mode == .drain)
            #expect(store.status.isConnected && store.status.writeAdvice?.contains("ACL") == true)
            // Reading goes on, and writes nothing of it.
            let other = "{\"mode\":\"maint\",\"mode_at\":1,\"set_at\":1}"
            _ = try await connection.command(["HSET", "muster:intents", "web|z", other])
            #expect(
                await rig.comes { listener.intents[PeerKey(upstream: "web", peer: "z")] != nil }
            )
            #expect(!store.status.isWritable)
            _ = try await connection.command(["ACL", "SETUSER", user, "+hset"], timeout: patience)
            #expect(await rig.comes { store.status.pending == 0 && store.status.isWritable })
            let held = try await connection.command(["HEXISTS", "muster:intents", peer.field])
            #expect(held == .integer(1))
        }
    }

    /// Whole or not at all, also where the right to tell of it is the one that is missing.
    @Test func `an order that nobody may be told of is not written`() async throws {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            let store = rig.make(url: url, reconcileEvery: .milliseconds(50))
            store.start(Listener())
            #expect(await rig.comes { store.status.isConnected })
            _ = try await connection.command(["ACL", "SETUSER", user, "-xadd"], timeout: patience)
            #expect(try await store.change(IntentChange(mode: .init(.drain)), of: peer) == .here)
            let held = try await connection.command(["HEXISTS", "muster:intents", peer.field])
            #expect(held == .integer(0))
            // From Redis 7.2 on a script is told which it is.
            #expect(await rig.comes { store.status.writeAdvice?.contains("+xadd") == true })
            _ = try await connection.command(["ACL", "SETUSER", user, "+xadd"], timeout: patience)
            #expect(await rig.comes { store.status.pending == 0 && store.status.isWritable })
            let asides = try await connection.command(["KEYS", "muster:*aside*"])
            #expect(asides.array?.isEmpty == true)
        }
    }

    /// All else passes, and so each attempt looked like the end of the trouble.
    @Test func `a store that may not be followed is away, since then and for that reason`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            let store = rig.make(url: url, reconcileEvery: .milliseconds(50))
            let listener = Listener()
            store.start(listener)
            #expect(await rig.comes { store.status.isConnected })
            _ = try await connection.command(["ACL", "SETUSER", user, "-xread"], timeout: patience)
            #expect(await rig.comes { !store.status.isConnected })
            let (since, count) = (store.status.since, listener.statuses.count)
            // So many attempts later.
            #expect(await rig.comes { listener.statuses.count > count + 4 })
            let later = listener.statuses.dropFirst(count)
            #expect(later.allSatisfy { !$0.isConnected && $0.since == since })
            #expect(store.status.lastError?.contains("'xread'") == true)
            #expect(store.status.writeAdvice?.contains("+xread") == true)
            _ = try await connection.command(["ACL", "SETUSER", user, "+xread"], timeout: patience)
            #expect(await rig.comes { store.status.isConnected })
        }
    }
}

extension RedisServer {
    /// For a user who may do what docs/STATE.md says that muster needs, and nothing else.
    func urlWithDocumentedRights(_ connection: RedisConnection) async throws -> RedisURL {
        let project = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(
            contentsOf: project.appendingPathComponent("docs/STATE.md"),
            encoding: .utf8
        )
        let words = try #require(page.firstMatch(of: /ACL user needs `([^`]*)`/)?.1)
        let rights = words.split(whereSeparator: \.isWhitespace).map(String.init)
        let reply = try await connection.command(
            ["ACL", "SETUSER", "muster", "on", ">secret", "~muster:*"] + rights
        )
        #expect(reply == .status("OK"))
        var url = url
        url.user = "muster"
        url.password = "secret"
        return url
    }
}
