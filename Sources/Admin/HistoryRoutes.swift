// Since when, how often, how long? What is remembered of a peer, and the strips of a whole upstream.

import EventLoop
import Health
import Ledger
import Store
import Vocabulary

enum HistoryRoutes {
    static let table: [AdminTable.Row] = [
        .init(.get, "/v1/upstreams/{upstream}/peers/{peer}/history", .read, peer),
        .init(.get, "/v1/upstreams/{upstream}/history", .read, upstream),
    ]

    static let windows: [(String, Nanoseconds)] = [
        ("1h", .seconds(3_600)), ("24h", .seconds(86_400)), ("7d", .seconds(7 * 86_400)),
    ]
    static let stripSpan = Nanoseconds.seconds(86_400)
    /// Half an hour each.
    static let stripParts = 48

    // MARK: One peer

    private static func peer(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let (view, report) = try await UpstreamRoutes.peer(request, context)
        let key = PeerKey(upstream: view.name, peer: report.definition.id)
        let now = plane.loop.wall
        let to = try time(request[query: "to"], "to") ?? now
        let from = try time(request[query: "from"], "from") ?? to + -stripSpan
        guard from < to else {
            // Each is a moment; that nothing lies between the two is no mistake in either.
            throw Problem(.notFound, "query: expected 'from' before 'to', saw \(from) and \(to)")
        }
        let (past, cutAt) = await plane.history?.call { ($0.past(of: key), $0.cutAt) } ?? (nil, nil)
        return .json(
            HistoryJSON(
                key: key,
                view: report.view,
                past: past,
                cutAt: cutAt,
                from: from,
                to: min(to, now),
                now: now
            ).json
        )
    }

    private static func time(_ text: String?, _ name: String) throws(Problem) -> WallTime? {
        guard let text, !text.isEmpty else { return nil }
        // A plus in a query may have become a blank on its way.
        guard let time = WallTime(rfc3339: text.replacing(" ", with: "+")) else {
            throw Problem(
                .badRequest,
                "query: expected '\(name)' to be a moment such as 2026-12-24T18:00:00Z, saw "
                    + "'\(Excerpt.text(text.utf8))'"
            )
        }
        return time
    }

    // MARK: All of an upstream

    private static func upstream(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let seen = try await UpstreamRoutes.seen(request[parameter: "upstream"], context)
        let now = plane.loop.wall
        let strips = await plane.strips(of: seen.view, at: now)
        return .json(
            .object([
                .init("from", .string((now + -stripSpan).description)),
                .init("to", .string(now.description)),
                .init("part_s", .integer(Int64(stripSpan.seconds) / Int64(stripParts))),
                .init(
                    "peers",
                    .array(
                        strips.map { strip in
                            .object([
                                .init("id", .string(strip.peer)),
                                .init("strip", .string(strip.letters)),
                                .init("uptime", HistoryJSON.share(strip.uptime)),
                                .init(
                                    "latency_ms",
                                    .array(strip.latency.map { HistoryJSON.milliseconds($0) })
                                ),
                            ])
                        }
                    )
                ),
            ])
        )
    }
}

/// One day of a peer in 48 parts.
struct PeerStrip: Sendable {
    var peer: String
    /// As of `PeerPast.strip`.
    var letters: String
    var uptime: Double?
    /// What probes took on average; nil where none passed.
    var latency: [Nanoseconds?]
}

extension ControlPlane {
    /// Peers asked for at once; between them the loop goes on.
    private static var peersAtOnce: Int { 500 }

    func strips(of view: UpstreamView, at now: WallTime) async -> [PeerStrip] {
        var strips: [PeerStrip] = []
        for start in stride(from: 0, to: view.peers.count, by: Self.peersAtOnce) {
            let peers = Array(view.peers[start..<min(start + Self.peersAtOnce, view.peers.count)])
            let keys = peers.map { PeerKey(upstream: view.name, peer: $0.definition.id) }
            let pasts = await history?.call { history in keys.map { history.past(of: $0) } }
            for (index, peer) in peers.enumerated() {
                let past = pasts?[index] ?? nil
                strips.append(PeerStrip(peer.definition.id, peer.view, past, at: now))
            }
        }
        return strips
    }
}

extension PeerStrip {
    init(_ peer: String, _ view: PeerView, _ past: PeerPast?, at now: WallTime) {
        self.peer = peer
        let start = now + -HistoryRoutes.stripSpan
        let stretches = (past ?? .nothing).stretches(
            from: start,
            to: now,
            now: (view.status, view.since)
        )
        letters = PeerPast.strip(stretches, from: start, to: now, count: HistoryRoutes.stripParts)
        uptime = PeerPast.uptime(stretches)
        var sums = [(span: Nanoseconds, count: Int64)](
            repeating: (.zero, 0),
            count: HistoryRoutes.stripParts
        )
        let part = HistoryRoutes.stripSpan.milliseconds / Int64(HistoryRoutes.stripParts)
        for bucket in past?.buckets ?? [] {
            guard let average = bucket.average, bucket.start >= start else { continue }
            let place = Int((bucket.start - start).milliseconds / part)
            guard sums.indices.contains(place) else { continue }
            let passes = Int64(bucket.count - min(bucket.failures, bucket.count))
            sums[place].span = sums[place].span + average * passes
            sums[place].count += passes
        }
        latency = sums.map { $0.count > 0 ? Nanoseconds($0.span.count / $0.count) : nil }
    }
}

