// How is the state of all peers told? One row each, and the worst of them as the exit code.

import Vocabulary

struct StatusReport {
    struct Row {
        var upstream: String
        var peer: String
        var status: String
        var since: String
        var reason: String
    }

    let rows: [Row]
    private let peer: String?

    /// `body` is one upstream, a list of them, or a map that holds the list.
    init(_ body: JSON, peer: String?) {
        self.peer = peer
        let upstreams = body.items ?? body["upstreams"]?.items ?? [body]
        rows = upstreams.flatMap { upstream in
            (upstream["peers"]?.items ?? []).compactMap { item in
                let id = item["id"]?.string ?? ""
                if let peer, peer != id { return nil }
                return Row(
                    upstream: upstream["name"]?.string ?? "",
                    peer: id,
                    status: item["status"]?.string ?? "unknown",
                    since: item["since"].flatMap(Self.time) ?? "-",
                    reason: item["reason"].flatMap(Self.reason) ?? ""
                )
            }
        }
    }

    private static func time(_ value: JSON) -> String? {
        value.string ?? value.integer.map { WallTime(milliseconds: $0).description }
    }

    /// One reason, or the chain of them.
    private static func reason(_ value: JSON) -> String? {
        value.string ?? value.items?.compactMap { $0.string }.joined(separator: "; ")
    }

    var text: String {
        Table.lines(
            [["UPSTREAM", "PEER", "STATUS", "SINCE", "REASON"]]
                + rows.map { [$0.upstream, $0.peer, $0.status, $0.since, $0.reason] }
        ).joined(separator: "\n")
    }

    /// What came, cut down to the peer that was asked for.
    func json(of body: JSON) -> JSON {
        guard let peer else { return body }
        return body["peers"]?.items?.first { $0["id"]?.string == peer } ?? body
    }

    /// Down is worse than unknown, as a pager sees it.
    var exitStatus: ExitStatus {
        let statuses = Set(rows.map { $0.status })
        if statuses.contains("down") { return .failing }
        if statuses.contains("unknown") { return .unknown }
        return statuses.subtracting(["up"]).isEmpty ? .fine : .warning
    }
}
