// What is a receiver told of a history of changes? Played on a clock that the test moves.

import Health
import Testing
import Vocabulary

@testable import Notify

/// A herald, and the time.
private struct Stage {
    var herald: Herald
    var seconds: Int64 = 0
    private let peer = PeerKey(upstream: "web", peer: "10.0.0.1:80")

    init(_ change: (inout HeraldRules) -> Void = { _ in }) {
        var rules = HeraldRules()
        rules.group = .zero
        rules.flap = nil
        change(&rules)
        herald = Herald("ops", rules)
    }

    var now: Moment { Self.moment(seconds) }

    static func moment(_ seconds: Int64) -> Moment {
        Moment(
            instant: Instant(nanoseconds: seconds * 1_000_000_000),
            wall: WallTime(milliseconds: 1_700_000_000_000 + seconds * 1_000)
        )
    }

    mutating func turn(
        _ from: PeerStatus,
        _ to: PeerStatus,
        _ peer: String = "10.0.0.1:80",
        upstream: String = "web"
    ) {
        herald.heard(
            PeerKey(upstream: upstream, peer: peer),
            from: from,
            to: to,
            since: now.wall,
            reason: "L4CON",
            now: now
        )
    }

    /// What is sent now, as `trouble 10.0.0.1:80 down`; nil where nothing is.
    mutating func next() -> [String]? {
        herald.look(now: now)
        return herald.next(now: now, by: "a1")?.notices.map(Self.words)
    }

    mutating func arrives() { herald.sent(now: now.instant) }

    static func words(_ notice: Notice) -> String {
        "\(notice.kind.rawValue) \(notice.peer.peer) \(notice.to.rawValue)"
    }
}

@Suite struct TakeOverTests {
    private let peer = PeerKey(upstream: "web", peer: "10.0.0.1:80")

    @Test func `a word that it comes and goes is not told after the other told its turns`() {
        var stage = Stage { $0.flap = HeraldRules.Flap() }
        for _ in 0..<3 {
            stage.turn(.up, .down)
            stage.seconds += 10
            stage.turn(.down, .up)
            stage.seconds += 10
        }
        #expect(stage.herald.waiting.last?.kind == .flapping)
        // The one that tells does not find it so, and goes on.
        for _ in 0..<3 {
            stage.herald.toldElsewhere(peer, .trouble, .down)
            stage.herald.toldElsewhere(peer, .resolved, .up)
        }
        stage.turn(.up, .down)
        stage.herald.toldElsewhere(peer, .trouble, .down)
        stage.herald.takeOver(now: stage.now)
        #expect(stage.next() == nil)
        #expect(stage.herald.takeNews().added.count == 6)
        stage.seconds += 60
        stage.turn(.down, .up)
        #expect(stage.next() == ["resolved 10.0.0.1:80 up"])
    }

    @Test func `one that comes and goes is told of as that where nobody told`() {
        var stage = Stage { $0.flap = HeraldRules.Flap() }
        for _ in 0..<3 {
            stage.turn(.up, .down)
            stage.turn(.down, .up)
        }
        stage.herald.takeOver(now: stage.now)
        #expect(stage.next() == ["flapping 10.0.0.1:80 up"])
    }

    @Test func `what is over is not told, and the trouble that nobody told is`() {
        var stage = Stage()
        stage.turn(.up, .down, "over:1")
        stage.turn(.down, .up, "over:1")
        stage.turn(.up, .down, "new:1")
        stage.turn(.up, .down, "again:1")
        stage.turn(.down, .up, "again:1")
        stage.turn(.up, .down, "again:1")
        stage.turn(.up, .down)
        stage.herald.toldElsewhere(peer, .trouble, .down)
        stage.turn(.down, .up)
        stage.herald.takeOver(now: stage.now)
        #expect(
            stage.next() == [
                "trouble new:1 down", "trouble again:1 down", "resolved 10.0.0.1:80 up",
            ]
        )
    }

    @Test func `what another told while this one listened is not told again`() {
        var stage = Stage()
        stage.herald.toldElsewhere(peer, .trouble, .down)
        stage.turn(.unknown, .down)
        stage.turn(.unknown, .down, "b:1")
        stage.herald.dropTold()
        #expect(stage.next() == ["trouble b:1 down"])
        #expect(stage.herald.troubled == 2)
    }
}

