// Do agents on one Redis share what they define, and hand it on? Desks with hands that only note what they are
// told, on a real server: who holds a pair, under which epoch, and whose word is written.

import EventLoop
import Fleet
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct FleetDeskTests {
    @Test func `how many requests failed is told with the agent's name, and nonsense is drawn in`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let one = await Agent.start("a1", on: rig, pairs: 1)
            let two = await Agent.start("a2", on: rig, pairs: 1)
            let peer = PeerKey(upstream: "web", peer: "p0")
            let vote = TrafficVote(
                requests: 12,
                failures: 5,
                window: .seconds(2),
                life: .seconds(30)
            )
            one.desk.announce(
                FleetSign(.suspicion, peer: peer, status: "fails", message: "", vote: vote)
            )
            #expect(await rig.comes { two.hands.signs.count == 1 })
            #expect(two.hands.signs.last?.agent == "a1")
            #expect(two.hands.signs.last?.vote == vote)
            let server = try #require(rig.server)
            _ = try await server.ask(
                "XADD",
                "muster:changes",
                "*",
                "kind",
                "suspicion",
                "field",
                "web|p0",
                "status",
                "fails",
                "message",
                "",
                "by",
                "7",
                "agent",
                "x",
                "requests",
                "-1",
                "failures",
                "999999999999999999",
                "window",
                "99999999999999999",
                "life",
                "-5",
                on: rig.loop
            )
            #expect(await rig.comes { two.hands.signs.count == 2 })
            let drawn = two.hands.signs.last?.vote
            #expect(drawn.map { $0.requests == $0.failures } == true)
            #expect(drawn?.life == .milliseconds(1))
        }
    }

    @Test func `one agent takes everything, and says what it finds under its claims`() async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let agent = await Agent.start("a1", on: rig, pairs: 20)
            #expect(await rig.comes { agent.hands.held.count == 20 })
            for key in agent.keys { agent.find(.up, key) }
            let server = try #require(rig.server)
            #expect(
                await eventually(within: .seconds(60)) {
                    let count = try? await server.ask("HLEN", "muster:verdicts", on: rig.loop)
                    return count == .integer(20)
                }
            )
            let key = agent.keys[0]
            let text = try await server.ask("HGET", "muster:verdicts", key.field, on: rig.loop).text
            let verdict = try JSON(parsing: Array((text ?? "").utf8))
            #expect(verdict["agent"] == "a1")
            #expect(verdict["epoch"]?.integer == agent.hands.epochs[key].map { Int64($0) })
        }
    }

    @Test func `agents split what both define, and a clean stop hands over all`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let first = await Agent.start("a1", on: rig, pairs: 60)
            #expect(await rig.comes { first.hands.held.count == 60 })
            let second = await Agent.start("a2", on: rig, pairs: 60)
            #expect(
                await rig.comes {
                    haveShared(first, second) && second.hands.held.count >= 15
                        && first.hands.held.count >= 15
                }
            )
            // A count of 1 of 2 goes over with the pair.
            let key = try #require(first.hands.held.first)
            first.find(.up, key, health: 2)
            let server = try #require(rig.server)
            #expect(
                await eventually(within: .seconds(60)) {
                    (try? await server.ask("HEXISTS", "muster:verdicts", key.field, on: rig.loop))
                        == .integer(1)
                }
            )
            await first.desk.leave()
            #expect(await rig.comes { second.hands.held.count == 60 })
            #expect(first.hands.held.isEmpty)
            #expect(second.hands.resumed[key]?.health == 2)
            let epochs = (first.hands.epochs[key] ?? 0, second.hands.epochs[key] ?? 0)
            #expect(epochs.0 < epochs.1)
        }
    }

    @Test func `what a former holder says is not written`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let first = await Agent.start("a1", on: rig, pairs: 1)
            let key = first.keys[0]
            #expect(await rig.comes { first.hands.held == [key] })
            let server = try #require(rig.server)
            // As if its lease had been over and another had claimed the pair.
            let words = "9000000000000 1 7 0 0 0 somebody"
            _ = try await server.ask("HSET", "muster:claims", key.field, words, on: rig.loop)
            first.find(.down, key)
            #expect(await rig.comes { first.store.status.refused == 1 })
            let count = try await server.ask("HLEN", "muster:verdicts", on: rig.loop)
            #expect(count == .integer(0))
            // It is the only one there: it claims above what it heard of.
            #expect(await rig.comes { (first.hands.epochs[key] ?? 0) > 9_000_000_000_000 })
        }
    }

    private func text(of key: VerdictKey, _ rig: StoreRig) async -> String? {
        try? await rig.server?.ask("HGET", "muster:verdicts", key.field, on: rig.loop).text
    }

    @Test func `what is vouched for is said again where somebody took it away or wrote it over`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start(
                "a1",
                on: rig,
                pairs: 1,
                reconcileEvery: .milliseconds(100)
            )
            let key = agent.keys[0]
            #expect(await rig.comes { agent.hands.held == [key] })
            agent.find(.up, key)
            let vouched = "\"instance\":\"\(agent.desk.member.membership.instance)\"}"
            func isVouched() async -> Bool {
                await eventually(within: .seconds(60)) {
                    await text(of: key, rig)?.hasSuffix(vouched) == true
                }
            }
            #expect(await isVouched())
            _ = try await server.ask("HDEL", "muster:verdicts", key.field, on: rig.loop)
            #expect(await isVouched())
            let other = Verdict.sample(.down, peer: key.peer, agent: "x").json.text
            _ = try await server.ask("HSET", "muster:verdicts", key.field, other, on: rig.loop)
            #expect(await isVouched())
        }
    }

    /// Nobody's beats are written then, and everybody would look dead.
    @Test func `while Redis takes no writes nothing follows from anybody's silence`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start(
                "a1",
                on: rig,
                pairs: 1,
                reconcileEvery: .milliseconds(100)
            )
            #expect(await rig.comes { agent.hands.held.count == 1 && agent.store.isHearing })
            let setting = "min-replicas-to-write"
            _ = try await server.ask("CONFIG", "SET", setting, "1", on: rig.loop)
            #expect(await rig.comes { agent.desk.isUnwritable && !agent.store.isHearing })
            #expect(await rig.comes { agent.desk.reasonWords == ["the store takes no writes"] })
            #expect(agent.hands.held.count == 1)
            _ = try await server.ask("CONFIG", "SET", setting, "0", on: rig.loop)
            #expect(await rig.comes { agent.store.isHearing && agent.desk.reasons.isEmpty })
        }
    }

    /// All have one user, as like as not: then nobody's beats are written.
    @Test func `where no beat may be written nothing follows from anybody's silence either`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            let agent = await Agent.start(
                "a1",
                on: rig,
                url: url,
                pairs: 1,
                reconcileEvery: .milliseconds(100)
            )
            #expect(await rig.comes { agent.hands.held.count == 1 && agent.store.isHearing })
            _ = try await connection.command(["ACL", "SETUSER", user, "-hset"], timeout: patience)
            #expect(await rig.comes { agent.desk.isUnwritable && !agent.store.isHearing })
            let before = agent.desk.counts.lostCalls
            #expect(await rig.comes { agent.desk.counts.lostCalls > before + 8 })
            #expect(agent.desk.isUnwritable && agent.hands.held.count == 1)
            _ = try await connection.command(["ACL", "SETUSER", user, "+hset"], timeout: patience)
            #expect(await rig.comes { agent.store.isHearing && agent.store.status.isWritable })
        }
    }

    /// A beat that is written tells it. The next reading of everything, which tells it too, is an hour away.
    @Test func `that Redis takes writes again is known with the next beat`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start("a1", on: rig, pairs: 1, reconcileEvery: .seconds(3_600))
            #expect(await rig.comes { agent.hands.held.count == 1 })
            let setting = "min-replicas-to-write"
            _ = try await server.ask("CONFIG", "SET", setting, "1", on: rig.loop)
            #expect(agent.store.status.asOf == nil)
            #expect(await rig.comes { agent.store.status.writeError != nil })
            // What others found is known up to then, as where it is away.
            let asOf = try #require(agent.store.status.asOf)
            #expect(!agent.store.status.isWritable && asOf <= rig.loop.wall)
            #expect(agent.store.status.writeAdvice?.contains(setting) == true)
            _ = try await server.ask("CONFIG", "SET", setting, "0", on: rig.loop)
            #expect(await rig.comes { agent.store.status.writeError == nil })
            #expect(agent.store.status.asOf == nil && agent.store.status.since >= asOf)
            #expect(rig.lines.all.contains { $0.contains("takes writes again, after ") })
        }
    }

    /// It knows no claims, and writes of one pair after the other as it always did.
    @Test func `an older agent beside this one is named, once it has written for two seconds`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start(
                "a1",
                on: rig,
                pairs: 4,
                reconcileEvery: .milliseconds(100)
            )
            #expect(await rig.comes { agent.hands.held.count == 4 })
            let epoch = UInt64(max(rig.loop.wall.milliseconds, 0)) + 1_000_000
            for (place, key) in agent.keys.enumerated() {
                // Two words are no habit.
                #expect(place > 2 || agent.desk.older.isEmpty)
                let other = Verdict.sample(.down, peer: key.peer, agent: "old", epoch: epoch)
                _ = try await server.ask(
                    "HSET",
                    "muster:verdicts",
                    key.field,
                    other.json.text,
                    on: rig.loop
                )
                #expect(await rig.comes { !agent.hands.held.contains(key) })
                if key == agent.keys.last { break }
                try await Task.sleep(for: .milliseconds(750))
            }
            #expect(await rig.comes { agent.desk.older.map(\.id) == ["old"] })
            let told = rig.lines.all.filter { $0.contains("saw old write of web/p") }
            #expect(told.count == 1)
        }
    }

    /// As where a pair is defined, taken away and defined again: what gave it back comes late.
    @Test func `a claim that was given back under its holder is claimed anew, and names nobody`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start("a1", on: rig, pairs: 1)
            let key = agent.keys[0]
            #expect(await rig.comes { agent.hands.held == [key] })
            for round in 0..<5 {
                let before = try #require(agent.hands.epochs[key])
                let words = "\(before) 1 0 0 0 0 "
                _ = try await server.ask("HSET", "muster:claims", key.field, words, on: rig.loop)
                agent.find(round % 2 == 0 ? .down : .up, key)
                #expect(await rig.comes { (agent.hands.epochs[key] ?? 0) > before })
                // Over more than the two seconds in which somebody who writes is taken for one.
                if round < 4 { try await Task.sleep(for: .milliseconds(600)) }
            }
            #expect(agent.desk.older.isEmpty, "\(agent.desk.older)")
        }
    }

    /// Whoever has the claim is gone, and is not who writes there.
    @Test func `who writes without a claim is named, and not who held the claim last`() async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start("a1", on: rig, pairs: 1, reconcileEvery: .seconds(3_600))
            let key = agent.keys[0]
            #expect(await rig.comes { agent.hands.held == [key] })
            var isUp = false
            let isNamed = await eventually(within: .seconds(60)) {
                guard let before = agent.hands.epochs[key] else { return false }
                let claim = "\(before) 1 0 0 0 0 gone"
                let other = Verdict.sample(.down, peer: key.peer, agent: "old", epoch: before + 1)
                let text = other.json.text
                _ = try? await server.ask("HSET", "muster:claims", key.field, claim, on: rig.loop)
                _ = try? await server.ask("HSET", "muster:verdicts", key.field, text, on: rig.loop)
                isUp.toggle()
                agent.find(isUp ? .up : .down, key)
                _ = await eventually(within: .seconds(5)) {
                    (agent.hands.epochs[key] ?? 0) > before
                }
                return !agent.desk.older.isEmpty
            }
            #expect(isNamed)
            #expect(agent.desk.older.map(\.id) == ["old"])
        }
    }

    /// Each script goes by the lease of whoever calls.
    @Test func `that agents are set otherwise is told`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let every = Nanoseconds.milliseconds(100)
            let first = await Agent.start("a1", on: rig, pairs: 4, reconcileEvery: every)
            let second = await Agent.start(
                "a2",
                on: rig,
                pairs: 4,
                reconcileEvery: every,
                lease: .seconds(5)
            )
            #expect(await rig.comes { !first.hands.held.isEmpty && !second.hands.held.isEmpty })
            let expected = "expected store.lease to be the same at all agents, saw "
            #expect(await rig.comes { rig.lines.contains(expected + "5s at a2 and 3s here") })
            #expect(await rig.comes { rig.lines.contains(expected + "3s at a1 and 5s here") })
            #expect(!rig.lines.contains("store.settle"))
        }
    }

    /// Scripts go on without it, and say nothing.
    @Test func `a user who may not ask for INFO is told so`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            _ = try await connection.command(["ACL", "SETUSER", user, "-info"], timeout: patience)
            let store = RedisStore(
                loop: rig.loop,
                url: url,
                agent: "a1",
                commandTimeout: patience,
                journal: rig.lines.journal
            )
            store.start(Listener())
            let isTold = await rig.comes {
                rig.lines.all.contains {
                    $0.contains("does not allow INFO") && $0.contains("'info'")
                        && $0.contains("Allow +info")
                }
            }
            #expect(isTold, "\(rig.lines.all)")
            #expect(await rig.comes { store.status.isConnected })
            await store.stop()
        }
    }

    /// Neither is another store: orders are not told again for it, nor are pairs claimed anew.
    @Test func `INFO taken from a running agent is told at once, and is no other era`() async throws
    {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            let agent = await Agent.start(
                "a1",
                on: rig,
                url: url,
                pairs: 1,
                reconcileEvery: .milliseconds(100)
            )
            #expect(await rig.comes { agent.hands.held.count == 1 })
            let era = agent.desk.member.membership.era
            for right in ["-info", "+info"] {
                _ = try await connection.command(
                    ["ACL", "SETUSER", user, right],
                    timeout: patience
                )
                // Beats ask once a second which server it is.
                let count = agent.desk.member.membership.signature.count
                #expect(
                    await rig.comes { agent.desk.member.membership.signature.count > count + 10 }
                )
                #expect(agent.desk.member.membership.era == era)
            }
            #expect(rig.lines.all.count { $0.contains("does not allow INFO") } == 1)
            #expect(!rig.lines.all.contains { $0.contains("lost its state") })
        }
    }

    /// Beats pass, and so does a word that only says the same again: neither says that the right is there.
    @Test func `a right that only some calls need is missed until it is given`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            let agent = await Agent.start("a1", on: rig, url: url, pairs: 2)
            #expect(await rig.comes { agent.hands.held.count == 2 })
            for key in agent.keys { agent.find(.up, key) }
            #expect(await rig.comes { agent.store.status.pending == 0 })
            let key = agent.keys[0]
            let before = await text(of: key, rig)
            let entries = try await connection.command(["XLEN", "muster:changes"])
            _ = try await connection.command(["ACL", "SETUSER", user, "-xadd"], timeout: patience)
            agent.find(.down, key)
            let isMissed = await rig.comes {
                agent.store.status.writeError?.contains("'xadd'") == true
            }
            #expect(isMissed)
            let told = agent.store.status.since
            for _ in 0..<3 {
                agent.find(.up, agent.keys[1])
                let count = agent.desk.member.membership.signature.count
                #expect(
                    await rig.comes { agent.desk.member.membership.signature.count > count + 4 }
                )
                let status = agent.store.status
                #expect(!status.isWritable && status.isConnected && status.since == told)
                #expect(status.writeAdvice?.contains("+xadd") == true)
                #expect(agent.desk.refusal != nil)
            }
            #expect(!rig.lines.contains("takes writes again") && !rig.lines.contains("fleet again"))
            // Not half of it, and what is there is nobody else's.
            #expect(await text(of: key, rig) == before)
            let asides = try await connection.command(["KEYS", "muster:*aside*"])
            #expect(asides.array?.isEmpty == true)
            #expect(try await connection.command(["XLEN", "muster:changes"]) == entries)
            _ = try await connection.command(["ACL", "SETUSER", user, "+xadd"], timeout: patience)
            #expect(
                await rig.comes { agent.store.status.isWritable && agent.store.status.pending == 0 }
            )
            #expect(agent.desk.refusal == nil)
            #expect(await text(of: key, rig)?.contains("\"down\"") == true)
            #expect(rig.lines.contains("takes writes again"))
        }
    }

    /// A peer that others have to be asked about would be held as it is for good, and nobody would know why.
    @Test func `a question that may not be sent is a right that is missed`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let user = try #require(url.user)
            let rule = ConfirmRule(agents: 1, quorum: .all)
            let first = await Agent.start("a1", on: rig, url: url, pairs: 30, confirm: rule)
            let second = await Agent.start("a2", on: rig, pairs: 30, confirm: rule)
            #expect(await rig.comes { haveShared(first, second) })
            _ = try await connection.command(["ACL", "SETUSER", user, "-xadd"], timeout: patience)
            let key = try #require(first.hands.held.first)
            #expect(first.fails(key) == .hold)
            #expect(
                await rig.comes { first.store.status.writeError?.contains("'xadd'") == true }
            )
            // As where there is no store: after a lease of that it decides alone, and tells nobody.
            #expect(await rig.comes { first.fails(key) == .count })
            #expect(first.desk.member.unconfirmed == [key])
        }
    }

    /// The next word of the holder meets it: the next reading of everything is an hour away.
    @Test func `what an older agent writes is written over`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start("a1", on: rig, pairs: 1, reconcileEvery: .seconds(3_600))
            let key = agent.keys[0]
            #expect(await rig.comes { agent.hands.held == [key] })
            let epoch = UInt64(max(rig.loop.wall.milliseconds, 0)) + 1_000_000
            let other = Verdict.sample(.down, peer: key.peer, agent: "old", epoch: epoch)
            let text = other.json.text
            _ = try await server.ask("HSET", "muster:verdicts", key.field, text, on: rig.loop)
            var isUp = false
            #expect(
                await eventually(within: .seconds(60)) {
                    isUp.toggle()
                    agent.find(isUp ? .up : .down, key)
                    return await self.text(of: key, rig)?.contains("\"a1\"") == true
                }
            )
        }
    }

    @Test func `what is not found any more is not vouched for, until it is found again`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let agent = await Agent.start("a1", on: rig, pairs: 1)
            let key = agent.keys[0]
            #expect(await rig.comes { agent.hands.held == [key] })
            func isVouched(_ isSo: Bool) async -> Bool {
                await eventually(within: .seconds(60)) {
                    await text(of: key, rig)?.contains("instance") == isSo
                }
            }
            agent.find(.up, key)
            #expect(await isVouched(true))
            agent.find(.up, key, life: .milliseconds(1))
            #expect(await isVouched(false))
            agent.find(.up, key)
            #expect(await isVouched(true))
        }
    }

    /// It was written an hour ago, and has been so ever since.
    @Test func `a word holds for as long as its agent's mark moves on, however old it is`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let first = await Agent.start("a1", on: rig, pairs: 1)
            let key = first.keys[0]
            #expect(await rig.comes { first.hands.held == [key] })
            let long = rig.loop.wall + -.seconds(3_600)
            var old = Verdict.sample(.up, peer: key.peer, at: long, life: .seconds(13))
            old.epoch = first.hands.epochs[key] ?? 0
            let instance = first.desk.member.membership.instance
            for (life, holds) in [(instance, true), (instance &+ 2, false)] {
                let text = old.json.text.dropLast() + ",\"instance\":\"\(life)\"}"
                _ = try await server.ask(
                    "HSET",
                    "muster:verdicts",
                    key.field,
                    String(text),
                    on: rig.loop
                )
                let listener = Listener()
                let reader = await Agent.start(
                    "reader\(life)",
                    on: rig,
                    pairs: 0,
                    listener: listener
                )
                #expect(await rig.comes { listener.verdicts[key] != nil })
                let isFresh = (listener.verdicts[key]?.expiresAt ?? long) > rig.loop.wall
                #expect(isFresh == holds)
                await reader.desk.leave()
            }
        }
    }

    /// As one that stood still has before it, and one that cannot keep up: verdicts are not all read each time.
    @Test func `reading everything again passes over nothing that was not heard yet`() async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let time = try await server.ask("TIME", on: rig.loop)
            let begun = try #require(RedisStore.time(time))
            let listener = Listener()
            let reader = await Agent.start(
                "a1",
                on: rig,
                pairs: 0,
                reconcileEvery: .milliseconds(100),
                listener: listener
            )
            // Each number is known only after everything was looked at again.
            for number in 1...12 {
                _ = try await server.ask("SET", "muster:revision", "\(number)", on: rig.loop)
                #expect(await rig.comes { reader.store.status.revision == UInt64(number) })
            }
            let verdict = Verdict.sample(agent: "other", at: rig.loop.wall, life: .seconds(120))
            _ = try await server.ask(
                "XADD",
                "muster:changes",
                "\(begun.milliseconds)-1",
                "revision",
                "12",
                "kind",
                "verdict",
                "field",
                verdict.key.field,
                "value",
                verdict.json.text,
                "digest",
                "1",
                on: rig.loop
            )
            #expect(await rig.comes { listener.verdicts[verdict.key]?.agent == "other" })
        }
    }

    @Test func `what was read from the state file holds until the store can be heard`() async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            server.kill()
            let verdict = Verdict.sample(agent: "other", at: rig.loop.wall, life: .seconds(120))
            let text = """
                {"format":1,"written_at":1,"intents":{},"verdicts":{"\(verdict.key.field)":\
                \(verdict.json.text)}}
                """
            let path = try rig.folder.write(text, to: "state.json")
            let desk = FleetDesk(FleetDesk.Setting(agent: "a1"), on: rig.loop)
            let store = RedisStore(
                loop: rig.loop,
                url: server.url,
                agent: "a1",
                statePath: path,
                fleet: desk,
                journal: rig.lines.journal
            )
            let listener = Listener()
            store.start(listener)
            #expect(desk.member.membership.knowsOthers, "a word of another lay in the file")
            #expect(listener.verdicts[verdict.key]?.expiresAt == verdict.expiresAt)
            #expect(
                await rig.comes {
                    listener.verdicts[verdict.key].map { $0.expiresAt > verdict.expiresAt } ?? false
                }
            )
            await store.stop()
        }
    }

    /// Killed and started again: within the lease of the life before nobody can tell it from another process.
    @Test func `an agent that was killed waits for its own lease, and for no other process`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let former = await Agent.start("host", on: rig, pairs: 5)
            #expect(await rig.comes { former.hands.held.count == 5 })
            await rig.stop(former.store)
            let listener = Listener()
            let agent = await Agent.start("host", on: rig, pairs: 5, listener: listener)
            #expect(await rig.comes { agent.hands.held.count == 5 })
            #expect(listener.statuses.allSatisfy { $0.twin == nil })
            let words = Set(listener.statuses.compactMap(\.waits))
            #expect(words.contains { $0.contains("for the lease of its former life") }, "\(words)")
            #expect(agent.store.status.waits == nil)
            #expect(!rig.lines.contains("Give each agent an id of its own"))
        }
    }

    @Test func `of two processes with one name the first takes part, and the other after it`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let first = await Agent.start("host", on: rig, pairs: 5)
            #expect(await rig.comes { first.hands.held.count == 5 })
            let second = await Agent.start("host", on: rig, pairs: 5)
            #expect(await rig.comes { second.store.status.twin != nil })
            #expect(await rig.comes { second.desk.reasons == [.store] })
            #expect(second.desk.reasonWords == ["another process speaks for agent 'host'"])
            #expect(second.store.status.waits == nil)
            #expect(second.hands.held.isEmpty)
            #expect(first.store.status.twin == nil)
            await first.desk.leave()
            #expect(await rig.comes { second.hands.held.count == 5 })
            #expect(second.store.status.twin == nil)
        }
    }

    @Test func `a store that lost everything is told by those who probe`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let (first, second) = (
                await Agent.start("a1", on: rig, pairs: 40),
                await Agent.start("a2", on: rig, pairs: 40)
            )
            let server = try #require(rig.server)
            // Who says nothing of a pair for longer than a probe takes loses it again.
            #expect(
                await eventually(within: .seconds(60)) {
                    for agent in [first, second] {
                        for key in agent.hands.held { agent.find(.up, key) }
                    }
                    let count = try? await server.ask("HLEN", "muster:verdicts", on: rig.loop)
                    // Who is there first has everything, until the other has its share.
                    return count == .integer(40) && haveShared(first, second)
                }
            )
            let before = (first.hands.held, second.hands.held)
            for agent in [first, second] { _ = agent.hands.takeGained() }
            _ = try await server.ask("FLUSHALL", on: rig.loop)
            // What an agent held all the time it tells again by itself. Of a pair that went and came back in the midst of
            // it, as one may that was handed over a moment before, it has nothing to tell until it probes it.
            #expect(
                await eventually(within: .seconds(60)) {
                    for agent in [first, second] {
                        for key in agent.hands.takeGained() { agent.find(.up, key) }
                    }
                    let count = try? await server.ask("HLEN", "muster:verdicts", on: rig.loop)
                    return count == .integer(40)
                }
            )
            // On a machine that stands still for a lease in the midst of it, pairs go and come back.
            let areAsBefore = await rig.comes {
                first.hands.held == before.0 && second.hands.held == before.1
            }
            #expect(areAsBefore, "\(first.hands.held.count) and \(second.hands.held.count)")
        }
    }

    /// Beats tell of the new era; the next reading of everything is minutes away here.
    @Test func `a store that lost everything has the orders again with the next beat`() async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let agent = await Agent.start("a1", on: rig, pairs: 3, reconcileEvery: .seconds(600))
            #expect(await rig.comes { agent.hands.held.count == 3 })
            let server = try #require(rig.server)
            let peer = PeerKey(upstream: "web", peer: "p1")
            try await agent.store.change(IntentChange(mode: .init(.drain)), of: peer)
            try await agent.store.change(IntentChange(weight: .init(7)), of: peer)
            // What was lifted must not come back with an agent that slept.
            let other = PeerKey(upstream: "web", peer: "p2")
            try await agent.store.change(IntentChange(mode: .init(.maint)), of: other)
            try await agent.store.change(IntentChange(mode: .init(nil)), of: other)
            // Redis writes members in an order of its own.
            func asked(of peer: PeerKey) async -> [String] {
                let held = try? await server.ask("HGET", "muster:intents", peer.field, on: rig.loop)
                return (held?.text ?? "").split { "{,}".contains($0) }.map(String.init).sorted()
            }
            let before = (await asked(of: peer), await asked(of: other))
            #expect(before.0.contains("\"mode\":\"drain\"") && !before.1.isEmpty)
            _ = try await server.ask("FLUSHALL", on: rig.loop)
            var after = ([String](), [String]())
            let areBack = await eventually(within: .seconds(60)) {
                after = (await asked(of: peer), await asked(of: other))
                return after == before
            }
            #expect(areBack, "\(after), \(rig.lines.all)")
        }
    }

    /// A copy of the state has its name, and the mark of its hash, and no lower revision.
    @Test func `what another server lacks was not lifted there`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let folder = try TemporaryDirectory()
            let copy = try RedisServer(
                tcp: true,
                in: folder,
                extra: ["--enable-debug-command", "yes"]
            )
            defer { copy.kill() }
            #expect(await copy.isReady(on: rig.loop))
            let store = RedisStore(
                loop: rig.loop,
                url: copy.url,
                agent: "a1",
                commandTimeout: patience,
                reconcileEvery: .milliseconds(50)
            )
            let listener = Listener()
            try await rig.begin(store, with: listener)
            let (kept, lifted) = (
                PeerKey(upstream: "web", peer: "p1"), PeerKey(upstream: "web", peer: "p2")
            )
            for peer in [kept, lifted] {
                try await store.change(IntentChange(mode: .init(.drain)), of: peer)
            }
            func isThere(_ peer: PeerKey) async -> Bool {
                (try? await copy.ask("HEXISTS", "muster:intents", peer.field, on: rig.loop))
                    == .integer(1)
            }
            // Its hash is whole: what somebody takes out of it there is lifted.
            #expect(
                await eventually(within: .seconds(60)) {
                    let mark = try? await copy.ask("HGET", "muster:intents", "#", on: rig.loop).text
                    return mark?.hasPrefix("?") == false
                }
            )
            _ = try await copy.ask("HDEL", "muster:intents", lifted.field, on: rig.loop)
            #expect(await rig.comes { listener.intents[lifted] == nil })
            // The same field is missing, and it is another server.
            let connection = try await copy.connect(on: rig.loop)
            defer { connection.close() }
            _ = try await connection.pipeline(
                [
                    ["MULTI"], ["HDEL", "muster:intents", kept.field], ["DEBUG", "CHANGE-REPL-ID"],
                    ["EXEC"],
                ],
                timeout: patience
            )
            #expect(await eventually(within: .seconds(60)) { await isThere(kept) })
            #expect(listener.intents[kept]?.mode == .drain)
            let isBack = await isThere(lifted)
            #expect(!isBack)
            await store.stop()
        }
    }

    @Test func `a failure that others are asked about is voted on`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let rule = ConfirmRule(agents: 1, quorum: .all)
            let first = await Agent.start("a1", on: rig, pairs: 30, confirm: rule)
            let second = await Agent.start("a2", on: rig, pairs: 30, confirm: rule)
            #expect(await rig.comes { haveShared(first, second) })
            let key = try #require(first.hands.held.first)
            #expect(first.fails(key) == .hold)
            #expect(await rig.comes { second.hands.looks == [key] })
            second.answers(key, passes: false)
            #expect(await rig.comes { first.hands.falls == [key] })
            // Whoever is asked for it can show it, with what each saw: the holder says so beside its beats.
            let told = FleetReport.Question(
                key: key,
                votes: [
                    .init(agent: "a1", status: "fails", reason: "L7STS"),
                    .init(agent: "a2", status: "fails", reason: "L4TOUT"),
                ],
                confirmed: "2 of 2",
                isLost: false
            )
            #expect(
                await eventually(within: .seconds(60)) {
                    let heard = await second.store.agents()?.first { $0.id == "a1" }?.questions
                    guard var question = heard?.first, question.votes.count == 2 else {
                        return false
                    }
                    let at = question.votes[1].at
                    question.votes[1].at = nil
                    return question == told && at != nil
                }
            )
        }
    }

    /// From Redis may come anything.
    @Test func `of what agents were asked only what an agent would write is believed`() throws {
        func question(_ text: String) throws -> FleetReport.Question? {
            FleetReport.Question(json: try JSON(parsing: Array(text.utf8)))
        }
        let key = VerdictKey(upstream: "web", peer: "a", monitor: "http")
        let told = FleetReport.Question(
            key: key,
            votes: [
                .init(
                    agent: "a1",
                    status: "fails",
                    reason: "L4CON",
                    at: WallTime(milliseconds: 1_795_000_000_123)
                ),
                .init(agent: "a2", status: nil),
            ],
            confirmed: nil,
            isLost: true
        )
        #expect(FleetReport.Question(json: told.json) == told)
        #expect(try question(#"{"pair":"web|a"}"#) == nil)
        #expect(try question(#"{"pair":7,"votes":[]}"#) == nil)
        let odd = try question(
            #"{"pair":"web|a|http","votes":[{"agent":"a\u001b[2J"},{"agent":"x","status":"maybe","reason":"\u001b"},7],"lost":"no"}"#
        )
        #expect(odd?.votes == [.init(agent: "x", status: nil)])
        #expect(odd?.isLost == false)
    }

    /// Each pod of a cluster has a name of its own, and leaves it behind.
    @Test func `who has been silent for a day is forgotten, and who was here an hour ago is not`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let hour = rig.loop.wall + -.seconds(3_600)
            let lately = "7 1 working 1.0 1 \(hour.milliseconds) 1 0 sure - 0 0"
            for (id, life) in [("old", "7 1 working 1.0 1 1 1 0 sure - 0 0"), ("lately", lately)] {
                _ = try await server.ask("HSET", "muster:fleet", "@\(id)", life, on: rig.loop)
                _ = try await server.ask("HSET", "muster:about", id, "{}", on: rig.loop)
                _ = try await server.ask("XADD", "muster:to:\(id)", "*", "a", "b", on: rig.loop)
            }
            let agent = await Agent.start("a1", on: rig, pairs: 1)
            #expect(await rig.comes { agent.hands.held.count == 1 })
            for (id, isKept) in [("old", RedisReply.integer(0)), ("lately", .integer(1))] {
                #expect(
                    try await server.ask("HEXISTS", "muster:fleet", "@\(id)", on: rig.loop)
                        == isKept
                )
                #expect(try await server.ask("HEXISTS", "muster:about", id, on: rig.loop) == isKept)
                #expect(try await server.ask("EXISTS", "muster:to:\(id)", on: rig.loop) == isKept)
            }
            #expect(await agent.store.agents()?.map(\.id) == ["a1", "lately"])
        }
    }

    @Test func `the rights that the documents name suffice for sharing`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let url = try await server.urlWithDocumentedRights(connection)
            let desk = FleetDesk(
                FleetDesk.Setting(agent: "a1"),
                on: rig.loop,
                journal: rig.lines.journal
            )
            let store = RedisStore(
                loop: rig.loop,
                url: url,
                agent: "a1",
                fleet: desk,
                commandTimeout: patience,
                reconcileEvery: .milliseconds(100),
                journal: rig.lines.journal
            )
            let hands = NotingHands()
            desk.hands = hands
            let verdict = Verdict.sample()
            _ = desk.define(
                PairPlan(
                    key: verdict.key,
                    schedule: Schedule(interval: .seconds(60), timeout: .seconds(60))
                )
            )
            store.start(Listener())
            #expect(await rig.comes { hands.held == [verdict.key] })
            // Also what only strange things bring about.
            for command in [
                ["SET", "muster:changes", "x"], ["SET", "muster:revision", "x"],
                ["SET", "muster:to:a1", "x"],
            ] {
                _ = try await connection.command(command)
            }
            store.publish(verdict, isTransition: true)
            #expect(await rig.comes { store.status.pending == 0 })
            desk.announce(FleetSign(peer: verdict.key.peerKey, status: "pass", message: ""))
            #expect(await store.agents()?.map(\.id) == ["a1"])
            await desk.leave()
            await store.stop()
            #expect(!rig.lines.all.contains { $0.contains("NOPERM") }, "\(rig.lines.all)")
        }
    }

    @Test func `a newer format is left alone and named, an older one is taken over`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            _ = try await server.ask("HSET", "muster:fleet", "format", "9", on: rig.loop)
            let agent = await Agent.start("a1", on: rig, pairs: 1)
            #expect(await rig.comes { agent.desk.reasonWords.contains { $0.contains("format 9") } })
            #expect(rig.lines.all.contains { $0.contains("a newer muster is there") })
            let told = agent.store.status
            #expect(
                told.fleetError?.contains("this one takes no part until it is upgraded") == true
            )
            #expect(told.isConnected && told.asOf != nil)
            // Nothing follows from that nobody is heard: what others found stays as it was.
            #expect(!agent.store.isHearing)
            let key = try await server.ask("HGET", "muster:fleet", "@a1", on: rig.loop)
            #expect(key == .null)
            // As the version before left it.
            let lines = ["format", "2", "era", "7", "replid", "x", "swept", "0"]
            let connection = try await server.connect(on: rig.loop)
            _ = try await connection.command(["HSET", "muster:fleet"] + lines, timeout: patience)
            _ = try await connection.command(["SET", "muster:roster", "x"], timeout: patience)
            connection.close()
            #expect(await rig.comes { agent.desk.vouches && agent.hands.held.count == 1 })
            #expect(agent.desk.reasonWords.isEmpty)
            #expect(agent.store.status.fleetError == nil && agent.store.status.asOf == nil)
            #expect(rig.lines.contains("knows again: it takes part"))
            let format = try await server.ask("HGET", "muster:fleet", "format", on: rig.loop)
            #expect(format.text == "3")
            #expect(try await server.ask("EXISTS", "muster:roster", on: rig.loop) == .integer(0))
        }
    }

    @Test func `what is none of ours in the fleet's keys is counted and told of`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let agent = await Agent.start("a1", on: rig, pairs: 1)
            let key = agent.keys[0]
            #expect(await rig.comes { agent.hands.held == [key] })
            for words in [
                ["HSET", "muster:fleet", "@ghost", "{}", "what", "is that"],
                ["HSET", "muster:claims", key.field, "what is that"],
                ["XADD", "muster:to:a1", "*", "a", "b"],
            ] {
                let connection = try await server.connect(on: rig.loop)
                _ = try await connection.command(words, timeout: patience)
                connection.close()
            }
            agent.find(.up, key)
            #expect(await rig.comes { agent.store.status.ignored == 4 })
            for part in [
                "muster:fleet '", "is no line of the fleet's; removed, as was 1 beside it",
                "muster:claims 'web|p0|http' was no claim; claimed anew",
                "muster:to:a1 'a' is no letter",
            ] {
                #expect(rig.lines.all.contains { $0.contains(part) }, "\(part): \(rig.lines.all)")
            }
            // It was probed all the time, and its word is written.
            #expect(
                await eventually(within: .seconds(60)) {
                    await text(of: key, rig)?.contains(#""agent":"a1""#) == true
                }
            )
            #expect(agent.hands.stops == 0)
        }
    }

    /// A value that is none of ours keeps nobody from taking part.
    @Test(arguments: [
        ["HSET", "muster:fleet", "@a1", "{}"],
        ["HSET", "muster:fleet", "@a2", "1 2 working x y"],
        ["HSET", "muster:fleet", "@a2", "1 2 working 1 3 999999999999999 5 0 sure 1 0 0"],
        [
            "HSET", "muster:fleet", "look", "99999999999999", "late", "[", "doubting", "{}", "size",
            "7",
        ],
        ["HSET", "muster:fleet", "era", "9e99", "roster", "nan", "last", "9007199254740992"],
        ["HSET", "muster:claims", "web|p0|http", "what is that"],
        ["HSET", "muster:claims", "web|p0|http", "99999999999999999999999 1 2 3 4 5 x"],
        ["HSET", "muster:verdicts", "web|p0|http", #"{"epoch":1e300,"sequence":1e300}"#],
        ["SET", "muster:claims", "somebody's"],
        ["SET", "muster:about", "somebody's"],
        ["SET", "muster:to:a1", "somebody's"],
        ["SET", "muster:fleet", "somebody's"],
    ])
    func `hostile values in the fleet's keys keep nobody from probing`(
        _ words: [String]
    ) async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            _ = try await connection.command(words, timeout: patience)
            connection.close()
            let agent = await Agent.start("a1", on: rig, pairs: 3)
            #expect(await rig.comes { agent.hands.held.count == 3 })
            for key in agent.keys { agent.find(.up, key) }
            #expect(
                await eventually(within: .seconds(60)) {
                    guard
                        let held = try? await server.ask(
                            "HGET",
                            "muster:verdicts",
                            "web|p0|http",
                            on: rig.loop
                        ).text
                    else { return false }
                    return held.contains(#""agent":"a1""#)
                }
            )
        }
    }
}

