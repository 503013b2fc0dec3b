// Who answers an upstream's requests: its own peers, its backups, or nobody? Told when it changes: it is
// what the operator is woken for, and no line about a single peer says it.

import Health
import Vocabulary

/// Ordered from the best to the worst.
enum UpstreamSupply: Int {
    case peers, backups, nobody

    init(_ counts: UpstreamBoard.Counts) {
        if counts.available > 0 {
            self = .peers
        } else if counts.availableBackups > 0 {
            self = .backups
        } else {
            self = .nobody
        }
    }
}

/// One change of it, as a line.
struct SupplyLine {
    let upstream: String
    let from: UpstreamSupply
    let to: UpstreamSupply
    let counts: UpstreamBoard.Counts
    /// Of the peers that are no backups, how many have which status; `weight 0` counts as one.
    let census: [(what: String, count: Int)]
    let isPanic: Bool
    /// What requests get when nobody serves.
    let answer: UInt16
    /// Who asked for it, where nobody serves because each peer was told to take nothing.
    let askers: [String]?

    var line: Journal.Line {
        Journal.Line(
            level,
            text,
            [
                .event("supply"), .upstream(upstream), .init("supply", "\(to)"),
                .init("available", Int64(counts.available)), .init("wanted", Int64(counts.wanted)),
                .init("available_backups", Int64(counts.availableBackups)),
            ]
        )
    }

    private var level: Journal.Level {
        switch to {
        // Nobody has to be woken for what somebody asked for.
        case .nobody: askers == nil ? .error : .warning
        case .backups: from == .peers ? .warning : .notice
        case .peers: .notice
        }
    }

    /// So many who asked are named.
    static let askersMax = 3

    /// `all 2 peers are in maintenance or drain, as asked for by root (muster/0.1.0)`.
    private func asked(by askers: [String]) -> String {
        let count = census.reduce(0) { $0 + $1.count }
        let who = count == 1 ? "its peer is" : "all \(count) peers are"
        let names = askers.prefix(Self.askersMax).joined(separator: ", ")
        return "\(who) in maintenance or drain, as asked for by "
            + names + (askers.count > Self.askersMax ? " and others" : "")
    }

    private var text: String {
        let left = counts.wanted == 0 ? counts.words : "\(counts.words) available"
        switch to {
        case .nobody:
            let tally = census.map { "\($0.count) \($0.what)" }.joined(separator: ", ")
            let fate =
                isPanic
                ? "requests go to all that are not in maint, in drain or at weight 0"
                    + counts.exceptions
                : "requests are answered \(answer)"
            if let askers {
                return "\(upstream) has no available peer: \(asked(by: askers)); \(fate)"
            }
            return "\(upstream) has no available peer: "
                + "\(tally.isEmpty ? "it has no peers" : tally); \(fate)"
        case .backups where from == .peers:
            return "\(upstream) is served by its backups: \(left), "
                + "\(counts.availableBackups) backup\(counts.availableBackups == 1 ? "" : "s")"
        case .backups:
            return "\(upstream) has an available peer again: a backup; \(left)"
        case .peers where from == .backups:
            return "\(upstream) is served by its own peers again: \(left)"
        case .peers:
            return "\(upstream) has an available peer again: \(left)"
        }
    }
}
