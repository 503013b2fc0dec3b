// Do two operators who ask for different things of one peer both get them, whatever the order in which
// stores hear of it?

import EventLoop
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct IntentRecordTests {
    private static let changes: [(IntentChange, Int64)] = [
        (IntentChange(mode: .init(.drain, reason: "deploy", by: "ann")), 1),
        (IntentChange(weight: .init(5, by: "bob")), 2),
        (IntentChange(mode: .init(nil)), 3),
        (IntentChange(mode: .init(.maint, until: WallTime(milliseconds: 99)), weight: .init(7)), 4),
        (IntentChange(weight: .init(nil)), 5),
    ]

    private static func record(_ order: [Int]) -> Asked<Intent> {
        var record = Asked<Intent>()
        for index in order {
            record.take(changes[index].0, at: WallTime(milliseconds: changes[index].1))
        }
        return record
    }

    @Test func `any order of the same changes ends the same`() {
        let all = permutations(Array(Self.changes.indices))
        #expect(all.count == 120)
        let expected = Self.record([0, 1, 2, 3, 4])
        #expect(expected.wish == Intent(mode: .maint, until: WallTime(milliseconds: 99)))
        for order in all { #expect(Self.record(order) == expected, "\(order)") }
    }

    @Test func `two who merge end the same, whoever begins`() {
        for mask in 0..<32 {
            let left = Self.record((0..<5).filter { mask >> $0 & 1 == 1 })
            let right = Self.record((0..<5).filter { mask >> $0 & 1 == 0 })
            var one = left
            one.merge(right)
            var two = right
            two.merge(left)
            #expect(one == two)
            #expect(one == Self.record([0, 1, 2, 3, 4]))
            #expect(!one.isAhead(of: two))
        }
    }

    @Test func `what is written is read back`() throws {
        for mask in 0..<32 {
            let record = Self.record((0..<5).filter { mask >> $0 & 1 == 1 })
            #expect(Asked<Intent>(json: record.json) == record)
        }
    }

    @Test func `what older versions wrote has one time for both`() throws {
        let json = try JSON(
            parsing: Array(#"{"mode":"drain","reason":"x","weight":5,"set_at":1000}"#.utf8)
        )
        let record = try #require(Asked<Intent>(json: json))
        #expect(record.wish == Intent(mode: .drain, reason: "x", weight: 5))
        #expect(record.parts[0].at == WallTime(milliseconds: 1_000))
        #expect(record.parts[1].at == WallTime(milliseconds: 1_000))
    }

    @Test(arguments: [
        #"{"mode":"drian","mode_at":1,"weight_at":1}"#, #"{"mode":"drain","mode_at":"now"}"#,
        #"{"mode":"drain","mode_at":-1,"weight_at":1}"#,
        #"{"mode":"drain","mode_at":9223372036854775807,"weight_at":1}"#,
        #"{"weight":257,"set_at":1}"#, #"{"weight":-1,"set_at":1}"#, "[]",
        #"{"mode":"drain","until":"soon","set_at":1}"#,
        #"{"mode":"drain","until":9223372036854775807,"set_at":1}"#,
    ])
    func `what makes no sense is no intent`(text: String) throws {
        #expect(Asked<Intent>(json: try JSON(parsing: Array(text.utf8))) == nil)
    }

    @Test func `what was lifted is remembered for seven days, and what holds for ever`() {
        let day = Nanoseconds.seconds(86_400)
        let then = WallTime(milliseconds: 1_000_000)
        let lifted = Asked<Intent>(IntentChange(mode: .init(nil)), at: then)
        #expect(!lifted.isOver(at: then + day * 7))
        #expect(lifted.isOver(at: then + day * 7 + .milliseconds(1)))
        let held = Asked<Intent>(IntentChange(weight: .init(3)), at: then)
        #expect(!held.isOver(at: then + day * 10_000))
        let ending = Asked<Intent>(IntentChange(mode: .init(.drain, until: then + day)), at: then)
        #expect(!ending.isOver(at: then + day * 8))
        #expect(ending.isOver(at: then + day * 8 + .milliseconds(1)))
    }

    private func permutations(_ items: [Int]) -> [[Int]] {
        if items.count < 2 { return [items] }
        return items.flatMap { first in
            permutations(items.filter { $0 != first }).map { [first] + $0 }
        }
    }
}

@Suite struct IntentMergeTests {
    let peer = PeerKey(upstream: "web", peer: "127.0.0.1:9001")

    /// The script and the value are two writings of one rule.
    @Test func `Redis merges as we do`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            var dice = Dice(seed: 11)
            let modes: [Intent.Mode?] = [nil, .ready, .drain, .maint]
            for round in 0..<200 {
                let field = "web|p\(round % 4)"
                var record = Asked<Intent>()
                _ = try await connection.command(
                    ["HDEL", "muster:intents", field],
                    timeout: patience
                )
                for _ in 0..<6 {
                    var change = IntentChange()
                    if Bool.random(using: &dice) {
                        let mode = modes[Int.random(in: 0..<4, using: &dice)]
                        let until = WallTime(milliseconds: .random(in: 1...9, using: &dice))
                        change.mode = .init(
                            mode,
                            reason: Bool.random(using: &dice) ? "why" : "",
                            until: Bool.random(using: &dice) ? until : nil
                        )
                    }
                    if Bool.random(using: &dice) {
                        let weight = Int.random(in: -1...4, using: &dice)
                        change.weight = .init(weight < 0 ? nil : weight, reason: "w")
                    }
                    let at = WallTime(milliseconds: .random(in: 1...20, using: &dice))
                    record.take(change, at: at)
                    let reply = try await connection.command(
                        [
                            "EVAL", RedisScript.ask.source(of: Intent.sort), "3", "muster:intents",
                            "muster:revision", "muster:changes", field,
                            AskedChange(change, of: Intent.self, at: at).json.text,
                        ],
                        timeout: patience
                    )
                    let text = try #require(reply.text)
                    let merged = try #require(
                        Asked<Intent>(json: try JSON(parsing: Array(text.utf8)))
                    )
                    #expect(merged == record, "round \(round): \(text)")
                }
            }
        }
    }

    @Test(arguments: [false, true])
    func `a weight and a drain at once are both kept`(throughTwo: Bool) async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let (one, heard) = await rig.start(agent: "a1")
            let two = throughTwo ? await rig.start(agent: "a2").0 : one
            let stores = (LoopBound(one, on: rig.loop), LoopBound(two, on: rig.loop))
            for round in 1...200 {
                let drain = IntentChange(mode: .init(round % 2 == 0 ? .drain : .maint))
                let weight = IntentChange(weight: .init(round % 256))
                let loop = rig.loop
                async let first = Task(executorPreference: loop) {
                    try await stores.0.value.change(drain, of: peer)
                }.value
                async let second = Task(executorPreference: loop) {
                    try await stores.1.value.change(weight, of: peer)
                }.value
                let reach = try await [first, second]
                #expect(reach == [.everywhere, .everywhere])
                let expected = Intent(
                    mode: round % 2 == 0 ? .drain : .maint,
                    weight: round % 256
                )
                #expect(
                    await rig.comes { heard.intents[peer] == expected }
                )
            }
        }
    }

    @Test func `written by hand, an intent needs no time`() throws {
        let json = try JSON(parsing: Array(#"{"mode":"drain"}"#.utf8))
        let record = try #require(Asked<Intent>(json: json))
        #expect(record.wish == Intent(mode: .drain))
        #expect(record.parts[0].at == StampTime.never)
    }

    /// Both agents heard of it, and neither may bring it back.
    @Test func `what a wrong clock stamped is lifted for good`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let ahead = (Clock.wall() + .seconds(3_600)).milliseconds
            let stamps = #""mode_at":\#(ahead),"weight_at":\#(ahead)"#
            _ = try await server.ask(
                "HSET",
                "muster:intents",
                peer.field,
                #"{"mode":"drain","weight":7,\#(stamps)}"#,
                "#",
                "1",
                on: rig.loop
            )
            let (one, heard) = await rig.start(agent: "a1", reconcileEvery: .seconds(1))
            let (two, other) = await rig.start(agent: "a2", reconcileEvery: .seconds(1))
            #expect(heard.intents[peer] == Intent(mode: .drain, weight: 7))
            #expect(other.intents[peer] == Intent(mode: .drain, weight: 7))
            try await one.change(IntentChange(mode: .init(nil)), of: peer)
            let lifted = Intent(weight: 7)
            #expect(await rig.comes { other.intents[peer] == lifted })
            // Whatever else is asked for through the other agent leaves it lifted.
            try await two.change(IntentChange(weight: .init(3)), of: peer)
            #expect(
                await rig.comes { heard.intents[peer] == Intent(weight: 3) }
            )
            #expect(await rig.reopened().intents[peer] == Intent(weight: 3))
        }
    }

    @Test(arguments: ["x", "9223372036854775807"])
    func `a revision that somebody else wrote is mended by the next write`(
        text: String
    ) async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let (store, listener) = await rig.start(agent: "a1")
            _ = try await server.ask("SET", "muster:revision", text, on: rig.loop)
            _ = try await server.ask("SET", "muster:changes", "foreign", on: rig.loop)
            let reach = try await store.change(IntentChange(mode: .init(.drain)), of: peer)
            #expect(reach == .everywhere)
            #expect(listener.intents[peer]?.mode == .drain)
            let revision = try await server.ask("GET", "muster:revision", on: rig.loop)
            #expect(revision.text == "1")
        }
    }

    @Test func `a drain of an agent whose clock is ahead can be lifted by any other`() async throws
    {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let ahead = Clock.wall() + .seconds(3_600)
            _ = try await server.ask(
                "HSET",
                "muster:intents",
                peer.field,
                #"{"mode":"drain","set_at":\#(ahead.milliseconds)}"#,
                on: rig.loop
            )
            let (store, listener) = await rig.start(agent: "a1")
            #expect(listener.intents[peer]?.mode == .drain)
            try await store.change(IntentChange(mode: .init(nil)), of: peer)
            #expect(listener.intents[peer] == nil)
            #expect(await rig.reopened().intents[peer] == nil)
        }
    }

    /// It was set back since by an hour. The agent that comes holds what was lifted before, and has not heard.
    @Test func `what was asked for by a clock that was ahead is not undone by what is older`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let path = rig.folder.path("late.json")
            let (late, _) = await rig.start(agent: "a1", state: path)
            try await late.change(IntentChange(mode: .init(.maint)), of: peer)
            try await late.change(IntentChange(mode: .init(nil)), of: peer)
            await rig.stop(late)
            let ahead = (Clock.wall() + .seconds(3_600)).milliseconds
            _ = try await server.ask(
                "HSET",
                "muster:intents",
                peer.field,
                #"{"mode":"drain","mode_at":\#(ahead),"weight_at":0}"#,
                on: rig.loop
            )
            let (back, heard) = await rig.start(
                agent: "a1",
                state: path,
                reconcileEvery: .milliseconds(100)
            )
            #expect(await rig.comes { heard.intents[peer]?.mode == .drain })
            #expect(await rig.comes { back.status.pending == 0 })
            #expect(await rig.reopened().intents[peer]?.mode == .drain)
            // What is asked for now is later all the same, and says so.
            try await back.change(IntentChange(mode: .init(.maint)), of: peer)
            let value = try await server.ask("HGET", "muster:intents", peer.field, on: rig.loop)
            let json = try JSON(parsing: Array((value.text ?? "").utf8))
            #expect(json["mode"]?.string == "maint")
            #expect(json["mode_at"]?.integer == ahead + 1)
        }
    }

    @Test
    func `what is asked for while Redis takes no writes is later than what its clock stamped`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let ahead = (Clock.wall() + .seconds(3_600)).milliseconds
            _ = try await server.ask(
                "HSET",
                "muster:intents",
                peer.field,
                #"{"mode":"drain","mode_at":\#(ahead),"weight_at":0}"#,
                on: rig.loop
            )
            let (store, heard) = await rig.start(agent: "a1")
            #expect(heard.intents[peer]?.mode == .drain)
            let setting = "min-replicas-to-write"
            _ = try await server.ask("CONFIG", "SET", setting, "1", on: rig.loop)
            let reach = try await store.change(IntentChange(mode: .init(nil)), of: peer)
            #expect(reach != .everywhere)
            #expect(heard.intents[peer] == nil)
            _ = try await server.ask("CONFIG", "SET", setting, "0", on: rig.loop)
            #expect(await rig.comes { store.status.pending == 0 })
            #expect(await rig.reopened().intents[peer] == nil)
        }
    }

    @Test func `what was lifted while Redis was away stays lifted`() async throws {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let (one, _) = await rig.start(agent: "a1")
            let (two, heard) = await rig.start(agent: "a2")
            try await one.change(IntentChange(mode: .init(.drain), weight: .init(3)), of: peer)
            #expect(await rig.comes { heard.intents[peer] != nil })
            server.kill()
            for store in [one, two] {
                #expect(await rig.comes { !store.status.isConnected })
            }
            // The other one still knows the drain, and will tell an empty Redis of it.
            try await one.change(IntentChange(mode: .init(nil)), of: peer)
            try server.restart()
            for store in [one, two] {
                #expect(
                    await eventually(within: .seconds(30)) {
                        store.status.isConnected && store.status.pending == 0
                    }
                )
            }
            #expect(
                await eventually(within: .seconds(30)) {
                    heard.intents[peer] == Intent(weight: 3)
                }
            )
            #expect(await rig.reopened().intents[peer] == Intent(weight: 3))
        }
    }

    @Test func `an evicted hash of intents lifts nothing`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let (store, listener) = await rig.start(agent: "a1", reconcileEvery: .seconds(1))
            try await store.change(IntentChange(mode: .init(.drain)), of: peer)
            _ = try await server.ask("DEL", "muster:intents", on: rig.loop)
            #expect(
                await eventually(within: .seconds(30)) {
                    let held = try? await server.ask("HLEN", "muster:intents", on: rig.loop)
                    let mark = try? await server.ask("HGET", "muster:intents", "#", on: rig.loop)
                    return held == .integer(2) && mark?.text?.hasPrefix("?") == false
                },
                "the drain, and the mark of a whole hash"
            )
            #expect(listener.intents[peer]?.mode == .drain)
            #expect(!listener.askings.contains(Asking(peer, nil)))
            #expect(rig.lines.all.contains { $0.contains("has lost muster:intents whole") })
            // Taken out by hand it is lifted, as before.
            _ = try await server.ask("HDEL", "muster:intents", peer.field, on: rig.loop)
            #expect(await rig.comes { listener.intents[peer] == nil })
        }
    }

    @Test func `what has no end need not be told again`() {
        let now = WallTime(milliseconds: 1_000_000)
        var ending = Intent(mode: .drain)
        ending.until = now + .seconds(600)
        #expect(Asked<Intent>(IntentChange(whole: ending), at: now).hasEnd)
        #expect(!Asked<Intent>(IntentChange(whole: Intent(mode: .drain)), at: now).hasEnd)
    }
}
