// Does a drain end when whoever asked for it said, whoever sets a clock meanwhile?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Store

/// Three clocks, of which two are set by hand.
private final class Clocks {
    var now = Moment(
        instant: Instant(nanoseconds: 0),
        wall: WallTime(milliseconds: 1_795_000_000_000)
    )
    var store: WallTime?
    var ends: EndClock

    init(storeAhead span: Nanoseconds? = .zero) {
        ends = EndClock(at: now)
        let wall = now.wall
        store = span.map { wall + $0 }
    }

    var time: WallTime { ends.now(at: now.instant) }

    /// Answers whether ends have to be told again.
    func move(
        _ span: Nanoseconds = .seconds(5),
        wall step: Nanoseconds = .zero,
        store other: Nanoseconds = .zero
    ) -> Bool {
        now = Moment(instant: now.instant + span, wall: now.wall + span + step)
        store = store.map { $0 + span + other }
        return ends.follow(now, store: store)
    }
}

@Suite struct EndClockTests {
    private static let day = Nanoseconds.seconds(86_400)

    @Test(arguments: [600, 3_600, 86_400, -86_400])
    func `who sets the store's clock moves no end`(seconds: Int64) {
        let clocks = Clocks()
        for step in [Nanoseconds.seconds(seconds), .zero, .seconds(-seconds), .zero] {
            #expect(!clocks.move(store: step))
            #expect(clocks.time == clocks.now.wall)
            #expect(clocks.ends.shift == .zero)
        }
    }

    @Test(arguments: [3_600, -3_600, 86_400])
    func `who sets this clock wrong moves no end, and none when it is right again`(seconds: Int64) {
        let clocks = Clocks()
        let step = Nanoseconds.seconds(seconds)
        let right = clocks.now.wall
        #expect(clocks.move(wall: step))
        #expect(clocks.ends.shift == step)
        #expect(!clocks.move(), "told once")
        #expect(clocks.time == right + .seconds(10))
        #expect(clocks.move(wall: -step))
        #expect(clocks.ends.shift == .zero)
        #expect(clocks.time == clocks.now.wall)
    }

    @Test func `a clock that was wrong and is set right is followed`() {
        let clocks = Clocks(storeAhead: .seconds(3_601))
        #expect(clocks.ends.shift == .zero, "with what else could it begin?")
        #expect(!clocks.move(wall: .seconds(3_600)), "who goes by it has been told so")
        #expect(clocks.time == clocks.now.wall)
        #expect(clocks.ends.shift == .zero)
    }

    @Test
    func `a clock that goes on where the machine slept is followed as soon as the store says so`() {
        let clocks = Clocks()
        // What is known of the store stood still with this machine.
        #expect(clocks.move(wall: .seconds(1_800)))
        #expect(clocks.move(store: .seconds(1_800)))
        #expect(clocks.time == clocks.now.wall)
        #expect(clocks.ends.shift == .zero)
    }

    @Test func `a store whose clock is set as well speaks for no clock that is wrong`() {
        let clocks = Clocks()
        #expect(clocks.move(wall: .seconds(3_600)))
        #expect(!clocks.move(store: Self.day))
        #expect(clocks.ends.shift == .seconds(3_600))
    }

    @Test func `without a store time goes on as before, and small steps are followed`() {
        let clocks = Clocks(storeAhead: nil)
        #expect(clocks.move(wall: .seconds(-3_600)))
        #expect(clocks.move(wall: .seconds(3_600)))
        for _ in 0..<10 {
            #expect(!clocks.move(wall: .milliseconds(900)))
            #expect(clocks.time == clocks.now.wall)
        }
    }

    // MARK: In Redis

    private let peer = PeerKey(upstream: "web", peer: "127.0.0.1:9001")
    private let other = PeerKey(upstream: "web", peer: "127.0.0.1:9002")

    private func start(_ rig: StoreRig, _ agent: String) async throws -> (RedisStore, Listener) {
        let (store, listener) = await rig.start(agent: agent, reconcileEvery: .seconds(3_600))
        return (try #require(store as? RedisStore), listener)
    }

    /// The hour is that of the store's clock, as an agent has heard of it.
    @Test(arguments: [600, 86_400, -86_400, 8 * 86_400])
    func `a drain ends at the time that was said, whatever the store's clock is set to`(
        seconds: Int64
    ) async throws {
        try await StoreRig.run(.redisUnix) { [self] rig in
            let server = try #require(rig.server)
            let (one, heard) = try await start(rig, "a1")
            let (two, told) = try await start(rig, "a2")
            let until = WallTime(milliseconds: rig.loop.wall.milliseconds + 1_800_000)
            let before = Intent(mode: .drain, until: until)
            try await one.change(IntentChange(whole: before), of: peer)
            #expect(await rig.comes { told.intents[peer] == before })
            let count = (heard.askings.count, told.askings.count)
            // One has heard that the clock was set, the other not yet.
            one.note(time: rig.loop.wall + .seconds(seconds))
            #expect(one.forgetting < rig.loop.wall + .seconds(1), "nothing is forgotten early")
            try await one.change(IntentChange(whole: before), of: other)
            #expect(await rig.comes { told.intents[other] == before })
            #expect(heard.intents == [peer: before, other: before])
            two.note(time: rig.loop.wall + .seconds(seconds))
            one.note(time: rig.loop.wall)
            two.note(time: rig.loop.wall)
            #expect(heard.intents == [peer: before, other: before])
            #expect(told.intents == [peer: before, other: before])
            // Those of the second drain alone.
            #expect(heard.askings.count == count.0 + 1)
            #expect(told.askings.count == count.1 + 1)
            for key in [peer, other] {
                let value = try await server.ask("HGET", "muster:intents", key.field, on: rig.loop)
                let json = try JSON(parsing: Array((value.text ?? "").utf8))
                #expect(json["until"]?.integer == until.milliseconds)
            }
        }
    }
}
