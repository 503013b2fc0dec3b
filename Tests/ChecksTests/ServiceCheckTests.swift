// Does a real process answer many probes, and does nothing of it stay behind, however it behaves?

import DNS
import EventLoop
import Foundation
import Glibc
import Health
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Checks
@testable import Plugins

/// A loop with services on it, and what they said.
private final class Rig: Sendable {
    let prober: Prober
    let services: LoopBound<Services>
    private let said: Lines

    private final class Lines: Sendable { let all = Mutex<[String]>([]) }

    init(_ limits: ServiceLimits = ServiceLimits()) async throws {
        prober = try await Prober()
        let loop = prober.loop
        let lines = Lines()
        said = lines
        services = await prober.resolver.call { _ in
            let journal = Journal(from: .debug) { _, line in lines.all.withLock { $0.append(line) }
            }
            return LoopBound(Services(loop: loop, journal: journal, limits: limits), on: loop)
        }
    }

    var lines: [String] { said.all.withLock { $0 } }

    /// One that runs a shell script.
    func check(_ script: String, parameters: TestSetting = [:]) throws -> any Check {
        try check(["/bin/sh", "-c", .text(script)], parameters: parameters)
    }

    func check(_ words: TestSetting, parameters: TestSetting = [:]) throws -> any Check {
        let settings: TestSetting = ["service": words, "parameters": parameters]
        return try CheckRegistry.builtin.make("service", from: settings.options(path: "service"))
    }

    func probe(
        _ check: any Check,
        _ peer: String = "a",
        timeout: Nanoseconds = .seconds(20)
    ) async -> Outcome {
        await runProbe(
            check,
            Target(upstream: "web", peer: peer, address: .host("192.0.2.1", port: 80)),
            timeout: timeout,
            loop: prober.loop,
            resolver: prober.resolver,
            services: services
        ).0
    }

    func count() async -> Int { await services.call { $0.count } }

    /// Stops everything and looks for what is left.
    func stop() async {
        await Task(executorPreference: prober.loop) { [services] in
            await services.value.stop()
        }.value
        #expect(await count() == 0)
        let left = await prober.leftovers()
        #expect(left.descriptors == 0 && left.timers == 0, "\(left)")
    }
}

/// Reads a question into `$id` and `$peer`.
private let reading = """
    ask() { IFS= read -r line || exit 0; id=${line#*'"id":'}; id=${id%%,*}
      peer=${line#*'"peer":"'}; peer=${peer%%'"'*}; }
    say() { printf '{"id":%s,"status":"%s","message":"%s"}\\n' "$1" "$2" "$3"; }

    """

@Suite struct ServiceCheckTests {
    @Test func `one process answers every probe of its command line`() async throws {
        let rig = try await Rig()
        let script = reading + "while ask; do say $id pass \"$$ $peer\"; done"
        let (first, second) = (try rig.check(script), try rig.check(script))
        var pids: Set<String> = []
        for round in 0..<20 {
            let outcome = await rig.probe(round % 2 == 0 ? first : second, "p\(round)")
            #expect(outcome.verdict == .pass && outcome.reason == .layer7OK)
            let words = outcome.message.split(separator: " ").map(String.init)
            #expect(words.last == "p\(round)")
            pids.insert(words[0])
        }
        #expect(pids.count == 1)
        #expect(await rig.count() == 1)
        await rig.stop()
    }

