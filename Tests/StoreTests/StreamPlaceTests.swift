// Which of two places in a stream comes first?

import Testing
import Vocabulary

@testable import Store

@Suite struct StreamPlaceTests {
    @Test func `places are in the order in which Redis makes their ids`() throws {
        let ids = ["0-0", "9-1", "10-0", "10-2", "10-10"]
        let places = try ids.map { try #require(StreamPlace(id: $0)) }
        #expect(places == places.reversed().sorted())
        #expect(places.map(\.id) == ids)
        #expect(StreamPlace(time: WallTime(milliseconds: 10)) == places[2])
        #expect(StreamPlace(time: WallTime(milliseconds: -5)) == places[0])
    }

    @Test(arguments: ["", "7", "7-", "-7", "7-1-1", "a-b", "7-99999999999999999999"])
    func `what is no id has no place`(_ text: String) {
        #expect(StreamPlace(id: text) == nil)
    }
}
