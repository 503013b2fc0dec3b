// When does a peer that nobody has judged yet get requests? Not before its first verdict, for a second
// at most; and while that is waited for, nobody is called lost because of it. Time is the test's.

import EventLoop
import Health
import Store
import Testing
import Vocabulary

@Suite struct StrangerTests {
    private final class Time: BoardObserver {
        var moment = Moment(
            instant: Instant(nanoseconds: 0),
            wall: WallTime(milliseconds: 1_795_000_000_000)
        )
        var introductions = 0
        func introduced(_ upstream: String) { introductions += 1 }
    }

    private let time = Time()
    private let lines = FullLines()
    private let board: Board

    init() throws {
        let loop = try EventLoop(name: "board")
        board = Board(loop: loop, journal: lines.journal) { [time] in time.moment }
        board.subscribe(time)
    }

    private func move(_ span: Nanoseconds) {
        time.moment = Moment(instant: time.moment.instant + span, wall: time.moment.wall + span)
        board.refreshAll()
    }

    private func define(
        _ peers: [String],
        backups: [String] = [],
        slowStart: Nanoseconds = .zero,
        monitors: [MonitorSummary] = [.sample()]
    ) {
        let definitions = (peers + backups).map {
            PeerDefinition(
                id: $0,
                address: $0 == "named" ? .host("web.test", port: 80) : .host("10.0.0.1", port: 80),
                weight: 2,
                isBackup: backups.contains($0)
            )
        }
        board.define(
            [UpstreamDefinition(name: "web", peers: definitions, slowStart: slowStart)],
            monitors: monitors
        )
    }

    private func say(
        _ status: HealthCounter.Status,
        of peer: String,
        sequence: UInt64 = 1,
        reason: Reason? = nil
    ) {
        var verdict = Verdict.sample(
            status,
            peer: peer,
            sequence: sequence,
            at: time.moment.wall,
            life: .seconds(900)
        )
        if let reason { verdict.reason = reason }
        board.apply(verdict)
    }

    private func view(_ peer: String) -> PeerView? {
        board.view(of: PeerKey(upstream: "web", peer: peer))
    }

    /// Who gets requests, as one sees it.
    private var available: String {
        board.definition(of: "web")?.peers.map(\.id)
            .filter { view($0)?.isAvailable == true }.joined() ?? ""
    }

