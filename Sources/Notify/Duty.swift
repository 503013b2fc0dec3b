// Which agent of a fleet tells a receiver? One of those that can, the same in everybody's eyes: each says
// now and then that it is there and whom it can tell, and the rendezvous picks one for each receiver. The
// others keep what they would have told until they hear that it was, and go on from there when the one
// that tells falls silent. A newcomer does not know what was told before it came: until it has listened, and
// dropped what the others have told meanwhile, it tells nothing and is nobody's choice. Pure.

import Health
public import Store
public import Vocabulary

public struct Duty: Sendable {
    public let agent: String
    /// It has listened long enough, and knows what is left to tell.
    public private(set) var hasJoined = false
    private var others: [String: Other] = [:]

    private struct Other: Sendable {
        var receivers: [String: Seen] = [:]
        var wasMember = false
    }

    private struct Seen: Sendable {
        var at: Instant
        /// It listens still.
        var isNew: Bool
        /// It listened at the same time as this agent, and does not know either what was told before.
        var hasComeAlong: Bool
    }

    /// How often an agent says that it is there.
    public static let sayEvery = Nanoseconds.seconds(5)
    /// One that was not heard of for so long tells nobody.
    public static let silentAfter = Nanoseconds.seconds(12)
    /// A newcomer listens first, to hear who is there.
    public static let listens = Nanoseconds.seconds(10)
    /// Agents told apart; a fleet has fewer.
    public static let othersMax = 1_000

    public init(agent: String) { self.agent = agent }

    public mutating func heard(
        _ other: String,
        canTell receiver: String,
        isNew: Bool = false,
        at now: Instant
    ) {
        guard other != agent, others[other] != nil || others.count < Self.othersMax else { return }
        var known = others[other] ?? Other()
        if known.receivers[receiver] != nil || known.receivers.count < Receiver.receiversMax {
            let hasComeAlong = known.receivers[receiver]?.hasComeAlong ?? false
            known.receivers[receiver] = Seen(
                at: now,
                isNew: isNew,
                hasComeAlong: hasComeAlong || isNew && !hasJoined
            )
        }
        others[other] = known
    }

    public mutating func left(_ other: String) { others[other] = nil }

    /// Whoever was a member of the fleet and is none any more has left.
    public mutating func note(members: Set<String>) {
        for (name, other) in others {
            if members.contains(name) {
                others[name]?.wasMember = true
            } else if other.wasMember {
                others[name] = nil
            }
        }
    }

    public mutating func join() { hasJoined = true }

    /// Whether it says of itself that it listens still.
    public func isNewcomer(_ other: String, to receiver: String) -> Bool {
        others[other]?.receivers[receiver]?.isNew ?? false
    }

    /// Whether any other tells this receiver already, or would.
    public func hasOthers(for receiver: String, at now: Instant) -> Bool {
        !candidates(for: receiver, areNew: false, at: now).isEmpty
    }

    /// Whether any other tells this receiver since before this agent came, and so knows what it was told.
    public func hasElders(for receiver: String, at now: Instant) -> Bool {
        candidates(for: receiver, areNew: false, at: now)
            .contains { others[$0]?.receivers[receiver]?.hasComeAlong == false }
    }

    /// Who tells it.
    public func teller(of receiver: String, at now: Instant) -> String {
        let key = Self.hash(of: receiver)
        var candidates = candidates(for: receiver, areNew: false, at: now)
        if hasJoined { candidates.append(agent) }
        // All of them have just come.
        if candidates.isEmpty {
            candidates = self.candidates(for: receiver, areNew: true, at: now) + [agent]
        }
        return candidates.max { left, right in
            let (a, b) = (Self.score(key, left), Self.score(key, right))
            return a == b ? left < right : a < b
        } ?? agent
    }

    private func candidates(for receiver: String, areNew: Bool, at now: Instant) -> [String] {
        others.filter { _, other in
            other.receivers[receiver]
                .map { $0.isNew == areNew && now - $0.at < Self.silentAfter } ?? false
        }.map(\.key)
    }

    private static func score(_ key: UInt64, _ agent: String) -> Double {
        Rendezvous.score(key: key, identity: hash(of: agent), weight: 1)
    }

    private static func hash(of text: String) -> UInt64 {
        var hash = StableHash()
        hash.combine(text)
        return hash.value
    }
}

/// The other agents, as a notifier sees them. Called on the control loop.
public protocol NotifyFleet: AnyObject {
    /// The store does not answer: nobody hears what is said, and nobody can be heard.
    var isAway: Bool { get }
    /// The agents that take part, as far as is known.
    var memberNames: Set<String> { get }
    /// Hears what others say of notices.
    var onNotify: ((FleetSign) -> Void)? { get set }
    func announce(_ sign: FleetSign)
}

extension FleetDesk: NotifyFleet {}
