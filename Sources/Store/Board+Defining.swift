// What is there to have a status at all? The part of the board that takes definitions in: a change of
// one peer touches that peer, and neither timers nor health nor counters of any other.

public import Health
import Vocabulary

extension Board {
    /// Takes in what is defined otherwise now.
    public func apply(_ changes: [DefinitionChange<MonitorSummary>]) {
        if changes.isEmpty { return }
        let now = read()
        var round = Round()
        for change in changes { take(change, in: &round, now: now) }
        removePeers(in: &round)
        for name in round.grown { adopt(orphansOf: name, now: now) }
        if !round.removed.isEmpty { order.removeAll { round.removed.contains($0) } }
        reviewDifferences()
        if round.hasLost { reasons.forget { boards[$0.upstream]?.expects($0) != true } }
        // What a peer became on its way out, when its monitors went first, is nothing that it was.
        for (key, change) in round.changes where boards[key.upstream]?.has(key.peer) == true {
            report(change, of: key, cause: .definition)
        }
        for observer in observers { observer.defined(round.upstreams, round.peers) }
        for name in Set(round.upstreams).union(round.peers.map(\.upstream)) {
            guard let board = boards[name] else {
                noteAwaiting(name, false)
                continue
            }
            updateUpstream(board)
            setTimer(of: board, for: board.nextChange, now: now)
        }
    }

    /// The whole list of upstreams with their monitors. Only what differs is taken in.
    public func define(_ upstreams: [UpstreamDefinition], monitors: [MonitorSummary]) {
        let names = Set(upstreams.map(\.name))
        let monitorsOf = Dictionary(grouping: monitors, by: \.upstream)
        var changes: [DefinitionChange<MonitorSummary>] = []
        for upstream in upstreams {
            let board = boards[upstream.name]
            changes += Self.changes(
                from: board?.definition,
                board?.monitors ?? [],
                to: upstream,
                monitorsOf[upstream.name] ?? []
            )
        }
        for name in order where !names.contains(name) {
            guard let board = boards[name] else { continue }
            changes += board.definition.peers.map {
                .peerGone(PeerKey(upstream: name, peer: $0.id))
            }
            changes.append(.upstreamGone(name))
        }
        apply(changes)
    }

    /// Gives back memory, once all that was to be defined is. A list of peers that is one of `lists` is
    /// kept once.
    public func trim(sharing lists: [UpstreamDefinition] = []) {
        for definition in lists { boards[definition.name]?.share(definition.peers) }
        for board in boards.values { board.trim() }
    }

    private static func changes(
        from old: UpstreamDefinition?,
        _ oldMonitors: [MonitorSummary],
        to new: UpstreamDefinition,
        _ newMonitors: [MonitorSummary]
    ) -> [DefinitionChange<MonitorSummary>] {
        var changes: [DefinitionChange<MonitorSummary>] = []
        var bare = new
        bare.peers = []
        var before = old
        before?.peers = []
        if before != bare { changes.append(.upstream(bare, was: before)) }
        for monitor in newMonitors {
            let was = oldMonitors.first { $0.id == monitor.id }
            if was != monitor {
                changes.append(.monitor(upstream: new.name, monitor, was: was))
            }
        }
        let ids = Set(newMonitors.map(\.id))
        for monitor in oldMonitors where !ids.contains(monitor.id) {
            changes.append(.monitorGone(upstream: new.name, id: monitor.id))
        }
        var leaving = Dictionary(
            (old?.peers ?? []).map { ($0.id, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        for peer in new.peers {
            let was = leaving.removeValue(forKey: peer.id)
            if was == peer { continue }
            changes.append(.peer(PeerKey(upstream: new.name, peer: peer.id), peer, was: was))
        }
        for id in leaving.keys.sorted() {
            changes.append(.peerGone(PeerKey(upstream: new.name, peer: id)))
        }
        return changes
    }

    /// What one call of `apply` gathers.
    private struct Round {
        var upstreams: [String] = []
        var peers: [PeerKey] = []
        /// Upstreams that have more pairs than before.
        var grown: Set<String> = []
        var removed: Set<String> = []
        var hasLost = false
        var changes: [(PeerKey, PeerHealth.Change)] = []
        /// Taken out together: those behind them move up once.
        var leaving: [String: Set<String>] = [:]
    }

    private func take(
        _ change: DefinitionChange<MonitorSummary>,
        in round: inout Round,
        now: Moment
    ) {
        switch change {
        case .upstream(let definition, _): take(definition, in: &round, now: now)
        case .upstreamGone(let name):
            removePeers(in: &round)
            round.upstreams.append(name)
            round.hasLost = true
            guard let board = boards.removeValue(forKey: name) else { return }
            clearTimer(of: board)
            tags[board.tag] = nil
            board.leave()
            round.removed.insert(name)
        case .monitor(let name, let monitor, _):
            round.upstreams.append(name)
            round.grown.insert(name)
            note(boards[name]?.put(monitor, now: now.wall), of: name, in: &round)
        case .monitorGone(let name, let id):
            round.upstreams.append(name)
            round.hasLost = true
            note(boards[name]?.remove(monitor: id, now: now.wall), of: name, in: &round)
        case .peer(let key, let peer, _):
            if !(round.leaving[key.upstream] ?? []).isEmpty { removePeers(in: &round) }
            take(peer, key, in: &round, now: now)
        case .peerGone(let key):
            round.peers.append(key)
            round.hasLost = true
            round.leaving[key.upstream, default: []].insert(key.peer)
        }
    }

    private func take(_ definition: UpstreamDefinition, in round: inout Round, now: Moment) {
        let name = definition.name
        round.upstreams.append(name)
        if let board = boards[name] {
            return note(board.set(definition, now: now.wall), of: name, in: &round)
        }
        if round.removed.remove(name) == nil { order.append(name) }
        boards[name] = UpstreamBoard(
            definition: definition,
            tag: nextTag,
            strangerTime: strangerTime
        )
        tags[nextTag] = boards[name]
        nextTag += 1
    }

    private func take(_ peer: PeerDefinition, _ key: PeerKey, in round: inout Round, now: Moment) {
        guard let board = boards[key.upstream] else { return }
        round.peers.append(key)
        let (isNew, change) = board.put(peer, now: now.wall)
        if isNew {
            round.grown.insert(key.upstream)
            if let intent = intents[key] {
                _ = board.set(intent: intent, for: key.peer, now: now.wall)
            }
        }
        if let change { round.changes.append((key, change)) }
    }

    private func note(_ changes: UpstreamBoard.Changes?, of name: String, in round: inout Round) {
        for (peer, change) in changes ?? [] {
            round.changes.append((PeerKey(upstream: name, peer: peer), change))
        }
    }

    private func removePeers(in round: inout Round) {
        for (name, peers) in round.leaving { boards[name]?.remove(peers) }
        round.leaving = [:]
    }

    private func adopt(orphansOf upstream: String, now: Moment) {
        guard let board = boards[upstream], let waiting = orphans[upstream] else { return }
        for (key, verdict) in waiting where board.expects(key) {
            orphans[upstream]?[key] = nil
            orphanCount -= 1
            if let other = board.otherSubject(of: verdict) {
                note(other, of: verdict, now: now)
                continue
            }
            let believed = verdict.received(
                after: nil,
                lifeMax: board.lifeMax(of: key.monitor),
                now: now.wall
            )
            _ = board.apply(believed, now: now.wall)
        }
        if orphans[upstream]?.isEmpty == true { orphans[upstream] = nil }
    }
}
