// How is a transition told to people? In one line, in HAProxy's manner: who, what, why, since when,
// and how many are left.

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
    }

    let peer: PeerKey
    let change: PeerHealth.Change
    let cause: Cause
    let counts: UpstreamBoard.Counts

    var level: Journal.Level {
        switch change.to.status {
        case .down, .unknown: change.from.status == .unknown ? .notice : .warning
        default: .notice
        }
    }

    var text: String {
        var text = "\(peer.upstream)/\(peer.peer) is \(change.to.status.rawValue.uppercased())"
        let verdict = decisive
        if let verdict {
            text += ", reason: \(describe(verdict)) (\(verdict.key.monitor))"
        } else if !change.to.reason.isEmpty {
            text += ", reason: \(change.to.reason)"
        }
        let lasted = change.to.since - change.from.since
        text += ", after \(Self.rough(lasted)) \(change.from.status.rawValue)"
        if let verdict { text += ", check took \(verdict.latency.milliseconds)ms" }
        return text + ", \(counts.available) of \(counts.wanted) peers left"
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

    private func describe(_ verdict: Verdict) -> String {
        var text = verdict.reason.rawValue
        if let code = verdict.code, verdict.reason.layer == "L7" { text += "/\(code)" }
        if !verdict.message.isEmpty { text += " \(verdict.message)" }
        return text
    }

    /// The two largest units: `3d4h`, `12m3s`, `4s`, `250ms`.
    static func rough(_ span: Nanoseconds) -> String {
        let total = max(span.milliseconds, 0)
        if total < 1_000 { return "\(total)ms" }
        let seconds = total / 1_000
        let units: [(Int64, String)] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
        for (index, (size, name)) in units.enumerated() where seconds >= size {
            let text = "\(seconds / size)\(name)"
            guard index + 1 < units.count else { return text }
            let (nextSize, nextName) = units[index + 1]
            let rest = seconds % size / nextSize
            return rest == 0 ? text : text + "\(rest)\(nextName)"
        }
        return "0s"
    }
}