/// One process, as far as the fleet is concerned. Confined to its loop's thread.
private final class Agent {
    let desk: FleetDesk
    let store: RedisStore
    let hands = NotingHands()
    let keys: [VerdictKey]
    private let loop: EventLoop
    private var sequence: UInt64 = 0

    private init(_ desk: FleetDesk, _ store: RedisStore, keys: [VerdictKey], on loop: EventLoop) {
        self.desk = desk
        self.store = store
        self.keys = keys
        self.loop = loop
    }

    static func start(
        _ id: String,
        on rig: StoreRig,
        url: RedisURL? = nil,
        pairs: Int,
        confirm: ConfirmRule = ConfirmRule(),
        reconcileEvery: Nanoseconds = RedisStore.reconcileEveryDefault,
        lease: Nanoseconds = .seconds(3),
        listener: Listener = Listener()
    ) async -> Agent {
        var setting = FleetDesk.Setting(agent: id)
        setting.terms.settle = .milliseconds(200)
        setting.terms.lease = lease
        let desk = FleetDesk(setting, on: rig.loop, journal: rig.lines.journal)
        let made = rig.make(agent: id, url: url, fleet: desk, reconcileEvery: reconcileEvery)
        guard let store = made as? RedisStore else {
            preconditionFailure("expected a store in Redis")
        }
        let keys = (0..<pairs).map {
            VerdictKey(upstream: "web", peer: "p\($0)", monitor: "http")
        }
        let agent = Agent(desk, store, keys: keys, on: rig.loop)
        desk.hands = agent.hands
        agent.hands.desk = desk
        for key in keys {
            // Nobody goes by a mark here: only a letter or a claim moves a pair.
            _ = desk.define(
                PairPlan(
                    key: key,
                    schedule: Schedule(interval: .seconds(60), timeout: .seconds(60)),
                    confirm: confirm
                )
            )
        }
        try? await rig.begin(store, with: listener)
        return agent
    }

