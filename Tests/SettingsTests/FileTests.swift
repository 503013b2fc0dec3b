// What do files, includes and the environment amount to together?

import Foundation
import Settings
import Testing
import Vocabulary

@Suite struct EnvironmentTests {
    @Test(arguments: [
        ("${A}", "one"), ("x-${A}-y", "x-one-y"), ("${A}${B}", "onetwo"), ("${A:-no}", "one"),
        ("${NONE:-yes}", "yes"), ("${EMPTY:-yes}", "yes"), ("a${EMPTY}", "a"), ("a${NONE:-}", "a"),
        ("$${A}", "${A}"), ("a$", "a$"), ("$A", "$A"), ("^ok$|x", "^ok$|x"),
    ])
    func `fills variables in`(text: String, filled: String) throws {
        let environment = ["A": "one", "B": "two", "EMPTY": ""]
        let configuration = try load("store: { prefix: '\(text)' }", environment: environment)
        #expect(configuration.store.prefix == filled)
    }

    @Test func `fills keys in, and sees when two become one`() throws {
        let text = "upstreams:\n  ${A}: {}\n  two: {}\n"
        #expect(
            try load(text, environment: ["A": "x"]).upstreams.map { $0.definition.name } == [
                "x", "two",
            ]
        )
        #expect(
            try complaints(text, environment: ["A": "two"]) == [
                "muster.yaml:3:3: 'two' is written twice: first at muster.yaml:2:3"
            ]
        )
        // Lines may end with CR LF.
        #expect(
            try complaints("upstreams:\r\n  two: {}\r\n  two: {}\r\n") == [
                "muster.yaml:3:3: 'two' is written twice: first at muster.yaml:2:3"
            ]
        )
    }

    @Test func `points at the variable that is not set`() throws {
        let found = try complaints(
            "agent:\n  id: x-${NOPE}\nstore:\n  prefix: \"${NO PE}\"\n  state-file: a${OPEN\n"
        )
        #expect(
            found == [
                "muster.yaml:2:9: expected the environment variable NOPE, saw it unset; "
                    + "${NOPE:-default} would give it a default",
                "muster.yaml:4:11: expected ${NAME} or ${NAME:-default}, saw '${NO PE}'",
                "muster.yaml:5:16: expected '}' after '${', saw none",
            ]
        )
    }

    @Test func `cannot be used to write YAML`() throws {
        let configuration = try load(
            "agent:\n  id: ${A:-a}\nstore: { prefix: \"${B}\" }\n",
            environment: ["B": "x,lease:9s}"]
        )
        #expect(configuration.store.prefix == "x,lease:9s}")
        #expect(configuration.store.lease == .seconds(3))
    }

    /// Inside `{ }` YAML wants quotes around `${ }`: they say nothing of what is meant.
    @Test func `gives a number, true or false where one is wanted, in quotes too`() throws {
        let text =
            "upstreams: { web: { peers: [{ address: \"a:1\", weight: \"${W:-5}\", backup: \"${B}\" }] } }"
        let peer = try load(text, environment: ["B": "true"]).upstreams[0].definition.peers[0]
        #expect(peer.weight == 5 && peer.isBackup)
        for (written, saw) in [("\"5\"", "'5'"), ("\"${B}5\"", "'55'"), ("\"x${B}\"", "'x5'")] {
            let found = try complaints(
                "upstreams: { web: { peers: [{ address: \"a:1\", weight: \(written) }] } }",
                environment: ["B": "5"]
            )
            #expect(
                found == [
                    "muster.yaml:1:55: upstreams.web.peers[0].weight: expected a whole number from 1 to "
                        + "256, saw \(saw)"
                ]
            )
        }
        // What is a text stays one.
        let zone = try load(
            "upstreams: { web: { peers: [{ address: \"a:1\", zone: \"${B}\" }] } }",
            environment: ["B": "7"]
        )
        #expect(zone.upstreams[0].definition.peers[0].zone == "7")
    }

    @Test func `takes a value that is empty for one not written`() throws {
        let configuration = try load("store: { url: \"${REDIS:-}\" }\nlog: { level: }\n")
        #expect(configuration.store.kind == .embedded)
        #expect(configuration.log.level == .info)
    }
}

