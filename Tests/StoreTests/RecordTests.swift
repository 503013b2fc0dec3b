// Is a new sort of record one file and one line? Here are two that muster does not have, and they do all
// that verdicts and intents do.

import EventLoop
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

/// A route, as the API could make it: one register, of no upstream.
private struct Lane: Wish {
    struct Key: RecordKey {
        var id: String
        var field: String { Field.join([id]) }
        init(_ id: String) { self.id = id }
        init?(field: String) {
            let parts = Field.split(field)
            guard parts.count == 1 else { return nil }
            id = parts[0]
        }
        var owner: String? { nil }
        static func pattern(of owner: String) -> String? { nil }
    }

    var upstream: String
    var path: String

    static let sort = RecordSort(
        name: "lane",
        collection: "lanes",
        names: "lane",
        ledgerKind: 250,
        rule: .merged([Register("upstream", ["path"])])
    )

    init(_ upstream: String, path: String = "/") {
        self.upstream = upstream
        self.path = path
    }

    init?(parts: [JSON]) {
        guard let upstream = parts.first?["upstream"]?.string,
            let path = parts.first?["path"]?.string
        else { return nil }
        self.init(upstream, path: path)
    }

    var parts: [JSON] { [["upstream": .string(upstream), "path": .string(path)]] }
    static func parts(of change: Lane?) -> [JSON?] { [change?.parts[0] ?? .null] }
}

/// A peer that was added while muster ran: it belongs to its upstream, whose revision counts it.
private struct Recruit: Wish {
    typealias Key = PeerKey
    var address: String

    static let sort = RecordSort(
        name: "recruit",
        collection: "recruits",
        names: "peer",
        ledgerKind: 251,
        rule: .merged([Register("address")])
    )

    init(_ address: String) { self.address = address }

    init?(parts: [JSON]) {
        guard let address = parts.first?["address"]?.string else { return nil }
        self.init(address)
    }

    var parts: [JSON] { [["address": .string(address)]] }
    static func parts(of change: Recruit?) -> [JSON?] { [change?.parts[0] ?? .null] }
}

/// A lease: one agent says it, again and again.
private struct Lease: FencedRecord {
    var key: Lane.Key
    var agent: String
    var epoch: UInt64 = 1
    var sequence: UInt64
    var checkedAt: WallTime
    var expiresAt: WallTime
    var weight = 1

    static let sort = RecordSort(
        name: "lease",
        collection: "leases",
        names: "agent",
        rule: .fenced(silent: ["checked_at", "expires_at", "sequence"])
    )

    var json: JSON {
        [
            "agent": .string(agent), "epoch": .integer(Int64(epoch)),
            "sequence": .integer(Int64(sequence)), "checked_at": .integer(checkedAt.milliseconds),
            "expires_at": .integer(expiresAt.milliseconds), "weight": JSON(weight),
        ]
    }

    static func read(_ json: JSON, of key: Lane.Key) -> Lease? {
        guard let agent = json["agent"]?.string, let epoch = json["epoch"]?.integer,
            let sequence = json["sequence"]?.integer, let checked = json["checked_at"]?.integer,
            let expires = json["expires_at"]?.integer, let weight = json["weight"]?.int
        else { return nil }
        return Lease(
            key: key,
            agent: agent,
            epoch: UInt64(clamping: epoch),
            sequence: UInt64(clamping: sequence),
            checkedAt: WallTime(milliseconds: checked),
            expiresAt: WallTime(milliseconds: expires),
            weight: weight
        )
    }

    func isNewer(than other: Lease) -> Bool {
        (epoch, sequence) > (other.epoch, other.sequence)
    }
    func renews(_ other: Lease) -> Bool { weight == other.weight && agent == other.agent }
    mutating func shift(by step: Nanoseconds) {
        checkedAt = checkedAt + step
        expiresAt = expiresAt + step
    }
}

private let everySort: [any Record.Type] =
    Records.all + [Asked<Lane>.self, Asked<Recruit>.self, Lease.self]

@Suite struct RecordTests {
    /// Longer than any test takes: what is heard was told by the stream, or by connecting.
    private static let never = Nanoseconds.seconds(3_600)

    @Test func `no two sorts share a name or a number`() {
        let sorts = Records.all.map { $0.sort }
        #expect(Set(sorts.map(\.name)).count == sorts.count)
        #expect(Set(sorts.map(\.collection)).count == sorts.count)
        let numbers = sorts.compactMap(\.ledgerKind) + [LedgerKind.event, LedgerKind.eventMark]
        #expect(Set(numbers).count == numbers.count)
        for sort in sorts {
            guard case .merged(let registers) = sort.rule else { continue }
            let members = registers.flatMap { $0.members + [$0.stamp] } + ["set_at"]
            #expect(Set(members).count == members.count, "\(sort.name)")
        }
    }

