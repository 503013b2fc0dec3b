// Since when is this peer as it is, how often was it otherwise, and for how long? What somebody asks at 3 a.m.

import ArgumentParser
import Vocabulary

struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Shows the past of a peer: since when, how often, how long.",
        discussion: """
            The last day, or as much as --last says; how much is kept says 'history' in the configuration. Ends \
            with 0, or with 3 where there is no such peer or muster is not reached.
            """
    )

    @Argument(help: PeerName.help)
    var names: [String] = []

    @Option(help: "How far back: 1h, 24h (the default), 7d.")
    var last = "24h"

    @Flag(help: "Print the answer as it came, in JSON.")
    var json = false

    @OptionGroup var admin: AdminOptions

    func validate() throws {
        _ = try PeerName(names)
        guard let span = Nanoseconds(text: last), span > .zero, span <= .seconds(366 * 86_400)
        else {
            throw ValidationError("--last: expected a duration such as 1h or 7d, saw '\(last)'")
        }
    }

    func run() async throws {
        let name = try PeerName(names)
        let span = Nanoseconds(text: last) ?? .seconds(86_400)
        let from = EndTime.now + -span
        let path =
            "/v1/upstreams/\(name.upstream.percentEncoded)/peers/\(name.peer.percentEncoded)/history"
            + "?from=\(from.description.percentEncoded)"
        let body = try await admin.answer(path)
        for line in json ? [body.text] : HistoryReport(body, now: EndTime.now).lines {
            Console.line(line)
        }
    }
}

/// A peer's past, in lines.
struct HistoryReport {
    let body: JSON
    let now: WallTime

    init(_ body: JSON, now: WallTime) {
        self.body = body
        self.now = now
    }

    /// More lines of one sort are summed up.
    static let turnsMax = 20
    static let latenciesMax = 12

    var lines: [String] {
        let name = "\(body["upstream"]?.string ?? "")/\(body["peer"]?.string ?? "")"
        let status = (body["status"]?.string ?? "").uppercased()
        let since = body["since"]?.string ?? ""
        let ago = WallTime(rfc3339: since).map { ", for \((now - $0).rough)" } ?? ""
        var lines = ["\(name) is \(status) since \(since)\(ago)"]
        let shares = (body["uptime"]?.members ?? []).map { member in
            "\(member.key) \(member.value.double.map(Self.percent) ?? "not known")"
        }
        lines.append("uptime   \(shares.joined(separator: ", "))")
        lines.append("outages  \(outages)")
        lines.append("strip    \(Self.bar(body["strip"]?.string ?? "")) now")
        if let from = body["known_from"]?.string { lines.append("known    from \(from) on") }
        lines += turns + latencies
        return lines.map(\.printable)
    }

    private var outages: String {
        let count = body["outages"]?["count"]?.int ?? 0
        if count == 0 { return "none" }
        func span(_ key: String) -> String {
            Nanoseconds.milliseconds(body["outages"]?[key]?.integer ?? 0).rough
        }
        return "\(count), together \(span("total_ms")), the longest \(span("longest_ms"))"
    }

    private var turns: [String] {
        let all = body["transitions"]?.items ?? []
        if all.isEmpty { return [] }
        var lines = [""]
        if all.count > Self.turnsMax {
            lines.append(
                "\(all.count - Self.turnsMax) earlier transitions are left out (--json has all)"
            )
        }
        for (index, turn) in all.enumerated().suffix(Self.turnsMax) {
            let time = turn["time"]?.string ?? ""
            let end = index + 1 < all.count ? all[index + 1]["time"]?.string : nil
            let until = end.flatMap { WallTime(rfc3339: $0) } ?? now
            let lasted = WallTime(rfc3339: time).map { (until - $0).rough } ?? ""
            let reason = turn["reason"]?.string ?? ""
            lines.append(
                "\(time)  \(turn["from"]?.string ?? "") -> \(turn["to"]?.string ?? ""), \(lasted)"
                    + (reason.isEmpty ? "" : "  \(reason)")
            )
        }
        return lines
    }

    private var latencies: [String] {
        let all = (body["latency"]?.items ?? []).suffix(Self.latenciesMax)
        if all.isEmpty { return [] }
        var rows = [["FIVE MINUTES FROM", "PROBES", "FAILED", "MIN", "AVG", "P50", "P99", "MAX"]]
        for one in all {
            func milliseconds(_ key: String) -> String {
                one[key]?.double.map { "\($0)ms" } ?? "-"
            }
            rows.append([
                one["time"]?.string ?? "", "\(one["probes"]?.int ?? 0)",
                "\(one["failures"]?.int ?? 0)", milliseconds("min_ms"), milliseconds("avg_ms"),
                milliseconds("p50_ms"), milliseconds("p99_ms"), milliseconds("max_ms"),
            ])
        }
        return [""] + Table.lines(rows)
    }

    static func percent(_ share: Double) -> String {
        // Never 100% of what was not: three digits, rounded down.
        let thousandths = Int64((share * 100_000).rounded(.down))
        let rest = thousandths % 1_000
        return rest == 0
            ? "\(thousandths / 1_000)%"
            : "\(thousandths / 1_000)." + String(repeating: "0", count: 3 - "\(rest)".count)
                + "\(rest)%"
    }

    private static func bar(_ strip: String) -> String {
        strip.map { letter in
            switch letter {
            case "d": "X"
            case "w": "!"
            case "m": "-"
            case "u": "="
            default: "."
            }
        }.joined()
    }
}