/// How much of the past is held, and how its file is.
struct HistoryStatus: Hashable, Sendable {
    var peers = 0
    /// In memory.
    var bytes = 0
    /// Nil where nothing of it is kept on the disk.
    var file: LedgerStatus?
}

extension ControlPlane {
    /// Nil where nothing is remembered.
    func historyStatus() async -> HistoryStatus? {
        guard var status = await history?.call({ HistoryStatus(peers: $0.peers, bytes: $0.bytes) })
        else { return nil }
        status.file = await historyFile?.call { $0.status }
        return status
    }
}

/// `GET …/history` of one peer, in the shape that the documents promise.
struct HistoryJSON {
    let key: PeerKey
    let view: PeerView
    let past: PeerPast?
    let cutAt: WallTime?
    let from: WallTime
    let to: WallTime
    let now: WallTime

    var json: JSON {
        let past = past ?? .nothing
        let current = (status: view.status, since: view.since)
        let turns = past.turns.filter { from <= $0.at && $0.at <= to }
        return .object([
            .init("upstream", .string(key.upstream)),
            .init("peer", .string(key.peer)),
            .init("status", .string(view.status.rawValue)),
            .init("since", .string(view.since.description)),
            .init("from", .string(from.description)),
            .init("to", .string(to.description)),
            .init("known_from", JSON(knownFrom(past)?.description)),
            .init(
                "uptime",
                .object(
                    HistoryRoutes.windows.map { name, span in
                        let stretches = past.stretches(from: now + -span, to: now, now: current)
                        return .init(name, Self.share(PeerPast.uptime(stretches)))
                    }
                )
            ),
            .init("outages", outages(past.stretches(from: from, to: to, now: current))),
            .init(
                "strip",
                .string(
                    PeerPast.strip(
                        past.stretches(from: from, to: to, now: current),
                        from: from,
                        to: to,
                        count: HistoryRoutes.stripParts
                    )
                )
            ),
            .init(
                "transitions",
                .array(
                    turns.map { turn in
                        .object([
                            .init("time", .string(turn.at.description)),
                            .init("from", .string(turn.from.rawValue)),
                            .init("to", .string(turn.to.rawValue)),
                            .init("reason", .string(turn.reason)),
                        ])
                    }
                )
            ),
            .init(
                "latency",
                .array(
                    past.buckets.filter { from <= $0.start && $0.start < to }.map { bucket in
                        .object([
                            .init("time", .string(bucket.start.description)),
                            .init("probes", .integer(Int64(bucket.count))),
                            .init("failures", .integer(Int64(bucket.failures))),
                            .init("min_ms", Self.milliseconds(bucket.minimum)),
                            .init("avg_ms", Self.milliseconds(bucket.average)),
                            .init("p50_ms", Self.milliseconds(bucket.median)),
                            .init("p99_ms", Self.milliseconds(bucket.percentile99)),
                            .init("max_ms", Self.milliseconds(bucket.maximum)),
                        ])
                    }
                )
            ),
        ])
    }

    /// Before then nothing is known.
    private func knownFrom(_ past: PeerPast) -> WallTime? {
        [past.knownFrom ?? view.since, cutAt].compactMap { $0 }.max()
    }

    private func outages(_ stretches: [PeerPast.Stretch]) -> JSON {
        var count = 0
        var (whole, longest, span) = (Nanoseconds.zero, Nanoseconds.zero, Nanoseconds.zero)
        var isDown = false
        for stretch in stretches {
            let isThis = stretch.status == .down || stretch.status == .ejected
            if isThis {
                if !isDown { (count, span) = (count + 1, .zero) }
                span = span + (stretch.to - stretch.from)
                whole = whole + (stretch.to - stretch.from)
                longest = max(longest, span)
            }
            isDown = isThis
        }
        return .object([
            .init("count", JSON(count)),
            .init("total_ms", .integer(whole.milliseconds)),
            .init("longest_ms", .integer(longest.milliseconds)),
        ])
    }

    static func share(_ share: Double?) -> JSON {
        share.map { .number(($0 * 1_000_000).rounded() / 1_000_000) } ?? .null
    }

    static func milliseconds(_ span: Nanoseconds?) -> JSON {
        span.map { .number(Double($0.count / 1_000) / 1_000) } ?? .null
    }
}