    func find(
        _ status: HealthCounter.Status,
        _ key: VerdictKey,
        health: Int = 3,
        life: Nanoseconds = .seconds(60)
    ) {
        sequence += 1
        var verdict = Verdict.sample(
            status,
            peer: key.peer,
            agent: desk.setting.agent,
            epoch: hands.epochs[key] ?? 0,
            sequence: sequence,
            life: life
        )
        verdict.health = status == .up ? health : 0
        store.publish(verdict, isTransition: true)
    }

    /// Its first failure, which would take the peer down.
    func fails(_ key: VerdictKey) -> Ruling? {
        let thresholds = Thresholds(rise: 1, fall: 1)
        guard let pair = desk.member.number(of: key) else { return nil }
        let now = loop.instant
        return desk.outcome(
            .fails(silent: false, immediate: false),
            of: pair,
            because: .layer7Status,
            counter: HealthCounter(thresholds: thresholds, resuming: .up, health: 1),
            begun: now,
            at: now
        )
    }

    func answers(_ key: VerdictKey, passes: Bool) {
        guard let pair = desk.member.number(of: key) else { return }
        let now = loop.instant
        desk.found(
            passes ? .passes : .fails(silent: false, immediate: false),
            of: pair,
            because: passes ? .layer7OK : .layer4Timeout,
            begun: now,
            at: now
        )
    }
}

