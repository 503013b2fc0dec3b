// Are peers in maintenance when the calendar says so, once a window, and never against a person? A caretaker
// in virtual time, on a board and a store of its own.

import EventLoop
import Health
import Ledger
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Notify

/// 2025-12-31T23:00:00Z, a Wednesday.
private let start = Moment(
    instant: Instant(nanoseconds: 1_000_000_000),
    wall: WallTime(milliseconds: 1_767_222_000_000)
)

private final class Place {
    let board: Board
    let operations: Operations
    let caretaker: Caretaker
    let ledger: Ledger
    private let store: EmbeddedStore
    private let loop: EventLoop

    init(_ disk: any Disk, _ loop: EventLoop) async throws {
        self.loop = loop
        ledger = Ledger(path: "s.ledger", loop: loop, disk: disk, writer: loop)
        board = Board(loop: loop, strangerTime: .zero)
        store = EmbeddedStore(loop: loop, statePath: nil, ledger: ledger)
        operations = Operations(loop: loop, board: board, store: store)
        caretaker = Caretaker(board: board, operations: operations, on: loop)
        caretaker.keep(in: ledger)
        // From one to two in the night to Thursday.
        let night = CalendarWindow(days: [.thursday], from: 60, to: 120, zone: .utc)
        caretaker.define([
            MaintenanceWindow(name: "night", upstreams: ["web*"], window: night, reason: "patches")
        ])
        try await ledger.open()
        let peers = [PeerDefinition(address: .host("10.0.0.1", port: 80))]
        board.define(
            ["web", "web2", "db"].map { UpstreamDefinition(name: $0, peers: peers) },
            monitors: []
        )
        store.start(board)
        caretaker.start()
    }

    func intent(_ upstream: String) -> Intent? {
        board.intent(for: PeerKey(upstream: upstream, peer: "10.0.0.1:80"))?.current(at: loop.wall)
    }

    func ask(_ upstream: String, _ mode: Intent.Mode?) async throws {
        let change = IntentChange(mode: .init(mode, by: "ann"))
        _ = try await operations.change(
            PeerKey(upstream: upstream, peer: "10.0.0.1:80"),
            expecting: .anything
        ) { (_, _) throws(OperationError) in change }
    }

    func end() async {
        caretaker.stop()
        await store.stop()
        await ledger.stop()
        board.close()
    }
}

@Suite struct CaretakerTests {
    private func onLoop(_ body: @escaping @Sendable (EventLoop) async throws -> Void) async throws {
        let loop = try EventLoop.spawn(virtual: "caretaker", from: start)
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) { try await body(loop) }
    }

    @Test func `a window puts its peers into maint until its end, and leaves others alone`()
        async throws
    {
        try await onLoop { loop in
            let place = try await Place(ModelDisk(), loop)
            try await place.ask("web2", .drain)
            await loop.advance(by: .seconds(7_100))
            #expect(place.intent("web") == nil)
            await loop.advance(by: .seconds(200))
            let intent = try #require(place.intent("web"))
            #expect(intent.mode == .maint && intent.reason == "patches" && intent.by == "calendar")
            #expect(intent.until == start.wall + .seconds(3 * 3_600))
            #expect(place.intent("web2")?.mode == .drain, "what somebody asked for goes before")
            #expect(place.intent("db") == nil)
            await loop.advance(by: .seconds(3_600))
            #expect(place.intent("web") == nil)
            await place.end()
        }
    }

    @Test func `what somebody lifts stays lifted, over a restart too`() async throws {
        try await onLoop { loop in
            let disk = ModelDisk()
            var place = try await Place(disk, loop)
            await loop.advance(by: .seconds(7_300))
            #expect(place.intent("web")?.mode == .maint)
            try await place.ask("web", nil)
            await loop.advance(by: .seconds(600))
            #expect(place.intent("web") == nil)
            await place.end()
            place = try await Place(disk, loop)
            await loop.advance(by: .seconds(600))
            #expect(place.intent("web") == nil)
            await place.end()
        }
    }

    @Test func `whoever starts within a window keeps it`() async throws {
        try await onLoop { loop in
            await loop.advance(by: .seconds(2 * 3_600 + 1_800))
            let place = try await Place(ModelDisk(), loop)
            await loop.advance(by: .seconds(1))
            #expect(place.intent("web")?.mode == .maint)
            await place.end()
        }
    }
}
