// Who has reported in, and when? Signs of life that peers send themselves, kept until a `heartbeat`
// check asks for them.

import Synchronization
public import Vocabulary

/// The last sign of life of each peer. Written and read on the control loop; behind a lock all the
/// same, because the context of a check may be carried to any thread.
public final class Heartbeats: Sendable {
    public struct Sign: Hashable, Sendable {
        public enum Status: String, Sendable, CaseIterable { case pass, warn, fail }

        public var status: Status
        public var message: String
        public var at: Instant

        public init(status: Status = .pass, message: String = "", at: Instant) {
            self.status = status
            self.message = message
            self.at = at
        }
    }

    private struct Key: Hashable {
        var upstream: String
        var peer: String
    }

    /// Peers remembered. Whoever posts checks that the peer exists; this is the net below.
    public static let peersMax = 100_000

    /// When listening began: silence before that means nothing.
    public let began: Instant
    private let beats = Mutex<[Key: Sign]>([:])

    public init(began: Instant) { self.began = began }

    /// Of two signs the later holds. Returns false when there is no room for another peer.
    @discardableResult
    public func record(_ beat: Sign, upstream: String, peer: String) -> Bool {
        let key = Key(upstream: upstream, peer: peer)
        return beats.withLock { beats in
            let held = beats[key]
            guard held != nil || beats.count < Self.peersMax else { return false }
            if let held, held.at > beat.at { return true }
            beats[key] = beat
            return true
        }
    }

    public func last(upstream: String, peer: String) -> Sign? {
        beats.withLock { $0[Key(upstream: upstream, peer: peer)] }
    }

    /// The peer is gone, and what it said with it.
    public func forget(upstream: String, peer: String) {
        beats.withLock { _ = $0.removeValue(forKey: Key(upstream: upstream, peer: peer)) }
    }
}