    @Test(arguments: Backend.allCases)
    func `a third sort survives, and what was taken away stays away`(
        backend: Backend
    ) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, listener) = await rig.start(sorts: everySort)
            let (kept, gone) = (Lane.Key("kept|%"), Lane.Key("gone"))
            for key in [kept, gone] {
                let answer = try await store.change(
                    Lane.self,
                    Lane("web", path: "/a"),
                    of: key,
                    expecting: nil
                )
                #expect(answer.reach == .everywhere)
            }
            _ = try await store.change(Lane.self, nil, of: gone, expecting: nil)
            let last = try #require(listener.others.last as? Asking<Lane>)
            #expect(last == Asking(gone, nil))
            await rig.stop(store)

            let (again, found) = await rig.start(sorts: everySort)
            let lanes = found.others.compactMap { $0 as? Asking<Lane> }
            #expect(lanes == [Asking(kept, Lane("web", path: "/a"))])
            await rig.stop(again)
            // An older version reads past it.
            #expect(await rig.reopened().others.isEmpty)
        }
    }

    @Test func `agents hear of a third sort at once, and of its end`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let (one, _) = await rig.start(agent: "a1", sorts: everySort)
            let (two, heard) = await rig.start(
                agent: "a2",
                reconcileEvery: Self.never,
                sorts: everySort
            )
            let key = Lane.Key("r1")
            _ = try await one.change(Lane.self, Lane("web"), of: key, expecting: nil)
            let first = Asking(key, Lane("web"))
            #expect(
                await eventually(within: .seconds(30)) {
                    heard.others.last as? Asking<Lane> == first
                }
            )
            _ = try await one.change(Lane.self, nil, of: key, expecting: nil)
            let last = Asking<Lane>(key, nil)
            #expect(
                await eventually(within: .seconds(30)) {
                    heard.others.last as? Asking<Lane> == last
                }
            )
            #expect(two.status.ignored == 0)
        }
    }

    @Test func `a third sort that expires is fenced and renewed in silence`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let (one, _) = await rig.start(agent: "a1", sorts: everySort)
            let (two, heard) = await rig.start(
                agent: "a2",
                reconcileEvery: Self.never,
                sorts: everySort
            )
            let now = rig.loop.wall
            var lease = Lease(
                key: Lane.Key("a1"),
                agent: "a1",
                sequence: 5,
                checkedAt: now,
                expiresAt: now + .seconds(3)
            )
            one.publish(lease, isTransition: true)
            #expect(await rig.comes { heard.others.count == 1 })
            lease.sequence = 6
            lease.checkedAt = now + .seconds(100)
            lease.expiresAt = now + .seconds(103)
            one.publish(lease, isTransition: true)
            #expect(await rig.comes { one.status.pending == 0 })
            lease.agent = "a2"
            lease.sequence = 4
            two.publish(lease, isTransition: true)
            #expect(await rig.comes { two.status.refused == 1 })
            #expect(try await server.ask("XLEN", "muster:changes", on: rig.loop) == .integer(1))
            one.forget(Lease.self, lease.key)
            #expect(await rig.comes { one.status.pending == 0 })
            #expect(try await server.ask("HLEN", "muster:leases", on: rig.loop) == .integer(0))
        }
    }

    // MARK: What is the same

    @Test func `what is silent in the JSON is what renews, and nothing else`() throws {
        var all = Verdict.sample(.up, message: "m")
        all.isDegraded = true
        all.withheld = .doubt
        all.hints = Hints(weightPercent: 50, maxConnections: 30, admin: .drain)
        all.downAddresses = ["192.0.2.1:80"]
        all.health = 2
        let replacements: [String: JSON] = [
            "status": "unknown", "degraded": false, "held": "mass-change", "health": 3, "rise": 1,
            "fall": 3,
            "kind": "tcp", "reason": "L4OK", "code": 204, "message": "n", "latency_us": 7,
            "weight_percent": 51, "max_connections": 31, "admin": "maint",
            "down_addresses": "192.0.2.2:80", "since": 1, "checked_at": 2, "expires_at": 3,
            "agent": "a9", "epoch": 9, "sequence": 9,
        ]
        let members = try #require(all.json.members)
        #expect(Set(members.map(\.key)) == Set(replacements.keys), "every member is tried")
        for (name, value) in replacements {
            let changed = JSON.object(
                members.map { $0.key == name ? JSON.Member(name, value) : $0 }
            )
            let other = try #require(Verdict(key: all.key, json: changed), "\(name)")
            #expect(other != all)
            #expect(other.renews(all) == Verdict.silent.contains(name), "\(name)")
        }
    }

    // MARK: Tombstones

    @Test func `tombstones are bounded, and the oldest go first`() {
        let shelf = Shelf<Asked<Lane>>()
        let begin = WallTime(milliseconds: 1_795_000_000_000)
        let surplus = 7
        for number in 0..<(Retention.tombstonesMax + surplus) {
            let at = begin + .milliseconds(Int64(number))
            shelf.put(Asked<Lane>(nil, at: at), for: Lane.Key("\(number)"))
        }
        shelf.put(Asked<Lane>(Lane("web"), at: begin), for: Lane.Key("held"))
        shelf.prune(at: begin + .seconds(3_600))
        #expect(shelf.count == Retention.tombstonesMax + 1)
        #expect(shelf[Lane.Key("6")] == nil && shelf[Lane.Key("7")] != nil)
        #expect(shelf[Lane.Key("held")] != nil, "what holds is no tombstone")
        shelf.prune(at: begin + .seconds(8 * 86_400))
        #expect(shelf.count == 1)
    }

    @Test func `a verdict that expired a week ago is nobody's`() {
        let shelf = Shelf<Verdict>()
        let begin = WallTime(milliseconds: 1_795_000_000_000)
        let verdict = Verdict.sample(at: begin)
        #expect(shelf.take(verdict))
        shelf.prune(at: verdict.expiresAt + .seconds(7 * 86_400))
        #expect(shelf.count == 1)
        shelf.prune(at: verdict.expiresAt + .seconds(7 * 86_400 + 1))
        #expect(shelf.count == 0)
    }
}

