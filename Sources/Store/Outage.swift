// For how long has the store been away, and what was tried meanwhile? Each time that it is away is counted by itself.

import Vocabulary

struct Outage {
    let since: Instant
    /// To reach it, the one by which it was noticed among them.
    var attempts = 0
    private var isTold = false
    /// What is shorter may come again and again, and fills no log.
    static let brief = Nanoseconds.seconds(1)

    init(since: Instant) { self.since = since }

    /// One more attempt: whether people hear of it. `mayTell` where nobody heard of the like within a minute; an absence
    /// that lasts is told all the same, once, or the last word of a log would be that the store is there.
    mutating func attempt(mayTell: Bool, at now: Instant) -> Bool {
        attempts += 1
        guard mayTell || (!isTold && now - since >= Self.brief) else { return false }
        isTold = true
        return true
    }

    /// `unsaid` attempts were told to nobody since the last line about it, or about the time before.
    func words(unsaid: Int, at now: Instant) -> String {
        let unsaid = min(unsaid, attempts - 1)
        if unsaid < 1 { return "" }
        return
            ", for \(TransitionLine.rough(now - since)), \(unsaid + 1) attempts in the last minute"
    }
}
