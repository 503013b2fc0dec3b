// What may an operator ask of a peer, and what becomes of what was asked before?

import Health
import Testing
import Vocabulary

@testable import Admin

@Suite struct PeerPatchTests {
    private let now = WallTime(milliseconds: 1_000_000)

    private func intent(_ body: String, on current: Intent? = nil) throws -> Intent? {
        try PeerPatch(Array(body.utf8)).intent(on: current, now: now)
    }

    @Test func `a drain keeps its reason and its end`() throws {
        let intent = try intent(#"{"intent":"drain","reason":"deploy","until":"10m"}"#)
        #expect(
            intent
                == Intent(
                    mode: .drain,
                    reason: "deploy",
                    until: now + .seconds(600),
                    setAt: now
                )
        )
    }

    @Test func `ready lifts everything but the weight`() throws {
        let drained = Intent(mode: .drain, reason: "deploy", weight: 5, setAt: now)
        #expect(
            try intent(#"{"intent":"ready"}"#, on: drained)
                == Intent(mode: .ready, weight: 5, setAt: now)
        )
        let plain = Intent(mode: .maint, setAt: now)
        #expect(try intent(#"{"intent":"ready"}"#, on: plain) == nil)
    }

    @Test func `a weight does not lift a drain, and null goes back to the configured one`() throws {
        let drained = Intent(mode: .drain, reason: "deploy", setAt: now)
        let weighed = try intent(#"{"weight":5}"#, on: drained)
        #expect(weighed?.mode == .drain)
        #expect(weighed?.weight == 5)
        #expect(
            try intent(#"{"weight":null}"#, on: Intent(mode: .ready, weight: 5, setAt: now)) == nil
        )
    }

    @Test func `an intent that has ended is no ground to build on`() throws {
        let ended = Intent(mode: .maint, until: now, setAt: WallTime(milliseconds: 0))
        #expect(
            try intent(#"{"weight":3}"#, on: ended) == Intent(mode: .ready, weight: 3, setAt: now)
        )
    }

    @Test(arguments: [
        ("", "body: JSON at byte 0"),
        ("[]", "expected an object"),
        ("{}", "expected an object with one or more of intent, reason, until, weight"),
        (#"{"intent":"drian"}"#, #"intent: expected ready, drain or maint, saw "drian""#),
        (#"{"intnet":"drain"}"#, "did you mean 'intent'?"),
        (#"{"weight":257}"#, "weight: expected a whole number from 0 to 256, or null, saw 257"),
        (#"{"weight":-1}"#, "saw -1"),
        (#"{"weight":1.5}"#, "saw 1.5"),
        (#"{"intent":"drain","until":"soon"}"#, "until: expected a duration such as 10m"),
        (#"{"intent":"drain","until":"0s"}"#, "until: expected a duration"),
        (#"{"until":"10m"}"#, "expected 'intent' or 'weight' beside"),
        (#"{"intent":"drain","reason":"a\nb"}"#, "reason: expected one line of at most 256 bytes"),
    ])
    func `a body that makes no sense is named`(body: String, complaint: String) {
        #expect {
            try intent(body)
        } throws: { error in
            "\(error)".contains(complaint)
        }
    }
}