@Suite struct ExpectationTests {
    private let peer = PeerKey(upstream: "web", peer: "a")
    private let other = PeerKey(upstream: "web", peer: "b")

    private static func drain(_ reason: String) -> IntentChange {
        IntentChange(mode: .init(.drain, reason: reason))
    }

    @Test(arguments: Backend.allCases)
    func `a write that expects what is there is taken, any other changes nothing`(
        backend: Backend
    ) async throws {
        try await StoreRig.run(backend) { [peer, other] rig in
            let (store, listener) = await rig.start(sorts: everySort)
            #expect(store.stampSum(of: "web") == 0)
            let first = try await store.change(
                Intent.self,
                Self.drain("1"),
                of: peer,
                expecting: 0
            )
            #expect(first.stampSum == store.stampSum(of: "web") && first.stampSum > 0)
            // Of another upstream, and of none: neither counts here.
            _ = try await store.change(
                Intent.self,
                Self.drain("x"),
                of: PeerKey(upstream: "we", peer: "b"),
                expecting: nil
            )
            _ = try await store.change(Lane.self, Lane("web"), of: Lane.Key("r"), expecting: nil)
            #expect(store.stampSum(of: "web") == first.stampSum)
            for stale in [0, first.stampSum + 1] {
                await #expect(throws: StoreError.outdated) {
                    try await store.change(
                        Intent.self,
                        Self.drain("2"),
                        of: other,
                        expecting: stale
                    )
                }
            }
            #expect(listener.intents[other] == nil)
            // Another sort of thing that belongs to the upstream counts as well.
            let second = try await store.change(
                Recruit.self,
                Recruit("10.0.0.1:80"),
                of: other,
                expecting: first.stampSum
            )
            #expect(second.stampSum > first.stampSum)
            await #expect(throws: StoreError.outdated) {
                try await store.change(
                    Intent.self,
                    Self.drain("3"),
                    of: peer,
                    expecting: first.stampSum
                )
            }
            let third = try await store.change(
                Intent.self,
                Self.drain("4"),
                of: peer,
                expecting: second.stampSum
            )
            #expect(third.stampSum == store.stampSum(of: "web"))
            await rig.stop(store)
            // A restart changes nothing.
            let (again, _) = await rig.start(agent: "a2", sorts: everySort)
            #expect(again.stampSum(of: "web") == third.stampSum)
        }
    }

    @Test(arguments: [false, true])
    func `of two at once exactly one wins`(throughTwo: Bool) async throws {
        try await StoreRig.run(.redisUnix) { [peer, other] rig in
            let (one, _) = await rig.start(agent: "a1")
            let two = throughTwo ? await rig.start(agent: "a2").0 : one
            let loop = rig.loop
            let stores = (LoopBound(one, on: loop), LoopBound(two, on: loop))
            for round in 0..<100 {
                let expected = one.stampSum(of: "web")
                try await two.refresh("web")
                #expect(two.stampSum(of: "web") == expected, "round \(round)")
                let ask = {
                    @Sendable (store: LoopBound<any Store>, key: PeerKey) async -> UInt64? in
                    await Task(executorPreference: loop) {
                        let change = Self.drain("\(round)")
                        do throws(StoreError) {
                            return try await store.value.change(
                                Intent.self,
                                change,
                                of: key,
                                expecting: expected
                            ).stampSum
                        } catch {
                            #expect(error.kind == .outdated)
                            return nil
                        }
                    }.value
                }
                async let first = ask(stores.0, peer)
                async let second = ask(stores.1, other)
                let won = await [first, second].compactMap { $0 }
                #expect(won.count == 1, "round \(round)")
                // Whoever lost knows already what it is now.
                for store in [one, two] {
                    try await store.refresh("web")
                    #expect(store.stampSum(of: "web") == won.first)
                }
            }
        }
    }

    @Test func `an agent that has not heard yet hears by asking`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let never = Nanoseconds.seconds(3_600)
            let (store, listener) = await rig.start(agent: "a1", reconcileEvery: never)
            // Nobody tells of it: by hand, and no entry in the stream.
            let at = rig.loop.wall.milliseconds
            let text = #"{"mode":"maint","mode_at":\#(at),"weight_at":0}"#
            let command = ["HSET", "muster:intents", peer.field, text]
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            _ = try await connection.command(command, timeout: patience)
            #expect(listener.intents[peer] == nil)
            try await store.refresh("web")
            #expect(listener.intents[peer]?.mode == .maint)
            #expect(store.stampSum(of: "web") == UInt64(at))
            // Taken out by hand, it is gone.
            _ = try await connection.command(
                ["HDEL", "muster:intents", peer.field],
                timeout: patience
            )
            try await store.refresh("web")
            #expect(listener.intents[peer] == nil && store.stampSum(of: "web") == 0)
        }
    }

    /// What we do not believe is counted by Redis all the same: it must not stand in the way for ever.
    @Test func `nonsense under our name keeps nobody from comparing`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            for (field, text) in [
                ("web|x", #"{"mode":"drian","mode_at":5,"weight_at":5}"#), ("web|y", "{"),
                ("web|z", String(repeating: "x", count: 20_000)), ("web|a|b", "[]"),
            ] {
                _ = try await server.ask("HSET", "muster:intents", field, text, on: rig.loop)
            }
            let (store, _) = await rig.start()
            let first = try await store.change(
                Intent.self,
                Self.drain("1"),
                of: peer,
                expecting: 0
            )
            #expect(first.stampSum == store.stampSum(of: "web"))
            let second = try await store.change(
                Intent.self,
                Self.drain("2"),
                of: peer,
                expecting: first.stampSum
            )
            #expect(second.stampSum == store.stampSum(of: "web"))
        }
    }

    @Test func `a name that reads like a pattern matches itself alone`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let (store, _) = await rig.start()
            var sums: [String: UInt64] = [:]
            for name in ["*", "a*", "[ab]", "a?", "\\", "a^-b", "%7C", "|"] {
                let key = PeerKey(upstream: name, peer: "p")
                sums[name] = try await store.change(
                    Intent.self,
                    Self.drain("1"),
                    of: key,
                    expecting: 0
                ).stampSum
                try await store.refresh(name)
            }
            for (name, sum) in sums { #expect(store.stampSum(of: name) == sum, "\(name)") }
        }
    }

    @Test func `while Redis is away nothing can be compared`() async throws {
        try await StoreRig.run(.redisTCP) { [peer] rig in
            let server = try #require(rig.server)
            let (store, listener) = await rig.start()
            server.kill()
            #expect(await rig.comes { !store.status.isConnected })
            do throws(StoreError) {
                _ = try await store.change(
                    Intent.self,
                    Self.drain("1"),
                    of: peer,
                    expecting: 0
                )
                Issue.record("expected an error")
            } catch {
                #expect(error.kind == .unknown && listener.intents.isEmpty)
            }
            #expect(try await store.change(Self.drain("1"), of: peer) == .here)
        }
    }
}
