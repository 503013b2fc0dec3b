// What an upstream says of requests that wait, and what is wrong with it.

import Health
import Settings
import Testing
import Vocabulary

@Suite struct QueueSettingsTests {
    private static func text(_ settings: String) -> String {
        "upstreams:\n  web:\n    \(settings)\n    peers: [\"127.0.0.1:1\"]\n"
    }

    @Test func `none wait unless that is said`() throws {
        let queue = try load(Self.text("slow-start: 0s")).upstreams[0].definition.queue
        #expect(queue.size == 0)
        #expect(queue.timeout == .seconds(1))
    }

    @Test func `so many, so long`() throws {
        let text = Self.text("queue: {size: 100, timeout: 250ms}")
        let queue = try load(text).upstreams[0].definition.queue
        #expect(queue.size == 100)
        #expect(queue.timeout == .milliseconds(250))
    }

    @Test(arguments: [
        ("queue: {size: -1}", "queue.size: expected a whole number from 0"),
        ("queue: {timeout: 0s}", "queue.timeout: expected"), ("queue: {length: 3}", "queue"),
        ("queue: 100", "queue"),
    ])
    func `a mistake is named where it is`(settings: String, words: String) throws {
        let complaints = try complaints(Self.text(settings))
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("muster.yaml:3:") == true)
        #expect(complaints.first?.contains(words) == true, "\(complaints)")
    }
}
