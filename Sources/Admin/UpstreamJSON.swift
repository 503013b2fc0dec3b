// How is an upstream told to a program? The shapes of DESIGN's section 7, which are a promise.

import EventLoop
import Health
import Monitor
import Proxy
import Store
import Vocabulary

enum UpstreamJSON {
    static func upstream(
        _ seen: SeenUpstream,
        _ traffic: Traffic,
        _ votes: Votes = [:],
        sources: [String: String] = [:],
        refusals: [Proxy.Refusal] = [],
        in plane: ControlPlane
    ) -> JSON {
        let view = seen.view
        let now = plane.loop.wall
        let staying = ZonePreference.stays(
            in: plane.zone,
            view.peers.lazy.map { ($0.definition, $0.view) }
        )
        return .object([
            .init("name", .string(view.name)),
            .init("revision", revision(seen.revision)),
            .init("balance", .string(view.balance)),
            .init("status", .string(view.status.rawValue)),
            .init("panic", .bool(view.isPanic)),
            .init("panic_since", time(view.panicSince)),
            .init("available", .integer(Int64(view.available))),
            .init("wanted", .integer(Int64(view.wanted))),
            .init("unavailable_status", .integer(Int64(view.definition.sourceAnswer ?? 503))),
            .init("refusals", .array(refusals.map(refusal))),
            .init("zone", staying.map { .string($0 && !view.isPanic ? "own" : "all") } ?? .null),
            .init(
                "peers",
                .array(
                    view.peers.map {
                        let key = PeerKey(upstream: view.name, peer: $0.definition.id)
                        return peer(
                            $0,
                            traffic[key],
                            votes,
                            source: sources[key.peer],
                            monitors: view.monitors,
                            now: now
                        )
                    }
                )
            ),
            .init("monitors", .array(view.monitors.map(monitor))),
        ])
    }

    private static func refusal(_ refusal: Proxy.Refusal) -> JSON {
        .object([
            .init("cause", .string(refusal.cause)),
            .init("setting", .string(refusal.setting)),
            .init("answer", .integer(Int64(refusal.answer))),
            .init("count", .integer(Int64(clamping: refusal.count))),
            .init("since", time(refusal.since)),
            .init("last", time(refusal.last)),
            .init("text", .string(refusal.words)),
        ])
    }

    static func revision(_ revision: Revision) -> JSON { .integer(Int64(revision.number)) }

    /// What requests have shown of one peer.
    struct SeenTraffic {
        /// Here.
        var own = Proxy.Traffic()
        /// At other agents, as they said lately.
        var votes: [ToldVote] = []
    }

    /// By peer; none where there is no proxy, and nobody else said anything.
    typealias Traffic = [PeerKey: SeenTraffic]
    /// What other agents said that were asked.
    typealias Votes = [VerdictKey: PairVotes]

    static func peer(
        _ report: PeerReport,
        _ traffic: SeenTraffic? = nil,
        _ votes: Votes = [:],
        source: String? = nil,
        monitors: [MonitorSummary],
        now: WallTime
    ) -> JSON {
        let view = report.view
        // An intent that has ended says nothing any more, though the store still holds it.
        let intent = report.intent?.current(at: now)
        var members: [JSON.Member] = [
            .init("id", .string(report.definition.id)),
            .init("address", .string(report.definition.address.description)),
            .init("weight", .integer(Int64(view.weight))),
            .init("configured_weight", .integer(Int64(report.definition.weight))),
            .init("effective_weight", effectiveWeight(view)),
            .init("backup", .bool(report.definition.isBackup)),
            .init("zone", report.definition.zone.map { .string($0) } ?? .null),
            .init("status", .string(view.status.rawValue)),
            .init("intent", .string((intent?.mode ?? .ready).rawValue)),
            .init("since", .string(view.since.description)),
            .init("reason", .string(view.reason)),
            .init(
                "disagreement",
                JSON(
                    Disagreement(
                        report,
                        traffic,
                        isOutvoted: isOutvoted(report, votes, monitors),
                        now: now
                    )?.rawValue
                )
            ),
            .init("traffic", Self.traffic(traffic, ejectedUntil: report.ejectedUntil)),
            .init(
                "checks",
                .array(
                    monitors.map { monitor in
                        check(
                            report.verdicts.first { $0.key.monitor == monitor.id },
                            by: monitor,
                            votes[key(of: report, by: monitor)]
                        )
                    }
                )
            ),
        ]
        if let source { members.append(.init("source", .string(source))) }
        if let intent {
            members.append(.init("intent_reason", .string(intent.reason)))
            members.append(.init("intent_until", time(intent.until)))
            members.append(.init("intent_by", intent.by.isEmpty ? .null : .string(intent.by)))
            if intent.weight != nil {
                let by = intent.weightBy
                members.append(.init("weight_reason", .string(intent.weightReason)))
                members.append(.init("weight_until", time(intent.weightUntil)))
                members.append(.init("weight_by", by.isEmpty ? .null : .string(by)))
            }
        }
        if let limit = view.maxConnections {
            members.append(.init("max_connections", .integer(Int64(limit))))
        }
        return .object(members)
    }

