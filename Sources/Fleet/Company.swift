// How many share the probing? Whoever is started anew is out of the roster for some seconds, and what most of them have to
// agree about must not depend on that: the largest number of the last minute counts. Pure.

import Vocabulary

struct Company: Hashable, Sendable {
    private(set) var size = 0
    /// When the roster last had so many.
    private var at = Instant(nanoseconds: .min)

    /// The roster has so many now.
    mutating func note(_ count: Int, at now: Instant) {
        if count >= size {
            (size, at) = (count, now)
        } else if now > at + FleetTerms.othersKnown {
            // It may have been more for a while, and less since: the next minute tells.
            (size, at) = (count, now)
        }
    }
}
