// What does a source want done, and by whom? It knows lists and Redis; whoever puts the parts of the process
// together gives its peers to those who watch them, and its hosts to those who route.

public import Checks
public import Health
public import Proxy
public import Vocabulary

/// What is thought of a peer now.
public struct ForeignStanding: Hashable, Sendable {
    /// Nobody knows yet, and requests wait for who does.
    public var isStranger = true
    /// Its checks find it down, or an operator wants no requests to go to it. That requests of this process fail
    /// is not enough: for others only what somebody looked at counts.
    public var isDead = false
    /// Requests do not go to it, because it is dead or because those of this process failed.
    public var isOut = false
    /// When it was looked at last; nil before the first time.
    public var checkedAt: WallTime?
    /// This process looks after it, and speaks for it.
    public var isOurs = false

    public init() {}
}

/// Called on the loop's thread.
public protocol ForeignHands: AnyObject {
    /// An upstream of a source, with what watches its peers.
    func define(_ upstream: MonitoredUpstream, for source: String)
    /// These are watched from now on.
    func watch(_ peers: [(key: PeerKey, definition: PeerDefinition)], for source: String)
    /// These are not, any more.
    func leave(_ peers: [PeerKey], for source: String)
    func standing(of peer: PeerKey) -> ForeignStanding
    /// Somebody says that it fails: it is looked at now.
    func look(at peer: PeerKey)
    /// Somebody names it anew, and may know more than its last probe: the next one is due now.
    func recheck(_ peer: PeerKey)
    /// That probe passed: what its requests before that had against it is over.
    func pardon(_ peer: PeerKey)
    func bring(_ group: RouteGroup)
    func removeGroup(_ name: String)
    func forget(_ hosts: [StaleHosts])
}
