// Which peers does a worker know, and which may be chosen? State per peer lives as long as the peer
// does: an update of one peer touches that peer, and nothing of any other is rebuilt or reset.

import EventLoop
import Health
import Vocabulary

/// What a worker counts for one peer. Plain numbers: one thread writes them.
struct PeerCounters: Sendable {
    var requests: UInt64 = 0
    /// Responses by first digit of the status; the others under 0.
    var responses = InlineArray<6, UInt64>(repeating: 0)
    var connects: UInt64 = 0
    var connectFailures: UInt64 = 0
    /// Attempts that failed after the connection stood.
    var responseFailures: UInt64 = 0
    /// Attempts that went to another peer or to a fresh connection afterwards.
    var retries: UInt64 = 0

    static func + (left: PeerCounters, right: PeerCounters) -> PeerCounters {
        var sum = left
        sum.requests += right.requests
        for index in 0..<6 { sum.responses[index] += right.responses[index] }
        sum.connects += right.connects
        sum.connectFailures += right.connectFailures
        sum.responseFailures += right.responseFailures
        sum.retries += right.retries
        return sum
    }
}

/// One peer, as one worker knows it.
struct PeerState {
    var address: SocketAddress?
    /// Counts the addresses it has had: connections to an older one are not used again.
    var generation: UInt32 = 0
    var upstream: Int32
    var identity: UInt64
    var centiweight: Int32 = 0
    var isAvailable = false
    var isDown = false
    var isEligibleInPanic = false
    var isBackup = false
    var maxInFlight: Int32 = .max
    /// False once its definition is gone; the place is kept until its last exchange ends.
    var isDefined = true

    var inFlight: Int32 = 0
    /// Its candidate in `primary` or `backup` of its upstream; -1 while it may not be chosen.
    var place: Int32 = -1

    var idleNewest: Int32 = -1
    var idleOldest: Int32 = -1
    var idleCount: Int32 = 0

    var counters = PeerCounters()
}

/// One upstream, as one worker knows it.
struct UpstreamState {
    var balancer: Unmanaged<Balancer>
    /// What the balancer hashes; nil when it does not.
    var key: HashKey?
    var primary: UnsafeMutableBufferPointer<Candidate>
    var primaryCount = 0
    var backup: UnsafeMutableBufferPointer<Candidate>
    var backupCount = 0
    var onDown: UpstreamDefinition.OnDown?
    var isPanic = false
}

/// All upstreams and peers of one worker.
struct PeerPool {
    var peers: UnsafeMutablePointer<PeerState>
    var upstreams: UnsafeMutablePointer<UpstreamState>

    /// Names to places; touched by updates only.
    private(set) var upstreamIndex: [String: Int32] = [:]
    private var peerIndex: [PeerKey: Int32] = [:]
    private var peerKeys: [Int32: PeerKey] = [:]
    private var members: [Int32: [Int32]] = [:]
    private var definitions: [Int32: BalanceDefinition] = [:]
    private var freePeers: [Int32] = []
    private(set) var peerCount = 0

    /// Per worker. A fleet that needs more needs more upstream tables, not a bigger one.
    static let peersMax = 65_536
    static let upstreamsMax = 16_384

    init() {
        peers = .allocate(capacity: Self.peersMax)
        upstreams = .allocate(capacity: Self.upstreamsMax)
    }

    func destroy() {
        for index in upstreamIndex.values {
            upstreams[Int(index)].balancer.release()
            upstreams[Int(index)].primary.deallocate()
            upstreams[Int(index)].backup.deallocate()
        }
        upstreams.deallocate()
        peers.deallocate()
    }

    func index(of key: PeerKey) -> Int32? { peerIndex[key] }

    /// Peers with their keys, for counters.
    var known: [(PeerKey, Int32)] { peerIndex.map { ($0.key, $0.value) } }

