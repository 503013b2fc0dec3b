// How is all of a great state read, without the loop it lives on waiting for the reader? A slice at a
// time: between two of them the loop goes on.

import EventLoop
import Health
import Monitor
import Proxy
import Store

extension ControlPlane {
    /// Upstreams taken at once.
    private static let upstreamsAtOnce = 64

    /// Every upstream, in the order of the definition. One that goes meanwhile is left out.
    func upstreams() async -> [SeenUpstream] {
        let names = await board.call { $0.names }
        var seen: [SeenUpstream] = []
        seen.reserveCapacity(names.count)
        for start in stride(from: 0, to: names.count, by: Self.upstreamsAtOnce) {
            let slice = names[start..<min(start + Self.upstreamsAtOnce, names.count)]
            seen += await operations.call { slice.compactMap($0.upstream) }
        }
        return seen
    }

    /// What requests have shown of the peers of these upstreams.
    func traffic(of upstreams: [String]) async -> UpstreamJSON.Traffic {
        let proxy = proxy
        var seen = await run { await proxy.value.traffic(of: upstreams) }
            .mapValues { UpstreamJSON.SeenTraffic(own: $0) }
        let names = Set(upstreams)
        for (key, votes) in await scheduler.call({ $0.heardVotes(of: names) }) {
            seen[key, default: UpstreamJSON.SeenTraffic()].votes = votes
        }
        return seen
    }

    /// By upstream, what its settings cost requests lately.
    func refusals() async -> [String: [Proxy.Refusal]] {
        let proxy = proxy
        return await run { await proxy.value.lateRefusals() }
    }

    func traffic(of key: PeerKey) async -> UpstreamJSON.SeenTraffic? {
        let proxy = proxy
        let own = await run { await proxy.value.traffic(of: key) }
        let votes = await scheduler.call { $0.heardVotes(of: [key.upstream])[key] }
        if own == nil, votes == nil { return nil }
        var seen = UpstreamJSON.SeenTraffic()
        if let own { seen.own = own }
        if let votes { seen.votes = votes }
        return seen
    }

    /// The numbers of every pair.
    func pairs() async -> [PairMetrics] {
        var pairs: [PairMetrics] = []
        var row: Int? = 0
        while let from = row {
            let slice = await scheduler.call { $0.pairMetrics(from: from) }
            pairs += slice.pairs
            row = slice.next
        }
        return pairs
    }

    /// Of these upstreams the peers that the file does not define as they are, and who does.
    func otherSources(of upstreams: [String]) async -> [String: [String: String]] {
        await definer?.call { definer in
            var found: [String: [String: String]] = [:]
            for name in upstreams {
                let sources = definer.otherSources(of: name)
                if !sources.isEmpty { found[name] = sources }
            }
            return found
        } ?? [:]
    }
}
