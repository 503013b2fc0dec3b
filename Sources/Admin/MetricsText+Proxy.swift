// What has the proxy done? Its part of the metrics, of whole upstreams and of peers that have had requests.

import Health
import Proxy
import Vocabulary

extension MetricsText {
    mutating func add(_ proxy: Proxy.Report) {
        family("muster_proxy_connections_active", "gauge", "Client connections open now.")
        sample("muster_proxy_connections_active", [], Double(proxy.connectionsActive))
        counter(
            "muster_proxy_connections_accepted_total",
            "Client connections accepted.",
            proxy.connectionsAccepted
        )
        counter(
            "muster_proxy_connections_refused_total",
            "Client connections over the limit.",
            proxy.connectionsRefused
        )
        counter(
            "muster_proxy_connections_displaced_total",
            "Idle client connections closed for newcomers.",
            proxy.connectionsDisplaced
        )
        counter("muster_proxy_requests_total", "Requests parsed.", proxy.requests)
        counter(
            "muster_proxy_bad_requests_total",
            "Requests refused as malformed.",
            proxy.badRequests
        )
        counter(
            "muster_proxy_unavailable_total",
            "Requests for which no peer could be had.",
            proxy.unavailable
        )
        counter(
            "muster_proxy_aborted_total",
            "Exchanges cut by the client or in mid-response.",
            proxy.aborted
        )
        family(
            "muster_proxy_failures_total",
            "counter",
            "Requests and attempts that failed, by cause and by what the client got."
        )
        for failure in proxy.failures {
            sample(
                "muster_proxy_failures_total",
                [
                    ("upstream", failure.upstream ?? ""), ("peer", failure.peer ?? ""),
                    ("cause", failure.cause), ("answer", failure.answer),
                ],
                Double(failure.count)
            )
        }
        // Of ten thousand peers most have had no request yet: a line of nothing, ten times each.
        let used = proxy.peers.filter { isPerPeer || $0.value.connects + $0.value.requests > 0 }
        let peers = used.sorted {
            ($0.key.upstream, $0.key.peer) < ($1.key.upstream, $1.key.peer)
        }
        perPeer(peers, "muster_proxy_peer_requests_total", "Attempts sent.", \.requests)
        perPeer(peers, "muster_proxy_peer_connects_total", "Connections begun.", \.connects)
        perPeer(
            peers,
            "muster_proxy_peer_connect_failures_total",
            "Connections that failed.",
            \.connectFailures
        )
        perPeer(
            peers,
            "muster_proxy_peer_response_failures_total",
            "Attempts that failed after the connection stood.",
            \.responseFailures
        )
        perPeer(
            peers,
            "muster_proxy_peer_retries_total",
            "Attempts that were followed by another.",
            \.retries
        )
        perPeer(
            peers,
            "muster_proxy_peer_ejections_total",
            "Times that this process took the peer out because requests failed.",
            \.ejections
        )
        perPeer(
            peers,
            "muster_proxy_peer_hedges_total",
            "Requests sent to it because another peer was late.",
            \.hedges
        )
        perPeer(
            peers,
            "muster_proxy_peer_hedges_won_total",
            "Those of them that it answered first.",
            \.hedgesWon
        )
        family("muster_proxy_peer_responses_total", "counter", "Responses by class of status.")
        for (key, totals) in peers {
            for (digit, count) in totals.responses.enumerated() where digit > 0 {
                sample(
                    "muster_proxy_peer_responses_total",
                    [("upstream", key.upstream), ("peer", key.peer), ("code", "\(digit)xx")],
                    Double(count)
                )
            }
        }
        addTimes(peers, proxy.upstreamExemplars)
        if isPerRoute {
            let name = "muster_proxy_route_latency_seconds"
            family(name, "histogram", "Where the time of requests went, by route and phase.")
            for route in proxy.routes {
                times(
                    name,
                    [("host", route.name.host), ("path", route.name.path)],
                    route.times,
                    proxy.routeExemplars[route.name]
                )
            }
        }
        family("muster_proxy_peer_in_flight", "gauge", "Exchanges under way.")
        for (key, totals) in peers {
            sample(
                "muster_proxy_peer_in_flight",
                [("upstream", key.upstream), ("peer", key.peer)],
                Double(totals.inFlight)
            )
        }
    }

    /// Of whole upstreams, and of each peer where that is asked for.
    private mutating func addTimes(
        _ peers: [(key: PeerKey, value: Proxy.PeerTotals)],
        _ exemplars: [String: Exemplars]
    ) {
        let name = "muster_proxy_latency_seconds"
        family(name, "histogram", "Where the time of requests went, by phase.")
        var upstreams: [(name: String, times: PhaseTimes)] = []
        for (key, totals) in peers {
            guard let times = totals.times else { continue }
            if upstreams.last?.name != key.upstream {
                upstreams.append((key.upstream, PhaseTimes()))
            }
            upstreams[upstreams.count - 1].times.add(times)
        }
        for (upstream, times) in upstreams {
            self.times(name, [("upstream", upstream)], times, exemplars[upstream])
        }
        guard isPerPeer else { return }
        let perPeer = "muster_proxy_peer_latency_seconds"
        family(perPeer, "histogram", "The same for each peer.")
        for (key, totals) in peers {
            guard let times = totals.times else { continue }
            self.times(perPeer, [("upstream", key.upstream), ("peer", key.peer)], times)
        }
    }

    private mutating func times(
        _ name: String,
        _ labels: [(String, String)],
        _ times: PhaseTimes,
        _ exemplars: Exemplars? = nil
    ) {
        for phase in RequestPhase.allCases {
            let counts = times.cumulative(phase)
            guard let count = counts.last, count > 0 else { continue }
            let labels = labels + [("phase", phase.word)]
            for (index, bound) in PhaseTimes.bounds.enumerated() {
                sample(
                    "\(name)_bucket",
                    labels + [("le", Self.number(bound.seconds))],
                    Double(counts[index]),
                    exemplar: exemplars?.of(phase, bucket: index)
                )
            }
            sample(
                "\(name)_bucket",
                labels + [("le", "+Inf")],
                Double(count),
                exemplar: exemplars?.of(phase, bucket: PhaseTimes.bounds.count)
            )
            sample("\(name)_sum", labels, times.sum(phase).seconds)
            sample("\(name)_count", labels, Double(count))
        }
    }

    private mutating func perPeer(
        _ peers: [(key: PeerKey, value: Proxy.PeerTotals)],
        _ name: String,
        _ help: String,
        _ field: KeyPath<Proxy.PeerTotals, UInt64>
    ) {
        family(name, "counter", help)
        for (key, totals) in peers {
            sample(
                name,
                [("upstream", key.upstream), ("peer", key.peer)],
                Double(totals[keyPath: field])
            )
        }
    }
}