    /// Brings the pool to what `snapshot` says. Returns the peers that are gone.
    mutating func apply(_ snapshot: RoutingSnapshot) -> [Int32] {
        var gone: [Int32] = []
        var kept: Set<PeerKey> = []
        for upstream in snapshot.upstreams {
            guard let index = place(of: upstream) else { continue }
            for peer in upstream.peers {
                let key = PeerKey(upstream: upstream.name, peer: peer.id)
                kept.insert(key)
                update(peer, key: key, in: index)
            }
        }
        for (key, index) in peerIndex where !kept.contains(key) {
            peerIndex[key] = nil
            peers[Int(index)].isDefined = false
            peers[Int(index)].isAvailable = false
            peers[Int(index)].isEligibleInPanic = false
            members[peers[Int(index)].upstream]?.removeAll { $0 == index }
            gone.append(index)
        }
        for index in upstreamIndex.values { rebuild(index) }
        return gone
    }

    /// Brings one peer to what `snapshot` says. Returns its place, and whether it has just gone
    /// down.
    mutating func apply(
        _ snapshot: PeerSnapshot,
        key: PeerKey,
        isPanic: Bool
    ) -> (peer: Int32, wentDown: Bool)? {
        guard let upstream = upstreamIndex[key.upstream], let index = peerIndex[key] else {
            return nil
        }
        let wasDown = peers[Int(index)].isDown
        update(snapshot, key: key, in: upstream)
        upstreams[Int(upstream)].isPanic = isPanic
        rebuild(upstream)
        return (index, snapshot.isDown && !wasDown)
    }

    private mutating func place(of upstream: UpstreamSnapshot) -> Int32? {
        let index: Int32
        if let existing = upstreamIndex[upstream.name] {
            index = existing
        } else {
            guard upstreamIndex.count < Self.upstreamsMax else { return nil }
            index = Int32(upstreamIndex.count)
        }
        let isNew = definitions[index] == nil
        if isNew || definitions[index] != upstream.balance {
            // Checked when the configuration was read.
            guard let balancer = try? BalancerRegistry.make(upstream.balance, path: "balance")
            else { return nil }
            if isNew {
                (upstreams + Int(index)).initialize(
                    to: UpstreamState(
                        balancer: .passRetained(balancer),
                        key: nil,
                        primary: .allocate(capacity: 0),
                        backup: .allocate(capacity: 0)
                    )
                )
            } else {
                upstreams[Int(index)].balancer.release()
                upstreams[Int(index)].balancer = .passRetained(balancer)
            }
            upstreamIndex[upstream.name] = index
            definitions[index] = upstream.balance
            upstreams[Int(index)].key = balancer.key
        }
        upstreams[Int(index)].isPanic = upstream.isPanic
        upstreams[Int(index)].onDown = upstream.onDown
        return index
    }

    private mutating func update(_ peer: PeerSnapshot, key: PeerKey, in upstream: Int32) {
        let index: Int32
        if let existing = peerIndex[key] {
            index = existing
        } else if let reused = freePeers.popLast() {
            index = reused
            add(index, key, upstream)
        } else {
            guard peerCount < Self.peersMax else { return }
            index = Int32(peerCount)
            peerCount += 1
            add(index, key, upstream)
        }
        let state = peers + Int(index)
        if state.pointee.address != peer.address { state.pointee.generation &+= 1 }
        state.pointee.address = peer.address
        state.pointee.centiweight = Int32(clamping: peer.centiweight)
        state.pointee.isAvailable = peer.isAvailable && peer.address != nil
        state.pointee.isDown = peer.isDown
        state.pointee.isEligibleInPanic = peer.isEligibleInPanic && peer.address != nil
        state.pointee.isBackup = peer.isBackup
        state.pointee.maxInFlight = Int32(clamping: peer.maxConnections ?? Int(Int32.max))
    }

    private mutating func add(_ index: Int32, _ key: PeerKey, _ upstream: Int32) {
        var hash = StableHash()
        hash.combine(key.peer)
        (peers + Int(index)).initialize(to: PeerState(upstream: upstream, identity: hash.value))
        peerIndex[key] = index
        peerKeys[index] = key
        members[upstream, default: []].append(index)
    }