    @Test func `the question names the target and the parameters`() async throws {
        let rig = try await Rig()
        let folder = try TemporaryDirectory()
        let script = reading + "ask; echo \"$line\" > \(folder.path("line")); say $id pass; ask"
        let check = try rig.check(
            script,
            parameters: [
                "queue": "mail", "limit": 5, "share": "1.5", "strict": true, "none": "null",
                "text": .scalar("5", isQuoted: true), "list": ["a", 2],
            ]
        )
        #expect(await rig.probe(check, timeout: .seconds(3_600)).verdict == .pass)
        let text = try String(contentsOfFile: folder.path("line"), encoding: .utf8)
        let json = try JSON(parsing: text)
        #expect(
            json.members?.map(\.key) == [
                "id", "upstream", "peer", "address", "host", "port", "timeout_ms", "parameters",
            ]
        )
        #expect(json["id"] == 1 && json["upstream"] == "web" && json["peer"] == "a")
        #expect(json["address"] == "192.0.2.1:80" && json["host"] == "192.0.2.1")
        #expect(json["port"] == 80)
        #expect((3_500_000...3_600_000).contains(json["timeout_ms"]?.int ?? 0))
        #expect(
            json["parameters"]?.text
                == #"{"queue":"mail","limit":5,"share":1.5,"strict":true,"none":null,"#
                + #""text":"5","list":["a",2]}"#
        )
        await rig.stop()
    }

    @Test func `two probes in flight are answered in the other order`() async throws {
        let rig = try await Rig()
        let check = try rig.check(
            reading + """
                ask; one=$id; first=$peer; ask
                say $id fail "$peer"; say $one warn "$first"; ask
                """
        )
        async let left = rig.probe(check, "left")
        async let right = rig.probe(check, "right")
        let outcomes = await [left, right]
        #expect(outcomes.map(\.message) == ["left", "right"])
        #expect(Set(outcomes.map(\.verdict)) == [.warn, .fail])
        await rig.stop()
    }

    @Test func `a crash in the middle of a probe is neutral, and it is started again`()
        async throws
    {
        var limits = ServiceLimits()
        // Long enough for the next probe to come meanwhile, on any machine.
        limits.restMin = .seconds(3)
        let rig = try await Rig(limits)
        // Answers one and dies of the next.
        let check = try rig.check(
            reading + "ask; say $id pass $$; ask; echo 'out of cheese' >&2; exit 3"
        )
        let first = await rig.probe(check)
        #expect(first.verdict == .pass)
        let second = await rig.probe(check)
        #expect(second.verdict == .neutral && second.reason == .processError)
        #expect(second.code == 3)
        #expect(second.message == "service exited with code 3: out of cheese")
        let resting = await rig.probe(check)
        #expect(resting.verdict == .neutral)
        #expect(
            resting.message.hasPrefix("service exited with code 3: out of cheese; it is st"),
            "\(resting.message)"
        )
        var last = resting
        let isBack = await eventually(within: .seconds(30)) {
            last = await rig.probe(check)
            return last.verdict == .pass
        }
        #expect(isBack, "\(last)")
        #expect(last.message != first.message, "another process answers")
        #expect(rig.lines.contains { $0.hasSuffix("out of cheese; it is started again in 3s") })
        await rig.stop()
    }

    @Test func `a program that is not there is neutral and named`() async throws {
        let rig = try await Rig()
        let outcome = await rig.probe(try rig.check(["/no/such/program"]))
        #expect(outcome.verdict == .neutral && outcome.reason == .processError)
        #expect(
            outcome.message
                == "service could not be started: start /no/such/program: "
                + "No such file or directory"
        )
        await rig.stop()
    }

    @Test func `no answer is L7TOUT, and a late one is nobody's`() async throws {
        let rig = try await Rig()
        // The first question is answered when the second comes, and before it.
        let check = try rig.check(
            reading + "ask; one=$id; ask; say $one fail late; say $id pass now; ask"
        )
        let first = await rig.probe(check, timeout: .milliseconds(100))
        #expect(first.verdict == .fail && first.reason == .layer7Timeout, "\(first)")
        #expect(first.message == "expected an answer within 100ms, saw none from the service")
        let second = await rig.probe(check)
        #expect(second.verdict == .pass && second.message == "now")
        await rig.stop()
    }

    @Test func `a silent one is ended, though it does not listen to SIGTERM`() async throws {
        var limits = ServiceLimits()
        limits.silenceMin = .milliseconds(100)
        limits.goodbye = .milliseconds(100)
        limits.restMin = .milliseconds(50)
        let folder = try TemporaryDirectory()
        let rig = try await Rig(limits)
        let check = try rig.check(
            "trap '' TERM; echo $$ >> \(folder.path("pids")); sleep 600"
        )
        func pids() -> [pid_t] {
            let text = try? String(contentsOfFile: folder.path("pids"), encoding: .utf8)
            return (text ?? "").split(separator: "\n").compactMap { pid_t($0) }
        }
        var reasons: Set<Reason> = []
        let isRestarted = await eventually {
            reasons.insert(await rig.probe(check, timeout: .milliseconds(50)).reason)
            return pids().count >= 2
        }
        #expect(isRestarted)
        #expect(reasons.isSubset(of: [.layer7Timeout, .processError]), "\(reasons)")
        #expect(reasons.contains(.layer7Timeout))
        await rig.stop()
        #expect(pids().allSatisfy { kill($0, 0) != 0 }, "none is left, not even as a zombie")
        #expect(rig.lines.contains { $0.contains("answered nothing for ") }, "\(rig.lines)")
    }

    @Test func `garbage and a huge line are said once and take no peer down`() async throws {
        let rig = try await Rig()
        let check = try rig.check(
            reading + """
                ask; echo hello; echo hello; head -c 200000 /dev/zero | tr '\\0' x; echo
                ask; say $id pass; say $id fine; say 99 pass; ask; say $id fine; ask
                """
        )
        // Time enough for it to start and say all of that.
        let first = await rig.probe(check, timeout: .seconds(5))
        #expect(first.verdict == .neutral && first.reason == .layer7Response, "\(first)")
        let second = await rig.probe(check)
        #expect(second.verdict == .pass, "\(second)")
        let third = await rig.probe(check)
        #expect(third.verdict == .neutral)
        #expect(
            third.message == #"expected a status of pass, warn, fail, unknown, saw '"fine"'"#
        )
        let told = rig.lines.compactMap { line in
            line.range(of: "'…: expected ").map { String(line[$0.upperBound...].prefix(20)) }
        }
        #expect(
            told.sorted() == [
                "a line of JSON, saw ", "a line of at most 65", "a status of pass, wa",
                "the id of a question",
            ],
            "\(rig.lines)"
        )
        await rig.stop()
    }

    @Test func `what it says on standard error goes to the journal, within limits`()
        async throws
    {
        let rig = try await Rig()
        let check = try rig.check(
            reading + "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo noise $i >&2; done\n"
                + "while ask; do say $id pass; done"
        )
        #expect(await rig.probe(check).verdict == .pass)
        let isHeard = await eventually { rig.lines.contains { $0.hasSuffix("noise 1") } }
        #expect(isHeard)
        let noise = rig.lines.filter { $0.contains("noise") && !$0.contains("started") }
        // Twice, where the machine was so slow that it took more than one window.
        #expect(noise.count <= 2 * JournalQuota.linesMax, "\(noise.count)")
        await rig.stop()
    }

    @Test func `one that does not read is behind, and nobody is to blame`() async throws {
        let rig = try await Rig()
        let check = try rig.check("exec sleep 600")
        // More than a pipe and the queue hold.
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            for index in 0..<2_000 {
                group.addTask {
                    await rig.probe(
                        check,
                        "peer \(index) \(String(repeating: "x", count: 200))",
                        timeout: .seconds(1)
                    )
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let behind = outcomes.filter { $0.reason == .socketError }
        #expect(behind.count > 1_000)
        #expect(behind.allSatisfy { $0.verdict == .neutral })
        #expect(behind.contains { $0.message.hasPrefix("service is behind: 256 questions") })
        #expect(behind.contains { $0.message.hasSuffix("did not read the question in time") })
        await rig.stop()
    }

    @Test func `two hundred probes at once are all answered`() async throws {
        let rig = try await Rig()
        let check = try rig.check(["/bin/sed", "-u", #"s/"upstream":.*/"status":"pass"}/"#])
        let passed = await withTaskGroup(of: Bool.self) { group in
            for index in 0..<200 {
                group.addTask { await rig.probe(check, "p\(index)").verdict == .pass }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(passed == 200)
        await rig.stop()
    }

    @Test func `at the end the whole group is gone, also what ignores SIGTERM`() async throws {
        var limits = ServiceLimits()
        limits.goodbye = .milliseconds(100)
        let folder = try TemporaryDirectory()
        let rig = try await Rig(limits)
        let check = try rig.check(
            reading + """
                trap '' TERM
                sh -c 'trap "" TERM; echo $$ >> \(folder.path("pids")); sleep 600' &
                while [ ! -s \(folder.path("pids")) ]; do :; done
                echo $$ >> \(folder.path("pids"))
                ask; say $id pass; sleep 600
                """
        )
        #expect(await rig.probe(check).verdict == .pass)
        let text = try String(contentsOfFile: folder.path("pids"), encoding: .utf8)
        let pids = text.split(separator: "\n").compactMap { pid_t($0) }
        #expect(pids.count == 2 && pids.allSatisfy { kill($0, 0) == 0 })
        await rig.stop()
        // The one that is ours is reaped by now; the other is its init's.
        #expect(kill(pids[1], 0) != 0)
        let areGone = await eventually { pids.allSatisfy { kill($0, 0) != 0 } }
        #expect(areGone)
        let refused = await rig.probe(check)
        #expect(refused.verdict == .neutral, "\(refused)")
    }

    @Test func `when no check names it any more it is ended, and no other is`() async throws {
        let rig = try await Rig()
        let script = reading + "while ask; do say $id pass $$; done"
        let (old, other) = (try rig.check(script), try rig.check(script + " # other"))
        let pid = try #require(pid_t(await rig.probe(old).message))
        let otherPid = try #require(pid_t(await rig.probe(other).message))
        // The same again from another file, told something else: still the same process.
        let new = try rig.check(script, parameters: ["a": 1])
        await rig.services.call { $0.keep([new, other]) }
        #expect(await rig.probe(new).message == "\(pid)")
        await rig.services.call { $0.keep([new]) }
        let isGone = await eventually { await rig.count() == 1 }
        #expect(isGone)
        #expect(kill(otherPid, 0) != 0 && kill(pid, 0) == 0)
        #expect(await rig.probe(new).message == "\(pid)")
        // A probe that outlived its check does not bring it back.
        let late = await rig.probe(other)
        #expect(late.verdict == .neutral && late.message == "service is being stopped")
        await rig.services.call { $0.keep([other]) }
        let isBack = await eventually { await rig.probe(other).verdict == .pass }
        #expect(isBack)
        #expect(await rig.probe(new).verdict == .neutral)
        await rig.stop()
    }

    @Test func `it inherits three descriptors and no signal mask`() async throws {
        let rig = try await Rig()
        let check = try rig.check(reading + "while ask; do say $id pass $$; done")
        let process = "/proc/\(await rig.probe(check).message)"
        let open = try FileManager.default.contentsOfDirectory(atPath: process + "/fd")
        #expect(open.sorted() == ["0", "1", "2"])
        let status = try String(contentsOfFile: process + "/status", encoding: .utf8)
        let masks = status.matches(of: #/Sig(?:Blk|Ign):\s*([0-9a-f]+)/#)
            .compactMap { UInt64($0.1, radix: 16) }
        // Above the 31 classic ones are two of the C library's own.
        #expect(masks.map { $0 & 0x7FFF_FFFF } == [0, 0], "\(masks)")
        await rig.stop()
    }

    @Test func `a hundred lives leave nothing behind`() async throws {
        var limits = ServiceLimits()
        limits.restMin = .milliseconds(1)
        let rig = try await Rig(limits)
        let folder = try TemporaryDirectory()
        let check = try rig.check(
            reading + "echo $$ >> \(folder.path("pids")); ask; say $id pass; exit 1"
        )
        var passed = 0
        let isDone = await eventually(within: .seconds(60)) {
            if await rig.probe(check, timeout: .seconds(20)).verdict == .pass { passed += 1 }
            return passed == 100
        }
        #expect(isDone, "\(passed)")
        await rig.stop()
        let text = try String(contentsOfFile: folder.path("pids"), encoding: .utf8)
        let pids = text.split(separator: "\n").compactMap { pid_t($0) }
        #expect(pids.count >= 100)
        #expect(pids.allSatisfy { kill($0, 0) != 0 }, "all are reaped")
    }

    @Test func `without services there is no opinion`() async throws {
        let outcome = try await Prober().probe(
            "service",
            ["service": "true"],
            at: .host("192.0.2.1", port: 1)
        )
        #expect(outcome.verdict == .neutral && outcome.message == "no service can be run here")
    }

    private static let wrongSettings: [(TestSetting, String)] = [
        ([:], "service: expected 'service', saw no such key"),
        (["service": ""], "service.service: expected a"),
        (["service": "a 'b"], "service.service: expected a closing quote"),
        (["service": "a", "parameters": [1]], "service.parameters: expected a map"),
        (["service": "a", "environment": ["": "b"]], "service.environment.: expected a name"),
        (
            ["service": "a", "envronment": [:]],
            "service has no setting 'envronment'; did you mean 'environment'?"
        ),
    ]

    @Test(arguments: wrongSettings.indices)
    func `a wrong setting is refused with what was expected`(row: Int) {
        let (settings, words) = Self.wrongSettings[row]
        let message = complaint("service", settings) ?? "nothing"
        #expect(message.contains(words), "\(message)")
    }
}
