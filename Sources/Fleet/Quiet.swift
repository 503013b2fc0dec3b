// Was the network there while this target was silent? A cut of a second is over before most of what is probed could fall
// silent, and long enough for a few to be asked twice. That something answered in between is what tells a target that is
// dead from a network that was gone for a moment: where nothing did, what was asked then is no evidence once something
// answers again. Pure.
//
//   answer ───── first silence … asked again ───── answer      nobody was heard: it may have been the network
//   answer ───── first silence … answer … asked again          somebody was: it is the target

import Vocabulary

struct Quiet: Sendable {
    /// From one answer to the next, where some fell silent between them.
    struct Stretch: Hashable, Sendable {
        var from: Instant
        var until: Instant
    }

    private var answeredAt: Instant?
    /// Those that fell silent since.
    private var fell = 0
    private var hosts = Set<UInt64>()
    private var last: Stretch?

    /// Answers of well targets come so far apart, and no two probes of one target begin within less.
    static let shortest = Nanoseconds.milliseconds(200)
    /// One that is silent is one that is dead.
    static let fellMin = 2

    init() {}

    mutating func noteAnswer(at now: Instant) {
        if let from = answeredAt, fell >= Self.fellMin, hosts.count >= Doubt.hostsMin,
            now - from >= Self.shortest
        {
            last = Stretch(from: from, until: now)
        }
        answeredAt = now
        fell = 0
        if !hosts.isEmpty { hosts = [] }
    }

    mutating func noteFall(on host: UInt64) {
        fell += 1
        hosts.insert(host)
    }

    /// Nothing answered between the first silence of a run and the begin of this probe, and something does since.
    func covers(silentSince since: Instant, begun: Instant) -> Bool {
        last.map { $0.from <= since && begun <= $0.until } ?? false
    }

    /// Nothing has answered since more than one fell silent.
    var isCommon: Bool { fell >= Self.fellMin && hosts.count >= Doubt.hostsMin }

    /// Nothing has answered for a while, and enough fell silent since to be a sample.
    func isMass(at now: Instant, atMost longest: Nanoseconds) -> Bool {
        guard let answeredAt, fell >= Doubt.targetsMin, hosts.count >= Doubt.hostsMin else {
            return false
        }
        let length = now - answeredAt
        return length >= Self.shortest && length < longest
    }
}
