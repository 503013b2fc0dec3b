// Does an answer say what it is worth?

import Store
import Testing
import Vocabulary

@testable import Admin

@Suite struct AcknowledgementTests {
    @Test(
        arguments: [
            (IntentReach.everywhere, true, "stored", nil),
            (
                .memory, true, "memory",
                "in memory only; a restart forgets it (no store.state-file)"
            ),
            (.here, false, "agent", "on this agent only until the store is back"),
            (
                .unwritten(why: "no room"), false, "memory",
                "in memory only until the disk takes it: no room"
            ),
        ] as [(IntentReach, Bool, JSON, JSON?)]
    )
    func `an order is answered with what it is worth`(
        reach: IntentReach,
        isKept: Bool,
        word: JSON,
        note: JSON?
    ) {
        let answer = JSON.object(UpstreamJSON.acknowledgement(reach))
        #expect(UpstreamJSON.isKept(reach) == isKept)
        #expect(answer["acknowledged"] == word)
        #expect(answer["acknowledged_note"] == note)
    }
}
