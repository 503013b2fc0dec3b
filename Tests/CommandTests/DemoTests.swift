// Does the demo tell its whole story in the time it has, and does it run what the documentation shows?

import Foundation
import Testing

@testable import muster

@Suite struct DemoTests {
    @Test func `it runs examples/quickstart.yaml`() throws {
        let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = project.appendingPathComponent("examples/quickstart.yaml")
        let shown = try String(contentsOf: file, encoding: .utf8)
        let text = DemoConfiguration.quickstart
        #expect(text.trimmingCharacters(in: .newlines) == shown.trimmingCharacters(in: .newlines))
    }

    @Test(arguments: [15, 20, 24, 30, 60, 600])
    func `the server comes back early enough for its slow start`(seconds: Int) throws {
        let story = try #require(DemoStory(seconds: seconds))
        #expect(story.killAt >= 3)
        #expect(story.restartAt >= story.killAt + 3)
        #expect(story.toldAt == seconds)
        // Two passes at a second each and five seconds of slow start.
        #expect(story.toldAt - story.restartAt >= 7)
    }

    @Test func `too short a time is refused`() {
        #expect(DemoStory(seconds: DemoStory.secondsMin - 1) == nil)
    }

    @Test func `each thing that was not seen is a complaint`() {
        #expect(DemoEvidence().complaints.count == 3)
        let whole = DemoEvidence(wasSeenDown: true, isUpAgain: true, servedAgain: true, failures: 0)
        #expect(whole.complaints == [])
        var failed = whole
        failed.failures = 2
        #expect(failed.complaints == ["2 requests failed: expected none"])
    }
}
