// Does this agent hear what is said to it? Whoever asks others asks itself too: where that does not come back, neither would
// any answer. Pure.

import Vocabulary

struct Deafness: Hashable, Sendable {
    /// Since when none has come back of the questions that it sent.
    private(set) var since: Instant?
    private var askedAt: Instant?

    /// A question goes out, and the next one within `span`, while there is something to ask. What was asked long before
    /// may be lost.
    mutating func ask(at now: Instant, again span: Nanoseconds) {
        if let askedAt, now - askedAt > span + span { since = nil }
        askedAt = now
        since = since ?? now
    }

    /// One has come back; or whether it would is not known any more.
    mutating func hear() { since = nil }
}