    @Test func `a new peer gets requests with its first verdict`() {
        define(["a", "b"])
        #expect(available == "" && view("a")?.effectiveWeight == 0)
        #expect(view("a")?.status == .unknown)
        #expect(
            view("a")?.reason == "http: not probed yet; gets no requests before its first verdict"
        )
        say(.up, of: "a")
        #expect(available == "a")
        say(.down, of: "b")
        #expect(available == "a")
    }

    @Test func `or after a second without one`() {
        define(["a", "b"])
        move(.milliseconds(999))
        #expect(available == "")
        move(.milliseconds(1))
        #expect(available == "ab" && view("a")?.status == .unknown)
        #expect(view("a")?.reason == "http: not probed yet")
        #expect(!board.isPanic("web"))
    }

    @Test func `a clock that is set does not change how long that is`() {
        define(["a"])
        time.moment.wall = time.moment.wall + .seconds(3_600)
        move(.milliseconds(999))
        #expect(available == "")
        move(.milliseconds(1))
        #expect(available == "a")
    }

    @Test func `a word that is no opinion introduces nobody`() {
        define(["a"])
        say(.unknown, of: "a", reason: .checked)
        #expect(available == "")
        move(.seconds(1))
        #expect(available == "a")
    }

    @Test func `where nobody watches there is nothing to wait for`() {
        define(["a"], monitors: [])
        #expect(available == "a")
        define(["a", "b"], monitors: [.sample("http", isRequired: false)])
        #expect(available == "ab")
    }

    @Test func `a peer that a reload adds, or moves, is a stranger beside the others`() {
        define(["a"])
        say(.up, of: "a")
        define(["a", "b"])
        #expect(available == "a")
        define(["a", "named"])
        #expect(available == "a")
        say(.up, of: "named")
        #expect(available == "anamed")
    }

    @Test func `a verdict that the store had all along introduces at once`() {
        say(.up, of: "a")
        define(["a"])
        #expect(available == "a")
    }

    // MARK: Nobody is lost meanwhile

    @Test func `no panic begins and nothing is missed while first verdicts are waited for`() {
        define(["a", "b"], backups: ["c"])
        #expect(board.upstream(named: "web")?.status == .unknown)
        say(.down, of: "a")
        say(.up, of: "c")
        #expect(!board.isPanic("web") && lines.all.allSatisfy { !$0.text.contains("backups") })
        say(.down, of: "b")
        #expect(available == "c")
        #expect(lines.all.contains { $0.text.hasPrefix("web is served by its backups") })
    }

    @Test func `all dead is panic with the last first verdict, and no sooner`() {
        define(["a", "b"])
        say(.down, of: "a")
        #expect(!board.isPanic("web"))
        say(.down, of: "b")
        #expect(board.isPanic("web"))
    }

    @Test func `observers hear once when an upstream can serve or cannot at all`() {
        define(["a", "b"], backups: ["c"])
        #expect(board.isAwaitingFirstVerdicts && time.introductions == 0)
        say(.down, of: "a")
        say(.up, of: "c")
        #expect(board.isAwaitingFirstVerdicts, "b may be well, and comes before a backup")
        say(.up, of: "b")
        #expect(!board.isAwaitingFirstVerdicts && time.introductions == 1)
        define(["d"])
        #expect(board.isAwaitingFirstVerdicts)
        board.define([], monitors: [])
        #expect(!board.isAwaitingFirstVerdicts && time.introductions == 2)
    }

    // MARK: Slow start

    @Test func `a peer that joins others begins slowly, those that begin together do not`() {
        define(["a", "b"], slowStart: .seconds(10))
        say(.up, of: "a")
        say(.up, of: "b")
        #expect(view("a")?.status == .up && view("b")?.status == .up)
        define(["a", "b", "c"], slowStart: .seconds(10))
        say(.up, of: "c")
        #expect(view("c")?.status == .starting && view("c")?.effectiveCentiweight == 20)
        move(.seconds(5))
        #expect(view("c")?.effectiveCentiweight == 100)
        move(.seconds(5))
        #expect(view("c")?.status == .up && view("c")?.effectiveCentiweight == 200)
    }

    @Test func `whom another agent found up long ago does not begin again`() {
        define(["a"], slowStart: .seconds(10))
        say(.up, of: "a")
        say(.up, of: "b")
        move(.seconds(60))
        define(["a", "b"], slowStart: .seconds(10))
        #expect(view("b")?.status == .up)
    }

    // MARK: Names

    @Test func `a name that never resolved is not available, and says so`() {
        define(["a", "named"])
        say(.up, of: "a")
        say(.unknown, of: "named", reason: .resolver)
        move(.seconds(2))
        #expect(available == "a" && view("named")?.status == .unknown)
        #expect(
            view("named")?.reason.hasSuffix("; its name has no address, so it gets no requests")
                == true
        )
        // A literal address needs no DNS, whatever a check asks it for.
        define(["a", "b"])
        say(.unknown, of: "b", reason: .resolver)
        move(.seconds(2))
        #expect(available == "ab")
    }

    @Test func `nobody is called lost who has no address, and panic sends nothing there`() {
        define(["named"])
        say(.unknown, of: "named", reason: .resolver)
        move(.seconds(2))
        #expect(!board.isPanic("web") && board.upstream(named: "web")?.status == .down)
        let said = lines.all.map(\.text)
        #expect(!said.contains { $0.contains("panic") }, "\(said)")
        #expect(
            said.contains("web has no available peer: 1 unknown; requests are answered 503"),
            "\(said)"
        )

        define(["a", "named"])
        say(.down, of: "a")
        move(.seconds(2))
        #expect(board.isPanic("web"))
        #expect(board.upstream(named: "web")?.panicSince == time.moment.wall + .seconds(-2))
        #expect(
            lines.all.map(\.text).contains(
                "web is in panic: 0 of 2 peers available, below 10%; requests go to all that are not "
                    + "in maint, in drain or at weight 0, but for the one whose name has no address"
            ),
            "\(lines.all.map(\.text))"
        )
        say(.up, of: "a", sequence: 2)
        #expect(board.upstream(named: "web")?.panicSince == nil)
    }

    @Test func `a name that resolved once keeps what it has`() {
        define(["named"])
        say(.up, of: "named")
        say(.up, of: "named", sequence: 2, reason: .resolver)
        #expect(available == "named")
    }
}
