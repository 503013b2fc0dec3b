// What may everybody see? How each upstream is and was within the last day, in words for those who use it: no
// address, no reason, no name of a server. A page that needs no script, the same as JSON, and badges.

import EventLoop
import Front
import Health
import Store
public import Vocabulary

/// `status-page`.
public struct StatusPageServer: ControlDoor {
    public struct Configuration: Sendable {
        public var bind: Vocabulary.Address
        public var title: String
        /// Those that are shown, in this order; empty for all.
        public var upstreams: [String]
        public var connections = StatusPageServer.connectionsMax

        public init(bind: Vocabulary.Address, title: String, upstreams: [String]) {
            self.bind = bind
            self.title = title
            self.upstreams = upstreams
        }
    }

    private let configuration: Configuration
    private let plane: ControlPlane
    private let journal: Journal
    private let glance: StatusGlance

    public static let connectionsMax = 64

    public init(
        _ configuration: Configuration,
        plane: ControlPlane,
        journal: Journal = .silent
    ) {
        self.configuration = configuration
        self.plane = plane
        self.journal = journal
        glance = StatusGlance(plane, configuration.upstreams)
    }

    public func run(
        until end: @Sendable () async -> Void,
        onRunning: @Sendable (String) async -> Void
    ) async throws {
        var entrance = Entrance(configuration.bind, named: "status")
        entrance.setting = "status-page"
        // Nothing can be changed here, and badges stand in pages of others.
        entrance.rules.isPublic = true
        entrance.limits.connections = configuration.connections
        // It speaks no TLS, so a proxy of this machine stands in front of it, and one address is everybody.
        entrance.limits.trustsNeighbours = true
        let server = self
        try await entrance.serve(
            until: end,
            journal: journal,
            onRunning: { await onRunning($0.isUnix ? "\($0)" : "http://\($0)/") },
            handler: { request, writer in
                try await server.response(to: request).send(to: request, over: writer)
            }
        )
    }

    // MARK: Answering

    func response(to request: FrontRequest) async -> Response {
        guard ["GET", "HEAD"].contains(request.method) else {
            return Self.text("expected GET, saw \(request.method)", .methodNotAllowed)
        }
        let page = StatusPage(
            title: configuration.title,
            upstreams: await glance.now(),
            at: plane.loop.wall
        )
        switch request.path {
        case "/": return Self.of("text/html; charset=utf-8", page.html)
        case "/status.json": return Self.of("application/json", page.json.text + "\n")
        default: break
        }
        let (start, end) = ("/badge/", ".svg")
        if request.path.hasPrefix(start), request.path.hasSuffix(end),
            request.path.utf8.count > start.utf8.count + end.utf8.count
        {
            let name = request.path.dropFirst(start.count).dropLast(end.count)
            let found = page.upstreams.first { $0.name == name.percentDecoded }
            if let found { return Self.of("image/svg+xml", StatusPage.badge(of: found)) }
        }
        return Self.text(
            "expected /, /status.json or /badge/UPSTREAM.svg, saw another path",
            .notFound
        )
    }

    private static func of(_ type: String, _ text: String) -> Response {
        var response = Response.text(text, type: type)
        // As long as it is looked at again anyway.
        response.fields = [
            .init("Content-Type", type),
            .init("Cache-Control", "public, max-age=\(Int(StatusGlance.lasts.seconds))"),
            .init("Cross-Origin-Resource-Policy", "cross-origin"),
            .init("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
        ]
        return response
    }

    private static func text(_ text: String, _ status: Status) -> Response {
        .text(text + "\n", type: "text/plain; charset=utf-8", status)
    }
}

/// One upstream, as everybody may see it.
struct PublicUpstream: Hashable, Sendable {
    enum State: String, Sendable, CaseIterable {
        case operational, degraded, down, maintenance, unknown
    }

    var name: String
    var state: State
    /// Of the last day, of the week.
    var uptimeDay: Double?
    var uptimeWeek: Double?
    /// As of `PeerPast.strip`: `d` only where nobody could serve.
    var strip: String
}

/// What the page shows, looked up once in a while however many ask.
actor StatusGlance {
    private let plane: ControlPlane
    private let names: [String]
    private var seen: [PublicUpstream] = []
    private var seenAt: Instant?

    static let lasts = Nanoseconds.seconds(10)

    init(_ plane: ControlPlane, _ names: [String]) {
        self.plane = plane
        self.names = names
    }

    func now() async -> [PublicUpstream] {
        let now = plane.loop.instant
        if let seenAt, now - seenAt < Self.lasts { return seen }
        // Before the first wait: whoever asks meanwhile is answered with what there is.
        if seenAt != nil { seenAt = now }
        let found = await look()
        seen = found
        seenAt = now
        return found
    }

    private func look() async -> [PublicUpstream] {
        let all = await plane.upstreams().map(\.view)
        let wanted =
            names.isEmpty ? all : names.compactMap { name in all.first { $0.name == name } }
        let now = plane.loop.wall
        var result: [PublicUpstream] = []
        for view in wanted {
            let keys = view.peers.map { PeerKey(upstream: view.name, peer: $0.definition.id) }
            let pasts = await plane.history?.call { history in keys.map { history.past(of: $0) } }
            let peers = zip(view.peers, pasts ?? keys.map { _ in nil }).map { peer, past in
                (past ?? .nothing, (status: peer.view.status, since: peer.view.since))
            }
            result.append(PublicUpstream(view, peers, at: now))
        }
        return result
    }
}

extension PublicUpstream {
    typealias Member = (past: PeerPast, now: (status: PeerStatus, since: WallTime))

