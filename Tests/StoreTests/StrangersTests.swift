// Who is there that writes and takes no part, and who has only just gone?

import Testing
import Vocabulary

@testable import Store

@Suite struct StrangersTests {
    private static func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func `three words over two seconds are somebody, until a minute without any`() {
        var strangers = Strangers()
        for time in [Int64(0), 100, 200] { strangers.note("burst", at: Self.at(time)) }
        #expect(strangers.all(at: Self.at(300)).isEmpty)
        for time in [Int64(0), 1_000, 2_000] { strangers.note("old", at: Self.at(time)) }
        #expect(strangers.all(at: Self.at(2_000)).map(\.name) == ["old"])
        #expect(strangers.all(at: Self.at(61_900)).map(\.name) == ["old"])
        #expect(strangers.all(at: Self.at(62_100)).isEmpty)
    }

    @Test func `more names than anybody would read are not kept`() {
        var strangers = Strangers()
        for time in [Int64(0), 1_000, 2_000] {
            for number in 0..<40 { strangers.note("x\(number)", at: Self.at(time)) }
        }
        #expect(strangers.all(at: Self.at(2_000)).count == Strangers.namesMax)
    }
}
