// Does a reload say what is different, down to the setting?

import Health
import Monitor
import Settings
import TestSupport
import Testing
import Vocabulary

@testable import muster

extension CatalogueChange {
    /// What a reload makes of the second, after a start with the first.
    static func all(
        from old: MusterConfiguration,
        to new: MusterConfiguration
    ) -> [CatalogueChange] {
        var catalogue = Catalogue()
        _ = catalogue.set(.file, old.upstreams)
        return catalogue.set(.file, new.upstreams)
    }
}

@Suite struct ConfigurationDifferenceTests {
    private static let base = """
        agent: { id: a }
        upstreams:
          web:
            peers:
              - { id: p1, address: "127.0.0.1:9001" }
              - { id: p2, address: "127.0.0.1:9002" }
            monitors:
              - http: { path: /health, interval: 1s, timeout: 500ms, fall: 2 }
        store: { url: "redis://:old-secret@127.0.0.1:6379" }
        """

    @Test func `a dialogue file that changed is named`() throws {
        let folder = try TemporaryDirectory()
        let dialogue = try folder.write("expect 220\n", to: "smtp.dialogue")
        let file = try folder.write(
            """
            upstreams:
              mail: { peers: ["127.0.0.1:25"], monitors: [dialogue: { file: \(dialogue) }] }
            """,
            to: "muster.yaml"
        )
        let old = try MusterConfiguration.load(file)
        let same = try MusterConfiguration.load(file)
        try folder.write("expect-pattern ^220\n", to: "smtp.dialogue")
        let new = try MusterConfiguration.load(file)
        func changes(_ new: MusterConfiguration) -> [String] {
            let catalogue = CatalogueChange.all(from: old, to: new)
            return ConfigurationDifference(catalogue, from: old, to: new).changes
        }
        #expect(changes(same).isEmpty)
        #expect(changes(new) == ["changed: monitor mail/dialogue: what is in \(dialogue)"])
    }

    private func difference(
        _ word: String,
        _ replacement: String
    ) throws
        -> ConfigurationDifference
    {
        let folder = try TemporaryDirectory()
        let old = try MusterConfiguration.load(try folder.write(Self.base, to: "old.yaml"))
        let text = Self.base.replacing(word, with: replacement)
        let new = try MusterConfiguration.load(try folder.write(text, to: "new.yaml"))
        return ConfigurationDifference(
            CatalogueChange.all(from: old, to: new),
            from: old,
            to: new
        )
    }

    @Test(arguments: [
        ("fall: 2", "fall: 5, rise: 3", "changed: monitor web/http: rise 2 → 3, fall 2 → 5"),
        ("interval: 1s", "interval: 2s", "interval 1s → 2s"),
        ("path: /health", "path: /", "changed: monitor web/http: other settings"),
        (
            "fall: 2", "fall: 2, observers: 3, confirm: off",
            "changed: monitor web/http: observers 1 → 3, confirm the default → off"
        ),
        (
            #""127.0.0.1:9001" }"#, #""127.0.0.1:9005", weight: 3, backup: true }"#,
            "changed: peer web/p1: address 127.0.0.1:9001 → 127.0.0.1:9005, weight 1 → 3, "
                + "backup false → true"
        ),
        (
            "    peers:", "    slow-start: 5s\n    all-down: fail-closed\n    peers:",
            "changed: upstream web: slow-start 0s → 5s, all-down backup → fail-closed"
        ),
        ("id: p2", "id: p3", "new: peer web/p3"), ("id: p2", "id: p3", "gone: peer web/p2"),
        ("web:", "api:", "new: upstream api"), ("web:", "api:", "gone: upstream web"),
        ("- http: {", "- tcp: {}\n      - http: {", "new: monitor web/tcp"),
    ])
    func `what changes is told with both values`(
        word: String,
        replacement: String,
        line: String
    )
        throws
    {
        let changes = try difference(word, replacement).changes
        #expect(changes.contains { $0.contains(line) }, "\(changes)")
    }

    private static let telling = """
        notify:
          - name: ops
            pagerduty: { key: first-secret, url: "http://127.0.0.1:1/" }
            upstreams: [web]
            quiet: [{ from: "22:00", to: "06:05" }]
        maintenance:
          - { name: patches, upstreams: [web], from: "02:00", to: "04:00", reason: patches }
        """

