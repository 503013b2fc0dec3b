// What may one rely on, whichever store it is? One suite; every store passes all of it.

import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@Suite struct StoreContractTests {
    let peer = PeerKey(upstream: "web", peer: "127.0.0.1:9001")

    @Test(arguments: Backend.allCases)
    func `a verdict is there for whoever opens the store next`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            let verdict = Verdict.sample(.down, message: "refused; \"quoted\" \u{1F600}")
            store.publish(verdict, isTransition: true)
            await rig.stop(store)

            let found = await rig.reopened().verdicts[verdict.key]
            var expected = verdict
            // A shared store may keep it alive longer than its agent does, never shorter.
            expected.expiresAt = found?.expiresAt ?? verdict.expiresAt
            #expect(found == expected)
            #expect(expected.expiresAt >= verdict.expiresAt)
        }
    }

    @Test(arguments: Backend.allCases)
    func `everything a verdict can say survives`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            var verdict = Verdict.sample()
            verdict.isDegraded = true
            verdict.code = -7
            verdict.health = 2
            verdict.hints = Hints(weightPercent: 50, maxConnections: 30, admin: .drain)
            verdict.downAddresses = ["192.0.2.1:80", "[2001:db8::1]:80"]
            verdict.subject = Subject(address: "127.0.0.1:9001", check: 0xFFFF_FFFE)
            verdict.epoch = 1_795_000_000_000
            verdict.sequence = 9_007_199_254_740_991
            store.publish(verdict, isTransition: true)
            await rig.stop(store)

            let found = try #require(await rig.reopened().verdicts[verdict.key])
            var expected = verdict
            expected.expiresAt = found.expiresAt
            #expect(found == expected)
        }
    }

    @Test(arguments: Backend.allCases)
    func `of two signs of life the later is there for whoever opens the store next`(
        backend: Backend
    ) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            func sign(_ message: String, at milliseconds: Int64) -> HeardSign {
                HeardSign(
                    key: peer,
                    verdict: .warn,
                    message: message,
                    agent: "a1",
                    at: WallTime(milliseconds: rig.loop.wall.milliseconds + milliseconds)
                )
            }
            let later = sign("backlog 3", at: -1_000)
            store.publish(later, isTransition: true)
            store.publish(sign("backlog 2", at: -9_000), isTransition: true)
            await rig.stop(store)
            let told = await rig.reopened().others.compactMap { $0 as? HeardSign }
            #expect(Set(told) == [later], "\(told)")
        }
    }

    @Test(arguments: Backend.allCases)
    func `names may hold any character`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            let names = ["a|b", "%7C", "100%", "h\u{E9}", "a b", "|", "%"]
            for name in names {
                store.publish(
                    Verdict.sample(peer: name, upstream: name, monitor: name),
                    isTransition: true
                )
                let key = PeerKey(upstream: name, peer: name)
                try await store.set(intent: Intent(mode: .drain), for: key)
            }
            await rig.stop(store)

            let found = await rig.reopened()
            #expect(
                Set(found.verdicts.keys)
                    == Set(names.map { VerdictKey(upstream: $0, peer: $0, monitor: $0) })
            )
            #expect(Set(found.intents.keys) == Set(names.map { PeerKey(upstream: $0, peer: $0) }))
        }
    }

    struct Write: Sendable, CustomTestStringConvertible {
        var first: (epoch: UInt64, sequence: UInt64)
        var second: (epoch: UInt64, sequence: UInt64)
        var wins: Bool
        var testDescription: String { "\(second) after \(first): \(wins ? "taken" : "refused")" }
    }

    @Test(
        arguments: Backend.allCases,
        [
            Write(first: (5, 5), second: (5, 6), wins: true),
            Write(first: (5, 5), second: (6, 1), wins: true),
            Write(first: (5, 5), second: (5, 4), wins: false),
            Write(first: (5, 5), second: (4, 9), wins: false),
        ]
    )
    func `an older epoch or sequence is refused`(backend: Backend, write: Write) async throws {
        try await StoreRig.run(backend) { rig in
            // Two stores where there can be two: the second writer has never seen the first.
            let (store, _) = await rig.start()
            let first = Verdict.sample(
                .up,
                epoch: write.first.epoch,
                sequence: write.first.sequence
            )
            store.publish(first, isTransition: true)
            var other = store
            if backend.isRedis {
                await rig.stop(store)
                (other, _) = await rig.start(agent: "a2")
            }
            let second = Verdict.sample(
                .down,
                agent: "a2",
                epoch: write.second.epoch,
                sequence: write.second.sequence
            )
            other.publish(second, isTransition: true)
            #expect(await rig.comes { other.status.pending == 0 })
            #expect(other.status.refused == (write.wins ? 0 : 1))
            await rig.stop(other)

            let found = await rig.reopened().verdicts[first.key]
            #expect(found?.status == (write.wins ? .down : .up))
        }
    }

    /// Ids stay where addresses change, and not for all agents at one moment.
    @Test(arguments: Backend.allCases)
    func `a word about another server is in nobody's way`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let path = rig.folder.path("state.json")
            let (store, _) = await rig.start(state: path)
            var old = Verdict.sample(.down, epoch: 9, sequence: 9)
            old.subject = Subject(address: "10.0.0.1:80", check: 1)
            store.publish(old, isTransition: true)
            await rig.stop(store)

            let (next, _) = await rig.start(agent: "a2", state: path)
            var new = Verdict.sample(.up, agent: "a2", epoch: 3, sequence: 1)
            new.subject = Subject(address: "10.0.0.2:80", check: 1)
            next.publish(new, isTransition: true)
            var older = new
            older.sequence = 0
            next.publish(older, isTransition: true)
            await rig.stop(next)

            let (reader, listener) = await rig.start(agent: "reader", state: path)
            let found = listener.verdicts[new.key]
            #expect(found?.subject == new.subject && found?.status == .up)
            #expect(found?.sequence == 1, "of the same, the order holds as ever")
            await rig.stop(reader)
        }
    }

    @Test(arguments: Backend.allCases)
    func `of many verdicts for one pair the newest is kept`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            for sequence in 1...200 {
                store.publish(
                    Verdict.sample(.up, sequence: UInt64(sequence), message: "\(sequence)"),
                    isTransition: sequence == 1
                )
            }
            await rig.stop(store)
            let found = await rig.reopened().verdicts.values.first
            #expect(found?.message == "200")
        }
    }

    @Test(arguments: Backend.allCases)
    func `five thousand pairs all arrive`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            for number in 1...5_000 {
                store.publish(Verdict.sample(peer: "10.0.0.\(number)"), isTransition: true)
            }
            // The end waits for no store for long, and a busy machine is one that takes long.
            #expect(await rig.comes { store.status.pending == 0 })
            await rig.stop(store)
            #expect(await rig.reopened().verdicts.count == 5_000)
        }
    }

    @Test(arguments: Backend.allCases)
    func `a verdict that has expired is still there, with its count`(
        backend: Backend
    ) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            let long = WallTime(milliseconds: Clock.wall().milliseconds - 3_600_000)
            var verdict = Verdict.sample(.up, at: long)
            verdict.health = 2
            store.publish(verdict, isTransition: true)
            await rig.stop(store)

            let board = Board(loop: rig.loop)
            defer { board.close() }
            board.define(
                [
                    UpstreamDefinition(
                        name: "web",
                        peers: [PeerDefinition(address: .host("127.0.0.1", port: 9_001))]
                    )
                ],
                monitors: [.sample()]
            )
            for verdict in await rig.reopened().verdicts.values { board.apply(verdict) }
            let report = board.report(of: verdict.key.peerKey)
            #expect(report?.view.status == .unknown)
            #expect(report?.view.reason.contains("last up") == true)
            #expect(report?.verdicts.first?.health == 2)
        }
    }

    @Test(arguments: Backend.allCases)
    func `a forgotten verdict is gone`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            let gone = Verdict.sample(peer: "gone")
            let kept = Verdict.sample(peer: "kept")
            store.publish(gone, isTransition: true)
            store.publish(kept, isTransition: true)
            #expect(await rig.comes { store.status.pending == 0 })
            store.forget(gone.key)
            await rig.stop(store)
            #expect(Set(await rig.reopened().verdicts.keys) == [kept.key])
        }
    }

    @Test(arguments: Backend.allCases)
    func `an intent is heard of before set returns, and survives`(backend: Backend) async throws {
        try await StoreRig.run(backend) { [peer] rig in
            let (store, listener) = await rig.start()
            let now = Clock.wall()
            let intent = Intent(
                mode: .drain,
                reason: "deploy",
                until: now + .seconds(600),
                weight: 7,
                by: "ann",
                weightBy: "bob"
            )
            let reach = try await store.set(intent: intent, for: peer)
            #expect(reach == .everywhere)
            #expect(listener.intents[peer] == intent)
            // Mode and weight, each with its time.
            let sinces = listener.askings.last?.sinces.compactMap(\.self)
            #expect(sinces?.count == 2)
            await rig.stop(store)
            #expect(await rig.reopened().intents == [peer: intent])
        }
    }

    @Test(arguments: Backend.allCases)
    func `a lifted intent stays lifted`(backend: Backend) async throws {
        try await StoreRig.run(backend) { [peer] rig in
            let (store, listener) = await rig.start()
            try await store.set(intent: Intent(mode: .maint), for: peer)
            try await store.set(intent: nil, for: peer)
            #expect(listener.intents.isEmpty)
            #expect(listener.askings.last == Asking(peer, nil))
            await rig.stop(store)
            #expect(await rig.reopened().intents.isEmpty)
        }
    }

    @Test(arguments: Backend.allCases)
    func `a store says what it is and that it is connected`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, listener) = await rig.start()
            #expect(store.status.kind == (backend.isRedis ? "redis" : "embedded"))
            #expect(store.status.lastError == nil)
            #expect(listener.statuses.last?.isConnected == true)
            let before = store.status.revision
            store.publish(Verdict.sample(), isTransition: true)
            #expect(await rig.comes { store.status.revision > before })
        }
    }

    @Test(arguments: Backend.allCases)
    func `a renewal changes no revision`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let (store, _) = await rig.start()
            let verdict = Verdict.sample()
            store.publish(verdict, isTransition: true)
            #expect(await rig.comes { store.status.revision == 1 && store.status.pending == 0 })
            var renewed = verdict
            renewed.sequence = 2
            renewed.checkedAt = verdict.checkedAt + .seconds(1)
            renewed.expiresAt = verdict.expiresAt + .seconds(120)
            store.publish(renewed, isTransition: false)
            #expect(await rig.comes { store.status.pending == 0 })
            // A second transition is the barrier: everything before it has been dealt with.
            store.publish(Verdict.sample(peer: "other"), isTransition: true)
            #expect(await rig.comes { store.status.revision >= 2 })
            #expect(store.status.revision == 2)
        }
    }
}

extension MonitorSummary {
    static func sample(
        _ id: String = "http",
        upstream: String = "web",
        isRequired: Bool = true
    ) -> MonitorSummary {
        MonitorSummary(
            upstream: upstream,
            id: id,
            kind: "http",
            isRequired: isRequired,
            rise: 2,
            fall: 2,
            interval: .seconds(1)
        )
    }
}
