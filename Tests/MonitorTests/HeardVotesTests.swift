// How long does what other agents said of requests hold, and how much of it is kept?

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Monitor

@Suite struct HeardVotesTests {
    private static let peer = PeerKey(upstream: "web", peer: "p1")

    private static func vote(_ failures: Int, for life: Nanoseconds = .seconds(10)) -> TrafficVote {
        TrafficVote(requests: 20, failures: failures, window: .seconds(2), life: life)
    }

    private static func moment(_ seconds: Int64) -> Moment {
        Moment(
            instant: Instant(nanoseconds: 0) + .seconds(seconds),
            wall: WallTime(milliseconds: 1_000_000) + .seconds(seconds)
        )
    }

    @Test func `each agent has one word, which ends by itself`() {
        var votes = HeardVotes()
        votes.note(Self.vote(5), of: Self.peer, by: "a2", at: Self.moment(0).instant)
        votes.note(Self.vote(7), of: Self.peer, by: "a2", at: Self.moment(3).instant)
        votes.note(Self.vote(1), of: Self.peer, by: "a1", at: Self.moment(5).instant)
        let all = votes.all(at: Self.moment(6), of: ["web"])[Self.peer] ?? []
        #expect(all.map(\.agent) == ["a1", "a2"])
        #expect(all.map(\.vote.failures) == [1, 7])
        #expect(all.last?.until == Self.moment(13).wall)
        #expect(votes.all(at: Self.moment(14), of: ["web"])[Self.peer]?.map(\.agent) == ["a1"])
        #expect(votes.all(at: Self.moment(15), of: ["web"]).isEmpty)
        #expect(votes.all(at: Self.moment(6), of: ["api"]).isEmpty)
    }

    @Test func `who was taken out for long stays told for as long`() {
        var votes = HeardVotes()
        let long = Self.vote(5, for: .seconds(60))
        votes.note(long, of: Self.peer, by: "a2", at: Self.moment(0).instant)
        votes.note(Self.vote(1), of: Self.peer, by: "a2", at: Self.moment(1).instant)
        let told = votes.all(at: Self.moment(30), of: ["web"])[Self.peer]
        #expect(told?.map(\.until) == [Self.moment(60).wall])
    }

    @Test func `no more is kept than there is room for`() {
        var votes = HeardVotes()
        let now = Self.moment(0).instant
        for number in 0..<(2 * HeardVotes.agentsMax) {
            votes.note(Self.vote(1), of: Self.peer, by: "a\(number)", at: now)
        }
        for number in 0..<(HeardVotes.peersMax + 10) {
            let peer = PeerKey(upstream: "web", peer: "x\(number)")
            votes.note(Self.vote(1), of: peer, by: "a1", at: now)
        }
        let all = votes.all(at: Self.moment(1), of: ["web"])
        #expect(all[Self.peer]?.count == HeardVotes.agentsMax)
        #expect(all.count == HeardVotes.peersMax)
        // What is over makes room.
        let later = PeerKey(upstream: "web", peer: "later")
        votes.note(Self.vote(1), of: later, by: "a1", at: Self.moment(20).instant)
        #expect(votes.all(at: Self.moment(21), of: ["web"]).keys.map(\.self) == [later])
    }
}
