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

    /// Peers remembered, also those that are not defined now: one that comes back is as silent as it was. Of
    /// more, those that were silent for longest are forgotten.
    public static let peersMax = 100_000

    /// When listening began: silence before that means nothing.
    public let began: Instant
    private let beats = Mutex<[Key: Sign]>([:])

    public init(began: Instant) { self.began = began }

    /// Of two signs the later holds.
    public func record(_ beat: Sign, upstream: String, peer: String) {
        let key = Key(upstream: upstream, peer: peer)
        beats.withLock { beats in
            if let held = beats[key], held.at > beat.at { return }
            if beats.count >= Self.peersMax, beats[key] == nil { Self.forgetOldest(of: &beats) }
            beats[key] = beat
        }
    }

    /// Many at once, so that it is rarely done.
    private static func forgetOldest(of beats: inout [Key: Sign]) {
        let times = beats.values.map(\.at).sorted()
        let end = times[times.count / 10]
        beats = beats.filter { $0.value.at > end }
    }

    public func last(upstream: String, peer: String) -> Sign? {
        beats.withLock { $0[Key(upstream: upstream, peer: peer)] }
    }
}
