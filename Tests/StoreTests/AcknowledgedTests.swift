// Is an order that was acknowledged there after a kill at any moment, and does an answer that is worth
// less say so?

import EventLoop
import Foundation
import Glibc
import Health
import Ledger
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct AcknowledgedTests {
    private let peer = PeerKey(upstream: "web", peer: "a")

    /// What one may find of a peer: what was acknowledged last, or anything asked for since.
    private struct Expected {
        var acknowledged: Intent?
        var since: [Intent?] = []
    }

    @Test func `a thousand kills at any moment lose nothing that was acknowledged`() async throws {
        let loop = try EventLoop.spawn(virtual: "store")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            var dice = Dice(seed: 2_026)
            var disk = ModelDisk()
            var expected: [PeerKey: Expected] = [:]
            var acknowledged = 0
            for round in 0..<1_000 {
                let ledger = Ledger(path: "s.ledger", loop: loop, disk: disk, writer: loop)
                let store = EmbeddedStore(loop: loop, ledger: ledger)
                try await ledger.open()
                let found = Listener()
                store.start(found)
                for (key, expected) in expected {
                    let possible = [expected.acknowledged] + expected.since
                    #expect(possible.contains(found.intents[key]), "round \(round): \(key.peer)")
                }
                for key in expected.keys {
                    expected[key] = Expected(acknowledged: found.intents[key])
                }
                disk.die(after: disk.calls.count + Int.random(in: 0...24, using: &dice))
                for number in 0..<4 {
                    let key = PeerKey(
                        upstream: "web",
                        peer: "\(Int.random(in: 0...5, using: &dice))"
                    )
                    let intent =
                        Int.random(in: 0...3, using: &dice) == 0
                        ? nil : Intent(mode: .drain, reason: "\(round).\(number)")
                    let reach = try await store.set(intent: intent, for: key)
                    if reach == .everywhere {
                        expected[key] = Expected(acknowledged: intent)
                        acknowledged += 1
                    } else {
                        expected[key, default: Expected()].since.append(intent)
                    }
                }
                disk = disk.afterCrash(&dice)
                await store.stop()
                await ledger.stop()
            }
            #expect(acknowledged > 1_000 && acknowledged < 4_000, "\(acknowledged)")
            #expect(loop.timerCount == 0)
        }
    }

    @Test func `without a state file an order is held in memory, and the answer says so`()
        async throws
    {
        let loop = try EventLoop.spawn(name: "store")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) { [peer] in
            let store = EmbeddedStore(loop: loop)
            let listener = Listener()
            store.start(listener)
            let reach = try await store.set(intent: Intent(mode: .drain), for: peer)
            #expect(reach == .memory)
            #expect(listener.intents[peer]?.mode == .drain)
            await store.stop()
        }
    }

    @Test
    func `while the disk is full an order holds, the answer says so, and it is written later`()
        async throws
    {
        let loop = try EventLoop.spawn(virtual: "store")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) { [peer] in
            let disk = ModelDisk()
            let ledger = Ledger(path: "s.ledger", loop: loop, disk: disk, writer: loop)
            let store = EmbeddedStore(loop: loop, ledger: ledger)
            try await ledger.open()
            let listener = Listener()
            store.start(listener)
            try await store.set(intent: nil, for: peer)
            disk.onCall { call, _ in call == .write ? .half(ENOSPC) : nil }
            let reach = try await store.set(intent: Intent(mode: .maint), for: peer)
            #expect(reach == .unwritten(why: "write s.ledger: No space left on device"))
            #expect(listener.intents[peer]?.mode == .maint)
            #expect(store.status.lastError == "write s.ledger: No space left on device")
            disk.onCall(nil)
            await loop.advance(by: .seconds(31))
            #expect(store.status.lastError == nil)
            var dice = Dice(seed: 1)
            let again = Ledger(
                path: "s.ledger",
                loop: loop,
                disk: disk.afterCrash(&dice),
                writer: loop
            )
            let next = EmbeddedStore(loop: loop, ledger: again)
            try await again.open()
            let found = Listener()
            next.start(found)
            #expect(found.intents[peer]?.mode == .maint)
            for ledger in [ledger, again] { await ledger.stop() }
        }
    }

    // MARK: Beside the state file

    @Test func `what an older version left in the state file is taken over`() async throws {
        try await StoreRig.run(.embedded) { [peer] rig in
            try rig.folder.write(
                """
                {"format":1,"written_at":1795235291000,"verdicts":{},"intents":{"web|a":\
                {"mode":"drain","reason":"deploy","set_at":1795235291000}}}
                """,
                to: "state.json"
            )
            let (store, listener) = await rig.start()
            #expect(listener.intents[peer] == Intent(mode: .drain, reason: "deploy"))
            await rig.stop(store)
            // From now on it is in the ledger, whatever becomes of the state file.
            try FileManager.default.removeItem(atPath: rig.folder.path("state.json"))
            #expect(await rig.reopened().intents[peer]?.mode == .drain)
        }
    }

    /// Killed between the acknowledgement and the next writing of the state file.
    @Test func `a state file that is behind brings back nothing that was lifted`() async throws {
        try await StoreRig.run(.embedded) { [peer] rig in
            let path = rig.folder.path("state.json")
            let (store, _) = await rig.start()
            try await store.set(intent: Intent(mode: .drain), for: peer)
            await rig.stop(store)
            let stale = try String(contentsOfFile: path, encoding: .utf8)
            #expect(stale.contains("drain"))

            let (next, _) = await rig.start()
            try await next.set(intent: nil, for: peer)
            await rig.stop(next)
            // Twice: what was lifted is still known to be when the ledger has been written anew.
            for _ in 0..<2 {
                try stale.write(toFile: path, atomically: true, encoding: .utf8)
                #expect(await rig.reopened().intents.isEmpty)
            }
        }
    }

    /// An older version, started for a while, knows of no ledger and writes the state file alone.
    @Test func `what is later in the state file holds`() async throws {
        try await StoreRig.run(.embedded) { [peer] rig in
            let (store, _) = await rig.start()
            try await store.set(intent: Intent(mode: .drain), for: peer)
            await rig.stop(store)
            let later = (Clock.wall() + .seconds(5)).milliseconds
            try rig.folder.write(
                """
                {"format":1,"written_at":\(later),"verdicts":{},"intents":{"web|a":\
                {"mode":"maint","set_at":\(later)}}}
                """,
                to: "state.json"
            )
            for _ in 0..<2 { #expect(await rig.reopened().intents[peer]?.mode == .maint) }
        }
    }
}
