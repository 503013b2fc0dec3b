// How much memory does a peer take? There are tens of thousands, and a field in the wrong place costs eight
// bytes for each.

import Health
import Testing
import Vocabulary

@Suite struct FootprintTests {
    @Test func `what each peer and each pair has is no larger than it was`() {
        #expect(MemoryLayout<PeerHealth>.size <= 128)
        #expect(MemoryLayout<PeerDefinition>.size <= 72)
        #expect(MemoryLayout<Verdict>.size <= 200)
    }

    @Test(arguments: [nil, 0, 1, -1, Int(Int32.max)])
    func `a number or none is what it was`(number: Int?) {
        #expect(PackedCount(number).value == number)
    }

    @Test func `a number that does not fit is the nearest that does`() {
        #expect(PackedCount(.max).value == Int(Int32.max))
        #expect(PackedCount(.min).value == -Int(Int32.max))
    }

    @Test(arguments: [nil, 0, 1, -1, Int64.max])
    func `a time or none is what it was`(milliseconds: Int64?) {
        let time = milliseconds.map(WallTime.init(milliseconds:))
        #expect(PackedTime(time).value == time)
    }
}