    init(_ view: UpstreamView, _ peers: [Member], at now: WallTime) {
        name = view.name
        switch view.status {
        case .up: state = .operational
        case .degraded: state = .degraded
        case .unknown: state = .unknown
        case .down, .panic:
            let isMeant = view.peers.contains { $0.view.isMeantToServe }
            state = view.peers.isEmpty ? .unknown : isMeant ? .down : .maintenance
            // In panic those that serve still do.
            if view.available > 0 { state = .degraded }
        }
        let day = Self.joined(peers, from: now + -.seconds(86_400), to: now)
        strip = PeerPast.strip(
            day,
            from: now + -.seconds(86_400),
            to: now,
            count: HistoryRoutes.stripParts
        )
        uptimeDay = PeerPast.uptime(day)
        uptimeWeek = PeerPast.uptime(Self.joined(peers, from: now + -.seconds(604_800), to: now))
    }

    /// How the upstream was as a whole: up where somebody could serve, degraded where somebody else could not,
    /// down where nobody could who was meant to.
    static func joined(
        _ peers: [Member],
        from start: WallTime,
        to end: WallTime
    ) -> [PeerPast.Stretch] {
        var edges: [(at: WallTime, status: PeerStatus, step: Int)] = []
        for peer in peers {
            for stretch in peer.past.stretches(from: start, to: end, now: peer.now) {
                edges.append((stretch.from, stretch.status, 1))
                edges.append((stretch.to, stretch.status, -1))
            }
        }
        edges.sort { $0.at < $1.at }
        var stretches: [PeerPast.Stretch] = []
        var counts: [PeerStatus: Int] = [:]
        var place = 0
        while place < edges.count {
            let at = edges[place].at
            while place < edges.count, edges[place].at == at {
                counts[edges[place].status, default: 0] += edges[place].step
                place += 1
            }
            let next = place < edges.count ? edges[place].at : end
            let status = Self.status(counts)
            if at < next, status != .unknown {
                if let last = stretches.last, last.status == status, last.to == at {
                    stretches[stretches.count - 1].to = next
                } else {
                    stretches.append(.init(from: at, to: next, status: status))
                }
            }
        }
        return stretches
    }

    private static func status(_ counts: [PeerStatus: Int]) -> PeerStatus {
        func count(_ statuses: PeerStatus...) -> Int {
            statuses.reduce(0) { $0 + (counts[$1] ?? 0) }
        }
        let serving = count(.up, .degraded, .starting)
        let lost = count(.down, .ejected)
        if serving > 0 { return lost > 0 || count(.degraded) == serving ? .degraded : .up }
        if lost > 0 { return .down }
        return count(.maint, .drain) > 0 ? .maint : .unknown
    }
}

/// The page itself. Pure.
struct StatusPage {
    let title: String
    let upstreams: [PublicUpstream]
    let at: WallTime

    var json: JSON {
        .object([
            .init("title", .string(title)),
            .init("time", .string(at.description)),
            .init("state", .string(whole.rawValue)),
            .init(
                "upstreams",
                .array(
                    upstreams.map { upstream in
                        .object([
                            .init("name", .string(upstream.name)),
                            .init("state", .string(upstream.state.rawValue)),
                            .init("uptime_24h", HistoryJSON.share(upstream.uptimeDay)),
                            .init("uptime_7d", HistoryJSON.share(upstream.uptimeWeek)),
                            .init("strip", .string(upstream.strip)),
                        ])
                    }
                )
            ),
        ])
    }

    /// The worst that any is.
    var whole: PublicUpstream.State {
        let order: [PublicUpstream.State] = [
            .down, .degraded, .unknown, .maintenance, .operational,
        ]
        return order.first { state in upstreams.contains { $0.state == state } } ?? .unknown
    }

    private var headline: String {
        switch whole {
        case .operational: "All is well"
        case .degraded: "Some of it does not work as it should"
        case .down: "Something is down"
        case .maintenance: "Maintenance goes on"
        case .unknown: "Not known yet"
        }
    }

