// Do names survive as keys, whatever letters they are made of?

import Health
import Testing

@testable import Store

@Suite struct StoreCodingTests {
    @Test(arguments: [
        "web", "", "a|b", "100%", "%7C", "%", "|", "\u{301}a", "a\u{301}", "\u{5BF}|$&|", "\r\n",
    ])
    func `a name with any letter is read back`(name: String) {
        let peer = PeerKey(upstream: name, peer: name)
        #expect(PeerKey(field: peer.field) == peer)
        let verdict = VerdictKey(upstream: name, peer: name, monitor: name)
        #expect(VerdictKey(field: verdict.field) == verdict)
    }
}
