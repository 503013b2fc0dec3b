// Is somebody silent, or can nobody be heard? Only where others' beats are written does a beat that is missing say
// anything.

import Testing
import Vocabulary

@testable import Store

@Suite struct WrittenBeatsTests {
    /// In milliseconds before now: the last beat of anybody, since when beats are counted again, and that of this agent.
    @Test(arguments: [
        // All beat.
        (last: 100, resumed: 90_000, seen: 200, isSilent: false),
        // It alone does not.
        (last: 100, resumed: 90_000, seen: 3_200, isSilent: true),
        // Nobody's beat is written, and it had beaten until then.
        (last: 60_000, resumed: 90_000, seen: 60_200, isSilent: false),
        // It had been silent before.
        (last: 60_000, resumed: 90_000, seen: 64_000, isSilent: true),
        // Writes go again: it has had no time yet.
        (last: 100, resumed: 500, seen: 60_200, isSilent: false),
        (last: 100, resumed: 3_500, seen: 60_200, isSilent: true),
    ])
    func `who is silent is so while others can be heard`(
        last: Int64,
        resumed: Int64,
        seen: Int64,
        isSilent: Bool
    ) {
        let now = WallTime(milliseconds: 1_795_000_000_000)
        func before(_ span: Int64) -> WallTime { now + -.milliseconds(span) }
        let lines = [
            "last": "\(before(last).milliseconds)", "resumed": "\(before(resumed).milliseconds)",
        ]
        let beats = WrittenBeats(lines, resumeAfter: .seconds(1), at: now)
        #expect(beats.heardUntil == (last > 1_000 ? before(last) : nil))
        let life = "7 1 working 1.0 1 \(before(seen).milliseconds) 1 0 sure 1.0 0 0"
        let report = FleetReport(
            id: "a",
            life: life,
            about: #"{"lease_ms":3000,"settle_ms":-1}"#,
            silentAfter: .seconds(3),
            beats: beats,
            now: now
        )
        #expect(report?.state == (isSilent ? .silent : .member))
        #expect(report?.heardUntil == beats.heardUntil)
        #expect(report?.lease == .seconds(3))
        #expect(report?.settle == nil)
    }
}
