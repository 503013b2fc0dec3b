// Does an agent that missed a change know that it did?

import Testing

@testable import Store

@Suite struct HeardRevisionTests {
    @Test func `nothing is known before everything was read`() {
        var heard = HeardRevision()
        heard.take([1, 2])
        #expect(heard.whole == nil)
        heard.begin(at: 2)
        #expect(heard.whole == nil)
        heard.take([3])
        heard.finish()
        #expect(heard.whole == 3)
    }

    @Test func `changes are taken in one after the other, and twice where they are told twice`() {
        var heard = HeardRevision()
        heard.begin(at: 5)
        heard.finish()
        heard.take([4, 5, 6, 7])
        heard.take([6, 7, 8])
        #expect(heard.whole == 8)
    }

    @Test func `after one that was missed nothing is known until everything was read again`() {
        var heard = HeardRevision()
        heard.begin(at: 5)
        heard.finish()
        heard.take([7])
        #expect(heard.whole == nil)
        heard.take([6, 7, 8])
        #expect(heard.whole == nil)
        heard.begin(at: 8)
        heard.finish()
        #expect(heard.whole == 8)
    }

    @Test func `the last number of all is no trap`() {
        var heard = HeardRevision()
        heard.begin(at: .max)
        heard.finish()
        heard.take([1, .max])
        #expect(heard.whole == .max)
    }
}
