// Do requests and probes find the same of a peer? Where they do not, that has a name: somebody has to look.

import Health
import Proxy
import Store
import Vocabulary

enum Disagreement: String, CaseIterable {
    /// Requests fail, here or at other agents, and the checks pass.
    case trafficFails = "traffic-fails"
    /// The checks fail, and requests are answered.
    case probesFail = "probes-fail"
    /// Agents that were asked, or that look at it too, find otherwise than the one that probes it.
    case agentsDiffer = "agents-differ"

    /// Answers of long ago say nothing.
    private static let answeredWithin = Nanoseconds.seconds(10)
    /// What was under way when it went down may still end well.
    private static let aftermath = Nanoseconds.seconds(1)

    init?(
        _ report: PeerReport,
        _ traffic: UpstreamJSON.SeenTraffic?,
        isOutvoted: Bool = false,
        now: WallTime
    ) {
        let view = report.view
        if view.checked == .up, view.routing == .ejected || traffic?.own.failing != nil {
            // Also one that may not be ejected: by `eject`, or as too many others are out.
            self = .trafficFails
        } else if view.routing == .down, let answered = traffic?.own.answered,
            answered < Self.answeredWithin, answered + Self.aftermath < now - view.since
        {
            self = .probesFail
        } else if isOutvoted {
            self = .agentsDiffer
        } else if let votes = traffic?.votes, !votes.isEmpty, view.checked == .up {
            self = .trafficFails
        } else {
            return nil
        }
    }
}
