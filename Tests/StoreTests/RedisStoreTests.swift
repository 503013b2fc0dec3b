// What if Redis dies, hangs, comes back empty, or says no? A real Redis as a child process, treated
// badly; two stores on it, as two agents would be.

import EventLoop
import Glibc
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct RedisStoreTests {
    let peer = PeerKey(upstream: "web", peer: "127.0.0.1:9001")
    /// Longer than any test takes: what is heard was told by the stream, or by connecting.
    static let never = Nanoseconds.seconds(3_600)

    @Test func `two agents hear of each other's transitions at once`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let (one, _) = await rig.start(agent: "a1")
            let (_, other) = await rig.start(agent: "a2", reconcileEvery: Self.never)
            let up = Verdict.sample(.up, agent: "a1", sequence: 1)
            one.publish(up, isTransition: true)
            #expect(
                await rig.comes { other.verdicts[up.key]?.status == .up }
            )
            one.publish(Verdict.sample(.down, agent: "a1", sequence: 2), isTransition: true)
            #expect(
                await rig.comes { other.verdicts[up.key]?.status == .down }
            )
        }
    }

    @Test func `two agents hear of each other's intents at once`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let (one, _) = await rig.start(agent: "a1")
            let (two, other) = await rig.start(agent: "a2", reconcileEvery: Self.never)
            let intent = Intent(mode: .drain, reason: "deploy")
            try await one.set(intent: intent, for: peer)
            #expect(await rig.comes { other.intents[peer] == intent })
            try await two.set(intent: nil, for: peer)
            #expect(await rig.comes { other.intents[peer] == nil })
        }
    }

    /// A hash of Redis has no order, and is another one in each life.
    @Test func `definitions are told in the order in which they were made, whoever reads them`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let (one, first) = await rig.start(agent: "a1")
            // A time apart each, and by name in no order.
            let keys = (0..<40).map {
                LiveKey.peer(PeerKey(upstream: "web", peer: "10.0.0.\($0 * 29 % 40):80"))
            }
            for key in keys {
                let body = LiveDefinition(.object([]))
                _ = try await one.change(LiveDefinition.self, body, of: key, expecting: nil)
                let now = rig.loop.wall
                #expect(await rig.comes { rig.loop.wall >= now + .milliseconds(2) })
            }
            func told(_ listener: Listener) -> [LiveKey] {
                listener.others.compactMap { ($0 as? Asking<LiveDefinition>)?.key }
            }
            #expect(told(first) == keys)
            for agent in ["a2", "a1"] {
                let (_, listener) = await rig.start(agent: agent)
                #expect(await rig.comes { told(listener).count == keys.count })
                #expect(told(listener) == keys, "\(agent)")
            }
        }
    }

    @Test func `a renewal wakes nobody, and a refused write neither`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let (one, _) = await rig.start(agent: "a1")
            let verdict = Verdict.sample(sequence: 5)
            one.publish(verdict, isTransition: true)
            #expect(await rig.comes { one.status.pending == 0 })
            var renewed = verdict
            renewed.sequence = 6
            renewed.latency = .microseconds(99)
            renewed.checkedAt = verdict.checkedAt + .seconds(100)
            renewed.expiresAt = verdict.expiresAt + .seconds(200)
            // Long enough after the first that its half-life is over.
            one.publish(renewed, isTransition: true)
            #expect(await rig.comes { one.status.pending == 0 })
            let (two, _) = await rig.start(agent: "a2")
            two.publish(Verdict.sample(.down, agent: "a2", sequence: 4), isTransition: true)
            #expect(await rig.comes { two.status.refused == 1 })

            let revision = try await server.ask("GET", "muster:revision", on: rig.loop)
            #expect(revision.text == "1")
            let length = try await server.ask("XLEN", "muster:changes", on: rig.loop)
            #expect(length == .integer(1))
            let held = try await server.ask(
                "HGET",
                "muster:verdicts",
                "web|127.0.0.1:9001|http",
                on: rig.loop
            )
            #expect(held.text?.contains("\"sequence\":6") == true)
        }
    }

    /// Three seconds are promised: at most so much until Redis is asked again, the rest for telling.
    @Test func `a Redis that is back is asked within a second`() {
        #expect(RedisStore.backoffMax <= .seconds(1))
        #expect(RedisStore.commandTimeoutDefault <= .seconds(1))
        #expect(RedisStore.reconcileEveryDefault <= .seconds(5))
    }

    @Test func `a Redis killed and restarted empty is told everything as soon as it is back`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let (store, listener) = await rig.start(agent: "a1", reconcileEvery: Self.never)
            let intent = Intent(mode: .drain)
            try await store.set(intent: intent, for: peer)
            for number in 1...500 {
                store.publish(Verdict.sample(peer: "p\(number)", sequence: 1), isTransition: true)
                if number == 250 { server.kill() }
            }
            #expect(await rig.comes { !store.status.isConnected })
            #expect(store.status.lastError != nil)
            for number in 1...500 {
                store.publish(
                    Verdict.sample(.down, peer: "p\(number)", sequence: 2),
                    isTransition: true
                )
            }
            try server.restart()
            #expect(await server.isReady(on: rig.loop))
            #expect(
                await eventually(within: .seconds(30)) {
                    store.status.isConnected && store.status.pending == 0
                }
            )
            #expect(listener.intents[peer] == intent, "an empty store is not an order to delete")

            let found = await rig.reopened()
            #expect(found.verdicts.count == 500)
            #expect(found.verdicts.values.allSatisfy { $0.status == .down })
            #expect(found.intents == [peer: intent])
        }
    }

    @Test func `a Redis emptied under a living connection is told everything again`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let (store, listener) = await rig.start(agent: "a1", reconcileEvery: .seconds(1))
            let intent = Intent(mode: .maint)
            try await store.set(intent: intent, for: peer)
            store.publish(Verdict.sample(), isTransition: true)
            #expect(await rig.comes { store.status.pending == 0 })
            _ = try await server.ask("FLUSHALL", on: rig.loop)
            #expect(
                await eventually(within: .seconds(60)) {
                    let verdicts = try? await server.ask("HLEN", "muster:verdicts", on: rig.loop)
                    let intents = try? await server.ask("HLEN", "muster:intents", on: rig.loop)
                    // The intent, and the mark.
                    return verdicts == .integer(1) && intents == .integer(2)
                }
            )
            #expect(listener.intents[peer] == intent)
            #expect(store.status.isConnected)
        }
    }

    @Test func `a Redis that hangs is noticed, and used again when it goes on`() async throws {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let (store, _) = await rig.start(
                agent: "a1",
                commandTimeout: RedisStore.commandTimeoutDefault
            )
            server.signal(SIGSTOP)
            store.publish(Verdict.sample(.down), isTransition: true)
            #expect(await rig.comes { !store.status.isConnected })
            #expect(store.status.lastError?.contains("no answer within") == true)
            let reach = try await store.set(
                intent: Intent(mode: .drain),
                for: peer
            )
            #expect(reach == .here)
            server.signal(SIGCONT)
            #expect(
                await eventually(within: .seconds(60)) {
                    store.status.isConnected && store.status.pending == 0
                }
            )
            let found = await rig.reopened()
            #expect(found.verdicts.values.first?.status == .down)
            #expect(found.intents[peer]?.mode == .drain)
        }
    }

    @Test func `an intent set while Redis is away gets there, and an older one does not win`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let (store, listener) = await rig.start(agent: "a1")
            server.kill()
            #expect(await rig.comes { !store.status.isConnected })
            let intent = Intent(mode: .maint)
            #expect(try await store.set(intent: intent, for: peer) == .here)
            #expect(listener.intents[peer] == intent)
            try server.restart()
            #expect(
                await eventually(within: .seconds(30)) {
                    store.status.isConnected && store.status.pending == 0
                }
            )

            let (other, _) = await rig.start(agent: "a2")
            // What another agent still holds from before does not come back with it.
            let older = #"{"mode":{"mode":"ready","at":1000},"weight":{"weight":3,"at":1000}}"#
            let script = RedisScript.ask.source(of: Intent.sort)
            let keys = ["muster:intents", "muster:revision", "muster:changes"]
            let connection = try await server.connect(on: rig.loop)
            _ = try await connection.command(
                ["EVAL", script, "3"] + keys + ["web|127.0.0.1:9001", older],
                timeout: patience
            )
            connection.close()
            #expect(await rig.reopened().intents[peer] == intent)
            try await other.change(IntentChange(mode: .init(nil)), of: peer)
            #expect(await rig.reopened().intents[peer] == nil)
        }
    }

    @Test func `a restarted process knows its state from the file while Redis is away`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let path = rig.folder.path("a1.json")
            let (store, _) = await rig.start(agent: "a1", state: path)
            store.publish(Verdict.sample(.down), isTransition: true)
            try await store.set(intent: Intent(mode: .drain), for: peer)
            await rig.stop(store)
            server.kill()

            let again = rig.make(agent: "a1", state: path)
            let listener = Listener()
            again.start(listener)
            #expect(listener.verdicts.values.first?.status == .down)
            #expect(listener.intents[peer]?.mode == .drain)
            #expect(!again.status.isConnected)
        }
    }

    @Test func `a store that was never there is waited for`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            server.kill()
            let store = rig.make()
            let listener = Listener()
            store.start(listener)
            store.publish(Verdict.sample(), isTransition: true)
            #expect(await rig.comes { store.status.lastError != nil })
            #expect(store.status.lastError?.contains("Connection refused") == true)
            let told = rig.lines.all.filter { $0.contains("is away") }
            #expect(told.count == 1)
            #expect(told.first?.hasPrefix("warning: store redis://127.0.0.1:") == true)
            #expect(told.first?.contains("going on from memory, trying again") == true)
            try server.restart()
            #expect(
                await eventually(within: .seconds(30)) {
                    store.status.isConnected && store.status.pending == 0
                }
            )
            #expect(store.status.lastError == nil)
        }
    }

    @Test func `strange entries are skipped with a word about them`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let texts = ["", "{", "[]", "{\"status\":\"up\"}", "7"]
            for (index, text) in texts.enumerated() {
                _ = try await server.ask(
                    "HSET",
                    "muster:verdicts",
                    "web|p\(index)|http",
                    text,
                    on: rig.loop
                )
            }
            let (store, listener) = await rig.start()
            #expect(listener.verdicts.isEmpty)
            let told = rig.lines.all.filter { $0.contains("is no verdict") }
            #expect(told.count == 1, "one line a minute for all of them")
            #expect(store.status.ignored == UInt64(texts.count))
            // And they are no obstacle to writing.
            let verdict = Verdict.sample(peer: "p1")
            store.publish(verdict, isTransition: true)
            await rig.stop(store)
            #expect(await rig.reopened().verdicts[verdict.key]?.status == .up)
        }
    }

    /// What people ask for is read anew every few seconds, with whatever lies beside it.
    @Test func `a value that is none of ours is counted once, and again when it is another`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            func write(_ field: String, _ text: String) async throws {
                _ = try await server.ask("HSET", "muster:intents", field, text, on: rig.loop)
            }
            try await write("web|first", "7")
            let (store, _) = await rig.start(reconcileEvery: .milliseconds(5))
            // Each is found by a reading of its own, which finds those before it as well.
            for turn in 1...6 {
                try await write("web|p\(turn)", "nonsense")
                #expect(
                    await eventually(within: .seconds(30)) {
                        store.status.ignored == UInt64(turn + 1)
                    }
                )
            }
            try await write("web|first", "8")
            #expect(await eventually(within: .seconds(30)) { store.status.ignored == 8 })
            await rig.stop(store)
        }
    }

    @Test func `a large value is not fetched, and a hundred thousand foreign fields are one line`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let fill = """
                redis.call('HSET', KEYS[1], 'web|large|http', string.rep('x', 20000000))
                redis.call('HSET', KEYS[2], 'web|large', string.rep('x', 20000000))
                for i = 1, 100000 do redis.call('HSET', KEYS[1], 'foreign ' .. i, '{}') end
                """
            _ = try await connection.command(
                ["EVAL", fill, "2", "muster:verdicts", "muster:intents"],
                timeout: patience
            )
            let (store, listener) = await rig.start()
            #expect(listener.verdicts.isEmpty)
            #expect(store.status.isConnected && store.status.lastError == nil)
            let lines = rig.lines.all.filter { $0.hasSuffix("ignored") }
            #expect(lines.count == 2)
            #expect(
                lines.contains {
                    $0.contains("has 200000") && $0.contains("expected at most 16384")
                }
            )
            #expect(lines.contains { $0.contains("'foreign ") && $0.contains("names no pair") })
            // Our own word replaces what stood in its place.
            let verdict = Verdict.sample(peer: "large")
            store.publish(verdict, isTransition: true)
            await rig.stop(store)
            #expect(await rig.reopened().verdicts[verdict.key]?.status == .up)
        }
    }

    @Test func `a Redis that refuses writes is read all the same, and written when it lets us`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let other = Verdict.sample(.down, peer: "other", agent: "a2")
            let (theirs, _) = await rig.start()
            theirs.publish(other, isTransition: true)
            await rig.stop(theirs)
            // A replica of nobody: what it holds can be read.
            _ = try await server.ask("REPLICAOF", "127.0.0.1", "1", on: rig.loop)
            let (store, listener) = await rig.start()
            #expect(listener.verdicts[other.key]?.status == .down)
            store.publish(Verdict.sample(peer: "ours"), isTransition: true)
            let isRefused = await eventually(within: .seconds(30)) {
                store.status.writeError?.hasPrefix("READONLY") == true
            }
            #expect(isRefused && store.status.isConnected)
            let key = PeerKey(upstream: "web", peer: "ours")
            let reach = try await store.set(intent: Intent(mode: .maint), for: key)
            #expect(reach == .here && listener.intents[key]?.mode == .maint)
            let told = rig.lines.all.filter { $0.contains("takes no writes: READONLY") }
            #expect(told.count == 1 && told.first?.contains("reading goes on") == true)

            _ = try await server.ask("REPLICAOF", "NO", "ONE", on: rig.loop)
            #expect(
                await eventually(within: .seconds(30)) {
                    store.status.pending == 0 && store.status.writeError == nil
                }
            )
            await rig.stop(store)
            let found = await rig.reopened()
            #expect(found.intents[key]?.mode == .maint)
            #expect(found.verdicts.keys.contains { $0.peer == "ours" })
        }
    }

    @Test func `other agents hear at once that only an address has turned`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let (one, _) = await rig.start(agent: "a1")
            let (_, other) = await rig.start(agent: "a2", reconcileEvery: Self.never)
            var verdict = Verdict.sample(.up, agent: "a1", sequence: 1)
            for down in [[], ["192.0.2.2:80"], []] {
                verdict.sequence += 1
                verdict.downAddresses = down
                one.publish(verdict, isTransition: true)
                let key = verdict.key
                #expect(
                    await eventually(within: .seconds(30)) {
                        other.verdicts[key]?.downAddresses == down
                    }
                )
            }
        }
    }
}
