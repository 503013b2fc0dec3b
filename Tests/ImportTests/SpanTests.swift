// How long is a time in another system's words?

import Testing

@testable import Import

@Suite struct SpanTests {
    @Test(arguments: [
        ("2000", "2s"), ("1500", "1500ms"), ("2s", "2s"), ("500us", "500us"), ("5m", "300s"),
        ("1h", "3600s"), ("1d", "86400s"), ("0", "0s"),
    ])
    func `HAProxy counts in milliseconds`(_ theirs: String, _ ours: String) {
        #expect(Span(haproxy: theirs)?.text == ours)
    }

    @Test(arguments: [
        ("30", "30s"), ("1m30s", "90s"), ("500ms", "500ms"), ("1h 30m", "5400s"),
        ("1M", "2592000s"),
        ("1y", "31536000s"), ("2w", "1209600s"),
    ])
    func `nginx counts in seconds`(_ theirs: String, _ ours: String) {
        #expect(Span(nginx: theirs)?.text == ours)
    }

    @Test(arguments: [
        "", "x", "1x", "-1", "1.5s", "99999999999999999999", "9223372036854775807d", "s",
    ])
    func `what is no time is none`(_ text: String) {
        #expect(Span(haproxy: text) == nil)
        #expect(Span(nginx: text) == nil)
    }
}
