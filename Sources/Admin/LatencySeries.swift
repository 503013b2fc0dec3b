// Whose latencies are these? One pair's, or those of all peers that one monitor probes, together.

import Monitor

/// Histograms with the labels they are told under.
struct LatencySeries {
    var labels: [(String, String)]
    var latencies: [ProbeSeries.Latency]

    /// Of one pair.
    init(_ pair: PairMetrics) {
        labels = [
            ("upstream", pair.key.upstream), ("peer", pair.key.peer),
            ("monitor", pair.key.monitor), ("kind", pair.kind),
        ]
        latencies = pair.series.latencies
    }

    private init(monitorOf pair: PairMetrics) {
        labels = [
            ("upstream", pair.key.upstream), ("monitor", pair.key.monitor), ("kind", pair.kind),
        ]
        latencies = []
    }

    /// One for each monitor, in the order in which the pairs name them first.
    static func byMonitor(_ pairs: [PairMetrics]) -> [LatencySeries] {
        struct Key: Hashable {
            var upstream: String
            var monitor: String
        }
        var all: [LatencySeries] = []
        var places: [Key: Int] = [:]
        for pair in pairs {
            let key = Key(upstream: pair.key.upstream, monitor: pair.key.monitor)
            let place = places[key] ?? all.count
            if place == all.count {
                places[key] = place
                all.append(LatencySeries(monitorOf: pair))
            }
            for latency in pair.series.latencies { all[place].add(latency) }
        }
        return all
    }

    private mutating func add(_ latency: ProbeSeries.Latency) {
        let same = latencies.firstIndex {
            $0.phase == latency.phase && $0.verdict == latency.verdict
        }
        if let same {
            latencies[same].histogram.add(latency.histogram)
        } else {
            latencies.append(latency)
        }
    }
}
