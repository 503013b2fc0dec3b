// What does a file of the drop-in folder define, and what is said about one that is wrong? The folder
// stands beside the configuration, as a user has it.

import Checks
import Foundation
import Health
import Settings
import Testing
import Vocabulary

@Suite struct DropInTests {
    private static let upstream = """
        upstreams:
          web:
            peers: [127.0.0.1:1]
            monitors:
              - 

        """

    /// A configuration with one monitor, and the folder's files.
    private func scratch(_ monitor: String, _ files: [String: String]) throws -> Scratch {
        var all = ["muster.yaml": Self.upstream.replacing("- \n", with: "- \(monitor)\n")]
        for (name, text) in files { all["checks.d/\(name).yaml"] = text }
        return try Scratch(all)
    }

    private func complaints(_ monitor: String, _ file: String) throws -> [String] {
        try scratch(monitor, ["own": file]).complaints()
    }

    private func warnings(_ file: String, name: String = "own") throws -> [String] {
        let scratch = try scratch("tcp", [name: file])
        return try scratch.load().warnings.map {
            $0.description.replacingOccurrences(of: scratch.folder.path + "/", with: "")
        }
    }

    // MARK: Good files

    @Test(arguments: [
        "command: [check_dummy, '0']",
        "command: check_dummy 0",
        "command: { command: check_dummy 0, exit: { pass: 0 } }",
        "dialogue: [{ send: a }, { expect: b }]",
        "dialogue: { steps: [{ expect: b }], tls: true }",
        "preset: { http: { path: /health } }",
        "preset: { tcp: }",
        "summary: what it is\ndialogue: [{ expect: b }]",
        "parameters:\ndialogue: [{ expect: '{{b} {2} {\"a\": 1}' }]",
    ])
    func `a file with one body is a kind`(file: String) throws {
        #expect(try warnings(file) == [])
        let monitor = try #require(
            try scratch("own: { interval: 5s, rise: 4 }", ["own": file]).load()
                .upstreams.first?.monitors.first
        )
        #expect(monitor.kind == "own" && monitor.id == "own")
        #expect(monitor.schedule.interval == .seconds(5))
        #expect(monitor.thresholds == Thresholds(rise: 4, fall: 3))
    }

    @Test func `a kind begins with the thresholds of the kind it is made from`() throws {
        let scratch = try scratch("own", ["own": "preset: { heartbeat: { within: 5s } }"])
        let monitor = try #require(try scratch.load().upstreams.first?.monitors.first)
        #expect(monitor.thresholds == Thresholds(rise: 1, fall: 1))
    }

    @Test func `a file may be used twice with different parameters`() throws {
        let file = "parameters: { port: null }\npreset: { tcp: { port: \"{port}\" } }"
        let monitors = "own: { id: a, port: 1 }\n      - own: { id: b, port: 2 }"
        let monitor = try scratch(monitors, ["own": file]).load().upstreams.first?.monitors
        #expect(monitor?.map(\.id) == ["a", "b"])
    }

    @Test func `the environment is read in a file`() throws {
        let file = "preset: { tcp: { port: \"${PORT}\" } }"
        let scratch = try scratch("tcp", ["own": file])
        #expect(try scratch.load(environment: ["PORT": "1"]).warnings == [])
        let plain = try self.scratch("tcp", ["own": "preset:\n  tcp:\n    port: ${PORT}"])
        #expect(try plain.load(environment: ["PORT": "1"]).warnings == [])
        #expect(try plain.load().warnings.first?.message.contains("PORT") == true)
    }

    @Test func `an unknown kind says where it would be looked for`() throws {
        let text = "upstreams: { web: { peers: [a:1], monitors: [zzzzzz] } }"
        let found = try Scratch(["muster.yaml": text]).complaints()
        #expect(found.count == 1)
        #expect(
            found.first?.contains("saw 'zzzzzz'; a drop-in kind would be zzzzzz.yaml in checks.d")
                == true,
            "\(found)"
        )
    }

    @Test func `no folder is no mistake, and other files in it are none`() throws {
        #expect(try load("upstreams: { web: { peers: [127.0.0.1:1] } }").warnings == [])
        let scratch = try scratch("tcp", [:])
        try FileManager.default.createDirectory(
            atPath: scratch.path("checks.d"),
            withIntermediateDirectories: true
        )
        try Data("{".utf8).write(to: URL(fileURLWithPath: scratch.path("checks.d/README.md")))
        try Data("{".utf8).write(to: URL(fileURLWithPath: scratch.path("checks.d/.#a.yaml")))
        #expect(try scratch.load().warnings == [])
    }

    @Test func `checks-dir names the folder, beside the file that says so`() throws {
        let scratch = try Scratch([
            "muster.yaml": "checks-dir: mine\n"
                + Self.upstream.replacing("- \n", with: "- own\n"),
            "mine/own.yaml": "preset: { tcp: }",
        ])
        #expect(scratch.complaints() == [])
    }

    // MARK: Mistakes of a file

    static let mistakes: [(file: String, warning: String)] = [
        (
            "",
            ":1:1: check 'own': expected 'command', 'dialogue', 'service', 'preset', saw no such key"
        ),
        ("- a", ":1:1: check 'own': expected a map, saw a list"),
        (
            "summary: a",
            ":1:1: check 'own': expected 'command', 'dialogue', 'service', 'preset', saw no such key"
        ),
        (
            "preset: { tcp: }\ndialogue: [{ expect: b }]",
            ":1:9: preset: expected one of command, dialogue, service, preset, saw a second one"
        ),
        (
            "presets: { tcp: }",
            ":1:1: check 'own' has no setting 'presets'; did you mean 'preset'?"
        ),
        (
            "preset: { tpc: }",
            ":1:11: preset: expected one of command, dialogue, dns, grpc, haproxy-agent-check, "
                + "heartbeat, http, http-agent, redis, service, tcp, tls, saw 'tpc'; did you mean 'tcp'?"
        ),
        ("preset: tcp", ":1:9: preset: expected a built-in kind with its settings, saw 'tcp'"),
        (
            "preset: { tcp: , tls: }",
            ":1:18: preset: expected one built-in kind, saw 2 keys"
        ),
        (
            "preset:\n  tcp: { prot: 5 }",
            ":2:10: tcp has no setting 'prot'; did you mean 'port'?"
        ),
        (
            "dialogue:\n  - expct: b",
            ":2:5: dialogue.steps[0] has no setting 'expct'; did you mean 'expect'?"
        ),
        ("summary: [a]\npreset: { tcp: }", ":1:10: summary: expected a text, saw a list"),
        (
            "parameters: [a]\npreset: { tcp: }",
            ":1:13: parameters: expected a map of names and defaults, saw a list"
        ),
        (
            "parameters:\n  a: 1\npreset: { tcp: }",
            ":2:3: parameters.a: expected \"{a}\" in a setting, saw it in none"
        ),
        (
            "parameters:\n  port: 1\npreset:\n  tcp: { port: \"{prot}\" }",
            ":4:16: tcp.port: no parameter 'prot' is declared; did you mean 'port'?"
        ),
        (
            "parameters:\n  port: 1\npreset:\n  tcp: { port: {port} }",
            ":4:16: tcp.port: expected \"{port}\" in quotes: without them it is a map"
        ),
        (
            "parameters:\n  timeout: 1\npreset:\n  tcp: { port: \"{timeout}\" }",
            ":2:3: parameters.timeout: expected another name: 'timeout' is a setting of every "
                + "monitor"
        ),
        (
            "parameters:\n  host: 1\ncommand: [a, \"{host}\"]",
            ":2:3: parameters.host: expected another name: '{host}' of a command comes from the "
                + "target"
        ),
        (
            "parameters:\n  1a: 1\npreset: { tcp: }",
            ":2:3: parameters.1a: expected a letter, then letters, digits, '-' or '_', saw '1a'"
        ),
        (
            "parameters:\n  port: http\npreset:\n  tcp: { port: \"{port}\" }",
            ":2:9: tcp.port: expected a whole number from 1 to 65535, saw 'http'"
        ),
        (
            "parameters:\n  word: [a]\ndialogue:\n  - expect: \"a {word}\"",
            ":2:9: word: expected a text, which goes into dialogue.steps[0].expect, saw a list"
        ),
        (
            "preset: {",
            ":2:1: not valid YAML: did not find expected node content while parsing a flow node "
                + "that began at line 2, column 1"
        ),
    ]

    @Test(arguments: mistakes)
    func `a mistake is shown where it is`(file: String, warning: String) throws {
        #expect(try warnings(file) == ["checks.d/own.yaml" + warning])
    }

    @Test(arguments: [
        ("tcp", "expected another file name: 'tcp' is a built-in kind of check"),
        (
            "a b",
            "expected a name of 1 to 128 letters, digits, '.', '_' or '-', saw 'a b'"
        ),
        (String(repeating: "a", count: 65), "expected a name of at most 64 bytes, saw 65"),
    ])
    func `a file that cannot be called so`(name: String, message: String) throws {
        let warnings = try warnings("preset: { http: }", name: name)
        #expect(warnings == ["checks.d/\(name).yaml: \(message)"])
    }

    @Test func `one bad file leaves the others and whoever does not use it alone`() throws {
        let files = ["bad": "summary: 1", "good": "preset: { tcp: }"]
        let scratch = try scratch("good", files)
        #expect(try scratch.load().warnings.count == 1)
        #expect(
            try self.scratch("bad", files).complaints() == [
                "muster.yaml:5:9: upstreams.web.monitors[0].bad: checks.d/bad.yaml:1:1: check "
                    + "'bad': expected 'command', 'dialogue', 'service', 'preset', saw no such key"
            ]
        )
    }

    // MARK: Mistakes of a monitor

    static let file = """
        parameters: { port: null, word: b, tls: false }
        preset:
          tcp: { port: "{port}", tls: "{tls}", expect: "a {word}" }
        """

    @Test(
        arguments: [
            ("own: { port: 5 }", nil),
            ("own: { port: 5, tls: { verify: false }, word: 7 }", nil),
            ("own", ":5:9: WHERE: expected 'port', saw no such key"),
            ("own: { port: }", ":5:14: WHERE: expected 'port', saw no such key"),
            ("own: { prot: 5 }", ":5:16: WHERE has no setting 'prot'; did you mean 'port'?"),
            (
                "own: { port: 5, itnerval: 2s }",
                ":5:25: WHERE has no setting 'itnerval'; did you mean 'interval'?"
            ),
            (
                "own: { port: x }",
                ":5:22: WHERE: tcp.port: expected a whole number from 1 to 65535, saw 'x'"
            ),
            (
                "own: { port: 5, tls: { verfy: false } }",
                ":5:32: WHERE: tcp.tls has no setting 'verfy'; did you mean 'verify'?"
            ),
            (
                "own: { port: 5, word: [a] }",
                ":5:31: WHERE: word: expected a text, which goes into tcp.expect, saw a list"
            ),
            (
                "onw: { port: 5 }",
                ":5:9: upstreams.web.monitors[0]: kind of check: expected one of command, dialogue, "
                    + "dns, grpc, haproxy-agent-check, heartbeat, http, http-agent, own, redis, service, "
                    + "tcp, tls, saw 'onw'; did you mean 'own'?"
            ),
        ] as [(String, String?)]
    )
    func `a monitor gives the parameters and nothing else`(
        monitor: String,
        complaint: String?
    ) throws {
        let expected = complaint.map {
            "muster.yaml" + $0.replacing("WHERE", with: "upstreams.web.monitors[0].own")
        }
        #expect(try complaints(monitor, Self.file) == (expected.map { [$0] } ?? []))
    }

    @Test func `a mistake that only a value reveals is shown where the file is used`() throws {
        let file = "parameters: { word: null }\ndialogue:\n  - expect: '{word}'\n  - exect: b"
        // Nothing is known to be wrong until there is a word.
        #expect(try warnings(file) == [])
        #expect(
            try complaints("own: { word: a }", file) == [
                "muster.yaml:5:14: upstreams.web.monitors[0].own: checks.d/own.yaml:4:5: "
                    + "dialogue.steps[1] has no setting 'exect'; did you mean 'expect'?"
            ]
        )
    }

    // MARK: What parameters become. The command says what it got.

    @Test(arguments: [
        ("{ a: x y }", "<x y><c>"),
        ("{ a: \"'q'\", b: [] }", "<'q'>"),
        ("{ a: 1.50, b: [d, 'e f'] }", "<1.50><d><e f>"),
        ("{ a: '{host}' }", "<127.0.0.1><c>"),
    ])
    func `a value is one argument, and a list as many as it has`(
        settings: String,
        expected: String
    ) async throws {
        let file = """
            parameters: { a: null, b: c }
            command: ["/usr/bin/printf", "<%s>", "{a}", "{b}"]
            """
        let scratch = try scratch("own: \(settings)", ["own": file])
        let monitor = try #require(try scratch.load().upstreams.first?.monitors.first)
        let outcome = try await probeOnce(
            monitor.check,
            at: .host("127.0.0.1", port: 1)
        )
        #expect(outcome.message == expected)
    }

    @Test func `a command in one text is cut before the values go in`() async throws {
        let file = "parameters: { a: null }\ncommand: \"/usr/bin/printf <%s> -{a}- '{{x} {port}'\""
        let scratch = try scratch("own: { a: x y }", ["own": file])
        let monitor = try #require(try scratch.load().upstreams.first?.monitors.first)
        let outcome = try await probeOnce(monitor.check, at: .host("127.0.0.1", port: 1))
        #expect(outcome.message == "<-x y-><{x} 1>")
    }
}
