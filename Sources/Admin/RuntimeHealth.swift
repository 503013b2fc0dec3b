// What is a peer's health in HAProxy's words and numbers?

import Checks
import Health
import Store
import Vocabulary

struct RuntimeHealth {
    /// Of several monitors the one that is worst.
    let check: Verdict?
    let agent: Verdict?
    let isChecked: Bool
    let isDown: Bool
    let status: String

    private static let agentKinds: Set = [HAProxyAgentCheck.kind, HTTPAgentCheck.kind]

    static func isAgent(_ kind: String) -> Bool { agentKinds.contains(kind) }

    init(_ peer: PeerReport, _ monitors: [MonitorSummary]) {
        let required = Set(monitors.filter(\.isRequired).map(\.id))
        let kinds = Dictionary(
            monitors.map { ($0.id, $0.kind) },
            uniquingKeysWith: { first, _ in first }
        )
        let verdicts = peer.verdicts.sorted { left, right in
            Self.rank(left, required) < Self.rank(right, required)
        }
        check = verdicts.first { !Self.agentKinds.contains(kinds[$0.key.monitor] ?? $0.kind) }
        agent = verdicts.first { Self.agentKinds.contains(kinds[$0.key.monitor] ?? $0.kind) }
        isChecked = !monitors.isEmpty
        isDown = peer.view.status == .down
        status = Self.status(peer, check, agent, isChecked: !monitors.isEmpty)
    }

    /// Down before up, and what counts before what does not.
    private static func rank(_ verdict: Verdict, _ required: Set<String>) -> Int {
        (required.contains(verdict.key.monitor) ? 0 : 2) + (verdict.status == .down ? 0 : 1)
    }

    private static func status(
        _ peer: PeerReport,
        _ check: Verdict?,
        _ agent: Verdict?,
        isChecked: Bool
    ) -> String {
        switch peer.view.status {
        case .maint: return "MAINT"
        case _ where peer.view.isNowhere: return "MAINT (resolution)"
        case .down:
            if let agent, agent.status == .down, check?.status != .down { return "DOWN (agent)" }
            guard let check, check.status == .down, check.health > 0 else { return "DOWN" }
            return "DOWN \(check.health)/\(check.rise)"
        case .drain: return "DRAIN"
        // It is well, and gets nothing for a while.
        case .ejected: return "NOLB"
        case .up, .degraded, .starting, .unknown: break
        }
        if peer.view.isWeightless { return "DRAIN" }
        guard isChecked else { return "no check" }
        guard let check, check.status == .up, check.health < check.rise + check.fall - 1 else {
            return "UP"
        }
        return "UP \(check.health - check.rise + 1)/\(check.fall)"
    }

    /// As the balancer has it now, rounded up.
    static func weight(of peer: PeerReport) -> Int { (peer.view.effectiveCentiweight + 99) / 100 }

    static func passes(_ reason: Reason) -> Bool {
        [.layer4OK, .layer6OK, .layer7OK, .layer7Conditional, .processOK].contains(reason)
    }

    static func word(of reason: Reason) -> String {
        switch reason {
        case .unknown, .resolver: "INI"
        default: reason.rawValue
        }
    }

    static func description(of reason: Reason) -> String { table[reason]?.words ?? "Initializing" }

    /// In HAProxy's list of check statuses.
    static func number(of reason: Reason) -> Int { table[reason]?.number ?? 1 }

    private static let table: [Reason: (number: Int, words: String)] = [
        .checked: (3, "No status change"),
        .socketError: (5, "Socket error"),
        .layer4OK: (6, "Layer4 check passed"),
        .layer4Timeout: (7, "Layer4 timeout"),
        .layer4Connect: (8, "Layer4 connection problem"),
        .layer6OK: (9, "Layer6 check passed"),
        .layer6Timeout: (10, "Layer6 timeout"),
        .layer6Response: (11, "Layer6 invalid response"),
        .layer7Timeout: (12, "Layer7 timeout"),
        .layer7Response: (13, "Layer7 invalid response"),
        .layer7OK: (15, "Layer7 check passed"),
        .layer7Conditional: (16, "Layer7 check conditionally passed"),
        .layer7Status: (17, "Layer7 wrong status"),
        .processError: (18, "External check error"),
        .processTimeout: (19, "External check timeout"),
        .processOK: (20, "External check passed"),
    ]

