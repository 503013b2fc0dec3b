// Does everybody see how it is, and nobody more? Upstreams joined from the pasts of their peers, and the page,
// the JSON and the badges made of them.

import Health
import Testing
import Vocabulary

@testable import Admin
@testable import Store

private let t0 = WallTime(milliseconds: 1_795_000_200_000)

private func at(_ seconds: Int64) -> WallTime { t0 + .seconds(seconds) }

private func member(_ turns: [(Int64, PeerStatus)]) -> PublicUpstream.Member {
    var past = PeerPast()
    var before = PeerStatus.unknown
    for (seconds, status) in turns {
        past.add(Turn(at: at(seconds), from: before, to: status, reason: "L4CON 10.0.0.1"))
        before = status
    }
    return (past, (before, turns.last.map { at($0.0) } ?? t0))
}

@Suite struct StatusPageTests {
    /// Of two peers, the whole in ten parts of a hundred seconds.
    struct Row: Sendable {
        let one: [(Int64, PeerStatus)]
        let two: [(Int64, PeerStatus)]
        let strip: String
    }

    static let rows: [Row] = [
        Row(one: [(0, .up)], two: [(0, .up)], strip: "uuuuuuuuuu"),
        Row(one: [(0, .up), (50, .down)], two: [(0, .up)], strip: "uuuuuwwwww"),
        Row(one: [(0, .up), (50, .down)], two: [(0, .up), (80, .down)], strip: "uuuuuwwwdd"),
        Row(one: [(0, .up), (50, .maint)], two: [(0, .up)], strip: "uuuuuuuuuu"),
        Row(one: [(0, .maint)], two: [(0, .drain)], strip: "mmmmmmmmmm"),
        Row(one: [(0, .maint)], two: [(50, .down)], strip: "mmmmmddddd"),
        Row(one: [], two: [], strip: ".........."),
    ]

    @Test(arguments: rows) func `what an upstream was, of what its peers were`(row: Row) {
        let stretches = PublicUpstream.joined(
            [member(row.one), member(row.two)],
            from: t0,
            to: at(100)
        )
        #expect(PeerPast.strip(stretches, from: t0, to: at(100), count: 10) == row.strip)
    }

    private let page = StatusPage(
        title: "A & <B>",
        upstreams: [
            PublicUpstream(
                name: "web",
                state: .operational,
                uptimeDay: 0.99999,
                uptimeWeek: 1,
                strip: String(repeating: "u", count: 47) + "d"
            ),
            PublicUpstream(
                name: "db",
                state: .down,
                uptimeDay: nil,
                uptimeWeek: nil,
                strip: "...."
            ),
        ],
        at: t0
    )

    @Test func `the page says it in words, and what was not whole is no hundred`() {
        let html = page.html
        #expect(html.contains("<h1>A &amp; &lt;B&gt;</h1>"))
        #expect(html.contains("99.99% today, 100% this week"))
        #expect(html.contains("aria-label=\"down in 1 of 48 half hours that are known\""))
        #expect(html.contains("Something is down"))
        #expect(!html.contains("<script"))
        #expect(html.utf8.count < 20_000)
    }

    @Test func `the worst of all is what the whole is`() {
        #expect(page.whole == .down)
        #expect(page.json["state"] == "down")
        #expect(page.json["upstreams"]?[0]?["uptime_24h"]?.double == 0.99999)
    }

    @Test func `a badge says it to who cannot see colours too`() {
        let badge = StatusPage.badge(of: page.upstreams[1])
        #expect(badge.contains("<title>db: down</title>"))
        #expect(badge.hasPrefix("<svg "))
    }

    /// Whatever is remembered of peers, their names and reasons are not on the page.
    @Test func `no address is shown`() {
        let definition = UpstreamDefinition(
            name: "web",
            peers: [PeerDefinition(address: .host("10.0.0.1", port: 80))]
        )
        let view = UpstreamView(
            definition: definition,
            status: .down,
            isPanic: false,
            peers: [],
            monitors: []
        )
        let upstream = PublicUpstream(view, [member([(0, .up), (50, .down)])], at: at(100))
        let page = StatusPage(title: "Status", upstreams: [upstream], at: at(100))
        for text in [page.html, page.json.text, StatusPage.badge(of: upstream)] {
            #expect(!text.contains("10.0.0.1") && !text.contains("L4CON"))
        }
    }
}
