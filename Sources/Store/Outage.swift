// For how long has the store been away, and what was tried meanwhile? Each time that it is away is counted by itself.

import Vocabulary

struct Outage {
    let since: Instant
    /// To reach it, the one by which it was noticed among them.
    var attempts = 0

    init(since: Instant) { self.since = since }

    /// `unsaid` attempts were told to nobody since the last line about it, or about the time before.
    func words(unsaid: Int, at now: Instant) -> String {
        let unsaid = min(unsaid, attempts - 1)
        if unsaid < 1 { return "" }
        return
            ", for \(TransitionLine.rough(now - since)), \(unsaid + 1) attempts in the last minute"
    }
}
