// What do lists of older systems mean? Rows for places and wildcards, and edits at random against the lists
// said another way.

import Health
import Testing
import Vocabulary

@testable import Foreign

private let start = Instant(nanoseconds: 0)

extension ForeignTable {
    fileprivate mutating func expect(
        _ host: String,
        _ list: [UInt8]?,
        now: Instant,
        isNew: Bool = true
    ) {
        let answer = set(host, list, now: now)
        #expect(answer == isNew, "\(host)")
    }

    fileprivate mutating func expect(
        _ host: String,
        check: BackendCheck?,
        now: Instant,
        isNew: Bool = true
    ) {
        let answer = set(host, check: check, now: now)
        #expect(answer == isNew, "\(host)")
    }
}

@Suite struct BackendPlaceTests {
    @Test(arguments: [
        ("http://10.0.0.1:8080", "10.0.0.1:8080", "10.0.0.1:8080"),
        ("http://10.0.0.1:8080/", "10.0.0.1:8080", "10.0.0.1:8080"),
        ("http://10.0.0.1:8080/a/b?c#d", "10.0.0.1:8080", "10.0.0.1:8080"),
        ("HTTP://Web.Example:81", "web.example:81", "web.example:81"),
        ("http://web.example", "web.example:80", "web.example:80"),
        ("http://web.example:/x", "web.example:80", "web.example:80"),
        ("10.0.0.1:8080", "10.0.0.1:8080", "10.0.0.1:8080"),
        ("web:9000/path", "web:9000", "web:9000"),
        ("http://[::1]:8080", "[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]:80", "[::1]:80"),
        ("http://localhost:2080", "localhost:2080", "127.0.0.1:2080"),
        (" http://10.0.0.1:8080 \r\n", "10.0.0.1:8080", "10.0.0.1:8080"),
        ("http://user:p@ss@10.0.0.1:8080/a@b", "10.0.0.1:8080", "10.0.0.1:8080"),
    ])
    func `a place is a host and a port, and nothing else of its URL`(
        text: String,
        id: String,
        address: String
    ) {
        let place = BackendPlace(text)
        #expect(place?.id == id)
        #expect(place?.address.description == address)
        #expect(BackendPlace.problem(in: text) == nil)
    }

    @Test(arguments: [
        "", "frontend-1417.25", "my identifier", "https://10.0.0.1:443", "http://", "http://:80",
        "a:b@web:80", "http://a@", "http://web:99999", "ftp://web:21", "http://we b:80", "web",
    ])
    func `free text is no backend, and why is told`(text: String) {
        #expect(BackendPlace(text) == nil)
        #expect(BackendPlace.problem(in: text)?.contains("expected http://host:port") == true)
    }
}

@Suite struct FrontendHostsTests {
    @Test(arguments: [
        ("foo.bar", ["foo.bar", "*.bar", "*"]),
        ("simple", ["simple", "*"]),
        (
            "a.b.c.d.e.f",
            ["a.b.c.d.e.f", "*.b.c.d.e.f", "*.c.d.e.f", "*.d.e.f", "*.e.f", "*.f", "*"]
        ),
        (
            "too.deep.a.b.c.d.e.f",
            ["too.deep.a.b.c.d.e.f", "*.b.c.d.e.f", "*.c.d.e.f", "*.d.e.f", "*.e.f", "*.f", "*"]
        ),
    ])
    func `the most specific first, six labels deep`(host: String, names: [String]) {
        #expect(FrontendHosts.candidates(of: host) == names)
    }

    /// The contract: hosts, and under which key each is served.
    @Test func `wildcards serve as they did`() {
        var table = ForeignTable()
        let keys = [
            "*.quux", "*.qux.quux", "*.baz.qux.quux", "*.bar.baz.qux.quux", "foo.bar.baz.qux.quux",
            "*.foo.bar.baz.qux.quux", "*.quuux.foo.bar.baz.qux.quux",
        ]
        for key in keys {
            table.expect(key, Array("name\0http://a:1".utf8), now: start)
        }
        let rows = [
            ("too.deep.quuux.foo.bar.baz.qux.quux", "*.foo.bar.baz.qux.quux"),
            ("too.deep.foo.bar.baz.qux.quux", "*.foo.bar.baz.qux.quux"),
            ("foo.bar.baz.qux.quux", "foo.bar.baz.qux.quux"),
            ("bar.bar.baz.qux.quux", "*.bar.baz.qux.quux"),
            ("foo.baz.qux.quux", "*.baz.qux.quux"),
            ("foo.qux.quux", "*.qux.quux"),
            ("foo.quux", "*.quux"),
        ]
        for (host, key) in rows { #expect(table.key(of: host) == key, "\(host)") }
        #expect(table.key(of: "quux") == nil)
        #expect(table.key(of: "foo.bar") == nil)
        table.expect("*", Array("all".utf8), now: start)
        #expect(table.key(of: "foo.bar") == "*")
        #expect(table.key(of: "quux") == "*")
    }
}

@Suite struct ForeignTableTests {
    private static func list(_ backends: [String]) -> [UInt8] {
        Array((["name"] + backends).joined(separator: "\0").utf8)
    }

    @Test func `each backend is watched once, however many lists name it`() {
        var table = ForeignTable()
        for host in 0..<100 {
            table.expect(
                "h\(host)",
                Self.list(["http://a:1", "http://b:\(host % 3 + 1)"]),
                now: start
            )
        }
        do {
            let fresh = table.takeFresh().map(\.peer.id).sorted()
            #expect(fresh == ["a:1", "b:1", "b:2", "b:3"])
        }
        do {
            let fresh = table.takeFresh()
            #expect(fresh.isEmpty)
        }
        #expect(table.hosts(with: ForeignPeer(id: "b:1")).count == 34)
        table.expect("h1", Self.list(["http://a:1", "http://b:2"]), now: start, isNew: false)
    }

