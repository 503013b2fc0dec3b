// Who wakes when? Pairs that are due within a few milliseconds share one timer: of all that a cheap
// probe costs, waking for it alone would be the most. Pure: it keeps lists, somebody else the timers.

import EventLoop
import Vocabulary

/// Rows by the time at which they wake.
struct WakeUps {
    private struct Group {
        var first: Int32
        var last: Int32
        var timer = TimerID.none
    }

    /// A row's neighbours in its group; -1 is nobody. Beside the groups, so that a row can leave
    /// without a search.
    private struct Link {
        var previous: Int32 = -1
        var next: Int32 = -1
    }

    private var groups: [Instant: Group] = [:]
    private var links: [Link] = []

    /// A wait is stretched to the next multiple of this, or of half of it, never by more than a
    /// tenth. A shorter one stays exact.
    static let step = Nanoseconds.milliseconds(10)
    private static let shortStep = Nanoseconds.milliseconds(5)

    /// When to wake for what is due at `time`: then or soon after, never before.
    static func time(for due: Instant, now: Instant) -> Instant {
        let wait = due - now
        let step =
            wait.count >= 10 * Self.step.count
            ? Self.step : wait.count >= 10 * shortStep.count ? shortStep : .zero
        if step == .zero { return due }
        return Instant(nanoseconds: (due.nanoseconds + step.count - 1) / step.count * step.count)
    }

    /// Returns whether the row is the first of its group, which needs a timer now.
    mutating func add(_ row: Int, at time: Instant) -> Bool {
        while links.count <= row { links.append(Link()) }
        guard let last = groups[time]?.last else {
            groups[time] = Group(first: Int32(row), last: Int32(row))
            links[row] = Link()
            return true
        }
        links[Int(last)].next = Int32(row)
        links[row] = Link(previous: last, next: -1)
        groups[time]?.last = Int32(row)
        return false
    }

    mutating func keep(_ timer: TimerID, at time: Instant) { groups[time]?.timer = timer }

    /// Returns the timer if the row was the last of its group: nobody needs it any more.
    mutating func remove(_ row: Int, at time: Instant) -> TimerID? {
        guard var group = groups[time] else { return nil }
        let link = links[row]
        links[row] = Link()
        if link.previous < 0 && link.next < 0 {
            groups[time] = nil
            return group.timer
        }
        if link.previous >= 0 {
            links[Int(link.previous)].next = link.next
        } else {
            group.first = link.next
        }
        if link.next >= 0 {
            links[Int(link.next)].previous = link.previous
        } else {
            group.last = link.previous
        }
        groups[time] = group
        return nil
    }

    /// Takes the whole group out, in the order in which its rows came.
    mutating func take(at time: Instant) -> [Int] {
        var rows: [Int] = []
        var row = groups.removeValue(forKey: time)?.first ?? -1
        while row >= 0 {
            rows.append(Int(row))
            let next = links[Int(row)].next
            links[Int(row)] = Link()
            row = next
        }
        return rows
    }
}
