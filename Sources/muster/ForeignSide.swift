// Who gives what other systems define to those who watch and those who route? Sources know lists; the
// catalogue, the board, the scheduler and the proxy know nothing of where a peer comes from.

import Admin
import Checks
import EventLoop
import Foreign
import Health
import Monitor
import Proxy
import Redis
import Store
import TLS
import Vocabulary

/// All sources of one process. Confined to the control loop.
final class ForeignSide {
    private let loop: EventLoop
    private weak var engine: Engine?
    private(set) var hipaches: [HipacheSource] = []
    private(set) var keyed: [RedisKeysSource] = []
    /// The monitors of each upstream of theirs.
    private var monitors: [String: [String]] = [:]

    init(on loop: EventLoop) { self.loop = loop }

    func start(
        _ settings: [ForeignSetting],
        for engine: Engine,
        agent: String,
        journal: Journal,
        lookup: @escaping HostLookup
    ) {
        self.engine = engine
        for setting in settings {
            switch setting {
            case .hipache(let setting):
                let source = HipacheSource(
                    setting,
                    agent: agent,
                    on: loop,
                    hands: self,
                    journal: journal,
                    lookup: lookup
                )
                source.certificateProblem = { PEMPair.problem(certificate: $0, key: $1) }
                hipaches.append(source)
                source.start()
            case .redisKeys(let setting):
                let source = RedisKeysSource(
                    setting,
                    on: loop,
                    hands: self,
                    journal: journal,
                    lookup: lookup
                )
                keyed.append(source)
                source.start()
            }
        }
        engine.board.subscribe(self)
    }

    func stop() async {
        engine?.board.unsubscribe(self)
        for source in hipaches { await source.stop() }
        for source in keyed { await source.stop() }
    }

    var status: [SourceStatus] {
        hipaches.map { source in
            Self.status(
                "hipache",
                source.setting.base,
                source.condition,
                frontends: source.frontendCount,
                backends: source.backendCount,
                marks: source.markCount
            )
        }
            + keyed.map { source in
                Self.status(
                    "redis-keys",
                    source.setting.base,
                    source.condition,
                    frontends: source.hostCount,
                    backends: source.backendCount,
                    marks: nil
                )
            }
    }

    private static func status(
        _ kind: String,
        _ base: ForeignBase,
        _ condition: SourceCondition,
        frontends: Int,
        backends: Int,
        marks: Int?
    ) -> SourceStatus {
        SourceStatus(
            kind: kind,
            name: base.name,
            url: "\(base.read)",
            isConnected: condition.isConnected,
            since: condition.since,
            error: condition.error,
            frontends: frontends,
            backends: backends,
            marks: marks
        )
    }

    /// Where requests for a host go that no listener has a route for: as the first source says that has it.
    func find(_ host: String) async -> RouteFinding {
        var absent = Nanoseconds.seconds(60)
        var isAnyAway = hipaches.isEmpty && keyed.isEmpty
        for source in hipaches {
            switch await source.find(host) {
            case .upstream(let name, let span): return .upstream(name, for: span)
            case .none(let span): absent = min(absent, span)
            case .unavailable: isAnyAway = true
            }
        }
        for source in keyed {
            switch await source.find(host) {
            case .upstream(let name, let span): return .upstream(name, for: span)
            case .none(let span): absent = min(absent, span)
            case .unavailable: isAnyAway = true
            }
        }
        return isAnyAway ? .unavailable : .none(for: absent)
    }
}

extension ForeignSide: ForeignHands {
    func define(_ upstream: MonitoredUpstream, for source: String) {
        let name = upstream.definition.name
        monitors[name] = upstream.monitors.map(\.id)
        engine?.takeForeign { catalogue in
            catalogue.set(
                .foreign(source),
                upstream: name,
                upstream.definition,
                peers: [],
                monitors: upstream.monitors
            )
        }
    }

    func watch(_ peers: [(key: PeerKey, definition: PeerDefinition)], for source: String) {
        engine?.takeForeign { catalogue in
            peers.flatMap { catalogue.set(.foreign(source), $0.key, $0.definition) }
        }
    }

    func leave(_ peers: [PeerKey], for source: String) {
        engine?.takeForeign { catalogue in
            peers.flatMap { catalogue.set(.foreign(source), $0, nil) }
        }
    }

    func standing(of peer: PeerKey) -> ForeignStanding {
        var standing = ForeignStanding()
        guard let engine, let view = engine.board.view(of: peer) else { return standing }
        standing.isStranger = view.isStranger
        standing.isDead = [.down, .maint, .drain].contains(view.routing)
        standing.isOut = standing.isDead || view.routing == .ejected
        let ids = monitors[peer.upstream] ?? []
        let keys = ids.map { VerdictKey(upstream: peer.upstream, peer: peer.peer, monitor: $0) }
        standing.checkedAt = keys.compactMap { engine.board.verdict(of: $0)?.checkedAt }.max()
        standing.isOurs =
            engine.fleet == nil || keys.contains { engine.scheduler.isHeld($0) }
        return standing
    }

    func look(at peer: PeerKey) { engine?.scheduler.suspect(peer, isSilent: false) }

    func recheck(_ peer: PeerKey) {
        for id in monitors[peer.upstream] ?? [] {
            engine?.scheduler.hurry(
                VerdictKey(upstream: peer.upstream, peer: peer.peer, monitor: id)
            )
        }
    }

    func pardon(_ peer: PeerKey) { engine?.board.pardon(peer) }
    func bring(_ group: RouteGroup) { engine?.proxy.bring(group) }
    func removeGroup(_ name: String) { engine?.proxy.removeGroup(name) }
    func forget(_ hosts: [StaleHosts]) { engine?.proxy.forget(hosts) }
}

extension ForeignSide: BoardObserver {
    func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change) {
        let isDead = { (view: PeerView) in [.down, .maint, .drain].contains(view.routing) }
        let wentDown = !isDead(change.from) && isDead(change.to)
        let isNews =
            wentDown || isDead(change.from) && !isDead(change.to)
            || change.from.isStranger != change.to.isStranger
        guard isNews else { return }
        for source in hipaches { source.standingChanged(key, wentDown: wentDown) }
        for source in keyed { source.standingChanged(key) }
    }
}