/// Each has what it ranks first for, and knows of all: nothing is about to change hands.
private func haveShared(_ agents: Agent...) -> Bool {
    let ids = Set(agents.map(\.desk.setting.agent))
    return agents.allSatisfy { agent in
        agent.keys.allSatisfy { key in
            guard let pair = agent.desk.number(of: key) else { return false }
            let rank = agent.desk.member.rank(of: pair)
            return Set(rank) == ids
                && agent.hands.held.contains(key) == (rank.first == agent.desk.setting.agent)
        }
    }
}

private final class NotingHands: FleetHands {
    weak var desk: FleetDesk?
    private(set) var held: Set<VerdictKey> = []
    private var gained: Set<VerdictKey> = []
    private(set) var epochs: [VerdictKey: UInt64] = [:]
    private(set) var resumed: [VerdictKey: Verdict] = [:]
    private(set) var stops = 0
    private(set) var looks: [VerdictKey] = []
    private(set) var falls: [VerdictKey] = []
    private(set) var signs: [FleetSign] = []

    /// Pairs that have become this agent's since this was asked last, and are.
    func takeGained() -> Set<VerdictKey> {
        defer { gained = [] }
        return gained.intersection(held)
    }

    func begin(_ key: VerdictKey, from: WallTime, epoch: UInt64, resuming: Verdict?) {
        if held.insert(key).inserted { gained.insert(key) }
        epochs[key] = epoch
        resumed[key] = resuming
    }
    func stop(_ key: VerdictKey, at time: WallTime) {
        held.remove(key)
        stops += 1
    }
    func look(_ key: VerdictKey) { looks.append(key) }
    func observe(_ key: VerdictKey, after offset: Nanoseconds?) {}
    func fall(_ key: VerdictKey) { falls.append(key) }
    func signed(_ sign: FleetSign) { signs.append(sign) }
    func lag(at now: Instant) -> Nanoseconds { .zero }
    func orphans(at now: Moment) -> [VerdictKey] { [] }
    func lateness(at now: Instant) -> Nanoseconds { .zero }
}

extension Lines {
    func contains(_ words: String) -> Bool { all.contains { $0.contains(words) } }
}
