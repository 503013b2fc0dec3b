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
}