    private static func key(of report: PeerReport, by monitor: MonitorSummary) -> VerdictKey {
        VerdictKey(upstream: monitor.upstream, peer: report.definition.id, monitor: monitor.id)
    }

    static func isOutvoted(
        _ report: PeerReport,
        _ votes: Votes,
        _ monitors: [MonitorSummary]
    ) -> Bool {
        !votes.isEmpty && monitors.contains { votes[key(of: report, by: $0)]?.isLost == true }
    }

    private static func traffic(_ traffic: SeenTraffic?, ejectedUntil: WallTime?) -> JSON {
        .object([
            .init("requests", .integer(Int64(clamping: traffic?.own.requests ?? 0))),
            .init("failures", .integer(Int64(clamping: traffic?.own.failures ?? 0))),
            .init("ejected_until", time(ejectedUntil)),
            .init("votes", .array((traffic?.votes ?? []).map(vote))),
        ])
    }

    private static func vote(_ told: ToldVote) -> JSON {
        .object([
            .init("agent", .string(told.agent)),
            .init("requests", .integer(Int64(told.vote.requests))),
            .init("failures", .integer(Int64(told.vote.failures))),
            .init("window_ms", .integer(told.vote.window.milliseconds)),
            .init("until", time(told.until)),
        ])
    }

    /// What the answer to an order is worth: how much may fail before it is forgotten.
    static func acknowledgement(_ reach: IntentReach) -> [JSON.Member] {
        let (word, note): (String, String?) =
            switch reach {
            case .everywhere: ("stored", nil)
            case .here: ("agent", "on this agent only until the store is back")
            case .memory:
                ("memory", "in memory only; a restart forgets it (no store.state-file)")
            case .unwritten(let why):
                ("memory", "in memory only until the disk takes it: \(why)")
            }
        let member = JSON.Member("acknowledged", .string(word))
        return [member] + (note.map { [.init("acknowledged_note", .string($0))] } ?? [])
    }

    /// For those who read lines: what an order that is done is answered. Nil where `done` is all there is to say.
    static func doubt(_ reach: IntentReach) -> String? {
        guard !isKept(reach) else { return nil }
        return acknowledgement(reach).last?.value.string
    }

    /// As much as the configuration asks for.
    static func isKept(_ reach: IntentReach) -> Bool {
        switch reach {
        case .everywhere, .memory: true
        case .here, .unwritten: false
        }
    }

    /// In the unit of `weight`; a fraction while a slow start ramps, 0 while nothing new goes there.
    private static func effectiveWeight(_ view: PeerView) -> JSON {
        let weight = view.effectiveWeight
        return weight == weight.rounded() ? .integer(Int64(weight)) : .number(weight)
    }

    /// A monitor that has not spoken yet is there too: silence must be visible.
    static func check(
        _ verdict: Verdict?,
        by monitor: MonitorSummary,
        _ votes: PairVotes? = nil
    ) -> JSON {
        var members: [JSON.Member] = [
            .init("monitor", .string(monitor.id)),
            .init("kind", .string(monitor.kind)),
            .init("required", .bool(monitor.isRequired)),
            .init("status", .string((verdict?.status ?? .unknown).rawValue)),
            .init("health", .integer(Int64(verdict?.health ?? 0))),
            .init("rise", .integer(Int64(monitor.rise))),
            .init("fall", .integer(Int64(monitor.fall))),
            .init("layer", verdict?.reason.layer.map { .string($0) } ?? .null),
            .init("reason", .string((verdict?.reason ?? .unknown).rawValue)),
            .init("code", verdict?.code.map { .integer(Int64($0)) } ?? .null),
            .init("message", .string(verdict?.message ?? "not probed yet")),
            .init("latency_ms", verdict.map { .number($0.latency.seconds * 1_000) } ?? .null),
            .init("since", time(verdict?.since)),
            .init("checked_at", time(verdict?.checkedAt)),
            .init("expires_at", time(verdict?.expiresAt)),
            .init("agent", verdict.map { .string($0.agent) } ?? .null),
            .init("held", JSON(verdict?.withheld?.rawValue)),
            .init("confirmed", JSON(votes?.confirmed)),
            .init("votes", .array((votes?.votes ?? []).map(\.json))),
        ]
        if votes?.isUnconfirmed == true { members.append(.init("unconfirmed", .bool(true))) }
        if let down = verdict?.downAddresses, !down.isEmpty {
            members.append(.init("down_addresses", .array(down.map { .string($0) })))
        }
        return .object(members)
    }

    private static func time(_ time: WallTime?) -> JSON {
        time.map { .string($0.description) } ?? .null
    }

    private static func monitor(_ monitor: MonitorSummary) -> JSON {
        .object([
            .init("id", .string(monitor.id)),
            .init("kind", .string(monitor.kind)),
            .init("required", .bool(monitor.isRequired)),
            .init("rise", .integer(Int64(monitor.rise))),
            .init("fall", .integer(Int64(monitor.fall))),
            .init("interval", .string(monitor.interval.description)),
        ])
    }
}
