// Is what Prometheus reads well formed, and does it say what is true?

import EventLoop
import Health
import Ledger
import Store
import Testing
import Vocabulary

@testable import Admin
@testable import Monitor
@testable import Proxy

@Suite struct MetricsTextTests {
    private let now = WallTime(milliseconds: 1_000)

    private func view(peer: String) -> UpstreamView {
        let definition = PeerDefinition(id: peer, address: .host("10.0.0.1", port: 80))
        let health = PeerHealth(policy: PeerPolicy(weight: 1, requiredMonitors: []), now: now)
        return UpstreamView(
            definition: UpstreamDefinition(name: "web", peers: [definition]),
            status: .up,
            isPanic: false,
            peers: [
                PeerReport(definition: definition, view: health.view, intent: nil, verdicts: [])
            ],
            monitors: []
        )
    }

    private func text(
        peer: String = "one",
        pairs: [PairMetrics] = [],
        proxy: Proxy.Report = Proxy.Report(),
        isPerPeer: Bool = false,
        isPerRoute: Bool = false
    ) -> String {
        MetricsText.make(
            agent: "a1",
            uptime: .seconds(5),
            upstreams: [view(peer: peer)],
            store: StoreStatus(kind: "embedded", isConnected: true, since: now),
            scheduler: SchedulerMetrics(),
            pairs: pairs,
            proxy: proxy,
            isPerPeer: isPerPeer,
            isPerRoute: isPerRoute
        )
    }

    @Test func `latencies are of whole upstreams, and of each peer where that is asked for`() {
        var report = Proxy.Report()
        for (peer, milliseconds) in [("one", 3), ("two", 30)] as [(String, Int64)] {
            var totals = Proxy.PeerTotals()
            totals.requests = 1
            var times = PhaseTimes()
            times.record(.milliseconds(milliseconds), .total)
            totals.times = times
            report.peers[PeerKey(upstream: "web", peer: peer)] = totals
        }
        let name = "muster_proxy_latency_seconds"
        let all = text(proxy: report)
        #expect(all.contains("\(name)_bucket{upstream=\"web\",phase=\"total\",le=\"0.005\"} 1\n"))
        #expect(all.contains("\(name)_count{upstream=\"web\",phase=\"total\"} 2\n"))
        #expect(all.contains("\(name)_sum{upstream=\"web\",phase=\"total\"} 0.033\n"))
        // Nothing waited, and nothing is said of that.
        #expect(!all.contains("phase=\"queue\""))
        let one =
            "muster_proxy_peer_latency_seconds_count{upstream=\"web\",peer=\"two\",phase=\"total\"} 1\n"
        #expect(!all.contains(one))
        #expect(text(proxy: report, isPerPeer: true).contains(one))
    }

    @Test func `routes are told where that is asked for`() {
        var report = Proxy.Report()
        var times = PhaseTimes()
        times.record(.milliseconds(3), .total)
        let route = RouteConfiguration(host: "*.example.org", path: "/x", upstream: "web")
        report.routes = [(RouteName(route), times)]
        let line =
            "muster_proxy_route_latency_seconds_count{host=\"*.example.org\",path=\"/x\",phase=\"total\"} 1\n"
        #expect(!text(proxy: report).contains("muster_proxy_route_latency_seconds"))
        #expect(text(proxy: report, isPerRoute: true).contains(line))
    }

