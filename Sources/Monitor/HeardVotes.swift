// Which agents' requests fail at which peer, as they said lately? Bounded, whoever speaks. Pure.

import EventLoop
import Health
import Vocabulary

struct HeardVotes: Sendable {
    private struct Heard {
        var vote: TrafficVote
        var until: Instant
    }

    private var heard: [PeerKey: [String: Heard]] = [:]
    static let peersMax = 10_000
    static let agentsMax = 16

    /// A later word of the same agent takes the place of the one before, but ends no earlier: the first says
    /// that the peer was taken out for so long, the next that one more request failed.
    mutating func note(
        _ vote: TrafficVote,
        of peer: PeerKey,
        by agent: String,
        at now: Instant
    ) {
        if heard[peer] == nil, heard.count >= Self.peersMax {
            sweep(at: now)
            if heard.count >= Self.peersMax { return }
        }
        var agents = (heard[peer] ?? [:]).filter { $0.value.until > now }
        if agents[agent] == nil, agents.count >= Self.agentsMax { return }
        let until = max(agents[agent]?.until ?? now, now + vote.life)
        agents[agent] = Heard(vote: vote, until: until)
        heard[peer] = agents
    }

    private mutating func sweep(at now: Instant) {
        heard = heard.filter { $0.value.contains { $0.value.until > now } }
    }

    mutating func forget(_ peer: PeerKey) { heard[peer] = nil }

    /// By agent.
    func all(at now: Moment, of upstreams: Set<String>) -> [PeerKey: [ToldVote]] {
        var all: [PeerKey: [ToldVote]] = [:]
        for (peer, agents) in heard where upstreams.contains(peer.upstream) {
            let told = agents.filter { $0.value.until > now.instant }
                .map {
                    ToldVote(
                        agent: $0.key,
                        vote: $0.value.vote,
                        until: now.wall + ($0.value.until - now.instant)
                    )
                }
            if !told.isEmpty { all[peer] = told.sorted { $0.agent < $1.agent } }
        }
        return all
    }
}
