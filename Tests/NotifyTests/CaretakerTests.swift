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
        caretaker.define([Self.window()])
        try await ledger.open()
        let peers = [PeerDefinition(address: .host("10.0.0.1", port: 80))]
        board.define(
            ["web", "web2", "db"].map { UpstreamDefinition(name: $0, peers: peers) },
            monitors: []
        )
        store.start(board)
        caretaker.start()
    }

    static func window(
        _ name: String = "night",
        upstreams: [String] = ["web*"],
        from: Int = 60,
        to: Int = 120,
        reason: String = "patches"
    ) -> MaintenanceWindow {
        let hours = CalendarWindow(days: [.thursday], from: from, to: to, zone: .utc)
        return MaintenanceWindow(name: name, upstreams: upstreams, window: hours, reason: reason)
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

    /// What a reload half an hour into a window makes of it.
    private func revised(
        _ windows: [MaintenanceWindow],
        _ body: @escaping @Sendable (Place, EventLoop) async throws -> Void
    ) async throws {
        try await onLoop { loop in
            let place = try await Place(ModelDisk(), loop)
            await loop.advance(by: .seconds(7_300))
            try await place.ask("web2", .maint)
            await loop.advance(by: .seconds(1_700))
            #expect(place.intent("web")?.by == "calendar" && place.intent("web2")?.by == "ann")
            place.caretaker.define(windows)
            await loop.advance(by: .seconds(1))
            try await body(place, loop)
            #expect(place.intent("web2")?.by == "ann", "what somebody asked for stays")
            await place.end()
        }
    }

    @Test(arguments: [
        [], [Place.window(to: 80)], [Place.window(from: 100)], [Place.window(upstreams: ["x"])],
    ])
    func `a window that a reload ends gives its peers back`(
        windows: [MaintenanceWindow]
    )
        async throws
    {
        try await revised(windows) { place, loop in
            #expect(place.intent("web") == nil)
            // Written down again it is a new one.
            place.caretaker.define([Place.window()])
            await loop.advance(by: .seconds(1))
            #expect(place.intent("web")?.mode == .maint)
        }
    }

    @Test(arguments: [
        Place.window(to: 150), Place.window(from: 30, to: 150),
        Place.window("other", to: 150, reason: "more"),
    ])
    func `a window that a reload moves keeps its peers until its other end`(
        window: MaintenanceWindow
    ) async throws {
        try await revised([window]) { place, _ in
            let intent = try #require(place.intent("web"))
            #expect(intent.until == start.wall + .seconds(3_600 + 150 * 60))
            #expect(intent.reason == window.reason && intent.by == "calendar")
        }
    }

    @Test func `an upstream that a reload adds is put into maint, and what was lifted stays so`()
        async throws
    {
        try await onLoop { loop in
            let place = try await Place(ModelDisk(), loop)
            await loop.advance(by: .seconds(7_300))
            try await place.ask("web", nil)
            await loop.advance(by: .seconds(60))
            place.caretaker.define([Place.window(upstreams: ["web*", "db"], from: 50)])
            await loop.advance(by: .seconds(30))
            #expect(place.intent("web") == nil)
            #expect(place.intent("web2")?.mode == .maint && place.intent("db")?.mode == .maint)
            // The same under a name that moved up is no new one.
            place.caretaker.define([Place.window("m", upstreams: ["web*", "db"], from: 50)])
            await loop.advance(by: .seconds(30))
            #expect(place.intent("web") == nil)
            #expect(place.intent("web2")?.mode == .maint && place.intent("db")?.mode == .maint)
            await place.end()
        }
    }
}
