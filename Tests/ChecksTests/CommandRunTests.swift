// Does anything stay behind of ten thousand programs, a third of which had to be killed? A thousand
// of them in every run of the tests, because every start of a program costs a millisecond; as many
// as MUSTER_COMMAND_RUNS says where somebody wants to know.

import EventLoop
import Foundation
import Glibc
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite struct CommandRunTests {
    private static let runs =
        ProcessInfo.processInfo.environment["MUSTER_COMMAND_RUNS"].flatMap { Int($0) } ?? 1_000
    /// Fewer than may run at a time: other tests start programs too.
    private static let atATime = 24

    @Test func `of programs that end and programs that are killed nothing stays`() async throws {
        // Everything that descends from a run can be told by its environment.
        let mark = "MUSTER_TEST_MARK=\(getpid()).\(UInt32.random(in: .min ... .max))"
        let name = mark.split(separator: "=")
        let environment = TestSetting.map([(String(name[0]), .text(name[1]))])
        let prober = try await Prober()
        let runs = Self.runs
        let ends = await withTaskGroup(of: [Reason: Int].self) { group in
            for lane in 0..<Self.atATime {
                group.addTask {
                    var ends: [Reason: Int] = [:]
                    for run in stride(from: lane, to: runs, by: Self.atATime) {
                        // A child that would outlive the deadline, and one of its own.
                        let isSlow = run.isMultiple(of: 3)
                        let outcome = try? await prober.probe(
                            "command",
                            [
                                "command": isSlow
                                    ? ["/bin/sh", "-c", "sleep 60 & sleep 60"] : "/bin/true",
                                "environment": environment,
                            ],
                            at: .host("192.0.2.1", port: 1),
                            timeout: isSlow ? .milliseconds(20) : .seconds(60)
                        )
                        let reason = outcome?.reason ?? .socketError
                        ends[reason, default: 0] += 1
                        #expect(reason == (isSlow ? .processTimeout : .processOK), "run \(run)")
                    }
                    return ends
                }
            }
            return await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
        }
        let killed = (runs + 2) / 3
        #expect(ends == [.processTimeout: killed, .processOK: runs - killed])
        let isClean = await eventually { await prober.leftovers() == (0, 0) }
        #expect(isClean)
        // Other tests have children too, of which one or the other has just ended at any time: those of now shall go.
        let ended = Self.zombies()
        let isReaped = await eventually { ended.isDisjoint(with: Self.zombies()) }
        #expect(isReaped, "\(ended.intersection(Self.zombies())) stay")
        let hasNoOrphan = await eventually { Self.processes(with: mark).isEmpty }
        #expect(hasNoOrphan, "\(Self.processes(with: mark)) live on")
    }

    @Test func `a descendant that lives is seen by this test`() async throws {
        // The alarm itself: without it no orphan would be found either.
        let mark = "MUSTER_TEST_MARK=\(getpid()).alarm"
        let folder = try TemporaryDirectory()
        let child = try ChildProcess(
            "sleep",
            ["60"],
            environment: ["MUSTER_TEST_MARK": "\(getpid()).alarm"],
            in: folder
        )
        let isSeen = await eventually { !Self.processes(with: mark).isEmpty }
        #expect(isSeen)
        child.end()
        let isGone = await eventually { Self.processes(with: mark).isEmpty }
        #expect(isGone)
    }

    private static func pids() -> [pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }
    }

    /// Children of this process that nobody has reaped yet. Those of other tests are zombies for a
    /// moment too; one that was forgotten stays one.
    private static func zombies() -> Set<pid_t> {
        let own = "\(getpid())"
        let all = pids().filter { pid in
            guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
                let end = stat.lastIndex(of: ")")
            else { return false }
            let fields = stat[end...].split(separator: " ")
            return fields.count > 2 && fields[1] == "Z" && fields[2] == own
        }
        return Set(all)
    }

    private static func processes(with mark: String) -> [pid_t] {
        pids().filter { pid in
            guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else {
                return false
            }
            return bytes.split(separator: 0).contains { $0.elementsEqual(mark.utf8) }
        }
    }
}
