// What may an operator ask of a peer, and what becomes of what was asked before?

import Health
import Testing
import Vocabulary

@testable import Admin

@Suite struct PeerPatchTests {
    private let now = WallTime(milliseconds: 1_000_000)

    private func intent(
        _ body: String,
        on current: Intent? = nil,
        isConfiguredDown: Bool = false
    ) throws -> Intent? {
        let patch = try PeerPatch(Array(body.utf8))
        let change = try patch.change(isConfiguredDown: isConfiguredDown, now: now)
        var intent = current?.current(at: now) ?? Intent()
        if let mode = change.mode { intent.take(mode) }
        if let weight = change.weight { intent.take(weight) }
        return intent.isEmpty ? nil : intent
    }

    @Test func `a drain keeps its reason and its end`() throws {
        let intent = try intent(#"{"intent":"drain","reason":"deploy","until":"10m"}"#)
        #expect(
            intent
                == Intent(
                    mode: .drain,
                    reason: "deploy",
                    until: now + .seconds(600)
                )
        )
    }

    @Test func `ready lifts everything but the weight`() throws {
        let drained = Intent(mode: .drain, reason: "deploy", weight: 5)
        #expect(
            try intent(#"{"intent":"ready"}"#, on: drained)
                == Intent(weight: 5)
        )
        let plain = Intent(mode: .maint)
        #expect(try intent(#"{"intent":"ready"}"#, on: plain) == nil)
    }

    @Test func `a weight does not lift a drain, and null goes back to the configured one`() throws {
        let drained = Intent(mode: .drain, reason: "deploy")
        let weighed = try intent(#"{"weight":5}"#, on: drained)
        #expect(weighed?.mode == .drain)
        #expect(weighed?.weight == 5)
        #expect(
            try intent(#"{"weight":null}"#, on: Intent(weight: 5)) == nil
        )
    }

    @Test func `until is the end of what stands beside it`() throws {
        let soon = now + .seconds(60)
        let drained = try intent(
            #"{"intent":"drain","until":"1m"}"#,
            on: Intent(weight: 9)
        )
        #expect(drained == Intent(mode: .drain, until: soon, weight: 9))
        let weighed = try intent(
            #"{"weight":2,"until":"1m"}"#,
            on: Intent(mode: .drain)
        )
        #expect(weighed == Intent(mode: .drain, weight: 2, weightUntil: soon))
        #expect(
            try intent(#"{"intent":"drain"}"#, on: weighed)
                == Intent(mode: .drain, weight: 2, weightUntil: soon)
        )
        #expect(
            try intent(#"{"intent":"maint","weight":3,"until":"1m"}"#)
                == Intent(mode: .maint, until: soon, weight: 3, weightUntil: soon)
        )
    }

    @Test func `what is configured down stays so until ready is asked for`() throws {
        let ready = try intent(#"{"intent":"ready"}"#, isConfiguredDown: true)
        #expect(ready == Intent(mode: .ready))
        let weighed = try intent(#"{"weight":3}"#, isConfiguredDown: true)
        #expect(weighed == Intent(weight: 3))
    }

    @Test(arguments: [
        (#"{"intent":"ready","until":"5m"}"#, "until"),
        (#"{"intent":"ready","reason":"x"}"#, "reason"),
        (#"{"weight":null,"until":"5m"}"#, "until"),
        (#"{"intent":"ready","weight":null,"until":"5m","reason":"x"}"#, "reason"),
    ])
    func `what lifts has neither a reason nor an end`(body: String, stray: String) {
        let error = #expect(throws: PeerPatchError.self) { try intent(body) }
        #expect(
            error?.description
                == "\(stray): expected none, for this lifts what was asked for, and nothing is left "
                + "that could have a reason or an end"
        )
    }

    @Test func `ready has both where it asks for something`() throws {
        let end = now + .seconds(300)
        let body = #"{"intent":"ready","until":"5m","reason":"x"}"#
        #expect(
            try intent(body, isConfiguredDown: true)
                == Intent(mode: .ready, reason: "x", until: end)
        )
        #expect(
            try intent(#"{"intent":"ready","weight":3,"until":"5m","reason":"x"}"#)
                == Intent(weight: 3, weightReason: "x", weightUntil: end)
        )
        #expect(try intent(#"{"intent":"ready","until":null}"#) == nil)
    }

    @Test func `an intent that has ended is no ground to build on`() throws {
        let ended = Intent(mode: .maint, until: now)
        #expect(
            try intent(#"{"weight":3}"#, on: ended) == Intent(weight: 3)
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
        (
            #"{"intent":"drain","reason":""# + String(repeating: "x", count: 300) + #""}"#,
            "reason: expected one line of at most 256 bytes, saw 300: leave out 44"
        ),
    ])
    func `a body that makes no sense is named`(body: String, complaint: String) {
        #expect {
            try intent(body)
        } throws: { error in
            "\(error)".contains(complaint)
        }
    }
}
