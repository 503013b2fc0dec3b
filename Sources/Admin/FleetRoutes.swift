// Who shares the probing, and why is this peer as it is? What a person asks who has been woken.

import EventLoop
import Health
import Monitor
import Store
import Vocabulary

enum FleetRoutes {
    static let table: [AdminTable.Row] = [
        .init(.get, "/v1/agents", .read, agents),
        .init(.get, "/v1/upstreams/{upstream}/peers/{peer}/explain", .read, explain),
        .init(.get, "/v1/peers/{upstream}/{peer}/explain", .read, explain),
    ]

    // MARK: Agents

    private static func agents(_: Request, _ context: AdminContext) async -> Response {
        let plane = context.plane
        let store = plane.store
        let own = await plane.ownReport()
        let found = await plane.run { await store.value.agents() }
        // What it knows of itself is newer than what it last said.
        let others = (found ?? []).filter { $0.id != own.id || own.state == .joining }
        let reports = (others.contains { $0.id == own.id } ? others : others + [own])
            .filter { $0.age < FleetReport.forgottenAfter }.sorted { $0.id < $1.id }
        return .json(AgentsJSON.make(reports, isComplete: found != nil || own.isAlone))
    }

    // MARK: Explaining

    private static func explain(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let (view, report) = try await UpstreamRoutes.peer(request, context)
        let key = PeerKey(upstream: view.name, peer: report.definition.id)
        let transitions = await plane.board.call { board in
            board.events.events.filter { $0.peer == key }.suffix(ExplainJSON.transitionsMax)
        }
        let monitors = view.monitors
        let (pairs, hold) = await plane.scheduler.call { scheduler in
            let pairs = monitors.map { monitor in
                scheduler.explain(
                    VerdictKey(upstream: key.upstream, peer: key.peer, monitor: monitor.id)
                )
            }
            return (pairs, scheduler.fleetStatus?.hold)
        }
        return .json(
            ExplainJSON(
                agent: plane.agent,
                report: report,
                monitors: Array(zip(monitors, pairs)),
                transitions: Array(transitions),
                massHold: hold,
                now: plane.loop.wall
            ).json
        )
    }
}

extension ControlPlane {
    /// What this agent says of itself.
    func ownReport() async -> FleetReport {
        let (agent, startedAt, version, zone) = (agent, startedAt, version, zone)
        return await scheduler.call { scheduler in
            let now = scheduler.now
            let metrics = scheduler.metrics
            let fleet = scheduler.fleetStatus
            var reasons = fleet?.reasons ?? []
            if fleet == nil, metrics.isDoubtful { reasons = ["loop-lag"] }
            return FleetReport(
                id: agent,
                version: version,
                zone: zone,
                started: startedAt,
                seen: now.wall,
                age: .zero,
                state: fleet?.state ?? .member,
                weight: fleet?.weight ?? 1,
                pairs: metrics.held,
                lateness: scheduler.lateness(at: now.instant),
                doubt: fleet?.doubt ?? (metrics.isDoubtful ? 1 : 0),
                reasons: reasons,
                hold: fleet?.hold,
                isAlone: fleet == nil
            )
        }
    }
}

/// `GET /v1/agents`, in the shape that the documents promise.
enum AgentsJSON {
    static func make(_ reports: [FleetReport], isComplete: Bool) -> JSON {
        let all = reports.reduce(0) { $0 + ($1.state == .silent ? 0 : $1.pairs) }
        return .object([
            .init("agents", .array(reports.map { agent($0, of: all) })),
            // False while the store is away: others may be there.
            .init("complete", .bool(isComplete)),
        ])
    }

    private static func agent(_ report: FleetReport, of all: Int) -> JSON {
        let share = all > 0 && report.state != .silent ? Double(report.pairs) / Double(all) : 0
        return .object([
            .init("id", .string(report.id)),
            .init("version", .string(report.version)),
            .init("zone", JSON(report.zone)),
            .init("started", report.started.map { .string($0.description) } ?? .null),
            .init("seen", .string(report.seen.description)),
            .init("state", .string(report.state.rawValue)),
            .init("weight", .number(report.weight)),
            .init("pairs", JSON(report.pairs)),
            .init("share", .number((share * 10_000).rounded() / 10_000)),
            .init("lateness_ms", .integer(report.lateness.milliseconds)),
            .init("doubt", .number((report.doubt * 100).rounded() / 100)),
            .init("reasons", .array(report.reasons.map { .string($0) })),
            .init("held", hold(report.state == .silent ? nil : report.hold)),
        ])
    }