    var html: String {
        let rows = upstreams.map { upstream in
            """
            <li><div class="row"><h2>\(Self.safe(upstream.name))</h2>\
            <span class="state \(upstream.state.rawValue)">\(Self.sign(of: upstream.state)) \
            \(upstream.state.rawValue)</span></div>\
            <div class="strip" role="img" aria-label="\(Self.words(for: upstream.strip))">\
            \(Self.cells(of: upstream.strip))</div>\
            <div class="row dim"><span>24 hours ago</span>\
            <span>\(Self.percent(upstream.uptimeDay)) today, \(Self.percent(upstream.uptimeWeek)) \
            this week</span><span>now</span></div></li>
            """
        }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="refresh" content="60">
            <title>\(Self.safe(title)): \(whole.rawValue)</title>
            <style>\(Self.style)</style></head><body>
            <h1>\(Self.safe(title))</h1>
            <p class="whole \(whole.rawValue)" role="status">\(Self.sign(of: whole)) \(headline)</p>
            <ul>\(rows.joined(separator: "\n"))</ul>
            <p class="dim">As of <time datetime="\(at)">\(at)</time>. Each mark is half an hour: \
            <b class="u">u</b> up, <b class="w">w</b> partly, <b class="d">d</b> down, \
            <b class="m">m</b> maintenance.</p>
            </body></html>

            """
    }

    private static func cells(of strip: String) -> String {
        // A letter too, so that nobody has to tell colours apart.
        strip.map { $0 == "." ? "<i></i>" : "<i class=\"\($0)\">\($0 == "u" ? "" : "\($0)")</i>" }
            .joined()
    }

    private static func words(for strip: String) -> String {
        let parts = [("d", "down"), ("w", "partly down"), ("m", "in maintenance")].compactMap {
            letter,
            words in
            let count = strip.count { String($0) == letter }
            return count == 0 ? nil : "\(words) in \(count)"
        }
        let known = strip.count { $0 != "." }
        if known == 0 { return "nothing is known of the last 24 hours" }
        return (parts.isEmpty ? "up in all" : parts.joined(separator: ", "))
            + " of \(known) half hours that are known"
    }

    private static func sign(of state: PublicUpstream.State) -> String {
        switch state {
        case .operational: "✓"
        case .degraded: "!"
        case .down: "✕"
        case .maintenance: "–"
        case .unknown: "?"
        }
    }

    private static func percent(_ share: Double?) -> String {
        guard let share else { return "–" }
        // Rounded down: what was not whole is not 100%.
        let hundredths = Int((share * 10_000).rounded(.down))
        let rest = hundredths % 100
        return "\(hundredths / 100)" + (rest == 0 ? "" : rest < 10 ? ".0\(rest)" : ".\(rest)") + "%"
    }

    private static func safe(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
    }

    static let style = """
        :root{color-scheme:light dark;--dim:#636363;--u:#217a3c;--w:#8a6100;--d:#b3261e;--m:#2b5fa8;--n:#8884}
        @media (prefers-color-scheme:dark){:root{--dim:#a5a5a5;--u:#2e9e50;--w:#b98500;--d:#ea6459;--m:#5b8fdb}}
        body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
        h1{font-size:1.5rem;margin:0 0 1rem}h2{font-size:1.05rem;margin:0}ul{list-style:none;padding:0}
        li{border:1px solid var(--n);border-radius:.6rem;padding:.8rem 1rem;margin:.8rem 0}
        .row{display:flex;justify-content:space-between;gap:1rem;flex-wrap:wrap}
        .dim{color:var(--dim);font-size:.85rem}
        .whole{color:#fff;border-radius:.6rem;padding:.7rem 1rem;font-weight:600}
        .state{font-weight:600}
        .whole.operational{background:#217a3c}.whole.degraded{background:#8a6100}.whole.down{background:#b3261e}
        .whole.maintenance{background:#2b5fa8}.whole.unknown{background:#636363}
        .state.operational{color:var(--u)}.state.degraded{color:var(--w)}.state.down{color:var(--d)}
        .state.maintenance{color:var(--m)}.state.unknown{color:var(--dim)}
        .strip{display:flex;gap:2px;margin:.5rem 0 .2rem;height:2rem}
        .strip i{flex:1;border-radius:2px;background:var(--n);color:#fff;font:700 .6rem/2rem system-ui;text-align:center;overflow:hidden}
        i.u,b.u{background:#217a3c}i.w,b.w{background:#8a6100}i.d,b.d{background:#b3261e}i.m,b.m{background:#2b5fa8}
        b{color:#fff;border-radius:2px;padding:0 .3rem}
        """

    // MARK: Badges

    static func badge(of upstream: PublicUpstream) -> String {
        let color =
            switch upstream.state {
            case .operational: "#217a3c"
            case .degraded: "#8a6100"
            case .down: "#b3261e"
            case .maintenance: "#2b5fa8"
            case .unknown: "#636363"
            }
        let (name, state) = (safe(upstream.name), upstream.state.rawValue)
        // Letters of this size are about seven wide; the text is fitted to the room it has.
        let (left, right) = (upstream.name.count * 7 + 12, state.count * 7 + 12)
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(left + right)" height="20" role="img" \
            aria-label="\(name): \(state)"><title>\(name): \(state)</title>\
            <rect width="\(left)" height="20" fill="#444"/>\
            <rect x="\(left)" width="\(right)" height="20" fill="\(color)"/>\
            <g fill="#fff" font-family="Verdana,Geneva,sans-serif" font-size="11">\
            <text x="6" y="14" textLength="\(left - 12)">\(name)</text>\
            <text x="\(left + 6)" y="14" textLength="\(right - 12)">\(state)</text></g></svg>

            """
    }
}
