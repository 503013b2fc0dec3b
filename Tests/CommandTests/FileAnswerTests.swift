// Does a disk that never answers keep the process from saying so?

import Dispatch
import EventLoop
import TestSupport
import Testing

@testable import muster

@Suite struct FileAnswerTests {
    @Test func `a file that is there, and one that is not, can be relied on`() async throws {
        let loop = try EventLoop.spawn(name: "disk")
        defer { loop.stop() }
        for path in ["/etc/passwd", "/nowhere/at/all", "/"] {
            let problem = await Task(executorPreference: loop) {
                await FileAnswer.problem(with: path, on: loop)
            }.value
            #expect(problem == nil)
        }
    }

    @Test func `a disk that does not answer is named, and the loop goes on`() async throws {
        let loop = try EventLoop.spawn(name: "disk")
        defer { loop.stop() }
        let hangs = DispatchSemaphore(value: 0)
        let problem = await Task(executorPreference: loop) {
            await FileAnswer.problem(with: "/mnt/state.json", within: .milliseconds(1), on: loop) {
                _ in hangs.wait()
            }
        }.value
        hangs.signal()
        #expect(
            problem
                == "expected /mnt/state.json to be opened and read within 1ms, saw no answer of its disk; "
                + "muster does not start without what it holds"
        )
    }
}
