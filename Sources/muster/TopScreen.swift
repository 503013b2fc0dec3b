// How is everything, at a glance and live? Problems first, then the busiest; as much as the terminal holds.
// Pure: two answers of the API and the size of the window in, lines out.

import Vocabulary

struct TopScreen {
    struct Size: Equatable {
        var columns: Int
        var rows: Int
    }

    private struct Row {
        var rank: Int
        var rate: Double
        var cells: [String]
        var status: String
    }

    private let rows: [Row]
    private let counts: [(status: String, count: Int)]
    private let title: String
    /// What concerns a whole upstream, or all of them, in the words of `muster status`.
    private let remarks: [String]

    /// `before` is the answer `seconds` earlier; without one there are no rates yet. `readiness` is what
    /// `/ready` says, where it could be had.
    init(
        _ now: JSON,
        before: JSON?,
        seconds: Double,
        title: String,
        readiness: JSON? = nil
    ) {
        self.title = title
        remarks = StatusReport(now, peer: nil, readiness: readiness).remarks.map(\.printable)
        let earlier = Self.traffic(in: before)
        var counted: [String: Int] = [:]
        var rows: [Row] = []
        for upstream in now["upstreams"]?.items ?? [] {
            let name = upstream["name"]?.string ?? ""
            for peer in upstream["peers"]?.items ?? [] {
                let id = peer["id"]?.string ?? ""
                let status = peer["status"]?.string ?? "unknown"
                counted[status, default: 0] += 1
                let requests = peer["traffic"]?["requests"]?.double ?? 0
                let failures = peer["traffic"]?["failures"]?.double ?? 0
                let was = earlier["\(name)/\(id)"]
                let rate = was.map { max(0, requests - $0.requests) / max(seconds, 0.001) }
                let failing = was.map { max(0, failures - $0.failures) / max(seconds, 0.001) }
                let checks = peer["checks"]?.items ?? []
                let latency = checks.compactMap { $0["latency_ms"]?.double }.max()
                // As before in name only: its check fails, and that does not count.
                let isHeld = checks.contains { $0["held"] == "mass-change" }
                rows.append(
                    Row(
                        rank: Self.rank(isHeld && status == "up" ? "degraded" : status),
                        rate: rate ?? 0,
                        cells: [
                            name, id, status, StatusReport.weight(of: peer), Self.number(rate),
                            Self.number(failing), latency.map { "\(Self.number($0)) ms" } ?? "-",
                            peer["since"]?.string.map { String($0.prefix(19)) } ?? "-",
                            peer["reason"]?.string ?? "",
                        ].map(\.printable),
                        status: status
                    )
                )
            }
        }
        self.rows = rows.sorted {
            ($0.rank, -$0.rate, $0.cells[0], $0.cells[1])
                < ($1.rank, -$1.rate, $1.cells[0], $1.cells[1])
        }
        counts = counted.sorted { Self.rank($0.key) < Self.rank($1.key) }
            .map { ($0.key, $0.value) }
    }

    /// What an operator has to see first.
    private static func rank(_ status: String) -> Int {
        ["down", "ejected", "unknown", "degraded", "drain", "maint", "up"].firstIndex(of: status)
            ?? 0
    }

    private static func traffic(
        in body: JSON?
    ) -> [String: (requests: Double, failures: Double)] {
        var found: [String: (requests: Double, failures: Double)] = [:]
        for upstream in body?["upstreams"]?.items ?? [] {
            for peer in upstream["peers"]?.items ?? [] {
                let key = "\(upstream["name"]?.string ?? "")/\(peer["id"]?.string ?? "")"
                found[key] = (
                    peer["traffic"]?["requests"]?.double ?? 0,
                    peer["traffic"]?["failures"]?.double ?? 0
                )
            }
        }
        return found
    }

    /// Three figures are as many as anybody reads while they move.
    private static func number(_ value: Double?) -> String {
        guard let value else { return "-" }
        if value >= 100 || value == value.rounded() { return "\(Int(value.rounded()))" }
        return "\((value * 10).rounded() / 10)"
    }

    private static let head = [
        "UPSTREAM", "PEER", "STATUS", "WEIGHT", "REQ/S", "FAIL/S", "CHECK", "SINCE", "REASON",
    ]

    /// No line is longer than the window, and no more of them than it has.
    func lines(in size: Size, isColoured: Bool) -> [String] {
        let summary = counts.map { "\($0.count) \($0.status)" }.joined(separator: ", ")
        let told = remarks(within: size.rows / 3)
        let room = max(size.rows - 4 - (told.isEmpty ? 0 : told.count + 1), 1)
        let shown = rows.prefix(rows.count > room ? room - 1 : room)
        let table = Table.lines([Self.head] + shown.map(\.cells))
        var lines = [
            Self.cut(title, size.columns),
            Self.cut(summary.isEmpty ? "no peers" : summary, size.columns), "",
        ]
        for (place, line) in table.enumerated() {
            let text = Self.cut(line, size.columns)
            let colour = place > 0 && isColoured ? Self.colour(shown[place - 1].status) : nil
            lines.append(colour.map { "\u{1B}[\($0)m\(text)\u{1B}[0m" } ?? text)
        }
        if shown.count < rows.count {
            lines.append(Self.cut("and \(rows.count - shown.count) more", size.columns))
        }
        if !told.isEmpty { lines += [""] + told.map { Self.cut($0, size.columns) } }
        return lines
    }

    /// Those that have room beside the peers.
    private func remarks(within rows: Int) -> [String] {
        if remarks.count <= rows { return remarks }
        if rows < 1 { return [] }
        let shown = remarks.prefix(rows - 1)
        return shown + ["and \(remarks.count - shown.count) more to be told: muster status"]
    }

    private static func colour(_ status: String) -> String? {
        switch status {
        case "down", "ejected": "31"
        case "unknown", "degraded": "33"
        case "drain", "maint": "36"
        default: nil
        }
    }

    private static func cut(_ text: String, _ columns: Int) -> String {
        text.count <= columns ? text : String(text.prefix(max(columns - 1, 0))) + "…"
    }
}
