// What does the log say of peers and upstreams? The words, the level, and what machines find beside them.

import EventLoop
import Health
import Synchronization
import Testing
import Vocabulary

@testable import Store

@Suite struct BoardLineTests {
    private let lines = FullLines()
    private let board: Board
    private static let start = WallTime(milliseconds: 1_795_000_000_000)

    init() throws {
        let loop = try EventLoop(name: "board")
        let time = Time()
        self.time = time
        board = Board(loop: loop, journal: lines.journal, strangerTime: .zero) { time.moment }
    }

    private final class Time {
        var moment = Moment(instant: Instant(nanoseconds: 0), wall: BoardLineTests.start)
    }
    private let time: Time

    private func move(_ span: Nanoseconds) {
        time.moment = Moment(instant: time.moment.instant + span, wall: time.moment.wall + span)
    }

    private func define(
        _ peers: [String],
        backups: [String] = [],
        panicThreshold: Double = 0,
        monitors: [MonitorSummary] = [.sample()]
    ) {
        let definitions = (peers + backups).map {
            PeerDefinition(
                id: $0,
                address: .host($0, port: 80),
                weight: 4,
                isBackup: backups.contains($0)
            )
        }
        let upstream = UpstreamDefinition(
            name: "web",
            peers: definitions,
            panicThreshold: panicThreshold
        )
        board.define([upstream], monitors: monitors)
    }

    private func say(
        _ status: HealthCounter.Status,
        of peer: String,
        sequence: UInt64,
        reason: Reason? = nil,
        code: Int? = nil,
        message: String = "words",
        changing change: (inout Verdict) -> Void = { _ in }
    ) {
        var verdict = Verdict.sample(
            status,
            peer: peer,
            sequence: sequence,
            at: time.moment.wall,
            life: .seconds(900),
            message: message
        )
        if let reason { verdict.reason = reason }
        if reason != nil { verdict.code = code }
        change(&verdict)
        board.apply(verdict)
    }

    private func key(_ peer: String) -> PeerKey { PeerKey(upstream: "web", peer: peer) }

    private func told(of peer: String) -> [String] {
        lines.all.filter { $0.text.hasPrefix("web/\(peer) ") }.map { "\($0.level): \($0.text)" }
    }

    // MARK: Levels

    struct Turn: Sendable {
        var from: HealthCounter.Status?
        var to: HealthCounter.Status
        var isDegraded = false
        var level: Journal.Level
    }