@Suite struct HeraldTests {
    @Test func `a peer that goes down and comes back is told of twice, in order`() {
        var stage = Stage()
        stage.turn(.up, .down)
        #expect(stage.next() == ["trouble 10.0.0.1:80 down"])
        stage.seconds = 5
        stage.turn(.down, .up)
        #expect(stage.next() == nil, "one message at a time")
        stage.arrives()
        stage.seconds = 6
        #expect(stage.next() == ["resolved 10.0.0.1:80 up"])
        stage.arrives()
        #expect(stage.next() == nil)
        #expect(stage.herald.troubled == 0)
    }

    @Test(arguments: [
        (from: PeerStatus.up, to: PeerStatus.degraded), (.up, .drain), (.up, .maint),
        (.unknown, .up),
        (.up, .unknown), (.maint, .up), (.up, .ejected),
    ])
    func `what is no trouble is worth no word`(from: PeerStatus, to: PeerStatus) {
        var stage = Stage()
        stage.turn(from, to)
        #expect(stage.next() == nil)
    }

    @Test func `that nothing is known of a peer ends no trouble, and its return begins none`() {
        var stage = Stage()
        stage.turn(.up, .down)
        _ = stage.next()
        stage.arrives()
        stage.turn(.down, .unknown)
        stage.turn(.unknown, .down)
        #expect(stage.next() == nil)
        #expect(stage.herald.troubled == 1)
    }

    @Test func `maint ends the trouble`() {
        var stage = Stage()
        stage.turn(.up, .down)
        _ = stage.next()
        stage.arrives()
        stage.turn(.down, .maint)
        #expect(stage.next() == ["resolved 10.0.0.1:80 maint"])
        stage.arrives()
        stage.turn(.maint, .up)
        #expect(stage.next() == nil)
    }

    @Test func `what comes within the window goes out in one message`() {
        var stage = Stage { $0.group = .seconds(5) }
        stage.turn(.up, .down, "a:1")
        stage.seconds = 4
        stage.turn(.up, .down, "b:1")
        #expect(stage.next() == nil)
        #expect(stage.herald.wakeAt(now: stage.now) == Stage.moment(5).instant)
        stage.seconds = 5
        #expect(stage.next() == ["trouble a:1 down", "trouble b:1 down"])
    }

    @Test func `more than one message holds goes out in the next, at once`() {
        var stage = Stage {
            $0.group = .seconds(5)
            $0.batchMax = 2
        }
        for peer in ["a:1", "b:1", "c:1"] { stage.turn(.up, .down, peer) }
        stage.seconds = 5
        #expect(stage.next()?.count == 2)
        stage.arrives()
        #expect(stage.next() == ["trouble c:1 down"])
    }

    @Test func `only upstreams that were asked for, by name or by how they begin`() {
        var stage = Stage { $0.upstreams = ["web", "shop-*"] }
        stage.turn(.up, .down, "a:1", upstream: "web")
        stage.turn(.up, .down, "b:1", upstream: "web2")
        stage.turn(.up, .down, "c:1", upstream: "shop-eu")
        #expect(stage.next() == ["trouble a:1 down", "trouble c:1 down"])
    }