    @Test(arguments: [
        ("[web]", "[web]", nil),
        ("[web]\n    quiet", "[web]\n    remind: 1h\n    quiet", "ops: remind never → 1h"),
        (
            "[web]\n    quiet", "[web]\n    status: [down, ejected]\n    flap: off\n    quiet",
            "ops: status down → down ejected, flap 6 within 10m → off"
        ),
        (
            "06:05", "07:00",
            "ops: quiet mon tue wed thu fri sat sun 22:00 to 06:05 UTC → mon tue wed thu fri sat sun "
                + "22:00 to 07:00 UTC"
        ),
        ("first-secret", "other-secret", "ops: other settings of pagerduty"),
        ("pagerduty: { key: first-secret,", "slack: {", "ops: way pagerduty → slack"),
        (
            "reason: patches", "reason: hurry",
            "changed: maintenance patches: reason patches → hurry"
        ),
        ("\"04:00\"", "\"05:00\", days: [sun]", "sun 02:00 to 05:00 UTC"),
    ])
    func `what changes of who is told, and of maintenance, is named, and no secret`(
        word: String,
        replacement: String,
        line: String?
    ) throws {
        let folder = try TemporaryDirectory()
        let text = Self.base + "\n" + Self.telling
        #expect(text.contains(word))
        let old = try MusterConfiguration.load(try folder.write(text, to: "old.yaml"))
        let other = text.replacing(word, with: replacement)
        let new = try MusterConfiguration.load(try folder.write(other, to: "new.yaml"))
        let changes = ConfigurationDifference([], from: old, to: new).changes
        #expect(changes.count == (line == nil ? 0 : 1), "\(changes)")
        if let line { #expect(changes.first?.hasSuffix(line) == true, "\(changes)") }
        #expect(!changes.contains { $0.contains("secret") })
    }

    @Test func `of a whole upstream nothing else is told, and of a moved line nothing`() throws {
        let renamed = try difference("web:", "api:").changes
        #expect(renamed == ["new: upstream api", "gone: upstream web"])
        let balance = #"    balance: { consistent-hash: { key: "header:x-user" } }"# + "\n"
        let folder = try TemporaryDirectory()
        let text = Self.base.replacing("    peers:", with: balance + "    peers:")
        let old = try MusterConfiguration.load(try folder.write(text, to: "old.yaml"))
        let new = try MusterConfiguration.load(try folder.write("# new\n" + text, to: "new.yaml"))
        let moved = CatalogueChange.all(from: old, to: new)
        #expect(moved.isEmpty)
    }

    @Test(arguments: [
        ("id: a", "id: b", "agent (id a → b)"),
        (
            "agent:", "log: { level: warning }\nagent:",
            "log (level info → warning)"
        ),
        (
            "agent:",
            "proxy: { threads: 3, timeouts: { response: 30s }, limits: { tries: 2 } }\nagent:",
            "proxy (threads none → 3, timeouts.response 1m → 30s, "
                + "limits.tries 5 → 2)"
        ),
        (
            "agent:", "agent-check: { bind: '127.0.0.1:7071' }\nagent:",
            "agent-check (bind none → 127.0.0.1:7071)"
        ),
        (
            "agent:", "admin: { token: long-secret-word, hosts: [a.example] }\nagent:",
            "admin (a token, hosts none → a.example)"
        ),
        ("id: a", "id: a, zone: east", "agent (zone none → east)"),
        ("old-secret", "new-secret", "store (another url)"),
        (
            "agent:", "sources: [ hipache: { url: 'redis://:secret@10.0.0.5:6379' } ]\nagent:",
            "sources.hipache"
        ),
        (
            "agent:", "tracing: { otlp: 'http://u:secret@10.0.0.5:4318' }\nagent:",
            "tracing (otlp none → http://10.0.0.5:4318)"
        ),
    ])
    func `what has to wait is told too, and no password`(
        word: String,
        replacement: String,
        line: String
    ) throws {
        let later = try difference(word, replacement).later
        #expect(later == [line])
    }

    @Test func `validate counts sources, and tells of nothing that they bring themselves`() throws {
        let folder = try TemporaryDirectory()
        func counts(_ text: String) throws -> String {
            ValidateCommand.counts(
                of: try MusterConfiguration.load(try folder.write(text, to: "muster.yaml"))
            )
        }
        let sources = "sources: [ hipache: { url: 'redis://10.0.0.5:6379' } ]\n"
        #expect(try counts(sources) == "1 source")
        #expect(try counts(Self.base) == "1 upstream, 2 peers, 1 monitor, 0 listeners")
        #expect(
            try counts(Self.base + "\n" + sources) == "1 upstream, 2 peers, 1 monitor, 1 source"
        )
    }

