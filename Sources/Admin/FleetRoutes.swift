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
        let here = others.contains { $0.id == own.id } ? others : others + [own]
        let older = await plane.olderReports().filter { one in
            !here.contains { $0.id == one.id && $0.state.lives }
        }
        let reports = (here.filter { one in !older.contains { $0.id == one.id } } + older)
            .filter { $0.age < FleetReport.forgottenAfter }.sorted { $0.id < $1.id }
        let status = await plane.store.call { $0.status }
        return .json(
            AgentsJSON.make(
                reports,
                isComplete: found != nil || own.isAlone,
                writeError: status.writeError,
                twin: status.twin,
                waits: status.waits,
                fleetError: status.fleetError
            )
        )
    }

    // MARK: Explaining

    private static func explain(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let (view, report) = try await UpstreamRoutes.peer(request, context)
        let key = PeerKey(upstream: view.name, peer: report.definition.id)
        let (transitions, otherwise) = await plane.board.call { board in
            (
                board.events.events.filter { $0.peer == key }.suffix(ExplainJSON.transitionsMax),
                board.definedOtherwise.filter { $0.key.peerKey == key }
            )
        }
        let monitors = view.monitors
        let source = await plane.otherSources(of: [key.upstream])[key.upstream]?[key.peer]
        let status = await plane.store.call { $0.status }
        let told = await plane.questions(on: report, monitors)
        let (pairs, hold) = await plane.scheduler.call { scheduler in
            let pairs = monitors.map { monitor in
                scheduler.explain(
                    VerdictKey(upstream: key.upstream, peer: key.peer, monitor: monitor.id)
                )
            }
            return (pairs, scheduler.fleetStatus?.hold)
        }
        let traffic = await plane.traffic(of: key)
        let refusals = await plane.refusals()[key.upstream] ?? []
        let explained = zip(monitors, pairs).map { monitor, pair in
            let key = VerdictKey(upstream: key.upstream, peer: key.peer, monitor: monitor.id)
            return (monitor, pair?.with(told[key]?.votes))
        }
        return .json(
            ExplainJSON(
                agent: plane.agent,
                upstream: key.upstream,
                report: report,
                monitors: explained,
                transitions: Array(transitions),
                otherwise: otherwise,
                massHold: hold,
                asOf: status.asOf,
                isPanic: view.isPanic,
                failing: traffic?.own.failing,
                refusals: refusals,
                told: traffic?.votes ?? [],
                source: source,
                now: plane.loop.wall
            ).json
        )
    }
}

extension PairExplanation {
    /// With what others said to its holder, where that is not this agent.
    fileprivate func with(_ told: [Vote]?) -> PairExplanation {
        guard votes.isEmpty, let told else { return self }
        var explanation = self
        explanation.votes = told
        return explanation
    }
}

extension ControlPlane {
    /// What other agents that probe the peer were answered about it: they are asked where it is not quite
    /// well, and the store answers.
    func questions(
        on report: PeerReport,
        _ monitors: [MonitorSummary]
    ) async -> UpstreamJSON.Votes {
        await questions(on: [report], monitors)
    }

    /// Where several look at a peer, they may find otherwise while it is well.
    func questions(
        on reports: [PeerReport],
        _ monitors: [MonitorSummary]
    ) async -> UpstreamJSON.Votes {
        let areSeveral = monitors.contains { $0.observers > 1 }
        let isDoubtful = reports.lazy.flatMap(\.verdicts).contains {
            $0.agent != agent && (areSeveral || !$0.isAtItsBest || $0.withheld != nil)
        }
        guard isDoubtful else { return [:] }
        let store = store
        let agents = await run { await store.value.agents() } ?? []
        var votes: UpstreamJSON.Votes = [:]
        for agent in agents where agent.id != self.agent && agent.state.lives {
            for question in agent.questions { votes[question.key] = PairVotes(question) }
        }
        return votes
    }

    /// Who writes verdicts of this agent's pairs and takes no part.
    func olderReports() async -> [FleetReport] {
        await scheduler.call { scheduler in
            let fleet = scheduler.fleetStatus
            let now = fleet?.time ?? scheduler.now.wall
            return (fleet?.older ?? []).map { FleetReport($0, now: now) }
        }
    }

    /// What this agent says of itself.
    func ownReport() async -> FleetReport {
        let (agent, startedAt, version, zone) = (agent, startedAt, version, zone)
        return await scheduler.call { scheduler in
            let now = scheduler.now
            let metrics = scheduler.metrics
            let fleet = scheduler.fleetStatus
            var reasons = fleet?.reasons ?? []
            if fleet == nil, metrics.isDoubtful { reasons = ["loop-lag"] }
            var report = FleetReport(
                id: agent,
                version: version,
                zone: zone,
                started: startedAt,
                // As of all others: by the clock of the store.
                seen: fleet?.time ?? now.wall,
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
            (report.lease, report.settle) = (fleet?.lease, fleet?.settle)
            report.doubtSince = fleet?.doubtSince
            return report
        }
    }
}

/// `GET /v1/agents`, in the shape that the documents promise.
enum AgentsJSON {
    static func make(
        _ reports: [FleetReport],
        isComplete: Bool,
        writeError: String? = nil,
        twin: String? = nil,
        waits: String? = nil,
        fleetError: String? = nil
    ) -> JSON {
        let heardUntil = reports.compactMap(\.heardUntil).max()
        let all = reports.reduce(0) { $0 + ($1.state.lives ? $1.pairs : 0) }
        return .object([
            .init("agents", .array(reports.map { agent($0, of: all) })),
            // False while the store is away: others may be there.
            .init("complete", .bool(isComplete)),
            // While the store can be read, and nobody's beat is written: states are as of then.
            .init("heard_until", heardUntil.map { .string($0.description) } ?? .null),
            .init("write_error", JSON(writeError)),
            // The line of this name is another process's.
            .init("twin", JSON(twin)),
            // Nor is it this one's yet.
            .init("waits", JSON(waits)),
            .init("fleet_error", JSON(fleetError)),
        ])
    }

    private static func agent(_ report: FleetReport, of all: Int) -> JSON {
        let share = all > 0 && report.state.lives ? Double(report.pairs) / Double(all) : 0
        return .object([
            .init("id", .string(report.id)),
            .init("version", .string(report.version)),
            .init("zone", JSON(report.zone)),
            .init("started", report.started.map { .string($0.description) } ?? .null),
            .init("seen", .string(report.seen.description)),
            .init("state", .string(report.state.rawValue)),
            .init("weight", .number(report.weight)),
            .init("pairs", JSON(report.state == .left ? 0 : report.pairs)),
            .init("share", .number((share * 10_000).rounded() / 10_000)),
            .init("lateness_ms", .integer(report.lateness.milliseconds)),
            .init("doubt", .number((report.doubt * 100).rounded() / 100)),
            .init("reasons", .array(report.reasons.map { .string($0) })),
            .init("doubt_since", report.doubtSince.map { .string($0.description) } ?? .null),
            .init("held", hold(report.state.lives ? report.hold : nil)),
            .init("lease_ms", report.lease.map { .integer($0.milliseconds) } ?? .null),
            .init("settle_ms", report.settle.map { .integer($0.milliseconds) } ?? .null),
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
