// Which agent of a fleet tells a receiver? One of those that can, the same in everybody's eyes: each says
// now and then that it is there and whom it can tell, and the rendezvous picks one for each receiver. The
// others keep what they would have told until they hear that it was, and go on from there when the one
// that tells falls silent. Pure.

import Health
public import Store
public import Vocabulary

public struct Duty: Sendable {
    public let agent: String
    /// Since when this process takes part.
    private let began: Instant
    private var others: [String: Other] = [:]

    private struct Other: Sendable {
        var receivers: [String: Instant] = [:]
        var wasMember = false
    }

    /// How often an agent says that it is there.
    public static let sayEvery = Nanoseconds.seconds(5)
    /// One that was not heard of for so long tells nobody.
    public static let silentAfter = Nanoseconds.seconds(12)
    /// A newcomer listens first, to hear who is there.
    public static let listens = Nanoseconds.seconds(7)
    /// Agents told apart; a fleet has fewer.
    public static let othersMax = 1_000

    public init(agent: String, began: Instant) {
        self.agent = agent
        self.began = began
    }

    public mutating func heard(_ other: String, canTell receiver: String, at now: Instant) {
        guard other != agent, others[other] != nil || others.count < Self.othersMax else { return }
        var known = others[other] ?? Other()
        if known.receivers[receiver] != nil || known.receivers.count < Receiver.receiversMax {
            known.receivers[receiver] = now
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

    public func isSettled(at now: Instant) -> Bool { now - began >= Self.listens }

    /// Whether any other can tell this receiver.
    public func hasOthers(for receiver: String, at now: Instant) -> Bool {
        !candidates(for: receiver, at: now).isEmpty
    }

    /// Who tells it.
    public func teller(of receiver: String, at now: Instant) -> String {
        let key = Self.hash(of: receiver)
        return (candidates(for: receiver, at: now) + [agent]).max { left, right in
            let (a, b) = (Self.score(key, left), Self.score(key, right))
            return a == b ? left < right : a < b
        } ?? agent
    }

    private func candidates(for receiver: String, at now: Instant) -> [String] {
        others.filter { _, other in
            other.receivers[receiver].map { now - $0 < Self.silentAfter } ?? false
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