    /// What `store.mass-change` holds as it was.
    static func hold(_ hold: FleetReport.Hold?) -> JSON {
        guard let hold else { return .null }
        return .object([
            .init("since", .string(hold.since.description)),
            .init("pairs", JSON(hold.pairs)),
        ])
    }
}

/// Why a peer is as it is: who probes it and why that one, every layer of its status, what happened, and what
/// would change it.
struct ExplainJSON {
    let agent: String
    let report: PeerReport
    let monitors: [(summary: MonitorSummary, pair: PairExplanation?)]
    let transitions: [TransitionEvent]
    var massHold: FleetReport.Hold?
    let now: WallTime

    static let transitionsMax = 20

    var json: JSON {
        // The check that decides: the first that is not well, else the first.
        let deciding =
            monitors.first { monitor in
                monitor.summary.isRequired && verdict(of: monitor.summary)?.status != .up
            } ?? monitors.first
        let pair = deciding?.pair
        return .object([
            .init("upstream", .string(upstream)),
            .init("peer", .string(report.definition.id)),
            .init("status", .string(report.view.status.rawValue)),
            .init("reason", .string(report.view.reason)),
            .init("since", .string(report.view.since.description)),
            .init("told_by", .string(agent)),
            .init("owner", JSON(pair.flatMap { $0.owner.isEmpty ? nil : $0.owner })),
            .init("why", .string(pair?.why ?? "no monitor probes it")),
            .init("rank", .array((pair?.rank ?? []).map { .string($0) })),
            .init("next_probe_at", time(pair?.nextAt)),
            .init("layers", .array(layers)),
            .init("transitions", .array(transitions.reversed().map(transition))),
            .init("votes", .array((pair?.votes ?? []).map(vote))),
            .init("would_change", .array(wouldChange.map { .string($0) })),
            .init("checks", .array(monitors.map(check))),
        ])
    }

    private var upstream: String { monitors.first?.summary.upstream ?? "" }

    private func verdict(of monitor: MonitorSummary) -> Verdict? {
        report.verdicts.first { $0.key.monitor == monitor.id }
    }

    private func time(_ time: WallTime?) -> JSON {
        time.map { .string($0.description) } ?? .null
    }

    private func check(_ monitor: (summary: MonitorSummary, pair: PairExplanation?)) -> JSON {
        let pair = monitor.pair
        return .object([
            .init("monitor", .string(monitor.summary.id)),
            .init("owner", JSON(pair.flatMap { $0.owner.isEmpty ? nil : $0.owner })),
            .init("why", .string(pair?.why ?? "not defined here")),
            .init("rank", .array((pair?.rank ?? []).map { .string($0) })),
            .init("next_probe_at", time(pair?.nextAt)),
            .init("epoch", verdict(of: monitor.summary).map { .integer(Int64($0.epoch)) } ?? .null),
            .init("votes", .array((pair?.votes ?? []).map(vote))),
        ])
    }

    private func vote(_ vote: PairExplanation.Vote) -> JSON {
        .object([
            .init("agent", .string(vote.agent)),
            .init("status", JSON(vote.status)),
        ])
    }

    private func transition(_ event: TransitionEvent) -> JSON {
        .object([
            .init("time", .string(event.at.description)),
            .init("from", .string(event.from.rawValue)),
            .init("to", .string(event.to.rawValue)),
            .init("reason", .string(event.reason)),
        ])
    }

    // MARK: Layers

    private func layer(_ name: String, _ says: String, _ reason: String) -> JSON {
        .object([
            .init("layer", .string(name)),
            .init("says", .string(says)),
            .init("reason", .string(reason)),
        ])
    }