@Suite struct IncludeTests {
    @Test func `joins sections and appends lists, sorted by name`() throws {
        let scratch = try Scratch([
            "muster.yaml": "include: conf.d/*.yaml\nupstreams: {main: {}}\n",
            "conf.d/b.yaml": "upstreams: {b: {}}\nproxy: {listeners: [{bind: '127.0.0.1:2', mode: "
                + "tcp, upstream: b}]}\n",
            "conf.d/a.yaml": "upstreams: {a: {}}\nproxy: {listeners: [{bind: '127.0.0.1:1', mode: "
                + "tcp, upstream: b}]}\n",
            "conf.d/c.txt": "not: read\n",
        ])
        let configuration = try scratch.load()
        #expect(configuration.upstreams.map { $0.definition.name } == ["main", "a", "b"])
        #expect(
            configuration.proxy.listeners.map { $0.bind.description } == [
                "127.0.0.1:1", "127.0.0.1:2",
            ]
        )
        #expect(
            configuration.files == [
                scratch.path("muster.yaml"), scratch.path("conf.d/a.yaml"),
                scratch.path("conf.d/b.yaml"),
            ]
        )
    }

    @Test func `names the file that a mistake is in`() throws {
        let scratch = try Scratch([
            "muster.yaml": "include: [more.yaml]\nlog: {level: loud}\n",
            "more.yaml": "admin:\n  bind: here\n",
        ])
        let found = scratch.complaints()
        #expect(found.count == 2)
        #expect(found[0].hasPrefix("muster.yaml:2:14: log.level: "))
        #expect(found[1].hasPrefix("more.yaml:2:9: admin.bind: "))
    }

    @Test func `lets no file say again what another has said`() throws {
        let scratch = try Scratch([
            "muster.yaml": "include: more.yaml\nupstreams: {web: {}}\nlog: {level: info}\n",
            "more.yaml": "upstreams: {web: {}}\nlog: {level: debug, format: json}\n",
        ])
        #expect(
            scratch.complaints() == [
                "more.yaml:1:13: 'upstreams.web' is written twice: first at muster.yaml:2:13",
                "more.yaml:2:7: 'log.level' is written twice: first at muster.yaml:3:7",
            ]
        )
    }

    @Test func `misses a file named by name, but not a pattern without match`() throws {
        let scratch = try Scratch([
            "muster.yaml": "include: [none.d/*.yaml, none.yaml]\n"
        ])
        #expect(
            scratch.complaints() == [
                "muster.yaml:1:26: include: none.yaml: No such file or directory"
            ]
        )
    }

    @Test func `names both ends of a link that leads nowhere`() throws {
        let scratch = try Scratch([
            "muster.yaml": "include: more.d/*.yaml\n", "more.d/a.yaml": "log: { level: info }\n",
        ])
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path("more.d/gone.yaml"),
            withDestinationPath: "/nonexistent/x.yaml"
        )
        #expect(
            scratch.complaints() == [
                "muster.yaml:1:10: include: more.d/gone.yaml: it is a link to /nonexistent/x.yaml: No such "
                    + "file or directory"
            ]
        )
    }

    @Test func `ends a circle`() throws {
        let scratch = try Scratch([
            "muster.yaml": "include: more.yaml\n",
            "more.yaml": "include: muster.yaml\n",
        ])
        #expect(
            scratch.complaints() == [
                "more.yaml:1:10: include: 'muster.yaml' is included twice"
            ]
        )
    }

    @Test func `reads at most 64 files`() throws {
        var files = ["muster.yaml": "include: conf.d/*\n"]
        for number in 100..<165 { files["conf.d/\(number).yaml"] = "\n" }
        #expect(
            try Scratch(files).complaints() == [
                "muster.yaml:1:10: include: expected at most 64 files, saw more"
            ]
        )
        files["conf.d/164.yaml"] = nil
        #expect(try Scratch(files).complaints().isEmpty)
    }
}

@Suite struct FileTests {
    @Test func `says why a file cannot be read`() throws {
        let scratch = try Scratch(["folder/x": ""])
        #expect(scratch.complaints("none.yaml") == ["none.yaml: No such file or directory"])
        #expect(scratch.complaints("folder") == ["folder: Is a directory"])
    }

