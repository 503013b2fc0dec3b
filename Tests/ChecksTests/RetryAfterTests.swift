// When is somebody asked again who says so? In seconds, or by a date in the three forms that HTTP has had.

import Curl
import Testing
import Vocabulary

@Suite struct RetryAfterTests {
    /// Sunday, 6 November 1994, 08:49:37.
    private static let now = WallTime(milliseconds: 784_111_777_000)

    @Test(arguments: [
        ("0", 0), (" 7 ", 7), ("\t120", 120),
        ("Sun, 06 Nov 1994 08:50:57 GMT", 80), ("Sunday, 06-Nov-94 08:50:57 GMT", 80),
        ("Sun Nov  6 08:50:57 1994", 80), ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("99999999999", 31_536_000),
    ])
    func `seconds, and dates`(value: String, seconds: Int64) {
        #expect(RetryAfter.wait(value, now: Self.now) == .seconds(seconds))
    }

    @Test(arguments: [
        "", "-7", "1.5", "+3", "7s", "soon", "1994-11-06", "99999999999999999999", "7, 8",
    ])
    func `what is neither says nothing`(value: String) {
        #expect(RetryAfter.wait(value, now: Self.now) == nil)
    }
}
