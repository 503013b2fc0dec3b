// How is a transition told to people? In one line, in HAProxy's manner: who, what, why, since when,
// and how many are left. Here is every sentence about one peer.

import Health
import Vocabulary

/// `web/127.0.0.1:9001 is DOWN, reason: L4CON Connection refused (http), after 12m3s up, check took
/// 0ms, 1 of 2 peers left`.
struct TransitionLine {
    enum Cause {
        case verdict(Verdict)
        case intent
        case definition
        case time
        /// What this process saw of its own requests.
        case traffic
    }

    let peer: PeerKey
    let change: PeerHealth.Change
    let cause: Cause
    let counts: UpstreamBoard.Counts

    var line: Journal.Line { Journal.Line(level, text, fields) }

    /// For the worse a warning, whatever it comes from; what somebody asked for, and what gets better,
    /// a notice.
    private var level: Journal.Level {
        switch change.to.status {
        case .down, .ejected: .warning
        // Defined anew it has to be asked first.
        case .unknown: if case .definition = cause { .notice } else { .warning }
        case .degraded: [.down, .ejected].contains(change.from.routing) ? .notice : .warning
        case .maint, .drain, .starting, .up: .notice
        }
    }

    private var text: String {
        var text = "\(peer) is \(change.to.status.rawValue.uppercased())"
        let verdict = decisive
        if let verdict {
            text += ", reason: \(verdict.words)"
        } else if !change.to.reason.isEmpty {
            text += ", reason: \(change.to.reason)"
        }
        let lasted = change.to.since - change.from.since
        text += ", after \(Self.rough(lasted)) \(change.from.status.rawValue)"
        if let verdict { text += ", check took \(verdict.latency.milliseconds)ms" }
        return text + ", " + counts.words(after: change)
    }

    private var fields: [Journal.Field] {
        var fields: [Journal.Field] = [
            .event("transition"), .upstream(peer.upstream), .peer(peer.peer),
            .status(change.to.status.rawValue), .from(change.from.status.rawValue),
        ]
        if let verdict = decisive {
            fields += verdict.fields
        } else {
            fields.append(.reason(change.to.reason))
        }
        return fields + [
            .init("available", Int64(counts.available)), .init("wanted", Int64(counts.wanted)),
        ]
    }

    /// The verdict that made the status what it is. The one that came last need not be it: a pass
    /// after which a peer is degraded completes the view, and another monitor's failure is why.
    /// Where nothing else explains the status, it is told all the same.
    private var decisive: Verdict? {
        guard case .verdict(let verdict) = cause else { return nil }
        let isDecisive =
            switch change.to.status {
            case .up, .starting: verdict.status == .up
            case .degraded: verdict.status == .down || verdict.isDegraded
            case .down: verdict.status == .down
            case .maint, .drain, .ejected, .unknown: false
            }
        return isDecisive || change.to.reason.isEmpty ? verdict : nil
    }

    static func rough(_ span: Nanoseconds) -> String { span.rough }
}

extension UpstreamBoard.Counts {
    /// Who has gone leaves some; who has come is one of them.
    fileprivate func words(after change: PeerHealth.Change) -> String {
        if wanted == 0 { return words }
        return words + (change.to.isAvailable ? " available" : " left")
    }
}

/// It came into another status while nobody was here to see it.
struct AbsenceLine {
    let peer: PeerKey
    let change: PeerHealth.Change
    let counts: UpstreamBoard.Counts

    var line: Journal.Line {
        let (from, to) = (change.from, change.to)
        var text = "\(peer) is \(to.status.rawValue.uppercased())"
        if !to.reason.isEmpty { text += ", reason: \(to.reason)" }
        text +=
            "; when muster ended it was \(from.status.rawValue.uppercased()) since \(from.since)"
        if from.status == .drain || from.status == .maint {
            text += ", which has ended or was lifted meanwhile"
        }
        text += ", " + counts.words(after: change)
        return Journal.Line(
            [.down, .ejected].contains(to.status) ? .warning : .notice,
            text,
            [
                .event("transition"), .upstream(peer.upstream), .peer(peer.peer),
                .status(to.status.rawValue), .from(from.status.rawValue), .reason(to.reason),
                .init("available", Int64(counts.available)), .init("wanted", Int64(counts.wanted)),
            ]
        )
    }
}

/// The status is the same, and the reason is not.
struct ReasonLine {
    let verdict: Verdict
    let status: PeerStatus
    /// It is another check for which the peer is as it is: this one is optional.
    var isBeside = false
    let news: ReasonWatch.News

    /// Nobody has heard of a peer that could never be asked. Where an agent's line says nothing about
    /// health, silence is what was asked for.
    private var level: Journal.Level {
        status == .unknown && verdict.reason != .checked ? .warning : .notice
    }

    var line: Journal.Line {
        var text = "\(verdict.key.peerKey) is still \(status.rawValue.uppercased())"
        if isBeside { text += ", and its optional check \(verdict.key.monitor) fails too" }
        text += ", reason\(news.before == nil ? "" : " now"): \(verdict.words)"
        if let before = news.before { text += ", before: \(before)" }
        if news.leftOut > 0 { text += ", changes in between: \(news.leftOut)" }
        let key = verdict.key
        return Journal.Line(
            level,
            text,
            [
                .event("reason"), .upstream(key.upstream), .peer(key.peer),
                .status(status.rawValue),
            ] + verdict.fields
        )
    }
}

