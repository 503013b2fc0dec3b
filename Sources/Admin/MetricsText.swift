// What does Prometheus read? Its text format, version 0.0.4; every name begins with `muster_`, every
// unit is a base unit and stands in the name.

import AgentCheck
import EventLoop
import Health
import Ledger
import Monitor
import Proxy
import Store
import TLS
import Vocabulary

struct MetricsText {
    var text = ""
    /// Histograms for each peer, and a line for each status it does not have: of ten thousand peers
    /// that is tens of megabytes a scrape.
    let isPerPeer: Bool

    /// Histograms for each route too.
    let isPerRoute: Bool

    /// Buckets name a request that fell into them: only OpenMetrics has words for that.
    let hasExemplars: Bool

    init(isPerPeer: Bool, isPerRoute: Bool = false, hasExemplars: Bool = false) {
        self.isPerPeer = isPerPeer
        self.isPerRoute = isPerRoute
        self.hasExemplars = hasExemplars
    }

    static func make(
        agent: String,
        uptime: Nanoseconds,
        upstreams: [UpstreamView],
        traffic: UpstreamJSON.Traffic = [:],
        now: WallTime = WallTime(milliseconds: 0),
        store: StoreStatus,
        ledger: LedgerStatus? = nil,
        history: HistoryStatus? = nil,
        scheduler: SchedulerMetrics,
        fleet: FleetStatus? = nil,
        definedOtherwise: Int = 0,
        votes: UpstreamJSON.Votes = [:],
        pairs: [PairMetrics],
        proxy: Proxy.Report,
        memoryFile: MemoryFileStatus? = nil,
        configuration: ConfigurationRecord.Status? = nil,
        certificate: ServerCertificate.Status? = nil,
        logDropped: UInt64 = 0,
        budget: DescriptorBudget? = nil,
        taken: [(owner: DescriptorBudget.Owner, count: Int)] = [],
        isPerPeer: Bool = false,
        isPerRoute: Bool = false,
        hasExemplars: Bool = false
    ) -> String {
        var metrics = MetricsText(
            isPerPeer: isPerPeer,
            isPerRoute: isPerRoute,
            hasExemplars: hasExemplars
        )
        metrics.family("muster_up", "gauge", "1 while this agent runs.")
        metrics.sample("muster_up", [("agent", agent)], 1)
        metrics.family("muster_uptime_seconds", "gauge", "Time since the start.")
        metrics.sample("muster_uptime_seconds", [], uptime.seconds)
        metrics.add(upstreams)
        metrics.add(disagreementsOf: upstreams, traffic, votes, now)
        metrics.add(store)
        if let ledger { metrics.add(ledger) }
        if let history { metrics.add(history) }
        metrics.add(scheduler)
        if let fleet {
            metrics.add(fleet)
            metrics.family(
                "muster_other_definitions",
                "gauge",
                "Pairs under whose name another agent has something else; what it finds does not count here."
            )
            metrics.sample("muster_other_definitions", [], Double(definedOtherwise))
        }
        metrics.add(pairs)
        metrics.add(proxy)
        if let budget { metrics.add(budget, taken) }
        if let memoryFile {
            metrics.family(
                "muster_memory_file_writable",
                "gauge",
                "1 while agent-check.memory-file takes writes."
            )
            let isWritable = memoryFile.error == nil
            metrics.sample("muster_memory_file_writable", [], isWritable ? 1 : 0)
        }
        if let configuration { metrics.add(configuration) }
        if let certificate { metrics.add(certificate) }
        metrics.family(
            "muster_log_dropped_total",
            "counter",
            "Lines of the log left out because nobody read it, or it could not be written."
        )
        metrics.sample("muster_log_dropped_total", [], Double(logDropped))
        return metrics.text
    }

    // MARK: The parts

