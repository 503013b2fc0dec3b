// Who may stay? So many connections at most, of one address a share of them. Whoever has its request
// together is served to the end; whoever only sits there makes room for a newcomer.

import Vocabulary

/// The open connections as the front decides about them. Pure: it closes nothing and reads no clock.
struct Crowd {
    enum Phase: Int, Comparable {
        /// Has had its answer and is on its way out.
        case leaving
        /// Between two requests.
        case idle
        /// Has not yet sent a whole request.
        case asking
        /// Reads a stream of events, and can go on later where it stopped.
        case following
        /// Is being served. Never sent away for a newcomer.
        case answering

        static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
    }

    enum Admission: Equatable {
        case welcome
        /// Comes in when this one has gone.
        case inPlaceOf(Int)
        case full
    }

    private struct Guest {
        var source: String
        var phase: Phase
        var since: Instant
    }

    let limit: Int
    /// Of one address, unless another number is said.
    let share: Int
    private var guests: [Int: Guest] = [:]
    private var counts: [String: Int] = [:]

    init(limit: Int, share: Int) {
        self.limit = limit
        self.share = share
    }

    var count: Int { guests.count }
    var isFull: Bool { guests.count >= limit }
    var all: [Int] { guests.keys.sorted() }
    func phase(of id: Int) -> Phase? { guests[id]?.phase }

    /// Decides about a newcomer, and takes it in unless there is no room. Who has to make room is
    /// taken out already.
    mutating func admit(
        _ id: Int,
        from source: String,
        share: Int? = nil,
        at now: Instant
    ) -> Admission {
        let share = share ?? self.share
        var admission = Admission.welcome
        if counts[source, default: 0] >= share {
            guard let victim = least({ $0.source == source }) else { return .full }
            admission = .inPlaceOf(victim)
        } else if guests.count >= limit {
            // Of those who hold the most places, so that a crowd from one address pays first.
            let most = guests.values.filter { $0.phase != .answering }
                .map { counts[$0.source, default: 0] }.max()
            guard let victim = least({ counts[$0.source] == most }) else { return .full }
            admission = .inPlaceOf(victim)
        }
        if case .inPlaceOf(let victim) = admission { remove(victim) }
        guests[id] = Guest(source: source, phase: .asking, since: now)
        counts[source, default: 0] += 1
        return admission
    }

    mutating func move(_ id: Int, to phase: Phase, at now: Instant) {
        guests[id]?.phase = phase
        guests[id]?.since = now
    }

    mutating func remove(_ id: Int) {
        guard let guest = guests.removeValue(forKey: id) else { return }
        let left = counts[guest.source, default: 1] - 1
        counts[guest.source] = left > 0 ? left : nil
    }

    /// The one who would be missed least; nil where all are being served.
    func least() -> Int? { least { _ in true } }

    private func least(_ isEligible: (Guest) -> Bool) -> Int? {
        guests.filter { $0.value.phase != .answering && isEligible($0.value) }
            .min {
                ($0.value.phase, $0.value.since, $0.key) < ($1.value.phase, $1.value.since, $1.key)
            }?.key
    }
}