/// Something was asked of a peer, and its status is the same: it is down, say, and shall drain too.
struct IntentLine {
    let peer: PeerKey
    let view: PeerView
    let before: Intent?
    let intent: Intent?
    /// The mode changed the status, and that has its own line.
    var isModeTold = false
    /// When the weight was asked for.
    var weightSince: WallTime?

    /// Nil when nothing is different that anybody would notice.
    var line: Journal.Line? {
        var parts: [String] = []
        if !isModeTold, before?.mode != intent?.mode || before?.until != intent?.until {
            if let intent, let mode = intent.mode {
                var part = "operator asked for \(mode.rawValue)"
                if !intent.reason.isEmpty { part += ": \(intent.reason)" }
                if let until = intent.until { part += " (until \(until))" }
                parts.append(part)
            } else if let mode = before?.mode {
                parts.append("operator lifted \(mode.rawValue)")
            }
        }
        if before?.weight != intent?.weight || before?.weightUntil != intent?.weightUntil {
            if intent?.weight == 0 {
                parts.append(Weightless.operator(intent, since: weightSince).words)
            } else if let weight = intent?.weight {
                var part = "operator set weight \(weight)"
                if let why = intent?.weightReason, !why.isEmpty { part += ": \(why)" }
                if let until = intent?.weightUntil { part += " (until \(until))" }
                parts.append(part)
            } else {
                parts.append("operator went back to the configured weight \(view.weight)")
            }
        }
        if parts.isEmpty { return nil }
        var fields: [Journal.Field] = [
            .event("intent"), .upstream(peer.upstream), .peer(peer.peer),
            .status(view.status.rawValue), .weight(view.weight),
            .intent((intent?.mode ?? .ready).rawValue),
        ]
        if let reason = intent?.reason { fields.append(.reason(reason)) }
        if let until = intent?.until { fields.append(.until(until)) }
        let status = view.status.rawValue.uppercased()
        return Journal.Line(
            .notice,
            "\(peer) is still \(status), \(parts.joined(separator: "; "))",
            fields
        )
    }
}

/// The peer's own agent changed how much it wants.
struct WeightLine {
    let peer: PeerKey
    let change: PeerHealth.Change

    /// Nil when it is no change of weight, or a slow start's, which goes on beneath a drain too.
    var line: Journal.Line? {
        let (from, to) = (change.from, change.to)
        guard from.status == to.status, !from.isRamping, !to.isRamping, from.weight == to.weight,
            from.effectiveCentiweight != to.effectiveCentiweight
        else { return nil }
        let isZero = to.effectiveCentiweight == 0
        return Journal.Line(
            isZero ? .warning : from.effectiveCentiweight == 0 ? .notice : .info,
            isZero
                ? "\(peer) is still \(to.status.rawValue.uppercased()), \(Weightless.agent.words)"
                : "\(peer) has weight \(Self.number(to)) of \(to.weight), before "
                    + "\(Self.number(from)): its agent asked for it",
            [
                .event("weight"), .upstream(peer.upstream), .peer(peer.peer),
                .status(to.status.rawValue), .weight(to.weight),
                // In hundredths, so that it is a number whatever share the agent asked for.
                .init("effective_centiweight", Int64(to.effectiveCentiweight)),
            ]
        )
    }

    private static func number(_ view: PeerView) -> String {
        let hundredths = view.effectiveCentiweight % 100
        let whole = "\(view.effectiveCentiweight / 100)"
        if hundredths == 0 { return whole }
        return hundredths % 10 == 0
            ? "\(whole).\(hundredths / 10)"
            : "\(whole).\(hundredths < 10 ? "0" : "")\(hundredths)"
    }
}

/// The end of a weight that an operator had set for a while.
struct WeightEndLine {
    let peer: PeerKey
    let change: PeerHealth.Change
    let cause: TransitionLine.Cause

    /// Nil where the configured weight is as before, or somebody asked for the change just now. A probe
    /// may come at the moment of the end, and see it first.
    var line: Journal.Line? {
        switch cause {
        case .intent, .definition: return nil
        case .verdict, .time, .traffic: break
        }
        let (from, to) = (change.from, change.to)
        guard from.weight != to.weight else { return nil }
        return Journal.Line(
            .notice,
            "\(peer) has its configured weight \(to.weight) again: the time of weight \(from.weight), "
                + "which an operator had asked for, has ended",
            [
                .event("weight-end"), .upstream(peer.upstream), .peer(peer.peer),
                .status(to.status.rawValue), .weight(to.weight),
            ]
        )
    }
}

extension Verdict {
    /// `L7STS/503 Service Unavailable (http)`.
    fileprivate var words: String {
        // Up though the last probe failed: the reason is that of a failure, and this is how far it is.
        let failures = status == .up ? rise + fall - 1 - health : 0
        var text =
            failures > 0 && !reason.rawValue.contains("OK")
            ? "\(failures) of \(fall) failures: " : ""
        text += ReasonWatch.words(reason, code)
        if !message.isEmpty { text += " \(message)" }
        return "\(text) (\(key.monitor))"
    }

    fileprivate var fields: [Journal.Field] {
        var fields: [Journal.Field] = [
            .monitor(key.monitor), .init("kind", kind), .reason(reason.rawValue),
        ]
        if let layer = reason.layer { fields.append(.layer(layer)) }
        if let code { fields.append(.code(code)) }
        fields += [
            .init("detail", message), .milliseconds("latency_ms", latency), .agent(agent),
        ]
        return fields
    }
}
