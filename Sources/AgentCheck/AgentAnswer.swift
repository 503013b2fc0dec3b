// What is said of a peer to whoever asks? Its whole state joined with the policy: one line for
// HAProxy's agent check and one status for checkers that speak only HTTP. Pure.

import Health

/// The answer to one question about one peer.
public struct AgentAnswer: Hashable, Sendable {
    /// The line, with its line feed.
    public var text: String
    public var httpStatus: Int

    public init(text: String, httpStatus: Int) {
        self.text = text
        self.httpStatus = httpStatus
    }
}

/// Everything that an answer depends on.
struct AgentQuestion {
    var definition: PeerDefinition
    var view: PeerView
    /// What `AdminHold` says now.
    var admin: Intent.Mode?
    /// Load balancers among which a connection limit is divided.
    var askers = 1
    var isStoreLost = false
    /// The last words about its health took requests away, and the load balancer still goes by them.
    var owesUp = false
    var policy = AgentCheckPolicy()

    var answer: AgentAnswer { AgentAnswer(text: line.text, httpStatus: httpStatus) }

    var line: AgentLine {
        guard var health = opinion ?? (isToldByHealth ? .up : nil) else {
            return AgentLine(admin: admin)
        }
        var percent = weightPercent
        if policy.adminWords == .never {
            switch view.asked {
            case .maint: health = .down
            case .drain: percent = 0
            case .ready: break
            }
        }
        return AgentLine(
            admin: admin,
            health: health,
            weightPercent: percent,
            maxConnections: maxConnections,
            reason: view.reason
        )
    }

    /// What was asked for has no other word, and is said whatever is known of the peer.
    private var isToldByHealth: Bool { policy.adminWords == .never && view.asked != .ready }

    private var httpStatus: Int {
        if view.asked == .maint { return policy.statuses.maint }
        guard let opinion else { return policy.statuses.unknown }
        if opinion == .down { return policy.statuses.down }
        return view.asked == .drain ? policy.statuses.drain : policy.statuses.up
    }

    /// Up or down by what is known, or nil where the policy says to change nothing.
    private var opinion: AgentLine.HealthWord? {
        if isStoreLost, policy.storeLost != .lastKnown { return resolve(policy.storeLost) }
        if view.checked == .unknown { return resolve(policy.unprobed) ?? takenBack }
        return view.isStale ? resolve(policy.stale) ?? takenBack : lastKnown
    }

    /// Where the policy says to change nothing: `up`, if muster itself would send requests and the load
    /// balancer has no other way to learn that the peer is back. A `down` that nobody takes back holds
    /// for ever.
    private var takenBack: AgentLine.HealthWord? {
        guard view.isPassing || owesUp else { return nil }
        let isRouted =
            view.checked != .down && view.routing != .down && !view.isStranger && !view.isNowhere
        return isRouted ? .up : nil
    }

    private func resolve(_ fallback: AgentCheckPolicy.Fallback) -> AgentLine.HealthWord? {
        switch fallback {
        case .unchanged: nil
        case .lastKnown: lastKnown
        case .up: .up
        case .down: .down
        }
    }

    private var lastKnown: AgentLine.HealthWord? {
        switch view.checked {
        case .unknown: nil
        case .down: .down
        // Also where this process ejected it: that is of its own requests, and no verdict.
        case .up: .up
        }
    }

    /// Of the configured weight. A ramp never rounds down to 0%, which would be a drain.
    private var weightPercent: Int {
        let effective = view.effectiveCentiweight
        if effective <= 0 { return 0 }
        // A peer configured with no weight was given one by hand: there is nothing to relate it to.
        if policy.weights == .onOff || definition.weight <= 0 { return 100 }
        let percent = (Double(effective) / Double(definition.weight)).rounded()
        return min(max(Int(percent), 1), AgentLine.weightPercentMax)
    }

    /// This asker's share, rounded up so that the last connection is not lost to a division.
    private var maxConnections: Int? {
        let limits = [view.maxConnections, definition.maxConnections].compactMap { $0 }
            .filter { $0 > 0 }
        guard let limit = limits.min() else { return view.maxConnections.map { _ in 0 } }
        let askers = max(policy.askers ?? askers, 1)
        return max((limit - 1) / askers + 1, 1)
    }
}
