// Who writes verdicts without taking part? An agent of a version that knows no claims, or another program under some
// name: whoever holds the pair claims it again and writes over it, and people should know of whom. Once may be a word
// of somebody who has just gone; who does it again and again is there. Pure.

import Vocabulary

struct Strangers: Sendable {
    private struct Seen: Sendable {
        var first: Instant
        var last: Instant
        var count = 1
    }

    private var seen: [String: Seen] = [:]

    /// So many words, the last of them so long after the first, are no leftovers.
    static let wordsMin = 3
    static let spanMin = Nanoseconds.seconds(2)
    /// Without a word for so long it is gone.
    static let life = Nanoseconds.seconds(60)
    static let namesMax = 16

    mutating func note(_ name: String, at now: Instant) {
        seen = seen.filter { now - $0.value.last < Self.life }
        if var one = seen[name] {
            one.last = now
            one.count += 1
            seen[name] = one
        } else if seen.count < Self.namesMax {
            seen[name] = Seen(first: now, last: now)
        }
    }

    /// Those that are there, with the time of their last word.
    func all(at now: Instant) -> [(name: String, at: Instant)] {
        seen.filter {
            now - $0.value.last < Self.life && $0.value.count >= Self.wordsMin
                && $0.value.last - $0.value.first >= Self.spanMin
        }
        .map { ($0.key, $0.value.last) }.sorted { $0.name < $1.name }
    }
}
