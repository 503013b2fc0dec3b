// Does a process that was started again say since when a peer is as it is? Where the checks do not tell, the
// events of the last process do.

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Store

@Suite struct ResumptionTests {
    private final class Time {
        var moment = Moment(
            instant: Instant(nanoseconds: 0),
            wall: WallTime(milliseconds: 1_795_000_000_000)
        )
    }

    private let time = Time()

    private func key(_ peer: String) -> PeerKey { PeerKey(upstream: "web", peer: peer) }

    /// The check passed all the while: when a drain was lifted only the events tell.
    @Test func `a restart finds a peer as old as its last transition`() throws {
        let loop = try EventLoop(name: "board")
        let now = time.moment.wall
        let began = now + .seconds(-900)
        let log = EventLog(startedAt: began)
        let health = PeerHealth(policy: PeerPolicy(weight: 1, requiredMonitors: []), now: began)
        for (peer, status) in [("a", PeerStatus.up), ("b", .down), ("c", .up)] {
            var (from, to) = (health.view, health.view)
            from.status = .drain
            to.status = status
            to.since = began + .seconds(300)
            _ = log.add(.init(from: from, to: to), of: key(peer), now: to.since)
        }
        let events = EventLog(startedAt: now)
        for record in log.snapshot()() { events.recover(record) }
        events.recoveryEnded(isDamaged: false)
        let board = Board(loop: loop, events: events, strangerTime: .zero) { [time] in
            time.moment
        }
        let definition = UpstreamDefinition(
            name: "web",
            peers: ["a", "b", "c"].map { PeerDefinition(id: $0, address: .host($0, port: 80)) }
        )
        board.define([definition], monitors: [.sample()])
        for (peer, since) in [("a", began), ("b", began), ("c", began + .seconds(600))] {
            var verdict = Verdict.sample(.up, peer: peer, at: now)
            verdict.since = since
            board.storeChanged(verdict)
        }
        #expect(board.view(of: key("a"))?.since == began + .seconds(300))
        #expect(board.view(of: key("b"))?.since == began, "it was down then, and is not")
        #expect(board.view(of: key("c"))?.since == began + .seconds(600), "heard of later")
        // Nothing that was is left for what comes.
        time.moment = Moment(instant: time.moment.instant + .seconds(5), wall: now + .seconds(5))
        board.set(intent: Intent(mode: .drain), for: key("a"))
        board.set(intent: nil, for: key("a"))
        #expect(board.view(of: key("a"))?.since == now + .seconds(5))
        board.close()
    }

    private func board(after log: EventLog, lines: Lines) throws -> Board {
        let events = EventLog(startedAt: time.moment.wall)
        for record in log.snapshot()() { events.recover(record) }
        events.recoveryEnded(isDamaged: false)
        let board = Board(
            loop: try EventLoop(name: "board"),
            events: events,
            journal: lines.journal,
            strangerTime: .zero
        ) { [time] in time.moment }
        let definition = UpstreamDefinition(
            name: "web",
            peers: ["a", "b"].map { PeerDefinition(id: $0, address: .host($0, port: 80)) }
        )
        board.define([definition], monitors: [.sample()])
        return board
    }

    private func left(_ status: PeerStatus, _ peer: String, at time: WallTime, in log: EventLog) {
        let health = PeerHealth(policy: PeerPolicy(weight: 1, requiredMonitors: []), now: time)
        var (from, to) = (health.view, health.view)
        from.status = status == .up ? .down : .up
        to.status = status
        to.since = time
        _ = log.add(.init(from: from, to: to), of: key(peer), now: time)
    }

    /// Nobody was there to see it, and whoever reads lines or events has to hear of it all the same.
    @Test func `a drain that ended while the process was away is told of, and is an event`() throws
    {
        let now = time.moment.wall
        let log = EventLog(startedAt: now + .seconds(-900))
        left(.drain, "a", at: now + .seconds(-600), in: log)
        left(.up, "b", at: now + .seconds(-700), in: log)
        let lines = Lines()
        let board = try board(after: log, lines: lines)
        for peer in ["a", "b"] {
            var verdict = Verdict.sample(.up, peer: peer, at: now)
            verdict.since = now + .seconds(-900)
            board.storeChanged(verdict)
        }
        board.due(tag: -1)
        #expect(
            lines.all.suffix(2) == [
                "notice: web/a is UP; when muster ended it was DRAIN since \(now + .seconds(-600)), which has "
                    + "ended or was lifted meanwhile, 2 of 2 peers available",
                "notice: 1 peer is as before the start: 1 up",
            ]
        )
        let event = try #require(board.events.events.last)
        #expect(event.peer == key("a") && event.from == .drain && event.to == .up)
        board.close()
    }

    /// The process was away for longer than its verdicts hold: each peer is asked anew.
    @Test func `who is asked anew is as it was left, or comes from there`() throws {
        let now = time.moment.wall
        let log = EventLog(startedAt: now + .seconds(-900))
        left(.up, "a", at: now + .seconds(-600), in: log)
        left(.drain, "b", at: now + .seconds(-500), in: log)
        let lines = Lines()
        let board = try board(after: log, lines: lines)
        for peer in ["a", "b"] {
            var old = Verdict.sample(.up, peer: peer, at: now + .seconds(-100), life: .seconds(5))
            old.since = now + .seconds(-900)
            board.storeChanged(old)
            #expect(board.view(of: key(peer))?.status == .unknown)
            board.apply(Verdict.sample(.up, peer: peer, sequence: 2, at: now))
        }
        board.due(tag: -1)
        let told = lines.all
        #expect(
            told.contains {
                $0.hasPrefix("notice: web/b is UP, reason: L7OK/200 (http), after 8m20s drain")
            },
            "\(told)"
        )
        #expect(told.last == "notice: 1 peer is as before the start: 1 up")
        #expect(!told.contains { $0.contains("web/a is") })
        #expect(board.view(of: key("a"))?.since == now + .seconds(-600))
        let events = board.events.events.suffix(1)
        #expect(events.map(\.peer) == [key("b")] && events.map(\.from) == [.drain])
        board.close()
    }

    @Test func `a drain that is there still is as before`() throws {
        let now = time.moment.wall
        let log = EventLog(startedAt: now + .seconds(-900))
        left(.drain, "a", at: now + .seconds(-600), in: log)
        let lines = Lines()
        let board = try board(after: log, lines: lines)
        // As a store tells it: what is asked for goes first.
        let intent = Intent(mode: .drain, reason: "deploy")
        board.storeChanged(Asking(key("a"), intent, since: now + .seconds(-600)))
        var verdict = Verdict.sample(.up, peer: "a", at: now)
        verdict.since = now + .seconds(-900)
        board.storeChanged(verdict)
        board.due(tag: -1)
        #expect(lines.all.last == "notice: 1 peer is as before the start: 1 drain")
        #expect(board.events.events.count == 1)
        board.close()
    }

    @Test func `what a clock that was ahead wrote makes nothing last for days`() throws {
        let now = time.moment.wall
        let ahead = now + .seconds(2 * 86_400)
        let log = EventLog(startedAt: ahead)
        left(.down, "a", at: ahead, in: log)
        let lines = Lines()
        let board = try board(after: log, lines: lines)
        var verdict = Verdict.sample(.down, peer: "a", at: now)
        verdict.since = now + .seconds(-5)
        board.storeChanged(verdict)
        #expect(board.view(of: key("a"))?.since == now + .seconds(-5))
        #expect(!lines.all.contains { $0.contains("1d") }, "\(lines.all)")
        board.close()
    }
}