    /// From what overrules to what is overruled.
    private var layers: [JSON] {
        let view = report.view
        let intent = report.intent?.current(at: now)
        var layers: [JSON] = []
        let order = intent.map { intent in
            [intent.by.isEmpty ? nil : "asked by \(intent.by)", intent.reason]
                .compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: ": ")
        }
        layers.append(
            layer("operator", (intent?.mode ?? .ready).rawValue, order ?? "nothing asked")
        )
        if report.definition.isDisabled {
            layers.append(layer("configuration", "maint", "it is marked down in the configuration"))
        }
        for (monitor, _) in monitors {
            let name = "check \(monitor.id)" + (monitor.isRequired ? "" : " (optional)")
            guard let verdict = verdict(of: monitor) else {
                layers.append(layer(name, "unknown", "not probed yet"))
                continue
            }
            let isOver = verdict.expiresAt < now
            var reason = verdict.reason.rawValue
            if let code = verdict.code { reason += "/\(code)" }
            if !verdict.message.isEmpty { reason += " \(verdict.message)" }
            reason += ", found by \(verdict.agent) at \(verdict.checkedAt)"
            reason +=
                isOver ? ", over since \(verdict.expiresAt)" : ", holds until \(verdict.expiresAt)"
            let says =
                isOver
                ? "unknown (last \(verdict.status.rawValue))"
                : verdict.isDegraded ? "degraded" : verdict.status.rawValue
            layers.append(layer(name, says, reason))
            if let held = verdict.withheld, !isOver {
                let name = "\(held.layer) over \(monitor.id)"
                layers.append(layer(name, "held", hold(of: held, verdict)))
            }
            if let admin = verdict.hints.admin {
                layers.append(
                    layer("the peer's own agent", admin.rawValue, "said over \(monitor.id)")
                )
            }
        }
        if view.routing == .ejected || view.status == .ejected {
            layers.append(layer("traffic", "ejected", view.reason))
        }
        let sum = view.reason.isEmpty ? "every required check passes" : view.reason
        layers.append(layer("status", view.status.rawValue, sum))
        return layers
    }

    /// Why a failure does not count, and whose word that is.
    private func hold(of why: Withheld, _ verdict: Verdict) -> String {
        let reason = "\(why.words), says \(verdict.agent)"
        guard why == .massChange, verdict.agent == agent, let hold = massHold else { return reason }
        return reason + "; \(hold.pairs) pairs since \(hold.since)"
    }

    // MARK: What would change it

    private var wouldChange: [String] {
        var lines: [String] = []
        let intent = report.intent?.current(at: now)
        if let intent, let mode = intent.mode, mode != .ready {
            let end = intent.until.map { " at \($0), or before by" } ?? ":"
            lines.append(
                "the end of \(mode.rawValue)\(end) muster peer ready \(upstream) \(report.definition.id)"
            )
        }
        for (monitor, pair) in monitors {
            guard let verdict = verdict(of: monitor) else {
                lines.append("\(monitor.id): its first probe")
                continue
            }
            switch verdict.status {
            case .up where verdict.withheld != nil:
                lines.append("\(monitor.id): \(verdict.withheld?.end(at: verdict.agent) ?? "")")
            case .up:
                let left = verdict.health - verdict.rise + 1
                let count = left == 1 ? "one failure" : "\(left) failures in a row"
                let verb = (monitor.isRequired ? "take" : "degrade") + (left == 1 ? "s" : "")
                var line = "\(monitor.id): \(count) \(verb) it\(monitor.isRequired ? " down" : "")"
                if let pair, pair.confirmAgents > 0 {
                    line += ", and \(pair.confirmAgents) other agents are asked first"
                }
                lines.append(line)
            case .down:
                let left = verdict.rise - verdict.health
                lines.append(
                    left == 1
                        ? "\(monitor.id): one pass brings it up"
                        : "\(monitor.id): \(left) passes in a row bring it up"
                )
            case .unknown: lines.append("\(monitor.id): a probe that says something")
            }
            if verdict.expiresAt >= now {
                lines.append(
                    "\(monitor.id): no word of \(verdict.agent) until \(verdict.expiresAt) makes it unknown"
                )
            }
        }
        return lines
    }
}

extension Withheld {
    /// Who holds it.
    fileprivate var layer: String {
        switch self {
        case .massChange: "store.mass-change"
        case .unconfirmed: "other agents"
        case .doubt: "its agent"
        }
    }

    /// What ends it.
    fileprivate func end(at agent: String) -> String {
        switch self {
        case .massChange:
            "an answer of it, or of most others: then its next failure counts. Who knows that it is gone asks "
                + "for maint, or sets store.mass-change: {action: publish}"
        case .unconfirmed: "an answer of it, or other agents that see it fail too"
        case .doubt: "the end of the doubt of \(agent), or another agent that probes it"
        }
    }
}