    @Test func `who comes up while too many are ejected is up, and that is one line`() {
        define(["a", "b", "c", "d"])
        for peer in ["a", "b", "c", "d"] { say(.up, of: peer, sequence: 1) }
        #expect(told(of: "d").last?.hasSuffix(", 4 of 4 peers available") == true)
        #expect(board.eject(key("b"), for: .seconds(60), "b"))
        say(.down, of: "c", sequence: 2, reason: .layer4Connect, message: "")
        board.holdBack(key("c"), for: .seconds(10), "c", until: .none)
        say(.down, of: "d", sequence: 2)
        move(.seconds(2))
        let before = told(of: "c")
        #expect(before.last?.hasPrefix("warning: web/c is DOWN, reason: L4CON (http)") == true)
        #expect(before.last?.hasSuffix(" peers left") == true)
        say(.up, of: "c", sequence: 3, reason: .layer4OK, message: "")
        #expect(
            told(of: "c").dropFirst(before.count) == [
                "notice: web/c is UP, reason: L4OK (http), after 2s down, check took 1ms, 2 of 4 peers available"
            ]
        )
    }

    @Test(arguments: [
        Turn(from: nil, to: .down, level: .warning),
        Turn(from: .up, to: .down, level: .warning),
        Turn(from: nil, to: .up, level: .notice),
        Turn(from: .down, to: .up, level: .notice),
        Turn(from: nil, to: .up, isDegraded: true, level: .warning),
        Turn(from: .up, to: .up, isDegraded: true, level: .warning),
        Turn(from: .down, to: .up, isDegraded: true, level: .notice),
    ])
    func `for the worse is a warning whatever it comes from`(turn: Turn) {
        define(["a", "b"])
        if let from = turn.from { say(from, of: "a", sequence: 1) }
        say(turn.to, of: "a", sequence: 2) { $0.isDegraded = turn.isDegraded }
        let last = lines.all.last { $0.text.hasPrefix("web/a is ") }
        #expect(last?.level == turn.level)
    }

    /// Of thousands of peers that others probe each would have a line.
    @Test func `what is unknown because the store is away is one line, and so is its return`() {
        define(["a", "b", "c"])
        for peer in ["a", "b", "c"] { say(.up, of: peer, sequence: 1) }
        var status = StoreStatus(kind: "redis", isConnected: false, since: time.moment.wall)
        board.storeStatusChanged(status)
        move(.seconds(1_000))
        board.refreshAll()
        board.due(tag: Board.storeNewsTag)
        #expect(
            lines.all.filter { $0.text.contains("UNKNOWN") }.map(\.text) == [
                "3 peers are UNKNOWN: the store is away, and what others found of them is over; requests go there "
                    + "as before"
            ]
        )
        #expect(board.events.events.count { $0.to == .unknown } == 3, "events are told each")
        status.isConnected = true
        board.storeStatusChanged(status)
        say(.up, of: "a", sequence: 2)
        say(.up, of: "b", sequence: 2)
        say(.down, of: "c", sequence: 2)
        board.due(tag: Board.storeNewsTag)
        #expect(
            lines.all.last { $0.text.contains("known again") }?.text
                == "2 peers are known again, and as before"
        )
        #expect(told(of: "c").last?.hasPrefix("warning: web/c is DOWN") == true)
        #expect(told(of: "a").count == 1, "\(told(of: "a"))")
    }

    /// Half of good news would be none.
    @Test func `that the store is connected says also that it takes no writes`() {
        var status = StoreStatus(kind: "redis", isConnected: true, since: time.moment.wall)
        board.storeStatusChanged(status)
        #expect(lines.all.last?.text == "store redis is connected")
        status.isConnected = false
        board.storeStatusChanged(status)
        (status.isConnected, status.writeError) = (true, "READONLY no")
        board.storeStatusChanged(status)
        #expect(
            lines.all.last?.text == "store redis is connected, and takes no writes: READONLY no"
        )
    }

    /// With the store there, silence is news of the peer.
    @Test func `what is unknown while the store is there has its own line`() {
        define(["a"])
        say(.up, of: "a", sequence: 1)
        board.storeStatusChanged(
            StoreStatus(kind: "redis", isConnected: true, since: time.moment.wall)
        )
        move(.seconds(1_000))
        board.refreshAll()
        #expect(told(of: "a").last?.contains("is UNKNOWN") == true)
    }

    @Test func `an order that ended before it was heard of is no news`() {
        define(["a"])
        say(.up, of: "a", sequence: 1)
        let count = lines.all.count
        let key = PeerKey(upstream: "web", peer: "a")
        board.set(intent: Intent(mode: .drain, until: Self.start + -.seconds(5)), for: key)
        board.set(intent: nil, for: key)
        #expect(lines.all.count == count)
        board.set(intent: Intent(mode: .drain, until: Self.start + .seconds(5)), for: key)
        #expect(lines.all.count > count)
    }

    @Test func `a verdict that expires is a warning, and what an operator asked for is a notice`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        move(.seconds(1_000))
        board.refreshAll()
        #expect(lines.all.last?.level == .warning)
        #expect(lines.all.last?.text.hasPrefix("web/a is UNKNOWN, reason: ") == true)
        say(.up, of: "a", sequence: 2)
        board.set(
            intent: Intent(mode: .drain, reason: "deploy"),
            for: key("a")
        )
        #expect(
            told(of: "a").last
                == "notice: web/a is DRAIN, reason: operator asked for drain: deploy, after 0ms up, "
                + "1 of 1 peer left"
        )
    }

    @Test func `a transition has its facts as fields`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        say(.down, of: "a", sequence: 2, reason: .layer7Status, code: 503, message: "Unavailable")
        #expect(
            lines.all.last { $0.fields.contains(.event("transition")) }?.fields == [
                .event("transition"), .upstream("web"), .peer("a"), .status("down"), .from("up"),
                .monitor("http"), .init("kind", "http"), .reason("L7STS"), .layer("L7"),
                .code(503), .init("detail", "Unavailable"), .init("latency_ms", 1), .agent("a1"),
                .init("available", 1), .init("wanted", 2),
            ]
        )
    }

    // MARK: Upstreams

    @Test func `an upstream without an available peer is an error, and a notice when it has one`() {
        define(["a", "b"], backups: ["spare"])
        for peer in ["a", "b", "spare"] { say(.up, of: peer, sequence: 1) }
        say(.down, of: "a", sequence: 2)
        let before = lines.all.count
        say(.down, of: "b", sequence: 2)
        say(.down, of: "spare", sequence: 2)
        say(.up, of: "spare", sequence: 3)
        say(.up, of: "a", sequence: 3)
        say(.down, of: "spare", sequence: 4)
        say(.down, of: "a", sequence: 4)
        say(.up, of: "b", sequence: 5)
        let told = lines.all[before...].filter { $0.text.hasPrefix("web ") }
        #expect(
            told.map { "\($0.level): \($0.text)" } == [
                "warning: web is served by its backups: 0 of 2 peers available, 1 backup",
                "error: web has no available peer: 2 down, 1 backup down; requests are answered 503",
                "notice: web has an available peer again: a backup; 0 of 2 peers available",
                "notice: web is served by its own peers again: 1 of 2 peers available",
                "error: web has no available peer: 2 down, 1 backup down; requests are answered 503",
                "notice: web has an available peer again: 1 of 2 peers available",
            ]
        )
        #expect(told.allSatisfy { $0.fields.contains(.upstream("web")) })
    }

    @Test
    func
        `an upstream of a source says nothing before lists name somebody, and then what is answered`()
    {
        var upstream = UpstreamDefinition(name: "web", peers: [], allDown: .failClosed)
        upstream.sourceAnswer = 502
        let monitor = MonitorSummary.sample()
        board.define([upstream], monitors: [monitor])
        #expect(lines.all.isEmpty)
        upstream.peers = [PeerDefinition(id: "a", address: .host("10.0.0.1", port: 80))]
        board.define([upstream], monitors: [monitor])
        say(.down, of: "a", sequence: 1)
        #expect(
            lines.all.filter { $0.text.hasPrefix("web ") }.map { "\($0.level): \($0.text)" } == [
                "error: web has no available peer: 1 down; requests are answered 502"
            ]
        )
        upstream.peers = []
        let before = lines.all.count
        board.define([upstream], monitors: [monitor])
        #expect(lines.all.count == before)
    }

    @Test func `an upstream that nothing is defined for says so at once`() {
        define([])
        #expect(
            lines.all.map { "\($0.level): \($0.text)" } == [
                "error: web has no available peer: it has no peers; requests are answered 503"
            ]
        )
    }

    /// Nobody is woken for a maintenance, and somebody is where it ends and nothing serves.
    @Test
    func `an upstream that is emptied as asked is a warning, and an error once it is not as asked`()
    {
        define(["a", "b"])
        for peer in ["a", "b"] { say(.up, of: peer, sequence: 1) }
        let before = lines.all.count
        board.set(intent: Intent(mode: .maint, by: "calendar"), for: key("a"))
        board.set(intent: Intent(mode: .drain, by: "root (muster/1)"), for: key("b"))
        say(.down, of: "a", sequence: 2)
        board.set(intent: nil, for: key("a"))
        say(.down, of: "b", sequence: 2)
        board.set(intent: Intent(mode: .maint), for: key("a"))
        say(.up, of: "a", sequence: 3)
        board.set(intent: nil, for: key("a"))
        let told = lines.all[before...].filter { $0.text.hasPrefix("web ") }
        #expect(
            told.map { "\($0.level): \($0.text)" } == [
                "warning: web has no available peer: all 2 peers are in maintenance or drain, "
                    + "as asked for by calendar, root (muster/1); requests are answered 503",
                "error: web has no available peer: 1 down, 1 drain; requests are answered 503",
                "notice: web has an available peer again: 1 of 1 peer available",
            ]
        )
    }

    @Test func `who is down is no peer in maintenance, however many others are`() {
        define(["a", "b"])
        for peer in ["a", "b"] { say(.up, of: peer, sequence: 1) }
        say(.down, of: "a", sequence: 2)
        board.set(intent: Intent(mode: .maint, by: "calendar"), for: key("b"))
        #expect(
            lines.all.filter { $0.text.hasPrefix("web ") }.map { "\($0.level): \($0.text)" } == [
                "error: web has no available peer: 1 down, 1 maint; requests are answered 503"
            ]
        )
    }

    @Test func `in panic the last peer's end says where requests go`() {
        define(["a"], panicThreshold: 0.5)
        say(.down, of: "a", sequence: 1)
        #expect(
            lines.all.last?.text == "web has no available peer: 1 down; requests go to all that "
                + "are not in maint, in drain or at weight 0"
        )
    }

    // MARK: Reasons

    @Test func `another reason while down is told, the same and the way back are not`() {
        define(["a", "b"])
        say(.down, of: "a", sequence: 1, reason: .layer4Connect, message: "Connection refused")
        say(.down, of: "a", sequence: 2, reason: .layer4Connect, message: "Connection refused")
        say(.down, of: "a", sequence: 3, reason: .layer7Status, code: 500, message: "Oh")
        say(.down, of: "a", sequence: 4, reason: .layer7OK, code: 200) { $0.health = 1 }
        say(.down, of: "a", sequence: 5, reason: .layer7Status, code: 500, message: "Oh")
        #expect(
            told(of: "a").dropFirst() == [
                "notice: web/a is still DOWN, reason now: L7STS/500 Oh (http), before: L4CON"
            ]
        )
    }

    /// It expired in between: what its agent says of it again is that it is on the way down.
    @Test func `a peer that is up with a failure says how many of how many`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        move(.seconds(1_000))
        board.refreshAll()
        say(.up, of: "a", sequence: 2, reason: .layer4Connect, message: "Connection refused") {
            $0.health = 2
        }
        #expect(
            told(of: "a").last?.contains(
                " is UP, reason: 1 of 2 failures: L4CON Connection refused (http), after "
            ) == true,
            "\(told(of: "a"))"
        )
    }

    /// Nobody should mend the check that does not matter.
    @Test func `an optional check that fails too is not why a peer is down`() {
        define(["a"], monitors: [.sample(), .sample("page", isRequired: false)])
        say(.up, of: "a", sequence: 1) { $0.key.monitor = "page" }
        say(.up, of: "a", sequence: 1)
        say(.down, of: "a", sequence: 2, reason: .layer4Connect, message: "Connection refused")
        say(.down, of: "a", sequence: 2, reason: .layer7Status, code: 500, message: "Oh") {
            $0.key.monitor = "page"
        }
        #expect(
            told(of: "a").last
                == "notice: web/a is still DOWN, and its optional check page fails too, reason: "
                + "L7STS/500 Oh (page)"
        )
    }

    @Test func `what a peer is degraded for is told once, whichever check spoke last`() {
        define(["a"], monitors: [.sample(), .sample("page", isRequired: false)])
        say(.down, of: "a", sequence: 1, reason: .layer7Status, code: 500, message: "Oh") {
            $0.key.monitor = "page"
        }
        say(.up, of: "a", sequence: 1)
        say(.down, of: "a", sequence: 2, reason: .layer7Status, code: 500, message: "Oh") {
            $0.key.monitor = "page"
        }
        let degraded = told(of: "a").filter { $0.contains("DEGRADED") }
        #expect(degraded.count == 1, "\(told(of: "a"))")
    }

    @Test func `reasons in turn do not fill the log`() {
        define(["a", "b"])
        for sequence in 1...100 {
            let code = sequence.isMultiple(of: 2) ? 500 : 503
            say(.down, of: "a", sequence: UInt64(sequence), reason: .layer7Status, code: code)
        }
        #expect(told(of: "a").count == 3)
        move(.seconds(61))
        say(.down, of: "a", sequence: 101, reason: .layer4Timeout, message: "no answer")
        #expect(
            told(of: "a").last
                == "notice: web/a is still DOWN, reason now: L4TOUT no answer (http), "
                + "before: L7STS/500, changes in between: 97"
        )
    }

    @Test func `a peer that could never be asked is told of once, as a warning`() {
        define(["a", "b"])
        for sequence in 1...3 {
            say(
                .unknown,
                of: "a",
                sequence: UInt64(sequence),
                reason: .resolver,
                message: "no such name"
            )
        }
        #expect(
            told(of: "a") == [
                "warning: web/a is still UNKNOWN, reason: DNS no such name (http)"
            ]
        )
    }

    @Test func `who comes out of maintenance and is down is told so once`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        board.set(intent: Intent(mode: .maint), for: key("a"))
        say(.down, of: "a", sequence: 2, reason: .layer7Status, code: 503, message: "Oh")
        let before = told(of: "a").count
        board.set(intent: Intent(mode: .ready), for: key("a"))
        say(.down, of: "a", sequence: 3, reason: .layer7Status, code: 503, message: "Oh")
        #expect(
            told(of: "a").dropFirst(before) == [
                "warning: web/a is DOWN, reason: L7STS/503 Oh (http), after 0ms maint, 1 of 2 peers left"
            ]
        )
        say(.down, of: "a", sequence: 4, reason: .layer4Connect, message: "Connection refused")
        #expect(told(of: "a").last?.contains("reason now: L4CON") == true)
    }

    @Test func `a drain and a weight asked for at once are one line each`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        board.set(intent: Intent(mode: .drain, weight: 2), for: key("a"))
        #expect(
            told(of: "a").dropFirst() == [
                "notice: web/a is DRAIN, reason: operator asked for drain, after 0ms up, 1 of 1 peer left",
                "notice: web/a is still DRAIN, operator set weight 2",
            ]
        )
    }

    @Test func `nobody counts peers that are not there`() {
        define(["a"], backups: ["spare"], panicThreshold: 0.5)
        say(.up, of: "a", sequence: 1)
        say(.up, of: "spare", sequence: 1)
        board.set(intent: Intent(mode: .maint), for: key("a"))
        say(.down, of: "spare", sequence: 2)
        let said = lines.all.map(\.text)
        #expect(!said.contains { $0.contains("0 of 0") || $0.contains("1 peers") })
        #expect(said.contains { $0.hasSuffix("0ms up, no peer but backups is meant to serve") })
        #expect(
            said.contains(
                "web is served by its backups: no peer but backups is meant to serve, 1 backup"
            )
        )
        #expect(
            said.contains(
                "web is in panic: no peer but backups is meant to serve, and none of them is available; "
                    + "requests go to all that are not in maint, in drain or at weight 0"
            )
        )
    }

    /// It has no weight, so it gets none in a panic either: what is said has to be true of it too.
    @Test func `a peer at weight 0 is no reason to panic, and gets nothing in one`() {
        define(["a", "b"], panicThreshold: 0.1)
        say(.up, of: "a", sequence: 1)
        say(.up, of: "b", sequence: 1)
        board.set(intent: Intent(weight: 0), for: key("a"))
        board.set(intent: Intent(mode: .drain), for: key("b"))
        #expect(!board.isPanic("web") && board.upstream(named: "web")?.status == .down)
        let alone = lines.all.map(\.text)
        #expect(!alone.contains { $0.contains("panic") || $0.contains("requests go") }, "\(alone)")
        #expect(
            alone.contains(
                "web has no available peer: 1 drain, 1 with weight 0; requests are answered 503"
            ),
            "\(alone)"
        )

        define(["a", "b"], backups: ["spare"], panicThreshold: 0.1)
        say(.down, of: "spare", sequence: 1)
        #expect(board.isPanic("web"))
        let said = lines.all.map(\.text)
        #expect(
            said.contains(
                "web is in panic: no peer but backups is meant to serve, and none of them is available; "
                    + "requests go to all that are not in maint, in drain or at weight 0"
            ),
            "\(said)"
        )
    }

    // MARK: Intents and weights

    @Test func `what is asked of a peer that is down is told too`() {
        define(["a", "b"])
        say(.down, of: "a", sequence: 1)
        let now = time.moment.wall
        let until = now + .seconds(600)
        board.set(
            intent: Intent(mode: .drain, reason: "deploy", until: until),
            for: key("a")
        )
        board.set(intent: Intent(weight: 2), for: key("a"))
        board.set(intent: nil, for: key("a"))
        #expect(
            told(of: "a").dropFirst() == [
                "notice: web/a is still DOWN, operator asked for drain: deploy (until \(until))",
                "notice: web/a is still DOWN, operator lifted drain; operator set weight 2",
                "notice: web/a is still DOWN, operator went back to the configured weight 4",
            ]
        )
    }

    @Test func `weight 0 has the same words in the log and in the reason, and says by whom`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        let before = told(of: "a").count
        let at = time.moment.wall
        let until = at + .seconds(600)
        var intent = Intent(weight: 0, weightReason: "deploy", weightUntil: until)
        intent.weightBy = "ann"
        board.storeChanged(Asking(key("a"), intent, sinces: [nil, at]))
        let words =
            "weight 0, set by ann at \(at) until \(until): no new requests, still probed: deploy"
        #expect(board.view(of: key("a"))?.reason == words)
        #expect(told(of: "a").dropFirst(before) == ["notice: web/a is still UP, \(words)"])
        #expect(board.view(of: key("a"))?.status == .up)
    }

    @Test func `the end of a weight is told`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        let before = told(of: "a").count
        let end = time.moment.wall + .seconds(5)
        board.set(intent: Intent(weight: 0, weightUntil: end), for: key("a"))
        move(.seconds(5))
        board.refreshAll()
        #expect(
            told(of: "a").dropFirst(before).last
                == "notice: web/a has its configured weight 4 again: the time of weight 0, which an "
                + "operator had asked for, has ended"
        )
        #expect(told(of: "a").count == before + 2)
    }

    @Test func `a slow start beneath a drain is nobody's wish`() {
        let peer = PeerDefinition(id: "a", address: .host("a", port: 80), weight: 4)
        let upstream = UpstreamDefinition(name: "web", peers: [peer], slowStart: .seconds(30))
        board.define([upstream], monitors: [.sample()])
        say(.down, of: "a", sequence: 1)
        say(.up, of: "a", sequence: 2)
        #expect(board.view(of: key("a"))?.status == .starting)
        board.set(intent: Intent(mode: .drain), for: key("a"))
        let before = told(of: "a")
        for sequence in 3...5 as ClosedRange<UInt64> {
            move(.seconds(7))
            say(.up, of: "a", sequence: sequence)
        }
        #expect(board.view(of: key("a"))?.effectiveCentiweight ?? 0 > 200)
        #expect(told(of: "a") == before)
    }

    @Test func `a peer that is taken away with its monitors is not up before it goes`() {
        define(["a"])
        say(.down, of: "a", sequence: 1)
        let events = board.events.events.count
        board.apply([
            .monitorGone(upstream: "web", id: MonitorSummary.sample().id), .peerGone(key("a")),
            .upstreamGone("web"),
        ])
        #expect(board.events.events.count == events)
        #expect(told(of: "a").count == 1, "\(told(of: "a"))")
    }

    /// As where the API defined both, and a start takes up one after the other.
    @Test func `a monitor that comes right behind its peer is no news of the peer`() {
        define(["a"], monitors: [])
        move(.milliseconds(1))
        define(["a"])
        #expect(board.view(of: key("a"))?.status == .unknown)
        #expect(told(of: "a").isEmpty && board.events.events.isEmpty)
        move(.seconds(5))
        define(["b"], monitors: [])
        move(.seconds(5))
        define(["b"])
        #expect(told(of: "b").count == 1, "it was up for a while")
    }

    @Test func `what a peer's agent wants of its weight is told`() {
        define(["a", "b"])
        say(.up, of: "a", sequence: 1)
        for (sequence, percent) in [(2, 50), (3, 0), (4, 25), (5, 25)] {
            say(.up, of: "a", sequence: UInt64(sequence)) {
                $0.hints = Hints(weightPercent: percent)
            }
        }
        #expect(
            told(of: "a").dropFirst() == [
                "info: web/a has weight 2 of 4, before 4: its agent asked for it",
                "warning: web/a is still UP, weight 0, asked for by its own agent: no new requests, "
                    + "still probed",
                "notice: web/a has weight 1 of 4, before 0: its agent asked for it",
            ]
        )
    }
}

/// Keeps lines with their fields.
final class FullLines: Sendable {
    private let kept = Mutex<[Journal.Line]>([])

    var journal: Journal {
        Journal(from: .info) { [self] (line: Journal.Line) in kept.withLock { $0.append(line) } }
    }

    var all: [Journal.Line] { kept.withLock { $0 } }
}
