// What is defined otherwise now? One change for each thing that is, in an order in which each can be
// taken in by itself: an upstream comes before its monitors and peers, and goes after them.

/// One thing that was made, changed or taken away. What it was before is told for those who tell
/// people.
public enum DefinitionChange<Monitor: Sendable>: Sendable {
    /// Its peers are not told here.
    case upstream(UpstreamDefinition, was: UpstreamDefinition?)
    case upstreamGone(String)
    case monitor(upstream: String, Monitor, was: Monitor?)
    case monitorGone(upstream: String, id: String)
    case peer(PeerKey, PeerDefinition, was: PeerDefinition?)
    case peerGone(PeerKey)

    /// Whether `next` belongs with it: an upstream that is there before the first of its peers has nobody who
    /// could serve, and would say so.
    public func opens(_ next: DefinitionChange) -> Bool {
        let name: String
        switch self {
        case .upstream(let definition, let was) where was == nil: name = definition.name
        case .monitor(let upstream, _, let was) where was == nil: name = upstream
        default: return false
        }
        switch next {
        case .monitor(let upstream, _, _): return upstream == name
        case .peer(let key, _, _): return key.upstream == name
        default: return false
        }
    }

    /// The same with another form of the monitor.
    public func map<Other>(
        _ body: (_ upstream: String, Monitor) -> Other
    ) -> DefinitionChange<Other> {
        switch self {
        case .upstream(let upstream, let was): .upstream(upstream, was: was)
        case .upstreamGone(let name): .upstreamGone(name)
        case .monitor(let upstream, let monitor, let was):
            .monitor(
                upstream: upstream,
                body(upstream, monitor),
                was: was.map { body(upstream, $0) }
            )
        case .monitorGone(let upstream, let id): .monitorGone(upstream: upstream, id: id)
        case .peer(let key, let peer, let was): .peer(key, peer, was: was)
        case .peerGone(let key): .peerGone(key)
        }
    }
}
