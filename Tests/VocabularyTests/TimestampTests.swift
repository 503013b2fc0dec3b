// Does a moment survive being written and read, and is nothing else taken for one?

import Testing
import Vocabulary

@Suite struct TimestampTests {
    @Test(
        arguments: [
            -62_167_219_200_000, -1, 0, 951_782_400_000, 1_709_164_800_123, 1_795_000_000_250,
            4_102_444_799_999, 253_402_300_799_000,
        ] as [Int64]
    )
    func `what is written is read as the same`(milliseconds: Int64) {
        let time = WallTime(milliseconds: milliseconds)
        #expect(WallTime(rfc3339: "\(time)") == time)
    }

    @Test(
        arguments: [
            ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T19:30:00-04:30", 0),
            ("1970-01-01t00:00:01z", 1_000), ("1970-01-01 00:00:00.5Z", 500),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ] as [(String, Int64)]
    )
    func `every form of the RFC is read`(text: String, milliseconds: Int64) {
        #expect(WallTime(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "now", "2026-12-24", "2026-12-24T18:00Z", "2026-12-24T18:00:00", "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00Zx",
        "2026-01-00T00:00:00Z", "99999-01-01T00:00:00Z", "2026-01-01T00:00:00.1234567890Z",
    ])
    func `nothing else is`(text: String) {
        #expect(WallTime(rfc3339: text) == nil)
    }
}