    @Test func `histograms are a monitor's, unless asked for each peer`() {
        let pairs = ["one", "two"].map { peer in
            var series = ProbeSeries()
            var outcome = Outcome(.pass, .layer7OK)
            outcome.phases.total = .milliseconds(4)
            series.record(outcome)
            let key = VerdictKey(upstream: "web", peer: peer, monitor: "http")
            return PairMetrics(key: key, kind: "http", series: series)
        }
        func counts(isPerPeer: Bool) -> [Substring] {
            text(pairs: pairs, isPerPeer: isPerPeer).split(separator: "\n").filter {
                $0.hasPrefix("muster_probe_duration_seconds_count")
            }
        }
        let tail = #"monitor="http",kind="http",phase="total",verdict="pass"}"#
        let name = "muster_probe_duration_seconds_count"
        #expect(counts(isPerPeer: false) == ["\(name){upstream=\"web\",\(tail) 2"])
        #expect(
            counts(isPerPeer: true)
                == ["one", "two"].map {
                    "\(name){upstream=\"web\",peer=\"\($0)\",\(tail) 1"
                }
        )
        for peer in ["one", "two"] {
            let total = "muster_probes_total{upstream=\"web\",peer=\"\(peer)\",monitor=\"http\""
            #expect(text(pairs: pairs).contains(total), "counts stay each peer's")
        }
    }

    @Test func `a peer has one line for its status, unless all are asked for`() {
        let lines = text().split(separator: "\n").filter { $0.hasPrefix("muster_peer_status{") }
        #expect(lines == [#"muster_peer_status{upstream="web",peer="one",status="up"} 1"#])
    }

    @Test func `a ledger that cannot be written is 0`() {
        var ledger = LedgerStatus(path: "/var/lib/muster/state.json.ledger")
        ledger.records = 7
        func text() -> String {
            MetricsText.make(
                agent: "a1",
                uptime: .seconds(5),
                upstreams: [],
                store: StoreStatus(kind: "embedded", isConnected: true, since: now),
                ledger: ledger,
                scheduler: SchedulerMetrics(),
                pairs: [],
                proxy: Proxy.Report()
            )
        }
        #expect(text().contains("\nmuster_ledger_durable 1\n"))
        #expect(text().contains("\nmuster_ledger_records_total 7\n"))
        ledger.error = "no room"
        #expect(text().contains("\nmuster_ledger_durable 0\n"))
        #expect(!self.text().contains("muster_ledger"))
    }

    @Test func `a history that cannot be written is 0, and without a file there is no number`() {
        var history = HistoryStatus(peers: 3, bytes: 4_096)
        func text() -> String {
            MetricsText.make(
                agent: "a1",
                uptime: .seconds(5),
                upstreams: [],
                store: StoreStatus(kind: "embedded", isConnected: true, since: now),
                history: history,
                scheduler: SchedulerMetrics(),
                pairs: [],
                proxy: Proxy.Report()
            )
        }
        #expect(text().contains("\nmuster_history_peers 3\n"))
        #expect(text().contains("\nmuster_history_bytes 4096\n"))
        #expect(!text().contains("muster_history_durable"))
        history.file = LedgerStatus(path: "/var/lib/muster/state.json.history")
        history.file?.bytes = 99
        #expect(text().contains("\nmuster_history_durable 1\n"))
        #expect(text().contains("\nmuster_history_file_bytes 99\n"))
        history.file?.error = "no room"
        history.file?.failures = 2
        #expect(text().contains("\nmuster_history_durable 0\n"))
        #expect(text().contains("\nmuster_history_failures_total 2\n"))
        #expect(!self.text().contains("muster_history"))
    }

    @Test func `a state file that cannot be written is 0, and without one there is no number`() {
        func text(_ isWritable: Bool?) -> String {
            var store = StoreStatus(kind: "redis", isConnected: true, since: now)
            store.isFileWritable = isWritable
            return MetricsText.make(
                agent: "a1",
                uptime: .seconds(5),
                upstreams: [],
                store: store,
                scheduler: SchedulerMetrics(),
                pairs: [],
                proxy: Proxy.Report()
            )
        }
        #expect(text(true).contains("\nmuster_state_file_writable 1\n"))
        #expect(text(false).contains("\nmuster_state_file_writable 0\n"))
        #expect(!text(nil).contains("muster_state_file"))
    }

    @Test func `of the descriptors each share is told, and what is taken of it`() {
        let text = MetricsText.make(
            agent: "a1",
            uptime: .seconds(5),
            upstreams: [],
            store: StoreStatus(kind: "embedded", isConnected: true, since: now),
            scheduler: SchedulerMetrics(),
            pairs: [],
            proxy: Proxy.Report(),
            budget: DescriptorBudget(limit: 256),
            taken: [(.admin, 3), (.agentCheck, 0), (.probes, 52)]
        )
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("muster_descriptors") }
        #expect(
            lines == [
                #"muster_descriptors_limit{owner="files"} 32"#,
                #"muster_descriptors_limit{owner="store"} 4"#,
                #"muster_descriptors_limit{owner="dns"} 8"#,
                #"muster_descriptors_limit{owner="admin"} 26"#,
                #"muster_descriptors_limit{owner="agent-check"} 26"#,
                #"muster_descriptors_limit{owner="probes"} 53"#,
                #"muster_descriptors_limit{owner="proxy"} 107"#,
                #"muster_descriptors{owner="admin"} 3"#,
                #"muster_descriptors{owner="agent-check"} 0"#,
                #"muster_descriptors{owner="probes"} 52"#,
            ]
        )
    }

    @Test func `one status is 1 and all others are 0`() {
        let lines = text(isPerPeer: true).split(separator: "\n").filter {
            $0.hasPrefix("muster_peer_status{")
        }
        #expect(lines.count == PeerStatus.allCases.count)
        #expect(lines.filter { $0.hasSuffix(" 1") }.count == 1)
        #expect(lines.contains(#"muster_peer_status{upstream="web",peer="one",status="up"} 1"#))
    }

    @Test func `labels are escaped`() {
        #expect(text(peer: "a\"b\\c").contains(#"peer="a\"b\\c""#))
    }

    @Test func `every sample has a family before it, named once`() {
        var families: Set<Substring> = []
        for line in text().split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let name = line.split(separator: " ")[2]
                let isNew = families.insert(name).inserted
                #expect(isNew, "\(name) is declared twice")
            } else if !line.hasPrefix("#") {
                let name = line.prefix { $0 != "{" && $0 != " " }
                let base = ["_bucket", "_sum", "_count"].reduce(name) { name, suffix in
                    name.hasSuffix(suffix) && !families.contains(name)
                        ? name.dropLast(suffix.count) : name
                }
                #expect(families.contains(base), "\(line) has no family")
            }
        }
    }

    @Test func `a histogram ends with all of its samples`() {
        let lines = text().split(separator: "\n")
        #expect(lines.contains(#"muster_probe_lateness_seconds_bucket{le="+Inf"} 0"#))
        #expect(lines.contains("muster_probe_lateness_seconds_count 0"))
    }
}