    static let algorithms = [
        "round-robin": "roundrobin", "unweighted-round-robin": "roundrobin",
        "least-connections": "leastconn", "random-two": "random", "peak-ewma": "random",
        "first": "first",
        "ip-hash": "source", "consistent-hash": "hash",
    ]
}

/// `show servers state`, in HAProxy's version 1.
enum RuntimeServers {
    private static let head =
        "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
        + "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
        + "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl "
        + "srv_check_port srv_check_addr srv_agent_addr srv_agent_port"

    /// Nil where there is no such upstream.
    static func state(_ picture: RuntimePicture, of upstream: String? = nil) -> String? {
        let wanted = upstream.map { picture.number(of: $0) }
        if case .some(nil) = wanted { return nil }
        var lines = ["1", head]
        for (place, view) in picture.upstreams.enumerated()
        where wanted == nil || wanted == place + RuntimePicture.firstBackend {
            for (index, peer) in view.peers.enumerated() {
                lines.append(
                    line(peer, index + 1, view, place + RuntimePicture.firstBackend, picture.now)
                )
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func line(
        _ peer: PeerReport,
        _ place: Int,
        _ upstream: UpstreamView,
        _ number: Int,
        _ now: WallTime
    ) -> String {
        let health = RuntimeHealth(peer, upstream.monitors)
        var host = "-"
        var name = "-"
        var port = "0"
        switch peer.definition.address {
        case .host(let text, let number):
            port = "\(number)"
            // A name has addresses of its own; which of them is taken is not told here.
            if text.utf8.allSatisfy({ $0 != 0x3A }), text.utf8.contains(where: { $0 > 0x39 }) {
                name = text
            } else {
                host = text
            }
        case .unix(let path): host = path
        }
        let words: [String] = [
            "\(number)", upstream.name, "\(place)", peer.definition.id, host,
            "\(operational(peer))",
            "\(administrative(peer))", "\(peer.view.weight)", "\(peer.definition.weight)",
            "\(max(0, (now - peer.view.since).count / 1_000_000_000))",
            "\(health.check.map { RuntimeHealth.number(of: $0.reason) } ?? 1)",
            "\(result(health.check))", "\(health.check?.health ?? 0)",
            health.check == nil ? "0" : "6", health.agent == nil ? "0" : "22", "0", "0", name, port,
            "-",
            "0", "0", "-", "-", "0",
        ]
        return words.map { $0.replacing(" ", with: "_") }.joined(separator: " ")
    }

    /// 0 stopped, 1 starting, 2 running.
    static func operational(_ peer: PeerReport) -> Int {
        switch peer.view.status {
        case .maint, .down: 0
        case _ where peer.view.isNowhere: 0
        case .starting: 1
        default: 2
        }
    }

    /// Bits: 1 maintenance by hand, 4 by the configuration, 8 drain, 32 a name without an address.
    static func administrative(_ peer: PeerReport) -> Int {
        let asked =
            switch peer.view.asked {
            case .ready: 0
            case .drain: 8
            case .maint: peer.intent?.mode == nil && peer.definition.isDisabled ? 5 : 1
            }
        return peer.view.isNowhere ? asked | 32 : asked
    }

    /// 0 unknown, 1 neither, 2 failed, 3 passed.
    private static func result(_ verdict: Verdict?) -> Int {
        guard let verdict else { return 0 }
        if RuntimeHealth.passes(verdict.reason) { return 3 }
        return [.checked, .unknown, .resolver, .socketError].contains(verdict.reason) ? 1 : 2
    }
}
