// How does a client keep coming to the same peer, where its address is all that is known of it?

import Vocabulary

/// `consistent-hash` by the client's address.
final class IPHash: ConsistentHash {
    override class var name: String { "ip-hash" }
    override class var takesKey: Bool { false }
}
