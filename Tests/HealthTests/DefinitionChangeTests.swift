// Which changes must not be parted, where many are taken in slices?

import Health
import Testing
import Vocabulary

@Suite struct DefinitionChangeTests {
    private typealias Change = DefinitionChange<Int>

    private static func upstream(_ name: String) -> UpstreamDefinition {
        UpstreamDefinition(name: name, peers: [])
    }
    private static func peer(_ name: String) -> Change {
        let peer = PeerDefinition(id: "p", address: .host("127.0.0.1", port: 1))
        return .peer(PeerKey(upstream: name, peer: "p"), peer, was: nil)
    }

    @Test func `an upstream comes with its first peer, and what stands between them`() {
        let new = Change.upstream(Self.upstream("a"), was: nil)
        let monitor = Change.monitor(upstream: "a", 1, was: nil)
        #expect(new.opens(monitor) && monitor.opens(monitor) && monitor.opens(Self.peer("a")))
        #expect(new.opens(Self.peer("a")))
        #expect(!new.opens(Self.peer("b")) && !monitor.opens(Self.peer("b")))
        #expect(!Self.peer("a").opens(Self.peer("a")))
        // Who was there before has its peers.
        let changed = Change.upstream(Self.upstream("a"), was: Self.upstream("a"))
        #expect(!changed.opens(Self.peer("a")))
        #expect(!Change.monitor(upstream: "a", 2, was: 1).opens(Self.peer("a")))
    }
}
