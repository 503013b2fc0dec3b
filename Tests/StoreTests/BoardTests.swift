// Is the board right at every moment, and does it tell exactly what changed? Time is the test's.

import EventLoop
import Health
import Store
import Synchronization
import Testing
import Vocabulary

/// A clock that stands until it is moved.
private final class HandClock {
    var moment = Moment(
        instant: Instant(nanoseconds: 0),
        wall: WallTime(milliseconds: 1_795_000_000_000)
    )
    var wall: WallTime { moment.wall }

    /// As NTP or a person does.
    func set(by step: Nanoseconds) {
        moment = Moment(instant: moment.instant, wall: moment.wall + step)
    }

    func move(_ span: Nanoseconds) {
        moment = Moment(instant: moment.instant + span, wall: moment.wall + span)
    }
}

private final class Watcher: BoardObserver {
    var peers: [String] = []
    var upstreams: [[String]] = []
    var panics: [Bool] = []
    var events: [TransitionEvent] = []

    func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change) { peers.append(key.peer) }
    func defined(_ upstreams: [String], _ peers: [PeerKey]) {
        self.upstreams.append(Set(upstreams).union(peers.map(\.upstream)).sorted())
    }
    func panicChanged(_ upstream: String, isPanic: Bool) { panics.append(isPanic) }
    func transition(_ event: TransitionEvent) { events.append(event) }
}

@Suite struct BoardTests {
    private let clock = HandClock()
    private let watcher = Watcher()
    private let lines = Lines()
    private let loop: EventLoop
    private let board: Board

    init() throws {
        loop = try EventLoop(name: "board")
        board = Board(loop: loop, journal: lines.journal, strangerTime: .zero) { [clock] in
            clock.moment
        }
        board.subscribe(watcher)
    }

