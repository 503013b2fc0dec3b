// Why is a peer as it is, in the shape that the documents promise? Who probes it and why that one, every layer of
// its status, what happened, and what would change it.

import Health
import Monitor
import Proxy
import Store
import Vocabulary

struct ExplainJSON {
    let agent: String
    let upstream: String
    let report: PeerReport
    let monitors: [(summary: MonitorSummary, pair: PairExplanation?)]
    let transitions: [TransitionEvent]
    /// What other agents have under these names.
    var otherwise: [OtherDefinition] = []
    var massHold: FleetReport.Hold?
    /// The store is away, or takes no writes, since then: nothing newer is known of what others found.
    var asOf: WallTime?
    /// So few are available that requests go to all that are meant to serve.
    var isPanic = false
    /// Most requests of this process fail there.
    var failing: Proxy.Failing?
    /// What settings of its upstream cost requests lately.
    var refusals: [Proxy.Refusal] = []
    /// What requests of other agents show of it.
    var told: [ToldVote] = []
    /// Who defines it; nil where the file does.
    var source: String?
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
            .init("source", .string(source ?? "file")),
            .init("as_of", time(asOf)),
            .init("owner", JSON(pair.flatMap { $0.owner.isEmpty ? nil : $0.owner })),
            .init("why", .string(pair?.why ?? "no monitor probes it")),
            .init("rank", .array((pair?.rank ?? []).map { .string($0) })),
            .init("observers", .array((pair?.observers ?? []).map { .string($0) })),
            .init("next_probe_at", time(pair.flatMap(nextAt))),
            .init("layers", .array(layers)),
            .init("transitions", .array(transitions.reversed().map(transition))),
            .init("votes", .array((pair?.votes ?? []).map(\.json))),
            .init("would_change", .array(wouldChange.map { .string($0) })),
            .init("checks", .array(monitors.map(check))),
        ])
    }

    /// Whoever cannot be heard may be dead.
    private func nextAt(_ pair: PairExplanation) -> WallTime? {
        asOf == nil || pair.owner == agent ? pair.nextAt : nil
    }

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
            .init("observers", .array((pair?.observers ?? []).map { .string($0) })),
            .init("next_probe_at", time(pair.flatMap(nextAt))),
            .init("epoch", verdict(of: monitor.summary).map { .integer(Int64($0.epoch)) } ?? .null),
            .init("votes", .array((pair?.votes ?? []).map(\.json))),
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

    /// `asked by root at T, until U: deploy`.
    private func asked(
        _ by: String?,
        since: WallTime?,
        until: WallTime?,
        _ reason: String?
    ) -> String {
        var text = "asked by " + (by.flatMap { $0.isEmpty ? nil : $0 } ?? "an operator")
        if let since { text += " at \(since)" }
        if let until { text += ", until \(until)" }
        if let reason, !reason.isEmpty { text += ": \(reason)" }
        return text
    }

    /// From what overrules to what is overruled.
    private var layers: [JSON] {
        let view = report.view
        let intent = report.intent?.current(at: now)
        var layers: [JSON] = []
        let order = intent?.mode.map { _ in
            asked(intent?.by, since: report.askedSince, until: intent?.until, intent?.reason)
        }
        layers.append(
            layer("operator", (intent?.mode ?? .ready).rawValue, order ?? "nothing asked")
        )
        if let weight = intent?.weight {
            let who = asked(
                intent?.weightBy,
                since: report.weightSince,
                until: intent?.weightUntil,
                intent?.weightReason
            )
            let configured = report.definition.weight
            layers.append(layer("weight", "\(weight)", "\(who); configured: \(configured)"))
        }
        if report.definition.isDisabled {
            let reason = "it is marked down in the configuration"
            layers.append(
                intent?.mode == nil
                    ? layer("configuration", "maint", reason)
                    : layer("configuration", "overruled", "\(reason); what was asked for holds")
            )
        }
        for other in otherwise {
            layers.append(layer("agent \(other.agent)", "another definition", other.words))
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
                isOver
                ? ", over since \(verdict.expiresAt)"
                : isOfTheStore(verdict)
                    ? ", holds until the store is heard again"
                    : ", holds until \(verdict.expiresAt)"
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
            if let percent = verdict.hints.weightPercent {
                layers.append(
                    layer("the peer's own agent", "weight \(percent)%", "said over \(monitor.id)")
                )
            }
        }
        if let ejection = report.ejection {
            let reason = "\(ejection.reason), until \(ejection.until)"
            layers.append(layer("traffic", "ejected", reason))
        } else if let failing {
            let reason =
                "\(failing.failures) of the last \(failing.requests) requests failed; it is not ejected for that "
                + "(eject, max_fails, max-share)"
            layers.append(layer("traffic", "fails", reason))
        }
        for told in told {
            let reason =
                "\(told.vote.words); a reason to probe it, and no failure, until \(told.until)"
            layers.append(layer("traffic of \(told.agent)", "fails", reason))
        }
        let sum = view.reason.isEmpty ? soundness : view.reason
        layers.append(layer("status", view.status.rawValue, sum))
        if isPanic, view.isMeantToServe, !view.isAvailable, !view.isNowhere {
            layers.append(
                layer(
                    "upstream",
                    "panic",
                    "it gets requests all the same: too few peers are available, so they go to all that are not "
                        + "in maint, in drain or at weight 0"
                )
            )
        }
        for refusal in refusals {
            let requests = refusal.count == 1 ? "1 request" : "\(refusal.count) requests"
            let reason =
                "\(requests) answered \(refusal.answer) since \(refusal.since), the last at "
                + "\(refusal.last): \(refusal.words)"
            layers.append(layer("requests of \(upstream)", refusal.cause, reason))
        }
        return layers
    }

    /// Its time stands still: another said it, and cannot be heard.
    private func isOfTheStore(_ verdict: Verdict) -> Bool { asOf != nil && verdict.agent != agent }

    /// What there is to say of a peer of which nothing is wrong, or not often enough yet.
    private var soundness: String {
        let failing = monitors.compactMap { monitor -> String? in
            guard monitor.summary.isRequired, let verdict = verdict(of: monitor.summary),
                verdict.status == .up, verdict.expiresAt >= now, !verdict.isAtItsBest
            else { return nil }
            let failures = verdict.rise + verdict.fall - 1 - verdict.health
            return "\(monitor.summary.id) failed \(failures) of \(verdict.fall) times"
        }
        if failing.isEmpty { return "every required check passes" }
        return "no required check has failed often enough: \(failing.joined(separator: ", "))"
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
        if let weight = intent?.weight {
            let end = intent?.weightUntil.map { " at \($0), or before by" } ?? ":"
            lines.append(
                "the end of weight \(weight)\(end) muster peer weight \(upstream) \(report.definition.id) default"
            )
        }
        if let ejection = report.ejection {
            lines.append("the end of the ejection: \(ejection.endWords)")
        }
        if report.view.status == .maint { return lines + maintChanges(lines.isEmpty) }
        if report.view.status == .starting, let end = report.slowStartEnd {
            lines.append("the end of its slow start at \(end): it has its whole weight then")
        }
        for (monitor, pair) in monitors {
            guard let verdict = verdict(of: monitor) else {
                lines.append("\(monitor.id): its first probe")
                continue
            }
            switch verdict.status {
            case .up where verdict.withheld != nil:
                lines.append("\(monitor.id): \(verdict.withheld?.end(at: verdict.agent) ?? "")")
            case .up where verdict.expiresAt < now:
                let left = verdict.health - verdict.rise + 1
                let count = left == 1 ? "one failure" : "\(left) failures in a row"
                let verb = (monitor.isRequired ? "take" : "degrade") + (left == 1 ? "s" : "")
                lines.append(
                    "\(monitor.id): one pass makes it known again; \(count) \(verb) it"
                        + (monitor.isRequired ? " down" : "")
                )
            case .up:
                let left = verdict.health - verdict.rise + 1
                let count = left == 1 ? "one failure" : "\(left) failures in a row"
                let verb = (monitor.isRequired ? "take" : "degrade") + (left == 1 ? "s" : "")
                var line = "\(monitor.id): \(count) \(verb) it\(monitor.isRequired ? " down" : "")"
                // Whoever cannot be asked has none.
                if asOf == nil, let pair, pair.confirmAgents > 0 {
                    let agents = pair.confirmAgents == 1 ? "agent has" : "agents have"
                    line += ", and \(pair.confirmAgents) other \(agents) a vote on that"
                }
                lines.append(line)
            case .down:
                let left = verdict.rise - verdict.health
                let count = left == 1 ? "one pass" : "\(left) passes in a row"
                let verb = (monitor.isRequired ? "bring" : "end") + (left == 1 ? "s" : "")
                let up = intent?.mode == .drain ? "it back, to drain" : "it up"
                let what = monitor.isRequired ? up : "that it degrades the peer"
                lines.append("\(monitor.id): \(count) \(verb) \(what)")
            case .unknown: lines.append("\(monitor.id): a probe that says something")
            }
            if verdict.expiresAt >= now, verdict.status != .unknown, isOfTheStore(verdict) {
                lines.append(
                    "\(monitor.id): the return of the store, with what \(verdict.agent) finds"
                )
            } else if verdict.expiresAt >= now, verdict.status != .unknown {
                let end = monitor.isRequired ? "makes it unknown" : "leaves this check out"
                lines.append(
                    "\(monitor.id): no word of \(verdict.agent) until \(verdict.expiresAt) \(end)"
                )
            }
        }
        return lines
    }

    /// Whatever its checks find.
    private func maintChanges(_ isUnasked: Bool) -> [String] {
        var lines: [String] = []
        if report.verdicts.contains(where: { $0.hints.admin == .maint }) {
            lines.append("the peer's own agent, which asked for maint: when it says ready")
        } else if isUnasked, report.definition.isDisabled {
            let id = report.definition.id
            lines.append(
                "the configuration, which marks it down; or before: muster peer ready \(upstream) \(id)"
            )
        }
        return lines + ["nothing that its checks find, while it is in maint"]
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