    /// The last exchange with a peer that is no longer defined has ended: its place is free.
    mutating func reclaim(_ index: Int32) {
        guard !peers[Int(index)].isDefined, peerKeys.removeValue(forKey: index) != nil else {
            return
        }
        freePeers.append(index)
    }

    /// Lists anew who may be chosen in `upstream`; each keeps the balancer's state.
    private mutating func rebuild(_ upstream: Int32) {
        let state = upstreams + Int(upstream)
        var kept: [Int32: Int64] = [:]
        for candidate in state.pointee.primary[..<state.pointee.primaryCount] {
            kept[candidate.peer] = candidate.current
        }
        for candidate in state.pointee.backup[..<state.pointee.backupCount] {
            kept[candidate.peer] = candidate.current
        }
        var primary: [Candidate] = []
        var backup: [Candidate] = []
        for index in members[upstream] ?? [] {
            let peer = peers + Int(index)
            peer.pointee.place = -1
            let isChosen =
                peer.pointee.isAvailable
                || (state.pointee.isPanic && peer.pointee.isEligibleInPanic)
            guard isChosen else { continue }
            let candidate = Candidate(
                peer: index,
                weight: max(peer.pointee.centiweight, 1),
                identity: peer.pointee.identity,
                current: kept[index] ?? 0,
                inFlight: peer.pointee.inFlight,
                maxInFlight: peer.pointee.maxInFlight
            )
            if peer.pointee.isBackup {
                peer.pointee.place = Int32(backup.count)
                backup.append(candidate)
            } else {
                peer.pointee.place = Int32(primary.count)
                primary.append(candidate)
            }
        }
        Self.store(primary, in: &state.pointee.primary)
        state.pointee.primaryCount = primary.count
        Self.store(backup, in: &state.pointee.backup)
        state.pointee.backupCount = backup.count
    }

    private static func store(
        _ candidates: [Candidate],
        in storage: inout UnsafeMutableBufferPointer<Candidate>
    ) {
        if storage.count < candidates.count {
            storage.deallocate()
            storage = .allocate(capacity: max(candidates.count, 8))
        }
        for (index, candidate) in candidates.enumerated() {
            storage.initializeElement(at: index, to: candidate)
        }
    }

    /// Chooses a peer of `upstream` for `pick`: among the primary ones, then the backups. Takes
    /// pointers, so that nothing is copied and no reference is counted.
    @inline(__always)
    static func choose(
        _ upstream: UnsafeMutablePointer<UpstreamState>,
        _ pick: UnsafePointer<Pick>
    ) -> Int32 {
        let primary = UnsafeMutableBufferPointer(
            start: upstream.pointee.primary.baseAddress,
            count: upstream.pointee.primaryCount
        )
        var index = -1
        if !primary.isEmpty {
            index = upstream.pointee.balancer._withUnsafeGuaranteedRef {
                $0.choose(primary, for: pick.pointee)
            }
            if index >= 0 { return primary[index].peer }
        }
        if upstream.pointee.backupCount > 0 {
            let backup = UnsafeMutableBufferPointer(
                start: upstream.pointee.backup.baseAddress,
                count: upstream.pointee.backupCount
            )
            index = upstream.pointee.balancer._withUnsafeGuaranteedRef {
                $0.choose(backup, for: pick.pointee)
            }
            if index >= 0 { return backup[index].peer }
        }
        return -1
    }

    /// An exchange with `peer` begins (1) or ends (-1).
    @inline(__always)
    func count(_ peer: Int32, _ change: Int32) {
        let state = peers + Int(peer)
        state.pointee.inFlight &+= change
        let place = Int(state.pointee.place)
        guard place >= 0 else { return }
        let upstream = upstreams + Int(state.pointee.upstream)
        if state.pointee.isBackup {
            upstream.pointee.backup[place].inFlight &+= change
        } else {
            upstream.pointee.primary[place].inFlight &+= change
        }
    }
}