    private mutating func add(_ upstreams: [UpstreamView]) {
        family("muster_peer_status", "gauge", "1 for the status that the peer has.")
        each(upstreams) { metrics, labels, report in
            for status in PeerStatus.allCases
            where metrics.isPerPeer || status == report.view.status {
                metrics.sample(
                    "muster_peer_status",
                    labels + [("status", status.rawValue)],
                    status == report.view.status ? 1 : 0
                )
            }
        }
        family("muster_peer_available", "gauge", "1 when new requests may go to the peer.")
        each(upstreams) { metrics, labels, report in
            metrics.sample("muster_peer_available", labels, report.view.isAvailable ? 1 : 0)
        }
        family(
            "muster_peer_effective_weight",
            "gauge",
            "After agent weight and slow start; 0 while it takes nothing."
        )
        each(upstreams) { metrics, labels, report in
            metrics.sample(
                "muster_peer_effective_weight",
                labels,
                report.view.effectiveWeight
            )
        }
        family(
            "muster_peer_status_since_seconds",
            "gauge",
            "When the peer came into its status, in seconds since 1970."
        )
        each(upstreams) { metrics, labels, report in
            metrics.sample(
                "muster_peer_status_since_seconds",
                labels,
                Double(report.view.since.milliseconds) / 1_000
            )
        }
        family("muster_upstream_panic", "gauge", "1 while the upstream fails open.")
        for view in upstreams {
            sample("muster_upstream_panic", [("upstream", view.name)], view.isPanic ? 1 : 0)
        }
    }

    /// Of most peers there is none: only those that have one, and none to say that there was none.
    private mutating func add(
        disagreementsOf upstreams: [UpstreamView],
        _ traffic: UpstreamJSON.Traffic,
        _ votes: UpstreamJSON.Votes,
        _ now: WallTime
    ) {
        family(
            "muster_peer_disagreement",
            "gauge",
            "1 where requests and probes, or agents, do not find the same of the peer."
        )
        for view in upstreams {
            for report in view.peers {
                let key = PeerKey(upstream: view.name, peer: report.definition.id)
                let kind = Disagreement(
                    report,
                    traffic[key],
                    isOutvoted: UpstreamJSON.isOutvoted(report, votes, view.monitors),
                    now: now
                )
                guard let kind else { continue }
                sample(
                    "muster_peer_disagreement",
                    [("upstream", key.upstream), ("peer", key.peer), ("kind", kind.rawValue)],
                    1
                )
            }
        }
    }

    private mutating func each(
        _ upstreams: [UpstreamView],
        _ body: (inout MetricsText, [(String, String)], PeerReport) -> Void
    ) {
        for view in upstreams {
            for report in view.peers {
                body(
                    &self,
                    [("upstream", view.name), ("peer", report.definition.id)],
                    report
                )
            }
        }
    }

    private mutating func add(
        _ budget: DescriptorBudget,
        _ taken: [(owner: DescriptorBudget.Owner, count: Int)]
    ) {
        family("muster_descriptors_limit", "gauge", "How many of the open files are whose.")
        for (owner, count) in budget.shares {
            sample("muster_descriptors_limit", [("owner", owner.rawValue)], Double(count))
        }
        family("muster_descriptors", "gauge", "How many of them are taken; two for each probe.")
        for (owner, count) in taken {
            sample("muster_descriptors", [("owner", owner.rawValue)], Double(count))
        }
    }

    private mutating func add(_ configuration: ConfigurationRecord.Status) {
        family(
            "muster_reload_failed",
            "gauge",
            "1 while the file was refused and the one before runs."
        )
        sample("muster_reload_failed", [], configuration.refusal == nil ? 0 : 1)
        family(
            "muster_configuration_loaded_seconds",
            "gauge",
            "When the configuration that runs was read, in seconds since 1970."
        )
        let loaded = Double(configuration.loadedAt.milliseconds) / 1_000
        sample("muster_configuration_loaded_seconds", [], loaded)
    }

    private mutating func add(_ status: ServerCertificate.Status) {
        if let certificate = status.certificate {
            family(
                "muster_admin_certificate_not_after_seconds",
                "gauge",
                "When the certificate that admin.tls serves ends, in seconds since 1970."
            )
            let end = Double(certificate.notAfter.milliseconds) / 1_000
            sample("muster_admin_certificate_not_after_seconds", [], end)
        }
        family(
            "muster_admin_certificate_failed",
            "gauge",
            "1 while the files of admin.tls cannot be used and the certificate before is served."
        )
        sample("muster_admin_certificate_failed", [], status.failure == nil ? 0 : 1)
    }

