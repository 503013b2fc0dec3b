// What does a file with a `service` define, and does the example in examples/checks.d tell a short
// queue of a real Redis from a long one?

import Checks
import DNS
import EventLoop
import Foundation
import Health
import Settings
import TestSupport
import Testing
import Vocabulary

@Suite struct ServiceDropInTests {
    private static func upstream(_ monitors: [String]) -> String {
        "upstreams:\n  web:\n    peers: [127.0.0.1:1]\n    monitors:\n"
            + monitors.map { "      - \($0)\n" }.joined()
    }

    private func scratch(_ file: String, _ monitors: String...) throws -> Scratch {
        try Scratch(["muster.yaml": Self.upstream(monitors), "checks.d/own.yaml": file])
    }

    private func warnings(_ file: String) throws -> [String] {
        let scratch = try scratch(file, "tcp")
        return try scratch.load().warnings.map {
            $0.description.replacingOccurrences(of: scratch.folder.path + "/", with: "")
        }
    }

    @Test(arguments: [
        "service: [/bin/true]",
        "service: /bin/true -x 'a b'",
        "service: { service: /bin/true, environment: { A: b } }",
        "parameters: { a: 1 }\nservice: [/bin/true]",
        "parameters: { a: null }\nservice: [/bin/true, '{a}']",
        "parameters: { a: 1 }\nservice: { service: [/bin/true], parameters: { b: '{a}' } }",
        "preset: { service: { service: /bin/true, parameters: { a: 1 } } }",
    ])
    func `a file with a service is a kind`(file: String) throws {
        #expect(try warnings(file) == [])
        let monitor = try #require(
            try scratch(file, "own: { \(file.contains("null") ? "a: 7, " : "")rise: 4 }").load()
                .upstreams.first?.monitors.first
        )
        #expect(monitor.kind == "own")
        #expect(monitor.thresholds == Thresholds(rise: 4, fall: 3))
    }

    static let mistakes: [(file: String, warning: String)] = [
        ("service: ''", ":1:10: service.service: expected a program and at most 127 arguments, "),
        ("service: []", ":1:10: service.service: expected a program and at most 127 arguments, "),
        ("service: a 'b", ":1:10: service.service: expected a closing quote, saw "),
        ("service: { servce: a }", ":1:10: service: expected 'service', saw no such key"),
        (
            "service: { service: a, envronment: {} }",
            ":1:24: service has no setting 'envronment'; did you mean 'environment'?"
        ),
        (
            "service: { service: a, parameters: [b] }",
            ":1:36: service.parameters: expected a map, saw a list"
        ),
        (
            "parameters: { queue: a }\nservice: [a, '{quue}']",
            ":2:14: service.service[1]: no parameter 'quue' is declared; did you mean 'queue'?"
        ),
        (
            "service: [a, '{host}']",
            ":1:14: service.service[1]: no parameter 'host' is declared; '{{' stands for a brace"
        ),
        (
            "parameters: { a: 1 }\nservice: { service: [a], parameters: { b: 2 } }",
            ":1:15: parameters.a: expected \"{a}\" in a setting, saw it in none"
        ),
        (
            "parameters: { timeout: 1 }\nservice: a",
            ":1:15: parameters.timeout: expected another name: 'timeout' is a setting of every "
        ),
        (
            "service: a\ndialogue: [{ expect: b }]",
            ":1:10: service: expected one of command, dialogue, service, preset, saw a second one"
        ),
    ]

    @Test(arguments: mistakes)
    func `a mistake is shown where it is`(file: String, warning: String) throws {
        let warnings = try warnings(file)
        #expect(warnings.count == 1)
        #expect(
            warnings.first?.hasPrefix("checks.d/own.yaml" + warning) == true,
            "\(warnings)"
        )
    }

    @Test func `parameters go with the question, and those in the words make the process`()
        async throws
    {
        let folder = try TemporaryDirectory()
        // Answers with its own number, the word it was started with, and what it was told.
        let script = try folder.write(
            #"""
            while IFS= read -r line; do
              id=${line#*'"id":'}; id=${id%%,*}
              told=$(printf %s "${line#*'"parameters":'}" | sed 's/"/./g')
              printf '{"id":%s,"status":"pass","message":"%s %s %s"}\n' "$id" "$$" "$1" "$told"
            done
            """#,
            to: "answer.sh"
        )
        let file = """
            parameters: { word: null, limit: 5, names: [a, b] }
            service: /bin/sh '\(script)' '{word}'
            """
        let monitors = try scratch(
            file,
            "own: { id: a, word: x y }",
            "own: { id: b, word: x y, limit: 7 }",
            "own: { id: c, word: z, names: [] }"
        ).load().upstreams[0].monitors
        let services = try await ServiceRig()
        var messages: [[String]] = []
        for monitor in monitors {
            let outcome = await services.probe(monitor.check, at: .host("127.0.0.1", port: 1))
            #expect(outcome.verdict == .pass, "\(outcome)")
            messages.append(
                outcome.message.split(separator: " ", maxSplits: 1).map(String.init)
            )
        }
        #expect(
            messages.map { $0.last } == [
                "x y {.word.:.x y.,.limit.:5,.names.:[.a.,.b.]}}",
                "x y {.word.:.x y.,.limit.:7,.names.:[.a.,.b.]}}",
                "z {.word.:.z.,.limit.:5,.names.:[]}}",
            ]
        )
        #expect(messages[0].first == messages[1].first, "one command line, one process")
        #expect(messages[0].first != messages[2].first)
        await services.stop()
    }

    // MARK: The example

    private static let folder = project.appendingPathComponent("examples/checks.d").path

    @Test func `the page shows the program of the example`() throws {
        let script = try String(contentsOfFile: Self.folder + "/redis-queue.py", encoding: .utf8)
        let page = try String(
            contentsOf: project.appendingPathComponent("docs/CHECKS.md"),
            encoding: .utf8
        )
        #expect(page.contains("```python\n\(script)```"))
        #expect(ChecksFolder.read(Self.folder, environment: [:]).mistakes == [])
    }

    @Test(
        .enabled(
            if: ChildProcess.find("redis-server") != nil && ChildProcess.find("python3") != nil,
            "redis-server or python3 is not installed"
        )
    )
    func `the example knows a short queue from a long one and from no server`() async throws {
        let kinds = ChecksFolder.read(Self.folder, environment: [:]).registry
        let settings: TestSetting = [
            "script": .text(Self.folder + "/redis-queue.py"), "key": "jobs ö", "warn": 2,
            "fail": 3,
        ]
        let check = try kinds.make("redis-queue", from: settings.options(path: "redis-queue"))
        let server = try await LiveServer.redis()
        let services = try await ServiceRig()
        var first = await services.probe(check, at: server.address)
        let isUp = await eventually(within: .seconds(30)) {
            if first.verdict == .pass { return true }
            first = await services.probe(check, at: server.address)
            return false
        }
        #expect(isUp && first.message == "0 jobs wait", "\(first)")
        #expect(first.measurements == [Measurement(label: "jobs", value: 0)])
        for (count, verdict) in [(1, Outcome.Verdict.pass), (2, .warn), (3, .fail), (4, .fail)] {
            try await push("jobs ö", on: server)
            let outcome = await services.probe(check, at: server.address)
            #expect(outcome.verdict == verdict && outcome.message == "\(count) jobs wait")
        }
        // Nobody listens there; the process is the same and has not suffered.
        let refused = await services.probe(
            check,
            at: .host("127.0.0.1", port: try freePort())
        )
        #expect(refused.verdict == .fail && refused.reason == .layer7Status, "\(refused)")
        #expect(refused.message.contains("refused"), "\(refused)")
        // One that accepts and says nothing holds up nobody else.
        let silent = try ScriptedServer(.stall)
        defer { silent.stop() }
        let slow = await services.probe(check, at: silent.address, timeout: .milliseconds(500))
        #expect(slow.verdict == .fail, "\(slow)")
        #expect(await services.probe(check, at: server.address).message == "4 jobs wait")
        #expect(await services.count() == 1)
        await services.stop()
    }

    private func push(_ key: String, on server: LiveServer) async throws {
        let folder = try TemporaryDirectory()
        let client = try ChildProcess(
            "redis-cli",
            ["-p", "\(server.port)", "rpush", key, "x"],
            in: folder
        )
        let code = await client.exitCode(within: .seconds(10))
        #expect(code == 0, "\(client.output)")
    }
}

/// A loop with services on it.
private final class ServiceRig: Sendable {
    private let loop: EventLoop
    private let resolver: LoopBound<Resolver>
    private let services: LoopBound<Services>

    init() async throws {
        let loop = try EventLoop.spawn(name: "probe")
        self.loop = loop
        (resolver, services) = try await withTaskExecutorPreference(loop) {
            (
                LoopBound(try Resolver(on: loop), on: loop),
                LoopBound(Services(loop: loop), on: loop)
            )
        }
    }

    func probe(
        _ check: any Check,
        at address: Address,
        timeout: Nanoseconds = .seconds(10)
    ) async -> Outcome {
        await runProbe(
            check,
            Target(upstream: "web", peer: "\(address)", address: address),
            timeout: timeout,
            loop: loop,
            resolver: resolver,
            services: services
        ).0
    }

    func count() async -> Int { await services.call { $0.count } }

    func stop() async {
        await Task(executorPreference: loop) { [services] in
            await services.value.stop()
        }.value
        await resolver.call { $0.close() }
        loop.stop()
    }
}
