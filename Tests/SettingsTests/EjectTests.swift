// What an upstream says of peers that fail requests, and what is wrong with it.

import Health
import Settings
import Testing
import Vocabulary

@Suite struct EjectTests {
    private static func text(_ settings: String) -> String {
        "upstreams:\n  web:\n    \(settings)\n    peers: [\"127.0.0.1:1\"]\n"
    }

    private static func eject(_ settings: String) throws -> EjectDefinition {
        try load(text(settings)).upstreams[0].definition.eject
    }

    @Test func `what is not written is the default`() throws {
        let eject = try Self.eject("slow-start: 0s")
        #expect(eject == EjectDefinition())
        #expect(eject.failures == 5)
        #expect(eject.rate.above == 3)
        #expect(eject.rate.minRequests == 20)
        #expect(eject.rate.window == .seconds(2))
        #expect(eject.silence == .milliseconds(150))
        #expect(eject.time == .seconds(10))
        #expect(eject.maxTime == .seconds(300))
        #expect(eject.maxShare == 0.5)
        #expect(!eject.isOff)
    }

    @Test func `everything that can be said`() throws {
        let eject = try Self.eject(
            "eject: {failures: 3, rate: {above: 2.5x, min-requests: 50, window: 5s}, silence: 0s, "
                + "time: 1s, max-time: 1m, max-share: 30%}"
        )
        #expect(eject.failures == 3)
        #expect(eject.rate.above == 2.5)
        #expect(eject.rate.minRequests == 50)
        #expect(eject.rate.window == .seconds(5))
        #expect(eject.silence == .zero)
        #expect(eject.time == .seconds(1))
        #expect(eject.maxTime == .seconds(60))
        #expect(eject.maxShare == 0.3)
        #expect(try Self.eject("eject: off").isOff)
        #expect(try Self.eject("eject: {rate: {above: 0}}").rate.above == 0)
        // What is held longer than the longest by default is held that long.
        #expect(try Self.eject("eject: {time: 10m}").maxTime == .seconds(600))
    }

    @Test(arguments: [
        ("eject: never", "eject: expected settings, or off"),
        ("eject: {failures: -1}", "eject.failures: expected a whole number from 0"),
        ("eject: {rate: {above: often}}", "eject.rate.above: expected how many times the others'"),
        ("eject: {rate: {above: 0.5x}}", "eject.rate.above: expected how many times the others'"),
        ("eject: {time: 10s, max-time: 5s}", "eject.max-time: expected at least time, 10s, saw 5s"),
        ("eject: {max-share: 2}", "eject.max-share: expected a share"),
        ("eject: {fails: 3}", "eject"),
    ])
    func `a mistake is named where it is`(settings: String, words: String) throws {
        let complaints = try complaints(Self.text(settings))
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("muster.yaml:3:") == true)
        #expect(complaints.first?.contains(words) == true, "\(complaints)")
    }
}