    @Test func `one that is named twice weighs twice, and free text nothing`() {
        var table = ForeignTable()
        let texts = ["http://a:1", "free text", "http://b:1", "a:1"]
        table.expect("h", Self.list(texts), now: start)
        #expect(table.texts(of: "h") == texts)
        #expect(table.weights(of: "h").map { "\($0.peer.id) \($0.weight)" } == ["a:1 2", "b:1 1"])
        #expect(table.peers(of: "h").map { $0?.id } == ["a:1", nil, "b:1", "a:1"])
    }

    @Test func `one of a list is found by its text, and only of that list`() {
        var table = ForeignTable()
        table.expect("h", Self.list(["http://a:1", "free text"]), now: start)
        table.expect("other", Self.list(["http://b:1"]), now: start)
        #expect(table.peer(of: "h", at: "http://a:1") == ForeignPeer(id: "a:1"))
        for (host, text) in [("h", "free text"), ("h", "http://b:1"), ("none", "http://a:1")] {
            #expect(table.peer(of: host, at: text) == nil, "\(host) \(text)")
        }
    }

    @Test func `whoever is in no list any more is let go of a while later`() {
        var table = ForeignTable()
        table.expect("h", Self.list(["http://a:1"]), now: start)
        _ = table.takeFresh()
        table.expect("h", nil, now: start + .seconds(1))
        do {
            let gone = table.sweep(after: .seconds(10), now: start + .seconds(10))
            #expect(gone.isEmpty)
        }
        table.expect("g", Self.list(["http://a:1"]), now: start + .seconds(10))
        do {
            let fresh = table.takeFresh()
            #expect(fresh.isEmpty, "it was watched all the time")
        }
        do {
            let gone = table.sweep(after: .seconds(10), now: start + .seconds(60))
            #expect(gone.isEmpty)
        }
        table.expect("g", nil, now: start + .seconds(60))
        do {
            let gone = table.sweep(after: .seconds(10), now: start + .seconds(70))
            #expect(gone == [ForeignPeer(id: "a:1")])
        }
        #expect(!table.hasIdle)
        #expect(table.peerCount == 0)
    }

    @Test func `another question is another peer`() {
        var table = ForeignTable()
        for host in ["a", "b"] { table.expect(host, Self.list(["http://x:1"]), now: start) }
        let check = BackendCheck(fields: ["path": "health", "status": "200"])
        #expect(check == BackendCheck(path: "/health", status: 200))
        table.expect("a", check: check, now: start)
        table.expect("a", check: check, now: start, isNew: false)
        let peers = Set(table.takeFresh().map(\.peer))
        #expect(peers == [ForeignPeer(id: "x:1"), ForeignPeer(check: 1, id: "x:1")])
        #expect(table.check(1) == check)
        table.expect("b", check: check, now: start)
        do {
            let gone = table.sweep(after: Nanoseconds.zero, now: start)
            #expect(gone == [ForeignPeer(id: "x:1")])
        }
        table.expect("a", check: nil, now: start)
        #expect(table.weights(of: "a").map(\.peer) == [ForeignPeer(id: "x:1")])
        #expect(BackendCheck(fields: [:]) == nil)
    }

    /// Whatever is written in whatever order: what the table says is what the lists say.
    @Test(arguments: 0..<50)
    func `edits at random leave nothing behind`(seed: UInt64) {
        var dice = Dice(seed: seed)
        var table = ForeignTable()
        var model: [String: [String]] = [:]
        for step in 0..<400 {
            let host = ["a.test", "b.test", "*.test", "*"][Int(dice.next() % 4)]
            if dice.next() % 4 == 0 {
                model[host] = nil
                _ = table.set(host, nil, now: start + .seconds(Int64(step)))
            } else {
                let backends = (0..<dice.next() % 5).map { _ in "http://p\(dice.next() % 4):80" }
                model[host] = backends
                _ = table.set(host, Self.list(backends), now: start + .seconds(Int64(step)))
            }
            if dice.next() % 5 == 0 {
                _ = table.sweep(after: Nanoseconds.zero, now: start + .seconds(Int64(step)))
            }
            #expect(Set(table.hosts) == Set(model.keys))
            for (host, backends) in model { #expect(table.texts(of: host) == backends) }
            for number in 0..<4 {
                let peer = ForeignPeer(id: "p\(number):80")
                let expected = model.filter { $0.value.contains("http://p\(number):80") }.keys
                #expect(table.hosts(with: peer) == Set(expected))
            }
        }
        for host in Array(model.keys) { _ = table.set(host, nil, now: start) }
        _ = table.sweep(after: Nanoseconds.zero, now: start + .seconds(1_000))
        #expect(table.peerCount == 0)
        #expect(table.count == 0)
    }
}

@Suite struct DeadReportTests {
    @Test func `what proxies say is read, and nothing else`() {
        let report = DeadReport("www.example.com;http://10.0.0.1:80;3;5")
        #expect(report?.frontend == "www.example.com")
        #expect(report?.backend == "http://10.0.0.1:80")
        #expect(report?.index == 3)
        #expect(report?.count == 5)
        #expect(DeadReport("a;b;0;2\n")?.count == 2)
        for text in ["", "a;b;c", "a;b;x;2", "a;b;0;", ";b;0;2", "a;;0;2", "a;b;0;2;3"] {
            #expect(DeadReport(text) == nil, "\(text)")
        }
    }
}
