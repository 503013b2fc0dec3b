// Is a program heard to its end, however much it says, and does the loop go on meanwhile? Nobody
// keeps more than 64 KiB of it.

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite struct LongOutputTests {
    private static let nobody = Address.host("192.0.2.1", port: 8_080)

    /// Far more than a pipe holds. Nobody could say so much to a pipe that was closed meanwhile.
    private static let scripts = [
        "echo OK; yes aaaaaaa | head -c 3000000",
        "echo OK; yes aaaaaaa | head -c 3000000 >&2",
        "echo OK; yes aaaaaaa | head -c 3000000 >&2; yes | head -c 3000000",
    ]

    @Test(arguments: scripts)
    func `a program that says much is heard to its end`(script: String) async throws {
        let prober = try await Prober()
        let outcome = try await prober.probe(
            "command",
            ["command": ["/bin/sh", "-c", .text(script)]],
            at: Self.nobody,
            timeout: .seconds(60)
        )
        #expect(outcome.verdict == .pass && outcome.reason == .processOK, "\(outcome)")
        #expect(outcome.message == "OK")
        #expect(await prober.leftovers() == (0, 0))
    }

    @Test func `output without end takes neither the loop nor more than its deadline`() async throws
    {
        let prober = try await Prober()
        // Each count is a turn of the loop that somebody else got.
        let counting = Task {
            var turns = 0
            while !Task.isCancelled {
                await prober.resolver.call { _ in }
                turns += 1
            }
            return turns
        }
        let outcome = try await prober.probe(
            "command",
            ["command": ["/bin/sh", "-c", "echo begun; yes abcdefgh & yes ijklmnop >&2"]],
            at: Self.nobody,
            timeout: .milliseconds(300)
        )
        counting.cancel()
        let turns = await counting.value
        #expect(outcome.verdict == .fail && outcome.reason == .processTimeout, "\(outcome)")
        #expect(outcome.message == "expected an end within 300ms, saw 'begun'")
        #expect(turns > 10, "\(turns) turns in 300 ms")
        let isClean = await eventually { await prober.leftovers() == (0, 0) }
        #expect(isClean)
    }

    @Test func `no more than a limit is kept of each stream`() async throws {
        let prober = try await Prober()
        let loop = prober.loop
        let (end, kept) = try await Task(executorPreference: loop) {
            let script = "yes aaaaaaa | head -c 3000000; yes bbbbbbb | head -c 3000000 >&2; exit 7"
            let run = try #require(
                try CommandRun.start(
                    ["/bin/sh", "-c", script],
                    environment: ["PATH=/usr/bin:/bin"],
                    on: loop
                )
            )
            let end = await run.finish(by: Clock.instant() + .seconds(60))
            return (end, [run.output.count, run.errors.count])
        }.value
        #expect(end == .exited(7))
        withExtendedLifetime(prober) {}
        #expect(kept == [CommandRun.outputBytesMax, CommandRun.outputBytesMax])
    }
}