    private mutating func add(_ history: HistoryStatus) {
        family("muster_history_peers", "gauge", "Peers of which something is remembered.")
        sample("muster_history_peers", [], Double(history.peers))
        family("muster_history_bytes", "gauge", "What is remembered of peers, in memory.")
        sample("muster_history_bytes", [], Double(history.bytes))
        guard let file = history.file else { return }
        family(
            "muster_history_durable",
            "gauge",
            "1 while what is remembered of peers comes to the disk."
        )
        sample("muster_history_durable", [], file.error == nil ? 1 : 0)
        family("muster_history_file_bytes", "gauge", "Length of its file.")
        sample("muster_history_file_bytes", [], Double(file.bytes))
        family(
            "muster_history_failures_total",
            "counter",
            "Writes and syncs of it that failed."
        )
        sample("muster_history_failures_total", [], Double(file.failures))
        family(
            "muster_history_damaged_bytes",
            "gauge",
            "Of its file, left out at the start as no records."
        )
        sample("muster_history_damaged_bytes", [], Double(file.damagedBytes))
    }

    private mutating func add(_ ledger: LedgerStatus) {
        family("muster_ledger_durable", "gauge", "1 while what is acknowledged is on the disk.")
        sample("muster_ledger_durable", [], ledger.error == nil ? 1 : 0)
        family("muster_ledger_bytes", "gauge", "Length of the file.")
        sample("muster_ledger_bytes", [], Double(ledger.bytes))
        family("muster_ledger_records_total", "counter", "Records brought to the disk.")
        sample("muster_ledger_records_total", [], Double(ledger.records))
        family("muster_ledger_commits_total", "counter", "Syncs that brought them there.")
        sample("muster_ledger_commits_total", [], Double(ledger.commits))
        family("muster_ledger_failures_total", "counter", "Writes and syncs that failed.")
        sample("muster_ledger_failures_total", [], Double(ledger.failures))
        family("muster_ledger_damaged_bytes", "gauge", "Left out at the start as no records.")
        sample("muster_ledger_damaged_bytes", [], Double(ledger.damagedBytes))
    }

    private mutating func add(_ store: StoreStatus) {
        let labels = [("kind", store.kind)]
        family("muster_store_connected", "gauge", "1 while the store answers.")
        sample("muster_store_connected", labels, store.isConnected ? 1 : 0)
        family("muster_store_writable", "gauge", "1 while the store takes writes.")
        let isWritable = store.isWritable
        sample("muster_store_writable", labels, isWritable ? 1 : 0)
        family("muster_store_twin", "gauge", "1 while another process has this agent's id.")
        sample("muster_store_twin", labels, store.twin == nil ? 0 : 1)
        if let isFileWritable = store.isFileWritable {
            family("muster_state_file_writable", "gauge", "1 while the state file takes writes.")
            sample("muster_state_file_writable", [], isFileWritable ? 1 : 0)
        }
        family(
            "muster_store_ignored_values_total",
            "counter",
            "Values in the store that were none of ours, or not to be believed."
        )
        sample("muster_store_ignored_values_total", labels, Double(store.ignored))
        family("muster_store_pending_writes", "gauge", "Writes not confirmed yet.")
        sample("muster_store_pending_writes", labels, Double(store.pending))
        family("muster_store_revision", "gauge", "Last change seen.")
        sample("muster_store_revision", labels, Double(store.revision))
        family(
            "muster_store_refused_verdicts_total",
            "counter",
            "Verdicts refused because the store holds a newer one."
        )
        sample("muster_store_refused_verdicts_total", labels, Double(store.refused))
    }

    private mutating func add(_ scheduler: SchedulerMetrics) {
        family("muster_probe_pairs", "gauge", "(monitor, peer) pairs that this agent probes.")
        sample("muster_probe_pairs", [], Double(scheduler.held))
        family("muster_probes_in_flight", "gauge", "Probes running now.")
        sample("muster_probes_in_flight", [], Double(scheduler.inFlight))
        family("muster_probes_waiting", "gauge", "Probes due that wait for a limit.")
        sample("muster_probes_waiting", [], Double(scheduler.waiting))
        family(
            "muster_probes_overdue",
            "gauge",
            "Pairs whose probe is due for an interval, a second or more, and has not begun."
        )
        sample("muster_probes_overdue", [], Double(scheduler.overdue.count))
        counter(
            "muster_probes_missed_total",
            "Pairs that had no next probe, by a mistake of muster's, and were probed all the same.",
            scheduler.missed
        )
        family("muster_probe_lateness_seconds", "histogram", "How late probes began.")
        histogram("muster_probe_lateness_seconds", [], scheduler.lateness)
        counter(
            "muster_probes_excused_total",
            "Timeouts not held against the peer, because this agent was late itself.",
            scheduler.excused
        )
        family(
            "muster_loop_lag_seconds_total",
            "counter",
            "How long the control loop was kept from what was due."
        )
        sample("muster_loop_lag_seconds_total", [], scheduler.loopLag.seconds)
        family("muster_loop_lag_max_seconds", "gauge", "The longest of it at once.")
        sample("muster_loop_lag_max_seconds", [], scheduler.loopLagMax.seconds)
        family("muster_agent_doubt", "gauge", "1 while this agent was late within a minute.")
        sample("muster_agent_doubt", [], scheduler.isDoubtful ? 1 : 0)
    }