    @Test func `a failed attempt is tried again, later each time, and loses nothing`() {
        var stage = Stage()
        stage.turn(.up, .down)
        var pauses: [Int64] = []
        for _ in 0..<8 {
            #expect(stage.next() == ["trouble 10.0.0.1:80 down"])
            stage.herald.failed(isRefusal: false, now: stage.now.instant)
            let begin = stage.seconds
            while stage.herald.wakeAt(now: stage.now) ?? .distantFuture > stage.now.instant {
                stage.seconds += 1
            }
            pauses.append(stage.seconds - begin)
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60])
        _ = stage.next()
        stage.arrives()
        #expect(stage.herald.waiting.isEmpty)
        #expect(stage.herald.failuresInARow == 0)
    }

    @Test func `whoever says when to come again is not asked before`() {
        var stage = Stage()
        stage.turn(.up, .down)
        _ = stage.next()
        stage.herald.failed(isRefusal: false, later: .seconds(30), now: stage.now.instant)
        stage.seconds = 29
        #expect(stage.next() == nil)
        stage.seconds = 30
        #expect(stage.next() != nil)
    }

    @Test func `a message that is refused again and again is given up, and the next goes on`() {
        var stage = Stage { $0.batchMax = 1 }
        stage.turn(.up, .down, "a:1")
        stage.turn(.up, .down, "b:1")
        for _ in 0..<Herald.refusalsMax {
            #expect(stage.next() == ["trouble a:1 down"])
            stage.herald.failed(isRefusal: true, now: stage.now.instant)
            stage.seconds += 100
        }
        let batch = stage.herald.next(now: stage.now, by: "a1")
        #expect(batch?.notices.map(Stage.words) == ["trouble b:1 down"])
        #expect(batch?.leftOut == 1)
        #expect(stage.herald.counts.leftOut == 1)
    }

    @Test func `who was not there has refused nothing`() {
        var stage = Stage { $0.batchMax = 1 }
        stage.turn(.up, .down, "a:1")
        for attempt in 1..<2 * Herald.refusalsMax {
            #expect(stage.next() == ["trouble a:1 down"])
            // Away, and its doorkeeper says once in between that there is nobody.
            let isRefusal = attempt % 2 == 0
            #expect(stage.herald.failed(isRefusal: isRefusal, now: stage.now.instant).isEmpty)
            stage.seconds += 100
        }
        #expect(stage.next() == ["trouble a:1 down"])
        #expect(stage.herald.failed(isRefusal: true, now: stage.now.instant).count == 1)
    }

    @Test func `a receiver that is long away is told how much it missed, in order, and no more`() {
        var stage = Stage()
        let count = Herald.waitingMax + 250
        for index in 0..<count { stage.turn(.up, .down, "p\(index):1") }
        #expect(stage.herald.waiting.count == Herald.waitingMax)
        var seen: [String] = []
        var missed = 0
        while let batch = stage.herald.next(now: stage.now, by: "a1") {
            missed += batch.leftOut
            seen += batch.notices.map(\.peer.peer)
            stage.herald.sent(now: stage.now.instant)
        }
        #expect(missed == 250)
        #expect(seen == (250..<count).map { "p\($0):1" })
        #expect(stage.herald.leftOut == 0)
    }

    @Test func `who comes and goes is told of once, and again when it has settled`() {
        var stage = Stage {
            var flap = HeraldRules.Flap()
            (flap.changes, flap.within) = (4, .seconds(60))
            $0.flap = flap
        }
        var told: [String] = []
        for turn in 0..<20 {
            stage.seconds = Int64(turn)
            stage.turn(turn % 2 == 0 ? .up : .down, turn % 2 == 0 ? .down : .up)
            told += stage.next() ?? []
            stage.arrives()
        }
        #expect(
            told == [
                "trouble 10.0.0.1:80 down", "resolved 10.0.0.1:80 up", "trouble 10.0.0.1:80 down",
                "flapping 10.0.0.1:80 up",
            ]
        )
        #expect(stage.herald.counts.suppressed == 16)
        // A minute after the last turn, and not before.
        stage.seconds = 78
        #expect(stage.next() == nil)
        stage.seconds = 79
        #expect(stage.next() == ["settled 10.0.0.1:80 up"])
        stage.arrives()
        stage.seconds = 200
        stage.turn(.up, .down)
        #expect(stage.next() == ["trouble 10.0.0.1:80 down"])
    }

    @Test func `trouble that goes on is told again, and ends with the reminders`() {
        var stage = Stage { $0.remind = .seconds(60) }
        stage.turn(.up, .down)
        _ = stage.next()
        stage.arrives()
        stage.seconds = 59
        #expect(stage.next() == nil)
        stage.seconds = 60
        #expect(stage.next() == ["reminder 10.0.0.1:80 down"])
        stage.arrives()
        stage.seconds = 119
        #expect(stage.next() == nil)
        stage.turn(.down, .up)
        #expect(stage.next() == ["resolved 10.0.0.1:80 up"])
        stage.arrives()
        stage.seconds = 1_000
        #expect(stage.next() == nil)
        #expect(stage.herald.wakeAt(now: stage.now) == nil)
    }

    @Test func `quiet hours hold back, and lose nothing`() {
        // 2023-11-14T22:13:20Z is when the stage begins.
        let night = CalendarWindow(
            days: Set(CalendarWindow.Day.allCases),
            from: 22 * 60,
            to: 22 * 60 + 30,
            zone: .utc
        )
        var stage = Stage { $0.quiet = [night] }
        stage.turn(.up, .down)
        stage.seconds = 60
        stage.turn(.down, .up)
        #expect(stage.next() == nil)
        #expect(stage.herald.wakeAt(now: stage.now) == Stage.moment(1_000).instant)
        stage.seconds = 999
        #expect(stage.next() == nil)
        stage.seconds = 1_000
        #expect(stage.next() == ["trouble 10.0.0.1:80 down", "resolved 10.0.0.1:80 up"])
    }

    @Test func `a peer that is defined no more is in trouble no more`() {
        var stage = Stage()
        stage.turn(.up, .down)
        _ = stage.next()
        stage.arrives()
        stage.herald.gone(PeerKey(upstream: "web", peer: "10.0.0.1:80"), now: stage.now)
        #expect(stage.next() == ["resolved 10.0.0.1:80 unknown"])
    }

    @Test func `what another agent has told is not told here`() {
        var stage = Stage()
        stage.turn(.up, .down, "a:1")
        stage.turn(.up, .down, "b:1")
        stage.turn(.down, .up, "a:1")
        stage.herald.toldElsewhere(PeerKey(upstream: "web", peer: "a:1"), .trouble, .down)
        #expect(stage.next() == ["trouble b:1 down", "resolved a:1 up"])
    }

    @Test func `what waits, and whom the receiver knows in trouble, outlives the process`() throws {
        var stage = Stage()
        stage.turn(.up, .down, "a:1")
        _ = stage.next()
        stage.arrives()
        stage.turn(.up, .down, "b:1")
        var next = Herald("ops", stage.herald.rules)
        for notice in stage.herald.standingNotices {
            let kept = try #require(Notice(kept: notice.kept))
            #expect(kept == notice)
            next.restore(standingOf: kept, now: stage.now.instant)
        }
        for notice in stage.herald.waiting {
            let kept = try #require(Notice(kept: notice.kept))
            #expect(kept == notice)
            next.restore(kept, now: stage.now.instant)
        }
        #expect(next.troubled == 2)
        #expect(
            next.next(now: stage.now, by: "a1")?.notices.map(Stage.words) == ["trouble b:1 down"]
        )
    }

    /// Every history of eight turns of two peers, with a receiver that is away at times: what it has heard in
    /// the end is how things are, each turn at most once and in order.
    @Test func `no history makes a receiver believe what is not so`() {
        for history in 0..<(1 << 8) {
            for outage in 0..<(1 << 4) {
                var stage = Stage()
                var isDown = [false, false]
                var believed = [false, false]
                var ids: [UInt64] = []
                func deliver(_ stage: inout Stage, _ works: Bool) {
                    guard let batch = stage.herald.next(now: stage.now, by: "a1") else { return }
                    guard works else {
                        stage.herald.failed(isRefusal: false, now: stage.now.instant)
                        return
                    }
                    for notice in batch.notices {
                        believed[notice.peer.peer == "p0:1" ? 0 : 1] = notice.isTrouble
                        ids.append(notice.id)
                    }
                    stage.herald.sent(now: stage.now.instant)
                }
                for turn in 0..<8 {
                    let peer = history >> turn & 1
                    stage.turn(isDown[peer] ? .down : .up, isDown[peer] ? .up : .down, "p\(peer):1")
                    isDown[peer].toggle()
                    stage.seconds += 70
                    deliver(&stage, outage >> (turn / 2) & 1 == 0)
                }
                stage.seconds += 70
                deliver(&stage, true)
                #expect(believed == isDown, "history \(history), outage \(outage)")
                #expect(ids == ids.sorted() && Set(ids).count == 8)
            }
        }
    }
}
