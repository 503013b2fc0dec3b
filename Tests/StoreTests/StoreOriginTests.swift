// Agents and Redis die together, and Redis comes back with what it had saved before: is what was acknowledged since
// then told again? And is what somebody lifted while nobody looked still lifted?

import EventLoop
import Foundation
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct StoreOriginTests {
    private static let span = Retention.span
    private let now = WallTime(milliseconds: 1_800_000_000_000)
    private let origin = StoreOrigin(
        id: "123",
        revision: 1 << 60,
        server: "abc",
        marks: ["intents": "7", "definitions": "?9"]
    )

    @Test func `it is read as it was written, for as long as tombstones are kept`() throws {
        let json = try JSON(parsing: origin.json.bytes)
        #expect(StoreOrigin(json, notedAt: now, now: now) == origin)
        let late = now + Self.span
        #expect(StoreOrigin(json, notedAt: now, now: late + .milliseconds(-1)) == origin)
        #expect(StoreOrigin(json, notedAt: now, now: late) == nil)
        #expect(StoreOrigin(json, notedAt: nil, now: now) == nil)
        #expect(StoreOrigin(nil, notedAt: now, now: now) == nil)
        // A server that may not be asked who it is.
        var unnamed = origin
        unnamed.server = nil
        let other = try JSON(parsing: unnamed.json.bytes)
        #expect(StoreOrigin(other, notedAt: now, now: now) == unnamed)
    }

    @Test(arguments: [
        "{}", "[]", "7", "{\"id\":\"\",\"revision\":\"1\"}", "{\"id\":\"a\",\"revision\":1}",
        "{\"id\":\"a\",\"revision\":\"-1\"}", "{\"id\":\"a\\n\",\"revision\":\"1\"}",
    ])
    func `what is none is not remembered`(text: String) throws {
        let json = try JSON(parsing: Array(text.utf8))
        #expect(StoreOrigin(json, notedAt: now, now: now) == nil)
    }

    /// What becomes of Redis while nobody runs.
    enum Event: CaseIterable {
        /// It comes back with what it had saved before the second order: by its number, or as another life of it.
        case olderRevision, olderCopy
        /// With another mark: the hash was thrown away, and somebody who knew less has filled it.
        case otherHash
        /// Somebody lifts the second order by hand.
        case lifted
    }

    @Test(arguments: Event.allCases)
    func `what was acknowledged is told to an older state, and what was lifted stays lifted`(
        event: Event
    ) async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let state = rig.folder.path("a1.json")
            let (first, second) = (
                PeerKey(upstream: "web", peer: "a"), PeerKey(upstream: "web", peer: "b")
            )
            let (store, _) = await rig.start(state: state)
            func set(_ mode: Intent.Mode?, _ key: PeerKey) async throws {
                _ = try await store.set(intent: mode.map { Intent(mode: $0) }, for: key)
            }
            try await set(.drain, first)
            let saved = try await server.ask("GET", "muster:revision", on: rig.loop)
            try await set(.maint, second)
            // Also before the stream has told of it.
            let noted = try #require(store as? RedisStore).noteOrigin()?.revision ?? 0
            let counted = try await server.ask("GET", "muster:revision", on: rig.loop)
            #expect(noted >= counted.text.flatMap(UInt64.init) ?? .max)
            #expect(await rig.comes { store.status.pending == 0 })
            await rig.stop(store)
            let field = "web|b"
            #expect(
                try await server.ask("HDEL", "muster:intents", field, on: rig.loop) == .integer(1)
            )
            switch event {
            case .olderRevision:
                let number = saved.text ?? ""
                _ = try await server.ask("SET", "muster:revision", number, on: rig.loop)
            case .olderCopy:
                _ = try await server.ask("REPLICAOF", "127.0.0.1", "1", on: rig.loop)
                _ = try await server.ask("REPLICAOF", "NO", "ONE", on: rig.loop)
            case .otherHash:
                _ = try await server.ask("HSET", "muster:intents", "#", "7", on: rig.loop)
            case .lifted: break
            }

            let (again, listener) = await rig.start(state: state)
            #expect(await rig.comes { again.status.pending == 0 })
            let isKept = event != .lifted
            #expect(listener.intents[first]?.mode == .drain)
            #expect(listener.intents[second]?.mode == (isKept ? .maint : nil))
            let held = try await server.ask("HEXISTS", "muster:intents", field, on: rig.loop)
            #expect(held == .integer(isKept ? 1 : 0))
            await rig.stop(again)
            // It is known as it is now.
            let (last, other) = await rig.start(state: state)
            #expect(await rig.comes { last.status.pending == 0 })
            #expect(other.intents.count == (isKept ? 2 : 1))
            await rig.stop(last)
        }
    }
}