    private mutating func add(_ fleet: FleetStatus) {
        family("muster_fleet_agents", "gauge", "Agents that share the probing.")
        sample("muster_fleet_agents", [], Double(fleet.members))
        family("muster_fleet_member", "gauge", "1 while this agent takes part.")
        sample("muster_fleet_member", [], fleet.state == .member ? 1 : 0)
        family(
            "muster_fleet_doubt",
            "gauge",
            "How far this agent doubts itself, 0 to 1: from 0.5 on its failures do not count."
        )
        sample("muster_fleet_doubt", [], fleet.doubt)
        family("muster_fleet_doubt_reason", "gauge", "1 for each reason that it has.")
        for reason in ["loop-lag", "network", "store", "mass-failure"] {
            sample(
                "muster_fleet_doubt_reason",
                [("reason", reason)],
                fleet.reasons.contains(reason) ? 1 : 0
            )
        }
        family(
            "muster_mass_change_held",
            "gauge",
            "Pairs that store.mass-change holds as they were."
        )
        sample("muster_mass_change_held", [], Double(fleet.hold?.pairs ?? 0))
        counter("muster_fleet_taken_total", "Pairs that this agent took.", fleet.counts.granted)
        counter("muster_fleet_ceded_total", "Pairs that went to others.", fleet.counts.stopped)
        counter(
            "muster_fleet_held_failures_total",
            "Failures that waited for others to see the same.",
            fleet.counts.held
        )
        counter(
            "muster_fleet_disagreements_total",
            "Votes that were lost: a peer fails here, and others see it pass.",
            fleet.counts.disagreements
        )
        counter(
            "muster_fleet_given_away_total",
            "Pairs given to an agent that can see them.",
            fleet.counts.givenAway
        )
        counter(
            "muster_fleet_lost_calls_total",
            "Calls to the store that were not answered.",
            fleet.counts.lostCalls
        )
    }

    private mutating func add(_ pairs: [PairMetrics]) {
        let sorted = pairs.sorted {
            ($0.key.upstream, $0.key.peer, $0.key.monitor)
                < ($1.key.upstream, $1.key.peer, $1.key.monitor)
        }
        func labels(_ pair: PairMetrics) -> [(String, String)] {
            [
                ("upstream", pair.key.upstream), ("peer", pair.key.peer),
                ("monitor", pair.key.monitor), ("kind", pair.kind),
            ]
        }
        family("muster_probes_total", "counter", "Probes by how they ended.")
        for pair in sorted {
            for each in pair.series.reasons {
                sample(
                    "muster_probes_total",
                    labels(pair) + [("reason", each.reason.rawValue)],
                    Double(each.count)
                )
            }
        }
        family(
            "muster_probe_duration_seconds",
            "histogram",
            "Time of each phase that was reached, by verdict."
        )
        for series in isPerPeer ? sorted.map(LatencySeries.init) : LatencySeries.byMonitor(sorted) {
            for latency in series.latencies {
                histogram(
                    "muster_probe_duration_seconds",
                    series.labels + [
                        ("phase", latency.phase.rawValue), ("verdict", latency.verdict.rawValue),
                    ],
                    latency.histogram
                )
            }
        }
        family("muster_check_value", "gauge", "What the last probe measured beside time.")
        for pair in sorted {
            for measurement in pair.series.measurements {
                sample(
                    "muster_check_value",
                    labels(pair) + [("label", measurement.label), ("unit", measurement.unit)],
                    measurement.value
                )
            }
        }
    }
}