    @Test func `of tracing each setting is told, and no header`() throws {
        let folder = try TemporaryDirectory()
        func read(_ tracing: String) throws -> MusterConfiguration {
            let text = Self.base + "\ntracing: { otlp: 'http://a:4318', \(tracing) }\n"
            return try MusterConfiguration.load(try folder.write(text, to: "muster.yaml"))
        }
        let old = try read("sample: 1%, headers: { X-Key: old-secret }")
        func later(_ tracing: String) throws -> [String] {
            ConfigurationDifference([], from: old, to: try read(tracing)).later
        }
        #expect(try later("headers: { X-Key: old-secret }") == [])
        #expect(
            try later("sample: 5%, service: shop, headers: { X-Key: old-secret }") == [
                "tracing (sample 1% → 5%, service muster → shop)"
            ]
        )
        #expect(
            try later("headers: { X-Key: new-secret }") == ["tracing (another receiver)"]
        )
    }

    @Test func `of several sources the one that is otherwise is named`() throws {
        let folder = try TemporaryDirectory()
        func read(_ items: String...) throws -> MusterConfiguration {
            let text = Self.base + "\nsources: [ \(items.joined(separator: ", ")) ]\n"
            return try MusterConfiguration.load(try folder.write(text, to: "muster.yaml"))
        }
        let first = "hipache: { url: 'redis://10.0.0.5:6379', marks: false }"
        let second = "hipache: { name: old, url: 'redis://10.0.0.6:6379' }"
        let old = try read(first, second)
        func later(_ new: MusterConfiguration) -> [String] {
            ConfigurationDifference([], from: old, to: new).later
        }
        #expect(later(try read(first, second)) == [])
        #expect(
            later(try read(first.replacing(", marks: false", with: ""), second)) == [
                "sources.hipache"
            ]
        )
        #expect(later(try read(first)) == ["sources.old"])
        #expect(later(try read(second, first)) == ["sources (their order)"])
    }

    @Test(arguments: [
        (#"{"changes":[],"later":[],"warnings":["w"]}"#, ["nothing has changed", "warning: w"]),
        (
            #"{"changes":[],"later":["sources.hipache"],"warnings":[]}"#,
            ["1 section waits for the next start: sources.hipache"]
        ),
        (
            #"{"changes":["new: peer web/c"],"later":["log (level info → debug)","sources.hipache"]}"#,
            [
                "2 sections wait for the next start: log (level info → debug); sources.hipache",
                "new: peer web/c",
            ]
        ),
    ])
    func `a reload says first what waits, and never that nothing has changed beside it`(
        answer: String,
        lines: [String]
    ) throws {
        #expect(ReloadCommand.lines(of: try JSON(parsing: answer)) == lines)
    }

    @Test func `of the agent check each setting is told`() throws {
        let folder = try TemporaryDirectory()
        func read(_ settings: String) throws -> MusterConfiguration {
            let text = Self.base + "\nagent-check: { bind: '127.0.0.1:7071', \(settings) }\n"
            return try MusterConfiguration.load(try folder.write(text, to: "muster.yaml"))
        }
        let old = try read("hold: 10s, ports: { 7081: web/p1 }")
        let new = try read(
            "hold: 20s, admin-words: never, load-balancers: 2, http-status: { drain: 503 }, "
                + "ports: { 7082: web/p1, 7083: web/p2 }"
        )
        #expect(
            ConfigurationDifference([], from: old, to: new).later == [
                "agent-check (port of web/p1 127.0.0.1:7081 → 127.0.0.1:7082, "
                    + "port of web/p2 none → 127.0.0.1:7083, admin-words when-set → never, "
                    + "hold 10s → 20s, load-balancers none → 2, http-status.drain 404 → 503)"
            ]
        )
    }
}