    private func define(
        _ peers: [String] = ["a", "b", "c"],
        backups: [String] = [],
        slowStart: Nanoseconds = .zero,
        panicThreshold: Double = 0.5,
        allDown: UpstreamDefinition.AllDown = .failOpen,
        monitors: [MonitorSummary] = [.sample()]
    ) {
        let definitions = (peers + backups).map {
            PeerDefinition(
                id: $0,
                address: .host($0, port: 80),
                weight: 2,
                isBackup: backups.contains($0)
            )
        }
        board.define(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: definitions,
                    slowStart: slowStart,
                    panicThreshold: panicThreshold,
                    allDown: allDown
                )
            ],
            monitors: monitors
        )
    }

    private func say(
        _ status: HealthCounter.Status,
        of peer: String,
        by monitor: String = "http",
        sequence: UInt64,
        life: Nanoseconds = .seconds(5)
    ) {
        board.apply(
            .sample(
                status,
                peer: peer,
                monitor: monitor,
                sequence: sequence,
                at: clock.wall,
                life: life
            )
        )
    }

    private func key(_ peer: String) -> PeerKey { PeerKey(upstream: "web", peer: peer) }

    // MARK: Status

    @Test
    func `of those that could serve no more than a share is ejected, whoever goes down meanwhile`()
    {
        define(["a", "b", "c", "d"])
        for peer in ["a", "b", "c", "d"] { say(.up, of: peer, sequence: 1) }
        let ejected = { [board] in
            ["a", "b", "c", "d"].filter {
                board.view(of: PeerKey(upstream: "web", peer: $0))?.routing == .ejected
            }
        }
        #expect(board.eject(key("b"), for: .seconds(60), "b"))
        #expect(board.eject(key("a"), for: .seconds(30), "a"))
        #expect(!board.eject(key("c"), for: .seconds(30), "c"))
        #expect(ejected() == ["a", "b"])
        // Of three that could serve one may be out: the first to come back anyway does.
        say(.down, of: "c", sequence: 2)
        #expect(ejected() == ["b"])
        #expect(board.view(of: key("a"))?.isAvailable == true)
        // It comes up as one that is held back, beside the one that is out.
        board.holdBack(key("c"), for: .seconds(10), "c", until: .none)
        say(.up, of: "c", sequence: 3)
        #expect(ejected() == ["b", "c"])
        say(.down, of: "d", sequence: 2)
        #expect(ejected() == ["b"])
        say(.down, of: "a", sequence: 2)
        say(.down, of: "c", sequence: 4)
        #expect(ejected().isEmpty)
        #expect(board.view(of: key("b"))?.isAvailable == true)
    }

    /// Another agent's clock was set back, and it has taken the pair over.
    @Test func `a word that was over when it came replaces none that holds`() {
        define(["a"])
        let own = Verdict.sample(.up, peer: "a", agent: "a1", epoch: 1, sequence: 9, at: clock.wall)
        board.apply(own)
        let past = clock.wall + -.seconds(7_200)
        var late = Verdict.sample(.down, peer: "a", agent: "a2", epoch: 2, sequence: 5, at: past)
        for _ in 0..<2 { board.storeChanged(late) }
        #expect(board.view(of: own.key.peerKey)?.status == .up)
        let held = board.verdict(of: own.key)
        #expect(held?.agent == "a1" && held?.status == .up && held?.expiresAt == own.expiresAt)
        #expect(held?.epoch == 2 && held?.sequence == 5, "our next word comes after both")
        // One that holds is believed, as always.
        late = Verdict.sample(.down, peer: "a", agent: "a2", epoch: 2, sequence: 6, at: clock.wall)
        board.storeChanged(late)
        #expect(board.view(of: own.key.peerKey)?.status == .down)
    }

    /// Its store took no writes: it probed what another holds, whose word was over when it was read again.
    @Test func `what was said without a claim gives way to a word that is vouched for`() {
        define(["a"])
        var own = Verdict.sample(
            .down,
            peer: "a",
            agent: "a1",
            epoch: 2,
            sequence: 5,
            at: clock.wall
        )
        own.expiresAt = clock.wall + .seconds(3)
        board.apply(own)
        var renewed = Verdict.sample(
            .up,
            peer: "a",
            agent: "a2",
            epoch: 2,
            sequence: 5,
            at: clock.wall + -.seconds(1)
        )
        renewed.expiresAt = clock.wall + .seconds(12)
        board.storeRenewed(renewed, isSaidHere: true)
        #expect(board.verdict(of: own.key)?.agent == "a1", "it is still probed here")
        board.storeRenewed(renewed, isSaidHere: false)
        #expect(board.verdict(of: own.key)?.agent == "a2")
        #expect(board.view(of: own.key.peerKey)?.status == .up)
    }

    @Test func `a peer nobody probed is unknown, and may be tried`() {
        define()
        #expect(board.upstream(named: "web")?.status == .unknown)
        #expect(board.view(of: key("a"))?.status == .unknown)
        #expect(board.view(of: key("a"))?.isAvailable == true)
        #expect(board.upstream(named: "none") == nil)
    }

    @Test(arguments: [
        ("UUU", 0.5, UpstreamStatus.up, false),
        ("UUD", 0.5, .degraded, false),
        ("UDD", 0.5, .panic, true),
        ("DDD", 0.5, .panic, true),
        ("DDD", 0.0, .down, false),
        ("UDD", 0.0, .degraded, false),
        ("UUD", 1.0, .panic, true),
        ("UUU", 1.0, .up, false),
        ("UDD", UpstreamDefinition.panicThresholdDefault, .degraded, false),
        ("DDD", UpstreamDefinition.panicThresholdDefault, .panic, true),
    ])
    func `an upstream's status follows its peers`(
        peers: String,
        threshold: Double,
        status: UpstreamStatus,
        isPanic: Bool
    ) {
        define(panicThreshold: threshold)
        for (name, letter) in zip(["a", "b", "c"], peers) {
            say(letter == "U" ? .up : .down, of: name, sequence: 1)
        }
        let view = board.upstream(named: "web")
        #expect(view?.status == status)
        #expect(view?.isPanic == isPanic)
    }

    @Test(arguments: [
        (UpstreamDefinition.AllDown.failOpen, UpstreamStatus.degraded),
        (.failClosed, .degraded),
        (.backup, .degraded),
    ])
    func `with all primaries down it depends on all-down`(
        allDown: UpstreamDefinition.AllDown,
        status: UpstreamStatus
    ) {
        define(["a", "b"], backups: ["spare"], allDown: allDown)
        say(.up, of: "spare", sequence: 1)
        say(.down, of: "a", sequence: 1)
        say(.down, of: "b", sequence: 1)
        #expect(board.upstream(named: "web")?.status == status)
    }

    @Test func `whoever asked to leave does not count towards panic`() {
        define(["a", "b", "c", "d"])
        for peer in ["a", "b", "c", "d"] { say(.up, of: peer, sequence: 1) }
        for peer in ["b", "c", "d"] {
            board.set(intent: Intent(mode: .drain), for: key(peer))
        }
        #expect(board.upstream(named: "web")?.isPanic == false)
        #expect(board.upstream(named: "web")?.status == .up)
        say(.down, of: "a", sequence: 2)
        #expect(board.upstream(named: "web")?.isPanic == true)
        #expect(watcher.panics == [true])
        say(.up, of: "a", sequence: 3)
        #expect(watcher.panics == [true, false])
    }

    /// Rows: peers, how many of them are well, and whether that is a panic by default.
    @Test(arguments: [
        (1, 1, false), (1, 0, true), (2, 1, false), (2, 0, true), (3, 1, false), (3, 0, true),
        (10, 1, false), (10, 0, true), (20, 2, false), (20, 1, true), (50, 5, false),
        (50, 4, true), (100, 10, false), (100, 9, true),
    ])
    func `by default panic is when one would carry more than ten`(
        peers: Int,
        well: Int,
        isPanic: Bool
    ) {
        let names = (0..<peers).map { "p\($0)" }
        define(names, panicThreshold: UpstreamDefinition.panicThresholdDefault)
        for (index, name) in names.enumerated() {
            say(index < well ? .up : .down, of: name, sequence: 1)
        }
        #expect(board.upstream(named: "web")?.isPanic == isPanic)
    }

    @Test func `a weight of zero is no loss, and no panic`() {
        define(["a", "b", "c"])
        for peer in ["a", "b", "c"] { say(.up, of: peer, sequence: 1) }
        for peer in ["b", "c"] {
            board.set(
                intent: Intent(mode: .ready, weight: 0),
                for: key(peer)
            )
        }
        #expect(board.upstream(named: "web")?.isPanic == false)
        say(.down, of: "b", sequence: 2)
        #expect(board.upstream(named: "web")?.isPanic == false)
        say(.down, of: "a", sequence: 2)
        #expect(board.upstream(named: "web")?.isPanic == true)
        #expect(watcher.panics == [true])
    }

    @Test func `backups that are down are tried when nobody else is left`() {
        define(["a"], backups: ["spare"], allDown: .backup)
        say(.up, of: "a", sequence: 1)
        say(.down, of: "spare", sequence: 1)
        #expect(board.upstream(named: "web")?.isPanic == false, "it would route as before")
        board.set(intent: Intent(mode: .maint), for: key("a"))
        #expect(board.upstream(named: "web")?.isPanic == true)
        say(.up, of: "spare", sequence: 2)
        #expect(board.upstream(named: "web")?.isPanic == false)
    }

    /// Every combination of four peers' states: the counts kept step by step are the counts made
    /// from scratch.
    @Test func `panic by counting agrees with panic by looking`() {
        define(["a", "b", "c", "d"])
        var sequence: UInt64 = 0
        for state in 0..<256 {
            for (index, peer) in ["a", "b", "c", "d"].enumerated() {
                sequence += 1
                let digit = state >> (2 * index) & 3
                say(digit & 1 == 1 ? .up : .down, of: peer, sequence: sequence)
                board.set(
                    intent: digit & 2 == 2 ? Intent(mode: .maint) : nil,
                    for: key(peer)
                )
            }
            let peers = board.upstream(named: "web")?.peers ?? []
            let wanted = peers.filter { $0.view.routing != .maint && $0.view.routing != .drain }
            let available = wanted.filter(\.view.isAvailable)
            let isPanic =
                !wanted.isEmpty && Double(available.count) / Double(wanted.count) < 0.5
            #expect(board.upstream(named: "web")?.isPanic == isPanic, "state \(state)")
        }
    }

    // MARK: Verdicts

    @Test func `an older verdict changes nothing`() {
        define()
        say(.down, of: "a", sequence: 5)
        let before = board.upstream(named: "web")
        say(.up, of: "a", sequence: 4)
        #expect(board.view(of: key("a"))?.status == .down)
        #expect(board.upstream(named: "web") == before)
    }

    @Test func `a verdict that only renews tells nobody`() {
        define()
        say(.up, of: "a", sequence: 1)
        let told = watcher.peers.count
        clock.move(.seconds(1))
        say(.up, of: "a", sequence: 2)
        #expect(watcher.peers.count == told)
        #expect(
            board.report(of: key("a"))?.verdicts.first?.checkedAt == clock.wall,
            "but readers see it"
        )
    }

    @Test func `a change of one peer is told of that peer alone`() {
        define()
        for peer in ["a", "b", "c"] { say(.up, of: peer, sequence: 1) }
        watcher.peers = []
        say(.down, of: "b", sequence: 2)
        #expect(watcher.peers == ["b"])
        #expect(watcher.events.last?.to == .down)
        #expect(watcher.events.last?.peer == key("b"))
        #expect(Set(watcher.events.map(\.id)).count == 4)
        #expect(watcher.events.map(\.id) == watcher.events.map(\.id).sorted())
    }

    @Test func `a verdict that came before its pair was defined is used then`() {
        say(.down, of: "a", sequence: 1)
        #expect(board.view(of: key("a")) == nil)
        define()
        #expect(board.view(of: key("a"))?.status == .down)
    }

    @Test func `an optional monitor only degrades`() {
        define(monitors: [.sample(), .sample("port", isRequired: false)])
        say(.up, of: "a", sequence: 1)
        say(.down, of: "a", by: "port", sequence: 2)
        #expect(board.view(of: key("a"))?.status == .degraded)
        #expect(board.view(of: key("a"))?.isAvailable == true)
    }

    // MARK: Time

    /// A store reads all again from time to time, and so tells what it told before.
    @Test(arguments: [-3_600, 3_600] as [Int64])
    func `what another agent said holds from its receipt, however often it is read`(
        seconds: Int64
    ) {
        define(["a"])
        let said = Verdict.sample(.up, peer: "a", agent: "b", at: clock.wall, life: .seconds(10))
        board.storeChanged(said)
        #expect(board.view(of: key("a"))?.status == .up)
        clock.move(.seconds(4))
        clock.set(by: .seconds(seconds))
        board.storeChanged(said)
        #expect(board.view(of: key("a"))?.status == .up, "read again after the clock was set")
        clock.move(.seconds(6))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .up)
        board.storeChanged(said)
        clock.move(.milliseconds(1))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .unknown, "not longer than it said")
        board.storeChanged(said)
        #expect(board.view(of: key("a"))?.status == .unknown, "nor anew")
    }

    /// The file of the life before says until when that one believed it itself; the store keeps it for longer, and
    /// numbered it otherwise.
    @Test
    func `what a process finds of its former life in the store holds as long as it does there`() {
        define(["a"])
        let left = Verdict.sample(.up, peer: "a", sequence: 900, at: clock.wall, life: .seconds(3))
        board.storeChanged(left)
        var stored = left
        stored.sequence = 12
        stored.expiresAt = left.checkedAt + .seconds(13)
        board.storeChanged(stored)
        clock.move(.seconds(12))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .up)
        clock.move(.seconds(2))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .unknown)
    }

    @Test func `a verdict that expires becomes unknown by itself and keeps its routing`() {
        define()
        say(.down, of: "a", sequence: 1)
        clock.move(.seconds(5))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .down, "valid up to the last moment")
        clock.move(.milliseconds(1))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .unknown)
        #expect(
            board.view(of: key("a"))?.isAvailable == false,
            "the last it was known to be is down"
        )
        #expect(board.view(of: key("a"))?.reason.contains("expired") == true)
        #expect(watcher.events.last?.to == .unknown)
    }

    @Test func `an intent ends by itself`() {
        define()
        say(.up, of: "a", sequence: 1, life: .seconds(1_000))
        board.set(
            intent: Intent(mode: .maint, until: clock.wall + .seconds(60)),
            for: key("a")
        )
        #expect(board.view(of: key("a"))?.status == .maint)
        clock.move(.seconds(60))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .up)
    }

    @Test func `a peer that recovers is started slowly, step by step`() {
        define(slowStart: .seconds(10))
        say(.down, of: "a", sequence: 1)
        say(.up, of: "a", sequence: 2, life: .seconds(100))
        #expect(board.view(of: key("a"))?.status == .starting)
        var weights: [Int] = []
        for _ in 0..<12 {
            weights.append(board.view(of: key("a"))?.effectiveCentiweight ?? -1)
            clock.move(.seconds(1))
            board.refreshAll()
        }
        #expect(weights == [20, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 200])
        #expect(board.view(of: key("a"))?.status == .up)
    }

    @Test(arguments: [3_600, -7_200, 86_400, -86_400_000, 40] as [Int64])
    func `a clock that is set changes no status, and is told of once`(seconds: Int64) {
        define(["a", "b"], slowStart: .seconds(10))
        say(.up, of: "a", sequence: 1, life: .seconds(100))
        say(.down, of: "b", sequence: 1, life: .seconds(100))
        let told = watcher.events.count
        clock.set(by: .seconds(seconds))
        board.refreshAll()
        #expect(board.view(of: key("a"))?.status == .up)
        #expect(board.view(of: key("a"))?.since == clock.wall)
        #expect(board.view(of: key("b"))?.status == .down)
        say(.up, of: "b", sequence: 2, life: .seconds(100))
        clock.move(.seconds(5))
        board.refreshAll()
        #expect(board.view(of: key("b"))?.status == .starting)
        clock.move(.seconds(5))
        board.refreshAll()
        #expect(board.view(of: key("b"))?.status == .up)
        clock.move(.milliseconds(90_001))
        board.refreshAll()
        #expect(board.view(of: key("b"))?.status == .unknown)
        #expect(watcher.events[told...].map(\.to) == [.starting, .up, .unknown, .unknown])
        #expect(lines.all.filter { $0.contains("the clock was set") }.count == 1)
    }

    @Test func `a drain until a time of day ends when the clock is set past it`() {
        define(["a"])
        say(.up, of: "a", sequence: 1)
        var sequence: UInt64 = 1
        let until = clock.wall + .seconds(600)
        board.set(intent: Intent(mode: .drain, until: until), for: key("a"))
        for step in [3_600, -7_200, 86_400] as [Int64] {
            clock.set(by: .seconds(step))
            // A probe that finds what the one before found.
            sequence += 1
            say(.up, of: "a", sequence: sequence)
            #expect(board.view(of: key("a"))?.status == .up)
        }
    }

    @Test func `a restart tells of the peers it finds in one line, and since when they are so`() {
        define(["a", "b", "c"])
        let before = clock.wall + .seconds(-900)
        for (peer, status) in [("a", HealthCounter.Status.up), ("b", .down)] {
            var verdict = Verdict.sample(status, peer: peer, at: clock.wall)
            verdict.since = before
            board.storeChanged(verdict)
            #expect(board.view(of: key(peer))?.since == before)
        }
        say(.up, of: "c", sequence: 1)
        #expect(lines.all.count == 1, "the one that has changed")
        #expect(lines.all.first?.contains("web/c is UP") == true)
        // The timer of the peers, and that of the line.
        #expect(loop.timerCount == 2)
        board.due(tag: -1)
        #expect(
            lines.all.last
                == "warning: 2 peers are as before the start: 1 down, 1 up (down: web/b)"
        )
        board.close()
        #expect(loop.timerCount == 0)
    }

    @Test func `a restart finds a drain as old as it is, and tells of no change`() {
        define(["a", "b"])
        let before = clock.wall + .seconds(-900)
        for (peer, status) in [("a", HealthCounter.Status.up), ("b", .down)] {
            let asking = Asking(key(peer), Intent(mode: .drain), since: before + .seconds(60))
            board.storeChanged(asking)
            #expect(board.view(of: key(peer))?.status == .drain)
            var verdict = Verdict.sample(status, peer: peer, at: clock.wall)
            verdict.since = before
            board.storeChanged(verdict)
        }
        #expect(board.view(of: key("a"))?.since == before + .seconds(60))
        #expect(board.view(of: key("b"))?.status == .down)
        #expect(board.view(of: key("b"))?.since == before)
        #expect(!lines.all.contains { $0.contains("web/a") || $0.contains("web/b") })
        #expect(board.events.events.isEmpty)
        board.due(tag: -1)
        #expect(
            lines.all.last
                == "warning: 2 peers are as before the start: 1 down, 1 drain (down: web/b)"
        )
        // What is asked for from now on is news as ever.
        clock.move(.seconds(5))
        board.storeChanged(Asking<Intent>(key("a"), nil))
        #expect(board.view(of: key("a"))?.since == clock.wall)
        #expect(lines.all.contains { $0.contains("web/a is UP") })
        board.close()
    }

    @Test func `who has changed since the start is not told of as before it`() {
        define(["a", "b", "c"])
        for (peer, status) in [("a", HealthCounter.Status.up), ("b", .up), ("c", .down)] {
            var verdict = Verdict.sample(status, peer: peer, at: clock.wall)
            verdict.since = clock.wall + .seconds(-900)
            board.storeChanged(verdict)
        }
        say(.down, of: "b", sequence: 2)
        say(.up, of: "c", sequence: 2)
        board.due(tag: -1)
        #expect(lines.all.last == "notice: 1 peer is as before the start: 1 up")
        board.close()
    }

    @Test func `a timer brings the next change about`() throws {
        let real = Board(loop: loop)
        real.define(
            [UpstreamDefinition(name: "web", peers: [PeerDefinition(address: .unix(path: "/a"))])],
            monitors: [.sample()]
        )
        let peer = PeerKey(upstream: "web", peer: "unix:/a")
        let stop = Stop(loop: loop) { real.view(of: peer)?.status == .unknown }
        real.subscribe(stop)
        real.apply(.sample(.up, peer: peer.peer, life: .seconds(2)))
        #expect(real.view(of: peer)?.status == .up)
        // A loop that nothing stops would hold up every other test for ever.
        let timers = Timers(loop: loop)
        _ = timers.schedule(after: .seconds(60)) { [loop] in
            Issue.record("no timer brought the change about")
            loop.stop()
        }
        loop.run()
        timers.cancelAll()
        #expect(real.view(of: peer)?.status == .unknown)
        real.close()
    }

    private final class Stop: BoardObserver {
        let loop: EventLoop
        let condition: () -> Bool
        init(loop: EventLoop, _ condition: @escaping () -> Bool) {
            self.loop = loop
            self.condition = condition
        }
        func transition(_ event: TransitionEvent) { if condition() { loop.stop() } }
    }

    @Test func `a thousand renewals set one timer`() {
        define(["a"])
        for sequence in 1...1_000 {
            say(.up, of: "a", sequence: UInt64(sequence))
            clock.move(.milliseconds(1))
        }
        #expect(loop.timerCount == 1)
        board.close()
        #expect(loop.timerCount == 0)
    }

    @Test func `one timer tells of each peer in its time`() {
        define(["a", "b", "c"])
        for (peer, life) in [("a", 300), ("b", 100), ("c", 200)] as [(String, Int64)] {
            board.apply(.sample(.up, peer: peer, at: clock.wall, life: .milliseconds(life)))
        }
        #expect(loop.timerCount == 1)
        var told: [[String]] = []
        for _ in 0..<3 {
            watcher.peers = []
            clock.move(.milliseconds(101))
            board.refreshAll()
            told.append(watcher.peers)
        }
        #expect(told == [["b"], ["c"], ["a"]])
        board.close()
        #expect(loop.timerCount == 0)
    }

    @Test func `a place from before a redefinition never leads to another peer`() throws {
        let pair = VerdictKey(upstream: "web", peer: "b", monitor: "http")
        define(["a", "b"])
        var hint: Board.Place?
        let before = try #require(board.find(pair, from: &hint))
        board.apply(.sample(.up, peer: "b", at: clock.wall), at: before, now: clock.moment)
        #expect(board.verdict(at: before, by: "http")?.status == .up)

        // Where one goes the others move up, and no place is where it was.
        define(["b"])
        define(["b", "a"])
        #expect(board.verdict(at: before, by: "http") == nil)
        let news = Verdict.sample(.down, peer: "b", sequence: 2, at: clock.wall)
        board.apply(news, at: before, now: clock.moment)
        #expect(board.view(of: key("b"))?.status == .down)
        #expect(board.view(of: key("a"))?.status == .unknown)
        let after = try #require(board.find(pair, from: &hint))
        #expect(board.verdict(at: after, by: "http")?.status == .down)

        define(["a"])
        #expect(board.find(pair, from: &hint) == nil)
        board.define([], monitors: [])
        board.apply(news, at: after, now: clock.moment)
        #expect(board.view(of: key("b")) == nil)
    }

    // MARK: Defining

    @Test func `defining the same again changes nothing`() {
        define()
        say(.up, of: "a", sequence: 1)
        let before = board.upstream(named: "web")
        define()
        #expect(board.upstream(named: "web") == before)
        #expect(watcher.upstreams == [["web"]])
    }

    @Test func `a peer that is added or removed leaves the others as they were`() {
        define(["a", "b"])
        say(.down, of: "a", sequence: 1)
        clock.move(.seconds(1))
        define(["a", "c"])
        #expect(board.upstream(named: "web")?.peers.map(\.definition.id) == ["a", "c"])
        #expect(board.view(of: key("a"))?.status == .down)
        #expect(board.view(of: key("b")) == nil)
        #expect(board.view(of: key("c"))?.status == .unknown)
        define(["a", "b"])
        #expect(board.view(of: key("b"))?.status == .unknown, "not healthy before it was probed")
    }

    @Test func `a detached monitor no longer counts`() {
        define(monitors: [.sample(), .sample("port")])
        say(.up, of: "a", sequence: 1)
        say(.down, of: "a", by: "port", sequence: 2)
        #expect(board.view(of: key("a"))?.status == .down)
        define(monitors: [.sample()])
        #expect(board.view(of: key("a"))?.status == .up)
        #expect(watcher.events.last?.to == .up)
    }

    @Test func `an intent outlives its peer`() {
        define(["a", "b"])
        board.set(intent: Intent(mode: .drain), for: key("b"))
        define(["a"])
        define(["a", "b"])
        #expect(board.view(of: key("b"))?.status == .drain)
    }

    @Test func `a removed upstream is gone, and told of`() {
        define()
        board.define([], monitors: [])
        #expect(board.upstreams.isEmpty)
        #expect(watcher.upstreams == [["web"], ["web"]])
        #expect(loop.timerCount == 0)
    }

    // MARK: Telling

    @Test func `a transition is told in one line, as HAProxy does`() {
        define(["127.0.0.1:9001", "b"])
        say(.up, of: "127.0.0.1:9001", sequence: 1)
        say(.up, of: "b", sequence: 1)
        clock.move(.seconds(723))
        board.apply(
            .sample(
                .down,
                peer: "127.0.0.1:9001",
                sequence: 2,
                at: clock.wall,
                message: "Connection refused"
            )
        )
        #expect(
            lines.all.last
                == "warning: web/127.0.0.1:9001 is DOWN, reason: L4CON Connection refused (http), "
                + "after 12m3s up, check took 1ms, 1 of 2 peers left"
        )
    }

    @Test func `events are kept for those who ask later, up to a limit`() {
        define(["a"])
        for sequence in 1...EventLog.capacityDefault * 3 {
            say(sequence.isMultiple(of: 2) ? .up : .down, of: "a", sequence: UInt64(sequence))
        }
        let all = board.events.events
        let kept = EventLog.capacityDefault
        #expect(all.count >= kept && all.count < kept * 2)
        #expect(all.map(\.id) == watcher.events.suffix(all.count).map(\.id))
        let page = board.events.page(after: all[all.count - 3].id)
        #expect(page.events == Array(all.suffix(2)))
        #expect(!page.hasGap)
    }
}