    /// Whoever opens a FIFO waits for its other end: nobody would hear of it, nor could stop it.
    @Test func `a FIFO is refused by name wherever a file is read`() throws {
        let scratch = try Scratch([
            "include.yaml": "include: fifo",
            "drop-in.yaml": "checks-dir: checks.d\n"
                + "upstreams: {web: {peers: ['10.0.0.1:80'], monitors: [own]}}",
            "checks.d/other": "",
        ])
        for name in ["fifo", "checks.d/own.yaml"] {
            try #require(mkfifo(scratch.path(name), 0o600) == 0)
        }
        let saw = "expected a regular file, saw a FIFO"
        #expect(scratch.complaints("fifo") == ["fifo: \(saw)"])
        #expect(scratch.complaints("include.yaml") == ["include.yaml:1:10: include: fifo: \(saw)"])
        #expect(scratch.complaints("drop-in.yaml").first?.contains("own.yaml: \(saw)") == true)

        let fifo = scratch.path("fifo")
        for (monitor, complaint) in [
            ("dialogue: {file: \(fifo)}", "fifo: \(saw)"),
            ("tls: {ca: \(fifo)}", "read authorities from fifo: \(saw)"),
            ("tls: {certificate: \(fifo)}", "read a certificate from fifo: \(saw)"),
        ] {
            let text = "upstreams: {web: {peers: ['10.0.0.1:80'], monitors: [\(monitor)]}}"
            try text.write(
                toFile: scratch.path("muster.yaml"),
                atomically: true,
                encoding: .utf8
            )
            let complaints = scratch.complaints()
            #expect(complaints.count == 1)
            #expect(complaints.first?.hasSuffix(complaint) == true, "\(complaints)")
        }
    }

    @Test func `reads an empty file and one with a byte order mark`() throws {
        #expect(try load("").upstreams.isEmpty)
        #expect(try load("# nothing\n").upstreams.isEmpty)
        #expect(try load("\u{FEFF}agent: {id: bom}\n").agent.id == "bom")
    }

    @Test func `refuses bytes that are no text`() throws {
        let scratch = try Scratch(["muster.yaml": ""])
        try Data([0x61, 0xFF, 0xFE]).write(to: URL(fileURLWithPath: scratch.path("muster.yaml")))
        #expect(scratch.complaints() == ["muster.yaml: expected UTF-8, saw other bytes"])
    }

    @Test func `refuses a file above 64 mebibytes`() throws {
        let line = "# " + String(repeating: "x", count: 1_048_573) + "\n"
        #expect(
            try complaints(String(repeating: line, count: 64) + "#") == [
                "muster.yaml: expected at most 67108864 bytes, saw more"
            ]
        )
    }

    @Test func `a site of thousands of routes, peers and upstreams is read whole`() throws {
        var text = "upstreams:\n  web:\n    peers:\n"
        for peer in 0..<4_000 {
            text += "    - { id: p\(peer), address: \"10.0.\(peer / 250).\(peer % 250):80\" }\n"
        }
        for upstream in 0..<2_000 { text += "  u\(upstream): { peers: [\"127.0.0.1:80\"] }\n" }
        text += "proxy:\n  listeners:\n  - bind: 127.0.0.1:8080\n    routes:\n"
        let count = 24_000
        for route in 0..<count {
            text += "    - { host: h\(route).example.com, path: /some/where, upstream: web }\n"
        }
        #expect(text.utf8.count > 1_048_576, "more than was taken once")
        let configuration = try load(text)
        guard case .http(let routes) = configuration.proxy.listeners.first?.mode else {
            Issue.record("expected a listener with routes")
            return
        }
        #expect(routes.count == count)
        #expect(configuration.upstreams.count == 2_001)
        #expect(configuration.upstreams.first?.definition.peers.count == 4_000)
    }

    @Test func `refuses what nests deeper than 32 levels`() throws {
        func nested(_ levels: Int) -> String {
            "agent: " + String(repeating: "[", count: levels)
                + String(repeating: "]", count: levels)
        }
        #expect(
            try complaints(nested(31)) == ["muster.yaml:1:8: agent: expected a map, saw a list"]
        )
        #expect(
            try complaints(nested(40)) == [
                "muster.yaml:1:40: expected at most 32 levels, saw more"
            ]
        )
    }

    @Test func `is not blown up by aliases of aliases`() throws {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...8 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(aliases)]\n"
        }
        let found = try complaints(text)
        #expect(found.count == 1)
        #expect(found[0].hasSuffix("expected at most 100000 settings, saw more"))
    }

    @Test func `follows anchors and merge keys, and lets the map itself win`() throws {
        let upstreams = try load(
            """
            upstreams:
              web: &web
                slow-start: 5s
                on-down: keep
              api:
                <<: *web
                slow-start: 9s
            """
        ).upstreams.map { $0.definition }
        #expect(upstreams.map { $0.slowStart } == [.seconds(5), .seconds(9)])
        #expect(upstreams.map { $0.onDown } == [.keep, .keep])
    }

    @Test func `takes relative paths from beside the file`() throws {
        let scratch = try Scratch([
            "muster.yaml": "checks-dir: kinds\nstore: {state-file: state.json}\n"
        ])
        let configuration = try scratch.load()
        #expect(configuration.checksDirectory == scratch.path("kinds"))
        #expect(configuration.store.stateFile == scratch.path("state.json"))
        #expect(try load("store: {state-file: /var/x.json}").store.stateFile == "/var/x.json")
    }
}
