// What should people hear of who shares the probing? Who came, who left, who fell silent, who began anew under its
// name. A store that lost its state knows nobody at first: that is no news of anybody, before they had time to come
// back. Pure.

import Fleet
import Vocabulary

struct FleetNews {
    /// Who was told of last, by the life of each.
    private var told: [String: UInt64] = [:]
    /// Who was late when the members were looked at last, and from what time on.
    private var late: [String: WallTime] = [:]
    private var era: UInt64 = 0
    /// Between these two times of the store nobody's beat was written that this agent could hear of.
    private var pause: (from: WallTime, until: WallTime)?
    private var beatenAt: WallTime?
    /// In a new era all come back until then.
    private var awaitsUntil: Instant?

    private static let namesMax = 10

    /// A beat was answered at that time of the store. Where none was for longer than `span`, nobody was heard: since when
    /// somebody is silent nobody knows.
    mutating func beaten(at time: WallTime, within span: Nanoseconds) {
        if let last = beatenAt, time - last > span { pause = (last, time) }
        beatenAt = time
    }

    /// One line where there is news: how many share the probing, and what became of whom.
    mutating func line(
        of members: [RosterMember],
        late lateNow: [String: WallTime],
        era eraNow: UInt64,
        seenBy me: String,
        patience: Nanoseconds,
        at now: Instant
    ) -> String? {
        if eraNow != era {
            if era != 0 { awaitsUntil = now + patience }
            era = eraNow
        }
        let lives = Dictionary(
            members.map { ($0.id, $0.instance) },
            uniquingKeysWith: { one, _ in one }
        )
        let (ids, idsTold) = (Set(lives.keys), Set(told.keys))
        var areForgotten = false
        if let until = awaitsUntil {
            if now < until, !ids.isSuperset(of: idsTold) { return nil }
            awaitsUntil = nil
            areForgotten = true
        }
        if lives == told {
            late = lateNow
            return nil
        }
        defer { late = lateNow }
        // One that says nothing more is late before it is out; one that leaves is not.
        late.merge(lateNow) { _, now in now }
        let (came, went) = (ids.subtracting(idsTold), idsTold.subtracting(ids))
        let anew = ids.intersection(idsTold).filter { $0 != me && told[$0] != lives[$0] }
        told = lives
        if came.isEmpty, went.isEmpty, anew.isEmpty { return nil }
        // Alone, and nobody was there before: nothing that anybody must know.
        if ids.union(went) == [me] { return nil }

        var text = ids.count == 1 ? "one agent probes" : "\(ids.count) agents share the probing"
        if !came.isEmpty { text += "; new: \(Self.list(came))" }
        if !anew.isEmpty { text += "; begun anew: \(Self.list(anew))" }
        let others = went.subtracting([me])
        if areForgotten {
            if !others.isEmpty {
                text += "; not back since the store lost its state: \(Self.list(others))"
            }
        } else {
            let unheard = others.filter { late[$0].map(isOfPause) ?? false }
            let silent = others.filter { late[$0] != nil }.subtracting(unheard)
            let left = others.subtracting(silent).subtracting(unheard)
            if !left.isEmpty { text += "; left: \(Self.list(left))" }
            if !unheard.isEmpty {
                text += "; not back since the store takes beats again: \(Self.list(unheard))"
            }
            if !silent.isEmpty {
                let since = silent.compactMap { late[$0] }.min().map { " since \($0)" } ?? ""
                text += "; silent\(since): \(Self.list(silent))"
            }
        }
        if went.contains(me) { text += "; this one takes no part" }
        return text
    }

    /// From that time on its silence counts: it may have begun before.
    private func isOfPause(_ time: WallTime) -> Bool {
        pause.map { $0.from < time && time <= $0.until } ?? false
    }

    private static func list(_ ids: Set<String>) -> String {
        let sorted = ids.sorted()
        let shown = sorted.prefix(namesMax).joined(separator: ", ")
        return sorted.count > namesMax ? "\(shown) and \(sorted.count - namesMax) more" : shown
    }
}
