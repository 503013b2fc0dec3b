// What does the `agent-check` section say? Where load balancers ask, and which ports stand for one
// peer each.

import AgentCheck
import Health
import Vocabulary

struct AgentCheckReader {
    let known: UpstreamsReader
    /// Paths are relative to this file's folder.
    let file: String
    /// Drains and weights outlive a restart.
    let keepsIntents: Bool

    static let holdMax = Nanoseconds.seconds(86_400)
    static let loadBalancersMax = 1_000
    static let statusRange = 200...599

    func read(_ section: Section?, _ binds: inout Binds) -> AgentCheckConfiguration? {
        guard var section else { return nil }
        let bind = binds.take("bind", from: &section)
        var agentCheck = AgentCheckConfiguration(bind: bind ?? .host("127.0.0.1", port: 1))
        agentCheck.policy = policy(&section)
        agentCheck.memoryFile = section.outputFile(
            "memory-file",
            beside: file,
            and: [".damaged"]
        )
        if !keepsIntents, agentCheck.memoryFile == nil {
            section.reading.advise(
                section.position,
                "agent-check: expected store.state-file or agent-check.memory-file, saw neither: a "
                    + "restart forgets a drain, and HAProxy keeps it until it is lifted there"
            )
        }
        if var ports = section.section("ports") {
            for entry in ports.takeAll() {
                if let port = port(entry, at: ports.place.named(entry.key), bind, &binds) {
                    agentCheck.ports.append(port)
                }
            }
        }
        section.finish()
        return bind == nil ? nil : agentCheck
    }

    private func policy(_ section: inout Section) -> AgentCheckPolicy {
        var policy = AgentCheckPolicy()
        policy.adminWords = section.word("admin-words") ?? policy.adminWords
        policy.hold = section.duration("hold", in: .zero...Self.holdMax, default: policy.hold)
        policy.weights = section.word("weights") ?? policy.weights
        policy.unknownPeer = section.word("unknown-peer") ?? policy.unknownPeer
        policy.unprobed = section.word("unprobed") ?? policy.unprobed
        policy.stale = section.word("stale") ?? policy.stale
        policy.storeLost = section.word("store-lost") ?? policy.storeLost
        policy.askers = section.int("load-balancers", in: 1...Self.loadBalancersMax)
        if var statuses = section.section("http-status") {
            let range = Self.statusRange
            var chosen = policy.statuses
            chosen.up = statuses.int("up", in: range) ?? chosen.up
            chosen.down = statuses.int("down", in: range) ?? chosen.down
            chosen.maint = statuses.int("maint", in: range) ?? chosen.maint
            chosen.drain = statuses.int("drain", in: range) ?? chosen.drain
            chosen.unknown = statuses.int("unknown", in: range) ?? chosen.unknown
            chosen.noSuchPeer = statuses.int("no-such-peer", in: range) ?? chosen.noSuchPeer
            policy.statuses = chosen
            statuses.finish()
        }
        return policy
    }

    private func port(
        _ entry: Setting.Entry,
        at place: Place,
        _ bind: Address?,
        _ binds: inout Binds
    ) -> AgentEndpoint.PeerPort? {
        let reading = binds.reading
        guard let number = UInt16(entry.key), number > 0 else {
            reading.report(
                SettingError(
                    entry.position,
                    "agent-check.ports: expected a port from 1 to 65535, saw '\(entry.key)'"
                )
            )
            return nil
        }
        let named = reading.attempt { () throws(SettingError) in
            try peer(entry.value, at: place.path)
        }
        guard let bind, let named else { return nil }
        guard case .host = bind else {
            reading.report(
                SettingError(
                    entry.position,
                    "\(place.path): expected 'bind' to be host:port beside ports, saw \(bind)"
                )
            )
            return nil
        }
        let address = bind.with(port: number)
        guard binds.claim(address, at: place.path, entry.position) else { return nil }
        return AgentEndpoint.PeerPort(bind: address, peer: named)
    }

    /// `upstream/peer`, both defined in this configuration.
    private func peer(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> PeerKey {
        let text = try setting.string(at: path)
        // A peer may be called after a socket path; an upstream has no slash in its name.
        let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { throw setting.expected("upstream/peer", at: path) }
        guard known.has(parts[0]) else {
            throw setting.unknownWord(parts[0], among: known.names, at: "\(path): upstream")
        }
        if let peers = known.peers[parts[0]], !peers.contains(parts[1]) {
            throw setting.unknownWord(
                parts[1],
                among: peers,
                at: "\(path): peer of '\(parts[0])'"
            )
        }
        return PeerKey(upstream: parts[0], peer: parts[1])
    }
}
