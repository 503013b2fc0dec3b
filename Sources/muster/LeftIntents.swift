// Which orders does a reload leave without a peer? What an operator asked for is kept under upstream
// and name, and holds again when that peer is there again. Whoever only gives a peer another name gets
// one that serves, and hears of it here. Pure.

import Health
import Monitor
import Settings
import Vocabulary

/// What was asked for of peers that are defined no more, in lines.
struct LeftIntents {
    private(set) var lines: [String] = []

    /// Of no more peers than this a line is made; of the others there is the number.
    static let namesMax = 10
    /// Of the peers that serve at the same address.
    private static let successorsMax = 3

    /// `intents` is all that is known, ended ones too; `old` says where a peer was that is gone.
    init(
        _ intents: [PeerKey: Intent],
        _ catalogue: [CatalogueChange],
        from old: MusterConfiguration,
        now: WallTime
    ) {
        var left: [(key: PeerKey, intent: Intent)] = []
        for case .peerGone(let key) in catalogue {
            if let intent = intents[key]?.current(at: now) { left.append((key, intent)) }
        }
        left.sort { ($0.key.upstream, $0.key.peer) < ($1.key.upstream, $1.key.peer) }
        if left.isEmpty { return }
        var fresh: [Address: [PeerKey]] = [:]
        for case .peer(let key, let peer, was: nil) in catalogue {
            fresh[peer.address, default: []].append(key)
        }
        let past = Self.addresses(of: Set(left.map(\.key)), in: old)
        for (key, intent) in left.prefix(Self.namesMax) {
            let successors = (past[key].flatMap { fresh[$0] } ?? []).filter {
                // It may have come back itself, to an order of its own.
                !Self.holds(intent, intents[$0]?.current(at: now))
            }
            lines.append(Self.line(key, intent, successors.sorted { "\($0)" < "\($1)" }))
        }
        if left.count > Self.namesMax {
            lines.append("of \(left.count - Self.namesMax) more peers the same")
        }
    }

    private static func addresses(
        of keys: Set<PeerKey>,
        in configuration: MusterConfiguration
    ) -> [PeerKey: Address] {
        var addresses: [PeerKey: Address] = [:]
        for upstream in configuration.upstreams {
            for peer in upstream.definition.peers {
                let key = PeerKey(upstream: upstream.definition.name, peer: peer.id)
                if keys.contains(key) { addresses[key] = peer.address }
            }
        }
        return addresses
    }

    /// `other` asks for the same.
    private static func holds(_ intent: Intent, _ other: Intent?) -> Bool {
        (intent.mode == nil || intent.mode == other?.mode)
            && (intent.weight == nil || intent.weight == other?.weight)
    }

    private static func line(_ key: PeerKey, _ intent: Intent, _ successors: [PeerKey]) -> String {
        var states: [String] = []
        var orders: [String] = []
        if let mode = intent.mode {
            let words = words(of: mode)
            states.append(words.state + because(intent.reason, until: intent.until))
            orders.append(words.order)
        }
        if let weight = intent.weight {
            states.append(
                "has the operator's weight \(weight)"
                    + because(intent.weightReason, until: intent.weightUntil)
            )
            orders.append("weight")
        }
        let order = orders.joined(separator: " and ")
        var line =
            "\(key) \(states.joined(separator: ", ")) and is no longer defined; the \(order) "
        line += orders.count > 1 ? "are kept and hold" : "is kept and holds"
        line += " again when \(key) is defined again"
        if successors.isEmpty { return line }
        line += "; " + successors.prefix(successorsMax).map(\.description).joined(separator: ", ")
        let more = successors.count - successorsMax
        if more > 0 { line += " and \(more) more" }
        line += " at the same address serve\(successors.count == 1 ? "s" : "") without "
        return line + (orders.count > 1 ? "them" : "that \(order)")
    }

    private static func words(of mode: Intent.Mode) -> (state: String, order: String) {
        switch mode {
        case .ready: ("was set ready", "order")
        case .drain: ("is drained", "drain")
        case .maint: ("is in maintenance", "maintenance")
        }
    }

    private static func because(_ reason: String, until: WallTime?) -> String {
        let parts = [reason.isEmpty ? nil : reason, until.map { "until \($0)" }].compactMap { $0 }
        return parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
    }
}
