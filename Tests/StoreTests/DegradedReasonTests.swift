// Does the log say why a peer is as it is, when the check that spoke last is not the reason?

import EventLoop
import Health
import Store
import Testing
import Vocabulary

@Suite struct DegradedReasonTests {
    private let now = WallTime(milliseconds: 1_795_000_000_000)
    private let lines = Lines()
    private let board: Board
    private let key = PeerKey(upstream: "web", peer: "a")

    init() throws {
        let now = now
        board = Board(loop: try EventLoop(name: "board"), journal: lines.journal) {
            Moment(instant: Instant(nanoseconds: 0), wall: now)
        }
    }

    private func define(slowStart: Nanoseconds = .zero) {
        let peer = PeerDefinition(id: "a", address: .host("a", port: 80))
        board.define(
            [UpstreamDefinition(name: "web", peers: [peer], slowStart: slowStart)],
            monitors: [.sample(), .sample("tcp", isRequired: false)]
        )
    }

    private func say(
        _ status: HealthCounter.Status,
        by monitor: String,
        sequence: UInt64 = 1,
        message: String,
        changing change: (inout Verdict) -> Void = { _ in }
    ) {
        var verdict = Verdict.sample(
            status,
            peer: "a",
            monitor: monitor,
            sequence: sequence,
            at: now,
            message: message
        )
        change(&verdict)
        board.apply(verdict)
    }

    /// The last that was told of the peer; the upstream has its own to tell.
    private var last: String? { lines.all.last { $0.contains("web/a is") } }

    @Test func `a pass that completes the view is not why the peer is degraded`() {
        define()
        say(.down, by: "tcp", message: "Connection refused")
        #expect(lines.all.isEmpty)
        say(.up, by: "http", message: "200 OK")
        let reason = "L4CON Connection refused (tcp)"
        #expect(
            lines.all == [
                "warning: web/a is DEGRADED, reason: \(reason), after 0ms unknown, "
                    + "1 of 1 peer available"
            ]
        )
        #expect(board.view(of: key)?.reason == reason)
        #expect(board.events.events.map(\.reason) == [reason])
    }

    @Test func `a peer that comes back degraded is so for what is still wrong with it`() {
        define()
        say(.down, by: "http", message: "Connection refused")
        say(.down, by: "tcp", message: "No route to host")
        say(.up, by: "http", sequence: 2, message: "200 OK")
        #expect(
            last?.hasPrefix(
                "notice: web/a is DEGRADED, reason: L4CON No route to host (tcp), after 0ms down, "
            ) == true
        )
    }

    @Test func `the check that made the status is told with its time`() {
        define()
        say(.up, by: "http", message: "200 OK")
        #expect(
            last
                == "notice: web/a is UP, reason: L7OK/200 200 OK (http), after 0ms unknown, "
                + "check took 1ms, 1 of 1 peer available"
        )
        say(.down, by: "tcp", message: "Connection refused")
        #expect(
            last
                == "warning: web/a is DEGRADED, reason: L4CON Connection refused (tcp), after 0ms "
                + "up, check took 1ms, 1 of 1 peer available"
        )
        say(.up, by: "tcp", sequence: 2, message: "connected")
        #expect(last?.contains("is UP, reason: L7OK/200 connected (tcp)") == true)
        say(.up, by: "http", sequence: 2, message: "slow") { $0.isDegraded = true }
        #expect(last?.contains("is DEGRADED, reason: L7OK/200 slow (http)") == true)
        say(.down, by: "http", sequence: 3, message: "Connection refused")
        #expect(
            last?.contains("is DOWN, reason: L4CON Connection refused (http)") == true
        )
    }

    @Test func `a peer that is still degraded, and for another reason, is told of`() {
        define()
        say(.up, by: "tcp", message: "connected")
        say(.up, by: "http", message: "took 312 ms") { $0.isDegraded = true }
        let count = lines.all.count
        say(.up, by: "http", sequence: 2, message: "took 340 ms") { $0.isDegraded = true }
        #expect(lines.all.count == count, "other numbers are no other reason")
        say(.up, by: "http", sequence: 3, message: "certificate ends in 5 days") {
            $0.isDegraded = true
        }
        #expect(
            lines.all.dropFirst(count) == [
                "notice: web/a is still DEGRADED, reason now: L7OK/200 certificate ends in 5 days (http), "
                    + "before: L7OK/200 took 312 ms"
            ]
        )
    }

    @Test func `a peer that starts slowly does so for the check that passed`() {
        define(slowStart: .seconds(10))
        say(.down, by: "http", message: "Connection refused")
        say(.up, by: "tcp", message: "connected")
        say(.up, by: "http", sequence: 2, message: "200 OK")
        #expect(last?.contains("is STARTING, reason: L7OK/200 200 OK (http), after") == true)
    }

    @Test func `what a peer's agent asked for is the reason, not that it answered`() {
        define()
        say(.up, by: "http", message: "200 OK")
        say(.up, by: "tcp", message: "drain") { $0.hints = Hints(admin: .drain) }
        #expect(
            last
                == "notice: web/a is DRAIN, reason: agent asked for drain, after 0ms up, "
                + "no peer is meant to serve"
        )
        say(.up, by: "tcp", sequence: 2, message: "ready") { $0.hints = Hints(admin: .ready) }
        #expect(last?.contains("is UP, reason: L7OK/200 ready (tcp), after") == true)
    }
}
