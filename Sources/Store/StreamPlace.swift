// Where in a stream of Redis does one go on to read? After an id: a time and a number within it.

import Vocabulary

struct StreamPlace: Comparable, Sendable {
    private let milliseconds: UInt64
    private let number: UInt64

    /// After everything that came before this time, by the clock of Redis.
    init(time: WallTime) {
        milliseconds = UInt64(max(time.milliseconds, 0))
        number = 0
    }

    /// Nil where it is none.
    init?(id: String) {
        let parts = id.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let milliseconds = UInt64(parts[0]), let number = UInt64(parts[1])
        else { return nil }
        self.milliseconds = milliseconds
        self.number = number
    }

    var id: String { "\(milliseconds)-\(number)" }

    static func < (one: StreamPlace, other: StreamPlace) -> Bool {
        (one.milliseconds, one.number) < (other.milliseconds, other.number)
    }
}
