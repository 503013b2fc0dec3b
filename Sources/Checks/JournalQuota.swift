// May this line still go to the journal? So many in a while, and then only how many were left out:
// a program that complains without end must not fill a disk.

import Vocabulary

struct JournalQuota {
    enum Answer: Hashable {
        /// Lines that were left out before this one.
        case say(afterSilent: Int)
        case leaveOut
    }

    static let linesMax = 20
    static let window = Nanoseconds.seconds(10)

    private var began = Instant(nanoseconds: .min)
    private var lines = 0
    private var leftOut = 0

    mutating func ask(now: Instant) -> Answer {
        if now >= began + Self.window {
            began = now
            lines = 0
        }
        guard lines < Self.linesMax else {
            leftOut += 1
            return .leaveOut
        }
        lines += 1
        defer { leftOut = 0 }
        return .say(afterSilent: leftOut)
    }
}
