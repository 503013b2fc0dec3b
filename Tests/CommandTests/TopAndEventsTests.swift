// Does whoever watches see what matters first, and every event once?

import Testing
import Vocabulary

@testable import muster

@Suite struct TopScreenTests {
    private func body(_ peers: [(id: String, status: String, requests: Int, failures: Int)]) -> JSON
    {
        let items = peers.map { peer in
            JSON.object([
                .init("id", .string(peer.id)), .init("status", .string(peer.status)),
                .init("weight", .integer(1)), .init("effective_weight", .integer(1)),
                .init("configured_weight", .integer(1)),
                .init("since", "2026-11-29T02:00:00.123Z"),
                .init("reason", peer.status == "down" ? "L4CON Connection refused" : ""),
                .init(
                    "traffic",
                    .object([
                        .init("requests", .integer(Int64(peer.requests))),
                        .init("failures", .integer(Int64(peer.failures))),
                    ])
                ),
                .init("checks", .array([.object([.init("latency_ms", .number(1.25))])])),
            ])
        }
        return .object([
            .init(
                "upstreams",
                .array([.object([.init("name", "web"), .init("peers", .array(items))])])
            )
        ])
    }

    @Test func `problems come first, then the busiest, with their rates`() {
        let before = body([("a", "up", 100, 0), ("b", "up", 100, 0), ("c", "down", 50, 50)])
        let now = body([("a", "up", 110, 0), ("b", "up", 150, 1), ("c", "down", 52, 52)])
        let lines = TopScreen(now, before: before, seconds: 2, title: "muster top").lines(
            in: .init(columns: 200, rows: 50),
            isColoured: false
        )
        #expect(lines.prefix(3) == ["muster top", "1 down, 2 up", ""])
        let cells = lines.dropFirst(4).map { $0.split(separator: " ").map(String.init) }
        #expect(cells.map { $0[1] } == ["c", "b", "a"])
        #expect(
            cells.map { $0[4] } == ["1", "25", "5"] && cells.map { $0[5] } == ["1", "0.5", "0"]
        )
        #expect(lines[4].hasSuffix("L4CON Connection refused"))
        #expect(cells[0][6...8] == ["1.3", "ms", "2026-11-29T02:00:00"])
    }

    @Test func `who is held as it was is a problem, whatever its status says`() {
        let peers: [JSON] = [
            ["id": "well", "status": "up", "traffic": ["requests": 9, "failures": 0]],
            [
                "id": "held", "status": "up",
                "checks": [["monitor": "http", "held": "mass-change"]],
            ],
        ]
        let body: JSON = ["upstreams": [["name": "web", "peers": .array(peers)]]]
        let lines = TopScreen(body, before: nil, seconds: 0, title: "").lines(
            in: .init(columns: 200, rows: 50),
            isColoured: false
        )
        let names = lines[4...5].map { $0.split(separator: " ").map(String.init)[1] }
        #expect(names == ["held", "well"])
        #expect(lines[6] == "" && lines[7].hasPrefix("web/held is held as it was: "))
        #expect(lines.count == 8)
    }

    @Test func `what concerns all is told below the peers, as far as there is room`() {
        let upstreams: [JSON] = [
            [
                "name": "web", "panic": true, "available": 0, "wanted": 1,
                "peers": [["id": "a", "status": "down", "effective_weight": 0]],
            ],
            ["name": "api", "peers": [["id": "b", "status": "down", "effective_weight": 0]]],
        ]
        let readiness: JSON = [
            "store": [
                "kind": "redis", "connected": false, "error": "Connection refused", "since": "T1",
                "as_of": "T1",
            ],
            "configuration": [
                "refused_at": "T2", "mistake": "f:1:1: no", "loaded_at": "T1", "mistakes": 1,
            ],
        ]
        let screen = TopScreen(
            ["upstreams": .array(upstreams)],
            before: nil,
            seconds: 0,
            title: "",
            readiness: readiness
        )
        let lines = screen.lines(in: .init(columns: 200, rows: 24), isColoured: false)
        #expect(
            lines.suffix(5) == [
                "",
                "web is in panic: 0 of 1 peer available; requests go to all that are not in maint, in drain or at weight 0",
                "api has no available peer: requests are answered 503",
                "store redis is away since T1: Connection refused; what other agents found is as of then",
                "the configuration was refused at T2: f:1:1: no; what runs is the one of T1",
            ]
        )
        let few = screen.lines(in: .init(columns: 200, rows: 9), isColoured: false)
        #expect(few.count == 9 && few.last == "and 2 more to be told: muster status")
    }

    @Test func `no window is too small, and what is left out is counted`() {
        let peers = (0..<100).map { (id: "p\($0)", status: "up", requests: 0, failures: 0) }
        let screen = TopScreen(body(peers), before: nil, seconds: 0, title: "muster top")
        for size in [TopScreen.Size(columns: 20, rows: 10), .init(columns: 1, rows: 1)] {
            let lines = screen.lines(in: size, isColoured: false)
            #expect(lines.allSatisfy { $0.count <= max(size.columns, 1) })
            #expect(lines.count <= max(size.rows, 6))
        }
        let lines = screen.lines(in: .init(columns: 80, rows: 14), isColoured: true)
        #expect(lines.last == "and 91 more" && lines.count == 14)
    }
}

@Suite struct EventReaderTests {
    private let stream = """
        retry: 1000

        event: gap
        data: {}

        id: 7
        event: transition
        data: {"time":"T","upstream":"web","peer":"a","from":"up","to":"down","reason":"L4CON","agent":"x"}

        :

        id: 8
        event: transition
        data: {"time":"T","upstream":"web","peer":"a","from":"down","to":"up","reason":"","agent":"x"}


        """

    @Test func `each event is one line, however the bytes are cut`() {
        let wanted = [
            "(events before this may be missing)", "T web/a up → down, L4CON (agent x)",
            "T web/a down → up (agent x)",
        ]
        for size in [1, 2, 7, 64, 1_000] {
            let reader = EventReader(asJSON: false)
            var lines: [String] = []
            var rest = Array(stream.utf8)[...]
            while !rest.isEmpty {
                lines += reader.take(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            #expect(lines == wanted)
            #expect(reader.last == "8")
        }
    }

    @Test func `what was cut off is read again from the last that was whole`() {
        let reader = EventReader(asJSON: true)
        let bytes = Array(stream.utf8)
        _ = reader.take(Array(bytes.prefix(bytes.count - 40)))
        reader.lost("the connection ended")
        #expect(reader.last == "7")
        let rest = "id: 8\nevent: transition\ndata: {\"to\":\"up\"}\n\n"
        #expect(reader.take(Array(rest.utf8)) == [#"{"to":"up"}"#])
    }
}
